"""`python -m cjit.web.manage invite_administrator EMAIL`: the first person of a new service."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.urls import reverse

from cjit.web.agencies import actions
from cjit.web.agencies.models import Role


class Command(BaseCommand):
    """Print the link by which an administrator makes their account."""

    help = "Invite an administrator, and print the link to be opened."

    def add_arguments(self, parser: CommandParser) -> None:
        """The address."""
        parser.add_argument("email")

    def handle(self, *_: Any, email: str, **__: Any) -> None:
        """Invite."""
        call_command("migrate", interactive=False, verbosity=0)
        try:
            _invitation, token = actions.invite(by=None, email=email, name="", role=Role.ADMINISTRATOR)
        except actions.Refused as slip:
            raise CommandError(str(slip)) from None
        base = settings.BASE_URL or "http://localhost:8000"
        self.stdout.write(f"Open {base}{reverse('invitation', args=[token])} within seven days")
