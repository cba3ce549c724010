"""The record store: what an acceptance does to what is held, as the readings have it."""

import re
import threading
from datetime import timedelta
from random import Random

import polars as pl
import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from cjit.dataset import Entity
from cjit.datasets.q import Q
from cjit.datasets.q.example import EXAMPLE
from cjit.engine.compare_frames import plainly
from cjit.files.frames import repeating
from cjit.web import worker
from cjit.web.agencies.actions import Refused
from cjit.web.agencies.models import AuditEvent
from cjit.web.portal import actions, plan, store
from cjit.web.portal.decisionfile import allowed
from cjit.web.portal.models import RECORDS, Decision, State, Submission

FIRST = {"CLIENTID": "1", "CLIENT": "A1", "EPISODID": "11", "REFERID": "111"}
SECOND = {"CLIENTID": "2", "CLIENT": "A2", "EPISODID": "22", "REFERID": "222"}
AGAIN = FIRST | {"EPISODID": "12", "REFERID": "112", "REFLD": "20/11/2025", "TRIAGED": "21/11/2025", "CPLANDT": ""}
AGAIN |= {"REFDATE": "22/11/2025"}
#: The dates the example record has.
DATES = ("DOB", "REFLD", "TRIAGED", "CPLANDT", "REFDATE")


#: The headers of all that a bare line of a withdrawal leaves blank.
REST = [header for header in Q.headers if header not in ("CLIENTID", "AGNCY", "CONSENT")]


def held(agency, entity=Entity.CLIENT):
    return store.held(agency, entity).drop("id").to_dicts()


def value(agency, header, entity=Entity.CLIENT):
    return store.held(agency, entity)[header].to_list()


def versions() -> dict[str, int]:
    return {entity.value: table.objects.filter(forgotten=None).count() for entity, table in RECORDS.items()}


def accepts(provider, submission) -> Submission:
    """Accept a submission by somebody who types how many clients that forgets."""
    return actions.accept(by=provider, submission=submission, forget=plan.foreseen(submission).known.height)


# ---- accepting -------------------------------------------------------------------------------------


def test_a_first_file_is_held_as_clients_episodes_and_referrals(accepted, agency):
    done = accepted(FIRST, SECOND)

    assert done.state == State.ACCEPTED
    assert value(agency, "CLIENTID") == ["1", "2"]
    assert value(agency, "CLIENTID", Entity.EPISODE) == ["1", "2"]
    assert value(agency, "EPISODID", Entity.REFERRAL) == ["11", "22"]
    nothing_else = {"changed": 0, "removed": 0, "forgotten": 0, "unchanged": 0, "left out": 0}
    assert done.receipt["client"] == {"new": 2, **nothing_else}


def test_the_same_file_accepted_twice_changes_nothing(accepted, agency, provider):
    accepted(FIRST, SECOND)
    before = versions()

    again = accepted(FIRST, SECOND)

    assert again.summary["unchanged"]
    assert versions() == before
    assert again.receipt["client"]["changed"] == again.receipt["client"]["new"] == 0
    assert actions.accept(by=provider, submission=again).accepted == again.accepted


def test_the_same_records_with_dates_and_sexes_written_another_way_change_nothing(accepted, agency):
    closed = {"DISD": "15/01/2026", "CJDISRSN": "10", "SEX": "M"}
    accepted(FIRST | closed, SECOND)
    before, was = versions(), held(agency, Entity.EPISODE)
    figures = {h: "".join(reversed((EXAMPLE | closed)[h].split("/"))) for h in (*DATES, "DISD")}

    again = accepted(FIRST | closed | figures | {"SEX": "1"}, SECOND | {h: figures[h] for h in DATES} | {"SEX": "1"})

    assert again.summary["rules"] == {"SEX.is_written_as_listed": 1}
    assert not again.decisions.exists()
    assert versions() == before
    assert held(agency, Entity.EPISODE) == was
    assert {again.receipt[kind]["changed"] for kind in before} == {0}


def test_what_may_change_is_a_new_version_and_the_old_one_stays(accepted, agency):
    accepted(FIRST | {"HOUSING": "1"})
    accepted(FIRST | {"HOUSING": "2"})

    assert value(agency, "HOUSING", Entity.EPISODE) == ["2"]
    assert versions() == {"client": 1, "episode": 2, "referral": 1}


def test_a_rejected_row_is_never_stored(accepted, agency):
    done = accepted(FIRST | {"SEX": ""}, SECOND)

    assert value(agency, "CLIENTID") == ["2"]
    assert done.receipt["left_out"]["rejected rows"] == 1


@pytest.mark.parametrize("consent", ["N", "", "Yes", "1"])
def test_a_row_without_consent_is_never_stored(accepted, agency, consent):
    accepted(FIRST | {"CONSENT": consent}, SECOND)

    assert value(agency, "CLIENTID") == ["2"]
    assert value(agency, "EPISODID", Entity.EPISODE) == ["22"]


