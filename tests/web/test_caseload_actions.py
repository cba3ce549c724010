"""What changes a caseload: nothing typed is lost, nothing of another is overwritten, and the history tells it all."""

from __future__ import annotations

import copy
import io
import re
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import date, timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connections, transaction
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from cjit.dataset import Changes, Entity
from cjit.geography import authorities, authorities_of_sector
from cjit.web.agencies.actions import Refused
from cjit.web.agencies.models import Agency, AuditEvent, Person, Role
from cjit.web.caseload import actions, questions, record
from cjit.web.caseload.arriving import Imported
from cjit.web.caseload.models import Change, Client, Contact, Episode, Extract, Intervention, Record, Referral
from cjit.web.caseload.record import KEPT, plain
from cjit.web.dataset import DATASET

GATESHEAD, SUNDERLAND, EDINBURGH, UNKNOWN = "NE8 1HH", "SR1 1RE", "EH1 1BB", "NE99 9XX"
NOWHERE = "ZZ99 3VZ"


@pytest.fixture
def colleague(person_with, agency) -> Person:
    person: Person = person_with(Role.KEYWORKER, agency=agency, email="colleague@example.org")
    Person.objects.filter(pk=person.pk).update(name="Colleague")
    return Person.objects.get(pk=person.pk)


@pytest.fixture
def begun(agency, keyworker) -> Callable[..., Episode]:
    """An episode of a client begun today, with some texts of either."""

    def make(**texts: str) -> Episode:
        episode = actions.begin_client(by=keyworker, agency=agency, typed=texts)
        actions.save(by=keyworker, record=episode, typed=texts)
        return Episode.objects.get(pk=episode.pk)

    return make


def again(it: Any) -> Any:
    """A record as it is now."""
    return type(it).objects.get(pk=it.pk)


def settled(it: Any) -> Any:
    """The same record, begun the day before."""
    type(it).objects.filter(pk=it.pk).update(begun=timezone.localdate() - timedelta(days=1))
    return again(it)


def values(it: Record) -> dict[str, str]:
    return {header: text for header, text in again(it).values.items() if text}


def closed(by: Person, episode: Episode, day: str = "01/09/2025", reason: str = "10") -> Episode:
    actions.close_episode(by=by, episode=episode, typed={"DISD": day, "CJDISRSN": reason})
    return Episode.objects.get(pk=episode.pk)


@pytest.fixture
def on_caseload(begun) -> Callable[..., Episode]:
    def make(**texts: str) -> Episode:
        episode: Episode = begun(TRIAGED="01/06/2025", CPLANDT="02/06/2025", **texts)
        return episode

    return make


# ---- ids -------------------------------------------------------------------------------------------


def test_a_technical_id_is_made_of_nothing(begun, keyworker, monkeypatch):
    episode = begun(FINITIAL="M", SINITIAL="S", DOB="27/03/1985", CLIENT="C1")
    referral = actions.add_referral(by=keyworker, episode=episode, typed={})
    ids = [episode.client.clientid, episode.episodid, referral.referid]

    assert all(re.fullmatch("[BCDFGHJKLMNPQRSTVWXZ]{12}", each) for each in ids)
    assert len({*ids, begun().episodid, begun().client.clientid}) == 5


def test_no_page_can_give_or_change_an_id_the_agency_or_consent(begun, keyworker):
    episode = begun()
    before = (episode.client.clientid, episode.episodid)
    forged = dict.fromkeys(("CLIENTID", "EPISODID", "REFERID", "AGNCY", "CMSID", "CONSENT"), "Y")

    for it in (episode, episode.client):
        assert actions.save(by=keyworker, record=it, typed=forged) == actions.Saved()

    assert (again(episode.client).clientid, again(episode).episodid) == before
    assert again(episode.client).consent == ""


# ---- beginning -------------------------------------------------------------------------------------


def test_a_client_who_presents_again_gets_a_new_episode_not_the_old_reopened(on_caseload, keyworker):
    first = on_caseload(PC=GATESHEAD, RELIGION="L", HOUSING="3")
    with pytest.raises(Refused, match="open episode"):
        actions.begin_episode(by=keyworker, client=first.client)
    first = closed(keyworker, first)

    second = actions.begin_episode(by=keyworker, client=first.client)

    assert second.episodid != first.episodid
    assert (second.open, again(first).open) == (True, False)
    assert values(second) == {"PC": GATESHEAD, "UTLA": "E08000037", "DAT": "A09B", "RELIGION": "L"}
    assert values(first) == values(first) | {"DISD": "01/09/2025", "CJDISRSN": "10"}


def test_of_a_client_who_has_no_episode_any_more_another_can_begin(begun, keyworker):
    episode = begun()
    actions.remove_episode(by=keyworker, episode=episode)

    assert actions.begin_episode(by=keyworker, client=episode.client).open


def test_what_is_typed_at_the_beginning_is_kept_however_wrong(begun):
    client = begun(FINITIAL="Max", DOB="31/02/1985", SEX="\U0001f600", NATION="\u202eGBR", CLIENT=" ").client

    assert values(client) == {"FINITIAL": "MAX", "DOB": "31/02/1985", "SEX": "\U0001f600", "NATION": "\u202eGBR"}
    assert Change.objects.filter(what="began a client", fields__has_key="DOB").count() == 1


# ---- saving ----------------------------------------------------------------------------------------


def test_a_text_too_long_to_keep_is_refused_in_one_sentence(begun, keyworker):
    episode = begun()
    with pytest.raises(Refused, match="Enter 400 characters or fewer for the postcode"):
        actions.save(by=keyworker, record=episode, typed={"SEXUALO": "1", "PC": "x" * 1_000_000})

    assert values(episode) == {}
    assert actions.save(by=keyworker, record=episode, typed={"PC": " " * 1_000_000}).changed == ()


def test_a_half_filled_page_can_be_saved(begun, keyworker):
    episode = begun()
    saved = actions.save(by=keyworker, record=episode, typed={"TRIAGED": "1//2026", "OFFENCE": "", "CJRFLS": "no code"})

    assert saved.is_whole
    assert values(episode) == {"TRIAGED": "1//2026", "CJRFLS": "NO CODE"}


def test_a_save_by_hand_does_not_close_an_episode_nor_open_it(on_caseload, keyworker):
    episode = on_caseload()
    actions.save(by=keyworker, record=episode, typed={"DISD": "01/07/2025", "CJDISRSN": "10"}, why=actions.CORRECTION)
    assert again(episode).open
    episode = closed(keyworker, episode)
    actions.save(by=keyworker, record=episode, typed={"DISD": "", "CJDISRSN": ""}, why=actions.CORRECTION)

    assert not again(episode).open


