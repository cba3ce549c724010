"""What all peers share: the 25 rules in words, the columns they read, and the values that are right.

Nothing is imported here that takes time, so that a peer pays only for what it needs itself.

Three things hold for every rule. Of a row without consent nothing is asked but consent. A blank is right, unless the
rule says that the field is given. Rules across fields are silent where a field they read has a value that is none, as
the rule of that field speaks already.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path

TODAY = date(2026, 3, 31)
EARLIEST = date(1900, 1, 1)

#: The columns that the rules read, of the 49.
COLUMNS = (
    *("CLIENTID", "FINITIAL", "SINITIAL", "DOB", "SEX", "AGNCY", "EPISODID", "CONSENT", "PC", "REFLD", "TRIAGED"),
    *("DISABLE1", "DISABLE2", "DISABLE3", "ALCDDAYS", "PARENT", "PRNTSTAT", "CPLANDT", "DISD", "CJDISRSN"),
    *("REFERID", "REFDATE"),
)
DATES = ("DOB", "REFLD", "TRIAGED", "DISD")

DISABILITIES = ("1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "XX", "NN", "ZZ")
#: The answers to DISABLE1 that admit no further one.
ALONE = ("NN", "ZZ")
LISTS: dict[str, tuple[str, ...]] = {
    "SEX": ("M", "F"),
    "DISABLE1": DISABILITIES,
    "DISABLE2": DISABILITIES,
    "DISABLE3": DISABILITIES,
    "PRNTSTAT": ("11", "12", "13", "15"),
    "CJDISRSN": ("73", "1", "2", "99", "13", "14", "74", "10", "15", "4", "7", "8", "12", "11", "9"),
}

# The same patterns for every peer: nothing in them that one of the regular expression libraries reads otherwise.
SLASHED = "^[0-9]{2}/[0-9]{2}/[0-9]{4}$"
EIGHT = "^[0-9]{8}$"
POSTCODE = "^(GIR|[A-Z]{1,2}[0-9][0-9A-Z]?) [0-9]$"
AGENCY = "^[A-Za-z]{1,2}[0-9]{3,4}$"
DRINKING_DAYS = "^([0-9]|1[0-9]|2[0-8])$"


@dataclass(frozen=True)
class Common:
    """One of the 25: what must hold, the fields it reads, and the rules of cjit that say the same between them."""

    says: str
    reads: tuple[str, ...]
    cjit: tuple[str, ...]


def _given(header: str) -> Common:
    return Common(f"{header} is given", (header,), (f"{header}.is_given",))


def _day(header: str) -> Common:
    names = ("is_a_date", "is_after_1900", "is_not_in_the_future", "is_plainly_written")
    says = f"{header} is a real day from 1900 to today, written dd/mm/yyyy or yyyymmdd"
    return Common(says, (header,), tuple(f"{header}.{name}" for name in names))


def _listed(header: str) -> Common:
    says = f"{header} is a code of its list of {len(LISTS[header])}, written as listed"
    return Common(says, (header,), (f"{header}.is_in_list", f"{header}.is_plainly_written"))


RULES: dict[str, Common] = {
    "R01": _given("CLIENTID"),
    "R02": _given("FINITIAL"),
    "R03": _given("SINITIAL"),
    "R04": _given("DOB"),
    "R05": _given("SEX"),
    "R06": _given("EPISODID"),
    "R07": Common("CONSENT is yes, in any case", ("CONSENT",), ("CONSENT.is_given",)),
    "R08": _day("DOB"),
    "R09": _day("REFLD"),
    "R10": _day("TRIAGED"),
    "R11": _day("DISD"),
    "R12": Common(
        "PC is a postcode less its last two characters, with its space",
        ("PC",),
        ("PC.is_a_postcode", "PC.is_truncated", "PC.is_plainly_written"),
    ),
    "R13": Common(
        "AGNCY is one or two letters and three or four figures",
        ("AGNCY",),
        ("AGNCY.looks_like_an_agency_code", "AGNCY.is_plainly_written"),
    ),
    "R14": _listed("SEX"),
    "R15": _listed("DISABLE1"),
    "R16": _listed("DISABLE2"),
    "R17": _listed("PRNTSTAT"),
    "R18": _listed("CJDISRSN"),
    "R19": Common(
        "ALCDDAYS is 0 to 28, in figures only",
        ("ALCDDAYS",),
        ("ALCDDAYS.is_in_range", "ALCDDAYS.is_plainly_written"),
    ),
    "R20": Common(
        "DISD and CJDISRSN are both given or both blank",
        ("DISD", "CJDISRSN"),
        ("DISD.is_given_with_a_reason", "CJDISRSN.is_given_with_a_date"),
    ),
    "R21": Common(
        "DISD is on or after TRIAGED, where CPLANDT is blank",
        ("DISD", "TRIAGED", "CPLANDT"),
        ("DISD.is_not_before_triage",),
    ),
    "R22": Common("REFLD is after DOB", ("REFLD", "DOB"), ("REFLD.is_after_birth",)),
    "R23": Common(
        "DISABLE2 and DISABLE3 are blank where DISABLE1 is NN or ZZ",
        ("DISABLE1", "DISABLE2", "DISABLE3"),
        ("DISABLE1.stands_alone",),
    ),
    "R24": Common(
        "PRNTSTAT is blank where PARENT is N", ("PARENT", "PRNTSTAT"), ("PRNTSTAT.is_blank_unless_a_parent",)
    ),
    "R25": Common(
        "No other row has the same CLIENTID, EPISODID and REFERID, spaces round them apart (a row without EPISODID, or "
        "with REFDATE and without REFERID, is not looked at)",
        ("CLIENTID", "EPISODID", "REFERID", "REFDATE"),
        ("EPISODID.is_sent_once",),
    ),
}


def asked() -> tuple[Path, Path]:
    """The file to read and the file to write, from the command line."""
    source, target = sys.argv[1:]
    return Path(source), Path(target)
