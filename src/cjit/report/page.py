"""The report as one HTML file, which loads nothing, and can be read without its script, on a phone and on paper."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from cjit.dataset import Entity, Rule, Severity
from cjit.engine.findings import Findings
from cjit.report import version, words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jinja2 import Template

#: The most findings in the table: more would be slow on a phone, and nobody reads them.
SHOWN = 5_000


@dataclass(frozen=True)
class Line:
    """One line of the table of findings; every text is fit to be shown.

    row: the spreadsheet row.
    cell: the spreadsheet cell, such as D12; "" where no column has the rule's header.
    client: the sender's client id.
    episode: the sender's episode id.
    rule: the rule.
    label: the name of the field.
    value: the value, or words for a blank or withheld one.
    is_value: whether it is a value.
    """

    row: int
    cell: str
    client: str
    episode: str
    rule: Rule
    label: str
    value: str
    is_value: bool


@dataclass(frozen=True)
class Share:
    """One part of the bar that shows the verdict.

    name: its name in the style sheet.
    label: its name for people.
    count: how many records.
    percent: their share, as text.
    start: where the part begins, in a bar of 1,000.
    width: how wide it is, in a bar of 1,000.
    """

    name: str
    label: str
    count: int
    percent: str
    start: float
    width: float


def render(findings: Findings) -> str:
    """The page, as HTML. It shows the first `SHOWN` findings and says how many more there are.

    Args:
        findings: what the check found.
    """
    lines = list(_lines(findings))
    full, other, missing = words.gaps(findings)
    style, script = _packaged("page.css"), _packaged("page.js")
    return _template().render(
        findings=findings,
        report=words,
        engine=version.engine(),
        rules_version=version.rules_version(findings.dataset),
        source=findings.source,
        sha256=findings.source.sha256() if findings.source else "",
        severities=[s for s in Severity if findings.severities[s]],
        causes={s: [run for run in findings.fired if run.rule.severity is s] for s in Severity},
        shares=_shares(findings),
        lines=lines,
        rules=sorted({line.rule.id for line in lines}),
        keys=[findings.dataset.entity(e)[0].header for e in (Entity.CLIENT, Entity.EPISODE)],
        more=findings.total - len(lines),
        full=full,
        other=other,
        missing=missing,
        style=Markup(style),  # noqa: S704 - our own files
        script=Markup(script),  # noqa: S704
        policy=f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'",
    )


def _lines(findings: Findings) -> Iterator[Line]:
    """The first findings, as lines of the table."""
    letters = words.letters(findings.source.columns) if findings.source else {}
    for row, rule, value, previous, client, episode in words.first_findings(findings, SHOWN):
        letter = letters.get(rule.header, "")
        yield Line(
            row=row,
            cell=f"{letter}{row}" if letter else "",
            client=words.shown(client or "–", 40),
            episode=words.shown(episode or "–", 40),
            rule=rule,
            label=words.field_label(findings.dataset, rule),
            value=words.value_shown(findings.dataset, rule, value, previous),
            is_value=value is not None or previous is not None,
        )


def _shares(findings: Findings) -> list[Share]:
    """The parts of the bar that shows the verdict, from accepted to rejected."""
    shares, start = [], 0.0
    for name, label, count in (
        ("accepted", "Accepted, nothing found", findings.rows - sum(findings.gravest.values())),
        ("query", "Accepted, with a query", findings.gravest[Severity.QUERY]),
        ("mismatch", "Accepted, would make a mismatch", findings.gravest[Severity.MISMATCH]),
        ("exclude", "Accepted, may be left out of reports", findings.gravest[Severity.EXCLUDE]),
        ("reject", "Rejected", findings.gravest[Severity.REJECT]),
    ):
        width = round(count / findings.rows * 1000, 1) if findings.rows else 0.0
        shares.append(Share(name, label, count, words.percent(count, findings.rows), round(start, 1), width))
        start += width
    return shares


@cache
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["number"] = lambda number: f"{number:,}"
    return environment.from_string(_packaged("page.html.jinja"))


@cache
def _packaged(name: str) -> str:
    return files("cjit.report").joinpath(name).read_text("utf-8")


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"
