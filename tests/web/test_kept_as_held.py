"""What is held outweighs what is sent: a blank empties nothing, and an acceptance adds up."""

import csv
import io
from datetime import date, timedelta
from random import Random

import pytest
from django.utils import timezone

from cjit.dataset import Entity, Severity
from cjit.datasets.q import Q
from cjit.datasets.q.example import EXAMPLE
from cjit.engine.checking import check
from cjit.web.agencies.calendar import Month
from cjit.web.dataset import DATASET
from cjit.web.portal import actions, plan, store
from cjit.web.portal.contested import Contest
from cjit.web.portal.decisionfile import allowed
from cjit.web.portal.models import RECORDS, Choice, State, Submission
from cjit.web.portal.staff import progress

FIRST = {"CLIENTID": "1", "CLIENT": "A1", "EPISODID": "11", "REFERID": "111"}
SECOND = {"CLIENTID": "2", "CLIENT": "A2", "EPISODID": "22", "REFERID": "222"}
CLOSED = {"DISD": "15/01/2026", "CJDISRSN": "10"}
#: Answers to what the example leaves blank.
FULL = {"PRISON": "B06B", "DISABLE1": "1", "DISABLE2": "2", "DISABLE3": "3", "DRUG2": "7000", "DRUG3": "5000"}
FULL |= {"PARENT": "Y", "PRNTSTAT": "11", "CHILDWTH": "1", "EHCS": "1", "EHCSC2": "2", "EHCSC3": "3"}
#: What a record has beside its ids: all of it can be held.
HELD = [h for h in Q.headers if h not in ("CLIENTID", "EPISODID", "REFERID", "AGNCY", "CONSENT")]


def value(agency, header):
    entity = Q.by_header[header].entity
    return store.held(agency, entity)[header].to_list()


