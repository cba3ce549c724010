"""Submissions, decisions, and the record store: clients, episodes, referrals, each row a version.

The columns of a record are derived from the dataset's Fields and named by their headers: a new Field is one more
migration, and nothing else here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, ClassVar

from django.db import models
from django.db.models import Q

from cjit.dataset import Entity, Field
from cjit.kinds import kinds_of
from cjit.web.agencies.models import Agency, Person
from cjit.web.dataset import DATASET
from cjit.web.jobs import Job


class State(models.TextChoices):
    """Where a submission stands. docs/portal.md has the state chart."""

    RECEIVED = "received", "Received"
    CHECKING = "checking", "Checking"
    FAILED = "failed", "Check failed"
    REFUSED = "refused", "Not usable"
    REJECTED = "rejected", "Rejected"
    DECISIONS = "needs decisions", "Needs decisions"
    READY = "ready", "Ready to accept"
    ACCEPTED = "accepted", "Accepted"
    SUPERSEDED = "superseded", "Superseded"
    WITHDRAWN = "withdrawn", "Withdrawn"
    UNDONE = "undone", "Undone"


#: States in which a submission still wants something of the agency.
OPEN = (State.RECEIVED, State.CHECKING, State.DECISIONS, State.READY)


class Scope(models.TextChoices):
    """What a file holds (reading 9): all of the agency's records, or only new and changed ones."""

    FULL = "full", "All our records"
    NEW = "new", "Only new or changed records"


class Submission(Job):
    """A file as it was received, and what came of it.

    `stored` is the random name of the folder with the file and its findings ("" once they are removed). `summary` is
    what the check found, in counts only; `receipt` what an acceptance did, in counts only. `problem` is one sentence
    on why the file cannot be used; of its `size` in bytes `done` are checked. Until `forget_until` what it made the
    store forget can be brought back (null: nothing, or not any more).
    """

    agency = models.ForeignKey(Agency, models.PROTECT, related_name="submissions")
    by = models.ForeignKey(Person, models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField(auto_now_add=True)
    name = models.CharField(max_length=255)
    size = models.BigIntegerField()
    sha256 = models.CharField(max_length=64)
    scope = models.CharField(max_length=4, choices=Scope.choices)
    stored = models.CharField(max_length=43, blank=True)
    state = models.CharField(max_length=16, choices=State.choices, default=State.RECEIVED)
    checked = models.DateTimeField(null=True)
    rows = models.PositiveIntegerField(default=0)
    rejected = models.PositiveIntegerField(default=0)
    summary = models.JSONField(default=dict)
    # The acceptance.
    accepted = models.DateTimeField(null=True)
    accepted_by = models.ForeignKey(Person, models.SET_NULL, null=True, related_name="+")
    receipt = models.JSONField(default=dict)
    undone = models.DateTimeField(null=True)
    forget_until = models.DateTimeField(null=True)

    class Meta:
        """Newest first."""

        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [
            models.Index(fields=["agency", "-id"]),
            models.Index(fields=["state", "heartbeat"]),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=~Q(state__in=[State.ACCEPTED, State.UNDONE]) | Q(accepted__isnull=False),
                name="submission_accepted_at",
            ),
            # Two people who submit at once: one file of an agency is checked or decided at a time.
            models.UniqueConstraint(
                fields=["agency"], condition=Q(state__in=[*OPEN]), name="submission_one_open_an_agency"
            ),
        ]

    def __str__(self) -> str:
        return self.number

    @property
    def number(self) -> str:
        """How people name it: S000042."""
        return f"S{self.pk:06}"


class Choice(models.TextChoices):
    """What becomes of a mismatch, or of a record absent from a full file (reading 7)."""

    REPLACE = "replace", "Replace"
    DELETE = "delete", "Delete"
    LATER = "later", "Leave for later"
    KEEP = "keep", "Keep"


