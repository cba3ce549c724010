"""The rules across fields and rows of CJIT dataset Q, in the document's order.

The rules on presence, type, range, list and "the same on every row" follow from the fields (`cjit.kinds`). This module
has what the business definitions say, or imply, on several fields together. Two conventions keep one mistake to one
message. A text that is no valid value silences every rule that reads the value, in the engine. Where two rules could
fire for one mistake, the condition of one is false where the other fires.

`docs/source.md` lists every sentence of the business definitions with the field or rule that keeps it, and every
rule that is our reading with its reason.
"""

# ruff: noqa: SIM300 - columns are upper case, but no constants

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from cjit.conditions import (
    SUBMITTER,
    WITHHELD,
    Cell,
    Condition,
    HasCheckFigure,
    Value,
    any_row,
    cells,
    differs,
    first_given,
    how_often,
    joined,
    latest,
    newest,
    rows_with_the_same,
)
from cjit.dataset import OUR_READING, Rule, Severity, Wording
from cjit.datasets.q.lists import LISTS
from cjit.datasets.q.tables import REGION_LETTERS, authorities_by_dat, region_of
from cjit.geography import (
    DEFAULT_POSTCODE,
    DEFAULT_SECTOR,
    SECTOR_ALLOWS,
    SECTOR_IN_ENGLAND,
    SECTOR_KNOWN,
    area_has_authority,
    area_has_sector,
)
from cjit.kinds import POWER_OF_TEN

REJECT, QUERY = Severity.REJECT, Severity.QUERY

# The fields that rules across fields read, by their headers.
CLIENTID, CLIENT, FINITIAL, SINITIAL, DOB, NATION, AGNCY = cells(
    *("CLIENTID", "CLIENT", "FINITIAL", "SINITIAL", "DOB", "NATION", "AGNCY")
)
EPISODID, CONSENT, PC, DAT, UTLA, REFLD, TRIAGED = cells(
    *("EPISODID", "CONSENT", "PC", "DAT", "UTLA", "REFLD", "TRIAGED")
)
ALCDDAYS, ALCUNITS, PARENT, PRNTSTAT, CHILDWTH, EHCS, EHCSC2, EHCSC3 = cells(
    *("ALCDDAYS", "ALCUNITS", "PARENT", "PRNTSTAT", "CHILDWTH", "EHCS", "EHCSC2", "EHCSC3")
)
DRUG1, DRUG2, DRUG3, ROUTE, INJSTAT, CPLANDT, DISD, CJDISRSN, REFERID, REFDATE = cells(
    *("DRUG1", "DRUG2", "DRUG3", "ROUTE", "INJSTAT", "CPLANDT", "DISD", "CJDISRSN", "REFERID", "REFDATE")
)

#: Codes that are used for Kosovo, which has none in ISO 3166-1: the user-assigned codes of the European Commission,
#: Unicode and the World Bank, those of sport and of passports, and the two-letter ones.
KOSOVO = ("XKX", "XKK", "XXK", "XKS", "XKO", "KOS", "KSV", "RKS", "XK", "KV", "RK")

#: Appendix E: the reasons printed under one heading only. 99, 13, 14 and 74 stand under both.
PRIOR_TO_CASELOAD_ONLY = ("73", "1", "2")
FROM_CASELOAD_ONLY = ("10", "15", "4", "7", "8", "12", "11", "9")
#: The closure reasons for a planned end: those from caseload that are not called "incomplete".
PLANNED = ("10", "15", "4", "99", "13", "14", "74", "7")
TRANSFERRED_NOT_IN_CUSTODY, DIED = "99", "9"

OUT_OF_ENGLAND = "Z00B"
#: The DATs of our list that lie in no region of England.
DATS_OUTSIDE_ENGLAND = tuple(code for code in LISTS["DAT"].codes if region_of(code) is None)
#: How a postcode of the British Forces Post Office begins. It belongs to no place.
FORCES = "BF1 "
ALCOHOL = "7000"
#: Codes whose label names a group of substances: other opiates, barbiturates, benzodiazepines, amphetamines,
#: hallucinogens, solvents, major tranquilisers, anti-depressants, other drugs, prescription drugs.
GROUPS_OF_SUBSTANCES = ("1000", "2100", "2200", "3100", "4000", "6000", "8200", "8300", "8799", "9005")
INJECT, SNIFF, SMOKE = "1", "2", "3"
NEVER_INJECTED = "N"
ALL_LIVE_WITH_CLIENT, SOME_LIVE_WITH_CLIENT = "11", "12"
CHILDREN_DECLINED = 98

# The least number of days in 10 years, and the greatest in 111, so that no age of 10 to 110 years is out of bounds.
_TEN_YEARS, _HUNDRED_AND_TEN_YEARS = 3_652, 40_543

# Cells for the examples: a closure, and a second client, episode and referral beside those of the example record.
_CLOSED = {"DISD": "15/01/2026", "CJDISRSN": "10"}
_NO_REFERRAL = {"REFERID": "", "REFDATE": ""}
_SECOND_REFERRAL = {"REFERID": "30016", "REFDATE": "02/12/2025"}
_SECOND_CLIENT = {"CLIENTID": "10043", "CLIENT": "C10043", "EPISODID": "20078", "REFERID": "30016"}
_SECOND_EPISODE = {"EPISODID": "20078", "REFERID": "30016"}
_DIED_BEFORE_THE_NEXT = {"DISD": "14/01/2026", "CJDISRSN": DIED}
_NEXT_EPISODE = _SECOND_EPISODE | {
    "REFLD": "15/01/2026",
    "TRIAGED": "15/01/2026",
    "CPLANDT": "",
    "REFDATE": "20/01/2026",
}


# ---- ids that say who somebody is ------------------------------------------------------------------

