"""What CJIT dataset Q asks, in which order, and when a question applies.

The order is that of a triage conversation, and is ours. The definitions of the fields are the document's.
"""

from __future__ import annotations

from cjit.datasets.q.rules import CHILDREN_DECLINED
from cjit.questions import Group, Questions, Test, When

_NO_DISABILITY = ("NN", "ZZ")
_NO_HELP = ("5", "99")
_DISABILITY = When("if there is another disability", (Test("DISABLE1", but=_NO_DISABILITY),))
_CHILDREN = (Test("PARENT", among=("Y",)), Test("CHILDWTH", but=(str(CHILDREN_DECLINED),), kind="count"))

QUESTIONS = Questions(
    client=Group(
        "client",
        "Client details",
        ("FINITIAL", "SINITIAL", "DOB", "SEX", "ETHNIC", "NATION", "CLIENT"),
        "Only initials are recorded, never a name.",
        plain="Who you are",
    ),
    groups=(
        Group(
            "contact",
            "What brought the client here",
            ("REFLD", "CJRFLS", "TRIAGED", "OFFENCE", "PRISON"),
            plain="What brought you here",
        ),
        Group(
            "living",
            "Where the client lives",
            ("PC", "UTLA", "DAT", "HOUSING", "HOMELESS"),
            "The whole postcode stays here: its last two characters are cut off in the extract.",
            plain="Where you live",
        ),
        Group(
            "about",
            "About the client",
            ("SEXUALO", "PREGNANT", "RELIGION", "DISABLE1", "DISABLE2", "DISABLE3", "VETERAN"),
            plain="About you",
        ),
        Group(
            "children",
            "Children",
            ("PARENT", "PRNTSTAT", "CHILDWTH", "EHCS", "EHCSC2", "EHCSC3"),
            plain="Children",
            half="right",
        ),
        Group(
            "substances",
            "Drugs and alcohol",
            ("DRUG1", "ROUTE", "DRUG2", "DRUG3", "INJSTAT", "ALCDDAYS", "ALCUNITS"),
            plain="Drugs and alcohol",
            half="right",
        ),
        Group(
            "plan",
            "Care plan and naloxone",
            ("CPLANDT", "NALOXISS", "NALOXAD"),
            "The caseload begins when a care plan is agreed. Without one, the episode is closed with a reason “prior to"
            " caseload”.",
            plain="Care plan and naloxone",
            half="right",
        ),
    ),
    closure=Group("closure", "Case closure", ("DISD", "CJDISRSN"), plain="The end of your time with us", half="right"),
    referral=Group("referral", "Referral to structured treatment", ("REFDATE",)),
    system=("CLIENTID", "AGNCY", "EPISODID", "CMSID", "REFERID"),
    when={
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
    },
    optional=frozenset({"PRISON", "DISABLE2", "DISABLE3", "EHCSC2", "EHCSC3", "DRUG2", "DRUG3", "CPLANDT", "UTLA"}),
    # These answers seldom differ at the next episode (our reading).
    carried=("PC", "DAT", "UTLA", "SEXUALO", "RELIGION", "DISABLE1", "DISABLE2", "DISABLE3", "VETERAN"),
    # The document says so for the initials; for SEX it is our reading.
    new_facts={
        "FINITIAL": "a legal change of name",
        "SINITIAL": "a legal change of name",
        "SEX": "a gender recognition certificate",
    },
    # Appendix E (reading 4).
    destinations={"13": "PRISON", "14": "DAT"},
    transfers=("99", "13", "14", "74", "7"),
    retained="11",
    unplanned=("1", "8", "11", "12"),
)
