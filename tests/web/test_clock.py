from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from cjit.web.clock import database_now


@pytest.mark.django_db
def test_the_time_is_the_databases_whatever_this_process_believes(monkeypatch):
    monkeypatch.setattr(timezone, "now", lambda: datetime(2099, 1, 1, tzinfo=UTC))

    now = database_now()

    assert now.tzinfo is UTC
    assert abs(now - datetime.now(UTC)) < timedelta(seconds=5)
