"""Made-up histories of CJIT clients, month by month: every rule kept, or chosen ones broken.

No value describes anybody. Initials, birth dates and answers are drawn at random, each from the shares
below; the one published share among them is marked, the rest are our own guesses at what is plausible.
The ids cannot be real: see `agency_code` and `made_up_id`.

The same arguments give the same histories, and the same bytes in a file: every draw is from a generator
seeded with the arguments, and today is an argument.
"""

from __future__ import annotations

import csv
import io
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

from cjit.dataset import CodeList, Dataset, Kind
from cjit.datasets.q.tables import dat_of
from cjit.dates import Style, rewritten
from cjit.engine.findings import polars
from cjit.geography import DEFAULT_SECTOR, upper_tiers
from cjit.testdata.faults import Columns, with_faults

if TYPE_CHECKING:
    import polars as pl

# ---- how often -------------------------------------------------------------------------------------

# fmt: off
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
    "SEXUALO": {"1": 90, "2": 2, "3": 2, "4": 0.5, "U": 0.5, "Z": 4},
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
        "X01": 38, "X07": 3, "X05": 9, "X27": 0.5, "X28": 1, "X29": 0.5, "X08": 1, "X10": 1, "X30": 4, "X31": 8,
        "X32": 2, "X09": 1.5, "X33": 0.3, "X34": 0.2, "X11": 2, "X35": 6, "X36": 2, "X15": 0.5, "X16": 6, "X17": 4,
        "X18": 3, "X19": 3, "X20": 1, "X21": 1, "X22": 1, "X23": 1, "X24": 3, "X25": 1.5,
    },
    "DISABLE": {
        "1": 30, "2": 4, "3": 3, "4": 14, "5": 15, "6": 1, "7": 2, "8": 13, "9": 3, "10": 2, "XX": 13,
    },
    "HOUSING": {
        "1": 6, "2": 15, "3": 25, "4": 5, "5": 4, "7": 3, "8": 12, "9": 2, "12": 2, "13": 0.3, "14": 4, "15": 4,
        "16": 5, "17": 6, "18": 1, "19": 0.5, "20": 0.7, "21": 3, "22": 1, "23": 0.5,
    },
    "HOMELESS": {"N": 77, "Y": 23},
    "PARENT": {"Y": 38, "N": 59, "Z": 3},
    "PRNTSTAT": {"11": 20, "12": 8, "13": 69, "15": 3},
    "EHCS": {"1": 8, "2": 11, "3": 9, "4": 14, "5": 42, "6": 3, "7": 9, "99": 4},
    "DRUG": {
        "1011": 34, "3201": 16, "3200": 20, "5000": 11, "7000": 11, "3100": 1.5, "2200": 2, "1000": 2, "1105": 0.5,
        "8799": 1, "9005": 0.7, "4000": 0.2, "3406": 0.1,
    },
    "NALOXAD": {"N": 80, "Y": 12, "U": 5, "Z": 3},
}

#: How each substance is taken; any other substance is swallowed.
ROUTES: Mapping[str, Mapping[str, float]] = {
    "1011": {"3": 58, "1": 40, "2": 2},
    "3201": {"3": 96, "1": 4},
    "3200": {"2": 93, "3": 4, "1": 3},
    "3100": {"2": 55, "4": 25, "1": 20},
    "5000": {"3": 98, "4": 2},
}
SWALLOWED = {"4": 100}

#: Case closure reasons by what was agreed: a care plan or none. Our guess, within what Appendix E permits.
CLOSURES: Mapping[str, Mapping[str, float]] = {
    "prior to caseload": {"73": 42, "1": 33, "2": 16, "99": 4, "13": 3, "14": 1.5, "74": 0.2},
    "from caseload": {
        "10": 10, "4": 7, "99": 16, "13": 10, "14": 3, "74": 0.2, "7": 6, "8": 33, "12": 2, "11": 10, "9": 1,
    },
}
# fmt: on

NALOXONE: Mapping[bool, Mapping[str, float]] = {
    True: {"X01": 34, "X02": 14, "X03": 2, "X04": 22, "X05": 8, "X06": 18, "X07": 2},
    False: {"X05": 88, "X06": 8, "X07": 4},
}

