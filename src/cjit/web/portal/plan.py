"""What accepting a submission does, told before any of it is done: nothing here writes or locks.

`actions.accept` carries out the same plan that the page shows beforehand, so the receipt that is foreseen is the one
that is given, as long as nothing is decided or accepted in between.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl
from django.utils import timezone

from cjit import kinds
from cjit.conditions import Parameter, reads_parameter
from cjit.dataset import SUBMITTER, WITHDRAWN, WITHHELD, Changes, Entity, Severity
from cjit.engine import compare_frames
from cjit.engine.checking import records
from cjit.engine.columns import expression
from cjit.files.frames import repeating
from cjit.files.opening import open_file
from cjit.web import kept
from cjit.web.agencies.models import Agency
from cjit.web.dataset import DATASET
from cjit.web.portal import contested, result, store
from cjit.web.portal.models import RECORDS, Choice, Submission

CLIENT, EPISODE = store.key_of(Entity.CLIENT), store.key_of(Entity.EPISODE)

#: What holds a row against the agency that submits.
_SUBMITTER = next(rule for rule in DATASET.written if reads_parameter(rule.fails_when, Parameter.SUBMITTER))
#: By what an agency knows its client.
_REFERENCE = DATASET.by_header["CLIENT"].header

#: Ids in one question to the database.
_TOGETHER = 5_000


#: A closure is one answer in several cells (DISD, CJDISRSN): it is given whole or not at all.
CLOSURE = tuple(field.header for field in DATASET.fields if field.changes is Changes.FILLED_ONLY)
#: The rules that say that what was sent is no value of its field.
NO_VALUE = kinds.no_value_rules(DATASET)


@dataclass(frozen=True)
class File:
    """A submission's file as it is read.

    `sent` are its values (`checking.records`), `rejected` the numbers of its rejected rows. `bad` has the `row` and
    `header` of each cell whose text is no value of its field, `nameless` of each id for whose sake a row is rejected.
    `missing` are the headers whose column it does not have.
    """

    sent: pl.DataFrame
    rejected: pl.Series
    bad: pl.DataFrame
    nameless: pl.DataFrame
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What accepting a submission does.

    `forget` are the clients of whom nothing is kept, by CLIENTID; `known` those of them of whom something is, with
    their reference. By kind, `end` are the versions that end, by their `id`, and `bring` the records that are new or
    take their place. `receipt` counts all of it: by kind what becomes of the records (`new`, `changed`, `unchanged`,
    `left out` add up to those the file has), under `left_out` why something is left out, under `KEPT` how many held
    values of a field stay, and why. There is `nothing` in a
    file of which no row can be taken and which forgets nobody.
    """

    forget: pl.Series
    known: pl.DataFrame
    end: Mapping[Entity, pl.Series]
    bring: Mapping[Entity, pl.DataFrame]
    receipt: dict[str, dict[str, int]]
    nothing: bool


def foreseen(submission: Submission) -> Plan:
    """What accepting a submission would do now. Raises as `read` does."""
    return made(submission, read(submission))


def read(submission: Submission) -> File:
    """A submission's file and what the check found in it.

    Raises `kept.NotKept` where the file or its findings are gone or damaged, `Unusable` where it cannot be read.
    """
    with kept.opened(submission) as path:
        source = open_file(path, DATASET, submission.name)
        today = timezone.localdate(submission.checked or timezone.now())
        sent = records(source, DATASET, today=today, kinds=repeating(DATASET))
        source.assure()
    found = result.findings(submission, ("row", "header", "rule", "severity"))
    return of_findings(sent, found, source.missing)


def of_findings(sent: pl.DataFrame, found: pl.DataFrame, missing: tuple[str, ...]) -> File:
    """The values of a file (`checking.records`) with what was found: row, header, rule and severity, as text.

    `missing` are the columns that it does not have.
    """
    reject = pl.col("severity") == Severity.REJECT
    return File(
        sent,
        rejected=found.filter(reject)["row"].unique(),
        bad=found.filter(pl.col("rule").is_in(list(NO_VALUE))).select("row", "header"),
        nameless=found.filter(reject & pl.col("header").is_in([store.key_of(entity) for entity in RECORDS])).select(
            "row", "header"
        ),
        missing=missing,
    )


