"""What an extract of an agency has: clients who consent, with the episodes that began by a day, and who withdrew.

Of a client without consent there is nothing; of one who withdrew after an extract had them, a line that says so and
nothing else. An extract is either full or has only what is new or changed since a former one.
"""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.conf import settings
from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from cjit.dataset import Record as Texts
from cjit.dates import Style
from cjit.extract import Extracted, Row, extract, file_name, write
from cjit.web.agencies.models import Agency
from cjit.web.caseload.models import Client, Episode, Extract, Practice, Referral, Stage
from cjit.web.caseload.record import CMSID, NO, YES, day_of
from cjit.web.dataset import DATASET

#: What somebody was saving while an extract was made, and was not in it yet, is in the next one by this.
SAVING = timedelta(seconds=10)
FULL, NEW = "full", "new"
_PLACE = {header: place for place, header in enumerate(DATASET.headers)}


@dataclass(frozen=True, eq=False)
class Made:
    """An extract of what an agency had at a moment (`at`), and what the check says of it. Nothing is marked yet.

    `later` episodes began after its period, and are not in it; `held` of them an extract had before, so that whoever
    has that one misses them in one of all records. `first` are the ids in it, by header, that no extract had before.
    """

    agency: Agency
    at: datetime
    until: date
    since: Extract | None
    extracted: Extracted
    later: int
    held: int
    first: Mapping[str, Sequence[str]]

    @property
    def scope(self) -> str:
        """Whether it has all records or only those that are new or changed, in the portal's words."""
        return NEW if self.since else FULL

    @property
    def counts(self) -> dict[str, int]:
        """How many of each kind are in it, how many lines only say that consent was withdrawn, what was left out."""
        sent = consenting(self.extracted.rows)
        return {
            "clients": len({row[_PLACE["CLIENTID"]] for row in sent}),
            "episodes": len({row[_PLACE["EPISODID"]] for row in sent}),
            "referrals": len({row[_PLACE["REFERID"]] for row in sent} - {None}),
            "withdrawn": self.extracted.withdrawn,
            "left out": len(self.extracted.left_out),
        }

    @property
    def empty(self) -> str:
        """Why there is nothing in it; "" where there is something."""
        if self.extracted.rows:
            return ""
        if self.extracted.left_out:
            return "all that would be in it would be rejected and is left out"
        if self.since:
            return "nothing is new or changed since the extract it is to follow"
        return "no client who consents has an episode that began by then"

    def data(self, *, labels: bool = False) -> bytes:
        """The bytes of the file, or of one with labels to look at."""
        out = io.BytesIO()
        write(DATASET, self.extracted.rows, out, labels=labels)
        return out.getvalue()

    def name(self, *, labels: bool = False) -> str:
        """The name of the file, by the agency's pattern."""
        name = named(practice(self.agency).file_name, self.agency, self.until, self.scope)
        return with_labels(name) if labels else name


def with_labels(name: str) -> str:
    """The name of the copy with labels of a file."""
    return f"{name.removesuffix('.csv')} with labels.csv"


def make(
    agency: Agency,
    *,
    until: date,
    since: Extract | None = None,
    leave_out: bool = False,
    style: Style | None = None,
) -> Made:
    """Make an extract, and check it: some seconds where there are many clients.

    `until` is the last day of its period, `since` the former extract from which on it has what is new or changed
    (None: all). With `leave_out`, episodes that would be rejected are left out. Dates are in the `style`, by default
    that of the installation.
    """
    at = timezone.now()
    episodes, later, held = _within(_concerned(agency, since), until)
    rows = _rows(agency, episodes)
    done = extract(
        DATASET,
        rows,
        agency=agency.code,
        today=timezone.localdate(),
        leave_out=leave_out,
        style=style or settings.DATES,
    )
    return Made(agency, at, until, since, done, later, held, _first(agency, done.rows))


def consenting(sent: Sequence[Row]) -> list[Row]:
    """The rows of an extract of clients who consent."""
    return [row for row in sent if row[_PLACE["CONSENT"]] == YES]


def _first(agency: Agency, sent: Sequence[Row]) -> dict[str, list[str]]:
    """The ids in an extract, by header, that none had before."""
    found: dict[str, list[str]] = {}
    for table, key in ((Client, "clientid"), (Episode, "episodid"), (Referral, "referid")):
        # After they were read: what somebody removes meanwhile is then missed when it is to be marked.
        before = table.objects.filter(agency=agency, extracted__isnull=False).order_by().values_list(key, flat=True)
        ids = {row[_PLACE[key.upper()]] for row in consenting(sent)}
        found[key.upper()] = sorted(each for each in ids - set(before) if each is not None)
    return found


def former(agency: Agency) -> QuerySet[Extract]:
    """The extracts that were made of an agency, the newest first."""
    return Extract.objects.filter(agency=agency, state=Stage.MADE).order_by("-at", "-pk")


