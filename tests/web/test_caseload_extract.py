"""What leaves a caseload: the extract, its page, its settings, and the loop to the portal and back."""

import csv
import hashlib
import io
import re
import threading
import time
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import DatabaseError, connection, transaction
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.web.conftest import awaited
from tests.web.test_caseload_actions import together

from cjit.dataset import Entity
from cjit.datasets.q.example import EXAMPLE
from cjit.dates import Style
from cjit.engine.checking import check
from cjit.extract import NOT_SENT
from cjit.files.opening import open_file
from cjit.geography import TRUNCATED
from cjit.web import worker
from cjit.web.agencies.actions import Refused
from cjit.web.agencies.models import AuditEvent, Membership, Role
from cjit.web.caseload import actions, arriving, leaving, working
from cjit.web.caseload.models import Client, Contact, Episode, Extract, Note, Practice, Referral
from cjit.web.caseload.record import KEPT
from cjit.web.dataset import DATASET
from cjit.web.portal import actions as portal
from cjit.web.portal import store
from cjit.web.portal.models import Submission

TODAY = date(2026, 6, 30)


def made(agency, *, until=TODAY, **told):
    return leaving.make(agency, until=until, **told)


def recorded(agency, by=None, **told):
    done = made(agency, **told)
    return working.record(done, done.data(), by=by)


def a_while_ago():
    """Make what was done so far lie back an hour, and the records an hour before their extracts."""
    hour = timedelta(hours=1)
    for table in (Client, Episode, Referral):
        table.objects.update(changed=F("changed") - 2 * hour)
    Extract.objects.update(at=F("at") - hour)


def rows_of(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode(), newline=""), strict=True))


def clients_of(done) -> list[str]:
    return done.extracted.frame["CLIENTID"].to_list()


# ---- who is in it ----------------------------------------------------------------------------------


def test_a_client_who_consents_is_in_it_with_the_sector_of_the_postcode(agency, enter):
    episode = enter(PC="ne8 1ab")
    (row,) = rows_of(made(agency).data())

    assert (row["CLIENTID"], row["EPISODID"], row["CONSENT"]) == (episode.client.clientid, episode.episodid, "Y")
    assert (row["PC"], row["AGNCY"], row["REFDATE"]) == ("NE8 1", agency.code, "20251201")
    assert row["CMSID"].startswith("cjit ")


@pytest.mark.parametrize(("style", "written"), [(Style.EIGHT, "20251201"), (Style.SLASHED, "01/12/2025")])
def test_dates_are_written_as_the_installation_is_set_and_labels_have_slashes(agency, enter, settings, style, written):
    settings.DATES = style
    enter()
    done = made(agency)
    (row,) = rows_of(done.data())
    (shown,) = rows_of(done.data(labels=True).removeprefix(b"\xef\xbb\xbf"))

    assert (row["REFDATE"], shown["REFDATE"]) == (written, "01/12/2025")
    assert done.data() == made(agency).data()


@pytest.mark.parametrize("consent", [None, False])
def test_of_a_client_without_consent_there_is_nothing(agency, enter, consent):
    enter(consent=consent)
    done = made(agency)

    assert done.extracted.frame.is_empty()
    assert leaving.consents(agency) == {
        "given": 0,
        "not asked": int(consent is None),
        "declined": int(consent is False),
        "withdrawn": 0,
    }


def test_of_a_client_who_withdrew_after_an_extract_each_one_says_only_that(agency, enter, keyworker):
    episode = enter()
    enter()
    first = recorded(agency)
    a_while_ago()
    actions.record_consent(by=keyworker, client=episode.client, given=False, on=timezone.localdate())
    first.refresh_from_db()

    for since in (None, first, recorded(agency)):
        done = made(agency, since=since)
        line = next(row for row in rows_of(done.data()) if row["CLIENTID"] == episode.client.clientid)
        assert {h: v for h, v in line.items() if v} == {
            "CLIENTID": episode.client.clientid,
            "AGNCY": agency.code,
            "CONSENT": "N",
        }
        assert done.counts["withdrawn"] == 1
        assert not done.extracted.blocked


def test_a_client_who_withdrew_before_any_extract_had_them_is_in_none(agency, enter, keyworker):
    episode = enter()
    actions.record_consent(by=keyworker, client=episode.client, given=False, on=timezone.localdate())

    assert made(agency).extracted.frame.is_empty()


