"""The vocabulary: Field, CodeList, Rule and Dataset, and the document's own outcomes.

Everything here is a frozen value. Nothing is registered by being imported, and no
function here reads a file, a clock or a global: the engines (`read`, `check`,
`compare`) are handed a `Dataset` and learn every header from it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cached_property
from typing import TYPE_CHECKING

from cjit.conditions import Condition, FirstRow, Stage, cells_of, headers_of

if TYPE_CHECKING:
    from cjit.questions import Questions

#: What a rule cites when the document only hints at it. Each such rule says why in `reading`
#: and is listed in docs/source.md.
OUR_READING = "our reading"

#: Two columns a rule may read beside the fields: the date of the check, and the agency that
#: submits (null when not told). They are arguments of a check, never the clock.
TODAY = "TODAY"
SUBMITTER = "SUBMITTER"

#: A column that rules across rows may read: true on rows whose gate failed, of which all but the client's id is
#: null there.
WITHHELD = "WITHHELD"

#: A column of `check.records` beside it: true on rows whose gate failed by a code that withdraws (`Field.withdraws`),
#: not by a blank or by a text that is no code.
WITHDRAWN = "WITHDRAWN"


class Severity(StrEnum):
    """What happens to a record, in the document's words; the gravest first."""

    REJECT = "reject"  # "the record will be rejected"
    EXCLUDE = "exclude"  # "data may be excluded from performance monitoring reports"
    MISMATCH = "mismatch"  # "it will create a validation mismatch"
    QUERY = "query"  # everything else that must or should hold


class Kind(StrEnum):
    """How a value is written."""

    ID = "id"  # a technical identifier: text, taken as it is
    INITIAL = "initial"  # one letter, A to Z
    DATE = "date"  # dd/mm/yyyy or yyyymmdd
    CODE = "code"  # one of a code list
    NUMBER = "number"  # a whole number
    POSTCODE = "postcode"  # a postcode less its last two characters, such as "NR14 7"


class Entity(StrEnum):
    """The section of the document a field belongs to, and what one value of it describes."""

    CLIENT = "client"
    EPISODE = "episode"
    INTERVENTION = "intervention"  # a section of the document whose columns dataset Q dropped
    REFERRAL = "referral"


class Changes(StrEnum):
    """The document's classes of "field updatability"."""

    SHOULD_NOT = "should not change"
    MISMATCH = "should not change; if changed, it will create a validation mismatch"
    MAY = "may change"
    FILLED_ONLY = "should only change from blank to filled"


class Status(StrEnum):
    """How sure a code is, the surest first."""

    STATED = "stated"  # printed in the business definitions
    DERIVED = "derived"  # found in another system that implements the dataset
    OFFICIAL = "official"  # installed by the user from the official reference data
    PARTIAL = "partial"  # real codes, but the list is known to be longer
    PLACEHOLDER = "placeholder"  # the code, or its label, is our stand-in


@dataclass(frozen=True, slots=True)
class Code:
    """One row of a code list.

    `start` and `end` are the first and last day it may be used. They are shown and no rule checks them: which
    date of a record they are to be held against is not public. `also` are other codes that are read as this one.
    """

    code: str
    label: str
    definition: str = ""
    group: str = ""
    status: Status = Status.STATED
    source: str = ""
    start: date | None = None
    end: date | None = None
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class CodeList:
    """The permissible values of a field, in printed order.

    A code may stand in several groups with different definitions (case closure reasons), so a row is
    a (code, group) pair; `codes` are the distinct codes.
    """

    name: str
    rows: tuple[Code, ...]

    @cached_property
    def codes(self) -> tuple[str, ...]:
        """The distinct codes, in printed order."""
        return tuple(dict.fromkeys(row.code for row in self.rows))

    @cached_property
    def labels(self) -> Mapping[str, str]:
        """Label by code; the first printed where a code stands in two groups."""
        return {row.code: row.label for row in reversed(self.rows)}

    @cached_property
    def also(self) -> Mapping[str, str]:
        """Other codes that are read, each with the code of the list that it is read as."""
        return {other: row.code for row in self.rows for other in row.also if other not in self.labels}

    @cached_property
    def status(self) -> Status:
        """The least sure status of any row: a list is no surer than its weakest code."""
        return max((row.status for row in self.rows), key=list(Status).index)

    @property
    def complete(self) -> bool:
        """True when a code that is not in the list is known to be wrong."""
        return self.status in (Status.STATED, Status.DERIVED, Status.OFFICIAL)

    def group(self, name: str) -> tuple[str, ...]:
        """The codes printed under one heading, such as `prior to caseload`."""
        return tuple(row.code for row in self.rows if row.group == name)

    def not_answers(self) -> tuple[str, ...]:
        """The codes that say a question was not answered: declined, not stated, not known.

        What the client declined otherwise is an answer: "No – client declined", of naloxone.
        """
        words = ("declined to answer", "declines to disclose", "not stated", "not known", "unknown", "does not know")
        return tuple(dict.fromkeys(r.code for r in self.rows if any(w in r.label.lower() for w in words)))


