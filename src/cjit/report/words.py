"""The words every format of a report shares: the verdict, what each severity is called, how a value is shown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cjit.conditions import Parameter, reads_parameter
from cjit.dataset import OUR_READING, Dataset, Rule, Severity, Status
from cjit.engine.findings import RAGGED
from cjit.sentences import listed

if TYPE_CHECKING:
    from cjit.engine.findings import Filled, Findings, RuleRun, Seen


@dataclass(frozen=True)
class Words:
    """How a severity is named: above a group, in a cell, and what it means for the record."""

    heading: str
    short: str
    meaning: str


WORDS: dict[Severity, Words] = {
    Severity.REJECT: Words("Would be rejected", "Reject", "The record will not be accepted until this is put right"),
    Severity.EXCLUDE: Words(
        "May be left out of reports",
        "Exclude",
        "This alone does not stop the record, but it may be left out of performance monitoring reports",
    ),
    Severity.MISMATCH: Words(
        "Would make a validation mismatch",
        "Mismatch",
        "The record differs from the one held: at submission, answer with replace or delete",
    ),
    Severity.QUERY: Words(
        "Queries", "Query", "This alone does not stop the record; look at it, and correct it if it is wrong"
    ),
}

#: What is said of accepted records, by the gravest finding on them.
_ACCEPTED = {
    Severity.EXCLUDE: "may be left out of reports",
    Severity.MISMATCH: "would make a mismatch",
    Severity.QUERY: "with a query",
}
#: From how many rows on a rule that fires wherever it can is one fault in the extract, and no coincidence.
_ONE_FAULT = 20
#: Notes that are read; names that are said before "and 12 more".
_NOTES = 20
_NAMES = 5


# ---- what every form says --------------------------------------------------------------------------


def verdict(findings: Findings) -> str:
    """How many records would be accepted and rejected, and what is said of the accepted, in one sentence.

    Where not every rule was asked it begins with that, and nobody is told that nothing was found wrong.
    """
    sentence = _verdict(findings)
    skipped = _skipped(findings)
    if not skipped or not findings.rows:
        return sentence
    rules = len(findings.ledger)
    sentence = sentence.removesuffix("; nothing was found wrong")
    return f"Only {rules - skipped:,} of {rules:,} rules were asked: by these, {sentence[0].lower()}{sentence[1:]}"


def _skipped(findings: Findings) -> int:
    return sum(run.state == "skipped" for run in findings.ledger)


def _verdict(findings: Findings) -> str:
    rows, rejected = findings.rows, findings.rejected
    said = {severity: findings.gravest[severity] for severity in _ACCEPTED if findings.gravest[severity]}
    if rows == 0:
        return "There are no records in the file, so there is nothing to accept or reject"
    if rows == 1:
        if rejected:
            return "The one record would be rejected"
        but = "".join(", with a query" if s is Severity.QUERY else f", but {_ACCEPTED[s]}" for s in said)
        return f"The one record would be accepted{but or '; nothing was found wrong'}"
    if rejected == rows:
        return f"All {rows:,} records would be rejected"
    parts = ", ".join(f"{'each' if n == rows else f'{n:,}'} {_ACCEPTED[s]}" for s, n in said.items())
    if not rejected:
        return f"All {rows:,} records would be accepted" + (f" ({parts})" if parts else "; nothing was found wrong")
    accepted = f"{findings.accepted:,} of {rows:,} records would be accepted"
    return accepted + (f" ({parts})" if parts else "") + f", {rejected:,} rejected"


def cautions(findings: Findings) -> tuple[str, ...]:
    """What the verdict does not speak of, a sentence each: what stands above all, and missing columns."""
    said = [shown(note, 600) for note in findings.above]
    lost = findings.source.lost if findings.source else ()
    if missing := [header for header in _missing(findings) if header not in lost]:
        columns = "1 column is missing" if len(missing) == 1 else f"{len(missing):,} columns are missing"
        said.append(f"{columns}: {_some(missing)}; read as blank on every row")
    if lost and findings.source:
        columns = "1 column" if len(lost) == 1 else f"{len(lost):,} columns"
        said.append(
            f"{findings.source.shortened} end before {columns}: {_some(lost)}; missing, and read as blank there"
        )
    return tuple(said)


def notes(findings: Findings) -> tuple[str, ...]:
    """The notes on the file, fit for a screen, then the rules that could not be checked."""
    lines = [shown(_QUOTED.sub(lambda cell: f"“{shown(cell[1], 40)}”", note), 600) for note in findings.notes[:_NOTES]]
    if more := len(findings.notes) - len(lines):
        lines.append(f"and {more:,} more {'note' if more == 1 else 'notes'}")
    if idle := [run.rule.id for run in findings.ledger if run.state == "not applicable"]:
        lines.append(f"Not checked without knowing who submits: {', '.join(idle)}; say it with --agency CODE")
    return tuple(lines)


#: A header cell of the sender's, as notes have them.
_QUOTED = re.compile("“([^“”]*)”")


def uncounted(findings: Findings) -> str:
    """Which rows the completeness of fields leaves out, in one sentence; empty where none."""
    ragged = _ragged(findings)
    closed = findings.rows - findings.examined - ragged
    parts = [
        f"{count:,} {'row' if count == 1 else 'rows'} {what}"
        for count, what in ((closed, "without consent"), (ragged, "whose cells cannot be told apart"))
        if count
    ]
    return f"Not counted: {' and '.join(parts)}" if parts else ""


def _missing(findings: Findings) -> tuple[str, ...]:
    return findings.source.missing if findings.source else ()


def _some(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = len(names) - _NAMES
    if more > 0:
        return f"{', '.join(names[:_NAMES])} and {more:,} more"
    return listed(names)


def extent(run: RuleRun, findings: Findings) -> str:
    """On how many rows a rule fired: "All 4,812 rows", "All 310 rows that have it", "22 rows"; or on the file."""
    if run.rule.once:
        return "The file"
    if run.count == 1:
        return "1 row"
    if run.count == _could(run, findings):
        return f"All {run.count:,} rows"
    return f"All {run.count:,} rows that have it" if _wherever_filled(run, findings) else f"{run.count:,} rows"


def one_fault(run: RuleRun, findings: Findings) -> str:
    """The comment on a rule that fired on many rows and on every one, or on every one its field is filled on."""
    if run.count >= _ONE_FAULT and (run.count == _could(run, findings) or _wherever_filled(run, findings)):
        return f"one fault in the extract, not {run.count:,}"
    return ""


def _could(run: RuleRun, findings: Findings) -> int:
    """On how many rows a rule could fire: of a row that is not looked at it is said why, and nothing else."""
    if run.rule is RAGGED:
        return findings.rows
    return findings.rows - _ragged(findings) if run.rule.gate else findings.examined


def _ragged(findings: Findings) -> int:
    return sum(run.count for run in findings.ledger if run.rule is RAGGED)


def _wherever_filled(run: RuleRun, findings: Findings) -> bool:
    """Whether a rule on one field fired wherever that field is filled, too often for a coincidence."""
    filled = findings.completeness.get(run.rule.header)
    alone = set(run.rule.headers) <= {run.rule.header} and not reads_parameter(run.rule.fails_when, Parameter.SUBMITTER)
    return filled is not None and run.count == filled.filled >= _ONE_FAULT and alone


def field_label(dataset: Dataset, rule: Rule) -> str:
    """The document's name of the field a rule is shown at."""
    field = dataset.by_header.get(rule.header)
    return field.label if field else "The whole row"


