"""What is looked for on every page that a test opens in a real browser."""

from __future__ import annotations

import json
from functools import cache
from typing import Any


@cache
def _axe() -> Any:
    from axe_playwright_python.sync_playwright import Axe

    return Axe()


#: What axe finds in how a page is laid out, and may find anew where the window is narrow.
OF_THE_LAYOUT = ("scrollable-region-focusable", "target-size", "aria-hidden-focus", "button-name", "link-name")


def barriers(page, *rules: str) -> str:
    """What axe finds on a page that keeps somebody out, by all of its rules or some, as text: empty if nothing."""
    found = _axe().run(page, options={"runOnly": rules, "resultTypes": ["violations"]} if rules else None)
    return json.dumps(found.response["violations"], indent=1)[:4000] if found.violations_count else ""
