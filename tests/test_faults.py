from collections import Counter
from datetime import date

import polars as pl
import pytest

from cjit.dataset import Kind
from cjit.datasets import dataset
from cjit.engine.checking import check
from cjit.testdata.faults import with_faults
from cjit.testdata.histories import histories

Q = dataset("Q")
TODAY = date(2026, 3, 31)


@pytest.fixture(scope="module")
def faultless() -> pl.DataFrame:
    (submission,) = histories(Q, agencies=1, clients=6_000, months=1, today=TODAY, seed=21)
    return submission.frame


def cells_changed(before: pl.DataFrame, after: pl.DataFrame) -> dict[int, set[str]]:
    """Row number, counted from 0, to the headers that differ."""
    changed: dict[int, set[str]] = {}
    for header in before.columns:
        for row in before[header].ne_missing(after[header]).arg_true():
            changed.setdefault(row, set()).add(header)
    return changed


def rows_found(frame: pl.DataFrame) -> set[int]:
    return {row - 2 for row in check(frame, Q, today=TODAY).frame["row"]}


@pytest.mark.parametrize("rate", [0.0005, 0.01, 0.2])
def test_about_the_rate_of_the_cells_is_wrong_and_each_is_counted(faultless: pl.DataFrame, rate: float) -> None:
    frame, counts = with_faults(faultless, Q, rate, 1)
    cells = sum(map(len, cells_changed(faultless, frame).values()))
    assert cells == counts.total()
    assert cells / (frame.height * frame.width) == pytest.approx(rate, rel=0.15)
    assert frame.schema == faultless.schema
    assert frame.height == faultless.height


def test_a_rate_of_nought_changes_nothing(faultless: pl.DataFrame) -> None:
    frame, counts = with_faults(faultless, Q, 0, 1)
    assert frame.equals(faultless)
    assert not counts


@pytest.mark.parametrize("rate", [-0.1, 1.1])
def test_a_rate_is_a_share(faultless: pl.DataFrame, rate: float) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        with_faults(faultless, Q, rate, 1)


def test_the_same_seed_gives_the_same_faults(faultless: pl.DataFrame) -> None:
    some = faultless.head(500)
    first, again, other = (with_faults(some, Q, 0.02, seed)[0] for seed in (1, 1, 2))
    assert first.equals(again)
    assert not first.equals(other)


def test_the_frame_given_is_left_as_it_was(faultless: pl.DataFrame) -> None:
    before = faultless.clone()
    with_faults(faultless, Q, 0.05, 1)
    assert faultless.equals(before)


def test_every_field_and_every_kind_of_field_goes_wrong_in_several_ways(faultless: pl.DataFrame) -> None:
    _, counts = with_faults(faultless, Q, 0.2, 1)
    ways: dict[str, set[str]] = {header: set() for header in Q.headers}
    for name in counts:
        header, what = name.split(": ")
        ways[header].add(what)
    assert all(ways.values())
    filled = [field for field in Q.fields if faultless[field.header].null_count() < faultless.height]
    for field in filled:
        least = {Kind.ID: 1, Kind.INITIAL: 4, Kind.DATE: 7, Kind.CODE: 2, Kind.NUMBER: 5, Kind.POSTCODE: 4}
        assert len(ways[field.header]) >= least[field.kind], field.header


def test_every_fault_is_found_but_another_initial_which_only_the_file_before_shows(
    faultless: pl.DataFrame,
) -> None:
    frame, counts = with_faults(faultless, Q, 0.002, 2)
    found = rows_found(frame)
    changed = cells_changed(faultless, frame)
    unseen = {row for row in changed if row not in found}
    assert len(counts) > 150
    assert len(changed) > 500
    assert unseen
    assert all(changed[row] <= {"FINITIAL", "SINITIAL"} for row in unseen)
    swapped = counts["FINITIAL: the surname's initial"] + counts["SINITIAL: the first name's initial"]
    assert len(unseen) <= swapped