def test_nothing_typed_differently_is_a_change(begun, keyworker):
    """A text that came in a file as it was written there is not changed by a page on which nobody touched it."""
    episode = settled(begun())
    Episode.objects.update(values={"REFLD": "2025-06-01", "PC": "ne81hh", "DISABLE1": "nn"}, extracted=timezone.now())
    shown = again(episode).values

    saved = actions.save(by=keyworker, record=episode, typed=shown, was=shown)

    assert saved == actions.Saved()
    assert values(episode) == shown


# ---- two people ------------------------------------------------------------------------------------


def test_of_two_people_on_one_page_neither_loses_text(begun, keyworker, colleague):
    episode = begun(RELIGION="A", SEXUALO="1", VETERAN="N")
    was = again(episode).values
    theirs = actions.save(by=colleague, record=episode, typed=was | {"RELIGION": "B", "SEXUALO": "2"}, was=was)
    assert theirs.is_whole

    mine = actions.save(by=keyworker, record=episode, typed=was | {"RELIGION": "C", "VETERAN": "Y"}, was=was)

    assert mine.clashes == (actions.Clash("RELIGION", "C", "B", "Colleague"),)
    assert mine.others == {"SEXUALO": "Colleague"}
    assert mine.changed == ("VETERAN",)
    assert not mine.is_whole
    assert values(episode) == {"RELIGION": "B", "SEXUALO": "2", "VETERAN": "Y"}


def test_two_people_who_type_the_same_agree(begun, keyworker, colleague):
    episode = begun()
    was = {"RELIGION": ""}
    actions.save(by=colleague, record=episode, typed={"RELIGION": "C"}, was=was)

    assert actions.save(by=keyworker, record=episode, typed={"RELIGION": "c"}, was=was) == actions.Saved()


def test_who_typed_last_is_who_is_named(begun, keyworker, colleague):
    episode = begun(RELIGION="A")
    was = again(episode).values
    actions.save(by=colleague, record=episode, typed={"RELIGION": "B"})
    actions.save(by=keyworker, record=episode, typed={"RELIGION": "C"})

    (clash,) = actions.save(by=colleague, record=episode, typed={"RELIGION": "D"}, was=was).clashes
    assert (clash.now, clash.who) == ("C", keyworker.name)


def test_a_referral_is_told_from_another_of_the_same_episode(begun, keyworker, colleague):
    episode = begun()
    one, two = (actions.add_referral(by=keyworker, episode=episode, typed={"REFDATE": "01/06/2025"}) for _ in "12")
    actions.save(by=colleague, record=one, typed={"REFDATE": "02/06/2025"})
    actions.save(by=keyworker, record=two, typed={"REFDATE": "03/06/2025"})

    saved = actions.save(by=keyworker, record=one, typed={"REFDATE": "01/06/2025"}, was={"REFDATE": "01/06/2025"})
    assert saved.others == {"REFDATE": "Colleague"}


def test_what_was_fetched_long_ago_overwrites_nothing(begun, keyworker, colleague):
    stale = Episode.objects.select_related("client").get(pk=begun(RELIGION="A").pk)
    fresh = Episode.objects.get(pk=stale.pk)
    actions.save(by=colleague, record=fresh, typed={"RELIGION": "B"})
    actions.record_consent(by=colleague, client=fresh.client, given=True, on=timezone.localdate())

    assert stale.client.consent == ""
    actions.save(by=keyworker, record=stale, typed={"SEXUALO": "1"})
    actions.save(by=keyworker, record=stale.client, typed={"SEX": "F"})

    assert values(stale) == {"RELIGION": "B", "SEXUALO": "1"}
    assert again(stale.client).consent == "Y"


def test_an_extract_made_while_a_page_is_saved_is_not_forgotten(begun, keyworker, monkeypatch):
    episode = begun()
    held_back = actions._held_back

    def meanwhile(*told: Any) -> Any:
        Episode.objects.update(extracted=timezone.now())
        return held_back(*told)

    monkeypatch.setattr(actions, "_held_back", meanwhile)
    actions.save(by=keyworker, record=episode, typed={"RELIGION": "A"})

    assert again(episode).extracted is not None
    assert values(episode) == {"RELIGION": "A"}


def test_what_somebody_else_removed_meanwhile_is_told_in_one_sentence(begun, keyworker, colleague):
    episode = begun(TRIAGED="01/06/2025", CPLANDT="01/06/2025")
    today = timezone.localdate()
    referral = actions.add_referral(by=keyworker, episode=episode, typed={})
    contact = actions.add_contact(by=keyworker, episode=episode, on=today, kind="office", face_to_face=True)
    assessed = actions.add_intervention(by=keyworker, episode=episode, on=today, kinds=[], leaving=False)
    for it in (referral, contact, assessed, episode):
        assert it.pk
    late: list[Callable[[], object]] = [
        lambda: actions.save(by=keyworker, record=referral, typed={"REFDATE": "01/06/2025"}),
        lambda: actions.remove_referral(by=keyworker, referral=referral),
        lambda: actions.remove_contact(by=keyworker, contact=contact),
        lambda: actions.remove_intervention(by=keyworker, intervention=assessed),
        lambda: actions.save(by=keyworker, record=episode, typed={"RELIGION": "A"}),
        lambda: actions.add_referral(by=keyworker, episode=episode, typed={}),
        lambda: actions.add_contact(by=keyworker, episode=episode, on=today, kind="office", face_to_face=True),
        lambda: actions.add_intervention(by=keyworker, episode=episode, on=today, kinds=[], leaving=False),
        lambda: actions.close_episode(by=keyworker, episode=episode, typed={}),
        lambda: actions.take_back_closure(by=keyworker, episode=episode),
        lambda: actions.remove_episode(by=keyworker, episode=episode),
    ]
    actions.remove_episode(by=colleague, episode=again(episode))
    told = Change.objects.count()
    for call in late:
        with pytest.raises(Refused, match="somebody else has removed this"):
            call()
    assert Change.objects.count() == told

    actions.remove_client(by=colleague, client=again(episode.client))
    late += [
        lambda: actions.save(by=keyworker, record=episode.client, typed={"SEX": "F"}),
        lambda: actions.add_note(by=keyworker, client=episode.client, text="made up"),
        lambda: actions.remove_client(by=keyworker, client=episode.client),
    ]
    for call in late:
        with pytest.raises(Refused, match="somebody else has removed this"):
            call()


# ---- what should not change ------------------------------------------------------------------------


def test_nobody_is_asked_on_the_day_a_record_is_begun(begun, keyworker):
    episode = begun(OFFENCE="X01")

    assert actions.save(by=keyworker, record=episode, typed={"OFFENCE": "X02"}).is_whole


