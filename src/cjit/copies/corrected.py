"""A copy of a file with mechanical faults mended, and a list of every change.

The copy is a file to submit, in the one form that the dataset has. A text is mended only where it is certain what it
means. Neither the copy nor the list has anything of a record without consent but its row number.
"""

from __future__ import annotations

import codecs
import csv
import io
import os
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import compress
from operator import attrgetter
from pathlib import Path
from typing import IO, NamedTuple, cast

from cjit.conditions import WHITE, headers_of
from cjit.copies.consent import Reason, withheld
from cjit.copies.sent import CRLF, head_rows
from cjit.dataset import Field, Kind
from cjit.dates import Style, style_in
from cjit.engine.checking import Checked, check
from cjit.engine.outcome import CellText, Judged, Key
from cjit.engine.outcome import ragged as ragged_lines
from cjit.engine.plain import Typed
from cjit.engine.records import ParsedText, Records
from cjit.engine.shown import is_whole, may_be_shown, spells_yes, without_whole_postcodes
from cjit.files.place import WouldOverwrite, placed
from cjit.files.source import Source
from cjit.geography import upper_tier_for_sector
from cjit.kinds import FieldKind, kinds_of
from cjit.report.spreadsheet import neutral
from cjit.report.words import shown

#: Rows in a batch, which is written at once.
_BATCH = 20_000
_UNCLEAR = "whose consent is none of its codes"

# ---- the corrected copy ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Corrected:
    """The numbers of changes that were made for a corrected copy.

    cells: cells that were mended or filled in.
    ragged: rows left out because their cells cannot be told apart.
    blank: rows left out because nothing is in them.
    closed: rows left out because consent is withdrawn or blank.
    unclear: rows left out because consent is no code.
    headings: rows left out because they repeat the headers.
    form: changes to the file as a whole.
    rows: rows in the copy.
    rejected: rows of the copy that would still be rejected; None where the copy was not checked.
    """

    cells: int
    ragged: int
    blank: int
    closed: int
    unclear: int
    headings: int
    form: int
    rows: int
    rejected: int | None = None

    @property
    def left_out(self) -> int:
        """The rows that are not in the copy."""
        return self.ragged + self.blank + self.closed + self.unclear + self.headings

    @property
    def total(self) -> int:
        """The rows left out, the cells changed and the changes to the form."""
        return self.cells + self.left_out + self.form

    def __str__(self) -> str:
        """One sentence without its full stop."""
        parts = [
            _counted(self.cells, "cell was mended", "cells were mended"),
            _counted(
                self.ragged,
                "row whose cells cannot be told apart was left out",
                "rows whose cells cannot be told apart were left out",
            ),
            _counted(self.blank, "blank row was left out", "blank rows were left out"),
            _counted(self.closed, "row without consent was left out", "rows without consent were left out"),
            _counted(self.unclear, f"row {_UNCLEAR} was left out", f"rows {_UNCLEAR} were left out"),
            _counted(
                self.headings, "row that repeats the headers was left out", "rows that repeat the headers were left out"
            ),
            _counted(self.form, "change was made to the file itself", "changes were made to the file itself"),
        ]
        changes = "; ".join(filter(None, parts))
        if not self.rows:
            return f"{changes}; no record is left"
        if self.rejected:
            left = _counted(self.rejected, "record would still be rejected", "records would still be rejected")
            return f"{changes or 'Nothing could be mended'}; {left}"
        # A copy that was not checked again may still have faults.
        return changes or ("Nothing could be mended" if self.rejected is None else "Nothing needed mending")


def _counted(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}" if count else ""


