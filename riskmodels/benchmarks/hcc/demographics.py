"""Which segment a member is in, and which demographic variables hold: CMS macros AGESEXV2 and V28T3M."""

from dataclasses import dataclass, field

import numpy as np
import polars as pl

from riskmodels.benchmarks.hcc.members import Members
from riskmodels.benchmarks.hcc.tables import ModelTables

__all__ = ["Demographics", "age_sex", "choose", "demographics", "originally_disabled", "settled"]

BANDS = (
    "0_34",
    "35_44",
    "45_54",
    "55_59",
    "60_64",
    "65_69",
    "70_74",
    "75_79",
    "80_84",
    "85_89",
    "90_94",
    "95_GT",
)
STARTS = (35, 45, 55, 60, 65, 70, 75, 80, 85, 90, 95)
NEW_BANDS = (*BANDS[:5], "65", "66", "67", "68", "69", *BANDS[6:])
NEW_STARTS = (35, 45, 55, 60, 65, 66, 67, 68, 69, 70, 75, 80, 85, 90, 95)
DIALYSIS_BANDS = (*BANDS[:9], "85_GT")
DIALYSIS_STARTS = STARTS[:9]


@dataclass(frozen=True)
class Demographics:
    """Segment and variables of each member.

    Parameters
    ----------
    segment : np.ndarray of int16
        Index in `ModelTables.segments`; -1 for a member in none.
    variables : list of np.ndarray of int16
        Each holds at most one variable a member, by its index in `ModelTables.variables`; -1 for none.
    flat : np.ndarray of float
        What no table of a segment holds: the factors of a transplant and of the months since.
    divisor : np.ndarray of float
        The actuarial adjustment of new enrollees with a functioning graft; 1 otherwise.
    names : pl.Series of str
        The segment's name, for the reader.
    """

    segment: np.ndarray
    variables: list[np.ndarray]
    flat: np.ndarray
    divisor: np.ndarray
    names: pl.Series = field(repr=False)


def demographics(members: Members, tables: ModelTables) -> Demographics:
    """Return segment and demographic variables of each member under a model."""
    if tables.model == "CMS-HCC ESRD V24":
        return _renal(members, tables)
    if tables.model == "RxHCC V08":
        return _drug(members, tables)
    return _community(members, tables)


def age_sex(
    members: Members,
    tables: ModelTables,
    *,
    bands: tuple[str, ...] = BANDS,
    starts: tuple[int, ...] = STARTS,
    stem: str = "",
    recode: bool = False,
) -> np.ndarray:
    """Return the variable of each member's sex and age band, such as ``F65_69``.

    Parameters
    ----------
    recode : bool
        Whether one aged 64 and entitled by age counts as 65, who will be when the months of the year are paid
        (new enrollees; AGESEXV2).
    """
    age = np.where((members.age == 64) & (members.orec == 0), 65, members.age) if recode else members.age
    band = np.searchsorted(np.array(starts), age, side="right")
    names = [f"{stem}{sex}{band}" for sex in "FM" for band in bands]
    return tables.lookup(names)[band + np.where(members.female, 0, len(bands))]


def choose(tables: ModelTables, names: list[str], which: np.ndarray) -> np.ndarray:
    """Return the variable `names[which]` of each member; -1 where `which` is -1."""
    found = np.append(tables.lookup(names), np.int16(-1))
    return found[which]


