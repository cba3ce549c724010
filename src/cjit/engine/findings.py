"""What a check says back: findings, the ledger of rules, and how complete each field is.

Findings are made in batches, in order. The engine for large files makes frames of Polars, the plain one `FindingBatch`;
what reads findings takes either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from cjit.conditions import Never
from cjit.dataset import OUR_READING, Dataset, Rule, Severity
from cjit.files.source import Source

if TYPE_CHECKING:
    import polars as pl


RAGGED = Rule(
    "ROW.has_every_cell",
    Severity.REJECT,
    "Give the row exactly one cell for each header: a comma is missing or too many, or the file was cut off",
    OUR_READING,
    Never(),
    breaks={},
    holds={},
    reading="A row with more or fewer cells than headers cannot be told apart into fields, so nothing in it can be "
    "taken for a value. It is read where what it lacks, or has too many, is nothing but blank cells at its end.",
)


@dataclass(frozen=True)
class Seen:
    """Where a finding is: spreadsheet row, the sender's own ids, the value (None where withheld), the one before."""

    row: int
    client: str | None
    episode: str | None
    value: str | None
    previous: str | None = None


class Line(NamedTuple):
    """A finding: its row, its rule's id, and what a frame of findings has beside them."""

    row: int
    rule: str
    value: str | None
    client: str | None
    episode: str | None
    previous: str | None = None


@dataclass(frozen=True)
class FindingBatch:
    """Some findings in plain Python, in order.

    lines: a finding each. compared: whether a last submission was held against the file.
    """

    lines: Sequence[Line]
    compared: bool

    @property
    def height(self) -> int:
        """How many findings it has."""
        return len(self.lines)

    def head(self, most: int) -> FindingBatch:
        """The first of them, at most so many."""
        return FindingBatch(self.lines[:most], self.compared)


#: Some findings: in plain Python, or as a frame as `Findings.frame` has.
Batch: TypeAlias = "FindingBatch | pl.DataFrame"
#: Takes findings as they are made, in order.
Sink: TypeAlias = "Callable[[Batch], None]"


def lines_of(batch: Batch) -> Iterator[Line]:
    """Some findings, one after another."""
    if isinstance(batch, FindingBatch):
        yield from batch.lines
    else:
        names = [name for name in Line._fields if name in batch.columns]
        yield from (
            map(Line._make, batch.select(names).iter_rows())
            if "previous" in names
            else (Line(*line) for line in batch.select(names).iter_rows())
        )


def frame_of(batch: Batch, rules: Sequence[str]) -> pl.DataFrame:
    """Some findings as a frame, with the rules as an Enum of some ids. Needs Polars."""
    if not isinstance(batch, FindingBatch):
        return batch
    library = polars()
    text = ("value", "client", "episode", *(("previous",) if batch.compared else ()))
    schema = {"row": library.UInt32, "rule": library.Enum(rules), **dict.fromkeys(text, library.String)}
    frame: pl.DataFrame = library.DataFrame([line[: len(schema)] for line in batch.lines], schema=schema, orient="row")
    return frame


class Needed(ImportError):  # noqa: N818 - told to the user in one sentence
    """Something beside cjit itself is needed for what was asked. Its text is one sentence for the user."""


def polars() -> Any:
    """Polars, where it is installed; raises `Needed` with what to do where it is not."""
    try:
        import polars as pl
    except ImportError:
        raise Needed(
            "Polars is not installed, which this needs: run “pip install '.[fast]'” in the folder with cjit's files, or"
            " give pip the wheel file with [fast] after its name"
        ) from None
    return pl


@dataclass(frozen=True)
class Finding:
    """A finding of `check_rows`: the record's place, the rule, and the value (None where withheld)."""

    row: int
    rule: Rule
    value: str | None


@dataclass(frozen=True)
class RuleRun:
    """One line of the ledger: whether a rule ran, how often it fired, and where first."""

    rule: Rule
    state: Literal["run", "skipped", "not applicable"]
    count: int = 0
    first: tuple[Seen, ...] = ()


