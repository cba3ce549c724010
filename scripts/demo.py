"""Make a month's submission of a made-up team in `demo/`, with some faults in it, check it, and start the service.

The same demo every time: seed and day are fixed.
"""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date
from pathlib import Path
from urllib.request import urlopen

from cjit import dates
from cjit.datasets.q import Q
from cjit.testdata import histories
from cjit.testdata.faults import with_faults

ROOT = Path(__file__).resolve().parent.parent
HERE = ROOT / "demo"
CJIT = Path(sys.executable).parent / "cjit"

TODAY = date(2026, 3, 31)
SEED = 1
CLIENTS = 240

#: What goes wrong in a month, each in a few rows.
SLIPS = (
    "DOB.is_a_date",
    "DRUG1.is_given",
    "DAT.is_given",
    "REFERID.is_given_with_a_date",
    "SEX.is_plainly_written",
    "NATION.records_kosovo_as_serbia",
    "PC.is_truncated",
    "UTLA.contains_the_postcode",
    "TRIAGED.is_not_before_the_event",
    "CJDISRSN.is_given_with_a_date",
)


def main() -> int:
    """Make, check, and say what to try next; 0 when the checks ran as they should."""
    february, march = _submissions()
    print(f"Made in {HERE.name}/: two submissions of a made-up team. Nobody in them exists.\n")
    before = ("--previous", february, "--agency", histories.agency_code(0), "--today", TODAY.isoformat())
    ended = _run(("check", march, *before))
    print()
    for form in ("html", "xlsx"):
        ended = max(ended, _run(("check", march, *before, "--format", form, "--output", f"demo/report.{form}")))
    print(f"""
Now try

  open demo/report.html in a browser, and demo/report.xlsx in a spreadsheet
  .venv/bin/cjit check {march} --annotated demo/annotated.csv
  .venv/bin/cjit check {march} --corrected demo/corrected.csv
  .venv/bin/cjit dictionary DISD
  .venv/bin/cjit rules DISABLE1.stands_alone
  .venv/bin/cjit check a file of your own: nothing leaves this computer

README.md has the rest; make docs builds the manual into site/
""")
    # 1 is what a file with rejected records ends with, and this one has some.
    return _service() if ended == 1 else 1


def _service() -> int:
    """The submission service with made-up agencies: until Ctrl-C for a person, else only until it answers."""
    environment = {**os.environ, "CJIT_HOME": str(HERE / "service"), "CJIT_REFERENCE": str(HERE)}
    port = _free_port()
    command = [str(CJIT), "serve", "--demo", "--port", str(port)]
    print(f"$ .venv/bin/cjit serve --demo --port {port}", flush=True)
    with subprocess.Popen(command, cwd=ROOT, env=environment) as service:  # noqa: S603
        try:
            if sys.stdin.isatty():
                return service.wait()
            return _answers(service, port)
        except KeyboardInterrupt:
            return 0
        finally:
            service.terminate()


def _answers(service: subprocess.Popen[bytes], port: int) -> int:
    """0 when the service answers within a minute. Nobody is here to click, so it is stopped then."""
    for _ in range(120):
        if service.poll() is not None:
            return 1
        with suppress(OSError), urlopen(f"http://localhost:{port}/alive/", timeout=5) as answer:
            print("The service answers; without a terminal it is stopped again.")
            return 0 if answer.status == 200 else 1
        time.sleep(0.5)
    print("The service did not answer within a minute", file=sys.stderr)
    return 1


def _free_port() -> int:
    """8000, or where that is taken any other."""
    for port in (8000, 0):
        with suppress(OSError), socket.socket() as tried:
            tried.bind(("127.0.0.1", port))
            return int(tried.getsockname()[1])
    return 8000


def _submissions() -> tuple[str, str]:
    """The files of two months, the second with slips in it, and one fault of the extract on every row."""
    months = list(histories.histories(Q, agencies=1, clients=CLIENTS, months=2, today=TODAY, seed=SEED))
    before, now = months
    columns, _ = with_faults(now.columns, Q, 0.006, SEED, SLIPS, today=TODAY)
    days = [(text, dates.read_text(text or "")) for text in columns["REFLD"]]
    columns = {**columns, "REFLD": [f"{day:%Y-%m-%d}" if day else text for text, day in days]}
    paths = histories.write([before, replace(now, columns=columns)], HERE)
    first, second = (str(path.relative_to(ROOT)) for path in paths)
    return first, second


def _run(arguments: Sequence[str]) -> int:
    """Run the command as a user would, from the root of the tree, and show it."""
    print(f"$ .venv/bin/cjit {shlex.join(arguments)}", flush=True)
    # What this computer has installed must not change the demo.
    environment = {**os.environ, "CJIT_REFERENCE": str(HERE)}
    return subprocess.run([CJIT, *arguments], cwd=ROOT, env=environment, check=False).returncode  # noqa: S603


if __name__ == "__main__":
    sys.exit(main())
