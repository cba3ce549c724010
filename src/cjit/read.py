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
import difflib
import hashlib
import io
import os
import re
import shutil
import stat
import sys
import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import IO, NamedTuple, Protocol

import polars as pl

from cjit.dataset import Dataset, Kind, Severity, Status
from cjit.rows import BLOCK, Ends, Reading, Shortened, shortened
from cjit.rows import block as in_block

#: Bytes in a piece: large enough that a query costs more than its call, small enough that memory stays low.
PIECE = 12 << 20
#: Bytes whose structure is looked at together: where a line is odd, no more than these are split into lines.
_BLOCK = 256 << 10
#: No line of a CJIT file comes near this many bytes: longer, it is not a CSV file.
LONGEST_LINE = 1 << 20

#: Letters of Western Europe as UTF-8 writes them; in Windows-1252 such a pair would be nonsense ("Ã©").
_UTF_8 = re.compile(rb"[\xc2-\xc5][\x80-\xbf]")
#: Bytes that stand for no character in Windows-1252.
_NO_CP1252 = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")
_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
_SIGNATURES = {
    b"PK\x03\x04": "an Excel workbook or a ZIP file: open it and save it as “CSV UTF-8 (comma delimited)”",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook: open it and save it as “CSV UTF-8 (comma delimited)”",
    b"%PDF": "a PDF document: send the CSV file your clinical system makes",
    b"\x1f\x8b": "a compressed (gzip) file: unpack it first",
    b"\xff\xfe": "Unicode text (UTF-16): save it as “CSV UTF-8 (comma delimited)”",
    b"\xfe\xff": "Unicode text (UTF-16): save it as “CSV UTF-8 (comma delimited)”",
}


csv.field_size_limit(2 * LONGEST_LINE)


class Unusable(ValueError):  # noqa: N818 - it is the document's outcome for a file, not a fault of ours
    """The file cannot be checked at all. The text is one sentence that says why and what to do."""


@dataclass(frozen=True)
class Batch:
    """Some rows of a file. `frame` has a column of text for each header of the dataset, blank as null.

    Where texts repeat from row to row, in all but ids, a column may be a Categorical (`repeating`): each text is
    then kept once. `rows` are their numbers as the spreadsheet shows them (the header is row 1). `ragged` are
    (row, number of cells) of rows that are not in `frame` because their cells cannot be told apart;
    `blank` counts rows with nothing in them at all, `short` and `long` those that were read although blank cells at
    their end were left out, or were too many (`cjit.rows`); `uneven` are the short ones beside which longer ones stand,
    as no spreadsheet writes them. `cut_off` is the ragged row within which the file ends,
    `width` how many cells a row should have.
    """

    frame: pl.DataFrame
    rows: pl.Series
    ragged: tuple[tuple[int, int], ...] = ()
    blank: int = 0
    size: int = 0
    short: int = 0
    long: int = 0
    cut_off: int | None = None
    width: int = 0
    uneven: tuple[int, ...] = ()

    def text(self) -> pl.DataFrame:
        """The frame with every column as plain text."""
        return self.frame.cast({pl.Categorical: pl.String})


class Piece(Protocol):
    """A stretch of rows, not yet parsed."""

    def __call__(self) -> Batch:
        """Parse it."""

    def only(self, rows: pl.Series) -> Batch:
        """Parse no more than some rows, given by number in order."""


@dataclass(frozen=True)
class Made:
    """A piece that is parsed already."""

    batch: Batch

    def __call__(self) -> Batch:
        """The batch it was made of."""
        return self.batch

    def only(self, rows: pl.Series) -> Batch:
        """Some of its rows."""
        some = self.batch.rows.is_in(rows.implode())
        return Batch(self.batch.frame.filter(some), self.batch.rows.filter(some))


class Cut(NamedTuple):
    """Where a piece of a file stands: its first byte, its bytes, the number of its first row, and its lines."""

    at: int
    size: int
    first: int
    lines: int


