"""The rule book of dataset Q: every rule by its own examples, the notable ones by name."""

import dataclasses
import re
from collections.abc import Iterator, Sequence

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cjit.conditions import And, Equal, Given, Less, Node, Not, Or, Withheld, as_text, every
from cjit.dataset import SUBMITTER, TODAY, WITHHELD, Kind, Rule, Severity
from cjit.datasets.p import P
from cjit.datasets.q import Q
from cjit.datasets.q.example import EXAMPLE, EXAMPLE_TODAY
from cjit.datasets.q.rules import KOSOVO
from cjit.engine.checking import check_rows
from cjit.engine.columns import expression
from cjit.engine.records import prepared
from cjit.engine.shortcuts import is_sieve, necessary

WRITTEN = {rule.id: rule for rule in Q.written}
GATES = {rule.id for rule in Q.written if rule.gate}

CLOSED = {"DISD": "15/01/2026", "CJDISRSN": "10"}
NOT_TAKEN_ON = {"CPLANDT": "", "DISD": "15/01/2026", "CJDISRSN": "73", "REFERID": "", "REFDATE": ""}
NO_REFERRAL = {"REFERID": "", "REFDATE": ""}
SECOND = {"EPISODID": "20078", "REFERID": "30016"}
OTHER_CLIENT = {"CLIENTID": "10043", "CLIENT": "C10043", **SECOND}
LATER = {"REFLD": "15/01/2026", "TRIAGED": "15/01/2026", "CPLANDT": "", "REFDATE": "20/01/2026"}


def laid_over(example):
    """The records of an example: one, or several for a rule across rows."""
    return [EXAMPLE | part for part in ([example] if isinstance(example, dict) else example)]


def found(example, submitter=None):
    records = laid_over(example)
    return [seen.rule.id for seen in check_rows(Q, records, today=EXAMPLE_TODAY, submitter=submitter)]


def submitter_for(rule):
    return EXAMPLE["AGNCY"] if rule.id == "AGNCY.is_the_submitter" else None


# ---- the examples ----------------------------------------------------------------------------------


def test_the_example_is_whole_and_in_the_documents_order():
    assert tuple(EXAMPLE) == Q.headers


def test_the_example_breaks_no_rule():
    assert found({}) == []
    assert found({}, submitter=EXAMPLE["AGNCY"]) == []


@pytest.mark.parametrize("rule", Q.rules, ids=lambda rule: rule.id)
def test_a_rule_fires_on_the_example_that_breaks_it(rule):
    assert rule.id in found(rule.breaks, submitter_for(rule))


@pytest.mark.parametrize("rule", Q.rules, ids=lambda rule: rule.id)
def test_a_rule_is_silent_on_the_example_that_holds(rule):
    assert rule.id not in found(rule.holds, submitter_for(rule))


@pytest.mark.parametrize("rule", Q.written, ids=lambda rule: rule.id)
def test_an_example_that_breaks_a_written_rule_breaks_no_other(rule):
    blanked = {f"{h}.is_given" for part in laid_over(rule.breaks) for h, text in part.items() if not text}
    # What is said of a withheld row's neighbours is said of a row that its gate has shut.
    shut = GATES if any(isinstance(node, Withheld) for node in every(rule.fails_when)) else set()
    assert set(found(rule.breaks, submitter_for(rule))) - blanked - shut <= {rule.id}


@pytest.mark.parametrize("rule", Q.written, ids=lambda rule: rule.id)
def test_an_example_that_holds_breaks_nothing_at_all(rule):
    assert found(rule.holds, submitter_for(rule)) == []


