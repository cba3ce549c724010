"""What follows from the kind of a field: how its text is parsed, which texts are values, and the derived rules.

There is one class for each `Kind`. A field has three stages (`conditions.Stage`). As sent, it is the text in the file.
As read, it is a date, a whole number, or text without outer spaces. The value is the same, and blank where what was
read is no valid value.
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

#: The earliest date that is valid. An earlier one, such as one in the year 0020, is a typing error.
EARLIEST = date(1900, 1, 1)
#: A long number as a spreadsheet shows it: 1.23E+11.
POWER_OF_TEN = r"^[0-9]{1,3}(?:[.,][0-9]+)?[Ee]\+[0-9]{1,3}$"


@lru_cache(maxsize=16)
def kinds_of(dataset: Dataset) -> Mapping[str, FieldKind]:
    """The `FieldKind` of each field of a dataset, by header, in the document's order; made once for a dataset."""
    classes = {each.kind: each for each in FieldKind.__subclasses__()}
    return {field.header: classes[field.kind](field, dataset.codes_of(field.header)) for field in dataset.fields}


@dataclass(frozen=True)
class Boxes:
    """The input box for a value.

    width: how many characters wide it is.
    figures: whether it takes figures only.
    longest: how many characters it takes (None: any number).
    """

    width: int
    figures: bool = False
    longest: int | None = None


#: Figures in three parts, as a date has them.
_THREE_PARTS = re.compile(r"[0-9]{1,4}[/.-][0-9]{1,2}[/.-][0-9]{1,4}([ T][0-9:.]+)?")
#: Eight figures that can be a date.
_EIGHT_FIGURES = re.compile(r"(19|20)[0-9]{6}")


def _looks_like_a_date(text: str) -> bool:
    """Whether a text has the form of a date: figures in three parts, or eight figures that are a real date."""
    eight = _EIGHT_FIGURES.fullmatch(text) is not None and dates.day_of(text) is not None
    return eight or bool(_THREE_PARTS.fullmatch(text))


class Stages(Protocol):
    """A parsed text of a field, as `cjit.engine.records.ParsedText` has it."""

    @property
    def sent(self) -> str | None:
        """The text as sent; None where it is blank."""

    @property
    def read(self) -> Typed:
        """The text as read; None where it cannot be parsed, or is a code for "none"."""

    @property
    def is_no_value(self) -> bool:
        """Whether a text was sent that is no valid value."""


