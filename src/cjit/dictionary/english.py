"""Conditions in plain English: one phrase that is true of the rows a condition is surely true of.

A phrase says of a field what it says of one that is given; where a blank counts as well, it says "is blank or". So no
word is needed for "not known": a condition that must be surely true, surely false, or either or not known, has a phrase
for each. Fields are called by their headers, codes have their labels, and a pattern has the words that the dataset
gives it (`Dataset.words`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from cjit import dates
from cjit.conditions import (
    WHITE_SPACE,
    And,
    AnyRow,
    Capitals,
    Cell,
    Condition,
    Constant,
    Days,
    Differs,
    Equal,
    FirstGiven,
    FirstRow,
    Found,
    Given,
    HasCheckFigure,
    HowOften,
    Joined,
    Latest,
    Least,
    Less,
    LookedUp,
    Matches,
    Most,
    Never,
    Not,
    OneOf,
    Or,
    Parameter,
    ParameterValue,
    Plain,
    Rows,
    Stage,
    Start,
    Surely,
    Table,
    Trimmed,
    Value,
    Where,
    Withheld,
    Without,
    Written,
    as_text,
    children,
)
from cjit.dataset import Dataset, Kind, Wording
from cjit.dates import Style
from cjit.geography import TRUNCATED, WHOLE_UNSPACED
from cjit.sentences import listed

#: A list of codes that is longer is counted.
_SPELT_OUT = 12
#: Labels that are longer, or of more codes together, are left out.
_LABEL, _LABELLED = 32, 4

#: The patterns of the rules that follow from the fields.
WORDS: Mapping[str, Wording] = {
    WHITE_SPACE: Wording(without="white space"),
    f"^{WHITE_SPACE}|{WHITE_SPACE}$": Wording("has white space before or after it"),
    "^[A-Z]$": Wording("is one capital letter from A to Z"),
    "^0([1-9])$": Wording(finds=("the figure after the leading nought",)),
    "^(0|[1-9][0-9]{0,8})$": Wording("is a number in figures with no leading nought"),
    TRUNCATED: Wording("looks like a postcode less its last two characters"),
    WHOLE_UNSPACED: Wording("looks like a whole postcode"),
    **{pattern: Wording(f"is written {style.value}") for style, pattern in dates.PATTERNS.items()},
}


def in_english(condition: Condition, dataset: Dataset) -> str:
    """Where a condition is surely true, as a phrase that goes on from "where"."""
    return _spoken(_Reader(dataset).says(condition, yes=True, known=True))


# ---- what is said ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Fact:
    """One thing said of a subject.

    `given` are the values that cannot be blank where it is true, by what they say. `blank` is the value that the fact
    says is blank, `is_given` that of which it says no more than that it is given. `one` says that the subject may be
    put together with others.
    """

    subject: str
    verb: str
    given: frozenset[str] = frozenset()
    blank: str = ""
    is_given: str = ""
    one: bool = False
    plural: bool = False

    @property
    def text(self) -> str:
        return f"{self.subject} {_plural(self.verb) if self.plural else self.verb}".strip()


@dataclass(frozen=True)
class _All:
    """Things that are all true."""

    parts: tuple[_Statement, ...]


@dataclass(frozen=True)
class _Any:
    """Things of which one at least is true."""

    parts: tuple[_Statement, ...]


_Statement = _Fact | _All | _Any

#: What is always so, and what never is.
_ALWAYS, _NEVER = _All(()), _Any(())
_THE_ROW = "the row"


def _all(parts: Iterable[_Statement]) -> _Statement:
    """All of some things, less what need not be said beside the others."""
    flat = _flat(_All, parts)
    given = frozenset[str]().union(*(part.given for part in flat if isinstance(part, _Fact)))
    needed: dict[_Statement, None] = {}
    for part in flat:
        rest = part if isinstance(part, _Fact) else _where_given(part, given)
        if not (isinstance(rest, _Any) and any(each in flat for each in rest.parts)):
            needed.update(dict.fromkeys(_flat(_All, [rest])))
    if _NEVER in needed:
        return _NEVER
    return next(iter(needed)) if len(needed) == 1 else _All(tuple(needed))


def _any(parts: Iterable[_Statement]) -> _Statement:
    """Any of some things, less what need not be said beside the others."""
    flat = _flat(_Any, parts)
    blank = {part.blank for part in flat if isinstance(part, _Fact) and part.blank}
    if _ALWAYS in flat or any(isinstance(part, _Fact) and part.is_given in blank for part in flat):
        return _ALWAYS
    needed = [part for part in flat if not (isinstance(part, _All) and any(each in flat for each in part.parts))]
    return needed[0] if len(needed) == 1 else _Any(tuple(needed))


def _where_given(statement: _Statement, given: frozenset[str]) -> _Statement:
    """The same where some values are given: of these a blank is no way out."""
    match statement:
        case _All(parts):
            return _all(_where_given(part, given) for part in parts)
        case _Any(parts):
            return _any(_where_given(part, given) for part in parts)
    return _NEVER if statement.blank in given else statement


def _flat(kind: type[_All] | type[_Any], parts: Iterable[_Statement]) -> list[_Statement]:
    flat: dict[_Statement, None] = {}
    for part in parts:
        flat.update(dict.fromkeys(part.parts if isinstance(part, kind) else (part,)))
    return list(flat)


# ---- conditions ------------------------------------------------------------------------------------


class _Reader:
    """A dataset's conditions in words."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.words = {**WORDS, **dataset.words}
        self.gates = listed([rule.header for rule in dataset.written if rule.gate]) or "no rule"

    def says(self, condition: Condition, *, yes: bool, known: bool) -> _Statement:  # noqa: PLR0911 - one case a node
        """That a condition is surely true (or false); if it need not be `known`, that or not known."""
        match condition:
            case And(parts):
                return (_all if yes else _any)(self.says(part, yes=yes, known=known) for part in parts)
            case Or(parts):
                return (_any if yes else _all)(self.says(part, yes=yes, known=known) for part in parts)
            case Not(part):
                return self.says(part, yes=not yes, known=known)
            case Surely(part):
                return self.says(part, yes=yes, known=yes)
            case Given(value):
                return self.given(value) if yes else self.blank(value)
            case Withheld():
                return _Fact(_THE_ROW, f"is {'' if yes else 'not '}withheld (by {self.gates})")
            case Never():
                return _NEVER if known else _ALWAYS
            case OneOf(value, ()):
                # Nothing is one of none; of a blank that is not known.
                of_blank = self.blank(value) if yes else _ALWAYS
                return of_blank if not known else _NEVER if yes else self.given(value)
            case AnyRow(part, same):
                return self.any_row(part, same, yes=yes)
            case FirstRow(conditions):
                return self.first_row(conditions, yes=yes)
            case LookedUp(table, texts):
                return self.looked_up(table, texts, yes=yes, known=known)
            case Differs(value, same):
                return self.differs(value, same, yes=yes, known=known)
        fact = self.compared(condition, yes=yes)
        values = [] if known else [each for each in children(condition) if isinstance(each, Value)]
        return _any((*(blank for value in values for blank in self.blanks(value)), fact))

    # ---- what is there, and what is not --------------------------------------------------------

    def given(self, value: Value) -> _Statement:
        """That a value is given."""
        match value:
            case Cell(header, stage):
                verb = {Stage.SENT: "is filled in", Stage.READ: self.read_as(header)[0]}.get(stage, "is given")
                return _Fact(header, verb, frozenset({as_text(value)}), is_given=as_text(value), one=True)
            case Where(own, condition):
                return _all((self.given(own), self.says(condition, yes=True, known=True)))
            case Found(text, pattern, group):
                return self.fact(text, f"holds {self.found(pattern, group)}")
        return self.fact(value, "is given")

    def blank(self, value: Value) -> _Statement:
        """That a value is blank."""
        match value:
            case Cell(header, stage):
                verb = {Stage.SENT: "is left blank", Stage.READ: self.read_as(header)[1]}.get(stage, "is blank")
                return _Fact(header, verb, blank=as_text(value), one=True)
            case Where(own, condition):
                return _any((self.blank(own), self.says(condition, yes=False, known=False)))
            case Found(text, pattern, group):
                return _Fact(self.noun(text), f"does not hold {self.found(pattern, group)}", blank=as_text(value))
        return _Fact(self.noun(value), "is blank", blank=as_text(value))

    def blanks(self, value: Value) -> Iterator[_Statement]:
        """Each way in which a value may be blank."""
        match value:
            case Constant() | ParameterValue(Parameter.TODAY) | Rows() | HowOften():
                return
            case Capitals(part) | Trimmed(part) | Start(part) | Without(part) | Written(part):
                yield from self.blanks(part)
            case Joined(parts):
                for each in parts:
                    yield from self.blanks(each)
            case Days(later, earlier):
                yield from self.blanks(later)
                yield from self.blanks(earlier)
            case _:
                yield self.blank(value)

    def needed(self, values: Iterable[Value]) -> frozenset[str]:
        """What must be given for all of some values to be."""
        found: set[str] = set()
        for value in values:
            match value:
                case Cell():
                    found.add(as_text(value))
                case Capitals() | Trimmed() | Start() | Without() | Found() | Joined() | Written() | Days() | Where():
                    found |= self.needed(each for each in children(value) if isinstance(each, Value))
        return frozenset(found)

    def read_as(self, header: str) -> tuple[str, str]:
        """How it is said that a field is read as something, and as nothing."""
        field = self.dataset.by_header.get(header)
        kind = {Kind.DATE: "a date", Kind.NUMBER: "a whole number"}.get(field.kind) if field else None
        return (
            (f"is read as {kind}", f"is not read as {kind}") if kind else ("is not read as blank", "is read as blank")
        )

    # ---- within a row --------------------------------------------------------------------------

    def fact(self, value: Value, verb: str, others: Iterable[Value] = ()) -> _Fact:
        """Something said of a value, which is given where it is true, as some others are."""
        bare = _bare(value)
        several = isinstance(bare, Start) and bare.length > 1
        return _Fact(self.noun(value), verb, self.needed((value, *others)), one=isinstance(value, Cell), plural=several)

    def compared(self, condition: Condition, *, yes: bool) -> _Fact:
        """What a comparison says of its values, which are given."""
        match condition:
            case Equal(one, other):
                # A field is spoken of rather than anything else.
                turned = isinstance(one, Constant) or (isinstance(other, Cell) and not isinstance(one, Cell))
                return self.equal(other, one, yes=yes) if turned else self.equal(one, other, yes=yes)
            case Less(one, other):
                return self.less(one, other, yes=yes)
            case OneOf(value, options):
                return self.fact(value, f"is {self.among(value, options, yes=yes)}", () if yes else options)
            case Matches(text, pattern):
                verb = self.wording(pattern).matches or "has a certain form"
                return self.fact(text, verb if yes else _denied(verb))
            case HasCheckFigure(figures):
                return self.fact(figures, f"is {'' if yes else 'not '}ten figures with a right check figure")
        raise TypeError(f"There is no English for {type(condition).__name__}")

    def equal(self, one: Value, other: Value, *, yes: bool) -> _Fact:
        match one, other:
            case (Rows(same), Constant(1)):
                return _Fact("", f"{'no other' if yes else 'another'} row has the same {self.ids(same)}")
            case (Rows(same), Constant(number)):
                exactly = "exactly" if yes else "more or fewer than"
                return _Fact("", f"{exactly} {_rows(number)} have the same {self.ids(same)}")
            case (HowOften(value, same), Constant(number)):
                rows = f"{'exactly' if yes else 'more or fewer than'} {_rows(number)}"
                if number == 0:
                    rows = "no row" if yes else "some row"
                subject, verb = self.filled(value)
                return _Fact(subject, f"{verb} on {rows} with the same {self.ids(same)}")
            case (_, Constant(plain)):
                return self.fact(one, f"is {'' if yes else 'other than '}{self.constant(plain, one)}")
            case (Cell(header, Stage.SENT), Cell(read, Stage.READ)) if header == read:
                verb = f"is {'' if yes else 'not '}written as it is read"
                return dataclasses.replace(self.fact(one, verb, [other]), subject=header)
        if self.done(other) and as_text(_bare(other)) == as_text(one):
            return self.fact(one, f"is {'' if yes else 'not '}the same {', '.join(self.all_done(other))}")
        # What is done to both alike is said once.
        done: list[str] = []
        left, right = one, other
        while (how := self.done(left)) and how == self.done(right):
            done = [how, *done]
            left, right = _inner(left), _inner(right)
        both = f" (both {', '.join(done)})" if done else ""
        verb = f"{'is the same as' if yes else 'differs from'} {self.noun(right)}{both}"
        return dataclasses.replace(self.fact(one, verb, [other]), subject=self.noun(left))

    def less(self, one: Value, other: Value, *, yes: bool) -> _Fact:
        """Which comes first, said of a field rather than of anything else."""
        if isinstance(one, Constant) and isinstance(other, Rows):
            if one.value == 1 and yes:
                return _Fact("", f"another row has the same {self.ids(other.same)}")
            many = "more than" if yes else "at most"
            return _Fact("", f"{many} {_rows(one.value)} have the same {self.ids(other.same)}")
        turned = isinstance(one, Constant | ParameterValue) or (isinstance(other, Cell) and not isinstance(one, Cell))
        subject, beside = (other, one) if turned else (one, other)
        to = self.constant(beside.value, subject) if isinstance(beside, Constant) else self.noun(beside)
        if self.is_date(one) or self.is_date(other):
            verb = f"is {'' if yes else 'not '}{'after' if turned else 'before'} {to}"
        elif yes:
            verb = f"is {'more' if turned else 'less'} than {to}"
        else:
            verb = f"is {'at most' if turned else 'at least'} {to}"
        return self.fact(subject, verb, [beside])

    def among(self, value: Value, options: tuple[Value, ...], *, yes: bool) -> str:
        """What a value is, of some: these, or how many they are."""
        plain = [option.value for option in options if isinstance(option, Constant)]
        codes = self.codes(value)
        if len(plain) == len(options) and len(plain) > _SPELT_OUT:
            which = f"{len(plain)} codes"
            if codes is not None and set(plain) == set(codes):
                which = f"the {len(plain)} codes of its list"
            elif codes is not None and set(plain) <= set(codes):
                which = f"{len(plain)} codes of its list, such as {plain[0]}"
            return f"{'one' if yes else 'none'} of {which}"
        forms = [option.form for option in options if isinstance(option, Written)]
        dated = {as_text(option.date): option.date for option in options if isinstance(option, Written)}
        if len(forms) == len(options) and len(dated) == 1:
            statement = f"{self.noun(*dated.values())} written {_or(list(map(_form, forms)))}"
        else:
            labelled = len(plain) <= _LABELLED and all(self.label(each, value) for each in plain)
            statement = _or(
                [
                    self.constant(each.value, value, labelled=labelled)
                    if isinstance(each, Constant)
                    else self.noun(each)
                    for each in options
                ]
            )
        return statement if yes else f"other than {statement}"

    def looked_up(self, table: Table, texts: tuple[Value, ...], *, yes: bool, known: bool) -> _Fact:
        phrase = table.means if yes else table.denies
        given = self.needed(texts) if known else frozenset()
        # A phrase begins with an argument.
        subject = texts[int(phrase[1])]
        verb = phrase[len("{0} ") :].format(*map(self.noun, texts))
        return _Fact(self.noun(subject), verb if known else f"{verb} as far as is known", given)

    # ---- across rows ---------------------------------------------------------------------------

    def any_row(self, part: Condition, same: tuple[Value, ...], *, yes: bool) -> _Fact:
        rows = f"{'some' if yes else 'no'} row with the same {self.ids(same)}"
        fact = self.says(part, yes=True, known=True)
        if isinstance(fact, _Fact) and fact.subject == _THE_ROW:
            return dataclasses.replace(fact, subject=rows)
        return _Fact(f"on {rows}", _spoken(fact))

    def differs(self, value: Value, same: tuple[Value, ...], *, yes: bool, known: bool) -> _Statement:
        rows = f"rows with the same {self.ids(same)}"
        if yes:
            fact = _Fact(self.noun(value), f"differs between {rows}", one=isinstance(value, Cell))
            return fact if known else _any((_Fact(self.noun(value), f"is blank on all {rows}"), fact))
        if known:
            return _Fact(self.noun(value), f"is given, and the same wherever it is given, on all {rows}")
        return _Fact(self.noun(value), f"does not differ between {rows}")

    def first_row(self, conditions: tuple[Condition, ...], *, yes: bool) -> _Fact:
        facts = [_within(self.says(condition, yes=True, known=True)) for condition in conditions]
        verb = "is" if yes else "is not"
        if len(facts) == 1:
            return _Fact(_THE_ROW, f"{verb} the first of the file on which {facts[0]}")
        *most, last = (f"a row on which {each}" for each in facts)
        return _Fact(_THE_ROW, f"{verb} the first by which the file has {', '.join(most)}, and {last}")

    def filled(self, value: Value) -> tuple[str, str]:
        """A value and that it is given."""
        if isinstance(value, Cell) and value.stage is Stage.SENT:
            return value.header, "is filled in"
        return self.noun(value), "is given"

    # ---- names of values -----------------------------------------------------------------------

    def noun(self, value: Value) -> str:
        """What a value is called; in brackets, what is done to it first."""
        done = self.all_done(value)
        return f"{self.named(_bare(value))} ({', '.join(done)})" if done else self.named(value)

    def all_done(self, value: Value) -> list[str]:
        """Everything that is done to a text, in its order."""
        how = self.done(value)
        return [*self.all_done(_inner(value)), how] if how else []

    def done(self, value: Value) -> str:
        """What is done to a text, where it stays the same text for a reader."""
        match value:
            case Capitals():
                return "in capitals"
            case Trimmed():
                return "without white space around it"
            case Without(_, pattern):
                return f"without {self.wording(pattern).without or 'certain characters'}"
        return ""

    def named(self, value: Value) -> str:  # noqa: C901, PLR0911, PLR0912 - one case a node
        match value:
            case Cell(header, stage):
                return header if stage is Stage.VALUE else f"{header} {stage.value}"
            case ParameterValue(name):
                return "today" if name is Parameter.TODAY else "the code of the agency that submits"
            case Constant(plain):
                return self.constant(plain, None)
            case FirstGiven(values):
                return self.first_given(values)
            case Latest(values):
                several = "later" if len(values) == 2 else "latest"
                return f"the {several if self.is_date(value) else 'greatest'} of {self.ids(values)}"
            case Days(later, earlier):
                return f"the number of days from {self.noun(earlier)} to {self.noun(later)}"
            case Where(own, condition):
                return f"{self.noun(own)} (where {_spoken(self.says(condition, yes=True, known=True))})"
            case Start(text, length):
                return f"the first {'character' if length == 1 else f'{length} characters'} of {self.noun(text)}"
            case Found(text, pattern, group):
                return f"{self.found(pattern, group)} in {self.noun(text)}"
            case Joined(texts):
                return " then ".join(map(self.noun, texts))
            case Written(day, form):
                return f"{self.noun(day)} written {_form(form)}"
            case Rows(same):
                return f"the number of rows with the same {self.ids(same)}"
            case HowOften(own, same):
                return f"the number of rows with the same {self.ids(same)} on which {' '.join(self.filled(own))}"
            case Most(own, same):
                most = "newest" if self.is_date(own) else "greatest"
                return f"the {most} {self.noun(own)} on all rows with the same {self.ids(same)}"
            case Least(own, same):
                least = "oldest" if self.is_date(own) else "least"
                return f"the {least} {self.noun(own)} on all rows with the same {self.ids(same)}"
        raise TypeError(f"There is no English for {type(value).__name__}")

    def first_given(self, values: tuple[Value, ...]) -> str:
        nouns = list(dict.fromkeys(map(self.noun, values)))
        if len(nouns) == 1:
            return nouns[0]
        if len(nouns) == 2:
            return f"{nouns[0]} (or {nouns[1]} if that is blank)"
        return f"the first given of {listed(nouns)}"

    def ids(self, same: tuple[Value, ...]) -> str:
        return listed(list(map(self.noun, same)))

    def wording(self, pattern: str) -> Wording:
        return self.words.get(pattern, Wording())

    def found(self, pattern: str, group: int) -> str:
        finds = self.wording(pattern).finds
        return finds[group - 1] if 0 < group <= len(finds) else "what has a certain form"

    def is_date(self, value: Value) -> bool:
        match value:
            case Cell(header):
                field = self.dataset.by_header.get(header)
                return field is not None and field.kind is Kind.DATE
            case ParameterValue(name):
                return name is Parameter.TODAY
            case Constant(plain):
                return isinstance(plain, date)
            case FirstGiven(values) | Latest(values):
                return any(map(self.is_date, values))
            case Where(own) | Most(own) | Least(own):
                return self.is_date(own)
        return False

    # ---- texts, numbers, dates and codes -------------------------------------------------------

    def constant(self, plain: Plain, of: Value | None, *, labelled: bool = True) -> str:
        """A text, number or date; a code of a field with its label, where that is short."""
        if isinstance(plain, date):
            return f"{plain:{Style.SLASHED.form}}"
        text = f"{plain:,}" if isinstance(plain, int) else {"": "nothing", " ": "a space"}.get(plain, plain)
        label = self.label(plain, of) if labelled else ""
        return f"{text} ({label})" if label else text

    def label(self, plain: Plain, of: Value | None) -> str:
        """The label of a code of a field, or of an answer that is no number; "" where it has none that is short."""
        field = self.dataset.by_header.get(of.header) if isinstance(of, Cell) else None
        label = field.apart.get(str(plain), "") if field else ""
        label = label or (self.codes(of) or {}).get(str(plain), "")
        return label if len(label) <= _LABEL and "(" not in label else ""

    def codes(self, of: Value | None) -> Mapping[str, str] | None:
        """The codes of the list a value is of, with their labels."""
        bare = of if of is None else _bare(of)
        found = (
            self.dataset.codes_of(bare.header)
            if isinstance(bare, Cell) and self.dataset.by_header.get(bare.header)
            else None
        )
        return found.labels if found else None


