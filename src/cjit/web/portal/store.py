"""The record store: what is held of an agency, as frames, and writing versions of it in bulk.

A row is a version of a record. `brought` is the acceptance it came with, `ended` the one that took its place (null:
it is current), `forgotten` the one by which its client withdrew consent (null: none did): such a row waits to be erased
or brought back, and is not held. Everything here works on whole frames; a million rows take one statement a table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar

import polars as pl
from django.db import DatabaseError, connection
from django.db.models import Count
from django.db.models.functions import Now

from cjit.dataset import Entity
from cjit.engine.table import column_type
from cjit.kinds import kinds_of
from cjit.web.agencies.models import Agency
from cjit.web.dataset import DATASET
from cjit.web.portal.models import RECORDS, Submission

_ROWS = 20_000
_Line = TypeVar("_Line")

#: What is held of an agency, a frame a kind of record (`held`).
Held = Mapping[Entity, pl.DataFrame]


def key_of(entity: Entity) -> str:
    """The header of an entity's id."""
    return DATASET.entity(entity)[0].header


def headers_of(entity: Entity) -> list[str]:
    """The columns of an entity's table: its id, the id of what it belongs to, its fields."""
    key, *rest = DATASET.entity(entity)
    parent = DATASET.parent(entity)
    return [key.header, *([parent.header] if parent else []), *(field.header for field in rest)]


# ---- reading ---------------------------------------------------------------------------------------


def held(
    agency: Agency, entity: Entity, on: datetime | None = None, kinds: Mapping[str, pl.DataType] | None = None
) -> pl.DataFrame:
    """The current records of an agency, or those known at a moment: `id` of the version, and its columns.

    What is known at a moment is what had been accepted by then; what was forgotten since is not known. Texts are
    text, or of the `kinds` given (`frames.repeating`).
    """
    where, params = "r.agency_id = %s AND r.forgotten_id IS NULL", [agency.pk]
    if on is None:
        where += " AND r.ended_id IS NULL"
    else:
        by_then = Submission.objects.filter(agency=agency, accepted__lte=on).values_list("pk", flat=True)
        known = ", ".join(map(str, by_then)) or "NULL"
        where += f" AND r.brought_id IN ({known}) AND (r.ended_id IS NULL OR r.ended_id NOT IN ({known}))"
    types = {h: _type_of(h, kinds or {}) for h in headers_of(entity)}
    return _select(
        f"{RECORDS[entity]._meta.db_table} r WHERE {where} ORDER BY r.id", params, {"id": pl.Int64()} | types
    )


def _type_of(header: str, kinds: Mapping[str, pl.DataType]) -> pl.DataType:
    own = column_type(kinds_of(DATASET)[header])
    return kinds.get(header, own) if own == pl.String() else own


def _select(source: str, params: list[int], types: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """Some columns of some rows. Either database writes them as CSV, which is read some rows at a time.

    A row's values never become objects of Python: for a million rows that would take most of the time.
    """
    parts = [pl.DataFrame(schema=dict(types))]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # Numbers of our own alone: what is copied out takes no parameters.
            columns = ", ".join(f'"{name}"' for name in types)
            where = source % tuple(map(int, params))
            with cursor.copy(f"COPY (SELECT {columns} FROM {where}) TO STDOUT (FORMAT csv)") as copy:
                # It hands over a row at a time.
                for lines in _some(iter(copy)):
                    parts.append(_read(b"".join(lines), types))
        else:
            cells = " || ',' || ".join(_cell(name, kind) for name, kind in types.items())
            cursor.execute(f"SELECT {cells} FROM {source}", params)
            while rows := cursor.fetchmany(_ROWS):
                parts.append(_read("\n".join(row for (row,) in rows).encode() + b"\n", types))
    return pl.concat(parts)


def _some(lines: Iterator[_Line]) -> Iterator[list[_Line]]:
    while some := list(islice(lines, _ROWS)):
        yield some


def _cell(name: str, kind: pl.DataType) -> str:
    """A column as SQLite is to write it in CSV: text in quotes, and of null nothing."""
    if kind.is_numeric() or kind == pl.Date:
        return f"""coalesce("{name}", '')"""
    return f"""coalesce('"' || replace("{name}", '"', '""') || '"', '')"""


def _read(data: bytes, types: Mapping[str, pl.DataType]) -> pl.DataFrame:
    return pl.read_csv(data, has_header=False, schema=dict(types), glob=False)


def whole(records: Held) -> pl.DataFrame | None:
    """What is held of each kind of record as `checking.records` would read it from one file. None where nothing is."""
    clients, episodes, referrals = (records[entity].drop("id") for entity in RECORDS)
    if clients.is_empty():
        return None
    client, episode = key_of(Entity.CLIENT), key_of(Entity.EPISODE)
    rows = clients.join(episodes, on=client, how="left", maintain_order="left").join(
        referrals, on=episode, how="left", maintain_order="left"
    )
    return rows.select(DATASET.headers)


# ---- writing ---------------------------------------------------------------------------------------


def bring(submission: Submission, entity: Entity, records: pl.DataFrame) -> int:
    """Add versions of records: `records` has the columns of the entity's table. Returns how many."""
    table = RECORDS[entity]._meta.db_table
    known = records.select(headers_of(entity)).with_columns(
        agency_id=pl.lit(submission.agency_id), brought_id=pl.lit(submission.pk)
    )
    _load(table, known)
    return known.height


def end(submission: Submission, entity: Entity, versions: pl.Series) -> int:
    """End versions of records, by their `id`. Returns how many."""
    if versions.is_empty():
        return 0
    table = RECORDS[entity]._meta.db_table
    with _listed(versions) as listed, connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table} SET ended_id = %s WHERE id IN (SELECT id FROM {listed})", [submission.pk])
        return int(cursor.rowcount)


