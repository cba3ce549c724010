"""Faults put into a faultless frame: those people and systems make, or chosen rules broken.

Everything is drawn from a generator seeded with the arguments: the same arguments, the same faults.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

import polars as pl

from cjit import dates, derive
from cjit.conditions import Argument, Cell, is_told
from cjit.dataset import SUBMITTER, TODAY, WITHHELD, CodeList, Dataset, Entity, Field, Kind, Rule
from cjit.datasets.q.example import EXAMPLE, EXAMPLE_TODAY
from cjit.dates import Style
from cjit.engine.columns import expression
from cjit.geography import DEFAULT_SECTOR, authorities_of_sector
from cjit.kinds import kinds_of

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
    """A faultless frame of text (blank as null) with faults put in, and how many of each.

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
            yield from (_spoilt_date(name, spoil) for name, spoil in _SPOILT_DATES.items())
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


def _spoilt_date(name: str, spoil: _SpoilDate) -> _Fault:
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


def _style(frame: pl.DataFrame, dataset: Dataset) -> Style:
    """How most plain dates of a frame are written."""
    count = {
        style: sum(frame.select(dates.is_written(pl.col(header), style).sum()).item() for header in _days(dataset))
        for style in Style
    }
    return max(Style, key=count.__getitem__)


def _latest(frame: pl.DataFrame, dataset: Dataset) -> date:
    """The latest date in a frame: no later than the day it was made."""
    days = (dates.read(pl.col(header)).max() for header in _days(dataset))
    latest = frame.select(pl.max_horizontal(*days)).item()
    return latest if isinstance(latest, date) else EXAMPLE_TODAY


def _with_broken_rules(
    frame: pl.DataFrame, dataset: Dataset, rate: float, rng: Random, rules: Sequence[str], today: date
) -> tuple[pl.DataFrame, Counter[str]]:
    book = _Book(dataset, today, _style(frame, dataset))
    for name in rules:
        if name not in book.rules:
            raise ValueError(f"There is no rule called {name}: “cjit rules” lists them")
    alone = frame.select((pl.len().over(book.client) == 1).alias("alone"))["alone"].arg_true().to_list()
    rng.shuffle(alone)
    wanted = max(1, round(rate * frame.height))
    broken = Counter(dict.fromkeys(rules, 0))
    replaced: list[int] = []
    instead: list[pl.DataFrame] = []
    for name in dict.fromkeys(rules):
        some = alone[: wanted * _TRIES]
        places, rows = _laid(frame, some, book, book.rules[name], wanted)
        taken = set(places)
        alone = [at for at in alone if at not in taken]
        broken[name] = len(places)
        replaced += places
        instead += rows
    kept = frame.with_row_index("at").filter(~pl.col("at").is_in(replaced))
    return pl.concat([kept, *instead]).sort("at", maintain_order=True).drop("at"), broken


class _Book:
    """A dataset's rules, and what it takes to see which of them rows break, as the engine would."""

    def __init__(self, dataset: Dataset, today: date, style: Style) -> None:
        self.dataset = dataset
        self.today = today
        self.style = style
        self.rules = {rule.id: rule for rule in dataset.rules}
        self.ids = {f.header for f in dataset.fields if f.kind is Kind.ID}
        self.client = dataset.entity(Entity.CLIENT)[0].header
        self.episode = dataset.entity(Entity.EPISODE)[0].header
        self.referral = dataset.entity(Entity.REFERRAL)[0].header
        bad = {f.header: found for f in dataset.fields if (found := kinds_of(dataset)[f.header].no_value) is not None}
        replacing = {rule.replaces: rule for rule in dataset.rules if rule.replaces}

        def fails(rule: Rule) -> pl.Expr:
            fails = rule.fails_when
            for header in sorted(rule.values):
                if header in bad:
                    fails &= ~bad[header].surely
            if rule.across:
                fails &= Cell(rule.across).is_given
            if rule.id in replacing:
                fails &= ~replacing[rule.id].fails_when.surely
            return expression(fails.surely)

        self.fails = {rule.id: fails(rule) for rule in dataset.rules}
        self.gates = [self.fails[rule.id] for rule in dataset.rules if rule.gate]
        self.steps = derive.columns(dataset)

    def breaking(self, rows: pl.DataFrame, rule: Rule) -> tuple[pl.Series, pl.Series]:
        """The places (`at`) that break a rule, and those of them that break no other."""
        # A rule on who submits is silent where that is not told, and another may speak instead.
        told = pl.col("AGNCY as laid") if is_told(rule.fails_when, Argument.SUBMITTER) else pl.lit(None, pl.String)
        typed = rows.with_columns(pl.lit(self.today).alias(TODAY), told.alias(SUBMITTER))
        for step in self.steps:
            typed = typed.with_columns(step)
        others = [pl.lit(False)]
        gated = pl.Series([], dtype=pl.UInt32)
        shown = pl.lit(True)
        if not rule.gate:
            # A gate that fails hides the row, and what else there is to say of it, but for whose it is.
            typed = typed.with_columns(pl.any_horizontal(pl.lit(False), *self.gates).alias(WITHHELD))
            gated = typed.filter(WITHHELD)["at"]
            kept = ("at", self.client, WITHHELD, TODAY)
            typed = typed.with_columns(pl.when(~pl.col(WITHHELD)).then(pl.exclude(kept)).name.keep())
            shown = ~pl.col(WITHHELD)
            others += [fails for name, fails in self.fails.items() if name != rule.id]
        this, other = self.fails[rule.id].alias("this"), pl.any_horizontal(others).alias("other")
        seen = typed.select("at", this, other, shown.alias("shown")).filter("shown")
        places = seen.filter("this")["at"].unique(maintain_order=True)
        more = pl.concat([gated, seen.filter("other")["at"]])
        return places, places.filter(~places.is_in(more.implode()))


