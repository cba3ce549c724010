"""The web server before the service, set up as the documentation prints it."""

from __future__ import annotations

import os
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.core.wsgi import get_wsgi_application
from django.db import connections
from django.urls import reverse

PRINTED = Path(__file__).parents[2] / "docs" / "deploy.md"
NAME = "cjit.example.org"
#: As many threads as the documentation gives the pages.
THREADS = 8


def printed() -> str:
    """The block that the documentation prints."""
    return str(re.findall(r"```nginx\n(.*?)```", PRINTED.read_text(), re.S)[0])


@pytest.fixture(scope="module")
def nginx() -> str:
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        reason = "There is no nginx: install it (Debian: nginx-light)"
        (pytest.fail if os.environ.get("CJIT_NGINX") == "required" else pytest.skip)(reason)
    return found


def certificate(folder: Path) -> None:
    """A certificate of our own making, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1))
    pem = serialization.Encoding.PEM
    (folder / "cjit.pem").write_bytes(made.sign(key, hashes.SHA256()).public_bytes(pem))
    (folder / "cjit.key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def configured(folder: Path, *, port: int, pages: int) -> Path:
    """What is printed with the places and ports of this computer, and round it as little as nginx needs."""
    certificate(folder)
    site = printed()
    for was, now in {
        "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
        "/etc/ssl/": f"{folder}/",
        "http://127.0.0.1:8000;": f"http://127.0.0.1:{pages};",
    }.items():
        assert was in site
        site = site.replace(was, now)
    (folder / "site.conf").write_text(site)
    places = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in ("proxy", "fastcgi", "uwsgi", "scgi"))
    whole = folder / "nginx.conf"
    whole.write_text(
        f"daemon off;\nmaster_process off;\npid {folder}/nginx.pid;\nerror_log {folder}/error.log;\n"
        "events { worker_connections 256; }\n"
        f"http {{\naccess_log {folder}/access.log;\nclient_body_temp_path {folder}/body;\n{places}"
        f"include {folder}/site.conf;\n}}\n"
    )
    return whole


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.mark.process
def test_what_is_printed_is_taken_by_nginx(nginx, tmp_path):
    whole = configured(tmp_path, port=free_port(), pages=free_port())

    told = subprocess.run([nginx, "-t", "-c", whole], capture_output=True, text=True, check=False)

    assert told.returncode == 0, told.stderr
    assert "warn" not in told.stderr


# ---- running ---------------------------------------------------------------------------------------


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Nothing."""


