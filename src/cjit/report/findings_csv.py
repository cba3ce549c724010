"""Findings as CSV, written as they are made, never all in memory."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import IO, TYPE_CHECKING

from cjit.dataset import Entity, Rule
from cjit.engine.findings import Batch, FindingBatch, Sink
from cjit.files.source import Source
from cjit.report.spreadsheet import neutral
from cjit.report.texts import Texts, header_of
from cjit.report.words import letters

if TYPE_CHECKING:
    import polars as pl


def csv_findings(out: IO[bytes], rules: Iterable[Rule], source: Source, *, compared: bool = False) -> Sink:
    """A sink that writes every batch of findings to `out` as CSV; the header row is written at once.

    Columns: row, cell (such as D12 in the sender's own file), header, rule, severity, value, message, clause, and the
    sender's client and episode ids. UTF-8 with a byte order mark, without which Excel takes UTF-8 for Windows-1252;
    line ends are CRLF; cells like formulas are neutralised.

    Args:
        out: where to write.
        rules: every rule that may fire.
        source: the file that is checked.
        compared: whether a last submission is compared; then its value (previous) follows the value.

    Returns:
        The sink.
    """
    client, episode = (source.dataset.entity(e)[0].header for e in (Entity.CLIENT, Entity.EPISODE))
    place = letters(source.columns)
    texts = Texts(
        {
            rule.id: (place.get(rule.header), header_of(rule), rule.id, rule.severity.value, rule.message, rule.clause)
            for rule in rules
        }
    )
    values = ["value", "previous"] if compared else ["value"]
    shown = ["row", "cell", "header", "rule", "severity", *values, "message", "clause", client, episode]
    out.write(b"\xef\xbb\xbf" + ",".join(shown).encode() + b"\r\n")

    def sink(found: Batch) -> None:
        if isinstance(found, FindingBatch):
            text = io.StringIO(newline="")
            writer = csv.writer(text)
            for row, rule, value, client_id, episode_id, previous in found.lines:
                letter, header, name, severity, message, clause = texts.of[rule]
                cell = letter and f"{letter}{row}"
                own = [_cell(value), _cell(previous)] if compared else [_cell(value)]
                ids = (_cell(client_id), _cell(episode_id))
                writer.writerow([row, cell, header, name, severity, *own, message, clause, *ids])
            out.write(text.getvalue().encode())
        else:
            out.write(_of_frame(found, texts, values))

    return sink


def _cell(text: str | None) -> str | None:
    return text and neutral(text)


def _of_frame(found: pl.DataFrame, texts: Texts, values: list[str]) -> memoryview:
    """The same lines of a frame of findings, by Polars: some million take a second or two."""
    import polars as pl

    from cjit.report.spreadsheet import neutral_column

    if "previous" in values and "previous" not in found.columns:
        found = found.with_columns(previous=pl.lit(None, pl.String))
    shown = found.with_columns(
        texts.columns(found["rule"], ("letter", "header", "name", "severity", "message", "clause"))
    ).select(
        "row",
        (pl.col("letter") + pl.col("row").cast(pl.String)).alias("cell"),
        "header",
        "name",
        "severity",
        *map(neutral_column, values),
        "message",
        "clause",
        neutral_column("client"),
        neutral_column("episode"),
    )
    # By way of memory: Polars would turn a pipe closed by its reader into an error of its own.
    lines = io.BytesIO()
    shown.write_csv(lines, include_header=False, line_terminator="\r\n")
    return lines.getbuffer()