def _community(members: Members, tables: ModelTables) -> Demographics:
    """V24 and V28: community by dual status and age, institutional, new enrollee, new enrollee in a C-SNP."""
    names = ["CNA", "CND", "CPA", "CPD", "CFA", "CFD", "INS", "NE", "SNPNE"]
    dual = np.where(members.full_dual, 2, np.where(members.partial_dual, 1, 0))
    which = 2 * dual + ~members.aged
    which = np.where(members.institutional, 6, which)
    # A new enrollee has no year of diagnoses, so none of the models that use one.
    which = np.where(members.new_enrollee, np.where(members.snp, 8, 7), which)
    new = members.new_enrollee
    medicaid = members.full_dual | members.partial_dual
    variables = [np.where(new, -1, age_sex(members, tables))]
    for has_medicaid, first in ((False, "NMCAID"), (True, "MCAID")):
        for disabled, second in ((False, "NORIGDIS"), (True, "ORIGDIS")):
            holds = new & (medicaid == has_medicaid) & (members.originally_disabled == disabled)
            stem = f"{first}_{second}_NE"
            found = age_sex(members, tables, bands=NEW_BANDS, starts=NEW_STARTS, stem=stem, recode=True)
            variables.append(np.where(holds, found, -1))
    variables.append(originally_disabled(members, tables))
    variables.append(np.where(members.institutional & members.medicaid, tables.variable("LTIMCAID"), -1))
    variables.append(np.where(members.originally_disabled, tables.variable("ORIGDS"), -1))
    return settled(tables, names, which, variables, members)


def originally_disabled(members: Members, tables: ModelTables) -> np.ndarray:
    """Return the variable of those first entitled by disability, by sex."""
    names = ["OriginallyDisabled_Female", "OriginallyDisabled_Male"]
    return choose(tables, names, np.where(members.originally_disabled, (~members.female).astype(int), -1))


def _renal(members: Members, tables: ModelTables) -> Demographics:
    """ESRD V24: dialysis, transplant (months 1 to 3), functioning graft (from month 4); new enrollees."""
    months = members.graft_months
    names = ["DI", "DNE", "GNPA", "GNPN", "GFA", "GFN", "GI", "GNE", "transplant"]
    new = members.new_enrollee
    graft = 2 + 2 * members.full_dual + ~members.aged
    graft = np.where(members.institutional, 6, graft)
    graft = np.where(new, 7, graft)
    transplant = (months >= 1) & (months <= 3)
    which = np.where(months >= 4, graft, np.where(new, 1, 0))
    which = np.where(transplant, 8, which)
    sex_age = age_sex(members, tables)
    variables = [np.where(new | transplant, -1, sex_age)]
    for full, first in ((True, "FBD"), (False, "ND_PBD")):
        for disabled, second in ((False, "NORIGDIS"), (True, "ORIGDIS")):
            stem = f"{first}_{second}_NE"
            same = new & (members.full_dual == full)
            # In dialysis the originally disabled are told by the reason alone, at any age.
            found = age_sex(
                members, tables, bands=DIALYSIS_BANDS, starts=DIALYSIS_STARTS, stem=stem, recode=True
            )
            variables.append(np.where(same & (which == 1) & ((members.orec == 1) == disabled), found, -1))
            found = age_sex(members, tables, bands=NEW_BANDS, starts=NEW_STARTS, stem=stem, recode=True)
            variables.append(
                np.where(same & (which == 7) & (members.originally_disabled == disabled), found, -1)
            )
    variables.append(originally_disabled(members, tables))
    entitled = np.where(members.aged & (members.orec >= 2), (~members.female).astype(int), -1)
    variables.append(choose(tables, ["Originally_ESRD_Female", "Originally_ESRD_Male"], entitled))
    variables.append(
        choose(
            tables,
            ["LTI_Aged", "LTI_NonAged"],
            np.where(members.institutional, (~members.aged).astype(int), -1),
        )
    )
    cells = [f"{sex}_{age}" for sex in ("Female", "Male") for age in ("Aged", "NonAged")]
    cell = 2 * ~members.female + ~members.aged
    variables.append(
        choose(tables, [f"FBDual_{name}" for name in cells], np.where(members.full_dual, cell, -1))
    )
    variables.append(
        choose(tables, [f"PBDual_{name}" for name in cells], np.where(members.partial_dual, cell, -1))
    )
    variables.append(np.where(members.originally_disabled, tables.variable("ORIGDS"), -1))
    flat, divisor = _graft_bonus(members, tables, which)
    one, two, three = (tables.flat(f"TRANSPLANT_KIDNEY_ONLY_{month}M") for month in (1, 2, 3))
    flat = np.where(transplant, np.array([0.0, one, two, three])[np.where(transplant, months, 0)], flat)
    return settled(tables, names, which, variables, members, flat, divisor)


