"""Measure cjit beside its peers on 25 rules that all of them can say, and write benchmarks/peers/README.md.

Every run is a whole process; floor and peers take turns. First each reads the file once unmeasured, and its findings
are held against those of plain Python, row by row: a difference that has no reason ends the run with status 1.

    make bench-peers                installs the peers, makes the files, measures, writes the page: some ten minutes
    make bench-peers ARGS=--quick   100,000 rows, two rounds, nothing written
    make bench-peers ARGS=--agree   2,000 rows, nothing measured: do the peers agree?
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import tokenize
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import get_context
from pathlib import Path

from benchmarks.peers.common import RULES, TODAY
from benchmarks.run import BIN, DATA, FLOOR, Run, machine, made, measured, median

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
Found = frozenset[tuple[int, str]]
#: Of so many rows one is sent again, at the end of the file.
ONE_AGAIN_IN = 500
_BY_CJIT = {name: rule for rule, common in RULES.items() for name in common.cjit}


@dataclass(frozen=True)
class Peer:
    """Something that is measured: its name, its module here, the package it needs, and what else it needs.

    `shares` says that it is given the expressions of `polars_bare`; `options` is for the command of cjit alone.
    """

    name: str
    module: str
    package: str
    needs: tuple[str, ...] = ()
    shares: bool = False
    options: tuple[str, ...] = ()

    @property
    def version(self) -> str | None:
        """The version of its package; None where something that it needs is not installed."""
        try:
            for package in self.needs:
                version(package)
            return version(self.package) if self.package else sys.version.split()[0]
        except PackageNotFoundError:
            return None

    def command(self, source: Path, target: Path) -> tuple[str | Path, ...]:
        """The command that reads a file and writes its findings."""
        if self.options:
            return BIN / "cjit", "check", source, "--output", target, *self.options
        return sys.executable, "-m", f"benchmarks.peers.{self.module}", source, target

    def lines(self) -> str:
        """How many lines its rules take."""
        if self.package == "cjit":
            return f"{len(_BY_CJIT)} of its rules"
        own = code_lines(HERE / f"{self.module}.py")
        return f"{own} + {code_lines(HERE / 'polars_bare.py')} shared" if self.shares else str(own)


#: cjit's command with its whole report, and no rule but those.
_COMMAND = (
    *("--today", str(TODAY), "--format", "csv"),
    *(part for name in _BY_CJIT for part in ("--only", name)),
)
PLAIN = Peer("plain Python", "plain_python", "")
PEERS = (
    Peer("bare Polars", "polars_bare", "polars"),
    Peer("dataframely", "dataframely_", "dataframely", shares=True),
    Peer("DuckDB", "duckdb_sql", "duckdb"),
    Peer("pandera (Polars)", "pandera_polars", "pandera", shares=True),
    Peer("pointblank (Polars)", "pointblank_", "pointblank", shares=True),
    Peer("pandas", "pandas_", "pandas", ("pyarrow",)),
    PLAIN,
    Peer("**cjit** (library)", "cjit_", "cjit"),
    Peer("**cjit** (command, whole report)", "", "cjit", options=_COMMAND),
)


def code_lines(path: Path) -> int:
    """The lines of the rules in a peer's file that hold code: no blank lines, comments or docstrings."""
    held: set[int] = set()
    first = last = 0
    with tokenize.open(path) as file:
        tokens = list(tokenize.generate_tokens(file.readline))
    before = tokenize.NEWLINE
    for token in tokens:
        if token.string.startswith("# ---- the rules"):
            first = token.start[0]
        if token.string.startswith("# ---- the run"):
            last = token.start[0]
        if token.type in (tokenize.COMMENT, tokenize.NL):
            continue
        beside = token.type in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
        is_docstring = token.type == tokenize.STRING and before in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
        if not beside and not is_docstring:
            held.update(range(token.start[0], token.end[0] + 1))
        before = token.type
    return sum(first < line < last for line in held)


# ---- the files -------------------------------------------------------------------------------------


