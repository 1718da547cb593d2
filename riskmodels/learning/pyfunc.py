"""What MLflow loads: ``mlflow.pyfunc.load_model`` imports this module and calls `_load_pyfunc`."""

from typing import TYPE_CHECKING, Any

from riskmodels.learning.bundle_folder import Bundle, load_bundle

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PyfuncModel"]


class PyfuncModel:
    """A model bundle with MLflow's predict."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> "pd.DataFrame":
        """Return ``risk`` and ``risk_band`` of each row of features, or ``expected_cost``.

        Columns may come in any order; a missing column, or one that the contract does not know, is refused.
        """
        import pandas as pd

        index = getattr(model_input, "index", None)
        return pd.DataFrame(self.bundle.output(model_input), index=index, copy=False)


def _load_pyfunc(data_path: str) -> PyfuncModel:
    """Load the bundle that MLflow keeps with the model."""
    return PyfuncModel(load_bundle(data_path))