def clause_of(rule: Rule) -> str:
    """Where a rule stands in the business definitions, or why we read it so."""
    if rule.clause != OUR_READING:
        return rule.clause
    return f"Our reading: {rule.reading}" if rule.reading else "Our reading"


def each(findings: Findings, most: int) -> Iterator[tuple[int, Rule, str | None, str | None, str | None, str | None]]:
    """The first findings row by row, at most so many: row, rule, value, previous value, client and episode."""
    rules = {run.rule.id: run.rule for run in findings.ledger}
    for line in findings.first(most):
        yield line.row, rules[line.rule], line.value, line.previous, line.client, line.episode


def value_shown(
    dataset: Dataset,
    rule: Rule,
    value: str | None,
    previous: str | None = None,
    limit: int = 60,
    *,
    quote: bool = False,
) -> str:
    """The value of a finding for a person: codes with their label, blank ones in words, long ones cut.

    It stands in quotation marks where it has outer spaces, or where `quote` asks for them; `previous`, the value
    of the last submission, follows it.
    """
    if previous is not None:
        now, before = (value_shown(dataset, rule, v, limit=limit, quote=quote) for v in (value, previous))
        return f"{now}, last time {before}"
    if value is not None and rule.header == "ROW":
        # How many cells it has, in words of ours.
        return value
    if value is not None:
        text = shown(value, limit)
        label = _label(dataset, rule.header, value)
        return (f"“{text}”" if quote or text != text.strip() else text) + (f" ({shown(label, 48)})" if label else "")
    if rule.gate:
        return "(withheld)"
    return "(blank)" if rule.header != "ROW" else "(the row)"


