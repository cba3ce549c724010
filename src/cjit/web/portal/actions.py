"""All that changes a submission or the record store: keyword-only, `by=` the actor, one transaction each."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import BinaryIO

import polars as pl
from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from cjit import compare
from cjit.check import records
from cjit.dataset import WITHHELD, Entity, Severity
from cjit.datasets.q import Q as DATASET
from cjit.read import Unusable, open_file
from cjit.web.agencies.audit import note
from cjit.web.agencies.models import Agency, Person
from cjit.web.portal import kept, result, store
from cjit.web.portal.models import OPEN, RECORDS, Choice, Decision, Scope, State, Submission

CLIENT, EPISODE = store.key_of(Entity.CLIENT), store.key_of(Entity.EPISODE)


#: The largest decision file taken, in bytes.
_DECISION_FILE = 20_000_000


class Refused(ValueError):  # noqa: N818 - a slip of the user's, told in one sentence
    """What was asked cannot be done. The text is one sentence that says why and what to do."""


# ---- receive ---------------------------------------------------------------------------------------


def receive(*, by: Person, agency: Agency, file: BinaryIO, name: str, scope: str) -> Submission:
    """Keep a file as it is received, to be checked.

    The same file while it is still open is the same submission. Another one takes the place of what the agency has
    open, which is then superseded.
    """
    if scope not in Scope.values:
        raise Refused("Select whether the file has all your records or only new and changed ones")
    if not file.read(1):
        raise Refused("The file is empty: make the extract again and check that it has records")
    file.seek(0)
    try:
        stored, size, sha256 = kept.keep(file)
    except kept.NotKept as problem:
        raise Refused(str(problem)) from None
    try:
        submission = _received(by, agency, name, scope, stored, size, sha256)
    except BaseException:
        kept.remove(stored)
        raise
    if submission.stored != stored:
        kept.remove(stored)
    return submission


def _received(by: Person, agency: Agency, name: str, scope: str, stored: str, size: int, sha256: str) -> Submission:
    for _ in range(3):
        try:
            with transaction.atomic():
                Agency.objects.select_for_update(no_key=True).get(pk=agency.pk)
                waiting = Submission.objects.filter(agency=agency, state__in=OPEN)
                if same := waiting.filter(sha256=sha256, scope=scope).first():
                    return same
                superseded = waiting.update(state=State.SUPERSEDED)
                made = Submission.objects.create(
                    agency=agency, by=by, name=name[-255:], scope=scope, stored=stored, size=size, sha256=sha256
                )
                note(
                    "sent a file",
                    by=by,
                    agency=agency,
                    about=made.number,
                    counts={"bytes": size, "superseded": superseded},
                )
                return made
        except IntegrityError:
            # Two files of one agency at the same moment: the other one was first.
            continue
    raise Refused("Another file of your agency was sent at the same moment: look at it, then send yours again")


def withdraw(*, by: Person, submission: Submission) -> None:
    """Take back a submission that is not accepted."""
    with transaction.atomic():
        now = _locked(submission)
        if now.state not in (*OPEN, State.FAILED, State.REFUSED):
            raise Refused(f"{now.number} cannot be withdrawn, because it is {now.get_state_display().lower()}")
        _to(now, State.WITHDRAWN)
        note("withdrew a submission", by=by, agency=now.agency, about=now.number)


def _locked(submission: Submission) -> Submission:
    """A submission as it is now, kept from anybody else until the transaction ends, with its agency."""
    Agency.objects.select_for_update(no_key=True).get(pk=submission.agency_id)
    return Submission.objects.select_for_update().get(pk=submission.pk)


def _to(submission: Submission, state: State) -> None:
    submission.state = state
    submission.save(update_fields=["state"])


# ---- decide ----------------------------------------------------------------------------------------


def decide(*, by: Person, submission: Submission, choices: Mapping[int, str]) -> int:
    """Decide mismatches and absent records, by the ids of their Decisions. Returns how many."""
    with transaction.atomic():
        now = _locked(submission)
        if now.state not in (State.DECISIONS, State.READY):
            raise Refused(f"Nothing can be decided of {now.number}, because it is {now.get_state_display().lower()}")
        at = timezone.now()
        wanted = list(choices)
        known = {
            d.pk: d
            for start in range(0, len(wanted), 5_000)
            for d in now.decisions.filter(pk__in=wanted[start : start + 5_000])
        }
        changed = []
        for pk, choice in choices.items():
            decision = known.get(pk)
            if decision is None:
                raise Refused("One of the decisions is not of this submission: open the page again and choose anew")
            if choice not in allowed(decision):
                raise Refused(f"Choose {_or(allowed(decision))} for each record")
            if decision.choice != choice:
                decision.choice, decision.by, decision.at = choice, by, at
                changed.append(decision)
        for choice in Choice.values:
            ids = [d.pk for d in changed if d.choice == choice]
            for start in range(0, len(ids), 5_000):
                now.decisions.filter(pk__in=ids[start : start + 5_000]).update(choice=choice, by=by, at=at)
        waiting = now.decisions.filter(choice="").exists()
        _to(now, State.DECISIONS if waiting else State.READY)
        counts = {c: sum(d.choice == c for d in changed) for c in Choice.values}
        note("decided", by=by, agency=now.agency, about=now.number, counts={c: n for c, n in counts.items() if n})
        return len(changed)


def allowed(decision: Decision) -> tuple[str, ...]:
    """What may be chosen of a mismatch, or of an absent record."""
    if decision.absent:
        return Choice.KEEP, Choice.DELETE, Choice.LATER
    return Choice.REPLACE, Choice.DELETE, Choice.LATER


def _or(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} or {last}"


def decide_from(*, by: Person, submission: Submission, file: BinaryIO) -> int:
    """Decide by a file: the findings as CSV with a column `decision` (replace, delete, keep, later).

    A record with several findings needs its decision at one of them; two different ones are refused.
    """
    try:
        data = file.read(_DECISION_FILE + 1)
        if len(data) > _DECISION_FILE:
            raise Refused("The decision file is larger than 20 MB: keep only the lines that decide something")
        text = data.decode("utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error):
        raise Refused("The decision file cannot be read: save it as “CSV UTF-8 (comma delimited)”") from None
    if not rows or not {"decision", "header", CLIENT, EPISODE} <= set(rows[0]):
        raise Refused(
            f"The decision file must have the columns header, {CLIENT}, {EPISODE} and decision: start from the findings"
            " as CSV and add a column called decision"
        )
    known = {(d.entity, d.record): d.pk for d in submission.decisions.all()}
    choices: dict[int, str] = {}
    for number, row in enumerate(rows, 2):
        choice = (row["decision"] or "").strip().lower()
        field = DATASET.by_header.get(row["header"] or "")
        if not choice or field is None:
            continue
        record = row[CLIENT] if field.entity is Entity.CLIENT else row[EPISODE]
        # A spreadsheet is kept from taking an id for a formula by an apostrophe, which may be the id's own.
        said = record or ""
        pk = known.get((field.entity.value, said)) or known.get((field.entity.value, said.removeprefix("'")))
        if pk is None:
            raise Refused(f"Row {number} of the decision file decides a record that has nothing to be decided")
        if choices.setdefault(pk, choice) != choice:
            raise Refused(f"Row {number} of the decision file decides a record otherwise than an earlier row")
        if choice not in Choice.values:
            raise Refused(f"Row {number} of the decision file must say {_or(Choice.values)}")
    return decide(by=by, submission=submission, choices=choices)


# ---- accept ----------------------------------------------------------------------------------------


def accept(*, by: Person, submission: Submission) -> Submission:
    """Take a submission into the record store: all of it or none.

    Accepted twice it changes nothing more. What waits for a decision is left out, and so are rejected rows.
    """
    try:
        with kept.opened(submission) as path:
            source = open_file(path, DATASET, submission.name)
            sent = records(source, DATASET, today=timezone.localdate(submission.checked or timezone.now()))
            source.assure()
        found = result.findings(submission)
        if kept.read(submission, kept.FINDINGS) is None:
            # Without them nobody knows which rows are rejected.
            raise kept.NotKept("The findings of this file are no longer kept: send it again")
    except (Unusable, kept.NotKept) as problem:
        now = Submission.objects.get(pk=submission.pk)
        if now.state == State.ACCEPTED:
            return now
        raise Refused(str(problem)) from None
    with transaction.atomic():
        now = _locked(submission)
        if now.state == State.ACCEPTED:
            return now
        if now.state not in (State.DECISIONS, State.READY):
            raise Refused(f"{now.number} cannot be accepted, because it is {now.get_state_display().lower()}")
        receipt = _taken(now, sent, found)
        now.state, now.accepted, now.accepted_by, now.receipt = State.ACCEPTED, timezone.now(), by, receipt
        now.save(update_fields=["state", "accepted", "accepted_by", "receipt"])
        note("accepted a submission", by=by, agency=now.agency, about=now.number, counts=_flat(receipt))
    return now


def _flat(receipt: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    return {f"{kind} {what}": n for kind, counts in receipt.items() for what, n in counts.items() if n}


def _taken(submission: Submission, sent: pl.DataFrame, found: pl.DataFrame) -> dict[str, dict[str, int]]:
    """Write what a submission brings. Returns its receipt."""
    agency = submission.agency
    withheld = sent.filter(pl.col(WITHHELD))[CLIENT].drop_nulls().unique()
    rejected = found.filter(pl.col("severity") == Severity.REJECT)["row"].unique()
    # One who withholds consent on any row is forgotten, whatever the others say.
    good = sent.filter(
        ~pl.col(WITHHELD)
        & ~pl.col("row").is_in(rejected.implode())
        & ~pl.col(CLIENT).is_in(withheld.implode()).fill_null(False)
    )
    # Whether they are held now or were once: all versions go.
    forgotten = _forgotten(agency, withheld)
    before = {entity: store.held(agency, entity) for entity in RECORDS}
    file = {entity: _once(good, entity) for entity in RECORDS}
    deleted, waiting = _settled(submission, before, file)
    receipt: dict[str, dict[str, int]] = {}
    half = left = 0
    for entity in RECORDS:
        key = store.key_of(entity)
        now = file[entity]
        waits = now.filter(pl.col(key).is_in(waiting[entity].implode()))
        left += waits.height
        now = now.join(waits, on=key, how="anti")
        now, halves = _closed_in_full(now)
        half += halves
        held = before[entity]
        removed = held.filter(pl.col(key).is_in(deleted[entity].implode()))
        kept_on = held.join(removed, on="id", how="anti")
        new = now.join(kept_on, on=key, how="anti")
        both = now.join(kept_on, on=key, how="inner", suffix=" before")
        values = [h for h in store.headers_of(entity) if h != key]
        differs = pl.any_horizontal(pl.col(h).ne_missing(pl.col(f"{h} before")) for h in values)
        changed = both.filter(differs)
        store.end(submission, entity, pl.concat([removed["id"], changed["id"]]))
        store.bring(submission, entity, pl.concat([new, changed.select(new.columns)]))
        again = new.filter(pl.col(key).is_in(removed[key].implode())).height
        receipt[entity.value] = {
            "new": new.height - again,
            "changed": changed.height + again,
            "removed": removed.height - again,
            "forgotten": forgotten[entity.value],
        }
    receipt["left_out"] = {
        "rejected rows": rejected.len(),
        "waiting for a decision": left,
        "half-given closures": half,
    }
    return receipt


def _once(rows: pl.DataFrame, entity: Entity) -> pl.DataFrame:
    """What a file says of each record of a kind: the columns of its table."""
    return compare.first(rows.select(store.headers_of(entity)), store.key_of(entity))


def _closed_in_full(records: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """Episodes with both or neither of closure date and reason: half a closure is none yet."""
    if "DISD" not in records.columns:
        return records, 0
    half = pl.col("DISD").is_null() != pl.col("CJDISRSN").is_null()
    count = int(records.select(half.sum()).item())
    return records.with_columns(pl.when(~half).then(pl.col("DISD", "CJDISRSN"))), count


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


# ---- undo and forget -------------------------------------------------------------------------------


def undo(*, by: Person, agency: Agency) -> Submission:
    """Undo the last acceptance of an agency. What it made the store forget stays forgotten."""
    with transaction.atomic():
        Agency.objects.select_for_update(no_key=True).get(pk=agency.pk)
        last = Submission.objects.filter(agency=agency, state=State.ACCEPTED).order_by("-accepted").first()
        if last is None:
            raise Refused("There is no acceptance to undo")
        removed = store.undo(last)
        _check_again(agency)
        last.state, last.undone = State.UNDONE, timezone.now()
        last.save(update_fields=["state", "undone"])
        note("undid an acceptance", by=by, agency=agency, about=last.number, counts=removed)
        return last


def forget(*, by: Person | None, agency: Agency, clients: Sequence[str]) -> dict[str, int]:
    """Delete all versions of all records of some clients, by CLIENTID. Returns counts by entity."""
    with transaction.atomic():
        Agency.objects.select_for_update(no_key=True).get(pk=agency.pk)
        gone = _forgotten(agency, pl.Series(clients, dtype=pl.String))
        _check_again(agency)
        note("forgot clients", by=by, agency=agency, counts=gone)
        return gone


def _forgotten(agency: Agency, clients: pl.Series) -> dict[str, int]:
    """Forget some clients, also where earlier decisions name them or what is theirs. Returns how many, by kind."""
    named = store.belonging(agency, clients)
    for entity, ids in named.items():
        for some in ids.to_frame().iter_slices(5_000):
            Decision.objects.filter(
                submission__agency=agency, entity=entity.value, record__in=some.to_series().to_list()
            ).exclude(submission__state__in=OPEN).delete()
    return store.forget(agency, clients)


def _check_again(agency: Agency) -> None:
    """Have what is open checked anew: it was held against what is no longer so.

    Attempts are not set back, since a worker that is checking now proves its claim by them.
    """
    Submission.objects.filter(agency=agency, state__in=OPEN).update(state=State.RECEIVED)


def remove_files() -> int:
    """Remove the uploads of submissions that were settled long enough ago (the setting KEEP_DAYS). Returns how many."""
    before = timezone.now() - timedelta(days=settings.KEEP_DAYS)
    settled = Submission.objects.exclude(stored="").exclude(state__in=OPEN).filter(at__lt=before)
    count = 0
    for submission in settled.exclude(accepted__gte=before):
        kept.remove(submission.stored)
        Submission.objects.filter(pk=submission.pk).update(stored="")
        submission.decisions.all().delete()
        note("removed a file", by=None, agency=submission.agency, about=submission.number)
        count += 1
    return count
