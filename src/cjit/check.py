"""A frame or a file held against a dataset: the findings.

A file is examined piece by piece, the pieces side by side (`examine`); here their results are taken in order,
and the rules across rows are settled once every row has been seen. Memory does not grow with the file,
apart from a few narrow columns a row.
"""

from __future__ import annotations

import difflib
import os
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import date
from types import ModuleType
from typing import IO, Literal, TypeVar

import polars as pl

from cjit import compare
from cjit.book import Book, prepared
from cjit.conditions import Argument, is_told
from cjit.dataset import WITHHELD, Changes, Dataset, Entity, Kind, Record, Rule, Severity
from cjit.examine import Examiner, Part, disagreeing, grades, in_order, spells_yes, tells_of_the_extract
from cjit.findings import RAGGED, Filled, Finding, Findings, RuleRun, Seen, in_full
from cjit.read import Aside, Batch, Made, Piece, Source, Unusable, open_file, repeating

__all__ = [
    "RAGGED",
    "Filled",
    "Finding",
    "Findings",
    "RuleRun",
    "Seen",
    "UnknownHeader",
    "UnknownRule",
    "check",
    "check_rows",
    "in_full",
    "records",
]

#: How many of a rule's findings are remembered for the summary.
FIRST = 5
#: Rows whose keys are kept in memory; beyond that they go to a temporary file, ids as hashes only.
_KEYS_IN_MEMORY = 500_000
#: Rows whose ids are held against one another at once.
_IDS_TOGETHER = 1_250_000
#: Rows looked at together when an id's rows lie in several pieces of a file.
_ROWS_TOGETHER = 150_000
#: Findings handed to a sink at once.
_TOGETHER = 100_000
# One more than there are processors: while one waits for Polars, which has a thread for each, another works.
_WORKERS = max(2, min(4, os.cpu_count() or 2)) + 1

Sink = Callable[[pl.DataFrame], None]
Progress = Callable[[int, int], None]
Pieces = Callable[[], Iterator[Piece]]


class UnknownRule(ValueError):  # noqa: N818 - a slip of the user's, told in one sentence
    """A rule named to `only` or `skip` that is not in the book."""


class UnknownHeader(ValueError):  # noqa: N818 - a slip of the caller's, told in one sentence
    """A record has a header that its dataset has not."""


# ---- the calls -------------------------------------------------------------------------------------


def check(
    source: str | os.PathLike[str] | IO[bytes] | bytes | Source | pl.DataFrame,
    dataset: Dataset | str = "Q",
    *,
    today: date,
    previous: str | os.PathLike[str] | IO[bytes] | bytes | Source | pl.DataFrame | None = None,
    submitter: str | None = None,
    full: bool = True,
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    keep: int | None = None,
    sink: Sink | None = None,
    progress: Progress | None = None,
) -> Findings:
    """Check a dataset file, or a frame of text with a column a header, against a dataset.

    `today` is the day nothing may be later than. `previous` is the last submission, given as the file is, or
    as the values that `records` gives: what should not have changed since is a finding, and the frame has a column
    `previous`; both are then held in memory.
    `submitter` is the agency code AGNCY must have. A file that is not `full` has only new and changed records: what of
    the last submission is not in it is no news. `only`
    and `skip` name rules by id, header or pattern (`DISABLE*`). `sink` is handed every batch of findings
    as it is made, in order; `keep` bounds how many stay in `Findings.frame` (None: all). `progress`
    is told bytes done and bytes in all. Raises `Unusable` where the file cannot be read, `UnknownRule`, and TypeError
    for what is of another type.
    """
    dataset = _dataset(dataset)
    _day(today)
    book = prepared(dataset, previous is not None)
    active = _chosen(book.rules, only, skip)
    if isinstance(source, pl.DataFrame):
        opened, pieces = None, _pieces_of(source, dataset)
    else:
        opened = source if isinstance(source, Source) else open_file(source, dataset)
        pieces = opened.pieces
    if not isinstance(previous, Source | pl.DataFrame | None):
        previous = open_file(previous, dataset)
    before = None if previous is None else _before(previous, dataset, today)
    examiner = Examiner(book, active, today, submitter, None if before is None else before.schema)
    run = _Run(examiner, keep, sink)
    run.before, run.full = before, full
    done = 0
    try:
        for part in _side_by_side(lambda piece: examiner.examine(piece()), pieces()):
            run.take(part)
            done += part.size
            if progress and opened:
                progress(min(done, opened.size), opened.size)
        run.across(pieces)
        if opened:
            opened.assure()
            if not run.rows:
                raise Unusable(f"{opened.name} has headers but no records: make the extract again and check its dates")
    finally:
        run.keys.close()
    return run.findings(today, opened)