class Pages(WSGIServer):
    """The pages with a few threads, each of which reads a request to its end, as the servers of the documentation."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Quiet)
        self.threads = ThreadPoolExecutor(THREADS)
        self.asked: list[dict[str, Any]] = []
        service = get_wsgi_application()

        def told(environ, start_response):
            self.asked.append(environ)
            return service(environ, start_response)

        self.set_app(told)

    def process_request(self, request, client_address):
        self.threads.submit(self._serve, request, client_address)

    def _serve(self, request, client_address):
        try:
            self.finish_request(request, client_address)
        finally:
            self.shutdown_request(request)
            connections.close_all()


@pytest.fixture
def pages(transactional_db) -> Iterator[Pages]:
    with Pages() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()
        server.threads.shutdown()


@pytest.fixture
def connected(nginx, pages, tmp_path, settings) -> Iterator[Callable[[], ssl.SSLSocket]]:
    """A connection to the service by HTTPS, through nginx; all are closed in the end."""
    settings.ALLOWED_HOSTS = [NAME]
    port = free_port()
    whole = configured(tmp_path, port=port, pages=pages.server_port)
    trusting = ssl.create_default_context(cafile=str(tmp_path / "cjit.pem"))
    trusting.check_hostname = False
    with subprocess.Popen([nginx, "-c", whole]) as process, ExitStack() as opened:
        opened.callback(process.terminate)

        def connect() -> ssl.SSLSocket:
            plain = socket.create_connection(("127.0.0.1", port), timeout=20)
            return opened.enter_context(trusting.wrap_socket(plain, server_hostname=NAME))

        begun = time.monotonic()
        while True:
            try:
                connect()
                break
            except ConnectionRefusedError:
                assert time.monotonic() - begun < 20, (tmp_path / "error.log").read_text()
                time.sleep(0.05)
        yield connect


def send(connection: ssl.SSLSocket, path: str, *, body: bytes = b"", length: int = 0, **headers: str) -> None:
    """Ask, with so much of the body, of which more may follow."""
    method = "POST" if length or body else "GET"
    told = {"Host": NAME, "Connection": "close", "Content-Length": str(length or len(body)), **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in told.items())
    connection.sendall(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + body)


def answer(connection: ssl.SSLSocket) -> tuple[int, str]:
    whole = b""
    # What is refused before it is here whole ends the connection at once.
    with suppress(ConnectionResetError):
        while part := connection.recv(65_536):
            whole += part
    return int(whole.split(b" ", 2)[1]), whole.decode()


def asked(connected: Callable[[], ssl.SSLSocket], path: str, **more: Any) -> tuple[int, str]:
    connection = connected()
    with suppress(ConnectionResetError, BrokenPipeError):
        send(connection, path, **more)
    return answer(connection)


@pytest.mark.process
@pytest.mark.parametrize("path", ["/sign-in/", "/submissions/new/"])
def test_slow_requests_of_anybody_stop_nobody_else(connected, pages, settings, path):
    slow = [connected() for _ in range(2 * THREADS if path == "/sign-in/" else THREADS)]
    # With the cookie of a form the service reads what is sent, to look for its token; anybody can make one up.
    form = {"Content_Type": "application/x-www-form-urlencoded", "Cookie": f"{settings.CSRF_COOKIE_NAME}={'a' * 32}"}
    for each in slow:
        send(each, path, body=b"username=", length=5_000, **form)

    for _ in range(3):
        time.sleep(0.2)
        for each in slow:
            each.sendall(b"a")
        # While they go on: held up, these would run into the time a connection waits.
        assert asked(connected, "/alive/")[0] == 200
        assert "E-mail address" in asked(connected, "/sign-in/")[1]

    assert not [one for one in pages.asked if one["REQUEST_METHOD"] == "POST"]


@pytest.mark.process
def test_a_slow_request_is_answered_once_it_is_whole(connected, pages):
    one = connected()
    send(one, "/sign-in/", body=b"username=", length=12, Content_Type="application/x-www-form-urlencoded")
    time.sleep(0.2)
    assert pages.asked == []
    one.sendall(b"abc")

    # A form without its token.
    assert answer(one)[0] == 403
    assert [each["CONTENT_LENGTH"] for each in pages.asked] == ["12"]


@pytest.mark.process
def test_one_address_sends_no_more_than_so_many_files_at_a_time(connected):
    slow = [connected() for _ in range(8)]
    for each in slow:
        send(each, "/submissions/new/", body=b"x", length=5_000)
    time.sleep(0.5)

    assert asked(connected, "/submissions/new/", body=b"x")[0] == 429
    assert asked(connected, "/alive/")[0] == 200


@pytest.mark.process
def test_a_large_request_is_taken_only_where_files_are_sent(connected, pages):
    where_files_are_sent = [
        reverse("submit"),
        reverse("decide-file", args=[12]),
        reverse("caseload-import"),
    ]
    for path in (*where_files_are_sent, reverse("sign-in")):
        asked(connected, path, body=b"x" * 4_000_000)

    assert [one["PATH_INFO"] for one in pages.asked] == where_files_are_sent


@pytest.mark.process
def test_what_arrives_lies_on_the_disk_under_no_name(connected, tmp_path):
    one = connected()
    send(one, "/submissions/new/", body=b"x" * 400_000, length=500_000)
    time.sleep(0.5)

    assert [path for path in (tmp_path / "body").rglob("*") if path.is_file()] == []


@pytest.mark.process
def test_the_service_is_told_who_asks_and_how(connected, pages):
    asked(connected, "/alive/", X_Forwarded_For="192.0.2.1", X_Forwarded_Proto="http")

    [told] = pages.asked
    assert told["HTTP_X_FORWARDED_FOR"] == "127.0.0.1"
    assert told["HTTP_X_FORWARDED_PROTO"] == "https"
    assert told["HTTP_HOST"] == NAME


@pytest.mark.process
def test_links_that_let_somebody_in_are_in_no_log_of_nginx(connected, tmp_path):
    for path in ("/invitation/a-secret/", "/password/MQ/a-secret/", "/alive/"):
        assert asked(connected, path)[0] < 500

    log = (tmp_path / "access.log").read_text()
    assert "/alive/" in log
    assert "secret" not in log
