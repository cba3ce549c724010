"""Made-up histories of CJIT clients, month by month: every rule kept, or chosen ones broken.

No value describes anybody. Initials, birth dates and answers are drawn at random, each from the shares
below; the one published share among them is marked, the rest are our own guesses at what is plausible.
The ids cannot be real: see `agency_code` and `made_up_id`.

The same arguments give the same histories, and the same bytes in a file: every draw is from a generator
seeded with the arguments, and today is an argument.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from importlib.resources import files
from io import BytesIO
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import BinaryIO

import polars as pl

from cjit import derive
from cjit.dataset import SUBMITTER, TODAY, CodeList, Dataset, Entity, Field, Kind, Record, Rule
from cjit.datasets.q.example import EXAMPLE, EXAMPLE_TODAY
from cjit.geography import DEFAULT_SECTOR, authorities_of_sector

# ---- how often -------------------------------------------------------------------------------------

#: Shares of the codes of a field, in per cent or any other unit: what is drawn of a client or an episode.
#: Codes a list does not have are left out; where it has none of them, all its codes are drawn alike.
SHARES: Mapping[str, Mapping[str, float]] = {
    "SEX": {"M": 82, "F": 18},
    "ETHNIC": {
        "A": 80, "B": 1, "C": 5, "D": 1.5, "E": 0.5, "F": 0.5, "G": 1, "H": 1, "J": 2, "K": 1, "L": 1.5, "M": 2,
        "N": 1, "P": 0.5, "R": 0.2, "S": 0.5, "Z": 0.6, "99": 0.2,
    },
    "NATION": {
        "GBR": 90, "POL": 2, "ROU": 1.5, "IRL": 1, "LTU": 1, "LVA": 0.5, "PAK": 0.6, "IND": 0.4, "IRN": 0.4,
        "JAM": 0.4, "PRT": 0.4, "SOM": 0.3, "IRQ": 0.3, "SRB": 0.2,
    },
    "SEXUALO": {"1": 90, "2": 2, "3": 2, "4": 0.5, "U": 0.5, "Z": 4, "9": 1},
    "RELIGION": {
        "L": 55, "C": 28, "G": 5, "K": 2, "I": 0.5, "D": 0.4, "B": 0.4, "F": 0.2, "H": 0.2, "M": 5, "N": 3,
    },
    "VETERAN": {"N": 95, "Y": 4, "Z": 1},
    # 57%: presentations by required assessment, Merseyside 2016/17 (Liverpool John Moores University). The
    # other eleven shares are our guess.
    "CJRFLS": {
        "X01": 57, "X02": 3, "X03": 3, "X04": 3, "X05": 8, "X06": 8, "X07": 5, "X08": 4, "X09": 4, "X10": 1,
        "X11": 2, "X12": 2,
    },
    "OFFENCE": {
        "X01": 28, "X02": 1, "X03": 2, "X04": 7, "X05": 6, "X06": 4, "X07": 3, "X08": 1, "X09": 2, "X10": 1,
        "X11": 2, "X12": 16, "X13": 5, "X14": 1, "X15": 0.5, "X16": 6, "X17": 4, "X18": 3, "X19": 3, "X20": 1,
        "X21": 1, "X22": 1, "X23": 1, "X24": 3, "X25": 1.5,
    },
    "DISABLE": {
        "1": 30, "2": 4, "3": 3, "4": 14, "5": 15, "6": 1, "7": 2, "8": 13, "9": 3, "10": 2, "XX": 13,
    },
    "HOUSING": {
        "1": 6, "2": 15, "3": 25, "4": 5, "5": 4, "7": 3, "8": 12, "9": 2, "12": 2, "13": 0.3, "14": 4, "15": 4,
        "16": 5, "17": 6, "18": 1, "19": 0.5, "20": 0.7, "21": 3, "22": 1, "23": 0.5,
    },
    "HOMELESS": {"N": 76, "Y": 22, "Z": 2},
    "PARENT": {"Y": 38, "N": 59, "Z": 3},
    "PRNTSTAT": {"11": 20, "12": 8, "13": 69, "15": 3},
    "EHCS": {"1": 8, "2": 11, "3": 9, "4": 14, "5": 42, "6": 3, "7": 9, "99": 4},
    "DRUG": {
        "1011": 34, "3201": 16, "3200": 20, "5000": 11, "7000": 11, "3100": 1.5, "2200": 2, "1000": 2, "1105": 0.5,
        "8799": 1, "9005": 0.7, "4000": 0.2, "3406": 0.1,
    },
    "NALOXAD": {"N": 80, "Y": 12, "X01": 5, "X02": 3},
}  # fmt: skip

#: How each substance is taken; any other substance is swallowed.
ROUTES: Mapping[str, Mapping[str, float]] = {
    "1011": {"3": 58, "1": 40, "2": 2},
    "3201": {"3": 96, "1": 4},
    "3200": {"2": 93, "3": 4, "1": 3},
    "3100": {"2": 55, "4": 25, "1": 20},
    "5000": {"3": 98, "4": 2},
}
SWALLOWED = {"4": 100}

#: Case closure reasons by what was agreed: a care plan or none. Our guess, but for what Appendix E permits.
CLOSURES: Mapping[str, Mapping[str, float]] = {
    "prior to caseload": {"73": 42, "1": 33, "2": 16, "99": 4, "13": 3, "14": 1.5, "74": 0.2},
    "from caseload": {
        "10": 10, "4": 7, "99": 16, "13": 10, "14": 3, "74": 0.2, "7": 6, "8": 33, "12": 2, "11": 10, "9": 1,
    },
}  # fmt: skip

NALOXONE: Mapping[bool, Mapping[str, float]] = {
    True: {"X01": 34, "X02": 14, "X03": 2, "X04": 22, "X05": 8, "X06": 18, "X07": 2},
    False: {"X05": 88, "X06": 8, "X07": 4},
}

#: Other shares, out of one: all our guess.
TAKEN_ONTO_CASELOAD = 0.5
COMES_BACK = 0.3
NO_REFERRAL, THREE_REFERRALS = 0.55, 0.04
LEGAL_NAME_CHANGE = 0.03
BIRTH_DATE_CORRECTED = 0.015
SEX_CORRECTED = 0.002
EVENT_DATE_CORRECTED = 0.01
ANSWER_CORRECTED = 0.04
ANSWER_FILLED_LATER = 0.05
CONSENT_WITHDRAWN = 0.02
LIVES_IN_ANOTHER_AREA = 0.07
#: Mean days between two moves of a client who is in contact.
BETWEEN_MOVES = 420
#: Mean days on the caseload.
ON_CASELOAD = 150
#: Days after the last contact before a client counts as disengaged, and the closure is recorded.
DISENGAGED = 61
#: An agency does not start empty: clients come as evenly in the days before the first month as after.
BEFORE_FIRST_MONTH = 365
#: The most episodes of a client, and referrals of an episode.
EPISODES, REFERRALS = 4, 3

_POSITIVE_TEST, _RELEASED, _NO_EVENT = "X01", "X06", ("X09", "X12")
_NO_FIXED_ABODE = ("16", "17", "18")
_HEROIN, _ALCOHOL, _OPIATES = "1011", "7000", ("1000", "1011", "1105")
_INJECT = "1"
_DROPPED_OUT, _DIED, _TRANSFERRED, _IN_CUSTODY, _MOVED_AWAY = "8", "9", "99", ("13", "11"), "14"
_DRUG_FREE, _ALCOHOL_FREE = "10", "15"
_CHILDREN_HELPED = ("1", "2", "3", "4", "6")
#: Answers that may be corrected, or filled in later, with no other answer hanging on them.
_LOOSE = ("OFFENCE", "SEXUALO", "RELIGION", "VETERAN", "HOMELESS", "NALOXAD")
_LOOSE_OF_CLIENT = ("ETHNIC", "NATION")


# ---- ids -------------------------------------------------------------------------------------------


def agency_code(number: int) -> str:
    """The code of a made-up agency, counted from 0, such as CJ900.

    Our reading: such a code is never allocated. One code is printed in the business definitions, CJ123; there
    are some 150 partnerships in England, and codes given out in turn do not come near 900.
    """
    return f"CJ9{number:02d}"


def made_up_id(kind: str, number: int) -> str:
    """A technical id or client reference that can never be real: T00000C00042.

    A “T” for test, then a running number in two halves with the kind's letter between them. So no birth
    date (six or eight figures together), NHS number (ten) or postcode can stand in it by chance.
    """
    return f"T{number // 100_000:05d}{kind}{number % 100_000:05d}"


_IDS = {"CLIENTID": ("C", 1), "CLIENT": ("R", 1), "EPISODID": ("E", EPISODES), "REFERID": ("F", EPISODES * REFERRALS)}


# ---- what is sent ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Submission:
    """The full submission of one agency for one month.

    `month` is the last day it covers. `frame` has a text column a header, in the dataset's order, blank as
    null, and a row for each episode and referral the agency holds that day.
    """

    agency: str
    month: date
    frame: pl.DataFrame
    letter: str = "Q"

    @property
    def name(self) -> str:
        """The file's name: agency, first and last day covered, and the dataset's letter.

        The pattern is that of the treatment providers' files. The word in its middle for a CJIT file is
        not public: “CJIT” is our reading.
        """
        start = self.month.replace(day=1)
        return f"{self.agency}-{start:%Y%m%d}-{self.month:%Y%m%d}-CJIT-IN-{self.letter}.csv"


def histories(
    dataset: Dataset,
    *,
    agencies: int,
    clients: int,
    months: int,
    today: date,
    seed: int | str,
    stubs: bool = False,
) -> Iterator[Submission]:
    """The submissions of some made-up agencies: all months of the first, then of the next.

    `clients` is how many come to one agency in all, the year before the first month included. The last month
    ends `today`, those before at their last day. Clients whose consent is withdrawn are in no later
    file, or, with `stubs`, leave a row of AGNCY, CLIENTID and CONSENT = N (which a check rejects). A month in
    which an agency holds nobody is left out.
    """
    if min(agencies, clients, months) < 1:
        raise ValueError("Enter at least one agency, one client and one month")
    ends = _month_ends(today, months)
    world = _World(dataset)
    for number in range(agencies):
        rng = Random(f"{seed}/{number}")  # noqa: S311  nothing is kept secret by it
        held = _held(world, number, clients, ends, rng, stubs)
        for i, end in enumerate(ends):
            frame = held.filter((pl.col("since") <= i) & (pl.col("until") > i)).select(dataset.headers)
            if frame.height:
                yield Submission(agency_code(number), end, frame, dataset.letter)


def _month_ends(today: date, months: int) -> list[date]:
    ends = [today]
    while len(ends) < months:
        ends.append(ends[-1].replace(day=1) - timedelta(days=1))
    return ends[::-1]


def _held(world: _World, agency: int, clients: int, ends: Sequence[date], rng: Random, stubs: bool) -> pl.DataFrame:
    """Every row an agency holds at any month's end, as text, and the months it stands so.

    `since` is the first month (counted from 0), `until` the first after it that has the row no more.
    """
    headers = world.dataset.headers
    home = rng.choice(world.areas)
    begin = ends[0].replace(day=1) - timedelta(days=BEFORE_FIRST_MONTH)
    upgrade = begin + timedelta(days=rng.randint(0, (ends[-1] - begin).days))
    rows: list[list[str | None]] = []
    since: list[int] = []
    until: list[int] = []
    for i in range(clients):
        client = _client(world, agency * clients + i, home, begin, ends[-1], rng)
        looks = sorted({bisect_left(ends, day) for day in client.days()} | {bisect_left(ends, upgrade)})
        looks = [at for at in looks if at < len(ends)]
        for at, after in zip(looks, [*looks[1:], len(ends)], strict=True):
            common: _Cells = {
                "AGNCY": agency_code(agency),
                "CMSID": f"Made-up system 2.{int(ends[at] >= upgrade)}",
                "CONSENT": "Y",
            }
            for cells in client.rows(ends[at], common, stubs):
                rows.append([cells.get(header) for header in headers])
                since.append(at)
                until.append(after)
    columns = list(zip(*rows, strict=True)) or [()] * len(headers)
    return pl.DataFrame(
        [pl.Series(h, column, pl.String) for h, column in zip(headers, columns, strict=True)]
        + [pl.Series("since", since, pl.Int32), pl.Series("until", until, pl.Int32)]
    )


# ---- a life ----------------------------------------------------------------------------------------

_Cells = dict[str, str | None]


@dataclass
class _Story:
    """What is recorded of something at its start, and what is recorded of it later, by day."""

    start: date
    cells: _Cells
    later: list[tuple[date, _Cells]] = field(default_factory=list)

    def at(self, day: date) -> _Cells:
        cells = self.cells.copy()
        for on, change in sorted(self.later, key=lambda change: change[0]):
            if on <= day:
                cells |= change
        return cells

    def at_first(self, header: str, wrong: str | None, until: date) -> None:
        """Record something else, or nothing, until the day it is put right."""
        self.later.append((until, {header: self.cells[header]}))
        self.cells[header] = wrong


@dataclass
class _Episode(_Story):
    referrals: list[tuple[date, _Cells]] = field(default_factory=list)


@dataclass
class _Client(_Story):
    episodes: list[_Episode] = field(default_factory=list)
    withdrawn: date = date.max

    def days(self) -> Iterator[date]:
        """Every day on which something of the client is recorded."""
        yield from (self.withdrawn, *(on for on, _ in self.later))
        for episode in self.episodes:
            yield episode.start
            yield from (on for on, _ in (*episode.later, *episode.referrals))

    def rows(self, day: date, common: _Cells, stubs: bool) -> Iterator[_Cells]:
        """The client's rows in a full submission at the end of a day."""
        if self.withdrawn <= day:
            if stubs:
                yield {"AGNCY": common["AGNCY"], "CLIENTID": self.cells["CLIENTID"], "CONSENT": "N"}
            return
        client = common | self.at(day)
        for episode in self.episodes:
            if episode.start <= day:
                cells = client | episode.at(day)
                made = [referral for on, referral in episode.referrals if on <= day]
                yield from (cells | referral for referral in made or [{}])


