import csv
import io
import json
import re
from html import unescape

import pytest
from django.core import mail
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from cjit.dataset import Entity
from cjit.web.agencies.models import AuditEvent
from cjit.web.portal import actions, receipt, store
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


# ---- what is shown ---------------------------------------------------------------------------------


def test_a_mismatch_is_shown_with_what_is_held_beside_what_is_sent(browser, mismatched):
    page = words(browser.get(reverse("decide", args=[mismatched.pk])))

    assert "1 of 1 decision is still to be taken" in page
    assert "Client 1 " in page
    assert "Initial of the client's surname (SINITIAL, row 2) O X" in page
    assert "Date of birth (DOB, row 2) 14/02/1986 15/02/1986" in page


def test_each_choice_says_what_it_does_and_counts_what_goes_with_it(browser, mismatched):
    page = words(browser.get(reverse("decide", args=[mismatched.pk])))

    assert "The held record takes the new values: same person, corrected" in page
    assert "somebody else’s: it is removed, with 2 episodes and 2 referrals, and the new one is taken as new" in page
    assert "The held record stays and this one waits" in page


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
    assert "58 of 60 decisions are still to be taken" in page
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
    assert "Initial of the client's surname (SINITIAL) changed: 60 clients, 60 still to be decided" in page
    assert "with 60 episodes and 60 referrals, and the new ones are taken as new" in page
    assert "Choose for all 60" in page

    browser.post(address, {"all": "SINITIAL", "all SINITIAL": "replace"})

    assert set(many.decisions.values_list("choice", flat=True)) == {"replace"}


def test_all_absent_records_are_decided_at_once(browser, accepted, sent):
    accepted(FIRST, SECOND, person(3))
    full = sent(FIRST, scope="full")
    browser.post(reverse("decide", args=[full.pk]), {"all": "absent", "all absent": "keep"})

    assert set(full.decisions.values_list("choice", flat=True)) == {"keep"}


def test_choosing_for_all_without_a_choice_says_so_and_keeps_the_page(browser, many):
    decision = many.decisions.first()
    answer = browser.post(
        reverse("decide", args=[many.pk]), {"all": "SINITIAL", f"choice {decision.pk}": "delete", "page": "1"}
    )
    body = answer.content.decode()

    assert answer.status_code == 422
    assert "<title>Error: Decide" in body
    assert 'href="#all-SINITIAL"' in body
    assert re.search(r'id="all-SINITIAL"', body)
    assert re.search(rf'name="choice {decision.pk}" type="radio" value="delete" checked', body)
    assert not many.decisions.exclude(choice="").exists()


@pytest.mark.parametrize("name", ["choice x", "choice 99999999999999999999", "choice -1", "choice ½"])
def test_a_choice_of_nothing_changes_nothing(browser, mismatched, name):
    answer = browser.post(reverse("decide", args=[mismatched.pk]), {name: "replace"})

    assert answer.status_code == 302
    assert not mismatched.decisions.exclude(choice="").exists()


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


# ---- by a file -------------------------------------------------------------------------------------


def decide_by(browser, submission, text: str):
    file = SimpleUploadedFile("decisions.csv", text.encode(), "text/csv")
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


def test_a_cell_like_a_formula_is_neutral_and_still_found(browser, accepted, sent):
    accepted(FIRST | {"CLIENTID": "=1+1"})
    again = sent(FIRST | {"CLIENTID": "=1+1", "SINITIAL": "X"})
    text = browser.get(reverse("decide-file", args=[again.pk])).content.decode("utf-8-sig")
    assert "'=1+1," in text

    decide_by(browser, again, text.replace(",X,", ",X,later"))

    assert again.decisions.get().choice == "later"


@pytest.mark.parametrize("text", ["\x00\xff", "a,b\n1,2\n", ""])
def test_a_file_that_is_none_is_told_in_one_sentence(browser, mismatched, text):
    answer = decide_by(browser, mismatched, text)

    assert answer.status_code == 422
    assert re.search(r"The decision file (must have|cannot be read)|Choose a decision file", words(answer))
    assert 'href="#file"' in answer.content.decode()


def test_no_file_is_told_in_one_sentence(browser, mismatched):
    answer = browser.post(reverse("decide-file", args=[mismatched.pk]))

    assert answer.status_code == 422
    assert "Choose a decision file" in words(answer)


# ---- accepting -------------------------------------------------------------------------------------


def test_the_summary_says_beforehand_what_the_receipt_says_afterwards(browser, mismatched, provider, agency):
    actions.decide(by=provider, submission=mismatched, choices={mismatched.decisions.get().pk: "delete"})
    before = {entity: table.objects.count() for entity, table in RECORDS.items()}
    table = re.compile(r"Records New Changed Removed Forgotten (.*?) Left out")

    promised = table.search(words(browser.get(reverse("accept", args=[mismatched.pk]))))
    assert {entity: table.objects.count() for entity, table in RECORDS.items()} == before
    assert Submission.objects.get(pk=mismatched.pk).state == State.READY
    assert not AuditEvent.objects.filter(action="accepted a submission", about=mismatched.number).exists()

    answer = browser.post(reverse("accept", args=[mismatched.pk]), follow=True)
    kept = table.search(words(answer))
    assert promised
    assert kept
    assert promised[1] == kept[1]
    assert kept[1] == "Clients 0 1 0 0 Episodes 0 2 1 0 Referrals 0 1 1 0"
    assert "X" in held(agency, "SINITIAL")


