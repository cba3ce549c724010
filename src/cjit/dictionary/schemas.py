"""The dictionary of a dataset as JSON Schema, Table Schema, CSVW and Markdown.

Every export describes single fields; the rules across fields are in the rule book. A code list that is partial, or made
of placeholders, is not exported as a closed one, because a code that it lacks is not known to be wrong.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from typing import Any

from cjit import dates
from cjit.dataset import CodeList, Dataset, Field, Severity
from cjit.dictionary.markdown import markdown
from cjit.dictionary.overview import ATTRIBUTION, STATUSES, DictionaryProblem, missing_in_words, other_headers
from cjit.kinds import kinds_of

#: The formats of `export`.
FORMATS = ("json-schema", "table-schema", "csvw", "markdown")


# ---- exports ---------------------------------------------------------------------------------------


def export(dataset: Dataset, format: str) -> str:  # noqa: A002  the command's own word
    """The whole dictionary in a format. The same dataset always gives the same text.

    Every format describes what is to be written, not all that is read. A date is a text with a pattern, because a date
    type has one style and the dataset has two; the pattern takes 29 February in every year.

    Args:
        dataset: the dataset.
        format: one of `FORMATS`. `json-schema` is JSON Schema 2020-12 for one record: text by header, with a blank as
            "" or left out. `table-schema` is a Frictionless Table Schema for the CSV file. `csvw` is its CSV on the Web
            metadata, in which `url` must be set to the file's. `markdown` is a page.

    Returns:
        The text of the export.

    Raises:
        DictionaryProblem: for another format.
    """
    match format:
        case "json-schema":
            return _json(_json_schema(dataset))
        case "table-schema":
            return _json(_table_schema(dataset))
        case "csvw":
            return _json(_csvw(dataset))
        case "markdown":
            return "\n".join(markdown(dataset)) + "\n"
    raise DictionaryProblem(f"There is no format “{format[:40]}”: choose one of {', '.join(FORMATS)}")


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _required(field: Field) -> bool:
    """Whether a record with a blank in the field is rejected, which is the only consequence that a schema can say."""
    return field.missing is Severity.REJECT


def closed(dataset: Dataset, field: Field) -> CodeList | None:
    """The field's code list, where a code that it lacks is wrong; else None."""
    codes = dataset.codes_of(field.header)
    return codes if codes and codes.complete else None


def _about(dataset: Dataset, field: Field) -> str:
    """A field's definition, with sentences on what a schema cannot say of it."""
    codes = dataset.codes_of(field.header)
    about = [field.definition]
    if field.required:
        about.append(f"({_capital(missing_in_words(dataset, field))}.)")
    if field.as_of:
        about.append(f"(Recorded as per {field.as_of}.)")
    if codes and not codes.complete:
        about.append(f"(Codes: {STATUSES[codes.status]}.)")
    if others := other_headers(dataset, field):
        about.append(f"(Read, and not written: {others}.)")
    if kinds_of(dataset)[field.header].typed is date:
        about.append(f"(Written {dates.PLAINLY}, the same way throughout a file.)")
    return " ".join(about)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _json_schema(dataset: Dataset) -> dict[str, Any]:
    """The JSON Schema of a record."""
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
    """The JSON Schema of a field."""
    schema: dict[str, Any] = {
        "title": field.label,
        "description": _about(dataset, field),
        "type": "string",
    }
    codes = closed(dataset, field)
    if codes:
        choices = [{"const": code, "title": codes.labels[code]} for code in codes.codes]
        schema["oneOf"] = choices if _required(field) else [*choices, {"const": "", "title": "Blank"}]
        return schema
    pattern = kinds_of(dataset)[field.header].pattern or "[^ ](.*[^ ])?"
    schema["pattern"] = f"^({pattern})$" if _required(field) else f"^({pattern})?$"
    return schema


def _table_schema(dataset: Dataset) -> dict[str, Any]:
    """The Table Schema of a file."""
    return {
        "$schema": "https://datapackage.org/profiles/2.0/tableschema.json",
        "title": dataset.title,
        "description": ATTRIBUTION,
        "fields": [_table_field(dataset, field) for field in dataset.fields],
        "missingValues": [""],
    }


def _table_field(dataset: Dataset, field: Field) -> dict[str, Any]:
    """The descriptor of a field in Table Schema."""
    descriptor: dict[str, Any] = {
        "name": field.header,
        "title": field.label,
        "description": _about(dataset, field),
        "type": "string",
    }
    constraints: dict[str, Any] = {"required": True} if _required(field) else {}
    codes = closed(dataset, field)
    if bounds := kinds_of(dataset)[field.header].bounds:
        descriptor["type"] = "integer"
        constraints |= dict(zip(("minimum", "maximum"), bounds, strict=True))
    elif codes:
        constraints["enum"] = list(codes.codes)
    elif pattern := kinds_of(dataset)[field.header].pattern:
        constraints["pattern"] = f"^({pattern})$"
    return {**descriptor, "constraints": constraints} if constraints else descriptor


def _csvw(dataset: Dataset) -> dict[str, Any]:
    """The CSVW metadata of a file."""
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
    """The description of a field's column in CSVW."""
    column: dict[str, Any] = {
        "name": field.header,
        "titles": [field.header, *field.also],
        "dc:title": field.label,
        "dc:description": _about(dataset, field),
        "datatype": "string",
    }
    if bounds := kinds_of(dataset)[field.header].bounds:
        column["datatype"] = {"base": "integer", "minimum": bounds[0], "maximum": bounds[1]}
    elif pattern := kinds_of(dataset)[field.header].pattern:
        column["datatype"] = {"base": "string", "format": f"^({pattern})$"}
    if _required(field):
        column["required"] = True
    return column
