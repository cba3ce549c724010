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

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from string import Formatter
from typing import IO, TYPE_CHECKING, TypeAlias

from cjit.conditions import in_python
from cjit.dataset import CodeList, Dataset, Entity, Field, Kind, Record, Rule, Severity
from cjit.dates import Style, day_of, rewritten, written
from cjit.engine.checking import check, texts_of
from cjit.engine.findings import Findings, lines_of, polars
from cjit.engine.records import ParsedText, Records, prepared
from cjit.geography import OUTWARD, upper_tier_for_sector
from cjit.kinds import FieldKind, kinds_of
from cjit.report.spreadsheet import neutral

if TYPE_CHECKING:
    import polars as pl

#: A record as it is sent: its texts by place as the headers are, None for blank.
Row: TypeAlias = tuple[str | None, ...]

#: Stands for a text of which nothing is sent: one that is no value of its field, nor looks like one.
NOT_SENT = "**"
#: The rules that hold an episode back beside those that reject it: what the document says must not be.
_HELD_BACK = frozenset({"CLIENT.identifies_nobody"})

#: What the line of a client who withdrew consent has; every other column of it is blank.
_OF_WITHDRAWN = ("CLIENTID", "AGNCY", "CONSENT")
_CONSENTS, _WITHDRAWN = "Y", "N"

#: What a text looks like that may be a value of its field though it is none, or none that we know. A code has up to
#: nine letters and figures, with a figure among them or at most three letters: a telephone or NHS number is longer.
_LIKELY = {
    kind: re.compile(in_python(form))
    for kind, form in (
        (Kind.DATE, "^([0-9]{1,4}[/.-][0-9]{1,2}[/.-][0-9]{1,4}|[0-9]{1,8})$"),
        (Kind.NUMBER, "^[+-]?[0-9][0-9.,]{0,6}$"),
        (Kind.CODE, "^([A-Za-z]{1,3}|[0-9A-Za-z]*[0-9][0-9A-Za-z]*)$"),
        (Kind.INITIAL, "^[A-Za-z]{1,2}$"),
    )
}
_LONGEST_CODE = 9
#: A whole postcode without its space.
_WHOLE = re.compile(rf"{OUTWARD}[0-9][A-Z]{{2}}", re.IGNORECASE)
#: A date less its leading noughts, which leaves no doubt, though a file that is checked must have them.
_SHORT_DATE = re.compile("[0-9]{1,2}/[0-9]{1,2}/[0-9]{4}")
#: A day that every date of a record may be later than: this form does not know the day on which it is checked.
_NO_DAY = date.max


