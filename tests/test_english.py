"""Conditions in plain English: some rules by their exact words, and what holds of all of them."""

from datetime import date

import polars as pl
import pytest
from hypothesis import given, settings
from tests.test_conditions import _rows, by_columns, examples_of, in_a_row, table
from tests.test_rules import BREAKS, HOLDS, IDENTIFYING, IDS, NHS_NUMBERS, NOT_IDENTIFYING, SILENT

from cjit.conditions import (
    NODES,
    SUBMITTER,
    WITHHELD,
    And,
    Cell,
    Condition,
    Constant,
    FirstRow,
    Found,
    HasCheckFigure,
    Matches,
    Never,
    Not,
    Or,
    Without,
    any_row,
    cells,
    differs,
    every,
    first_given,
    how_often,
    joined,
    latest,
    oldest,
    rows_with_the_same,
)
from cjit.datasets.p import P
from cjit.datasets.q import Q
from cjit.dictionary.english import WORDS, _All, _Fact, _Reader, in_english

RULES = {rule.id: rule.fails_when for rule in Q.rules}

#: Rules in their words, chosen so that every node of the book is in one.
IN_WORDS = {
    "DOB.is_given": "DOB is left blank",
    "DOB.is_a_date": "DOB is filled in and not read as a date",
    "DOB.is_after_1900": "DOB as read is before 01/01/1900",
    "DOB.is_not_in_the_future": "DOB as read is after today",
    "DOB.is_written_one_way": (
        "the row is the first by which the file has a row on which DOB is given and DOB as sent (without "
        "white space around it) is written yyyymmdd, and a row on which DOB is given and DOB as sent (without"
        " white space around it) is written dd/mm/yyyy"
    ),
    "DOB.is_a_likely_age": (
        "either REFLD is blank or DOB is before REFLD, DOB is before TRIAGED, and the number of days from DOB"
        " to TRIAGED is less than 3,652 or more than 40,543"
    ),
    "NATION.is_in_list": "NATION as read is none of the 249 codes of its list",
    "NATION.records_kosovo_as_serbia": "NATION as read is XKX, XKK, XXK, XKS, XKO, KOS, KSV, RKS, XK, KV or RK",
    "AGNCY.is_the_submitter": (
        "AGNCY differs from the code of the agency that submits (both without invisible characters, in capitals)"
    ),
    "CLIENT.belongs_to_one_client": "CLIENT is given, and CLIENTID differs between rows with the same CLIENT",
    "CLIENT.identifies_nobody": (
        "CLIENT is not a number made by chance (a GUID), and any of these: (a) the date with a year of four "
        "figures in CLIENT (without the signs between its parts) is DOB written ddmmyyyy, mmddyyyy, yyyymmdd,"
        " ddmmyy, mmddyy or yymmdd; (b) the date with a year of two figures in CLIENT (without the signs "
        "between its parts) is DOB written ddmmyyyy, mmddyyyy, yyyymmdd, ddmmyy, mmddyy or yymmdd; (c) the "
        "first 2 characters of CLIENT (in capitals) are FINITIAL then SINITIAL or SINITIAL then FINITIAL, and"
        " the date after two letters in CLIENT (without the signs between its parts) is DOB written ddmmyyyy,"
        " mmddyyyy, yyyymmdd, ddmmyy, mmddyy or yymmdd; (d) what looks like an NHS number in CLIENT (without "
        "spaces and dashes) is ten figures with a right check figure; (e) CLIENT holds an e-mail address or "
        "holds a whole postcode with its space; (f) PC is the same as the first part of the postcode in "
        "CLIENT (in capitals) then a space then the figure of its second part in CLIENT"
    ),
    "EPISODID.is_sent_once": (
        "another row has the same CLIENTID, EPISODID, REFERID and REFDATE as sent (where REFERID is blank), "
        "and either REFDATE is left blank or REFERID is given"
    ),
    "CONSENT.is_given": "CONSENT is blank or other than Y",
    "CONSENT.is_the_same_on_every_row": (
        "the row is not withheld (by CONSENT), and some row with the same CLIENTID is withheld (by CONSENT)"
    ),
    "PC.is_in_use": "PC is no postcode sector, does not begin with ZZ and does not begin with BF1 (the British Forces)",
    "PC.is_truncated": "PC as sent (in capitals, without white space) looks like a whole postcode",
    "DAT.agrees_with_the_local_authority": (
        "UTLA begins with E (an authority in England), PC lies in UTLA as far as is known, and any of these: "
        "(a) DAT is one of 20 codes of its list, such as W01B; (b) UTLA lies outside DAT, and PC is blank or "
        "does not begin with ZZ"
    ),
    "UTLA.contains_the_postcode": "PC lies outside UTLA",
    "REFLD.is_after_birth": "DOB is not before REFLD",
    "DISABLE1.stands_alone": "DISABLE1 is NN (No disability) or ZZ (Not stated), and DISABLE2 or DISABLE3 is given",
    "DISABLE2.leaves_no_gap": (
        "DISABLE2 is given and other than NN (No disability) or ZZ (Not stated), and DISABLE1 is blank"
    ),
    "ALCDDAYS.is_given_for_alcohol": (
        "ALCDDAYS is blank, DRUG1, DRUG2 or DRUG3 is 7000 (Alcohol), and ALCUNITS is blank or at most 0"
    ),
    "CHILDWTH.is_in_range": (
        "CHILDWTH is filled in, and any of these: (a) CHILDWTH is not read as a whole number; (b) CHILDWTH as"
        " read is less than 0 or more than 20, and CHILDWTH as read is other than 98 (client declined to "
        "answer)"
    ),
    "EHCS.is_given_where_there_are_children": (
        "EHCS, EHCSC2 and EHCSC3 are blank, and any of these: (a) PARENT is Y (Yes); (b) CHILDWTH is more "
        "than 0 and other than 98 (client declined to answer)"
    ),
    "CPLANDT.is_not_before_contact": "TRIAGED is blank, and CPLANDT is before REFLD (or DOB if that is blank)",
    "DISD.is_before_the_newest_episode": (
        "TRIAGED is before the newest TRIAGED on all rows with the same CLIENTID, and DISD is blank or after "
        "the newest TRIAGED on all rows with the same CLIENTID"
    ),
    "CJDISRSN.has_a_referral_if_transferred_not_in_custody": (
        "CJDISRSN is 99 (Transferred – not in custody), REFERID is given on no row with the same EPISODID, "
        "and REFDATE is filled in on no row with the same EPISODID"
    ),
    "CJDISRSN.ends_the_last_episode_if_the_client_died": (
        "CJDISRSN is 9 (Incomplete – client died), and DISD is before the newest TRIAGED on all rows with the"
        " same CLIENTID and not before the later of TRIAGED and CPLANDT"
    ),
}