def test_a_client_who_consents_again_is_in_it_again(agency, enter, keyworker):
    episode = enter()
    recorded(agency)
    for answer in (False, True):
        actions.record_consent(by=keyworker, client=episode.client, given=answer, on=timezone.localdate())

    assert made(agency).counts["episodes"] == 1


def test_another_agencys_clients_are_not_in_it(other_agency, enter):
    enter()

    assert made(other_agency).extracted.frame.is_empty()


@pytest.mark.every_case
@pytest.mark.parametrize(
    ("typed", "until", "inside"),
    [
        ({"TRIAGED": "06/11/2025"}, date(2025, 11, 6), True),
        ({"TRIAGED": "06/11/2025"}, date(2025, 11, 5), False),
        ({"TRIAGED": "", "REFLD": "03/11/2025"}, date(2025, 11, 3), True),
        ({"TRIAGED": "soon", "REFLD": "03/11/2025"}, date(2025, 11, 2), False),
        ({"TRIAGED": "", "REFLD": ""}, TODAY, False),
        ({"TRIAGED": "", "REFLD": ""}, date(2100, 1, 1), True),
    ],
)
def test_an_episode_belongs_in_by_its_first_day(agency, enter, typed, until, inside):
    enter(**typed)
    done = made(agency, until=until)

    assert done.extracted.frame.height == int(inside)
    assert done.later == int(not inside)


def test_what_stays_here_is_in_no_extract(agency, enter, keyworker):
    episode = enter()
    secret = "Zebedee Zimmermann"
    actions.add_note(by=keyworker, client=episode.client, text=secret)
    actions.add_contact(
        by=keyworker, episode=episode, on=TODAY, kind="office", face_to_face=True, custody=False, note=secret
    )
    actions.close_episode(
        by=keyworker, episode=episode, typed={"DISD": "01/06/2026", "CJDISRSN": "13"}, destination="X01"
    )
    assert Note.objects.exists()
    assert Contact.objects.exists()
    data = made(agency).data()

    assert secret not in data.decode()
    assert set(rows_of(data)[0]) == set(DATASET.headers)


# ---- what is new -----------------------------------------------------------------------------------


@pytest.fixture
def three(agency, enter):
    """Three clients, all of whom an extract had an hour ago; the extract comes last."""
    episodes = [enter(), enter(), enter()]
    recorded(agency)
    a_while_ago()
    return [*episodes, Extract.objects.get()]


def test_nothing_is_new_when_nothing_was_done(agency, three):
    assert made(agency, since=three[-1]).extracted.frame.is_empty()


@pytest.mark.parametrize("what", ["client", "episode", "referral", "a new referral", "consent"])
def test_what_was_changed_is_new(agency, three, keyworker, what):
    episode, *_, since = three
    told = {"by": keyworker, "why": actions.CORRECTION}
    match what:
        case "client":
            actions.save(record=episode.client, typed={"SEX": "F"}, **told)
        case "episode":
            actions.save(record=episode, typed={"HOUSING": "2"}, **told)
        case "referral":
            actions.save(record=episode.referrals.get(), typed={"REFDATE": "02/12/2025"}, **told)
        case "a new referral":
            actions.add_referral(by=keyworker, episode=episode, typed={"REFDATE": "09/12/2025"})
        case _:
            actions.record_consent(by=keyworker, client=episode.client, given=True, on=TODAY)

    assert set(clients_of(made(agency, since=since))) == {episode.client.clientid}


def test_a_new_client_is_new_and_so_is_one_who_was_left_out_by_the_period(agency, three, enter):
    since = three[-1]
    begun = enter()
    later = enter(TRIAGED="15/06/2026", REFLD="15/06/2026", CPLANDT="", REFDATE="16/06/2026")
    assert set(clients_of(made(agency, since=since))) == {begun.client.clientid, later.client.clientid}

    recorded(agency, until=date(2026, 5, 31))
    Episode.objects.update(extracted=timezone.now())
    a_while_ago()

    assert clients_of(made(agency, since=Extract.objects.first())) == [later.client.clientid]


