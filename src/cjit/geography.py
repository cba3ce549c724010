"""Postcodes and authorities: truncation, the default postcode, and which authority a place lies in.

The data are the ONS Postcode Directory of November 2025, compiled into `ons/` by
`scripts/build_geography.py`:

- `postcodes.csv.gz`: each sector ("NR14 7") of Great Britain, each local authority district it lies in, and the last
  two characters of its postcodes there, ended ones too;
- `sectors.csv`: each sector and the upper tier authorities its postcodes lie in;
- `authorities.csv`: every district and upper tier authority, with dates and predecessor;
- `SHA256SUMS`: what each must be.

Codes are dated. The ONS data have the authorities of November 2025, and a dataset Q file has those of April 2022 or
later. An authority that took the place of another therefore has a predecessor, back to April 2020, when UTLA entered
the collection. For a day before that, functions with an argument `on` answer as for April 2020. One small area, the
Oughtibridge Mill development, went from Barnsley to Sheffield in April 2025 and counts as Sheffield before that, too.

Our reading: UTLA asks for "the code that reflects this" where a client lives in Scotland, Wales or Northern Ireland or
outside the United Kingdom, and this project does not have those codes. The ONS country codes `SCOTLAND`, `WALES` and
`NORTHERN_IRELAND` stand in for the first three, and no function fills them in for a client. There is no stand-in for
outside the United Kingdom. Any other code cannot be placed, so the lookup tables answer "not known" for it.

The rows of Northern Ireland are not under the Open Government Licence and are left out. Every sector of the area BT
counts as one that exists and lies in Northern Ireland. The sectors of the Channel Islands and the Isle of Man are
unknown here, because both are outside the United Kingdom and their residents get the default postcode. The sectors of
the British Forces, BF1, are unknown too, because they lie in no authority.
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

#: The lines that the Office for National Statistics asks to be shown wherever its postcode data are used.
ATTRIBUTION = (
    "Contains OS data © Crown copyright and database right 2025",
    "Contains Royal Mail data © Royal Mail copyright and database right 2025",
    "Source: Office for National Statistics licensed under the Open Government Licence v.3.0",
)

#: The postcode of clients of no fixed abode or normally resident outside the UK: as recorded, and as sent.
DEFAULT_POSTCODE = "ZZ99 3VZ"
DEFAULT_SECTOR = "ZZ99 3"

#: The first part of a postcode: A9, A99, A9A, AA9, AA99, AA9A, and the one GIR. The pattern takes any letters, because
#: the table `sector_known` has those in use, and ZZ99 breaks the usual rules of letters.
OUTWARD = "(?:GIR|[A-Z]{1,2}[0-9][0-9A-Z]?)"
#: A postcode in upper case with one space, for Polars and for `re.fullmatch`.
WHOLE = f"^{OUTWARD} [0-9][A-Z]{{2}}$"
#: The same without its space.
WHOLE_UNSPACED = f"^{OUTWARD}[0-9][A-Z]{{2}}$"
#: A postcode less its last two characters, also called its sector: "NR14 7".
TRUNCATED = f"^{OUTWARD} [0-9]$"

#: Our stand-ins for the UTLA of a client who does not live in England.
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

    code: its ONS code.
    name: its name.
    tier: "district", "upper" or "both".
    upper: the code of the upper tier authority that it belongs to, which may be its own.
    country: the name of its country.
    start: its first day (None: before April 2020).
    end: its last day (None: it still exists).
    predecessor: the code of the upper tier authority that all its land belonged to on the day before `start` (None:
        there was none).
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
    """Whether a text is a whole postcode, in any case and with spaces anywhere."""
    return _whole(postcode) is not None


def truncate(postcode: str) -> str:
    """A postcode less its last two characters, as it is sent: "nr147uj" gives "NR14 7".

    Args:
        postcode: a whole postcode, or one that is truncated already, in any case.

    Returns:
        The sector in upper case with one space.

    Raises:
        ValueError: for any other text, and for one that is ambiguous: "NR14" may be the first half of a postcode, or
            NR1 4 without its space. The message is one sentence for the user.
    """
    if whole := _whole(postcode):
        return whole[:-2]
    parts = _parts(postcode)
    joined = "".join(parts)
    sector = f"{joined[:-1]} {joined[-1:]}"
    unambiguous = (len(parts) > 1 and len(parts[-1]) == 1) or not re.fullmatch(OUTWARD, joined)
    if re.fullmatch(TRUNCATED, sector) and unambiguous:
        return sector
    raise ValueError("Enter a postcode such as NR14 7UJ, or one less its last two characters, such as NR14 7")


def is_default(postcode: str) -> bool:
    """Whether a text is the default postcode, whole or truncated: no fixed abode, or outside the United Kingdom."""
    try:
        return truncate(postcode) == DEFAULT_SECTOR
    except ValueError:
        return False


def _whole(postcode: str) -> str | None:
    """A whole postcode in upper case with one space; None for any other text."""
    joined = "".join(_parts(postcode))
    spaced = f"{joined[:-3]} {joined[-3:]}"
    return spaced if re.fullmatch(WHOLE, spaced) else None


def _parts(postcode: str) -> list[str]:
    """The parts of a text between its spaces, in upper case."""
    # Only ASCII letters, because the upper case of "ſ" is S: that would turn another text into a postcode.
    return [part.upper() if part.isascii() else part for part in postcode.split()]


# ---- one place -------------------------------------------------------------------------------------


@cache
def authorities() -> Mapping[str, Authority]:
    """Every authority by its ONS code: districts, upper tier authorities, those that ended, and the stand-ins.

    Raises:
        GeographyError: where the packaged data cannot be read. So do all functions that read them.
    """
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
    """The code of the local authority district in which a whole postcode lies, as of November 2025.

    It is None for a postcode that is not known, for the default postcode, and in Northern Ireland.
    """
    whole = _whole(postcode)
    if whole is None:
        return None
    for district, units in _postcodes().get(whole[:-2], ()):
        if any(units.startswith(whole[-2:], at) for at in range(0, len(units), 2)):
            return district
    return None


def upper_tier_of(postcode: str, on: date | None = None) -> str | None:
    """The code of the upper tier authority in which a whole postcode lies.

    Args:
        postcode: the postcode.
        on: the day for which the code is asked (None: as of November 2025).

    Returns:
        The code; the stand-in for the country outside England; None for a postcode that is not known and for the
        default postcode.
    """
    whole = _whole(postcode)
    if whole and _NORTHERN_IRELAND_SECTOR.fullmatch(whole[:-2]):
        return NORTHERN_IRELAND
    district = authority_of(postcode)
    return _in_force(authorities()[district].upper, on) if district else None


def authorities_of_sector(sector: str, on: date | None = None) -> frozenset[str]:
    """The codes of the upper tier authorities in which a sector lies, at least partly.

    Args:
        sector: a truncated postcode, such as "NR14 7".
        on: the day for which the codes are asked (None: any day, so that an authority that was reorganised has its old
            code and its new one).

    Returns:
        The codes. There are none for a sector that is not known and for the default one, which lies nowhere.
    """
    if _NORTHERN_IRELAND_SECTOR.fullmatch(sector):
        return frozenset({NORTHERN_IRELAND})
    today = upper_tiers().get(sector, ())
    if on is None:
        return frozenset(each for code in today for each in _codes_of(code))
    return frozenset(_in_force(code, on) for code in today)


def upper_tier_for_sector(sector: str, on: date | None = None) -> str | None:
    """The one code that UTLA can have for a sector, where that is certain.

    It is certain where every postcode of the sector, ended ones too, lies in one authority of England that has had one
    code since the list of April 2022. The codes of Cumbria, North Yorkshire, Somerset, Barnsley and Sheffield changed
    while the list did not, so they are certain only for a given day. A stand-in is never certain.

    Args:
        sector: a truncated postcode, such as "NR14 7".
        on: the day for which the code is asked (None: any day since April 2022).

    Returns:
        The code; None where it is not certain.
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
    """The codes that the land of a present authority has had, the newest first."""
    return tuple(authority.code for authority in line(code))