def test_what_is_left_out_is_told_before_and_after(browser, accepted, sent):
    accepted(FIRST, SECOND)
    again = sent(FIRST | {"SINITIAL": "X"}, SECOND | {"SEX": ""}, person(3))
    summary = words(browser.get(reverse("accept", args=[again.pk])))
    after = words(browser.post(reverse("accept", args=[again.pk]), follow=True))

    assert "1 of 1 decision is not taken: what differs waits" in summary
    for page in (summary, after):
        assert "1 row is rejected: correct it and send it again" in page
        assert "3 records wait for a decision" in page


def test_clients_without_consent_are_told_before_they_are_forgotten(browser, accepted, sent, agency):
    accepted(FIRST, SECOND)
    again = sent(FIRST | {"CONSENT": "N"}, SECOND)

    assert "Consent of 1 client is withdrawn: all that is held of the client is deleted for good" in words(
        browser.get(reverse("accept", args=[again.pk]))
    )
    assert held(agency, "CLIENTID") == ["1", "2"]
    browser.post(reverse("accept", args=[again.pk]))
    assert held(agency, "CLIENTID") == ["2"]


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
    assert "Clients 2 0 0 0" in page
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


@pytest.mark.parametrize("role", ["other provider", "regional", "national", "analyst", "administrator"])
def test_nobody_else_finds_these_pages(role, signed_in, person_with, other_agency, region, mismatched):
    if role == "other provider":
        somebody = person_with("provider", agency=other_agency)
    else:
        somebody = person_with(role, region=region if role == "regional" else None)
    browser = signed_in(somebody)
    open_one, done = mismatched, Submission.objects.get(state=State.ACCEPTED)
    for submission in (open_one, done):
        for name in ("decide", "decide-file", "accept", "receipt", "receipt-pdf", "undo"):
            address = reverse(name, args=[submission.pk])
            assert browser.get(address).status_code == 404
            if name not in ("receipt", "receipt-pdf"):
                assert browser.post(address, {"all": "SINITIAL and DOB"}).status_code == 404

    open_one.refresh_from_db()
    done.refresh_from_db()
    assert (open_one.state, done.state) == (State.DECISIONS, State.ACCEPTED)


@pytest.mark.parametrize("name", ["decide", "decide-file", "accept"])
def test_what_is_settled_leads_away(browser, accepted, name):
    done = accepted(FIRST)

    assert browser.get(reverse(name, args=[done.pk])).status_code == 302


# ---- in a browser ----------------------------------------------------------------------------------


@pytest.fixture
def visitor(browser):
    return browser


@pytest.mark.browser
@pytest.mark.parametrize("width", [1200, 320])
def test_the_pages_are_accessible_and_fit_the_screen(tab, live_server, accepted, sent, provider, width):
    from axe_playwright_python.sync_playwright import Axe

    long = "a-rather-long-client-id-of-forty-letters"
    done = accepted(*[person(n) for n in range(100, 155)], person(200, CLIENTID=long), person(300))
    people = [person(n, SINITIAL="X", REFLD="22/11/2025") for n in range(100, 155)]
    again = sent(*people, person(200, CLIENTID=long, DOB="15/02/1986"), scope="full")
    page = tab(reverse("decide", args=[again.pk]), width)
    for address in (
        reverse("decide", args=[again.pk]),
        reverse("decide", args=[again.pk]) + "?page=3",
        reverse("accept", args=[again.pk]),
        reverse("receipt", args=[done.pk]),
        reverse("undo", args=[done.pk]),
    ):
        page.goto(live_server.url + address)
        for closed in page.locator("main summary").all():
            closed.click()
        found = Axe().run(page).response["violations"]

        assert found == [], f"{address}: {json.dumps(found, indent=1)[:4000]}"
        assert page.evaluate("document.documentElement.scrollWidth") <= width, address


@pytest.mark.browser
@pytest.mark.parametrize("script", [True, False])
def test_somebody_decides_accepts_and_has_a_receipt_with_and_without_javascript(tab, mismatched, agency, script):
    page = tab(reverse("decide", args=[mismatched.pk]), java_script_enabled=script)
    page.get_by_role("group", name="What becomes of it (Client 1)").get_by_label("Replace").check()
    page.get_by_role("button", name="Save", exact=True).last.click()
    page.get_by_role("heading", name=f"Accept {mismatched.number}").wait_for()
    page.get_by_role("button", name="Accept", exact=True).click()
    page.get_by_role("heading", name=f"Receipt {mismatched.number}").wait_for()

    assert sorted(held(agency, "SINITIAL")) == ["O", "X"]
