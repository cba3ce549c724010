"""A frame or a file held against a dataset: the findings.

Most rows of most files are faultless, so a file is looked at twice. The sieve (`derive.sieve`) asks of every
row, cheaply and over the text as it was sent, whether any rule could fire; only the rows it holds back
are tidied, typed and put to the whole rule book. Rules across rows see a few narrow columns of all rows.

The work on one piece of a file is a pure function of that piece, so pieces run side by side and memory
does not grow with the file.
"""

from __future__ import annotations

import difflib
import os
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import IO, Literal, TypeVar

import polars as pl

from cjit import compare, derive
from cjit.dataset import (
    OUR_READING,
    SUBMITTER,
    TODAY,
    Dataset,
    Entity,
    Field,
    Kind,
    Record,
    Rule,
    Severity,
)
from cjit.read import Batch, Source, open_file

#: How many of a rule's findings are remembered for the summary.
FIRST = 5
#: Rows whose keys are kept in memory; beyond that they go to a temporary file, ids as hashes only.
_KEYS_IN_MEMORY = 2_000_000
#: Rows looked at together when an id's rows lie in several pieces of a file.
_ROWS_TOGETHER = 150_000
_WORKERS = max(2, min(4, os.cpu_count() or 2))

RAGGED = Rule(
    "ROW.has_every_cell",
    Severity.REJECT,
    "Give the row exactly one cell for each header; a comma is missing, or there is one too many",
    OUR_READING,
    pl.lit(None, pl.Boolean),
    breaks={},
    holds={},
    reading="A row with more or fewer cells than headers cannot be told apart into fields, so nothing in it can be "
    "taken for a value.",
)


class UnknownRule(ValueError):  # noqa: N818 - a slip of the user's, told in one sentence
    """A rule named to `only` or `skip` that is not in the book."""


# ---- what is said back -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """Where a finding is: spreadsheet row, the sender's own ids, and the value (None where withheld)."""

    row: int
    client: str | None
    episode: str | None
    value: str | None


@dataclass(frozen=True)
class Finding:
    """A finding of `check_rows`: the record's place, the rule, and the value (None where withheld)."""

    row: int
    rule: Rule
    value: str | None


@dataclass(frozen=True)
class RuleRun:
    """One line of the ledger: whether a rule ran, how often it fired, and where first."""

    rule: Rule
    state: Literal["run", "skipped", "not applicable"]
    count: int = 0
    first: tuple[Seen, ...] = ()


@dataclass(frozen=True)
class Filled:
    """How complete a field is, over the rows whose client consents, in rows.

    `not_answered` are answers such as "declined" or "not stated"; `bad` are values that are no value.
    filled + blank = rows; not_answered and bad are parts of filled.
    """

    filled: int
    blank: int
    not_answered: int
    bad: int


@dataclass(frozen=True)
class Findings:
    """What a check found.

    `frame` has a row a finding: row (UInt32, the spreadsheet's, header is 1), rule (Enum of the book's
    ids), value, client, episode (String; null where withheld). It holds the first `keep` findings where a
    check was told to keep only so many; `total` counts all. Findings are in row order, then book order;
    in a file of several pieces those between distant rows come last.
    """

    dataset: Dataset
    today: date
    source: Source | None
    rows: int
    accepted: int
    rejected: int
    queried: int
    ledger: tuple[RuleRun, ...]
    completeness: Mapping[str, Filled]
    notes: tuple[str, ...]
    frame: pl.DataFrame
    total: int

    @property
    def severities(self) -> dict[str, int]:
        """The number of findings of each severity, the gravest first."""
        counts = dict.fromkeys((s.value for s in Severity), 0)
        for run in self.ledger:
            counts[run.rule.severity] += run.count
        return counts

    @property
    def fired(self) -> tuple[RuleRun, ...]:
        """The rules that fired, the gravest first, then the most frequent."""
        order = list(Severity)
        fired = (run for run in self.ledger if run.count)
        return tuple(sorted(fired, key=lambda r: (order.index(r.rule.severity), -r.count)))

    def __len__(self) -> int:
        return self.total


def in_full(frame: pl.DataFrame, rules: Iterable[Rule]) -> pl.DataFrame:
    """A frame of findings with header, severity, message and clause beside each rule's id."""
    known = list(rules)
    book = pl.DataFrame(
        {
            "rule": pl.Series([r.id for r in known], dtype=frame.schema["rule"]),
            "header": [None if r.header == "ROW" else r.header for r in known],
            "severity": [r.severity.value for r in known],
            "message": [r.message for r in known],
            "clause": [r.clause for r in known],
        },
        schema_overrides=dict.fromkeys(("header", "severity", "message", "clause"), pl.String),
    )
    return frame.join(book, on="rule", how="left", maintain_order="left")


# ---- the calls -------------------------------------------------------------------------------------

Sink = Callable[[pl.DataFrame], None]
Progress = Callable[[int, int], None]


