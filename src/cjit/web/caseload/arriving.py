"""An agency's own file, the last it sent, read as the records its caseload begins with. Nothing here writes."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from typing import BinaryIO, TypeVar

import polars as pl
from django.db.models import QuerySet

from cjit.dataset import Entity, Rule
from cjit.dataset import Record as Texts
from cjit.datasets.q.rules import is_no_id
from cjit.dates import Style
from cjit.engine.checking import check
from cjit.extract import NOT_SENT, canonical
from cjit.files.frames import pieces_of
from cjit.files.opening import open_file
from cjit.files.source import Unusable
from cjit.web.agencies.models import Agency
from cjit.web.caseload.models import Client, Episode, Record, Referral
from cjit.web.caseload.record import (
    KEPT,
    YES,
    Told,
    as_sent,
    cut,
    date_of,
    day_of,
    identify,
    is_closed,
    keep,
    texts,
)
from cjit.web.dataset import DATASET

#: The most records of one file, and of how many clients they are put in together: others save meanwhile.
MOST, TOGETHER = 100_000, 500
#: The longest id that is kept.
LONGEST_ID = 64

_R = TypeVar("_R", Client, Episode, Referral)


@dataclass
class Imported:
    """What an import did, in counts.

    `here` are records that were here before, `differ` the fields in which the file says something else of a record
    than what was first known of it. Rows are left out `without_consent`, `without_ids` that can be kept (of some no
    more than the referral), of ids that belong to `another` client or episode too, and where their cells cannot be told
    apart (`ragged`).
    """

    clients: int = 0
    episodes: int = 0
    referrals: int = 0
    here: int = 0
    differ: int = 0
    without_consent: int = 0
    without_ids: int = 0
    another: int = 0
    ragged: int = 0
    #: Clients who are here and do not consent any more, or were not asked: nothing of the file was taken of them.
    not_consenting_here: int = 0
    #: Episodes that were put in and would be rejected as they are.
    rejects: int = 0

    def __add__(self, other: Imported) -> Imported:
        return Imported(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})

    def counts(self) -> dict[str, int | str]:
        """What is not nought, in words, for the audit trail."""
        return {f.name.replace("_", " "): n for f in fields(self) if (n := getattr(self, f.name))}


@dataclass
class Arrived:
    """The records of a file by their ids, not yet saved, each with what belongs to it, and what was left out.

    `found` are what the check says of each episode: a rule and the referral it is about. `touched` are clients who
    were here before and get something new, or of whose records some were not taken: what is computed of them is not
    what the file alone would say. `at` is when the file began to be read, by which its records are told from others.
    """

    at: datetime
    clients: dict[str, Client] = field(default_factory=dict)
    episodes: dict[str, Episode] = field(default_factory=dict)
    referrals: dict[str, Referral] = field(default_factory=dict)
    found: dict[str, list[tuple[Rule, Referral | None]]] = field(default_factory=dict)
    touched: dict[str, Client] = field(default_factory=dict)
    done: Imported = field(default_factory=Imported)


def read(
    file: BinaryIO | str | os.PathLike[str],
    name: str,
    *,
    agency: Agency,
    now: datetime,
    today: date,
    counted_from: date,
) -> Arrived:
    """The records in a file of clients who consent, as an agency keeps them: the postcode is that of the sector.

    The next assessments of interventions are counted from the day `counted_from`.

    Raises `Unusable` for a file that cannot be read, is too long, or has records of another agency.
    """
    arrived = Arrived(now)
    rows = _rows(file, name, arrived.done)
    if any(row["AGNCY"] != agency.code for row in rows):
        raise Unusable(
            f"The file has records of another agency: choose the file of {agency.name}, in which AGNCY is"
            f" {agency.code} on every row"
        )
    several = _of_several_people(rows)
    for row in rows:
        if row["CLIENTID"] in several:
            arrived.done.another += 1
        else:
            _take(row, arrived, agency, now, today, counted_from)
    _check(arrived, agency, today)
    return arrived


def _rows(file: BinaryIO | str | os.PathLike[str], name: str, done: Imported) -> list[dict[str, str | None]]:
    """The rows of clients who consent, each value as the dataset plainly writes it, dates as they are kept here."""
    source = open_file(file, DATASET, name)
    frames: list[pl.DataFrame] = []
    height = 0
    for piece in pieces_of(source):
        batch = piece()
        done.ragged += len(batch.ragged)
        height += batch.frame.height
        if height > MOST:
            raise Unusable(
                f"The file has more than {MOST:,} records, the most that are imported at once: divide it into parts"
            )
        frames.append(batch.text())
    frame = pl.concat(frames)
    consent, client = (pl.col(h).str.strip_chars() for h in ("CONSENT", "CLIENTID"))
    if not frame.filter(consent.str.starts_with(f"{YES} ")).is_empty():
        raise Unusable("This is the copy with labels: choose the file that was sent, which has codes alone")
    withdrawn = frame.filter(consent.str.to_uppercase() == "N").select(client).to_series().drop_nulls()
    given = (consent.str.to_uppercase() == YES).fill_null(False)
    some = frame.filter(given & ~client.is_in(withdrawn.implode()).fill_null(False))
    done.without_consent = frame.height - some.height
    rows = canonical(DATASET, some.iter_rows(named=True), keep_odd=True, style=Style.SLASHED)
    return [dict(zip(DATASET.headers, row, strict=True)) for row in rows]


def _of_several_people(rows: Iterable[Mapping[str, str | None]]) -> set[str]:
    """The client ids whose rows differ in two of what makes a person: taken, they would make one client of two."""
    told: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for row in rows:
        for header in ("FINITIAL", "SINITIAL", "DOB", "SEX"):
            if (clientid := row["CLIENTID"]) and (text := row[header]) and not is_no_id(clientid):
                told[clientid][header].add(text)
    return {clientid for clientid, of in told.items() if sum(len(texts) > 1 for texts in of.values()) > 1}


def _take(
    row: Mapping[str, str | None], arrived: Arrived, agency: Agency, now: datetime, today: date, counted_from: date
) -> None:
    """Take a row as a client, an episode and a referral, as far as they are not known from an earlier one."""
    done = arrived.done
    ids = [row["CLIENTID"] or "", row["EPISODID"] or "", row["REFERID"] or ""]
    # An id that a spreadsheet shortened is several at once: taken, it would make one client of them.
    if not (ids[0] and ids[1]) or any(len(each) > LONGEST_ID or is_no_id(each) for each in ids):
        done.without_ids += 1
        return
    clientid, episodid, referid = ids
    episode = arrived.episodes.get(episodid)
    referral = arrived.referrals.get(referid)
    if (episode and episode.client.clientid != clientid) or (referral and referral.episode.episodid != episodid):
        done.another += 1
        return
    sent = {"agency": agency, "extracted": now, "changed": now}
    values = {entity: _values(row, entity) for entity in KEPT}
    client = arrived.clients.get(clientid)
    if client is None:
        client = Client(clientid=clientid, consent=YES, begun=today, values=values[Entity.CLIENT], **sent)
        identify(client)
        arrived.clients[clientid] = client
    else:
        done.differ += differing(client, values[Entity.CLIENT])
    if episode is None:
        episode = Episode(client=client, episodid=episodid, begun=today, imported=today, **sent)
        episode.values = values[Entity.EPISODE]
        episode.counted_from = None if is_closed(episode.values) else counted_from
        date_of(episode, [], [])
        arrived.episodes[episodid] = episode
    else:
        done.differ += differing(episode, values[Entity.EPISODE])
    if referid and referral is None:
        referral = Referral(episode=episode, referid=referid, values=values[Entity.REFERRAL], **sent)
        referral.dated = day_of(referral.values.get("REFDATE", ""))
        arrived.referrals[referid] = referral
    elif referral:
        done.differ += differing(referral, values[Entity.REFERRAL])
    elif values[Entity.REFERRAL]:
        done.without_ids += 1


def _values(row: Mapping[str, str | None], entity: Entity) -> dict[str, str]:
    # What was no postcode is one that is not known: the sign that is sent for it says no more.
    return {h: text for h in KEPT[entity] if (text := row[h]) and text != NOT_SENT}


def differing(known: Record, values: Mapping[str, str]) -> int:
    """In how many fields other values than a record's are given, of a postcode no more than its sector."""
    mine = {h: text for h, text in known.values.items() if text}
    if "PC" in mine:
        mine["PC"] = cut(mine["PC"])
    return sum(mine.get(h) != values.get(h) for h in {*mine, *values})


