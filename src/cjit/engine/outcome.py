"""The findings of a check, made from what an engine answers.

Both engines answer the same questions about a table (`Judged`). Here the answers are counted, put in order and worded.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from itertools import compress
from typing import Literal, NamedTuple, TypeAlias

from cjit.conditions import WHITE, Parameter, reads_parameter
from cjit.dataset import Entity, Rule, Severity
from cjit.engine.findings import RAGGED, Batch, Filled, Findings, Line, RuleRun, Seen, Sink
from cjit.engine.records import ParsedText
from cjit.engine.rulebook import RuleBook
from cjit.engine.shown import cell_count, may_be_shown, spells_yes
from cjit.files.parsing import Oddities
from cjit.files.source import Source
from cjit.sentences import listed

#: How many of a rule's findings are remembered for the summary.
FIRST = 5
#: Distinct texts of a withheld field that are counted, beside blank.
_TEXTS = 6
_GRADES = list(Severity)


#: What stands for a text of a field in a table: its number, or the text itself.
Key: TypeAlias = str | int | None


class CellText(NamedTuple):
    """A text of a field as it stands in the file, and as it was parsed."""

    text: str | None
    parsed: ParsedText


class Judged(ABC):
    """A table judged by a rule book. A row is known by its place in the table, counted from 0.

    book: the rules.
    active: the numbers of the rules that were asked.
    today, submitter: the parameters of the check.
    odd: what was odd about the rows of the file.
    height: how many rows can be read.
    gated: how many rows are gated.
    absent: where a last submission was compared, how many clients, episodes and so on of it are not in the file.
    """

    book: RuleBook
    active: frozenset[int]
    today: date
    submitter: str | None
    odd: Oddities
    height: int
    gated: int
    absent: Mapping[Entity, int]

    @abstractmethod
    def fired(self) -> dict[int, int]:
        """By number of the rule, on how many rows it fired; the rule of ragged rows apart."""

    @abstractmethod
    def gravest(self) -> dict[int, int]:
        """By place of the severity in `Severity`, the rows of which it is the gravest; ragged rows apart."""

    @abstractmethod
    def batches(self, ragged: Sequence[Line]) -> Iterator[Batch]:
        """All findings, by row, then by the book, with those of the ragged rows merged in."""

    @abstractmethod
    def first_findings(self) -> Iterator[Line]:
        """The first few findings of each rule, in order of the rows; ragged rows apart."""

    @abstractmethod
    def counted(self, header: str, wanted: Callable[[ParsedText], bool]) -> Iterable[tuple[ParsedText, int]]:
        """Count the wanted texts of a field on the rows whose gate holds.

        Args:
            header: the field, which is no id of a record.
            wanted: whether a text is counted.

        Returns:
            Each such text, parsed, with its number of rows.
        """

    @abstractmethod
    def blank_ids(self, header: str) -> int:
        """The number of rows whose gate holds and whose id is blank."""

    # ---- its rows ------------------------------------------------------------------------------

    @abstractmethod
    def numbers(self, places: range) -> Sequence[int]:
        """The numbers of some rows, as a spreadsheet shows them."""

    @abstractmethod
    def cells(self, header: str) -> Mapping[Key, CellText]:
        """Each text of a field by its key. A missing key is an id that is its own key, text and value."""

    @abstractmethod
    def keys(self, header: str, places: Sequence[int]) -> Sequence[Key]:
        """The key of a field's text on each of some rows."""

    @property
    @abstractmethod
    def gated_rows(self) -> Sequence[int]:
        """The rows whose gate failed, in order."""

    @property
    def gate(self) -> Rule:
        """The rule that hides a whole row."""
        return self.book.rules[self.book.gates[0]]

    @cached_property
    def headers_again(self) -> frozenset[int]:
        """The rows whose gate failed that have nothing but the headers in their cells."""
        places: Sequence[int] = self.gated_rows
        given: set[int] = set()
        fields = self.book.dataset.fields
        # The gate's own field rules out nearly all rows, so it comes first.
        for field in sorted(fields, key=lambda field: field.header != self.gate.header):
            if not places:
                break
            names, cells = (field.header, *field.also), self.cells(field.header)
            texts = [cells[key].text if key in cells else key for key in self.keys(field.header, places)]
            # Where files were put one below the other, the second one's byte order mark stands before its first header.
            same = [not text or str(text).strip(WHITE + "\ufeff").upper() in names for text in texts]
            given.update(at for at, text in zip(places, texts, strict=True) if text)
            places = list(compress(places, same))
        return frozenset(given.intersection(places))

    def gate_texts(self) -> Counter[str | None]:
        """How often each text stands in the gate's field on gated rows that do not repeat the headers."""
        cells = self.cells(self.gate.header)
        keys = self.keys(self.gate.header, [at for at in self.gated_rows if at not in self.headers_again])
        return Counter({cells[key].text: count for key, count in Counter(keys).items()})