def test_one_who_was_left_out_because_they_would_have_been_rejected_is_new(agency, three, enter):
    bad = enter(SEX="")
    recorded(agency, leave_out=True)
    a_while_ago()

    assert list(made(agency, since=Extract.objects.first()).extracted.rejected) == [bad.episodid]


def test_a_change_that_was_left_out_is_new_as_long_as_it_is_not_mended(agency, three, enter, keyworker):
    episode = three[0]
    actions.save(by=keyworker, record=episode, typed={"DRUG1": ""}, why=actions.CORRECTION)
    Episode.objects.filter(pk=episode.pk).update(changed=timezone.now() - timedelta(minutes=30))
    enter()
    last = recorded(agency, since=Extract.objects.get(), leave_out=True)
    assert last.counts["left out"] == 1

    # An official list may settle it, without anybody's hand: until then it is told.
    assert list(made(agency, since=last).extracted.rejected) == [episode.episodid]


def test_what_an_import_was_bringing_while_an_extract_was_made_is_new(agency, enter, manager, csv_of, monkeypatch):
    enter()
    read = arriving.read
    monkeypatch.setattr(leaving, "SAVING", timedelta(0))

    def slowly(*given, **told):
        arrived = read(*given, **told)
        recorded(agency)
        return arrived

    monkeypatch.setattr(arriving, "read", slowly)
    data = csv_of({"AGNCY": agency.code, "CLIENTID": "brought"})
    actions.import_records(by=manager, agency=agency, file=io.BytesIO(data), name="last.csv")

    assert clients_of(made(agency, since=Extract.objects.get())) == ["brought"]


def test_one_of_all_records_until_an_earlier_day_tells_what_it_does_not_have_any_more(ask, agency, enter):
    enter(TRIAGED="07/11/2025")
    enter(REFLD="01/05/2026", TRIAGED="01/05/2026", CPLANDT="", REFDATE="02/05/2026")
    recorded(agency)
    earlier = made(agency, until=date(2026, 3, 31))

    assert (earlier.later, earlier.held) == (1, 1)
    page = ask("look", month="2026-03").content.decode()
    assert "1 episode that began after 31 March 2026, of which 1 was in an extract before: where the portal" in page
    new = ask("look", month="2026-03", since=leaving.former(agency).get().pk).content.decode()
    assert "in an extract before" not in new


def test_what_is_sent_and_not_marked_is_not_sent(ask, manager, agency, enter, monkeypatch):
    Membership.objects.create(person=manager, role=Role.PROVIDER, agency=agency)
    enter()

    def fails(**_):
        raise DatabaseError

    monkeypatch.setattr(actions, "record_extract", fails)
    answer = ask("portal")

    assert "could not be made because of a fault of this service" in answer.text
    assert not Submission.objects.exists()
    assert not leaving.former(agency).exists()


@pytest.mark.process
@pytest.mark.django_db(transaction=True)
def test_an_extract_and_a_save_wait_for_one_another(agency, enter, keyworker, monkeypatch):
    episode = enter()
    recorded(agency)
    actions.close_episode(by=keyworker, episode=episode, typed={"DISD": "01/02/2026", "CJDISRSN": "10"})
    newer = actions.begin_episode(by=keyworker, client=episode.client)
    typed = {h: EXAMPLE[h] for h in KEPT[Entity.EPISODE]} | {"REFLD": "01/03/2026", "TRIAGED": "01/03/2026"}
    actions.save(by=keyworker, record=newer, typed=typed | {"CPLANDT": ""})
    referral = actions.add_referral(by=keyworker, episode=newer, typed={"REFDATE": "02/03/2026"})
    done = made(agency)
    assert newer.episodid in done.extracted.frame["EPISODID"]
    settle = actions._settle
    half_saved = threading.Event()

    def slowly(client):
        half_saved.set()
        time.sleep(0.5)
        settle(client)

    monkeypatch.setattr(actions, "_settle", slowly)

    def extract():
        half_saved.wait(10)
        return working.record(done, done.data())

    saved, kept = together(
        lambda: actions.save(by=keyworker, record=referral, typed={"REFDATE": "03/03/2026"}), extract
    )

    assert isinstance(saved, actions.Saved)
    assert isinstance(kept, Extract)


def test_what_was_saved_while_the_former_one_was_made_is_new(agency, three):
    episode, *_, since = three
    Episode.objects.filter(pk=episode.pk).update(changed=since.at - timedelta(seconds=2))

    assert clients_of(made(agency, since=since)) == [episode.client.clientid]


