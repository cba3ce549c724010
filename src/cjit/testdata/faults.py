"""Faults put into a faultless frame: those people and systems make, or chosen rules broken.

Everything is drawn from a generator seeded with the arguments: the same arguments, the same faults.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from random import Random
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from cjit.conditions import Parameter, reads_parameter
from cjit.dataset import CodeList, Dataset, Entity, Field, Kind, Rule
from cjit.datasets.q.example import EXAMPLE, EXAMPLE_TODAY
from cjit.dates import Style, read_text, rewritten, style_in
from cjit.engine.records import Records, prepared
from cjit.geography import DEFAULT_SECTOR, authorities_of_sector

if TYPE_CHECKING:
    import polars as pl

#: Columns of text by header, blank as None.
Columns: TypeAlias = Mapping[str, Sequence[str | None]]
_Given = TypeVar("_Given", "Columns", "pl.DataFrame")
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
    given: _Given,
    dataset: Dataset,
    rate: float,
    seed: int | str,
    rules: Sequence[str] | None = None,
    *,
    today: date | None = None,
) -> tuple[_Given, Counter[str]]:
    """Faultless columns of text by header (blank as None) with faults put in, and how many of each.

    The columns are a mapping or a frame of Polars; a frame gives a frame.

    `rate` is the share of all its cells to get wrong, from 0 to 1, drawn among those that hold anything; the
    faults are those people and systems make, and are counted by “HEADER: what is wrong”.

    With `rules`, each of those rules, and as far as can be nothing else, is broken in a `rate` of the
    rows, at least one, and counted by its id: the rule's own example is laid over a row that is the only
    one of its client. An example of several records adds rows. Where no row is fit for the example, the
    row takes the values of dataset Q's example record, which supposes that `today` (left out: the latest
    date given) is no earlier than the example's; what cannot be broken is counted 0. Raises
    ValueError for a rule that is not in the book.
    """
    if not 0 <= rate <= 1:
        raise ValueError("Enter a rate of faults from 0 to 1, such as 0.02 for two cells in a hundred")
    rng = Random(f"{seed}/faults")  # noqa: S311  nothing is kept secret by it
    columns = {header: list(given[header]) for header in dataset.headers}
    broken: Counter[str]
    if rules is not None:
        damaged, broken = _with_broken_rules(columns, dataset, rate, rng, rules, today or _latest(columns, dataset))
    else:
        damaged, broken = _with_slips(columns, dataset, rate, rng)
    if isinstance(given, Mapping):
        return damaged, broken
    return type(given)(damaged, schema=given.schema), broken


def _with_slips(
    columns: Mapping[str, list[str | None]], dataset: Dataset, rate: float, rng: Random
) -> tuple[dict[str, list[str | None]], Counter[str]]:
    """Columns with the faults that people and systems make."""
    cells = sum(map(len, columns.values()))
    filled = cells - sum(column.count(None) for column in columns.values())
    broken: Counter[str] = Counter()
    if not rate or not filled:
        return dict(columns), broken
    chance = rate * cells / filled
    damaged = {}
    for header, column in columns.items():
        given = [at for at, text in enumerate(column) if text is not None]
        places = [given[at] for at in _drawn(len(given), chance, rng)]
        damaged[header] = _damaged(columns, header, places, _faults_of(dataset, header), broken, rng)
    return damaged, broken


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


def _damaged(
    columns: Columns, header: str, places: Iterable[int], faults: Sequence[_Fault], broken: Counter[str], rng: Random
) -> list[str | None]:
    column = list(columns[header])
    if not faults:
        return column
    beside = sorted({each for fault in faults for each in fault.beside} & set(columns))
    for at in places:
        value = column[at] or ""
        row = {each: columns[each][at] for each in beside}
        first = int(rng.random() * len(faults))
        for fault in (*faults[first:], *faults[:first]):
            text = fault.spoil(value, row, rng)
            if text is not None and text != value:
                column[at] = text or None
                broken[f"{header}: {fault.name}"] += 1
                break
    return column


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
            yield from (_damaged_date(name, spoil) for name, spoil in _SPOILT_DATES.items())
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


def _parts(text: str) -> tuple[str, str, str, bool]:
    """Year, month and day of a plain date, and whether it has slashes."""
    if "/" in text:
        return text[6:], text[3:5], text[:2], True
    return text[:4], text[4:6], text[6:], False


def _dated(year: str, month: str, day: str, slashes: bool) -> str:
    """A date, be it none, as one with or without slashes is written."""
    return f"{day}/{month}/{year}" if slashes else f"{year}{month}{day}"


_SpoilDate = Callable[[str, str, str, bool, Random], str | None]


def _damaged_date(name: str, spoil: _SpoilDate) -> _Fault:
    return _Fault(name, lambda value, row, rng: spoil(*_parts(value), rng))


#: What goes wrong with a date, from its parts.
_SPOILT_DATES: Mapping[str, _SpoilDate] = {
    "year first": lambda y, m, d, s, rng: f"{y}-{m}-{d}",
    "no such day": lambda y, m, d, s, rng: _dated(y, rng.choice(("02", "04", "06")), "31", s),
    "year of two figures": lambda y, m, d, s, rng: _dated(y[2:], m, d, s),
    "year of nought": lambda y, m, d, s, rng: _dated(f"00{y[2:]}", m, d, s),
    "a century too late": lambda y, m, d, s, rng: _dated(f"{int(y) + 100}", m, d, s),
    "full stops": lambda y, m, d, s, rng: f"{d}.{m}.{y}",
    "month first": lambda y, m, d, s, rng: _dated(y, d, m, s) if d > "12" else None,
}


def _unlike(label: str | None, code: str) -> str | None:
    """A label, where it cannot be taken for the code itself."""
    return label if label and label.upper() != code and not label.startswith("(") else None


def _moved(header: str, least: int, most: int) -> Callable[[str, _Row, Random], str | None]:
    """A date some days from the one beside it."""

    def spoil(value: str, row: _Row, rng: Random) -> str | None:
        other = row[header]
        if other is None:
            return None
        *parts, slashes = _parts(other)
        day = date(*map(int, parts)) + timedelta(days=rng.randint(least, most))
        return f"{day:{(Style.SLASHED if slashes else Style.EIGHT).form}}"

    return spoil


def _given(header: str, wrong: str) -> Callable[[str, _Row, Random], str | None]:
    """A wrong text where the cell beside it is given."""
    return lambda value, row, rng: wrong if row[header] else None


def _birth_date_joined(value: str, row: _Row, rng: Random) -> str | None:
    first, last, born = (row[header] or "" for header in ("FINITIAL", "SINITIAL", "DOB"))
    year, month, day, _ = _parts(born)
    return f"{first}{last}{day}{month}{year[2:]}" if first and last and born else None


#: Hartlepool, Cornwall, Kent and Herefordshire: no sector lies in all of them.
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
_TRIES = 24


def _days(dataset: Dataset) -> list[str]:
    return [f.header for f in dataset.fields if f.kind is Kind.DATE]


def _style(columns: Columns, dataset: Dataset) -> Style:
    """How most plain dates are written."""
    count = Counter(style_in(text or "") for header in _days(dataset) for text in columns[header])
    return max(Style, key=count.__getitem__)


def _latest(columns: Columns, dataset: Dataset) -> date:
    """The latest date there is: no later than the day the records were made."""
    texts = {text for header in _days(dataset) for text in columns[header]}
    return max((day for text in texts if (day := read_text(text or ""))), default=EXAMPLE_TODAY)


@dataclass(frozen=True)
class _Record:
    """A record that is to take the place of another, its place, and the agency that the other one is of."""

    at: int
    agency: str | None
    cells: Mapping[str, str | None]

    def merged(self, cells: Mapping[str, str | None]) -> _Record:
        """The same with some cells laid over it."""
        return replace(self, cells={**self.cells, **{h: text for h, text in cells.items() if h in self.cells}})


def _with_broken_rules(
    columns: Mapping[str, list[str | None]],
    dataset: Dataset,
    rate: float,
    rng: Random,
    rules: Sequence[str],
    today: date,
) -> tuple[dict[str, list[str | None]], Counter[str]]:
    book = _Book(dataset, today, _style(columns, dataset))
    for name in rules:
        if name not in book.rules:
            raise ValueError(f"There is no rule called {name}: “cjit rules” lists them")
    clients = columns[book.client]
    times = Counter(clients)
    alone = [at for at, client in enumerate(clients) if times[client] == 1]
    rng.shuffle(alone)
    wanted = max(1, round(rate * len(clients)))
    broken = Counter(dict.fromkeys(rules, 0))
    instead: dict[int, list[_Record]] = {}
    for name in dict.fromkeys(rules):
        some = [
            _Record(at, columns["AGNCY"][at], {header: column[at] for header, column in columns.items()})
            for at in alone[: wanted * _TRIES]
        ]
        merged = _merged(some, book, book.rules[name], wanted)
        alone = [at for at in alone if at not in merged]
        broken[name] = len(merged)
        instead |= merged
    return {
        header: [
            text
            for at, own in enumerate(column)
            for text in ([record.cells[header] for record in instead[at]] if at in instead else [own])
        ]
        for header, column in columns.items()
    }, broken


class _Book:
    """A dataset's rules, and what it takes to see which of them records break."""

    def __init__(self, dataset: Dataset, today: date, style: Style) -> None:
        self.dataset = dataset
        self.today = today
        self.style = style
        self.rules = {rule.id: rule for rule in dataset.rules}
        self.ids = {f.header for f in dataset.fields if f.kind is Kind.ID}
        self.client = dataset.entity(Entity.CLIENT)[0].header
        self.episode = dataset.entity(Entity.EPISODE)[0].header
        self.referral = dataset.entity(Entity.REFERRAL)[0].header

    def breaking(self, records: Sequence[_Record], rule: Rule) -> tuple[list[int], list[int]]:
        """The places that break a rule, and those of them that break no other."""
        # A rule on who submits is silent where that is not told, and another may speak instead.
        needs_submitter = reads_parameter(rule.fails_when, Parameter.SUBMITTER)
        of = [self._engine(record.agency if needs_submitter else None) for record in records]
        rows = [engine.rows([record.cells])[0] for engine, record in zip(of, records, strict=True)]
        engine = self._engine(None)
        fails = [set(row.fails) for row in rows]
        seen = [(row.parsed, row.gated) for row in rows]
        for at, i in (*engine.across(seen), *engine.once(seen)):
            fails[at].add(i)
        this = engine.book.index[rule.id]
        places = dict.fromkeys(record.at for record, found in zip(records, fails, strict=True) if this in found)
        # A gate that fails hides the row, and what else there is to say of it.
        others = {record.at for record, found in zip(records, fails, strict=True) if found - {this}}
        return list(places), [at for at in places if at not in others]

    def _engine(self, submitter: str | None) -> Records:
        return prepared(self.dataset, self.today, submitter)


