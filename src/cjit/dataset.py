"""The vocabulary: Field, CodeList, Rule and Dataset, and the document's own outcomes.

Everything here is a frozen value. Importing a module registers nothing, and no function here reads a file, a clock or a
global. The engines are given a `Dataset` and take every header from it.
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

#: The clause of a rule that the document only hints at. Each such rule says why in `reading`
#: and is listed in docs/source.md.
OUR_READING = "our reading"

#: Two columns that a rule may read beside the fields: the day of the check (Date), and the code of the agency that
#: submits (String, null where it is not given). Both are arguments of a check.
TODAY = "TODAY"
SUBMITTER = "SUBMITTER"

#: A column (Boolean) that rules across rows may read: true on rows whose gate failed. All values of such a row are null
#: but the client's id.
WITHHELD = "WITHHELD"

#: A column (Boolean) beside WITHHELD in what `cjit.engine.checking.records` gives: true on rows whose gate failed by a
#: code that withdraws (`Field.withdraws`), false where it failed by a blank or by a text that is no code.
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
    """How certain a code is, the most certain first."""

    STATED = "stated"  # printed in the business definitions
    DERIVED = "derived"  # found in another system that implements the dataset
    OFFICIAL = "official"  # installed by the user from the official reference data
    PARTIAL = "partial"  # real codes, but the list is known to be longer
    PLACEHOLDER = "placeholder"  # the code, or its label, is our stand-in


@dataclass(frozen=True, slots=True)
class Code:
    """One row of a code list.

    code: the code, in capitals.
    label: what it stands for.
    definition: the definition printed beside it ("": none).
    group: the heading it is printed under ("": none).
    status: how certain the code is.
    source: where it is from.
    start, end: the first and the last day on which it may be used (None: no limit). They are shown, and no rule checks
        them, because it is not public which date of a record they apply to.
    also: other codes that are read as this one.
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

    name: the list's name, such as DRUG.
    rows: a row for each pair of code and group: a code may stand in several groups with different definitions, as
        case closure reasons do.
    """

    name: str
    rows: tuple[Code, ...]

    @cached_property
    def codes(self) -> tuple[str, ...]:
        """The distinct codes, in printed order."""
        return tuple(dict.fromkeys(row.code for row in self.rows))

    @cached_property
    def labels(self) -> Mapping[str, str]:
        """Label by code. A code in two groups has the label that is printed first."""
        return {row.code: row.label for row in reversed(self.rows)}

    @cached_property
    def also(self) -> Mapping[str, str]:
        """The code of the list by other code that is read as it."""
        return {other: row.code for row in self.rows for other in row.also if other not in self.labels}

    @cached_property
    def status(self) -> Status:
        """The least certain status of any row."""
        return max((row.status for row in self.rows), key=list(Status).index)

    @property
    def complete(self) -> bool:
        """Whether a code that is not in the list is known to be wrong."""
        return self.status in (Status.STATED, Status.DERIVED, Status.OFFICIAL)

    def group(self, name: str) -> tuple[str, ...]:
        """The codes printed under one heading, such as `prior to caseload`."""
        return tuple(row.code for row in self.rows if row.group == name)

    def not_answers(self) -> tuple[str, ...]:
        """The codes for a question that was not answered: declined, not stated, not known.

        A client who declines something other than the question has answered it: "No – client declined" is an answer
        on naloxone.
        """
        words = ("declined to answer", "declines to disclose", "not stated", "not known", "unknown", "does not know")
        return tuple(dict.fromkeys(r.code for r in self.rows if any(w in r.label.lower() for w in words)))


@dataclass(frozen=True)
class Field:
    """One data item of the dataset.

    header: its CSV header, and its only name in frames, forms, JSON and rules.
    label: the document's field description.
    noun: its name in a message ("Enter the …").
    definition: what it is, in our words.
    clause: where the document prints it: section and header.
    entity: the section it belongs to.
    kind: how a value is written.
    changes: whether a value may change from one submission to the next.
    as_of: the moment as per which the document has it recorded, such as "start of episode" ("": none is named).
    codes: the name of its code list (None: it has none).
    missing: the stated consequence of leaving it blank (None: the document states none).
    required: the stated condition under which some records need it ("where …"; "": none). A written rule checks it.
    minimum, maximum: the bounds of a number, inclusive (None: no bound).
    apart: label by answer that is a number in form only, such as CHILDWTH 98. Such answers are never averaged.
    none: codes of other letters for "none". They are read as blank, with a query.
    withdraws: the codes that take back an answer given before. Any other value that is not the answer asked for, or a
        blank, means only that the answer is not given in this record.
    system: whether the software fills it in, and not the provider.
    also: other spellings of the header that a file may use.
    hint: a sentence for the person who fills it in.
    plain: its name on what the client reads (None: the label; "": it is a further answer to the field before it).
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
        """The severity of a bad value: that of a missing value, or `query` where the document states none."""
        return self.missing or Severity.QUERY