# More of both kinds, where one example cannot show every side of a rule.
BREAKS = [
    ("CLIENTID.identifies_nobody", {"CLIENTID": "x@example.org"}),
    ("DOB.is_a_likely_age", {"DOB": "01/01/1912"}),
    ("DOB.is_a_likely_age", {"DOB": "01/01/1912", "REFLD": ""}),
    ("AGNCY.looks_like_an_agency_code", {"AGNCY": "CJ12"}),
    *((f"{header}.is_not_shortened", {header: "1,11e+08"}) for header in ("CLIENTID", "CLIENT", "EPISODID", "REFERID")),
    ("PC.is_the_default_postcode", {"PC": "ZZ99 9", "UTLA": ""}),
    ("PC.is_in_use", {"PC": "NE99 9", "UTLA": ""}),
    ("REFLD.is_after_birth", {"DOB": "04/11/2025"}),
    ("DISABLE1.stands_alone", {"DISABLE1": "NN", "DISABLE3": "9"}),
    ("DISABLE1.stands_alone", {"DISABLE1": "ZZ", "DISABLE2": "NN"}),
    ("DISABLE1.stands_alone", {"DISABLE1": "NN", "DISABLE2": "9", "DISABLE3": "9"}),
    ("DISABLE2.is_not_a_lone_answer", {"DISABLE1": "", "DISABLE2": "ZZ"}),
    ("DISABLE3.is_not_a_lone_answer", {"DISABLE1": "9", "DISABLE2": "2", "DISABLE3": "ZZ"}),
    ("DISABLE3.is_not_a_lone_answer", {"DISABLE1": "9", "DISABLE3": "ZZ"}),
    ("DISABLE3.leaves_no_gap", {"DISABLE1": "9", "DISABLE3": "9"}),
    ("DISABLE3.leaves_no_gap", {"DISABLE1": "", "DISABLE3": "9"}),
    ("DISABLE3.is_not_a_repeat", {"DISABLE1": "9", "DISABLE2": "2", "DISABLE3": "2"}),
    ("DISABLE3.is_not_a_repeat", {"DISABLE1": "XX", "DISABLE2": "9", "DISABLE3": "9"}),
    ("ALCDDAYS.is_given_for_alcohol", {"ALCDDAYS": "", "ALCUNITS": "0", "DRUG1": "7000", "ROUTE": "4"}),
    ("ALCDDAYS.is_given_for_alcohol", {"ALCDDAYS": "", "ALCUNITS": "0", "DRUG2": "3201", "DRUG3": "7000"}),
    ("ALCDDAYS.is_given_for_a_drinker", {"ALCDDAYS": "", "ALCUNITS": "1", "DRUG2": "7000"}),
    ("ALCUNITS.is_given_for_a_drinker", {"ALCDDAYS": "1", "ALCUNITS": ""}),
    ("ALCUNITS.is_nought_without_drinking_days", {"ALCDDAYS": "0", "ALCUNITS": "1"}),
    ("ALCUNITS.is_more_than_nought_on_a_drinking_day", {"ALCDDAYS": "1", "ALCUNITS": "0"}),
    ("CHILDWTH.counts_the_children_at_home", {"PRNTSTAT": "11"}),
    ("CHILDWTH.counts_the_children_at_home", {"PARENT": "", "PRNTSTAT": "11"}),
    ("EHCS.is_given_where_there_are_children", {"PARENT": "N", "PRNTSTAT": "", "CHILDWTH": "1", "EHCS": ""}),
    ("EHCS.is_given_where_there_are_children", {"CHILDWTH": "98", "EHCS": ""}),
    ("EHCS.is_blank_without_children", {"PARENT": "N", "PRNTSTAT": "", "EHCS": "5"}),
    ("EHCS.is_blank_without_children", {"PARENT": "N", "PRNTSTAT": "", "EHCS": "", "EHCSC2": "1"}),
    ("EHCS.is_blank_without_children", {"PARENT": "N", "PRNTSTAT": "", "EHCS": "", "EHCSC3": "1"}),
    ("EHCSC2.leaves_no_gap", {"PARENT": "N", "PRNTSTAT": "", "CHILDWTH": "1", "EHCS": "", "EHCSC2": "1"}),
    ("EHCSC3.leaves_no_gap", {"PARENT": "N", "PRNTSTAT": "", "CHILDWTH": "1", "EHCS": "", "EHCSC3": "1"}),
    ("DAT.agrees_with_the_postcode", {"DAT": "A09B", "PC": "EH1 1", "UTLA": "S92000003"}),
    ("DAT.agrees_with_the_postcode", {"DAT": "A09B", "PC": "BT1 1", "UTLA": ""}),
    ("DAT.agrees_with_the_postcode", {"DAT": "Z00B", "UTLA": "Z99999999"}),
    ("DAT.agrees_with_the_postcode", {"DAT": "W01B", "UTLA": ""}),
    ("DAT.agrees_with_the_postcode", {"PC": "NR14 7", "UTLA": ""}),
    ("DAT.agrees_with_the_local_authority", {"DAT": "Z00B"}),
    ("DAT.agrees_with_the_local_authority", {"DAT": "X01B"}),
    ("DAT.agrees_with_the_local_authority", {"DAT": "A12B", "PC": ""}),
    ("DAT.agrees_with_the_local_authority", {"DAT": "A12B", "PC": "BF1 2"}),
    ("DAT.is_known_in_england", {"DAT": "gateshead"}),
    ("DAT.is_known_in_england", {"DAT": "E08000037"}),
    ("DAT.is_known_in_england", {"DAT": "A13B", "PC": "EH1 1", "UTLA": ""}),
    ("AGNCY.looks_like_an_agency_code", {"AGNCY": "CJI123"}),
    ("EHCS.stands_alone", {"EHCS": "5", "EHCSC3": "1"}),
    ("EHCSC2.leaves_no_gap", {"EHCS": "", "EHCSC2": "1"}),
    ("EHCSC3.leaves_no_gap", {"EHCS": "", "EHCSC3": "1"}),
    ("EHCSC3.is_not_a_repeat", {"EHCS": "2", "EHCSC2": "1", "EHCSC3": "1"}),
    ("DRUG3.is_not_a_repeat", {"DRUG2": "3201", "DRUG3": "3201"}),
    ("DRUG3.is_not_a_repeat", {"DRUG1": "1000", "DRUG2": "3201", "DRUG3": "3201"}),
    ("ROUTE.suits_alcohol", {"DRUG1": "7000", "ROUTE": "1", "INJSTAT": "N"}),
    ("INJSTAT.agrees_with_the_route", {"DRUG1": "1000", "ROUTE": "1", "INJSTAT": "N"}),
    ("CPLANDT.is_not_before_contact", {"TRIAGED": "", "REFLD": "", "DOB": "21/11/2025"}),
    ("DISD.is_not_before_contact", NOT_TAKEN_ON | {"TRIAGED": "", "REFLD": "", "DOB": "16/01/2026"}),
    ("DISD.is_not_before_triage", NOT_TAKEN_ON | {"DISD": "03/11/2025"}),
    ("CJDISRSN.is_prior_to_caseload", NOT_TAKEN_ON | {"CJDISRSN": "9"}),
    ("CJDISRSN.is_from_caseload", CLOSED | {"CJDISRSN": "1"}),
    ("REFDATE.is_not_before_triage", {"CPLANDT": "", "REFDATE": "05/11/2025"}),
    ("REFDATE.is_not_before_triage", {"CPLANDT": "06/11/2025", "REFDATE": "05/11/2025"}),
    ("REFDATE.is_not_before_contact", {"TRIAGED": "", "CPLANDT": "", "REFDATE": "02/11/2025"}),
    ("REFDATE.is_not_before_contact", {"TRIAGED": "", "CPLANDT": "", "REFLD": "", "REFDATE": "13/02/1986"}),
    ("REFDATE.is_not_after_closure", {"DISD": "20/11/2025", "CJDISRSN": "10"}),
    ("REFDATE.is_not_after_closure", {"DISD": "20/11/2025", "CJDISRSN": "99"}),
    (
        "CJDISRSN.ends_the_last_episode_if_the_client_died",
        [{"DISD": "20/11/2025", "CJDISRSN": "9", **NO_REFERRAL}, {**SECOND, **LATER}],
    ),
    (
        "CJDISRSN.ends_the_last_episode_if_the_client_died",
        [{"TRIAGED": "", "DISD": "14/01/2026", "CJDISRSN": "9"}, {**SECOND, **LATER}],
    ),
    (
        "DISD.is_before_the_newest_episode",
        [
            {"DISD": "21/11/2025", "CJDISRSN": "10", **NO_REFERRAL},
            {**SECOND, "REFLD": "20/11/2025", "TRIAGED": "20/11/2025"},
        ],
    ),
    (
        "TRIAGED.starts_one_episode",
        [{}, {**SECOND, "CPLANDT": ""}, {**OTHER_CLIENT, "EPISODID": "20079", "REFERID": "30017"}],
    ),
    (
        "CJDISRSN.has_a_referral_if_transferred_not_in_custody",
        [{}, {**OTHER_CLIENT, **NO_REFERRAL, **CLOSED, "CPLANDT": "", "CJDISRSN": "99"}],
    ),
]