@dataclass(frozen=True)
class _Area:
    """A partnership: its code, its upper tier authority, and the sectors that lie in it, at least partly."""

    dat: str
    utla: str
    sectors: tuple[str, ...]


class _Lot:
    """Codes to draw from by their shares."""

    def __init__(self, shares: Mapping[str, float], codes: CodeList | None) -> None:
        if codes is not None:
            known = set(codes.codes)
            shares = {c: s for c, s in shares.items() if c in known} or dict.fromkeys(codes.codes, 1.0)
        self.codes = tuple(shares)
        self.upto = tuple(accumulate(shares.values()))

    def draw(self, rng: Random) -> str:
        return self.codes[bisect_right(self.upto, rng.random() * self.upto[-1])]

    def other(self, rng: Random, than: str | None) -> str | None:
        """Another code than one; None where there is none."""
        others = [code for code in self.codes if code != than]
        return rng.choice(others) if others else None


class _World:
    """What all lives are drawn from: a dataset's lists and the places there are."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        lists = dataset.lists
        self.lots = {name: _Lot(shares, lists.get(name)) for name, shares in SHARES.items()}
        self.routes = {drug: _Lot(shares, lists.get("ROUTE")) for drug, shares in ROUTES.items()}
        self.swallowed = _Lot(SWALLOWED, lists.get("ROUTE"))
        self.closures = {group: _Lot(shares, lists.get("CJDISRSN")) for group, shares in CLOSURES.items()}
        self.naloxone = {opiates: _Lot(shares, lists.get("NALOXISS")) for opiates, shares in NALOXONE.items()}
        self.prisons = [
            row.code for row in lists["PRISON"].rows if row.group == "PRISON" and not row.label.endswith("[closed]")
        ] or list(lists["PRISON"].codes)
        self.areas = _areas(lists["DAT"], lists["UTLA"])

    def draw(self, header: str, rng: Random) -> str:
        return self.lots[header].draw(rng)


def _areas(dats: CodeList, utlas: CodeList) -> list[_Area]:
    """The partnerships whose name is that of an upper tier authority: a DAT code is no ONS code."""
    names = {row.label: row.code for row in utlas.rows}
    data = files("cjit").joinpath("ons", "sectors.parquet").read_bytes()
    sectors: dict[str, list[str]] = {}
    for sector, authority in pl.read_parquet(BytesIO(data)).sort("sector").iter_rows():
        sectors.setdefault(authority, []).append(sector)
    known = {dat: names[label] for dat, label in dats.labels.items() if label in names}
    # An installed list may name the partnerships in another way: then any code goes with any authority.
    known = known or dict(zip(dats.codes, utlas.codes, strict=False))
    return [_Area(dat, utla, tuple(sectors[utla])) for dat, utla in known.items() if utla in sectors]


def _text(day: date) -> str:
    return f"{day:%d/%m/%Y}"


def _days(rng: Random, least: int, most: int) -> timedelta:
    return timedelta(days=rng.randint(least, most))


def _client(world: _World, number: int, home: _Area, begin: date, today: date, rng: Random) -> _Client:
    come = begin + _days(rng, 0, (today - begin).days)
    born = come - timedelta(days=int(rng.triangular(18, 70, 33) * 365.25))
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    client = _Client(
        come,
        {
            "CLIENTID": made_up_id("C", number),
            "FINITIAL": rng.choice(letters),
            "SINITIAL": rng.choice(letters),
            "DOB": _text(born),
            "SEX": world.draw("SEX", rng),
            "ETHNIC": world.draw("ETHNIC", rng),
            "NATION": world.draw("NATION", rng),
            "CLIENT": made_up_id("R", number),
        },
    )
    same: _Cells = {
        "SEXUALO": world.draw("SEXUALO", rng),
        "RELIGION": world.draw("RELIGION", rng),
        "VETERAN": world.draw("VETERAN", rng),
        **_disabilities(world, rng),
    }
    custody = False
    for k in range(EPISODES):
        first = number * EPISODES + k
        episode, reason, closed = _episode(world, first, client, same, home, come, custody, today, rng)
        client.episodes.append(episode)
        custody = reason in _IN_CUSTODY
        come = closed + (_days(rng, 60, 400) if custody else _days(rng, 30, 300))
        if come > today or reason in (_DIED, _MOVED_AWAY) or rng.random() > COMES_BACK:
            break
    _put_right(world, client, born, today, rng)
    if reason != _DIED and rng.random() < LEGAL_NAME_CHANGE:
        initial = "FINITIAL" if rng.random() < 0.15 else "SINITIAL"
        new = rng.choice(letters.replace(client.cells[initial] or "", ""))
        client.later.append((client.start + _days(rng, 1, 700), {initial: new}))
    if rng.random() < CONSENT_WITHDRAWN:
        client.withdrawn = client.start + _days(rng, 1, 700)
    return client


def _put_right(world: _World, client: _Client, born: date, today: date, rng: Random) -> None:
    """What is wrong or blank at first and is corrected or filled in later."""
    if rng.random() < BIRTH_DATE_CORRECTED:
        # Day and month the wrong way round, or the year one off.
        wrong = date(born.year, born.day, born.month) if born.day <= 12 else born - timedelta(days=365)
        if wrong != born and wrong < client.start:
            client.at_first("DOB", _text(wrong), client.start + _days(rng, 20, 150))
    if rng.random() < SEX_CORRECTED:
        other = world.lots["SEX"].other(rng, client.cells["SEX"])
        client.at_first("SEX", other, client.start + _days(rng, 20, 150))
    for story, headers in ((client, _LOOSE_OF_CLIENT), *((e, _LOOSE) for e in client.episodes)):
        for header in headers:
            chance = rng.random()
            if chance < ANSWER_FILLED_LATER:
                story.at_first(header, None, story.start + _days(rng, 14, 75))
            elif chance < ANSWER_FILLED_LATER + ANSWER_CORRECTED / len(headers):
                wrong_code = world.lots[header].other(rng, story.cells[header])
                story.at_first(header, wrong_code, story.start + _days(rng, 14, 150))


def _episode(
    world: _World,
    number: int,
    client: _Client,
    same: _Cells,
    home: _Area,
    come: date,
    custody: bool,
    today: date,
    rng: Random,
) -> tuple[_Episode, str, date]:
    """An episode, why it will have been closed, and the day that is recorded."""
    event = _RELEASED if custody else world.draw("CJRFLS", rng)
    if event == _POSITIVE_TEST:
        prompted = come - _days(rng, 0, 7)
    elif event in _NO_EVENT:
        prompted = come
    else:
        prompted = come - _days(rng, 0, 21)
    housing = world.draw("HOUSING", rng)
    substances = _substances(world, rng)
    opiates = any(substances.get(header) in _OPIATES for header in ("DRUG1", "DRUG2", "DRUG3"))
    pregnant = "N"
    if client.cells["SEX"] == "F":
        pregnant = "Y" if rng.random() < 0.03 else "N"
    episode = _Episode(
        come,
        same
        | _household(world, rng)
        | substances
        | {
            "EPISODID": made_up_id("E", number),
            "REFLD": _text(prompted),
            "CJRFLS": event,
            "TRIAGED": _text(come),
            "OFFENCE": world.draw("OFFENCE", rng),
            "PRISON": rng.choice(world.prisons) if event == _RELEASED else None,
            "PREGNANT": pregnant,
            "HOUSING": housing,
            "HOMELESS": "Y" if housing in _NO_FIXED_ABODE else world.draw("HOMELESS", rng),
            "NALOXISS": world.naloxone[opiates].draw(rng),
            "NALOXAD": world.draw("NALOXAD", rng),
        },
    )
    reason, left, closed = _course(world, episode, number, substances, come, rng)
    _addresses(world, episode, home, housing, come, min(left, today), rng)
    if rng.random() < EVENT_DATE_CORRECTED:
        episode.at_first("REFLD", _text(prompted - _days(rng, 1, 9)), come + _days(rng, 10, 90))
    return episode, reason, closed


def _course(
    world: _World, episode: _Episode, number: int, substances: _Cells, come: date, rng: Random
) -> tuple[str, date, date]:
    """Caseload start, referrals and closure; returns why, when, and the day it is recorded."""
    from_caseload = rng.random() < TAKEN_ONTO_CASELOAD
    reason = world.closures["from caseload" if from_caseload else "prior to caseload"].draw(rng)
    if from_caseload:
        start = come + _days(rng, 0, 21)
        episode.later.append((start, {"CPLANDT": _text(start)}))
        left = start + timedelta(days=7 + int(rng.expovariate(1 / ON_CASELOAD)))
        if reason == _DRUG_FREE and substances["DRUG1"] == _ALCOHOL:
            reason = _ALCOHOL_FREE
        count = 0
        if rng.random() > NO_REFERRAL:
            count = 1 + (rng.random() < 0.25) + (rng.random() < THREE_REFERRALS)
        made = sorted({start + _days(rng, 0, (left - start).days) for _ in range(count)})
    else:
        left = come + _days(rng, 0, 28)
        made = []
    if reason == _TRANSFERRED and not made:
        made = [left]
    for j, day in enumerate(made):
        referral: _Cells = {"REFERID": made_up_id("F", number * REFERRALS + j), "REFDATE": _text(day)}
        episode.referrals.append((day, referral))
    closed = left + (timedelta(days=DISENGAGED) if reason == _DROPPED_OUT else _days(rng, 0, 10))
    episode.later.append((closed, {"DISD": _text(left), "CJDISRSN": reason}))
    return reason, left, closed


def _addresses(
    world: _World, episode: _Episode, home: _Area, housing: str, come: date, left: date, rng: Random
) -> None:
    """Where the client lives, and moves while the episode is open: the three fields change together."""

    def address() -> _Cells:
        area = rng.choice(world.areas) if rng.random() < LIVES_IN_ANOTHER_AREA else home
        return {"PC": rng.choice(area.sectors), "DAT": area.dat, "UTLA": area.utla}

    # Of no fixed abode: the partnership of the CJIT stands in, and UTLA is where they last were so.
    nowhere: _Cells = {"PC": DEFAULT_SECTOR, "DAT": home.dat, "UTLA": home.utla}
    episode.cells |= nowhere if housing in _NO_FIXED_ABODE else address()
    moved = come
    while (moved := moved + timedelta(days=1 + int(rng.expovariate(1 / BETWEEN_MOVES)))) <= left:
        episode.later.append((moved, nowhere if rng.random() < 0.08 else address()))


def _substances(world: _World, rng: Random) -> _Cells:
    drugs = [world.draw("DRUG", rng)]
    while len(drugs) < 3 and rng.random() < (0.55 if len(drugs) == 1 else 0.3):
        another = "3201" if drugs == [_HEROIN] and rng.random() < 0.6 else world.draw("DRUG", rng)
        if another in drugs:
            break
        drugs.append(another)
    cells: _Cells = {f"DRUG{i}": drug for i, drug in enumerate(drugs, start=1)}
    route = world.routes.get(drugs[0], world.swallowed).draw(rng)
    if route == _INJECT:
        injecting = "C"
    elif any(drug in _OPIATES for drug in drugs):
        injecting = _Lot({"P": 30, "N": 62, "C": 5, "Z": 3}, None).draw(rng)
    else:
        injecting = "P" if rng.random() < 0.06 else "N"
    if _ALCOHOL in drugs:
        days, units = int(rng.triangular(1, 29, 24)), int(rng.triangular(4, 60, 16))
    elif rng.random() < 0.45:
        days, units = 0, 0
    else:
        days, units = int(rng.triangular(1, 16, 3)), int(rng.triangular(1, 16, 4))
    return cells | {"ROUTE": route, "INJSTAT": injecting, "ALCDDAYS": f"{days}", "ALCUNITS": f"{units}"}


def _disabilities(world: _World, rng: Random) -> _Cells:
    chance = rng.random()
    if chance < 0.74:
        return {"DISABLE1": "ZZ" if chance < 0.04 else "NN"}
    found = [world.draw("DISABLE", rng)]
    while len(found) < 3 and rng.random() < 0.25:
        another = world.draw("DISABLE", rng)
        if another in found:
            break
        found.append(another)
    return {f"DISABLE{i}": code for i, code in enumerate(found, start=1)}


def _household(world: _World, rng: Random) -> _Cells:
    """Parental responsibility, children at home, and what help children receive."""
    parent = world.draw("PARENT", rng)
    cells: _Cells = {"PARENT": parent}
    children = 0
    if parent == "Y":
        cells["PRNTSTAT"] = where = world.draw("PRNTSTAT", rng)
        if where in ("11", "12"):
            children = 1 + int(rng.random() ** 2 * 4)
        elif where == "15":
            children = 98
    elif parent == "N":
        children = rng.randint(1, 3) if rng.random() < 0.07 else 0
    else:
        children = 98
    cells["CHILDWTH"] = f"{children}"
    if parent == "Y" or 0 < children < 98:
        helped = [world.draw("EHCS", rng)]
        while helped[0] in _CHILDREN_HELPED and len(helped) < 3 and rng.random() < 0.15:
            helped.append(rng.choice([code for code in _CHILDREN_HELPED if code not in helped]))
        cells |= dict(zip(("EHCS", "EHCSC2", "EHCSC3"), helped, strict=False))
    return cells


# ---- files -----------------------------------------------------------------------------------------

#: Rows made at once for a long file.
_SLICE = 10_000


def write(submissions: Iterable[Submission], directory: Path) -> list[Path]:
    """Write each submission as a file of its own name; a file of that name is replaced."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    for submission in submissions:
        path = directory / submission.name
        with path.open("wb") as file:
            _write_csv(submission.frame, file, headers=True)
        paths.append(path)
    return paths


