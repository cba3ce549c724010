"""The questions of the dataset, as the pages ask them."""

from __future__ import annotations

from cjit.dataset import Field
from cjit.questions import Group, Questions, Test, When
from cjit.web.dataset import DATASET

__all__ = ["Group", "Test", "When"]

if DATASET.asked is None or DATASET.roles is None:
    raise RuntimeError(f"{DATASET.title} says of no field how it is asked: a caseload cannot be kept of it")

QUESTIONS: Questions = DATASET.asked
_ROLES = DATASET.roles

CLIENT_DETAILS, GROUPS = QUESTIONS.client, QUESTIONS.groups
#: The page on which an episode is closed.
CLOSURE = QUESTIONS.closure
REFERRAL, SYSTEM = QUESTIONS.referral, QUESTIONS.system
ASKED, OPTIONAL, CARRIED, NEW_FACTS = QUESTIONS.when, QUESTIONS.optional, QUESTIONS.carried, QUESTIONS.new_facts
DESTINATIONS, TRANSFERS = QUESTIONS.destinations, QUESTIONS.transfers
RETAINED_IN_CUSTODY, UNPLANNED = QUESTIONS.retained, QUESTIONS.unplanned

group, of = QUESTIONS.group, QUESTIONS.of
applies, idle, unanswered = QUESTIONS.applies, QUESTIONS.idle, QUESTIONS.unanswered


def field(header: str) -> Field:
    """The field of the dataset."""
    return DATASET.by_header[header]


def reasons(caseload: bool) -> tuple[str, ...]:
    """The case closure reasons of a group (reading 3): those from the caseload on where a care plan was agreed."""
    codes = DATASET.codes_of(_ROLES.reason)
    assert codes is not None  # noqa: S101 - the dataset has them
    return codes.group(_ROLES.after if caseload else _ROLES.before)
