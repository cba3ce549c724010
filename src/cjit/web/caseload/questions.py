"""What is asked of an episode, in which order, and when a question applies.

The order is that of a triage conversation; which field stands where is ours, what a field is comes from the dataset.
When a question applies is a value (`When`), read by the server and, as `data-when`, by the page's script alike.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from cjit.dataset import Field
from cjit.datasets.q.rules import CHILDREN_DECLINED
from cjit.web.caseload.record import FROM, PRIOR, is_default_postcode
from cjit.web.dataset import DATASET


@dataclass(frozen=True)
class Group:
    """Some questions that are asked together. `name` is its place in the address, `about` a sentence for the page."""

    name: str
    title: str
    headers: tuple[str, ...]
    about: str = ""


@dataclass(frozen=True)
class Test:
    """One way for a question to apply: by the answer to another. `among` are its codes; none: any but `but`."""

    header: str
    among: tuple[str, ...] = ()
    but: tuple[str, ...] = ()
    kind: Literal["code", "count", "default postcode"] = "code"

    def holds(self, answer: str) -> bool | None:
        """Whether the answer makes the question apply; None where there is no answer yet, or of a number none."""
        answer = answer.strip().upper()
        if not answer:
            return None
        match self.kind:
            case "count":
                number = int(answer) if re.fullmatch("[0-9]{1,9}", answer) else None
                return None if number is None or str(number) in self.but else number > 0
            case "default postcode":
                return is_default_postcode(answer)
            case _:
                plain = answer.lstrip("0") or answer
                return plain in self.among if self.among else plain not in self.but


@dataclass(frozen=True)
class When:
    """A question applies where any of `tests` holds. `text` says so where the page cannot hide it.

    Where it does not apply, an answer given before is taken out, unless it `stays` because it may be right.
    """

    text: str
    tests: tuple[Test, ...]
    stays: bool = False

    def holds(self, values: Mapping[str, str]) -> bool | None:
        """True, False, or None where what it depends on has not been answered."""
        answers = [test.holds(values.get(test.header) or "") for test in self.tests]
        if True in answers:
            return True
        return None if None in answers else False

    def data(self) -> list[list[object]]:
        """The same for the script: of each test header, kind, among and but."""
        return [[test.header, test.kind, list(test.among), list(test.but)] for test in self.tests]


CLIENT_DETAILS = Group(
    "client",
    "Client details",
    ("FINITIAL", "SINITIAL", "DOB", "SEX", "ETHNIC", "NATION", "CLIENT"),
    "Only initials are recorded, never a name.",
)
GROUPS = (
    Group(
        "contact",
        "What brought the client here",
        ("REFLD", "CJRFLS", "TRIAGED", "OFFENCE", "PRISON"),
    ),
    Group(
        "living",
        "Where the client lives",
        ("PC", "UTLA", "DAT", "HOUSING", "HOMELESS"),
        "The whole postcode stays here: its last two characters are cut off in the extract.",
    ),
    Group(
        "about",
        "About the client",
        ("SEXUALO", "PREGNANT", "RELIGION", "DISABLE1", "DISABLE2", "DISABLE3", "VETERAN"),
    ),
    Group(
        "children",
        "Children",
        ("PARENT", "PRNTSTAT", "CHILDWTH", "EHCS", "EHCSC2", "EHCSC3"),
    ),
    Group(
        "substances",
        "Drugs and alcohol",
        ("DRUG1", "ROUTE", "DRUG2", "DRUG3", "INJSTAT", "ALCDDAYS", "ALCUNITS"),
    ),
    Group(
        "plan",
        "Care plan and naloxone",
        ("CPLANDT", "NALOXISS", "NALOXAD"),
        "The caseload begins when a care plan is agreed. Without one, the episode is closed with a reason “prior to"
        " caseload”.",
    ),
)
#: The page on which an episode is closed.
CLOSURE = Group("closure", "Case closure", ("DISD", "CJDISRSN"))
REFERRAL = Group("referral", "Referral to structured treatment", ("REFDATE",))
#: What the system fills in: nobody is asked.
SYSTEM = ("CLIENTID", "AGNCY", "EPISODID", "CMSID", "REFERID")

_NO_DISABILITY = ("NN", "ZZ")
_NO_HELP = ("5", "99")
_DISABILITY = When("if there is another disability", (Test("DISABLE1", but=_NO_DISABILITY),))
_CHILDREN = (Test("PARENT", among=("Y",)), Test("CHILDWTH", but=(str(CHILDREN_DECLINED),), kind="count"))

#: When a question applies; one that is not here always does.
ASKED: Mapping[str, When] = {
    "UTLA": When("if the client has no fixed abode", (Test("PC", kind="default postcode"),), stays=True),
    "DISABLE2": _DISABILITY,
    "DISABLE3": When("if there is a third disability", (Test("DISABLE2", but=_NO_DISABILITY),)),
    "PRNTSTAT": When("if the client has parental responsibility", (Test("PARENT", among=("Y",)),)),
    "EHCS": When("if the client has parental responsibility or lives with children", _CHILDREN),
    "EHCSC2": When("if the children receive another kind of help", (Test("EHCS", but=_NO_HELP),)),
    "EHCSC3": When("if the children receive a third kind of help", (Test("EHCSC2", but=_NO_HELP),)),
    "ROUTE": When("if there is a problem substance", (Test("DRUG1"),)),
    "DRUG2": When("if there is another problem substance", (Test("DRUG1"),)),
    "DRUG3": When("if there is a third problem substance", (Test("DRUG2"),)),
    "ALCUNITS": When("if the client drank alcohol", (Test("ALCDDAYS", kind="count"),), stays=True),
}
#: Blank is a full answer to these: there is no such thing, or not yet.
OPTIONAL = frozenset({"PRISON", "DISABLE2", "DISABLE3", "EHCSC2", "EHCSC3", "DRUG2", "DRUG3", "CPLANDT", "UTLA"})
#: Taken over into a new episode, to be checked with the client: what is seldom another at the next one (our reading).
CARRIED = ("PC", "DAT", "UTLA", "SEXUALO", "RELIGION", "DISABLE1", "DISABLE2", "DISABLE3", "VETERAN")

#: Appendix E: the reasons that ask for a destination (reading 4), and what it is.
DESTINATIONS: Mapping[str, str] = {"13": "PRISON", "14": "DAT"}
TRANSFERS = ("99", "13", "14", "74", "7")
RETAINED_IN_CUSTODY = "11"
#: The reasons that are no planned end: closed at the last contact face to face (DISD).
UNPLANNED = ("1", "8", "11", "12")


def group(name: str) -> Group | None:
    """The group of an episode's questions by its name."""
    return next((each for each in GROUPS if each.name == name), None)


