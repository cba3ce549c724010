"""The words that all formats of a report share: the verdict, the names of the severities, how a value is shown."""

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
    """The words for a severity.

    heading: above a group of findings.
    short: in a cell.
    meaning: what it means for the record, in one sentence without its full stop.
    """

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

#: The words for accepted records, by the gravest finding on them.
_ACCEPTED = {
    Severity.EXCLUDE: "may be left out of reports",
    Severity.MISMATCH: "would make a mismatch",
    Severity.QUERY: "with a query",
}
#: A rule that fires wherever it can, on at least so many rows, is one fault in the extract and no coincidence.
_ONE_FAULT = 20
#: The most notes that are shown.
_NOTES = 20
#: The most names that are listed before "and 12 more".
_NAMES = 5
#: A header cell of the sender's, as notes have them.
_QUOTED = re.compile("“([^“”]*)”")


# ---- what every format says ------------------------------------------------------------------------


def verdict(findings: Findings) -> str:
    """How many records would be accepted and rejected, in one sentence.

    Where rules were skipped the sentence begins with that, and does not say that nothing was found wrong.

    Args:
        findings: what the check found.
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
    """The verdict as if all rules had been asked."""
    rows, rejected = findings.rows, findings.rejected
    counts = {severity: findings.gravest[severity] for severity in _ACCEPTED if findings.gravest[severity]}
    if rows == 0:
        return "There are no records in the file, so there is nothing to accept or reject"
    if rows == 1:
        if rejected:
            return "The one record would be rejected"
        but = "".join(", with a query" if s is Severity.QUERY else f", but {_ACCEPTED[s]}" for s in counts)
        return f"The one record would be accepted{but or '; nothing was found wrong'}"
    if rejected == rows:
        return f"All {rows:,} records would be rejected"
    parts = ", ".join(f"{'each' if n == rows else f'{n:,}'} {_ACCEPTED[s]}" for s, n in counts.items())
    if not rejected:
        return f"All {rows:,} records would be accepted" + (f" ({parts})" if parts else "; nothing was found wrong")
    accepted = f"{findings.accepted:,} of {rows:,} records would be accepted"
    return accepted + (f" ({parts})" if parts else "") + f", {rejected:,} rejected"


def cautions(findings: Findings) -> tuple[str, ...]:
    """The sentences that stand beside the verdict: on what concerns most rows, and on missing columns."""
    sentences = [shown(note, 600) for note in findings.above]
    lost = findings.source.lost if findings.source else ()
    if missing := [header for header in _missing(findings) if header not in lost]:
        columns = "1 column is missing" if len(missing) == 1 else f"{len(missing):,} columns are missing"
        sentences.append(f"{columns}: {_first_names(missing)}; read as blank on every row")
    if lost and findings.source:
        columns = "1 column" if len(lost) == 1 else f"{len(lost):,} columns"
        sentences.append(
            f"{findings.source.shortened} end before {columns}: {_first_names(lost)}; missing, and read as blank there"
        )
    return tuple(sentences)


def notes(findings: Findings) -> tuple[str, ...]:
    """The first notes on the file, fit for a screen, then a sentence on the rules that could not be asked."""
    lines = [shown(_QUOTED.sub(lambda cell: f"“{shown(cell[1], 40)}”", note), 600) for note in findings.notes[:_NOTES]]
    if more := len(findings.notes) - len(lines):
        lines.append(f"and {more:,} more {'note' if more == 1 else 'notes'}")
    if idle := [run.rule.id for run in findings.ledger if run.state == "not applicable"]:
        lines.append(f"Not checked without knowing who submits: {', '.join(idle)}; say it with --agency CODE")
    return tuple(lines)


def uncounted(findings: Findings) -> str:
    """How many rows the completeness of fields leaves out, in one sentence; "" where none."""
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


def _first_names(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = len(names) - _NAMES
    if more > 0:
        return f"{', '.join(names[:_NAMES])} and {more:,} more"
    return listed(names)


def extent(run: RuleRun, findings: Findings) -> str:
    """On how many rows a rule fired, in words: "All 4,812 rows", "All 310 rows that have it", "22 rows", "The file"."""
    if run.rule.once:
        return "The file"
    if run.count == 1:
        return "1 row"
    if run.count == _could(run, findings):
        return f"All {run.count:,} rows"
    return f"All {run.count:,} rows that have it" if _wherever_filled(run, findings) else f"{run.count:,} rows"


def one_fault(run: RuleRun, findings: Findings) -> str:
    """A comment on a rule that fired on many rows, and wherever it could or its field is filled; else ""."""
    if run.count >= _ONE_FAULT and (run.count == _could(run, findings) or _wherever_filled(run, findings)):
        return f"one fault in the extract, not {run.count:,}"
    return ""


def _could(run: RuleRun, findings: Findings) -> int:
    """On how many rows a rule could fire: on a ragged or a gated row only the rule fires that says so."""
    if run.rule is RAGGED:
        return findings.rows
    return findings.rows - _ragged(findings) if run.rule.gate else findings.examined


def _ragged(findings: Findings) -> int:
    return sum(run.count for run in findings.ledger if run.rule is RAGGED)


def _wherever_filled(run: RuleRun, findings: Findings) -> bool:
    """Whether a rule on one field fired on every row on which that field is filled, too often for a coincidence."""
    filled = findings.completeness.get(run.rule.header)
    alone = set(run.rule.headers) <= {run.rule.header} and not reads_parameter(run.rule.fails_when, Parameter.SUBMITTER)
    return filled is not None and run.count == filled.filled >= _ONE_FAULT and alone


def field_label(dataset: Dataset, rule: Rule) -> str:
    """The document's name of the field that a rule is shown at."""
    field = dataset.by_header.get(rule.header)
    return field.label if field else "The whole row"


