"""What people do with the service, in a real browser: given, when, then."""

from __future__ import annotations

import io
import threading
import time
from datetime import timedelta

import pytest
from django.utils import timezone

from cjit.dataset import Entity
from cjit.web import worker
from cjit.web.agencies.models import Role
from cjit.web.portal import actions, store
from cjit.web.portal.models import RECORDS, State, Submission

FIRST = {"CLIENTID": "1", "CLIENT": "A1", "EPISODID": "11", "REFERID": "111"}
SECOND = {"CLIENTID": "2", "CLIENT": "A2", "EPISODID": "22", "REFERID": "222"}
THIRD = {"CLIENTID": "3", "CLIENT": "A3", "EPISODID": "33", "REFERID": "333"}

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def file(csv_of, agency):
    return lambda *rows: csv_of(*({"AGNCY": agency.code, **row} for row in rows))


@pytest.fixture
def before(agency, provider, file):
    """Given that two clients are held already. It comes before `working`, which would take its job."""
    sent = actions.receive(by=provider, agency=agency, file=io.BytesIO(file(FIRST, SECOND)), name="a.csv", scope="new")
    worker.run(threading.Event(), once=True)
    return actions.accept(by=provider, submission=sent)


def awaits(submission: Submission) -> None:
    """Wait until the worker beside the service has checked a submission."""
    until = time.monotonic() + 30
    while submission.state in (State.RECEIVED, State.CHECKING):
        assert time.monotonic() < until
        time.sleep(0.1)
        submission.refresh_from_db()


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


def test_a_record_of_somebody_else_is_deleted_and_the_new_one_taken(somebody, before, working, provider, agency, file):
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


def test_who_withdraws_consent_is_looked_at_counted_forgotten_brought_back_and_erased_after_a_day(
    somebody, working, before, provider, agency, file
):
    # given a data administrator who is signed in, and two clients who are held
    priya = somebody()
    priya.signs_in(provider)

    # when she sends a file in which one says no, and another has nothing in CONSENT
    priya.sends("april.csv", file(FIRST | {"CONSENT": "N"}, SECOND | {"CONSENT": ""}, THIRD), scope="full")

    # then she is told that one withdraws, and nothing is to be decided of the other
    priya.sees("1 client you sent before withdraws consent", "Ready to accept")
    priya.clicks("Accept", "button")
    priya.sees("Who will be forgotten", "A1", "nobody sees anything of the client here any more")
    assert "A2" not in priya.page.inner_text("main")
    priya.page.get_by_role("contentinfo").scroll_into_view_if_needed()
    priya.pictured("forget")

    # when she types another number
    priya.page.get_by_label("How many clients will be forgotten?").fill("2")
    priya.clicks("Accept and forget 1 client", "button")

    # then nothing happens, and she is told what to type (which the browser notes as well)
    assert [told for told in priya.said if "422" not in told] == []
    priya.said.clear()
    priya.sees("Enter how many clients are to be forgotten, as this page lists them: nothing has been accepted")
    assert sorted(initials(agency)) == ["1", "2"]

    # when she types the right one
    priya.page.get_by_label("How many clients will be forgotten?").fill("1")
    priya.clicks("Accept and forget 1 client", "button")

    # then that client is forgotten, and the receipt says until when that can be undone
    submission = Submission.objects.latest("pk")
    priya.sees(f"Receipt {submission.number}", "1 client is forgotten: until", "brings the client back")
    assert sorted(initials(agency)) == ["2", "3"]

    # when she undoes it
    priya.clicks("Undo this acceptance")
    priya.sees("brings the client back")
    priya.clicks("Undo it", "button")

    # then the client is held again
    priya.sees("The client whom it had made the service forget is held again")
    assert sorted(initials(agency)) == ["1", "2"]

    # when the same file is accepted after all, and a day passes
    priya.sends("april.csv", file(FIRST | {"CONSENT": "N"}, SECOND | {"CONSENT": ""}, THIRD), scope="full")
    priya.clicks("Accept", "button")
    priya.page.get_by_label("How many clients will be forgotten?").fill("1")
    priya.clicks("Accept and forget 1 client", "button")
    priya.sees("Receipt", "1 client is forgotten: until")
    Submission.objects.exclude(forget_until=None).update(forget_until=timezone.now() - timedelta(seconds=1))
    worker.tidy()

    # then the client is erased, and the receipt and the page to undo it say so
    assert RECORDS[Entity.CLIENT].objects.count() == 2
    priya.page.reload()
    priya.sees("1 client is forgotten and erased: undoing does not bring anything of them back")
    priya.clicks("Undo this acceptance")
    priya.sees("1 client is forgotten and erased: undoing does not bring anything of them back")


def test_many_who_withdraw_are_looked_at_on_a_telephone_without_javascript(somebody, working, agency, provider, file):
    # given twelve clients who are held, and a file that says no of eleven of them
    people = [{"CLIENTID": f"{n}", "CLIENT": f"A{n}", "EPISODID": f"{n}1", "REFERID": f"{n}2"} for n in range(1, 13)]
    one = actions.receive(by=provider, agency=agency, file=io.BytesIO(file(*people)), name="a.csv", scope="new")
    awaits(one)
    actions.accept(by=provider, submission=one)
    data = file(people[0], *({**person, "CONSENT": "N"} for person in people[1:]))
    two = actions.receive(by=provider, agency=agency, file=io.BytesIO(data), name="b.csv", scope="new")
    awaits(two)

    # when the page before the acceptance is opened on a telephone without JavaScript
    priya = somebody(viewport={"width": 390, "height": 844}, java_script_enabled=False)
    priya.signs_in(provider)
    priya.goes_to(f"/submissions/{two.pk}/accept/")
    assert priya.page.get_by_text("All 11 clients who will be forgotten").is_visible()

    # then all are listed, and they are forgotten once their number is typed
    assert all(f"A{n}" in priya.page.inner_text("main") for n in range(2, 13))
    priya.clicks("Accept and forget 11 clients", "button")
    assert "Enter how many clients are to be forgotten" in priya.page.inner_text("main")
    priya.page.get_by_label("How many clients will be forgotten?").fill("11")
    priya.clicks("Accept and forget 11 clients", "button")
    assert "11 clients are forgotten: until" in priya.page.inner_text("main")
    assert sorted(initials(agency)) == ["1"]


def test_a_file_of_another_agency_is_refused_and_what_is_held_stays(somebody, before, working, provider, agency, file):
    priya = somebody()
    priya.signs_in(provider)

    priya.sends("theirs.csv", file(FIRST | {"AGNCY": "CJ999"}, THIRD | {"AGNCY": "CJ999"}), scope="full")

    priya.sees(
        "The file cannot be used",
        f"Every record of this file is of agency CJ999, and you sent it for {agency.code}: choose the right file, or"
        " the right agency",
    )
    assert sorted(initials(agency)) == ["1", "2"]


def test_a_file_without_one_good_record_leaves_everything_and_shows_its_findings(
    somebody, working, before, provider, agency, file
):
    priya = somebody()
    priya.signs_in(provider)

    priya.sends("blank.csv", file(FIRST | {"CONSENT": ""}, SECOND | {"CONSENT": "Yes"}), scope="full")

    priya.sees("Nothing of the file can be taken, and what you sent before stays as it is", "Rejected")
    priya.clicks("Every finding, row by row")
    priya.sees("CONSENT.is_given", "1 to 2 of 2")
    assert sorted(initials(agency)) == ["1", "2"]


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
