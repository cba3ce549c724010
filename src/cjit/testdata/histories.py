"""Made-up histories of CJIT clients, month by month: every rule kept, or chosen ones broken.

No value describes a real person. Initials, birth dates and answers are drawn at random from the shares below. One of
the shares is published and marked so; the others are our guesses at what is plausible. The ids cannot be real: see
`agency_code` and `made_up_id`.

The same arguments give the same histories, and the same bytes in a file, because every draw is from a generator that is
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
#: Shares of the codes of each field or code list, in per cent or any other unit. Codes that the list does not have are
#: left out. Where it has none of them, all its codes have equal shares.
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

#: Shares of the routes of administration, by substance. Any other substance is swallowed.
ROUTES: Mapping[str, Mapping[str, float]] = {
    "1011": {"3": 58, "1": 40, "2": 2},
    "3201": {"3": 96, "1": 4},
    "3200": {"2": 93, "3": 4, "1": 3},
    "3100": {"2": 55, "4": 25, "1": 20},
    "5000": {"3": 98, "4": 2},
}
SWALLOWED = {"4": 100}

#: Shares of the case closure reasons, by their heading in Appendix E. All are our guess.
CLOSURES: Mapping[str, Mapping[str, float]] = {
    "prior to caseload": {"73": 42, "1": 33, "2": 16, "99": 4, "13": 3, "14": 1.5, "74": 0.2},
    "from caseload": {
        "10": 10, "4": 7, "99": 16, "13": 10, "14": 3, "74": 0.2, "7": 6, "8": 33, "12": 2, "11": 10, "9": 1,
    },
}
# fmt: on

#: Shares of the answers on naloxone, by whether the client uses opiates. All are our guess.
#: Shares of the answers on naloxone, by whether the client uses opiates. All are our guess.
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
#: Mean days between two moves of a client with an open episode.
BETWEEN_MOVES = 420
#: Mean days on the caseload.
ON_CASELOAD = 150
#: Days from the last contact to the day on which the closure of a disengaged client is recorded.
DISENGAGED = 61
#: Days before the first month in which clients begin to come, so that an agency does not start empty.
BEFORE_FIRST_MONTH = 365
#: The most episodes of a client, and the most referrals of an episode.
EPISODES, REFERRALS = 4, 3

_POSITIVE_TEST, _RELEASED, _NO_EVENT = "X01", "X06", ("X09", "X12")
_NO_FIXED_ABODE = ("16", "17", "18")
_HEROIN, _ALCOHOL, _OPIATES = "1011", "7000", ("1000", "1011", "1105")
_INJECT = "1"
_DROPPED_OUT, _DIED, _TRANSFERRED, _IN_CUSTODY, _MOVED_AWAY = "8", "9", "99", ("13", "11"), "14"
_OUT_OF_ENGLAND = "Z00B"
_DRUG_FREE, _ALCOHOL_FREE = "10", "15"
_CHILDREN_HELPED = ("1", "2", "3", "4", "6")
#: The fields that may be corrected or filled in later, because no other answer depends on them.
_CORRECTED_ANSWERS = ("OFFENCE", "SEXUALO", "RELIGION", "VETERAN", "HOMELESS", "NALOXAD")
_CORRECTED_CLIENT_ANSWERS = ("ETHNIC", "NATION")


#: The most agencies. Their codes have at most four figures.
AGENCIES = 1_000

# ---- ids -------------------------------------------------------------------------------------------


def agency_code(number: int) -> str:
    """The code of a made-up agency, counted from 0, such as CJ900.

    Our reading: such a code is never allocated. The business definitions print one code, CJ123. England has some 150
    partnerships, so codes that are given out in turn do not come near 900.
    """
    return f"CJ9{number:02d}"


def made_up_id(kind: str, number: int) -> str:
    """A technical id or client reference that can never be real, such as T00000C00042.

    It is a “T” for test, then a running number in two halves with the letter of its kind between them. It can therefore
    not contain a birth date (six or eight figures together), an NHS number (ten) or a postcode by chance.
    """
    return f"T{number // 100_000:05d}{kind}{number % 100_000:05d}"


#: The ids by header: the letter of each, and how many of it are numbered for a client.
#: The ids by header: the letter of each, and how many of it are numbered for a client.
_IDS = {"CLIENTID": ("C", 1), "CLIENT": ("R", 1), "EPISODID": ("E", EPISODES), "REFERID": ("F", EPISODES * REFERRALS)}


# ---- submissions -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Submission:
    """The full submission of one agency for one month.

    agency: the agency code.
    month: the last day that it covers.
    columns: columns of text by header, in the dataset's order, blank as None. They have a row for each episode, or for
        each referral of it, that the agency has on that day.
    letter: the letter of the dataset.
    """

    agency: str
    month: date
    columns: Columns
    letter: str = "Q"

    @cached_property
    def frame(self) -> pl.DataFrame:
        """The columns as a frame (String, blank as null). Needs Polars; raises `Needed` without it."""
        frame: pl.DataFrame = polars().DataFrame(self.columns, schema=dict.fromkeys(self.columns, polars().String))
        return frame

    @property
    def name(self) -> str:
        """The file's name: the agency, the first and the last day covered, and the dataset's letter.

        The pattern is that of the treatment providers' files. The word in the middle of a CJIT file's name is not
        public: “CJIT” is our reading.
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
    """The submissions of some made-up agencies.

    A client whose consent is withdrawn is in no later file. A month in which an agency has no row is left out.

    Args:
        dataset: the dataset.
        agencies: the number of agencies.
        clients: the number of clients who come to each agency in all, from a year before the first month.
        months: the number of months.
        today: the last day of the last month. Other months end on their last day.
        seed: the seed of the generator.
        stubs: whether a client whose consent is withdrawn leaves a row of AGNCY, CLIENTID and CONSENT = N in later
            files, which a check rejects.
        style: the style of dates.

    Yields:
        The submissions: all months of the first agency, then those of the next.

    Raises:
        ValueError: for fewer than one client, month or agency, and for more than `AGENCIES` agencies.
    """
    if min(agencies, clients, months) < 1 or agencies > AGENCIES:
        raise ValueError(f"Enter at least one client, one month and one agency, and at most {AGENCIES:,} agencies")
    ends = _month_ends(today, months)
    sources = _Sources(dataset)
    for number in range(agencies):
        rng = Random(f"{seed}/{number}")  # noqa: S311  nothing is kept secret by it
        spans = _row_spans(sources, number, clients, ends, rng, stubs)
        if style is not _STYLE:
            for place in (place for place, field in enumerate(dataset.fields) if field.kind is Kind.DATE):
                for _, _, cells in spans:
                    cells[place] = cells[place] and rewritten(cells[place] or "", style)
        for i, end in enumerate(ends):
            rows = [cells for since, until, cells in spans if since <= i < until]
            if rows:
                columns = dict(zip(dataset.headers, zip(*rows, strict=True), strict=True))
                yield Submission(agency_code(number), end, columns, dataset.letter)


#: A row and the months in which it is sent: the first such month, counted from 0, the first month after it in which the
#: row is not sent, and its texts in the order of the headers, blank as None.
_RowSpan: TypeAlias = tuple[int, int, list[str | None]]


def _month_ends(today: date, months: int) -> list[date]:
    """The last days of some months, the last of which is today."""
    ends = [today]
    while len(ends) < months:
        ends.append(ends[-1].replace(day=1) - timedelta(days=1))
    return ends[::-1]


def _row_spans(
    sources: _Sources, agency: int, clients: int, ends: Sequence[date], rng: Random, stubs: bool
) -> list[_RowSpan]:
    """Every row that an agency has at the end of any month.

    Args:
        sources: what to draw from.
        agency: the number of the agency.
        clients: the number of its clients.
        ends: the last day of each month.
        rng: the generator.
        stubs: whether a client whose consent is withdrawn leaves a row.

    Returns:
        The rows, each with its months.
    """
    headers = sources.dataset.headers
    home = rng.choice(sources.areas)
    begin = ends[0].replace(day=1) - timedelta(days=BEFORE_FIRST_MONTH)
    upgrade = begin + timedelta(days=rng.randint(0, (ends[-1] - begin).days))
    spans: list[_RowSpan] = []
    for i in range(clients):
        client = _client(sources, agency * clients + i, home, begin, ends[-1], rng)
        snapshots = sorted({bisect_left(ends, day) for day in client.days()} | {bisect_left(ends, upgrade)})
        snapshots = [at for at in snapshots if at < len(ends)]
        for at, after in zip(snapshots, [*snapshots[1:], len(ends)], strict=True):
            common: _Cells = {
                "AGNCY": agency_code(agency),
                "CMSID": f"Made-up system 2.{int(ends[at] >= upgrade)}",
                "CONSENT": "Y",
            }
            for cells in client.rows(ends[at], common, stubs):
                spans.append((at, after, [cells.get(header) for header in headers]))
    return spans


