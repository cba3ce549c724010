"""A file is opened and surveyed: its encoding, separator, headers and chunks, and what is wrong with the file itself.

The structure is checked before any value is parsed. A CSV parser does not do it: Polars pads a short row silently,
fails on a long one without a row number, drops a column whose header stands twice, and reads UTF-16 as garbage.
Nothing that was sent is altered or dropped without a note that says so.

The survey divides the file into chunks of a few megabytes. Each can be parsed by itself, in any thread, so memory does
not grow with the file.
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
from cjit.files.source import (
    LONGEST_LINE,
    PIECE,
    SEPARATORS,
    ByteRange,
    Source,
    Unusable,
    stamp_of,
    within_a_character,
)
from cjit.files.temporary import PrivateFile
from cjit.files.text import NO_CP1252

#: Letters of Western Europe in UTF-8. In Windows-1252 the same two bytes would be nonsense ("Ã©").
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
    """Survey a file, in one pass over its bytes.

    Standard input, bytes, open files and named pipes are first copied to a temporary file that only this user can
    read. It is removed with the Source.

    Args:
        path: the file, by its path, as bytes or opened to read bytes; "-" is standard input.
        dataset: the dataset it is read as.
        name: the file's name, for messages; by default that of its path.
        piece: the least number of bytes in a chunk; chunks end with a line.

    Returns:
        The file, with what is known of its form.

    Raises:
        Unusable: where the file cannot be read, or is none of this dataset.
        TypeError: for what is no file.
    """
    open_files: list[object] = []
    if isinstance(path, bytes):
        path = io.BytesIO(path)
    if path == "":
        raise Unusable("The name of the file is empty: give the name of a CSV file")
    if path == "-":
        path, name = sys.stdin.buffer, name or "standard input"
    if isinstance(path, str | os.PathLike):
        given = Path(path)
        name = name or given.name
        local = _regular(given, name, open_files)
    elif not callable(getattr(path, "read", None)) or isinstance(path, io.TextIOBase):
        raise TypeError(
            "A file must be given by its path, as bytes, or opened to read bytes (mode “rb”), not as"
            f" {type(path).__name__}"
        )
    else:
        local = _spooled(path, open_files)
        name = name or "the file"
    try:
        return _survey(local, name, dataset, open_files, piece)
    except OSError as problem:
        raise Unusable(f"{name} cannot be read ({problem.strerror}): check that you may open it") from None


def _regular(path: Path, name: str, open_files: list[object]) -> Path:
    """The path of a regular file: the one given, or a copy of a named pipe, which is added to `open_files`.

    Raises:
        Unusable: where there is no file at the path, or it is a folder or a device.
    """
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
    """The path of a private copy of a stream; the copy itself is added to `open_files`, which keeps it alive."""
    copy = PrivateFile()
    open_files.append(copy)
    shutil.copyfileobj(stream, copy.file, 1 << 20)
    copy.file.flush()
    return copy.path


def _survey(path: Path, name: str, dataset: Dataset, open_files: list[object], piece: int) -> Source:
    """The Source of a regular file: its bytes are scanned, then its headers are parsed, then its rows are counted.

    Args:
        path: the file.
        name: its name, for messages.
        dataset: the dataset it is read as.
        open_files: what must live as long as the Source.
        piece: the least number of bytes in a chunk.

    Returns:
        The file, with what is known of its form.

    Raises:
        Unusable: where it cannot be read.
    """
    notes = _official(dataset)
    stamp = stamp_of(path)
    with path.open("rb") as file:
        head = file.read(LONGEST_LINE)
        if not head.removeprefix(codecs.BOM_UTF8).strip():
            raise Unusable(f"{name} is empty: make the extract again and check that it has records")
        for signature, what in _SIGNATURES.items():
            if head.startswith(signature):
                raise Unusable(f"{name} is {what}")
        # Where carriage returns end the lines, a line feed may still stand inside a quoted cell.
        bare = _outside_quotes(head)
        only_cr = b"\n" not in bare and b"\r" in bare
        if only_cr:
            notes.append("The lines end with carriage returns alone; they were read as line ends")
        start = len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0
        file.seek(0)
        encoding, quotes, quoted_lines, ends = _scan(file, name, only_cr, piece)
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
    short_rows = _shortened(path, start + end, separator, encoding, only_cr, quoted_lines, columns, dataset)
    if short_rows:
        lost = [header for header in columns[short_rows.cells :] if header]
        missing = tuple(h for h in dataset.headers if h in missing or h in lost)
        notes.append(
            f"{short_rows} end before the {columns_called(lost)} that the headers name: read as blank there; ask your"
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
        byte_ranges=_byte_ranges(ends, start + end, first_line.count(b"\n", 0, end)),
        stamp=stamp,
        notes=tuple(notes),
        shortened=short_rows,
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
    """How nearly all rows end before the last headers.

    Args:
        path: the file.
        start: the byte at which the first row below the header begins.
        separator: the character between cells.
        encoding: the encoding.
        only_cr: whether lines end with carriage returns alone.
        quoted_lines: whether a quoted cell spans lines.
        columns: for each column a header of the dataset, or None.
        dataset: the dataset.

    Returns:
        The number of cells and of rows; None where most rows are whole, and where a column is lost without which a row
        is rejected: then the rows are ragged.
    """
    with path.open("rb") as file:
        file.seek(start)
        with io.TextIOWrapper(file, encoding, newline="" if quoted_lines else "\r" if only_cr else "\n") as text:
            lines = text if quoted_lines else (line.rstrip("\r\n") + "\n" for line in text)
            try:
                short_rows = shortened(csv.reader(lines, delimiter=separator), len(columns))
            except csv.Error:
                return None
    lost = [dataset.by_header[header] for header in columns[short_rows.cells :] if header] if short_rows else []
    return None if not lost or any(field.missing is Severity.REJECT for field in lost) else short_rows


def _official(dataset: Dataset) -> list[str]:
    """A note on each official list in use: the same file may have other findings under other lists."""
    used = dict.fromkeys(
        # In a joined list the group of a row is the name of the list it is from.
        (row.group if row.group in dataset.lists else name, row.source)
        for name, codes in dataset.lists.items()
        for row in codes.rows
        if row.status is Status.OFFICIAL
    )
    return [f"The official list for {name} was used{source and f', {source}'}" for name, source in used]


def _outside_quotes(text: bytes) -> bytes:
    """Some bytes of a file less its quoted cells; the last may be cut off."""
    return re.sub(rb'"[^"]*("|\Z)', b"", text) if b"\n" in text else text


def _has_more(path: Path, start: int) -> bool:
    with path.open("rb") as file:
        file.seek(start)
        while buffer := file.read(1 << 20):
            if buffer.strip():
                return True
    return False


def _byte_ranges(ends: Sequence[tuple[int, int]], start: int, headers: int) -> tuple[ByteRange, ...]:
    """The byte ranges of the chunks, less the header row.

    Args:
        ends: for each chunk the bytes and the lines before its end.
        start: the byte at which the first row below the header begins.
        headers: how many lines stand before it.
    """
    ranges, offset, lines = [], start, headers
    for end, upto in ends:
        if end > offset:
            ranges.append(ByteRange(offset, end - offset, 2 + lines - headers, upto - lines))
            offset, lines = end, upto
    return tuple(ranges)


def _scan(file: IO[bytes], name: str, only_cr: bool, piece: int) -> tuple[str, bool, bool, list[tuple[int, int]]]:
    """One pass over the bytes of a file, buffer by buffer.

    Args:
        file: the file, at its first byte.
        name: its name, for messages.
        only_cr: whether lines end with carriage returns alone.
        piece: the least number of bytes in a chunk; chunks end with a line.

    Returns:
        The encoding ("utf-8" or "cp1252"); whether there are quotation marks; whether a quoted cell spans lines; for
        each chunk the bytes and the lines before its end.

    Raises:
        Unusable: where there are NUL characters, two encodings, or a line over `LONGEST_LINE`.
    """
    ends: list[tuple[int, int]] = []
    chunk_start = lines = 0
    encoding, quotes, quoted_lines = "ascii", False, False
    decoder = codecs.getincrementaldecoder("utf-8")()
    line_end = b"\r" if only_cr else b"\n"
    rest = b""
    # `unfinished`: the bytes since the last line end. `bad_byte`: the first byte that is no UTF-8.
    unfinished = offset = bad_byte = 0
    utf_8 = False
    while buffer := file.read(min(LONGEST_LINE, piece)):
        if b"\0" in buffer:
            nul = offset + buffer.index(b"\0")
            raise Unusable(
                f"Row {_row(file, nul, line_end)} of {name} has NUL characters, so the file is"
                " damaged or not a CSV file: make it again"
            )
        if not buffer.isascii() and encoding == "ascii":
            encoding = "utf-8"
        text = buffer
        if encoding == "utf-8":
            try:
                utf_8 = not decoder.decode(buffer).isascii() or utf_8
            except UnicodeDecodeError as bad:
                encoding = "cp1252"
                # The decoder may have held back the first bytes of a character at the end of the last buffer.
                text = bad.object
                bad_byte = bad_byte or offset + max(0, bad.start - len(text) + len(buffer))
        if encoding == "cp1252" and not text.isascii():
            utf_8 = utf_8 or bool(_UTF_8.search(text))
            if no_character := NO_CP1252.search(text):
                place = offset + no_character.start() - len(text) + len(buffer)
                bad_byte, utf_8 = bad_byte if utf_8 else place, True
            if utf_8:
                raise Unusable(
                    f"Row {_row(file, bad_byte, line_end)} of {name} has characters in another encoding than the rest:"
                    " save the file as “CSV UTF-8 (comma delimited)”"
                )
        end = buffer.rfind(line_end) + 1
        if unfinished + (end or len(buffer)) > 2 * LONGEST_LINE:
            raise Unusable(
                f"Row {_row(file, offset - unfinished, line_end)} of {name} is over {LONGEST_LINE:,} characters long,"
                " so this is not a CSV file: make the extract again"
            )
        unfinished = len(buffer) - end if end else unfinished + len(buffer)
        quotes = quotes or b'"' in buffer
        finished, rest = _finished(rest, buffer, end)
        quoted_lines = quoted_lines or _has_unpaired_quote(finished, line_end)
        # Where carriage returns end the lines, a line feed inside a quoted cell is a line of the cell.
        quoted_lines = quoted_lines or (only_cr and b"\n" in buffer)
        lines += buffer.count(b"\n") + (buffer.count(b"\r") if only_cr else 0)
        if end and offset + end - chunk_start >= piece:
            chunk_start = offset + end
            ends.append((chunk_start, lines))
        offset += len(buffer)
    ends.append((offset, lines + bool(unfinished)))
    quoted_lines = quoted_lines or _has_unpaired_quote(rest, line_end)
    if encoding == "utf-8" and (partial := decoder.getstate()[0]):
        if utf_8 or NO_CP1252.search(partial):
            raise Unusable(within_a_character(name))
        encoding = "cp1252"
    return ("utf-8" if encoding == "ascii" else encoding), quotes, quoted_lines, ends


def _row(file: IO[bytes], offset: int, line_end: bytes) -> int:
    """The number of the row, counted from 1, in which a byte of the file stands."""
    file.seek(0)
    row = 1
    while offset > 0 and (buffer := file.read(min(offset, LONGEST_LINE))):
        row += buffer.count(line_end)
        offset -= len(buffer)
    return row


def _finished(rest: bytes, buffer: bytes, end: int) -> tuple[bytes, bytes]:
    """The lines that a buffer finishes, and what it has of the next one.

    Args:
        rest: what was read of the line before the buffer.
        buffer: the bytes.
        end: where its last line ends; 0 where none does.

    Returns:
        The lines, or nothing where none has a quote; and the rest.
    """
    if not end:
        return b"", rest + buffer
    if b'"' not in buffer and b'"' not in rest:
        return b"", buffer[end:]
    return rest + buffer[:end], buffer[end:]


def _has_unpaired_quote(lines: bytes, line_end: bytes) -> bool:
    """Whether any of some whole lines has an odd number of quotes: then a quoted cell spans lines, or one is stray."""
    offset = 0
    for _ in range(1_000):
        offset = lines.find(b'"', offset)
        if offset < 0:
            return False
        end = lines.find(line_end, offset)
        end = len(lines) if end < 0 else end
        if lines.count(b'"', offset, end) % 2:
            return True
        offset = end
    # After a thousand lines with quotes, all at once: pairs within a line are removed, and any quote left is unpaired.
    keep = b'"' + line_end
    bare = lines.translate(None, bytes(b for b in range(256) if b not in keep))
    return b'"' in bare.replace(b'""', b"")