HOLDS = [
    {"DOB": "01/01/1916"},
    {"DOB": "07/11/2015"},
    {"DOB": "06/11/1914"},
    {"AGNCY": "N0852"},
    {"PC": ""},
    {"UTLA": ""},
    {"PC": "ZZ99 3", "UTLA": "E10000020"},
    {"PC": "ZZ99 3", "UTLA": "", "DAT": "Z00B"},
    {"PC": "ZZ99 3", "UTLA": "", "DAT": "A09B"},
    {"PC": "", "UTLA": "", "DAT": "A09B"},
    {"PC": "", "UTLA": "", "DAT": "Z00B"},
    {"PC": "EH1 1", "UTLA": "", "DAT": "Z00B"},
    {"PC": "EH1 1", "UTLA": "", "DAT": "Z99Z"},
    {"PC": "EH1 1", "UTLA": "", "DAT": "X01B"},
    {"PC": "NE8 1", "UTLA": "", "DAT": "X99B"},
    {"PC": "TD15 1", "UTLA": "", "DAT": "A10B"},
    {"PC": "TD15 1", "UTLA": "", "DAT": "Z00B"},
    {"DAT": "Z00B", "PC": "EH1 1", "UTLA": "S92000003"},
    {"REFLD": "06/11/2025"},
    {"DISABLE1": "", "DISABLE2": "", "DISABLE3": ""},
    {"DISABLE1": "ZZ"},
    {"DISABLE2": "2", "DISABLE3": "5"},
    {"EHCSC2": "1", "EHCSC3": "4"},
    {"DRUG2": "3201", "DRUG3": "5000"},
    {"ALCDDAYS": "0", "ALCUNITS": "0"},
    {"ALCDDAYS": "0", "ALCUNITS": "0", "DRUG2": "7000"},
    {"DISABLE1": "XX", "DISABLE2": "XX", "DISABLE3": "XX"},
    {"ALCDDAYS": "", "ALCUNITS": ""},
    {"ALCDDAYS": "", "ALCUNITS": "0"},
    {"ALCDDAYS": "28", "ALCUNITS": "200"},
    {"ALCDDAYS": "1", "ALCUNITS": "1"},
    {"DRUG1": "7000", "ROUTE": "5", "ALCDDAYS": "0", "ALCUNITS": ""},
    {"DRUG1": "7000", "ROUTE": "", "ALCDDAYS": "28"},
    {"PARENT": "", "PRNTSTAT": "", "CHILDWTH": "", "EHCS": ""},
    {"PARENT": "Z", "PRNTSTAT": "", "CHILDWTH": "98", "EHCS": ""},
    {"PARENT": "Z", "PRNTSTAT": "11", "CHILDWTH": "1", "EHCS": "7"},
    {"PARENT": "N", "PRNTSTAT": "", "CHILDWTH": "", "EHCS": "5"},
    {"PARENT": "N", "PRNTSTAT": "", "CHILDWTH": "0", "EHCS": ""},
    {"PARENT": "N", "PRNTSTAT": "", "CHILDWTH": "3", "EHCS": "1", "EHCSC2": "6", "EHCSC3": "6"},
    {"PRNTSTAT": "13", "CHILDWTH": "2"},
    {"PRNTSTAT": "15", "CHILDWTH": "0"},
    {"PRNTSTAT": "11", "CHILDWTH": "98"},
    {"EHCS": "7", "EHCSC2": "1"},
    {"DRUG1": "1000", "DRUG2": "1000", "DRUG3": "8799"},
    {"DRUG1": "1011", "DRUG2": "2200", "DRUG3": "2200"},
    {"DRUG1": "9005", "DRUG2": "9005", "DRUG3": "9005"},
    {"ROUTE": "1", "INJSTAT": "Z"},
    {"ROUTE": "3", "INJSTAT": "N"},
    {"ROUTE": "1", "INJSTAT": ""},
    {"CPLANDT": "", "REFERID": "", "REFDATE": ""},
    {"CPLANDT": "", "REFDATE": "06/11/2025"},
    {"CPLANDT": "06/11/2025", "REFDATE": "06/11/2025"},
    NOT_TAKEN_ON,
    NOT_TAKEN_ON | {"CJDISRSN": "99", "REFERID": "30015", "REFDATE": "06/11/2025", "DISD": "06/11/2025"},
    NOT_TAKEN_ON | {"CJDISRSN": "13"},
    CLOSED | {"CJDISRSN": "74"},
    CLOSED | {"DISD": "01/12/2025"},
    *(CLOSED | {"DISD": "30/11/2025", "CJDISRSN": reason} for reason in ("8", "9", "11", "12")),
    NOT_TAKEN_ON | {"DISD": "06/11/2025", "CJDISRSN": "99", "REFERID": "30015", "REFDATE": "01/12/2025"},
    [{}, {"REFERID": "", "REFDATE": ""}],
    [{}, {"REFERID": "30016", "REFDATE": "02/12/2025"}, {"REFERID": "30017", "REFDATE": "02/12/2025"}],
    [{}, OTHER_CLIENT, {**OTHER_CLIENT, "CLIENTID": "10044", "CLIENT": "C1", "EPISODID": "3", "REFERID": "4"}],
    [{**CLOSED, "DISD": "01/12/2025"}, {**SECOND, "REFLD": "01/12/2025", "TRIAGED": "01/12/2025", "CPLANDT": ""}],
    [{**CLOSED, "DISD": "14/01/2026", "CJDISRSN": "9"}, OTHER_CLIENT],
    # Died on the day of the assessment.
    [{"CPLANDT": "", "DISD": "06/11/2025", "CJDISRSN": "99", "REFDATE": "06/11/2025"}, OTHER_CLIENT],
    [{"CPLANDT": "06/11/2025", "DISD": "06/11/2025", "CJDISRSN": "9", **NO_REFERRAL}, OTHER_CLIENT],
]

# Where another rule speaks, and this one must not.
SILENT = [
    ("DISD.is_not_before_caseload_start", {"DISD": "19/11/2025", "CJDISRSN": "73", **NO_REFERRAL}),
    ("REFDATE.is_not_after_closure", {"DISD": "19/11/2025", "CJDISRSN": "10"}),
    ("REFDATE.is_not_after_closure", {"DISD": "30/11/2025", "CJDISRSN": ""}),
    ("REFDATE.is_not_after_closure", {"CPLANDT": "", "DISD": "30/11/2025", "CJDISRSN": "10"}),
    ("EHCSC2.leaves_no_gap", {"PARENT": "N", "PRNTSTAT": "", "EHCS": "", "EHCSC2": "1"}),
    ("EHCSC3.leaves_no_gap", {"PARENT": "N", "PRNTSTAT": "", "EHCS": "", "EHCSC3": "1"}),
    ("DAT.agrees_with_the_postcode", {"DAT": "Z00B"}),
    ("DAT.agrees_with_the_postcode", {"DAT": "Z00B", "UTLA": "S92000003"}),
    ("DAT.agrees_with_the_postcode", {"PC": "EH1 1"}),
    ("DAT.agrees_with_the_postcode", {"DAT": "A12B"}),
    ("DAT.agrees_with_the_local_authority", {"DAT": "A12B", "PC": "SR1 1"}),
    ("DAT.agrees_with_the_local_authority", {"DAT": "A12B", "UTLA": ""}),
    ("DAT.agrees_with_the_local_authority", {"DAT": "A12B", "PC": "ZZ99 9"}),
    ("DAT.agrees_with_the_postcode", {"PC": "EH1 1", "UTLA": "W92000004"}),
    ("EPISODID.is_sent_once", [NO_REFERRAL, {"REFERID": ""}]),
    ("EPISODID.is_sent_once", [{"REFERID": ""}, {"REFERID": "", "REFDATE": "02/12/2025"}]),
    ("EPISODID.is_sent_once", [{}, {"CLIENTID": "10043", "CLIENT": "C10043"}]),
    (
        "CJDISRSN.ends_the_last_episode_if_the_client_died",
        [{"DISD": "19/11/2025", "CJDISRSN": "9", **NO_REFERRAL}, {**SECOND, **LATER}],
    ),
    (
        "CJDISRSN.ends_the_last_episode_if_the_client_died",
        [{"CPLANDT": "", "DISD": "05/11/2025", "CJDISRSN": "9", **NO_REFERRAL}, {**SECOND, **LATER}],
    ),
    ("DOB.is_a_likely_age", {"DOB": "03/11/2025"}),
    ("DOB.is_a_likely_age", {"DOB": "05/11/2025", "TRIAGED": "05/11/2025"}),
    ("DOB.is_a_likely_age", {"REFLD": "", "DOB": "06/11/2025"}),
    ("TRIAGED.is_after_birth", {"REFLD": ""}),
    ("TRIAGED.is_after_birth", {"DOB": "06/11/2025"}),
    ("CPLANDT.is_not_before_contact", {"TRIAGED": "", "CPLANDT": "03/11/2025"}),
    ("ALCDDAYS.is_given_for_alcohol", {"ALCDDAYS": "", "DRUG2": "7000"}),
    ("CPLANDT.is_not_before_contact", {"CPLANDT": "02/11/2025"}),
    ("DISD.is_not_before_contact", NOT_TAKEN_ON | {"TRIAGED": "", "DISD": "03/11/2025"}),
    ("DISD.is_not_before_contact", NOT_TAKEN_ON | {"DISD": "02/11/2025"}),
    ("DISD.is_not_before_contact", CLOSED | {"TRIAGED": "", "DISD": "02/11/2025"}),
    ("REFDATE.is_not_before_contact", {"TRIAGED": "", "CPLANDT": "", "REFDATE": "03/11/2025"}),
    ("REFDATE.is_not_before_contact", {"REFDATE": "02/11/2025"}),
]


