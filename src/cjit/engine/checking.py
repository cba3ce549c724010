"""A file, a frame or some records held against a dataset: the findings.

A file is read once into a table (`engine.table`) and put to the rule book (`engine.judge`); records of a form go to the
plain engine (`engine.records`). Here the two are called, and what they found is put in order, counted and worded.
"""

from __future__ import annotations

import difflib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property, lru_cache
from typing import IO, Literal

import polars as pl

from cjit.conditions import Argument, is_told
from cjit.dataset import WITHHELD, Changes, Dataset, Entity, Kind, Record, Rule, Severity
from cjit.engine import compare
from cjit.engine.findings import RAGGED, Filled, Finding, Findings, RuleRun, Seen, Sink, in_full
from cjit.engine.judge import Judge
from cjit.engine.plain import WHITE
from cjit.engine.records import prepared as records_of
from cjit.engine.rulebook import RuleBook, rule_book
from cjit.engine.shown import cells_told, spells_yes, tells_of_the_extract, value_shown
from cjit.engine.table import Progress as Bytes
from cjit.engine.table import Table, apart, counts_of, read, repeating
from cjit.files.opening import open_file
from cjit.files.parsing import Batch, Made, Piece, pieces_of
from cjit.files.parsing import repeating as shared_texts
from cjit.files.source import Source, Unusable

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
#: Findings put in order, and handed to a sink, at once.
_TOGETHER = 100_000
#: Distinct texts of a withheld field that are counted, beside blank.
_TEXTS = 6

Progress = Callable[[int, int], None]
Pieces = Callable[[Mapping[str, pl.DataType] | None], Iterator[Piece]]


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
    `previous`.
    `submitter` is the agency code AGNCY must have. A file that is not `full` has only new and changed records: what of
    the last submission is not in it is no news. `only`
    and `skip` name rules by id, header or pattern (`DISABLE*`). `sink` is handed every batch of findings
    in order; `keep` bounds how many stay in `Findings.frame` (None: all). `progress`
    is told how much is done, and of how much, in bytes of the file. Raises `Unusable` where the file cannot be read,
    `UnknownRule`, and TypeError for what is of another type.
    """
    dataset = _dataset(dataset)
    _day(today)
    book = rule_book(dataset, previous is not None)
    active = _chosen(book.rules, only, skip)
    given = source if isinstance(source, pl.DataFrame | Source) else open_file(source, dataset)
    opened = given if isinstance(given, Source) else None
    types: Mapping[str, pl.DataType] = {}
    before = None
    if previous is not None:
        if isinstance(previous, pl.DataFrame) and _is_typed(previous, dataset):
            before, types = previous, previous.schema
        else:
            types = shared_texts(dataset)
            before = _values(
                previous if isinstance(previous, pl.DataFrame | Source) else open_file(previous, dataset),
                dataset,
                today,
                types,
            )
        before = before.filter(~pl.col(WITHHELD)) if WITHHELD in before.columns else before
    size = opened.size if opened else 0

    def told(done: int) -> None:
        # Reading is about half of the work.
        if progress and opened:
            progress(min(done, size) // 2, size)

    table = _table(given, dataset, book, told)
    if opened:
        opened.assure()
        if not table.height and not table.ragged:
            raise Unusable(f"{opened.name} has headers but no records: make the extract again and check its dates")
    judge = Judge(book, table, active, today, submitter)
    judge.judge()
    outcome = _Outcome(judge, opened, None if before is None else _Before(before, types, full))
    findings = outcome.findings(keep, sink)
    if progress and opened:
        progress(size, size)
    return findings


def check_rows(
    dataset: Dataset | str,
    rows: Sequence[Record],
    *,
    today: date,
    submitter: str | None = None,
) -> list[Finding]:
    """Check some records at once, as a form does; one record takes a third of a millisecond.

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
    engine = records_of(dataset, today, submitter)
    book = engine.book
    seen = engine.rows(rows)
    found = {(at, i) for at, row in enumerate(seen) for i in row.fails}
    found.update(engine.once(seen))
    if len(rows) > 1:
        found.update(engine.across(seen))
    return [
        Finding(at, rule := book.rules[i], _shown(rule, rows[at].get(rule.header), book)) for at, i in sorted(found)
    ]


