"""docs/source.md answers for every clause, field and rule, and names nothing that is not there."""

import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from cjit.dataset import OUR_READING
from cjit.datasets.q import Q

PAGE = (Path(__file__).parents[1] / "docs" / "source.md").read_text(encoding="utf-8")
CLAUSES_PART, READINGS_PART = PAGE.split("## Rules that are our reading")

RULES = {rule.id: rule for rule in Q.rules}


def rows(part: str) -> list[list[str]]:
    """The cells of every table row of a part of the page, without the heads."""
    lines = [line for line in part.splitlines() if line.startswith("| ") and not line.startswith("| ---")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if row[0] not in ("Clause", "Rule")]


CLAUSES = rows(CLAUSES_PART)
READINGS = rows(READINGS_PART)
NAMED = sorted({name for row in CLAUSES for name in re.findall(r"`([^`]+)`", row[3])})
LISTS = sorted({name for row in CLAUSES for name in re.findall(r"\*list\* ([A-Z]+)", row[3])})


def read_as_ours(rule_id: str) -> list[list[str]]:
    """The rows for a rule: its own if it has one, else those whose pattern takes it in."""
    own = [row for row in READINGS if row[0] == f"`{rule_id}`"]
    return own or [row for row in READINGS if fnmatchcase(rule_id, row[0].strip("`"))]


def test_the_table_is_whole():
    assert all(len(row) == 4 and all(row) for row in CLAUSES)
    assert len({(clause, sentence) for clause, sentence, *_ in CLAUSES}) == len(CLAUSES)


@pytest.mark.parametrize("field", Q.fields, ids=lambda field: field.header)
def test_the_clause_of_a_field_is_in_the_table(field):
    assert field.clause in {row[0] for row in CLAUSES}


@pytest.mark.parametrize("field", Q.fields, ids=lambda field: field.header)
def test_the_updatability_of_a_field_is_in_the_table(field):
    assert [field.clause, "updatability"] in [row[:2] for row in CLAUSES]


@pytest.mark.parametrize("rule", [r for r in Q.rules if r.clause != OUR_READING], ids=lambda rule: rule.id)
def test_the_clause_of_a_rule_is_in_the_table(rule):
    assert rule.clause in {row[0] for row in CLAUSES}


@pytest.mark.parametrize("rule", [r for r in Q.rules if r.clause == OUR_READING], ids=lambda rule: rule.id)
def test_a_rule_that_is_our_reading_is_listed_with_its_reason(rule):
    assert rule.reading
    assert [row[1:] for row in read_as_ours(rule.id)] == [[rule.severity.value, rule.reading]]


@pytest.mark.parametrize("rule", [r for r in Q.rules if r.clause != OUR_READING], ids=lambda rule: rule.id)
def test_a_rule_the_document_states_is_not_listed_as_our_reading(rule):
    assert not rule.reading
    assert not read_as_ours(rule.id)


@pytest.mark.parametrize("rule", Q.written, ids=lambda rule: rule.id)
def test_every_written_rule_answers_for_some_sentence_or_reading(rule):
    assert rule.id in NAMED or read_as_ours(rule.id)


@pytest.mark.parametrize("name", NAMED)
def test_what_the_table_names_is_there(name):
    assert name in Q.by_header or any(fnmatchcase(rule_id, name) for rule_id in RULES)


@pytest.mark.parametrize("row", READINGS, ids=lambda row: row[0])
def test_what_is_listed_as_our_reading_is_there(row):
    assert any(fnmatchcase(rule_id, row[0].strip("`")) for rule_id in RULES)


@pytest.mark.parametrize("name", LISTS)
def test_the_code_lists_the_table_names_are_there(name):
    assert name in Q.lists


def test_the_readings_a_sentence_refers_to_are_there():
    numbers = {int(n) for n in re.findall(r"^(\d+)\. \*\*", CLAUSES_PART, re.MULTILINE)}
    cited = {int(n) for row in CLAUSES for n in re.findall(r"reading (\d+)", row[3])}
    assert numbers == set(range(1, len(numbers) + 1))
    assert cited <= numbers
