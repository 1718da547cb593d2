"""The CMS tables of the models, read once from the package's data."""

import csv
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import polars as pl

from riskmodels.errors import SpecError, did_you_mean

__all__ = ["MODELS", "Edit", "Interaction", "ModelTables", "load_tables", "model_name"]

MODELS = ("CMS-HCC V24", "CMS-HCC V28", "CMS-HCC ESRD V24", "RxHCC V08")
ANY = "any"
"""The column of coefficients that belong to no one segment: months since a transplant."""


@dataclass(frozen=True)
class Interaction:
    """A variable that is 1 where every group of HCCs is there and the member is in every state."""

    name: str
    groups: tuple[tuple[int, ...], ...]
    states: tuple[str, ...]


@dataclass(frozen=True)
class Edit:
    """Codes that count for another HCC, or for none (`hcc` 0), at a sex or at an age."""

    kind: str
    codes: tuple[str, ...]
    hcc: int
    sex: str | None = None
    age_to: int | None = None
    age_from: int | None = None


@dataclass(frozen=True)
class ModelTables:
    """All that scores a model.

    Parameters
    ----------
    model : str
    coefficients : str
        The file of relative factors that it was read from.
    segments : tuple of str
        The columns of `values`.
    variables : tuple of str
        Its rows, by their CMS names.
    values : np.ndarray, shape (len(segments) + 1, len(variables) + 1)
        Relative factors; the last row and column are 0, so that an index of -1 adds nothing.
    hccs : tuple of int
        The model's HCCs, in order: the columns of a matrix of members by HCCs.
    """

    model: str
    coefficients: str
    segments: tuple[str, ...]
    variables: tuple[str, ...]
    values: np.ndarray = field(repr=False)
    hccs: tuple[int, ...]
    labels: Mapping[int, str] = field(repr=False)
    drops: Mapping[int, tuple[int, ...]] = field(repr=False)
    interactions: tuple[Interaction, ...] = field(repr=False)
    edits: tuple[Edit, ...] = field(repr=False)
    counts: bool
    never: tuple[int, ...] = ()
    needs_other: Mapping[int, tuple[int, ...]] = field(default_factory=dict)

    def segment(self, name: str) -> int:
        """Return the index of a segment."""
        return self.segments.index(name)

    def variable(self, name: str) -> int:
        """Return the index of a variable, or -1 where the model has none of that name."""
        return self.variables.index(name) if name in self.variables else -1

    def lookup(self, names: list[str]) -> np.ndarray:
        """Return the index of each variable in `names`, -1 for one that the model does not have."""
        place = {name: index for index, name in enumerate(self.variables)}
        return np.array([place.get(name, -1) for name in names], dtype=np.int16)

    def flat(self, name: str) -> float:
        """Return a factor that belongs to no one segment."""
        return float(self.values[self.segments.index(ANY), self.variables.index(name)])

    @property
    def prefix(self) -> str:
        """What the model calls its categories: HCC or RXHCC."""
        return "RXHCC" if self.model.startswith("Rx") else "HCC"


def model_name(name: str) -> str:
    """Return the name of a model as in `MODELS`.

    Raises
    ------
    SpecError
        For an unknown model, naming the nearest.
    """
    plain = name.replace(" Model", "").strip()
    if plain not in MODELS:
        raise SpecError(f"unknown risk adjustment model {name!r}. {did_you_mean(plain, MODELS)}")
    return plain


@cache
def load_tables(model: str, coefficients: str) -> ModelTables:
    """Read the tables of a model.

    Parameters
    ----------
    model : str
        One of `MODELS`.
    coefficients : str
        The file of relative factors, such as ``"cms_hcc_v28"``: RxHCC has one for each payment year.
    """
    rows = list(csv.reader(_text(f"{coefficients}.csv").splitlines()))
    segments, variables = tuple(rows[0][1:]), tuple(row[0] for row in rows[1:])
    values = np.zeros((len(segments) + 1, len(variables) + 1))
    values[:-1, :-1] = np.array([[float(cell or 0) for cell in row[1:]] for row in rows[1:]]).T
    categories = [row for row in csv.DictReader(_text("hccs.csv").splitlines()) if row["model"] == model]
    rules = tomllib.loads(_text("interactions.toml"))[model]
    groups = rules.get("groups", {})
    edits = [edit for edit in tomllib.loads(_text("edits.toml"))["edit"] if edit["model"] == model]
    return ModelTables(
        model,
        coefficients,
        segments,
        variables,
        values,
        hccs=tuple(int(row["hcc"]) for row in categories),
        labels={int(row["hcc"]): row["label"] for row in categories},
        drops={int(row["hcc"]): tuple(map(int, row["drops"].split())) for row in categories if row["drops"]},
        interactions=tuple(
            _interaction(name, terms, groups) for name, terms in rules["interactions"].items()
        ),
        edits=tuple(_edit(edit) for edit in edits),
        counts=rules["counts"],
        never=tuple(rules.get("never", ())),
        needs_other={int(hcc): tuple(others) for hcc, others in rules.get("needs_other", {}).items()},
    )


@cache
def load_diagnoses() -> pl.DataFrame:
    """Return the HCCs of each diagnosis code: model, code (no dot), hcc."""
    with resources.as_file(resources.files(__package__) / "data" / "diagnoses.parquet") as path:
        return pl.read_parquet(path).with_columns(pl.col("model").cast(pl.String))


def _text(name: str) -> str:
    return (resources.files(__package__) / "data" / name).read_text(encoding="utf-8")


def _interaction(name: str, terms: list[str | int], groups: Mapping[str, list[int]]) -> Interaction:
    states = tuple(str(term) for term in terms if term in ("DISABLED", "NONAGED"))
    rest = [term for term in terms if term not in states]
    return Interaction(
        name, tuple(tuple(groups[term]) if isinstance(term, str) else (term,) for term in rest), states
    )


def _edit(edit: Mapping[str, Any]) -> Edit:
    return Edit(
        edit["kind"],
        tuple(edit["codes"].split()),
        edit["hcc"],
        edit.get("sex"),
        edit.get("age_to"),
        edit.get("age_from"),
    )
