"""Postcodes and authorities: truncation, the default postcode, and which authority a place lies in.

The data are the ONS Postcode Directory of November 2025, compiled into `ons/` by
`scripts/build_geography.py`:

- `postcodes.parquet`: each postcode of Great Britain, ended ones too, and its local authority district;
- `sectors.parquet`: each sector ("NR14 7") and the upper tier authorities its postcodes lie in;
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
expressions are then null, which means "cannot tell".

Northern Ireland's rows are not under the Open Government Licence and are left out: every sector of the
area BT is taken to exist, and to lie in Northern Ireland. The Channel Islands and the Isle of Man are
outside the United Kingdom, whose residents get the default postcode: their sectors are unknown here. So
are those of the British Forces, BF1, which lie in no authority.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

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
    postcodes, districts = _postcodes()
    at = int(postcodes.search_sorted(whole))
    found = at < len(postcodes) and postcodes[at] == whole
    return str(districts[at]) if found else None


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
    today = _upper_tiers().get(sector, ())
    if on is None:
        return frozenset(authority.code for code in today for authority in line(code))
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


# ---- a column --------------------------------------------------------------------------------------


def sector_known(pc: pl.Expr) -> pl.Expr:
    """True where a truncated postcode is a sector there is, or the default one; null where it is blank.

    `pc` holds text as `TRUNCATED` has it. Element by element, so it may run in batches.
    """
    import polars as pl

    sectors, _, _ = _listed()
    return pl.when(pc.is_not_null()).then(pc.cast(sectors, strict=False).is_not_null())


def sector_allows(pc: pl.Expr, utla: pl.Expr) -> pl.Expr:
    """True where a sector lies, wholly or partly, in an upper tier authority; False where it cannot.

    A sector that spans several authorities allows any of them, under its old code or its new one; the
    default sector allows all, since UTLA is then where the client was last of no fixed abode. Null where
    either is blank, the sector is not known (`sector_known` says that), or the code is no upper tier in
    `authorities()`: it may be an official code for outside England, which we do not know.
    """
    sectors, upper, places = _listed()
    return _place(pc, utla, sectors, upper).is_in(places.implode())


def area_has_sector(area: pl.Expr, pc: pl.Expr, areas: Mapping[str, frozenset[str]]) -> pl.Expr:
    """True where a sector lies, wholly or partly, in an area; False where it does not.

    `areas` has the upper tier authorities of each area, by the code of the area. The default sector lies in every one.
    Null where either is blank or is not known.
    """
    import polars as pl

    sectors, upper, places = _listed()
    codes, members = _members(areas, upper)
    lies = pl.DataFrame({"sector": places // len(upper.categories), "authority": places % len(upper.categories)})
    pairs = lies.join(members, on="authority").select(pl.col("sector") * len(codes.categories) + pl.col("area"))
    return _place(pc, area, sectors, codes).is_in(pairs.to_series().unique().implode())


def area_has_authority(area: pl.Expr, utla: pl.Expr, areas: Mapping[str, frozenset[str]]) -> pl.Expr:
    """True where an upper tier authority is one of an area's; False where it is not.

    `areas` is as above. Null where either is blank or is not known.
    """
    import polars as pl

    _, upper, _ = _listed()
    codes, members = _members(areas, upper)
    pairs = members.select(pl.col("authority") * len(codes.categories) + pl.col("area"))
    return _place(utla, area, upper, codes).is_in(pairs.to_series().implode())


def _members(areas: Mapping[str, frozenset[str]], upper: pl.Enum) -> tuple[pl.Enum, pl.DataFrame]:
    """The codes of some areas, and the number of each area beside that of each of its authorities."""
    import polars as pl

    codes = pl.Enum(list(areas))
    members = [(area, authority) for area, of_it in areas.items() for authority in sorted(of_it)]
    frame = pl.DataFrame(members, schema=["area", "authority"], orient="row")
    numbers = frame.select(_number(pl.col("area"), codes), _number(pl.col("authority"), upper))
    return codes, numbers.drop_nulls()


def _number(code: pl.Expr, codes: pl.Enum) -> pl.Expr:
    """A code as its position in a list; null where the list does not have it."""
    import polars as pl

    return code.cast(codes, strict=False).to_physical().cast(pl.UInt32)


def sector_in_england(pc: pl.Expr) -> pl.Expr:
    """True where every postcode of a sector lies in England, False where none does.

    Null where some do, where it is blank, for the default sector, which lies nowhere, and for a sector not
    known.
    """
    import polars as pl

    sectors, _, _ = _listed()
    wholly, nowhere = _in_england()
    number = pc.cast(sectors, strict=False).to_physical().cast(pl.UInt32)
    return pl.when(number.is_in(wholly.implode())).then(True).when(number.is_in(nowhere.implode())).then(False)


@cache
def _in_england() -> tuple[pl.Series, pl.Series]:
    """The numbers of the sectors that lie wholly in England, and of those that lie wholly outside it."""
    import polars as pl

    sectors, _, _ = _listed()
    english = pl.col("authority").str.starts_with("E")
    today = _frame("sectors.parquet").group_by("sector").agg(all=english.all(), any=english.any())
    numbers = today.with_columns(pl.col("sector").cast(sectors).to_physical().cast(pl.UInt32))
    northern_ireland = pl.Series([s.startswith("BT") for s in sectors.categories]).arg_true()
    outside = numbers.filter(~pl.col("any"))["sector"].append(northern_ireland.cast(pl.UInt32))
    return numbers.filter("all")["sector"], outside


def _place(one: pl.Expr, other: pl.Expr, ones: pl.Enum, others: pl.Enum) -> pl.Expr:
    """One number for two codes, such as a sector and an authority, from their positions in their lists; else null.

    Numbers, for Polars looks them up faster than text, and anew at each evaluation.
    """
    return _number(one, ones) * len(others.categories) + _number(other, others)


@cache
def _listed() -> tuple[pl.Enum, pl.Enum, pl.Series]:
    """The sectors, the upper tier authorities, and the number of each pair that may stand together."""
    import polars as pl

    known = authorities()
    upper = [code for code, authority in known.items() if authority.tier != "district"]
    earlier = [(code, old.code) for code in upper for old in line(code) if old.code != code]
    before = pl.DataFrame(earlier, schema=["authority", "earlier"], orient="row")
    northern_ireland = [f"BT{district} {digit}" for district in range(1, 100) for digit in range(10)]
    today = _frame("sectors.parquet")
    pairs = pl.concat(
        [
            today,
            today.join(before, on="authority").select("sector", authority="earlier"),
            pl.DataFrame({"sector": northern_ireland}).with_columns(authority=pl.lit(NORTHERN_IRELAND)),
            pl.DataFrame({"authority": upper}).select(pl.lit(DEFAULT_SECTOR).alias("sector"), "authority"),
        ]
    )
    listed = pl.Enum(pairs["sector"].unique().sort()), pl.Enum(upper)
    places = pairs.select(_place(pl.col("sector"), pl.col("authority"), *listed)).to_series()
    return *listed, places


# ---- the packaged data -----------------------------------------------------------------------------


@cache
def _upper_tiers() -> Mapping[str, tuple[str, ...]]:
    """Sector to the codes of its upper tier authorities today."""
    tiers: dict[str, tuple[str, ...]] = {}
    for sector, authority in _frame("sectors.parquet").iter_rows():
        tiers[sector] = (*tiers.get(sector, ()), authority)
    return tiers


@cache
def _postcodes() -> tuple[pl.Series, pl.Series]:
    """Every postcode, sorted, and beside it its district: some 60 MB, so only for who asks."""
    frame = _frame("postcodes.parquet")
    return frame["postcode"], frame["district"]


def _frame(name: str) -> pl.DataFrame:
    import polars as pl

    return pl.read_parquet(io.BytesIO(_bytes(name)))


def _bytes(name: str) -> bytes:
    """A packaged file, which must be what was built: a damaged Parquet file may read as other values."""
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
