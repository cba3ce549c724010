"""What a worker does for a caseload: checks an extract and makes it, reads a file and imports it.

The one place at which the caseload hands something to the portal: a file, as anybody else would send it.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import time
from dataclasses import asdict
from typing import Any

from django.db import transaction
from django.utils import timezone

from cjit.files.source import Unusable
from cjit.web import kept
from cjit.web.agencies.access import manages, submits_for
from cjit.web.agencies.actions import Refused
from cjit.web.agencies.models import Agency, Person
from cjit.web.caseload import actions, arriving, leaving
from cjit.web.caseload.arriving import Arrived, Imported
from cjit.web.caseload.leaving import Made
from cjit.web.caseload.models import Extract, Import, Stage
from cjit.web.caseload.record import YES
from cjit.web.jobs import Claim, Lost, Queue
from cjit.web.portal import actions as portal

#: The files of an extract: what is sent, the same with labels, and the ids of what is marked when it is made.
FILE, LABELS, MARKS = "extract.csv", "labels.csv", "marks.json"
#: Seconds between two parts of an import: with SQLite others have their turn only while nobody writes.
PAUSE = 0.12
#: How many episodes are listed that would be rejected or were left out.
LISTED = 50


# ---- an extract ------------------------------------------------------------------------------------


class NotTaken(Refused):
    """The portal does not take an extract now. The sentence says what to do."""


def facts(made: Made, data: bytes) -> dict[str, Any]:
    """What is kept of an extract that was put together, but its files (`data`): the values of an `Extract` by field."""
    told = made.extracted.rejected or made.extracted.left_out
    some = list(told.items())[:LISTED]
    found = {
        "empty": made.empty,
        "blocked": made.extracted.blocked,
        "rejects": len(told),
        "rules": {episode: [rule.id for rule in rules] for episode, rules in some},
        "later": made.later,
        "held": made.held,
        "consents": leaving.consents(made.agency),
    }
    return {
        "at": made.at,
        "name": made.name()[:255],
        "sha256": hashlib.sha256(data).hexdigest(),
        "counts": made.counts,
        "found": found,
    }


def _check_extract(claim: Claim[Extract]) -> None:
    asked = claim.job
    made = leaving.make(asked.agency, until=asked.until, since=asked.since, leave_out=asked.leave_out)
    data = made.data()
    # Each attempt has files of its own: a worker that was taken for dead writes nothing over what another has settled.
    kept.write(asked, _file(asked.attempts, FILE), data)
    kept.write(asked, _file(asked.attempts, LABELS), made.data(labels=True))
    kept.write(asked, _file(asked.attempts, MARKS), json.dumps(_marks(made)).encode())
    try:
        claim.settle(state=Stage.CHECKED, problem="", attempt=asked.attempts, **facts(made, data))
    except Lost:
        if not Extract.objects.filter(pk=asked.pk, stored=asked.stored).exists():
            kept.remove(asked.stored)
        raise


def _make_extract(claim: Claim[Extract]) -> None:
    by, agency = claim.job.by, claim.job.agency
    _still_manages(by, agency)
    data = read(claim.job, FILE)
    marks, consenting = json.loads(read(claim.job, MARKS)), _consenting(data)
    try:
        with transaction.atomic():
            now = actions.record_extract(extract=claim.locked(), consenting=consenting, **marks)
            if now.to_portal:
                # Last: of what is received and not marked, nobody would tell later that consent was withdrawn.
                now.submission = _send(now, data)
                # There it is kept. A file to be downloaded stays here for a day.
                stored, now.stored = now.stored, ""
                now.save(update_fields=["submission", "stored"])
                transaction.on_commit(lambda: kept.remove(stored))
    except NotTaken as problem:
        claim.settle(state=Stage.CHECKED, problem=str(problem))


def _send(extract: Extract, data: bytes) -> str:
    """Hand an extract to the portal. Returns the number it has there; raises `NotTaken`."""
    by, agency = extract.by, extract.agency
    if by is None or not submits_for(by).filter(pk=agency.pk).exists():
        raise NotTaken("Only a provider user sends files of the agency: make the file and download it instead")
    try:
        return portal.receive(
            by=by, agency=agency, file=io.BytesIO(data), name=extract.name, scope=extract.scope
        ).number
    except Refused as problem:
        raise NotTaken(str(problem)) from None


def _still_manages(by: Person | None, agency: Agency) -> None:
    if by is None or not by.is_active or not manages(by).filter(pk=agency.pk).exists():
        raise Refused("Whoever ordered this does not manage the agency any more: begin it again")


def record(made: Made, data: bytes, *, by: Person | None = None) -> Extract:
    """Keep that an extract was made without a worker, by default on the service's own command line."""
    extract = Extract(
        agency=made.agency, by=by, until=made.until, scope=made.scope, since=made.since, **facts(made, data)
    )
    return actions.record_extract(extract=extract, consenting=_consenting(data), **_marks(made))


