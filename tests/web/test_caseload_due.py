"""What is due: which clients, episodes and referrals wait for somebody, and how the pages tell it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from cjit.web.agencies.models import Agency, Membership, Role
from cjit.web.caseload import actions, due
from cjit.web.caseload.models import Client, Contact, Episode, Intervention, Referral
from cjit.web.caseload.record import date_of, months_after

TODAY = date(2026, 3, 31)


def plain(day: date | None) -> str:
    return day.strftime("%d/%m/%Y") if day else ""


@pytest.fixture
def client_of(agency) -> Callable[..., Client]:
    """A client of the agency, with a consent unless told otherwise."""

    def make(**told: Any) -> Client:
        number = Client.objects.count()
        told = {"agency": agency, "consent": "Y", "initials": "MS", "born": date(1980, 2, 1), **told}
        return Client.objects.create(
            **{"clientid": f"C{number}", "changed": timezone.now(), "begun": timezone.localdate(), **told}
        )

    return make


@pytest.fixture
def episode_of(client_of) -> Callable[..., Episode]:
    """An episode, its columns as told, of a client of its own unless told otherwise."""

    def make(client: Client | None = None, **told: Any) -> Episode:
        whose = client or client_of()
        return Episode.objects.create(
            client=whose,
            agency=whose.agency,
            episodid=f"E{Episode.objects.count()}",
            changed=timezone.now(),
            begun=timezone.localdate(),
            **told,
        )

    return make


@pytest.fixture
def today() -> date:
    return timezone.localdate()


def kind_of(name: str) -> due.Kind:
    return next(kind for kind in due.KINDS if kind.name == name)


# ---- the queries, against the rules read in plain Python -------------------------------------------

DAYS = st.one_of(st.none(), st.dates(date(2025, 6, 1), TODAY + timedelta(days=20)))
PAST = st.dates(date(2025, 6, 1), TODAY)
EPISODES = st.fixed_dictionaries(
    {
        "TRIAGED": DAYS,
        "CPLANDT": DAYS,
        "DISD": st.one_of(st.none(), st.none(), DAYS),
        "consent": st.sampled_from(["Y", "N", ""]),
        "contacts": st.lists(st.tuples(PAST, st.booleans(), st.booleans()), max_size=3),
        "assessed": st.lists(st.tuples(PAST, st.booleans()), max_size=2),
        "referrals": st.lists(DAYS, max_size=2),
        "findings": st.tuples(*[st.integers(0, 1)] * 3),
        # An episode that was imported: the day from which assessments count, and whether there was no contact since.
        "imported": st.one_of(st.none(), st.tuples(st.one_of(st.none(), PAST), st.booleans())),
    }
)


def _made(agency: Agency, number: int, drawn: dict[str, Any], today: date) -> None:
    client = Client.objects.create(
        agency=agency, clientid=f"C{number}", consent=drawn["consent"], changed=timezone.now(), begun=today
    )
    values = {header: plain(drawn[header]) for header in ("TRIAGED", "CPLANDT", "DISD")}
    rejects, faults, missing = drawn["findings"]
    episode = Episode(client=client, agency=agency, episodid=f"E{number}", values=values)
    episode.changed, episode.begun = timezone.now(), today
    if drawn["imported"]:
        episode.imported = today
        episode.counted_from, episode.no_contact = drawn["imported"]
    episode.rejects, episode.faults, episode.missing = rejects, faults, missing
    episode.save()
    for on, face_to_face, custody in drawn["contacts"]:
        Contact.objects.create(episode=episode, on=on, kind="office", face_to_face=face_to_face, custody=custody)
    for on, leaving in drawn["assessed"]:
        Intervention.objects.create(episode=episode, on=on, leaving=leaving)
    for place, on in enumerate(drawn["referrals"]):
        Referral.objects.create(
            episode=episode, agency=agency, referid=f"R{number}.{place}", dated=on, changed=timezone.now()
        )
    date_of(episode, list(episode.contacts.all()), list(episode.interventions.all()))
    episode.save()


def _read(drawn: dict[str, Any], today: date) -> dict[str, int]:
    """How much is due of an episode, of each kind, as the document says it."""
    contacts = sorted(drawn["contacts"], key=lambda each: each[0], reverse=True)
    days = [on for on in (drawn["TRIAGED"], drawn["CPLANDT"], *(on for on, _, _ in contacts)) if on]
    is_open, started = drawn["DISD"] is None, drawn["CPLANDT"]
    counted_from, no_contact = drawn["imported"] or (None, False)
    if drawn["imported"] is not None and not no_contact:
        # A contact before the last day that the file tells says nothing of those since.
        told = max((on for on in (drawn["TRIAGED"], drawn["CPLANDT"]) if on), default=None)
        days = [on for on, _, _ in contacts if told is None or on >= told]
    unknown = drawn["imported"] is not None and not days
    in_prison = bool(contacts) and any(custody for on, _, custody in contacts if on == contacts[0][0])
    if started is None:
        assess = None
    elif is_open:
        begun = max(started, counted_from or started)
        assess = months_after(max([on for on, _ in drawn["assessed"]] or [begun]), 6)
    elif drawn["imported"] and counted_from is None:
        assess = None
    else:
        assess = None if any(leaving for _, leaving in drawn["assessed"]) else drawn["DISD"]
    silent = is_open and not in_prison and bool(days) and months_after(max(days), 2) <= today
    return {
        "reviews": assess is not None and (assess - today).days <= 14,
        "prison": is_open and in_prison,
        "no-contact": silent,
        "imported": is_open and unknown,
        "undecided": is_open and drawn["TRIAGED"] is not None and not (started or in_prison or silent or unknown),
        "referrals": sum(on is None for on in drawn["referrals"]),
        "consent": drawn["consent"] == "",
        "findings": any(drawn["findings"]),
        "overdue": assess is not None and assess < today,
    }


def _unclear(drawn: dict[str, Any]) -> bool:
    """Whether two contacts of one day disagree on whether the client was in prison: the later entry counts."""
    custody: dict[date, set[bool]] = {}
    for on, _, held in drawn["contacts"]:
        custody.setdefault(on, set()).add(held)
    return any(len(both) == 2 for both in custody.values())


@pytest.mark.dear
@given(some=st.lists(EPISODES.filter(lambda drawn: not _unclear(drawn)), max_size=5), ago=st.integers(0, 400))
def test_the_queries_find_what_the_rules_say(agency, some, ago):
    today = TODAY - timedelta(days=ago % 60)
    with transaction.atomic():
        for number, drawn in enumerate(some):
            _made(agency, number, drawn, today)
        found = due.counts(agency, today)
        listed = {kind.name: len(kind.rows(kind.of(agency, today), today)) for kind in due.KINDS}
        late = sum(row.is_overdue for kind in due.KINDS for row in kind.rows(kind.of(agency, today), today))
        transaction.set_rollback(True)
    read = [_read(drawn, today) for drawn in some]
    expected = {name: sum(each[name] for each in read) for name in found}

    assert found == expected
    assert listed | {"overdue": late} == expected


@given(day=st.dates(date(2019, 1, 1), date(2029, 1, 1)))
def test_two_months_without_contact_are_over_on_the_same_day_of_the_month(day):
    since = due.disengaged_since(day)

    assert months_after(since, 2) <= day < months_after(since + timedelta(days=1), 2)


# ---- the kinds -------------------------------------------------------------------------------------


def test_an_assessment_is_told_of_two_weeks_before_it_is_due(agency, episode_of, today):
    for ahead in (15, 14, 0, -12):
        episode_of(review=today + timedelta(days=ahead))
    rows = due.REVIEWS.rows(due.REVIEWS.of(agency, today), today)

    assert [row.when for row in rows] == ["Overdue by 12 days", "Due today", "Due in 14 days"]
    assert [row.is_overdue for row in rows] == [True, False, False]


def test_a_day_is_one_day(agency, episode_of, today):
    episode_of(review=today + timedelta(days=1))
    episode_of(review=today - timedelta(days=1))

    rows = due.REVIEWS.rows(due.REVIEWS.of(agency, today), today)
    assert [row.when for row in rows] == ["Overdue by 1 day", "Due in 1 day"]


def test_a_closure_is_told_once(agency, episode_of, today):
    long_ago = today - timedelta(days=100)
    episode_of(triaged=long_ago, contact=long_ago, custody=long_ago)
    episode_of(triaged=long_ago, contact=long_ago)
    told = due.counts(agency, today)

    assert (told["prison"], told["no-contact"], told["undecided"]) == (1, 1, 0)


def test_every_kind_leads_to_the_page_that_settles_it(agency, client_of, episode_of, today):
    long_ago = today - timedelta(days=100)
    review, prison, silent = (
        episode_of(review=today),
        episode_of(custody=today),
        episode_of(contact=long_ago),
    )
    undecided = episode_of(triaged=today, contact=today)
    imported = episode_of(triaged=long_ago, imported=today)
    referral = Referral.objects.create(episode=review, agency=agency, referid="R1", changed=timezone.now())
    asked = client_of(consent="")
    episode_of(asked)
    client_of(consent="")  # began by mistake: without an episode there is nothing to consent to
    where = {kind.name: [row.href for row in kind.rows(kind.of(agency, today), today)] for kind in due.KINDS}

    assert where == {
        "reviews": [reverse("interventions", args=[review.pk])],
        "prison": [reverse("episode-close", args=[prison.pk])],
        "no-contact": [reverse("episode-close", args=[silent.pk])],
        "imported": [reverse("contacts", args=[imported.pk])],
        "undecided": [reverse("questions", args=[undecided.pk, "plan"])],
        "referrals": [reverse("referral", args=[referral.pk])],
        "consent": [reverse("client-consent", args=[asked.pk])],
        "findings": [],
    }


def test_a_referral_says_whether_its_date_is_missing_or_cannot_be_read(agency, episode_of, today):
    episode = episode_of(triaged=date(2026, 3, 3))
    for number, values in enumerate(({}, {"REFDATE": "soon"})):
        Referral.objects.create(
            episode=episode, agency=agency, referid=f"R{number}", values=values, changed=timezone.now()
        )
    kind = kind_of("referrals")
    rows = kind.rows(kind.of(agency, today), today)

    assert [row.when for row in rows] == [
        "No date, triaged 3 March 2026",
        "The date cannot be read, triaged 3 March 2026",
    ]


def test_findings_come_the_gravest_first_and_lead_to_the_field(agency, keyworker, today):
    typed = {"FINITIAL": "M", "SINITIAL": "S", "DOB": "01/02/1980", "SEX": "F"}
    empty = actions.begin_client(by=keyworker, agency=agency, typed={})
    begun = actions.begin_client(by=keyworker, agency=agency, typed=typed)
    Episode.objects.filter(pk=empty.pk).update(findings=[["DRUG1.is_given", 0]], rejects=1, missing=1)
    Episode.objects.filter(pk=begun.pk).update(findings=[["DISABLE1.is_in_list", 0]], faults=1, rejects=0, missing=0)
    kind = kind_of("findings")
    rows = kind.rows(kind.of(agency, today), today)

    assert [(row.when, row.href) for row in rows] == [
        ("Would be rejected", reverse("questions", args=[empty.pk, "substances"])),
        ("To check", reverse("questions", args=[begun.pk, "about"])),
    ]


@pytest.mark.parametrize(
    ("findings", "name"),
    [
        ([["DOB.is_given", 0], ["DRUG2.is_in_list", 0]], "client-details"),
        ([["PC.is_given", 0], ["DISD.is_a_date", 0]], "episode-close"),
        ([["CLIENTID.identifies_nobody", 0]], "client"),
        ([["REFDATE.is_given_with_an_id", 7]], "referral"),
        ([["GONE.is_no_rule_any_more", 0]], "episode"),
    ],
)
def test_a_finding_leads_to_the_page_of_its_field(episode_of, findings, name):
    episode = episode_of(findings=findings)
    number = {"client-details": episode.client_id, "client": episode.client_id, "referral": 7}.get(name, episode.pk)
    [row] = kind_of("findings").rows(Episode.objects.filter(pk=episode.pk), TODAY)

    assert row.href == reverse(name, args=[number])


# ---- the pages -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "late", "words"),
    [
        (0, 0, "Nothing is due"),
        (1, 0, "1 thing is due"),
        (1, 1, "1 thing is due, and it is overdue"),
        (14, 0, "14 things are due"),
        (1400, 3, "1,400 things are due, 3 of them overdue"),
    ],
)
def test_how_much_is_due_is_said_first(number, late, words):
    assert due.verdict(number, late) == words


def test_the_page_has_the_first_of_each_kind_and_the_way_to_all(signed_in, keyworker, episode_of, today):
    for late in range(12):
        episode_of(review=today - timedelta(days=late))
    browser = signed_in(keyworker)
    page = browser.get(reverse("due")).text

    assert re.search(r"<h1[^>]*>12 things are due, 11 of them overdue</h1>", page)
    assert re.findall(r"Overdue by (\d+) days?", page) == [str(late) for late in range(11, 1, -1)]
    assert 'href="/caseload/due/reviews/?agency=CJ901"' in page
    everything = browser.get("/caseload/due/reviews/?agency=CJ901").text
    assert "1 to 12 of 12" in everything
    assert everything.count("MS, born 1 February 1980") == 12


def test_nothing_due_is_said_plainly(signed_in, keyworker):
    page = signed_in(keyworker).get(reverse("due")).text

    assert re.search(r"<h1[^>]*>Nothing is due</h1>", page)


def test_a_long_list_is_in_pages(signed_in, keyworker, episode_of, today):
    for late in range(due.PAGE + 1):
        episode_of(review=today - timedelta(days=late))
    browser = signed_in(keyworker)
    first = browser.get("/caseload/due/reviews/").text
    last = browser.get("/caseload/due/reviews/?agency=CJ901&page=2").text

    assert f"Overdue by {due.PAGE} days" in first
    assert 'href="?agency=CJ901&amp;page=2"' in first
    assert "Due today" in last
    assert 'href="?agency=CJ901&amp;page=1"' in last


def test_a_list_of_which_nothing_is_left_says_so(signed_in, keyworker):
    assert "Nothing is due." in signed_in(keyworker).get("/caseload/due/consent/").text


@pytest.mark.parametrize("role", [role for role in Role if role not in (Role.KEYWORKER, Role.MANAGER)])
def test_it_is_not_there_for_other_roles(signed_in, person_with, agency, region, role):
    place = {Role.PROVIDER: {"agency": agency}, Role.REGIONAL: {"region": region}}.get(role, {})
    browser = signed_in(person_with(role, **place))

    assert browser.get(reverse("due")).status_code == 404
    assert browser.get(reverse("due-list", args=["reviews"])).status_code == 404


def test_there_is_no_list_of_another_name(signed_in, keyworker):
    assert signed_in(keyworker).get("/caseload/due/everything/").status_code == 404


def test_another_agency_is_chosen_by_those_who_work_there(
    signed_in, keyworker, agency, other_agency, client_of, episode_of, today
):
    episode_of(client_of(agency=other_agency, initials="ZZ"), review=today)
    browser = signed_in(keyworker)

    assert browser.get("/caseload/due/?agency=CJ902").status_code == 404
    assert "Another agency" not in browser.get("/caseload/due/").text
    Membership.objects.create(person=keyworker, role=Role.KEYWORKER, agency=other_agency)
    first, second = browser.get("/caseload/due/").text, browser.get("/caseload/due/?agency=CJ902").text
    assert "Nothing is due" in first
    assert 'href="?agency=CJ902"' in first
    assert "1 thing is due" in second
    assert "ZZ, born" in second


def test_the_page_asks_as_little_of_the_database_with_many_as_with_few(signed_in, keyworker, episode_of, today):
    browser = signed_in(keyworker)

    def asked() -> int:
        with CaptureQueriesContext(connection) as seen:
            browser.get(reverse("due"))
        return len(seen)

    browser.get(reverse("due"))
    nothing = asked()
    for _ in range(2):
        episode_of(review=today, custody=today)
    few = asked()
    for _ in range(20):
        episode_of(review=today, custody=today)

    assert few == nothing + 4  # two for each kind there is any of
    assert asked() == few