def check(
    source: str | os.PathLike[str] | IO[bytes] | bytes | Source | pl.DataFrame,
    dataset: Dataset | str = "Q",
    *,
    today: date,
    previous: Source | pl.DataFrame | None = None,
    submitter: str | None = None,
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    keep: int | None = None,
    sink: Sink | None = None,
    progress: Progress | None = None,
) -> Findings:
    """Check a dataset file, or a frame of text with a column a header, against a dataset.

    `today` is the day nothing may be later than. `previous` is the last submission: what should not have
    changed since is a finding, and the frame has a column `previous`; both files are then held in memory.
    `submitter` is the agency code AGNCY must have. `only`
    and `skip` name rules by id, header or pattern (`DISABLE*`). `sink` is handed every batch of findings
    as it is made, in order; `keep` bounds how many stay in `Findings.frame` (None: all). `progress`
    is told bytes done and bytes in all. Raises `Unusable` where the file cannot be read, `UnknownRule`.
    """
    if isinstance(dataset, str):
        from cjit.datasets import dataset as by_letter

        dataset = by_letter(dataset)
    book = _book(dataset, previous is not None)
    active = _chosen(book.rules, only, skip)
    if isinstance(source, pl.DataFrame):
        opened, pieces = None, _pieces_of(source, dataset)
    else:
        opened = source if isinstance(source, Source) else open_file(source, dataset)
        pieces = opened.pieces
    run = _Run(book, active, today, submitter, keep, sink)
    if previous is not None:
        before = _pieces_of(previous, dataset) if isinstance(previous, pl.DataFrame) else previous.pieces
        run.held_before = pl.concat(_side_by_side(lambda piece: run.values(piece().frame), before()))
    done = 0
    for part in _side_by_side(lambda piece: run.examine(piece()), pieces()):
        run.take(part)
        done += part.size
        if progress and opened:
            progress(min(done, opened.size), opened.size)
    run.across(pieces)
    return run.findings(opened)


def check_rows(
    dataset: Dataset,
    rows: Sequence[Record],
    *,
    today: date,
    submitter: str | None = None,
) -> list[Finding]:
    """Check some records at once, as a form does; one record takes a few milliseconds.

    `rows` are texts by header (a header left out is blank). Row numbers count from 0. With a single record
    the rules across rows do not run: there is nothing to hold it against.
    """
    book = _book(dataset)
    active = frozenset(range(len(book.rules)))
    run = _Run(book, active, today, submitter, None, None)
    if len(rows) == 1:
        return run.look_at_one(rows[0])
    frame = pl.DataFrame(
        {h: [row.get(h) or None for row in rows] for h in dataset.headers},
        schema=dict.fromkeys(dataset.headers, pl.String),
    )
    numbers = pl.int_range(len(rows), dtype=pl.UInt32, eager=True)
    run.take(run.examine(Batch(frame, numbers)))
    run.across(lambda: iter([lambda: Batch(frame, numbers)]))
    found = run.findings(None).frame
    return [Finding(row, book.rules[book.index[rule]], value) for row, rule, value, *_ in found.iter_rows()]


def _chosen(rules: Sequence[Rule], only: Sequence[str], skip: Sequence[str]) -> frozenset[int]:
    for pattern in (*only, *skip):
        if not any(rule.matches(pattern) for rule in rules):
            near = difflib.get_close_matches(pattern, [rule.id for rule in rules], n=1)
            hint = f"did you mean {near[0]}?" if near else "“cjit rules” lists them all"
            raise UnknownRule(f"There is no rule called {pattern}: {hint}")
    return frozenset(
        i
        for i, rule in enumerate(rules)
        if (not only or any(rule.matches(p) for p in only)) and not any(rule.matches(p) for p in skip)
    )


def _pieces_of(frame: pl.DataFrame, dataset: Dataset) -> Callable[[], Iterator[Callable[[], Batch]]]:
    missing = [h for h in dataset.headers if h not in frame.columns]
    text = frame.select(
        pl.col(h).cast(pl.String).replace("", None) if h not in missing else pl.lit(None, pl.String).alias(h)
        for h in dataset.headers
    )

    def pieces() -> Iterator[Callable[[], Batch]]:
        for start in range(0, max(text.height, 1), 50_000):
            part = text.slice(start, 50_000)
            rows = pl.int_range(start + 2, start + 2 + part.height, dtype=pl.UInt32, eager=True)
            yield lambda part=part, rows=rows: Batch(part, rows)  # type: ignore[misc]

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


# ---- the book, prepared ----------------------------------------------------------------------------


