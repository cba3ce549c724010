"""Bytes to frames of text with the row numbers a spreadsheet shows; what is wrong with the file itself.

The structure is looked at before any value: Polars pads a short row without a word, gives up on a long one
without saying where, drops a column whose header stands twice and reads UTF-16 as garbage. Nothing sent is
altered or dropped without a note that says so.

A file is read in pieces of a few megabytes, so memory does not grow with its length; each piece can be
parsed on its own, in any thread.
"""

from __future__ import annotations

import codecs
import csv
import io
import os
import re
import shutil
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from cjit.dataset import Dataset, Severity, Status
from cjit.files.headers import columns_called, columns_of, header_row
from cjit.files.rows import Shortened, shortened
from cjit.files.source import LONGEST_LINE, PIECE, SEPARATORS, Cut, Source, Unusable, stamp_of, within_a_character
from cjit.files.temporary import PrivateFile
from cjit.files.text import NO_CP1252

#: Letters of Western Europe as UTF-8 writes them; in Windows-1252 such a pair would be nonsense ("Ã©").
_UTF_8 = re.compile(rb"[\xc2-\xc5][\x80-\xbf]")
_SIGNATURES = {
    b"PK\x03\x04": "an Excel workbook or a ZIP file: open it and save it as “CSV UTF-8 (comma delimited)”",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook: open it and save it as “CSV UTF-8 (comma delimited)”",
    b"%PDF": "a PDF document: send the CSV file your clinical system makes",
    b"\x1f\x8b": "a compressed (gzip) file: unpack it first",
    b"\xff\xfe": "Unicode text (UTF-16): save it as “CSV UTF-8 (comma delimited)”",
    b"\xfe\xff": "Unicode text (UTF-16): save it as “CSV UTF-8 (comma delimited)”",
}


csv.field_size_limit(2 * LONGEST_LINE)


# ---- opening ---------------------------------------------------------------------------------------


def open_file(
    path: str | os.PathLike[str] | IO[bytes] | bytes, dataset: Dataset, name: str = "", piece: int = PIECE
) -> Source:
    """Look a file over and say what it is, or raise `Unusable`. It is later read in pieces of some bytes.

    `path` may be `-` (standard input), bytes, or an open binary file; those are first copied to a
    temporary file that only this user can read and that goes when the Source does.
    """
    open_files: list[object] = []
    if isinstance(path, bytes):
        path = io.BytesIO(path)
    if path == "-":
        path, name = sys.stdin.buffer, name or "standard input"
    if isinstance(path, str | os.PathLike):
        where = Path(path)
        name = name or where.name
        where = _regular(where, name, open_files)
    elif not callable(getattr(path, "read", None)) or isinstance(path, io.TextIOBase):
        raise TypeError(
            "A file must be given by its path, as bytes, or opened to read bytes (mode “rb”), not as"
            f" {type(path).__name__}"
        )
    else:
        where = _spooled(path, open_files)
        name = name or "the file"
    try:
        return _survey(where, name, dataset, open_files, piece)
    except OSError as problem:
        raise Unusable(f"{name} cannot be read ({problem.strerror}): check that you may open it") from None


def _regular(path: Path, name: str, open_files: list[object]) -> Path:
    try:
        mode = path.stat().st_mode
    except OSError as problem:
        if isinstance(problem, FileNotFoundError | NotADirectoryError):
            raise Unusable(f"There is no file called {path}: check the name and the folder") from None
        raise Unusable(f"{name} cannot be opened ({problem.strerror}): check the name") from None
    except ValueError:
        raise Unusable("That is not a file name: check it for characters a name cannot have") from None
    if stat.S_ISDIR(mode):
        raise Unusable(f"{name} is a folder: give the CSV file inside it")
    if stat.S_ISFIFO(mode):
        try:
            with path.open("rb") as file:
                return _spooled(file, open_files)
        except OSError as problem:
            raise Unusable(f"{name} cannot be read ({problem.strerror})") from None
    if not stat.S_ISREG(mode):
        raise Unusable(f"{name} is a device, not a file: give the CSV file")
    return path


def _spooled(stream: IO[bytes], open_files: list[object]) -> Path:
    copy = PrivateFile()
    open_files.append(copy)
    shutil.copyfileobj(stream, copy.file, 1 << 20)
    copy.file.flush()
    return copy.path