def _check(arrived: Arrived, agency: Agency, today: date) -> None:
    """Keep with each episode what one check over all of them says, as a check of its client alone would."""
    of: dict[str, list[Referral | None]] = defaultdict(list)
    for referral in arrived.referrals.values():
        of[referral.episode.episodid].append(referral)
    rows: list[Texts] = []
    places: list[tuple[str, Referral | None]] = []
    for episodid, episode in arrived.episodes.items():
        for each in of.get(episodid) or [None]:
            rows.append(as_sent(texts(episode.client, episode, each)))
            places.append((episodid, each))
    frame = pl.DataFrame(rows, schema=dict.fromkeys(DATASET.headers, pl.String))
    findings = check(frame, DATASET, today=today, submitter=agency.code).frame.sort("row", "rule")
    own = (None, "CLIENTID", "EPISODID", "REFERID")
    rules = {rule.id: rule for rule in DATASET.rules if rule.across in own and not rule.once}
    arrived.found = {episodid: [] for episodid in arrived.episodes}
    for row, name in findings.select("row", pl.col("rule").cast(pl.String)).iter_rows():
        if rule := rules.get(name):
            episodid, referral = places[row - 2]
            about = referral if DATASET.by_header[rule.header].entity is Entity.REFERRAL else None
            if (rule, about) not in arrived.found[episodid]:
                arrived.found[episodid].append((rule, about))
    for episodid, episode in arrived.episodes.items():
        keep(episode, told(arrived.found[episodid]))


