"""CMS hierarchical condition categories as groupers."""

from functools import lru_cache
from importlib.resources import files

import polars as pl

from riskmodels.errors import SpecError, did_you_mean
from riskmodels.terminology.grouper import Grouper

__all__ = ["hcc"]

MODELS = {
    "V24": "CMS-HCC V24",
    "V28": "CMS-HCC V28",
    "ESRD V24": "CMS-HCC ESRD V24",
    "RxHCC V08": "RxHCC V08",
}


@lru_cache(maxsize=len(MODELS))
def hcc(version: str = "V28") -> Grouper:
    """Return the condition categories of a CMS risk adjustment model.

    A group's name is its number, ``"85"``; `outranks` has the hierarchy. Age and sex edits, interactions and
    coefficients are with the scores: `riskmodels.benchmarks.hcc`, whose tables these are.

    Parameters
    ----------
    version : {'V24', 'V28', 'ESRD V24', 'RxHCC V08'}
        The model.

    Raises
    ------
    SpecError
        Where there is no such model.
    """
    if version not in MODELS:
        raise SpecError(f"There is no HCC model {version!r}. {did_you_mean(version, MODELS)}")
    # The file, not the room: terminology imports from none.
    folder = files("riskmodels") / "benchmarks" / "hcc" / "data"
    model = MODELS[version]
    with (folder / "hccs.csv").open("rb") as file:
        labels = pl.read_csv(file, schema_overrides={"hcc": pl.Int16, "drops": pl.String})
    with (folder / "diagnoses.parquet").open("rb") as file:
        codes = pl.read_parquet(file)
    labels = labels.filter(pl.col("model") == model)
    codes = codes.filter(pl.col("model").cast(pl.String) == model)
    numbers = {number: place for place, number in enumerate(labels["hcc"])}
    names = {number: str(number) for number in numbers}
    return Grouper(
        name=f"hcc {version}",
        version=f"{model}, ICD-10-CM mappings of payment year 2026",
        source="CMS risk adjustment software and mappings; see riskmodels/benchmarks/hcc/data/README.md",
        licence="Public domain (US government)",
        groups=tuple(names.values()),
        labels={
            names[number]: f"{label} (HCC {number})"
            for number, label in labels.select("hcc", "label").iter_rows()
        },
        prefixes=tuple(
            ("ICD10CM", code, numbers[number]) for code, number in codes.select("code", "hcc").iter_rows()
        ),
        outranks={
            names[number]: tuple(names[int(low)] for low in drops.split() if int(low) in names)
            for number, drops in labels.select("hcc", "drops").iter_rows()
            if drops
        },
    )
