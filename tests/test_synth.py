from collections import Counter
from collections.abc import Iterable
from datetime import date
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cjit.dataset import Changes
from cjit.datasets import dataset
from cjit.engine.checking import check
from cjit.geography import DEFAULT_SECTOR
from cjit.testdata.histories import Submission, agency_code, big_file, histories, made_up_id, write

Q = dataset("Q")
TODAY = date(2026, 3, 31)
IDS = ("CLIENTID", "CLIENT", "EPISODID", "REFERID")


@pytest.fixture(scope="module")
def year() -> list[Submission]:
    return list(histories(Q, agencies=1, clients=800, months=12, today=TODAY, seed=7))


@pytest.fixture(scope="module")
def many() -> pl.DataFrame:
    (submission,) = histories(Q, agencies=1, clients=5_000, months=1, today=TODAY, seed=11)
    return submission.frame


def rules_broken(frame: pl.DataFrame, today: date) -> list[str]:
    return [run.rule.id for run in check(frame, Q, today=today).fired]


# ---- every rule is kept ----------------------------------------------------------------------------


@pytest.mark.dear
@given(
    seed=st.integers(0, 2**32),
    agencies=st.integers(1, 2),
    clients=st.integers(1, 25),
    months=st.integers(1, 6),
    today=st.dates(date(2022, 5, 1), date(2030, 12, 31)),
)
def test_every_month_of_every_history_keeps_every_rule(
    seed: int, agencies: int, clients: int, months: int, today: date
) -> None:
    for submission in histories(Q, agencies=agencies, clients=clients, months=months, today=today, seed=seed):
        found = check(submission.frame, Q, today=submission.month, submitter=submission.agency)
        assert [run.rule.id for run in found.fired] == []
        assert found.notes == ()


def test_a_large_history_keeps_every_rule_and_every_list(many: pl.DataFrame) -> None:
    found = check(many, Q, today=TODAY, submitter="CJ900")
    assert [run.rule.id for run in found.fired] == []
    assert found.notes == ()
    assert found.accepted == many.height


def test_dataset_p_is_made_up_as_well() -> None:
    p = dataset("P")
    (submission,) = histories(p, agencies=1, clients=40, months=1, today=date(2021, 3, 31), seed=1)
    assert submission.frame.columns == list(p.headers)
    assert submission.name.endswith("-CJIT-IN-P.csv")
    assert check(submission.frame, p, today=submission.month).total == 0


# ---- what a submission is --------------------------------------------------------------------------


def test_the_columns_are_text_in_the_order_of_the_document(year: list[Submission]) -> None:
    assert year[0].frame.schema == dict.fromkeys(Q.headers, pl.String)


def test_a_history_ends_today_and_each_month_before_at_its_last_day() -> None:
    today = date(2024, 3, 12)
    ends = [s.month for s in histories(Q, agencies=1, clients=30, months=4, today=today, seed=1)]
    assert ends == [date(2023, 12, 31), date(2024, 1, 31), date(2024, 2, 29), today]


def test_the_months_of_one_agency_come_before_those_of_the_next() -> None:
    order = [(s.agency, s.month) for s in histories(Q, agencies=3, clients=20, months=3, today=TODAY, seed=1)]
    assert order == sorted(order)
    assert len(order) == 9


def test_a_row_is_an_episode_with_at_most_one_referral(year: list[Submission]) -> None:
    frame = year[-1].frame
    assert not frame.select("EPISODID", "REFERID").is_duplicated().any()
    referrals = frame.drop_nulls("REFERID").group_by("EPISODID").len()["len"]
    assert set(referrals) == {1, 2, 3}


@pytest.mark.parametrize(("agencies", "clients", "months"), [(0, 1, 1), (1, 0, 1), (1, 1, 0), (1_001, 1, 1)])
def test_a_history_of_nothing_is_refused(agencies: int, clients: int, months: int) -> None:
    with pytest.raises(ValueError, match="at least one"):
        next(histories(Q, agencies=agencies, clients=clients, months=months, today=TODAY, seed=1))


