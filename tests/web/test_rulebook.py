from __future__ import annotations

import re
from collections.abc import Mapping
from html import unescape

import pytest
from django.urls import reverse

from cjit.datasets.q import Q
from cjit.datasets.q.example import EXAMPLE
from cjit.report import version
from cjit.web.portal import rulebook


@pytest.fixture
def visitor(signed_in, provider):
    return signed_in(provider)


@pytest.fixture
def page(visitor) -> str:
    return str(visitor.get(reverse("rules")).content.decode())


def words(markup: str) -> str:
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", re.sub(r"</?code>", "", markup))))


def told_of(rule: str, page: str) -> str:
    """What the rule book says of a rule."""
    told = re.search(rf'<li [^>]*id="{re.escape(rule)}">(.*?)</li>', page, re.S)
    assert told
    return words(told[1])


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("SEX.is_given", "Clause: Client details: SEX Breaks where: SEX is left blank Breaks: (blank); Holds: M"),
        ("DISD.is_not_before_triage", "Breaks where: CPLANDT is blank, and DISD is before TRIAGED"),
        ("CLIENTID.is_plainly_written", "Breaks: “10001 ”; Holds: 10001"),
        ("DISD.is_not_before_triage", "Field Breaks Holds CPLANDT (blank) (blank) DISD 05/11/2025 06/11/2025"),
        ("DISD.is_not_before_triage", f"REFERID {EXAMPLE['REFERID']} (blank)"),
        ("TRIAGED.starts_one_episode", "Field Breaks, row 1 Breaks, row 2 Holds, row 1 Holds, row 2"),
        ("TRIAGED.starts_one_episode", "EPISODID 20077 20078 20077 20078"),
        ("CONSENT.is_given", "nothing else of the row is looked at, and none of its values is shown"),
        ("ROW.has_every_cell", "Our reading: A row with more or fewer cells"),
    ],
)
def test_a_rule_is_told_with_its_clause_and_with_what_breaks_and_what_holds(page, rule, told):
    assert told in told_of(rule, page)


def test_a_rule_that_no_record_breaks_by_itself_does_not_say_where(page):
    assert "Breaks where" not in told_of("ROW.has_every_cell", page)
    assert page.count("Breaks where:") == len(Q.rules)


def test_a_rule_across_rows_of_one_field_is_told_in_a_line(page):
    rule = next(
        r for r in version.file_rules(Q) if r.across and r not in Q.written and isinstance(r.breaks, list | tuple)
    )

    assert re.search(
        r"Breaks: \S+, then \S+ on another row; Holds: \S+, then \S+ on another row $", told_of(rule.id, page)
    )


def test_a_rule_on_what_is_held_has_no_example(page):
    assert "Breaks" not in told_of("SEX.is_unchanged", page)


def test_the_faultless_record_that_the_examples_are_parts_of_is_shown(page):
    assert "CLIENTID 10042 FINITIAL M SINITIAL O" in words(page.split('id="faultless"')[1])


def test_every_example_of_every_rule_is_shown_whole():
    for rule in Q.rules:
        for name, example in (("Breaks", rule.breaks), ("Holds", rule.holds)):
            rows = [example] if isinstance(example, Mapping) else list(example)
            shown = rulebook.examples(rule).get(name, [{} for _ in rows])
            assert len(shown) == len(rows)
            for row, values in zip(rows, shown, strict=True):
                assert row.items() <= values.items()
