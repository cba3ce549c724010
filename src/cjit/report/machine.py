"""The findings for programs and spreadsheets: JSON, and CSV; as they are made, never all in memory.

A finding's texts depend on its rule alone, so they are written out once a rule and gathered; what is left
to do for each of some million findings is its row, its value and its ids.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import IO

import polars as pl

from cjit import report
from cjit.dataset import Entity, Rule
from cjit.findings import Findings
from cjit.read import Source
from cjit.report.spreadsheet import neutral_column

_SURROGATE = re.compile("[\ud800-\udfff]")

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
    place = report.letters(source.columns)
    known = list(rules)
    texts = _Texts(
        known,
        {
            "letter": [place.get(rule.header) for rule in known],
            "header": [_header(rule) for rule in known],
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


# ---- JSON ------------------------------------------------------------------------------------------


class JsonFindings:
    """A sink that keeps findings as lines of JSON in a temporary file until the summary is known."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        known = list(rules)
        self._texts = _Texts(
            known,
            {
                "before": [_start(rule) for rule in known],
                "after": [_end(rule) for rule in known],
            },
        )
        self._lines = tempfile.TemporaryFile(prefix="cjit-")  # noqa: SIM115 - closed by __exit__

    def __enter__(self) -> JsonFindings:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._lines.close()

    def __call__(self, found: pl.DataFrame) -> None:
        """Take a batch of findings; a column `previous` is written where there is one."""
        parts = [pl.lit('    {"row": '), pl.col("row"), pl.col("before"), _quoted("value"), pl.col("after")]
        if "previous" in found.columns:
            parts += [pl.lit(', "previous": '), _quoted("previous")]
        told = found.with_columns(self._texts.of(found["rule"]))
        lines = io.BytesIO()
        told.select(pl.concat_str(*parts, pl.lit("},"))).write_csv(
            lines, include_header=False, quote_style="never", line_terminator="\n"
        )
        self._lines.write(lines.getbuffer())

    def write(self, out: IO[bytes], findings: Findings) -> None:
        """Write the whole document; same file, day and version, same bytes."""
        out.write(_head(findings).encode())
        length = self._lines.tell()
        if length:
            # The last finding is followed by no comma.
            self._lines.truncate(length - len(",\n"))
            self._lines.seek(0)
            out.write(b"\n")
            shutil.copyfileobj(self._lines, out, 1 << 20)
            out.write(b"\n  ")
        notes = _block([*findings.above, *findings.notes], "  ")
        out.write(f'],\n  "notes": {notes}\n}}\n'.encode())


def to_json(findings: Findings) -> str:
    """The JSON of findings that are all in `findings.frame`; raises ValueError where some are not."""
    if findings.total != findings.frame.height:
        raise ValueError("The check kept only its first findings: check again with keep=None")
    out = io.BytesIO()
    with JsonFindings(run.rule for run in findings.ledger) as kept:
        if findings.total:
            kept(findings.frame)
        kept.write(out, findings)
    return out.getvalue().decode()


def _head(findings: Findings) -> str:
    source = findings.source
    file = {
        # A name that is not UTF-8 comes in surrogates, which no JSON can hold.
        "name": _SURROGATE.sub("\ufffd", source.name) if source else None,
        "sha256": source.sha256() if source else None,
        "rows": findings.rows,
        "missing_headers": source.missing if source else [],
        "unknown_headers": source.unknown if source else [],
        "renamed_headers": source.renamed if source else {},
    }
    summary = {
        "rows": findings.rows,
        "accepted": findings.accepted,
        "rejected": findings.rejected,
        "findings": findings.severities,
        # A rule that is not named here did not run.
        "rules": {run.rule.id: run.count for run in findings.ledger if run.state == "run"},
    }
    completeness = {
        header: {
            "filled": count.filled,
            "blank": count.blank,
            "not_answered": count.not_answered,
            "bad": count.bad,
        }
        for header, count in findings.completeness.items()
    }
    head = {
        "dataset": findings.dataset.letter,
        "engine": report.engine(),
        "rules_version": report.rules_version(findings.dataset),
        "file": file,
        "summary": summary,
        "completeness": completeness,
    }
    blocks = (f"  {json.dumps(name)}: {_block(value, '  ')},\n" for name, value in head.items())
    return "{\n" + "".join(blocks) + '  "findings": ['


def _block(value: object, indent: str) -> str:
    """JSON with one entry a line, but for entries that are lists or maps of plain values."""
    deeper = indent + "  "
    if isinstance(value, Mapping) and value:
        entries = [f"{deeper}{_json(name)}: {_inner(entry, deeper)}" for name, entry in value.items()]
        return "{\n" + ",\n".join(entries) + f"\n{indent}}}"
    if isinstance(value, Sequence) and not isinstance(value, str) and value:
        return "[\n" + ",\n".join(deeper + _json(entry) for entry in value) + f"\n{indent}]"
    return _json(value)


def _inner(value: object, indent: str) -> str:
    # The counts of the rules are a hundred and more: a line each. Other small maps fit on one.
    return _block(value, indent) if isinstance(value, Mapping) and len(value) > 4 else _json(value)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _start(rule: Rule) -> str:
    return (
        f', "header": {_json(_header(rule))}, "rule": {_json(rule.id)}, "severity": {_json(rule.severity)}, "value": '
    )


def _end(rule: Rule) -> str:
    return f', "message": {_json(rule.message)}, "clause": {_json(rule.clause)}'


def _quoted(header: str) -> pl.Expr:
    """Text as JSON. Few values need more than quotation marks, and the rest is costly."""
    text = pl.col(header)
    # Of {"value":"…"} what stands between the colon and the brace.
    escaped = pl.struct(header).struct.json_encode().str.slice(len(header) + 4).str.head(-1)
    return (
        pl.when(text.is_null())
        .then(pl.lit("null"))
        .when(text.str.contains(r'["\\\x00-\x1f]'))
        .then(escaped)
        .otherwise('"' + text + '"')
    )


# ---- the rules' texts ------------------------------------------------------------------------------


def _header(rule: Rule) -> str | None:
    return None if rule.header == "ROW" else rule.header


class _Texts:
    """Columns of text by rule, gathered by the position of the rule's id among the ids of a frame."""

    def __init__(self, rules: Sequence[Rule], columns: Mapping[str, Sequence[str | None]]) -> None:
        self.at = {rule.id: place for place, rule in enumerate(rules)}
        self.columns = {name: pl.Series(name, texts, dtype=pl.String) for name, texts in columns.items()}
        self.order: list[str] = []

    def of(self, ids: pl.Series) -> list[pl.Series]:
        """The columns for a column of rule ids (an Enum)."""
        assert isinstance(ids.dtype, pl.Enum)  # noqa: S101 - for the type checker
        order = ids.dtype.categories.to_list()
        if order != self.order:
            # Put once into the order of the ids, a text is found by its number.
            places = [self.at[name] for name in order]
            self.columns = {name: texts.gather(places) for name, texts in self.columns.items()}
            self.at = {name: place for place, name in enumerate(order)}
            self.order = order
        index = ids.to_physical()
        return [texts[index] for texts in self.columns.values()]
