"""The check of what comes in, as a worker does it: what a file changes, what is rejected, what must be decided."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

import polars as pl
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from cjit.dataset import WITHHELD, Entity, Severity
from cjit.engine import compare_frames
from cjit.engine.checking import check, records
from cjit.engine.findings import Findings
from cjit.files.frames import repeating
from cjit.files.opening import open_file
from cjit.files.source import Source, Unusable
from cjit.sentences import listed
from cjit.web import kept
from cjit.web.agencies.audit import note
from cjit.web.agencies.models import AGENCY_CODE, Agency
from cjit.web.dataset import DATASET
from cjit.web.jobs import Claim, Queue
from cjit.web.portal import contested, plan, result, store
from cjit.web.portal.models import RECORDS, Decision, Scope, State, Submission

CLIENT, EPISODE = store.key_of(Entity.CLIENT), store.key_of(Entity.EPISODE)
_CODE = re.compile(AGENCY_CODE.regex)

#: Said of a file that should have all records, where that cannot be told of it.
_STRANGERS = (
    "Some rows do not say whose they are, so nothing that is held is taken to be missing from this file: correct them"
    " and send the file again"
)
#: Bytes that a line may have and be blank, and others: all but letters, figures and the line end.
_NO_SIGN_OF_A_RECORD = bytes(b for b in range(256) if not chr(b).isalnum() or b > 127).replace(b"\n", b"")


def work(claim: Claim[Submission]) -> None:
    """Check a submission, and settle in which state it is then."""
    try:
        _examine(claim)
    except Unusable as problem:
        claim.settle(state=State.REFUSED, problem=str(problem)[:400], checked=timezone.now())


#: Files that are received and wait to be checked.
QUEUE = Queue(
    Submission,
    State.RECEIVED,
    State.CHECKING,
    State.FAILED,
    work,
    broken="The file could not be checked because of a fault of this service: it is kept, so have it checked again, and"
    " where that fails too tell whoever runs the service",
    stopped="The check stopped several times without an end: the file is kept, so have it checked again, and where it"
    " stops again tell whoever runs the service",
)


def _examine(claim: Claim[Submission]) -> None:
    today = timezone.localdate()
    submission, progress = claim.job, claim.progress()
    agency = submission.agency
    kinds = repeating(DATASET)
    with kept.opened(submission) as path:
        source = open_file(path, DATASET, submission.name)
        if _is_surely_too_long(source):
            raise _too_long()
        held = {entity: store.held(agency, entity, kinds=kinds) for entity in RECORDS}
        found = check(
            source,
            DATASET,
            today=today,
            previous=store.whole(held),
            submitter=agency.code,
            # What is absent is said below, by what is taken for it here.
            full=False,
            progress=lambda done, _: progress(done),
        )
        if found.rows > settings.UPLOAD_ROWS:
            raise _too_long()
        sent = records(source, DATASET, today=today, kinds=kinds)
    _assure_ours(sent, agency)
    summary = result.summary(found)
    rejects = pl.Series(_of(found, Severity.REJECT), dtype=pl.String)
    told = found.frame.select("row", pl.col("rule").cast(pl.String))
    told = told.with_columns(
        header=pl.col("rule").str.split(".").list.first(),
        severity=pl.when(pl.col("rule").is_in(rejects.implode())).then(pl.lit(Severity.REJECT.value)),
    )
    file = plan.of_findings(sent, told, source.missing)
    forget = plan.withdrawn(sent, agency)
    doubtful = plan.contests(file, held, agency)
    unrejected = plan.usable(sent, file.rejected, forget)
    usable = unrejected.join(doubtful, on="row", how="anti")
    # A row that does not say whose it is may be of anybody who is held.
    strangers = found.rows - sent.height + int(sent[CLIENT].null_count()) + (file.nameless["header"] == CLIENT).sum()
    known = not strangers and usable.height > 0
    changes, kept_on, absent = _changes(submission, held, file, doubtful, usable, known)
    if submission.scope == Scope.FULL and usable.height:
        first, last = ([_STRANGERS], []) if strangers else ([], _absent(changes["absent"]))
        summary["notes"] = [*first, *found.above, *found.notes, *last]
    forgotten = plan.known(agency, forget).height
    before = Submission.objects.filter(agency=agency, state=State.ACCEPTED).order_by("-accepted").first()
    unchanged = before is not None and before.sha256 == submission.sha256
    summary |= {"left_out": plan.counted(doubtful, unrejected), "taken": usable.height}
    summary["others"] = plan.foreign(sent, agency).len()
    summary |= {"changes": changes, "forget": forgotten, "unchanged": unchanged, "missing": source.missing, **kept_on}
    with transaction.atomic():
        # In the order in which the pages lock: the agency, then its submission.
        Agency.objects.select_for_update(no_key=True).get(pk=agency.pk)
        now = claim.locked()
        result.keep(submission, found)
        contested.keep(submission, sent, doubtful.join(unrejected, on="row", how="semi"))
        # A try that was cut short may have left some.
        now.decisions.all().delete()
        if usable.height:
            Decision.objects.bulk_create([*_mismatches(now, held, found, usable), *absent], batch_size=1000)
        waits = now.decisions.exists()
        now.state = State.DECISIONS if waits else State.READY if usable.height or forgotten else State.REJECTED
        now.rows, now.rejected, now.summary = found.rows, found.rejected, summary
        now.done, now.checked, now.problem = now.size, timezone.now(), ""
        now.save()
        note(
            "checked a file",
            by=None,
            agency=agency,
            about=now.number,
            counts={"rows": found.rows, "rejected": found.rejected, "findings": found.total},
        )


def _absent(counts: Mapping[str, int]) -> list[str]:
    """What is held and not in the file, in a sentence: nothing vanishes without one."""
    parts = [f"{n:,} {name}{'' if n == 1 else 's'}" for name, n in counts.items() if n]
    are = "is held and is" if sum(counts.values()) == 1 else "are held and are"
    return [f"{listed(parts)} {are} not in this file: check that the extract is whole"] if parts else []


def _is_surely_too_long(source: Source) -> bool:
    """Whether a file has more records than are taken at once, told from its lines before anything is checked.

    Only lines with a letter or a figure are counted, since blank ones are no records; where a cell spans lines the
    check itself counts.
    """
    if source.quoted_lines or source.lines <= settings.UPLOAD_ROWS:
        return False
    records = 0
    with source.path.open("rb") as file:
        for part in source.byte_ranges:
            file.seek(part.offset)
            lines = file.read(part.size)
            if source.carriage_returns_only:
                lines = lines.replace(b"\r", b"\n")
            records += len(lines.translate(None, _NO_SIGN_OF_A_RECORD).split())
            if records > settings.UPLOAD_ROWS:
                return True
    return False


def _too_long() -> Unusable:
    return Unusable(
        f"The file has more than {settings.UPLOAD_ROWS:,} records, the most that this service takes at once: send it in"
        " parts, as “only new or changed records”"
    )


def _assure_ours(sent: pl.DataFrame, agency: Agency) -> None:
    """Refuse a file of which every row is another agency's: somebody chose the wrong file, or the wrong agency."""
    codes = plan.codes(sent)
    # What is no code at all is a fault of the records, which the findings tell.
    if not codes or not all(map(_CODE.search, codes)) or not plan.of_others(sent, agency).all():
        return
    named = codes[:3] + (["another"] if codes[3:] else [])
    told = " or ".join([", ".join(named[:-1]), named[-1]]) if named[1:] else named[0]
    raise Unusable(
        f"Every record of this file is of agency {told}, and you sent it for {agency.code}: choose the right file, or"
        " the right agency"
    )


