"""CostModel: expected cost from gradient-boosted trees, as one Tweedie model or in two parts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from riskmodels.errors import SpecError, did_you_mean
from riskmodels.learning.boosting import Rows, contributions, margins, train_booster
from riskmodels.learning.cost_inputs import mean_of, part_of, patient_numbers, read_costs
from riskmodels.learning.encoding import TableEncoder
from riskmodels.learning.frames import ColumnLike
from riskmodels.learning.inputs import read_features

__all__ = ["METHODS", "CostModel"]

METHODS = {
    "tweedie": {"all": "tweedie"},
    "two-part": {"any": "binary", "amount": "gamma"},
    "squared": {"all": "regression"},
}
"""The boosters of each method: what part of the cost, and LightGBM's objective."""
OBJECTIVES = {"tweedie": "tweedie", "binary": "binary_logloss", "gamma": "gamma_deviance", "regression": "l2"}


class CostModel(RegressorMixin, BaseEstimator):
    """Expected cost, in dollars a unit of exposure, for persons of whom many cost nothing and a few much.

    Folds of patients rotate: each chooses once how many rounds the trees of the others need and is predicted
    by them. The delivered trees are fitted on all patients with the mean number of rounds, and scaled so that
    the out-of-fold predictions add up to what was spent.

    Parameters
    ----------
    method : {"tweedie", "two-part", "squared"}
        ``tweedie``: one model with a compound Poisson-gamma deviance and a log link (Jorgensen and Paes De
        Souza 1994, Scand Actuarial J). ``two-part``: the probability of any cost times the gamma mean of what
        is spent then (Duan and others 1983, J Bus Econ Stat 1:115). ``squared``: least squares, as the
        CMS-HCC regressions are.
    variance_power : float
        Of Tweedie, between 1 (Poisson) and 2 (gamma).
    n_estimators, learning_rate, num_leaves, max_depth, min_child_samples, reg_lambda, subsample,
    colsample_bytree, early_stopping_rounds, lightgbm_params, num_threads
        As in `RiskModel`.
    folds : int
        Folds of patients, at least 2.
    random_state : int or None
        Seed of everything; the same seed and data give the same bytes.

    Attributes
    ----------
    feature_roles_ : dict of str to str
        ``"predict"`` or ``"adjust"`` for each column.
    best_iteration_ : dict of str to int
        Rounds of each part.
    factor_ : float
        What scales the trees' predictions.

    Examples
    --------
    >>> import numpy as np, polars as pl
    >>> rng = np.random.default_rng(0)
    >>> ill = rng.random(2000) < 0.3
    >>> cost = np.where(rng.random(2000) < 0.3, 0.0, rng.gamma(2.0, np.where(ill, 5000, 1000)))
    >>> model = CostModel().fit(pl.DataFrame({"ill": ill}), cost)
    >>> bool(model.predict(pl.DataFrame({"ill": [True]}))[0] > 4000)
    True
    """

    def __init__(
        self,
        *,
        method: Literal["tweedie", "two-part", "squared"] = "tweedie",
        variance_power: float = 1.5,
        n_estimators: int = 2000,
        learning_rate: float = 0.05,
        num_leaves: int = 16,
        max_depth: int = 5,
        min_child_samples: int = 60,
        reg_lambda: float = 10.0,
        subsample: float = 0.8,
        colsample_bytree: float = 0.5,
        early_stopping_rounds: int = 50,
        folds: int = 5,
        lightgbm_params: Mapping[str, Any] | None = None,
        random_state: int | None = 0,
        num_threads: int = 0,
    ) -> None:
        self.method = method
        self.variance_power = variance_power
        self.n_estimators = n_estimators
        self.learning_rate = learning_rate
        self.num_leaves = num_leaves
        self.max_depth = max_depth
        self.min_child_samples = min_child_samples
        self.reg_lambda = reg_lambda
        self.subsample = subsample
        self.colsample_bytree = colsample_bytree
        self.early_stopping_rounds = early_stopping_rounds
        self.folds = folds
        self.lightgbm_params = lightgbm_params
        self.random_state = random_state
        self.num_threads = num_threads

    def fit(
        self,
        X: Any,
        y: Any,
        groups: Any = None,
        sample_weight: Any = None,
        columns: Sequence[ColumnLike] | None = None,
    ) -> "CostModel":
        """Fit the trees.

        Parameters
        ----------
        X : pandas, Polars or Arrow table, or array of numbers (n, columns)
            Features; missing values are welcome.
        y : array-like (n,)
            Cost in dollars a unit of exposure, at least 0: a year's, annualised where less was observed.
        groups : array-like (n,), optional
            Whose row it is (patient ids).
        sample_weight : array-like (n,), optional
            Exposure, such as the observed share of the year.
        columns : sequence of FeatureColumn, optional
            Kinds, closed levels and roles of the columns of `X`.

        Raises
        ------
        FitError
            Costs are missing, negative, all 0, or do not fit the rows.
        SpecError
            A parameter is out of its range.
        """
        self._check()
        frame, cost, patients, weight = read_costs(self, X, y, groups, sample_weight)
        encoder = TableEncoder.plan(frame, categories="native", columns=columns)
        codes = encoder.codes(frame)
        matrix = encoder.transform(codes)
        self.encoder_ = encoder
        self.categories_ = dict(encoder.levels)
        roles = {column.name: column.role for column in columns or ()}
        self.feature_roles_ = {name: roles.get(name, "predict") for name in encoder.names}
        self.scale_ = float((cost * weight).sum() / weight.sum())
        scaled = cost / self.scale_
        fold = patient_numbers(patients, self.folds, self.random_state)
        self.boosters_: dict[str, Any] = {}
        self.best_iteration_: dict[str, int] = {}
        held_out = np.ones(len(cost))
        for part, objective in METHODS[self.method].items():
            label, rows = part_of(part, scaled)
            held_out *= self._fit_part(part, objective, matrix, label, weight, fold, rows)
        held_out = np.maximum(held_out, 0.0)
        self.factor_ = float((scaled * weight).sum() / (held_out * weight).sum())
        self.n_training_ = {"rows": len(cost), "patients": len(np.unique(patients))}
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Return the expected cost (n,) in dollars a unit of exposure."""
        check_is_fitted(self)
        matrix = self._matrix(X)
        product = np.ones(len(matrix))
        for part, objective in METHODS[self.method].items():
            product *= mean_of(objective, margins([self.boosters_[part]], matrix, self.num_threads))
        found: np.ndarray = self.scale_ * self.factor_ * np.maximum(product, 0.0)
        return found

    def explain(self, X: Any, part: str | None = None) -> pd.DataFrame:
        """Return SHAP values in log-dollars: what multiplies the cost (``squared``: dollars that add up).

        Parameters
        ----------
        part : {"all", "any", "amount"}, optional
            Of a two-part model ``"any"`` (log-odds of any cost) or ``"amount"`` (log-dollars, the default).
        """
        check_is_fitted(self)
        parts = METHODS[self.method]
        part = part or list(parts)[-1]
        if part not in parts:
            raise SpecError(f"a {self.method} model has no part {part!r}. {did_you_mean(part, list(parts))}")
        values = contributions([self.boosters_[part]], self._matrix(X), self.num_threads)[:, :-1]
        if parts[part] == "regression":
            values = values * self.scale_ * self.factor_
        index = X.index if isinstance(X, pd.DataFrame) else None
        return pd.DataFrame(values, columns=self.encoder_.names, index=index)

    def unseen(self, X: Any) -> dict[str, dict[str, int]]:
        """Return levels that were not there at fit, with the number of rows that have them, by column."""
        return self.encoder_.unseen(read_features(self, X))

    def save(self, folder: str | Path) -> None:
        """Write the model as a folder of text: boosters and cost_model.json, no pickle."""
        from riskmodels.learning.cost_storage import save_cost_model

        check_is_fitted(self)
        save_cost_model(self, Path(folder))

    @classmethod
    def load(cls, folder: str | Path) -> "CostModel":
        """Return the model that `save` wrote.

        Raises
        ------
        RegistryError
            If the folder is no cost model, was changed, or is of a version that this one cannot read.
        """
        from riskmodels.learning.cost_storage import load_cost_model

        return load_cost_model(cls, Path(folder))

    def _fit_part(
        self,
        part: str,
        objective: str,
        matrix: np.ndarray,
        label: np.ndarray,
        weight: np.ndarray,
        fold: np.ndarray,
        rows: np.ndarray,
    ) -> np.ndarray:
        """Fit one part's trees, and return the out-of-fold mean of all rows."""
        held_out = np.empty(len(label))
        chosen = []
        options = self._parameters(objective)
        names, native = self.encoder_.names, self.encoder_.of("native")

        def some(kept: np.ndarray) -> Rows:
            return Rows(matrix[kept], label[kept], weight[kept])

        for number in range(fold.max() + 1):
            inside = fold == number
            booster, rounds = train_booster(
                options, some(rows & ~inside), names, native,
                rounds=self.n_estimators, stop_on=some(rows & inside), patience=self.early_stopping_rounds,
            )  # fmt: skip
            chosen.append(rounds)
            held_out[inside] = mean_of(objective, margins([booster], matrix[inside], self.num_threads))
        self.best_iteration_[part] = max(1, round(float(np.mean(chosen))))
        self.boosters_[part], _ = train_booster(
            options, some(rows), names, native, rounds=self.best_iteration_[part]
        )
        return held_out

    def _parameters(self, objective: str) -> dict[str, Any]:
        options: dict[str, Any] = {
            "objective": objective,
            "metric": OBJECTIVES[objective],
            "learning_rate": self.learning_rate,
            "num_leaves": self.num_leaves,
            "max_depth": self.max_depth,
            "min_data_in_leaf": self.min_child_samples,
            "lambda_l2": self.reg_lambda,
            "bagging_fraction": self.subsample,
            "bagging_freq": 1 if self.subsample < 1 else 0,
            "feature_fraction": self.colsample_bytree,
            "feature_pre_filter": False,
            "seed": int(np.random.default_rng(self.random_state).integers(2**31 - 1)),
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": self.num_threads,
            "verbosity": -1,
        }
        if objective == "tweedie":
            options["tweedie_variance_power"] = self.variance_power
        return options | dict(self.lightgbm_params or {})

    def _check(self) -> None:
        if self.method not in METHODS:
            raise SpecError(
                f"method={self.method!r} is not known. {did_you_mean(self.method, list(METHODS))}"
            )
        if not 1 < self.variance_power < 2:
            raise SpecError(f"variance_power={self.variance_power!r} must be between 1 and 2")
        if self.folds < 2:
            raise SpecError(f"folds={self.folds!r}: at least 2, for fitting and stopping")
        if self.n_estimators < 1:
            raise SpecError(f"n_estimators={self.n_estimators!r} must be at least 1")

    def _matrix(self, X: Any) -> np.ndarray:
        return self.encoder_.transform(self.encoder_.codes(read_features(self, X)))

    def __sklearn_is_fitted__(self) -> bool:
        """Tell whether the model can predict."""
        return hasattr(self, "factor_")

    def __sklearn_tags__(self) -> Any:
        """Return scikit-learn's tags: missing values allowed, costs at least 0, most of them unexplained."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.target_tags.positive_only = True
        tags.regressor_tags.poor_score = True
        return tags
