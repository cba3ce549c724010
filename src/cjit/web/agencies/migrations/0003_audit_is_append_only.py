"""The database refuses to alter the audit trail, whoever asks.

An event may be appended; the link to a person or an agency that goes may be emptied, which `who` outlasts.
"""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

TABLE = "agencies_auditevent"
WORDS = "an audit event is appended and never altered"
#: What an update may not touch, and what it may only empty.
KEPT = ("id", "at", "who", "action", "about", "counts", "address")
EMPTIED = ("person_id", "agency_id")


def _alters(is_same: str, json: str) -> str:
    """A condition: an update is more than the emptying of a link."""
    kept = [f"NEW.{c}{json if c == 'counts' else ''} {is_same} OLD.{c}{json if c == 'counts' else ''}" for c in KEPT]
    emptied = [f"(NEW.{c} IS NULL OR NEW.{c} {is_same} OLD.{c})" for c in EMPTIED]
    return f"NOT ({' AND '.join(kept + emptied)})"


SQLITE = (
    f"CREATE TRIGGER audit_event_not_altered BEFORE UPDATE ON {TABLE} WHEN {_alters('IS', '')}"
    f" BEGIN SELECT RAISE(ABORT, '{WORDS}'); END",
    f"CREATE TRIGGER audit_event_not_deleted BEFORE DELETE ON {TABLE} BEGIN SELECT RAISE(ABORT, '{WORDS}'); END",
)
POSTGRESQL = (
    f"CREATE FUNCTION audit_event_refuse() RETURNS trigger LANGUAGE plpgsql AS"
    f" $$ BEGIN RAISE EXCEPTION '{WORDS}' USING ERRCODE = 'integrity_constraint_violation'; END $$",
    f"CREATE TRIGGER audit_event_not_altered BEFORE UPDATE ON {TABLE} FOR EACH ROW"
    f" WHEN ({_alters('IS NOT DISTINCT FROM', '::text')}) EXECUTE FUNCTION audit_event_refuse()",
    f"CREATE TRIGGER audit_event_not_deleted BEFORE DELETE OR TRUNCATE ON {TABLE} FOR EACH STATEMENT"
    " EXECUTE FUNCTION audit_event_refuse()",
)
AGAIN = {
    "sqlite": ("DROP TRIGGER audit_event_not_altered", "DROP TRIGGER audit_event_not_deleted"),
    "postgresql": (
        f"DROP TRIGGER audit_event_not_altered ON {TABLE}",
        f"DROP TRIGGER audit_event_not_deleted ON {TABLE}",
        "DROP FUNCTION audit_event_refuse()",
    ),
}


def seal(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Refuse from now on."""
    for statement in {"sqlite": SQLITE, "postgresql": POSTGRESQL}[schema_editor.connection.vendor]:
        schema_editor.execute(statement, params=None)


def unseal(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Refuse no longer."""
    for statement in AGAIN[schema_editor.connection.vendor]:
        schema_editor.execute(statement, params=None)


class Migration(migrations.Migration):
    dependencies = [("agencies", "0002_calendar_closures_link_requests")]

    operations = [migrations.RunPython(seal, unseal)]
