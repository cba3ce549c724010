"""Official code lists, installed by a user over the packaged ones.

An installed list is one CSV file, `<directory>/<dataset letter>/<list>.csv`, in the packaged lists' own
form. It is checked before it is kept and put in place whole, so a list is the old one or the new one and
never half of either.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path

import platformdirs

from cjit.dataset import CodeList, Dataset, Status
from cjit.datasets.lists import ListProblem, joined, read_list, write_list
from cjit.files.source import Unusable
from cjit.files.text import decoded
from cjit.kinds import POWER_OF_TEN

#: The columns a user's file may have, and what each is in a packaged list.
COLUMNS: Mapping[str, str] = {
    "code": "code",
    "label": "label",
    "definition": "definition",
    "group": "group",
    "from": "start",
    "to": "end",
}

#: More than any code list, and little enough to read at once.
LARGEST = 20_000_000


class ReferenceProblem(ValueError):  # noqa: N818  the message is the error
    """A code list that cannot be installed, read or removed; the message is one sentence."""


@dataclass(frozen=True)
class Listing:
    """One code list as `cjit reference list` shows it.

    `headers` are the fields that use it, `count` its distinct codes, `source` where they are from.
    `also` names the other lists whose codes those fields take too; `installed` is true where the
    packaged list was replaced by the user.
    """

    name: str
    headers: tuple[str, ...]
    status: Status
    count: int
    source: str
    also: tuple[str, ...]
    installed: bool


def directory() -> Path:
    """Where official lists are kept: `CJIT_REFERENCE`, or the user's data directory.

    Raises `ReferenceProblem` where CJIT_REFERENCE names no folder: the packaged lists would be used without a word.
    """
    folder, named = _meant()
    if named and folder.exists() and not folder.is_dir():
        raise ReferenceProblem(f"CJIT_REFERENCE names {folder}, which is a file: name the folder of the official lists")
    if named and not folder.exists():
        raise ReferenceProblem(
            f"CJIT_REFERENCE names {folder}, which does not exist: correct the name, or make that folder"
        )
    return folder


def _meant() -> tuple[Path, bool]:
    """The folder for official lists, there or not, and whether the user named it."""
    given = os.environ.get("CJIT_REFERENCE", "").strip()
    if not given:
        return platformdirs.user_data_path("cjit", appauthor=False) / "reference", False
    try:
        return Path(given).expanduser(), True
    except RuntimeError:
        raise ReferenceProblem("CJIT_REFERENCE names a user that does not exist: give a folder") from None


def install(dataset: Dataset, name: str, path: Path | str, directory: Path | None = None) -> CodeList:
    """Check a user's CSV file and put it over a packaged code list, for this and later runs.

    `name` is a header (DRUG1) or the name of a list (DRUG). The file has the columns code and label and
    may have definition, group, from and to; it may be UTF-8 or Windows-1252. A folder that is not there yet is
    made. Returns the list as it now stands. Raises `ReferenceProblem`, and leaves what was there, when anything is
    wrong.
    """
    name = _list_name(dataset, name)
    path = Path(path)
    try:
        codes = read_list(
            name,
            _text(path),
            file=path.name,
            columns=COLUMNS,
            status=Status.OFFICIAL,
            source=f"installed from {path.name}",
        )
    except ListProblem as problem:
        raise ReferenceProblem(str(problem)) from None
    _check_whole(codes, path.name)
    _check_groups(codes, dataset.lists[name], path.name)
    _check_gates(codes, dataset, path.name)
    _replace(_path_of(dataset, name, directory or _meant()[0]), write_list(codes))
    return codes


def remove(dataset: Dataset, name: str, directory: Path | None = None) -> CodeList:
    """Take an installed list away, so that the packaged one, which is returned, holds again.

    A damaged list can be removed too. Raises `ReferenceProblem` when none is installed.
    """
    name = _list_name(dataset, name)
    path = _path_of(dataset, name, _folder(directory))
    try:
        path.unlink()
    except FileNotFoundError:
        raise ReferenceProblem(
            f"No official list is installed for {name}: the packaged one is in use already"
        ) from None
    except OSError as error:
        raise ReferenceProblem(
            f"{path} cannot be removed ({error.strerror}): check that you may change that folder"
        ) from None
    return dataset.lists[name]


def installed(dataset: Dataset, directory: Path | None = None) -> dict[str, CodeList]:
    """The official lists installed for a dataset, by name; empty when there are none.

    The source of each says on which day it was put there. Raises `ReferenceProblem` when one was damaged since.
    """
    folder = _folder(directory)
    found = {}
    for name in _names(dataset):
        path = _path_of(dataset, name, folder)
        try:
            if path.is_file():
                codes = read_list(name, _text(path), file=path.name)
                _check_gates(codes, dataset, path.name)
                day = datetime.fromtimestamp(path.stat().st_mtime)  # noqa: DTZ006  a day of the user's own calendar
                also = _read_as(codes, dataset.lists[name])
                found[name] = CodeList(
                    name,
                    tuple(
                        replace(row, source=f"{row.source} on {day:%d/%m/%Y}", also=also.get(row.code, ()))
                        for row in codes.rows
                    ),
                )
        except (ListProblem, ReferenceProblem, OSError):
            raise ReferenceProblem(
                f"The official list installed for {name} is damaged or cannot be opened ({path}): "
                f"install it again with “cjit reference install {name} FILE”, "
                f"or go back to the packaged list with “cjit reference remove {name}”"
            ) from None
    return found


def with_installed(dataset: Dataset, directory: Path | None = None) -> Dataset:
    """The dataset with each installed list in place of the packaged one."""
    found = installed(dataset, directory)
    if not found:
        return dataset
    lists = {**dataset.lists, **found}
    for name in dataset.lists:
        also = _also(dataset, name)
        if also and not found.keys().isdisjoint((name, *also)):
            own = found.get(name, _own(dataset, name))
            found[name] = joined(name, (own, *(lists[other] for other in also)))
    return dataset.with_lists(found)


def listing(dataset: Dataset, directory: Path | None = None) -> tuple[Listing, ...]:
    """Every code list the dataset's fields use, in the document's order, as it now stands."""
    found = installed(dataset, directory)
    rows = []
    for name in _names(dataset):
        own = found.get(name, _own(dataset, name))
        rows.append(
            Listing(
                name=name,
                headers=tuple(field.header for field in dataset.fields if field.codes == name),
                status=own.status,
                count=len(own.codes),
                source="; ".join(dict.fromkeys(row.source for row in own.rows if row.source)),
                also=_also(dataset, name),
                installed=name in found,
            )
        )
    return tuple(rows)


def table(dataset: Dataset, directory: Path | None = None) -> str:
    """`listing` as plain text, one line a list, with what each status means below."""
    rows = [
        (
            item.name,
            "official" if item.installed else item.status.value,
            f"{item.count:,}",
            ", ".join(item.headers) + (f" (also takes {' and '.join(item.also)})" if item.also else ""),
        )
        for item in listing(dataset, directory)
    ]
    heads = ("LIST", "STATUS", "CODES", "FIELDS")
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    lines = ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) for row in (heads, *rows)]
    meanings = (
        "stated       printed in the business definitions",
        "derived      found in another system that implements the dataset; taken as complete",
        "official     installed by you",
        "partial      real codes, but the list is longer: an unknown code is counted, not a finding",
        "placeholder  stand-ins for codes this project does not have: an unknown code is counted, not a finding",
    )
    return "\n".join([line.rstrip() for line in lines] + ["", *meanings]) + "\n"


# ---- which list ------------------------------------------------------------------------------------


def _names(dataset: Dataset) -> tuple[str, ...]:
    """The lists the fields use, in the document's order."""
    return tuple(dict.fromkeys(field.codes for field in dataset.fields if field.codes))


