"""What was imported keeps its day in a column, and from which day its assessments count; nobody's silence is made up."""

from __future__ import annotations

import calendar
from datetime import date
from typing import Any

import django.utils.timezone
from django.db import migrations, models
from django.db.models import Q

#: How many episodes are written at once.
TOGETHER = 500


def take_over(apps: Any, _: Any) -> None:
    """Fill in the columns of what was imported before there were any, and what is computed of them."""
    episodes = apps.get_model("caseload", "Episode").objects.filter(local__has_key="imported")
    numbers = list(episodes.values_list("pk", flat=True))
    for start in range(0, len(numbers), TOGETHER):
        some = list(
            episodes.filter(pk__in=numbers[start : start + TOGETHER]).prefetch_related(
                "contacts", "interventions", "changes"
            )
        )
        for each in some:
            _settle(each)
        episodes.model.objects.bulk_update(
            some, ["local", "imported", "counted_from", "contact", "face_to_face", "review"]
        )


def _settle(episode: Any) -> None:
    imported = date.fromisoformat(episode.local["imported"])
    episode.imported = imported
    episode.local = {key: value for key, value in episode.local.items() if key != "imported"}
    closed_here = any(change.what == "closed an episode" for change in episode.changes.all())
    if episode.open or closed_here or (episode.closed and episode.closed > imported):
        episode.counted_from = imported
    contacts = list(episode.contacts.all())
    if not contacts:
        episode.contact = None
    if not any(each.face_to_face for each in contacts):
        episode.face_to_face = None
    assessed = list(episode.interventions.all())
    if episode.open and episode.started and not assessed:
        episode.review = _six_months_after(max(episode.started, imported))
    elif closed_here and episode.started and episode.closed and not any(each.leaving for each in assessed):
        episode.review = episode.closed


def _six_months_after(day: date) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + 6, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


class Migration(migrations.Migration):
    dependencies = [
        ("agencies", "0005_keyworkers_and_managers"),
        ("caseload", "0001_initial"),
    ]

    operations = [
        migrations.AddField("episode", "counted_from", models.DateField(null=True)),
        migrations.AddField("episode", "imported", models.DateField(null=True)),
        migrations.AddField("episode", "no_contact", models.BooleanField(default=False)),
        migrations.AddField("import", "counted_from", models.DateField(default=django.utils.timezone.localdate)),
        migrations.AddIndex(
            "episode",
            models.Index(
                fields=["agency", "contact", "imported"],
                condition=Q(contact__isnull=True, imported__isnull=False, open=True),
                name="episode_without_contact",
            ),
        ),
        # Last: PostgreSQL alters no table of which a row was just written.
        migrations.RunPython(take_over, migrations.RunPython.noop),
    ]
