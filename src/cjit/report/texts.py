"""The texts of findings that depend on the rule alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from cjit.dataset import Rule


def header_of(rule: Rule) -> str | None:
    """The field a finding of a rule is shown at; None where it is of the whole row."""
    return None if rule.header == "ROW" else rule.header


class Texts:
    """Columns of text by rule, gathered by the position of the rule's id among the ids of a frame."""

    def __init__(self, rules: Sequence[Rule], columns: Mapping[str, Sequence[str | None]]) -> None:
        self.at = {rule.id: place for place, rule in enumerate(rules)}
        self.columns = {name: pl.Series(name, texts, dtype=pl.String) for name, texts in columns.items()}
        self.order: list[str] = []

    def of(self, ids: pl.Series) -> list[pl.Series]:
        """The columns for a column of rule ids (an Enum)."""
        assert isinstance(ids.dtype, pl.Enum)  # noqa: S101 - for the type checker
        order = ids.dtype.categories.to_list()
        if order != self.order:
            # Put once into the order of the ids, a text is found by its number.
            places = [self.at[name] for name in order]
            self.columns = {name: texts.gather(places) for name, texts in self.columns.items()}
            self.at = {name: place for place, name in enumerate(order)}
            self.order = order
        index = ids.to_physical()
        return [texts[index] for texts in self.columns.values()]
