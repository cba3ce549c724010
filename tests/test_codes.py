from __future__ import annotations

import csv
import re
from datetime import date
from importlib.resources import files
from string import ascii_letters, digits

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cjit.dataset import Code, CodeList, Status
from cjit.datasets.lists import COLUMNS, ListProblem, read_list, write_list
from cjit.datasets.q.fields import FIELDS
from cjit.datasets.q.lists import LISTS

# ---- the appendices, as printed ----------------------------------------------------------------

APPENDIX_A = """
1 Behaviour and emotional
2 Hearing
3 Manual dexterity
4 Learning disability
5 Mobility and gross motor
6 Perception of physical danger
7 Personal, self-care and continence
8 Progressive conditions and physical health
9 Sight
10 Speech
XX Other
NN No disability
ZZ Not stated
"""
APPENDIX_B = """
1 Owns home
2 Rented home only – self-contained – rents from a private landlord
3 Rented home only – self-contained - rents from a social landlord (local authority or housing association)
4 Rented home only – shares facilities - rents from a private landlord
5 Rented home only – shares facilities - rents from a social landlord (local authority or housing association)
6 Other – university or college accommodation
7 Other – living with friends permanently
8 Other – living with family permanently
9 Other – supported accommodation
10 Other – healthcare setting
11 Other – accommodation tied to job (including Armed Forces)
12 Other – approved premises
13 Other – authorised Gypsy and Traveller site
14 No home of their own – living with friends as a short-term guest
15 No home of their own – living with family as a short-term guest
16 No home of their own – sofa surfing (sleeps on different friends' floor or sofa each night)
17 No home of their own – lives on the streets/rough sleeping
18 No home of their own – squatting
19 No home of their own – night/winter shelter
20 No home of their own – bed and breakfast, or other hotel
21 No home of their own – hostel
22 No home of their own – supported accommodation
23 No home of their own – temporary housing
24 No home of their own – unauthorised Gypsy and Traveller encampment
"""
APPENDIX_C_PRNTSTAT = """
11 All the children live with client
12 Some of the children live with client
13 None of the children live with client
15 Client declined to answer
"""
APPENDIX_C_EHCS = """
1 Early Help (family support)
2 Child in Need (LA service)
3 Has a Child Protection Plan (LA service)
4 Looked after Child (LA service)
5 None of the children are receiving any help
6 Other relevant child or family support service
7 Not known
99 Client declined to answer
"""
APPENDIX_E_PRIOR = """
73 No further intervention required
1 Did not want to engage
2 Already case managed by structured treatment provider/other CJIT/offender management
99 Transferred – not in custody
13 Transferred – in custody
14 Transferred to another CJIT area
74 Transferred – recommissioning transfer
"""
APPENDIX_E_FROM = """
10 Care plan objectives completed – drug free
15 Care plan objectives completed – alcohol free
4 Care plan objectives completed – occasional user
99 Transferred – not in custody
13 Transferred – in custody
14 Transferred to another CJIT area
74 Transferred – recommissioning transfer
7 Transferred to offender management team and no longer case managed by the CJIT
8 Incomplete – dropped out
12 Incomplete – treatment withdrawn by provider
11 Incomplete – retained in custody
9 Incomplete – client died
"""


def printed(table: str) -> list[tuple[str, str]]:
    return [(code, label) for code, _, label in (row.partition(" ") for row in table.strip().splitlines())]


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("DISABLE", APPENDIX_A),
        ("HOUSING", APPENDIX_B),
        ("PRNTSTAT", APPENDIX_C_PRNTSTAT),
        ("EHCS", APPENDIX_C_EHCS),
        ("CJDISRSN", APPENDIX_E_PRIOR + APPENDIX_E_FROM.lstrip()),
    ],
)
def test_the_appendices_lists_are_complete_and_in_printed_order(name: str, table: str):
    assert [(row.code, row.label) for row in LISTS[name].rows] == printed(table)
    assert LISTS[name].status is Status.STATED
    assert LISTS[name].complete


def test_case_closure_reasons_stand_under_two_headings():
    reasons = LISTS["CJDISRSN"]
    assert reasons.group("prior to caseload") == tuple(code for code, _ in printed(APPENDIX_E_PRIOR))
    assert reasons.group("from caseload") == tuple(code for code, _ in printed(APPENDIX_E_FROM))
    assert len(reasons.codes) == 15


