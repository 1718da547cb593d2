"""Time the feature engine on 20 million events against other engines, on the same rows, in one run.

usage: features.py BENCH DATA [--work FOLDER] [--engines scan,polars,duckdb,pandas] [--repeat N]
       features.py BENCH DATA --tools meds-tab,timeseriesflattener [--patients N] [--venvs FOLDER]

BENCH holds the workload (generate.py, feature_list.py, reference.py, verify.py), DATA what generate.py wrote.
The events are ingested into a history store, 151 features are built from it through the public interface and
written to Parquet, and verify.py compares them with the reference's. Each engine runs in a process of its
own, whose peak memory is taken from outside. The runs of the engines are interleaved, and what is compared
are their medians: on a machine with other work to do, a best run is a matter of luck.

With --tools other packages are timed on so many patients as they can finish: see tools/compare.py.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import polars as pl

KINDS = {"ip": "inpatient", "ed": "emergency", "op": "outpatient"}
TABLES = ("enc", "dx", "rx", "lab")


class Ran(NamedTuple):
    """Seconds, peak memory in MiB, output and processor seconds of a command."""

    seconds: float
    memory: float
    output: str
    processor: float


def feature_set(bench: Path, data: Path):
    """Return the 151 features of the workload."""
    from riskmodels.features import (
        Count,
        DaysSince,
        Distinct,
        Encounters,
        Events,
        FeatureSet,
        Last,
        Mean,
        Sum,
    )
    from riskmodels.terminology import Grouper

    sys.path.insert(0, str(bench))
    from feature_list import CLASSES, GROUPS, TESTS, WINDOWS

    def grouper(name: str, pairs: list[tuple[str, str]], groups: list[str]) -> Grouper:
        prefixes = tuple(
            ("LOCAL", code.replace(".", "").upper(), groups.index(group))
            for code, group in pairs
            if group in groups
        )
        labels = {group: group for group in groups}
        return Grouper(name, "1", "the workload", "none", tuple(groups), labels, prefixes)

    maps = {t: pl.read_parquet(data / f"map_{t}.parquet").rows() for t in ("dx", "rx")}
    groupers = [grouper("dx", maps["dx"], GROUPS), grouper("rx", maps["rx"], CLASSES)]
    diagnoses, drugs = Events("diagnosis", grouper="dx"), Events("drug", grouper="rx")
    specs = [Count(Encounters(kind), WINDOWS, name=f"enc_n_{k}_{{days}}") for k, kind in KINDS.items()]
    specs += [
        Sum(Encounters(), WINDOWS, value=value, name=f"enc_{v}_{{days}}")
        for v, value in (("los", "length_of_stay"), ("cost", "paid"))
    ]
    specs += [DaysSince(Encounters(kind), 365, name=f"enc_dsl_{k}") for k, kind in KINDS.items()]
    specs += [
        Count(diagnoses, WINDOWS, name="dx_n_{group}_{days}"),
        Distinct(Events("diagnosis"), WINDOWS, name="dx_nd_{days}"),
        DaysSince(diagnoses, 365, name="dx_dsl_{group}"),
        Count(drugs, WINDOWS, name="rx_n_{group}_{days}"),
        Sum(Events("drug"), WINDOWS, value="days_supply", name="rx_sup_{days}"),
        Distinct(Events("drug"), WINDOWS, name="rx_nd_{days}"),
    ]
    for name, spec in (("last", Last), ("dsl", DaysSince), ("mean", Mean)):
        specs += [spec(Events("lab", codes=t), 365, name=f"lab_{name}_{t}") for t in TESTS]
    return FeatureSet("workload", specs, groupers)


def parts(data: Path):
    """Return the events of the workload in the tables of a history."""
    from riskmodels.history import Part

    def scan(table: str) -> pl.LazyFrame:
        return pl.scan_parquet(data / f"{table}.parquet")

    person_id = pl.col("pid").cast(pl.String).str.zfill(9).alias("person_id")
    at = pl.col("event_date").cast(pl.Datetime("us"))
    # Table by table, which takes half the memory of all rows at once.
    pids = pl.concat([scan(t).group_by("pid").agg() for t in (*TABLES, "idx")]).unique()
    nobody = {"birth_date": pl.date(1950, 1, 1), "sex": pl.lit("unknown")}
    yield Part("person", pids.select(person_id, **nobody), "persons")
    end = at.alias("end")
    stays = scan("enc").select(
        person_id,
        end,
        start=(at - pl.duration(days="los")),
        encounter_id=pl.col("eid").cast(pl.String),
        # Not by replace_strict, for which Polars holds the whole table in memory.
        kind=pl.coalesce(pl.when(pl.col("etype") == k).then(pl.lit(kind)) for k, kind in KINDS.items()),
        paid="cost",
    )
    yield Part("encounter", stays, "enc")
    # Of two results of a test on a day the one with the larger eid is the later: `position` says so.
    shapes = {
        "dx": ("diagnosis", "code", {}),
        "rx": ("drug", "drug", {"days_supply": pl.col("supply").cast(pl.Float64)}),
        "lab": ("lab", "test", {"value": pl.col("value")}),
    }
    for table, (kind, code, more) in shapes.items():
        rows = scan(table).select(
            person_id,
            time=at,
            kind=pl.lit(kind),
            code_system=pl.lit("LOCAL"),
            code=pl.col(code),
            position=pl.col("eid").cast(pl.Int32),
            **more,
        )
        yield Part("event", rows, table)


def do_ingest(bench: Path, data: Path, out: Path) -> None:
    """Write the events as a history."""
    from riskmodels.history import write_history

    write_history(parts(data), out, source_format="workload", replace=True)


def do_sort(bench: Path, data: Path, out: Path) -> None:
    """Write the same rows with Polars alone, sorted by patient and time."""
    shape = {"code": pl.String, "value": pl.Float64, "supply": pl.Int32, "cost": pl.Float64, "los": pl.Int32}
    names = {"dx": {}, "rx": {"drug": "code"}, "lab": {"test": "code"}, "enc": {"etype": "code"}}
    frames = []
    for table in TABLES:
        frame = pl.scan_parquet(data / f"{table}.parquet").rename(names[table])
        missing = [pl.lit(None, t).alias(c) for c, t in shape.items() if c not in frame.collect_schema()]
        frames.append(frame.with_columns(*missing).select("pid", "event_date", "eid", *shape))
    pl.concat(frames).sort("pid", "event_date").sink_parquet(out, compression="zstd")


def do_features(bench: Path, data: Path, history: Path, out: Path) -> None:
    """Build the 151 features; the time to load or compile the kernel is said apart."""
    from riskmodels.features.build import build_shard_features, make_plan
    from riskmodels.features.reading import read_shard
    from riskmodels.features.writing import write_features
    from riskmodels.history import open_history

    features = feature_set(bench, data)
    started = time.perf_counter()
    times = {"index_time": pl.Datetime("us"), "admission_time": pl.Datetime("us")}
    schema = {"index_id": pl.Int64, "person": pl.Int32, **times, "stay_encounters": pl.List(pl.Int32)}
    opened = open_history(history)
    plan = make_plan(features, opened.vocabulary, packed=True)
    build_shard_features(read_shard(opened, 0, plan), pl.DataFrame(schema=schema), plan)
    out.unlink(missing_ok=True)
    compiled, before = time.perf_counter(), time.process_time()
    opened = open_history(history)
    # By number, not by a text of it: the reference's index dates are joined by number too.
    persons = pl.scan_parquet(history / "shard=*" / "person.parquet", hive_partitioning=False)
    known = persons.select("person", pid=pl.col("person_id").cast(pl.Int64)).collect()
    numbers = np.full(known["pid"].max() + 1, -1, np.int32)
    numbers[known["pid"].to_numpy()] = known["person"].to_numpy()
    dates = pl.read_parquet(data / "idx.parquet")
    at = pl.col("index_date").cast(pl.Datetime("us"))
    cases = dates.select(
        "index_id",
        person=pl.Series(numbers[dates["pid"].to_numpy()]),
        index_time=at,
        admission_time=at,
        stay_encounters=pl.lit([], pl.List(pl.Int32)),
    )
    write_features(opened, cases, features, out)
    seconds, processor = time.perf_counter() - compiled, time.process_time() - before
    print(json.dumps({"seconds": seconds, "processor": processor, "compile": compiled - started}))


def run(command: list[str]) -> Ran:
    """Run a command, and watch it from outside."""
    started = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    output = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {child.returncode}")
    processor = usage.ru_utime + usage.ru_stime
    return Ran(time.perf_counter() - started, usage.ru_maxrss / 1024, output, processor)


def main() -> None:
    """Run the engines and print the table."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("bench", type=Path)
    arguments.add_argument("data", type=Path)
    arguments.add_argument("--work", type=Path)
    arguments.add_argument("--engines", default="scan,polars,duckdb,pandas")
    arguments.add_argument("--repeat", type=int, default=3)
    arguments.add_argument("--tools", default="")
    arguments.add_argument("--patients", type=int, default=500)
    arguments.add_argument("--venvs", type=Path)
    arguments.add_argument("--do", choices=["ingest", "sort", "features"])
    given = arguments.parse_args()
    bench, data = given.bench.resolve(), given.data.resolve()
    work = given.work or Path(tempfile.mkdtemp(prefix="features-"))
    work.mkdir(parents=True, exist_ok=True)
    history, ours = work / "history", work / "riskmodels.parquet"
    if given.do == "ingest":
        do_ingest(bench, data, history)
    elif given.do == "sort":
        do_sort(bench, data, work / "sorted.parquet")
    elif given.do == "features":
        do_features(bench, data, history, ours)
    elif given.tools:
        sys.path.insert(0, str(Path(__file__).parent / "tools"))
        from compare import compare_tools

        venvs = (given.venvs or work / "venvs").resolve()
        compare_tools(bench, data, work.resolve(), given.tools.split(","), venvs, given.patients, run)
    else:
        compare(bench, data, work, given.engines.split(","), given.repeat)


