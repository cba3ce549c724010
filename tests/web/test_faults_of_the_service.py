"""What may go wrong around the service: nothing lost, nothing half-accepted, nothing doubled."""

import errno
import io
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, connection, connections
from django.utils import timezone

from cjit.dataset import Entity
from cjit.files import temporary
from cjit.web import kept, worker
from cjit.web.agencies.actions import Refused
from cjit.web.agencies.models import AuditEvent
from cjit.web.portal import actions, checking, store
from cjit.web.portal.checking import QUEUE
from cjit.web.portal.models import RECORDS, State, Submission

FIRST = {"CLIENTID": "1", "CLIENT": "A1", "EPISODID": "11", "REFERID": "111"}
SECOND = {"CLIENTID": "2", "CLIENT": "A2", "EPISODID": "22", "REFERID": "222"}


def counts() -> dict[str, int]:
    return {entity.value: table.objects.count() for entity, table in RECORDS.items()}


def altered(uploads, name: str) -> None:
    """One bit of a stored file is another."""
    (path,) = (p for p in uploads.rglob(name) if p.is_file())
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


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
    dead = QUEUE.claim()
    assert dead is not None
    assert dead.job == submission
    assert QUEUE.claim() is None
    Submission.objects.update(heartbeat=timezone.now() - timedelta(seconds=60))

    worker.run(threading.Event(), once=True)

    submission.refresh_from_db()
    assert (submission.state, submission.attempts) == (State.READY, 2)


def test_a_worker_taken_for_dead_can_spoil_nothing(agency, provider, csv_of):
    submission = received(agency, provider, csv_of(FIRST | {"AGNCY": agency.code}))
    zombie = QUEUE.claim()
    assert zombie is not None
    Submission.objects.update(heartbeat=timezone.now() - timedelta(seconds=60))
    worker.run(threading.Event(), once=True)
    actions.accept(by=provider, submission=Submission.objects.get(pk=submission.pk))

    zombie.carry_out()

    assert Submission.objects.get(pk=submission.pk).state == State.ACCEPTED


def test_a_file_that_kills_every_worker_is_given_up_and_kept(agency, provider, csv_of, settings):
    submission = received(agency, provider, csv_of(FIRST))
    for _ in range(settings.ATTEMPTS):
        assert QUEUE.claim() is not None
        Submission.objects.update(heartbeat=timezone.now() - timedelta(seconds=60))

    assert QUEUE.claim() is None

    submission.refresh_from_db()
    assert submission.state == State.FAILED
    assert "tell whoever runs the service" in submission.problem
    with kept.opened(submission) as path:
        assert path.stat().st_size == submission.size


def test_a_submission_withdrawn_while_it_is_checked_stays_withdrawn(agency, provider, csv_of):
    submission = received(agency, provider, csv_of(FIRST))
    mine = QUEUE.claim()
    assert mine is not None
    actions.withdraw(by=provider, submission=submission)

    mine.carry_out()

    submission.refresh_from_db()
    assert submission.state == State.WITHDRAWN


def test_a_fault_of_ours_says_what_to_do_and_logs_no_value(agency, provider, csv_of, monkeypatch, caplog):
    submission = received(agency, provider, csv_of(FIRST))

    def broken(*_, **__):
        raise ValueError(FIRST["CLIENT"])

    monkeypatch.setattr(checking, "check", broken)
    worker.run(threading.Event(), once=True)

    submission.refresh_from_db()
    assert submission.state == State.FAILED
    assert "have it checked again" in submission.problem
    assert "ValueError" in caplog.text
    assert "A1" not in caplog.text


def test_a_file_that_cannot_be_read_is_refused_in_one_sentence(sent):
    submission = sent(data=b"%PDF-1.7 nothing")

    assert submission.state == State.REFUSED
    assert "PDF document" in submission.problem