def _mismatches(submission: Submission, held: store.Held, found: Findings, taken: pl.DataFrame) -> list[Decision]:
    """One Decision for each record that mismatches and has a row among those `taken`: of others no choice does a thing.

    `taken` are the values of the rows that can be taken (`plan.usable`).
    """
    headers = {f"{f.header}.is_unchanged": f for f in DATASET.fields}
    some = found.frame.filter(pl.col("rule").is_in(_of(found, Severity.MISMATCH)))
    fields: dict[tuple[Entity, str], list[str]] = {}
    for rule, client, episode in some.select("rule", "client", "episode").iter_rows():
        field = headers[rule]
        fields.setdefault((field.entity, client if field.entity is Entity.CLIENT else episode), []).append(field.header)
    some_row = {entity: set(taken[store.key_of(entity)]) for entity in (Entity.CLIENT, Entity.EPISODE) if fields}
    fields = {(entity, record): told for (entity, record), told in fields.items() if record in some_row[entity]}
    also = _belongings(held, list(fields))
    return [
        Decision(
            submission=submission,
            entity=entity.value,
            record=record,
            headers=" ".join(told),
            pattern=" and ".join(told)[:64],
            also=also.get((entity, record), {}),
        )
        for (entity, record), told in fields.items()
    ]


def _of(found: Findings, severity: Severity) -> list[str]:
    """The rules of a severity, by id."""
    return [run.rule.id for run in found.ledger if run.rule.severity is severity]


