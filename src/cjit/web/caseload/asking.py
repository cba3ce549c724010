"""How a field of the dataset is asked on a page, and how its answer is read back.

All follows from the field: its kind and the length of its code list say whether it is asked with a date of three boxes,
radios, a list or a text. What a page shows of a text are its `boxes` (name and content); `read` is the way back. A box
whose content nobody touched gives the very text it was made from, so that opening and saving a page changes nothing,
whatever stands there.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any

from cjit import dates
from cjit.dataset import Code, Field, Kind
from cjit.datasets.q.lists import NAMES
from cjit.datasets.q.rules import DATS_OUTSIDE_ENGLAND, OUT_OF_ENGLAND
from cjit.geography import DEFAULT_POSTCODE
from cjit.kinds import kinds_of
from cjit.web.caseload import questions
from cjit.web.caseload.record import is_abroad, is_default_postcode, plain, shown
from cjit.web.dataset import DATASET

#: Up to so many codes are asked with radios; a longer list can be searched by typing.
RADIOS = 8
#: The choice with which a code is typed that is not in the list.
ANOTHER = "another"
#: What the label of a code says that stands for no answer, and what people call that.
_DECLINED = re.compile(r"\bdeclin|\bnot stated\b", re.IGNORECASE)
_REFUSED = ("Declined", "Refused", "Prefer not to say")
#: What the code of an official list may look like.
_CODE = re.compile(r"[A-Z0-9][A-Z0-9./_-]*")
#: What a tick beside the postcode stands for. Of both the default postcode is recorded; the DAT tells them apart.
NO_FIXED_ABODE, ABROAD = DEFAULT_POSTCODE, "abroad"


class Shape(StrEnum):
    """What a field is asked with."""

    DATE = "date"
    RADIOS = "radios"
    LIST = "list"
    TEXT = "text"


def shape(field: Field) -> Shape:
    """What a field is asked with."""
    if field.kind is Kind.DATE:
        return Shape.DATE
    codes = DATASET.codes_of(field.header)
    if codes is None:
        return Shape.TEXT
    return Shape.RADIOS if len(codes.codes) <= RADIOS else Shape.LIST


# ---- boxes, and back -------------------------------------------------------------------------------


def boxes(header: str, text: str) -> dict[str, str]:
    """What each box of a field shows of a text, by the box's name."""
    field = DATASET.by_header[header]
    match shape(field):
        case Shape.DATE:
            told = text if "/" in text or not dates.day_of(text) else plain(header, text)
            day, month, year = [*told.split("/", 2), "", ""][:3]
            return {f"{header}-day": day, f"{header}-month": month, f"{header}-year": year}
        case Shape.TEXT:
            beside = {name: text if text == code else "" for name, (code, _) in _apart(field).items()}
            return {header: "" if any(beside.values()) else text} | beside
        case _ if _takes_another(field):
            known = not text or _listed(field, text)
            return {header: text if known else ANOTHER, f"{header}-another": "" if known else text}
        case _:
            return {header: text}


def read(posted: Mapping[str, str], was: Mapping[str, str]) -> dict[str, str]:
    """The texts of the fields of a page, by header; `was` is what it showed of each."""
    found: dict[str, str] = {}
    shows = posed(was)
    for header, before in was.items():
        made = boxes(header, shows[header])
        sent = {name: posted.get(name, "") for name in made}
        found[header] = before if sent == made else _joined(header, sent, made)
    return found


def _joined(header: str, sent: Mapping[str, str], made: Mapping[str, str]) -> str:
    """One text of the boxes of a field."""
    contents = [content.strip() for content in sent.values()]
    if shape(DATASET.by_header[header]) is Shape.DATE:
        return "/".join(contents).rstrip("/")
    given = {name: "" if content == ANOTHER else content for name, content in zip(sent, contents, strict=True)}
    answers = [content for content in given.values() if content]
    # Of several answers to one question that counts which is new. Several new ones are all kept, which is no answer, as
    # the page then says: it cannot know which was meant. With the script, there is only one.
    new = [content for name, content in given.items() if content and content != made[name]]
    return " or ".join(new if len(answers) > 1 and new else answers)


def posed(values: Mapping[str, str]) -> dict[str, str]:
    """Texts by header as a page shows them: for the default postcode what it stands for."""
    if not is_default_postcode(values.get("PC", "")):
        return dict(values)
    return {**values, "PC": ABROAD if is_abroad(values) else NO_FIXED_ABODE}