def undo(submission: Submission) -> dict[str, int]:
    """Take back what an acceptance brought, open again what it ended, and hold again what it forgot.

    Returns the versions removed.
    """
    removed = {}
    for entity in reversed(RECORDS):
        rows = RECORDS[entity].objects
        removed[entity.value], _ = rows.filter(brought=submission).delete()
        rows.filter(ended=submission).update(ended=None)
        rows.filter(forgotten=submission).update(forgotten=None)
    # What belonged to a client erased since, and to another for a while, has nobody to belong to any more.
    for entity in (Entity.EPISODE, Entity.REFERRAL):
        parent = DATASET.parent(entity)
        assert parent is not None  # noqa: S101 - for the type checker
        table, above = (RECORDS[e]._meta.db_table for e in (entity, parent.entity))
        with connection.cursor() as cursor:
            cursor.execute(
                f"DELETE FROM {table} WHERE agency_id = %s AND forgotten_id IS NULL AND NOT EXISTS (SELECT 1 FROM"
                f" {above} a WHERE a.agency_id = %s AND a.forgotten_id IS NULL"
                f' AND a."{parent.header}" = {table}."{parent.header}")',
                [submission.agency_id, submission.agency_id],
            )
    return removed


def belonging(agency: Agency, clients: pl.Series) -> dict[Entity, pl.Series]:
    """The ids some clients and all that is or was theirs have, in any version, by kind."""
    found = {Entity.CLIENT: clients.cast(pl.String).drop_nulls().unique()}
    for entity in (Entity.EPISODE, Entity.REFERRAL):
        key, parent = key_of(entity), DATASET.parent(entity)
        assert parent is not None  # noqa: S101 - for the type checker
        table = RECORDS[entity]._meta.db_table
        types = {parent.header: pl.String(), key: pl.String()}
        rows = _select(f"{table} WHERE agency_id = %s", [agency.pk], types)
        found[entity] = rows.filter(pl.col(parent.header).is_in(found[parent.entity].implode()))[key].unique()
    return found