@dataclass(frozen=True)
class Field:
    """One data item of the dataset.

    `header` is its only name: in the frame, the form, the JSON and the rules. `also` are other
    spellings a file may use. `noun` completes a message ("Enter the …"). `as_of` is the moment the document has
    it recorded as per ("start of episode"; "": none is named). `missing` is the stated
    consequence of leaving it blank (None: the document states none), `required` the stated condition of a
    field that is needed in some records only ("where …"; rules hold it). `minimum` and `maximum` bound a
    number, inclusive. `apart` are answers that are not numbers (CHILDWTH 98), never averaged. `none`
    are codes of other letters that say "none": read as blank, with a query. `withdraws` are codes by which what was
    given before is taken back: anything else that is not the answer asked for only leaves it ungiven.
    `system` marks what the software fills in, not the provider. `hint` helps whoever fills it in; `plain` is what it is
    called to the client it is about (None: as in the document), and empty where it is another answer to the one before.
    """

    header: str
    label: str
    noun: str
    definition: str
    clause: str
    entity: Entity
    kind: Kind
    changes: Changes
    as_of: str = ""
    codes: str | None = None
    missing: Severity | None = None
    required: str = ""
    minimum: int | None = None
    maximum: int | None = None
    apart: Mapping[str, str] = dataclasses.field(default_factory=dict)
    none: tuple[str, ...] = ()
    withdraws: tuple[str, ...] = ()
    system: bool = False
    also: tuple[str, ...] = ()
    hint: str = ""
    plain: str | None = None

    @property
    def bad(self) -> Severity:
        """The severity of a bad value: that of a missing one, `query` where none is stated."""
        return self.missing or Severity.QUERY


@dataclass(frozen=True, slots=True)
class Wording:
    """A text pattern in words, for people.

    `matches` says of a text that the pattern is found in it ("holds an e-mail address"); `finds` what each of its
    groups holds, from the first on ("the postcode"); `without` what is taken out where all that it finds is ("spaces").
    """

    matches: str = ""
    finds: tuple[str, ...] = ()
    without: str = ""


#: One record as text by header, as a file row or a form has it. A header left out is blank.
Record = Mapping[str, str]


@dataclass(frozen=True)
class Rule:
    """Something that must or should hold.

    `id` is `HEADER.what_must_hold`. The rule fires where `fails_when` is surely true. `breaks` and `holds` are its
    examples: parts of a record (for a rule `across` rows, several records) that break it and keep it; each example is
    laid over a faultless record. `across` names the id whose rows are looked at together. A `gate` that
    fails hides every other finding and every value of its row; it stands for all derived rules of its
    field. Where a rule that `replaces` another fires, that other one is silent. `of_list` names a code list whose
    packaged codes the rule knows: with another in its place the rule goes. `reading` says why, where the clause is our
    reading.
    """

    id: str
    severity: Severity
    message: str
    clause: str
    fails_when: Condition
    breaks: Record | Sequence[Record]
    holds: Record | Sequence[Record]
    across: str | None = None
    gate: bool = False
    replaces: str = ""
    of_list: str = ""
    reading: str = ""

    @property
    def header(self) -> str:
        """The field the finding is shown at."""
        return self.id.split(".", 1)[0]

    def matches(self, pattern: str) -> bool:
        """Whether a pattern such as `DISD`, `DISD.*` or `DISABLE*` means this rule."""
        return fnmatchcase(self.id, pattern) or fnmatchcase(self.header, pattern)

    @cached_property
    def headers(self) -> tuple[str, ...]:
        """Every field the rule reads, found in the condition itself."""
        return headers_of(self.fails_when)

    @cached_property
    def values(self) -> frozenset[str]:
        """The fields whose value the rule reads: where what was sent is no value of one of them, the rule is silent."""
        return frozenset(cell.header for cell in cells_of(self.fails_when) if cell.stage is Stage.VALUE)

    @property
    def once(self) -> tuple[Condition, ...]:
        """Of a rule that is told once a file, the conditions that each must hold on some row; else nothing."""
        return self.fails_when.conditions if isinstance(self.fails_when, FirstRow) else ()


@dataclass(frozen=True, kw_only=True)
class Roles:
    """Which field of a dataset says what a program must know of a record: so that none names a header.

    consent: whether the client's data may be shared. agency: who sends. reference: the client at the agency.
    initials: of the first name and the surname. born: the birth date. sex.
    postcode, authority, area: where the client lives, its upper tier authority, and its partnership.
    event: the day of what brought the client. contact: the day of the first contact. caseload: the day on which the
    caseload began. closed, reason: the day of the closure, and why; `before` and `after` are the groups of the reasons
    before the caseload began and from then on. referred: the day of a referral.
    """

    consent: str
    agency: str
    reference: str
    initials: tuple[str, str]
    born: str
    sex: str
    postcode: str
    authority: str
    area: str
    event: str
    contact: str
    caseload: str
    closed: str
    reason: str
    referred: str
    before: str
    after: str


