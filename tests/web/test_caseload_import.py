"""A caseload that begins with the file the agency sent last."""

import io
import threading
from datetime import date, timedelta
from importlib import import_module

import pytest
from django.apps import apps
from django.urls import reverse
from django.utils import timezone

from cjit.datasets.q.example import EXAMPLE
from cjit.extract import canonical, write
from cjit.files.source import Unusable
from cjit.web import kept, pages, worker
from cjit.web.agencies.actions import Refused
from cjit.web.agencies.models import AuditEvent
from cjit.web.caseload import actions, arriving, due, record
from cjit.web.caseload.models import Change, Client, Consent, Episode, Import, Referral
from cjit.web.dataset import DATASET

TWO_REFERRALS = ({"EPISODID": "e1", "CLIENTID": "c1", "CLIENT": "A1"},) * 2


@pytest.fixture
def imported(agency, manager, csv_of):
    """What an import of a made-up file of the agency says; faultless records with some changes."""

    def run(*changes, data: bytes | None = None, **told):
        rows = [{"AGNCY": agency.code, **change} for change in changes]
        file = io.BytesIO(data if data is not None else csv_of(*rows))
        return actions.import_records(by=manager, agency=agency, file=file, name="last.csv", **told)

    return run


@pytest.fixture
def page(manager, signed_in):
    browser = signed_in(manager)

    def send(data: bytes, name: str = "last.csv", counted_from: date | None = None):
        file = io.BytesIO(data)
        file.name = name
        day = counted_from or timezone.localdate()
        parts = {f"counted_from_{part}": getattr(day, part) for part in ("day", "month", "year")}
        return browser.post(reverse("caseload-import"), {"file": file, **parts})

    return send


@pytest.fixture
def brought(manager, signed_in, page):
    """Choose a file and have it read, and where `order` says so imported. Returns what the page says then."""
    browser = signed_in(manager)

    def send(data: bytes, name: str = "last.csv", *, order: bool = False, counted_from: date | None = None):
        answer = page(data, name, counted_from)
        worker.run(threading.Event(), once=True)
        if order:
            arrived = Import.objects.latest("pk")
            answer = browser.post(reverse("import-make", args=[arrived.pk]))
            worker.run(threading.Event(), once=True)
        return browser.get(answer["Location"])

    return send


def everything():
    return [
        list(table.objects.order_by("pk").values())
        for table in (Client, Episode, Referral, Consent, Change)
    ]  # fmt: skip


# ---- what is taken over ----------------------------------------------------------------------------


def test_clients_episodes_and_referrals_are_taken_over_with_their_ids(imported):
    first, second = TWO_REFERRALS
    done = imported({**first, "REFERID": "r1"}, {**second, "REFERID": "r2", "REFDATE": "02/12/2025"}, {})

    assert (done.clients, done.episodes, done.referrals) == (2, 2, 3)
    episode = Episode.objects.get(episodid="e1")
    assert episode.client.clientid == "c1"
    assert [(each.referid, each.values) for each in episode.referrals.all()] == [
        ("r1", {"REFDATE": "01/12/2025"}),
        ("r2", {"REFDATE": "02/12/2025"}),
    ]


def test_values_are_kept_as_the_dataset_plainly_writes_them_and_what_is_made_when_sending_is_not(imported):
    imported({"DOB": "1986-02-14", "SEX": " m", "HOUSING": "03", "PC": "NE8 1AB", "REFERID": "", "REFDATE": ""})
    episode = Episode.objects.get()
    values = episode.client.values | episode.values

    assert {h: values[h] for h in ("DOB", "SEX", "HOUSING", "PC")} == {
        "DOB": "14/02/1986",
        "SEX": "M",
        "HOUSING": "3",
        "PC": "NE8 1",
    }
    assert not set(values) & set(record.MADE)
    assert not episode.referrals.exists()


def test_what_is_no_postcode_is_a_postcode_that_is_not_known(imported):
    imported({"PC": "Newcastle"})

    assert "PC" not in Episode.objects.get().values