def test_half_a_closure_is_no_closure_yet(accepted, agency):
    done = accepted(FIRST | {"DISD": "15/01/2026", "CJDISRSN": ""})

    assert value(agency, "DISD", Entity.EPISODE) == [None]
    assert done.receipt["left_out"]["half-given closures"] == 1


def test_whole_postcodes_are_cut_before_they_are_stored(accepted, agency):
    accepted(FIRST | {"PC": "NE8 1AB"})

    assert value(agency, "PC", Entity.EPISODE) == ["NE8 1"]


def test_agencies_do_not_see_one_anothers_records(accepted, agency, other_agency, person_with):
    accepted(FIRST)
    somebody = person_with("provider", agency=other_agency)
    accepted(FIRST | {"SEX": "F"}, agency=other_agency, by=somebody)

    assert value(agency, "SEX") != value(other_agency, "SEX")
    assert value(agency, "CLIENTID") == value(other_agency, "CLIENTID") == ["1"]


def test_what_is_absent_from_a_file_of_new_records_stays(accepted, agency):
    accepted(FIRST, SECOND)
    accepted(SECOND | {"HOUSING": "2"})

    assert value(agency, "CLIENTID") == ["1", "2"]


def test_what_is_rejected_counts_neither_as_new_nor_as_absent(accepted, sent):
    accepted(FIRST)
    again = sent(FIRST | {"SEX": ""}, SECOND | {"SEX": ""}, scope="full")

    assert again.summary["changes"] == {
        "new": {"client": 0, "episode": 0, "referral": 0},
        "changed": {"client": 0, "episode": 0, "referral": 0},
        "absent": {"client": 0, "episode": 0, "referral": 0},
    }
    assert not again.decisions.exists()


# ---- decisions -------------------------------------------------------------------------------------


@pytest.fixture
def mismatched(accepted, sent):
    """A client with two episodes, of whom the next file says another surname initial."""

    def make(**changes):
        accepted(FIRST, AGAIN, SECOND)
        return sent(FIRST | {"SINITIAL": "X"} | changes, SECOND | {"HOUSING": "2"})

    return make


def decided(submission, provider, choice):
    for decision in submission.decisions.all():
        actions.decide(by=provider, submission=submission, choices={decision.pk: choice})
    return actions.accept(by=provider, submission=submission)


def test_a_mismatch_waits_for_a_decision_and_says_what_hangs_on_it(mismatched):
    submission = mismatched()

    assert submission.state == State.DECISIONS
    assert [(d.entity, d.record, d.headers, d.also) for d in submission.decisions.all()] == [
        ("client", "1", "SINITIAL", {"episodes": 2, "referrals": 2})
    ]


def test_replaced_the_held_record_takes_the_new_values(mismatched, agency, provider):
    decided(mismatched(), provider, "replace")

    assert dict(zip(value(agency, "CLIENTID"), value(agency, "SINITIAL"), strict=True))["1"] == "X"
    assert sorted(value(agency, "EPISODID", Entity.EPISODE)) == ["11", "12", "22"]


def test_deleted_the_held_record_goes_with_all_under_it_and_the_new_one_is_taken(mismatched, agency, provider):
    done = decided(mismatched(), provider, "delete")

    assert dict(zip(value(agency, "CLIENTID"), value(agency, "SINITIAL"), strict=True))["1"] == "X"
    assert sorted(value(agency, "EPISODID", Entity.EPISODE)) == ["11", "22"]
    assert sorted(value(agency, "REFERID", Entity.REFERRAL)) == ["111", "222"]
    assert done.receipt["episode"]["removed"] == 1


def test_left_for_later_the_held_record_stays_and_others_are_not_held_up(mismatched, agency, provider):
    done = decided(mismatched(), provider, "later")

    assert "X" not in value(agency, "SINITIAL")
    assert (
        dict(zip(value(agency, "EPISODID", Entity.EPISODE), value(agency, "HOUSING", Entity.EPISODE), strict=True))[
            "22"
        ]
        == "2"
    )
    assert done.receipt["left_out"]["waiting for a decision"] == 3


def test_what_nobody_decided_waits(mismatched, agency, provider):
    submission = mismatched()

    actions.accept(by=provider, submission=submission)

    assert "X" not in value(agency, "SINITIAL")


def test_absent_from_a_full_file_is_removed_only_when_that_is_decided(accepted, sent, agency, provider):
    accepted(FIRST, SECOND)
    submission = sent(FIRST, scope="full")
    assert [(d.entity, d.record, d.absent) for d in submission.decisions.all()] == [("client", "2", True)]

    decided(submission, provider, "delete")

    assert value(agency, "CLIENTID") == ["1"]
    assert value(agency, "EPISODID", Entity.EPISODE) == ["11"]


