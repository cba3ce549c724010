"""What is removed by its age: the time by which it is old, and how much of it goes at once.

The time is the database's, which all workers and pages share. A worker's own clock may be wrong, as on a machine that
was started before its clock was set, and what was removed by it is gone. SQLite has no clock but that of this computer,
and a database's may be wrong too: so no more goes at once than a tenth of what there is, unless somebody says so.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from django.db import connection
from django.utils import timezone

from cjit.web.agencies.audit import note
from cjit.web.agencies.models import AuditEvent

log = logging.getLogger("cjit.tidy")

#: The time now, also within a transaction that began long before.
_NOW = {
    "postgresql": "SELECT extract(epoch FROM clock_timestamp())",
    "sqlite": "SELECT (julianday('now') - 2440587.5) * 86400",
}
#: What goes at once without being told to: so many, or such a part of what there is.
FEW, PART = 10, 10
#: What the audit trail says of it.
HELD_BACK, CARRIED_OUT = "held back a removal", "carried out a removal that was held back"


def database_now() -> datetime:
    """The time now by the database's clock."""
    with connection.cursor() as cursor:
        cursor.execute(_NOW[connection.vendor])
        return datetime.fromtimestamp(float(cursor.fetchone()[0]), UTC)


def is_held_back(what: str, old: int, there: int, *, told: bool) -> bool:
    """Whether nothing goes, because more would go at once than a tenth of what there is: unless `told` to.

    Then the log says so, and once a day the audit trail, from which the page of people takes it.
    """
    if old <= max(FEW, there // PART):
        return False
    if told:
        note(CARRIED_OUT, by=None, about=what, counts={"removed": old, "of": there})
        return False
    log.warning(
        "%s of %s %s are old enough to be removed, which is too many at once: see that the clock of the database is"
        " right, then run python -m cjit.web.manage tidy --all",
        old,
        there,
        what,
    )
    now, day = timezone.now(), timedelta(days=1)
    if not AuditEvent.objects.filter(action=HELD_BACK, about=what, at__range=(now - day, now + day)).exists():
        note(HELD_BACK, by=None, about=what, counts={"old": old, "of": there})
    return True


def last_held_back() -> AuditEvent | None:
    """What was held back in the last days and not carried out since."""
    lately = AuditEvent.objects.filter(action__in=(HELD_BACK, CARRIED_OUT), at__gt=timezone.now() - timedelta(days=2))
    last = lately.order_by("-at").first()
    return last if last and last.action == HELD_BACK else None