def _laid(
    frame: pl.DataFrame, some: Sequence[int], book: _Book, rule: Rule, wanted: int
) -> tuple[list[int], list[pl.DataFrame]]:
    """At most so many places where a rule's example breaks it, and the rows that do, each with its `at`.

    First choice are places where the example breaks no other rule; last, the example record of dataset Q.
    """
    headers = book.dataset.headers
    whole = frame[some].select(pl.Series("at", some, pl.UInt32), *headers)
    # Several records of one episode differ by their referral, so there must be one.
    several = not isinstance(rule.breaks, Mapping) and book.referral not in rule.headers
    first = whole.filter(pl.col(book.referral).is_not_null()) if several else whole
    # So does the example record: where the row has none, it gets an id made of the episode's.
    referral = pl.coalesce(pl.col(book.referral), pl.col(book.episode) + "F").alias(book.referral)
    example = [pl.lit(EXAMPLE.get(h) or None, pl.String).alias(h) for h in headers if h not in book.ids]
    bases = [first, whole.with_columns(referral, *example)]
    if _brings_an_id(rule, book) or rule.once:
        # On a second row it would be the same id again, or told no more: one row at a time, and one in all.
        wanted, bases = 1, [base.slice(i, 1) for base in bases for i in range(3)]
    chosen: list[int] = []
    rows: list[pl.DataFrame] = []

    def take(laid: pl.DataFrame, places: pl.Series) -> None:
        new = [at for at in places if at not in chosen][: wanted - len(chosen)]
        chosen.extend(new)
        rows.append(laid.filter(pl.col("at").is_in(new)).select("at", *headers))

    also: list[tuple[pl.DataFrame, pl.Series]] = []
    for base in bases:
        if len(chosen) < wanted:
            laid = _in_style(_overlaid(base, rule, book), rule, book)
            fires, alone = book.breaking(laid, rule)
            take(laid, alone)
            also.append((laid, fires))
    for laid, fires in also:
        take(laid, fires)
    return chosen, rows


def _in_style(laid: pl.DataFrame, rule: Rule, book: _Book) -> pl.DataFrame:
    """Examples as the frame writes dates, but for what a rule told once a file says of their style."""
    kept = {rule.header} if rule.once else set()
    return laid.with_columns(dates.rewritten(pl.col(h), book.style) for h in _days(book.dataset) if h not in kept)


def _brings_an_id(rule: Rule, book: _Book) -> bool:
    """Whether an example of one record writes an id."""
    return isinstance(rule.breaks, Mapping) and any(text for header, text in rule.breaks.items() if header in book.ids)


def _overlaid(base: pl.DataFrame, rule: Rule, book: _Book) -> pl.DataFrame:
    """A rule's example laid over rows: one record in place of each, or several after one another.

    The ids that an example of several records brings are made different for each place, so that two
    places never meet; and each record is of another referral, unless the rule is about that.
    """
    base = base.with_columns(pl.col("AGNCY").alias("AGNCY as laid"))
    if isinstance(rule.breaks, Mapping):
        return base.with_columns(
            pl.lit(text or None, pl.String).alias(h) for h, text in rule.breaks.items() if h in base.columns
        )
    laid = []
    for i, record in enumerate(rule.breaks):
        cells = {}
        if book.referral not in (*rule.headers, rule.across) and i:
            cells[book.referral] = pl.format("{}X{}", pl.col(book.referral), pl.lit(i))
        for header, text in record.items():
            value = pl.lit(text or None, pl.String)
            if header not in book.ids or not text:
                cells[header] = value
            elif text != EXAMPLE.get(header):
                cells[header] = pl.format("{}X{}", value, pl.col("at"))
        laid.append(base.with_columns(cell.alias(h) for h, cell in cells.items() if h in base.columns))
    return pl.concat(laid).sort("at", maintain_order=True)
