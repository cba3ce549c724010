from __future__ import annotations

import dataclasses
import subprocess
import sys
from datetime import date

import pytest

from cjit.dataset import Dataset, Entity, Kind, Status
from cjit.datasets import DATASETS, UnknownDataset, dataset, due_on
from cjit.datasets.p import P
from cjit.datasets.q import Q
from cjit.datasets.q.example import EXAMPLE, EXAMPLE_TODAY
from cjit.engine.checking import check_rows

# The revision history of version 4.0, "CDS-Q".
NEW_HEADERS = ["HOUSING", "HOMELESS"]
DROPPED_HEADERS = """
CJACCMNEED – Accommodation need
SUBMID – Sub intervention ID
SUBMODDT – Recovery support assessment date
RECPEER – Client provided with peer support involvement
RECMAID – Client provided with facilitated access to mutual aid
RECFMSP – Client provided with family support
RECPRNT – Client provided with parenting support
RECHSE – Client provided with housing support
RECEMP – Client provided with employment support
RECEDUT – Client provided with education and training support
RECWPRJ – Client provided with supported work projects
RECCHKP – Client provided with recovery check-ups
RECRLPP – Client provided with evidence based psychosocial interventions to support relapse prevention
RECCMPT – Client provided with complimentary therapies
RECGNH – Client provided with mental health interventions
RECSMOC – Client provided with smoking cessation interventions
RECDOMV – Client provided with domestic abuse/violence support
"""
DESCRIPTIONS_CHANGED = {
    "SEX": ("client stated sex", "client stated sex at registration of birth"),
    "PRNTSTAT": (
        "If client has parental responsibility, do any of these children live with the client?",
        "Do any of these children live with the client?",
    ),
    **{
        header: (
            "If client has parental responsibility and/or children living with them, "
            f"what help are the children receiving? ({n})",
            f"What help are the client's children/children living with the client receiving? ({n})",
        )
        for n, header in enumerate(("EHCS", "EHCSC2", "EHCSC3"), start=1)
    },
}
DEFINITIONS_CHANGED = ["SEX", "PREGNANT", "CONSENT", "EHCS", "EHCSC2", "EHCSC3"]

dropped = [tuple(line.split(" – ", 1)) for line in DROPPED_HEADERS.strip().splitlines()]


def test_dataset_q_takes_effect_on_1_april_2022():
    assert (Q.letter, Q.effective) == ("Q", date(2022, 4, 1))


def test_dataset_q_added_and_dropped_the_headers_of_the_revision_history():
    assert [h for h in Q.headers if h not in P.headers] == NEW_HEADERS
    assert sorted(h for h in P.headers if h not in Q.headers) == sorted(header for header, _ in dropped)
    assert len(P.headers) == len(Q.headers) - len(NEW_HEADERS) + len(dropped)


def test_dropped_headers_have_the_descriptions_of_the_revision_history():
    assert [(header, P.by_header[header].label) for header, _ in dropped] == dropped


def test_dataset_p_differs_from_q_in_nothing_the_revision_history_does_not_name():
    named = {*DESCRIPTIONS_CHANGED, *DEFINITIONS_CHANGED}
    assert {h for h in Q.headers if h in P.headers and P.by_header[h] != Q.by_header[h]} == named
    for header in named:
        p, q = P.by_header[header], Q.by_header[header]
        assert dataclasses.replace(p, label=q.label, noun=q.noun, definition=q.definition) == q


@pytest.mark.parametrize(("header", "to_from"), DESCRIPTIONS_CHANGED.items())
def test_field_descriptions_changed_as_the_revision_history_says(header: str, to_from: tuple[str, str]):
    labels = (Q.by_header[header].label, P.by_header[header].label)
    assert tuple(map(str.casefold, labels)) == tuple(map(str.casefold, to_from))


@pytest.mark.parametrize("header", DEFINITIONS_CHANGED)
def test_field_definitions_changed_as_the_revision_history_says(header: str):
    assert P.by_header[header].definition != Q.by_header[header].definition


def test_fields_both_datasets_have_stand_in_the_same_order():
    assert [h for h in P.headers if h in Q.headers] == [h for h in Q.headers if h in P.headers]


def test_interventions_stand_between_the_episode_and_its_referrals():
    sections = list(dict.fromkeys(field.entity for field in P.fields))
    assert sections == [Entity.CLIENT, Entity.EPISODE, Entity.INTERVENTION, Entity.REFERRAL]
    assert P.entity(Entity.INTERVENTION)[0].header == "SUBMID"
    assert Q.entity(Entity.INTERVENTION) == ()


def test_each_dataset_knows_a_header_of_the_other():
    assert Q.elsewhere == {header: "P" for header, _ in dropped}
    assert P.elsewhere == {"HOUSING": "Q", "HOMELESS": "Q"}


def test_what_dataset_p_alone_has_is_marked_as_a_stand_in():
    added = [P.by_header[header] for header, _ in dropped]
    codes = [P.codes_of(field.header) for field in added if field.kind is Kind.CODE]
    assert len(codes) == 15
    assert all(c is not None and c.status is Status.PLACEHOLDER for c in codes)


@pytest.mark.parametrize("found", [P, Q], ids=lambda d: d.letter)
def test_every_rule_reads_only_fields_its_dataset_has(found: Dataset):
    for rule in found.rules:
        read = {h.removesuffix(" as sent").removesuffix(" as read") for h in rule.headers}
        assert read <= {*found.headers, "TODAY", "SUBMITTER", "WITHHELD"}, rule.id


def test_datasets_p_and_q_have_the_same_written_rules():
    assert [rule.id for rule in P.written] == [rule.id for rule in Q.written]


def test_an_episode_with_two_interventions_and_one_referral_is_no_repeat_in_dataset_p():
    record = {h: EXAMPLE.get(h, "") for h in P.headers}
    rows = [record | {"SUBMID": "40001"}, record | {"SUBMID": "40002"}]

    def repeated(*records: dict[str, str]) -> list[int]:
        told = check_rows(P, records, today=EXAMPLE_TODAY)
        return [seen.row for seen in told if seen.rule.id == "EPISODID.is_sent_once"]

    assert repeated(*rows) == []
    assert repeated(*rows, rows[1]) == [1, 2]


def test_rule_ids_are_unique():
    for found in (P, Q):
        ids = [rule.id for rule in found.rules]
        assert len(set(ids)) == len(ids)


def test_a_dataset_is_found_by_its_letter():
    assert dataset("Q") is Q
    assert dataset(" q ") is Q
    assert dataset("P") is P
    assert dict(DATASETS) == {"Q": Q, "P": P}


@pytest.mark.parametrize("letter", ["R", "", "QQ", "datasets"])
def test_an_unknown_letter_is_answered_with_those_there_are(letter: str):
    with pytest.raises(UnknownDataset, match=r"choose Q or P$"):
        dataset(letter)


@pytest.mark.parametrize(
    ("day", "letter"),
    [
        (date(2020, 4, 1), "P"),
        (date(2022, 3, 31), "P"),
        (date(2022, 4, 1), "Q"),
        (date(2026, 3, 31), "Q"),
    ],
)
def test_the_dataset_due_is_the_one_in_effect(day: date, letter: str):
    assert due_on(day).letter == letter


def test_no_dataset_is_due_before_the_first():
    with pytest.raises(UnknownDataset, match=r"on 31/03/2020: choose a day from 01/04/2020$"):
        due_on(date(2020, 3, 31))


@pytest.mark.process
def test_who_asks_for_q_never_loads_p():
    program = "import sys; from cjit.datasets import dataset; dataset('Q');sys.exit('cjit.datasets.p' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
