"""Rows of which it is doubtful whose they are make one record of nobody: they are left out, and it is said whose."""

import pytest
from django.urls import reverse

from cjit.dataset import Entity
from cjit.web import kept
from cjit.web.portal import actions, plan, store
from cjit.web.portal.models import RECORDS, State

FIRST = {"CLIENTID": "1", "CLIENT": "A1", "EPISODID": "11", "REFERID": "111"}
AGAIN = FIRST | {"EPISODID": "12", "REFERID": "112", "REFLD": "20/11/2025", "TRIAGED": "21/11/2025", "CPLANDT": ""}
SECOND = {"CLIENTID": "2", "CLIENT": "A2", "EPISODID": "22", "REFERID": "222"}
THIRD = {"CLIENTID": "3", "CLIENT": "A3", "EPISODID": "33", "REFERID": "333"}
#: Somebody whom nobody takes for the person of the other rows.
ANOTHER = {"FINITIAL": "Z", "SINITIAL": "Z", "DOB": "01/02/1999", "SEX": "2"}

#: What makes rows contested in a file by itself: the rows, and what is said of them.
WITHIN = {
    "an episode of two clients": (
        [FIRST | {"HOUSING": "3"}, SECOND | {"EPISODID": "11", "HOUSING": "", "REFERID": "", "REFDATE": ""}],
        "2 rows (client references A1 and A2) are not taken, because an EPISODID stands under several clients",
    ),
    "episodes numbered for each client": (
        [
            FIRST | {"EPISODID": "1"},
            SECOND | {"EPISODID": "1"},
            FIRST | {"EPISODID": "2", "REFERID": "", "REFDATE": ""},
        ],
        "2 rows (client references A1 and A2) are not taken, because an EPISODID stands under several clients",
    ),
    "a referral of two episodes": (
        [FIRST, AGAIN | {"REFERID": "111"}],
        "2 rows (client reference A1) are not taken, because a REFERID stands under several episodes in this file",
    ),
    "two people under one client ID": (
        [FIRST, SECOND | ANOTHER | {"CLIENTID": "1"}],
        "2 rows (client references A1 and A2) are not taken, because the rows of a CLIENTID are of several people",
    ),
    "two people who differ in two fields alone": (
        [FIRST, SECOND | {"CLIENTID": "1", "SINITIAL": "Z", "DOB": "01/02/1999"}],
        "2 rows (client references A1 and A2) are not taken, because the rows of a CLIENTID are of several people",
    ),
}


def held(agency) -> dict[str, list[tuple[object, ...]]]:
    """All that is held of an agency."""
    return {entity.value: sorted(store.held(agency, entity).drop("id").rows(), key=str) for entity in RECORDS}


def ids(agency, entity: Entity) -> list[str]:
    return sorted(store.held(agency, entity)[store.key_of(entity)])


@pytest.fixture
def browser(provider, signed_in):
    return signed_in(provider)


def page(browser, name, submission) -> str:
    return " ".join(browser.get(reverse(name, args=[submission.pk])).content.decode().split())


@pytest.mark.parametrize("what", WITHIN)
def test_no_two_are_merged_on_acceptance_and_the_pages_say_whose_rows_are_left_out(
    what, sent, agency, provider, browser
):
    contested, said = WITHIN[what]
    submission = sent(*contested, THIRD)

    assert said in page(browser, "submission", submission)
    assert said in page(browser, "accept", submission)
    assert "Nothing is left out" not in page(browser, "accept", submission)
    done = actions.accept(by=provider, submission=submission)
    assert said in page(browser, "receipt", done)
    assert "send them again" in page(browser, "receipt", done)

    three = [row for row in contested if row["EPISODID"] == "2"]
    assert ids(agency, Entity.CLIENT) == (["1", "3"] if three else ["3"])
    assert ids(agency, Entity.EPISODE) == (["2", "33"] if three else ["33"])
    assert ids(agency, Entity.REFERRAL) == ["333"]
    assert sum(done.receipt["left_out"].values()) == 2


def test_a_blank_of_one_client_is_not_filled_from_the_row_of_another(sent, agency, provider):
    """The second had no closure and no housing of their own."""
    closed = FIRST | {"HOUSING": "3", "DISD": "15/01/2026", "CJDISRSN": "10"}
    actions.accept(by=provider, submission=sent(closed, SECOND | {"EPISODID": "11", "HOUSING": ""}, THIRD))

    assert ids(agency, Entity.EPISODE) == ["33"]


def test_one_slip_in_what_makes_a_person_makes_nobody_another(sent, agency, provider):
    done = actions.accept(by=provider, submission=sent(FIRST, AGAIN | {"SINITIAL": "Z"}))

    assert ids(agency, Entity.CLIENT) == ["1"]
    assert ids(agency, Entity.EPISODE) == ["11", "12"]
    assert done.receipt["left_out"]["rows that say otherwise than a row above"] == 1


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (SECOND | {"EPISODID": "11"}, "1 row (client reference A2) is not taken, because the episode is held under"),
        (SECOND | {"REFERID": "111"}, "1 row (client reference A2) is not taken, because the referral is held under"),
        (AGAIN | {"REFERID": "111"}, "1 row (client reference A1) is not taken, because the referral is held under"),
    ],
)
@pytest.mark.parametrize("scope", ["new", "full"])
def test_what_is_held_of_another_is_not_moved_deleted_or_called_absent(
    scope, row, said, accepted, sent, agency, provider, browser
):
    accepted(FIRST, SECOND)
    before = held(agency)

    submission = sent(row, THIRD, scope=scope)

    absent = submission.decisions.filter(absent=True).values_list("record", flat=True)
    assert set(absent) <= ({"2"} if row["CLIENTID"] == "1" else set())
    assert said in page(browser, "accept", submission)
    done = actions.accept(by=provider, submission=submission)
    assert said in page(browser, "receipt", done)
    after = held(agency)
    assert all(set(map(str, before[kind])) <= set(map(str, after[kind])) for kind in before)
    assert ids(agency, Entity.CLIENT) == ["1", "2", "3"]
    assert done.receipt["client"] | {"left out": 0} == {
        "new": 1,
        "changed": 0,
        "removed": 0,
        "forgotten": 0,
        "unchanged": 0,
        "left out": 0,
    }