@pytest.mark.parametrize(("rule_id", "example"), BREAKS)
def test_each_side_of_a_rule(rule_id, example):
    blanked = {f"{h}.is_given" for part in laid_over(example) for h, text in part.items() if not text}
    assert set(found(example)) - blanked == {rule_id}


@pytest.mark.parametrize("example", HOLDS)
def test_what_the_document_allows_is_met_with_silence(example):
    assert found(example) == []


@pytest.mark.parametrize(("rule_id", "example"), SILENT)
def test_a_rule_is_silent_where_another_speaks(rule_id, example):
    assert (fired := found(example))
    assert rule_id not in fired


# ---- what the document says, by name ---------------------------------------------------------------


@pytest.mark.parametrize("code", KOSOVO)
def test_kosovo_is_recorded_as_serbia(code):
    assert found({"NATION": code}) == ["NATION.records_kosovo_as_serbia"]
    assert code not in Q.lists["NATION"].codes


def test_kosovo_in_small_letters_is_kosovo():
    assert "NATION.records_kosovo_as_serbia" in found({"NATION": "xkx"})
    assert "NATION.is_in_list" not in found({"NATION": "xkx"})


def test_a_country_that_is_none_is_not_taken_for_kosovo():
    assert found({"NATION": "QQQ"}) == ["NATION.is_in_list"]


@pytest.mark.parametrize("sex", ["M", "F"])
@pytest.mark.parametrize("pregnant", ["Y", "N", ""])
def test_a_man_may_be_recorded_as_pregnant(sex, pregnant):
    assert found({"SEX": sex, "PREGNANT": pregnant}) == []
    assert not any({"SEX", "PREGNANT"} <= set(rule.headers) for rule in Q.rules)


def test_a_client_of_17_is_welcome():
    assert found({"DOB": "07/11/2008"}) == []


@pytest.mark.parametrize("first", ["NN", "ZZ"])
@pytest.mark.parametrize("further", [{"DISABLE2": "9"}, {"DISABLE3": "9"}, {"DISABLE2": "9", "DISABLE3": "10"}])
def test_disability_two_and_three_are_left_blank_after_not_stated_and_no_disability(first, further):
    assert found({"DISABLE1": first}) == []
    assert found({"DISABLE1": first, **further}) == ["DISABLE1.stands_alone"]


@pytest.mark.parametrize("first", ["5", "99"])
@pytest.mark.parametrize("further", [{"EHCSC2": "1"}, {"EHCSC3": "1"}, {"EHCSC2": "1", "EHCSC3": "2"}])
def test_the_other_two_are_left_blank_where_no_help_is_received_or_the_client_declined(first, further):
    assert found({"EHCS": first}) == []
    assert found({"EHCS": first, **further}) == ["EHCS.stands_alone"]


@pytest.mark.parametrize("code", Q.lists["DISABLE"].codes)
def test_any_disability_may_come_first(code):
    assert found({"DISABLE1": code}) == []


PRIOR = Q.lists["CJDISRSN"].group("prior to caseload")
FROM = Q.lists["CJDISRSN"].group("from caseload")


@pytest.mark.parametrize("reason", Q.lists["CJDISRSN"].codes)
def test_a_client_not_taken_onto_the_caseload_leaves_for_a_prior_reason(reason):
    referral = {"REFERID": "30015", "REFDATE": "01/12/2025"}
    wanted = [] if reason in PRIOR else ["CJDISRSN.is_prior_to_caseload"]
    assert found(NOT_TAKEN_ON | referral | {"CJDISRSN": reason}) == wanted


@pytest.mark.parametrize("reason", Q.lists["CJDISRSN"].codes)
def test_a_client_on_the_caseload_leaves_for_a_caseload_reason(reason):
    assert found(CLOSED | {"CJDISRSN": reason}) == ([] if reason in FROM else ["CJDISRSN.is_from_caseload"])


def test_reason_99_needs_a_referral_of_the_episode_on_any_of_its_rows():
    rule = "CJDISRSN.has_a_referral_if_transferred_not_in_custody"
    left = CLOSED | {"CJDISRSN": "99"}
    without = OTHER_CLIENT | left | NO_REFERRAL
    assert found([left, left | {"REFERID": "30016", "REFDATE": "02/12/2025"}]) == []
    assert found([left, without]) == [rule]
    # A referral whose id is missing has its own finding, and is a referral.
    assert found([left, without | {"REFDATE": "02/12/2025"}]) == ["REFERID.is_given_with_a_date"]


def test_a_case_closure_needs_both_date_and_reason():
    assert found({"DISD": "15/01/2026"}) == ["CJDISRSN.is_given_with_a_date"]
    assert found({"CJDISRSN": "10"}) == ["DISD.is_given_with_a_reason"]
    assert found(CLOSED) == []


def test_a_referral_without_id_is_rejected_and_one_without_date_is_queried():
    assert WRITTEN["REFERID.is_given_with_a_date"].severity is Severity.REJECT
    assert found({"REFERID": ""}) == ["REFERID.is_given_with_a_date"]
    assert WRITTEN["REFDATE.is_given_with_an_id"].severity is Severity.QUERY
    assert found({"REFDATE": ""}) == ["REFDATE.is_given_with_an_id"]
    assert found(NO_REFERRAL) == []


@pytest.mark.parametrize("consent", ["", "N", "Z", "yes", "?"])
def test_without_consent_nothing_else_is_said_of_a_record(consent):
    broken = {"CONSENT": consent, "SEX": "", "DOB": "31/02/1986", "DISABLE1": "NN", "DISABLE2": "9"}
    assert found(broken) == ["CONSENT.is_given"]


def test_the_agency_in_the_file_is_the_agency_that_sends_it():
    assert found({}, submitter="CJ124") == ["AGNCY.is_the_submitter"]
    assert found({"AGNCY": "NORTH TEAM"}, submitter="CJ124") == ["AGNCY.is_the_submitter"]
    # Case alone rejects nothing.
    assert found({"AGNCY": "cj123"}, submitter="CJ123") == []
    assert found({"AGNCY": "CJ123"}, submitter="cj123") == []
    assert found({"AGNCY": "CJ124"}, submitter="CJ124") == []
    assert found({"AGNCY": "CJ124"}) == []


def test_no_drinking_days_do_not_contradict_alcohol_as_a_problem_substance():
    assert found({"DRUG1": "7000", "ROUTE": "4", "ALCDDAYS": "0", "ALCUNITS": "0"}) == []


def test_children_in_the_house_need_no_parental_responsibility():
    assert found({"PARENT": "N", "PRNTSTAT": "", "CHILDWTH": "4", "EHCS": "5"}) == []


def test_a_referral_after_the_last_contact_of_a_client_who_dropped_out_is_no_fault():
    # No contact for 2 months: closed as on the last one, while work to re-engage the client went on.
    assert found({"DISD": "25/11/2025", "CJDISRSN": "8", "REFDATE": "20/01/2026"}) == []
    assert found({"DISD": "25/11/2025", "CJDISRSN": "10", "REFDATE": "20/01/2026"}) == ["REFDATE.is_not_after_closure"]


def test_a_referral_after_the_last_assessment_of_a_client_not_taken_on_is_no_fault():
    assert found(NOT_TAKEN_ON | {"CJDISRSN": "99", "REFERID": "30015", "REFDATE": "20/01/2026"}) == []


def test_a_death_recorded_with_a_slip_in_its_date_is_told_once_and_not_as_a_later_episode():
    died = {"DISD": "15/10/2025", "CJDISRSN": "9", **NO_REFERRAL}
    assert found([died, {**SECOND, **LATER}]) == ["DISD.is_not_before_caseload_start"]


