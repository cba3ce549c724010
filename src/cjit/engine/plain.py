"""Conditions in plain Python: what each of them means. Everything else that evaluates a tree is tested against this.

Some conditions are written out as one Python function, which is compiled once and costs a few microseconds a row. It
asks of a condition only whether it is surely true, or surely false, so a value that is not known needs no third answer:
``a & b`` is surely true where both are, surely false where either is, and ``~a`` the other way round.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date
from functools import cached_property
from itertools import count
from typing import Any

from cjit.conditions import (
    ACROSS,
    WHITE,
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
    Parameter,
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
    as_text,
    children,
    in_python,
)

#: Answers that are kept of a lookup.
_MOST_KNOWN = 50_000
#: A value of a field: a text, a date, a whole number, or blank.
Typed = str | int | date | None


class Function:
    """Some conditions as one function of a row, which gives the places of those that are surely true.

    The function takes a row (its cells by place, as `headers` are, each with a `value`, the same as `read` and as
    `sent`), whether it is withheld, what was found across rows (by place, as `across` has them), today and the
    submitter. Where `spread`, the cells are three sequences instead: the values, as read, as sent.

    `across` are the nodes that look beyond the row, each after those it is made of: whoever calls the function works
    them out first (`across_rows`) and hands them in.
    """

    def __init__(self, conditions: Sequence[Condition], headers: Sequence[str], *, spread: bool = False) -> None:
        self.headers = tuple(headers)
        self._spread = spread
        self.across: list[Node] = []
        self._places: dict[str, int] = {}
        self._names: dict[str, Any] = {
            "_days": _days,
            "_latest": _latest,
            "_first": _first,
            "_upper": _upper,
            "_trim": _trim,
            "_joined": _joined,
            "_check": has_check_figure,
        }
        self._read: dict[tuple[str, Stage], None] = {}
        self._numbers = count()
        lines = [f"    if {self._true(condition)}: out.append({i})" for i, condition in enumerate(conditions)]
        self._lines = ["    out = []", *lines, "    return out"]

    @cached_property
    def fails(self) -> Callable[..., list[int]]:
        """The function; compiled when it is first asked for."""
        made: Callable[..., list[int]] = self._compiled("fails", self._lines)
        return made

    def parsed(self, wrong: Condition | None, no_value: Condition | None) -> Callable[..., Any]:
        """A function of one field's text, as sent and as read: its value, whether it is none, and what `fails` gives.

        Args:
            wrong: where what is read is no value; it says nothing of a value.
            no_value: where something was sent that is none.

        Returns:
            A function of (sent, read, today, submitter).
        """
        [header] = self.headers
        value, read, sent = (_name(header, stage) for stage in (Stage.VALUE, Stage.READ, Stage.SENT))
        is_value = f"{read} if {read} is None or {self._false(wrong)} else None" if wrong is not None else read
        none = self._true(no_value) if no_value is not None else "False"
        body = [f"    {value} = {is_value}", *self._lines[:-1], f"    return {value}, {none}, out"]
        source = "\n".join([f"def looked({sent}, {read}, today, submitter, withheld=False, x=()):", *body])
        exec(compile(source, "<looked>", "exec"), self._names)  # noqa: S102
        made: Callable[..., Any] = self._names["looked"]
        return made

    def value(self, value: Value) -> Callable[..., Typed]:
        """A function of a row, as `fails` is, that gives a value."""
        made: Callable[..., Typed] = self._compiled("value", [f"    return {self._value(value)}"])
        return made

    def answer(self, condition: Condition) -> Callable[..., bool | None]:
        """A function of a row, as `fails` is, that says whether a condition is true, false or not known (None)."""
        true, false = self._true(condition), self._false(condition)
        made: Callable[..., bool | None] = self._compiled(
            "answer", [f"    if {true}: return True", f"    return False if {false} else None"]
        )
        return made

    def holds(self, condition: Condition) -> Callable[..., bool]:
        """A function of a row, as `fails` is, that says whether a condition is surely true."""
        made: Callable[..., bool] = self._compiled("holds", [f"    return {self._true(condition)}"])
        return made

    def _compiled(self, name: str, body: list[str]) -> Any:
        stages = {Stage.VALUE: "value", Stage.READ: "read", Stage.SENT: "sent"}
        read = []
        for header, stage in self._read:
            place = self.headers.index(header)
            cell = f"{stages[stage]}[{place}]" if self._spread else f"row[{place}].{stages[stage]}"
            read.append(f"    {_name(header, stage)} = {cell}")
        row = "value, read, sent" if self._spread else "row"
        source = "\n".join([f"def {name}({row}, withheld, x, today, submitter):", *read, *body])
        # What is compiled is written above, of headers, constants and patterns that stand in a rule book.
        exec(compile(source, f"<{name}>", "exec"), self._names)  # noqa: S102
        return self._names[name]

    # ---- conditions ----------------------------------------------------------------------------

    def _true(self, condition: Condition) -> str:  # noqa: PLR0911 - one case a node
        """Python that is true where the condition surely is."""
        match condition:
            case And(parts):
                return f"({' and '.join(map(self._true, parts))})"
            case Or(parts):
                return f"({' or '.join(map(self._true, parts))})"
            case Not(part):
                return self._false(part)
            case Surely(part):
                return self._true(part)
            case Given(value):
                return f"({self._value(value)} is not None)"
            case Equal(one, other):
                return self._both(one, other, "==")
            case Less(one, other):
                return self._both(one, other, "<")
            case OneOf(value, options):
                return self._among(value, options, "in")
            case Never():
                return "False"
            case Withheld():
                return "withheld"
            case AnyRow() | FirstRow():
                return self._across(condition)
            case _:
                return f"({self._answer(condition)} is True)"

    def _false(self, condition: Condition) -> str:  # noqa: PLR0911 - one case a node
        """Python that is true where the condition is surely false."""
        match condition:
            case And(parts):
                return f"({' or '.join(map(self._false, parts))})"
            case Or(parts):
                return f"({' and '.join(map(self._false, parts))})"
            case Not(part):
                return self._true(part)
            case Surely() | Given() | Withheld() | AnyRow() | FirstRow():
                return f"(not {self._true(condition)})"
            case Equal(one, other):
                return self._both(one, other, "!=")
            case Less(one, other):
                return self._both(one, other, ">=")
            case OneOf(value, options):
                return self._among(value, options, "not in")
            case Never():
                return "False"
            case _:
                return f"({self._answer(condition)} is False)"

    def _both(self, one: Value, other: Value, how: str) -> str:
        """A comparison of two values, where both are given."""
        values = []
        given = []
        for value in (one, other):
            text = self._value(value)
            if isinstance(value, Constant | Rows | HowOften):
                values.append(text)
            elif text.isidentifier():
                given.append(f"{text} is not None")
                values.append(text)
            else:
                name = f"_t{next(self._numbers)}"
                given.append(f"({name} := {text}) is not None")
                values.append(name)
        return f"({' and '.join([*given, f'{values[0]} {how} {values[1]}'])})"

    def _among(self, value: Value, options: tuple[Value, ...], how: str) -> str:
        text = self._value(value)
        given = f"{text} is not None"
        if not text.isidentifier():
            name = f"_t{next(self._numbers)}"
            given, text = f"({name} := {text}) is not None", name
        plain = [option.value for option in options if isinstance(option, Constant)]
        if len(plain) == len(options):
            return f"({given} and {text} {how} {self._named(frozenset(plain))})"
        # A blank among the others equals nothing; where one is blank, it is not known that none of them is the same.
        others = ", ".join(map(self._value, options))
        known = "" if how == "in" else f" and None not in ({others},)"
        return f"({given} and {text} {how} ({others},){known})"

    def _answer(self, condition: Condition) -> str:
        """Python that gives True, False or None."""
        match condition:
            case Matches(text, pattern):
                return f"{self._named(_matcher(pattern))}({self._value(text)})"
            case HasCheckFigure(figures):
                return f"_check({self._value(figures)})"
            case LookedUp(table, texts):
                return f"{self._named(_Known(_looked_up(table)))}[{', '.join(map(self._value, texts))},]"
            case Differs():
                return self._across(condition)
        raise TypeError(f"There is no Python for {type(condition).__name__}")

    # ---- values --------------------------------------------------------------------------------

    def _value(self, value: Value) -> str:  # noqa: C901, PLR0911, PLR0912 - one case a node
        """Python that gives a value, None where it is blank."""
        match value:
            case Cell(header, stage):
                self._read[header, stage] = None
                return _name(header, stage)
            case ParameterValue(name):
                return "today" if name is Parameter.TODAY else "submitter"
            case Constant(plain):
                return self._named(plain) if isinstance(plain, date) else repr(plain)
            case FirstGiven(values):
                return f"_first({', '.join(map(self._value, values))})"
            case Latest(values):
                return f"_latest({', '.join(map(self._value, values))})"
            case Days(later, earlier):
                return f"_days({self._value(later)}, {self._value(earlier)})"
            case Where(own, condition):
                return f"({self._value(own)} if {self._true(condition)} else None)"
            case Capitals(text):
                return f"_upper({self._value(text)})"
            case Trimmed(text):
                return f"_trim({self._value(text)})"
            case Start(text, length):
                return f"{self._named(_starter(length))}({self._value(text)})"
            case Without(text, pattern):
                return f"{self._named(_remover(pattern))}({self._value(text)})"
            case Found(text, pattern, group):
                return f"{self._named(_finder(pattern, group))}({self._value(text)})"
            case Joined(texts):
                return f"_joined({', '.join(map(self._value, texts))})"
            case Written(day, form):
                return f"{self._named(_writer(form))}({self._value(day)})"
        if isinstance(value, ACROSS):
            return self._across(value)
        raise TypeError(f"There is no Python for {type(value).__name__}")

    def _across(self, node: Node) -> str:
        key = as_text(node)
        if key not in self._places:
            # What it is made of comes before it.
            for child in children(node):
                self._value(child) if isinstance(child, Value) else self._true(child)  # type: ignore[arg-type]
            self._places[key] = len(self.across)
            self.across.append(node)
        return f"x[{self._places[key]}]"

    def _named(self, thing: object) -> str:
        name = f"_k{len(self._names)}"
        self._names[name] = thing
        return name


def _name(header: str, stage: Stage) -> str:
    return {Stage.VALUE: header, Stage.READ: f"{header}_read", Stage.SENT: f"{header}_sent"}[stage]


# ---- across rows -----------------------------------------------------------------------------------


def across_rows(
    function: Function,
    rows: Sequence[Sequence[Any]],
    today: date,
    submitter: str | None,
) -> list[list[Any]]:
    """What the nodes of a function that look across rows say of each row: a list a row, by place in `across`.

    A row is what the function takes first: its cells, and whether it is withheld.
    """
    found: list[list[Any]] = [[] for _ in rows]
    for node in function.across:
        if isinstance(node, FirstRow):
            holds = [function.holds(condition) for condition in node.conditions]
            first = _first_row(
                [[each(*row, x, today, submitter) for row, x in zip(rows, found, strict=True)] for each in holds]
            )
            for at, x in enumerate(found):
                x.append(at == first)
            continue
        own = _of_row(function, node)
        same = [function.value(value) for value in node.same]  # type: ignore[attr-defined]
        groups: dict[object, list[int]] = {}
        values: list[Any] = []
        for at, (row, x) in enumerate(zip(rows, found, strict=True)):
            key = tuple(value(*row, x, today, submitter) for value in same)
            groups.setdefault(key, []).append(at)
            values.append(own(*row, x, today, submitter) if own else None)
        for places in groups.values():
            answer = _of_group(node, [values[at] for at in places])
            for at in places:
                found[at].append(answer)
    return found


def _first_row(holds: Sequence[Sequence[bool]]) -> int | None:
    """The row at which the last of some conditions first holds, of which each has its answers row by row."""
    return max(each.index(True) for each in holds) if all(map(any, holds)) else None


def _of_row(function: Function, node: Node) -> Callable[..., Any] | None:
    match node:
        case AnyRow(condition):
            return function.holds(condition)
        case Differs(value) | HowOften(value) | Most(value) | Least(value):
            return function.value(value)
    return None


def _of_group(node: Node, values: list[Any]) -> Any:
    given = [value for value in values if value is not None]
    match node:
        case Rows():
            return len(values)
        case HowOften():
            return len(given)
        case AnyRow():
            return any(values)
        case Differs():
            return len(set(given)) > 1 if given else None
        case Most():
            return max(given, default=None)
        case Least():
            return min(given, default=None)
    raise TypeError(f"There is no Python for {type(node).__name__}")


# ---- what the functions are made of ----------------------------------------------------------------


def has_check_figure(figures: str | None) -> bool | None:
    """Whether the last of ten figures is the check figure of the others, modulus 11; None where blank."""
    if figures is None:
        return None
    if len(figures) != 10 or not (figures.isascii() and figures.isdigit()):
        return False
    return sum(int(figure) * (10 - place) for place, figure in enumerate(figures)) % 11 == 0


def _days(later: date | None, earlier: date | None) -> int | None:
    return None if later is None or earlier is None else (later - earlier).days


def _latest(*values: Any) -> Any:
    return max((value for value in values if value is not None), default=None)


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def _upper(text: str | None) -> str | None:
    return None if text is None else text.upper()


def _trim(text: str | None) -> str | None:
    return None if text is None else text.strip(WHITE)


def _joined(*texts: str | None) -> str | None:
    return None if None in texts else "".join(texts)  # type: ignore[arg-type]


def _search(pattern: str) -> Callable[[str], re.Match[str] | None]:
    compiled = re.compile(in_python(pattern))
    # Python would look for the beginning of a text at each of its places.
    return compiled.match if is_anchored(pattern) else compiled.search


def is_anchored(pattern: str) -> bool:
    """Whether every alternative of a pattern begins at the beginning of a text."""
    depth = 0
    in_set = escaped = False
    starts = [0]
    for place, sign in enumerate(pattern):
        if escaped:
            escaped = False
        elif sign == "\\":
            escaped = True
        elif in_set:
            in_set = sign != "]"
        elif sign == "[":
            in_set = True
        elif sign in "()":
            depth += 1 if sign == "(" else -1
        elif sign == "|" and not depth:
            starts.append(place + 1)
    return all(pattern.startswith("^", start) for start in starts)


def _starter(length: int) -> Callable[[str | None], str | None]:
    return lambda text: None if text is None else text[:length]


def _remover(pattern: str) -> Callable[[str | None], str | None]:
    remove = re.compile(in_python(pattern)).sub
    return lambda text: None if text is None else remove("", text)


def _finder(pattern: str, group: int) -> Callable[[str | None], str | None]:
    find = _search(pattern)
    return lambda text: None if text is None or (found := find(text)) is None else found[group]


def _matcher(pattern: str) -> Callable[[str | None], bool | None]:
    find = _search(pattern)
    return lambda text: None if text is None else find(text) is not None


def _writer(form: str) -> Callable[[date | None], str | None]:
    # `strftime` leaves out the leading noughts of an early year, and is slow.
    parts = {"%d": "{0.day:02}", "%m": "{0.month:02}", "%Y": "{0.year:04}", "%y": "{1:02}"}
    shape = form
    for sign, part in parts.items():
        shape = shape.replace(sign, part)
    write = shape.format
    return lambda day: None if day is None else write(day, day.year % 100)


def _looked_up(table: Table) -> Callable[[tuple[str | None, ...]], bool | None]:
    def answer(texts: tuple[str | None, ...]) -> bool | None:
        return None if None in texts else table.answer(*texts)  # type: ignore[arg-type]

    return answer


class _Known(dict[Any, Any]):
    """The answers of a function that is dearer than a look into a dictionary; the first some thousand are kept."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function

    def __missing__(self, asked: Any) -> Any:
        answer = self.function(asked)
        if len(self) < _MOST_KNOWN:
            self[asked] = answer
        return answer
