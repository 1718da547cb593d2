"""usage: run_timeseriesflattener.py DATA OUT.parquet: the features that timeseriesflattener can express.

Runs in an environment of its own. DATA is what generate.py wrote, or a part of its patients. Counts are sums
of ones; days since the latest row have no aggregator.
"""

import datetime as dt
import sys
import time
from pathlib import Path

import polars as pl
import timeseriesflattener as tsf
from timeseriesflattener.aggregators import LatestAggregator, UniqueCountAggregator

sys.path.insert(0, sys.argv[3])
from feature_list import CLASSES, GROUPS, KINDS, TESTS, WINDOWS

data, out = Path(sys.argv[1]), sys.argv[2]
DAYS = [dt.timedelta(days=w) for w in WINDOWS]


def values(frame, value, name):
    """Return what a feature is made of."""
    at = pl.col("event_date").cast(pl.Datetime("us"))
    return tsf.ValueFrame(
        init_df=frame.select(entity_id="pid", timestamp=at, **{name: value.cast(pl.Float64)}),
        entity_id_col_name="entity_id",
        value_timestamp_col_name="timestamp",
    )


def spec(frame, value, name, aggregators, windows=DAYS, fallback=0.0):
    return tsf.PredictorSpec(
        value_frame=values(frame, value, name),
        lookbehind_distances=windows,
        aggregators=aggregators,
        fallback=fallback,
        column_prefix="",
    )


def main():
    def read(table):
        return pl.read_parquet(data / f"{table}.parquet")

    enc, lab = read("enc"), read("lab")
    dx = read("dx").join(read("map_dx"), on="code")
    rx = read("rx").join(read("map_rx"), on="drug", how="left")
    one, add = pl.lit(1.0), [tsf.SumAggregator()]
    specs = [spec(enc.filter(etype=k), one, f"enc_n_{k}", add) for k in KINDS]
    specs += [spec(enc, pl.col(v), f"enc_{v}", add) for v in ("los", "cost")]
    specs += [spec(dx.filter(grp=g), one, f"dx_n_{g}", add) for g in GROUPS]
    specs += [spec(rx.filter(cls=c), one, f"rx_n_{c}", add) for c in CLASSES]
    specs += [spec(read("rx"), pl.col("supply"), "rx_sup", add)]
    for name, frame, key in (("dx", read("dx"), "code"), ("rx", read("rx"), "drug")):
        number = pl.col(key).cast(pl.Categorical).to_physical()
        specs += [spec(frame, number, f"{name}_nd", [UniqueCountAggregator()])]
    last = [LatestAggregator(timestamp_col_name="timestamp"), tsf.MeanAggregator()]
    specs += [
        spec(lab.filter(test=t), pl.col("value"), f"lab_{t}", last, DAYS[-1:], float("nan")) for t in TESTS
    ]
    # Its windows hold both ends: a moment before the index date they are those of the workload.
    at = pl.col("index_date").cast(pl.Datetime("us")) - pl.duration(microseconds=1)
    # Of two index dates of a patient on one day it can take one.
    index = read("idx").select("index_id", entity_id="pid", pred_timestamp=at)
    index = index.unique(["entity_id", "pred_timestamp"], keep="first", maintain_order=True)
    flattener = tsf.Flattener(
        predictiontime_frame=tsf.PredictionTimeFrame(
            init_df=index, entity_id_col_name="entity_id", timestamp_col_name="pred_timestamp"
        )
    )
    started = time.perf_counter()
    made = flattener.aggregate_timeseries(specs=specs).df
    (made.collect() if isinstance(made, pl.LazyFrame) else made).write_parquet(out)
    print(f"{time.perf_counter() - started:.2f}")


if __name__ == "__main__":
    main()