def correct(
    checked: Checked,
    path: str | os.PathLike[str] | IO[bytes],
    changes: str | os.PathLike[str] | IO[bytes],
    *,
    again: bool = True,
) -> Corrected:
    """Write a copy in the dataset's one form with mechanical faults mended, and a list of every change.

    Mended are outer spaces, capitals (A to Z only), date style, leading zeros, whole postcodes, and codes that are read
    as others or say "none". A blank upper tier local authority is filled in where the postcode determines it. Consent
    is written as its code where every record spells it in a way that plainly means that code. A text that is no
    value stays as it was sent, since only the sender knows what was meant; so does a code that an incomplete list does
    not have.

    Each column of dates has one style. A column keeps its own; one with both or none gets the style that most plain
    dates of the file have, or yyyymmdd where both are as many. The copy has the dataset's headers in the document's
    order, commas, CRLF and UTF-8. Columns that the dataset does not have are left out, and so are rows without consent
    and ragged rows. Cells like formulas are not neutralised, because the apostrophe would be submitted. Correcting a
    corrected file changes nothing.

    Args:
        checked: the file, checked.
        path: where the copy goes, by name or opened.
        changes: where the list goes, by name or opened. It is a CSV file for a spreadsheet, a line a change, with the
            columns row (of the file that was sent; blank for the whole file), header, was, now and what. No postcode
            is whole in it.
        again: whether the copy is checked, as on the same day and for the same agency, to count the rows that would
            still be rejected.

    Returns:
        The numbers of changes.

    Raises:
        Unusable: where the file changed meanwhile; nothing is written.
        WouldOverwrite: where one of the copies is the file itself.
        OSError: where one cannot be written.
    """
    source, judged = checked.source, checked.judged
    if isinstance(path, str | os.PathLike) and isinstance(changes, str | os.PathLike) and Path(path) == Path(changes):
        raise WouldOverwrite("The copy and the list of its changes must be two files: give them different names")
    with ExitStack() as stack:
        out = stack.enter_context(placed(path, source))
        change_list = stack.enter_context(placed(changes, source))
        counts = _Corrector(source, judged).write(out, change_list)
        name = getattr(out, "name", None)
        if again and counts.rows and isinstance(name, str) and os.path.isfile(name):
            out.flush()
            findings = check(Path(name), source.dataset, today=judged.today, submitter=judged.submitter, limit=0)
            counts = replace(counts, rejected=findings.rejected)
        # Before the copy and the list are renamed to their paths.
        source.assure()
    return counts


class Change(NamedTuple):
    """A line of the list of changes.

    row: the row of the file that was sent; None for the whole file.
    header: the field; "" for the whole row.
    was: the text that was sent.
    now: the text that is written.
    what: what was changed, in words.
    """

    row: int | None
    header: str
    was: str
    now: str
    what: str


def _change(row: int | None, header: str = "", was: str = "", now: str = "", what: str = "") -> Change:
    """A line of the list, with whole postcodes masked and cells like formulas neutralised."""
    return Change(
        row, neutral(header), neutral(without_whole_postcodes(was)), neutral(without_whole_postcodes(now)), what
    )


class _MendedColumn:
    """A column of a corrected copy.

    header: its header.
    texts: the text that is written for each key; an id without an entry is its own text.
    changes: the line of the list, without its row, for each key whose text is changed.
    """

    def __init__(self, field: Field, cells: Mapping[Key, CellText], kind: FieldKind, style: Style) -> None:
        """Mend the texts of a field.

        Args:
            field: the field.
            cells: its texts, by key.
            kind: its kind.
            style: how its dates are written.
        """
        self.header = field.header
        self.texts: dict[Key, str] = {}
        self.changes: dict[Key, Change] = {}
        for key, (text, parsed) in cells.items():
            was, now = text or "", kind.mended(parsed, style)
            self.texts[key] = now
            if now != was:
                what = kind.change(was.strip(WHITE), now, style)
                masked = f"{was.strip(WHITE)[:-2]}**" if field.kind is Kind.POSTCODE and is_whole(was) else was
                self.changes[key] = _change(None, field.header, masked, now, what)


