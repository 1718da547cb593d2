"""Put codes into groups: comorbidities, chapters, kinds of care."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files

import polars as pl

from riskmodels.errors import SpecError, did_you_mean

__all__ = ["SHAPES", "Grouper", "load_grouper", "normalize", "well_formed"]

# How a code of each system looks once dots are gone; a code that does not look so is a typing error, a
# code of another system or a local code, and no table can hold it.
SHAPES: dict[str, str] = {
    "ICD9CM": r"^(?:[0-9]{3}[0-9]{0,2}|V[0-9]{2,4}|E[0-9]{3,4})$",
    "ICD10CM": r"^[A-Z][0-9][0-9A-Z][0-9A-Z]{0,4}$",
    "ICD9PCS": r"^[0-9]{2,4}$",
    "ICD10PCS": r"^[0-9A-HJ-NP-Z]{7}$",
    "MSDRG": r"^[0-9]{3}$",
    "ATC": r"^[A-Z](?:[0-9]{2}(?:[A-Z](?:[A-Z](?:[0-9]{2})?)?)?)?$",
}

_RANGE = re.compile(r"^([A-Z]?)([0-9]+)-([A-Z]?)([0-9]+)$")


@dataclass(frozen=True)
class Grouper:
    """A table of code prefixes, and the groups that codes with these prefixes belong to.

    Parameters
    ----------
    name, version, source, licence : str
        What the table is, where it comes from and on which terms.
    groups : tuple of str
        The groups in the order of the table; a group's number is its place.
    labels : dict of str to str
        What a person calls each group.
    prefixes : tuple of (code system, prefix, group number)
        The table itself; prefixes have no dots.
    exclusive : bool
        Whether only the longest matching prefix counts (a classification, as diagnosis chapters are), or
        every one (comorbidities: ICD-9-CM 404.03 is heart failure, renal failure and hypertension).
    weights : dict of str to (dict of str to float)
        Points per group under a named score.
    outranks : dict of str to tuple of str
        Groups that do not count for a patient who has the first: diabetes, where there is diabetes with
        complications.
    """

    name: str
    version: str
    source: str
    licence: str
    groups: tuple[str, ...]
    labels: Mapping[str, str]
    prefixes: tuple[tuple[str, str, int], ...] = field(repr=False)
    exclusive: bool = False
    weights: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    outranks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def code_systems(self) -> tuple[str, ...]:
        """Return the code systems that the table knows."""
        return tuple(sorted({system for system, _, _ in self.prefixes}))

    def number(self, group: str) -> int:
        """Return the number of a group.

        Raises
        ------
        SpecError
            Where the grouper has no such group.
        """
        if group not in self.groups:
            raise SpecError(f"{self.name} has no group {group!r}. {did_you_mean(group, self.groups)}")
        return self.groups.index(group)

    def assign(self, code_system: pl.Series, code: pl.Series) -> pl.DataFrame:
        """Find the groups of each code.

        Parameters
        ----------
        code_system, code : Series of str, same length
            One code a row, with or without dots.

        Returns
        -------
        DataFrame of row (UInt32), group (Int32)
            Sorted; a row that belongs to no group is not in it, one that belongs to several is there for
            each.
        """
        rows = pl.DataFrame({"code_system": code_system, "code": code}).with_row_index("row")
        rows = rows.with_columns(pl.col("code_system", "code").cast(pl.String))
        distinct = rows.select("code_system", "code").unique()
        matches = self._match(distinct.with_columns(plain=normalize(pl.col("code"))))
        return (
            rows.join(matches, on=["code_system", "code"])
            .select(pl.col("row").cast(pl.UInt32), "group")
            .sort("row", "group")
        )

    def unknown(self, code_system: pl.Series, code: pl.Series) -> pl.DataFrame:
        """Count the codes that have no group, with the reason why.

        Returns
        -------
        DataFrame of code_system, code, rows (UInt32), reason
            The reason is ``other system`` (the table has nothing for it), ``not a code`` (it does not look
            like a code of its system) or ``not covered`` (it does, and the table has no group for it: usual
            for comorbidities, a gap in the table for a classification). Most frequent first.
        """
        counts = (
            pl.DataFrame({"code_system": code_system, "code": code})
            .with_columns(pl.col("code_system", "code").cast(pl.String))
            .group_by("code_system", "code")
            .agg(rows=pl.len().cast(pl.UInt32))
            .with_columns(plain=normalize(pl.col("code")))
        )
        matched = self._match(counts).select("code_system", "code").unique()
        known = pl.col("code_system").is_in(self.code_systems).fill_null(False)
        return (
            counts.join(matched, on=["code_system", "code"], how="anti", nulls_equal=True)
            .with_columns(
                reason=pl.when(~known)
                .then(pl.lit("other system"))
                .when(well_formed())
                .then(pl.lit("not covered"))
                .otherwise(pl.lit("not a code"))
            )
            .select("code_system", "code", "rows", "reason")
            .sort("rows", "code_system", "code", descending=[True, False, False])
        )

    def _match(self, codes: pl.DataFrame) -> pl.DataFrame:
        """Match distinct codes (code_system, code, plain) to groups by their beginnings of every length."""
        table, lengths = _prefix_table(self.prefixes)
        matches = (
            codes.lazy()
            .join(lengths, how="cross")
            .filter(pl.col("plain").str.len_bytes() >= pl.col("length"))
            .with_columns(prefix=pl.col("plain").str.slice(0, pl.col("length")))
            .join(table, on=["code_system", "prefix"])
        )
        if self.exclusive:
            matches = matches.filter(pl.col("length") == pl.col("length").max().over("code_system", "code"))
        return matches.select("code_system", "code", "group").unique().collect()


def normalize(code: pl.Expr) -> pl.Expr:
    """Return codes in capitals, without dots and blanks."""
    return code.str.to_uppercase().str.replace_all(r"[.\s]", "")


def well_formed() -> pl.Expr:
    """Return whether `plain`, a normalised code, looks like one of its `code_system`; unknown ones pass."""
    shaped = pl.any_horizontal(
        (pl.col("code_system") == system) & pl.col("plain").str.contains(shape)
        for system, shape in SHAPES.items()
    )
    return (shaped | ~pl.col("code_system").is_in(list(SHAPES))).fill_null(False)


@lru_cache(maxsize=64)
def _prefix_table(prefixes: tuple[tuple[str, str, int], ...]) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """Return the prefixes (code_system, prefix, group), and the lengths that they have."""
    schema = {"code_system": pl.String, "prefix": pl.String, "group": pl.Int32}
    table = pl.DataFrame(list(prefixes), schema=schema, orient="row")
    lengths = table.select(length=pl.col("prefix").str.len_bytes()).unique()
    return table.lazy(), lengths.lazy()


@lru_cache(maxsize=64)
def load_grouper(name: str) -> Grouper:
    """Read one of the tables that come with the package.

    Parameters
    ----------
    name : str
        The table's file name without its suffix: ``"charlson"``.

    Raises
    ------
    SpecError
        Where there is no such table.
    """
    folder = files("riskmodels.terminology") / "data"
    known = sorted(
        entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")
    )
    if name not in known:
        raise SpecError(f"There is no code table {name!r}. {did_you_mean(name, known)}")
    content = tomllib.loads((folder / f"{name}.toml").read_text(encoding="utf-8"))
    groups = content["groups"]
    prefixes = tuple(
        (system, prefix, number)
        for number, entry in enumerate(groups.values())
        for system in (*SHAPES, "LOCAL")
        for spelled in entry.get(system, "").split()
        for prefix in _spell_out(spelled)
    )
    scores = sorted({score for entry in groups.values() for score in entry.get("weights", {})})
    return Grouper(
        name=content["name"],
        version=content["version"],
        source=content["source"],
        licence=content["licence"],
        groups=tuple(groups),
        labels={group: entry["label"] for group, entry in groups.items()},
        prefixes=prefixes,
        exclusive=content.get("exclusive", False),
        weights={
            score: {group: float(entry.get("weights", {}).get(score, 0)) for group, entry in groups.items()}
            for score in scores
        },
        outranks={group: tuple(entry["outranks"]) for group, entry in groups.items() if "outranks" in entry},
    )


def _spell_out(prefix: str) -> Iterator[str]:
    """Yield the prefixes of a range: ``"C00-C03"`` is C00, C01, C02, C03.

    >>> list(_spell_out("425.4-425.6"))
    ['4254', '4255', '4256']
    """
    plain = prefix.replace(".", "")
    spelled = _RANGE.match(plain)
    if spelled is None:
        yield plain
        return
    letter, first, other_letter, last = spelled.groups()
    if letter != other_letter or len(first) != len(last) or int(first) > int(last):
        raise SpecError(f"{prefix!r} is not a range of codes of one letter and length.")
    for number in range(int(first), int(last) + 1):
        yield f"{letter}{number:0{len(first)}d}"
