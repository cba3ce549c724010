"""Records put to the rule book in plain Python: a form's one, or the rows of a small file. No other engine is needed.

Each distinct text of a field is looked at once: what it is read as, its value, and which rules on the field alone it
breaks. Then each row is put to the rules of several fields, and the rows of one id to the rules across rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from functools import cached_property, lru_cache
from typing import NamedTuple

from cjit.conditions import WHITE, Condition, Matches
from cjit.dataset import Dataset
from cjit.engine.plain import Function, Typed, across_rows
from cjit.engine.rulebook import RuleBook, rule_book
from cjit.engine.shortcuts import alone, necessary, sieve


class ParsedText(NamedTuple):
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


class Row(NamedTuple):
    """One record: its texts as looked at, by place as the headers are; whether its gate failed; the rules it breaks."""

    parsed: tuple[ParsedText, ...]
    gated: bool
    fails: tuple[int, ...]


class _Functions:
    """The conditions of a rule book as functions; compiled once for a book."""

    def __init__(self, book: RuleBook) -> None:
        self.book = book
        headers = book.dataset.headers
        self.of_field = {header: _OfField(book, header) for header in headers}
        self.several = tuple(book.of_several_fields)
        self.fails = Function([_sieved(condition) for condition in book.of_several_fields.values()], headers).fails
        self.across = {key: _Across(rules, headers) for key, rules in book.across.items()}


def _sieved(condition: Condition) -> Condition:
    """A condition with one look for all patterns without which it does not hold, before it is asked."""
    needed = necessary(condition)
    return needed & condition if isinstance(needed, Matches) else condition


class _Across:
    """The rules over the rows that have the same id: over several such rows, and over one that no other row joins."""

    def __init__(self, rules: Mapping[int, Condition], headers: Sequence[str]) -> None:
        self.rules = tuple(rules)
        self.function = Function([*rules.values()], headers)
        lone = {i: found for i, condition in rules.items() if (found := alone(condition)) is not None}
        self.lone_rules = tuple(lone)
        self.lone = Function([*lone.values()], headers) if lone else None


class _OfField:
    """One field's text, put to what follows from its kind and to the rules that read it alone."""

    def __init__(self, book: RuleBook, header: str) -> None:
        kind = book.kinds[header]
        self.tidied = kind.tidied
        self.rules = tuple(book.of_one_field[header])
        self.met = [(i, n) for i in book.once if book.rules[i].header == header for n in range(len(book.rules[i].once))]
        conditions = [*book.of_one_field[header].values(), *(book.rules[i].once[n] for i, n in self.met)]
        self.parsed = Function(conditions, (header,)).parsed(kind.wrong, kind.no_value)
        # Nearly all ids are like none of what is wrong with one.
        odd = sieve(header, conditions) if header in book.ids and kind.wrong is None else None
        self.is_odd = None if odd is None else Function([], (header,), spread=True).holds(odd)

    def parse(self, text: str | None, today: date, submitter: str | None) -> ParsedText:
        bare = text.strip(WHITE) if text else None
        if self.is_odd and bare and bare == text:
            one = (text,)
            if not self.is_odd(one, one, one, False, (), today, submitter):
                return ParsedText(text, text, text, False, (), ())
        sent = text if bare else None
        read = None if sent is None else self.tidied(sent)
        value, no_value, found = self.parsed(sent, read, today, submitter)
        if not found:
            return ParsedText(sent, read, value, no_value, (), ())
        count = len(self.rules)
        fails = tuple(self.rules[at] for at in found if at < count)
        return ParsedText(
            sent, read, value, no_value, fails, tuple(self.met[at - count] for at in found if at >= count)
        )


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
        self._blank = {h: of.parse(None, today, submitter) for h, of in self._functions.of_field.items()}
        self._gates = frozenset(book.gates)

    def parse(self, header: str, text: str | None) -> ParsedText:
        """A text of a field."""
        if not text:
            return self._blank[header]
        return self._functions.of_field[header].parse(text, self.today, self.submitter)

    def row(self, parsed: Sequence[ParsedText]) -> Row:
        """A record of looked at texts, put to every rule within a row."""
        parsed = tuple(parsed)
        own = [i for each in parsed if each.fails for i in each.fails]
        gates = [i for i in own if i in self._gates]
        if gates:
            return Row(parsed, True, tuple(gates))
        return Row(parsed, False, tuple(sorted([*own, *self.several(parsed)])))

    def several(self, parsed: Sequence[ParsedText]) -> list[int]:
        """The rules of several fields that a row breaks whose gate holds."""
        functions = self._functions
        found = functions.fails(parsed, False, (), self.today, self.submitter)
        return [functions.several[at] for at in found] if found else found

    def rows(self, records: Iterable[Mapping[str, str | None]]) -> list[Row]:
        """Some records; each distinct text of a field is looked at once."""
        seen: dict[str, dict[str | None, ParsedText]] = {h: {} for h in self.book.dataset.headers}
        rows = []
        for record in records:
            parsed = []
            for header, known in seen.items():
                text = record.get(header)
                if text not in known:
                    known[text] = self.parse(header, text)
                parsed.append(known[text])
            rows.append(self.row(parsed))
        return rows

    def across(self, rows: Sequence[tuple[tuple[ParsedText, ...], bool]]) -> Iterator[tuple[int, int]]:
        """What the rules across rows say of some rows: the place of a row, and the rule.

        A row is its texts, looked at, and whether its gate failed.
        """
        headers = self.book.dataset.headers
        shown = self._all_shown(rows)
        for key in dict.fromkeys((*self.book.keys, *self.book.across)):
            place = headers.index(key)
            groups: dict[Typed, list[int]] = {}
            for at, parsed in enumerate(shown):
                value = parsed[place].value
                if value is not None:
                    if value in groups:
                        groups[value].append(at)
                    else:
                        groups[value] = [at]
            several = [places for places in groups.values() if len(places) > 1]
            if key in self._functions.across:
                yield from self._written(key, groups, several, shown, rows)
            if key in self.book.keys:
                yield from self._stories(key, several, shown, rows)

    def _written(
        self,
        key: str,
        groups: Mapping[Typed, list[int]],
        several: Sequence[list[int]],
        shown: Sequence[tuple[ParsedText, ...]],
        rows: Sequence[tuple[tuple[ParsedText, ...], bool]],
    ) -> Iterator[tuple[int, int]]:
        """What the rules written over one id say: over the rows of an id together, and over those alone."""
        across = self._functions.across[key]
        if across.lone:
            for places in groups.values():
                if len(places) == 1:
                    at = places[0]
                    for found in across.lone.fails(shown[at], rows[at][1], (), self.today, self.submitter):
                        yield at, across.lone_rules[found]
        joint = sorted(at for places in several for at in places)
        some = [(shown[at], rows[at][1]) for at in joint]
        beyond = across_rows(across.function, some, self.today, self.submitter)
        for at, row, x in zip(joint, some, beyond, strict=True):
            for found in across.function.fails(*row, x, self.today, self.submitter):
                yield at, across.rules[found]

    def _all_shown(self, rows: Sequence[tuple[tuple[ParsedText, ...], bool]]) -> list[tuple[ParsedText, ...]]:
        """What rules across rows see of each row: of a gated one the client's id alone; no id where it is none."""
        client = self.book.keys[0]
        shown = []
        for parsed, gated in rows:
            seen = parsed
            if gated:
                seen = tuple(
                    each if header == client else self._blank[header]
                    for header, each in zip(self.book.dataset.headers, parsed, strict=True)
                )
            for header, place in self._id_places.items():
                if seen[place].fails and self._no_id[header].intersection(seen[place].fails):
                    seen = (*seen[:place], self._blank[header], *seen[place + 1 :])
            shown.append(seen)
        return shown

    @cached_property
    def _no_id(self) -> Mapping[str, frozenset[int]]:
        return {header: frozenset(rules) for header, rules in self.book.rejects_of_ids.items() if rules}

    @cached_property
    def _id_places(self) -> Mapping[str, int]:
        return {header: self.book.dataset.headers.index(header) for header in self._no_id}

    def _stories(
        self,
        key: str,
        several: Sequence[list[int]],
        shown: Sequence[tuple[ParsedText, ...]],
        rows: Sequence[tuple[tuple[ParsedText, ...], bool]],
    ) -> Iterator[tuple[int, int]]:
        book, headers = self.book, self.book.dataset.headers
        compared = book.compared_with_submitter if self.submitter is not None else frozenset()
        mine = [(s, headers.index(s.header)) for s in book.stories if s.key == key and s.header not in compared]
        for group in several:
            places = [at for at in group if not rows[at][1]]
            if len(places) == 1:
                continue
            differ = [story for story, of in mine if len({shown[at][of].value for at in places} - {None}) > 1]
            # An id that belongs to several is not one thing, and its values need not agree.
            owners = [story for story in differ if story.owner]
            for story in owners or differ:
                number = book.index[story.rule.id]
                yield from ((at, number) for at in places)

    def once(self, rows: Sequence[tuple[tuple[ParsedText, ...], bool]]) -> Iterator[tuple[int, int]]:
        """What the rules that are told once a file say of some rows: the place of a row, and the rule."""
        headers = self.book.dataset.headers
        for i in self.book.once:
            rule = self.book.rules[i]
            place = headers.index(rule.header)
            first: dict[int, int] = {}
            for at, (parsed, gated) in enumerate(rows):
                for number, n in parsed[place].met:
                    if number == i and not gated:
                        first.setdefault(n, at)
            if len(first) == len(rule.once):
                yield max(first.values()), i


@lru_cache(maxsize=8)
def prepared(dataset: Dataset, today: date, submitter: str | None) -> Records:
    """A dataset's rule book for records checked on a day; made on the first call."""
    return Records(rule_book(dataset), today, submitter)