# ---- what would be rejected ------------------------------------------------------------------------


def test_an_episode_that_would_be_rejected_blocks_the_extract_until_it_is_left_out(agency, enter):
    good, bad = enter(), enter(SEX="")

    assert made(agency).extracted.blocked
    assert list(made(agency).extracted.rejected) == [bad.episodid]
    assert clients_of(made(agency, leave_out=True)) == [good.client.clientid]
    assert list(leaving.unready(agency)) == [bad]


# ---- what is kept of it ----------------------------------------------------------------------------


def test_the_same_data_give_the_same_bytes(agency, enter):
    for _ in range(5):
        enter()
    first = made(agency).data()
    Client.objects.filter(pk=Client.objects.latest("pk").pk).update(changed=timezone.now())
    recorded(agency)

    assert made(agency).data() == first
    assert Extract.objects.get().sha256 == hashlib.sha256(first).hexdigest()


def test_what_is_in_it_is_marked_once_and_what_is_not_is_not(agency, enter, manager):
    inside, outside, bad = enter(), enter(consent=None), enter(DRUG1="")
    first = recorded(agency, manager, leave_out=True)
    when = first.at
    for episode in (inside, outside, bad):
        episode.refresh_from_db()
    assert (inside.extracted, outside.extracted, bad.extracted) == (when, None, None)
    assert inside.client.__class__.objects.get(pk=inside.client_id).extracted == when
    assert inside.referrals.get().extracted == when

    recorded(agency, manager, leave_out=True)
    inside.refresh_from_db()

    assert inside.extracted == when
    assert first.counts == {"clients": 1, "episodes": 1, "referrals": 1, "withdrawn": 0, "left out": 1}


def test_the_audit_trail_has_counts_and_no_value(agency, enter, manager):
    enter(CLIENT="Zebedee")
    recorded(agency, manager)
    event = AuditEvent.objects.get(action="made an extract")

    assert (event.person, event.counts) == (manager, {"clients": 1, "episodes": 1, "referrals": 1})
    assert "Zebedee" not in str(event.__dict__)


# ---- the page --------------------------------------------------------------------------------------


@pytest.fixture
def browser(manager, signed_in):
    return signed_in(manager)


def works():
    """A worker does what waits."""
    worker.run(threading.Event(), once=True)


@pytest.fixture
def ask(browser, agency):
    """Have an extract checked for this month up to today, and press a button of its page. Returns what is seen last."""

    def press(to: str, **more):
        answer = browser.post(reverse("extract-check"), {"month": f"{timezone.localdate():%Y-%m}", **more})
        if answer.status_code != 302:
            return answer
        works()
        extract = Extract.objects.latest("pk")
        if to == "labels":
            return browser.get(reverse("extract-labels", args=[extract.pk]))
        page = answer["Location"]
        assert page == reverse("extract-checked", args=[extract.pk])
        if to != "look":
            answer = browser.post(reverse("extract-make", args=[extract.pk]), {"to": to})
            if answer.status_code != 302:
                return answer
            works()
        return browser.get(reverse("extract-file", args=[extract.pk]) if to == "file" else page)

    return press


def test_the_page_begins_with_what_stands_in_the_way(browser, enter):
    assert "No client consents yet" in browser.get(reverse("extract")).text
    enter()
    assert "1 client can be extracted</h1>" in browser.get(reverse("extract")).text
    bad = enter(DRUG1="", CLIENT="Z9")
    enter(consent=None)
    text = browser.get(reverse("extract")).text

    assert "2 clients can be extracted, and 1 episode of theirs would be rejected</h1>" in text
    assert reverse("questions", args=[bad.pk, "substances"]) in text
    assert "1 client has no answer recorded" in text
    assert "Which records?" not in text


def test_the_page_proposes_the_last_month_and_all_records_or_those_since_an_extract(browser, agency, enter):
    enter()
    recorded(agency)
    last = recorded(agency)
    text = browser.get(reverse("extract")).text
    before = timezone.localdate().replace(day=1) - timedelta(days=1)

    assert f'<option value="{before:%Y-%m}" selected>' in text
    assert text.index("All records</option>") < text.index(f'<option value="{last.pk}"')
    assert last.sha256 in text.replace("<wbr>", "")