# ---- one client ------------------------------------------------------------------------------------

#: Some cells of a row by header, blank as None.
_Cells = dict[str, str | None]


@dataclass
class _Timeline:
    """Cells that are recorded at the start of something, and changes of them.

    start: the day of the start.
    cells: the cells on that day.
    later: pairs of a day and the cells that change on it.
    """

    start: date
    cells: _Cells
    later: list[tuple[date, _Cells]] = field(default_factory=list)

    def at(self, day: date) -> _Cells:
        """The cells at the end of a day."""
        cells = self.cells.copy()
        for on, change in sorted(self.later, key=lambda change: change[0]):
            if on <= day:
                cells |= change
        return cells

    def set_wrong_until(self, header: str, wrong: str | None, until: date) -> None:
        """Set a cell to a wrong text, or to blank, until the day on which it is corrected.

        Args:
            header: the header of the cell.
            wrong: the wrong text; None for blank.
            until: the day on which it is corrected.
        """
        self.later.append((until, {header: self.cells[header]}))
        self.cells[header] = wrong


@dataclass
class _Episode(_Timeline):
    """An episode.

    start, cells, later: as `_Timeline` has them.
    referrals: pairs of a day and the cells of a referral that is made on it.
    """

    referrals: list[tuple[date, _Cells]] = field(default_factory=list)


@dataclass
class _Client(_Timeline):
    """A client.

    start, cells, later: as `_Timeline` has them.
    episodes: the client's episodes, in order.
    withdrawn: the day on which consent is withdrawn.
    """

    episodes: list[_Episode] = field(default_factory=list)
    withdrawn: date = date.max

    def days(self) -> Iterator[date]:
        """Every day after the first on which something of the client is recorded."""
        yield from (self.withdrawn, *(on for on, _ in self.later))
        for episode in self.episodes:
            yield episode.start
            yield from (on for on, _ in (*episode.later, *episode.referrals))

    def rows(self, day: date, common: _Cells, stubs: bool) -> Iterator[_Cells]:
        """The client's rows in a full submission at the end of a day.

        Args:
            day: the day.
            common: the cells that all rows of the agency have.
            stubs: whether a client whose consent is withdrawn leaves a row.

        Yields:
            The cells of each row.
        """
        if self.withdrawn <= day:
            if stubs:
                yield {"AGNCY": common["AGNCY"], "CLIENTID": self.cells["CLIENTID"], "CONSENT": "N"}
            return
        client = common | self.at(day)
        for episode in self.episodes:
            if episode.start <= day:
                cells = client | episode.at(day)
                referrals = [referral for on, referral in episode.referrals if on <= day]
                yield from (cells | referral for referral in referrals or [{}])


