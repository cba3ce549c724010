"""The rule book as JSON, for other programs: every rule with its condition, and the tables that conditions look up.

A node is an object with its class name under ``node`` and its parts under their own names. A date is ``{"date":
"2020-02-01"}``, and a lookup table is its name. All of this follows from the node classes of `cjit.conditions`, so that
a new node class needs no change here. `schema` describes the file in JSON Schema, and docs/rulebook.md explains it.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from datetime import date
from enum import StrEnum
from inspect import getdoc
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from cjit import geography
from cjit.conditions import NODES, BadPattern, Condition, Entries, Node, Table, Value, tables_of
from cjit.dataset import CodeList, Dataset, Field, Kind, Record, Rule, Severity
from cjit.dictionary import overview

#: The name and the version of the format. The version changes where a reader of the one before would go wrong.
FORMAT, VERSION = "cjit rule book", 1


class BookProblem(ValueError):  # noqa: N818 - the message is the error
    """JSON that is no rule book, or no condition. The message is one sentence that says what is wrong."""


# ---- a condition -----------------------------------------------------------------------------------


def as_json(node: Node) -> dict[str, Any]:
    """A condition or value as an object that `json` can write."""
    parts = {field.name: _written(getattr(node, field.name)) for field in dataclasses.fields(node)}  # type: ignore[arg-type]
    return {"node": type(node).__name__, **parts}


def _written(part: object) -> Any:
    match part:
        case Node():
            return as_json(part)
        case tuple():
            return [_written(each) for each in part]
        case Table():
            return part.name
        case date():
            return {"date": part.isoformat()}
        case StrEnum():
            return part.value
    return part


def from_json(data: object, tables: Mapping[str, Table] | None = None) -> Condition:
    """The condition of an object that `as_json` made.

    Args:
        data: the object, as `json` reads it.
        tables: the lookup tables of the rule book, by name (None: there are none).

    Returns:
        The condition.

    Raises:
        BookProblem: for anything that is no condition.
    """
    condition: Condition = _read(data, Condition, tables or {})
    return condition


def _read(data: Any, kind: Any, tables: Mapping[str, Table]) -> Any:
    """A part of a node, checked against its type.

    Args:
        data: the part, as `json` reads it.
        kind: its type, as the node class annotates it.
        tables: the lookup tables by name.

    Returns:
        The part.

    Raises:
        BookProblem: for data of another type.
    """
    origin = get_origin(kind)
    if origin is tuple and isinstance(data, list):
        return tuple(_read(each, get_args(kind)[0], tables) for each in data)
    if origin is UnionType:
        if isinstance(data, dict) and set(data) == {"date"}:
            return _day(data["date"])
        if isinstance(data, tuple(each for each in get_args(kind) if each is not date)) and not isinstance(data, bool):
            return data
    elif kind in (str, int) and isinstance(data, kind) and not isinstance(data, bool):
        return data
    elif kind is Table and isinstance(data, str) and data in tables:
        return tables[data]
    elif isinstance(kind, type) and issubclass(kind, StrEnum) and data in list(kind):
        return kind(data)
    elif isinstance(kind, type) and issubclass(kind, Node) and isinstance(data, dict):
        return _node(data, kind, tables)
    raise BookProblem(f"A rule book has {json.dumps(data)[:60]} where it should have {_called(kind)}")


def _node(data: Mapping[str, Any], kind: type[Node], tables: Mapping[str, Table]) -> Node:
    """The node of an object, which must be of a kind: the arguments are those of `_read`."""
    cls = NODES.get(str(data.get("node")))
    if cls is None or not issubclass(cls, kind):
        raise BookProblem(
            f"A rule book has the node “{str(data.get('node'))[:40]}” where it should have {_called(kind)}"
        )
    parts = _parts(cls)
    if set(data) != {"node", *parts}:
        raise BookProblem(f"The node “{cls.__name__}” has {', '.join(parts) or 'no parts'}, and no more or fewer")
    arguments = {name: _read(data[name], hint, tables) for name, hint in parts.items()}
    try:
        return cls(**arguments)
    except (BadPattern, TypeError) as problem:
        raise BookProblem(str(problem)) from None


def _parts(cls: type[Node]) -> dict[str, Any]:
    """The types of the parts of a node, by name."""
    hints = get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}  # type: ignore[arg-type]


def _day(text: object) -> date:
    try:
        return date.fromisoformat(str(text))
    except ValueError:
        raise BookProblem(f"A rule book has the date “{str(text)[:20]}”, which is none") from None


def _called(kind: Any) -> str:
    """The English for a type, for messages."""
    if get_origin(kind) is tuple:
        return f"a list, of which each is {_called(get_args(kind)[0])}"
    if get_origin(kind) is UnionType:
        return "a text, a whole number or a date"
    return {str: "a text", int: "a whole number", Table: "the name of one of its tables"}.get(
        kind, f"a {kind.__name__.lower()}"
    )


# ---- the whole book --------------------------------------------------------------------------------


def book(dataset: Dataset) -> dict[str, Any]:
    """The rule book of a dataset as an object that `json` can write.

    It has the fields and code lists as far as rules need them, the rules, and the lookup tables. `schema` describes it.
    """
    used = {field.codes for field in dataset.fields if field.codes}
    return {
        "$schema": SCHEMA,
        "format": FORMAT,
        "version": VERSION,
        "dataset": {
            "letter": dataset.letter,
            "title": dataset.title,
            "effective": dataset.effective.isoformat(),
        },
        "attribution": [overview.ATTRIBUTION, *geography.ATTRIBUTION],
        "fields": [_field(field) for field in dataset.fields],
        "lists": {name: _list(dataset.lists[name]) for name in sorted(used)},
        "rules": [_rule(rule) for rule in dataset.rules],
        "tables": {table.name: _table(table) for table in tables_of(*(rule.fails_when for rule in dataset.rules))},
    }


def _field(field: Field) -> dict[str, Any]:
    return {
        "header": field.header,
        "label": field.label,
        "kind": field.kind.value,
        "list": field.codes,
        "minimum": field.minimum,
        "maximum": field.maximum,
        "apart": dict(field.apart),
        "none": list(field.none),
    }


def _list(codes: CodeList) -> dict[str, Any]:
    return {"complete": codes.complete, "codes": list(codes.codes), "also": dict(codes.also)}


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "header": rule.header,
        "severity": rule.severity.value,
        "message": rule.message,
        "clause": rule.clause,
        "reading": rule.reading,
        "across": rule.across,
        "gate": rule.gate,
        "replaces": rule.replaces or None,
        "condition": as_json(rule.fails_when),
        "breaks": _records(rule.breaks),
        "holds": _records(rule.holds),
    }


def _records(example: Any) -> list[Record]:
    return [dict(example)] if isinstance(example, Mapping) else [dict(record) for record in example]


def _table(table: Table) -> dict[str, Any]:
    entries = table.entries
    return {
        "means": table.means,
        "denies": table.denies,
        "known": [None if known is None else sorted(known) for known in entries.known],
        "yes": sorted(map(list, entries.yes)),
    }


def tables_from(data: Mapping[str, Any]) -> dict[str, Table]:
    """The lookup tables of a rule book, by name.

    Args:
        data: the rule book, as `json` reads it.

    Returns:
        The tables, whose entries are read when they are first needed.
    """
    return {name: _table_from(name, each) for name, each in data["tables"].items()}


def _table_from(name: str, data: Mapping[str, Any]) -> Table:
    def read() -> Entries:
        known = tuple(None if each is None else frozenset(each) for each in data["known"])
        return Entries(known, frozenset(map(tuple, data["yes"])))

    return Table(name, data["means"], data["denies"], read)


def export(dataset: Dataset) -> str:
    """The text of the rule book's file: one line for each field, list, rule and table. It is always the same text."""
    lines = [f"  {_line(key)}: {_lines(value)}" for key, value in book(dataset).items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _lines(value: Any) -> str:
    """A list or an object as JSON, with one line for each item."""
    if isinstance(value, list):
        return "[\n" + ",\n".join(f"    {_line(each)}" for each in value) + "\n  ]"
    if isinstance(value, dict):
        return "{\n" + ",\n".join(f"    {_line(key)}: {_line(each)}" for key, each in value.items()) + "\n  }"
    return _line(value)


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


# ---- the schema ------------------------------------------------------------------------------------

#: The name of the schema's file in docs/.
SCHEMA = "rulebook.schema.json"


def schema() -> dict[str, Any]:
    """The JSON Schema 2020-12 of a rule book. The docstring of each node class describes the node."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A rule book of cjit",
        "description": "The rules of a lettered dataset: a rule is broken where its condition is surely true.",
        **_object(
            {
                "$schema": {"type": "string"},
                "format": {"const": FORMAT},
                "version": {"const": VERSION},
                "dataset": _object({"letter": _TEXT, "title": _TEXT, "effective": _DAY}),
                "attribution": {"description": "What is to be shown wherever the book is.", **_TEXTS},
                "fields": {"type": "array", "items": {"$ref": "#/$defs/field"}},
                "lists": {"type": "object", "additionalProperties": {"$ref": "#/$defs/list"}},
                "rules": {"type": "array", "items": {"$ref": "#/$defs/rule"}},
                "tables": {"type": "object", "additionalProperties": {"$ref": "#/$defs/table"}},
            }
        ),
        "$defs": {**_ABOUT_RULES, "value": _any_node(Value), "condition": _any_node(Condition), **_nodes()},
    }


def schema_text() -> str:
    """The schema as a file."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _object(properties: Mapping[str, Any], description: str = "") -> dict[str, Any]:
    made = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    return {"description": description, **made} if description else made


def _any_node(kind: type[Node]) -> dict[str, Any]:
    """The schema of any node of a kind. The node's name selects its schema, so that no other is tried."""
    names = [name for name, cls in NODES.items() if issubclass(cls, kind)]
    return {
        "description": getdoc(kind),
        "type": "object",
        "required": ["node"],
        "properties": {"node": {"enum": names}},
        "allOf": [
            {"if": {"properties": {"node": {"const": name}}}, "then": {"$ref": f"#/$defs/{name}"}} for name in names
        ],
    }


def _nodes() -> dict[str, Any]:
    """The schema of each node, by name."""
    return {
        name: _object(
            {"node": {"const": name}, **{part: _described(kind) for part, kind in _parts(cls).items()}},
            " ".join((getdoc(cls) or "").split()),
        )
        for name, cls in NODES.items()
    }


def _described(kind: Any) -> dict[str, Any]:
    """The schema of a part of a node, by its type."""
    if get_origin(kind) is tuple:
        return {"type": "array", "items": _described(get_args(kind)[0])}
    if get_origin(kind) is UnionType:
        return {"anyOf": [_described(each) for each in get_args(kind)]}
    if issubclass(kind, StrEnum):
        return {"enum": [each.value for each in kind]}
    if issubclass(kind, Node):
        return {"$ref": f"#/$defs/{kind.__name__.lower()}"}
    return {
        str: _TEXT,
        int: {"type": "integer"},
        date: _object({"date": _DAY}),
        Table: {"type": "string", "description": "The name of one of the book's tables."},
    }[kind]


_TEXT = {"type": "string"}
_DAY = {"type": "string", "format": "date"}
_MAYBE_TEXT = {"type": ["string", "null"]}
_TEXTS = {"type": "array", "items": _TEXT}
_RECORDS = {
    "description": "Records, as text by header, laid over a faultless one.",
    "type": "array",
    "items": {"type": "object", "additionalProperties": _TEXT},
}


def _choice(values: Iterable[StrEnum]) -> dict[str, Any]:
    return {"enum": [each.value for each in values]}


_ABOUT_RULES = {
    "field": _object(
        {
            "header": _TEXT,
            "label": _TEXT,
            "kind": _choice(Kind),
            "list": _MAYBE_TEXT,
            "minimum": {"type": ["integer", "null"]},
            "maximum": {"type": ["integer", "null"]},
            "apart": {
                "description": "Answers that are out of bounds and allowed, with what they mean.",
                "type": "object",
                "additionalProperties": _TEXT,
            },
            "none": {"description": "Codes that are read as blank.", **_TEXTS},
        },
        "A field, as far as a text becomes a value by it.",
    ),
    "list": _object(
        {
            "complete": {"description": "Whether a code that is not in it is no value.", "type": "boolean"},
            "codes": _TEXTS,
            "also": {
                "description": "Other codes that are read, each with the one it is read as.",
                "type": "object",
                "additionalProperties": _TEXT,
            },
        },
        "A code list.",
    ),
    "rule": _object(
        {
            "id": {"description": "The header it is shown at, a full stop, and what must hold.", **_TEXT},
            "header": _TEXT,
            "severity": _choice(Severity),
            "message": _TEXT,
            "clause": _TEXT,
            "reading": {"description": "Why, where the clause is our reading; otherwise empty.", **_TEXT},
            "across": {"description": "The id whose rows are looked at together.", **_MAYBE_TEXT},
            "gate": {"description": "Whether it hides all else of a row that breaks it.", "type": "boolean"},
            "replaces": {"description": "The rule that is silent where this one is broken.", **_MAYBE_TEXT},
            "condition": {"$ref": "#/$defs/condition"},
            "breaks": _RECORDS,
            "holds": _RECORDS,
        },
        "A rule. It is broken where its condition is surely true.",
    ),
    "table": _object(
        {
            "means": {"description": "What a yes means; {0} and {1} are the arguments.", **_TEXT},
            "denies": {"description": "What a no means.", **_TEXT},
            "known": {
                "description": "For each argument the texts the table can speak of; null where it is any.",
                "type": "array",
                "items": {"type": ["array", "null"], "items": _TEXT},
            },
            "yes": {"description": "The combinations that are true.", "type": "array", "items": _TEXTS},
        },
        "What texts are looked up in. Of known texts every combination that is not a yes is a no.",
    ),
}
