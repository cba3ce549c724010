"""The 25 rules in plain Python: a loop over csv.reader, and an `if` for each rule."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

from benchmarks.peers.common import (
    AGENCY,
    ALONE,
    COLUMNS,
    DRINKING_DAYS,
    EARLIEST,
    EIGHT,
    LISTS,
    POSTCODE,
    SLASHED,
    TODAY,
    asked,
)

# ---- the rules -------------------------------------------------------------------------------------

_EIGHT, _SLASHED = re.compile(EIGHT), re.compile(SLASHED)
_POSTCODE, _AGENCY, _DRINKING_DAYS = re.compile(POSTCODE), re.compile(AGENCY), re.compile(DRINKING_DAYS)
_CODES = {header: frozenset(("", *codes)) for header, codes in LISTS.items()}


def _day(text: str) -> date | None:
    if _EIGHT.match(text):
        year, month, day = text[:4], text[4:6], text[6:]
    elif _SLASHED.match(text):
        year, month, day = text[6:], text[3:5], text[:2]
    else:
        return None
    try:
        found = date(int(year), int(month), int(day))
    except ValueError:
        return None
    return found if EARLIEST <= found <= TODAY else None


def broken(row: Sequence[str]) -> Iterator[str]:  # noqa: C901, PLR0912 - to be divided when it is next opened
    """The rules that a row with consent breaks, but for R25; a row has the texts of COLUMNS, "" for blank."""
    client, first, last, dob, sex, agency, episode, _, postcode, refld, triaged = row[:11]
    one, two, three, drinks, parent, children, careplan, disd, reason = row[11:20]
    for rule, text in (("R01", client), ("R02", first), ("R03", last), ("R04", dob), ("R05", sex), ("R06", episode)):
        if not text.strip():
            yield rule
    born, event, triage, closed = (_day(text) if text else None for text in (dob, refld, triaged, disd))
    if dob and not born:
        yield "R08"
    if refld and not event:
        yield "R09"
    if triaged and not triage:
        yield "R10"
    if disd and not closed:
        yield "R11"
    if postcode and not _POSTCODE.match(postcode):
        yield "R12"
    if agency and not _AGENCY.match(agency):
        yield "R13"
    if sex not in _CODES["SEX"]:
        yield "R14"
    if wrong_one := one not in _CODES["DISABLE1"]:
        yield "R15"
    if wrong_two := two not in _CODES["DISABLE2"]:
        yield "R16"
    if wrong_children := children not in _CODES["PRNTSTAT"]:
        yield "R17"
    if wrong_reason := reason not in _CODES["CJDISRSN"]:
        yield "R18"
    if drinks and not _DRINKING_DAYS.match(drinks):
        yield "R19"
    if (closed and not reason) or (reason and not wrong_reason and not disd):
        yield "R20"
    if closed and triage and closed < triage and not careplan:
        yield "R21"
    if born and event and event <= born:
        yield "R22"
    if one in ALONE and (two or three) and not (wrong_one or wrong_two or three not in _CODES["DISABLE3"]):
        yield "R23"
    if parent == "N" and children and not wrong_children:
        yield "R24"


def key(row: Sequence[str]) -> tuple[str, ...] | None:
    """What no other row may have, by R25; None for a row that is not looked at."""
    client, episode, referral = row[0].strip(), row[6].strip(), row[20].strip()
    return (client, episode, referral) if episode and (referral or not row[21]) else None


# ---- the run ---------------------------------------------------------------------------------------


def run(source: Path, target: Path) -> None:
    """Read the file, judge every row, and write each finding as its row and its rule."""
    seen: dict[tuple[str, ...], list[int]] = defaultdict(list)
    with source.open(newline="", encoding="utf-8") as file, target.open("w", newline="", encoding="utf-8") as out:
        rows, write = csv.reader(file), csv.writer(out, lineterminator="\n").writerow
        headers = next(rows)
        places = [headers.index(header) for header in COLUMNS]
        write(("row", "rule"))
        for number, cells in enumerate(rows, 2):
            row = [cells[at] for at in places]
            if row[7].strip().upper() != "Y":
                write((number, "R07"))
                continue
            for rule in broken(row):
                write((number, rule))
            if (same := key(row)) is not None:
                seen[same].append(number)
        for numbers in seen.values():
            if len(numbers) > 1:
                for number in numbers:
                    write((number, "R25"))


if __name__ == "__main__":
    run(*asked())
