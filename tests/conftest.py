import csv
import io
from collections.abc import Callable, Mapping, Sequence

import pytest

from cjit.check import check
from cjit.datasets import dataset
from cjit.datasets.q.example import EXAMPLE, EXAMPLE_TODAY
from cjit.findings import Findings
from cjit.read import open_file

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