_DAY, _MONTH, _YEAR = "(?:0[1-9]|[12][0-9]|3[01])", "(?:0[1-9]|1[0-2])", "(?:19|20)[0-9]{2}"
_DASHES = "[-/._ ]"
_DASH = f"{_DASHES}?"
#: A date with a four-figure year, anywhere in a text.
_WHOLE_DATE = "|".join(
    _DASH.join(parts) for parts in ((_DAY, _MONTH, _YEAR), (_MONTH, _DAY, _YEAR), (_YEAR, _MONTH, _DAY))
)
#: A date with a two-figure year.
_SHORT_DATE = "|".join(
    _DASH.join(parts) for parts in ((_DAY, _MONTH, "[0-9]{2}"), (_MONTH, _DAY, "[0-9]{2}"), ("[0-9]{2}", _MONTH, _DAY))
)
#: The same without a figure before or after it, because six figures of a longer number look like a date by chance.
_SHORT_DATE_ALONE = f"(?:^|[^0-9])({_SHORT_DATE})(?:[^0-9]|$)"
#: Two letters and a date with a two-figure year at the start of a text: these may be initials and a birth date.
_AFTER_TWO_LETTERS = f"^[A-Za-z]{{2}}{_DASH}({_SHORT_DATE})"
#: Ten figures, together or written 3-3-4, from the ranges issued in England and Wales (400 and 600 million on) or
#: reserved for tests (999). One number in eleven has a right check digit, so without the ranges every eleventh running
#: number of ten figures would count as an NHS number.
_NHS = "(?:4[0-9]|6[0-9]|70|99)[0-9][ -]?[0-9]{3}[ -]?[0-9]{4}"
_NHS_NUMBER = f"(?:^|[^0-9])({_NHS})(?:[^0-9]|$)"
#: The same, written 3-3-4 or joined to something, for an id of which one person has several.
_NHS_NUMBER_JOINED = f"(?:^|[^0-9])({_NHS})[^0-9]|[^0-9]({_NHS})$|^({_NHS.replace('[ -]?', '[ -]')})$"
#: A random number as software makes it. It looks like an identifying number by chance only.
_GUID = "^[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"
_EMAIL = "[^@ \t\r\n]@[^@ \t\r\n]+\\.[A-Za-z]"
_POSTCODE = "(?:^|[^A-Za-z0-9])([A-Za-z]{1,2}[0-9][A-Za-z0-9]?) ?([0-9])[A-Za-z]{2}(?:[^A-Za-z0-9]|$)"


_AGENCY_CODE = "^[A-Za-z]{1,2}[0-9]{3,4}$"
_BEGINS_WITH_ZZ = "^ZZ"
_OF_THE_FORCES = f"^{FORCES}"
#: How the codes of local authorities in England begin, as the Office for National Statistics gives them.
_IN_ENGLAND = "^E"


def _names_nobody(header: str, message: str, clause: str, breaks: str, holds: str) -> Rule:
    """The rule that an id or a client reference does not say who the person is.

    It breaks where the text contains the client's birth date or postcode, or any e-mail address, spaced postcode or NHS
    number. The patterns are narrow, so that a running number does not match by chance.

    Args:
        header: the header of the id or the reference.
        message: the message.
        clause: the clause.
        breaks: a text that breaks the rule.
        holds: a text that keeps it.

    Returns:
        The rule.
    """
    text = Cell(header)
    several = header in ("EPISODID", "REFERID")
    nhs = _NHS_NUMBER_JOINED if several else _NHS_NUMBER

    def is_birth_date(figures: Value) -> Condition:
        forms = ("%d%m%Y", "%m%d%Y", "%Y%m%d", "%d%m%y", "%m%d%y", "%y%m%d")
        return figures.without(_DASHES).is_one_of(*(DOB.written(form) for form in forms))

    letters = text.begins(2).in_capitals
    initials = letters.is_one_of(joined(FINITIAL, SINITIAL), joined(SINITIAL, FINITIAL))
    nhs_number = first_given(*(text.found(nhs, group) for group in range(1, 4 if several else 2)))
    clients_postcode = joined(text.found(_POSTCODE).in_capitals, " ", text.found(_POSTCODE, 2)) == PC
    return Rule(
        f"{header}.identifies_nobody",
        QUERY,
        message,
        clause,
        ~text.matches(_GUID)
        & (
            is_birth_date(text.found(f"({_WHOLE_DATE})"))
            | is_birth_date(text.found(_SHORT_DATE_ALONE))
            | (initials & is_birth_date(text.found(_AFTER_TWO_LETTERS)))
            | HasCheckFigure(nhs_number.without("[ -]"))
            | text.matches(_EMAIL)
            | text.matches(_POSTCODE.replace(" ?", " "))
            | clients_postcode
        ),
        breaks={header: breaks},
        holds={header: holds},
    )


# ---- ids that are not what they seem ---------------------------------------------------------------

#: The invisible characters: control and format characters (a line feed, a zero-width space, a soft hyphen, a byte order
#: mark), and every space but the plain one. Each pair is the first and the last code point of a run.
_INVISIBLE_RUNS = (
    *((0x00, 0x1F), (0x7F, 0xA0), (0xAD, 0xAD), (0x600, 0x605), (0x61C, 0x61C), (0x6DD, 0x6DD), (0x70F, 0x70F)),
    *((0x890, 0x891), (0x8E2, 0x8E2), (0x1680, 0x1680), (0x180E, 0x180E), (0x2000, 0x200F), (0x2028, 0x202F)),
    *((0x205F, 0x2064), (0x2066, 0x206F), (0x3000, 0x3000), (0xFEFF, 0xFEFF), (0xFFF9, 0xFFFB), (0x110BD, 0x110BD)),
    *((0x110CD, 0x110CD), (0x13430, 0x1343F), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0001, 0xE0001)),
    *((0xE0020, 0xE007F),),
)
_INVISIBLE = f"[{''.join(f'{chr(first)}-{chr(last)}' for first, last in _INVISIBLE_RUNS)}]"


def _visible(text: Value) -> Value:
    return text.without(_INVISIBLE)


def _has_nothing_invisible(header: str, noun: str, breaks: str, holds: str, replaces: str = "") -> Rule:
    """The rule that an id has no invisible characters. Plain spaces are not among them.

    Args:
        header: the header of the id.
        noun: its name in the message.
        breaks: a text that breaks the rule.
        holds: a text that keeps it.
        replaces: the id of the rule that does not fire where this one does ("": none).

    Returns:
        The rule.
    """
    return Rule(
        f"{header}.has_no_invisible_characters",
        QUERY,
        f"Remove the invisible characters from the {noun}",
        OUR_READING,
        Cell(header).matches(_INVISIBLE),
        breaks={header: breaks},
        holds={header: holds},
        replaces=replaces,
        reading="An ID is taken as it is, so one that holds a character nobody sees, such as a zero-width or no-break "
        "space, is another than the same without it: no row, file or person that looks for it finds it.",
    )


