"""What people do with the service, in a real browser: given, when, then."""

from __future__ import annotations

import io
import threading

import pytest

from cjit.dataset import Entity
from cjit.web import worker
from cjit.web.agencies.models import Role
from cjit.web.portal import actions, store
from cjit.web.portal.models import Submission

FIRST = {"CLIENTID": "1", "CLIENT": "A1", "EPISODID": "11", "REFERID": "111"}
SECOND = {"CLIENTID": "2", "CLIENT": "A2", "EPISODID": "22", "REFERID": "222"}
THIRD = {"CLIENTID": "3", "CLIENT": "A3", "EPISODID": "33", "REFERID": "333"}

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def file(csv_of, agency):
    return lambda *rows: csv_of(*({"AGNCY": agency.code, **row} for row in rows))


@pytest.fixture
def before(agency, provider, file):
    """Given that two clients are held already."""
    sent = actions.receive(by=provider, agency=agency, file=io.BytesIO(file(FIRST, SECOND)), name="a.csv", scope="new")
    worker.run(threading.Event(), once=True)
    return actions.accept(by=provider, submission=sent)


def initials(agency) -> dict[str, str]:
    held = store.held(agency, Entity.CLIENT)
    return dict(zip(held["CLIENTID"], held["SINITIAL"], strict=True))


def test_three_faults_corrected_then_a_mismatch_replaced_and_accepted(
    somebody, working, before, provider, agency, file
):
    # given a data administrator who is signed in
    priya = somebody()
    priya.signs_in(provider)
    priya.sees("Submissions")
    priya.pictured("submissions")

    # when she sends a file with three faults
    faulty = file(FIRST | {"SEX": ""}, SECOND | {"DOB": "31/02/1990"}, THIRD | {"DRUG1": ""})
    priya.sends("march.csv", faulty)

    # then she is told what to do about each
    priya.sees("SEX.is_given", "DOB.is_a_date", "DRUG1.is_given")
    priya.pictured("result")

    # when she sends it corrected, with a surname that has changed
    priya.sends("march.csv", file(FIRST | {"SINITIAL": "X"}, SECOND, THIRD))

    # then the faults are gone, and one decision is hers
    priya.sees("Since your last upload", "Needs decisions")
    priya.clicks("Decide", "button")
    priya.sees("Held", "In this file", "X")
    priya.pictured("decide")

    # when she chooses to replace and accepts
    priya.page.get_by_label("Replace", exact=False).first.check(force=True)
    priya.clicks("Save", "button")
    submission = Submission.objects.latest("pk")
    priya.goes_to(f"/submissions/{submission.pk}/accept/")
    priya.sees("Accept", "Nothing is left out")
    priya.pictured("accept")
    priya.clicks("Accept", "button")

    # then she has a receipt, and the record has the new surname
    priya.sees(f"Receipt {submission.number}", submission.sha256)
    priya.pictured("receipt")
    assert initials(agency) == {"1": "X", "2": initials(agency)["2"], "3": initials(agency)["3"]}


def test_a_record_of_somebody_else_is_deleted_and_the_new_one_taken(somebody, working, before, provider, agency, file):
    priya = somebody()
    priya.signs_in(provider)

    priya.sends("april.csv", file(FIRST | {"SINITIAL": "X", "EPISODID": "19", "REFERID": "191"}, SECOND))
    priya.clicks("Decide", "button")
    priya.sees("1 episode")
    priya.page.get_by_label("Delete", exact=False).first.check(force=True)
    priya.clicks("Save", "button")
    submission = Submission.objects.latest("pk")
    priya.goes_to(f"/submissions/{submission.pk}/accept/")
    priya.clicks("Accept", "button")

    priya.sees("Receipt")
    assert initials(agency)["1"] == "X"
    assert sorted(store.held(agency, Entity.EPISODE)["EPISODID"]) == ["19", "22"]


def test_a_file_that_is_no_csv_is_refused_with_what_to_do(somebody, working, provider):
    priya = somebody()
    priya.signs_in(provider)

    priya.sends("march.pdf", b"%PDF-1.7 something")

    priya.sees("The file cannot be used", "send the CSV file your clinical system makes")


def test_a_member_of_staff_sees_who_has_submitted_and_no_record(somebody, before, person_with, region, agency):
    nat = somebody()
    nat.signs_in(person_with(Role.NATIONAL))
    nat.goes_to("/staff/")

    nat.sees(agency.code)
    nat.pictured("staff")
    assert "A1" not in nat.page.inner_text("body")


@pytest.mark.parametrize("role", [Role.REGIONAL, Role.NATIONAL, Role.ANALYST, Role.ADMINISTRATOR])
def test_nobody_but_the_agency_opens_its_submission(somebody, before, person_with, region, role):
    other = somebody()
    other.signs_in(person_with(role, region=region if role == Role.REGIONAL else None))

    assert other.goes_to(f"/submissions/{before.pk}/").status == 404
    assert other.goes_to(f"/submissions/{before.pk}/receipt/").status == 404


def test_it_all_works_on_a_telephone_without_javascript(somebody, before, provider, agency, file, working):
    priya = somebody(viewport={"width": 390, "height": 844}, java_script_enabled=False)
    priya.signs_in(provider)

    priya.goes_to("/submissions/new/")
    priya.page.set_input_files(
        "input[type=file]", {"name": "m.csv", "mimeType": "text/csv", "buffer": file(FIRST, SECOND, THIRD)}
    )
    priya.page.check("input[name=scope][value=new]", force=True)
    priya.clicks("Send", "button")
    priya.page.get_by_role("button", name="Accept").wait_for(timeout=20_000)
    priya.pictured("phone")
    priya.clicks("Accept", "button")
    priya.clicks("Accept", "button")

    assert "Receipt" in priya.page.inner_text("h1")
    assert sorted(initials(agency)) == ["1", "2", "3"]
