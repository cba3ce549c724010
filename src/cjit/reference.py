"""Official code lists, installed by a user in place of the packaged ones.

An installed list is a CSV file, `<directory>/<dataset letter>/<list>.csv`, in the form of the packaged lists. It is
checked before it is installed, and renamed to its path when it is whole, so that no reader sees half a list.
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

#: The columns that a user's file may have, and the column of a packaged list that each becomes.
COLUMNS: Mapping[str, str] = {
    "code": "code",
    "label": "label",
    "definition": "definition",
    "group": "group",
    "from": "start",
    "to": "end",
}

#: The most bytes of a file: more than any code list has, and few enough to read at once.
LARGEST = 20_000_000


class ReferenceProblem(ValueError):  # noqa: N818  the message is the error
    """A code list that cannot be installed, read or removed; the message is one sentence."""


@dataclass(frozen=True)
class Listing:
    """One code list as `cjit reference list` shows it.

    name: its name.
    headers: the headers of the fields that use it.
    status: how sure its codes are.
    count: how many distinct codes it has.
    source: where they are from.
    also: the names of the other lists whose codes these fields also take.
    installed: whether it is an official one in place of the packaged one.
    """

    name: str
    headers: tuple[str, ...]
    status: Status
    count: int
    source: str
    also: tuple[str, ...]
    installed: bool


def directory() -> Path:
    """The folder of the official lists: `CJIT_REFERENCE`, or one in the user's data directory.

    Raises:
        ReferenceProblem: where CJIT_REFERENCE names no folder; otherwise the packaged lists would be used silently.
    """
    folder, named = _configured_folder()
    if named and folder.exists() and not folder.is_dir():
        raise ReferenceProblem(f"CJIT_REFERENCE names {folder}, which is a file: name the folder of the official lists")
    if named and not folder.exists():
        raise ReferenceProblem(
            f"CJIT_REFERENCE names {folder}, which does not exist: correct the name, or make that folder"
        )
    return folder


def _configured_folder() -> tuple[Path, bool]:
    """The folder for official lists, which may not exist, and whether the user named it."""
    given = os.environ.get("CJIT_REFERENCE", "").strip()
    if not given:
        return platformdirs.user_data_path("cjit", appauthor=False) / "reference", False
    try:
        return Path(given).expanduser(), True
    except RuntimeError:
        raise ReferenceProblem("CJIT_REFERENCE names a user that does not exist: give a folder") from None


def install(dataset: Dataset, name: str, path: Path | str, directory: Path | None = None) -> CodeList:
    """Check a user's CSV file and install it in place of a packaged code list, for this and later runs.

    Args:
        dataset: the dataset, with its packaged lists.
        name: a header (DRUG1) or the name of a list (DRUG).
        path: the file, in UTF-8 or Windows-1252. It has the columns code and label, and may have definition, group,
            from and to.
        directory: the folder of the official lists, which is made where there is none; by default that of
            `directory`.

    Returns:
        The list that is installed.

    Raises:
        ReferenceProblem: where anything is wrong; then nothing is changed.
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
    _check_not_shortened(codes, path.name)
    _check_groups(codes, dataset.lists[name], path.name)
    _check_gates(codes, dataset, path.name)
    _replace(_path_of(dataset, name, directory or _configured_folder()[0]), write_list(codes))
    return codes