def test_only_the_row_that_consents_is_told_that_another_does_not():
    rows = [{}, {"REFERID": "30016", "REFDATE": "02/12/2025", "CONSENT": "N"}, OTHER_CLIENT]
    records = laid_over(rows)
    told = [(seen.row, seen.rule.id) for seen in check_rows(Q, records, today=EXAMPLE_TODAY)]
    assert sorted(told) == [(0, "CONSENT.is_the_same_on_every_row"), (1, "CONSENT.is_given")]
    assert found([row | {"CONSENT": "N"} for row in rows]) == ["CONSENT.is_given"] * 3


@pytest.mark.parametrize("pc", ["JE2 3", "GY1 1", "IM1 1"])
def test_a_client_living_on_an_island_outside_the_uk_is_recorded_with_the_default_postcode(pc):
    assert found({"PC": pc, "UTLA": ""}) == ["PC.is_in_use"]
    assert "Isle of Man" in WRITTEN["PC.is_in_use"].message


@pytest.mark.parametrize("digit", range(10))
def test_a_postcode_of_the_forces_is_in_use(digit):
    assert found({"PC": f"BF1 {digit}", "UTLA": ""}) == []


@pytest.mark.parametrize("dat", ["A09B", "B18B", "00EW"])
def test_a_dat_in_england_needs_a_postcode_that_touches_it(dat):
    assert found({"DAT": dat, "PC": "CF10 1", "UTLA": ""}) == ["DAT.agrees_with_the_postcode"]
    # On both sides of the border of Cheshire West and Chester.
    border = [] if dat == "00EW" else ["DAT.agrees_with_the_postcode"]
    assert found({"DAT": dat, "PC": "CH4 0", "UTLA": ""}) == border


def test_a_client_who_moved_and_kept_their_old_dat_is_told_of():
    moved = {"PC": "SR1 1", "UTLA": "E08000024"}
    assert found(moved) == ["DAT.agrees_with_the_local_authority"]
    assert found(moved | {"UTLA": ""}) == ["DAT.agrees_with_the_postcode"]
    assert found(moved | {"DAT": "A12B"}) == []


@pytest.mark.parametrize(
    ("dat", "utla", "pc"),
    [
        ("D12B", "E08000035", "LS1 4"),
        ("G09B", "E10000020", "NR14 7"),
        ("K13B", "E06000053", "TR21 0"),
        ("K13B", "E06000052", "TR1 2"),
        # Reorganised: the DAT and the authority may each be the former or the later one.
        *((dat, utla, "TA1 1") for dat in ("K15B", "K18B") for utla in ("E10000027", "E06000066")),
        *((dat, utla, "YO11 1") for dat in ("D05B", "D16B") for utla in ("E10000023", "E06000065")),
        *((dat, "E06000064", "LA9 4") for dat in ("B16B", "B23B", "B24B")),
        *((dat, "E10000006", "CA1 1") for dat in ("B16B", "B23B", "B24B")),
        *((dat, "E06000061", "NN16 0") for dat in ("E09B", "E10B")),
        *((dat, "E06000060", "HP20 1") for dat in ("J07B", "J20B")),
        *(("D09B", utla, "S70 1") for utla in ("E08000016", "E08000038")),
    ],
)
def test_an_area_that_was_reorganised_is_known_by_its_old_and_its_new_name(dat, utla, pc):
    assert found({"DAT": dat, "UTLA": utla, "PC": pc}) == []
    assert found({"DAT": dat, "UTLA": utla, "PC": ""}) == []
    assert found({"DAT": dat, "UTLA": "", "PC": pc}) == []


def test_cumbrias_successors_are_not_each_anothers_neighbours():
    assert found({"DAT": "D05B", "UTLA": "E06000064", "PC": ""}) == ["DAT.agrees_with_the_local_authority"]


def test_of_no_fixed_abode_the_dat_is_the_teams_and_the_authority_any():
    assert found({"PC": "ZZ99 3", "DAT": "A09B", "UTLA": "E10000020"}) == []
    # But a team is not out of England.
    assert found({"PC": "ZZ99 3", "DAT": "Z00B"}) == ["DAT.agrees_with_the_local_authority"]


def test_out_of_england_with_a_postcode_in_england_is_told_once():
    assert found({"DAT": "Z00B", "UTLA": ""}) == ["DAT.agrees_with_the_postcode"]
    assert found({"DAT": "Z00B"}) == ["DAT.agrees_with_the_local_authority"]


@pytest.mark.parametrize("code", ["1000", "2100", "2200", "3100", "4000", "6000", "8200", "8300", "8799", "9005"])
def test_two_substances_of_one_group_are_no_repeat(code):
    assert found({"DRUG1": code, "DRUG2": code}) == []


@pytest.mark.parametrize("code", ["1011", "3200", "3201", "3406", "5000"])
def test_one_substance_twice_is_a_repeat(code):
    assert found({"DRUG1": code, "DRUG2": code}) == ["DRUG2.is_not_a_repeat"]


def test_unknown_is_not_taken_for_kosovo():
    assert found({"NATION": "UNK"}) == ["NATION.is_in_list"]


def test_children_who_are_not_there_receive_no_help():
    none = {"PARENT": "N", "PRNTSTAT": "", "CHILDWTH": "0", "EHCS": ""}
    assert found(none | {"EHCSC2": "1"}) == ["EHCS.is_blank_without_children"]
    assert found(none | {"EHCSC2": "1", "EHCSC3": "2"}) == ["EHCS.is_blank_without_children"]
    assert found(none | {"EHCS": "1", "EHCSC3": "2"}) == ["EHCS.is_blank_without_children"]


@pytest.mark.parametrize("reason", ["73", "1", "2"])
def test_a_caseload_start_after_a_closure_prior_to_caseload_is_told_at_the_reason(reason):
    assert found({"DISD": "10/11/2025", "CJDISRSN": reason, **NO_REFERRAL}) == ["CJDISRSN.is_from_caseload"]


# ---- a referral without its ID ---------------------------------------------------------------------


@pytest.mark.parametrize("sent", ["31/02/2026", "31/12/2026", "20251301", "01/12/0026", "n/a", "no date", "?"])
@pytest.mark.parametrize("dataset", [P, Q], ids=lambda dataset: dataset.letter)
def test_a_referral_whose_date_is_none_is_not_accepted_without_its_id(dataset, sent):
    record = {header: text for header, text in EXAMPLE.items() if header in dataset.headers}
    findings = check_rows(dataset, [record | {"REFERID": "", "REFDATE": sent}], today=EXAMPLE_TODAY)
    assert [seen.rule.id for seen in findings if seen.rule.severity is Severity.REJECT] == [
        "REFERID.is_given_with_a_date"
    ]


def test_a_file_is_told_of_a_referral_without_its_id_whatever_its_date_is(checked):
    told = checked(*({"REFERID": "", "REFDATE": date} for date in ("31/02/2026", " ", "", "01/12/2025", "soon")))
    lacking = told.frame.filter(pl.col("rule") == "REFERID.is_given_with_a_date")
    assert lacking["row"].to_list() == [2, 5, 6]
    assert told.rejected == 3


def test_a_referral_whose_date_is_none_is_a_referral_all_the_same():
    other = {**OTHER_CLIENT, **CLOSED, "CPLANDT": "", "CJDISRSN": "99"}
    wanted = ["REFERID.is_given_with_a_date", "REFDATE.is_a_date"]
    assert found([{}, other | {"REFERID": "", "REFDATE": "31/02/2026"}]) == wanted
    # Nor is it a second row that says nothing new.
    assert found([NO_REFERRAL, {"REFERID": "", "REFDATE": "31/02/2026"}]) == wanted


