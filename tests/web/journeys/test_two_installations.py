"""The whole loop, in two installations that share nothing but the file: enter, extract, submit, decide, accept, see."""

from __future__ import annotations

import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from tests.web.conftest import awaited, follow

from cjit.web.demo import PASSWORD

pytestmark = pytest.mark.browser


@contextmanager
def installation(home: Path) -> Iterator[tuple[str, str]]:
    """A service of its own with the people of the demo, as one command starts it: its address, and what it said."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "CJIT_HOME": str(home), "DATABASE_URL": "", "PYTHONUNBUFFERED": "1"}
    command = [str(Path(sys.executable).with_name("cjit")), "serve", "--demo", "--port", str(port)]
    service = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert service.stdout
        said = ""
        for line in service.stdout:
            said += line
            if "Open http://" in line:
                break
        assert "Open http://" in said, said
        yield f"http://127.0.0.1:{port}", said
    finally:
        service.terminate()
        service.communicate(timeout=30)


@contextmanager
def beside(home: Path, another: Path) -> Iterator[tuple[str, str]]:
    """An installation that began as a copy of one, since to make up a demo takes longer than all else."""
    shutil.copytree(home, another, ignore=shutil.ignore_patterns("cjit.sqlite3*"))
    with (
        closing(sqlite3.connect(home / "cjit.sqlite3")) as held,
        closing(sqlite3.connect(another / "cjit.sqlite3")) as to,
    ):
        held.backup(to)
    with installation(another) as made:
        yield made


def signed_in(chromium, address: str, said: str, email: str):
    """The page of somebody of the demo, who has signed in with a recovery code."""
    [line] = [line for line in said.splitlines() if email in line]
    page = chromium.new_context(viewport={"width": 1200, "height": 900}).new_page()
    page.goto(address)
    page.fill("input[name=username]", email)
    page.fill("input[name=password]", PASSWORD)
    follow(page.get_by_role("button", name="Continue"))
    page.fill("input[name=code]", line.split()[1])
    follow(page.get_by_role("button", name="Sign in"))
    return page


def presses(page, name: str) -> None:
    follow(page.get_by_role("button", name=name).first)


@pytest.mark.process
def test_what_is_entered_in_one_installation_is_held_by_another_that_was_given_the_file(chromium, tmp_path):
    # given a provider's installation, and another that receives what agencies send
    homes = tmp_path / "provider", tmp_path / "national"
    with installation(homes[0]) as provider, beside(*homes) as national:
        # when a keyworker of the one corrects the birth date of a client who was sent before
        kit = signed_in(chromium, *provider, "keyworker@example.org")
        kit.goto(provider[0] + "/caseload/clients/")
        follow(kit.locator("[data-search-found] a").nth(3))
        follow(kit.get_by_role("link", name="Client details"))
        kit.locator("[name=DOB-year]").fill("1971")
        presses(kit, "Save and come back later")
        kit.get_by_label("A correction: it was recorded wrongly").check(force=True)
        presses(kit, "Save and come back later")
        caption = kit.locator(".govuk-caption-l").inner_text()
        assert "1971" in caption

        # and the manager makes the extract and saves the file
        max_ = signed_in(chromium, *provider, "manager@example.org")
        max_.goto(provider[0] + "/caseload/extract/")
        presses(max_, "Check the extract")
        awaited(max_)
        assert "The extract is ready" in max_.inner_text("h1")
        presses(max_, "Make the file")
        awaited(max_)
        with max_.expect_download() as download:
            max_.get_by_role("button", name="Download the file").click()
        file = tmp_path / "sent.csv"
        file.write_bytes(download.value.path().read_bytes())

        # and a provider user of the other sends it there
        priya = signed_in(chromium, *national, "provider@example.org")
        priya.goto(national[0] + "/submissions/new/")
        priya.set_input_files("input[type=file]", file)
        priya.check("input[name=scope][value=full]", force=True)
        follow(priya.get_by_role("button", name="Send"))
        priya.get_by_role("link", name="Decide").or_(priya.get_by_role("button", name="Decide")).first.wait_for()
        priya.wait_for_load_state()
        number = re.search(r"/submissions/(\d+)/", priya.url)
        assert number

        # then the birth date is a mismatch, which is decided by replace, and one client has withdrawn consent since
        assert "Needs decisions" in priya.inner_text("main")
        priya.goto(f"{national[0]}/submissions/{number[1]}/decide/")
        assert "1971" in priya.inner_text("main")
        priya.get_by_label("Replace", exact=False).first.check(force=True)
        presses(priya, "Save")
        priya.goto(f"{national[0]}/submissions/{number[1]}/accept/")
        assert "1 client withdraws consent in this file" in priya.inner_text("main")
        priya.get_by_label("How many clients will be forgotten?").fill("1")

        # and all is accepted
        presses(priya, "Accept and forget 1 client")
        assert "Receipt" in priya.inner_text("body")
        assert "1 client is forgotten: until" in priya.inner_text("body")

        # and staff of the other see that the agency has submitted, and no record of it
        nat = signed_in(chromium, *national, "national@example.org")
        assert "Northtown team" in nat.inner_text("main")
        assert "1971" not in nat.inner_text("main")
