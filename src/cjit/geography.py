"""Postcodes and authorities: truncation, the default postcode, and which authority a place lies in.

The data are the ONS Postcode Directory of November 2025, compiled into `ons/` by
`scripts/build_geography.py`:

- `postcodes.csv.gz`: each sector ("NR14 7") of Great Britain, each local authority district it lies in, and the last
  two characters of its postcodes there, ended ones too;
- `sectors.csv`: each sector and the upper tier authorities its postcodes lie in;
- `authorities.csv`: every district and upper tier authority, with dates and predecessor;
- `SHA256SUMS`: what each must be.

Codes are dated. The ONS data know the authorities of today, a dataset Q file those of April 2022 or
later, so an authority that took the place of another knows its predecessor, back to April 2020, when
UTLA entered the collection; `on` a day before that, the answer is that of April 2020. The one surprise:
the small area (the Oughtibridge Mill development) that went from Barnsley to Sheffield in April 2025
counts as Sheffield before it, too.

Our reading: UTLA asks for "the code that reflects this" where a client lives in Scotland, Wales or
Northern Ireland or outside the United Kingdom, and this project does not have those codes. The ONS country codes
`SCOTLAND`, `WALES` and `NORTHERN_IRELAND` stand in for the first three and are never filled in for
anybody; outside the United Kingdom there is no stand-in. Any other code is one we cannot place: the
tables for conditions then do not know.

Northern Ireland's rows are not under the Open Government Licence and are left out: every sector of the
area BT is taken to exist, and to lie in Northern Ireland. The Channel Islands and the Isle of Man are
outside the United Kingdom, whose residents get the default postcode: their sectors are unknown here. So
are those of the British Forces, BF1, which lie in no authority.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache, lru_cache
from importlib.resources import files

from cjit.conditions import Entries, Table

#: What the Office for National Statistics asks to be shown wherever its postcode data are used.
ATTRIBUTION = (
    "Contains OS data © Crown copyright and database right 2025",
    "Contains Royal Mail data © Royal Mail copyright and database right 2025",
    "Source: Office for National Statistics licensed under the Open Government Licence v.3.0",
)

#: Recorded for clients of no fixed abode or normally resident outside the UK, and as it is sent.
DEFAULT_POSTCODE = "ZZ99 3VZ"
DEFAULT_SECTOR = "ZZ99 3"

#: The first part of a postcode: A9, A99, A9A, AA9, AA99, AA9A, and the one GIR. Wide on purpose: which
#: letters are in use is the data's business (`sector_known`), and ZZ99 breaks the usual rules of letters.
OUTWARD = "(?:GIR|[A-Z]{1,2}[0-9][0-9A-Z]?)"
#: A postcode as it is written: upper case, one space. For Polars, and for `re.fullmatch`.
WHOLE = f"^{OUTWARD} [0-9][A-Z]{{2}}$"
#: The same without its space.
WHOLE_UNSPACED = f"^{OUTWARD}[0-9][A-Z]{{2}}$"
#: A postcode less its last two characters, also called its sector: "NR14 7".
TRUNCATED = f"^{OUTWARD} [0-9]$"

#: Our stand-ins for UTLA where a client does not live in England.
SCOTLAND = "S92000003"
WALES = "W92000004"
NORTHERN_IRELAND = "N92000002"

#: The day of the upper tier list, and the first day of dataset Q.
LIST_DATE = date(2022, 4, 1)

_NORTHERN_IRELAND_SECTOR = re.compile("BT[1-9][0-9]? [0-9]")


class GeographyError(Exception):
    """The packaged postcode data cannot be read. Its text is one sentence for the user."""


@dataclass(frozen=True, slots=True)
class Authority:
    """A local authority district, an upper tier authority or both; or a country that stands in for one.

    `tier` is "district", "upper" or "both"; `upper` the code of the upper tier it belongs to, which may be
    its own. `start` and `end` are its first and last day (None: before April 2020; still there).
    `predecessor` is the upper tier authority all its land belonged to the day before `start`.
    """

    code: str
    name: str
    tier: str
    upper: str
    country: str
    start: date | None = None
    end: date | None = None
    predecessor: str | None = None


# ---- the written form ------------------------------------------------------------------------------


def is_whole(postcode: str) -> bool:
    """True for a whole postcode, in any case and however it is spaced."""
    return _whole(postcode) is not None


def truncate(postcode: str) -> str:
    """The postcode less its last two characters, as it is sent: "nr147uj" gives "NR14 7".

    One already truncated stays as it is. Raises ValueError, with a sentence for the user, for anything
    else, and for what could be read two ways: "NR14" may be the first half of a postcode, or NR1 4
    without its space.
    """
    if whole := _whole(postcode):
        return whole[:-2]
    parts = _parts(postcode)
    joined = "".join(parts)
    sector = f"{joined[:-1]} {joined[-1:]}"
    told_apart = (len(parts) > 1 and len(parts[-1]) == 1) or not re.fullmatch(OUTWARD, joined)
    if re.fullmatch(TRUNCATED, sector) and told_apart:
        return sector
    raise ValueError("Enter a postcode such as NR14 7UJ, or one less its last two characters, such as NR14 7")


def is_default(postcode: str) -> bool:
    """True for the default postcode, whole or truncated: no fixed abode, or outside the United Kingdom."""
    try:
        return truncate(postcode) == DEFAULT_SECTOR
    except ValueError:
        return False


def _whole(postcode: str) -> str | None:
    """A whole postcode as it is written, or None."""
    joined = "".join(_parts(postcode))
    spaced = f"{joined[:-3]} {joined[-3:]}"
    return spaced if re.fullmatch(WHOLE, spaced) else None


def _parts(postcode: str) -> list[str]:
    """What stands between the spaces, in upper case."""
    # Only ASCII: upper-casing "ſ" would make an S of it, and a postcode of what is none.
    return [part.upper() if part.isascii() else part for part in postcode.split()]


# ---- one place -------------------------------------------------------------------------------------


@cache
def authorities() -> Mapping[str, Authority]:
    """Every authority by its ONS code: districts, upper tiers, those that ended, and the stand-ins."""
    rows = csv.DictReader(io.StringIO(_bytes("authorities.csv").decode()))
    return {
        row["code"]: Authority(
            code=row["code"],
            name=row["name"],
            tier=row["tier"],
            upper=row["upper"],
            country=row["country"],
            start=_day(row["start"]),
            end=_day(row["end"]),
            predecessor=row["predecessor"] or None,
        )
        for row in rows
    }


def _day(text: str) -> date | None:
    return date.fromisoformat(text) if text else None


def authority_of(postcode: str) -> str | None:
    """The code of the local authority district a whole postcode lies in, as of November 2025.

    None for a postcode not known, the default postcode, and Northern Ireland.
    """
    whole = _whole(postcode)
    if whole is None:
        return None
    for district, units in _postcodes().get(whole[:-2], ()):
        if any(units.startswith(whole[-2:], at) for at in range(0, len(units), 2)):
            return district
    return None


def upper_tier_of(postcode: str, on: date | None = None) -> str | None:
    """The code of the upper tier authority a whole postcode lies in, today or `on` a day.

    Outside England it is the stand-in for the country. None for a postcode not known and the default.
    """
    whole = _whole(postcode)
    if whole and _NORTHERN_IRELAND_SECTOR.fullmatch(whole[:-2]):
        return NORTHERN_IRELAND
    district = authority_of(postcode)
    return _in_force(authorities()[district].upper, on) if district else None


def authorities_of_sector(sector: str, on: date | None = None) -> frozenset[str]:
    """The codes of the upper tier authorities a sector such as "NR14 7" lies in.

    Without `on`, both the old and the new code of an authority that was reorganised; with it, only those
    in force that day. Empty for a sector not known and for the default one, which lies nowhere.
    """
    if _NORTHERN_IRELAND_SECTOR.fullmatch(sector):
        return frozenset({NORTHERN_IRELAND})
    today = upper_tiers().get(sector, ())
    if on is None:
        return frozenset(each for code in today for each in _codes_of(code))
    return frozenset(_in_force(code, on) for code in today)


def upper_tier_for_sector(sector: str, on: date | None = None) -> str | None:
    """The one code UTLA can have for a sector, where that is certain; otherwise None.

    Certain means: every postcode of the sector, ended ones too, lies in one authority of England, and that
    authority has had one code ever since the list of April 2022. So Cumbria, North Yorkshire, Somerset,
    Barnsley and Sheffield, whose codes changed while the list did not, are not certain, unless the day is
    told: `on` a day, the code in force then. A stand-in is never certain.
    """
    if on is not None:
        codes = authorities_of_sector(sector, on)
    else:
        codes = frozenset(
            code
            for code in authorities_of_sector(sector)
            if (end := authorities()[code].end) is None or end >= LIST_DATE
        )
    if len(codes) != 1:
        return None
    (code,) = codes
    return code if authorities()[code].country == "England" else None


@cache
def _codes_of(code: str) -> tuple[str, ...]:
    """The codes that the land of an authority of today has had, the newest first."""
    return tuple(authority.code for authority in line(code))


def line(code: str) -> Iterator[Authority]:
    """An authority by its code, then its predecessor, and so on back."""
    here: str | None = code
    while here:
        authority = authorities()[here]
        yield authority
        here = authority.predecessor


def _in_force(code: str, on: date | None) -> str:
    """The code that the land of an authority of today had on a day."""
    for authority in line(code):
        last = authority.code
        if on is None or authority.start is None or authority.start <= on:
            break
    return last


# ---- tables for conditions -------------------------------------------------------------------------


def _sectors_and_authorities() -> Entries:
    known = authorities()
    upper = frozenset(code for code, authority in known.items() if authority.tier != "district")
    of = {sector: authorities_of_sector(sector) for sector in _sectors()} | {DEFAULT_SECTOR: upper}
    yes = frozenset((sector, code) for sector, codes in of.items() for code in codes)
    return Entries((frozenset(of), upper), yes)


def _known_sectors() -> Entries:
    return Entries((None,), frozenset((sector,) for sector in (*_sectors(), DEFAULT_SECTOR)))


def _sectors_in_england() -> Entries:
    answers = {sector: _in_england(sector) for sector in _sectors()}
    known = frozenset(sector for sector, answer in answers.items() if answer is not None)
    return Entries((known,), frozenset((sector,) for sector in known if answers[sector]))


def _in_england(sector: str) -> bool | None:
    if sector == DEFAULT_SECTOR or not _is_sector(sector):
        return None
    # An authority and those before it lie in one country.
    english = {code.startswith("E") for code in upper_tiers().get(sector, (NORTHERN_IRELAND,))}
    return True in english if len(english) == 1 else None


def _is_sector(sector: str) -> bool:
    """Whether a text is a sector there is, or the default one."""
    return sector in upper_tiers() or sector == DEFAULT_SECTOR or bool(_NORTHERN_IRELAND_SECTOR.fullmatch(sector))


def _upper(code: str) -> bool:
    """Whether a code is that of an upper tier authority."""
    authority = authorities().get(code)
    return authority is not None and authority.tier != "district"


def _lies_in(sector: str, code: str) -> bool | None:
    if not (_is_sector(sector) and _upper(code)):
        return None
    return sector == DEFAULT_SECTOR or code in _of_sector(sector)


@lru_cache(maxsize=20_000)
def _of_sector(sector: str) -> frozenset[str]:
    return authorities_of_sector(sector)


def _sectors() -> Iterator[str]:
    """Every sector but the default one; of Northern Ireland all there could be."""
    yield from upper_tiers()
    yield from (f"BT{district} {digit}" for district in range(1, 100) for digit in range(10))


#: Whether a truncated postcode is a sector there is, or the default one.
SECTOR_KNOWN = Table(
    "sector_known", "{0} is a postcode sector", "{0} is no postcode sector", _known_sectors, _is_sector
)

#: Whether a sector lies, wholly or partly, in an upper tier authority. A sector that spans several authorities allows
#: any of them, under its old code or its new one; the default sector allows all, since UTLA is then where the client
#: was last of no fixed abode. Not known where the sector is not (`SECTOR_KNOWN` says that), or where the code is no
#: upper tier in `authorities()`: it may be an official code for outside England, which we do not know.
SECTOR_ALLOWS = Table("sector_allows", "{0} lies in {1}", "{0} lies outside {1}", _sectors_and_authorities, _lies_in)

#: Whether every postcode of a sector lies in England; false where none does. Not known where some do, for the default
#: sector, which lies nowhere, and for a sector not known.
SECTOR_IN_ENGLAND = Table(
    "sector_in_england", "{0} lies in England", "{0} lies outside England", _sectors_in_england, _in_england
)


def area_has_sector(name: str, areas: Callable[[], Mapping[str, frozenset[str]]]) -> Table:
    """A table of whether a sector lies, wholly or partly, in an area.

    `areas` has the upper tier authorities of each area, by the code of the area. The default sector lies in every one.
    """

    def read() -> Entries:
        of, sectors = areas(), SECTOR_ALLOWS.entries
        members: dict[str, list[str]] = {}
        for area, codes in of.items():
            for code in codes:
                members.setdefault(code, []).append(area)
        yes = frozenset((area, sector) for sector, code in sectors.yes for area in members.get(code, ()))
        return Entries((frozenset(of), sectors.known[0]), yes)

    def ask(area: str, sector: str) -> bool | None:
        if area not in areas() or not _is_sector(sector):
            return None
        return bool(areas()[area]) if sector == DEFAULT_SECTOR else not areas()[area].isdisjoint(_of_sector(sector))

    return Table(name, "{1} lies in {0}", "{1} lies outside {0}", read, ask)


def area_has_authority(name: str, areas: Callable[[], Mapping[str, frozenset[str]]]) -> Table:
    """A table of whether an upper tier authority is one of an area's; `areas` is as above."""

    def read() -> Entries:
        of = areas()
        yes = frozenset((area, code) for area, codes in of.items() for code in codes)
        return Entries((frozenset(of), SECTOR_ALLOWS.entries.known[1]), yes)

    def ask(area: str, code: str) -> bool | None:
        return code in areas()[area] if area in areas() and _upper(code) else None

    return Table(name, "{1} lies in {0}", "{1} lies outside {0}", read, ask)


