"""What keyworkers and managers do with a caseload, in a real browser: given, when, then."""

from __future__ import annotations

import re
from datetime import date, timedelta

import pytest
from django.utils import timezone
from tests.web.conftest import awaited, follow

from cjit.dataset import Entity
from cjit.web.agencies.models import Membership, Role
from cjit.web.caseload import actions, record
from cjit.web.caseload.models import Client, Consent, Episode, Extract
from cjit.web.portal import actions as portal
from cjit.web.portal import store
from cjit.web.portal.models import State, Submission

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("working")]

WHO = {"FINITIAL": "M", "SINITIAL": "S", "DOB": "14/02/1985", "SEX": "M", "ETHNIC": "A", "NATION": "GBR"}
#: What is known of an episode a month after triage.
KNOWN = {"CJRFLS": "X09", "OFFENCE": "X01", "PC": "NE8 1AB", "HOUSING": "8", "HOMELESS": "N"}
KNOWN |= {"SEXUALO": "1", "PREGNANT": "N", "RELIGION": "C", "DISABLE1": "NN", "VETERAN": "N"}
KNOWN |= {"PARENT": "N", "CHILDWTH": "0", "DRUG1": "1011", "ROUTE": "3", "INJSTAT": "N", "ALCDDAYS": "0"}
KNOWN |= {"NALOXISS": "X01", "NALOXAD": "N"}


def text(day: date) -> str:
    return f"{day:%d/%m/%Y}"


def ago(days: int) -> date:
    return timezone.localdate() - timedelta(days=days)


def spoken(day: date) -> str:
    return f"{day:%-d %B %Y}"


@pytest.fixture
def agency(agency):
    agency.dat = "A09B"
    agency.save()
    return agency


@pytest.fixture
def manager(person_with, agency):
    """Who keeps the caseload and submits for it, too."""
    person = person_with(Role.MANAGER, agency=agency)
    Membership.objects.create(person=person, role=Role.PROVIDER, agency=agency)
    return person


@pytest.fixture
def episode(agency, keyworker) -> Episode:
    """Given a client on the caseload for a hundred days, who consents."""
    begun = actions.begin_client(by=keyworker, agency=agency, typed={**WHO, "CLIENT": "A1"})
    dates = {"REFLD": text(ago(101)), "TRIAGED": text(ago(100)), "CPLANDT": text(ago(100))}
    actions.save(by=keyworker, record=begun, typed=KNOWN | dates)
    actions.record_consent(by=keyworker, client=begun.client, given=True, on=ago(100))
    before = ago(100)
    Client.objects.update(begun=before)
    Episode.objects.update(begun=before)
    begun.refresh_from_db()
    assert record.told(begun) == []
    return begun


def fills(page, **answers: str) -> None:
    """Answer questions as a keyworker does: dates in three boxes, codes by what they are called."""
    for header, answer in answers.items():
        boxes = page.locator(f"[data-question={header}]")
        boxes.locator("select[data-search]").first.wait_for(state="hidden")  # a box that searches it takes its place
        if boxes.locator(f"[name={header}-day]").count():
            for part, content in zip(("day", "month", "year"), answer.split("/"), strict=True):
                boxes.locator(f"[name={header}-{part}]").fill(content)
        elif boxes.get_by_role("radio").count():
            boxes.get_by_label(answer, exact=True).check(force=True)
        elif boxes.get_by_role("combobox").count() and boxes.locator("select").first.is_visible():
            boxes.locator("select").select_option(label=answer)
        elif boxes.get_by_role("combobox").count():
            box = boxes.get_by_role("combobox").first
            box.fill(answer)
            boxes.get_by_role("option", name=answer).first.click()
        else:
            boxes.locator("input[type=text]").first.fill(answer)


def presses(somebody, name: str) -> None:
    """Press a button, by the beginning of what stands on it, and wait for the page it leads to."""
    follow(somebody.page.get_by_role("button", name=re.compile(f"^{re.escape(name)}")).first)


def sends_the_extract(somebody) -> Submission:
    """Have the extract of this month checked, send it to the portal, and see it checked there."""
    somebody.goes_to("/caseload/extract/")
    month = timezone.localdate()
    somebody.page.select_option("select[name=month]", value=f"{month:%Y-%m}")
    presses(somebody, "Check the extract")
    awaited(somebody.page)
    somebody.sees("The extract is ready")
    presses(somebody, "Send it to the portal")
    awaited(somebody.page)
    sent = Submission.objects.latest("pk")
    somebody.sees(f"The extract is sent to the portal as {sent.number}")
    presses(somebody, "See how its check goes")
    awaited(somebody.page)
    return sent