@pytest.mark.parametrize("code", ["99", "13", "14"])
def test_a_transfer_means_another_thing_before_and_after_the_caseload(code: str):
    before, after = (row for row in LISTS["CJDISRSN"].rows if row.code == code)
    assert before.label == after.label
    assert before.definition != after.definition


def test_a_recommissioning_transfer_means_the_same_before_and_after_the_caseload():
    before, after = (row for row in LISTS["CJDISRSN"].rows if row.code == "74")
    assert before.definition == after.definition


@pytest.mark.parametrize(
    ("name", "undefined"),
    [
        ("DISABLE", ["NN"]),
        ("HOUSING", ["1", "2", "3", "6", "7", "8", "11", "13", "17", "18", "19", "20", "21", "24"]),
        ("PRNTSTAT", []),
        ("EHCS", ["7"]),
        ("CJDISRSN", []),
    ],
)
def test_every_code_the_appendices_define_has_a_definition(name: str, undefined: list[str]):
    assert [row.code for row in LISTS[name].rows if not row.definition] == undefined


# ---- the other lists ---------------------------------------------------------------------------


def test_every_list_a_field_names_is_there_and_no_other():
    assert set(LISTS) == {field.codes for field in FIELDS if field.codes}


def test_an_unknown_code_is_only_wrong_where_the_whole_list_is_known():
    unsure = {name for name, codes in LISTS.items() if not codes.complete}
    placeholders = {"UTLA", "CJRFLS", "OFFENCE", "HOMELESS", "VETERAN", "PARENT", "NALOXISS", "NALOXAD"}
    assert unsure == placeholders | {"DAT", "DRUG", "PRISON", "PREGNANT"}


def test_every_row_says_where_it_is_from():
    assert not [row for codes in LISTS.values() for row in codes.rows if not row.source]


def test_a_code_we_do_not_know_is_visibly_artificial():
    artificial = {
        (name, row.code) for name, codes in LISTS.items() for row in codes.rows if re.fullmatch(r"X[0-9]{2}", row.code)
    }
    assert {name for name, _ in artificial} == {"CJRFLS", "OFFENCE", "NALOXISS"}
    for name, code in artificial:
        assert next(r for r in LISTS[name].rows if r.code == code).status is Status.PLACEHOLDER
    assert LISTS["CJRFLS"].codes == tuple(f"X{n:02}" for n in range(1, 13))


def test_a_stand_in_is_never_given_to_another_offence():
    offences = LISTS["OFFENCE"].labels
    # What these meant is divided otherwise now; a record that has one must not be read as something else.
    assert {"X02", "X03", "X04", "X06", "X12", "X13", "X14"}.isdisjoint(offences)
    kept = {"X01": "Theft", "X07": "Robbery", "X09": "Fraud", "X11": "Begging", "X16": "Wounding", "X26": "None"}
    assert {code: offences[code].split()[0] for code in kept} == kept


def test_the_fifteen_trigger_offences_of_the_act_come_first_and_say_so():
    rows = LISTS["OFFENCE"].rows
    act = [row for row in rows if "Schedule 6 to the Criminal Justice and Court Services Act 2000" in row.source]
    assert act == list(rows[:15])
    assert len(rows) == 29


def test_homelessness_has_two_answers_and_naloxone_four_of_one_letter_each():
    assert LISTS["HOMELESS"].codes == ("Y", "N")
    assert LISTS["NALOXAD"].codes == ("Y", "N", "U", "Z")
    guessed = {row.code for row in LISTS["NALOXAD"].rows if row.status is Status.PLACEHOLDER}
    assert guessed == {"U", "Z"}


def test_the_partnerships_of_england_are_found_and_outside_it_the_list_is_partial():
    dats = LISTS["DAT"]
    assert len(dats.codes) == 177
    unsure = {row.code[0] for row in dats.rows if row.status is not Status.DERIVED}
    # Outside England, and the two that took the place of Cumbria.
    assert unsure == {"B", "W", "X", "Y", "Z"}
    assert not dats.complete


def test_a_prison_that_opens_is_not_shown_as_closed():
    assert LISTS["PRISON"].labels["FEI"] == "Fosse Way (HMP & YOI)"


def test_a_client_who_already_has_naloxone_is_recorded_in_the_documents_words():
    assert "No – client already in possession of adequate naloxone" in LISTS["NALOXISS"].labels.values()


