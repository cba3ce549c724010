"""What is said of an error, on the page, in the log and in a report: where it was, and no value of anything.

An exception's message may quote a record (a database tells the row that broke a constraint), so of an exception
only its kind and the lines it went through are told. The pages need no database.
"""

from __future__ import annotations

import logging
import re
import traceback
from types import TracebackType

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.views.debug import ExceptionReporter

#: What stands in a link that lets somebody in: the token of an invitation, the key of a password reset.
_SECRET = re.compile(r"(/(?:invitation/|password/(?!sent|done)))[^\s\"']+")


def without_values(error: BaseException | None) -> str:
    """An exception and what led to it: kinds, files, lines and functions, without messages and without variables."""
    parts: list[str] = []
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        kind = type(error)
        parts.append("".join(traceback.format_tb(error.__traceback__)) + f"{kind.__module__}.{kind.__qualname__}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\nwhich followed\n".join(parts)


class Formatter(logging.Formatter):
    """A line of the log; an exception is told without its message, and a path without the secret of its link."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return _SECRET.sub(r"\1…", super().format(record))

    def formatException(  # noqa: N802 - named so in logging
        self, ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
    ) -> str:
        """The lines an exception went through."""
        return without_values(ei[1])


class Reporter(ExceptionReporter):
    """Django's report of an exception, without variables, form data, cookies, settings and SQL parameters."""

    exc_value: BaseException | None

    def get_traceback_text(self) -> SafeString:
        """The report as text."""
        asked = f"{self.request.method} {self.request.path}\n" if self.request else ""
        return mark_safe(asked + without_values(self.exc_value))  # noqa: S308 - text, not a page

    def get_traceback_html(self) -> SafeString:
        """The report as a page."""
        told = str(self.get_traceback_text())
        return format_html("<!doctype html><title>Error</title><pre>{}</pre>", told)


# ---- the pages -------------------------------------------------------------------------------------


def _page(template: str, status: int) -> HttpResponse:
    # Without the request: no context processor asks who is signed in, so no database is needed.
    return HttpResponse(render_to_string(template), status=status)


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """A request that could not be read."""
    return _page("400.html", 400)


def forbidden(request: HttpRequest, exception: Exception | None = None, reason: str = "") -> HttpResponse:
    """A form without its token, mostly one that stood open too long."""
    return _page("403.html", 403)


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """A page that is not there, or not for whoever asks."""
    return _page("404.html", 404)


def failed(request: HttpRequest) -> HttpResponse:
    """A fault of the service."""
    return _page("500.html", 500)
