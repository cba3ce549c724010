"""Decisions as a CSV file: what is to be decided, to be filled in, and reading what came back.

A line says what differs in one field of a record, or that a record is absent, and has a column `decision`: replace,
delete or later for what differs, keep, delete or later for what is absent. The findings as CSV with that column added
are read as well.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from typing import BinaryIO, NamedTuple

import polars as pl

from cjit.dataset import Entity, Field, Kind, Severity
from cjit.files.source import Unusable
from cjit.files.text import decoded
from cjit.report.spreadsheet import neutral_column
from cjit.web import kept
from cjit.web.dataset import DATASET
from cjit.web.portal import result, store
from cjit.web.portal.models import RECORDS, Choice, Submission

#: The largest file taken, in bytes.
LARGEST = 20_000_000
#: In which column the id of a record stands, by its kind.
_KEYS = {entity: store.key_of(entity) for entity in RECORDS}
_ABSENT = "(not in the file)"
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}
#: What else a spreadsheet saves, by its first bytes.
_NO_CSV = {
    b"PK\x03\x04": "an Excel workbook",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"\xff\xfe": "Unicode text (UTF-16)",
    b"\xfe\xff": "Unicode text (UTF-16)",
}


class Unfit(ValueError):  # noqa: N818 - a slip of the user's, told in one sentence
    """The file decides nothing as it is. The text is one sentence that says why and what to do."""


class _Asked(NamedTuple):
    """A decision that is asked for: its id, and whether the record is absent."""

    pk: int
    absent: bool


def allowed(*, absent: bool) -> tuple[str, ...]:
    """What may be chosen of an absent record, or of a mismatch."""
    return (Choice.KEEP if absent else Choice.REPLACE), Choice.DELETE, Choice.LATER


def one_of(words: tuple[str, ...]) -> str:
    """Words to choose from: replace, delete or later."""
    return f"{', '.join(words[:-1])} or {words[-1]}"


# ---- written ---------------------------------------------------------------------------------------


def written(submission: Submission) -> bytes:
    """A line for each field that mismatches and for each absent record, with what was chosen so far.

    Raises `kept.NotKept` where the findings are gone or damaged.
    """
    decisions = pl.DataFrame(
        list(
            submission.decisions.order_by("absent", "entity", "pattern", "id").values_list(
                "id", "entity", "record", "absent", "choice"
            )
        ),
        schema={"decision": pl.Int64, "kind": pl.String, "id": pl.String, "absent": pl.Boolean, "choice": pl.String},
        orient="row",
    )
    mismatches = result.mismatches(submission).select("decision", "header", "value", "previous")
    told = decisions.join(mismatches, on="decision", how="left", maintain_order="left_right")
    lines = told.select(
        *(pl.when(pl.col("kind") == kind.value).then("id").alias(key) for kind, key in _KEYS.items()),
        pl.coalesce("header", pl.col("kind").replace({kind.value: key for kind, key in _KEYS.items()})),
        held="previous",
        sent=pl.when("absent").then(pl.lit(_ABSENT)).otherwise("value"),
        decision=pl.when(pl.col("choice") != "").then("choice"),
    )
    out = io.BytesIO()
    # Without the mark Excel takes UTF-8 for something else.
    lines.select(map(neutral_column, lines.columns)).write_csv(out, include_bom=True, line_terminator="\r\n")
    return out.getvalue()


# ---- read ------------------------------------------------------------------------------------------


class Decided(NamedTuple):
    """What a file decides: a choice by the id of its Decision, and how many lines are of rejected rows.

    Of a rejected row nothing can be decided: it is to be corrected first.
    """

    choices: dict[int, str]
    rejected: int


def read(submission: Submission, file: BinaryIO) -> Decided:  # noqa: PLR0912 - to be divided when it is next opened
    """What a file decides; raises `Unfit`.

    A record with several lines needs its decision at one of them. A line that is of another submission is refused,
    since it may name the same record.
    """
    asked: dict[tuple[str, str], _Asked] = {}
    sent: dict[tuple[int, str], str] = {}
    for entity, record, pk, absent in submission.decisions.values_list("entity", "record", "pk", "absent"):
        asked[entity, record] = _Asked(pk, absent)
        if absent:
            sent[pk, _KEYS[Entity(entity)]] = _ABSENT
    try:
        mismatches = result.mismatches(submission).select("decision", "header", "value")
        unasked = _unasked(submission, asked)
    except kept.NotKept as problem:
        raise Unfit(str(problem)) from None
    sent |= {(pk, header): value or "" for pk, header, value in mismatches.iter_rows()}
    words = {word.lower(): choice for choice in Choice for word in (choice.value, str(choice.label))}
    choices: dict[int, str] = {}
    rejected = 0
    for number, line in _lines(file):
        word = line["decision"].strip().lower()
        if not word:
            continue
        row = f"Row {number} of the decision file"
        choice = words.get(word)
        if choice is None:
            raise Unfit(f"{row} must say {one_of(tuple(Choice.values))}")
        field = DATASET.by_header.get(line["header"].strip().upper())
        decision = _asked(line, field, asked) if field else None
        if field and decision is None and _asked(line, field, unasked):
            rejected += 1
            continue
        if field is None or decision is None:
            raise Unfit(
                f"{row} is of no record to be decided in {submission.number}: leave its decision empty, or begin again"
                " with the file that can be downloaded here"
            )
        if not _found(line, field, sent.get((decision.pk, field.header))):
            raise Unfit(
                f"{row} is not as it was found in {submission.number}, so the file may be of another submission: begin"
                " again with the one that can be downloaded here"
            )
        if choice not in allowed(absent=decision.absent):
            raise Unfit(f"{row} must say {one_of(allowed(absent=decision.absent))}")
        if choices.setdefault(decision.pk, choice) != choice:
            raise Unfit(f"{row} decides a record otherwise than an earlier row: give each record one decision")
    if not choices and rejected:
        raise Unfit("The decision file decides rejected rows alone: correct those rows, and send the file again")
    if not choices:
        raise Unfit("The decision file decides nothing: write replace, delete, keep or later in its column decision")
    return Decided(choices, rejected)


def _unasked(submission: Submission, asked: Mapping[tuple[str, str], _Asked]) -> dict[tuple[str, str], _Asked]:
    """The records that mismatch and are not asked about, because their rows are rejected."""
    found = result.findings(submission, ("severity", "header", "client", "episode"))
    found = found.filter(pl.col("severity") == Severity.MISMATCH)
    of = {f.header: f.entity for f in DATASET.fields}
    records = (
        (of[header], client if of[header] is Entity.CLIENT else episode)
        for header, client, episode in found.select("header", "client", "episode").unique().iter_rows()
    )
    return {(entity.value, record): _Asked(0, False) for entity, record in records if (entity, record) not in asked}


def _lines(file: BinaryIO) -> Iterator[tuple[int, dict[str, str]]]:
    """The lines of a file with the numbers of their rows, each its cells by column; columns are in lower case."""
    rows = _rows(file)
    columns = [cell.strip().lower() for cell in rows[0]] if rows else []
    if not any(columns):
        raise Unfit("The decision file is empty: download what is to be decided, fill it in and choose that file")
    if len(columns) == 1 and (marks := [told for mark, told in _SEPARATORS.items() if mark in columns[0]]):
        raise Unfit(f"The columns of the decision file are separated by {marks[0]}: save it with commas between them")
    if "decision" not in columns:
        raise Unfit("The decision file has no column called decision: add it, and write replace, delete or later in it")
    if columns.count("decision") > 1:
        raise Unfit("The decision file has several columns called decision: keep the one that is filled in")
    client, episode = _KEYS[Entity.CLIENT], _KEYS[Entity.EPISODE]
    # Files of earlier versions have no column for referrals, and the findings need none.
    if not {"header", client.lower(), episode.lower()} <= set(columns):
        raise Unfit(
            f"The decision file must have the columns header, {client} and {episode}: begin again with the file that"
            " can be downloaded here, or with the findings as CSV"
        )
    for number, cells in enumerate(rows[1:], 2):
        yield number, dict.fromkeys(columns, "") | dict(zip(columns, cells, strict=False))


def _rows(file: BinaryIO) -> list[list[str]]:
    data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise Unfit(
            f"The decision file is larger than {LARGEST // 1_000_000} MB: keep only the lines that decide something"
        )
    for start, what in _NO_CSV.items():
        if data.startswith(start):
            raise Unfit(f"The decision file is {what}: save it as “CSV UTF-8 (comma delimited)”")
    try:
        if b"\0" in data:
            raise ValueError("no text")
        text = decoded(data, "The decision file")
        return list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except Unusable as problem:
        raise Unfit(str(problem)) from None
    except (ValueError, csv.Error):
        raise Unfit("The decision file cannot be read: save it as “CSV UTF-8 (comma delimited)”") from None


def _asked(line: Mapping[str, str], field: Field, asked: Mapping[tuple[str, str], _Asked]) -> _Asked | None:
    """The decision that a line is of."""
    said = line.get(_KEYS[field.entity].lower(), "")
    # A spreadsheet is kept from taking an id for a formula by an apostrophe, which may be the id's own.
    ids = (said, said.removeprefix("'"), said.strip())
    return next((found for record in ids if (found := asked.get((field.entity, record)))), None)


def _found(line: Mapping[str, str], field: Field, value: str | None) -> bool:
    """Whether a line about a mismatch or an absent record says what was found there; any other line is let be."""
    ours = "sent" in line
    if not ours and line.get("severity", "").strip() != Severity.MISMATCH:
        return True
    said = line.get("sent" if ours else "value")
    if value is None or said is None:
        return value is not None
    if field.kind is Kind.DATE and value != _ABSENT:
        # A spreadsheet may have written it anew, in another form.
        return _figures(said) == _figures(value)
    return said.strip().removeprefix("'") == value.strip().removeprefix("'")


def _figures(date: str) -> list[int]:
    return sorted(int(part) % 100 for part in re.findall(r"[0-9]+", date))
