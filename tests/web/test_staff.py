import csv
import io
import re
from datetime import date, datetime, timedelta
from html import unescape
from itertools import count

import pytest
from django.urls import reverse
from django.utils import timezone

from cjit.web.agencies.calendar import Month
from cjit.web.agencies.models import Agency, Closure, DueDay, Role
from cjit.web.portal import actions, staff
from cjit.web.portal.models import Choice, Decision, Scope, State, Submission

MARCH = Month(date(2026, 3, 1))
NUMBERS = count(1)


def words(response) -> str:
    """The text of a page, its markup left out."""
    body = re.sub(r"<(script|style|svg).*?</\1>", "", response.content.decode(), flags=re.S)
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body)))


def moment(day: str) -> datetime:
    return timezone.make_aware(datetime.fromisoformat(f"{day}T12:00"))


def submission_of(
    agency, at: str, *, accepted: str = "", state: str = "", rows: int = 10, rejected: int = 0
) -> Submission:
    """A submission that was sent on a day and, if so, accepted on a day; made without a file."""
    made = Submission.objects.create(
        agency=agency,
        name="secret name.csv",
        size=1,
        sha256=f"{next(NUMBERS):064}",
        scope=Scope.FULL,
        state=state or (State.ACCEPTED if accepted else State.READY),
        accepted=moment(accepted) if accepted else None,
        rows=rows,
        rejected=rejected,
        summary={"findings": {"reject": rejected, "query": 3}},
    )
    Submission.objects.filter(pk=made.pk).update(at=moment(at))
    return made


@pytest.fixture
def submission(db):
    return submission_of


@pytest.fixture
def national(signed_in, person_with):
    return signed_in(person_with(Role.NATIONAL))


@pytest.fixture
def regional(signed_in, person_with, region):
    return signed_in(person_with(Role.REGIONAL, region=region))


@pytest.fixture
def third(region):
    return Agency.objects.create(code="CJ903", name="Third team", region=region, opened=date(2020, 1, 1))


def march(browser) -> str:
    return words(browser.get(reverse("staff"), {"month": "2026-03"}))


def standing(*agencies, today: date = date(2026, 4, 20)) -> list[str]:
    return [one.standing for one in staff.progress(agencies, MARCH, today)]


# ---- a month ---------------------------------------------------------------------------------------


def test_a_month_knows_its_neighbours_and_when_it_is_due(settings, db):
    december = Month(date(2025, 12, 1))

    assert (december.last, december.after.name) == (date(2025, 12, 31), "January 2026")
    assert (MARCH.before.name, MARCH.due) == ("February 2026", date(2026, 4, 10))
    settings.SUBMIT_BY = 31
    assert Month(date(2026, 1, 1)).due == date(2026, 2, 28)


def test_the_last_complete_month_is_shown_first(national, agency):
    last = timezone.localdate().replace(day=1) - timedelta(days=1)

    assert f"Progress for {Month(last.replace(day=1)).name}" in words(national.get(reverse("staff")))


@pytest.mark.parametrize("asked", ["2026-13", "2026-3", "march", "9999-12", "2026-03-01", "２０２６-03"])
def test_a_month_that_is_none_or_not_over_is_not_there(national, asked):
    assert national.get(reverse("staff"), {"month": asked}).status_code == 404
    assert national.get(reverse("staff-export"), {"month": asked}).status_code == 404


def test_the_calendar_says_when_a_month_is_due_and_for_others_the_setting_does(db):
    DueDay.objects.create(month=MARCH.first, due=date(2026, 4, 17))

    assert (MARCH.due, MARCH.usual) == (date(2026, 4, 17), date(2026, 4, 10))
    assert (MARCH.before.due, MARCH.after.due) == (date(2026, 3, 10), date(2026, 5, 10))


# ---- who has submitted -----------------------------------------------------------------------------


def test_a_file_accepted_by_the_tenth_is_on_time(agency, submission):
    submission(agency, "2026-04-08", accepted="2026-04-10")

    assert standing(agency) == ["On time"]