# ---- ids that cannot be real -----------------------------------------------------------------------


@pytest.mark.parametrize("header", [*IDS, "AGNCY"])
def test_no_two_agencies_share_an_id(header: str) -> None:
    sets = [
        set(s.frame[header].drop_nulls()) for s in histories(Q, agencies=3, clients=60, months=1, today=TODAY, seed=5)
    ]
    assert all(sets)
    assert len(set.union(*sets)) == sum(map(len, sets))


@pytest.mark.parametrize("number", [0, 7, 99_999, 100_000, 123_456_789])
def test_a_made_up_id_holds_no_figures_that_could_be_a_date_or_an_nhs_number(number: int) -> None:
    text = made_up_id("C", number)
    first, last = text.removeprefix("T").split("C")
    assert (len(first), len(last)) == (5, 5)
    assert int(first + last) == number


@pytest.mark.parametrize(("number", "code"), [(0, "CJ900"), (99, "CJ999"), (100, "CJ9100"), (999, "CJ9999")])
def test_agency_codes_are_of_the_printed_form_but_beyond_those_given_out(number: int, code: str) -> None:
    assert agency_code(number) == code


# ---- shares ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "code", "least", "most"),
    [
        ("CJRFLS", "X01", 0.52, 0.60),  # 57% of first contacts; those who come out of custody lower it
        ("SEX", "F", 0.15, 0.21),
        ("DRUG1", "1011", 0.30, 0.38),
        ("PARENT", "Y", 0.34, 0.42),
        ("DISABLE1", "NN", 0.66, 0.74),
        ("PC", DEFAULT_SECTOR, 0.08, 0.16),
    ],
)
def test_answers_come_in_plausible_shares(
    many: pl.DataFrame, header: str, code: str, least: float, most: float
) -> None:
    episodes = many.unique("EPISODID")
    assert least < (episodes[header] == code).mean() < most  # type: ignore[operator]


def test_episodes_are_taken_on_closed_referred_and_followed_by_others(many: pl.DataFrame) -> None:
    episodes = many.unique("EPISODID")
    closed = episodes.drop_nulls("DISD")
    of_client = episodes.group_by("CLIENTID").len()["len"]
    assert 0.4 < episodes["CPLANDT"].is_not_null().mean() < 0.55  # type: ignore[operator]
    assert 0.6 < closed.height / episodes.height < 0.95
    assert 0.15 < episodes["REFERID"].is_not_null().mean() < 0.35  # type: ignore[operator]
    assert 0.08 < (of_client > 1).mean() < 0.3  # type: ignore[operator]
    assert of_client.max() in (3, 4)
    reasons = set(closed["CJDISRSN"])
    assert reasons == set(Q.lists["CJDISRSN"].codes)
    again = closed.filter(pl.col("CJDISRSN").is_in(["9", "14"]))["CLIENTID"].n_unique()
    assert again == closed.filter(pl.col("CJDISRSN").is_in(["9", "14"])).height


def test_most_clients_of_unknown_address_live_in_one_partnership(many: pl.DataFrame) -> None:
    shares = many["DAT"].value_counts(normalize=True, sort=True)["proportion"]
    assert shares[0] > 0.85
    assert shares.len() > 2
    # A partnership is one upper tier authority here; only outside England is the authority blank.
    assert many.group_by("DAT").agg(pl.col("UTLA").n_unique())["UTLA"].to_list() == [1] * shares.len()
    assert set(many.filter(pl.col("UTLA").is_null())["DAT"]) == {"Z00B"}


# ---- from month to month ---------------------------------------------------------------------------


def changes(before: pl.DataFrame, after: pl.DataFrame) -> Iterable[tuple[str, str | None, str | None]]:
    """(header, old, new) of every cell of an episode's first row that differs, for episodes in both."""
    old = before.unique("EPISODID", keep="first")
    new = after.unique("EPISODID", keep="first")
    both = old.join(new, on="EPISODID", suffix=" now")
    for header in Q.headers:
        if header in ("EPISODID", "REFERID", "REFDATE"):
            continue
        differ = both.filter(pl.col(header).ne_missing(pl.col(f"{header} now")))
        for was, now in differ.select(header, f"{header} now").iter_rows():
            yield header, was, now


