import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from cjit import reference
from cjit.datasets.q import Q
from cjit.web import demo
from cjit.web.agencies.models import Agency, AuditEvent, Person
from cjit.web.caseload import due
from cjit.web.portal.models import State, Submission

# ---- the demo --------------------------------------------------------------------------------------


@pytest.fixture
def made(db, settings, tmp_path) -> str:
    settings.HOME, settings.UPLOADS = tmp_path, tmp_path / "uploads"
    return demo.make()


def _codes(told: str, email: str) -> list[str]:
    [line] = [line for line in told.splitlines() if email in line]
    return line.split()[1:]


def test_a_demo_has_somebody_of_each_role_last_months_records_and_something_due_of_every_kind(made, settings):
    assert {agency.code for agency in Agency.objects.all()} == {"CJ900", "CJ901", "CJ902"}
    assert set(Person.objects.values_list("email", flat=True)) == set(demo.PEOPLE)
    accepted = Submission.objects.filter(state=State.ACCEPTED)
    assert {submission.agency.code for submission in accepted} == {"CJ900", "CJ901"}
    assert all(submission.rows > 20 for submission in accepted)
    # Of each agency this month's file waits to be sent, and of two last month's is there to be looked at.
    assert len(list((settings.HOME / "demo").glob("CJ90?-*.csv"))) == 5
    told = due.counts(Agency.objects.get(code="CJ900"), timezone.localdate())
    assert {kind for kind, number in told.items() if not number} == set()


def test_everybody_of_the_demo_signs_in_as_it_says_until_it_is_made_again(made):
    password = re.search("Password of all: (.*)", made)
    assert password
    for email in demo.PEOPLE:
        browser = Client()
        browser.post(reverse("sign-in"), {"username": email, "password": password[1]})
        answer = browser.post(reverse("second-step"), {"code": _codes(made, email)[0]}, follow=True)

        assert answer.status_code == 200
        assert "Sign out" in answer.text
        assert answer.redirect_chain[-1][0] not in {reverse("sign-in"), reverse("second-step")}

    # Made again, it changes nothing but the recovery codes.
    events = AuditEvent.objects.exclude(action="made new recovery codes")
    before = (Person.objects.count(), Agency.objects.count(), Submission.objects.count(), events.count())
    again = demo.make()
    assert (Person.objects.count(), Agency.objects.count(), Submission.objects.count(), events.count()) == before
    assert _codes(again, "admin@example.org") != _codes(made, "admin@example.org")


def test_a_service_with_people_of_its_own_takes_no_demo(provider):
    with pytest.raises(demo.NotEmpty, match="set CJIT_HOME to an empty folder"):
        demo.make()
    assert list(Person.objects.all()) == [provider]


# ---- the whole service -----------------------------------------------------------------------------


def _until(true: Callable[[], list[int]], seconds: float = 60) -> list[int]:
    """Wait for something to be true."""
    end = time.monotonic() + seconds
    while not (answer := true()):
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.1)
    return answer


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Where a service keeps its things. Whichever test is first begins with an empty folder."""
    return tmp_path_factory.mktemp("home")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _serving(home, port: int, **more: str) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-c",
        f"from cjit.web.serve import serve; serve(host='127.0.0.1', port={port}, demo=False)",
    ]
    environment = {**os.environ, "CJIT_HOME": str(home), "PYTHONUNBUFFERED": "1", **more}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _workers(of: subprocess.Popen[str]) -> list[int]:
    """The processes that a process has begun."""
    with open(f"/proc/{of.pid}/task/{of.pid}/children") as file:
        direct = file.read()
    others = [each for each in os.listdir(f"/proc/{of.pid}/task") if int(each) != of.pid]
    for thread in others:
        try:
            with open(f"/proc/{of.pid}/task/{thread}/children") as file:
                direct += " " + file.read()
        except FileNotFoundError:
            continue
    return [int(pid) for pid in direct.split()]


def _is_there(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")


@pytest.mark.process
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for the worker in /proc")
def test_one_command_serves_keeps_a_worker_and_ends_cleanly(home):
    port = _free_port()
    service = _serving(home, port)
    try:
        assert service.stdout
        line = service.stdout.readline()
        assert f"Open http://127.0.0.1:{port}/" in line

        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20) as answer:
            page = answer.read().decode()
        assert "<h1" in page
        assert "Sign in" in page
        style = re.search(r"/static/cjit\.[0-9a-f]{12}\.css", page)
        assert style
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{style[0]}", timeout=20) as answer:
            assert "immutable" in answer.headers["Cache-Control"]

        [worker] = _until(lambda: _workers(service))
        os.kill(worker, signal.SIGKILL)
        [another] = _until(lambda: [pid for pid in _workers(service) if pid != worker])

        service.send_signal(signal.SIGINT)
        said = service.communicate(timeout=30)[0]
        assert service.returncode == 0
        assert "The worker ended with status -9 and is started again" in said
        assert "Stopped." in said
        assert "Traceback" not in said
        assert not _is_there(another)
    finally:
        service.kill()
        service.wait()


_KILL_WHILE_IT_CHECKS = """
import datetime, io, os, signal, sys, time
os.environ["DJANGO_SETTINGS_MODULE"] = "cjit.web.settings"
import django
django.setup()
from cjit.web.agencies.models import Agency, Person, Region
from cjit.web.portal import actions
from cjit.web.portal.models import State, Submission
service, worker = map(int, sys.argv[1:3])
with open(sys.argv[3], "rb") as file:
    data = file.read()
