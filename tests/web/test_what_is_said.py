"""What the pages say of a file is true, and no two sentences of them contradict each other."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from cjit.dataset import Entity
from cjit.web.portal import actions, store
from cjit.web.portal.models import State, Submission

FIRST = {"CLIENTID": "1", "CLIENT": "A1", "EPISODID": "11", "REFERID": "111"}
SECOND = {"CLIENTID": "2", "CLIENT": "A2", "EPISODID": "22", "REFERID": "222"}
THIRD = {"CLIENTID": "3", "CLIENT": "A3", "EPISODID": "33", "REFERID": "333"}


@pytest.fixture
def browser(provider, signed_in):
    return signed_in(provider)


def page(browser, name, submission) -> str:
    return " ".join(browser.get(reverse(name, args=[submission.pk])).content.decode().split())


# ---- the same file again -------------------------------------------------------------------------


def test_a_file_that_is_sent_again_to_be_decided_is_not_said_to_change_nothing(accepted, sent, browser, provider):
    accepted(FIRST, SECOND)
    accepted(FIRST | {"SINITIAL": "X"}, SECOND)

    submission = sent(FIRST | {"SINITIAL": "X"}, SECOND)

    assert submission.state == State.DECISIONS
    text = page(browser, "submission", submission)
    assert "the very file you had accepted last: what you did not decide then can be decided now." in text
    assert "accepting it again changes nothing" not in text
    actions.decide(by=provider, submission=submission, choices={submission.decisions.get().pk: "replace"})
    assert "accepting it again changes nothing" not in page(browser, "submission", submission)


def test_a_file_that_changes_nothing_is_still_said_to(accepted, sent, browser):
    accepted(FIRST, SECOND)

    assert "accepting it again changes nothing" in page(browser, "submission", sent(FIRST, SECOND))


# ---- whose a row is -------------------------------------------------------------------------------


@pytest.mark.parametrize("broken", [{"CLIENTID": ""}, {"CLIENTID": "#N/A"}, {"CLIENTID": "1.11E+08"}])
def test_a_row_that_does_not_say_whose_it_is_makes_no_note_that_somebody_is_gone(broken, accepted, sent, browser):
    accepted(FIRST, SECOND, THIRD)

    submission = sent(FIRST | broken, SECOND, scope="full")

    text = page(browser, "submission", submission)
    assert "nothing that is held is taken to be missing from this file" in text
    assert "check that the extract is whole" not in text
    assert not submission.decisions.filter(absent=True).exists()


@pytest.mark.parametrize("broken", [{"EPISODID": ""}, {"EPISODID": "NULL"}, {"REFERID": ""}, {"REFERID": "N/A"}])
def test_nobody_of_a_rejected_row_is_counted_as_gone_in_a_note(broken, accepted, sent):
    accepted(FIRST, SECOND, THIRD)

    notes = sent(FIRST | broken, SECOND, scope="full").summary["notes"]

    (told,) = [note for note in notes if "check that the extract is whole" in note]
    assert told.startswith("1 client, 1 episode and 1 referral are held and are not in this file")


@pytest.mark.parametrize("broken", ["", "#N/A", "1.11E+08"])
def test_an_id_that_is_none_has_one_message(broken, accepted, sent, browser):
    accepted(FIRST, SECOND)

    submission = sent(FIRST | {"CLIENTID": broken}, SECOND)

    rules = [rule for rule, count in submission.summary["rules"].items() if count and rule.startswith("CLIENTID.")]
    assert len(rules) == 1
    assert not rules[0].endswith("is_unchanged")


# ---- what deciding and undoing do ------------------------------------------------------------------


def test_what_goes_with_a_deleted_client_goes_also_where_the_file_has_it_under_another(
    accepted, sent, browser, provider, agency
):
    again = FIRST | {"EPISODID": "12", "REFERID": "112", "REFLD": "20/11/2025", "TRIAGED": "21/11/2025", "CPLANDT": ""}
    accepted(FIRST, SECOND)
    submission = sent(again | {"SINITIAL": "X"}, SECOND, SECOND | {"EPISODID": "11", "REFERID": "", "REFDATE": ""})

    decision = submission.decisions.get()
    assert "it is removed, with 1 episode and 1 referral" in page(browser, "decide", submission)
    actions.decide(by=provider, submission=submission, choices={decision.pk: "delete"})
    done = actions.accept(by=provider, submission=submission)

    assert (done.receipt["episode"]["removed"], done.receipt["referral"]["removed"]) == (1, 1)
    assert sorted(store.held(agency, Entity.EPISODE)["EPISODID"]) == ["12", "22"]


def test_a_client_whose_episode_the_file_has_under_another_is_not_offered_for_deletion(accepted, sent):
    accepted(FIRST, SECOND)

    assert not sent(SECOND, SECOND | {"EPISODID": "11"}, scope="full").decisions.exists()


def test_once_somebody_is_erased_undoing_is_not_said_to_bring_everything_back(accepted, sent, browser, provider):
    accepted(FIRST, SECOND)
    done = actions.accept(by=provider, submission=sent(FIRST | {"CONSENT": "N"}, SECOND), forget=1)
    assert "What is held is then as it was before" in page(browser, "undo", done)

    Submission.objects.filter(pk=done.pk).update(forget_until=timezone.now() - timedelta(minutes=1))
    for worker_has_come_by in (False, True):
        if worker_has_come_by:
            actions.erase_forgotten()
        text = page(browser, "undo", done)
        assert "as it was before" not in text
        assert (
            "what it changed or removed is held again; but 1 client is forgotten and erased: undoing does not" in text
        )


# ---- on a telephone -------------------------------------------------------------------------------


@pytest.fixture
def visitor(browser):
    return browser


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_the_counts_of_an_acceptance_are_seen_on_a_telephone_without_scrolling(
    tab, live_server, accepted, sent, provider
):
    accepted(FIRST, SECOND)
    submission = sent(FIRST | {"HOUSING": "2"}, THIRD)
    opened = tab(reverse("accept", args=[submission.pk]), width=390)
    for name in ("accept", "receipt"):
        if name == "receipt":
            actions.accept(by=provider, submission=submission)
            opened.goto(live_server.url + reverse("receipt", args=[submission.pk]))
        table = opened.locator(".cjit-scroll", has=opened.locator("#counts"))
        assert table.evaluate("region => region.scrollWidth <= region.clientWidth")


# ---- rows of another agency -----------------------------------------------------------------------


def test_of_rows_of_another_agency_nothing_is_to_be_chosen_or_corrected(accepted, sent, browser, provider):
    accepted(FIRST, SECOND)

    submission = sent(FIRST | {"AGNCY": "CJ999"}, SECOND)

    assert submission.state == State.READY
    for name in ("submission", "accept"):
        text = page(browser, name, submission)
        assert "replace or delete" not in text
        assert "correct it and send it again" not in text
    assert "or correct the" not in page(browser, "submission", submission)
    assert "1 row is of another agency: leave it out of your file" in page(browser, "accept", submission)


def test_of_a_mismatch_on_a_rejected_row_nothing_is_said_to_be_chosen(accepted, sent, browser):
    accepted(FIRST, SECOND)

    text = page(browser, "submission", sent(FIRST | {"DOB": ""}, SECOND))

    assert "replace or delete" not in text
    assert "there is nothing to choose, because its row is not taken" in text


def test_where_something_is_to_be_chosen_it_is_said(accepted, sent, browser):
    accepted(FIRST, SECOND)

    assert "replace or delete" in page(browser, "submission", sent(FIRST | {"SINITIAL": "X"}, SECOND))
