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
