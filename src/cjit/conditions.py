"""The language in which a rule says what is wrong: values of a record, and conditions on them, as frozen trees.

A condition is true, false or not known; a rule fires where its condition is surely true. The docstring of each node
class says what the node means and what it gives for a blank. This module evaluates nothing: `cjit.engine.plain`
evaluates every node in plain Python, `cjit.engine.columns` does the same in Polars, and `cjit.dictionary` writes the
tree as English, JSON or SQL.

Conditions are written with Python's operators: ``(ROUTE == "1") & ~DRUG1.is_given``. ``and``, ``or`` and ``not`` do not
work, because a condition used as a bool raises TypeError.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise

#: One character of Unicode white space, as a pattern.
WHITE_SPACE = "[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"
#: The same characters, as an argument of `str.strip`, which by default strips four more.
WHITE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)

#: The Python types that a value may be compared with.
Plain = str | int | date


class Stage(StrEnum):
    """How far the text of a field has been parsed."""

    SENT = "as sent"  # the text in the file; blank where it holds nothing but spaces
    READ = "as read"  # after tidying: a date, a whole number, or text without outer spaces
    VALUE = "value"  # blank, too, where what was sent is no value of the field


class Parameter(StrEnum):
    """An argument of a check that conditions can read, beside the record."""

    TODAY = "TODAY"  # the day nothing may be later than: a date
    SUBMITTER = "SUBMITTER"  # the agency that submits: text, blank where it is not given


class BadPattern(ValueError):  # noqa: N818 - a mistake of the author of a rule, reported in one sentence
    """A text pattern that not every engine reads alike."""


# ---- what nodes have in common ---------------------------------------------------------------------


class Node:
    """A part of a tree. Nodes are compared by their `as_text`, because `==` between values makes a condition."""

    __slots__ = ()


class Value(Node):
    """One text, date or whole number for each row, or blank."""

    __slots__ = ()

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> Equal:  # type: ignore[override]
        return Equal(self, _value(other))

    def __ne__(self, other: object) -> Not:  # type: ignore[override]
        return Not(Equal(self, _value(other)))

    def __lt__(self, other: Value | Plain) -> Less:
        return Less(self, _value(other))

    def __gt__(self, other: Value | Plain) -> Less:
        return Less(_value(other), self)

    def __le__(self, other: Value | Plain) -> Not:
        return Not(Less(_value(other), self))

    def __ge__(self, other: Value | Plain) -> Not:
        return Not(Less(self, _value(other)))

    def __sub__(self, earlier: Value) -> Days:
        return Days(self, earlier)

    @property
    def is_given(self) -> Given:
        """True where there is a value."""
        return Given(self)

    @property
    def is_blank(self) -> Not:
        """True where there is none."""
        return Not(Given(self))

    def is_one_of(self, *options: Value | Plain) -> OneOf:
        """True where the value equals one of some others."""
        return OneOf(self, tuple(_value(option) for option in options))

    def is_between(self, least: Value | Plain, most: Value | Plain) -> And:
        """True where the value lies between two others, or is one of them."""
        return And((self >= least, self <= most))

    def matches(self, pattern: str) -> Matches:
        """True where the pattern is found anywhere in the text."""
        return Matches(self, pattern)

    def found(self, pattern: str, group: int = 1) -> Found:
        """The text of a group of the pattern, where the pattern is first found."""
        return Found(self, pattern, group)

    def without(self, pattern: str) -> Without:
        """The text less everything that the pattern finds."""
        return Without(self, pattern)

    def begins(self, length: int) -> Start:
        """The first characters of the text, or all of a shorter one."""
        return Start(self, length)

    @property
    def in_capitals(self) -> Capitals:
        """The text in upper case."""
        return Capitals(self)

    @property
    def trimmed(self) -> Trimmed:
        """The text without white space before and after it."""
        return Trimmed(self)

    def written(self, form: str) -> Written:
        """A date as text, in a form of `strftime` made of %d, %m, %Y and %y."""
        return Written(self, form)

    def where(self, condition: Condition) -> Where:
        """The value where the condition surely holds, elsewhere blank."""
        return Where(self, condition)


class Condition(Node):
    """True, false or not known for each row."""

    __slots__ = ()

    def __and__(self, other: Condition) -> And:
        return And((*_parts_of(And, self), *_parts_of(And, other)))

    def __or__(self, other: Condition) -> Or:
        return Or((*_parts_of(Or, self), *_parts_of(Or, other)))

    def __invert__(self) -> Condition:
        return self.part if isinstance(self, Not) else Not(self)

    def __bool__(self) -> bool:
        raise TypeError("A condition of a rule is not true or false by itself: join conditions by &, | and ~")

    @property
    def surely(self) -> Surely:
        """True where the condition is surely true, elsewhere false."""
        return Surely(self)


def _value(other: object) -> Value:
    """A value as it is, and a text, whole number or date as a `Constant`."""
    if isinstance(other, Value):
        return other
    if isinstance(other, str | int | date) and not isinstance(other, bool):
        return Constant(other)
    raise TypeError(f"A value is compared with a value, a text, a whole number or a date, not {type(other).__name__}")


def _parts_of(joined: type[And] | type[Or], condition: Condition) -> tuple[Condition, ...]:
    """The parts of a condition of the class `joined`, or any other condition as the only part: `a & b & c` is flat."""
    if not isinstance(condition, Condition):
        raise TypeError(f"A condition is joined to a condition, not to {type(condition).__name__}")
    return condition.parts if isinstance(condition, joined) else (condition,)


# ---- values of a row -------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, slots=True)
class Cell(Value):
    """A field of the record, by its header, at a stage. Blank where the stage says so."""

    header: str
    stage: Stage = Stage.VALUE

    @property
    def as_sent(self) -> Cell:
        """The text of the field as it stands in the file."""
        return Cell(self.header, Stage.SENT)

    @property
    def as_read(self) -> Cell:
        """The field after tidying and before it is held against its list or range."""
        return Cell(self.header, Stage.READ)


@dataclass(frozen=True, eq=False, slots=True)
class ParameterValue(Value):
    """What the check is told. The submitter is blank where it is not told; today never is."""

    name: Parameter


@dataclass(frozen=True, eq=False, slots=True)
class Constant(Value):
    """A text, whole number or date that the rule names. Never blank."""

    value: Plain


@dataclass(frozen=True, eq=False, slots=True)
class FirstGiven(Value):
    """The first of some values that is given; blank where all are."""

    values: tuple[Value, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Latest(Value):
    """The greatest of some dates or numbers; blanks do not count; blank where all are."""

    values: tuple[Value, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Days(Value):
    """The days from one date to a later one, below 0 where it is earlier; blank where either is."""

    later: Value
    earlier: Value


@dataclass(frozen=True, eq=False, slots=True)
class Where(Value):
    """A value where a condition surely holds; elsewhere blank."""

    value: Value
    condition: Condition


# ---- texts -----------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, slots=True)
class Capitals(Value):
    """A text in upper case; blank where it is blank."""

    text: Value


@dataclass(frozen=True, eq=False, slots=True)
class Trimmed(Value):
    """A text without `WHITE_SPACE` at either end; blank where it is blank."""

    text: Value


@dataclass(frozen=True, eq=False, slots=True)
class Start(Value):
    """The first characters of a text, or all of a shorter one; blank where it is blank."""

    text: Value
    length: int


@dataclass(frozen=True, eq=False, slots=True)
class Without(Value):
    """A text less everything that a pattern finds; blank where it is blank."""

    text: Value
    pattern: str

    def __post_init__(self) -> None:
        check_pattern(self.pattern, finds=0)


@dataclass(frozen=True, eq=False, slots=True)
class Found(Value):
    """What a group of a pattern holds where the pattern is first found; blank where it is not or the text is."""

    text: Value
    pattern: str
    group: int = 1

    def __post_init__(self) -> None:
        check_pattern(self.pattern, finds=self.group)


@dataclass(frozen=True, eq=False, slots=True)
class Joined(Value):
    """Some texts put together; blank where any of them is."""

    texts: tuple[Value, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Written(Value):
    """A date as text, in a form of %d, %m, %Y and %y; blank where it is blank."""

    date: Value
    form: str


# ---- conditions on a row ---------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, slots=True)
class Given(Condition):
    """True where a value is there, false where it is blank. Always known."""

    value: Value


@dataclass(frozen=True, eq=False, slots=True)
class Equal(Condition):
    """Whether two values are the same; not known where either is blank."""

    one: Value
    other: Value


@dataclass(frozen=True, eq=False, slots=True)
class Less(Condition):
    """Whether a date or number comes before another; not known where either is blank."""

    one: Value
    other: Value


@dataclass(frozen=True, eq=False, slots=True)
class OneOf(Condition):
    """Whether a value equals one of some others; not known where it is blank, or unequal and one of them is blank."""

    value: Value
    options: tuple[Value, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Matches(Condition):
    """Whether a pattern is found anywhere in a text; not known where it is blank."""

    text: Value
    pattern: str

    def __post_init__(self) -> None:
        check_pattern(self.pattern)


@dataclass(frozen=True, eq=False, slots=True)
class HasCheckFigure(Condition):
    """Whether the last of ten figures is the check figure of the other nine, modulus 11; false where there are not ten.

    Not known where the text is blank.
    """

    figures: Value


@dataclass(frozen=True, eq=False, slots=True)
class LookedUp(Condition):
    """What a table says of some texts together; not known where one is blank or is not among those the table knows."""

    table: Table
    texts: tuple[Value, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Withheld(Condition):
    """Whether the row's gate failed, so that nothing of it but the client's id may be used. Always known."""


@dataclass(frozen=True, eq=False, slots=True)
class Never(Condition):
    """Not known of any row: the condition of a rule that no record breaks by itself."""


@dataclass(frozen=True, eq=False, slots=True)
class And(Condition):
    """True where all parts are, false where any is; elsewhere not known."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Or(Condition):
    """True where any part is, false where all are; elsewhere not known."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Not(Condition):
    """True where the part is false, false where it is true; elsewhere not known."""

    part: Condition


@dataclass(frozen=True, eq=False, slots=True)
class Surely(Condition):
    """True where the part is true; false where it is false or not known. Always known."""

    part: Condition


# ---- across rows -----------------------------------------------------------------------------------
# These nodes group rows. The rows of a group are equal in each value of `same`; a blank equals a blank.


class _Across(Node):
    """A node that reads other rows. Its parts must not: an engine that works by columns cannot nest groups of rows."""

    __slots__ = ()

    def __post_init__(self) -> None:
        if any(looks_across(child) for child in children(self)):
            raise TypeError(f"{type(self).__name__} cannot be of what looks across rows itself")


@dataclass(frozen=True, eq=False, slots=True)
class Differs(_Across, Condition):
    """Whether a value differs between rows with the same ids; blanks do not count. Not known where all are blank."""

    value: Value
    same: tuple[Value, ...]


@dataclass(frozen=True, eq=False, slots=True)
class AnyRow(_Across, Condition):
    """Whether a condition is true on any of the rows with the same ids. Always known."""

    condition: Condition
    same: tuple[Value, ...]


@dataclass(frozen=True, eq=False, slots=True)
class FirstRow(_Across, Condition):
    """Told once a file: true on the row at which the last of some conditions first holds. Always known.

    Each condition is on the cells of one field. Where one of them never holds, it is true nowhere.
    """

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Rows(_Across, Value):
    """The number of rows with the same ids, this one among them. Never blank."""

    same: tuple[Value, ...]


@dataclass(frozen=True, eq=False, slots=True)
class HowOften(_Across, Value):
    """On how many of the rows with the same ids a value is given. Never blank."""

    value: Value
    same: tuple[Value, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Most(_Across, Value):
    """The greatest value, the newest date, of the rows with the same ids; blank where all are blank."""

    value: Value
    same: tuple[Value, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Least(_Across, Value):
    """The least value, the oldest date, of the rows with the same ids; blank where all are blank."""

    value: Value
    same: tuple[Value, ...]


#: The nodes that read other rows.
ACROSS = (Differs, AnyRow, FirstRow, Rows, HowOften, Most, Least)


# ---- tables ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Entries:
    """The content of a lookup table.

    known: the texts that each argument may have, by the argument's position (None: any text).
    yes: the combinations of texts, one for each argument, that are true. Other combinations of known texts are false.
    """

    known: tuple[frozenset[str] | None, ...]
    yes: frozenset[tuple[str, ...]]

    def answer(self, texts: tuple[str, ...]) -> bool | None:
        """Whether a combination of texts is true.

        Args:
            texts: a text for each argument, none of them blank.

        Returns:
            True or false; None where one of the texts is not known to the table.
        """
        for text, known in zip(texts, self.known, strict=True):
            if known is not None and text not in known:
                return None
        return texts in self.yes


@dataclass(frozen=True, slots=True)
class Table:
    """A lookup table of a condition: combinations of texts that are true or false.

    name: its name in JSON and SQL.
    means: what true means in English, with {0} and {1} for the arguments.
    denies: what false means, likewise.
    read: gives its entries; it is called once, when they are first needed.
    ask: answers for one combination as `answer` does, without reading all entries (None: the entries are read).
    """

    name: str
    means: str
    denies: str
    read: Callable[[], Entries] = dataclasses.field(compare=False)
    ask: Callable[..., bool | None] | None = dataclasses.field(default=None, compare=False)

    @property
    def entries(self) -> Entries:
        """The entries; read once."""
        return _entries(self)

    def answer(self, *texts: str) -> bool | None:
        """Whether a combination of texts is true, as `Entries.answer` says."""
        return self.ask(*texts) if self.ask else self.entries.answer(texts)

    def says(self, *texts: Value) -> LookedUp:
        """The condition that the combination of some values is true in the table."""
        return LookedUp(self, texts)


@lru_cache(maxsize=64)
def _entries(table: Table) -> Entries:
    return table.read()


# ---- writing conditions ----------------------------------------------------------------------------


TODAY = ParameterValue(Parameter.TODAY)
SUBMITTER = ParameterValue(Parameter.SUBMITTER)
WITHHELD = Withheld()


def cells(*headers: str) -> tuple[Cell, ...]:
    """The values of some fields, by header, in the order of the headers."""
    return tuple(Cell(header) for header in headers)


def any_of(*conditions: Condition) -> Condition:
    """True where any of the conditions is."""
    return conditions[0] if len(conditions) == 1 else Or(tuple(p for c in conditions for p in _parts_of(Or, c)))


def all_of(*conditions: Condition) -> Condition:
    """True where all of the conditions are."""
    return conditions[0] if len(conditions) == 1 else And(tuple(p for c in conditions for p in _parts_of(And, c)))


def first_given(*values: Value) -> FirstGiven:
    """The first of some values that is given."""
    return FirstGiven(values)


def latest(*values: Value) -> Latest:
    """The latest of the given dates among some."""
    return Latest(values)


def joined(*texts: Value | str) -> Joined:
    """Some texts put together."""
    return Joined(tuple(_value(text) for text in texts))


def differs(value: Value, *, among: tuple[Value, ...] | Value) -> Differs:
    """Whether a value differs among the rows with the same ids."""
    return Differs(value, _same(among))


def any_row(condition: Condition, *, of: tuple[Value, ...] | Value) -> AnyRow:
    """Whether a condition is true on any row with the same ids."""
    return AnyRow(condition, _same(of))


def rows_with_the_same(*values: Value) -> Rows:
    """The number of rows that agree in some values."""
    return Rows(values)


def how_often(value: Value, *, of: tuple[Value, ...] | Value) -> HowOften:
    """On how many rows with the same ids a value is given."""
    return HowOften(value, _same(of))


def newest(value: Value, *, of: tuple[Value, ...] | Value) -> Most:
    """The newest date of the rows with the same ids."""
    return Most(value, _same(of))


def oldest(value: Value, *, of: tuple[Value, ...] | Value) -> Least:
    """The oldest date of the rows with the same ids."""
    return Least(value, _same(of))


def _same(values: tuple[Value, ...] | Value) -> tuple[Value, ...]:
    return values if isinstance(values, tuple) else (values,)


# ---- reading a tree --------------------------------------------------------------------------------


def children(node: Node) -> Iterator[Node]:
    """The direct children of a node, in the order of its fields."""
    for field in dataclasses.fields(node):  # type: ignore[arg-type]
        part = getattr(node, field.name)
        if isinstance(part, Node):
            yield part
        elif isinstance(part, tuple):
            yield from (each for each in part if isinstance(each, Node))


def every(node: Node) -> Iterator[Node]:
    """A node and all nodes below it, from left to right."""
    yield node
    for child in children(node):
        yield from every(child)


def cells_of(node: Node) -> tuple[Cell, ...]:
    """The cells a tree reads, each once."""
    return tuple({(c.header, c.stage): c for c in every(node) if isinstance(c, Cell)}.values())


def headers_of(node: Node) -> tuple[str, ...]:
    """The headers a tree reads, each once."""
    return tuple(dict.fromkeys(cell.header for cell in cells_of(node)))


def tables_of(*nodes: Node) -> tuple[Table, ...]:
    """The lookup tables of some trees, each once, sorted by name."""
    by_name = {each.table.name: each.table for node in nodes for each in every(node) if isinstance(each, LookedUp)}
    return tuple(by_name[name] for name in sorted(by_name))


def reads_parameter(node: Node, parameter: Parameter) -> bool:
    """Whether a tree reads a parameter of the check."""
    return any(isinstance(each, ParameterValue) and each.name is parameter for each in every(node))


def looks_across(node: Node) -> bool:
    """Whether a tree reads other rows."""
    return any(isinstance(each, ACROSS) for each in every(node))


def as_text(node: Node) -> str:
    """A tree as one line of text: two trees are equal where their lines are."""
    parts = [_as_text(getattr(node, field.name)) for field in dataclasses.fields(node)]  # type: ignore[arg-type]
    return f"{type(node).__name__}({', '.join(parts)})"


def _as_text(part: object) -> str:
    if isinstance(part, Node):
        return as_text(part)
    if isinstance(part, tuple):
        return f"[{', '.join(map(_as_text, part))}]"
    if isinstance(part, Table):
        return part.name
    return repr(part.isoformat() if isinstance(part, date) else str(part) if isinstance(part, StrEnum) else part)


# ---- patterns --------------------------------------------------------------------------------------

#: A token of a pattern: a class of characters, an escaped sign, the start of a group, a count, a sign or a character.
_TOKEN = re.compile(
    r"(?P<cls>\[\^?[^\]\[\\]*\])|(?P<escaped>\\[][.^$*+?(){}|\\/-])|(?P<group>\((?:\?:)?)|(?P<count>\{[0-9]+(?:,[0-9]*)?\})"
    r"|(?P<sign>[).^$|*+?])|(?P<char>[^][\\(){}])"
)


@lru_cache(maxsize=1024)
def check_pattern(pattern: str, finds: int | None = None) -> None:
    """Check that Python, Rust's regex crate and RE2 read a pattern alike.

    A pattern may have characters, classes of characters and ranges, groups with `(` and `(?:`, alternatives, the
    counts `?`, `*`, `+` and `{2,3}`, `.` for all but a line feed, `^` for the start and `$` for the end of the text.

    Args:
        pattern: the pattern.
        finds: the number of the group whose text is used, 0 for the whole match (None: no text is used). The group
            must not match an empty text, because some engines cannot tell that from a group that did not take part.

    Raises:
        BadPattern: for any other pattern.
    """
    at = 0
    before = ""
    opened = False
    while at < len(pattern):
        token = _TOKEN.match(pattern, at)
        if token is None:
            raise BadPattern(
                f"The pattern {pattern!r} has {pattern[at : at + 3]!r}, which not every engine reads alike"
            )
        kind = token.lastgroup or ""
        counts = kind == "count" or token[0] in ("*", "+", "?")
        if counts and (before in ("", "counts") or before == "group"):
            raise BadPattern(f"The pattern {pattern!r} has the count {token[0]!r} behind nothing it could count")
        if token[0] == ")" and opened:
            raise BadPattern(f"The pattern {pattern!r} has a group of nothing, which not every engine reads alike")
        opened = kind == "group"
        if kind == "cls" and any(a + b in ("&&", "--", "~~", "||") for a, b in pairwise(token[0])):
            raise BadPattern(f"The pattern {pattern!r} has {token[0]!r}, which not every engine reads alike")
        before = "counts" if counts else "group" if kind == "group" or token[0] == "|" else kind
        at = token.end()
    try:
        re.compile(pattern)
    except re.error as problem:
        raise BadPattern(f"The pattern {pattern!r} is none: {problem}") from None
    if finds is not None:
        groups = _groups(pattern)
        if finds not in range(len(groups)):
            raise BadPattern(f"The pattern {pattern!r} has no group {finds}")
        if re.fullmatch(groups[finds], ""):
            raise BadPattern(f"The pattern {pattern!r} may find nothing at all, which not every engine reads alike")


def _groups(pattern: str) -> list[str]:
    """The pattern of each group by its number; that of group 0 is the whole pattern."""
    groups = [pattern]
    opened: list[tuple[int, int]] = []
    for token in _TOKEN.finditer(pattern):
        if token["group"]:
            opened.append((len(groups) if token["group"] == "(" else 0, token.end()))
            groups += [""] * (token["group"] == "(")
        elif token["sign"] == ")":
            number, start = opened.pop()
            if number:
                groups[number] = pattern[start : token.start()]
    return groups


@lru_cache(maxsize=1024)
def in_python(pattern: str) -> str:
    r"""A pattern for Python's `re`, with `\Z` for `$`, which in Python also matches before a line feed at the end."""
    return "".join(
        r"\Z" if token[0] == "$" and token.lastgroup == "sign" else token[0] for token in _TOKEN.finditer(pattern)
    )


#: Every node class by name.
NODES: Mapping[str, type[Node]] = {
    kind.__name__: kind
    for kind in (
        *(Cell, ParameterValue, Constant, FirstGiven, Latest, Days, Where),
        *(Capitals, Trimmed, Start, Without, Found, Joined, Written),
        *(Given, Equal, Less, OneOf, Matches, HasCheckFigure, LookedUp, Withheld, Never),
        *(And, Or, Not, Surely),
        *(Differs, AnyRow, FirstRow, Rows, HowOften, Most, Least),
    )
}
