"""The receipt of an acceptance: in words for its page, as text for an e-mail, and as a PDF. Counts, and no value."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import (
    Flowable,
    Paragraph,
    SimpleDocTemplate,
    Spacer,
    Table,
    TableStyle,
)

from cjit.sentences import listed
from cjit.web.dataset import DATASET
from cjit.web.pages import moment
from cjit.web.portal import store
from cjit.web.portal.contested import Contest, Named
from cjit.web.portal.models import State, Submission

Receipt = Mapping[str, Mapping[str, int]]

RECORDS = {"client": "Clients", "episode": "Episodes", "referral": "Referrals"}
#: What of it changes what is held, and how it is called.
CHANGES = {"new": "New", "changed": "Changed", "removed": "Removed", "forgotten": "Forgotten"}
#: What became of records, and how it is called. All a file has are new, changed, unchanged or left out.
COUNTS = {**CHANGES, "unchanged": "Unchanged", "left out": "Left out"}
#: Why something was left out: of one, and of several.
_LEFT_OUT = {
    "rejected rows": (
        "1 row is rejected: correct it and send it again",
        "{:,} rows are rejected: correct them and send them again",
    ),
    Contest.PEOPLE: (
        "1 row{whose} is not taken, because the rows of its CLIENTID are of several people by their initials, dates of"
        " birth or sexes: give each person a CLIENTID of their own and send it again",
        "{:,} rows{whose} are not taken, because the rows of a CLIENTID are of several people by their initials, dates"
        " of birth or sexes: give each person a CLIENTID of their own and send them again",
    ),
    Contest.EPISODE: (
        "1 row{whose} is not taken, because its EPISODID stands under several clients in this file: give each episode"
        " an EPISODID of its own and send it again",
        "{:,} rows{whose} are not taken, because an EPISODID stands under several clients in this file: give each"
        " episode an EPISODID of its own and send them again",
    ),
    Contest.EPISODE_HELD: (
        "1 row{whose} is not taken, because the episode is held under another client: correct its CLIENTID or EPISODID"
        " and send it again",
        "{:,} rows{whose} are not taken, because the episodes are held under another client: correct their CLIENTID or"
        " EPISODID and send them again",
    ),
    Contest.REFERRAL: (
        "1 row{whose} is not taken, because its REFERID stands under several episodes in this file: give each referral"
        " a REFERID of its own and send it again",
        "{:,} rows{whose} are not taken, because a REFERID stands under several episodes in this file: give each"
        " referral a REFERID of its own and send them again",
    ),
    Contest.REFERRAL_HELD: (
        "1 row{whose} is not taken, because the referral is held under another episode: correct its EPISODID or REFERID"
        " and send it again",
        "{:,} rows{whose} are not taken, because the referrals are held under another episode: correct their EPISODID"
        " or REFERID and send them again",
    ),
    "rows that say otherwise than a row above": (
        "1 row says something else of its client, episode or referral than a row above it: the first row counts, and"
        " what differs in this one is not taken",
        "{:,} rows say something else of their client, episode or referral than a row above them: the first row counts,"
        " and what differs in the others is not taken",
    ),
    "waiting for a decision": (
        "1 record waits for a decision: send it again to decide it",
        "{:,} records wait for a decision: send them again to decide them",
    ),
    "rows of another agency": (
        "1 row is of another agency: leave it out of your file",
        "{:,} rows are of another agency: leave them out of your file",
    ),
    "rows of clients who withdraw": (
        "1 row is of a client who withdraws consent: nothing of it is taken",
        "{:,} rows are of clients who withdraw consent: nothing of them is taken",
    ),
    "rows of clients who withdraw and are not held": (
        "1 row withdraws consent of a client who is not held, so it forgets nobody: check the client ID",
        "{:,} rows withdraw consent of clients who are not held, so they forget nobody: check the client IDs",
    ),
    "half-given closures": (
        "1 episode has a closure date without a reason, or a reason without a date: it is taken as still open",
        "{:,} episodes have a closure date without a reason, or a reason without a date: they are taken as still open",
    ),
    "half-given closures of closed episodes": (
        "1 episode that is closed has half a closure in this file: the closure that is held stays",
        "{:,} episodes that are closed have half a closure in this file: the closures that are held stay",
    ),
}
#: What is said above the held values that stay.
KEPT = (
    "This file has nothing to put in their place, so what is held stays; a value cannot be cleared through a file yet"
)
#: Why it does: what the file has instead.
_WHY = {
    "kept": "blank in this file",
    "kept, no column": "no column in this file",
    "kept, half a closure": "half a closure in this file",
    "kept, no value": "no value in this file",
}


# ---- in words --------------------------------------------------------------------------------------


def counted(receipt: Receipt) -> list[tuple[str, list[int]]]:
    """What became of records, each with how many clients, episodes and referrals (`RECORDS`)."""
    return [(name, [receipt.get(kind, {}).get(what, 0) for kind in RECORDS]) for what, name in COUNTS.items()]


def total(receipt: Receipt, what: str) -> int:
    """How many records of all kinds are new, changed, removed or forgotten."""
    return sum(receipt.get(kind, {}).get(what, 0) for kind in RECORDS)


def left_out(receipt: Receipt, named: Mapping[str, Named] | None = None) -> list[str]:
    """What is left out and why, a sentence each; of contested rows with whose they are, where they are `named`.

    `receipt` is one, or the summary of a check.
    """
    counts = receipt.get("left_out", {})
    return [
        (one if counts[what] == 1 else several).format(counts[what], whose=_whose((named or {}).get(what)))
        for what, (one, several) in _LEFT_OUT.items()
        if counts.get(what)
    ]


def _whose(named: Named | None) -> str:
    if named is None:
        return ""
    several = len(named.names) + named.more > 1
    return f" (client {'references' if several else 'reference'} {named})"


def kept(counts: Receipt) -> list[str]:
    """How many held values stay because the file does not say them, a sentence a field, in the document's order.

    `counts` are a receipt, or the summary of a check.
    """
    return [
        f"{field.header}, {field.noun}: {number:,} kept as held, {words}"
        for field in DATASET.fields
        for what, words in _WHY.items()
        if (number := counts.get(what, {}).get(field.header))
    ]


def missing_columns(headers: Sequence[str]) -> str:
    """That a file has not every column, in one sentence; nothing where it has."""
    if not headers:
        return ""
    if len(headers) == 1:
        what = f"The column {headers[0]} is not in this file: what is held of it stays"
    else:
        what = f"The columns {listed(headers)} are not in this file: what is held of them stays"
    return f"{what}, and new records are taken without; ask your software supplier for a file that has every column"


def forgotten(submission: Submission) -> str:
    """What becomes of the clients that an acceptance made the service forget, in one sentence ("": it forgot none)."""
    count = submission.receipt.get("client", {}).get("forgotten", 0)
    if not count:
        return ""
    if submission.state == State.UNDONE:
        back = submission.receipt.get("undo", {}).get("brought back", 0)
        if not back:
            return f"{_clients(count)} whom it had made the service forget {_are(count)} erased, and not held again"
        return f"{_of(back, count)} whom it had made the service forget {_are(back)} held again{_erased(count - back)}"
    back = store.waiting(submission)
    if not back:
        return f"{_clients(count)} {_are(count)} forgotten and erased: undoing does not bring anything of them back"
    return (
        f"{_clients(count)} {_are(count)} forgotten: until {moment(submission.forget_until)} undoing this acceptance,"
        " after any later one, brings"
        f" {_of(back, count) if back < count else 'them' if count > 1 else 'the client'} back, and then all that was"
        f" held of them is erased{_erased(count - back)}"
    )


def all_come_back(submission: Submission) -> bool:
    """Whether undoing an acceptance now brings back all whom it made the service forget."""
    return store.waiting(submission) == int(submission.receipt.get("client", {}).get("forgotten", 0))


def _clients(count: int) -> str:
    return "1 client" if count == 1 else f"{count:,} clients"


def _of(some: int, count: int) -> str:
    if some < count:
        return f"{some:,} of the {_clients(count)}"
    return "The client" if count == 1 else f"The {_clients(count)}"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _erased(count: int) -> str:
    return f"; {count:,} {_are(count)} erased already" if count else ""


def about(submission: Submission) -> list[tuple[str, str]]:
    """What was accepted, when and by whom."""
    told = [
        ("Number", submission.number),
        ("Agency", str(submission.agency)),
        ("Accepted", f"{moment(submission.accepted)} by {submission.accepted_by or 'somebody who has left'}"),
        ("Sent", f"{moment(submission.at)} by {submission.by or 'somebody who has left'}"),
        ("File", submission.name),
        ("SHA-256 of the file", submission.sha256),
        ("Holds", submission.get_scope_display()),
        ("Rows", f"{submission.rows:,}"),
        ("Rules", str(submission.summary.get("rules_version", ""))),
    ]
    if submission.undone:
        told.insert(3, ("Undone", moment(submission.undone)))
    return told


def text(submission: Submission) -> str:
    """The receipt as the text of an e-mail: without the file's name, in which somebody may have put anything."""
    lines = [f"{name}: {value}" for name, value in about(submission) if name != "File"]
    lines.append("")
    for kind, name in RECORDS.items():
        counts = submission.receipt.get(kind, {})
        lines.append(f"{name}: " + ", ".join(f"{counts.get(what, 0):,} {what}" for what in COUNTS))
    if told := forgotten(submission):
        lines += ["", told + "."]
    if columns := missing_columns(submission.summary.get("missing", ())):
        lines += ["", columns + "."]
    if stays := kept(submission.receipt):
        lines += ["", f"{KEPT}:", *(f"- {sentence}" for sentence in stays)]
    if reasons := left_out(submission.receipt):
        lines += ["", "Left out:", *(f"- {reason}" for reason in reasons)]
    return "\n".join(lines) + "\n"


