"""A dataset's rules as the engines take them: sorted by what they look at, each with the whole of its condition.

Made once for a dataset and kept. Both engines (`plain`, `columns`) read it, so what a gate hides, which value that is
no value silences a rule, and which rule is silent where another speaks are decided here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, lru_cache

from cjit.conditions import Cell, Condition, Parameter, looks_across, reads_parameter
from cjit.dataset import Dataset, Entity, Kind, Rule, Severity
from cjit.engine import compare
from cjit.engine.findings import RAGGED
from cjit.kinds import FieldKind, Story, kinds_of, stories


class RuleBook:
    """The rules of one dataset, by number in the document's order; `compared` adds those of changes.

    rules: every rule; `index` has the number of each by its id. Number 0 is the rule of rows that cannot be read.
    gates: the rules that hide everything else of a row.
    of_one_field: by header, the rules within a row that read this field alone, with their whole conditions.
    of_several_fields: the other rules within a row, with their whole conditions.
    across: by id, the rules over the rows that have the same one, stories apart, with their conditions.
    stories: the rules that a value is the same on every row with the same id.
    once: the rules that are told once a file.
    keys: the ids of a client, an episode and so on, in the document's order.
    """

    def __init__(self, dataset: Dataset, compared: bool) -> None:
        self.dataset = dataset
        self.compared = compared
        changes = compare.rules(dataset) if compared else ()
        self.rules: tuple[Rule, ...] = (RAGGED, *dataset.rules, *changes)
        self.index = {rule.id: i for i, rule in enumerate(self.rules)}
        self.severities = [list(Severity).index(rule.severity) for rule in self.rules]
        self.kinds: Mapping[str, FieldKind] = kinds_of(dataset)
        self.keys = [fields[0].header for fields in map(dataset.entity, Entity) if fields]
        self.stories: tuple[Story, ...] = tuple(stories(dataset))
        self.gates = [i for i, rule in enumerate(self.rules) if rule.gate]
        self.once = [i for i, rule in enumerate(self.rules) if rule.once]
        of_stories = {self.index[story.rule.id] for story in self.stories}
        self.across: dict[str, dict[int, Condition]] = {}
        self.of_one_field: dict[str, dict[int, Condition]] = {h: {} for h in dataset.headers}
        self.of_several_fields: dict[int, Condition] = {}
        whole = {i: self._whole(rule) for i, rule in enumerate(self.rules) if i not in of_stories and not rule.once}
        for i, condition in whole.items():
            rule = self.rules[i]
            if rule.across is not None:
                self.across.setdefault(rule.across, {})[i] = condition
            elif set(rule.headers) == {rule.header}:
                self.of_one_field[rule.header][i] = condition
            elif rule.headers:
                self.of_several_fields[i] = condition
        for i, rule in enumerate(self.rules):
            if rule.replaces in self.index:
                self._quiet(self.index[rule.replaces], whole[i])

    def _whole(self, rule: Rule) -> Condition:
        """When a rule fires: where its condition holds and every value it reads is a value."""
        condition = rule.fails_when
        if rule.gate or looks_across(condition):
            # A gate must be sure; across rows what is no value is a blank among values.
            return condition.surely if rule.gate else Cell(rule.across or rule.header).is_given & condition
        for header in rule.headers:
            no_value = self.kinds[header].no_value
            if header in rule.values and no_value is not None:
                condition &= ~no_value.surely
        return condition

    def _quiet(self, i: int, replacing: Condition) -> None:
        """Keep a rule silent where another one speaks in its place."""
        rules = self.of_one_field[self.rules[i].header]
        (rules if i in rules else self.of_several_fields)[i] &= ~replacing.surely

    @cached_property
    def rejects_of_ids(self) -> Mapping[str, tuple[int, ...]]:
        """By id, the rules that say it is none: rows that share such a one are not of one client or episode."""
        return {
            header: tuple(i for i in self.of_one_field[header] if self.rules[i].severity is Severity.REJECT)
            for header in dict.fromkeys((*self.keys, *self.across))
        }

    @cached_property
    def rejects_of_whom(self) -> tuple[int, ...]:
        """The rules for whose sake a row is rejected as it is not said whose it is: on an id, or on who submits."""
        return tuple(
            i
            for i, rule in enumerate(self.rules)
            if rule.severity is Severity.REJECT
            and (rule.header in self.keys or reads_parameter(rule.fails_when, Parameter.SUBMITTER))
        )

    @cached_property
    def apart(self) -> tuple[str, ...]:
        """The fields whose texts rarely repeat: the ids of clients, episodes and so on, and what else names one."""
        named = {*self.keys, *self.across}
        return tuple(f.header for f in self.dataset.fields if f.kind is Kind.ID and f.header in named)

    @cached_property
    def compared_with_submitter(self) -> frozenset[str]:
        """The fields of which a rule says more than a comparison of rows, where the submitter is told."""
        return frozenset(rule.header for rule in self.rules if reads_parameter(rule.fails_when, Parameter.SUBMITTER))

    @cached_property
    def postcodes(self) -> frozenset[str]:
        """The fields that hold a postcode."""
        return frozenset(f.header for f in self.dataset.fields if f.kind is Kind.POSTCODE)

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """The fields that hold an id: texts that rarely repeat."""
        return tuple(f.header for f in self.dataset.fields if f.kind is Kind.ID)


@lru_cache(maxsize=8)
def rule_book(dataset: Dataset, compared: bool = False) -> RuleBook:
    """The rule book of a dataset; made on the first call."""
    return RuleBook(dataset, compared)