def _write_csv(frame: pl.DataFrame, file: BinaryIO, *, headers: bool) -> None:
    """The canonical form: UTF-8, CRLF, and quotes only where a cell needs them (RFC 4180)."""
    frame.write_csv(file, include_header=headers, line_terminator="\r\n", quote_style="necessary")


def big_file(dataset: Dataset, path: Path, rows: int, faults: float, seed: int | str, today: date) -> Counter[str]:
    """Write one agency's file of exactly `rows` rows, by client, about `faults` of its cells broken.

    Memory does not grow with `rows`: some thousand lives are drawn, and repeated with the next ids until the
    file is long enough. The faults differ in every repeat. Returns them as `with_faults` does.
    """
    clients = min(rows, _SLICE) + 50
    block = next(histories(dataset, agencies=1, clients=clients, months=1, today=today, seed=seed)).frame
    block = block.head(_SLICE)
    broken: Counter[str] = Counter()
    with path.open("wb") as file:
        for i, start in enumerate(range(0, rows, block.height)):
            frame = block.with_columns(
                _next_id(header, kind, i * clients * each) for header, (kind, each) in _IDS.items()
            ).head(rows - start)
            frame, counts = with_faults(frame, dataset, faults, f"{seed}/{i}")
            broken += counts
            _write_csv(frame, file, headers=not i)
    return broken


