"""What is asked of an episode, when it is asked, and what goes when a question does not apply any more."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cjit.dataset import Entity
from cjit.web.caseload import questions
from cjit.web.caseload.record import KEPT
from cjit.web.dataset import DATASET

PAGES = (questions.CLIENT_DETAILS, *questions.GROUPS, questions.CLOSURE, questions.REFERRAL)
EPISODE = KEPT[Entity.EPISODE]


# ---- every field has its place ---------------------------------------------------------------------


def test_every_field_that_is_kept_is_asked_once():
    asked = [header for page in PAGES for header in page.headers]

    assert sorted(asked) == sorted(itertools.chain(*KEPT.values()))


def test_what_the_software_fills_in_is_not_asked_and_consent_has_a_page_of_its_own():
    kept = set(itertools.chain(*KEPT.values()))

    assert set(DATASET.headers) - kept == {*questions.SYSTEM, "CONSENT"}


def test_a_question_hangs_on_one_that_stands_before_it_on_the_same_page():
    places = {h: (page.name, i) for page in PAGES for i, h in enumerate(page.headers)}
    for header, when in questions.ASKED.items():
        for test in when.tests:
            assert places[test.header][0] == places[header][0]
            assert places[test.header][1] < places[header][1]


def test_a_question_is_listed_after_those_it_hangs_on():
    seen: list[str] = []
    for header, when in questions.ASKED.items():
        assert not {test.header for test in when.tests} & set(questions.ASKED) - set(seen)
        seen.append(header)


# ---- when a question applies -----------------------------------------------------------------------


@pytest.mark.parametrize(("parent", "asked"), [("Y", True), ("y", True), ("N", False), ("Z", False), ("", None)])
def test_where_the_children_live_is_only_asked_of_a_parent(parent, asked):
    assert questions.applies("PRNTSTAT", {"PARENT": parent}) is asked


@pytest.mark.parametrize(
    ("parent", "children", "asked"),
    [
        ("Y", "", True),
        ("Y", "0", True),
        ("N", "2", True),
        ("N", "02", True),
        ("", "2", True),
        ("N", "0", False),
        ("N", "", None),
        ("", "0", None),
    ],
)
def test_help_for_children_is_asked_of_parents_and_of_those_who_live_with_children(parent, children, asked):
    assert questions.applies("EHCS", {"PARENT": parent, "CHILDWTH": children}) is asked


@pytest.mark.parametrize("children", ["98", "098", "three", "2 or 3", "-1", "٣", "٠", "1" * 5000])
def test_what_is_no_number_of_children_tells_nothing_and_takes_nothing_out(children):
    values = {"PARENT": "N", "CHILDWTH": children, "EHCS": "2"}

    assert questions.applies("EHCS", values) is None
    assert questions.idle(values) == ()


@pytest.mark.parametrize("written", ["ZZ99 3VZ", "zz993vz", " ZZ99 3 ", "ZZ993"])
def test_of_no_fixed_abode_the_local_authority_is_asked(written):
    assert questions.applies("UTLA", {"PC": written}) is True
    assert questions.applies("UTLA", {"PC": "NE8 1HH"}) is False


@pytest.mark.parametrize("code", ["5", "05", "99"])
def test_without_help_no_further_help_is_asked(code):
    assert questions.applies("EHCSC2", {"EHCS": code}) is False


def test_pregnancy_is_asked_of_every_client():
    assert questions.applies("PREGNANT", {"SEX": "M"}) is True


# ---- what goes -------------------------------------------------------------------------------------


def test_of_a_client_without_children_all_that_was_said_of_them_goes():
    values = {"PARENT": "N", "CHILDWTH": "0", "PRNTSTAT": "11", "EHCS": "1", "EHCSC2": "2", "EHCSC3": "4"}

    assert questions.idle(values) == ("PRNTSTAT", "EHCS", "EHCSC2", "EHCSC3")


def test_of_a_client_without_disability_a_second_and_a_third_go():
    assert questions.idle({"DISABLE1": "NN", "DISABLE2": "2", "DISABLE3": "5"}) == ("DISABLE2", "DISABLE3")
    assert questions.idle({"DISABLE1": "ZZ", "DISABLE3": "5"}) == ("DISABLE3",)


def test_an_answer_stays_where_the_one_it_hangs_on_is_blank():
    assert questions.idle({"DISABLE2": "2", "DRUG2": "3201", "ROUTE": "3", "PRNTSTAT": "11"}) == ()


def test_units_of_alcohol_and_the_local_authority_may_be_right_and_stay():
    assert questions.idle({"ALCDDAYS": "0", "ALCUNITS": "6", "PC": "NE8 1HH", "UTLA": "E08000037"}) == ()


answers = st.sampled_from(["", "Y", "N", "Z", "NN", "ZZ", "0", "2", "98", "5", "99", "1", "XX", "odd", "ZZ99 3VZ"])


@given(st.fixed_dictionaries(dict.fromkeys(EPISODE, answers)))
def test_once_taken_out_nothing_more_is_to_be_taken_out(values):
    gone = questions.idle(values)

    assert all(values[h] for h in gone)
    assert questions.idle(values | dict.fromkeys(gone, "")) == ()


# ---- what is still to be answered ------------------------------------------------------------------


def test_a_question_that_does_not_apply_or_may_be_left_blank_wants_no_answer():
    children, about = questions.group("children"), questions.group("about")
    assert children
    assert about

    assert questions.unanswered(children, {"PARENT": "N", "CHILDWTH": "0"}) == ()
    assert questions.unanswered(children, {"PARENT": "Y", "CHILDWTH": " "}) == ("PRNTSTAT", "CHILDWTH", "EHCS")
    assert "DISABLE2" not in questions.unanswered(about, {"DISABLE1": "9"})


# ---- Appendix E ------------------------------------------------------------------------------------


def test_only_reasons_prior_to_caseload_without_a_care_plan():
    assert questions.reasons(caseload=False) == ("73", "1", "2", "99", "13", "14", "74")


def test_only_reasons_from_caseload_with_a_care_plan():
    reasons = questions.reasons(caseload=True)

    assert reasons == ("10", "15", "4", "99", "13", "14", "74", "7", "8", "12", "11", "9")


def test_who_goes_to_prison_has_a_prison_and_who_moves_another_area_for_a_destination():
    assert questions.DESTINATIONS == {"13": "PRISON", "14": "DAT"}


def test_every_reason_that_is_called_a_transfer_is_known_as_one():
    codes = DATASET.codes_of("CJDISRSN")
    assert codes

    assert set(questions.TRANSFERS) == {row.code for row in codes.rows if row.label.startswith("Transferred")}
