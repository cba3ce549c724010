"""A person in a real browser, who looks at every page they come to, and a worker beside the service."""

from __future__ import annotations

import os
import threading

import pytest
from django_otp.oath import totp
from django_otp.plugins.otp_totp.models import TOTPDevice
from tests.browsing import barriers
from tests.web.conftest import awaited, follow

from cjit.web import worker

PASSWORD = "correct horse battery staple"


@pytest.fixture
def working():
    """A worker beside the service, as `cjit serve` has one."""
    stop = threading.Event()
    thread = threading.Thread(target=worker.run, args=(stop,))
    thread.start()
    yield
    stop.set()
    thread.join()


class Somebody:
    """A person with a browser, who looks at every page: axe finds nothing, and the console is silent."""

    def __init__(self, chromium, address: str, pictures: str, **options) -> None:
        self.context = chromium.new_context(**{"viewport": {"width": 1200, "height": 900}, **options})
        self.page = self.context.new_page()
        self.address, self.pictures = address, pictures
        self.said: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text) if message.type == "error" else None)
        self.page.on("pageerror", lambda problem: self.said.append(str(problem)))

    def goes_to(self, path: str):
        return self.page.goto(self.address + path)

    def sees(self, *texts: str) -> None:
        words = self.page.inner_text("body")
        for text in texts:
            assert text in words, f"“{text}” is not on the page:\n{words}"
        assert barriers(self.page) == ""
        assert self.said == []

    def pictured(self, name: str) -> None:
        if folder := os.environ.get("CJIT_PICTURES"):
            self.page.screenshot(path=f"{folder}/{name}.png")

    def clicks(self, text: str, kind: str = "link") -> None:
        follow(self.page.get_by_role(kind, name=text, exact=True).first)

    def signs_in(self, person) -> None:
        device, _ = TOTPDevice.objects.get_or_create(user=person, name="app", defaults={"confirmed": True})
        TOTPDevice.objects.update(last_t=-1, throttling_failure_count=0)
        self.goes_to("/")
        self.page.fill("input[name=username]", person.email)
        self.page.fill("input[name=password]", PASSWORD)
        self.clicks("Continue", "button")
        self.page.fill("input[name=code]", f"{totp(device.bin_key):06}")
        self.clicks("Sign in", "button")

    def sends(self, name: str, data: bytes, scope: str = "new") -> None:
        self.goes_to("/submissions/new/")
        self.page.set_input_files("input[type=file]", {"name": name, "mimeType": "text/csv", "buffer": data})
        self.page.check(f"input[name=scope][value={scope}]", force=True)
        self.clicks("Send", "button")
        awaited(self.page)


@pytest.fixture
def somebody(chromium, live_server):
    made = []

    def make(**options) -> Somebody:
        made.append(Somebody(chromium, live_server.url, os.environ.get("CJIT_PICTURES", ""), **options))
        return made[-1]

    yield make
    for one in made:
        one.context.close()
