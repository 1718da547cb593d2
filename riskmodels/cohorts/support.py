"""Which tasks a history can support, in part or not at all, and why."""

from dataclasses import dataclass
from textwrap import wrap

import polars as pl

from riskmodels.cohorts.holdings import Holdings, take_stock
from riskmodels.cohorts.task import Task, load_task, task_names
from riskmodels.history import History, Shard
from riskmodels.terminology import load_grouper

__all__ = ["Support", "alike", "possible_outcomes", "say", "support", "unreadable", "why_not"]

VERDICTS = ("yes", "in part", "no")
WIDTH, MARGIN = 110, " " * 9
MOSTLY = 0.5  # of the rows say something: below, a rule that needs it is mostly not applied
HARDLY = 0.05
FEW_PERSONS = 500
ENOUGH = 500  # admissions, to judge how many end in death
IMPLAUSIBLY_FEW = 0.005  # deaths within 30 days of an admission, per admission; a few percent are usual


@dataclass(frozen=True)
class Support:
    """Whether a history can support a task.

    Attributes
    ----------
    task : str
    verdict : {'yes', 'in part', 'no'}
    reasons : tuple of str
        Why it cannot, or what of the definition goes without effect.
    """

    task: str
    verdict: str
    reasons: tuple[str, ...]


def support(history: History, tasks: tuple[str, ...] | None = None) -> tuple[Support, ...]:
    """Say which tasks a history can support, and why not.

    Parameters
    ----------
    history : History
    tasks : tuple of str, optional
        Names or YAML files; default: all of the package.
    """
    stock = take_stock(history)
    return tuple(_judge(load_task(name), stock) for name in tasks or task_names())


def unreadable(task: Task, vocabulary: pl.DataFrame) -> str | None:
    """Say which codes a task goes by that a history has none of; None where it has."""
    systems = set(vocabulary["code_system"].unique().to_list())
    for table, what in _tables(task):
        known = load_grouper(table).code_systems
        if not systems & set(known):
            return (
                f"goes by {' or '.join(known)} codes for {what}, and this history has none of these.\n"
                "Fix: see what it has with riskmodels check, or use a task that does not need them."
            )
    return None


def alike(found: tuple[Support, ...]) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    """Return verdict, tasks and reasons, tasks of one verdict and the same reasons together; yes first."""
    groups: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for entry in found:
        groups.setdefault((entry.verdict, entry.reasons), []).append(entry.task)
    return [
        (verdict, tuple(tasks), reasons)
        for verdict in VERDICTS
        for (given, reasons), tasks in groups.items()
        if given == verdict
    ]


def say(found: tuple[Support, ...]) -> str:
    """Return the verdicts in lines, tasks of one verdict and the same reasons together."""
    lines = ["Tasks that this history can support:"]
    for verdict, tasks, reasons in alike(found):
        lines += wrap(
            ", ".join(tasks),
            WIDTH,
            initial_indent=f"{verdict:<9}",
            subsequent_indent=MARGIN,
            break_on_hyphens=False,
        )
        lines += [f"{MARGIN}- {reason}" for reason in reasons]
    return "\n".join(lines) + "\n"


def _judge(task: Task, stock: Holdings) -> Support:
    against, partly = _against(task, stock), _partly(task, stock)
    verdict = "no" if against else "in part" if partly else "yes"
    return Support(task.name, verdict, tuple(against or partly))


def _against(task: Task, stock: Holdings) -> list[str]:
    """Return what rules a task out."""
    counts, rule, index = stock.counts, task.outcome, task.index
    said = []
    if task.look_back.require_coverage:
        needed = task.look_back.days + (task.follow_up.last_day + 1 if index.event == "date" else 1)
        if not counts["covered"]:
            said.append("there is no coverage: nobody is known to have been watched")
        elif max(stock.spans) < needed:
            said.append(
                f"nobody is covered for {needed} days on end; the longest span has {max(stock.spans)}"
            )
    if index.event != "date" and not any(counts[kind] for kind in index.kinds):
        said.append(f"there are no {' or '.join(index.kinds)} encounters to start from")
    if rule.event == "death":
        if not counts["deaths"]:
            said.append("there are no dates of death")
        elif (
            counts["inpatient"] >= ENOUGH
            and stock.share("deaths_after_admission", "inpatient") < IMPLAUSIBLY_FEW
        ):
            said.append(
                f"fewer than {IMPLAUSIBLY_FEW:.1%} of admissions are followed by a death within 30 days, "
                "which is implausible: dates of death may be incomplete or made up"
            )
    elif rule.event == "cost":
        if not any(counts[f"{kind}:{rule.amount}"] for kind in rule.kinds):
            said.append(f"no encounter has an {rule.amount} amount")
    elif not any(counts[kind] for kind in rule.kinds):
        said.append(f"there are no {' or '.join(rule.kinds)} encounters to find the outcome in")
    for what, systems, share in _coded(task, stock):
        if share < HARDLY:
            said.append(f"{what} go by {systems}, in which {_percent(share)} diagnoses are coded")
    return said


