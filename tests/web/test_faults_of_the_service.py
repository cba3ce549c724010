"""What may go wrong around the service: nothing lost, nothing half-accepted, nothing doubled."""

import errno
import io
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, connection, connections
from django.utils import timezone

from cjit.dataset import Entity
from cjit.web.portal import actions, kept, store, worker
from cjit.web.portal.actions import Refused
from cjit.web.portal.models import RECORDS, State, Submission

FIRST = {"CLIENTID": "1", "CLIENT": "A1", "EPISODID": "11", "REFERID": "111"}
SECOND = {"CLIENTID": "2", "CLIENT": "A2", "EPISODID": "22", "REFERID": "222"}


def counts() -> dict[str, int]:
    return {entity.value: table.objects.count() for entity, table in RECORDS.items()}


def received(agency, provider, data: bytes, scope="new") -> Submission:
    return actions.receive(by=provider, agency=agency, file=io.BytesIO(data), name="march.csv", scope=scope)


def together(*calls):
    """Several calls at the same moment, each on a connection of its own; what each gave or raised."""
    told: list[Any] = [None] * len(calls)
    ready = threading.Barrier(len(calls))

    def run(place, call):
        try:
            ready.wait()
            told[place] = call()
        except Exception as problem:
            told[place] = problem
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(i, call)) for i, call in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return told


# ---- the worker ------------------------------------------------------------------------------------


def test_a_check_whose_worker_died_is_taken_up_by_another(agency, provider, csv_of):
    submission = received(agency, provider, csv_of(FIRST | {"AGNCY": agency.code}))
    dead = worker.claim()
    assert dead == submission
    assert worker.claim() is None
    Submission.objects.update(heartbeat=timezone.now() - timedelta(seconds=60))

    worker.run(threading.Event(), once=True)

    submission.refresh_from_db()
    assert (submission.state, submission.attempts) == (State.READY, 2)


def test_a_worker_taken_for_dead_can_spoil_nothing(agency, provider, csv_of):
    submission = received(agency, provider, csv_of(FIRST | {"AGNCY": agency.code}))
    zombie = worker.claim()
    assert zombie is not None
    Submission.objects.update(heartbeat=timezone.now() - timedelta(seconds=60))
    worker.run(threading.Event(), once=True)
    actions.accept(by=provider, submission=Submission.objects.get(pk=submission.pk))

    worker.work(zombie)

    assert Submission.objects.get(pk=submission.pk).state == State.ACCEPTED


def test_a_file_that_kills_every_worker_is_given_up_and_kept(agency, provider, csv_of, settings):
    submission = received(agency, provider, csv_of(FIRST))
    for _ in range(settings.ATTEMPTS):
        assert worker.claim() is not None
        Submission.objects.update(heartbeat=timezone.now() - timedelta(seconds=60))

    assert worker.claim() is None

    submission.refresh_from_db()
    assert submission.state == State.FAILED
    assert "tell whoever runs the service" in submission.problem
    with kept.opened(submission) as path:
        assert path.stat().st_size == submission.size


def test_a_submission_withdrawn_while_it_is_checked_stays_withdrawn(agency, provider, csv_of):
    submission = received(agency, provider, csv_of(FIRST))
    mine = worker.claim()
    assert mine is not None
    actions.withdraw(by=provider, submission=submission)

    worker.work(mine)

    submission.refresh_from_db()
    assert submission.state == State.WITHDRAWN


def test_a_fault_of_ours_says_what_to_do_and_logs_no_value(agency, provider, csv_of, monkeypatch, caplog):
    submission = received(agency, provider, csv_of(FIRST))

    def broken(*_, **__):
        raise ValueError(FIRST["CLIENT"])

    monkeypatch.setattr(worker, "check", broken)
    worker.run(threading.Event(), once=True)

    submission.refresh_from_db()
    assert submission.state == State.FAILED
    assert "send it again later" in submission.problem
    assert "ValueError" in caplog.text
    assert "A1" not in caplog.text


def test_a_file_that_cannot_be_read_is_refused_in_one_sentence(sent):
    submission = sent(data=b"%PDF-1.7 nothing")

    assert submission.state == State.REFUSED
    assert "PDF document" in submission.problem


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("after", [0.0, 0.3, 0.8, 1.5])
def test_a_worker_killed_at_any_moment_loses_nothing(agency, provider, csv_of, after, settings, uploads):
    settings.HEARTBEAT = 1
    many = [{"CLIENTID": str(n), "CLIENT": f"A{n}", "EPISODID": f"1{n}", "REFERID": f"2{n}"} for n in range(20_000)]
    submission = received(agency, provider, csv_of(*({"AGNCY": agency.code, **row} for row in many)))
    process = subprocess.Popen(
        [sys.executable, "-c", _WORK],
        env=os.environ | {"CJIT_TESTED": str(connection.settings_dict["NAME"]), "CJIT_UPLOADS": str(uploads)},
    )
    with process:
        begun = time.monotonic()
        while submission.state == State.RECEIVED and time.monotonic() - begun < 60:
            time.sleep(0.02)
            submission.refresh_from_db()
        time.sleep(after)
        process.send_signal(signal.SIGKILL)
    assert submission.state != State.RECEIVED
    Submission.objects.filter(state=State.CHECKING).update(heartbeat=timezone.now() - timedelta(seconds=60))

    worker.run(threading.Event(), once=True)

    submission.refresh_from_db()
    assert (submission.state, submission.rows, submission.rejected) == (State.READY, 20_000, 0)


