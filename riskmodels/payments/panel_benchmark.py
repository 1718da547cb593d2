"""A panel benchmark of riskmodels in a payment program: read as the program's own file, with its draws.

A panel benchmark says what a panel was expected to cost and what it did cost (`expected` and `observed`,
dollars of the performance year, a row a panel), and has draws of both beside it. What a program wants to know
beyond that (track, quality) is in a companion file, the option ``acos``. Bundles are settled on episodes with
draws beside them.
"""

import csv
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from riskmodels.errors import DataError, SpecError
from riskmodels.payments.audit import Audit
from riskmodels.payments.drawn import Drawn, draws_beside, factors_of
from riskmodels.payments.program import Inputs, Program, Settlement
from riskmodels.payments.reading import Table, read_table
from riskmodels.payments.rules import Rules

__all__ = ["BUNDLES", "OPTION", "PROGRAMS", "OfEpisodes", "OfPanels", "for_benchmark", "is_panel"]

OPTION = {
    "acos": "file beside a panel benchmark: aco_id and what the program asks for (track or risk_arrangement, "
    "quality_score); the row of aco_id * is of every ACO without its own",
}
_MARKS = ("member_months", "expected", "observed", "ratio")
BUNDLES = ("bpci-advanced", "cjr", "team")
EVERYONE = "*"


def is_panel(path: Path) -> bool:
    """Tell whether a file is a panel benchmark, by its columns."""
    if path.suffix.lower() == ".parquet" and path.is_file():
        try:
            return set(_MARKS) <= set(pl.read_parquet_schema(path))
        except pl.exceptions.PolarsError:
            return False
    if path.suffix.lower() != ".csv" or not path.is_file():
        return False
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as handle:
        return set(_MARKS) <= set(next(csv.reader(handle), []))


_FIGURES = {"ABtotBnchmk": "expected", "ABtotExp": "observed", "tot_cost_care": "observed",
            "tot_cost_care_net": "observed", "final_benchmark": "expected"}  # fmt: skip
_COMPANION = {
    "track": "Current_Track", "quality_score": "QualScore", "minimum_savings_rate": "MinSavPerc",
    "met_qps": "Met_QPS", "met_altqps": "Met_AltQPS", "revenue_category": "Rev_Exp_Cat",
    "start_date": "Current_Start_Date",
}  # fmt: skip
"""Columns of the companion file, and their names in CMS's public use file."""


def _source(source: str, entity: str, acos: str) -> str:
    """Return where an input stands in the benchmark or its companion, for a place in the program's layout."""
    place = re.fullmatch(r"([^,]+), line \d+, column (\w+)", source)
    if place is None:
        return source
    file, column = place[1], place[2]
    if column in _FIGURES:
        return f"{file}, aco_id {entity}, column {_FIGURES[column]}"
    names = {published: name for name, published in _COMPANION.items()}
    name = "risk_arrangement" if column == "risk_arrangement" else names.get(column)
    return f"{acos}, column {name}" if name else ""


def _mssp(panels: pl.DataFrame, given: Table, ids: pl.Series, year: int) -> pl.DataFrame:
    """Return the panels under the names of CMS's public use file."""
    if given.find("track") is None:
        raise DataError("no column says the ACOs' track", file=given.path, column="track")
    extra = {new: given.text(column) for old, new in _COMPANION.items() if (column := given.find(old))}
    return panels.select(
        ACO_ID="aco_id",
        N_AB=pl.col("n"),
        ABtotBnchmk=pl.col("expected"),
        ABtotExp=pl.col("observed"),
        BnchmkMinExp=pl.col("expected") - pl.col("observed"),
    ).join(pl.DataFrame({"ACO_ID": ids, **extra}), on="ACO_ID", how="left", maintain_order="left")


def _reach(panels: pl.DataFrame, given: Table, ids: pl.Series, year: int) -> pl.DataFrame:
    """Return the panels under the names of the model's results; the benchmark is before the discount."""
    extra = {}
    for name in ("risk_arrangement", "quality_score"):
        column = given.find(name)
        if column is None:
            raise DataError("the program asks for this column", file=given.path, column=name)
        extra[name] = given.text(column)
    return panels.select(
        "aco_id",
        perf_year=pl.lit(year),
        benchmark_before_discount=pl.col("expected"),
        tot_cost_care=pl.col("observed"),
    ).join(
        pl.DataFrame({"aco_id": ids, "risk_arrangement": extra["risk_arrangement"],
                      "qual_scr": extra["quality_score"]}), on="aco_id", how="left", maintain_order="left",
    )  # fmt: skip


