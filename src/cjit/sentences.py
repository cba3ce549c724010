"""How sentences are put together: words in a list."""

from __future__ import annotations

from collections.abc import Iterable


def listed(words: Iterable[str], word: str = "and") -> str:
    """Words as a list in a sentence: "a", "a and b", "a, b and c"; "" where there are none."""
    *most, last = [*words] or [""]
    return f"{', '.join(most)} {word} {last}" if most else last
