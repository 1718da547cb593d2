"""The estimators behave as scikit-learn asks of a classifier, but for the listed exceptions."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from riskmodels.learning import LogisticBaseline, RiskModel

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

EXCEPTIONS = {
    "check_sample_weight_equivalence_on_dense_data": (
        "a weight is not a repeat: patients are split, and a repeated row would be another patient"
    ),
}


@parametrize_with_checks(
    [
        # Leaves of 60 rows, meant for thousands of patients, cannot fit the checks' handful of rows.
        RiskModel(
            min_child_samples=2, reg_lambda=0.0, learning_rate=0.2, colsample_bytree=1.0, num_threads=1
        ),
        LogisticBaseline(),
    ],
    expected_failed_checks=lambda estimator: EXCEPTIONS,
)
def test_a_scikit_learn_check_holds(estimator, check):
    check(estimator)
