"""The 49 data items of CJIT dataset Q, in the document's order.

Source: the business definitions (CJIT dataset Q, V4.2), section "CJIT dataset fields". Labels are the
document's field descriptions, definitions are in our own words, and `clause` names the section and
header where each is printed. Ranges, and the outcome of a missing consent, are partly our reading: each says so.
"""

from __future__ import annotations

from cjit.dataset import Changes, Entity, Field, Kind, Severity

_CHILDREN_HELP = (
    "If client has parental responsibility and/or children living with them, what help are the children receiving?"
)

FIELDS: tuple[Field, ...] = (
    # ---- Client details ------------------------------------------------------------------------
    Field(
        header="CLIENTID",
        label="Client ID",
        noun="client ID",
        definition=(
            "The unique technical identifier of the client in the provider's clinical system, for example "
            "the row number in its client table. It must neither hold nor be made from anything that could "
            "identify the person."
        ),
        clause="Client details: CLIENTID",
        entity=Entity.CLIENT,
        kind=Kind.ID,
        changes=Changes.SHOULD_NOT,
        missing=Severity.REJECT,
        system=True,
    ),
    Field(
        header="FINITIAL",
        label="Initial of client's first name",
        noun="initial of the client's first name",
        definition=(
            "The first letter of the client's first name: M for Max. Of a hyphenated first name, the first "
            "letter of its first part. When the client legally changes their name, it is updated; the next "
            "submission then shows a mismatch, to be answered with “replace” or “delete”."
        ),
        clause="Client details: FINITIAL",
        entity=Entity.CLIENT,
        kind=Kind.INITIAL,
        changes=Changes.MISMATCH,
        as_of="start of episode",
        missing=Severity.REJECT,
        hint="One letter: of a hyphenated name, that of its first part",
        plain="Initials",
    ),
    Field(
        header="SINITIAL",
        label="Initial of client's surname",
        noun="initial of the client's surname",
        definition=(
            "The first letter of the client's surname: S for Smith, O for O'Brian, M for McNeil. Of a "
            "hyphenated surname, the first letter of its first part. When the client legally changes their "
            "name, it is updated; the next submission then shows a mismatch, to be answered with “replace” "
            "or “delete”."
        ),
        clause="Client details: SINITIAL",
        entity=Entity.CLIENT,
        kind=Kind.INITIAL,
        changes=Changes.MISMATCH,
        as_of="start of episode",
        missing=Severity.REJECT,
        hint="One letter: O for O'Brian, M for McNeil; of a hyphenated name, that of its first part",
        plain="",
    ),
    Field(
        header="DOB",
        label="Client date of birth",
        noun="date of birth",
        definition="The full date (day, month and year) on which the client was born.",
        clause="Client details: DOB",
        entity=Entity.CLIENT,
        kind=Kind.DATE,
        changes=Changes.MISMATCH,
        as_of="start of episode",
        missing=Severity.REJECT,
        hint="For example, 31 3 1980",
        plain="Date of birth",
    ),
    Field(
        header="SEX",
        label="Client stated sex",
        noun="client's stated sex",
        definition="The sex on the client's birth or gender recognition certificate, as the client says.",
        clause="Client details: SEX",
        entity=Entity.CLIENT,
        kind=Kind.CODE,
        codes="SEX",
        changes=Changes.MISMATCH,
        as_of="start of episode",
        missing=Severity.REJECT,
        plain="Sex",
    ),
    Field(
        header="ETHNIC",
        label="Ethnicity",
        noun="ethnicity",
        definition=(
            "The client's ethnicity in the client's own view, by the census (OPCS) categories. A client who "
            "declines to answer is recorded as “not stated”, one who does not know as “ethnicity is unknown”."
        ),
        clause="Client details: ETHNIC",
        entity=Entity.CLIENT,
        kind=Kind.CODE,
        codes="ETHNIC",
        changes=Changes.SHOULD_NOT,
        as_of="start of episode",
        plain="Ethnicity",
    ),
    Field(
        header="NATION",
        label="Country of birth",
        noun="country of birth",
        definition=(
            "The country in which the client was born. Kosovo is recorded as Serbia, as the NHS data dictionary does."
        ),
        clause="Client details: NATION",
        entity=Entity.CLIENT,
        kind=Kind.CODE,
        codes="NATION",
        changes=Changes.SHOULD_NOT,
        as_of="start of episode",
        plain="Country of birth",
    ),
    Field(
        header="AGNCY",
        label="CJIT agency code",
        noun="CJIT agency code",
        definition=(
            "The code that the regional NDTMS team has allocated to the Criminal Justice Intervention Team, "
            "such as CJ123."
        ),
        clause="Client details: AGNCY",
        entity=Entity.CLIENT,
        kind=Kind.ID,
        changes=Changes.MISMATCH,
        missing=Severity.REJECT,
        system=True,
    ),
    Field(
        header="CLIENT",
        label="Client reference",
        noun="client reference",
        definition=(
            "The unique number or ID the provider gives a client, the same in all of the client's episodes "
            "there. It must neither hold nor be made from anything that could identify the person."
        ),
        clause="Client details: CLIENT",
        entity=Entity.CLIENT,
        kind=Kind.ID,
        changes=Changes.SHOULD_NOT,
        missing=Severity.REJECT,
        hint="The same in all of the client's episodes here, and with nothing in it that tells who they are",
        plain="Your reference here",
    ),
    # ---- Episode details -----------------------------------------------------------------------
    Field(
        header="EPISODID",
        label="Episode ID",
        noun="episode ID",
        definition=(
            "The unique technical identifier of the episode in the provider's clinical system, for example "
            "the row number in its episode table. It should neither hold nor be made from anything that "
            "could identify the person."
        ),
        clause="Episode details: EPISODID",
        entity=Entity.EPISODE,
        kind=Kind.ID,
        changes=Changes.SHOULD_NOT,
        missing=Severity.REJECT,
        system=True,
    ),
    Field(
        header="CMSID",
        label="Software system and version used",
        noun="software system and version used",
        definition="An identifier of the clinical system, and its version, that the provider works with.",
        clause="Episode details: CMSID",
        entity=Entity.EPISODE,
        kind=Kind.ID,
        changes=Changes.MAY,
        as_of="current situation",
        missing=Severity.REJECT,
        system=True,
    ),
    Field(
        header="CONSENT",
        label="Consent for NDTMS",
        noun="consent for NDTMS",
        definition=(
            "Whether the client agrees to their data being shared with NDTMS. Every client is asked for "
            "consent that is informed and evidenced, and nothing about a client may be sent without it. (No "
            "consequence is printed; that the record is rejected is our reading 10.)"
        ),
        clause="Episode details: CONSENT",
        entity=Entity.EPISODE,
        kind=Kind.CODE,
        codes="CONSENT",
        withdraws=("N",),
        changes=Changes.MAY,
        as_of="current situation",
        missing=Severity.REJECT,
    ),
    Field(
        header="PC",
        label="Postcode",
        noun="postcode",
        definition=(
            "The postcode of the client's home less its last two characters, which the software removes on "
            "extract: “NR14 7UJ” becomes “NR14 7”. For a client of no fixed abode, or whose home is outside "
            "the UK, the default postcode ZZ99 3VZ is used (“ZZ99 3” on extract)."
        ),
        clause="Episode details: PC",
        entity=Entity.EPISODE,
        kind=Kind.POSTCODE,
        changes=Changes.MAY,
        as_of="current living situation",
        hint="For example, NR14 7UJ",
        plain="Postcode",
    ),
    Field(
        header="DAT",
        label="DAT of residence",
        noun="DAT of residence",
        definition=(
            "The partnership area of the client's home now, told by its postcode; for a home in Scotland, "
            "Wales, Northern Ireland or outside the UK, the code for that. For a client of no fixed abode, "
            "the partnership of the CJIT stands in. (The housing situation, by contrast, is as at the start "
            "of the episode.)"
        ),
        clause="Episode details: DAT",
        entity=Entity.EPISODE,
        kind=Kind.CODE,
        codes="DAT",
        changes=Changes.MAY,
        as_of="current situation",
        missing=Severity.EXCLUDE,
        hint=(
            "Filled in when you save, where the area of the postcode is known here; correct it if it is wrong. Of a"
            " client of no fixed abode it is that of your agency"
        ),
        plain="Partnership area",
    ),
    Field(
        header="UTLA",
        label="Upper tier local authority",
        noun="upper tier local authority",
        definition=(
            "The upper tier local authority of the client's home, which the software fills in from the "
            "postcode, not the provider; for a home in Scotland, Wales, Northern Ireland or outside the UK, "
            "the code for that. For a client of no fixed abode, the authority where they last were so."
        ),
        clause="Episode details: UTLA",
        entity=Entity.EPISODE,
        kind=Kind.CODE,
        codes="UTLA",
        changes=Changes.MAY,
        as_of="current situation",
        system=True,
        hint=(
            "Filled in from the postcode when you save. Of a client of no fixed abode, the area in which they were last"
            " of no fixed abode"
        ),
        plain="Council",
    ),
    Field(
        header="REFLD",
        label="Date of the event which prompted this contact",
        noun="date of the event which prompted this contact",
        definition=(
            "The date of the event behind this contact: of the drug test (whether or not attending was "
            "required), of the release from prison, or of the referral by another service. Where no event "
            "clearly came before, such as for a client who came unreferred and with no recent arrest or "
            "release, it is the contact/assessment date."
        ),
        clause="Episode details: REFLD",
        entity=Entity.EPISODE,
        kind=Kind.DATE,
        changes=Changes.MISMATCH,
        missing=Severity.EXCLUDE,
        hint="For example, 27 3 2026. If no event came before, give the contact/assessment date",
        plain="When it happened",
    ),
    Field(
        header="CJRFLS",
        label="What event prompted the contact?",
        noun="event which prompted the contact",
        definition=(
            "The event behind this contact, recorded also for a client who goes no further than a required "
            "assessment. Voluntary contact is told apart by whether it followed an arrest or a release from "
            "prison."
        ),
        clause="Episode details: CJRFLS",
        entity=Entity.EPISODE,
        kind=Kind.CODE,
        codes="CJRFLS",
        changes=Changes.SHOULD_NOT,
        as_of="start of episode",
        plain="What brought you here",
    ),
    Field(
        header="TRIAGED",
        label="Contact/assessment date",
        noun="contact/assessment date",
        definition=(
            "The date of the first contact with the service or of triage: the first time the client met a "
            "CJIT worker face to face or equivalently."
        ),
        clause="Episode details: TRIAGED",
        entity=Entity.EPISODE,
        kind=Kind.DATE,
        changes=Changes.SHOULD_NOT,
        missing=Severity.EXCLUDE,
        plain="First meeting with us",
    ),
    Field(
        header="OFFENCE",
        label="Offence",
        noun="offence",
        definition=("The offence behind the client's present or latest contact with the criminal justice system."),
        clause="Episode details: OFFENCE",
        entity=Entity.EPISODE,
        kind=Kind.CODE,
        codes="OFFENCE",
        changes=Changes.SHOULD_NOT,
        as_of="start of episode",
        plain="Offence",
    ),
    Field(
        header="PRISON",
        label="DAT/LA or secure setting transferred from",
        noun="DAT, LA or prison before the transfer",
        definition="The DAT, local authority or prison from which the client was transferred.",
        clause="Episode details: PRISON",
        entity=Entity.EPISODE,
        kind=Kind.CODE,
        codes="PRISON",
        changes=Changes.SHOULD_NOT,
        as_of="start of episode",
        hint="Only for a client who was transferred to you",
        plain="Transferred to us from",
    ),
    Field(
        header="SEXUALO",
        label="Client stated sexual orientation",
        noun="client's stated sexual orientation",
        definition=("The client's sexual orientation. A client who declines to answer is recorded as “not stated”."),
        clause="Episode details: SEXUALO",
        entity=Entity.EPISODE,
        kind=Kind.CODE,
        codes="SEXUALO",
        changes=Changes.SHOULD_NOT,
        as_of="start of episode",
        plain="Sexual orientation",
    ),
    Field(
        header="PREGNANT",
        label="Pregnant",
        noun="pregnancy status",
        definition="Whether the client is pregnant. It is not tied to the client's stated sex.",
        clause="Episode details: PREGNANT",
        entity=Entity.EPISODE,
        kind=Kind.CODE,
        codes="PREGNANT",
        changes=Changes.SHOULD_NOT,
        as_of="start of episode",
        plain="Pregnant",
    ),
    Field(
        header="RELIGION",
        label="Religion",
        noun="religion",
        definition=(
            "The client's religion or belief. A client who declines to answer is recorded as “declines to disclose”."
        ),
        clause="Episode details: RELIGION",
        entity=Entity.EPISODE,
        kind=Kind.CODE,
        codes="RELIGION",
        changes=Changes.SHOULD_NOT,
        as_of="start of episode",
        plain="Religion",
    ),
    Field(
        header="DISABLE1",
        label="Disability 1",
        noun="first disability",
        definition=(
            "A disability the client considers themselves to have, by Appendix A. A client who declines to "
            "answer is recorded as “not stated”, one without a disability as “no disability”; either way "
            "DISABLE2 and DISABLE3 are left blank."
        ),
        clause="Episode details: DISABLE1",
        entity=Entity.EPISODE,
        kind=Kind.CODE,
        codes="DISABLE",
        changes=Changes.SHOULD_NOT,
        as_of="start of episode",
        plain="Disability",
    ),
    Field(
        header="DISABLE2",
        label="Disability 2",
        noun="second disability",
        definition=(
            "A second disability the client considers themselves to have, by Appendix A; blank if there is no second."
        ),
        clause="Episode details: DISABLE2",
        entity=Entity.EPISODE,
        kind=Kind.CODE,
        codes="DISABLE",
        changes=Changes.SHOULD_NOT,
        as_of="start of episode",
        plain="",
    ),
    Field(
        header="DISABLE3",
        label="Disability 3",
        noun="third disability",
        definition=(
            "A third disability the client considers themselves to have, by Appendix A; blank if there is no third."
        ),
        clause="Episode details: DISABLE3",
        entity=Entity.EPISODE,
        kind=Kind.CODE,
        codes="DISABLE",
        changes=Changes.SHOULD_NOT,
        as_of="start of episode",
        plain="",
    ),
    Field(
        header="ALCDDAYS",
        label="Drinking days",
        noun="number of drinking days",
        definition="On how many of the 28 days before the initial assessment the client drank alcohol.",
        clause="Episode details: ALCDDAYS",
        entity=Entity.EPISODE,
        kind=Kind.NUMBER,
        changes=Changes.SHOULD_NOT,
        as_of="start of episode",
        minimum=0,
        maximum=28,
        plain="Days with alcohol, of 28",
    ),
    Field(
        header="ALCUNITS",
        label="Units of alcohol",
        noun="number of units of alcohol",
        definition=(
            "How many units of alcohol the client typically drank on a drinking day in the 28 days before "
            "the initial assessment. (0 to 200: the range printed on a CJIT form for dataset P; dataset Q "
            "prints none.)"
        ),
        clause="Episode details: ALCUNITS",
        entity=Entity.EPISODE,
        kind=Kind.NUMBER,
        changes=Changes.SHOULD_NOT,
        as_of="start of episode",
        minimum=0,
        maximum=200,
        plain="Units on a drinking day",
    ),
    Field(
        header="HOUSING",
        label="What is the client's current housing situation?",
        noun="housing situation",
        definition=(
            "The client's housing in the 28 days before treatment started. Appendix B has the answers and "
            "what each means."
        ),
        clause="Episode details: HOUSING",
        entity=Entity.EPISODE,
        kind=Kind.CODE,
        codes="HOUSING",
        changes=Changes.SHOULD_NOT,
        as_of="start of episode",
        plain="Housing",
    ),
    Field(
        header="HOMELESS",
        label="Is the client threatened with homelessness in the next 56 days (8 weeks)?",
        noun="threat of homelessness",
        definition=(
            "Whether the client may become homeless within 56 days: the time within which the Homelessness "
            "Reduction Act 2017 obliges housing authorities to help people keep a home."
        ),
        clause="Episode details: HOMELESS",
        entity=Entity.EPISODE,
        kind=Kind.CODE,
        codes="HOMELESS",
        changes=Changes.SHOULD_NOT,
        as_of="start of episode",
        plain="Could lose your home within 8 weeks",
    ),
    Field(
        header="VETERAN",
        label="British Armed Forces veteran",
        noun="veteran status",
        definition=(
            "Whether the client has served in the British armed forces: Royal Navy, Royal Marines, British "
            "Army, Royal Air Force, or the Regular, Volunteer or Sponsored Reserves. Asked because veterans "
            "are likelier than others to misuse substances and to have mental health issues, so that their "
            "needs, engagement and outcomes can be understood."
        ),
        clause="Episode details: VETERAN",
        entity=Entity.EPISODE,
        kind=Kind.CODE,
        codes="VETERAN",
        changes=Changes.SHOULD_NOT,
        as_of="start of episode",
        plain="Served in the armed forces",
    ),
    Field(
        header="PARENT",
        label="Parental responsibility",
        noun="parental responsibility",
        definition=(
            "Whether at treatment start the client has parental responsibility for a child under 18. It is "
            "meant more widely than in law: biological, step-, foster and adoptive parents, guardians, and "
            "anyone who lives with a child, or with a child's parent, and has taken on all or part of a "
            "parent's duties, such as for younger siblings or grandchildren."
        ),
        clause="Episode details: PARENT",
        entity=Entity.EPISODE,
        kind=Kind.CODE,
        codes="PARENT",
        changes=Changes.SHOULD_NOT,
        as_of="start of episode",
        plain="Responsible for a child",
    ),
    Field(
        header="PRNTSTAT",
        label="If client has parental responsibility, do any of these children live with the client?",
        noun="answer on where the children live",
        definition=(
            "Where PARENT is yes: whether all, some or none of the children under 18 the client is "
            "responsible for live with the client most of the time. Appendix C has the answers and what "
            "each means."
        ),
        clause="Episode details: PRNTSTAT",
        entity=Entity.EPISODE,
        kind=Kind.CODE,
        codes="PRNTSTAT",
        changes=Changes.SHOULD_NOT,
        as_of="start of episode",
        required="where the client has parental responsibility",
        plain="Your children live with you",
    ),
    Field(
        header="CHILDWTH",
        label="How many children under 18 in total live in the same house as the client?",
        noun="number of children living in the same house as the client",
        definition=(
            "How many children under 18 live in the client's household at least one night a fortnight, "
            "whether or not the client has parental responsibility for them. 98 means the client declined "
            "to answer. (No range is printed; to query more than 20 is our reading.)"
        ),
        clause="Episode details: CHILDWTH",
        entity=Entity.EPISODE,
        kind=Kind.NUMBER,
        changes=Changes.SHOULD_NOT,
        as_of="start of episode",
        minimum=0,
        # Our reading: high enough for any household, low enough to catch 89 or 99 typed for 98.
        maximum=20,
        apart={"98": "client declined to answer"},
        plain="Children in your home",
    ),
    Field(
        header="EHCS",
        label=f"{_CHILDREN_HELP} (1)",
        noun="help for the children",
        definition=(
            "The help received by children under 18 for whom the client has parental responsibility, "
            "wherever they live, or who live with the client, whoever is responsible for them. Where several "
            "answers apply, EHCSC2 and EHCSC3 take the others. They are left blank where the answer is that "
            "none of the children are receiving any help, or that the client declined to answer. Appendix C "
            "has the answers and what each means."
        ),
        clause="Episode details: EHCS",
        entity=Entity.EPISODE,
        kind=Kind.CODE,
        codes="EHCS",
        changes=Changes.SHOULD_NOT,
        as_of="start of episode",
        required="where the client has parental responsibility or lives with children",
        # The field table prints EHCS; the texts, Appendix C and the revision history EHCSC and EHCSC1.
        also=("EHCSC", "EHCSC1"),
        plain="Help the children receive",
    ),
    Field(
        header="EHCSC2",
        label=f"{_CHILDREN_HELP} (2)",
        noun="second kind of help for the children",
        definition=(
            "A second kind of help those children receive; EHCSC3 takes a third. Blank if the client "
            "declines to answer or no help is received."
        ),
        clause="Episode details: EHCSC2",
        entity=Entity.EPISODE,
        kind=Kind.CODE,
        codes="EHCS",
        changes=Changes.SHOULD_NOT,
        as_of="start of episode",
        plain="",
    ),
    Field(
        header="EHCSC3",
        label=f"{_CHILDREN_HELP} (3)",
        noun="third kind of help for the children",
        definition=(
            "A third kind of help those children receive. Blank if the client declines to answer or no help "
            "is received."
        ),
        clause="Episode details: EHCSC3",
        entity=Entity.EPISODE,
        kind=Kind.CODE,
        codes="EHCS",
        changes=Changes.SHOULD_NOT,
        as_of="start of episode",
        plain="",
    ),
    Field(
        header="DRUG1",
        label="Problem substance number 1",
        noun="first problem substance",
        definition=(
            "The substance that brought the client to the CJIT, as seen at triage or initial assessment, "
            "even if no longer used. Where there are several, the provider decides clinically which is the "
            "primary one."
        ),
        clause="Episode details: DRUG1",
        entity=Entity.EPISODE,
        kind=Kind.CODE,
        codes="DRUG",
        changes=Changes.SHOULD_NOT,
        as_of="start of episode",
        missing=Severity.REJECT,
        plain="Drug or alcohol problem",
    ),
    Field(
        header="ROUTE",
        label="Route of administration of problem substance number 1",
        noun="route of administration of the first problem substance",
        definition=("How the client takes the first problem substance, as recorded at triage or initial assessment."),
        clause="Episode details: ROUTE",
        entity=Entity.EPISODE,
        kind=Kind.CODE,
        codes="ROUTE",
        changes=Changes.SHOULD_NOT,
        as_of="start of episode",
        plain="How you take the first",
    ),
    Field(
        header="DRUG2",
        label="Problem substance number 2",
        noun="second problem substance",
        definition=(
            "A further substance that brought the client to the CJIT, as seen at triage or initial "
            "assessment, even if no longer used; blank if there is no second."
        ),
        clause="Episode details: DRUG2",
        entity=Entity.EPISODE,
        kind=Kind.CODE,
        codes="DRUG",
        changes=Changes.SHOULD_NOT,
        as_of="start of episode",
        # Earlier core datasets wrote "no second substance" as a code; dataset Q leaves the field blank.
        none=("9996",),
        plain="Other drugs",
    ),
    Field(
        header="DRUG3",
        label="Problem substance number 3",
        noun="third problem substance",
        definition=(
            "A further substance that brought the client to the CJIT, as seen at triage or initial "
            "assessment, even if no longer used; blank if there is no third."
        ),
        clause="Episode details: DRUG3",
        entity=Entity.EPISODE,
        kind=Kind.CODE,
        codes="DRUG",
        changes=Changes.SHOULD_NOT,
        as_of="start of episode",
        none=("9997",),
        plain="",
    ),
    Field(
        header="INJSTAT",
        label="Injecting status",
        noun="injecting status",
        definition=("Whether the client injects now, used to inject, has never injected, or declined to answer."),
        clause="Episode details: INJSTAT",
        entity=Entity.EPISODE,
        kind=Kind.CODE,
        codes="INJSTAT",
        changes=Changes.SHOULD_NOT,
        as_of="start of episode",
        plain="Injecting",
    ),
    Field(
        header="CPLANDT",
        label="Caseload start date",
        noun="caseload start date",
        definition=(
            "The date a care plan was made and agreed with the client, which is when the client is taken "
            "onto the caseload. An episode of a client who is not taken on is closed with a “prior to "
            "caseload” reason."
        ),
        clause="Episode details: CPLANDT",
        entity=Entity.EPISODE,
        kind=Kind.DATE,
        changes=Changes.SHOULD_NOT,
        as_of="start of episode",
        hint="Leave it blank until a care plan is agreed",
        plain="Care plan agreed",
    ),
    Field(
        header="NALOXISS",
        label="Has the client been issued with naloxone at episode start?",
        noun="naloxone issued",
        definition=(
            "Whether at treatment start the provider issued the client with naloxone, nasal, injectable or "
            "both. A client who already has some is recorded as “No – client already in possession of "
            "adequate naloxone”."
        ),
        clause="Episode details: NALOXISS",
        entity=Entity.EPISODE,
        kind=Kind.CODE,
        codes="NALOXISS",
        changes=Changes.SHOULD_NOT,
        as_of="start of episode",
        plain="Naloxone from us",
    ),
    Field(
        header="NALOXAD",
        label=("Has the client ever been administered with naloxone to reverse the effects of an overdose?"),
        noun="naloxone ever given",
        definition=(
            "Whether, up to treatment start, the client has ever been given naloxone, nasal or injectable, "
            "to reverse an overdose."
        ),
        clause="Episode details: NALOXAD",
        entity=Entity.EPISODE,
        kind=Kind.CODE,
        codes="NALOXAD",
        changes=Changes.SHOULD_NOT,
        as_of="start of episode",
        plain="Ever given naloxone",
    ),
    Field(
        header="DISD",
        label="Case closure date",
        noun="case closure date",
        definition=(
            "The date the client left the caseload or, for a client not taken onto it, of the last "
            "assessment. It is also entered when the client goes to prison. If the closure was unplanned, "
            "the date of the last face-to-face or equivalent contact; a client with no contact for 2 months "
            "counts as disengaged, and is closed on that same date, whatever work to re-engage them goes on. "
            "This holds for contact/assessment dates after 1 April 2006, and earlier records are left as "
            "they are. A client who comes back after closure is assessed again, in a new episode with a new "
            "triage date. Given together with the case closure reason."
        ),
        clause="Episode details: DISD",
        entity=Entity.EPISODE,
        kind=Kind.DATE,
        # Printed beside the reason only; the two are given together, so it holds for both.
        changes=Changes.FILLED_ONLY,
        required="when the case is closed, together with the case closure reason",
        plain="Last day with us",
    ),
    Field(
        header="CJDISRSN",
        label="Case closure reason",
        noun="case closure reason",
        definition=(
            "Why the client left the caseload, or was not taken onto it. Appendix E has the reasons and "
            "what each means. Given together with the case closure date."
        ),
        clause="Episode details: CJDISRSN",
        entity=Entity.EPISODE,
        kind=Kind.CODE,
        codes="CJDISRSN",
        changes=Changes.FILLED_ONLY,
        required="when the case is closed, together with the case closure date",
        plain="Why it ended",
    ),
    # ---- Referrals to structured treatment -----------------------------------------------------
    Field(
        header="REFERID",
        label="Referral to structured treatment ID",
        noun="ID of the referral to structured treatment",
        definition=(
            "The unique technical identifier of the referral in the provider's clinical system. It should "
            "neither hold nor be made from anything that could identify the person. Required of every "
            "referral; an episode without one leaves it blank."
        ),
        clause="Referrals to structured treatment: REFERID",
        entity=Entity.REFERRAL,
        kind=Kind.ID,
        changes=Changes.SHOULD_NOT,
        required="for each referral",
        system=True,
    ),
    Field(
        header="REFDATE",
        label="Date referred to structured treatment agency",
        noun="date of the referral to structured treatment",
        definition=(
            "The date a referral to a provider of structured treatment, as Appendix D defines it, was made. "
            "Several may be made while the client is on the caseload, each on a row of its own. Required of "
            "every referral; an episode without one leaves it blank."
        ),
        clause="Referrals to structured treatment: REFDATE",
        entity=Entity.REFERRAL,
        kind=Kind.DATE,
        changes=Changes.SHOULD_NOT,
        required="for each referral",
    ),
)