def line(code: str) -> Iterator[Authority]:
    """An authority by its code, then its predecessor, and so on back."""
    next_code: str | None = code
    while next_code:
        authority = authorities()[next_code]
        yield authority
        next_code = authority.predecessor


def _in_force(code: str, on: date | None) -> str:
    """The code that the land of a present authority had on a day (None: its present code)."""
    for authority in line(code):
        last = authority.code
        if on is None or authority.start is None or authority.start <= on:
            break
    return last


# ---- tables for conditions -------------------------------------------------------------------------


def _sectors_and_authorities() -> Entries:
    """The entries of `SECTOR_ALLOWS`: pairs of a sector and an upper tier authority in which it may lie."""
    known = authorities()
    upper = frozenset(code for code, authority in known.items() if authority.tier != "district")
    allowed = {sector: authorities_of_sector(sector) for sector in _sectors()} | {DEFAULT_SECTOR: upper}
    return Entries((frozenset(allowed), upper), _pairs(allowed))


def _pairs(values: Mapping[str, frozenset[str]]) -> frozenset[tuple[str, str]]:
    """Each key with each of its values."""
    return frozenset((key, value) for key, some in values.items() for value in some)


def _known_sectors() -> Entries:
    return Entries((None,), frozenset((sector,) for sector in (*_sectors(), DEFAULT_SECTOR)))


