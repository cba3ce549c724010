"""All that changes a caseload. Each is keyword-only with `by=` the actor, in one transaction, and leaves a `Change`.

What was typed is kept as it was typed, however wrong (but for how it is written, `record.plain`): the rule book says
so and refuses nothing. Where two people have
one record open, each save says what its page showed (`was`): only what somebody changed on their page is saved, and
where somebody else changed the same field meanwhile, neither text is lost (`Saved.clashes`).

Who may do what is the views' business (`access.works_at`); here a record is the agency's.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import partial
from typing import Any, BinaryIO, TypeVar

from django.db import transaction
from django.db.models import DateTimeField, Model, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone

from cjit.dataset import Changes, Entity
from cjit.datasets.q.rules import DATS_OUTSIDE_ENGLAND
from cjit.web import kept
from cjit.web.agencies.actions import Refused, edit_agency
from cjit.web.agencies.audit import note
from cjit.web.agencies.models import Agency, Person
from cjit.web.caseload import arriving, questions
from cjit.web.caseload.arriving import Arrived, Imported
from cjit.web.caseload.leaving import FULL, NEW, former, withdrawn_since
from cjit.web.caseload.models import (
    AT_WORK,
    Change,
    Client,
    Consent,
    Contact,
    Episode,
    Extract,
    Import,
    Intervention,
    Note,
    Practice,
    Record,
    Referral,
    Stage,
)
from cjit.web.caseload.record import (
    KEPT,
    NO,
    YES,
    day_of,
    identify,
    is_default_postcode,
    is_doubtful,
    keep,
    left_behind,
    look,
    met,
    places,
    plain,
    settle,
    tells,
)
from cjit.web.clock import database_now
from cjit.web.dataset import DATASET

#: Consonants but those that are mistaken for figures: an id of these holds no word, date, postcode or number.
SIGNS, LENGTH = "BCDFGHJKLMNPQRSTVWXZ", 12
#: Saves of one record by one person that follow one another within this are one change.
TOGETHER = timedelta(minutes=10)
#: How long a file is kept that is on its way out or in.
KEPT_FOR = timedelta(days=1)
#: What goes on whatever is begun after it.
_GOES_ON = (Stage.ORDERED, Stage.MAKING, Stage.MADE)
#: What is answered where a field that should not change was changed.
CORRECTION, NEW_FACT = "correction", "new fact"
#: The longest text kept of a field.
LONGEST = 400
#: Where a closure asks for a destination that nobody knows.
NOT_KNOWN = "not known"

_ENTITY: Mapping[type[Record], Entity] = {
    Client: Entity.CLIENT,
    Episode: Entity.EPISODE,
    Referral: Entity.REFERRAL,
}
_NAMES = {Client: "client details", Episode: "an episode", Referral: "a referral"}


@dataclass(frozen=True)
class Clash:
    """A field that somebody else changed while it was changed on a page: nothing was saved of it.

    `typed` is the page's text, `now` the record's, and `who` gave it that.
    """

    header: str
    typed: str
    now: str
    who: str


@dataclass(frozen=True)
class Saved:
    """What a save did.

    `changed` are the headers that have another text now; `others` those that somebody else (the value) changed since
    the page was shown; `dropped` those whose question does not apply any more. Nothing was saved of `clashes`, of what
    it `asks` about (a correction, or a new fact?), nor of `later`: new facts that belong into the next episode.
    """

    changed: tuple[str, ...] = ()
    others: Mapping[str, str] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()
    clashes: tuple[Clash, ...] = ()
    asks: tuple[str, ...] = ()
    later: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether all that was typed is saved."""
        return not (self.clashes or self.asks or self.later)