def sent(rows: int, faults: float) -> Path:
    """A made-up file of exactly so many rows, some cells wrong, one row in ONE_AGAIN_IN sent again at its end."""
    path = DATA / f"peers-{rows}-{faults}.csv"
    if not path.exists():
        again = rows // ONE_AGAIN_IN
        with made(rows, faults).open(encoding="utf-8", newline="") as file, path.open("w", newline="") as out:
            repeated = []
            for number, line in enumerate(file):
                if number <= rows - again:
                    out.write(line)
                if number % ONE_AGAIN_IN == 1:
                    repeated.append(line)
            out.writelines(repeated[:again])
    return path


def found_in(target: Path) -> Found:
    """The findings in a file as rows and rules of the 25; the names of cjit's rules are put in their place."""
    with target.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        told = [(int(row["row"]), _BY_CJIT.get(row["rule"], row["rule"])) for row in rows]
    found = frozenset(told)
    if len(found) != len(told) or not {rule for _, rule in found} <= RULES.keys():
        raise SystemExit(f"{target} has findings twice, or of a rule that is none of the 25")
    return found


# ---- do they agree ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Difference:
    """How one peer's findings of one rule differ from those of plain Python, in rows.

    `read` are rows more in which a field of the rule has a value that is not plainly written; `more` and `fewer` are
    rows for which there is no such reason.
    """

    rule: str
    read: int
    more: tuple[int, ...]
    fewer: tuple[int, ...]

    @property
    def has_a_reason(self) -> bool:
        """Whether nothing is left to explain."""
        return not self.more and not self.fewer


def differences(plain: Found, found: Found, loose: Mapping[int, Collection[str]]) -> list[Difference]:
    """How findings differ from those of plain Python, by rule.

    Args:
        plain: What plain Python found.
        found: What another found.
        loose: By row, the fields whose value is understood by cjit though it is not plainly written.

    Returns:
        One for each rule with a difference, in the order of the rules; none where both found the same.

    """
    by_rule: dict[str, tuple[list[int], list[int], list[int]]] = defaultdict(lambda: ([], [], []))
    for row, rule in sorted(plain ^ found):
        read, more, fewer = by_rule[rule]
        if (row, rule) in plain:
            fewer.append(row)
        elif set(RULES[rule].reads).intersection(loose.get(row, ())):
            read.append(row)
        else:
            more.append(row)
    return [
        Difference(rule, len(read), tuple(more), tuple(fewer)) for rule, (read, more, fewer) in sorted(by_rule.items())
    ]


def not_plainly_written(source: Path) -> dict[int, set[str]]:
    """By row, the fields whose value is understood by cjit though it is not plainly written."""
    from cjit.engine.checking import check

    loose: dict[int, set[str]] = defaultdict(set)
    told = check(source, "Q", today=TODAY, only=["*.is_plainly_written"]).frame.select("row", "rule")
    for row, rule in told.iter_rows():
        header, _, name = rule.partition(".")
        if name == "is_plainly_written":
            loose[row].add(header)
    return dict(loose)


@dataclass(frozen=True)
class Agreement:
    """What plain Python found in a file, by rule, and how the findings of each peer differ from it."""

    found: Counter[str]
    differences: dict[Peer, list[Difference]]


def agreement(source: Path, peers: Iterable[Peer]) -> Agreement:
    """Let plain Python and each peer check a file, and hold what they find against one another."""
    plain = found_by(PLAIN, source)
    loose = not_plainly_written(source)
    others = {peer: differences(plain, found_by(peer, source), loose) for peer in peers if peer != PLAIN}
    return Agreement(Counter(rule for _, rule in plain), {PLAIN: []} | others)


def found_by(peer: Peer, source: Path) -> Found:
    """Let a peer check a file, and read what it found."""
    took(peer, source)
    return found_in(_target(source))


def took(peer: Peer, source: Path) -> Run:
    """Let a peer check a file: what it took."""
    target = _target(source)
    target.unlink(missing_ok=True)
    run = measured(*peer.command(source, target))
    if not target.exists():
        raise SystemExit(f"{peer.name} wrote no findings: see above what stopped it")
    return run


