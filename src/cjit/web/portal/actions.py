"""All that changes a submission or the record store: keyword-only, `by=` the actor, one transaction each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import BinaryIO, TypeVar

import polars as pl
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from cjit.dataset import Entity
from cjit.files.source import Unusable
from cjit.web import clock, kept
from cjit.web.agencies.actions import Refused
from cjit.web.agencies.audit import note
from cjit.web.agencies.models import Agency, Person
from cjit.web.portal import decisionfile, plan, result, store
from cjit.web.portal.decisionfile import allowed, one_of
from cjit.web.portal.models import OPEN, RECORDS, Choice, Decision, Scope, State, Submission

_Id = TypeVar("_Id", int, str)

#: States in which there is a result of which nothing is taken yet.
_CHECKED = (State.DECISIONS, State.READY, State.REJECTED)
#: States from which a submission may be taken back.
WITHDRAWABLE = (*OPEN, State.FAILED, State.REFUSED, State.REJECTED)

# ---- receive ---------------------------------------------------------------------------------------


def receive(*, by: Person, agency: Agency, file: BinaryIO, name: str, scope: str) -> Submission:
    """Keep a file as it is received, to be checked.

    The same file while it is still open is the same submission. Another one takes the place of what the agency has
    open, which is then superseded. An agency sends so many in an hour (the setting UPLOADS_AN_HOUR).
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
        kept.mend(submission, stored)
        kept.remove(stored)
        with suppress(Refused):
            # Where its findings are damaged. Otherwise it needs no other check.
            check_again(by=by, submission=submission)
    return submission


def _received(by: Person, agency: Agency, name: str, scope: str, stored: str, size: int, sha256: str) -> Submission:
    for _ in range(3):
        try:
            with transaction.atomic():
                Agency.objects.select_for_update(no_key=True).get(pk=agency.pk)
                waiting = Submission.objects.filter(agency=agency, state__in=OPEN)
                if same := waiting.filter(sha256=sha256, scope=scope).first():
                    return same
                _not_too_many(agency)
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


def _not_too_many(agency: Agency) -> None:
    """Refuse a file more of an agency that has sent as many in the last hour as are taken."""
    hour = timedelta(hours=1)
    most = settings.UPLOADS_AN_HOUR
    last = Submission.objects.filter(agency=agency, at__gt=timezone.now() - hour).order_by("-at")
    at = last.values_list("at", flat=True)[most - 1 : most].first()
    if at is not None:
        # The first minute in which one of them is an hour old.
        then = timezone.localtime(at + hour + timedelta(minutes=1))
        raise Refused(
            f"Your agency has sent {most:,} {'file' if most == 1 else 'files'} in the last hour, and more are not"
            f" taken: wait until {then:%H:%M} to send this one"
        )


def check_again(*, by: Person, submission: Submission) -> None:
    """Have a kept file checked once more: one whose check failed, or one whose findings are gone or damaged.

    What was decided of it is to be decided again. Attempts are not set back, as in `_check_again`.
    """
    with transaction.atomic():
        now = _locked(submission)
        if not now.stored:
            raise Refused(f"The file of {now.number} is no longer kept: send it again")
        if now.state in _CHECKED and result.is_whole(now):
            raise Refused(f"{now.number} is checked already: its result is here")
        if now.state not in (State.FAILED, *_CHECKED):
            raise Refused(f"{now.number} cannot be checked again, because it is {now.get_state_display().lower()}")
        other = Submission.objects.filter(agency=now.agency, state__in=OPEN).exclude(pk=now.pk).first()
        if other:
            raise Refused(f"{other.number} is open: accept or withdraw it, then have {now.number} checked again")
        now.state, now.problem, now.done, now.attempts_before = State.RECEIVED, "", 0, now.attempts
        now.save(update_fields=["state", "problem", "done", "attempts_before"])
        note("asked for another check", by=by, agency=now.agency, about=now.number)


def withdraw(*, by: Person, submission: Submission) -> None:
    """Take back a submission that is not accepted."""
    with transaction.atomic():
        now = _locked(submission)
        if now.state not in WITHDRAWABLE:
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
    """Decide mismatches and absent records, by the ids of their Decisions. Returns how many choices changed."""
    with transaction.atomic():
        now = _decidable(submission)
        ids: dict[str, list[int]] = {choice: [] for choice in Choice.values}
        known: dict[int, tuple[bool, str]] = {}
        for some in _few(list(choices)):
            told = now.decisions.filter(pk__in=some).values_list("pk", "absent", "choice")
            known |= {pk: (absent, choice) for pk, absent, choice in told}
        for pk, choice in choices.items():
            if pk not in known:
                raise Refused("One of the decisions is not of this submission: open the page again and choose anew")
            absent, before = known[pk]
            if choice not in allowed(absent=absent):
                raise Refused(f"Choose {one_of(allowed(absent=absent))} for each record")
            if choice != before:
                ids[choice].append(pk)
        at = timezone.now()
        for choice, changed in ids.items():
            for some in _few(changed):
                now.decisions.filter(pk__in=some).update(choice=choice, by=by, at=at)
        return _are_decided(now, by, {choice: len(changed) for choice, changed in ids.items()})


