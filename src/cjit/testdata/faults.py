"""Faults put into faultless records: those that people and systems make, or chosen rules broken.

Everything is drawn from a generator that is seeded with the arguments, so that the same arguments give the same faults.
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
#: Some cells of a record by header, blank as None.
_Row = Mapping[str, str | None]
#: Makes a wrong text of a cell that is not blank, of other cells of its row and of a generator. It gives "" for blank,
#: and None where it cannot be done to this cell.
_WrongText = Callable[[str, _Row, Random], str | None]


@dataclass(frozen=True)
class _Fault:
    """A believable fault of one cell.

    name: what is wrong, in a few words.
    wrong_text: makes the wrong text.
    beside: the headers of the other cells of the row that `wrong_text` is given.
    """

    name: str
    wrong_text: _WrongText
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
    """Faultless columns with faults put in, and how many there are of each.

    Without `rules`, the faults are those that people and systems make. With them, the example of each rule replaces
    cells of rows that are the only ones of their clients, so that the rule is broken and as few others as possible. An
    example of several records adds rows. A row for which the example does not fit takes the values of dataset Q's
    example record, which supposes that `today` is no earlier than the day of that example.

    Args:
        given: columns of text by header, blank as None, with every header of the dataset: a mapping, or a frame of
            Polars (String).
        dataset: the dataset.
        rate: the share of all cells to make wrong, from 0 to 1, drawn among the cells that are not blank; with `rules`,
            the share of rows in which each rule is broken, at least one row.
        seed: the seed of the generator.
        rules: the ids of rules to break (None: none are chosen).
        today: the day on which the rules are checked (None: the latest date in the columns).

    Returns:
        The columns as they were given, a mapping or a frame, with the faults; and the number of faults by “HEADER: what
        is wrong”, or by the rule's id, with 0 for a rule that could not be broken.

    Raises:
        ValueError: for a rate that is not from 0 to 1, and for a rule that the dataset has not.
    """
    if not 0 <= rate <= 1:
        raise ValueError("Enter a rate of faults from 0 to 1, such as 0.02 for two cells in a hundred")
    rng = Random(f"{seed}/faults")  # noqa: S311  nothing is kept secret by it
    columns = {header: list(given[header]) for header in dataset.headers}
    if rules is not None:
        faulty, counts = _with_broken_rules(columns, dataset, rate, rng, rules, today or _latest(columns, dataset))
    else:
        faulty, counts = _with_random_faults(columns, dataset, rate, rng)
    if isinstance(given, Mapping):
        return faulty, counts
    return type(given)(faulty, schema=given.schema), counts


def _with_random_faults(
    columns: Mapping[str, list[str | None]], dataset: Dataset, rate: float, rng: Random
) -> tuple[dict[str, list[str | None]], Counter[str]]:
    """Columns with the faults that people and systems make, and how many there are of each.

    Args:
        columns: columns of text by header, blank as None.
        dataset: the dataset.
        rate: the share of all cells to make wrong.
        rng: the generator.

    Returns:
        The columns with faults, and the number of faults by “HEADER: what is wrong”.
    """
    cells = sum(map(len, columns.values()))
    filled = cells - sum(column.count(None) for column in columns.values())
    counts: Counter[str] = Counter()
    if not rate or not filled:
        return dict(columns), counts
    chance = rate * cells / filled
    faulty = {}
    for header, column in columns.items():
        given = [at for at, text in enumerate(column) if text is not None]
        places = [given[at] for at in _drawn_places(len(given), chance, rng)]
        faulty[header] = _column_with_faults(columns, header, places, _faults_of(dataset, header), counts, rng)
    return faulty, counts


def _drawn_places(count: int, chance: float, rng: Random) -> Iterator[int]:
    """The places from 0 to count - 1 that are drawn with a chance, in order. The time is that of the places drawn."""
    if chance >= 1:
        yield from range(count)
        return
    gap = math.log1p(-chance)
    at = int(math.log1p(-rng.random()) / gap)
    while at < count:
        yield at
        at += 1 + int(math.log1p(-rng.random()) / gap)


def _column_with_faults(
    columns: Columns, header: str, places: Iterable[int], faults: Sequence[_Fault], counts: Counter[str], rng: Random
) -> list[str | None]:
    """A column with a fault at each of some places.

    Args:
        columns: all columns of text by header, blank as None.
        header: the header of the column.
        places: the places of its cells to make wrong, none of them blank.
        faults: the faults to choose from.
        counts: the number of faults by “HEADER: what is wrong”, to which those made here are added.
        rng: the generator.

    Returns:
        The column. A cell to which none of the faults can be done is as it was.
    """
    column = list(columns[header])
    if not faults:
        return column
    beside = sorted({each for fault in faults for each in fault.beside} & set(columns))
    for at in places:
        value = column[at] or ""
        row = {each: columns[each][at] for each in beside}
        first = int(rng.random() * len(faults))
        for fault in (*faults[first:], *faults[:first]):
            text = fault.wrong_text(value, row, rng)
            if text is not None and text != value:
                column[at] = text or None
                counts[f"{header}: {fault.name}"] += 1
                break
    return column


def _faults_of(dataset: Dataset, header: str) -> list[_Fault]:
    """The faults of a field: those of its kind, then those that depend on other fields."""
    field = dataset.by_header[header]
    faults = [*_faults_of_kind(field, dataset.codes_of(header)), *_BESIDE.get(header, ())]
    if field.missing is not None:
        faults.append(_Fault("left blank", lambda value, row, rng: ""))
    return faults


def _faults_of_kind(field: Field, codes: CodeList | None) -> Iterator[_Fault]:
    """The faults of a field that follow from its kind and its code list (None: it has none)."""
    yield _Fault("a space after it", lambda value, row, rng: f"{value} ")
    match field.kind:
        case Kind.DATE:
            yield from (_date_fault(name, wrong_date) for name, wrong_date in _WRONG_DATES.items())
        case Kind.INITIAL:
            yield _Fault("lower case", lambda v, row, rng: v.lower())
            yield _Fault("two letters", lambda v, row, rng: v + rng.choice("aehiou"))
            yield _Fault("not a letter", lambda v, row, rng: rng.choice("-?.0"))
        case Kind.NUMBER:
            most = field.maximum or 0
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
            yield _Fault("the label", lambda v, row, rng: _distinct_label(labels.get(v), v))
            yield _Fault("lower case", lambda v, row, rng: v.lower())
            if "1" in codes.codes:
                yield _Fault("a leading nought", lambda v, row, rng: f"0{v}" if len(v) == 1 and v.isdigit() else None)
            if codes.complete:
                unknown = [code for code in ("?", "U", "98", "XXX", "NULL") if code not in codes.codes]
                yield _Fault("no such code", lambda v, row, rng: rng.choice(unknown))
            if field.none:
                yield _Fault("a code for none", lambda v, row, rng: field.none[0])


def _parts(text: str) -> tuple[str, str, str, bool]:
    """The year, month and day of a plainly written date as text, and whether it has slashes."""
    if "/" in text:
        return text[6:], text[3:5], text[:2], True
    return text[:4], text[4:6], text[6:], False


def _date_text(year: str, month: str, day: str, slashes: bool) -> str:
    """A year, month and day, real date or not, as a date with or without slashes."""
    return f"{day}/{month}/{year}" if slashes else f"{year}{month}{day}"


#: Makes a wrong date of the `_parts` of a date and a generator.
_WrongDate = Callable[[str, str, str, bool, Random], str | None]


def _date_fault(name: str, wrong_date: _WrongDate) -> _Fault:
    return _Fault(name, lambda value, row, rng: wrong_date(*_parts(value), rng))


#: The faults of a date, by name.
_WRONG_DATES: Mapping[str, _WrongDate] = {
    "year first": lambda y, m, d, s, rng: f"{y}-{m}-{d}",
    "no such day": lambda y, m, d, s, rng: _date_text(y, rng.choice(("02", "04", "06")), "31", s),
    "year of two figures": lambda y, m, d, s, rng: _date_text(y[2:], m, d, s),
    "year of nought": lambda y, m, d, s, rng: _date_text(f"00{y[2:]}", m, d, s),
    "a century too late": lambda y, m, d, s, rng: _date_text(f"{int(y) + 100}", m, d, s),
    "full stops": lambda y, m, d, s, rng: f"{d}.{m}.{y}",
    "month first": lambda y, m, d, s, rng: _date_text(y, d, m, s) if d > "12" else None,
}


def _distinct_label(label: str | None, code: str) -> str | None:
    """A label, where it is not read as the code itself."""
    return label if label and label.upper() != code and not label.startswith("(") else None


def _moved(header: str, least: int, most: int) -> _WrongText:
    """Makes a date that is some days after another field's, or before it.

    Args:
        header: the header of the other field.
        least: the least number of days after it; below 0 for before it.
        most: the greatest number of days.

    Returns:
        The function.
    """

    def moved(value: str, row: _Row, rng: Random) -> str | None:
        other = row[header]
        if other is None:
            return None
        *parts, slashes = _parts(other)
        day = date(*map(int, parts)) + timedelta(days=rng.randint(least, most))
        return f"{day:{(Style.SLASHED if slashes else Style.EIGHT).form}}"

    return moved


def _where_given(header: str, wrong: str) -> _WrongText:
    """Makes a wrong text where another field is given."""
    return lambda value, row, rng: wrong if row[header] else None


def _birth_date_joined(value: str, row: _Row, rng: Random) -> str | None:
    """The initials and the birth date as one text."""
    first, last, born = (row[header] or "" for header in ("FINITIAL", "SINITIAL", "DOB"))
    year, month, day, _ = _parts(born)
    return f"{first}{last}{day}{month}{year[2:]}" if first and last and born else None


#: Hartlepool, Cornwall, Kent and Herefordshire: no sector lies in all of them.
_FAR = ("E06000001", "E06000052", "E10000016", "E06000019")


def _elsewhere(value: str, row: _Row, rng: Random) -> str | None:
    """An authority in which the sector does not lie."""
    sector = row["PC"]
    if sector is None or sector == DEFAULT_SECTOR:
        return None
    return rng.choice([code for code in _FAR if code not in authorities_of_sector(sector)])


def _other_stage(value: str, row: _Row, rng: Random) -> str:
    """A closure reason that Appendix E prints under the other heading only."""
    return rng.choice(("73", "1", "2") if row["CPLANDT"] else ("8", "10", "12"))


_CHILDREN = ("PARENT", "CHILDWTH")

#: The faults that depend on other cells of the row, or on what a field means, by the cell's header.
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
    "DISABLE1": (_Fault("none, with a second", _where_given("DISABLE2", "NN"), ("DISABLE2",)),),
    "DISABLE2": (
        _Fault("the first again", lambda v, row, rng: row["DISABLE1"], ("DISABLE1",)),
        _Fault("a gap before the third", _where_given("DISABLE3", ""), ("DISABLE3",)),
    ),
    "PARENT": (_Fault("no, with children's place", _where_given("PRNTSTAT", "N"), ("PRNTSTAT",)),),
    "PRNTSTAT": (_Fault("not filled in", lambda v, row, rng: ""),),
    "EHCS": (
        _Fault("not filled in", lambda v, row, rng: ""),
        _Fault("none, with a second", _where_given("EHCSC2", "5"), ("EHCSC2",)),
    ),
    "EHCSC2": (
        _Fault("the first again", lambda v, row, rng: row["EHCS"], ("EHCS",)),
        _Fault("a gap before the third", _where_given("EHCSC3", ""), ("EHCSC3",)),
    ),
    "DRUG2": (
        _Fault("the first again", lambda v, row, rng: row["DRUG1"], ("DRUG1",)),
        _Fault("a gap before the third", _where_given("DRUG3", ""), ("DRUG3",)),
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

#: The number of rows on which a rule's example is tried, for each row in which it is to be broken.
_TRIES = 24


def _date_headers(dataset: Dataset) -> list[str]:
    return [f.header for f in dataset.fields if f.kind is Kind.DATE]


def _style(columns: Columns, dataset: Dataset) -> Style:
    """The style of most dates."""
    count = Counter(style_in(text or "") for header in _date_headers(dataset) for text in columns[header])
    return max(Style, key=count.__getitem__)


def _latest(columns: Columns, dataset: Dataset) -> date:
    """The latest date in some columns, which is no later than the day on which the records were made."""
    texts = {text for header in _date_headers(dataset) for text in columns[header]}
    return max((day for text in texts if (day := read_text(text or ""))), default=EXAMPLE_TODAY)


@dataclass(frozen=True)
class _Record:
    """A record that takes the place of another.

    at: the place of the other record.
    agency: the agency code of the other record (None: it has none).
    cells: the cells by header, blank as None.
    """

    at: int
    agency: str | None
    cells: Mapping[str, str | None]

    def merged(self, cells: Mapping[str, str | None]) -> _Record:
        """The record with other cells in place of its own; headers that it has not are left out."""
        return replace(self, cells={**self.cells, **{h: text for h, text in cells.items() if h in self.cells}})


def _with_broken_rules(
    columns: Mapping[str, list[str | None]],
    dataset: Dataset,
    rate: float,
    rng: Random,
    rules: Sequence[str],
    today: date,
) -> tuple[dict[str, list[str | None]], Counter[str]]:
    """Columns in which chosen rules are broken, and in how many rows each is.

    Args:
        columns: columns of text by header, blank as None.
        dataset: the dataset.
        rate: the share of rows in which each rule is broken, at least one row.
        rng: the generator.
        rules: the ids of the rules.
        today: the day on which the rules are checked.

    Returns:
        The columns, with more rows where an example has several records; and the number of rows by the rule's id.

    Raises:
        ValueError: for a rule that the dataset has not.
    """
    book = _Book(dataset, today, _style(columns, dataset))
    for name in rules:
        if name not in book.rules:
            raise ValueError(f"There is no rule called {name}: “cjit rules” lists them")
    clients = columns[book.client]
    rows_of = Counter(clients)
    # The rows that are the only ones of their clients, less those that are replaced already.
    single = [at for at, client in enumerate(clients) if rows_of[client] == 1]
    rng.shuffle(single)
    wanted = max(1, round(rate * len(clients)))
    counts = Counter(dict.fromkeys(rules, 0))
    replacements: dict[int, list[_Record]] = {}
    for name in dict.fromkeys(rules):
        records = [
            _Record(at, columns["AGNCY"][at], {header: column[at] for header, column in columns.items()})
            for at in single[: wanted * _TRIES]
        ]
        breaking = _breaking_records(records, book, book.rules[name], wanted)
        single = [at for at in single if at not in breaking]
        counts[name] = len(breaking)
        replacements |= breaking
    return {
        header: [
            text
            for at, unchanged in enumerate(column)
            for text in ([record.cells[header] for record in replacements[at]] if at in replacements else [unchanged])
        ]
        for header, column in columns.items()
    }, counts


class _Book:
    """The rules of a dataset, and the engine that says which of them records break.

    dataset: the dataset.
    today: the day on which the rules are checked.
    style: the style of dates in the records.
    rules: the rules by id.
    ids: the headers of all ids.
    client, episode, referral: the headers of the ids of these entities.
    """

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
        """Where records break a rule.

        Args:
            records: the records, which are checked together, as one file.
            rule: the rule.

        Returns:
            The places of records that break the rule, and those of them whose records break no other rule.
        """
        # A rule that reads the submitter does not fire without one, and another may fire in its place.
        needs_submitter = reads_parameter(rule.fails_when, Parameter.SUBMITTER)
        engines = [self._engine(record.agency if needs_submitter else None) for record in records]
        rows = [engine.rows([record.cells])[0] for engine, record in zip(engines, records, strict=True)]
        engine = self._engine(None)
        broken = [set(row.fails) for row in rows]
        parsed = [(row.parsed, row.gated) for row in rows]
        for at, number in (*engine.across(parsed), *engine.once(parsed)):
            broken[at].add(number)
        this = engine.book.index[rule.id]
        places = dict.fromkeys(record.at for record, numbers in zip(records, broken, strict=True) if this in numbers)
        # A gate that fails hides all other findings of its row.
        others = {record.at for record, numbers in zip(records, broken, strict=True) if numbers - {this}}
        return list(places), [at for at in places if at not in others]

    def _engine(self, submitter: str | None) -> Records:
        return prepared(self.dataset, self.today, submitter)


def _breaking_records(records: Sequence[_Record], book: _Book, rule: Rule, wanted: int) -> dict[int, list[_Record]]:
    """Records that break a rule: some records with cells of the rule's example.

    Records that break no other rule are chosen first, and those made of the example record of dataset Q last.

    Args:
        records: the records to make them of.
        book: the rules.
        rule: the rule to break.
        wanted: the number of places at which it is to be broken.

    Returns:
        The records by place, at no more places than wanted.
    """
    # Several records of one episode differ by their referral, so the record must have one.
    several = not isinstance(rule.breaks, Mapping) and book.referral not in rule.headers
    fit = [record for record in records if record.cells[book.referral] is not None] if several else records
    # The example record has a referral too, so a row without one gets an id made of the episode's.
    example = {h: EXAMPLE.get(h) or None for h in book.dataset.headers if h not in book.ids}
    bases = [fit, [record.merged(example | {book.referral: _referral(record, book)}) for record in records]]
    if _writes_an_id(rule, book) or rule.once:
        # A second row would have the same id, or would not be told: so one row is tried at a time, and one is made.
        wanted, bases = 1, [base[i : i + 1] for base in bases for i in range(3)]
    chosen: dict[int, list[_Record]] = {}

    def choose(merged: Sequence[_Record], places: Iterable[int]) -> None:
        new = [at for at in places if at not in chosen][: wanted - len(chosen)]
        chosen.update({at: [record for record in merged if record.at == at] for at in new})

    tried: list[tuple[list[_Record], list[int]]] = []
    for base in bases:
        if len(chosen) < wanted:
            merged = [_in_style(record, rule, book) for record in _with_example(base, rule, book)]
            breaking, breaking_alone = book.breaking(merged, rule)
            choose(merged, breaking_alone)
            tried.append((merged, breaking))
    for merged, breaking in tried:
        choose(merged, breaking)
    return chosen


def _referral(record: _Record, book: _Book) -> str | None:
    """The id of a record's referral, or one made of the episode's id where it has no referral."""
    referral, episode = record.cells[book.referral], record.cells[book.episode]
    return referral if referral is not None or episode is None else f"{episode}F"


def _in_style(record: _Record, rule: Rule, book: _Book) -> _Record:
    """A record with dates in the style of the others, but for a field whose style is what the rule is on."""
    unchanged = {rule.header} if rule.once else set()
    days = {h: record.cells[h] for h in _date_headers(book.dataset) if h not in unchanged}
    return record.merged({h: text and rewritten(text, book.style) for h, text in days.items()})


def _writes_an_id(rule: Rule, book: _Book) -> bool:
    """Whether a rule's example is one record that has an id."""
    return isinstance(rule.breaks, Mapping) and any(text for header, text in rule.breaks.items() if header in book.ids)


def _with_example(base: Sequence[_Record], rule: Rule, book: _Book) -> list[_Record]:
    """Records with the cells of a rule's example in place of their own.

    An example of several records makes as many of each. Its ids are made different for each place, so that the rows of
    two places are never grouped. Each record is of another referral, unless the rule reads the referral's id.

    Args:
        base: the records.
        rule: the rule.
        book: the rules.

    Returns:
        The new records; those of one place stand together.
    """
    if isinstance(rule.breaks, Mapping):
        example = {header: text or None for header, text in rule.breaks.items()}
        return [record.merged(example) for record in base]
    merged = []
    for record in sorted(base, key=lambda record: record.at):
        for i, part in enumerate(rule.breaks):
            cells: dict[str, str | None] = {}
            referral = record.cells[book.referral]
            if book.referral not in (*rule.headers, rule.across) and i and referral is not None:
                cells[book.referral] = f"{referral}X{i}"
            for header, text in part.items():
                if header not in book.ids or not text:
                    cells[header] = text or None
                elif text != EXAMPLE.get(header):
                    cells[header] = f"{text}X{record.at}"
            merged.append(record.merged(cells))
    return merged
