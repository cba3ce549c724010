from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import cjit
from cjit.dataset import Changes, Entity, Field, Kind, Severity
from cjit.datasets.q.fields import FIELDS

# The document's three tables of fields: header | field description | what "field updatability" says.
#   R  MUST be completed. If not, the record will be rejected
#   X  MUST be completed. If not, data may be excluded from performance monitoring reports
#   S  Should not change
#   C  If changed, it will create a validation mismatch
#   M  May change
#   P  This is populated by your software system; "should be completed by software provider"
#   F  Should only change from 'null' to populated as episode progresses
#   E  Record as per start of episode
#   N  Record as per current situation
#   L  Record as per current living situation
CLIENT_DETAILS = """
CLIENTID | Client ID | RPS
FINITIAL | Initial of client's first name | RSCE
SINITIAL | Initial of client's surname | RSCE
DOB | Client date of birth | RSCE
SEX | Client stated sex | RSCE
ETHNIC | Ethnicity | SE
NATION | Country of birth | SE
AGNCY | CJIT agency code | RPSC
CLIENT | Client reference | RS
"""
EPISODE_DETAILS = """
EPISODID | Episode ID | RPS
CMSID | Software system and version used | RPMN
CONSENT | Consent for NDTMS | MN
PC | Postcode | ML
DAT | DAT of residence | XMN
UTLA | Upper tier local authority | PMN
REFLD | Date of the event which prompted this contact | XSC
CJRFLS | What event prompted the contact? | SE
TRIAGED | Contact/assessment date | XS
OFFENCE | Offence | SE
PRISON | DAT/LA or secure setting transferred from | SE
SEXUALO | Client stated sexual orientation | SE
PREGNANT | Pregnant | SE
RELIGION | Religion | SE
DISABLE1 | Disability 1 | SE
DISABLE2 | Disability 2 | SE
DISABLE3 | Disability 3 | SE
ALCDDAYS | Drinking days | SE
ALCUNITS | Units of alcohol | SE
HOUSING | What is the client's current housing situation? | SE
HOMELESS | Is the client threatened with homelessness in the next 56 days (8 weeks)? | SE
VETERAN | British Armed Forces veteran | SE
PARENT | Parental responsibility | SE
PRNTSTAT | If client has parental responsibility, do any of these children live with the client? | SE
CHILDWTH | How many children under 18 in total live in the same house as the client? | SE
EHCS | If client has parental responsibility and/or children living with them, what help are the children receiving? (1) | SE
EHCSC2 | If client has parental responsibility and/or children living with them, what help are the children receiving? (2) | SE
EHCSC3 | If client has parental responsibility and/or children living with them, what help are the children receiving? (3) | SE
DRUG1 | Problem substance number 1 | RSE
ROUTE | Route of administration of problem substance number 1 | SE
DRUG2 | Problem substance number 2 | SE
DRUG3 | Problem substance number 3 | SE
INJSTAT | Injecting status | SE
CPLANDT | Caseload start date | SE
NALOXISS | Has the client been issued with naloxone at episode start? | SE
NALOXAD | Has the client ever been administered with naloxone to reverse the effects of an overdose? | SE
DISD | Case closure date |
CJDISRSN | Case closure reason | F
"""  # noqa: E501
REFERRALS_TO_STRUCTURED_TREATMENT = """
REFERID | Referral to structured treatment ID | RPS
REFDATE | Date referred to structured treatment agency | S
"""

PRINTED = [
    (entity, section, *(cell.strip() for cell in line.split("|")))
    for entity, section, table in (
        (Entity.CLIENT, "Client details", CLIENT_DETAILS),
        (Entity.EPISODE, "Episode details", EPISODE_DETAILS),
        (Entity.REFERRAL, "Referrals to structured treatment", REFERRALS_TO_STRUCTURED_TREATMENT),
    )
    for line in table.strip().splitlines()
]
MARKS = {header: marks for _, _, header, _, marks in PRINTED}
FIELD = {field.header: field for field in FIELDS}


def headers(chosen: object) -> list[str]:
    assert callable(chosen)
    return [field.header for field in FIELDS if chosen(field)]


def printed(mark: str) -> list[str]:
    return [header for header, marks in MARKS.items() if mark in marks]


def test_fields_stand_in_the_documents_order_with_its_descriptions_and_sections():
    assert [(f.entity, f.clause, f.header, f.label) for f in FIELDS] == [
        (entity, f"{section}: {header}", header, label) for entity, section, header, label, _ in PRINTED
    ]


def test_the_first_field_of_each_section_is_its_id():
    firsts = {entity: next(f for f in FIELDS if f.entity is entity) for entity in {f.entity for f in FIELDS}}
    assert {e: f.header for e, f in firsts.items()} == {
        Entity.CLIENT: "CLIENTID",
        Entity.EPISODE: "EPISODID",
        Entity.REFERRAL: "REFERID",
    }
    assert all(f.kind is Kind.ID and f.system for f in firsts.values())