def _sectors_in_england() -> Entries:
    answers = {sector: _in_england(sector) for sector in _sectors()}
    known = frozenset(sector for sector, answer in answers.items() if answer is not None)
    return Entries((known,), frozenset((sector,) for sector in known if answers[sector]))


def _in_england(sector: str) -> bool | None:
    """Whether every postcode of a sector lies in England; None where only some do or the sector is not known."""
    if sector == DEFAULT_SECTOR or not _is_sector(sector):
        return None
    # An authority and its predecessors lie in one country.
    english = {code.startswith("E") for code in upper_tiers().get(sector, (NORTHERN_IRELAND,))}
    return True in english if len(english) == 1 else None


def _is_sector(sector: str) -> bool:
    """Whether a text is an existing sector or the default one."""
    return sector in upper_tiers() or sector == DEFAULT_SECTOR or bool(_NORTHERN_IRELAND_SECTOR.fullmatch(sector))


def _is_upper(code: str) -> bool:
    """Whether a code is that of an upper tier authority."""
    authority = authorities().get(code)
    return authority is not None and authority.tier != "district"


def _lies_in(sector: str, code: str) -> bool | None:
    if not (_is_sector(sector) and _is_upper(code)):
        return None
    return sector == DEFAULT_SECTOR or code in _of_sector(sector)


@lru_cache(maxsize=20_000)
def _of_sector(sector: str) -> frozenset[str]:
    return authorities_of_sector(sector)


def _sectors() -> Iterator[str]:
    """Every sector but the default one, and every possible sector of Northern Ireland."""
    yield from upper_tiers()
    yield from (f"BT{district} {digit}" for district in range(1, 100) for digit in range(10))


#: Whether a truncated postcode is an existing sector or the default one.
SECTOR_KNOWN = Table(
    "sector_known", "{0} is a postcode sector", "{0} is no postcode sector", _known_sectors, _is_sector
)

#: Whether a sector lies, wholly or partly, in an upper tier authority. A sector in several authorities allows each of
#: them, under its old code or its new one. The default sector allows all, because UTLA is then where the client was
#: last of no fixed abode. The answer is not known for a sector that is not in `SECTOR_KNOWN`, and for a code that is no
#: upper tier authority in `authorities()`: it may be an official code for outside England, which this project does not
#: have.
SECTOR_ALLOWS = Table("sector_allows", "{0} lies in {1}", "{0} lies outside {1}", _sectors_and_authorities, _lies_in)