class _Corrector:
    """Writes the copy of a file and the list of changes.

    source: the file.
    judged: its table.
    cells: the texts of the table, by header and key.
    left_out: the reason for each row that is left out, by its place in the table.
    columns: the columns of the copy, in order.
    unclear: the distinct texts of consent on rows that are left out because it is no code.
    filled_in: the header of the field that is filled in; "" where there is none.
    filled: the code for each row in which it is filled in, by the row's place.
    """

    def __init__(self, source: Source, judged: Judged) -> None:
        """Mend the texts of a file, column by column."""
        self.source = source
        self.judged = judged
        dataset = source.dataset
        gate = judged.gate.header
        kinds = kinds_of(dataset)
        self.cells = {header: judged.cells(header) for header in dataset.headers}
        self.left_out = withheld(judged)
        code = self._consent_code()
        if code is not None:
            self.left_out = dict.fromkeys(judged.headers_again, Reason.HEADERS)
        styles = self._styles()
        self.columns = [
            _MendedColumn(f, self.cells[f.header], kinds[f.header], styles.get(f.header, Style.EIGHT))
            for f in dataset.fields
        ]
        if code is not None:
            consent = self.columns[dataset.headers.index(gate)]
            consent.texts = dict.fromkeys(consent.texts, code)
            consent.changes = {
                key: _change(None, gate, text or "", code, "Consent written as its code")
                for key, (text, _) in self.cells[gate].items()
            }
        self.unclear = self._unclear()
        self.filled_in, self.filled = _filled(judged, self.cells, self.left_out)

    def _consent_code(self) -> str | None:
        """The code that gives consent, where every record spells it otherwise in a way that plainly means it."""
        judged = self.judged
        texts = judged.gate_texts()
        # Rows that repeat the headers are no records.
        if texts.total() + len(judged.headers_again) < judged.height or not all(spells_yes(t or "") for t in texts):
            return None
        return judged.gate.passing_code

    def _styles(self) -> dict[str, Style]:
        """The style in which each column of dates is written, by header: such that correcting again changes nothing.

        A column with dates in one style keeps it. One with both or none gets that of most dates of the file.
        """
        judged, left_out = self.judged, list(self.left_out)
        counts: dict[str, Counter[Style]] = {}
        for field in self.source.dataset.fields:
            if field.kind is not Kind.DATE:
                continue
            header = field.header
            keys = Counter(judged.keys(header, range(judged.height)))
            keys.subtract(judged.keys(header, left_out))
            counts[header] = Counter()
            for key, (_, parsed) in self.cells[header].items():
                style = None if parsed.value is None else style_in((parsed.sent or "").strip(WHITE))
                if style and keys[key]:
                    counts[header][style] += keys[key]
        most = max(Style, key=lambda style: sum(count[style] for count in counts.values()))
        return {header: next(iter(count)) if len(count) == 1 else most for header, count in counts.items()}

    def _unclear(self) -> set[str]:
        """The distinct texts of consent on rows that are left out because it is no code."""
        header = self.judged.gate.header
        places = [at for at, reason in self.left_out.items() if reason is Reason.NO_CODE]
        texts = (self.cells[header][key].text for key in set(self.judged.keys(header, places)))
        return {(text or "").strip(WHITE) for text in texts}

    def write(self, out: IO[bytes], change_list: IO[bytes]) -> Corrected:
        """Write the copy and the list of changes, in batches.

        Args:
            out: where the copy goes.
            change_list: where the list goes.

        Returns:
            The numbers of changes.
        """
        judged, odd = self.judged, self.judged.odd
        copy, listed = (io.TextIOWrapper(file, "utf-8", newline="") for file in (out, change_list))
        listed.write("\ufeff")
        rows, changes = csv.writer(copy, lineterminator=CRLF), csv.writer(listed, lineterminator=CRLF)
        changes.writerow(Change._fields)
        form = list(_form(self.source))
        changes.writerows(form)
        rows.writerow(judged.book.dataset.headers)
        ragged = [(row, f"Row left out: it has {count}") for row, _, count, *_ in ragged_lines(odd)]
        mended = at_ragged = 0
        for start in range(0, judged.height, _BATCH):
            places = range(start, min(start + _BATCH, judged.height))
            written, batch = self._batch(places)
            rows.writerows(written)
            mended += len(batch)
            upto = bisect_left(ragged, (judged.numbers(places)[-1],))
            batch += self._left_out(places)
            batch += (_change(row, what=text) for row, text in ragged[at_ragged:upto])
            at_ragged = upto
            changes.writerows(sorted(batch, key=attrgetter("row")))
        changes.writerows(_change(row, what=text) for row, text in ragged[at_ragged:])
        last = {
            "short": _counted(odd.short, "row was", "rows were") + " short by blank cells at the end, now written",
            "long": _counted(odd.long, "row had", "rows had") + " blank cells behind the last column, now left out",
            "blank": _counted(odd.blank, "blank row", "blank rows") + " left out",
        }
        changes.writerows(_change(None, what=what) for name, what in last.items() if getattr(odd, name))
        for file in (copy, listed):
            # Flushes, and leaves the file itself open.
            file.detach()
        reasons = Counter(self.left_out.values())
        return Corrected(
            cells=mended,
            ragged=len(odd.ragged),
            blank=odd.blank,
            closed=reasons[Reason.REFUSED] + reasons[Reason.BLANK],
            unclear=reasons[Reason.NO_CODE],
            headings=reasons[Reason.HEADERS],
            form=len(form) + bool(odd.short) + bool(odd.long),
            rows=judged.height - len(self.left_out),
        )

    def _batch(self, places: range) -> tuple[Iterable[Sequence[str]], list[Change]]:
        """The rows of a batch, less those left out, as texts in the order of the headers; the changes to their cells.

        Args:
            places: the places of the rows in the table.
        """
        judged, left_out, first = self.judged, self.left_out, places.start
        numbers = judged.numbers(places)
        columns: list[list[str]] = []
        changes = []
        for column in self.columns:
            keys = judged.keys(column.header, places)
            # An id without an entry is its own text.
            texts = list(map(column.texts.get, keys, cast("Sequence[str]", keys)))
            columns.append(texts)
            filled = self.filled if column.header == self.filled_in else {}
            for at, key in zip(places, keys, strict=True) if column.changes or filled else ():
                if at in filled:
                    was = self.cells[column.header][key].text or ""
                    what = "Filled in from the postcode"
                    changes.append(_change(numbers[at - first], column.header, was, filled[at], what))
                    texts[at - first] = filled[at]
                elif key in column.changes and at not in left_out:
                    changes.append(column.changes[key]._replace(row=numbers[at - first]))
        rows: Iterable[Sequence[str]] = zip(*columns, strict=True)
        return (compress(rows, (at not in left_out for at in places)) if left_out else rows), changes

    def _left_out(self, places: range) -> Iterator[Change]:
        """The lines of the list on the rows of a batch that are left out.

        A line has the text of consent only where all such texts are few and short words (`may_be_shown`).
        """
        header = self.judged.gate.header
        out = [at for at in places if at in self.left_out] if self.left_out else []
        numbers = self.judged.numbers(places)
        for at, key in zip(out, self.judged.keys(header, out), strict=True):
            because = self.left_out[at].because(header)
            if self.left_out[at] is Reason.NO_CODE and may_be_shown(self.unclear):
                text = (self.cells[header][key].text or "").strip(WHITE)
                because = f"{header} says “{shown(text)}”, which is none of its codes"
            yield _change(numbers[at - places.start], what=f"Row left out, because {because}")