def test_absent_and_kept_stays(accepted, sent, agency, provider):
    accepted(FIRST, SECOND)
    decided(sent(FIRST, scope="full"), provider, "keep")

    assert value(agency, "CLIENTID") == ["1", "2"]


def test_a_choice_that_does_not_fit_is_refused_in_one_sentence(mismatched, provider):
    submission = mismatched()
    decision = submission.decisions.get()

    with pytest.raises(Refused, match="Choose replace, delete or later"):
        actions.decide(by=provider, submission=submission, choices={decision.pk: "keep"})


def test_a_decision_of_another_submission_is_refused(mismatched, provider, accepted, other_agency, person_with):
    submission = mismatched()

    with pytest.raises(Refused, match="not of this submission"):
        actions.decide(by=provider, submission=submission, choices={99999: "replace"})


# ---- consent ---------------------------------------------------------------------------------------

#: What stands in CONSENT and is neither a yes nor a no.
NO_ANSWERS = ["", "Yes", "YES", "No", "1", "X", "Z", "NN", "N/A"]


@pytest.mark.parametrize("scope", ["full", "new"])
def test_a_consent_that_says_neither_yes_nor_no_forgets_nobody(accepted, sent, agency, provider, scope):
    # A client with two episodes for each of these answers, and one who says yes.
    people = [
        {"CLIENTID": f"{n}", "CLIENT": f"A{n}", "EPISODID": f"{n}1", "REFERID": f"{n}11"}
        for n in range(10, 10 + len(NO_ANSWERS))
    ]
    again = [AGAIN | told | {"EPISODID": f"{told['EPISODID']}2", "REFERID": f"{told['REFERID']}2"} for told in people]
    accepted(*people, *again, SECOND)
    before = [held(agency, entity) for entity in RECORDS]

    asked = [told | {"CONSENT": consent} for told, consent in zip(people, NO_ANSWERS, strict=True)]
    submission = sent(*asked, SECOND, scope=scope)

    assert submission.summary["forget"] == 0
    assert submission.summary["changes"]["absent"] == {"client": 0, "episode": 0, "referral": 0}
    assert not submission.decisions.exists()
    done = accepts(provider, submission)
    assert [held(agency, entity) for entity in RECORDS] == before
    assert done.receipt["client"]["forgotten"] == 0
    assert done.receipt["left_out"]["rejected rows"] == len(NO_ANSWERS)


@pytest.mark.parametrize("consent", ["N", "n", " N "])
def test_a_no_withdraws_however_it_is_spaced_or_cased_as_a_yes_is_read(accepted, sent, agency, provider, consent):
    accepted(FIRST, SECOND)

    accepts(provider, sent(FIRST | {"CONSENT": consent}, SECOND))

    assert value(agency, "CLIENTID") == ["2"]


def test_of_a_client_with_a_yes_and_a_blank_the_good_row_is_taken_and_nothing_is_absent(
    accepted, sent, agency, provider
):
    accepted(FIRST, AGAIN, SECOND)
    submission = sent(FIRST | {"HOUSING": "2"}, AGAIN | {"CONSENT": ""}, SECOND, scope="full")
    assert (submission.state, submission.summary["forget"]) == (State.READY, 0)

    done = accepts(provider, submission)

    assert sorted(value(agency, "EPISODID", Entity.EPISODE)) == ["11", "12", "22"]
    assert (done.receipt["episode"]["changed"], done.receipt["episode"]["removed"]) == (1, 0)


def test_a_client_with_a_yes_and_a_no_has_withdrawn(accepted, sent, agency, provider):
    accepted(FIRST, AGAIN, SECOND)
    submission = sent(FIRST | {"HOUSING": "2"}, AGAIN | {"CONSENT": "N"}, SECOND, scope="full")
    assert submission.summary["changes"]["changed"]["episode"] == 0

    accepts(provider, submission)

    assert value(agency, "CLIENTID") == ["2"]
    assert value(agency, "EPISODID", Entity.EPISODE) == ["22"]


def test_a_row_whose_episode_cannot_be_told_makes_no_episode_absent(accepted, sent):
    accepted(FIRST, SECOND)

    submission = sent(FIRST | {"EPISODID": ""}, SECOND, scope="full")

    assert not submission.decisions.exists()


def test_a_no_on_a_row_of_another_agency_withdraws_nobodys_consent_here(accepted, sent, agency, provider):
    accepted(FIRST, SECOND)
    submission = sent(FIRST | {"CONSENT": "N", "AGNCY": "CJ902"}, SECOND)
    assert submission.summary["forget"] == 0

    accepts(provider, submission)

    assert value(agency, "CLIENTID") == ["1", "2"]


