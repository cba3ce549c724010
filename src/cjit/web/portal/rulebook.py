"""The rule book on the service's own pages, and a file to begin with. No record is in either."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from django.http import HttpRequest, HttpResponse, HttpResponseBase

from cjit.conditions import Never
from cjit.dataset import OUR_READING, Rule
from cjit.dictionary.english import in_english
from cjit.engine import compare
from cjit.report import version, words
from cjit.web import pages
from cjit.web.dataset import DATASET

#: Every rule a submission is put to, by its id: those of a file, and those on what is held.
RULES: dict[str, Rule] = {rule.id: rule for rule in (*version.file_rules(DATASET), *compare.rules(DATASET))}


def rules(request: HttpRequest) -> HttpResponseBase:
    """Every rule with its examples, field by field in the document's order."""
    groups: dict[str, list[Rule]] = {header: [] for header in ("ROW", *DATASET.headers)}
    for rule in RULES.values():
        groups[rule.header].append(rule)
    context = {
        "groups": groups,
        "examples": examples,
        "breaks_where": breaks_where,
        "dataset": DATASET,
        "report": words,
        "rules_version": version.rules_version(DATASET),
        "our_reading": OUR_READING,
        "faultless": DATASET.example,
        "faultless_on": DATASET.example_day,
    }
    return pages.render(request, "portal/rules.html", context)


def breaks_where(rule: Rule) -> str:
    """The condition of a rule in plain English; "" for one that no record breaks by itself."""
    return _in_english().get(rule.id, "")


@cache
def _in_english() -> Mapping[str, str]:
    """Every condition in plain English, by the id of its rule; the book is the same for every request."""
    told = (rule for rule in RULES.values() if not isinstance(rule.fails_when, Never))
    return {rule.id: in_english(rule.fails_when, DATASET) for rule in told}


def examples(rule: Rule) -> dict[str, list[dict[str, str]]]:
    """The rows that break a rule and those that hold, each what the examples speak of: value by header.

    A value that an example does not give is that of the faultless record. Rules on what is held have no examples.
    """
    told = {
        name: [rows] if isinstance(rows, Mapping) else list(rows)
        for name, rows in (("Breaks", rule.breaks), ("Holds", rule.holds))
    }
    given = {header for rows in told.values() for row in rows for header in row}
    headers = [header for header in DATASET.headers if header in given]
    if not headers:
        return {}
    return {name: [{h: row.get(h, DATASET.example[h]) for h in headers} for row in rows] for name, rows in told.items()}


def template_csv(request: HttpRequest) -> HttpResponseBase:
    """A CSV file with the header row and nothing else."""
    name = f"dataset-{DATASET.letter}-template.csv"
    line = ",".join(DATASET.headers) + "\r\n"
    return HttpResponse(
        line, content_type="text/csv; charset=utf-8", headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )
