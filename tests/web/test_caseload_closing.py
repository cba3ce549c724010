"""Closing an episode: the date, the reason, the destination; what is doubted; a correction; taking it back."""

from __future__ import annotations

import json
import re
from datetime import date, timedelta
from html import unescape

import pytest
from django.urls import reverse
from django.utils import timezone
from tests.web.conftest import follow

from cjit.datasets.q.example import EXAMPLE
from cjit.web.agencies.models import Role
from cjit.web.caseload import actions, forms, questions
from cjit.web.caseload.closing import DISENGAGED, doubts
from cjit.web.caseload.models import Change, Episode
from cjit.web.caseload.record import FROM, PRIOR, months_after
from cjit.web.dataset import DATASET

TODAY = timezone.localdate
REASONS = DATASET.lists["CJDISRSN"]
BELMARSH, GATESHEAD = "BAI", "A09B"


def day(ago: int) -> date:
    return TODAY() - timedelta(days=ago)


def typed(on: date | None, reason: str, **more: str) -> dict[str, str]:
    """What a closure's form sends."""
    boxes = {f"DISD_{part}": str(getattr(on, part)) for part in ("day", "month", "year")} if on else {}
    return {**boxes, "CJDISRSN": reason, **more}


def words(answer) -> str:
    """What a page says, without its marks."""
    text = answer.text.split("<main", 1)[-1].split("</main>")[0]
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", text)).split())


@pytest.fixture
def begin(agency, keyworker):
    """An episode that began some days ago, on the caseload or not."""

    def make(*, caseload: bool = True, ago: int = 40) -> Episode:
        dates = {"REFLD": ago, "TRIAGED": ago, "CPLANDT": ago if caseload else None}
        values = {h: f"{day(days):%d/%m/%Y}" if days is not None else "" for h, days in dates.items()}
        begun = actions.begin_client(by=keyworker, agency=agency, typed=EXAMPLE)
        actions.save(by=keyworker, record=begun, typed=EXAMPLE | values)
        begun.refresh_from_db()
        return begun

    return make


@pytest.fixture
def episode(begin) -> Episode:
    return begin()


@pytest.fixture
def meet(keyworker):
    """A contact with the client of an episode, some days ago."""

    def made(episode, ago: int, kind: str = "office", **told):
        face_to_face = forms.FACE_TO_FACE[kind]
        actions.add_contact(by=keyworker, episode=episode, on=day(ago), kind=kind, face_to_face=face_to_face, **told)
        episode.refresh_from_db()

    return made


@pytest.fixture
def browser(signed_in, keyworker):
    return signed_in(keyworker)


def close(browser, episode, *told, **more):
    return browser.post(reverse("episode-close", args=[episode.pk]), typed(*told, **more))


def looked_at(browser, episode):
    return browser.get(reverse("episode-close", args=[episode.pk]))


def reasons_of(answer) -> list[str]:
    return re.findall(r'name="CJDISRSN" type="radio" value="(\d+)"', answer.text)


# ---- what is offered -------------------------------------------------------------------------------


@pytest.mark.parametrize(("caseload", "group"), [(True, FROM), (False, PRIOR)])
def test_only_the_reasons_of_the_right_group_are_offered_each_with_its_definition(browser, begin, caseload, group):
    answer = looked_at(browser, begin(caseload=caseload))
    rows = [row for row in REASONS.rows if row.group == group]

    assert reasons_of(answer) == [row.code for row in rows]
    for row in rows:
        assert row.definition in words(answer)
    for row in REASONS.rows:
        if row.group != group and row.definition not in {each.definition for each in rows}:
            assert row.definition not in words(answer)


def test_who_was_never_on_the_caseload_is_led_to_its_start(browser, begin):
    episode = begin(caseload=False)
    assert reverse("questions", args=[episode.pk, "plan"]) in looked_at(browser, episode).text


def test_of_a_client_in_prison_the_reasons_that_say_so_come_first(browser, episode, begin, meet):
    meet(episode, 2, "prison", custody=True)
    assert reasons_of(looked_at(browser, episode))[:2] == ["13", "11"]
    assert "in prison since" in words(looked_at(browser, episode))


def test_a_transfer_is_told_to_need_communication_both_ways(browser, episode):
    answer = looked_at(browser, episode)
    [when] = re.findall(r'data-question="transfer" data-when="([^"]*)"', answer.text)

    assert "two-way communication with whoever receives the client is expected" in words(answer)
    [(header, _, among, _)] = json.loads(unescape(when))
    assert (header, among) == ("CJDISRSN", list(questions.TRANSFERS))