def test_to_look_says_what_is_in_it_and_what_is_not_and_changes_nothing(ask, agency, enter):
    enter()
    enter(consent=None)
    enter(consent=False)
    answer = ask("look")

    assert "The extract is ready" in answer.text
    assert "1 client with 1 episode and 1 referral are in it" in answer.text
    assert "1 client without an answer on consent" in answer.text
    assert "1 client who does not consent" in answer.text
    assert not leaving.former(agency).exists()
    assert not Client.objects.filter(extracted__isnull=False).exists()


def test_an_extract_that_is_blocked_is_not_made_until_what_would_be_rejected_is_left_out(ask, agency, enter):
    enter()
    bad = enter(SEX="")
    answer = ask("file")

    assert answer["Content-Type"].startswith("text/html")
    assert "1 episode would be rejected" in answer.text
    assert reverse("client-details", args=[bad.client_id]) in answer.text
    assert "Settle the episodes that would be rejected, or leave them out" in answer.text
    assert not leaving.former(agency).exists()

    answer = ask("file", leave_out="on")

    assert len(rows_of(answer.getvalue())) == 1
    assert leaving.former(agency).get().counts["left out"] == 1


def test_a_downloaded_file_has_the_name_of_the_settings_and_is_listed(ask, agency, enter, manager, browser):
    enter()
    actions.set_practice(by=manager, agency=agency, file_name="ndtms {agency} {scope}.csv", consent_wording="")
    answer = ask("file")
    kept = Extract.objects.get()

    assert answer["Content-Disposition"] == f'attachment; filename="ndtms {agency.code} full.csv"'
    assert answer["Cache-Control"] == "no-store"
    assert kept.sha256 == hashlib.sha256(answer.getvalue()).hexdigest()
    assert (kept.by, kept.scope, kept.until, kept.submission) == (manager, "full", timezone.localdate(), "")
    assert kept.sha256 in browser.get(reverse("extract")).text.replace("<wbr>", "")


def test_with_labels_nothing_is_marked_and_nothing_listed(ask, agency, enter):
    enter()
    enter(DRUG1="")
    answer = ask("labels")
    data = answer.getvalue()

    assert data.startswith(b"\xef\xbb\xbf")
    assert "1011 Heroin" in data.decode()
    assert "with labels.csv" in answer["Content-Disposition"]
    assert not leaving.former(agency).exists()
    assert not Client.objects.filter(extracted__isnull=False).exists()
    assert AuditEvent.objects.filter(action="downloaded an extract with labels").exists()


def test_nothing_to_extract_is_told_and_not_made(ask, enter, agency):
    assert "Nothing is in the extract" in ask("file").text
    enter(DRUG1="")
    assert "all that would be in it would be rejected and is left out" in ask("file", leave_out="on").text
    assert not leaving.former(agency).exists()


def test_only_what_is_new_is_made_since_the_extract_that_is_chosen(ask, agency, enter):
    enter()
    recorded(agency, until=timezone.localdate())
    a_while_ago()
    since = Extract.objects.get()
    fresh = enter()
    answer = ask("file", since=str(since.pk))

    assert [row["CLIENTID"] for row in rows_of(answer.getvalue())] == [fresh.client.clientid]
    last = Extract.objects.latest("pk")
    assert (last.since, last.scope) == (since, "new")


@pytest.mark.parametrize("slip", [{"month": "1999-01"}, {"month": ""}, {"since": "x"}, {"since": "999"}])
def test_what_is_not_on_the_page_cannot_be_chosen(ask, agency, enter, slip):
    enter()
    recorded(agency)
    answer = ask("file", **slip)

    assert "There is a problem" in answer.text
    assert Extract.objects.count() == 1


def test_an_extract_of_another_agency_is_none_to_choose(ask, agency, other_agency, enter):
    enter()
    recorded(agency)
    other = recorded(other_agency)

    assert "There is a problem" in ask("file", since=str(other.pk)).text


def test_who_may_not_submit_is_not_offered_the_portal_and_cannot_send(ask, agency, enter):
    enter()

    assert "Send it to the portal" not in ask("look").text
    assert "Only a provider user sends files" in ask("portal").text
    assert not Submission.objects.exists()
    assert not leaving.former(agency).exists()