def decide_group(*, by: Person, submission: Submission, entity: str, pattern: str, choice: str, rest: bool) -> int:
    """Decide all records of a kind that have one pattern, or the `rest` of them that are not decided yet.

    Returns how many choices changed.
    """
    with transaction.atomic():
        now = _decidable(submission)
        group = now.decisions.filter(entity=entity, pattern=pattern)
        first = group.first()
        if first is None:
            raise Refused("These records are not of this submission: open the page again and choose anew")
        if choice not in allowed(absent=first.absent):
            raise Refused(f"Choose {one_of(allowed(absent=first.absent))} for these records")
        some = group.filter(choice="") if rest else group.exclude(choice=choice)
        return _are_decided(now, by, {choice: some.update(choice=choice, by=by, at=timezone.now())})


def _decidable(submission: Submission) -> Submission:
    now = _locked(submission)
    if now.state not in (State.DECISIONS, State.READY):
        raise Refused(f"Nothing can be decided of {now.number}, because it is {now.get_state_display().lower()}")
    return now


def _are_decided(submission: Submission, by: Person, counts: Mapping[str, int]) -> int:
    waiting = submission.decisions.filter(choice="").exists()
    _to(submission, State.DECISIONS if waiting else State.READY)
    told = {choice: count for choice, count in counts.items() if count}
    note("decided", by=by, agency=submission.agency, about=submission.number, counts=told)
    return sum(told.values())


def _few(ids: Sequence[_Id]) -> Iterator[Sequence[_Id]]:
    """So many ids at once as a query takes."""
    return (ids[start : start + 5_000] for start in range(0, len(ids), 5_000))


def decide_from(*, by: Person, submission: Submission, file: BinaryIO) -> tuple[int, int]:
    """Decide by a CSV file with a column `decision` (`decisionfile`).

    Returns how many choices changed, and how many lines were passed over because their rows are rejected.
    """
    try:
        decided = decisionfile.read(submission, file)
    except decisionfile.Unfit as problem:
        raise Refused(str(problem)) from None
    return decide(by=by, submission=submission, choices=decided.choices), decided.rejected


# ---- accept ----------------------------------------------------------------------------------------


class Miscounted(Refused):
    """Whoever accepts has not said how many clients that forgets."""


def accept(*, by: Person, submission: Submission, forget: int = 0) -> Submission:
    """Take a submission into the record store: all of it or none.

    `forget` is how many clients whoever accepts says are to be forgotten, so that nobody forgets one unawares. Accepted
    twice it changes nothing more. What waits for a decision is left out, and so are rejected rows. What is forgotten
    can be brought back for some hours (the setting FORGET_HOURS).
    """
    try:
        # Before anything is locked: it takes longest.
        read = plan.read(submission)
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
        planned = plan.made(now, read)
        if planned.nothing:
            raise Refused(f"{now.number} has no record that can be taken: correct the file and send it again")
        if planned.known.height != forget:
            raise Miscounted(
                "Enter how many clients are to be forgotten, as this page lists them: nothing has been accepted"
                if planned.known.height
                else "No client is to be forgotten any more, and nothing has been accepted: look at this page again"
            )
        # Whether they are held now or were once: all versions go.
        forgotten = store.forget(now.agency, planned.forget, by=now)
        for entity in RECORDS:
            store.end(now, entity, planned.end[entity])
            store.bring(now, entity, planned.bring[entity])
        now.state, now.accepted, now.accepted_by, now.receipt = State.ACCEPTED, timezone.now(), by, planned.receipt
        now.save(update_fields=["state", "accepted", "accepted_by", "receipt"])
        if any(forgotten.values()):
            # By the clock of the database, which is also asked when it is over.
            until = Now() + timedelta(hours=settings.FORGET_HOURS)
            Submission.objects.filter(pk=now.pk).update(forget_until=until)
            now.refresh_from_db(fields=["forget_until"])
        note("accepted a submission", by=by, agency=now.agency, about=now.number, counts=_flat(planned.receipt))
    return now