PROGRAMS: Mapping[str, Any] = {
    "mssp": (_mssp, "acos", {"expected": "benchmark", "observed": "expenditures"}),
    "aco-reach": (_reach, "acos", {"expected": "benchmark_before_discount", "observed": "expenditures"}),
}
"""For each program: its layout, its table of ACOs, and the inputs that the draws of a panel are of."""


class OfPanels(Drawn):
    """A payment program settled on a panel benchmark, draw by draw."""

    def __init__(self, program: Program) -> None:
        super().__init__(program)
        self.options = {**program.options, **OPTION}  # type: ignore[misc]
        self.layout, self.table, self.scaled = PROGRAMS[program.name]

    def read(self, paths: Sequence[Path], rules: Rules, options: Mapping[str, Any]) -> Inputs:
        """Read the benchmark and its companion, through the program's own reader.

        Raises
        ------
        SpecError
            Without the option ``acos``, or with a second file.
        DataError
            A panel is withheld as small, or the companion lacks one.
        """
        if len(paths) != 1:
            raise SpecError(f"{self.name} takes one panel benchmark")
        if not options.get("acos"):
            raise SpecError(
                f"{self.name} asks for more than a panel benchmark says\n"
                f"Fix: give the option acos, a {OPTION['acos']}"
            )
        path = paths[0]
        panels = _panels(path)
        given = _for_all(read_table(Path(options["acos"]), ("aco_id",)), panels["aco_id"], "aco_id")
        ids = given.identifiers(given.column("aco_id"))
        absent = panels.filter(~pl.col("aco_id").is_in(ids.implode()))["aco_id"]
        if len(absent):
            raise DataError(
                f"{len(absent)} of {panels.height} panels missing, such as {absent[0]!r}", file=given.path
            )
        with tempfile.TemporaryDirectory() as folder:
            same = Path(folder) / f"{self.name}.csv"
            self.layout(panels, given, ids, rules.year).write_csv(same)
            rest = {name: value for name, value in options.items() if name != "acos"}
            found = self.inner.read([same], rules, rest)
        frames = {
            name: frame.with_columns(source_file=pl.lit(str(path)))
            if "source_file" in frame.columns
            else frame
            for name, frame in found.frames.items()
        }
        options = {**found.options, "acos": given.path.name}
        return replace(found, frames=frames, options=options, draws=factors_of(path, panels, "aco_id"))

    def explain(self, inputs: Inputs, settlement: Settlement, rules: Rules, entity: str) -> Audit:
        """Write down a payment as the program does, each input under its name in the benchmark's files."""
        audit = super().explain(inputs, settlement, rules, entity)
        lines = tuple(
            replace(line, source=_source(line.source, entity, inputs.options["acos"])) for line in audit.lines
        )
        return replace(audit, lines=lines)

    def settle(self, inputs: Inputs, rules: Rules) -> Settlement:
        """Settle as `Drawn` does, but refuse an ACO of whom nothing tells from where on savings count.

        Raises
        ------
        DataError
            A two-sided ACO chooses its minimum savings rate, and the companion does not say it.
        """
        found = super().settle(inputs, rules)
        if "minimum_savings_rate" in found.frame.columns:
            unknown = found.frame.filter(pl.col("minimum_savings_rate").is_null())[self.entity]
            if len(unknown):
                raise DataError(
                    f"no minimum savings rate of {len(unknown)} ACOs, such as {unknown[0]!r}: a two-sided "
                    "one chooses it",
                    column="minimum_savings_rate",
                    fix="give it in the file of --acos, such as 0.02",
                )
        return found

    def after_scaling(self, frames: dict[str, pl.DataFrame], before: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """Let the benchmark of ACO REACH follow the one before discount and withhold."""
        if "benchmark_before_discount" not in before.columns:
            return frames
        taken = before["benchmark"] / before["benchmark_before_discount"]
        after = frames[self.table].with_columns(benchmark=pl.col("benchmark_before_discount") * taken)
        return {**frames, self.table: after}


class OfEpisodes(Drawn):
    """A bundle settled on episodes whose target prices and costs have draws, a participant a row."""

    def __init__(self, program: Program) -> None:
        super().__init__(program)
        self.table = "episodes"
        self.scaled = {"expected": "target_price", "observed": "cost"}

    def read(self, paths: Sequence[Path], rules: Rules, options: Mapping[str, Any]) -> Inputs:
        """Read the episodes as the program does, and the draws beside them."""
        found = self._read(paths, rules, options)
        points = found.frames["episodes"].group_by("participant_id").agg(
            pl.col("target_price").sum().alias("expected"), pl.col("cost").sum().alias("observed")
        )  # fmt: skip
        return replace(found, draws=factors_of(paths[0], points, "participant_id"))

    def _read(self, paths: Sequence[Path], rules: Rules, options: Mapping[str, Any]) -> Inputs:
        """Read the episodes, a quality score of ``*`` put in the place of everyone's without one."""
        quality = options.get("quality")
        if not quality:
            return self.inner.read(paths, rules, options)
        participants = read_table(paths[0], ("participant_id",))
        names = participants.frame[participants.column("participant_id")].unique().sort()
        given = read_table(Path(quality), ("participant_id",))
        every = _for_all(given, names, "participant_id")
        if every is given:
            return self.inner.read(paths, rules, options)
        with tempfile.TemporaryDirectory() as folder:
            same = Path(folder) / Path(quality).name
            every.frame.write_csv(same)
            return self.inner.read(paths, rules, {**options, "quality": same})


def for_benchmark(program: Program, paths: Sequence[Path], options: Mapping[str, Any]) -> Program:
    """Return the program as it settles these files: with draws, where they are a benchmark of riskmodels.

    Raises
    ------
    DataError
        The option ``acos`` is given, and the file is no panel benchmark.
    """
    if program.name in PROGRAMS and is_panel(paths[0]):
        return OfPanels(program)
    if program.name in PROGRAMS and options.get("acos"):
        problem = (
            "is no panel benchmark, which the option acos is for" if paths[0].is_file() else "no such file"
        )
        raise DataError(problem, file=paths[0], fix="make one with: riskmodels panel")
    if program.name in BUNDLES and draws_beside(paths[0]).is_file():
        return OfEpisodes(program)
    return program


def _for_all(given: Table, panels: pl.Series, name: str) -> Table:
    """Return the companion with its row of ``*``, if any, in place of everyone without a row."""
    key = given.column(name)
    shared = (given.frame[key] == EVERYONE).fill_null(value=False)
    if not shared.any():
        return given
    own = given.frame.filter(~shared)
    rest = panels.filter(~panels.is_in(own[key].implode()))
    row = given.frame.filter(shared).head(1).drop(key).join(pl.DataFrame({key: rest}), how="cross")
    frame = pl.concat([own, row.select(own.columns)])
    line = given.lines[int(shared.arg_max() or 0)]
    lines = [at for at, all_ in zip(given.lines, shared, strict=True) if not all_] + [line] * len(rest)
    return Table(given.path, frame, tuple(lines))


def _panels(path: Path) -> pl.DataFrame:
    """Return aco_id, n, expected and observed of the panels."""
    frame = _read(path)
    key = "aco_id" if "aco_id" in frame.columns else frame.columns[0]
    frame = frame.rename({key: "aco_id"}).with_columns(pl.col("aco_id").cast(pl.String))
    figures = ("n", "expected", "observed")
    withheld = frame.filter(pl.any_horizontal(pl.col(figures).is_null()))
    if withheld.height:
        raise DataError(
            f"{withheld.height} panels are withheld as small, such as {withheld['aco_id'][0]!r}",
            file=path,
            fix="make the benchmark with --keep-small-cells, or leave these panels out",
        )
    return frame.select("aco_id", *figures)


def _read(path: Path) -> pl.DataFrame:
    if path.suffix.lower() == ".parquet":
        return pl.read_parquet(path)
    first = pl.read_csv(path, n_rows=0).columns[0]
    return pl.read_csv(path, schema_overrides={first: pl.String}, infer_schema_length=None)