# ---- as a PDF --------------------------------------------------------------------------------------

_INK, _LINE = colors.HexColor("#0b0c0c"), colors.HexColor("#b1b4b6")
_BODY = ParagraphStyle("body", fontName="Helvetica", fontSize=10, leading=14, textColor=_INK)
_LONG = ParagraphStyle("long", _BODY, splitLongWords=True, wordWrap="CJK")
_BOLD = ParagraphStyle("bold", _BODY, fontName="Helvetica-Bold")
_RIGHT = ParagraphStyle("right", _BODY, alignment=2)
_RIGHT_BOLD = ParagraphStyle("right bold", _BOLD, alignment=2)
_H1 = ParagraphStyle("h1", _BOLD, fontSize=20, leading=26, spaceAfter=6 * mm)
_H2 = ParagraphStyle("h2", _BOLD, fontSize=13, leading=18, spaceBefore=8 * mm, spaceAfter=2 * mm)
_SMALL = ParagraphStyle("small", _BODY, fontSize=8, leading=11)
#: 20 mm of a page's sides are left free, 6 points of which reportlab puts inside its frame.
_SIDE = 20 * mm - 6
_RULED = TableStyle(
    [
        ("LINEBELOW", (0, 0), (-1, -1), 0.5, _LINE),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (0, -1), 0),
        ("RIGHTPADDING", (-1, 0), (-1, -1), 0),
    ]
)