region, _ = Region.objects.get_or_create(code="ZZ", name="Made up")
agency, _ = Agency.objects.get_or_create(
    code="CJ900", defaults={"name": "Made up", "region": region, "opened": datetime.date(2020, 1, 1)}
)
person = Person.objects.filter(email="k@example.org").first() or Person.objects.create_user("k@example.org", name="K")
sent = actions.receive(by=person, agency=agency, file=io.BytesIO(data), name="a.csv", scope="new")
while sent.state == State.RECEIVED:
    time.sleep(0.02)
    sent.refresh_from_db()
os.kill(service, signal.SIGKILL)
print(sent.state)
while os.path.exists(f"/proc/{worker}"):
    time.sleep(0.1)
sent.refresh_from_db()
print(sent.state)
"""


@pytest.mark.process
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for the worker in /proc")
def test_a_worker_whose_service_is_killed_ends_its_check_and_then_itself(home, tmp_path, csv_of):
    many = [{"CLIENTID": str(n), "CLIENT": f"A{n}", "EPISODID": f"1{n}", "REFERID": f"2{n}"} for n in range(1, 15_001)]
    path = tmp_path / "many.csv"
    path.write_bytes(csv_of(*({"AGNCY": "CJ900", **row} for row in many)))
    own = {"CJIT_HOME": str(home), "DATABASE_URL": ""}
    service = _serving(home, _free_port(), **own)
    try:
        assert service.stdout
        assert "Open http://" in service.stdout.readline()
        [worker] = _until(lambda: _workers(service))
        told = subprocess.run(
            [sys.executable, "-c", _KILL_WHILE_IT_CHECKS, str(service.pid), str(worker), str(path)],
            env={**os.environ, **own},
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        assert told.stdout.split() == [State.CHECKING, State.READY]
    finally:
        service.kill()
        service.communicate()


@pytest.mark.process
def test_a_port_that_is_taken_is_told_in_a_sentence(home):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        service = _serving(home, other.getsockname()[1])
        said = service.communicate(timeout=60)[0]

    assert re.search(r"NotServed: Port \d+ is taken or not allowed: choose another with --port\n$", said)
    assert service.returncode == 1


@pytest.mark.process
def test_the_service_takes_the_official_lists_that_are_installed_when_it_starts(tmp_path):
    (tmp_path / "official.csv").write_text("code,label\n7,Yes indeed\n")
    reference.install(Q, "VETERAN", tmp_path / "official.csv", tmp_path)
    code = (
        "import django; django.setup();"
        "from cjit.web.caseload.record import shown; from cjit.web.portal.models import DATASET;"
        "print(shown('VETERAN', '7'), DATASET.lists['VETERAN'].status.value)"
    )
    environment = os.environ | {"CJIT_REFERENCE": str(tmp_path)}
    told = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)

    assert told.stdout == "Yes indeed official\n", told.stderr