@pytest.mark.parametrize("how", ["the day after", "extracted", "closed"])
def test_a_change_of_what_should_not_change_asks(on_caseload, keyworker, how):
    episode = on_caseload(OFFENCE="X01")
    if how == "closed":
        closed(keyworker, episode)
    elif how == "extracted":
        Episode.objects.update(extracted=timezone.now())
    else:
        settled(episode)

    saved = actions.save(by=keyworker, record=episode, typed={"OFFENCE": "X02", "ROUTE": "1"})

    assert (saved.asks, saved.changed, saved.is_whole) == (("OFFENCE",), ("ROUTE",), False)
    assert again(episode).values["OFFENCE"] == "X01"
    assert actions.save(by=keyworker, record=episode, typed={"OFFENCE": "X02"}, why="whatever").asks == ("OFFENCE",)


def test_to_fill_a_blank_never_asks_and_to_blank_what_was_filled_does(begun, keyworker):
    episode = settled(begun(OFFENCE="", REFLD="01/06/2025"))

    assert actions.save(by=keyworker, record=episode, typed={"OFFENCE": "X01"}).is_whole
    assert actions.save(by=keyworker, record=episode, typed={"REFLD": " "}).asks == ("REFLD",)


def test_what_may_change_is_not_asked_about(begun, keyworker):
    episode = settled(begun(PC=GATESHEAD))
    still = {h for h in KEPT[Entity.EPISODE] if DATASET.by_header[h].changes is Changes.MAY}

    assert still == {"PC", "DAT", "UTLA"}
    assert actions.save(by=keyworker, record=episode, typed={"PC": EDINBURGH, "DAT": "Z00B"}).is_whole


def test_a_correction_is_saved_and_the_history_says_that_it_is_one(begun, keyworker):
    episode = settled(begun(OFFENCE="X01"))
    saved = actions.save(by=keyworker, record=episode, typed={"OFFENCE": "X02"}, why=actions.CORRECTION)

    assert saved.is_whole
    change = Change.objects.filter(episode=episode).first()
    assert change
    assert (change.why, change.fields) == ("correction", {"OFFENCE": ["X01", "X02"]})


def test_a_new_fact_belongs_into_the_next_episode_and_is_not_saved(begun, keyworker):
    episode = settled(begun(HOUSING="3"))
    saved = actions.save(by=keyworker, record=episode, typed={"HOUSING": "17"}, why=actions.NEW_FACT)

    assert (saved.later, saved.changed, saved.is_whole) == (("HOUSING",), (), False)
    assert values(episode)["HOUSING"] == "3"


def test_a_legal_change_of_name_is_saved_as_a_new_fact(begun, keyworker):
    client = settled(begun(FINITIAL="M", SINITIAL="S", DOB="01/03/1985").client)
    typed = {"SINITIAL": "O", "DOB": "01/03/1986"}

    assert actions.save(by=keyworker, record=client, typed=typed).asks == ("SINITIAL", "DOB")
    saved = actions.save(by=keyworker, record=client, typed=typed, why=actions.NEW_FACT)

    assert (saved.changed, saved.later) == (("SINITIAL",), ("DOB",))
    assert again(client).initials == "MO"


def test_a_correction_that_needs_none_is_not_called_one(begun, keyworker):
    episode = settled(begun())
    actions.save(by=keyworker, record=episode, typed={"OFFENCE": "X01"}, why=actions.CORRECTION)
    actions.save(by=keyworker, record=episode, typed={"PARENT": "N", "PRNTSTAT": ""}, why="x" * 500)

    assert set(Change.objects.values_list("why", flat=True)) == {""}


# ---- questions that do not apply any more ----------------------------------------------------------


def test_an_answer_that_does_not_apply_any_more_goes_and_the_history_keeps_it(begun, keyworker):
    episode = begun(PARENT="Y", PRNTSTAT="11", EHCS="2", EHCSC2="4", EHCSC3="6", CHILDWTH="0")
    page = again(episode).values

    saved = actions.save(by=keyworker, record=episode, typed=page | {"PARENT": "N"}, was=page)

    assert saved.dropped == ("PRNTSTAT", "EHCS", "EHCSC2", "EHCSC3")
    assert values(episode) == {"PARENT": "N", "CHILDWTH": "0"}
    assert changes(episode)[-1]["PRNTSTAT"] == ["11", ""]


def test_an_answer_typed_together_with_one_by_which_it_does_not_apply_is_in_the_history(begun, keyworker, colleague):
    episode = begun()
    saved = actions.save(by=colleague, record=episode, typed={"PARENT": "N", "PRNTSTAT": "11"})

    assert saved.dropped == ("PRNTSTAT",)
    change = Change.objects.get(episode=episode, by=colleague)
    assert change.fields == {"PARENT": ["", "N"], "PRNTSTAT": ["11", ""]}

    # A page that saves itself sends it again each time.
    for text in ("2", "3"):
        typed = {"PARENT": "N", "PRNTSTAT": "11", "CHILDWTH": text}
        assert actions.save(by=colleague, record=episode, typed=typed).dropped == ("PRNTSTAT",)
    change = Change.objects.get(episode=episode, by=colleague)
    assert change.fields == {"PARENT": ["", "N"], "PRNTSTAT": ["11", ""], "CHILDWTH": ["", "3"]}


def test_a_page_takes_out_nothing_of_another_page(begun, keyworker):
    """A contradiction that came in a file is told on its own page, and not settled behind anybody's back."""
    episode = begun()
    Episode.objects.update(values={"PARENT": "N", "PRNTSTAT": "11"})

    saved = actions.save(by=keyworker, record=episode, typed={"RELIGION": "A"})

    assert saved.dropped == ()
    assert values(episode) == {"PARENT": "N", "PRNTSTAT": "11", "RELIGION": "A"}
    assert "PRNTSTAT.is_blank_unless_a_parent" in {told.rule.id for told in record.told(again(episode))}


# ---- where a client lives --------------------------------------------------------------------------


def lives(by: Person, episode: Episode, **typed: str) -> tuple[str, str]:
    actions.save(by=by, record=episode, typed=typed)
    now = values(episode)
    return now.get("UTLA", ""), now.get("DAT", "")


@pytest.fixture
def ours(agency) -> str:
    Agency.objects.filter(pk=agency.pk).update(dat="F06B")
    agency.refresh_from_db()
    return "F06B"


def test_the_agencys_own_dat_is_taken_for_no_fixed_abode(begun, keyworker, ours):
    episode = begun()
    assert lives(keyworker, episode, PC=GATESHEAD) == ("E08000037", "A09B")
    assert lives(keyworker, episode, PC=NOWHERE) == ("", ours)
    assert lives(keyworker, episode, UTLA="E08000024") == ("E08000024", ours)
    assert lives(keyworker, episode, PC="ZZ99 3") == ("E08000024", ours)
    assert lives(keyworker, episode, PC=SUNDERLAND) == ("E08000024", "A12B")
    assert lives(keyworker, episode, PC=UNKNOWN) == ("", "")


def test_of_no_fixed_abode_it_is_taken_also_where_another_was_chosen_for_a_place(begun, keyworker, ours):
    episode = begun()
    assert lives(keyworker, episode, PC=UNKNOWN, DAT="00EQ") == ("", "00EQ")
    assert lives(keyworker, episode, PC=NOWHERE) == ("", ours)
    assert lives(keyworker, episode, PC=GATESHEAD) == ("E08000037", "A09B")