#: The words that programs and people write where there is no value, as patterns in capitals: the null of a database or
#: of a program, "not known", a word for something to be filled in, crosses.
_NOTHING = (
    *("N/?A", "N/?K", "NAN", "NIL", "NONE", "NULL", "<NULL>", r"\(NULL\)", "UNDEFINED", "UNKNOWN", "MISSING", "BLANK"),
    *(r"\(BLANK\)", "NOT (KNOWN|AVAILABLE|STATED|RECORDED)", "TBA", "TBC", "TEST", "X{1,3}"),
)


def _in_any_case(capitals: str) -> str:
    """A pattern of capitals as one that takes small letters too."""
    return "".join(f"[{sign}{sign.lower()}]" if sign.isalpha() else sign for sign in capitals)


#: A text that stands for no value: an error of a spreadsheet (#REF!, #####, #N/A), one of the words above, noughts
#: alone or signs alone.
_STANDS_FOR_NOTHING = f"^(#+|#[A-Za-z0/]+[!?]?|{'|'.join(map(_in_any_case, _NOTHING))}|0+|[-–—_.?*/]+)$"


def is_no_id(text: str) -> bool:
    """Whether a text for an id identifies nothing: a power of ten that a spreadsheet wrote, or a placeholder."""
    text = text.strip()
    return bool(re.match(POWER_OF_TEN, text) or re.match(_STANDS_FOR_NOTHING, text))


def _is_not_shortened(header: str, noun: str) -> Rule:
    """The rule that an id has all its figures, and is not a power of ten."""
    return Rule(
        f"{header}.is_not_shortened",
        REJECT,
        f"Make the extract again without opening it in a spreadsheet: the {noun} was shortened to a power of ten",
        OUR_READING,
        Cell(header).matches(POWER_OF_TEN),
        breaks={header: "1.23E+11"},
        holds={header: "123E11"},
        reading="A spreadsheet shows a long number as a power of ten, such as 1.23E+11, and saves what it shows: the "
        "other figures are lost, and the IDs of several become one. What is left is no unique identifier, so the ID is "
        "not completed and the record is rejected, on one row as on many: taken, it would make one person of several.",
    )


def _is_no_placeholder(header: str, noun: str) -> Rule:
    """The rule that an id is no text that stands for no value: all records without an id would have the same one."""
    return Rule(
        f"{header}.is_no_placeholder",
        REJECT,
        f"Enter the {noun}: what stands here is an error of a spreadsheet or stands for no value",
        OUR_READING,
        Cell(header).matches(_STANDS_FOR_NOTHING),
        breaks={header: "#N/A"},
        holds={header: "NA1"},
        reading="A spreadsheet writes #N/A, #REF! or ##### where it has no value to show, programs write NULL, "
        "None or 0, and people N/K, not stated, test or XXX. Everybody whose ID is missing then has the same one, so "
        "the ID is not completed and the record is rejected: taken, it would make one person of several.",
    )


# ---- patterns in words -----------------------------------------------------------------------------

_AN_NHS_NUMBER = "what looks like an NHS number"

#: The patterns of these rules in English.
PATTERN_WORDS: Mapping[str, Wording] = {
    f"({_WHOLE_DATE})": Wording(finds=("the date with a year of four figures",)),
    _SHORT_DATE_ALONE: Wording(finds=("the date with a year of two figures",)),
    _AFTER_TWO_LETTERS: Wording(finds=("the date after two letters",)),
    _DASHES: Wording(without="the signs between its parts"),
    "[ -]": Wording(without="spaces and dashes"),
    _NHS_NUMBER: Wording(finds=(_AN_NHS_NUMBER,)),
    _NHS_NUMBER_JOINED: Wording(finds=(_AN_NHS_NUMBER,) * 3),
    _GUID: Wording("is a number made by chance (a GUID)"),
    _EMAIL: Wording("holds an e-mail address"),
    _POSTCODE: Wording(finds=("the first part of the postcode", "the figure of its second part")),
    _POSTCODE.replace(" ?", " "): Wording("holds a whole postcode with its space"),
    _INVISIBLE: Wording("holds an invisible character", without="invisible characters"),
    POWER_OF_TEN: Wording("is written as a power of ten, such as 1.23E+11"),
    _STANDS_FOR_NOTHING: Wording("is a word, a sign or an error for no value, such as NULL or #N/A"),
    _AGENCY_CODE: Wording("looks like an agency code: one or two letters and three or four figures"),
    _BEGINS_WITH_ZZ: Wording("begins with ZZ"),
    _OF_THE_FORCES: Wording("begins with BF1 (the British Forces)"),
    _IN_ENGLAND: Wording("begins with E (an authority in England)"),
}


# ---- answers given in turn -------------------------------------------------------------------------

_GAP = (
    "The fields are called first, second and third, and a later one is left blank where there is no further "
    "answer: so a later answer supposes the earlier ones."
)
_REPEAT = (
    "A second or third answer is a further one. An answer that names no single thing, such as “other” or a group of "
    "substances, may stand twice."
)


