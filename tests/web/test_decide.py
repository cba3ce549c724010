import csv
import io
import re
import threading
from datetime import timedelta
from html import unescape

import pytest
from django.core import mail
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from tests.web.conftest import follow

from cjit.dataset import Changes, Entity
from cjit.datasets.q import Q as DATASET
from cjit.web import kept, worker
from cjit.web.agencies.models import AuditEvent
from cjit.web.pages import moment
from cjit.web.portal import actions, deciding, receipt, store
from cjit.web.portal.models import RECORDS, Decision, State, Submission

FIRST = {"CLIENTID": "1", "CLIENT": "A1", "EPISODID": "11", "REFERID": "111"}
AGAIN = FIRST | {"EPISODID": "12", "REFERID": "112", "REFLD": "20/11/2025", "TRIAGED": "21/11/2025", "CPLANDT": ""}
AGAIN |= {"REFDATE": "22/11/2025"}
SECOND = {"CLIENTID": "2", "CLIENT": "A2", "EPISODID": "22", "REFERID": "222"}


def person(number: int, **changes: str) -> dict[str, str]:
    return {
        "CLIENTID": f"{number}",
        "CLIENT": f"A{number}",
        "EPISODID": f"{number}1",
        "REFERID": f"{number}11",
        **changes,
    }


def words(response) -> str:
    """The text of a page, its markup left out."""
    body = re.sub(r"<(script|style|svg).*?</\1>", "", response.content.decode(), flags=re.S)
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body)))


def held(agency, header, entity=Entity.CLIENT) -> list:
    return store.held(agency, entity)[header].to_list()


@pytest.fixture
def browser(signed_in, provider):
    return signed_in(provider)


@pytest.fixture
def mismatched(accepted, sent):
    """A client with two episodes, of whom the next file says another surname initial and day of birth."""
    accepted(FIRST, AGAIN, SECOND)
    return sent(FIRST | {"SINITIAL": "X", "DOB": "15/02/1986"}, SECOND | {"HOUSING": "2"})


@pytest.fixture
def many(accepted, sent):
    """Sixty clients, all with another surname initial in the next file."""
    people = range(100, 160)
    accepted(*[person(n) for n in people])
    return sent(*[person(n, SINITIAL="X") for n in people])


# ---- what is never asked nor accepted --------------------------------------------------------------


@pytest.mark.parametrize("header", ["CLIENTID", "CLIENT", "EPISODID", "REFERID"])
def test_a_file_whose_ids_a_spreadsheet_shortened_merges_nobody(accepted, agency, header):
    accepted(person(1), person(2))
    took = accepted(*(person(n, **{header: "1.11E+08"}) for n in (1, 2, 3)), person(4))

    assert (took.rows, took.rejected) == (4, 3)
    assert sorted(held(agency, "CLIENTID")) == ["1", "2", "4"]
    assert len(held(agency, "EPISODID", Entity.EPISODE)) == len(held(agency, "REFERID", Entity.REFERRAL)) == 3


@pytest.mark.parametrize("date", ["31/02/2026", "n/a", "31/12/2999"])
def test_a_referral_without_its_id_does_not_vanish_in_an_accepted_record(accepted, agency, date):
    took = accepted(person(1), person(2, REFERID="", REFDATE=date))

    assert took.rejected == 1
    assert held(agency, "CLIENTID") == ["1"]


# ---- what is shown ---------------------------------------------------------------------------------


def test_a_mismatch_is_shown_with_what_is_held_beside_what_is_sent(browser, mismatched):
    page = words(browser.get(reverse("decide", args=[mismatched.pk])))

    assert "0 of 1 decided" in page
    assert "Client 1 " in page
    assert "Initial of the client's surname (SINITIAL, row 2) O X" in page
    assert "Date of birth (DOB, row 2) 14/02/1986 15/02/1986" in page


def test_each_choice_says_what_it_does_and_counts_what_goes_with_it(browser, mismatched):
    page = words(browser.get(reverse("decide", args=[mismatched.pk])))

    assert "The held record takes the new values: same person, corrected" in page
    assert "somebody else’s: it is removed, with 2 episodes and 2 referrals, and the new one is taken as new" in page
    assert "The held record stays and the new one waits" in page


def test_one_episode_is_not_two(browser, mismatched):
    mismatched.decisions.update(also={"episodes": 1, "referrals": 0})

    assert "it is removed, with 1 episode, and" in words(browser.get(reverse("decide", args=[mismatched.pk])))


def test_an_episode_is_no_person(browser, accepted, sent):
    accepted(FIRST)
    again = sent(FIRST | {"REFLD": "21/11/2025"})
    page = words(browser.get(reverse("decide", args=[again.pk])))

    assert "Episode 11 " in page
    assert "same episode, corrected" in page
    assert "The held record was of another episode: it is removed, with 1 referral" in page


def test_absent_records_have_a_section_and_choices_of_their_own(browser, accepted, sent):
    accepted(FIRST, SECOND)
    full = sent(FIRST, scope="full")
    page = words(browser.get(reverse("decide", args=[full.pk])))

    assert "Held, and not in this file" in page
    assert "Differ from what is held" not in page
    assert "It stays held as it is" in page
    assert "It is removed, with 1 episode and 1 referral" in page
    assert "takes the new values" not in page


def test_what_a_file_holds_is_text_and_never_markup(browser, accepted, sent):
    evil = "<b>1"
    accepted(FIRST | {"CLIENTID": evil})
    again = sent(FIRST | {"CLIENTID": evil, "SINITIAL": "X"})
    body = browser.get(reverse("decide", args=[again.pk])).content.decode()

    assert again.decisions.get().record == evil
    assert "<b>1" not in body
    assert "Client &lt;b&gt;1" in body


# ---- choosing --------------------------------------------------------------------------------------


def test_a_choice_is_saved_and_leads_to_the_acceptance_when_it_was_the_last(browser, mismatched, provider):
    decision = mismatched.decisions.get()
    answer = browser.post(reverse("decide", args=[mismatched.pk]), {f"choice {decision.pk}": "replace"})

    decision.refresh_from_db()
    assert (decision.choice, decision.by) == ("replace", provider)
    assert answer.url == reverse("accept", args=[mismatched.pk])
    assert Submission.objects.get(pk=mismatched.pk).state == State.READY
    assert "1 decision is saved; all are decided" in words(browser.get(answer.url))


def test_a_part_can_be_decided_and_the_page_says_how_many_are_left(browser, many):
    first, second = many.decisions.all()[:2]
    answer = browser.post(
        reverse("decide", args=[many.pk]), {f"choice {first.pk}": "replace", f"choice {second.pk}": "later"}
    )
    page = words(browser.get(answer.url))

    assert "2 decisions are saved; 58 left" in page
    assert "2 of 60 decided" in page
    assert Submission.objects.get(pk=many.pk).state == State.DECISIONS


