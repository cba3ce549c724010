"""What a worker does for a caseload: checks an extract and makes it, reads a file and imports it.

The one place at which the caseload hands something to the portal: a file, as anybody else would send it.
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import asdict
from typing import Any

import polars as pl
from django.db import transaction
from django.utils import timezone

from cjit.read import Unusable
from cjit.web import kept
from cjit.web.agencies.access import submits_for
from cjit.web.agencies.actions import Refused
from cjit.web.caseload import actions, arriving, leaving
from cjit.web.caseload.arriving import Arrived
from cjit.web.caseload.leaving import Made
from cjit.web.caseload.models import Extract, Import, Stage
from cjit.web.jobs import Claim, Lost, Queue
from cjit.web.portal import actions as portal

#: The files of an extract: what is sent, the same with labels, and the EPISODIDs of what was left out.
FILE, LABELS, LEFT_OUT = "extract.csv", "labels.csv", "left out.json"
#: How many episodes are listed that would be rejected or were left out.
LISTED = 50


# ---- an extract ------------------------------------------------------------------------------------


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
    tell = claim.progress()

    def progress(done: int, size: int) -> None:
        if asked.size != size:
            asked.size = size
            claim.settle(size=size)
        tell(done)

    made = leaving.make(
        asked.agency, until=asked.until, since=asked.since, leave_out=asked.leave_out, progress=progress
    )
    told = facts(made, data := made.data())
    # A worker that was taken for dead writes nothing over what another has settled.
    told["found"]["try"] = asked.attempts
    kept.write(asked, _of_try(asked.attempts, FILE), data)
    kept.write(asked, _of_try(asked.attempts, LABELS), made.data(labels=True))
    kept.write(asked, _of_try(asked.attempts, LEFT_OUT), json.dumps(list(made.extracted.left_out)).encode())
    try:
        claim.settle(state=Stage.CHECKED, problem="", **told)
    except Lost:
        if not Extract.objects.filter(pk=asked.pk).exists():
            kept.remove(asked.stored)
        raise


def _make_extract(claim: Claim[Extract]) -> None:
    data = read(claim.job, FILE)
    left_out = json.loads(read(claim.job, LEFT_OUT))
    with transaction.atomic():
        now = actions.record_extract(extract=claim.locked(), sent=ids(data), left_out=left_out)
        if now.to_portal:
            by, agency = now.by, now.agency
            if by is None or not submits_for(by).filter(pk=agency.pk).exists():
                raise Refused("Only a provider user sends files of the agency: make the file and download it instead")
            # Last: of what is received and not marked, nobody would tell later that consent was withdrawn.
            sent = portal.receive(by=by, agency=agency, file=io.BytesIO(data), name=now.name, scope=now.scope)
            # There it is kept. A file to be downloaded stays here for a day.
            Extract.objects.filter(pk=now.pk).update(submission=sent.number, stored="")
            transaction.on_commit(lambda: kept.remove(now.stored))


def _of_try(number: int, name: str) -> str:
    return f"{number} {name}"


def ids(data: bytes) -> pl.DataFrame:
    """The ids and CONSENT of each row of an extract's file."""
    columns = ["CLIENTID", "EPISODID", "REFERID", "CONSENT"]
    return pl.read_csv(data, columns=columns, infer_schema=False)


def read(extract: Extract, name: str) -> bytes:
    """A file of an extract. Raises `Refused` where it is gone or damaged."""
    try:
        return kept.read(extract, _of_try(extract.found["try"], name))
    except kept.NotKept:
        raise Refused("The file of this extract is not kept any more: check the extract again") from None


# ---- an import -------------------------------------------------------------------------------------


def _check_import(claim: Claim[Import]) -> None:
    arrived = _read(claim.job)
    arriving.only_new(arrived, claim.job.agency)
    claim.settle(state=Stage.CHECKED, problem="", counts=asdict(arrived.done))


def _make_import(claim: Claim[Import]) -> None:
    arrived = _read(claim.job)
    with transaction.atomic():
        now = claim.locked()
        done = actions.bring_in(by=now.by, agency=now.agency, arrived=arrived)
        stored, now.stored = now.stored, ""
        now.state, now.problem, now.counts = Stage.MADE, "", asdict(done)
        now.save()
        transaction.on_commit(lambda: kept.remove(stored))


def _read(job: Import) -> Arrived:
    try:
        with kept.opened(job) as path:
            return arriving.read(path, job.name, agency=job.agency, now=timezone.now(), today=timezone.localdate())
    except kept.NotKept:
        raise Refused("The file is not kept any more: choose it again") from None
    except Unusable as problem:
        raise Refused(str(problem)) from None


# ---- what waits ------------------------------------------------------------------------------------

_AGAIN = "and where that fails too tell whoever runs the service"
#: Orders first: whoever has seen what is in an extract waits for no other's check.
QUEUES = (
    Queue(
        Extract,
        Stage.ORDERED,
        Stage.MAKING,
        Stage.CHECKED,
        _make_extract,
        broken=f"The extract could not be made because of a fault of this service: try again, {_AGAIN}",
        stopped=f"The extract was stopped several times before it was made: try again, {_AGAIN}",
    ),
    Queue(
        Import,
        Stage.ORDERED,
        Stage.MAKING,
        Stage.CHECKED,
        _make_import,
        broken=f"The file could not be imported because of a fault of this service: try again, {_AGAIN}",
        stopped=f"The import was stopped several times without an end: try again, {_AGAIN}",
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