@dataclass(frozen=True)
class Source:
    """A file found fit to be read.

    `columns` is what each column of the file is: a header of the dataset, or None where unknown. Of the headers that
    are `missing`, those are in the header row of which nearly all rows are `shortened`. `unended` says
    that no line end follows the last row. `notes` are sentences on the official lists in use, on what was found odd,
    and how it is read.
    """

    name: str
    path: Path
    size: int
    dataset: Dataset
    columns: tuple[str | None, ...]
    missing: tuple[str, ...]
    unknown: tuple[str, ...]
    renamed: dict[str, str]
    separator: str
    encoding: str
    carriage_returns_only: bool
    quotes: bool
    quoted_lines: bool
    unended: bool
    start: int
    cuts: tuple[Cut, ...] = field(repr=False)
    stamp: tuple[int, int, int]
    notes: tuple[str, ...]
    shortened: Shortened | None = None
    _kept: list[object] = field(default_factory=list, repr=False, compare=False)

    def assure(self) -> None:
        """Raise `Unusable` where the file is not the one that was opened: an extract may still be running."""
        try:
            now = _stamp(self.path)
        except OSError:
            now = (0, 0, 0)
        if now != self.stamp:
            raise Unusable(f"{self.name} changed while it was being read: wait until it is complete, then check again")

    @property
    def lost(self) -> tuple[str, ...]:
        """The headers that are missing although they stand in the header row: nearly all rows end before them."""
        ends = self.columns[self.shortened.cells :] if self.shortened else ()
        return tuple(header for header in ends if header)

    def sha256(self) -> str:
        """The hash of the file's bytes, as 64 hexadecimal figures."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def pieces(self, kinds: Mapping[str, pl.DataType] | None = None) -> Iterator[Piece]:
        """The file piece by piece, in order: each a call that parses it and may run in any thread.

        Texts that repeat are kept once a piece or, in the `kinds` given (`repeating`), once for them all.
        """
        if self.quoted_lines:
            yield from _records(self)
        else:
            yield from (_Piece(self, cut, kinds) for cut in self.cuts)


def decoded(data: bytes, name: str) -> str:
    """All of a small text, UTF-8 with or without its mark, or Windows-1252; raises `Unusable` where it is neither."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as bad:
        if bad.reason == "unexpected end of data" and not data[: bad.start].isascii():
            raise Unusable(_within_a_character(name)) from None
    if _NO_CP1252.search(data):
        raise Unusable(f"{name} is not text in UTF-8: save it as “CSV UTF-8 (comma delimited)”")
    # As Excel saves what it calls CSV and no more.
    return data.decode("cp1252")


def _within_a_character(name: str) -> str:
    return f"{name} ends within a character, so it was cut off or has two encodings: make it again"


# ---- opening ---------------------------------------------------------------------------------------


def open_file(
    path: str | os.PathLike[str] | IO[bytes] | bytes, dataset: Dataset, name: str = "", piece: int = PIECE
) -> Source:
    """Look a file over and say what it is, or raise `Unusable`. It is later read in pieces of some bytes.

    `path` may be `-` (standard input), bytes, or an open binary file; those are first copied to a
    temporary file that only this user can read and that goes when the Source does.
    """
    kept: list[object] = []
    if isinstance(path, bytes):
        path = io.BytesIO(path)
    if path == "-":
        path, name = sys.stdin.buffer, name or "standard input"
    if isinstance(path, str | os.PathLike):
        where = Path(path)
        name = name or where.name
        where = _regular(where, name, kept)
    elif not callable(getattr(path, "read", None)) or isinstance(path, io.TextIOBase):
        raise TypeError(
            "A file must be given by its path, as bytes, or opened to read bytes (mode “rb”), not as"
            f" {type(path).__name__}"
        )
    else:
        where = _spooled(path, kept)
        name = name or "the file"
    try:
        return _survey(where, name, dataset, kept, piece)
    except OSError as problem:
        raise Unusable(f"{name} cannot be read ({problem.strerror}): check that you may open it") from None


def _regular(path: Path, name: str, kept: list[object]) -> Path:
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
                return _spooled(file, kept)
        except OSError as problem:
            raise Unusable(f"{name} cannot be read ({problem.strerror})") from None
    if not stat.S_ISREG(mode):
        raise Unusable(f"{name} is a device, not a file: give the CSV file")
    return path


