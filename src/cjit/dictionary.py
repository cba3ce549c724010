"""The dictionary of a dataset: one field in full, all of them at a glance, and exports others can read.

Every export describes single fields only; what must hold across fields is in the rule book. A list that
is partial, or made of placeholders, is never exported as a closed one: a code that is not in it is not
known to be wrong.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from textwrap import fill, indent, wrap
from typing import Any

from cjit import dates
from cjit.dataset import Changes, Code, CodeList, Dataset, Entity, Field, Kind, Rule, Severity, Status
from cjit.geography import TRUNCATED
from cjit.kinds import EARLIEST

#: The formats of `export`.
FORMATS = ("json-schema", "table-schema", "csvw", "markdown")

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
_KINDS = {
    Kind.ID: "text",
    Kind.INITIAL: "one capital letter, A to Z",
    Kind.DATE: f"date, {dates.PLAINLY}, the same way throughout a file",
    Kind.CODE: "code",
    Kind.NUMBER: "whole number",
    Kind.POSTCODE: "postcode less its last two characters, such as NR14 7",
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
    """No such field or format; the message is one sentence that says what to choose."""


# ---- for a reader ----------------------------------------------------------------------------------


def overview(dataset: Dataset) -> str:
    """Every field on one line, in the document's order: plain text, sections as headings."""
    rows = [
        (field.header, _short_kind(field), _short_missing(field), _short_changes(field), field.label)
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
    """One field in full, as plain text.

    `header` may be in any case, or another spelling the field is read by. Raises `DictionaryProblem`
    when the dataset has no such field.
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
    """The rule book as plain text: one line a rule, or those that match a pattern in full.

    `pattern` is a rule's id, a header or a pattern such as `DISABLE*`. Raises `DictionaryProblem` when no rule
    matches.
    """
    if pattern is None:
        width = max(len(rule.id) for rule in dataset.rules) + 2
        lines = [f"{dataset.title}: {len(dataset.rules)} rules", ""]
        lines += [f"{rule.id:<{width}}{rule.severity.value:<9}{rule.message}" for rule in dataset.rules]
        return "\n".join(lines) + "\n"
    wanted = pattern.strip()
    found = [rule for rule in dataset.rules if rule.matches(wanted) or rule.matches(wanted.upper())]
    if not found:
        near = get_close_matches(wanted, [rule.id for rule in dataset.rules], n=1)
        hint = f"did you mean {near[0]}?" if near else "“cjit rules” lists them all"
        raise DictionaryProblem(f"No rule matches “{wanted[:60]}”: {hint}")
    return "\n".join(_rule_in_full(rule) for rule in found)


def _rule_in_full(rule: Rule) -> str:
    facts = [("Severity", rule.severity.value), ("Message", rule.message), ("Clause", rule.clause)]
    if rule.reading:
        facts.append(("Why", rule.reading))
    for name, example in (("Broken by", rule.breaks), ("Kept by", rule.holds)):
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
    """Whether a rule is shown at a field or reads its value; an id that only gathers rows is not read."""
    read = {column.removesuffix(" as sent").removesuffix(" as read") for column in rule.headers}
    return rule.header == field.header or (field.header in read and rule.across != field.header)


def facts_of(dataset: Dataset, field: Field) -> Iterator[tuple[str, str]]:
    """What there is to say of a field beside its definition, codes and rules, name by name, as plain text."""
    yield "Section", SECTIONS[field.entity]
    yield "Written as", _written(field)
    yield "If missing", _missing(dataset, field)
    yield "Updatability", field.changes.value
    if field.as_of:
        yield "Recorded as per", field.as_of
    if field.system:
        yield "Filled in by", "your software system"
    if field.also:
        yield "Also read as", ", ".join(field.also)
    if field.none:
        yield "Read as blank", ", ".join(field.none)
    if others := _others(dataset, field):
        yield "Other codes read", others
    if field.withdraws:
        yield "Withdrawn by", ", ".join(f"{c} ({dataset.lists[field.codes or ''].labels[c]})" for c in field.withdraws)
    yield "Source", f"business definitions, {field.clause}"


def _others(dataset: Dataset, field: Field) -> str:
    """The other codes that are read as those of the field's list, such as "1 as M"."""
    codes = dataset.codes_of(field.header)
    return ", ".join(f"{other} as {code}" for other, code in codes.also.items()) if codes else ""


def _missing(dataset: Dataset, field: Field) -> str:
    if not field.required:
        return _MISSING[field.missing]
    held = next(rule for rule in dataset.written if rule.id.startswith(f"{field.header}.is_given"))
    return f"required {field.required}, or {_MISSING[held.severity]}; otherwise left blank"


def _written(field: Field) -> str:
    if field.kind is Kind.CODE:
        return f"code of the list {field.codes}"
    if field.kind is not Kind.NUMBER:
        return _KINDS[field.kind]
    apart = "".join(f", or {code} ({label})" for code, label in field.apart.items())
    return f"{_KINDS[field.kind]} from {field.minimum} to {field.maximum}{apart}"


def _code_lines(codes: CodeList) -> Iterator[str]:
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
    """A code's label, with its dates, and marked where the code is a stand-in."""
    text = row.label
    if row.start:
        text += f", from {row.start:%d/%m/%Y}"
    if row.end:
        text += f", to {row.end:%d/%m/%Y}"
    return f"{text} [placeholder]" if row.status is Status.PLACEHOLDER else text


def _row(cells: Iterable[str], widths: Iterable[int]) -> str:
    padded = (f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True))
    return f"  {'  '.join(padded)}".rstrip()


