"""Copies of the sender's own file: one with the findings beside each row, one with mechanical faults mended.

The annotated copy is the file as it was sent, for a person with a spreadsheet. The corrected copy is a file
to submit, in the one form the dataset has; it mends only what is understood without doubt, guesses nothing,
and every change stands in a list beside it.

Of a record without consent neither holds anything but its row number.
"""

from __future__ import annotations

import codecs
import io
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import IO

import polars as pl

from cjit import derive
from cjit.copies.consent import Why, constants, gates_of, giving, steps_of
from cjit.copies.sent import CRLF, head_rows
from cjit.dataset import Dataset, Field, Kind
from cjit.dates import Style
from cjit.derive import repeats_headers, struck
from cjit.engine.checking import check
from cjit.engine.columns import expression
from cjit.engine.shown import FEW, cells_told, spells_yes, tells_of_the_extract
from cjit.files.frames import Batch, pieces_of
from cjit.files.place import placed
from cjit.files.source import Source
from cjit.geography import upper_tier_for_sector
from cjit.kinds import in_style, kinds_of
from cjit.report.spreadsheet import neutral_column
from cjit.report.words import shown

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
        said = [
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
        done = "; ".join(filter(None, said))
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
    source: Source,
    path: str | os.PathLike[str] | IO[bytes],
    changes: str | os.PathLike[str] | IO[bytes],
    *,
    today: date,
    submitter: str | None = None,
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
    are not neutralised in it: an apostrophe would be submitted.

    Unless `again` is false the copy is checked, for the agency that submits it (`submitter`), so that what remains to
    be mended can be said.

    `changes` is a CSV for a spreadsheet: row (of the file that was sent; blank for the whole file), header, was,
    now, what. Whole postcodes are never whole in it. Correcting a corrected file changes nothing. Raises `Unusable`,
    and writes nothing, where the file changed meanwhile.
    """
    with ExitStack() as stack:
        out = stack.enter_context(placed(path, source))
        said = stack.enter_context(placed(changes, source))
        done = _Corrector(source, today, out, said).run()
        name = getattr(out, "name", None)
        if again and done.rows and isinstance(name, str) and os.path.isfile(name):
            out.flush()
            found = check(Path(name), source.dataset, today=today, submitter=submitter, keep=0)
            done = replace(done, rejected=found.rejected)
        # Before either copy is put in its place.
        source.assure()
    return done


class _Corrector:
    """One correction under way."""

    def __init__(self, source: Source, today: date, out: IO[bytes], said: IO[bytes]) -> None:
        self.source = source
        self.dataset = source.dataset
        self.today = today
        self.out = out
        self.said = said
        self.gates = gates_of(self.dataset)
        self.steps = derive.columns(self.dataset)
        self.fill = _Fill(self.dataset, today)
        self.counted = _Styles(self.dataset, today)
        self.styles: Mapping[str, Style] = {}
        self.gives = self._gives()
        #: What stands for consent and is none of its codes, or the first of it.
        self.unclear: set[str] = set()

    def _gives(self) -> pl.Expr | None:
        """The code that gives consent, where every record has a text that plainly stands for it, and none the code."""
        gate = self.gates.header
        for piece in pieces_of(self.source):
            frame = piece().text()
            texts = frame.filter(~repeats_headers(frame, self.dataset))[gate]
            if texts.null_count() or not all(map(spells_yes, texts.unique())):
                return None
        return pl.lit(giving(self.gates.rules[0])).alias(gate)

    def _text(self, batch: Batch) -> pl.DataFrame:
        """A batch as it is mended first of all: with consent as its code."""
        frame = batch.text()
        if self.gives is None:
            return frame
        gate = self.gates.header
        return frame.with_columns(pl.when(repeats_headers(frame, self.dataset)).then(gate).otherwise(self.gives))

    def run(self) -> Corrected:
        counts = Counter[str]()
        self.said.write(codecs.BOM_UTF8 + b"row,header,was,now,what\r\n")
        form = list(_form(self.source))
        self._say(_changes(form))
        self.out.write(",".join(self.dataset.headers).encode() + b"\r\n")
        for piece in pieces_of(self.source):
            frame = self._text(piece())
            closed = self.gates.closed(frame, self.today)
            shut = frame.filter(closed)
            if len(self.unclear) <= FEW:
                unclear = pl.Series([why is Why.NO_CODE for why in self.gates.why(shut)], dtype=pl.Boolean)
                self.unclear.update(shut[self.gates.header].filter(unclear).str.strip_chars().unique()[: FEW + 1])
            frame = frame.filter(~closed)
            self.counted.learn(frame)
            if self.fill.possible:
                self.fill.learn(frame)
        self.styles = self.counted.chosen()
        for piece in pieces_of(self.source):
            batch = piece()
            written, mended, gone = self._mended(batch)
            ragged_rows = _changes(
                (row, "", "", "", f"Row left out: it has {cells_told(cells, batch.width, ends=row == batch.cut_off)}")
                for row, cells in batch.ragged
            )
            gone_rows = _changes(self._gone(*each) for each in gone)
            self._say(pl.concat([mended, gone_rows, ragged_rows]).sort("row", maintain_order=True))
            _csv(written, self.out)
            counts.update(why.name for _, why, _ in gone)
            counts.update(cells=mended.height, rows=written.height, RAGGED=ragged_rows.height)
            counts.update(blank=batch.blank, short=batch.short, long=batch.long)
        last = [
            _counted(counts["short"], "row was", "rows were") + " short by blank cells at the end, now written",
            _counted(counts["long"], "row had", "rows had") + " blank cells behind the last column, now left out",
            _counted(counts["blank"], "blank row", "blank rows") + " left out",
        ]
        last = [text for text, what in zip(last, ("short", "long", "blank"), strict=True) if counts[what]]
        self._say(_changes((None, "", "", "", text) for text in last))
        return Corrected(
            cells=counts["cells"],
            ragged=counts["RAGGED"],
            blank=counts["blank"],
            closed=counts["REFUSED"] + counts["BLANK"],
            unclear=counts["NO_CODE"],
            headings=counts["HEADERS"],
            form=len(form) + bool(counts["short"]) + bool(counts["long"]),
            rows=counts["rows"],
        )

    def _gone(self, row: int, why: Why, text: str | None) -> Change:
        """A row that is left out, and why; with what stands for consent where that tells of the extract alone."""
        because = why.because(self.gates.header)
        if why is Why.NO_CODE and text is not None and tells_of_the_extract(self.unclear):
            because = f"{self.gates.header} says “{shown(text.strip())}”, which is none of its codes"
        return row, "", "", "", f"Row left out, because {because}"

    def _mended(self, batch: Batch) -> tuple[pl.DataFrame, pl.DataFrame, list[tuple[int, Why, str | None]]]:
        """The rows to write, the changes to their cells, and the rows left out for want of consent."""
        frame, rows = batch.text(), batch.rows
        full = self._text(batch).with_columns(constants(self.today))
        for step in self.steps:
            full = full.with_columns(step)
        closed = full.select(self.gates.fails())["closed"]
        new = full.select(_corrected(f, self.dataset, self.styles) for f in self.dataset.fields)
        filled = pl.repeat(False, frame.height, dtype=pl.Boolean, eager=True)
        if self.fill.possible:
            certain = self.fill.certain(full, closed)
            filled = certain.is_not_null()
            new = new.with_columns(pl.coalesce(certain, self.fill.header).alias(self.fill.header))
        differs = new.select(pl.col(h).ne_missing(frame[h]) for h in new.columns)
        said = [_changes(())]
        for f in self.dataset.fields:
            at = (differs[f.header] & ~closed).arg_true()
            if at.len():
                change = full.select(f"{f.header} as sent")[at].with_columns(
                    rows.gather(at).alias("row"),
                    pl.lit(f.header).alias("header"),
                    frame[f.header].gather(at).alias("was"),
                    new[f.header].gather(at).alias("now"),
                    filled.gather(at).alias("filled"),
                )
                consents = f.header == self.gates.header and self.gives is not None
                what = _what(f, self.dataset, self.styles)
                what = pl.lit("Consent written as its code").alias("what") if consents else what
                said.append(change.select("row", "header", _shown(f), "now", what))
        shut = frame.filter(closed)
        gone = zip(rows.filter(closed), self.gates.why(shut), shut[self.gates.header], strict=True)
        return new.filter(~closed), pl.concat(said), list(gone)

    def _say(self, changes: pl.DataFrame) -> None:
        changes = changes.with_columns(struck(changes[name]).alias(name) for name in ("was", "now"))
        _csv(changes.with_columns(map(neutral_column, ("header", "was", "now"))), self.said)


def _corrected(field: Field, dataset: Dataset, styles: Mapping[str, Style]) -> pl.Expr:
    """A field as a corrected copy has it: plainly written, or as it was sent where that is no value."""
    raw, unread = derive.sent(field.header), kinds_of(dataset)[field.header].no_value
    kept = None if unread is None else expression(unread)
    if field.kind in (Kind.CODE, Kind.INITIAL, Kind.POSTCODE):
        kept = derive.doubtful(field, dataset)
    plain = pl.when(raw.is_not_null()).then(derive.plainly(field, styles.get(field.header, Style.EIGHT)))
    if kept is None:
        return plain.alias(field.header)
    return pl.when(kept).then(raw).otherwise(plain).alias(field.header)


def _shown(field: Field) -> pl.Expr:
    """What was sent, but of a whole postcode no more than is submitted."""
    was = pl.col("was")
    if field.kind is not Kind.POSTCODE:
        return was
    return pl.when(derive.whole_postcode(field.header)).then(was.str.strip_chars().str.head(-2) + "**").otherwise(was)


def _what(field: Field, dataset: Dataset, styles: Mapping[str, Style]) -> pl.Expr:
    """The change to a cell in words, from `was`, `now` and `filled`."""
    was, now = pl.col("was").str.strip_chars(), pl.col("now")
    codes = dataset.codes_of(field.header)
    others = list(codes.also) if codes else []
    tidied = {
        Kind.DATE: pl.lit(f"Date written as {styles.get(field.header, Style.EIGHT)}"),
        Kind.NUMBER: pl.lit("Leading noughts removed"),
        Kind.POSTCODE: pl.when(derive.whole_postcode(field.header))
        .then(pl.lit("Last two characters of the postcode removed"))
        .otherwise(pl.lit("Postcode written in capitals with one space")),
    }
    capitals = pl.when(now == was.str.to_uppercase()).then(pl.lit("Written in capitals"))
    return (
        pl.when("filled")
        .then(pl.lit("Filled in from the postcode"))
        .when(now.is_null() & (was != ""))
        .then(pl.lit("Left blank: the code says that there is none"))
        .when(now.is_null() | (now == was))
        .then(pl.lit("Spaces removed"))
        .when(was.str.to_uppercase().is_in(others))
        .then(pl.lit("Code written as the list has it"))
        .otherwise(tidied.get(field.kind, capitals.otherwise(pl.lit("Leading nought removed"))))
        .alias("what")
    )


class _Styles:
    """In which style each date column of a file is written, so that correcting it again changes nothing."""

    def __init__(self, dataset: Dataset, today: date) -> None:
        self.today = today
        self.headers = [f.header for f in dataset.fields if f.kind is Kind.DATE]
        self.steps = steps_of(dataset, self.headers)
        self.counts = dict.fromkeys(((h, style) for h in self.headers for style in Style), 0)

    def learn(self, frame: pl.DataFrame) -> None:
        """Count the plain dates of each column by their style."""
        frame = frame.with_columns(constants(self.today))
        for step in self.steps:
            frame = frame.with_columns(step)
        found = frame.select(expression(in_style(h, style)).sum().alias(f"{h} {style}") for h, style in self.counts)
        self.counts = {(h, style): n + found[f"{h} {style}"][0] for (h, style), n in self.counts.items()}

    def chosen(self) -> dict[str, Style]:
        """The style of each column: its own; that of most dates of the file, where it has both or neither."""
        most = max(Style, key=lambda style: sum(self.counts[h, style] for h in self.headers))
        own = {h: [style for style in Style if self.counts[h, style]] for h in self.headers}
        return {h: styles[0] if len(styles) == 1 else most for h, styles in own.items()}


class _Fill:
    """The upper tier local authority, where the postcode leaves no doubt about a blank one.

    No doubt: the sector lies in one authority, the list has its code, every row of the episode then has the
    same one, and no rule has anything against it that it had not before.
    """

    def __init__(self, dataset: Dataset, today: date) -> None:
        self.today = today
        authority = next((f for f in dataset.fields if f.codes == "UTLA"), None)
        postcode = next((f for f in dataset.fields if f.kind is Kind.POSTCODE), None)
        self.possible = authority is not None and postcode is not None
        if authority is None or postcode is None:
            return
        self.header = authority.header
        self.postcode = postcode.header
        self.key = dataset.entity(authority.entity)[0].header
        codes = dataset.codes_of(self.header)
        self.codes = frozenset(codes.codes if codes else ())
        self.rules = [rule for rule in dataset.rules if rule.across is None and self.header in rule.headers]
        self.steps = steps_of(dataset, (self.header, self.postcode, self.key))
        self.known: dict[str, str | None] = {}
        self.pairs: list[pl.DataFrame] = []
        self.disputed: pl.Series | None = None

    def learn(self, frame: pl.DataFrame) -> None:
        """Remember which authorities the rows of each episode have, or would have when filled in."""
        frame = frame.with_columns(constants(self.today))
        for step in self.steps:
            frame = frame.with_columns(step)
        pairs = frame.select(
            pl.when(pl.col(self.key).is_not_null()).then(pl.col(self.key).hash()).alias("key"),
            pl.coalesce(self.header, self._candidates(frame)).alias("code"),
        )
        self.pairs.append(pairs.drop_nulls().unique())

    def certain(self, full: pl.DataFrame, closed: pl.Series) -> pl.Series:
        """The code to fill in on each row; null where there is none or there is doubt."""
        if self.disputed is None:
            pairs = pl.concat(self.pairs).unique()
            self.disputed = pairs.filter(pl.col("key").is_duplicated())["key"].unique()
        code = self._candidates(full)
        doubt = full.select(pl.col(self.key).hash().is_in(self.disputed.implode()) & pl.col(self.key).is_not_null())
        code = code.zip_with(~doubt.to_series() & ~closed, pl.Series([None], dtype=pl.String))
        at = code.is_not_null().arg_true()
        before = full[at]
        after = before.with_columns(code.gather(at).alias(name) for name in _columns_of(self.header))
        worse = pl.repeat(False, at.len(), dtype=pl.Boolean, eager=True)
        for rule in self.rules:
            fails = [part.select(expression(rule.fails_when.surely).alias("x"))["x"] for part in (before, after)]
            worse |= fails[1] & ~fails[0]
        return code.scatter(at.filter(worse), None)

    def _candidates(self, frame: pl.DataFrame) -> pl.Series:
        """The code each row's postcode stands for, where the field is blank."""
        sector = frame.select(pl.when(derive.sent(self.header).is_null()).then(pl.col(self.postcode)).alias("sector"))[
            "sector"
        ]
        for name in sector.drop_nulls().unique():
            if name not in self.known:
                code = upper_tier_for_sector(name)
                self.known[name] = code if code in self.codes else None
        return sector.replace_strict(self.known, default=None, return_dtype=pl.String).rename(self.header)


def _columns_of(header: str) -> tuple[str, str, str]:
    return f"{header} as sent", f"{header} as read", header


def _form(source: Source) -> Iterator[Change]:
    """The changes to the file as a whole and to its header row."""
    with source.path.open("rb") as file:
        first = file.read(source.start)
    if len(head_rows(source)) > 1:
        yield None, "", "", "", "First line left out: it only names the separator, for Excel"
    if source.separator != ",":
        yield None, "", "", "", "Columns separated by commas"
    if first.startswith(codecs.BOM_UTF8):
        yield None, "", "", "", "Byte order mark removed"
    if source.encoding == "cp1252":
        yield None, "", "", "", "Characters written as UTF-8, not Windows-1252"
    if not first.endswith(b"\r\n"):
        yield None, "", "", "", "Lines ended with carriage return and line feed"
    if b'"' in first:
        yield None, "", "", "", "Quotation marks kept only round cells that need them"
    for was, now in source.renamed.items():
        yield 1, now, shown(was, 40), now, "Header written as the dataset has it"
    for name in source.unknown:
        yield 1, "", shown(name, 40), "", f"Column left out: dataset {source.dataset.letter} does not have it"
    for header in source.missing:
        if header in source.lost:
            which = f"{source.shortened} end before this column"
            yield 1, header, "", header, f"{which}: blank there in the copy, since what it had is not in the file"
        else:
            yield 1, header, "", header, "Column added, blank on every row"
    known = [header for header in source.columns if header]
    if known != [header for header in source.dataset.headers if header in known]:
        yield 1, "", "", "", "Columns put in the document's order"


Change = tuple[int | None, str, str, str, str]


def _changes(changes: Iterable[Change]) -> pl.DataFrame:
    schema = {"row": pl.UInt32, "header": pl.String, "was": pl.String, "now": pl.String, "what": pl.String}
    blank = pl.col("header", "was", "now")
    frame = pl.DataFrame(list(changes), schema=schema, orient="row")
    # An empty text would be written as a pair of quotation marks.
    return frame.with_columns(pl.when(blank != "").then(blank))


def _csv(frame: pl.DataFrame, out: IO[bytes]) -> None:
    # By way of memory: Polars would turn a pipe closed by its reader into an error of its own.
    lines = io.BytesIO()
    frame.write_csv(lines, include_header=False, line_terminator=CRLF)
    out.write(lines.getbuffer())