def test_what_is_imported_counts_as_extracted_and_its_consent_is_recorded_with_the_file_as_evidence(imported, manager):
    imported({})
    client = Client.objects.get()
    consent = client.consents.get()

    assert client.consent == "Y"
    assert None not in (client.extracted, client.episodes.get().extracted, Referral.objects.get().extracted)
    assert (consent.given, consent.by, consent.on) == (True, manager, timezone.localdate())
    assert consent.evidence == "In the file that was imported"


def test_the_history_says_once_of_a_client_that_they_were_imported(imported, manager):
    imported({"CLIENTID": "c1", "CLIENT": "A1"}, {"CLIENTID": "c1", "CLIENT": "A1", "TRIAGED": "02/02/2026"})
    change = Change.objects.get()

    assert (change.what, change.who, change.by) == ("imported the client", manager.name, manager)
    assert change.fields["SEX"] == ["", "M"]


def test_the_audit_trail_has_counts_and_no_value(imported):
    imported({"CLIENT": "Zebedee"}, {"CONSENT": "N"})
    event = AuditEvent.objects.get(action="imported records")

    assert event.counts == {"clients": 1, "episodes": 1, "referrals": 1, "without consent": 1}
    assert "Zebedee" not in str(event.__dict__)


ROWS = [
    {},
    {"SEX": "", "DRUG1": ""},
    {"REFERID": "", "REFDATE": "01/12/2025"},
    {"REFDATE": ""},
    {"REFDATE": "01/12/2019"},
    {"REFDATE": "31/02/2026", "DOB": "x", "PC": "?"},
    {"CLIENTID": "c", "CLIENT": "C", "EPISODID": "e1", "DISD": "", "REFERID": "ra"},
    {"CLIENTID": "c", "CLIENT": "C", "EPISODID": "e1", "DISD": "", "REFERID": "rb", "REFDATE": ""},
    {"CLIENTID": "c", "CLIENT": "C", "EPISODID": "e2", "TRIAGED": "07/11/2025"},
    {"CLIENTID": "d", "CLIENT": "C", "DISD": "15/01/2026", "CJDISRSN": "10"},
    {"CLIENTID": "f", "CLIENT": "F", "DISD": "15/01/2026", "CJDISRSN": ""},
]


def test_what_is_computed_of_an_imported_record_is_what_a_save_would_compute(imported):
    imported(*ROWS)
    assert Episode.objects.filter(rejects__gt=0).exists()
    assert any(referral for episode in Episode.objects.all() for _, referral in episode.findings)

    for client in Client.objects.select_related("agency"):
        episodes = list(client.episodes.prefetch_related("referrals", "contacts", "interventions"))
        before = [{**vars(client)}, *({**vars(each)} for each in episodes)]
        record.settle(client, episodes, today=timezone.localdate())
        after = [vars(client), *(vars(each) for each in episodes)]
        for was, now in zip(before, after, strict=True):
            was.pop("_prefetched_objects_cache", None)
            assert {h: now[h] for h in was if h != "findings"} == {h: was[h] for h in was if h != "findings"}
            assert sorted(map(tuple, now.get("findings", []))) == sorted(map(tuple, was.get("findings", [])))


# ---- the first morning after it --------------------------------------------------------------------

CLOSED = {"DISD": "15/01/2026", "CJDISRSN": "10"}


def test_after_an_import_nobody_counts_as_disengaged_and_nothing_is_overdue(imported, agency):
    """The faultless record has a care plan of November 2025 and no word of any contact since."""
    imported({})
    today = timezone.localdate()
    told = due.counts(agency, today)

    assert (told["no-contact"], told["undecided"], told["overdue"], told["imported"]) == (0, 0, 0, 1)
    episode = Episode.objects.get()
    assert (episode.contact, episode.face_to_face) == (None, None)
    assert episode.review == record.months_after(today, 6)


def test_the_two_months_count_from_the_last_contact_once_it_is_recorded(imported, agency, manager):
    imported({})
    episode, today = Episode.objects.get(), timezone.localdate()
    spring = date(2026, 4, 7)
    actions.add_contact(by=manager, episode=episode, on=spring, kind="telephone", face_to_face=False)
    episode.refresh_from_db()

    # By telephone: when they were last met nobody has said.
    assert (episode.contact, episode.face_to_face) == (spring, None)
    told = due.counts(agency, today)
    assert (told["no-contact"], told["imported"]) == (1, 0)

    actions.add_contact(by=manager, episode=episode, on=date(2026, 3, 3), kind="office", face_to_face=True)
    episode.refresh_from_db()
    assert (episode.contact, episode.face_to_face) == (spring, date(2026, 3, 3))


