"""Temporary files that only this user can read."""

from __future__ import annotations

import os
import sys
import tempfile
import weakref
from contextlib import suppress
from pathlib import Path
from typing import IO


class PrivateFile:
    """A temporary file that only this user can read.

    On Linux it has no name in any folder: nobody else comes upon it, and nothing is left of it when this process is
    killed. Elsewhere it stands in `folder` under a name until it is closed or garbage collected, and is locked where
    the system has locks.

    file: the file, opened to write and read bytes.
    path: a path by which it can be opened again, each time with a position of its own.
    close: closes the file and removes its name.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.file: IO[bytes] = tempfile.TemporaryFile(prefix="cjit-", dir=folder)  # noqa: SIM115 - closed below
        # Opening this path makes another reader of the same file, with a position of its own.
        self.path = Path(f"/proc/self/fd/{self.file.fileno()}")
        if not _leads_to(self.path, self.file):
            self.file.close()
            handle, name = tempfile.mkstemp(prefix="cjit-", suffix=".csv", dir=folder)
            self.file, self.path = open(handle, "w+b"), Path(name)  # noqa: SIM115 - closed below
            _lock(self.file)
        self.close = weakref.finalize(self, _remove, self.file, self.path)


def _remove(file: IO[bytes], path: Path) -> None:
    # Closing writes the buffer once more, which fails again on a full disk.
    with suppress(OSError):
        file.close()
    with suppress(OSError):
        # A file without a name is freed by the kernel itself.
        if not path.is_relative_to("/proc"):
            path.unlink()


def _leads_to(path: Path, file: IO[bytes]) -> bool:
    """Whether a path is that of an open file."""
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
    """Whether a process has a lock on a temporary file with a name. False where that cannot be known."""
    if sys.platform == "win32":
        # Windows does not remove a file that is open, so nobody needs to ask.
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