def test_where_no_referral_is_recorded_the_transfer_that_needs_one_leads_there(browser, episode, keyworker):
    there = reverse("referral-new", args=[episode.pk])
    assert there in looked_at(browser, episode).text
    actions.add_referral(by=keyworker, episode=episode, typed={"REFDATE": f"{day(5):%d/%m/%Y}"})
    assert there not in looked_at(browser, episode).text


# ---- closing ---------------------------------------------------------------------------------------


def test_an_episode_is_closed_with_its_date_and_reason(browser, episode):
    assert close(browser, episode, day(1), "10")["Location"] == reverse("episode-close", args=[episode.pk])
    episode.refresh_from_db()

    assert (episode.open, episode.closed, episode.values["CJDISRSN"]) == (False, day(1), "10")
    assert "The episode is closed" in looked_at(browser, episode).text
    assert "Care plan objectives completed – drug free" in words(looked_at(browser, episode))


def test_a_client_who_leaves_the_caseload_is_due_an_assessment_and_the_page_leads_there(browser, begin, keyworker):
    left = begin()
    close(browser, left, day(1), "10")
    assert "An assessment of interventions is due" in words(looked_at(browser, left))
    assert reverse("interventions", args=[left.pk]) in looked_at(browser, left).text

    actions.add_intervention(by=keyworker, episode=left, on=day(0), kinds=[], leaving=True)
    assert "An assessment of interventions is due" not in words(looked_at(browser, left))


def test_who_was_never_on_the_caseload_is_due_none(browser, begin):
    prior = begin(caseload=False)
    close(browser, prior, day(1), "73")
    assert "No further intervention required" in words(looked_at(browser, prior))
    assert "An assessment of interventions is due" not in words(looked_at(browser, prior))


@pytest.mark.parametrize(
    ("reason", "field", "code", "name"),
    [("13", "prison", BELMARSH, "Belmarsh (HMP & YOI)"), ("14", "area", GATESHEAD, "Gateshead")],
)
def test_where_a_reason_asks_for_a_destination_it_is_kept_here(browser, episode, reason, field, code, name):
    what = "prison" if field == "prison" else "CJIT area"
    answer = close(browser, episode, day(1), reason)
    assert answer.text.count(f"Select the {what} the client was transferred to, or that it is not known") == 2
    assert f'href="#id_{field}"' in answer.text

    close(browser, episode, day(1), reason, **{field: code})
    episode.refresh_from_db()
    assert episode.local["destination"] == code
    assert f"{name} Stays here" in words(looked_at(browser, episode))


def test_only_prisons_are_offered_as_a_prison_and_a_destination_may_be_not_known(browser, episode):
    form = forms.ClosureForm(caseload=True)
    areas = set(DATASET.lists["DAT"].codes) | set(DATASET.lists["UTLA"].codes)
    assert not areas & {code for code, _ in form.fields["prison"].widget.choices}

    close(browser, episode, day(1), "13", prison=actions.NOT_KNOWN)
    episode.refresh_from_db()
    assert episode.local["destination"] == actions.NOT_KNOWN
    assert "not known Stays here" in words(looked_at(browser, episode))


def test_every_area_in_england_is_offered_and_no_two_are_called_the_same():
    offered = dict(forms.ClosureForm(caseload=True).fields["area"].widget.choices)

    assert {"A09B", "D12B", "G09B", "00EQ"} <= offered.keys()
    assert len(set(offered.values())) == len(offered) > 170


def test_the_destination_of_another_reason_is_not_kept(browser, episode):
    close(browser, episode, day(1), "10", prison=BELMARSH)
    episode.refresh_from_db()
    assert not episode.local.get("destination")


@pytest.mark.parametrize(
    ("told", "said", "href"),
    [
        ((None, "10"), "Enter the case closure date", "#id_DISD_day"),
        ((day(1), ""), "Select the case closure reason", "#id_CJDISRSN"),
        ((day(1), "73"), "Select the case closure reason", "#id_CJDISRSN"),
        ((day(50), "10"), "The case closure date must be on or after the caseload start date", "#id_DISD_day"),
        ((day(-1), "10"), "case closure date", "#id_DISD_day"),
        ((day(1), "99"), "Add the referral to structured treatment", "#id_CJDISRSN"),
    ],
    ids=["no date", "no reason", "of the other group", "before the caseload", "tomorrow", "no referral"],
)
def test_what_is_wrong_is_said_at_its_place_and_nothing_is_closed(browser, episode, told, said, href):
    answer = close(browser, episode, *told)

    assert answer.status_code == 200
    assert "<title>Error: Close the episode" in answer.text
    assert re.search(rf'href="{href}">[^<]*{said}', answer.text)
    episode.refresh_from_db()
    assert episode.open