def test_whoever_says_there_was_no_contact_since_has_the_file_s_dates_count_and_can_take_it_back(
    imported, agency, manager
):
    imported({})
    episode, today = Episode.objects.get(), timezone.localdate()

    actions.say_no_contact(by=manager, episode=episode, none=True)
    episode.refresh_from_db()
    assert episode.contact == episode.face_to_face == episode.started == date(2025, 11, 20)
    assert due.counts(agency, today)["no-contact"] == 1
    assert Change.objects.get(what="said there was no contact").fields == {"contact": ["", "None after 20/11/2025"]}

    actions.say_no_contact(by=manager, episode=episode, none=False)
    episode.refresh_from_db()
    assert (episode.contact, episode.face_to_face) == (None, None)
    assert due.counts(agency, today)["imported"] == 1


def test_nobody_says_that_there_was_no_contact_since_a_day_that_is_not_known(imported, enter, manager):
    imported({"TRIAGED": "", "CPLANDT": ""})
    kept_here = enter()

    for episode in (Episode.objects.exclude(pk=kept_here.pk).get(), kept_here):
        with pytest.raises(Refused, match=r"^Record the last contact: no date of an earlier one is known$"):
            actions.say_no_contact(by=manager, episode=episode, none=True)


def test_the_six_months_count_from_the_day_that_is_given_or_from_a_later_care_plan(imported, manager):
    given = date(2026, 2, 10)
    imported({}, {"CPLANDT": "01/03/2026"}, {"CPLANDT": ""}, counted_from=given)
    one, later, planless = Episode.objects.order_by("pk")

    assert (one.review, later.review, planless.review) == (date(2026, 8, 10), date(2026, 9, 1), None)

    # An assessment that is recorded says more than what was given for all.
    actions.add_intervention(by=manager, episode=one, on=date(2026, 1, 5), kinds=["RECHSE"], leaving=False)
    one.refresh_from_db()
    assert one.review == date(2026, 7, 5)


def test_an_assessment_of_what_was_closed_before_the_import_is_not_asked_for(imported, manager):
    imported(CLOSED, {**CLOSED, "DISD": ""})
    closed, without_date = Episode.objects.order_by("pk")

    assert (closed.closed, closed.review, without_date.review) == (date(2026, 1, 15), None, None)

    # Nor when the closure is corrected.
    actions.close_episode(by=manager, episode=closed, typed={**CLOSED, "DISD": "16/01/2026"}, why="correction")
    closed.refresh_from_db()
    assert (closed.closed, closed.review) == (date(2026, 1, 16), None)


def test_an_episode_that_was_open_is_asked_for_its_leaving_assessment_whenever_it_is_closed(imported, manager):
    imported({})
    episode = Episode.objects.get()
    actions.close_episode(by=manager, episode=episode, typed=CLOSED)
    episode.refresh_from_db()

    assert episode.review == date(2026, 1, 15) < timezone.localdate()


def test_an_episode_whose_closure_was_a_mistake_of_the_file_is_assessed_here_from_then_on(imported, manager):
    imported(CLOSED)
    episode, today = Episode.objects.get(), timezone.localdate()
    actions.take_back_closure(by=manager, episode=episode)
    episode.refresh_from_db()
    assert episode.review == record.months_after(today, 6)

    actions.close_episode(by=manager, episode=episode, typed=CLOSED)
    episode.refresh_from_db()
    assert episode.review == date(2026, 1, 15)


