"""Findings as CSV, written batch by batch: memory does not grow with their number."""

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
    """A sink that writes every batch of findings as CSV. The header row is written before it is returned.

    The columns are row, cell (such as D12, in the sender's file), header, rule, severity, value, previous (only where
    a last submission is compared), message, clause, and the ids of client and episode under the dataset's headers.
    The text is UTF-8 with a byte order mark, without which Excel reads it as Windows-1252. Line ends are CRLF. Cells
    like formulas are neutralised.

    Args:
        out: where to write.
        rules: every rule that may fire.
        source: the file that is checked.
        compared: whether a last submission is compared.

    Returns:
        The sink.
    """
    client, episode = (source.dataset.entity(e)[0].header for e in (Entity.CLIENT, Entity.EPISODE))
    letter_of = letters(source.columns)
    texts = Texts(
        {
            rule.id: (
                letter_of.get(rule.header),
                header_of(rule),
                rule.id,
                rule.severity.value,
                rule.message,
                rule.clause,
            )
            for rule in rules
        }
    )
    values = ["value", "previous"] if compared else ["value"]
    columns = ["row", "cell", "header", "rule", "severity", *values, "message", "clause", client, episode]
    out.write(b"\xef\xbb\xbf" + ",".join(columns).encode() + b"\r\n")

    def sink(batch: Batch) -> None:
        """Write a batch of findings."""
        if isinstance(batch, FindingBatch):
            text = io.StringIO(newline="")
            writer = csv.writer(text)
            for row, rule, value, client_id, episode_id, previous in batch.lines:
                letter, header, name, severity, message, clause = texts.by_rule[rule]
                cell = letter and f"{letter}{row}"
                row_values = [_cell(value), _cell(previous)] if compared else [_cell(value)]
                ids = (_cell(client_id), _cell(episode_id))
                writer.writerow([row, cell, header, name, severity, *row_values, message, clause, *ids])
            out.write(text.getvalue().encode())
        else:
            out.write(_of_frame(batch, texts, values))

    return sink


def _cell(text: str | None) -> str | None:
    return text and neutral(text)


def _of_frame(findings: pl.DataFrame, texts: Texts, values: list[str]) -> memoryview:
    """The lines of a frame of findings, by Polars: some million take a second or two.

    Args:
        findings: row (UInt32), rule (Enum of ids), value, client, episode and perhaps previous (String).
        texts: letter, header, id, severity, message and clause of each rule.
        values: the columns "value" and, where a last submission is compared, "previous".
    """
    import polars as pl

    from cjit.report.spreadsheet import neutral_column

    if "previous" in values and "previous" not in findings.columns:
        findings = findings.with_columns(previous=pl.lit(None, pl.String))
    table = findings.with_columns(
        texts.columns(findings["rule"], ("letter", "header", "name", "severity", "message", "clause"))
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
    # Polars raises an error of its own where the reader has closed a pipe, so it writes to memory.
    lines = io.BytesIO()
    table.write_csv(lines, include_header=False, line_terminator="\r\n")
    return lines.getbuffer()