def pdf(submission: Submission) -> bytes:
    """The receipt on one A4 page."""
    out = io.BytesIO()
    title = f"Receipt {submission.number}"
    page = SimpleDocTemplate(
        out,
        pagesize=A4,
        title=title,
        author="CJIT records",
        subject="Receipt of an accepted submission",
        lang="en-GB",
        leftMargin=_SIDE,
        rightMargin=_SIDE,
        topMargin=20 * mm,
        bottomMargin=20 * mm,
        creator="CJIT records",
    )
    story: list[Flowable] = [_said(title, _H1)]
    told = [[_said(name, _BOLD), _said(value, _LONG)] for name, value in about(submission)]
    story.append(Table(told, colWidths=[42 * mm, 128 * mm], style=_RULED))
    story.append(_said("What became of the records", _H2))
    head = [_said("", _BOLD), *(_said(name, _RIGHT_BOLD) for name in RECORDS.values())]
    rows = [
        [_said(name, _BODY), *(_said(f"{n:,}", _RIGHT) for n in counts)] for name, counts in counted(submission.receipt)
    ]
    story.append(Table([head, *rows], colWidths=[50 * mm, *[40 * mm] * 3], style=_RULED, repeatRows=1))
    if said := forgotten(submission):
        story += [Spacer(1, 4 * mm), _said(f"{said}.", _BODY)]
    if columns := missing_columns(submission.summary.get("missing", ())):
        story += [Spacer(1, 4 * mm), _said(f"{columns}.", _BODY)]
    if stays := kept(submission.receipt):
        story.append(_said("Kept as held", _H2))
        story += [_said(sentence, _BODY) for sentence in (f"{KEPT}:", *stays)]
    story.append(_said("Left out", _H2))
    story += [_said(reason, _BODY) for reason in left_out(submission.receipt) or ["Nothing was left out"]]
    story.append(Spacer(1, 10 * mm))
    story.append(_said("CJIT records is not a service of NDTMS, DHSC or GOV.UK. No record is shown here.", _SMALL))
    page.build(story)
    return out.getvalue()


def _said(words: str, style: ParagraphStyle) -> Paragraph:
    # The fonts every reader of PDF has know no other letters than these.
    plain = words.encode("cp1252", "replace").decode("cp1252")
    return Paragraph(escape(plain), style)