def test_a_file_accepted_after_the_tenth_is_late_whenever_it_was_sent(agency, submission):
    submission(agency, "2026-04-08", accepted="2026-04-11")

    assert standing(agency) == ["Submitted late"]


def test_a_file_that_is_not_accepted_is_not_submitted(agency, submission):
    submission(agency, "2026-04-08", state=State.DECISIONS)

    assert standing(agency) == ["Late"]
    assert standing(agency, today=date(2026, 4, 10)) == ["Due"]


def test_an_acceptance_that_was_undone_does_not_count(agency, submission):
    submission(agency, "2026-04-08", accepted="2026-04-08", state=State.UNDONE)

    assert standing(agency) == ["Late"]


def test_files_of_other_months_do_not_count(agency, submission):
    submission(agency, "2026-03-31", accepted="2026-03-31")
    submission(agency, "2026-05-01", accepted="2026-05-01")

    assert standing(agency) == ["Late"]


def test_a_correction_keeps_the_day_of_the_first_and_has_its_own_figures(agency, submission):
    submission(agency, "2026-04-08", accepted="2026-04-08", rows=10, rejected=5)
    submission(agency, "2026-04-20", accepted="2026-04-21", rows=12, rejected=1)
    submission(agency, "2026-04-22", rows=99)

    [one] = staff.progress([agency], MARCH, date(2026, 4, 25))
    assert (one.standing, one.submitted, one.rows, one.rejected) == ("On time", moment("2026-04-08"), 12, 1)


def test_an_agency_that_was_not_open_in_the_month_is_left_out(region, agency):
    opened = Agency.objects.create(code="CJ904", name="Later", region=region, opened=date(2026, 4, 1))
    closed = Agency.objects.create(
        code="CJ905", name="Before", region=region, opened=date(2020, 1, 1), closed=date(2026, 2, 28)
    )
    for_a_day = Agency.objects.create(
        code="CJ906", name="Still", region=region, opened=date(2020, 1, 1), closed=date(2026, 3, 1)
    )
    told = staff.progress([agency, opened, closed, for_a_day], MARCH, date(2026, 4, 20))

    assert [one.agency.code for one in told] == ["CJ901", "CJ906"]


def test_an_agency_is_late_by_the_calendar_on_every_page(national, agency, other_agency, submission):
    DueDay.objects.create(month=MARCH.first, due=date(2026, 4, 17))
    submission(agency, "2026-04-08", accepted="2026-04-17")
    page = march(national)
    export = national.get(reverse("staff-export"), {"month": "2026-03"}).content.decode("utf-8-sig")

    assert standing(agency, other_agency, today=date(2026, 4, 17)) == ["On time", "Due"]
    assert standing(agency, other_agency, today=date(2026, 4, 18)) == ["On time", "Late"]
    assert "which is due by 17 April 2026, says the calendar" in page
    assert "10 April" not in page
    assert {(row["due"], row["standing"]) for row in csv.DictReader(io.StringIO(export))} == {
        ("2026-04-17", "On time"),
        ("2026-04-17", "Late"),
    }


def test_an_agency_that_reopened_is_left_out_of_the_months_it_was_closed_in(agency):
    Closure.objects.create(agency=agency, closed=date(2026, 1, 31), reopened=date(2026, 4, 30))
    told = {month: staff.progress([agency], Month(date(2026, month, 1)), date(2026, 6, 20)) for month in range(1, 6)}

    assert [month for month, some in told.items() if some] == [1, 4, 5]


# ---- the sentence ----------------------------------------------------------------------------------


def test_the_page_begins_with_one_sentence(national, agency, other_agency, third, submission):
    submission(agency, "2026-04-08", accepted="2026-04-08")
    submission(third, "2026-04-12", accepted="2026-04-12")

    assert "2 of 3 agencies have submitted for March 2026, 1 of them after 10 April 2026; 1 is late." in march(national)


def test_before_the_tenth_nobody_is_late(agency, other_agency, third):
    told = staff.progress([agency, other_agency, third], MARCH, date(2026, 4, 9))

    assert staff.sentence(told, MARCH) == ("0 of 3 agencies have submitted for March 2026; 3 are due by 10 April 2026")


