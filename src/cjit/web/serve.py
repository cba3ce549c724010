"""The whole service by one command: the database brought up to date, the pages, and a worker beside them."""

from __future__ import annotations

import errno
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
from types import TracebackType
from typing import NoReturn

import click

log = logging.getLogger("cjit.serve")

#: Requests served at a time. SQLite writes one after the other; these are for reading and uploading.
THREADS = 8


class NotServed(ValueError):  # noqa: N818 - a slip of the user's, told in one sentence
    """The service cannot start. The text is one sentence that says why and what to do."""


def serve(*, host: str, port: int, demo: bool) -> None:
    """Serve until interrupted. With `demo` the service has made-up agencies and people, and says how they sign in.

    Where it keeps its things is `settings.HOME`. Raises `NotServed` where the port is taken, and
    `demo.NotEmpty` for a demo in a service with people of its own.
    """
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cjit.web.settings")
    import django
    from django.core.management import call_command

    django.setup()
    from django.conf import settings

    # Where the server puts the parts of a large request until it is complete.
    tempfile.tempdir = str(settings.FILE_UPLOAD_TEMP_DIR)
    call_command("migrate", interactive=False, verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)
    if demo:
        from cjit.web import demo as made_up

        click.echo(made_up.make())

    stop = threading.Event()

    def ended(*_: object) -> NoReturn:
        # Before the server winds up, so that a worker interrupted by the same key is not started anew.
        stop.set()
        raise SystemExit

    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), ended)
    with Worker(stop):
        _pages(host, port)
    click.echo("Stopped. What was sent is kept, and checked when the service is started again.")


def _pages(host: str, port: int) -> None:
    from django.conf import settings
    from waitress.server import create_server

    # Only now: what there is of static files is read when the application is made.
    from cjit.web.wsgi import application

    try:
        server = create_server(
            application,
            host=host,
            port=port,
            threads=THREADS,
            max_request_body_size=settings.UPLOAD_BYTES + 1_000_000,
            ident=None,
            # By HTTPS it is reached through a web server, which tells who asks: `pages.Address` sees if it is ours.
            clear_untrusted_proxy_headers=not settings.TLS,
        )
    except OSError as problem:
        if problem.errno not in {errno.EADDRINUSE, errno.EACCES}:
            raise
        raise NotServed(f"Port {port} is taken or not allowed: choose another with --port") from None
    shown = f"[{host}]" if ":" in host else {"0.0.0.0": "localhost"}.get(host, host)  # noqa: S104 - only read
    click.echo(f"Open http://{shown}:{port}/ in a browser. Everything is kept in {settings.HOME}. Ctrl-C stops it.")
    try:
        server.run()
    finally:
        server.close()


class Worker:
    """The worker as a process of its own, begun again when it dies, ended with the block.

    It is given a pipe that nobody writes to: where this process is killed, that ends, and so does the worker.
    """

    def __init__(self, stop: threading.Event) -> None:
        self.stop = stop
        self.thread = threading.Thread(target=self._watch, name="worker", daemon=True)

    def __enter__(self) -> Worker:
        self.thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop.set()
        self.thread.join()

    def _watch(self) -> None:
        while not self.stop.is_set():
            with subprocess.Popen(
                [sys.executable, "-m", "cjit.web.manage", "work", "--while-piped"], stdin=subprocess.PIPE
            ) as process:
                while process.poll() is None and not self.stop.wait(0.5):
                    pass
                if process.poll() is None:
                    self._end(process)
            if not self.stop.is_set():
                log.warning("The worker ended with status %s and is started again", process.returncode)
                # A worker that cannot start is not tried without end in one second.
                self.stop.wait(2)

    @staticmethod
    def _end(process: subprocess.Popen[bytes]) -> None:
        # It gives the check it has begun a moment; one that is cut short is begun again at the next start.
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
