"""What a check found, for pages and downloads: the values are read from the submission's files."""

from __future__ import annotations

import io
from collections.abc import Sequence

import polars as pl
from django.db.models import QuerySet

from cjit.dataset import Entity, Severity
from cjit.engine.findings import Findings, in_full
from cjit.report.version import rules_version
from cjit.report.words import letters
from cjit.web import kept
from cjit.web.dataset import DATASET
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
#: What tells one finding from another, with the row where it has no client and no episode.
WHOSE = ("rule", "client", "episode", "row")


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
        "excluded": found.gravest[Severity.EXCLUDE],
        "queried": found.queried,
        "findings": found.severities,
        "rules": {run.rule.id: run.count for run in found.fired},
        "headers": headers,
        "completeness": {
            header: {"filled": f.filled, "blank": f.blank, "not_answered": f.not_answered, "bad": f.bad}
            for header, f in found.completeness.items()
        },
        "notes": [*found.above, *found.notes],
        "rules_version": rules_version(DATASET),
    }


# ---- what is shown ---------------------------------------------------------------------------------


def findings(submission: Submission, columns: Sequence[str] = _COLUMNS) -> pl.DataFrame:
    """Every finding of a submission, in the order of its file: `columns` as text, `row` as a number.

    `cell` is such as D12; `client` and `episode` are the sender's ids. Values are as they were sent, whole postcodes
    cut. Raises `kept.NotKept` where the findings are gone or damaged.
    """
    return pl.read_parquet(io.BytesIO(kept.read(submission, kept.FINDINGS)), columns=list(columns))


def is_whole(submission: Submission) -> bool:
    """Whether the findings of a submission can be read."""
    try:
        kept.read(submission, kept.FINDINGS)
    except kept.NotKept:
        return False
    return True


def mismatches(submission: Submission, some: QuerySet[Decision] | None = None) -> pl.DataFrame:
    """The changes behind each Decision, or `some`: decision (its id), header, row, value and previous, as text.

    Raises `kept.NotKept` where the findings are gone or damaged.
    """
    told = ("header", "row", "value", "previous")
    found = findings(submission, ("severity", "client", "episode", *told))
    of_client = [field.header for field in DATASET.entity(Entity.CLIENT)]
    found = found.filter(pl.col("severity") == Severity.MISMATCH).with_columns(
        entity=pl.when(pl.col("header").is_in(of_client)).then(pl.lit("client")).otherwise(pl.lit("episode")),
        record=pl.when(pl.col("header").is_in(of_client)).then("client").otherwise("episode"),
    )
    wanted = submission.decisions.all() if some is None else some
    decisions = pl.DataFrame(
        list(wanted.filter(absent=False).values_list("id", "entity", "record")),
        schema={"decision": pl.Int64, "entity": pl.String, "record": pl.String},
        orient="row",
    )
    return found.join(decisions, on=["entity", "record"], maintain_order="left").select("decision", *told)


def since_last(submission: Submission, found: pl.DataFrame) -> dict[str, int] | None:
    """How many findings are gone, new and still there since the agency's last upload: None where there is none.

    `found` are the submission's findings, with the columns `WHOSE`. A finding is still there where the same rule speaks
    of the same client and episode, of the same row where it has neither, or of the file.
    """
    earlier = Submission.objects.filter(agency=submission.agency, pk__lt=submission.pk, checked__isnull=False)
    before = earlier.exclude(stored="").exclude(summary={}).first()
    if before is None:
        return None
    try:
        found_before = findings(before, WHOSE)
    except kept.NotKept:
        return None
    now, then = _told(found), _told(found_before)
    same = int(now.join(then, on="finding").select(pl.min_horizontal("count", "count_right").sum()).item())
    return {"gone": found_before.height - same, "new": found.height - same, "still": same}


def _told(found: pl.DataFrame) -> pl.DataFrame:
    """How often each finding is told, by its hash: with whole ids a long list would take ten times as long."""
    nobody = pl.col("client").is_null() & pl.col("episode").is_null()
    told = found.select("rule", "client", "episode", row=pl.when(nobody).then("row"))
    # Where a finding on the whole file is told depends on its other rows.
    of_the_file = pl.col("rule").is_in([rule.id for rule in DATASET.rules if rule.once])
    told = told.with_columns(pl.when(~of_the_file).then(pl.exclude("rule")).name.keep())
    return told.hash_rows().alias("finding").value_counts(name="count")
