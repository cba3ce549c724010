"""What a worker does for a caseload: what is seen is what is made, nothing twice, and no kill loses anything."""

import hashlib
import io
import threading
from datetime import date, timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from cjit.dataset import Entity
from cjit.datasets.q.example import EXAMPLE
from cjit.web import kept, worker
from cjit.web.agencies.actions import Refused
from cjit.web.agencies.models import AuditEvent, Membership, Role
from cjit.web.caseload import actions, leaving, working
from cjit.web.caseload.models import Client, Episode, Extract, Import, Stage
from cjit.web.caseload.record import KEPT
from cjit.web.portal import actions as portal
from cjit.web.portal.models import State, Submission

MAKE, IMPORT, CHECK, READ = working.QUEUES


def works() -> None:
    worker.run(threading.Event(), once=True)


@pytest.fixture
def enter(agency, keyworker):
    """A client who consents, as a keyworker enters them. Returns their episode."""
    number = 0

    def make(**changes) -> Episode:
        nonlocal number
        number += 1
        typed = {**EXAMPLE, "CLIENT": f"R{number}", **changes}
        episode = actions.begin_client(by=keyworker, agency=agency, typed={h: typed[h] for h in KEPT[Entity.CLIENT]})
        actions.save(by=keyworker, record=episode, typed={h: typed[h] for h in KEPT[Entity.EPISODE]})
        actions.add_referral(by=keyworker, episode=episode, typed={"REFDATE": typed["REFDATE"]})
        actions.record_consent(by=keyworker, client=episode.client, given=True, on=date(2025, 11, 6))
        return Episode.objects.select_related("client__agency").get(pk=episode.pk)

    return make


@pytest.fixture
def asked(manager, agency):
    """Somebody has an extract checked: of all records up to today."""

    def ask(by=manager, *, leave_out: bool = False, since: Extract | None = None) -> Extract:
        return actions.ask_for_extract(
            by=by, agency=agency, until=timezone.localdate(), since=since, leave_out=leave_out
        )

    return ask


@pytest.fixture
def checked(asked):
    def ask(*given, **told) -> Extract:
        extract = asked(*given, **told)
        works()
        extract.refresh_from_db()
        assert extract.state == Stage.CHECKED
        return extract

    return ask


@pytest.fixture
def made(checked, manager):
    def make(*, to_portal: bool = False, **told) -> Extract:
        extract = checked(**told)
        actions.order_extract(by=manager, extract=extract, to_portal=to_portal)
        works()
        extract.refresh_from_db()
        return extract

    return make


@pytest.fixture
def browser(manager, signed_in):
    return signed_in(manager)


@pytest.fixture
def both(manager, agency):
    """A manager who is a provider user too."""
    Membership.objects.create(person=manager, role=Role.PROVIDER, agency=agency)
    return manager


def folders(uploads):
    return [path for path in uploads.iterdir() if path.name != "open"] if uploads.exists() else []


def too_long_ago(table) -> None:
    table.objects.update(heartbeat=timezone.now() - timedelta(seconds=60))


# ---- what is seen is what is made ------------------------------------------------------------------


def test_the_page_awaits_the_check_and_says_how_far_it_is(asked, browser, enter):
    enter()
    extract = asked()
    page, state = reverse("extract-checked", args=[extract.pk]), reverse("extract-state", args=[extract.pk])

    answer = browser.get(page)
    assert "The extract is being checked</h1>" in answer.text
    assert '<noscript><meta http-equiv="refresh" content="2"></noscript>' in answer.text
    assert browser.get(state).json() == {"text": "It waits for its turn", "done": 0, "finished": False}

    assert CHECK.claim() is not None
    Extract.objects.update(size=60_543, done=12_000)
    assert browser.get(state).json()["text"] == "12,000 of 60,543 episodes are put together"
    Extract.objects.update(done=60_000)
    assert browser.get(state).json()["text"] == "The episodes are put together and checked"

    Extract.objects.update(state=Stage.CHECKED)
    assert browser.get(state).json()["finished"]


def test_every_thousand_episodes_the_check_says_how_far_it_is(agency, keyworker):
    client = Client.objects.create(
        agency=agency, clientid="C", consent="Y", changed=timezone.now(), begun=date(2026, 1, 1)
    )
    many = (
        Episode(client=client, agency=agency, episodid=f"E{n}", changed=timezone.now(), begun=date(2026, 1, 1))
        for n in range(2_500)
    )
    Episode.objects.bulk_create(many)
    told: list[tuple[int, int]] = []
    leaving.make(agency, until=timezone.localdate(), progress=lambda done, size: told.append((done, size)))

    assert told == [(1_000, 2_500), (2_000, 2_500)]