def test_what_was_typed_stays_also_where_it_is_no_date(browser, episode):
    parts = {"DISD_day": "31", "DISD_month": "Feb", "DISD_year": "26"}
    answer = browser.post(reverse("episode-close", args=[episode.pk]), {**parts, "when": forms.OTHER, "CJDISRSN": "10"})

    for name, text in parts.items():
        assert re.search(rf'name="{name}"[^>]*value="{text}"', answer.text)
    assert re.search(r'value="10"\s+checked', answer.text)
    assert "There is a problem" in answer.text


def test_the_date_may_be_typed_whole_into_the_first_box(browser, episode):
    answer = browser.post(
        reverse("episode-close", args=[episode.pk]),
        {"DISD_day": f"{day(1):%Y%m%d}", "DISD_month": "", "DISD_year": "", "when": forms.OTHER, "CJDISRSN": "10"},
    )

    assert answer.status_code == 302
    episode.refresh_from_db()
    assert (episode.closed, episode.values["DISD"]) == (day(1), f"{day(1):%d/%m/%Y}")


def test_with_a_referral_a_client_is_transferred_to_treatment(browser, episode, keyworker):
    actions.add_referral(by=keyworker, episode=episode, typed={"REFDATE": f"{day(5):%d/%m/%Y}"})
    assert close(browser, episode, day(1), "99").status_code == 302


# ---- the last contact ------------------------------------------------------------------------------


def test_the_last_contact_face_to_face_is_offered_as_the_date(browser, episode, meet):
    meet(episode, 9)
    meet(episode, 4, "telephone")
    shown = words(looked_at(browser, episode))
    assert f"The last contact face to face, {day(9).day} {day(9):%B %Y}" in shown
    assert f"The last contact of any kind was on {day(4).day} {day(4):%B %Y}." in shown

    close(browser, episode, None, "8", when=forms.LAST_CONTACT)
    episode.refresh_from_db()
    assert episode.closed == day(9)


def test_what_is_wrong_with_the_day_of_the_last_contact_is_said_where_it_was_chosen(browser, episode):
    Episode.objects.update(face_to_face=day(-1))
    answer = close(browser, episode, None, "8", when=forms.LAST_CONTACT)
    assert re.search(r'href="#id_when">[^<]*case closure date', answer.text)


def test_who_agreed_a_care_plan_was_met_on_that_day(browser, begin, keyworker):
    begun = begin(caseload=False, ago=120)
    assert "They count as disengaged" in words(looked_at(browser, begun))
    for agreed in (10, 110):
        actions.save(by=keyworker, record=begun, typed={"CPLANDT": f"{day(agreed):%d/%m/%Y}"}, why=actions.CORRECTION)
        assert ("They count as disengaged" in words(looked_at(browser, begun))) is (agreed == 110)
    browser.post(reverse("episode-close", args=[begun.pk]), {"do": DISENGAGED})
    begun.refresh_from_db()
    assert begun.closed == day(110)


def test_without_any_contact_a_date_is_typed(browser, agency, keyworker):
    begun = actions.begin_client(by=keyworker, agency=agency, typed={"FINITIAL": "A"})
    answer = looked_at(browser, begun)
    assert 'name="when"' not in answer.text
    assert 'name="DISD_day"' in answer.text


@pytest.mark.parametrize(("caseload", "reason"), [(True, "8"), (False, "1")])
def test_after_two_months_without_contact_one_click_closes_at_the_last_face_to_face(
    browser, begin, meet, caseload, reason
):
    begun = begin(caseload=caseload, ago=120)
    meet(begun, 90)
    meet(begun, 70, "telephone")
    label = next(row.label for row in REASONS.rows if row.code == reason)
    assert f"Close as “{label}” on {day(90).day} {day(90):%B %Y}" in words(looked_at(browser, begun))

    assert browser.post(reverse("episode-close", args=[begun.pk]), {"do": DISENGAGED}).status_code == 302
    begun.refresh_from_db()
    assert (begun.closed, begun.values["CJDISRSN"]) == (day(90), reason)
    assert not list(doubts(begun))


