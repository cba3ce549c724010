"""What an agency takes away from a submission: findings, its file as it was sent, and copies of it.

Each is made when it is asked for, from what is kept, by the writers of `cjit.report` and `cjit.copies`.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import IO

import polars as pl
from django.utils import timezone

from cjit.conditions import Never
from cjit.copies import annotated, corrected
from cjit.dataset import Rule, Severity
from cjit.engine import compare
from cjit.engine.checking import Checked, checked
from cjit.engine.findings import Filled, Findings, RuleRun, Seen
from cjit.files.opening import open_file
from cjit.files.source import Source
from cjit.report import workbook
from cjit.report.findings_csv import csv_findings
from cjit.web import kept
from cjit.web.dataset import DATASET
from cjit.web.portal import result
from cjit.web.portal.models import Submission
from cjit.web.portal.rulebook import RULES

#: The end of a file's name and its type, by the kind asked for.
KINDS = {
    "csv": ("findings.csv", "text/csv"),
    "xlsx": ("findings.xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    "annotated": ("annotated.csv", "text/csv"),
    "corrected": ("corrected.csv", "text/csv"),
    "changes": ("changes.csv", "text/csv"),
    "original": ("original.csv", "text/csv"),
}
#: Rules on what is held are told of only where they fired: nothing may have been held.
_ON_HELD = frozenset(rule.id for rule in compare.rules(DATASET))

_SEEN = ("row", "client", "episode", "value", "previous")

Choose = Callable[[pl.DataFrame], pl.DataFrame]


def made(submission: Submission, kind: str, chosen: Choose) -> IO[bytes]:
    """A file of a kind, ready to be read; it is gone when it is closed. `chosen` picks the findings that are in a CSV.

    Raises `kept.NotKept` where the upload, or the findings it takes, are gone or damaged.
    """
    out = tempfile.TemporaryFile(prefix="cjit-", dir=kept.aside())  # noqa: SIM115 - closed by whoever reads it
    try:
        with kept.opened(submission) as path:
            _write(submission, kind, chosen, path, out)
        out.seek(0)
    except BaseException:
        out.close()
        raise
    return out


def _write(submission: Submission, kind: str, chosen: Choose, path: Path, out: IO[bytes]) -> None:
    if kind == "original":
        with path.open("rb") as file:
            shutil.copyfileobj(file, out, 1 << 20)
        return
    source = open_file(path, DATASET, submission.name)
    if kind in ("corrected", "changes"):
        wanted: dict[str, IO[bytes] | str] = {"corrected": os.devnull, "changes": os.devnull, kind: out}
        corrected.correct(_read(source, submission), wanted["corrected"], wanted["changes"], again=False)
        return
    found = result.findings(submission)
    if kind == "csv":
        findings = _findings(submission, chosen(found), source)
        csv_findings(out, [run.rule for run in findings.ledger], source, compared=True)(findings.frame)
    elif kind == "xlsx":
        workbook.write(_findings(submission, found, source), out, rest="download the findings as CSV")
    else:
        annotated.annotate(replace(_read(source, submission), findings=_findings(submission, found, source)), out)


def _read(source: Source, submission: Submission) -> Checked:
    """The file as it was read; nothing but consent is asked, since what was found then is kept."""
    return checked(source, DATASET, today=timezone.localdate(submission.checked), skip=["*"])


def _findings(submission: Submission, found: pl.DataFrame, source: Source) -> Findings:
    """What was kept of a check, as the writers take it."""
    counts = dict(found["rule"].value_counts().iter_rows())
    rules = {name: rule for name, rule in RULES.items() if name in counts or name not in _ON_HELD}
    # A rule may have left the book since.
    for name, severity, message, clause in found.select("rule", "severity", "message", "clause").unique().iter_rows():
        rules.setdefault(name, Rule(name, Severity(severity), message, clause, Never(), {}, {}))
    frame = found.select("row", pl.col("rule").cast(pl.Enum(list(rules))), "value", "client", "episode", "previous")
    first: dict[str, list[Seen]] = {}
    for name, *seen in found.group_by("rule").head(5).select("rule", *_SEEN).iter_rows():
        first.setdefault(name, []).append(Seen(*seen))
    ledger = [RuleRun(rule, "run", counts.get(name, 0), tuple(first.get(name, ()))) for name, rule in rules.items()]
    gravest = found.group_by("row").agg(pl.col("severity").cast(pl.Enum([s.value for s in Severity])).min())
    worst: Counter[str] = Counter(dict(gravest["severity"].cast(pl.String).value_counts().iter_rows()))
    summary = submission.summary
    completeness = {header: Filled(**counts) for header, counts in summary["completeness"].items()}
    return Findings(
        dataset=DATASET,
        today=timezone.localdate(submission.checked),
        source=source,
        rows=summary["rows"],
        examined=next((field.filled + field.blank for field in completeness.values()), 0),
        gravest={severity: worst[severity] for severity in Severity},
        ledger=tuple(ledger),
        completeness=completeness,
        notes=tuple(summary["notes"]),
        batches=(frame,),
        total=frame.height,
    )