STILL_THERE = "The postcode is now in Sunderland, and the DAT of residence is still Manchester: choose which is right"


def test_a_dat_that_somebody_chose_is_neither_kept_silently_nor_replaced_when_the_client_moves(begun, keyworker, ours):
    episode = begun()
    assert lives(keyworker, episode, PC=GATESHEAD, DAT="B18B") == ("E08000037", "B18B")
    assert record.left_behind(again(episode)) == ""
    assert lives(keyworker, episode, PC=SUNDERLAND) == ("E08000024", "B18B")
    assert record.left_behind(again(episode)) == STILL_THERE

    # An answer to another question settles nothing.
    lives(keyworker, episode, HOUSING="8")
    assert record.left_behind(again(episode)) == STILL_THERE

    actions.save(by=keyworker, record=episode, typed={}, sure=["DAT"])
    assert record.left_behind(again(episode)) == ""
    assert values(episode)["DAT"] == "B18B"
    assert again(episode).client.changes.first().what == "said that the DAT is right"


def test_choosing_a_dat_settles_which_is_right(begun, keyworker):
    episode = begun(PC=GATESHEAD, DAT="B18B")
    lives(keyworker, episode, PC=SUNDERLAND)
    lives(keyworker, episode, DAT="A09B")

    assert record.left_behind(again(episode)) == ""
    # It was said of that postcode, and of no later one.
    lives(keyworker, episode, PC="M1 1AE")
    assert "now in Manchester, and the DAT of residence is still Gateshead" in record.left_behind(again(episode))


def test_a_client_who_moves_takes_no_dat_along_that_the_old_postcode_told_though_it_was_cut(begun, keyworker):
    """As in a file that was imported: SR3 4 lies in Sunderland, and no whole postcode was ever known."""
    episode = begun(PC="SR3 4", DAT="A12B")

    assert lives(keyworker, episode, PC="M1 1AE") == ("E08000003", "B18B")
    assert record.left_behind(again(episode)) == ""


def test_of_a_cut_postcode_that_lies_in_several_areas_any_of_these_dats_was_told_by_it(begun, keyworker):
    areas = authorities_of_sector("NE9 7")
    assert {authorities()[code].name for code in areas} == {"Gateshead", "Sunderland"}

    for dat in ("A09B", "A12B"):
        assert lives(keyworker, begun(PC="NE9 7", DAT=dat), PC="M1 1AE") == ("E08000003", "B18B")


def test_a_dat_of_no_fixed_abode_does_not_outlive_it(begun, keyworker, ours):
    episode = begun(PC=NOWHERE)
    assert lives(keyworker, episode, DAT="B18B") == ("", "B18B")
    assert lives(keyworker, episode, PC=SUNDERLAND) == ("E08000024", "A12B")


def test_a_dat_that_was_there_before_any_postcode_is_asked_about_unless_the_postcode_tells_it(begun, keyworker):
    episode = begun()
    lives(keyworker, episode, DAT="A12B")
    assert lives(keyworker, episode, PC=SUNDERLAND) == ("E08000024", "A12B")
    assert record.left_behind(again(episode)) == ""

    other = begun(DAT="B18B")
    assert lives(keyworker, other, PC=SUNDERLAND) == ("E08000024", "B18B")
    assert record.left_behind(again(other)) == STILL_THERE


def test_of_a_postcode_whose_area_nobody_knows_here_an_old_dat_is_asked_about_all_the_same(begun, keyworker):
    episode = begun(PC=GATESHEAD, DAT="B18B")

    assert lives(keyworker, episode, PC=UNKNOWN) == ("", "B18B")
    assert record.left_behind(again(episode)) == (
        "The area of the new postcode is not known here, and the DAT of residence is still Manchester:"
        " choose which is right"
    )


def test_what_is_no_postcode_asks_nothing_of_the_dat(begun, keyworker):
    episode = begun(PC=GATESHEAD, DAT="B18B")

    assert lives(keyworker, episode, PC="near the station") == ("", "B18B")
    assert record.left_behind(again(episode)) == ""


def test_what_is_to_be_said_of_a_move_is_not_forgotten_in_the_next_episode(begun, keyworker):
    episode = begun(PC=GATESHEAD, DAT="B18B", TRIAGED="01/06/2025")
    lives(keyworker, episode, PC=SUNDERLAND)
    actions.close_episode(by=keyworker, episode=episode, typed={"DISD": "01/06/2025", "CJDISRSN": "73"})

    assert record.left_behind(actions.begin_episode(by=keyworker, client=episode.client)) == STILL_THERE


def test_a_client_from_scotland_who_is_of_no_fixed_abode_here_has_the_agencys_dat(begun, keyworker, ours):
    episode = begun()
    assert lives(keyworker, episode, PC=EDINBURGH) == ("", "Z00B")
    assert lives(keyworker, episode, PC=NOWHERE) == ("", ours)


def test_outside_the_uk_is_not_of_no_fixed_abode(begun, keyworker, ours):
    episode = begun(DAT="Z00B")
    assert lives(keyworker, episode, PC=NOWHERE) == ("", "Z00B")
    assert lives(keyworker, begun(), PC=NOWHERE, DAT="Z00B") == ("", "Z00B")


def test_an_agency_that_has_told_no_dat_of_its_own_is_asked(begun, keyworker):
    episode = begun()
    assert lives(keyworker, episode, PC=GATESHEAD) == ("E08000037", "A09B")
    assert lives(keyworker, episode, PC=NOWHERE) == ("", "")


def test_where_two_people_chose_an_authority_none_is_filled_in_over_them(begun, keyworker, colleague, ours):
    episode = begun(PC=NOWHERE)
    was = {"PC": NOWHERE, "UTLA": ""}
    actions.save(by=colleague, record=episode, typed={"UTLA": "E08000024"}, was=was)

    saved = actions.save(by=keyworker, record=episode, typed={"PC": GATESHEAD, "UTLA": "E08000037"}, was=was)

    assert [clash.header for clash in saved.clashes] == ["UTLA"]
    assert values(episode)["UTLA"] == "E08000024"


# ---- the reference ---------------------------------------------------------------------------------


def test_a_reference_is_a_running_number_that_nobody_has(begun, keyworker):
    begun(CLIENT="c2")
    one, two, other = (begun().client for _ in range(3))
    actions.save(by=keyworker, record=other, typed={"CLIENT": "mine"})

    assert actions.allocate_reference(by=keyworker, client=one) == "C1"
    assert actions.allocate_reference(by=keyworker, client=two) == "C3"
    assert actions.allocate_reference(by=keyworker, client=two) == "C3"
    assert actions.allocate_reference(by=keyworker, client=other) == "mine"
    assert values(two) == {"CLIENT": "C3"}
    assert again(two).reference == "C3"


