"""The time by which something is removed: the database's, which all workers and pages share.

A worker's own clock may be wrong, as on a machine that was started before its clock was set; what was removed by it
is gone. SQLite has no clock but that of this computer.
"""

from __future__ import annotations

from datetime import UTC, datetime

from django.db import connection

#: The time now, also within a transaction that began long before.
_NOW = {
    "postgresql": "SELECT extract(epoch FROM clock_timestamp())",
    "sqlite": "SELECT (julianday('now') - 2440587.5) * 86400",
}


def database_now() -> datetime:
    """The time now by the database's clock."""
    with connection.cursor() as cursor:
        cursor.execute(_NOW[connection.vendor])
        return datetime.fromtimestamp(float(cursor.fetchone()[0]), UTC)