def _short_kind(field: Field) -> str:
    match field.kind:
        case Kind.DATE:
            return dates.PLAINLY
        case Kind.CODE:
            return f"code: {field.codes}"
        case Kind.NUMBER:
            return f"{field.minimum} to {field.maximum}" + "".join(f", {code}" for code in field.apart)
        case Kind.INITIAL:
            return "one letter"
        case Kind.POSTCODE:
            return "such as NR14 7"
        case Kind.ID:
            return "text"


def _short_missing(field: Field) -> str:
    if field.required:
        return "by rule"
    return field.missing.value if field.missing else "-"


def _short_changes(field: Field) -> str:
    return {
        Changes.SHOULD_NOT: "no",
        Changes.MISMATCH: "no (mismatch)",
        Changes.MAY: "yes",
        Changes.FILLED_ONLY: "blank to filled",
    }[field.changes]


# ---- exports ---------------------------------------------------------------------------------------


def export(dataset: Dataset, format: str) -> str:  # noqa: A002  the command's own word
    """The whole dictionary in a format of `FORMATS`; the same dataset always gives the same text.

    Each describes what is to be written. A date is text in either style, since a type has one; 29 February stands in
    every year.
    `json-schema`: JSON Schema 2020-12 of one record, text by header, a blank being "" or left out.
    `table-schema`: a Frictionless Table Schema of the CSV file. `csvw`: its CSV on the Web metadata, whose
    `url` is to be set to the file's. `markdown`: a page. Raises `DictionaryProblem` for another format.
    """
    match format:
        case "json-schema":
            return _json(_json_schema(dataset))
        case "table-schema":
            return _json(_table_schema(dataset))
        case "csvw":
            return _json(_csvw(dataset))
        case "markdown":
            return "\n".join(_markdown(dataset)) + "\n"
    raise DictionaryProblem(f"There is no format “{format[:40]}”: choose one of {', '.join(FORMATS)}")


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _required(field: Field) -> bool:
    """Left blank, the record is rejected: the one consequence a schema can tell."""
    return field.missing is Severity.REJECT


