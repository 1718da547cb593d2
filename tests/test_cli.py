"""The command line: quick to answer, one clear message and exit code 1 on bad input, 2 on wrong usage."""

import errno
import logging
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from riskmodels.cli import main
from riskmodels.cli.options import in_words
from riskmodels.cli.pay import PROGRAM_OPTIONS, PROGRAMS
from riskmodels.payments import program_options, programs

HEAVY = ("pandas", "polars", "numpy", "lightgbm", "sklearn", "shap", "mlflow", "matplotlib", "numba", "scipy")


def run(*arguments: object) -> tuple[int, str]:
    """Return exit code and everything that was said."""
    result = CliRunner().invoke(main, ["--quiet", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def test_help_imports_nothing_heavy() -> None:
    """`riskmodels --help` answers without the libraries that take seconds to import."""
    code = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from riskmodels.cli import main\n"
        "assert CliRunner().invoke(main, ['--help']).exit_code == 0\n"
        f"print(*[name for name in {HEAVY} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("command", sorted(main.commands))
def test_every_command_has_help(command: str) -> None:
    code, said = run(command, "--help")
    assert code == 0
    assert "Usage:" in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("ingest", "desynpuff", "{tmp}", "{tmp}/H"), "desynpuf"),
        (("ingest", "desynpuf", "{tmp}/nowhere", "{tmp}/H"), "nowhere"),
        (("check", "{tmp}/nowhere"), "nowhere"),
        (("features", "readmission-30d", "{tmp}/nowhere", "--out", "{tmp}/F.parquet"), "nowhere"),
        (("features", "readmision-30d", "{tmp}/nowhere", "--out", "{tmp}/F.parquet"), "readmission-30d"),
        (("features", "readmission-30d", "{tmp}/nowhere", "--out", "{tmp}/F.xlsx"), ".parquet"),
        (("train", "readmission-30d", "{tmp}/nowhere", "--config", "{tmp}/none.yaml"), "none.yaml"),
        (
            ("score", "{tmp}/no-model", "{tmp}/nowhere", "--as-of", "2023-01-01", "--out", "{tmp}/S"),
            "no-model",
        ),
        (("benchmark", "readmission-30d", "{tmp}/nowhere", "--out", "{tmp}/B.parquet"), "nowhere"),
        (("pay", "hrpp", "{tmp}/x.csv", "--year", "2025"), "hrrp"),
        (("pay", "hrrp", "{tmp}/x.csv", "--year", "1999"), "1999"),
        (("pay", "hrrp", "{tmp}/x.csv", "--year", "2025"), "x.csv"),
    ],
    ids=lambda value: " ".join(value[:3]).replace("{tmp}/", "") if isinstance(value, tuple) else "",
)
def test_bad_input_is_one_message_and_exit_code_1(tmp_path: Path, arguments: tuple, says: str) -> None:
    """The message names what is wrong, nothing is left behind, and no traceback is shown."""
    code, said = run(*(str(a).format(tmp=tmp_path) for a in arguments))
    assert code == 1
    assert said.startswith("Error: ")
    assert says in said
    assert "Traceback" not in said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        ("score", "M", "H", "--out", "S"),
        ("features", "readmission-30d", "H"),
        ("nonsense",),
        ("pay", "hrrp", "x.csv"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_code_2(arguments: tuple) -> None:
    code, said = run(*arguments)
    assert code == 2
    assert "Usage:" in said


def test_pay_takes_the_options_of_every_program() -> None:
    """The command line, which imports no program, names just the options that the programs take."""
    assert set(PROGRAM_OPTIONS) == {name for program in programs() for name in program_options(program)}
    assert set(PROGRAMS) == set(programs())
    code, said = run("pay", "--help")
    assert code == 0
    assert all(f"  {name} " in said for name in programs())
    for program in programs():
        flags = {f"--{name.replace('_', '-')}" for name in program_options(program)}
        assert all(flag in PROGRAMS[program] for flag in flags), program


def test_a_disk_that_is_full_and_a_place_that_may_not_be_written_are_said_in_words() -> None:
    """The system's own errors name the place and the fix, not a number."""
    full = OSError(errno.ENOSPC, "No space left on device", "out/scores.parquet")
    assert in_words(full) == (
        "out/scores.parquet: no space left on the disk\nFix: free space there, or write elsewhere"
    )
    engine = OSError("No space left on device (os error 28)")
    assert in_words(engine).startswith("no space left on the disk\nFix: ")
    sealed = OSError(errno.EROFS, "Read-only file system", "out")
    assert in_words(sealed) == "out: Read-only file system\nFix: name a place that may be read and written"


@pytest.mark.parametrize(("promoted", "code"), [(True, 0), (False, 1)])
def test_a_refused_promotion_is_no_success(
    monkeypatch: pytest.MonkeyPatch, promoted: bool, code: int
) -> None:
    """A script that promotes and then scores stops where the gate refuses."""
    verdict = SimpleNamespace(promoted=promoted, to_text=lambda: "the verdict")
    monkeypatch.setattr("riskmodels.learning.registry.promote", lambda *_, **__: verdict)
    assert run("promote", "readmission-30d") == (code, "the verdict\n")


def test_every_command_is_described_whole_in_the_list() -> None:
    """No line of the list of commands ends in dots."""
    _, said = run("--help")
    assert "..." not in said.partition("Commands:")[2]


def test_the_command_line_leaves_logging_to_others_as_it_was(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """Who calls the package after the command line still gets its log."""
    run("check", tmp_path / "nowhere")
    logger = logging.getLogger("riskmodels")
    assert (logger.handlers, logger.level, logger.propagate) == ([], logging.NOTSET, True)
    with caplog.at_level("WARNING", logger="riskmodels"):
        logging.getLogger("riskmodels.history").warning("still heard")
    assert "still heard" in caplog.text
