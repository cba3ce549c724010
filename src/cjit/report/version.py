"""The versions that a report names: of the program, and of the rules."""

from __future__ import annotations

from functools import cache, lru_cache

from cjit.conditions import as_text as condition_as_text
from cjit.dataset import Dataset, Rule
from cjit.engine.findings import RAGGED


@cache
def engine() -> str:
    """The program and its version, such as "cjit 0.1.0"."""
    from importlib.metadata import version

    return f"cjit {version('cjit')}"


def file_rules(dataset: Dataset) -> tuple[Rule, ...]:
    """Every rule of the check of a file: that on ragged rows, then the dataset's."""
    return (RAGGED, *dataset.rules)


@lru_cache(maxsize=8)
def rules_version(dataset: Dataset) -> str:
    """Twelve hexadecimal digits of a hash over the rules, fields and code lists: the same on every machine."""
    from hashlib import sha256

    digest = sha256()
    for rule in file_rules(dataset):
        parts = (rule.id, rule.severity, rule.message, rule.clause, rule.across, rule.gate, rule.replaces)
        digest.update(repr((*map(str, parts), condition_as_text(rule.fails_when))).encode())
    for field in dataset.fields:
        names = (field.header, field.also, field.entity, field.kind, field.changes, field.codes, field.missing)
        bounds = (field.minimum, field.maximum, sorted(field.apart), field.none)
        digest.update(repr((*map(str, names), bounds)).encode())
    for name, codes in sorted(dataset.lists.items()):
        for row in codes.rows:
            code = (name, row.code, row.label, row.group, row.status, row.start, row.end, row.also)
            digest.update(repr(tuple(map(str, code))).encode())
    return digest.hexdigest()[:12]