#: Other shares, out of one: all our guess.
TAKEN_ONTO_CASELOAD = 0.5
COMES_BACK = 0.4
NO_REFERRAL, THREE_REFERRALS = 0.55, 0.04
LEGAL_NAME_CHANGE = 0.03
BIRTH_DATE_CORRECTED = 0.015
SEX_CORRECTED = 0.002
EVENT_DATE_CORRECTED = 0.01
ANSWER_CORRECTED = 0.04
ANSWER_FILLED_LATER = 0.05
CONSENT_WITHDRAWN = 0.02
LIVES_IN_ANOTHER_AREA = 0.07
LIVES_OUT_OF_ENGLAND = 0.004
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
_OUT_OF_ENGLAND = "Z00B"
_DRUG_FREE, _ALCOHOL_FREE = "10", "15"
_CHILDREN_HELPED = ("1", "2", "3", "4", "6")
#: Answers that may be corrected, or filled in later, with no other answer hanging on them.
_LOOSE = ("OFFENCE", "SEXUALO", "RELIGION", "VETERAN", "HOMELESS", "NALOXAD")
_LOOSE_OF_CLIENT = ("ETHNIC", "NATION")


#: The most agencies: their codes have at most four figures.
AGENCIES = 1_000

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

    `month` is the last day it covers. `columns` has a column of text a header, in the dataset's order, blank as
    None, and a row for each episode and referral the agency holds that day.
    """

    agency: str
    month: date
    columns: Columns
    letter: str = "Q"

    @cached_property
    def frame(self) -> pl.DataFrame:
        """The columns as a frame of text (String), blank as null. Needs Polars."""
        frame: pl.DataFrame = polars().DataFrame(self.columns, schema=dict.fromkeys(self.columns, polars().String))
        return frame

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
    style: Style = Style.EIGHT,
) -> Iterator[Submission]:
    """The submissions of some made-up agencies: all months of the first, then of the next.

    `clients` is how many come to one agency in all, the year before the first month included. The last month
    ends `today`, those before at their last day. Clients whose consent is withdrawn are in no later
    file, or, with `stubs`, leave a row of AGNCY, CLIENTID and CONSENT = N (which a check rejects). A month in
    which an agency holds nobody is left out. Dates are written in the `style`.
    """
    if min(agencies, clients, months) < 1 or agencies > AGENCIES:
        raise ValueError(f"Enter at least one client, one month and one agency, and at most {AGENCIES:,} agencies")
    ends = _month_ends(today, months)
    world = _World(dataset)
    for number in range(agencies):
        rng = Random(f"{seed}/{number}")  # noqa: S311  nothing is kept secret by it
        held = _held(world, number, clients, ends, rng, stubs)
        if style is not _STYLE:
            for place in (place for place, field in enumerate(dataset.fields) if field.kind is Kind.DATE):
                for _, _, cells in held:
                    cells[place] = cells[place] and rewritten(cells[place] or "", style)
        for i, end in enumerate(ends):
            rows = [cells for since, until, cells in held if since <= i < until]
            if rows:
                columns = dict(zip(dataset.headers, zip(*rows, strict=True), strict=True))
                yield Submission(agency_code(number), end, columns, dataset.letter)


#: The first month (counted from 0) in which a row stands, the first after it in which it does not, and its texts.
_Held: TypeAlias = tuple[int, int, list[str | None]]


def _month_ends(today: date, months: int) -> list[date]:
    ends = [today]
    while len(ends) < months:
        ends.append(ends[-1].replace(day=1) - timedelta(days=1))
    return ends[::-1]


def _held(world: _World, agency: int, clients: int, ends: Sequence[date], rng: Random, stubs: bool) -> list[_Held]:
    """Every row an agency holds at any month's end."""
    headers = world.dataset.headers
    home = rng.choice(world.areas)
    begin = ends[0].replace(day=1) - timedelta(days=BEFORE_FIRST_MONTH)
    upgrade = begin + timedelta(days=rng.randint(0, (ends[-1] - begin).days))
    held: list[_Held] = []
    for i in range(clients):
        client = _client(world, agency * clients + i, home, begin, ends[-1], rng)
        snapshots = sorted({bisect_left(ends, day) for day in client.days()} | {bisect_left(ends, upgrade)})
        snapshots = [at for at in snapshots if at < len(ends)]
        for at, after in zip(snapshots, [*snapshots[1:], len(ends)], strict=True):
            common: _Cells = {
                "AGNCY": agency_code(agency),
                "CMSID": f"Made-up system 2.{int(ends[at] >= upgrade)}",
                "CONSENT": "Y",
            }
            for cells in client.rows(ends[at], common, stubs):
                held.append((at, after, [cells.get(header) for header in headers]))
    return held


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
    utla: str | None
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
        self.areas, self.outside = _areas(lists["DAT"], lists["UTLA"])

    def draw(self, header: str, rng: Random) -> str:
        return self.lots[header].draw(rng)