#: Whether every postcode of a sector lies in England. It is false where none does, and not known where some do, for the
#: default sector, which lies nowhere, and for a sector that is not in `SECTOR_KNOWN`.
SECTOR_IN_ENGLAND = Table(
    "sector_in_england", "{0} lies in England", "{0} lies outside England", _sectors_in_england, _in_england
)


def area_has_sector(name: str, areas: Callable[[], Mapping[str, frozenset[str]]]) -> Table:
    """The lookup table of whether a sector lies, wholly or partly, in an area. The default sector lies in every area.

    Args:
        name: the name of the table.
        areas: gives the codes of the upper tier authorities of each area, by the code of the area.

    Returns:
        A table with the arguments area and sector.
    """

    def read() -> Entries:
        sectors = SECTOR_ALLOWS.entries
        areas_of: dict[str, list[str]] = {}
        for area, code in _pairs(areas()):
            areas_of.setdefault(code, []).append(area)
        yes = frozenset((area, sector) for sector, code in sectors.yes for area in areas_of.get(code, ()))
        return Entries((frozenset(areas()), sectors.known[0]), yes)

    def ask(area: str, sector: str) -> bool | None:
        if area not in areas() or not _is_sector(sector):
            return None
        return bool(areas()[area]) if sector == DEFAULT_SECTOR else not areas()[area].isdisjoint(_of_sector(sector))

    return Table(name, "{1} lies in {0}", "{1} lies outside {0}", read, ask)


def area_has_authority(name: str, areas: Callable[[], Mapping[str, frozenset[str]]]) -> Table:
    """The lookup table of whether an upper tier authority is one of an area's.

    Args:
        name: the name of the table.
        areas: as `area_has_sector` takes them.

    Returns:
        A table with the arguments area and authority.
    """

    def read() -> Entries:
        return Entries((frozenset(areas()), SECTOR_ALLOWS.entries.known[1]), _pairs(areas()))

    def ask(area: str, code: str) -> bool | None:
        return code in areas()[area] if area in areas() and _is_upper(code) else None

    return Table(name, "{1} lies in {0}", "{1} lies outside {0}", read, ask)


# ---- the packaged data -----------------------------------------------------------------------------


@cache
def upper_tiers() -> Mapping[str, tuple[str, ...]]:
    """The codes of the present upper tier authorities of each sector, by sector."""
    tiers: dict[str, tuple[str, ...]] = {}
    for sector, authority in _rows(_bytes("sectors.csv")):
        tiers[sector] = (*tiers[sector], authority) if sector in tiers else (authority,)
    return tiers


@cache
def _postcodes() -> Mapping[str, tuple[tuple[str, str], ...]]:
    """The districts of each sector, by sector: pairs of a district's code and the last two characters of postcodes.

    The characters of all postcodes of the sector in the district stand together in one text. The mapping takes some
    10 MB of memory, and is made when it is first needed.
    """
    districts: dict[str, tuple[tuple[str, str], ...]] = {}
    for sector, district, units in _rows(gzip.decompress(_bytes("postcodes.csv.gz"))):
        districts[sector] = (*districts.get(sector, ()), (district, units))
    return districts


def _rows(content: bytes) -> Iterator[list[str]]:
    """The rows of a packaged CSV file, which has no quotes, less its header."""
    lines = content.decode("ascii").splitlines()
    return (line.split(",") for line in lines[1:])


def _bytes(name: str) -> bytes:
    """The content of a packaged file, whose hash is checked: a damaged file may be parsed as other values."""
    folder = files("cjit").joinpath("ons")
    try:
        content = folder.joinpath(name).read_bytes()
        hashes = folder.joinpath("SHA256SUMS").read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        raise _unusable(name) from error
    if f"{hashlib.sha256(content).hexdigest()}  {name}" not in hashes.splitlines():
        raise _unusable(name)
    return content


def _unusable(name: str) -> GeographyError:
    return GeographyError(
        f"The postcode data that come with cjit are missing or damaged (ons/{name}): install cjit again"
    )