class NotClosed(Refused):
    """An episode cannot be closed so. `problems` are sentences by header (`destination` for that)."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__(next(iter(problems.values())))
        self.problems = dict(problems)


# ---- beginning -------------------------------------------------------------------------------------


@transaction.atomic
def begin_client(*, by: Person, agency: Agency, typed: Mapping[str, str]) -> Episode:
    """Begin a client, and their first episode, with what is known of the client. Returns the episode."""
    now = timezone.now()
    client = Client(agency=agency, clientid=_new_id(), changed=now, begun=timezone.localdate())
    client.values = {h: _kept(h, typed[h]) for h in KEPT[Entity.CLIENT] if typed.get(h)}
    identify(client)
    client.save()
    _remember(by, client, "began a client", {h: ("", text) for h, text in client.values.items()})
    return _begin_episode(by, client, {})


@transaction.atomic
def begin_episode(*, by: Person, client: Client) -> Episode:
    """Begin another episode of a client who presents again: a new one with a new triage date, never the old reopened.

    What seldom changes is taken over from the last one (`questions.CARRIED`), to be checked with the client. Raises
    `Refused` while an episode is open.
    """
    client = _locked(client)
    last = client.episodes.first()
    if any(each.open for each in client.episodes.all()):
        raise Refused("This client has an open episode: go on with that one, or close it before a new one begins")
    carried = {h: last.values[h] for h in questions.CARRIED if last.values.get(h)} if last else {}
    # Nor is what is to be said of a move lost.
    moved = {"moved": carried["DAT"]} if last and left_behind(last) else {}
    return _begin_episode(by, client, carried, moved)


def _begin_episode(
    by: Person, client: Client, values: dict[str, str], local: Mapping[str, str] | None = None
) -> Episode:
    episode = Episode.objects.create(
        client=client,
        agency=client.agency,
        episodid=_new_id(),
        values=values,
        local=dict(local or {}),
        changed=timezone.now(),
        begun=timezone.localdate(),
    )
    _remember(by, client, "began an episode", {h: ("", text) for h, text in values.items()}, episode=episode)
    _settle(client)
    episode.refresh_from_db()
    return episode


@transaction.atomic
def add_referral(*, by: Person, episode: Episode, typed: Mapping[str, str]) -> Referral:
    """Add a referral to structured treatment; its date may follow."""
    client = _locked(episode.client)
    values = {h: _kept(h, typed[h]) for h in KEPT[Entity.REFERRAL] if typed.get(h)}
    referral = Referral.objects.create(
        episode=_now(episode),
        agency=client.agency,
        referid=_new_id(),
        values=values,
        dated=day_of(values.get("REFDATE", "")),
        changed=timezone.now(),
    )
    fields = {h: ("", text) for h, text in values.items()}
    _remember(by, client, "added a referral", fields, episode=episode, referral=referral)
    _settle(client)
    return referral


@transaction.atomic
def remove_referral(*, by: Person, referral: Referral) -> None:
    """Remove a referral that was never made. One that was sent is then absent from the next full extract."""
    client = _locked(referral.episode.client)
    now = _now(referral)
    fields = {h: (text, "") for h, text in now.values.items() if text}
    Episode.objects.filter(pk=now.episode_id).update(changed=timezone.now())
    _remember(by, client, "removed a referral", fields, episode=now.episode)
    now.delete()
    _settle(client)


@transaction.atomic
def remove_episode(*, by: Person, episode: Episode) -> None:
    """Remove an episode begun by mistake. Raises `Refused` for one that was extracted: it is held elsewhere too."""
    client = _locked(episode.client)
    now = _now(episode)
    if now.extracted:
        raise Refused("This episode was in an extract: close it instead of removing it")
    _remember(by, client, "removed an episode", {h: (text, "") for h, text in now.values.items() if text})
    now.delete()
    _settle(client)


@transaction.atomic
def remove_client(*, by: Person, client: Client) -> None:
    """Remove a client begun by mistake, with all there is of them. Raises `Refused` for one that was extracted."""
    client = _locked(client)
    if client.extracted:
        raise Refused("This client was in an extract: record that they withdraw consent instead of removing them")
    note("removed a client", by=by, agency=client.agency, about=f"client {client.pk}")
    client.delete()


@transaction.atomic
def allocate_reference(*, by: Person, client: Client) -> str:
    """Give a client without one the agency's next client reference, a running number. Returns what they have."""
    # First the practice, then the client, as an import does: otherwise each would wait for the other.
    practice, _ = Practice.objects.select_for_update().get_or_create(agency=client.agency)
    client = _locked(client)
    if given := client.values.get("CLIENT", "").strip():
        return str(given)
    taken = Client.objects.filter(agency=client.agency)
    while True:
        reference = f"C{practice.next_reference}"
        practice.next_reference += 1
        if not taken.filter(reference=reference).exists():
            break
    practice.save(update_fields=["next_reference"])
    save(by=by, record=client, typed={"CLIENT": reference})
    return reference


def _new_id() -> str:
    return "".join(secrets.choice(SIGNS) for _ in range(LENGTH))


# ---- saving ----------------------------------------------------------------------------------------


