"""The rule book evaluated over a table, column by column: the places at which each rule fails.

The plain engine (`records`) parses each distinct text of a field once. A condition on one field is evaluated once for
each distinct text and then looked up by number. A rule of several fields is split into such parts; the part that holds
on the fewest rows is evaluated on every row, the others only where it holds. A rule across rows is evaluated on the
rows whose id occurs more than once.

A place is the position of a row in the table, from 0; places are a UInt32 column in ascending order.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from functools import cached_property, reduce
from operator import and_, or_

import polars as pl

from cjit.conditions import (
    And,
    Cell,
    Condition,
    LookedUp,
    Node,
    Not,
    Or,
    Parameter,
    ParameterValue,
    Stage,
    Surely,
    Value,
    all_of,
    any_of,
    as_text,
    every,
    headers_of,
    looks_across,
)
from cjit.dataset import SUBMITTER, TODAY, WITHDRAWN, WITHHELD
from cjit.engine.columns import Column, Number, Placed, expression, places_in
from cjit.engine.plain import Function
from cjit.engine.records import ParsedText, Records
from cjit.engine.rulebook import RuleBook
from cjit.engine.shortcuts import (
    alone,
    as_sent,
    is_sieve,
    merged,
    necessary,
    needs_withheld,
    sieve,
    varying,
)
from cjit.engine.table import SAMPLE, Table, by_number, column_type

#: Rows of which the rules of several fields are asked at once.
ROWS_TOGETHER = 250_000
#: What runs side by side.
_WORKERS = max(2, min(4, os.cpu_count() or 2))
#: A rule is asked only of the rows that meet one of its parts where these are fewer than one in so many.
_RARE = 10

Places = pl.Series


class Judge:
    """One check of a table against a rule book.

    book, table: the rules and the rows.
    active: the numbers of the rules that are asked.
    today, submitter: the parameters of the check.
    parsed: each text of each field as the plain engine parses it, by header, then by the text's number.
    parsed_ids: the same for those ids that may break a rule, by header, then by text.
    hits: for each rule that fails somewhere, the places at which it does.
    gated: whether the gate of each row failed (Boolean).
    """

    def __init__(
        self, book: RuleBook, table: Table, active: frozenset[int], today: date, submitter: str | None
    ) -> None:
        self.book = book
        self.table = table
        self.active = active
        self.today = today
        self.submitter = submitter
        self.records = Records(book, today, submitter)
        self.parsed: dict[str, list[ParsedText]] = {
            header: [self.records.parse(header, text) for text in of.texts] for header, of in table.texts.items()
        }
        self.parsed_ids: dict[str, dict[str | None, ParsedText]] = {}
        self.hits: dict[int, Places] = {}
        #: By header, the places of ids with spaces at their ends, and of ids that are nothing but spaces.
        self._spaced: dict[str, Places] = {}
        self._spaces: dict[str, Places] = {}
        #: By header, whether rules across rows see no id on a row: the id is rejected, or the row is gated (Boolean).
        self._hidden: dict[str, pl.Series] = {}
        self._no_ids: dict[str, list[Places]] = {}
        #: By header, the places of the ids that match a pattern of some rule.
        self._suspects: dict[str, Places] = {}
        self._parts: dict[str, _Part] = {}
        self._repeated: dict[str, Places] = {}
        self.gated = pl.repeat(False, table.height, dtype=pl.Boolean, eager=True)

    def judge(self) -> dict[int, Places]:
        """Evaluate every rule and return `hits`."""
        self._one_field()
        self._ids()
        self._several_fields()
        self._hide_gated()
        self._once()
        self._hide_ids()
        keys = list(dict.fromkeys((*self.book.across, *self.book.keys)))
        with ThreadPoolExecutor(_WORKERS) as pool:
            # The ids of clients, episodes and so on are put together side by side; each result is kept for its key.
            list(pool.map(self._repeats, keys))
        for key in keys:
            self._judge_key(key)
        return self.hits

    def blank_ids(self, header: str) -> int:
        """The number of rows whose gate holds and whose id is blank."""
        ids = self.table.ids[header]
        spaces = self._spaces.get(header)
        blank = int((ids.is_null() & ~self.gated).sum())
        return blank + (int((~self.gated.gather(spaces)).sum()) if spaces is not None else 0)

    def values(self, types: Mapping[str, pl.DataType]) -> pl.DataFrame:
        """The value of each cell.

        Args:
            types: types for columns of text, by header; a column not named is String.

        Returns:
            row (UInt32), a column for each header (Date, Int32 or text; null where there is no value), WITHHELD
            (Boolean: the row's gate failed), WITHDRAWN (Boolean: a code says that consent is withdrawn).
        """
        gates = [i for i in self.book.gates if self.book.rules[i].header in self.parsed]
        gated, withdrawn = self.gated, pl.repeat(False, self.table.height, dtype=pl.Boolean, eager=True)
        columns = [self.table.rows.alias("row")]
        for field in self.book.dataset.fields:
            header = field.header
            if header in self.table.ids:
                bare = self.table.ids[header].str.strip_chars().alias(header)
                columns.append(bare.to_frame().select(pl.when(pl.col(header) != "").then(pl.col(header)))[header])
                continue
            numbers, parsed = self.table.texts[header].numbers, self.parsed[header]
            for i in gates:
                if self.book.rules[i].header == header:
                    gated = gated | by_number([i in each.fails for each in parsed], numbers)
            if field.withdraws:
                withdrawn = withdrawn | by_number([each.value in field.withdraws for each in parsed], numbers)
            typed = pl.Series([each.value for each in parsed], dtype=self._type(Cell(header)))
            if header in types and typed.dtype == pl.String:
                typed = typed.cast(types[header])
            columns.append(typed.gather(numbers).alias(header))
        return pl.DataFrame([*columns, gated.alias(WITHHELD), (gated & withdrawn).alias(WITHDRAWN)])

    def _add(self, i: int, places: Places) -> None:
        """Add places at which a rule fails."""
        if i in self.active and places.len():
            known = self.hits.get(i)
            self.hits[i] = places.cast(pl.UInt32) if known is None else known.append(places.cast(pl.UInt32)).sort()

    # ---- rules on one field --------------------------------------------------------------------

    def _one_field(self) -> None:
        """The rules on one field, from the distinct texts; then which rows are gated."""

        def failing(header: str) -> dict[int, Places]:
            parsed = self.parsed[header]
            rules = sorted({i for each in parsed for i in each.fails})
            if not rules:
                return {}
            numbers = self.table.texts[header].numbers
            at = by_number([bool(each.fails) for each in parsed], numbers).arg_true()
            own = numbers.gather(at)
            return {i: at.filter(by_number([i in each.fails for each in parsed], own)) for i in rules}

        with ThreadPoolExecutor(_WORKERS) as pool:
            for fails in pool.map(failing, self.parsed):
                for i, places in fails.items():
                    self._add(i, places)
        for i in self.book.gates:
            if i in self.hits:
                self.gated = self.gated.clone().scatter(self.hits[i], True)

    def _ids(self) -> None:
        """The rules on one id. Nearly all ids match no pattern of any rule and are never parsed."""
        with ThreadPoolExecutor(_WORKERS) as pool:
            suspects = dict(zip(self.table.ids, pool.map(self._suspects_among, self.table.ids), strict=True))
        for header, ids in self.table.ids.items():
            for i in self.records.parse(header, None).fails:
                self._add(i, ids.is_null().arg_true())
            odd = suspects[header]
            texts = ids.gather(odd)
            parsed = {text: self.records.parse(header, text) for text in texts.unique()}
            self.parsed_ids[header] = {None: self.records.parse(header, None), **parsed}
            spaced = [text for text, each in parsed.items() if each.read != text]
            if spaced:
                self._spaced[header] = odd.filter(texts.is_in(pl.Series(spaced, dtype=pl.String).implode()))
            blank = [text for text, each in parsed.items() if each.sent is None]
            if blank:
                # A text of nothing but spaces is blank.
                self._spaces[header] = odd.filter(texts.is_in(pl.Series(blank, dtype=pl.String).implode()))
            for i in sorted({i for each in parsed.values() for i in each.fails}):
                fails = [text for text, each in parsed.items() if i in each.fails]
                at = odd.filter(texts.is_in(pl.Series(fails, dtype=pl.String).implode()))
                self._add(i, at)
                if i in self.book.rejects_of_ids.get(header, ()):
                    # What stands for an id and is none is none, whichever rules were asked for.
                    self._no_ids.setdefault(header, []).append(at)

    def _suspects_among(self, header: str) -> Places:
        """The places of the ids that may break a rule on the id alone: those that match a pattern, or all of them."""
        odd = sieve(header, self.book.of_one_field[header].values())
        if odd is None:
            return self.table.ids[header].is_not_null().arg_true()
        # Each id is searched once for the patterns of all rules; only those that match are searched for each pattern.
        patterns = [each for each in self._sieves.values() if headers_of(each) == (header,)]
        self._suspects[header] = self._matching(header, merged([odd, *patterns]))
        return self._matching(header, odd, self._suspects[header])

    def _matching(self, header: str, patterns: Condition, places: Places | None = None) -> Places:
        """The places of the ids that match patterns, among all ids or those at some places."""
        ids = self.table.ids[header]
        some = ids if places is None else ids.gather(places)
        found = some.to_frame(header).select(expression(patterns).fill_null(False))[:, 0].arg_true()
        return found if places is None else places.gather(found)

    @cached_property
    def _sieves(self) -> Mapping[int, Condition]:
        """By rule of several fields: patterns one of which the id as sent matches wherever the rule fails."""
        needed = {i: necessary(condition) for i, condition in self.book.of_several_fields.items() if i in self.active}
        return {
            i: as_sent(patterns, headers_of(patterns)[0])
            for i, patterns in needed.items()
            if patterns is not None and is_sieve(patterns) and headers_of(patterns)[0] in self.table.ids
        }

    # ---- rules on several fields ---------------------------------------------------------------

    def _several_fields(self) -> None:
        asked = {i: condition for i, condition in self.book.of_several_fields.items() if i in self.active}
        with ThreadPoolExecutor(_WORKERS) as pool:
            lowered = {i: self._lowered(condition) for i, condition in asked.items()}
            for i, places in zip(lowered, pool.map(self._failing, lowered, lowered.values()), strict=True):
                self._add(i, places)

    def _failing(self, i: int, lowered: Condition) -> Places:
        """The places at which a rule of several fields fails.

        The part that holds on the fewest rows is evaluated first, on every row; the others only where it holds.
        """
        if i in self._sieves:
            return self._holding(lowered, self._sieved(self._sieves[i]))
        parts = lowered.parts if isinstance(lowered, And) else (lowered,)
        known = sorted(((self._rows(part), part) for part in parts if self._is_known(part)), key=_rarer)
        rest = [part for part in parts if not self._is_known(part)]
        if known and known[0][0] == 0:
            return _no_places()
        if known and known[0][0] * _RARE <= self.table.height:
            places = self._mask(known.pop(0)[1], truth=True).arg_true()
        elif rest:
            first = min(rest, key=self._sampled) if len(rest) > 1 else rest[0]
            places = self._holding(first, pl.int_range(self.table.height, dtype=pl.UInt32, eager=True))
            rest = [part for part in rest if part is not first]
        else:
            return reduce(and_, (self._mask(part, truth=True) for _, part in known)).arg_true()
        for _, part in known:
            places = places.filter(self._mask(part, truth=True, places=places))
        return self._holding(all_of(*rest), places) if rest else places

    def _sampled(self, part: Condition) -> int:
        """The number of rows of a sample on which a condition is surely true."""
        some = pl.int_range(0, self.table.height, SAMPLE, dtype=pl.UInt32, eager=True)
        return self._holding(part, some).len()

    def _holding(self, condition: Condition, places: Places) -> Places:
        """Those of some places at which a condition is surely true; evaluated in slices of `ROWS_TOGETHER` rows."""
        if not places.len():
            return _no_places()
        found = []
        asked = expression(condition).alias("fails")
        every_row = places.len() == self.table.height
        for start in range(0, places.len(), ROWS_TOGETHER):
            these = slice(start, start + ROWS_TOGETHER)
            # A slice of a column is not copied; rows gathered from all over it are.
            frame = self._frame([condition], these if every_row else places[these])
            found.append(places[these].filter(frame.select(asked)["fails"]))
        return pl.concat(found)

    def _sieved(self, patterns: Condition) -> Places:
        """The places of the ids that match a rule's patterns."""
        [header] = headers_of(patterns)
        places = self._matching(header, patterns, self._suspects.get(header))
        spaced = self._spaced.get(header)
        # The patterns are not made for ids with spaces at their ends, so these are always included.
        return places if spaced is None else pl.concat([places, spaced]).unique().sort()

    def _rarest(self, condition: Condition) -> tuple[str, int] | None:
        """The part of an `And`, on a single field, that holds on the fewest rows: its name, and roughly how many."""
        parts = condition.parts if isinstance(condition, And) else (condition,)
        counts = {part.name: self._parts[part.name].rows(self.table) for part in parts if isinstance(part, Column)}
        return min(counts.items(), key=lambda item: item[1], default=None)

    # ---- what is known by number ---------------------------------------------------------------

    def _is_known(self, node: Condition) -> bool:
        """Whether a condition consists of parts on one field each, whose answers can be looked up by number."""
        match node:
            case Column():
                return True
            case And(parts) | Or(parts):
                return all(map(self._is_known, parts))
            case Not(part) | Surely(part):
                return self._is_known(part)
        return False

    def _mask(self, node: Condition, *, truth: bool, places: Places | None = None) -> pl.Series:
        """Whether such a condition is surely true (or surely false) on each row, or at some places (Boolean)."""
        match node:
            case Column(name):
                return self._parts[name].spread(self.table, truth, places)
            case And(parts) | Or(parts):
                return reduce(
                    and_ if isinstance(node, And) is truth else or_,
                    (self._mask(part, truth=truth, places=places) for part in parts),
                )
            case Not(part):
                return self._mask(part, truth=not truth, places=places)
            case Surely(part):
                holds = self._mask(part, truth=True, places=places)
                return holds if truth else ~holds
        raise TypeError(f"{type(node).__name__} is not known by number")

    def _rows(self, node: Condition) -> int:
        """An upper estimate of the rows on which such a condition is surely true; 0 only where it is true on none."""
        match node:
            case Column(name):
                return self._parts[name].rows(self.table)
            case And(parts):
                return min(map(self._rows, parts))
            case Or(parts):
                return sum(map(self._rows, parts))
        return self.table.height

    # ---- parts on one field, by number ---------------------------------------------------------

    def _lowered(self, node: Condition) -> Condition:
        found = self._lower(node)
        assert isinstance(found, Condition)  # noqa: S101 - a condition becomes one
        return found

    def _lower(self, node: Node) -> Node:
        """A tree in which each largest part that reads one field is replaced by a reference to its answers."""
        headers = headers_of(node)
        if len(headers) == 1 and headers[0] in self.table.texts and not looks_across(node):
            return self._part(node, headers[0])
        if isinstance(node, And | Or):
            return self._gathered(node)
        if isinstance(node, LookedUp):
            numbered = [self._place_column(node, n) for n in range(len(node.texts))]
            if all(numbered):
                return Placed(node.table, tuple(place for place in numbered if place is not None))
        changed: dict[str, object] = {}
        for field in dataclasses.fields(node):  # type: ignore[arg-type]
            part = getattr(node, field.name)
            if isinstance(part, Node):
                changed[field.name] = self._lower(part)
            elif isinstance(part, tuple):
                changed[field.name] = tuple(self._lower(each) if isinstance(each, Node) else each for each in part)
        return dataclasses.replace(node, **changed) if changed else node  # type: ignore[type-var]

    def _gathered(self, node: And | Or) -> Node:
        """An `And` or `Or` whose parts on the same field are joined into one."""
        join = all_of if isinstance(node, And) else any_of
        alike: dict[str, list[Condition]] = {}
        rest: list[Condition] = []
        for part in node.parts:
            headers = headers_of(part)
            few = len(headers) == 1 and headers[0] in self.table.texts and not looks_across(part)
            (alike.setdefault(headers[0], []) if few else rest).append(part)
        columns: list[Condition] = [self._part(join(*parts), header) for header, parts in alike.items()]  # type: ignore[misc]
        return join(*columns, *map(self._lowered, rest))

    def _place_column(self, node: LookedUp, argument: int) -> Value | None:
        """An argument of a lookup as a column of places in the lookup's table; None where the table knows any text."""
        text = node.texts[argument]
        headers = headers_of(text)
        if node.table.entries.known[argument] is None or len(headers) != 1 or headers[0] not in self.table.texts:
            return None
        places = places_in(node.table, argument)
        own = self._part(text, headers[0])
        name = f"{node.table.name} {argument} of {own.name}"  # type: ignore[attr-defined]
        if name not in self._parts:
            texts = self._parts[own.name]  # type: ignore[attr-defined]
            self._parts[name] = _Part(
                headers[0], pl.UInt32(), lambda: tuple(places.get(str(value)) for value in texts.answers)
            )
        return Number(name)

    def _part(self, node: Node, header: str) -> Node:
        """A reference to the answers of a part that reads one field; they are evaluated when first used."""
        name = f"{header}: {as_text(node)}"
        if name not in self._parts:
            kind = self._type(node) if isinstance(node, Value) else pl.Boolean()
            self._parts[name] = _Part(header, kind, lambda: self._answers(node, header))
        return Column(name) if isinstance(node, Condition) else Number(name)

    def _answers(self, node: Node, header: str) -> tuple[object, ...]:
        """A part that reads one field, evaluated by the plain engine for each distinct text of the field."""
        function = Function([], (header,))
        answer: Callable[..., object]
        if isinstance(node, Condition):
            answer = function.answer(node)
        else:
            assert isinstance(node, Value)  # noqa: S101 - a node is one or the other
            answer = function.value(node)
        rest = (False, (), self.today, self.submitter)
        return tuple(answer((each,), *rest) for each in self.parsed[header])

    def _type(self, value: Value) -> pl.DataType:
        """The type of a column of the answers of a value."""
        if isinstance(value, Cell) and value.stage is not Stage.SENT:
            return column_type(self.book.kinds[value.header])
        return pl.Date() if isinstance(value, ParameterValue) and value.name is Parameter.TODAY else pl.String()

    def _frame(self, conditions: Iterable[Condition], rows: slice | Places) -> pl.DataFrame:
        """The columns that some conditions read, for a slice of the rows or the rows at some places.

        A part has its name as column; an id has `H as sent`, `H as read` and `H`; beside them stand WITHHELD (Boolean),
        TODAY (Date) and SUBMITTER (String).
        """
        names: dict[str, None] = {}
        for condition in conditions:
            for node in every(condition):
                if isinstance(node, Column | Number):
                    names[node.name] = None
                elif isinstance(node, Cell):
                    names[node.header] = None
        of = [self._parts[name].header if name in self._parts else name for name in names]
        numbers = {
            header: _rows_of(self.table.texts[header].numbers, rows).cast(pl.UInt32)
            for header in of
            if header in self.table.texts
        }
        columns = []
        for name in names:
            if name in self._parts:
                columns.append(self._parts[name].series.gather(numbers[self._parts[name].header]).alias(name))
            else:
                columns += self._stages(name, rows)
        columns += [_rows_of(self.gated, rows).alias(WITHHELD)]
        return pl.DataFrame(columns).with_columns(
            pl.lit(self.today).alias(TODAY), pl.lit(self.submitter, pl.String).alias(SUBMITTER)
        )

    def _stages(self, header: str, rows: slice | Places) -> list[pl.Series]:
        """The columns of an id: as sent, as read, and its value (String)."""
        sent = _rows_of(self.table.ids[header], rows)
        read = sent
        if header in self._spaced:
            read = sent.str.strip_chars()
            blank = (read == "").fill_null(False)
            if blank.any():
                read, sent = read.scatter(blank.arg_true(), None), sent.scatter(blank.arg_true(), None)
        return [sent.alias(f"{header} as sent"), read.alias(f"{header} as read"), read.alias(header)]

    # ---- gates and rules told once -------------------------------------------------------------

    def _hide_gated(self) -> None:
        """Drop what other rules than gates say of gated rows."""
        if self.gated.any():
            for i in list(self.hits):
                if i not in self.book.gates:
                    left = self.hits.pop(i)
                    self._add(i, left.filter(~self.gated.gather(left)))

    def _once(self) -> None:
        """The rules that fire once a file: at the row at which the last of their conditions first holds."""
        for i in self.book.once:
            rule = self.book.rules[i]
            if rule.header not in self.parsed or i not in self.active:
                continue
            first = []
            for n in range(len(rule.once)):
                met = by_number(
                    [(i, n) in each.met for each in self.parsed[rule.header]], self.table.texts[rule.header].numbers
                )
                at = (met & ~self.gated).arg_max() if met.any() else None
                if at is None or not met[at] or self.gated[at]:
                    break
                first.append(at)
            else:
                self._add(i, pl.Series([max(first)], dtype=pl.UInt32))

    # ---- across rows ---------------------------------------------------------------------------

    def _hide_ids(self) -> None:
        """Find the ids that rules across rows do not see: rejected ones, and those of gated rows but the client's."""
        gated = self.gated.arg_true()
        for header in self.table.ids:
            places = [*self._no_ids.get(header, ()), *([self._spaces[header]] if header in self._spaces else [])]
            if gated.len() and header != self.book.keys[0]:
                places.append(gated)
            if places:
                hidden = pl.repeat(False, self.table.height, dtype=pl.Boolean, eager=True)
                self._hidden[header] = hidden.scatter(pl.concat([at.cast(pl.UInt32) for at in places]), True)

    def _hashes(self, header: str, places: Places | None = None) -> pl.Series:
        """The hash of an id (UInt64) as rules across rows see it, on all rows or at some places; null where hidden."""

        def of(column: pl.Series) -> pl.Series:
            return column if places is None else column.gather(places)

        ids = of(self.table.ids[header])
        hashes, none = ids.hash(), ids.is_null()
        if header in self._spaced:
            # Few ids have spaces at their ends; only these are trimmed.
            at = of(self._is_spaced(header)).arg_true()
            hashes = hashes.scatter(at, ids.gather(at).str.strip_chars().hash())
        if header in self._hidden:
            none |= of(self._hidden[header])
        if not none.any():
            return hashes.alias(header)
        return pl.select(pl.when(~none).then(hashes).alias(header))[:, 0]

    def _is_spaced(self, header: str) -> pl.Series:
        """Whether the id of each row has spaces at its ends (Boolean)."""
        nowhere = pl.repeat(False, self.table.height, dtype=pl.Boolean, eager=True)
        return nowhere.scatter(self._spaced[header], True)

    def _repeats(self, header: str) -> Places:
        """The places of the rows whose id occurs more than once; rows with the same id are adjacent."""
        if header not in self._repeated:
            self._repeated[header] = repeated(self._hashes(header))
        return self._repeated[header]

    def _judge_key(self, key: str) -> None:
        """Evaluate the rules over rows with the same id, then free what was made for it."""
        rules = {i: condition for i, condition in self.book.across.get(key, {}).items() if i in self.active}
        self._across(key, rules)
        if key in self.book.keys:
            self._stories(key)
        self._repeated.pop(key, None)

    def _across(self, key: str, rules: Mapping[int, Condition]) -> None:
        """Evaluate the written rules over rows with the same id."""
        if not rules:
            return
        together = self._repeats(key)
        several = together.sort()
        common: dict[int, Condition] = {}
        for i, condition in rules.items():
            some = self._worth_asking(condition, key, together)
            if some is None:
                common[i] = condition
            else:
                self._judge_together({i: condition}, key, some)
        self._judge_together(common, key, together)
        for i, condition in rules.items():
            lone = alone(condition)
            if lone is not None:
                self._judge_alone(i, lone, key, several)

    def _judge_together(self, rules: Mapping[int, Condition], key: str, together: Places) -> None:
        """Evaluate rules across rows on the rows of some ids, adjacent by id, in slices."""
        if not together.len() or not rules:
            return
        asked = [expression(condition).alias(str(i)) for i, condition in rules.items()]

        def ask(places: Places) -> dict[int, Places]:
            places = places.sort()
            fails = self._across_frame(rules, places).select(asked)
            return {i: places.filter(fails[str(i)]) for i in rules}

        with ThreadPoolExecutor(_WORKERS) as pool:
            for found in pool.map(ask, self._some_ids(key, together)):
                for i, places in found.items():
                    self._add(i, places)

    def _some_ids(self, key: str, together: Places) -> Iterator[Places]:
        """Split places, those of one id being adjacent, into parts of which none splits an id."""
        start = 0
        while start < together.len():
            end = start + ROWS_TOGETHER
            if end < together.len():
                # The first place of another id than the one before.
                ids = self._hashes(key, together[end - 1 :][:ROWS_TOGETHER])
                other = (ids != ids[0]).fill_null(True)
                end = end - 1 + (other.arg_max() or ids.len()) if other.any() else together.len()
            yield together[start:end]
            start = end

    def _worth_asking(self, condition: Condition, key: str, together: Places) -> Places | None:
        """The rows of the repeated ids that may break a rule; None where they are many."""
        ids = self._hashes(key, together)
        varied = varying(condition)
        needed = necessary(condition)
        rarest = None if needed is None else self._rarest(self._lowered(needed))
        if needs_withheld(condition):
            some = self._hashes(key, self.gated.arg_true()).unique().drop_nulls()
        elif rarest is not None and rarest[1] * _RARE < self.table.height:
            some = self._hashes(key, self._parts[rarest[0]].spread(self.table).arg_true()).unique().drop_nulls()
        elif varied is not None:
            values = self._values_at(varied.header, together)
            some = ids.filter((ids == ids.shift()) & values.ne_missing(values.shift())).unique()
        else:
            return None
        return None if some.len() * _RARE > together.len() else together.filter(ids.is_in(some.implode()))

    def _judge_alone(self, i: int, lone: Condition, key: str, several: Places) -> None:
        """Evaluate a rule across rows on the rows whose id occurs once."""
        lowered = self._lowered(lone)
        rarest = self._rarest(lowered)
        if needs_withheld(lone):
            places = self.gated.arg_true()
        elif rarest is None:
            places = pl.int_range(self.table.height, dtype=pl.UInt32, eager=True)
        elif rarest[1] == 0:
            return
        else:
            places = self._parts[rarest[0]].spread(self.table).arg_true()
        places = places.filter(~places.is_in(several.implode()))
        if places.len():
            frame = self._across_frame({i: lone}, places)
            fails = frame.select(expression(lone).alias("fails"))["fails"]
            self._add(i, places.filter(fails & frame[key].is_not_null()))

    def _across_frame(self, rules: Mapping[int, Condition], places: Places) -> pl.DataFrame:
        """The columns that rules across rows read, at some places.

        Ids are hashes (UInt64). A gated row has the client's id alone.
        """
        columns: dict[str, pl.Series] = {}
        gated = self.gated.gather(places)
        any_gated = gated.any()
        for condition in rules.values():
            for node in every(condition):
                if not isinstance(node, Cell):
                    continue
                name = node.header if node.stage is Stage.VALUE else f"{node.header} {node.stage.value}"
                if name in columns:
                    continue
                if node.header in self.table.ids:
                    columns[name] = self._hashes(node.header, places).alias(name)
                    continue
                atom = self._part(node, node.header)
                series = self._parts[atom.name].series.gather(self.table.texts[node.header].numbers.gather(places))  # type: ignore[attr-defined]
                columns[name] = (series.scatter(gated.arg_true(), None) if any_gated else series).alias(name)
        return pl.DataFrame([*columns.values(), gated.alias(WITHHELD)]).with_columns(
            pl.lit(self.today).alias(TODAY), pl.lit(self.submitter, pl.String).alias(SUBMITTER)
        )

    # ---- one story an id -----------------------------------------------------------------------

    def _stories(self, key: str) -> None:
        """Evaluate the rules that a value is the same on every row with the same id."""
        book = self.book
        compared = book.compared_with_submitter if self.submitter is not None else frozenset()
        patterns = {
            s.header: (book.index[s.rule.id], s.owner)
            for s in book.stories
            if s.key == key and s.header not in compared and (book.index[s.rule.id] in self.active or s.owner)
        }
        if not any(i in self.active for i, _ in patterns.values()):
            return
        places = self._repeats(key)
        if self.gated.any():
            places = places.filter(~self.gated.gather(places))
        if not places.len():
            return
        ids = self._hashes(key, places)
        with ThreadPoolExecutor(_WORKERS) as pool:
            differ = pool.map(lambda header: differing(ids, self._values_at(header, places)), patterns)
            found = dict(zip(patterns, differ, strict=True))
        belongs_to_several = pl.repeat(False, places.len(), dtype=pl.Boolean, eager=True)
        for header, (_, owner) in patterns.items():
            belongs_to_several = belongs_to_several | found[header] if owner else belongs_to_several
        for header, (i, owner) in patterns.items():
            # An id that belongs to several is not one thing, and its values need not agree.
            fails = found[header] if owner else found[header] & ~belongs_to_several
            self._add(i, places.filter(fails).sort())

    def _values_at(self, header: str, places: Places) -> pl.Series:
        """A number for the value of a field at some places, the same for equal values; null where blank."""
        if header in self.table.ids:
            return self._hashes(header, places)
        known: dict[object, int] = {}
        numbers = [
            None if each.value is None else known.setdefault(each.value, len(known)) for each in self.parsed[header]
        ]
        own = pl.Series(numbers, dtype=pl.UInt16 if len(known) < 1 << 16 else pl.UInt32)
        return own.gather(self.table.texts[header].numbers.gather(places))


@dataclasses.dataclass(frozen=True)
class _Part:
    """A part of a rule that reads one field.

    header: the field. kind: the type of the answers. ask: works the answers out.
    """

    header: str
    kind: pl.DataType
    ask: Callable[[], tuple[object, ...]]

    @cached_property
    def answers(self) -> tuple[object, ...]:
        """What the part is for each text of the field, by the text's number. Worked out on first use."""
        return self.ask()

    @cached_property
    def series(self) -> pl.Series:
        """The answers as a column."""
        return pl.Series(self.answers, dtype=self.kind)

    def rows(self, table: Table) -> int:
        """The number of rows on which it is true, estimated from a sample; 0 only where it is true of no text."""
        if True not in self.answers:
            return 0
        counts = table.texts[self.header].sampled
        return 1 + SAMPLE * sum(count for number, count in counts.items() if self.answers[number] is True)

    def spread(self, table: Table, truth: bool = True, places: Places | None = None) -> pl.Series:
        """Whether it is true (or false) on each row, or at each of some places (Boolean)."""
        numbers = table.texts[self.header].numbers
        return by_number(
            [answer is truth for answer in self.answers], numbers if places is None else numbers.gather(places)
        )


def _rarer(part: tuple[int, Condition]) -> int:
    return part[0]


def _no_places() -> Places:
    return pl.Series([], dtype=pl.UInt32)


def _rows_of(column: pl.Series, rows: slice | Places) -> pl.Series:
    return column[rows] if isinstance(rows, slice) else column.gather(rows)


def repeated(ids: pl.Series) -> Places:
    """The places of the rows whose id occurs more than once, from a column of hashes (UInt64, null where none).

    Rows with the same id are adjacent in the result.
    """
    begins = (ids != ids.shift()).fill_null(True)
    given = ids.is_not_null()
    runs = ids.filter(begins & given).sort()
    follows = ~begins & given
    beside = follows | follows.shift(-1, fill_value=False)
    again = runs.filter((runs == runs.shift()).fill_null(False))
    if not again.len():
        return beside.arg_true().cast(pl.UInt32)
    # The rows of these ids are scattered over the file: a sort makes them adjacent.
    apart = ids.is_in(again.unique().implode()).fill_null(False)
    places = apart.arg_true()
    order = ids.gather(places).arg_sort()
    return pl.concat([(beside & ~apart).arg_true(), places.gather(order)]).cast(pl.UInt32)


def differing(ids: pl.Series, values: pl.Series) -> pl.Series:
    """Whether the id of each row has several values (Boolean); blanks do not count.

    Rows with the same id must be adjacent.
    """
    same_id = (ids == ids.shift()).fill_null(False)
    changes = same_id & values.ne_missing(values.shift())
    if not changes.any():
        return pl.repeat(False, ids.len(), dtype=pl.Boolean, eager=True)
    # Only ids with differing neighbours, blanks included, are grouped.
    some = ids.is_in(ids.filter(changes).unique().implode())
    at = some.arg_true()
    few = pl.DataFrame({"id": ids.gather(at), "value": values.gather(at)})
    differs = few.select(pl.col("value").min().over("id") != pl.col("value").max().over("id"))[:, 0].fill_null(False)
    return pl.repeat(False, ids.len(), dtype=pl.Boolean, eager=True).scatter(at.filter(differs), True)
