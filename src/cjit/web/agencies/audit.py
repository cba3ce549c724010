"""Writing the audit trail."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar

from cjit.web.agencies.models import Agency, AuditEvent, Person

#: Where the request being served comes from (set by `pages.Address`; "" in a worker).
ADDRESS: ContextVar[str] = ContextVar("ADDRESS", default="")


def note(
    action: str,
    *,
    by: Person | None,
    agency: Agency | None = None,
    about: str = "",
    counts: Mapping[str, int | str] | None = None,
) -> AuditEvent:
    """Append an event: an action such as `accepted a submission`, and figures. Never a value of a record."""
    return AuditEvent.objects.create(
        person=by,
        who=by.email if by else "the service",
        agency=agency,
        action=action,
        about=about,
        counts=dict(counts or {}),
        address=ADDRESS.get(),
    )