def _shown(rule: Rule, text: str | None, book: RuleBook) -> str | None:
    return value_shown(text, gate=rule.gate, postcode=rule.header in book.postcodes)


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
    return _values(opened, dataset, today, kinds or {})


def _values(
    source: Source | pl.DataFrame, dataset: Dataset, today: date, types: Mapping[str, pl.DataType]
) -> pl.DataFrame:
    book = rule_book(dataset)
    return Judge(book, _table(source, dataset, book), frozenset(), today, None).values(types)


def _is_typed(frame: pl.DataFrame, dataset: Dataset) -> bool:
    """Whether a frame has values, as `records` gives them, not text."""
    return frame.schema.get(next(f.header for f in dataset.fields if f.kind is Kind.DATE)) == pl.Date


def _table(source: Source | pl.DataFrame, dataset: Dataset, book: RuleBook, told: Bytes = lambda done: None) -> Table:
    """A file, or a frame of text, as a table."""
    ids = apart(dataset, tuple(book.across))
    kinds = repeating(dataset, ids)
    done = 0

    def progress(size: int) -> None:
        nonlocal done
        done += size
        told(done)

    pieces = pieces_of(source, kinds) if isinstance(source, Source) else _pieces_of(source, dataset)
    return read(pieces, kinds, ids, progress)


def _pieces_of(frame: pl.DataFrame, dataset: Dataset) -> Iterator[Piece]:
    text = frame.select(
        pl.col(h).cast(pl.String).replace("", None) if h in frame.columns else pl.lit(None, pl.String).alias(h)
        for h in dataset.headers
    )
    yield Made(Batch(text, pl.int_range(2, 2 + text.height, dtype=pl.UInt32, eager=True)))


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


# ---- what was found --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Before:
    """The values of the last submission; the types its texts have; whether the file should have all of its records."""

    values: pl.DataFrame
    types: Mapping[str, pl.DataType]
    full: bool


@dataclass(frozen=True)
class _GateTexts:
    """What stands on the rows whose gate failed.

    `counts` are the texts of the gate's field that are no code of it, with their rows: "" for blank, and where there
    are many only some. `headers_again` counts the rows that repeat the headers.
    """

    counts: Counter[str]
    headers_again: int