def test_what_is_not_known_since_the_import_is_said_on_the_pages_and_no_closure_is_offered(
    imported, manager, signed_in
):
    imported({})
    episode, browser = Episode.objects.get(), signed_in(manager)
    said = f"No contact is recorded here since the import of {pages.day(timezone.localdate())}: record the last one"
    names = ("client", "contacts", "episode-close")
    shown = {name: browser.get(reverse(name, args=[episode.client_id if name == "client" else episode.pk])).text
             for name in names}  # fmt: skip

    assert all(said in page for page in shown.values())
    assert not any("disengaged." in page or "Close as" in page for page in shown.values())
    assert "The last contact face to face," not in shown["episode-close"]
    assert "20 November 2025" not in shown["client"].split("What there is to do")[1].split("Case closure")[0]
    assert browser.post(reverse("episode-close", args=[episode.pk]), {"do": "disengaged"}).status_code == 200
    episode.refresh_from_db()
    assert episode.open

    browser.post(reverse("contacts", args=[episode.pk]), {"do": "no-contact"})
    page = browser.get(reverse("episode-close", args=[episode.pk])).text
    assert "Close as “Incomplete – dropped out” on 20 November 2025" in page
    assert said not in page
    assert "Take this back" in browser.get(reverse("contacts", args=[episode.pk])).text


def test_after_a_telephone_call_it_is_asked_when_the_client_was_last_met(imported, manager, signed_in):
    imported({})
    episode, browser = Episode.objects.get(), signed_in(manager)
    actions.add_contact(by=manager, episode=episode, on=date(2026, 2, 3), kind="telephone", face_to_face=False)
    page = browser.get(reverse("episode-close", args=[episode.pk])).text

    assert "No contact face to face is recorded here since the import of" in page
    assert "Close as" not in page


def test_a_closure_that_was_imported_is_not_doubted_for_contacts_nobody_recorded_here(imported, manager, signed_in):
    imported({**CLOSED, "CJDISRSN": "8"})
    episode = Episode.objects.get()

    assert "check the case closure date, or the contacts" not in signed_in(manager).get(
        reverse("episode-close", args=[episode.pk])
    ).text  # fmt: skip


def test_what_was_imported_before_this_was_known_is_settled_alike_when_the_service_is_updated(imported, manager):
    imported({}, {}, CLOSED, {}, {**CLOSED, "DISD": "10/01/2026"})
    quiet, met, closed, closed_here, _ = Episode.objects.order_by("pk")
    actions.add_contact(by=manager, episode=met, on=date(2026, 2, 3), kind="office", face_to_face=True)
    actions.close_episode(by=manager, episode=closed_here, typed=CLOSED)
    columns = ("imported", "counted_from", "contact", "face_to_face", "review")
    wanted = list(Episode.objects.order_by("pk").values(*columns))

    # As it was kept then: as if the client was last met when the care plan was agreed, and assessed from then on.
    Episode.objects.update(
        local={"imported": f"{quiet.imported}", "destination": ""}, imported=None, counted_from=None, review=None
    )
    Episode.objects.filter(contact=None).update(contact=closed.started, face_to_face=closed.started)
    import_module("cjit.web.caseload.migrations.0002_what_an_import_does_not_know").take_over(apps, None)

    assert list(Episode.objects.order_by("pk").values(*columns)) == wanted
    assert {"imported"}.isdisjoint(key for each in Episode.objects.all() for key in each.local)


def test_the_page_asks_from_which_day_assessments_count_and_goes_by_it(
    brought, page, manager, signed_in, csv_of, agency
):
    today = timezone.localdate()
    form = signed_in(manager).get(reverse("caseload-import")).text
    assert "When were the last assessments of interventions made?" in form
    assert f'name="counted_from_day" type="text" value="{today.day}"' in form

    data = csv_of({"AGNCY": agency.code})
    assert "must be today or earlier" in page(data, counted_from=today + timedelta(days=1)).text
    assert not Import.objects.exists()

    given = today - timedelta(days=200)
    assert f"counted from {pages.day(given)}" in brought(data, order=True, counted_from=given).text
    assert Episode.objects.get().review == record.months_after(max(given, date(2025, 11, 20)), 6)


# ---- what is not -----------------------------------------------------------------------------------


@pytest.mark.parametrize("consent", ["N", "", "?"])
def test_nothing_of_a_client_without_consent_is_imported(imported, consent):
    done = imported({"CONSENT": consent}, {"CONSENT": " y "})

    assert done.without_consent == 1
    assert [client.clientid for client in Client.objects.all()] == ["10002"]


