"""The pages of entry: what is asked, how it is saved, and what is never lost."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone
from tests.web.conftest import follow

from cjit.web.agencies.models import Agency, Membership, Role
from cjit.web.caseload import actions, asking, questions
from cjit.web.caseload.models import Change, Client, Episode, Referral
from cjit.web.caseload.record import plain
from cjit.web.dataset import DATASET

WHO = {"FINITIAL": "M", "SINITIAL": "S", "DOB": "14/02/1985", "SEX": "F"}
BEGIN = {"FINITIAL": "M", "SINITIAL": "S", "DOB-day": "14", "DOB-month": "2", "DOB-year": "1985", "SEX": "F"}


@pytest.fixture
def episode(agency, keyworker) -> Episode:
    return actions.begin_client(by=keyworker, agency=agency, typed=WHO)


@pytest.fixture
def browser(signed_in, keyworker):
    return signed_in(keyworker)


@pytest.fixture
def colleague(person_with, agency):
    somebody = person_with(Role.KEYWORKER, agency=agency)
    somebody.name = "Kim Colleague"
    somebody.save()
    return somebody


@pytest.fixture
def yesterday(episode):
    """The episode, begun a day ago: what should not change is asked about from then on."""
    before = timezone.localdate() - timedelta(days=1)
    Episode.objects.update(begun=before)
    Client.objects.update(begun=before)


def words(answer) -> str:
    """The text of a page."""
    page = re.sub(r"<(script|style)\b.*?</\1>", " ", answer.content.decode(), flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


def at(episode: Episode, group: str) -> str:
    return reverse("questions", args=[episode.pk, group])


def shown(browser, address: str) -> dict[str, str]:
    """What a page says it showed of each question."""
    page = browser.get(address).content.decode()
    found = re.search(r'name="was" value="([^"]*)"', page)
    assert found
    return dict(json.loads(unescape(found[1])))


def fills_in(browser, address: str, was: dict[str, str] | None = None, *, script: bool = False, **changes: str):
    """Send a page as a browser does: every box as it is shown, but for some changes."""
    was = shown(browser, address) if was is None else was
    shows = asking.posed(was).items()
    sent = {name: text for header, each in shows for name, text in asking.boxes(header, each).items()}
    sent |= {"was": json.dumps(was)} | {name.replace("_", "-"): text for name, text in changes.items()}
    return browser.post(address, sent, headers={"accept": "application/json"} if script else {})


def values(episode: Episode) -> dict[str, str]:
    episode.refresh_from_db()
    return {header: text for header, text in episode.values.items() if text}


# ---- every question has its place ------------------------------------------------------------------


def test_every_field_a_provider_fills_in_is_asked_in_exactly_one_place():
    asked = [
        header
        for group in (questions.CLIENT_DETAILS, *questions.GROUPS, questions.CLOSURE, questions.REFERRAL)
        for header in group.headers
    ]

    assert len(asked) == len(set(asked))
    assert set(asked) == set(DATASET.headers) - set(questions.SYSTEM) - {"CONSENT"}


@pytest.mark.parametrize("header", [h for g in (questions.CLIENT_DETAILS, *questions.GROUPS) for h in g.headers])
def test_whatever_text_a_field_has_a_page_that_nobody_touches_gives_it_back(header):
    for text in (
        "",
        "32/1/2026",
        "2026-03-01",
        "20260301",
        "/3/2026",
        "a/b/c/d",
        "Q7",
        "01",
        "98",
        "ZZ99 3VZ",
        "<b>",
        "1",
        "Y",
    ):
        made = asking.boxes(header, text)
        # An empty radio or tick is not sent at all.
        sent = {name: content for name, content in made.items() if content}
        assert asking.read(sent, {header: text}) == {header: text}


@pytest.mark.parametrize("text", ["20260301", "2026-03-01", "01/03/2026"])
def test_a_date_is_shown_in_its_three_boxes_however_it_is_kept(text):
    assert list(asking.boxes("TRIAGED", text).values()) == ["01", "03", "2026"]


def test_a_date_may_be_typed_whole_into_the_first_box():
    typed = {"TRIAGED-day": "20260301", "TRIAGED-month": "", "TRIAGED-year": ""}
    assert plain("TRIAGED", asking.read(typed, {"TRIAGED": ""})["TRIAGED"]) == "01/03/2026"


def test_a_sex_that_is_kept_as_a_figure_is_shown_as_chosen():
    chosen = [item for item in asking.ask("SEX", {"SEX": "2"}).given["items"] if item["checked"]]
    assert [(item["value"], item["text"]) for item in chosen] == [("2", "Female")]


@pytest.mark.parametrize("header", [h for g in (questions.CLIENT_DETAILS, *questions.GROUPS) for h in g.headers])
def test_a_text_that_no_list_has_is_shown_all_the_same(header):
    question = asking.ask(header, {header: "Q7<"})

    assert "Q7<" in json.dumps([question.given, question.beside], default=str, ensure_ascii=False)


def test_of_two_boxes_for_one_answer_the_new_one_counts():
    def answered(header: str, before: str, **sent: str) -> str:
        return asking.read({name.replace("_", "-"): text for name, text in sent.items()}, {header: before})[header]

    assert answered("CHILDWTH", "3", CHILDWTH="3", CHILDWTH_apart="98") == "98"
    assert answered("CHILDWTH", "98", CHILDWTH="3", CHILDWTH_apart="98") == "3"
    assert answered("DRUG1", "1011", DRUG1="1011", DRUG1_another="1999") == "1999"
    assert answered("DRUG1", "1999", DRUG1="1011", DRUG1_another="1999") == "1011"
    assert answered("PC", "", PC="", PC_apart="ZZ99 3VZ") == "ZZ99 3VZ"


def test_of_two_new_answers_to_one_question_neither_is_lost_and_the_page_asks(browser, episode):
    was = {"PC": "", "DAT": "", "UTLA": "", "HOUSING": "", "HOMELESS": ""}
    sent = {"PC": "NE8 1AB", "PC-apart": "ZZ99 3VZ", "was": json.dumps(was), "do": "continue"}
    browser.post(at(episode, "living"), sent)
    page = browser.get(at(episode, "living"))

    assert values(episode)["PC"] == "NE8 1AB or ZZ99 3VZ"
    assert "Enter the postcode with its space" in words(page)
    assert 'value="NE8 1AB or ZZ99 3VZ"' in page.text

    fills_in(browser, at(episode, "living"), PC="NE8 1AB")
    assert values(episode)["PC"] == "NE8 1AB"


# ---- beginning a client ----------------------------------------------------------------------------


def test_a_client_is_begun_with_initials_birth_date_and_sex(browser, agency):
    answer = browser.post(reverse("client-new"), BEGIN)
    made = Client.objects.get()

    assert answer.url == reverse("client", args=[made.pk])
    assert made.values == WHO
    assert (made.agency, made.initials, made.episodes.count()) == (agency, "MS", 1)


def test_the_document_s_rules_stand_beside_the_initials(browser):
    page = words(browser.get(reverse("client-new")))

    assert "O for O'Brian, M for McNeil; of a hyphenated name, that of its first part" in page
    assert "Only initials are recorded, never a name." in page


def test_a_client_of_whom_little_is_known_is_begun_and_one_of_whom_nothing_is_not(browser):
    nothing = browser.post(reverse("client-new"), {})
    browser.post(reverse("client-new"), {"SINITIAL": "s", "DOB-year": "1985"})

    assert "Enter what you know of the client" in words(nothing)
    assert Client.objects.get().values == {"SINITIAL": "S", "DOB": "//1985"}


def test_a_client_who_is_there_already_is_shown_before_another_is_begun(browser, episode):
    again = browser.post(reverse("client-new"), BEGIN)

    assert "Is it one of these?" in words(again)
    assert "MS, born 14 February 1985" in words(again)
    assert reverse("client", args=[episode.client_id]) in again.content.decode()
    assert Client.objects.count() == 1

    browser.post(reverse("client-new"), {**BEGIN, "anyway": "yes"})
    assert Client.objects.count() == 2


def test_a_client_of_another_agency_is_not_shown_to_be_the_same(browser, other_agency, keyworker):
    actions.begin_client(by=keyworker, agency=other_agency, typed=WHO)

    browser.post(reverse("client-new"), BEGIN)

    assert Client.objects.count() == 2


def test_who_works_at_two_agencies_says_whose_client_it_is(browser, keyworker, other_agency):
    Membership.objects.create(person=keyworker, role=Role.KEYWORKER, agency=other_agency)

    unsaid = browser.post(reverse("client-new"), BEGIN)
    browser.post(reverse("client-new"), {**BEGIN, "agency": other_agency.code})

    assert "Select the agency the client is of" in words(unsaid)
    assert Client.objects.get().agency == other_agency


def test_the_agency_that_is_chosen_counts_and_not_the_one_whose_list_led_there(
    browser, keyworker, agency, other_agency
):
    Membership.objects.create(person=keyworker, role=Role.KEYWORKER, agency=other_agency)

    browser.post(f"{reverse('client-new')}?agency={agency.code}", {**BEGIN, "agency": other_agency.code})

    assert Client.objects.get().agency == other_agency


# ---- the client's page -----------------------------------------------------------------------------


def test_a_client_s_page_says_of_each_part_how_far_it_is(browser, episode):
    page = words(browser.get(reverse("client", args=[episode.client_id])))

    assert "MS, born 14 February 1985" in page
    assert "Client details 3 to answer" in page
    assert "What brought the client here 4 to answer" in page
    assert "Referrals to structured treatment None recorded" in page
    assert "Interventions Cannot start yet" in page
    assert "Case closure Not closed" in page
    assert "Not asked yet" in page
    assert episode.episodid in page


def test_a_group_with_a_doubtful_answer_is_to_be_checked_and_one_without_gaps_is_completed(browser, episode, keyworker):
    actions.save(by=keyworker, record=episode, typed={"CPLANDT": "31/02/2026", "PARENT": "N", "CHILDWTH": "0"})

    page = words(browser.get(reverse("episode", args=[episode.pk])))

    assert "Care plan and naloxone 1 to check" in page
    assert "Children Completed" in page


def test_a_client_who_presents_again_gets_a_new_episode(browser, episode, keyworker):
    new = reverse("episode-new", args=[episode.client_id])
    refused = browser.post(new, follow=True)
    assert "This client has an open episode" in words(refused)

    given = {"PC": "NE1 4ST", "TRIAGED": "02/03/2026", "REFLD": "01/03/2026"}
    actions.save(by=keyworker, record=episode, typed=given)
    Episode.objects.update(open=False)
    assert "The client presents again" in words(browser.get(reverse("client", args=[episode.client_id])))

    begun = browser.post(new, follow=True)
    newest = episode.client.episodes.exclude(pk=episode.pk).get()
    assert newest.values["PC"] == "NE1 4ST"
    assert (
        "Taken over from the last episode, to be checked with the client: postcode, DAT of residence, "
        "upper tier local authority." in words(begun)
    )


def test_a_client_s_page_asks_the_database_as_often_with_ten_episodes_as_with_two(
    browser, episode, keyworker, django_assert_max_num_queries
):
    for n in range(10):
        each = Episode.objects.create(
            client=episode.client, agency=episode.agency, episodid=f"E{n}", begun=episode.begun, changed=episode.changed
        )
        actions.add_referral(by=keyworker, episode=each, typed={})

    with django_assert_max_num_queries(12):
        browser.get(reverse("client", args=[episode.client_id]))


def test_a_reference_is_given_once(browser, episode):
    for _ in range(2):
        browser.post(reverse("client-reference", args=[episode.client_id]))

    assert Client.objects.get().reference == "C1"


def test_a_reference_is_given_with_the_details_that_were_typed(browser, episode):
    address = reverse("client-details", args=[episode.client_id])
    answer = fills_in(browser, address, ETHNIC="A", do="reference")

    assert answer.url == address
    assert Client.objects.get().values == WHO | {"ETHNIC": "A", "CLIENT": "C1"}


# ---- questions -------------------------------------------------------------------------------------


def test_an_empty_group_shows_nothing_red(browser, episode):
    for group in questions.GROUPS:
        page = browser.get(at(episode, group.name)).content.decode()
        assert "govuk-error" not in page
        assert "Still to be answered" not in page


def test_what_is_typed_is_saved_however_wrong_and_shown_as_it_was_typed(browser, episode):
    fills_in(browser, at(episode, "contact"), REFLD_day="32", REFLD_month="1", REFLD_year="2026", OFFENCE_another="Q7")
    page = browser.get(at(episode, "contact")).content.decode()

    assert values(episode) == {"REFLD": "32/01/2026", "OFFENCE": "Q7"}
    for box in ('name="REFLD-day" type="text" value="32"', 'name="OFFENCE-another"'):
        assert box in page
    assert 'value="Q7"' in page
    assert "There is a problem" in page
    assert 'href="#REFLD-day"' in page


def test_what_is_merely_missing_is_told_quietly(browser, episode):
    fills_in(browser, at(episode, "substances"), DRUG1="1011", do="later")
    page = browser.get(at(episode, "substances")).content.decode()

    assert "Still to be answered" in page
    assert "number of drinking days" in page
    assert "govuk-error" not in page


def test_save_and_continue_goes_to_the_next_group_and_stays_once_where_an_answer_is_doubtful(browser, episode):
    here, following = at(episode, "children"), at(episode, "substances")

    assert fills_in(browser, here, PARENT="N", CHILDWTH="0", do="continue").url == following
    assert fills_in(browser, here, CHILDWTH="77", do="continue").url == here
    seen = re.search(r'name="seen" value="([^"]+)"', browser.get(here).content.decode())
    assert seen
    assert fills_in(browser, here, do="continue", seen=seen[1]).url == following
    assert fills_in(browser, here, CHILDWTH="55", do="later").url == reverse("episode", args=[episode.pk])


def test_a_question_says_in_words_and_to_the_script_when_it_is_asked(browser, episode):
    page = unescape(browser.get(at(episode, "children")).content.decode())

    assert "Answer only if the client has parental responsibility" in page
    assert 'data-when="[["PARENT", "code", ["Y"], []]]"' in page


def test_what_a_field_means_stands_beside_it_with_its_clause(browser, episode):
    page = words(browser.get(at(episode, "living")))

    assert DATASET.by_header["HOUSING"].definition in page
    assert "Business definitions, Episode details: HOUSING" in page
    assert "Facilities such as the kitchen or bathroom are shared with others" in page


def test_of_a_postcode_the_areas_are_filled_in_and_no_fixed_abode_is_one_tick(browser, episode):
    fills_in(browser, at(episode, "living"), PC="m1 1ae")
    assert values(episode)["DAT"] == "B18B"

    fills_in(browser, at(episode, "living"), PC="", PC_apart="ZZ99 3VZ")
    assert values(episode)["PC"] == "ZZ99 3VZ"
    assert 'value="ZZ99 3VZ" checked' in browser.get(at(episode, "living")).content.decode()


# ---- where a client lives --------------------------------------------------------------------------

NFA: dict[str, Any] = {"PC": "", "PC_apart": "ZZ99 3VZ", "PC_abroad": ""}
ABROAD: dict[str, Any] = {"PC": "", "PC_apart": "", "PC_abroad": "abroad"}


@pytest.fixture
def ours(agency):
    Agency.objects.filter(pk=agency.pk).update(dat="A09B")


def lives(episode: Episode) -> tuple[str, ...]:
    now = values(episode)
    return tuple(now.get(header, "") for header in ("PC", "UTLA", "DAT"))


def ticks(browser, episode: Episode) -> list[str]:
    """Which of the two ticks beside the postcode are on."""
    page = browser.get(at(episode, "living")).content.decode()
    return re.findall(r'name="PC-(apart|abroad)" type="checkbox" value="[^"]*" checked', page)


def test_no_fixed_abode_and_abroad_are_a_tick_each_and_told_apart_when_the_page_is_shown_again(browser, episode, ours):
    fills_in(browser, at(episode, "living"), **ABROAD)
    assert lives(episode) == ("ZZ99 3VZ", "", "Z00B")
    assert ticks(browser, episode) == ["abroad"]

    # Back, and of no fixed abode: the postcode is the same, and the DAT is the agency's.
    fills_in(browser, at(episode, "living"), **NFA)
    assert lives(episode) == ("ZZ99 3VZ", "", "A09B")
    assert ticks(browser, episode) == ["apart"]

    fills_in(browser, at(episode, "living"), UTLA="E08000024")
    fills_in(browser, at(episode, "living"), **ABROAD)
    assert lives(episode) == ("ZZ99 3VZ", "", "Z00B")

    fills_in(browser, at(episode, "living"), PC="SR1 1RE", PC_abroad="")
    assert lives(episode) == ("SR1 1RE", "E08000024", "A12B")
    assert ticks(browser, episode) == []


def test_a_client_from_abroad_never_has_the_agencys_dat(browser, episode, ours):
    fills_in(browser, at(episode, "living"), PC="NE8 1HH")
    fills_in(browser, at(episode, "living"), **ABROAD)

    assert lives(episode) == ("ZZ99 3VZ", "", "Z00B")
    assert "The client lives outside the UK: the DAT of residence is “Out of England”" in words(
        browser.get(at(episode, "living"))
    )


def test_opening_and_saving_the_page_of_a_client_from_abroad_changes_nothing(browser, episode, keyworker, ours):
    for postcode in ("ZZ99 3", "zz993vz"):
        Episode.objects.update(values={"PC": postcode, "DAT": "Z00B"})
        fills_in(browser, at(episode, "living"))
        assert lives(episode) == (postcode, "", "Z00B")
        assert ticks(browser, episode) == ["abroad"]


def test_what_somebody_chose_besides_a_tick_counts(browser, episode, ours):
    fills_in(browser, at(episode, "living"), **ABROAD, DAT="B18B")

    assert lives(episode) == ("ZZ99 3VZ", "", "B18B")


def test_whoever_ticks_both_is_asked(browser, episode):
    fills_in(browser, at(episode, "living"), **NFA | {"PC_abroad": "abroad"})

    assert values(episode)["PC"] == "ZZ99 3VZ or abroad"
    assert "Enter the postcode with its space" in words(browser.get(at(episode, "living")))


def test_the_script_is_told_which_tick_and_which_dat_are_shown_then(browser, episode, ours):
    told = fills_in(browser, at(episode, "living"), script=True, **ABROAD).json()

    assert told["boxes"]["DAT"]["DAT"] == "Z00B"
    assert told["was"]["PC"] == "ZZ99 3VZ"
    assert "outside the UK" in told["notes"]["PC"]


def test_why_the_dat_of_no_fixed_abode_stays_blank_and_whom_to_ask_is_said(browser, episode, agency):
    fills_in(browser, at(episode, "living"), **NFA)
    assert (
        "The DAT of residence stays blank, because the DAT of your agency is not recorded here: ask the manager of the"
        " caseload to enter it under Settings"
    ) in words(browser.get(at(episode, "living")))

    Agency.objects.filter(pk=agency.pk).update(dat="A09B")
    assert "that of your agency: choose Gateshead" in words(browser.get(at(episode, "living")))
    fills_in(browser, at(episode, "living"), DAT="A09B")
    assert "that of your agency: choose" not in words(browser.get(at(episode, "living")))


@pytest.mark.parametrize(
    ("postcode", "country"), [("EH1 1BB", "Scotland"), ("CF10 1EP", "Wales"), ("BT1 5GS", "Northern Ireland")]
)
def test_what_is_recorded_of_a_client_in_another_country_of_the_uk_is_said(browser, episode, postcode, country):
    told = fills_in(browser, at(episode, "living"), script=True, PC=postcode).json()

    assert lives(episode) == (postcode, "", "Z00B")
    assert told["notes"]["PC"] == (
        f"The client lives in {country}: the DAT of residence is “Out of England”, and the upper tier local authority"
        f" stays blank, because the official code for {country} is not public: “{country}” in the list is a stand-in of"
        " ours"
    )
    assert told["notes"]["PC"] in words(browser.get(at(episode, "living")))


def test_no_country_that_the_list_offers_is_said_to_have_no_code_here(browser, episode):
    page = words(browser.get(at(episode, "living")))

    for postcode, country in (("EH1 1BB", "Scotland"), ("CF10 1EP", "Wales"), ("BT1 5GS", "Northern Ireland")):
        assert country in page
        fills_in(browser, at(episode, "living"), PC=postcode)
        assert "no code for" not in words(browser.get(at(episode, "living")))


@pytest.mark.parametrize("typed", ["crack cocaine", "crack", "Crack", "CRACK COCAINE", "5 000"])
def test_words_in_the_box_for_another_code_are_told_to_be_no_code(browser, episode, typed):
    here = at(episode, "substances")
    told = fills_in(browser, here, script=True, DRUG1="another", DRUG1_another=typed).json()

    assert told["findings"]["DRUG1"].startswith("This is no code known here: choose from the list")
    assert typed not in told["findings"]["DRUG1"]
    assert "This is no code known here" in words(browser.get(here))


@pytest.mark.parametrize("typed", ["1234", "ABC1", "7000"])
def test_what_may_be_a_code_of_the_official_list_is_not_called_none(browser, episode, typed):
    told = fills_in(browser, at(episode, "substances"), script=True, DRUG1="another", DRUG1_another=typed).json()

    assert "no code known here" not in told["findings"].get("DRUG1", "")


def test_of_a_postcode_that_tells_both_nothing_more_is_said(browser, episode):
    told = fills_in(browser, at(episode, "living"), script=True, PC="SR1 1RE").json()

    assert told["notes"] == {"PC": ""}


def test_the_hints_say_what_the_definitions_say(browser, episode):
    page = words(browser.get(at(episode, "living")))

    assert "Of a client of no fixed abode, the area in which they were last of no fixed abode" in page
    assert "last had a home" not in page
    assert "Of a client of no fixed abode it is that of your agency" in page


MOVED = "The postcode is now in Manchester, and the DAT of residence is still Sunderland: choose which is right"


@pytest.fixture
def moved(browser, episode):
    """A client whose DAT was not told by the postcode before, and who has moved to Manchester."""
    fills_in(browser, at(episode, "living"), PC="NE8 1HH", DAT="A12B")
    return fills_in(browser, at(episode, "living"), PC="M1 1AE", do="continue")


@pytest.mark.parametrize(("right", "dat"), [("follows", "B18B"), ("stays", "A12B")])
def test_after_a_move_the_page_asks_which_dat_is_right_until_somebody_says(browser, episode, moved, right, dat):
    here = at(episode, "living")
    assert moved.url == here
    page = browser.get(here)
    assert MOVED in words(page)
    assert "Which DAT of residence is right?" in words(page)
    living = words(browser.get(reverse("episode", args=[episode.pk]))).split("Where the client lives")[1]
    assert living.split()[:3] == ["1", "to", "check"]

    fills_in(browser, here, DAT_right=right)

    assert values(episode)["DAT"] == dat
    assert MOVED not in words(browser.get(here))


def test_what_was_said_of_one_postcode_is_not_said_of_another(browser, episode, moved):
    fills_in(browser, at(episode, "living"), PC="NE8 1HH", DAT_right="stays")

    assert "now in Gateshead, and the DAT of residence is still Sunderland" in words(browser.get(at(episode, "living")))


def test_the_script_says_beside_the_dat_that_the_postcode_is_elsewhere(browser, episode):
    fills_in(browser, at(episode, "living"), PC="NE8 1HH", DAT="A12B")
    told = fills_in(browser, at(episode, "living"), script=True, PC="M1 1AE").json()

    assert told["findings"]["DAT"] == MOVED


def test_an_answer_that_is_no_longer_asked_is_taken_out_and_the_page_says_so(browser, episode):
    fills_in(browser, at(episode, "children"), PARENT="Y", PRNTSTAT="11", CHILDWTH="1")
    answer = browser.post(
        at(episode, "children"),
        {"was": json.dumps({"PARENT": "Y", "PRNTSTAT": "11"}), "PARENT": "N", "PRNTSTAT": "11"},
        follow=True,
    )

    assert "No longer asked, and taken out" in words(answer)
    assert "PRNTSTAT" not in values(episode)


def test_a_page_that_does_not_say_what_it_showed_is_not_saved(browser, episode):
    assert browser.post(at(episode, "children"), {"PARENT": "Y"}).status_code == 400
    assert browser.post(at(episode, "children"), {"was": "[1]", "PARENT": "Y"}).status_code == 400
    assert browser.post(at(episode, "children"), {"was": "{}", "PARENT": "Y"}).status_code == 400


def test_a_text_that_is_too_long_is_not_saved_and_not_lost(browser, episode):
    answer = fills_in(browser, at(episode, "substances"), DRUG1_another="Q" * 500)

    assert "Enter 400 characters or fewer" in words(answer)
    assert "Q" * 500 in answer.content.decode()


# ---- saving while somebody types -------------------------------------------------------------------


def test_the_script_is_told_that_it_is_saved_and_what_the_check_found(browser, episode):
    told = fills_in(browser, at(episode, "children"), script=True, CHILDWTH="77").json()

    assert re.fullmatch(r"Saved at \d\d:\d\d\.", told["told"])
    assert told["was"]["CHILDWTH"] == "77"
    assert "CHILDWTH" in told["findings"]
    assert "Still to be answered" in told["to_do"]
    assert values(episode) == {"CHILDWTH": "77"}


def test_the_script_is_told_what_was_filled_in_from_the_postcode(browser, episode):
    told = fills_in(browser, at(episode, "living"), script=True, PC="M1 1AE").json()

    assert told["boxes"]["DAT"] == {"DAT": "B18B", "DAT-another": ""}


def test_who_goes_on_comes_to_the_next_group_with_something_to_answer(browser, episode, keyworker):
    actions.save(
        by=keyworker, record=episode, typed={"PARENT": "N", "CHILDWTH": "0", "NALOXISS": "X01", "NALOXAD": "N"}
    )

    assert fills_in(browser, at(episode, "about"), PREGNANT="N").url == at(episode, "substances")
    assert fills_in(browser, at(episode, "substances"), ALCDDAYS="0").url == reverse("episode", args=[episode.pk])


def test_saving_meanwhile_never_asks_but_says_what_is_held_back(browser, episode, keyworker, yesterday):
    actions.save(by=keyworker, record=episode, typed={"ALCDDAYS": "3"}, why=actions.CORRECTION)

    told = fills_in(browser, at(episode, "substances"), script=True, ALCDDAYS="5", why="correction").json()

    assert "Not saved yet: “Drinking days”. Press Save and say whether it is a correction." in told["told"]
    assert told["was"]["ALCDDAYS"] == "3"
    assert values(episode)["ALCDDAYS"] == "3"


def test_an_answer_that_is_not_asked_any_more_stays_on_the_page_until_that_is_left(browser, episode):
    address = at(episode, "children")
    fills_in(browser, address, PARENT="Y", PRNTSTAT="11")

    told = fills_in(browser, address, script=True, PARENT="N").json()
    assert "No longer asked" in told["told"]
    assert "PRNTSTAT" not in told["boxes"]

    # Who turns back sends it again.
    was = told["was"]
    fills_in(browser, address, was, script=True, PARENT="Y", PRNTSTAT="11")
    assert values(episode)["PRNTSTAT"] == "11"


def test_a_save_that_is_repeated_since_its_answer_was_lost_is_no_clash(browser, episode):
    address = at(episode, "substances")
    was = shown(browser, address)
    fills_in(browser, address, was, script=True, ALCDDAYS="1")

    told = fills_in(browser, address, was, script=True, ALCDDAYS="12").json()

    assert told["told"].startswith("Saved at")
    assert "Not saved" not in told["told"]
    assert values(episode)["ALCDDAYS"] == "12"


# ---- what should not change ------------------------------------------------------------------------


def test_a_change_of_what_should_not_change_asks_why_and_a_correction_is_saved(browser, episode, keyworker, yesterday):
    actions.save(by=keyworker, record=episode, typed={"ALCDDAYS": "3"})
    address = at(episode, "substances")

    asked = fills_in(browser, address, ALCDDAYS="5")
    assert "A correction: it was recorded wrongly" in words(asked)
    assert "You changed: Drinking days" in words(asked)
    assert 'value="5"' in asked.content.decode()
    assert values(episode)["ALCDDAYS"] == "3"

    done = browser.get(fills_in(browser, address, ALCDDAYS="5", why="correction").url)
    assert "What you changed is saved" in words(done)
    assert values(episode)["ALCDDAYS"] == "5"
    assert Change.objects.values_list("why", flat=True).first() == "correction"


def test_a_new_fact_belongs_in_the_next_episode_and_is_told_not_lost(browser, episode, keyworker, yesterday):
    actions.save(by=keyworker, record=episode, typed={"ALCDDAYS": "3"})

    told = words(fills_in(browser, at(episode, "substances"), ALCDDAYS="5", why="new fact"))

    assert "Not saved: these belong in the client’s next episode." in told
    assert "Drinking days: you entered “5”, it stays “3”" in told
    assert values(episode)["ALCDDAYS"] == "3"


def test_a_legal_change_of_name_is_saved_and_said_to_make_a_mismatch(browser, episode, yesterday):
    address = reverse("client-details", args=[episode.client_id])

    asked = words(fills_in(browser, address, SINITIAL="B"))
    assert "a legal change of name" in asked
    assert "a validation mismatch, for which to choose “replace”" in asked

    fills_in(browser, address, SINITIAL="B", why="new fact")
    assert Client.objects.get().values["SINITIAL"] == "B"


# ---- two people ------------------------------------------------------------------------------------


def test_what_two_people_change_of_one_page_is_merged_where_it_is_not_the_same(browser, episode, colleague):
    address = at(episode, "substances")
    was = shown(browser, address)
    actions.save(by=colleague, record=episode, typed={"DRUG1": "1011"})

    answer = fills_in(browser, address, was, ALCDDAYS="3")
    page = words(browser.get(answer.url))

    assert values(episode) == {"DRUG1": "1011", "ALCDDAYS": "3"}
    assert "Kim Colleague changed “Problem substance number 1” while you had this page open." in page


def test_where_two_people_change_the_same_both_answers_are_shown_and_one_is_chosen(browser, episode, colleague):
    address = at(episode, "substances")
    was = shown(browser, address)
    actions.save(by=colleague, record=episode, typed={"DRUG1": "1011"})

    clash = fills_in(browser, address, was, DRUG1="3201", ALCDDAYS="3")
    page = words(clash)
    assert "Which is right: Problem substance number 1" in page
    assert "Heroin" in page
    assert "What Kim Colleague entered" in page
    assert "Crack" in page
    assert values(episode) == {"DRUG1": "1011", "ALCDDAYS": "3"}

    again = {**was, "ALCDDAYS": "3"}
    unchosen = fills_in(browser, address, again, DRUG1="3201")
    assert "Which is right" in words(unchosen)

    chosen: dict[str, Any] = {"DRUG1": "3201", "DRUG1_now": "1011"}
    fills_in(browser, address, again, **chosen, DRUG1_clash="now")
    assert values(episode)["DRUG1"] == "1011"
    fills_in(browser, address, again, **chosen, DRUG1_clash="typed")
    assert values(episode)["DRUG1"] == "3201"


# ---- referrals, and what is removed ----------------------------------------------------------------


def test_a_referral_is_added_changed_and_removed(browser, episode):
    parts = {"REFDATE-day": "2", "REFDATE-month": "3", "REFDATE-year": "2026"}
    browser.post(reverse("referral-new", args=[episode.pk]), parts)
    made = Referral.objects.get()
    assert made.values == {"REFDATE": "02/03/2026"}
    assert "2 March 2026" in words(browser.get(reverse("episode", args=[episode.pk])))

    fills_in(browser, reverse("referral", args=[made.pk]), REFDATE_day="3")
    made.refresh_from_db()
    assert made.values == {"REFDATE": "03/03/2026"}

    remove = reverse("referral-remove", args=[made.pk])
    assert "Remove this referral?" in words(browser.get(remove))
    browser.post(remove)
    assert not Referral.objects.exists()


def test_a_client_and_an_episode_begun_by_mistake_are_removed_once_that_is_confirmed(browser, episode):
    for name, pk, kind in (("episode-remove", episode.pk, Episode), ("client-remove", episode.client_id, Client)):
        browser.get(reverse(name, args=[pk]))
        assert kind.objects.exists()
        browser.post(reverse(name, args=[pk]))
        assert not kind.objects.exists()


def test_what_was_extracted_is_not_removed(browser, episode):
    Client.objects.update(extracted=timezone.now())
    Episode.objects.update(extracted=timezone.now())

    for name, pk in (("episode-remove", episode.pk), ("client-remove", episode.client_id)):
        assert "was in an extract" in words(browser.post(reverse(name, args=[pk]), follow=True))
    assert Episode.objects.count() == 1


# ---- whose ----------------------------------------------------------------------------------------


def test_of_another_agency_s_client_nothing_can_be_opened_or_saved(
    signed_in, person_with, other_agency, episode, keyworker
):
    stranger = signed_in(person_with(Role.KEYWORKER, agency=other_agency))
    referral = actions.add_referral(by=keyworker, episode=episode, typed={})
    addresses = [
        *(reverse(name, args=[episode.client_id]) for name in ("client-details", "client-remove")),
        *(reverse(name, args=[episode.pk]) for name in ("episode-remove", "referral-new")),
        *(reverse(name, args=[referral.pk]) for name in ("referral", "referral-remove")),
        *(at(episode, group.name) for group in questions.GROUPS),
    ]

    for address in addresses:
        assert stranger.get(address).status_code == 404
        assert stranger.post(address, {"was": '{"DRUG1": ""}', "DRUG1": "1011"}).status_code == 404
    assert values(episode) == {}


def test_a_group_that_is_none_is_not_there(browser, episode):
    assert browser.get(at(episode, "nonsense")).status_code == 404


# ---- in a browser ----------------------------------------------------------------------------------


def in_browser(test):
    return pytest.mark.browser(pytest.mark.django_db(transaction=True)(test))


@pytest.fixture
def visitor(signed_in, keyworker):
    return signed_in(keyworker)


def is_saved(page) -> str:
    """What the page says once it has saved."""
    page.wait_for_function("() => document.querySelector('[data-told]').textContent.includes('aved')")
    return str(page.inner_text("[data-told]"))


def question(page, header: str):
    return page.locator(f'[data-question="{header}"]')


@in_browser
def test_a_page_is_filled_in_by_keyboard_and_questions_come_one_at_a_time(tab, episode):
    page = tab(at(episode, "substances"))
    for header in ("ROUTE", "DRUG2", "DRUG3", "ALCUNITS"):
        assert not question(page, header).is_visible()

    page.wait_for_selector("input#DRUG1")
    page.focus("#DRUG1")
    page.keyboard.type("heroin")
    page.keyboard.press("Tab")  # takes what is found
    question(page, "ROUTE").wait_for()
    assert "What to record" in page.evaluate("document.activeElement.innerText")
    assert question(page, "DRUG2").is_visible()
    assert not question(page, "DRUG3").is_visible()

    page.keyboard.press("Tab")  # past "What to record"
    page.keyboard.press("Space")
    page.focus("#ALCDDAYS")
    page.keyboard.type("3")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.type("12")
    page.keyboard.press("Control+Enter")
    page.wait_for_url(f"**{at(episode, 'plan')}")

    assert values(episode) == {"DRUG1": "1011", "ROUTE": "1", "ALCDDAYS": "3", "ALCUNITS": "12"}


@in_browser
def test_a_question_with_an_answer_is_never_hidden(tab, episode, keyworker):
    actions.save(by=keyworker, record=episode, typed={"PARENT": "Y", "PRNTSTAT": "11"})
    page = tab(at(episode, "children"))

    page.check("#PARENT-2", force=True)

    assert question(page, "PRNTSTAT").is_visible()
    assert not question(page, "EHCS").is_visible()


@in_browser
def test_a_button_fills_in_today_but_not_as_a_birth_date(tab, episode):
    page = tab(at(episode, "contact"))
    page.get_by_role("button", name="Today").nth(1).click()
    assert is_saved(page).startswith("Saved at")
    assert values(episode) == {"TRIAGED": timezone.localdate().strftime("%d/%m/%Y")}

    page = tab(reverse("client-details", args=[episode.client_id]))
    page.wait_for_selector("input#NATION")
    assert page.get_by_role("button", name="Today").count() == 0


@in_browser
def test_a_country_is_found_by_typing_and_stays_where_it_is_only_looked_at(tab, episode):
    page = tab(reverse("client-details", args=[episode.client_id]))
    page.wait_for_selector("input#NATION")

    page.focus("#NATION")
    page.keyboard.type("Franc")
    page.keyboard.press("Tab")
    assert is_saved(page).startswith("Saved at")
    assert DATASET.lists["NATION"].labels[Client.objects.get().values["NATION"]] == "France"

    for typed, now in (("France", "France"), ("", ""), ("united k", "United Kingdom")):
        page.fill("#NATION", typed)
        page.press("#NATION", "Tab")
        assert page.input_value("#NATION") == now
    for opens in (lambda: page.click("#NATION"), lambda: page.press("#NATION", "ArrowDown")):
        opens()  # a list that is opened and left stays as it is
        page.keyboard.press("Tab")
        assert page.input_value("select[name=NATION]") == "GBR"
        page.focus("#CLIENT")


@in_browser
def test_what_is_typed_is_saved_by_itself_and_is_there_again_after_a_reload(tab, episode):
    page = tab(at(episode, "contact"))
    for part, text in (("day", "32"), ("month", "1"), ("year", "2026")):
        page.fill(f"#REFLD-{part}", text)

    assert re.fullmatch(r"Saved at \d\d:\d\d\.", is_saved(page))
    assert "must be a real date" in question(page, "REFLD").inner_text()
    assert "Still to be answered" in page.inner_text("[data-to-do]")
    page.reload()

    assert [page.input_value(f"#REFLD-{part}") for part in ("day", "month", "year")] == ["32", "01", "2026"]


@in_browser
def test_a_page_that_is_left_at_once_is_saved_too(tab, episode):
    page = tab(at(episode, "substances"))
    page.fill("#ALCDDAYS", "4")
    follow(page.locator("text=The client").first)
    assert page.url.endswith(reverse("episode", args=[episode.pk]))
    # The browser does not tell of an answer to a page that was left.
    for _ in range(100):
        if values(episode):
            break
        page.wait_for_timeout(100)

    assert values(episode) == {"ALCDDAYS": "4"}


@in_browser
def test_who_is_signed_out_meanwhile_keeps_the_page_and_saves_it_once_signed_in_again(
    tab, signed_in, keyworker, episode, visitor, settings
):
    page = tab(at(episode, "substances"))
    cookie = next(each for each in page.context.cookies() if each["name"] == settings.SESSION_COOKIE_NAME)
    visitor.logout()
    page.fill("#ALCDDAYS", "4")
    page.wait_for_function("() => document.querySelector('[data-told]').textContent.includes('signed out')")
    with page.expect_response(lambda answer: answer.request.method == "POST"):
        page.click("text=Save and continue")
    page.wait_for_timeout(1200)  # a second click within a second is none
    assert page.input_value("#ALCDDAYS") == "4"

    session = signed_in(keyworker).cookies[settings.SESSION_COOKIE_NAME].value
    page.context.add_cookies([{**cookie, "value": session}])
    page.click("text=Save and continue")
    page.wait_for_url(f"**{at(episode, 'plan')}")

    assert values(episode) == {"ALCDDAYS": "4"}


@in_browser
def test_two_people_on_one_page_see_what_the_other_changed_and_decide_where_both_did(tab, episode, colleague):
    page = tab(at(episode, "substances"))
    actions.save(by=colleague, record=episode, typed={"DRUG1": "1011"})

    page.fill("#ALCDDAYS", "4")
    assert "Kim Colleague changed “Problem substance number 1”" in is_saved(page)
    assert page.input_value("select[name=DRUG1]") == "1011"
    assert page.input_value("input#DRUG1") == "Heroin"

    actions.save(by=colleague, record=episode, typed={"DRUG1": "3201"})
    page.fill("input#DRUG1", "Methadone")
    page.press("input#DRUG1", "Tab")
    page.wait_for_function("() => document.querySelector('[data-told]').textContent.includes('press Save to see both')")
    page.click("text=Save and continue")
    page.wait_for_selector("#DRUG1-clash")
    assert "What Kim Colleague entered" in page.inner_text("main")
    page.check("#DRUG1-clash-2", force=True)
    page.click("text=Save and continue")
    page.wait_for_url(f"**{at(episode, 'plan')}")

    assert values(episode) == {"DRUG1": "1105", "ALCDDAYS": "4"}


@in_browser
def test_without_javascript_all_is_asked_and_saved(tab, episode):
    page = tab(at(episode, "children"), java_script_enabled=False)
    assert "Answer only if the client has parental responsibility" in page.inner_text("main")

    page.check("input[name=PARENT][value=Y]", force=True)
    page.check("input[name=PRNTSTAT][value='12']", force=True)
    page.fill("#CHILDWTH", "2")
    follow(page.locator("text=Save and continue"))

    assert page.url.endswith(at(episode, "substances"))
    assert values(episode) == {"PARENT": "Y", "PRNTSTAT": "12", "CHILDWTH": "2"}


def untick(page, saved: bool) -> None:
    page.check("#PC-apart", force=True)
    if saved:
        is_saved(page)
        page.wait_for_function("() => JSON.parse(document.querySelector('[name=was]').value).PC === 'ZZ99 3VZ'")
    page.uncheck("#PC-apart", force=True)


@in_browser
@pytest.mark.parametrize("saved", [False, True], ids=["at once", "after it was saved"])
def test_who_takes_back_no_fixed_abode_has_the_postcode_and_the_dat_again_that_they_chose(
    tab, browser, episode, agency, saved
):
    Agency.objects.filter(pk=agency.pk).update(dat="A09B")
    fills_in(browser, at(episode, "living"), PC="NE8 1HH", DAT="A12B")
    before = lives(episode)
    page = tab(at(episode, "living"))
    page.wait_for_selector("[data-question=DAT] input[role=combobox]")

    untick(page, saved)

    assert page.input_value("#PC") == "NE8 1HH"
    assert page.eval_on_selector("[data-question=DAT] select", "list => list.value") == "A12B"
    follow(page.locator("text=Save and come back later"))
    assert lives(episode) == before


@in_browser
def test_what_is_answered_anew_while_the_tick_is_on_is_not_replaced_by_what_was_before(tab, browser, episode, agency):
    Agency.objects.filter(pk=agency.pk).update(dat="A09B")
    fills_in(browser, at(episode, "living"), PC="NE8 1HH", DAT="A12B")
    page = tab(at(episode, "living"))
    box = page.locator("[data-question=DAT] input[role=combobox]")
    page.check("#PC-apart", force=True)
    box.fill("manchester")
    box.press("Tab")
    page.uncheck("#PC-apart", force=True)

    assert page.input_value("#PC") == "NE8 1HH"
    assert "Manchester" in box.input_value()


# ---- two clients of one reference ------------------------------------------------------------------


def test_a_reference_that_another_client_has_is_told_on_the_client_s_page(browser, agency, keyworker, episode):
    actions.save(by=keyworker, record=episode.client, typed={"CLIENT": "A7"})
    here = reverse("client", args=[episode.client_id])
    assert "has this client reference" not in words(browser.get(here))

    typed = {"FINITIAL": "B", "SINITIAL": "C", "DOB": "01/02/1990", "CLIENT": "a7"}
    actions.begin_client(by=keyworker, agency=agency, typed=typed)
    assert "Another client of your agency has this client reference: BC, born 1 February 1990" in words(
        browser.get(here)
    )


def test_of_a_client_who_changed_what_cannot_change_the_page_says_when_it_can(browser, episode, yesterday):
    here = reverse("client-details", args=[episode.client_id])
    answer = fills_in(browser, here, DOB_year="1986", why="new fact")

    assert "these stay as they were first recorded" in words(answer)
    assert "change it as a correction" in words(answer)
    episode.client.refresh_from_db()
    assert episode.client.values["DOB"] == "14/02/1985"


@pytest.mark.parametrize("name", ["PC-apart", "PC-abroad"])
def test_a_tick_beside_the_postcode_can_be_taken_back(browser, episode, name):
    here = at(episode, "living")
    tick = {"PC-apart": asking.NO_FIXED_ABODE, "PC-abroad": asking.ABROAD}[name]
    browser.post(here, {"was": json.dumps(shown(browser, here)), "PC": "", name: tick})
    assert values(episode)["PC"] == "ZZ99 3VZ"

    browser.post(here, {"was": json.dumps(shown(browser, here)), "PC": ""})
    assert not values(episode).get("PC")
    assert not values(episode).get("DAT")
