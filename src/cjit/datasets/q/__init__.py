"""CJIT dataset Q, in effect from 1 April 2022: its fields, code lists and rules.

Source: the business definitions (CJIT dataset Q, V4.2).
"""

from __future__ import annotations

from datetime import date

from cjit.dataset import Dataset, Roles
from cjit.datasets.q.example import EXAMPLE, EXAMPLE_TODAY
from cjit.datasets.q.fields import FIELDS
from cjit.datasets.q.lists import LISTS
from cjit.datasets.q.questions import QUESTIONS
from cjit.datasets.q.rules import PATTERN_WORDS, RULES
from cjit.kinds import rules_of

ROLES = Roles(
    consent="CONSENT",
    agency="AGNCY",
    reference="CLIENT",
    initials=("FINITIAL", "SINITIAL"),
    born="DOB",
    sex="SEX",
    postcode="PC",
    authority="UTLA",
    area="DAT",
    event="REFLD",
    contact="TRIAGED",
    caseload="CPLANDT",
    closed="DISD",
    reason="CJDISRSN",
    referred="REFDATE",
    before="prior to caseload",
    after="from caseload",
)

#: The headers of dataset P that dataset Q has not: the "Dropped headers" of the revision history, in its order.
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
    example=EXAMPLE,
    example_day=EXAMPLE_TODAY,
    roles=ROLES,
    questions=QUESTIONS,
    derived=rules_of,
)