def _target(source: Path) -> Path:
    return source.with_suffix(".found")


# ---- what it took ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Measured:
    """One file, what was found in it, every round's runs, and the load of the machine before and after."""

    name: str
    agreed: Agreement
    floors: list[Run]
    runs: dict[Peer, list[Run]]
    load: tuple[float, float]

    def line(self, peer: Peer) -> str:
        """A peer's line of the table."""
        runs = self.runs[peer]
        cpu = median([run.cpu / floor.cpu for run, floor in zip(runs, self.floors, strict=True)])
        wall = median([run.wall / floor.wall for run, floor in zip(runs, self.floors, strict=True)])
        more = sum(each.read + len(each.more) - len(each.fewer) for each in self.agreed.differences[peer])
        findings = f"{self.agreed.found.total() + more:,}"
        return _line(peer.name, peer.version or "", peer.lines(), (cpu, wall), runs, findings)

    def table(self) -> str:
        """The table of this file."""
        columns = (
            "peer | version | lines of rules | processor, x floor | wall, x floor | processor s | wall s | peak MB"
        )
        head = f"| {columns} | findings |\n|---|---|---|---|---|---|---|---|---|"
        floor = _line("the floor, all 49 columns", version("polars"), "", (1.0, 1.0), self.floors, "")
        return "\n".join((head, floor, *(self.line(peer) for peer in self.runs)))


def _line(name: str, of: str, lines: str, ratios: tuple[float, float], runs: Sequence[Run], findings: str) -> str:
    cpu, wall = (median([getattr(run, what) for run in runs]) for what in ("cpu", "wall"))
    peak = median([run.peak for run in runs])
    return (
        f"| {name} | {of} | {lines} | **{ratios[0]:.1f}** | {ratios[1]:.1f} | {cpu:.2f} | {wall:.2f} | {peak:,.0f} |"
        f" {findings} |"
    )


def beside(rows: int, faults: float, rounds: int, peers: Sequence[Peer]) -> Measured:
    """Floor and peers, one after the other, some rounds; a first one unmeasured, in which they must agree."""
    print(f"{rows:,} rows: do they agree?", file=sys.stderr)
    # What a process measures of its children's memory is never less than its own, so this one keeps small.
    with ProcessPoolExecutor(1, get_context("spawn")) as apart:
        source = apart.submit(sent, rows, faults).result()
        agreed = apart.submit(agreement, source, peers).result()
    before = os.getloadavg()[0]
    floors: list[Run] = []
    runs: dict[Peer, list[Run]] = {peer: [] for peer in peers}
    for number in range(rounds):
        floors.append(measured(sys.executable, "-c", FLOOR, source))
        for peer in peers:
            runs[peer].append(took(peer, source))
        said = ", ".join(f"{peer.module or 'command'} {of[-1].cpu:.1f}" for peer, of in runs.items())
        print(f"round {number + 1}, processor s: floor {floors[-1].cpu:.1f}, {said}", file=sys.stderr)
    name = f"{rows:,} rows, {faults:.1%} bad cells, {rounds} rounds"
    return Measured(name, agreed, floors, runs, (before, os.getloadavg()[0]))


# ---- the page --------------------------------------------------------------------------------------


def rules_table(names: Sequence[str], founds: Sequence[Mapping[str, int]]) -> str:
    """The 25 rules, what says the same in cjit, and what plain Python found of each in each file."""
    head = f"| rule | what must hold | rules of cjit | {' | '.join(names)} |\n|---|---|---|{'---|' * len(names)}\n"
    return head + "\n".join(
        f"| {rule} | {common.says} | {', '.join(f'`{name}`' for name in common.cjit)} |"
        f" {' | '.join(f'{found[rule]:,}' for found in founds)} |"
        for rule, common in RULES.items()
    )