_WORK = """
import os, threading
os.environ["DJANGO_SETTINGS_MODULE"] = "cjit.web.settings"
import django
from django.conf import settings
settings.DATABASES["default"]["NAME"] = os.environ["CJIT_TESTED"]
settings.UPLOADS = os.environ["CJIT_UPLOADS"]
django.setup()
from cjit.web.portal import worker
worker.run(threading.Event(), once=True)
"""


# ---- two at once -----------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_two_who_accept_at_once_accept_once(sent, agency, provider):
    submission = sent(FIRST, SECOND)

    one, two = together(*[lambda: actions.accept(by=provider, submission=submission)] * 2)

    assert one.accepted == two.accepted
    assert counts() == {"client": 2, "episode": 2, "referral": 2}


@pytest.mark.django_db(transaction=True)
def test_the_same_file_sent_twice_at_once_is_one_submission(agency, provider, csv_of, uploads):
    data = csv_of(FIRST)

    one, two = together(*[lambda: received(agency, provider, data)] * 2)

    assert one == two
    assert Submission.objects.count() == len(list(uploads.iterdir())) == 1


@pytest.mark.django_db(transaction=True)
def test_of_two_files_sent_at_once_one_is_open_and_the_other_superseded(agency, provider, csv_of):
    together(
        lambda: received(agency, provider, csv_of(FIRST)), lambda: received(agency, provider, csv_of(FIRST, SECOND))
    )

    assert sorted(Submission.objects.values_list("state", flat=True)) == [State.RECEIVED, State.SUPERSEDED]


@pytest.mark.django_db(transaction=True)
def test_two_who_decide_at_once_leave_one_whole_decision_each(sent, agency, provider):
    actions.accept(by=provider, submission=sent(FIRST, SECOND))
    submission = sent(FIRST | {"SINITIAL": "X"}, SECOND | {"SINITIAL": "Y"})
    one, two = submission.decisions.values_list("pk", flat=True)

    told = together(
        lambda: actions.decide(by=provider, submission=submission, choices={one: "replace"}),
        lambda: actions.decide(by=provider, submission=submission, choices={two: "delete"}),
    )

    assert told == [1, 1]
    assert sorted(submission.decisions.values_list("choice", flat=True)) == ["delete", "replace"]
    assert Submission.objects.get(pk=submission.pk).state == State.READY


# ---- the disk and the connection -------------------------------------------------------------------


def test_a_full_disk_refuses_the_upload_and_leaves_nothing(agency, provider, csv_of, uploads, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(Refused, match="no room left"):
        received(agency, provider, csv_of(FIRST))

    assert not Submission.objects.exists()
    assert list(uploads.iterdir()) == []


def test_a_file_over_the_limit_is_refused_and_leaves_nothing(agency, provider, csv_of, uploads, settings):
    settings.UPLOAD_BYTES = 100

    with pytest.raises(Refused, match="larger than"):
        received(agency, provider, csv_of(FIRST))

    assert list(uploads.iterdir()) == []


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has no connection to lose")
@pytest.mark.django_db(transaction=True)
def test_a_connection_lost_in_the_middle_of_an_acceptance_accepts_nothing(sent, agency, provider, monkeypatch):
    submission = sent(FIRST, SECOND)
    bring = store.bring

    def lost(taken, entity, records):
        if entity is Entity.REFERRAL:
            mine = connection.connection.info.backend_pid
            with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s)", [mine])
        return bring(taken, entity, records)

    monkeypatch.setattr(store, "bring", lost)
    with pytest.raises(DatabaseError):
        actions.accept(by=provider, submission=submission)
    monkeypatch.undo()
    connection.close()

    assert counts() == {"client": 0, "episode": 0, "referral": 0}
    assert Submission.objects.get(pk=submission.pk).state == State.READY
    assert actions.accept(by=provider, submission=submission).state == State.ACCEPTED


# ---- encryption ------------------------------------------------------------------------------------


@pytest.fixture
def with_a_key(settings):
    settings.UPLOAD_KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


def test_with_a_key_nothing_of_a_record_can_be_read_on_disk(with_a_key, sent, uploads):
    submission = sent(FIRST | {"PC": "NE8 1"}, SECOND)

    assert submission.state == State.READY
    on_disk = b"".join(path.read_bytes() for path in uploads.rglob("*") if path.is_file())
    assert b"NE8" not in on_disk
    assert b"CLIENTID" not in on_disk


def test_a_file_altered_on_disk_is_refused(with_a_key, agency, provider, csv_of, uploads):
    submission = received(agency, provider, csv_of(FIRST))
    (path,) = (p for p in uploads.rglob("upload") if p.is_file())
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)

    worker.run(threading.Event(), once=True)

    submission.refresh_from_db()
    assert submission.state == State.REFUSED
    assert "damaged" in submission.problem


def test_files_are_removed_some_days_after_acceptance(sent, provider, uploads, settings):
    submission = actions.accept(by=provider, submission=sent(FIRST))
    long_ago = timezone.now() - timedelta(days=settings.KEEP_DAYS + 1)
    assert actions.remove_files() == 0
    Submission.objects.update(at=long_ago, accepted=long_ago)

    assert actions.remove_files() == 1

    assert list(uploads.iterdir()) == []
    submission.refresh_from_db()
    assert submission.state == State.ACCEPTED