@pytest.fixture(scope="module")
def changed(year: list[Submission]) -> Counter[tuple[str, str]]:
    counts: Counter[tuple[str, str]] = Counter()
    for before, after in pairwise(year):
        for header, was, now in changes(before.frame, after.frame):
            counts[header, "filled" if was is None else "emptied" if now is None else "changed"] += 1
    return counts


def test_nothing_vanishes_but_clients_who_withdraw_consent(year: list[Submission]) -> None:
    for before, after in pairwise(year):
        gone = set(before.frame["CLIENTID"]) - set(after.frame["CLIENTID"])
        rows = before.frame.select("CLIENTID", "EPISODID", "REFERID")
        lost = rows.drop_nulls().join(after.frame, on=["EPISODID", "REFERID"], how="anti")
        assert set(lost["CLIENTID"]) <= gone
        lost = rows.join(after.frame, on="EPISODID", how="anti")
        assert set(lost["CLIENTID"]) == gone
    final = set(year[-1].frame["CLIENTID"])
    assert 2 <= sum(client not in final for client in set(year[0].frame["CLIENTID"])) <= 30


def test_withdrawn_consent_leaves_a_stub_where_asked_and_nothing_else() -> None:
    def made(*, stubs: bool) -> list[Submission]:
        return list(histories(Q, agencies=1, clients=400, months=6, today=TODAY, seed=3, stubs=stubs))

    plain, stubbed = made(stubs=False), made(stubs=True)
    seen: set[str] = set()
    for without, having in zip(plain, stubbed, strict=True):
        stubs = having.frame.filter(pl.col("CONSENT") == "N")
        assert having.frame.filter(pl.col("CONSENT") == "Y").equals(without.frame)
        assert all(stubs[h].is_null().all() for h in Q.headers if h not in ("AGNCY", "CLIENTID", "CONSENT"))
        assert seen <= set(stubs["CLIENTID"])
        seen |= set(stubs["CLIENTID"])
    assert seen
    assert rules_broken(having.frame, TODAY) == ["CONSENT.is_given"]


def test_what_should_only_be_filled_is_never_changed_or_emptied(changed: Counter[tuple[str, str]]) -> None:
    for field in Q.fields:
        if field.changes is Changes.FILLED_ONLY:
            assert changed[field.header, "filled"] > 100
            assert changed[field.header, "changed"] == changed[field.header, "emptied"] == 0


def test_ids_and_the_agency_never_change(changed: Counter[tuple[str, str]]) -> None:
    assert not any(changed[header, how] for header in (*IDS, "AGNCY") for how in ("filled", "changed", "emptied"))


@pytest.mark.parametrize("headers", [("FINITIAL", "SINITIAL"), ("DOB",), ("REFLD",)])
def test_a_few_changes_will_create_a_mismatch(changed: Counter[tuple[str, str]], headers: tuple[str, ...]) -> None:
    assert {Q.by_header[header].changes for header in headers} == {Changes.MISMATCH}
    assert 2 <= sum(changed[header, "changed"] for header in headers) <= 30


def test_corrections_and_blanks_filled_later_are_few_but_there(changed: Counter[tuple[str, str]]) -> None:
    should_not = [f.header for f in Q.fields if f.changes is Changes.SHOULD_NOT]
    corrected = sum(changed[header, "changed"] for header in should_not)
    assert 15 <= corrected <= 120
    assert all(changed[header, "filled"] for header in ("ETHNIC", "NATION", "OFFENCE", "RELIGION", "CPLANDT"))
    assert not any(changed[header, "emptied"] for header in should_not)


