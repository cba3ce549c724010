"""The plain engine for files: small files are judged row by row, in Python. It is the truth for the engine of columns.

No other library is loaded. Each distinct text of a field is parsed once. Then the rules of several fields are evaluated
for each row, and the rules across rows for the rows of each id.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from itertools import repeat

from cjit.dataset import Dataset, Entity, Severity
from cjit.engine import compare
from cjit.engine.findings import FindingBatch, Line
from cjit.engine.outcome import FIRST, CellText, Judged, Key
from cjit.engine.plain import Typed
from cjit.engine.records import ParsedText, Records
from cjit.engine.rulebook import RuleBook
from cjit.engine.shown import value_shown
from cjit.files.parsing import Oddities, cells_of, chunks_of, together
from cjit.files.source import Source

#: Findings handed on at once.
_TOGETHER = 20_000
_GRADES = list(Severity)


@dataclass(frozen=True)
class Rows(Oddities):
    """The rows of a file that can be read, and what was odd about the others.

    numbers: the number of each as a spreadsheet shows it.
    columns: the text of each row, by header; "" or None where it is blank.
    """

    numbers: Sequence[int]
    columns: Mapping[str, Sequence[str | None]]


def read(source: Source) -> Rows:
    """The rows of a file."""
    parts = [cells_of(read()) for read in chunks_of(source)]
    numbers = [row for part in parts for row in part.rows]
    columns = list(zip(*(cells for part in parts for cells in part.cells), strict=True)) or [()] * len(source.columns)
    blank = ("",) * len(numbers)
    of = dict.fromkeys(source.dataset.headers, blank)
    of.update({header: texts for header, texts in zip(source.columns, columns, strict=True) if header})
    return Rows(numbers, of, **vars(together(parts)))


@dataclass(frozen=True)
class Previous:
    """A last submission.

    values: a tuple a row, in the order of the headers; None where blank. full: whether the file should have all of it.
    """

    values: Sequence[Sequence[Typed]]
    full: bool


class ByRows(Judged):
    """Rows judged by a rule book.

    table: the rows. hits: for each rule that fails somewhere, the places at which it does, in order.
    """

    def __init__(
        self,
        book: RuleBook,
        table: Rows,
        active: frozenset[int],
        today: date,
        submitter: str | None,
        previous: Previous | None,
    ) -> None:
        self.book = book
        self.odd = table
        self.table = table
        self.active = active
        self.today = today
        self.submitter = submitter
        self.height = len(table.numbers)
        self._records = Records(book, today, submitter)
        #: By header, each distinct text as parsed, and the parsed text of each row.
        self._known: dict[str, dict[str | None, ParsedText]] = {}
        self._columns = {header: self._parsed(header) for header in book.dataset.headers}
        self._counts: dict[str, list[tuple[ParsedText, int]]] = {}
        self.hits: dict[int, list[int]] = {}
        self._judge()
        self.gated = len(self._gated)
        self.absent: Mapping[Entity, int] = {}
        self._changes: list[tuple[int, int, str | None, str | None]] = []
        if previous is not None:
            self._changes = list(self._changed(previous))

    def _parsed(self, header: str) -> list[ParsedText]:
        """The parsed text of a field on each row; each distinct text is parsed once."""
        texts = self.table.columns[header]
        parse = self._records.parse
        known = self._known[header] = {text: parse(header, text) for text in set(texts)}
        return list(map(known.__getitem__, texts))

    # ---- the rules -----------------------------------------------------------------------------

    def _judge(self) -> None:
        """Evaluate every rule: on one field by text, on several by row, across rows by id."""
        found: dict[int, list[int]] = {}
        for header, parsed in self._columns.items():
            if any(each.fails for each in self._known[header].values()):
                for at, each in enumerate(parsed):
                    for i in each.fails:
                        found.setdefault(i, []).append(at)
        self._gated = frozenset(at for i in self.book.gates for at in found.get(i, ()))
        if self._gated:
            for i in found.keys() - set(self.book.gates):
                found[i] = [at for at in found[i] if at not in self._gated]
        rows = list(zip(*self._columns.values(), strict=True))
        several = self._records.several
        for at, row in enumerate(rows):
            if at not in self._gated:
                for i in several(row):
                    found.setdefault(i, []).append(at)
        seen = [(row, at in self._gated) for at, row in enumerate(rows)]
        for at, i in (*self._records.across(seen), *self._records.once(seen)):
            found.setdefault(i, []).append(at)
        for i in sorted(found):
            if i in self.active and found[i]:
                self.hits[i] = sorted(set(found[i]))

    # ---- what is asked of it -------------------------------------------------------------------

    def fired(self) -> dict[int, int]:
        """On how many rows each rule fired, less that of ragged rows."""
        changes = Counter(i for _, i, _, _ in self._changes)
        return {i: len(places) for i, places in self.hits.items()} | changes

    def gravest(self) -> dict[int, int]:
        """On how many rows each severity is the gravest said of them, by its place in `Severity`; ragged rows apart."""
        grades: dict[int, int] = {}
        for i in sorted((*self.hits, *{i for _, i, _, _ in self._changes}), key=lambda i: -self.book.severities[i]):
            places = self.hits.get(i) or [at for at, rule, _, _ in self._changes if rule == i]
            grades.update(zip(places, repeat(self.book.severities[i])))
        return dict(Counter(grades.values()))

    def batches(self, ragged: Sequence[Line]) -> Iterator[FindingBatch]:
        """All findings by row, then by the book, with those of the ragged rows among them."""
        lines = [*ragged]
        for i, places in self.hits.items():
            lines += self._lines(i, places)
        lines += self._change_findings()
        index = self.book.index
        lines.sort(key=lambda line: (line.row, index[line.rule]))
        for start in range(0, len(lines), _TOGETHER):
            yield FindingBatch(lines[start : start + _TOGETHER], self.book.compared)

    def first_findings(self) -> Iterator[Line]:
        """The first few findings of each rule, in order of the rows; ragged rows apart."""
        for i, places in self.hits.items():
            yield from self._lines(i, places[:FIRST])
        counts: Counter[str] = Counter()
        for line in sorted(self._change_findings(), key=lambda line: line.row):
            counts[line.rule] += 1
            if counts[line.rule] <= FIRST:
                yield line

    def _lines(self, i: int, places: Iterable[int]) -> Iterator[Line]:
        """The findings of a rule at some places."""
        rule = self.book.rules[i]
        numbers = self.table.numbers
        if rule.gate:
            # Of a row whose gate failed nothing is told, not even whose it is.
            yield from (Line(numbers[at], rule.id, None, None, None) for at in places)
            return
        texts, postcode = self.table.columns[rule.header], rule.header in self.book.postcodes
        clients, episodes = (self.table.columns[key] for key in self.book.keys[:2])
        for at in places:
            value = value_shown(texts[at], gate=False, postcode=postcode)
            yield Line(numbers[at], rule.id, value, clients[at] or None, episodes[at] or None)

    def counted(self, header: str, wanted: Callable[[ParsedText], bool]) -> Iterable[tuple[ParsedText, int]]:
        """The texts of a field that are wanted, each with the number of rows it stands on whose gate holds."""
        if header not in self._counts:
            texts = self.table.columns[header]
            counts = Counter(texts)
            counts.subtract(texts[at] for at in self._gated)
            self._counts[header] = [(self._known[header][text], count) for text, count in counts.items() if count]
        return ((parsed, count) for parsed, count in self._counts[header] if wanted(parsed))

    def blank_ids(self, header: str) -> int:
        """The number of rows whose gate holds and whose id is blank."""
        return sum(each.sent is None and at not in self._gated for at, each in enumerate(self._columns[header]))

    def numbers(self, places: range) -> Sequence[int]:
        """The number of each of some rows, as a spreadsheet shows it."""
        return self.table.numbers[places.start : places.stop]

    def cells(self, header: str) -> Mapping[Key, CellText]:
        """Each text of a field by its key, which is the text."""
        return {text: CellText(text, parsed) for text, parsed in self._known[header].items()}

    def keys(self, header: str, places: Sequence[int]) -> Sequence[Key]:
        """The key of a field's text on each of some rows."""
        texts = self.table.columns[header]
        return texts[places.start : places.stop] if isinstance(places, range) else [texts[at] for at in places]

    @property
    def gated_rows(self) -> Sequence[int]:
        """The rows whose gate failed, in order."""
        return sorted(self._gated)

    # ---- against the last submission -----------------------------------------------------------

    @cached_property
    def values(self) -> list[tuple[Typed, ...]]:
        """The values of each row, by place as the headers are."""
        columns = [[each.value for each in parsed] for parsed in self._columns.values()]
        return list(zip(*columns, strict=True))

    def as_previous(self, *, full: bool) -> Previous:
        """The rows as a last submission: those whose gate holds."""
        return Previous([values for at, values in enumerate(self.values) if at not in self._gated], full)

    def _changed(self, previous: Previous) -> Iterator[tuple[int, int, str | None, str | None]]:
        """What should not have changed since the last submission: place, number of the rule, value, value before."""
        book = self.book
        rejected = {at for i, places in self.hits.items() if book.rules[i].severity is Severity.REJECT for at in places}
        incoming = {at: values for at, values in enumerate(self.values) if at not in self._gated}
        client = book.dataset.headers.index(book.keys[0])
        withheld = {self.values[at][client] for at in self._gated} - {None}
        said = compare.compare_rows(incoming, previous.values, book.dataset, rejected=rejected)
        changes = list(said)
        self.absent = compare.absent(changes, previous.values, withheld, book.dataset) if previous.full else {}
        counts: set[tuple[int, Entity]] = set()
        for change in changes:
            if change.place is None or change.header is None or self._is_bad(change.place, change.header):
                # A value that is no value has its own finding: it is neither a change nor emptied.
                continue
            if compare.closes(book.dataset, change):
                # An episode closed otherwise, or opened again, is told once, at the first of the fields that say so.
                if (change.place, change.entity) in counts:
                    continue
                counts.add((change.place, change.entity))
            name = compare.rule_id(change.header, change.change)
            i = book.index.get(name) if name else None
            if i is not None and i in self.active:
                yield change.place, i, change.value, change.previous

    def _is_bad(self, at: int, header: str) -> bool:
        """Whether a cell has something that is no value, or an id or agency for whose sake the row is rejected."""
        return self._columns[header][at].is_no_value or at in self._rejected_at.get(header, ())

    @cached_property
    def _rejected_at(self) -> Mapping[str, frozenset[int]]:
        """By header, the places at which an id or the agency is rejected."""
        found: dict[str, set[int]] = {}
        for i in self.book.rejects_of_whom:
            found.setdefault(self.book.rules[i].header, set()).update(self.hits.get(i, ()))
        return {header: frozenset(places) for header, places in found.items()}

    def _change_findings(self) -> Iterator[Line]:
        """The findings on changes since the last submission."""
        clients, episodes = (self._columns[key] for key in self.book.keys[:2])
        for at, i, value, previous in self._changes:
            client, episode = clients[at].value, episodes[at].value
            ids = (None if client is None else str(client), None if episode is None else str(episode))
            yield Line(self.table.numbers[at], self.book.rules[i].id, value, *ids, previous)


def rows_of(frame: Iterable[tuple[str, Sequence[str | None]]], dataset: Dataset) -> Rows:
    """Columns of text, as a frame has them, as rows; the first is row 2, as in a file."""
    columns = {header: list(texts) for header, texts in frame}
    height = len(next(iter(columns.values()), ()))
    none: list[str | None] = [None] * height
    return Rows(range(2, 2 + height), {header: columns.get(header, none) for header in dataset.headers})
