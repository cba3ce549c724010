"""The plain engine for records: one of a form, or the rows of a small file, judged in Python.

Each distinct text of a field is parsed once: what it is read as, its value, and the rules on the field alone that it
breaks. Then the rules of several fields are evaluated for each row, and the rules across rows for the rows of each id.
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
    """A text of a field as the engine has it.

    sent: the text; None where it is blank. read: what it is read as. value: its value; None where it has none.
    is_no_value: whether something was sent that is no value of the field.
    fails: the numbers of the rules on the field alone that it breaks.
    met: the conditions of rules told once a file that it meets, as (number of the rule, place of the condition).
    """

    sent: str | None
    read: Typed
    value: Typed
    is_no_value: bool
    fails: tuple[int, ...]
    met: tuple[tuple[int, int], ...]


class Row(NamedTuple):
    """A judged record.

    parsed: its texts, in the order of the headers. gated: whether its gate failed. fails: the rules that it breaks.
    """

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
    """A condition, after one search for all the patterns without which it cannot hold."""
    needed = necessary(condition)
    return needed & condition if isinstance(needed, Matches) else condition


class _Across:
    """The rules over the rows with the same id: for ids that occur more than once, and for those that occur once."""

    def __init__(self, rules: Mapping[int, Condition], headers: Sequence[str]) -> None:
        self.rules = tuple(rules)
        self.function = Function([*rules.values()], headers)
        lone = {i: found for i, condition in rules.items() if (found := alone(condition)) is not None}
        self.lone_rules = tuple(lone)
        self.lone = Function([*lone.values()], headers) if lone else None


class _OfField:
    """A field with its rules, compiled: parses a text and evaluates the rules that read this field alone."""

    def __init__(self, book: RuleBook, header: str) -> None:
        kind = book.kinds[header]
        self.tidied = kind.tidied
        self.rules = tuple(book.of_one_field[header])
        self.met = [(i, n) for i in book.once if book.rules[i].header == header for n in range(len(book.rules[i].once))]
        conditions = [*book.of_one_field[header].values(), *(book.rules[i].once[n] for i, n in self.met)]
        self.parsed = Function(conditions, (header,)).parsed(kind.wrong, kind.no_value)
        # One search shows that nearly all ids break no rule.
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
        """Parse a text of a field."""
        if not text:
            return self._blank[header]
        return self._functions.of_field[header].parse(text, self.today, self.submitter)

    def row(self, parsed: Sequence[ParsedText]) -> Row:
        """Judge a record by every rule within a row; its parsed texts are in the order of the headers."""
        parsed = tuple(parsed)
        own = [i for each in parsed if each.fails for i in each.fails]
        gates = [i for i in own if i in self._gates]
        if gates:
            return Row(parsed, True, tuple(gates))
        return Row(parsed, False, tuple(sorted([*own, *self.several(parsed)])))

    def several(self, parsed: Sequence[ParsedText]) -> list[int]:
        """The numbers of the rules of several fields that a record breaks; its gate must hold."""
        functions = self._functions
        found = functions.fails(parsed, False, (), self.today, self.submitter)
        return [functions.several[at] for at in found] if found else found

    def rows(self, records: Iterable[Mapping[str, str | None]]) -> list[Row]:
        """Judge records by every rule within a row; each distinct text of a field is parsed once."""
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
        """Evaluate the rules across rows.

        Args:
            rows: the parsed texts of each row, in the order of the headers, and whether it is gated.

        Yields:
            The place of a row and the number of a rule that it breaks.
        """
        headers = self.book.dataset.headers
        shown = self._as_seen_across(rows)
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
        """Evaluate the written rules over one id.

        Args:
            key: the header of the id.
            groups: the places of the rows of each id; `several` has those of more than one.
            several: see `groups`.
            shown: what rules across rows see of each row.
            rows: the rows as `across` takes them.

        Yields:
            The place of a row and the number of a rule that it breaks.
        """
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

    def _as_seen_across(self, rows: Sequence[tuple[tuple[ParsedText, ...], bool]]) -> list[tuple[ParsedText, ...]]:
        """What rules across rows see of each row: the client's id alone of a gated row, and no rejected id."""
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
        dependencies = [(s, headers.index(s.header)) for s in book.stories if s.key == key and s.header not in compared]
        for group in several:
            places = [at for at in group if not rows[at][1]]
            if len(places) == 1:
                continue
            differ = [story for story, of in dependencies if len({shown[at][of].value for at in places} - {None}) > 1]
            # An id that belongs to several is not one thing, and its values need not agree.
            owners = [story for story in differ if story.owner]
            for story in owners or differ:
                number = book.index[story.rule.id]
                yield from ((at, number) for at in places)

    def once(self, rows: Sequence[tuple[tuple[ParsedText, ...], bool]]) -> Iterator[tuple[int, int]]:
        """The rules told once a file: the place of the row at which each fires, and its number."""
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
    """The records engine of a dataset for a day and a submitter; compiled on the first call and cached."""
    return Records(rule_book(dataset), today, submitter)
