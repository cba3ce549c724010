"""E-mail: the links that let somebody in."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

from django.conf import settings
from django.core.mail import send_mail
from django.db import connection
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse

from cjit.web.agencies import actions
from cjit.web.agencies.models import Invitation
from cjit.web.errors import without_values

log = logging.getLogger("cjit.mail")

#: What sends beside the requests, one e-mail after the other. What waits is still sent when the service ends.
_BESIDE = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mail")


def base(request: HttpRequest) -> str:
    """What a link begins with: the setting BASE_URL, since the Host of a request is whatever the asker says."""
    return settings.BASE_URL or request.build_absolute_uri("/").rstrip("/")


def send_invitation(*, base: str, invitation: Invitation, token: str) -> None:
    """Send the link that opens an invitation. Raises OSError or SMTPException where it cannot be sent."""
    link = base + reverse("invitation", args=[token])
    text = render_to_string("agencies/invitation_mail.txt", {"link": link, "expires": invitation.expires})
    send_mail("Your invitation to CJIT records", text, None, [invitation.email])


def send_password_link(*, base: str, email: str) -> None:
    """Send a link for a new password, if there is an account, beside the request that asks for it.

    To look for the account and to send takes longer where there is one, so the time an answer takes would tell.
    Done in a thread nothing of it is in the answer; a queue in the database would have to keep the link. If the
    service is killed before it is sent, they ask again.
    """

    def send() -> None:
        if found := actions.make_password_link(email=email):
            person, path = found
            text = render_to_string("agencies/password_reset_mail.txt", {"link": base + path})
            send_mail("A new password for CJIT records", text, None, [person.email])

    _beside(send)


def _beside(what: Callable[[], None]) -> None:
    # Within a transaction, as in tests, another connection would see nothing of it.
    if connection.in_atomic_block:
        what()
    else:
        # With its context, in which the audit trail finds where the request comes from.
        _BESIDE.submit(copy_context().run, _logged, what)


def _logged(what: Callable[[], None]) -> None:
    try:
        what()
    except Exception as problem:
        log.error("An e-mail could not be sent\n%s", without_values(problem))
    finally:
        connection.close()