def test_a_file_of_withdrawals_alone_can_be_accepted_and_proposes_no_removal(accepted, sent, agency, provider):
    accepted(FIRST, SECOND, AGAIN | {"CLIENTID": "3", "CLIENT": "A3", "EPISODID": "33", "REFERID": "333"})

    submission = sent({"CLIENTID": "1", **dict.fromkeys(REST, ""), "CONSENT": "N"}, scope="full")

    assert (submission.state, submission.summary["forget"]) == (State.READY, 1)
    assert not submission.decisions.exists()
    accepts(provider, submission)
    assert value(agency, "CLIENTID") == ["2", "3"]


# ---- the number typed ------------------------------------------------------------------------------


@pytest.mark.parametrize("typed", [0, 1, 3, -1])
def test_who_types_another_number_than_are_forgotten_accepts_nothing(accepted, sent, agency, provider, typed):
    accepted(FIRST, SECOND)
    submission = sent(FIRST | {"CONSENT": "N"}, SECOND | {"CONSENT": "N"})
    before = [held(agency, entity) for entity in RECORDS]

    with pytest.raises(Refused, match="Enter how many clients are to be forgotten, as this page lists them: nothing"):
        actions.accept(by=provider, submission=submission, forget=typed)

    assert [held(agency, entity) for entity in RECORDS] == before
    assert Submission.objects.get(pk=submission.pk).state == State.READY
    assert actions.accept(by=provider, submission=submission, forget=2).state == State.ACCEPTED


def test_a_number_typed_for_clients_who_are_gone_since_accepts_nothing(accepted, sent, agency, provider):
    accepted(FIRST, SECOND)
    submission = sent(FIRST | {"CONSENT": "N"}, SECOND)
    actions.forget(by=None, agency=agency, clients=["1"])
    worker.run(threading.Event(), once=True)

    with pytest.raises(Refused, match="No client is to be forgotten any more, and nothing has been accepted"):
        actions.accept(by=provider, submission=submission, forget=1)

    assert Submission.objects.get(pk=submission.pk).state == State.READY


# ---- forgotten, and erased -------------------------------------------------------------------------


def a_day_passes() -> None:
    """What is forgotten now has been for as long as it waits."""
    Submission.objects.exclude(forget_until=None).update(forget_until=Now() - timedelta(seconds=1))


def rows() -> dict[str, int]:
    """Every version there is, also of what is forgotten."""
    return {entity.value: table.objects.count() for entity, table in RECORDS.items()}


def forgotten(accepted, sent, provider, *others) -> Submission:
    """Given that a client with two versions of an episode has withdrawn consent."""
    accepted(FIRST | {"HOUSING": "1"}, SECOND)
    accepted(FIRST | {"HOUSING": "2"}, SECOND)
    return accepts(provider, sent(FIRST | {"CONSENT": "N"}, SECOND, *others))


def test_undoing_brings_back_all_that_was_forgotten_as_it_was(accepted, sent, agency, provider):
    accepted(FIRST | {"HOUSING": "1"}, SECOND)
    accepted(FIRST | {"HOUSING": "2"}, SECOND)
    before = [store.held(agency, entity) for entity in RECORDS]
    accepts(provider, sent(FIRST | {"CONSENT": "N"}, SECOND))

    undone = actions.undo(by=provider, agency=agency)

    assert all(was.equals(store.held(agency, entity)) for was, entity in zip(before, RECORDS, strict=True))
    assert undone.receipt["undo"] == {"brought back": 1}
    assert undone.forget_until is None
    assert actions.erase_forgotten() == 0


def test_what_is_forgotten_is_read_by_nobody(accepted, sent, agency, provider):
    then = timezone.now()
    forgotten(accepted, sent, provider)

    assert rows() == {"client": 2, "episode": 3, "referral": 2}
    assert value(agency, "CLIENTID") == ["2"]
    for on in (then, timezone.now()):
        assert "1" not in store.held(agency, Entity.CLIENT, on=on)["CLIENTID"].to_list()
    assert plan.known(agency, pl.Series(["1"])).is_empty()
    again = sent(SECOND, scope="full")
    assert not again.decisions.exists()
    assert sent(FIRST | {"CONSENT": "N"}, SECOND).summary["forget"] == 0


def test_after_a_day_the_worker_erases_what_was_forgotten_and_says_how_much_and_not_whom(
    accepted, sent, agency, provider
):
    done = forgotten(accepted, sent, provider)
    assert actions.erase_forgotten() == 0
    a_day_passes()

    worker.tidy()

    assert rows() == {"client": 1, "episode": 1, "referral": 1}
    event = AuditEvent.objects.get(action="erased what was forgotten")
    assert (event.about, event.who, event.counts) == (
        done.number,
        "the service",
        {"client": 1, "episode": 1, "referral": 1},
    )
    worker.tidy()
    assert AuditEvent.objects.filter(action="erased what was forgotten").count() == 1