def _marks(made: Made) -> dict[str, Any]:
    return {"first": made.first, "left_out": list(made.extracted.left_out)}


def to_download(extract: Extract, name: str) -> bytes:
    """A file of an extract. Raises `Refused` where it is gone or damaged, or somebody in it withdrew consent since."""
    gone = leaving.withdrawn_since(extract.agency, extract.at)
    if gone and not gone.isdisjoint(_consenting(read(extract, FILE))):
        raise Refused(
            "Somebody in this extract has withdrawn consent since, so its file is not given out: make another, and do"
            " not send this one if you have it"
        )
    return read(extract, name)


def read(extract: Extract, name: str) -> bytes:
    """A file of an extract. Raises `Refused` where it is gone or damaged."""
    try:
        return kept.read(extract, _file(extract.attempt, name))
    except kept.NotKept:
        raise Refused("The file of this extract is not kept any more: check it again") from None


def _file(attempt: int, name: str) -> str:
    return f"{attempt} {name}"


def _consenting(data: bytes) -> frozenset[str]:
    """The CLIENTIDs of the clients who consent in an extract's file."""
    sent = csv.DictReader(io.StringIO(data.decode(), newline=""))
    return frozenset(row["CLIENTID"] for row in sent if row["CONSENT"] == YES)


# ---- an import -------------------------------------------------------------------------------------


def _check_import(claim: Claim[Import]) -> None:
    arrived = _read(claim.job)
    clients = len(arrived.clients)
    arriving.only_new(arrived, claim.job.agency)
    claim.settle(state=Stage.CHECKED, problem="", size=clients, counts=asdict(arrived.done))


def _make_import(claim: Claim[Import]) -> None:
    job = claim.job
    _still_manages(job.by, job.agency)
    arrived = _read(job)
    parts = list(arriving.in_parts(arrived))
    # A worker that died may have put in some parts: what is counted of them, the job has.
    brought = job.counts.get("parts", 0)
    done = Imported(**{what: number for what, number in job.counts.items() if what != "parts"})
    claim.settle(done=sum(len(each.clients) for each in parts[:brought]))
    for number, part in enumerate(parts[brought:], brought + 1):
        with transaction.atomic():
            now = claim.locked()
            done += actions.bring_in(by=now.by, agency=now.agency, part=part)
            now.counts = asdict(done) | {"parts": number}
            now.done = sum(len(each.clients) for each in parts[:number])
            now.save(update_fields=["counts", "done"])
        time.sleep(PAUSE)
    claim.settle(state=Stage.MADE, problem="", made=timezone.now(), counts=asdict(done), stored="")
    kept.remove(job.stored)


def _read(job: Import) -> Arrived:
    try:
        with kept.opened(job) as path:
            return arriving.read(
                path,
                job.name,
                agency=job.agency,
                now=timezone.now(),
                today=timezone.localdate(),
                counted_from=job.counted_from,
            )
    except kept.NotKept:
        raise Refused("The file is not kept any more: choose it again") from None
    except Unusable as problem:
        raise Refused(str(problem)) from None


# ---- what waits ------------------------------------------------------------------------------------

_AGAIN = "and where that fails too tell whoever runs the service"
QUEUES = (
    Queue(
        Extract,
        Stage.ORDERED,
        Stage.MAKING,
        Stage.FAILED,
        _make_extract,
        broken=f"The extract could not be made because of a fault of this service: check it again, {_AGAIN}",
        stopped=f"The extract was stopped several times before it was made: check it again, {_AGAIN}",
    ),
    Queue(
        Import,
        Stage.ORDERED,
        Stage.MAKING,
        Stage.FAILED,
        _make_import,
        broken="The file could not be wholly imported because of a fault of this service: choose it again to import the"
        f" rest, {_AGAIN}",
        stopped="The import was stopped several times before its end: choose the file again to import the rest,"
        f" {_AGAIN}",
    ),
    Queue(
        Extract,
        Stage.WAITING,
        Stage.CHECKING,
        Stage.FAILED,
        _check_extract,
        broken=f"The extract could not be checked because of a fault of this service: check it again, {_AGAIN}",
        stopped=f"The check was stopped several times without an end: check the extract again, {_AGAIN}",
    ),
    Queue(
        Import,
        Stage.WAITING,
        Stage.CHECKING,
        Stage.FAILED,
        _check_import,
        broken=f"The file could not be read because of a fault of this service: choose it again, {_AGAIN}",
        stopped=f"The reading was stopped several times without an end: choose the file again, {_AGAIN}",
    ),
)
