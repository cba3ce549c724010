"""A frame held against the one before: each kind of change, as the document's classes of updatability have it."""

from collections.abc import Mapping

import polars as pl
import pytest

from cjit.dataset import WITHHELD
from cjit.datasets.q import Q
from cjit.datasets.q.example import EXAMPLE_TODAY
from cjit.engine import checking
from cjit.engine.checking import check, records
from cjit.engine.compare import Change
from cjit.engine.compare_frames import compare
from cjit.files.frames import pieces_of, repeating
from cjit.files.opening import open_file


@pytest.fixture(scope="module", params=[0, checking.FEW_ROWS], ids=["by columns", "row by row"], autouse=True)
def engine(request):
    """Every test of this module is of both ways in which a table is put to the rule book."""
    few, checking.FEW_ROWS = checking.FEW_ROWS, request.param
    yield
    checking.FEW_ROWS = few


AGAIN = {"EPISODID": "99", "REFERID": "98", "REFLD": "01/12/2025", "TRIAGED": "02/12/2025", "CPLANDT": ""}


@pytest.fixture
def changes(csv_of):
    """What differs between two made-up files: (entity, header, change, value, previous)."""

    def make(now: Mapping[str, str], before: Mapping[str, str], **options) -> set[tuple]:
        new, old = (records(open_file(csv_of(row), Q), Q, today=EXAMPLE_TODAY).drop(WITHHELD) for row in (now, before))
        told = compare(new, old.drop("row"), Q, **options)
        return set(told.select("entity", "header", "change", "value", "previous").iter_rows())

    return make


@pytest.mark.parametrize(
    ("header", "before", "now", "change"),
    [
        ("PC", "NE8 1", "NE8 2", Change.CHANGED),
        ("PC", "NE8 1", "", Change.CHANGED),
        ("HOUSING", "", "2", Change.FILLED),
        ("SINITIAL", "A", "B", Change.MISMATCH),
        ("REFLD", "01/11/2025", "02/11/2025", Change.MISMATCH),
        ("NATION", "GBR", "FRA", Change.CORRECTED),
        ("NATION", "GBR", "", Change.EMPTIED),
        ("DISD", "15/01/2026", "16/01/2026", Change.REOPENED),
    ],
)
def test_each_class_of_field_has_its_change(changes, header, before, now, change):
    entity = Q.by_header[header].entity.value

    assert changes({header: now}, {header: before}) == {(entity, header, change, now or None, before or None)}


def test_a_record_not_held_is_new_and_one_not_sent_is_absent(changes):
    told = changes({"CLIENTID": "2", "EPISODID": "22", "REFERID": "222"}, {})

    assert {(entity, change) for entity, _, change, _, _ in told} == {
        (entity, change) for entity in ("client", "episode", "referral") for change in (Change.NEW, Change.ABSENT)
    }


def test_a_new_episode_of_a_held_client_is_a_re_presentation(changes):
    told = {(entity, change) for entity, _, change, _, _ in changes(AGAIN, {})}

    assert ("episode", Change.RE_PRESENTED) in told
    assert ("client", Change.NEW) not in told
    assert ("episode", Change.NEW) not in told


def test_nothing_is_listed_of_the_same_file(changes):
    assert changes({}, {}) == set()


def test_unchanged_records_are_listed_when_asked_for(changes):
    told = changes({"PC": "NE8 2"}, {"PC": "NE8 1"}, unchanged=True)

    assert {(entity, change) for entity, _, change, _, _ in told} == {
        ("client", Change.UNCHANGED),
        ("episode", Change.CHANGED),
        ("referral", Change.UNCHANGED),
    }


def test_texts_kept_once_compare_as_text_does(csv_of):
    kinds = repeating(Q)
    sources = [open_file(csv_of({"HOUSING": code}), Q) for code in ("1", "2")]
    plain = [records(s, Q, today=EXAMPLE_TODAY).drop(WITHHELD) for s in sources]
    once = [records(s, Q, today=EXAMPLE_TODAY, kinds=kinds).drop(WITHHELD) for s in sources]

    assert isinstance(once[0].schema["HOUSING"], pl.Categorical)
    assert compare(once[0], once[1], Q).equals(compare(plain[0], plain[1], Q))


@pytest.mark.parametrize("kinds", [None, repeating(Q)], ids=["text", "each text once"])
def test_the_last_submission_may_be_given_as_a_file_as_text_or_as_its_values(csv_of, kinds):
    new, old = (
        open_file(csv_of({"SINITIAL": letter, "DOB": birth, "PC": "NE8 1"}), Q)
        for letter, birth in (("A", "01/01/1990"), ("B", "02/01/1990"))
    )
    text = pl.concat(piece().text() for piece in pieces_of(old))
    values = records(old, Q, today=EXAMPLE_TODAY, kinds=kinds)

    of_file, of_text, of_values = (
        check(new, Q, today=EXAMPLE_TODAY, previous=previous).frame for previous in (old, text, values)
    )

    assert of_file.filter(pl.col("previous").is_not_null())["previous"].to_list() == ["B", "02/01/1990"]
    assert of_text.equals(of_file)
    assert of_values.equals(of_file)


def test_ids_whose_hashes_are_alike_are_still_told_apart(csv_of, monkeypatch):
    other = {"CLIENTID": "2", "CLIENT": "A2", "EPISODID": "22", "REFERID": "222"}
    new, old = (records(open_file(csv_of({"PC": pc}, other), Q), Q, today=EXAMPLE_TODAY) for pc in ("NE8 2", "NE8 1"))
    plain = compare(new, old, Q)
    monkeypatch.setattr(pl.Expr, "hash", lambda self, *_: self.is_null().cast(pl.UInt64))

    assert plain.height == 1
    assert compare(new, old, Q).equals(plain)