@pytest.mark.parametrize("hours", [24, 2])
def test_what_is_forgotten_waits_as_long_as_the_setting_says(accepted, sent, provider, settings, hours):
    settings.FORGET_HOURS = hours

    done = forgotten(accepted, sent, provider)

    assert done.forget_until is not None
    assert abs(done.forget_until - timezone.now() - timedelta(hours=hours)) < timedelta(minutes=5)


def test_after_a_day_undoing_brings_nobody_back_though_no_worker_came_by(accepted, sent, agency, provider):
    forgotten(accepted, sent, provider)
    a_day_passes()

    undone = actions.undo(by=provider, agency=agency)

    assert value(agency, "CLIENTID") == ["2"]
    assert rows() == {"client": 1, "episode": 1, "referral": 1}
    assert undone.receipt["undo"] == {"brought back": 0}


def test_who_consents_again_is_held_anew_beside_what_is_forgotten(accepted, sent, agency, provider):
    forgotten(accepted, sent, provider)

    accepted(FIRST | {"HOUSING": "3"}, SECOND)

    assert sorted(value(agency, "HOUSING", Entity.EPISODE)) == ["3", "3"]
    a_day_passes()
    actions.erase_forgotten()
    assert sorted(value(agency, "CLIENTID")) == ["1", "2"]
    assert sorted(value(agency, "REFERID", Entity.REFERRAL)) == ["111", "222"]


def test_who_consents_again_can_be_undone_and_then_brought_back(accepted, sent, agency, provider):
    forgotten(accepted, sent, provider)
    accepted(FIRST | {"HOUSING": "3"}, SECOND)

    actions.undo(by=provider, agency=agency)
    assert value(agency, "CLIENTID") == ["2"]
    actions.undo(by=provider, agency=agency)

    assert sorted(value(agency, "HOUSING", Entity.EPISODE)) == ["2", "3"]


def test_to_forget_by_hand_erases_at_once_also_what_waits_for_it(accepted, sent, agency, provider):
    done = forgotten(accepted, sent, provider)

    actions.forget(by=None, agency=agency, clients=["1"])

    assert rows() == {"client": 1, "episode": 1, "referral": 1}
    assert store.waiting(done) == 0


def test_another_agencys_client_of_the_same_id_is_neither_forgotten_nor_erased(
    accepted, sent, provider, other_agency, person_with
):
    somebody = person_with("provider", agency=other_agency)
    accepted(FIRST, agency=other_agency, by=somebody)
    forgotten(accepted, sent, provider)
    a_day_passes()

    actions.erase_forgotten()

    assert value(other_agency, "CLIENTID") == ["1"]


def test_a_decision_of_a_later_submission_stays_when_what_was_forgotten_before_is_erased(
    accepted, sent, agency, provider
):
    forgotten(accepted, sent, provider)
    accepted(FIRST, SECOND)
    later = choices(sent(FIRST | {"SINITIAL": "X"}), provider, client="replace")
    a_day_passes()

    actions.erase_forgotten()

    assert [d.record for d in later.decisions.all()] == ["1"]


# ---- undo, as known on -----------------------------------------------------------------------------


def test_consent_withdrawn_forgets_the_client_in_all_versions(accepted, sent, agency, provider):
    accepted(FIRST | {"HOUSING": "1"}, SECOND)
    accepted(FIRST | {"HOUSING": "2"}, SECOND)
    submission = sent(FIRST | {"CONSENT": "N"}, SECOND)
    assert submission.summary["forget"] == 1

    done = accepts(provider, submission)

    assert value(agency, "CLIENTID") == ["2"]
    assert versions() == {"client": 1, "episode": 1, "referral": 1}
    assert done.receipt["client"]["forgotten"] == 1


def test_nobody_is_told_to_correct_the_row_of_a_client_who_withdraws(accepted, sent, provider):
    accepted(FIRST, SECOND)

    done = accepts(provider, sent(FIRST | {"CONSENT": "N"}, SECOND | {"SEX": ""}))

    assert done.receipt["left_out"]["rejected rows"] == 1


def test_the_audit_trail_keeps_that_it_was_done_and_not_whom(accepted, sent, provider):
    accepted(FIRST)
    accepts(provider, sent(FIRST | {"CONSENT": "N"}, SECOND))

    told = [(e.action, e.about, e.counts) for e in AuditEvent.objects.all()]
    assert any(counts.get("client forgotten") == 1 for _, _, counts in told)
    assert "CLIENTID" not in str(told)


def test_an_acceptance_is_undone_whole(accepted, agency, provider):
    accepted(FIRST | {"HOUSING": "1"})
    before = [held(agency, entity) for entity in RECORDS]
    accepted(FIRST | {"HOUSING": "2"}, SECOND)

    undone = actions.undo(by=provider, agency=agency)

    assert undone.state == State.UNDONE
    assert [held(agency, entity) for entity in RECORDS] == before