def test_a_reference_given_the_day_after_is_no_change(begun, keyworker):
    client = settled(begun().client)

    assert actions.allocate_reference(by=keyworker, client=client) == "C1"


# ---- closing ---------------------------------------------------------------------------------------


def problems(by: Person, episode: Episode, destination: str = "", **typed: str) -> Mapping[str, str]:
    with pytest.raises(actions.NotClosed) as told:
        actions.close_episode(by=by, episode=episode, typed=typed, destination=destination)
    assert again(episode).open
    return told.value.problems


def test_no_episode_is_closed_by_half(on_caseload, keyworker):
    episode = on_caseload()
    tomorrow = (timezone.localdate() + timedelta(days=1)).strftime("%d/%m/%Y")

    assert set(problems(keyworker, episode)) == {"DISD", "CJDISRSN"}
    assert set(problems(keyworker, episode, DISD="01/09/2025")) == {"CJDISRSN"}
    assert set(problems(keyworker, episode, CJDISRSN="10")) == {"DISD"}
    assert "real date" in problems(keyworker, episode, DISD="31/02/2025", CJDISRSN="10")["DISD"]
    assert "today or earlier" in problems(keyworker, episode, DISD=tomorrow, CJDISRSN="10")["DISD"]
    assert "caseload start" in problems(keyworker, episode, DISD="01/06/2025", CJDISRSN="10")["DISD"]


def test_a_reason_is_of_the_stage_the_client_was_at(begun, on_caseload, keyworker):
    assert "prior to caseload" in problems(keyworker, begun(), DISD="01/09/2025", CJDISRSN="10")["CJDISRSN"]
    assert "from caseload" in problems(keyworker, on_caseload(), DISD="01/09/2025", CJDISRSN="73")["CJDISRSN"]
    closed(keyworker, begun(TRIAGED="01/06/2025"), reason="73")


def test_who_goes_to_prison_is_closed_with_the_prison_which_stays_here(on_caseload, keyworker):
    episode = on_caseload()
    typed = {"DISD": "01/09/2025", "CJDISRSN": "13"}
    assert "prison" in problems(keyworker, episode, destination=" \0 ", **typed)["destination"]

    actions.close_episode(by=keyworker, episode=episode, typed=typed, destination="DMI\0")

    episode = again(episode)
    assert episode.local == {"destination": "DMI"}
    assert "DMI" not in record.texts(episode.client, episode, None).values()


def test_a_transfer_not_in_custody_is_closed_once_its_referral_is_there(on_caseload, keyworker):
    episode = on_caseload()
    typed = {"DISD": "01/09/2025", "CJDISRSN": "99"}
    assert "Add the referral" in problems(keyworker, episode, **typed)["CJDISRSN"]

    actions.add_referral(by=keyworker, episode=episode, typed={"REFDATE": "01/09/2025"})
    closed(keyworker, episode, reason="99")


def test_an_episode_that_came_open_beside_a_newer_one_is_closed_before_that_began(on_caseload, keyworker):
    older = on_caseload()
    newer = actions._begin_episode(keyworker, older.client, {"TRIAGED": "01/09/2025"})
    assert newer.open
    assert again(older).open

    assert "newest" in problems(keyworker, older, DISD="02/09/2025", CJDISRSN="10")["DISD"]
    closed(keyworker, older, day="01/09/2025")


def test_a_closure_that_is_there_is_changed_as_a_correction_only(on_caseload, keyworker):
    episode = closed(keyworker, on_caseload())
    typed = {"DISD": "02/09/2025", "CJDISRSN": "10"}
    assert actions.close_episode(by=keyworker, episode=episode, typed=again(episode).values) == actions.Saved()

    assert actions.close_episode(by=keyworker, episode=episode, typed=typed).asks == ("DISD",)
    assert again(episode).closed == date(2025, 9, 1)
    assert actions.close_episode(by=keyworker, episode=episode, typed=typed, why="correction").changed == ("DISD",)
    assert again(episode).closed == date(2025, 9, 2)
    assert Change.objects.filter(episode=episode).values_list("what", "why")[0] == ("changed an episode", "correction")


def test_a_closure_made_by_mistake_is_taken_back(on_caseload, keyworker):
    episode = closed(keyworker, on_caseload())
    actions.take_back_closure(by=keyworker, episode=episode)
    actions.take_back_closure(by=keyworker, episode=episode)

    assert again(episode).open
    change = Change.objects.get(what="took back a closure")
    assert change.fields == {"DISD": ["01/09/2025", ""], "CJDISRSN": ["10", ""]}


def test_a_closure_is_not_taken_back_while_a_newer_episode_is_open(on_caseload, keyworker):
    first = closed(keyworker, on_caseload())
    second = actions.begin_episode(by=keyworker, client=first.client)
    with pytest.raises(Refused, match="two cannot be open at once"):
        actions.take_back_closure(by=keyworker, episode=first)

    actions.remove_episode(by=keyworker, episode=second)
    actions.take_back_closure(by=keyworker, episode=first)
    assert again(first).open


# ---- removing --------------------------------------------------------------------------------------


def test_what_was_in_an_extract_is_not_removed(begun, keyworker):
    episode = begun()
    Episode.objects.update(extracted=timezone.now())
    Client.objects.update(extracted=timezone.now())

    with pytest.raises(Refused, match="in an extract"):
        actions.remove_episode(by=keyworker, episode=episode)
    with pytest.raises(Refused, match="withdraw consent"):
        actions.remove_client(by=keyworker, client=episode.client)


def test_a_referral_that_is_removed_is_told_with_the_date_it_had(begun, keyworker, colleague):
    episode = begun()
    stale = actions.add_referral(by=keyworker, episode=episode, typed={"REFDATE": "01/06/2025"})
    actions.save(by=colleague, record=stale, typed={"REFDATE": "02/06/2025"})
    before = again(episode).changed

    actions.remove_referral(by=keyworker, referral=stale)

    assert Change.objects.get(what="removed a referral").fields == {"REFDATE": ["02/06/2025", ""]}
    assert again(episode).changed > before
    assert not Referral.objects.exists()


# ---- the history -----------------------------------------------------------------------------------


def changes(episode: Episode) -> list[Any]:
    found = Change.objects.filter(episode=episode, what="changed an episode")
    return [each.fields for each in reversed(found)]


def test_saves_that_follow_one_another_are_one_change_and_one_audit_event(begun, keyworker):
    episode = begun()
    noted = AuditEvent.objects.count()
    for text in ("A", "B", "C"):
        actions.save(by=keyworker, record=episode, typed={"RELIGION": text})

    assert changes(episode) == [{"RELIGION": ["", "C"]}]
    assert AuditEvent.objects.count() == noted + 1


