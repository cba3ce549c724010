"""Check a CJIT dataset Q file: the library behind the `cjit` command.

>>> from datetime import date
>>> import cjit
>>> findings = cjit.check("submission.csv", today=date(2026, 3, 31))  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cjit.check import Finding, Findings, check, check_rows
    from cjit.read import Unusable

__all__ = ["Finding", "Findings", "Unusable", "check", "check_rows"]

_HOMES = {"Unusable": "cjit.read"}


def __getattr__(name: str) -> object:
    # Polars takes a tenth of a second to load: only who checks pays for it.
    if name not in __all__:
        raise AttributeError(f"module 'cjit' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES.get(name, "cjit.check")), name)
