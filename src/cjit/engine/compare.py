"""Records held against those accepted before: what is new, filled, changed, mismatched, absent.

A record is known by its id (client, episode, referral); what is compared is the first value an id's rows
have, since a blank says nothing. "Should not change" covers neither corrections nor moving from a null to a
value: a blank that is filled is never a change (Data Entities, note).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from cjit.conditions import Never
from cjit.dataset import OUR_READING, Changes, Dataset, Entity, Field, Rule, Severity
from cjit.engine.plain import Typed
from cjit.kinds import kinds_of


class Change(StrEnum):
    """What became of a value, or of a whole record, since it was accepted."""

    NEW = "new"  # the record was not held
    RE_PRESENTED = "re-presented"  # a new episode of a client who was held
    UNCHANGED = "unchanged"  # the record is held, and nothing of it differs
    ABSENT = "absent"  # the record is held and not in this file
    FILLED = "filled"  # blank before, a value now
    CHANGED = "changed"  # and it may change
    CORRECTED = "corrected"  # it should not change: taken as a correction, with a query
    MISMATCH = "mismatch"  # it should not change, nor be emptied: replace or delete must be chosen
    REOPENED = "reopened"  # an episode's closure was altered or taken back
    EMPTIED = "emptied"  # a value before, blank now, and it should not change (where that is no mismatch)


#: What a change in each class of updatability is.
OF_CLASS = {
    Changes.MAY: Change.CHANGED,
    Changes.SHOULD_NOT: Change.CORRECTED,
    Changes.MISMATCH: Change.MISMATCH,
    Changes.FILLED_ONLY: Change.REOPENED,
}


class Difference(NamedTuple):
    """What differs: a value of a record that is held, or, without a header, a record that is held and not in the file.

    place: of the row that says it. value, previous: as the dataset writes them.
    """

    place: int | None
    entity: Entity
    id: Typed
    header: str | None
    change: Change
    value: str | None = None
    previous: str | None = None


_Values = Sequence[Typed]


def compare_rows(
    incoming: Mapping[int, _Values], held: Sequence[_Values], dataset: Dataset, *, rejected: Collection[int]
) -> list[Difference]:
    """Every value that differs, and every record that is absent: as `compare_frames` says, less what is new.

    Args:
        incoming: the values of each row by its place, themselves by place as the headers are.
        held: the values of each row that is held.
        dataset: the dataset.
        rejected: the places of rows that say nothing of a record that has other rows.

    Returns:
        The differences, by row, then by header.
    """
    found: list[Difference] = []
    for entity in Entity:
        fields = dataset.entity(entity)
        if not fields:
            continue
        key = dataset.headers.index(fields[0].header)
        parent = dataset.parent(entity)
        compared = ([parent] if parent else []) + list(fields[1:])
        accepted = {values[key] for at, values in incoming.items() if at not in rejected}
        rows = {at: values for at, values in incoming.items() if at not in rejected or values[key] not in accepted}
        now, before = _first(rows, key), _first(dict(enumerate(held)), key)
        found += [Difference(None, entity, own, None, Change.ABSENT) for own in before if own not in now]
        kinds = kinds_of(dataset)
        for field in compared:
            place = dataset.headers.index(field.header)
            write = kinds[field.header].plainly
            for own, (at, values) in now.items():
                if own in before and (previous := before[own][1][place]) != (value := values[place]):
                    change = _change(field, value, previous)
                    texts = (None if each is None else write(each) for each in (value, previous))
                    found.append(Difference(at, entity, own, field.header, change, *texts))
    last = float("inf")
    return sorted(found, key=lambda each: (last if each.place is None else each.place, each.header or "\uffff"))


def _change(field: Field, value: Typed, previous: Typed) -> Change:
    what = OF_CLASS[field.changes]
    if previous is None:
        return Change.FILLED
    # To empty a field that must not change unseen is such a change, and is asked like any other.
    return what if value is not None or field.changes in (Changes.MAY, Changes.MISMATCH) else Change.EMPTIED


def _first(rows: Mapping[int, _Values], key: int) -> dict[Typed, tuple[int, _Values]]:
    """What is said of each id, and at which row first: the first value of each field, since a blank says nothing."""
    groups: dict[Typed, list[int]] = {}
    for at, values in rows.items():
        if values[key] is not None:
            groups.setdefault(values[key], []).append(at)
    found: dict[Typed, tuple[int, _Values]] = {}
    for own, places in groups.items():
        values = rows[places[0]]
        for at in places[1:]:
            values = [value if value is not None else rows[at][n] for n, value in enumerate(values)]
        found[own] = places[0], values
    return found


def absent(
    differences: Iterable[Difference], held: Sequence[_Values], withheld: Collection[Typed], dataset: Dataset
) -> dict[Entity, int]:
    """How many records of each kind are held and not in the file.

    Not counted are those of the `withheld` clients, of whom a row tells nothing but the id.
    """
    client = dataset.headers.index(dataset.entity(Entity.CLIENT)[0].header)
    of_withheld: dict[Entity, set[Typed]] = {}
    for entity in Entity:
        if fields := dataset.entity(entity):
            key = dataset.headers.index(fields[0].header)
            of_withheld[entity] = {values[key] for values in held if values[client] in withheld}
    not_found = (each for each in differences if each.change is Change.ABSENT)
    return dict(Counter(each.entity for each in not_found if each.id not in of_withheld[each.entity]))


def closes(dataset: Dataset, difference: Difference) -> bool:
    """Whether an episode is closed otherwise than it was, or opened again."""
    closing = [f.header for f in dataset.fields if f.changes is Changes.FILLED_ONLY]
    return difference.header in closing and difference.change is not Change.FILLED


# ---- rules on changes ------------------------------------------------------------------------------


def rules(dataset: Dataset) -> tuple[Rule, ...]:
    """What is said of changes that matter: one rule a field and kind of change, in the document's order.

    They are fired by `compare`, not by an expression, and have no examples of one record.
    """
    return tuple(rule for field in dataset.fields for rule in _rules(field))


def rule_id(header: str, change: str) -> str | None:
    """The rule a change fires; None where the change needs no word."""
    if change == Change.EMPTIED:
        return f"{header}.is_still_filled"
    if change in (Change.CORRECTED, Change.MISMATCH, Change.REOPENED):
        return f"{header}.is_unchanged"
    return None


def _rules(field: Field) -> Iterator[Rule]:
    never = Never()
    match field.changes:
        case Changes.MAY:
            return
        case Changes.MISMATCH:
            severity, reading = Severity.MISMATCH, ""
            clause = field.clause
            message = (
                f"Check the {field.noun}: it differs from your last submission, so choose replace or delete when"
                " you submit"
            )
        case Changes.SHOULD_NOT:
            severity, clause = Severity.QUERY, field.clause
            reading = ""
            message = f"Check the {field.noun}: it should not change, and it differs from your last submission"
        case Changes.FILLED_ONLY:
            severity, clause = Severity.QUERY, field.clause
            reading = ""
            message = f"Check the {field.noun}: the episode was closed in your last submission with another"
    yield Rule(f"{field.header}.is_unchanged", severity, message, clause, never, {}, {}, reading=reading)
    if field.missing is None:
        yield Rule(
            f"{field.header}.is_still_filled",
            Severity.QUERY,
            f"Check the {field.noun}: your last submission had it and this one does not",
            OUR_READING,
            never,
            {},
            {},
            reading="The document says what moving from a null to a value means, and nothing of the way back; a "
            "value that is no longer sent may have been lost.",
        )
