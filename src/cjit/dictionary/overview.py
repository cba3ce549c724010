"""The dictionary and the rule book of a dataset as plain text.

The dictionary describes single fields; the rules across fields are in the rule book.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from textwrap import fill, indent, wrap

from cjit.dataset import Changes, Code, CodeList, Dataset, Entity, Field, Rule, Severity, Status
from cjit.engine import compare
from cjit.engine.rulebook import rule_book
from cjit.kinds import kinds_of

ATTRIBUTION = (
    "Contains public sector information licensed under the Open Government Licence v3.0: the business "
    "definitions (CJIT dataset Q, V4.2), Office for Health Improvement and Disparities."
)

_WIDTH = 100

SECTIONS = {
    Entity.CLIENT: "Client details",
    Entity.EPISODE: "Episode details",
    Entity.INTERVENTION: "Interventions",
    Entity.REFERRAL: "Referrals to structured treatment",
}
_MISSING = {
    Severity.REJECT: "the record will be rejected",
    Severity.EXCLUDE: "the record may be excluded from performance monitoring reports",
    Severity.QUERY: "the record is queried",
    None: "no consequence is stated; blanks are counted",
}
STATUSES = {
    Status.STATED: "complete, as printed in the business definitions",
    Status.DERIVED: "taken as complete, from another system or standard",
    Status.OFFICIAL: "installed from the official reference data",
    Status.PARTIAL: "known in part: a code that is not here is not reported as wrong",
    Status.PLACEHOLDER: "stand-ins where this project does not have the code or label: a code that is not here is not "
    "reported as wrong",
}


class DictionaryProblem(ValueError):  # noqa: N818  the message is the error
    """There is no such field, rule or format. The message is one sentence that says what to choose."""


# ---- for a reader ----------------------------------------------------------------------------------


def overview(dataset: Dataset) -> str:
    """Every field of a dataset, one a line, in the document's order under the headings of its sections."""
    kinds = kinds_of(dataset)
    rows = [
        (
            field.header,
            kinds[field.header].shortly,
            _short_missing(field),
            _short_changes(field),
            field.label,
        )
        for field in dataset.fields
    ]
    heads = ("HEADER", "WRITTEN AS", "IF MISSING", "MAY CHANGE", "LABEL")
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    lines = [f"{dataset.title}: {len(rows)} fields, in effect from {dataset.effective:%d/%m/%Y}"]
    for entity in Entity:
        section = [row for row, field in zip(rows, dataset.fields, strict=True) if field.entity is entity]
        if section:
            lines += ["", SECTIONS[entity]]
            lines += [_row(row, widths) for row in (heads, *section)]
    return "\n".join(lines) + "\n"


def describe(dataset: Dataset, header: str) -> str:
    """One field in full, with its codes and rules, as plain text.

    Args:
        dataset: the dataset.
        header: the field's header, or another spelling of it that is read, in any case.

    Returns:
        The lines, each with its line feed.

    Raises:
        DictionaryProblem: where the dataset has no such field.
    """
    field = _field(dataset, header)
    lines = [f"{field.header}: {field.label}", "", fill(field.definition, _WIDTH), ""]
    facts = list(facts_of(dataset, field))
    width = max(len(name) for name, _ in facts) + 1
    for name, fact in facts:
        lines += wrap(fact, _WIDTH, initial_indent=f"{name + ':':<{width + 1}}", subsequent_indent=" " * (width + 1))
    codes = dataset.codes_of(field.header)
    if codes:
        lines += ["", fill(f"Codes ({len(codes.codes)}, {STATUSES[codes.status]})", _WIDTH)]
        lines += _code_lines(codes)
    rules = [rule for rule in dataset.rules if _concerns(rule, field)]
    if rules:
        lines += ["", f"Rules ({len(rules)})"]
        for rule in rules:
            lines.append(f"  {rule.id} ({rule.severity.value})")
            lines.append(indent(fill(rule.message, _WIDTH - 6), " " * 6))
    return "\n".join(lines) + "\n"


def rules(dataset: Dataset, pattern: str | None = None) -> str:
    """The rule book as plain text: one line a rule, or the rules that match a pattern in full.

    Args:
        dataset: the dataset.
        pattern: a rule's id, a header or a pattern such as `DISABLE*` (None: every rule, one a line).

    Returns:
        The lines, each with its line feed.

    Raises:
        DictionaryProblem: where no rule matches.
    """
    if pattern is None:
        width = max(len(rule.id) for rule in dataset.rules) + 2
        lines = [f"{dataset.title}: {len(dataset.rules)} rules", ""]
        lines += [f"{rule.id:<{width}}{rule.severity.value:<9}{rule.message}" for rule in dataset.rules]
        changes = compare.rules(dataset)
        lines += [
            "",
            f"And {len(changes)} on what changed since the last submission: see “cjit rules '*.is_unchanged'”",
        ]
        return "\n".join(lines) + "\n"
    wanted = pattern.strip()
    book = rule_book(dataset, compared=True).rules
    matching = [rule for rule in book if rule.matches(wanted) or rule.matches(wanted.upper())]
    if not matching:
        near = get_close_matches(wanted, [rule.id for rule in book], n=1)
        hint = f"did you mean {near[0]}?" if near else "“cjit rules” lists them all"
        raise DictionaryProblem(f"No rule matches “{wanted[:60]}”: {hint}")
    return "\n".join(_rule_in_full(rule) for rule in matching)


