"""Any other arrangement: a TOML file declares inputs and steps, and the engine settles it."""

import tomllib
from collections.abc import Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from riskmodels.errors import DataError, SpecError
from riskmodels.payments.audit import Audit, Line, number, where
from riskmodels.payments.contract_audit import spell
from riskmodels.payments.contract_steps import compile_step
from riskmodels.payments.program import Inputs, Program, Settlement
from riskmodels.payments.reading import read_table
from riskmodels.payments.rules import Parameter, Rules

__all__ = ["PROGRAM", "Contract", "parse_contract"]


class Contract(Program):
    """Inputs, constants and steps of a contract, in the order as written; the last is the payment."""

    name: ClassVar[str] = "contract"
    entity: ClassVar[str] = "entity_id"
    component: ClassVar[str] = "step"
    changeable: ClassVar[Mapping[str, str]] = {}

    def load(self, year: int, paths: Sequence[Path]) -> Rules:
        """Read the contract among the input files.

        Raises
        ------
        SpecError
            Where there is not one contract, it is of another year, or it is not well formed.
        """
        contracts = [path for path in paths if path.suffix.lower() == ".toml"]
        if len(contracts) != 1:
            raise SpecError("contract takes one .toml file, which declares it, and one table of figures")
        path = contracts[0]
        if not path.is_file():
            what = "is a folder" if path.is_dir() else "there is no such file"
            raise SpecError(f"{path}: {what}\nFix: name the .toml file that declares the contract")
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise SpecError(
                f"{path}: cannot be read ({error.strerror})\nFix: see who may read the file"
            ) from error
        except UnicodeDecodeError as error:
            raise SpecError(f"{path}: is not UTF-8\nFix: save it as text in UTF-8") from error
        except tomllib.TOMLDecodeError as error:
            raise SpecError(f"{path}: {error}\nFix: correct the TOML there") from error
        rules = parse_contract(content, contracts[0].name)
        if rules.year != year:
            raise SpecError(f"{contracts[0]}: the contract is of {rules.year}, not {year}")
        return rules

    def table_of(self, column: str, inputs: Inputs) -> str | None:
        """Return the table of the contract's inputs, all of which may change."""
        return "entities" if column in inputs.options["inputs"] else None

    def range_of(self, column: str, inputs: Inputs) -> tuple[float, float]:
        """Return the least and the most that the contract lets an input be."""
        low, high = inputs.options["ranges"][column]
        return float(low), float(high)

    def read(self, paths: Sequence[Path], rules: Rules, options: Mapping[str, Any]) -> Inputs:
        """Read the figures: one row an entity, a column an input."""
        tables = [path for path in paths if path.suffix.lower() != ".toml"]
        if len(tables) != 1:
            raise SpecError("contract takes one table of figures beside the .toml file")
        declared: Mapping[str, Any] = rules["inputs"]
        table = read_table(tables[0], (str(rules["entity"]).lower(),))
        columns = {"entity_id": table.identifiers(table.column(rules["entity"]))}
        for name, rule in declared.items():
            column = table.find(rule.get("column", name))
            if column is None and "default" in rule:
                columns[name] = pl.Series([float(rule["default"])] * table.frame.height)
                continue
            columns[name] = table.number(
                column or table.column(rule.get("column", name)),
                minimum=rule.get("minimum"),
                maximum=rule.get("maximum"),
                required="default" not in rule,
            ).fill_null(rule.get("default", 0.0))
        frame = pl.DataFrame(columns).with_columns(
            source_file=pl.lit(str(tables[0])), source_line=pl.Series(table.lines)
        )
        ranges = {
            name: (rule.get("minimum", -inf), rule.get("maximum", inf)) for name, rule in declared.items()
        }
        return Inputs({"entities": frame}, {"inputs": tuple(declared), "ranges": ranges})

    def settle(self, inputs: Inputs, rules: Rules) -> Settlement:
        """Carry out the steps in order."""
        constants = {name: pl.lit(float(value)) for name, value in rules["constants"].items()}
        frame = inputs.frames["entities"].with_columns(**constants)
        known = [*inputs.options["inputs"], *constants]
        for step in rules["steps"]:
            value = compile_step(step, known).cast(pl.Float64)
            frame = frame.with_columns(value.alias(step["name"]))
            wrong = frame.filter(~pl.col(step["name"]).is_finite() | pl.col(step["name"]).is_null())
            if wrong.height:
                row = wrong.row(0, named=True)
                raise DataError(
                    f"{row['entity_id']}: step {step['name']!r} has no finite value",
                    file=row["source_file"], line=row["source_line"], fix="look for a division by zero",
                )  # fmt: skip
            known.append(step["name"])
        names = [step["name"] for step in rules["steps"]]
        last = [] if names[-1] == "payment" else [pl.col(names[-1]).alias("payment")]
        result = frame.select("entity_id", *inputs.options["inputs"], *names, *last)
        detail = (
            frame.select(pl.int_range(pl.len()).alias("row"), "entity_id", *names)
            .unpivot(names, index=["row", "entity_id"], variable_name="step", value_name="value")
            .sort("row", maintain_order=True)
            .drop("row")
        )
        return Settlement(result, detail, ())

    def explain(self, inputs: Inputs, settlement: Settlement, rules: Rules, entity: str) -> Audit:
        """Write down the steps for one entity."""
        given = inputs.frames["entities"].row(by_predicate=pl.col("entity_id") == entity, named=True)
        lines = [Line("Inputs")]
        for name, rule in rules["inputs"].items():
            place = where(given["source_file"], given["source_line"], rule.get("column", name))
            lines.append(Line(name, number(given[name]), source=place))
        lines.append(Line("Constants"))
        lines += [Line(name, number(value)) for name, value in rules["constants"].items()]
        lines.append(Line("Steps"))
        results = dict(settlement.detail.filter(entity_id=entity).select("step", "value").iter_rows())
        values = {**{name: given[name] for name in rules["inputs"]}, **rules["constants"], **results}
        lines += [
            Line(step["name"], number(results[step["name"]]), spell(step, values), step.get("source", ""))
            for step in rules["steps"]
        ]
        lines += [Line("Notes"), *(Line("note", note) for note in inputs.notes)] if inputs.notes else []
        return Audit(f"{rules.title}: {entity}", tuple(lines))

    def break_even(self, inputs: Inputs, settlement: Settlement, rules: Rules) -> pl.DataFrame:
        """Return, for each input, the value at which the payment turns from nothing or a loss to a gain.

        It is looked for between next to nothing and twice the input's value, all else held (at nothing itself
        a rate per member month has no value); null where there is none.
        """
        frame = inputs.frames["entities"]
        rows = []
        for name in inputs.options["inputs"]:
            low, high = 1e-9 * frame[name], 2.0 * frame[name]
            signs = [self._gains(inputs, rules, name, end) for end in (low, high)]
            turns = signs[0] != signs[1]
            for _ in range(80):
                middle = (low + high) / 2
                same = self._gains(inputs, rules, name, middle) == signs[0]
                low = pl.select(pl.when(same).then(middle).otherwise(low)).to_series()
                high = pl.select(pl.when(same).then(high).otherwise(middle)).to_series()
            turn = pl.select(pl.when(turns).then((low + high) / 2)).to_series()
            rows.append(frame.select("entity_id", pl.lit(name).alias("input"), pl.col(name).alias("value"),
                                     turn.alias("value_at_turn")))  # fmt: skip
        result = pl.concat(rows)
        change = (pl.col("value_at_turn") - pl.col("value")).alias("needed_change")
        return result.with_columns(change).sort("entity_id", maintain_order=True)

    def _gains(self, inputs: Inputs, rules: Rules, name: str, value: pl.Series) -> pl.Series:
        frame = inputs.frames["entities"].with_columns(value.alias(name))
        return self.settle(Inputs({"entities": frame}, inputs.options), rules).frame["payment"] > 0


