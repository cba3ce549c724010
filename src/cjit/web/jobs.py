"""Long work: a record that is its own job, which a worker takes, and of which no two can settle the outcome.

A worker claims a record by a single conditional update, which also counts the attempt; with that count it later proves
that the claim is still its own, so a worker that was taken for dead can spoil nothing. A claim without a sign of life
for `settings.HEARTBEAT` seconds is given to another, `settings.ATTEMPTS` times.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeVar

from django.conf import settings
from django.db import OperationalError, connection, models
from django.db.models import F
from django.db.models.functions import Now

from cjit.web import kept
from cjit.web.agencies.actions import Refused
from cjit.web.errors import without_values

log = logging.getLogger("cjit.worker")


class Job(models.Model):
    """A record with work to be done: how far it is (`done`), and why nothing came of it (`problem`).

    `heartbeat` is when its worker last gave a sign of life, `attempts` how often work on it was begun: a number that
    only grows, since a worker proves its claim by it; `attempts_before` of these were for what is settled. Each model
    has a `state` that says whether it waits, is being worked on, or is settled.
    """

    done = models.BigIntegerField(default=0)
    heartbeat = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    attempts_before = models.PositiveSmallIntegerField(default=0)
    problem = models.CharField(max_length=400, blank=True)

    class Meta:
        """Each model adds a state of its own."""

        abstract = True


J = TypeVar("J", bound=Job)


class Lost(Exception):  # noqa: N818 - no error: the claim is another's, or the record was taken back
    """The record is no longer this worker's."""


@dataclass(frozen=True)
class Queue(Generic[J]):
    """Records of a model that wait for the same work.

    A record in the state `waiting` is taken to `working`. `work` settles in which state it is after that, or raises
    `Refused` or `kept.NotKept` with a sentence; then, and where it fails (`broken` says so) or its worker died too
    often (`stopped`), it is in the state `failed` with that sentence as its problem.
    """

    jobs: type[J]
    waiting: str
    working: str
    failed: str
    work: Callable[[Claim[J]], None]
    broken: str
    stopped: str

    def claim(self) -> Claim[J] | None:
        """The next record that waits, as this worker's own; None where there is none."""
        # By the database's clock: by its own, a worker whose clock is ahead would take every other for dead.
        now, jobs = Now(), self.jobs._default_manager
        dead = jobs.filter(state=self.working, heartbeat__lt=now - timedelta(seconds=settings.HEARTBEAT))
        dead.filter(attempts__gte=F("attempts_before") + settings.ATTEMPTS).update(
            state=self.failed, problem=self.stopped
        )
        dead.update(state=self.waiting)
        for pk in jobs.filter(state=self.waiting).order_by("pk").values_list("pk", flat=True)[:5]:
            mine = jobs.filter(pk=pk, state=self.waiting).update(
                state=self.working, heartbeat=now, attempts=F("attempts") + 1, done=0
            )
            if mine:
                return Claim(self, jobs.get(pk=pk))
        return None


@dataclass(frozen=True)
class Claim(Generic[J]):
    """A record that a worker has taken, as it was then."""

    queue: Queue[J]
    job: J

    def carry_out(self) -> None:
        """Do the work. Never raises."""
        try:
            self._worked()
        except Lost:
            log.info("%s %s is no longer this worker's", type(self.job).__name__, self.job.pk)
        except Exception as problem:
            # What came of it cannot be written now: it is taken up again when its heart has stood still for long.
            log.error("%s %s could not be settled\n%s", type(self.job).__name__, self.job.pk, without_values(problem))

    def _worked(self) -> None:
        try:
            with _Alive(self):
                self.queue.work(self)
        except Lost:
            raise
        except (Refused, kept.NotKept) as problem:
            self.settle(state=self.queue.failed, problem=str(problem)[:400])
        except Exception as problem:
            log.error("%s %s failed\n%s", type(self.job).__name__, self.job.pk, without_values(problem))
            self.settle(state=self.queue.failed, problem=self.queue.broken)

    @property
    def mine(self) -> models.QuerySet[J]:
        """The record while it is this worker's; nothing after that."""
        return self.queue.jobs._default_manager.filter(
            pk=self.job.pk, state=self.queue.working, attempts=self.job.attempts
        )

    def locked(self) -> J:
        """The record as it is now, held until the transaction ends. Raises `Lost`."""
        now = self.mine.select_for_update().first()
        if now is None:
            raise Lost
        return now

    def settle(self, **told: Any) -> None:
        """Write what came of it, or is known of it so far. Raises `Lost`."""
        if not self.mine.update(**told):
            raise Lost

    def progress(self) -> Callable[[int], None]:
        """Where the work says how far it is, as often as it likes: it is written twice a second. Raises `Lost`."""
        told = 0.0

        def tell(done: int) -> None:
            nonlocal told
            if time.monotonic() - told > 0.5:
                told = time.monotonic()
                self.settle(done=done, heartbeat=Now())

        return tell


class _Alive:
    """Gives a sign of life every few seconds while the block runs, on a connection of its own."""

    def __init__(self, claim: Claim[J]) -> None:
        self.claim = claim
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> None:
        # Within a transaction, as in tests, another connection would see nothing of it.
        if not connection.in_atomic_block:
            self.thread.start()

    def __exit__(self, *_: object) -> None:
        self.over.set()
        if self.thread.is_alive():
            self.thread.join()

    def _beat(self) -> None:
        try:
            while not self.over.wait(settings.HEARTBEAT / 4):
                # A database that is busy now is asked again at the next beat.
                with suppress(OperationalError):
                    self.claim.mine.update(heartbeat=Now())
        finally:
            connection.close()