def test_saves_of_another_a_while_later_or_of_another_record_are_changes_of_their_own(begun, keyworker, colleague):
    episode = begun()
    actions.save(by=keyworker, record=episode, typed={"RELIGION": "A"})
    actions.save(by=colleague, record=episode, typed={"RELIGION": "B"})
    actions.save(by=keyworker, record=episode, typed={"RELIGION": "C"})
    Change.objects.update(at=timezone.now() - actions.TOGETHER)
    actions.save(by=keyworker, record=episode, typed={"RELIGION": "D"})
    actions.save(by=keyworker, record=episode.client, typed={"SEX": "F"})
    actions.save(by=keyworker, record=episode, typed={"RELIGION": "E"})

    pairs = [fields["RELIGION"] for fields in changes(episode)]
    assert sorted(pairs) == [["", "A"], ["A", "B"], ["B", "C"], ["C", "D"], ["D", "E"]]


def test_what_an_extract_had_in_between_is_not_hidden(begun, keyworker, agency):
    episode = begun()
    actions.save(by=keyworker, record=episode, typed={"RELIGION": "A"})
    now = timezone.now()
    Extract.objects.create(agency=agency, by=keyworker, at=now, until=now.date(), scope="full", name="x", sha256="0")
    actions.save(by=keyworker, record=episode, typed={"RELIGION": "B"})

    assert changes(episode) == [{"RELIGION": ["", "A"]}, {"RELIGION": ["A", "B"]}]


def test_no_value_of_a_record_is_in_the_audit_trail(begun, keyworker, person_with, agency):
    secret = ["17/03/1985", "NE8 1HH", "SECRET", "a made-up note", "DMI", "signed in blue"]
    episode = begun(DOB=secret[0], PC=secret[1], CLIENT=secret[2], TRIAGED="01/06/2025", CPLANDT="01/06/2025")
    client, today = episode.client, timezone.localdate()
    actions.save(by=keyworker, record=episode, typed={"RELIGION": secret[2]})
    referral = actions.add_referral(by=keyworker, episode=episode, typed={"REFDATE": secret[0]})
    actions.save(by=keyworker, record=referral, typed={"REFDATE": "18/03/1985"})
    actions.remove_referral(by=keyworker, referral=referral)
    contact = actions.add_contact(
        by=keyworker, episode=episode, on=today, kind="office", face_to_face=True, note=secret[3]
    )
    actions.remove_contact(by=keyworker, contact=contact)
    assessed = actions.add_intervention(
        by=keyworker, episode=episode, on=today, kinds=["RECHSE"], leaving=True, note=secret[3]
    )
    actions.remove_intervention(by=keyworker, intervention=assessed)
    actions.add_note(by=keyworker, client=client, text=secret[3])
    actions.record_consent(by=keyworker, client=client, given=True, on=today, evidence=secret[5])
    actions.close_episode(
        by=keyworker, episode=episode, typed={"DISD": "01/09/2025", "CJDISRSN": "13"}, destination=secret[4]
    )
    actions.take_back_closure(by=keyworker, episode=episode)
    actions.remove_episode(by=keyworker, episode=episode)
    actions.allocate_reference(by=keyworker, client=begun().client)
    actions.remove_client(by=keyworker, client=client)

    events = list(AuditEvent.objects.filter(person=keyworker))
    assert len(events) >= 15
    for event in events:
        told = f"{event.action} {event.about} {event.counts}"
        assert not [text for text in (*secret, client.clientid, episode.episodid, "RECHSE") if text in told]
        assert set(event.counts) <= {"fields"}


# ---- whatever people do ----------------------------------------------------------------------------


def replayed(client: Client) -> dict[tuple[str, int], dict[str, str]]:
    """The values of a client's records, by the history alone."""
    told: dict[tuple[str, int], dict[str, str]] = {}
    for change in reversed(Change.objects.filter(client=client)):
        for header, (before, after) in change.fields.items():
            entity = DATASET.by_header[header].entity if header in DATASET.by_header else None
            match entity:
                case Entity.CLIENT:
                    key = ("Client", client.pk)
                case Entity.EPISODE if change.episode_id and header != "CONSENT":
                    key = ("Episode", change.episode_id)
                case Entity.REFERRAL if change.referral_id:
                    key = ("Referral", change.referral_id)
                case _:
                    continue
            known = told.setdefault(key, {})
            assert before == known.get(header, "") or not after
            known[header] = after
    return {key: {h: text for h, text in known.items() if text} for key, known in told.items()}


def records_of(client: Client) -> list[Record]:
    return [client, *client.episodes.all(), *Referral.objects.filter(episode__client=client)]


def computed(it: Any) -> dict[str, Any]:
    """All columns of a client or episode."""
    return {f.attname: getattr(it, f.attname) for f in it._meta.concrete_fields}


CODES = sorted({code for codes in DATASET.lists.values() for code in codes.codes[:3]})
DAYS = ("01/06/2025", "02/06/2025", "2025-09-01", "1.10.2025", "29 Feb 2024", "31/02/2025", "31/12/9999", "٠١/٠٣/٢٠٢٦")
ODD = ("", " ", "\0", "\U0001f600", "\u202eabc", "N", "Y", "NN", "98", "0", "3", "٣", "ß", "x" * 400, "x" * 401)
POSTCODES = (GATESHEAD, "ne81hh", "NE8 1", EDINBURGH, UNKNOWN, NOWHERE, "zz99 3", "NR14", "flat 2")
texts = st.one_of(st.sampled_from((*DAYS, *ODD, *POSTCODES)), st.sampled_from(CODES), st.text(max_size=20))
whys = st.sampled_from(["", actions.CORRECTION, actions.NEW_FACT, "odd"])
TODAY = timezone.localdate
days = st.dates(date(2025, 1, 1), date(2025, 12, 31))


