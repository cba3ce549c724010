"""Findings as CSV, written as they are made."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import IO

import polars as pl

from cjit.dataset import Entity, Rule
from cjit.files.source import Source
from cjit.report import words
from cjit.report.spreadsheet import neutral_column
from cjit.report.texts import Texts, header_of

# ---- CSV -------------------------------------------------------------------------------------------


def csv_findings(
    out: IO[bytes], rules: Iterable[Rule], source: Source, *, compared: bool = False
) -> Callable[[pl.DataFrame], None]:
    """A sink that writes every batch of findings to `out` as CSV; the header row is written at once.

    Columns: row, cell (such as D12 in the sender's own file), header, rule, severity, value, message,
    clause, and the sender's client and episode ids; where the file is `compared` with the last submission, its
    value (previous) follows the value. UTF-8 with a byte order mark, without which Excel
    takes UTF-8 for Windows-1252; line ends are CRLF; cells like formulas are neutralised.
    """
    client, episode = (source.dataset.entity(e)[0].header for e in (Entity.CLIENT, Entity.EPISODE))
    place = words.letters(source.columns)
    known = list(rules)
    texts = Texts(
        known,
        {
            "letter": [place.get(rule.header) for rule in known],
            "header": [header_of(rule) for rule in known],
            "severity": [rule.severity.value for rule in known],
            "message": [rule.message for rule in known],
            "clause": [rule.clause for rule in known],
        },
    )
    values = ["value", "previous"] if compared else ["value"]
    shown = ["row", "cell", "header", "rule", "severity", *values, "message", "clause", client, episode]
    out.write(b"\xef\xbb\xbf" + ",".join(shown).encode() + b"\r\n")

    def sink(found: pl.DataFrame) -> None:
        if compared and "previous" not in found.columns:
            found = found.with_columns(previous=pl.lit(None, pl.String))
        told = found.with_columns(texts.of(found["rule"])).select(
            "row",
            (pl.col("letter") + pl.col("row").cast(pl.String)).alias("cell"),
            "header",
            "rule",
            "severity",
            *map(neutral_column, values),
            "message",
            "clause",
            neutral_column("client"),
            neutral_column("episode"),
        )
        # By way of memory: Polars would turn a pipe closed by its reader into an error of its own.
        lines = io.BytesIO()
        told.write_csv(lines, include_header=False, line_terminator="\r\n")
        out.write(lines.getbuffer())

    return sink