def test_what_was_checked_is_what_is_sent_and_what_is_changed_after_it_is_in_the_next(
    checked, asked, both, keyworker, enter, agency
):
    episode = enter()
    extract = checked()
    data = working.read(extract, working.FILE)
    actions.save(by=keyworker, record=episode, typed={"HOUSING": "2"}, why=actions.CORRECTION)
    late = enter()
    actions.order_extract(by=both, extract=extract, to_portal=True)
    works()
    extract.refresh_from_db()

    sent = Submission.objects.get()
    assert sent.sha256 == extract.sha256 == hashlib.sha256(data).hexdigest()
    assert late.client.clientid.encode() not in data
    following = leaving.make(agency, until=timezone.localdate(), since=extract)
    assert set(following.extracted.frame["EPISODID"]) == {episode.episodid, late.episodid}


def test_who_withdrew_consent_after_the_check_is_not_sent(checked, both, keyworker, enter, browser, agency):
    enter()
    gone = enter()
    extract = checked()
    actions.record_consent(by=keyworker, client=gone.client, given=False, on=timezone.localdate())
    actions.order_extract(by=both, extract=extract, to_portal=True)
    works()

    page = browser.get(reverse("extract-checked", args=[extract.pk])).text
    assert "Somebody withdrew consent, or a record was removed, after the extract was checked: check it again" in page
    assert not Submission.objects.exists()
    assert not Client.objects.filter(extracted__isnull=False).exists()
    assert not leaving.former(agency).exists()


@pytest.mark.parametrize("what", ["client", "episode", "referral"])
def test_what_was_removed_after_the_check_is_not_sent(checked, manager, keyworker, enter, agency, what):
    enter()
    episode = enter()
    extract = checked()
    if what == "client":
        actions.remove_client(by=keyworker, client=episode.client)
    elif what == "episode":
        actions.remove_episode(by=keyworker, episode=episode)
    else:
        actions.remove_referral(by=keyworker, referral=episode.referrals.get())
    actions.order_extract(by=manager, extract=extract, to_portal=False)
    works()

    extract.refresh_from_db()
    assert (extract.state, extract.problem[:8]) == (Stage.CHECKED, "Somebody")
    assert not Client.objects.filter(extracted__isnull=False).exists()


def test_what_would_be_rejected_is_left_out_by_a_check_of_what_is_left(checked, browser, enter):
    enter()
    enter(SEX="")
    extract = checked()
    page = browser.get(reverse("extract-checked", args=[extract.pk])).text

    assert "1 episode would be rejected</h1>" in page
    assert "Make the file" not in page
    assert '<input type="hidden" name="leave_out" value="on">' in page

    left = checked(leave_out=True)
    page = browser.get(reverse("extract-checked", args=[left.pk])).text
    assert "The extract is ready</h1>" in page
    assert "1 episode that would be rejected" in page


def test_a_made_extract_is_downloaded_as_often_as_one_likes_for_a_day_and_each_time_is_on_record(
    made, browser, enter, uploads
):
    enter()
    extract = made()
    file = reverse("extract-file", args=[extract.pk])
    once, twice = browser.get(file).getvalue(), browser.get(file).getvalue()

    assert once == twice
    assert hashlib.sha256(once).hexdigest() == extract.sha256
    assert AuditEvent.objects.filter(action="downloaded an extract").count() == 2

    Extract.objects.update(at=timezone.now() - timedelta(hours=25))
    actions.remove_passed()
    assert not folders(uploads)
    answer = browser.get(file)
    assert "is not kept any more" in answer.text
    assert "Content-Disposition" not in answer.headers
    page = browser.get(reverse("extract-checked", args=[extract.pk])).text
    assert "Its file is not kept here" in page
    assert extract.sha256 in page.replace("<wbr>", "")


def test_nothing_is_downloaded_of_an_extract_that_is_not_made_but_the_copy_with_labels(checked, browser, enter):
    enter()
    extract = checked()

    assert browser.get(reverse("extract-file", args=[extract.pk])).status_code == 404
    assert browser.get(reverse("extract-labels", args=[extract.pk])).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_what_is_sent_to_the_portal_is_kept_there_alone(made, both, enter, uploads):
    enter()
    extract = made(to_portal=True)

    assert extract.stored == ""
    assert [path.name for path in folders(uploads)] == [Submission.objects.get().stored]


