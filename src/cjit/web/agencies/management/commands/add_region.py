"""`python -m cjit.web.manage add_region CODE NAME`: a regional team, before its first agency."""

from __future__ import annotations

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser

from cjit.web.agencies import actions


class Command(BaseCommand):
    """Add a region."""

    help = "Add a regional team, such as NE “North East”."

    def add_arguments(self, parser: CommandParser) -> None:
        """Its code and its name."""
        parser.add_argument("code")
        parser.add_argument("name")

    def handle(self, *_: Any, code: str, name: str, **__: Any) -> None:
        """Add it; one that is there keeps its name."""
        call_command("migrate", interactive=False, verbosity=0)
        self.stdout.write(f"The region is {actions.add_region(by=None, code=code, name=name)}")