@transaction.atomic
def save(
    *,
    by: Person,
    record: Record,
    typed: Mapping[str, str],
    was: Mapping[str, str] | None = None,
    why: str = "",
    sure: Collection[str] = (),
) -> Saved:
    """Save what was typed of a record: of each header its text, whatever it is.

    `was` is what the page showed of each header when it was opened (None: what the record has now). `why` says whether
    changes of fields that should not change are a `CORRECTION` or a `NEW_FACT`; without it they are not saved but
    asked about (`Saved.asks`), from the day after a record was begun, or once it was extracted or closed. `sure` are
    headers whose text is right as it is, though the postcode is new. A closure is not saved here (`close_episode`).
    """
    client = _locked(client_of(record))
    record = _now(record)
    why = why if why in (CORRECTION, NEW_FACT) else ""
    headers = (h for h in KEPT[_ENTITY[type(record)]] if h not in questions.CLOSURE.headers)
    wanted: dict[str, str] = {}
    others: dict[str, str] = {}
    clashes: list[Clash] = []
    for header in (h for h in headers if h in typed):
        text, now = _kept(header, typed[header]), record.values.get(header, "")
        shown = was.get(header, now) if was is not None else now
        # What stands on a page that nobody has touched is not changed by how it is written.
        untouched = text == plain(header, shown)
        if text == now or (untouched and shown == now):
            continue
        if not untouched and now == shown:
            wanted[header] = text
            continue
        last = _last_change(client, record, header)
        who = last.who if last else "somebody else"
        if untouched:
            others[header] = who
        elif last and last.by_id == by.pk:
            # Nobody clashes with themselves: an answer to the save before that was lost on its way, or a second window.
            wanted[header] = text
        else:
            clashes.append(Clash(header, text, now, who))
    asks, later = _held_back(record, wanted, why)
    for header in (*asks, *later):
        del wanted[header]
    values = record.values | wanted
    dropped: tuple[str, ...] = ()
    moved = ""
    if isinstance(record, Episode):
        touched = {*wanted, *(clash.header for clash in clashes)}
        values |= _placed(record, wanted, touched, client.agency)
        moved = _moved(record, values, wanted, touched if "PC" in wanted else {*touched, *sure})
        # Those of the page that is saved: what is wrong on another page is told there.
        dropped = tuple(h for h in questions.idle(values) if not typed.keys().isdisjoint(questions.of(h).headers))
        values |= dict.fromkeys(dropped, "")
    fields = {h: (record.values.get(h, ""), t) for h, t in values.items() if record.values.get(h, "") != t}
    # The history keeps an answer also where it was typed together with the one by which it does not apply.
    fields |= {h: (wanted[h], "") for h in dropped if wanted.get(h) and not record.values.get(h)}
    is_said = isinstance(record, Episode) and record.local.get("moved", "") != moved
    if isinstance(record, Episode) and is_said:
        record.local = {**record.local, "moved": moved}
        record.save(update_fields=["local"])
    if fields:
        _write(by, client, record, fields, why if asked_about(record, fields) else "")
    elif isinstance(record, Episode) and is_said:
        _remember(by, client, "said that the DAT is right", {}, episode=record)
    return Saved(tuple(fields), others, dropped, tuple(clashes), asks, later)


def is_settled(record: Record) -> bool:
    """Whether a change of what should not change is asked about: no longer on the day a record is begun (our reading).

    Until then somebody is still typing it; an extract or a closure settles it at once.
    """
    if isinstance(record, Referral):
        return record.extracted is not None
    closed = isinstance(record, Episode) and not record.open
    return closed or record.extracted is not None or record.begun < timezone.localdate()


def asked_about(record: Record, headers: Iterable[str]) -> tuple[str, ...]:
    """Of some headers whose text changes, those where it should not, so that it is asked why."""
    if not is_settled(record):
        return ()
    still = (Changes.SHOULD_NOT, Changes.MISMATCH, Changes.FILLED_ONLY)
    return tuple(h for h in headers if record.values.get(h, "").strip() and DATASET.by_header[h].changes in still)