@dataclass(frozen=True)
class _GateTexts:
    """What stands on the gated rows.

    counts: the texts of the gate's field that are no code of it, with their rows: "" for blank; some, where they are
        many.
    headers_again: the rows that repeat the headers.
    """

    counts: Counter[str]
    headers_again: int


def ragged(odd: Oddities) -> list[Line]:
    """A finding for each row whose cells cannot be told apart."""
    return [
        Line(row, RAGGED.id, cell_count(cells, odd.width, ends=row == odd.cut_off), None, None)
        for row, cells in odd.ragged
    ]


def findings(judged: Judged, source: Source | None, limit: int | None, sink: Sink | None) -> Findings:
    """Everything an engine found.

    Args:
        judged: the table, judged.
        source: the file it was read from.
        limit: how many findings stay in `Findings.batches`, the first ones (None: all).
        sink: is handed every batch, in order.

    Returns:
        The findings.
    """
    return _Outcome(judged, source).findings(limit, sink)


class _Outcome:
    def __init__(self, judged: Judged, source: Source | None) -> None:
        self.judged = judged
        self.book = judged.book
        self.odd = judged.odd
        self.source = source
        self.fired = judged.fired()
        if self.odd.ragged:
            self.fired[0] = len(self.odd.ragged)

    def findings(self, limit: int | None, sink: Sink | None) -> Findings:
        retained: list[Batch] = []
        room = limit
        for found in self.judged.batches(self._ragged):
            if sink:
                sink(found)
            if room is None or room > 0:
                retained.append(found if room is None else found.head(room))
                room = None if room is None else room - retained[-1].height
        gravest = self.judged.gravest()
        reject = _GRADES.index(RAGGED.severity)
        gravest[reject] = gravest.get(reject, 0) + len(self.odd.ragged)
        first = self._firsts()
        return Findings(
            dataset=self.book.dataset,
            today=self.judged.today,
            source=self.source,
            rows=self.judged.height + len(self.odd.ragged),
            examined=self._examined,
            gravest={severity: gravest.get(place, 0) for place, severity in enumerate(_GRADES)},
            ledger=tuple(
                RuleRun(rule, self._state(i, rule), self.fired.get(i, 0), tuple(first.get(rule.id, ())))
                for i, rule in enumerate(self.book.rules)
            ),
            completeness=self._completeness(),
            notes=self._notes(),
            batches=tuple(retained),
            total=sum(self.fired.values()),
            above=tuple(self._above()),
        )

    @cached_property
    def _ragged(self) -> Sequence[Line]:
        return ragged(self.odd)

    def _firsts(self) -> Mapping[str, Sequence[Seen]]:
        first: dict[str, list[Seen]] = {}
        for line in (*self.judged.first_findings(), *self._ragged[:FIRST]):
            seen = Seen(line.row, line.client, line.episode, line.value, line.previous)
            first.setdefault(line.rule, []).append(seen)
        return first

    # ---- counts --------------------------------------------------------------------------------

    @property
    def _examined(self) -> int:
        """The rows whose gate holds and whose cells can be told apart."""
        return self.judged.height - self.judged.gated

    def _completeness(self) -> dict[str, Filled]:
        filled = {}
        for field in self.book.dataset.fields:
            header = field.header
            if header in self.book.apart:
                blank = self.judged.blank_ids(header)
                filled[header] = Filled(self._examined - blank, blank, 0, 0)
                continue
            codes = self.book.dataset.codes_of(header)
            declined: frozenset[object] = frozenset(
                [*map(int, field.apart)] if field.apart else codes.not_answers() if codes else ()
            )

            def is_told_apart(parsed: ParsedText, declined: frozenset[object] = declined) -> bool:
                return parsed.value is None or parsed.value in declined

            blank = not_answered = bad = 0
            for parsed, count in self.judged.counted(header, is_told_apart):
                if parsed.is_no_value:
                    bad += count
                elif parsed.value is None:
                    # A code that stands for none is blank.
                    blank += count
                else:
                    not_answered += count
            filled[header] = Filled(self._examined - blank, blank, not_answered, bad)
        return filled

    def _unknown(self, header: str) -> int:
        """The rows with a code that an incomplete list does not have."""
        codes = self.book.dataset.codes_of(header)
        if codes is None or codes.complete or header in self.book.apart:
            return 0
        known = frozenset(codes.codes)
        unknown = self.judged.counted(header, lambda parsed: parsed.value is not None and parsed.value not in known)
        return sum(count for _, count in unknown)

    @cached_property
    def _gate_texts(self) -> _GateTexts:
        if not self.book.gates or not self.judged.gated:
            return _GateTexts(Counter(), 0)
        codes = self.book.dataset.codes_of(self.judged.gate.header)
        counts: Counter[str] = Counter()
        for text, count in self.judged.gate_texts().items():
            bare = (text or "").strip(WHITE)
            if not (codes and bare.upper() in codes.codes):
                counts[bare] += count
        some = [text for text, _ in counts.most_common() if text][:_TEXTS]
        return _GateTexts(
            Counter({text: counts[text] for text in ("", *some) if text in counts}), len(self.judged.headers_again)
        )

    # ---- in words ------------------------------------------------------------------------------

    def _state(self, i: int, rule: Rule) -> Literal["run", "skipped", "not applicable"]:
        if i not in self.judged.active:
            return "skipped"
        if reads_parameter(rule.fails_when, Parameter.SUBMITTER) and self.judged.submitter is None:
            return "not applicable"
        return "run"

    def _above(self) -> Iterator[str]:
        """Sentences on what may concern every record: a file cut off, and texts that stand for consent."""
        if self.odd.cut_off:
            row = self.odd.cut_off
            yield f"The file ends within row {row:,}, so it may have been cut off: make the extract again"
        gate = self.judged.gate
        codes = self.book.dataset.codes_of(gate.header)
        records = self.judged.height - self._gate_texts.headers_again
        if records and self._gate_texts.counts[""] == records:
            yield f"{gate.header} is blank on every row: ask your software supplier to have it filled in"
        texts = Counter({text: count for text, count in self._gate_texts.counts.items() if text})
        if not texts or codes is None:
            return
        if not may_be_shown(texts):
            yield (
                f"{gate.header} has texts on some rows that are none of its codes ({' or '.join(codes.codes)}): look"
                " whether the columns of those rows have shifted"
            )
        elif all(map(spells_yes, texts)) and texts.total() == records:
            yield (
                f"{gate.header} says {_each(texts)} and not Y: ask your software supplier to write Y, as a corrected"
                " copy has it"
            )
        else:
            yield (
                f"{gate.header} says {_each(texts)}, which is none of its codes: ask your software supplier to write"
                f" {' or '.join(codes.codes)}"
            )

    def _notes(self) -> tuple[str, ...]:
        notes = [*(self.source.notes if self.source else ()), *_absent(self.judged.absent)]
        if short := self.odd.short:
            rows, they = ("row is", "it was") if short == 1 else ("rows are", "they were")
            cells = "that row's" if short == 1 else "those"
            notes.append(
                f"{short:,} {rows} short by blank cells at the end, as spreadsheets write them; {they} read with"
                f" {cells} cells blank"
            )
        if self.odd.uneven:
            notes.append(_lost(self.odd.uneven))
        if long := self.odd.long:
            rows, they = ("row has", "it was") if long == 1 else ("rows have", "they were")
            notes.append(f"{long:,} {rows} blank cells behind the last column; {they} read without them")
        if again := self._gate_texts.headers_again:
            rows = "row repeats" if again == 1 else "rows repeat"
            notes.append(f"{again:,} {rows} the headers: look whether files or sheets were put one below the other")
        if self.odd.blank:
            rows = "row was" if self.odd.blank == 1 else "rows were"
            notes.append(f"{self.odd.blank:,} blank {rows} left out")
        for f in self.book.dataset.fields:
            # A code that a rule of its list queries is not one of those of which nothing is said.
            said = (n for i, n in self.fired.items() if f.codes and self.book.rules[i].of_list == f.codes)
            count = self._unknown(f.header) - sum(said)
            if count:
                rows = "row has a code" if count == 1 else "rows have codes"
                status = f.codes and self.book.dataset.lists[f.codes].status
                notes.append(
                    f"{count:,} {rows} for {f.noun} ({f.header}) that our {status} list does not have, which is no"
                    f" finding: to have such codes checked, install the official list with “cjit reference install"
                    f" {f.codes} FILE”"
                )
        return tuple(notes)


def _each(texts: Counter[str]) -> str:
    """Texts with their rows: “Yes” on 28 rows and “No” on 2 rows."""
    return listed(f"“{text}” on {count:,} {'row' if count == 1 else 'rows'}" for text, count in texts.most_common())


def _lost(rows: Sequence[int]) -> str:
    """That rows end before others beside them do, which no spreadsheet writes."""
    first = listed([f"{row:,}" for row in rows[:FIRST]] + ([f"{len(rows) - FIRST:,} more"] if rows[FIRST:] else []))
    if not rows[1:]:
        return f"Row {first} ends before the rows beside it: look whether cells at its end were lost"
    return f"Rows {first} end before the rows beside them: look whether cells at their end were lost"


def _absent(counts: Mapping[Entity, int]) -> list[str]:
    """What of the last submission is not in this file, in words: nothing vanishes without one."""
    parts = [f"{n:,} {entity.value}{'' if n == 1 else 's'}" for entity in Entity if (n := counts.get(entity, 0))]
    if not parts:
        return []
    are = "is" if sum(counts.values()) == 1 else "are"
    return [f"{listed(parts)} of your last submission {are} not in this file: check that the extract is whole"]
