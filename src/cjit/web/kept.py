"""Files of a record: an upload as it was received and what was found in it, or an extract that was checked.

They are in a folder with a random name outside anything a web server serves, readable by this user alone and,
where the installation has a key, encrypted (AES-256 in Galois/Counter mode, a megabyte at a time, so that a file is
never wholly in memory and no piece can be altered, moved or cut off unseen). With a key or without one, what is read
is what was kept, by its SHA-256, or it is not read at all.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import os
import secrets
import shutil
import struct
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler, TemporaryFileUploadHandler

from cjit.files.temporary import PrivateFile, is_in_use
from cjit.web.clock import database_now, is_held_back

UPLOAD, FINDINGS, CONTESTED = "upload", "findings", "contested"

_CHUNK = 1 << 20
_MARK = b"CJIT-1\n"
_LAST = 1 << 31
#: Seconds after which what is aside and not in use is taken for left behind: an older version held no locks.
_WHILE = 600
#: The bytes of a SHA-256.
_SUM = 32


class Keeper(Protocol):
    """A record that has files: the name of their folder ("" once they are removed), and the SHA-256 of its upload."""

    stored: str
    sha256: str


class NotKept(ValueError):  # noqa: N818 - told to the user in one sentence
    """A file cannot be kept or opened. The text is one sentence that says why and what to do."""


def place() -> str:
    """A name for a folder, which nobody can guess."""
    return secrets.token_urlsafe(32)


def keep(file: BinaryIO) -> tuple[str, int, str]:
    """Keep an upload: the name of its folder, its size in bytes, its SHA-256. All of it or nothing."""
    stored = place()
    folder = _folder(stored)
    hashed, size = hashlib.sha256(), 0

    def chunks() -> Iterator[bytes]:
        nonlocal size
        while chunk := file.read(_CHUNK):
            size += len(chunk)
            if size > settings.UPLOAD_BYTES:
                raise NotKept(
                    f"The file is larger than {settings.UPLOAD_BYTES // 1_000_000:,} MB: send it in parts, as “only"
                    " new or changed records”"
                )
            hashed.update(chunk)
            yield chunk

    try:
        folder.mkdir(parents=True, mode=0o700)
        with _made(folder / UPLOAD) as out:
            _write(out, chunks())
    except OSError as problem:
        shutil.rmtree(folder, ignore_errors=True)
        if problem.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise NotKept("There is no room left for the file: nothing was sent, so try again later") from None
        raise
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return stored, size, hashed.hexdigest()


def mend(record: Keeper, stored: str) -> None:
    """Put the same upload, kept anew under another name of a folder, in the place of one that is gone or damaged."""
    try:
        with opened(record):
            return
    except NotKept:
        folder = _folder(record.stored)
        folder.mkdir(exist_ok=True, mode=0o700)
        (_folder(stored) / UPLOAD).replace(folder / UPLOAD)


def write(record: Keeper, name: str, data: bytes) -> None:
    """Put a file into the folder of a record, beside its upload if it has one, in the place of one of that name."""
    path = _folder(record.stored) / name
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_suffix(f".{secrets.token_hex(4)}")
    try:
        with _made(part) as out:
            _write(out, iter([hashlib.sha256(data).digest() + data]))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def read(record: Keeper, name: str) -> bytes:
    """A file that was written. Raises `NotKept` where it is gone, or is not what was written any more."""
    path = _folder(record.stored) / name
    if not record.stored or not path.exists():
        raise NotKept("The findings of this file are no longer kept: have it checked again, or send it again")
    with _of_the_disk(), path.open("rb") as file:
        data = b"".join(_chunks(file))
    if hashlib.sha256(data[_SUM:]).digest() != data[:_SUM]:
        raise NotKept("The findings of this file are damaged: have it checked again, or send it again")
    return data[_SUM:]


@contextmanager
def opened(record: Keeper) -> Iterator[Path]:
    """The upload as it was received, as a file; a decrypted copy goes when the block ends.

    Raises `NotKept` where it is gone, or is not what was received any more.
    """
    path = _folder(record.stored) / UPLOAD
    if not record.stored or not path.exists():
        raise NotKept("The file is no longer kept: send it again to see its records")
    if not settings.UPLOAD_KEY:
        _assure(path, record)
        yield path
        return
    with _of_the_disk():
        copy = PrivateFile(aside())
    try:
        with _of_the_disk(), path.open("rb") as file:
            for chunk in _chunks(file):
                copy.file.write(chunk)
            copy.file.flush()
        _assure(copy.path, record)
        yield copy.path
    finally:
        copy.close()


def _assure(path: Path, record: Keeper) -> None:
    with _of_the_disk(), path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != record.sha256:
            raise NotKept("The file is damaged, so it cannot be opened: send it again")


@contextmanager
def _of_the_disk() -> Iterator[None]:
    """What the disk refuses, in a sentence."""
    try:
        yield
    except OSError:
        raise NotKept("The file cannot be opened now: try again later, or tell whoever runs the service") from None


def remove(stored: str) -> None:
    """Remove a folder and all in it."""
    if stored:
        shutil.rmtree(_folder(stored), ignore_errors=True)


class Arriving(TemporaryFileUploadHandler):
    """Takes an upload as it arrives, as a file without a name that is gone when it is closed."""

    def new_file(self, *told: Any, **more: Any) -> None:
        """Begin one."""
        FileUploadHandler.new_file(self, *told, **more)
        file = tempfile.TemporaryFile(prefix="cjit-", dir=aside())  # noqa: SIM115 - closed with its request
        self.file = UploadedFile(  # type: ignore[assignment]  # theirs has a name
            file, self.file_name, self.content_type, 0, self.charset, self.content_type_extra
        )

    def upload_interrupted(self) -> None:
        """What came of one that ended too soon is gone."""
        if hasattr(self, "file"):
            self.file.close()


def aside() -> Path:
    """The private folder of what is there for a moment only: uploads that arrive, copies that are read or made.

    Nothing in it has a name where the platform can do without (`temporary.PrivateFile`), so that no backup takes it.
    """
    folder = Path(settings.UPLOADS) / "open"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def sweep() -> None:
    """Remove what killed processes left aside under a name: what none holds, and none wrote to for a while."""
    if left := list((Path(settings.UPLOADS) / "open").glob("*")):
        before = _now() - _WHILE
        for path in left:
            if _is_older(path, before) and not is_in_use(path):
                _away(path)


def tidy(named: Collection[str], *, told: bool = False) -> int:
    """Remove folders that no record has, as a killed process leaves them, after a day. Returns how many.

    Where `named`, the folders that records have, is empty, all stay: it may be the wrong database. Where they would be
    too many at once they stay too, unless `told` to remove them (`clock.is_held_back`).
    """
    if not named:
        return 0
    folders = [path for path in Path(settings.UPLOADS).iterdir() if path != aside()]
    before = _now() - 86_400
    old = [path for path in folders if path.name not in named and _is_older(path, before)]
    if is_held_back("folders that no record has", len(old), len(folders), told=told):
        return 0
    for path in old:
        _away(path)
    return len(old)


def _now() -> float:
    """The time by which a file is old: the database's or the file system's own, whichever is behind.

    By the one it is not this computer's clock; by the other it is the clock by which files are dated.
    """
    with tempfile.TemporaryFile(dir=aside()) as file:
        return min(database_now().timestamp(), os.fstat(file.fileno()).st_mtime)


def _is_older(path: Path, before: float) -> bool:
    try:
        return path.stat().st_mtime < before
    except FileNotFoundError:
        return False


def _away(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def _folder(stored: str) -> Path:
    return Path(settings.UPLOADS) / stored


@contextmanager
def _made(path: Path) -> Iterator[IO[bytes]]:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        yield out
        out.flush()
        os.fsync(out.fileno())


# ---- encryption ------------------------------------------------------------------------------------


def _cipher() -> AESGCM | None:
    if not settings.UPLOAD_KEY:
        return None
    return AESGCM(base64.b64decode(settings.UPLOAD_KEY))


def _write(out: IO[bytes], chunks: Iterator[bytes]) -> None:
    cipher = _cipher()
    if cipher is None:
        for chunk in chunks:
            out.write(chunk)
        return
    start = secrets.token_bytes(8)
    out.write(_MARK + start)
    held = next(chunks, b"")
    number = 0
    for chunk in chunks:
        _seal(out, cipher, start, number, held)
        held, number = chunk, number + 1
    _seal(out, cipher, start, number | _LAST, held)


def _seal(out: IO[bytes], cipher: AESGCM, start: bytes, number: int, chunk: bytes) -> None:
    place = struct.pack(">I", number)
    sealed = cipher.encrypt(start + place, chunk, None)
    out.write(place + struct.pack(">I", len(sealed)) + sealed)


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    mark = file.read(len(_MARK))
    if mark != _MARK:
        # Kept before this installation had a key.
        yield mark
        while chunk := file.read(_CHUNK):
            yield chunk
        return
    cipher = _cipher()
    start = file.read(8)
    expected, last = 0, False
    while not last:
        place = file.read(8)
        if cipher is None or len(place) < 8:
            raise NotKept("The file cannot be opened with this installation's key: ask whoever runs the service")
        number, length = struct.unpack(">II", place)
        last = bool(number & _LAST)
        if number & ~_LAST != expected:
            raise NotKept("The file is damaged, so it cannot be opened: send it again")
        expected += 1
        try:
            yield cipher.decrypt(start + place[:4], file.read(length), None)
        except InvalidTag:
            raise NotKept(
                "The file is damaged, or was kept under another key, so it cannot be opened: send it again"
            ) from None
