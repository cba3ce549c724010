"""`python -m cjit.web.manage work`: the worker."""

from __future__ import annotations

import os
import signal
import threading
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from cjit.engine.checking import check_rows
from cjit.web import worker
from cjit.web.dataset import DATASET


class Command(BaseCommand):
    """Do what waits: checks of files, extracts, imports."""

    help = "Check files that come in, make extracts and import, until stopped."

    def add_arguments(self, parser: CommandParser) -> None:
        """Until when."""
        parser.add_argument("--once", action="store_true", help="do what is there now, then end")
        parser.add_argument(
            "--while-piped", action="store_true", help="end when standard input ends: whoever began this is gone"
        )

    def handle(self, *_: Any, once: bool, while_piped: bool, **__: Any) -> None:
        """Work until SIGTERM, SIGINT or the end of a pipe, then end what it is at and stop."""
        stop = threading.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: stop.set())
        if while_piped:
            threading.Thread(target=_wait_for_the_end, args=(stop,), daemon=True).start()
        # The book is made before the first file comes, so that nobody waits for it.
        check_rows(DATASET, [{}], today=date(2026, 1, 1))
        worker.run(stop, once=once)


def _wait_for_the_end(stop: threading.Event) -> None:
    # Whoever holds the other end of the pipe never writes; killed, it lets go of it all the same.
    # (Not by `sys.stdin`: its lock would be held when the process ends.)
    while os.read(0, 1):
        pass
    stop.set()
