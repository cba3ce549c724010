"""CJIT dataset P, in effect from 1 April 2020, as its difference from dataset Q.

Source: the revision history of the business definitions (CJIT dataset Q, V4.2). It prints the headers that dataset Q
dropped and added, and the field descriptions that it changed. It does not print dataset P itself, so these are our
reading:

- the definitions of the fields that were dropped, their kinds and lists, and their places;
- that a row had at most one intervention beside at most one referral;
- the definitions of SEX, CONSENT and EHCS to EHCSC3 before they were changed;
- that PREGNANT was limited to female clients: the words are known only from their removal in V4.2;
- that the rest was as it is in dataset Q.

The day on which dataset P took effect, 1 April 2020, is known from its data entry form.
"""

from __future__ import annotations

from datetime import date

from cjit.dataset import Changes, Code, CodeList, Entity, Field, Kind, Status
from cjit.datasets.q import Q
from cjit.datasets.q.rules import sent_once

_HELP = "What help are the client's children/children living with the client receiving?"
_CHILDREN = "the client's children or children living with the client"
_GUESSED = "labels from general knowledge; neither labels nor codes are public"


def _clause(header: str) -> str:
    return f"Revision History: {header}"


def _support(header: str, what: str) -> Field:
    """The yes/no field of an intervention for one kind of support, which `what` names."""
    return Field(
        header=header,
        label=f"Client provided with {what}",
        noun=f"answer on {what}",
        definition=f"Whether, since the assessment before, the CJIT provided the client with {what}.",
        clause=_clause(header),
        entity=Entity.INTERVENTION,
        kind=Kind.CODE,
        codes="SUPPORT",
        changes=Changes.SHOULD_NOT,
    )


_ACCOMMODATION = Field(
    header="CJACCMNEED",
    label="Accommodation need",
    noun="accommodation need",
    definition="How far the client's housing was a problem.",
    clause=_clause("CJACCMNEED"),
    entity=Entity.EPISODE,
    kind=Kind.CODE,
    codes="CJACCMNEED",
    changes=Changes.SHOULD_NOT,
)

_INTERVENTIONS = (
    Field(
        header="SUBMID",
        label="Sub intervention ID",
        noun="sub intervention ID",
        definition="The unique technical identifier of the assessment of what the CJIT provided.",
        clause=_clause("SUBMID"),
        entity=Entity.INTERVENTION,
        kind=Kind.ID,
        changes=Changes.SHOULD_NOT,
        system=True,
    ),
    Field(
        header="SUBMODDT",
        label="Recovery support assessment date",
        noun="recovery support assessment date",
        definition="The date on which it was recorded what support the CJIT had provided until then.",
        clause=_clause("SUBMODDT"),
        entity=Entity.INTERVENTION,
        kind=Kind.DATE,
        changes=Changes.SHOULD_NOT,
    ),
    _support("RECPEER", "peer support involvement"),
    _support("RECMAID", "facilitated access to mutual aid"),
    _support("RECFMSP", "family support"),
    _support("RECPRNT", "parenting support"),
    _support("RECHSE", "housing support"),
    _support("RECEMP", "employment support"),
    _support("RECEDUT", "education and training support"),
    _support("RECWPRJ", "supported work projects"),
    _support("RECCHKP", "recovery check-ups"),
    _support("RECRLPP", "evidence based psychosocial interventions to support relapse prevention"),
    _support("RECCMPT", "complimentary therapies"),
    _support("RECGNH", "mental health interventions"),
    _support("RECSMOC", "smoking cessation interventions"),
    _support("RECDOMV", "domestic abuse/violence support"),
)

_AFTER = ("CJDISRSN", *(field.header for field in _INTERVENTIONS))


def _placeholders(name: str, **labels: str) -> CodeList:
    """A code list of placeholders: label by code."""
    return CodeList(
        name,
        tuple(Code(c, label, status=Status.PLACEHOLDER, source=_GUESSED) for c, label in labels.items()),
    )


P = Q.revise(
    "P",
    title="CJIT dataset P",
    effective=date(2020, 4, 1),
    drop=("HOUSING", "HOMELESS"),
    # The interventions stand between the episode and the referrals, as the sections of the document do.
    add=((_ACCOMMODATION, "ALCUNITS"), *zip(_INTERVENTIONS, _AFTER, strict=False)),
    change={
        "SEX": {
            "label": "Client stated sex at registration of birth",
            "noun": "client's stated sex at registration of birth",
            # The former definition is not printed. This one follows the label.
            "definition": "The client's sex when their birth was registered, as the client says.",
        },
        # "Applies to female clients only" was removed in V4.2 of the definitions.
        "PREGNANT": {"definition": "Whether the client is pregnant. It applies to female clients only."},
        "CONSENT": {
            # The former definition is not printed. That of dataset Q says more.
            "definition": "Whether the client agrees to their data being shared with NDTMS. (No consequence is "
            "printed; that the record is rejected is our reading 10.)",
        },
        "PRNTSTAT": {"label": "Do any of these children live with the client?"},
        # The former definitions are not printed. These follow the labels.
        "EHCS": {"label": f"{_HELP} (1)", "definition": f"The help received by {_CHILDREN}."},
        "EHCSC2": {"label": f"{_HELP} (2)", "definition": f"A second kind of help received by {_CHILDREN}."},
        "EHCSC3": {"label": f"{_HELP} (3)", "definition": f"A third kind of help received by {_CHILDREN}."},
    },
    written=[sent_once({"intervention": "SUBMID", "referral": "REFERID"})],
    lists={
        "CJACCMNEED": _placeholders(
            "CJACCMNEED", X01="No fixed abode", X02="Housing problem", X03="No housing problem"
        ),
        "SUPPORT": _placeholders("SUPPORT", Y="Yes", N="No"),
    },
)
