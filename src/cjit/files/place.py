"""A file takes its place under its name only when it is whole."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import reduce
from operator import and_
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

    from cjit.files.source import Source

    Sink = Callable[[pl.DataFrame], None]


class WouldOverwrite(ValueError):  # noqa: N818 - a slip of the user's, told in one sentence
    """The file to be written is the file that was sent."""


# ---- into a file -----------------------------------------------------------------------------------


@contextmanager
def placed(path: str | os.PathLike[str] | IO[bytes], source: Source | None = None) -> Iterator[IO[bytes]]:
    """A file to write to, that takes its place under its name only when it is whole.

    One that is open already is written to as it is.

    It is written beside the place it goes to and removed again when anything goes wrong. A device or a
    pipe is written to straight. It may be read by no one who may not read the file that was sent, and the one
    it replaces. Raises `WouldOverwrite` where `path` is the file that was sent, and OSError with the name the
    user gave.
    """
    if not isinstance(path, str | os.PathLike):
        yield path
        return
    where = Path(os.path.realpath(path))
    if source is not None and where.exists() and where.samefile(source.path):
        raise WouldOverwrite(f"{Path(path).name} is the file that was checked: choose another name to write to")
    if where.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    # What a link of /dev leads to may have no name of its own.
    if os.path.exists(path) and not os.path.isfile(path):
        with open(path, "wb") as out:
            yield out
        return
    beside = where.with_name(f".{where.name}.{secrets.token_hex(4)}")
    mode = _mode(where, source)
    try:
        with _named(path, beside, mode) as out:
            yield out
        if mode is not None:
            with suppress(OSError):
                beside.chmod(mode)
        beside.replace(where)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _mode(where: Path, source: Source | None) -> int | None:
    """Who may read and write a file made from others; None where there are none."""
    modes = [path.stat().st_mode for path in (where, source and source.path) if path and path.exists()]
    return reduce(and_, modes) & 0o666 | 0o200 if modes else None


def _named(path: str | os.PathLike[str], beside: Path, mode: int | None) -> IO[bytes]:
    try:
        # Not for a moment may it be read by more people than in the end.
        opener = None if mode is None else lambda name, flags: os.open(name, flags, 0o600)
        return open(beside, "xb", opener=opener)
    except OSError as problem:
        raise OSError(problem.errno, problem.strerror, str(path)) from None
