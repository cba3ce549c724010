"""Records as text to a dataset Q file: the only thing that leaves a provider.

The file has one form: each value as the dataset plainly writes it, the headers in the document's order, the rows in
the order of their ids, every date in one style. So the same data give the same bytes, in whatever order they come.

What can leave, and what cannot:

- No more of a postcode than its sector. A whole one, however it is spaced or cased, is cut; of any other text that is
  not plainly a sector ("NR14 7U", "flat 2, NR14 7UJ", "NR147", "Norwich") nothing is written but `NOT_SENT`, of
  which the check says that it is no postcode: a guess at what was meant could cut too little.
- No free text. What is no value of a field and does not look like one either (a sentence where a code belongs, "ten or
  so" for a number) could be anything, somebody's name too. `NOT_SENT` is written, and the check says what is wrong;
  where it would take that for a code, of a list that is not complete, nothing is written. What looks like a value
  (31/02/2026, a code that such a list may have) stays as it was typed.
- Of a client who withdrew consent (CONSENT is N on any of their rows) one line with CLIENTID, AGNCY and CONSENT, and
  no other row. The check rejects the line, which is how the national half comes to forget the client.
- Of a row on which CONSENT is neither Y nor N, nothing.

An id is text, and is written as it is. A client reference that says who the client is (`CLIENT.identifies_nobody`)
has its episodes held back as those that would be rejected are: the document says that it must not.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from string import Formatter
from typing import IO

import polars as pl

from cjit import dates, derive
from cjit.dataset import CodeList, Dataset, Entity, Field, Kind, Record, Rule, Severity
from cjit.dates import Style
from cjit.engine.checking import check, texts_of
from cjit.engine.findings import Findings
from cjit.geography import OUTWARD, upper_tier_for_sector
from cjit.report.spreadsheet import neutral_column

#: Stands for a text of which nothing is sent: one that is no value of its field, nor looks like one.
NOT_SENT = "**"
#: The rules that hold an episode back beside those that reject it: what the document says must not be.
_HELD_BACK = frozenset({"CLIENT.identifies_nobody"})

#: What the line of a client who withdrew consent has; every other column of it is blank.
_OF_WITHDRAWN = ("CLIENTID", "AGNCY", "CONSENT")
_CONSENTS, _WITHDRAWN = pl.col("CONSENT") == "Y", pl.col("CONSENT") == "N"

#: What a text looks like that may be a value of its field though it is none, or none that we know. A code has up to
#: nine letters and figures, with a figure among them or at most three letters: a telephone or NHS number is longer.
_LIKELY = {
    Kind.DATE: r"^(?:[0-9]{1,4}[/.-][0-9]{1,2}[/.-][0-9]{1,4}|[0-9]{1,8})$",
    Kind.NUMBER: r"^[+-]?[0-9][0-9.,]{0,6}$",
    Kind.CODE: r"^(?:[A-Za-z]{1,3}|[0-9A-Za-z]*[0-9][0-9A-Za-z]*)$",
    Kind.INITIAL: r"^[A-Za-z]{1,2}$",
}
_LONGEST_CODE = 9
#: A whole postcode without its space.
_WHOLE = rf"(?i)^{OUTWARD}[0-9][A-Z]{{2}}$"
#: A date less its leading noughts, which leaves no doubt, though a file that is checked must have them.
_SHORT_DATE = r"^[0-9]{1,2}/[0-9]{1,2}/[0-9]{4}$"


@dataclass(frozen=True, eq=False)
class Extracted:
    """An extract, ready to be written, and what the check says of it.

    `frame` is what would be sent, and row n of `findings` (the header is row 1) its row n - 2. `findings` have a
    rejected row for each withdrawn line, which is as it should be. `rejected` are the EPISODIDs in `frame` whose rows
    would be rejected otherwise, in the frame's order, each with the rules it breaks in the book's order; `left_out`
    the same of those that were taken out. "" stands for all rows without an EPISODID. `withdrawn` counts the lines
    in `frame` of clients who withdrew consent, `without_consent` the rows handed in that had no answer to CONSENT and
    are in no extract.
    """

    frame: pl.DataFrame
    findings: Findings
    rejected: Mapping[str, tuple[Rule, ...]]
    left_out: Mapping[str, tuple[Rule, ...]]
    withdrawn: int
    without_consent: int

    @property
    def blocked(self) -> bool:
        """Whether something must be mended, or left out, before the file may be sent."""
        return bool(self.rejected)


class BadPattern(ValueError):  # noqa: N818 - a slip of the user's, told in one sentence
    """A pattern of which no file name can be made. Its text is one sentence for the user."""


# ---- the calls -------------------------------------------------------------------------------------


def extract(
    dataset: Dataset,
    rows: Iterable[Record],
    *,
    agency: str,
    today: date,
    leave_out: bool = False,
    style: Style = Style.EIGHT,
) -> Extracted:
    """The canonical form of some rows and what the check says of it, for the agency that would submit it.

    Dates are written in the `style`.

    With `leave_out`, every row of an episode that would be rejected is taken out. It is then absent from the file, and
    a portal that holds it says so.
    """
    plain = _plainly(dataset, rows, style)
    frame = _may_leave(dataset, plain)
    left_out: dict[str, tuple[Rule, ...]] = {}
    while True:
        findings = check(frame, dataset, today=today, submitter=agency)
        rejected = _rejected(findings)
        if not (leave_out and rejected):
            break
        # What is left is checked anew: a rule across rows may say something else of it.
        left_out |= rejected
        episode = pl.col(_ids(dataset)[1]).fill_null("")
        frame = frame.filter(_WITHDRAWN | ~episode.is_in(list(rejected)))
    return Extracted(
        frame=frame,
        findings=findings,
        rejected=rejected,
        left_out=left_out,
        withdrawn=frame.filter(_WITHDRAWN).height,
        without_consent=plain.height - plain.filter(_CONSENTS | _WITHDRAWN).height,
    )


def canonical(
    dataset: Dataset, rows: Iterable[Record], *, keep_odd: bool = False, style: Style = Style.EIGHT
) -> pl.DataFrame:
    """The rows as they are sent: a column of text for each header in the document's order, blank as null.

    Dates are written in the `style`.

    With `keep_odd`, for records that stay here, what is no value of its field (but PC) is as it was typed.

    A blank upper tier local authority is filled in where the sector leaves no doubt. Equal rows are there once. Rows
    are in the order of their ids, by code point, blank first. Characters that no file can hold (NUL, half a surrogate
    pair) are left out. The canonical form of the canonical form is the same.
    """
    return _may_leave(dataset, _plainly(dataset, rows, style, keep_odd))


def write(dataset: Dataset, frame: pl.DataFrame, out: IO[bytes], *, labels: bool = False) -> None:
    """Write a canonical frame as CSV: a header row, commas, CRLF, UTF-8, quotation marks only where they are needed.

    With `labels` it is a file to look at in a spreadsheet and never to be sent: each code has its label after it
    ("1011 Heroin"), dates are dd/mm/yyyy, cells like formulas are neutralised, and it begins with the byte order
    mark that Excel asks for.
    """
    frame = frame.select(dataset.headers)
    if labels:
        frame = frame.select(_labelled(f, dataset) for f in dataset.fields)
        frame = frame.with_columns(map(neutral_column, dataset.headers))
    # By way of memory: Polars would turn a pipe closed by its reader into an error of its own.
    lines = io.BytesIO()
    frame.write_csv(lines, include_bom=labels, line_terminator="\r\n")
    out.write(lines.getbuffer())


def file_name(pattern: str, *, agency: str, until: date, scope: str) -> str:
    """The name of an extract's file by a pattern such as `{agency}_{until}_{scope}.csv`; `until` is yyyy-mm-dd.

    Raises `BadPattern` for another placeholder, and where what comes out is no name of a file on any usual system.
    """
    values = {"agency": agency, "until": until.isoformat(), "scope": scope}
    try:
        parts = list(Formatter().parse(pattern))
    except ValueError:
        raise BadPattern("Write each placeholder of the file name in curly brackets, such as {agency}") from None
    if any(name is not None and (name not in values or spec or conversion) for _, name, spec, conversion in parts):
        raise BadPattern("Use no placeholders in the file name but {agency}, {until} and {scope}")
    made = "".join(text + (values[name] if name else "") for text, name, _, _ in parts)
    if not made.isprintable() or set(made) & set('\\/:*?"<>|'):
        raise BadPattern('Leave line breaks and the characters \\ / : * ? " < > | out of the file name')
    if not made.strip(" .") or made.startswith(".") or made != made.strip() or made.endswith("."):
        raise BadPattern("Give a file name that does not begin or end with a full stop or a space")
    return made


# ---- the canonical form ----------------------------------------------------------------------------


def _plainly(dataset: Dataset, rows: Iterable[Record], style: Style, keep_odd: bool = False) -> pl.DataFrame:
    """Every row, each value as the dataset plainly writes it."""
    rows = texts_of(rows)
    frame = pl.DataFrame([_column(rows, header) for header in dataset.headers])
    text, read, _ = derive.columns(dataset)
    plain = _tidy if keep_odd else _plain
    typed = frame.with_columns(text).with_columns(read)
    return _filled(dataset, typed.select(plain(f, dataset, style).alias(f.header) for f in dataset.fields))


def _column(rows: Sequence[Record], header: str) -> pl.Series:
    texts = [row.get(header) for row in rows]
    try:
        column = pl.Series(header, texts, pl.String)
    except UnicodeEncodeError:
        texts = [text and text.encode(errors="ignore").decode() for text in texts]
        column = pl.Series(header, texts, pl.String)
    return column.str.replace_all("\0", "", literal=True)


def _plain(field: Field, dataset: Dataset, style: Style) -> pl.Expr:
    """A field as it is sent: plainly written where it is understood, else as it was typed, if it may be a value."""
    sent = _tidy(field, dataset, style)
    if field.kind not in _LIKELY:
        return sent
    codes = dataset.codes_of(field.header)
    likely = sent.str.contains(_LIKELY[field.kind]) & ~sent.str.contains(_WHOLE)
    if codes:
        likely &= sent.str.len_chars() <= _LONGEST_CODE
        # Of a list that is complete there are no other codes.
        likely = sent.is_in(codes.codes) | (likely & pl.lit(not codes.complete))
    told = pl.lit(None if codes and not codes.complete else NOT_SENT, pl.String)
    return pl.when(likely | sent.is_null()).then(sent).otherwise(told)


def is_blank(dataset: Dataset, header: str, text: str) -> bool:
    """Whether a field is sent blank: without a text, or with one that is no code of a list that is not complete."""
    codes = dataset.codes_of(header)
    plain = text.strip().upper()
    if not plain or codes is None or codes.complete:
        return not plain
    if any(code in codes.labels or code in codes.also for code in (plain, plain.lstrip("0"))):
        return False
    # The length first: a long text would be looked at again and again.
    likely = len(plain) <= _LONGEST_CODE and re.match(_LIKELY[Kind.CODE], plain)
    return not likely or re.match(_WHOLE, plain) is not None


def _tidy(field: Field, dataset: Dataset, style: Style) -> pl.Expr:
    """A field plainly written where it is understood, else as it was typed."""
    raw, plain = derive.sent(field.header), derive.plainly(field, style)
    match field.kind:
        case Kind.DATE:
            # One that lies ahead is plainly written all the same: this form does not know the day.
            tidy = raw.str.strip_chars()
            short = pl.when(tidy.str.contains(_SHORT_DATE)).then(tidy).str.to_date("%d/%m/%Y", strict=False)
            return pl.coalesce(plain, dates.written(short, style), raw)
        case Kind.NUMBER:
            return pl.coalesce(plain, raw)
        case Kind.POSTCODE:
            sector = pl.when(~derive.doubtful(field, dataset)).then(plain)
            return pl.coalesce(sector, pl.when(raw.is_not_null()).then(pl.lit(NOT_SENT)))
        case Kind.CODE | Kind.INITIAL:
            return pl.when(derive.doubtful(field, dataset)).then(raw).otherwise(plain)
        case Kind.ID:
            return plain


def _filled(dataset: Dataset, frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with UTLA filled in where it is blank, the sector lies in one authority, and the list has that."""
    codes = dataset.codes_of("UTLA")
    sectors = frame.filter(pl.col("UTLA").is_null())["PC"].drop_nulls().unique()
    certain = {s: code for s in sectors if (code := upper_tier_for_sector(s)) and codes and code in codes.codes}
    if not certain:
        return frame
    sector = pl.col("PC").replace_strict(certain, default=None, return_dtype=pl.String)
    return frame.with_columns(pl.coalesce("UTLA", sector))