def held(agency, header: str, entity: Entity = Entity.CLIENT) -> list[str]:
    return store.held(agency, entity)[header].to_list()


def test_a_first_triage_with_two_referrals(somebody, keyworker, agency):  # noqa: PLR0915 - to be divided when it is next opened
    # given a keyworker who has nothing to do
    kit = somebody()
    kit.signs_in(keyworker)
    kit.sees("Nothing is due")

    # when a client is begun
    kit.clicks("Clients")
    kit.sees("Find a client")
    presses(kit, "Add a client")
    kit.sees("New client", "O for O'Brian, M for McNeil")
    fills(kit.page, FINITIAL="m", SINITIAL="s", DOB="14/2/1985", SEX="Male")
    presses(kit, "Add the client")
    kit.sees("MS, born 14 February 1985", "to answer")

    # and the conversation goes through the groups, by what the client says
    kit.clicks("Client details")
    fills(kit.page, ETHNIC="White British", NATION="United Kingdom")
    presses(kit, "Save, and give the next client reference")
    kit.goes_to(f"/caseload/episodes/{Episode.objects.get().pk}/contact/")
    kit.sees("What brought the client here")
    fills(kit.page, REFLD=text(ago(3)), CJRFLS="Voluntary – following release from prison", TRIAGED=text(ago(2)))
    fills(kit.page, OFFENCE="Theft (section 1 Theft Act 1968), including shoplifting and attempts")
    presses(kit, "Save and continue")
    kit.sees("Where the client lives")
    fills(
        kit.page,
        PC="ne8 1ab",
        HOUSING="Other – living with family permanently",
        HOMELESS="No – not at risk of homelessness",
    )
    kit.pictured("questions-living")
    presses(kit, "Save and continue")
    kit.sees("About the client")
    fills(kit.page, SEXUALO="Heterosexual or straight", PREGNANT="No", RELIGION="Christian", VETERAN="No")
    fills(kit.page, DISABLE1="No disability")
    assert not kit.page.locator("[data-question=DISABLE2]").is_visible()
    presses(kit, "Save and continue")
    kit.sees("Children")
    fills(kit.page, PARENT="Yes", PRNTSTAT="None of the children live with client", CHILDWTH="0")
    fills(kit.page, EHCS="Early Help (family support)")
    presses(kit, "Save and continue")
    kit.sees("Drugs and alcohol")
    assert not kit.page.locator("[data-question=DRUG2]").is_visible()
    fills(kit.page, DRUG1="Heroin", ROUTE="Smoke", INJSTAT="Never injected", ALCDDAYS="0")
    presses(kit, "Save and continue")
    kit.sees("Care plan and naloxone")
    fills(kit.page, CPLANDT=text(ago(1)), NALOXISS="Yes – nasal", NALOXAD="No – has never been administered naloxone")
    presses(kit, "Save and continue")

    # and two referrals are made
    for days in (1, 0):
        kit.goes_to(f"/caseload/episodes/{Episode.objects.get().pk}/")
        kit.clicks("Add a referral")
        fills(kit.page, REFDATE=text(ago(days)))
        presses(kit, "Add the referral")

    # and the client consents
    kit.goes_to("/caseload/due/")
    kit.sees("consent")
    kit.goes_to(f"/caseload/clients/{Client.objects.get().pk}/consent/")
    kit.page.get_by_label("Yes", exact=False).first.check(force=True)
    kit.page.get_by_label("Evidence").fill("Signed form in the file")
    presses(kit, "Record the answer")
    kit.goes_to(f"/caseload/clients/{Client.objects.get().pk}/")
    kit.sees("Given", "Completed", spoken(ago(1)), spoken(ago(0)))
    kit.pictured("client")

    # then the rule book has nothing to say, and nothing is due
    client = Client.objects.get()
    begun = Episode.objects.get()
    assert (client.values["CLIENT"], client.consent) == ("C1", "Y")
    assert (begun.values["PC"], begun.values["UTLA"], begun.values["DAT"]) == ("NE8 1AB", "E08000037", "A09B")
    assert [each.values["REFDATE"] for each in begun.referrals.all()] == [text(ago(1)), text(ago(0))]
    assert record.told(begun) == []
    kit.goes_to("/caseload/due/")
    kit.sees("Nothing is due")