def _rule_in_full(rule: Rule) -> str:
    """A rule with its message, clause and examples, as plain text."""
    facts = [("Severity", rule.severity.value), ("Message", rule.message), ("Clause", rule.clause)]
    if rule.reading:
        facts.append(("Why", rule.reading))
    examples = (("Broken by", rule.breaks), ("Kept by", rule.holds)) if rule.breaks or rule.holds else ()
    for name, example in examples:
        records = [example] if isinstance(example, Mapping) else example
        for number, record in enumerate(records, 1):
            place = f", record {number}" if len(records) > 1 else ""
            cells = ", ".join(f"{header} = {value or 'blank'}" for header, value in record.items())
            facts.append((name + place, cells or "the example as it is"))
    lines = [rule.id]
    for name, fact in facts:
        lines += wrap(fact, _WIDTH, initial_indent=f"  {name}: ", subsequent_indent="      ")
    return "\n".join(lines) + "\n"


def _field(dataset: Dataset, header: str) -> Field:
    """The field with a header or another spelling of it. Raises `DictionaryProblem`."""
    wanted = header.strip().upper()
    fields = {spelling: field for field in dataset.fields for spelling in (field.header, *field.also)}
    if wanted in fields:
        return fields[wanted]
    near = get_close_matches(wanted, fields, n=1)
    if wanted in dataset.elsewhere:
        hint = f"it is in dataset {dataset.elsewhere[wanted]}"
    elif near:
        hint = f"did you mean {near[0]}?"
    else:
        hint = "“cjit dictionary” lists them all"
    raise DictionaryProblem(f"{dataset.title} has no field “{header.strip()[:40]}”: {hint}")


def _concerns(rule: Rule, field: Field) -> bool:
    """Whether a rule is shown at a field or reads its value. An id that only groups rows does not count as read."""
    return rule.header == field.header or (field.header in rule.headers and rule.across != field.header)


def facts_of(dataset: Dataset, field: Field) -> Iterator[tuple[str, str]]:
    """The facts on a field beside its definition, codes and rules: pairs of a name and a text."""
    yield "Section", SECTIONS[field.entity]
    yield "Written as", kinds_of(dataset)[field.header].described
    yield "If missing", missing_in_words(dataset, field)
    yield "Updatability", field.changes.value
    if field.as_of:
        yield "Recorded as per", field.as_of
    if field.system:
        yield "Filled in by", "your software system"
    if field.also:
        yield "Also read as", ", ".join(field.also)
    if field.none:
        yield "Read as blank", ", ".join(field.none)
    if others := other_headers(dataset, field):
        yield "Other codes read", others
    if field.withdraws:
        yield "Withdrawn by", ", ".join(f"{c} ({dataset.lists[field.codes or ''].labels[c]})" for c in field.withdraws)
    yield "Source", f"business definitions, {field.clause}"


def other_headers(dataset: Dataset, field: Field) -> str:
    """The other codes that are read as codes of the field's list, such as "1 as M"; "" where there are none."""
    codes = dataset.codes_of(field.header)
    return ", ".join(f"{other} as {code}" for other, code in codes.also.items()) if codes else ""


def missing_in_words(dataset: Dataset, field: Field) -> str:
    """The consequence for a record in which a field is blank, as a clause without a full stop."""
    if not field.required:
        return _MISSING[field.missing]
    rule = next(rule for rule in dataset.written if rule.id.startswith(f"{field.header}.is_given"))
    return f"required {field.required}, or {_MISSING[rule.severity]}; otherwise left blank"


def _code_lines(codes: CodeList) -> Iterator[str]:
    """The lines of a code list, under the headings of its groups."""
    width = max(map(len, codes.codes))
    group = ""
    for row in codes.rows:
        if row.group != group:
            group = row.group
            yield f"  {group}:"
        yield from wrap(
            _labelled(row),
            _WIDTH,
            initial_indent=f"  {row.code:<{width}}  ",
            subsequent_indent=" " * (width + 4),
        )
        if row.definition:
            yield from wrap(
                row.definition, _WIDTH, initial_indent=" " * (width + 6), subsequent_indent=" " * (width + 6)
            )


def _labelled(row: Code) -> str:
    """The label of a code with its first and last day, and a mark where the code is a placeholder."""
    text = row.label
    if row.start:
        text += f", from {row.start:%d/%m/%Y}"
    if row.end:
        text += f", to {row.end:%d/%m/%Y}"
    return f"{text} [placeholder]" if row.status is Status.PLACEHOLDER else text


def _row(cells: Iterable[str], widths: Iterable[int]) -> str:
    padded = (f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True))
    return f"  {'  '.join(padded)}".rstrip()


def _short_missing(field: Field) -> str:
    """The consequence of a blank in one or two words."""
    if field.required:
        return "by rule"
    return field.missing.value if field.missing else "-"


def _short_changes(field: Field) -> str:
    """Whether a field may change, in a few words."""
    return {
        Changes.SHOULD_NOT: "no",
        Changes.MISMATCH: "no (mismatch)",
        Changes.MAY: "yes",
        Changes.FILLED_ONLY: "blank to filled",
    }[field.changes]