def told(name: str, differ: Mapping[Peer, Sequence[Difference]]) -> list[str]:
    """What there is to say of whether the peers agree on a file, a sentence each."""
    same = [peer.name for peer, differs in differ.items() if not differs]
    said = [f"- {name}: the same rows for every rule: {', '.join(same)}."]
    for peer, differs in differ.items():
        for each in differs:
            if each.read:
                said.append(
                    f"- {name}: {peer.name} finds {each.read:,} more of {each.rule}. In each of these rows a field of "
                    "the rule has a value that is not plainly written (a space after it, 01 for 1, 2025-10-10), which "
                    "cjit understands and puts to its other rules too, and the peers take for none."
                )
            for what, rows in (("more", each.more), ("fewer", each.fewer)):
                if rows:
                    some = ", ".join(map(str, rows[:5]))
                    said.append(
                        f"- {name}: {peer.name} finds {len(rows):,} {what} of {each.rule}, **for no reason known**: "
                        f"rows {some}."
                    )
    return said


def unexplained(differ: Mapping[Peer, Sequence[Difference]]) -> bool:
    """Whether a difference has no reason."""
    return any(not each.has_a_reason for differs in differ.values() for each in differs)


def main() -> None:
    """Measure everything and write the page."""
    wanted = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    wanted.add_argument("--quick", action="store_true", help="100,000 rows, two rounds, nothing written")
    wanted.add_argument("--agree", action="store_true", help="2,000 rows, nothing measured: do the peers agree?")
    given = wanted.parse_args()
    os.chdir(ROOT)
    peers = [peer for peer in PEERS if peer.version]
    for peer in PEERS:
        if not peer.version:
            print(f"{peer.name} is left out, as it is not installed: run make bench-peers", file=sys.stderr)
    if given.agree:
        agreed = agreement(sent(2_000, 0.05), peers)
        print(rules_table(["findings"], [agreed.found]), "", *told("2,000 rows", agreed.differences), sep="\n")
        sys.exit(unexplained(agreed.differences))
    sizes = [(100_000, 0.002, 2)] if given.quick else [(100_000, 0.002, 5), (100_000, 0.05, 3), (1_000_000, 0.002, 2)]
    files = [beside(*size, peers) for size in sizes]
    page = PAGE.format(
        machine=machine(),
        load=", ".join(f"{before:.1f} to {after:.1f}" for before, after in (file.load for file in files)),
        tables="\n\n".join(f"## {file.name}\n\n{file.table()}" for file in files),
        rules=rules_table([file.name.rpartition(",")[0] for file in files], [file.agreed.found for file in files]),
        agree="\n".join(line for file in files for line in told(file.name.rpartition(",")[0], file.agreed.differences)),
    )
    print(page)
    if not given.quick:
        (HERE / "README.md").write_text(page, encoding="utf-8")
    sys.exit(any(unexplained(file.agreed.differences) for file in files))


PAGE = """# Beside its peers

`make bench-peers` installs the peers into an environment of their own, makes the files (all records made up, with
faults put in, one row in 500 sent again), measures, and writes this page. The work is the same for all: read a file of
dataset Q, put 25 rules to its rows, and write each finding as its row and its rule into a CSV file. Each file here does
that in one peer; `common.py` has the rules in words.

Every run is a whole process, interpreter start and imports included. The floor is
`polars.scan_csv(path, infer_schema=False).collect()` of the same file: reading it as text, and nothing more. Floor and
peers took turns; medians are shown, and the medians of the ratios within each round.

{machine}. Load of the machine before and after each file: {load}.

{tables}

Lines of rules are lines of code in the part “the rules” of a peer's file; dataframely, pandera and pointblank are given
the expressions of bare Polars, so their ratios show what each adds. Not all do as much beyond the 25 rules:

- The peers that can leave columns unread read the 22 that the rules read. cjit reads all 49, and also looks at the
  structure of the file, tells rows whose cells cannot be told apart, and counts how complete each field is.
- cjit has several rules where the peers have one, since each mistake has a message of its own.
- The command writes its whole report: for each finding also cell, value, severity, message, clause and ids.

## What was found

{rules}

What each found was held against what plain Python found, row by row:

{agree}
"""

if __name__ == "__main__":
    main()
