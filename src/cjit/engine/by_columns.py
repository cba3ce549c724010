"""The engine of columns: large files and frames are judged by Polars. Here are its answers; `judge` finds them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import groupby

import polars as pl

from cjit.dataset import WITHHELD, Changes, Entity, Rule, Severity
from cjit.engine import compare, compare_frames
from cjit.engine.findings import Line
from cjit.engine.judge import Judge
from cjit.engine.outcome import FIRST, CellText, Judged, Key
from cjit.engine.records import ParsedText
from cjit.engine.rulebook import RuleBook
from cjit.engine.shown import WHOLE_ENDS, value_shown

#: Findings put in order, and handed to a sink, at once.
_TOGETHER = 100_000


@dataclass(frozen=True)
class Previous:
    """A last submission.

    values: a row a record, as `checking.records` returns them. types: the types of its columns of text, by header.
    full: whether the file should have all of it.
    """

    values: pl.DataFrame
    types: Mapping[str, pl.DataType]
    full: bool


class ByColumns(Judged):
    """A table judged by a rule book. table: the rows."""

    def __init__(self, judge: Judge, before: Previous | None) -> None:
        self._judge = judge
        self.book = judge.book
        self.table = judge.table
        self.odd = judge.table
        self.active = judge.active
        self.today = judge.today
        self.submitter = judge.submitter
        self.height = judge.table.height
        self.gated = int(judge.gated.sum())
        self.absent: Mapping[Entity, int] = {}
        self._changes = self._nothing() if before is None else self._changed(before)

    # ---- what is asked of it -------------------------------------------------------------------

    def fired(self) -> dict[int, int]:
        """On how many rows each rule fired, less that of ragged rows."""
        changes = self._changes["rule"].value_counts().iter_rows()
        hits = {i: places.len() for i, places in self._judge.hits.items()}
        return hits | {self.book.index[name]: count for name, count in changes}

    def gravest(self) -> dict[int, int]:
        """On how many rows each severity is the gravest said of them, by its place in `Severity`; ragged rows apart."""
        grades = pl.Series([len(Severity)], dtype=pl.UInt8).new_from_index(0, self.height)
        places = dict(self._judge.hits)
        for i in {self.book.index[name] for name in self._changes["rule"].unique()}:
            rows = self._changes.filter(pl.col("rule") == self.book.rules[i].id)["row"]
            places[i] = self.table.rows.search_sorted(rows)
        for i in sorted(places, key=lambda i: -self.book.severities[i]):
            grades = grades.scatter(places[i], self.book.severities[i])
        counts = dict(grades.value_counts().iter_rows())
        counts.pop(len(Severity), None)
        return counts

    def first_findings(self) -> Iterator[Line]:
        """The first few findings of each rule, in order of the rows; ragged rows apart."""
        few = pl.int_range(pl.len()).over("rule") < FIRST
        within = self._findings_at({i: places.head(FIRST) for i, places in self._judge.hits.items()})
        changes = self._changes.sort("row", maintain_order=True).filter(few)
        for line in pl.concat([within, changes]).iter_rows(named=True):
            yield Line(**line)

    def counted(self, header: str, wanted: Callable[[ParsedText], bool]) -> Iterable[tuple[ParsedText, int]]:
        """The texts of a field that are wanted, each with the number of rows it stands on whose gate holds."""
        parsed = self._judge.parsed[header]
        counts = self.table.texts[header].counted([wanted(each) for each in parsed], self._judge.gated)
        return ((parsed[number], count) for number, count in counts.items())

    def blank_ids(self, header: str) -> int:
        """The number of rows whose gate holds and whose id is blank."""
        return self._judge.blank_ids(header)

    def numbers(self, places: range) -> Sequence[int]:
        """The number of each of some rows, as a spreadsheet shows it."""
        return self.table.rows[places.start : places.stop].to_list()

    def cells(self, header: str) -> Mapping[Key, CellText]:
        """Each text of a field by its key, which is its number; an id that is not there has itself as key."""
        if header in self.table.ids:
            return {text: CellText(text, parsed) for text, parsed in self._judge.parsed_ids[header].items()}
        return dict(enumerate(map(CellText, self.table.texts[header].texts, self._judge.parsed[header])))

    def keys(self, header: str, places: Sequence[int]) -> Sequence[Key]:
        """The key of a field's text on each of some rows."""
        column = self.table.ids[header] if header in self.table.ids else self.table.texts[header].numbers
        of = (
            column[places.start : places.stop]
            if isinstance(places, range)
            else column.gather(pl.Series(places, dtype=pl.UInt32))
        )
        return of.to_list()

    @property
    def gated_rows(self) -> Sequence[int]:
        """The rows whose gate failed, in order."""
        return self._judge.gated.arg_true().to_list()

    # ---- one after another ---------------------------------------------------------------------

    def batches(self, ragged: Sequence[Line]) -> Iterator[pl.DataFrame]:
        """All findings by row, then by the book, with those of the ragged rows among them: some rows at a time."""
        odd = self._of_lines(ragged)
        total = sum(self.fired().values()) + odd.height
        parts = -(-total // _TOGETHER)
        height = self.table.height
        bounds = pl.Series([height * part // max(parts, 1) for part in range(parts + 1)], dtype=pl.UInt32)
        cuts = {i: places.search_sorted(bounds).to_list() for i, places in self._judge.hits.items()}
        for part in range(parts):
            last, upto = bounds[part], bounds[part + 1]
            at = {i: places[cuts[i][part] : cuts[i][part + 1]] for i, places in self._judge.hits.items()}
            found = [self._findings_at(at)]
            end = None if part == parts - 1 else self.table.rows[upto] if upto < height else None
            start = 0 if part == 0 else self.table.rows[last] if last < height else None
            found += [_rows_between(frame, start, end) for frame in (odd, self._changes)]
            together = pl.concat([self._nothing(), *found])
            if together.height:
                yield in_order(together)

    def _findings_at(self, found: Mapping[int, pl.Series]) -> pl.DataFrame:
        """The findings of some rules at some places, by number of the rule; the columns are those of `_nothing`."""
        book, table = self.book, self.table
        # Rules on one field side by side: their values are then looked up at once.
        some = sorted((i for i, places in found.items() if places.len()), key=lambda i: self._shown_as(book.rules[i]))
        if not some:
            return self._nothing()
        places = pl.concat([found[i] for i in some])
        counts = pl.Series([found[i].len() for i in some])
        rules = pl.Series([book.rules[i].id for i in some], dtype=book_ids(book))
        values = [
            self._values_shown(*shown, pl.concat([found[i] for i in alike]))
            for shown, alike in groupby(some, key=lambda i: self._shown_as(book.rules[i]))
        ]
        frame = pl.DataFrame(
            [
                table.rows.gather(places).alias("row"),
                rules.gather(pl.arange(len(some), eager=True).repeat_by(counts).explode()).alias("rule"),
                pl.concat(values).alias("value"),
                *(table.ids[key].gather(places).alias(name) for key, name in self._named),
            ]
        )
        gates = [book.rules[i].id for i in book.gates]
        if any(i in some for i in book.gates):
            # Of a row whose gate failed nothing is told, not even whose it is.
            named = [name for _, name in self._named]
            frame = frame.with_columns(
                pl.when(~pl.col("rule").cast(pl.String).is_in(gates)).then(pl.col(named)).name.keep()
            )
        return frame.with_columns(previous=pl.lit(None, pl.String)) if book.compared else frame

    @cached_property
    def _named(self) -> tuple[tuple[str, str], ...]:
        return ((self.book.keys[0], "client"), (self.book.keys[1], "episode"))

    def _shown_as(self, rule: Rule) -> tuple[str, bool]:
        """What decides which value a finding shows: the field, and whether the rule is a gate, which shows none."""
        return rule.header, rule.gate

    def _values_shown(self, header: str, gate: bool, places: pl.Series) -> pl.Series:
        """The value of a field as a finding shows it, at some places (String)."""
        if gate:
            return pl.Series([None], dtype=pl.String).new_from_index(0, places.len())
        if header not in self.table.ids:
            return self._texts_shown(header).gather(self.table.texts[header].numbers.gather(places))
        texts = self.table.ids[header].gather(places)
        at = texts.str.contains(f"^$|{WHOLE_ENDS}").fill_null(False).arg_true()
        if not at.len():
            return texts
        shown = [value_shown(text, gate=False, postcode=False) for text in texts.gather(at)]
        return texts.scatter(at, pl.Series(shown, dtype=pl.String))

    def _texts_shown(self, header: str) -> pl.Series:
        """Each text of a field as a finding shows it, by the text's number (String)."""
        if header not in self._shown_by_header:
            postcode = header in self.book.postcodes
            texts = [value_shown(text, gate=False, postcode=postcode) for text in self.table.texts[header].texts]
            self._shown_by_header[header] = pl.Series(texts, dtype=pl.String)
        return self._shown_by_header[header]

    @cached_property
    def _shown_by_header(self) -> dict[str, pl.Series]:
        return {}

    def _of_lines(self, lines: Sequence[Line]) -> pl.DataFrame:
        nothing = self._nothing()
        return pl.DataFrame([line[: nothing.width] for line in lines], schema=nothing.schema, orient="row")

    def _nothing(self) -> pl.DataFrame:
        """An empty frame of findings.

        row (UInt32), rule (Enum of the ids of the book), value, client, episode (String) and, where a last submission
        is compared, previous (String).
        """
        text = ("value", "client", "episode", *(("previous",) if self.book.compared else ()))
        return pl.DataFrame(schema={"row": pl.UInt32, "rule": book_ids(self.book), **dict.fromkeys(text, pl.String)})

    # ---- against the last submission -----------------------------------------------------------

    def _changed(self, before: Previous) -> pl.DataFrame:
        """The findings on what should not have changed since the last submission, as `_nothing` has the columns."""
        book, judge = self.book, self._judge
        values = judge.values(before.types)
        incoming = values.filter(~pl.col(WITHHELD))
        client, episode = book.keys[:2]
        rejecting = [places for i, places in judge.hits.items() if book.rules[i].severity is Severity.REJECT]
        rejected = (
            self.table.rows.gather(pl.concat(rejecting).unique()) if rejecting else pl.Series([], dtype=pl.UInt32)
        )
        changed = compare_frames.compare(incoming, before.values, book.dataset, rejected=rejected)
        # Of whom a row tells nothing but the id: they are not absent, nor is what was theirs.
        withheld = values.filter(pl.col(WITHHELD))[client]
        of_withheld = before.values.filter(pl.col(client).is_in(withheld.implode()))
        there = [
            (pl.col("entity") == entity.value) & pl.col("id").is_in(of_withheld[fields[0].header].implode())
            for entity in Entity
            if (fields := book.dataset.entity(entity))
        ]
        if before.full:
            absent = changed.filter(
                ~pl.any_horizontal(there).fill_null(False), pl.col("change") == compare.Change.ABSENT
            )
            self.absent = {Entity(name): count for name, count in absent["entity"].value_counts().iter_rows()}
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
        """The cells with something that is no value: row (UInt32), header (String)."""
        parts = [pl.DataFrame(schema={"row": pl.UInt32, "header": pl.String})]
        for header in changed["header"].drop_nulls().unique():
            parsed = self._judge.parsed.get(header)
            if parsed and any(each.is_no_value for each in parsed):
                bad = pl.Series([each.is_no_value for each in parsed]).gather(self.table.texts[header].numbers)
                parts.append(self.table.rows.filter(bad).alias("row").to_frame().with_columns(header=pl.lit(header)))
        for i in self.book.rejects_of_whom:
            if i in self._judge.hits:
                rows = self.table.rows.gather(self._judge.hits[i]).alias("row").to_frame()
                parts.append(rows.with_columns(header=pl.lit(self.book.rules[i].header)))
        return pl.concat(parts)


@lru_cache(maxsize=8)
def book_ids(book: RuleBook) -> pl.Enum:
    """The type of a column of rules: their ids, in the book's order."""
    return pl.Enum([rule.id for rule in book.rules])


def in_order(findings: pl.DataFrame) -> pl.DataFrame:
    """Findings by row, then by the book: on one number, which sorts faster than two columns."""
    place = pl.col("row").cast(pl.UInt64) * (1 << 20) + pl.col("rule").to_physical()
    return findings[findings.select(place.arg_sort())[:, 0]]


def _rows_between(frame: pl.DataFrame, start: int | None, end: int | None) -> pl.DataFrame:
    row = pl.col("row")
    if start is None:
        return frame.clear()
    return frame.filter(row >= start) if end is None else frame.filter(row.is_between(start, end, closed="left"))