class Decision(models.Model):
    """One thing to be decided before acceptance: a record that mismatches, or one that is absent.

    `record` is the sender's own id of it. `headers` are the fields that mismatch, separated by spaces ("" where
    absent). `also` counts what deleting it would remove with it: {"episodes": 2, "referrals": 1}. No values: those
    are in the submission's findings.
    """

    submission = models.ForeignKey(Submission, models.CASCADE, related_name="decisions")
    entity = models.CharField(max_length=12, choices=[(e.value, e.value) for e in Entity])
    record = models.CharField(max_length=200)
    absent = models.BooleanField(default=False)
    headers = models.CharField(max_length=200, blank=True)
    pattern = models.CharField(max_length=64, blank=True)
    also = models.JSONField(default=dict)
    choice = models.CharField(max_length=8, choices=Choice.choices, blank=True)
    by = models.ForeignKey(Person, models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField(null=True)

    class Meta:
        """In the order of the file."""

        ordering: ClassVar = ["id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["submission", "entity", "record"], name="decision_once"),
            models.CheckConstraint(
                condition=Q(choice__in=["", "later"])
                | Q(absent=False, choice__in=["replace", "delete"])
                | Q(absent=True, choice__in=["keep", "delete"]),
                name="decision_fits",
            ),
        ]


# ---- the record store ------------------------------------------------------------------------------


def _column(field: Field) -> models.Field[Any, Any]:
    """The column of a Field: dates and numbers as such, everything else as text; null where blank."""
    of: Mapping[type, type[models.Field[Any, Any]]] = {date: models.DateField, int: models.IntegerField}
    return of.get(kinds_of(DATASET)[field.header].typed, models.TextField)(field.label, null=True)


class _Record(models.Model):
    """A version of a record: which acceptance brought it, which ended it (null: it is current), which forgot it.

    What is forgotten waits to be erased or brought back, and is read by nobody (null: it is not forgotten).
    """

    agency = models.ForeignKey(Agency, models.PROTECT, related_name="+")
    brought = models.ForeignKey(Submission, models.PROTECT, related_name="+")
    ended = models.ForeignKey(Submission, models.PROTECT, null=True, related_name="+")
    forgotten = models.ForeignKey(Submission, models.PROTECT, null=True, related_name="+")

    objects: ClassVar[models.Manager[Any]] = models.Manager()

    class Meta:
        """Abstract: the three tables below."""

        abstract = True


def _record(name: str, entity: Entity) -> type[_Record]:
    """The table of one section of the document, with its id and the id of what it belongs to."""
    key, *rest = DATASET.entity(entity)
    parent = DATASET.parent(entity)
    columns: dict[str, Any] = {f.header: _column(f) for f in ([parent] if parent else [])}
    columns |= {key.header: models.TextField(key.label)} | {f.header: _column(f) for f in rest}
    if parent:
        columns[parent.header] = models.TextField(parent.label)
    unique = [
        models.UniqueConstraint(
            fields=["agency", key.header],
            condition=Q(ended=None, forgotten=None),
            name=f"{entity.value}_current_once",
        ),
        models.UniqueConstraint(fields=["agency", key.header, "brought"], name=f"{entity.value}_version_once"),
    ]
    if {"DISD", "CJDISRSN"} <= set(columns):
        closed = Q(DISD=None, CJDISRSN=None) | Q(DISD__isnull=False, CJDISRSN__isnull=False)
        unique.append(models.CheckConstraint(condition=closed, name="episode_closed_in_full"))  # type: ignore[arg-type]
    indexes = [
        models.Index(fields=["agency", h], name=f"{entity.value}_{h.lower()}")
        for h in (parent and [parent.header]) or []
    ]
    meta = type("Meta", (), {"constraints": unique, "indexes": indexes})
    return type(
        name,
        (_Record,),
        {"__module__": __name__, "__doc__": f"A version of a {entity.value}.", "Meta": meta, **columns},
    )


Client = _record("Client", Entity.CLIENT)
Episode = _record("Episode", Entity.EPISODE)
Referral = _record("Referral", Entity.REFERRAL)

#: The tables of the store, from what everything belongs to downwards.
RECORDS: dict[Entity, type[_Record]] = {
    Entity.CLIENT: Client,
    Entity.EPISODE: Episode,
    Entity.REFERRAL: Referral,
}