def forget(agency: Agency, clients: pl.Series, by: Submission | None = None) -> dict[str, int]:
    """Forget all versions of all records of some clients, by their ids. Returns how many, by entity.

    Forgotten `by` an acceptance they are held no more and wait (`waiting`); by none they are erased, and so is what of
    them waits.
    """
    if clients.is_empty():
        return {entity.value: 0 for entity in RECORDS}
    client, episode, referral = (RECORDS[entity]._meta.db_table for entity in RECORDS)
    one, two, _ = (key_of(entity) for entity in RECORDS)
    gone = {}
    held = " AND forgotten_id IS NULL" if by else ""
    with _listed(clients.cast(pl.String)) as listed, connection.cursor() as cursor:
        mine = f'agency_id = %s{held} AND "{one}" IN (SELECT id FROM {listed})'
        # A referral whose episode has gone to another client since is that client's. (Not "NOT IN": of a long list
        # PostgreSQL would look through the whole for each row.)
        below = (
            f'agency_id = %s{held} AND "{two}" IN (SELECT "{two}" FROM {episode} WHERE {mine})'
            f" AND NOT EXISTS (SELECT 1 FROM {episode} e WHERE e.agency_id = %s AND e.ended_id IS NULL{held}"
            f' AND e."{two}" = {referral}."{two}"'
            f' AND NOT EXISTS (SELECT 1 FROM {listed} l WHERE l.id = e."{one}"))'
        )
        for entity, table, where in (
            (Entity.REFERRAL, referral, below),
            (Entity.EPISODE, episode, mine),
            (Entity.CLIENT, client, mine),
        ):
            params = [agency.pk] * where.count("%s")
            # People are counted, not the versions of what was known of them.
            cursor.execute(f'SELECT count(DISTINCT "{key_of(entity)}") FROM {table} WHERE {where}', params)
            gone[entity.value] = int(cursor.fetchone()[0])
            if by:
                cursor.execute(f"UPDATE {table} SET forgotten_id = %s WHERE {where}", [by.pk, *params])
            else:
                cursor.execute(f"DELETE FROM {table} WHERE {where}", params)
    return gone


def waiting(submission: Submission) -> int:
    """How many clients whom an acceptance forgot can still be brought back, by the clock of the database."""
    some = RECORDS[Entity.CLIENT].objects.filter(forgotten=submission, forgotten__forget_until__gt=Now())
    return int(some.aggregate(n=Count(key_of(Entity.CLIENT), distinct=True))["n"])


def erase(submission: Submission) -> dict[Entity, list[str]]:
    """Delete what an acceptance forgot and is still there. Returns its ids, by kind."""
    gone = {}
    for entity in reversed(RECORDS):
        rows = RECORDS[entity].objects.filter(forgotten=submission)
        gone[entity] = list(rows.values_list(key_of(entity), flat=True).distinct())
        rows.delete()
    return gone


class _listed:  # noqa: N801 - read as `with _listed(ids) as table`
    """A temporary table `id` of values, for a statement that takes many at once."""

    def __init__(self, values: pl.Series) -> None:
        self.values = values

    def __enter__(self) -> str:
        kind = "BIGINT" if self.values.dtype.is_integer() else "TEXT"
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE TEMPORARY TABLE some_ids (id {kind} PRIMARY KEY)")
        _load("some_ids", pl.DataFrame({"id": self.values.unique().drop_nulls()}))
        if connection.vendor == "postgresql":
            # It would otherwise plan for a table of another size.
            with connection.cursor() as cursor:
                cursor.execute("ANALYZE some_ids")
        return "some_ids"

    def __exit__(self, kind: object, *_: object) -> None:
        # In a transaction that has failed there is nothing left to drop.
        if kind is None:
            with connection.cursor() as cursor:
                cursor.execute("DROP TABLE some_ids")


def _load(table: str, frame: pl.DataFrame) -> None:
    """Add rows in bulk: by COPY on PostgreSQL, by one prepared statement on SQLite."""
    if frame.is_empty():
        return
    names = ", ".join(f'"{c}"' for c in frame.columns)
    if connection.vendor == "postgresql":
        sql = f"COPY {table} ({names}) FROM STDIN (FORMAT csv)"
        with _without_values(), connection.cursor() as cursor, cursor.copy(sql) as copy:
            for some in frame.iter_slices(_ROWS):
                copy.write(some.write_csv(include_header=False))
        return
    marks = ", ".join(["?"] * frame.width)
    connection.ensure_connection()
    text = frame.with_columns(pl.col(pl.Date).dt.strftime("%Y-%m-%d"))
    # Django's own executemany would rewrite the statement for every row.
    with _without_values():
        connection.connection.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", _rows(text))


@contextmanager
def _without_values() -> Iterator[None]:
    """The database's errors as Django's, without the row they speak of: errors are logged."""
    try:
        with connection.wrap_database_errors:
            yield
    except DatabaseError as problem:
        raise type(problem)("a constraint of the record store does not hold") from None


def _rows(frame: pl.DataFrame) -> Iterator[tuple[Any, ...]]:
    for some in frame.iter_slices(_ROWS):
        yield from some.iter_rows()
