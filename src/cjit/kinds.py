"""What follows from the kind of a field: how its text is read, which texts are values, and the rules that say so.

One class for each `Kind`. A field has three stages (`conditions.Stage`): the text as sent, the same as read (tidied: a
date, a whole number, or text without outer spaces), and the value, which is blank where what was read is no value.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache
from typing import Protocol

from cjit import dates
from cjit.conditions import (
    TODAY,
    WHITE,
    WHITE_SPACE,
    Cell,
    Condition,
    Differs,
    FirstRow,
    Stage,
    Value,
    all_of,
    any_of,
    first_given,
)
from cjit.dataset import OUR_READING, CodeList, Dataset, Entity, Field, Kind, Record, Rule, Severity
from cjit.dates import Style
from cjit.engine import shown
from cjit.engine.plain import Typed
from cjit.geography import TRUNCATED, WHOLE, WHOLE_UNSPACED, is_whole

#: No date in this dataset can be earlier: a year such as 0020 is a slip.
EARLIEST = date(1900, 1, 1)
#: A long number as a spreadsheet shows it: 1.23E+11.
POWER_OF_TEN = r"^[0-9]{1,3}(?:[.,][0-9]+)?[Ee]\+[0-9]{1,3}$"


def kinds_of(dataset: Dataset) -> Mapping[str, FieldKind]:
    """Each field of a dataset with what follows from its kind, by header; made once for a dataset."""
    return _kinds_of(dataset)


@lru_cache(maxsize=16)
def _kinds_of(dataset: Dataset) -> Mapping[str, FieldKind]:
    classes = {each.kind: each for each in FieldKind.__subclasses__()}
    return {field.header: classes[field.kind](field, dataset.codes_of(field.header)) for field in dataset.fields}


@dataclass(frozen=True)
class Boxes:
    """How a value is typed in: how many characters wide, in figures only, and how many at most (None: any number)."""

    width: int
    figures: bool = False
    longest: int | None = None


#: A text that is put together as a date is.
_PARTED = re.compile(r"[0-9]{1,4}[/.-][0-9]{1,2}[/.-][0-9]{1,4}([ T][0-9:.]+)?")
#: Eight figures that can be a date.
_EIGHT = re.compile(r"(19|20)[0-9]{6}")


def _dated(text: str) -> bool:
    """Whether a text looks like a date, real or not."""
    return bool(_PARTED.fullmatch(text)) or (_EIGHT.fullmatch(text) is not None and dates.day_of(text) is not None)


class Stages(Protocol):
    """A text of a field as sent (None where it is blank) and as read, and whether it is no value of the field."""

    @property
    def sent(self) -> str | None:
        """The text; None where it is blank."""

    @property
    def read(self) -> Typed:
        """The text as it is read; None where it cannot be, or says that there is none."""

    @property
    def is_no_value(self) -> bool:
        """Whether something was sent that is no value."""


class FieldKind(ABC):
    """A field of one kind, with the code list it takes its values from (None: it has none).

    kind: which. good: a value of it, as text; other: another one.
    typed: what a value is in Python. boxes: how it is typed in.
    """

    kind: Kind
    good = ""
    other = ""
    typed: type[str | int | date] = str
    boxes = Boxes(20)

    def __init__(self, field: Field, codes: CodeList | None) -> None:
        self.field = field
        self.codes = codes
        self.header = field.header
        self.value = Cell(field.header)
        self.read = Cell(field.header, Stage.READ)
        self.sent = Cell(field.header, Stage.SENT)

    # ---- from text to value --------------------------------------------------------------------

    @abstractmethod
    def tidied(self, text: str) -> Typed:
        """A text that is not blank, as it is read; None where it cannot be."""

    @property
    def wrong(self) -> Condition | None:
        """Whether what was read is no value of this field; None for a field that takes any text."""
        return None

    @property
    def no_value(self) -> Condition | None:
        """Whether something was sent that is no value of this field: other rules are silent there."""
        return self.wrong

    def plainly(self, value: Typed, style: Style = Style.SLASHED) -> str:
        """A value as the dataset writes it, as text; "" for blank; a date as people are shown it, or in a style."""
        return "" if value is None else str(value)

    def is_plain(self, text: str, value: Typed) -> bool:
        """Whether a text that is read as some value is written as the dataset writes it."""
        return text == value

    def is_certain(self, text: Stages) -> bool:
        """Whether it is certain how a text that is not blank is plainly written."""
        return not text.is_no_value

    def mended(self, text: Stages, style: Style) -> str:
        """A text plainly written, dates in a style, where that is certain; else as it was sent; "" for blank."""
        if text.sent is None:
            return ""
        return self.plainly(text.read, style) if self.is_certain(text) else text.sent

    def change(self, was: str, now: str, style: Style) -> str:
        """What mending made of a text (`was`, without outer spaces), in words."""
        if not now and was:
            return "Left blank: the code says that there is none"
        if not now or now == was:
            return "Spaces removed"
        return self._change(was, now, style)

    def _change(self, was: str, now: str, style: Style) -> str:
        return "Written in capitals" if now == was.upper() else "Leading nought removed"

    def understood(self, text: str) -> str:
        """What somebody typed as the dataset writes it, where nobody can doubt what was meant; else as it was typed."""
        return text

    @abstractmethod
    def fits(self, text: str) -> int:
        """Whether a text without outer spaces may be a value, by its look: 1 it is, -1 it cannot be, 0 not known."""

    # ---- in words ------------------------------------------------------------------------------

    @property
    @abstractmethod
    def described(self) -> str:
        """How a value is written, in words."""

    @property
    def shortly(self) -> str:
        """The same in two or three words."""
        return self.described

    @property
    def hint(self) -> str:
        """What helps whoever fills it in."""
        return self.field.hint

    @property
    @abstractmethod
    def pattern(self) -> str:
        """A regular expression, without anchors, of the text a value is written as; empty where any text may be one.

        It keeps to what Python and ECMAScript read alike.
        """

    @property
    def bounds(self) -> tuple[int, int] | None:
        """The least and the greatest value, where a number is one and nothing else."""
        return None

    # ---- rules ---------------------------------------------------------------------------------

    def rules(self) -> Iterator[Rule]:
        """Every rule within a row that follows from the field alone."""
        field = self.field
        if field.missing is not None:
            ask = "Select" if field.kind is Kind.CODE else "Enter"
            given = f"{ask} the {field.noun}"
            if field.system:
                given = f"Ask your software supplier to fill in the {field.noun}"
            yield self._rule("is_given", given, self.sent.is_blank, "", severity=field.missing)
        yield from self._own_rules()
        unplain, message = self._unplain()
        loose = self._not_plain()
        if self.wrong is not None:
            loose &= ~self.wrong.surely
        if field.none:
            loose |= self.sent.trimmed.is_one_of(*field.none)
        yield self._rule("is_plainly_written", message, loose, unplain, severity=Severity.QUERY)

    @abstractmethod
    def _own_rules(self) -> Iterator[Rule]:
        """The rules that only fields of this kind have."""

    @abstractmethod
    def _unplain(self) -> tuple[str, str]:
        """A text that is understood and is not plainly written, and the message on it."""

    def _not_plain(self) -> Condition:
        """Whether a value was understood but is not written as the dataset writes it."""
        return self.sent != self.read

    def _rule(
        self, name: str, message: str, fails: Condition, breaks: str, *, severity: Severity | None = None
    ) -> Rule:
        return Rule(
            f"{self.header}.{name}",
            severity or self.field.bad,
            message,
            self.field.clause,
            fails,
            {self.header: breaks},
            {self.header: self.good},
        )

    def _told_once(
        self,
        name: str,
        message: str,
        reading: str,
        conditions: tuple[Condition, ...],
        breaks: Record | list[Record],
        holds: Record | list[Record],
    ) -> Rule:
        """A rule of the file as a whole, told at the row at which the last of its conditions first holds."""
        return Rule(
            f"{self.header}.{name}",
            Severity.QUERY,
            message,
            OUR_READING,
            FirstRow(conditions),
            breaks,
            holds,
            reading=reading,
        )


# ---- ids -------------------------------------------------------------------------------------------


class IdKind(FieldKind):
    """A technical identifier: text, taken as it is but for spaces round it."""

    kind = Kind.ID
    good, other = "10001", "10002"

    def tidied(self, text: str) -> str:
        """The text without outer spaces."""
        return text.strip(WHITE)

    def fits(self, text: str) -> int:
        """Nearly any text may be an id; eight figures too, and no other date."""
        return -1 if _PARTED.fullmatch(text) else 0

    @property
    def described(self) -> str:
        """How a value is written, in words."""
        return "text"

    @property
    def pattern(self) -> str:
        """Any text without outer spaces."""
        return "[^ ](.*[^ ])?"

    def _own_rules(self) -> Iterator[Rule]:
        yield from ()

    def _unplain(self) -> tuple[str, str]:
        return f"{self.good} ", f"Remove the spaces before and after the {self.field.noun}"

    def _not_plain(self) -> Condition:
        return self.sent.matches(f"^{WHITE_SPACE}|{WHITE_SPACE}$")


# ---- initials --------------------------------------------------------------------------------------


class InitialKind(FieldKind):
    """One letter, A to Z."""

    kind = Kind.INITIAL
    good, other = "M", "N"
    # A browser that cuts a name typed here down to its first letter does what is wanted: no name is kept.
    boxes = Boxes(2, longest=1)

    def tidied(self, text: str) -> str:
        """The text in upper case, without outer spaces."""
        return text.strip(WHITE).upper()

    @property
    def wrong(self) -> Condition:
        """Whether it is anything but one letter."""
        return ~self.read.matches("^[A-Z]$")

    def is_certain(self, text: Stages) -> bool:
        """Whether it is one letter, A to Z."""
        return not text.is_no_value and not _is_foreign(text)

    def understood(self, text: str) -> str:
        """The letter as a capital one."""
        return text.upper() if text.isascii() else text

    def fits(self, text: str) -> int:
        """One letter, and nothing else."""
        return 1 if len(text) == 1 and text.isalpha() else -1

    @property
    def described(self) -> str:
        """How a value is written, in words."""
        return "one capital letter, A to Z"

    @property
    def shortly(self) -> str:
        """The same in two words."""
        return "one letter"

    @property
    def pattern(self) -> str:
        """One capital letter."""
        return "[A-Z]"

    def _own_rules(self) -> Iterator[Rule]:
        message = f"The {self.field.noun} must be one letter, A to Z, without an accent"
        yield self._rule("is_one_letter", message, self.wrong, "Mc")

    def _unplain(self) -> tuple[str, str]:
        return "m", f"Write the {self.field.noun} as one capital letter, with no spaces"


# ---- dates -----------------------------------------------------------------------------------------

_ONE_WAY = (
    "Both ways are plain, and which is asked for in a CJIT file is not public. Whoever takes the file may read a "
    "column in one of them only, and a column that has both was put together from two."
)
_GOOD_DATE = date(2020, 2, 1)
#: The days of a month and the months that have them, leap years apart.
_DAYS = (("(0[1-9]|[12][0-9])", "(0[1-9]|1[0-2])"), ("30", "(0[13-9]|1[0-2])"), ("31", "(0[13578]|1[02])"))


def is_written(text: Value, *styles: Style) -> Condition:
    """Whether a text has the form of one of the styles, whether or not it is a real date."""
    return any_of(*(text.matches(dates.PATTERNS[style]) for style in styles))


def in_style(header: str, style: Style) -> Condition:
    """Whether a date has a value, and is written in a style but for outer spaces."""
    return Cell(header).is_given & is_written(Cell(header).as_sent.trimmed, style)


class DateKind(FieldKind):
    """A day, written dd/mm/yyyy or yyyymmdd; yyyy-mm-dd is read too."""

    kind = Kind.DATE
    good, other = f"{_GOOD_DATE:{Style.SLASHED.form}}", "02/02/2020"
    typed = date

    def tidied(self, text: str) -> date | None:
        """The date a text says, in one of the ways that are read; None where it says none."""
        return dates.read_text(text.strip(WHITE))

    @property
    def wrong(self) -> Condition:
        """Whether the date is one that no date in this dataset can be."""
        return (self.read > TODAY) | (self.read < EARLIEST)

    @property
    def no_value(self) -> Condition:
        """Whether something was sent that is no date, or one that cannot be."""
        return self.sent.is_given & self.value.is_blank

    def plainly(self, value: Typed, style: Style = Style.SLASHED) -> str:
        """A date in a style."""
        return dates.written(value, style) if isinstance(value, date) else ""

    def is_plain(self, text: str, value: Typed) -> bool:
        """Whether the text is the date in one of the two plain styles."""
        return isinstance(value, date) and any(text == dates.written(value, style) for style in Style)

    def _change(self, was: str, now: str, style: Style) -> str:
        return f"Date written as {style}"

    def understood(self, text: str) -> str:
        """The date as people are shown it: 1.3.2026, 20260301 and 1 March 2026 are 01/03/2026."""
        return dates.plainly_typed(text)

    def fits(self, text: str) -> int:
        """A text that is put together as a date is, real or not."""
        return 1 if _dated(text) else -1

    @property
    def described(self) -> str:
        """How a value is written, in words."""
        return f"date, {dates.PLAINLY}, the same way throughout a file"

    @property
    def shortly(self) -> str:
        """The same in two or three words."""
        return dates.PLAINLY

    @property
    def hint(self) -> str:
        """What helps whoever fills it in."""
        return self.field.hint or "For example, 27 3 2026"

    @property
    def pattern(self) -> str:
        """A date in one of the two plain styles; 29 February stands in every year."""
        year = f"({EARLIEST.year // 100}|[2-9][0-9])[0-9]{{2}}"
        slashed = "|".join(f"{day}/{month}" for day, month in _DAYS)
        eight = "|".join(f"{month}{day}" for day, month in _DAYS)
        return f"({slashed})/{year}|{year}({eight})"

    def _own_rules(self) -> Iterator[Rule]:
        noun = self.field.noun
        yield self._rule(
            "is_a_date",
            f"The {noun} must be a real date written {dates.PLAINLY}, such as {dates.EXAMPLES}",
            self.sent.is_given & self.read.is_blank,
            "31/02/2020",
        )
        yield self._rule(
            "is_not_in_the_future", f"The {noun} must be today or earlier", self.read > TODAY, "01/01/2999"
        )
        yield self._rule("is_after_1900", f"The {noun} must be in 1900 or later", self.read < EARLIEST, "01/02/0020")
        yield self._told_once(
            "is_written_one_way",
            f"Write every {noun} the same way: this file has both {' and '.join((Style.SLASHED, Style.EIGHT))}",
            _ONE_WAY,
            tuple(in_style(self.header, style) for style in Style),
            [{self.header: self.good}, {self.header: f"{_GOOD_DATE:{Style.EIGHT.form}}"}],
            [{self.header: self.good}, {self.header: self.good}],
        )

    def _unplain(self) -> tuple[str, str]:
        return "2020-02-01", f"Write the {self.field.noun} as {dates.PLAINLY}, such as {dates.EXAMPLES}"

    def _not_plain(self) -> Condition:
        return self.read.is_given & ~is_written(self.sent, *Style)


# ---- numbers ---------------------------------------------------------------------------------------

_PLAIN_NUMBER = "^(0|[1-9][0-9]{0,8})$"
_FIGURES = re.compile("[0-9]{1,9}")


class NumberKind(FieldKind):
    """A whole number within bounds, or an answer apart from them."""

    kind = Kind.NUMBER
    typed = int
    boxes = Boxes(3, figures=True)

    def __init__(self, field: Field, codes: CodeList | None) -> None:
        super().__init__(field, codes)
        self.good, self.other = str(field.minimum or 0), str((field.minimum or 0) + 1)

    def tidied(self, text: str) -> int | None:
        """The number, also one with leading noughts; None where the text is none."""
        figures = text.strip(WHITE)
        return int(figures) if _FIGURES.fullmatch(figures) else None

    @property
    def wrong(self) -> Condition:
        """Whether the number is out of bounds."""
        return ~self._in_range

    @property
    def no_value(self) -> Condition:
        """Whether something was sent that is no number, or is out of bounds."""
        return self.sent.is_given & self.value.is_blank

    @property
    def _in_range(self) -> Condition:
        field, bounds = self.field, []
        if field.minimum is not None:
            bounds.append(self.read >= field.minimum)
        if field.maximum is not None:
            bounds.append(self.read <= field.maximum)
        return any_of(all_of(*bounds), *(self.read == int(code) for code in field.apart))

    def is_plain(self, text: str, value: Typed) -> bool:
        """Whether the text has the number's figures and nothing else."""
        return text == str(value)

    def _change(self, was: str, now: str, style: Style) -> str:
        return "Leading noughts removed"

    def fits(self, text: str) -> int:
        """Figures that are in range, or an answer apart."""
        if not (text.isascii() and text.isdigit()):
            return -1
        number, (least, most) = int(text[:9]), (self.field.minimum, self.field.maximum)
        inside = (least is None or number >= least) and (most is None or number <= most)
        return 1 if inside or str(number) in self.field.apart else -1

    @property
    def described(self) -> str:
        """How a value is written, in words."""
        apart = "".join(f", or {code} ({label})" for code, label in self.field.apart.items())
        return f"whole number from {self.field.minimum} to {self.field.maximum}{apart}"

    @property
    def shortly(self) -> str:
        """The same in two or three words."""
        return f"{self.field.minimum} to {self.field.maximum}" + "".join(f", {code}" for code in self.field.apart)

    @property
    def hint(self) -> str:
        """What helps whoever fills it in."""
        return self.field.hint or f"A number from {self.field.minimum} to {self.field.maximum}"

    @property
    def pattern(self) -> str:
        """The numbers in range, ten at a time, and the answers apart."""
        low, high = self.field.minimum or 0, self.field.maximum or 999_999_999
        numbers = []
        for tens in range(low // 10, high // 10 + 1):
            first, last = max(low, tens * 10) % 10, min(high, tens * 10 + 9) % 10
            numbers.append(f"{tens or ''}{f'[{first}-{last}]' if first != last else first}")
        return "|".join((*numbers, *self.field.apart))

    @property
    def bounds(self) -> tuple[int, int] | None:
        """The least and the greatest value, where no answer stands apart."""
        least, most = self.field.minimum, self.field.maximum
        return None if self.field.apart or least is None or most is None else (least, most)

    def _own_rules(self) -> Iterator[Rule]:
        field = self.field
        apart = "".join(f", or {code} if the {label}" for code, label in field.apart.items())
        yield self._rule(
            "is_in_range",
            f"The {field.noun} must be a whole number from {field.minimum} to {field.maximum}{apart}",
            self.sent.is_given & (self.read.is_blank | ~self._in_range),
            "many",
        )

    def _unplain(self) -> tuple[str, str]:
        return "07", f"Write the {self.field.noun} in figures only, with no spaces or leading noughts"

    def _not_plain(self) -> Condition:
        return self.read.is_given & ~self.sent.matches(_PLAIN_NUMBER)


# ---- codes -----------------------------------------------------------------------------------------

_AS_LISTED = (
    "The layout printed for the adult dataset has another code here than every other source has. It is understood "
    "without doubt; what is written is the code of the list."
)
_ONE_LEADING_NOUGHT = "^0([1-9])$"


class CodeKind(FieldKind):
    """One of a code list; what is in no list that is complete is no value."""

    kind = Kind.CODE

    def __init__(self, field: Field, codes: CodeList | None) -> None:
        super().__init__(field, codes)
        self.good = codes.codes[0] if codes else "1"
        self.other = codes.codes[-1] if codes else "2"
        #: Whether a leading nought may be dropped: the list numbers its codes and none begins with one.
        self.padded = codes is not None and "1" in codes.codes and not any(c.startswith("0") for c in codes.codes)
        self._known = frozenset(codes.codes) if codes else None

    def tidied(self, text: str) -> str | None:
        """The code, in capitals, without outer spaces or a leading nought, as the list has it; None for "none"."""
        code = text.strip(WHITE).upper()
        if self.padded and len(code) == 2 and code[0] == "0" and code[1] in "123456789":
            code = code[1]
        if self.codes is not None:
            code = self.codes.also.get(code, code)
        return None if code in self.field.none else code

    @property
    def wrong(self) -> Condition | None:
        """Whether a complete list does not have the code."""
        return ~self.read.is_one_of(*self.codes.codes) if self.codes and self.codes.complete else None

    def is_certain(self, text: Stages) -> bool:
        """Whether the list has the code, or it is one for "none"; a list that is not complete may have others too."""
        known = text.read is None or self._known is None or text.read in self._known
        return known and not _is_foreign(text)

    def _change(self, was: str, now: str, style: Style) -> str:
        if self.codes is not None and was.upper() in self.codes.also:
            return "Code written as the list has it"
        return super()._change(was, now, style)

    def understood(self, text: str) -> str:
        """The code in capitals, as the list has it."""
        if not text.isascii():
            return text
        return self.codes.also.get(text.upper(), text.upper()) if self.codes else text.upper()

    def fits(self, text: str) -> int:
        """A code of the list; of a list that is not complete, anything that is no date may be one."""
        codes = (*(self.codes.codes if self.codes else ()), *self.field.none)
        if text.upper() in codes or text.removeprefix("0") in codes:
            return 1
        return -1 if (self.codes and self.codes.complete) or _dated(text) else 0

    @property
    def described(self) -> str:
        """How a value is written, in words."""
        return f"code of the list {self.field.codes}"

    @property
    def shortly(self) -> str:
        """The same in two words."""
        return f"code: {self.field.codes}"

    @property
    def pattern(self) -> str:
        """The codes of a complete list."""
        return "|".join(self.codes.codes) if self.codes and self.codes.complete else ""

    def plain_code(self, text: Value) -> Value:
        """A text without outer spaces as a code is written, before it is read as another."""
        code = text.in_capitals
        return first_given(code.found(_ONE_LEADING_NOUGHT), code) if self.padded else code

    def _own_rules(self) -> Iterator[Rule]:
        codes = self.codes
        if codes is not None and self.wrong is not None:
            yield self._rule("is_in_list", _choices(self.field.noun, codes), self.wrong, "?")
        if codes is not None and codes.also:
            yield self._written_as_listed(codes)

    def _written_as_listed(self, codes: CodeList) -> Rule:
        own = {row.code: row.also[0] for row in codes.rows if row.code in codes.also.values()}
        first = next(iter(own))
        spelt = [f"{code} ({codes.labels[code]})" for code in own]
        message = f"as {' or '.join(spelt)}, not as {' or '.join(own.values())}"
        if len(own) > 3:
            message = f"by the code of its list: {spelt[0]}, for one, not {own[first]}"
        return self._told_once(
            "is_written_as_listed",
            f"Write the {self.field.noun} {message}",
            _AS_LISTED,
            (self.plain_code(self.sent.trimmed).is_one_of(*codes.also),),
            {self.header: own[first]},
            {self.header: first},
        )

    def _unplain(self) -> tuple[str, str]:
        field, codes = self.field, self.codes
        text = f" {self.good}"
        if field.none:
            return text, f"Leave the {field.noun} blank when there is none, and otherwise write its code with no spaces"
        # A list that is not complete lets words through too.
        what = f"the {field.noun}" if codes and codes.complete else f"the code for the {field.noun}"
        how = "with no leading nought (1, not 01) and no spaces" if self.padded else "with no spaces"
        if codes is None or any(code.upper() != code.lower() for code in codes.codes):
            return text, f"Write {what} in capitals, {how}"
        return text, f"Write {what} {how}"

    def _not_plain(self) -> Condition:
        if self.codes and self.codes.also:
            # Of a code that is read as another one `is_written_as_listed` speaks.
            return self.sent != self.plain_code(self.sent.trimmed)
        return self.sent != self.read


def _choices(noun: str, codes: CodeList) -> str:
    """What a field with a complete list must be: each code where that can be read at a glance, else their count."""
    spelt = [f"{code} ({codes.labels[code]})" for code in codes.codes]
    each = f"The {noun} must be {' or '.join(filter(None, (', '.join(spelt[:-1]), spelt[-1])))}"
    if len(spelt) <= 5 and len(each) <= 150 and "))" not in each:
        return each
    first = codes.rows[0]
    return f"The {noun} must be one of the {len(codes.codes)} codes of its list, such as {first.code}, {first.label}"


# ---- postcodes -------------------------------------------------------------------------------------

_SPACES = re.compile(f"{WHITE_SPACE}+")
_TRUNCATED, _WHOLE = re.compile(TRUNCATED, re.ASCII), re.compile(WHOLE, re.ASCII)
_WHOLE_UNSPACED = re.compile(WHOLE_UNSPACED.replace("$", r"\Z"))


class PostcodeKind(FieldKind):
    """A postcode less its last two characters; a whole one is cut."""

    kind = Kind.POSTCODE
    good, other = "NR14 7", "NR14 8"
    boxes = Boxes(10)

    def tidied(self, text: str) -> str:
        """The postcode in capitals with single spaces, less its last two characters where it is a whole one."""
        capitals = text.strip(WHITE).upper()
        # Only a whole postcode can be spaced without a guess: "NR14" may be NR14 or NR1 4.
        squeezed = _SPACES.sub("", capitals)
        if _WHOLE_UNSPACED.match(squeezed):
            return f"{squeezed[:-3]} {squeezed[-3]}"
        return _SPACES.sub(" ", capitals)

    @property
    def wrong(self) -> Condition:
        """Whether it is no postcode less its last two characters."""
        return ~self.read.matches(TRUNCATED)

    def is_certain(self, text: Stages) -> bool:
        """Whether it is a postcode."""
        return not text.is_no_value and not _is_foreign(text)

    def _change(self, was: str, now: str, style: Style) -> str:
        if shown.is_whole(was):
            return "Last two characters of the postcode removed"
        return "Postcode written in capitals with one space"

    def understood(self, text: str) -> str:
        """A whole postcode in capitals with its space; any other text as it is."""
        if not is_whole(text):
            return text
        joined = "".join(text.split()).upper()
        return f"{joined[:-3]} {joined[-3:]}"

    def fits(self, text: str) -> int:
        """A postcode, whole or less its last two characters."""
        return 1 if _TRUNCATED.search(text.upper()) or _WHOLE.search(text.upper()) else -1

    @property
    def described(self) -> str:
        """How a value is written, in words."""
        return "postcode less its last two characters, such as NR14 7"

    @property
    def shortly(self) -> str:
        """The same in two or three words."""
        return "such as NR14 7"

    @property
    def pattern(self) -> str:
        """A postcode less its last two characters."""
        return TRUNCATED.removeprefix("^").removesuffix("$").replace("(?:", "(")

    @property
    def is_whole(self) -> Condition:
        """Whether a whole postcode was sent, however it is spaced: it must not be shown."""
        return self.sent.in_capitals.without(WHITE_SPACE).matches(WHOLE_UNSPACED)

    def _own_rules(self) -> Iterator[Rule]:
        noun = self.field.noun
        yield self._rule(
            "is_a_postcode",
            f"Enter the {noun} with its space, such as NR14 7UJ, which is sent as NR14 7",
            self.wrong,
            "NORWICH",
        )
        yield self._rule(
            "is_truncated",
            f"Ask your software supplier to leave the last two characters of the {noun} out of the file",
            self.is_whole,
            "NR14 7UJ",
        )

    def _unplain(self) -> tuple[str, str]:
        return "nr14 7", f"Write the {self.field.noun} in capitals with one space, such as NR14 7"

    def _not_plain(self) -> Condition:
        return (self.sent != self.read) & ~self.is_whole


def _is_foreign(text: Stages) -> bool:
    """Whether a text has a letter beyond A to Z, which in capitals may become another one: ı and ſ would be I and S."""
    sent = text.sent or ""
    return not sent.isascii() and any(letter.isalpha() and not letter.isascii() for letter in sent)


# ---- all rules that follow from the fields ---------------------------------------------------------


def rules_of(dataset: Dataset) -> Iterator[Rule]:
    """Every rule that follows from the fields: within a row, then across rows."""
    gates = {rule.header: rule for rule in dataset.written if rule.gate}
    for header, kind in kinds_of(dataset).items():
        gate = gates.get(header)
        for rule in kind.rules():
            if gate is None:
                yield rule
            elif rule.id.endswith("is_plainly_written"):
                # Only a row that passes the gate is looked at, and there is one way to pass it.
                passes = gate.holds if isinstance(gate.holds, Mapping) else gate.holds[0]
                message = f"Write the {kind.field.noun} as a capital {passes[header]} with no spaces"
                yield replace(rule, message=message)
    yield from (story.rule for story in stories(dataset))


_ONE_STORY = (
    "A row is one episode with at most one referral, so what is true of a client, an episode or a referral repeats on "
    "each of its rows and must agree; a blank says nothing. The document has some values of a client recorded as per "
    "start of episode, so these may rightly differ between two episodes: it asks to look, no more."
)
_ONE_OWNER = (
    "An episode is of one client, and a referral of one episode: where an ID stands under two, it was given twice, or "
    "the ID it belongs to was altered."
)


#: The names of derived rules that say that what was sent is no value of its field.
_SAYS_NO_VALUE = (
    "is_a_date",
    "is_not_in_the_future",
    "is_after_1900",
    "is_in_range",
    "is_in_list",
    "is_one_letter",
    "is_a_postcode",
)


def no_value_rules(dataset: Dataset) -> frozenset[str]:
    """The ids of the rules that say that what was sent is no value of its field."""
    return frozenset(f"{field.header}.{name}" for field in dataset.fields for name in _SAYS_NO_VALUE)


@dataclass(frozen=True)
class Story:
    """A value that must be the same on every row with the same id; blanks do not count.

    `key` is the id's header; `header` that of the value. `owner` says that the value is what the id belongs to.
    """

    key: str
    header: str
    rule: Rule
    owner: bool = False


def stories(dataset: Dataset) -> Sequence[Story]:
    """One story for each client, episode and referral: a value repeats on each row of its id.

    An episode also belongs to one client, and a referral to one episode.
    """
    return tuple(_stories(dataset))


def _stories(dataset: Dataset) -> Iterator[Story]:
    kinds = kinds_of(dataset)
    # A row whose gate fails is not looked at, so its field is the same on every row that is.
    gated = {rule.header for rule in dataset.written if rule.gate}
    for entity in Entity:
        first, *rest = dataset.entity(entity) or (None,)
        if first is None:
            continue
        parent = dataset.parent(entity)
        if parent is not None:
            name = f"{first.header}.belongs_to_one_{parent.entity.value}"
            message = f"Give each {entity.value} an ID of its own, or send the same {parent.noun} on all its rows"
            yield _story(first, kinds[parent.header], name, message, owner=True)
        for field in rest:
            if field.header not in gated:
                name = f"{field.header}.is_the_same_on_every_row"
                message = f"Check the {field.noun}: it differs between the rows of the {entity.value}"
                yield _story(first, kinds[field.header], name, message, owner=False)


def _story(key: Field, kind: FieldKind, name: str, message: str, *, owner: bool) -> Story:
    rule = Rule(
        name,
        Severity.QUERY,
        message,
        OUR_READING,
        Differs(kind.value, (Cell(key.header),)),
        breaks=[{kind.header: value} for value in (kind.good, kind.other)],
        holds=[{kind.header: kind.good}, {kind.header: ""}],
        across=key.header,
        reading=_ONE_OWNER if owner else _ONE_STORY,
    )
    return Story(key.header, kind.header, rule, owner)
