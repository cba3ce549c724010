"""A client's records put together as the dataset has them, what the rule book says of them, and what lists need.

Nothing here writes: `settle` sets the computed columns of records that an action then saves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from importlib.metadata import version

from cjit import dates
from cjit.dataset import Entity, Kind, Rule, Status
from cjit.dataset import Record as Texts
from cjit.datasets.q import tables
from cjit.datasets.q.rules import DATS_OUTSIDE_ENGLAND, OUT_OF_ENGLAND, TRANSFERRED_NOT_IN_CUSTODY
from cjit.engine.checking import check_rows
from cjit.extract import holds_back, is_blank
from cjit.geography import (
    DEFAULT_SECTOR,
    LIST_DATE,
    authorities,
    authorities_of_sector,
    is_whole,
    truncate,
    upper_tier_of,
)
from cjit.kinds import kinds_of
from cjit.web.caseload.models import Client, Contact, Episode, Intervention, Referral
from cjit.web.dataset import DATASET

#: What CMSID says of records that are kept here.
CMSID = f"cjit {version('cjit')}"
YES, NO = "Y", "N"
#: An assessment of interventions is due this often (Data Entities: Interventions), and a client without contact for
#: this long is taken to have disengaged (DISD). In months.
REVIEW_MONTHS, DISENGAGED_MONTHS = 6, 2
#: The groups of case closure reasons (Appendix E).
PRIOR, FROM = "prior to caseload", "from caseload"

#: The fields kept with each kind of record, in the document's order: all but those that are made when they are sent.
MADE = ("CMSID", "CONSENT", "AGNCY", "CLIENTID", "EPISODID", "REFERID")
KEPT: Mapping[Entity, tuple[str, ...]] = {
    entity: tuple(f.header for f in DATASET.entity(entity) if f.header not in MADE)
    for entity in (Entity.CLIENT, Entity.EPISODE, Entity.REFERRAL)
}


@dataclass(frozen=True)
class Told:
    """A finding of a record: its rule, and the referral it is about (0: none)."""

    rule: Rule
    referral: int = 0

    @property
    def header(self) -> str:
        """The field it is shown at."""
        return self.rule.header

    @property
    def message(self) -> str:
        """The sentence."""
        return self.rule.message

    @property
    def is_missing(self) -> bool:
        """Whether it only says that something is not filled in, which a record that is being made is allowed."""
        return self.rule.id.split(".", 1)[1].startswith("is_given")


# ---- as the dataset has it -------------------------------------------------------------------------


def texts(client: Client, episode: Episode, referral: Referral | None) -> Texts:
    """One row of a file, as text by header, with the postcode as it was typed, as if the client consents."""
    return {
        **{header: client.values.get(header, "") for header in KEPT[Entity.CLIENT]},
        **{header: episode.values.get(header, "") for header in KEPT[Entity.EPISODE]},
        **({header: referral.values.get(header, "") for header in KEPT[Entity.REFERRAL]} if referral else {}),
        "CLIENTID": client.clientid,
        "AGNCY": client.agency.code,
        "EPISODID": episode.episodid,
        "REFERID": referral.referid if referral else "",
        "CMSID": CMSID,
        "CONSENT": YES,
    }


def as_sent(row: Texts) -> Texts:
    """A row as the check is to see it, since that is how it leaves: the postcode cut, free text for codes blank.

    And all dates are written one way, and codes of a list as the list has them.
    """
    cells = {**row, "PC": cut(row["PC"])} | {h: dates.one_way(row[h]) for h in _DATES if h in row}
    cells |= {h: also.get(row[h].strip().upper(), row[h]) for h, also in _OTHERS.items() if h in row}
    return {header: "" if is_blank(DATASET, header, text) else text for header, text in cells.items()}


def referrals_of(episode: Episode) -> list[Referral | None]:
    """The referrals of an episode, or None for the one row it has without any."""
    return [*episode.referrals.all()] or [None]


def look(client: Client, episodes: Sequence[Episode], *, today: date) -> dict[int, list[Told]]:
    """What the rule book says of a client's episodes, by their numbers: of each row, and across them.

    As they would be sent: the postcode is cut first. Consent is looked at elsewhere; without it the check would say
    nothing else.
    """
    places: list[tuple[int, int]] = []
    rows: list[Texts] = []
    for episode in episodes:
        for referral in referrals_of(episode):
            rows.append(as_sent(texts(client, episode, referral)))
            places.append((episode.pk, referral.pk if referral else 0))
    found: dict[int, list[Told]] = {episode.pk: [] for episode in episodes}
    if not rows:
        return found
    # A row by itself is held against nothing; of this reason, that there is no referral is told all the same.
    alone = len(rows) == 1 and rows[0]["CJDISRSN"] == TRANSFERRED_NOT_IN_CUSTODY
    for finding in check_rows(DATASET, [*rows, {}] if alone else rows, today=today, submitter=client.agency.code):
        if finding.row == len(rows):
            continue
        episode_pk, referral_pk = places[finding.row]
        entity = DATASET.by_header[finding.rule.header].entity
        told = Told(finding.rule, referral_pk if entity is Entity.REFERRAL else 0)
        if told not in found[episode_pk]:
            found[episode_pk].append(told)
    return found


def told(episode: Episode) -> list[Told]:
    """What the rule book said of an episode when it was last looked at."""
    rules = _rules()
    return [Told(rules[rule], referral) for rule, referral in episode.findings if rule in rules]


@cache
def _rules() -> Mapping[str, Rule]:
    return {rule.id: rule for rule in DATASET.rules}


# ---- what lists need -------------------------------------------------------------------------------


def settle(client: Client, episodes: Sequence[Episode], *, today: date) -> None:
    """Set the computed columns of a client and of all its episodes, which have numbers already. Nothing is saved."""
    identify(client)
    found = look(client, episodes, today=today)
    for episode in episodes:
        keep(episode, found[episode.pk])
        date_of(episode, list(episode.contacts.all()), list(episode.interventions.all()))


def identify(client: Client) -> None:
    """Set what a client is found by."""
    client.reference = client.values.get("CLIENT", "").strip().upper()[:64]
    client.initials = "".join(client.values.get(h, "").strip().upper()[:1] for h in ("FINITIAL", "SINITIAL"))
    client.born = day_of(client.values.get("DOB", ""))


def keep(episode: Episode, found: Sequence[Told]) -> None:
    """Set the findings of an episode."""
    episode.findings = [[each.rule.id, each.referral] for each in found]
    episode.rejects = sum(holds_back(each.rule) for each in found)
    episode.missing = sum(each.is_missing for each in found)
    episode.faults = len(found) - episode.missing


def date_of(episode: Episode, contacts: Sequence[Contact], assessed: Sequence[Intervention]) -> None:
    """Set the dates of an episode, from its fields, contacts (the newest first) and interventions."""
    given = episode.values
    episode.triaged, episode.started, episode.closed = (
        day_of(given.get(h, "")) for h in ("TRIAGED", "CPLANDT", "DISD")
    )
    episode.open = not is_closed(given)
    episode.contact = _last(episode, [each.on for each in contacts])
    episode.face_to_face = _last(episode, [each.on for each in contacts if each.face_to_face])
    episode.custody = custody_since([(each.on, each.custody) for each in contacts])
    episode.review = _review(episode, assessed)


def is_closed(values: Mapping[str, str]) -> bool:
    """Whether an episode has a closure, be its date a date or not."""
    return any(values.get(header, "").strip() for header in ("DISD", "CJDISRSN"))


def met(episode: Episode) -> date | None:
    """The last day on which the client was met, by the fields of an episode.

    Triage is the first contact face to face (TRIAGED), and a care plan is agreed with the client (CPLANDT).
    """
    return max((day for day in (episode.triaged, episode.started) if day), default=None)


def _last(episode: Episode, days: Sequence[date]) -> date | None:
    """The last of some days of contact, if it is known.

    A file that was imported has no contacts: a day before the last that it tells says nothing of those since.
    """
    known = met(episode)
    if episode.imported and not episode.no_contact:
        return max((day for day in days if known is None or day >= known), default=None)
    return max((*days, *([known] if known else [])), default=None)


def custody_since(contacts: Sequence[tuple[date, bool]]) -> date | None:
    """Since when a client is known to be in prison, by contacts, newest first, that say whether they were."""
    since = None
    for on, custody in contacts:
        if not custody:
            break
        since = on
    return since


def _review(episode: Episode, assessed: Sequence[Intervention]) -> date | None:
    """When interventions are to be assessed next: six months after the last time, or on leaving the caseload."""
    if episode.started is None:
        return None
    if not episode.open and episode.closed:
        # What was provided in an episode that was closed when it was imported was recorded elsewhere.
        elsewhere = episode.imported and not episode.counted_from
        return None if elsewhere or any(each.leaving for each in assessed) else episode.closed
    if not episode.open:
        return None
    begun = max(episode.started, episode.counted_from or episode.started)
    return months_after(max((each.on for each in assessed), default=begun), REVIEW_MONTHS)


_DATES = tuple(field.header for field in DATASET.fields if field.kind is Kind.DATE)
#: The other codes that are read, by the header of their list's field.
_OTHERS = {f.header: codes.also for f in DATASET.fields if (codes := DATASET.codes_of(f.header)) and codes.also}


def plain(header: str, text: str) -> str:
    """What somebody typed as the dataset writes it, where nobody can doubt what was meant; else as it was typed.

    Nothing is changed but how it is written: 1.3.2026, 20260301 and 1 March 2026 are 01/03/2026, m is M, nr147uj is
    NR14 7UJ, and a code that is read as one of the list is that one.
    """
    # PostgreSQL keeps no NUL.
    text = text.replace("\0", "").strip()
    return kinds_of(DATASET)[header].understood(text)


def day_of(text: str) -> date | None:
    """The date a text says, as the dataset reads dates (reading 14); None where it says none.

    One so far ahead that it is a slip is none either: some months after it there might be no calendar.
    """
    found = dates.day_of(text)
    return found if found and 1900 <= found.year < 9000 else None


def months_after(day: date, months: int) -> date:
    """The same day some months later (or, with a minus, before); the last of its month where that has no such day."""
    month = day.year * 12 + day.month - 1 + months
    first = date(month // 12, month % 12 + 1, 1)
    last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    return first.replace(day=min(day.day, last.day))


# ---- where a client lives --------------------------------------------------------------------------


def cut(postcode: str) -> str:
    """A postcode less its last two characters; what cannot be read as one, as it is."""
    try:
        return truncate(postcode)
    except ValueError:
        return postcode


def _is_one(postcode: str) -> bool:
    """Whether it can be read as a postcode, whole or cut."""
    try:
        truncate(postcode)
    except ValueError:
        return False
    return True


def is_default_postcode(postcode: str) -> bool:
    """Whether it is the default postcode: no fixed abode, or outside the UK."""
    return cut(postcode) == DEFAULT_SECTOR


def is_abroad(values: Mapping[str, str]) -> bool:
    """Whether somebody lives outside the UK, and is not of no fixed abode: the DAT tells, the postcode is the same."""
    return is_default_postcode(values.get("PC", "")) and values.get("DAT") in DATS_OUTSIDE_ENGLAND


def places(postcode: str, agency_dat: str) -> dict[str, str]:
    """UTLA and DAT of a postcode, as far as they are certain: by header, a header left out is not.

    The DAT is that of the upper tier authority (`dat_of`). Outside England UTLA is left blank: its codes there are not
    public, and our stand-ins (`cjit.geography`) are for nobody's record. Of no fixed abode the DAT is the agency's own
    (DAT of residence).
    """
    if is_default_postcode(postcode):
        return {"DAT": agency_dat} if agency_dat else {}
    upper = _upper_tier(postcode)
    if upper is None:
        return {}
    in_england = {"UTLA": upper} if authorities()[upper].country == "England" else {}
    dat = dat_of(upper)
    return in_england | ({"DAT": dat} if dat else {})


def dat_of(authority: str) -> str:
    """The DAT of an upper tier authority, "" where none is certain.

    Outside England it is the one that says so.
    """
    dats = DATASET.lists["DAT"].labels
    if authorities()[authority].country != "England":
        return OUT_OF_ENGLAND if OUT_OF_ENGLAND in dats else ""
    dat = tables.dat_of(authority)
    return dat if dat and dat in dats else ""


def tells(postcode: str, dat: str) -> bool:
    """Whether a postcode tells a DAT: that of its authority, or of the one before that; of a cut one, any it may be."""
    if is_whole(postcode):
        some = {upper_tier_of(postcode), upper_tier_of(postcode, LIST_DATE)}
    else:
        some = {*authorities_of_sector(cut(postcode))}
    return dat in {dat_of(authority) for authority in some if authority}


def _upper_tier(postcode: str) -> str | None:
    """The upper tier authority of a postcode; of a cut one where its sector lies in one alone."""
    if is_whole(postcode):
        return upper_tier_of(postcode)
    some = authorities_of_sector(cut(postcode), date.max)
    return next(iter(some)) if len(some) == 1 else None


def _area(postcode: str) -> str:
    """What the area of a postcode is called, "" where it is not known."""
    upper = _upper_tier(postcode)
    return authorities()[upper].name if upper else ""


def is_doubtful(postcode: str, dat: str) -> bool:
    """Whether a DAT that was there before a postcode may be wrong with it: that is one, and does not tell it."""
    return bool(dat) and _is_one(postcode) and not is_default_postcode(postcode) and not tells(postcode, dat)


def left_behind(episode: Episode) -> str:
    """That the postcode is new and the DAT is not, and which is right has not been said yet ("": it need not be)."""
    postcode, dat = episode.values.get("PC", ""), episode.values.get("DAT", "")
    if episode.local.get("moved") != dat or not is_doubtful(postcode, dat):
        return ""
    area = _area(postcode)
    where = f"The postcode is now in {area}" if area else "The area of the new postcode is not known here"
    return f"{where}, and the DAT of residence is still {shown('DAT', dat)}: choose which is right"


def told_once(episode: Episode) -> list[Told]:
    """What the check said of an episode, without what `left_behind` says of the same slip with its cause."""
    found = told(episode)
    return [each for each in found if not (left_behind(episode) and each.rule.id.startswith("DAT.agrees_with"))]


def about_place(values: Mapping[str, str], agency_dat: str) -> str:
    """What is recorded of the area of a postcode, or why nothing is, where that is not plain ("": it is)."""
    postcode, dat, upper = values.get("PC", ""), values.get("DAT", ""), _upper_tier(values.get("PC", ""))
    if is_abroad(values):
        where, area = "outside the UK", "abroad"
    elif is_default_postcode(postcode):
        if dat:
            return ""
        if agency_dat:
            return f"Of no fixed abode the DAT of residence is that of your agency: choose {shown('DAT', agency_dat)}"
        return (
            "The DAT of residence stays blank, because the DAT of your agency is not recorded here: ask the manager of"
            " the caseload to enter it under Settings"
        )
    elif upper is None:
        known = dat or not _is_one(postcode)
        return "" if known else "The area of this postcode is not known here: choose the DAT of residence"
    elif authorities()[upper].country == "England":
        missing = not dat and not dat_of(upper)
        return f"The DAT of {_area(postcode)} is not known here: choose it, or enter its code" if missing else ""
    else:
        area = _area(postcode)
        where = f"in {area}"
    code = f"the DAT of residence is “{shown('DAT', dat)}”" if dat else "the DAT of residence stays blank"
    no_code = f", and the upper tier local authority stays blank, because {_no_code(area)}"
    return f"The client lives {where}: {code}{'' if values.get('UTLA') else no_code}"


def _no_code(area: str) -> str:
    """Why an area outside England has no code of ours, though one may stand in the list."""
    some = [row for row in DATASET.lists["UTLA"].rows if row.label == area]
    if not some:
        return f"no code for {area} is known here"
    if some[0].status is Status.PLACEHOLDER:
        return f"the official code for {area} is not public: “{area}” in the list is a stand-in of ours"
    return f"only who knows the home can say whether “{area}” in the list is right for it"


# ---- as people read it -----------------------------------------------------------------------------


def shown(header: str, text: str, *, caseload: bool = False) -> str:
    """A field's text as people read it: the label of a code; a postcode, and anything unknown, as it is.

    `caseload` says which group a case closure reason is of (reading 3).
    """
    field = DATASET.by_header.get(header)
    codes = DATASET.codes_of(header) if field else None
    if field is None or codes is None:
        return field.apart.get(text, text) if field else text
    plainly = text if text in codes.labels else text.lstrip("0")
    plainly = codes.also.get(plainly, plainly)
    group = FROM if caseload else PRIOR
    own = [row.label for row in codes.rows if row.code == plainly and row.group == group]
    return own[0] if own else codes.labels.get(plainly, text)


def label(header: str) -> str:
    """What a field is called in lists and in the history; `destination` and others that are local by their names."""
    field = DATASET.by_header.get(header)
    return field.label if field else header.capitalize()
