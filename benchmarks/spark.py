"""Measure the check in Spark beside the check on one machine, and write benchmarks/SPARK.md.

The same made-up rows are put to `cjit.check` in one process, and to `cjit.spark.check` on Sail, a Spark Connect server
in one process; both write their findings as Parquet, and these must be equal. Once the rows are those of a hundred
agencies, read from Parquet; once of a single one, which one machine reads from a CSV file and Spark splits. Every run
is a process of its own; wall time, processor time and peak memory are as the system counts them. A process that takes
more memory than it may is ended, and that is what the page says.

    make bench-spark                                       a million rows and ten, some twenty minutes
    .venv/bin/python -m benchmarks.spark --rows 100000     nothing written
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.run import DATA, HERE, TODAY, Run, machine, made

AGENCIES = 100
FAULTS = 0.002
ROWS = (1_000_000, 10_000_000)
#: Rows of a part of the single agency.
PART = 500_000
#: Megabytes that a process may take.
MEMORY = 14_000


def put_down(rows: int) -> Path:
    """Made-up rows as Parquet: who sent each (`sender`, in equal shares), its number there, and its cells.

    For all rows as one agency's there are `sender_of_all`, `number_of_all` and `AGNCY_of_all`.
    """
    import polars as pl

    path = DATA / f"spark-{rows}.parquet"
    if not path.exists():
        print(f"making {path.name}", file=sys.stderr)
        frame = pl.scan_csv(made(rows, FAULTS), infer_schema=False).with_row_index("at")
        [code] = frame.select(pl.col("AGNCY").first()).collect().to_series()
        at, share = pl.col("at").cast(pl.Int64), -(-rows // AGENCIES)
        sender = pl.format("CJ{}", 300 + at // share)
        frame = frame.with_columns(
            sender=sender,
            number=at % share + 2,
            sender_of_all=pl.lit(code),
            number_of_all=at + 2,
            AGNCY_of_all=pl.col("AGNCY"),
            AGNCY=pl.when(pl.col("AGNCY") == code).then(sender).otherwise("AGNCY"),
        )
        frame.drop("at").sink_parquet(path, row_group_size=100_000)
    return path


def on_one(rows: int, single: bool) -> None:
    """Check all rows as one agency's file, or agency by agency, with `cjit.check`."""
    import polars as pl

    import cjit

    source = pl.scan_parquet(put_down(rows))
    parts = []
    if single:
        [code] = source.select(pl.col("sender_of_all").first()).collect().to_series()
        found = cjit.check(made(rows, FAULTS), today=TODAY, submitter=code).frame
        parts.append(found.select(pl.lit(code).alias("agency"), pl.all()))
    else:
        for number in range(AGENCIES):
            agency = f"CJ{300 + number}"
            records = source.filter(pl.col("sender") == agency).collect()
            found = cjit.check(records, today=TODAY, submitter=agency).frame
            parts.append(found.select(pl.lit(agency).alias("agency"), pl.all()))
    pl.concat(parts).cast({"rule": pl.String, "row": pl.Int64}).write_parquet(_found("one"))


def on_sail(rows: int, single: bool) -> None:
    """The same on Sail."""
    os.environ.setdefault("RUST_LOG", "error")
    from pysail.spark import SparkConnectServer
    from pyspark.sql import SparkSession

    from cjit.spark import check

    server = SparkConnectServer()
    server.start(background=True)
    host, port = server.listening_address
    spark = SparkSession.builder.remote(f"sc://{host}:{port}").getOrCreate()
    frame = spark.read.parquet(str(put_down(rows)))
    if single:
        frame = frame.withColumn("AGNCY", frame["AGNCY_of_all"])
    of = "_of_all" if single else ""
    found = check(frame, today=TODAY, submitter_column=f"sender{of}", row_column=f"number{of}", rows_together=PART)
    found.write.parquet(str(_found("sail")))
    spark.stop()
    server.stop()