# ---- the upper tier local authority ----------------------------------------------------------------


def _filled(
    judged: Judged, cells: Mapping[str, Mapping[Key, CellText]], left_out: Collection[int]
) -> tuple[str, dict[int, str]]:
    """The upper tier local authority of rows where it is blank and the postcode determines it.

    Four things must hold. The sector lies in one authority; the list has its code; every row of the episode then has
    the same authority; and no rule fires with the code that did not fire without it.

    Args:
        judged: the table.
        cells: its texts, by header and key.
        left_out: the places of the rows that are left out.

    Returns:
        The header of the authority ("" where the dataset has none), and the code for each row in which it is filled
        in, by the row's place.
    """
    dataset = judged.book.dataset
    authority = next((f for f in dataset.fields if f.codes == "UTLA"), None)
    postcode = next((f for f in dataset.fields if f.kind is Kind.POSTCODE), None)
    if authority is None or postcode is None:
        return "", {}
    header, every = authority.header, range(judged.height)
    codes = dataset.codes_of(header)
    sectors = {}
    for key, (_, parsed) in cells[postcode.header].items():
        code = None if parsed.value is None else upper_tier_for_sector(str(parsed.value))
        if codes and code in codes.codes:
            sectors[key] = code
    blank = {key for key, (_, parsed) in cells[header].items() if parsed.sent is None}
    authorities, postcodes = judged.keys(header, every), judged.keys(postcode.header, every)
    candidates = {
        at: sectors[sector]
        for at, code, sector in zip(every, authorities, postcodes, strict=True)
        if code in blank and sector in sectors and at not in left_out
    }
    if not candidates:
        return header, {}
    episodes = _values(judged, cells, dataset.entity(authority.entity)[0].header)
    concerned = {episodes[at] for at in candidates} - {None}
    codes_of: dict[Typed, set[Typed]] = {episode: set() for episode in concerned}
    for at, (episode, key) in enumerate(zip(episodes, authorities, strict=True)):
        if episode in concerned and at not in left_out:
            codes_of[episode].add(candidates.get(at, cells[header][key].parsed.value))
    certain = {at: code for at, code in candidates.items() if len(codes_of.get(episodes[at], set()) - {None}) < 2}
    refused = _FiredRules(judged, cells, header).places(certain)
    return header, {at: code for at, code in certain.items() if at not in refused}