def _survey(path: Path, name: str, dataset: Dataset, open_files: list[object], piece: int) -> Source:
    """One pass over the bytes: encoding, NULs, line ends, quotes, over-long lines."""
    notes = _official(dataset)
    stamp = stamp_of(path)
    with path.open("rb") as file:
        head = file.read(LONGEST_LINE)
        if not head.removeprefix(codecs.BOM_UTF8).strip():
            raise Unusable(f"{name} is empty: make the extract again and check that it has records")
        for signature, what in _SIGNATURES.items():
            if head.startswith(signature):
                raise Unusable(f"{name} is {what}")
        # Even so a line feed may stand inside a quoted cell.
        bare = _outside_quotes(head)
        only_cr = b"\n" not in bare and b"\r" in bare
        if only_cr:
            notes.append("The lines end with carriage returns alone; they were read as line ends")
        start = len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0
        file.seek(0)
        encoding, quotes, quoted_lines, ends = _bytes_of(file, name, only_cr, piece)
        file.seek(-1, os.SEEK_END)
        unended = file.read(1) not in b"\r\n"
    if encoding == "cp1252":
        notes.append("The file is in Windows-1252, not UTF-8; it was read as Windows-1252")
    first_line = head[start:].replace(b"\r", b"\n") if only_cr else head[start:]
    blank = 0
    while first_line[blank : blank + 1] in (b"\n", b"\r"):
        blank += 1
    if blank:
        raise Unusable(f"{name} begins with a blank line: the first row must hold the headers")
    if not only_cr and b"\n" not in head and len(head) == LONGEST_LINE:
        raise Unusable(f"The first row of {name} is over {LONGEST_LINE:,} characters long, so this is not a CSV file")
    separator, cells, end = header_row(first_line, encoding, name, dataset, notes)
    columns, missing, unknown, renamed = columns_of(cells, name, dataset, notes)
    if separator != ",":
        notes.append(
            f"The columns are separated by {SEPARATORS[separator]}, not commas; save the file with commas before"
            " it is submitted"
        )
    if not _has_more(path, start + end):
        raise Unusable(f"{name} has headers but no records: make the extract again and check its dates")
    short = _shortened(path, start + end, separator, encoding, only_cr, quoted_lines, columns, dataset)
    if short:
        lost = [header for header in columns[short.cells :] if header]
        missing = tuple(h for h in dataset.headers if h in missing or h in lost)
        notes.append(
            f"{short} end before the {columns_called(lost)} that the headers name: read as blank there; ask your"
            " software supplier for a file that has every cell"
        )
    return Source(
        name=name,
        path=path,
        size=path.stat().st_size,
        dataset=dataset,
        columns=columns,
        missing=missing,
        unknown=unknown,
        renamed=renamed,
        separator=separator,
        encoding=encoding,
        carriage_returns_only=only_cr,
        quotes=quotes,
        quoted_lines=quoted_lines,
        unended=unended,
        start=start + end,
        cuts=_cuts(ends, start + end, first_line.count(b"\n", 0, end)),
        stamp=stamp,
        notes=tuple(notes),
        shortened=short,
        _open_files=open_files,
    )


def _shortened(
    path: Path,
    start: int,
    separator: str,
    encoding: str,
    only_cr: bool,
    quoted_lines: bool,
    columns: Sequence[str | None],
    dataset: Dataset,
) -> Shortened | None:
    """Whether nearly all rows end before the last headers. Without a field that must be there a row is not read."""
    with path.open("rb") as file:
        file.seek(start)
        with io.TextIOWrapper(file, encoding, newline="" if quoted_lines else "\r" if only_cr else "\n") as text:
            lines = text if quoted_lines else (line.rstrip("\r\n") + "\n" for line in text)
            try:
                found = shortened(csv.reader(lines, delimiter=separator), len(columns))
            except csv.Error:
                return None
    ends = [dataset.by_header[header] for header in columns[found.cells :] if header] if found else []
    return None if not ends or any(field.missing is Severity.REJECT for field in ends) else found


def _official(dataset: Dataset) -> list[str]:
    """A note for each official list in use: with other lists the same file may have other findings."""
    used = dict.fromkeys(
        # A list that takes in another one's codes has that one's name as their group.
        (row.group if row.group in dataset.lists else name, row.source)
        for name, codes in dataset.lists.items()
        for row in codes.rows
        if row.status is Status.OFFICIAL
    )
    return [f"The official list for {name} was used{source and f', {source}'}" for name, source in used]


def _outside_quotes(text: bytes) -> bytes:
    """A text without its quoted cells; one that its end cuts off is left out too."""
    return re.sub(rb'"[^"]*("|\Z)', b"", text) if b"\n" in text else text


def _has_more(path: Path, start: int) -> bool:
    with path.open("rb") as file:
        file.seek(start)
        while chunk := file.read(1 << 20):
            if chunk.strip():
                return True
    return False