class Aside:
    """A file for a moment, that only this user can read: written to as `file`, and opened again at `path`.

    On Linux it has no name in any folder, so nobody else comes upon it, and nothing is left of it where this process is
    killed. Elsewhere it lies in `folder` under a name, locked where files can be, until it is closed or forgotten.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.file: IO[bytes] = tempfile.TemporaryFile(prefix="cjit-", dir=folder)  # noqa: SIM115 - closed below
        # Each time this is opened it is another reader of the same file, which has a place of its own in it.
        self.path = Path(f"/proc/self/fd/{self.file.fileno()}")
        if not _leads_to(self.path, self.file):
            self.file.close()
            handle, name = tempfile.mkstemp(prefix="cjit-", suffix=".csv", dir=folder)
            self.file, self.path = open(handle, "w+b"), Path(name)  # noqa: SIM115 - closed below
            _lock(self.file)
        self.close = weakref.finalize(self, _end, self.file, self.path)


def _end(file: IO[bytes], path: Path) -> None:
    # What did not fit on a full disk is tried again here.
    with suppress(OSError):
        file.close()
    with suppress(OSError):
        # Without a name there is none to remove: it is the kernel's, who takes it back by itself.
        if not path.is_relative_to("/proc"):
            path.unlink()


def _leads_to(path: Path, file: IO[bytes]) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except OSError:
        return False


def _lock(file: IO[bytes]) -> None:
    if sys.platform != "win32":
        import fcntl

        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def is_in_use(path: Path) -> bool:
    """Whether a process holds a file that was put aside under a name. False where that cannot be told."""
    if sys.platform == "win32":
        # There a file that is open cannot be removed.
        return False
    import fcntl

    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _spooled(stream: IO[bytes], kept: list[object]) -> Path:
    copy = Aside()
    kept.append(copy)
    shutil.copyfileobj(stream, copy.file, 1 << 20)
    copy.file.flush()
    return copy.path


def _survey(path: Path, name: str, dataset: Dataset, kept: list[object], piece: int) -> Source:
    """One pass over the bytes: encoding, NULs, line ends, quotes, over-long lines."""
    notes = _official(dataset)
    stamp = _stamp(path)
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
    separator, cells, end = _header(first_line, encoding, name, dataset, notes)
    columns, missing, unknown, renamed = _columns(cells, name, dataset, notes)
    if separator != ",":
        notes.append(
            f"The columns are separated by {_SEPARATORS[separator]}, not commas; save the file with commas before"
            " it is submitted"
        )
    if not _has_more(path, start + end):
        raise Unusable(f"{name} has headers but no records: make the extract again and check its dates")
    short = _shortened(path, start + end, separator, encoding, only_cr, quoted_lines, columns, dataset)
    if short:
        lost = [header for header in columns[short.cells :] if header]
        missing = tuple(h for h in dataset.headers if h in missing or h in lost)
        notes.append(
            f"{short} end before the {_columns_called(lost)} that the headers name: read as blank there; ask your"
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
        _kept=kept,
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
    told = dict.fromkeys(
        # A list that takes in another one's codes has that one's name as their group.
        (row.group if row.group in dataset.lists else name, row.source)
        for name, codes in dataset.lists.items()
        for row in codes.rows
        if row.status is Status.OFFICIAL
    )
    return [f"The official list for {name} was used{source and f', {source}'}" for name, source in told]


def _outside_quotes(text: bytes) -> bytes:
    """A text without its quoted cells; one that its end cuts off is left out too."""
    return re.sub(rb'"[^"]*("|\Z)', b"", text) if b"\n" in text else text


def _stamp(path: Path) -> tuple[int, int, int]:
    told = path.stat()
    return told.st_ino, told.st_size, told.st_mtime_ns


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


def _bytes_of(file: IO[bytes], name: str, only_cr: bool, piece: int) -> tuple[str, bool, bool, list[tuple[int, int]]]:
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
        told = chunk
        if encoding == "utf-8":
            try:
                utf_8 = not decoder.decode(chunk).isascii() or utf_8
            except UnicodeDecodeError as bad:
                encoding = "cp1252"
                # With the first bytes of a character, of which the chunk before had said nothing yet.
                told = bad.object
                odd = odd or at + max(0, bad.start - len(told) + len(chunk))
        if encoding == "cp1252" and not told.isascii():
            utf_8 = utf_8 or bool(_UTF_8.search(told))
            if no_character := _NO_CP1252.search(told):
                odd, utf_8 = odd if utf_8 else at + no_character.start() - len(told) + len(chunk), True
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
        if utf_8 or _NO_CP1252.search(begun):
            raise Unusable(_within_a_character(name))
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


def _header(head: bytes, encoding: str, name: str, dataset: Dataset, notes: list[str]) -> tuple[str, list[str], int]:
    """The separator, the cells of the header row, and the bytes it takes.

    The separator is the one that makes most known headers. A first line such as "sep=;" is for Excel and is
    passed over.
    """
    lines = head.splitlines(keepends=True)
    skipped = 0
    if re.fullmatch(rb'"?sep=.?"?\s*', lines[0], re.IGNORECASE):
        notes.append("The first line only names the separator, for Excel, so it was passed over")
        skipped = len(lines.pop(0))
    known = {h.upper() for f in dataset.fields for h in (f.header, *f.also)}

    def found(cells: Sequence[str]) -> int:
        return sum(_tidy_header(cell) in known for cell in cells)

    rows = [_first_record(lines, separator, encoding) for separator in _SEPARATORS]
    best = max(range(len(rows)), key=lambda i: found(rows[i][0]))
    cells, taken = rows[best]
    if not found(cells):
        for number, line in enumerate(lines[1:10], 2):
            if any(found(line.decode(encoding, "replace").split(separator)) > 1 for separator in _SEPARATORS):
                raise Unusable(f"The headers of {name} are in row {number}: delete the rows above them")
        raise Unusable(
            f"The first row of {name} holds none of the headers of dataset {dataset.letter}, such as"
            f" {dataset.headers[0]}: make the extract again with a header row"
        )
    return list(_SEPARATORS)[best], cells, skipped + taken


def _first_record(lines: Sequence[bytes], separator: str, encoding: str) -> tuple[list[str], int]:
    """The cells of the first record, which may span lines, and the bytes it takes; no cells where it cannot end."""
    text = [line.decode(encoding, "replace") for line in lines[:200]]
    for count in range(1, len(text) + 1):
        try:
            cells = next(csv.reader(text[:count], delimiter=separator, strict=True), [])
        except csv.Error:
            continue
        return cells, sum(map(len, lines[:count]))
    return [], 0


def _tidy_header(cell: str) -> str:
    return re.sub(r"\s+", "", cell.replace("\ufeff", "")).upper()


def _columns(
    cells: Sequence[str], name: str, dataset: Dataset, notes: list[str]
) -> tuple[tuple[str | None, ...], tuple[str, ...], tuple[str, ...], dict[str, str]]:
    """What each column is; raises where a header stands twice or the file cannot be of this dataset."""
    also = {other: f.header for f in dataset.fields for other in f.also}
    columns: list[str | None] = []
    unknown: list[str] = []
    renamed: dict[str, str] = {}
    for cell in cells:
        tidy = _tidy_header(cell)
        header = tidy if tidy in dataset.by_header else also.get(tidy)
        columns.append(header)
        if header is None:
            unknown.append(_shown(cell) or f"(column {len(columns)}, no header)")
        elif cell != header:
            renamed[cell] = header
    twice = sorted({h for h in columns if h and columns.count(h) > 1}, key=dataset.headers.index)
    if twice:
        spelt = list(dict.fromkeys(_tidy_header(c) for c, h in zip(cells, columns, strict=True) if h in twice))
        more = "more than once" if len(spelt) == len(twice) else "which are one and the same,"
        raise Unusable(f"{name} has the header {_and(spelt)} {more}: keep one column for each header")
    missing = tuple(h for h in dataset.headers if h not in columns)
    other = [h for h in map(_tidy_header, unknown) if h in dataset.elsewhere]
    if other and missing:
        letter = dataset.elsewhere[other[0]]
        raise Unusable(
            f"{name} looks like dataset {letter}, because it has {_and(other[:3])}: check it with"
            f" --dataset {letter}, or ask your software supplier for dataset {dataset.letter}"
        )
    near = _near(missing, unknown)
    hints = [f"{header} by “{near[header]}”" for header in missing if header in near]
    hint = f" (did you mean {_and(hints)}?)" if hints else ""
    fatal = [h for h in missing if dataset.by_header[h].missing is Severity.REJECT]
    if fatal:
        raise Unusable(
            f"{name} has no {_columns_called(fatal)}{hint}, without which every record would be rejected: ask your"
            " software supplier for a file that has every column"
        )
    if missing:
        notes.append(
            f"There {'is' if len(missing) == 1 else 'are'} no {_columns_called(missing)}{hint}: read as blank on every"
            " row; ask your software supplier for a file that has every column"
        )
    others = [header for header in unknown if header not in near.values()]
    if others:
        shown = _and([f"“{header}”" for header in others[:5]] + ([f"{len(others) - 5:,} more"] if others[5:] else []))
        verb, was = ("is", "it was") if len(others) == 1 else ("are", "they were")
        column = "column" if len(others) == 1 else "columns"
        notes.append(f"The {column} {shown} {verb} not in dataset {dataset.letter}, so {was} not read")
    return tuple(columns), missing, tuple(unknown), renamed


def _shown(cell: str) -> str:
    """A header cell as it may be shown: printable, and no longer than a header could be."""
    text = "".join(c if c.isprintable() else " " for c in cell).strip()
    return text if len(text) <= 40 else text[:39] + "…"


def _columns_called(headers: Sequence[str]) -> str:
    return f"column {headers[0]}" if len(headers) == 1 else f"columns {_and(headers)}"


def _near(missing: Sequence[str], unknown: Sequence[str]) -> dict[str, str]:
    """For each missing header the unknown one it may have been meant by."""
    tidy = {_tidy_header(header): header for header in unknown}
    near = {h: difflib.get_close_matches(h, tidy, n=1, cutoff=0.75) for h in missing}
    return {h: tidy[match[0]] for h, match in near.items() if match}


def _and(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


# ---- parsing ---------------------------------------------------------------------------------------


def repeating(dataset: Dataset) -> dict[str, pl.Categorical]:
    """For each field but ids a type that keeps each of its texts once; fields of one code list share theirs.

    The types are new at each call: what a piece of a file holds goes when the piece goes.
    """
    fields = [f for f in dataset.fields if f.kind is not Kind.ID]
    lists = dict.fromkeys(f.codes or f.header for f in fields)
    made = {name: pl.Categorical(pl.Categories.random()) for name in lists}
    return {f.header: made[f.codes or f.header] for f in fields}


class _Odd:
    """Lines that do not look like the rest, looked at one by one.

    `left_out` are the rows whose cells cannot be told apart, or that have nothing in them; `ragged` the former
    with their cells; `stray` says whether a quote stands where only a careful reader reads it right. `fitted` are the
    rows with fewer or more cells that are read all the same, with their cells, unless `doubtful` says otherwise.
    """

    def __init__(self, source: Source, last: int | None = None) -> None:
        self.source = source
        self.separator, self.width = source.separator.encode(), len(source.columns)
        self.ends = _ends(source.dataset, source.columns)
        #: The row that no line end follows.
        self.last = last
        self.left_out: list[int] = []
        self.ragged: list[tuple[int, int]] = []
        self.stray = False
        self.fitted: dict[int, int] = {}
        self.sure: set[tuple[int, int]] = set()
        self.asking: list[int] = []

    def look(self, block: bytes, patterns: list[bytes], first: int) -> bytes:
        """Some lines less those left out; `patterns` are their separators and unpaired quotes."""
        straight = self.separator * (self.width - 1)
        lines = block[:-1].split(b"\n")
        left_out: set[int] = set()
        for place, pattern in enumerate(patterns):
            if pattern == straight:
                continue
            line, row = lines[place], first + place
            quoted = b'"' in pattern
            self.stray = self.stray or (quoted and not _well_quoted(self.separator).fullmatch(line.rstrip(b"\r")))
            cells = _cells(line, self.separator, row, self.source.name)
            if len(cells) == self.width:
                continue
            if self.judge(cells, row):
                lines[place] = _fitted(line, self.separator, self.width - len(cells))
                continue
            left_out.add(place)
            self.left_out.append(row)
            if _filled(cells):
                self.ragged.append((row, len(cells)))
        return b"".join(line + b"\n" for place, line in enumerate(lines) if place not in left_out)

    def judge(self, cells: list[str], row: int) -> bool:
        """Whether a row is read, as it seems by itself, though it has fewer cells than there are headers, or more."""
        count = len(cells)
        if not _filled(cells) or (row == self.last and count < self.width):
            return False
        reading = self.ends.reading(cells)
        if reading is Reading.NOT:
            return False
        self.fitted[row] = count
        if reading is Reading.SURE:
            self.sure.add((in_block(row), count))
        else:
            self.asking.append(row)
        return True

    def doubtful(self, others: Callable[[int], Iterator[tuple[int, bytes]]]) -> list[int]:
        """The rows that are not read after all: in their block is none of as many cells that is sure.

        `others` gives the rows of a block that lie in another piece of the file.
        """
        for number in {in_block(row) for row in self.asking if not self._sure(row)}:
            for row, line in others(number):
                cells = _cells(line, self.separator, row, self.source.name)
                odd = len(cells) != self.width and row != _unended(self.source) and _filled(cells)
                if odd and self.ends.reading(cells) is Reading.SURE:
                    self.sure.add((number, len(cells)))
        doubtful = [row for row in self.asking if not self._sure(row)]
        self.ragged = sorted([*self.ragged, *((row, self.fitted.pop(row)) for row in doubtful)])
        return doubtful

    def _sure(self, row: int) -> bool:
        return (in_block(row), self.fitted[row]) in self.sure

    def told(self, batch: Batch) -> Batch:
        """A batch with the counts of the rows that were fitted, and with those that were not."""
        long = sum(count > self.width for count in self.fitted.values())
        # Where nearly all rows end at one place, their columns are missing, and that is said of the file.
        ends = self.source.shortened.cells if self.source.shortened else None
        short = {row: count for row, count in self.fitted.items() if count < self.width and count != ends}
        cut = self.last if self.last in dict(self.ragged) else None
        return replace(
            batch,
            ragged=tuple(self.ragged),
            short=len(short),
            long=long,
            cut_off=cut,
            width=self.width,
            uneven=tuple(sorted(self._uneven(short, batch.rows))),
        )

    def _uneven(self, short: Mapping[int, int], rows: pl.Series) -> Iterator[int]:
        """The short rows in whose block there are longer ones."""
        if not short:
            return
        blocks: dict[int, list[int]] = {}
        for row, count in short.items():
            blocks.setdefault(in_block(row), []).append(count)
        # Which blocks have other rows too.
        there = dict(((rows - 1) // BLOCK).value_counts(name="count").iter_rows())
        others = {block for block, counts in blocks.items() if len(counts) < there.get(block, 0)}
        for row, count in short.items():
            block = in_block(row)
            if block in others or count < max(blocks[block]):
                yield row


def _unended(source: Source) -> int | None:
    """The last row, where no line end follows it: it may have been cut off."""
    return source.cuts[-1].first + source.cuts[-1].lines - 1 if source.unended else None


@lru_cache(maxsize=8)
def _ends(dataset: Dataset, columns: tuple[str | None, ...]) -> Ends:
    return Ends(dataset, columns)


def _filled(cells: Sequence[str]) -> bool:
    # Control-Z is how some old systems end a file.
    return any(cell.strip(_NOTHING) for cell in cells)


_NOTHING = " \t\r\n\x1a"


def _fitted(line: bytes, separator: bytes, lacks: int) -> bytes:
    """A line with the separators it lacks at its end, or less those it has too many there."""
    bare = line.removesuffix(b"\r")
    for _ in range(-lacks):
        # What follows is blank and has no separator in it.
        bare = bare[: bare.rindex(separator)]
    return bare + separator * lacks


@dataclass(frozen=True)
class _Piece:
    """Whole lines of a file in which no quoted cell spans lines."""

    source: Source
    cut: Cut
    kinds: Mapping[str, pl.DataType] | None = None

    def _data(self) -> bytes:
        with self.source.path.open("rb") as file:
            file.seek(self.cut.at)
            data = file.read(self.cut.size)
        if len(data) != self.cut.size:
            self.source.assure()
        if self.source.carriage_returns_only:
            data = data.replace(b"\r", b"\n")
        return data if data.endswith(b"\n") else data + b"\n"

    def __call__(self) -> Batch:
        source, data, first = self.source, self._data(), self.cut.first
        separator = source.separator.encode()
        if source.encoding == "cp1252":
            data = data.decode("cp1252").encode()
        # With everything but separators, quotes and line ends taken out, a file whose rows all have
        # the same number of cells is one short pattern repeated.
        straight = separator * (len(source.columns) - 1) + b"\n"
        drop = bytes(b for b in range(256) if b not in separator + b'"\n')
        odd = _Odd(source, _unended(source))
        kept: list[bytes] = []
        row = at = 0
        while at < len(data):
            end = data.rfind(b"\n", at, at + _BLOCK) + 1 or data.find(b"\n", at) + 1
            block = data[at:end]
            bare = block.translate(None, drop)
            if source.quotes:
                bare = bare.replace(b'""', b"")
            lines, short = divmod(len(bare), len(straight))
            if short or bare != straight * lines:
                patterns = bare[:-1].split(b"\n")
                lines = len(patterns)
                block = odd.look(block, patterns, first + row)
            kept.append(block)
            row, at = row + lines, end
        rows = pl.int_range(first, first + row, dtype=pl.UInt32, eager=True)
        if odd.left_out or odd.fitted:
            data = b"".join(kept)
            rows = rows.filter(~rows.is_in(odd.left_out))
        frame = _frame(source, data, first, self.kinds, by_the_book=odd.stray) if data else _empty(source.dataset)
        blank = len(odd.left_out) - len(odd.ragged)
        batch = self._without_blanks(Batch(frame, rows, blank=blank, size=self.cut.size), data)
        if doubtful := odd.doubtful(self._others):
            stays = ~batch.rows.is_in(doubtful)
            batch = replace(batch, frame=batch.frame.filter(stays), rows=batch.rows.filter(stays))
        return odd.told(batch)

    def _others(self, number: int) -> Iterator[tuple[int, bytes]]:
        """The rows of a block that lie in the pieces beside this one."""
        first, last = self.cut.first, self.cut.first + self.cut.lines - 1
        before = list(range(max(2, number * BLOCK + 1), first))
        after = range(last + 1, (number + 1) * BLOCK + 1)
        start = max(self.source.start, self.cut.at - _BLOCK)
        with self.source.path.open("rb") as file:
            file.seek(start)
            ahead = self._lines(file.read(self.cut.at - start))[-len(before) - 1 : -1] if before else []
            file.seek(self.cut.at + self.cut.size)
            behind = self._lines(file.read(_BLOCK))[: len(after)] if after else []
        yield from zip(before[len(before) - len(ahead) :], ahead, strict=True)
        yield from zip(after, behind, strict=False)

    def _lines(self, data: bytes) -> list[bytes]:
        text = data.decode(self.source.encoding, "replace").encode()
        return (text.replace(b"\r", b"\n") if self.source.carriage_returns_only else text).split(b"\n")

    def only(self, rows: pl.Series) -> Batch:
        """Parse no more than some rows, given by number in order."""
        first = self.cut.first
        mine = rows.filter(rows.is_between(first, first + self.cut.lines - 1)).cast(pl.UInt32)
        if mine.is_empty():
            return Batch(_empty(self.source.dataset), mine)
        lines = self._data().split(b"\n")
        data = b"".join(self._whole(lines[row - first], row) + b"\n" for row in mine)
        if self.source.encoding == "cp1252":
            data = data.decode("cp1252").encode()
        return Batch(_frame(self.source, data, first, self.kinds), mine)

    def _whole(self, line: bytes, row: int) -> bytes:
        """A line with one cell for each header."""
        separator = self.source.separator.encode()
        lacks = len(self.source.columns) - 1 - line.count(separator)
        if b'"' in line:
            text = line.decode(self.source.encoding).encode()
            lacks = len(self.source.columns) - len(_cells(text, separator, row, self.source.name))
        return _fitted(line, separator, lacks) if lacks else line

    def _without_blanks(self, batch: Batch, data: bytes) -> Batch:
        """Rows with separators and nothing else, as spreadsheets leave them, are blank rows."""
        some = _blanks(batch)
        if not some.any():
            return batch
        if self.source.unknown:
            # What is in a column that is not read is something all the same.
            lines = data.split(b"\n")
            nothing = self.source.separator.encode() + b'" \t\r'
            some = some.scatter([at for at in some.arg_true() if lines[at].strip(nothing)], False)
        left = batch.blank + int(some.sum())
        return replace(batch, frame=batch.frame.filter(~some), rows=batch.rows.filter(~some), blank=left)


def _blanks(batch: Batch) -> pl.Series:
    """Where a row has nothing but spaces in it."""
    first = batch.frame[:, 0].cast(pl.String)
    blank = first.is_null()
    if first.str.starts_with(" ").any():
        blank |= (first.str.strip_chars() == "").fill_null(False)
    at = blank.arg_true()
    if not at.len():
        return blank
    empty = pl.all().is_null() | (pl.all().cast(pl.String).str.strip_chars() == "")
    return blank.scatter(at, batch.frame[at].select(pl.all_horizontal(empty))[:, 0])


def _cells(line: bytes, separator: bytes, row: int, name: str) -> list[str]:
    """The cells of a line."""
    line = line.removesuffix(b"\r")
    if b'"' not in line:
        return line.decode().split(separator.decode())
    return _split([line.decode()], separator.decode(), row, name)[0]


@cache
def _well_quoted(separator: bytes) -> re.Pattern[bytes]:
    """A line whose quotes all begin or end a cell: the only kind on which every reader agrees."""
    sep = re.escape(separator)
    cell = rb'(?:"(?:[^"]|"")*"|[^"' + sep + rb"]*)"
    return re.compile(cell + rb"(?:" + sep + cell + rb")*")


def _split(lines: Sequence[str], separator: str, first: int, name: str) -> list[list[str]]:
    """Lines by the book (RFC 4180), or the sentence that says which row breaks it."""
    found: list[list[str]] = []
    try:
        for cells in csv.reader(lines, delimiter=separator, strict=True):
            found.append(cells)
    except csv.Error:
        raise Unusable(
            f"Row {first + len(found)} of {name} has a quotation mark out of place: a cell in quotes must end with"
            " its quote, and a quote inside it must be doubled"
        ) from None
    return found


def _frame(
    source: Source, data: bytes, first: int, kinds: Mapping[str, pl.DataType] | None, *, by_the_book: bool = False
) -> pl.DataFrame:
    """Regular lines to a frame of text: a column for each header of the dataset, blank as null."""
    names = [h or f"unknown {i}" for i, h in enumerate(source.columns)]
    wanted = [i for i, h in enumerate(source.columns) if h]
    types: Mapping[str, pl.DataType] = kinds or repeating(source.dataset)
    try:
        if by_the_book:
            raise pl.exceptions.ComputeError
        frame = pl.read_csv(
            data,
            has_header=False,
            separator=source.separator,
            schema={name: types.get(name, pl.String) for name in names},
            columns=wanted if len(wanted) < len(names) else None,
            raise_if_empty=False,
            glob=False,
        )
    except pl.exceptions.PolarsError:
        lines = data.decode().split("\n")[:-1]
        cells = _split(lines, source.separator, first, source.name)
        frame = pl.DataFrame(cells, schema=dict.fromkeys(names, pl.String), orient="row")
    return _shaped(frame, source.dataset, blanks=b'""' in data)


def _shaped(frame: pl.DataFrame, dataset: Dataset, *, blanks: bool) -> pl.DataFrame:
    have = set(frame.columns)
    columns = [pl.col(h) if h in have else pl.lit(None, pl.String).alias(h) for h in dataset.headers]
    frame = frame.select(columns)
    if blanks:
        frame = frame.with_columns(pl.when(pl.all() != "").then(pl.all()))
    return frame


def _empty(dataset: Dataset) -> pl.DataFrame:
    return pl.DataFrame(schema=dict.fromkeys(dataset.headers, pl.String))


def _records(source: Source) -> Iterator[Piece]:
    """Batches of a file in which a quoted cell spans lines: slower, by Python's csv module."""
    width = len(source.columns)
    names = [h or f"unknown {i}" for i, h in enumerate(source.columns)]
    cells: list[list[str]] = []
    rows: list[int] = []
    waiting: list[tuple[int, list[str]]] = []
    odd = _Odd(source)
    blank = row = 0

    def settle() -> None:
        # The rows of one block.
        doubtful = odd.doubtful(lambda _: iter(()))
        for number, record in waiting:
            if number not in doubtful:
                cells.append((record + [""] * (width - len(record)))[:width])
                rows.append(number)
        odd.asking.clear()
        waiting.clear()

    def batch() -> Batch:
        frame = pl.DataFrame(cells, schema=dict.fromkeys(names, pl.String), orient="row")
        frame = _shaped(frame, source.dataset, blanks=True) if cells else _empty(source.dataset)
        return odd.told(Batch(frame, pl.Series(rows, dtype=pl.UInt32), blank=blank))

    with source.path.open("r", encoding=source.encoding, newline="") as text:
        text.seek(source.start)
        reader = csv.reader(text, delimiter=source.separator, strict=True)
        row = 1
        try:
            record = next(reader, None)
            while record is not None:
                row += 1
                following = next(reader, None)
                if following is None and source.unended:
                    odd.last = row
                if waiting and in_block(waiting[-1][0]) != in_block(row):
                    settle()
                    if len(cells) >= 50_000:
                        yield Made(batch())
                        cells, rows, blank, odd = [], [], 0, _Odd(source, odd.last)
                if not _filled(record):
                    blank += 1
                elif len(record) == width or odd.judge(record, row):
                    waiting.append((row, record))
                else:
                    odd.ragged.append((row, len(record)))
                record = following
        except csv.Error:
            raise Unusable(
                f"A quotation mark in row {row + 1} of {source.name} is never closed, or stands inside a cell: a cell"
                " in quotes must end with its quote, and a quote inside it must be doubled"
            ) from None
    settle()
    yield Made(batch())