class _Outcome:
    """What a judge found, put in order, counted and worded."""

    def __init__(self, judge: Judge, source: Source | None, before: _Before | None) -> None:
        self.judge = judge
        self.book = judge.book
        self.table = judge.table
        self.source = source
        self._absences: list[str] = []
        self.changes = self._nothing() if before is None else self._changed(before)
        self.fired = {i: places.len() for i, places in judge.hits.items()}
        for name, count in self.changes["rule"].value_counts().iter_rows():
            self.fired[self.book.index[name]] = count
        if self.table.ragged:
            self.fired[0] = len(self.table.ragged)

    def findings(self, keep: int | None, sink: Sink | None) -> Findings:
        """Everything found; handed to a sink in order, and the first so many kept."""
        kept = [self._nothing()]
        room = keep
        for found in self._in_order():
            if sink:
                sink(found)
            if room is None or room > 0:
                kept.append(found if room is None else found.head(room))
                room = None if room is None else room - kept[-1].height
        worst = self._worst()
        return Findings(
            dataset=self.book.dataset,
            today=self.judge.today,
            source=self.source,
            rows=self.table.height + len(self.table.ragged),
            looked=self._looked,
            worst={severity: worst.get(place, 0) for place, severity in enumerate(Severity)},
            ledger=tuple(
                RuleRun(rule, self._state(i, rule), self.fired.get(i, 0), self._first(i))
                for i, rule in enumerate(self.book.rules)
            ),
            completeness=self._completeness(),
            notes=self._notes(self.source),
            frame=pl.concat(kept),
            total=sum(self.fired.values()),
            above=tuple(self._above()),
        )

    # ---- one after another ---------------------------------------------------------------------

    def _in_order(self) -> Iterator[pl.DataFrame]:
        """All findings by row, then by the book, some rows at a time."""
        total = sum(self.fired.values())
        parts = -(-total // _TOGETHER)
        height = self.table.height
        ragged = self._ragged()
        last = 0
        for part in range(1, parts + 1):
            upto = height * part // parts
            found = [self._told({i: _between(places, last, upto) for i, places in self.judge.hits.items()})]
            end = None if part == parts else self.table.rows[upto] if upto < height else None
            start = 0 if part == 1 else self.table.rows[last] if last < height else None
            found += [_rows_between(frame, start, end) for frame in (ragged, self.changes)]
            last = upto
            together = pl.concat([self._nothing(), *found])
            if together.height:
                yield in_order(together)

    def _told(self, found: Mapping[int, pl.Series]) -> pl.DataFrame:
        """The findings of some rules at some places of the table."""
        book, table = self.book, self.table
        found = {i: places for i, places in found.items() if places.len()}
        if not found:
            return self._nothing()
        places = pl.concat(list(found.values()))
        counts = pl.Series([at.len() for at in found.values()])
        rules = pl.Series([book.rules[i].id for i in found], dtype=book_ids(book))
        frame = pl.DataFrame(
            [
                table.rows.gather(places).alias("row"),
                rules.gather(pl.arange(len(found), eager=True).repeat_by(counts).explode()).alias("rule"),
                pl.concat([self._values_shown(i, at) for i, at in found.items()]).alias("value"),
                *(table.ids[key].gather(places).alias(name) for key, name in self._named),
            ]
        )
        gates = [book.rules[i].id for i in book.gates]
        if any(i in found for i in book.gates):
            # Of a row whose gate failed nothing is told, not even whose it is.
            named = [name for _, name in self._named]
            frame = frame.with_columns(
                pl.when(~pl.col("rule").cast(pl.String).is_in(gates)).then(pl.col(named)).name.keep()
            )
        return frame.with_columns(previous=pl.lit(None, pl.String)) if book.compared else frame

    @cached_property
    def _named(self) -> tuple[tuple[str, str], ...]:
        return ((self.book.keys[0], "client"), (self.book.keys[1], "episode"))

    def _values_shown(self, i: int, places: pl.Series) -> pl.Series:
        rule = self.book.rules[i]
        if rule.gate:
            return pl.Series([None], dtype=pl.String).new_from_index(0, places.len())
        if rule.header in self.table.ids:
            texts = self.table.ids[rule.header].gather(places)
            return pl.Series([_shown(rule, text, self.book) for text in texts], dtype=pl.String)
        of = self.table.texts[rule.header]
        return self._texts_shown(rule.header).gather(of.numbers.gather(places))

    def _texts_shown(self, header: str) -> pl.Series:
        """Each text of a field as a finding shows it, by number."""
        if header not in self._shown_by_header:
            postcode = header in self.book.postcodes
            texts = [value_shown(text, gate=False, postcode=postcode) for text in self.table.texts[header].texts]
            self._shown_by_header[header] = pl.Series(texts, dtype=pl.String)
        return self._shown_by_header[header]

    @cached_property
    def _shown_by_header(self) -> dict[str, pl.Series]:
        return {}

    def _ragged(self) -> pl.DataFrame:
        table = self.table
        told = [(row, cells_told(cells, table.width, ends=row == table.cut_off)) for row, cells in table.ragged]
        frame = pl.DataFrame(told, schema={"row": pl.UInt32, "value": pl.String}, orient="row")
        missing = [name for name in self._nothing().columns if name not in ("row", "rule", "value")]
        return frame.select(
            "row",
            pl.lit(RAGGED.id).cast(book_ids(self.book)).alias("rule"),
            "value",
            *(pl.lit(None, pl.String).alias(name) for name in missing),
        ).select(self._nothing().columns)

    def _nothing(self) -> pl.DataFrame:
        """No findings, with the columns they would have."""
        text = ("value", "client", "episode", *(("previous",) if self.book.compared else ()))
        return pl.DataFrame(schema={"row": pl.UInt32, "rule": book_ids(self.book), **dict.fromkeys(text, pl.String)})

    def _first(self, i: int) -> tuple[Seen, ...]:
        """The first few findings of a rule."""
        return tuple(self._firsts.get(i, ()))

    @cached_property
    def _firsts(self) -> Mapping[int, Sequence[Seen]]:
        few = pl.int_range(pl.len()).over("rule") < FIRST
        within = self._told({i: places.head(FIRST) for i, places in self.judge.hits.items()})
        changes = self.changes.sort("row", maintain_order=True).filter(few)
        first: dict[int, list[Seen]] = {}
        for told in pl.concat([within, self._ragged().head(FIRST), changes]).iter_rows(named=True):
            seen = Seen(told["row"], told["client"], told["episode"], told["value"], told.get("previous"))
            first.setdefault(self.book.index[told["rule"]], []).append(seen)
        return first

    # ---- counts --------------------------------------------------------------------------------

    def _worst(self) -> dict[int, int]:
        """Rows by the gravest severity said of them, as its place in `Severity`."""
        grades = pl.Series([len(Severity)], dtype=pl.UInt8).new_from_index(0, self.table.height)
        places = dict(self.judge.hits)
        for i in {self.book.index[name] for name in self.changes["rule"].unique()}:
            rows = self.changes.filter(pl.col("rule") == self.book.rules[i].id)["row"]
            places[i] = self.table.rows.search_sorted(rows)
        for i in sorted(places, key=lambda i: -self.book.severities[i]):
            grades = grades.scatter(places[i], self.book.severities[i])
        counts = dict(grades.value_counts().iter_rows())
        counts.pop(len(Severity), None)
        if self.table.ragged:
            reject = list(Severity).index(RAGGED.severity)
            counts[reject] = counts.get(reject, 0) + len(self.table.ragged)
        return counts

    @cached_property
    def _looked(self) -> int:
        """The rows whose client consents and whose cells can be told apart."""
        return self.table.height - int(self.judge.gated.sum())

    def _completeness(self) -> dict[str, Filled]:
        filled = {}
        for field in self.book.dataset.fields:
            header = field.header
            if header in self.table.ids:
                blank = int(self.judge.ids[header].filter(~self.judge.gated).null_count())
                filled[header] = Filled(self._looked - blank, blank, 0, 0)
                continue
            looked = self.judge.looked[header]
            codes = self.book.dataset.codes_of(header)
            declined: frozenset[object] = frozenset(
                [*map(int, field.apart)] if field.apart else codes.not_answers() if codes else ()
            )
            # A code that stands for none is blank.
            blank = self._rows_of(header, [each.value is None and not each.is_no_value for each in looked])
            filled[header] = Filled(
                filled=self._looked - blank,
                blank=blank,
                not_answered=self._rows_of(header, [each.value in declined for each in looked]),
                bad=self._rows_of(header, [each.is_no_value for each in looked]),
            )
        return filled

    def _rows_of(self, header: str, texts: Sequence[bool]) -> int:
        """On how many of the rows that are looked at one of some texts of a field stands."""
        if not any(texts):
            return 0
        rows = pl.Series(texts, dtype=pl.Boolean).gather(self.table.texts[header].numbers)
        return int(rows.sum()) if self._looked == self.table.height else int((rows & ~self.judge.gated).sum())

    def _unknown(self, header: str) -> int:
        """On how many rows stands a code that a list which is not complete does not have."""
        codes = self.book.dataset.codes_of(header)
        if codes is None or codes.complete or header not in self.judge.looked:
            return 0
        known = frozenset(codes.codes)
        looked = self.judge.looked[header]
        return self._rows_of(header, [each.value is not None and each.value not in known for each in looked])

    @cached_property
    def _gate_texts(self) -> _GateTexts:
        shut = self.judge.gated.arg_true()
        if not self.book.gates or not shut.len():
            return _GateTexts(Counter(), 0)
        header = self.book.rules[self.book.gates[0]].header
        again = self._repeats_headers(shut)
        of, codes = self.table.texts[header], self.book.dataset.codes_of(header)
        counts = counts_of(of.numbers.gather(shut.filter(~again)), len(of.texts))
        told: Counter[str] = Counter()
        for text, count in zip(of.texts, counts, strict=True):
            bare = (text or "").strip(WHITE)
            if count and not (codes and bare.upper() in codes.codes):
                told[bare] += count
        some = [text for text, _ in told.most_common() if text][:_TEXTS]
        return _GateTexts(Counter({text: told[text] for text in ("", *some) if text in told}), int(again.sum()))

    def _repeats_headers(self, places: pl.Series) -> pl.Series:
        """Whether nothing but headers stands in the cells of each of some rows."""
        same = pl.repeat(True, places.len(), dtype=pl.Boolean, eager=True)
        any_given = pl.repeat(False, places.len(), dtype=pl.Boolean, eager=True)
        for field in self.book.dataset.fields:
            names = {field.header, *field.also}
            if field.header in self.table.ids:
                text = self.table.ids[field.header].gather(places)
                own = (text.str.strip_chars().str.to_uppercase().is_in(list(names))).fill_null(True)
                given = text.is_not_null()
            else:
                of = self.table.texts[field.header]
                numbers = of.numbers.gather(places)
                texts = [text is None or text.strip(WHITE).upper() in names for text in of.texts]
                own = pl.Series(texts, dtype=pl.Boolean).gather(numbers)
                given = numbers > 0
            same, any_given = same & own, any_given | given
            if not same.any():
                break
        return same & any_given

    # ---- against the last submission -----------------------------------------------------------

    def _changed(self, before: _Before) -> pl.DataFrame:
        """Findings on what should not have changed since the last submission."""
        book, judge = self.book, self.judge
        values = judge.values(before.types)
        incoming = values.filter(~pl.col(WITHHELD))
        client, episode = book.keys[:2]
        rejecting = [places for i, places in judge.hits.items() if book.rules[i].severity is Severity.REJECT]
        rejected = (
            self.table.rows.gather(pl.concat(rejecting).unique()) if rejecting else pl.Series([], dtype=pl.UInt32)
        )
        changed = compare.compare(incoming, before.values, book.dataset, rejected=rejected)
        # Of whom a row tells nothing but the id: they are not absent, nor is what was theirs.
        withheld = values.filter(pl.col(WITHHELD))[client]
        theirs = before.values.filter(pl.col(client).is_in(withheld.implode()))
        there = [
            (pl.col("entity") == entity.value) & pl.col("id").is_in(theirs[fields[0].header].implode())
            for entity in Entity
            if (fields := book.dataset.entity(entity))
        ]
        self._absences = _absent(changed.filter(~pl.any_horizontal(there).fill_null(False))) if before.full else []
        ids = {
            (header, change): name
            for header in book.dataset.headers
            for change in compare.Change
            if (name := compare.rule_id(header, change)) in book.index and book.index[name] in judge.active
        }
        wanted = pl.DataFrame(
            [(h, c, name) for (h, c), name in ids.items()],
            schema={"header": pl.String, "change": pl.String, "rule": book_ids(book)},
            orient="row",
        )
        # A value that is no value has its own finding: it is neither a change nor emptied.
        changed = changed.join(self._bad_cells(changed), on=["row", "header"], how="anti")
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

    def _bad_cells(self, changed: pl.DataFrame) -> pl.DataFrame:
        """Row and header of each cell in which something stands that is no value."""
        parts = [pl.DataFrame(schema={"row": pl.UInt32, "header": pl.String})]
        for header in changed["header"].drop_nulls().unique():
            looked = self.judge.looked.get(header)
            if looked and any(each.is_no_value for each in looked):
                bad = pl.Series([each.is_no_value for each in looked]).gather(self.table.texts[header].numbers)
                parts.append(self.table.rows.filter(bad).alias("row").to_frame().with_columns(header=pl.lit(header)))
        for i, places in self.judge.hits.items():
            # Of an id or agency for whose sake a row is rejected no more is said.
            rule = self.book.rules[i]
            of_an_id = rule.header in self.book.keys or is_told(rule.fails_when, Argument.SUBMITTER)
            if rule.severity is Severity.REJECT and of_an_id:
                rows = self.table.rows.gather(places).alias("row").to_frame()
                parts.append(rows.with_columns(header=pl.lit(rule.header)))
        return pl.concat(parts)

    # ---- in words ------------------------------------------------------------------------------

    def _state(self, i: int, rule: Rule) -> Literal["run", "skipped", "not applicable"]:
        if i not in self.judge.active:
            return "skipped"
        if is_told(rule.fails_when, Argument.SUBMITTER) and self.judge.submitter is None:
            return "not applicable"
        return "run"

    def _above(self) -> Iterator[str]:
        """What may concern every record: a file that was cut off, and what stands for consent instead of its codes."""
        if self.table.cut_off:
            row = self.table.cut_off
            yield f"The file ends within row {row:,}, so it may have been cut off: make the extract again"
        gate = self.book.rules[self.book.gates[0]]
        codes = self.book.dataset.codes_of(gate.header)
        records = self.table.height - self._gate_texts.headers_again
        if records and self._gate_texts.counts[""] == records:
            yield f"{gate.header} is blank on every row: ask your software supplier to have it filled in"
        texts = Counter({text: count for text, count in self._gate_texts.counts.items() if text})
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

    def _notes(self, source: Source | None) -> tuple[str, ...]:
        notes = [*(source.notes if source else ()), *self._absences]
        if short := self.table.short:
            rows, they = ("row is", "it was") if short == 1 else ("rows are", "they were")
            cells = "that row's" if short == 1 else "those"
            notes.append(
                f"{short:,} {rows} short by blank cells at the end, as spreadsheets write them; {they} read with"
                f" {cells} cells blank"
            )
        if self.table.uneven:
            notes.append(_lost(self.table.uneven))
        if long := self.table.long:
            rows, they = ("row has", "it was") if long == 1 else ("rows have", "they were")
            notes.append(f"{long:,} {rows} blank cells behind the last column; {they} read without them")
        if again := self._gate_texts.headers_again:
            rows = "row repeats" if again == 1 else "rows repeat"
            notes.append(f"{again:,} {rows} the headers: look whether files or sheets were put one below the other")
        if self.table.blank:
            rows = "row was" if self.table.blank == 1 else "rows were"
            notes.append(f"{self.table.blank:,} blank {rows} left out")
        for f in self.book.dataset.fields:
            # A code that a rule of its list queries is not one of those of which nothing is said.
            said = (n for i, n in self.fired.items() if f.codes and self.book.rules[i].of_list == f.codes)
            count = self._unknown(f.header) - sum(said)
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


@lru_cache(maxsize=8)
def book_ids(book: RuleBook) -> pl.Enum:
    """The type of a column of rules: their ids, in the book's order."""
    return pl.Enum([rule.id for rule in book.rules])


def in_order(findings: pl.DataFrame) -> pl.DataFrame:
    """Findings by row, then by the book: on one number, which sorts faster than two columns."""
    place = pl.col("row").cast(pl.UInt64) * (1 << 20) + pl.col("rule").to_physical()
    return findings[findings.select(place.arg_sort())[:, 0]]


def _between(places: pl.Series, start: int, end: int) -> pl.Series:
    """Of places in order those from one up to another."""
    return places[int(places.search_sorted(start)) : int(places.search_sorted(end))]


def _rows_between(frame: pl.DataFrame, start: int | None, end: int | None) -> pl.DataFrame:
    row = pl.col("row")
    if start is None:
        return frame.clear()
    return frame.filter(row >= start) if end is None else frame.filter(row.is_between(start, end, closed="left"))