def _flat(receipt: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    return {f"{kind} {what}": n for kind, counts in receipt.items() for what, n in counts.items() if n}


# ---- undo and forget -------------------------------------------------------------------------------


def undo(*, by: Person, agency: Agency) -> Submission:
    """Undo the last acceptance of an agency. What it made the store forget is held again, unless its time is over."""
    with transaction.atomic():
        Agency.objects.select_for_update(no_key=True).get(pk=agency.pk)
        last = Submission.objects.filter(agency=agency, state=State.ACCEPTED).order_by("-accepted").first()
        if last is None:
            raise Refused("There is no acceptance to undo")
        back = store.waiting(last)
        if last.forget_until and not back:
            # No worker has come by yet.
            _erase(last)
        told = store.undo(last) | ({"clients brought back": back} if back else {})
        _check_again(agency)
        last.state, last.undone, last.forget_until = State.UNDONE, timezone.now(), None
        last.receipt = {**last.receipt, "undo": {"brought back": back}}
        last.save(update_fields=["state", "undone", "forget_until", "receipt"])
        note("undid an acceptance", by=by, agency=agency, about=last.number, counts=told)
        return last


def forget(*, by: Person | None, agency: Agency, clients: Sequence[str]) -> dict[str, int]:
    """Erase all versions of all records of some clients, by CLIENTID, and what waits for it. Returns counts by kind."""
    with transaction.atomic():
        Agency.objects.select_for_update(no_key=True).get(pk=agency.pk)
        some = pl.Series(clients, dtype=pl.String)
        _drop_decisions(agency, {entity: list(ids) for entity, ids in store.belonging(agency, some).items()})
        gone = store.forget(agency, some)
        _check_again(agency)
        note("forgot clients", by=by, agency=agency, counts=gone)
        return gone


def erase_forgotten() -> int:
    """Erase what was forgotten long enough ago, by the clock of the database. Returns of how many acceptances."""
    passed = Submission.objects.filter(forget_until__lte=Now())
    count = 0
    for submission in list(passed):
        with transaction.atomic():
            Agency.objects.select_for_update(no_key=True).get(pk=submission.agency_id)
            # It may be undone meanwhile.
            now = passed.filter(pk=submission.pk).select_for_update().first()
            if now is not None:
                _erase(now)
                count += 1
    return count


def _erase(submission: Submission) -> None:
    """Erase what an acceptance forgot, also where earlier decisions name it."""
    gone = store.erase(submission)
    _drop_decisions(submission.agency, gone, up_to=submission)
    submission.forget_until = None
    submission.save(update_fields=["forget_until"])
    counts = {entity.value: len(ids) for entity, ids in gone.items()}
    note("erased what was forgotten", by=None, agency=submission.agency, about=submission.number, counts=counts)


def _drop_decisions(agency: Agency, named: Mapping[Entity, Sequence[str]], up_to: Submission | None = None) -> None:
    """Delete the decisions of settled submissions, all or those `up_to` one, that name some records."""
    of = {"submission__agency": agency} | ({"submission__pk__lte": up_to.pk} if up_to else {})
    for entity, ids in named.items():
        for some in _few(ids):
            told = Decision.objects.filter(**of, entity=entity.value, record__in=some)
            told.exclude(submission__state__in=OPEN).delete()


def _check_again(agency: Agency) -> None:
    """Have what is open checked anew: it was held against what is no longer so.

    Attempts are not set back, since a worker that is checking now proves its claim by them.
    """
    open_ = Submission.objects.filter(agency=agency, state__in=OPEN)
    open_.update(state=State.RECEIVED, attempts_before=F("attempts"))


def remove_files(*, told: bool = False) -> int:
    """Remove the uploads of submissions that were settled long enough ago (the setting KEEP_DAYS). Returns how many.

    Where that would be too many at once none goes, unless `told` to (`clock.is_held_back`).
    """
    before = clock.database_now() - timedelta(days=settings.KEEP_DAYS)
    there = Submission.objects.exclude(stored="")
    old = there.exclude(state__in=OPEN).filter(at__lt=before).exclude(accepted__gte=before)
    if clock.is_held_back("uploads of settled submissions", old.count(), there.count(), told=told):
        return 0
    count = 0
    for submission in old:
        kept.remove(submission.stored)
        Submission.objects.filter(pk=submission.pk).update(stored="")
        submission.decisions.all().delete()
        note("removed a file", by=None, agency=submission.agency, about=submission.number)
        count += 1
    return count
