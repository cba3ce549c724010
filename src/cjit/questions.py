"""The questions of a dataset, as a client is asked them: in which order, and when one applies.

This module has values only. A dataset holds them (`Dataset.questions`), and a form or another program asks them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from cjit.geography import is_default


@dataclass(frozen=True)
class Group:
    """Questions that are asked together.

    name: its name in a URL.
    title: its title for the keyworker.
    headers: the headers of its fields, in the order in which they are asked.
    about: a sentence above the questions ("": none).
    plain: its title on the sheet of answers that the client is given.
    half: the column of that sheet in which it stands.
    """

    name: str
    title: str
    headers: tuple[str, ...]
    about: str = ""
    plain: str = ""
    half: Literal["left", "right"] = "left"


@dataclass(frozen=True)
class Test:
    """One reason for a question to apply: the answer to another question.

    header: the header of the other question.
    among: the codes for which the question applies (none: it applies for every code but those of `but`).
    but: the codes for which it does not apply, and the counts that leave it unknown whether it does.
    kind: how the answer is read. A count is a reason where it is above 0, the default postcode where it is given.
    """

    header: str
    among: tuple[str, ...] = ()
    but: tuple[str, ...] = ()
    kind: Literal["code", "count", "default postcode"] = "code"

    def holds(self, answer: str) -> bool | None:
        """Whether an answer makes the question apply; None where that is unknown, as it is for a blank."""
        answer = answer.strip().upper()
        if not answer:
            return None
        match self.kind:
            case "count":
                number = int(answer) if re.fullmatch("[0-9]{1,9}", answer) else None
                return None if number is None or str(number) in self.but else number > 0
            case "default postcode":
                return is_default(answer)
            case _:
                plain = answer.lstrip("0") or answer
                return plain in self.among if self.among else plain not in self.but


@dataclass(frozen=True)
class When:
    """When a question applies: where any of some tests holds.

    text: the same in words, for a page that cannot hide the question.
    tests: the tests.
    stays: whether an answer stays where the question does not apply, because it may be right. Other answers are
        deleted.
    """

    text: str
    tests: tuple[Test, ...]
    stays: bool = False

    def holds(self, values: Mapping[str, str]) -> bool | None:
        """Whether the question applies, by answer by header; None where a question that it depends on is unanswered."""
        answers = [test.holds(values.get(test.header) or "") for test in self.tests]
        if True in answers:
            return True
        return None if None in answers else False

    def data(self) -> list[list[object]]:
        """The tests as JSON for the page's script: a list of header, kind, among and but for each."""
        return [[test.header, test.kind, list(test.among), list(test.but)] for test in self.tests]


@dataclass(frozen=True)
class Questions:
    """The questions about a client and an episode. Fields are given by their headers, closure reasons by their codes.

    client: the group that is asked once for a client.
    groups: the groups that are asked for each episode, in the order of a triage conversation.
    closure: the group that is asked when an episode is closed.
    referral: the group that is asked for each referral.
    system: the fields that the system fills in. Nobody is asked them.
    when: when a question applies, by header. A question that is not there always applies.
    optional: the fields that may be left blank, because there is no answer, or not yet.
    carried: the fields that are copied into a new episode, to be checked with the client.
    new_facts: by field, the kind of new fact that is recorded in the present episode. New facts on other fields belong
        in the next episode.
    destinations: by closure reason that asks for a destination, the field whose codes name it.
    transfers: the closure reasons that are a transfer, in the order in which they are offered.
    retained: the closure reason for a client who stays in custody.
    unplanned: the closure reasons for an unplanned end. Such an episode is closed on the day of the last contact face
        to face.
    """

    client: Group
    groups: tuple[Group, ...]
    closure: Group
    referral: Group
    system: tuple[str, ...] = ()
    when: Mapping[str, When] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()
    carried: tuple[str, ...] = ()
    new_facts: Mapping[str, str] = field(default_factory=dict)
    destinations: Mapping[str, str] = field(default_factory=dict)
    transfers: tuple[str, ...] = ()
    retained: str = ""
    unplanned: tuple[str, ...] = ()

    def fitted(self, fields: Sequence[tuple[str, str, bool]]) -> Questions:
        """The questions for the fields of a dataset.

        Args:
            fields: the header of each field, the name of its entity, and whether the system fills it in, in the
                document's order.

        Returns:
            The questions without headers that are not among the fields. A field that no group names is asked after the
            field of the same entity that comes before it.
        """
        headers_there = {header for header, _, _ in fields}
        groups = {each.name: [header for header in each.headers if header in headers_there] for each in self.all}
        asked = {header for headers in groups.values() for header in headers}
        by_system = (header for header, _, is_system in fields if is_system and header not in asked)
        system = tuple(dict.fromkeys((*self.system, *by_system)))
        previous: dict[str, str] = {}
        for header, entity, _ in fields:
            if header not in asked and header not in system and entity in previous:
                headers = next(each for each in groups.values() if previous[entity] in each)
                headers.insert(headers.index(previous[entity]) + 1, header)
                asked.add(header)
            if header in asked:
                previous[entity] = header

        def fit(group: Group) -> Group:
            return replace(group, headers=tuple(groups[group.name]))

        return replace(
            self,
            client=fit(self.client),
            groups=tuple(map(fit, self.groups)),
            closure=fit(self.closure),
            referral=fit(self.referral),
            system=system,
        )

    @property
    def all(self) -> tuple[Group, ...]:
        """Every group."""
        return (self.client, *self.groups, self.closure, self.referral)

    def group(self, name: str) -> Group | None:
        """The group of an episode's questions with a name; None where there is none."""
        return next((each for each in self.groups if each.name == name), None)

    def of(self, header: str) -> Group:
        """The group in which a field is asked. Raises KeyError for a field that is not asked."""
        for each in self.all:
            if header in each.headers:
                return each
        raise KeyError(header)

    def applies(self, header: str, values: Mapping[str, str]) -> bool | None:
        """Whether a question applies.

        Args:
            header: the header of its field.
            values: answer by header.

        Returns:
            True or false; None where a question that it depends on has no answer yet.
        """
        when = self.when.get(header)
        return True if when is None else when.holds(values)

    def idle(self, values: Mapping[str, str]) -> tuple[str, ...]:
        """The questions that have an answer and do not apply, less those whose answer stays.

        Args:
            values: answer by header.

        Returns:
            The headers of their fields, in the order of `when`.
        """
        not_applying: set[str] = set()
        for header, rule in self.when.items():
            # A question does not apply where none of the questions that it depends on does.
            if rule.holds(values) is False or not_applying.issuperset(test.header for test in rule.tests):
                not_applying.add(header)
        return tuple(h for h in self.when if h in not_applying and values.get(h) and not self.when[h].stays)

    def unanswered(self, group: Group, values: Mapping[str, str]) -> tuple[str, ...]:
        """The questions of a group that apply, are not optional and have no answer.

        Args:
            group: the group.
            values: answer by header.

        Returns:
            The headers of their fields, in the group's order.
        """
        return tuple(
            header
            for header in group.headers
            if header not in self.optional
            and not (values.get(header) or "").strip()
            and self.applies(header, values) is True
        )