class FieldKind(ABC):
    """A field, with what follows from its kind.

    kind: the kind of the class.
    good: a valid value, as text.
    other: another valid value, as text.
    typed: the Python type of a value.
    boxes: the input box for a value.
    field: the field.
    codes: its code list (None: it has none).
    header: its CSV header.
    value, read, sent: the field in a condition, at each stage.
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
        """A text that is not blank, as read; None where it cannot be parsed."""

    @property
    def wrong(self) -> Condition | None:
        """The condition that what was read is no valid value; None for a field that takes any text."""
        return None

    @property
    def no_value(self) -> Condition | None:
        """The condition that a text was sent that is no valid value. Rules that read the value are silent there."""
        return self.wrong

    def plainly(self, value: Typed, style: Style = Style.SLASHED) -> str:
        """A value as the dataset writes it: "" for blank, and a date in a style."""
        return "" if value is None else str(value)

    def is_plain(self, text: str, value: Typed) -> bool:
        """Whether a text is written as the dataset writes the value that it is read as."""
        return text == value

    def is_certain(self, text: Stages) -> bool:
        """Whether there is one certain way to write a text that is not blank as the dataset writes it."""
        return not text.is_no_value

    def mended(self, text: Stages, style: Style) -> str:
        """A text as the dataset writes it, with dates in a style; as sent where that is not certain; "" for blank."""
        if text.sent is None:
            return ""
        return self.plainly(text.read, style) if self.is_certain(text) else text.sent

    def change(self, was: str, now: str, style: Style) -> str:
        """A sentence on what `mended` changed in a text.

        Args:
            was: the text before, without outer spaces.
            now: the text after.
            style: the style of dates.

        Returns:
            The sentence, without a full stop.
        """
        if not now and was:
            return "Left blank: the code says that there is none"
        if not now or now == was:
            return "Spaces removed"
        return self._change(was, now, style)

    def _change(self, was: str, now: str, style: Style) -> str:
        """The sentence of `change` where more than spaces was changed and a text is left."""
        return "Written in capitals" if now == was.upper() else "Leading nought removed"

    def understood(self, text: str) -> str:
        """A text that a person typed, as the dataset writes it; as typed where its meaning is not certain."""
        return text

    @abstractmethod
    def fits(self, text: str) -> int:
        """Whether a text without outer spaces has the form of a value: 1 if so, -1 if not, 0 if that is not known."""

    # ---- in words ------------------------------------------------------------------------------

    @property
    @abstractmethod
    def described(self) -> str:
        """How a value is written, in words."""

    @property
    def shortly(self) -> str:
        """How a value is written, in two or three words."""
        return self.described

    @property
    def hint(self) -> str:
        """A sentence for the person who fills it in."""
        return self.field.hint

    @property
    @abstractmethod
    def pattern(self) -> str:
        """A regular expression, without anchors, for a value as it is written; "" where any text may be a value.

        Python and ECMAScript read it alike.
        """

    @property
    def bounds(self) -> tuple[int, int] | None:
        """The least and the greatest value, where every value is a number between them; else None."""
        return None

    # ---- rules ---------------------------------------------------------------------------------

    def rules(self) -> Iterator[Rule]:
        """Every rule within a row that follows from the field alone, in the order of the rule book."""
        field = self.field
        if field.missing is not None:
            ask = "Select" if field.kind is Kind.CODE else "Enter"
            message = f"{ask} the {field.noun}"
            if field.system:
                message = f"Ask your software supplier to fill in the {field.noun}"
            yield self._rule("is_given", message, self.sent.is_blank, "", severity=field.missing)
        yield from self._kind_rules()
        example, message = self._unplain_example()
        unplain = self._not_plain()
        if self.wrong is not None:
            unplain &= ~self.wrong.surely
        if field.none:
            unplain |= self.sent.trimmed.is_one_of(*field.none)
        yield self._rule("is_plainly_written", message, unplain, example, severity=Severity.QUERY)

    @abstractmethod
    def _kind_rules(self) -> Iterator[Rule]:
        """The rules that only fields of this kind have."""

    @abstractmethod
    def _unplain_example(self) -> tuple[str, str]:
        """A text that is read and is not written as the dataset writes it, and the message of the rule on it."""

    def _not_plain(self) -> Condition:
        """The condition that a text is read and is not written as the dataset writes it."""
        return self.sent != self.read

    def _rule(
        self, name: str, message: str, fails: Condition, breaks: str, *, severity: Severity | None = None
    ) -> Rule:
        """A rule on the field alone, with the severity of a bad value unless another is given."""
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
        """A query that is told once a file, at the row on which the last of its conditions first holds."""
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
    """A technical identifier: text, as sent but for outer spaces."""

    kind = Kind.ID
    good, other = "10001", "10002"

    def tidied(self, text: str) -> str:
        """The text without outer spaces."""
        return text.strip(WHITE)

    def fits(self, text: str) -> int:
        """Not known, but for a date in three parts, which is no id. Eight figures may be one."""
        return -1 if _THREE_PARTS.fullmatch(text) else 0

    @property
    def described(self) -> str:
        """How a value is written, in words."""
        return "text"

    @property
    def pattern(self) -> str:
        """Any text without outer spaces."""
        return "[^ ](.*[^ ])?"

    def _kind_rules(self) -> Iterator[Rule]:
        yield from ()

    def _unplain_example(self) -> tuple[str, str]:
        return f"{self.good} ", f"Remove the spaces before and after the {self.field.noun}"

    def _not_plain(self) -> Condition:
        return self.sent.matches(f"^{WHITE_SPACE}|{WHITE_SPACE}$")


# ---- initials --------------------------------------------------------------------------------------


class InitialKind(FieldKind):
    """One letter, A to Z."""

    kind = Kind.INITIAL
    good, other = "M", "N"
    # The browser cuts a name that is typed here to its first letter, so that no name is stored.
    boxes = Boxes(2, longest=1)

    def tidied(self, text: str) -> str:
        """The text in upper case, without outer spaces."""
        return text.strip(WHITE).upper()

    @property
    def wrong(self) -> Condition:
        """The condition that it is anything but one letter."""
        return ~self.read.matches("^[A-Z]$")

    def is_certain(self, text: Stages) -> bool:
        """Whether it is one letter, A to Z."""
        return not text.is_no_value and not _is_foreign(text)

    def understood(self, text: str) -> str:
        """The letter in upper case."""
        return text.upper() if text.isascii() else text

    def fits(self, text: str) -> int:
        """Whether it is one letter."""
        return 1 if len(text) == 1 and text.isalpha() else -1

    @property
    def described(self) -> str:
        """How a value is written, in words."""
        return "one capital letter, A to Z"

    @property
    def shortly(self) -> str:
        """How a value is written, in two words."""
        return "one letter"

    @property
    def pattern(self) -> str:
        """One capital letter."""
        return "[A-Z]"

    def _kind_rules(self) -> Iterator[Rule]:
        message = f"The {self.field.noun} must be one letter, A to Z, without an accent"
        yield self._rule("is_one_letter", message, self.wrong, "Mc")

    def _unplain_example(self) -> tuple[str, str]:
        return "m", f"Write the {self.field.noun} as one capital letter, with no spaces"


# ---- dates -----------------------------------------------------------------------------------------

_ONE_WAY = (
    "Both ways are plain, and which is asked for in a CJIT file is not public. Whoever takes the file may read a "
    "column in one of them only, and a column that has both was put together from two."
)
_GOOD_DATE = date(2020, 2, 1)
#: Pairs of patterns: days of a month, and the months that have them in a leap year.
_DAYS = (("(0[1-9]|[12][0-9])", "(0[1-9]|1[0-2])"), ("30", "(0[13-9]|1[0-2])"), ("31", "(0[13578]|1[02])"))


def is_written(text: Value, *styles: Style) -> Condition:
    """The condition that a text has the form of one of some styles, real date or not."""
    return any_of(*(text.matches(dates.PATTERNS[style]) for style in styles))


def in_style(header: str, style: Style) -> Condition:
    """The condition that a date field has a value and is written in a style, apart from outer spaces."""
    return Cell(header).is_given & is_written(Cell(header).as_sent.trimmed, style)


class DateKind(FieldKind):
    """A day, written dd/mm/yyyy or yyyymmdd; yyyy-mm-dd is read too."""

    kind = Kind.DATE
    good, other = f"{_GOOD_DATE:{Style.SLASHED.form}}", "02/02/2020"
    typed = date

    def tidied(self, text: str) -> date | None:
        """The date in one of the forms that are read; None where the text is no date."""
        return dates.read_text(text.strip(WHITE))

    @property
    def wrong(self) -> Condition:
        """The condition that the date is in the future or before `EARLIEST`."""
        return (self.read > TODAY) | (self.read < EARLIEST)

    @property
    def no_value(self) -> Condition:
        """The condition that a text was sent that is no date or no valid one."""
        return self.sent.is_given & self.value.is_blank

    def plainly(self, value: Typed, style: Style = Style.SLASHED) -> str:
        """A date in a style; "" for blank."""
        return dates.written(value, style) if isinstance(value, date) else ""

    def is_plain(self, text: str, value: Typed) -> bool:
        """Whether the text is the date in one of the two plain styles."""
        return isinstance(value, date) and any(text == dates.written(value, style) for style in Style)

    def _change(self, was: str, now: str, style: Style) -> str:
        return f"Date written as {style}"

    def understood(self, text: str) -> str:
        """The date as dd/mm/yyyy: 1.3.2026, 20260301 and 1 March 2026 are 01/03/2026."""
        return dates.plainly_typed(text)

    def fits(self, text: str) -> int:
        """Whether it looks like a date, real or not."""
        return 1 if _looks_like_a_date(text) else -1

    @property
    def described(self) -> str:
        """How a value is written, in words."""
        return f"date, {dates.PLAINLY}, the same way throughout a file"

    @property
    def shortly(self) -> str:
        """How a value is written, in three words."""
        return dates.PLAINLY

    @property
    def hint(self) -> str:
        """A sentence for the person who fills it in."""
        return self.field.hint or "For example, 27 3 2026"

    @property
    def pattern(self) -> str:
        """A date in one of the two plain styles, with 29 February in every year."""
        year = f"({EARLIEST.year // 100}|[2-9][0-9])[0-9]{{2}}"
        slashed = "|".join(f"{day}/{month}" for day, month in _DAYS)
        eight = "|".join(f"{month}{day}" for day, month in _DAYS)
        return f"({slashed})/{year}|{year}({eight})"

    def _kind_rules(self) -> Iterator[Rule]:
        """The rules of a date: each is real, not in the future and after 1900, and a file has one style."""
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

    def _unplain_example(self) -> tuple[str, str]:
        return "2020-02-01", f"Write the {self.field.noun} as {dates.PLAINLY}, such as {dates.EXAMPLES}"

    def _not_plain(self) -> Condition:
        return self.read.is_given & ~is_written(self.sent, *Style)


# ---- numbers ---------------------------------------------------------------------------------------

_PLAIN_NUMBER = "^(0|[1-9][0-9]{0,8})$"
_FIGURES = re.compile("[0-9]{1,9}")


class NumberKind(FieldKind):
    """A whole number within bounds, or one of the answers that are numbers in form only (`Field.apart`)."""

    kind = Kind.NUMBER
    typed = int
    boxes = Boxes(3, figures=True)

    def __init__(self, field: Field, codes: CodeList | None) -> None:
        super().__init__(field, codes)
        self.good, self.other = str(field.minimum or 0), str((field.minimum or 0) + 1)

    def tidied(self, text: str) -> int | None:
        """The number, also one with leading noughts; None where the text is no number."""
        figures = text.strip(WHITE)
        return int(figures) if _FIGURES.fullmatch(figures) else None

    @property
    def wrong(self) -> Condition:
        """The condition that the number is out of bounds and not one of `Field.apart`."""
        return ~self._in_range

    @property
    def no_value(self) -> Condition:
        """The condition that a text was sent that is no number or no valid one."""
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
        """Whether the text is the number's figures."""
        return text == str(value)

    def _change(self, was: str, now: str, style: Style) -> str:
        return "Leading noughts removed"

    def fits(self, text: str) -> int:
        """Whether it is a number within bounds, or one of `Field.apart`."""
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
        """How a value is written, in a few figures."""
        return f"{self.field.minimum} to {self.field.maximum}" + "".join(f", {code}" for code in self.field.apart)

    @property
    def hint(self) -> str:
        """A sentence for the person who fills it in."""
        return self.field.hint or f"A number from {self.field.minimum} to {self.field.maximum}"

    @property
    def pattern(self) -> str:
        """The numbers within bounds, ten in an alternative, and `Field.apart`."""
        low, high = self.field.minimum or 0, self.field.maximum or 999_999_999
        numbers = []
        for tens in range(low // 10, high // 10 + 1):
            first, last = max(low, tens * 10) % 10, min(high, tens * 10 + 9) % 10
            numbers.append(f"{tens or ''}{f'[{first}-{last}]' if first != last else first}")
        return "|".join((*numbers, *self.field.apart))

    @property
    def bounds(self) -> tuple[int, int] | None:
        """The least and the greatest value; None where a bound is missing or the field has answers apart."""
        least, most = self.field.minimum, self.field.maximum
        return None if self.field.apart or least is None or most is None else (least, most)

    def _kind_rules(self) -> Iterator[Rule]:
        field = self.field
        apart = "".join(f", or {code} if the {label}" for code, label in field.apart.items())
        yield self._rule(
            "is_in_range",
            f"The {field.noun} must be a whole number from {field.minimum} to {field.maximum}{apart}",
            self.sent.is_given & (self.read.is_blank | ~self._in_range),
            "many",
        )

    def _unplain_example(self) -> tuple[str, str]:
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
    """A code of a code list.

    good, other, field, codes, header, value, read, sent: as `FieldKind` has them.
    padded: whether a leading nought may be dropped: the list numbers its codes, and none begins with a nought.
    """

    kind = Kind.CODE

    def __init__(self, field: Field, codes: CodeList | None) -> None:
        super().__init__(field, codes)
        self.good = codes.codes[0] if codes else "1"
        self.other = codes.codes[-1] if codes else "2"
        self.padded = codes is not None and "1" in codes.codes and not any(c.startswith("0") for c in codes.codes)
        self._known = frozenset(codes.codes) if codes else None

    def tidied(self, text: str) -> str | None:
        """The code as the list has it: in capitals, without outer spaces or a leading nought; None for "none"."""
        code = text.strip(WHITE).upper()
        if self.padded and len(code) == 2 and code[0] == "0" and code[1] in "123456789":
            code = code[1]
        if self.codes is not None:
            code = self.codes.also.get(code, code)
        return None if code in self.field.none else code

    @property
    def wrong(self) -> Condition | None:
        """The condition that the list is complete and does not have the code; None where it is not complete."""
        return ~self.read.is_one_of(*self.codes.codes) if self.codes and self.codes.complete else None

    def is_certain(self, text: Stages) -> bool:
        """Whether the list has the code, or the code is one for "none". An incomplete list lacks some valid codes."""
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
        """Whether the list has the code. A text that a list which is not complete lacks may be one, unless a date."""
        codes = (*(self.codes.codes if self.codes else ()), *self.field.none)
        if text.upper() in codes or text.removeprefix("0") in codes:
            return 1
        return -1 if (self.codes and self.codes.complete) or _looks_like_a_date(text) else 0

    @property
    def described(self) -> str:
        """How a value is written, in words."""
        return f"code of the list {self.field.codes}"

    @property
    def shortly(self) -> str:
        """How a value is written, in two words."""
        return f"code: {self.field.codes}"

    @property
    def pattern(self) -> str:
        """The codes of a complete list; "" where the list is not complete."""
        return "|".join(self.codes.codes) if self.codes and self.codes.complete else ""

    def plain_code(self, text: Value) -> Value:
        """A text without outer spaces as a code is written, before `CodeList.also` is applied to it."""
        code = text.in_capitals
        return first_given(code.found(_ONE_LEADING_NOUGHT), code) if self.padded else code

    def _kind_rules(self) -> Iterator[Rule]:
        codes = self.codes
        if codes is not None and self.wrong is not None:
            yield self._rule("is_in_list", _choices(self.field.noun, codes), self.wrong, "?")
        if codes is not None and codes.also:
            yield self._written_as_listed(codes)

    def _written_as_listed(self, codes: CodeList) -> Rule:
        """The rule that a code of the list is written, and not another that is read as it."""
        others = {row.code: row.also[0] for row in codes.rows if row.code in codes.also.values()}
        first = next(iter(others))
        labelled = [f"{code} ({codes.labels[code]})" for code in others]
        message = f"as {' or '.join(labelled)}, not as {' or '.join(others.values())}"
        if len(others) > 3:
            message = f"by the code of its list: {labelled[0]}, for one, not {others[first]}"
        return self._told_once(
            "is_written_as_listed",
            f"Write the {self.field.noun} {message}",
            _AS_LISTED,
            (self.plain_code(self.sent.trimmed).is_one_of(*codes.also),),
            {self.header: others[first]},
            {self.header: first},
        )

    def _unplain_example(self) -> tuple[str, str]:
        field, codes = self.field, self.codes
        text = f" {self.good}"
        if field.none:
            return text, f"Leave the {field.noun} blank when there is none, and otherwise write its code with no spaces"
        # A field with a list that is not complete may hold words, so the message asks for the code.
        what = f"the {field.noun}" if codes and codes.complete else f"the code for the {field.noun}"
        how = "with no leading nought (1, not 01) and no spaces" if self.padded else "with no spaces"
        if codes is None or any(code.upper() != code.lower() for code in codes.codes):
            return text, f"Write {what} in capitals, {how}"
        return text, f"Write {what} {how}"

    def _not_plain(self) -> Condition:
        if self.codes and self.codes.also:
            # `is_written_as_listed` is the rule on codes that are read as others.
            return self.sent != self.plain_code(self.sent.trimmed)
        return self.sent != self.read


def _choices(noun: str, codes: CodeList) -> str:
    """The message on a code that a complete list lacks: it has every code where they are few, else their number."""
    labelled = [f"{code} ({codes.labels[code]})" for code in codes.codes]
    message = f"The {noun} must be {' or '.join(filter(None, (', '.join(labelled[:-1]), labelled[-1])))}"
    if len(labelled) <= 5 and len(message) <= 150 and "))" not in message:
        return message
    first = codes.rows[0]
    return f"The {noun} must be one of the {len(codes.codes)} codes of its list, such as {first.code}, {first.label}"


# ---- postcodes -------------------------------------------------------------------------------------

_SPACES = re.compile(f"{WHITE_SPACE}+")
_TRUNCATED, _WHOLE = re.compile(TRUNCATED, re.ASCII), re.compile(WHOLE, re.ASCII)
_WHOLE_UNSPACED = re.compile(WHOLE_UNSPACED.replace("$", r"\Z"))


class PostcodeKind(FieldKind):
    """A postcode less its last two characters. A whole postcode is cut when it is read."""

    kind = Kind.POSTCODE
    good, other = "NR14 7", "NR14 8"
    boxes = Boxes(10)

    def tidied(self, text: str) -> str:
        """The postcode in capitals with single spaces, less its last two characters where it is a whole one."""
        capitals = text.strip(WHITE).upper()
        # The place of the space is certain in a whole postcode only: "NR14" may be NR14 or NR1 4.
        squeezed = _SPACES.sub("", capitals)
        if _WHOLE_UNSPACED.match(squeezed):
            return f"{squeezed[:-3]} {squeezed[-3]}"
        return _SPACES.sub(" ", capitals)

    @property
    def wrong(self) -> Condition:
        """The condition that it is no postcode less its last two characters."""
        return ~self.read.matches(TRUNCATED)

    def is_certain(self, text: Stages) -> bool:
        """Whether it is a postcode, in letters A to Z."""
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
        """Whether it is a postcode, whole or less its last two characters."""
        return 1 if _TRUNCATED.search(text.upper()) or _WHOLE.search(text.upper()) else -1

    @property
    def described(self) -> str:
        """How a value is written, in words."""
        return "postcode less its last two characters, such as NR14 7"

    @property
    def shortly(self) -> str:
        """An example of a value."""
        return "such as NR14 7"

    @property
    def pattern(self) -> str:
        """A postcode less its last two characters."""
        return TRUNCATED.removeprefix("^").removesuffix("$").replace("(?:", "(")

    @property
    def is_whole(self) -> Condition:
        """The condition that a whole postcode was sent, with spaces anywhere. Such a text must not be shown."""
        return self.sent.in_capitals.without(WHITE_SPACE).matches(WHOLE_UNSPACED)

    def _kind_rules(self) -> Iterator[Rule]:
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

    def _unplain_example(self) -> tuple[str, str]:
        return "nr14 7", f"Write the {self.field.noun} in capitals with one space, such as NR14 7"

    def _not_plain(self) -> Condition:
        return (self.sent != self.read) & ~self.is_whole


def _is_foreign(text: Stages) -> bool:
    """Whether a text has a letter outside A to Z. In upper case it may become another letter: ı an I, ſ an S."""
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
                # Only rows that pass the gate are examined, and one value passes it.
                message = f"Write the {kind.field.noun} as a capital {gate.passing_code} with no spaces"
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


#: The names of the derived rules that fire where a text is no valid value of its field.
_NO_VALUE_RULES = (
    "is_a_date",
    "is_not_in_the_future",
    "is_after_1900",
    "is_in_range",
    "is_in_list",
    "is_one_letter",
    "is_a_postcode",
)


def no_value_rules(dataset: Dataset) -> frozenset[str]:
    """The ids of the rules that fire where a text is no valid value of its field."""
    return frozenset(f"{field.header}.{name}" for field in dataset.fields for name in _NO_VALUE_RULES)


@dataclass(frozen=True)
class Story:
    """A functional dependency: rows with the same id must have the same value of a field; blanks do not count.

    key: the header of the id.
    header: the header of the field.
    rule: the rule that checks it.
    owner: whether the field is the id of what the first id belongs to, as CLIENTID is for EPISODID.
    """

    key: str
    header: str
    rule: Rule
    owner: bool = False


def stories(dataset: Dataset) -> Sequence[Story]:
    """The functional dependencies of a dataset.

    The id of a client, episode, intervention or referral determines every other field of it, but that of a gate. The id
    of an episode also determines the client's id, and the id of an intervention or referral the episode's.
    """
    return tuple(_stories(dataset))


def _stories(dataset: Dataset) -> Iterator[Story]:
    """The dependencies of `stories`, by entity: that of its owner, then those of its fields."""
    kinds = kinds_of(dataset)
    # Only rows that pass the gate are examined, and its field has one value on all of them.
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
    """The dependency of a field on an id.

    Args:
        key: the id.
        kind: the field.
        name: the id of the rule.
        message: the message of the rule.
        owner: whether the field is the id of what the first id belongs to.

    Returns:
        The dependency, with its rule.
    """
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