@dataclass(frozen=True)
class _Area:
    """A partnership.

    dat: its code.
    utla: the code of its upper tier authority (None: it is left blank).
    sectors: the postcode sectors that lie in it, at least partly.
    """

    dat: str
    utla: str | None
    sectors: tuple[str, ...]


class _Distribution:
    """Codes to draw from by their shares.

    codes: the codes.
    upto: the sum of the shares of each code and of those before it.
    """

    def __init__(self, shares: Mapping[str, float], codes: CodeList | None) -> None:
        if codes is not None:
            known = set(codes.codes)
            shares = {c: s for c, s in shares.items() if c in known} or dict.fromkeys(codes.codes, 1.0)
        self.codes = tuple(shares)
        self.upto = tuple(accumulate(shares.values()))

    def draw(self, rng: Random) -> str:
        """A code."""
        return self.codes[bisect_right(self.upto, rng.random() * self.upto[-1])]

    def other(self, rng: Random, than: str | None) -> str | None:
        """A code other than a given one, with equal shares; None where there is no other."""
        others = [code for code in self.codes if code != than]
        return rng.choice(others) if others else None


class _Sources:
    """The distributions and places that clients are drawn from.

    dataset: the dataset.
    distributions: the distribution of each field or code list in `SHARES`, by name.
    routes: the distribution of routes, by substance.
    swallowed: the distribution of routes for any other substance.
    closures: the distribution of closure reasons, by their heading.
    naloxone: the distribution of answers on naloxone, by whether the client uses opiates.
    prisons: the codes of the prisons that are not closed.
    areas: the partnerships of England.
    outside: the area outside England, or those of England where the list has no code for it.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        lists = dataset.lists
        self.distributions = {name: _Distribution(shares, lists.get(name)) for name, shares in SHARES.items()}
        self.routes = {drug: _Distribution(shares, lists.get("ROUTE")) for drug, shares in ROUTES.items()}
        self.swallowed = _Distribution(SWALLOWED, lists.get("ROUTE"))
        self.closures = {group: _Distribution(shares, lists.get("CJDISRSN")) for group, shares in CLOSURES.items()}
        self.naloxone = {opiates: _Distribution(shares, lists.get("NALOXISS")) for opiates, shares in NALOXONE.items()}
        self.prisons = [
            row.code for row in lists["PRISON"].rows if row.group == "PRISON" and not row.label.endswith("[closed]")
        ] or list(lists["PRISON"].codes)
        self.areas, self.outside = _areas(lists["DAT"], lists["UTLA"])

    def draw(self, header: str, rng: Random) -> str:
        """A code of a field or code list in `SHARES`."""
        return self.distributions[header].draw(rng)


def _sectors() -> Mapping[str, list[str]]:
    """The sectors of each upper tier authority of Great Britain, in order."""
    sectors: dict[str, list[str]] = {}
    for sector, authorities in upper_tiers().items():
        for authority in authorities:
            sectors.setdefault(authority, []).append(sector)
    return sectors


def _areas(dats: CodeList, utlas: CodeList) -> tuple[list[_Area], list[_Area]]:
    """The partnerships to draw from.

    Args:
        dats: the code list of partnerships.
        utlas: the code list of upper tier authorities.

    Returns:
        The partnerships of the present authorities that certainly have one, and the area outside England.
    """
    sectors = _sectors()
    known = {dat: utla for utla in utlas.codes if utla in sectors and (dat := dat_of(utla)) in dats.codes}
    # An installed list may have other codes for the partnerships. Then each code is paired with any authority.
    known = known or dict(zip(dats.codes, utlas.codes, strict=False))
    england = [_Area(dat, utla, tuple(sectors[utla])) for dat, utla in known.items() if utla in sectors]
    abroad = tuple(s for code, some in sectors.items() if code.startswith(("S", "W")) for s in some)
    # The authority is left blank, because the codes for Scotland and Wales are not public.
    return england, [_Area(_OUT_OF_ENGLAND, None, abroad)] if _OUT_OF_ENGLAND in dats.codes else england


#: The style of dates while a history is made.
_STYLE = Style.EIGHT


def _text(day: date) -> str:
    return f"{day:{_STYLE.form}}"


def _days(rng: Random, least: int, most: int) -> timedelta:
    """A number of days between two bounds, inclusive."""
    return timedelta(days=rng.randint(least, most))


def _client(sources: _Sources, number: int, home: _Area, begin: date, today: date, rng: Random) -> _Client:
    """A client with all episodes until today.

    Args:
        sources: what to draw from.
        number: the running number of the client.
        home: the partnership of the agency.
        begin: the first day on which a client may come.
        today: the last such day.
        rng: the generator.

    Returns:
        The client.
    """
    contact = begin + _days(rng, 0, (today - begin).days)
    born = contact - timedelta(days=int(rng.triangular(18, 70, 33) * 365.25))
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    client = _Client(
        contact,
        {
            "CLIENTID": made_up_id("C", number),
            "FINITIAL": rng.choice(letters),
            "SINITIAL": rng.choice(letters),
            "DOB": _text(born),
            "SEX": sources.draw("SEX", rng),
            "ETHNIC": sources.draw("ETHNIC", rng),
            "NATION": sources.draw("NATION", rng),
            "CLIENT": made_up_id("R", number),
        },
    )
    constant: _Cells = {
        "SEXUALO": sources.draw("SEXUALO", rng),
        "RELIGION": sources.draw("RELIGION", rng),
        "VETERAN": sources.draw("VETERAN", rng),
        **_disabilities(sources, rng),
    }
    custody = False
    for k in range(EPISODES):
        first = number * EPISODES + k
        episode, reason, closed = _episode(sources, first, client, constant, home, contact, custody, today, rng)
        client.episodes.append(episode)
        custody = reason in _IN_CUSTODY
        contact = closed + (_days(rng, 60, 400) if custody else _days(rng, 30, 300))
        if contact > today or reason in (_DIED, _MOVED_AWAY) or rng.random() > COMES_BACK:
            break
    _add_corrections(sources, client, born, rng)
    if reason != _DIED and rng.random() < LEGAL_NAME_CHANGE:
        initial = "FINITIAL" if rng.random() < 0.15 else "SINITIAL"
        new = rng.choice(letters.replace(client.cells[initial] or "", ""))
        client.later.append((client.start + _days(rng, 1, 700), {initial: new}))
    if rng.random() < CONSENT_WITHDRAWN:
        client.withdrawn = client.start + _days(rng, 1, 700)
    return client


def _add_corrections(sources: _Sources, client: _Client, born: date, rng: Random) -> None:
    """Make some of a client's cells wrong or blank at first, and correct them or fill them in later.

    Args:
        sources: what to draw from.
        client: the client, who is changed.
        born: the client's birth date.
        rng: the generator.
    """
    if rng.random() < BIRTH_DATE_CORRECTED:
        # Day and month are exchanged, or the date is a year early.
        wrong = date(born.year, born.day, born.month) if born.day <= 12 else born - timedelta(days=365)
        if wrong != born and wrong < client.start:
            client.set_wrong_until("DOB", _text(wrong), client.start + _days(rng, 20, 150))
    if rng.random() < SEX_CORRECTED:
        other = sources.distributions["SEX"].other(rng, client.cells["SEX"])
        client.set_wrong_until("SEX", other, client.start + _days(rng, 20, 150))
    for timeline, headers in ((client, _CORRECTED_CLIENT_ANSWERS), *((e, _CORRECTED_ANSWERS) for e in client.episodes)):
        for header in headers:
            chance = rng.random()
            if chance < ANSWER_FILLED_LATER:
                timeline.set_wrong_until(header, None, timeline.start + _days(rng, 14, 75))
            elif chance < ANSWER_FILLED_LATER + ANSWER_CORRECTED / len(headers):
                wrong_code = sources.distributions[header].other(rng, timeline.cells[header])
                timeline.set_wrong_until(header, wrong_code, timeline.start + _days(rng, 14, 150))


def _episode(  # noqa: PLR0913 - an argument an option
    sources: _Sources,
    number: int,
    client: _Client,
    constant: _Cells,
    home: _Area,
    contact: date,
    custody: bool,
    today: date,
    rng: Random,
) -> tuple[_Episode, str, date]:
    """An episode of a client.

    Args:
        sources: what to draw from.
        number: the running number of the episode.
        client: the client.
        constant: the cells that are the same in all episodes of the client.
        home: the partnership of the agency.
        contact: the day of the first contact.
        custody: whether the episode before ended in custody.
        today: the last day on which the client may move.
        rng: the generator.

    Returns:
        The episode, the reason for its closure, and the day on which the closure is recorded, which may be after today.
    """
    event = _RELEASED if custody else sources.draw("CJRFLS", rng)
    if event == _POSITIVE_TEST:
        event_day = contact - _days(rng, 0, 7)
    elif event in _NO_EVENT:
        event_day = contact
    else:
        event_day = contact - _days(rng, 0, 21)
    housing = sources.draw("HOUSING", rng)
    substances = _substances(sources, rng)
    opiates = any(substances.get(header) in _OPIATES for header in ("DRUG1", "DRUG2", "DRUG3"))
    pregnant = "N"
    if client.cells["SEX"] == "F":
        pregnant = "Y" if rng.random() < 0.03 else "N"
    episode = _Episode(
        contact,
        constant
        | _household(sources, rng)
        | substances
        | {
            "EPISODID": made_up_id("E", number),
            "REFLD": _text(event_day),
            "CJRFLS": event,
            "TRIAGED": _text(contact),
            "OFFENCE": sources.draw("OFFENCE", rng),
            "PRISON": rng.choice(sources.prisons) if event == _RELEASED else None,
            "PREGNANT": pregnant,
            "HOUSING": housing,
            "HOMELESS": "Y" if housing in _NO_FIXED_ABODE else sources.draw("HOMELESS", rng),
            "NALOXISS": sources.naloxone[opiates].draw(rng),
            "NALOXAD": sources.draw("NALOXAD", rng),
        },
    )
    reason, left, closed = _course(sources, episode, number, substances, contact, rng)
    _addresses(sources, episode, home, housing, contact, min(left, today), rng)
    if rng.random() < EVENT_DATE_CORRECTED:
        episode.set_wrong_until("REFLD", _text(event_day - _days(rng, 1, 9)), contact + _days(rng, 10, 90))
    return episode, reason, closed


def _course(
    sources: _Sources, episode: _Episode, number: int, substances: _Cells, contact: date, rng: Random
) -> tuple[str, date, date]:
    """Add the caseload start, the referrals and the closure to an episode.

    Args:
        sources: what to draw from.
        episode: the episode, which is changed.
        number: the running number of the episode.
        substances: the cells of its substances.
        contact: the day of the first contact.
        rng: the generator.

    Returns:
        The reason for the closure, its day, and the day on which it is recorded.
    """
    on_caseload = rng.random() < TAKEN_ONTO_CASELOAD
    reason = sources.closures["from caseload" if on_caseload else "prior to caseload"].draw(rng)
    if on_caseload:
        start = contact + _days(rng, 0, 21)
        episode.later.append((start, {"CPLANDT": _text(start)}))
        left = start + timedelta(days=7 + int(rng.expovariate(1 / ON_CASELOAD)))
        if reason == _DRUG_FREE and substances["DRUG1"] == _ALCOHOL:
            reason = _ALCOHOL_FREE
        count = 0
        if rng.random() > NO_REFERRAL:
            count = 1 + (rng.random() < 0.25) + (rng.random() < THREE_REFERRALS)
        referred = sorted({start + _days(rng, 0, (left - start).days) for _ in range(count)})
    else:
        left = contact + _days(rng, 0, 28)
        referred = []
    if reason == _TRANSFERRED and not referred:
        referred = [left]
    for j, day in enumerate(referred):
        referral: _Cells = {"REFERID": made_up_id("F", number * REFERRALS + j), "REFDATE": _text(day)}
        episode.referrals.append((day, referral))
    closed = left + (timedelta(days=DISENGAGED) if reason == _DROPPED_OUT else _days(rng, 0, 10))
    episode.later.append((closed, {"DISD": _text(left), "CJDISRSN": reason}))
    return reason, left, closed


def _addresses(
    sources: _Sources, episode: _Episode, home: _Area, housing: str, contact: date, left: date, rng: Random
) -> None:
    """Add the address of the client to an episode, and moves while it is open. The three fields change together.

    Args:
        sources: what to draw from.
        episode: the episode, which is changed.
        home: the partnership of the agency.
        housing: the code of the client's housing.
        contact: the day of the first contact.
        left: the last day on which the client may move.
        rng: the generator.
    """

    def address() -> _Cells:
        chance = rng.random()
        area = home
        if chance < LIVES_OUT_OF_ENGLAND:
            area = rng.choice(sources.outside)
        elif chance < LIVES_OUT_OF_ENGLAND + LIVES_IN_ANOTHER_AREA:
            area = rng.choice(sources.areas)
        return {"PC": rng.choice(area.sectors), "DAT": area.dat, "UTLA": area.utla}

    # A client of no fixed abode has the partnership of the CJIT, and as UTLA the place where that was last so.
    no_fixed_abode: _Cells = {"PC": DEFAULT_SECTOR, "DAT": home.dat, "UTLA": home.utla}
    episode.cells |= no_fixed_abode if housing in _NO_FIXED_ABODE else address()
    moved = contact
    while (moved := moved + timedelta(days=1 + int(rng.expovariate(1 / BETWEEN_MOVES)))) <= left:
        episode.later.append((moved, no_fixed_abode if rng.random() < 0.08 else address()))


def _substances(sources: _Sources, rng: Random) -> _Cells:
    """The cells on drugs and alcohol."""
    drugs = [sources.draw("DRUG", rng)]
    while len(drugs) < 3 and rng.random() < (0.55 if len(drugs) == 1 else 0.3):
        another = "3201" if drugs == [_HEROIN] and rng.random() < 0.6 else sources.draw("DRUG", rng)
        if another in drugs:
            break
        drugs.append(another)
    cells: _Cells = {f"DRUG{i}": drug for i, drug in enumerate(drugs, start=1)}
    route = sources.routes.get(drugs[0], sources.swallowed).draw(rng)
    if route == _INJECT:
        injecting = "C"
    elif any(drug in _OPIATES for drug in drugs):
        injecting = _Distribution({"P": 30, "N": 62, "C": 5, "Z": 3}, None).draw(rng)
    else:
        injecting = "P" if rng.random() < 0.06 else "N"
    if _ALCOHOL in drugs:
        days, units = int(rng.triangular(1, 29, 24)), int(rng.triangular(4, 60, 16))
    elif rng.random() < 0.45:
        days, units = 0, 0
    else:
        days, units = int(rng.triangular(1, 16, 3)), int(rng.triangular(1, 16, 4))
    return cells | {"ROUTE": route, "INJSTAT": injecting, "ALCDDAYS": f"{days}", "ALCUNITS": f"{units}"}


def _disabilities(sources: _Sources, rng: Random) -> _Cells:
    """The cells on disabilities."""
    chance = rng.random()
    if chance < 0.74:
        return {"DISABLE1": "ZZ" if chance < 0.04 else "NN"}
    codes = [sources.draw("DISABLE", rng)]
    while len(codes) < 3 and rng.random() < 0.25:
        another = sources.draw("DISABLE", rng)
        if another in codes:
            break
        codes.append(another)
    return {f"DISABLE{i}": code for i, code in enumerate(codes, start=1)}


def _household(sources: _Sources, rng: Random) -> _Cells:
    """The cells on parental responsibility, children at home, and the help that children receive."""
    parent = sources.draw("PARENT", rng)
    cells: _Cells = {"PARENT": parent}
    children = 0
    if parent == "Y":
        cells["PRNTSTAT"] = where = sources.draw("PRNTSTAT", rng)
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
        helped = [sources.draw("EHCS", rng)]
        while helped[0] in _CHILDREN_HELPED and len(helped) < 3 and rng.random() < 0.15:
            helped.append(rng.choice([code for code in _CHILDREN_HELPED if code not in helped]))
        cells |= dict(zip(("EHCS", "EHCSC2", "EHCSC3"), helped, strict=False))
    return cells


# ---- files -----------------------------------------------------------------------------------------

#: The most rows that are made at once for a long file.
_SLICE = 10_000


def write(submissions: Iterable[Submission], directory: Path) -> list[Path]:
    """Write each submission as a file.

    Args:
        submissions: the submissions.
        directory: the directory, which is made where it is missing.

    Returns:
        The paths of the files, which are named as the submissions are. A file of that name is replaced.
    """
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    for submission in submissions:
        path = directory / submission.name
        with path.open("wb") as file:
            _write_csv(submission.columns, file, headers=True)
        paths.append(path)
    return paths


def _write_csv(columns: Columns, file: BinaryIO, *, headers: bool) -> None:
    """Write columns of text by header as CSV (RFC 4180): UTF-8, CRLF, and quotes only where a cell needs them.

    Args:
        columns: the columns, blank as None.
        file: the file to write to, which stays open.
        headers: whether to write the row of headers.
    """
    text = io.TextIOWrapper(file, "utf-8", newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    if headers:
        writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    # This flushes the text and leaves the file open.
    text.detach()


def big_file(dataset: Dataset, path: Path, rows: int, faults: float, seed: int | str, today: date) -> Counter[str]:
    """Write the file of one agency with a given number of rows, in the order of clients.

    Memory does not grow with the number of rows: the histories of some thousand clients are drawn, and repeated with
    the next ids until the file is long enough. The faults differ in every repetition.

    Args:
        dataset: the dataset.
        path: the file.
        rows: the number of rows.
        faults: the share of cells to make wrong, from 0 to 1.
        seed: the seed of the generator.
        today: the last day that the file covers.

    Returns:
        The number of faults of each kind, as `with_faults` gives it.
    """
    clients = min(rows, _SLICE) + 50
    block = next(histories(dataset, agencies=1, clients=clients, months=1, today=today, seed=seed)).columns
    height = min(_SLICE, len(block[dataset.headers[0]]))
    total: Counter[str] = Counter()
    with path.open("wb") as file:
        for i, start in enumerate(range(0, rows, height)):
            columns = {header: column[: min(height, rows - start)] for header, column in block.items()}
            for header, (kind, each) in _IDS.items():
                columns[header] = [id_ and _next_id(id_, kind, i * clients * each) for id_ in columns[header]]
            faulty, counts = with_faults(columns, dataset, faults, f"{seed}/{i}")
            total += counts
            _write_csv(faulty, file, headers=not i)
    return total


def _next_id(made_up: str, kind: str, step: int) -> str:
    """A made-up id of a kind, with a step added to its number."""
    number = int(made_up[1:6]) * 100_000 + int(made_up[7:12]) + step
    return f"T{number // 100_000:05}{kind}{number % 100_000:05}"
