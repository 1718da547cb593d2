"""Write golden.csv: made-up members of every model with the raw scores that two other packages give them.

usage: make_golden.py FILE    (needs hccinfhir 0.4.0 and risk-adjustment-model 0.7.1; Python 3.12 or later)

Codes that the two map differently (other vintages of the CMS tables) are left out.
"""

import sys
from pathlib import Path

import numpy as np
import polars as pl
from hcc_oracle import arbitrary, hccinfhir_scores, random_members, reference_scores, shared

from riskmodels.benchmarks.hcc import MODELS

MEMBERS = 150
SEED = 2026


def golden(model: str) -> pl.DataFrame:
    """Return the members of one model, their codes in one column, and both scores."""
    members, diagnoses = random_members(model, MEMBERS, SEED)
    diagnoses = shared(diagnoses, model)
    if model == "CMS-HCC V28":
        members = members.filter(~arbitrary(members, diagnoses))
        diagnoses = diagnoses.filter(pl.col("person_id").is_in(members["person_id"].implode()))
    codes = diagnoses.group_by("person_id").agg(pl.col("code").str.join("|"))
    scored = members.with_columns(
        pl.Series("hccinfhir", np.round(hccinfhir_scores(members, diagnoses, model), 3)),
        pl.Series("reference", np.round(reference_scores(members, diagnoses, model), 3)).fill_nan(None),
    )
    flags = ["institutional", "new_enrollee", "snp", "low_income"]
    return scored.join(codes, on="person_id", how="left", maintain_order="left").select(
        pl.lit(model).alias("model"), pl.all().exclude(flags), pl.col(flags).cast(pl.Int8)
    )


if __name__ == "__main__":
    pl.concat([golden(model) for model in MODELS]).write_csv(Path(sys.argv[1]))
