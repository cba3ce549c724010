"""The calendar: by which day agencies submit for a month. Where it has no entry, the setting SUBMIT_BY holds."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from django.conf import settings
from django.utils import timezone
from django.utils.dateformat import format as formatted

from cjit.web.agencies.models import DueDay


@dataclass(frozen=True, order=True)
class Month:
    """A calendar month, by its first day. A file for it is sent in the month after."""

    first: date

    @classmethod
    def named(cls, text: str) -> Month | None:
        """The month somebody names as 2026-03; None where that is none."""
        if not re.fullmatch(r"2[0-9]{3}-(0[1-9]|1[0-2])", text):
            return None
        return cls(date(int(text[:4]), int(text[5:]), 1))

    @classmethod
    def complete(cls) -> Month:
        """The last one that is over."""
        return cls(timezone.localdate().replace(day=1)).before

    @property
    def after(self) -> Month:
        """The next one."""
        return Month((self.first + timedelta(days=31)).replace(day=1))

    @property
    def before(self) -> Month:
        """The last one."""
        return Month((self.first - timedelta(days=1)).replace(day=1))

    @property
    def last(self) -> date:
        """Its last day."""
        return self.after.first - timedelta(days=1)

    @property
    def due(self) -> date:
        """The day by which agencies submit for it. Asks the database."""
        return due_days([self])[self]

    @property
    def usual(self) -> date:
        """The day by which they do where the calendar has no entry."""
        return min(self.after.first + timedelta(days=settings.SUBMIT_BY - 1), self.after.last)

    @property
    def begins(self) -> datetime:
        """The moment it begins."""
        return timezone.make_aware(datetime.combine(self.first, time.min))

    @property
    def name(self) -> str:
        """March 2026."""
        return formatted(self.first, "F Y")

    def __str__(self) -> str:
        return f"{self.first:%Y-%m}"


def due_days(months: Iterable[Month]) -> dict[Month, date]:
    """The days by which agencies submit for some months, in their order."""
    asked = list(months)
    entries = dict(DueDay.objects.filter(month__in=[month.first for month in asked]).values_list("month", "due"))
    return {month: entries.get(month.first, month.usual) for month in asked}
