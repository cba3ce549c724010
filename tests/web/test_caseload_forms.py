"""Whatever is typed into the forms: no page fails, nothing is lost, and the extract is one that the check accepts."""

from __future__ import annotations

import csv
import io
import json
import re
import threading
from html import unescape

import pytest
from django.test import Client as Browser
from django.urls import reverse
from django.utils import timezone
from hypothesis import event, given, settings
from hypothesis import strategies as st

from cjit.datasets.q.example import EXAMPLE
from cjit.engine.checking import check
from cjit.files.opening import open_file
from cjit.geography import TRUNCATED
from cjit.web import worker
from cjit.web.caseload import asking, questions
from cjit.web.caseload.models import Client, Episode, Referral
from cjit.web.dataset import DATASET

ODD = st.sampled_from(
    ["", "?", "31/02/2026", "1/2/26", "NE8 1AB", "ne81ab", "0", "-1", "98", "099", "=1+1", "\u202ex", "“", "\0"]
)
ODD |= st.text(max_size=6)
GROUPS = (questions.CLIENT_DETAILS, *questions.GROUPS)


def answers(header: str) -> st.SearchStrategy[str]:
    """An answer a field has, and sometimes anything."""
    codes = DATASET.codes_of(header)
    return (st.sampled_from(codes.codes) | ODD) if codes else ODD


@st.composite
def clients(draw):
    """The texts of every page of questions of a client: the example's, with some others among them."""
    other = draw(st.lists(st.sampled_from([h for group in GROUPS for h in group.headers if h != "CLIENT"]), max_size=5))
    texts = EXAMPLE | {header: draw(answers(header)) for header in other}
    return [{h: texts[h] for h in group.headers} for group in GROUPS]


def sent(browser: Browser, address: str, typed: dict[str, str]) -> None:
    """Fill in a page as a browser does, with what it showed, and send it; asked why, it is a correction."""
    page = browser.get(address)
    assert page.status_code == 200
    found = re.search(r'name="was" value="([^"]*)"', page.text)
    assert found
    was = json.loads(unescape(found[1]))
    posted = {name: text for header, each in typed.items() for name, text in asking.boxes(header, each).items()}
    answer = browser.post(address, posted | {"was": json.dumps(was), "do": "later", "why": "correction"})
    assert answer.status_code in (200, 302)


@given(st.lists(st.tuples(clients(), answers("REFDATE"), st.sampled_from([True, True, False])), min_size=1, max_size=3))
# An example is every page of up to three clients, and the extract of them.
@settings(max_examples=12)
@pytest.mark.dear
def test_whatever_is_typed_into_the_forms_the_extract_is_accepted(agency, manager, signed_in, caseload):
    for records in (Referral, Episode, Client):
        records.objects.filter(agency=agency).delete()
    browser = signed_in(manager)
    consenting = set()
    for number, (typed, referred, consents) in enumerate(caseload):
        begun = browser.post(reverse("client-new"), {"FINITIAL": "M", "SINITIAL": "S", "anyway": "yes"})
        assert begun.status_code == 302
        episode = Episode.objects.latest("pk")
        at = [reverse("client-details", args=[episode.client_id])]
        at += [reverse("questions", args=[episode.pk, group.name]) for group in questions.GROUPS]
        for address, texts in zip(at, typed, strict=True):
            sent(browser, address, texts | ({"CLIENT": f"R{number}"} if "CLIENT" in texts else {}))
        browser.post(reverse("referral-new", args=[episode.pk]), asking.boxes("REFDATE", referred))
        today = timezone.localdate()
        day = {"on_day": str(today.day), "on_month": str(today.month), "on_year": str(today.year)}
        answer = {"given": "yes" if consents else "no", "evidence": "made up", **day}
        assert browser.post(reverse("client-consent", args=[episode.client_id]), answer).status_code == 302
        if consents:
            consenting.add(episode.client.clientid)

    month = f"{timezone.localdate():%Y-%m}"
    asked = {"agency": agency.code, "month": month, "leave_out": "on"}
    checked = browser.post(reverse("extract-check"), asked)["Location"]
    worker.run(threading.Event(), once=True)
    if "Nothing is in the extract" in browser.get(checked).text:
        # Nobody is left who may be in it.
        event("nobody")
        return
    event("somebody")
    browser.post(f"{checked}make/", {"to": "file"})
    worker.run(threading.Event(), once=True)
    file = browser.get(f"{checked}file/")

    assert file.status_code == 200
    data = b"".join(file) if file.streaming else file.content
    rows = list(csv.DictReader(io.StringIO(data.decode(), newline="")))
    assert rows
    assert {row["CLIENTID"] for row in rows} <= consenting
    assert all(not row["PC"] or re.fullmatch(TRUNCATED, row["PC"]) or row["PC"] == "**" for row in rows)
    source = open_file(data, DATASET, "extract.csv")
    assert check(source, DATASET, today=timezone.localdate(), submitter=agency.code).rejected == 0