def _inner(value: Value) -> Value:
    """The text that something is done to."""
    return value.text if isinstance(value, Capitals | Trimmed | Without) else value


def _bare(value: Value) -> Value:
    """The text that one or more things are done to."""
    while (inner := _inner(value)) is not value:
        value = inner
    return value


# ---- words -----------------------------------------------------------------------------------------


def _form(form: str) -> str:
    """A form of `strftime` as people write it."""
    return form.replace("%d", "dd").replace("%m", "mm").replace("%Y", "yyyy").replace("%y", "yy")


def _rows(number: object) -> str:
    return f"{number} row" if number == 1 else f"{number} rows"


def _or(words: Sequence[str]) -> str:
    return listed(words, "or")


def _denied(verb: str) -> str:
    """The opposite of a verb in the third person."""
    first, _, rest = verb.partition(" ")
    if first == "is":
        return f"is not {rest}"
    return f"does not {'have' if first == 'has' else first.removesuffix('s')} {rest}"


def _plural(verb: str) -> str:
    first, _, rest = verb.partition(" ")
    plain = {"is": "are", "has": "have", "does": "do"}.get(first, first.removesuffix("s"))
    return f"{plain} {rest}"


# ---- sentences -------------------------------------------------------------------------------------


def _spoken(statement: _Statement) -> str:
    """A phrase by itself."""
    if isinstance(statement, _Fact):
        return statement.text
    if not statement.parts:
        return "no record does so by itself" if statement == _NEVER else "always"
    *most, last = _clauses(statement, _within)
    return f"{', '.join(most)}, {_word(statement)} {last}" if most else last