def test_the_click_is_there_from_the_day_two_months_are_over(browser, episode):
    last = months_after(TODAY(), -2)
    while months_after(last, 2) > TODAY():
        last -= timedelta(days=1)
    for contact, offered in ((last, True), (last + timedelta(days=1), False)):
        Episode.objects.update(contact=contact, face_to_face=contact, started=last)
        assert ("They count as disengaged" in words(looked_at(browser, episode))) is offered


def test_who_was_seen_since_or_is_in_prison_is_not_closed_by_one_click(browser, begin, meet):
    seen, inside = begin(ago=120), begin(ago=120)
    meet(seen, 10)
    meet(inside, 90, "prison", custody=True)
    for each in (seen, inside):
        assert "They count as disengaged" not in words(looked_at(browser, each))
        browser.post(reverse("episode-close", args=[each.pk]), {"do": DISENGAGED})
        each.refresh_from_db()
        assert each.open


def test_an_unplanned_closure_at_another_date_is_doubted_but_not_refused(browser, episode, meet):
    meet(episode, 9)
    close(browser, episode, day(3), "8")
    episode.refresh_from_db()
    assert episode.closed == day(3)
    assert f"which is {day(9).day} {day(9):%B %Y}: check the case closure date" in words(looked_at(browser, episode))


def test_a_contact_after_a_planned_closure_is_doubted_but_not_refused(browser, episode, meet):
    meet(episode, 2, "telephone")
    close(browser, episode, day(3), "10")
    assert "is after the case closure date: check either of them" in words(looked_at(browser, episode))


def test_a_telephone_call_after_the_last_meeting_is_no_doubt_of_an_unplanned_closure(browser, episode, meet):
    meet(episode, 9)
    meet(episode, 2, "telephone")
    close(browser, episode, day(9), "8")
    episode.refresh_from_db()
    assert not episode.open
    assert not list(doubts(episode))


# ---- a correction ----------------------------------------------------------------------------------


def test_a_closure_is_changed_only_as_a_correction(browser, episode):
    close(browser, episode, day(1), "10")
    asked = close(browser, episode, day(2), "15")
    episode.refresh_from_db()
    shown = words(asked)

    assert episode.closed == day(1)
    assert "Is this a correction?" in shown
    assert f"Case closure date: from {day(1):%d/%m/%Y} to {day(2):%d/%m/%Y}" in shown
    assert "from Care plan objectives completed – drug free to Care plan objectives completed – alcohol free" in shown
    assert "it belongs in a new episode" in shown

    assert close(browser, episode, day(2), "15", why=actions.CORRECTION).status_code == 302
    episode.refresh_from_db()
    assert (episode.closed, episode.values["CJDISRSN"]) == (day(2), "15")
    assert Change.objects.values_list("why", flat=True).first() == actions.CORRECTION
    assert "The closure is as you corrected it" in looked_at(browser, episode).text


def test_a_new_fact_is_no_way_to_change_a_closure(browser, episode):
    close(browser, episode, day(1), "10")
    asked = close(browser, episode, day(2), "15", why=actions.NEW_FACT)
    episode.refresh_from_db()
    assert episode.closed == day(1)
    assert "Is this a correction?" in words(asked)


def test_a_closed_episode_says_that_who_presents_again_gets_a_new_one(browser, episode):
    close(browser, episode, day(1), "10")
    assert "they are assessed again" in words(looked_at(browser, episode))
    assert reverse("client", args=[episode.client_id]) in looked_at(browser, episode).text


def test_the_form_of_a_correction_has_the_closure_as_it_is(browser, episode):
    close(browser, episode, day(1), "13", prison=BELMARSH)
    page = looked_at(browser, episode).text
    assert re.search(rf'name="DISD_day"[^>]*value="{day(1).day}"', page)
    assert re.search(r'value="13"\s+checked', page)
    assert re.search(rf'value="{BELMARSH}"\s+selected', page)
    assert re.search(r'name="when" type="radio" value="OTHER"\s+checked', page)


def test_a_closure_without_its_date_or_reason_is_shown_as_it_is(browser, episode):
    for values in ({"DISD": "some day", "CJDISRSN": ""}, {"DISD": "", "CJDISRSN": "08"}):
        episode.values |= values
        episode.open = False
        episode.save()
        shown = words(looked_at(browser, episode))
        assert "Not given" in shown
    assert "Incomplete – dropped out" in shown