def test_moving_to_the_next_fifty_saves_what_was_chosen(browser, many):
    address = reverse("decide", args=[many.pk])
    first = browser.get(address).content.decode()
    assert first.count("summary-card__title-wrapper") == 50
    decision = many.decisions.first()

    answer = browser.post(address, {f"choice {decision.pk}": "delete", "page": "1", "to": "next"})
    assert answer.url == f"{address}?page=2"
    second = browser.get(answer.url).content.decode()
    assert second.count("summary-card__title-wrapper") == 10

    back = browser.post(address, {"page": "2", "to": "previous"})
    body = browser.get(back.url).content.decode()
    assert re.search(rf'name="choice {decision.pk}" type="radio" value="delete" checked', body)


def test_all_records_with_one_pattern_are_decided_at_once(browser, many):
    address = reverse("decide", args=[many.pk])
    page = words(browser.get(address))
    assert "All 60 clients whose surname initial (SINITIAL) changed: none decided yet" in page
    assert "with 60 episodes and 60 referrals, and the new ones are taken as new" in page
    assert "Choose for all 60" in page

    browser.post(address, {"rest": "client SINITIAL", "for client SINITIAL": "replace"})

    assert set(many.decisions.values_list("choice", flat=True)) == {"replace"}


def test_all_absent_records_are_decided_at_once(browser, accepted, sent):
    accepted(FIRST, SECOND, person(3))
    full = sent(FIRST, scope="full")
    browser.post(reverse("decide", args=[full.pk]), {"rest": "client absent", "for client absent": "keep"})

    assert set(full.decisions.values_list("choice", flat=True)) == {"keep"}


def test_choosing_for_all_without_a_choice_says_so_and_keeps_the_page(browser, many):
    decision = many.decisions.first()
    answer = browser.post(
        reverse("decide", args=[many.pk]), {"rest": "client SINITIAL", f"choice {decision.pk}": "delete", "page": "1"}
    )
    body = answer.content.decode()

    assert answer.status_code == 422
    assert "<title>Error: Decide" in body
    assert 'href="#for-client-SINITIAL"' in body
    assert re.search(r'id="for-client-SINITIAL"', body)
    assert re.search(rf'name="choice {decision.pk}" type="radio" value="delete" checked', body)
    assert not many.decisions.exclude(choice="").exists()


def test_a_choice_of_nothing_changes_nothing(browser, mismatched):
    for name in ("choice x", "choice 99999999999999999999", "choice -1", "choice ½"):
        answer = browser.post(reverse("decide", args=[mismatched.pk]), {name: "replace"})

        assert answer.status_code == 302, name
        assert not mismatched.decisions.exclude(choice="").exists(), name


def test_a_choice_that_does_not_fit_is_told_in_one_sentence(browser, mismatched):
    decision = mismatched.decisions.get()
    answer = browser.post(reverse("decide", args=[mismatched.pk]), {f"choice {decision.pk}": "keep"})

    assert answer.status_code == 422
    assert "Choose replace, delete or later for each record" in words(answer)


def test_a_decision_of_another_agency_is_not_taken(
    browser, mismatched, accepted, sent, other_agency, person_with, provider
):
    somebody = person_with("provider", agency=other_agency)
    accepted(FIRST, agency=other_agency, by=somebody)
    theirs = sent(FIRST | {"SINITIAL": "X"}, agency=other_agency, by=somebody).decisions.get()

    answer = browser.post(reverse("decide", args=[mismatched.pk]), {f"choice {theirs.pk}": "delete"})

    assert answer.status_code == 422
    assert Decision.objects.get(pk=theirs.pk).choice == ""


def test_what_is_chosen_for_one_stays_when_the_others_are_decided_at_once(browser, many):
    one, other, *_ = many.decisions.all()
    address = reverse("decide", args=[many.pk])
    browser.post(address, {f"choice {one.pk}": "later"})
    page = words(browser.get(address))
    assert "All 60 clients whose surname initial (SINITIAL) changed: 59 still to be decided" in page
    assert "What becomes of the 59 still to be decided" in page
    assert "What you have decided of the others stays" in page
    assert "with 59 episodes and 59 referrals, and the new ones are taken as new" in page

    browser.post(
        address,
        {"rest": "client SINITIAL", "for client SINITIAL": "replace", f"choice {other.pk}": "delete"},
    )

    choices = many.decisions.exclude(pk__in=[one.pk, other.pk]).values_list("choice", flat=True)
    one.refresh_from_db()
    other.refresh_from_db()
    assert (one.choice, other.choice, set(choices)) == ("later", "delete", {"replace"})
    assert AuditEvent.objects.filter(action="decided", counts={"replace": 58}).count() == 1


def test_once_all_are_decided_a_choice_for_all_is_for_every_one_of_them(browser, many):
    address = reverse("decide", args=[many.pk])
    one = many.decisions.first()
    browser.post(address, {"rest": "client SINITIAL", "for client SINITIAL": "replace", f"choice {one.pk}": "delete"})
    page = words(browser.get(address))
    assert "All 60 clients whose surname initial (SINITIAL) changed: all decided" in page
    assert "Choose anew for all 60" in page
    assert "Also of those you decided one by one" in page

    # The page sends what is chosen on it as well.
    browser.post(
        address, {"all": "client SINITIAL", "for client SINITIAL": "later", f"choice {one.pk}": "delete", "page": "1"}
    )

    assert set(many.decisions.values_list("choice", flat=True)) == {"later"}


def test_a_choice_for_many_that_is_not_sent_by_its_button_is_told_to_be_unsaved(browser, many):
    one = many.decisions.first()
    address = reverse("decide", args=[many.pk])
    answer = browser.post(
        address, {f"choice {one.pk}": "later", "for client SINITIAL": "replace", "to": "save", "page": "1"}
    )

    assert many.decisions.exclude(choice="").count() == 1
    assert "What you chose for many at once is not saved" in words(browser.get(answer.url))


def test_a_choice_for_many_that_cannot_be_is_told_in_one_sentence(browser, many):
    for group, choice, told in (
        ("client SINITIAL", "keep", "Choose replace, delete or later for these records"),
        ("client SINITIAL", "x", "Choose replace, delete or later for these records"),
        ("client SEX", "replace", "These records are not of this submission"),
        ("client \0", "replace", "These records are not of this submission"),
        ("SINITIAL", "replace", "These records are not of this submission"),
    ):
        answer = browser.post(reverse("decide", args=[many.pk]), {"rest": group, f"for {group}": choice})

        assert answer.status_code == 422, (group, choice)
        assert told in words(answer), (group, choice)
        assert not many.decisions.exclude(choice="").exists(), (group, choice)