def _coded(task: Task, stock: Holdings) -> list[tuple[str, str, float]]:
    """Return what goes by which code systems, and the share of diagnoses in these."""
    every = sum(stock.systems.values())
    found = []
    for table, what in _tables(task):
        known = [system for system in load_grouper(table).code_systems if system.startswith("ICD")]
        of_these = sum(stock.systems[system] for system in known)
        diagnoses = [system for system in known if not system.endswith("PCS")]
        found.append((what, " or ".join(diagnoses or known), of_these / every if every else 0.0))
    return found


def _percent(share: float) -> str:
    return f"{share:.1%} of" if share else "no"


def _tables(task: Task) -> list[tuple[str, str]]:
    """Return the code tables without which a task has no case or no outcome."""
    found = []
    if task.index.conditions:
        found.append((task.index.condition_table, "conditions"))
    if task.outcome.groups:
        found.append((task.outcome.table, "outcomes"))
    if task.outcome.ed_classes:
        found.append(("ed", "classes of ED visits"))
    if task.outcome.pqi:
        found.append(("pqi", "preventable admissions"))
    if task.index.cohort is not None:
        found.append(("hrrp" if task.index.cohort in load_grouper("hrrp").groups else "ccs", "cohorts"))
    return found


def _partly(task: Task, stock: Holdings) -> list[str]:
    """Return what of a definition goes without effect, or mostly so."""
    counts, rule, index = stock.counts, task.outcome, task.index
    said = []
    missing = [kind for kind in rule.kinds if not counts[kind]]
    if rule.event in ("acute_visit", "ed_visit") and missing:
        said.append(f"no {' or '.join(missing)} encounters: the outcome is looked for in the others alone")
    if rule.event == "cost" and missing:
        said.append(f"no {', '.join(missing)} encounters: their cost is missing")
    if rule.event == "cost" and not counts["dual"]:
        said.append("dual status is unknown: the aged are one enrolment category")
    if rule.event in ("unplanned_admission", "acute_visit"):
        if stock.share("inpatient:procedure", "inpatient") == 0:
            said.append("no procedures of stays: planned admissions are told by diagnosis and type alone")
        if stock.share("inpatient:admission_type", "inpatient") < MOSTLY:
            said.append("the type of admission is mostly unknown, which the planned-admission logic asks for")
    if index.event != "date":
        kind = index.kinds[0]
        if stock.share(f"{kind}:discharge_disposition", kind) < MOSTLY:
            said.append("dispositions are mostly unknown: who left against medical advice is not seen")
        if stock.share(f"{kind}:facility_id", kind) < MOSTLY:
            said.append("facilities are mostly unknown: transfers are not seen, no benchmark by facility_id")
    if index.event == "discharge" or rule.groups:
        kind = next((kind for kind in rule.kinds if counts[kind]), index.kinds[0])
        if stock.share(f"{kind}:principal", kind) < MOSTLY:
            said.append(f"principal diagnoses of {kind} encounters are mostly unknown")
    for what, systems, share in _coded(task, stock):
        if share < MOSTLY:
            said.append(f"{what} go by {systems}, in which {_percent(share)} diagnoses are coded")
    if counts["persons"] < FEW_PERSONS:
        said.append(f"there are fewer than {FEW_PERSONS:,} persons: enough to try, too few to learn from")
    if not index.hospice and not counts["hospice"]:
        said.append("no hospice encounters: patients in hospice are not left out")
    return said


def possible_outcomes(shard: Shard, task: Task) -> int:
    """Count the rows in which the outcome of a task could be found at all."""
    rule = task.outcome
    if rule.event == "death":
        return shard.person["death_date"].drop_nulls().len()
    chosen = shard.encounter.filter(pl.col("kind").is_in(rule.kinds))
    if rule.event == "cost":
        return chosen[rule.amount].drop_nulls().len()
    return chosen.height


def why_not(task: Task) -> str:
    """Say why a history without a possible outcome cannot support a task, and what to do."""
    rule = task.outcome
    if rule.event == "death":
        return (
            "looks for deaths, and this history has no date of death: every case would come out negative.\n"
            "Fix: ingest the beneficiary files that hold them."
        )
    if rule.event == "cost":
        other = "paid" if rule.amount == "allowed" else "allowed"
        return (
            f"sums up {rule.amount} amounts, and no encounter of this history has one.\n"
            f"Fix: use a task with outcome.amount: {other}, or ingest the claims that hold the amounts."
        )
    return (
        f"looks for its outcome in {' and '.join(rule.kinds)} encounters, and this history has none: every "
        "case would come out negative.\n"
        "Fix: ingest the claims that hold them (for ED visits: outpatient claims)."
    )
