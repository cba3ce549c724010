"""Files written whole: a file appears under its name only when all of it is written."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import reduce
from operator import and_
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from cjit.files.source import Source


class WouldOverwrite(ValueError):  # noqa: N818 - a slip of the user's, told in one sentence
    """The file to be written is the file that was sent."""


# ---- into a file -----------------------------------------------------------------------------------


@contextmanager
def placed(path: str | os.PathLike[str] | IO[bytes], source: Source | None = None) -> Iterator[IO[bytes]]:
    """A file to write to, which is renamed to its path when it is whole.

    Until then it stands beside that path under another name. It is removed again when anything goes wrong. A device or
    a pipe is written to directly, and so is a file that is open already. Nobody may read the new file who may not read
    both the file that was sent and the file that is replaced.

    Args:
        path: where the file goes, by name or opened.
        source: the file that was sent, if the new one is made from it.

    Yields:
        The file, opened to write bytes.

    Raises:
        WouldOverwrite: where `path` is the file that was sent.
        OSError: where it cannot be written; it names the path that the user gave.
    """
    if not isinstance(path, str | os.PathLike):
        yield path
        return
    where = Path(os.path.realpath(path))
    if source is not None and where.exists() and where.samefile(source.path):
        raise WouldOverwrite(f"{Path(path).name} is the file that was checked: choose another name to write to")
    if where.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    # The target of a link in /dev may have no name of its own.
    if os.path.exists(path) and not os.path.isfile(path):
        with open(path, "wb") as out:
            yield out
        return
    beside = where.with_name(f".{where.name}.{secrets.token_hex(4)}")
    mode = _mode(where, source)
    try:
        with _create(path, beside, mode) as out:
            yield out
        if mode is not None:
            with suppress(OSError):
                beside.chmod(mode)
        beside.replace(where)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _mode(where: Path, source: Source | None) -> int | None:
    """The mode of a file made from others: the permissions they share; None where there are none."""
    modes = [path.stat().st_mode for path in (where, source and source.path) if path and path.exists()]
    return reduce(and_, modes) & 0o666 | 0o200 if modes else None


def _create(path: str | os.PathLike[str], beside: Path, mode: int | None) -> IO[bytes]:
    """The file `beside`, made and opened; an error names `path`, which is what the user gave."""
    try:
        # Others must not be able to read it even before its mode is set.
        opener = None if mode is None else lambda name, flags: os.open(name, flags, 0o600)
        return open(beside, "xb", opener=opener)
    except OSError as problem:
        raise OSError(problem.errno, problem.strerror, str(path)) from None