def _in_turn(
    headers: tuple[str, str, str],
    thing: str,
    codes: tuple[str, str, str],
    *,
    twice: tuple[str, ...],
    alone: tuple[str, ...] = (),
    labels: tuple[str, str] = ("", ""),
    unless: Condition | None = None,
) -> Iterator[Rule]:
    """The rules on three fields that take a first, second and third answer from one list.

    Args:
        headers: the headers of the fields.
        thing: the name of an answer in the messages.
        codes: three different answers, for the examples.
        twice: the answers that may be given twice.
        alone: the answers that admit no other and can only be the first (none: there are no such answers).
        labels: the labels of the answers in `alone`, for the messages.
        unless: a condition that is true where none of the three should be given, for which there is another rule
            (None: there is no such condition).

    Yields:
        The rules, in the order of the fields.
    """
    one, two, three = headers
    first, second, third = (Cell(header) for header in headers)
    given = dict(zip(headers, codes, strict=True))
    alone_first = first.is_one_of(*alone).surely
    if alone:
        yield Rule(
            f"{one}.stands_alone",
            QUERY,
            f"Leave the second and third {thing} blank: the first says {' or '.join(labels)}",
            f"Episode details: {one}",
            alone_first & (second.is_given | third.is_given),
            breaks={one: alone[-1], two: codes[1]},
            holds={one: alone[-1], two: ""},
        )
    # A third answer after a gap is not compared with the first, because the rule on the gap fires.
    third_repeats_first = (third == first) & second.is_given
    for header, before, nth, nth_before, same in (
        (two, one, "second", "first", second == first),
        (three, two, "third", "second", third_repeats_first | (third == second)),
    ):
        answer = Cell(header)
        if alone:
            yield Rule(
                f"{header}.is_not_a_lone_answer",
                QUERY,
                f"Leave the {nth} {thing} blank: {' and '.join(labels)} can only be the first",
                f"Episode details: {one}",
                ~alone_first & answer.is_one_of(*alone),
                breaks=given | {header: alone[0]},
                holds=given,
            )
        gap = answer.is_given & Cell(before).is_blank & ~alone_first & ~answer.is_one_of(*alone)
        if not alone:
            # The first answer is mandatory here, and the rule on its presence fires where it is missing.
            gap &= first.is_given
        if unless is not None:
            gap &= ~unless.surely
        if alone or header == three:
            yield Rule(
                f"{header}.leaves_no_gap",
                QUERY,
                f"Enter the {nth_before} {thing} before the {nth}",
                OUR_READING,
                gap,
                breaks=given | {before: ""},
                holds=given,
                reading=_GAP,
            )
        yield Rule(
            f"{header}.is_not_a_repeat",
            QUERY,
            f"Leave the {nth} {thing} blank or enter another: it is the same as an earlier one",
            OUR_READING,
            same & ~alone_first & ~answer.is_one_of(*alone, *twice),
            breaks=given | {header: codes[0]},
            holds=given | {one: twice[0], header: twice[0]},
            reading=_REPEAT,
        )


# ---- the rules -------------------------------------------------------------------------------------

# Values of all rows of a client, and of all rows of an episode.
_newest = newest(TRIAGED, of=CLIENTID)
_no_referral = (how_often(REFERID, of=EPISODID) == 0) & (how_often(REFDATE.as_sent, of=EPISODID) == 0)

# The last date before the contact. Where the date of contact is blank, later dates are compared with this one.
_before_contact = first_given(REFLD, DOB)

_utla_possible = SECTOR_ALLOWS.says(PC, UTLA)
_utla_in_england = UTLA.matches(_IN_ENGLAND).surely
_pc_in_england = SECTOR_IN_ENGLAND.says(PC)
_dat_outside_england = DAT.is_one_of(*DATS_OUTSIDE_ENGLAND)
_dat_has_utla = area_has_authority("dat_has_authority", authorities_by_dat).says(DAT, UTLA)
_dat_has_pc = area_has_sector("dat_has_sector", authorities_by_dat).says(DAT, PC)
_lives_with_children = (CHILDWTH > 0) & (CHILDWTH != CHILDREN_DECLINED)
# Where PRNTSTAT is given, PARENT is doubtful, and the rule at PRNTSTAT fires.
_no_children = (PARENT == "N") & (CHILDWTH == 0) & PRNTSTAT.is_blank
_alcohol = (DRUG1 == ALCOHOL) | (DRUG2 == ALCOHOL) | (DRUG3 == ALCOHOL)


def sent_once(parts: Mapping[str, str]) -> Rule:
    """The rule that no two rows have the same episode and the same parts of it.

    Args:
        parts: the header of the id of each part by its name, such as referral. A row has at most one of each.

    Returns:
        The rule.
    """
    *others, last = parts
    # A referral without an id is no repetition, and the rule at REFERID fires.
    unnamed = REFDATE.as_sent.where(REFERID.is_blank)
    return Rule(
        "EPISODID.is_sent_once",
        QUERY,
        f"Remove this row, or give its {' or '.join(parts)} an ID of its own: another row has the same "
        f"{', '.join(('episode', *others))} and {last}",
        OUR_READING,
        # Rows of one episode and several clients are no repetition, and another rule fires.
        (rows_with_the_same(CLIENTID, EPISODID, *cells(*parts.values()), unnamed) > 1) & unnamed.is_blank,
        breaks=[{}, {}],
        holds=[{}, _SECOND_REFERRAL],
        across="EPISODID",
        reading="A row is one episode with at most one referral, so a second row of the same two says nothing "
        "new, or contradicts the first.",
    )