def _closed(dataset: Dataset, field: Field) -> CodeList | None:
    """The field's code list, where a code that is not in it is wrong."""
    codes = dataset.codes_of(field.header)
    return codes if codes and codes.complete else None


def _about(dataset: Dataset, field: Field) -> str:
    """A field's definition, with a word on when it is needed, as of when, and on a list that is not closed."""
    codes = dataset.codes_of(field.header)
    about = [field.definition]
    if field.required:
        about.append(f"({_capital(_missing(dataset, field))}.)")
    if field.as_of:
        about.append(f"(Recorded as per {field.as_of}.)")
    if codes and not codes.complete:
        about.append(f"(Codes: {STATUSES[codes.status]}.)")
    if others := _others(dataset, field):
        about.append(f"(Read, and not written: {others}.)")
    if field.kind is Kind.DATE:
        about.append(f"(Written {dates.PLAINLY}, the same way throughout a file.)")
    return " ".join(about)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _pattern(dataset: Dataset, field: Field) -> str:
    """A regular expression, without anchors, of the text a field is written as.

    It keeps to what Python and ECMAScript read alike. Empty for a list that is not closed.
    """
    match field.kind:
        case Kind.DATE:
            year = f"({EARLIEST.year // 100}|[2-9][0-9])[0-9]{{2}}"
            slashed = "|".join(f"{day}/{month}" for day, month in _DAYS)
            eight = "|".join(f"{month}{day}" for day, month in _DAYS)
            return f"({slashed})/{year}|{year}({eight})"
        case Kind.NUMBER:
            numbers = _numbers(field.minimum or 0, field.maximum or 999_999_999)
            return "|".join((*numbers, *field.apart))
        case Kind.CODE:
            codes = _closed(dataset, field)
            return "|".join(codes.codes) if codes else ""
        case Kind.INITIAL:
            return "[A-Z]"
        case Kind.POSTCODE:
            return TRUNCATED.removeprefix("^").removesuffix("$").replace("(?:", "(")
        case Kind.ID:
            return "[^ ](.*[^ ])?"


#: The days of a month and the months that have them, leap years apart.
_DAYS = (("(0[1-9]|[12][0-9])", "(0[1-9]|1[0-2])"), ("30", "(0[13-9]|1[0-2])"), ("31", "(0[13578]|1[02])"))


def _numbers(low: int, high: int) -> Iterator[str]:
    """Patterns of the whole numbers from `low` to `high`, ten at a time."""
    for tens in range(low // 10, high // 10 + 1):
        first, last = max(low, tens * 10) % 10, min(high, tens * 10 + 9) % 10
        units = f"[{first}-{last}]" if first != last else str(first)
        yield f"{tens or ''}{units}"


def _json_schema(dataset: Dataset) -> dict[str, Any]:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": ATTRIBUTION,
        "title": dataset.title,
        "description": "One record, as text by CSV header; a blank is an empty text or left out.",
        "type": "object",
        "properties": {field.header: _json_property(dataset, field) for field in dataset.fields},
        "required": [field.header for field in dataset.fields if _required(field)],
        "additionalProperties": False,
    }


def _json_property(dataset: Dataset, field: Field) -> dict[str, Any]:
    found: dict[str, Any] = {
        "title": field.label,
        "description": _about(dataset, field),
        "type": "string",
    }
    codes = _closed(dataset, field)
    if codes:
        choices = [{"const": code, "title": codes.labels[code]} for code in codes.codes]
        found["oneOf"] = choices if _required(field) else [*choices, {"const": "", "title": "Blank"}]
        return found
    pattern = _pattern(dataset, field) or "[^ ](.*[^ ])?"
    found["pattern"] = f"^({pattern})$" if _required(field) else f"^({pattern})?$"
    return found


def _table_schema(dataset: Dataset) -> dict[str, Any]:
    return {
        "$schema": "https://datapackage.org/profiles/2.0/tableschema.json",
        "title": dataset.title,
        "description": ATTRIBUTION,
        "fields": [_table_field(dataset, field) for field in dataset.fields],
        "missingValues": [""],
    }