def made(submission: Submission, read: File) -> Plan:
    """The plan for a file that is read, by what is held and decided at this moment."""
    agency, sent, rejected = submission.agency, read.sent, read.rejected
    # What is held has the file's own types, in which a text that repeats is kept once.
    kinds = sent.schema
    forget = withdrawn(sent, agency)
    held_now = {entity: store.held(agency, entity, kinds=kinds) for entity in RECORDS}
    doubtful = contests(read, held_now, agency)
    unrejected = usable(sent, rejected, forget)
    good = unrejected.join(doubtful, on="row", how="anti")
    withdrawing = _withdrawing(sent, agency)
    theirs = known(agency, forget)
    held_here = withdrawing[CLIENT].is_in(theirs[CLIENT].implode())
    beside = usable(sent, rejected, forget.clear()).height - unrejected.height
    forgotten, gone = _forgotten(agency, forget)
    before = {entity: _without(held_now[entity], gone[entity]) for entity in RECORDS}
    file = {entity: _once(good, entity) for entity in RECORDS}
    deleted, waiting = _settled(submission, before, file)
    end, bring = {}, {}
    receipt: dict[str, dict[str, int]] = {}
    halves = {"half-given closures": 0, "half-given closures of closed episodes": 0}
    stays = nothing_kept()
    left = 0
    for entity in RECORDS:
        key = store.key_of(entity)
        waits = file[entity].filter(pl.col(key).is_in(waiting[entity].implode()))
        left += waits.height
        now = file[entity].join(waits, on=key, how="anti")
        half = half_closed(good, now) if entity is Entity.EPISODE else pl.Series([], dtype=pl.String)
        held = before[entity]
        removed = held.filter(pl.col(key).is_in(deleted[entity].implode()))
        kept_on = held.join(removed, on="id", how="anti")
        new = now.join(kept_on, on=key, how="anti")
        both = merged(now, kept_on, entity)
        count_kept(stays, both, entity, read)
        closed = both.filter(pl.col(key).is_in(half.implode()) & pl.any_horizontal(False, *_given(both)))
        halves["half-given closures"] += half.len() - closed.height
        halves["half-given closures of closed episodes"] += closed.height
        changed = both.filter("differs")
        end[entity] = pl.concat([removed["id"], changed["id"]])
        bring[entity] = pl.concat([new, changed.select(new.columns)])
        again = new.filter(pl.col(key).is_in(removed[key].implode())).height
        receipt[entity.value] = {
            "new": new.height - again,
            "changed": changed.height + again,
            "removed": removed.height - again,
            "forgotten": forgotten[entity],
            "unchanged": both.height - changed.height,
            "left out": _records(read, entity) - now.height,
        }
    receipt["left_out"] = {
        **_rejected(rejected, withdrawing["row"], foreign(sent, agency)),
        "rows of clients who withdraw": int(held_here.sum()) + beside,
        "rows of clients who withdraw and are not held": int((~held_here).sum()),
        **counted(doubtful, unrejected),
        "rows that say otherwise than a row above": overruled(good, file),
        "waiting for a decision": left,
        **halves,
    }
    return Plan(forget, theirs, end, bring, receipt | stays, nothing=good.is_empty() and theirs.is_empty())


# ---- the file --------------------------------------------------------------------------------------


def of_others(sent: pl.DataFrame, agency: Agency) -> pl.Series:
    """Which rows of a file have the code of another agency, as the rule on it reads it; a blank is none."""
    submitter = pl.lit(agency.code).alias(SUBMITTER)
    return sent.with_columns(submitter).select(expression(_SUBMITTER.fails_when.surely))[:, 0]


def foreign(sent: pl.DataFrame, agency: Agency) -> pl.Series:
    """The numbers of the rows that have the code of another agency."""
    return sent["row"].filter(of_others(sent, agency))


def _rejected(rejected: pl.Series, withdrawing: pl.Series, others: pl.Series) -> dict[str, int]:
    """How many rows are rejected: those to be corrected, and those of other agencies, which are not to be sent."""
    of_another = int(rejected.is_in(others.implode()).sum())
    mine = rejected.filter(~rejected.is_in(withdrawing.implode())).len() - of_another
    return {"rejected rows": mine, "rows of another agency": of_another}


