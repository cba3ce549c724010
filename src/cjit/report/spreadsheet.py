"""Cells that a spreadsheet must not run as formulas: the one place where they are neutralised.

A spreadsheet may run a cell as a formula that begins with = + - @, a tab or a carriage return, also after spaces and
quotation marks. An apostrophe before it makes it plain text. A cell that has its apostrophe already is left as it is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl


# Blank characters are listed one by one, because \s has other ones in Python than in Polars. The signs are = + - @ and
# their full-width forms.
_BLANK = r'[\x00-\x20\x7f-\u00a0\u1680\u2000-\u200f\u2028-\u202f\u205f-\u2064\u3000\ufeff"\u201c\u201d]'
_FORMULA = rf"^{_BLANK}*[=+\-@\uff1d\uff0b\uff0d\uff20]|^{_BLANK}*[\t\r]"
_formula = re.compile(_FORMULA)
_FORMULA_IN_POLARS = re.sub(r"\\u([0-9a-f]{4})", r"\\x{\1}", _FORMULA)


def neutral(text: str) -> str:
    """The text of a cell, with an apostrophe before it where a spreadsheet could run it as a formula."""
    return "'" + text if _formula.search(text) else text


def neutral_column(header: str) -> pl.Expr:
    """A column of text (String) as `neutral` gives each cell; null stays null. Needs Polars."""
    import polars as pl

    cell = pl.col(header)
    return pl.when(cell.str.contains(_FORMULA_IN_POLARS)).then("'" + cell).otherwise(cell).alias(header)
