"""Finding a client by what somebody types, with and without a script, with a mouse and with keys alone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from tests.browsing import barriers
from tests.web.conftest import follow

from cjit.web.agencies.models import Agency, Membership, Role
from cjit.web.caseload import actions, search
from cjit.web.caseload.models import Client, Episode
from cjit.web.caseload.record import identify

TODAY = date(2026, 3, 31)
#: Reference, initials and birth date of whom the tests look for.
PEOPLE = {
    "ann": ("C12", "AB", "01/02/1980"),
    "ben": ("C123", "BC", "02/01/1980"),
    "cat": ("MS 7/A", "CD", "01/02/1990"),
    "dan": ("1980", "MS", "31/12/1999"),
    "eve": ("", "MS", "01/02/1905"),
    "fay": ("01021980X", "É", ""),
    "gus": ("50%_A", "M", "29/02/2004"),
}


def client_at(
    reference: str = "", initials: str = "MS", born: str = "01/02/1980", *, agency: Agency, **told: Any
) -> Client:
    """A client of an agency, found by what is told of them."""
    values = {"CLIENT": reference, "FINITIAL": initials[:1], "SINITIAL": initials[1:], "DOB": born}
    number = f"C{Client.objects.count()}"
    told = {"agency": agency, "clientid": number, "changed": timezone.now(), "begun": TODAY, **told}
    client = Client(values=values, **told)
    identify(client)
    client.save()
    return client


@pytest.fixture
def client_of(agency) -> Callable[..., Client]:
    return partial(client_at, agency=agency)


@pytest.fixture
def people(client_of) -> dict[int, str]:
    return {client_of(*told).pk: name for name, told in PEOPLE.items()}


def episode_of(client: Client, **told: Any) -> Episode:
    return Episode.objects.create(
        client=client,
        agency=client.agency,
        episodid=f"E{Episode.objects.count()}",
        changed=timezone.now(),
        begun=TODAY,
        **told,
    )


def names(agency, people: dict[int, str], text: str, *, only_open: bool = False) -> str:
    found = search.look(agency, text, only_open=only_open, today=TODAY)
    return " ".join(sorted(people[each.client.pk] for each in found))


# ---- what is read ----------------------------------------------------------------------------------


@pytest.mark.every_case
@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("c12", "ann ben"),
        ("C123", "ben"),
        ("c1234", ""),
        ("ab", "ann"),
        ("a b", "ann"),
        ("A.B.", "ann"),
        ("b", "ben"),
        ("ms", "cat dan eve"),
        ("m s", "dan eve"),
        ("ms 7/a", "cat"),
        ("m", "cat dan eve gus"),
        ("é", "fay"),
        ("50%", "gus"),
        ("%", ""),
        ("_", ""),
        ("50_", ""),
    ],
)
def test_a_client_is_found_by_reference_or_initials(agency, people, text, found):
    assert names(agency, people, text) == found


@pytest.mark.every_case
@pytest.mark.parametrize(
    "text",
    [
        "1/2/1980",
        "01/02/1980",
        "1.2.80",
        "1.2.80?",
        "1-2-1980",
        "1 2 1980",
        "1980-02-01",
        "010280",
        "19800201",
        "1 feb 1980",
        "1st February 1980",
        "1feb80",
        " 1 / 2 / 1980 ",
    ],
)
def test_a_birth_date_is_read_as_people_write_it(agency, people, text):
    assert names(agency, people, text) == "ann"


@pytest.mark.every_case
@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("01021980", "ann fay"),
        ("1/2", "ann cat eve"),
        ("1 feb", "ann cat eve"),
        ("2/1980", "ann"),
        ("2/80", "ann"),
        ("feb 1980", "ann"),
        ("1/1980", "ben"),
        ("1980", "ann ben dan"),
        ("1999", "dan"),
        ("1/2/05", "eve"),
        ("29/2", "gus"),
        ("29/2/2003", ""),
        ("31/2/1980", ""),
        ("1/13/1980", ""),
        ("1/2/2080", ""),
        ("31022080", ""),
        ("dec 1999", "dan"),
        ("12 1999", ""),
    ],
)
def test_a_part_of_a_birth_date_is_enough(agency, people, text, found):
    assert names(agency, people, text) == found


@pytest.mark.every_case
@pytest.mark.parametrize("text", ["ab c12", "c12 a b", "1/2/1980 ab", "ab, 1/2/1980", "c12 feb 1980 ab", "1980 a"])
def test_they_are_put_together_in_any_order(agency, people, text):
    assert names(agency, people, text) == "ann"


def test_what_does_not_fit_together_finds_nobody(agency, people):
    assert names(agency, people, "ab 2/1/1980") == ""


@given(text=st.text(max_size=120))
def test_whatever_is_typed_is_read(agency, text):
    assert search.look(agency, text, only_open=False, today=TODAY) == []


@given(
    born=st.dates(date(1930, 1, 1), date(2008, 12, 31)),
    form=st.sampled_from(["%d/%m/%Y", "%d.%m.%y", "%d%m%Y", "%d%m%y", "%d %b %Y", "%Y-%m-%d", "%d/%m", "%m/%Y", "%Y"]),
    initials=st.sampled_from(["", "ms ", "m s "]),
)
def test_every_client_is_found_by_their_birth_date_in_any_form(agency, client_of, born, form, initials):
    client = client_of("", "MS", f"{born:%d/%m/%Y}")
    found = search.look(agency, initials + born.strftime(form), only_open=False, today=TODAY)
    Client.objects.all().delete()

    assert [each.client for each in found] == [client]


# ---- what is shown ---------------------------------------------------------------------------------


def test_clients_with_an_open_episode_come_first(agency, client_of):
    closed, nothing, opened = client_of(), client_of(), client_of()
    episode_of(closed, open=False, closed=date(2026, 1, 5))
    episode_of(opened, triaged=date(2026, 3, 3))
    found = search.look(agency, "ms", only_open=False, today=TODAY)

    assert [each.client for each in found] == [opened, nothing, closed]
    assert [each.client for each in search.look(agency, "ms", only_open=True, today=TODAY)] == [opened]


@pytest.mark.every_case
@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({}, "Not triaged yet"),
        ({"triaged": date(2026, 3, 3)}, "Triaged 3 March 2026"),
        (
            {"triaged": date(2026, 3, 3), "started": date(2026, 3, 5)},
            "Triaged 3 March 2026, on the caseload since 5 March 2026",
        ),
        ({"open": False, "closed": date(2026, 3, 9)}, "Closed 9 March 2026"),
        ({"open": False}, "Closed"),
    ],
)
def test_an_episode_is_told_by_where_it_stands(agency, client_of, told, words):
    episode_of(client_of(), **told)

    assert [each.state for each in search.look(agency, "", only_open=False, today=TODAY)] == [words]


def test_of_several_episodes_the_open_one_is_told_and_the_gravest_finding_of_all(agency, client_of):
    client = client_of()
    episode_of(client, triaged=date(2026, 1, 1), missing=3)
    episode_of(client, triaged=date(2026, 2, 2), open=False, closed=date(2026, 2, 9), rejects=1)
    [found] = search.look(agency, "", only_open=False, today=TODAY)

    assert (found.state, found.findings) == ("Triaged 1 January 2026", "Would be rejected")


def test_without_a_search_those_on_whom_somebody_worked_last_are_shown(agency, keyworker, client_of):
    begun = [actions.begin_client(by=keyworker, agency=agency, typed={}).client for _ in range(3)]
    actions.add_note(by=keyworker, client=begun[0], text="Rang")
    episode = begun[1].episodes.get()
    actions.save(by=keyworker, record=episode, typed={"TRIAGED": "01/03/2026"})
    found = search.look(agency, " ", only_open=False, today=TODAY)

    assert [each.client for each in found] == [begun[1], begun[0], begun[2]]


@pytest.mark.parametrize(
    ("number", "text", "only_open", "words"),
    [
        (0, "", False, "There are no clients"),
        (0, "", True, "There are no clients with an open episode"),
        (3, "", False, "Clients worked on last"),
        (0, "ms", False, "No clients found"),
        (1, "ms", False, "1 client found"),
        (20, "ms", True, "20 clients with an open episode found"),
        (21, "ms", False, "More than 20 clients found: type more to see fewer"),
    ],
)
def test_what_was_found_is_said_in_a_sentence(number, text, only_open, words):
    found = [search.Found(Client(), "", "", False)] * number

    assert search.said(found, text, only_open=only_open) == words


# ---- the pages -------------------------------------------------------------------------------------


def test_the_page_shows_who_it_found_and_no_more_than_twenty(signed_in, keyworker, client_of):
    for number in range(21):
        client_of(f"C{number}", consent="Y" if number else "")
    page = signed_in(keyworker).post(reverse("clients"), {"find": "ms"}).text

    assert "More than 20 clients found: type more to see fewer" in page
    assert page.count("MS, born 1 February 1980") == 20
    assert 'value="ms"' in page


def test_the_marks_are_words(signed_in, keyworker, client_of):
    for consent, marks in {"": {"missing": 1}, "N": {"faults": 1}, "Y": {"rejects": 1}}.items():
        episode_of(client_of(consent=consent), **marks)
    page = signed_in(keyworker).get(reverse("clients")).text

    for words in ("Consents", "No consent", "Ask for consent", "Would be rejected", "To check", "Not filled in"):
        assert words in page


def test_the_script_is_given_the_list_alone(signed_in, keyworker, client_of):
    client = client_of()
    answer = signed_in(keyworker).post(reverse("clients-found"), {"find": "ms"}).text

    assert 'data-said="1 client found"' in answer
    assert reverse("client", args=[client.pk]) in answer
    assert "<html" not in answer


def test_nothing_is_searched_by_an_address(signed_in, keyworker, client_of):
    client_of(initials="MS")
    client_of(initials="QX")
    browser = signed_in(keyworker)

    assert browser.get(reverse("clients-found"), {"find": "qx"}).status_code == 405
    assert "MS, born" in browser.get(reverse("clients"), {"find": "qx"}).text


@pytest.mark.parametrize("role", [role for role in Role if role not in (Role.KEYWORKER, Role.MANAGER)])
def test_clients_are_not_there_for_other_roles(signed_in, person_with, agency, region, role):
    place = {Role.PROVIDER: {"agency": agency}, Role.REGIONAL: {"region": region}}.get(role, {})
    browser = signed_in(person_with(role, **place))

    assert browser.get(reverse("clients")).status_code == 404
    assert browser.post(reverse("clients"), {"find": "ms"}).status_code == 404
    assert browser.post(reverse("clients-found"), {"find": "ms"}).status_code == 404


def test_nobody_finds_the_clients_of_an_agency_at_which_they_do_not_work(signed_in, keyworker, client_of, other_agency):
    client_of(agency=other_agency, initials="QX")
    browser = signed_in(keyworker)

    assert browser.post(reverse("clients-found"), {"find": "qx", "agency": "CJ902"}).status_code == 404
    assert "No clients found" in browser.post(reverse("clients-found"), {"find": "qx"}).text
    Membership.objects.create(person=keyworker, role=Role.KEYWORKER, agency=other_agency)
    assert "1 client found" in browser.post(reverse("clients-found"), {"find": "qx", "agency": "CJ902"}).text
    assert "QX, born" in browser.get(reverse("clients"), {"agency": "CJ902"}).text


def test_a_search_asks_as_little_of_the_database_for_many_as_for_one(signed_in, keyworker, client_of):
    browser = signed_in(keyworker)

    def asked() -> int:
        with CaptureQueriesContext(connection) as seen:
            browser.post(reverse("clients-found"), {"find": "ms"})
        return len(seen)

    episode_of(client_of())
    asked()
    one = asked()
    for _ in range(20):
        episode_of(client_of())
    assert asked() == one


# ---- in a browser ----------------------------------------------------------------------------------


@pytest.fixture
def visitor(signed_in, keyworker):
    return signed_in(keyworker)


def due_of_every_kind(agency, keyworker) -> None:
    """Clients, and something due of every kind."""
    today = timezone.localdate()
    for number in range(6):
        client = client_at(f"K{number}", "MS" if number else "QX", agency=agency, consent="Y" if number % 2 else "")
        episode_of(
            client,
            triaged=today - timedelta(days=200 - number),
            started=today - timedelta(days=199) if number else None,
            contact=today - timedelta(days=50 + 5 * number),
            custody=today if number == 3 else None,
            review=today - timedelta(days=5 * number) if number else None,
            findings=[["DRUG1.is_given", 0]],
            **{["missing", "faults", "rejects"][number % 3]: 1},
        )
    actions.add_referral(by=keyworker, episode=Episode.objects.all()[0], typed={})


@pytest.fixture
def many(agency, keyworker) -> None:
    due_of_every_kind(agency, keyworker)


@pytest.mark.browser
def test_clients_are_found_while_somebody_types(tab, many):
    page = tab(reverse("clients"))
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "find"
    page.keyboard.type("ms ")
    page.get_by_role("status").get_by_text("5 clients found").wait_for()
    before = page.locator("[data-search-found] a").first.element_handle()
    page.keyboard.insert_text("1/2/1980")
    page.keyboard.press("ArrowDown")
    # Whoever is in the list already when a new one comes stays in it.
    page.wait_for_function("before => !before.isConnected", arg=before)
    assert page.evaluate("document.activeElement.textContent").strip().startswith("MS, born 1 February 1980")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    assert page.evaluate("document.activeElement.id") == "find"
    page.keyboard.press("Enter")
    page.locator("[data-search-found] a:focus").wait_for()
    page.get_by_label("Only clients with an open episode").check()
    page.get_by_role("status").get_by_text("5 clients with an open episode found").wait_for()
    assert page.url.endswith(reverse("clients"))
    assert barriers(page) == ""


@pytest.mark.browser
def test_the_only_one_found_is_opened_by_enter(tab, many):
    page = tab(reverse("clients"))
    page.get_by_label("Find a client").fill("k5")
    with page.expect_navigation():
        page.keyboard.press("Enter")

    assert page.url.endswith(f"/clients/{Client.objects.get(reference='K5').pk}/")


@pytest.mark.browser
def test_the_key_that_goes_to_the_search_can_be_turned_off(tab, many):
    page = tab(reverse("clients"))
    page.get_by_role("button", name="Switch off the / key").click()
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") != "find"
    page.reload()
    page.get_by_role("button", name="Switch on the / key").click()
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "find"


@pytest.mark.browser
def test_a_search_needs_no_script(tab, many):
    page = tab(reverse("clients"), java_script_enabled=False)
    page.get_by_label("Find a client").fill("qx 1/2")
    follow(page.get_by_role("button", name="Find"))

    assert page.get_by_role("status").inner_text() == "1 client found"
    assert page.get_by_role("link", name="QX, born 1 February 1980, reference K0").is_visible()
    assert page.url.endswith(reverse("clients"))
    assert page.get_by_label("Find a client").input_value() == "qx 1/2"


@pytest.mark.browser
def test_who_is_signed_out_meanwhile_is_led_to_sign_in(tab, many, keyworker):
    page = tab(reverse("clients"))
    page.context.clear_cookies()
    page.get_by_label("Find a client").fill("ms")
    page.get_by_role("heading", name="Sign in").wait_for()