def practice(agency: Agency) -> Practice:
    """How an agency keeps its caseload, also where nobody has settled anything yet."""
    return Practice.objects.filter(agency=agency).first() or Practice(agency=agency)


def named(pattern: str, agency: Agency, until: date, scope: str) -> str:
    """The name of a file by a pattern. Raises `BadPattern`."""
    return file_name(pattern, agency=agency.code, until=until, scope=scope)


# ---- its rows --------------------------------------------------------------------------------------


def _rows(agency: Agency, episodes: QuerySet[Episode]) -> Iterator[Texts]:
    """The records an extract is made of, as texts by header, in any order."""
    sent = {"AGNCY": agency.code, "CMSID": CMSID, "CONSENT": YES}
    referrals: dict[int, list[Texts]] = defaultdict(list)
    below = Referral.objects.filter(agency=agency, episode__in=episodes).order_by()
    for episode, referid, values in below.values_list("episode", "referid", "values").iterator():
        referrals[episode].append({**values, "REFERID": referid})
    columns = ("pk", "episodid", "values", "client__clientid", "client__values")
    for pk, episodid, values, clientid, details in episodes.values_list(*columns).iterator():
        for referral in referrals.get(pk) or [{}]:
            yield {**details, **values, **referral, **sent, "CLIENTID": clientid, "EPISODID": episodid}
    # Last: somebody who withdraws meanwhile has a line, before which all else of them gives way.
    for clientid in withdrawn(agency).values_list("clientid", flat=True).iterator():
        yield {"CLIENTID": clientid, "AGNCY": agency.code, "CONSENT": NO}


def withdrawn(agency: Agency) -> QuerySet[Client]:
    """The clients of whom every extract says that they withdrew consent, and nothing else."""
    return Client.objects.filter(agency=agency, consent=NO, extracted__isnull=False)


def withdrawn_since(agency: Agency, at: datetime) -> set[str]:
    """The CLIENTIDs of those who do not consent and may have done so at a moment."""
    # Of those who answered at that very moment, what was read may have been their answer before.
    said_no = Client.objects.filter(agency=agency, consent__in=("", NO), changed__gt=at - SAVING)
    return set(said_no.values_list("clientid", flat=True))


def consents(agency: Agency) -> dict[str, int]:
    """How many clients consent (`given`), were not asked, declined, and withdrew after an extract had them."""
    of = Client.objects.filter(agency=agency).order_by().values_list("consent")
    counted = dict(of.annotate(Count("pk")))
    gone = withdrawn(agency).count()
    return {
        "given": counted.get(YES, 0),
        "not asked": counted.get("", 0),
        "declined": counted.get(NO, 0) - gone,
        "withdrawn": gone,
    }


def unready(agency: Agency) -> QuerySet[Episode]:
    """The episodes of clients who consent that would be rejected, by what was found when they were last saved."""
    # In the words of the index that has them.
    found = Q(rejects__gt=0) | Q(faults__gt=0) | Q(missing__gt=0)
    return Episode.objects.filter(found, agency=agency, rejects__gt=0, client__consent=YES)


def _concerned(agency: Agency, since: Extract | None) -> QuerySet[Episode]:
    """The episodes of clients who consent: all, or those new or changed since an extract, with what belongs to them."""
    episodes = Episode.objects.filter(agency=agency, client__consent=YES).order_by()
    if since is None:
        return episodes
    then = since.at - SAVING
    return episodes.filter(
        Q(changed__gt=then)
        | Q(client__changed__gt=then)
        | Q(pk__in=Referral.objects.filter(agency=agency, changed__gt=then).values("episode"))
        # Left out of that one: by its period, or because they would have been rejected.
        | Q(triaged__gt=since.until)
        | Q(triaged=None)
        | Q(extracted=None)
    )


def _within(episodes: QuerySet[Episode], until: date) -> tuple[QuerySet[Episode], int, int]:
    """Of some episodes those that began by a day, how many began later, and how many of these an extract had before."""
    columns = ("pk", "triaged", "values__REFLD", "begun")
    undated = episodes.filter(triaged=None).values_list(*columns)
    # Few have no triage date yet: of those the day is looked for one by one.
    late = [pk for pk, day, event, begun in undated if first_day(day, event or "", begun) > until]
    within = episodes.filter(Q(triaged__lte=until) | Q(triaged=None)).exclude(pk__in=late)
    later = episodes.filter(Q(triaged__gt=until) | Q(pk__in=late)).aggregate(all=Count("pk"), held=Count("extracted"))
    return within, later["all"], later["held"]


def first_day(triaged: date | None, event: str, begun: date) -> date:
    """The day an episode began: that of triage, else of the event that brought the client, else when it was typed."""
    return triaged or day_of(event) or begun
