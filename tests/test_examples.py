import csv
import re
import subprocess
import sys
from collections import defaultdict
from datetime import date
from pathlib import Path

import pytest

from cjit.datasets import dataset
from cjit.datasets.q.example import EXAMPLE_TODAY
from cjit.engine.checking import check, check_rows
from cjit.geography import authority_of, is_whole

ROOT = Path(__file__).parent.parent
FILE = ROOT / "examples" / "hand-written.csv"
TODAY = date(2026, 3, 31)
Q = dataset("Q")

# ---- the file written by hand ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def findings():
    return check(FILE, today=TODAY)


def _rows() -> list[dict[str, str]]:
    with FILE.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def _told() -> tuple[set[tuple[int, str]], set[int]]:
    """What examples/README.md says of the file: the rows and rules it names, and the rows it calls right."""
    slips: set[tuple[int, str]] = set()
    right: set[int] = set()
    for line in (ROOT / "examples" / "README.md").read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) != 3 or not cells[0][:1].isdigit():
            continue
        numbers = [int(n) for n in re.findall(r"\d+", cells[0])]
        rows = range(numbers[0], numbers[-1] + 1)
        rules = re.findall(r"`([A-Z0-9]+\.[a-z_0-9]+)`", cells[2])
        slips |= {(row, rule) for row in rows for rule in rules}
        right |= set(rows) if not rules else set()
    return slips, right


def test_each_slip_the_page_explains_is_found_where_it_says(findings):
    slips, _ = _told()
    found = set(findings.frame.select("row", "rule").rows())
    assert slips <= found
    assert len(slips) > 15


def test_nothing_is_found_that_the_page_does_not_explain(findings):
    slips, right = _told()
    named = {row for row, _ in slips}
    assert set(findings.frame["row"].to_list()) == named
    assert not named & right
    # Beside what is named, only the way the hospital's rows are written.
    others = {(row, rule) for row, rule in findings.frame.select("row", "rule").rows()} - slips
    assert {row for row, _ in others} <= {16, 17, 18}
    assert {rule.split(".")[1] for _, rule in others} <= {"is_plainly_written"}


def test_the_file_is_one_month_of_one_team(findings):
    assert findings.source.renamed == {"EHCSC1": "EHCS"}
    assert (findings.rows, findings.rejected) == (25, 4)
    text = (ROOT / "examples" / "README.md").read_text("utf-8")
    rows = _rows()
    clients, episodes = ({row[header] for row in rows} for header in ("CLIENTID", "EPISODID"))
    referrals = [row for row in rows if row["REFDATE"]]
    told = f"{len(rows)} rows, {len(clients)} clients, {len(episodes)} episodes, {len(referrals)} referrals"
    assert told in " ".join(text.split())


def test_nobody_in_the_file_can_be_real():
    rows = _rows()
    for row in rows:
        assert row["AGNCY"] == "CJ999"
        assert row["CLIENT"].startswith("MADEUP-")
        assert all(row[header][:1] in ("", "9") for header in ("CLIENTID", "EPISODID", "REFERID"))
    whole = [row["PC"] for row in rows if is_whole(row["PC"])]
    assert len(whole) == 1
    assert authority_of(whole[0]) is None
    # No postcode in the United Kingdom ends in C or V.
    assert re.search("[CV]", whole[0][-2:])


# ---- the examples for suppliers --------------------------------------------------------------------


def _conformance() -> dict[tuple[str, str], list[dict[str, str]]]:
    groups = defaultdict(list)
    with (ROOT / "docs" / "conformance.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            groups[row["RULE"], row["EXAMPLE"]].append(row)
    return groups


@pytest.mark.parametrize("example", ["breaks", "holds"])
def test_the_conformance_file_does_what_the_guide_promises(example):
    groups = {rule: rows for (rule, which), rows in _conformance().items() if which == example}
    assert set(groups) == {rule.id for rule in Q.rules}
    wrong = []
    for rule, rows in groups.items():
        records = [{header: row[header] for header in Q.headers} for row in rows]
        submitter = "CJ123" if rule == "AGNCY.is_the_submitter" else None
        found = {finding.rule.id for finding in check_rows(Q, records, today=EXAMPLE_TODAY, submitter=submitter)}
        if (rule in found) != (example == "breaks"):
            wrong.append(rule)
    assert wrong == []


# ---- what is promised of a check -------------------------------------------------------------------


@pytest.mark.process
def test_a_check_opens_no_connection(tmp_path):
    guard = (
        "import sys\n"
        "def hook(event, arguments):\n"
        "    if event.startswith('socket.') and event != 'socket.gethostname':\n"
        "        raise SystemExit(f'opened a connection: {event}')\n"
        "sys.addaudithook(hook)\n"
        "from cjit.cli import main\n"
        "main(sys.argv[1:])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", guard, "check", str(FILE), "--today", "2026-03-31", "--format", "html"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert "opened a connection" not in done.stderr
    assert done.returncode == 1, done.stderr
    assert list(tmp_path.iterdir()) == []