def test_a_file_that_was_altered_on_the_disk_is_never_sent(checked, both, enter, uploads):
    enter()
    extract = checked()
    (path,) = uploads.rglob(f"*{working.FILE}")
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    actions.order_extract(by=both, extract=extract, to_portal=True)
    works()

    extract.refresh_from_db()
    assert extract.problem == "The file of this extract is not kept any more: check the extract again"
    assert not Submission.objects.exists()


def test_the_files_of_an_extract_are_for_the_service_alone(checked, enter, uploads):
    enter()
    checked()
    files = [path for path in uploads.rglob("*") if path.is_file()]

    assert {path.name[2:] for path in files} == {working.FILE, working.LABELS, working.LEFT_OUT}
    assert {path.stat().st_mode & 0o077 for path in files} == {0}


# ---- one at a time ---------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_another_check_takes_the_place_of_ones_own_and_of_nobody_elses(
    checked, asked, manager, person_with, agency, enter, uploads
):
    enter()
    colleague = person_with(Role.MANAGER, agency=agency)
    theirs, mine = checked(colleague), checked()
    newer = asked()

    assert set(Extract.objects.values_list("pk", flat=True)) == {theirs.pk, newer.pk}
    assert not Extract.objects.filter(pk=mine.pk).exists()
    assert [path.name for path in folders(uploads)] == [theirs.stored]


@pytest.mark.django_db(transaction=True)
def test_a_check_that_gave_way_while_it_ran_leaves_nothing(asked, enter, uploads):
    enter()
    asked()
    mine = CHECK.claim()
    assert mine is not None
    newer = asked()
    mine.carry_out()

    assert list(Extract.objects.all()) == [newer]
    assert not folders(uploads)


def test_an_extract_that_is_ordered_twice_is_made_once(checked, both, browser, enter):
    enter()
    extract = checked()
    for _ in range(2):
        answer = browser.post(reverse("extract-make", args=[extract.pk]), {"to": "portal"})
        assert answer["Location"] == reverse("extract-checked", args=[extract.pk])
    works()
    browser.post(reverse("extract-make", args=[extract.pk]), {"to": "portal"})
    works()

    assert Submission.objects.count() == 1
    assert AuditEvent.objects.filter(action="made an extract").count() == 1


@pytest.mark.parametrize("state", [Stage.WAITING, Stage.CHECKING, Stage.FAILED])
def test_an_extract_that_is_not_checked_is_not_made(asked, manager, enter, state):
    enter()
    extract = asked()
    Extract.objects.update(state=state)

    with pytest.raises(Refused, match="This extract cannot be made: check it again"):
        actions.order_extract(by=manager, extract=extract, to_portal=False)


def test_who_may_not_send_any_more_when_their_turn_comes_sends_nothing(checked, both, enter):
    enter()
    extract = checked()
    actions.order_extract(by=both, extract=extract, to_portal=True)
    both.memberships.filter(role=Role.PROVIDER).delete()
    works()

    extract.refresh_from_db()
    assert "Only a provider user sends files of the agency" in extract.problem
    assert not Submission.objects.exists()


def test_one_kind_of_work_waits_for_no_long_line_of_another(asked, agency, provider, enter, csv_of, monkeypatch):
    enter()
    asked()
    portal.receive(by=provider, agency=agency, file=io.BytesIO(csv_of({})), name="march.csv", scope="new")
    done: list[str] = []
    for queue in worker.QUEUES:
        monkeypatch.setitem(queue.__dict__, "work", lambda claim, kind=queue.jobs.__name__: done.append(kind))
    for _ in range(2):
        # Nothing is settled, so whatever was taken is taken once more when its heart stands still.
        works()
        too_long_ago(Submission)
        too_long_ago(Extract)

    assert done == ["Submission", "Extract"] * 2


# ---- workers that die ------------------------------------------------------------------------------


def test_a_worker_taken_for_dead_can_spoil_nothing(asked, made, enter, agency):
    enter()
    asked()
    zombie = CHECK.claim()
    assert zombie is not None
    too_long_ago(Extract)
    works()
    extract = Extract.objects.get()
    assert extract.state == Stage.CHECKED
    before = working.read(extract, working.FILE)
    enter()

    zombie.carry_out()

    extract.refresh_from_db()
    assert (extract.state, extract.attempts) == (Stage.CHECKED, 2)
    assert working.read(extract, working.FILE) == before
    assert extract.sha256 == hashlib.sha256(before).hexdigest()


