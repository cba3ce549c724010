"""What is removed by its age, where a clock is wrong."""

import io
import os
import time
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from cjit.web import clock, jobs, kept, worker
from cjit.web.agencies.models import AuditEvent, Role
from cjit.web.portal import actions
from cjit.web.portal.checking import QUEUE
from cjit.web.portal.models import State, Submission

REAL = time.time


@pytest.fixture
def a_clock_100_days_ahead(monkeypatch):
    """This process believes that it is 100 days later, as on a machine whose clock is not set yet."""

    def begin():
        monkeypatch.setattr(timezone, "now", lambda: datetime.fromtimestamp(REAL(), UTC) + timedelta(days=100))
        monkeypatch.setattr(time, "time", lambda: REAL() + 100 * 86_400)

    return begin


@pytest.fixture
def settled(agency, provider, uploads):
    """Uploads of settled submissions, as they are kept."""

    def make(count: int, *, days_ago: float = 1) -> None:
        at = timezone.now() - timedelta(days=days_ago)
        for number in range(count):
            stored, size, sha256 = kept.keep(io.BytesIO(f"upload {days_ago} {number}".encode()))
            one = Submission.objects.create(
                agency=agency,
                by=provider,
                name="march.csv",
                scope="new",
                state=State.WITHDRAWN,
                stored=stored,
                size=size,
                sha256=sha256,
            )
            Submission.objects.filter(pk=one.pk).update(at=at)

    return make


def still_kept() -> int:
    return Submission.objects.exclude(stored="").count()


@pytest.mark.django_db
def test_the_time_is_the_databases_whatever_this_process_believes(a_clock_100_days_ahead):
    a_clock_100_days_ahead()

    assert abs(clock.database_now().timestamp() - REAL()) < 5


# ---- a worker whose clock is wrong -----------------------------------------------------------------


def test_a_worker_whose_clock_is_ahead_removes_no_upload_and_signs_nobody_out(
    settled, uploads, provider, signed_in, a_clock_100_days_ahead
):
    settled(12)
    # Of no record, and new: what a page is keeping at the moment.
    kept.keep(io.BytesIO(b"arriving"))
    being_read = kept.aside() / "cjit-copy.csv"
    being_read.write_bytes(b"x")
    browser = signed_in(provider)
    folders = sorted(uploads.iterdir())
    a_clock_100_days_ahead()

    kept.sweep()
    removed = worker.tidy()

    assert set(removed.values()) == {0}
    assert still_kept() == 12
    assert sorted(uploads.iterdir()) == folders
    assert being_read.exists()
    assert Session.objects.filter(session_key=browser.session.session_key).exists()


def test_a_worker_whose_clock_is_ahead_takes_no_work_from_another(settled, a_clock_100_days_ahead):
    settled(1)
    Submission.objects.update(state=State.RECEIVED)
    assert QUEUE.claim() is not None
    a_clock_100_days_ahead()

    assert QUEUE.claim() is None


def test_what_a_worker_whose_clock_is_ahead_left_undone_is_taken_up_by_another(
    settled, a_clock_100_days_ahead, monkeypatch
):
    settled(1)
    Submission.objects.update(state=State.RECEIVED)
    a_clock_100_days_ahead()
    claim = QUEUE.claim()
    assert isinstance(claim, jobs.Claim)
    claim.progress()(1)
    monkeypatch.undo()

    heartbeat = Submission.objects.get().heartbeat
    assert heartbeat is not None
    assert heartbeat < timezone.now() + timedelta(seconds=5)


# ---- too many at once ------------------------------------------------------------------------------


def test_a_few_old_uploads_are_removed_though_they_are_all_there_is(settled):
    settled(10, days_ago=100)

    assert worker.tidy()["uploads of settled submissions"] == 10
    assert still_kept() == 0
    assert not AuditEvent.objects.filter(action=clock.HELD_BACK).exists()


def test_more_than_a_tenth_of_all_uploads_is_not_removed_at_once(settled, caplog):
    settled(11, days_ago=100)
    settled(9)

    assert worker.tidy()["uploads of settled submissions"] == 0
    assert worker.tidy()["uploads of settled submissions"] == 0

    assert still_kept() == 20
    assert "11 of 20 uploads of settled submissions are old enough to be removed" in caplog.text
    assert "manage tidy --all" in caplog.text
    event = AuditEvent.objects.get(action=clock.HELD_BACK)
    assert (event.who, event.counts) == ("the service", {"old": 11, "of": 20})


def test_an_administrator_sees_what_was_held_back_until_it_is_removed(settled, person_with, signed_in, capsys):
    settled(11, days_ago=100)
    settled(9)
    office: Client = signed_in(person_with(Role.ADMINISTRATOR))
    said = "11 of 20 uploads of settled submissions were old enough to be removed"
    assert said not in office.get(reverse("people")).text

    call_command("tidy")
    assert said in office.get(reverse("people")).text

    call_command("tidy", "--all")
    assert said not in office.get(reverse("people")).text
    assert still_kept() == 9
    assert "      11 uploads of settled submissions removed" in capsys.readouterr().out
    assert AuditEvent.objects.filter(action=clock.CARRIED_OUT).count() == 1


def test_where_few_of_many_uploads_are_old_they_are_removed(settled):
    settled(11, days_ago=100)
    settled(99)

    assert actions.remove_files() == 11
    assert still_kept() == 99


def test_folders_that_no_record_has_are_not_all_removed_at_once(settled, uploads, caplog):
    settled(1)
    for number in range(11):
        left = uploads / f"left{number}"
        left.mkdir()
        os.utime(left, (REAL() - 90_000,) * 2)

    assert worker.tidy()["folders that no record has"] == 0
    assert "11 of 12 folders that no record has are old enough to be removed" in caplog.text
    assert worker.tidy(told=True)["folders that no record has"] == 11
    assert len([path for path in uploads.iterdir() if path != kept.aside()]) == 1


def test_sessions_that_are_over_are_removed(provider, signed_in):
    over, goes_on = signed_in(provider), signed_in(provider)
    Session.objects.filter(session_key=over.session.session_key).update(expire_date=timezone.now())

    assert worker.tidy()["sessions that are over"] == 1
    assert list(Session.objects.values_list("session_key", flat=True)) == [goes_on.session.session_key]
