"""The worker: goes through what waits, one record of each kind in turn, until it is told to stop."""

from __future__ import annotations

import threading
import time

from django.core.management import call_command
from django.db import close_old_connections, connection

from cjit.web import kept
from cjit.web.caseload import actions as caseload
from cjit.web.caseload import working
from cjit.web.portal import actions as portal
from cjit.web.portal import checking

QUEUES = (checking.QUEUE, *working.QUEUES)


def run(stop: threading.Event, *, once: bool = False) -> None:
    """Do what waits until told to stop; `once` only what is there now."""
    tidied = 0.0
    while not stop.is_set():
        if not connection.in_atomic_block:
            close_old_connections()
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


def tidy() -> None:
    """Remove what is not kept any longer."""
    portal.erase_forgotten()
    portal.remove_files()
    caseload.remove_passed()
    kept.tidy({stored for queue in QUEUES for stored in queue.jobs._default_manager.values_list("stored", flat=True)})
    call_command("clearsessions")
