"""Records put to the rule book in plain Python: a form's one, or the rows of a small file. No other engine is needed.

Each distinct text of a field is looked at once: what it is read as, its value, and which rules on the field alone it
breaks. Then each row is put to the rules of several fields, and the rows of one id to the rules across rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property, lru_cache

from cjit.conditions import Condition
from cjit.dataset import Dataset
from cjit.engine.plain import WHITE, Function, Typed, across_rows
from cjit.engine.rulebook import RuleBook, rule_book


@dataclass(frozen=True, slots=True)
class Looked:
    """A text of a field: what was sent (None where it is blank), read, and its value; what is said of it.

    `is_no_value` says that something was sent that is no value of the field. `fails` are the rules on the field alone
    that the text breaks, by number; `met` the conditions of rules told once a file, as (rule, place of the condition).
    """

    sent: str | None
    read: Typed
    value: Typed
    is_no_value: bool
    fails: tuple[int, ...]
    met: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One record: its texts as looked at, by place as the headers are; whether its gate failed; the rules it breaks."""

    looked: tuple[Looked, ...]
    gated: bool
    fails: tuple[int, ...]


class _Functions:
    """The conditions of a rule book as functions; compiled once for a book."""

    def __init__(self, book: RuleBook) -> None:
        self.book = book
        headers = book.dataset.headers
        self.of_field = {header: _OfField(book, header) for header in headers}
        self.several = tuple(book.of_several_fields)
        self.fails = Function([*book.of_several_fields.values()], headers).fails
        self.across = {key: (tuple(rules), Function([*rules.values()], headers)) for key, rules in book.across.items()}


class _OfField:
    """One field's text, put to what follows from its kind and to the rules that read it alone."""

    def __init__(self, book: RuleBook, header: str) -> None:
        kind = book.kinds[header]
        self.tidied = kind.tidied
        self.rules = tuple(book.of_one_field[header])
        self.met = [(i, n) for i in book.once if book.rules[i].header == header for n in range(len(book.rules[i].once))]
        one = (header,)
        self.is_value = _holds(~kind.wrong, one) if kind.wrong is not None else None
        self.is_no_value = _holds(kind.no_value, one) if kind.no_value is not None else None
        conditions = [*book.of_one_field[header].values(), *(book.rules[i].once[n] for i, n in self.met)]
        self.fails = Function(conditions, one).fails

    def look(self, text: str | None, today: date, submitter: str | None) -> Looked:
        sent = text if text and text.strip(WHITE) else None
        read = None if sent is None else self.tidied(sent)
        value = read
        rest = (False, (), today, submitter)
        if read is not None and self.is_value and not self.is_value((None,), (read,), (sent,), *rest):
            value = None
        no_value = bool(self.is_no_value and self.is_no_value((value,), (read,), (sent,), *rest))
        found = self.fails((value,), (read,), (sent,), *rest)
        count = len(self.rules)
        fails = tuple(self.rules[at] for at in found if at < count)
        return Looked(sent, read, value, no_value, fails, tuple(self.met[at - count] for at in found if at >= count))


def _holds(condition: Condition, headers: Sequence[str]) -> Callable[..., bool]:
    return Function([], headers).holds(condition)


@lru_cache(maxsize=8)
def _functions(book: RuleBook) -> _Functions:
    return _Functions(book)