def told(found: Iterable[tuple[Rule, Referral | None]]) -> list[Told]:
    """Findings with the numbers of the referrals they are about, once those have any."""
    return [Told(rule, (about.pk or 0) if about else 0) for rule, about in found]


def in_parts(arrived: Arrived) -> Iterator[Arrived]:
    """What arrived some clients at a time, in the order of the file, each part with what belongs to its clients.

    The first part, which may be empty, says what was left out when the file was read.
    """
    episodes: dict[str, dict[str, Episode]] = defaultdict(dict)
    for episodid, episode in arrived.episodes.items():
        episodes[episode.client.clientid][episodid] = episode
    referrals: dict[str, dict[str, Referral]] = defaultdict(dict)
    for referid, referral in arrived.referrals.items():
        referrals[referral.episode.client.clientid][referid] = referral
    clients = list(arrived.clients.items())
    for start in range(0, max(1, len(clients)), TOGETHER):
        part = Arrived(arrived.at, clients=dict(clients[start : start + TOGETHER]))
        part.done = Imported() if start else arrived.done
        for clientid in part.clients:
            part.episodes |= episodes[clientid]
            part.referrals |= referrals[clientid]
        part.found = {episodid: arrived.found[episodid] for episodid in part.episodes}
        yield part


# ---- against what is here --------------------------------------------------------------------------


def only_new(arrived: Arrived, agency: Agency) -> None:  # noqa: PLR0912 - to be divided when it is next opened
    """Leave in what arrived only what is not here yet, and have it belong to what is."""
    clients = _here(Client.objects.select_related("agency"), "clientid", arrived.clients, agency)
    episodes = _here(Episode.objects.select_related("client__agency"), "episodid", arrived.episodes, agency)
    referrals = _here(Referral.objects.select_related("episode"), "referid", arrived.referrals, agency)
    done = arrived.done

    # Who withdrew here is not brought back by a file of earlier days.
    gone = {clientid for clientid, client in clients.items() if client.consent != YES}
    done.not_consenting_here = len(gone)
    for clientid, client in arrived.clients.items():
        if clientid in clients and clientid not in gone:
            done.here += 1
            done.differ += differing(clients[clientid], client.values)

    taken: dict[str, Episode] = {}
    for episodid, episode in arrived.episodes.items():
        clientid, known = episode.client.clientid, episodes.get(episodid)
        if clientid in gone:
            continue
        if known and known.client.clientid != clientid:
            done.another += 1
            arrived.touched[clientid] = episode.client
        elif known:
            done.here += 1
            done.differ += differing(known, episode.values)
        else:
            taken[episodid] = episode

    left: dict[str, Referral] = {}
    for referid, referral in arrived.referrals.items():
        episodid = referral.episode.episodid
        there, parent = referrals.get(referid), taken.get(episodid) or episodes.get(episodid)
        if referral.episode.client.clientid in gone or parent is None:
            continue
        of_another = parent.client.clientid != referral.episode.client.clientid
        if of_another or (there and there.episode.episodid != episodid):
            done.another += 1
            arrived.touched.setdefault(referral.episode.client.clientid, referral.episode.client)
        elif there:
            done.here += 1
            done.differ += differing(there, referral.values)
        else:
            referral.episode = parent
            left[referid] = referral

    for new in (*taken.values(), *(referral.episode for referral in left.values())):
        if new.client.clientid in clients:
            new.client = arrived.touched[new.client.clientid] = clients[new.client.clientid]

    used = {episode.client.clientid for episode in taken.values()}
    arrived.clients = {k: each for k, each in arrived.clients.items() if k not in clients and k in used}
    arrived.episodes, arrived.referrals = taken, left
    done.clients, done.episodes, done.referrals = len(arrived.clients), len(taken), len(left)
    done.rejects = sum(bool(episode.rejects) for episode in taken.values())


def _here(records: QuerySet[_R], key: str, ids: Iterable[str], agency: Agency) -> dict[str, _R]:
    """The records of an agency that have some ids, by those."""
    wanted = list(ids)
    some = (wanted[start : start + 5_000] for start in range(0, len(wanted), 5_000))
    found = (each for part in some for each in records.filter(agency=agency, **{f"{key}__in": part}))
    return {getattr(each, key): each for each in found}
