"""Dates as text: parsing the forms that are read, and writing the two plain styles.

Files, official code lists, forms and the options of commands are all parsed here. Whatever writes a date is given the
style to write it in.
"""

from __future__ import annotations

import re
from calendar import month_name
from datetime import date
from enum import StrEnum


class Style(StrEnum):
    """A plain way to write a date. Both are read alike; a file has one of them."""

    EIGHT = "yyyymmdd"  # what the layouts of the adult dataset print for a date
    SLASHED = "dd/mm/yyyy"  # what forms print, and what people are shown

    @property
    def form(self) -> str:
        """The style for `strftime`."""
        return _FORMS[self]


class UnknownStyle(ValueError):  # noqa: N818 - a slip of the user's, told in one sentence
    """A name that no style has. Its text is one sentence for the user."""


#: The words of messages and pages for how a date may be written, and examples of it.
PLAINLY = "dd/mm/yyyy or yyyymmdd"
EXAMPLES = "27/03/1985 or 19850327"

_FORMS = {Style.EIGHT: "%Y%m%d", Style.SLASHED: "%d/%m/%Y"}
#: The pattern of each plain style. A text that matches need not be a real date.
PATTERNS = {Style.EIGHT: r"^[0-9]{8}$", Style.SLASHED: r"^[0-9]{2}/[0-9]{2}/[0-9]{4}$"}
_PLAIN = {style: re.compile(pattern.strip("^$")) for style, pattern in PATTERNS.items()}
#: The forms that are read of a text that a person typed. A leading nought may be missing, as the separators show where
#: each part ends.
_TYPED = tuple(
    re.compile(form, re.ASCII)
    for form in (
        r"(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})",
        r"(?P<d>\d{1,2})/(?P<m>\d{1,2})/(?P<y>\d{4})",
        r"(?P<y>\d{4})-(?P<m>\d{1,2})-(?P<d>\d{1,2})",
    )
)


def style_of(name: str) -> Style:
    """The style by its name, such as yyyymmdd, in any case. Raises `UnknownStyle` for another name."""
    try:
        return Style(name.strip().lower())
    except ValueError:
        raise UnknownStyle(f"Dates are written {' or '.join(Style)}: choose one of the two") from None


def day_of(text: str) -> date | None:
    """The date that a person typed; None where the text is no date."""
    for form in _TYPED:
        if parts := form.fullmatch(text.strip()):
            try:
                return date(*(int(parts[name]) for name in "ymd"))
            except ValueError:
                return None
    return None


#: More forms in which a person types a date: with dots, dashes or spaces, the month in figures or by its name.
_ISO = re.compile(r"(\d{4})-(\d{2})-(\d{2})", re.ASCII)
_PARTS = re.compile(r"(\d{1,2})\s?[-/. ]\s?(\d{1,2}|[A-Za-z]{3,9})\s?[-/. ]\s?(\d{4})", re.ASCII)
_MONTHS = {name.lower(): number for number, name in enumerate(month_name) if name}


def one_way(text: str) -> str:
    """A date that a person typed, as dd/mm/yyyy; any other text as it is."""
    day = day_of(text)
    return f"{day.day:02}/{day.month:02}/{day.year:04}" if day else text


def plainly_typed(text: str) -> str:
    """A text in any form that a person may type for a date, as dd/mm/yyyy, real date or not; other text as it is."""
    if day_of(text):
        return one_way(text)
    if parts := _ISO.fullmatch(text):
        year, month, day = parts.groups()
    elif parts := _PARTS.fullmatch(text):
        day, month, year = parts.groups()
    else:
        return text
    number = month if month.isdecimal() else month_named(month)
    return f"{day:0>2}/{number:0>2}/{year}" if number else text


def month_named(text: str) -> int | None:
    """The number of the one month whose name begins with a text (feb, March); None for no month or several."""
    numbers = [number for name, number in _MONTHS.items() if name.startswith(text.lower())]
    return numbers[0] if len(numbers) == 1 else None


def read_text(text: str) -> date | None:
    """The date in a cell of a file, in a plain style or as yyyy-mm-dd; None where the text is no date.

    The form is checked before any figure is read, because a general date parser accepts other forms too.
    """
    if not text.isascii():
        return None
    if len(text) == 8:
        year, month, day = text[:4], text[4:6], text[6:]
    elif len(text) == 10 and text[2] == text[5] == "/":
        year, month, day = text[6:], text[3:5], text[:2]
    elif len(text) == 10 and text[4] == text[7] == "-":
        year, month, day = text[:4], text[5:7], text[8:]
    else:
        return None
    if not (year.isdigit() and month.isdigit() and day.isdigit()):
        return None
    try:
        return date(int(year), int(month), int(day))
    except ValueError:
        return None


def written(day: date, style: Style) -> str:
    """A date as text, in a style."""
    # `strftime` leaves out the leading noughts of a year before 1000 on some systems.
    if style is Style.EIGHT:
        return f"{day.year:04}{day.month:02}{day.day:02}"
    return f"{day.day:02}/{day.month:02}/{day.year:04}"


def style_in(text: str) -> Style | None:
    """The plain style that a text is written in, real date or not; None for any other text."""
    return next((style for style, form in _PLAIN.items() if form.fullmatch(text)), None)


def rewritten(text: str, style: Style) -> str:
    """A date in a plain style, written in another style; any other text as it is."""
    day = read_text(text) if style_in(text) else None
    return written(day, style) if day else text