@pytest.mark.every_case
@pytest.mark.process
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("after", [0.0, 0.5])
def test_a_worker_killed_at_any_moment_loses_nothing(agency, provider, csv_of, after, killed_worker):
    many = [{"CLIENTID": str(n), "CLIENT": f"A{n}", "EPISODID": f"1{n}", "REFERID": f"2{n}"} for n in range(1, 20_001)]
    submission = received(agency, provider, csv_of(*({"AGNCY": agency.code, **row} for row in many)))

    killed_worker(submission, after)
    Submission.objects.filter(state=State.CHECKING).update(heartbeat=timezone.now() - timedelta(seconds=60))

    worker.run(threading.Event(), once=True)

    submission.refresh_from_db()
    assert (submission.state, submission.rows, submission.rejected) == (State.READY, 20_000, 0)


# ---- two at once -----------------------------------------------------------------------------------


@pytest.mark.process
@pytest.mark.django_db(transaction=True)
def test_two_who_accept_at_once_accept_once(sent, agency, provider):
    submission = sent(FIRST, SECOND)

    one, two = together(*[lambda: actions.accept(by=provider, submission=submission)] * 2)

    assert one.accepted == two.accepted
    assert counts() == {"client": 2, "episode": 2, "referral": 2}


@pytest.mark.process
@pytest.mark.django_db(transaction=True)
def test_the_same_file_sent_twice_at_once_is_one_submission(agency, provider, csv_of, uploads):
    data = csv_of(FIRST)

    one, two = together(*[lambda: received(agency, provider, data)] * 2)

    assert one == two
    assert Submission.objects.count() == len(list(uploads.iterdir())) == 1


@pytest.mark.process
@pytest.mark.django_db(transaction=True)
def test_of_two_files_sent_at_once_one_is_open_and_the_other_superseded(agency, provider, csv_of):
    together(
        lambda: received(agency, provider, csv_of(FIRST)), lambda: received(agency, provider, csv_of(FIRST, SECOND))
    )

    assert sorted(Submission.objects.values_list("state", flat=True)) == [State.RECEIVED, State.SUPERSEDED]


@pytest.mark.process
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


@pytest.mark.process
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("passed", [True, False])
def test_who_undoes_while_a_worker_erases_has_all_back_or_nothing(sent, agency, provider, passed):
    actions.accept(by=provider, submission=sent(FIRST, SECOND))
    actions.accept(by=provider, submission=sent(FIRST | {"CONSENT": "N"}, SECOND), forget=1)
    if passed:
        Submission.objects.exclude(forget_until=None).update(forget_until=timezone.now() - timedelta(minutes=1))

    undone, erased = together(lambda: actions.undo(by=provider, agency=agency), actions.erase_forgotten)

    assert erased in ((0, 1) if passed else (0,))
    assert undone.receipt["undo"] == {"brought back": 0 if passed else 1}
    left = 1 if passed else 2
    assert counts() == {"client": left, "episode": left, "referral": left}
    assert not RECORDS[Entity.CLIENT].objects.exclude(forgotten=None).exists()
    told = AuditEvent.objects.filter(action="erased what was forgotten")
    assert [event.counts for event in told] == [{"client": 1, "episode": 1, "referral": 1}] * passed


@pytest.mark.process
@pytest.mark.django_db(transaction=True)
def test_of_two_workers_that_erase_at_once_one_does(sent, provider):
    actions.accept(by=provider, submission=sent(FIRST, SECOND))
    actions.accept(by=provider, submission=sent(FIRST | {"CONSENT": "N"}, SECOND), forget=1)
    Submission.objects.exclude(forget_until=None).update(forget_until=timezone.now() - timedelta(minutes=1))

    assert sorted(together(*[actions.erase_forgotten] * 2)) == [0, 1]

    assert counts() == {"client": 1, "episode": 1, "referral": 1}


@pytest.mark.process
@pytest.mark.django_db(transaction=True)
def test_two_who_accept_a_withdrawal_at_once_forget_once(sent, provider):
    actions.accept(by=provider, submission=sent(FIRST, SECOND))
    submission = sent(FIRST | {"CONSENT": "N"}, SECOND)

    one, two = together(*[lambda: actions.accept(by=provider, submission=submission, forget=1)] * 2)

    assert one.accepted == two.accepted
    assert one.receipt["client"]["forgotten"] == 1
    assert store.waiting(one) == 1


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


