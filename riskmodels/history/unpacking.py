"""Find the CSV text in a file that may be compressed, or be of another format than its name says."""

import gzip
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from riskmodels.errors import DataError

__all__ = ["plain_csv"]

AGAIN = "get the file again from its publisher"
GZIP, ZIP = b"\x1f\x8b", b"PK\x03\x04"
OTHER_FORMATS = (
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"%PDF", "a PDF document"),
    (b"PAR1", "a Parquet file"),
    (b"ARROW1", "an Arrow file"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
    (b"BZh", "a bzip2 archive"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"\xff\xfe", "UTF-16 text"),
    (b"\xfe\xff", "UTF-16 text"),
    (b"version https://git-lfs", "a Git LFS pointer"),
    (b"{", "JSON"),
    (b"[", "JSON"),
)
MARKUP = (b"<!doctype", b"<html", b"<?xml")


@contextmanager
def plain_csv(path: Path) -> Iterator[Path]:
    """Yield the path of a file's CSV text: the file itself, or a temporary copy of what is packed in it.

    Raises
    ------
    DataError
        If the file is missing, empty, cut short or of another format.
    """
    if not path.is_file():
        raise DataError("there is no such file", file=path)
    with path.open("rb") as opened:
        start = opened.read(512)
    if not start:
        raise DataError("the file is empty", file=path, fix=AGAIN)
    suffix = path.suffix.lower()
    if suffix not in (".gz", ".zip"):
        _check_text(start, path)
        yield path
        return
    if not start.startswith(GZIP if suffix == ".gz" else ZIP):
        what = "gzip" if suffix == ".gz" else "zip"
        raise DataError(f"the name ends in {suffix} and the file is not a {what} file", file=path, fix=AGAIN)
    with tempfile.TemporaryDirectory(prefix="riskmodels-") as folder:
        target = Path(folder) / path.with_suffix(".csv").name
        try:
            _unpack(path, target, suffix)
        except (EOFError, gzip.BadGzipFile, zipfile.BadZipFile, zlib.error) as error:
            raise DataError("the archive is cut short or damaged", file=path, fix=AGAIN) from error
        with target.open("rb") as opened:
            start = opened.read(512)
        if not start:
            raise DataError("there is nothing in the archive", file=path, fix=AGAIN)
        _check_text(start, path)
        yield target


def _unpack(path: Path, target: Path, suffix: str) -> None:
    if suffix == ".gz":
        with gzip.open(path, "rb") as unzipped, target.open("wb") as text:
            shutil.copyfileobj(unzipped, text, 1 << 20)
        return
    with zipfile.ZipFile(path) as archive:
        members = [
            entry
            for entry in archive.infolist()
            if entry.filename.lower().endswith(".csv") and not entry.filename.startswith("__MACOSX")
        ]
        if len(members) != 1:
            raise DataError(
                f"there are {len(members)} CSV files in the archive, and there should be one",
                file=path,
                fix="unzip it and keep the files it should hold",
            )
        if members[0].flag_bits & 1:
            raise DataError("the archive asks for a password", file=path, fix="unzip it first")
        with archive.open(members[0]) as packed, target.open("wb") as text:
            shutil.copyfileobj(packed, text, 1 << 20)


def _check_text(start: bytes, path: Path) -> None:
    what = next((name for mark, name in OTHER_FORMATS if start.startswith(mark)), None)
    if what is None and start.removeprefix(b"\xef\xbb\xbf").lstrip()[:9].lower().startswith(MARKUP):
        what = "a web page"
    if what is None and start.startswith(GZIP):
        what = "a gzip file, and its name should end in .gz"
    if what is None and start.startswith(ZIP):
        what = "a zip archive or an Excel workbook"
    if what is None and b"\x00" in start:
        what = "not text"
    if what is not None:
        raise DataError(f"the file is not CSV: it is {what}", file=path, fix=AGAIN)
