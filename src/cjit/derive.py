"""The rules that follow from the fields alone, and the columns every rule reads.

A field has up to three columns in a frame under check:

``H as sent``   the text in the file, null where blank
``H as read``   the same after tidying: a date, a whole number, or text without outer spaces
``H``           the value: null where blank, and null where what was sent is no value

Rules across fields read ``H``; a value that is no value has its own finding, and the engine keeps every
other rule that reads it silent on that row: one mistake, one message.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date

import polars as pl

from cjit import dates
from cjit.conditions import (
    TODAY,
    WHITE_SPACE,
    Cell,
    Condition,
    Differs,
    FirstRow,
    Value,
    all_of,
    any_of,
    first_given,
)
from cjit.dataset import OUR_READING, CodeList, Dataset, Entity, Field, Kind, Record, Rule, Severity
from cjit.dates import Style
from cjit.engine.columns import expression
from cjit.geography import TRUNCATED, WHOLE, WHOLE_UNSPACED

#: No date in this dataset can be earlier: a year such as 0020 is a slip.
EARLIEST = date(1900, 1, 1)

_NUMBER = r"^(0|[1-9][0-9]{0,8})$"
#: A long number as a spreadsheet shows it: 1.23E+11.
POWER_OF_TEN = r"^[0-9]{1,3}(?:[.,][0-9]+)?[Ee]\+[0-9]{1,3}$"
_CODE = r"^([1-9A-Z][0-9A-Z]*|0[0-9A-Z]{2,}|0)$"
_PADDED_NUMBER = r"^[0-9]{1,9}$"


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
            return pl.when(text.str.contains(_PADDED_NUMBER)).then(text).cast(pl.Int32, strict=False)
        case Kind.POSTCODE:
            # Only a whole postcode can be spaced without a guess: "NR14" may be NR14 or NR1 4.
            spaced = text.str.to_uppercase().str.replace_all(r"\s+", " ")
            whole = text.str.to_uppercase().str.replace_all(r"\s+", "")
            whole = whole.str.replace(r"^(.+)([0-9][A-Z]{2})$", "$1 $2")
            return pl.when(whole.str.contains(WHOLE)).then(whole.str.head(-2)).otherwise(spaced)
        case Kind.CODE:
            codes = dataset.codes_of(field.header)
            code = expression(_tidy_code(Cell(field.header).as_sent.trimmed, codes))
            if codes and codes.also:
                code = code.replace(dict(codes.also))
            if field.none:
                code = pl.when(~code.is_in(field.none)).then(code)
            return code
        case Kind.INITIAL:
            return text.str.to_uppercase()
        case Kind.ID:
            return text


def _tidy_code(text: Value, codes: CodeList | None) -> Value:
    """A text without outer spaces as a code is written, before it is read as another."""
    code = text.in_capitals
    return first_given(code.found("^0([1-9])$"), code) if _padded(codes) else code


def _padded(codes: CodeList | None) -> bool:
    """Whether a leading nought may be dropped: the list numbers its codes and none begins with one."""
    return codes is not None and "1" in codes.codes and not any(c.startswith("0") for c in codes.codes)


def _value(field: Field, dataset: Dataset) -> pl.Expr:
    read, bad = as_read(field.header), wrong(field, dataset)
    return read if bad is None else pl.when(~expression(bad)).then(read)


def wrong(field: Field, dataset: Dataset) -> Condition | None:
    """Whether what was read is no value of this field; None for a field that takes any text."""
    read = Cell(field.header).as_read
    match field.kind:
        case Kind.DATE:
            return (read > TODAY) | (read < EARLIEST)
        case Kind.NUMBER:
            return ~_in_range(field, read)
        case Kind.CODE:
            codes = dataset.codes_of(field.header)
            return ~read.is_one_of(*codes.codes) if codes and codes.complete else None
        case Kind.INITIAL:
            return ~read.matches("^[A-Z]$")
        case Kind.POSTCODE:
            return ~read.matches(TRUNCATED)
        case Kind.ID:
            return None


def no_value(field: Field, dataset: Dataset) -> Condition | None:
    """Whether something was sent that is no value of this field: other rules are silent there."""
    if field.kind in (Kind.DATE, Kind.NUMBER):
        return Cell(field.header).as_sent.is_given & Cell(field.header).is_blank
    return wrong(field, dataset)


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


def _in_range(field: Field, number: Value) -> Condition:
    bounds = []
    if field.minimum is not None:
        bounds.append(number >= field.minimum)
    if field.maximum is not None:
        bounds.append(number <= field.maximum)
    return any_of(all_of(*bounds), *(number == int(code) for code in field.apart))


# ---- the rules -------------------------------------------------------------------------------------


def rules_of(dataset: Dataset) -> Iterator[Rule]:
    """Every rule that follows from the fields: within a row, then across rows."""
    gates = {rule.header: rule for rule in dataset.written if rule.gate}
    for field in dataset.fields:
        gate = gates.get(field.header)
        for rule in _within_a_row(field, dataset):
            if gate is None:
                yield rule
            elif rule.id.endswith("is_plainly_written"):
                # Only a row that passes the gate is looked at, and there is one way to pass it.
                passes = gate.holds if isinstance(gate.holds, Mapping) else gate.holds[0]
                said = f"Write the {field.noun} as a capital {passes[field.header]} with no spaces"
                yield replace(rule, message=said)
    yield from (story.rule for story in stories(dataset))


def _within_a_row(field: Field, dataset: Dataset) -> Iterator[Rule]:
    header, noun = field.header, field.noun
    raw, read = Cell(header).as_sent, Cell(header).as_read
    codes = dataset.codes_of(header)

    def rule(name: str, message: str, fails: Condition, breaks: str, holds: str, severity: Severity) -> Rule:
        return Rule(f"{header}.{name}", severity, message, field.clause, fails, {header: breaks}, {header: holds})

    good = _good(field, codes)
    if field.missing is not None:
        ask = "Select" if field.kind is Kind.CODE else "Enter"
        given = f"{ask} the {noun}"
        if field.system:
            given = f"Ask your software supplier to fill in the {noun}"
        yield rule("is_given", given, raw.is_blank, "", good, field.missing)

    match field.kind:
        case Kind.DATE:
            yield rule(
                "is_a_date",
                f"The {noun} must be a real date written {dates.PLAINLY}, such as {dates.EXAMPLES}",
                raw.is_given & read.is_blank,
                "31/02/2020",
                good,
                field.bad,
            )
            yield rule(
                "is_not_in_the_future",
                f"The {noun} must be today or earlier",
                read > TODAY,
                "01/01/2999",
                good,
                field.bad,
            )
            yield rule(
                "is_after_1900",
                f"The {noun} must be in 1900 or later",
                read < EARLIEST,
                "01/02/0020",
                good,
                field.bad,
            )
            yield _written_one_way(field)
            plain = ("2020-02-01", f"Write the {noun} as {dates.PLAINLY}, such as {dates.EXAMPLES}")
        case Kind.NUMBER:
            apart = "".join(f", or {code} if the {label}" for code, label in field.apart.items())
            yield rule(
                "is_in_range",
                f"The {noun} must be a whole number from {field.minimum} to {field.maximum}{apart}",
                raw.is_given & (read.is_blank | ~_in_range(field, read)),
                "many",
                good,
                field.bad,
            )
            plain = ("07", f"Write the {noun} in figures only, with no spaces or leading noughts")
        case Kind.CODE:
            if codes is not None and codes.complete:
                yield rule(
                    "is_in_list",
                    _choices(noun, codes),
                    ~read.is_one_of(*codes.codes),
                    "?",
                    good,
                    field.bad,
                )
            if codes is not None and codes.also:
                yield _written_as_listed(field, codes)
            plain = (f" {good}", _in_code(field, codes))
        case Kind.INITIAL:
            yield rule(
                "is_one_letter",
                f"The {noun} must be one letter, A to Z, without an accent",
                ~read.matches("^[A-Z]$"),
                "Mc",
                good,
                field.bad,
            )
            plain = ("m", f"Write the {noun} as one capital letter, with no spaces")
        case Kind.POSTCODE:
            yield rule(
                "is_a_postcode",
                f"Enter the {noun} with its space, such as NR14 7UJ, which is sent as NR14 7",
                ~read.matches(TRUNCATED),
                "NORWICH",
                good,
                field.bad,
            )
            yield rule(
                "is_truncated",
                f"Ask your software supplier to leave the last two characters of the {noun} out of the file",
                _whole(raw),
                "NR14 7UJ",
                good,
                field.bad,
            )
            plain = ("nr14 7", f"Write the {noun} in capitals with one space, such as NR14 7")
        case Kind.ID:
            plain = (f"{good} ", f"Remove the spaces before and after the {noun}")
    yield rule("is_plainly_written", plain[1], _not_plain(field, dataset), plain[0], good, Severity.QUERY)


# ---- once a file -----------------------------------------------------------------------------------

_ONE_WAY = (
    "Both ways are plain, and which is asked for in a CJIT file is not public. Whoever takes the file may read a "
    "column in one of them only, and a column that has both was put together from two."
)
_AS_LISTED = (
    "The layout printed for the adult dataset has another code here than every other source has. It is understood "
    "without doubt; what is written is the code of the list."
)


def _told_once(
    field: Field,
    name: str,
    message: str,
    reading: str,
    conditions: tuple[Condition, ...],
    breaks: Record | list[Record],
    holds: Record | list[Record],
) -> Rule:
    """A rule of the file as a whole, told at the row at which the last of its conditions first holds."""
    return Rule(
        f"{field.header}.{name}",
        Severity.QUERY,
        message,
        OUR_READING,
        FirstRow(conditions),
        breaks,
        holds,
        reading=reading,
    )


def is_written(text: Value, *styles: Style) -> Condition:
    """Whether a text has the form of one of the styles, whether or not it is a real date."""
    return any_of(*(text.matches(dates.PATTERNS[style]) for style in styles))


def in_style(header: str, style: Style) -> Condition:
    """Whether a date has a value, and is written in a style but for outer spaces."""
    return Cell(header).is_given & is_written(Cell(header).as_sent.trimmed, style)


def _written_one_way(field: Field) -> Rule:
    header, good = field.header, _good(field, None)
    return _told_once(
        field,
        "is_written_one_way",
        f"Write every {field.noun} the same way: this file has both {' and '.join((Style.SLASHED, Style.EIGHT))}",
        _ONE_WAY,
        tuple(in_style(header, style) for style in Style),
        [{header: good}, {header: f"{_GOOD_DATE:{Style.EIGHT.form}}"}],
        [{header: good}, {header: good}],
    )


def _written_as_listed(field: Field, codes: CodeList) -> Rule:
    header = field.header
    own = {row.code: row.also[0] for row in codes.rows if row.code in codes.also.values()}
    first = next(iter(own))
    spelt = [f"{code} ({codes.labels[code]})" for code in own]
    said = f"as {' or '.join(spelt)}, not as {' or '.join(own.values())}"
    if len(own) > 3:
        said = f"by the code of its list: {spelt[0]}, for one, not {own[first]}"
    return _told_once(
        field,
        "is_written_as_listed",
        f"Write the {field.noun} {said}",
        _AS_LISTED,
        (_tidy_code(Cell(header).as_sent.trimmed, codes).is_one_of(*codes.also),),
        {header: own[first]},
        {header: first},
    )


# ---- how it is written -----------------------------------------------------------------------------


def _whole(raw: Value) -> Condition:
    """Whether a whole postcode was sent, however it is spaced."""
    return raw.in_capitals.without(WHITE_SPACE).matches(WHOLE_UNSPACED)


def whole_postcode(header: str) -> pl.Expr:
    """True where the value of a postcode field, as sent, must not be shown."""
    return expression(_whole(Cell(header).as_sent))


def _not_plain(field: Field, dataset: Dataset) -> Condition:
    """Whether a value was understood but is not written as the dataset writes it."""
    raw, read = Cell(field.header).as_sent, Cell(field.header).as_read
    match field.kind:
        case Kind.DATE:
            loose: Condition = read.is_given & ~is_written(raw, *Style)
        case Kind.NUMBER:
            loose = read.is_given & ~raw.matches(_NUMBER)
        case Kind.POSTCODE:
            loose = (raw != read) & ~_whole(raw)
        case Kind.CODE if (codes := dataset.codes_of(field.header)) and codes.also:
            # Of a code that is read as another one `is_written_as_listed` speaks.
            loose = raw != _tidy_code(raw.trimmed, codes)
        case _:
            loose = raw != read
    bad = wrong(field, dataset)
    if bad is not None:
        loose &= ~bad.surely
    return loose | raw.trimmed.is_one_of(*field.none) if field.none else loose


def doubtful(field: Field, dataset: Dataset) -> pl.Expr:
    """True where it is not certain how a code, an initial or a postcode is plainly written.

    It is none, or none that we know (a list that is not complete may have it all the same), or it has a letter beyond
    A to Z, which in capitals may become another one: ı and ſ would be I and S.
    """
    codes = dataset.codes_of(field.header)
    odd = ~Cell(field.header).as_read.is_one_of(*codes.codes) if codes else wrong(field, dataset)
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


_GOOD_DATE = date(2020, 2, 1)


def _good(field: Field, codes: CodeList | None) -> str:
    match field.kind:
        case Kind.DATE:
            return f"{_GOOD_DATE:{Style.SLASHED.form}}"
        case Kind.NUMBER:
            return str(field.minimum or 0)
        case Kind.CODE:
            return codes.codes[0] if codes else "1"
        case Kind.INITIAL:
            return "M"
        case Kind.POSTCODE:
            return "NR14 7"
        case Kind.ID:
            return "10001"


def _two(field: Field, codes: CodeList | None) -> tuple[str, str]:
    """Two different good values."""
    other = {
        Kind.DATE: "02/02/2020",
        Kind.NUMBER: str((field.minimum or 0) + 1),
        Kind.CODE: codes.codes[-1] if codes else "2",
        Kind.INITIAL: "N",
        Kind.POSTCODE: "NR14 8",
        Kind.ID: "10002",
    }
    return _good(field, codes), other[field.kind]


def _choices(noun: str, codes: CodeList) -> str:
    """What a field with a complete list must be: each code where that can be read at a glance, else their count."""
    spelt = [f"{code} ({codes.labels[code]})" for code in codes.codes]
    each = f"The {noun} must be {' or '.join(filter(None, (', '.join(spelt[:-1]), spelt[-1])))}"
    if len(spelt) <= 5 and len(each) <= 150 and "))" not in each:
        return each
    first = codes.rows[0]
    return f"The {noun} must be one of the {len(codes.codes)} codes of its list, such as {first.code}, {first.label}"


def _in_code(field: Field, codes: CodeList | None) -> str:
    """How a code is written, of what its list can get wrong: capitals, a leading nought, spaces."""
    if field.none:
        return f"Leave the {field.noun} blank when there is none, and otherwise write its code with no spaces"
    # A list that is not complete lets words through too.
    what = f"the {field.noun}" if codes and codes.complete else f"the code for the {field.noun}"
    how = "with no leading nought (1, not 01) and no spaces" if _padded(codes) else "with no spaces"
    if codes is None or any(code.upper() != code.lower() for code in codes.codes):
        return f"Write {what} in capitals, {how}"
    return f"Write {what} {how}"


# ---- across rows -----------------------------------------------------------------------------------


_ONE_STORY = (
    "A row is one episode with at most one referral, so what is true of a client, an episode or a referral repeats on "
    "each of its rows and must agree; a blank says nothing. The document has some values of a client recorded as per "
    "start of episode, so these may rightly differ between two episodes: it asks to look, no more."
)
_ONE_OWNER = (
    "An episode is of one client, and a referral of one episode: where an ID stands under two, it was given twice, or "
    "the ID it belongs to was altered."
)


@dataclass(frozen=True)
class Story:
    """A value that must be the same on every row with the same id; blanks do not count.

    `key` is the id's header; `header` that of the value.
    """

    key: str
    header: str
    rule: Rule


def stories(dataset: Dataset) -> Iterator[Story]:
    """One story for each client, episode and referral: a value repeats on each row of its id.

    An episode also belongs to one client, and a referral to one episode.
    """
    # A row whose gate fails is not looked at, so its field is the same on every row that is.
    gated = {rule.header for rule in dataset.written if rule.gate}
    for entity in Entity:
        first, *rest = dataset.entity(entity) or (None,)
        if first is None:
            continue
        parent = dataset.parent(entity)
        if parent is not None:
            yield _story(
                first,
                parent,
                None,
                f"{first.header}.belongs_to_one_{parent.entity.value}",
                f"Give each {entity.value} an ID of its own, or send the same {parent.noun} on all its rows",
                _ONE_OWNER,
            )
        for field in rest:
            if field.header in gated:
                continue
            yield _story(
                first,
                field,
                dataset.codes_of(field.header),
                f"{field.header}.is_the_same_on_every_row",
                f"Check the {field.noun}: it differs between the rows of the {entity.value}",
                _ONE_STORY,
            )


def _story(key: Field, field: Field, codes: CodeList | None, name: str, message: str, reading: str) -> Story:
    good = _good(field, codes)
    fails = Differs(Cell(field.header), (Cell(key.header),))
    rule = Rule(
        name,
        Severity.QUERY,
        message,
        OUR_READING,
        fails,
        breaks=[{field.header: value} for value in _two(field, codes)],
        holds=[{field.header: good}, {field.header: ""}],
        across=key.header,
        reading=reading,
    )
    return Story(key.header, field.header, rule)
