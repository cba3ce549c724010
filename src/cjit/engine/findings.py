"""What a check says back: findings, the ledger of rules, and how complete each field is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

import polars as pl

from cjit.conditions import Never
from cjit.dataset import OUR_READING, Dataset, Rule, Severity
from cjit.files.source import Source

#: Takes findings as they are made, in order.
Sink = Callable[[pl.DataFrame], None]

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

    `frame` has a row a finding: row (UInt32, the spreadsheet's, header is 1), rule (Enum of the book's
    ids), value, client, episode (String; null where withheld). Of a row whose cells cannot
    be told apart the value is how many it has. It holds the first `keep` findings where a
    check was told to keep only so many; `total` counts all. Findings are in row order, then book order;
    in a file of several pieces those across rows come last. `worst` counts rows by
    their gravest severity. `looked` counts the rows that could be
    looked at: those whose client consents and whose cells can be told apart. `above` are notes on what concerns every
    row, or most of them, and is said before anything else.
    """

    dataset: Dataset
    today: date
    source: Source | None
    rows: int
    looked: int
    worst: Mapping[Severity, int]
    ledger: tuple[RuleRun, ...]
    completeness: Mapping[str, Filled]
    notes: tuple[str, ...]
    frame: pl.DataFrame
    total: int
    above: tuple[str, ...] = ()

    @property
    def rejected(self) -> int:
        """The rows that would be rejected."""
        return self.worst[Severity.REJECT]

    @property
    def accepted(self) -> int:
        """The rows that would not."""
        return self.rows - self.rejected

    @property
    def queried(self) -> int:
        """The rows of which a query is the gravest that is said."""
        return self.worst[Severity.QUERY]

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
