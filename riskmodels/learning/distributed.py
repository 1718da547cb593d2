"""Fit a `RiskModel` on a Dask cluster, from a features file larger than the memory of one machine.

The patients are drawn into the same parts as by `RiskModel.fit`, by the same functions, and the encoders hold
the same rates: these need outcomes, patients and counts alone, which this process has. The trees are grown
by LightGBM's data-parallel learner (Meng et al. 2016, A Communication-Efficient Parallel Algorithm for
Decision Tree, and LightGBM's Parallel Learning Guide): each worker makes histograms of the rows it holds,
and these are added up.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from riskmodels.learning.dask_cluster import open_cluster
from riskmodels.learning.dask_fitting import ClusterFitter, plan_encoder
from riskmodels.learning.dask_parts import Columns, Part
from riskmodels.learning.dask_rows import Rows, read_rows
from riskmodels.learning.fitting import check_parameters, fit_patients
from riskmodels.learning.frames import FitError
from riskmodels.learning.inputs import read_outcomes
from riskmodels.learning.risk_model import RiskModel

if TYPE_CHECKING:
    from riskmodels.features import FeatureColumn

__all__ = ["fit_on_cluster", "predict_on_cluster"]

logger = logging.getLogger(__name__)


def fit_on_cluster(
    model: RiskModel,
    client: Any,
    path: str | Path,
    columns: "Sequence[FeatureColumn]",
    *,
    sparse_columns: "Sequence[FeatureColumn]" = (),
    use: np.ndarray | None = None,
    label: str = "label",
    patient: str = "person_id",
) -> RiskModel:
    """Fit a model on the rows of a features file; each worker of the cluster reads and keeps a part of them.

    Parameters
    ----------
    model : RiskModel
        Its parameters; it is fitted and returned.
    client : str or distributed.Client
        The address of the Dask scheduler, or a client of it.
    path : path
        What `riskmodels features` wrote, under a path that all workers can read. The rows of a patient stand
        together.
    columns, sparse_columns : sequence of FeatureColumn
        The features of the table, and the sparse ones: see `riskmodels.features.describe_features`.
    use : ndarray of bool (n,), optional
        The rows to learn from. Default: all.
    label, patient : str
        The columns that hold the outcome, 0 or 1, and whose row it is.

    Returns
    -------
    RiskModel
        Like one that was fitted here on the feature frame of these rows: it scores, explains and is saved
        anywhere. The same rows, seed and number of workers give the same model.

    Raises
    ------
    SpecError
        Dask is missing, no scheduler answers, there are no workers or fewer patients than workers.
    FitError
        The outcomes are not enough to learn from.
    RiskModelsError
        A worker was lost, or cannot read the file.
    """
    check_parameters(model)
    if not columns:
        raise FitError("there is no column but sparse ones", file=path, fix="add one, such as age")
    read = Columns(tuple(column.name for column in columns), tuple(sparse_columns), label)
    with open_cluster(client) as cluster:
        cluster.check_file(Path(path).absolute())
        rows = read_rows(Path(path), read, patient, use, len(cluster.workers))
        outcomes = read_outcomes(model, rows.y.astype(np.int8), rows.patients, columns, sparse_columns)
        logger.info("%d rows on %d workers", len(rows.y), len(cluster.workers))
        encoder = plan_encoder(cluster, rows, model, columns)
        fitted = fit_patients(model, ClusterFitter(cluster, rows, model, encoder, read))
        model.n_workers_ = len(cluster.workers)
        first = Part(rows.parts[0].path, 0, 1)
        return model._take(fitted, outcomes, first.read(read.names), first.read_sparse(read.sparse))


def predict_on_cluster(
    model: RiskModel,
    client: Any,
    path: str | Path,
    use: np.ndarray,
    *,
    sparse_columns: "Sequence[FeatureColumn]" = (),
    label: str = "label",
) -> np.ndarray:
    """Return the calibrated risks of some rows of a features file, in their order.

    Parameters
    ----------
    model : RiskModel
        Fitted.
    client, path, sparse_columns, label
        As `fit_on_cluster` takes them.
    use : ndarray of bool (n,)
        The rows.
    """
    read = Columns(tuple(model.encoder_.names), tuple(sparse_columns), label)
    chosen = np.asarray(use, dtype=bool)
    with open_cluster(client) as cluster:
        n = len(cluster.workers)
        bounds = np.linspace(0, len(chosen), n + 1).astype(int)
        parts = [Part(Path(path).absolute(), int(bounds[i]), int(bounds[i + 1])) for i in range(n)]
        rows = Rows(np.empty(0), np.empty(0), parts, chosen)
        fitter = ClusterFitter(cluster, rows, model, model.encoder_, read)
        everyone = np.ones(int(chosen.sum()), dtype=bool)
        return model.calibrator_.apply(fitter.margins(model.encoder_, model.boosters_, everyone))
