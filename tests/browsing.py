"""What is looked for on every page that a test opens in a real browser."""

from __future__ import annotations

import json
from functools import cache
from typing import Any


@cache
def _axe() -> Any:
    from axe_playwright_python.sync_playwright import Axe

    return Axe()


def barriers(page) -> str:
    """What axe finds on a page that keeps somebody out, as text: empty where it finds nothing."""
    found = _axe().run(page).response["violations"]
    return json.dumps(found, indent=1)[:4000] if found else ""