def _merged(some: Sequence[_Record], book: _Book, rule: Rule, wanted: int) -> dict[int, list[_Record]]:
    """The records that break a rule, by place, at most at so many places: its example, laid over some records.

    First choice are places where the example breaks no other rule; last, the example record of dataset Q.
    """
    # Several records of one episode differ by their referral, so there must be one.
    several = not isinstance(rule.breaks, Mapping) and book.referral not in rule.headers
    first = [record for record in some if record.cells[book.referral] is not None] if several else some
    # So does the example record: where the row has none, it gets an id made of the episode's.
    example = {h: EXAMPLE.get(h) or None for h in book.dataset.headers if h not in book.ids}
    bases = [first, [record.merged(example | {book.referral: _referral(record, book)}) for record in some]]
    if _brings_an_id(rule, book) or rule.once:
        # On a second row it would be the same id again, or told no more: one row at a time, and one in all.
        wanted, bases = 1, [base[i : i + 1] for base in bases for i in range(3)]
    chosen: dict[int, list[_Record]] = {}

    def take(merged: Sequence[_Record], places: Iterable[int]) -> None:
        new = [at for at in places if at not in chosen][: wanted - len(chosen)]
        chosen.update({at: [record for record in merged if record.at == at] for at in new})

    also: list[tuple[list[_Record], list[int]]] = []
    for base in bases:
        if len(chosen) < wanted:
            merged = [_in_style(record, rule, book) for record in _overlaid(base, rule, book)]
            fires, alone = book.breaking(merged, rule)
            take(merged, alone)
            also.append((merged, fires))
    for merged, fires in also:
        take(merged, fires)
    return chosen