def ticked(posted: Mapping[str, str], was: Mapping[str, str], answers: Mapping[str, str], ours: str) -> dict[str, str]:
    """What a tick beside the postcode says of other fields, that nobody answered otherwise: by header. `ours` is a DAT.

    Where somebody of no fixed abode goes abroad, or is back, the postcode stays the same.
    """
    if "PC" not in was:
        return {}
    before = boxes("PC", posed(was)["PC"])
    ticks = {name: posted.get(name, "") for name in before if name != "PC"}
    new = {tick for name, tick in ticks.items() if tick and tick != before[name]}
    if answers["PC"] not in new:
        return {}
    said: dict[str, str] = {}
    if answers["PC"] == ABROAD:
        said = {"DAT": OUT_OF_ENGLAND, "UTLA": ""}
    elif was.get("DAT") in DATS_OUTSIDE_ENGLAND:
        said = {"DAT": ours}
    said = {header: text for header, text in said.items() if answers.get(header, "") == was.get(header, "")}
    return said | {"PC": was["PC"] if is_default_postcode(was["PC"]) else NO_FIXED_ABODE}


def shown_before(posted: Mapping[str, str], headers: Iterable[str]) -> dict[str, str]:
    """What a page showed of some fields when it was opened, as it says itself. Raises ValueError where it does not."""
    try:
        told = json.loads(posted.get("was", ""))
    except RecursionError:
        raise ValueError("not texts by header") from None
    if not isinstance(told, dict) or not all(isinstance(text, str) for text in told.values()):
        raise ValueError("not texts by header")
    if any(not posted.keys().isdisjoint(boxes(header, "")) for header in headers if header not in told):
        raise ValueError("an answer to a question that was not shown")
    return {header: told[header] for header in headers if header in told}


def _apart(field: Field) -> Mapping[str, tuple[str, str]]:
    """Answers that are ticked beside a box, by the name of the tick, and what they mean."""
    apart = f"{field.header}-apart"
    if field.kind is Kind.POSTCODE:
        return {
            apart: (NO_FIXED_ABODE, f"No fixed abode ({NO_FIXED_ABODE})"),
            f"{field.header}-{ABROAD}": (ABROAD, f"Lives abroad, outside the UK ({NO_FIXED_ABODE})"),
        }
    told = [(code, label[:1].upper() + label[1:]) for code, label in field.apart.items()]
    return dict(zip([apart], told, strict=True)) if told else {}


def _takes_another(field: Field) -> bool:
    """Whether a code may be typed that is not in the list: the list is known to be longer, or to be a stand-in."""
    codes = DATASET.codes_of(field.header)
    return codes is not None and not codes.complete


def is_no_code(header: str, text: str) -> bool:
    """Whether what is typed as another code of an official list cannot be one: it is words, or a word longer than any.

    Capitals say nothing, since what is typed is kept in them.
    """
    field, text = DATASET.by_header[header], text.upper()
    codes = DATASET.codes_of(header)
    if not text or not codes or not _takes_another(field) or _listed(field, text):
        return False
    longest = max((len(code) for code in codes.codes if code.isalpha()), default=0)
    return _CODE.fullmatch(text) is None or (text.isalpha() and len(text) > longest)


def _listed(field: Field, text: str) -> bool:
    codes = DATASET.codes_of(field.header)
    return codes is not None and any(code in codes.labels or code in codes.also for code in (text, text.lstrip("0")))


# ---- on the page -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Question:
    """A field as a page asks it.

    `given` is what its GOV.UK component takes, `beside` what that of the second box does. `when` says in words when it
    is asked, `data` the same for the script. `defined` are the codes whose definitions stand apart from their list,
    `note` what follows from the answer (None: nothing ever does).
    """

    field: Field
    shape: Shape
    given: dict[str, Any]
    beside: dict[str, Any] | None
    when: str
    data: str
    defined: tuple[Code, ...]
    note: str | None = None

    @property
    def first(self) -> str:
        """The id of its first box, for a link."""
        return f"{self.field.header}-day" if self.shape is Shape.DATE else self.field.header


def ask(header: str, values: Mapping[str, str], errors: Iterable[str] = (), note: str | None = None) -> Question:
    """A field as a page asks it, with the text it has in `values`, what is wrong with that and what follows from it."""
    field = DATASET.by_header[header]
    when = questions.ASKED.get(header)
    made = boxes(header, posed(values).get(header) or "")
    error = ". ".join(errors)
    given: dict[str, Any] = {"id": header, "idPrefix": header, "name": header}
    if error:
        given["errorMessage"] = {"text": error}
    if hint := kinds_of(DATASET)[field.header].hint:
        given["hint"] = {"text": hint}
    codes = DATASET.codes_of(header)
    asked_with = shape(field)
    beside = None
    match asked_with:
        case Shape.DATE:
            given["items"] = [_part(header, name, content, bool(error)) for name, content in made.items()]
        case Shape.TEXT:
            given |= {"value": made[header], **_writing(field)}
            if apart := _apart(field):
                beside = _ticks(header, apart, made)
        case _:
            given["items"] = _choices(field, asked_with, made[header])
            beside = _another(header, made[f"{header}-another"]) if _takes_another(field) else None
            if asked_with is Shape.LIST:
                given["attributes"] = {"data-search": ""}
    # Radios have the definition of each code beside it; of a list they stand apart.
    defined = tuple(row for row in codes.rows if row.definition) if codes and asked_with is Shape.LIST else ()
    return Question(
        field=field,
        shape=asked_with,
        given=given,
        beside=beside,
        when=when.text if when else "",
        data=json.dumps(when.data()) if when else "",
        defined=defined,
        note=note,
    )