def test_six_fields_create_a_validation_mismatch_if_changed():
    assert headers(lambda f: f.changes is Changes.MISMATCH) == printed("C")
    assert printed("C") == ["FINITIAL", "SINITIAL", "DOB", "SEX", "AGNCY", "REFLD"]


def test_five_fields_may_change():
    assert headers(lambda f: f.changes is Changes.MAY) == printed("M")
    assert len(printed("M")) == 5


def test_a_closure_is_only_ever_filled_in():
    # Printed beside the reason; the document asks for date and reason together.
    assert headers(lambda f: f.changes is Changes.FILLED_ONLY) == ["DISD", *printed("F")]


def test_every_other_field_should_not_change():
    said = [header for header, marks in MARKS.items() if "S" in marks and "C" not in marks]
    assert headers(lambda f: f.changes is Changes.SHOULD_NOT) == said


def test_six_fields_are_populated_by_the_software():
    assert headers(lambda f: f.system) == printed("P")
    assert len(printed("P")) == 6


@pytest.mark.parametrize(
    ("mark", "moment"), [("E", "start of episode"), ("N", "current situation"), ("L", "current living situation")]
)
def test_a_field_is_recorded_as_per_the_moment_the_document_names(mark: str, moment: str):
    assert headers(lambda f: f.as_of == moment) == printed(mark)
    assert len(printed(mark)) > 0


def test_the_document_names_no_moment_for_the_other_fields():
    assert headers(lambda f: not f.as_of) == [h for h, marks in MARKS.items() if not set("ENL") & set(marks)]


def test_six_fields_are_required_in_some_records_only():
    assert headers(lambda f: f.required) == ["PRNTSTAT", "EHCS", "DISD", "CJDISRSN", "REFERID", "REFDATE"]
    assert not headers(lambda f: f.required and f.missing)


def test_a_record_is_rejected_without_the_fields_that_must_be_completed_and_without_consent():
    unconditional = [header for header in printed("R") if header != "REFERID"]
    assert sorted(headers(lambda f: f.missing is Severity.REJECT)) == sorted([*unconditional, "CONSENT"])


def test_data_may_be_excluded_without_three_fields():
    assert headers(lambda f: f.missing is Severity.EXCLUDE) == printed("X") == ["DAT", "REFLD", "TRIAGED"]


def test_an_episode_needs_no_referral():
    assert [FIELD[header].missing for header in ("REFERID", "REFDATE")] == [None, None]


def test_a_bad_value_weighs_as_much_as_a_missing_one():
    assert FIELD["DOB"].bad is Severity.REJECT
    assert FIELD["TRIAGED"].bad is Severity.EXCLUDE
    assert FIELD["HOUSING"].bad is Severity.QUERY


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Kind.DATE, "DOB REFLD TRIAGED CPLANDT DISD REFDATE"),
        (Kind.NUMBER, "ALCDDAYS ALCUNITS CHILDWTH"),
        (Kind.INITIAL, "FINITIAL SINITIAL"),
        (Kind.POSTCODE, "PC"),
        (Kind.ID, "CLIENTID AGNCY CLIENT EPISODID CMSID REFERID"),
    ],
)
def test_every_field_without_a_list_is_written_as_its_kind(kind: Kind, expected: str):
    assert set(expected.split()) <= set(headers(lambda f: f.kind is kind))


def test_a_field_has_a_code_list_exactly_when_it_is_a_code():
    assert headers(lambda f: f.codes is not None) == headers(lambda f: f.kind is Kind.CODE)


def test_drinking_days_are_days_of_the_28_before_the_assessment():
    assert (FIELD["ALCDDAYS"].minimum, FIELD["ALCDDAYS"].maximum) == (0, 28)


def test_98_children_means_that_the_client_declined_to_answer():
    children = FIELD["CHILDWTH"]
    assert "declined" in children.apart["98"]
    assert children.maximum is not None
    assert children.maximum < 98


def test_the_first_help_field_is_read_by_each_spelling_the_document_prints():
    assert {FIELD["EHCS"].header, *FIELD["EHCS"].also} == {"EHCS", "EHCSC", "EHCSC1"}


def test_no_two_fields_share_a_spelling():
    spellings = [spelling for f in FIELDS for spelling in (f.header, *f.also)]
    assert len(set(spellings)) == len(spellings)


@pytest.mark.parametrize("field", FIELDS, ids=lambda f: f.header)
def test_a_field_can_be_shown_and_completes_a_message(field: Field):
    assert field.definition[0].isupper()
    assert field.definition.endswith((".", ")"))
    assert not field.noun.endswith((".", "?"))
    # "Enter the …" reads on: a noun begins small, unless with an abbreviation.
    assert field.noun[0].islower() or field.noun[:2].isupper()


@pytest.mark.process
def test_the_fields_alone_load_no_data_frame_library():
    path = Path(cjit.__file__).parent / "datasets" / "q" / "fields.py"
    program = (
        "import sys; from importlib.util import module_from_spec, spec_from_file_location as at;"
        f"spec = at('fields', {str(path)!r}); spec.loader.exec_module(module_from_spec(spec));"
        "sys.exit('polars' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