@dataclass(frozen=True)
class Filled:
    """How complete a field is, over the rows whose client consents, in rows.

    `not_answered` are answers such as "declined" or "not stated"; `bad` are values that are no value.
    filled + blank = rows; not_answered and bad are parts of filled.
    """

    filled: int
    blank: int
    not_answered: int
    bad: int


@dataclass(frozen=True)
class Findings:
    """What a check found.

    source: the file; None where a frame was checked.
    rows: its records, also those whose cells cannot be told apart.
    examined: the rows that could be examined: those whose client consents and whose cells can be told apart.
    gravest: rows by the gravest severity of their findings.
    ledger: every rule, whether it ran and how often it fired.
    completeness: how complete each field is, by header.
    notes: sentences on the file. above: those on the extract as a whole: a file cut off, or what stands
        for consent instead of its codes; they are said before anything else.
    batches: the findings in row order, then book order: the first ones, where a check was told to keep only so many.
    total: how many there are.
    """

    dataset: Dataset
    today: date
    source: Source | None
    rows: int
    examined: int
    gravest: Mapping[Severity, int]
    ledger: tuple[RuleRun, ...]
    completeness: Mapping[str, Filled]
    notes: tuple[str, ...]
    batches: tuple[Batch, ...]
    total: int
    above: tuple[str, ...] = ()

    @cached_property
    def frame(self) -> pl.DataFrame:
        """A row a finding that was kept. Needs Polars.

        row (UInt32): the spreadsheet's; the header is row 1. rule (Enum): an id of the ledger. value (String): what
        stands there; null where it is blank or withheld; how many cells, of a row whose cells cannot be told apart.
        client, episode (String): the sender's ids; null where withheld. previous (String): the value of the last
        submission, where one was compared.
        """
        pl = polars()
        ids = [run.rule.id for run in self.ledger]
        none = FindingBatch((), any(isinstance(each, FindingBatch) and each.compared for each in self.batches))
        frames = [frame_of(batch, ids) for batch in self.batches] or [frame_of(none, ids)]
        return pl.concat(frames) if frames[1:] else frames[0]

    @property
    def retained(self) -> int:
        """How many findings were kept."""
        return sum(batch.height for batch in self.batches)

    def first(self, most: int) -> list[Line]:
        """The first findings in row order, then book order: at most so many."""
        lines: list[Line] = []
        for batch in self.batches:
            lines += lines_of(batch.head(most - len(lines)))
        place = {run.rule.id: place for place, run in enumerate(self.ledger)}
        return sorted(lines, key=lambda line: (line.row, place[line.rule]))

    @property
    def rejected(self) -> int:
        """The rows that would be rejected."""
        return self.gravest[Severity.REJECT]

    @property
    def accepted(self) -> int:
        """The rows that would not."""
        return self.rows - self.rejected

    @property
    def queried(self) -> int:
        """The rows of which a query is the gravest that is said."""
        return self.gravest[Severity.QUERY]

    @property
    def severities(self) -> dict[str, int]:
        """The number of findings of each severity, the gravest first."""
        counts = dict.fromkeys((s.value for s in Severity), 0)
        for run in self.ledger:
            counts[run.rule.severity] += run.count
        return counts

    @property
    def fired(self) -> tuple[RuleRun, ...]:
        """The rules that fired, the gravest first, then the most frequent."""
        order = list(Severity)
        fired = (run for run in self.ledger if run.count)
        return tuple(sorted(fired, key=lambda r: (order.index(r.rule.severity), -r.count)))

    def __len__(self) -> int:
        return self.total


def in_full(frame: pl.DataFrame, rules: Iterable[Rule]) -> pl.DataFrame:
    """A frame of findings with header, severity, message and clause beside each rule's id."""
    pl = polars()
    known = list(rules)
    book = pl.DataFrame(
        {
            "rule": pl.Series([r.id for r in known], dtype=frame.schema["rule"]),
            "header": [None if r.header == "ROW" else r.header for r in known],
            "severity": [r.severity.value for r in known],
            "message": [r.message for r in known],
            "clause": [r.clause for r in known],
        },
        schema_overrides=dict.fromkeys(("header", "severity", "message", "clause"), pl.String),
    )
    return frame.join(book, on="rule", how="left", maintain_order="left")
