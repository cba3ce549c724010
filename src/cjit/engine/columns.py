"""Conditions in Polars, a column at a time: the same trees as `cjit.engine.plain` evaluates, for large files.

A cell is a column named by its header, or ``HEADER as read``, ``HEADER as sent``; today, the submitter and the rows
that are withheld are columns of their own. Where a column has few texts it may be a Categorical.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    ParameterValue,
    Rows,
    Stage,
    Start,
    Surely,
    Table,
    Trimmed,
    Value,
    Where,
    Withheld,
    Without,
    Written,
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


def expression(node: Node) -> pl.Expr:  # noqa: C901, PLR0911, PLR0912 - one case a node
    """A tree as an expression: a condition is Boolean, null where not known; a value is null where blank."""
    match node:
        case Cell():
            return pl.col(column_of(node))
        case ParameterValue(name):
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


def _of_text(node: Node) -> pl.Expr:  # noqa: PLR0911 - one case a node
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
        known = (
            expression(text).is_not_null() if known is None else place.is_not_null()
            for text, place, known in zip(texts, places, table.entries.known, strict=True)
        )
        return pl.when(pl.all_horizontal(known)).then(answer.fill_null(False))
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
