"""What is known beside the code lists: DATs, their regions and authorities, exit groups, ages, layouts."""

import re
from importlib.resources import files

import pytest

from cjit.dataset import Kind, Status
from cjit.datasets.q import Q
from cjit.datasets.q.tables import REGION_LETTERS, TABLES, authorities_by_dat, dat_of, region_of, table
from cjit.geography import authorities

DAT, UTLA = Q.lists["DAT"], Q.lists["UTLA"]
ENGLAND = [code for code in DAT.codes if region_of(code)]


def pairs(name: str) -> list[tuple[str, str]]:
    return [(row.code, row.label) for row in table(name)]


def test_every_table_that_comes_along_is_one_and_the_other_way_round():
    folder = files("cjit.datasets.q") / "tables"
    assert {file.name for file in folder.iterdir()} == {f"{name}.csv" for name in TABLES}


@pytest.mark.parametrize("name", TABLES)
def test_every_fact_says_how_sure_it_is_and_where_it_is_from(name):
    rows = table(name)
    assert rows
    assert all(row.label and row.source and row.status is not Status.STATED for row in rows)
    assert len({(row.code, row.label) for row in rows}) == len(rows)


# ---- DATs ------------------------------------------------------------------------------------------


def test_every_dat_in_england_has_a_region_and_all_regions_have_dats():
    regions = {region_of(code) for code in ENGLAND}
    assert regions == {label for _, label in pairs("DAT-REGION")}
    assert len(regions) == 9
    outside = [code for code in DAT.codes if code not in ENGLAND]
    assert {code[0] for code in outside} == set("WXYZ")
    assert "Z00B" in outside


def test_a_dat_in_a_table_is_in_the_list_and_an_authority_in_both_lists_of_them():
    assert {dat for dat, _ in pairs("DAT-UTLA")} <= set(ENGLAND)
    assert {dat for pair in pairs("DAT-SUCCESSOR") for dat in pair} <= set(ENGLAND)
    assert {utla for _, utla in pairs("DAT-UTLA")} <= set(UTLA.codes) & authorities().keys()


def test_every_dat_in_england_has_authorities_and_every_authority_is_in_a_dat():
    assert set(authorities_by_dat()) == set(ENGLAND)
    inside = {code for code in UTLA.codes if code.startswith("E")}
    assert inside <= set().union(*authorities_by_dat().values())


def test_the_dat_of_an_authority_is_the_one_in_force_and_never_a_guess():
    without = {authorities()[code].name for code in UTLA.codes if code.startswith("E") and not dat_of(code)}
    # Which of the two new DATs is which is not known.
    assert without == {"Cumberland", "Westmorland and Furness"}
    # Leeds, Norfolk, Somerset since 2023, Barnsley under its new code, the Isles of Scilly.
    codes = ("E08000035", "E10000020", "E06000066", "E08000038", "E06000053")
    assert [dat_of(code) for code in codes] == ["D12B", "G09B", "K18B", "D09B", "K13B"]
    assert dat_of("S92000003") is None
    ended = {row.code for row in DAT.rows if row.end}
    today = [code for code, place in authorities().items() if place.tier != "district" and not place.end]
    assert ended.isdisjoint(map(dat_of, today))


def test_a_dat_and_its_authority_have_one_name():
    def plain(name: str) -> str:
        name = name.lower().split(" (")[0].removesuffix(" ua").replace(".", "").replace("&", "and")
        return name.removesuffix(", city of").removesuffix(", county of")

    named = {
        (dat, plain(DAT.labels[dat]), plain(UTLA.labels[utla]))
        for dat, utla in pairs("DAT-UTLA")
        if dat not in ("B23B", "B24B", "K13B")
    }
    assert len(named) == 152
    assert [each for each in named if each[1] != each[2]] == []


def test_the_one_that_took_a_dats_place_begins_the_day_after_it_ended():
    days = {row.code: (row.start, row.end) for row in DAT.rows}
    for gone, new in pairs("DAT-SUCCESSOR"):
        end, start = days[gone][1], days[new][0]
        assert end is not None
        assert start is not None
        assert (start - end).days == 1
    assert {gone for gone, _ in pairs("DAT-SUCCESSOR")} == {code for code, (_, end) in days.items() if end}


# ---- what figures are counted by -------------------------------------------------------------------


def test_every_case_closure_reason_has_one_exit_group_and_no_other_code_has():
    groups = pairs("CJDISRSN-GROUP")
    assert sorted(code for code, _ in groups) == sorted(Q.lists["CJDISRSN"].codes)
    completed = {code for code, group in groups if group == "Successful completion"}
    assert completed == {code for code, label in Q.lists["CJDISRSN"].labels.items() if "objectives completed" in label}
    assert not any(group.startswith("Not taken on") for code, group in groups if code not in ("73", "1", "2"))


def test_age_bands_are_disjoint_and_leave_no_age_out_from_18_on():
    bands = [re.fullmatch(r"([0-9]+)(?:-([0-9]+)|\+)", label) for _, label in pairs("AGE-BANDS")]
    ages = [(int(band[1]), int(band[2]) if band[2] else 200) for band in bands if band]
    assert len(ages) == len(bands)
    assert [age for least, most in ages for age in range(least, most + 1)] == list(range(18, 201))


def test_substances_are_counted_under_names_each_once():
    names = [label for _, label in pairs("SUBSTANCE-REPORTING")]
    assert len(set(names)) == len(names) == 16


def test_an_agency_prefix_names_a_region_or_the_criminal_justice_teams():
    regions = {label for _, label in pairs("DAT-REGION")}
    said = {code: re.split(r"[,(]", label)[0].strip() for code, label in pairs("AGNCY-PREFIX")}
    assert said.pop("CJ") == "Criminal justice intervention team"
    assert set(said.values()) == regions


# ---- layouts ---------------------------------------------------------------------------------------

LAYOUTS = pairs("LAYOUT")


@pytest.mark.parametrize(("header", "layout"), LAYOUTS, ids=[header for header, _ in LAYOUTS])
def test_every_code_of_a_field_fits_its_layout(header, layout):
    field = Q.by_header[header]
    if layout == "YYYYMMDD":
        assert field.kind is Kind.DATE
        return
    letters = {"A": "[A-Z]", "N": "[0-9]", "C": "[0-9A-Z]"}[layout[0]]
    codes = Q.codes_of(header)
    assert codes is not None
    unfit = [code for code in codes.codes if not re.fullmatch(f"{letters}{{1,{layout[2:-1]}}}", code)]
    # M and F stand on the form for CJIT: the one conflict, which the table names.
    assert unfit == (["M", "F"] if header == "SEX" else [])


def test_every_date_of_the_dataset_has_the_one_layout_of_dates():
    assert {h for h, layout in LAYOUTS if layout == "YYYYMMDD"} == {f.header for f in Q.fields if f.kind is Kind.DATE}


def test_the_letters_of_the_regions_are_those_of_the_dats():
    assert {code[0] for code in ENGLAND if code[0].isalpha()} == set(REGION_LETTERS)
