"""The rule book as JSON: it can be read back, keeps to its schema, and is enough to find what breaks a rule."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from tests.test_conditions import PAIRS, by_columns, in_a_row, over_rows
from tests.test_rules import frame, submitter_for

from cjit.cli import main
from cjit.conditions import NODES, Cell, as_text, every, tables_of
from cjit.dataset import Severity
from cjit.datasets.p import P
from cjit.datasets.q import Q
from cjit.dictionary import rules_json
from cjit.dictionary.rules_json import BookProblem, as_json, from_json

ROOT = Path(__file__).resolve().parent.parent
A = Cell("A")


@pytest.fixture(scope="module", params=[P, Q], ids=lambda dataset: dataset.letter)
def dataset(request):
    return request.param


@pytest.fixture(scope="module")
def read(dataset):
    return json.loads(rules_json.export(dataset))


@pytest.fixture(scope="module")
def validator():
    schema = rules_json.schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)


# ---- a condition -----------------------------------------------------------------------------------


def test_every_rule_can_be_read_back(dataset, read):
    tables = rules_json.tables_from(read)
    for rule, data in zip(dataset.rules, read["rules"], strict=True):
        assert as_text(from_json(data["condition"], tables)) == as_text(rule.fails_when)


@settings(max_examples=200)
@given(tree=in_a_row())
def test_any_tree_can_be_read_back(tree):
    assert as_text(from_json(json.loads(json.dumps(as_json(tree))), {"pairs": PAIRS})) == as_text(tree)


@settings(max_examples=100)
@given(tree=over_rows())
def test_any_tree_across_rows_can_be_read_back(tree):
    assert as_text(from_json(json.loads(json.dumps(as_json(tree))), {"pairs": PAIRS})) == as_text(tree)


def test_a_text_that_looks_like_a_date_stays_a_text():
    condition = from_json(as_json(A == "2020-02-01"))
    assert as_text(condition) == as_text(A == "2020-02-01")
    assert as_json(condition)["other"] == {"node": "Constant", "value": "2020-02-01"}


GIVEN = as_json(A.is_given)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({}, "the node “None” where it should have a condition"),
        ([], "has [] where it should have a condition"),
        ({"node": "Nonsense"}, "the node “Nonsense”"),
        ({"node": "Cell", "header": "A", "stage": "value"}, "the node “Cell” where it should have a condition"),
        ({"node": "Given"}, "The node “Given” has value, and no more or fewer"),
        ({"node": "Never", "more": 1}, "The node “Never” has no parts"),
        ({"node": "Given", "value": GIVEN}, "the node “Given” where it should have a value"),
        ({"node": "Given", "value": "A"}, "where it should have a value"),
        ({"node": "Given", "value": {"node": "Cell", "header": 1, "stage": "value"}}, "should have a text"),
        ({"node": "Given", "value": {"node": "Cell", "header": "A", "stage": "late"}}, "should have a stage"),
        ({"node": "Given", "value": {"node": "Start", "text": as_json(A), "length": True}}, "a whole number"),
        ({"node": "Given", "value": {"node": "Constant", "value": 1.5}}, "a text, a whole number or a date"),
        ({"node": "Given", "value": {"node": "Constant", "value": {"date": "soon"}}}, "the date “soon”"),
        ({"node": "And", "parts": GIVEN}, "a list, of which each is a condition"),
        ({"node": "Matches", "text": as_json(A), "pattern": r"\d"}, "not every engine reads alike"),
        ({"node": "LookedUp", "table": "nowhere", "texts": []}, "the name of one of its tables"),
    ],
)
def test_what_is_no_condition_is_told_in_a_sentence(data, told):
    with pytest.raises(BookProblem) as problem:
        from_json(data)
    assert told in str(problem.value)


# ---- the book --------------------------------------------------------------------------------------


@pytest.mark.dear
def test_the_book_keeps_to_its_schema(read, validator):
    assert [error.message for error in validator.iter_errors(read)] == []


@pytest.mark.dear
@pytest.mark.parametrize(
    "spoil",
    [
        lambda read: read.update(version=2),
        lambda read: read.pop("tables"),
        lambda read: read["rules"][0].update(more=1),
        lambda read: read["rules"][0].update(severity="fatal"),
        lambda read: read["rules"][0].update(condition=as_json(A)),
        lambda read: read["rules"][0].update(condition={"node": "Not", "part": {"node": "Nonsense"}}),
        lambda read: read["rules"][0].update(condition={"node": "And", "parts": [as_json(A)]}),
        lambda read: read["rules"][0].update(condition={"node": "Given", "value": {"node": "Cell", "header": "A"}}),
    ],
)
def test_what_is_no_book_does_not_keep_to_the_schema(spoil, validator):
    read = json.loads(rules_json.export(Q))
    spoil(read)
    assert not validator.is_valid(read)


def test_the_schema_has_every_node_with_its_own_words():
    described = rules_json.schema()["$defs"]
    for name, cls in NODES.items():
        first = (cls.__doc__ or "").split(".")[0]
        assert " ".join(first.split()) in described[name]["description"]
        assert described[name]["required"][0] == "node"
        assert described[name]["additionalProperties"] is False


def test_the_book_has_every_rule_field_list_and_table(dataset, read):
    assert (read["format"], read["version"], read["dataset"]["letter"]) == ("cjit rule book", 1, dataset.letter)
    assert [rule["id"] for rule in read["rules"]] == [rule.id for rule in dataset.rules]
    assert [field["header"] for field in read["fields"]] == list(dataset.headers)
    assert set(read["lists"]) == {field["list"] for field in read["fields"]} - {None}
    assert {rule["severity"] for rule in read["rules"]} <= {severity.value for severity in Severity}
    assert set(read["tables"]) == {table.name for table in tables_of(*(rule.fails_when for rule in dataset.rules))}
    headers = {part.header for rule in dataset.rules for part in every(rule.fails_when) if isinstance(part, Cell)}
    assert headers <= {field["header"] for field in read["fields"]}


def test_a_table_that_was_read_says_what_it_said(dataset, read):
    tables = rules_json.tables_from(read)
    for table in tables_of(*(rule.fails_when for rule in dataset.rules)):
        assert tables[table.name] == table
        assert tables[table.name].entries == table.entries
        assert read["tables"][table.name]["yes"] == sorted(read["tables"][table.name]["yes"])


def test_what_was_read_is_broken_and_kept_by_the_examples():
    # Of rules that look nothing up, to say the same is enough.
    read = json.loads(rules_json.export(Q))
    tables = rules_json.tables_from(read)
    by_id = {rule["id"]: rule for rule in read["rules"]}
    looking_up = [rule for rule in Q.rules if tables_of(rule.fails_when)]
    assert looking_up
    for rule in looking_up:
        condition = from_json(by_id[rule.id]["condition"], tables)
        for name, wanted in (("breaks", True), ("holds", False)):
            (record,) = by_id[rule.id][name]
            rows = frame(record, submitter_for(rule))
            assert any(row[0] is True for row in by_columns([condition], rows)) is wanted, (rule.id, name)


def test_the_same_book_is_the_same_bytes():
    assert rules_json.export(Q) == rules_json.export(Q)


# ---- the command and the page ----------------------------------------------------------------------


def test_the_command_exports_the_book_and_its_schema():
    run = CliRunner().invoke
    assert json.loads(run(main, ["rules", "--format", "json"]).stdout) == rules_json.book(Q)
    assert json.loads(run(main, ["rules", "--format", "json", "--dataset", "P"]).stdout)["dataset"]["letter"] == "P"
    assert json.loads(run(main, ["rules", "--format", "json-schema"]).stdout) == rules_json.schema()


def test_an_export_holds_every_rule():
    told = CliRunner().invoke(main, ["rules", "DISD", "--format", "json"])
    assert told.exit_code == 2
    assert "An export holds every rule" in told.stderr


def test_the_page_shows_a_condition_as_it_is():
    page = (ROOT / "docs/rulebook.md").read_text("utf-8")
    rule_id, shown = re.findall(r"`([A-Z]+\.\w+)`:\n\n```json\n(.*?)```", page, re.S)[0]
    (rule,) = (rule for rule in Q.rules if rule.id == rule_id)
    assert json.loads(shown) == as_json(rule.fails_when)


def test_the_page_has_every_key_of_the_book():
    page = (ROOT / "docs/rulebook.md").read_text("utf-8")
    for key in (*rules_json.book(Q), *rules_json.book(Q)["rules"][0]):
        assert key == "$schema" or f"`{key}`" in page


def test_the_table_of_three_answers_is_right():
    page = (ROOT / "docs/rulebook.md").read_text("utf-8")
    answers = {"true": True, "false": False, "not known": None}
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in page.splitlines()
        if line[:3] == "| t" or line[:3] == "| f" or line[:3] == "| n"
    ]
    told = [[answers[cell] for cell in line] for line in lines if set(line) <= set(answers)]
    assert len(told) == 9
    for a, b, both, either, opposite, surely in told:
        assert both is (False if False in (a, b) else None if None in (a, b) else True)
        assert either is (True if True in (a, b) else None if None in (a, b) else False)
        assert opposite is (None if a is None else not a)
        assert surely is (a is True)
