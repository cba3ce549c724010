"""`python -m cjit.web.manage tidy`: remove what is not kept any longer, now."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from cjit.web import worker


class Command(BaseCommand):
    """Do what a worker does every hour."""

    help = "Remove what is not kept any longer, as a worker does every hour."

    def add_arguments(self, parser: CommandParser) -> None:
        """How much."""
        parser.add_argument(
            "--all", action="store_true", help="also where more than a tenth of what there is would go at once"
        )

    def handle(self, *_: Any, **told: Any) -> None:
        """Remove it, and say how much that was."""
        for what, count in worker.tidy(told=told["all"]).items():
            self.stdout.write(f"{count:>8,} {what} removed")