def _sectors() -> Mapping[str, list[str]]:
    """The sectors of each upper tier authority of Great Britain, in order."""
    sectors: dict[str, list[str]] = {}
    for sector, authorities in upper_tiers().items():
        for authority in authorities:
            sectors.setdefault(authority, []).append(sector)
    return sectors


def _areas(dats: CodeList, utlas: CodeList) -> tuple[list[_Area], list[_Area]]:
    """The partnerships of the upper tier authorities of today that have one for certain, and those outside England."""
    sectors = _sectors()
    known = {dat: utla for utla in utlas.codes if utla in sectors and (dat := dat_of(utla)) in dats.codes}
    # An installed list may have the partnerships under other codes: then any code goes with any authority.
    known = known or dict(zip(dats.codes, utlas.codes, strict=False))
    england = [_Area(dat, utla, tuple(sectors[utla])) for dat, utla in known.items() if utla in sectors]
    abroad = tuple(s for code, some in sectors.items() if code.startswith(("S", "W")) for s in some)
    # The authority is left blank: which code stands for Scotland or Wales is not public.
    return england, [_Area(_OUT_OF_ENGLAND, None, abroad)] if _OUT_OF_ENGLAND in dats.codes else england


#: How the dates of a life are written while it is made.
_STYLE = Style.EIGHT


def _text(day: date) -> str:
    return f"{day:{_STYLE.form}}"


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


def _episode(  # noqa: PLR0913 - an argument an option
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
        chance = rng.random()
        area = home
        if chance < LIVES_OUT_OF_ENGLAND:
            area = rng.choice(world.outside)
        elif chance < LIVES_OUT_OF_ENGLAND + LIVES_IN_ANOTHER_AREA:
            area = rng.choice(world.areas)
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
            _write_csv(submission.columns, file, headers=True)
        paths.append(path)
    return paths


def _write_csv(columns: Columns, file: BinaryIO, *, headers: bool) -> None:
    """The canonical form: UTF-8, CRLF, and quotes only where a cell needs them (RFC 4180)."""
    text = io.TextIOWrapper(file, "utf-8", newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    if headers:
        writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    # Flushes, and leaves closing to who opened.
    text.detach()


def big_file(dataset: Dataset, path: Path, rows: int, faults: float, seed: int | str, today: date) -> Counter[str]:
    """Write one agency's file of exactly `rows` rows, by client, about `faults` of its cells broken.

    Memory does not grow with `rows`: some thousand lives are drawn, and repeated with the next ids until the
    file is long enough. The faults differ in every repeat. Returns them as `with_faults` does.
    """
    clients = min(rows, _SLICE) + 50
    block = next(histories(dataset, agencies=1, clients=clients, months=1, today=today, seed=seed)).columns
    height = min(_SLICE, len(block[dataset.headers[0]]))
    broken: Counter[str] = Counter()
    with path.open("wb") as file:
        for i, start in enumerate(range(0, rows, height)):
            columns = {header: column[: min(height, rows - start)] for header, column in block.items()}
            for header, (kind, each) in _IDS.items():
                columns[header] = [id_ and _next_id(id_, kind, i * clients * each) for id_ in columns[header]]
            spoilt, counts = with_faults(columns, dataset, faults, f"{seed}/{i}")
            broken += counts
            _write_csv(spoilt, file, headers=not i)
    return broken


def _next_id(made_up: str, kind: str, step: int) -> str:
    """A made-up id with `step` added to its number."""
    number = int(made_up[1:6]) * 100_000 + int(made_up[7:12]) + step
    return f"T{number // 100_000:05}{kind}{number % 100_000:05}"