def _graft_bonus(members: Members, tables: ModelTables, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what the months since the transplant add (4 to 9, from 10), and the new enrollees' divisor."""
    flat, divisor = np.zeros(len(members)), np.ones(len(members))
    aged_new = members.aged | ((members.age == 64) & (members.orec == 0))
    for months, holds in (
        ("DUR4_9", (members.graft_months >= 4) & (members.graft_months <= 9)),
        ("DUR10PL", members.graft_months >= 10),
    ):
        divisor[holds & (which == 7)] = tables.flat(f"ActAdj_{months}")
        for setting, place in (("FGC", (which >= 2) & (which != 6)), ("FGI", which == 6)):
            for old, age in ((True, "GE65"), (False, "LT65")):
                at = holds & place & (np.where(which == 7, aged_new, members.aged) == old)
                for full, dual in ((True, "FBD"), (False, "ND_PBD")):
                    flat[at & (members.full_dual == full)] += tables.flat(f"{setting}_{age}_{months}_{dual}")
                flat[at & members.partial_dual & (which != 7)] += tables.flat(f"{setting}_PBD_{age}_flag")
                if setting == "FGI":
                    flat[at] += tables.flat(f"LTI_{age}")
    return flat, divisor


def _drug(members: Members, tables: ModelTables) -> Demographics:
    """RxHCC V08: continuing or new enrollee, community by low-income subsidy and age, or institutional."""
    names = ["CE_NONLOW_AGED", "CE_NONLOW_NONAGED", "CE_LOW_AGED", "CE_LOW_NONAGED", "CE_LTI",
             "NE_NONLOW_COMMUNITY", "NE_LOW_COMMUNITY", "NE_LTI"]  # fmt: skip
    new = members.new_enrollee
    which = 2 * members.low_income + ~members.aged
    which = np.where(members.institutional, 4, which)
    which = np.where(new, np.where(members.institutional, 7, 5 + members.low_income), which)
    variables = [np.where(new, -1, age_sex(members, tables))]
    for renal, first in ((True, "ESRD"), (False, "NESRD")):
        for disabled, second in ((False, "NORIGDIS"), (True, "ORIGDIS")):
            holds = new & (members.esrd == renal) & (members.originally_disabled == disabled)
            stem = f"{first}_{second}_X_"
            found = age_sex(members, tables, bands=NEW_BANDS, starts=NEW_STARTS, stem=stem, recode=True)
            variables.append(np.where(holds, found, -1))
    cell = np.where(members.originally_disabled, (~members.female).astype(int), -1)
    variables.append(choose(tables, ["F65OD", "M65OD"], cell))
    variables.append(np.where(members.originally_disabled, tables.variable("OD65"), -1))
    return settled(tables, names, which, variables, members)


def settled(
    tables: ModelTables,
    names: list[str],
    which: np.ndarray,
    variables: list[np.ndarray],
    members: Members,
    flat: np.ndarray | None = None,
    divisor: np.ndarray | None = None,
) -> Demographics:
    """Return the demographics, the segments by their place in the tables."""
    segments = np.array([tables.segments.index(name) if name in tables.segments else -1 for name in names])
    return Demographics(
        segments[which].astype(np.int16),
        [variable.astype(np.int16) for variable in variables],
        np.zeros(len(members)) if flat is None else flat,
        np.ones(len(members)) if divisor is None else divisor,
        pl.Series(names).gather(pl.Series(which)),
    )