# ---- taking it back --------------------------------------------------------------------------------


def test_a_closure_made_by_mistake_is_taken_back_once_that_is_sure(browser, episode):
    close(browser, episode, day(1), "13", prison=BELMARSH)
    page = reverse("closure-take-back", args=[episode.pk])
    assert page in looked_at(browser, episode).text
    assert "Take this closure back?" in words(browser.get(page))

    assert browser.post(page)["Location"] == reverse("episode", args=[episode.pk])
    episode.refresh_from_db()
    assert episode.open
    assert not any((episode.values["DISD"], episode.values["CJDISRSN"], episode.local["destination"]))
    assert browser.get(page)["Location"] == reverse("episode", args=[episode.pk])


def test_it_is_not_taken_back_while_another_episode_is_open(browser, episode, keyworker):
    close(browser, episode, day(1), "10")
    actions.begin_episode(by=keyworker, client=episode.client)
    answer = browser.post(reverse("closure-take-back", args=[episode.pk]), follow=True)
    assert "This client has another episode that is open" in words(answer)
    episode.refresh_from_db()
    assert not episode.open


# ---- whose it is -----------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [Role.PROVIDER, Role.KEYWORKER, Role.MANAGER, Role.REGIONAL, Role.ADMINISTRATOR])
def test_of_another_agency_or_in_another_role_nobody_closes_anything(
    signed_in, person_with, other_agency, browser, episode, role
):
    place = {Role.REGIONAL: {"region": episode.agency.region}, Role.ADMINISTRATOR: {}}
    somebody = signed_in(person_with(role, **place.get(role, {"agency": other_agency})))
    for name in ("episode-close", "closure-take-back"):
        page = reverse(name, args=[episode.pk])
        assert somebody.get(page).status_code == somebody.post(page, typed(day(1), "10")).status_code == 404
    episode.refresh_from_db()
    assert episode.open


def test_a_closure_shown_asks_the_database_a_few_things_only(browser, episode, django_assert_max_num_queries):
    with django_assert_max_num_queries(14):
        looked_at(browser, episode)


# ---- in a browser ----------------------------------------------------------------------------------


@pytest.fixture
def visitor(browser):
    return browser


@pytest.mark.browser
@pytest.mark.parametrize("script", [True, False], ids=["with a script", "without"])
def test_a_keyworker_closes_corrects_and_takes_back(tab, episode, script):
    page = tab(reverse("episode-close", args=[episode.pk]), 390, java_script_enabled=script)
    follow(page.get_by_role("button", name="Close the episode"))
    page.get_by_role("link", name="Enter the case closure date").click()
    # The script shows the boxes and the destination where they are asked for; without it they say of what they are.
    for part in ("day", "month", "year"):
        page.locator(f"#id_DISD_{part}").fill(str(getattr(day(1), part)))
    assert page.get_by_label("Prison the client was transferred to").is_visible() is not script
    assert page.get_by_text("Answer only for “Transferred – in custody”", exact=True).is_visible() is not script
    page.get_by_label("Transferred – in custody").check()
    assert page.get_by_label("CJIT area the client was transferred to").is_visible() is not script
    if script:
        page.locator("select[name=prison]").wait_for(state="hidden")  # the box that searches it takes its place
        page.get_by_label("Prison the client was transferred to").fill("belm")
        page.get_by_role("option", name="Belmarsh").click()
    else:
        page.get_by_label("Prison the client was transferred to").select_option(BELMARSH)
    follow(page.get_by_role("button", name="Close the episode"))
    assert page.get_by_text("An assessment of interventions is due").is_visible()
    episode.refresh_from_db()
    assert (episode.closed, episode.local["destination"]) == (day(1), BELMARSH)

    page.get_by_text("Correct the date or the reason").click()
    page.get_by_label("The last contact face to face").check()
    follow(page.get_by_role("button", name="Correct the closure"))
    follow(page.get_by_role("button", name="Yes, it is a correction"))
    assert page.get_by_text("The closure is as you corrected it").is_visible()
    episode.refresh_from_db()
    assert episode.closed == episode.face_to_face

    follow(page.get_by_role("link", name="Take the closure back"))
    follow(page.get_by_role("button", name="Take this closure back"))
    assert page.url.endswith(reverse("episode", args=[episode.pk]))
    episode.refresh_from_db()
    assert episode.open