def of(header: str) -> Group:
    """The group in which a field is asked. Raises KeyError for one that is not asked."""
    for each in (CLIENT_DETAILS, *GROUPS, CLOSURE, REFERRAL):
        if header in each.headers:
            return each
    raise KeyError(header)


def field(header: str) -> Field:
    """The field of the dataset."""
    return DATASET.by_header[header]


def applies(header: str, values: Mapping[str, str]) -> bool | None:
    """Whether a question applies; None where that depends on another that has no answer yet."""
    when = ASKED.get(header)
    return True if when is None else when.holds(values)


def idle(values: Mapping[str, str]) -> tuple[str, ...]:
    """Questions that have an answer though they do not apply, by an answer that is given. One leads to the next."""
    out: set[str] = set()
    for header, rule in ASKED.items():
        # What hangs on a question that does not apply has nothing to hang on.
        if rule.holds(values) is False or out.issuperset(test.header for test in rule.tests):
            out.add(header)
    return tuple(header for header in ASKED if header in out and values.get(header) and not ASKED[header].stays)


def unanswered(each: Group, values: Mapping[str, str]) -> tuple[str, ...]:
    """The questions of a group that apply, want an answer and have none."""
    return tuple(
        header
        for header in each.headers
        if header not in OPTIONAL and not (values.get(header) or "").strip() and applies(header, values) is True
    )


def reasons(caseload: bool) -> tuple[str, ...]:
    """The case closure reasons of a group (reading 3): `from caseload` where a care plan was agreed."""
    codes = DATASET.codes_of("CJDISRSN")
    assert codes is not None  # noqa: S101 - the dataset has them
    return codes.group(FROM if caseload else PRIOR)