# ---- the packaged data -----------------------------------------------------------------------------


@cache
def upper_tiers() -> Mapping[str, tuple[str, ...]]:
    """Sector to the codes of its upper tier authorities today."""
    tiers: dict[str, tuple[str, ...]] = {}
    for sector, authority in _rows(_bytes("sectors.csv")):
        tiers[sector] = (*tiers[sector], authority) if sector in tiers else (authority,)
    return tiers


@cache
def _postcodes() -> Mapping[str, tuple[tuple[str, str], ...]]:
    """Sector to its districts, each with the last two characters of its postcodes there: some 10 MB, for who asks."""
    found: dict[str, tuple[tuple[str, str], ...]] = {}
    for sector, district, units in _rows(gzip.decompress(_bytes("postcodes.csv.gz"))):
        found[sector] = (*found.get(sector, ()), (district, units))
    return found


def _rows(content: bytes) -> Iterator[list[str]]:
    """The rows of a packaged CSV file, which has no quotes, less its header."""
    lines = content.decode("ascii").splitlines()
    return (line.split(",") for line in lines[1:])


def _bytes(name: str) -> bytes:
    """A packaged file, which must be what was built: a damaged one may read as other values."""
    folder = files("cjit").joinpath("ons")
    try:
        content = folder.joinpath(name).read_bytes()
        sums = folder.joinpath("SHA256SUMS").read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        raise _damaged(name) from error
    if f"{hashlib.sha256(content).hexdigest()}  {name}" not in sums.splitlines():
        raise _damaged(name)
    return content


def _damaged(name: str) -> GeographyError:
    return GeographyError(
        f"The postcode data that come with cjit are missing or damaged (ons/{name}): install cjit again"
    )