def _may_leave(dataset: Dataset, frame: pl.DataFrame) -> pl.DataFrame:
    """What may leave of rows that are plainly written: once, and in order."""
    gone = frame.filter(_WITHDRAWN)["CLIENTID"].drop_nulls()
    theirs = pl.col("CLIENTID").is_in(gone.implode()).fill_null(False)
    ids = _ids(dataset)
    return (
        frame.filter(_WITHDRAWN | (_CONSENTS & ~theirs))
        .with_columns(pl.when(_CONSENTS).then(pl.exclude(_OF_WITHDRAWN)).name.keep())
        .unique()
        .sort(*ids, *(h for h in dataset.headers if h not in ids))
    )


def _ids(dataset: Dataset) -> list[str]:
    """The headers of the ids: of the client, the episode, and what belongs to it."""
    return [fields[0].header for fields in map(dataset.entity, Entity) if fields]


def holds_back(rule: Rule) -> bool:
    """Whether an episode that breaks a rule is not to be sent: it would be rejected, or says who the client is."""
    return rule.severity is Severity.REJECT or rule.id in _HELD_BACK


# ---- what would be rejected ------------------------------------------------------------------------


def _rejected(findings: Findings) -> dict[str, tuple[Rule, ...]]:
    """The rules by which an episode is rejected or held back, by EPISODID; a withdrawn line only fails the gate."""
    rules = [run.rule for run in findings.ledger]
    grave = {rule.id: rule for rule in rules if holds_back(rule) and not rule.gate}
    found = findings.frame.filter(pl.col("rule").is_in(list(grave)))
    told = found.group_by(pl.col("episode").fill_null(""), maintain_order=True).agg(pl.col("rule").unique().sort())
    return {episode: tuple(grave[name] for name in names) for episode, names in told.iter_rows()}