def test_a_client_who_disengaged_is_closed_at_the_last_contact_face_to_face(somebody, keyworker, episode):
    # given a client who was met seventy days ago, and not reached by telephone since
    actions.add_contact(by=keyworker, episode=episode, on=ago(70), kind="office", face_to_face=True)
    actions.add_contact(by=keyworker, episode=episode, on=ago(64), kind="telephone", face_to_face=False)
    kit = somebody()
    kit.signs_in(keyworker)

    # when the keyworker looks at what is due, and opens the line
    kit.sees("MS, born 14 February 1985")
    kit.pictured("due")
    follow(kit.page.locator("main a[href*='/close/']").first)
    kit.sees("They count as disengaged")
    kit.pictured("close")
    presses(kit, "Close as “Incomplete – dropped out”")

    # then the episode is closed at the last contact face to face, and the assessment on leaving is due
    kit.sees(spoken(ago(70)), "An assessment of interventions is due")
    episode.refresh_from_db()
    assert (episode.values["DISD"], episode.values["CJDISRSN"]) == (text(ago(70)), "8")
    kit.goes_to("/caseload/due/")
    follow(kit.page.locator("main a[href*='/interventions/']").first)
    kit.page.get_by_label("housing support").check(force=True)
    kit.page.get_by_label("left the caseload").check(force=True)
    presses(kit, "Record")
    kit.goes_to("/caseload/due/")
    kit.sees("Nothing is due")


def test_a_transfer_to_prison(somebody, keyworker, manager, episode, agency):
    # given a client who was met in prison last week
    actions.add_contact(by=keyworker, episode=episode, on=ago(7), kind="prison", face_to_face=True, custody=True)
    kit = somebody()
    kit.signs_in(keyworker)
    kit.sees("prison")

    # when the episode is closed as a transfer
    follow(kit.page.locator("main a[href*='/close/']").first)
    kit.sees("in prison since " + spoken(ago(7)))
    kit.page.get_by_label("The last contact face to face, " + spoken(ago(7))).check(force=True)
    assert not kit.page.locator("[data-question=prison]").is_visible()
    kit.page.get_by_label("Transferred – in custody", exact=True).check(force=True)
    kit.sees("two-way communication", "Stays here")
    fills(kit.page, prison="Durham (HMP & YOI)")
    presses(kit, "Close the episode")
    kit.sees("Durham (HMP & YOI)")

    # then the file has the closure, and not where to
    episode.refresh_from_db()
    assert (episode.values["CJDISRSN"], episode.local["destination"]) == ("13", "DMI")
    max_ = somebody()
    max_.signs_in(manager)
    max_.goes_to("/caseload/extract/")
    max_.page.select_option("select[name=month]", value=f"{timezone.localdate():%Y-%m}")
    presses(max_, "Check the extract")
    awaited(max_.page)
    presses(max_, "Make the file")
    awaited(max_.page)
    max_.sees("The extract is made")
    with max_.page.expect_download() as download:
        max_.page.get_by_role("button", name="Download the file").click()
    data = download.value.path().read_text()
    assert f"{ago(7):%Y%m%d},13," in data
    assert "DMI" not in data
    assert "NE8 1AB" not in data
    assert "NE8 1" in data


def test_a_client_presents_again(somebody, keyworker, manager, episode, agency):
    # given a client whose episode was closed a month ago
    actions.close_episode(by=keyworker, episode=episode, typed={"DISD": text(ago(30)), "CJDISRSN": "8"})
    kit = somebody()
    kit.signs_in(keyworker)

    # when somebody begins to record them as new, the page knows them
    kit.goes_to("/caseload/clients/new/")
    fills(kit.page, FINITIAL="M", SINITIAL="S", DOB="14/2/1985", SEX="Male")
    presses(kit, "Add the client")
    kit.sees("Is it one of these?", "Last episode closed on " + spoken(ago(30)))
    follow(kit.page.get_by_role("link", name="reference A1"))
    presses(kit, "The client presents again: begin an episode")

    # then nothing about the client is asked again, and the old episode is as it was
    kit.sees("MS, born 14 February 1985, reference A1")
    assert Client.objects.count() == 1
    old, new = episode.client.episodes.order_by("pk")
    assert (old.values["DISD"], old.open, new.open) == (text(ago(30)), False, True)
    assert (new.values["PC"], new.values["DAT"]) == ("NE8 1AB", "A09B")
    assert "TRIAGED" not in new.values
    assert new.episodid != old.episodid

    # and with its own triage the file has both
    actions.save(by=keyworker, record=new, typed=KNOWN | {"REFLD": text(ago(2)), "TRIAGED": text(ago(2))})
    max_ = somebody()
    max_.signs_in(manager)
    sent = sends_the_extract(max_)
    portal.accept(by=manager, submission=sent)
    assert sorted(held(agency, "EPISODID", Entity.EPISODE)) == sorted([old.episodid, new.episodid])
    assert held(agency, "CLIENTID") == [episode.client.clientid]


