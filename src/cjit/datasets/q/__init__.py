"""CJIT dataset Q, in effect from 1 April 2022: its fields, code lists and rules.

Source: the business definitions (CJIT dataset Q, V4.2).
"""

from __future__ import annotations

from datetime import date

from cjit.dataset import Dataset
from cjit.datasets.q.fields import FIELDS
from cjit.datasets.q.lists import LISTS
from cjit.datasets.q.rules import PATTERN_WORDS, RULES

#: "Dropped headers" of the revision history, in its order: dataset P had them.
DROPPED = (
    "CJACCMNEED",
    "SUBMID",
    "SUBMODDT",
    "RECPEER",
    "RECMAID",
    "RECFMSP",
    "RECPRNT",
    "RECHSE",
    "RECEMP",
    "RECEDUT",
    "RECWPRJ",
    "RECCHKP",
    "RECRLPP",
    "RECCMPT",
    "RECGNH",
    "RECSMOC",
    "RECDOMV",
)

Q = Dataset(
    letter="Q",
    title="CJIT dataset Q",
    effective=date(2022, 4, 1),
    fields=FIELDS,
    lists=LISTS,
    written=RULES,
    elsewhere=dict.fromkeys(DROPPED, "P"),
    words=PATTERN_WORDS,
)