def codes(sent: pl.DataFrame) -> list[str]:
    """The agency codes in a file, in capitals and in their order; other texts there as they are."""
    return sorted(sent[_SUBMITTER.header].drop_nulls().unique().str.to_uppercase().str.strip_chars().unique())


def withdrawn(sent: pl.DataFrame, agency: Agency) -> pl.Series:
    """The clients of an agency who withdraw consent, by CLIENTID: who says so on any row, whatever the others say."""
    return _withdrawing(sent, agency)[CLIENT].unique()


def _withdrawing(sent: pl.DataFrame, agency: Agency) -> pl.DataFrame:
    """The rows that say who withdraws: of these nothing is to be corrected and sent again."""
    return sent.filter(pl.col(WITHDRAWN) & ~of_others(sent, agency) & pl.col(CLIENT).is_not_null())


def contests(read: File, held: store.Held, agency: Agency) -> pl.DataFrame:
    """The rows of an agency of which it is doubtful whose they are, as `contested.rows` gives them."""
    own = read.sent.filter(~of_others(read.sent, agency))
    # What stands for an id and is none tells nobody from anybody.
    for header in read.nameless["header"].unique():
        rows = read.nameless.filter(pl.col("header") == header)["row"]
        own = own.with_columns(pl.when(~pl.col("row").is_in(rows.implode())).then(header).alias(header))
    return contested.rows(own, held)


def counted(doubtful: pl.DataFrame, unrejected: pl.DataFrame) -> dict[str, int]:
    """How many rows that could be taken otherwise are contested, by contest."""
    counts = doubtful.filter(pl.col("row").is_in(unrejected["row"].implode()))["contest"].value_counts()
    found = dict(counts.iter_rows())
    return {contest.value: found.get(contest.value, 0) for contest in contested.Contest}


def overruled(good: pl.DataFrame, file: Mapping[Entity, pl.DataFrame]) -> int:
    """How many rows say something else of a client, episode or referral than what is taken of it.

    That is what the first row says that has an answer. A blank says nothing else.
    """
    rows = closed_in_full(good)
    found = [rows["row"].clear()]
    for entity in RECORDS:
        key = store.key_of(entity)
        values = [h for h in _values(entity) if rows[h].n_unique() > 1]
        again = rows.filter(pl.col(key).is_duplicated() & pl.col(key).is_not_null())
        both = again.select("row", key, *values).join(file[entity].select(key, *values), on=key, suffix=" taken")
        found.append(both.filter(pl.any_horizontal(False, *(pl.col(h) != pl.col(f"{h} taken") for h in values)))["row"])
    return pl.concat(found).n_unique()


def usable(sent: pl.DataFrame, rejected: pl.Series, forget: pl.Series) -> pl.DataFrame:
    """The rows that can be taken where it is told whose they are: neither rejected, nor of a client who withdraws."""
    return sent.filter(
        ~pl.col(WITHHELD)
        & ~pl.col("row").is_in(rejected.implode())
        & ~pl.col(CLIENT).is_in(forget.implode()).fill_null(False)
    )


def _once(rows: pl.DataFrame, entity: Entity) -> pl.DataFrame:
    """What a file says of each record of a kind: the columns of its table."""
    return compare_frames.first(closed_in_full(rows).select(store.headers_of(entity)), store.key_of(entity))


def _records(read: File, entity: Entity) -> int:
    """How many records of a kind a file has, taken or not. Those without an id cannot be told apart: each counts.

    Of a withheld row only its ids are counted; whether it has a referral without an id is not known.
    """
    key, sent = store.key_of(entity), read.sent
    nameless = read.nameless.filter(pl.col("header") == key)["row"].unique()
    others = sent.filter(~pl.col("row").is_in(nameless.implode()))[key]
    blank = others.null_count() if entity is not Entity.REFERRAL else 0
    return nameless.len() + blank + others.drop_nulls().n_unique()