def test_an_extract_that_kills_every_worker_is_given_up_and_can_be_asked_for_again(asked, browser, enter, settings):
    enter()
    extract = asked()
    for _ in range(settings.ATTEMPTS):
        assert CHECK.claim() is not None
        too_long_ago(Extract)
    assert CHECK.claim() is None

    page = browser.get(reverse("extract-checked", args=[extract.pk])).text
    assert "The extract could not be checked</h1>" in page
    assert "The check was stopped several times without an end" in page
    assert "Check it again" in page


def test_a_fault_of_ours_says_what_to_do_and_logs_no_value(asked, browser, enter, monkeypatch, caplog):
    name = "Zebedee"
    enter(CLIENT=name)
    extract = asked()

    def broken(*_, **__):
        raise ValueError(name)

    monkeypatch.setattr(leaving, "extract", broken)
    works()

    page = browser.get(reverse("extract-checked", args=[extract.pk])).text
    assert "because of a fault of this service: check it again" in page
    assert name not in caplog.text
    assert "ValueError" in caplog.text


def _many(agency, keyworker) -> None:
    """Clients enough for a check that takes some seconds."""
    rows = {h: EXAMPLE[h] for h in KEPT[Entity.EPISODE]}
    now, today = timezone.now(), date(2026, 1, 1)
    details = {h: EXAMPLE[h] for h in KEPT[Entity.CLIENT]}
    about = {"agency": agency, "changed": now, "begun": today}
    clients = [
        Client(clientid=f"C{n}", consent="Y", values={**details, "CLIENT": f"R{n}"}, **about) for n in range(8_000)
    ]
    Client.objects.bulk_create(clients)
    Episode.objects.bulk_create(
        Episode(client=client, episodid=f"E{n}", values=rows, triaged=date(2025, 11, 6), **about)
        for n, client in enumerate(clients)
    )


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("after", [0.0, 0.4, 1.0])
def test_a_worker_killed_at_any_moment_of_a_check_loses_nothing(asked, agency, keyworker, after, killed_worker):
    _many(agency, keyworker)
    extract = asked()

    killed_worker(extract, after)
    Extract.objects.filter(state=Stage.CHECKING).update(heartbeat=timezone.now() - timedelta(seconds=60))
    works()

    extract.refresh_from_db()
    assert (extract.state, extract.counts["clients"]) == (Stage.CHECKED, 8_000)
    assert hashlib.sha256(working.read(extract, working.FILE)).hexdigest() == extract.sha256


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("after", [0.0, 0.15, 0.5])
def test_a_worker_killed_while_it_sends_sends_once_and_marks_all(
    checked, both, agency, keyworker, after, killed_worker
):
    _many(agency, keyworker)
    extract = checked(leave_out=True)
    actions.order_extract(by=both, extract=extract, to_portal=True)
    extract.refresh_from_db()

    killed_worker(extract, after)
    Extract.objects.filter(state=Stage.MAKING).update(heartbeat=timezone.now() - timedelta(seconds=60))
    Submission.objects.filter(state=State.CHECKING).update(heartbeat=timezone.now() - timedelta(seconds=60))
    works()

    extract.refresh_from_db()
    sent = Submission.objects.get()
    assert (extract.state, extract.submission, sent.sha256) == (Stage.MADE, sent.number, extract.sha256)
    assert Client.objects.filter(extracted=extract.at).count() == 8_000
    assert (sent.state, sent.rows) == (State.READY, 8_000)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("after", [0.0, 0.5, 1.5])
def test_a_worker_killed_while_it_imports_imports_once(agency, manager, csv_of, after, killed_worker, uploads):
    many = [
        {"AGNCY": agency.code, "CLIENTID": f"C{n}", "CLIENT": f"R{n}", "EPISODID": f"E{n}", "REFERID": f"F{n}"}
        for n in range(3_000)
    ]
    arrived = actions.ask_for_import(by=manager, agency=agency, file=io.BytesIO(csv_of(*many)), name="last.csv")
    works()
    actions.order_import(by=manager, arrived=arrived)
    arrived.refresh_from_db()

    killed_worker(arrived, after)
    Import.objects.filter(state=Stage.MAKING).update(heartbeat=timezone.now() - timedelta(seconds=60))
    works()

    arrived.refresh_from_db()
    assert (arrived.state, arrived.counts["clients"], arrived.stored) == (Stage.MADE, 3_000, "")
    assert Client.objects.count() == 3_000
    assert AuditEvent.objects.filter(action="imported records").count() == 1
    assert kept.aside().exists()
    assert not folders(uploads)
