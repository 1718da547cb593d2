"""CMS-HCC risk scores: V24, V28, ESRD V24 and RxHCC V08, for a million members in seconds."""

from riskmodels.benchmarks.hcc.eligible import read_eligible_codes
from riskmodels.benchmarks.hcc.factors import Factor, blend_shares, factor
from riskmodels.benchmarks.hcc.histories import HistoryScores, score_history
from riskmodels.benchmarks.hcc.scores import HccScores, blended_hcc_scores, hcc_scores
from riskmodels.benchmarks.hcc.tables import MODELS

__all__ = [
    "MODELS",
    "Factor",
    "HccScores",
    "HistoryScores",
    "blend_shares",
    "blended_hcc_scores",
    "factor",
    "hcc_scores",
    "read_eligible_codes",
    "score_history",
]