def _also(dataset: Dataset, name: str) -> tuple[str, ...]:
    """The other lists a joined list takes in: those its rows have as their group."""
    groups = dict.fromkeys(row.group for row in dataset.lists[name].rows)
    return tuple(group for group in groups if group in dataset.lists and group != name)


def _own(dataset: Dataset, name: str) -> CodeList:
    """A list without those it takes in."""
    codes = dataset.lists[name]
    if not _also(dataset, name):
        return codes
    return CodeList(name, tuple(row for row in codes.rows if row.group == name))


def _list_name(dataset: Dataset, name_given: str) -> str:
    """The list meant by a header or a list's name, in any case."""
    wanted = name_given.strip().upper()
    names = _names(dataset)
    if wanted in names:
        return wanted
    fields = {spelling: field for field in dataset.fields for spelling in (field.header, *field.also)}
    if wanted not in fields:
        near = get_close_matches(wanted, [*names, *fields], n=1)
        hint = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(names)}"
        raise ReferenceProblem(f"There is no field or code list “{name_given.strip()[:40]}”: {hint}")
    name = fields[wanted].codes
    if name is None:
        raise ReferenceProblem(
            f"{wanted} has no code list, so none can be installed for it: choose one of {', '.join(names)}"
        )
    return name


def _check_whole(codes: CodeList, file: str) -> None:
    """A code that a spreadsheet has shortened is none: with it in the list, the code itself would be wrong."""
    for code in codes.codes:
        if re.match(POWER_OF_TEN, code):
            raise ReferenceProblem(
                f"{file}, code {code}: a spreadsheet has shortened it to a power of ten, so save the list again with "
                "the column code as text"
            )


