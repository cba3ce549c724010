"""Records as a dataset Q file: the only thing that leaves a provider.

The file has one form: each value as the dataset plainly writes it, the headers in the document's order, the rows in
the order of their ids, every date in one style. So the same data give the same bytes, in whatever order they come.

Limits on what leaves:

- A postcode leaves as its sector. A whole one, however it is spaced or cased, is truncated. Any other text that is not
  plainly a sector ("NR14 7U", "flat 2, NR14 7UJ", "NR147", "Norwich") is replaced by `NOT_SENT`, since a guess could
  truncate too little. The check then says that it is no postcode.
- No free text leaves. A text that neither is a value of its field nor has the form of one (a sentence where a code
  belongs, "ten or so" for a number) could be anything, somebody's name too. It is replaced by `NOT_SENT`, and the check
  says what is wrong. For a list that is not complete the check would take `NOT_SENT` for a code, so the cell is blank.
  A text with the form of a value (31/02/2026, a code that such a list may have) stays as it was typed.
- A client who withdrew consent (CONSENT is N on any of their rows) leaves as one line with CLIENTID, AGNCY and
  CONSENT, and no other row. The check rejects the line, and its receiver forgets the client.
- A row on which CONSENT is neither Y nor N does not leave.

An id is text, and is written as it is. Where a client reference says who the client is (`CLIENT.identifies_nobody`),
the episodes are held back like those that would be rejected, as the document says that it must not.
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

#: A record as it is sent: its texts in the order of the headers, None where blank.
Row: TypeAlias = tuple[str | None, ...]

#: Replaces a text that is not sent, because it neither is a value of its field nor has the form of one.
NOT_SENT = "**"
#: Rules that hold an episode back although they do not reject it.
_HELD_BACK = frozenset({"CLIENT.identifies_nobody"})

#: The columns of the line of a client who withdrew consent; the others are blank.
_OF_WITHDRAWN = ("CLIENTID", "AGNCY", "CONSENT")
_CONSENTS, _WITHDRAWN = "Y", "N"

#: The form of a value of each kind, for a text that is no value, or none that we know. A code has up to nine letters
#: and digits, with a digit among them or at most three letters: a telephone or NHS number is longer.
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
#: A date without leading zeros, which is certain, though a file that is checked must have them.
_SHORT_DATE = re.compile("[0-9]{1,2}/[0-9]{1,2}/[0-9]{4}")
#: A day that no date is later than: the canonical form does not depend on the day of the check.
_NO_DAY = date.max


@dataclass(frozen=True, eq=False)
class Extracted:
    """An extract, ready to be written, and what the check says of it.

    In `rejected` and `left_out` "" stands for all rows without an EPISODID, and rules are in the book's order.

    rows: the rows to be sent.
    findings: what the check found; its row n is rows[n - 2]. Each withdrawn line is a rejected row, as it should be.
    rejected: the rules that hold an episode of `rows` back, by EPISODID in the order of the rows.
    left_out: the same of the episodes that were left out.
    withdrawn: how many of `rows` are lines of clients who withdrew consent.
    without_consent: how many records had neither Y nor N in CONSENT, and are in no extract.
    """

    rows: Sequence[Row]
    findings: Findings
    rejected: Mapping[str, tuple[Rule, ...]]
    left_out: Mapping[str, tuple[Rule, ...]]
    withdrawn: int
    without_consent: int

    @property
    def blocked(self) -> bool:
        """Whether an episode must be mended, or left out, before the file may be sent."""
        return bool(self.rejected)

    @cached_property
    def frame(self) -> pl.DataFrame:
        """The rows as a frame: a column of text (String) for each header, null where blank. Needs Polars."""
        schema = dict.fromkeys(self.findings.dataset.headers, polars().String)
        frame: pl.DataFrame = polars().DataFrame(self.rows, schema=schema, orient="row")
        return frame


class BadPattern(ValueError):  # noqa: N818 - a slip of the user's, told in one sentence
    """A pattern that gives no name of a file. Its text is one sentence for the user."""


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
        leave_out: whether the episodes that would be rejected are left out. They are then absent from the file, and a
            portal that holds them says so.
        style: how dates are written.

    Returns:
        The extract.

    Raises:
        TypeError: where a record is no mapping, or a value is no text.
    """
    plain = _plain_rows(dataset, rows, style)
    consent, episode = (dataset.headers.index(header) for header in ("CONSENT", _ids(dataset)[1]))
    sent = _sendable(dataset, plain)
    left_out: dict[str, tuple[Rule, ...]] = {}
    while True:
        columns = zip(*sent, strict=True) if sent else ((),) * len(dataset.headers)
        findings = check(dict(zip(dataset.headers, columns, strict=True)), dataset, today=today, submitter=agency)
        rejected = _rejected(findings)
        if not (leave_out and rejected):
            break
        # The remaining rows are checked again, because rules across rows may now fire elsewhere.
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

    A blank upper tier local authority is filled in where the sector determines it. Duplicates are removed. Rows are in
    the order of their ids, by code point, blank first. Characters that no file can have (NUL, half a surrogate pair)
    are removed. The canonical form of canonical rows is the same.

    Args:
        dataset: the dataset.
        rows: records as text by header; a header left out is blank.
        keep_odd: whether a text that is no value of its field (but PC) stays as it was typed, for records that do not
            leave.
        style: how dates are written.

    Returns:
        The rows, each with its texts in the order of the headers, None where blank.

    Raises:
        TypeError: where a record is no mapping, or a value is no text.
    """
    return _sendable(dataset, _plain_rows(dataset, rows, style, keep_odd))


def write(dataset: Dataset, rows: Iterable[Row], out: IO[bytes], *, labels: bool = False) -> None:
    """Write canonical rows as CSV: a header row, commas, CRLF, UTF-8, quotation marks only where they are needed.

    Args:
        dataset: the dataset.
        rows: the rows, as `canonical` gives them.
        out: the file, opened.
        labels: whether it is a file for people with a spreadsheet, never to be sent. Each code then has its label after
            it ("1011 Heroin"), dates are dd/mm/yyyy, cells like formulas are neutralised, and a byte order mark, which
            Excel needs, stands before the text.
    """
    if labels:
        out.write(codecs.BOM_UTF8)
    text = io.TextIOWrapper(out, "utf-8", newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(dataset.headers)
    writer.writerows(_labelled(dataset, rows) if labels else rows)
    # Flushes, and leaves `out` open.
    text.detach()


def file_name(pattern: str, *, agency: str, until: date, scope: str) -> str:
    """The name of an extract's file by a pattern.

    Args:
        pattern: the name with placeholders, such as `{agency}_{until}_{scope}.csv`.
        agency: the agency code.
        until: the last day of the period, written yyyy-mm-dd.
        scope: full, new or the like.

    Returns:
        The name.

    Raises:
        BadPattern: where there is another placeholder, or a usual system has no files of that name.
    """
    values = {"agency": agency, "until": until.isoformat(), "scope": scope}
    try:
        parts = list(Formatter().parse(pattern))
    except ValueError:
        raise BadPattern("Write each placeholder of the file name in curly brackets, such as {agency}") from None
    if any(name is not None and (name not in values or spec or conversion) for _, name, spec, conversion in parts):
        raise BadPattern("Use no placeholders in the file name but {agency}, {until} and {scope}")
    result = "".join(text + (values[name] if name else "") for text, name, _, _ in parts)
    if not result.isprintable() or set(result) & set('\\/:*?"<>|'):
        raise BadPattern('Leave line breaks and the characters \\ / : * ? " < > | out of the file name')
    if not result.strip(" .") or result.startswith(".") or result != result.strip() or result.endswith("."):
        raise BadPattern("Give a file name that does not begin or end with a full stop or a space")
    return result


# ---- the canonical form ----------------------------------------------------------------------------


def _plain_rows(dataset: Dataset, rows: Iterable[Record], style: Style, keep_odd: bool = False) -> list[Row]:
    """All records as rows, each value as the dataset plainly writes it; arguments as those of `canonical`."""
    rows = texts_of(rows)
    records = prepared(dataset, _NO_DAY, None)
    plain = _plain_text if keep_odd else _sendable_text
    columns = []
    for header, kind in kinds_of(dataset).items():
        texts = [row.get(header) for row in rows]
        # Each distinct text is parsed once.
        known = {text: plain(kind, _parsed(records, header, text), style) for text in set(texts)}
        columns.append(list(map(known.__getitem__, texts)))
    return _filled(dataset, list(zip(*columns, strict=True)))


def _parsed(records: Records, header: str, text: str | None) -> ParsedText:
    """A text parsed, less the characters that no file can have."""
    return records.parse(header, text and text.encode(errors="ignore").decode().replace("\0", ""))


def _sendable_text(kind: FieldKind, parsed: ParsedText, style: Style) -> str | None:
    """A text as it is sent: plainly written, or as it was typed if it has the form of a value; None for blank.

    Args:
        kind: the field, by its kind.
        parsed: the text.
        style: how dates are written.
    """
    sent = _plain_text(kind, parsed, style)
    if sent is None or kind.field.kind not in _LIKELY:
        return sent
    codes = kind.codes
    likely = bool(_LIKELY[kind.field.kind].search(sent)) and not _WHOLE.fullmatch(sent)
    if codes:
        # A list that is complete has no other codes.
        likely = sent in codes.codes or (likely and len(sent) <= _LONGEST_CODE and not codes.complete)
    return sent if likely else None if codes and not codes.complete else NOT_SENT


def _plain_text(kind: FieldKind, parsed: ParsedText, style: Style) -> str | None:
    """A text plainly written where it is certain what it means, else as it was typed; None for blank.

    Args:
        kind: the field, by its kind.
        parsed: the text.
        style: how dates are written.
    """
    if parsed.sent is None:
        return None
    plain = kind.plainly(parsed.read, style) or None
    match kind.field.kind:
        case Kind.DATE:
            # A date in the future is plainly written too: the form does not depend on the day of the check.
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
    """The rows with UTLA filled in where it is blank, the sector lies in one authority, and the list has its code."""
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


def _sendable(dataset: Dataset, rows: Sequence[Row]) -> list[Row]:
    """The rows that leave, without duplicates and in order: those with consent, and the lines of who withdrew it."""
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
    """Whether a text is sent as a blank: it is one, or it cannot be a code of the field's incomplete list.

    Args:
        dataset: the dataset.
        header: the header of the field.
        text: the text.
    """
    codes = dataset.codes_of(header)
    plain = text.strip().upper()
    if not plain or codes is None or codes.complete:
        return not plain
    if any(code in codes.labels or code in codes.also for code in (plain, plain.lstrip("0"))):
        return False
    # The length first: the pattern takes long on a long text.
    likely = len(plain) <= _LONGEST_CODE and _LIKELY[Kind.CODE].search(plain)
    return not likely or _WHOLE.fullmatch(plain) is not None


def _ids(dataset: Dataset) -> list[str]:
    """The headers of the ids: of the client, the episode, and the entities below it."""
    return [fields[0].header for fields in map(dataset.entity, Entity) if fields]


def holds_back(rule: Rule) -> bool:
    """Whether an episode that breaks a rule must not be sent: it would be rejected, or says who the client is."""
    return rule.severity is Severity.REJECT or rule.id in _HELD_BACK


# ---- what would be rejected ------------------------------------------------------------------------


def _rejected(findings: Findings) -> dict[str, tuple[Rule, ...]]:
    """The rules that hold each episode back, by EPISODID ("" for none); the gate apart, which withdrawn lines fail."""
    grave = {run.rule.id: run.rule for run in findings.ledger if holds_back(run.rule) and not run.rule.gate}
    broken: dict[str, set[str]] = {}
    for batch in findings.batches:
        for line in lines_of(batch):
            if line.rule in grave:
                broken.setdefault(line.episode or "", set()).add(line.rule)
    return {episode: tuple(rule for name, rule in grave.items() if name in names) for episode, names in broken.items()}


# ---- labels ----------------------------------------------------------------------------------------


def _labelled(dataset: Dataset, rows: Iterable[Row]) -> Iterator[list[str]]:
    """The rows for people, as lists of text: each code with its label, also one that stands for no number."""
    labellers = [_labeller(field, dataset) for field in dataset.fields]
    started = dataset.headers.index("CPLANDT")
    for row in rows:
        later = row[started] is not None
        yield [neutral(label(text, later)) if text else "" for label, text in zip(labellers, row, strict=True)]


def _labeller(field: Field, dataset: Dataset) -> Callable[[str, bool], str]:
    """A function that labels a text; its second argument is whether the client was taken onto the caseload."""
    codes = dataset.codes_of(field.header)
    if field.kind is Kind.DATE:
        return lambda text, later: rewritten(text, Style.SLASHED)
    if codes is None:
        apart = {code: f"{code} {label}" for code, label in field.apart.items()}
        return lambda text, later: apart.get(text, text)
    if field.header != "CJDISRSN":
        labels = _labels(codes)
        return lambda text, later: labels.get(text, text)
    # Some reasons are printed under two heads; whether CPLANDT is filled decides which is meant.
    by_caseload = (_labels(codes, "prior to caseload"), _labels(codes, "from caseload"))
    return lambda text, later: by_caseload[later].get(text, text)


def _labels(codes: CodeList, group: str = "") -> dict[str, str]:
    """Each code with its label, by code; a code of several groups has the label of `group`, and the group's name."""
    several = {code for code, count in Counter(row.code for row in codes.rows).items() if count > 1}
    in_group = {r.code: f"{r.code} {r.label} ({group})" for r in codes.rows if r.group == group and r.code in several}
    return {code: f"{code} {label}" for code, label in codes.labels.items()} | in_group
