"""What may be shown of a text that was sent: never a whole postcode, in whatever field it stands."""

from __future__ import annotations

import re

from cjit.conditions import WHITE_SPACE, in_python
from cjit.engine.plain import WHITE
from cjit.geography import TRUNCATED, WHOLE_UNSPACED

#: A whole postcode anywhere in a text, however it is spaced; its first part is the group.
WHOLE_WITHIN = r"(?i)\b([a-z]{1,2}[0-9][0-9a-z]?\s*[0-9])[a-z]{2}\b"

_within = re.compile(WHOLE_WITHIN)
_spaces = re.compile(WHITE_SPACE)
_whole = re.compile(in_python(WHOLE_UNSPACED))
_truncated = re.compile(in_python(TRUNCATED))


def struck(text: str) -> str:
    """Any text, with the last two characters of each whole postcode in it struck out."""
    return _within.sub(r"\1**", text) if len(text) >= 5 else text


def cut_postcode(text: str) -> str:
    """A text of a postcode field: never more than a whole postcode less its last two characters."""
    bare = text.strip(WHITE)
    if _whole.match(_spaces.sub("", text.upper())):
        return f"{bare[:-2]}**"
    if _truncated.match(bare.upper()) or len(bare) <= 3:
        return bare
    return f"{bare[:3]}**"


def value_shown(text: str | None, *, gate: bool, postcode: bool) -> str | None:
    """A text as a finding shows it; None where it is blank, or the finding is of a gate, which shows nothing."""
    if gate or not text:
        return None
    return struck(cut_postcode(text) if postcode else text)