class Caseload(RuleBasedStateMachine):
    """Two people, one client and all there may be of them, beside clients whom nobody touches."""

    people: tuple[Person, Person]
    agencies: tuple[Agency, Agency]

    def __init__(self) -> None:
        super().__init__()
        self.atomic = transaction.atomic()
        self.atomic.__enter__()
        self.ids: dict[tuple[str, int], str] = {}
        first = [actions.begin_client(by=self.people[0], agency=a, typed={"SEX": "F"}) for a in self.agencies]
        self.others = [it for episode in first for it in (episode.client, episode)]
        self.untouched = [computed(again(it)) for it in self.others]
        self.client = actions.begin_client(by=self.people[0], agency=self.agencies[0], typed={}).client
        self.shown: list[dict[str, str]] = []

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.atomic.__exit__(None, None, None)

    def one(self, some: Any, data: Any) -> Any:
        return data.draw(st.sampled_from(sorted(some, key=lambda it: it.pk)))

    def by(self, data: Any) -> Person:
        return data.draw(st.sampled_from(self.people))

    def any_episode(self) -> bool:
        return self.client.episodes.exists()

    @rule(data=st.data(), why=whys)
    def somebody_saves_a_page(self, data: Any, why: str) -> None:
        it = self.one(records_of(self.client), data)
        pages = {
            Client: (questions.CLIENT_DETAILS,),
            Episode: (*questions.GROUPS, questions.CLOSURE),
            Referral: (questions.REFERRAL,),
        }[type(it)]
        page = data.draw(st.sampled_from(pages))
        before = again(it).values
        now = {h: before.get(h, "") for h in page.headers}
        was = data.draw(st.sampled_from([None, now, *({**now, **some} for some in self.shown[-3:])]))
        some = data.draw(st.dictionaries(st.sampled_from(page.headers), texts, max_size=4))
        typed = {**(was or now), **some}
        self.shown.append({h: now[h] for h in data.draw(st.sets(st.sampled_from(page.headers), max_size=3))})
        try:
            saved = actions.save(by=self.by(data), record=it, typed=typed, was=was, why=why)
        except Refused:
            assert any(len(text) > actions.LONGEST for text in typed.values())
            assert again(it).values == before
            return
        after = again(it).values
        told = {*saved.asks, *saved.later, *(clash.header for clash in saved.clashes)}
        for header, text in typed.items():
            if header in questions.CLOSURE.headers:
                assert after.get(header, "") == before.get(header, "")
            elif header in told:
                assert not saved.is_whole
                assert after.get(header, "") in (before.get(header, ""), "")
            elif header in saved.dropped:
                assert after[header] == ""
            elif header in saved.others or plain(header, (was or now)[header]) == plain(header, text):
                # Nobody touched it on this page: it is as it was, or follows the postcode.
                assert after.get(header, "") == before.get(header, "") or header in ("UTLA", "DAT")
            else:
                assert after[header] == plain(header, text)
        for header in {*before, *after} - {*typed}:
            assert after.get(header, "") == before.get(header, "") or header in {*saved.dropped, "UTLA", "DAT"}
        assert set(saved.changed) >= {h for h in {*before, *after} if before.get(h, "") != after.get(h, "")}

    @rule(data=st.data())
    def a_client_presents_again(self, data: Any) -> None:
        was_open = self.client.episodes.filter(open=True).exists()
        try:
            actions.begin_episode(by=self.by(data), client=self.client)
        except Refused:
            assert was_open
        else:
            assert not was_open

    @precondition(any_episode)
    @rule(
        data=st.data(),
        reason=st.sampled_from(["10", "73", "99", "13", "8", "", "?"]),
        day=st.sampled_from(DAYS),
        why=whys,
    )
    def somebody_closes_an_episode(self, data: Any, reason: str, day: str, why: str) -> None:
        episode = self.one(self.client.episodes.all(), data)
        was = again(episode).values
        typed = {"DISD": day, "CJDISRSN": reason}
        try:
            saved = actions.close_episode(
                by=self.by(data), episode=episode, typed=typed, destination=data.draw(texts), why=why
            )
        except actions.NotClosed:
            assert again(episode).values == was
        else:
            assert not again(episode).open
            assert saved.is_whole or again(episode).values == was

    @precondition(any_episode)
    @rule(data=st.data())
    def somebody_takes_a_closure_back(self, data: Any) -> None:
        with suppress(Refused):
            actions.take_back_closure(by=self.by(data), episode=self.one(self.client.episodes.all(), data))

    @precondition(any_episode)
    @rule(data=st.data(), text=texts)
    def somebody_adds_a_referral(self, data: Any, text: str) -> None:
        with suppress(Refused):
            episode = self.one(self.client.episodes.all(), data)
            actions.add_referral(by=self.by(data), episode=episode, typed={"REFDATE": text})

    @precondition(lambda self: Referral.objects.filter(episode__client=self.client).exists())
    @rule(data=st.data())
    def somebody_removes_a_referral(self, data: Any) -> None:
        actions.remove_referral(
            by=self.by(data), referral=self.one(Referral.objects.filter(episode__client=self.client), data)
        )

    @precondition(any_episode)
    @rule(data=st.data())
    def somebody_removes_an_episode(self, data: Any) -> None:
        episode = self.one(self.client.episodes.all(), data)
        with suppress(Refused):
            actions.remove_episode(by=self.by(data), episode=episode)

    @precondition(any_episode)
    @rule(data=st.data(), on=days, kind=st.sampled_from(Contact.Kind.values), met=st.booleans(), custody=st.booleans())
    def a_contact(self, data: Any, on: date, kind: str, met: bool, custody: bool) -> None:
        episode = self.one(self.client.episodes.all(), data)
        actions.add_contact(by=self.by(data), episode=episode, on=on, kind=kind, face_to_face=met, custody=custody)

    @precondition(lambda self: Contact.objects.filter(episode__client=self.client).exists())
    @rule(data=st.data())
    def no_contact_after_all(self, data: Any) -> None:
        contact = self.one(Contact.objects.filter(episode__client=self.client), data)
        actions.remove_contact(by=self.by(data), contact=contact)

    @precondition(any_episode)
    @rule(data=st.data(), on=days, leaving=st.booleans())
    def interventions(self, data: Any, on: date, leaving: bool) -> None:
        with suppress(Refused):
            episode = self.one(self.client.episodes.all(), data)
            actions.add_intervention(by=self.by(data), episode=episode, on=on, kinds=["RECHSE"], leaving=leaving)

    @precondition(lambda self: Intervention.objects.filter(episode__client=self.client).exists())
    @rule(data=st.data())
    def no_interventions_after_all(self, data: Any) -> None:
        assessed = self.one(Intervention.objects.filter(episode__client=self.client), data)
        actions.remove_intervention(by=self.by(data), intervention=assessed)

    @rule(data=st.data(), given=st.booleans(), on=days)
    def consent(self, data: Any, given: bool, on: date) -> None:
        actions.record_consent(by=self.by(data), client=self.client, given=given, on=on)
        assert again(self.client).consent == ("Y" if given else "N")

    @rule(data=st.data())
    def a_reference(self, data: Any) -> None:
        given = actions.allocate_reference(by=self.by(data), client=self.client)
        assert again(self.client).values["CLIENT"] == given != ""

    @rule()
    def a_day_passes(self) -> None:
        yesterday = TODAY() - timedelta(days=1)
        Client.objects.filter(pk=self.client.pk).update(begun=yesterday)
        self.client.episodes.update(begun=yesterday)

    @rule()
    def an_extract_has_it_all(self) -> None:
        now = timezone.now()
        for it in records_of(self.client):
            type(it).objects.filter(pk=it.pk, extracted=None).update(extracted=now)

    @invariant()
    def no_more_than_one_episode_is_open(self) -> None:
        assert self.client.episodes.filter(open=True).count() <= 1

    @invariant()
    def what_is_computed_is_what_would_be_computed_now(self) -> None:
        client = again(self.client)
        episodes = list(client.episodes.all())
        before = [computed(it) for it in (client, *episodes)]
        anew = copy.deepcopy([client, *episodes])
        record.settle(anew[0], anew[1:], today=TODAY())
        assert [computed(it) for it in anew] == before
        assert [each.missing + each.faults for each in episodes] == [len(record.told(each)) for each in episodes]
        for referral in Referral.objects.filter(episode__client=client):
            assert referral.dated == record.day_of(referral.values.get("REFDATE", ""))

    @invariant()
    def ids_never_change(self) -> None:
        keys = {Client: "clientid", Episode: "episodid", Referral: "referid"}
        now = {(type(it).__name__, it.pk): getattr(it, keys[type(it)]) for it in records_of(again(self.client))}
        assert len(set(now.values())) == len(now)
        assert {key: self.ids.get(key, text) for key, text in now.items()} == now
        self.ids |= now

    @invariant()
    def the_history_gives_the_values_of_now(self) -> None:
        told = replayed(self.client)
        for it in records_of(again(self.client)):
            assert values(it) == told.get((type(it).__name__, it.pk), {})

    @invariant()
    def nothing_of_another_client_is_changed(self) -> None:
        assert [computed(again(it)) for it in self.others] == self.untouched


