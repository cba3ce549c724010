"""Which rows a copy must not show, and why: the client does not consent, or whether they do is not known."""

from __future__ import annotations

from enum import IntEnum

from cjit.engine.outcome import Judged


class Reason(IntEnum):
    """Why a row is blank in an annotated copy, and left out of a corrected one."""

    REFUSED = 1
    RAGGED = 2
    BLANK = 3
    NO_CODE = 4
    HEADERS = 5

    def because(self, header: str) -> str:
        """The reason in words; `header` is that of consent."""
        return {
            Reason.REFUSED: "the client does not consent",
            Reason.RAGGED: "the row's cells cannot be told apart, so whether the client consents is not known",
            Reason.BLANK: f"consent is not given in it: {header} is blank",
            Reason.NO_CODE: f"what stands in {header} is none of its codes",
            Reason.HEADERS: "it repeats the headers",
        }[self]


def withheld(judged: Judged) -> dict[int, Reason]:
    """The rows that must not be shown; ragged rows, which are not in the table, apart.

    Args:
        judged: the table.

    Returns:
        The reason for each such row, by the row's place in the table.
    """
    gate = judged.gate.header
    withdraws = judged.book.dataset.by_header[gate].withdraws
    reasons = {}
    for key, (_, parsed) in judged.cells(gate).items():
        refused = Reason.REFUSED if parsed.read in withdraws else Reason.NO_CODE
        reasons[key] = Reason.BLANK if parsed.sent is None else refused
    gated_rows = judged.gated_rows
    withheld_rows = dict(zip(gated_rows, map(reasons.__getitem__, judged.keys(gate, gated_rows)), strict=True))
    return withheld_rows | dict.fromkeys(judged.headers_again, Reason.HEADERS)
