"""Medicare's Claim and Claim Line Feed (CCLF): what CMS sends an ACO each month."""

import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from riskmodels.errors import DataError
from riskmodels.history.adapters.base import Adapter, SourceFile, every_file, nothing_found
from riskmodels.history.adapters.cclf_feed import Feed
from riskmodels.history.adapters.cclf_reading import counts_told, is_delimited, records_in, table_and_day
from riskmodels.history.adapters.tabular import unpack
from riskmodels.history.staging import Part

__all__ = ["adapter"]

NEEDED = {
    "cclf1": "Part A headers",
    "cclf2": "revenue centers",
    "cclf4": "diagnoses",
    "cclf8": "beneficiaries",
}
TOGETHER = ("cclf1", "cclf2", "cclf4")  # of one delivery
LOOKED_FOR = "the files CCLF1 to CCLF9 as CMS delivers them, such as P.A1234.ACO.ZC1Y24.D240215.T1234567"


class Cclf:
    """Medicare's Claim and Claim Line Feed: claims of the beneficiaries of an ACO."""

    name = "cclf"
    version = 1
    description = "Medicare CCLF 1-9 (claims of an ACO), fixed width as CMS delivers them or with a header"

    def find(self, source: Path) -> list[SourceFile]:
        """Return the nine kinds of files of a folder or archive, of all deliveries, the oldest first."""
        files, names, summaries = [], [], []
        for path, name, keys in _every_file(source):
            names.append(name)
            if (known := table_and_day(path.name)) is not None:
                table, day = known
                keys = {**keys, "day": day}
                if table == "cclf0":
                    summaries.append(SourceFile(path, name, table, keys))
                    continue
                keys["delimited"] = is_delimited(path, table)
                files.append(SourceFile(path, name, table, keys))
        _check(source, files, names)
        for summary in summaries:
            _check_counts(summary, files)
        return sorted(files, key=lambda file: (file.keys["day"] or date.max, file.name))

    def parts(self, files: Sequence[SourceFile]) -> Iterator[Part]:
        """Read who the beneficiaries are, which claims are final, then the codes of these claims."""
        return Feed(files).parts()

    def pieces(self, files: Sequence[SourceFile]) -> list[list[SourceFile]]:
        """Return all files as one piece: a claim of one delivery is cancelled in another."""
        return [list(files)]


def adapter() -> Adapter:
    """Return the adapter."""
    return Cclf()


def _every_file(source: Path) -> Iterator[tuple[Path, str, dict[str, Any]]]:
    """Yield the files of a folder and of archives in it: path, name, and what holds them if unpacked."""
    if source.is_file() and source.suffix.lower() == ".zip":
        holder = tempfile.TemporaryDirectory(prefix="riskmodels-")
        folder = Path(holder.name)
        unpack(source, folder, lambda name: table_and_day(Path(name).name) is not None)
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            name = path.relative_to(folder).as_posix()
            # The unpacked files are there for as long as one of them is held.
            yield path, f"{source.name}/{name}", {"archive": f"{source}/{name}", "folder": holder}
        return
    for path in every_file(source, LOOKED_FOR):
        if path.suffix.lower() == ".zip":
            yield from _every_file(path)
        else:
            yield path, path.relative_to(source).as_posix(), {}


def _check_counts(summary: SourceFile, files: Sequence[SourceFile]) -> None:
    """Refuse files of a delivery that have another number of records than its summary (CCLF0) tells."""
    told = counts_told(summary)
    for file in files:
        same = file.keys["day"] == summary.keys["day"] and not file.keys["delimited"]
        if same and file.table in told and (found := records_in(file)) != told[file.table]:
            raise DataError(
                f"there are {found} records, and {summary.name} says {told[file.table]}",
                file=file.keys.get("archive", file.path),
                fix="get the delivery again from CMS, or put files and summary of one delivery together",
            )


def _check(source: Path, files: Sequence[SourceFile], names: Sequence[str]) -> None:
    found = {file.table for file in files}
    missing = [f"{table.upper()} ({title})" for table, title in NEEDED.items() if table not in found]
    if missing:
        raise nothing_found(source, f"no {' and no '.join(missing)} here", [LOOKED_FOR], names, packed=True)
    forms: dict[str, dict[bool, str]] = defaultdict(dict)
    deliveries: dict[date, set[str]] = defaultdict(set)
    for file in files:
        forms[file.table][file.keys["delimited"]] = file.name
        if file.keys["day"] is not None:
            deliveries[file.keys["day"]].add(file.table)
    for table, names_of in forms.items():
        if len(names_of) == 2:
            raise DataError(
                f"{names_of[False]} has records of fixed width and {names_of[True]} has columns: both are "
                f"{table.upper()}",
                file=source,
                fix="keep the files in one form: they may be the same claims twice",
            )
    for day, tables_of in deliveries.items():
        if 0 < len(tables_of & set(TOGETHER)) < len(TOGETHER):
            lacking = sorted(set(TOGETHER) - tables_of)
            raise DataError(
                f"the delivery of {day} has {' and '.join(sorted(t.upper() for t in tables_of))}, and no "
                f"{' and no '.join(table.upper() for table in lacking)}",
                file=source,
                fix="put the other files of the delivery there: claims without lines or diagnoses mislead",
            )
