"""A provider's caseload: clients, episodes and referrals as they were typed, what stays local, and the history.

`values` of a record are texts by CSV header, as somebody typed them: whatever is wrong or unfinished is kept, and
the rule book says so. The few columns beside it are computed from it at each save (`record.settle`), for lists and
searches. Nothing here is sent but by the extract, and of these tables it reads clients, consents, episodes and
referrals alone.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from cjit.web.agencies.models import Agency, Person
from cjit.web.jobs import Job


class Practice(models.Model):
    """How an agency keeps its caseload: the name of its extracts, the words it asks for consent with, the next number.

    `next_reference` is the number of the next client reference that is allocated.
    """

    agency = models.OneToOneField(Agency, models.CASCADE, related_name="practice")
    file_name = models.CharField(max_length=120, default="{agency}_{until}_{scope}.csv")
    consent_wording = models.TextField(blank=True, max_length=4000)
    next_reference = models.PositiveIntegerField(default=1)


class Client(models.Model):
    """Somebody an agency works with. `values` holds the fields of the dataset's section "client details" but AGNCY.

    `consent` is the answer that holds now (Y, N, or "" where nobody has asked), of the newest `Consent`. `extracted`
    is when an extract first had them; `changed` when anything was changed that an extract could show, and `touched`
    when anything at all was done that the history has, of their episodes too.
    """

    # Without an index of its own, here and below: others begin with it, and SQLite would take this one instead.
    agency = models.ForeignKey(Agency, models.PROTECT, related_name="clients", db_index=False)
    clientid = models.CharField(max_length=64)
    values = models.JSONField(default=dict)
    consent = models.CharField(max_length=1, blank=True)
    extracted = models.DateTimeField(null=True)
    changed = models.DateTimeField()
    touched = models.DateTimeField(default=timezone.now)
    begun = models.DateField()
    # Computed: see the module's docstring. In capitals, the date where it is one.
    reference = models.CharField(max_length=64, blank=True)
    initials = models.CharField(max_length=2, blank=True)
    born = models.DateField(null=True)

    class Meta:
        """One a technical id; found by reference, initials and birth date."""

        constraints: ClassVar = [models.UniqueConstraint(fields=["agency", "clientid"], name="client_once")]
        indexes: ClassVar = [
            # All that a search reads, and who was worked on last: it goes through this alone, whatever is known.
            models.Index(fields=["agency", "reference", "initials", "born", "touched"], name="client_by_search"),
            models.Index(fields=["agency", "consent", "begun"], name="client_by_consent"),
        ]


class Episode(models.Model):
    """An episode of a client. `values` holds the dataset's "episode details" but CONSENT and CMSID.

    `local` is what never leaves: `destination`, the prison or area somebody was transferred to, and `moved`, the DAT
    from before a new postcode, until somebody says which is right. `findings` are pairs of a rule's id and the number
    of the referral it is about (0: none), `missing` of them only say that something is not filled in, `rejects` hold it
    back from an extract: it would be rejected, or says who the client is.

    Of contacts and assessments an import knows nothing. `imported` is the day of it (None: begun here), `counted_from`
    the day from which the six months until the next assessment count (None: it was closed then, and its assessments are
    elsewhere), `no_contact` that somebody said there was none after the dates that the file has.
    """

    client = models.ForeignKey(Client, models.CASCADE, related_name="episodes")
    agency = models.ForeignKey(Agency, models.PROTECT, related_name="+", db_index=False)
    episodid = models.CharField(max_length=64)
    values = models.JSONField(default=dict)
    local = models.JSONField(default=dict)
    extracted = models.DateTimeField(null=True)
    changed = models.DateTimeField()
    begun = models.DateField()
    imported = models.DateField(null=True)
    counted_from = models.DateField(null=True)
    no_contact = models.BooleanField(default=False)
    # Computed.
    findings = models.JSONField(default=list)
    rejects = models.PositiveSmallIntegerField(default=0)
    faults = models.PositiveSmallIntegerField(default=0)
    missing = models.PositiveSmallIntegerField(default=0)
    triaged = models.DateField(null=True)
    started = models.DateField(null=True)
    closed = models.DateField(null=True)
    #: Whether it has a closure, be its date a date or not.
    open = models.BooleanField(default=True)
    #: The day of the last contact, and of the last one face to face. Triage and the care plan count as such; of what
    #: was imported, only once something is known of the time since.
    contact = models.DateField(null=True)
    face_to_face = models.DateField(null=True)
    #: Since when the client is known to be in prison, by the last contact.
    custody = models.DateField(null=True)
    #: When the next assessment of interventions is due (None: none is).
    review = models.DateField(null=True)

    class Meta:
        """The newest first, whose triage may have no date yet; lists of what is due look at those that are open."""

        ordering: ClassVar = [F("triaged").desc(nulls_first=True), "-id"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["agency", "episodid"], name="episode_once")]
        indexes: ClassVar = [
            models.Index(
                fields=["agency", "contact", "custody", "triaged", "started"],
                name="episode_open",
                condition=Q(open=True),
            ),
            models.Index(
                fields=["agency", "contact", "imported"],
                name="episode_without_contact",
                condition=Q(open=True, imported__isnull=False, contact__isnull=True),
            ),
            models.Index(
                fields=["agency", "triaged"],
                name="episode_not_started",
                condition=Q(open=True, started__isnull=True, custody__isnull=True, triaged__isnull=False),
            ),
            models.Index(fields=["client"], name="episode_open_of_client", condition=Q(open=True)),
            models.Index(
                fields=["agency", "custody"],
                name="episode_in_custody",
                condition=Q(open=True, custody__isnull=False),
            ),
            models.Index(fields=["agency", "review"], name="episode_by_review", condition=Q(review__isnull=False)),
            models.Index(
                fields=["agency", "rejects", "faults", "missing"],
                name="episode_with_findings",
                condition=Q(rejects__gt=0) | Q(faults__gt=0) | Q(missing__gt=0),
            ),
        ]


class Referral(models.Model):
    """A referral to structured treatment. `values` holds REFDATE; `dated` is its date, where it is one."""

    episode = models.ForeignKey(Episode, models.CASCADE, related_name="referrals")
    agency = models.ForeignKey(Agency, models.PROTECT, related_name="+", db_index=False)
    referid = models.CharField(max_length=64)
    values = models.JSONField(default=dict)
    extracted = models.DateTimeField(null=True)
    changed = models.DateTimeField()
    dated = models.DateField(null=True)

    class Meta:
        """The earliest first, those without a date last."""

        ordering: ClassVar = [F("dated").asc(nulls_last=True), "id"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["agency", "referid"], name="referral_once")]
        indexes: ClassVar = [
            models.Index(fields=["agency"], name="referral_without_date", condition=Q(dated__isnull=True))
        ]


# ---- what never leaves -----------------------------------------------------------------------------


class Contact(models.Model):
    """A contact with a client. Local: it is never extracted."""

    class Kind(models.TextChoices):
        """How it was held."""

        OFFICE = "office", "At the service"
        HOME = "home", "Home visit"
        COURT = "court", "At court"
        CUSTODY_SUITE = "custody suite", "In a police custody suite"
        PRISON = "prison", "In prison"
        VIDEO = "video", "Video call"
        TELEPHONE = "telephone", "Telephone call"
        MESSAGE = "message", "Text message, e-mail or letter"
        OTHER = "other", "Other"

    episode = models.ForeignKey(Episode, models.CASCADE, related_name="contacts")
    on = models.DateField()
    kind = models.CharField(max_length=16, choices=Kind.choices)
    face_to_face = models.BooleanField("face to face, or equivalent")
    custody = models.BooleanField("the client was in prison", default=False)
    note = models.TextField(blank=True, max_length=4000)
    by = models.ForeignKey(Person, models.SET_NULL, null=True, related_name="+")

    class Meta:
        """The newest first."""

        ordering: ClassVar = ["-on", "-id"]


class Intervention(models.Model):
    """What the CJIT provided since the assessment before (or since caseload start), as assessed on a day. Local.

    `kinds` are headers of dataset P (RECPEER to RECDOMV), which dataset Q dropped. `leaving` says that it is the
    assessment at the time the client left the caseload.
    """

    episode = models.ForeignKey(Episode, models.CASCADE, related_name="interventions")
    on = models.DateField()
    kinds = models.JSONField(default=list)
    leaving = models.BooleanField(default=False)
    note = models.TextField(blank=True, max_length=4000)
    by = models.ForeignKey(Person, models.SET_NULL, null=True, related_name="+")

    class Meta:
        """The newest first."""

        ordering: ClassVar = ["-on", "-id"]


class Note(models.Model):
    """A note on a client. Local: it is never extracted."""

    client = models.ForeignKey(Client, models.CASCADE, related_name="notes")
    text = models.TextField(max_length=8000)
    at = models.DateTimeField(auto_now_add=True)
    by = models.ForeignKey(Person, models.SET_NULL, null=True, related_name="+")

    class Meta:
        """The newest first."""

        ordering: ClassVar = ["-id"]


class Consent(models.Model):
    """A client's answer, with its evidence: on which day, to which words, and how it can be shown. Never altered."""

    client = models.ForeignKey(Client, models.CASCADE, related_name="consents")
    given = models.BooleanField()
    on = models.DateField()
    wording = models.TextField(blank=True, max_length=4000)
    evidence = models.CharField(max_length=400, blank=True)
    at = models.DateTimeField(auto_now_add=True)
    by = models.ForeignKey(Person, models.SET_NULL, null=True, related_name="+")

    class Meta:
        """The newest first."""

        ordering: ClassVar = ["-id"]