def test_a_file_of_contested_rows_alone_is_not_submitted_and_says_why(accepted, sent, agency, browser):
    accepted(FIRST, SECOND)
    before = held(agency)

    submission = sent(FIRST | {"EPISODID": "1"}, SECOND | {"EPISODID": "1"}, scope="full")

    assert submission.state == State.REJECTED
    assert not submission.decisions.exists()
    text = page(browser, "submission", submission)
    assert "None of the 2 records could be accepted" in text
    assert "2 rows (client references A1 and A2) are not taken" in text
    assert held(agency) == before


def test_no_decision_is_asked_of_a_row_that_is_not_taken(accepted, sent):
    accepted(FIRST, SECOND)

    submission = sent(FIRST | {"SINITIAL": "X"}, SECOND | ANOTHER | {"CLIENTID": "1"}, THIRD)

    assert submission.state == State.READY
    assert not submission.decisions.exists()


def test_a_contest_with_a_row_of_another_agency_or_without_an_id_is_none(sent, agency, provider):
    """Theirs have numbers of their own, and everybody whose ID is missing has the same one."""
    other = SECOND | {"EPISODID": "11", "AGNCY": "CJ902"}
    nobody = [THIRD | {"CLIENTID": "#N/A", "EPISODID": "22"}, THIRD | ANOTHER | {"CLIENTID": "#N/A"}]
    done = actions.accept(by=provider, submission=sent(FIRST, SECOND, other, *nobody))

    assert ids(agency, Entity.EPISODE) == ["11", "22"]
    assert done.receipt["left_out"]["rejected rows"] == 2
    assert done.receipt["left_out"]["rows of another agency"] == 1
    assert sum(done.receipt["left_out"].values()) == 3


def test_a_rejected_row_contests_an_id_all_the_same(sent, agency, provider):
    """Once it is put right it would be merged with what was taken in the meantime."""
    wrong = SECOND | {"EPISODID": "11", "DRUG1": ""}
    done = actions.accept(by=provider, submission=sent(FIRST, wrong, THIRD))

    assert ids(agency, Entity.EPISODE) == ["33"]
    assert done.receipt["left_out"]["rejected rows"] == 1
    assert done.receipt["left_out"]["rows of an episode of several clients"] == 1


def test_a_row_that_is_not_taken_keeps_its_client_from_being_called_absent(accepted, sent):
    accepted(FIRST, AGAIN, SECOND)

    submission = sent(FIRST, SECOND | {"EPISODID": "11"}, THIRD, scope="full")

    assert not submission.decisions.filter(absent=True).exists()


def test_of_rows_with_other_values_the_first_counts_and_it_is_said_of_how_many(sent, agency, provider, browser):
    submission = sent(FIRST | {"HOUSING": "3"}, FIRST | {"HOUSING": "4"}, FIRST | {"HOUSING": "5"}, SECOND, SECOND)

    said = "2 rows say something else of their client, episode or referral than a row above them: the first row counts"
    assert said in page(browser, "accept", submission)
    done = actions.accept(by=provider, submission=submission)
    assert said in page(browser, "receipt", done)
    assert store.held(agency, Entity.EPISODE).sort("EPISODID")["HOUSING"].to_list()[0] == "3"


def test_a_row_repeated_with_blanks_says_nothing_else(sent, browser):
    submission = sent(FIRST, FIRST | {"HOUSING": "", "DRUG2": ""}, SECOND)

    assert "Nothing is left out" in page(browser, "accept", submission)


def test_many_are_named_by_the_first_few_and_no_more(sent, browser):
    rows = [SECOND | {"CLIENTID": str(n), "CLIENT": f"B{n}", "REFERID": "", "REFDATE": ""} for n in range(10, 18)]

    text = page(browser, "submission", sent(*rows, THIRD))

    assert "8 rows (client references B10, B11, B12, B13, B14 and 3 more) are not taken" in text


def test_whose_rows_are_left_out_stands_beside_the_upload_and_nowhere_else(sent, provider, browser, uploads):
    """The receipt, its PDF and its e-mail have counts; with the file what it says of people goes."""
    done = actions.accept(by=provider, submission=sent(FIRST, SECOND | {"EPISODID": "11"}, THIRD))

    assert "A2" not in str(done.receipt) + str(done.summary)
    kept.remove(done.stored)
    text = page(browser, "receipt", done)
    # The head has a token of letters by chance.
    assert "A2" not in text[text.index("<main") :]
    assert "2 rows are not taken, because an EPISODID stands under several clients" in text


def test_what_the_page_says_before_is_what_the_acceptance_does(accepted, sent, provider):
    accepted(FIRST, SECOND)
    submission = sent(FIRST, SECOND | {"EPISODID": "11"}, AGAIN | {"REFERID": "222"}, THIRD, scope="full")
    foreseen = plan.foreseen(submission).receipt

    assert actions.accept(by=provider, submission=submission).receipt == foreseen
