"""Copies of the sender's own file: one with the findings beside each row, one with mechanical faults mended.

The annotated copy is the file as it was sent, for a person with a spreadsheet. The corrected copy is a file
to submit, in the one form the dataset has; it mends only what is understood without doubt, guesses nothing,
and every change stands in a list beside it.

Of a record without consent neither holds anything but its row number.
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
from cjit.copies.consent import Why, giving, withheld
from cjit.copies.sent import CRLF, head_rows
from cjit.dataset import Field, Kind
from cjit.dates import Style, style_in
from cjit.engine.checking import Checked, check
from cjit.engine.outcome import CellText, Judged, Key
from cjit.engine.outcome import ragged as ragged_lines
from cjit.engine.plain import Typed
from cjit.engine.records import ParsedText, Records
from cjit.engine.shown import is_whole, may_be_shown, spells_yes, without_whole_postcodes
from cjit.files.place import placed
from cjit.files.source import Source
from cjit.geography import upper_tier_for_sector
from cjit.kinds import FieldKind, kinds_of
from cjit.report.spreadsheet import neutral
from cjit.report.words import shown

#: Rows that are written at once.
_TOGETHER = 20_000

# ---- the corrected copy ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Corrected:
    """What was changed for a corrected copy, in numbers.

    `cells` mended or filled in; rows left out because their cells cannot be told apart (`ragged`), because there is
    nothing in them (`blank`), for want of consent (`closed`), because what stands for consent is no code of it
    (`unclear`), or because they repeat the headers (`headings`); `form` changes to the file as a whole. `rows` are in
    the copy, and `rejected` of them would still be: None where the copy was not looked at.
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
        """Every row and cell that is not as it was sent, and every change to the form."""
        return self.cells + self.left_out + self.form

    def __str__(self) -> str:
        """One sentence without its full stop."""
        change_list = [
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
        done = "; ".join(filter(None, change_list))
        if not self.rows:
            return f"{done}; no record is left"
        if self.rejected:
            left = _counted(self.rejected, "record would still be rejected", "records would still be rejected")
            return f"{done or 'Nothing could be mended'}; {left}"
        # What was not checked again may be anything.
        return done or ("Nothing could be mended" if self.rejected is None else "Nothing needed mending")


_UNCLEAR = "whose consent is none of its codes"


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

    Mended: outer spaces, capitals (A to Z only), date style, leading noughts, whole postcodes, codes that are read as
    others or say "none", a blank upper tier local authority where the postcode leaves no doubt, and consent where every
    record spells it in one of the ways that plainly stand for the code that gives it. A value that is no value, or a
    code that a list known to be incomplete does not have, stays as it was sent, since nobody but the sender
    knows what was meant. Each column of dates has one style: its own, or where it has both or none, that of most plain
    dates of the file (yyyymmdd, where both are as many). The copy has the dataset's headers in the document's order,
    commas, CRLF and UTF-8; columns the dataset does not have are left out, and so are rows without consent and rows
    whose cells cannot be told apart. It is the file to submit and not one for a spreadsheet, so cells like formulas
    are not neutralised in it: an apostrophe would be submitted. Correcting a corrected file changes nothing.

    Args:
        checked: the file, checked.
        path: where the copy goes, by name or opened.
        changes: where the list goes, by name or opened: a CSV for a spreadsheet with row (of the file that was sent;
            blank for the whole file), header, was, now, what. Whole postcodes are never whole in it.
        again: whether the copy is checked, by the same day and for the same agency, so that what remains to be mended
            can be said.

    Returns:
        What was changed, in numbers.

    Raises:
        Unusable: where the file changed meanwhile; nothing is written.
        WouldOverwrite: where one of the copies is the file itself.
        OSError: where one cannot be written.
    """
    source, judged = checked.source, checked.judged
    with ExitStack() as stack:
        out = stack.enter_context(placed(path, source))
        change_list = stack.enter_context(placed(changes, source))
        done = _Corrector(source, judged).write(out, change_list)
        name = getattr(out, "name", None)
        if again and done.rows and isinstance(name, str) and os.path.isfile(name):
            out.flush()
            found = check(Path(name), source.dataset, today=judged.today, submitter=judged.submitter, limit=0)
            done = replace(done, rejected=found.rejected)
        # Before either copy is put in its place.
        source.assure()
    return done


class Change(NamedTuple):
    """A line of the list: the row of the file that was sent (None: the whole file), and what was changed in it."""

    row: int | None
    header: str
    was: str
    now: str
    what: str


def _change(row: int | None, header: str = "", was: str = "", now: str = "", what: str = "") -> Change:
    """A change as the list has it: without whole postcodes, and nothing in it a formula."""
    return Change(
        row, neutral(header), neutral(without_whole_postcodes(was)), neutral(without_whole_postcodes(now)), what
    )


class _Mended:
    """A field of a corrected copy.

    texts: for each key the text that is written; of an id that is not there, the key itself. changes: for each key of
    which another text is written the line of the list, without its row.
    """

    def __init__(self, field: Field, cells: Mapping[Key, CellText], kind: FieldKind, style: Style) -> None:
        self.header = field.header
        self.texts: dict[Key, str] = {}
        self.changes: dict[Key, Change] = {}
        for key, (text, parsed) in cells.items():
            was, now = text or "", kind.mended(parsed, style)
            self.texts[key] = now
            if now != was:
                what = kind.change(was.strip(WHITE), now, style)
                shown_text = f"{was.strip(WHITE)[:-2]}**" if field.kind is Kind.POSTCODE and is_whole(was) else was
                self.changes[key] = _change(None, field.header, shown_text, now, what)


class _Corrector:
    """What is written of each row of a file, and the list of changes."""

    def __init__(self, source: Source, judged: Judged) -> None:
        self.source = source
        self.judged = judged
        dataset = source.dataset
        gate = judged.gate.header
        kinds = kinds_of(dataset)
        self.cells = {header: judged.cells(header) for header in dataset.headers}
        self.left_out = withheld(judged)
        gives = self._gives()
        if gives is not None:
            self.left_out = dict.fromkeys(judged.headers_again, Why.HEADERS)
        styles = self._styles()
        self.columns = [
            _Mended(f, self.cells[f.header], kinds[f.header], styles.get(f.header, Style.EIGHT)) for f in dataset.fields
        ]
        if gives is not None:
            consent = self.columns[dataset.headers.index(gate)]
            consent.texts = dict.fromkeys(consent.texts, gives)
            consent.changes = {
                key: _change(None, gate, text or "", gives, "Consent written as its code")
                for key, (text, _) in self.cells[gate].items()
            }
        self.unclear = self._unclear()
        self.filled_in, self.filled = _filled(judged, self.cells, self.left_out)

    def _gives(self) -> str | None:
        """The code that gives consent, where every record has a text that plainly stands for it, and none the code."""
        judged = self.judged
        texts = judged.gate_texts()
        # Rows that repeat the headers are no records.
        if texts.total() + len(judged.headers_again) < judged.height or not all(spells_yes(t or "") for t in texts):
            return None
        return giving(judged.gate)

    def _styles(self) -> dict[str, Style]:
        """In which style each date column is written, so that correcting the copy again changes nothing.

        Its own; that of most dates of the file, where it has both or neither.
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
        most = max(Style, key=lambda style: sum(of[style] for of in counts.values()))
        return {header: next(iter(of)) if len(of) == 1 else most for header, of in counts.items()}

    def _unclear(self) -> set[str]:
        """What stands for consent on rows that are left out because it is none of its codes."""
        header = self.judged.gate.header
        places = [at for at, why in self.left_out.items() if why is Why.NO_CODE]
        texts = (self.cells[header][key].text for key in set(self.judged.keys(header, places)))
        return {(text or "").strip(WHITE) for text in texts}

    def write(self, out: IO[bytes], change_list: IO[bytes]) -> Corrected:
        """Write the copy and the list of changes."""
        judged, odd = self.judged, self.judged.odd
        copy, listed = (io.TextIOWrapper(file, "utf-8", newline="") for file in (out, change_list))
        listed.write("\ufeff")
        rows, changes = csv.writer(copy, lineterminator=CRLF), csv.writer(listed, lineterminator=CRLF)
        changes.writerow(Change._fields)
        form = list(_form(self.source))
        changes.writerows(form)
        rows.writerow(judged.book.dataset.headers)
        ragged = [(row, f"Row left out: it has {shown_text}") for row, _, shown_text, *_ in ragged_lines(odd)]
        mended = at_ragged = 0
        for start in range(0, judged.height, _TOGETHER):
            places = range(start, min(start + _TOGETHER, judged.height))
            written, found = self._some(places)
            rows.writerows(written)
            mended += len(found)
            upto = bisect_left(ragged, (judged.numbers(places)[-1],))
            found += self._left_out(places)
            found += (_change(row, what=shown_text) for row, shown_text in ragged[at_ragged:upto])
            at_ragged = upto
            changes.writerows(sorted(found, key=attrgetter("row")))
        changes.writerows(_change(row, what=shown_text) for row, shown_text in ragged[at_ragged:])
        last = {
            "short": _counted(odd.short, "row was", "rows were") + " short by blank cells at the end, now written",
            "long": _counted(odd.long, "row had", "rows had") + " blank cells behind the last column, now left out",
            "blank": _counted(odd.blank, "blank row", "blank rows") + " left out",
        }
        changes.writerows(_change(None, what=what) for name, what in last.items() if getattr(odd, name))
        for file in (copy, listed):
            # Flushes, and leaves closing to who opened.
            file.detach()
        whys = Counter(self.left_out.values())
        return Corrected(
            cells=mended,
            ragged=len(odd.ragged),
            blank=odd.blank,
            closed=whys[Why.REFUSED] + whys[Why.BLANK],
            unclear=whys[Why.NO_CODE],
            headings=whys[Why.HEADERS],
            form=len(form) + bool(odd.short) + bool(odd.long),
            rows=judged.height - len(self.left_out),
        )

    def _some(self, places: range) -> tuple[Iterable[Sequence[str]], list[Change]]:
        """What is written of some rows, and the changes to their cells."""
        judged, left_out, first = self.judged, self.left_out, places.start
        numbers = judged.numbers(places)
        columns: list[list[str]] = []
        changes = []
        for column in self.columns:
            keys = judged.keys(column.header, places)
            # An id that is not there is its own text.
            texts = list(map(column.texts.get, keys, cast("Sequence[str]", keys)))
            columns.append(texts)
            filled = self.filled if column.header == self.filled_in else {}
            for at, key in zip(places, keys, strict=True) if column.changes or filled else ():
                if at in filled:
                    was = self.cells[column.header][key].text or ""
                    shown_text = "Filled in from the postcode"
                    changes.append(_change(numbers[at - first], column.header, was, filled[at], shown_text))
                    texts[at - first] = filled[at]
                elif key in column.changes and at not in left_out:
                    changes.append(column.changes[key]._replace(row=numbers[at - first]))
        rows: Iterable[Sequence[str]] = zip(*columns, strict=True)
        return (compress(rows, (at not in left_out for at in places)) if left_out else rows), changes

    def _left_out(self, places: range) -> Iterator[Change]:
        """The rows that are left out, and why; with what stands for consent where that tells of the extract alone."""
        header = self.judged.gate.header
        at_which = [at for at in places if at in self.left_out] if self.left_out else []
        numbers = self.judged.numbers(places)
        for at, key in zip(at_which, self.judged.keys(header, at_which), strict=True):
            because = self.left_out[at].because(header)
            if self.left_out[at] is Why.NO_CODE and may_be_shown(self.unclear):
                text = (self.cells[header][key].text or "").strip(WHITE)
                because = f"{header} says “{shown(text)}”, which is none of its codes"
            yield _change(numbers[at - places.start], what=f"Row left out, because {because}")


# ---- the upper tier local authority ----------------------------------------------------------------


def _filled(
    judged: Judged, cells: Mapping[str, Mapping[Key, CellText]], left_out: Collection[int]
) -> tuple[str, dict[int, str]]:
    """The upper tier local authority where it is blank and the postcode leaves no doubt.

    No doubt: the sector lies in one authority, the list has its code, every row of the episode then has the
    same one, and no rule has anything against it that it had not before.

    Args:
        judged: the table.
        cells: its texts, by header and key.
        left_out: the rows that are left out.

    Returns:
        The header of the authority, and the code for each row in which it is filled in.
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
    own, there = judged.keys(header, every), judged.keys(postcode.header, every)
    candidates = {
        at: sectors[sector]
        for at, code, sector in zip(every, own, there, strict=True)
        if code in blank and sector in sectors and at not in left_out
    }
    if not candidates:
        return header, {}
    episodes = _values(judged, cells, dataset.entity(authority.entity)[0].header)
    concerned = {episodes[at] for at in candidates} - {None}
    shown_text: dict[Typed, set[Typed]] = {episode: set() for episode in concerned}
    for at, (episode, key) in enumerate(zip(episodes, own, strict=True)):
        if episode in concerned and at not in left_out:
            shown_text[episode].add(candidates.get(at, cells[header][key].parsed.value))
    certain = {at: code for at, code in candidates.items() if len(shown_text.get(episodes[at], set()) - {None}) < 2}
    against = _Against(judged, cells, header).places(certain)
    return header, {at: code for at, code in certain.items() if at not in against}


def _values(judged: Judged, cells: Mapping[str, Mapping[Key, CellText]], header: str) -> list[Typed]:
    """The value of a field on each row."""
    known: dict[Key, Typed] = {key: parsed.value for key, (_, parsed) in cells[header].items()}
    return [known.get(key, key) for key in judged.keys(header, range(judged.height))]


class _Against:
    """Whether a rule has anything against a code that is filled in which it had not before."""

    def __init__(self, judged: Judged, cells: Mapping[str, Mapping[Key, CellText]], header: str) -> None:
        self.judged = judged
        self.cells = cells
        self.header = header
        self.records = Records(judged.book, judged.today, judged.submitter)
        self.known = dict(cells[header].values())
        several = judged.book.of_several_fields.values()
        #: Nothing else of a row bears on the rules that read the field.
        self.headers = sorted(
            {header, *(h for each in several if header in headers_of(each) for h in headers_of(each))}
        )
        self.answers: dict[tuple[tuple[Key, ...], str], bool] = {}

    def places(self, codes: Mapping[int, str]) -> set[int]:
        """The rows in which it has, of some with their codes."""
        rows = zip(*(self.judged.keys(header, list(codes)) for header in self.headers), strict=True)
        against = set()
        for (at, code), keys in zip(codes.items(), rows, strict=True):
            if (keys, code) not in self.answers:
                self.answers[keys, code] = self._ask(keys, code)
            if self.answers[keys, code]:
                against.add(at)
        return against

    def _ask(self, keys: Sequence[Key], code: str) -> bool:
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
    """The changes to the file as a whole and to its header row."""
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
