"""Sending a file, waiting for its check, reading what was found and taking it away."""

from __future__ import annotations

import base64
import csv
import io
import os
import re
import sys
import threading
from html import unescape
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test.client import encode_multipart
from django.urls import reverse
from tests.web.conftest import follow

from cjit.datasets.q import Q
from cjit.report import workbook
from cjit.web import kept, worker
from cjit.web.agencies.actions import Refused
from cjit.web.agencies.models import AuditEvent, Membership, Role
from cjit.web.portal import actions, checking
from cjit.web.portal.models import RECORDS, Scope, State, Submission
from cjit.web.portal.views import verdict

NO_SEX = {"SEX": ""}
ODD_CODE = {"HOUSING": "qq"}
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere a file that is aside has a name")

#: Who is told of each file that this process opens.
listeners: list[Any] = []
sys.addaudithook(lambda event, told: [hear(told) for hear in listeners] if event == "open" else None)


@pytest.fixture
def browser(signed_in, provider):
    return signed_in(provider)


@pytest.fixture
def send(provider, agency, csv_of):
    """A file of some records, sent and checked."""

    def make(*changes, scope=Scope.FULL, of=agency, name="march.csv", check=True) -> Submission:
        rows = [{"AGNCY": of.code, **change} for change in changes]
        file = io.BytesIO(csv_of(*rows))
        sent = actions.receive(by=provider, agency=of, file=file, name=name, scope=scope)
        if check:
            worker.run(threading.Event(), once=True)
            sent.refresh_from_db()
        return sent

    return make


def read(response) -> str:
    """The text of a page, without its marks."""
    text = re.sub(r"<(script|style|title).*?</\1>", " ", response.content.decode(), flags=re.S)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split())


def taken(response) -> bytes:
    return b"".join(response.streaming_content)


def url(name, *args):
    return reverse(name, args=args)


def upload(data: bytes, name="march.csv"):
    return SimpleUploadedFile(name, data, content_type="text/csv")


# ---- sending ---------------------------------------------------------------------------------------


def test_a_file_that_is_sent_leads_to_its_own_page(browser, agency, csv_of, provider):
    data = csv_of({}, {})
    response = browser.post(url("submit"), {"file": upload(data), "scope": "full"})

    sent = Submission.objects.get()
    assert response.status_code == 302
    assert response.url == url("submission", sent.pk)
    assert (sent.agency, sent.by, sent.scope, sent.name, sent.size) == (
        agency,
        provider,
        "full",
        "march.csv",
        len(data),
    )
    with kept.opened(sent) as path:
        assert path.read_bytes() == data


def test_the_text_of_a_file_can_be_pasted(browser, csv_of, agency):
    browser.post(url("submit"), {"text": csv_of({"AGNCY": agency.code}).decode(), "scope": "new"})
    worker.run(threading.Event(), once=True)

    sent = Submission.objects.get()
    assert (sent.name, sent.scope, sent.rows) == ("pasted text", "new", 1)


@pytest.mark.parametrize(
    ("given", "said", "link"),
    [
        ({"scope": "full"}, "Choose a file, or paste its text", "#id_file"),
        ({"text": "CLIENTID"}, "Select what the file holds", "#id_scope"),
        ({"file": b"", "scope": "full"}, "The file is empty: choose the one your clinical system wrote", "#id_file"),
        (
            {"file": b"CLIENTID", "text": "CLIENTID", "scope": "full"},
            "Choose a file or paste its text, not",
            "#id_text",
        ),
    ],
    ids=["nothing", "no scope", "empty", "both"],
)
def test_a_slip_is_said_above_the_form_and_at_its_field(browser, given, said, link):
    given = {name: upload(value) if isinstance(value, bytes) else value for name, value in given.items()}
    response = browser.post(url("submit"), given)
    page = response.content.decode()

    assert page.count(said) == 2
    assert f'<a href="{link}">' in page
    assert "<title>Error: " in page
    assert not Submission.objects.exists()


def test_a_file_that_is_too_large_is_not_taken(browser, settings, csv_of):
    settings.UPLOAD_BYTES = 100
    response = browser.post(url("submit"), {"file": upload(csv_of({})), "scope": "full"})

    assert "The file is larger than" in read(response)
    assert not Submission.objects.exists()


def test_a_text_too_long_for_a_form_is_told_to_be_sent_as_a_file(browser):
    response = browser.post(url("submit"), {"text": "x" * 3_000_000, "scope": "full"})

    assert "The text is too long to be pasted: save it as a file, and choose that" in read(response)


def test_a_form_without_its_token_is_not_taken(provider, signed_in, csv_of):
    browser = signed_in(provider)
    browser.handler.enforce_csrf_checks = True

    assert browser.post(url("submit"), {"file": upload(csv_of({})), "scope": "full"}).status_code == 403
    assert not Submission.objects.exists()


def test_the_same_file_sent_twice_is_one_submission(browser, csv_of):
    for _ in range(2):
        response = browser.post(url("submit"), {"file": upload(csv_of({})), "scope": "full"}, follow=True)

    sent = Submission.objects.get()
    assert f"You have sent this file before, as {sent.number}" in read(response)


def test_the_form_tells_the_limits_the_scopes_and_where_the_rules_are(browser):
    response = browser.get(url("submit"))
    text = read(response)

    assert f"Up to {settings.UPLOAD_BYTES // 1_000_000} MB and 1,000,000 records" in text
    assert "Records that are held here and are not in the file stay as they are." in text
    assert "Which agency" not in text
    assert f'href="{url("rules")}"' in response.content.decode()
    assert 'data-module="govuk-file-upload"' in response.content.decode()