def remove(dataset: Dataset, name: str, directory: Path | None = None) -> CodeList:
    """Remove an installed list, also a damaged one, so that the packaged one is used again.

    Args:
        dataset: the dataset, with its packaged lists.
        name: a header or the name of a list.
        directory: the folder of the official lists; by default that of `directory`.

    Returns:
        The packaged list.

    Raises:
        ReferenceProblem: where none is installed, or it cannot be removed.
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
    """The official lists that are installed for a dataset.

    Args:
        dataset: the dataset, with its packaged lists.
        directory: the folder of the official lists; by default that of `directory`.

    Returns:
        The lists, by name. The source of each row says on which day the list was installed.

    Raises:
        ReferenceProblem: where a list is damaged or cannot be opened.
    """
    folder = _folder(directory)
    official = {}
    for name in _names(dataset):
        path = _path_of(dataset, name, folder)
        try:
            if path.is_file():
                codes = read_list(name, _text(path), file=path.name)
                _check_gates(codes, dataset, path.name)
                day = datetime.fromtimestamp(path.stat().st_mtime)  # noqa: DTZ006  a day of the user's own calendar
                also = _codes_read_as(codes, dataset.lists[name])
                official[name] = CodeList(
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
    return official


def with_installed(dataset: Dataset, directory: Path | None = None) -> Dataset:
    """The dataset with each installed list in place of the packaged one.

    Args:
        dataset: the dataset, with its packaged lists.
        directory: the folder of the official lists; by default that of `directory`.

    Returns:
        The dataset; the same where no list is installed.

    Raises:
        ReferenceProblem: as `installed` does.
    """
    official = installed(dataset, directory)
    if not official:
        return dataset
    lists = {**dataset.lists, **official}
    for name in dataset.lists:
        others = _joined_lists(dataset, name)
        if others and not official.keys().isdisjoint((name, *others)):
            codes = official.get(name, _without_joined(dataset, name))
            official[name] = joined(name, (codes, *(lists[other] for other in others)))
    return dataset.with_lists(official)


def listing(dataset: Dataset, directory: Path | None = None) -> tuple[Listing, ...]:
    """Every code list that the dataset's fields use, in the document's order, official or packaged.

    Args:
        dataset: the dataset, with its packaged lists.
        directory: the folder of the official lists; by default that of `directory`.

    Raises:
        ReferenceProblem: as `installed` does.
    """
    official = installed(dataset, directory)
    rows = []
    for name in _names(dataset):
        codes = official.get(name, _without_joined(dataset, name))
        rows.append(
            Listing(
                name=name,
                headers=tuple(field.header for field in dataset.fields if field.codes == name),
                status=codes.status,
                count=len(codes.codes),
                source="; ".join(dict.fromkeys(row.source for row in codes.rows if row.source)),
                also=_joined_lists(dataset, name),
                installed=name in official,
            )
        )
    return tuple(rows)


def table(dataset: Dataset, directory: Path | None = None) -> str:
    """The code lists as text, for a terminal: a line for each, then a line for the meaning of each status.

    Args:
        dataset: the dataset, with its packaged lists.
        directory: the folder of the official lists; by default that of `directory`.

    Raises:
        ReferenceProblem: as `installed` does.
    """
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
    """The names of the lists that the fields use, in the document's order."""
    return tuple(dict.fromkeys(field.codes for field in dataset.fields if field.codes))


def _joined_lists(dataset: Dataset, name: str) -> tuple[str, ...]:
    """The names of the other lists that are part of a list: its rows have them as their group."""
    groups = dict.fromkeys(row.group for row in dataset.lists[name].rows)
    return tuple(group for group in groups if group in dataset.lists and group != name)


def _without_joined(dataset: Dataset, name: str) -> CodeList:
    """A list without the other lists that are part of it."""
    codes = dataset.lists[name]
    if not _joined_lists(dataset, name):
        return codes
    return CodeList(name, tuple(row for row in codes.rows if row.group == name))


def _list_name(dataset: Dataset, name_given: str) -> str:
    """The name of a list, from the header of a field or the name, in any case.

    Raises:
        ReferenceProblem: where there is no such field or list, or the field has no list.
    """
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


def _check_not_shortened(codes: CodeList, file: str) -> None:
    """Raise where a spreadsheet has shortened a code to a power of ten, such as 1E5: then the real code is missing."""
    for code in codes.codes:
        if re.match(POWER_OF_TEN, code):
            raise ReferenceProblem(
                f"{file}, code {code}: a spreadsheet has shortened it to a power of ten, so save the list again with "
                "the column code as text"
            )


def _codes_read_as(codes: CodeList, packaged: CodeList) -> dict[str, tuple[str, ...]]:
    """The other codes that are read as a code of an official list: those of the packaged list.

    Where the official list has one of these other codes with the same label, the packaged code is read as that one.

    Args:
        codes: the official list.
        packaged: the packaged list.

    Returns:
        The other codes, by the code that they are read as.
    """
    read_as = {}
    for row in packaged.rows:
        same = (row.code, *row.also)
        for official in codes.rows:
            if row.also and (official.code == row.code or (official.code in row.also and official.label == row.label)):
                read_as[official.code] = tuple(code for code in same if code not in codes.labels)
    return read_as


def _check_groups(codes: CodeList, packaged: CodeList, file: str) -> None:
    """Raise where a group is unknown in a list whose codes stand in several groups, which then have a meaning."""
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
    """Raise where a list lacks the code that a gate lets pass, or one by which a client withdraws.

    Without the first every record would be rejected. Without the second no withdrawal would be recognised.
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
            code = gate.passing_code
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
    """The text of a code list's file, in UTF-8 or Windows-1252.

    Raises:
        ReferenceProblem: where it cannot be read, or is no text.
    """
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
    """Write a file whole or not at all: beside its path and through to the disk, then renamed.

    Raises:
        ReferenceProblem: where it cannot be written.
    """
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
    """Write a folder through to the disk, so that a rename in it survives a power cut; Windows has no such call."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
