from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from cjit.dataset import Status
from cjit.datasets import dataset
from cjit.datasets.q import Q
from cjit.datasets.q.example import EXAMPLE
from cjit.dictionary.overview import DictionaryProblem, describe, overview
from cjit.dictionary.schemas import FORMATS, export
from cjit.reference import install, with_installed

# What a single field shows to be wrong, whatever reads the schema.
BAD = [
    ("CLIENTID", ""),
    ("CMSID", ""),
    ("DOB", ""),
    ("DOB", "1986-02-14"),
    ("DOB", "14/13/1986"),
    ("DOB", "14/02/0086"),
    ("DOB", "31/02/1986"),
    ("DOB", "19860231"),
    ("DOB", "19860431"),
    ("DOB", "19861301"),
    ("DOB", "14021986"),
    ("DOB", "00860214"),
    ("FINITIAL", "Mc"),
    ("FINITIAL", "m"),
    ("SEX", "X"),
    # Read, and not to be written.
    ("SEX", "1"),
    ("ETHNIC", "Q"),
    ("NATION", "XKX"),
    ("PC", "NR14 7UJ"),
    ("ALCDDAYS", "29"),
    ("ALCDDAYS", "-1"),
    ("ALCUNITS", "201"),
    ("CHILDWTH", "21"),
    ("CHILDWTH", "99"),
    ("HOUSING", "25"),
    ("DISABLE1", "AA"),
    ("EHCS", "8"),
    ("CJDISRSN", "3"),
]
# What may stand: blanks where no rejection is stated, edges of ranges, codes of lists not fully known.
GOOD = [
    ("ETHNIC", ""),
    ("DAT", ""),
    ("REFERID", ""),
    ("REFDATE", ""),
    ("CJRFLS", "17"),
    ("DAT", "Q99B"),
    ("DRUG1", "3410"),
    ("PARENT", "1"),
    ("UTLA", "Z99999999"),
    ("PRISON", "Z01"),
    ("ALCDDAYS", "0"),
    ("ALCDDAYS", "28"),
    ("ALCUNITS", "200"),
    ("CHILDWTH", "0"),
    ("CHILDWTH", "20"),
    ("CHILDWTH", "98"),
    ("PC", "ZZ99 3"),
    ("DISABLE1", "NN"),
    ("DOB", "29/02/2000"),
    ("DOB", "20000229"),
    ("REFLD", "20251231"),
    ("REFLD", "30/11/2025"),
]


def write(path: Path, *records: dict[str, str], headers: tuple[str, ...] = Q.headers) -> Path:
    with path.open("w", newline="", encoding="utf-8") as out:
        rows = csv.DictWriter(out, headers)
        rows.writeheader()
        rows.writerows({header: record.get(header, "") for header in headers} for record in records)
    return path