def _word(statement: _All | _Any) -> str:
    return "and" if isinstance(statement, _All) else "or"


def _clauses(statement: _All | _Any, inner: Callable[[_Statement], str]) -> list[str]:
    """The parts of a phrase; what has a list of its own comes last, so that nothing is taken for a part of it."""
    merged = _merged([part for part in statement.parts if isinstance(part, _Fact)], _word(statement))
    clauses = dict.fromkeys(merged[part] if isinstance(part, _Fact) else inner(part) for part in statement.parts)
    return sorted(clauses, key=lambda clause: _FIRST in clause)


def _within(statement: _Statement) -> str:
    """A phrase within another one: so short that it cannot be misread, or a list."""
    if isinstance(statement, _Fact):
        return statement.text
    word, other = _word(statement), " or " if isinstance(statement, _All) else " and "
    clauses = _clauses(statement, _within)
    if len(clauses) == 1:
        return clauses[0]
    readable = not any(other in clause or _FIRST in clause for clause in clauses)
    if readable and len(clauses) < 4 and sum(f" {word} " in clause for clause in clauses) < 2:
        return f"{'either ' if word == 'or' else ''}{f' {word} '.join(clauses)}"
    each = "; ".join(f"({letter}) {item}" for letter, item in zip(_LETTERS, _clauses(statement, _spoken), strict=False))
    return f"{'all' if word == 'and' else 'any'} of these: {each}"


