"""Findings as JSON, for programs: written as they are made, never all in memory.

A finding's texts depend on its rule alone, so they are written out once a rule and gathered; what is left
to do for each of some million findings is its row, its value and its ids.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import IO, TYPE_CHECKING

from cjit.dataset import Rule
from cjit.engine.findings import Batch, FindingBatch, Findings
from cjit.report import version
from cjit.report.texts import Texts, header_of

if TYPE_CHECKING:
    import polars as pl

_SURROGATE = re.compile("[\ud800-\udfff]")


# ---- JSON ------------------------------------------------------------------------------------------


class JsonFindings:
    """A sink that keeps findings as lines of JSON in a temporary file until the summary is known."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._texts = Texts({rule.id: (_start(rule), _end(rule)) for rule in rules})
        self._lines = tempfile.TemporaryFile(prefix="cjit-")  # noqa: SIM115 - closed by __exit__

    def __enter__(self) -> JsonFindings:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._lines.close()

    def __call__(self, found: Batch) -> None:
        """Take a batch of findings; `previous` is written where a last submission was compared."""
        if not isinstance(found, FindingBatch):
            self._lines.write(self._of_frame(found))
            return
        for row, rule, value, _, _, previous in found.lines:
            before, after = self._texts.of[rule]
            last = f', "previous": {_json(previous)}' if found.compared else ""
            self._lines.write(f'    {{"row": {row}{before}{_json(value)}{after}{last}}},\n'.encode())

    def _of_frame(self, found: pl.DataFrame) -> memoryview:
        """The same lines of a frame of findings, by Polars."""
        import polars as pl

        parts = [pl.lit('    {"row": '), pl.col("row"), pl.col("before"), _quoted("value"), pl.col("after")]
        if "previous" in found.columns:
            parts += [pl.lit(', "previous": '), _quoted("previous")]
        shown = found.with_columns(self._texts.columns(found["rule"], ("before", "after")))
        lines = io.BytesIO()
        shown.select(pl.concat_str(*parts, pl.lit("},"))).write_csv(
            lines, include_header=False, quote_style="never", line_terminator="\n"
        )
        return lines.getbuffer()

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
    """The JSON of findings that were all kept; raises ValueError where some were not."""
    if findings.total != findings.retained:
        raise ValueError("The check kept only its first findings: check again with limit=None")
    out = io.BytesIO()
    with JsonFindings(run.rule for run in findings.ledger) as writer:
        for batch in findings.batches:
            writer(batch)
        writer.write(out, findings)
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
        "engine": version.engine(),
        "rules_version": version.rules_version(findings.dataset),
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
        f', "header": {_json(header_of(rule))}, "rule": {_json(rule.id)}, "severity": {_json(rule.severity)}, "value": '
    )


def _end(rule: Rule) -> str:
    return f', "message": {_json(rule.message)}, "clause": {_json(rule.clause)}'


def _quoted(header: str) -> pl.Expr:
    """Text as JSON. Few values need more than quotation marks, and the rest is costly."""
    import polars as pl

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