def _table_field(dataset: Dataset, field: Field) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": field.header,
        "title": field.label,
        "description": _about(dataset, field),
        "type": "string",
    }
    constraints: dict[str, Any] = {"required": True} if _required(field) else {}
    codes = _closed(dataset, field)
    if field.kind is Kind.NUMBER and not field.apart:
        found["type"] = "integer"
        constraints |= {"minimum": field.minimum, "maximum": field.maximum}
    elif codes:
        constraints["enum"] = list(codes.codes)
    elif pattern := _pattern(dataset, field):
        constraints["pattern"] = f"^({pattern})$"
    return {**found, "constraints": constraints} if constraints else found


def _csvw(dataset: Dataset) -> dict[str, Any]:
    return {
        "@context": ["http://www.w3.org/ns/csvw", {"@language": "en"}],
        "url": f"cjit-{dataset.letter.lower()}.csv",
        "dc:title": dataset.title,
        "dc:rights": ATTRIBUTION,
        "dc:license": {"@id": "https://www.nationalarchives.gov.uk/doc/open-government-licence/version/3/"},
        "dialect": {"encoding": "utf-8", "lineTerminators": ["\r\n", "\n"]},
        "tableSchema": {"columns": [_csvw_column(dataset, field) for field in dataset.fields]},
    }


def _csvw_column(dataset: Dataset, field: Field) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": field.header,
        "titles": [field.header, *field.also],
        "dc:title": field.label,
        "dc:description": _about(dataset, field),
        "datatype": "string",
    }
    if field.kind is Kind.NUMBER and not field.apart:
        found["datatype"] = {"base": "integer", "minimum": field.minimum, "maximum": field.maximum}
    elif pattern := _pattern(dataset, field):
        found["datatype"] = {"base": "string", "format": f"^({pattern})$"}
    if _required(field):
        found["required"] = True
    return found


def _markdown(dataset: Dataset) -> Iterator[str]:
    yield f"# {dataset.title}: dictionary"
    yield ""
    yield f"From {dataset.effective:%d/%m/%Y}: {len(dataset.fields)} fields, in the document's order."
    for entity in Entity:
        fields = dataset.entity(entity)
        if not fields:
            continue
        yield from ("", f"## {SECTIONS[entity]}", "")
        yield "| Header | Label | Written as | If missing | May change |"
        yield "| --- | --- | --- | --- | --- |"
        for field in fields:
            cells = (
                f"[{field.header}](#{field.header.lower()})",
                field.label,
                _short_kind(field),
                _short_missing(field),
                _short_changes(field),
            )
            yield f"| {' | '.join(map(_cell, cells))} |"
        for field in fields:
            yield from _markdown_field(dataset, field)
    yield from ("", "---", "", ATTRIBUTION)


def _markdown_field(dataset: Dataset, field: Field) -> Iterator[str]:
    yield from ("", f"### {field.header}", "", f"**{field.label}**", "", field.definition, "")
    for name, fact in facts_of(dataset, field):
        yield f"- {name}: {fact}"
    codes = dataset.codes_of(field.header)
    if codes is None:
        return
    yield f"- Code list: {field.codes}, {len(codes.codes)} codes, {STATUSES[codes.status]}"
    first = next(f.header for f in dataset.fields if f.codes == field.codes)
    if first != field.header:
        yield from ("", f"The codes are those of [{first}](#{first.lower()}).")
        return
    grouped = any(row.group for row in codes.rows)
    heads = ("Code", "Label", "Definition", *(("Group",) if grouped else ()))
    yield from ("", f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}")
    for row in codes.rows:
        cells = (row.code, _labelled(row), row.definition, *((row.group,) if grouped else ()))
        yield f"| {' | '.join(map(_cell, cells))} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