# ---- labels ----------------------------------------------------------------------------------------


def _labelled(field: Field, dataset: Dataset) -> pl.Expr:
    """A field for people: each code with its label, and an answer to a number that is none with what it says."""
    value, codes = pl.col(field.header), dataset.codes_of(field.header)
    if field.kind is Kind.DATE:
        return dates.rewritten(value, Style.SLASHED)
    if codes is None:
        said = {code: f"{code} {label}" for code, label in field.apart.items()}
        return value.replace(said) if said else value
    if field.header != "CJDISRSN":
        return value.replace(_labels(codes))
    # Some reasons are printed twice, and which is meant is told by CPLANDT.
    prior, later = (value.replace(_labels(codes, group)) for group in ("prior to caseload", "from caseload"))
    return pl.when(pl.col("CPLANDT").is_null()).then(prior).otherwise(later)


def _labels(codes: CodeList, group: str = "") -> dict[str, str]:
    """Each code with its label; with the group, and the label it has there, where it stands in several."""
    several = {code for code, count in Counter(row.code for row in codes.rows).items() if count > 1}
    there = {r.code: f"{r.code} {r.label} ({group})" for r in codes.rows if r.group == group and r.code in several}
    return {code: f"{code} {label}" for code, label in codes.labels.items()} | there
