"""Measure `cjit check` beside the floor and write benchmarks/README.md.

The floor is what Polars needs to read the same file as text, `scan_csv(infer_schema=False).collect()`. Every run
is a whole process, its wall time, processor time and peak memory as the system counts them; the runs are
interleaved, so that what else the machine does falls on all alike; medians are shown, and the median of the ratios
within each round.

    make bench                                   everything, some ten minutes
    .venv/bin/python benchmarks/run.py --quick   100,000 rows, two rounds, nothing written
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path

HERE = Path(__file__).parent
DATA = HERE / "data"
TODAY = date(2026, 3, 31)
BIN = Path(sys.executable).parent
FLOOR = "import sys, polars; polars.scan_csv(sys.argv[1], infer_schema=False).collect()"
ONE = """
import sys, time
from datetime import date
from cjit import check_rows
from cjit.datasets.q import Q
from cjit.datasets.q.example import EXAMPLE
record = EXAMPLE | {"SEX": "x", "DISABLE2": "NN", "PC": ""} if sys.argv[1] == "faults" else EXAMPLE
took = []
for _ in range(300):
    start = time.perf_counter()
    check_rows(Q, [record], today=date(2026, 3, 31))
    took.append(time.perf_counter() - start)
print(sorted(took)[150], sorted(took)[285])
"""
ENGINE = """
import sys
from cjit.cli import main
from cjit.engine import checking
checking.FEW_ROWS = int(sys.argv.pop(1))
main()
"""


@dataclass(frozen=True)
class Run:
    """One process: wall and processor seconds, peak megabytes, and what it printed."""

    wall: float
    cpu: float
    peak: float
    out: str


def measured(*command: str | Path) -> Run:
    """Run a command to its end and say what it took. `cjit check` ends with 1 where something is rejected."""
    start = time.perf_counter()
    with subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True) as process:
        out = process.stdout.read() if process.stdout else ""
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):
        raise SystemExit(f"{command} ended with {process.returncode}")
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, out)


def made(rows: int, faults: float) -> Path:
    """A made-up file of some rows, of whose cells a share is wrong; kept for the next time."""
    path = DATA / f"{rows}-{faults}.csv"
    if not path.exists():
        from cjit.datasets import dataset
        from cjit.testdata.histories import big_file

        DATA.mkdir(exist_ok=True)
        print(f"making {path.name}", file=sys.stderr)
        big_file(dataset("Q"), path, rows, faults, 7, TODAY)
    return path


def shuffled(path: Path) -> Path:
    """The same rows in another order, so that those of a client stand anywhere."""
    other = path.with_name(f"{path.stem}-shuffled.csv")
    if not other.exists():
        import random

        header, *lines = path.read_bytes().splitlines(keepends=True)
        random.Random(7).shuffle(lines)
        other.write_bytes(b"".join([header, *lines]))
    return other


def check_of(path: Path) -> tuple[str | Path, ...]:
    """The command that is measured: structure check, whole book, and findings written."""
    where = DATA / "findings.csv"
    return BIN / "cjit", "check", path, "--today", str(TODAY), "--format", "csv", "--output", where


def beside(path: Path, rounds: int) -> tuple[list[Run], list[Run]]:
    """Floor and check, one after the other, some rounds; a first one unseen, to fill the file cache."""
    floors, checks = [], []
    for number in range(rounds + 1):
        floor = measured(sys.executable, "-c", FLOOR, path)
        check = measured(*check_of(path))
        if number:
            floors.append(floor)
            checks.append(check)
        print(f"{path.name}: floor {floor.wall:.2f} s, check {check.wall:.2f} s", file=sys.stderr)
    return floors, checks


def median(values: list[float]) -> float:
    """The middle value."""
    return statistics.median(values)


def row(name: str, floors: list[Run], checks: list[Run], findings: int, goal: str) -> str:
    """One line of the table of files."""
    ratio = median([c.wall / f.wall for f, c in zip(floors, checks, strict=True)])
    of_processors = median([c.cpu / f.cpu for f, c in zip(floors, checks, strict=True)])
    walls = [c.wall for c in checks]
    return (
        f"| {name} | {findings:,} | {median([f.wall for f in floors]):.2f} | {median(walls):.2f}"
        f" ({min(walls):.2f}–{max(walls):.2f}) | **{ratio:.2f}x** | {goal} | {median([f.cpu for f in floors]):.1f} |"
        f" {median([c.cpu for c in checks]):.1f} | {of_processors:.2f}x |"
        f" {median([f.peak for f in floors]):,.0f} | {median([c.peak for c in checks]):,.0f} |"
    )


def crossing(rounds: int) -> list[str]:
    """From how many rows on the engine of columns is faster: both engines, in turn, on files of several sizes."""
    lines = []
    for rows in (2_000, 5_000, 10_000, 20_000, 40_000):
        path = made(rows, 0.002)
        walls: dict[int, list[float]] = {10**9: [], -1: []}
        for few in [*walls] * rounds:
            command = [str(part) for part in check_of(path)[1:]]
            walls[few].append(measured(sys.executable, "-c", ENGINE, str(few), *command).wall)
        plain, columns = (median(of) for of in walls.values())
        lines.append(f"| {rows:,} | {plain:.2f} | {columns:.2f} |")
    return lines


def loop() -> float:
    """Processor seconds of ten million additions: how busy the machine is beside other times on it."""
    start = time.process_time()
    total = 0
    for number in range(10_000_000):
        total += number
    return time.process_time() - start


def lines_of(path: Path) -> int:
    """The number of records in a CSV file without quoted line ends."""
    with path.open("rb") as file:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b"")) - 1


def machine() -> str:
    """What this was measured on."""
    import polars

    with open("/proc/cpuinfo") as file:
        model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), platform.machine())
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 30
    return (
        f"{os.cpu_count()} cores ({model}), {pages} GiB, {platform.system()} {platform.release()}, Python"
        f" {platform.python_version()}, Polars {polars.__version__}; {date.today():%d/%m/%Y}"  # noqa: DTZ011
    )


def main() -> None:
    """Measure everything and write the page."""
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    asked.add_argument("--quick", action="store_true", help="100,000 rows, two rounds, nothing written")
    asked.add_argument("--rounds", type=int, default=7)
    given = asked.parse_args()
    rows, rounds = (100_000, 2) if given.quick else (1_000_000, given.rounds)
    files = []
    for share, goal in ((0.0, "–"), (0.002, "2.0x (stretch 1.5x)"), (0.05, "4.0x")):
        path = made(rows, share)
        floors, checks = beside(path, rounds)
        files.append(
            row(f"{rows:,} rows, {share:.1%} bad cells", floors, checks, lines_of(DATA / "findings.csv"), goal)
        )
    path = shuffled(made(rows, 0.002))
    floors, checks = beside(path, rounds)
    name = f"{rows:,} rows, 0.2% bad cells, clients in random order"
    files.append(row(name, floors, checks, lines_of(DATA / "findings.csv"), "3.0x"))
    if not given.quick:
        path = made(5_000_000, 0.002)
        floors, checks = beside(path, 1)
        name = "5,000,000 rows, 0.2% bad cells"
        files.append(row(name, floors, checks, lines_of(DATA / "findings.csv"), "at most 700 MB"))
    small = made(5_000, 0.002)
    starts, smalls, versions = [], [], []
    for _ in range(max(5, rounds)):
        starts.append(measured(sys.executable, "-c", "pass"))
        smalls.append(measured(*check_of(small)))
        versions.append(measured(BIN / "cjit", "--version"))
    start, start_cpu = median([run.wall for run in starts]), median([run.cpu for run in starts])
    plain, faulty = (
        [float(x) * 1000 for x in measured(sys.executable, "-c", ONE, which).out.split()]
        for which in ("plain", "faults")
    )
    short = [
        f"| 5,000 rows, 0.2% bad cells, beyond interpreter start | {median([s.wall for s in smalls]) - start:.2f} s |"
        " 0.20 s |",
        f"| – in processor time | {median([s.cpu for s in smalls]) - start_cpu:.2f} s | |",
        f"| `cjit --version`, beyond interpreter start | {median([v.wall for v in versions]) - start:.2f} s | 0.06 s |",
        f"| one record without faults, median (95 in 100) | {plain[0]:.2f} ms ({plain[1]:.1f} ms) | 0.3 ms |",
        f"| one record with three faults, median (95 in 100) | {faulty[0]:.2f} ms ({faulty[1]:.1f} ms) | 0.3 ms |",
    ]
    engines = crossing(3 if given.quick else max(5, rounds))
    page = PAGE.format(
        machine=machine(),
        rounds=rounds,
        files="\n".join(files),
        short="\n".join(short),
        engines="\n".join(engines),
        loop=median([loop() for _ in range(5)]),
    )
    print(page)
    if not given.quick:
        (HERE / "README.md").write_text(page, encoding="utf-8")


PAGE = """# How fast it is

`make bench` makes the files (all records made up), measures, and writes this page. Every run is a whole process; the
floor is `polars.scan_csv(path, infer_schema=False).collect()` of the same file: reading it as text, and nothing more.
The check is `cjit check FILE --format csv --output PATH`: the structure of the file, the whole rule book, the
completeness of every field, and all findings written. Floor and check took turns, {rounds} rounds; medians, with the
extremes in brackets, and the median of the ratios within each round, in time and in processor time.

{machine}. Ten million additions in Python took {loop:.2f} s of processor time afterwards; 0.40 s where nobody else uses
the machine.

| file | findings | floor s | check s | ratio | goal | floor cpu s | check cpu s | ratio | floor MB | check MB |
|---|---|---|---|---|---|---|---|---|---|---|
{files}

| small work | took | goal |
|---|---|---|
{short}

The goals that are not met are shown as they are.

Files of at most 10,000 rows are judged row by row, in Python, and Polars is not loaded for them. The engine
of columns is faster from some 15,000 rows on; seconds of the whole command:

| rows | row by row | by columns |
|---|---|---|
{engines}
"""

if __name__ == "__main__":
    main()