#: What the items of a list are told apart by.
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_FIRST = "(a) "


def _merged(facts: Sequence[_Fact], word: str) -> Mapping[_Fact, str]:
    """Each fact with the clause it is in: several fields of which the same is said, or several things said of one."""
    merged: dict[_Fact, str] = {}
    for first in facts:
        if first in merged:
            continue
        left = [fact for fact in facts if fact not in merged]
        same = [fact for fact in left if first.subject and fact.subject == first.subject]
        alike = [
            fact
            for fact in left
            if (first.one and fact.one and fact.verb == first.verb)
            and sum(fact.subject == other.subject for other in left) == 1
        ]
        if len(alike) > 1 and first in alike:
            verb = _plural(first.verb) if word == "and" else first.verb
            merged |= dict.fromkeys(alike, f"{listed([fact.subject for fact in alike], word)} {verb}")
        elif len(same) > 1 and sum(_is_listed(fact.verb) for fact in same) < 2:
            # What has an "or" or "and" of its own stands last, where it cannot be misread.
            verbs = sorted((fact.verb for fact in same), key=_is_listed)
            if all(verb.startswith("is ") for verb in verbs):
                verbs = [verbs[0], *(verb.removeprefix("is ") for verb in verbs[1:])]
            merged |= dict.fromkeys(same, dataclasses.replace(first, verb=listed(verbs, word)).text)
        else:
            merged[first] = first.text
    return merged


def _is_listed(verb: str) -> bool:
    return " or " in verb or " and " in verb
