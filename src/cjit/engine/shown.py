"""What may be shown of a text that was sent: never a whole postcode, in whatever field it stands."""

from __future__ import annotations

import re
from collections.abc import Collection

from cjit.conditions import WHITE, WHITE_SPACE, in_python
from cjit.geography import TRUNCATED, WHOLE_UNSPACED

#: A whole postcode anywhere in a text, however it is spaced; its first part is the group.
WHOLE_WITHIN = r"(?i)\b([a-z]{1,2}[0-9][0-9a-z]?\s*[0-9])[a-z]{2}\b"

#: How each whole postcode in a text ends: texts without it, nearly all, have none.
WHOLE_ENDS = r"(?i)[0-9][a-z]{2}\b"

_within = re.compile(WHOLE_WITHIN)
_ends = re.compile(WHOLE_ENDS)
_spaces = re.compile(WHITE_SPACE)
_whole = re.compile(in_python(WHOLE_UNSPACED))
_truncated = re.compile(in_python(TRUNCATED))


def without_whole_postcodes(text: str) -> str:
    """Any text, with the last two characters of each whole postcode in it struck out."""
    return _within.sub(r"\1**", text) if len(text) >= 5 and _ends.search(text) else text


def is_whole(text: str) -> bool:
    """Whether a text is a whole postcode, however it is spaced."""
    return _whole.match(_spaces.sub("", text.upper())) is not None


def truncated_postcode(text: str) -> str:
    """A text of a postcode field: never more than a whole postcode less its last two characters."""
    bare = text.strip(WHITE)
    if is_whole(text):
        return f"{bare[:-2]}**"
    if _truncated.match(bare.upper()) or len(bare) <= 3:
        return bare
    return f"{bare[:3]}**"


def value_shown(text: str | None, *, gate: bool, postcode: bool) -> str | None:
    """A text as a finding shows it; None where it is blank, or the finding is of a gate, which shows nothing."""
    if gate or not text:
        return None
    return without_whole_postcodes(truncated_postcode(text) if postcode else text)


# ---- what stands for consent -----------------------------------------------------------------------

#: Distinct texts of a withheld field that may be told, and what each may look like.
FEW = 5
_WORD = re.compile(r"[^\W\d_]([^\W\d_]|[ ’',.()–-]){0,11}|[0-9]{1,2}|\W{1,3}")


def spells_yes(text: str) -> bool:
    """Whether a text that should be Y plainly stands for it."""
    return text.strip().upper() in ("YES", "1", "TRUE")


def may_be_shown(texts: Collection[str]) -> bool:
    """Whether texts of rows that are withheld may be shown: few and short words, such as an extract writes for a code.

    Where columns have shifted anything may stand there: what looks like a date, a postcode or an id is not shown.
    """
    return len(texts) <= FEW and all(_WORD.fullmatch(text) for text in texts)


def cell_count(cells: int, width: int, *, ends: bool) -> str:
    """How many cells a row has, in words; `ends` says that the file ends within it."""
    return f"{cells:,} {'cell' if cells == 1 else 'cells'}, not {width:,}{', where the file ends' if ends else ''}"
