"""Which rows a copy may not show, and why: those whose client does not consent, as far as can be told."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

from cjit.dataset import Rule
from cjit.engine.outcome import Judged


class Why(IntEnum):
    """Why a row is left blank in an annotated copy and left out of a corrected one."""

    REFUSED = 1
    RAGGED = 2
    BLANK = 3
    NO_CODE = 4
    HEADERS = 5

    def because(self, header: str) -> str:
        """The reason in words; `header` is that of consent."""
        return {
            Why.REFUSED: "the client does not consent",
            Why.RAGGED: "the row's cells cannot be told apart, so whether the client consents is not known",
            Why.BLANK: f"consent is not given in it: {header} is blank",
            Why.NO_CODE: f"what stands in {header} is none of its codes",
            Why.HEADERS: "it repeats the headers",
        }[self]


def withheld(judged: Judged) -> dict[int, Why]:
    """Why nothing of a row may be shown, by its place in the table, for each row of which nothing may be."""
    gate = judged.gate.header
    withdraws = judged.book.dataset.by_header[gate].withdraws
    why = {}
    for key, (_, parsed) in judged.cells(gate).items():
        refused = Why.REFUSED if parsed.read in withdraws else Why.NO_CODE
        why[key] = Why.BLANK if parsed.sent is None else refused
    gated_rows = judged.gated_rows
    found = dict(zip(gated_rows, map(why.__getitem__, judged.keys(gate, gated_rows)), strict=True))
    return found | dict.fromkeys(judged.headers_again, Why.HEADERS)


def giving(gate: Rule) -> str:
    """The code with which a gate holds."""
    holds = gate.holds if isinstance(gate.holds, Mapping) else gate.holds[0]
    return holds[gate.header]