def _cuts(ends: Sequence[tuple[int, int]], start: int, headers: int) -> tuple[Cut, ...]:
    """Pieces from where they end, in bytes and lines, leaving out what comes before the records."""
    cuts, at, lines = [], start, headers
    for end, upto in ends:
        if end > at:
            cuts.append(Cut(at, end - at, 2 + lines - headers, upto - lines))
            at, lines = end, upto
    return tuple(cuts)


def _bytes_of(file: IO[bytes], name: str, only_cr: bool, piece: int) -> tuple[str, bool, bool, list[tuple[int, int]]]:  # noqa: PLR0912 - to be divided when it is next opened
    """Encoding, whether there are quotes, whether a quoted cell spans lines, and where pieces end.

    A piece ends with a line, and is told as the bytes and the lines before its end.
    """
    ends: list[tuple[int, int]] = []
    cut = lines = 0
    encoding, quotes, quoted_lines = "ascii", False, False
    decoder = codecs.getincrementaldecoder("utf-8")()
    line_end = b"\r" if only_cr else b"\n"
    rest = b""
    gap = at = odd = 0
    utf_8 = False
    while chunk := file.read(min(LONGEST_LINE, piece)):
        if b"\0" in chunk:
            nul = at + chunk.index(b"\0")
            raise Unusable(
                f"Row {_row(file, nul, line_end)} of {name} has NUL characters, so the file is"
                " damaged or not a CSV file: make it again"
            )
        if not chunk.isascii() and encoding == "ascii":
            encoding = "utf-8"
        text = chunk
        if encoding == "utf-8":
            try:
                utf_8 = not decoder.decode(chunk).isascii() or utf_8
            except UnicodeDecodeError as bad:
                encoding = "cp1252"
                # With the first bytes of a character, of which the chunk before had said nothing yet.
                text = bad.object
                odd = odd or at + max(0, bad.start - len(text) + len(chunk))
        if encoding == "cp1252" and not text.isascii():
            utf_8 = utf_8 or bool(_UTF_8.search(text))
            if no_character := NO_CP1252.search(text):
                odd, utf_8 = odd if utf_8 else at + no_character.start() - len(text) + len(chunk), True
            if utf_8:
                raise Unusable(
                    f"Row {_row(file, odd, line_end)} of {name} has characters in another encoding than the rest: save"
                    " the file as “CSV UTF-8 (comma delimited)”"
                )
        end = chunk.rfind(line_end) + 1
        if gap + (end or len(chunk)) > 2 * LONGEST_LINE:
            raise Unusable(
                f"Row {_row(file, at - gap, line_end)} of {name} is over {LONGEST_LINE:,} characters long, so this is"
                " not a CSV file: make the extract again"
            )
        gap = len(chunk) - end if end else gap + len(chunk)
        if quotes or b'"' in chunk:
            quotes = True
            whole, rest = (rest + chunk[:end], chunk[end:]) if end else (b"", rest + chunk)
            quoted_lines = quoted_lines or _left_open(whole, line_end)
        # Where carriage returns end the lines, a line feed inside a quoted cell is a line of the cell.
        quoted_lines = quoted_lines or (only_cr and b"\n" in chunk)
        lines += chunk.count(b"\n") + (chunk.count(b"\r") if only_cr else 0)
        if end and at + end - cut >= piece:
            cut = at + end
            ends.append((cut, lines))
        at += len(chunk)
    ends.append((at, lines + bool(gap)))
    quoted_lines = quoted_lines or _left_open(rest, line_end)
    if encoding == "utf-8" and (begun := decoder.getstate()[0]):
        if utf_8 or NO_CP1252.search(begun):
            raise Unusable(within_a_character(name))
        encoding = "cp1252"
    return ("utf-8" if encoding == "ascii" else encoding), quotes, quoted_lines, ends


def _row(file: IO[bytes], place: int, line_end: bytes) -> int:
    """The row a byte of the file is in, counted from 1."""
    file.seek(0)
    row = 1
    while place > 0 and (chunk := file.read(min(place, LONGEST_LINE))):
        row += chunk.count(line_end)
        place -= len(chunk)
    return row


def _left_open(lines: bytes, line_end: bytes) -> bool:
    """Whether any of some whole lines has an odd number of quotes: then one spans lines, or is stray."""
    place = 0
    for _ in range(1_000):
        place = lines.find(b'"', place)
        if place < 0:
            return False
        end = lines.find(line_end, place)
        end = len(lines) if end < 0 else end
        if lines.count(b'"', place, end) % 2:
            return True
        place = end
    # Many quotes: pairs within a line vanish at once; what is left belongs to a line with an odd one.
    keep = b'"' + line_end
    bare = lines.translate(None, bytes(b for b in range(256) if b not in keep))
    return b'"' in bare.replace(b'""', b"")
