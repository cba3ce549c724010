"""Made-up agencies and people of the service, and a browser signed in as one of them."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from django.conf import settings
from django.core.management.commands import flush
from django.db import connection, transaction
from django.test import Client
from django_otp import DEVICE_ID_SESSION_KEY
from django_otp.plugins.otp_totp.models import TOTPDevice

from cjit.dataset import Entity
from cjit.datasets.q.example import EXAMPLE
from cjit.web import worker
from cjit.web.agencies.models import Agency, Membership, Person, Region, Role
from cjit.web.caseload import actions as caseload
from cjit.web.caseload.models import Episode, Passage
from cjit.web.caseload.record import KEPT
from cjit.web.portal import actions
from cjit.web.portal.models import Submission

PASSWORD = "correct horse battery staple"


@pytest.fixture
def region(db) -> Region:
    return Region.objects.create(code="NE", name="North East")


@pytest.fixture
def agency(region) -> Agency:
    return Agency.objects.create(code="CJ901", name="Made-up team", region=region, opened=date(2020, 1, 1))


@pytest.fixture
def other_agency(db) -> Agency:
    elsewhere = Region.objects.create(code="SW", name="South West")
    return Agency.objects.create(code="CJ902", name="Another team", region=elsewhere, opened=date(2020, 1, 1))


@pytest.fixture
def person_with(db) -> Callable[..., Person]:
    """Somebody with a role, in its place."""

    def make(role: str, *, agency: Agency | None = None, region: Region | None = None, email: str = ""):
        person: Person = Person.objects.create_user(
            email or f"{role}{Person.objects.count()}@example.org", PASSWORD, name=role.title()
        )
        Membership.objects.create(person=person, role=role, agency=agency, region=region)
        return person

    return make


@pytest.fixture
def provider(person_with, agency) -> Person:
    return person_with(Role.PROVIDER, agency=agency)


@pytest.fixture
def keyworker(person_with, agency) -> Person:
    return person_with(Role.KEYWORKER, agency=agency)


@pytest.fixture
def manager(person_with, agency) -> Person:
    return person_with(Role.MANAGER, agency=agency)


@pytest.fixture
def signed_in() -> Callable[[Person], Client]:
    """A client that has taken both steps of signing in."""

    def make(person: Person) -> Client:
        client = Client()
        client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
        device, _ = TOTPDevice.objects.get_or_create(user=person, name="app", defaults={"confirmed": True})
        session = client.session
        session[DEVICE_ID_SESSION_KEY] = device.persistent_id
        session.save()
        return client

    return make


@pytest.fixture(autouse=True)
def uploads(settings, tmp_path):
    """Uploads of a test, gone with it."""
    settings.UPLOADS = tmp_path / "uploads"
    return settings.UPLOADS


@pytest.fixture
def sent(agency, provider, csv_of) -> Callable[..., Submission]:
    """A file that is received and checked: faultless records with some changes, as `csv_of` makes them."""

    def make(*changes, scope: str = "new", agency: Agency = agency, by: Person = provider, data: bytes | None = None):
        rows = [{"AGNCY": agency.code, **change} for change in changes]
        made = actions.receive(
            by=by, agency=agency, file=io.BytesIO(data or csv_of(*rows)), name="march.csv", scope=scope
        )
        worker.run(threading.Event(), once=True)
        made.refresh_from_db()
        return made

    return make


@pytest.fixture
def accepted(sent, provider) -> Callable[..., Submission]:
    """The same, accepted."""

    def make(*changes, by: Person = provider, **told):
        return actions.accept(by=by, submission=sent(*changes, by=by, **told))

    return make


# ---- a caseload -----------------------------------------------------------------------------------


@pytest.fixture
def enter(agency, keyworker):
    """A client as a keyworker enters them, faultless but for some changes. Returns their episode."""
    number = 0

    def make(*, consent: bool | None = True, referral: bool = True, by=keyworker, **changes) -> Episode:
        nonlocal number
        number += 1
        typed = {**EXAMPLE, "CLIENT": f"R{number}", **changes}
        episode = caseload.begin_client(by=by, agency=agency, typed={h: typed[h] for h in KEPT[Entity.CLIENT]})
        caseload.save(by=by, record=episode, typed={h: typed[h] for h in KEPT[Entity.EPISODE]})
        if referral:
            caseload.add_referral(by=by, episode=episode, typed={"REFDATE": typed["REFDATE"]})
        if consent is not None:
            caseload.record_consent(by=by, client=episode.client, given=consent, on=date(2025, 11, 6))
        return Episode.objects.select_related("client__agency").get(pk=episode.pk)

    return make


@pytest.fixture
def both(manager, agency):
    """A manager who is a provider user too."""
    Membership.objects.create(person=manager, role=Role.PROVIDER, agency=agency)
    return manager


# ---- killed ----------------------------------------------------------------------------------------

WORK = """
import os, threading
os.environ["DJANGO_SETTINGS_MODULE"] = "cjit.web.settings"
import django
from django.conf import settings
settings.DATABASES["default"]["NAME"] = os.environ["CJIT_TESTED"]
settings.UPLOADS = os.environ["CJIT_UPLOADS"]
django.setup()
from cjit.web import worker
worker.run(threading.Event(), once=True)
"""


@pytest.fixture
def begun_worker(uploads, settings) -> Callable[[], subprocess.Popen[bytes]]:
    """A worker in a process of its own, which does what is there now."""

    def begin() -> subprocess.Popen[bytes]:
        own = {
            "CJIT_TESTED": str(connection.settings_dict["NAME"]),
            "CJIT_UPLOADS": str(uploads),
            "CJIT_KEY": settings.UPLOAD_KEY,
        }
        return subprocess.Popen([sys.executable, "-c", WORK], env=os.environ | own)

    return begin


@pytest.fixture
def killed_worker(begun_worker) -> Callable[[Submission | Passage, float], None]:
    """A worker in a process of its own, killed some seconds after it has taken a job."""

    def run(job: Submission | Passage, after: float) -> None:
        waiting = job.state
        with begun_worker() as process:
            begun = time.monotonic()
            while job.state == waiting and time.monotonic() - begun < 60:
                time.sleep(0.02)
                job.refresh_from_db()
            time.sleep(after)
            process.send_signal(signal.SIGKILL)
        assert job.state != waiting

    return run


# ---- in a browser ----------------------------------------------------------------------------------


@pytest.fixture
def visitor() -> Client | None:
    """Whose session a `tab` has; modules that look at pages of their own say whose. None: nobody is signed in."""
    return None


@pytest.fixture(scope="session")
def window(chromium):
    """A window that one test after another has, each as if it were new: to begin one costs more than most pages."""
    page = chromium.new_context().new_page()
    yield page
    page.context.close()


@pytest.fixture
def tab(chromium, window, live_server, visitor):
    """Open a page in a real browser; whatever its script or policy complains of fails the test."""
    faults: list[str] = []
    contexts: list[Any] = []

    def wrong(error) -> None:
        faults.append(str(error))

    def told(message) -> None:
        # GOV.UK Frontend tells what it cannot set up as a mere log.
        faults.append(message.text)

    def opened(address: str, width: int = 1200, **options):
        # The second window of a test, and one of its own kind, are new.
        page = window if not (options or contexts) else chromium.new_context(**options).new_page()
        contexts.append(page.context)
        page.set_viewport_size({"width": width, "height": 900})
        if visitor is not None:
            session = visitor.cookies[settings.SESSION_COOKIE_NAME].value
            page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}])
        page.on("pageerror", wrong)
        page.on("console", told)
        page.goto(live_server.url + address)
        return page

    yield opened
    for context in contexts:
        if context is not window.context:
            context.close()
    if window.context in contexts:
        of_it = window.context.new_cdp_session(window)
        of_it.send("Storage.clearDataForOrigin", {"origin": live_server.url, "storageTypes": "all"})
        of_it.send("Network.clearBrowserCache")
        of_it.detach()
        window.context.clear_cookies()
        window.unroute_all()
        window.emulate_media(media="null")
        window.goto("about:blank")
        window.remove_listener("pageerror", wrong)
        window.remove_listener("console", told)
    assert faults == []


def follow(what) -> None:
    """Click a link or a button of a page, and wait until the page it leads to is loaded.

    A click by itself ends at once when the answer of the service is late, and the page before is still there.
    """
    with what.page.expect_navigation():
        what.click()


def awaited(page) -> None:
    """Wait until a worker has done what a page awaits, and the page that says what came of it is loaded."""
    from playwright.sync_api import expect

    expect(page.locator("[data-state-url]")).to_have_count(0, timeout=20_000)
    page.wait_for_load_state()


# ---- between tests ---------------------------------------------------------------------------------


#: What Django makes anew of the models after each emptying: no test changes it, and it stays.
OF_THE_MODELS = ("django_content_type", "auth_permission")


@pytest.fixture(scope="session", autouse=True)
def emptied_with_its_audit_trail():
    """Between tests the database is emptied, also of the audit trail, which it otherwise refuses."""
    operations: Any = type(connection.ops)

    def emptied(self, statements):
        tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
        emptying = [f'DELETE FROM "{table}"' for table in tables if table not in OF_THE_MODELS]
        with transaction.atomic(), connection.cursor() as cursor:
            again = []
            if connection.vendor == "sqlite":
                cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
                for name, trigger in cursor.fetchall():
                    cursor.execute(f"DROP TRIGGER {name}")
                    again.append(trigger)
            else:
                # No trigger is asked; and of small tables the rows are sooner deleted than the tables cut off.
                cursor.execute("SET LOCAL session_replication_role = replica")
                emptying = [";".join(emptying)]
            for statement in (*emptying, *again):
                cursor.execute(statement)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(operations, "execute_sql_flush", emptied)
        patched.setattr(flush, "emit_post_migrate_signal", lambda *_, **__: None)
        yield
