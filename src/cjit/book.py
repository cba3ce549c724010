"""A dataset's rules with the expressions a check needs, made once and kept."""

from __future__ import annotations

from datetime import date
from functools import cached_property, lru_cache

import polars as pl

from cjit import compare, derive, kinds
from cjit.conditions import Matches
from cjit.dataset import SUBMITTER, TODAY, Dataset, Entity, Field, Kind, Severity
from cjit.engine.columns import alone, columns_of, expression, is_sieve, necessary
from cjit.findings import RAGGED


class Book:
    """The rules of one dataset, by number in the document's order; `compared` adds those of changes.

    `within` are the rules of a row, of which `derived` look at one field and `written` at several;
    `across` the written rules over the rows of an id; `stories` the derived ones; `once` those told once a file, and
    `met` each of their conditions, by the header whose cells it is on.
    """

    def __init__(self, dataset: Dataset, compared: bool) -> None:
        self.dataset = dataset
        self.compared = compared
        changes = compare.rules(dataset) if compared else ()
        self.rules = (RAGGED, *dataset.rules, *changes)
        self.index = {rule.id: i for i, rule in enumerate(self.rules)}
        self.ids = pl.Enum([rule.id for rule in self.rules])
        self.stories = kinds.stories(dataset)
        told = {story.rule.id for story in self.stories}
        self.written = [self.index[r.id] for r in dataset.written if r.across is None and not r.once]
        self.across = [i for i, r in enumerate(self.rules) if r.across is not None and r.id not in told]
        self.once = [i for i, r in enumerate(self.rules) if r.once]
        own = {self.index[r.id] for r in dataset.rules if r.across is None} - {*self.written, *self.once}
        self.derived = {h: [i for i in sorted(own) if self.rules[i].header == h] for h in dataset.headers}
        self.gates = [i for i in self.written if self.rules[i].gate]
        order = list(Severity)
        self.grades = pl.Series([order.index(rule.severity) for rule in self.rules], dtype=pl.UInt8)
        # Null is "cannot tell": silent. Only a gate must be sure.
        self.columns = [columns_of(rule.fails_when) for rule in self.rules]
        self.fails = [
            expression(rule.fails_when.surely if rule.gate else rule.fails_when).alias(rule.id) for rule in self.rules
        ]
        #: Where it is dear to ask a rule within a row of every row, the cheap condition that is asked first.
        self.sieves: dict[int, pl.Expr] = {}
        for i in self.written:
            needed = necessary(self.rules[i].fails_when)
            if needed is not None and is_sieve(needed) and not isinstance(self.rules[i].fails_when, Matches):
                self.sieves[i] = expression(needed).alias(self.rules[i].id)
        #: Of a rule across rows, the condition on a row whose id no other row has; most have none.
        self.alone = {i: expression(lone) for i in self.across if (lone := alone(self.rules[i].fails_when)) is not None}
        self.met: dict[str, dict[tuple[int, int], pl.Expr]] = {h: {} for h in dataset.headers}
        for i in self.once:
            for n, condition in enumerate(self.rules[i].once):
                self.met[self.rules[i].header][i, n] = expression(condition).alias(f"{self.rules[i].id} {n}")
        self.keys = [fields[0].header for fields in map(dataset.entity, Entity) if fields]
        self.gathered = list(dict.fromkeys([*self.keys, *(self.rules[i].across or "" for i in self.across)]))
        self.postcodes = {f.header for f in dataset.fields if f.kind is Kind.POSTCODE}
        self.text, self.read, self.value = (dict(zip(dataset.headers, s, strict=True)) for s in derive.columns(dataset))
        self.ids_sent = [f.header for f in dataset.fields if f.kind is Kind.ID]
        self.repeating = [h for h in dataset.headers if h not in self.ids_sent]
        self.untidy = [derive.untidy(f).alias(f.header) for f in dataset.fields if f.kind is Kind.ID]
        self.no_value = {
            f.header: expression(bad.surely).alias(f"no {f.header}")
            for f in dataset.fields
            if (bad := kinds.kinds_of(dataset)[f.header].no_value) is not None
        }
        #: Columns the written rules read beside the values: "X as read" and "X as sent" of some fields.
        read = [name for i in (*self.written, *self.across) for name in self.columns[i]]
        self.also_read = {name.removesuffix(" as read") for name in read if name.endswith(" as read")}
        self.also_sent = {name.removesuffix(" as sent") for name in read if name.endswith(" as sent")}
        self.given = {
            h: i for h, own_rules in self.derived.items() for i in own_rules if self.rules[i].id.endswith(".is_given")
        }
        #: The fields each id's story tells; and each with a number, so that a value of one is not taken for another's.
        self.told = {key: [story.header for story in self.stories if story.key == key] for key in self.keys}
        self.story = {h: seed for seed, h in enumerate(dict.fromkeys(story.header for story in self.stories))}
        self.key_columns = self._key_columns()
        self.tally = self._tally()
        types = {Kind.DATE: pl.Date, Kind.NUMBER: pl.Int32}
        self.types = {f.header: types.get(f.kind, pl.String) for f in dataset.fields}
        self.blank = {
            h: [
                pl.lit(None, pl.String).alias(f"{h} as sent"),
                pl.lit(None, self.types[h]).alias(f"{h} as read"),
                pl.lit(None, self.types[h]).alias(h),
            ]
            for h in dataset.headers
        }

    @cached_property
    def idle(self) -> frozenset[int]:
        """The written rules that have nothing to say where all they read is blank."""
        read = {h for i in self.written for h in self.columns[i]}
        columns = {h: self.types.get(h.removesuffix(" as read"), pl.String) for h in read}
        blank = pl.DataFrame({h: [None] for h in columns}, schema=columns).with_columns(
            pl.lit(date(2000, 1, 1)).alias(TODAY), pl.lit("X").alias(SUBMITTER)
        )
        said = blank.select(self.fails[i] for i in self.written).row(0)
        return frozenset(i for i, fails in zip(self.written, said, strict=True) if not fails)

    def _key_columns(self) -> list[pl.Expr]:
        """What rules across rows see of a row: its ids as hashes, a hash of its story, and values."""
        columns = [*(hashed(key) for key in self.keys), *(pl.col(f"story of {key}") for key in self.told)]
        read = {h for i in self.across for h in self.columns[i]} - set(self.keys)
        columns += [self._narrow(field) for field in self.dataset.fields if field.header in read]
        return columns + [hashed(name) for name in sorted(read) if name.endswith(" as sent")]

    def _narrow(self, field: Field) -> pl.Expr:
        codes = self.dataset.codes_of(field.header)
        if field.kind is Kind.ID:
            return hashed(field.header)
        if codes is not None and codes.complete:
            return pl.col(field.header).cast(pl.Enum(codes.codes), strict=False)
        return pl.col(field.header) if codes is None else pl.col(field.header).cast(pl.String)

    def _tally(self) -> list[pl.Expr]:
        """Counts over typed columns: no values, answers that answer nothing, codes not in the list."""
        counts = []
        for field in self.dataset.fields:
            value = pl.col(field.header)
            counts.append(value.null_count().alias(f"null {field.header}"))
            codes = self.dataset.codes_of(field.header)
            declined = [*map(int, field.apart)] if field.apart else codes.not_answers() if codes else ()
            if declined:
                counts.append(value.is_in(declined).sum().alias(f"not answered {field.header}"))
            if codes is not None and not codes.complete:
                counts.append((~value.is_in(codes.codes)).sum().alias(f"unknown {field.header}"))
        return counts


def hashed(header: str) -> pl.Expr:
    """A column as a hash, null where null."""
    return pl.when(pl.col(header).is_not_null()).then(pl.col(header).hash()).alias(header)


@lru_cache(maxsize=8)
def prepared(dataset: Dataset, compared: bool = False) -> Book:
    """The book of a dataset; made on the first call."""
    return Book(dataset, compared)
