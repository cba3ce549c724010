"""A file found fit to be read, and the one sentence that says why another is not."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from cjit.dataset import Dataset
from cjit.files.rows import Shortened

#: Bytes in a piece: large enough that a query costs more than its call, small enough that memory stays low.
PIECE = 12 << 20
#: No line of a CJIT file comes near this many bytes: longer, it is not a CSV file.
LONGEST_LINE = 1 << 20
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}


class Unusable(ValueError):  # noqa: N818 - it is the document's outcome for a file, not a fault of ours
    """The file cannot be checked at all. The text is one sentence that says why and what to do."""


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
    _open_files: list[object] = field(default_factory=list, repr=False, compare=False)

    def assure(self) -> None:
        """Raise `Unusable` where the file is not the one that was opened: an extract may still be running."""
        try:
            now = stamp_of(self.path)
        except OSError:
            now = (0, 0, 0)
        if now != self.stamp:
            raise Unusable(f"{self.name} changed while it was being read: wait until it is complete, then check again")

    @property
    def lost(self) -> tuple[str, ...]:
        """The headers that are missing although they stand in the header row: nearly all rows end before them."""
        ends = self.columns[self.shortened.cells :] if self.shortened else ()
        return tuple(header for header in ends if header)

    @property
    def lines(self) -> int:
        """How many lines the file has below its header."""
        return sum(cut.lines for cut in self.cuts)

    def sha256(self) -> str:
        """The hash of the file's bytes, as 64 hexadecimal figures."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def within_a_character(name: str) -> str:
    """That a file ends within a character, in one sentence."""
    return f"{name} ends within a character, so it was cut off or has two encodings: make it again"


def stamp_of(path: Path) -> tuple[int, int, int]:
    """What changes when a file does: its inode, its bytes, and when it was written."""
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns
