"""Find and stream the files of a FHIR bulk export: a resource a line, a type of resource a file."""

import gzip
import json
import tempfile
import zlib
from collections.abc import Callable, Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl

from riskmodels.errors import DataError
from riskmodels.history.adapters.base import SourceFile, every_file
from riskmodels.history.adapters.fhir_elements import ElementError, Resource
from riskmodels.history.adapters.tabular import unpack

__all__ = ["count_lines", "exported", "flattened", "resources"]

SUFFIXES = (".ndjson", ".jsonl", ".json", ".ndjson.gz", ".jsonl.gz", ".json.gz")
LOOKED_FOR = "the files of a FHIR bulk export, such as Patient.ndjson and Encounter.ndjson"
AGAIN = "export it again, or get the file again: each line is one JSON object, in UTF-8"
MARK = b"\xef\xbb\xbf"
BATCH = 20_000
BLOCK = 1 << 20
Rows = list[tuple[Any, ...]] | str
TYPES: dict[Any, type] = {
    pl.String: str,
    pl.Float64: float,
    pl.Int32: int,
    pl.Date: date,
    pl.Datetime("us"): datetime,
    pl.List(pl.String): list,
}


def exported(source: Path) -> tuple[list[SourceFile], list[str]]:
    """Return the files of an export with the type of their resources, and the names of all files.

    Raises
    ------
    DataError
        If there is nothing, an archive is damaged, a file is not NDJSON, or holds bundles.
    """
    folder, keys = source, {}
    if source.is_file() and source.suffix.lower() == ".zip":
        holder = tempfile.TemporaryDirectory(prefix="riskmodels-")
        folder = Path(holder.name)
        unpack(source, folder, lambda name: name.lower().endswith(SUFFIXES))
        keys = {"folder": holder}
    files, names = [], []
    for path in every_file(folder, LOOKED_FOR):
        name = path.relative_to(folder).as_posix()
        names.append(name)
        if not path.name.lower().endswith(SUFFIXES):
            continue
        own = {**keys, "archive": f"{source}/{name}"} if keys else {}
        file = SourceFile(path, name, "", own)
        if (kind := _kind(file)) is not None:
            files.append(SourceFile(path, name, kind, own))
    return files, names


def _kind(file: SourceFile) -> str | None:
    """Return the type of a file's first resource; None for a file that is not part of the data."""
    plain_json = ".json" in "".join(file.path.suffixes[-2:]).lower()
    try:
        first = next(_lines(file), None)
    except DataError:
        if plain_json:  # a document over several lines, such as a manifest
            return None
        raise
    if first is None:
        raise DataError("the file is empty", file=_shown(file), fix=AGAIN)
    kind = first[1].get("resourceType")
    if kind == "Bundle":
        raise DataError(
            "the file holds a bundle, and a bulk export has a resource a line",
            file=_shown(file),
            fix="export NDJSON (Synthea: exporter.fhir.bulk_data = true)",
        )
    if kind is None and (plain_json or "exportId" in first[1]):  # the log of an export
        return None
    if not isinstance(kind, str):
        raise DataError("the line has no resourceType", file=_shown(file), line=1, fix=AGAIN)
    return kind


def _lines(file: SourceFile) -> Iterator[tuple[int, Resource]]:
    """Yield the number and the object of each line that is not blank."""
    line, number = b"", 0
    packed = file.path.suffix.lower() == ".gz"
    try:
        with gzip.open(file.path) if packed else file.path.open("rb") as opened:
            for number, line in enumerate(opened, start=1):
                text = line.removeprefix(MARK) if number == 1 else line
                if not text.strip():
                    continue
                found = json.loads(text)
                if not isinstance(found, dict):
                    raise ValueError
                yield number, found
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise DataError("the archive is cut short or damaged", file=_shown(file), fix=AGAIN) from None
    except ValueError:
        # What the line holds is a patient's: neither it nor the parser's words are shown.
        cut = " (it is the last one: the file was cut short)" if not line.endswith(b"\n") else ""
        problem = f"the line is not a JSON object in UTF-8{cut}"
        raise DataError(problem, file=_shown(file), line=number, fix=AGAIN) from None


def resources(file: SourceFile) -> Iterator[tuple[int, Resource]]:
    """Yield the lines of a file: number and resource.

    Raises
    ------
    DataError
        If a line is malformed or of another type than the first: named by file and line, without its content.
    """
    for number, resource in _lines(file):
        if resource.get("resourceType") != file.table:
            kind = resource.get("resourceType")
            what = f"a {kind}" if isinstance(kind, str) and kind.isalpha() else "no resource"
            raise DataError(
                f"the line is {what}, and the file began with {file.table}",
                file=_shown(file),
                line=number,
                fix="put each type of resource into a file of its own",
            )
        yield number, resource


def flattened(
    file: SourceFile,
    flatten: Callable[[Resource], Rows],
    schema: dict[str, Any],
    left_out: dict[str, int] | None = None,
) -> Iterator[pl.DataFrame]:
    """Yield the rows of a file's resources in batches; at least one batch.

    Parameters
    ----------
    file : SourceFile
    flatten : callable
        From a resource to its rows, or to the reason why it has none.
    schema : dict
        The columns of the rows.
    left_out : dict, optional
        Where reasons are counted.

    Raises
    ------
    DataError
        If a line is malformed, or an element is not what the specification says: named, without its content.
    """
    rows: list[tuple[Any, ...]] = []
    kinds = [TYPES[dtype] for dtype in schema.values()]
    for number, resource in resources(file):
        try:
            found = flatten(resource)
        except ElementError as error:
            raise _bad(file, number, f"the element {error} is not of its type in FHIR R4") from None
        except (AttributeError, KeyError, TypeError, ValueError):
            raise _bad(file, number, f"the {file.table} has not the shape of FHIR R4") from None
        if isinstance(found, str):
            if left_out is not None:
                left_out[found] = left_out.get(found, 0) + 1
            continue
        for row in found:
            for value, kind in zip(row, kinds, strict=True):
                if value is not None and not isinstance(value, kind):
                    raise _bad(file, number, f"the {file.table} has not the shape of FHIR R4")
        rows.extend(found)
        if len(rows) >= BATCH:
            yield pl.DataFrame(rows, schema=schema, orient="row")
            rows = []
    yield pl.DataFrame(rows, schema=schema, orient="row")


def _bad(file: SourceFile, line: int, problem: str) -> DataError:
    fix = "correct the resource, or leave it out; DSTU2, STU3 and R5 are not read"
    return DataError(problem, file=_shown(file), line=line, fix=fix)


def count_lines(file: SourceFile) -> int:
    """Return the number of lines of a file that are not blank."""
    with gzip.open(file.path) if file.path.suffix.lower() == ".gz" else file.path.open("rb") as opened:
        return sum(1 for line in opened if line.strip())


def _shown(file: SourceFile) -> str:
    return str(file.keys.get("archive", file.path))