# ---- one mistake, one message ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("slip", "wanted"),
    [
        pytest.param({"DOB": "01/11/2025", "REFLD": "01/11/2025"}, "REFLD.is_after_birth", id="birth"),
        pytest.param({"TRIAGED": "06/12/2025"}, "CPLANDT.is_not_before_triage", id="triage too late"),
        pytest.param({"TRIAGED": "06/10/2025"}, "TRIAGED.is_not_before_the_event", id="triage too early"),
        pytest.param({"TRIAGED": "06/11/2026"}, "TRIAGED.is_not_in_the_future", id="triage in the future"),
        pytest.param({"CPLANDT": "31/02/2025"}, "CPLANDT.is_a_date", id="no date at all"),
        pytest.param(CLOSED | {"DISD": "06/10/2025"}, "DISD.is_not_before_caseload_start", id="closure too early"),
        pytest.param(
            {"CPLANDT": "", "DISD": "06/10/2025", "CJDISRSN": "99"}, "DISD.is_not_before_triage", id="the same prior"
        ),
        pytest.param({"DISABLE1": "", "DISABLE2": "NN"}, "DISABLE2.is_not_a_lone_answer", id="one too far right"),
        pytest.param({"DISABLE1": "NN", "DISABLE3": "NN"}, "DISABLE1.stands_alone", id="no disability twice"),
        pytest.param({"DRUG1": "", "DRUG2": "1011"}, "DRUG1.is_given", id="no first substance"),
        pytest.param({"DRUG1": "", "DRUG3": "1011"}, "DRUG1.is_given", id="only a third substance"),
        pytest.param({"EHCS": "", "EHCSC2": "1"}, "EHCSC2.leaves_no_gap", id="no first help"),
        pytest.param({"PARENT": "N"}, "PRNTSTAT.is_blank_unless_a_parent", id="parent or not"),
        pytest.param({"PARENT": "N", "PRNTSTAT": "11"}, "PRNTSTAT.is_blank_unless_a_parent", id="the same, at home"),
        pytest.param({"CJDISRSN": "QQ", "DISD": "15/01/2026"}, "CJDISRSN.is_in_list", id="no such reason"),
        pytest.param({"PC": "EH1 1", "DAT": "Z00B"}, "UTLA.contains_the_postcode", id="authority left behind"),
        pytest.param({"PC": "ZZ99 9"}, "PC.is_the_default_postcode", id="another ZZ"),
        pytest.param({"ALCDDAYS": "", "DRUG2": "7000"}, "ALCDDAYS.is_given_for_a_drinker", id="drinking days"),
        pytest.param({"DRUG1": "7000", "ROUTE": "1", "INJSTAT": "N"}, "ROUTE.suits_alcohol", id="injected alcohol"),
        pytest.param(
            [NO_REFERRAL, {"REFERID": ""}],
            "REFERID.is_given_with_a_date",
            id="a second row whose referral lacks its id",
        ),
        pytest.param({"PC": "EH1 1", "DAT": "A09B"}, "UTLA.contains_the_postcode", id="a postcode in Scotland"),
    ],
)
def test_one_mistake_one_message(slip, wanted):
    assert found(slip) == [wanted]


# ---- ids that say who somebody is ------------------------------------------------------------------

# The example is M. O., born on 14 February 1986, at a postcode of NE8 1.
IDENTIFYING = [
    "14021986", "19860214", "02141986", "0014021986", "CJ-14/02/1986-1", "1986-02-14", "14.02.1986", "1986 02 14",
    "140286", "860214", "021486", "MO140286", "140286MO", "MO-140286", "MO14028601", "om14028601", "x 14-02-86 y",
    "someone@example.org", "NE8 1VV", "ne8 1vv", "NE81VV", "id:NE81VV", "SW1A 1VV",
]  # fmt: skip
NOT_IDENTIFYING = [
    "1", "10042", "140285", "15021986", "19860215", "1402860", "11402869", "9140286", "AB14028601", "MO15028601",
    "8f14e45f-ceea-467f-a140-28612345abcd", "14021986-ceea-467f-a140-2861234abcde",
    "8F14E45F-CEEA-467F-A140-140219861402", "C000123", "not@home", "AB12CD", "NE91VV", "NE81VVX", "NE8 1",
    "CJ123/2025/17",
]  # fmt: skip
# 999 is kept for tests: such a number is nobody's.
NHS_NUMBERS = ["999 123 4578", "999-123-4578", "A9991234578", "9991234578/1", "9991234578 MO"]
NOT_NHS_NUMBERS = ["999 123 4579", "99912345781", "1999123457", "1234567881", "3999123456"]
IDS = ["CLIENTID", "CLIENT", "EPISODID", "REFERID"]


@pytest.mark.parametrize("header", IDS)
@pytest.mark.parametrize("text", IDENTIFYING)
def test_an_id_that_says_who_somebody_is(header, text):
    assert found({header: text}) == [f"{header}.identifies_nobody"]


@pytest.mark.parametrize("header", IDS)
@pytest.mark.parametrize("text", NOT_IDENTIFYING)
def test_an_id_that_does_not(header, text):
    assert found({header: text}) == []


@pytest.mark.parametrize("header", IDS)
@pytest.mark.parametrize("text", NHS_NUMBERS)
def test_an_nhs_number_in_an_id(header, text):
    assert found({header: text}) == [f"{header}.identifies_nobody"]


@pytest.mark.parametrize("header", IDS)
@pytest.mark.parametrize("text", NOT_NHS_NUMBERS)
def test_ten_figures_that_are_no_nhs_number(header, text):
    assert found({header: text}) == []


@pytest.mark.parametrize(("header", "nhs_number"), [("CLIENT", True), ("CLIENTID", True), ("EPISODID", False)])
def test_ten_bare_figures_are_a_running_number_where_a_client_has_several(header, nhs_number):
    assert found({header: "9991234578"}) == ([f"{header}.identifies_nobody"] if nhs_number else [])


# ---- ids that are not what they seem ---------------------------------------------------------------

TEXT_IDS = [*IDS, "CMSID"]
INVISIBLE = {
    "a zero-width space": "\u200b",
    "a zero-width non-joiner": "\u200c",
    "a zero-width joiner": "\u200d",
    "a word joiner": "\u2060",
    "a byte order mark": "\ufeff",
    "a soft hyphen": "\u00ad",
    "a no-break space": "\u00a0",
    "a narrow no-break space": "\u202f",
    "a mark of the direction of writing": "\u200e",
    "a tab": "\t",
    "a line feed": "\n",
    "a carriage return": "\r",
    "a bell": "\x07",
    "a control character of Windows": "\x85",
}


@pytest.mark.parametrize("header", TEXT_IDS)
@pytest.mark.parametrize("character", INVISIBLE.values(), ids=INVISIBLE)
def test_an_invisible_character_inside_an_id_is_told_once(header, character):
    assert found({header: f"10{character}042"}) == [f"{header}.has_no_invisible_characters"]


@pytest.mark.parametrize("header", TEXT_IDS)
@pytest.mark.parametrize("character", ["\u200b", "\u2060", "\ufeff"])
def test_an_invisible_character_that_is_no_space_is_told_at_either_end_of_an_id_too(header, character):
    for text in (f"10042{character}", f"{character}10042"):
        assert found({header: text}) == [f"{header}.has_no_invisible_characters"]


