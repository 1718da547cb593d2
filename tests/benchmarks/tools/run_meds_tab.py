"""usage: run_meds_tab.py DATA WORK: the features that MEDS-Tab can express, by its own command line.

Runs in an environment of its own. DATA is what generate.py wrote, or a part of its patients. It is told the
index dates from the start, so that only their windows are tabularised. Groups are written into the codes, for
it knows single codes alone; days since, latest values and numbers of different codes have no aggregation; a
mean is the sum and the number of values.
"""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import polars as pl

WINDOWS = "[30d,90d,180d,365d]"
AGGREGATIONS = "[static/present,code/count,value/count,value/sum]"


def rows(frame, code, value=None):
    """Return events as MEDS has them."""
    return frame.select(
        subject_id="pid",
        time=pl.col("event_date").cast(pl.Datetime("us")),
        code=code,
        numeric_value=pl.lit(None, pl.Float32) if value is None else pl.col(value).cast(pl.Float32),
    )


def write_meds(data, folder):
    """Write the workload as a MEDS dataset of one shard, and the index dates as its task."""

    def read(table):
        return pl.read_parquet(data / f"{table}.parquet")

    enc = read("enc")
    parts = [
        rows(enc, "enc//" + pl.col("etype")),
        rows(enc, pl.lit("los"), "los"),
        rows(enc, pl.lit("cost"), "cost"),
        rows(read("dx").join(read("map_dx"), on="code"), "dx//" + pl.col("grp")),
        rows(read("rx").join(read("map_rx"), on="drug"), "rx//" + pl.col("cls")),
        rows(read("rx"), pl.lit("supply"), "supply"),
        rows(read("lab"), "lab//" + pl.col("test"), "value"),
    ]
    events = pl.concat(parts).sort("subject_id", "time", maintain_order=True)
    born = events.select(pl.col("subject_id").unique(maintain_order=True)).with_columns(
        time=pl.lit(None, pl.Datetime("us")), code=pl.lit("born"), numeric_value=pl.lit(None, pl.Float32)
    )
    events = pl.concat([born, events]).sort("subject_id", "time", nulls_last=False, maintain_order=True)
    for name, frame in (("data", events), ("labels", labels(read("idx")))):
        target = folder / name / "train"
        target.mkdir(parents=True)
        frame.write_parquet(target / "0.parquet")


def labels(index):
    """Return the index dates; the day's own events come before a later instant, so a moment is taken off."""
    at = pl.col("index_date").cast(pl.Datetime("us")) - pl.duration(microseconds=1)
    return index.select(subject_id="pid", prediction_time=at, boolean_value=pl.lit(True)).sort(
        "subject_id", "prediction_time"
    )


def main():
    data, work = Path(sys.argv[1]), Path(sys.argv[2])
    shutil.rmtree(work, ignore_errors=True)
    write_meds(data, work / "meds")
    commands = Path(sys.executable).parent
    given = [f"input_dir={work}/meds/data", f"output_dir={work}/out"]
    tabular = [
        f"tabularization.window_sizes={WINDOWS}",
        f"tabularization.aggs={AGGREGATIONS}",
        "tabularization.min_code_inclusion_count=0",
    ]
    index = f"input_label_dir={work}/meds/labels"
    started = time.perf_counter()
    for name, more in (
        ("describe", []),
        ("tabularize-static", [*tabular, index]),
        ("tabularize-time-series", [*tabular, index]),
    ):
        done = subprocess.run(
            [commands / f"meds-tab-{name}", *given, *more], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SystemExit(f"meds-tab-{name}: {done.stderr[-1500:]}")
        print(f"{name}: {time.perf_counter() - started:.1f} s so far", file=sys.stderr)
    print(f"{time.perf_counter() - started:.2f}")


if __name__ == "__main__":
    main()
