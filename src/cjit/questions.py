"""The questions of a dataset, as they are asked of a client: in which order, and when one applies.

Values only: a dataset has them (`Dataset.questions`), a form or any other program asks them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from cjit.geography import is_default


@dataclass(frozen=True)
class Group:
    """Some questions that are asked together.

    `name` is its place in an address, `about` a sentence above the questions. `plain` is the title that the client
    reads over their answers; `half` says whether on the left or the right of the sheet they are given.
    """

    name: str
    title: str
    headers: tuple[str, ...]
    about: str = ""
    plain: str = ""
    half: Literal["left", "right"] = "left"


@dataclass(frozen=True)
class Test:
    """One way for a question to apply: by the answer to another. `among` are its codes; none: any but `but`."""

    header: str
    among: tuple[str, ...] = ()
    but: tuple[str, ...] = ()
    kind: Literal["code", "count", "default postcode"] = "code"

    def holds(self, answer: str) -> bool | None:
        """Whether the answer makes the question apply; None where there is no answer yet, or of a number none."""
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
    """A question applies where any of `tests` holds. `text` says so where the page cannot hide it.

    Where it does not apply, an answer given before is taken out, unless it `stays` because it may be right.
    """

    text: str
    tests: tuple[Test, ...]
    stays: bool = False

    def holds(self, values: Mapping[str, str]) -> bool | None:
        """True, False, or None where what it depends on has not been answered."""
        answers = [test.holds(values.get(test.header) or "") for test in self.tests]
        if True in answers:
            return True
        return None if None in answers else False

    def data(self) -> list[list[object]]:
        """The same for the script: of each test header, kind, among and but."""
        return [[test.header, test.kind, list(test.among), list(test.but)] for test in self.tests]


@dataclass(frozen=True)
class Questions:
    """What is asked of a client and of an episode.

    client: the group asked once of a client. groups: those asked of an episode, in the order of a triage conversation.
    closure: the group asked when an episode is closed. referral: what is asked of a referral.
    system: the fields that the system fills in; nobody is asked.
    when: when a question applies, by header; one that is not there always does.
    optional: questions to which blank is a full answer: there is no such thing, or not yet.
    carried: the fields taken over into a new episode, to be checked with the client.
    new_facts: the fields of which a new fact is recorded in the record as it is, and what it is; of others it belongs
        into the next episode.
    destinations: the closure reasons that ask for a destination, and the field whose codes it is told by.
    transfers: the closure reasons that are a transfer, in the order they are offered.
    retained: the closure reason of who stays in custody.
    unplanned: the closure reasons that are no planned end: closed at the last contact face to face.
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
        """The same for some fields, in the document's order: each its header, what it is of, whether the system's.

        A field that no group has is asked after the one before it in the document; one that is not there is not asked.
        """
        there = {header for header, _, _ in fields}
        groups = {each.name: [header for header in each.headers if header in there] for each in self.all}
        asked = {header for headers in groups.values() for header in headers}
        system = tuple(
            dict.fromkeys((*self.system, *(header for header, _, own in fields if own and header not in asked)))
        )
        before: dict[str, str] = {}
        for header, of, _ in fields:
            if header not in asked and header not in system and of in before:
                headers = next(each for each in groups.values() if before[of] in each)
                headers.insert(headers.index(before[of]) + 1, header)
                asked.add(header)
            if header in asked:
                before[of] = header

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
        """The group of an episode's questions by its name."""
        return next((each for each in self.groups if each.name == name), None)

    def of(self, header: str) -> Group:
        """The group in which a field is asked; raises KeyError for one that is not asked."""
        for each in self.all:
            if header in each.headers:
                return each
        raise KeyError(header)

    def applies(self, header: str, values: Mapping[str, str]) -> bool | None:
        """Whether a question applies; None where that depends on another that has no answer yet."""
        when = self.when.get(header)
        return True if when is None else when.holds(values)

    def idle(self, values: Mapping[str, str]) -> tuple[str, ...]:
        """Questions that have an answer though they do not apply, by an answer that is given. One leads to the next."""
        out: set[str] = set()
        for header, rule in self.when.items():
            # What hangs on a question that does not apply has nothing to hang on.
            if rule.holds(values) is False or out.issuperset(test.header for test in rule.tests):
                out.add(header)
        return tuple(h for h in self.when if h in out and values.get(h) and not self.when[h].stays)

    def unanswered(self, each: Group, values: Mapping[str, str]) -> tuple[str, ...]:
        """The questions of a group that apply, want an answer and have none."""
        return tuple(
            header
            for header in each.headers
            if header not in self.optional
            and not (values.get(header) or "").strip()
            and self.applies(header, values) is True
        )