@dataclass(frozen=True, eq=False)
class Extracted:
    """An extract, ready to be written, and what the check says of it.

    `rows` are what would be sent, and row n of `findings` (the header is row 1) its row n - 2. `findings` have a
    rejected row for each withdrawn line, which is as it should be. `rejected` are the EPISODIDs in `rows` whose rows
    would be rejected otherwise, in the order of the rows, each with the rules it breaks in the book's order; `left_out`
    the same of those that were taken out. "" stands for all rows without an EPISODID. `withdrawn` counts the lines
    in `rows` of clients who withdrew consent, `without_consent` the rows handed in that had no answer to CONSENT and
    are in no extract.
    """

    rows: Sequence[Row]
    findings: Findings
    rejected: Mapping[str, tuple[Rule, ...]]
    left_out: Mapping[str, tuple[Rule, ...]]
    withdrawn: int
    without_consent: int

    @property
    def blocked(self) -> bool:
        """Whether something must be mended, or left out, before the file may be sent."""
        return bool(self.rejected)

    @cached_property
    def frame(self) -> pl.DataFrame:
        """The rows as a frame: a column of text (String) a header of the dataset, blank as null. Needs Polars."""
        schema = dict.fromkeys(self.findings.dataset.headers, polars().String)
        frame: pl.DataFrame = polars().DataFrame(self.rows, schema=schema, orient="row")
        return frame


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

    Args:
        dataset: the dataset.
        rows: records as text by header; a header left out is blank.
        agency: the code of the agency that submits.
        today: the day nothing may be later than.
        leave_out: whether every row of an episode that would be rejected is taken out. It is then absent from the file,
            and a portal that holds it says so.
        style: how dates are written.

    Returns:
        The extract.

    Raises:
        TypeError: where a record is none, or has what is no text.
    """
    plain = _plainly(dataset, rows, style)
    consent, episode = (dataset.headers.index(header) for header in ("CONSENT", _ids(dataset)[1]))
    sent = _may_leave(dataset, plain)
    left_out: dict[str, tuple[Rule, ...]] = {}
    while True:
        columns = zip(*sent, strict=True) if sent else ((),) * len(dataset.headers)
        findings = check(dict(zip(dataset.headers, columns, strict=True)), dataset, today=today, submitter=agency)
        rejected = _rejected(findings)
        if not (leave_out and rejected):
            break
        # What is left is checked anew: a rule across rows may say something else of it.
        left_out |= rejected
        sent = [row for row in sent if row[consent] == _WITHDRAWN or (row[episode] or "") not in rejected]
    return Extracted(
        rows=sent,
        findings=findings,
        rejected=rejected,
        left_out=left_out,
        withdrawn=sum(row[consent] == _WITHDRAWN for row in sent),
        without_consent=sum(row[consent] not in (_CONSENTS, _WITHDRAWN) for row in plain),
    )


def canonical(
    dataset: Dataset, rows: Iterable[Record], *, keep_odd: bool = False, style: Style = Style.EIGHT
) -> list[Row]:
    """The rows as they are sent.

    A blank upper tier local authority is filled in where the sector leaves no doubt. Equal rows are there once. Rows
    are in the order of their ids, by code point, blank first. Characters that no file can hold (NUL, half a surrogate
    pair) are left out. The canonical form of the canonical form is the same.

    Args:
        dataset: the dataset.
        rows: records as text by header; a header left out is blank.
        keep_odd: whether what is no value of its field (but PC) is as it was typed, for records that stay here.
        style: how dates are written.

    Returns:
        The rows, each with its texts by place as the headers are.

    Raises:
        TypeError: where a record is none, or has what is no text.
    """
    return _may_leave(dataset, _plainly(dataset, rows, style, keep_odd))


def write(dataset: Dataset, rows: Iterable[Row], out: IO[bytes], *, labels: bool = False) -> None:
    """Write canonical rows as CSV: a header row, commas, CRLF, UTF-8, quotation marks only where they are needed.

    Args:
        dataset: the dataset.
        rows: the rows, as `canonical` gives them.
        out: the file, opened.
        labels: whether it is a file to look at in a spreadsheet and never to be sent: each code has its label after it
            ("1011 Heroin"), dates are dd/mm/yyyy, cells like formulas are neutralised, and it begins with the byte
            order mark that Excel asks for.
    """
    if labels:
        out.write(codecs.BOM_UTF8)
    text = io.TextIOWrapper(out, "utf-8", newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(dataset.headers)
    writer.writerows(_labelled(dataset, rows) if labels else rows)
    # Flushes, and leaves closing to who opened.
    text.detach()


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


def _plainly(dataset: Dataset, rows: Iterable[Record], style: Style, keep_odd: bool = False) -> list[Row]:
    """Every row, each value as the dataset plainly writes it."""
    rows = texts_of(rows)
    records = prepared(dataset, _NO_DAY, None)
    plain = _tidy if keep_odd else _plain
    columns = []
    for header, kind in kinds_of(dataset).items():
        texts = [row.get(header) for row in rows]
        # Each distinct text is looked at once.
        known = {text: plain(kind, _parsed(records, header, text), style) for text in set(texts)}
        columns.append(list(map(known.__getitem__, texts)))
    return _filled(dataset, list(zip(*columns, strict=True)))


def _parsed(records: Records, header: str, text: str | None) -> ParsedText:
    """A text looked at, less the characters that no file can hold."""
    return records.parse(header, text and text.encode(errors="ignore").decode().replace("\0", ""))


def _plain(kind: FieldKind, parsed: ParsedText, style: Style) -> str | None:
    """A text as it is sent: plainly written where it is understood, else as it was typed, if it may be a value."""
    sent = _tidy(kind, parsed, style)
    if sent is None or kind.field.kind not in _LIKELY:
        return sent
    codes = kind.codes
    likely = bool(_LIKELY[kind.field.kind].search(sent)) and not _WHOLE.fullmatch(sent)
    if codes:
        # Of a list that is complete there are no other codes.
        likely = sent in codes.codes or (likely and len(sent) <= _LONGEST_CODE and not codes.complete)
    return sent if likely else None if codes and not codes.complete else NOT_SENT


def _tidy(kind: FieldKind, parsed: ParsedText, style: Style) -> str | None:
    """A text plainly written where it is understood, else as it was typed."""
    if parsed.sent is None:
        return None
    plain = kind.plainly(parsed.read, style) or None
    match kind.field.kind:
        case Kind.DATE:
            # One that lies ahead is plainly written all the same: this form does not know the day.
            short = _SHORT_DATE.fullmatch(parsed.sent.strip())
            day = day_of(short[0]) if short else None
            return plain or (written(day, style) if day else parsed.sent)
        case Kind.NUMBER:
            return plain or parsed.sent
        case Kind.POSTCODE:
            return plain if kind.is_certain(parsed) else NOT_SENT
        case _:
            return kind.mended(parsed, style) or None


def _filled(dataset: Dataset, rows: list[Row]) -> list[Row]:
    """The rows with UTLA filled in where it is blank, the sector lies in one authority, and the list has that."""
    codes = dataset.codes_of("UTLA")
    place, postcode = dataset.headers.index("UTLA"), dataset.headers.index("PC")
    known: dict[str | None, str | None] = {None: None}
    for at, row in enumerate(rows):
        if row[place] is None and (sector := row[postcode]) is not None:
            if sector not in known:
                code = upper_tier_for_sector(sector)
                known[sector] = code if codes and code in codes.codes else None
            rows[at] = (*row[:place], known[sector], *row[place + 1 :])
    return rows


def _may_leave(dataset: Dataset, rows: Sequence[Row]) -> list[Row]:
    """What may leave of rows that are plainly written: once, and in order."""
    headers = dataset.headers
    client, consent = headers.index("CLIENTID"), headers.index("CONSENT")
    withdrawn = {row[client] for row in rows if row[consent] == _WITHDRAWN} - {None}
    sendable = {row for row in rows if row[consent] == _CONSENTS and row[client] not in withdrawn}
    sendable.update(
        tuple(text if header in _OF_WITHDRAWN else None for header, text in zip(headers, row, strict=True))
        for row in rows
        if row[consent] == _WITHDRAWN
    )
    ids = _ids(dataset)
    order = [headers.index(h) for h in (*ids, *(h for h in headers if h not in ids))]
    return sorted(sendable, key=lambda row: [row[at] or "" for at in order])


def is_blank(dataset: Dataset, header: str, text: str) -> bool:
    """Whether a field is sent blank: without a text, or with one that is no code of a list that is not complete."""
    codes = dataset.codes_of(header)
    plain = text.strip().upper()
    if not plain or codes is None or codes.complete:
        return not plain
    if any(code in codes.labels or code in codes.also for code in (plain, plain.lstrip("0"))):
        return False
    # The length first: a long text would be looked at again and again.
    likely = len(plain) <= _LONGEST_CODE and _LIKELY[Kind.CODE].search(plain)
    return not likely or _WHOLE.fullmatch(plain) is not None


def _ids(dataset: Dataset) -> list[str]:
    """The headers of the ids: of the client, the episode, and what belongs to it."""
    return [fields[0].header for fields in map(dataset.entity, Entity) if fields]


def holds_back(rule: Rule) -> bool:
    """Whether an episode that breaks a rule is not to be sent: it would be rejected, or says who the client is."""
    return rule.severity is Severity.REJECT or rule.id in _HELD_BACK


# ---- what would be rejected ------------------------------------------------------------------------


def _rejected(findings: Findings) -> dict[str, tuple[Rule, ...]]:
    """The rules by which an episode is rejected or held back, by EPISODID; a withdrawn line only fails the gate."""
    grave = {run.rule.id: run.rule for run in findings.ledger if holds_back(run.rule) and not run.rule.gate}
    found: dict[str, set[str]] = {}
    for batch in findings.batches:
        for line in lines_of(batch):
            if line.rule in grave:
                found.setdefault(line.episode or "", set()).add(line.rule)
    return {episode: tuple(rule for name, rule in grave.items() if name in names) for episode, names in found.items()}


# ---- labels ----------------------------------------------------------------------------------------


def _labelled(dataset: Dataset, rows: Iterable[Row]) -> Iterator[list[str]]:
    """The rows for people: each code with its label, and an answer to a number that is none with what it says."""
    labellers = [_labeller(field, dataset) for field in dataset.fields]
    started = dataset.headers.index("CPLANDT")
    for row in rows:
        later = row[started] is not None
        yield [neutral(label(text, later)) if text else "" for label, text in zip(labellers, row, strict=True)]


def _labeller(field: Field, dataset: Dataset) -> Callable[[str, bool], str]:
    """How a field is told, from its text and whether the client was taken onto the caseload."""
    codes = dataset.codes_of(field.header)
    if field.kind is Kind.DATE:
        return lambda text, later: rewritten(text, Style.SLASHED)
    if codes is None:
        apart = {code: f"{code} {label}" for code, label in field.apart.items()}
        return lambda text, later: apart.get(text, text)
    if field.header != "CJDISRSN":
        labels = _labels(codes)
        return lambda text, later: labels.get(text, text)
    # Some reasons are printed twice, and which is meant is told by CPLANDT.
    of = (_labels(codes, "prior to caseload"), _labels(codes, "from caseload"))
    return lambda text, later: of[later].get(text, text)


def _labels(codes: CodeList, group: str = "") -> dict[str, str]:
    """Each code with its label; with the group, and the label it has there, where it stands in several."""
    several = {code for code, count in Counter(row.code for row in codes.rows).items() if count > 1}
    there = {r.code: f"{r.code} {r.label} ({group})" for r in codes.rows if r.group == group and r.code in several}
    return {code: f"{code} {label}" for code, label in codes.labels.items()} | there