def closed_in_full(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with a whole closure or none, since half a closure is no answer."""
    return rows.with_columns(pl.when(~_half()).then(pl.col(CLOSURE)))


def half_closed(rows: pl.DataFrame, episodes: pl.DataFrame) -> pl.Series:
    """The ids of some episodes that have half a closure on their rows, and nowhere a whole one."""
    half = rows.filter(_half())[EPISODE].unique()
    return episodes.filter(pl.col(EPISODE).is_in(half.implode()) & pl.col(CLOSURE[0]).is_null())[EPISODE]


def _half() -> pl.Expr:
    given = pl.sum_horizontal(pl.col(CLOSURE).is_not_null())
    return (given > 0) & (given < len(CLOSURE))


# ---- beside what is held ---------------------------------------------------------------------------


def merged(now: pl.DataFrame, held: pl.DataFrame, entity: Entity) -> pl.DataFrame:
    """The records of a file that are held, as they are once it is accepted: a blank leaves what is held.

    Has the columns of `now`, `id` (the held version), `H before` of each value and `H sent`, and `differs`: whether
    anything is another than it was.
    """
    key = store.key_of(entity)
    values = _values(entity)
    both = now.join(held, on=key, how="inner", suffix=" before", maintain_order="left")
    return both.with_columns(
        *(pl.col(h).alias(f"{h} sent") for h in values),
        *(pl.coalesce(h, f"{h} before").alias(h) for h in values),
    ).with_columns(
        differs=pl.any_horizontal(pl.col(h).ne_missing(pl.col(f"{h} before")) for h in values),
    )


def _values(entity: Entity) -> list[str]:
    """What a record of a kind has beside its id."""
    return store.headers_of(entity)[1:]


def _stays(header: str) -> pl.Expr:
    """Where a held value stays that the file says nothing of."""
    return pl.col(f"{header} sent").is_null() & pl.col(f"{header} before").is_not_null()


def _given(both: pl.DataFrame) -> list[pl.Expr]:
    """Where the held record is closed."""
    return [pl.col(f"{h} before").is_not_null() for h in CLOSURE if f"{h} before" in both.columns]


#: Why a held value stays: the cell is blank, there is no column, half of a closure stands there, or no value does.
KEPT = ("kept", "kept, no column", "kept, half a closure", "kept, no value")


def nothing_kept() -> dict[str, dict[str, int]]:
    """To count held values that stay in, by field (`count_kept`)."""
    return {why: {} for why in KEPT}


def count_kept(stays: Mapping[str, dict[str, int]], both: pl.DataFrame, entity: Entity, read: File) -> None:
    """Add to `stays` (`KEPT`) how many held values of each field stay. `both` are records as `merged` gives them."""
    key = store.key_of(entity)
    counts = both.select(_stays(h).sum().alias(h) for h in _values(entity)).row(0, named=True)
    half = (
        read.sent.filter(_half())[key].unique() if any(counts.get(h) for h in CLOSURE) else pl.Series(dtype=pl.String)
    )
    for header, count in counts.items():
        if not count:
            continue
        left = both.filter(_stays(header))[key]
        rows = read.bad.filter(pl.col("header") == header)["row"]
        ids = read.sent.filter(pl.col("row").is_in(rows.implode()))[key]
        found = dict.fromkeys(KEPT, 0)
        if header in read.missing:
            found["kept, no column"] = left.len()
        else:
            halves = (
                left.is_in(half.implode()) if header in CLOSURE else pl.Series([False]).new_from_index(0, left.len())
            )
            found["kept, half a closure"] = int(halves.sum())
            found["kept, no value"] = int((left.is_in(ids.implode()) & ~halves).sum())
            found["kept"] = left.len() - found["kept, half a closure"] - found["kept, no value"]
        for why, number in found.items():
            if number:
                stays[why][header] = number


# ---- what is forgotten -----------------------------------------------------------------------------


def known(agency: Agency, clients: pl.Series) -> pl.DataFrame:
    """Those of some clients of whom any version is held, by CLIENTID, with the last reference they had (CLIENT)."""
    told: dict[str, str | None] = {}
    for some in clients.unique().to_frame().iter_slices(_TOGETHER):
        versions = RECORDS[Entity.CLIENT].objects.filter(
            agency=agency, forgotten=None, **{f"{CLIENT}__in": some.to_series().to_list()}
        )
        told |= dict(versions.order_by("pk").values_list(CLIENT, _REFERENCE))
    schema = {CLIENT: pl.String, _REFERENCE: pl.String}
    return pl.DataFrame(list(told.items()), schema=schema, orient="row").sort(_REFERENCE, CLIENT, nulls_last=True)


def _forgotten(agency: Agency, clients: pl.Series) -> tuple[dict[Entity, int], dict[Entity, pl.Series]]:
    """What `store.forget` forgets of some clients: how many ever held, by kind, and whose records those are.

    The latter are ids, under the header they stand below: clients and episodes go with their client, referrals with
    their episode unless that is another client's now.
    """
    mine = _ever(agency, Entity.EPISODE, CLIENT, clients)
    others = _ever(agency, Entity.EPISODE, EPISODE, mine[EPISODE], ended=None)
    others = others.filter(~pl.col(CLIENT).is_in(clients.implode()))
    alone = mine.join(others, on=EPISODE, how="anti")[EPISODE].unique()
    ever = {
        Entity.CLIENT: _ever(agency, Entity.CLIENT, CLIENT, clients),
        Entity.EPISODE: mine,
        Entity.REFERRAL: _ever(agency, Entity.REFERRAL, EPISODE, alone),
    }
    counts = {entity: rows[store.key_of(entity)].n_unique() for entity, rows in ever.items()}
    return counts, {Entity.CLIENT: clients, Entity.EPISODE: clients, Entity.REFERRAL: alone}


def _ever(agency: Agency, entity: Entity, header: str, ids: pl.Series, **of: None) -> pl.DataFrame:
    """The ids of records of a kind, and of what they belong to, in the versions (`of` some) with some ids."""
    parent = DATASET.parent(entity)
    columns = [*([parent.header] if parent else []), store.key_of(entity)]
    rows: list[tuple[str, ...]] = []
    for some in ids.unique().to_frame().iter_slices(_TOGETHER):
        asked = RECORDS[entity].objects.filter(
            agency=agency, forgotten=None, **of, **{f"{header}__in": some.to_series().to_list()}
        )
        rows += asked.values_list(*columns).distinct()
    return pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String), orient="row")


def _without(held: pl.DataFrame, gone: pl.Series) -> pl.DataFrame:
    """What is held less what has one of some ids, under the header the ids are named by."""
    return held if gone.is_empty() else held.filter(~pl.col(gone.name).is_in(gone.implode()))


# ---- what was decided ------------------------------------------------------------------------------


def _settled(
    submission: Submission, before: Mapping[Entity, pl.DataFrame], file: Mapping[Entity, pl.DataFrame]
) -> tuple[dict[Entity, pl.Series], dict[Entity, pl.Series]]:
    """The ids of the records that are deleted, and of those that wait, by kind; what is not decided waits.

    What belongs to a record goes or waits with it. What is to give way to a record of the file stays where that
    record is not taken: because its row is rejected, or because it waits itself.
    """
    chosen: dict[tuple[Entity, bool], list[str]] = {(entity, gone): [] for entity in RECORDS for gone in (True, False)}
    ids = {entity: set(rows[store.key_of(entity)]) for entity, rows in file.items()}
    for kind, record, choice, absent in submission.decisions.values_list("entity", "record", "choice", "absent"):
        entity = Entity(kind)
        if choice == Choice.DELETE and (absent or record in ids[entity]):
            chosen[entity, True].append(record)
        elif choice in ("", Choice.LATER) and not absent:
            chosen[entity, False].append(record)
    deleted: dict[Entity, pl.Series] = {}
    waiting: dict[Entity, pl.Series] = {}
    for entity in RECORDS:
        gone = pl.Series(chosen[entity, True], dtype=pl.String)
        waits = pl.Series(chosen[entity, False], dtype=pl.String)
        if parent := DATASET.parent(entity):
            key = store.key_of(entity)
            with_it = _of(before[entity], parent.header, deleted[parent.entity], key)
            beside_it = _of(file[entity], parent.header, waiting[parent.entity], key)
            gone = pl.concat([gone.filter(~gone.is_in(beside_it.implode())), with_it])
            waits = pl.concat([waits.filter(~waits.is_in(with_it.implode())), beside_it])
        deleted[entity], waiting[entity] = gone.unique(), waits.unique()
    return deleted, waiting


def _of(rows: pl.DataFrame, parent: str, ids: pl.Series, key: str) -> pl.Series:
    """The ids of the records that belong to some others."""
    return rows.filter(pl.col(parent).is_in(ids.implode()))[key]