WAYS = {"one": on_one, "sail": on_sail}


def _found(way: str) -> Path:
    return DATA / f"spark-findings-{way}"


def watched(command: Sequence[str], megabytes: int) -> Run | None:
    """Run a command to its end and say what it took; None where it took more memory than it may."""
    start = time.perf_counter()
    process = subprocess.Popen(command)
    ended = 0
    while not ended:
        time.sleep(0.2)
        ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        if not ended and _megabytes(process.pid) > megabytes:
            process.kill()
            os.wait4(process.pid, 0)
            process.returncode = -9
            return None
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} ended with {process.returncode}")
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, "")


def _megabytes(process: int) -> float:
    with open(f"/proc/{process}/status") as file:
        held = [line.split()[1] for line in file if line.startswith("VmRSS")]
    return int(held[0]) / 1024 if held else 0


def findings(rows: int) -> str:
    """How many findings both have; ends the program where they are not the same."""
    import polars as pl

    one, sail = (pl.read_parquet(path) for path in (_found("one"), _found("sail") / "*.parquet"))
    order = one.columns
    if not one.sort(order, nulls_last=True).equals(sail.select(order).sort(order, nulls_last=True)):
        raise SystemExit(f"The findings of {rows:,} rows differ")
    return f"{one.height:,}"


def row(rows: int, single: bool, way: str, run: Run | None, megabytes: int, found: str) -> str:
    """A line of the table."""
    agencies = "one agency" if single else f"{AGENCIES} agencies"
    name = {"one": "one machine", "sail": "Sail"}[way]
    if run is None:
        return f"| {rows:,} rows, {agencies} | {name} | – | more than {megabytes:,} MB | – | – |"
    return f"| {rows:,} rows, {agencies} | {name} | {run.wall:.0f} | {run.peak:,.0f} MB | {run.cpu:.0f} | {found} |"


def main() -> None:
    """Measure everything and write the page."""
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    asked.add_argument("--rows", type=int, help="so many rows, nothing written")
    asked.add_argument("--memory", type=int, default=MEMORY, help="megabytes that a process may take")
    asked.add_argument("--one", choices=WAYS, help=argparse.SUPPRESS)
    asked.add_argument("--single", action="store_true", help=argparse.SUPPRESS)
    given = asked.parse_args()
    if given.one:
        WAYS[given.one](given.rows, given.single)
        return
    lines = []
    for rows in [given.rows] if given.rows else ROWS:
        put_down(rows)
        for single in (False, True):
            runs: dict[str, Run | None] = {}
            for way in WAYS:
                shutil.rmtree(_found(way), ignore_errors=True)
                command = [sys.executable, "-m", "benchmarks.spark", "--one", way, "--rows", str(rows)]
                runs[way] = watched([*command, *(["--single"] if single else [])], given.memory)
            found = findings(rows) if all(runs.values()) else "–"
            lines += [row(rows, single, way, run, given.memory, found) for way, run in runs.items()]
            print(*lines[-2:], f"load {os.getloadavg()}", sep="\n", file=sys.stderr)
    page = PAGE.format(machine=machine(), part=PART, load=os.getloadavg()[2], lines="\n".join(lines))
    print(page)
    if not given.rows:
        (HERE / "SPARK.md").write_text(page, encoding="utf-8")


PAGE = """# How fast it is in Spark

`make bench-spark` makes the rows (all made up, 0.2% of the cells wrong), measures, and writes this page. One machine is
`cjit.check` in one process: of a hundred agencies one after the other from Parquet, of a single agency its CSV file.
Sail is a Spark Connect server in one process, on the same machine, with `cjit.spark.check`; the single agency is split
into parts of {part:,} rows. One run each. Where both came to an end their findings are the same, row for row.

{machine}; mean load of the last 15 minutes at the end {load:.1f}

| rows | way | wall s | peak memory | processor s | findings |
|---|---|---|---|---|---|
{lines}
"""

if __name__ == "__main__":
    main()
