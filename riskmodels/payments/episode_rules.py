"""Episodes of a program and year from a history, by the program's own rules."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from riskmodels.errors import DataError, SpecError
from riskmodels.files import atomic_file
from riskmodels.payments.episodes import build_episodes, find_anchors, history_claims, winsorise
from riskmodels.payments.reading import read_table
from riskmodels.payments.rules import load_rules

__all__ = ["PROGRAMS", "Episodes", "episodes_of", "read_categories", "read_exclusions", "read_prices"]

_RULES = ("episode_days", "later_anchor", "cancelled_by_death", "winsorising")
PROGRAMS = ("bpci-advanced", "cjr", "team")


@dataclass(frozen=True)
class Episodes:
    """Episodes as `pay` reads them, the rules behind them that no source could confirm, and notes."""

    frame: pl.DataFrame
    unverified: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def to_text(self) -> str:
        """Return the episodes by category: how many, mean and largest cost; and what is unverified."""
        lines = [
            f"{self.frame.height:,} episodes of {self.frame['participant_id'].n_unique():,} participants"
        ]
        cost = pl.col("cost")
        by = self.frame.group_by("episode_category").agg(
            pl.len(), cost.mean().alias("mean"), cost.max().alias("most")
        )
        for name, count, mean, most in by.sort("episode_category").iter_rows():
            lines.append(f"  {name}: {count:,} episodes, mean cost ${mean:,.0f}, largest ${most:,.0f}")
        lines += [f"Note: {note}" for note in self.notes]
        if self.unverified:
            lines.append(f"Unverified: no public source confirmed {', '.join(self.unverified)}")
        return "\n".join(lines)

    def write(self, path: str | Path) -> None:
        """Write the episodes as `pay` reads them, as CSV or Parquet by suffix.

        Raises
        ------
        DataError
            The path ends in neither .csv nor .parquet.
        """
        if Path(path).suffix.lower() not in (".csv", ".parquet"):
            raise DataError("cannot write this kind of file", file=path, fix="end it in .csv or .parquet")
        with atomic_file(path) as temporary:
            if Path(path).suffix.lower() == ".parquet":
                self.frame.write_parquet(temporary)
            else:
                self.frame.write_csv(temporary)


def episodes_of(
    program: str,
    year: int,
    encounters: pl.DataFrame,
    events: pl.DataFrame | None = None,
    *,
    categories: Mapping[str, str] | None = None,
    excluded_codes: tuple[str, ...] = (),
    excluded_drgs: tuple[str, ...] = (),
    prices: pl.DataFrame | None = None,
) -> Episodes:
    """Return the episodes of a history by a program's rules: window, cancellation, winsorising.

    Parameters
    ----------
    program : {"bpci-advanced", "cjr", "team"}
    encounters : polars.DataFrame
        The history's encounters, with death_date where known; without it no death cancels.
    events : polars.DataFrame, optional
        The history's events; those that were paid by themselves count.
    categories : mapping of str to str, optional
        DRG to episode category; the program's own where its rules have them.
    excluded_codes, excluded_drgs : tuple of str
        The model's lists of unrelated services.
    prices : polars.DataFrame, optional
        participant_id, episode_category and target_price (or hospital_price and regional_price).

    Raises
    ------
    SpecError
        For a program without episodes, or without DRGs of its own where none are given.
    DataError
        For episodes whose participant and category have no price.
    """
    if program not in PROGRAMS:
        raise SpecError(f"{program!r} has no episodes. Choose from: {', '.join(PROGRAMS)}.")
    rules = load_rules(program, year)
    known = categories or rules.get("anchor_drgs")
    if not known:
        raise SpecError(f"{program} {year} needs the DRGs of its episodes: give categories")
    anchors = find_anchors(encounters, known)
    later = rules["later_anchor"]
    table = isinstance(later, Mapping)
    rule, replaced = (later["otherwise"], later["replaced"]) if table else (later, ())
    deaths = rules["cancelled_by_death"] if "death_date" in anchors.columns else None
    frame = build_episodes(
        anchors,
        history_claims(encounters, events),
        window_days=rules["episode_days"],
        excluded_codes=excluded_codes,
        excluded_drgs=excluded_drgs,
        cancelled_by_death=deaths,
        later_anchor=rule,
        replaced=replaced,
    )
    reversed_ = frame.filter(pl.col("cost") < 0).height
    notes = (
        (f"episodes whose claims add up to less than nothing count as $0: {reversed_}",) if reversed_ else ()
    )
    frame = frame.with_columns(pl.col("cost").clip(0))
    frame = winsorise(frame, **{"low": 0.0, **rules["winsorising"]})
    if prices is not None:
        frame = frame.join(
            prices, on=["participant_id", "episode_category"], how="left", maintain_order="left"
        )
        missing = frame.filter(pl.any_horizontal(pl.col(name).is_null() for name in prices.columns[2:]))
        if missing.height:
            row = missing.row(0, named=True)
            raise DataError(f"no price of {row['episode_category']!r} for {row['participant_id']!r}",
                            fix="give a row for each participant and category")  # fmt: skip
    used = [name for name in _RULES if name != "cancelled_by_death" or deaths]
    return Episodes(frame, rules.unverified([*used, *([] if categories else ["anchor_drgs"])]), notes)


def read_categories(path: str | Path) -> dict[str, str]:
    """Return DRG to episode category of a file with columns drg and episode_category."""
    table = read_table(path, ("drg", "episode_category"))
    drgs = table.identifiers(table.column("drg"), width=3)
    return dict(zip(drgs, table.text(table.column("episode_category")), strict=True))


def read_exclusions(path: str | Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return excluded codes and DRGs of a file with columns kind (drg, diagnosis or procedure) and code.

    A diagnosis or procedure code excludes all codes that begin with it.
    """
    table = read_table(path, ("kind", "code"))
    kinds, codes = table.frame[table.column("kind")].str.to_lowercase(), table.keys(table.column("code"))
    odd = ~kinds.is_in(["drg", "diagnosis", "procedure"])
    if odd.any():
        row = int(odd.arg_max() or 0)
        raise DataError(f"{kinds[row]!r} is none of drg, diagnosis, procedure", file=path, column="kind",
                        line=table.lines[row])  # fmt: skip
    return tuple(codes.filter(kinds != "drg")), tuple(codes.filter(kinds == "drg"))


def read_prices(path: str | Path) -> pl.DataFrame:
    """Return participant_id, episode_category and the prices of a file, one target or the two of a blend."""
    table = read_table(path, ("participant_id", "episode_category", "(target|regional)_price"))
    names = [name for name in ("target_price", "hospital_price", "regional_price") if table.find(name)]
    frame = pl.DataFrame(
        {
            "participant_id": table.keys(table.column("participant_id")),
            "episode_category": table.text(table.column("episode_category")),
            **{name: table.number(table.column(name), minimum=0, required=True) for name in names},
        }
    )
    twice = frame.filter(pl.struct("participant_id", "episode_category").is_duplicated())
    if twice.height:
        row = twice.row(0, named=True)
        raise DataError(f"two prices of {row['episode_category']!r} for {row['participant_id']!r}", file=path)
    return frame