def _referral(record: _Record, book: _Book) -> str | None:
    own, episode = record.cells[book.referral], record.cells[book.episode]
    return own if own is not None or episode is None else f"{episode}F"


def _in_style(record: _Record, rule: Rule, book: _Book) -> _Record:
    """Examples as the other records write dates, but for what a rule told once a file says of their style."""
    unmoved = {rule.header} if rule.once else set()
    days = {h: record.cells[h] for h in _days(book.dataset) if h not in unmoved}
    return record.merged({h: text and rewritten(text, book.style) for h, text in days.items()})


def _brings_an_id(rule: Rule, book: _Book) -> bool:
    """Whether an example of one record writes an id."""
    return isinstance(rule.breaks, Mapping) and any(text for header, text in rule.breaks.items() if header in book.ids)


def _overlaid(base: Sequence[_Record], rule: Rule, book: _Book) -> list[_Record]:
    """A rule's example laid over records: one in place of each, or several after one another.

    The ids that an example of several records brings are made different for each place, so that two
    places never meet; and each record is of another referral, unless the rule is about that.
    """
    if isinstance(rule.breaks, Mapping):
        example = {header: text or None for header, text in rule.breaks.items()}
        return [record.merged(example) for record in base]
    merged = []
    for record in sorted(base, key=lambda record: record.at):
        for i, part in enumerate(rule.breaks):
            cells: dict[str, str | None] = {}
            own = record.cells[book.referral]
            if book.referral not in (*rule.headers, rule.across) and i and own is not None:
                cells[book.referral] = f"{own}X{i}"
            for header, text in part.items():
                if header not in book.ids or not text:
                    cells[header] = text or None
                elif text != EXAMPLE.get(header):
                    cells[header] = f"{text}X{record.at}"
            merged.append(record.merged(cells))
    return merged
