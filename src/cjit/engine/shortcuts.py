"""Cheaper conditions that follow from a condition, so that both engines evaluate the dear one on few rows.

`necessary` gives a condition that holds wherever another does. `sieve` gives patterns one of which an id matches
wherever it breaks a rule. `varying` and `needs_withheld` say which ids a rule across rows can fail for. `alone` gives
what a condition across rows amounts to for a row whose id no other row has.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from cjit.conditions import (
    And,
    AnyRow,
    Capitals,
    Cell,
    Condition,
    Constant,
    Differs,
    Equal,
    FirstGiven,
    Found,
    Given,
    HasCheckFigure,
    HowOften,
    Joined,
    Least,
    Less,
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
    Trimmed,
    Value,
    Where,
    Withheld,
    Without,
    all_of,
    any_of,
    as_text,
    children,
    looks_across,
)

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
            return merged(known) if len(known) == len(each) else None
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
                found = merged(known) if known and len(known) == len(each) else None
            case _:
                found = None
        if found is not None:
            return found
    return None


def is_sieve(condition: Condition) -> bool:
    """Whether a condition only looks for patterns."""
    parts = condition.parts if isinstance(condition, Or) else (condition,)
    return all(isinstance(part, Matches) for part in parts)


def merged(conditions: list[Condition]) -> Condition:
    """Any of some conditions; the patterns that are looked for in one text are merged into one."""
    parts = [part for each in conditions for part in (each.parts if isinstance(each, Or) else (each,))]
    patterns: dict[str, list[Matches]] = {}
    rest: dict[str, Condition] = {}
    for part in parts:
        if isinstance(part, Matches):
            patterns.setdefault(as_text(part.text), []).append(part)
        else:
            rest[as_text(part)] = part
    sieves = [
        Matches(each[0].text, "|".join(dict.fromkeys(part.pattern for part in each))) for each in patterns.values()
    ]
    return any_of(*sieves, *rest.values())


def sieve(header: str, conditions: Iterable[Condition]) -> Condition | None:
    """A condition on the text of a field as it was sent that holds wherever one of some on this field does.

    Of a blank nothing is asked, and of a text with spaces at its ends too little. None where no pattern is enough.
    """
    needed = []
    for condition in conditions:
        if isinstance(condition, Not) and isinstance(condition.part, Given):
            continue
        found = necessary(condition)
        if found is None or not is_sieve(found):
            return None
        needed.append(found)
    return as_sent(merged(needed), header) if needed else Never()


def as_sent(condition: Condition, header: str) -> Condition:
    """A condition on a field's text as it is asked of the text that was sent: less outer spaces, it matches no more."""
    found = _as_sent(condition, header)
    assert isinstance(found, Condition)  # noqa: S101 - a condition becomes one
    return found


def _as_sent(node: Node, header: str) -> Node:
    if isinstance(node, Cell):
        return Cell(header)
    changed: dict[str, object] = {}
    for field in dataclasses.fields(node):  # type: ignore[arg-type]
        part = getattr(node, field.name)
        if isinstance(part, Node):
            changed[field.name] = _as_sent(part, header)
        elif isinstance(part, tuple):
            changed[field.name] = tuple(_as_sent(each, header) for each in part)
    return dataclasses.replace(node, **changed)  # type: ignore[type-var]


# ---- rows of an id ---------------------------------------------------------------------------------


def varying(condition: Condition) -> Cell | None:
    """A field with several values, blanks among them, on the rows of each id for which a condition holds on some row.

    None where nothing of the kind follows from the condition.
    """
    match condition:
        case And(parts):
            return next((found for part in parts if (found := varying(part)) is not None), None)
        case Surely(part):
            return varying(part)
        case Differs(Cell(_, Stage.VALUE) as value):
            return value
        case Less(Cell(_, Stage.VALUE) as value, Most(own)) | Less(Least(own), Cell(_, Stage.VALUE) as value):
            return value if as_text(value) == as_text(own) else None
    return None


def needs_withheld(condition: Condition) -> bool:
    """Whether a condition holds only on a row whose gate failed, or where another with the same id is such a row."""
    match condition:
        case And(parts):
            return any(map(needs_withheld, parts))
        case Surely(part) | AnyRow(part):
            return needs_withheld(part)
    return isinstance(condition, Withheld)


# ---- a row alone -----------------------------------------------------------------------------------


def alone(condition: Condition) -> Condition | None:
    """When a condition across rows is surely true of a row whose id no other row has, as one on the row alone.

    None where it never is: so most rules across rows need not look at such rows at all.
    """
    found = _true(condition)
    return None if isinstance(found, bool) else found


def _true(condition: Condition) -> Condition | bool:  # noqa: PLR0911 - one case a node
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
            if as_text(one) == as_text(other):
                return Given(one) if isinstance(condition, Equal) else False
            return type(condition)(one, other)
        case _:
            return _with(condition)


def _false(condition: Condition) -> Condition | bool:  # noqa: PLR0911 - one case a node
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
            if as_text(one) == as_text(other):
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