def _belongings(held: store.Held, these: list[tuple[Entity, str]]) -> dict[tuple[Entity, str], dict[str, int]]:
    """What of the store belongs to some clients and episodes: episodes and referrals, counted."""
    if not these:
        return {}
    ids = {entity: pl.Series([record for e, record in these if e is entity], dtype=pl.String) for entity in RECORDS}
    clients, some = ids[Entity.CLIENT], ids[Entity.EPISODE]
    episodes = held[Entity.EPISODE].select(CLIENT, EPISODE)
    episodes = episodes.filter(pl.col(CLIENT).is_in(clients.implode()) | pl.col(EPISODE).is_in(some.implode()))
    referrals = held[Entity.REFERRAL].select(EPISODE).join(episodes, on=EPISODE)
    of_client, of_episode, below = Counter(episodes[CLIENT]), Counter(referrals[EPISODE]), Counter(referrals[CLIENT])
    return {
        (entity, record): {"episodes": of_client[record], "referrals": below[record]}
        if entity is Entity.CLIENT
        else {"referrals": of_episode[record]}
        for entity, record in these
    }


def _changes(
    submission: Submission,
    before: store.Held,
    file: plan.File,
    doubtful: pl.DataFrame,
    usable: pl.DataFrame,
    known: bool,
) -> tuple[dict[str, dict[str, int]], dict[str, dict[str, int]], list[Decision]]:
    """What of a file is new, changed and absent, by kind; how many held values of each field stay (`plan.count_kept`).

    Then the absent records to be decided. Where it is not `known` whose all rows are, none is.
    """
    sent = file.sent
    # A row that is not taken may be of anything the client has: neither they nor what is theirs is absent.
    out = pl.col(WITHHELD) | pl.col("row").is_in(file.rejected.implode())
    disputed = sent.join(doubtful, on="row", how="semi")
    unsure = pl.concat([sent.filter(out)[CLIENT].drop_nulls(), contested.touched(disputed, before)]).unique()
    good = sent.filter(~pl.col(WITHHELD))
    counts: dict[str, dict[str, int]] = {"new": {}, "changed": {}, "absent": {}}
    stays = plan.nothing_kept()
    absent: list[Decision] = []
    spared: dict[Entity, pl.Series] = {}
    gone_above: dict[Entity, pl.Series] = {}
    for entity in RECORDS:
        key = store.key_of(entity)
        held = before[entity]
        parent = DATASET.parent(entity)
        spared[entity] = unsure
        if parent:
            spared[entity] = held.filter(pl.col(parent.header).is_in(spared[parent.entity].implode()))[key]
        there = compare_frames.first(good.select(store.headers_of(entity)), key)
        now = compare_frames.first(plan.closed_in_full(usable).select(store.headers_of(entity)), key)
        both = plan.merged(now, held, entity)
        plan.count_kept(stays, both, entity, file)
        # What is in the file and rejected is not absent from it.
        missing = held.join(there, on=key, how="anti").filter(~pl.col(key).is_in(spared[entity].implode()))
        # A file without the column says nothing of such records, and least of all that they are gone.
        if not known or key in file.missing:
            missing = missing.clear()
        counts["new"][entity.value] = now.join(held, on=key, how="anti").height
        counts["changed"][entity.value] = both.filter("differs").height
        counts["absent"][entity.value] = missing.height
        # What belongs to an absent record goes or stays with it.
        lonely = missing
        if parent:
            lonely = missing.filter(~pl.col(parent.header).is_in(gone_above[parent.entity].implode()))
        gone_above[entity] = missing[key]
        if submission.scope == Scope.FULL:
            absent += [
                Decision(submission=submission, entity=entity.value, record=record, absent=True, pattern="absent")
                for record in lonely[key].to_list()
            ]
    also = _belongings(before, [(Entity(d.entity), d.record) for d in absent if d.entity != Entity.REFERRAL])
    for decision in absent:
        decision.also = also.get((Entity(decision.entity), decision.record), {})
    return counts, stays, absent