def test_the_template_file_is_the_header_row_and_nothing_else(browser):
    response = browser.get(url("template-csv"))

    assert response.content.decode() == ",".join(Q.headers) + "\r\n"
    assert "attachment" in response.headers["Content-Disposition"]


def test_who_submits_for_several_agencies_says_for_which(browser, provider, agency, other_agency, csv_of):
    Membership.objects.create(person=provider, role=Role.PROVIDER, agency=other_agency)
    given = {"file": upload(csv_of({})), "scope": "full"}

    assert "Select the agency the file is for" in read(browser.post(url("submit"), given))
    given["file"].seek(0)
    browser.post(url("submit"), {**given, "agency": other_agency.pk})
    assert Submission.objects.get().agency == other_agency


def test_nobody_sends_for_an_agency_that_is_not_theirs(browser, provider, agency, other_agency, csv_of):
    third = type(agency).objects.create(code="CJ903", name="Third", region=agency.region, opened=agency.opened)
    Membership.objects.create(person=provider, role=Role.PROVIDER, agency=other_agency)
    browser.post(url("submit"), {"file": upload(csv_of({})), "scope": "full", "agency": third.pk})

    assert not Submission.objects.exists()


# ---- waiting ---------------------------------------------------------------------------------------


def test_a_file_that_waits_has_a_page_that_renews_itself(browser, send):
    sent = send({}, check=False)
    page = browser.get(url("submission", sent.pk)).content.decode()

    assert '<noscript><meta http-equiv="refresh" content="2"></noscript>' in page
    assert "Your file has arrived and waits for its turn" in page
    assert f'data-state-url="{url("submission-state", sent.pk)}"' in page


