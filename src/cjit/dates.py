"""How a date is written as text: the styles that are read, the two that are plain, and the ways between text and date.

A file, an official code list, a form and an option of a command all read a date here, and whatever writes one is told
in which style.
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


#: How the messages and pages say that a date may be written, with an example.
PLAINLY = "dd/mm/yyyy or yyyymmdd"
EXAMPLES = "27/03/1985 or 19850327"

_FORMS = {Style.EIGHT: "%Y%m%d", Style.SLASHED: "%d/%m/%Y"}
#: How a text in each plain style looks, real date or not.
PATTERNS = {Style.EIGHT: r"^[0-9]{8}$", Style.SLASHED: r"^[0-9]{2}/[0-9]{2}/[0-9]{4}$"}
_PLAIN = {style: re.compile(pattern.strip("^$")) for style, pattern in PATTERNS.items()}
#: What is read of a text that a person typed, in which a leading nought may be missing: no doubt comes of that.
_TYPED = tuple(
    re.compile(form, re.ASCII)
    for form in (
        r"(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})",
        r"(?P<d>\d{1,2})/(?P<m>\d{1,2})/(?P<y>\d{4})",
        r"(?P<y>\d{4})-(?P<m>\d{1,2})-(?P<d>\d{1,2})",
    )
)


def style_of(name: str) -> Style:
    """The style of a name such as yyyymmdd, in any case. Raises `UnknownStyle`."""
    try:
        return Style(name.strip().lower())
    except ValueError:
        raise UnknownStyle(f"Dates are written {' or '.join(Style)}: choose one of the two") from None


def day_of(text: str) -> date | None:
    """The date a text says; None where it says none."""
    for form in _TYPED:
        if parts := form.fullmatch(text.strip()):
            try:
                return date(*(int(parts[name]) for name in "ymd"))
            except ValueError:
                return None
    return None


#: More ways in which a person types a date: with dots, dashes or spaces, the month in figures or by its name.
_ISO = re.compile(r"(\d{4})-(\d{2})-(\d{2})", re.ASCII)
_PARTS = re.compile(r"(\d{1,2})\s?[-/. ]\s?(\d{1,2}|[A-Za-z]{3,9})\s?[-/. ]\s?(\d{4})", re.ASCII)
_MONTHS = {name.lower(): number for number, name in enumerate(month_name) if name}


def one_way(text: str) -> str:
    """A text that says a date, as dd/mm/yyyy; any other as it is."""
    day = day_of(text)
    return f"{day.day:02}/{day.month:02}/{day.year:04}" if day else text


def plainly_typed(text: str) -> str:
    """What somebody typed for a date as dd/mm/yyyy, real date or not; what cannot be one, as it is."""
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
    """The number of the month whose name begins so (feb, March); None where that is no month, or more than one."""
    named = [number for name, number in _MONTHS.items() if name.startswith(text.lower())]
    return named[0] if len(named) == 1 else None


def read_text(text: str) -> date | None:
    """The date a cell of a file says, in a plain style or as yyyy-mm-dd; None where it says none.

    Each way has its own form before any figure is read, for a parser would take more than is meant.
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
    # Of a year before 1000 `strftime` leaves the noughts out on some systems.
    if style is Style.EIGHT:
        return f"{day.year:04}{day.month:02}{day.day:02}"
    return f"{day.day:02}/{day.month:02}/{day.year:04}"


def style_in(text: str) -> Style | None:
    """The plain style a text is written in, real date or not; None where it is none of them."""
    return next((style for style, form in _PLAIN.items() if form.fullmatch(text)), None)


def rewritten(text: str, style: Style) -> str:
    """A text in another style, where it is a plainly written date; else as it is."""
    day = read_text(text) if style_in(text) else None
    return written(day, style) if day else text