def check_rows(
    dataset: Dataset | str,
    rows: Sequence[Record],
    *,
    today: date,
    submitter: str | None = None,
) -> list[Finding]:
    """Check some records at once, as a form does; one record takes a few milliseconds.

    `rows` are texts by header (a header left out is blank). Row numbers count from 0. With a single record
    the rules across rows do not run: there is nothing to hold it against. Raises `UnknownHeader`, and TypeError for
    what is no text.
    """
    dataset = _dataset(dataset)
    _day(today)
    rows = texts_of(rows)
    for row in rows:
        for header in row:
            if header not in dataset.by_header:
                raise UnknownHeader(_unknown(header, dataset))
    book = prepared(dataset)
    examiner = Examiner(book, frozenset(range(len(book.rules))), today, submitter)
    if len(rows) == 1:
        return examiner.look_at_one(rows[0])
    frame = pl.DataFrame(
        {h: [row.get(h) or None for row in rows] for h in dataset.headers},
        schema=dict.fromkeys(dataset.headers, pl.String),
    )
    batch = Batch(frame, pl.int_range(len(rows), dtype=pl.UInt32, eager=True))
    run = _Run(examiner, None, None)
    run.take(examiner.examine(batch))
    run.across(lambda: iter([Made(batch)]))
    found = run.findings(today, None).frame
    return [Finding(row, book.rules[book.index[rule]], value) for row, rule, value, *_ in found.iter_rows()]


def texts_of(rows: Iterable[Record]) -> list[Record]:
    """Records as a list, each with nothing but text in it; raises TypeError, naming the header, where there is more."""
    if isinstance(rows, Mapping | str) or not isinstance(rows, Iterable):
        raise TypeError("The records must be a list, each a mapping of text by header: put a single one into a list")
    listed = list(rows)
    for row in listed:
        if not isinstance(row, Mapping):
            raise TypeError(f"A record must be a mapping of text by header, not {type(row).__name__}")
        for header, value in row.items():
            if not isinstance(value, str | None):
                raise TypeError(
                    f"The value of {header} must be text as a file has it, not {type(value).__name__}: give it as str"
                )
    return listed


def _unknown(header: object, dataset: Dataset) -> str:
    names = {name: f.header for f in dataset.fields for name in (f.header, *f.also)}
    near = difflib.get_close_matches(str(header).strip().upper(), names, n=1)
    hint = f"did you mean {names[near[0]]}?" if near else "“cjit dictionary” lists its headers"
    return f"Dataset {dataset.letter} has no header {str(header)[:40]}: {hint}"


def _dataset(dataset: Dataset | str) -> Dataset:
    if isinstance(dataset, str):
        from cjit.datasets import dataset as by_letter

        return by_letter(dataset)
    if not isinstance(dataset, Dataset):
        raise TypeError(f"The dataset must be its letter, such as Q, or a Dataset, not {type(dataset).__name__}")
    return dataset


def _day(today: object) -> None:
    if not isinstance(today, date):
        raise TypeError(f"today must be a date, such as date(2026, 3, 31), not {type(today).__name__}")