class _Book:
    """A dataset's rules with the expressions a check needs, made once."""

    def __init__(self, dataset: Dataset, compared: bool) -> None:
        self.dataset = dataset
        self.compared = compared
        changes = compare.rules(dataset) if compared else ()
        self.rules = (RAGGED, *dataset.rules, *changes)
        self.index = {rule.id: i for i, rule in enumerate(self.rules)}
        self.ids = pl.Enum([rule.id for rule in self.rules])
        self.stories = tuple(derive.stories(dataset))
        told = {story.rule.id for story in self.stories}
        self.within = [self.index[rule.id] for rule in dataset.rules if rule.across is None]
        self.across = [i for i, r in enumerate(self.rules) if r.across is not None and r.id not in told]
        self.written = [self.index[r.id] for r in dataset.written if r.across is None]
        self.gates = [i for i, rule in enumerate(self.rules) if rule.gate]
        self.rejects = [i for i, rule in enumerate(self.rules) if rule.severity is Severity.REJECT]
        self.keys = [f[0].header for f in map(dataset.entity, Entity) if f]
        self.gathered = list(dict.fromkeys([*self.keys, *(self.rules[i].across or "" for i in self.across)]))
        self.text, self.read, self.value = derive.columns(dataset)
        self.typed, self.suspect = derive.sieve(dataset)
        wanted = {h for i in self.written for h in self.rules[i].headers} - set(dataset.headers)
        self.typed += [pl.col(h.removesuffix(" as read")).alias(h) for h in wanted if h.endswith(" as read")]
        self.bad = {f.header: bad for f in dataset.fields if (bad := derive.no_value(f, dataset)) is not None}
        self.fails = [rule.fails_when.fill_null(False).cast(pl.Boolean).alias(rule.id) for rule in self.rules]
        self.likely = [
            made if rule.likely is None else rule.likely.fill_null(False).alias(rule.id)
            for rule, made in zip(self.rules, self.fails, strict=True)
        ]
        self._one_record()
        self.postcodes = {f.header for f in dataset.fields if f.kind is Kind.POSTCODE}
        self.key_columns = self._key_columns()
        self.tally = self._tally()

    def _one_record(self) -> None:
        """What one record needs, field by field, so that a form's check stays within milliseconds."""
        headers = self.dataset.headers
        self.schema_sent = {f"{h} as sent": pl.String for h in headers}
        self.read_of = dict(zip(headers, self.read, strict=True))
        self.value_of = dict(zip(headers, self.value, strict=True))
        self.typed_only = {f.header for f in self.dataset.fields if f.kind in (Kind.DATE, Kind.NUMBER)}
        types = {Kind.DATE: pl.Date, Kind.NUMBER: pl.Int32}
        self.blank = {
            f.header: [
                pl.lit(None, pl.String).alias(f"{f.header} as sent"),
                pl.lit(None, types.get(f.kind, pl.String)).alias(f"{f.header} as read"),
                pl.lit(None, types.get(f.kind, pl.String)).alias(f.header),
            ]
            for f in self.dataset.fields
        }
        written = set(self.written)
        derived = [i for i in self.within if i not in written]
        given = [i for i in derived if self.rules[i].id.endswith(".is_given")]
        self.of_blank = {h: [i for i in given if self.rules[i].header == h] for h in headers}
        self.of_filled = {h: [i for i in derived if self.rules[i].header == h and i not in given] for h in headers}

    def _key_columns(self) -> list[pl.Expr]:
        """What rules across rows see of a row: its ids as hashes, a hash of its story, and values."""
        columns = [_hashed(key) for key in self.keys]
        for key in self.keys:
            values = [story.header for story in self.stories if story.key == key]
            columns.append(pl.struct(values).hash().alias(f"story of {key}"))
        read = {h for i in self.across for h in self.rules[i].headers} - set(self.keys)
        for field in self.dataset.fields:
            if field.header in read:
                columns.append(self._narrow(field))
        return columns

    def _narrow(self, field: Field) -> pl.Expr:
        codes = self.dataset.codes_of(field.header)
        if field.kind is Kind.ID:
            return _hashed(field.header)
        if codes is not None and codes.complete:
            return pl.col(field.header).cast(pl.Enum(codes.codes), strict=False)
        return pl.col(field.header)

    def _tally(self) -> list[pl.Expr]:
        """Counts over a frame of text: blanks, answers that answer nothing, codes not in the list."""
        counts = []
        for field in self.dataset.fields:
            value = pl.col(field.header)
            counts.append(value.null_count().alias(f"blank {field.header}"))
            codes = self.dataset.codes_of(field.header)
            declined = (*field.apart, *(codes.not_answers() if codes else ()))
            if declined:
                counts.append(value.is_in(declined).sum().alias(f"not answered {field.header}"))
            if codes is not None and not codes.complete:
                counts.append((~value.is_in(codes.codes)).sum().alias(f"unknown {field.header}"))
        return counts


@lru_cache(maxsize=8)
def _book(dataset: Dataset, compared: bool = False) -> _Book:
    return _Book(dataset, compared)


def _hashed(header: str) -> pl.Expr:
    return pl.when(pl.col(header).is_not_null()).then(pl.col(header).hash()).alias(header)


# ---- the work --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Looked:
    """What the whole book says of some rows; `values` are the typed columns of those not gated."""

    findings: pl.DataFrame
    values: pl.DataFrame
    rejected: pl.Series
    touched: pl.Series
    gated: pl.Series
    bad: Mapping[str, int]
    tally: pl.DataFrame


@dataclass(frozen=True)
class _Part:
    """What one piece of a file gives."""

    rows: int
    blank: int
    size: int
    findings: pl.DataFrame
    held: pl.DataFrame
    keys: pl.DataFrame
    values: pl.DataFrame | None
    rejected: pl.Series
    touched: pl.Series
    gated: int
    counts: Mapping[str, int]