@pytest.mark.parametrize("header", TEXT_IDS)
@pytest.mark.parametrize("space", [" ", "\u00a0", "\t"])
def test_a_space_of_any_kind_round_an_id_is_told_as_such(header, space):
    assert found({header: f"10042{space}"}) == [f"{header}.is_plainly_written"]


@pytest.mark.parametrize("header", TEXT_IDS)
@pytest.mark.parametrize("text", ["10 042", "10-042", "Ä10042", "n° 42", "10.042", "𝟙𝟘"])
def test_what_can_be_seen_may_stand_in_an_id(header, text):
    assert found({header: text}) == []


def test_an_agency_code_with_an_invisible_character_is_neither_odd_nor_anothers():
    wanted = ["AGNCY.has_no_invisible_characters"]
    assert found({"AGNCY": "CJ1\u200b23"}) == wanted
    assert found({"AGNCY": "CJ1\u200b23"}, submitter="CJ123") == wanted
    assert found({"AGNCY": "CJ1\u200b24"}, submitter="CJ123") == ["AGNCY.is_the_submitter", *wanted]


@pytest.mark.parametrize("header", IDS)
@pytest.mark.parametrize("text", ["1.23E+11", "1.11E+08", "1,11E+08", "1E+11", "9.99e+15", "123.4E+10", " 1.23E+11"])
def test_an_id_that_a_spreadsheet_shortened_is_told_once(header, text):
    spaces = [f"{header}.is_plainly_written"] if text != text.strip() else []
    assert found({header: text}) == [*spaces, f"{header}.is_not_shortened"]


@pytest.mark.parametrize("header", IDS)
@pytest.mark.parametrize(
    "text", ["1E11", "123E11", "E+11", "1.23E-11", "1.23E+11/2", "A1.23E+11", "1.23", "12E+", "1E+1234"]
)
def test_an_id_that_only_looks_a_little_like_a_power_of_ten_is_left_alone(header, text):
    assert found({header: text}) == []


PLACEHOLDERS = [
    "#N/A",
    "#REF!",
    "#VALUE!",
    "#NAME?",
    "#DIV/0!",
    "#####",
    "NULL",
    "null",
    "None",
    "N/A",
    "na",
    "NaN",
    "-",
    "?",
    "N/K",
    "nk",
    "Missing",
    "(blank)",
    "Not stated",
    "NOT RECORDED",
    "test",
    "x",
    "XX",
    "XXX",
    "0",
    "00000",
]


@pytest.mark.parametrize("header", IDS)
@pytest.mark.parametrize("text", [*PLACEHOLDERS, " #N/A", "(null)", "Unknown", "not known", "TBC", "...", "blank"])
def test_an_id_that_is_a_word_for_no_value_is_told_once(header, text):
    spaces = [f"{header}.is_plainly_written"] if text != text.strip() else []
    assert found({header: text}) == [*spaces, f"{header}.is_no_placeholder"]


@pytest.mark.parametrize("header", IDS)
@pytest.mark.parametrize("text", ["#17", "NA1", "N42", "-1", "NULL7", "A-B", "TB", "NK1", "TEST1", "X1", "XXXX", "01"])
def test_an_id_that_only_looks_a_little_like_a_placeholder_is_left_alone(header, text):
    assert found({header: text}) == []


@pytest.mark.parametrize("header", IDS)
@pytest.mark.parametrize(("text", "rule"), [("1.11E+08", "is_not_shortened"), ("#REF!", "is_no_placeholder")])
def test_an_id_that_is_none_makes_no_one_person_of_several(header, text, rule):
    several = [{}, {**OTHER_CLIENT, "DOB": "01/01/1990", "SEX": "F", "TRIAGED": "07/11/2025", "HOUSING": "2"}]
    shortened = [row | {header: text} for row in several]
    rule = WRITTEN[f"{header}.{rule}"]
    assert rule.severity is Severity.REJECT
    # And nothing else is said of how the two differ: they are not one.
    assert found(shortened) == [rule.id] * 2


def test_an_id_that_is_a_power_of_ten_is_rejected_on_one_row_alone_too(checked):
    told = checked({}, {"CLIENTID": "1.11E+08", "CLIENT": "A2", "EPISODID": "2", "REFERID": "3"})
    assert (told.accepted, told.rejected) == (1, 1)


def test_rows_that_keep_their_id_are_still_held_against_one_another_beside_shortened_ones(checked):
    client = {"CLIENTID": "1", "CLIENT": "A1"}
    whole = [client | {"EPISODID": "1", "REFERID": f"{n}", "HOUSING": f"{n}"} for n in (1, 2)]
    shortened = [client | {"REFERID": f"{n}", "EPISODID": "2.01E+09", "HOUSING": f"{n}"} for n in (3, 4)]
    told = checked(*whole, *shortened).frame
    assert told.select("row", "rule").rows() == [
        (2, "HOUSING.is_the_same_on_every_row"),
        (3, "HOUSING.is_the_same_on_every_row"),
        (4, "EPISODID.is_not_shortened"),
        (5, "EPISODID.is_not_shortened"),
    ]


@pytest.mark.parametrize("rule", [rule for rule in Q.written if rule.id.endswith("is_not_shortened")])
def test_a_shortened_id_is_not_repeated_in_the_message(rule):
    assert not re.search(r"[0-9]", rule.message)


def test_ids_of_a_file_that_are_not_what_they_seem_are_found_where_they_stand(checked):
    told = checked({}, {"CLIENT": "C1\u200b"}, {"REFERID": "1.23E+11"}, {"EPISODID": "2\u00a01"}).frame
    assert told.select("row", "rule").rows() == [
        (3, "CLIENT.has_no_invisible_characters"),
        (4, "REFERID.is_not_shortened"),
        (5, "EPISODID.has_no_invisible_characters"),
    ]


def each_alone(*records: tuple[tuple[str, str], ...], submitter: str | None = None) -> pl.DataFrame:
    """A frame with every column a rule of one row may read, each row as if it were the only one."""
    engine = prepared(Q, EXAMPLE_TODAY, submitter)
    rows = [dict(record) for record in records]
    columns = {}
    for field in Q.fields:
        of = {Kind.DATE: pl.Date, Kind.NUMBER: pl.Int32}.get(field.kind, pl.String)
        parsed = [engine.parse(field.header, row.get(field.header)) for row in rows]
        columns[f"{field.header} as sent"] = pl.Series([each.sent for each in parsed], dtype=pl.String)
        columns[f"{field.header} as read"] = pl.Series([each.read for each in parsed], dtype=of)
        columns[field.header] = pl.Series([each.value for each in parsed], dtype=of)
    text = pl.DataFrame(columns).with_columns(
        pl.lit(EXAMPLE_TODAY).alias(TODAY), pl.lit(submitter, pl.String).alias(SUBMITTER)
    )
    shut = pl.any_horizontal(expression(rule.fails_when) for rule in Q.written if rule.gate)
    return text.with_columns(shut.alias(WITHHELD))


def typed(*records: tuple[tuple[str, str], ...], submitter: str | None = None) -> pl.DataFrame:
    """A frame with every column a rule may read."""
    seen = each_alone(*records, submitter=submitter)
    if not seen[WITHHELD].any() or seen.height == 1:
        return seen
    return seen.with_columns(pl.when(~pl.col(WITHHELD)).then(pl.exclude("CLIENTID", WITHHELD, TODAY)).name.keep())