def _values(judged: Judged, cells: Mapping[str, Mapping[Key, CellText]], header: str) -> list[Typed]:
    """The value of a field on each row of the table."""
    known: dict[Key, Typed] = {key: parsed.value for key, (_, parsed) in cells[header].items()}
    return [known.get(key, key) for key in judged.keys(header, range(judged.height))]


class _FiredRules:
    """Whether a rule fires on a row when a code is filled in that did not fire before.

    judged: the table.
    cells: its texts, by header and key.
    header: that of the field that is filled in.
    records: the plain engine, which evaluates the rules.
    known: the parsed texts of the field, by text.
    headers: the fields that the rules on the filled field read; no other bears on the answer.
    answers: the answers so far, by the keys of those fields and the code.
    """

    def __init__(self, judged: Judged, cells: Mapping[str, Mapping[Key, CellText]], header: str) -> None:
        self.judged = judged
        self.cells = cells
        self.header = header
        self.records = Records(judged.book, judged.today, judged.submitter)
        self.known = dict(cells[header].values())
        several = judged.book.of_several_fields.values()
        self.headers = sorted(
            {header, *(h for each in several if header in headers_of(each) for h in headers_of(each))}
        )
        self.answers: dict[tuple[tuple[Key, ...], str], bool] = {}

    def places(self, codes: Mapping[int, str]) -> set[int]:
        """The places of the rows on which a rule fires.

        Args:
            codes: the code to be filled in, by the row's place.
        """
        rows = zip(*(self.judged.keys(header, list(codes)) for header in self.headers), strict=True)
        fired = set()
        for (at, code), keys in zip(codes.items(), rows, strict=True):
            if (keys, code) not in self.answers:
                self.answers[keys, code] = self._evaluate(keys, code)
            if self.answers[keys, code]:
                fired.add(at)
        return fired

    def _evaluate(self, keys: Sequence[Key], code: str) -> bool:
        """Whether a rule fires with the code that does not fire without, on a row with keys as `headers` are."""
        if code not in self.known:
            self.known[code] = self.records.parse(self.header, code)
        row = {header: self.records.parse(header, None) for header in self.judged.book.dataset.headers}
        row |= {header: self._parsed(header, key) for header, key in zip(self.headers, keys, strict=True)}
        before = {*row[self.header].fails, *self.records.several(tuple(row.values()))}
        row[self.header] = self.known[code]
        return not before.issuperset([*self.known[code].fails, *self.records.several(tuple(row.values()))])

    def _parsed(self, header: str, key: Key) -> ParsedText:
        if key in self.cells[header]:
            return self.cells[header][key].parsed
        return self.records.parse(header, str(key))


# ---- the file as a whole ---------------------------------------------------------------------------


def _form(source: Source) -> Iterator[Change]:
    """The lines of the list on the file as a whole and on its header row."""
    with source.path.open("rb") as file:
        first = file.read(source.start)
    if len(head_rows(source)) > 1:
        yield _change(None, what="First line left out: it only names the separator, for Excel")
    if source.separator != ",":
        yield _change(None, what="Columns separated by commas")
    if first.startswith(codecs.BOM_UTF8):
        yield _change(None, what="Byte order mark removed")
    if source.encoding == "cp1252":
        yield _change(None, what="Characters written as UTF-8, not Windows-1252")
    if not first.endswith(b"\r\n"):
        yield _change(None, what="Lines ended with carriage return and line feed")
    if b'"' in first:
        yield _change(None, what="Quotation marks kept only round cells that need them")
    for was, now in source.renamed.items():
        yield _change(1, now, shown(was, 40), now, "Header written as the dataset has it")
    for name in source.unknown:
        yield _change(1, "", shown(name, 40), "", f"Column left out: dataset {source.dataset.letter} does not have it")
    for header in source.missing:
        if header in source.lost:
            which = f"{source.shortened} end before this column"
            lost = f"{which}: blank there in the copy, since what it had is not in the file"
            yield _change(1, header, "", header, lost)
        else:
            yield _change(1, header, "", header, "Column added, blank on every row")
    known = [header for header in source.columns if header]
    if known != [header for header in source.dataset.headers if header in known]:
        yield _change(1, what="Columns put in the document's order")