def sent(findings: Findings, run: RuleRun, seen: Seen, limit: int = 60) -> str:
    """The value of one of a rule's first findings, in quotation marks; empty where it was blank."""
    # Only where a last submission was compared is there a value of it.
    previous = seen.previous
    if seen.value is None and previous is None:
        return "values withheld" if run.rule.gate else ""
    return value_shown(findings.dataset, run.rule, seen.value, previous, limit, quote=True)


def _label(dataset: Dataset, header: str, value: str) -> str:
    """What a code stands for; empty where it is none, and where its label would be our stand-in."""
    field = dataset.by_header.get(header)
    codes = dataset.codes_of(header) if field else None
    if field is None or codes is None:
        return field.apart.get(value, "") if field else ""
    return codes.labels.get(codes.also.get(value, value), "") if codes.status is not Status.PLACEHOLDER else ""


def shown(text: str, limit: int = 60) -> str:
    """Text from a file, fit for a screen: no control characters, at most `limit` characters."""
    safe = "".join(c if c.isprintable() else "\ufffd" for c in text[: limit + 1])
    return safe if len(safe) <= limit else safe[: limit - 1] + "…"


def percent(part: int, whole: int) -> str:
    """A share for a person; "100%" and "0%" only when it is all or nothing."""
    if whole == 0:
        return "–"
    if part in (0, whole):
        return "100%" if part else "0%"
    share = part / whole * 100
    return ">99.9%" if share >= 99.95 else "<0.1%" if share < 0.05 else f"{share:.1f}%"


def gaps(findings: Findings) -> tuple[list[str], dict[str, Filled], tuple[str, ...]]:
    """The headers that are filled and answered on every row, how complete others are, and those not in the file."""
    full, other = [], {}
    # Where a few rows have what all others lack, it is told how many.
    missing = tuple(header for header in _missing(findings) if not findings.completeness[header].filled)
    for header, count in findings.completeness.items():
        if count.filled and not (count.blank or count.not_answered or count.bad):
            full.append(header)
        elif header not in missing:
            other[header] = count
    return full, other, missing


def letters(columns: Sequence[str | None]) -> dict[str, str]:
    """The spreadsheet's letter for each header, in the sender's own order: A to Z, AA and so on."""
    found = {}
    for place, header in enumerate(columns, 1):
        letter = ""
        while place:
            place, digit = divmod(place - 1, 26)  # noqa: PLW2901 - counted down to nothing
            letter = chr(ord("A") + digit) + letter
        if header:
            found[header] = letter
    return found
