"""What MLflow loads: ``mlflow.pyfunc.load_model`` imports this module and calls `_load_pyfunc`."""

from typing import TYPE_CHECKING, Any

from riskmodels.learning.bundle import ModelBundle

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PyfuncModel"]


class PyfuncModel:
    """A model bundle with MLflow's predict."""

    def __init__(self, bundle: ModelBundle) -> None:
        self.bundle = bundle

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> "pd.DataFrame":
        """Return ``risk`` and ``risk_band`` for each row of features.

        Columns may come in any order; a missing column, or one that the contract does not know, is refused.
        """
        import pandas as pd

        risk = self.bundle.predict(model_input)
        band = self.bundle.bands.assign(risk).to_list()
        return pd.DataFrame(
            {"risk": risk, "risk_band": band}, index=getattr(model_input, "index", None), copy=False
        )


def _load_pyfunc(data_path: str) -> PyfuncModel:
    """Load the bundle that MLflow keeps with the model."""
    return PyfuncModel(ModelBundle.load(data_path))