def test_a_legal_change_of_name_is_a_mismatch_that_is_replaced(somebody, keyworker, manager, episode, agency):
    # given a client whom the portal holds
    max_ = somebody()
    max_.signs_in(manager)
    portal.accept(by=manager, submission=sends_the_extract(max_))
    assert held(agency, "SINITIAL") == ["S"]

    # when the surname is changed, the page asks whether it was wrong before
    kit = somebody()
    kit.signs_in(keyworker)
    kit.goes_to(f"/caseload/clients/{episode.client_id}/details/")
    fills(kit.page, SINITIAL="W")
    presses(kit, "Save and continue")
    kit.sees("A correction", "A new fact", "a legal change of name", "replace")
    kit.page.get_by_label("A new fact: it has changed since").check(force=True)
    presses(kit, "Save and continue")
    episode.client.refresh_from_db()
    assert episode.client.values["SINITIAL"] == "W"

    # then the next file makes a mismatch, which is decided by replace
    sent = sends_the_extract(max_)
    sent.refresh_from_db()
    assert sent.state == State.DECISIONS
    max_.goes_to(f"/submissions/{sent.pk}/decide/")
    max_.page.get_by_label("Replace", exact=False).first.check(force=True)
    presses(max_, "Save")
    max_.goes_to(f"/submissions/{sent.pk}/accept/")
    presses(max_, "Accept")
    assert held(agency, "SINITIAL") == ["W"]
    assert Extract.objects.count() == 2


def test_consent_withdrawn_means_forgotten(somebody, keyworker, manager, episode, agency):
    # given a client whom the portal holds
    max_ = somebody()
    max_.signs_in(manager)
    portal.accept(by=manager, submission=sends_the_extract(max_))
    assert held(agency, "CLIENTID") == [episode.client.clientid]

    # when they withdraw their consent, and are told what that does
    kit = somebody()
    kit.signs_in(keyworker)
    kit.goes_to(f"/caseload/clients/{episode.client_id}/consent/")
    kit.sees("takes effect with that extract")
    kit.page.get_by_label("No", exact=False).first.check(force=True)
    presses(kit, "Record the answer")
    kit.sees("The client does not consent any more")
    assert [each.given for each in Consent.objects.all()] == [False, True]

    # then the next file says that alone, and when it is accepted the portal has forgotten them
    sent = sends_the_extract(max_)
    portal.accept(by=manager, submission=sent, forget=1)
    assert held(agency, "CLIENTID") == []
    assert held(agency, "EPISODID", Entity.EPISODE) == []
    assert Client.objects.get().values["SINITIAL"] == "S"


def test_on_a_telephone_without_javascript(somebody, keyworker, episode):
    # given a keyworker with an old telephone
    kit = somebody(viewport={"width": 390, "height": 800}, java_script_enabled=False)
    kit.signs_in(keyworker)
    words = kit.page.inner_text("body")
    assert "due" in words

    # when they answer a question of a group
    kit.goes_to(f"/caseload/episodes/{episode.pk}/children/")
    assert "Answer only if the client has parental responsibility" in kit.page.inner_text("body")
    kit.page.locator("[name=CHILDWTH]").fill("2")
    presses(kit, "Save and come back later")

    # then, a hundred days after, they are asked what happened, and it is saved
    kit.page.get_by_label("A correction: it was recorded wrongly").check(force=True)
    presses(kit, "Save and come back later")
    episode.refresh_from_db()
    assert episode.values["CHILDWTH"] == "2"
    # The page is as wide as the screen: nobody scrolls sideways.
    kit.goes_to(f"/caseload/clients/{episode.client_id}/")
    assert kit.page.viewport_size == {"width": 390, "height": 800}