def test_countries_are_those_of_iso_which_has_serbia_and_not_kosovo():
    countries = LISTS["NATION"]
    assert len(countries.codes) == 249
    assert countries.labels["SRB"] == "Serbia"
    assert {"XKX", "XXK", "RKS", "KOS"}.isdisjoint(countries.codes)


def in_force(day: date) -> list[Code]:
    return [
        row
        for row in LISTS["UTLA"].rows
        if row.status is Status.DERIVED and (row.start or day) <= day <= (row.end or day)
    ]


@pytest.mark.parametrize(
    ("day", "count"),
    [(date(2022, 4, 1), 152), (date(2023, 4, 1), 153), (date(2025, 4, 1), 153), (date(2026, 4, 1), 153)],
)
def test_england_has_152_upper_tier_authorities_and_153_since_april_2023(day: date, count: int):
    authorities = in_force(day)
    assert len(authorities) == count
    assert len({row.label for row in authorities}) == count


def test_cumbria_gave_way_to_two_authorities_on_1_april_2023():
    def names(day: date) -> set[str]:
        return {row.label for row in in_force(day)}

    assert names(date(2023, 3, 31)) - names(date(2023, 4, 1)) == {"Cumbria"}
    assert names(date(2023, 4, 1)) - names(date(2023, 3, 31)) == {"Cumberland", "Westmorland and Furness"}


def test_authorities_are_those_of_the_postcode_data_with_the_same_names():
    text = (files("cjit") / "ons" / "authorities.csv").read_text("utf-8")
    ons = {
        row["code"]: (row["name"], row["end"])
        for row in csv.DictReader(text.splitlines())
        if row["country"] == "England" and row["tier"] != "district" and (row["end"] or "9999") > "2022-04-01"
    }
    ours = {row.code: (row.label, str(row.end or "")) for row in LISTS["UTLA"].rows if row.code.startswith("E")}
    assert ours == ons


def test_scotland_wales_and_northern_ireland_stand_in_until_the_official_codes_are_installed():
    stand_ins = {row.code: row.label for row in LISTS["UTLA"].rows if row.status is Status.PLACEHOLDER}
    assert stand_ins == {"S92000003": "Scotland", "W92000004": "Wales", "N92000002": "Northern Ireland"}


def test_a_client_may_be_transferred_from_a_dat_an_la_or_a_prison():
    setting = LISTS["PRISON"]
    assert setting.group("DAT") == LISTS["DAT"].codes
    assert setting.group("UTLA") == LISTS["UTLA"].codes
    assert "BXI" in setting.group("PRISON")
    assert len(setting.codes) == len(setting.rows)


def test_no_second_substance_is_a_blank_and_not_a_code():
    none = {field.header: field.none for field in FIELDS if field.none}
    assert none == {"DRUG2": ("9996",), "DRUG3": ("9997",)}
    assert {"9996", "9997"}.isdisjoint(LISTS["DRUG"].codes)


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("ETHNIC", {"Z", "99"}),
        ("SEXUALO", {"U", "Z"}),
        ("RELIGION", {"M", "N"}),
        ("DISABLE", {"ZZ"}),
        ("PRNTSTAT", {"15"}),
        ("EHCS", {"7", "99"}),
        ("INJSTAT", {"Z"}),
        ("NALOXAD", {"U", "Z"}),
        # "No – client declined" answers whether naloxone was issued.
        ("NALOXISS", set()),
        ("SEX", set()),
        ("CJDISRSN", set()),
    ],
)
def test_an_answer_that_is_no_answer_is_told_apart(name: str, codes: set[str]):
    assert set(LISTS[name].not_answers()) == codes


# ---- the files ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(LISTS))
def test_a_packaged_list_is_kept_as_it_is_written(name: str):
    text = (files("cjit.datasets.q") / "codes" / f"{name}.csv").read_text("utf-8")
    assert write_list(read_list(name, text, file=f"{name}.csv")) == text