def frame(example, submitter=None) -> pl.DataFrame:
    return typed(*(tuple(record.items()) for record in laid_over(example)), submitter=submitter)


@given(nine=st.from_regex("(4[0-9]|6[0-9]|70|99)[0-9]{7}", fullmatch=True))
def test_an_nhs_number_is_known_by_its_check_digit(nine):
    remainder = 11 - sum(int(figure) * weight for figure, weight in zip(nine, range(10, 1, -1), strict=True)) % 11
    right = {11: "0", 10: None}.get(remainder, str(remainder))
    records = [EXAMPLE | {"CLIENT": f"{nine[:3]} {nine[3:6]} {nine[6:]}{last}"} for last in range(10)]
    fails = typed(*(tuple(r.items()) for r in records)).select(
        expression(WRITTEN["CLIENT.identifies_nobody"].fails_when)
    )
    assert [str(i) for i in fails.to_series().arg_true()] == ([right] if right else [])


_fragment = st.sampled_from(
    ["14", "02", "1986", "86", "-", "/", " ", "MO", "M", "1", "9991234578", "999 123 4578", "@", "a.b", "NE8", "1VV"]
)


@given(texts=st.lists(st.lists(_fragment, max_size=6).map("".join), min_size=1, max_size=20))
def test_what_the_cheap_look_passes_over_is_never_broken(texts):
    seen = typed(*(tuple((EXAMPLE | dict.fromkeys(IDS, text)).items()) for text in texts))
    for header in IDS:
        rule = WRITTEN[f"{header}.identifies_nobody"]
        cheap = necessary(rule.fails_when)
        assert cheap is not None
        assert is_sieve(cheap)
        assert seen.filter(expression(rule.fails_when) & ~expression(cheap)).is_empty()


# ---- the book itself -------------------------------------------------------------------------------


def test_the_written_rules_stand_in_the_documents_order():
    places = [Q.headers.index(rule.header) for rule in Q.written]
    assert places == sorted(places)


def test_no_two_rules_have_one_name_or_say_one_thing_of_one_field():
    assert len({rule.id for rule in Q.rules}) == len(Q.rules)
    assert len({(rule.header, rule.message) for rule in Q.rules}) == len(Q.rules)


@pytest.mark.parametrize("rule", Q.rules, ids=lambda rule: rule.id)
def test_a_message_is_one_sentence_without_full_stop_or_bare_codes(rule):
    message = rule.message
    assert message[0].isupper()
    assert message[-1] not in ".!?"
    assert not re.search(r"[.!?] ", message)
    assert message == message.strip()
    assert "  " not in message
    assert len(message) <= 150
    assert not re.search(r"[‘’]|(?<!\w)'", message)
    # No header, save the one the document uses as a word.
    assert not set(re.findall(r"[A-Z0-9]+", message)) & (set(Q.headers) - {"DAT"})


@pytest.mark.parametrize(
    ("header", "wording"),
    [
        ("SEX", "Write the client's stated sex in capitals, with no spaces"),
        ("HOUSING", "Write the housing situation with no leading nought (1, not 01) and no spaces"),
        ("SEXUALO", "in capitals, with no leading nought (1, not 01) and no spaces"),
        ("OFFENCE", "Write the code for the offence in capitals, with no spaces"),
        ("DRUG1", "Write the code for the first problem substance with no spaces"),
        ("DRUG2", "Leave the second problem substance blank when there is none, and otherwise write its code"),
        ("CONSENT", "Write the consent for NDTMS as a capital Y with no spaces"),
    ],
)
def test_how_a_code_is_written_is_said_of_what_its_list_can_get_wrong(header, wording):
    (rule,) = (rule for rule in Q.rules if rule.id == f"{header}.is_plainly_written")
    assert wording in rule.message


@pytest.mark.parametrize(
    ("header", "wording"),
    [
        ("SEX", "must be M (Male) or F (Female)"),
        ("INJSTAT", "must be one of the 4 codes of its list, such as C, Currently injecting"),
        ("EHCS", "must be one of the 8 codes of its list, such as 1, Early Help (family support)"),
        ("PRNTSTAT", "must be one of the 4 codes of its list, such as 11, All the children live with client"),
    ],
)
def test_a_list_is_spelt_out_where_it_can_be_read_at_a_glance(header, wording):
    (rule,) = (rule for rule in Q.rules if rule.id == f"{header}.is_in_list")
    assert rule.message.endswith(wording)


ACROSS = [rule for rule in Q.written if rule.across]


@pytest.mark.parametrize("rule", ACROSS, ids=lambda rule: rule.id)
def test_a_rule_across_rows_needs_neither_the_text_of_an_id_nor_the_order_of_rows(rule):
    values = frame(rule.breaks)
    fails = values.select(expression(rule.fails_when.surely)).to_series().to_list()
    hashed = values.with_columns(pl.when(pl.col(h).is_not_null()).then(pl.col(h).hash()).alias(h) for h in IDS)
    assert hashed.select(expression(rule.fails_when.surely)).to_series().to_list() == fails
    assert values.reverse().select(expression(rule.fails_when.surely)).to_series().to_list() == fails[::-1]


# ---- mutations: an altered book is noticed ---------------------------------------------------------


def altered(node: Node) -> Iterator[Node]:
    """A node with one comparison, connective or test for a blank altered at a time."""
    match node:
        case And(parts):
            yield Or(parts)
        case Or(parts):
            yield And(parts)
        case Less(one, other):
            yield Less(other, one)
            yield Not(Less(other, one))
        case Equal() | Given():
            yield Not(node)
    names: tuple[str, ...] = tuple(node.__slots__)
    for name in names:
        part = getattr(node, name)
        several = part if isinstance(part, tuple) else (part,)
        for at, each in enumerate(several):
            for new in altered(each) if isinstance(each, Node) else ():
                made = (*several[:at], new, *several[at + 1 :])
                yield dataclasses.replace(node, **{name: made if isinstance(part, tuple) else new})  # type: ignore[type-var]


def examples_of(rule: Rule) -> list[pl.DataFrame]:
    """Its own examples, and the others of this file that concern it."""
    mine = [rule.breaks, rule.holds, *(example for rule_id, example in (*BREAKS, *SILENT) if rule_id == rule.id)]
    others = [example for example in HOLDS if bool(rule.across) is isinstance(example, list)]
    texts = (*IDENTIFYING, *NOT_IDENTIFYING, *NHS_NUMBERS, *NOT_NHS_NUMBERS)
    ids = [{rule.header: text} for text in texts] if rule.header in IDS else []
    told = [*mine, *others, *ids]
    if rule.across:
        return [frame(example, submitter_for(rule)) for example in told]
    records = [tuple(record.items()) for example in told for record in laid_over(example)]
    return [each_alone(*records, submitter=submitter_for(rule))]


def verdicts(conditions: Sequence[Node], examples: list[pl.DataFrame]) -> list[tuple[bool, ...]]:
    """What each of some conditions says of the rows of all examples."""
    tell = [expression(each).fill_null(False).alias(f"{place}") for place, each in enumerate(conditions)]
    rows = pl.concat([example.select(tell) for example in examples])
    return [tuple(column.to_list()) for column in rows]


@pytest.mark.dear
@pytest.mark.parametrize("rule", Q.written, ids=lambda rule: rule.id)
def test_an_altered_rule_is_noticed_by_the_examples(rule):
    mutants = list(altered(rule.fails_when))
    right, *wrong = verdicts([rule.fails_when, *mutants], examples_of(rule))
    assert [as_text(mutant) for mutant, told in zip(mutants, wrong, strict=True) if told == right] == []
