"""A dataset's dictionary as a page of Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from cjit.dataset import Dataset, Entity, Field
from cjit.dictionary.overview import (
    ATTRIBUTION,
    SECTIONS,
    STATUSES,
    _labelled,
    _short_changes,
    _short_missing,
    facts_of,
)
from cjit.kinds import kinds_of


def markdown(dataset: Dataset) -> Iterator[str]:
    """The lines of the page: a table of the fields of each section, then every field in full with its codes."""
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
                kinds_of(dataset)[field.header].shortly,
                _short_missing(field),
                _short_changes(field),
            )
            yield f"| {' | '.join(map(_cell, cells))} |"
        for field in fields:
            yield from _markdown_field(dataset, field)
    yield from ("", "---", "", ATTRIBUTION)


def _markdown_field(dataset: Dataset, field: Field) -> Iterator[str]:
    """The lines on one field. A code list stands at the first field that has it; other fields link there."""
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
