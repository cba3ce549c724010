"""The app's name."""

from django.apps import AppConfig


class Portal(AppConfig):
    """Submissions and the record store."""

    name = "cjit.web.portal"
    label = "portal"