def without(data: bytes, *headers: str) -> bytes:
    """The same file without some columns."""
    rows = list(csv.DictReader(io.StringIO(data.decode())))
    out = io.StringIO()
    writer = csv.DictWriter(out, [h for h in rows[0] if h not in headers], extrasaction="ignore", lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


@pytest.fixture
def browser(provider, signed_in):
    return signed_in(provider)


def page(browser, submission, what="") -> str:
    return browser.get(f"/submissions/{submission.pk}/{what}").content.decode()


# ---- a blank -------------------------------------------------------------------------------------


def test_a_blank_cell_never_empties_what_is_held(accepted, agency):
    # Of each client another cell is blank.
    full = {
        header: CLOSED | FULL | {"CLIENTID": f"{n}", "CLIENT": f"A{n}", "EPISODID": f"{n}1", "REFERID": f"{n}11"}
        for n, header in enumerate(HELD, start=1)
    }
    accepted(*full.values())
    before = {header: value(agency, header) for header in HELD}

    accepted(*({**told, header: ""} for header, told in full.items()))

    for header in HELD:
        assert value(agency, header) == before[header], header
        assert None not in before[header], header
        assert len(before[header]) == len(HELD), header


def test_a_missing_column_empties_nothing_and_is_told_at_the_top(accepted, sent, agency, csv_of, browser, provider):
    accepted(FIRST | CLOSED, SECOND | CLOSED)
    gone = ("DISD", "CJDISRSN", "HOUSING", "CPLANDT", "REFERID", "REFDATE")
    before = {header: value(agency, header) for header in gone}

    submission = sent(scope="full", data=without(csv_of(*({"AGNCY": "CJ901"} | row for row in (FIRST, SECOND))), *gone))

    # It says nothing of referrals, so it does not say that they are gone.
    assert submission.state == State.READY
    text = page(browser, submission)
    told = "The columns HOUSING, CPLANDT, DISD, CJDISRSN, REFERID and REFDATE are not in this file"
    assert text.index(told) < text.index("What to do next")
    assert "HOUSING, housing situation: 2 kept as held, no column in this file" in text
    assert told in page(browser, submission, "accept/")
    done = actions.accept(by=provider, submission=submission)
    assert {header: value(agency, header) for header in gone} == before
    assert done.receipt["kept, no column"] == {"HOUSING": 2, "CPLANDT": 2, "DISD": 2, "CJDISRSN": 2}
    assert told in page(browser, done, "receipt/")
    assert done.receipt["episode"]["changed"] == 0
    assert done.receipt["episode"]["unchanged"] == 2


def test_columns_that_every_row_has_lost_make_no_referral_absent_and_empty_nothing(
    accepted, sent, agency, csv_of, browser, provider
):
    rows = [FIRST, SECOND, {"CLIENTID": "3", "CLIENT": "A3", "EPISODID": "33", "REFERID": "333"}]
    accepted(*rows)
    before = {entity: store.held(agency, entity).drop("id").rows() for entity in RECORDS}
    head, *lines = csv_of(*({"AGNCY": "CJ901"} | row for row in rows)).decode().splitlines()
    cut = "\r\n".join([head, *(",".join(line.split(",")[: DATASET.headers.index("ROUTE")]) for line in lines), ""])

    submission = sent(scope="full", data=cut.encode())

    assert submission.state == State.READY
    text = page(browser, submission)
    assert "DISD, CJDISRSN, REFERID and REFDATE are not in this file" in text
    actions.accept(by=provider, submission=submission)
    assert {entity: store.held(agency, entity).drop("id").rows() for entity in RECORDS} == before


def test_half_a_closure_is_not_called_blank(accepted, sent, browser, provider):
    accepted(FIRST | CLOSED, SECOND | CLOSED)

    submission = sent(FIRST | {"DISD": "16/01/2026", "CJDISRSN": ""}, SECOND | {"DISD": "", "CJDISRSN": ""})

    for text in (
        page(browser, submission, "accept/"),
        page(browser, actions.accept(by=provider, submission=submission), "receipt/"),
    ):
        for field in ("DISD, case closure date", "CJDISRSN, case closure reason"):
            assert f"{field}: 1 kept as held, half a closure in this file" in text
            assert f"{field}: 1 kept as held, blank in this file" in text


def test_what_stays_is_told_before_and_after_acceptance(accepted, sent, browser, provider):
    accepted(FIRST | {"HOUSING": "3"}, SECOND | {"HOUSING": "4"})
    submission = sent(FIRST | {"HOUSING": ""}, SECOND | {"HOUSING": "77"})

    told = ["HOUSING, housing situation: 1 kept as held, blank in this file"]
    told.append("HOUSING, housing situation: 1 kept as held, no value in this file")
    for sentence in told:
        assert sentence in page(browser, submission, "accept/")
    done = actions.accept(by=provider, submission=submission)
    for sentence in told:
        assert sentence in page(browser, submission, "receipt/")
    assert "a value cannot be cleared through a file yet" in page(browser, submission, "receipt/")
    assert done.receipt["kept"] == done.receipt["kept, no value"] == {"HOUSING": 1}


# ---- a value that is none ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "good", "bad"),
    [
        ("HOUSING", "3", "77"),
        ("ALCUNITS", "20", "999"),
        ("TRIAGED", "05/11/2025", "31/02/2026"),
        ("CPLANDT", "20/11/2025", "31/02/2026"),
        ("REFLD", "03/11/2025", "n/a"),
        ("PC", "NE8 1", "SOMEWHERE"),
        ("CHILDWTH", "2", "many"),
    ],
)
def test_a_value_that_is_no_value_never_replaces_a_held_one(header, good, bad, accepted, agency):
    accepted(FIRST | {header: good})
    before = value(agency, header)

    done = accepted(FIRST | {header: bad})

    assert value(agency, header) == before != [None]
    assert done.receipt["kept, no value"] == {header: 1}


# ---- half a closure ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "half", [{"DISD": "15/01/2026"}, {"CJDISRSN": "8"}, {"DISD": "31/02/2026", "CJDISRSN": "8"}, {}]
)
def test_half_a_closure_opens_no_closed_episode(half, accepted, agency):
    accepted(FIRST | CLOSED)

    done = accepted(FIRST | {"DISD": "", "CJDISRSN": ""} | half)

    assert value(agency, "DISD") == [date(2026, 1, 15)]
    assert value(agency, "CJDISRSN") == ["10"]
    assert done.receipt["left_out"]["half-given closures"] == 0
    assert done.receipt["left_out"]["half-given closures of closed episodes"] == (1 if half else 0)


def test_another_closure_given_whole_is_taken(accepted, agency):
    accepted(FIRST | CLOSED)
    accepted(FIRST | {"DISD": "16/01/2026", "CJDISRSN": "8"})

    assert value(agency, "DISD") == [date(2026, 1, 16)]
    assert value(agency, "CJDISRSN") == ["8"]


# ---- emptying what mismatches --------------------------------------------------------------------


def test_emptying_the_date_of_the_event_is_the_mismatch_it_is(accepted, sent, agency, browser, provider):
    accepted(FIRST)
    before = value(agency, "REFLD")

    submission = sent(FIRST | {"REFLD": "", "HOUSING": "2"})

    assert submission.state == State.DECISIONS
    (decision,) = submission.decisions.all()
    assert (decision.entity, decision.headers) == ("episode", "REFLD")
    assert "The held value stays, also with Replace" in page(browser, submission, "decide/")
    actions.decide(by=provider, submission=submission, choices={decision.pk: Choice.REPLACE})
    actions.accept(by=provider, submission=submission)
    assert value(agency, "REFLD") == before
    assert value(agency, "HOUSING") == ["2"]


@pytest.mark.parametrize("header", ["DOB", "SEX", "FINITIAL", "SINITIAL"])
def test_emptying_who_somebody_is_rejects_the_row_and_asks_nothing_that_would_do_nothing(
    header, accepted, sent, agency, provider
):
    accepted(FIRST)
    before = value(agency, header)

    submission = sent(FIRST | {header: ""}, SECOND)

    assert submission.summary["rules"][f"{header}.is_unchanged"] == 1
    assert submission.state == State.READY
    actions.accept(by=provider, submission=submission)
    assert value(agency, header) == [*before, EXAMPLE[header] if header != "DOB" else before[0]]


def test_a_record_deleted_and_sent_anew_takes_nothing_over_from_somebody_else(accepted, sent, agency, provider):
    accepted(FIRST | {"HOUSING": "3"})
    submission = sent(FIRST | {"SINITIAL": "X", "HOUSING": ""})
    for decision in submission.decisions.all():
        actions.decide(by=provider, submission=submission, choices={decision.pk: Choice.DELETE})

    actions.accept(by=provider, submission=submission)

    assert value(agency, "HOUSING") == [None]


# ---- what is compared is what is taken ---------------------------------------------------------------


def test_a_rejected_row_hides_no_mismatch_of_the_row_that_is_taken(accepted, sent, agency, provider):
    accepted(FIRST)
    before = value(agency, "DOB")

    submission = sent(FIRST | {"REFERID": ""}, FIRST | {"DOB": "01/01/1970"})

    (decision,) = submission.decisions.all()
    assert (decision.entity, decision.headers) == ("client", "DOB")
    actions.accept(by=provider, submission=submission)
    assert value(agency, "DOB") == before


def test_a_mismatch_on_a_rejected_row_alone_asks_nothing_of_the_row_that_is_taken(accepted, sent):
    accepted(FIRST)

    submission = sent(FIRST | {"REFERID": "", "DOB": "01/01/1970"}, FIRST)

    assert submission.state == State.READY
    assert not submission.decisions.exists()


@pytest.mark.parametrize("slip", [{"CLIENTID": "1.11E+08"}, {"CLIENTID": ""}])
def test_a_row_that_does_not_say_whose_it_is_makes_nobody_absent(slip, accepted, sent, browser):
    accepted(FIRST, SECOND)

    submission = sent(FIRST, SECOND | slip, scope="full")

    assert not submission.decisions.exists()
    assert "nothing that is held is taken to be missing from this file" in page(browser, submission)


def test_what_is_said_above_all_stays_where_a_row_does_not_say_whose_it_is(accepted, sent):
    accepted(FIRST, SECOND)

    notes = sent(FIRST, SECOND | {"CLIENTID": "1.11E+08"}, FIRST | {"CONSENT": "Yes"}, scope="full").summary["notes"]

    assert any("nothing that is held is taken to be missing" in note for note in notes)
    assert any("CONSENT says “Yes” on 1 row" in note for note in notes)


@pytest.mark.parametrize("slip", [{"EPISODID": "1.11E+08"}, {"EPISODID": ""}, {"REFERID": ""}, {"CONSENT": "Yes"}])
def test_of_a_client_with_a_rejected_row_nothing_is_absent(slip, accepted, sent):
    accepted(FIRST, SECOND)

    submission = sent(FIRST, SECOND | slip, scope="full")

    assert not submission.decisions.exists()


def test_two_halves_on_two_rows_make_no_closure(accepted, agency):
    accepted(FIRST)

    done = accepted(FIRST | {"DISD": "15/01/2026"}, FIRST | {"REFERID": "112", "CJDISRSN": "10"})

    assert value(agency, "DISD") == value(agency, "CJDISRSN") == [None]
    assert done.receipt["left_out"]["half-given closures"] == 1


def test_who_withdraws_and_is_not_held_is_not_told_as_forgotten(accepted, agency):
    accepted(FIRST)

    done = accepted(FIRST, SECOND | {"CONSENT": "N"})

    assert done.receipt["client"]["forgotten"] == 0
    assert done.receipt["left_out"]["rows of clients who withdraw and are not held"] == 1
    assert done.receipt["left_out"]["rows of clients who withdraw"] == 0


def test_a_file_of_withdrawals_alone_is_no_submission_for_the_month(accepted, sent, provider, agency):
    long_ago = timezone.now() - timedelta(days=70)
    Submission.objects.filter(pk=accepted(FIRST, SECOND).pk).update(at=long_ago, accepted=long_ago)

    done = actions.accept(by=provider, submission=sent(FIRST | {"CONSENT": "N"}), forget=1)

    (told,) = progress([agency], Month.complete(), timezone.localdate())
    assert (done.state, told.submitted) == (State.ACCEPTED, None)


def test_a_file_of_new_records_is_not_told_what_is_not_in_it(accepted, sent):
    accepted(FIRST, SECOND)

    assert not any("not in this file" in note for note in sent(FIRST, scope="new").summary["notes"])
    assert any("not in this file" in note for note in sent(FIRST, scope="full").summary["notes"])


# ---- an acceptance adds up -----------------------------------------------------------------------

_CHANGES = [
    {},
    {"SINITIAL": "X"},
    {"REFLD": "01/11/2025"},
    {"REFLD": ""},
    {"SEX": ""},
    {"HOUSING": "2"},
    {"HOUSING": "77"},
    {"DISD": "15/01/2026"},
    CLOSED,
    {"REFERID": ""},
    {"REFERID": "", "REFDATE": ""},
    {"REFERID": "", "REFDATE": "31/02/2026"},
    {"CONSENT": "N"},
    {"CONSENT": ""},
    {"CONSENT": "Yes"},
    {"AGNCY": "CJ902"},
    {"EPISODID": ""},
    {"SINITIAL": "X", "DOB": "01/02/1999"},
    {"SINITIAL": "X", "DOB": "01/02/1999", "CONSENT": ""},
    {"EPISODID": "11"},
    {"EPISODID": "32"},
    {"REFERID": "111"},
    {"REFERID": "322"},
]


def _some_rows(random: Random) -> list[dict[str, str]]:
    """Rows of few ids, so that they meet: what a month of slips can hold."""
    rows = []
    for _ in range(random.randint(1, 6)):
        client, episode, referral = random.choice(["1", "2", "3", ""]), random.choice("12"), random.choice("12")
        ids = {"CLIENTID": client, "CLIENT": f"A{client}", "EPISODID": client + episode}
        ids["REFERID"] = client + episode + referral
        rows.append(EXAMPLE | {"AGNCY": "CJ901"} | ids | random.choice(_CHANGES))
    return rows


def _parents(rows, key: str, parent: str, held) -> set[str]:
    """The ids of a file that stand under several others, there or in what is held."""
    of: dict[str, set[str]] = {}
    for row in rows:
        if row[key] and row[parent]:
            of.setdefault(row[key], set()).add(row[parent])
    for record, before in held.select(key, parent).iter_rows():
        if record in of:
            of[record].add(before)
    return {record for record, parents in of.items() if len(parents) > 1}


def _contested(rows, before) -> list[int]:
    """The rows of ids of which it is doubtful whose they are, from the rows and what is held alone."""
    own = [row for row in rows if row["AGNCY"] == "CJ901"]
    people: dict[str, dict[str, set[str]]] = {}
    for row in own:
        for header in ("FINITIAL", "SINITIAL", "DOB", "SEX"):
            if row["CONSENT"] == "Y" and row[header]:
                people.setdefault(row["CLIENTID"], {}).setdefault(header, set()).add(row[header])
    several = {c for c, told in people.items() if c and sum(len(values) > 1 for values in told.values()) > 1}
    episodes = _parents(own, "EPISODID", "CLIENTID", before[Entity.EPISODE])
    referrals = _parents(own, "REFERID", "EPISODID", before[Entity.REFERRAL])
    return [
        number
        for number, row in enumerate(rows, 2)
        if row["AGNCY"] == "CJ901"
        and (row["CLIENTID"] in several or row["EPISODID"] in episodes or row["REFERID"] in referrals)
    ]


@pytest.mark.dear
@pytest.mark.parametrize("seed", range(4))
def test_of_the_records_a_file_has_each_is_new_changed_unchanged_or_left_out(seed, sent, provider, agency, csv_of):
    """Counted from the rows and the findings alone, and not from the plan."""
    random = Random(200 + seed)
    for _ in range(5):
        rows = _some_rows(random)
        submission = sent(*rows, scope=random.choice(["full", "new"]))
        if submission.state not in (State.READY, State.DECISIONS):
            # Nothing of it can be taken, so there is nothing to add up.
            assert submission.state in (State.REFUSED, State.REJECTED)
            continue
        for decision in submission.decisions.all():
            choice = random.choice([*allowed(absent=decision.absent), ""])
            if choice:
                actions.decide(by=provider, submission=submission, choices={decision.pk: choice})

        forget = plan.foreseen(submission).known.height
        before = {entity: store.held(agency, entity) for entity in RECORDS}
        receipt = actions.accept(by=provider, submission=submission, forget=forget).receipt

        found = check(csv_of(*rows), Q, today=timezone.localdate(), submitter="CJ901").frame
        rejects = [rule.id for rule in Q.rules if rule.severity is Severity.REJECT]
        rejected = set(found.filter(found["rule"].is_in(rejects))["row"])
        for entity in RECORDS:
            ids = [row[store.key_of(entity)] for row in rows]
            nameless = ids.count("")
            if entity is Entity.REFERRAL:
                # Without consent it is not looked whether there is one.
                nameless = sum(not r["REFERID"] and r["REFDATE"] != "" and r["CONSENT"] == "Y" for r in rows)
            told = receipt[entity.value]
            adds_up = told["new"] + told["changed"] + told["unchanged"] + told["left out"]
            assert len(set(ids) - {""}) + nameless == adds_up
        withdraw = {row["CLIENTID"] for row in rows if (row["CONSENT"], row["AGNCY"]) == ("N", "CJ901")} - {""}
        of_them = [n for n, row in enumerate(rows, 2) if row["CLIENTID"] in withdraw]
        no = [n for n in of_them if (rows[n - 2]["CONSENT"], rows[n - 2]["AGNCY"]) == ("N", "CJ901")]
        others = {number for number, row in enumerate(rows, 2) if row["AGNCY"] == "CJ902"}
        assert receipt["left_out"]["rows of another agency"] == len(others)
        contested = set(_contested(rows, before)) - rejected - set(of_them)
        assert sum(receipt["left_out"][contest] for contest in Contest) == len(contested)
        taken = set(range(2, len(rows) + 2)) - rejected - set(of_them) - contested
        for entity in RECORDS:
            # No two rows are made one record where they are of two.
            keys = {rows[n - 2][store.key_of(entity)] for n in taken} - {""}
            told = receipt[entity.value]
            assert told["new"] + told["changed"] + told["unchanged"] <= len(keys)
        assert receipt["left_out"]["rejected rows"] == len(rejected - set(no) - others)
        reasons = ("rows of clients who withdraw", "rows of clients who withdraw and are not held")
        withdrawn = sum(receipt["left_out"][reason] for reason in reasons)
        assert withdrawn == len(set(of_them) - (rejected - set(no)))
        assert submission.rows == len(taken) + len(others) + receipt["left_out"]["rejected rows"] + withdrawn + len(
            contested
        )
        # A referral that has no ID is in no count but that of the rejected rows.
        for number, row in enumerate(rows, 2):
            assert row["REFERID"] or not row["REFDATE"] or number in rejected
