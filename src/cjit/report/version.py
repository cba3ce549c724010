"""What a report was made by: the program and the rules, by version."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from cjit.conditions import as_text as condition_as_text
from cjit.dataset import Dataset, Rule
from cjit.engine.findings import RAGGED

if TYPE_CHECKING:
    import polars as pl

    Sink = Callable[[pl.DataFrame], None]


# ---- what was run ----------------------------------------------------------------------------------


@cache
def engine() -> str:
    """The program and its version, such as "cjit 0.1.0"."""
    from importlib.metadata import version

    return f"cjit {version('cjit')}"


def file_rules(dataset: Dataset) -> tuple[Rule, ...]:
    """Every rule a check of a file knows: that on the rows themselves, then the dataset's."""
    return (RAGGED, *dataset.rules)


@lru_cache(maxsize=8)
def rules_version(dataset: Dataset) -> str:
    """Twelve hexadecimal figures that change when a rule, a field or a code list does.

    The same on every run and machine.
    """
    from hashlib import sha256

    digest = sha256()
    for rule in file_rules(dataset):
        parts = (rule.id, rule.severity, rule.message, rule.clause, rule.across, rule.gate, rule.replaces)
        digest.update(repr((*map(str, parts), condition_as_text(rule.fails_when))).encode())
    for field in dataset.fields:
        told_of = (field.header, field.also, field.entity, field.kind, field.changes, field.codes, field.missing)
        bounds = (field.minimum, field.maximum, sorted(field.apart), field.none)
        digest.update(repr((*map(str, told_of), bounds)).encode())
    for name, codes in sorted(dataset.lists.items()):
        for row in codes.rows:
            told_of_code = (name, row.code, row.label, row.group, row.status, row.start, row.end, row.also)
            digest.update(repr(tuple(map(str, told_of_code))).encode())
    return digest.hexdigest()[:12]
