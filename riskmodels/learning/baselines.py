"""What a boosted model must beat: a regularised logistic regression on the same columns and rows."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
import polars as pl
from scipy import sparse
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from riskmodels.learning.encoding import TableEncoder
from riskmodels.learning.frames import ColumnLike
from riskmodels.learning.inputs import read_features, read_training
from riskmodels.learning.tuning import split_patients

__all__ = ["LogisticBaseline"]

STRENGTHS = (0.001, 0.01, 0.1, 1.0)


class LogisticBaseline(ClassifierMixin, BaseEstimator):
    """Logistic regression with an L2 penalty, one-hot categories and missing indicators.

    Numbers are standardised, missing ones set to the mean with an indicator beside them; categories become
    one column a level, with levels frozen at fit and rare ones pooled.

    Parameters
    ----------
    C : float or "auto"
        Inverse strength of the penalty on standardised columns; "auto" takes that of 0.001, 0.01, 0.1 and 1
        which has the least log loss on a fifth of the patients held out.
    min_level_count : int
        Levels of fewer training rows share one column with the levels that are unknown.
    max_iter : int
        Steps of the solver.
    random_state : int or None
        Seed of the split that chooses C.

    Attributes
    ----------
    classes_, feature_names_in_, n_features_in_, feature_roles_, categories_
        As in `RiskModel`.
    C_ : float
        The value in use.
    coef_ : ndarray (design columns,)
        In log-odds a standard deviation, or a level.
    intercept_ : float
        Log-odds where every design column is 0.
    n_iter_ : int
        Steps the solver took.
    """

    def __init__(
        self,
        *,
        C: float | Literal["auto"] = "auto",
        min_level_count: int = 20,
        max_iter: int = 500,
        random_state: int | None = 0,
    ) -> None:
        self.C = C
        self.min_level_count = min_level_count
        self.max_iter = max_iter
        self.random_state = random_state

    def fit(
        self,
        X: Any,
        y: Any,
        groups: Any = None,
        sample_weight: Any = None,
        columns: Sequence[ColumnLike] | None = None,
    ) -> "LogisticBaseline":
        """Fit the coefficients; parameters as in `RiskModel.fit`."""
        from sklearn.linear_model import LogisticRegression

        table = read_training(self, X, y, groups, sample_weight, columns)
        self.feature_roles_ = table.roles
        self.encoder_ = TableEncoder.plan(table.frame, categories="native", columns=columns)
        self.categories_ = dict(self.encoder_.levels)
        codes = self.encoder_.codes(table.frame)
        self._learn_design(codes)
        design, self.source_ = self._design(codes)

        def solve(C: float, rows: np.ndarray) -> Any:
            solver = LogisticRegression(C=C, max_iter=self.max_iter)
            return solver.fit(design[rows], table.y[rows], sample_weight=table.weight[rows])

        self.C_ = self.C if self.C != "auto" else self._choose(solve, design, table)
        fitted = solve(self.C_, np.arange(len(table.y)))
        self.coef_ = fitted.coef_[0]
        self.n_iter_ = int(fitted.n_iter_[0])
        self.intercept_ = float(fitted.intercept_[0])
        self.design_mean_ = np.asarray(design.mean(axis=0)).ravel()
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return probabilities (n, 2) of no outcome and of the outcome."""
        risk = expit(self.predict_raw(X))
        return np.column_stack([1 - risk, risk])

    def predict(self, X: Any) -> np.ndarray:
        """Return the likelier class (n,)."""
        likelier = (self.predict_raw(X) > 0).astype(np.int64)
        return self.classes_[likelier]

    def predict_raw(self, X: Any) -> np.ndarray:
        """Return the log-odds (n,)."""
        frame = read_features(self, X)
        design, _ = self._design(self.encoder_.codes(frame))
        return design @ self.coef_ + self.intercept_

    def explain(self, X: Any) -> pd.DataFrame:
        """Return SHAP values of the linear model, coefficient times distance from the mean, by column."""
        frame: pl.DataFrame = read_features(self, X)
        design, _ = self._design(self.encoder_.codes(frame))
        values = (design.multiply(self.coef_)).tocsr() @ self._gather()
        values = values.toarray() - (self.design_mean_ * self.coef_) @ self._gather()
        index = X.index if isinstance(X, pd.DataFrame) else None
        return pd.DataFrame(values, columns=self.encoder_.names, index=index)

    @property
    def expected_value(self) -> float:
        """Log-odds of the average training row: what the values of `explain` start from."""
        check_is_fitted(self)
        return float(self.intercept_ + self.design_mean_ @ self.coef_)

    def unseen(self, X: Any) -> dict[str, dict[str, int]]:
        """Return levels that were not there at fit, with the number of rows that have them, by column."""
        frame = read_features(self, X)
        return self.encoder_.unseen(frame)

    def _choose(self, solve: Any, design: sparse.csr_array, table: Any) -> float:
        seed = int(np.random.default_rng(self.random_state).integers(2**31 - 1))
        held_out = split_patients(table.y, table.patients, {"fit": 0.8, "judge": 0.2}, seed) == "judge"
        losses = []
        for C in STRENGTHS:
            fitted = solve(C, np.flatnonzero(~held_out))
            margin = design[held_out] @ fitted.coef_[0] + fitted.intercept_[0]
            loss = np.logaddexp(0.0, margin) - table.y[held_out] * margin
            losses.append(float(np.average(loss, weights=table.weight[held_out])))
        return STRENGTHS[int(np.argmin(losses))]

    def _learn_design(self, codes: np.ndarray) -> None:
        """Note means, spreads, which numbers were missing, and which levels have their own column."""
        self.mean_, self.scale_, self.missing_, self.kept_ = {}, {}, {}, {}
        for i, name in enumerate(self.encoder_.names):
            column = codes[:, i]
            if name in self.encoder_.levels:
                counts = np.bincount(
                    column[column >= 0].astype(np.int64), minlength=len(self.encoder_.levels[name])
                )
                self.kept_[name] = np.flatnonzero(counts >= self.min_level_count)
                continue
            finite = column[np.isfinite(column)]
            self.mean_[name] = float(finite.mean()) if len(finite) else 0.0
            spread = float(finite.std()) if len(finite) else 0.0
            self.scale_[name] = spread if spread > 0 else 1.0
            self.missing_[name] = bool(np.isnan(column).any())

    def _design(self, codes: np.ndarray) -> tuple[sparse.csr_array, np.ndarray]:
        """Return the design matrix (n, design columns), and which column each of its columns comes from."""
        blocks: list[Any] = []
        source: list[int] = []
        for i, name in enumerate(self.encoder_.names):
            column = codes[:, i]
            if name in self.kept_:
                kept = self.kept_[name]
                place = np.full(len(self.encoder_.levels[name]) + 1, len(kept) + 1)
                place[:-1] = len(kept)  # rare
                place[kept] = np.arange(len(kept))
                known = np.where(column >= 0, column, -1)
                at = np.where(np.isnan(column), len(kept) + 1, place[known.astype(np.int64)])
                at = np.where(column == -1, len(kept), at)  # not seen: with the rare
                width = len(kept) + 2
                blocks.append(
                    sparse.csr_array((np.ones(len(at)), (np.arange(len(at)), at)), shape=(len(column), width))
                )
                source += [i] * width
                continue
            value = np.where(np.isfinite(column), column - self.mean_[name], 0.0) / self.scale_[name]
            blocks.append(sparse.csr_array(value[:, None]))
            source.append(i)
            if self.missing_[name]:
                blocks.append(sparse.csr_array(np.isnan(column).astype(float)[:, None]))
                source.append(i)
        return sparse.csr_array(sparse.hstack(blocks, format="csr")), np.array(source)

    def _gather(self) -> sparse.csr_array:
        """Return the matrix (design columns, columns) that adds up what belongs to one column."""
        n = len(self.source_)
        shape = (n, len(self.encoder_.names))
        return sparse.csr_array((np.ones(n), (np.arange(n), self.source_)), shape=shape)

    def __sklearn_is_fitted__(self) -> bool:
        """Tell whether the model can predict."""
        return hasattr(self, "coef_")

    def __sklearn_tags__(self) -> Any:
        """Return scikit-learn's tags: two classes, missing values allowed."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.classifier_tags.multi_class = False
        return tags
