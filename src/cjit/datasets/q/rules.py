"""The rules across fields and rows of CJIT dataset Q, in the document's order.

Presence, type, range, list and "the same on every row" follow from the fields (`cjit.derive`); here is what
the business definitions say, or imply, of several fields together. Two conventions keep one mistake to
one message: a value that is no value silences every rule that reads it (the engine sees to that), and
where two rules could meet, the later one is silent when the earlier one speaks (the expressions do).

`docs/source.md` lists every sentence of the business definitions with the field or rule that keeps it, and every
rule that is our reading with its reason.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl
from polars import col

from cjit.dataset import OUR_READING, SUBMITTER, Rule, Severity
from cjit.derive import as_read
from cjit.geography import DEFAULT_SECTOR, sector_allows, sector_known

REJECT, QUERY = Severity.REJECT, Severity.QUERY

#: Codes that have stood for Kosovo, which has none in ISO 3166-1: the user-assigned ones of the European
#: Commission, Unicode and the World Bank, of sport, of passports, and the two-letter ones.
KOSOVO = ("XKX", "XKK", "XXK", "XKS", "XKO", "KOS", "RKS", "KSV", "UNK", "XK", "KV", "KO", "KS", "RK")

#: Appendix E: the reasons printed under one heading only. 99, 13, 14 and 74 stand under both.
PRIOR_TO_CASELOAD_ONLY = ("73", "1", "2")
FROM_CASELOAD_ONLY = ("10", "15", "4", "7", "8", "12", "11", "9")
TRANSFERRED_NOT_IN_CUSTODY = "99"
DIED = "9"

ALCOHOL = "7000"
INJECT, SNIFF, SMOKE = "1", "2", "3"

# Ages in days, such that nobody who is ten is called younger, nor anybody who is 110 older.
_TEN_YEARS = 3_652
_HUNDRED_AND_TEN_YEARS = 40_177


# ---- ids that say who somebody is ------------------------------------------------------------------

_DAY = "(?:0[1-9]|[12][0-9]|3[01])"
_MONTH = "(?:0[1-9]|1[0-2])"
_YEAR = "(?:19|20)[0-9]{2}"
_DASH = "[-/._ ]?"

#: A date with a four-figure year, anywhere: day, month and year in any usual order.
_WHOLE_DATE = f"{_DAY}{_DASH}{_MONTH}{_DASH}{_YEAR}|{_MONTH}{_DASH}{_DAY}{_DASH}{_YEAR}|{_YEAR}{_DASH}{_MONTH}{_DASH}{_DAY}"
_SHORT_DATE = (
    f"{_DAY}{_DASH}{_MONTH}{_DASH}[0-9]{{2}}|{_MONTH}{_DASH}{_DAY}{_DASH}[0-9]{{2}}|"
    f"[0-9]{{2}}{_DASH}{_MONTH}{_DASH}{_DAY}"
)
#: A date with a two-figure year, whose six figures stand alone: inside a longer number it is chance.
_SHORT_DATE_ALONE = f"(?:^|[^0-9])({_SHORT_DATE})(?:[^0-9]|$)"
#: Two letters at the start and six figures joined to them: initials and a birth date, whatever follows.
_LETTERS_AND_SHORT_DATE = f"^[A-Za-z]{{2}}{_DASH}({_SHORT_DATE})"
#: Ten figures that stand alone, or are written 3-3-4, in the ranges issued in England and Wales (from 400
#: and 600 million) or kept for tests (999). One number in eleven has a right check digit, so without
#: the ranges every eleventh running number of ten figures would be called an NHS number.
_NHS_NUMBER = "(?:^|[^0-9])((?:4[0-9]|6[0-9]|70|99)[0-9][ -]?[0-9]{3}[ -]?[0-9]{4})(?:[^0-9]|$)"
_EMAIL = r"[^@\s]@[^@\s]+\.[A-Za-z]"
_POSTCODE = "(?:^|[^A-Za-z0-9])([A-Za-z]{1,2}[0-9][A-Za-z0-9]?)( ?)([0-9])[A-Za-z]{2}(?:[^A-Za-z0-9]|$)"
_SPACED_POSTCODE = _POSTCODE.replace("( ?)", " ")

_LIKELY = "|".join(
    f"(?:{p})" for p in (_WHOLE_DATE, _SHORT_DATE_ALONE, _LETTERS_AND_SHORT_DATE, _NHS_NUMBER, "@", _POSTCODE)
)


def _identifies(header: str) -> pl.Expr:
    """True where an id holds the client's birth date or postcode, or anybody's e-mail or NHS number.

    Nearly every id fails the first, cheap test; the rest look at those left only, the others being null.
    """
    likely = pl.when(col(header).str.contains(_LIKELY)).then(col(header))

    # The birth date in every form it is looked for, between bars: "|14021986|19860214|…|".
    birth = pl.when(likely.is_not_null()).then(col.DOB)
    forms = birth.dt.strftime("|%d%m%Y|%m%d%Y|%Y%m%d|%d%m%y|%m%d%y|%y%m%d|")

    def is_birth_date(found: pl.Expr) -> pl.Expr:
        return forms.str.contains("|" + found.str.replace_all("[-/._ ]", "") + "|", literal=True)

    initials = likely.str.slice(0, 2).str.to_uppercase()
    first, last = col.FINITIAL, col.SINITIAL
    joined = ((initials == first + last) | (initials == last + first)) & is_birth_date(
        likely.str.extract(_LETTERS_AND_SHORT_DATE, 1)
    )
    sector = likely.str.to_uppercase().str.replace(f"^.*?{_POSTCODE}.*$", "$1 $3")
    return (
        is_birth_date(likely.str.extract(f"({_WHOLE_DATE})", 1))
        | is_birth_date(likely.str.extract(_SHORT_DATE_ALONE, 1))
        | joined
        | _is_nhs_number(likely.str.extract(_NHS_NUMBER, 1).str.replace_all("[ -]", ""))
        | likely.str.contains(_EMAIL)
        | likely.str.contains(_SPACED_POSTCODE)
        | (sector == col.PC)
    )


def _is_nhs_number(ten: pl.Expr) -> pl.Expr:
    """True where the tenth figure is the check digit of the nine before it, modulus 11."""
    number = ten.cast(pl.Int64)
    weighted = pl.sum_horizontal((number // 10**place % 10) * (place + 1) for place in range(10))
    return number.is_not_null() & (weighted % 11 == 0)


def _names_nobody(header: str, noun: str, clause: str, breaks: str, holds: str) -> Rule:
    return Rule(
        f"{header}.identifies_nobody",
        QUERY,
        f"Give the client another {noun}: it must not hold a birth date, NHS number, e-mail address or postcode"
        if header in ("CLIENTID", "CLIENT")
        else f"Ask your software supplier for another {noun}: it must not hold a birth date, NHS number, "
        "e-mail address or postcode",
        clause,
        _identifies(header),
        breaks={header: breaks},
        holds={header: holds},
    )


# ---- answers that are given in turn ----------------------------------------------------------------


def _in_turn(
    headers: tuple[str, str, str],
    nouns: tuple[str, str, str],
    *,
    thing: str,
    alone: tuple[str, ...] = (),
    alone_labels: str = "",
    twice: tuple[str, ...],
    codes: tuple[str, str, str],
) -> Iterator[Rule]:
    """The rules of three fields that hold a first, second and third answer of one kind.

    `alone` are answers that admit no other; `twice` those that may stand twice, since they name no
    single thing; `codes` three different answers for the examples.
    """
    one, two, three = headers
    first, second, third = col(one), col(two), col(three)
    a, b, c = codes
    if alone:
        only = first.is_in(alone)
        yield Rule(
            f"{one}.stands_alone",
            QUERY,
            f"Leave the {nouns[1]} and the {nouns[2]} blank where the {nouns[0]} is {alone_labels}",
            f"Episode details: {one}",
            only & (second.is_not_null() | third.is_not_null()),
            breaks={one: alone[-1], two: b, three: ""},
            holds={one: alone[-1], two: "", three: ""},
        )
        # The answer blank or any other: then a second one that stands alone is out of place.
        free = ~first.is_in(alone).fill_null(False)
        for header, noun in zip(headers[1:], nouns[1:], strict=True):
            yield Rule(
                f"{header}.names_a_{thing}",
                QUERY,
                f"Record {alone_labels} as the {nouns[0]} only, not as the {noun}",
                f"Episode details: {one}",
                free & col(header).is_in(alone),
                breaks={one: a, two: b, three: c} | {header: alone[0]},
                holds={one: a, two: b, three: c},
            )
        yield Rule(
            f"{two}.leaves_no_gap",
            QUERY,
            f"Enter the {nouns[0]} before the {nouns[1]}",
            OUR_READING,
            first.is_null() & second.is_not_null() & ~second.is_in(alone),
            breaks={one: "", two: b, three: c},
            holds={one: a, two: b, three: c},
            reading=_GAP,
        )
    # Where the first is blank as well, it is the first that is asked for.
    before = first.is_not_null() & ~first.is_in(alone) & ~third.is_in(alone)
    yield Rule(
        f"{three}.leaves_no_gap",
        QUERY,
        f"Enter the {nouns[1]} before the {nouns[2]}",
        OUR_READING,
        (before | (first.is_null() & ~third.is_in(alone)) if alone else before)
        & second.is_null()
        & third.is_not_null(),
        breaks={one: a, two: "", three: c},
        holds={one: a, two: b, three: c},
        reading=_GAP,
    )
    once = (*alone, *twice)
    yield Rule(
        f"{two}.is_not_a_repeat",
        QUERY,
        f"Enter each answer once: the {nouns[1]} is the same as the {nouns[0]}",
        OUR_READING,
        (second == first) & ~second.is_in(once),
        breaks={one: a, two: a, three: ""},
        holds={one: twice[0], two: twice[0], three: ""},
        reading=_REPEAT,
    )
    yield Rule(
        f"{three}.is_not_a_repeat",
        QUERY,
        f"Enter each answer once: the {nouns[2]} is the same as an earlier one",
        OUR_READING,
        ((third == first) | (third == second)) & ~third.is_in(once),
        breaks={one: a, two: b, three: a},
        holds={one: twice[0], two: b, three: twice[0]},
        reading=_REPEAT,
    )


_GAP = (
    "The fields are called first, second and third, and the later ones are left blank where there is no further "
    "answer; so a later answer supposes an earlier one."
)
_REPEAT = (
    "A further answer is something else than the one before. ‘Other’ answers may repeat, since they name no "
    "single thing."
)


# ---- dates in order --------------------------------------------------------------------------------

_EVENT, _CONTACT, _CASELOAD = "date of the event which prompted this contact", "contact/assessment date", ""

# A closed episode on the caseload, and one that was not taken onto it, for the examples.
_CLOSED = {"DISD": "15/01/2026", "CJDISRSN": "10"}
_CLOSED_PRIOR = {"CPLANDT": "", "DISD": "15/01/2026", "CJDISRSN": "73"}
_NO_REFERRAL = {"REFERID": "", "REFDATE": ""}
# A second client, and a second episode and referral, beside those of the example.
_SECOND_CLIENT = {"CLIENTID": "10043", "CLIENT": "C10043", "EPISODID": "20078", "REFERID": "30016"}
_SECOND_EPISODE = {"EPISODID": "20078", "REFERID": "30016"}
_LATER_DATES = {"REFLD": "15/01/2026", "TRIAGED": "15/01/2026", "CPLANDT": "", "REFDATE": "20/01/2026"}

# A missing middle date must not let the dates around it pass each other.
_BEFORE_CONTACT = pl.coalesce(col.REFLD, col.DOB)

_PARENT = col.PARENT == "Y"
# Null for "declined" (98): an answer that is no number of children.
_CHILDREN = pl.when(col.CHILDWTH != 98).then(col.CHILDWTH)

_has_referral = col.REFERID.is_not_null() | col.REFDATE.is_not_null()
_first_of_episode = col.EPISODID.is_first_distinct()


def _starts_while_open() -> pl.Expr:
    """True on the first row of an episode that starts before the client's one before it has closed."""
    # Filled in below once measured.
    raise NotImplementedError


RULES: tuple[Rule, ...] = ()