def test_how_far_a_check_is_can_be_asked(browser, send):
    sent = send({}, check=False)
    Submission.objects.update(state=State.CHECKING, done=sent.size // 2)

    told = browser.get(url("submission-state", sent.pk)).json()
    assert (told["state"], told["done"], told["size"], told["finished"]) == (
        "checking",
        sent.size // 2,
        sent.size,
        False,
    )
    assert re.fullmatch(r"\d+\.\d% of the file is checked|50% of the file is checked", told["text"])
    Submission.objects.update(state=State.READY)
    assert browser.get(url("submission-state", sent.pk)).json()["finished"] is True


# ---- the result ------------------------------------------------------------------------------------


def test_the_verdict_comes_first(browser, send):
    page = browser.get(url("submission", send({}, {}, NO_SEX, ODD_CODE).pk)).content.decode()
    headings = re.findall(r"<h[1-6][^>]*>(.*?)</h", page)

    assert headings[0] == "3 of 4 records can be accepted, 1 of them with a query, and 1 is rejected"


@pytest.mark.parametrize(
    ("rows", "rejected", "queried", "said"),
    [
        (0, 0, 0, "There are no records in the file, so there is nothing to accept"),
        (1, 0, 0, "The one record can be accepted"),
        (1, 0, 1, "The one record can be accepted, with a query"),
        (1, 1, 0, "The one record is rejected"),
        (1200, 0, 0, "All 1,200 records can be accepted"),
        (1200, 1200, 0, "All 1,200 records are rejected"),
        (1200, 3, 4, "1,197 of 1,200 records can be accepted, 4 of them with a query, and 3 are rejected"),
    ],
)
def test_the_verdict_is_one_plain_sentence(rows, rejected, queried, said):
    assert verdict({"rows": rows, "accepted": rows - rejected, "rejected": rejected, "queried": queried}) == said


def test_causes_stand_the_most_frequent_first_with_a_link_to_their_findings(browser, send):
    sent = send(NO_SEX, ODD_CODE, ODD_CODE)
    page = browser.get(url("submission", sent.pk)).content.decode()
    links = re.findall(r"\?rule=([A-Za-z0-9_.]+)", page)

    assert links == ["HOUSING.is_in_list", "SEX.is_given"]
    assert f'href="{url("rules")}#SEX.is_given"' in page


def test_what_changed_since_the_last_upload_is_said(browser, send):
    send(NO_SEX, ODD_CODE)
    text = read(browser.get(url("submission", send({}, ODD_CODE, {"DRUG1": ""}).pk)))

    assert "Since your last upload: 1 gone, 1 new, 1 still there." in text


def test_what_is_said_of_the_whole_file_is_still_there_though_its_rows_are_others(browser, send):
    figure = {"SEX": "1"}
    send({}, figure, figure)
    sent = send(figure, {}, {})
    text = read(browser.get(url("submission", sent.pk)))

    assert sent.summary["rules"] == {"SEX.is_written_as_listed": 1}
    assert "Since your last upload: 0 gone, 0 new, 1 still there." in text


def test_a_perfect_file_says_what_to_do_next(browser, send):
    sent = send({}, {})
    response = browser.get(url("submission", sent.pk))

    assert "All 2 records can be accepted" in read(response)
    assert f'href="{url("accept", sent.pk)}"' in response.content.decode()


def test_an_unchanged_file_is_said_to_be_one(browser, send, provider):
    first = send({}, {})
    actions.accept(by=provider, submission=first)

    assert "This is the very file you had accepted last" in read(browser.get(url("submission", send({}, {}).pk)))


def test_a_file_that_mismatches_leads_to_the_decisions(browser, send, provider):
    actions.accept(by=provider, submission=send({}, {}))
    sent = send({"SEX": "F"}, {})
    response = browser.get(url("submission", sent.pk))

    assert sent.state == State.DECISIONS
    assert "1 of 1 record waits for your decision" in read(response)
    assert f'href="{url("decide", sent.pk)}"' in response.content.decode()


def test_a_file_cut_off_within_a_character_is_refused_and_not_a_fault_of_the_service(provider, agency):
    sent = actions.receive(
        by=provider, agency=agency, file=io.BytesIO("CLIENTID,CONSENT\nÁ,É".encode()[:-1]), name="a.csv", scope="full"
    )
    worker.run(threading.Event(), once=True)
    sent.refresh_from_db()

    assert sent.state == State.REFUSED
    assert "ends within a character, so it was cut off" in sent.problem


def test_what_the_extract_writes_for_consent_is_among_the_notes(browser, send):
    sent = send({"CONSENT": "Yes"}, {"CONSENT": "Yes"})

    assert "CONSENT says “Yes” on 2 rows and not Y" in read(browser.get(url("submission", sent.pk)))


def test_an_unusable_file_says_why_and_what_to_do(browser, provider, agency):
    sent = actions.receive(
        by=provider, agency=agency, file=io.BytesIO(b"\x89PNG\r\n\x1a\n"), name="a.png", scope="full"
    )
    worker.run(threading.Event(), once=True)
    sent.refresh_from_db()
    text = read(browser.get(url("submission", sent.pk)))

    assert sent.state == State.REFUSED
    assert "The file cannot be used" in text
    assert sent.problem in text
    assert "send it" in text
    assert browser.get(url("findings", sent.pk)).status_code == 404
    assert browser.get(url("download", sent.pk, "csv")).status_code == 404
    assert taken(browser.get(url("download", sent.pk, "original"))) == b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize("state", list(State))
def test_every_state_has_its_page(browser, send, state):
    sent = send({}, NO_SEX)
    Submission.objects.filter(pk=sent.pk).update(state=state, accepted=sent.checked, undone=sent.checked)

    assert browser.get(url("submission", sent.pk)).status_code == 200
    assert state.label in read(browser.get(url("submissions")))


def test_a_result_whose_files_are_gone_keeps_its_figures(browser, send):
    sent = send({}, NO_SEX)
    kept.remove(sent.stored)
    Submission.objects.update(stored="", state=State.SUPERSEDED)
    text = read(browser.get(url("submission", sent.pk)))

    assert "1 of 2 records could be accepted, and 1 was rejected" in text
    assert "no longer kept" in text
    for name, *args in (("findings",), ("download", "csv"), ("download", "original")):
        assert browser.get(url(name, sent.pk, *args)).status_code == 404


# ---- the wrong file, and one of which nothing can be taken -----------------------------------------


def counted() -> list[int]:
    """Every version of a record there is."""
    return [table.objects.count() for table in RECORDS.values()]


@pytest.mark.parametrize(
    ("codes", "told"),
    [
        (["CJ902"], "agency CJ902"),
        (["cj902", "CJ902 "], "agency CJ902"),
        (["CJ903", "CJ902"], "agency CJ902 or CJ903"),
        (["CJ904", "CJ902", "CJ903"], "agency CJ902, CJ903 or CJ904"),
        (["CJ905", "CJ904", "CJ902", "CJ903"], "agency CJ902, CJ903, CJ904 or another"),
    ],
)
def test_a_file_of_another_agency_is_refused_in_one_sentence_that_names_it(browser, send, provider, codes, told):
    actions.accept(by=provider, submission=send({}, {}, {}))
    before = counted()

    sent = send(*({"AGNCY": code} for code in codes))

    assert sent.state == State.REFUSED
    assert sent.problem == (
        f"Every record of this file is of {told}, and you sent it for CJ901: choose the right file, or the right agency"
    )
    assert not sent.decisions.exists()
    assert f"{sent.problem}." in read(browser.get(url("submission", sent.pk)))
    assert browser.get(url("accept", sent.pk)).status_code == 302
    assert counted() == before


def test_a_file_of_another_agency_that_says_no_everywhere_forgets_nobody(send, provider):
    actions.accept(by=provider, submission=send({}, {}))
    before = counted()

    sent = send({"AGNCY": "CJ902", "CONSENT": "N"}, {"AGNCY": "CJ902", "CONSENT": "N"})

    assert sent.state == State.REFUSED
    assert counted() == before


@pytest.mark.parametrize(
    "rows",
    [
        [{"AGNCY": "CJ902"}, {}],
        [{"AGNCY": "CJ902"}, {"AGNCY": "CJ901", **NO_SEX}],
        [{"AGNCY": "CJ902"}, {"AGNCY": ""}],
        [{"AGNCY": "Leeds team"}, {"AGNCY": "Mary Smith"}],
        [{"AGNCY": "cj901"}, {"AGNCY": " CJ901"}],
    ],
    ids=["one row is ours", "ours is rejected", "one has no code", "no codes at all", "ours, written otherwise"],
)
def test_a_file_that_is_not_wholly_another_agencys_is_checked(send, rows):
    sent = send(*rows)

    assert sent.state in (State.READY, State.REJECTED)
    assert (sent.rows, sent.problem) == (2, "")


@pytest.mark.parametrize("scope", ["full", "new"])
@pytest.mark.parametrize(
    "rows",
    [
        [{"CONSENT": ""}, {"CONSENT": ""}],
        [{"CONSENT": "Yes"}, NO_SEX],
        [{**NO_SEX, "SINITIAL": "X"}],
        [{"CONSENT": "N", "CLIENTID": "never held"}],
        [{"CONSENT": "N", "CLIENTID": "never held"}, {"CLIENTID": "never held"}],
    ],
    ids=["a blank column of consent", "a word for yes", "a mismatch on a rejected row", "a no of a stranger", "both"],
)
def test_a_file_of_which_no_record_can_be_taken_removes_nothing_and_is_no_submission(
    browser, send, provider, agency, rows, scope
):
    actions.accept(by=provider, submission=send({}, {}, {}))
    before = counted()

    sent = send(*rows, scope=scope)

    assert sent.state == State.REJECTED
    assert not sent.decisions.exists()
    assert sent.summary["changes"]["absent"] == {"client": 0, "episode": 0, "referral": 0}
    text = read(browser.get(url("submission", sent.pk)))
    assert "Nothing of the file can be taken, and what you sent before stays as it is." in text
    assert "Accept" not in text
    assert browser.get(url("accept", sent.pk)).url == url("submission", sent.pk)
    assert browser.get(url("decide", sent.pk)).url == url("submission", sent.pk)
    browser.post(url("accept", sent.pk), {"forget": "1"})
    sent.refresh_from_db()
    assert sent.state == State.REJECTED
    assert counted() == before


def test_a_file_of_which_nothing_can_be_taken_shows_what_is_to_be_mended(browser, send):
    sent = send(NO_SEX, {"CONSENT": ""})

    assert [line[1] for line in cells(browser.get(url("findings", sent.pk)))] == ["2", "3"]
    for kind in ("csv", "xlsx", "annotated", "corrected", "changes", "original"):
        assert taken(browser.get(url("download", sent.pk, kind)))
    mended = send({}, {})
    assert "Since your last upload: 2 gone, 0 new, 0 still there." in read(browser.get(url("submission", mended.pk)))


def test_a_rejected_file_takes_nobodys_place_and_can_be_withdrawn(browser, send):
    rejected = send(NO_SEX)
    send({})

    rejected.refresh_from_db()
    assert rejected.state == State.REJECTED
    browser.post(url("withdraw", rejected.pk))
    rejected.refresh_from_db()
    assert rejected.state == State.WITHDRAWN


def test_a_rejected_file_whose_findings_are_damaged_is_checked_again(browser, send, uploads):
    sent = send(NO_SEX)
    spoil(uploads, kept.FINDINGS)
    assert "Check again" in read(browser.get(url("submission", sent.pk)))

    browser.post(url("check-again", sent.pk))
    worker.run(threading.Event(), once=True)

    sent.refresh_from_db()
    assert sent.state == State.REJECTED
    assert cells(browser.get(url("findings", sent.pk)))[0][1] == "2"


def test_nothing_is_accepted_of_a_file_without_a_usable_row_whatever_its_state(send, provider):
    sent = send(NO_SEX)
    Submission.objects.update(state=State.READY)

    with pytest.raises(Refused, match="has no record that can be taken: correct the file and send it again"):
        actions.accept(by=provider, submission=sent)


def test_what_the_check_notes_of_the_file_stands_before_its_tables(browser, send):
    sent = send({}, ODD_CODE)
    Submission.objects.update(summary=sent.summary | {"notes": ["A note on the file"]})
    text = read(browser.get(url("submission", sent.pk)))

    assert text.index("What to do next") < text.index("A note on the file") < text.index("By cause")


# ---- findings --------------------------------------------------------------------------------------


def cells(response) -> list[list[str]]:
    rows = re.findall(r"<tr class=\"govuk-table__row\">(.*?)</tr>", response.content.decode(), flags=re.S)
    return [
        [
            " ".join(unescape(re.sub(r"<[^>]+>", " ", c)).split())
            for c in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", r, re.S)
        ]
        for r in rows[1:]
    ]


def test_a_finding_tells_its_cell_its_ids_its_value_and_its_clause(browser, send):
    (line,) = cells(browser.get(url("findings", send({}, ODD_CODE).pk)))

    place = Q.headers.index("HOUSING")
    letter = chr(ord("A") + place - 26)
    assert line[:7] == [f"A{letter}3", "3", "10002", "30002", line[4], "qq", ""]
    assert line[4].endswith("HOUSING")
    assert line[8] == "Query"
    assert line[9] == "Episode details: HOUSING"


def test_findings_are_chosen_by_severity_field_rule_and_client(browser, send):
    sent = send(NO_SEX, ODD_CODE, {**NO_SEX, **ODD_CODE})
    where = url("findings", sent.pk)

    def rows(**chosen):
        return [line[1] for line in cells(browser.post(where, chosen, follow=True))]

    assert rows() == ["2", "3", "4", "4"]
    assert rows(severity="reject") == ["2", "4"]
    assert rows(header="HOUSING") == ["3", "4"]
    assert rows(rule="SEX.is_given", client="10003") == ["4"]
    assert rows(client="1000") == []


def test_a_clients_id_is_in_no_address(browser, send):
    sent = send(NO_SEX, {**NO_SEX, "CLIENTID": "secret-7"})
    response = browser.post(url("findings", sent.pk), {"client": "secret-7"}, follow=True)

    assert [line[2] for line in cells(response)] == ["secret-7"]
    assert all("secret-7" not in address for address, _ in response.redirect_chain)
    assert not re.search(r'(href|action)="[^"]*secret-7', response.content.decode())
    assert [line[2] for line in cells(browser.get(url("findings", sent.pk)))] == ["10001", "secret-7"]


def test_a_hundred_findings_stand_on_a_page_and_the_total_is_said(browser, send):
    sent = send(*[NO_SEX] * 130)
    first = browser.get(url("findings", sent.pk))
    second = browser.get(url("findings", sent.pk) + "?rule=SEX.is_given&page=2")

    assert "1 to 100 of 130" in read(first)
    assert "101 to 130 of 130 chosen, 130 in all" in read(second)
    assert [line[1] for line in cells(first) + cells(second)] == [str(row) for row in range(2, 132)]


def test_a_choice_of_what_was_not_found_is_not_there(browser, send):
    assert browser.get(url("findings", send(NO_SEX).pk) + "?rule=DOB.is_given").status_code == 404


def test_what_a_file_holds_is_text_and_never_markup(browser, send):
    evil = "<script>alert(1)</script>"
    sent = send({"SEX": evil, "CLIENTID": evil}, name=f"{evil}.csv")

    for name in ("submission", "findings"):
        page = browser.get(url(name, sent.pk)).content.decode()
        assert evil not in page
        assert "&lt;script&gt;" in page


def test_of_a_record_without_consent_no_value_is_shown(browser, send):
    sent = send({"CONSENT": "N", "CLIENTID": "777777", "OFFENCE": "zz"})

    for name in ("submission", "findings"):
        assert "777777" not in browser.get(url(name, sent.pk)).content.decode()
    for kind in ("csv", "annotated", "corrected", "changes"):
        assert b"777777" not in taken(browser.get(url("download", sent.pk, kind)))


# ---- to take away ----------------------------------------------------------------------------------


def test_findings_are_taken_away_as_csv(browser, send):
    sent = send({}, ODD_CODE, {"CLIENTID": "=1+1", "SEX": ""})
    response = browser.get(url("download", sent.pk, "csv"))
    data = taken(response)
    lines = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"))))

    assert response.headers["Content-Disposition"] == f'attachment; filename="{sent.number}-findings.csv"'
    assert response.headers["Cache-Control"] == "no-store"
    assert [(line["row"], line["rule"]) for line in lines] == [("3", "HOUSING.is_in_list"), ("4", "SEX.is_given")]
    assert lines[1]["CLIENTID"] == "'=1+1"


def test_the_findings_of_one_client_are_taken_away_alone(browser, send):
    sent = send(NO_SEX, ODD_CODE, {**NO_SEX, **ODD_CODE})
    response = browser.post(url("findings", sent.pk), {"client": "10003", "take": "csv"}, follow=True)
    lines = list(csv.DictReader(io.StringIO(taken(response).decode("utf-8-sig"))))

    assert [line["CLIENTID"] for line in lines] == ["10003", "10003"]
    assert "10003" not in response.redirect_chain[0][0]


def test_findings_are_taken_away_as_a_workbook(browser, send):
    sent = send({}, ODD_CODE, NO_SEX)
    book = openpyxl.load_workbook(io.BytesIO(taken(browser.get(url("download", sent.pk, "xlsx")))))

    assert book.sheetnames == ["Read me", "Summary", "Findings", "Completeness", "Rule ledger"]
    assert [row[9] for row in book["Findings"].iter_rows(min_row=2, values_only=True)] == [
        "HOUSING.is_in_list",
        "SEX.is_given",
    ]
    assert book["Read me"]["A1"].value == "2 of 3 records would be accepted (1 with a query), 1 rejected"


def test_the_file_is_taken_away_with_its_findings_mended_and_as_it_was(browser, send, csv_of, agency):
    sent = send({"SEX": " m"}, NO_SEX)
    annotated, corrected, changes, original = (
        taken(browser.get(url("download", sent.pk, kind))) for kind in ("annotated", "corrected", "changes", "original")
    )
    rows = list(csv.DictReader(io.StringIO(annotated.decode("utf-8-sig"))))
    mended = list(csv.DictReader(io.StringIO(corrected.decode())))

    assert "[SEX.is_given]" in rows[1]["FINDINGS"]
    assert rows[1]["SEVERITY"] == "reject"
    assert [row["SEX"] for row in mended] == ["M", ""]
    assert b"SEX" in changes
    assert original == csv_of({"AGNCY": agency.code, "SEX": " m"}, {"AGNCY": agency.code, **NO_SEX})


def test_a_file_kept_under_a_key_is_taken_away_in_plain(browser, send, settings, csv_of, agency):
    settings.UPLOAD_KEY = base64.b64encode(b"k" * 32).decode()
    sent = send({}, ODD_CODE)

    assert csv_of({})[:20] not in (settings.UPLOADS / sent.stored / kept.UPLOAD).read_bytes()
    assert "HOUSING.is_in_list" in taken(browser.get(url("download", sent.pk, "annotated"))).decode()
    original = taken(browser.get(url("download", sent.pk, "original")))
    assert original == csv_of({"AGNCY": agency.code}, {"AGNCY": agency.code, **ODD_CODE})


def test_whoever_takes_something_away_stands_in_the_audit_trail(browser, send, provider):
    sent = send(NO_SEX)
    taken(browser.get(url("download", sent.pk, "original")))

    event = AuditEvent.objects.latest("id")
    assert (event.action, event.about, event.person) == ("downloaded original", sent.number, provider)


def test_there_is_no_other_kind_of_file(browser, send):
    assert browser.get(url("download", send(NO_SEX).pk, "everything")).status_code == 404


# ---- the list, withdrawing, and who may --------------------------------------------------------------


def test_the_list_has_the_agencys_submissions_newest_first(browser, send, other_agency, provider, person_with):
    first, second = send({}), send({}, NO_SEX)
    elsewhere = actions.receive(
        by=person_with(Role.PROVIDER, agency=other_agency),
        agency=other_agency,
        file=io.BytesIO(b"x"),
        name="x",
        scope="full",
    )
    lines = cells(browser.get(url("submissions")))

    assert [line[0] for line in lines] == [second.number, first.number]
    assert [line[1] for line in lines] == ["Ready to accept", "Superseded"]
    assert lines[0][5:] == ["2", "1", "1"]
    assert elsewhere.number not in read(browser.get(url("submissions")))


def test_the_list_goes_on_on_another_page(browser, send, provider, agency):
    Submission.objects.bulk_create(
        Submission(agency=agency, by=provider, name="a", size=1, sha256="0", scope="full", state=State.WITHDRAWN)
        for _ in range(25)
    )

    assert "1 to 20 of 25" in read(browser.get(url("submissions")))
    assert "21 to 25 of 25" in read(browser.get(url("submissions") + "?page=2"))


def test_a_submission_is_withdrawn_only_after_asking(browser, send):
    sent = send({})
    assert f"Withdraw {sent.number}?" in read(browser.get(url("withdraw", sent.pk)))
    sent.refresh_from_db()
    assert sent.state == State.READY

    text = read(browser.post(url("withdraw", sent.pk), follow=True))
    sent.refresh_from_db()
    assert sent.state == State.WITHDRAWN
    assert f"{sent.number} is withdrawn" in text


def test_what_is_accepted_cannot_be_withdrawn(browser, send, provider):
    sent = send({})
    actions.accept(by=provider, submission=sent)
    text = read(browser.post(url("withdraw", sent.pk), follow=True))

    assert f"{sent.number} cannot be withdrawn, because it is accepted" in text


PAGES = [
    ("submission",),
    ("submission-state",),
    ("findings",),
    ("withdraw",),
    *(("download", kind) for kind in ("csv", "xlsx", "annotated", "corrected", "changes", "original")),
]


def test_a_person_of_another_agency_and_staff_get_a_404(send, signed_in, person_with, other_agency):
    sent = send(NO_SEX, {})
    for who in (
        person_with(Role.PROVIDER, agency=other_agency),
        person_with(Role.NATIONAL),
        person_with(Role.REGIONAL, region=sent.agency.region),
        person_with(Role.ADMINISTRATOR),
    ):
        browser = signed_in(who)
        for name, *more in PAGES:
            assert browser.get(url(name, sent.pk, *more)).status_code == 404, (who.name, name, *more)
            assert browser.post(url(name, sent.pk, *more)).status_code in (404, 405), (who.name, name, *more)
    sent.refresh_from_db()
    assert sent.state == State.READY


@pytest.mark.parametrize("role", [Role.NATIONAL, Role.ANALYST, Role.ADMINISTRATOR])
def test_who_submits_for_nobody_has_no_list_and_no_form(signed_in, person_with, role):
    browser = signed_in(person_with(role))

    assert browser.get(url("submissions")).status_code == 404
    assert browser.get(url("submit")).status_code == 404


def test_every_rule_has_its_place_in_the_rule_book(browser):
    page = browser.get(url("rules")).content.decode()

    assert set(re.findall(r'id="([^"]+)"', page)) >= {rule.id for rule in Q.rules}


# ---- files that are damaged ------------------------------------------------------------------------


def spoil(uploads, name) -> None:
    (path,) = uploads.rglob(name)
    path.write_bytes(path.read_bytes()[:-20] + b"x" * 20)


def told(response) -> str:
    """What a notice on a page says."""
    notice = re.search(r'govuk-notification-banner__heading">(.*?)</p>', response.content.decode(), re.S)
    assert notice
    return unescape(notice[1].strip())


LISTED = [("findings",), *(("download", kind) for kind in ("csv", "xlsx", "annotated"))]
OF_THE_FILE = [("download", kind) for kind in ("annotated", "corrected", "changes", "original")]


@pytest.mark.parametrize("address", [*LISTED, ("accept",)], ids=" ".join)
def test_damaged_findings_are_told_in_one_sentence(browser, send, uploads, address):
    sent = send(NO_SEX, {})
    spoil(uploads, kept.FINDINGS)
    name, *more = address
    response = browser.get(url(name, sent.pk, *more), follow=True)

    assert response.redirect_chain == [(url("submission", sent.pk), 302)]
    assert response.status_code == 200
    assert told(response) == "The findings of this file are damaged: have it checked again, or send it again"
    sent.refresh_from_db()
    assert sent.state == State.READY


def test_decisions_of_damaged_findings_are_told_to_have_no_values(browser, send, provider, uploads):
    first = actions.accept(by=provider, submission=send({}))
    kept.remove(first.stored)
    sent = send({"SEX": "F"})
    spoil(uploads, kept.FINDINGS)

    page, file = (browser.get(url(name, sent.pk), follow=True) for name in ("decide", "decide-file"))

    assert (page.status_code, file.status_code) == (200, 422)
    assert "The values are no longer kept" in read(page)
    assert "The findings of this file are damaged: have it checked again, or send it again" in read(file)


@pytest.mark.parametrize("address", [*OF_THE_FILE, ("accept",)], ids=" ".join)
def test_a_damaged_file_is_told_in_one_sentence(browser, send, uploads, address):
    sent = send(NO_SEX, {})
    spoil(uploads, kept.UPLOAD)
    name, *more = address
    response = browser.get(url(name, sent.pk, *more), follow=True)

    assert response.status_code == 200
    assert told(response) == "The file is damaged, so it cannot be opened: send it again"


def test_what_needs_no_findings_is_taken_away_without_them(browser, send, uploads):
    sent = send(NO_SEX, {})
    spoil(uploads, kept.FINDINGS)

    for kind in ("corrected", "changes", "original"):
        assert b"CLIENTID" in taken(browser.get(url("download", sent.pk, kind))) or kind == "changes"


def test_a_result_whose_findings_are_damaged_keeps_its_figures_and_can_be_checked_again(browser, send, uploads):
    sent = send(NO_SEX, {})
    spoil(uploads, kept.FINDINGS)
    page = browser.get(url("submission", sent.pk))

    assert page.status_code == 200
    assert "1 of 2 records can be accepted, and 1 is rejected" in read(page)
    assert "The list of findings is damaged, so nothing can be accepted of this file: have it checked again." in read(
        page
    )
    for name, *more in LISTED:
        assert url(name, sent.pk, *more) not in page.content.decode()
    browser.post(url("check-again", sent.pk))
    worker.run(threading.Event(), once=True)
    assert cells(browser.get(url("findings", sent.pk)))[0][1] == "2"


def test_a_settled_result_whose_findings_are_damaged_keeps_its_figures(browser, send, provider, uploads):
    sent = actions.accept(by=provider, submission=send(NO_SEX, {}))
    spoil(uploads, kept.FINDINGS)
    text = read(browser.get(url("submission", sent.pk)))

    assert "The list of findings is damaged, so only its figures can be shown." in text
    assert "Check again" not in text


def test_damaged_findings_of_the_last_upload_do_not_matter_to_the_next(browser, send, uploads):
    send(NO_SEX)
    spoil(uploads, kept.FINDINGS)
    response = browser.get(url("submission", send(NO_SEX, {}).pk))

    assert response.status_code == 200
    assert "Since your last upload" not in read(response)


def test_a_refused_upload_is_not_what_the_next_is_compared_with(browser, send, provider, agency):
    send(NO_SEX, ODD_CODE)
    actions.receive(by=provider, agency=agency, file=io.BytesIO(b"%PDF"), name="a", scope="full")
    worker.run(threading.Event(), once=True)

    assert "Since your last upload: 1 gone, 0 new, 1 still there." in read(
        browser.get(url("submission", send({}, ODD_CODE).pk))
    )


def test_the_result_reads_each_list_of_findings_once(browser, send, monkeypatch):
    first, second = send(NO_SEX, ODD_CODE), send({}, ODD_CODE)
    wanted = []
    real = kept.read

    def noted(sent, name):
        wanted.append((sent.pk, name))
        return real(sent, name)

    monkeypatch.setattr(kept, "read", noted)
    browser.get(url("submission", second.pk))

    assert wanted == [(second.pk, kept.FINDINGS), (first.pk, kept.FINDINGS)]


# ---- another check ---------------------------------------------------------------------------------


def test_a_check_that_failed_can_be_asked_for_again(browser, send, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(checking, "check", lambda *_, **__: 1 / 0)
        sent = send({})
    page = browser.get(url("submission", sent.pk))

    assert sent.state == State.FAILED
    assert "have it checked again, and where that fails too tell whoever runs the service." in read(page)
    assert f'<form method="post" action="{url("check-again", sent.pk)}">' in page.content.decode()
    assert "Your file is being checked" in read(browser.post(url("check-again", sent.pk), follow=True))
    worker.run(threading.Event(), once=True)
    assert "The one record can be accepted" in read(browser.get(url("submission", sent.pk)))


def test_what_an_earlier_check_found_is_not_the_result_of_one_that_failed(browser, send):
    sent = send({}, NO_SEX)
    Submission.objects.update(state=State.FAILED, problem="It failed")
    text = read(browser.get(url("submission", sent.pk)))

    assert "The check failed" in text
    assert "can be accepted" not in text
    assert "could be accepted" not in text


def test_what_was_checked_is_not_checked_again(browser, send):
    sent = send({})
    text = read(browser.post(url("check-again", sent.pk), follow=True))

    assert f"{sent.number} is checked already: its result is here" in text


def test_nobody_else_asks_for_a_check_and_nobody_by_a_mere_link(browser, send, signed_in, person_with, other_agency):
    sent = send({})
    Submission.objects.update(state=State.FAILED)
    for role in (Role.PROVIDER, Role.NATIONAL, Role.ADMINISTRATOR):
        somebody = signed_in(person_with(role, agency=other_agency if role == Role.PROVIDER else None))
        assert somebody.post(url("check-again", sent.pk)).status_code == 404
    assert browser.get(url("check-again", sent.pk)).status_code == 405
    sent.refresh_from_db()
    assert sent.state == State.FAILED


# ---- limits, and where things lie ------------------------------------------------------------------


def test_too_many_files_in_an_hour_are_told_above_the_form(browser, csv_of, settings):
    settings.UPLOADS_AN_HOUR = 1
    browser.post(url("submit"), {"file": upload(csv_of({})), "scope": "full"})
    response = browser.post(url("submit"), {"file": upload(csv_of({}, {})), "scope": "full"})

    assert re.search(
        r"Your agency has sent 1 file in the last hour, .* wait until \d\d:\d\d to send this", read(response)
    )
    assert Submission.objects.count() == 1


@linux
def test_an_upload_that_arrives_is_in_a_private_folder_under_no_name(browser, csv_of, monkeypatch):
    told = []
    real = actions.receive

    def received(**given):
        told.append(os.readlink(f"/proc/self/fd/{given['file'].fileno()}"))
        told.extend(map(str, kept.aside().iterdir()))
        return real(**given)

    monkeypatch.setattr(actions, "receive", received)
    browser.post(url("submit"), {"file": upload(csv_of({})), "scope": "full"})

    (place,) = told
    assert Path(place).parent == kept.aside()
    assert place.endswith("(deleted)")
    assert kept.aside().stat().st_mode & 0o777 == 0o700


def test_an_upload_cut_short_leaves_nothing(browser):
    whole = encode_multipart("limit", {"file": upload(b"x" * 100_000), "scope": "full"})
    answer = browser.generic("POST", url("submit"), whole[:50_000], content_type="multipart/form-data; boundary=limit")

    assert answer.status_code < 500
    assert list(kept.aside().iterdir()) == []


@linux
@pytest.mark.parametrize("kind", ["csv", "xlsx", "annotated", "corrected", "changes", "original"])
def test_what_is_made_to_be_taken_away_is_in_the_private_folder_under_no_name(browser, send, settings, kind):
    settings.UPLOAD_KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
    sent = send(NO_SEX, {})
    written: set[str] = set()

    def hear(told):
        path, _, flags = told
        if not isinstance(path, int) and path != os.devnull and flags & (os.O_WRONLY | os.O_RDWR):
            written.add(str(path))

    listeners.append(hear)
    try:
        taken(browser.get(url("download", sent.pk, kind)))
    finally:
        listeners.remove(hear)

    # The folder itself, by which a file without a name is asked for.
    assert written == {str(kept.aside())}


def test_a_workbook_that_cannot_hold_every_finding_says_to_take_the_csv(browser, send, monkeypatch):
    monkeypatch.setattr(workbook, "SHOWN", 2)
    sent = send(*[NO_SEX] * 3)
    book = openpyxl.load_workbook(io.BytesIO(taken(browser.get(url("download", sent.pk, "xlsx")))))
    note = book["Findings"]["A1"].value

    assert note == "The sheet Findings holds the first 2 of 3 findings; for all of them: download the findings as CSV"


# ---- in a browser ----------------------------------------------------------------------------------


@pytest.fixture
def visitor(browser):
    return browser


@pytest.mark.browser
def test_a_file_is_dropped_sent_and_its_result_comes_by_itself(tab, csv_of, agency):
    page = tab(url("submit"))
    dropped = page.evaluate_handle(
        "text => { const held = new DataTransfer(); held.items.add(new File([text], 'dropped.csv')); return held; }",
        csv_of({"AGNCY": agency.code, **NO_SEX}, {"AGNCY": agency.code}).decode(),
    )
    page.get_by_role("button", name="The dataset Q file").dispatch_event("drop", {"dataTransfer": dropped})
    page.get_by_label("All our records").check()
    follow(page.get_by_role("button", name="Send", exact=True))
    assert page.get_by_role("heading", name="Your file is being checked").is_visible()
    assert page.get_by_role("progressbar").get_attribute("max") == str(Submission.objects.get().size)

    worker.run(threading.Event(), once=True)
    page.get_by_role("heading", name="1 of 2 records can be accepted, and 1 is rejected").wait_for()
    assert Submission.objects.get().name == "dropped.csv"


@pytest.mark.browser
def test_a_file_is_sent_checked_and_looked_at_without_javascript(tab, csv_of, agency):
    page = tab(url("submit"), java_script_enabled=False)
    file = {
        "name": "march.csv",
        "mimeType": "text/csv",
        "buffer": csv_of({"AGNCY": agency.code, **NO_SEX}, {"AGNCY": agency.code}),
    }
    page.get_by_label("The dataset Q file").set_input_files(file)
    page.get_by_label("Only new or changed records").check()
    follow(page.get_by_role("button", name="Send", exact=True))
    assert page.get_by_role("heading", name="Your file is being checked").is_visible()

    worker.run(threading.Event(), once=True)
    page.get_by_role("heading", name="1 of 2 records can be accepted, and 1 is rejected").wait_for()
    follow(page.get_by_role("link", name="Every finding, row by row"))
    page.get_by_label("Your client ID").fill("10001")
    follow(page.get_by_role("button", name="Show", exact=True))
    assert page.get_by_role("status").inner_text() == "1 to 1 of 1 chosen, 1 in all"
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as CSV").click()
    assert download.value.suggested_filename == f"{Submission.objects.get().number}-findings.csv"
