"""The rules of cjit that say what the 25 say, by the library's own `check(only=…)`."""

from __future__ import annotations

from pathlib import Path

from benchmarks.peers.common import RULES, TODAY, asked

from cjit.engine.checking import check

# ---- the rules -------------------------------------------------------------------------------------

ONLY = tuple(dict.fromkeys(name for rule in RULES.values() for name in rule.cjit))

# ---- the run ---------------------------------------------------------------------------------------


def run(source: Path, target: Path) -> None:
    """Read the file, judge every row, and write each finding as its row and its rule."""
    check(source, "Q", today=TODAY, only=ONLY).frame.select("row", "rule").write_csv(target)


if __name__ == "__main__":
    run(*asked())