def test_the_groups_are_named_as_people_would_say_it(browser, accepted, sent):
    more = person(1, EPISODID="18", REFERID="181")
    accepted(*[person(n) for n in range(1, 9)], more, person(2, EPISODID="28", REFERID="281"), person(9), person(10))
    full = sent(
        person(1, SINITIAL="X", DOB="15/02/1986"),
        person(2, SINITIAL="X", DOB="15/02/1986"),
        *[person(n, SINITIAL="X", DOB="15/02/1986", SEX="F") for n in (3, 4, 5)],
        *[person(n, REFLD="04/11/2025") for n in (6, 7, 8)],
        scope="full",
    )
    page = words(browser.get(reverse("decide", args=[full.pk])))

    for told in (
        "Both clients whose surname initial (SINITIAL) and date of birth (DOB) changed: none decided yet",
        "All 3 clients whose surname initial (SINITIAL), date of birth (DOB) and stated sex (SEX) changed",
        "All 3 episodes whose date of the event which prompted this contact (REFLD) changed",
        "Both clients who are held and not in this file",
        "Both episodes that are held and not in this file",
        "The held records take the new values: the same episodes, corrected",
        "They are removed, with 2 episodes and 2 referrals",
        "What becomes of both (clients who are held and not in this file)",
    ):
        assert told in page


def test_every_field_that_may_mismatch_has_a_name_that_can_follow_whose():
    named = [deciding._called(f.header) for f in DATASET.fields if f.changes is Changes.MISMATCH]

    assert named == [
        "first name initial (FINITIAL)",
        "surname initial (SINITIAL)",
        "date of birth (DOB)",
        "stated sex (SEX)",
        "CJIT agency code (AGNCY)",
        "date of the event which prompted this contact (REFLD)",
    ]


def test_each_choice_is_named_with_its_record_and_what_changed(browser, accepted, sent):
    accepted(FIRST, SECOND)
    full = sent(FIRST | {"SINITIAL": "X", "DOB": "15/02/1986"}, scope="full")
    page = words(browser.get(reverse("decide", args=[full.pk])))

    assert (
        "What becomes of it (client 1, surname initial (SINITIAL) changed from O to X, date of birth (DOB) changed from"
        " 14/02/1986 to 15/02/1986)"
    ) in page
    assert "What becomes of it (client 2, held and not in this file)" in page


# ---- choosing what to look at ----------------------------------------------------------------------


def cards(response) -> int:
    return response.content.decode().count("summary-card__title-wrapper")


def test_what_is_decided_and_what_is_not_can_be_shown_alone(browser, many, provider):
    some = many.decisions.values_list("pk", flat=True)[:12]
    actions.decide(by=provider, submission=many, choices=dict.fromkeys(some, "later"))
    address = reverse("decide", args=[many.pk])
    everything, left, decided = (browser.get(f"{address}?show={show}") for show in ("", "left", "decided"))

    assert [cards(page) for page in (everything, left, decided)] == [50, 48, 12]
    assert "12 of 60 decided" in words(left)
    assert "1 to 48 of 48 shown, 60 in all" in words(left)
    assert "All (60) Still to be decided (48) Decided (12)" in words(left)
    assert re.search(r'<option value="left" selected>', left.content.decode())
    # Those that are not shown can be decided together all the same.
    assert "What becomes of the 48 still to be decided" in words(decided)


def test_records_of_one_kind_can_be_shown_alone(browser, accepted, sent):
    accepted(*[person(n) for n in range(1, 7)])
    full = sent(
        *[person(n, SINITIAL="X") for n in (1, 2)],
        *[person(n, SEX="F") for n in (3, 4)],
        person(5, REFLD="04/11/2025"),
        scope="full",
    )
    address = reverse("decide", args=[full.pk])
    page = words(browser.get(address))
    for told in (
        "Clients whose surname initial (SINITIAL) changed (2)",
        "Clients whose stated sex (SEX) changed (2)",
        "Episodes whose date of the event which prompted this contact (REFLD) changed (1)",
        "Clients who are held and not in this file (1)",
    ):
        assert told in page
    sexes = browser.get(address, {"group": "client SEX"})

    assert cards(sexes) == 2
    assert "Both clients whose stated sex (SEX) changed" in words(sexes)
    assert "Both clients whose surname" not in words(sexes)
    assert re.search(r'<option value="client SEX" selected>', sexes.content.decode())
    assert cards(browser.get(address, {"group": "client SEX", "show": "decided"})) == 0
    assert "Show all 6" in words(browser.get(address, {"group": "client SEX", "show": "decided"}))


def test_what_nobody_asks_for_is_no_error(browser, many):
    for query in ("group=client+PC", "group=%00", "group=x", "show=x", "page=x", "page=99999999999999"):
        page = browser.get(f"{reverse('decide', args=[many.pk])}?{query}")

        assert page.status_code == 200, query
        assert cards(page) or "None of them is of this kind" in words(page), query


def test_what_is_shown_stays_so_over_pages_and_after_saving(browser, many, provider):
    address = reverse("decide", args=[many.pk])
    query = "?show=left&group=client+SINITIAL"
    first = browser.get(address + query)
    body = first.content.decode()
    assert 'href="?show=left&amp;group=client+SINITIAL&amp;page=2"' in body
    kept_on = dict(re.findall(r'<input type="hidden" name="(page|show|group)" value="(.*?)">', body))
    assert kept_on == {"page": "1", "show": "left", "group": "client SINITIAL"}
    shown = [int(pk) for pk in re.findall(r'id="title-(\d+)"', body)]

    answer = browser.post(address, {**kept_on, "to": "save", f"choice {shown[0]}": "later"})
    assert answer.url == f"{address}{query}&page=1"
    assert str(shown[0]) not in re.findall(r'id="title-(\d+)"', browser.get(answer.url).content.decode())


def test_going_on_among_those_still_to_be_decided_leaves_none_of_them_out(browser, many):
    many.decisions.bulk_create(
        [Decision(submission=many, entity="client", record=f"x{n}", pattern="DOB") for n in range(90)]
    )
    address = reverse("decide", args=[many.pk])
    seen: set[str] = set()
    page = browser.get(f"{address}?show=left")
    for _ in range(9):
        body = page.content.decode()
        shown = re.findall(r'id="title-(\d+)"', body)
        seen |= set(shown)
        number = re.search(r'name="page" value="(\d+)"', body)
        assert number
        # All but every fifth of the page are decided.
        chosen = {f"choice {pk}": "later" for place, pk in enumerate(shown) if place % 5}
        to = {"to": "next"} if "Save and show the next" in body else {"to": "save"}
        answer = browser.post(address, {"show": "left", "page": number[1], **to, **chosen})
        page = browser.get(answer.url)

    assert len(seen) == 150


def test_when_the_last_is_decided_among_those_still_to_be_decided_the_acceptance_follows(browser, mismatched):
    one = mismatched.decisions.get()
    address = reverse("decide", args=[mismatched.pk])
    answer = browser.post(address, {"show": "left", "page": "1", "to": "next", f"choice {one.pk}": "later"})

    assert answer.url == reverse("accept", args=[mismatched.pk])


def test_very_many_decisions_are_counted_by_the_database_and_never_fetched(browser, many):
    def queries(page: str) -> list[str]:
        with CaptureQueriesContext(connection) as made:
            assert cards(browser.get(f"{reverse('decide', args=[many.pk])}?{page}")) == 50
        return [query["sql"] for query in made if "portal_decision" in query["sql"]]

    few = queries("page=1")
    many.decisions.bulk_create(
        [Decision(submission=many, entity="client", record=f"x{n}", pattern="DOB") for n in range(3_000)]
    )
    for page in ("page=1", "page=30", "show=left&page=2", "group=client+DOB"):
        now = queries(page)
        assert len(now) == len(few) == 5
        for sql in now:
            assert re.search(r"COUNT\(|LIMIT \d|\bid\S* IN \(", sql), sql
    [counted] = [sql for sql in queries("page=30") if "GROUP BY" in sql]
    with connection.cursor() as cursor:
        cursor.execute(counted)
        assert len(cursor.fetchall()) == 2