class _Run:
    """One check under way: what to look for, and what has been found so far."""

    def __init__(
        self,
        book: _Book,
        active: frozenset[int],
        today: date,
        submitter: str | None,
        keep: int | None,
        sink: Sink | None,
    ) -> None:
        self.book = book
        self.active = active
        self.today = today
        self.submitter = submitter
        self.keep = keep
        self.sink = sink
        rules = book.rules
        self.within = [i for i in book.within if i in active or rules[i].gate]
        self.across_rules = [i for i in book.across if i in active]
        self.stories = [s for s in book.stories if book.index[s.rule.id] in active]
        written = (rules[i].fails_when if rules[i].likely is None else rules[i].likely for i in book.written)
        suspect = (*book.suspect, *written)
        self.suspect = [expr.alias(str(i)) for i, expr in enumerate(suspect)]
        self.constants = [
            pl.lit(today).alias(TODAY),
            pl.lit(submitter, pl.String).alias(SUBMITTER),
        ]
        self.rows = self.blank = self.gated = 0
        self.counts: dict[str, int] = {}
        self.fired: dict[int, int] = {}
        self.first: dict[int, list[Seen]] = {}
        self.total = 0
        self.kept: list[pl.DataFrame] = []
        self.kept_rows = 0
        self.rejected: list[pl.Series] = []
        self.touched: list[pl.Series] = []
        self.held: list[pl.DataFrame] = []
        self.keys = _Keys()
        self.held_before: pl.DataFrame | None = None
        self.incoming: list[pl.DataFrame] = []

    # -- one piece, in any thread

    def examine(self, batch: Batch) -> _Part:
        """Everything that can be said of one piece by itself. Changes nothing: safe in threads."""
        book, frame, rows = self.book, batch.frame, batch.rows
        typed = frame.with_columns(*self.constants).with_columns(*book.typed)
        flags = self._suspicious(typed)
        flagged = frame.filter(flags)
        looked = self.look(flagged, rows.filter(flags))
        keys = pl.concat(
            [
                typed.select(rows.alias("row"), *book.key_columns).filter(~flags),
                looked.values.select("row", *book.key_columns),
            ]
        )
        told = self._local_stories(keys, frame, typed, looked, rows)
        ragged = self._ragged(batch)
        findings = pl.concat([looked.findings, told, ragged]).sort("row", "rule", maintain_order=True)
        held = self._written_across(keys, frame, rows)
        everything = frame.select(book.tally)
        of_flagged = flagged.select(book.tally)
        counts = {
            name: everything[name][0] - of_flagged[name][0] + looked.tally[name][0] for name in everything.columns
        }
        counts |= {f"bad {header}": count for header, count in looked.bad.items()}
        ragged_rows = ragged["row"]
        values = None
        if book.compared:
            clean = typed.select(rows.alias("row"), *book.dataset.headers).filter(~flags)
            values = pl.concat([clean, looked.values]).sort("row")
        return _Part(
            rows=frame.height + len(batch.ragged),
            blank=batch.blank,
            size=batch.size,
            findings=findings,
            held=held,
            keys=keys,
            values=values,
            rejected=pl.concat([looked.rejected, ragged_rows]),
            touched=pl.concat([looked.touched, told["row"].unique(), ragged_rows]),
            gated=looked.gated.len(),
            counts=counts,
        )

    def _suspicious(self, typed: pl.DataFrame) -> pl.Series:
        """The sieve: True on every row where a rule could fire."""
        columns = typed.select(self.suspect)
        # Most suspicions are raised nowhere: counting bits first spares joining empty columns.
        raised = [name for name, some in columns.select(pl.all().any()).row(0, named=True).items() if some]
        return _any([columns[name].fill_null(False) for name in raised], typed.height)

    def values(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The typed values of every row whose client consents."""
        rows = pl.int_range(frame.height, dtype=pl.UInt32, eager=True)
        return self.look(frame, rows).values.drop("row")

    def look(self, frame: pl.DataFrame, rows: pl.Series) -> _Looked:
        """Put rows of text to every rule within a row."""
        book, rules = self.book, self.book.rules
        full = (
            frame.with_columns(*self.constants).with_columns(book.text).with_columns(book.read).with_columns(book.value)
        )
        bad = full.select(expr.fill_null(False).alias(h) for h, expr in book.bad.items())
        columns, gated = self._judge(full, self.within, {h: bad[h] for h in bad.columns})
        findings = self._gather(columns, frame, rows)
        values = full.with_columns(rows.alias("row")).filter(~gated)
        rejecting = [c for i, c in columns.items() if rules[i].severity is Severity.REJECT]
        rejected, touched = _any(rejecting, frame.height), _any(list(columns.values()), frame.height)
        text = values.select(derive.plainly(f).alias(f.header) for f in book.dataset.fields)
        return _Looked(
            findings=findings,
            values=values.select("row", *book.dataset.headers),
            rejected=rows.filter(rejected),
            touched=rows.filter(touched),
            gated=rows.filter(gated),
            bad={h: int((bad[h] & ~gated).sum()) for h in bad.columns},
            tally=text.select(book.tally),
        )

    def _judge(
        self, full: pl.DataFrame, within: Sequence[int], bad: Mapping[str, pl.Series]
    ) -> tuple[dict[int, pl.Series], pl.Series]:
        """Where each rule fails, one Boolean column a rule that fails anywhere; and the gated rows.

        `bad` says where a field's value is no value: every other rule that reads it is silent there.
        """
        rules = self.book.rules
        fails = full.select(self.book.likely[i] for i in within)
        raised = []
        for i, some in zip(within, fails.select(pl.all().any()).row(0), strict=True):
            if some and rules[i].likely is not None:
                # The dear rule is asked only where its cheap condition holds.
                likely = fails[rules[i].id]
                failing = full.filter(likely).select(self.book.fails[i])[:, 0]
                at = likely.arg_true().filter(failing)
                fails = fails.with_columns(pl.int_range(full.height, eager=True).is_in(at.implode()).alias(rules[i].id))
                some = at.len() > 0  # noqa: PLW2901
            if some:
                raised.append(i)
        gated = _any([fails[rules[i].id] for i in raised if rules[i].gate], full.height)
        silent = {rules[i].replaces: fails[rules[i].id] for i in raised if rules[i].replaces}
        columns: dict[int, pl.Series] = {}
        for i in raised:
            rule, column = rules[i], fails[rules[i].id]
            if not rule.gate:
                column = column & ~gated
                for header in rule.headers:
                    if header in bad:
                        column = column & ~bad[header]
            if rule.id in silent:
                column = column & ~silent[rule.id]
            if i in self.active and column.any():
                columns[i] = column
        return columns, gated

    def look_at_one(self, record: Record) -> list[Finding]:
        """`look` for one record, without the work a blank field does not need."""
        book = self.book
        text = {h: record.get(h) or "" for h in book.dataset.headers}
        filled = [h for h in text if text[h].strip()]
        blank = [h for h in text if not text[h].strip()]
        frame = pl.DataFrame({f"{h} as sent": [text[h]] for h in filled}, schema_overrides=book.schema_sent)
        frame = frame.with_columns(*self.constants, *(column for h in blank for column in book.blank[h]))
        full = frame.with_columns(book.read_of[h] for h in filled).with_columns(book.value_of[h] for h in filled)
        # A value written just as the dataset writes it breaks no rule of its own field.
        values = full.row(0, named=True)
        odd = [h for h in filled if _as_text(values[h]) != text[h]]
        within = [i for h in odd for i in book.of_filled[h]] + [i for h in blank for i in book.of_blank[h]]
        unread = {h for h in odd if values[h] is None and (values[f"{h} as read"] is not None or h in book.typed_only)}
        bad = {h: pl.Series([True]) for h in unread}
        columns, _ = self._judge(full, [*within, *book.written], bad)
        found = []
        for i in sorted(columns):
            rule = book.rules[i]
            value = None if rule.gate else text[rule.header] or None
            if value and rule.header in book.postcodes:
                value = _cut(pl.Series([value]))[0]
            found.append(Finding(0, rule, value))
        return found

    def _gather(self, columns: Mapping[int, pl.Series], frame: pl.DataFrame, rows: pl.Series) -> pl.DataFrame:
        """A row a finding, from a Boolean column a rule over `frame` (text) and `rows`."""
        book = self.book
        client, episode = (frame[key] for key in book.keys[:2])
        parts = []
        for i, column in columns.items():
            rule, at = book.rules[i], column.arg_true()
            hidden = rule.gate or rule.header not in book.dataset.by_header
            value = (
                frame[rule.header].gather(at) if not hidden else pl.repeat(None, at.len(), dtype=pl.String, eager=True)
            )
            if rule.header in book.postcodes:
                value = _cut(value)
            parts.append(
                pl.DataFrame(
                    {
                        "row": rows.gather(at),
                        "rule": pl.repeat(i, at.len(), dtype=pl.UInt32, eager=True),
                        "value": value.rename("value"),
                        "client": client.gather(at) if not rule.gate else value,
                        "episode": episode.gather(at) if not rule.gate else value,
                    }
                )
            )
        if not parts:
            return _no_findings(book)
        return self._findings(pl.concat(parts)).sort("row", "rule")

    def _findings(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Rule numbers to ids; with a column for the previous value where there is a last submission."""
        if self.book.compared:
            frame = frame.with_columns(previous=pl.lit(None, pl.String))
        return frame.with_columns(_to_ids(pl.col("rule"), self.book))

    def _ragged(self, batch: Batch) -> pl.DataFrame:
        if not batch.ragged or 0 not in self.active:
            return _no_findings(self.book)
        rows = pl.Series([row for row, _ in batch.ragged], dtype=pl.UInt32)
        blank = pl.repeat(None, rows.len(), dtype=pl.String, eager=True)
        frame = pl.DataFrame({"row": rows, "rule": pl.repeat(0, rows.len(), dtype=pl.UInt32, eager=True)})
        return self._findings(frame.with_columns(value=blank, client=blank, episode=blank))

    def _local_stories(
        self, keys: pl.DataFrame, frame: pl.DataFrame, typed: pl.DataFrame, looked: _Looked, rows: pl.Series
    ) -> pl.DataFrame:
        """Rows of one id that disagree with one another inside this piece."""
        found = [_no_findings(self.book)]
        for key in self.book.keys:
            stories = [s for s in self.stories if s.key == key]
            apart = _disagreeing(keys, key)
            if apart.is_empty() or not stories:
                continue
            headers = [key, *(s.header for s in stories)]
            held = looked.values.filter(pl.col("row").is_in(apart.implode()))
            passed = apart.filter(~apart.is_in(held["row"].implode()))
            clean = typed.select(rows.alias("row"), *headers).filter(pl.col("row").is_in(passed.implode()))
            values = pl.concat([clean, held.select("row", *headers)])
            found.append(self._told(stories, values, frame, rows))
        return pl.concat(found)

    def _told(
        self, stories: Sequence[derive.Story], values: pl.DataFrame, frame: pl.DataFrame, rows: pl.Series
    ) -> pl.DataFrame:
        """Findings of the one-story rules over rows that may disagree. `frame`, `rows`: their text."""
        hashed = values.select(
            "row",
            *(
                pl.when(pl.col(h).is_not_null()).then(pl.col(h).hash()).alias(h)
                for h in values.columns
                if h not in ("row", "piece")
            ),
            *(["piece"] if "piece" in values.columns else []),
        )
        differ = hashed.select(s.rule.fails_when.fill_null(False).alias(s.rule.id) for s in stories)
        if "piece" in values.columns:
            # What disagrees inside one piece has been told already.
            local = hashed.select(
                (pl.col(s.header).min().over(s.key, "piece") != pl.col(s.header).max().over(s.key, "piece"))
                .fill_null(False)
                .alias(s.rule.id)
                for s in stories
            )
            differ = differ.select(pl.col(c) & ~local[c] for c in differ.columns)
        place = pl.DataFrame({"row": rows}).with_row_index("at")
        at = values.select("row").join(place, on="row", how="left", maintain_order="left")["at"]
        columns = {}
        for story in stories:
            if differ[story.rule.id].any():
                columns[self.book.index[story.rule.id]] = differ[story.rule.id]
        return self._gather(columns, frame[at], values["row"])

    def _written_across(self, keys: pl.DataFrame, frame: pl.DataFrame, rows: pl.Series) -> pl.DataFrame:
        """Findings of the written rules across rows, as far as this piece shows, with their keys."""
        book = self.book
        hits = self._across_hits(keys, self.across_rules)
        if not hits:
            return _no_findings(book).with_columns(key=pl.lit(None, pl.UInt64))
        found = []
        for i, at in hits.items():
            some = keys[at]
            found.append(self._texts(i, some["row"], frame, rows, some[book.rules[i].across or ""]))
        return pl.concat(found)

    def _across_hits(self, keys: pl.DataFrame, rules: Sequence[int]) -> dict[int, pl.Series]:
        if not rules or keys.is_empty():
            return {}
        keys = keys.with_columns(*self.constants)
        fails = keys.select(
            (self.book.rules[i].fails_when & pl.col(self.book.rules[i].across or "").is_not_null())
            .fill_null(False)
            .alias(self.book.rules[i].id)
            for i in rules
        )
        return {i: at for i, name in zip(rules, fails.columns, strict=True) if (at := fails[name].arg_true()).len()}

    def _texts(self, i: int, wanted: pl.Series, frame: pl.DataFrame, rows: pl.Series, key: pl.Series) -> pl.DataFrame:
        place = pl.DataFrame({"row": rows}).with_row_index("at")
        at = pl.DataFrame({"row": wanted}).join(place, on="row", how="left", maintain_order="left")["at"]
        every = pl.repeat(True, at.len(), dtype=pl.Boolean, eager=True)
        found = self._gather({i: every}, frame[at], wanted)
        order = pl.DataFrame({"row": wanted, "key": key})
        return found.join(order, on="row", how="left", maintain_order="left")

    # -- in order, in one thread

    def take(self, part: _Part) -> None:
        """Add what one piece gave."""
        self.rows += part.rows
        self.blank += part.blank
        self.gated += part.gated
        for name, count in part.counts.items():
            self.counts[name] = self.counts.get(name, 0) + count
        self.rejected.append(part.rejected)
        self.touched.append(part.touched)
        self.keys.add(part.keys)
        self.held.append(part.held)
        if part.values is not None:
            self.incoming.append(part.values)
        self._emit(part.findings)

    def _emit(self, found: pl.DataFrame) -> None:
        if found.is_empty():
            return
        self.total += found.height
        codes = found["rule"].to_physical()
        counts = codes.value_counts()
        for i, count in counts.iter_rows():
            self.fired[i] = self.fired.get(i, 0) + count
            seen = self.first.setdefault(i, [])
            if len(seen) < FIRST:
                some = found.filter(codes == i).head(FIRST - len(seen))
                seen.extend(Seen(row, c, e, v) for row, _, v, c, e, *_ in some.iter_rows())
        if self.keep is None or self.kept_rows < self.keep:
            room = found if self.keep is None else found.head(self.keep - self.kept_rows)
            self.kept.append(room)
            self.kept_rows += room.height
        if self.sink:
            self.sink(found)

    def across(self, pieces: Callable[[], Iterator[Callable[[], Batch]]]) -> None:
        """Rules across rows, now that every row has been seen; reads again only rows it must."""
        book = self.book
        held = pl.concat(self.held) if self.held else None
        wanted: dict[int, pl.Series] = {}
        tasks: list[tuple[str, pl.DataFrame]] = []
        for key in book.gathered:
            spread = self.keys.spread(key)
            ids = [i for i in self.across_rules if book.rules[i].across == key]
            if held is not None:
                of_key = pl.col("rule").is_in(pl.Series([book.rules[i].id for i in ids], dtype=book.ids).implode())
                held = held.filter(~(of_key & pl.col("key").is_in(spread.implode())))
            if spread.is_empty():
                continue
            for some in self.keys.parts(key, spread):
                for i, at in self._across_hits(some, ids).items():
                    rows = some["row"].gather(at)
                    wanted[i] = pl.concat([wanted[i], rows]) if i in wanted else rows
                apart = _disagreeing(some, key) if key in book.keys else some["row"].head(0)
                if apart.len():
                    mine = some.filter(pl.col("row").is_in(apart.implode())).select("row", "piece", key)
                    count = -(-mine.height // _ROWS_TOGETHER)
                    for n in range(count):
                        tasks.append((key, mine.filter(pl.col(key) % count == n).select("row", "piece")))
        found = [] if held is None else [held.drop("key")]
        if wanted:
            found.append(self._read_again(wanted, pieces))
        for key, task in tasks:
            found.append(self._stories_again(key, task, pieces))
        if self.held_before is not None:
            found.append(self._changes(self.held_before))
        late = pl.concat(found).sort("row", "rule") if found else _no_findings(book)
        self.touched.append(late["row"].unique())
        gravest = pl.Series([book.rules[i].id for i in book.rejects], dtype=book.ids)
        self.rejected.append(late.filter(pl.col("rule").is_in(gravest.implode()))["row"].unique())
        self._emit_late(late)

    def _emit_late(self, late: pl.DataFrame) -> None:
        self._emit(late)

    def _changes(self, held: pl.DataFrame) -> pl.DataFrame:
        """Findings on what should not have changed since the last submission."""
        book = self.book
        incoming = pl.concat(self.incoming)
        client, episode = book.keys[:2]
        changed = compare.compare(incoming, held, book.dataset)
        ids = {
            (header, change): name
            for header in book.dataset.headers
            for change in compare.Change
            if (name := compare.rule_id(header, change)) in book.index and book.index[name] in self.active
        }
        wanted = pl.DataFrame(
            [(h, c, name) for (h, c), name in ids.items()],
            schema={"header": pl.String, "change": pl.String, "rule": book.ids},
            orient="row",
        )
        return (
            changed.join(wanted, on=["header", "change"])
            .join(incoming.select("row", client=client, episode=episode), on="row")
            .select("row", "rule", "value", "client", "episode", "previous")
        )

    def _rows_again(
        self, wanted: pl.Series, pieces: Callable[[], Iterator[Callable[[], Batch]]]
    ) -> tuple[pl.DataFrame, pl.Series]:
        def pick(piece: Callable[[], Batch]) -> tuple[pl.DataFrame, pl.Series]:
            batch = piece()
            some = batch.rows.is_in(wanted.implode())
            return batch.frame.filter(some), batch.rows.filter(some)

        frames, rows = zip(*_side_by_side(pick, pieces()), strict=True)
        return pl.concat(frames), pl.concat(rows)

    def _read_again(
        self, wanted: Mapping[int, pl.Series], pieces: Callable[[], Iterator[Callable[[], Batch]]]
    ) -> pl.DataFrame:
        frame, rows = self._rows_again(pl.concat(list(wanted.values())).unique(), pieces)
        none = pl.Series([], dtype=pl.UInt64)
        return pl.concat(
            self._texts(i, some, frame, rows, none.extend_constant(0, some.len())).drop("key")
            for i, some in wanted.items()
        )

    def _stories_again(
        self, key: str, task: pl.DataFrame, pieces: Callable[[], Iterator[Callable[[], Batch]]]
    ) -> pl.DataFrame:
        stories = [s for s in self.stories if s.key == key]
        if not stories:
            return _no_findings(self.book)
        frame, rows = self._rows_again(task["row"], pieces)
        values = self.look(frame, rows).values.join(task, on="row", how="left")
        return self._told(stories, values.select("row", "piece", key, *(s.header for s in stories)), frame, rows)

    # -- the end

    def findings(self, source: Source | None) -> Findings:
        """Everything found, added up."""
        book = self.book
        rejected = pl.concat(self.rejected).n_unique() if self.rejected else 0
        touched = pl.concat(self.touched).n_unique() if self.touched else 0
        frame = pl.concat(self.kept) if self.kept else _no_findings(book)
        ledger = tuple(
            RuleRun(rule, self._state(i, rule), self.fired.get(i, 0), tuple(self.first.get(i, ())))
            for i, rule in enumerate(book.rules)
        )
        return Findings(
            dataset=book.dataset,
            today=self.today,
            source=source,
            rows=self.rows,
            accepted=self.rows - rejected,
            rejected=rejected,
            queried=touched - rejected,
            ledger=ledger,
            completeness=self._completeness(),
            notes=self._notes(source),
            frame=frame,
            total=self.total,
        )

    def _state(self, i: int, rule: Rule) -> Literal["run", "skipped", "not applicable"]:
        if i not in self.active:
            return "skipped"
        if SUBMITTER in rule.headers and self.submitter is None:
            return "not applicable"
        return "run"

    def _completeness(self) -> dict[str, Filled]:
        told = self.rows - self.gated - self.fired.get(0, 0)
        return {
            h: Filled(
                filled=told - self.counts.get(f"blank {h}", 0),
                blank=self.counts.get(f"blank {h}", 0),
                not_answered=self.counts.get(f"not answered {h}", 0),
                bad=self.counts.get(f"bad {h}", 0),
            )
            for h in self.book.dataset.headers
        }

    def _notes(self, source: Source | None) -> tuple[str, ...]:
        notes = list(source.notes) if source else []
        if self.blank:
            rows = "row was" if self.blank == 1 else "rows were"
            notes.append(f"{self.blank:,} blank {rows} left out")
        for f in self.book.dataset.fields:
            count = self.counts.get(f"unknown {f.header}", 0)
            if count:
                rows = "row has a code" if count == 1 else "rows have codes"
                notes.append(
                    f"{count:,} {rows} for {f.noun} ({f.header}) that our {self.book.dataset.codes_of(f.header).status}"  # type: ignore[union-attr]
                    f" list does not have, and were not held against it: install the official list with"
                    f" “cjit reference install {f.codes} FILE”"
                )
        return tuple(notes)


class _Keys:
    """The key columns of every row seen, in memory or, for a very long file, in a temporary folder."""

    def __init__(self) -> None:
        self.frames: list[pl.DataFrame] = []
        self.height = 0
        self.pieces = 0
        self.folder: tempfile.TemporaryDirectory[str] | None = None
        self.files: list[Path] = []

    def add(self, keys: pl.DataFrame) -> None:
        self.frames.append(keys.with_columns(piece=pl.lit(self.pieces, pl.UInt32)))
        self.pieces += 1
        self.height += keys.height
        if self.height > _KEYS_IN_MEMORY:
            self.folder = self.folder or tempfile.TemporaryDirectory(prefix="cjit-")
            path = Path(self.folder.name) / f"{self.pieces}.arrow"
            pl.concat(self.frames).write_ipc(path)
            self.files.append(path)
            self.frames, self.height = [], 0

    def _lazily(self) -> list[pl.LazyFrame]:
        return [pl.scan_ipc(path) for path in self.files] + [frame.lazy() for frame in self.frames]

    def spread(self, key: str) -> pl.Series:
        """The ids whose rows lie in more than one piece."""
        if self.pieces < 2:
            return pl.Series([], dtype=pl.UInt64)
        seen = [frame.select(key, "piece").unique().collect() for frame in self._lazily()]
        every = pl.concat(seen).unique().drop_nulls(key)[key]
        return every.filter(every.is_duplicated()).unique()

    def parts(self, key: str, ids: pl.Series) -> Iterator[pl.DataFrame]:
        """Every row of some ids; rows of one id come together, at most about a million at a time."""
        rows = pl.concat([frame.filter(pl.col(key).is_in(ids.implode())).collect() for frame in self._lazily()])
        count = -(-rows.height // 1_000_000)
        for n in range(count):
            yield rows if count == 1 else rows.filter(pl.col(key) % count == n)


def _disagreeing(keys: pl.DataFrame, key: str) -> pl.Series:
    """The rows of ids that have more than one story."""
    story = f"story of {key}"
    twice = keys.filter(pl.col(key).is_not_null() & pl.col(key).is_duplicated())
    if twice.is_empty():
        return twice["row"]
    return twice.filter(pl.col(story).min().over(key) != pl.col(story).max().over(key))["row"]


def _as_text(value: date | int | str | None) -> str | None:
    """A typed value as the dataset writes it (`derive.plainly_value`, for one)."""
    if isinstance(value, date):
        return value.strftime("%d/%m/%Y")
    return None if value is None else str(value)


def _any(columns: Sequence[pl.Series], height: int) -> pl.Series:
    found = pl.repeat(False, height, dtype=pl.Boolean, eager=True)
    for column in columns:
        found |= column
    return found


def _cut(postcodes: pl.Series) -> pl.Series:
    """Whole postcodes with their last two characters struck out: they are never shown."""
    frame = pl.DataFrame({"x as sent": postcodes})
    whole = derive.whole_postcode("x")
    text = derive.sent("x").str.strip_chars()
    return frame.select(pl.when(whole).then(text.str.head(-2) + "**").otherwise(text))[:, 0]


def _to_ids(index: pl.Expr, book: _Book) -> pl.Expr:
    return index.replace_strict(
        pl.int_range(len(book.rules), dtype=pl.UInt32, eager=True),
        pl.Series([r.id for r in book.rules], dtype=book.ids),
        return_dtype=book.ids,
    ).alias("rule")


def _no_findings(book: _Book) -> pl.DataFrame:
    text = ("value", "client", "episode", *(("previous",) if book.compared else ()))
    return pl.DataFrame(schema={"row": pl.UInt32, "rule": book.ids, **dict.fromkeys(text, pl.String)})


class _Callable(ModuleType):
    """Lets `cjit.check(...)` be the call although `cjit.check` is also this module."""

    def __call__(self, *args: object, **kwargs: object) -> Findings:
        return check(*args, **kwargs)  # type: ignore[arg-type]


sys.modules[__name__].__class__ = _Callable