def records(
    source: str | os.PathLike[str] | IO[bytes] | bytes | Source,
    dataset: Dataset | str,
    *,
    today: date,
    kinds: Mapping[str, pl.DataType] | None = None,
) -> pl.DataFrame:
    """The values of a file, as columns of dates, numbers and text named by header, a row a row.

    `row` is its number in the file; WITHHELD is true where consent is not given, of which nothing but the client's id
    may be used, and WITHDRAWN where a code says that it is withdrawn. What is no value is null. Rows whose cells cannot
    be told apart are left out. Texts are text, or of the `kinds` given (`read.repeating`), which two files that are
    compared must share.
    """
    dataset = _dataset(dataset)
    _day(today)
    opened = source if isinstance(source, Source) else open_file(source, dataset)
    examiner = Examiner(prepared(dataset), frozenset(), today, None, kinds)
    kinds = kinds or repeating(dataset)
    return _whole(opened.pieces(kinds), examiner, kinds)


def _before(previous: Source | pl.DataFrame, dataset: Dataset, today: date) -> pl.DataFrame:
    """The values of the last submission, of the clients who consented."""
    if isinstance(previous, pl.DataFrame):
        if previous.schema.get(next(f.header for f in dataset.fields if f.kind is Kind.DATE)) == pl.Date:
            return previous.filter(~pl.col(WITHHELD)) if WITHHELD in previous.columns else previous
        pieces, kinds = _pieces_of(previous, dataset)(), repeating(dataset)
    else:
        kinds = repeating(dataset)
        pieces = previous.pieces(kinds)
    before = _whole(pieces, Examiner(prepared(dataset), frozenset(), today, None, kinds), kinds)
    return before.filter(~pl.col(WITHHELD))


