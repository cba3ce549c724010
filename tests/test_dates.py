"""How dates are read and written, in a file and by a person."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cjit import dates
from cjit.dates import Style, UnknownStyle


@pytest.mark.parametrize("text", ["20220503", "03/05/2022", "2022-05-03"])
def test_a_date_is_read_in_three_ways_in_a_file_and_from_a_person(text):
    assert dates.read_text(text) == date(2022, 5, 3) == dates.day_of(text)


@pytest.mark.parametrize("text", ["3/5/2022", " 20220503 ", "2022-5-3"])
def test_from_a_person_leading_noughts_and_spaces_may_be_missing_or_too_many(text):
    assert dates.day_of(text) == date(2022, 5, 3)
    assert dates.read_text(text) is None


@pytest.mark.parametrize(
    "text",
    ["31022020", "20201301", "20200230", "30/02/2020", "2020-02-30", "202001", "2020011", "202001011", "٢٠٢٠٠١٠١", ""],
)
def test_what_is_no_day_is_none_for_a_file_and_for_a_person(text):
    assert dates.read_text(text) is dates.day_of(text) is None


@given(st.dates(date(1900, 1, 1), date(2099, 12, 31)))
def test_eight_figures_in_another_order_are_never_taken_for_a_date(day):
    for text in (f"{day:%d%m%Y}", f"{day:%m%d%Y}"):
        assert dates.read_text(text) is dates.day_of(text) is None


@given(st.dates())
def test_a_date_that_is_written_is_read_back_in_either_style(day):
    for style in Style:
        text = dates.written(day, style)
        assert dates.read_text(text) == day == dates.day_of(text)
        for other in Style:
            assert dates.rewritten(dates.rewritten(text, other), style) == text


@pytest.mark.parametrize("text", ["2020-02-01", "31/02/2020", "20200231", " 20200201", "1/2/2020", "soon", ""])
def test_what_is_not_plainly_a_date_is_never_rewritten(text):
    assert {dates.rewritten(text, style) for style in Style} == {text}


@pytest.mark.parametrize("name", ["yyyymmdd", " YYYYMMDD", "Dd/Mm/Yyyy"])
def test_a_style_goes_by_its_name_in_any_case(name):
    assert dates.style_of(name) == name.strip().lower()


def test_a_name_no_style_has_is_told_with_those_there_are():
    with pytest.raises(UnknownStyle, match=r"^Dates are written yyyymmdd or dd/mm/yyyy: choose one of the two$"):
        dates.style_of("yyyy-mm-dd")