# ---- json schema -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def json_schema() -> Draft202012Validator:
    schema = json.loads(export(Q, "json-schema"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def test_the_json_schema_takes_a_faultless_record(json_schema: Draft202012Validator):
    assert list(json_schema.iter_errors(EXAMPLE)) == []


def test_the_json_schema_takes_a_record_of_what_must_be_completed_alone(json_schema: Draft202012Validator):
    required = (
        "CLIENTID FINITIAL SINITIAL DOB SEX AGNCY CLIENT EPISODID CMSID CONSENT DRUG1".split()  # noqa: SIM905
    )
    least = {header: EXAMPLE[header] for header in required}
    assert list(json_schema.iter_errors(least)) == []
    for header in required:
        without = {key: value for key, value in least.items() if key != header}
        assert [error.validator for error in json_schema.iter_errors(without)] == ["required"]


@pytest.mark.parametrize(("header", "value"), GOOD)
def test_the_json_schema_takes_what_may_stand(json_schema: Draft202012Validator, header: str, value: str):
    assert json_schema.is_valid({**EXAMPLE, header: value})


@pytest.mark.parametrize(("header", "value"), BAD)
def test_the_json_schema_turns_away(json_schema: Draft202012Validator, header: str, value: str):
    errors = list(json_schema.iter_errors({**EXAMPLE, header: value}))
    assert [list(error.path) for error in errors] == [[header]]


def test_the_json_schema_turns_away_a_header_the_dataset_has_not(json_schema: Draft202012Validator):
    assert not json_schema.is_valid({**EXAMPLE, "ACCMNEED": "1"})


# ---- frictionless ------------------------------------------------------------------------------


def frictionless_errors(schema: dict[str, Any], path: Path) -> list[tuple[str, str]]:
    from frictionless import Resource, Schema, system

    with system.use_context(trusted=True):
        report = Resource(path=str(path), schema=Schema.from_descriptor(schema)).validate()
    return [(kind, field) for kind, field in report.flatten(["type", "fieldName"])]


@pytest.fixture(scope="module")
def table_schema() -> dict[str, Any]:
    from frictionless import Schema

    schema: dict[str, Any] = json.loads(export(Q, "table-schema"))
    assert Schema.validate_descriptor(schema).valid
    return schema


def test_the_table_schema_takes_a_file_of_all_that_may_stand(table_schema: dict[str, Any], tmp_path: Path):
    path = write(tmp_path / "good.csv", EXAMPLE, *({**EXAMPLE, header: value} for header, value in GOOD))
    assert frictionless_errors(table_schema, path) == []


def test_the_table_schema_finds_every_bad_value(table_schema: dict[str, Any], tmp_path: Path):
    path = write(tmp_path / "bad.csv", *({**EXAMPLE, header: value} for header, value in BAD))
    errors = frictionless_errors(table_schema, path)
    assert [field for _, field in errors] == [header for header, _ in BAD]
    assert {kind for kind, _ in errors} == {"constraint-error"}


# ---- csv on the web ----------------------------------------------------------------------------


def csvw_takes(path: Path, metadata: dict[str, Any]) -> bool:
    from csvw import CSVW

    described = path.with_name(f"{path.name}-metadata.json")
    described.write_text(json.dumps({**metadata, "url": path.name}), encoding="utf-8")
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        valid: bool = CSVW(str(path), md_url=str(described), validate=True).is_valid
    return valid


@pytest.fixture(scope="module")
def metadata() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(export(Q, "csvw"))
    return found


def test_the_csvw_metadata_takes_a_file_of_all_that_may_stand(metadata: dict[str, Any], tmp_path: Path):
    path = write(tmp_path / "good.csv", EXAMPLE, *({**EXAMPLE, header: value} for header, value in GOOD))
    assert csvw_takes(path, metadata)


@pytest.mark.parametrize(("header", "value"), BAD)
def test_the_csvw_metadata_turns_away(metadata: dict[str, Any], header: str, value: str, tmp_path: Path):
    path = write(tmp_path / "bad.csv", {**EXAMPLE, header: value})
    assert not csvw_takes(path, metadata)


def test_the_csvw_metadata_titles_a_column_as_the_file_may_spell_it(metadata: dict[str, Any]):
    titles = {column["name"]: column["titles"] for column in metadata["tableSchema"]["columns"]}
    assert titles.pop("EHCS") == ["EHCS", "EHCSC", "EHCSC1"]
    assert all(spellings == [header] for header, spellings in titles.items())


# ---- every export ------------------------------------------------------------------------------


@pytest.mark.process
@pytest.mark.parametrize("format_", FORMATS)
def test_an_export_is_the_same_text_in_every_process(format_: str):
    program = (
        "import sys; from cjit.datasets.q import Q; from cjit.dictionary.schemas import export;"
        f"sys.stdout.buffer.write(export(Q, {format_!r}).encode())"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONHASHSEED": "2022"},
        capture_output=True,
        check=True,
    )
    assert run.stdout.decode() == export(Q, format_)


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("letter", ["P", "Q"])
def test_an_export_holds_every_field_in_order_and_where_it_is_from(format_: str, letter: str):
    found = dataset(letter)
    text = export(found, format_)
    places = [text.index(f"### {h}\n" if format_ == "markdown" else f'"{h}"') for h in found.headers]
    assert places == sorted(places)
    assert "Open Government Licence v3.0" in text


def test_an_official_list_is_exported_as_a_closed_one(tmp_path: Path):
    official = tmp_path / "official.csv"
    official.write_text("code,label\n1011,Heroin\n7000,Alcohol\n", encoding="utf-8")
    install(Q, "DRUG", official, tmp_path)
    schema = Draft202012Validator(json.loads(export(with_installed(Q, tmp_path), "json-schema")))
    assert schema.is_valid({**EXAMPLE, "DRUG1": "1011"})
    assert not schema.is_valid({**EXAMPLE, "DRUG1": "3410"})


def test_an_unknown_format_is_answered_with_those_there_are():
    with pytest.raises(DictionaryProblem, match=r"“yaml”: choose one of json-schema, table-schema, csvw"):
        export(Q, "yaml")


# ---- markdown ----------------------------------------------------------------------------------


def test_the_page_prints_each_code_list_once_and_marks_stand_ins():
    page = export(Q, "markdown")
    assert page.count("| 24 | No home of their own – unauthorised Gypsy and Traveller encampment |") == 1
    assert page.count("| 6 | Perception of physical danger |") == 1
    assert "The codes are those of [DISABLE1](#disable1)." in page
    assert "| X12 | Other [placeholder] |" in page


def test_every_row_of_a_table_in_the_page_has_as_many_cells_as_its_head():
    wrong, cells = [], 0
    for line in export(Q, "markdown").splitlines():
        if not line.startswith("|"):
            cells = 0
        elif cells and line.count("|") != cells:
            wrong.append(line)
        else:
            cells = line.count("|")
    assert wrong == []


# ---- for a reader ------------------------------------------------------------------------------


def test_a_field_is_described_in_full():
    text = describe(Q, "DOB")
    for part in (
        "DOB: Client date of birth",
        "dd/mm/yyyy",
        "the record will be rejected",
        "it will create a validation mismatch",
        "business definitions, Client details: DOB",
        "DOB.is_given (reject)",
        "Enter the date of birth",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("SEX", "Recorded as per: start of episode"),
        ("DAT", "Recorded as per: current situation"),
        ("PC", "Recorded as per: current living situation"),
        ("UTLA", "Filled in by: your software system"),
        (
            "DISD",
            "If missing: required when the case is closed, together with the case closure reason, or the record is",
        ),
        ("CJDISRSN", "required when the case is closed, together with the case closure date, or the record is queried"),
        ("PRNTSTAT", "required where the client has parental responsibility, or the record is queried"),
        ("EHCS", "required where the client has parental responsibility or lives with children, or the record is"),
        ("REFERID", "required for each referral, or the record will be rejected; otherwise left blank"),
        ("REFDATE", "required for each referral, or the record is queried; otherwise left blank"),
        ("CONSENT", "No consequence is printed; that the record is rejected is our reading 10"),
        ("OFFENCE", "no consequence is stated; blanks are counted"),
    ],
)
def test_a_field_says_when_it_is_required_as_of_when_and_who_fills_it_in(header: str, said: str):
    assert said in " ".join(describe(Q, header).split())


def test_what_is_said_of_a_field_is_in_the_exports_too():
    of_the_start = sum(field.as_of == "start of episode" for field in Q.fields)
    assert of_the_start
    for format_ in ("json-schema", "table-schema", "csvw"):
        text = export(Q, format_)
        assert text.count("(Recorded as per start of episode.)") == of_the_start
        assert text.count("(Required when the case is closed, together with") == 2
    assert export(Q, "markdown").count("- Recorded as per: start of episode\n") == of_the_start


def test_a_field_that_names_no_moment_says_none():
    assert "Recorded as per" not in describe(Q, "TRIAGED")


@pytest.mark.parametrize("letter", ["P", "Q"])
def test_every_field_is_described_with_its_codes_in_lines_a_terminal_can_hold(letter: str):
    found = dataset(letter)
    for field in found.fields:
        text = describe(found, field.header)
        squeezed = " ".join(text.split())
        assert field.definition in squeezed
        assert all(len(line) <= 100 for line in text.splitlines()[1:])
        codes = found.codes_of(field.header)
        for row in codes.rows if codes else ():
            assert f"{row.code} {row.label}" in squeezed


def test_a_field_is_found_in_any_case_and_spelling():
    assert describe(Q, " ehcsc1 ") == describe(Q, "EHCS")


def test_a_case_closure_reason_is_described_under_both_headings():
    text = describe(Q, "CJDISRSN")
    assert text.index("  prior to caseload:") < text.index("  from caseload:")
    assert text.count("99  Transferred – not in custody") == 2


def test_a_stand_in_is_marked_wherever_it_shows():
    for header in Q.headers:
        codes = Q.codes_of(header)
        stand_ins = [row for row in codes.rows if row.status is Status.PLACEHOLDER] if codes else []
        assert describe(Q, header).count("[placeholder]") == len(stand_ins)


def test_a_field_shows_the_rules_that_read_it_and_not_those_that_only_gather_its_rows():
    text = describe(Q, "CLIENTID")
    assert "CLIENTID.is_given" in text
    assert "DOB.is_the_same_on_every_row" not in text


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("DBO", "did you mean DOB"),
        ("SUBMID", "it is in dataset P"),
        ("9", "“cjit dictionary” lists them all"),
    ],
)
def test_an_unknown_field_gets_a_hint(said: str, hint: str):
    with pytest.raises(DictionaryProblem, match=f"^CJIT dataset Q has no field “{said}”: {hint}"):
        describe(Q, said)


def test_the_overview_has_one_line_a_field_under_its_section():
    text = overview(Q)
    assert text.startswith(f"CJIT dataset Q: {len(Q.headers)} fields, in effect from 01/04/2022\n")
    words = [line.split()[0] for line in text.splitlines() if line.startswith("  ")]
    assert [word for word in words if word != "HEADER"] == list(Q.headers)
    (row,) = (line for line in text.splitlines() if line.split()[:1] == ["REFLD"])
    assert row.split("  ")[1:] != []
    assert "exclude" in row
    assert "no (mismatch)" in row