def test_the_page_asks_the_database_no_more_with_more_clients(browser, enter):
    enter(DRUG1="")
    with CaptureQueriesContext(connection) as few:
        browser.get(reverse("extract"))
    for _ in range(8):
        enter(DRUG1="")
    with CaptureQueriesContext(connection) as more:
        browser.get(reverse("extract"))

    assert len(more) == len(few)


def test_no_value_of_a_record_is_in_an_address(ask, browser, enter):
    enter(DRUG1="", CLIENT="ZEBEDEE")
    for text in (ask("look").text, browser.get(reverse("extract")).text):
        assert "ZEBEDEE" in text
        assert not [href for href in re.findall(r'href="([^"]*)"', text) if "ZEBEDEE" in href]


# ---- settings --------------------------------------------------------------------------------------


def test_settings_are_kept_and_the_page_shows_the_name_that_comes_out(browser, agency):
    page = reverse("caseload-settings")
    answer = browser.post(page, {"file_name": "q-{agency}-{until}.csv", "consent_wording": "May we?"}, follow=True)
    last = timezone.localdate().replace(day=1) - timedelta(days=1)

    assert f"q-{agency.code}-{last.isoformat()}.csv" in answer.text
    assert Practice.objects.get().consent_wording == "May we?"
    assert AuditEvent.objects.filter(action="changed the settings of a caseload").exists()


def test_a_manager_sets_the_dat_of_the_agency_and_the_audit_trail_says_so(browser, agency, manager):
    page, kept = reverse("caseload-settings"), {"file_name": "{agency}.csv", "consent_wording": ""}
    assert "Out of England" not in browser.get(page).text
    browser.post(page, {**kept, "dat": "A12B"})

    agency.refresh_from_db()
    assert agency.dat == "A12B"
    event = AuditEvent.objects.get(action="edited an agency")
    assert (event.person, event.agency, event.counts) == (manager, agency, {"changed": "dat"})
    assert '<option value="A12B" selected>Sunderland</option>' in browser.get(page).text

    # A page that did not ask for it leaves it alone, and what is in no list is refused.
    browser.post(page, kept)
    assert "Select a DAT of the list" in browser.post(page, {**kept, "dat": "XXXX"}).text
    agency.refresh_from_db()
    assert agency.dat == "A12B"


def test_a_dat_of_the_register_that_the_list_does_not_have_stays(browser, agency):
    agency.dat = "Q99Q"
    agency.save()
    page = reverse("caseload-settings")
    assert "“Q99Q”, which is not in the list" in browser.get(page).text
    browser.post(page, {"file_name": "{agency}.csv", "consent_wording": "", "dat": "Q99Q"})

    agency.refresh_from_db()
    assert agency.dat == "Q99Q"
    assert not AuditEvent.objects.filter(action="edited an agency").exists()


@pytest.mark.parametrize("pattern", ["", "{client}.csv", "a/b.csv", "{agency", "x" * 121])
def test_a_name_of_which_no_file_can_be_made_is_refused(browser, pattern):
    answer = browser.post(reverse("caseload-settings"), {"file_name": pattern, "consent_wording": ""})

    assert "There is a problem" in answer.text
    assert not Practice.objects.exists()


def test_the_settings_name_the_lists_that_are_stand_ins_and_the_command(browser):
    text = browser.get(reverse("caseload-settings")).text

    assert "OFFENCE" in text
    assert "cjit reference install" in text


# ---- to the portal and back ------------------------------------------------------------------------


def accepted(by, forget: int = 0) -> Submission:
    works()
    return portal.accept(by=by, submission=Submission.objects.latest("pk"), forget=forget)


def test_what_is_entered_is_extracted_sent_checked_accepted_and_held(ask, both, enter, agency):
    episode = enter(PC="NE8 1AB")
    answer = ask("portal")
    sent = Submission.objects.get()

    assert f"The extract is sent to the portal as {sent.number}</h1>" in answer.text
    assert f'href="{reverse("submission", args=[sent.pk])}"' in answer.text
    assert (sent.scope, sent.sha256, sent.by) == ("full", Extract.objects.get().sha256, both)
    assert Extract.objects.get().submission == sent.number

    done = accepted(both)
    assert [done.receipt["episode"][what] for what in ("new", "changed", "removed", "left out")] == [1, 0, 0, 0]
    (held,) = store.held(agency, Entity.EPISODE).to_dicts()
    assert (held["EPISODID"], held["PC"], held["TRIAGED"]) == (episode.episodid, "NE8 1", date(2025, 11, 6))
    assert store.held(agency, Entity.CLIENT)["CLIENTID"].to_list() == [episode.client.clientid]


