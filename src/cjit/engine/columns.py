"""Conditions in Polars, a column at a time: the same trees as `cjit.engine.plain` evaluates, for large files.

A cell is a column named by its header, or ``HEADER as read``, ``HEADER as sent``; today, the submitter and the rows
that are withheld are columns of their own. Where a column has few texts it may be a Categorical.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import polars as pl

from cjit.conditions import (
    ACROSS,
    And,
    AnyRow,
    Capitals,
    Cell,
    Condition,
    Constant,
    Days,
    Differs,
    Equal,
    FirstGiven,
    FirstRow,
    Found,
    Given,
    HasCheckFigure,
    HowOften,
    Joined,
    Latest,
    Least,
    Less,
    LookedUp,
    Matches,
    Most,
    Never,
    Node,
    Not,
    OneOf,
    Or,
    Rows,
    Stage,
    Start,
    Surely,
    Table,
    Told,
    Trimmed,
    Value,
    Where,
    Withheld,
    Without,
    Written,
    all_of,
    any_of,
    children,
    looks_across,
    said,
)
from cjit.dataset import WITHHELD


@dataclass(frozen=True, eq=False, slots=True)
class Column(Condition):
    """A condition that stands in a column of truths already."""

    name: str


@dataclass(frozen=True, eq=False, slots=True)
class Number(Value):
    """A value that stands in a column already."""

    name: str


@dataclass(frozen=True, eq=False, slots=True)
class Placed(Condition):
    """What a table says of texts that are given by their places among those it knows, blank where it knows them not."""

    table: Table
    places: tuple[Value, ...]


def column_of(cell: Cell) -> str:
    """The name of the column a cell is in."""
    return cell.header if cell.stage is Stage.VALUE else f"{cell.header} {cell.stage.value}"


def columns_of(node: Node) -> tuple[str, ...]:
    """The names of every column a tree reads, each once."""
    return tuple(dict.fromkeys(expression(node).meta.root_names()))


def expression(node: Node) -> pl.Expr:
    """A tree as an expression: a condition is Boolean, null where not known; a value is null where blank."""
    match node:
        case Cell():
            return pl.col(column_of(node))
        case Told(name):
            return pl.col(name.value)
        case Constant(value):
            return pl.lit(value)
        case FirstGiven(values):
            return pl.coalesce(map(expression, values))
        case Latest(values):
            return pl.max_horizontal(map(expression, values))
        case Days(later, earlier):
            return (expression(later) - expression(earlier)).dt.total_days()
        case Where(value, condition):
            return pl.when(expression(condition)).then(expression(value))
        case Given(value):
            return expression(value).is_not_null()
        case Equal(one, other):
            return expression(one) == expression(other)
        case Less(one, other):
            return expression(one) < expression(other)
        case OneOf(value, options):
            return _one_of(value, options)
        case And(parts):
            return pl.all_horizontal(map(expression, parts))
        case Or(parts):
            return pl.any_horizontal(map(expression, parts))
        case Not(Given(value)):
            return expression(value).is_null()
        case Not(part):
            return ~expression(part)
        case Surely(part):
            return expression(part).fill_null(False)
        case Withheld():
            return pl.col(WITHHELD)
        case Never():
            return pl.lit(None, pl.Boolean)
        case LookedUp(table, texts):
            return _looked_up(table, texts)
        case Column(name) | Number(name):
            return pl.col(name)
        case Placed(table, places):
            return _placed(table, [expression(place) for place in places])
        case _:
            return _of_rows(node) if isinstance(node, ACROSS) else _of_text(node)


def _of_text(node: Node) -> pl.Expr:
    match node:
        case Capitals(text):
            return _text(text).str.to_uppercase()
        case Trimmed(text):
            return _text(text).str.strip_chars()
        case Start(text, length):
            return _text(text).str.head(length)
        case Without(text, pattern):
            return _text(text).str.replace_all(pattern, "")
        case Found(text, pattern, group):
            return _text(text).str.extract(pattern, group)
        case Joined(texts):
            return pl.concat_str(map(_text, texts))
        case Written(value, form):
            return expression(value).dt.strftime(form)
        case Matches(text, pattern):
            return _text(text).str.contains(pattern)
        case HasCheckFigure(figures):
            return _has_check_figure(_text(figures))
    raise TypeError(f"There is no expression for {type(node).__name__}")


def _of_rows(node: Node) -> pl.Expr:
    match node:
        case Differs(value, same):
            of_all = expression(value)
            return of_all.min().over(map(expression, same)) != of_all.max().over(map(expression, same))
        case AnyRow(condition, same):
            return expression(condition).fill_null(False).any().over(map(expression, same))
        case Rows(same):
            return pl.len().over(map(expression, same))
        case HowOften(value, same):
            return expression(value).count().over(map(expression, same))
        case Most(value, same):
            return expression(value).max().over(map(expression, same))
        case Least(value, same):
            return expression(value).min().over(map(expression, same))
        case FirstRow(conditions):
            met = pl.all_horizontal(expression(each).fill_null(False).cum_sum() > 0 for each in conditions)
            return met & ~met.shift(1, fill_value=False)
    raise TypeError(f"There is no expression for {type(node).__name__}")


def _text(value: Value) -> pl.Expr:
    """A value as text: in a file a column of few texts is a Categorical, which has no `.str` of its own."""
    made = expression(value)
    return made.cast(pl.String) if isinstance(value, Cell) else made


def _one_of(value: Value, options: tuple[Value, ...]) -> pl.Expr:
    plain = [option.value for option in options if isinstance(option, Constant)]
    if len(plain) == len(options):
        return expression(value).is_in(plain)
    return pl.any_horizontal(expression(Equal(value, option)) for option in options)


def _has_check_figure(figures: pl.Expr) -> pl.Expr:
    number = pl.when(figures.str.contains("^[0-9]{10}$")).then(figures).cast(pl.Int64)
    weighted = pl.sum_horizontal(number // 10**place % 10 * (place + 1) for place in range(10))
    return pl.when(figures.is_not_null()).then(number.is_not_null() & (weighted % 11 == 0))


# ---- tables ----------------------------------------------------------------------------------------


def _looked_up(table: Table, texts: tuple[Value, ...]) -> pl.Expr:
    # Numbers, for Polars looks them up faster than text, and anew at each evaluation.
    places = [
        expression(text).cast(of_it, strict=False).to_physical().cast(pl.UInt32)
        for text, of_it in zip(texts, _numbered(table)[0], strict=True)
    ]
    answer = _placed(table, places)
    if any(each is None for each in table.entries.known):
        # Where the table speaks of any text: of one it does not have it says no.
        told = (
            expression(text).is_not_null() if known is None else place.is_not_null()
            for text, place, known in zip(texts, places, table.entries.known, strict=True)
        )
        return pl.when(pl.all_horizontal(told)).then(answer.fill_null(False))
    return answer


def _placed(table: Table, places: Sequence[pl.Expr]) -> pl.Expr:
    known, yes = _numbered(table)
    joint = pl.lit(0, pl.UInt32)
    for place, of_it in zip(places, known, strict=True):
        joint = joint * len(of_it.categories) + place
    return joint.is_in(yes.implode())


def places_in(table: Table, argument: int) -> dict[str, int]:
    """The place of each text among those a table knows for an argument."""
    return {text: place for place, text in enumerate(_numbered(table)[0][argument].categories)}


@lru_cache(maxsize=64)
def _numbered(table: Table) -> tuple[tuple[pl.Enum, ...], pl.Series]:
    """The texts a table knows, for each argument, and each combination that is true as one number."""
    entries = table.entries
    named = [
        sorted(of_it if of_it is not None else {texts[place] for texts in entries.yes})
        for place, of_it in enumerate(entries.known)
    ]
    numbers = [{text: number for number, text in enumerate(texts)} for texts in named]
    places = []
    for texts in entries.yes:
        place = 0
        for text, of_it in zip(texts, numbers, strict=True):
            place = place * len(of_it) + of_it[text]
        places.append(place)
    return tuple(pl.Enum(texts) for texts in named), pl.Series(sorted(places), dtype=pl.UInt32)


# ---- what is cheap to ask first --------------------------------------------------------------------


def necessary(condition: Condition) -> Condition | None:
    """A condition on the row alone that holds wherever another one does, and is cheaper to ask; None if there is none.

    Of an "and" each part is necessary. A value that a pattern finds in a text is given only where the text matches.
    What looks across rows is left out. Patterns looked for in one text are looked for together.
    """
    match condition:
        case And(parts):
            needed = [found for part in parts if (found := necessary(part)) is not None]
            # A pattern's own match is enough, and one look at the text.
            sieves = [each for each in needed if is_sieve(each)]
            return all_of(*(sieves or needed)) if needed else None
        case Or(parts):
            each = [necessary(part) for part in parts]
            known = [part for part in each if part is not None]
            return together(known) if len(known) == len(each) else None
        case Surely(part):
            return necessary(part)
        case Equal() | Less() | OneOf() | HasCheckFigure():
            found = _given(*children(condition))
            return found if found is not None else None if looks_across(condition) else condition
        case _:
            return None if looks_across(condition) else condition


def _given(*values: Node) -> Condition | None:
    """What must hold for all of some values to be given, where one is made from a text by a pattern."""
    for value in values:
        match value:
            case Found(text, pattern):
                return None if looks_across(text) else Matches(text, pattern)
            case Without(text) | Capitals(text) | Trimmed(text) | Start(text):
                found = _given(text)
            case Joined(texts):
                found = _given(*texts)
            case FirstGiven(several):
                each = [_given(part) for part in several]
                known = [part for part in each if part is not None]
                found = together(known) if known and len(known) == len(each) else None
            case _:
                found = None
        if found is not None:
            return found
    return None


def is_sieve(condition: Condition) -> bool:
    """Whether a condition only looks for patterns."""
    parts = condition.parts if isinstance(condition, Or) else (condition,)
    return all(isinstance(part, Matches) for part in parts)


def together(conditions: list[Condition]) -> Condition:
    """Any of some conditions, with one pattern for each text that is looked at."""
    parts = [part for each in conditions for part in (each.parts if isinstance(each, Or) else (each,))]
    patterns: dict[str, list[Matches]] = {}
    rest: dict[str, Condition] = {}
    for part in parts:
        if isinstance(part, Matches):
            patterns.setdefault(said(part.text), []).append(part)
        else:
            rest[said(part)] = part
    sieves = [
        Matches(each[0].text, "|".join(dict.fromkeys(part.pattern for part in each))) for each in patterns.values()
    ]
    return any_of(*sieves, *rest.values())


# ---- a row alone -----------------------------------------------------------------------------------


def alone(condition: Condition) -> Condition | None:
    """When a condition across rows is surely true of a row whose id no other row has, as one on the row alone.

    None where it never is: so most rules across rows need not look at such rows at all.
    """
    found = _true(condition)
    return None if isinstance(found, bool) else found


def _true(condition: Condition) -> Condition | bool:
    """When a condition is surely true of a row alone; True or False where that is so of every row."""
    match condition:
        case And(parts):
            return _every(map(_true, parts))
        case Or(parts):
            return _some(map(_true, parts))
        case Not(part):
            return _false(part)
        case Surely(part):
            return _true(part)
        case Differs():
            return False
        case AnyRow(part):
            return _true(part)
        case Equal(one, other) | Less(one, other):
            one, other = _alone(one), _alone(other)
            if isinstance(one, Constant) and isinstance(other, Constant):
                return one.value == other.value if isinstance(condition, Equal) else _before(one, other)
            if said(one) == said(other):
                return Given(one) if isinstance(condition, Equal) else False
            return type(condition)(one, other)
        case _:
            return _with(condition)


def _false(condition: Condition) -> Condition | bool:
    """When a condition is surely false of a row alone."""
    match condition:
        case And(parts):
            return _some(map(_false, parts))
        case Or(parts):
            return _every(map(_false, parts))
        case Not(part):
            return _true(part)
        case Surely(part):
            found = _true(part)
            return not found if isinstance(found, bool) else ~Surely(found)
        case Differs(value):
            return Given(value)
        case AnyRow(part):
            return _false(Surely(part))
        case Equal(one, other) | Less(one, other):
            one, other = _alone(one), _alone(other)
            if isinstance(one, Constant) and isinstance(other, Constant):
                return not (one.value == other.value if isinstance(condition, Equal) else _before(one, other))
            if said(one) == said(other):
                return False if isinstance(condition, Equal) else Given(one)
            return Not(type(condition)(one, other))
        case _:
            return Not(_with(condition))


def _before(one: Constant, other: Constant) -> bool:
    return one.value < other.value  # type: ignore[operator]


def _alone(value: Value) -> Value:
    """A value across rows as it is where there is one row."""
    match value:
        case Most(own) | Least(own):
            return _alone(own)
        case Rows():
            return Constant(1)
        case HowOften(own):
            return FirstGiven((Where(Constant(1), Given(own)), Constant(0)))
    if looks_across(value):
        raise TypeError(f"{type(value).__name__} of a value across rows has no form for a row alone")
    return value


def _with(condition: Condition) -> Condition:
    if looks_across(condition):
        raise TypeError(f"{type(condition).__name__} of a value across rows has no form for a row alone")
    return condition


def _every(parts: Iterable[Condition | bool]) -> Condition | bool:
    found = [part for part in parts if part is not True]
    if any(part is False for part in found):
        return False
    return all_of(*(part for part in found if not isinstance(part, bool))) if found else True


def _some(parts: Iterable[Condition | bool]) -> Condition | bool:
    found = [part for part in parts if part is not False]
    if any(part is True for part in found):
        return True
    return any_of(*(part for part in found if not isinstance(part, bool))) if found else False
