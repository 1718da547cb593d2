"""What hccinfhir 0.4.0 makes of a member, where that is not what the CMS software does.

For comparison only. Under these conventions every raw score equals that package's, so that whoever moves
from it can tell a difference of rules from a mistake. It departs from the CMS software in these ways:

- in V24 and V28 a new enrollee with OREC or CREC 2 or 3 has no age-sex factor at 65 to 69; one who is
  institutional has none at any age, and is scored by the institutional model;
- in ESRD it tells by OREC and CREC who has end-stage renal disease: who has neither code is in no segment,
  and no one has the factors of the first three months after a transplant. The factor of an institutional
  graft is added to all who are institutional. New enrollees with a graft have no age-sex factor and no
  actuarial adjustment; those in dialysis have no factor from 85 on, and count as originally disabled only
  from 65;
- in RxHCC it applies no hierarchy, and new enrollees and the originally disabled have no factor of their own;
  its relative factors mix two calibrations (the file has each variable twice, and the last one wins).
"""

import numpy as np

from riskmodels.benchmarks.hcc.demographics import (
    NEW_BANDS,
    NEW_STARTS,
    Demographics,
    age_sex,
    choose,
    originally_disabled,
    settled,
)
from riskmodels.benchmarks.hcc.members import Members
from riskmodels.benchmarks.hcc.tables import ModelTables

__all__ = ["demographics_as_hccinfhir"]


def demographics_as_hccinfhir(members: Members, tables: ModelTables) -> Demographics:
    """Return segment and demographic variables of each member as hccinfhir 0.4.0 has them."""
    if tables.model == "CMS-HCC ESRD V24":
        return _renal(members, tables)
    if tables.model == "RxHCC V08":
        names = ["CE_NONLOW_AGED", "CE_NONLOW_NONAGED", "CE_LOW_AGED", "CE_LOW_NONAGED", "CE_LTI", "NE"]
        which = np.where(members.institutional, 4, 2 * members.low_income + ~members.aged)
        which = np.where(members.new_enrollee, 5, which)
        return settled(tables, names, which, [_age_sex(members, tables)], members)
    return _community(members, tables)


def _age_sex(members: Members, tables: ModelTables) -> np.ndarray:
    return np.where(members.new_enrollee, -1, age_sex(members, tables))


def _new_enrollee(
    members: Members, tables: ModelTables, medicaid: np.ndarray, words: tuple[str, str]
) -> list[np.ndarray]:
    """Return the variables of new enrollees: single years of age only for those whom ESRD did not entitle."""
    variables = []
    for holds, first in zip((medicaid, ~medicaid), words, strict=True):
        for disabled, second in ((False, "NORIGDIS"), (True, "ORIGDIS")):
            stem = f"{first}_{second}_NE"
            found = np.where(
                members.esrd,
                age_sex(members, tables, stem=stem),
                age_sex(members, tables, bands=NEW_BANDS, starts=NEW_STARTS, stem=stem, recode=True),
            )
            at = members.new_enrollee & holds & (members.originally_disabled == disabled)
            variables.append(np.where(at, found, -1))
    return variables


def _community(members: Members, tables: ModelTables) -> Demographics:
    names = ["CNA", "CND", "CPA", "CPD", "CFA", "CFD", "INS", "NE", "SNPNE"]
    dual = np.where(members.full_dual, 2, np.where(members.partial_dual, 1, 0))
    which = 2 * dual + ~members.aged
    which = np.where(members.new_enrollee, np.where(members.snp, 8, 7), which)
    which = np.where(members.institutional, 6, which)
    variables = [_age_sex(members, tables)]
    medicaid = members.full_dual | members.partial_dual
    variables += _new_enrollee(members, tables, medicaid, ("MCAID", "NMCAID"))
    variables.append(originally_disabled(members, tables))
    variables.append(np.where(members.institutional & members.medicaid, tables.variable("LTIMCAID"), -1))
    return settled(tables, names, which, variables, members)


def _renal(members: Members, tables: ModelTables) -> Demographics:
    names = ["DI", "DNE", "GNPA", "GNPN", "GFA", "GFN", "GI", "GNE", "none"]
    months, female = members.graft_months, members.female
    graft = np.where(members.new_enrollee, 7, 2 + 2 * members.full_dual + ~members.aged)
    graft = np.where(members.institutional, 6, graft)
    which = np.where(months >= 1, graft, members.new_enrollee.astype(int))
    which = np.where(members.esrd, which, 8)
    variables = [_age_sex(members, tables)]
    new = _new_enrollee(members, tables, members.full_dual, ("FBD", "ND_PBD"))
    variables += [np.where(which == 1, found, -1) for found in new]
    variables.append(originally_disabled(members, tables))
    entitled = np.where(members.aged & (members.orec >= 2), (~female).astype(int), -1)
    variables.append(choose(tables, ["Originally_ESRD_Female", "Originally_ESRD_Male"], entitled))
    settings = np.where(members.institutional, (~members.aged).astype(int), -1)
    variables.append(choose(tables, ["LTI_Aged", "LTI_NonAged"], settings))
    cells = [f"{sex}_{age}" for sex in ("Female", "Male") for age in ("Aged", "NonAged")]
    cell = 2 * ~female + ~members.aged
    variables.append(
        choose(tables, [f"FBDual_{name}" for name in cells], np.where(members.full_dual, cell, -1))
    )
    variables.append(
        choose(tables, [f"PBDual_{name}" for name in cells], np.where(members.partial_dual, cell, -1))
    )
    flat = np.zeros(len(members))
    for old, age in ((True, "GE65"), (False, "LT65")):
        same = members.aged == old
        flat[same & members.institutional] += tables.flat(f"LTI_{age}")
        for setting, place in (("FGC", ~members.institutional), ("FGI", members.institutional)):
            at = same & place & (months >= 4)
            flat[at & members.partial_dual] += tables.flat(f"{setting}_PBD_{age}_flag")
            for length, holds in (("DUR4_9", months <= 9), ("DUR10PL", months >= 10)):
                for full, dual in ((True, "FBD"), (False, "ND_PBD")):
                    here = at & holds & (members.full_dual == full)
                    flat[here] += tables.flat(f"{setting}_{age}_{length}_{dual}")
    return settled(tables, names, which, variables, members, flat)