def _next_id(header: str, kind: str, step: int) -> pl.Expr:
    """A column of made-up ids with `step` added to their number."""
    halves = [pl.col(header).str.slice(at, 5).cast(pl.Int64) for at in (1, 7)]
    number = halves[0] * 100_000 + halves[1] + step
    first, second = ((half.cast(pl.String).str.zfill(5)) for half in (number // 100_000, number % 100_000))
    return pl.format(f"T{{}}{kind}{{}}", first, second).alias(header)


# ---- faults ----------------------------------------------------------------------------------------

_Row = Mapping[str, str | None]


@dataclass(frozen=True)
class _Fault:
    """A believable way to get one cell wrong.

    `spoil` is given the cell (never blank), the rest of its row as far as named in `beside`, and a
    generator; it returns the wrong text, "" for blank, or None where it cannot be done to this cell.
    """

    name: str
    spoil: Callable[[str, _Row, Random], str | None]
    beside: tuple[str, ...] = ()


def with_faults(
    frame: pl.DataFrame,
    dataset: Dataset,
    rate: float,
    seed: int | str,
    rules: Sequence[str] | None = None,
    *,
    today: date | None = None,
) -> tuple[pl.DataFrame, Counter[str]]:
    """A frame with faults put in, and how many of each.

    `rate` is the share of all its cells to get wrong, from 0 to 1, drawn among those that hold anything; the
    faults are those people and systems make, and are counted by “HEADER: what is wrong”.

    With `rules`, each of those rules, and as far as can be nothing else, is broken in a `rate` of the
    rows, at least one, and counted by its id: the rule's own example is laid over a row that is the only
    one of its client. An example of several records adds rows. Where no row is fit for the example, the
    row takes the values of dataset Q's example record, which supposes that `today` (left out: the latest
    date in the frame) is no earlier than the example's; what cannot be broken is counted 0. Raises
    ValueError for a rule that is not in the book.
    """
    if not 0 <= rate <= 1:
        raise ValueError("Enter a rate of faults from 0 to 1, such as 0.02 for two cells in a hundred")
    rng = Random(f"{seed}/faults")  # noqa: S311  nothing is kept secret by it
    if rules is not None:
        return _with_broken_rules(frame, dataset, rate, rng, rules, today or _latest(frame, dataset))
    filled = frame.height * frame.width - sum(frame.null_count().row(0)) if frame.width else 0
    if not rate or not filled:
        return frame, Counter()
    chance = rate * frame.height * frame.width / filled
    broken: Counter[str] = Counter()
    columns = []
    for header in dataset.headers:
        column = frame[header]
        given = column.is_not_null().arg_true()
        at = given.gather(list(_drawn(given.len(), chance, rng)))
        columns.append(_spoilt(frame, column, at, _faults_of(dataset, header), broken, rng))
    return frame.with_columns(columns), broken


def _drawn(count: int, chance: float, rng: Random) -> Iterator[int]:
    """Each of 0 … count - 1 with a chance, in order; takes as long as what it gives."""
    if chance >= 1:
        yield from range(count)
        return
    gap = math.log1p(-chance)
    at = int(math.log1p(-rng.random()) / gap)
    while at < count:
        yield at
        at += 1 + int(math.log1p(-rng.random()) / gap)


def _spoilt(
    frame: pl.DataFrame,
    column: pl.Series,
    at: pl.Series,
    faults: Sequence[_Fault],
    broken: Counter[str],
    rng: Random,
) -> pl.Series:
    if at.is_empty() or not faults:
        return column
    beside = sorted({header for fault in faults for header in fault.beside} & set(frame.columns))
    some = frame[at]
    rows: Iterable[_Row] = some.select(beside).iter_rows(named=True) if beside else [{}] * at.len()
    where, wrong = [], []
    for place, value, row in zip(at, some[column.name], rows, strict=True):
        first = int(rng.random() * len(faults))
        for fault in (*faults[first:], *faults[:first]):
            text = fault.spoil(value, row, rng)
            if text is not None and text != value:
                where.append(place)
                wrong.append(text or None)
                broken[f"{column.name}: {fault.name}"] += 1
                break
    return column.clone().scatter(where, pl.Series(wrong, dtype=pl.String))


def _faults_of(dataset: Dataset, header: str) -> list[_Fault]:
    """What can go wrong with a field: what its kind allows, then what its neighbours do."""
    known = dataset.by_header[header]
    faults = [*_faults_of_kind(known, dataset.codes_of(header)), *_BESIDE.get(header, ())]
    if known.missing is not None:
        faults.append(_Fault("left blank", lambda value, row, rng: ""))
    return faults


def _faults_of_kind(known: Field, codes: CodeList | None) -> Iterator[_Fault]:
    yield _Fault("a space after it", lambda value, row, rng: f"{value} ")
    match known.kind:
        case Kind.DATE:
            yield _Fault("year first", lambda v, row, rng: f"{v[6:]}-{v[3:5]}-{v[:2]}")
            yield _Fault("no such day", lambda v, row, rng: f"31/{rng.choice(('02', '04', '06'))}/{v[6:]}")
            yield _Fault("year of two figures", lambda v, row, rng: v[:6] + v[8:])
            yield _Fault("year of nought", lambda v, row, rng: f"{v[:6]}00{v[8:]}")
            yield _Fault("a century too late", lambda v, row, rng: f"{v[:6]}{int(v[6:]) + 100}")
            yield _Fault("full stops", lambda v, row, rng: v.replace("/", "."))
            yield _Fault("month first", lambda v, row, rng: f"{v[3:6]}{v[:3]}{v[6:]}" if v[:2] > "12" else None)
        case Kind.INITIAL:
            yield _Fault("lower case", lambda v, row, rng: v.lower())
            yield _Fault("two letters", lambda v, row, rng: v + rng.choice("aehiou"))
            yield _Fault("not a letter", lambda v, row, rng: rng.choice("-?.0"))
        case Kind.NUMBER:
            most = known.maximum or 0
            yield _Fault("too high", lambda v, row, rng: f"{most + rng.randint(1, 9)}")
            yield _Fault("below nought", lambda v, row, rng: "-1")
            yield _Fault("a word", lambda v, row, rng: rng.choice(("none", "some", "daily", "n/a")))
            yield _Fault("a range", lambda v, row, rng: f"{v}-{int(v) + 2}")
            yield _Fault("a leading nought", lambda v, row, rng: f"0{v}")
        case Kind.POSTCODE:
            ends = "ABDEFGHJLNPQRSTUWXYZ"
            yield _Fault("whole", lambda v, row, rng: v + rng.choice(ends) + rng.choice(ends))
            yield _Fault("lower case", lambda v, row, rng: v.lower())
            yield _Fault("no space", lambda v, row, rng: v.replace(" ", ""))
            yield _Fault("no postcode", lambda v, row, rng: rng.choice(("NFA", "UNKNOWN", "HMP", "N/A")))
        case Kind.CODE if codes is not None:
            labels = codes.labels
            yield _Fault("the label", lambda v, row, rng: _unlike(labels.get(v), v))
            yield _Fault("lower case", lambda v, row, rng: v.lower())
            if "1" in codes.codes:
                yield _Fault("a leading nought", lambda v, row, rng: f"0{v}" if len(v) == 1 and v.isdigit() else None)
            if codes.complete:
                unknown = [code for code in ("?", "U", "98", "XXX", "NULL") if code not in codes.codes]
                yield _Fault("no such code", lambda v, row, rng: rng.choice(unknown))
            if known.none:
                yield _Fault("a code for none", lambda v, row, rng: known.none[0])


def _unlike(label: str | None, code: str) -> str | None:
    """A label, where it cannot be taken for the code itself."""
    return label if label and label.upper() != code and not label.startswith("(") else None


def _moved(header: str, least: int, most: int) -> Callable[[str, _Row, Random], str | None]:
    """A date some days from the one beside it."""

    def spoil(value: str, row: _Row, rng: Random) -> str | None:
        other = row[header]
        if other is None:
            return None
        return _text(date(int(other[6:]), int(other[3:5]), int(other[:2])) + _days(rng, least, most))

    return spoil


def _given(header: str, wrong: str) -> Callable[[str, _Row, Random], str | None]:
    """A wrong text where the cell beside it is given."""
    return lambda value, row, rng: wrong if row[header] else None


def _birth_date_joined(value: str, row: _Row, rng: Random) -> str | None:
    first, last, born = (row[header] or "" for header in ("FINITIAL", "SINITIAL", "DOB"))
    return f"{first}{last}{born[:2]}{born[3:5]}{born[8:]}" if first and last and born else None


#: Hartlepool, Cornwall, Dover's county and Cumbria: far enough apart that a sector is never in all.
_FAR = ("E06000001", "E06000052", "E10000016", "E06000019")


def _elsewhere(value: str, row: _Row, rng: Random) -> str | None:
    """An authority the sector cannot lie in."""
    sector = row["PC"]
    if sector is None or sector == DEFAULT_SECTOR:
        return None
    return rng.choice([code for code in _FAR if code not in authorities_of_sector(sector)])


def _other_stage(value: str, row: _Row, rng: Random) -> str:
    """A closure reason of the other heading of Appendix E."""
    return rng.choice(("73", "1", "2") if row["CPLANDT"] else ("8", "10", "12"))


_CHILDREN = ("PARENT", "CHILDWTH")

#: What can go wrong between a cell and its neighbours, by the cell's header.
_BESIDE: Mapping[str, tuple[_Fault, ...]] = {
    "FINITIAL": (_Fault("the surname's initial", lambda v, row, rng: row["SINITIAL"], ("SINITIAL",)),),
    "SINITIAL": (_Fault("the first name's initial", lambda v, row, rng: row["FINITIAL"], ("FINITIAL",)),),
    "DOB": (_Fault("the contact date", lambda v, row, rng: row["TRIAGED"], ("TRIAGED",)),),
    "NATION": (_Fault("a code for Kosovo", lambda v, row, rng: rng.choice(("XKX", "XK"))),),
    "CLIENT": (_Fault("initials and birth date", _birth_date_joined, ("FINITIAL", "SINITIAL", "DOB")),),
    "CONSENT": (_Fault("not given", lambda v, row, rng: "N"),),
    "UTLA": (_Fault("far from the postcode", _elsewhere, ("PC",)),),
    "REFLD": (_Fault("after the contact", _moved("TRIAGED", 1, 20), ("TRIAGED",)),),
    "TRIAGED": (_Fault("before the event", _moved("REFLD", -20, -1), ("REFLD",)),),
    "DISABLE1": (_Fault("none, with a second", _given("DISABLE2", "NN"), ("DISABLE2",)),),
    "DISABLE2": (
        _Fault("the first again", lambda v, row, rng: row["DISABLE1"], ("DISABLE1",)),
        _Fault("a gap before the third", _given("DISABLE3", ""), ("DISABLE3",)),
    ),
    "PARENT": (_Fault("no, with children's place", _given("PRNTSTAT", "N"), ("PRNTSTAT",)),),
    "PRNTSTAT": (_Fault("not filled in", lambda v, row, rng: ""),),
    "EHCS": (
        _Fault("not filled in", lambda v, row, rng: ""),
        _Fault("none, with a second", _given("EHCSC2", "5"), ("EHCSC2",)),
    ),
    "EHCSC2": (
        _Fault("the first again", lambda v, row, rng: row["EHCS"], ("EHCS",)),
        _Fault("a gap before the third", _given("EHCSC3", ""), ("EHCSC3",)),
    ),
    "DRUG2": (
        _Fault("the first again", lambda v, row, rng: row["DRUG1"], ("DRUG1",)),
        _Fault("a gap before the third", _given("DRUG3", ""), ("DRUG3",)),
    ),
    "CPLANDT": (_Fault("before the contact", _moved("TRIAGED", -20, -1), ("TRIAGED",)),),
    "DISD": (
        _Fault("not filled in", lambda v, row, rng: ""),
        _Fault("before the contact", _moved("TRIAGED", -20, -1), ("TRIAGED",)),
    ),
    "CJDISRSN": (
        _Fault("not filled in", lambda v, row, rng: ""),
        _Fault("of the other stage", _other_stage, ("CPLANDT",)),
    ),
    "REFERID": (_Fault("not filled in", lambda v, row, rng: ""),),
    "REFDATE": (
        _Fault("not filled in", lambda v, row, rng: ""),
        _Fault("before the contact", _moved("TRIAGED", -20, -1), ("TRIAGED",)),
    ),
}


# ---- chosen rules ----------------------------------------------------------------------------------

#: Rows a rule's example is tried on, for each that is wanted.
_TRIES = 8


def _latest(frame: pl.DataFrame, dataset: Dataset) -> date:
    """The latest date in a frame: no later than the day it was made."""
    dates = (f.header for f in dataset.fields if f.kind is Kind.DATE)
    days = (pl.col(header).str.to_date("%d/%m/%Y", strict=False).max() for header in dates)
    latest = frame.select(pl.max_horizontal(*days)).item()
    return latest if isinstance(latest, date) else EXAMPLE_TODAY


def _with_broken_rules(
    frame: pl.DataFrame, dataset: Dataset, rate: float, rng: Random, rules: Sequence[str], today: date
) -> tuple[pl.DataFrame, Counter[str]]:
    book = {rule.id: rule for rule in dataset.rules}
    for name in rules:
        if name not in book:
            raise ValueError(f"There is no rule called {name}: “cjit rules” lists them")
    client = dataset.entity(Entity.CLIENT)[0].header
    alone = frame.select((pl.len().over(client) == 1).alias("alone"))["alone"].arg_true().to_list()
    rng.shuffle(alone)
    wanted = max(1, round(rate * frame.height))
    broken = Counter(dict.fromkeys(rules, 0))
    replaced: list[int] = []
    instead: list[pl.DataFrame] = []
    for name in dict.fromkeys(rules):
        some = alone[: wanted * _TRIES]
        places, rows = _laid(frame, some, dataset, book[name], today, wanted)
        taken = set(places)
        alone = [at for at in alone if at not in taken]
        broken[name] = len(places)
        replaced += places
        instead.append(rows)
    kept = frame.with_row_index("at").filter(~pl.col("at").is_in(replaced))
    return pl.concat([kept, *instead]).sort("at", maintain_order=True).drop("at"), broken


def _laid(
    frame: pl.DataFrame, some: Sequence[int], dataset: Dataset, rule: Rule, today: date, wanted: int
) -> tuple[list[int], pl.DataFrame]:
    """The places where a rule's example breaks it, at most so many, and the rows that do, each with its `at`.

    First choice are places where the example breaks no other rule; last, the dataset's example record.
    """
    whole = frame[some].with_columns(pl.Series("at", some, pl.UInt32)).select("at", *dataset.headers)
    ids = [f.header for f in dataset.fields if f.kind is Kind.ID]
    example = [pl.lit(EXAMPLE.get(h) or None, pl.String).alias(h) for h in dataset.headers if h not in ids]
    # The example record has a referral, so it takes the place only of a row that has one.
    referral = dataset.entity(Entity.REFERRAL)[0].header
    bases = (whole, whole.filter(pl.col(referral).is_not_null()).with_columns(example))
    tried = [(laid, *_firing(laid, dataset, rule, today)) for laid in (_overlaid(b, rule, ids) for b in bases)]
    only = [(laid, fires.filter(~fires.is_in(others.implode()))) for laid, fires, others in tried]
    chosen: list[int] = []
    rows: list[pl.DataFrame] = []
    for laid, fires in (*only, *((laid, fires) for laid, fires, _ in tried)):
        new = [at for at in fires if at not in chosen][: wanted - len(chosen)]
        chosen += new
        rows.append(laid.filter(pl.col("at").is_in(new)).select("at", *dataset.headers))
    return chosen, pl.concat(rows)


def _overlaid(base: pl.DataFrame, rule: Rule, ids: Sequence[str]) -> pl.DataFrame:
    """A rule's example laid over rows: one record in place of each, or several after one another.

    The ids an example of several records brings are made different for each place, so that two places
    never meet.
    """
    alone = isinstance(rule.breaks, Mapping)
    records: Sequence[Record] = [rule.breaks] if isinstance(rule.breaks, Mapping) else rule.breaks

    def cells(record: Record) -> Iterator[pl.Expr]:
        for header, text in record.items():
            own = header in ids and not alone
            if header not in base.columns or (own and text == EXAMPLE.get(header)):
                continue
            value = pl.lit(text or None, pl.String)
            yield (pl.format("{}X{}", value, pl.col("at")) if own and text else value).alias(header)

    submitter = pl.col("AGNCY").alias(SUBMITTER)
    laid = [base.with_columns(submitter).with_columns(*cells(record)) for record in records]
    return pl.concat(laid).sort("at", maintain_order=True)


def _firing(laid: pl.DataFrame, dataset: Dataset, rule: Rule, today: date) -> tuple[pl.Series, pl.Series]:
    """The places where a rule is broken, and those where any other is, as the engine would see them."""
    text, read, value = derive.columns(dataset)
    typed = laid.with_columns(pl.lit(today).alias(TODAY)).with_columns(text).with_columns(read).with_columns(value)
    bad = {f.header: found for f in dataset.fields if (found := derive.no_value(f, dataset)) is not None}
    silenced = {other.replaces: other for other in dataset.rules if other.replaces}

    def fails(one: Rule) -> pl.Expr:
        expression = one.fails_when
        for header in one.headers:
            if header in bad:
                expression = expression & ~bad[header].fill_null(False)
        if one.across:
            expression = expression & pl.col(one.across).is_not_null()
        if one.id in silenced:
            expression = expression & ~silenced[one.id].fails_when.fill_null(False)
        return expression.fill_null(False)

    others = [] if rule.gate else [fails(other) for other in dataset.rules if other is not rule]
    told = typed.select("at", fails(rule).alias("this"), pl.any_horizontal(pl.lit(False), *others).alias("other"))
    return told.filter("this")["at"].unique(maintain_order=True), told.filter("other")["at"].unique()
