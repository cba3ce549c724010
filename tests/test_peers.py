"""The peers that are measured beside cjit: their rules are those of the book, and they find the same."""

from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from cjit.datasets import dataset

ROOT = Path(__file__).parent.parent
Q = dataset("Q")


@pytest.fixture
def peers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """What measures the peers, with its files in a folder of the test."""
    monkeypatch.syspath_prepend(ROOT)
    monkeypatch.chdir(ROOT)
    for name in ("benchmarks.run", "benchmarks.peers.run"):
        monkeypatch.setattr(import_module(name), "DATA", tmp_path)
    return import_module("benchmarks.peers.run")


def test_what_the_peers_know_is_what_the_book_says(peers: ModuleType) -> None:
    common = import_module("benchmarks.peers.common")
    for header, known in common.LISTS.items():
        codes = Q.codes_of(header)
        assert codes is not None
        assert codes.codes == known
    assert len(common.RULES) == 25
    assert {name for rule in common.RULES.values() for name in rule.cjit} <= {rule.id for rule in Q.rules}
    assert {header for rule in common.RULES.values() for header in rule.reads} == set(common.COLUMNS) & set(Q.headers)


def test_a_file_for_the_peers_has_as_many_rows_as_asked_for_and_some_of_them_twice(peers: ModuleType) -> None:
    header, *rows = peers.sent(1_000, 0.05).read_text(encoding="utf-8").splitlines()
    assert header.split(",") == list(Q.headers)
    assert len(rows) == 1_000
    assert rows[-2:] == [rows[0], rows[500]]


@pytest.mark.process
def test_every_peer_finds_the_same_rows_or_it_is_told_why_not(peers: ModuleType) -> None:
    installed = [peer for peer in peers.PEERS if peer.version]
    assert {"polars_bare", "duckdb_sql", "plain_python", "cjit_"} <= {peer.module for peer in installed}
    agreed = peers.agreement(peers.sent(2_000, 0.05), installed)
    assert set(agreed.found) == set(peers.RULES)
    assert list(agreed.differences) == [peers.PLAIN, *(peer for peer in installed if peer != peers.PLAIN)]
    for peer, differences in agreed.differences.items():
        assert all(each.has_a_reason for each in differences), (peer.name, differences)
        assert peer.package == "cjit" or not differences


def test_a_row_more_has_a_reason_where_a_field_of_the_rule_is_not_plainly_written(peers: ModuleType) -> None:
    plain = frozenset({(2, "R20"), (3, "R24")})
    found = frozenset({(2, "R20"), (4, "R20"), (5, "R20")})
    loose = {4: {"DISD"}, 5: {"PC"}}
    told = peers.differences(plain, found, loose)
    assert told == [peers.Difference("R20", 1, (5,), ()), peers.Difference("R24", 0, (), (3,))]
    assert not any(each.has_a_reason for each in told)
    said = "\n".join(peers.told("a file", {peers.PLAIN: told}))
    assert "plain Python finds 1 more of R20, **for no reason known**: rows 5." in said
    assert "plain Python finds 1 fewer of R24, **for no reason known**: rows 3." in said


def test_only_lines_of_code_count_as_lines_of_rules(peers: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "peer.py"
    path.write_text(
        '"""A peer."""\n\nimport re\n\n# ---- the rules ----\n\n# Words.\ndef rule(\n    text,\n):\n    """Docs."""\n'
        "    return re.match('''a\n\nb''', text)  # Why.\n\n\n# ---- the run ----\n\nrule('a')\n",
        encoding="utf-8",
    )
    assert peers.code_lines(path) == 6