def test_a_client_who_withdraws_is_forgotten_by_the_portal(ask, both, enter, agency, keyworker):
    gone, stays = enter(), enter()
    ask("portal")
    accepted(both)
    actions.record_consent(by=keyworker, client=gone.client, given=False, on=timezone.localdate())
    ask("portal")
    accepted(both, forget=1)

    for entity in (Entity.CLIENT, Entity.EPISODE):
        assert store.held(agency, entity)["CLIENTID"].to_list() == [stays.client.clientid]
    assert store.held(agency, Entity.REFERRAL).height == 1


def test_what_was_imported_is_the_same_to_the_portal(ask, both, agency, sent, csv_of):
    rows = [{"AGNCY": agency.code, "CLIENTID": "1", "EPISODID": "11", "REFERID": "111"}, {"AGNCY": agency.code}]
    portal.accept(by=both, submission=sent(*rows))
    actions.import_records(by=both, agency=agency, file=io.BytesIO(csv_of(*rows)), name="a.csv")
    ask("portal")

    done = accepted(both)
    assert [done.receipt["client"][what] for what in ("new", "changed", "removed", "forgotten")] == [0, 0, 0, 0]
    assert not done.decisions.exists()
    assert set(store.held(agency, Entity.EPISODE)["CMSID"].str.slice(0, 4)) == {"cjit"}


def test_what_the_portal_refuses_is_told_and_nothing_is_marked(ask, both, agency, enter, settings):
    settings.UPLOADS_AN_HOUR = 1
    enter()
    ask("portal")
    enter()
    answer = ask("portal")

    assert "has sent 1 file in the last hour" in answer.text
    assert "Send it to the portal" in answer.text
    assert leaving.former(agency).count() == 1
    assert Client.objects.filter(extracted=None).count() == 1


# ---- the laws of an extract ------------------------------------------------------------------------

WHOLE = st.from_regex(r"[A-Z]{1,2}[0-9]{1,2}[0-9][A-Z]{2}", fullmatch=True)
ODD = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["", " ", "01/12/2025", "1.1.2026", "31/02/2026", "2025-11-30", "\0", '"', "a\r\nb", "=1+1", "0"]),
    st.sampled_from([text for text in EXAMPLE.values() if text]),
)
FIELDS = st.dictionaries(st.sampled_from([*KEPT[Entity.CLIENT], *KEPT[Entity.EPISODE]]), ODD, max_size=6)
STEPS = st.one_of(
    st.tuples(st.just("save"), FIELDS),
    st.tuples(st.just("postcode"), WHOLE.flatmap(lambda p: st.sampled_from([p, p.lower(), f" {p[:-3]} {p[-3:]}"]))),
    st.tuples(st.just("refer"), ODD),
    st.tuples(st.just("close"), st.tuples(ODD, st.sampled_from(["10", "73", "13", "9", ""]))),
    st.tuples(st.just("again"), st.none()),
    st.tuples(st.just("consent"), st.booleans()),
    st.tuples(st.just("extract"), st.none()),
)


def _do(agency, keyworker, episode, what, told):
    typed = {"by": keyworker}
    match what:
        case "save":
            for record, entity in ((episode.client, Entity.CLIENT), (episode, Entity.EPISODE)):
                some = {h: text for h, text in told.items() if h in KEPT[entity] and h != "PC"}
                actions.save(record=record, typed=some, why=actions.CORRECTION, **typed)
        case "postcode":
            actions.save(record=episode, typed={"PC": told}, why=actions.CORRECTION, **typed)
        case "refer":
            actions.add_referral(episode=episode, typed={"REFDATE": told}, **typed)
        case "close":
            actions.close_episode(
                episode=episode, typed={"DISD": told[0], "CJDISRSN": told[1]}, destination="not known", **typed
            )
        case "again":
            actions.begin_episode(client=episode.client, **typed)
        case "consent":
            actions.record_consent(client=episode.client, given=told, on=TODAY, **typed)
        case _:
            recorded(agency, leave_out=True)