# ---- by a file -------------------------------------------------------------------------------------


def decide_by(browser, submission, data: str | bytes):
    file = SimpleUploadedFile("decisions.csv", data.encode() if isinstance(data, str) else data, "text/csv")
    return browser.post(reverse("decide-file", args=[submission.pk]), {"file": file})


def test_the_file_to_be_filled_in_has_a_line_for_each_field(browser, mismatched):
    answer = browser.get(reverse("decide-file", args=[mismatched.pk]))
    lines = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))

    assert [(line["CLIENTID"], line["header"], line["held"], line["sent"], line["decision"]) for line in lines] == [
        ("1", "SINITIAL", "O", "X", ""),
        ("1", "DOB", "14/02/1986", "15/02/1986", ""),
    ]
    assert AuditEvent.objects.filter(action="downloaded decisions", about=mismatched.number).count() == 1


def test_filled_in_and_sent_back_it_decides(browser, mismatched):
    text = browser.get(reverse("decide-file", args=[mismatched.pk])).content.decode("utf-8-sig")
    answer = decide_by(browser, mismatched, text.replace("15/02/1986,", "15/02/1986,Delete"))

    assert answer.url == reverse("accept", args=[mismatched.pk])
    assert mismatched.decisions.get().choice == "delete"


def test_absent_clients_can_be_decided_by_file_too(browser, accepted, sent):
    accepted(FIRST, SECOND)
    full = sent(FIRST, scope="full")
    text = browser.get(reverse("decide-file", args=[full.pk])).content.decode("utf-8-sig")
    decide_by(browser, full, text.replace("(not in the file),", "(not in the file),keep"))

    assert full.decisions.get().choice == "keep"


def test_the_findings_with_a_column_of_decisions_do_as_well(browser, mismatched):
    address = reverse("download", args=[mismatched.pk, "csv"])
    assert f'{address}?severity=mismatch"' in browser.get(reverse("decide", args=[mismatched.pk])).content.decode()
    found = b"".join(browser.get(f"{address}?severity=mismatch").streaming_content).decode("utf-8-sig")
    head, *lines = found.strip().split("\r\n")
    decide_by(browser, mismatched, "\r\n".join([f"{head},decision", *(f"{line},replace" for line in lines)]))

    assert mismatched.decisions.get().choice == "replace"


def findings_of(browser, submission, query: str = "") -> list[dict[str, str]]:
    """The findings as CSV, as they come from the page of the result."""
    found = b"".join(browser.get(reverse("download", args=[submission.pk, "csv"]) + query).streaming_content)
    return list(csv.DictReader(io.StringIO(found.decode("utf-8-sig"), newline="")))


def saved(lines: list[dict[str, str]], encoding: str = "utf-8-sig") -> bytes:
    """A table as a spreadsheet saves it."""
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, lines[0].keys())
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue().encode(encoding)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-8", "cp1252"])
def test_all_findings_with_decisions_at_the_mismatches_alone_do_as_well(browser, accepted, sent, encoding):
    accepted(FIRST, SECOND, person(3))
    again = sent(
        FIRST | {"SINITIAL": "X", "RELIGION": "?"},
        SECOND | {"REFLD": "22/11/2025", "SEX": "", "FINITIAL": ""},
        person(3, DOB="1986-02-15", REFLD="22/11/2025"),
    )
    lines = findings_of(browser, again)
    assert {line["severity"] for line in lines} > {"mismatch", "reject"}
    for line in lines:
        line[" Decision "] = {"SINITIAL": "replace", "REFLD": "Leave for later", "DOB": "DELETE "}.get(
            line["header"] if line["severity"] == "mismatch" else "", ""
        )
    answer = decide_by(browser, again, saved(lines, encoding))

    told = again.decisions.values_list("entity", "record", "choice")
    assert set(told) == {("client", "1", "replace"), ("client", "3", "delete"), ("episode", "31", "later")}
    # The row of the second client is rejected, so nothing of it waits for a decision.
    assert "1 line is of a rejected row, for which nothing is decided" in words(browser.get(answer["Location"]))


def test_a_date_that_a_spreadsheet_wrote_anew_is_still_the_same(browser, mismatched):
    for date in ("15/2/86", "1986-02-15", "15/02/1986 "):
        mismatched.decisions.update(choice="")
        decide_by(browser, mismatched, f"{HEAD}1,,,DOB,14/2/86,{date},replace\n")

        assert mismatched.decisions.get().choice == "replace"


def test_the_findings_of_another_submission_are_refused_though_they_name_the_same_client(browser, mismatched, sent):
    lines = [line | {"decision": "delete"} for line in findings_of(browser, mismatched, "?severity=mismatch")]
    other = sent(FIRST | {"SINITIAL": "Y"})

    assert "may be of another submission" in words(decide_by(browser, other, saved(lines)))
    assert other.decisions.get().choice == ""


def test_absent_referrals_can_be_decided_by_file_too(browser, accepted, sent):
    more = FIRST | {"REFERID": "119"}
    accepted(FIRST, more, SECOND)
    full = sent(FIRST, scope="full")
    lines = list(
        csv.reader(io.StringIO(browser.get(reverse("decide-file", args=[full.pk])).content.decode("utf-8-sig")))
    )
    assert lines == [
        ["CLIENTID", "EPISODID", "REFERID", "header", "held", "sent", "decision"],
        ["2", "", "", "CLIENTID", "", "(not in the file)", ""],
        ["", "", "119", "REFERID", "", "(not in the file)", ""],
    ]
    lines[1][-1], lines[2][-1] = "keep", "delete"
    decide_by(browser, full, "\n".join(",".join(line) for line in lines))

    assert set(full.decisions.values_list("entity", "choice")) == {("client", "keep"), ("referral", "delete")}


def test_a_file_without_a_column_for_referrals_is_still_taken(browser, accepted, sent):
    accepted(FIRST, SECOND)
    full = sent(FIRST | {"SINITIAL": "X"}, scope="full")
    text = "CLIENTID,EPISODID,header,held,sent,decision\n1,,SINITIAL,O,X,replace\n2,,CLIENTID,,(not in the file),keep\n"
    decide_by(browser, full, text)

    assert set(full.decisions.values_list("record", "choice")) == {("1", "replace"), ("2", "keep")}


def test_what_is_taken_back_unchanged_changes_nothing(browser, mismatched, provider):
    actions.decide(by=provider, submission=mismatched, choices={mismatched.decisions.get().pk: "later"})
    text = browser.get(reverse("decide-file", args=[mismatched.pk])).content
    answer = decide_by(browser, mismatched, text)

    assert "Nothing is changed; all are decided" in words(browser.get(answer.url))
    assert mismatched.decisions.get().choice == "later"