def test_a_file_altered_on_disk_is_not_checked(with_a_key, agency, provider, csv_of, uploads):
    submission = received(agency, provider, csv_of(FIRST))
    (path,) = (p for p in uploads.rglob("upload") if p.is_file())
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)

    worker.run(threading.Event(), once=True)

    submission.refresh_from_db()
    assert submission.state == State.FAILED
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


# ---- files that are damaged or far too long --------------------------------------------------------


@pytest.mark.parametrize("key", ["", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="])
@pytest.mark.parametrize("name", [kept.UPLOAD, kept.FINDINGS])
def test_nothing_is_accepted_of_a_file_that_is_damaged(sent, provider, uploads, settings, name, key):
    settings.UPLOAD_KEY = key
    submission = sent(FIRST | {"SEX": ""}, SECOND)
    altered(uploads, name)

    with pytest.raises(Refused, match="damaged"):
        actions.accept(by=provider, submission=submission)

    assert Submission.objects.get(pk=submission.pk).state == State.READY
    assert counts() == {"client": 0, "episode": 0, "referral": 0}


@pytest.mark.parametrize("cut", [0, 1, 40, -1])
@pytest.mark.parametrize("name", [kept.UPLOAD, kept.FINDINGS])
def test_nothing_is_accepted_of_a_file_that_is_cut_short(with_a_key, sent, provider, uploads, name, cut):
    submission = sent(FIRST, SECOND)
    (path,) = uploads.rglob(name)
    path.write_bytes(path.read_bytes()[:cut])

    with pytest.raises(Refused, match=r"damaged|cannot be opened"):
        actions.accept(by=provider, submission=submission)


def test_the_same_file_sent_again_takes_the_place_of_its_damaged_copy(sent, agency, provider, csv_of, uploads):
    data = csv_of(FIRST | {"AGNCY": agency.code})
    submission = sent(data=data)
    altered(uploads, kept.UPLOAD)

    assert received(agency, provider, data) == submission

    assert actions.accept(by=provider, submission=submission).state == State.ACCEPTED
    assert counts() == {"client": 1, "episode": 1, "referral": 1}
    assert len(list(uploads.glob("*/upload"))) == 1


def test_the_same_file_sent_again_is_checked_again_where_its_findings_are_damaged(
    sent, agency, provider, csv_of, uploads
):
    data = csv_of(FIRST | {"AGNCY": agency.code, "SEX": ""}, SECOND | {"AGNCY": agency.code})
    submission = sent(data=data)
    altered(uploads, kept.FINDINGS)

    assert received(agency, provider, data) == submission
    worker.run(threading.Event(), once=True)

    submission.refresh_from_db()
    assert (submission.state, submission.attempts) == (State.READY, 2)
    assert received(agency, provider, data) == submission
    submission.refresh_from_db()
    assert (submission.state, submission.attempts) == (State.READY, 2)


def test_a_disk_that_cannot_be_read_is_told_and_the_file_is_checked_again_later(agency, provider, csv_of, monkeypatch):
    submission = received(agency, provider, csv_of(FIRST | {"AGNCY": agency.code}))
    real = Path.open

    def broken(path, *told, **more):
        if path.name == kept.UPLOAD:
            raise OSError(errno.EIO, "Input/output error")
        return real(path, *told, **more)

    monkeypatch.setattr(Path, "open", broken)
    worker.run(threading.Event(), once=True)
    submission.refresh_from_db()
    assert submission.state == State.FAILED
    assert "cannot be opened now" in submission.problem

    monkeypatch.undo()
    actions.check_again(by=provider, submission=submission)
    worker.run(threading.Event(), once=True)

    submission.refresh_from_db()
    assert (submission.state, submission.problem) == (State.READY, "")


@pytest.fixture
def never_checked(monkeypatch):
    def check(*_, **__):
        raise AssertionError("it was checked")

    monkeypatch.setattr(checking, "check", check)


@pytest.mark.parametrize("line_end", [b"\r\n", b"\n", b"\r"])
def test_a_file_that_is_far_too_long_is_refused_before_it_is_checked(
    never_checked, agency, provider, csv_of, settings, line_end
):
    settings.UPLOAD_ROWS = 3
    submission = received(agency, provider, csv_of(*[FIRST] * 4).replace(b"\r\n", line_end))

    worker.run(threading.Event(), once=True)

    submission.refresh_from_db()
    assert submission.state == State.REFUSED
    assert "more than 3 records, the most that this service takes at once: send it in parts" in submission.problem


def test_blank_lines_make_no_file_too_long(sent, csv_of, settings, agency):
    settings.UPLOAD_ROWS = 2
    data = csv_of(*({"AGNCY": agency.code} | row for row in (FIRST, SECOND)))

    assert sent(data=data + b"\r\n" * 5 + b",,,\r\n" * 5).rows == 2


def test_a_file_whose_cells_span_lines_is_counted_by_the_check(sent, settings, agency):
    settings.UPLOAD_ROWS = 2
    lines = {"LAT": "two\r\nlines"}
    few = sent(FIRST | lines, SECOND | lines)
    many = sent(FIRST | lines, SECOND | lines, {})

    assert (few.state, few.rows) == (State.READY, 2)
    assert many.state == State.REFUSED
    assert "more than 2 records" in many.problem


# ---- what lies aside -------------------------------------------------------------------------------


def test_what_a_killed_process_of_an_older_version_left_aside_is_removed_by_the_next_worker(db, uploads):
    old, new = kept.aside() / "tmp.upload.csv", kept.aside() / "cjit-new.csv"
    folder = kept.aside() / "cjit-folder"
    folder.mkdir()
    for path in (old, new, folder / "copy.csv"):
        path.write_bytes(b"x")
    for path in (old, folder):
        os.utime(path, (time.time() - 700,) * 2)

    worker.run(threading.Event(), once=True)

    assert list(kept.aside().iterdir()) == [new]
    assert kept.aside().stat().st_mode & 0o777 == 0o700


@pytest.fixture
def without_proc(monkeypatch):
    """A computer on which a file without a name cannot be opened again, as one without Linux."""
    monkeypatch.setattr(temporary, "_leads_to", lambda *_: False)


def test_where_a_copy_must_have_a_name_it_is_private_and_not_removed_while_it_is_in_use(
    with_a_key, without_proc, agency, provider, csv_of
):
    submission = received(agency, provider, csv_of(FIRST))
    with kept.opened(submission) as path:
        assert path.parent == kept.aside()
        assert path.stat().st_mode & 0o777 == 0o600
        os.utime(path, (time.time() - 700,) * 2)
        kept.sweep()
        assert path.read_bytes() == csv_of(FIRST)
    assert list(kept.aside().iterdir()) == []


KILLED_WHILE_IT_READS = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "cjit.web.settings"
import django
from django.conf import settings
settings.UPLOADS = sys.argv[1]
django.setup()
from cjit.files import temporary
from cjit.web import kept
temporary._leads_to = lambda *_: False
copy = temporary.PrivateFile(kept.aside())
print(copy.path, flush=True)
os.kill(os.getpid(), 9)
"""


@pytest.mark.process
def test_where_a_copy_must_have_a_name_what_a_killed_process_left_is_removed(db, uploads):
    told = subprocess.run(
        [sys.executable, "-c", KILLED_WHILE_IT_READS, str(uploads)], capture_output=True, text=True, check=False
    )
    assert told.returncode == -signal.SIGKILL, told.stderr
    left = Path(told.stdout.strip())
    assert left.is_file()
    os.utime(left, (time.time() - 700,) * 2)

    kept.sweep()

    assert not left.exists()


def has_a_copy(pid: int) -> bool:
    """Whether a process has a file open that is aside, under a name or without one, and has written to it."""
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            if os.readlink(link).startswith(f"{kept.aside()}/") and link.stat().st_size:
                return True
    return False


@pytest.mark.process
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for the copy in /proc")
@pytest.mark.django_db(transaction=True)
def test_a_worker_killed_while_it_reads_a_file_leaves_nothing_of_it_in_plain(
    with_a_key, agency, provider, csv_of, uploads, settings, begun_worker
):
    many = [
        {"CLIENTID": str(n), "CLIENT": f"MADEUP{n}", "EPISODID": f"1{n}", "REFERID": f"2{n}"} for n in range(1, 9_001)
    ]
    submission = received(agency, provider, csv_of(*({"AGNCY": agency.code, **row} for row in many)))
    with begun_worker() as process:
        while not has_a_copy(process.pid):
            assert process.poll() is None
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)

    submission.refresh_from_db()
    assert submission.state == State.CHECKING
    everything = [path for home in (uploads, settings.HOME) for path in home.rglob("*") if path.is_file()]
    assert uploads / submission.stored / kept.UPLOAD in everything
    assert [path for path in everything if b"MADEUP" in path.read_bytes()] == []


# ---- another check ---------------------------------------------------------------------------------


def test_a_failed_check_is_asked_for_again_without_another_upload(agency, provider, csv_of, monkeypatch):
    submission = received(agency, provider, csv_of(FIRST | {"AGNCY": agency.code}))
    monkeypatch.setattr(checking, "check", lambda *_, **__: 1 / 0)
    worker.run(threading.Event(), once=True)
    submission.refresh_from_db()
    assert submission.state == State.FAILED
    monkeypatch.undo()

    actions.check_again(by=provider, submission=submission)
    worker.run(threading.Event(), once=True)

    submission.refresh_from_db()
    assert (submission.state, submission.attempts, submission.rows) == (State.READY, 2, 1)
    assert AuditEvent.objects.filter(action="asked for another check", person=provider).count() == 1


def test_findings_that_are_damaged_are_made_anew_by_another_check(sent, provider, uploads):
    submission = sent(FIRST | {"SEX": ""}, SECOND)
    altered(uploads, kept.FINDINGS)

    actions.check_again(by=provider, submission=submission)
    worker.run(threading.Event(), once=True)

    done = actions.accept(by=provider, submission=Submission.objects.get(pk=submission.pk))
    assert done.receipt["left_out"]["rejected rows"] == 1


def test_only_what_needs_another_check_is_checked_again(sent, provider, agency, csv_of):
    submission = sent(FIRST)
    with pytest.raises(Refused, match="is checked already"):
        actions.check_again(by=provider, submission=submission)
    actions.withdraw(by=provider, submission=submission)
    with pytest.raises(Refused, match="cannot be checked again, because it is withdrawn"):
        actions.check_again(by=provider, submission=submission)
    Submission.objects.filter(pk=submission.pk).update(state=State.FAILED)
    other = received(agency, provider, csv_of(SECOND))
    with pytest.raises(Refused, match=f"{other.number} is open: accept or withdraw it"):
        actions.check_again(by=provider, submission=submission)
    Submission.objects.filter(pk=submission.pk).update(stored="")
    with pytest.raises(Refused, match="no longer kept: send it again"):
        actions.check_again(by=provider, submission=submission)


# ---- how many --------------------------------------------------------------------------------------


def test_an_agency_that_has_sent_too_many_files_is_told_when_to_go_on(agency, provider, csv_of, uploads, settings):
    settings.UPLOADS_AN_HOUR = 2
    one, two = (received(agency, provider, csv_of(FIRST | {"CLIENT": name})) for name in ("A1", "A2"))
    at = timezone.now() - timedelta(minutes=55)
    Submission.objects.filter(pk=one.pk).update(at=at)
    then = timezone.localtime(at + timedelta(hours=1, minutes=1))

    with pytest.raises(Refused, match=rf"sent 2 files in the last hour.*wait until {then:%H:%M} to send this one"):
        received(agency, provider, csv_of(SECOND))

    assert len(list(uploads.iterdir())) == 2
    two.refresh_from_db()
    assert two.state == State.RECEIVED
    Submission.objects.filter(pk=one.pk).update(at=at - timedelta(minutes=6))
    assert received(agency, provider, csv_of(SECOND)).state == State.RECEIVED


def test_a_file_that_is_only_recognised_and_another_agencys_do_not_count(
    agency, other_agency, provider, csv_of, settings
):
    settings.UPLOADS_AN_HOUR = 1
    data = csv_of(FIRST)
    first = received(agency, provider, data)

    assert received(agency, provider, data) == first
    assert received(other_agency, provider, data) != first