def test_a_client_of_whom_one_row_says_that_they_withdrew_is_not_imported(imported):
    same = {"CLIENTID": "c", "CLIENT": "C"}
    done = imported(same, {**same, "CONSENT": "N"}, {})

    assert done.without_consent == 2
    assert Client.objects.count() == 1


def test_a_file_of_another_agency_is_refused_in_one_sentence_and_nothing_is_kept(imported):
    with pytest.raises(Unusable, match="records of another agency") as refused:
        imported({}, {"AGNCY": "CJ999"})

    assert "\n" not in str(refused.value)
    assert not Client.objects.exists()


def test_a_row_without_an_id_or_with_one_too_long_is_left_out_and_counted(imported):
    done = imported({"CLIENTID": ""}, {"EPISODID": " "}, {"CLIENTID": "x" * 65}, {"REFERID": "y" * 65}, {})

    assert done.without_ids == 4
    assert Client.objects.count() == 1


@pytest.mark.parametrize("header", ["CLIENTID", "EPISODID", "REFERID"])
def test_people_whose_ids_a_spreadsheet_shortened_do_not_arrive_as_one(imported, header):
    people = [
        {"CLIENTID": f"c{n}", "CLIENT": f"C{n}", "EPISODID": f"e{n}", "REFERID": f"r{n}", header: "1.11E+08"}
        for n in range(3)
    ]
    done = imported(*people, {})

    assert done.without_ids == 3
    assert Client.objects.count() == 1


def test_an_id_that_is_another_clients_is_left_out_and_counted(imported):
    done = imported(
        {"CLIENTID": "a", "EPISODID": "e", "REFERID": "r1"},
        {"CLIENTID": "b", "EPISODID": "e", "REFERID": "r2"},
        {"CLIENTID": "c", "EPISODID": "f", "REFERID": "r1"},
    )

    assert done.another == 2
    assert [client.clientid for client in Client.objects.all()] == ["a"]


def test_two_people_under_one_client_id_are_not_imported_as_one_client(imported):
    person = {"CLIENTID": "c1", "CLIENT": "A1", "EPISODID": "e1", "REFERID": "r1"}
    other = person | {"SINITIAL": "Z", "DOB": "01/02/1990", "EPISODID": "e2", "REFERID": "r2"}
    third = {"CLIENTID": "c3", "CLIENT": "A3", "EPISODID": "e3", "REFERID": "r3"}

    done = imported(person, other, third)

    assert [client.clientid for client in Client.objects.all()] == ["c3"]
    assert (done.another, done.clients, done.episodes) == (2, 1, 1)


def test_one_slip_in_a_client_s_initials_does_not_keep_them_from_being_imported(imported):
    person = {"CLIENTID": "c1", "CLIENT": "A1", "EPISODID": "e1", "REFERID": "r1"}

    done = imported(person, person | {"SINITIAL": "Z", "EPISODID": "e2", "REFERID": "r2"})

    assert (done.another, done.clients, done.episodes) == (0, 1, 2)


def test_ids_that_are_anothers_leave_the_rest_of_a_client_whole(imported):
    imported({"CLIENTID": "a", "CLIENT": "A", "EPISODID": "e", "REFERID": "r"})
    mixed = [
        {"CLIENTID": "a", "CLIENT": "A", "EPISODID": "e", "REFERID": "new"},
        {"CLIENTID": "b", "CLIENT": "B", "EPISODID": "e", "REFERID": "x"},
        {"CLIENTID": "c", "CLIENT": "C", "EPISODID": "e", "REFERID": "y", "TRIAGED": "01/11/2025"},
        {"CLIENTID": "c", "CLIENT": "C", "EPISODID": "f", "REFERID": "r"},
    ]
    for again in (False, True):
        before = everything()
        done = imported(*mixed)
        assert (done.clients, done.episodes, done.referrals) == ((0, 0, 0) if again else (1, 1, 1))
        assert not again or everything() == before
    assert {each.clientid: each.episodes.count() for each in Client.objects.all()} == {"a": 1, "c": 1}
    assert Referral.objects.filter(episode__episodid="e").count() == 2
    for client in Client.objects.select_related("agency"):
        episodes = list(client.episodes.all())
        kept = [each.findings for each in episodes]
        record.settle(client, episodes, today=timezone.localdate())
        assert [sorted(each.findings) for each in episodes] == [sorted(each) for each in kept]