def test_the_store_is_known_as_it_was(accepted, agency):
    accepted(FIRST | {"HOUSING": "1"})
    then = timezone.now()
    accepted(FIRST | {"HOUSING": "2"}, SECOND)

    assert store.held(agency, Entity.EPISODE, on=then)["HOUSING"].to_list() == ["1"]
    assert store.held(agency, Entity.EPISODE, on=timezone.now())["HOUSING"].to_list() == ["3", "2"]
    assert store.held(agency, Entity.EPISODE)["HOUSING"].to_list() == ["3", "2"]


# ---- the database's own constraints ----------------------------------------------------------------


def test_the_database_refuses_two_current_versions_of_one_record(accepted, agency):
    done = accepted(FIRST)
    row = store.held(agency, Entity.CLIENT).drop("id")

    with pytest.raises(IntegrityError), transaction.atomic():
        store.bring(done, Entity.CLIENT, row)


def test_the_database_refuses_a_half_closed_episode(accepted, agency):
    done = accepted(FIRST)
    row = store.held(agency, Entity.EPISODE).drop("id").with_columns(EPISODID=pl.lit("99"), CJDISRSN=pl.lit("10"))

    with pytest.raises(IntegrityError), transaction.atomic():
        store.bring(done, Entity.EPISODE, row)


def test_the_store_says_what_it_holds_as_a_file_that_changes_nothing(accepted, agency, sent):
    accepted(FIRST, AGAIN, SECOND)
    again = store.whole({entity: store.held(agency, entity) for entity in RECORDS})
    assert again is not None
    text = again.select(plainly(field, pl.col(field.header)).alias(field.header) for field in Q.fields)

    same = sent(data=text.write_csv().encode())

    assert same.state == State.READY
    assert same.summary["changes"]["changed"] == {"client": 0, "episode": 0, "referral": 0}
    assert same.summary["changes"]["new"] == {"client": 0, "episode": 0, "referral": 0}