def test_the_sentence_of_one_agency_and_of_none(agency, submission):
    today = date(2026, 4, 20)
    assert staff.sentence([], MARCH) == "No agency was open in March 2026"
    assert staff.sentence(staff.progress([agency], MARCH, today), MARCH) == (
        "The one agency has not submitted for March 2026; it is late"
    )
    submission(agency, "2026-04-12", accepted="2026-04-12")
    assert staff.sentence(staff.progress([agency], MARCH, today), MARCH) == (
        "The one agency has submitted for March 2026, after 10 April 2026"
    )


# ---- the figures -----------------------------------------------------------------------------------


def test_rows_error_rate_and_waiting_decisions_are_those_of_the_submission(national, agency, submission):
    sent = submission(agency, "2026-04-08", state=State.DECISIONS, rows=1200, rejected=30)
    for number, choice in enumerate(("", Choice.LATER, Choice.REPLACE)):
        Decision.objects.create(submission=sent, entity="client", record=f"secret {number}", choice=choice)
    page = march(national)

    assert "CJ901 Made-up team Needs decisions Late 1,200 2.5% 2 0 0 0" in page
    assert "All agencies 1,200 2.5% 2 0 0 0" in page
    assert "secret" not in page


def test_what_is_held_counts_current_records_alone(national, accepted, agency):
    accepted({"HOUSING": "1"}, {"HOUSING": "1"})
    accepted({"HOUSING": "2"}, {"HOUSING": "2"})
    page = march(national)

    assert "CJ901 Made-up team Nothing sent Late – – – 2 2 2" in page
    assert "All agencies 0 – 0 2 2 2" in page


def test_who_is_forgotten_is_counted_as_held_nowhere(national, accepted, sent, agency, provider):
    accepted({}, {}, {})
    actions.accept(by=provider, submission=sent({"CONSENT": "N"}, {}, {}), forget=1)

    assert "CJ901 Made-up team Nothing sent Late – – – 2 2 2" in march(national)
    page = words(national.get(reverse("staff-agency", args=[agency.code])))
    assert "Held now: 2 clients, 2 episodes, 2 referrals." in page


@pytest.mark.parametrize("row", [{"CONSENT": ""}, {"SEX": ""}, {"AGNCY": "CJ902"}])
def test_an_agency_whose_file_holds_nothing_to_take_has_not_submitted(national, sent, agency, row):
    bad = sent(row, row, scope="full")
    Submission.objects.filter(pk=bad.pk).update(at=moment("2026-04-08"))

    assert standing(agency) == ["Late"]
    assert f"CJ901 Made-up team {bad.get_state_display()} Late" in march(national)
    assert "The one agency has not submitted for March 2026; it is late" in march(national)


def test_the_page_asks_no_more_of_the_database_for_more_agencies(
    national, region, agency, submission, django_assert_max_num_queries
):
    for number in range(30):
        one = Agency.objects.create(code=f"CJ{100 + number}", name="Team", region=region, opened=date(2020, 1, 1))
        submission(one, "2026-04-08", accepted="2026-04-08")
    with django_assert_max_num_queries(20):
        assert "30 of 31 agencies have submitted" in march(national)


# ---- sorted and filtered ---------------------------------------------------------------------------


@pytest.fixture
def three(agency, other_agency, third, submission):
    """Three agencies: one on time with few rows rejected, one late with nothing sent, one with many rejected."""
    submission(agency, "2026-04-08", accepted="2026-04-08", rows=1000, rejected=1)
    submission(third, "2026-04-20", accepted="2026-04-21", rows=100, rejected=50)


def codes(browser, **asked: str) -> list[str]:
    page = browser.get(reverse("staff"), {"month": "2026-03", **asked}).text
    export = browser.get(reverse("staff-export"), {"month": "2026-03", **asked}).content.decode("utf-8-sig")
    shown = re.findall(r'href="/staff/(CJ\d+)/"', page)
    assert shown == [row["agency"] for row in csv.DictReader(io.StringIO(export))]
    return shown


