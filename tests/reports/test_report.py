"""The report is one well-formed page that loads nothing, shows what it was given and hides small cells."""

import json
import re
from datetime import UTC, datetime
from html.parser import HTMLParser

import numpy as np
import polars as pl
import pytest

from riskmodels.errors import DataError
from riskmodels.evaluation import evaluate
from riskmodels.reports import TrainingSummary, write_report
from riskmodels.reports.writing import dollar_span

VOID = {"meta", "link", "br", "img", "input", "hr", "col"}


class Page(HTMLParser):
    """Collects ids, loads, links, headings and the text of cells; fails on tags that do not close."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.ids, self.loads, self.links, self.headings, self.cells = [], [], [], [], [], []
        self.words = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self._attributes(dict(attributes), tag)
        if tag not in VOID:
            self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")
        if tag == "h2":
            self.headings.append("")

    def handle_startendtag(self, tag, attributes):
        self._attributes(dict(attributes), tag)

    def _attributes(self, attributes, tag):
        if "id" in attributes:
            self.ids.append(attributes["id"])
        if tag == "a":
            self.links.append(attributes["href"])
        elif target := attributes.get("src") or attributes.get("href"):
            self.loads.append(target)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" in self.open:
            return
        self.words.append(data)
        if "td" in self.open or "th" in self.open:
            self.cells[-1] += data
        if "h2" in self.open:
            self.headings[-1] += data


@pytest.fixture(scope="module")
def path(everything, tmp_path_factory):
    return write_report(
        tmp_path_factory.mktemp("report") / "new" / "report.html",
        **everything,
        warnings=["A warning that stands above all."],
        created=datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
    )


@pytest.fixture(scope="module")
def text(path):
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def render(tmp_path, **inputs):
    return write_report(tmp_path / "report.html", **inputs).read_text(encoding="utf-8")


def test_it_is_small_and_loads_nothing(path, text, page):
    assert path.stat().st_size < 1_500_000
    assert all(target.startswith(("#", "data:,")) for target in page.loads)
    assert not re.search(r"<script|@import|url\((?!#)|<img|<iframe", text)
    outside = [link for link in page.links if not link.startswith("#")]
    assert outside
    assert all(link.startswith(("https://doi.org/", "https://arxiv.org/")) for link in outside)


def test_ids_are_unique_and_all_inner_links_lead_somewhere(text, page):
    assert len(page.ids) == len(set(page.ids))
    targets = [target[1:] for target in (*page.links, *page.loads) if target.startswith("#")]
    targets += re.findall(r"url\(#([^)]+)\)", text)
    assert set(targets) <= set(page.ids)


def test_every_figure_says_what_it_shows(text):
    figures = re.findall(r"<svg[^>]*>", text)
    assert len(figures) == 9
    assert all('role="img"' in figure and "aria-labelledby" in figure for figure in figures)
    assert all(title for title in re.findall(r'<title id="[^"]+">([^<]*)</title>', text))


def test_text_in_figures_stays_text(text):
    assert "Predicted risk</text>" in text
    assert "metadata" not in text


def test_what_is_given_as_text_is_escaped(text):
    assert "Readmission &lt;of&gt; simulated &amp; other patients" in text
    assert "J &lt;lungs &amp; more&gt;" in text


def test_all_sections_stand_in_order(page):
    assert page.headings == [
        "What this run says",
        "What was learned from whom",
        "How good the predictions are",
        "What drives risk",
        "Hospitals",
        "What it means for payments",
        "How it was made",
    ]


@pytest.mark.parametrize(
    ("left_out", "heading", "command"),
    [
        ("evaluation", "How good the predictions are", "riskmodels train readmission-30d HISTORY"),
        ("drivers", "What drives risk", "riskmodels train readmission-30d HISTORY"),
        ("benchmark", "Hospitals", "riskmodels benchmark readmission-30d HISTORY"),
        ("payment", "What it means for payments", "riskmodels pay hrrp"),
    ],
)
def test_a_section_without_input_is_left_out_and_named(everything, tmp_path, left_out, heading, command):
    page = Page(render(tmp_path, **{**everything, left_out: None}))
    assert heading not in page.headings
    assert len(page.headings) == 6
    assert f"{heading}: " in page.words
    assert any(word.startswith(command) for word in page.words)


def test_a_training_alone_makes_a_report(training, tmp_path):
    page = Page(render(tmp_path, title="Training", training=TrainingSummary.from_dict(training)))
    assert page.headings == ["What this run says", "What was learned from whom", "How it was made"]


def test_the_summary_says_it_in_five_lines(text, page, evaluation, payment):
    lines = re.findall(r"<li>(.*?)</li>", text[text.index('class="lines"') :].partition("</ol>")[0])
    assert len(lines) == 5
    assert "12,345 index discharges of 9,876 patients" in lines[0]
    assert "15.0% had an unplanned readmission within 30 days" in lines[0]
    assert f"AUROC {evaluation['auroc'].value:.3f}" in lines[1]
    assert "Logistic regression" in lines[1]
    assert f"calibration slope {evaluation['calibration_slope'].value:.2f}" in lines[2]
    assert "ED visits in the last 90 days" in lines[3]
    assert f"${payment['payment_reduction_dollars'].sum() / 1e6:.2f} million" in lines[4]
    assert "A warning that stands above all." in page.words


def test_a_metric_stands_as_it_was_given(page, evaluation):
    row = page.cells.index("Brier score", page.cells.index("AUPRC (average precision)"))
    brier = evaluation["brier"]
    assert page.cells[row + 1] == f"{brier.value:.4f}"
    assert page.cells[row + 2] == f"{brier.lower:.4f}–{brier.upper:.4f}"


def test_differences_from_the_reference_are_shown_once(page, comparison):
    at = page.cells.index("Difference from LightGBM, on the same draws of patients")
    assert page.cells[at + 1] == "Logistic regression"
    row = comparison.filter(metric="auroc", model="Logistic regression").row(0, named=True)
    assert page.cells[at + 2].startswith(f"−{abs(row['difference']):.3f}")
    assert "LightGBM" not in page.cells[at + 1 :]


def test_hospitals_are_ordered_and_marked(page, text, benchmark):
    first = page.cells.index("000003")
    row = benchmark.row(3, named=True)
    shown = [str(row["n"]), str(row["observed"]), f"{row['expected']:.1f}", f"{row['ratio']:.2f}"]
    assert page.cells[first + 1 : first + 5] == shown
    assert page.cells[first - 1] == "Standardised rate"
    assert f'<td class="worse">{row["ratio"]:.2f}</td>' in text


def test_small_cells_are_hidden_whoever_forgot_to(page, text):
    """000007 had 7 outcomes and was not marked; its payment would give its ratio away."""
    for hospital in ("000007", "000008"):
        assert hospital not in text
    assert "8.1" not in page.cells
    assert any("2 of 40 hospitals are withheld" in word for word in page.words)
    assert any("2 hospitals are counted but not shown" in word for word in page.words)


def test_a_small_group_and_its_neighbour_are_withheld(page):
    at = page.cells.index("Sex")
    groups = page.cells[at + 1 :]
    assert groups[groups.index("X") + 1] == "withheld"
    assert groups.index("withheld") < groups.index("X")


def test_steps_that_left_out_fewer_than_eleven_are_joined(page):
    """Three stays against medical advice: neither 18,997 nor a difference of 3 may be seen."""
    words = " ".join(page.words)
    assert "Not against medical advice; Covered for 365 days before" in words
    assert "18,997" not in words
    assert "12,345" in words


def test_a_last_step_that_leaves_out_few_is_joined_to_the_one_before(training, tmp_path):
    attrition = [
        {"step": "Stays", "stays": 500},
        {"step": "Adults", "stays": 400},
        {"step": "Known sex", "stays": 396},
    ]
    words = " ".join(Page(render(tmp_path, title="T", training={**training, "attrition": attrition})).words)
    assert "Adults; Known sex (fewer than 11 left out)" in words
    assert "396" not in words


def test_small_splits_are_withheld(training, tmp_path):
    splits = [
        {"name": "train", "rows": 90, "patients": 70, "events": 30},
        {"name": "valid", "rows": 80, "patients": 60, "events": 20},
        {"name": "test", "rows": 40, "patients": 30, "events": 6},
    ]
    page = Page(render(tmp_path, title="T", training={**training, "splits": splits}))
    assert [page.cells[page.cells.index(name) + 1][:8] for name in ("train", "valid", "test")] == [
        "90",
        "withheld",
        "withheld",
    ]


def test_unverified_rules_are_said_to_be(page):
    words = " ".join(page.words)
    assert "no public source could confirm neutrality_modifier" in words
    assert "unverified" in words


def test_payments_stand_as_they_were_given(page):
    at = page.cells.index("000039", page.cells.index("Factor"))
    assert page.cells[at + 1] == "0.9805"
    assert page.cells[at + 2] == "1.95%1.85%–2.05%"
    assert page.cells[at + 3] == "$390,000$370,000–$410,000"


def test_inputs_may_come_back_from_json(everything, tmp_path, text):
    """A run is stored as JSON, where columns without a value lose their type."""
    stored = dict(everything)
    stored["evaluation"] = json.loads(json.dumps(everything["evaluation"].to_dict()))
    for name in ("comparison", "drivers"):
        stored[name] = pl.DataFrame(json.loads(json.dumps(everything[name].to_dicts())))
    stored["payment"] = everything["payment"].to_pandas()
    again = render(
        tmp_path,
        **stored,
        warnings=["A warning that stands above all."],
        created=datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
    )
    assert again == text


def test_very_few_outcomes_are_not_counted(training, tmp_path):
    y = np.r_[np.zeros(70), np.ones(6)]
    measured = evaluate(y, np.linspace(0.05, 0.6, 76), n_bootstrap=5)
    few = {**training, "n_rows": 76, "n_patients": 76, "n_events": 6, "splits": [], "attrition": []}
    text = render(tmp_path, title="T", training=few, evaluation=measured)
    page = Page(text)
    words = " ".join(page.words)
    assert "Fewer than 11 events" in words
    assert "rate withheld" in words
    assert "7.9%" not in words
    assert page.cells[page.cells.index("Observed rate") + 1] == "withheld"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"training": {"task": "t", "titel": "x"}},
            "TrainingSummary has no field 'titel'\nHint: did you mean 'title'",
        ),
        ({"training": {"task": "t"}}, "TrainingSummary: .*missing"),
        (
            {"benchmark": pl.DataFrame({"facility_id": ["1"], "n": [20]})},
            "column observed: the benchmark lacks",
        ),
        (
            {"payment": pl.DataFrame({"facility_id": ["1"]})},
            "column payment_adjustment_factor: the payment lacks",
        ),
    ],
    ids=["unknown field", "missing field", "benchmark column", "payment column"],
)
def test_input_that_cannot_be_used_is_named_and_nothing_is_written(everything, tmp_path, change, message):
    with pytest.raises(DataError, match=message):
        write_report(tmp_path / "report.html", **{**everything, **change})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("shift", "said"),
    [
        (0.0, "can be read as they stand"),
        (0.18, "are too high on average"),
        (-0.15, "are too low on average"),
        (1.0, "need recalibration before use"),
    ],
    ids=["right", "too high", "too low", "far off"],
)
def test_risks_that_are_off_on_average_are_not_called_right(training, tmp_path, shift, said):
    """Observed over expected is said with its interval, also where it is near 1 but surely not 1."""
    random = np.random.default_rng(5)
    margin = random.normal(-1.2, 0.9, 20_000)
    y = random.random(20_000) < 1 / (1 + np.exp(-margin))
    risk = 1 / (1 + np.exp(-margin - shift))
    found = evaluate(y.astype(int), risk, np.arange(20_000), n_bootstrap=25)
    text = render(tmp_path, title="T", training=training, evaluation=found)
    ratio = found["observed_expected"]
    assert f"Predicted risks {said} (calibration slope" in text
    assert f"observed/expected {ratio.value:.2f}, {ratio.lower:.2f}–{ratio.upper:.2f})" in text


def test_the_title_is_said_once_and_the_model_is_named(training, tmp_path):
    text = render(tmp_path, title=training["title"], training=training)
    (meta,) = re.findall(r'class="meta">(.*?)</p>', text)
    assert meta.startswith("Model readmission-30d 3 · written ")


@pytest.mark.parametrize(
    ("lower", "upper", "said"),
    [
        (730_759, 1_110_000, "$0.73 million to $1.11 million"),
        (1_000, 2_000, "$1,000–$2,000"),
        (-5_000, 7_000, "−$5,000 to $7,000"),
        (None, 7_000, ""),
    ],
)
def test_both_limits_in_dollars_have_one_unit(lower, upper, said):
    assert dollar_span(lower, upper) == said


def test_a_report_on_a_population_names_commands_that_work_for_it(training, tmp_path):
    """Its people belong to no hospital, and no penalty for readmissions follows from it."""
    text = render(tmp_path, title="T", training={**training, "task": "ed-visit-12m", "unit": "person-years"})
    assert "riskmodels benchmark ed-visit-12m HISTORY --by attributed_provider" in text
    assert "riskmodels pay" not in text
    stays = render(tmp_path, title="T", training=training)
    assert "riskmodels benchmark readmission-30d HISTORY --by facility_id" in stays
    assert "riskmodels pay hrrp" in stays