def _whole(pieces: Iterator[Piece], examiner: Examiner, kinds: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """The values of all rows of a file. Its texts are kept once for the whole of it, and so looked at once."""
    batches = list(_side_by_side(lambda piece: piece(), pieces))
    frame = pl.concat(batch.frame.cast(pl.Schema(kinds)) for batch in batches).rechunk()
    rows = pl.concat(batch.rows for batch in batches)
    batches.clear()
    return examiner.records(Batch(frame, rows))


def _chosen(rules: Sequence[Rule], only: Sequence[str], skip: Sequence[str]) -> frozenset[int]:
    only, skip = ([told] if isinstance(told, str) else told for told in (only, skip))
    for named in (only, skip):
        if not isinstance(named, Iterable) or not all(isinstance(each, str) for each in named):
            raise TypeError("The rules of only and skip must be named by text, such as DISD.* or ROUTE")
    only, skip = [_cased(p) for p in only], [_cased(p) for p in skip]
    for pattern in (*only, *skip):
        if not any(rule.matches(pattern) for rule in rules):
            known = dict.fromkeys([*(rule.id for rule in rules), *(rule.header for rule in rules)])
            near = difflib.get_close_matches(pattern, known, n=1)
            hint = f"did you mean {near[0]}?" if near else "“cjit rules” lists them all"
            raise UnknownRule(f"There is no rule called {pattern}: {hint}")
    # Without these the verdict would speak of rows that nobody has looked at.
    always = {i for i, rule in enumerate(rules) if rule.gate or rule is RAGGED}
    return frozenset(always) | frozenset(
        i
        for i, rule in enumerate(rules)
        if (not only or any(rule.matches(p) for p in only)) and not any(rule.matches(p) for p in skip)
    )


def _cased(pattern: str) -> str:
    """A rule or header as it is written, whatever the case it is asked for in."""
    header, dot, name = pattern.partition(".")
    return header.upper() + dot + name.lower()


def _pieces_of(frame: pl.DataFrame, dataset: Dataset) -> Pieces:
    missing = [h for h in dataset.headers if h not in frame.columns]
    text = frame.select(
        pl.col(h).cast(pl.String).replace("", None) if h not in missing else pl.lit(None, pl.String).alias(h)
        for h in dataset.headers
    )

    def pieces() -> Iterator[Piece]:
        for start in range(0, max(text.height, 1), 50_000):
            part = text.slice(start, 50_000)
            yield Made(Batch(part, pl.int_range(start + 2, start + 2 + part.height, dtype=pl.UInt32, eager=True)))

    return pieces


_T = TypeVar("_T")
_R = TypeVar("_R")


def _side_by_side(work: Callable[[_T], _R], items: Iterator[_T]) -> Iterator[_R]:
    """`map`, a few at a time in threads, in order, never far ahead."""
    with ThreadPoolExecutor(_WORKERS) as pool:
        waiting: deque[Future[_R]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > _WORKERS:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


# ---- in order --------------------------------------------------------------------------------------


class _Run:
    """What has been found so far by one check. Used in one thread."""

    def __init__(self, examiner: Examiner, keep: int | None, sink: Sink | None) -> None:
        self.examiner = examiner
        self.book: Book = examiner.book
        self.keep = keep
        self.sink = sink
        self.rows = self.blank = self.gated = self.ragged = self.total = 0
        self.counts: dict[str, int] = {}
        self.fired: dict[int, int] = {}
        self.first: dict[int, list[Seen]] = {}
        self.pending = examiner.nothing()
        self.kept: list[pl.DataFrame] = [examiner.nothing()]
        self.room = keep
        self.grades: list[pl.DataFrame] = []
        self.unsent: list[pl.DataFrame] = []
        self.waiting = 0
        self.held: list[pl.DataFrame] = []
        self.met: list[pl.DataFrame] = []
        self.keys = _Keys()
        #: The values of the last submission and of this one, where there is one to compare with.
        self.before: pl.DataFrame | None = None
        self.full = True
        self.notes: list[str] = []
        self.said: Counter[str] = Counter()
        self.cut_off: int | None = None
        self.uneven: list[int] = []
        self.incoming: list[pl.DataFrame] = []
        self.withheld: list[pl.Series] = []
        self.bad_cells: list[pl.DataFrame] = []

    def take(self, part: Part) -> None:
        """Add what one piece gave."""
        self.rows += part.rows
        self.blank += part.blank
        self.gated += part.gated
        self.ragged += part.ragged
        self.said.update(part.said)
        self.cut_off = self.cut_off or part.cut_off
        self.uneven += part.uneven
        for name, count in part.counts.items():
            self.counts[name] = self.counts.get(name, 0) + count
        self.grades.append(part.grades)
        self.keys.add(part.keys)
        self.held.append(part.held)
        self.met.append(part.met)
        if part.values is not None:
            self.incoming.append(part.values)
            self.withheld.append(part.withheld)
            self.bad_cells += [part.bad_cells, self._refused(part.findings)]
        # The last piece's findings wait: where it is the only one, those across rows stand among them.
        self._emit(self.pending)
        self.pending = part.findings

    def _refused(self, found: pl.DataFrame) -> pl.DataFrame:
        """Row and header of each id or agency for whose sake a row is rejected: no more is said of that cell."""
        rules = {
            rule.id: rule.header
            for rule in self.book.rules
            if rule.severity is Severity.REJECT
            and (rule.header in self.book.keys or is_told(rule.fails_when, Argument.SUBMITTER))
        }
        of_them = found.filter(pl.col("rule").is_in(pl.Series(list(rules), dtype=self.book.ids).implode()))
        return of_them.select("row", header=pl.col("rule").cast(pl.String).replace_strict(rules))

    def _emit(self, found: pl.DataFrame) -> None:
        if found.is_empty():
            return
        self.total += found.height
        counted = found.with_columns(place=pl.int_range(pl.len()).over("rule"), count=pl.len().over("rule"))
        for told in counted.filter(pl.col("place") < FIRST).iter_rows(named=True):
            i = self.book.index[told["rule"]]
            if told["place"] == 0:
                self.fired[i] = self.fired.get(i, 0) + told["count"]
            seen = self.first.setdefault(i, [])
            if len(seen) < FIRST:
                seen.append(Seen(told["row"], told["client"], told["episode"], told["value"], told.get("previous")))
        if self.room is None or self.room > 0:
            self.kept.append(found if self.room is None else found.head(self.room))
            self.room = None if self.room is None else self.room - self.kept[-1].height
        if self.sink:
            # A sink is handed many findings at a time: each call has its price.
            self.unsent.append(found)
            self.waiting += found.height
            if self.waiting >= _TOGETHER:
                self._send(self.sink)

    def _send(self, sink: Sink) -> None:
        if self.unsent:
            sink(pl.concat(self.unsent))
        self.unsent, self.waiting = [], 0

    def across(self, pieces: Pieces) -> None:
        """Settle the rules across rows, now that every row has been seen; reads again only rows it must."""
        book, examiner = self.book, self.examiner
        late = [examiner.nothing()]
        wanted: dict[int, list[pl.Series]] = {}
        stories: list[tuple[str, pl.DataFrame]] = []
        held = pl.concat(self.held) if self.held else None
        for key in book.gathered:
            rules = [i for i in examiner.across if book.rules[i].across == key]
            spread = self.keys.spread(key)
            if spread.is_empty():
                continue
            if held is not None:
                ids = pl.Series([rule.id for rule in book.rules if rule.across == key], dtype=book.ids)
                of_key = pl.col("rule").is_in(ids.implode())
                held = held.filter(~(of_key & pl.col("key").is_in(spread.implode())))
            for some in self.keys.parts(key, spread):
                for i, at in examiner.across_hits(some, rules).items():
                    wanted.setdefault(i, []).append(some["row"][at])
                if key in book.keys:
                    stories += [
                        (key, task)
                        for task in _tasks(some[disagreeing(some, key, pl.int_range(some.height, eager=True))], key)
                    ]
        if held is not None:
            late.append(held.drop("key"))
        if self.met:
            late.append(self._once(pl.concat(self.met)))
        late += self._read_again({i: pl.concat(rows) for i, rows in wanted.items()}, stories, pieces)
        if self.before is not None:
            late.append(self._changes(self.before, pl.concat([*self.grades, grades(pl.concat(late), book)])))
        found = pl.concat(late)
        self.grades.append(grades(found, book))
        if self.keys.pieces == 1:
            self.pending, found = pl.concat([self.pending, found]), found.clear()
        self._emit(in_order(self.pending))
        self._emit(in_order(found))
        if self.sink:
            self._send(self.sink)

    def _once(self, met: pl.DataFrame) -> pl.DataFrame:
        """Findings told once a file, of the first rows of all pieces in order at which each condition holds."""
        first = met.unique(["rule", "condition"], keep="first", maintain_order=True)
        needed = {rule.id: len(rule.once) for rule in self.book.rules if rule.once}
        told = first.filter(pl.len().over("rule") == pl.col("rule").cast(pl.String).replace_strict(needed))
        return told.sort("row").unique("rule", keep="last", maintain_order=True).drop("condition")

    def _changes(self, held: pl.DataFrame, graded: pl.DataFrame) -> pl.DataFrame:
        """Findings on what should not have changed since the last submission, of rows as gravely `graded` so far."""
        book = self.book
        incoming = pl.concat(self.incoming)
        client, episode = book.keys[:2]
        rejected = graded.filter(pl.col("grade") == list(Severity).index(Severity.REJECT))["row"].unique()
        changed = compare.compare(incoming, held, book.dataset, rejected=rejected)
        # Of whom a row tells nothing but the id: they are not absent, nor is what was theirs.
        theirs = held.filter(pl.col(client).is_in(pl.concat(self.withheld).implode()))
        there = [
            (pl.col("entity") == entity.value) & pl.col("id").is_in(theirs[fields[0].header].implode())
            for entity in Entity
            if (fields := book.dataset.entity(entity))
        ]
        self.notes += _absent(changed.filter(~pl.any_horizontal(there).fill_null(False))) if self.full else []
        ids = {
            (header, change): name
            for header in book.dataset.headers
            for change in compare.Change
            if (name := compare.rule_id(header, change)) in book.index and book.index[name] in self.examiner.active
        }
        wanted = pl.DataFrame(
            [(h, c, name) for (h, c), name in ids.items()],
            schema={"header": pl.String, "change": pl.String, "rule": book.ids},
            orient="row",
        )
        # A value that is no value has its own finding: it is neither a change nor emptied.
        changed = changed.join(pl.concat(self.bad_cells), on=["row", "header"], how="anti")
        # An episode closed otherwise, or opened again, is told once, at the first of the fields that say so.
        closing = [f.header for f in book.dataset.fields if f.changes is Changes.FILLED_ONLY]
        again = pl.col("header").is_in(closing) & (pl.col("change") != compare.Change.FILLED)
        first = pl.int_range(pl.len()).over("row", "entity") == 0
        changed = pl.concat([changed.filter(~again), changed.filter(again).filter(first)])
        return (
            changed.join(wanted, on=["header", "change"])
            .join(incoming.select("row", client=client, episode=episode), on="row")
            .select("row", "rule", "value", "client", "episode", "previous")
        )

    def _read_again(
        self, wanted: dict[int, pl.Series], stories: list[tuple[str, pl.DataFrame]], pieces: Pieces
    ) -> Iterator[pl.DataFrame]:
        """Findings whose text is in rows seen before: a rule's rows, and rows of ids that may disagree."""
        rows = [*wanted.values(), *(task["row"] for _, task in stories)]
        if not rows:
            return
        if sum(map(len, rows)) <= _ROWS_TOGETHER:
            again = Made(_rows_again(pl.concat(rows).unique(), pieces))
            pieces = lambda: iter([again])  # noqa: E731
        for i, some in wanted.items():
            batch = _rows_again(some, pieces)
            yield self.examiner.texts(i, some, batch.frame, batch.rows, some.cast(pl.UInt64)).drop("key")
        for key, task in stories:
            told = [s for s in self.examiner.stories if s.key == key]
            if told:
                batch = _rows_again(task["row"], pieces)
                values = self.examiner.values(batch).select("row", key, *(s.header for s in told))
                yield self.examiner.told(told, values, batch.frame, batch.rows).drop("key")

    def findings(self, today: date, source: Source | None) -> Findings:
        """Everything found, added up."""
        book = self.book
        graded = pl.concat(self.grades).group_by("row").min()["grade"].value_counts()
        worst = dict(graded.iter_rows())
        ledger = tuple(
            RuleRun(rule, self._state(i, rule), self.fired.get(i, 0), tuple(self.first.get(i, ())))
            for i, rule in enumerate(book.rules)
        )
        return Findings(
            dataset=book.dataset,
            today=today,
            source=source,
            rows=self.rows,
            looked=self._looked(),
            worst={severity: worst.get(place, 0) for place, severity in enumerate(Severity)},
            ledger=ledger,
            completeness=self._completeness(),
            notes=self._notes(source),
            frame=pl.concat(self.kept),
            total=self.total,
            above=tuple(self._above()),
        )

    def _above(self) -> Iterator[str]:
        """What may concern every record: a file that was cut off, and what stands for consent instead of its codes."""
        if self.cut_off:
            yield f"The file ends within row {self.cut_off:,}, so it may have been cut off: make the extract again"
        gate = self.book.rules[self.book.gates[0]]
        codes = self.book.dataset.codes_of(gate.header)
        records = self.rows - self.ragged - self.counts.get("headers again", 0)
        if records and self.said[""] == records:
            yield f"{gate.header} is blank on every row: ask your software supplier to have it filled in"
        texts = Counter({text: count for text, count in self.said.items() if text})
        if not texts or codes is None:
            return
        if not tells_of_the_extract(texts):
            yield (
                f"{gate.header} has texts that are none of its codes ({' or '.join(codes.codes)}): look whether the"
                " columns of the file have shifted"
            )
        elif all(map(spells_yes, texts)) and texts.total() == records:
            yield (
                f"{gate.header} says {_each(texts)} and not Y: ask your software supplier to write Y, as a corrected"
                " copy has it"
            )
        else:
            yield (
                f"{gate.header} says {_each(texts)}, which is none of its codes: ask your software supplier to write"
                f" {' or '.join(codes.codes)}"
            )

    def _state(self, i: int, rule: Rule) -> Literal["run", "skipped", "not applicable"]:
        if i not in self.examiner.active:
            return "skipped"
        if is_told(rule.fails_when, Argument.SUBMITTER) and self.examiner.submitter is None:
            return "not applicable"
        return "run"

    def _looked(self) -> int:
        """The rows whose client consents and whose cells can be told apart."""
        return self.rows - self.gated - self.ragged

    def _completeness(self) -> dict[str, Filled]:
        told = self._looked()
        return {
            h: Filled(
                filled=told - self._blank(h),
                blank=self._blank(h),
                not_answered=self.counts.get(f"not answered {h}", 0),
                bad=self.counts.get(f"bad {h}", 0),
            )
            for h in self.book.dataset.headers
        }

    def _blank(self, header: str) -> int:
        """How many rows have nothing in a field: its values that are null, less those that are no value."""
        return self.counts.get(f"null {header}", 0) - self.counts.get(f"bad {header}", 0)

    def _notes(self, source: Source | None) -> tuple[str, ...]:
        notes = [*(source.notes if source else ()), *self.notes]
        if short := self.counts.get("short", 0):
            rows, they = ("row is", "it was") if short == 1 else ("rows are", "they were")
            cells = "that row's" if short == 1 else "those"
            notes.append(
                f"{short:,} {rows} short by blank cells at the end, as spreadsheets write them; {they} read with"
                f" {cells} cells blank"
            )
        if self.uneven:
            notes.append(_lost(self.uneven))
        if long := self.counts.get("long", 0):
            rows, they = ("row has", "it was") if long == 1 else ("rows have", "they were")
            notes.append(f"{long:,} {rows} blank cells behind the last column; {they} read without them")
        if again := self.counts.get("headers again", 0):
            rows = "row repeats" if again == 1 else "rows repeat"
            notes.append(f"{again:,} {rows} the headers: look whether files or sheets were put one below the other")
        if self.blank:
            rows = "row was" if self.blank == 1 else "rows were"
            notes.append(f"{self.blank:,} blank {rows} left out")
        for f in self.book.dataset.fields:
            # A code that a rule of its list queries is not one of those of which nothing is said.
            said = (n for i, n in self.fired.items() if f.codes and self.book.rules[i].of_list == f.codes)
            count = self.counts.get(f"unknown {f.header}", 0) - sum(said)
            if count:
                rows = "row has a code" if count == 1 else "rows have codes"
                status = f.codes and self.book.dataset.lists[f.codes].status
                notes.append(
                    f"{count:,} {rows} for {f.noun} ({f.header}) that our {status} list does not have, which is no"
                    f" finding: to have such codes checked, install the official list with “cjit reference install"
                    f" {f.codes} FILE”"
                )
        return tuple(notes)


def _each(texts: Counter[str]) -> str:
    """Texts with their rows: “Yes” on 28 rows and “No” on 2 rows."""
    told = [f"“{text}” on {count:,} {'row' if count == 1 else 'rows'}" for text, count in texts.most_common()]
    return " and ".join([", ".join(told[:-1]), told[-1]] if len(told) > 1 else told)


def _lost(rows: Sequence[int]) -> str:
    """That rows end before others beside them do, which no spreadsheet writes."""
    first = [f"{row:,}" for row in rows[:FIRST]] + ([f"{len(rows) - FIRST:,} more"] if rows[FIRST:] else [])
    told = " and ".join([", ".join(first[:-1]), first[-1]] if first[1:] else first)
    if not rows[1:]:
        return f"Row {told} ends before the rows beside it: look whether cells at its end were lost"
    return f"Rows {told} end before the rows beside them: look whether cells at their end were lost"


def _absent(changed: pl.DataFrame) -> list[str]:
    """What of the last submission is not in this file, in words: nothing vanishes without one."""
    gone = changed.filter(pl.col("change") == compare.Change.ABSENT)["entity"].value_counts()
    counts = dict(gone.iter_rows())
    parts = [
        f"{n:,} {name}{'' if n == 1 else 's'}" for name in ("client", "episode", "referral") if (n := counts.get(name))
    ]
    if not parts:
        return []
    told = " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
    are = "is" if sum(counts.values()) == 1 else "are"
    return [f"{told} of your last submission {are} not in this file: check that the extract is whole"]


def _tasks(rows: pl.DataFrame, key: str) -> Iterator[pl.DataFrame]:
    """Rows to be read again, some ids at a time."""
    count = -(-rows.height // _ROWS_TOGETHER)
    for n in range(count):
        yield rows.filter(pl.col(key) % count == n).select("row").sort("row")


def _rows_again(wanted: pl.Series, pieces: Pieces) -> Batch:
    """Some rows of the file, read once more."""
    wanted = wanted.sort()
    batches = list(_side_by_side(lambda piece: piece.only(wanted), pieces()))
    return Batch(pl.concat(b.text() for b in batches), pl.concat(b.rows for b in batches))


def _begins(column: str) -> pl.Expr:
    """Where a row has another value than the one before."""
    return pl.col(column).ne_missing(pl.col(column).shift())


class _Keys:
    """The key columns of every row seen, in memory or, for a very long file, aside."""

    def __init__(self) -> None:
        self.frames: list[pl.DataFrame] = []
        self.height = self.rows = 0
        self.pieces = 0
        self.files: list[Aside] = []

    def add(self, keys: pl.DataFrame) -> None:
        self.frames.append(keys.with_columns(piece=pl.lit(self.pieces, pl.UInt32)))
        self.pieces += 1
        self.height += keys.height
        self.rows += keys.height
        if self.height > _KEYS_IN_MEMORY:
            file = Aside()
            pl.concat(self.frames).write_ipc(file.file)
            file.file.flush()
            self.files.append(file)
            self.frames, self.height = [], 0

    def close(self) -> None:
        """Remove what was put aside."""
        for file in self.files:
            file.close()

    def _lazily(self) -> list[pl.LazyFrame]:
        return [pl.scan_ipc(file.path) for file in self.files] + [frame.lazy() for frame in self.frames]

    def spread(self, key: str) -> pl.Series:
        """The ids whose rows lie in more than one piece."""
        if self.pieces < 2:
            return pl.Series([], dtype=pl.UInt64)
        parts = -(-self.rows // _IDS_TOGETHER)
        return pl.concat([self._spread(key, part, parts) for part in range(parts)])

    def _spread(self, key: str, part: int, parts: int) -> pl.Series:
        """The ids in several pieces, of one part of all ids."""
        # Rows of one id mostly follow one another: one row of each run is enough.
        begins = pl.col(key).is_not_null() & (_begins(key) | _begins("piece"))
        mine = begins if parts == 1 else begins & (pl.col(key) % parts == part)
        seen = pl.concat(pl.collect_all([frame.filter(mine).select(key, "piece") for frame in self._lazily()]))
        ids = seen[key].sort()
        several = ids.filter((ids == ids.shift()).fill_null(False)).unique()
        pieces = seen.filter(pl.col(key).is_in(several.implode())).unique()
        return pieces.filter(pl.col(key).is_duplicated())[key].unique()

    def parts(self, key: str, ids: pl.Series) -> Iterator[pl.DataFrame]:
        """Every row of some ids; rows of one id come together, at most about a million at a time."""
        rows = pl.concat([frame.filter(pl.col(key).is_in(ids.implode())).collect() for frame in self._lazily()])
        count = -(-rows.height // 1_000_000)
        for n in range(count):
            yield rows if count == 1 else rows.filter(pl.col(key) % count == n)


class _Callable(ModuleType):
    """Lets `cjit.check(...)` be the call although `cjit.check` is also this module."""

    def __call__(self, *args: object, **kwargs: object) -> Findings:
        return check(*args, **kwargs)  # type: ignore[arg-type]


sys.modules[__name__].__class__ = _Callable