@pytest.mark.parametrize(("rule_id", "words"), IN_WORDS.items())
def test_a_rule_in_its_words(rule_id, words):
    assert in_english(RULES[rule_id], Q) == words


A, B, C, N = cells("A", "B", "C", "N")
DOB, PC, SEX = cells("DOB", "PC", "SEX")

#: What the rules of the book do not say, or say in one way only.
MORE = [
    (Never(), "no record does so by itself"),
    (~Never().surely, "always"),
    (A == B, "A is the same as B"),
    (A != B, "A differs from B"),
    (~(A == B).surely, "A is blank or differs from B, or B is blank"),
    (~(A != "x").surely, "A is blank or x"),
    (SEX.is_one_of("M", "F"), "SEX is M (Male) or F (Female)"),
    (SEX.is_one_of(), "no record does so by itself"),
    (~SEX.is_one_of(), "SEX is given"),
    (A.is_blank | A.is_given, "always"),
    (A.is_given & A.is_one_of("x").surely, "A is given and x"),
    (A.is_given & ~A.is_one_of("x").surely, "A is given and other than x"),
    (~(N > 3), "N is at most 3"),
    (N >= 1_000, "N is at least 1,000"),
    (date(2020, 2, 1) >= DOB, "DOB is not after 01/02/2020"),
    ((A == "x") | ((B == "y") & (C == "z")), "A is x, or B is y and C is z"),
    ((A == "x") & ((B == "y") | (C == "z")), "A is x, and either B is y or C is z"),
    (~((A == "x") & (B == "y")), "A is other than x, or B is other than y"),
    (A.found("(q)").is_blank, "A does not hold what has a certain form"),
    (A.matches("q").surely, "A has a certain form"),
    (~A.matches("q"), "A does not have a certain form"),
    (HasCheckFigure(A), "A is ten figures with a right check figure"),
    (~HasCheckFigure(A), "A is not ten figures with a right check figure"),
    (A.where(B.is_given).is_given, "A and B are given"),
    (A.where(B.is_given).is_blank, "A or B is blank"),
    (first_given(A, B, C) == "x", "the first given of A, B and C is x"),
    (latest(N, A) > 2, "the greatest of N and A is more than 2"),
    (joined(A, "-", B) == C, "C is the same as A then - then B"),
    (A.begins(3) == "abc", "the first 3 characters of A are abc"),
    (SUBMITTER.is_blank, "the code of the agency that submits is blank"),
    (differs(A, among=B), "A differs between rows with the same B"),
    (~differs(A, among=B), "A is given, and the same wherever it is given, on all rows with the same B"),
    (~differs(A, among=B).surely, "A does not differ between rows with the same B"),
    (any_row(A == "x", of=(B, C)), "on some row with the same B and C A is x"),
    (~any_row(WITHHELD, of=B), "no row with the same B is withheld (by CONSENT)"),
    (rows_with_the_same(A) == 1, "no other row has the same A"),
    (rows_with_the_same(A) != 1, "another row has the same A"),
    (rows_with_the_same(A) == 2, "exactly 2 rows have the same A"),
    (rows_with_the_same(A) > 2, "more than 2 rows have the same A"),
    (how_often(A, of=B) == 0, "A is given on no row with the same B"),
    (how_often(A, of=B) > 2, "the number of rows with the same B on which A is given is more than 2"),
    (oldest(DOB, of=A) < DOB, "DOB is after the oldest DOB on all rows with the same A"),
    (FirstRow((A == "x",)), "the row is the first of the file on which A is x"),
    (~FirstRow((A == "x",)), "the row is not the first of the file on which A is x"),
]


