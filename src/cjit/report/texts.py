"""The texts of findings that depend on the rule alone: made once for each rule, then looked up by its id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from cjit.dataset import Rule

if TYPE_CHECKING:
    import polars as pl


def header_of(rule: Rule) -> str | None:
    """The header of the field that a rule's findings are shown at; None where they are of the whole row."""
    return None if rule.header == "ROW" else rule.header


class Texts:
    """Some texts of each rule, for findings as lists and as frames.

    by_rule: the texts, by the rule's id; each rule has as many.
    """

    def __init__(self, by_rule: Mapping[str, tuple[str | None, ...]]) -> None:
        self.by_rule = by_rule
        self._columns: dict[tuple[str, ...], list[pl.Series]] = {}

    def columns(self, rules: pl.Series, names: Sequence[str]) -> list[pl.Series]:
        """The texts of a frame of findings, as columns. Needs Polars.

        Args:
            rules: the rule of each finding (Enum of ids).
            names: the names of the columns, as many as a rule has texts.

        Returns:
            For each name a column (String) as long as `rules`.
        """
        import polars as pl

        assert isinstance(rules.dtype, pl.Enum)  # noqa: S101 - for the type checker
        ids = tuple(rules.dtype.categories)
        if ids not in self._columns:
            # In the order of the Enum's ids, an id's number in the Enum is the index of its text.
            texts = zip(*(self.by_rule[name] for name in ids), strict=True)
            self._columns[ids] = [pl.Series(n, each, dtype=pl.String) for n, each in zip(names, texts, strict=True)]
        index = rules.to_physical()
        return [texts.gather(index) for texts in self._columns[ids]]
