"""Findings as JSON, for programs, written batch by batch: memory does not grow with their number.

Most texts of a finding depend on its rule alone. They are encoded once for each rule, and looked up for each finding.
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
    """A sink that writes findings as lines of JSON to a temporary file, which `write` puts after the summary.

    It is a context manager, which removes the temporary file.
    """

    def __init__(self, rules: Iterable[Rule]) -> None:
        """For findings of some rules: every rule that may fire."""
        self._texts = Texts({rule.id: (_start(rule), _end(rule)) for rule in rules})
        self._lines = tempfile.TemporaryFile(prefix="cjit-")  # noqa: SIM115 - closed by __exit__

    def __enter__(self) -> JsonFindings:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._lines.close()

    def __call__(self, batch: Batch) -> None:
        """Write a batch of findings; `previous` is among their members where a last submission was compared."""
        if not isinstance(batch, FindingBatch):
            self._lines.write(self._of_frame(batch))
            return
        for row, rule, value, _, _, previous in batch.lines:
            before, after = self._texts.by_rule[rule]
            last = f', "previous": {_json(previous)}' if batch.compared else ""
            self._lines.write(f'    {{"row": {row}{before}{_json(value)}{after}{last}}},\n'.encode())

    def _of_frame(self, findings: pl.DataFrame) -> memoryview:
        """The lines of a frame of findings, by Polars: row (UInt32), rule (Enum of ids), value, previous (String)."""
        import polars as pl

        parts = [pl.lit('    {"row": '), pl.col("row"), pl.col("before"), _quoted("value"), pl.col("after")]
        if "previous" in findings.columns:
            parts += [pl.lit(', "previous": '), _quoted("previous")]
        table = findings.with_columns(self._texts.columns(findings["rule"], ("before", "after")))
        lines = io.BytesIO()
        table.select(pl.concat_str(*parts, pl.lit("},"))).write_csv(
            lines, include_header=False, quote_style="never", line_terminator="\n"
        )
        return lines.getbuffer()

    def write(self, out: IO[bytes], findings: Findings) -> None:
        """Write the whole document: the summary, then the findings. The same file, day and version give the same bytes.

        Args:
            out: where to write.
            findings: what the check found, all of whose batches this sink was handed.
        """
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
    """The JSON of a check that retained all its findings.

    Args:
        findings: what the check found.

    Returns:
        The document.

    Raises:
        ValueError: where the check retained only its first findings.
    """
    if findings.total != findings.retained:
        raise ValueError("The check kept only its first findings: check again with limit=None")
    out = io.BytesIO()
    with JsonFindings(run.rule for run in findings.ledger) as writer:
        for batch in findings.batches:
            writer(batch)
        writer.write(out, findings)
    return out.getvalue().decode()


def _head(findings: Findings) -> str:
    """The document up to the bracket that opens the list of findings."""
    source = findings.source
    file = {
        # The bytes of a name that is not UTF-8 are surrogates in Python, and JSON cannot have them.
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
        # Only rules that ran.
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
    """JSON with one entry a line; an entry that is a list or a small object stands on its line whole."""
    deeper = indent + "  "
    if isinstance(value, Mapping) and value:
        entries = [f"{deeper}{_json(name)}: {_inner(entry, deeper)}" for name, entry in value.items()]
        return "{\n" + ",\n".join(entries) + f"\n{indent}}}"
    if isinstance(value, Sequence) and not isinstance(value, str) and value:
        return "[\n" + ",\n".join(deeper + _json(entry) for entry in value) + f"\n{indent}]"
    return _json(value)


def _inner(value: object, indent: str) -> str:
    # The counts of the rules are over a hundred, so each has a line.
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
    """A column of text as JSON: quoted, escaped only where a text needs it, since that is costly; null for null."""
    import polars as pl

    text = pl.col(header)
    # Polars encodes structs only: the text is what stands between the colon and the brace of {"value":"…"}.
    escaped = pl.struct(header).struct.json_encode().str.slice(len(header) + 4).str.head(-1)
    return (
        pl.when(text.is_null())
        .then(pl.lit("null"))
        .when(text.str.contains(r'["\\\x00-\x1f]'))
        .then(escaped)
        .otherwise('"' + text + '"')
    )
