"""Conditions in plain English: one phrase that is true of the rows on which a condition is surely true.

A phrase about a field is about a field that is given. Where it is true of a blank too, it has the words "is blank or".
No phrase needs a word for "not known", because there is one phrase for each of four cases: surely true, surely false,
true or not known, and false or not known. Fields have their headers as names, codes have their labels, and a pattern
has the words that the dataset gives it (`Dataset.words`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from cjit import conditions as c
from cjit import dates
from cjit.dataset import Dataset, Kind, Wording
from cjit.dates import Style
from cjit.geography import TRUNCATED, WHOLE_UNSPACED
from cjit.sentences import listed

#: The most codes that are listed. A phrase with more codes has their number.
_MOST_CODES = 12
#: The most characters of a label, and the most codes of a list with labels. Other labels are left out.
_LONGEST_LABEL, _MOST_LABELLED = 32, 4

#: The patterns of the rules that follow from the fields.
WORDS: Mapping[str, Wording] = {
    c.WHITE_SPACE: Wording(without="white space"),
    f"^{c.WHITE_SPACE}|{c.WHITE_SPACE}$": Wording("has white space before or after it"),
    "^[A-Z]$": Wording("is one capital letter from A to Z"),
    "^0([1-9])$": Wording(finds=("the figure after the leading nought",)),
    "^(0|[1-9][0-9]{0,8})$": Wording("is a number in figures with no leading nought"),
    TRUNCATED: Wording("looks like a postcode less its last two characters"),
    WHOLE_UNSPACED: Wording("looks like a whole postcode"),
    **{pattern: Wording(f"is written {style.value}") for style, pattern in dates.PATTERNS.items()},
}


def in_english(condition: c.Condition, dataset: Dataset) -> str:
    """The phrase for where a condition is surely true. It continues a sentence after the word "where"."""
    return _phrase(_Reader(dataset).statement(condition, yes=True, known=True))


# ---- statements ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Fact:
    """A statement of one subject and one verb. Values in it are given by their `as_text`.

    subject: the noun.
    verb: the verb and what follows it, in the third person singular.
    given: the values that cannot be blank where the statement is true.
    blank: the value that it says is blank ("": none).
    is_given: the value that it says is given, where it says no more than that ("": none).
    one: whether its subject is a field, which may be merged with others into one subject.
    plural: whether the subject is in the plural.
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
    """A statement that is true where all its parts are."""

    parts: tuple[_Statement, ...]


@dataclass(frozen=True)
class _Any:
    """A statement that is true where any of its parts is."""

    parts: tuple[_Statement, ...]


_Statement = _Fact | _All | _Any

#: The statement that is always true, and the one that never is.
_ALWAYS, _NEVER = _All(()), _Any(())
_THE_ROW = "the row"


def _all(parts: Iterable[_Statement]) -> _Statement:
    """The statement that all parts are true, without parts that follow from the others."""
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
    """The statement that any part is true, without parts that imply another."""
    flat = _flat(_Any, parts)
    blank = {part.blank for part in flat if isinstance(part, _Fact) and part.blank}
    if _ALWAYS in flat or any(isinstance(part, _Fact) and part.is_given in blank for part in flat):
        return _ALWAYS
    needed = [part for part in flat if not (isinstance(part, _All) and any(each in flat for each in part.parts))]
    return needed[0] if len(needed) == 1 else _Any(tuple(needed))


def _where_given(statement: _Statement, given: frozenset[str]) -> _Statement:
    """A statement simplified for rows on which some values are given, so that none of them is blank."""
    match statement:
        case _All(parts):
            return _all(_where_given(part, given) for part in parts)
        case _Any(parts):
            return _any(_where_given(part, given) for part in parts)
    return _NEVER if statement.blank in given else statement


def _flat(kind: type[_All] | type[_Any], parts: Iterable[_Statement]) -> list[_Statement]:
    """Some statements, each once, with the parts of those of a kind in place of them."""
    flat: dict[_Statement, None] = {}
    for part in parts:
        flat.update(dict.fromkeys(part.parts if isinstance(part, kind) else (part,)))
    return list(flat)


# ---- conditions ------------------------------------------------------------------------------------


