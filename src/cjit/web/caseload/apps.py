"""The app's name."""

from django.apps import AppConfig


class Caseload(AppConfig):
    """A provider's clients, their episodes, and the extract."""

    name = "cjit.web.caseload"
    label = "caseload"