def _part(header: str, name: str, content: str, wrong: bool) -> dict[str, Any]:
    part = name.removeprefix(f"{header}-")
    width = "4" if part == "year" else "2"
    return {
        "id": name,
        "name": name,
        "label": part.title(),
        "value": content,
        "classes": f"govuk-input--width-{width}{' govuk-input--error' if wrong else ''}",
    }


def _writing(field: Field) -> dict[str, Any]:
    """How a text is typed."""
    boxes = kinds_of(DATASET)[field.header].boxes
    written: dict[str, Any] = {"classes": f"govuk-input--width-{boxes.width}", "spellcheck": False}
    if boxes.figures:
        written["inputmode"] = "numeric"
    if boxes.longest:
        written["attributes"] = {"maxlength": str(boxes.longest)}
    return written


def _ticks(header: str, apart: Mapping[str, tuple[str, str]], made: Mapping[str, str]) -> dict[str, Any]:
    items = [
        {"id": name, "name": name, "value": code, "text": label, "checked": made[name] == code}
        for name, (code, label) in apart.items()
    ]
    return {"name": header, "idPrefix": f"{header}-apart", "classes": "govuk-checkboxes--small", "items": items}


def _another(header: str, text: str) -> dict[str, Any]:
    name = f"{header}-another"
    return {
        "id": name,
        "name": name,
        "label": {"text": "Another code of the official list"},
        "value": text,
        "classes": "govuk-input--width-10",
        "spellcheck": False,
    }


def _choices(field: Field, asked_with: Shape, chosen: str) -> list[dict[str, Any]]:
    """The items of radios or of a list: the codes, another one, and none."""
    header, radios = field.header, asked_with is Shape.RADIOS
    items: list[dict[str, Any]] = []
    for row in _rows(header):
        item: dict[str, Any] = {"value": _as_kept(row, chosen), "text": _named(header, row)}
        if radios:
            items.append(item | ({"hint": {"text": row.definition}} if row.definition else {}))
        else:
            items.append(item | _found_by(also_called(header, row)))
    if _takes_another(field):
        other = {} if radios else _found_by(NAMES.get((field.codes or "", ""), ()))
        items.append({"value": ANOTHER, "text": "Another code of the official list"} | other)
    elif chosen and not _listed(field, chosen):
        items.append({"value": chosen, "text": f"“{chosen}”, which is not in the list"})
    blank = "None" if header in questions.OPTIONAL else "No answer yet" if radios else "Select"
    if not radios:
        items.insert(0, {"value": "", "text": blank} | _found_by((blank,) if header in questions.OPTIONAL else ()))
    elif chosen or header in questions.OPTIONAL:
        # Without it a radio once chosen could not be taken back.
        items.append({"value": "", "text": blank})
    for item in items:
        item["checked" if radios else "selected"] = bool(chosen) and item["value"] == chosen
    return items


def _found_by(names: Iterable[str]) -> dict[str, Any]:
    """What a choice of a list is found by besides its text and its code, for the script that searches it."""
    said = "|".join(names)
    return {"attributes": {"data-names": said}} if said else {}


def also_called(header: str, row: Code) -> tuple[str, ...]:
    """Other names of a code of a field, by which people search for it."""
    # A list that takes in others has their names as the groups of its rows.
    own = row.group if row.group in DATASET.lists else DATASET.by_header[header].codes
    names = NAMES.get((own or "", row.code), ())
    return (*names, *_REFUSED) if _DECLINED.search(row.label) else names


@cache
def _rows(header: str) -> tuple[Code, ...]:
    """The codes of a field, each once."""
    codes = DATASET.codes_of(header)
    return tuple({row.code: row for row in reversed(codes.rows)}[code] for code in codes.codes) if codes else ()


@cache
def _twice(header: str) -> frozenset[str]:
    """The labels that several codes of a field have."""
    return frozenset(label for label, n in Counter(row.label for row in _rows(header)).items() if n > 1)


def _named(header: str, row: Code) -> str:
    return f"{row.label} ({f'{row.group} {row.code}'.strip()})" if row.label in _twice(header) else row.label


def _as_kept(row: Code, text: str) -> str:
    """A code as the record has it, where that writes it with zeros before, or as another that is read as it."""
    return text if text in row.also or re.fullmatch(f"0+{re.escape(row.code)}", text) else row.code


def said(header: str, text: str) -> str:
    """A text in words, for a sentence about it."""
    return shown(header, text) or "blank"