def test_without_the_findings_the_page_can_still_be_used_and_the_file_says_why_not(browser, mismatched, uploads):
    kept.read(mismatched, kept.FINDINGS)
    (uploads / mismatched.stored / kept.FINDINGS).unlink()
    page = browser.get(reverse("decide", args=[mismatched.pk]))
    file = browser.get(reverse("decide-file", args=[mismatched.pk]))

    assert "The values are no longer kept" in words(page)
    assert (page.status_code, file.status_code) == (200, 422)
    assert "send it again" in words(file) or "no longer kept" in words(file)
    assert decide_by(browser, mismatched, f"{HEAD}1,,,SINITIAL,O,X,replace\n").status_code == 422


def test_a_cell_like_a_formula_is_neutral_and_still_found(browser, accepted, sent):
    accepted(FIRST | {"CLIENTID": "=1+1"})
    again = sent(FIRST | {"CLIENTID": "=1+1", "SINITIAL": "X"})
    text = browser.get(reverse("decide-file", args=[again.pk])).content.decode("utf-8-sig")
    assert "'=1+1," in text

    decide_by(browser, again, text.replace(",X,", ",X,later"))

    assert again.decisions.get().choice == "later"


HEAD = "CLIENTID,EPISODID,REFERID,header,held,sent,decision\n"