def test_nothing_of_a_submission_that_fails_halfway_is_kept(mismatched, agency, provider, monkeypatch):
    submission = mismatched()
    before = versions()
    monkeypatch.setattr(store, "bring", lambda *_: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        actions.accept(by=provider, submission=submission)

    assert versions() == before
    assert Submission.objects.get(pk=submission.pk).state == State.DECISIONS
    assert not Decision.objects.exclude(choice="").exists()


# ---- laws ------------------------------------------------------------------------------------------


@pytest.mark.dear
@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_sent_twice_is_once_and_undone_is_as_before(seed, sent, agency, provider):
    random = Random(seed)
    rows = [FIRST, AGAIN, SECOND, FIRST | {"EPISODID": "13", "REFERID": "", "REFDATE": ""}]
    changes = [{}, {"PC": "NE8 2"}, {"SINITIAL": "X"}, {"REFLD": "01/11/2025"}, {"SEX": ""}, {"HOUSING": "2"}]
    changes += [{"DISD": "15/01/2026", "CJDISRSN": "10"}, {"CONSENT": "N"}, {"CONSENT": ""}]
    for _ in range(5):
        before = [held(agency, entity) for entity in RECORDS]
        some = [row | random.choice(changes) for row in random.sample(rows, random.randint(1, len(rows)))]
        scope = random.choice(["full", "new"])
        submission = sent(*some, scope=scope)
        for decision in submission.decisions.all():
            choice = random.choice([*allowed(absent=decision.absent), ""])
            if choice:
                actions.decide(by=provider, submission=submission, choices={decision.pk: choice})
        if submission.state == State.REJECTED:
            assert [held(agency, entity) for entity in RECORDS] == before
            continue
        done = accepts(provider, submission)
        after = [held(agency, entity) for entity in RECORDS]

        for entity in RECORDS:
            ids = value(agency, store.key_of(entity), entity)
            assert len(ids) == len(set(ids))
        clients = set(value(agency, "CLIENTID"))
        assert set(value(agency, "CLIENTID", Entity.EPISODE)) <= clients
        assert set(value(agency, "EPISODID", Entity.REFERRAL)) <= set(value(agency, "EPISODID", Entity.EPISODE))
        actions.accept(by=provider, submission=done)
        assert [held(agency, entity) for entity in RECORDS] == after

        if random.random() < 0.5:
            actions.undo(by=provider, agency=agency)
            for was, now in zip(before, [held(agency, entity) for entity in RECORDS], strict=True):
                assert sorted(was, key=str) == sorted(now, key=str)


# ---- what a decision meets -------------------------------------------------------------------------


def choices(submission, provider, **told):
    for decision in submission.decisions.all():
        if choice := told.get(decision.entity):
            actions.decide(by=provider, submission=submission, choices={decision.pk: choice})
    return actions.accept(by=provider, submission=submission)


def test_a_deleted_episode_of_a_client_who_waits_stays(accepted, sent, agency, provider):
    accepted(FIRST)
    before = [held(agency, entity) for entity in RECORDS]

    choices(sent(FIRST | {"SINITIAL": "X", "REFLD": "01/11/2025"}), provider, episode="delete")

    assert [held(agency, entity) for entity in RECORDS] == before


def test_a_deleted_client_takes_the_new_episode_in_though_nobody_decided_of_it(accepted, sent, agency, provider):
    accepted(FIRST)

    choices(sent(FIRST | {"SINITIAL": "X", "REFLD": "01/11/2025"}), provider, client="delete")

    assert value(agency, "SINITIAL") == ["X"]
    assert [str(day) for day in value(agency, "REFLD", Entity.EPISODE)] == ["2025-11-01"]


def test_nothing_is_deleted_for_a_record_whose_row_is_rejected(accepted, sent, agency, provider):
    accepted(FIRST, SECOND)
    before = [held(agency, entity) for entity in RECORDS]

    choices(sent(FIRST | {"SINITIAL": "X", "DRUG1": ""}, SECOND), provider, client="delete")

    assert [held(agency, entity) for entity in RECORDS] == before


def test_a_client_who_was_removed_before_is_forgotten_all_the_same(accepted, sent, provider):
    accepted(FIRST, SECOND)
    choices(sent(SECOND, scope="full"), provider, client="delete")

    done = accepts(provider, sent(FIRST | {"CONSENT": "N"}, SECOND))

    assert done.receipt["client"]["forgotten"] == 1
    assert versions() == {"client": 1, "episode": 1, "referral": 1}


def moved(accepted, sent, provider) -> None:
    """An episode that was sent under one client, was deleted there, and was sent under another one then."""
    accepted(FIRST, SECOND)
    choices(sent(SECOND, scope="full"), provider, client="delete")
    accepted(FIRST | {"CLIENTID": "2", "CLIENT": "A2"}, SECOND)


def test_who_withdraws_takes_along_the_referrals_of_an_episode_that_was_anothers_before(accepted, sent, provider):
    moved(accepted, sent, provider)

    done = accepts(provider, sent(SECOND | {"CONSENT": "N"}))

    assert done.receipt["referral"]["forgotten"] == 2
    assert versions()["referral"] == 0


def test_who_withdraws_leaves_the_referrals_of_an_episode_that_is_anothers_now(accepted, sent, agency, provider):
    moved(accepted, sent, provider)

    accepts(provider, sent(FIRST | {"CONSENT": "N"}))

    assert sorted(value(agency, "REFERID", Entity.REFERRAL)) == ["111", "222"]


def test_people_are_counted_as_forgotten_and_not_their_versions(accepted, sent, provider):
    accepted(FIRST)
    accepted(FIRST | {"ETHNIC": "B"})

    done = accepts(provider, sent(FIRST | {"CONSENT": "N"}, SECOND))

    assert done.receipt["client"]["forgotten"] == done.receipt["episode"]["forgotten"] == 1


def test_no_decision_names_a_client_who_is_erased(accepted, sent, provider, agency):
    accepted(FIRST, SECOND)
    choices(sent(FIRST | {"SINITIAL": "X"}), provider, client="replace")
    accepts(provider, sent(FIRST | {"CONSENT": "N"}, SECOND))
    assert Decision.objects.filter(record="1").exists()

    a_day_passes()
    actions.erase_forgotten()

    assert not Decision.objects.filter(record="1").exists()


def test_what_is_open_is_checked_anew_after_an_undo(accepted, sent, agency, provider):
    accepted(FIRST)
    choices(sent(FIRST | {"SINITIAL": "X"}), provider, client="replace")
    waiting = sent(FIRST | {"SINITIAL": "X", "PC": "NE8 2"})
    assert waiting.state == State.READY

    actions.undo(by=provider, agency=agency)
    worker.run(threading.Event(), once=True)

    waiting.refresh_from_db()
    assert waiting.state == State.DECISIONS
    assert [d.headers for d in waiting.decisions.all()] == ["SINITIAL"]


def test_without_its_findings_nothing_is_accepted(sent, provider, uploads):
    submission = sent(FIRST | {"SEX": ""}, SECOND)
    for path in uploads.rglob("findings"):
        path.unlink()

    with pytest.raises(Refused, match="send it again"):
        actions.accept(by=provider, submission=submission)


@pytest.mark.every_case
@pytest.mark.parametrize(
    "odd", ['a "quoted" one', "a, b", "two\nlines", 'ends with a quote"', "Łódź’s", "'1", "\\N", "0x1"]
)
def test_an_id_is_read_back_just_as_it_was_sent_whatever_is_in_it(accepted, agency, odd):
    accepted(FIRST | {"CLIENT": odd})

    for kinds in (None, repeating(Q)):
        assert store.held(agency, Entity.CLIENT, kinds=kinds)["CLIENT"].to_list() == [odd]


# ---- what is foreseen ------------------------------------------------------------------------------

HALF = {"DISD": "15/01/2026", "CJDISRSN": ""}
CLOSED = {"DISD": "15/01/2026", "CJDISRSN": "10"}


def rows_of(agency, entity) -> dict[int, tuple[str, int, int | None]]:
    """Every version of a kind that is there: its id as a record, what brought it and what ended it."""
    table = RECORDS[entity].objects.filter(agency=agency, forgotten=None)
    return {pk: told for pk, *told in table.values_list("pk", store.key_of(entity), "brought_id", "ended_id")}


def told_by_the_tables(before, after, submission) -> dict[str, int]:
    """What an acceptance did to one table, from the versions before and after it alone."""
    gone = {told[0] for pk, told in before.items() if pk not in after}
    was = {key for pk, (key, _, ended) in before.items() if ended is None and pk in after}
    brought = {key for key, by, _ in after.values() if by == submission.pk}
    ended = {key for key, _, by in after.values() if by == submission.pk}
    return {
        "new": len(brought - was),
        "changed": len(brought & was),
        "removed": len(ended - brought),
        "forgotten": len(gone),
    }


def writes_or_locks(statements) -> list[str]:
    """Of some statements those that do more than read."""
    reads = re.compile(r"SELECT (?!.* FOR (NO KEY )?UPDATE)|COPY \(SELECT .* TO STDOUT|(RELEASE )?SAVEPOINT ", re.S)
    return [sql for sql in statements if not reads.match(sql)]


@pytest.mark.dear
@pytest.mark.parametrize("seed", range(3))
def test_what_is_foreseen_is_what_the_receipt_says_and_what_becomes_of_the_store(seed, sent, agency, provider):
    random = Random(100 + seed)
    rows = [FIRST, AGAIN, SECOND, FIRST | {"EPISODID": "13", "REFERID": "", "REFDATE": ""}]
    changes = [{}, {"SINITIAL": "X"}, {"REFLD": "01/11/2025"}, {"SEX": ""}, {"HOUSING": "2"}, HALF, CLOSED]
    changes += [
        {"CONSENT": "N"},
        {"CONSENT": "Yes"},
        {"CLIENTID": "2", "CLIENT": "A2"},
        {"CLIENTID": "3", "CLIENT": "A3"},
    ]
    for _ in range(6):
        some = [row | random.choice(changes) for row in random.sample(rows, random.randint(1, len(rows)))]
        submission = sent(*some, scope=random.choice(["full", "new"]))
        for decision in submission.decisions.all():
            choice = random.choice([*allowed(absent=decision.absent), ""])
            if choice:
                actions.decide(by=provider, submission=submission, choices={decision.pk: choice})
        before = {entity: rows_of(agency, entity) for entity in RECORDS}
        if submission.state == State.REJECTED:
            assert plan.foreseen(submission).nothing
            continue

        foreseen = plan.foreseen(submission).receipt

        assert {entity: rows_of(agency, entity) for entity in RECORDS} == before
        given = accepts(provider, submission).receipt
        assert foreseen == given
        for entity in RECORDS:
            told = told_by_the_tables(before[entity], rows_of(agency, entity), submission)
            assert {what: given[entity.value][what] for what in told} == told


def test_foreseeing_an_acceptance_writes_nothing_and_locks_nothing(mismatched, provider):
    submission = mismatched()
    actions.decide(by=provider, submission=submission, choices={submission.decisions.get().pk: "delete"})

    with CaptureQueriesContext(connection) as asked, connection.cursor() as cursor:
        # The database itself is told to write nothing as well, since not all that is asked of it is captured.
        on, off = {
            "sqlite": ("PRAGMA query_only = ON", "PRAGMA query_only = OFF"),
            "postgresql": ("SET TRANSACTION READ ONLY", "SELECT 1"),
        }[connection.vendor]
        with transaction.atomic():
            cursor.execute(on)
            foreseen = plan.foreseen(submission)
        cursor.execute(off)

    assert foreseen.receipt["episode"]["removed"] == 1
    assert writes_or_locks(query["sql"] for query in asked if query["sql"] not in (on, off)) == []


def test_a_referral_stays_whose_episode_is_another_clients_too(accepted, sent, agency, provider):
    moved(accepted, sent, provider)
    submission = sent(FIRST | {"CONSENT": "N"}, SECOND)

    foreseen = plan.foreseen(submission).receipt
    given = accepts(provider, submission).receipt

    assert foreseen == given
    assert (given["client"]["forgotten"], given["episode"]["forgotten"], given["referral"]["forgotten"]) == (1, 1, 0)
    assert sorted(value(agency, "REFERID", Entity.REFERRAL)) == ["111", "222"]