def test_a_move_changes_the_postcode_and_the_software_is_upgraded_once(
    year: list[Submission], changed: Counter[tuple[str, str]]
) -> None:
    assert changed["PC", "changed"] > 20
    assert 1 <= changed["UTLA", "changed"] <= changed["DAT", "changed"] <= changed["PC", "changed"]
    versions = [set(s.frame["CMSID"]) for s in year]
    assert all(len(version) == 1 for version in versions)
    assert sum(a != b for a, b in pairwise(versions)) <= 1


# ---- files -----------------------------------------------------------------------------------------


def test_a_file_is_named_by_agency_period_and_dataset(year: list[Submission]) -> None:
    assert year[10].name == "CJ900-20260201-20260228-CJIT-IN-Q.csv"


def test_a_file_is_written_in_the_canonical_form(tmp_path: Path, year: list[Submission]) -> None:
    frame = year[-1].frame.with_columns(CMSID=pl.lit('He said "é", then left'))
    (path,) = write([Submission("CJ900", TODAY, frame.to_dict(as_series=False))], tmp_path / "new" / "folder")
    data = path.read_bytes()
    head, first, *_, last = data.split(b"\r\n")
    assert head.decode() == ",".join(Q.headers)
    assert '"He said ""é"", then left"' in first.decode("utf-8")
    assert last == b""
    assert data.count(b"\n") == data.count(b"\r\n") == frame.height + 1
    assert first.count(b'"') == 6
    assert pl.read_csv(path, infer_schema=False).equals(frame)


def test_a_file_written_and_read_again_has_nothing_to_find(tmp_path: Path, year: list[Submission]) -> None:
    paths = write(year[-2:], tmp_path)
    assert [path.name for path in paths] == [s.name for s in year[-2:]]
    for path, submission in zip(paths, year[-2:], strict=True):
        found = check(path, Q, today=TODAY, submitter="CJ900")
        assert (found.total, found.rows, found.notes) == (0, submission.frame.height, ())


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    def made(seed: int, folder: str) -> list[bytes]:
        submissions = histories(Q, agencies=2, clients=30, months=2, today=TODAY, seed=seed)
        return [path.read_bytes() for path in write(submissions, tmp_path / folder)]

    first, again, other = made(1, "a"), made(1, "b"), made(2, "c")
    assert first == again
    assert not set(first) & set(other)


@pytest.mark.dear
def test_a_long_file_has_as_many_rows_as_asked_by_client_with_ids_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    assert not big_file(Q, path, 23_456, 0, 1, TODAY)
    frame = pl.read_csv(path, infer_schema=False)
    assert frame.shape == (23_456, len(Q.headers))
    assert frame["CLIENTID"].is_sorted()
    assert not frame.select("EPISODID", "REFERID").is_duplicated().any()
    assert frame["CLIENTID"].n_unique() > 15_000
    found = check(path, Q, today=TODAY, submitter="CJ900")
    assert (found.total, found.rows, found.notes) == (0, 23_456, ())


@pytest.mark.dear
def test_the_faults_of_a_long_file_are_drawn_anew_and_the_same_for_the_same_seed(tmp_path: Path) -> None:
    def made(name: str, seed: int) -> tuple[bytes, Counter[str]]:
        counts = big_file(Q, tmp_path / name, 21_000, 0.002, seed, TODAY)
        return (tmp_path / name).read_bytes(), counts

    data, counts = made("a", 1)
    assert made("b", 1) == (data, counts)
    assert made("c", 2)[0] != data
    assert abs(sum(counts.values()) / (21_000 * len(Q.headers)) - 0.002) < 0.0002
    faulty = set(check(tmp_path / "a", Q, today=TODAY).frame["row"])
    halves = [{row % 10_000 for row in faulty if row // 10_000 == half} for half in (0, 1)]
    assert len(halves[0] & halves[1]) < 0.3 * len(halves[0])


@pytest.mark.parametrize("rows", [1, 60])
def test_a_short_long_file_is_as_short_as_asked(tmp_path: Path, rows: int) -> None:
    big_file(Q, tmp_path / "short.csv", rows, 0, 1, TODAY)
    assert (tmp_path / "short.csv").read_bytes().count(b"\r\n") == rows + 1