SLIPS = [
    (b"", "The decision file is empty"),
    (b" \r\n\r\n", "The decision file is empty"),
    (HEAD.encode(), "decides nothing: write replace, delete, keep or later in its column decision"),
    (HEAD.encode() + b"1,,,SINITIAL,O,X,\n\n,,,,,,\n", "decides nothing"),
    (
        HEAD.encode() + b"1,,,SINITIAL,O,X,swap\n",
        "Row 2 of the decision file must say replace, delete, later or keep",
    ),
    (HEAD.encode() + b"\n1,,,SINITIAL,O,X,keep\n", "Row 3 of the decision file must say replace, delete or later"),
    (HEAD.encode() + b"7,,,SINITIAL,O,X,delete\n", "Row 2 of the decision file is of no record to be decided in S"),
    (HEAD.encode() + b"1,,,,O,X,delete\n", "Row 2 of the decision file is of no record to be decided in S"),
    (HEAD.encode() + b"1\n2,,,ETHNIC,,,delete\n", "Row 3 of the decision file is of no record to be decided in S"),
    (
        HEAD.encode() + b"1,,,SINITIAL,O,X,delete\n1,,,DOB,14/02/1986,15/02/1986,Replace\n",
        "Row 3 of the decision file decides a record otherwise than an earlier row",
    ),
    (HEAD.encode() + b"1,,,SINITIAL,O,Y,delete\n", "so the file may be of another submission"),
    (HEAD.encode() + b"1,,,DOB,14/02/1986,16/02/1986,delete\n", "so the file may be of another submission"),
    (HEAD.encode() + b"1,,,SEX,M,F,delete\n", "so the file may be of another submission"),
    (HEAD.encode() + b"1,,,CLIENTID,,(not in the file),delete\n", "so the file may be of another submission"),
    (b"a,b\n1,2\n", "The decision file has no column called decision: add it"),
    (b"CLIENTID,decision\n1,replace\n", "must have the columns header, CLIENTID and EPISODID"),
    (HEAD.encode().replace(b"held", b"Decision"), "has several columns called decision"),
    (
        HEAD.replace(",", ";").encode() + b"1;;;SINITIAL;O;X;delete\n",
        "separated by semicolons: save it with commas",
    ),
    (HEAD.replace(",", "\t").encode(), "separated by tabs: save it with commas"),
    (HEAD.encode("utf-16"), "is Unicode text (UTF-16): save it as “CSV UTF-8 (comma delimited)”"),
    (HEAD.encode("utf-16-le"), "cannot be read: save it as “CSV UTF-8 (comma delimited)”"),
    (b"PK\x03\x04\x14\x00", "is an Excel workbook: save it as “CSV UTF-8 (comma delimited)”"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1", "is an old Excel workbook"),
    (b"\x00\xff", "cannot be read: save it as “CSV UTF-8 (comma delimited)”"),
    (HEAD.encode() + b"\x81", "is not text in UTF-8: save it as “CSV UTF-8 (comma delimited)”"),
    ((HEAD + "1,,,SINITIAL,É,X,É").encode()[:-1], "ends within a character, so it was cut off"),
    (HEAD.encode() + b'"1', "cannot be read"),
    (HEAD.encode() + b"1" * 3_000_000, "cannot be read"),
    (HEAD.encode() + b"1,,,SINITIAL,O,X,delete\n" * 1_000_000, "The decision file is larger than 20 MB"),
]


def test_a_slip_in_the_file_is_told_in_one_sentence_and_nothing_is_decided(browser, mismatched):
    for data, said in SLIPS:
        answer = decide_by(browser, mismatched, data)

        assert answer.status_code == 422, said
        [told] = re.findall(r'<a href="#file">(.*?)</a>', answer.content.decode())
        told = unescape(told)
        assert said in told
        assert not told.endswith(".")
        assert not mismatched.decisions.exclude(choice="").exists(), said


def test_no_file_is_told_in_one_sentence(browser, mismatched):
    answer = browser.post(reverse("decide-file", args=[mismatched.pk]))

    assert answer.status_code == 422
    assert "Choose a decision file" in words(answer)


# ---- accepting -------------------------------------------------------------------------------------


def test_the_summary_says_beforehand_what_the_receipt_says_afterwards(browser, mismatched, provider, agency):
    actions.decide(by=provider, submission=mismatched, choices={mismatched.decisions.get().pk: "delete"})
    before = {entity: table.objects.count() for entity, table in RECORDS.items()}
    table = re.compile(r"Records Clients Episodes Referrals (.*?) Left out (?!0)")

    promised = table.search(words(browser.get(reverse("accept", args=[mismatched.pk]))))
    assert {entity: table.objects.count() for entity, table in RECORDS.items()} == before
    assert Submission.objects.get(pk=mismatched.pk).state == State.READY
    assert not AuditEvent.objects.filter(action="accepted a submission", about=mismatched.number).exists()

    answer = browser.post(reverse("accept", args=[mismatched.pk]), follow=True)
    kept = table.search(words(answer))
    assert promised
    assert kept
    assert promised[1] == kept[1]
    assert kept[1] == "New 0 0 0 Changed 1 2 1 Removed 0 1 1 Forgotten 0 0 0 Unchanged 1 0 1 Left out 0 0 0"
    assert "X" in held(agency, "SINITIAL")


def test_looking_at_the_summary_writes_nothing_and_holds_nobody_up(browser, mismatched):
    with CaptureQueriesContext(connection) as asked:
        assert browser.get(reverse("accept", args=[mismatched.pk])).status_code == 200

    # But the session, of which every page notes that it is used.
    statements = [query["sql"] for query in asked if '"django_session"' not in query["sql"]]
    reads = re.compile(r"SELECT (?!.* FOR (NO KEY )?UPDATE)|COPY \(SELECT .* TO STDOUT|(RELEASE )?SAVEPOINT ", re.S)
    assert [sql for sql in statements if not reads.match(sql)] == []


def test_what_is_left_out_is_told_before_and_after(browser, accepted, sent):
    accepted(FIRST, SECOND)
    again = sent(FIRST | {"SINITIAL": "X"}, SECOND | {"SEX": ""}, person(3))
    summary = words(browser.get(reverse("accept", args=[again.pk])))
    after = words(browser.post(reverse("accept", args=[again.pk]), follow=True))

    assert "1 of 1 decision is not taken: what differs waits" in summary
    for page in (summary, after):
        assert "1 row is rejected: correct it and send it again" in page
        assert "3 records wait for a decision" in page


# ---- who will be forgotten -------------------------------------------------------------------------


@pytest.fixture
def withdrawing(accepted, sent):
    """Three clients are held, of whom two withdraw consent in the next file."""
    accepted(FIRST, SECOND, person(3))
    return sent(FIRST | {"CONSENT": "N"}, SECOND | {"CONSENT": "N"}, person(3))


def test_who_will_be_forgotten_is_listed_by_the_agencys_reference_before_the_button(browser, withdrawing):
    body = browser.get(reverse("accept", args=[withdrawing.pk]))
    page = words(body)

    assert "2 clients, by your reference Client reference Client ID A1 1 A2 2 " in page
    assert (
        "2 clients withdraw consent in this file: if you accept it, nobody sees anything of them here any more, and all"
        " that is held of them is erased for good 24 hours later. Until then you can undo it. Files that you sent"
        " before, and what was found in them, are kept for their own time: 90 days."
    ) in page
    places = [
        page.index(told) for told in ("A2 2 ", "Until then you can undo it", "How many clients", "Accept and forget")
    ]
    assert places == sorted(places)
    assert re.search(r'class="govuk-button govuk-button--warning"[^>]*>\s*Accept and forget 2 clients', body.text)


def test_a_client_of_whom_only_former_versions_are_held_is_listed_too(browser, accepted, sent, provider):
    accepted(FIRST, SECOND)
    full = sent(SECOND, scope="full")
    actions.decide(by=provider, submission=full, choices={full.decisions.get().pk: "delete"})
    actions.accept(by=provider, submission=full)

    again = sent(FIRST | {"CONSENT": "N"}, SECOND)

    assert again.summary["forget"] == 1
    assert "1 client, by your reference Client reference Client ID A1 1" in words(
        browser.get(reverse("accept", args=[again.pk]))
    )


def test_who_was_never_held_is_not_among_those_to_be_forgotten(browser, accepted, sent):
    accepted(FIRST)
    page = words(browser.get(reverse("accept", args=[sent(FIRST, SECOND | {"CONSENT": "N"}).pk])))

    assert "Who will be forgotten" not in page
    assert "A2" not in page


def test_many_who_will_be_forgotten_are_all_listed_folded_away(browser, accepted, sent):
    accepted(*[person(n) for n in range(100, 160)])
    again = sent(*[person(n, CONSENT="N") for n in range(100, 160)])
    page = words(browser.get(reverse("accept", args=[again.pk])))

    assert "All 60 clients who will be forgotten" in page
    assert all(f"A{n} {n} " in page for n in range(100, 160))


def test_a_wrong_number_of_clients_is_refused_and_nothing_happens(browser, withdrawing, agency):
    for typed in ("", " ", "0", "1", "3", "-2", "two", "2.0", "²", "99999999999"):
        answer = browser.post(reverse("accept", args=[withdrawing.pk]), {"forget": typed})

        assert answer.status_code == 422, typed
        page = words(answer)
        assert (
            page.count("Enter how many clients are to be forgotten, as this page lists them: nothing has been accepted")
            == 2
        ), typed
        assert "A1 1 A2 2" in page, typed
        assert '<a href="#forget">' in answer.text, typed
        assert answer.text.count("<title>Error: ") == 1, typed
        assert f'value="{typed}"' in answer.text or not typed.strip()
        assert held(agency, "CLIENTID") == ["1", "2", "3"], typed
        assert Submission.objects.get(pk=withdrawing.pk).state == State.READY, typed
        assert not AuditEvent.objects.filter(action="accepted a submission", about=withdrawing.number).exists(), typed


@pytest.mark.parametrize("typed", ["2", " 2 ", "02"])
def test_the_right_number_forgets_them_and_the_receipt_says_until_when_that_can_be_undone(
    browser, withdrawing, agency, typed
):
    page = words(browser.post(reverse("accept", args=[withdrawing.pk]), {"forget": typed}, follow=True))

    assert held(agency, "CLIENTID") == ["3"]
    until = moment(Submission.objects.get(pk=withdrawing.pk).forget_until)
    assert (
        f"2 clients are forgotten: until {until} undoing this acceptance, after any later one, brings them back,"
        " and then all that was held of them is"
        " erased."
    ) in page


def test_a_number_that_was_right_when_the_page_was_opened_is_refused_once_it_is_not(browser, withdrawing, agency):
    browser.get(reverse("accept", args=[withdrawing.pk]))
    actions.forget(by=None, agency=agency, clients=["1"])
    worker.run(threading.Event(), once=True)

    answer = browser.post(reverse("accept", args=[withdrawing.pk]), {"forget": "2"})

    assert answer.status_code == 422
    assert "1 client, by your reference Client reference Client ID A2 2" in words(answer)
    assert held(agency, "CLIENTID") == ["2", "3"]


def test_a_file_of_withdrawals_alone_leads_to_who_will_be_forgotten(browser, accepted, sent, agency):
    accepted(FIRST, SECOND)
    again = sent(FIRST | {"CONSENT": "N"}, scope="full")
    page = browser.get(reverse("submission", args=[again.pk]))

    assert "No record of the file can be taken. It says only who withdraws consent" in words(page)
    assert reverse("accept", args=[again.pk]) in page.text
    browser.post(reverse("accept", args=[again.pk]), {"forget": "1"})
    assert held(agency, "CLIENTID") == ["2"]


def test_no_reference_of_who_is_forgotten_is_in_the_receipt_its_pdf_its_e_mail_or_the_audit_trail(
    browser, accepted, sent, django_capture_on_commit_callbacks
):
    accepted(FIRST | {"CLIENT": "REF-77"}, SECOND)
    again = sent(FIRST | {"CLIENT": "REF-77", "CONSENT": "N"}, SECOND)
    assert "REF-77" in words(browser.get(reverse("accept", args=[again.pk])))

    with django_capture_on_commit_callbacks(execute=True):
        page = browser.post(reverse("accept", args=[again.pk]), {"forget": "1"}, follow=True)

    [message] = mail.outbox
    trail = str(list(AuditEvent.objects.values_list("action", "about", "counts")))
    pdf = browser.get(reverse("receipt-pdf", args=[again.pk])).content
    assert not any("REF-77" in told for told in (words(page), message.body, trail, pdf.decode("latin-1")))
    assert "1 client is forgotten: until " in message.body


def test_undoing_and_the_receipt_say_who_can_still_be_brought_back(browser, withdrawing, agency):
    browser.post(reverse("accept", args=[withdrawing.pk]), {"forget": "2"})
    asked, receipt_page = reverse("undo", args=[withdrawing.pk]), reverse("receipt", args=[withdrawing.pk])
    assert "2 clients are forgotten: until " in words(browser.get(asked))

    browser.post(asked)

    assert held(agency, "CLIENTID") == ["1", "2", "3"]
    assert "The 2 clients whom it had made the service forget are held again." in words(browser.get(receipt_page))


def test_after_a_day_undoing_and_the_receipt_say_that_nobody_can_be_brought_back(browser, withdrawing, agency):
    browser.post(reverse("accept", args=[withdrawing.pk]), {"forget": "2"})
    asked, receipt_page = reverse("undo", args=[withdrawing.pk]), reverse("receipt", args=[withdrawing.pk])
    for worker_has_come_by in (False, True):
        if worker_has_come_by:
            actions.erase_forgotten()
        else:
            Submission.objects.filter(pk=withdrawing.pk).update(forget_until=timezone.now() - timedelta(minutes=1))
        for page in (asked, receipt_page):
            assert "2 clients are forgotten and erased: undoing does not bring anything of them back." in words(
                browser.get(page)
            )

    browser.post(asked)

    assert held(agency, "CLIENTID") == ["3"]
    assert "2 clients whom it had made the service forget are erased, and not held again." in words(
        browser.get(receipt_page)
    )


def test_who_is_erased_by_hand_is_told_apart_from_who_can_be_brought_back(browser, withdrawing, agency):
    browser.post(reverse("accept", args=[withdrawing.pk]), {"forget": "2"})
    actions.forget(by=None, agency=agency, clients=["1"])
    asked, receipt_page = reverse("undo", args=[withdrawing.pk]), reverse("receipt", args=[withdrawing.pk])

    assert re.search(
        r"2 clients are forgotten: until .* undoing this acceptance, after any later one, brings 1 of the 2 clients"
        r" back, and then all that was held of them"
        r" is erased; 1 is erased already\.",
        words(browser.get(receipt_page)),
    )
    browser.post(asked)
    assert "1 of the 2 clients whom it had made the service forget is held again; 1 is erased already." in words(
        browser.get(receipt_page)
    )


def test_a_file_that_changes_nothing_says_so(browser, accepted, sent):
    accepted(FIRST)
    again = sent(FIRST)

    assert "Accepting the file changes nothing of what is held" in words(
        browser.get(reverse("accept", args=[again.pk]))
    )


def test_accepting_twice_leads_to_the_receipt_and_accepts_once(
    browser, sent, provider, django_capture_on_commit_callbacks
):
    submission = sent(FIRST)
    address = reverse("accept", args=[submission.pk])
    with django_capture_on_commit_callbacks(execute=True):
        one, two = browser.post(address), browser.post(address)

    assert one.url == two.url == browser.get(address).url == reverse("receipt", args=[submission.pk])
    assert len(mail.outbox) == 1
    assert AuditEvent.objects.filter(action="accepted a submission").count() == 1


def test_of_two_who_accept_at_once_one_is_sent_the_receipt(
    browser, sent, provider, agency, person_with, monkeypatch, django_capture_on_commit_callbacks
):
    submission = sent(FIRST)
    colleague = person_with("provider", agency=agency)
    real = actions.accept

    def beaten(**told):
        real(by=colleague, submission=submission)
        return real(**told)

    monkeypatch.setattr(actions, "accept", beaten)
    with django_capture_on_commit_callbacks(execute=True):
        answer = browser.post(reverse("accept", args=[submission.pk]))

    assert answer.url == reverse("receipt", args=[submission.pk])
    assert mail.outbox == []


def test_a_submission_that_was_withdrawn_meanwhile_is_not_accepted(browser, sent, provider):
    submission = sent(FIRST)
    actions.withdraw(by=provider, submission=submission)
    answer = browser.post(reverse("accept", args=[submission.pk]))

    assert answer.url == reverse("submission", args=[submission.pk])
    assert Submission.objects.get(pk=submission.pk).state == State.WITHDRAWN


# ---- the receipt -----------------------------------------------------------------------------------


def test_the_receipt_says_what_was_accepted_when_and_by_whom(browser, accepted, provider):
    done = accepted(FIRST, SECOND)
    page = words(browser.get(reverse("receipt", args=[done.pk])))

    for told in (done.number, "march.csv", done.sha256, f"by {provider}", "CJ901 Made-up team"):
        assert told in page
    assert "Records Clients Episodes Referrals New 2 2 2 Changed 0 0 0" in page
    assert "Nothing was left out" in page


def test_the_receipt_as_a_pdf_is_one_page_of_a4_with_a_title_and_a_language(browser, accepted):
    done = accepted(FIRST)
    answer = browser.get(reverse("receipt-pdf", args=[done.pk]))

    assert answer.headers["Content-Type"] == "application/pdf"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{done.number}-receipt.pdf"'
    assert answer.content.startswith(b"%PDF-")
    assert f"(Receipt {done.number})".encode() in answer.content
    assert b"/Lang (en-GB)" in answer.content
    assert re.findall(rb"/MediaBox \[ 0 0 (\d+)\.\d+ (\d+)\.\d+ \]", answer.content) == [(b"595", b"841")]


def test_a_file_name_of_any_letters_makes_a_pdf(accepted):
    done = accepted(FIRST)
    done.name = "<b>März & 三月" + "x" * 200 + ".csv"

    assert receipt.pdf(done).startswith(b"%PDF-")


def test_the_receipt_is_sent_by_e_mail_in_counts_alone(browser, sent, provider, django_capture_on_commit_callbacks):
    submission = sent(FIRST, SECOND | {"SEX": ""})
    with django_capture_on_commit_callbacks(execute=True) as callbacks:
        browser.post(reverse("accept", args=[submission.pk]))
        assert mail.outbox == []

    [message] = mail.outbox
    assert len(callbacks) == 1
    assert message.to == [provider.email]
    assert message.subject == f"Receipt {submission.number}"
    assert "Clients: 1 new, 0 changed, 0 removed, 0 forgotten" in message.body
    assert "- 1 row is rejected: correct it and send it again" in message.body
    assert "march.csv" not in message.body
    assert "A1" not in message.body


def test_an_e_mail_that_cannot_be_sent_undoes_nothing(
    browser, sent, settings, agency, django_capture_on_commit_callbacks
):
    settings.EMAIL_BACKEND = "no.such.Backend"
    submission = sent(FIRST)
    with django_capture_on_commit_callbacks(execute=True):
        answer = browser.post(reverse("accept", args=[submission.pk]))

    assert answer.url == reverse("receipt", args=[submission.pk])
    assert held(agency, "CLIENTID") == ["1"]


def test_what_is_not_accepted_has_no_receipt(browser, sent):
    submission = sent(FIRST)

    for name in ("receipt", "receipt-pdf", "undo"):
        assert browser.get(reverse(name, args=[submission.pk])).status_code == 404


# ---- undoing ---------------------------------------------------------------------------------------


def test_the_last_acceptance_is_undone_once_that_is_confirmed(browser, accepted, agency):
    accepted(FIRST)
    last = accepted(FIRST | {"HOUSING": "2"}, SECOND)
    address = reverse("undo", args=[last.pk])

    assert f"Undo the acceptance of {last.number}?" in words(browser.get(address))
    assert held(agency, "CLIENTID") == ["1", "2"]
    page = words(browser.post(address, follow=True))

    assert "This acceptance was undone on" in page
    assert held(agency, "CLIENTID") == ["1"]


def test_an_earlier_acceptance_cannot_be_undone(browser, accepted, agency):
    earlier = accepted(FIRST)
    accepted(FIRST, SECOND)
    address = reverse("undo", args=[earlier.pk])

    assert "Undo this acceptance" not in words(browser.get(reverse("receipt", args=[earlier.pk])))
    assert browser.get(address).url == reverse("receipt", args=[earlier.pk])
    assert "only the last acceptance can" in words(browser.post(address, follow=True))
    assert held(agency, "CLIENTID") == ["1", "2"]


def test_undoing_twice_undoes_once(browser, accepted, agency):
    accepted(FIRST)
    last = accepted(FIRST, SECOND)
    address = reverse("undo", args=[last.pk])
    browser.post(address)
    browser.post(address)

    assert held(agency, "CLIENTID") == ["1"]


# ---- who may ---------------------------------------------------------------------------------------


def test_nobody_else_finds_these_pages(signed_in, person_with, other_agency, region, mismatched):
    open_one, done = mismatched, Submission.objects.get(state=State.ACCEPTED)
    for role, place in (
        ("provider", {"agency": other_agency}),
        ("regional", {"region": region}),
        ("national", {}),
        ("analyst", {}),
        ("administrator", {}),
    ):
        browser = signed_in(person_with(role, **place))
        for submission in (open_one, done):
            for name in ("decide", "decide-file", "accept", "receipt", "receipt-pdf", "undo"):
                address = reverse(name, args=[submission.pk])
                assert browser.get(address).status_code == 404, (role, name)
                if name not in ("receipt", "receipt-pdf"):
                    answer = browser.post(address, {"all": "client SINITIAL and DOB"})
                    assert answer.status_code == 404, (role, name)

        open_one.refresh_from_db()
        done.refresh_from_db()
        assert (open_one.state, done.state) == (State.DECISIONS, State.ACCEPTED), role


def test_what_is_settled_leads_away(browser, accepted):
    done = accepted(FIRST)

    for name in ("decide", "decide-file", "accept"):
        assert browser.get(reverse(name, args=[done.pk])).status_code == 302, name


# ---- in a browser ----------------------------------------------------------------------------------


@pytest.fixture
def visitor(browser):
    return browser


@pytest.mark.browser
@pytest.mark.parametrize("script", [True, False])
def test_somebody_decides_accepts_and_has_a_receipt_with_and_without_javascript(tab, mismatched, agency, script):
    page = tab(reverse("decide", args=[mismatched.pk]), java_script_enabled=script)
    page.get_by_role("group", name="What becomes of it (client 1, surname initial").get_by_label("Replace").check()
    follow(page.get_by_role("button", name="Save", exact=True).last)
    assert page.get_by_role("heading", name=f"Accept {mismatched.number}").is_visible()
    follow(page.get_by_role("button", name="Accept", exact=True))
    assert page.get_by_role("heading", name=f"Receipt {mismatched.number}").is_visible()

    assert sorted(held(agency, "SINITIAL")) == ["O", "X"]


@pytest.fixture
def thirty_four(accepted, sent):
    """Thirty-four clients, each with another surname initial in the next file."""
    accepted(*[person(n) for n in range(100, 134)])
    return sent(*[person(n, SINITIAL="X") for n in range(100, 134)])


def presses(page, *keys: str) -> int:
    for key in keys:
        page.keyboard.press(key)
    return len(keys)


def tabs_to(page, what: str) -> int:
    """Press the tab key until something has the focus: how often."""
    for count in range(1, 40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.innerText").strip().startswith(what):
            return count
    pytest.fail(f"“{what}” cannot be reached by the keyboard")


@pytest.mark.browser
@pytest.mark.parametrize("script", [True, False])
def test_thirty_four_mismatches_are_decided_together_by_the_keyboard_alone(tab, thirty_four, script):
    page = tab(reverse("decide", args=[thirty_four.pk]), java_script_enabled=script)
    count = tabs_to(page, "All 34 clients whose surname initial (SINITIAL) changed")
    count += presses(page, "Enter", "Tab", "Space", "Tab")
    assert page.evaluate("document.activeElement.innerText").startswith("Choose for all 34")
    count += presses(page, "Enter")
    page.get_by_role("heading", name=f"Accept {thirty_four.number}").wait_for()

    assert set(thirty_four.decisions.values_list("choice", flat=True)) == {"replace"}
    assert count <= 15


@pytest.mark.browser
def test_thirty_four_mismatches_are_decided_one_by_one_by_the_keyboard_alone(tab, thirty_four):
    page = tab(reverse("decide", args=[thirty_four.pk]), 390)
    count = tabs_to(page, "Go to the first still to be decided") + presses(page, "Enter")
    for number in range(34):
        # Every second one is deleted: the arrow goes on to the next choice and takes it.
        count += presses(page, "Tab", "ArrowDown" if number % 2 else "Space")
        legend = page.evaluate("document.activeElement.closest('fieldset').querySelector('legend').textContent")
        assert " ".join(legend.split()) == (
            f"What becomes of it (client {100 + number}, surname initial (SINITIAL) changed from O to X)"
        )
    count += presses(page, "Enter")
    page.get_by_role("heading", name=f"Accept {thirty_four.number}").wait_for()

    choices = list(thirty_four.decisions.order_by("pk").values_list("choice", flat=True))
    assert choices == ["replace", "delete"] * 17
    assert count <= 2 * 34 + 10


@pytest.mark.browser
@pytest.mark.parametrize("script", [True, False])
def test_what_is_left_is_chosen_decided_and_gone_on_from_with_and_without_javascript(tab, many, script):
    page = tab(reverse("decide", args=[many.pk]), 390, java_script_enabled=script)
    page.get_by_label("Show", exact=True).select_option(label="Still to be decided (60)")
    follow(page.get_by_role("button", name="Show", exact=True))
    assert page.get_by_text("1 to 50 of 60 shown, 60 in all").is_visible()
    for box in page.get_by_label("Leave for later").all():
        # But for the choice for all, which is folded away.
        if box.is_visible():
            box.check()
    follow(page.get_by_role("button", name="Save and show the next"))

    assert page.get_by_text("50 of 60 decided").is_visible()
    assert page.get_by_text("1 to 10 of 10 shown, 60 in all").is_visible()
    assert "show=left" in page.url
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