def _held_back(record: Record, wanted: Mapping[str, str], why: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What is not saved: asked about, and left for the next episode."""
    asked = asked_about(record, wanted)
    if why == CORRECTION:
        return (), ()
    if why == NEW_FACT:
        return (), tuple(h for h in asked if h not in questions.NEW_FACTS)
    return asked, ()


def _placed(episode: Episode, wanted: Mapping[str, str], touched: Collection[str], agency: Agency) -> dict[str, str]:
    """UTLA and DAT of a postcode that is new, the DAT where it follows it."""
    if "PC" not in wanted:
        return {}
    before, dat = episode.values.get("PC", ""), episode.values.get("DAT", "")
    new = places(wanted["PC"], agency.dat)
    made: dict[str, str] = {}
    # Of no fixed abode it is asked, since no postcode tells it; before, it was that of a place.
    if "UTLA" not in touched and not (is_default_postcode(wanted["PC"]) and is_default_postcode(before)):
        made["UTLA"] = new.get("UTLA", "")
    if "DAT" not in touched and _follows(dat, before, wanted["PC"]):
        made["DAT"] = new.get("DAT", "")
    return made


def _follows(dat: str, before: str, now: str) -> bool:
    """Whether a DAT goes with a postcode that is replaced: it is blank, was told by that, or belonged to no place."""
    if not dat or tells(before, dat):
        return True
    if is_default_postcode(now):
        # Of no fixed abode it is the agency's own, whatever was chosen for a place; outside the UK it is not.
        return not is_default_postcode(before) and dat not in DATS_OUTSIDE_ENGLAND
    return is_default_postcode(before)


def _moved(episode: Episode, values: Mapping[str, str], wanted: Mapping[str, str], touched: Collection[str]) -> str:
    """The DAT that is left from before a new postcode, of which it is to be said whether it is right ("": none)."""
    dat = values.get("DAT", "")
    if "DAT" in touched:
        return ""
    if "PC" in wanted:
        return dat if episode.values.get("DAT") == dat and is_doubtful(wanted["PC"], dat) else ""
    return str(episode.local.get("moved", ""))


def _write(
    by: Person,
    client: Client,
    record: Record,
    fields: Mapping[str, tuple[str, str]],
    why: str = "",
    what: str = "",
) -> None:
    """Save new texts of a record, and all that is computed from them."""
    record.values = {**record.values, **{header: text for header, (_, text) in fields.items()}}
    record.changed = timezone.now()
    if isinstance(record, Referral):
        record.dated = day_of(record.values.get("REFDATE", ""))
    # Not all of it: an extract says meanwhile that it has it.
    record.save(update_fields=["values", "changed", *(["dated"] if isinstance(record, Referral) else [])])
    referral = record if isinstance(record, Referral) else None
    episode = record if isinstance(record, Episode) else referral.episode if referral else None
    _remember(
        by, client, what or f"changed {_NAMES[type(record)]}", fields, episode=episode, referral=referral, why=why
    )
    _settle(client)


def client_of(record: Record) -> Client:
    """Whose record it is."""
    match record:
        case Client():
            return record
        case Episode():
            return record.client
        case _:
            return record.episode.client


def _kept(header: str, text: str) -> str:
    if len(text.strip()) > LONGEST:
        raise Refused(f"Enter {LONGEST} characters or fewer for the {DATASET.by_header[header].noun}")
    return plain(header, text)


def _locked(client: Client) -> Client:
    """A client as it is now, kept from anybody else until the transaction ends. Raises as `_now` does."""
    Client.objects.select_for_update(no_key=True).filter(pk=client.pk).first()
    return _now(client)


_M = TypeVar("_M", bound=Model)


def _now(record: _M) -> _M:
    """A record as it is once its client is locked. Raises `Refused` where somebody removed it since it was shown."""
    found = type(record)._default_manager.filter(pk=record.pk).first()
    if found is None:
        raise Refused("Go back to the list of clients: somebody else has removed this since you opened it")
    return found


def _settle(client: Client) -> None:
    """Compute anew what is computed of a client and all its episodes, and save it."""
    client = Client.objects.select_related("agency").get(pk=client.pk)
    episodes = list(client.episodes.prefetch_related("referrals", "contacts", "interventions"))
    settle(client, episodes, today=timezone.localdate())
    client.save(update_fields=["reference", "initials", "born"])
    for episode in episodes:
        episode.save(
            update_fields=[
                *("findings", "rejects", "faults", "missing", "triaged", "started", "closed", "open"),
                *("contact", "face_to_face", "custody", "review"),
            ]
        )


# ---- closing ---------------------------------------------------------------------------------------


@transaction.atomic
def close_episode(
    *, by: Person, episode: Episode, typed: Mapping[str, str], destination: str = "", why: str = ""
) -> Saved:
    """Close an episode, by its date (DISD) and reason (CJDISRSN), and where it asks for one the destination.

    Raises `NotClosed` where the rule book says anything of the date or the reason, so that no episode is closed by
    half. A closure that is there already is changed as a `CORRECTION` only.
    """
    client = _locked(episode.client)
    now = _now(episode)
    given = {h: _kept(h, typed.get(h, "")) for h in questions.CLOSURE.headers}
    destination = destination.replace("\0", "").strip()[:LONGEST]
    problems = _problems(client, now, given, destination)
    if problems:
        raise NotClosed(problems)
    if not now.open and why != CORRECTION:
        changes = tuple(h for h in given if now.values.get(h, "") != given[h])
        if changes:
            return Saved(asks=changes)
    fields = {h: (now.values.get(h, ""), t) for h, t in given.items() if now.values.get(h, "") != t}
    where = destination if given["CJDISRSN"] in questions.DESTINATIONS else ""
    if now.local.get("destination", "") != where:
        fields["destination"] = (now.local.get("destination", ""), where)
        now.local = {**now.local, "destination": where}
    if fields:
        what = "closed an episode" if now.open else "changed an episode"
        own = {h: pair for h, pair in fields.items() if h != "destination"}
        now.values = {**now.values, **{h: text for h, (_, text) in own.items()}}
        now.changed = timezone.now()
        _remember(by, client, what, fields, episode=now, why="" if now.open else why)
        now.save(update_fields=["values", "local", "changed"])
        _settle(client)
    return Saved(tuple(fields))


def _problems(client: Client, episode: Episode, given: Mapping[str, str], destination: str) -> dict[str, str]:
    """Why an episode cannot be closed so: a sentence by header."""
    found: dict[str, str] = {}
    if not given["DISD"]:
        found["DISD"] = "Enter the case closure date"
    if not given["CJDISRSN"]:
        found["CJDISRSN"] = "Select the case closure reason"
    elif given["CJDISRSN"] in questions.DESTINATIONS and not destination.strip():
        what = "prison" if questions.DESTINATIONS[given["CJDISRSN"]] == "PRISON" else "CJIT area"
        found["destination"] = f"Select the {what} the client was transferred to, or that it is not known"
    if not found:
        closed = _now(episode)
        closed.values = {**closed.values, **given}
        all_ = [closed, *client.episodes.exclude(pk=closed.pk)]
        for told in look(client, all_, today=timezone.localdate())[closed.pk]:
            if told.header in questions.CLOSURE.headers:
                found.setdefault(told.header, told.message)
    return found


@transaction.atomic
def take_back_closure(*, by: Person, episode: Episode) -> None:
    """Take back a closure made by mistake. Who presents again gets a new episode instead (DISD)."""
    client = _locked(episode.client)
    now = _now(episode)
    if now.open:
        return
    if client.episodes.exclude(pk=now.pk).filter(open=True).exists():
        raise Refused("This client has another episode that is open: two cannot be open at once")
    before = {**now.values, **now.local}
    fields = {h: (before[h], "") for h in (*questions.CLOSURE.headers, "destination") if before.get(h)}
    now.values = {**now.values, **dict.fromkeys(questions.CLOSURE.headers, "")}
    now.local = {**now.local, "destination": ""}
    if now.imported and not now.counted_from:
        # It was not closed elsewhere after all: from today on it is assessed here.
        now.counted_from = timezone.localdate()
    now.changed = timezone.now()
    now.save(update_fields=["values", "local", "counted_from", "changed"])
    _remember(by, client, "took back a closure", fields, episode=now, why=CORRECTION)
    _settle(client)


# ---- what never leaves -----------------------------------------------------------------------------


@transaction.atomic
def add_contact(
    *, by: Person, episode: Episode, on: date, kind: str, face_to_face: bool, custody: bool = False, note: str = ""
) -> Contact:
    """Record a contact with a client; `custody` says that they were in prison then."""
    client = _locked(episode.client)
    episode = _now(episode)
    _not_in_the_future(on, "contact")
    made = Contact.objects.create(
        episode=episode, on=on, kind=kind, face_to_face=face_to_face, custody=custody, note=note, by=by
    )
    _remember(by, client, "recorded a contact", {"contact": ("", made.get_kind_display())}, episode=episode)
    _settle(client)
    return made


@transaction.atomic
def remove_contact(*, by: Person, contact: Contact) -> None:
    """Remove a contact recorded by mistake."""
    client = _locked(contact.episode.client)
    contact = _now(contact)
    _remember(by, client, "removed a contact", {"contact": (contact.get_kind_display(), "")}, episode=contact.episode)
    contact.delete()
    _settle(client)


@transaction.atomic
def say_no_contact(*, by: Person, episode: Episode, none: bool) -> None:
    """Say of an episode that was imported that there was no contact after the last one its dates tell, or take it back.

    Raises `Refused` where they tell none.
    """
    client = _locked(episode.client)
    now = _now(episode)
    last = met(now)
    if not now.imported or last is None:
        raise Refused("Record the last contact: no date of an earlier one is known")
    if now.no_contact == none:
        return
    now.no_contact = none
    now.save(update_fields=["no_contact"])
    said = f"None after {last:%d/%m/%Y}"
    what = "said there was no contact" if none else "took back that there was none"
    _remember(by, client, what, {"contact": ("", said) if none else (said, "")}, episode=now)
    _settle(client)


@transaction.atomic
def add_intervention(
    *, by: Person, episode: Episode, on: date, kinds: Iterable[str], leaving: bool, note: str = ""
) -> Intervention:
    """Record an assessment of what was provided since the one before; `leaving` says it is the last."""
    client = _locked(episode.client)
    _not_in_the_future(on, "assessment")
    episode = _now(episode)
    if episode.started is None:
        raise Refused("Enter the caseload start date first: interventions are those of a client on the caseload")
    if on < episode.started:
        raise Refused("The date of the assessment must be on or after the caseload start date")
    made = Intervention.objects.create(episode=episode, on=on, kinds=list(kinds), leaving=leaving, note=note, by=by)
    _remember(by, client, "recorded interventions", {"interventions": ("", " ".join(made.kinds))}, episode=episode)
    _settle(client)
    return made


@transaction.atomic
def remove_intervention(*, by: Person, intervention: Intervention) -> None:
    """Remove an assessment of interventions recorded by mistake."""
    client = _locked(intervention.episode.client)
    intervention = _now(intervention)
    fields = {"interventions": (" ".join(intervention.kinds), "")}
    _remember(by, client, "removed interventions", fields, episode=intervention.episode)
    intervention.delete()
    _settle(client)


@transaction.atomic
def add_note(*, by: Person, client: Client, text: str) -> Note:
    """Add a note on a client."""
    client = _locked(client)
    made = Note.objects.create(client=client, text=text, by=by)
    _remember(by, client, "added a note", {})
    return made


@transaction.atomic
def record_consent(
    *, by: Person, client: Client, given: bool, on: date, wording: str = "", evidence: str = ""
) -> Consent:
    """Record whether a client consents to be in the extract. What holds is the answer recorded last.

    Without consent nothing of the client is extracted. Where an extract had them, the next ones say that they
    withdrew, and nothing else of them.
    """
    client = _locked(client)
    _not_in_the_future(on, "answer")
    made = Consent.objects.create(client=client, given=given, on=on, wording=wording, evidence=evidence, by=by)
    before, client.consent = client.consent, YES if given else NO
    client.changed = timezone.now()
    client.save(update_fields=["consent", "changed"])
    _remember(by, client, "recorded consent" if given else "recorded no consent", {"CONSENT": (before, client.consent)})
    return made


def _not_in_the_future(on: date, what: str) -> None:
    if on > timezone.localdate():
        raise Refused(f"The date of the {what} must be today or earlier")


# ---- how the agency keeps its caseload -------------------------------------------------------------


@transaction.atomic
def set_practice(
    *, by: Person, agency: Agency, file_name: str, consent_wording: str, dat: str | None = None
) -> Practice:
    """Set the name pattern of an agency's extracts, the words it asks for consent with, and its DAT if it is told."""
    practice, _ = Practice.objects.select_for_update().get_or_create(agency=agency)
    practice.file_name, practice.consent_wording = file_name, consent_wording
    practice.save(update_fields=["file_name", "consent_wording"])
    if dat is not None:
        edit_agency(by=by, agency=agency, name=agency.name, dat=dat)
    note("changed the settings of a caseload", by=by, agency=agency, about=agency.code)
    return practice


# ---- the history -----------------------------------------------------------------------------------


def _remember(
    by: Person,
    client: Client,
    what: str,
    fields: Mapping[str, tuple[str, str]],
    *,
    episode: Episode | None = None,
    referral: Referral | None = None,
    why: str = "",
) -> None:
    """Keep who changed what. Saves of one record by one person within a while are one change and one audit event."""
    now = timezone.now()
    Client.objects.filter(pk=client.pk).update(touched=now)
    last = Change.objects.filter(client=client).first()
    if (
        last
        and what.startswith("changed ")
        and (last.what, last.why, last.by_id) == (what, why, by.pk)
        and (last.episode_id, last.referral_id) == (episode and episode.pk, referral and referral.pk)
        and now - last.at < TOGETHER
        # An answer that is taken out can be read afterwards.
        and all(after or last.fields.get(header, [before])[0] for header, (before, after) in fields.items())
        # What an extract had in between is history of its own.
        and not Extract.objects.filter(agency=client.agency, at__gte=last.at).exists()
    ):
        for header, (before, after) in fields.items():
            first = last.fields.get(header, [before])[0]
            last.fields[header] = [first, after]
        last.at = now
        last.save(update_fields=["at", "fields"])
        return
    Change.objects.create(
        client=client,
        episode=episode,
        referral=referral,
        at=now,
        by=by,
        who=_name(by),
        what=what,
        why=why,
        fields={h: list(pair) for h, pair in fields.items()},
    )
    note(what, by=by, agency=client.agency, about=f"client {client.pk}", counts={"fields": len(fields)})


def _last_change(client: Client, record: Record, header: str) -> Change | None:
    """What gave a field of a record the text it has."""
    changes = Change.objects.filter(client=client, fields__has_key=header)
    if isinstance(record, Episode):
        changes = changes.filter(episode=record)
    elif isinstance(record, Referral):
        changes = changes.filter(referral=record)
    return changes.first()


# ---- what comes and what leaves --------------------------------------------------------------------


def import_records(
    *,
    by: Person | None,
    agency: Agency,
    file: BinaryIO | str | os.PathLike[str],
    name: str,
    counted_from: date | None = None,
) -> Imported:
    """Put in what a file has that the agency sent before, of the clients who consent. Nothing of the file is kept.

    The next assessments of interventions are counted from the day `counted_from`, today by default. Raises `Unusable`
    for a file that cannot be used.
    """
    today = timezone.localdate()
    arrived = arriving.read(
        file, name, agency=agency, now=timezone.now(), today=today, counted_from=counted_from or today
    )
    return sum((bring_in(by=by, agency=agency, part=part) for part in arriving.in_parts(arrived)), Imported())


@transaction.atomic
def bring_in(*, by: Person | None, agency: Agency, part: Arrived) -> Imported:
    """Put in a part of what was read from a file. Ids stay as they are, and of what is here nothing is changed."""
    # One import of an agency at a time.
    Agency.objects.select_for_update(no_key=True).get(pk=agency.pk)
    arriving.only_new(part, agency)
    # An extract made since the file began to be read has none of it: the next one tells by this what is new.
    now = timezone.now()
    records: Iterable[Record] = (*part.clients.values(), *part.episodes.values(), *part.referrals.values())
    for record in records:
        record.changed = now
    _bring(by, part)
    note("imported records", by=by, agency=agency, about=agency.code, counts=part.done.counts())
    return part.done


def _bring(by: Person | None, arrived: Arrived) -> None:
    """Save records of a file that are new here, with all that is computed of them, their consent and a `Change`."""
    clients, episodes = list(arrived.clients.values()), list(arrived.episodes.values())
    # Those who have no number had nothing to be put in. They are locked first, as by whoever saves or removes one.
    touched = [client for client in arrived.touched.values() if client.pk]
    here = Client.objects.filter(pk__in=[client.pk for client in touched]).order_by("pk")
    list(here.select_for_update(no_key=True).values_list("pk"))
    Client.objects.bulk_create(clients, batch_size=1_000)
    Episode.objects.bulk_create(episodes, batch_size=1_000)
    Referral.objects.bulk_create(arrived.referrals.values(), batch_size=1_000)
    # Now that referrals have numbers, findings can say which of them they are about.
    about = [each for each in episodes if any(referral for _, referral in arrived.found[each.episodid])]
    for episode in about:
        keep(episode, arriving.told(arrived.found[episode.episodid]))
    Episode.objects.bulk_update(about, ["findings"], batch_size=500)
    now, on = timezone.now(), timezone.localdate()
    Consent.objects.bulk_create(
        [Consent(client=each, given=True, on=on, evidence="In the file that was imported", by=by) for each in clients],
        batch_size=1_000,
    )
    new = {client.pk: {h: ["", text] for h, text in client.values.items()} for client in clients}
    Change.objects.bulk_create(
        [
            Change(client=each, at=now, by=by, who=_name(by), what="imported the client", fields=new.get(each.pk, {}))
            for each in {client.pk: client for client in (*clients, *touched)}.values()
        ],
        batch_size=1_000,
    )
    for client in touched:
        Client.objects.filter(pk=client.pk).update(touched=now)
        _settle(_locked(client))


@transaction.atomic
def record_extract(
    *, extract: Extract, consenting: Set[str], first: Mapping[str, Sequence[str]], left_out: Sequence[str]
) -> Extract:
    """Keep that an extract was made, by `extract.by`. The file itself is not kept by this.

    `consenting` are the CLIENTIDs in it of clients who consent, `first` the ids by header that no extract had before:
    these are marked. The episodes that were left out of it (by EPISODID) count as changed, so that the one after it has
    them. Raises `Refused` where since it was put together somebody of it withdrew consent, something of it that no
    extract had before was removed, or another extract was made, than which it would have older records.
    """
    agency, at = extract.agency, extract.at
    # First the agency, as an import does, then whose records they are, as a save does: neither waits for this one
    # while it is waited for. Nobody else's are locked, so that their saves need not wait.
    Agency.objects.select_for_update(no_key=True).get(pk=agency.pk)
    if former(agency).filter(at__gt=at).exists():
        raise Refused("Another extract was made after this one was checked: check it again")
    there = 0
    for table, key, client in (
        (Client, "clientid", "pk"),
        (Episode, "episodid", "client"),
        (Referral, "referid", "episode__client"),
    ):
        for some in _in_parts(first[key.upper()]):
            found = table.objects.filter(agency=agency, **{f"{key}__in": some}).order_by()
            _lock_clients(found.values(client))
            # Another that was checked before it may have been made meanwhile.
            there += found.update(extracted=Coalesce("extracted", at, output_field=DateTimeField()))
    for some in _in_parts(left_out):
        without = Episode.objects.filter(agency=agency, episodid__in=some, changed__lt=at).order_by()
        _lock_clients(without.values("client"))
        without.update(changed=at)
    withdrawn = not consenting.isdisjoint(withdrawn_since(agency, at))
    if withdrawn or there < sum(map(len, first.values())):
        raise Refused(
            "Somebody withdrew consent, or a record was removed, after the extract was checked: check it again"
        )
    extract.state, extract.problem, extract.made, extract.found = Stage.MADE, "", timezone.now(), {}
    extract.save()
    told = {what: n for what, n in extract.counts.items() if n}
    note("made an extract", by=extract.by, agency=agency, about=agency.code, counts=told)
    return extract


def _lock_clients(some: QuerySet[Any, Any]) -> None:
    """Keep some clients, given by their numbers, from anybody else until the transaction ends."""
    list(Client.objects.filter(pk__in=some).select_for_update(no_key=True).order_by("pk").values_list("pk"))


def _in_parts(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    # SQLite takes so many parameters and not many more.
    return (ids[start : start + 5_000] for start in range(0, len(ids), 5_000))


# ---- asked of a worker -----------------------------------------------------------------------------


@transaction.atomic
def ask_for_extract(*, by: Person, agency: Agency, until: date, since: Extract | None, leave_out: bool) -> Extract:
    """Have an extract put together and checked. What the same person had checked before and did not make gives way."""
    _give_way(Extract.objects.filter(by=by, agency=agency))
    note("asked for an extract", by=by, agency=agency, about=agency.code)
    return Extract.objects.create(
        agency=agency,
        by=by,
        until=until,
        scope=NEW if since else FULL,
        since=since,
        leave_out=leave_out,
        stored=kept.place(),
    )


@transaction.atomic
def order_extract(*, by: Person, extract: Extract, to_portal: bool) -> None:
    """Have a checked extract made, to be downloaded or sent to the portal. Twice is once.

    Raises `Refused` where it would be rejected, cannot be made any more, or was ordered the other way.
    """
    now = Extract.objects.select_for_update().get(pk=extract.pk)
    if now.state in _GOES_ON and now.to_portal == to_portal:
        return
    if now.state in _GOES_ON:
        was = "sent to the portal" if now.to_portal else "made as a file"
        raise Refused(f"This extract was {was} before you pressed the button: to have both, check it again")
    if now.state != Stage.CHECKED or now.found["empty"]:
        raise Refused(now.problem or "This extract cannot be made: check it again")
    if now.found["blocked"]:
        raise Refused("Settle the episodes that would be rejected, or leave them out")
    now.to_portal = to_portal
    now.save(update_fields=["to_portal"])
    _ordered(by, now)
    note("ordered an extract", by=by, agency=now.agency, about=now.agency.code)


def ask_for_import(
    *, by: Person, agency: Agency, file: BinaryIO, name: str, counted_from: date | None = None
) -> Import:
    """Keep a file, and have it read: what it would bring. Another that the same person did not import gives way.

    The next assessments of interventions are counted from the day `counted_from`, today by default. Raises `Refused`
    where it cannot be kept.
    """
    try:
        stored, size, sha256 = kept.keep(file)
    except kept.NotKept as problem:
        raise Refused(str(problem)) from None
    try:
        with transaction.atomic():
            _give_way(Import.objects.filter(by=by, agency=agency))
            note("chose a file to import", by=by, agency=agency, about=agency.code, counts={"bytes": size})
            day = counted_from or timezone.localdate()
            return Import.objects.create(
                agency=agency, by=by, name=name[-255:], stored=stored, sha256=sha256, counted_from=day
            )
    except BaseException:
        kept.remove(stored)
        raise


@transaction.atomic
def order_import(*, by: Person, arrived: Import) -> None:
    """Have the records of a file put in that was read. Twice is once."""
    now = Import.objects.select_for_update().get(pk=arrived.pk)
    if now.state in _GOES_ON:
        return
    if now.state != Stage.CHECKED:
        raise Refused(now.problem or "This file cannot be imported: choose it again")
    now.counts = {}
    now.save(update_fields=["counts"])
    _ordered(by, now)
    note("ordered an import", by=by, agency=now.agency, about=now.agency.code)


def _ordered(by: Person, passage: Extract | Import) -> None:
    passage.state, passage.by, passage.problem = Stage.ORDERED, by, ""
    # What is made is tried as often as what was checked.
    passage.attempts_before = passage.attempts
    passage.save(update_fields=["state", "by", "problem", "attempts_before"])


def _give_way(passages: QuerySet[Extract] | QuerySet[Import]) -> None:
    for each in passages.exclude(state__in=(*_GOES_ON, Stage.FAILED)).select_for_update():
        _let_go(each, "You began another one after this, and it took the place of this one")


def remove_passed() -> int:
    """Remove the files of extracts and imports that were checked or made more than a day ago. Returns how many.

    However many they are: every day all of the day before go, and each can be asked for again.
    """
    before, count = database_now() - KEPT_FOR, 0
    for table in (Extract, Import):
        old = table.objects.exclude(stored="").exclude(state__in=AT_WORK)
        for pk in old.filter(at__lt=before).values_list("pk", flat=True):
            with transaction.atomic():
                now = old.filter(pk=pk).select_for_update().first()
                if now is None or (now.made and now.made > before):
                    continue
                _let_go(now, "It was kept for a day, and is removed" if now.state == Stage.CHECKED else "")
                note("removed a file", by=None, agency=now.agency, about=now.agency.code)
                count += 1
    return count


def _let_go(passage: Extract | Import, problem: str) -> None:
    """Remove the file of what is made, or with a problem what was to be made of it."""
    stored, passage.stored = passage.stored, ""
    if problem:
        passage.state, passage.problem = Stage.FAILED, problem
    if isinstance(passage, Extract):
        passage.found = {}
    passage.save()
    transaction.on_commit(partial(kept.remove, stored))


def _name(by: Person | None) -> str:
    return (by.name or by.email) if by else "the service"