@pytest.mark.parametrize(
    ("text", "say"),
    [
        ("", "L.csv is empty"),
        ("\n\n", "L.csv is empty"),
        ("code,label\n", "L.csv has headings but no codes"),
        ("label\nHeroin\n", "L.csv has no column code"),
        ("code\n1\n", "L.csv has no column label"),
        ("code;label\n1;Heroin\n", "L.csv has no commas between its columns"),
        ("code,label,colour\n1,Heroin,red\n", "L.csv has a column “colour” that no code list has"),
        ("code,label,Code\n1,Heroin,2\n", "L.csv has the column Code twice"),
        ("code,label\n1,Heroin\n,Crack\n", "L.csv, row 3, column code: enter the code"),
        ("code,label\n1,\n", "L.csv, row 2, column label: enter the label"),
        ("code,label\n1\n", "L.csv, row 2, column label: enter the label"),
        ("code,label\n1,Heroin\n2,Crack\n1,Other\n", "L.csv, row 4, column code: code 1 is in row 2 already"),
        ("code,label\nx1,Heroin\nX1,Crack\n", "L.csv, row 3, column code: code X1 is in row 2 already"),
        ("code,label\n1,Heroin, pure\n", "L.csv, row 2 has more cells than there are columns"),
        ('code,label\n1,"Heroin\n', "L.csv cannot be read as CSV"),
        ("code,label,start\n1,Heroin,31/02/2020\n", "L.csv, row 2, column start: enter a real date"),
        ("code,label,end\n1,Heroin,1/2/20\n", "L.csv, row 2, column end: enter a real date"),
        ("code,label,start\n1,Heroin,20200230\n", "L.csv, row 2, column start: enter a real date"),
        ("code,label,start\n1,Heroin,2020-02-30\n", "L.csv, row 2, column start: enter a real date"),
        (
            "code,label,start,end\n1,Heroin,02/01/2020,2020-01-01\n",
            "L.csv, row 2, column end: enter a date that is not before the one in start",
        ),
        (
            "code,label,status\n1,Heroin,certain\n",
            "L.csv, row 2, column status: enter one of stated, derived",
        ),
    ],
)
def test_what_is_wrong_with_a_list_names_the_file_and_the_column(text: str, say: str):
    with pytest.raises(ListProblem) as problem:
        read_list("L", text, file="L.csv")
    assert str(problem.value).startswith(say)
    assert "\n" not in str(problem.value)
    assert not str(problem.value).endswith(".")


def test_a_list_is_trimmed_and_its_codes_are_capitals():
    codes = read_list("L", " Code , LABEL,, \n a1 , Heroin ,,\n\n , ,,\n", file="L.csv")
    assert codes.rows == (Code("A1", "Heroin"),)


@pytest.mark.parametrize("text", ["20220401", "01/04/2022", "2022-04-01", "1/4/2022"])
def test_a_day_in_a_list_is_read_however_dates_are_written(text: str):
    (row,) = read_list("L", f"code,label,start\n1,Heroin,{text}\n", file="L.csv").rows
    assert row.start == date(2022, 4, 1)


def test_other_codes_that_are_read_stand_beside_the_code():
    codes = read_list("L", "code,label,also\nm,Male,1 x\nf,Female,2\nx,Other,\n", file="L.csv")
    assert [row.also for row in codes.rows] == [("1", "X"), ("2",), ()]
    # A code of the list is itself, whatever is said beside another.
    assert codes.also == {"1": "M", "2": "F"}


def test_a_code_may_be_repeated_in_another_group():
    codes = read_list("L", "code,label,group\n1,Yes,a\n1,Yes,b\n", file="L.csv")
    assert codes.codes == ("1",)
    assert codes.group("b") == ("1",)


text = st.text(st.characters(exclude_categories=["C"]), max_size=20).map(str.strip)
days = st.none() | st.dates(date(1900, 1, 1), date(2199, 12, 31))
rows = st.builds(
    Code,
    code=st.text(ascii_letters + digits, min_size=1, max_size=5).map(str.upper),
    label=text.filter(bool),
    definition=text,
    group=text,
    status=st.sampled_from(Status),
    source=text,
    start=days,
    end=st.none(),
    also=st.lists(st.text(ascii_letters + digits, min_size=1, max_size=3).map(str.upper), max_size=2).map(tuple),
) | st.builds(Code, code=st.just("Z"), label=st.just("Quoted, “twice”\nover"), end=days)


@given(st.lists(rows, min_size=1, max_size=8, unique_by=lambda row: (row.code, row.group)))
def test_a_list_is_read_back_as_it_was_written(given_rows: list[Code]):
    codes = CodeList("L", tuple(given_rows))
    assert read_list("L", write_list(codes), file="L.csv") == codes
    assert write_list(codes).splitlines()[0].startswith(",".join(COLUMNS))
