"""Frames of records held against those accepted before, by Polars: for large files and the service."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from cjit.dataset import Changes, Dataset, Entity, Field, Kind
from cjit.dates import Style
from cjit.engine.compare import OF_CLASS, Change


def compare(
    incoming: pl.DataFrame,
    held: pl.DataFrame,
    dataset: Dataset,
    *,
    unchanged: bool = False,
    rejected: pl.Series | None = None,
) -> pl.DataFrame:
    """Every record and value that differs.

    Both frames have the dataset's headers as typed columns (`checking.records`), one row an episode and referral;
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
        what = OF_CLASS[field.changes]
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
            plainly(field, pl.col("value")).cast(pl.String),
            plainly(field, pl.col("previous")).cast(pl.String),
        )
    if unchanged:
        yield _whole(now[here.filter(same)], entity, key, Change.UNCHANGED)


def plainly(field: Field, value: pl.Expr) -> pl.Expr:
    """A typed value of a field as text, as people are shown it."""
    match field.kind:
        case Kind.DATE:
            return value.dt.strftime(Style.SLASHED.form)
        case Kind.NUMBER:
            return value.cast(pl.String)
        case _:
            return value


def first(frame: pl.DataFrame, key: str) -> pl.DataFrame:
    """What is said of each id: the first value of each column, since a blank says nothing."""
    # Ids whose hashes are alike without need are looked at once too often, and told apart below.
    once = frame.select(pl.col(key).is_not_null() & pl.col(key).hash().is_unique())[:, 0]
    if once.all():
        return frame
    several = frame.filter(~once & frame[key].is_not_null())
    merged = several.group_by(key, maintain_order=True).agg(pl.exclude(key).drop_nulls().first())
    return pl.concat([frame.filter(once), merged.select(frame.columns)])


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
