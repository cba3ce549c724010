"""What a check found, for pages and downloads: the values are read from the submission's files."""

from __future__ import annotations

import io

import polars as pl

from cjit.dataset import Severity
from cjit.datasets.q import Q as DATASET
from cjit.findings import Findings, in_full
from cjit.report import letters, rules_version
from cjit.web.portal import kept
from cjit.web.portal.models import Decision, Submission

_COLUMNS = (
    "row",
    "cell",
    "header",
    "rule",
    "severity",
    "value",
    "previous",
    "message",
    "clause",
    "client",
    "episode",
)
_EMPTY = pl.DataFrame(schema=dict.fromkeys(_COLUMNS, pl.String) | {"row": pl.UInt32})


# ---- what is kept ----------------------------------------------------------------------------------


def keep(submission: Submission, found: Findings) -> None:
    """Put the findings of a check beside the upload."""
    rules = [run.rule for run in found.ledger]
    place = letters(found.source.columns if found.source else ())
    cells = pl.DataFrame(
        {"header": list(place), "letter": list(place.values())}, schema={"header": pl.String, "letter": pl.String}
    )
    told = in_full(found.frame, rules).join(cells, on="header", how="left", maintain_order="left")
    if "previous" not in told.columns:
        told = told.with_columns(previous=pl.lit(None, pl.String))
    told = told.with_columns(
        pl.col("rule").cast(pl.String), cell=pl.col("letter") + pl.col("row").cast(pl.String)
    ).select(_COLUMNS)
    out = io.BytesIO()
    told.write_parquet(out)
    kept.write(submission, kept.FINDINGS, out.getvalue())


def summary(found: Findings) -> dict[str, object]:
    """What a check found, in counts only."""
    headers: dict[str, int] = {}
    for run in found.fired:
        headers[run.rule.header] = headers.get(run.rule.header, 0) + run.count
    return {
        "rows": found.rows,
        "accepted": found.accepted,
        "rejected": found.rejected,
        "excluded": found.worst[Severity.EXCLUDE],
        "queried": found.queried,
        "findings": found.severities,
        "rules": {run.rule.id: run.count for run in found.fired},
        "headers": headers,
        "completeness": {
            header: {"filled": f.filled, "blank": f.blank, "not_answered": f.not_answered, "bad": f.bad}
            for header, f in found.completeness.items()
        },
        "notes": list(found.notes),
        "rules_version": rules_version(DATASET),
    }


# ---- what is shown ---------------------------------------------------------------------------------


def findings(submission: Submission) -> pl.DataFrame:
    """Every finding of a submission, in the order of its file: `_COLUMNS` as text, `row` as a number.

    `cell` is such as D12; `client` and `episode` are the sender's ids. Values are as they were sent, whole postcodes
    cut. Empty once the files are removed.
    """
    data = kept.read(submission, kept.FINDINGS)
    return _EMPTY if data is None else pl.read_parquet(io.BytesIO(data))


def mismatches(submission: Submission) -> pl.DataFrame:
    """The changes behind each Decision: decision (its id), entity, record, header, row, value, previous, as text."""
    entity = pl.DataFrame(
        [(f.header, f.entity.value) for f in DATASET.fields], schema=["header", "entity"], orient="row"
    )
    found = findings(submission).filter(pl.col("severity") == Severity.MISMATCH)
    told = found.join(entity, on="header", how="left", maintain_order="left").with_columns(
        record=pl.when(pl.col("entity") == "client").then("client").otherwise("episode")
    )
    decisions = pl.DataFrame(
        list(Decision.objects.filter(submission=submission, absent=False).values_list("id", "entity", "record")),
        schema={"decision": pl.Int64, "entity": pl.String, "record": pl.String},
        orient="row",
    )
    return told.join(decisions, on=["entity", "record"], how="left", maintain_order="left").select(
        "decision", "entity", "record", "header", "row", "value", "previous"
    )


def since_last(submission: Submission) -> dict[str, int] | None:
    """How many findings are gone, new and still there since the agency's last upload: None where there is none.

    A finding is still there where the same rule speaks of the same client and episode, or of the same row where it has
    neither.
    """
    earlier = Submission.objects.filter(agency=submission.agency, pk__lt=submission.pk, checked__isnull=False)
    before = earlier.exclude(stored="").first()
    if before is None:
        return None
    now, then = _told(submission), _told(before)
    same = now.join(then, on=now.columns, how="semi", nulls_equal=True).height
    return {"gone": then.height - same, "new": now.height - same, "still": same}


def _told(submission: Submission) -> pl.DataFrame:
    nobody = pl.col("client").is_null() & pl.col("episode").is_null()
    told = findings(submission).select(
        "rule", "client", "episode", row=pl.when(nobody).then("row").otherwise(pl.lit(None, pl.UInt32))
    )
    return told.with_columns(time=pl.int_range(pl.len()).over(told.columns))
