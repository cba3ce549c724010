"""The extract as it is made from the command line."""

import csv
import io
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from cjit.cli import main
from cjit.web.agencies.models import AuditEvent
from cjit.web.caseload import actions
from cjit.web.caseload.models import Client, Extract

UNTIL = ("--until", "2026-06-30")


@pytest.fixture
def begun(agency, manager, csv_of):
    """The agency's caseload, from a file with some changes; nothing of it was extracted here."""

    def make(*changes):
        rows = [{"AGNCY": agency.code, **change} for change in changes]
        actions.import_records(by=manager, agency=agency, file=io.BytesIO(csv_of(*rows)), name="last.csv")
        Client.objects.update(extracted=None)

    return make


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words):
    return CliRunner().invoke(main, ["extract", *(str(word) for word in words)])


def sentence(result) -> str:
    assert result.exit_code == 2, result.output
    told: str = result.stderr.strip()
    assert told.startswith("cjit: ")
    assert "\n" not in told
    return told


def test_it_is_written_under_its_name_marked_and_noted(begun, agency, elsewhere):
    begun({}, {})
    result = run(agency.code, *UNTIL)

    assert result.exit_code == 0
    path = elsewhere / f"{agency.code}_2026-06-30_full.csv"
    assert result.stdout == f"{path.name}: 2 clients, 2 episodes, 2 referrals\n"
    assert len(list(csv.DictReader(io.StringIO(path.read_text())))) == 2
    assert not Client.objects.filter(extracted=None).exists()
    assert (Extract.objects.get().by, Extract.objects.get().name) == (None, path.name)
    assert AuditEvent.objects.get(action="made an extract").who == "the service"


def test_made_again_it_has_the_same_bytes(begun, agency, elsewhere):
    begun({}, {})
    for name in ("a.csv", "b.csv"):
        assert run(agency.code, *UNTIL, "-o", elsewhere / name).exit_code == 0

    assert (elsewhere / "a.csv").read_bytes() == (elsewhere / "b.csv").read_bytes()


@pytest.mark.parametrize(
    ("words", "written"),
    [((), "19860214"), (("--dates", "YYYYMMDD"), "19860214"), (("--dates", "dd/mm/yyyy"), "14/02/1986")],
)
def test_dates_are_written_in_the_style_that_is_asked_for(begun, agency, elsewhere, words, written):
    begun({})
    assert run(agency.code, *UNTIL, *words, "-o", "made.csv").exit_code == 0

    [row] = csv.DictReader(io.StringIO((elsewhere / "made.csv").read_text()))
    assert row["DOB"] == written


def test_a_style_there_is_none_of_is_told(agency):
    result = run(agency.code, *UNTIL, "--dates", "mm/dd/yyyy")

    assert result.exit_code == 2
    assert "Dates are written yyyymmdd or dd/mm/yyyy: choose one of the two" in result.stderr


@pytest.mark.process
def test_a_setting_that_is_no_style_is_told_in_one_sentence(tmp_path):
    for command in (["extract", "CJ901", *UNTIL], ["serve"]):
        done = subprocess.run(
            [sys.executable, "-m", "cjit.cli", *command],
            capture_output=True,
            env={**os.environ, "CJIT_HOME": str(tmp_path / "home"), "DATABASE_URL": "", "CJIT_DATES": "ddmmyyyy"},
            check=False,
        )
        assert (done.returncode, done.stderr) == (2, b"cjit: CJIT_DATES must be yyyymmdd or dd/mm/yyyy\n")


def test_what_would_be_rejected_ends_with_1_and_nothing_is_written_or_marked(begun, agency, elsewhere):
    begun({}, {"SEX": ""})
    result = run(agency.code, *UNTIL)

    assert result.exit_code == 1
    assert result.stdout == ""
    assert "1 episode would be rejected: settle it" in result.stderr
    assert "(1 episode)" in result.stderr
    assert list(elsewhere.glob("*.csv")) == []
    assert not Extract.objects.exists()


def test_left_out_it_is_written_without(begun, agency, elsewhere):
    begun({}, {"SEX": ""})
    result = run(agency.code, *UNTIL, "--leave-out")

    assert result.exit_code == 0
    assert "1 left out" in result.stdout
    assert "1 episode would be rejected and left out" in result.stderr


def test_with_labels_nothing_is_marked(begun, agency, elsewhere):
    begun({})
    result = run(agency.code, *UNTIL, "--labels", "-o", elsewhere)

    assert result.exit_code == 0
    [path] = elsewhere.glob("* with labels.csv")
    assert "1011 Heroin" in path.read_text()
    assert not Extract.objects.exists()
    assert Client.objects.filter(extracted=None).exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("CJ000", "--until", "2026-06-30"), "There is no agency CJ000"),
        (("CJ901", "--until", "2099-01-01"), "lies ahead"),
        (("CJ901", *UNTIL, "--new"), "no former extract of CJ901"),
        (("CJ901", "--until", "2020-01-01"), "nothing to extract"),
        (("cj901", *UNTIL, "-o", "/nowhere/at/all.csv"), "choose another place"),
    ],
)
def test_a_slip_is_told_in_one_sentence(begun, words, said):
    begun({})

    assert said in sentence(run(*words))
    assert not Extract.objects.exists()


def test_only_what_is_new_when_nothing_is(begun, agency):
    begun({})
    assert run(agency.code, *UNTIL).exit_code == 0
    Client.objects.update(changed="2020-01-01T00:00Z")
    Client.objects.get().episodes.update(changed="2020-01-01T00:00Z")
    Client.objects.get().episodes.get().referrals.update(changed="2020-01-01T00:00Z")

    assert "nothing is new or changed" in sentence(run(agency.code, *UNTIL, "--new"))


@pytest.mark.process
def test_where_no_service_was_ever_started_one_sentence_says_so(tmp_path):
    environment = {**os.environ, "CJIT_HOME": str(tmp_path / "home"), "DATABASE_URL": ""}
    done = subprocess.run(
        [sys.executable, "-m", "cjit.cli", "extract", "CJ901", *UNTIL],
        capture_output=True,
        env=environment,
        check=False,
    )

    assert done.returncode == 2
    assert b"There is no caseload in" in done.stderr
    assert b"Traceback" not in done.stderr


def test_one_until_an_earlier_day_says_what_it_does_not_have_any_more(begun, agency):
    begun({}, {"CLIENTID": "c2", "EPISODID": "e2", "REFLD": "01/05/2026", "TRIAGED": "01/05/2026"})
    result = run(agency.code, "--until", "2026-03-31")

    assert result.exit_code == 0
    assert "began after 31/03/2026, so not in this one: 1 episode\n" in result.stderr