@pytest.fixture(scope="module")
def faulty(faultless: pl.DataFrame) -> tuple[Counter[str], dict[str, int]]:
    frame, counts = with_faults(faultless, Q, 0.02, 3)
    return counts, {run.rule.id: run.count for run in check(frame, Q, today=TODAY).fired}


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        ("DOB: left blank", "DOB.is_given"),
        ("DOB: year of two figures", "DOB.is_a_date"),
        ("DOB: no such day", "DOB.is_a_date"),
        ("DOB: year first", "DOB.is_plainly_written"),
        ("PC: whole", "PC.is_truncated"),
        ("PC: lower case", "PC.is_plainly_written"),
        ("SEX: the label", "SEX.is_in_list"),
        ("HOUSING: no such code", "HOUSING.is_in_list"),
        ("REFLD: after the contact", "TRIAGED.is_not_before_the_event"),
        ("DISD: not filled in", "DISD.is_given_with_a_reason"),
        ("CJDISRSN: not filled in", "CJDISRSN.is_given_with_a_date"),
        ("EHCS: not filled in", "EHCS.is_given_where_there_are_children"),
        ("DRUG2: the first again", "DRUG2.is_not_a_repeat"),
        ("UTLA: far from the postcode", "UTLA.contains_the_postcode"),
        ("NATION: a code for Kosovo", "NATION.records_kosovo_as_serbia"),
        ("CLIENT: initials and birth date", "CLIENT.identifies_nobody"),
        ("CONSENT: not given", "CONSENT.is_given"),
    ],
)
def test_a_fault_breaks_the_rule_it_is_meant_to(
    faulty: tuple[Counter[str], dict[str, int]], fault: str, rule: str
) -> None:
    counts, fired = faulty
    assert counts[fault]
    assert fired.get(rule)


# ---- chosen rules ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "rows_each"),
    [
        ("FINITIAL.is_one_letter", 1),  # derived, of each kind of field
        ("SEX.is_in_list", 1),
        ("DOB.is_given", 1),
        ("ALCUNITS.is_in_range", 1),
        ("TRIAGED.is_not_in_the_future", 1),
        ("REFLD.is_after_birth", 1),  # written, within a row
        ("NATION.records_kosovo_as_serbia", 1),
        ("DISD.is_given_with_a_reason", 1),
        ("CONSENT.is_given", 1),
        ("ETHNIC.is_the_same_on_every_row", 2),  # across rows, derived and written
        ("HOUSING.is_the_same_on_every_row", 2),
        ("CLIENT.belongs_to_one_client", 2),
        ("EPISODID.is_sent_once", 2),
        ("CJDISRSN.has_a_referral_if_transferred_not_in_custody", 1),
    ],
)
def test_a_chosen_rule_is_broken_and_no_other(faultless: pl.DataFrame, rule: str, rows_each: int) -> None:
    some = faultless.head(800)
    frame, counts = with_faults(some, Q, 0.01, 1, [rule], today=TODAY)
    assert counts == {rule: 8}
    found = check(frame, Q, today=TODAY)
    assert {run.rule.id: run.count for run in found.fired} == {rule: 8 * rows_each}


@pytest.mark.parametrize("rule", ["DOB.is_written_one_way", "SEX.is_written_as_listed"])
def test_a_rule_that_is_told_once_is_broken_in_one_place(faultless: pl.DataFrame, rule: str) -> None:
    frame, counts = with_faults(faultless.head(800), Q, 0.01, 1, [rule], today=TODAY)
    assert counts == {rule: 1}
    assert {run.rule.id: run.count for run in check(frame, Q, today=TODAY).fired}[rule] == 1


def test_several_chosen_rules_are_broken_in_rows_of_their_own(faultless: pl.DataFrame) -> None:
    rules = ["DOB.is_given", "PC.is_a_postcode", "CPLANDT.is_not_before_triage"]
    frame, counts = with_faults(faultless, Q, 0, 1, rules, today=TODAY)
    assert counts == Counter(rules)
    found = check(frame, Q, today=TODAY)
    assert {run.rule.id: run.count for run in found.fired} == counts
    assert len(set(found.frame["row"])) == 3


def test_an_id_that_names_somebody_is_put_in_one_row_only(faultless: pl.DataFrame) -> None:
    frame, counts = with_faults(faultless, Q, 0.01, 1, ["CLIENTID.identifies_nobody"], today=TODAY)
    assert counts == {"CLIENTID.identifies_nobody": 1}
    assert [run.rule.id for run in check(frame, Q, today=TODAY).fired] == ["CLIENTID.identifies_nobody"]


def test_the_agency_that_submits_can_be_another(faultless: pl.DataFrame) -> None:
    frame, counts = with_faults(faultless, Q, 0, 1, ["AGNCY.is_the_submitter"], today=TODAY)
    assert counts.total() == 1
    assert [run.rule.id for run in check(frame, Q, today=TODAY, submitter="CJ900").fired] == ["AGNCY.is_the_submitter"]


def test_what_a_frame_has_no_room_for_is_counted_nought(faultless: pl.DataFrame) -> None:
    one = faultless.head(1)
    frame, counts = with_faults(one, Q, 0, 1, ["DOB.is_given", "SEX.is_given"], today=TODAY)
    assert counts == {"DOB.is_given": 1, "SEX.is_given": 0}
    assert frame.height == 1


def test_a_rule_that_is_not_in_the_book_is_named(faultless: pl.DataFrame) -> None:
    with pytest.raises(ValueError, match=r"no rule called DOB\.is_nice"):
        with_faults(faultless, Q, 0.1, 1, ["DOB.is_nice"])
