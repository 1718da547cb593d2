"""Files and folders appear whole or not at all, and an error names the place that was asked for."""

import errno
import tempfile
from pathlib import Path

import pytest

from riskmodels.files import atomic_directory, atomic_file

WRITERS = {"file": atomic_file, "folder": atomic_directory}


@pytest.mark.parametrize("kind", WRITERS)
def test_what_was_interrupted_leaves_nothing_behind(tmp_path: Path, kind: str) -> None:
    with pytest.raises(RuntimeError), WRITERS[kind](tmp_path / "made"):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("kind", "maker"), [("file", "mkstemp"), ("folder", "mkdtemp")])
def test_a_place_that_refuses_is_named_as_it_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, maker: str
) -> None:
    def refuse(**asked: Path | str) -> None:
        place = f"{asked['dir']}/{asked['prefix']}abc{asked.get('suffix', '')}"
        raise OSError(errno.EROFS, "Read-only file system", place)

    monkeypatch.setattr(tempfile, maker, refuse)
    with pytest.raises(OSError, match="Read-only") as raised, WRITERS[kind](tmp_path / "out.csv"):
        raise AssertionError
    assert raised.value.filename == str(tmp_path / "out.csv")


def test_a_file_inside_a_folder_that_is_being_written_is_named_in_its_place(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as raised, atomic_directory(tmp_path / "H") as temporary:
        (temporary / "shard=000" / "event.parquet").write_bytes(b"")
    assert raised.value.filename == str(tmp_path / "H" / "shard=000" / "event.parquet")


@pytest.mark.parametrize("kind", WRITERS)
def test_a_full_disk_is_said_with_what_was_to_be_written(tmp_path: Path, kind: str) -> None:
    with pytest.raises(OSError, match="No space") as raised, WRITERS[kind](tmp_path / "made"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert raised.value.filename == str(tmp_path / "made")


@pytest.mark.parametrize("kind", WRITERS)
def test_the_error_of_another_file_is_left_as_it_is(tmp_path: Path, kind: str) -> None:
    with pytest.raises(FileNotFoundError) as raised, WRITERS[kind](tmp_path / "made"):
        (tmp_path / "other").read_bytes()
    assert raised.value.filename == str(tmp_path / "other")
