"""The columns of a frame under check, as Polars expressions.

A field has up to three columns:

``H as sent``   the text in the file, null where blank
``H as read``   the same after tidying: a date, a whole number, or text without outer spaces
``H``           the value: null where blank, and null where what was sent is no value
"""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from cjit import dates
from cjit.conditions import WHITE_SPACE, Cell
from cjit.dataset import Dataset, Field, Kind
from cjit.dates import Style
from cjit.engine import shown
from cjit.engine.columns import expression
from cjit.geography import WHOLE, WHOLE_UNSPACED
from cjit.kinds import CodeKind, kinds_of


def sent(header: str) -> pl.Expr:
    """The text of a field as it stands in the file; null where blank."""
    return pl.col(f"{header} as sent")


def as_read(header: str) -> pl.Expr:
    """A field after tidying and before it is held against its list or range."""
    return pl.col(f"{header} as read")


# ---- the columns -----------------------------------------------------------------------------------


def columns(dataset: Dataset) -> tuple[list[pl.Expr], list[pl.Expr], list[pl.Expr]]:
    """Three steps over a frame of text, one column a header: as sent, as read, and the values."""
    text = [
        pl.when(pl.col(f.header).str.strip_chars() != "").then(pl.col(f.header)).alias(f"{f.header} as sent")
        for f in dataset.fields
    ]
    read = [_read(f, dataset).alias(f"{f.header} as read") for f in dataset.fields]
    value = [_value(f, dataset).alias(f.header) for f in dataset.fields]
    return text, read, value


def _read(field: Field, dataset: Dataset) -> pl.Expr:
    text = sent(field.header).str.strip_chars()
    match field.kind:
        case Kind.DATE:
            return dates.read(text)
        case Kind.NUMBER:
            return pl.when(text.str.contains("^[0-9]{1,9}$")).then(text).cast(pl.Int32, strict=False)
        case Kind.POSTCODE:
            # Only a whole postcode can be spaced without a guess: "NR14" may be NR14 or NR1 4.
            spaced = text.str.to_uppercase().str.replace_all(r"\s+", " ")
            whole = text.str.to_uppercase().str.replace_all(r"\s+", "")
            whole = whole.str.replace(r"^(.+)([0-9][A-Z]{2})$", "$1 $2")
            return pl.when(whole.str.contains(WHOLE)).then(whole.str.head(-2)).otherwise(spaced)
        case Kind.CODE:
            kind, codes = kinds_of(dataset)[field.header], dataset.codes_of(field.header)
            trimmed = Cell(field.header).as_sent.trimmed
            code = expression(kind.plain_code(trimmed) if isinstance(kind, CodeKind) else trimmed)
            if codes and codes.also:
                code = code.replace(dict(codes.also))
            if field.none:
                code = pl.when(~code.is_in(field.none)).then(code)
            return code
        case Kind.INITIAL:
            return text.str.to_uppercase()
        case Kind.ID:
            return text


def _value(field: Field, dataset: Dataset) -> pl.Expr:
    read, bad = as_read(field.header), kinds_of(dataset)[field.header].wrong
    return read if bad is None else pl.when(~expression(bad)).then(read)


#: The names of derived rules that say that what was sent is no value of its field.
_SAYS_NO_VALUE = frozenset(
    {
        "is_a_date",
        "is_not_in_the_future",
        "is_after_1900",
        "is_in_range",
        "is_in_list",
        "is_one_letter",
        "is_a_postcode",
    }
)


def no_value_rules(dataset: Dataset) -> frozenset[str]:
    """The ids of the rules that say that what was sent is no value of its field."""
    return frozenset(f"{field.header}.{name}" for field in dataset.fields for name in _SAYS_NO_VALUE)


def untidy(field: Field) -> pl.Expr:
    """Of an id, text as it was sent: true wherever a rule derived from the field could fire."""
    text = pl.col(field.header)
    odd = text != text.str.strip_chars()
    return odd if field.missing is None else odd | text.is_null()


# ---- how it is written -----------------------------------------------------------------------------


def whole_postcode(header: str) -> pl.Expr:
    """True where the value of a postcode field, as sent, must not be shown."""
    return expression(Cell(header).as_sent.in_capitals.without(WHITE_SPACE).matches(WHOLE_UNSPACED))


def doubtful(field: Field, dataset: Dataset) -> pl.Expr:
    """True where it is not certain how a code, an initial or a postcode is plainly written.

    It is none, or none that we know (a list that is not complete may have it all the same), or it has a letter beyond
    A to Z, which in capitals may become another one: ı and ſ would be I and S.
    """
    codes = dataset.codes_of(field.header)
    odd = ~Cell(field.header).as_read.is_one_of(*codes.codes) if codes else kinds_of(dataset)[field.header].wrong
    foreign = sent(field.header).str.contains(r"[\p{L}--[A-Za-z]]")
    return foreign if odd is None else expression(odd).fill_null(False) | foreign


def plainly(field: Field, style: Style) -> pl.Expr:
    """A field as the dataset writes it, as text: what a corrected file and an extract hold, dates in a style."""
    return plainly_value(field, as_read(field.header), style)


def plainly_value(field: Field, value: pl.Expr, style: Style = Style.SLASHED) -> pl.Expr:
    """A typed value of a field as the dataset writes it, as text; a date as people are shown it, or in a style."""
    match field.kind:
        case Kind.DATE:
            return dates.written(value, style)
        case Kind.NUMBER:
            return value.cast(pl.String)
        case _:
            return value


# ---- what may be shown -----------------------------------------------------------------------------


def repeats_headers(frame: pl.DataFrame, dataset: Dataset) -> pl.Series:
    """True for each row of text that has nothing but the headers in its cells."""
    names = {f.header: [f.header, *f.also] for f in dataset.fields}
    told = pl.col(*names).cast(pl.String).str.strip_chars().str.to_uppercase()
    cells = frame.select(told)
    same = pl.all_horizontal(pl.col(h).is_in(known) | pl.col(h).is_null() for h, known in names.items())
    return cells.select((same & ~pl.all_horizontal(pl.all().is_null())).alias("again"))["again"]


def cut_postcodes(postcodes: pl.Series) -> pl.Series:
    """Postcodes fit to be shown: never more than a whole one less its last two characters."""
    return _each_shown(postcodes, shown.cut_postcode)


def struck(values: pl.Series) -> pl.Series:
    """Any text that holds a whole postcode, with the postcode's last two characters struck out."""
    return _each_shown(values, shown.struck)


def _each_shown(values: pl.Series, show: Callable[[str], str]) -> pl.Series:
    texts = values.drop_nulls().unique()
    return values.replace(texts, pl.Series([show(text) for text in texts], dtype=pl.String))