@pytest.mark.parametrize(("condition", "words"), MORE, ids=lambda part: part if isinstance(part, str) else "")
def test_a_condition_in_its_words(condition, words):
    assert in_english(condition, Q) == words


def test_every_node_is_in_words_by_hand():
    told = [*(RULES[rule_id] for rule_id in IN_WORDS), *(condition for condition, _ in MORE)]
    assert {type(node).__name__ for condition in told for node in every(condition)} == set(NODES)


@pytest.mark.parametrize("dataset", [P, Q], ids=lambda dataset: dataset.letter)
def test_every_pattern_of_the_rules_has_words(dataset):
    words = {**WORDS, **dataset.words}
    for rule in dataset.rules:
        for node in every(rule.fails_when):
            match node:
                case Matches(_, pattern):
                    assert words[pattern].matches
                case Without(_, pattern):
                    assert words[pattern].without
                case Found(_, pattern, group):
                    assert words[pattern].finds[group - 1]


@pytest.mark.parametrize("dataset", [P, Q], ids=lambda dataset: dataset.letter)
def test_every_rule_is_one_readable_phrase(dataset):
    for rule in dataset.rules:
        phrase = in_english(rule.fails_when, dataset)
        assert phrase == phrase.strip()
        assert "  " not in phrase
        assert phrase.isprintable()
        # No pattern, no node and no word of a program.
        assert not set("^$\\[]{}|") & set(phrase)
        assert not {"None", "True", "False", "null", "surely", "certain form"} & set(phrase.split())
        assert phrase not in ("always", "no record does so by itself")
        # Each field that is looked at is named.
        read = {node.header for node in every(rule.fails_when) if isinstance(node, Cell)}
        assert [header for header in read if header not in phrase] == []


def test_two_rules_of_one_field_do_not_say_the_same():
    told = [(rule.header, in_english(rule.fails_when, Q)) for rule in Q.rules]
    assert len(set(told)) == len(told)


# ---- what is said is what is so --------------------------------------------------------------------


class Recorder(_Reader):
    """A reader that keeps, of each thing it says, the condition that is so where it is true."""

    def __init__(self, dataset) -> None:
        super().__init__(dataset)
        self.meant: dict[_Fact, Condition] = {}

    def statement(self, condition, *, yes, known):
        told = super().statement(condition, yes=yes, known=known)
        if isinstance(told, _Fact) and not isinstance(condition, And | Or | Not):
            meant = (condition if yes else ~condition).surely
            self.keep(told, meant if known else ~(~condition if yes else condition).surely)
        return told

    def comparison(self, condition, *, yes):
        return self.keep(super().comparison(condition, yes=yes), (condition if yes else ~condition).surely)

    def given(self, value):
        return self.keep(super().given(value), value.is_given)

    def blank(self, value):
        return self.keep(super().blank(value), value.is_blank)

    def keep(self, told, meant: Condition):
        if isinstance(told, _Fact):
            self.meant.setdefault(told, meant)
        return told

    def condition_of(self, told) -> Condition:
        """What is said, as a condition again."""
        if isinstance(told, _Fact):
            return self.meant[told]
        always = Constant("x").is_given
        parts = tuple(map(self.condition_of, told.parts))
        return And((always, *parts)) if isinstance(told, _All) else Or((~always, *parts))


@pytest.mark.dear
def test_what_is_said_of_a_rule_is_so_where_it_is_broken_and_nowhere_else():
    ids = [dict.fromkeys(IDS, text) for text in (*IDENTIFYING, *NOT_IDENTIFYING, *NHS_NUMBERS)]
    others = [*(example for _, example in BREAKS), *HOLDS, *(example for _, example in SILENT), *ids]
    rows = pl.concat(examples_of(Q.rules, *others))
    reader = Recorder(Q)
    again = [reader.condition_of(reader.statement(rule.fails_when, yes=True, known=True)) for rule in Q.rules]
    broken = by_columns([rule.fails_when.surely for rule in Q.rules], rows)
    said_so = by_columns([condition.surely for condition in again], rows)
    for place, rule in enumerate(Q.rules):
        assert [row[place] for row in said_so] == [row[place] for row in broken], rule.id


@pytest.mark.dear
@settings(max_examples=150)
@given(tree=in_a_row(), rows=_rows)
def test_what_is_said_of_any_tree_is_so_where_it_is_true_and_nowhere_else(tree, rows):
    reader = Recorder(Q)
    for condition in (tree, ~tree, ~tree.surely, tree | ~tree):
        again = reader.condition_of(reader.statement(condition, yes=True, known=True))
        made = table(*rows)
        assert by_columns([again.surely], made) == by_columns([condition.surely], made)