# ---- again -----------------------------------------------------------------------------------------


def test_the_same_file_again_changes_nothing(imported):
    imported(*ROWS)
    before = everything()
    done = imported(*ROWS)

    assert everything() == before
    assert (done.clients, done.episodes, done.referrals, done.differ) == (0, 0, 0, 0)
    assert done.here == Client.objects.count() + Episode.objects.count() + Referral.objects.count()


def test_what_is_here_stays_as_it_is_and_what_differs_is_counted(imported, manager):
    imported({})
    episode = Episode.objects.get()
    actions.save(by=manager, record=episode, typed={"PC": "NE8 1AB", "HOUSING": "2"}, why="correction")
    done = imported({"SEX": "F"})

    assert (done.here, done.differ) == (3, 2)
    episode.refresh_from_db()
    assert (episode.values["PC"], episode.values["HOUSING"]) == ("NE8 1AB", "2")
    assert episode.client.values["SEX"] == "M"


def test_a_new_episode_and_a_new_referral_go_to_the_client_and_episode_that_are_here(imported):
    same = {"CLIENTID": "c", "CLIENT": "C", "EPISODID": "e", "REFERID": "r"}
    imported(same)
    later = {**same, "EPISODID": "later", "REFERID": "r3", "TRIAGED": "20/03/2026", "REFLD": "20/03/2026"}
    done = imported(same, {**same, "REFERID": "r2"}, later)

    assert (done.clients, done.episodes, done.referrals, done.here) == (0, 1, 2, 3)
    assert set(Client.objects.get().episodes.values_list("episodid", flat=True)) == {"e", "later"}
    assert set(Episode.objects.get(episodid="e").referrals.values_list("referid", flat=True)) == {"r", "r2"}
    assert Change.objects.filter(what="imported the client").count() == 2


def test_a_client_who_withdrew_here_is_not_brought_back_by_a_file_of_earlier_days(imported, manager):
    imported({})
    client = Client.objects.get()
    actions.record_consent(by=manager, client=client, given=False, on=timezone.localdate())
    before = everything()
    done = imported({}, {"CLIENTID": "10001", "CLIENT": "C1", "EPISODID": "new", "REFERID": "new"})

    assert done.not_consenting_here == 1
    assert everything() == before


def test_another_agency_may_have_the_same_ids(imported, other_agency, manager, csv_of):
    imported({})
    actions.import_records(
        by=manager, agency=other_agency, file=io.BytesIO(csv_of({"AGNCY": other_agency.code})), name="a.csv"
    )

    assert Client.objects.values("clientid").distinct().count() == 1
    assert Client.objects.count() == 2


# ---- the page --------------------------------------------------------------------------------------


def test_the_page_opens_without_blaming_anybody(manager, signed_in):
    assert "There is a problem" not in signed_in(manager).get(reverse("caseload-import")).text


def test_the_page_says_what_would_be_done_in_counts_and_then_what_was(brought, csv_of, agency, manager):
    ours = {"AGNCY": agency.code}
    data = csv_of(ours, {**ours, "CONSENT": "N"}, {**ours, "SEX": ""})
    before = everything()
    answer = brought(data)

    assert "2 clients with 2 episodes and 2 referrals would be imported</h1>" in answer.text
    assert "1 row that does not say that the client consents" in answer.text
    assert "1 episode of them would be rejected as it is" in answer.text
    assert everything() == before

    answer = brought(data, order=True)

    assert "2 clients with 2 episodes and 2 referrals were imported</h1>" in answer.text
    assert "1 row that does not say that the client consents" in answer.text
    assert "1 episode of them would be rejected" in answer.text
    assert Client.objects.count() == 2
    assert AuditEvent.objects.get(action="imported records").person == manager


def test_what_is_imported_twice_would_bring_nothing(brought, csv_of, agency):
    data = csv_of({"AGNCY": agency.code})
    brought(data, order=True)
    answer = brought(data)

    assert "Nothing would be imported</h1>" in answer.text
    assert "3 records are here and stay as they are" in answer.text
    assert "Import them" not in answer.text