def _read_as(codes: CodeList, packaged: CodeList) -> dict[str, tuple[str, ...]]:
    """Of an official list, the codes that are read as one of its own: by code, those that the packaged one has so.

    Where the official list has the packaged one's other code, by the same label, it is the other way round.
    """
    found = {}
    for row in packaged.rows:
        alike = (row.code, *row.also)
        for own in codes.rows:
            if row.also and (own.code == row.code or (own.code in row.also and own.label == row.label)):
                found[own.code] = tuple(code for code in alike if code not in codes.labels)
    return found


def _check_groups(codes: CodeList, packaged: CodeList, file: str) -> None:
    """Where a code stands in two groups, the groups carry meaning and must be the document's own."""
    if len(packaged.codes) == len(packaged.rows):
        return
    groups = tuple(dict.fromkeys(row.group for row in packaged.rows))
    for row in codes.rows:
        if row.group not in groups:
            raise ReferenceProblem(
                f"{file}, code {row.code}, column group: enter {' or '.join(f'“{g}”' for g in groups)}, "
                "as the list has the same codes under both"
            )


def _check_gates(codes: CodeList, dataset: Dataset, file: str) -> None:
    """A gate lets one code through, so with a list that lacks it no record at all would be accepted.

    With one that lacks the code which withdraws, nobody who withdraws would be heard.
    """
    for field in dataset.fields:
        for code in field.withdraws if field.codes == codes.name else ():
            if code not in codes.codes:
                label = dataset.lists[codes.name].labels[code]
                raise ReferenceProblem(
                    f"{file} has no code {code} ({label}), by which a client says that the {field.noun} is withdrawn: "
                    "add it, or choose another file"
                )
    for gate in dataset.written:
        if gate.gate and dataset.by_header[gate.header].codes == codes.name:
            passes = gate.holds if isinstance(gate.holds, Mapping) else gate.holds[0]
            code = passes[gate.header]
            if code not in codes.codes:
                label = dataset.lists[codes.name].labels[code]
                raise ReferenceProblem(
                    f"{file} has no code {code} ({label}), without which every record would be rejected: "
                    "add it, or choose another file"
                )


# ---- files -----------------------------------------------------------------------------------------


def _folder(given: Path | None) -> Path:
    return given or directory()


def _path_of(dataset: Dataset, name: str, folder: Path) -> Path:
    return folder / dataset.letter / f"{name}.csv"


def _text(path: Path) -> str:
    """The text of a code list file, UTF-8 (with or without a mark) or Windows-1252."""
    try:
        if path.is_file() and path.stat().st_size > LARGEST:
            raise ReferenceProblem(f"{path.name} is far too large to be a code list: choose another file")
        data = path.read_bytes()
    except FileNotFoundError:
        raise ReferenceProblem(f"There is no file {path}: check its name and folder") from None
    except IsADirectoryError:
        raise ReferenceProblem(f"{path} is a folder: give the CSV file in it") from None
    except OSError as error:
        raise ReferenceProblem(f"{path} cannot be read ({error.strerror}): check that you may open it") from None
    if data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"%PDF", b"\xff\xfe", b"\xfe\xff")) or b"\0" in data:
        raise ReferenceProblem(f"{path.name} is not a CSV file: open it in a spreadsheet and save it as “CSV UTF-8”")
    try:
        return decoded(data, path.name)
    except Unusable as problem:
        raise ReferenceProblem(str(problem)) from None


def _replace(path: Path, text: str) -> None:
    """Write beside the place, onto the disk, then move into place: whole, or not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            mode="wb", dir=path.parent, prefix=f".{path.stem}-", suffix=".part", delete=False
        ) as part:
            try:
                part.write(text.encode())
                part.flush()
                os.fsync(part.fileno())
                part.close()
                os.chmod(part.name, 0o644)  # a temporary file is its owner's alone; a list is no secret
                os.replace(part.name, path)
            except BaseException:
                with suppress(OSError):
                    part.close()
                with suppress(OSError):
                    os.unlink(part.name)
                raise
        _sync_folder(path.parent)
    except OSError as error:
        raise ReferenceProblem(
            f"The list cannot be kept in {path.parent} ({error.strerror}): check that you may write there, "
            "or name another folder in CJIT_REFERENCE"
        ) from None


def _sync_folder(folder: Path) -> None:
    """Have the move itself survive a power cut; a system without this (Windows) needs no more."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
