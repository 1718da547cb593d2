"""How likely an ED visit is to have needed an emergency department, by its diagnosis."""

import polars as pl

from riskmodels.terminology.grouper import Grouper, load_grouper

__all__ = ["ED_CLASSES", "ed_classification", "ed_probabilities"]

# In the order of the algorithm: from what needs no ED to what it does not judge.
ED_CLASSES = (
    "non_emergent",
    "primary_care_treatable",
    "preventable",
    "not_preventable",
    "injury",
    "psychiatric",
    "alcohol",
    "drug",
)


def ed_classification() -> Grouper:
    """Return the NYU/Johnston classification: a group for each set of probabilities, its weights."""
    return load_grouper("ed")


def ed_probabilities(code_system: pl.Series, code: pl.Series) -> pl.DataFrame:
    """Find how likely a visit with each diagnosis is of each class.

    Parameters
    ----------
    code_system, code : Series of str, same length
        The principal diagnosis of each visit.

    Returns
    -------
    DataFrame of `ED_CLASSES` (Float64) and unclassified (Float64)
        One row per diagnosis; each adds up to 1.

    Source: NYU ED algorithm (Billings 2000), patched by Johnston et al., Health Serv Res 2017;52:1870-90.
    """
    grouper = ed_classification()
    assigned = grouper.assign(code_system, code)
    table = pl.DataFrame(
        {
            "group": range(len(grouper.groups)),
            **{name: [grouper.weights[name][group] for group in grouper.groups] for name in ED_CLASSES},
        },
        schema_overrides={"group": pl.Int32},
    )
    rows = pl.DataFrame({"row": pl.int_range(len(code), dtype=pl.UInt32, eager=True)})
    found = rows.join(assigned, on="row", how="left", maintain_order="left").join(
        table, on="group", how="left", maintain_order="left"
    )
    return found.select(
        pl.col(*ED_CLASSES).fill_null(0.0), unclassified=pl.col("group").is_null().cast(pl.Float64)
    )
