"""Rows of which a file itself makes it doubtful whose they are: nothing of them is taken (docs/adr/0018).

An id stands for one person, one episode or one referral. Where it stands for several, whoever took its rows would
make one record of two people's. So all rows of such an id wait outside, and what is held stays.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

import polars as pl

from cjit.dataset import WITHHELD, Entity
from cjit.sentences import listed
from cjit.web import kept
from cjit.web.dataset import DATASET
from cjit.web.portal import store
from cjit.web.portal.models import RECORDS, Submission

CLIENT, EPISODE, REFERRAL = (store.key_of(entity) for entity in RECORDS)

#: What makes a person: who differs in two of these is another one.
PERSON = ("FINITIAL", "SINITIAL", "DOB", "SEX")
_OTHERWISE = 2
#: How many clients are named of each kind.
_NAMES = 5


class Contest(StrEnum):
    """Why it is doubtful whose a row is. A row that is so for several reasons counts under the first."""

    PEOPLE = "rows of a client ID of several people"
    EPISODE = "rows of an episode of several clients"
    EPISODE_HELD = "rows of an episode that is held of another client"
    REFERRAL = "rows of a referral of several episodes"
    REFERRAL_HELD = "rows of a referral that is held of another episode"


@dataclass(frozen=True)
class Named:
    """Whose the rows of a contest are: the first few clients, by the file's own reference, and how many more."""

    names: tuple[str, ...]
    more: int

    def __str__(self) -> str:
        """The names of A1, A2 and 3 more."""
        return listed([*self.names, *([f"{self.more:,} more"] if self.more else [])])


def rows(own: pl.DataFrame, held: store.Held) -> pl.DataFrame:
    """The contested rows among an agency's `own`: `row` and `contest`. An id that is none is null there."""
    found = [
        pl.DataFrame(schema={"row": own.schema["row"], "contest": pl.String}),
        *(
            own.filter(pl.col(key).is_in(ids.implode())).select("row", contest=pl.lit(contest.value))
            for contest, key, ids in _ids(own, held)
        ),
    ]
    return pl.concat(found).unique("row", keep="first", maintain_order=True)


def _ids(own: pl.DataFrame, held: store.Held) -> Iterator[tuple[Contest, str, pl.Series]]:
    """The ids of each contest, and the header they stand below."""
    # Of a row without consent nothing but its ids is looked at.
    yield Contest.PEOPLE, CLIENT, of_several_people(own.filter(~pl.col(WITHHELD)))
    for entity, here, there in (
        (Entity.EPISODE, Contest.EPISODE, Contest.EPISODE_HELD),
        (Entity.REFERRAL, Contest.REFERRAL, Contest.REFERRAL_HELD),
    ):
        key, parent = store.key_of(entity), DATASET.parent(entity)
        assert parent is not None  # noqa: S101 - for the type checker
        pairs = own.select(key, parent.header).drop_nulls().unique()
        yield here, key, _several(pairs, key)
        both = pairs.join(held[entity].select(key, before=parent.header), on=key)
        yield there, key, both.filter(pl.col(parent.header) != pl.col("before"))[key].unique()


def of_several_people(own: pl.DataFrame) -> pl.Series:
    """The client ids whose rows differ among themselves as two people do."""
    ids = [_several(own.select(CLIENT, header).drop_nulls().unique(), CLIENT) for header in PERSON]
    return pl.concat(ids).value_counts(name="count").filter(pl.col("count") >= _OTHERWISE)[CLIENT]


def _several(pairs: pl.DataFrame, key: str) -> pl.Series:
    return pairs.filter(pl.col(key).is_duplicated())[key].unique()


def touched(some: pl.DataFrame, held: store.Held) -> pl.Series:
    """The clients, by CLIENTID, of whom contested rows may speak: their own, and whose the held records are."""
    referrals = held[Entity.REFERRAL].filter(pl.col(REFERRAL).is_in(some[REFERRAL].drop_nulls().implode()))
    episodes = pl.concat([some[EPISODE].drop_nulls(), referrals[EPISODE]])
    theirs = held[Entity.EPISODE].filter(pl.col(EPISODE).is_in(episodes.implode()))[CLIENT]
    return pl.concat([some[CLIENT].drop_nulls(), theirs]).unique()


# ---- whose they are --------------------------------------------------------------------------------


def keep(submission: Submission, sent: pl.DataFrame, some: pl.DataFrame) -> None:
    """Put beside the upload whose `some` contested rows are, as `rows` gives them."""
    if some.is_empty():
        return
    reference = pl.coalesce("CLIENT", pl.format("row {}", "row"))
    told = some.join(sent.select("row", reference.cast(pl.String).alias("name")), on="row", maintain_order="left")
    named: dict[str, dict[str, object]] = {}
    for contest in Contest:
        names = told.filter(pl.col("contest") == contest.value).sort("row")["name"].unique(maintain_order=True)
        named[contest.value] = {"names": names[:_NAMES].to_list(), "more": max(0, names.len() - _NAMES)}
    kept.write(submission, kept.CONTESTED, json.dumps(named).encode())


def named(submission: Submission, counts: Mapping[str, int]) -> dict[str, Named]:
    """Whose the contested rows of a submission are, by contest, where `counts` has any and the file is still kept."""
    if not any(counts.get(contest) for contest in Contest):
        return {}
    try:
        told = json.loads(kept.read(submission, kept.CONTESTED))
    except kept.NotKept:
        return {}
    return {contest: Named(tuple(each["names"]), each["more"]) for contest, each in told.items()}