@given(st.lists(st.tuples(st.booleans(), st.lists(STEPS, max_size=6)), min_size=1, max_size=3))
# An example is a caseload with what is done to it, and at least one extract.
@settings(max_examples=12)
@pytest.mark.dear
def test_whatever_is_entered_the_extract_is_accepted_and_tells_of_nobody_who_did_not_consent(
    agency, keyworker, enter, caseload
):
    with transaction.atomic():
        for number, (faultless, steps) in enumerate(caseload):
            if faultless:
                episode = enter(CLIENT=f"REFERENCE{number}")
            else:
                episode = actions.begin_client(by=keyworker, agency=agency, typed={"CLIENT": f"REFERENCE{number}"})
            for what, told in steps:
                with suppress(Refused):
                    _do(agency, keyworker, episode, what, told)
        _is_lawful(agency, made(agency, until=timezone.localdate(), leave_out=True))
        transaction.set_rollback(True)


def _is_lawful(agency, done) -> None:
    data = done.data()
    rows = rows_of(data)
    text = data.decode()
    for client in Client.objects.filter(agency=agency):
        lines = [row for row in rows if row["CLIENTID"] == client.clientid]
        if client.consent == "Y":
            continue
        assert client.values.get("CLIENT", "").strip() == "" or all(not row["CLIENT"] for row in lines)
        if client.consent == "N" and client.extracted:
            assert [{h for h, v in row.items() if v} for row in lines] == [{"CLIENTID", "AGNCY", "CONSENT"}]
        else:
            assert lines == []
            assert client.clientid not in text
    for row in rows:
        assert row["PC"] in ("", NOT_SENT) or re.fullmatch(TRUNCATED, row["PC"])
    whole = {"".join(e.values.get("PC", "").split()).upper() for e in Episode.objects.filter(agency=agency)}
    letters = ["".join(re.findall("[A-Z0-9]", cell.upper())) for row in rows for cell in row.values()]
    assert not [each for each in whole if len(each) > 4 and each in letters]
    if rows:
        findings = check(open_file(data, DATASET, "extract.csv"), DATASET, today=TODAY.max, submitter=agency.code)
        grave = {run.rule.id: run.count for run in findings.ledger if run.rule.severity == "reject" and run.count}
        assert grave == ({"CONSENT.is_given": done.counts["withdrawn"]} if done.counts["withdrawn"] else {})


def test_the_moment_of_an_extract_is_before_it_was_read(agency, enter):
    enter()
    before = datetime.now(UTC)
    done = made(agency)

    assert before <= done.at <= datetime.now(UTC)


# ---- in a browser ----------------------------------------------------------------------------------


@pytest.fixture
def visitor(both, signed_in):
    return signed_in(both)


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_an_extract_is_made_by_the_keyboard_alone_and_without_script(tab, enter):
    enter()
    enter(DRUG1="")
    page = tab(reverse("extract"), java_script_enabled=False)
    page.focus("#id_month")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Tab")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    works()
    awaited(page)
    for name in ("Leave them out, and check it again", "Make the file"):
        page.get_by_role("button", name=name).focus()
        with page.expect_navigation():
            page.keyboard.press("Enter")
        works()
        awaited(page)
    page.get_by_role("button", name="Download the file").focus()
    with page.expect_download() as download:
        page.keyboard.press("Enter")

    assert download.value.suggested_filename.endswith("_full.csv")
    assert Extract.objects.latest("pk").counts["left out"] == 1


def test_a_reference_that_says_who_the_client_is_holds_the_extract_back_until_it_is_another(
    ask, enter, keyworker, agency
):
    episode = enter(CLIENT="NR14 7UJ")
    looked = ask("look").text

    assert "1 episode would be rejected" in looked
    assert "An episode whose client reference says who the client is counts with them" in looked
    assert "Give the client a reference that holds no birth date" in looked
    assert "Content-Disposition" not in ask("file").headers
    assert not leaving.former(agency).exists()

    actions.save(by=keyworker, record=episode.client, typed={"CLIENT": "R99"}, why=actions.CORRECTION)
    assert "Content-Disposition" in ask("file").headers
