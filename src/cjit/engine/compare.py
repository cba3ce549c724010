"""A frame held against the one accepted before: what is new, filled, changed, mismatched, absent.

A record is known by its id (client, episode, referral); what is compared is the first value an id's rows
have, since a blank says nothing. "Should not change" covers neither corrections nor moving from a null to a
value: a blank that is filled is never a change (Data Entities, note).
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

import polars as pl

from cjit.conditions import Never
from cjit.dataset import OUR_READING, Changes, Dataset, Entity, Field, Rule, Severity
from cjit.derive import plainly_value


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
_OF_CLASS = {
    Changes.MAY: Change.CHANGED,
    Changes.SHOULD_NOT: Change.CORRECTED,
    Changes.MISMATCH: Change.MISMATCH,
    Changes.FILLED_ONLY: Change.REOPENED,
}


def compare(
    incoming: pl.DataFrame,
    held: pl.DataFrame,
    dataset: Dataset,
    *,
    unchanged: bool = False,
    rejected: pl.Series | None = None,
) -> pl.DataFrame:
    """Every record and value that differs.

    Both frames have the dataset's headers as typed columns (`derive.columns`), one row an episode and referral;
    text may be a Categorical that both share. `incoming` also has `row`. Returns row (null where absent), entity, id,
    header (null for whole records), change, value, previous: text as the dataset writes it. Unchanged values are not
    listed; with `unchanged`, records of which nothing differs are. Of a record that has other rows, the `rejected` ones
    (row numbers) say nothing: they are not what is taken.
    """
    parts = [_nothing()]
    for entity in Entity:
        fields = dataset.entity(entity)
        if not fields:
            continue
        key = fields[0].header
        parent = dataset.parent(entity)
        compared = ([parent] if parent else []) + list(fields[1:])
        rows = incoming
        if rejected is not None and len(rejected):
            out = pl.col("row").is_in(rejected.implode())
            rows = incoming.filter(~out | ~pl.col(key).is_in(incoming.filter(~out)[key].implode()))
        parts += _entity(rows, held, entity, key, compared, unchanged)
    return pl.concat(parts).sort("row", "header", nulls_last=True, maintain_order=True)


def _entity(
    incoming: pl.DataFrame, held: pl.DataFrame, entity: Entity, key: str, fields: list[Field], unchanged: bool
) -> Iterator[pl.DataFrame]:
    headers = [field.header for field in fields]
    now = first(incoming.select("row", key, *headers), key)
    before = first(held.select(key, *headers), key)
    # Where each record stands in both: `there` of what is held, null where it is not.
    place = pl.int_range(pl.len(), dtype=pl.UInt32)
    there = now.select(key).join(before.select(key, there=place), on=key, how="left", maintain_order="left")["there"]
    new = now.filter(there.is_null())
    again = pl.Series([False]).new_from_index(0, new.height)
    if entity is Entity.EPISODE:
        again = new[headers[0]].is_in(held[headers[0]].drop_nulls().unique().implode()).fill_null(False)
    yield _whole(new.filter(~again), entity, key, Change.NEW)
    yield _whole(new.filter(again), entity, key, Change.RE_PRESENTED)
    absent = pl.Series([True]).new_from_index(0, before.height).scatter(there.drop_nulls(), False)
    yield _whole(before.filter(absent).with_columns(row=pl.lit(None, pl.UInt32)), entity, key, Change.ABSENT)
    here, there = there.is_not_null().arg_true(), there.drop_nulls()
    differs = pl.select(
        pl.lit(now[h])
        .gather(pl.lit(here))
        .ne_missing(pl.lit(before[h]).gather(pl.lit(there)))
        .arg_true()
        .implode()
        .alias(h)
        for h in headers
    )
    same = pl.Series([unchanged]).new_from_index(0, here.len())
    for field in fields:
        at = differs[field.header][0]
        if at.is_empty():
            continue
        same = same.scatter(at, False)
        what = _OF_CLASS[field.changes]
        # To empty a field that must not change unseen is such a change, and is asked like any other.
        emptied = pl.lit(what if field.changes in (Changes.MAY, Changes.MISMATCH) else Change.EMPTIED)
        some = pl.DataFrame(
            {
                "row": now["row"][here[at]],
                "id": now[key][here[at]],
                "value": now[field.header][here[at]],
                "previous": before[field.header][there[at]],
            }
        )
        yield some.select(
            "row",
            pl.lit(entity.value).alias("entity"),
            "id",
            pl.lit(field.header).alias("header"),
            pl.when(pl.col("previous").is_null())
            .then(pl.lit(Change.FILLED))
            .when(pl.col("value").is_null())
            .then(emptied)
            .otherwise(pl.lit(what))
            .alias("change"),
            plainly_value(field, pl.col("value")).cast(pl.String),
            plainly_value(field, pl.col("previous")).cast(pl.String),
        )
    if unchanged:
        yield _whole(now[here.filter(same)], entity, key, Change.UNCHANGED)


def first(frame: pl.DataFrame, key: str) -> pl.DataFrame:
    """What is said of each id: the first value of each column, since a blank says nothing."""
    # Ids whose hashes are alike without need are looked at once too often, and told apart below.
    once = frame.select(pl.col(key).is_not_null() & pl.col(key).hash().is_unique())[:, 0]
    if once.all():
        return frame
    several = frame.filter(~once & frame[key].is_not_null())
    told = several.group_by(key, maintain_order=True).agg(pl.exclude(key).drop_nulls().first())
    return pl.concat([frame.filter(once), told.select(frame.columns)])


def _whole(frame: pl.DataFrame, entity: Entity, key: str, change: Change) -> pl.DataFrame:
    none = pl.lit(None, pl.String)
    return frame.select(
        "row",
        pl.lit(entity.value).alias("entity"),
        pl.col(key).alias("id"),
        none.alias("header"),
        pl.lit(change.value).alias("change"),
        none.alias("value"),
        none.alias("previous"),
    )


def _nothing() -> pl.DataFrame:
    text = ("entity", "id", "header", "change", "value", "previous")
    return pl.DataFrame(schema={"row": pl.UInt32, **dict.fromkeys(text, pl.String)})


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
