"""Check a CJIT dataset Q file: the library behind the `cjit` command.

>>> from datetime import date
>>> import cjit
>>> findings = cjit.check("submission.csv", today=date(2026, 3, 31))  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cjit.engine.checking import check, check_rows
    from cjit.engine.findings import Finding, Findings
    from cjit.files.source import Unusable

__all__ = ["Finding", "Findings", "Unusable", "check", "check_rows"]

_HOMES = {
    "Finding": "cjit.engine.findings",
    "Findings": "cjit.engine.findings",
    "Unusable": "cjit.files.source",
    "check": "cjit.engine.checking",
    "check_rows": "cjit.engine.checking",
}


def __getattr__(name: str) -> object:
    # The engine takes a moment to load: only who checks pays for it.
    if name not in _HOMES:
        raise AttributeError(f"module 'cjit' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
