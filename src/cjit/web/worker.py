"""The worker: goes through what waits, one record of each kind in turn, until it is told to stop."""

from __future__ import annotations

import math
import threading
import time

from django.contrib.sessions.models import Session
from django.db import close_old_connections, connection

from cjit.web import kept
from cjit.web.caseload import actions as caseload
from cjit.web.caseload import working
from cjit.web.clock import database_now
from cjit.web.portal import actions as portal
from cjit.web.portal import checking

QUEUES = (checking.QUEUE, *working.QUEUES)


def run(stop: threading.Event, *, once: bool = False) -> None:
    """Do what waits until told to stop; `once` only what is there now."""
    tidied, swept = 0.0, -math.inf
    while not stop.is_set():
        if not connection.in_atomic_block:
            close_old_connections()
        if time.monotonic() - swept > 60:
            kept.sweep()
            swept = time.monotonic()
        worked = False
        for queue in QUEUES:
            claim = None if stop.is_set() else queue.claim()
            if claim is not None:
                claim.carry_out()
                worked = True
        if worked:
            continue
        if once:
            return
        if time.monotonic() - tidied > 3600:
            tidy()
            tidied = time.monotonic()
        stop.wait(0.3)


def tidy(*, told: bool = False) -> dict[str, int]:
    """Remove what is not kept any longer, by the database's clock. Returns how many of what.

    Uploads and folders go only a few at once, unless `told` otherwise: a clock that is wrong must not remove them all.
    """
    erased = portal.erase_forgotten()
    uploads, passed = portal.remove_files(told=told), caseload.remove_passed()
    named = {stored for queue in QUEUES for stored in queue.jobs._default_manager.values_list("stored", flat=True)}
    folders = kept.tidy(named, told=told)
    sessions, _ = Session.objects.filter(expire_date__lt=database_now()).delete()
    return {
        "acceptances whose forgotten clients are erased": erased,
        "uploads of settled submissions": uploads,
        "files of extracts and imports": passed,
        "folders that no record has": folders,
        "sessions that are over": sessions,
    }