RULES: tuple[Rule, ...] = (
    # ---- Client details ------------------------------------------------------------------------
    _names_nobody(
        "CLIENTID",
        "Ask your software supplier for a client ID that holds no birth date, NHS number, e-mail address or postcode",
        "Client details: CLIENTID",
        breaks="MO14021986",
        holds="14021987",
    ),
    _has_nothing_invisible("CLIENTID", "client ID", breaks="10\u200b042", holds="10 042"),
    _is_not_shortened("CLIENTID", "client ID"),
    _is_no_placeholder("CLIENTID", "client ID"),
    Rule(
        "DOB.is_a_likely_age",
        QUERY,
        "Check the date of birth: it makes the client younger than 10 or older than 110 at the contact/assessment date",
        OUR_READING,
        # Where the birth is not before the event, the rule at REFLD fires.
        (REFLD.is_blank | (REFLD > DOB))
        & (TRIAGED > DOB)
        & ~(TRIAGED - DOB).is_between(_TEN_YEARS, _HUNDRED_AND_TEN_YEARS),
        breaks={"DOB": "08/11/2015"},
        holds={"DOB": "06/11/2015"},
        reading="No age is stated, and 18 is not imposed: but nobody under the age of criminal responsibility, "
        "which is 10, nor over 110 is likely to be meant.",
    ),
    Rule(
        "NATION.records_kosovo_as_serbia",
        QUERY,
        "Record Kosovo as Serbia (SRB)",
        "Client details: NATION",
        NATION.as_read.is_one_of(*KOSOVO),
        breaks={"NATION": "XKX"},
        holds={"NATION": "SRB"},
        replaces="NATION.is_in_list",
    ),
    Rule(
        "AGNCY.looks_like_an_agency_code",
        QUERY,
        "Check the CJIT agency code: a code is one or two letters, then three or four figures, such as CJ123",
        OUR_READING,
        ~AGNCY.matches(_AGENCY_CODE),
        breaks={"AGNCY": "NORTH TEAM"},
        holds={"AGNCY": "CJ123"},
        reading="The one example printed is CJ123; the codes of other treatment agencies seen in public have one "
        "letter and four figures. The register of agencies is not at hand, so only the form is looked at.",
    ),
    Rule(
        "AGNCY.is_the_submitter",
        REJECT,
        "Use your own agency code: this record has another agency's",
        OUR_READING,
        # Invisible characters are left out of the comparison, because another rule fires on them.
        _visible(AGNCY).in_capitals != _visible(SUBMITTER).in_capitals,
        breaks={"AGNCY": "CJ124"},
        holds={"AGNCY": "cj123"},
        # Where the submitter is given, this comparison says more than the form of the code.
        replaces="AGNCY.looks_like_an_agency_code",
        reading="Each team has its own code, and a record belongs to the team that sends it; under another "
        "team's code it would be taken for theirs. Silent where the submitter is not told.",
    ),
    _has_nothing_invisible(
        "AGNCY",
        "CJIT agency code",
        breaks="CJ\u200b123",
        holds="CJ123",
        replaces="AGNCY.looks_like_an_agency_code",
    ),
    _names_nobody(
        "CLIENT",
        "Give the client a reference that holds no birth date, NHS number, e-mail address or postcode",
        "Client details: CLIENT",
        breaks="999 123 4578",
        holds="999 123 4579",
    ),
    _has_nothing_invisible("CLIENT", "client reference", breaks="C\u00a010042", holds="C 10042"),
    _is_not_shortened("CLIENT", "client reference"),
    _is_no_placeholder("CLIENT", "client reference"),
    Rule(
        "CLIENT.belongs_to_one_client",
        QUERY,
        "Give each client a client reference of their own or, if they are one person, one client ID: another client "
        "has this reference",
        "Client details: CLIENT",
        CLIENT.is_given & differs(CLIENTID, among=CLIENT),
        breaks=[{}, _SECOND_CLIENT | {"CLIENT": "C10042"}],
        holds=[{}, _SECOND_CLIENT],
        across="CLIENT",
    ),
    # ---- Episode details -----------------------------------------------------------------------
    _names_nobody(
        "EPISODID",
        "Ask your software supplier for an episode ID that holds no birth date, NHS number, e-mail address or postcode",
        "Episode details: EPISODID",
        breaks="1986-02-14/2",
        holds="1986021",
    ),
    _has_nothing_invisible("EPISODID", "episode ID", breaks="20\u00ad077", holds="20-077"),
    _is_not_shortened("EPISODID", "episode ID"),
    _is_no_placeholder("EPISODID", "episode ID"),
    sent_once({"referral": "REFERID"}),
    _has_nothing_invisible(
        "CMSID", "name of the software system and version", breaks="Example\u00a0system 1.0", holds="Example system 1.0"
    ),
    Rule(
        "CONSENT.is_given",
        REJECT,
        "Record consent as Y (Yes) if the client has given it, and otherwise leave the client out of the file",
        "Episode details: CONSENT",
        ~(CONSENT == "Y").surely,
        breaks={"CONSENT": "N"},
        holds={"CONSENT": "Y"},
        gate=True,
    ),
    Rule(
        "CONSENT.is_the_same_on_every_row",
        QUERY,
        "Leave the client out of the file, or correct the consent: another of the client's rows does not give it",
        OUR_READING,
        ~WITHHELD & any_row(WITHHELD, of=CLIENTID),
        breaks=[{}, _SECOND_REFERRAL | {"CONSENT": "N"}],
        holds=[{}, _SECOND_REFERRAL],
        across="CLIENTID",
        reading="Whether a client agrees to sharing is said of the client as things are now, so it is one answer on "
        "all of the client's rows; where one of them says no, nothing of the client may be sent.",
    ),
    Rule(
        "PC.is_the_default_postcode",
        QUERY,
        f"Record {DEFAULT_POSTCODE}, sent as {DEFAULT_SECTOR}, for a client of no fixed abode or living outside the UK",
        "Episode details: PC",
        PC.matches(_BEGINS_WITH_ZZ) & (PC != DEFAULT_SECTOR),
        breaks={"PC": "ZZ99 9"},
        holds={"PC": DEFAULT_SECTOR},
    ),
    Rule(
        "PC.is_in_use",
        QUERY,
        "Check the postcode: no UK postcode begins this way (outside the UK, as on the Isle of Man, record "
        f"{DEFAULT_POSTCODE})",
        OUR_READING,
        ~SECTOR_KNOWN.says(PC) & ~PC.matches(_BEGINS_WITH_ZZ) & ~PC.matches(_OF_THE_FORCES),
        breaks={"PC": "NE99 9"},
        holds={"PC": "NE8 1"},
        reading="The postcode of a place of residence is one that exists. Our list is that of the Office for "
        "National Statistics and may lag behind a new postcode, so this is a query. Those of the British Forces, BF1, "
        "are real and lie in no authority.",
    ),
    Rule(
        "DAT.is_known_in_england",
        QUERY,
        "Check the DAT of residence: its code begins as those in England do, but no such DAT is known",
        OUR_READING,
        DAT.begins(1).is_one_of(*REGION_LETTERS) & ~DAT.is_one_of(*LISTS["DAT"].codes),
        breaks={"DAT": "A99B"},
        holds={"DAT": "X99B"},
        replaces="DAT.is_plainly_written",
        of_list="DAT",
        reading="Our list has every DAT in England that a list of 2024/25 has, and the first letter of each is that of "
        "its region: a code that begins so and is not among them is more likely a slip, a name or the code of an "
        "authority. Outside England the list is known in part, so there an unknown code is counted in a note.",
    ),
    Rule(
        "DAT.agrees_with_the_local_authority",
        QUERY,
        "Check the DAT of residence: the upper tier local authority lies elsewhere",
        "Episode details: UTLA",
        # Where the postcode contradicts the authority, the rule at UTLA fires. A client of no fixed abode has the DAT
        # of the team, and the authority of the place where the client was last so.
        _utla_in_england
        & ~(~_utla_possible).surely
        & (_dat_outside_england | (~_dat_has_utla & ~PC.matches(_BEGINS_WITH_ZZ).surely)),
        breaks={"DAT": "A12B"},
        holds={"DAT": "A12B", "UTLA": "E08000024", "PC": "SR1 1"},
    ),
    Rule(
        "DAT.agrees_with_the_postcode",
        QUERY,
        "Check the DAT of residence: the postcode lies elsewhere",
        "Episode details: DAT",
        # Where an authority in England is given, other rules compare it with the DAT and with the postcode.
        ~_utla_in_england & ~(~_utla_possible).surely & ((_dat_outside_england & _pc_in_england) | ~_dat_has_pc),
        breaks={"DAT": "A12B", "UTLA": ""},
        holds={"DAT": "A12B", "UTLA": "", "PC": "SR1 1"},
    ),
    Rule(
        "UTLA.contains_the_postcode",
        QUERY,
        "Check the postcode: it lies outside the upper tier local authority given",
        "Episode details: UTLA",
        ~_utla_possible,
        breaks={"UTLA": "E10000020"},
        holds={"DAT": "G09B", "UTLA": "E10000020", "PC": "NR14 7"},
    ),
    Rule(
        "REFLD.is_after_birth",
        QUERY,
        "The date of the event which prompted this contact must be after the date of birth",
        OUR_READING,
        REFLD <= DOB,
        breaks={"DOB": "03/11/2025"},
        holds={"DOB": "02/11/1985"},
        reading="An event in a client's life comes after their birth.",
    ),
    Rule(
        "TRIAGED.is_not_before_the_event",
        QUERY,
        "The contact/assessment date must be on or after the date of the event which prompted this contact",
        OUR_READING,
        TRIAGED < REFLD,
        breaks={"TRIAGED": "02/11/2025"},
        holds={"TRIAGED": "03/11/2025"},
        reading="An event that prompts a contact comes before it; where none clearly did, the document has the date of "
        "the contact itself.",
    ),
    Rule(
        "TRIAGED.is_after_birth",
        QUERY,
        "The contact/assessment date must be after the date of birth",
        OUR_READING,
        REFLD.is_blank & (TRIAGED <= DOB),
        breaks={"REFLD": "", "DOB": "06/11/2025"},
        holds={"DOB": "05/11/1985"},
        reading="A client is assessed after their birth; said here where the event has no date.",
    ),
    Rule(
        "TRIAGED.starts_one_episode",
        QUERY,
        "Check whether this is one episode sent twice: the client has another with the same contact/assessment date",
        OUR_READING,
        TRIAGED.is_given & differs(EPISODID, among=(CLIENTID, TRIAGED)),
        breaks=[{}, _SECOND_EPISODE],
        holds=[_CLOSED, _NEXT_EPISODE],
        across="CLIENTID",
        reading="An episode is time at one provider with one triage date, and whoever comes back is given a new "
        "episode with a new triage date: two episodes that start on one day are most likely one.",
    ),
    *_in_turn(
        ("DISABLE1", "DISABLE2", "DISABLE3"),
        "disability",
        ("9", "2", "5"),
        twice=("XX",),
        alone=("NN", "ZZ"),
        labels=("“no disability”", "“not stated”"),
    ),
    Rule(
        "ALCDDAYS.is_given_for_a_drinker",
        QUERY,
        "Enter the number of drinking days: units of alcohol on a drinking day are given",
        OUR_READING,
        ALCDDAYS.is_blank & (ALCUNITS > 0),
        breaks={"ALCDDAYS": ""},
        holds={"ALCDDAYS": "", "ALCUNITS": ""},
        reading="Units on a drinking day suppose that there was one in the same 28 days.",
    ),
    Rule(
        "ALCDDAYS.is_given_for_alcohol",
        QUERY,
        "Enter the number of drinking days, which may be 0: alcohol is among the problem substances",
        OUR_READING,
        ALCDDAYS.is_blank & _alcohol & ~(ALCUNITS > 0).surely,
        breaks={"ALCDDAYS": "", "ALCUNITS": "", "DRUG2": ALCOHOL},
        holds={"ALCDDAYS": "0", "ALCUNITS": "0", "DRUG2": ALCOHOL},
        reading="In general all data are required, and drinking days are what is asked of alcohol. 0 is an answer: "
        "a problem substance need no longer be in use.",
    ),
    Rule(
        "ALCUNITS.is_given_for_a_drinker",
        QUERY,
        "Enter the number of units of alcohol on a drinking day: there are drinking days",
        OUR_READING,
        ALCUNITS.is_blank & (ALCDDAYS > 0),
        breaks={"ALCUNITS": ""},
        holds={"ALCDDAYS": "0", "ALCUNITS": ""},
        reading="Where there was a drinking day there is a typical number of units on it.",
    ),
    Rule(
        "ALCUNITS.is_nought_without_drinking_days",
        QUERY,
        "Enter 0 units of alcohol, or correct the number of drinking days: it is 0",
        OUR_READING,
        (ALCDDAYS == 0) & (ALCUNITS > 0),
        breaks={"ALCDDAYS": "0"},
        holds={"ALCDDAYS": "0", "ALCUNITS": "0"},
        reading="Both fields are of the same 28 days, and without a drinking day there are no units on one.",
    ),
    Rule(
        "ALCUNITS.is_more_than_nought_on_a_drinking_day",
        QUERY,
        "Enter more than 0 units of alcohol, or correct the number of drinking days: it is more than 0",
        OUR_READING,
        (ALCDDAYS > 0) & (ALCUNITS == 0),
        breaks={"ALCUNITS": "0"},
        holds={"ALCUNITS": "1"},
        reading="Both fields are of the same 28 days, and a day without alcohol is no drinking day.",
    ),
    Rule(
        "PRNTSTAT.is_given_for_a_parent",
        QUERY,
        "Select where the children live: the client has parental responsibility",
        "Appendix C: PRNTSTAT",
        (PARENT == "Y") & PRNTSTAT.is_blank,
        breaks={"PRNTSTAT": ""},
        holds={"PARENT": "N", "PRNTSTAT": "", "EHCS": ""},
    ),
    Rule(
        "PRNTSTAT.is_blank_unless_a_parent",
        QUERY,
        "Leave blank where the children live, or record parental responsibility as yes",
        OUR_READING,
        (PARENT == "N") & PRNTSTAT.is_given,
        breaks={"PARENT": "N"},
        holds={"PARENT": "N", "PRNTSTAT": "", "EHCS": ""},
        reading="The question is only needed where the client has parental responsibility, and its answers are all of "
        "children the client has it for: with any of them, one of the two fields is wrong.",
    ),
    Rule(
        "CHILDWTH.counts_the_children_at_home",
        QUERY,
        "Check the number of children living in the same house: it is 0, but some of the client's children live with "
        "them",
        OUR_READING,
        # Where there is no parental responsibility, the rule on a PRNTSTAT without it fires.
        PRNTSTAT.is_one_of(ALL_LIVE_WITH_CLIENT, SOME_LIVE_WITH_CLIENT) & (CHILDWTH == 0) & ~(PARENT == "N").surely,
        breaks={"PRNTSTAT": SOME_LIVE_WITH_CLIENT},
        holds={"PRNTSTAT": SOME_LIVE_WITH_CLIENT, "CHILDWTH": "1"},
        reading="A child who lives with the client most of the time lives in the same house at least one night a "
        "fortnight, which is what is counted.",
    ),
    Rule(
        "EHCS.is_given_where_there_are_children",
        QUERY,
        "Select the help for the children: the client has parental responsibility or lives with children",
        "Appendix C: EHCSC1/2/3",
        # A second or third answer without the first is a gap, and the rule on gaps fires.
        ((PARENT == "Y") | _lives_with_children) & EHCS.is_blank & EHCSC2.is_blank & EHCSC3.is_blank,
        breaks={"EHCS": ""},
        holds={"PARENT": "N", "PRNTSTAT": "", "CHILDWTH": "98", "EHCS": ""},
    ),
    Rule(
        "EHCS.is_blank_without_children",
        QUERY,
        "Leave the help for the children blank: the client neither has parental responsibility nor lives with children",
        "Episode details: EHCS",
        _no_children & (EHCS.is_given | EHCSC2.is_given | EHCSC3.is_given),
        breaks={"PARENT": "N", "PRNTSTAT": ""},
        holds={"PARENT": "N", "PRNTSTAT": "", "CHILDWTH": "1"},
    ),
    *_in_turn(
        ("EHCS", "EHCSC2", "EHCSC3"),
        "kind of help",
        ("2", "1", "4"),
        twice=("6",),
        alone=("5", "99"),
        labels=("“none”", "“declined”"),
        unless=_no_children,
    ),
    Rule(
        "ROUTE.suits_alcohol",
        QUERY,
        "Check the route of administration: alcohol is not injected, sniffed or smoked",
        OUR_READING,
        (DRUG1 == ALCOHOL) & ROUTE.is_one_of(INJECT, SNIFF, SMOKE),
        breaks={"DRUG1": ALCOHOL},
        holds={"DRUG1": ALCOHOL, "ROUTE": "4"},
        reading="The route is that of the first problem substance, and alcohol is drunk. “Other” is left alone.",
    ),
    *_in_turn(
        ("DRUG1", "DRUG2", "DRUG3"),
        "problem substance",
        ("1011", "3201", "5000"),
        twice=GROUPS_OF_SUBSTANCES,
    ),
    Rule(
        "INJSTAT.agrees_with_the_route",
        QUERY,
        "Check the injecting status: it is “never injected”, but the first problem substance is injected",
        OUR_READING,
        # Where alcohol is injected, the rule at ROUTE fires.
        (ROUTE == INJECT) & (INJSTAT == NEVER_INJECTED) & ~(DRUG1 == ALCOHOL).surely,
        breaks={"ROUTE": INJECT, "INJSTAT": NEVER_INJECTED},
        holds={"ROUTE": INJECT, "INJSTAT": "P"},
        reading="Whoever injects the first problem substance has injected.",
    ),
    Rule(
        "CPLANDT.is_not_before_triage",
        QUERY,
        "The caseload start date must be on or after the contact/assessment date",
        OUR_READING,
        CPLANDT < TRIAGED,
        breaks={"CPLANDT": "05/11/2025"},
        holds={"CPLANDT": "06/11/2025"},
        reading="A care plan is agreed with the client, and the contact/assessment date is that of the first contact.",
    ),
    Rule(
        "CPLANDT.is_not_before_contact",
        QUERY,
        "The caseload start date must be on or after the date of the event which prompted this contact (or of birth, "
        "if that is blank)",
        OUR_READING,
        TRIAGED.is_blank & (CPLANDT < _before_contact),
        breaks={"TRIAGED": "", "CPLANDT": "02/11/2025"},
        holds={"CPLANDT": "07/11/2025"},
        reading="A missing contact/assessment date must not let the dates around it pass each other.",
    ),
    Rule(
        "DISD.is_given_with_a_reason",
        QUERY,
        "Enter the case closure date: a case closure reason is given",
        "Episode details: CJDISRSN",
        CJDISRSN.is_given & DISD.is_blank,
        breaks={"CJDISRSN": "10"},
        holds=_CLOSED,
    ),
    Rule(
        "DISD.is_not_before_caseload_start",
        QUERY,
        "The case closure date must be on or after the caseload start date",
        "Episode details: DISD",
        # Where the reason is prior to caseload, the caseload start is doubtful, and the rule at CJDISRSN fires.
        (DISD < CPLANDT) & ~CJDISRSN.is_one_of(*PRIOR_TO_CASELOAD_ONLY).surely,
        breaks={"DISD": "19/11/2025", "CJDISRSN": "10"},
        holds={"DISD": "20/11/2025", "CJDISRSN": "10"} | _NO_REFERRAL,
    ),
    Rule(
        "DISD.is_not_before_triage",
        QUERY,
        "The case closure date must be on or after the contact/assessment date",
        "Episode details: DISD",
        CPLANDT.is_blank & (DISD < TRIAGED),
        breaks={"CPLANDT": "", "DISD": "05/11/2025", "CJDISRSN": "73"},
        holds={"CPLANDT": "", "DISD": "06/11/2025", "CJDISRSN": "73"} | _NO_REFERRAL,
    ),
    Rule(
        "DISD.is_not_before_contact",
        QUERY,
        "The case closure date must be on or after the date of the event which prompted this contact (or of birth, if "
        "that is blank)",
        OUR_READING,
        CPLANDT.is_blank & TRIAGED.is_blank & (DISD < _before_contact),
        breaks={"TRIAGED": "", "CPLANDT": "", "DISD": "02/11/2025", "CJDISRSN": "73"} | _NO_REFERRAL,
        holds={"CPLANDT": "", "DISD": "07/11/2025", "CJDISRSN": "73"} | _NO_REFERRAL,
        reading="A missing contact/assessment date must not let the dates around it pass each other.",
    ),
    Rule(
        "DISD.is_before_the_newest_episode",
        QUERY,
        "Close this episode, or correct its closure date: this one must end by the contact/assessment date of the "
        "client's newest",
        OUR_READING,
        (TRIAGED < _newest) & (DISD.is_blank | (DISD > _newest)),
        breaks=[{}, _NEXT_EPISODE],
        holds=[_CLOSED, _NEXT_EPISODE],
        across="CLIENTID",
        reading="The document has a new episode created for a client who comes back after closure; so before a new one "
        "starts, the earlier ones are closed.",
    ),
    Rule(
        "CJDISRSN.is_given_with_a_date",
        QUERY,
        "Select the case closure reason: a case closure date is given",
        "Episode details: DISD",
        DISD.is_given & CJDISRSN.is_blank,
        breaks={"DISD": "15/01/2026"},
        holds=_CLOSED,
    ),
    Rule(
        "CJDISRSN.is_prior_to_caseload",
        QUERY,
        "Select a “prior to caseload” reason, or enter the caseload start date if a care plan was agreed",
        "Appendix E: prior to caseload",
        CPLANDT.is_blank & CJDISRSN.is_one_of(*FROM_CASELOAD_ONLY),
        breaks=_CLOSED | {"CPLANDT": ""},
        holds=_CLOSED | {"CPLANDT": "", "CJDISRSN": TRANSFERRED_NOT_IN_CUSTODY},
    ),
    Rule(
        "CJDISRSN.is_from_caseload",
        QUERY,
        "Select a “from caseload” reason, or remove the caseload start date if there was no care plan",
        "Appendix E: from caseload",
        CPLANDT.is_given & CJDISRSN.is_one_of(*PRIOR_TO_CASELOAD_ONLY),
        breaks=_CLOSED | {"CJDISRSN": "73"},
        holds=_CLOSED | {"CJDISRSN": TRANSFERRED_NOT_IN_CUSTODY},
    ),
    Rule(
        "CJDISRSN.has_a_referral_if_transferred_not_in_custody",
        QUERY,
        "Add the referral to structured treatment, or select a reason other than “Transferred – not in custody”",
        "Appendix E: Transferred – not in custody",
        (CJDISRSN == TRANSFERRED_NOT_IN_CUSTODY) & _no_referral,
        breaks=[{}, _SECOND_CLIENT | _CLOSED | {"CJDISRSN": TRANSFERRED_NOT_IN_CUSTODY} | _NO_REFERRAL],
        holds=[
            _CLOSED | {"CJDISRSN": TRANSFERRED_NOT_IN_CUSTODY},
            _CLOSED | {"CJDISRSN": TRANSFERRED_NOT_IN_CUSTODY} | _NO_REFERRAL,
        ],
        across="EPISODID",
    ),
    Rule(
        "CJDISRSN.ends_the_last_episode_if_the_client_died",
        QUERY,
        "Check the case closure reason: it is “client died”, but the client has a later episode",
        OUR_READING,
        # Where the closure comes before caseload start or triage, its date is wrong, and the rule at DISD fires.
        (CJDISRSN == DIED) & (DISD < _newest) & (latest(TRIAGED, CPLANDT) <= DISD),
        breaks=[_DIED_BEFORE_THE_NEXT, _NEXT_EPISODE],
        holds=[_DIED_BEFORE_THE_NEXT | {"CJDISRSN": "8"}, _NEXT_EPISODE],
        across="CLIENTID",
        reading="Nobody is assessed after their death, so an episode that starts after it is another client's, or the "
        "reason is wrong.",
    ),
    # ---- Referrals to structured treatment -----------------------------------------------------
    Rule(
        "REFERID.is_given_with_a_date",
        REJECT,
        "Ask your software supplier to fill in the ID of the referral, or leave its date blank if there was none",
        "Referrals to structured treatment: REFERID",
        # The text as sent counts, because a referral with a date that is not valid lacks its ID too.
        REFERID.is_blank & REFDATE.as_sent.is_given,
        breaks={"REFERID": ""},
        holds=_NO_REFERRAL,
    ),
    _names_nobody(
        "REFERID",
        "Ask your software supplier for a referral ID that holds no birth date, NHS number, e-mail address or postcode",
        "Referrals to structured treatment: REFERID",
        breaks="NE81VV",
        holds="NE91VV",
    ),
    _has_nothing_invisible("REFERID", "referral ID", breaks="30\u2060015", holds="30.015"),
    _is_not_shortened("REFERID", "referral ID"),
    _is_no_placeholder("REFERID", "referral ID"),
    Rule(
        "REFDATE.is_given_with_an_id",
        QUERY,
        "Enter the date of the referral to structured treatment: its ID is given",
        "Referrals to structured treatment: REFDATE",
        REFDATE.is_blank & REFERID.is_given,
        breaks={"REFDATE": ""},
        holds=_NO_REFERRAL,
    ),
    Rule(
        "REFDATE.is_not_before_triage",
        QUERY,
        "The date of the referral to structured treatment must be on or after the contact/assessment date",
        OUR_READING,
        # Where the caseload start or the closure comes before triage too, the rule at that field fires.
        (REFDATE < TRIAGED) & (first_given(CPLANDT, DISD, TRIAGED) >= TRIAGED),
        breaks={"REFDATE": "05/11/2025"},
        holds={"REFDATE": "06/11/2025"},
        reading="The contact/assessment date is that of the first contact, and a referral by the team comes of one.",
    ),
    Rule(
        "REFDATE.is_not_before_contact",
        QUERY,
        "The date of the referral to structured treatment must be on or after the date of the event which prompted "
        "this contact (or of birth, if that is blank)",
        OUR_READING,
        TRIAGED.is_blank & (REFDATE < _before_contact),
        breaks={"TRIAGED": "", "REFDATE": "02/11/2025"},
        holds={"REFDATE": "07/11/2025"},
        reading="A missing contact/assessment date must not let the dates around it pass each other.",
    ),
    Rule(
        "REFDATE.is_not_after_closure",
        QUERY,
        "Check the date of the referral: it is after the case closure date",
        OUR_READING,
        # Where the closure comes before caseload start, the rule at DISD fires.
        (REFDATE > DISD) & (DISD >= CPLANDT) & CJDISRSN.is_one_of(*PLANNED),
        breaks={"DISD": "30/11/2025", "CJDISRSN": "10"},
        holds={"DISD": "30/11/2025", "CJDISRSN": "8"},
        reading="Referrals may be recorded while the client is on the caseload, so one after a planned end of it is "
        "odd. An unplanned closure has the date of the last contact, and one prior to caseload that of the last "
        "assessment: work for the client, a referral included, may go on after either.",
    ),
)
