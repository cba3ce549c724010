"""`python -m cjit.web.manage work`: the worker that checks files."""

from __future__ import annotations

import signal
import threading
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from cjit.check import check_rows
from cjit.datasets.q import Q as DATASET
from cjit.web.portal import worker


class Command(BaseCommand):
    """Check what comes in."""

    help = "Check the files that come in, until stopped."

    def add_arguments(self, parser: CommandParser) -> None:
        """One option."""
        parser.add_argument("--once", action="store_true", help="check what is there now, then end")

    def handle(self, *_: Any, once: bool, **__: Any) -> None:
        """Work until SIGTERM or SIGINT, then end the check that is running and stop."""
        stop = threading.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: stop.set())
        # The book is made before the first file comes, so that nobody waits for it.
        check_rows(DATASET, [{}], today=date(2026, 1, 1))
        worker.run(stop, once=once)