# ---- what happened ---------------------------------------------------------------------------------


class Change(models.Model):
    """What somebody changed of a client or what belongs to it: `fields` has, by header, the text before and after.

    Saves of one record by one person that follow one another within a while are one change, from the first text
    before to the last one after. `what` is a verb phrase, `why` what was answered where a reason was asked for.
    """

    client = models.ForeignKey(Client, models.CASCADE, related_name="changes")
    episode = models.ForeignKey(Episode, models.SET_NULL, null=True, related_name="changes")
    referral = models.ForeignKey(Referral, models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField()
    by = models.ForeignKey(Person, models.SET_NULL, null=True, related_name="+")
    #: The name at that time, kept when the account goes.
    who = models.CharField(max_length=254)
    what = models.CharField(max_length=60)
    why = models.CharField(max_length=120, blank=True)
    fields = models.JSONField(default=dict)

    class Meta:
        """The newest first."""

        ordering: ClassVar = ["-at", "-id"]
        indexes: ClassVar = [models.Index(fields=["client", "at"], name="change_of_client")]


# ---- what comes in and goes out --------------------------------------------------------------------


class Stage(models.TextChoices):
    """How far an extract or an import is: a worker checks it, somebody sees that and orders it, a worker makes it."""

    WAITING = "waiting", "Waiting"
    CHECKING = "checking", "Being checked"
    CHECKED = "checked", "Checked"
    ORDERED = "ordered", "Ordered"
    MAKING = "making", "Being made"
    MADE = "made", "Made"
    FAILED = "failed", "Failed"


#: While something is awaited from a worker.
AT_WORK = (Stage.WAITING, Stage.CHECKING, Stage.ORDERED, Stage.MAKING)


class Passage(Job):
    """A file on its way out of a caseload or into it.

    `at` is when it was asked for, of an extract that is checked the moment of which it has the records; `made` when it
    was made. `stored` is the random name of the folder that has its file ("" once that is removed), `counts` what is in
    it. Of an import `size` is how many clients there are, of which `done` are put in.
    """

    agency = models.ForeignKey(Agency, models.PROTECT, related_name="%(class)ss")
    by = models.ForeignKey(Person, models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField(default=timezone.now)
    made = models.DateTimeField(null=True)
    state = models.CharField(max_length=16, choices=Stage.choices, default=Stage.WAITING)
    size = models.BigIntegerField(default=0)
    name = models.CharField(max_length=255, blank=True)
    sha256 = models.CharField(max_length=64, blank=True)
    stored = models.CharField(max_length=43, blank=True)
    counts = models.JSONField(default=dict)

    class Meta:
        """The newest first."""

        abstract = True
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [models.Index(fields=["state", "heartbeat"])]


class Extract(Passage):
    """An extract: what it is to have, what the check said of it, and once it is made the hash of its bytes.

    `found` says what would be rejected or was left out of it, as the page of a checked one shows it; its files are
    those of the attempt `attempt`. It goes to the portal where `to_portal` says so, and has there the number
    `submission`.
    """

    until = models.DateField()
    scope = models.CharField(max_length=4)
    since = models.ForeignKey("self", models.SET_NULL, null=True, related_name="+")
    leave_out = models.BooleanField(default=False)
    found = models.JSONField(default=dict)
    attempt = models.PositiveSmallIntegerField(default=0)
    to_portal = models.BooleanField(default=False)
    submission = models.CharField(max_length=40, blank=True)


class Import(Passage):
    """A file with which a caseload begins: the one the agency sent last.

    `counted_from` is the day of the last assessments of interventions, or from which the next ones count.
    """

    counted_from = models.DateField(default=timezone.localdate)


#: Anything with `values` by header.
Record = Client | Episode | Referral
