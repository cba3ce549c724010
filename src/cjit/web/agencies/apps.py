"""The app's name."""

from django.apps import AppConfig


class Agencies(AppConfig):
    """Agencies, people, audit."""

    name = "cjit.web.agencies"
    label = "agencies"
