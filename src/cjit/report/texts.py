"""The texts of findings that depend on the rule alone: written out once a rule, and then looked up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from cjit.dataset import Rule

if TYPE_CHECKING:
    import polars as pl


def header_of(rule: Rule) -> str | None:
    """The field a finding of a rule is shown at; None where it is of the whole row."""
    return None if rule.header == "ROW" else rule.header


class Texts:
    """Some texts of each rule, by its id (`of`), and the same as columns."""

    def __init__(self, of: Mapping[str, tuple[str | None, ...]]) -> None:
        self.of = of
        self._columns: dict[tuple[str, ...], list[pl.Series]] = {}

    def columns(self, rules: pl.Series, names: Sequence[str]) -> list[pl.Series]:
        """The texts of a column of rule ids (an Enum), as columns with some names."""
        import polars as pl

        assert isinstance(rules.dtype, pl.Enum)  # noqa: S101 - for the type checker
        ids = tuple(rules.dtype.categories)
        if ids not in self._columns:
            # Put once into the order of the ids, a text is found by its number.
            texts = zip(*(self.of[name] for name in ids), strict=True)
            self._columns[ids] = [pl.Series(n, each, dtype=pl.String) for n, each in zip(names, texts, strict=True)]
        index = rules.to_physical()
        return [texts.gather(index) for texts in self._columns[ids]]