def clause_of(rule: Rule) -> str:
    """The clause of the business definitions that a rule cites, or the reason for our reading."""
    if rule.clause != OUR_READING:
        return rule.clause
    return f"Our reading: {rule.reading}" if rule.reading else "Our reading"


def first_findings(
    findings: Findings, most: int
) -> Iterator[tuple[int, Rule, str | None, str | None, str | None, str | None]]:
    """The first findings in row order, at most so many.

    Args:
        findings: what the check found.
        most: how many.

    Yields:
        For each finding its row, rule, value, previous value, client and episode.
    """
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
    """The value of a finding as people read it: a code with its label, a blank in words, a long text cut.

    Args:
        dataset: the dataset.
        rule: the rule that fired.
        value: the value; None where it is blank or withheld.
        previous: the value of the last submission, which follows the value; None where none is compared.
        limit: how many characters of a value are shown.
        quote: whether every value stands in quotation marks; by default only one with outer spaces does.

    Returns:
        The text.
    """
    if previous is not None:
        now, before = (value_shown(dataset, rule, v, limit=limit, quote=quote) for v in (value, previous))
        return f"{now}, last time {before}"
    if value is not None and rule.header == "ROW":
        # A finding on a ragged row has as its value how many cells there are, in words.
        return value
    if value is not None:
        text = shown(value, limit)
        label = _label(dataset, rule.header, value)
        return (f"“{text}”" if quote or text != text.strip() else text) + (f" ({shown(label, 48)})" if label else "")
    if rule.gate:
        return "(withheld)"
    return "(blank)" if rule.header != "ROW" else "(the row)"


def sent(findings: Findings, run: RuleRun, seen: Seen, limit: int = 60) -> str:
    """The value of one of a rule's first findings, as `value_shown` gives it, in quotation marks.

    Args:
        findings: what the check found.
        run: the rule, with its first findings.
        seen: one of these.
        limit: how many characters of a value are shown.

    Returns:
        The text; "" where the value is blank.
    """
    if seen.value is None and seen.previous is None:
        return "values withheld" if run.rule.gate else ""
    return value_shown(findings.dataset, run.rule, seen.value, seen.previous, limit, quote=True)


def _label(dataset: Dataset, header: str, value: str) -> str:
    """The label of a code; "" where the value is no code, and where the label would be a placeholder."""
    field = dataset.by_header.get(header)
    codes = dataset.codes_of(header) if field else None
    if field is None or codes is None:
        return field.apart.get(value, "") if field else ""
    return codes.labels.get(codes.also.get(value, value), "") if codes.status is not Status.PLACEHOLDER else ""


def shown(text: str, limit: int = 60) -> str:
    """A text from a file, fit for a screen: without control characters, at most `limit` characters long."""
    safe = "".join(c if c.isprintable() else "\ufffd" for c in text[: limit + 1])
    return safe if len(safe) <= limit else safe[: limit - 1] + "…"


def percent(part: int, whole: int) -> str:
    """A share in per cent, as text; "100%" and "0%" only where it is exactly that."""
    if whole == 0:
        return "–"
    if part in (0, whole):
        return "100%" if part else "0%"
    share = part / whole * 100
    return ">99.9%" if share >= 99.95 else "<0.1%" if share < 0.05 else f"{share:.1f}%"


def gaps(findings: Findings) -> tuple[list[str], dict[str, Filled], tuple[str, ...]]:
    """The fields by how complete they are.

    Args:
        findings: what the check found.

    Returns:
        The headers that are filled and answered on every row; the counts of others, by header; the headers that are
        missing from the file.
    """
    full, other = [], {}
    # A missing header may still be filled on the few rows that are not shortened; then it has counts.
    missing = tuple(header for header in _missing(findings) if not findings.completeness[header].filled)
    for header, count in findings.completeness.items():
        if count.filled and not (count.blank or count.not_answered or count.bad):
            full.append(header)
        elif header not in missing:
            other[header] = count
    return full, other, missing


def letters(columns: Sequence[str | None]) -> dict[str, str]:
    """The letter of each column in a spreadsheet (A to Z, AA and so on), by header.

    Args:
        columns: for each column of the file its header, or None where it is unknown.
    """
    letter_of = {}
    for place, header in enumerate(columns, 1):
        letter = ""
        while place:
            place, digit = divmod(place - 1, 26)  # noqa: PLW2901 - counted down to nothing
            letter = chr(ord("A") + digit) + letter
        if header:
            letter_of[header] = letter
    return letter_of
