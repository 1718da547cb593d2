"""Made-up members of every segment, and what two other packages make of them.

hccinfhir 0.4.0 is compared under ``conventions="hccinfhir"``; risk-adjustment-model 0.7.1, which was checked
against the CMS software, under the CMS conventions. Neither is needed to use or to test riskmodels.
"""

from typing import Any

import numpy as np
import polars as pl

from riskmodels.benchmarks.hcc.tables import load_diagnoses, load_tables

AGES = (
    *(0, 1, 2, 5, 6, 14, 15, 17, 18, 19, 34, 35, 44, 45, 49, 50, 54, 55, 59, 60, 63, 64, 65, 66, 67, 68, 69),
    *(70, 74, 75, 79, 80, 84, 85, 89, 90, 94, 95, 105),
)
NOT_MAPPED = ("I10", "Z0000", "R05", "E119X", "not a code", "99213", "Z99.9")
DUAL = ("00", "01", "02", "03", "04", "05", "06", "08")


def random_members(model: str, n: int, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return `n` members and their diagnoses: all states, every age edge, every code of the model.

    A third of a member's codes are from the HCCs of one hierarchy or interaction, so that these occur often.
    """
    draw = np.random.default_rng(seed)
    edge = draw.random(n) < 0.5
    members = pl.DataFrame(
        {
            "person_id": [f"M{number:07d}" for number in range(n)],
            "age": np.where(edge, draw.choice(AGES, n), draw.integers(0, 101, n)),
            "sex": draw.choice(["female", "male"], n),
            "orec": draw.integers(0, 4, n),
            "crec": draw.integers(0, 4, n),
            "dual_status": draw.choice(DUAL, n),
            "institutional": draw.random(n) < 0.2,
            "new_enrollee": draw.random(n) < 0.25,
            "snp": draw.random(n) < 0.4,
            "low_income": draw.random(n) < 0.5,
            "graft_months": np.where(draw.random(n) < 0.4, 0, draw.integers(1, 16, n)),
        }
    )
    return members, _diagnoses(model, members["person_id"].to_numpy(), draw)


def _diagnoses(model: str, ids: np.ndarray, draw: np.random.Generator) -> pl.DataFrame:
    table = load_diagnoses().filter(pl.col("model") == model)
    coefficients = (
        "rxhcc_v08_2026" if model.startswith("Rx") else model.lower().replace("-", "_").replace(" ", "_")
    )
    tables = load_tables(model, coefficients)
    codes = np.unique(table["code"].to_numpy())
    by_hcc = {key[0]: part["code"].to_numpy() for key, part in table.group_by("hcc")}
    edited = [code for edit in tables.edits for code in edit.codes] or list(codes)
    families = [(hcc, *drops) for hcc, drops in tables.drops.items()]
    families += [tuple(hcc for group in item.groups for hcc in group) for item in tables.interactions]
    person, code = [], []
    for identifier in ids:
        count = int(draw.choice([0, 1, 2, 4, 8, 16]))
        family = families[draw.integers(len(families))]
        for _ in range(count):
            kind = draw.random()
            if kind < 0.35:
                found = by_hcc.get(family[draw.integers(len(family))], codes)
            elif kind < 0.42:
                found = edited
            elif kind < 0.5:
                found = NOT_MAPPED
            else:
                found = codes
            person.append(identifier)
            code.append(str(found[draw.integers(len(found))]))
    return pl.DataFrame(
        {"person_id": person, "code": code}, schema={"person_id": pl.String, "code": pl.String}
    )


def arbitrary(members: pl.DataFrame, diagnoses: pl.DataFrame) -> pl.Series:
    """Tell whom hccinfhir scores by chance: it takes one of two HCCs from a code that an edit forbids."""
    table = load_diagnoses().filter(pl.col("model") == "CMS-HCC V28")
    double = table.group_by("code").len().filter(pl.col("len") > 1)["code"]
    edits = load_tables("CMS-HCC V28", "cms_hcc_v28").edits
    invalid = [code for edit in edits if edit.hcc == 0 for code in edit.codes if code in set(double)]
    hit = diagnoses.filter(pl.col("code").is_in(invalid))["person_id"].unique()
    return members["person_id"].is_in(hit.implode()) & (members["age"] < 15)


def shared(diagnoses: pl.DataFrame, model: str) -> pl.DataFrame:
    """Return the diagnoses that risk-adjustment-model treats alike: its CMS tables are of other vintages."""
    from importlib.resources import files

    folder = {
        "CMS-HCC V24": "v24/2025",
        "CMS-HCC V28": "v28/2026",
        "CMS-HCC ESRD V24": "v24_esrd/2026",
        "RxHCC V08": "v08_rxhcc_x/2026",
    }[model]
    path = (
        files("risk_adjustment_model") / "reference_data" / "medicare" / folder / "diag_to_category_map.txt"
    )
    lines = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
    theirs = {(line[0].strip(), int(line[1])) for line in lines}
    ours = set(load_diagnoses().filter(pl.col("model") == model).select("code", "hcc").iter_rows())
    # The renal HCCs are none in the ESRD model: they leave them out, here they are set to none.
    differ = {code for code, hcc in theirs ^ ours if not ("ESRD" in model and 134 <= hcc <= 138)}
    if "ESRD" in model:
        differ.discard("F3481")  # They add its HCC at 6 to 18, here it is taken away at other ages.
    if "ESRD" not in model:
        differ |= {"J4481", "J4489"}  # In its ESRD edit at 17 and younger, not yet in the others'.
    if model == "CMS-HCC V28":
        # HCC 223 without another heart failure is dropped before the hierarchies here and in hccinfhir, there
        # with them, so that it still drops HCC 227.
        differ |= {code for code, hcc in ours if hcc == 223}
    return diagnoses.filter(~pl.col("code").is_in(differ))


def _codes(members: pl.DataFrame, diagnoses: pl.DataFrame) -> list[list[str]]:
    found = dict(diagnoses.group_by("person_id").agg("code").iter_rows())
    return [found.get(identifier, []) for identifier in members["person_id"]]


def hccinfhir_scores(members: pl.DataFrame, diagnoses: pl.DataFrame, model: str) -> np.ndarray:
    """Return hccinfhir's raw scores."""
    from hccinfhir.model_calculate import calculate_raf

    name = (
        model.replace("CMS-HCC V", "CMS-HCC Model V")
        .replace("ESRD V", "ESRD Model V")
        .replace("RxHCC V", "RxHCC Model V")
    )
    scores = [
        calculate_raf(
            codes,
            name,
            age=row["age"],
            sex="F" if row["sex"] == "female" else "M",
            dual_elgbl_cd=row["dual_status"],
            orec=str(row["orec"]),
            crec=str(row["crec"]),
            new_enrollee=row["new_enrollee"],
            snp=row["snp"],
            low_income=row["low_income"],
            lti=row["institutional"],
            graft_months=row["graft_months"] or None,
        ).risk_score
        for row, codes in zip(members.iter_rows(named=True), _codes(members, diagnoses), strict=True)
    ]
    return np.array(scores)


def reference_scores(members: pl.DataFrame, diagnoses: pl.DataFrame, model: str) -> np.ndarray:
    """Return risk-adjustment-model's raw scores; NaN for the one segment that it does not have (SNPNE)."""
    import risk_adjustment_model as other

    codes = [[code.replace(".", "") for code in found] for found in _codes(members, diagnoses)]
    rows = list(members.iter_rows(named=True))
    scorer: Any
    if model == "CMS-HCC ESRD V24":
        scorer = other.MedicareModelESRDv24(2026)
        return np.array([_renal(scorer, row, found) for row, found in zip(rows, codes, strict=True)])
    if model == "RxHCC V08":
        scorer = other.MedicareModelRxHCCv08X(2026)
        return np.array([_drug(scorer, row, found) for row, found in zip(rows, codes, strict=True)])
    scorer = other.MedicareModelV24(2025) if model == "CMS-HCC V24" else other.MedicareModelV28(2026)
    return np.array([_community(scorer, row, found) for row, found in zip(rows, codes, strict=True)])


def _sex(row: dict[str, Any]) -> str:
    return "F" if row["sex"] == "female" else "M"


def _community(scorer: Any, row: dict[str, Any], codes: list[str]) -> float:
    dual = {"02": "F", "04": "F", "08": "F", "00": "N"}.get(row["dual_status"], "P")
    population = "C" + dual + ("A" if row["age"] >= 65 else "D")
    population = "INS" if row["institutional"] else population
    if row["new_enrollee"]:
        if row["snp"]:
            return float("nan")
        population = "NE"
    result = scorer.score(
        gender=_sex(row),
        orec=str(row["orec"]),
        medicaid=dual != "N",
        diagnosis_codes=[] if row["new_enrollee"] else codes,
        age=row["age"],
        population=population,
    )
    return float(result.score_raw)


def _renal(scorer: Any, row: dict[str, Any], codes: list[str]) -> float:
    months, new = row["graft_months"], row["new_enrollee"]
    graft = "NE_GRAFT" if new else "GRAFT_INST" if row["institutional"] else "GRAFT_COMM"
    population = (
        f"TRANSPLANT_{months}M" if 1 <= months <= 3 else graft if months else "NE_DIAL" if new else "DIAL"
    )
    result = scorer.score(
        gender=_sex(row),
        orec=str(row["orec"]),
        fbdual=row["dual_status"] in ("02", "04", "08"),
        pbdual=row["dual_status"] in ("01", "03", "05", "06"),
        lti=row["institutional"],
        diagnosis_codes=codes,
        age=row["age"],
        population=population,
        graft_duration_months=months or None,
    )
    return float(result.score_raw)


def _drug(scorer: Any, row: dict[str, Any], codes: list[str]) -> float:
    low = "LOW" if row["low_income"] else "NONLOW"
    if row["new_enrollee"]:
        population = "NE_LTI" if row["institutional"] else f"NE_{low}_COMMUNITY"
    elif row["institutional"]:
        population = "CE_LTI"
    else:
        population = f"CE_{low}_{'AGED' if row['age'] >= 65 else 'NONAGED'}"
    result = scorer.score(
        gender=_sex(row),
        orec=str(row["orec"]),
        esrd=row["orec"] >= 2 or row["crec"] >= 2,
        diagnosis_codes=codes,
        age=row["age"],
        population=population,
    )
    return float(result.score_raw)
