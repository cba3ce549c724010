"""The rule book on the service's own pages, and a file to begin with. No record is in either."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseBase

from cjit import compare, report
from cjit.dataset import Rule
from cjit.datasets.q import Q as DATASET
from cjit.web import pages

#: Every rule a submission is put to, by its id: those of a file, and those on what is held.
RULES: dict[str, Rule] = {rule.id: rule for rule in (*report.book(DATASET), *compare.rules(DATASET))}


def rules(request: HttpRequest) -> HttpResponseBase:
    """Every rule, field by field in the document's order."""
    groups: dict[str, list[Rule]] = {header: [] for header in ("ROW", *DATASET.headers)}
    for rule in RULES.values():
        groups[rule.header].append(rule)
    return pages.render(request, "portal/rules.html", {"groups": groups, "dataset": DATASET, "report": report})


def template_csv(request: HttpRequest) -> HttpResponseBase:
    """A CSV file with the header row and nothing else."""
    name = f"dataset-{DATASET.letter}-template.csv"
    line = ",".join(DATASET.headers) + "\r\n"
    return HttpResponse(
        line, content_type="text/csv; charset=utf-8", headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )
