"""How what is typed is written, what day it says, where a client lives, and what is computed of a record."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from cjit.dataset import Kind
from cjit.engine.checking import check_rows
from cjit.web.caseload import actions, record
from cjit.web.caseload.models import Client, Contact, Episode
from cjit.web.dataset import DATASET

#: A sector lies where all its postcodes do; these are of Gateshead, Edinburgh, Cardiff and Belfast.
GATESHEAD, EDINBURGH, CARDIFF, BELFAST = "NE8 1HH", "EH1 1BB", "CF10 1EP", "BT1 5GS"
OWN = "F06B"


# ---- as the dataset writes it ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "written"),
    [
        ("1.3.2026", "01/03/2026"),
        ("1 March 2026", "01/03/2026"),
        ("1 mar 2026", "01/03/2026"),
        (" 29-2-2024 ", "29/02/2024"),
        ("2026-03-01", "01/03/2026"),
        ("20260301", "01/03/2026"),
        ("20260230", "20260230"),
        ("01032026", "01032026"),
        ("29 Feb 2023", "29/02/2023"),
        ("1/3/26", "1/3/26"),
        ("1 Ma 2026", "1 Ma 2026"),
        ("1 J 2026", "1 J 2026"),
        ("3//2026", "3//2026"),
        ("٠١/٠٣/٢٠٢٦", "٠١/٠٣/٢٠٢٦"),
        ("soon", "soon"),
    ],
)
def test_a_date_is_written_plainly_where_nobody_can_doubt_it(typed, written):
    assert record.plain("TRIAGED", typed) == written


@pytest.mark.parametrize(
    ("header", "typed", "written"),
    [
        ("FINITIAL", "m", "M"),
        ("FINITIAL", "ı", "ı"),
        ("FINITIAL", "É", "É"),
        ("SEX", "f", "F"),
        ("SEX", "1", "M"),
        ("SEX", "3", "3"),
        ("PC", "nr147uj", "NR14 7UJ"),
        ("PC", " zz99  3vz ", "ZZ99 3VZ"),
        ("PC", "nr14", "nr14"),
        ("CLIENT", " c10042 ", "c10042"),
        ("CLIENT", "0\x007", "07"),
        ("CLIENT", "\u202eabc\U0001f600", "\u202eabc\U0001f600"),
        ("DRUG1", "01", "01"),
    ],
)
def test_nothing_is_changed_but_how_it_is_written(header, typed, written):
    assert record.plain(header, typed) == written


@given(st.sampled_from(DATASET.headers), st.text(max_size=40))
def test_what_is_written_plainly_stays_as_it_is(header, text):
    once = record.plain(header, text)

    assert record.plain(header, once) == once


@pytest.mark.parametrize("filler", [" ", "1 ", ". ", "1/"])
def test_a_text_of_a_million_signs_is_looked_at_in_no_time(filler):
    text = "1" + filler * 1_000_000 + "x"

    assert record.plain("TRIAGED", text) == text
    assert record.day_of(text) is None
    assert record.cut(text) == text


# ---- the day a text says ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("29/02/2024", date(2024, 2, 29)),
        ("29/02/2023", None),
        ("2024-02-29", date(2024, 2, 29)),
        ("20240229", date(2024, 2, 29)),
        ("20230229", None),
        ("2024-02- 1", None),
        ("31/12/1899", None),
        ("01/01/1900", date(1900, 1, 1)),
        ("31/12/9999", None),
        ("٠١/٠٣/٢٠٢٦", None),
        ("01/03/26", None),
        ("", None),
    ],
)
def test_a_text_says_a_day_as_the_dataset_reads_it(text, day):
    assert record.day_of(text) == day


@given(st.dates())
def test_a_day_is_one_for_the_rule_book_too(day):
    header, today = "TRIAGED", date(9999, 12, 31)
    text = f"{day.day:02}/{day.month:02}/{day.year:04}"
    found = check_rows(DATASET, [{"CONSENT": "Y", header: text}], today=today)
    faults = {f.rule.id for f in found if f.rule.id in ("TRIAGED.is_a_date", "TRIAGED.is_after_1900")}

    if day.year < 9000:
        assert (record.day_of(text) == day) is not bool(faults)


@pytest.mark.parametrize(
    ("day", "months", "after"),
    [
        (date(2024, 2, 29), 12, date(2025, 2, 28)),
        (date(2024, 2, 29), 48, date(2028, 2, 29)),
        (date(2025, 8, 31), 6, date(2026, 2, 28)),
        (date(2023, 8, 31), 6, date(2024, 2, 29)),
        (date(2026, 3, 31), -1, date(2026, 2, 28)),
        (date(2026, 1, 15), -2, date(2025, 11, 15)),
        (date(2025, 12, 31), 2, date(2026, 2, 28)),
    ],
)
def test_months_after_a_day_is_the_same_day_or_the_last_of_its_month(day, months, after):
    assert record.months_after(day, months) == after


@given(st.dates(date(1900, 1, 1), date(8999, 12, 31)))
def test_six_months_can_be_reckoned_from_every_day_a_text_may_say(day):
    after = record.months_after(day, record.REVIEW_MONTHS)

    assert timedelta(days=180) <= after - day <= timedelta(days=184)


# ---- where a client lives --------------------------------------------------------------------------


def test_the_local_authority_and_the_dat_follow_the_postcode_where_they_are_certain():
    assert record.places(GATESHEAD, OWN) == {"UTLA": "E08000037", "DAT": "A09B"}
    assert record.places("NE99 9XX", OWN) == {}
    assert record.places("NR14", OWN) == {}


@pytest.mark.parametrize(
    ("postcode", "utla", "dat"),
    [
        ("LS1 4AP", "E08000035", "D12B"),
        ("NR14 7UJ", "E10000020", "G09B"),
        # Somerset since 2023, Barnsley under the code it has today, the Isles of Scilly.
        ("TA1 1HE", "E06000066", "K18B"),
        ("S70 2TA", "E08000038", "D09B"),
        ("TR21 0LW", "E06000053", "K13B"),
    ],
)
def test_the_dat_is_that_of_the_authority_wherever_in_england_a_client_lives(postcode, utla, dat):
    assert record.places(postcode, OWN) == {"UTLA": utla, "DAT": dat}


def test_the_dat_is_left_to_choose_where_it_is_not_known_which_of_two_it_is():
    assert record.places("CA3 8QG", OWN) == {"UTLA": "E06000063"}


@pytest.mark.parametrize("postcode", ["ZZ99 3VZ", "zz993vz", "ZZ99 3"])
def test_the_agencys_own_dat_is_taken_for_no_fixed_abode(postcode):
    assert record.places(postcode, OWN) == {"DAT": OWN}
    assert record.places(postcode, "") == {}


@pytest.mark.parametrize("postcode", [EDINBURGH, CARDIFF, BELFAST])
def test_outside_england_a_stand_in_is_filled_in_for_nobody(postcode):
    assert record.places(postcode, OWN) == {"DAT": "Z00B"}


@given(st.text(max_size=12))
def test_any_text_can_stand_for_a_postcode(text):
    assert set(record.places(text, OWN)) <= {"UTLA", "DAT"}
    assert record.cut(record.cut(text)) == record.cut(text)


# ---- what is computed ------------------------------------------------------------------------------


@pytest.fixture
def begun(agency, keyworker):
    def make(values=None, **client) -> Episode:
        episode = actions.begin_client(by=keyworker, agency=agency, typed=client)
        actions.save(by=keyworker, record=episode, typed=values or {})
        return Episode.objects.get(pk=episode.pk)

    return make


def rules(episode: Episode) -> set[str]:
    return {told.rule.id for told in record.told(Episode.objects.get(pk=episode.pk))}


def test_a_client_is_found_by_what_was_typed_in_whatever_case(begun):
    client = begun(FINITIAL="m", SINITIAL="ß", DOB="1.3.1985", CLIENT=" c1 ").client
    client.refresh_from_db()

    assert (client.reference, client.initials, client.born) == ("C1", "MS", date(1985, 3, 1))


def test_the_postcode_is_kept_whole_and_checked_cut(begun):
    episode = begun({"PC": "ne81hh"})

    assert episode.values["PC"] == "NE8 1HH"
    assert not {rule for rule in rules(episode) if rule.startswith("PC.")}
    assert record.texts(episode.client, episode, None)["PC"] == "NE8 1HH"


def test_a_finding_of_a_referral_says_which(begun, keyworker):
    episode = begun({})
    given, blank = (
        actions.add_referral(by=keyworker, episode=episode, typed={"REFDATE": text}) for text in ("01/06/2025", "")
    )

    told = {(t.rule.id, t.referral) for t in record.told(Episode.objects.get(pk=episode.pk)) if t.referral}

    assert told == {("REFDATE.is_given_with_an_id", blank.pk)}
    assert [r.pk for r in episode.referrals.all()] == [given.pk, blank.pk]


def test_a_transfer_without_a_referral_is_told_of_a_single_row_too(begun, keyworker):
    episode = begun({"TRIAGED": "01/06/2025"})
    Episode.objects.update(values=episode.values | {"DISD": "01/07/2025", "CJDISRSN": "99"})

    actions.save(by=keyworker, record=episode, typed={"SEXUALO": "1"})
    assert "CJDISRSN.has_a_referral_if_transferred_not_in_custody" in rules(episode)
    assert not [rule for rule in rules(episode) if rule.startswith("CONSENT")]

    actions.add_referral(by=keyworker, episode=episode, typed={"REFDATE": "01/07/2025"})
    assert "CJDISRSN.has_a_referral_if_transferred_not_in_custody" not in rules(episode)


def test_dates_and_codes_that_were_kept_in_another_way_are_looked_at_as_they_would_leave(begun, keyworker):
    episode = begun({"TRIAGED": "01/06/2025", "REFLD": "01/06/2025"})
    Episode.objects.update(values=episode.values | {"TRIAGED": "20250601", "CPLANDT": "2025-06-01"})
    Client.objects.update(values=episode.client.values | {"SEX": "1"})

    actions.save(by=keyworker, record=Episode.objects.get(), typed={"SEXUALO": "1"})

    episode.refresh_from_db()
    assert episode.triaged == episode.started == date(2025, 6, 1)
    assert not [r for r in rules(episode) if r.split(".")[0] in ("TRIAGED", "CPLANDT", "REFLD", "SEX")]
    assert record.shown("SEX", "1") == "Male"


def test_what_is_only_missing_is_counted_apart_from_what_is_wrong(begun):
    episode = begun({"TRIAGED": "31/02/2026"})

    told = record.told(episode)
    assert episode.missing == sum(each.rule.id.endswith("is_given") for each in told) > 0
    assert episode.faults == 1
    assert episode.rejects > 0


def test_a_date_at_the_end_of_the_calendar_is_kept_and_no_fault_of_ours(begun):
    episode = begun({"CPLANDT": "01/12/9999", "TRIAGED": "31/12/9999"})

    assert (episode.values["CPLANDT"], episode.started, episode.review) == ("01/12/9999", None, None)
    assert "CPLANDT.is_not_in_the_future" in rules(episode)


def test_a_client_without_contact_for_two_months_is_one_whose_last_contact_was_triage(begun, keyworker):
    episode = begun({"TRIAGED": "29/02/2024"})

    assert episode.contact == episode.face_to_face == date(2024, 2, 29)
    assert record.months_after(episode.contact, record.DISENGAGED_MONTHS) == date(2024, 4, 29)


def test_a_telephone_call_is_a_contact_and_not_face_to_face(begun, keyworker):
    episode = begun({"TRIAGED": "01/06/2025"})
    contact = actions.add_contact(
        by=keyworker, episode=episode, on=date(2025, 7, 1), kind=Contact.Kind.TELEPHONE, face_to_face=False
    )
    episode.refresh_from_db()
    assert (episode.contact, episode.face_to_face) == (date(2025, 7, 1), date(2025, 6, 1))

    actions.remove_contact(by=keyworker, contact=contact)
    episode.refresh_from_db()
    assert (episode.contact, episode.face_to_face) == (date(2025, 6, 1), date(2025, 6, 1))


def test_custody_lasts_from_the_first_contact_in_prison_until_one_that_is_not(begun, keyworker):
    episode = begun({"TRIAGED": "01/06/2025"})

    def met(month: int, custody: bool) -> date | None:
        on = date(2025, month, 1)
        actions.add_contact(
            by=keyworker, episode=episode, on=on, kind=Contact.Kind.PRISON, face_to_face=True, custody=custody
        )
        episode.refresh_from_db()
        return episode.custody

    assert met(7, True) == date(2025, 7, 1)
    assert met(9, True) == date(2025, 7, 1)
    assert met(8, False) == date(2025, 9, 1)
    assert met(10, False) is None


def test_interventions_are_assessed_every_six_months_and_when_the_client_leaves(begun, keyworker):
    episode = begun({"TRIAGED": "01/06/2025", "CPLANDT": "31/08/2025"})
    assert episode.review == date(2026, 2, 28)

    actions.add_intervention(by=keyworker, episode=episode, on=date(2025, 10, 1), kinds=["RECHSE"], leaving=False)
    episode.refresh_from_db()
    assert episode.review == date(2026, 4, 1)

    actions.close_episode(by=keyworker, episode=episode, typed={"DISD": "01/11/2025", "CJDISRSN": "10"})
    episode.refresh_from_db()
    assert episode.review == date(2025, 11, 1)

    actions.add_intervention(by=keyworker, episode=episode, on=date(2025, 11, 1), kinds=[], leaving=True)
    episode.refresh_from_db()
    assert episode.review is None


def test_an_episode_without_a_triage_date_is_the_newest(begun, keyworker):
    episode = begun({"TRIAGED": "01/06/2025", "CPLANDT": "01/06/2025"})
    actions.close_episode(by=keyworker, episode=episode, typed={"DISD": "01/07/2025", "CJDISRSN": "10"})
    newer = actions.begin_episode(by=keyworker, client=episode.client)

    assert list(Client.objects.get().episodes.all()) == [newer, episode]


# ---- as people read it -----------------------------------------------------------------------------


def test_a_code_is_read_as_its_label_and_what_is_none_as_it_is():
    assert record.shown("DISABLE1", "05") == record.shown("DISABLE1", "5") == "Mobility and gross motor"
    assert record.shown("DISABLE1", "no idea") == "no idea"
    assert record.shown("ALCDDAYS", "007") == "007"
    assert record.shown("PC", "NE8 1HH") == "NE8 1HH"


def test_a_closure_reason_is_read_in_its_group():
    assert record.shown("CJDISRSN", "14", caseload=True) == record.shown("CJDISRSN", "14")
    assert record.shown("CJDISRSN", "10", caseload=False) == "Care plan objectives completed – drug free"


@given(st.sampled_from([f.header for f in DATASET.fields if f.kind is Kind.CODE]), st.text(max_size=8))
def test_any_text_can_stand_for_a_code(header, text):
    assert record.shown(header, text) or not text


def test_what_is_typed_today_is_not_in_the_future(begun):
    today = timezone.localdate().strftime("%d/%m/%Y")

    assert "TRIAGED.is_not_in_the_future" not in rules(begun({"TRIAGED": today}))
