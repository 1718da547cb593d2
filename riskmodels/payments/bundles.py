"""What bundled payment programs share: episodes against target prices, limits on gains and losses."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from riskmodels.errors import DataError, SpecError
from riskmodels.payments.audit import Audit, Line, dollars, number, percent, where
from riskmodels.payments.bundle_quality import mean_percentile
from riskmodels.payments.program import Inputs, Program, Settlement
from riskmodels.payments.reading import Table, read_table
from riskmodels.payments.rules import Rules

__all__ = ["Bundle"]

_EPISODES = ("participant_id", "cost")
_EXTRA = ("track", "quality_category")
_COLUMNS = ("participant_id", "episodes", "target", "cost", "composite_quality_score", "raw_reconciliation",
            "adjusted_reconciliation", "limit", "payment")  # fmt: skip


class Bundle(Program):
    """A reconciliation: target prices less costs, adjusted for quality, inside stop-gain and stop-loss."""

    entity: ClassVar[str] = "participant_id"
    component: ClassVar[str] = "episode_category"
    options: ClassVar[Mapping[str, str]] = {
        "quality": "file: participant_id, composite_quality_score[, track][, rural]; or measure, percentile "
        "and volume in place of the score",
    }
    changeable: ClassVar[Mapping[str, str]] = {
        "cost": "episodes",
        "target_price": "episodes",
        "composite_quality_score": "participants",
    }
    maximum_score: ClassVar[float] = 100.0

    def range_of(self, column: str, inputs: Inputs) -> tuple[float, float]:
        """Return the least and the most that an input can be; a quality score has the model's most."""
        return (0.0, self.maximum_score) if column == "composite_quality_score" else (0.0, inf)

    @abstractmethod
    def reconcile(self, totals: pl.DataFrame, rules: Rules) -> tuple[pl.DataFrame, tuple[str, ...]]:
        """Add raw and adjusted reconciliation and the limits `most` and `least`; name what was used."""

    def read(self, paths: Sequence[Path], rules: Rules, options: Mapping[str, Any]) -> Inputs:
        """Read episodes, one a row, and the participants' quality scores.

        Raises
        ------
        DataError
            For a missing or negative amount, thresholds that cross, or a participant without a score.
        """
        if len(paths) != 1 or not options.get("quality"):
            raise SpecError(
                f"{self.name} takes one file of episodes, and the option quality, a file with the scores"
            )
        table = read_table(paths[0], _EPISODES)
        price, price_rules = self.price(table, rules)
        episodes = pl.DataFrame(
            {
                "participant_id": table.keys(table.column("participant_id")),
                "episode_category": _text(table, "episode_category"),
                "target_price": price,
                "cost": table.number(table.column("cost"), minimum=0, required=True),
                "winsor_low": _amount(table, "winsor_low"),
                "winsor_high": _amount(table, "winsor_high"),
                "natural_disaster": _amount(table, "natural_disaster").fill_null(0.0) == 1,
            }
        ).with_columns(source_file=pl.lit(str(paths[0])), source_line=pl.Series(table.lines))
        crossed = episodes.filter(pl.col("winsor_low") > pl.col("winsor_high"))
        if crossed.height:
            raise DataError("winsor_low is above winsor_high", file=paths[0], line=crossed["source_line"][0])
        participants, score_rules = self._participants(Path(options["quality"]), rules)
        absent = episodes.join(participants, on="participant_id", how="anti")
        if absent.height:
            raise DataError(
                f"no quality score of {absent['participant_id'][0]!r}", file=Path(options["quality"])
            )
        used = (*price_rules, *score_rules)
        return Inputs({"episodes": episodes, "participants": participants}, {"used": used})

    def price(self, table: Table, rules: Rules) -> tuple[pl.Series, tuple[str, ...]]:
        """Return the target price of each episode, and the rules behind it."""
        column = table.find("target_price")
        if column is None:
            raise DataError(
                "no column 'target_price'", file=table.path,
                fix="give `riskmodels episodes` the prices (--prices), or price them: `riskmodels prices`",
            )  # fmt: skip
        return table.number(column, minimum=0, required=True), ()

    def scores(self, table: Table, rules: Rules) -> tuple[pl.DataFrame, tuple[str, ...]]:
        """Return participant_id and composite_quality_score, and the rules behind the scores."""
        if table.find("composite_quality_score") is None and table.find("percentile"):
            return mean_percentile(table), ("composite_score",)
        ids = table.identifiers(table.column("participant_id"))
        column = table.column("composite_quality_score")
        score = table.number(column, minimum=0, maximum=self.maximum_score, required=True)
        return pl.DataFrame({"participant_id": ids, "composite_quality_score": score}), ()

    def settle(self, inputs: Inputs, rules: Rules) -> Settlement:
        """Reconcile all participants."""
        cost = pl.col("cost")
        held = pl.min_horizontal(pl.max_horizontal(cost, "winsor_low"), "winsor_high")
        episodes = inputs.frames["episodes"].with_columns(held.alias("winsorised_cost"))
        left_out = pl.col("natural_disaster") & (pl.col("winsorised_cost") > pl.col("target_price"))
        episodes = episodes.with_columns(
            pl.when(left_out).then(0.0).otherwise("target_price").alias("target"),
            pl.when(left_out).then(0.0).otherwise("winsorised_cost").alias("winsorised_cost"),
        )
        totals = episodes.group_by("participant_id", maintain_order=True).agg(
            pl.len().alias("episodes"), pl.col("target").sum(), pl.col("winsorised_cost").sum().alias("cost")
        )
        totals = totals.join(
            inputs.frames["participants"], on="participant_id", how="left", maintain_order="left"
        )
        totals, used = self.reconcile(totals, rules)
        gained = pl.col("adjusted_reconciliation") >= 0
        payment = (
            pl.when(gained)
            .then(pl.min_horizontal("adjusted_reconciliation", "most"))
            .otherwise(0.0 - pl.min_horizontal(-pl.col("adjusted_reconciliation"), "least"))
        )
        totals = totals.with_columns(
            payment.alias("payment"), pl.when(gained).then("most").otherwise("least").alias("limit")
        )
        extra = [name for name in _EXTRA if name in totals.columns]
        detail = episodes.group_by("participant_id", "episode_category", maintain_order=True).agg(
            pl.len().alias("episodes"),
            pl.col("target").sum(),
            pl.col("winsorised_cost").sum(),
            pl.col("cost").sum().alias("cost_before_winsorising"),
            pl.col("source_file").first(),
            pl.col("source_line").min(),
        )
        if inputs.frames["episodes"]["natural_disaster"].any() and "disaster_episodes" in rules:
            used = (*used, "disaster_episodes")
        used = (*used, *inputs.options.get("used", ()))
        return Settlement(totals.select(*_COLUMNS, *extra), detail, used)

    def explain(self, inputs: Inputs, settlement: Settlement, rules: Rules, entity: str) -> Audit:
        """Write down the reconciliation of one participant."""
        row = settlement.frame.row(by_predicate=pl.col("participant_id") == entity, named=True)
        lines, parts = [Line("Episodes")], settlement.detail.filter(participant_id=entity)
        for part in parts.iter_rows(named=True):
            place = where(part["source_file"], part["source_line"])
            text = f"target {dollars(part['target'])}, cost {dollars(part['winsorised_cost'])}"
            lines.append(
                Line(f"{part['episode_category']}, {part['episodes']} episodes", text, source=f"from {place}")
            )
        lines += [
            Line("Reconciliation"),
            Line("target", dollars(row["target"]),
                 *self.target_formula(row, float(parts["target"].sum()), rules)),
            Line("cost, winsorised", dollars(row["cost"]), "sum of the episodes"),
            Line("raw reconciliation", dollars(row["raw_reconciliation"]),
                 f"{dollars(row['target'])} − {dollars(row['cost'])}" if row["raw_reconciliation"] else ""),
            Line("composite quality score", number(row["composite_quality_score"])),
            *(Line(name.replace("_", " "), str(row[name])) for name in _EXTRA if name in row),
            Line("after the quality adjustment", dollars(row["adjusted_reconciliation"]),
                 *self.quality_formula(row, rules)),
            Line("limit", dollars(row["limit"]), _share(row["limit"], row["target"]),
                 rules.cite(self.limit_rule(row))),
            Line("reconciliation payment" if row["payment"] >= 0 else "repayment", dollars(row["payment"])),
        ]  # fmt: skip
        lines += [Line("Rules"), *(Line(name.replace("_", " "), str(rules[name]), source=rules.cite(name))
                                   for name in settlement.used)]  # fmt: skip
        lines += [Line("Notes"), *(Line("note", note) for note in inputs.notes)] if inputs.notes else []
        return Audit(f"{rules.title}: {entity}", tuple(lines), rules.unverified(settlement.used))

    def target_formula(self, row: Mapping[str, Any], prices: float, rules: Rules) -> tuple[str, str]:
        """Return how the target follows from the sum of the episodes' prices, and the source of the rule."""
        return "sum of the episodes", ""

    def quality_formula(self, row: Mapping[str, Any], rules: Rules) -> tuple[str, str]:
        """Return how the quality score moves the reconciliation, and the source of the rule."""
        raw, (gain, loss, rule) = row["raw_reconciliation"], self.quality_effect(row, rules)
        score = f"{number(row['composite_quality_score'])} / 100"
        factor = f"{percent(gain)} × (1 − {score})" if raw > 0 else f"{percent(loss)} × {score}"
        return f"{dollars(raw)} × (1 − {factor})", rules.cite(rule)

    def quality_effect(self, row: Mapping[str, Any], rules: Rules) -> tuple[float, float, str]:
        """Return how far quality cuts gains and relieves losses, and the rule that says so."""
        effect = rules["quality_effect"]
        return effect["gain"], effect["loss"], "quality_effect"

    def limit_rule(self, row: Mapping[str, Any]) -> str:
        """Return the name of the rule behind the limit of a participant."""
        return "stop_gain" if row["payment"] >= 0 else "stop_loss"

    def break_even(self, inputs: Inputs, settlement: Settlement, rules: Rules) -> pl.DataFrame:
        """Return how much costs have to change for neither payment nor repayment, in all and an episode."""
        change = pl.col("raw_reconciliation")
        return settlement.frame.select(
            "participant_id",
            "raw_reconciliation",
            change.alias("cost_change"),
            (change / pl.col("episodes")).alias("change_per_episode"),
        )

    def _participants(self, path: Path, rules: Rules) -> tuple[pl.DataFrame, tuple[str, ...]]:
        table = read_table(path, ("participant_id",))
        scores, used = self.scores(table, rules)
        rural = table.find("rural")
        rows = pl.DataFrame(
            {
                "participant_id": table.keys(table.column("participant_id")),
                "rural": table.number(rural) == 1
                if rural
                else pl.Series([False] * table.frame.height, dtype=pl.Boolean),
                **({"track": self._tracks(table, rules)} if "tracks" in rules else {}),
            }
        )
        rows = rows.unique(maintain_order=True)
        differing = rows.filter(pl.col("participant_id").is_duplicated())
        if differing.height:
            raise DataError(
                f"{differing['participant_id'][0]!r} has two tracks or is rural and not", file=path
            )
        return scores.join(rows, on="participant_id", how="left", maintain_order="left"), used

    @staticmethod
    def _tracks(table: Table, rules: Rules) -> pl.Series:
        words = table.text(table.column("track")).str.replace(r"(?i)track\s*", "")
        wrong = (~words.is_in(rules["tracks"]) | words.is_null()).fill_null(True)
        if wrong.any():
            row = int(wrong.arg_max() or 0)
            problem = f"track {words[row]!r} is none of {rules.year}: {', '.join(rules['tracks'])}"
            raise DataError(problem, file=table.path, column="track", line=table.lines[row])
        return words


def _share(amount: float, base: float) -> str:
    return f"{percent(amount / base)} of the target" if base else ""


def _amount(table: Table, name: str) -> pl.Series:
    column = table.find(name)
    if column is None:
        return pl.Series([None] * table.frame.height, dtype=pl.Float64)
    return table.number(column, minimum=0)


def _text(table: Table, name: str) -> pl.Series:
    column = table.find(name)
    return table.text(column) if column else pl.Series(["all"] * table.frame.height)