@pytest.mark.django_db(transaction=True)
def test_a_file_goes_once_it_is_imported_or_another_is_chosen_or_a_day_is_over(brought, csv_of, agency, uploads):
    data = csv_of({"AGNCY": agency.code})
    brought(data)
    brought(data)
    assert len(folders(uploads)) == 1
    assert [each.state for each in Import.objects.all()] == ["checked", "failed"]

    brought(data, order=True)
    assert not folders(uploads)
    assert [each.state for each in Import.objects.all()] == ["made", "failed", "failed"]

    brought(data)
    Import.objects.update(at=timezone.now() - timedelta(hours=25))
    actions.remove_passed()
    assert not folders(uploads)
    assert [each.state for each in Import.objects.all()] == ["failed", "made", "failed", "failed"]


def folders(uploads):
    return [path for path in uploads.iterdir() if path.name != "open"]


def test_an_import_that_is_ordered_twice_is_one(brought, csv_of, agency, manager, signed_in):
    brought(csv_of({"AGNCY": agency.code}), order=True)
    arrived = Import.objects.get()
    answer = signed_in(manager).post(reverse("import-make", args=[arrived.pk]))
    worker.run(threading.Event(), once=True)

    assert answer.status_code == 302
    assert Client.objects.count() == 1
    assert AuditEvent.objects.filter(action="imported records").count() == 1


def test_a_file_that_is_gone_is_told_and_nothing_is_imported(brought, csv_of, agency, manager, signed_in):
    brought(csv_of({"AGNCY": agency.code}))
    arrived = Import.objects.get()
    kept.remove(arrived.stored)
    actions.order_import(by=manager, arrived=arrived)
    worker.run(threading.Event(), once=True)
    page = signed_in(manager).get(reverse("import-read", args=[arrived.pk])).text

    assert "The file is not kept any more: choose it again" in page
    assert not Client.objects.exists()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (b"\0\1\2", "There is a problem"),
        (b"PK\x03\x04rest", "There is a problem"),
        (b"hello\nworld\n", "There is a problem"),
        ("CLIENTID,CONSENT\nÁ,É".encode()[:-1], "ends within a character, so it was cut off"),
        ("Ünïcödé,\ud800".encode("utf-8", "surrogatepass"), "There is a problem"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_in_one_sentence(brought, data, said):
    answer = brought(data)

    assert answer.status_code == 200
    assert said in answer.text
    assert not Client.objects.exists()


def test_a_file_with_headers_only_or_with_unequal_rows_gives_no_traceback(brought, csv_of, agency):
    data = csv_of({"AGNCY": agency.code})

    assert "no records" in brought(csv_of()).text
    assert "1 row whose cells cannot be told apart" in brought(data + b"1,2,3\r\n").text
    assert "There is a problem" in brought(data + b'"never closed').text


def test_a_file_that_is_too_long_is_refused(brought, csv_of, agency, monkeypatch):
    monkeypatch.setattr(arriving, "MOST", 1)

    assert "more than 1 records" in brought(csv_of({"AGNCY": agency.code}, {"AGNCY": agency.code})).text


def test_no_file_chosen_is_told(manager, signed_in):
    assert "Choose a file" in signed_in(manager).post(reverse("caseload-import"), {}).text


def test_odd_texts_in_a_file_are_imported_as_they_are(imported):
    imported({"CLIENT": "=1+1", "RELIGION": "<b>", "NATION": "Ω", "DRUG2": "a\nb"})
    episode = Episode.objects.get()

    assert (episode.client.values["CLIENT"], episode.values["RELIGION"], episode.values["DRUG2"]) == (
        "=1+1",
        "<b>",
        "a\nb",
    )


def test_the_copy_with_labels_is_told_as_such(imported, csv_of, agency):
    out = io.BytesIO()
    write(DATASET, canonical(DATASET, [EXAMPLE | {"AGNCY": agency.code}]), out, labels=True)

    with pytest.raises(Unusable, match="This is the copy with labels: choose the file that was sent"):
        imported(data=out.getvalue())
    assert not Client.objects.exists()