def compare(bench: Path, data: Path, work: Path, engines: list[str], repeat: int) -> None:
    """Run the engines in turn and print the table, each by its median."""
    history, ours = work / "history", work / "riskmodels.parquet"
    # An empty cache, so that the first run compiles the kernel and the later ones load it.
    os.environ["NUMBA_CACHE_DIR"] = tempfile.mkdtemp(prefix="numba-", dir=work)
    again = [sys.executable, __file__, str(bench), str(data), "--work", str(work)]
    if not history.exists():
        seconds, memory, _, _ = run([*again, "--do", "ingest"])
        plain, plain_memory, _, _ = run([*again, "--do", "sort"])
        print(f"ingest into a history: {seconds:.1f} s, peak {memory:.0f} MiB, {seconds / plain:.2f} times")
        print(f"a plain Polars sort and write: {plain:.1f} s, peak {plain_memory:.0f} MiB")
    compiles = []
    reference = [sys.executable, str(bench / "reference.py")]
    engines = ["riskmodels", *(engine for engine in engines if engine)]
    took: dict[str, list[float]] = {engine: [] for engine in engines}
    peaks: dict[str, list[float]] = {engine: [] for engine in engines}
    worked: dict[str, list[float]] = {engine: [] for engine in engines}
    for attempt in range(repeat):
        for engine in engines:
            if engine == "pandas" and attempt:
                continue  # once is enough for what takes longest
            if engine == "riskmodels":
                _, memory, output, _ = run([*again, "--do", "features"])
                told = json.loads(output.splitlines()[-1])
                compiles.append(told["compile"])
                seconds, processor = told["seconds"], told["processor"]
            else:
                out = work / f"{engine}.parquet"
                _, memory, output, processor = run([*reference, engine, str(data), str(out)])
                seconds = float(output.split(":")[1].split("s,")[0])
            took[engine].append(seconds)
            peaks[engine].append(memory)
            worked[engine].append(processor)
    print(f"kernel: {max(compiles):.2f} s to compile or load at first, {min(compiles):.2f} s from the cache")
    print(
        f"medians of {repeat} runs in turn, at a load of {os.getloadavg()[1]:.1f} on {os.cpu_count()} cores"
    )
    print(f"{'engine':<12}{'seconds':>9}{'processor':>10}{'peak MiB':>10}{'ours is':>14}{'run by run':>22}")
    for engine in engines:
        ratios = [a / b for a, b in zip(took["riskmodels"], took[engine], strict=False)]
        ratio = median(ratios)
        said = f"{ratio:.2f} x it" if ratio >= 1 else f"{1 / ratio:.1f} x faster"
        spread = f"{min(ratios):.2f} to {max(ratios):.2f} x it"
        if engine == "riskmodels":
            said = spread = ""
        figures = f"{median(took[engine]):>9.2f}{median(worked[engine]):>10.2f}{max(peaks[engine]):>10.0f}"
        print(f"{engine:<12}{figures}{said:>14}{spread:>22}")
    outputs = [str(work / f"{e}.parquet") for e in engines if e not in ("scan", "riskmodels")]
    if outputs:
        print(run([sys.executable, str(bench / "verify.py"), outputs[0], str(ours), *outputs[1:]])[2], end="")


if __name__ == "__main__":
    main()