@dataclass(frozen=True, slots=True)
class Wording:
    """A text pattern in English.

    matches: the verb phrase for a text in which the pattern is found ("holds an e-mail address").
    finds: a noun for the text of each group, from group 1 on ("the postcode").
    without: a noun for everything that the pattern finds and `Without` removes ("spaces").
    """

    matches: str = ""
    finds: tuple[str, ...] = ()
    without: str = ""


#: One record of a file or a form: text by header. A header that is left out is blank.
Record = Mapping[str, str]


@dataclass(frozen=True)
class Rule:
    """Something that must or should hold.

    id: `HEADER.what_must_hold`.
    severity: what happens to a record that breaks it.
    message: one sentence for the user that says what to do, without a full stop.
    clause: where the document says so, or `OUR_READING`.
    fails_when: the condition. The rule fires where it is surely true.
    breaks: an example that breaks the rule: cells that replace those of the dataset's faultless example record. A rule
        across rows has several such records.
    holds: an example that keeps the rule, likewise.
    across: the header of the id by which the rule groups rows (None: it reads one row).
    gate: whether a row that breaks it is withheld: no other finding and no value of it is shown. A gate replaces all
        derived rules of its field.
    replaces: the id of a rule that does not fire on a row where this one does ("": none).
    of_list: the name of a code list whose packaged codes the rule reads ("": none). The rule is left out where an
        official list takes the place of the packaged one.
    reading: why the rule is there, where the clause is our reading.
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
        """The header of the field at which a finding is shown."""
        return self.id.split(".", 1)[0]

    def matches(self, pattern: str) -> bool:
        """Whether a pattern such as `DISD`, `DISD.*` or `DISABLE*` names this rule."""
        return fnmatchcase(self.id, pattern) or fnmatchcase(self.header, pattern)

    @cached_property
    def headers(self) -> tuple[str, ...]:
        """The header of every field that the condition reads."""
        return headers_of(self.fails_when)

    @cached_property
    def values(self) -> frozenset[str]:
        """The headers of the fields whose value the rule reads. It is silent where one of them has no valid value."""
        return frozenset(cell.header for cell in cells_of(self.fails_when) if cell.stage is Stage.VALUE)

    @property
    def passing_code(self) -> str:
        """The code with which a gate holds, as its example has it."""
        record = self.holds if isinstance(self.holds, Mapping) else self.holds[0]
        return record[self.header]

    @property
    def once(self) -> tuple[Condition, ...]:
        """The conditions that must each hold on some row, of a rule that is told once a file; else none."""
        return self.fails_when.conditions if isinstance(self.fails_when, FirstRow) else ()


@dataclass(frozen=True, kw_only=True)
class Roles:
    """The headers of the fields that programs must know by their meaning, so that no program names a header.

    consent: whether the client's data may be shared.
    agency: the code of the agency that sends.
    reference: the agency's own reference for the client.
    initials: the initials of the first name and of the surname.
    born: the birth date.
    sex: the client's sex.
    postcode: the postcode of the client's home, less its last two characters.
    authority: the upper tier authority of the client's home.
    area: the partnership of the client's home.
    event: the date of what brought the client to the service.
    contact: the date of the first contact.
    caseload: the date on which the client was taken onto the caseload.
    closed: the date of the case closure.
    reason: the reason for the case closure.
    referred: the date of a referral to structured treatment.
    before: not a header, but the group of the closure reasons for clients who are not on the caseload.
    after: not a header, but the group of the closure reasons for clients who are.
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

    letter: the letter, in capitals.
    title: its name for people.
    effective: the day from which it is in effect.
    fields: its fields, in the document's order.
    lists: its code lists by name.
    written: the rules across fields. `rules` has them and those that follow from the fields.
    elsewhere: the letter of another dataset by header that only that dataset has. A file with such a header is of
        that letter.
    words: the text patterns of the written rules in English.
    example: a whole record that breaks no rule on `example_day`.
    example_day: the day on which examples are checked.
    roles: the headers of the fields that programs must know by their meaning (None: not given).
    questions: how the fields are asked (None: not given).
    derived: makes the rules that follow from the fields.
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
        """The questions with every field but consent: a field that no group names is asked after the one before it."""
        # Consent is asked on a page of its own.
        consent = self.roles.consent if self.roles else None
        fields = [(f.header, f.entity.value, f.system) for f in self.fields if f.header != consent]
        return self.questions.fitted(fields) if self.questions else None

    @cached_property
    def headers(self) -> tuple[str, ...]:
        """The CSV headers in the document's order, which is the order of columns in a file that is written."""
        return tuple(field.header for field in self.fields)

    @cached_property
    def by_header(self) -> Mapping[str, Field]:
        """Field by CSV header."""
        return {field.header: field for field in self.fields}

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        """Every rule by the document's order of fields. The rules of a field are the derived, then the written ones."""
        order = {header: place for place, header in enumerate(self.headers)}
        return tuple(sorted((*self.derived(self), *self.written), key=lambda rule: order[rule.header]))

    def codes_of(self, header: str) -> CodeList | None:
        """The code list of a field; None where it has none."""
        name = self.by_header[header].codes
        return self.lists[name] if name else None

    def entity(self, entity: Entity) -> tuple[Field, ...]:
        """The fields of one section, in the document's order. The first is its id."""
        return tuple(field for field in self.fields if field.entity is entity)

    def parent(self, entity: Entity) -> Field | None:
        """The id of the entity that another belongs to: an episode belongs to a client, the others to an episode."""
        above = {Entity.CLIENT: None, Entity.EPISODE: Entity.CLIENT}.get(entity, Entity.EPISODE)
        return self.entity(above)[0] if above and self.entity(above) else None

    def with_lists(self, lists: Mapping[str, CodeList]) -> Dataset:
        """The same dataset with other code lists, such as official ones in place of the packaged.

        Args:
            lists: the new code lists by name.

        Returns:
            The dataset, without the rules that read the packaged codes of a list that was replaced.
        """
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
        """Another letter as its difference from this one.

        Args:
            letter: the other letter.
            title: its title.
            effective: the day from which it is in effect.
            add: pairs of a new field and the header that it comes after (None: it comes last).
            drop: the headers of fields that it does not have. Written rules that read one of them are left out.
            change: by header, the attributes of a field that differ, by name.
            lists: code lists by name, beside those of this dataset or in their place.
            written: more written rules. One with the id of a rule of this dataset takes its place.

        Returns:
            The other dataset.

        Raises:
            ValueError: where a field is to come after a header that there is not.
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
        revised = [new.pop(rule.id, rule) for rule in readable]
        return Dataset(
            letter=letter,
            title=title,
            effective=effective,
            fields=tuple(fields),
            lists={**self.lists, **(lists or {})},
            written=(*revised, *new.values()),
            elsewhere={header: self.letter for header in self.headers if header not in known},
            words=self.words,
            example={header: text for header, text in self.example.items() if header in known},
            example_day=self.example_day,
            roles=self.roles,
            questions=self.questions,
            derived=self.derived,
        )
