"""Columns as numbers a booster can use, the same at scoring as at fit.

Three encodings: a number stays as it is; a category of few levels becomes a code that LightGBM splits
natively; a category of many levels (diagnosis, DRG) becomes the smoothed outcome rate of its level. Levels
are frozen at fit and kept by name, so it does not matter how a frame numbers its categories.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import polars as pl

from riskmodels.errors import SpecError, did_you_mean
from riskmodels.learning.frames import ColumnLike, FitError, as_category, as_number, is_category
from riskmodels.learning.tuning import patient_folds

__all__ = ["ENCODINGS", "Encoding", "TableEncoder", "TargetStatistic", "fit_target_statistic"]

Encoding = Literal["number", "native", "target"]
ENCODINGS = ("native", "target")
CATEGORY_CHOICES = ("auto", *ENCODINGS)
INNER_FOLDS = 5


@dataclass(frozen=True)
class TargetStatistic:
    """The smoothed outcome rate of each level of one category.

    Attributes
    ----------
    rates : tuple of float
        One rate a level, in the order of the frozen levels.
    missing : float
        Rate where the value is missing.
    prior : float
        Rate over all rows; a level not seen in training gets it.
    """

    rates: tuple[float, ...]
    missing: float
    prior: float

    def apply(self, codes: np.ndarray) -> np.ndarray:
        """Return the rate of each code; NaN means missing, -1 a level that was not seen."""
        table = np.array([*self.rates, self.missing, self.prior])
        place = np.where(np.isnan(codes), len(self.rates), np.where(codes < 0, len(self.rates) + 1, codes))
        return table[place.astype(np.int64)]


def fit_target_statistic(
    codes: np.ndarray,
    n_levels: int,
    y: np.ndarray,
    weight: np.ndarray,
    smoothing: float | Literal["auto"] = "auto",
) -> TargetStatistic:
    """Return outcome rates of levels, drawn towards the overall rate as far as a level is small.

    A level of n rows and outcome rate r gets (n r + m p) / (n + m), p the overall rate (Micci-Barreca 2001).
    With `smoothing="auto"` m = p (1 - p) / tau2, where tau2 is the variance of the true rates between levels,
    estimated by moments (DerSimonian and Laird 1986): the empirical Bayes estimate.

    Parameters
    ----------
    codes : ndarray (n,)
        Level numbers as floats; NaN where missing (missing is a level of its own).
    n_levels : int
        How many levels there are.
    y, weight : ndarray (n,)
        Outcomes 0 or 1, and weights.
    smoothing : float or "auto"
        m, in rows.
    """
    place = np.where(np.isnan(codes), n_levels, codes).astype(np.int64)
    n = np.bincount(place, weights=weight, minlength=n_levels + 1)
    positive = np.bincount(place, weights=weight * y, minlength=n_levels + 1)
    total = n.sum()
    prior = float(positive.sum() / total)
    seen = n > 0
    if smoothing == "auto":
        within = prior * (1 - prior)
        between = float((n[seen] * (positive[seen] / n[seen] - prior) ** 2).sum()) - (seen.sum() - 1) * within
        room = float(total - (n**2).sum() / total)
        m = within * room / between if between > 0 and room > 0 else np.inf
    else:
        m = float(smoothing)
    if np.isinf(m):
        rates = np.full(n_levels + 1, prior)
    else:
        with np.errstate(invalid="ignore"):
            rates = np.where(n + m > 0, (positive + m * prior) / (n + m), prior)
    return TargetStatistic(tuple(rates[:-1].tolist()), float(rates[-1]), prior)


@dataclass
class TableEncoder:
    """Turns a frame into the matrix a booster sees, one column in, one column out.

    Attributes
    ----------
    encodings : dict of str to {"number", "native", "target"}
        The columns, in order.
    levels : dict of str to tuple of str
        Frozen levels of the categories.
    smoothing : float or "auto"
        See `fit_target_statistic`.
    statistics : dict of str to TargetStatistic
        Of the target-encoded columns, once fitted.
    """

    encodings: dict[str, Encoding]
    levels: dict[str, tuple[str, ...]]
    smoothing: float | Literal["auto"] = "auto"
    statistics: dict[str, TargetStatistic] = field(default_factory=dict)

    @classmethod
    def plan(
        cls,
        frame: pl.DataFrame,
        *,
        categories: str | Mapping[str, str] = "auto",
        max_native_levels: int = 10,
        smoothing: float | Literal["auto"] = "auto",
        columns: Sequence[ColumnLike] | None = None,
    ) -> "TableEncoder":
        """Choose each column's encoding and freeze the levels of the categories, without looking at outcomes.

        Parameters
        ----------
        frame : pl.DataFrame
            All training rows.
        categories : {"auto", "native", "target"} or mapping
            How to encode categories; a mapping names single columns, the others are "auto": target encoding
            above `max_native_levels` levels. A number column named in the mapping becomes a category.
        columns : sequence of ColumnLike, optional
            What is known of the columns: kind, and levels of closed sets.
        """
        choice = dict(categories) if isinstance(categories, Mapping) else {}
        default = "auto" if isinstance(categories, Mapping) else categories
        for value in (default, *choice.values()):
            if value not in CATEGORY_CHOICES:
                raise SpecError(f"categories={value!r} is not known. {did_you_mean(value, CATEGORY_CHOICES)}")
        for name in choice:
            if name not in frame.columns:
                raise SpecError(f"categories names column {name!r}. {did_you_mean(name, frame.columns)}")
        known = {column.name: column for column in columns or ()}
        encodings: dict[str, Encoding] = {}
        levels: dict[str, tuple[str, ...]] = {}
        for column in frame.iter_columns():
            name = column.name
            spec = known.get(name)
            declared = spec is not None and spec.kind == "category"
            if not (declared or name in choice or is_category(column)):
                encodings[name] = "number"
                continue
            values = as_category(column)
            found = values.drop_nulls().unique().sort().to_list()
            closed = spec.levels if spec is not None else None
            if closed is not None and (strange := sorted(set(found) - set(closed))):
                raise FitError(
                    f"{strange[0]!r} is not one of its {len(closed)} levels",
                    column=name,
                    fix="correct the value, or add it to the levels of the feature",
                )
            levels[name] = tuple(closed if closed is not None else found)
            wanted = choice.get(name, default)
            if wanted == "auto":
                wanted = "target" if len(levels[name]) > max_native_levels else "native"
            encodings[name] = "target" if wanted == "target" else "native"
        return cls(encodings, levels, smoothing)

    @property
    def names(self) -> list[str]:
        """Names of the columns, in order."""
        return list(self.encodings)

    def of(self, encoding: Encoding) -> list[int]:
        """Return the positions of the columns that are encoded so."""
        return [i for i, found in enumerate(self.encodings.values()) if found == encoding]

    def codes(self, frame: pl.DataFrame) -> np.ndarray:
        """Return float64 (n, columns): categories as level numbers, NaN missing, -1 not seen at fit."""
        matrix = np.empty((frame.height, len(self.encodings)), order="F")
        for i, name in enumerate(self.encodings):
            if name not in self.levels:
                matrix[:, i] = as_number(frame[name])
                continue
            text = as_category(frame[name])
            code = _level_numbers(text, self.levels[name])
            matrix[:, i] = code
            matrix[text.is_not_null().to_numpy() & np.isnan(code), i] = -1.0
        return matrix

    def unseen(self, frame: pl.DataFrame) -> dict[str, dict[str, int]]:
        """Return levels that were not there at fit, with the number of rows that have them, by column."""
        found: dict[str, dict[str, int]] = {}
        for name, levels in self.levels.items():
            text = as_category(frame[name])
            strange = text.filter(
                text.is_not_null() & ~text.is_in(pl.Series(levels, dtype=pl.String).implode())
            )
            if len(strange):
                counts = strange.value_counts().sort(strange.name)
                found[name] = dict(zip(counts[name].to_list(), counts["count"].to_list(), strict=True))
        return found

    def fit(self, codes: np.ndarray, y: np.ndarray, weight: np.ndarray) -> "TableEncoder":
        """Return an encoder with outcome rates from these rows."""
        names = self.names
        statistics = {
            names[i]: fit_target_statistic(codes[:, i], len(self.levels[names[i]]), y, weight, self.smoothing)
            for i in self.of("target")
        }
        return TableEncoder(self.encodings, self.levels, self.smoothing, statistics)

    def transform(self, codes: np.ndarray) -> np.ndarray:
        """Return the matrix a booster sees, float64 (n, columns), for rows the rates do not come from."""
        matrix = codes.copy(order="F")
        names = self.names
        for i in self.of("target"):
            matrix[:, i] = self.statistics[names[i]].apply(codes[:, i])
        for i in self.of("native"):
            matrix[codes[:, i] < 0, i] = np.nan
        return matrix

    def cross_transform(
        self, codes: np.ndarray, y: np.ndarray, weight: np.ndarray, patients: np.ndarray, seed: int
    ) -> np.ndarray:
        """Return the matrix of the training rows: each row's rates come from other folds of patients.

        A booster that saw a row's own outcome in its encoding would trust the encoding too much.
        """
        with_outcome = len(np.unique(patients[y > 0]))
        k = min(INNER_FOLDS, with_outcome, len(np.unique(patients)) - with_outcome)
        if k < 2 or not self.of("target"):
            return self.transform(codes)
        folds = patient_folds(y, patients, k, seed)
        matrix = np.empty_like(codes, order="F")
        for fold in range(k):
            inside = folds == fold
            others = self.fit(codes[~inside], y[~inside], weight[~inside])
            matrix[inside] = others.transform(codes[inside])
        return matrix

    def to_dict(self) -> dict[str, Any]:
        """Return the encoder as JSON content."""
        return {
            "smoothing": self.smoothing,
            "columns": [
                {
                    "name": name,
                    "encoding": encoding,
                    **({"levels": list(self.levels[name])} if name in self.levels else {}),
                    **(
                        {
                            "rates": list(self.statistics[name].rates),
                            "missing": self.statistics[name].missing,
                            "prior": self.statistics[name].prior,
                        }
                        if name in self.statistics
                        else {}
                    ),
                }
                for name, encoding in self.encodings.items()
            ],
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "TableEncoder":
        """Return the encoder that `to_dict` described."""
        columns = content["columns"]
        return cls(
            {column["name"]: column["encoding"] for column in columns},
            {column["name"]: tuple(column["levels"]) for column in columns if "levels" in column},
            content["smoothing"],
            {
                column["name"]: TargetStatistic(tuple(column["rates"]), column["missing"], column["prior"])
                for column in columns
                if "rates" in column
            },
        )


def _level_numbers(text: pl.Series, levels: Sequence[str]) -> np.ndarray:
    """Return the position of each value in `levels` as floats, NaN where it is in none."""
    if not levels:
        return np.full(len(text), np.nan)
    return text.cast(pl.Enum(levels), strict=False).to_physical().cast(pl.Float64).to_numpy()