@pytest.mark.every_case
@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("", ["CJ901", "CJ902", "CJ903"]),
        ("-agency", ["CJ903", "CJ902", "CJ901"]),
        ("submitted", ["CJ901", "CJ903", "CJ902"]),
        ("standing", ["CJ901", "CJ903", "CJ902"]),
        ("-rows", ["CJ901", "CJ903", "CJ902"]),
        ("-rejected", ["CJ903", "CJ901", "CJ902"]),
        ("rejected", ["CJ902", "CJ901", "CJ903"]),
        ("waiting", ["CJ901", "CJ902", "CJ903"]),
        ("-client", ["CJ901", "CJ902", "CJ903"]),
        ("nonsense", ["CJ901", "CJ902", "CJ903"]),
    ],
)
def test_the_table_and_the_export_are_sorted_by_what_is_asked(national, three, sort, expected):
    assert codes(national, sort=sort) == expected


@pytest.mark.every_case
@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"standing": "Late"}, ["CJ902"]),
        ({"standing": "On time"}, ["CJ901"]),
        ({"standing": "Submitted late"}, ["CJ903"]),
        ({"standing": "Due"}, []),
        ({"standing": "nonsense"}, ["CJ901", "CJ902", "CJ903"]),
        ({"region": "SW"}, ["CJ902"]),
        ({"region": "nonsense"}, ["CJ901", "CJ902", "CJ903"]),
        ({"text": "THIRD"}, ["CJ903"]),
        ({"text": " cj902 "}, ["CJ902"]),
        ({"region": "NE", "text": "team", "sort": "-agency"}, ["CJ903", "CJ901"]),
    ],
)
def test_the_table_and_the_export_show_what_is_asked_for(national, three, asked, expected):
    assert codes(national, **asked) == expected


def test_regional_staff_cannot_ask_for_another_region(regional, three):
    assert codes(regional, region="SW") == ["CJ901", "CJ903"]


def test_every_header_is_a_link_that_sorts_and_keeps_the_filter(national, three):
    page = unescape(national.get(reverse("staff"), {"month": "2026-03", "region": "NE", "sort": "-rejected"}).text)
    links = {
        name: href for href, name in re.findall(r'<th scope="col"[^>]*><a [^>]*href="([^"]*)">(\w+ ?\w*)</a>', page)
    }

    assert set(links) == {
        *("Agency", "Submitted", "On time", "Rows", "Rejected", "Waiting", "Clients", "Episodes", "Referrals")
    }
    assert links["Rejected"] == "?month=2026-03&region=NE&sort=rejected"
    assert links["Rows"] == "?month=2026-03&region=NE&sort=-rows"
    assert links["Agency"] == "?month=2026-03&region=NE"
    assert len(re.findall('aria-sort="descending"', page)) == len(re.findall("aria-sort", page)) == 1
    assert "/staff/export/?month=2026-03&region=NE&sort=-rejected" in page


def test_the_sentence_and_the_totals_tell_of_what_is_asked_for(national, three):
    page = words(national.get(reverse("staff"), {"month": "2026-03", "region": "NE", "standing": "Submitted late"}))

    assert "2 of 2 agencies have submitted for March 2026, 1 of them after 10 April 2026." in page
    assert "1 of 2 agencies. Show all" in page
    assert "These agencies 100 50.0%" in page


def test_nobody_who_fits_is_said_in_a_sentence(national, three):
    page = words(national.get(reverse("staff"), {"month": "2026-03", "text": "nowhere"}))

    assert "None of 3 agencies is as you asked. Show all" in page
    assert "<table" not in page


# ---- the picture -----------------------------------------------------------------------------------


