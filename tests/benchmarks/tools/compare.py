"""Time other packages on as many patients as they can finish, beside riskmodels on the same rows.

Each runs in an environment of its own, which is made with pip the first time.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl

__all__ = ["TOOLS", "compare_tools"]

HERE = Path(__file__).parent
# What pip installs, and how many of the 151 features the tool can express.
TOOLS = {
    "meds-tab": (["meds-tab"], "run_meds_tab.py", 112),
    "timeseriesflattener": (["timeseriesflattener", "attrs"], "run_timeseriesflattener.py", 128),
}
SUFFIXES = {"sum_fallback_0.0": "", "n_unique_fallback_0.0": "", "mean_fallback_nan": "mean"}
SUFFIXES |= {"latest_fallback_nan": "last"}


def take_patients(data: Path, out: Path, patients: int) -> Path:
    """Write the rows of the first patients."""
    out.mkdir(parents=True, exist_ok=True)
    for file in sorted(data.glob("*.parquet")):
        rows = pl.scan_parquet(file)
        if "pid" in rows.collect_schema():
            rows = rows.filter(pl.col("pid") < patients)
        rows.collect().write_parquet(out / file.name)
    return out


def environment(name: str, venvs: Path) -> Path:
    """Return the Python of a tool's environment; make it where it is not there."""
    python = venvs / name / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(venvs / name)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", *TOOLS[name][0]]
        subprocess.run(pip, check=True)
    return python


def compare_tools(
    bench: Path, data: Path, work: Path, tools: list[str], venvs: Path, patients: int, run
) -> None:
    """Run the tools and riskmodels on some patients, each watched by `run`, and print a table."""
    some = take_patients(data, work / f"first-{patients}", patients)
    folder = work / f"tools-{patients}"
    again = [sys.executable, str(HERE.parent / "features.py"), str(bench), str(some), "--work", str(folder)]
    run([*again, "--do", "ingest"])
    run([*again, "--do", "features"])  # compiles the kernel, where it is not in the cache
    whole, memory, output, _ = run([*again, "--do", "features"])
    seconds = json.loads(output.splitlines()[-1])["seconds"]
    ours = folder / "riskmodels.parquet"
    events = sum(
        pl.scan_parquet(some / f"{t}.parquet").select(pl.len()).collect().item()
        for t in ("enc", "dx", "rx", "lab")
    )
    print(f"{patients:,} patients, {events:,} events; the work, and the whole process with imports")
    print(f"{'tool':<30}{'features':>9}{'seconds':>9}{'process':>9}{'peak MiB':>10}{'ours is':>16}")
    print(f"{'riskmodels':<30}{151:>9}{seconds:>9.2f}{whole:>9.1f}{memory:>10.0f}")
    for tool in tools:
        python = environment(tool, venvs)
        out = folder / f"{tool}.parquet"
        command = [str(python), str(HERE / TOOLS[tool][1]), str(some), str(out), str(bench)]
        process, peak, output, _ = run(command)
        took = float(output.splitlines()[-1])
        version = subprocess.run(
            [str(python), "-c", f"from importlib.metadata import version; print(version({tool!r}))"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        said = f"{took / seconds:.1f} x faster"
        print(
            f"{tool + ' ' + version:<30}{TOOLS[tool][2]:>9}{took:>9.2f}{process:>9.1f}{peak:>10.0f}{said:>16}"
        )
        if tool == "timeseriesflattener":
            print(f"  {equal_columns(out, ours)}")


def equal_columns(theirs: Path, ours: Path) -> str:
    """Say how many of the columns of timeseriesflattener hold what ours hold."""
    left = pl.read_parquet(theirs).sort("index_id")
    right = pl.read_parquet(ours).join(left, on="index_id", how="semi").sort("index_id")
    equal, other = 0, []
    for column in left.columns:
        found = re.fullmatch(r"_(.+)_within_0_to_(\d+)_days_(.+)", column)
        if not found or found[3] not in SUFFIXES:
            continue
        name, days, statistic = found[1], found[2], SUFFIXES[found[3]]
        name = f"{name}_{days}" if not statistic else name.replace("lab_", f"lab_{statistic}_")
        pair = [frame[key].cast(pl.Float64).to_numpy() for frame, key in ((left, column), (right, name))]
        same = np.isclose(*pair, rtol=1e-6, atol=1e-6, equal_nan=True).all()
        equal, other = (equal + 1, other) if same else (equal, [*other, name])
    return f"{equal} columns equal ours" + (f"; these do not: {', '.join(other[:8])}" if other else "")