@dataclass(frozen=True, eq=False)
class Dataset:
    """A lettered version of the national collection: its fields, code lists and rules.

    `written` are the rules across fields; `rules` adds those derived from the fields. `elsewhere` says
    which letter has a header this one has not: a file that carries it is of that letter. `words` are the text patterns
    of the written rules in words. `example` is a whole record that breaks no rule on `example_day`. `roles` says which
    field says what, `questions` how they are asked. `derived` makes the rules that follow from the fields.
    """

    letter: str
    title: str
    effective: date
    fields: tuple[Field, ...]
    lists: Mapping[str, CodeList]
    written: tuple[Rule, ...] = ()
    elsewhere: Mapping[str, str] = dataclasses.field(default_factory=dict)
    words: Mapping[str, Wording] = dataclasses.field(default_factory=dict)
    example: Record = dataclasses.field(default_factory=dict)
    example_day: date = date.min
    roles: Roles | None = None
    questions: Questions | None = None
    derived: Callable[[Dataset], Iterable[Rule]] = lambda dataset: ()

    @cached_property
    def asked(self) -> Questions | None:
        """The questions with every field in them: one that no group names is asked after the field before it."""
        # Consent is asked on a page of its own.
        consent = self.roles.consent if self.roles else None
        fields = [(f.header, f.entity.value, f.system) for f in self.fields if f.header != consent]
        return self.questions.fitted(fields) if self.questions else None

    @cached_property
    def headers(self) -> tuple[str, ...]:
        """The CSV headers in the document's order: the order files are written in."""
        return tuple(field.header for field in self.fields)

    @cached_property
    def by_header(self) -> Mapping[str, Field]:
        """Field by CSV header."""
        return {field.header: field for field in self.fields}

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        """The whole rule book in the document's order: derived from the fields, then written."""
        order = {header: i for i, header in enumerate(self.headers)}
        found = (*self.derived(self), *self.written)
        return tuple(sorted(found, key=lambda rule: order[rule.header]))

    def codes_of(self, header: str) -> CodeList | None:
        """The code list of a field, or None."""
        name = self.by_header[header].codes
        return self.lists[name] if name else None

    def entity(self, entity: Entity) -> tuple[Field, ...]:
        """The fields of one section, in the document's order. The first is its id."""
        return tuple(field for field in self.fields if field.entity is entity)

    def parent(self, entity: Entity) -> Field | None:
        """The id of what an entity belongs to: an episode to a client, the rest to an episode."""
        above = {Entity.CLIENT: None, Entity.EPISODE: Entity.CLIENT}.get(entity, Entity.EPISODE)
        return self.entity(above)[0] if above and self.entity(above) else None

    def with_lists(self, lists: Mapping[str, CodeList]) -> Dataset:
        """The same dataset with some code lists replaced (official ones over the packaged)."""
        written = tuple(rule for rule in self.written if rule.of_list not in lists)
        return dataclasses.replace(self, lists={**self.lists, **lists}, written=written)

    def revise(
        self,
        letter: str,
        *,
        title: str,
        effective: date,
        add: Iterable[tuple[Field, str | None]] = (),
        drop: Iterable[str] = (),
        change: Mapping[str, Mapping[str, object]] | None = None,
        lists: Mapping[str, CodeList] | None = None,
        written: Iterable[Rule] = (),
    ) -> Dataset:
        """Another letter as a difference from this one.

        `add` pairs a new field with the header it comes after (None: at the end). `change` maps a
        header to the attributes that differ. Written rules that read a dropped header go with it;
        `written` adds new ones, each in the place of the one with its id, if there is one.
        """
        dropped = set(drop)
        change = change or {}
        fields = [
            dataclasses.replace(f, **change.get(f.header, {}))  # type: ignore[arg-type]
            for f in self.fields
            if f.header not in dropped
        ]
        for field, after in add:
            headers = [f.header for f in fields]
            fields.insert(headers.index(after) + 1 if after else len(fields), field)
        known = {f.header for f in fields}
        readable = (rule for rule in self.written if known.issuperset(rule.headers))
        new = {rule.id: rule for rule in written}
        kept = [new.pop(rule.id, rule) for rule in readable]
        return Dataset(
            letter=letter,
            title=title,
            effective=effective,
            fields=tuple(fields),
            lists={**self.lists, **(lists or {})},
            written=(*kept, *new.values()),
            elsewhere={header: self.letter for header in self.headers if header not in known},
            words=self.words,
            example={header: text for header, text in self.example.items() if header in known},
            example_day=self.example_day,
            roles=self.roles,
            questions=self.questions,
            derived=self.derived,
        )