def test_the_picture_says_in_words_and_figures_what_it_shows(national, three):
    page = national.get(reverse("staff"), {"month": "2026-03"}).text
    [picture] = re.findall(r'<svg role="img" aria-labelledby="picture-title picture-desc".*?</svg>', page, re.DOTALL)
    widths = [float(width) for width in re.findall(r'<rect x="[\d.]+" width="([\d.]+)"', picture)]

    assert '<title id="picture-title">How many agencies have submitted for March 2026</title>' in picture
    assert "On time: 1 of 3, Submitted late: 1 of 3, Late: 1 of 3</desc>" in picture
    assert widths == [200, 200, 200]
    assert "style=" not in page
    for standing in ("On time: 1", "Submitted late: 1", "Late: 1"):
        assert standing in words(national.get(reverse("staff"), {"month": "2026-03"}))


def test_the_longest_bar_is_the_greatest_share_and_its_number_stands_beside_it(national, three):
    page = national.get(reverse("staff"), {"month": "2026-03"}).text
    bars = re.findall(r'([\d.]+)%<br><svg width="60".*?<rect width="([\d.]+)" height="8" fill="#ca3535"/>', page)

    assert [(share, round(float(width), 2)) for share, width in bars] == [("0.1", 0.12), ("50.0", 60)]


# ---- one agency ------------------------------------------------------------------------------------


def test_an_agencys_page_has_states_and_counts_and_no_file(national, agency, submission):
    sent = submission(agency, "2026-04-08", accepted="2026-04-09", rows=40, rejected=1)
    page = words(national.get(reverse("staff-agency", args=["CJ901"])))

    assert f"{sent.number} Accepted 8 April 2026 9 April 2026 40 2.5% 1 0 0 3 0" in page
    assert "secret name" not in page
    assert sent.sha256 not in page


def test_an_agency_that_sent_nothing_says_so(national, agency):
    assert "It has sent nothing yet" in words(national.get(reverse("staff-agency", args=["CJ901"])))


# ---- the export ------------------------------------------------------------------------------------


def test_the_export_has_the_same_figures(national, agency, other_agency, submission):
    submission(agency, "2026-04-08", accepted="2026-04-09", rows=40, rejected=1)
    answer = national.get(reverse("staff-export"), {"month": "2026-03"})
    first, second = csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig")))

    assert answer.headers["Content-Disposition"] == 'attachment; filename="progress-2026-03.csv"'
    assert list(first.values()) == [
        *("2026-03", "2026-04-10", "CJ901", "Made-up team", "North East"),
        *("2026-04-09T12:00+01:00", "On time", "Accepted"),
        *("40", "1", "2.50", "0", "0", "0", "0"),
    ]
    assert [second[name] for name in ("agency", "submitted", "standing", "state", "rejected %")] == [
        *("CJ902", "", "Late", "Nothing sent", ""),
    ]


def test_a_name_like_a_formula_is_neutral_in_the_export(national, agency):
    Agency.objects.filter(pk=agency.pk).update(name="=HYPERLINK()")
    answer = national.get(reverse("staff-export"), {"month": "2026-03"})

    assert ",'=HYPERLINK()," in answer.content.decode()


# ---- who may ---------------------------------------------------------------------------------------


def test_regional_staff_see_the_agencies_of_their_region_alone(regional, agency, other_agency):
    page = march(regional)
    export = regional.get(reverse("staff-export"), {"month": "2026-03"}).content.decode()

    assert "CJ901" in page
    assert "CJ901" in export
    assert "CJ902" not in page
    assert "CJ902" not in export
    assert regional.get(reverse("staff-agency", args=["CJ901"])).status_code == 200
    assert regional.get(reverse("staff-agency", args=["CJ902"])).status_code == 404


def test_national_staff_see_all(national, agency, other_agency):
    assert "CJ902" in march(national)
    assert national.get(reverse("staff-agency", args=["CJ902"])).status_code == 200
    assert national.get(reverse("staff-agency", args=["CJ999"])).status_code == 404


@pytest.mark.parametrize("role", [Role.PROVIDER, Role.ANALYST, Role.ADMINISTRATOR])
def test_nobody_else_finds_these_pages(role, signed_in, person_with, agency):
    browser = signed_in(person_with(role, agency=agency if role == Role.PROVIDER else None))

    for address in (reverse("staff"), reverse("staff-export"), reverse("staff-agency", args=["CJ901"])):
        assert browser.get(address).status_code == 404
