"""What is looked for on every page that a test opens in a real browser."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

#: What axe finds in how a page is laid out, and may find anew where the window is narrow.
OF_THE_LAYOUT = ("scrollable-region-focusable", "target-size", "aria-hidden-focus", "button-name", "link-name")
#: What axe says of a text that is hardly seen.
CONTRAST_RULE = "color-contrast"

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
  const looks = new Map();
  for (const element of document.querySelectorAll("body, body *")) {
    const says = element.matches("input, select, textarea, button")
      || [...element.childNodes].some((each) => each.nodeType === Node.TEXT_NODE && each.data.trim());
    if (says && element.checkVisibility()) {
      const style = getComputedStyle(element);
      const look = [innerWidth, style.color, style.fontSize, style.fontWeight, style.textShadow, element.disabled,
        painted(element)].join(" ");
      looks.has(look) ? looks.get(look).push(element) : looks.set(look, [element]);
    }
  }
  window.looks = looks;
  return [...looks.keys()];
}
"""
#: Contrast, of three elements of each new look: the first, one in the middle, the last. Where axe can tell of none of
#: them, all of that look are put to it. For each text it asks what is painted behind, which takes longer than all its
#: other rules together.
CONTRAST = """
async (unseen) => {
  const options = { resultTypes: ["violations", "incomplete"], runOnly: ["color-contrast"], elementRef: true };
  const violations = [];
  const run = async (elements) => {
    const told = await axe.run(elements, options);
    for (const { id, nodes } of told.violations) {
      violations.push({ id, nodes: nodes.map(({ html, failureSummary }) => [html, failureSummary]) });
    }
    return new Set(told.incomplete.flatMap(({ nodes }) => nodes.map(({ element }) => element)));
  };
  const some = (all) => [...new Set([all[0], all[all.length >> 1], all.at(-1)])];
  const alike = unseen.map((look) => window.looks.get(look));
  const untold = await run(alike.flatMap(some));
  const others = alike.filter((all) => some(all).every((each) => untold.has(each))).flat();
  if (others.length) await run(others);
  return violations;
}
"""
#: The looks of which axe found that they are seen well enough.
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
    others = [rule for rule in rules if rule != CONTRAST_RULE]
    options: dict[str, Any] = {"resultTypes": ["violations"], "rules": {CONTRAST_RULE: {"enabled": False}}}
    if others:
        options["runOnly"] = others
    unseen = [] if rules and CONTRAST_RULE not in rules else sorted(set(page.evaluate(LOOKS)) - _seen_well)
    if (unseen or others or not rules) and not page.evaluate("'axe' in window"):
        page.evaluate(_axe())
    found = []
    if others or not rules:
        found += page.evaluate("options => axe.run(document, options).then(found => found.violations)", options)
    if unseen:
        hard_to_see = page.evaluate(CONTRAST, unseen)
        if not hard_to_see:
            _seen_well.update(unseen)
        found += hard_to_see
    return json.dumps(found, indent=1)[:4000] if found else ""