def parse_contract(content: Mapping[str, Any], where: str) -> Rules:
    """Return a contract as rules, its steps checked.

    Raises
    ------
    SpecError
        Where something is missing or unknown, a name is used twice, or a step cannot be compiled.
    """
    for key, kind in (("title", str), ("year", int), ("entity", str), ("inputs", dict), ("step", list)):
        if not isinstance(content.get(key), kind) or not content[key]:
            raise SpecError(f"{where}: a contract needs {key}")
    unknown = set(content) - {"title", "year", "entity", "inputs", "constants", "step", "source"}
    if unknown:
        raise SpecError(f"{where}: a contract has no {', '.join(sorted(unknown))}")
    constants = content.get("constants", {})
    known = [*content["inputs"], *constants]
    for step in content["step"]:
        if not isinstance(step.get("name"), str) or not step["name"].isidentifier():
            raise SpecError(f"{where}: every step needs a name of letters, digits and underscores")
        compile_step(step, known)
        known.append(step["name"])
    twice = sorted({name for name in known if known.count(name) > 1})
    if twice or "payment" in known[:-1]:
        raise SpecError(f"{where}: name used twice: {', '.join(twice) or 'payment (the last step)'}")
    source = content.get("source", where)
    values = {
        "entity": content["entity"],
        "inputs": content["inputs"],
        "constants": constants,
        "steps": content["step"],
    }
    parameters = {name: Parameter(name, value, source) for name, value in values.items()}
    return Rules("contract", content["year"], content["title"], parameters)


PROGRAM = Contract()