class _Reader:
    """Makes statements of the conditions of a dataset: each method returns the statement that its first line names.

    dataset: the dataset.
    words: the wording of each text pattern, by pattern.
    gates: the headers of its gates, listed in English.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.words = {**WORDS, **dataset.words}
        self.gates = listed([rule.header for rule in dataset.written if rule.gate]) or "no rule"

    def statement(self, condition: c.Condition, *, yes: bool, known: bool) -> _Statement:  # noqa: PLR0911 - one case a node
        """The statement that a condition is true or false.

        Args:
            condition: the condition.
            yes: whether it is true; otherwise it is false.
            known: whether it is surely so; otherwise it may also be not known.
        """
        match condition:
            case c.And(parts):
                return (_all if yes else _any)(self.statement(part, yes=yes, known=known) for part in parts)
            case c.Or(parts):
                return (_any if yes else _all)(self.statement(part, yes=yes, known=known) for part in parts)
            case c.Not(part):
                return self.statement(part, yes=not yes, known=known)
            case c.Surely(part):
                return self.statement(part, yes=yes, known=yes)
            case c.Given(value):
                return self.given(value) if yes else self.blank(value)
            case c.Withheld():
                return _Fact(_THE_ROW, f"is {'' if yes else 'not '}withheld (by {self.gates})")
            case c.Never():
                return _NEVER if known else _ALWAYS
            case c.OneOf(value, ()):
                # No given value is one of none, and for a blank that is not known.
                not_one = _NEVER if yes else self.given(value)
                return not_one if known else self.blank(value) if yes else _ALWAYS
            case c.AnyRow(part, same):
                return self.any_row(part, same, yes=yes)
            case c.FirstRow(conditions):
                return self.first_row(conditions, yes=yes)
            case c.LookedUp(table, texts):
                return self.looked_up(table, texts, yes=yes, known=known)
            case c.Differs(value, same):
                return self.differs(value, same, yes=yes, known=known)
        fact = self.comparison(condition, yes=yes)
        values = [] if known else [each for each in c.children(condition) if isinstance(each, c.Value)]
        return _any((*(blank for value in values for blank in self.blanks(value)), fact))

    # ---- what is there, and what is not --------------------------------------------------------

    def given(self, value: c.Value) -> _Statement:
        """The statement that a value is given."""
        match value:
            case c.Cell(header, stage):
                verb = {c.Stage.SENT: "is filled in", c.Stage.READ: self.read_as(header)[0]}.get(stage, "is given")
                return _Fact(header, verb, frozenset({c.as_text(value)}), is_given=c.as_text(value), one=True)
            case c.Where(part, condition):
                return _all((self.given(part), self.statement(condition, yes=True, known=True)))
            case c.Found(text, pattern, group):
                return self.fact(text, f"holds {self.group_noun(pattern, group)}")
        return self.fact(value, "is given")

    def blank(self, value: c.Value) -> _Statement:
        """The statement that a value is blank."""
        match value:
            case c.Cell(header, stage):
                verb = {c.Stage.SENT: "is left blank", c.Stage.READ: self.read_as(header)[1]}.get(stage, "is blank")
                return _Fact(header, verb, blank=c.as_text(value), one=True)
            case c.Where(part, condition):
                return _any((self.blank(part), self.statement(condition, yes=False, known=False)))
            case c.Found(text, pattern, group):
                return _Fact(
                    self.noun(text), f"does not hold {self.group_noun(pattern, group)}", blank=c.as_text(value)
                )
        return _Fact(self.noun(value), "is blank", blank=c.as_text(value))

    def blanks(self, value: c.Value) -> Iterator[_Statement]:
        """The statements that are true where a value is blank: one for each field that may make it so."""
        match value:
            case c.Constant() | c.ParameterValue(c.Parameter.TODAY) | c.Rows() | c.HowOften():
                return
            case c.Capitals(part) | c.Trimmed(part) | c.Start(part) | c.Without(part) | c.Written(part):
                yield from self.blanks(part)
            case c.Joined(parts):
                for each in parts:
                    yield from self.blanks(each)
            case c.Days(later, earlier):
                yield from self.blanks(later)
                yield from self.blanks(earlier)
            case _:
                yield self.blank(value)

    def needed(self, values: Iterable[c.Value]) -> frozenset[str]:
        """The fields, by their `as_text`, that cannot be blank where some values are given."""
        fields: set[str] = set()
        for value in values:
            if isinstance(value, c.Cell):
                fields.add(c.as_text(value))
            elif isinstance(value, _BLANK_WITH_ANY_PART):
                fields |= self.needed(each for each in c.children(value) if isinstance(each, c.Value))
        return frozenset(fields)

    def read_as(self, header: str) -> tuple[str, str]:
        """The verbs for a field that is given as read, and for one that is blank as read."""
        field = self.dataset.by_header.get(header)
        kind = {Kind.DATE: "a date", Kind.NUMBER: "a whole number"}.get(field.kind) if field else None
        return (
            (f"is read as {kind}", f"is not read as {kind}") if kind else ("is not read as blank", "is read as blank")
        )

    # ---- within a row --------------------------------------------------------------------------

    def fact(self, value: c.Value, verb: str, others: Iterable[c.Value] = ()) -> _Fact:
        """A statement about a value.

        Args:
            value: the value, which is the subject.
            verb: the verb.
            others: other values that are given where the statement is true, as the subject is.
        """
        bare = _bare(value)
        several = isinstance(bare, c.Start) and bare.length > 1
        return _Fact(
            self.noun(value), verb, self.needed((value, *others)), one=isinstance(value, c.Cell), plural=several
        )

    def comparison(self, condition: c.Condition, *, yes: bool) -> _Fact:
        """The statement that a comparison of values, all given, is true or false."""
        match condition:
            case c.Equal(one, other):
                turned = _is_turned(one, other, c.Constant)
                return self.equal(other, one, yes=yes) if turned else self.equal(one, other, yes=yes)
            case c.Less(one, other):
                return self.less(one, other, yes=yes)
            case c.OneOf(value, options):
                return self.fact(value, f"is {self.among(value, options, yes=yes)}", () if yes else options)
            case c.Matches(text, pattern):
                verb = self.wording(pattern).matches or "has a certain form"
                return self.fact(text, verb if yes else _negated(verb))
            case c.HasCheckFigure(figures):
                return self.fact(figures, f"is {'' if yes else 'not '}ten figures with a right check figure")
        raise TypeError(f"There is no English for {type(condition).__name__}")

    def equal(self, one: c.Value, other: c.Value, *, yes: bool) -> _Fact:
        """The statement that two given values are equal, or that they are not. The first is the subject.

        Args:
            one: the first value.
            other: the second value.
            yes: whether it is so.
        """
        match one, other:
            case (c.Rows(same), c.Constant(1)):
                return _Fact("", f"{'no other' if yes else 'another'} row has the same {self.ids(same)}")
            case (c.Rows(same), c.Constant(number)):
                exactly = "exactly" if yes else "more or fewer than"
                return _Fact("", f"{exactly} {_rows(number)} have the same {self.ids(same)}")
            case (c.HowOften(value, same), c.Constant(number)):
                rows = f"{'exactly' if yes else 'more or fewer than'} {_rows(number)}"
                if number == 0:
                    rows = "no row" if yes else "some row"
                subject, verb = self.subject_and_verb(value)
                return _Fact(subject, f"{verb} on {rows} with the same {self.ids(same)}")
            case (_, c.Constant(plain)):
                return self.fact(one, f"is {'' if yes else 'other than '}{self.constant(plain, one)}")
            case (c.Cell(header, c.Stage.SENT), c.Cell(read, c.Stage.READ)) if header == read:
                verb = f"is {'' if yes else 'not '}written as it is read"
                return dataclasses.replace(self.fact(one, verb, [other]), subject=header)
        if self.operation(other) and c.as_text(_bare(other)) == c.as_text(one):
            return self.fact(one, f"is {'' if yes else 'not '}the same {', '.join(self.operations(other))}")
        # The operations on both values are named once.
        shared: list[str] = []
        left, right = one, other
        while (operation := self.operation(left)) and operation == self.operation(right):
            shared = [operation, *shared]
            left, right = _inner(left), _inner(right)
        both = f" (both {', '.join(shared)})" if shared else ""
        verb = f"{'is the same as' if yes else 'differs from'} {self.noun(right)}{both}"
        return dataclasses.replace(self.fact(one, verb, [other]), subject=self.noun(left))

    def less(self, one: c.Value, other: c.Value, *, yes: bool) -> _Fact:
        """The statement that one given value is less than another, or that it is not. A field is the subject.

        Args:
            one: the first value.
            other: the second value.
            yes: whether it is so.
        """
        if isinstance(one, c.Constant) and isinstance(other, c.Rows):
            if one.value == 1 and yes:
                return _Fact("", f"another row has the same {self.ids(other.same)}")
            many = "more than" if yes else "at most"
            return _Fact("", f"{many} {_rows(one.value)} have the same {self.ids(other.same)}")
        turned = _is_turned(one, other, c.Constant, c.ParameterValue)
        subject, beside = (other, one) if turned else (one, other)
        to = self.constant(beside.value, subject) if isinstance(beside, c.Constant) else self.noun(beside)
        if self.is_date(one) or self.is_date(other):
            verb = f"is {'' if yes else 'not '}{'after' if turned else 'before'} {to}"
        elif yes:
            verb = f"is {'more' if turned else 'less'} than {to}"
        else:
            verb = f"is {'at most' if turned else 'at least'} {to}"
        return self.fact(subject, verb, [beside])

    def among(self, value: c.Value, options: tuple[c.Value, ...], *, yes: bool) -> str:
        """What follows "is" in the statement that a value is one of some options, or that it is none of them.

        Args:
            value: the value.
            options: the options.
            yes: whether it is one of them.

        Returns:
            The options, or their number where they are many codes.
        """
        plain = [option.value for option in options if isinstance(option, c.Constant)]
        codes = self.codes(value)
        if len(plain) == len(options) and len(plain) > _MOST_CODES:
            which = f"{len(plain)} codes"
            if codes is not None and set(plain) == set(codes):
                which = f"the {len(plain)} codes of its list"
            elif codes is not None and set(plain) <= set(codes):
                which = f"{len(plain)} codes of its list, such as {plain[0]}"
            return f"{'one' if yes else 'none'} of {which}"
        forms = [option.form for option in options if isinstance(option, c.Written)]
        dated = {c.as_text(option.date): option.date for option in options if isinstance(option, c.Written)}
        if len(forms) == len(options) and len(dated) == 1:
            statement = f"{self.noun(*dated.values())} written {_or(list(map(_form, forms)))}"
        else:
            labelled = len(plain) <= _MOST_LABELLED and all(self.label(each, value) for each in plain)
            statement = _or(
                [
                    self.constant(each.value, value, labelled=labelled)
                    if isinstance(each, c.Constant)
                    else self.noun(each)
                    for each in options
                ]
            )
        return statement if yes else f"other than {statement}"

    def looked_up(self, table: c.Table, texts: tuple[c.Value, ...], *, yes: bool, known: bool) -> _Fact:
        """The statement that a combination of texts is true or false in a lookup table.

        Args:
            table: the table.
            texts: the texts, by argument.
            yes: whether the combination is true.
            known: whether it is surely so; otherwise it may also be not known.
        """
        phrase = table.means if yes else table.denies
        given = self.needed(texts) if known else frozenset()
        # A phrase of a table begins with an argument, such as {0}.
        subject = texts[int(phrase[1])]
        verb = phrase[len("{0} ") :].format(*map(self.noun, texts))
        return _Fact(self.noun(subject), verb if known else f"{verb} as far as is known", given)

    # ---- across rows ---------------------------------------------------------------------------

    def any_row(self, part: c.Condition, same: tuple[c.Value, ...], *, yes: bool) -> _Fact:
        """The statement that a condition is true on a row with the same ids, or that it is true on none.

        Args:
            part: the condition.
            same: the ids.
            yes: whether there is such a row.
        """
        rows = f"{'some' if yes else 'no'} row with the same {self.ids(same)}"
        fact = self.statement(part, yes=True, known=True)
        if isinstance(fact, _Fact) and fact.subject == _THE_ROW:
            return dataclasses.replace(fact, subject=rows)
        return _Fact(f"on {rows}", _phrase(fact))

    def differs(self, value: c.Value, same: tuple[c.Value, ...], *, yes: bool, known: bool) -> _Statement:
        """The statement that a value differs between rows with the same ids, or that it does not.

        Args:
            value: the value.
            same: the ids.
            yes: whether it differs.
            known: whether it is surely so; otherwise it may also be not known, where the value is blank on all rows.
        """
        rows = f"rows with the same {self.ids(same)}"
        if yes:
            fact = _Fact(self.noun(value), f"differs between {rows}", one=isinstance(value, c.Cell))
            return fact if known else _any((_Fact(self.noun(value), f"is blank on all {rows}"), fact))
        if known:
            return _Fact(self.noun(value), f"is given, and the same wherever it is given, on all {rows}")
        return _Fact(self.noun(value), f"does not differ between {rows}")

    def first_row(self, conditions: tuple[c.Condition, ...], *, yes: bool) -> _Fact:
        """The statement that a row is the first by which all conditions held on some row, or that it is not."""
        phrases = [_inner_phrase(self.statement(condition, yes=True, known=True)) for condition in conditions]
        verb = "is" if yes else "is not"
        if len(phrases) == 1:
            return _Fact(_THE_ROW, f"{verb} the first of the file on which {phrases[0]}")
        *most, last = (f"a row on which {each}" for each in phrases)
        return _Fact(_THE_ROW, f"{verb} the first by which the file has {', '.join(most)}, and {last}")

    def subject_and_verb(self, value: c.Value) -> tuple[str, str]:
        """The subject and the verb of the statement that a value is given."""
        if isinstance(value, c.Cell) and value.stage is c.Stage.SENT:
            return value.header, "is filled in"
        return self.noun(value), "is given"

    # ---- names of values -----------------------------------------------------------------------

    def noun(self, value: c.Value) -> str:
        """The noun for a value, with the operations on it in brackets."""
        operations = self.operations(value)
        return f"{self.bare_noun(_bare(value))} ({', '.join(operations)})" if operations else self.bare_noun(value)

    def operations(self, value: c.Value) -> list[str]:
        """The operations on a text, the first one first."""
        operation = self.operation(value)
        return [*self.operations(_inner(value)), operation] if operation else []

    def operation(self, value: c.Value) -> str:
        """The outermost operation on a text, where that changes its case or its spelling only; else ""."""
        match value:
            case c.Capitals():
                return "in capitals"
            case c.Trimmed():
                return "without white space around it"
            case c.Without(_, pattern):
                return f"without {self.wording(pattern).without or 'certain characters'}"
        return ""

    def bare_noun(self, value: c.Value) -> str:  # noqa: C901, PLR0911, PLR0912 - one case a node
        """The noun for a value that is no operation on a text."""
        match value:
            case c.Cell(header, stage):
                return header if stage is c.Stage.VALUE else f"{header} {stage.value}"
            case c.ParameterValue(name):
                return "today" if name is c.Parameter.TODAY else "the code of the agency that submits"
            case c.Constant(plain):
                return self.constant(plain, None)
            case c.FirstGiven(values):
                return self.first_given(values)
            case c.Latest(values):
                several = "later" if len(values) == 2 else "latest"
                return f"the {several if self.is_date(value) else 'greatest'} of {self.ids(values)}"
            case c.Days(later, earlier):
                return f"the number of days from {self.noun(earlier)} to {self.noun(later)}"
            case c.Where(part, condition):
                return f"{self.noun(part)} (where {_phrase(self.statement(condition, yes=True, known=True))})"
            case c.Start(text, length):
                return f"the first {'character' if length == 1 else f'{length} characters'} of {self.noun(text)}"
            case c.Found(text, pattern, group):
                return f"{self.group_noun(pattern, group)} in {self.noun(text)}"
            case c.Joined(texts):
                return " then ".join(map(self.noun, texts))
            case c.Written(day, form):
                return f"{self.noun(day)} written {_form(form)}"
            case c.Rows(same):
                return f"the number of rows with the same {self.ids(same)}"
            case c.HowOften(part, same):
                given = " ".join(self.subject_and_verb(part))
                return f"the number of rows with the same {self.ids(same)} on which {given}"
            case c.Most(part, same):
                most = "newest" if self.is_date(part) else "greatest"
                return f"the {most} {self.noun(part)} on all rows with the same {self.ids(same)}"
            case c.Least(part, same):
                least = "oldest" if self.is_date(part) else "least"
                return f"the {least} {self.noun(part)} on all rows with the same {self.ids(same)}"
        raise TypeError(f"There is no English for {type(value).__name__}")

    def first_given(self, values: tuple[c.Value, ...]) -> str:
        """The noun for the first given of some values."""
        nouns = list(dict.fromkeys(map(self.noun, values)))
        if len(nouns) == 1:
            return nouns[0]
        if len(nouns) == 2:
            return f"{nouns[0]} (or {nouns[1]} if that is blank)"
        return f"the first given of {listed(nouns)}"

    def ids(self, same: tuple[c.Value, ...]) -> str:
        return listed(list(map(self.noun, same)))

    def wording(self, pattern: str) -> Wording:
        return self.words.get(pattern, Wording())

    def group_noun(self, pattern: str, group: int) -> str:
        """The noun for the text of a group of a pattern."""
        finds = self.wording(pattern).finds
        return finds[group - 1] if 0 < group <= len(finds) else "what has a certain form"

    def is_date(self, value: c.Value) -> bool:
        """Whether a value is a date."""
        match value:
            case c.Cell(header):
                field = self.dataset.by_header.get(header)
                return field is not None and field.kind is Kind.DATE
            case c.ParameterValue(name):
                return name is c.Parameter.TODAY
            case c.Constant(plain):
                return isinstance(plain, date)
            case c.FirstGiven(values) | c.Latest(values):
                return any(map(self.is_date, values))
            case c.Where(part) | c.Most(part) | c.Least(part):
                return self.is_date(part)
        return False

    # ---- texts, numbers, dates and codes -------------------------------------------------------

    def constant(self, plain: c.Plain, of: c.Value | None, *, labelled: bool = True) -> str:
        """A text, number or date in English.

        Args:
            plain: the text, number or date.
            of: the value that it is compared with (None: no value). A code of its list has its label, if that is short.
            labelled: whether codes have labels.

        Returns:
            The words.
        """
        if isinstance(plain, date):
            return f"{plain:{Style.SLASHED.form}}"
        text = f"{plain:,}" if isinstance(plain, int) else {"": "nothing", " ": "a space"}.get(plain, plain)
        label = self.label(plain, of) if labelled else ""
        return f"{text} ({label})" if label else text

    def label(self, plain: c.Plain, of: c.Value | None) -> str:
        """The label of a code of a field, or of an answer of `Field.apart`; "" where it has none that is short."""
        field = self.dataset.by_header.get(of.header) if isinstance(of, c.Cell) else None
        label = field.apart.get(str(plain), "") if field else ""
        label = label or (self.codes(of) or {}).get(str(plain), "")
        return label if len(label) <= _LONGEST_LABEL and "(" not in label else ""

    def codes(self, of: c.Value | None) -> Mapping[str, str] | None:
        """The labels of the codes of a field by code; None where the value is no field or has no code list."""
        field = of if of is None else _bare(of)
        if not isinstance(field, c.Cell) or field.header not in self.dataset.by_header:
            return None
        codes = self.dataset.codes_of(field.header)
        return codes.labels if codes else None


#: The values that are blank where any of their parts is.
_BLANK_WITH_ANY_PART = (c.Capitals, c.Trimmed, c.Start, c.Without, c.Found, c.Joined, c.Written, c.Days, c.Where)


def _is_turned(one: c.Value, other: c.Value, *fixed: type[c.Value]) -> bool:
    """Whether the second value is the subject: the first is of a fixed kind, or only the second is a field."""
    return isinstance(one, fixed) or (isinstance(other, c.Cell) and not isinstance(one, c.Cell))


def _inner(value: c.Value) -> c.Value:
    """The text on which the outermost operation is made."""
    return value.text if isinstance(value, c.Capitals | c.Trimmed | c.Without) else value


def _bare(value: c.Value) -> c.Value:
    """The text on which all operations are made."""
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


def _negated(verb: str) -> str:
    """The opposite of a verb in the third person."""
    first, _, rest = verb.partition(" ")
    if first == "is":
        return f"is not {rest}"
    return f"does not {'have' if first == 'has' else first.removesuffix('s')} {rest}"


def _plural(verb: str) -> str:
    """A verb in the third person plural."""
    first, _, rest = verb.partition(" ")
    plain = {"is": "are", "has": "have", "does": "do"}.get(first, first.removesuffix("s"))
    return f"{plain} {rest}"


# ---- sentences -------------------------------------------------------------------------------------


def _phrase(statement: _Statement) -> str:
    """A statement as a phrase that stands alone."""
    if isinstance(statement, _Fact):
        return statement.text
    if not statement.parts:
        return "no record does so by itself" if statement == _NEVER else "always"
    *most, last = _clauses(statement, _inner_phrase)
    return f"{', '.join(most)}, {_conjunction(statement)} {last}" if most else last


def _conjunction(statement: _All | _Any) -> str:
    return "and" if isinstance(statement, _All) else "or"


def _clauses(statement: _All | _Any, inner: Callable[[_Statement], str]) -> list[str]:
    """The phrases of the parts of a statement, as `inner` writes them, each once.

    A part with a lettered list comes last, so that no other part seems to belong to the list.
    """
    merged = _merged([part for part in statement.parts if isinstance(part, _Fact)], _conjunction(statement))
    clauses = dict.fromkeys(merged[part] if isinstance(part, _Fact) else inner(part) for part in statement.parts)
    return sorted(clauses, key=lambda clause: _FIRST in clause)


def _inner_phrase(statement: _Statement) -> str:
    """A statement as part of a phrase: a few clauses that cannot be misread, or a lettered list."""
    if isinstance(statement, _Fact):
        return statement.text
    word, other = _conjunction(statement), " or " if isinstance(statement, _All) else " and "
    clauses = _clauses(statement, _inner_phrase)
    if len(clauses) == 1:
        return clauses[0]
    readable = not any(other in clause or _FIRST in clause for clause in clauses)
    if readable and len(clauses) < 4 and sum(f" {word} " in clause for clause in clauses) < 2:
        return f"{'either ' if word == 'or' else ''}{f' {word} '.join(clauses)}"
    each = "; ".join(f"({letter}) {item}" for letter, item in zip(_LETTERS, _clauses(statement, _phrase), strict=False))
    return f"{'all' if word == 'and' else 'any'} of these: {each}"


#: The letters of the items of a list, and how a list begins.
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_FIRST = "(a) "


def _merged(facts: Sequence[_Fact], word: str) -> Mapping[_Fact, str]:
    """The clause of each fact. Facts with one verb, and facts with one subject, are merged into one clause.

    Args:
        facts: the facts.
        word: the word that joins them, "and" or "or".

    Returns:
        The clause by fact.
    """
    merged: dict[_Fact, str] = {}
    for first in facts:
        if first in merged:
            continue
        others = [fact for fact in facts if fact not in merged]
        same_subject = [fact for fact in others if first.subject and fact.subject == first.subject]
        same_verb = [
            fact
            for fact in others
            if (first.one and fact.one and fact.verb == first.verb)
            and sum(fact.subject == other.subject for other in others) == 1
        ]
        if len(same_verb) > 1 and first in same_verb:
            verb = _plural(first.verb) if word == "and" else first.verb
            merged |= dict.fromkeys(same_verb, f"{listed([fact.subject for fact in same_verb], word)} {verb}")
        elif len(same_subject) > 1 and sum(_is_listed(fact.verb) for fact in same_subject) < 2:
            # A verb with its own "or" or "and" comes last, where it cannot be misread.
            verbs = sorted((fact.verb for fact in same_subject), key=_is_listed)
            if all(verb.startswith("is ") for verb in verbs):
                verbs = [verbs[0], *(verb.removeprefix("is ") for verb in verbs[1:])]
            merged |= dict.fromkeys(same_subject, dataclasses.replace(first, verb=listed(verbs, word)).text)
        else:
            merged[first] = first.text
    return merged


def _is_listed(verb: str) -> bool:
    """Whether a verb has an "or" or "and"."""
    return " or " in verb or " and " in verb