class Records:
    """A rule book with the arguments of one check, for records of text by header."""

    def __init__(self, book: RuleBook, today: date, submitter: str | None) -> None:
        self.book = book
        self.today = today
        self.submitter = submitter
        self._functions = _functions(book)
        self._blank = {h: of.look(None, today, submitter) for h, of in self._functions.of_field.items()}
        self._gates = frozenset(book.gates)

    def look(self, header: str, text: str | None) -> Looked:
        """A text of a field."""
        if not text:
            return self._blank[header]
        return self._functions.of_field[header].look(text, self.today, self.submitter)

    def row(self, looked: Sequence[Looked]) -> Row:
        """A record of looked at texts, put to every rule within a row."""
        looked = tuple(looked)
        own = [i for each in looked for i in each.fails]
        gates = [i for i in own if i in self._gates]
        if gates:
            return Row(looked, True, tuple(gates))
        functions = self._functions
        found = functions.fails(*_stages(looked), False, (), self.today, self.submitter)
        return Row(looked, False, tuple(sorted([*own, *(functions.several[at] for at in found)])))

    def rows(self, records: Iterator[Mapping[str, str | None]] | Sequence[Mapping[str, str | None]]) -> list[Row]:
        """Some records; each distinct text of a field is looked at once."""
        seen: dict[str, dict[str | None, Looked]] = {h: {} for h in self.book.dataset.headers}
        rows = []
        for record in records:
            looked = []
            for header, known in seen.items():
                text = record.get(header)
                if text not in known:
                    known[text] = self.look(header, text)
                looked.append(known[text])
            rows.append(self.row(looked))
        return rows

    def across(self, rows: Sequence[Row]) -> Iterator[tuple[int, int]]:
        """What the rules across rows say of some rows: the place of a row, and the rule."""
        yield from self._written(rows)
        yield from self._stories(rows)

    def _written(self, rows: Sequence[Row]) -> Iterator[tuple[int, int]]:
        masked = [(*_stages(self._shown(row)), row.gated) for row in rows]
        for rules, function in self._functions.across.values():
            beyond = across_rows(function, masked, self.today, self.submitter)
            for at, (row, x) in enumerate(zip(masked, beyond, strict=True)):
                for place in function.fails(*row, x, self.today, self.submitter):
                    yield at, rules[place]

    def _shown(self, row: Row) -> tuple[Looked, ...]:
        """What rules across rows see of a row: of a gated one the client's id alone; no id where it is none."""
        looked = row.looked
        if row.gated:
            client = self.book.keys[0]
            looked = tuple(
                each if header == client else self._blank[header]
                for header, each in zip(self.book.dataset.headers, looked, strict=True)
            )
        for header, place in self._id_places.items():
            if self._no_id[header].intersection(looked[place].fails):
                looked = (*looked[:place], self._blank[header], *looked[place + 1 :])
        return looked

    @cached_property
    def _no_id(self) -> Mapping[str, frozenset[int]]:
        return {header: frozenset(rules) for header, rules in self.book.rejects_of_ids.items() if rules}

    @cached_property
    def _id_places(self) -> Mapping[str, int]:
        return {header: self.book.dataset.headers.index(header) for header in self._no_id}

    def _stories(self, rows: Sequence[Row]) -> Iterator[tuple[int, int]]:
        book, headers = self.book, self.book.dataset.headers
        told = book.told_of_the_submitter if self.submitter is not None else frozenset()
        shown = {at: self._shown(row) for at, row in enumerate(rows) if not row.gated}
        for key in book.keys:
            place = headers.index(key)
            groups: dict[Typed, list[int]] = {}
            for at, looked in shown.items():
                if looked[place].value is not None:
                    groups.setdefault(looked[place].value, []).append(at)
            mine = [(s, headers.index(s.header)) for s in book.stories if s.key == key and s.header not in told]
            for places in groups.values():
                if len(places) == 1:
                    continue
                differ = [story for story, of in mine if len({shown[at][of].value for at in places} - {None}) > 1]
                # An id that belongs to several is not one thing, and its values need not agree.
                owners = [story for story in differ if story.owner]
                for story in owners or differ:
                    number = book.index[story.rule.id]
                    yield from ((at, number) for at in places)

    def once(self, rows: Sequence[Row]) -> Iterator[tuple[int, int]]:
        """What the rules that are told once a file say of some rows: the place of a row, and the rule."""
        first: dict[tuple[int, int], int] = {}
        for at, row in enumerate(rows):
            if not row.gated:
                for looked in row.looked:
                    for met in looked.met:
                        first.setdefault(met, at)
        for i in self.book.once:
            places = [first.get((i, n)) for n in range(len(self.book.rules[i].once))]
            if None not in places:
                yield max(place for place in places if place is not None), i


def _stages(looked: Sequence[Looked]) -> tuple[list[Typed], list[Typed], list[str | None]]:
    return [each.value for each in looked], [each.read for each in looked], [each.sent for each in looked]


@lru_cache(maxsize=8)
def prepared(dataset: Dataset, today: date, submitter: str | None) -> Records:
    """A dataset's rule book for records checked on a day; made on the first call."""
    return Records(rule_book(dataset), today, submitter)
