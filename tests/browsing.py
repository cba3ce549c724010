"""What is looked for on every page that a test opens in a real browser."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

#: What axe finds in how a page is laid out, and may find anew where the window is narrow.
OF_THE_LAYOUT = ("scrollable-region-focusable", "target-size", "aria-hidden-focus", "button-name", "link-name")

#: Whatever decides how well each text of a page is seen: its colour and size, all that is painted behind it, and how
#: wide the window is. A page has a few dozen such looks, and shares most of them with the others.
LOOKS = """
() => {
  const behind = new Map();
  const painted = (element) => {
    if (!element) return "";
    if (!behind.has(element)) {
      const style = getComputedStyle(element);
      const own = [style.backgroundColor, style.backgroundImage, style.opacity, style.filter, style.mixBlendMode,
        style.position, style.transform].join(" ");
      const plain = own === "rgba(0, 0, 0, 0) none 1 none normal static none";
      behind.set(element, painted(element.parentElement) + (plain ? "" : `/${own}`));
    }
    return behind.get(element);
  };
  const looks = new Set();
  for (const element of document.querySelectorAll("body, body *")) {
    const says = element.matches("input, select, textarea, button")
      || [...element.childNodes].some((each) => each.nodeType === Node.TEXT_NODE && each.data.trim());
    if (says && element.checkVisibility()) {
      const style = getComputedStyle(element);
      looks.add([innerWidth, style.color, style.fontSize, style.fontWeight, style.textShadow, element.disabled,
        painted(element)].join(" "));
    }
  }
  return [...looks];
}
"""
#: The looks of which axe found that they are seen well enough. It takes longer over that than over all its other rules.
_seen_well: set[str] = set()


@cache
def _axe() -> str:
    from axe_playwright_python.sync_playwright import Axe

    return str(Axe().axe_script)


def barriers(page: Any, *rules: str) -> str:
    """What axe finds on a page that keeps somebody out.

    Contrast is looked for on a page with a look that no page before had.

    Args:
        page: The page, as it is now.
        rules: Only these rules of axe; all of them where none is named.

    Returns:
        What is found, as text; empty if nothing.
    """
    options: dict[str, Any] = {"resultTypes": ["violations"]}
    if rules:
        options["runOnly"] = list(rules)
    looks = set(page.evaluate(LOOKS)) if not rules or "color-contrast" in rules else set()
    if not looks - _seen_well:
        options["rules"] = {"color-contrast": {"enabled": False}}
    if not page.evaluate("'axe' in window"):
        page.evaluate(_axe())
    found = page.evaluate("options => axe.run(document, options).then(found => found.violations)", options)
    if not found:
        _seen_well.update(looks)
    return json.dumps(found, indent=1)[:4000] if found else ""