@pytest.fixture
def machine(keyworker, colleague, agency, other_agency, ours) -> type[Caseload]:
    class Here(Caseload):
        people = (keyworker, colleague)
        agencies = (agency, other_agency)

    return Here


@pytest.mark.dear
def test_whatever_people_do_the_store_keeps_its_rules(machine):
    run_state_machine_as_test(
        machine,
        settings=settings(
            # An example is twenty things that people do.
            max_examples=10,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


# ---- at the same moment ----------------------------------------------------------------------------


def together(*calls: Callable[[], Any]) -> list[Any]:
    """Several calls at the same moment, each on a connection of its own; what each gave or raised."""
    told: list[Any] = [None] * len(calls)
    ready = threading.Barrier(len(calls))

    def run(place: int, call: Callable[[], Any]) -> None:
        try:
            ready.wait()
            told[place] = call()
        except Exception as problem:
            told[place] = problem
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=each) for each in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return told


@pytest.mark.process
@pytest.mark.django_db(transaction=True)
def test_two_people_saving_different_fields_at_once_both_keep_theirs(begun, keyworker, colleague):
    for _ in range(5):
        episode = begun()
        was = {"RELIGION": "", "SEXUALO": ""}
        told = together(
            partial(actions.save, by=keyworker, record=episode, typed=was | {"RELIGION": "A"}, was=was),
            partial(actions.save, by=colleague, record=episode, typed=was | {"SEXUALO": "1"}, was=was),
        )

        assert [saved.is_whole for saved in told] == [True, True]
        assert values(episode) == {"RELIGION": "A", "SEXUALO": "1"}
        assert replayed(episode.client)["Episode", episode.pk] == values(episode)


@pytest.mark.process
@pytest.mark.django_db(transaction=True)
def test_of_two_people_saving_one_field_at_once_one_is_told_of_the_other(begun, keyworker, colleague):
    for _ in range(5):
        episode = begun()
        told = together(
            partial(actions.save, by=keyworker, record=episode, typed={"RELIGION": "A"}, was={"RELIGION": ""}),
            partial(actions.save, by=colleague, record=episode, typed={"RELIGION": "B"}, was={"RELIGION": ""}),
        )

        (clash,) = [clash for saved in told for clash in saved.clashes]
        assert clash.now == values(episode)["RELIGION"] != clash.typed
        assert sorted(saved.is_whole for saved in told) == [False, True]


@pytest.mark.process
@pytest.mark.django_db(transaction=True)
def test_two_references_given_at_once_differ(begun, keyworker, colleague):
    for _ in range(5):
        one, two = begun().client, begun().client
        told = together(
            partial(actions.allocate_reference, by=keyworker, client=one),
            partial(actions.allocate_reference, by=colleague, client=two),
        )
        assert len(set(told)) == 2
        same = together(*[partial(actions.allocate_reference, by=keyworker, client=one)] * 2)
        assert same == [told[0], told[0]]


@pytest.mark.process
@pytest.mark.django_db(transaction=True)
def test_of_two_episodes_begun_at_once_one_is_refused(on_caseload, keyworker, colleague):
    for _ in range(5):
        client = closed(keyworker, on_caseload()).client
        told = together(
            partial(actions.begin_episode, by=keyworker, client=client),
            partial(actions.begin_episode, by=colleague, client=client),
        )

        assert sorted(type(each).__name__ for each in told) == ["Episode", "Refused"]
        assert client.episodes.filter(open=True).count() == 1


@pytest.mark.process
@pytest.mark.django_db(transaction=True)
def test_a_closure_taken_back_while_an_episode_begins_leaves_one_open(on_caseload, keyworker, colleague):
    for _ in range(5):
        episode = closed(keyworker, on_caseload())
        told = together(
            partial(actions.begin_episode, by=keyworker, client=episode.client),
            partial(actions.take_back_closure, by=colleague, episode=episode),
        )

        assert sum(isinstance(each, Refused) for each in told) == 1
        assert episode.client.episodes.filter(open=True).count() == 1


@pytest.mark.process
@pytest.mark.django_db(transaction=True)
def test_a_save_while_the_client_is_removed_is_saved_or_told(begun, keyworker, colleague):
    for _ in range(5):
        episode = begun()
        saved, removed = together(
            partial(actions.save, by=keyworker, record=episode, typed={"RELIGION": "A"}),
            partial(actions.remove_client, by=colleague, client=episode.client),
        )

        assert removed is None
        assert isinstance(saved, actions.Saved | Refused)
        assert not Client.objects.filter(pk=episode.client_id).exists()


@pytest.mark.process
@pytest.mark.django_db(transaction=True)
def test_an_import_and_a_page_wait_for_one_another(begun, keyworker, colleague, agency, csv_of):
    for turn in range(5):
        episode = begun()
        actions.record_consent(by=keyworker, client=episode.client, given=True, on=timezone.localdate())
        data = csv_of({"AGNCY": agency.code, "CLIENTID": episode.client.clientid, "EPISODID": f"made{turn}"})
        imported, reference, saved = together(
            partial(actions.import_records, by=colleague, agency=agency, file=io.BytesIO(data), name="march.csv"),
            partial(actions.allocate_reference, by=keyworker, client=episode.client),
            partial(actions.save, by=keyworker, record=episode, typed={"TRIAGED": "01/06/2025"}),
        )

        assert isinstance(imported, Imported)
        assert reference == again(episode.client).reference
        assert saved.is_whole
        assert {record.day_of(values(it)["TRIAGED"]) for it in episode.client.episodes.all()} == {
            it.triaged for it in episode.client.episodes.all()
        }


def test_an_agency_that_cannot_be_is_not_found(keyworker, signed_in):
    assert signed_in(keyworker).get("/caseload/due/?agency=%00").status_code == 404
