"""A file that can be read (`Source`), and the error of one that cannot (`Unusable`)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from cjit.dataset import Dataset
from cjit.files.rows import Shortened

#: Bytes in a chunk: large enough that a query costs more than its call, small enough that memory stays low.
PIECE = 12 << 20
#: The most bytes a line may have. No line of a CJIT file comes near it: a file with a longer one is no CSV file.
LONGEST_LINE = 1 << 20
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}


class Unusable(ValueError):  # noqa: N818 - it is the document's outcome for a file, not a fault of ours
    """The file cannot be checked at all. The text is one sentence that says why and what to do."""


class ByteRange(NamedTuple):
    """Some whole lines of a file, by their bytes.

    offset: the first byte.
    size: how many bytes.
    first_row: the number of the first row, as a spreadsheet shows it.
    lines: how many lines.
    """

    offset: int
    size: int
    first_row: int
    lines: int


@dataclass(frozen=True)
class Source:
    """A file that can be read, and what is known of its form.

    name: the file's name, for messages.
    path: where its bytes are: the file itself, or a private copy of a stream.
    size: its bytes.
    dataset: the dataset it is read as.
    columns: for each column a header of the dataset, or None where it is unknown.
    missing: the dataset's headers that no cell stands under, those that `shortened` rows lack among them.
    unknown: the headers that are not in the dataset, fit to be shown.
    renamed: the headers that are spelt otherwise, as they were sent, with the header each is read as.
    separator: the character between cells.
    encoding: "utf-8" or "cp1252".
    carriage_returns_only: whether lines end with carriage returns alone.
    quotes: whether there is any quotation mark.
    quoted_lines: whether a quoted cell spans lines.
    unended: whether no line end follows the last row.
    start: the byte at which the first row below the header begins.
    byte_ranges: the chunks that the file is read in, from `start` on.
    stamp: what `stamp_of` gave when the file was opened.
    notes: sentences for the user: on the official lists in use, on what is odd, and on how it is read.
    shortened: how nearly all rows end before the last headers; None where they do not.
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
    byte_ranges: tuple[ByteRange, ...] = field(repr=False)
    stamp: tuple[int, int, int]
    notes: tuple[str, ...]
    shortened: Shortened | None = None
    _open_files: list[object] = field(default_factory=list, repr=False, compare=False)

    def assure(self) -> None:
        """Make sure that the file did not change since it was opened: an extract may still be running.

        Raises:
            Unusable: where it did.
        """
        try:
            now = stamp_of(self.path)
        except OSError:
            now = (0, 0, 0)
        if now != self.stamp:
            raise Unusable(f"{self.name} changed while it was being read: wait until it is complete, then check again")

    @property
    def lost(self) -> tuple[str, ...]:
        """The missing headers that stand in the header row: nearly all rows end before them."""
        ends = self.columns[self.shortened.cells :] if self.shortened else ()
        return tuple(header for header in ends if header)

    @property
    def lines(self) -> int:
        """How many lines the file has below its header."""
        return sum(each.lines for each in self.byte_ranges)

    def sha256(self) -> str:
        """The SHA-256 hash of the file's bytes, as 64 hexadecimal digits."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def within_a_character(name: str) -> str:
    """The message on a file that ends within a character."""
    return f"{name} ends within a character, so it was cut off or has two encodings: make it again"


def stamp_of(path: Path) -> tuple[int, int, int]:
    """Inode, bytes and time of the last write (nanoseconds) of a file: one of them differs when the file changed."""
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns
