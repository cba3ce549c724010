"""One piece of a file, or one record, put to the rule book: the work that runs side by side.

Apart from ids a field has few texts, each in many cells. So each distinct text of a field is looked at once:
it is tidied, typed and put to the derived rules, and what it is goes to all its rows. The written rules then see
every row, with the values put right.

Nothing here changes anything: a piece's result depends on the piece alone.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from operator import itemgetter

import polars as pl

from cjit import derive
from cjit.book import Book, hashed
from cjit.conditions import Argument, is_told
from cjit.dataset import SUBMITTER, TODAY, WITHDRAWN, WITHHELD, Dataset, Record, Rule, Severity
from cjit.dates import Style
from cjit.engine.columns import expression
from cjit.findings import Finding
from cjit.geography import TRUNCATED
from cjit.read import Batch, repeating

#: A whole postcode anywhere in a text, however it is spaced; its first part is the group.
_WHOLE_WITHIN = r"(?i)\b([a-z]{1,2}[0-9][0-9a-z]?\s*[0-9])[a-z]{2}\b"


#: Distinct texts of a withheld field that may be told, and what each may look like.
FEW = 5
_WORD = re.compile(r"[^\W\d_]([^\W\d_]|[ ’',.()–-]){0,11}|[0-9]{1,2}|\W{1,3}")


@dataclass(frozen=True)
class Part:
    """What one piece of a file gives.

    `findings` are those within rows. `held` are those across rows with the hash of their id (`key`): they
    stand unless the id's rows go on in another piece. `met` has, as findings with the number of the `condition`, the
    first row of each condition of the rules that are told once a file. `keys` has the narrow columns of
    `Book.key_columns`, `row` and WITHHELD; `values`, for a comparison, the typed columns, and `bad_cells` where they
    are null for want of a value; `withheld` whose rows are gated, by the client's id. `grades` is the gravest severity
    of each row. `said` are the texts of the gate's field that are no code of it, with their rows: "" for blank, and
    where there are many only some. `cut_off` is the row within which the file ends, `uneven` are those that end before
    others beside them.
    """

    rows: int
    blank: int
    ragged: int
    size: int
    findings: pl.DataFrame
    held: pl.DataFrame
    met: pl.DataFrame
    keys: pl.DataFrame
    values: pl.DataFrame | None
    bad_cells: pl.DataFrame
    withheld: pl.Series
    grades: pl.DataFrame
    gated: int
    counts: Mapping[str, int]
    said: Mapping[str, int]
    cut_off: int | None = None
    uneven: tuple[int, ...] = ()


@dataclass(frozen=True)
class _Typed:
    """The values of some rows, and what the derived rules found on the way.

    `values` has a column a header, and a hash of each story. `found` are positions by rule,
    `bad` where a field's value is no value, by header. `met` has a Boolean a row for each condition that holds
    somewhere, of the rules that are told once a file.
    """

    values: pl.DataFrame
    found: dict[int, pl.Series]
    bad: dict[str, pl.Series]
    met: dict[tuple[int, int], pl.Series]


@dataclass(frozen=True)
class _Looked:
    """Some texts of a field, by number: their values, and where derived rules fail.

    `value`, `read` and `sent` are columns as `derive.columns` makes them, `hash` one of the values (None: no story
    tells the field). `altered` says whether any value differs from its text. `fails` has the rules that fail
    somewhere by id, and `no H`; `odd` is where any does. `met` has the conditions that hold somewhere, of rules told
    once a file. They may be longer than the texts are many.
    """

    value: pl.Series
    read: pl.Series
    sent: pl.Series
    hash: pl.Series | None
    altered: bool
    fails: dict[str, pl.Series]
    odd: pl.Series
    met: dict[tuple[int, int], pl.Series]


class Examiner:
    """A book with the arguments of one check."""

    def __init__(
        self,
        book: Book,
        active: frozenset[int],
        today: date,
        submitter: str | None,
        types: Mapping[str, pl.DataType] | None = None,
    ) -> None:
        self.book = book
        #: Types for texts that outlast a piece: one number a text, where whole files are compared.
        self.types = {h: types[h] for h in book.repeating} if types else dict.fromkeys(book.repeating, pl.String())
        self.active = active
        self.submitter = submitter
        self.constants = [pl.lit(today).alias(TODAY), pl.lit(submitter, pl.String).alias(SUBMITTER)]
        self.written = [i for i in book.written if i in active or book.rules[i].gate]
        self.derived = {h: [i for i in derived if i in active] for h, derived in book.derived.items()}
        self.met = {h: {at: c for at, c in met.items() if at[0] in active} for h, met in book.met.items()}
        self.given = {h: i for h, i in book.given.items() if i in active}
        # Where no rule is asked for the values are what counts, and of no value only a gate must know.
        gates = {h for i in book.gates for h in book.rules[i].headers}
        gate_columns = {h for i in book.gates for h in book.columns[i]}
        self.no_value = {h: bad for h, bad in book.no_value.items() if active or h in gates}
        self.also_read = (
            book.also_read if active else book.also_read & {h.removesuffix(" as read") for h in gate_columns}
        )
        self.also_sent = (
            book.also_sent if active else book.also_sent & {h.removesuffix(" as sent") for h in gate_columns}
        )
        self.story = book.story if active else {}
        self.across = [i for i in book.across if i in active]
        # Where the submitter is told, its own rule says more of a field than a comparison of rows.
        told = {r.header for r in book.rules if is_told(r.fails_when, Argument.SUBMITTER)} if submitter else ()
        self.stories = [s for s in book.stories if book.index[s.rule.id] in active and s.header not in told]

    # ---- a piece -------------------------------------------------------------------------------

    def examine(self, batch: Batch) -> Part:
        """Everything that can be said of one piece by itself."""
        book, frame, rows = self.book, batch.frame, batch.rows
        typed = self._typed(frame)
        failing, gated = self._written(typed.values, self.written, typed.bad)
        open_ = ~gated
        shut = gated.arg_true()
        found = {i: at.filter(open_[at]) if shut.len() else at for i, at in typed.found.items() if i in self.active}
        found |= {i: column.arg_true() for i, column in failing.items() if i in self.active}
        for i in failing:
            quieted = book.index.get(book.rules[i].replaces)
            if quieted in found:
                found[quieted] = found[quieted].filter(~found[quieted].is_in(failing[i].arg_true().implode()))
        within = self.gather({i: at for i, at in sorted(found.items()) if at.len()}, frame, rows)
        values = typed.values.with_columns(rows.alias("row"))
        keys = values.select("row", *book.key_columns).with_columns(gated.alias(WITHHELD))
        for i, fails in failing.items():
            # An id that is none names nobody: the rows that share it are not rows of one client, episode or referral.
            if book.rules[i].severity is Severity.REJECT and (header := book.rules[i].header) in book.gathered:
                keys = keys.with_columns(pl.when(~fails.fill_null(False)).then(pl.col(header)).alias(header))
        counts = values.select(book.tally).row(0, named=True)
        if shut.len():
            # Of what is withheld only the client's id looks beyond its row: another row may say otherwise.
            kept = ("row", book.keys[0], WITHHELD)
            keys = keys.with_columns(pl.when(~pl.col(WITHHELD)).then(pl.exclude(kept)).name.keep())
            withheld = values[shut].select(book.tally).row(0, named=True)
            counts = {name: count - withheld[name] for name, count in counts.items()}
            counts |= self._again(frame[shut])
        counts |= {"short": batch.short, "long": batch.long}
        repeated = _repeated(keys, book.gathered)
        ragged = self._ragged(batch)
        findings = in_order(pl.concat([within, ragged]))
        counts |= {f"bad {h}": int(open_[at].sum()) for h, at in typed.bad.items()}
        return Part(
            rows=frame.height + len(batch.ragged),
            blank=batch.blank,
            ragged=len(batch.ragged),
            size=batch.size,
            findings=findings,
            held=pl.concat(
                [self._stories(keys, repeated, values, frame, rows), self._held(keys, repeated, frame, rows)]
            ),
            met=self._met(typed.met, open_, frame, rows),
            keys=keys,
            values=self._lasting(values.filter(open_).select("row", *book.dataset.headers)) if book.compared else None,
            bad_cells=_cells_at(typed.bad if book.compared else {}, rows),
            withheld=values[book.keys[0]][shut],
            grades=grades(findings, book),
            gated=shut.len(),
            counts=counts,
            said=self._said(frame[shut]) if shut.len() else {},
            cut_off=batch.cut_off,
            uneven=batch.uneven,
        )

    def _said(self, shut: pl.DataFrame) -> dict[str, int]:
        """What stands in the gate's field of some rows and is no code of it."""
        header = self.book.rules[self.book.gates[0]].header
        codes = self.book.dataset.codes_of(header)
        told = shut.filter(~repeats_headers(shut, self.book.dataset))
        texts = told.select(pl.col(header).cast(pl.String).fill_null("").str.strip_chars().alias("text"))
        other = texts.filter(~pl.col("text").str.to_uppercase().is_in(codes.codes if codes else ()))["text"]
        counts = dict(other.value_counts(sort=True).iter_rows())
        some = [text for text in counts if text][: FEW + 1]
        return {text: counts[text] for text in ("", *some) if text in counts}

    def _again(self, shut: pl.DataFrame) -> dict[str, int]:
        return {"headers again": int(repeats_headers(shut, self.book.dataset).sum())}

    def values(self, batch: Batch) -> pl.DataFrame:
        """The typed values of the rows whose client consents, with `row`."""
        return self.records(batch).filter(~pl.col(WITHHELD)).drop(WITHHELD, WITHDRAWN)

    def records(self, batch: Batch) -> pl.DataFrame:
        """The typed values of all rows, with `row`, WITHHELD and WITHDRAWN: without consent, and by a plain no."""
        book, typed = self.book, self._typed(batch.frame)
        _, gated = self._written(typed.values, book.gates, typed.bad)
        no = (pl.col(f.header).cast(pl.String).is_in(f.withdraws) for f in book.dataset.fields if f.withdraws)
        withdrawn = (pl.lit(gated) & pl.any_horizontal(pl.lit(False), *no).fill_null(False)).alias(WITHDRAWN)
        return self._lasting(
            typed.values.select(batch.rows.alias("row"), *book.dataset.headers, gated.alias(WITHHELD), withdrawn)
        )

    def _lasting(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Values that can stand in one column with those of other pieces, and of the last submission."""
        return frame.cast({h: self.types[h] for h in self.types if isinstance(frame.schema[h], pl.Categorical)})

    def _typed(self, frame: pl.DataFrame) -> _Typed:
        """Text to values, and what the derived rules find: each distinct text of a field is looked at once.

        Ids rarely repeat: of those only the untidy ones are looked at.
        """
        book = self.book
        frame = _distinct(frame, book)
        first = frame.select(
            *(pl.col(h).to_physical().max() for h in book.repeating),
            *(untidy.arg_true().implode() for untidy in book.untidy),
        )
        numbers = frame.select(pl.col(book.repeating).to_physical())
        count = {h: 0 if first[h][0] is None else first[h][0] + 1 for h in book.repeating}
        untidy = {h: at for h in book.ids_sent if (at := first[h][0]).len()}
        looked = self._looked(frame.schema, count, {h: frame[h][at] for h, at in untidy.items()})
        found: dict[int, pl.Series] = {}
        bad: dict[str, pl.Series] = {}

        def say(header: str, at: pl.Series, number: pl.Series) -> None:
            given = self.given.get(header, -1)
            for name, fails in looked[header].fails.items():
                here = fails[number]
                if name not in book.index:
                    bad[header] = at.filter(here)
                elif book.index[name] != given:
                    found[book.index[name]] = at.filter(here)
                else:
                    found[given] = at.filter(here.fill_null(True))
            if number.null_count() and given not in found:
                found[given] = at.filter(number.is_null())

        for header, at in untidy.items():
            say(header, at, pl.int_range(at.len(), dtype=pl.UInt32, eager=True))
        # A blank is no text and has no number; of it nothing is found but that it is not given.
        blank = {h for h in self.given if h in count and frame[h].null_count()}
        asked = [h for h in count if h in blank or looked[h].fails]
        odd = pl.DataFrame([looked[h].odd[numbers[h]].alias(h) for h in asked])
        hits = odd.select(pl.col(h).fill_null(h in blank).arg_true().implode() for h in asked)
        for h in asked:
            say(h, hits[h][0], numbers[h][hits[h][0]])
        met = {at: column[numbers[h]] for h in numbers.columns for at, column in looked[h].met.items()}
        values = self._values(frame, untidy, numbers, looked)
        return _Typed(values, found, {h: at for h, at in bad.items() if at.len()}, met)

    def _values(
        self,
        frame: pl.DataFrame,
        untidy: Mapping[str, pl.Series],
        numbers: pl.DataFrame,
        looked: Mapping[str, _Looked],
    ) -> pl.DataFrame:
        """The columns written rules and stories read: values put right, and a hash of each story."""
        book = self.book
        ids = {h: frame[h].clone().scatter(at, looked[h].value.head(at.len())) for h, at in untidy.items()}
        values = frame.with_columns(*self.constants, *ids.values())

        def spread(value: pl.Series, header: str, name: str) -> pl.Series:
            value = value.cast(frame.schema[header]) if value.dtype == pl.String else value
            return value[numbers[header]].alias(name)

        hashes = values.select(pl.col(h).hash(self.story[h]) for h in book.ids_sent if h in self.story)
        hashes = hashes.with_columns(
            told[numbers[h]].alias(h) for h in numbers.columns if (told := looked[h].hash) is not None
        )
        return values.with_columns(
            *(spread(looked[h].value, h, h) for h in numbers.columns if looked[h].altered),
            *(spread(looked[h].read, h, f"{h} as read") for h in self.also_read),
            *(spread(looked[h].sent, h, f"{h} as sent") for h in self.also_sent),
            # A sum does well enough: each field's hashes have a seed of their own.
            *hashes.select(
                pl.sum_horizontal(some).alias(f"story of {key}") for key, some in book.told.items() if self.story
            ),
        )

    def _looked(self, schema: pl.Schema, count: Mapping[str, int], ids: Mapping[str, pl.Series]) -> dict[str, _Looked]:
        """The texts of each field, and some ids, put to the derived rules of the field.

        Fields with about as many texts go into one frame, the shorter ones filled up with blanks: a query a
        field would cost more than its work.
        """
        many = {**count, **{h: text.len() for h, text in ids.items()}}
        alike: dict[int, list[str]] = {}
        for header, n in many.items():
            alike.setdefault(max(n.bit_length(), 7) // 3, []).append(header)
        looked: dict[str, _Looked] = {}
        for headers in alike.values():
            number = pl.int_range(max(1, *(many[h] for h in headers)), dtype=pl.UInt32, eager=True).alias("")
            some = [ids[h].alias(h) for h in headers if h in ids]
            texts = pl.concat([number.to_frame(), *(s.to_frame() for s in some)], how="horizontal_extend").select(
                pl.col(h)
                if h in ids
                else pl.when(pl.col("") < many[h]).then(pl.col("")).cat.to(schema[h]).cast(pl.String).alias(h)
                for h in headers
            )
            looked |= self._looked_at(texts, many)
        return looked

    def _looked_at(self, texts: pl.DataFrame, many: Mapping[str, int]) -> dict[str, _Looked]:
        book, headers = self.book, texts.columns
        full = (
            texts.with_columns(*self.constants, pl.all().name.suffix(" text"))
            .with_columns(book.text[h] for h in headers)
            .with_columns(book.read[h] for h in headers)
            .with_columns(book.value[h] for h in headers)
        )
        names = {
            h: [*(book.rules[i].id for i in self.derived[h]), *([f"no {h}"] if h in self.no_value else [])]
            for h in headers
        }
        fails = full.select(
            *(book.fails[i] for h in headers for i in self.derived[h]),
            *(self.no_value[h] for h in headers if h in self.no_value),
            *(condition for h in headers for condition in self.met[h].values()),
            *(pl.col(h).hash(self.story[h]).alias(f"hash {h}") for h in headers if h in self.story),
            *(_altered(full, h).alias(f"altered {h}") for h in headers),
        )
        met = {h: {at: condition.meta.output_name() for at, condition in self.met[h].items()} for h in headers}
        anywhere = fails.select(
            *(pl.col(name).head(many[h]).any() for h in headers for name in (*names[h], *met[h].values())),
            *(pl.col(f"altered {h}").any() for h in headers),
        ).row(0, named=True)
        odd = fails.with_columns(
            pl.any_horizontal(pl.lit(False), *(n for n in names[h] if anywhere[n])).alias(h) for h in headers
        )
        return {
            h: _Looked(
                value=full[h],
                read=full[f"{h} as read"],
                sent=full[f"{h} as sent"],
                hash=fails[f"hash {h}"] if h in self.story else None,
                altered=anywhere[f"altered {h}"],
                fails={name: fails[name] for name in names[h] if anywhere[name]},
                odd=odd[h],
                met={at: fails[name] for at, name in met[h].items() if anywhere[name]},
            )
            for h in headers
        }

    def _written(
        self, values: pl.DataFrame, rules: Sequence[int], bad: Mapping[str, pl.Series]
    ) -> tuple[dict[int, pl.Series], pl.Series]:
        """Where each written rule fails, a Boolean column each that fails anywhere; and the gated rows.

        Where a value is no value, every rule that reads it is silent.
        """
        book = self.book
        fails = (values.select_seq if values.height == 1 else values.select)(
            book.sieves.get(i, book.fails[i]) for i in rules
        )
        for i in _raised(fails, [i for i in rules if i in book.sieves], book.rules):
            # The dear rule is asked only where its cheap condition holds.
            likely = fails[book.rules[i].id]
            some = values.select(book.columns[i]).filter(likely)
            at = likely.arg_true().filter(_plain(some).select(book.fails[i])[:, 0])
            fails = fails.with_columns(_column(values.height, at).alias(book.rules[i].id))
        raised = _raised(fails, rules, book.rules)
        gated = _column(values.height, None)
        for i in raised:
            if book.rules[i].gate:
                gated |= fails[book.rules[i].id]
        if not raised:
            return {}, gated
        masks = [_column(values.height, at).alias(f"no {h}") for h, at in bad.items()]
        judged = fails.select(book.rules[i].id for i in raised).with_columns(gated.alias("gated"), *masks)
        judged = judged.select(_masked(book.rules[i], bad) for i in raised)
        return {i: judged[book.rules[i].id] for i in _raised(judged, raised, book.rules)}, gated

    def gather(self, found: Mapping[int, pl.Series], frame: pl.DataFrame, rows: pl.Series) -> pl.DataFrame:
        """A row a finding, from the positions at which each rule failed in `frame` (text) and `rows`."""
        book = self.book
        if not found:
            return self.nothing()
        values = []
        for i, at in found.items():
            rule = book.rules[i]
            if rule.gate or rule.header not in book.dataset.by_header:
                values.append(pl.Series("value", [None], dtype=pl.String).new_from_index(0, at.len()))
            else:
                value = frame[rule.header][at].cast(pl.String).alias("value")
                values.append(cut_postcodes(value) if rule.header in book.postcodes else value)
        places = pl.concat([at.cast(pl.UInt32) for at in found.values()])
        told = pl.DataFrame(
            {
                "row": rows[places],
                "rule": _numbers(found),
                "value": struck(pl.concat(values)),
                "client": frame[book.keys[0]][places],
                "episode": frame[book.keys[1]][places],
            }
        )
        gates = [i for i in found if book.rules[i].gate]
        if gates:
            told = told.with_columns(pl.when(~pl.col("rule").is_in(gates)).then(pl.col("client", "episode")))
        return self._with_ids(told)

    def _with_ids(self, told: pl.DataFrame) -> pl.DataFrame:
        """Rule numbers to ids; with a column for the previous value where there is a last submission."""
        book = self.book
        ids = pl.Series([rule.id for rule in book.rules], dtype=book.ids)
        told = told.with_columns(ids[told["rule"]].alias("rule"))
        return told.with_columns(previous=pl.lit(None, pl.String)) if book.compared else told

    def nothing(self) -> pl.DataFrame:
        """No findings, with the columns they would have."""
        text = ("value", "client", "episode", *(("previous",) if self.book.compared else ()))
        return pl.DataFrame(schema={"row": pl.UInt32, "rule": self.book.ids, **dict.fromkeys(text, pl.String)})

    def _ragged(self, batch: Batch) -> pl.DataFrame:
        if not batch.ragged or 0 not in self.active:
            return self.nothing()
        schema = {"row": pl.UInt32, "value": pl.String}
        told = pl.DataFrame(
            [(row, cells_told(cells, batch.width, ends=row == batch.cut_off)) for row, cells in batch.ragged],
            schema=schema,
            orient="row",
        )
        text = pl.lit(None, pl.String)
        told = told.select("row", pl.lit(0, pl.UInt32).alias("rule"), "value", client=text, episode=text)
        return self._with_ids(told)

    def _met(
        self, met: Mapping[tuple[int, int], pl.Series], open_: pl.Series, frame: pl.DataFrame, rows: pl.Series
    ) -> pl.DataFrame:
        """The first row at which each condition of the rules told once a file holds, of rows that may be shown."""
        first: dict[int, list[int]] = {}
        conditions: list[int] = []
        for (i, n), column in sorted(met.items(), key=itemgetter(0)):
            at = (column & open_).fill_null(False).arg_max()
            if at is not None and open_[at] and column[at]:
                first.setdefault(i, []).append(at)
                conditions.append(n)
        told = self.gather({i: pl.Series(at, dtype=pl.UInt32) for i, at in first.items()}, frame, rows)
        return told.with_columns(pl.Series("condition", conditions, dtype=pl.UInt8))

    # ---- across the rows of a piece ------------------------------------------------------------

    def _stories(
        self,
        keys: pl.DataFrame,
        repeated: Mapping[str, pl.Series],
        values: pl.DataFrame,
        frame: pl.DataFrame,
        rows: pl.Series,
    ) -> pl.DataFrame:
        """Rows of one id that disagree with one another, as far as this piece shows, with their keys."""
        found = [self.nothing().with_columns(key=pl.lit(None, pl.UInt64))]
        for key in self.book.keys:
            stories = [s for s in self.stories if s.key == key]
            apart = disagreeing(keys, key, repeated[key])
            apart = apart.filter(~keys[WITHHELD][apart])
            if stories and apart.len():
                some = values.select("row", key, *(s.header for s in stories))[apart]
                found.append(self.told(stories, some, frame, rows))
        return pl.concat(found)

    def told(
        self, stories: Sequence[derive.Story], values: pl.DataFrame, frame: pl.DataFrame, rows: pl.Series
    ) -> pl.DataFrame:
        """Findings of the one-story rules over all rows of ids that may disagree, with the hashes of the ids.

        `values` has `row` and the stories' typed columns; `frame` and `rows` are where the rows' text is.
        """
        hashes = values.select(hashed(h) for h in values.columns if h != "row")
        differ = hashes.select(expression(s.rule.fails_when.surely).alias(s.rule.id) for s in stories)
        # An id that belongs to several is not one thing, and its values need not agree.
        belongs = [s.rule.id for s in stories if s.rule.header == s.key]
        if belongs:
            differ = differ.with_columns(
                pl.col(s.rule.id) & ~pl.any_horizontal(belongs) for s in stories if s.rule.header != s.key
            )
        found = {
            self.book.index[story.rule.id]: differ[story.rule.id].arg_true()
            for story in stories
            if differ[story.rule.id].any()
        }
        told = self.gather(found, frame[rows.search_sorted(values["row"])], values["row"])
        ids = hashes.select(pl.col(stories[0].key).alias("key")).with_columns(values["row"])
        return told.join(ids, on="row", how="left", maintain_order="left")

    def _held(
        self, keys: pl.DataFrame, repeated: Mapping[str, pl.Series], frame: pl.DataFrame, rows: pl.Series
    ) -> pl.DataFrame:
        """What the written rules across rows find in this piece, asked only of ids that could break them."""
        book = self.book
        found = [self.nothing().with_columns(key=pl.lit(None, pl.UInt64))]
        for key in book.gathered:
            mine = [i for i in self.across if book.rules[i].across == key]
            if mine and repeated[key].len():
                for i, at in self.across_hits(some := keys[repeated[key]], mine).items():
                    found.append(self.texts(i, some["row"][at], frame, rows, some[key][at]))
            lone = [i for i in mine if i in book.alone]
            if not lone:
                continue
            others = _column(keys.height, repeated[key]) | keys[key].is_null()
            fails = keys.with_columns(*self.constants).select(book.alone[i].alias(book.rules[i].id) for i in lone)
            for i in _raised(fails, lone, book.rules):
                at_fault = keys.filter(fails[book.rules[i].id] & ~others)
                if not at_fault.is_empty():
                    found.append(self.texts(i, at_fault["row"], frame, rows, at_fault[key]))
        return pl.concat(found)

    def across_hits(self, keys: pl.DataFrame, rules: Sequence[int]) -> dict[int, pl.Series]:
        """The positions in `keys` at which written rules across rows fail, as far as those rows show."""
        if not rules or keys.is_empty():
            return {}
        book = self.book
        keys = keys.with_columns(*self.constants)
        fails = keys.select(
            (book.fails[i] & pl.col(book.rules[i].across or "").is_not_null()).alias(book.rules[i].id) for i in rules
        )
        return {i: fails[book.rules[i].id].arg_true() for i in _raised(fails, rules, book.rules)}

    def texts(self, i: int, wanted: pl.Series, frame: pl.DataFrame, rows: pl.Series, key: pl.Series) -> pl.DataFrame:
        """Findings of one rule at some rows, whose text is in `frame`, with the hash of their id."""
        every = pl.int_range(wanted.len(), eager=True, dtype=pl.UInt32)
        some = self.gather({i: every}, frame[rows.search_sorted(wanted)], wanted)
        return some.join(pl.DataFrame({"row": wanted, "key": key}), on="row", how="left", maintain_order="left")

    # ---- a record ------------------------------------------------------------------------------

    def look_at_one(self, record: Record) -> list[Finding]:
        """One record put to every rule within a row, without the work its blank or plain fields do not need."""
        book, headers = self.book, self.book.dataset.headers
        text = {h: record.get(h) or "" for h in headers}
        filled = [h for h in headers if text[h].strip()]
        blank = [h for h in headers if not text[h].strip()]
        sent = {f"{h} as sent": text[h] for h in filled} or {"": ""}
        frame = pl.DataFrame([tuple(sent.values())], dict.fromkeys(sent, pl.String), orient="row")
        # One after another: of one row there is nothing to share between processors.
        full = frame.with_columns_seq(
            *self.constants, *(book.read[h] for h in filled), *(column for h in blank for column in book.blank[h])
        ).with_columns_seq(book.value[h] for h in filled)
        values = full.row(0, named=True)
        # A value written just as the dataset writes it breaks no derived rule.
        odd = [h for h in filled if text[h] not in _as_text(values[h])]
        given = [i for h in blank for i in book.derived[h] if book.rules[i].id.endswith(".is_given")]
        asked = [i for h in odd for i in (*book.derived[h], *dict.fromkeys(i for i, _ in book.met[h]))]
        unsure = [book.no_value[h] for h in odd if h in book.no_value]
        own = full.select_seq(*unsure, *(book.fails[i] for i in asked)) if odd else full
        bad = {h: pl.Series([0], dtype=pl.UInt32) for h in odd if h in book.no_value and own[f"no {h}"][0]}
        told = {f"{h}{which}" for h in filled for which in ("", " as read", " as sent")}
        asked_of_all = [i for i in self.written if i not in book.idle or not told.isdisjoint(book.columns[i])]
        failing, gated = self._written(full, asked_of_all, bad)
        found = set(failing)
        if not gated[0]:
            found |= {*given, *_raised(own, asked, book.rules)}
        found -= {book.index[book.rules[i].replaces] for i in failing if book.rules[i].replaces in book.index}
        return [Finding(0, book.rules[i], self._shown(book.rules[i], text)) for i in sorted(found & self.active)]

    def _shown(self, rule: Rule, text: Mapping[str, str]) -> str | None:
        value = None if rule.gate else text[rule.header] or None
        if value is None:
            return None
        shown: list[str | None] = (cut_postcodes if rule.header in self.book.postcodes else struck)(
            pl.Series("value", [value])
        ).to_list()
        return shown[0]


def repeats_headers(frame: pl.DataFrame, dataset: Dataset) -> pl.Series:
    """True for each row of text that has nothing but the headers in its cells."""
    names = {f.header: [f.header, *f.also] for f in dataset.fields}
    told = pl.col(*names).cast(pl.String).str.strip_chars().str.to_uppercase()
    cells = frame.select(told)
    same = pl.all_horizontal(pl.col(h).is_in(known) | pl.col(h).is_null() for h, known in names.items())
    return cells.select((same & ~pl.all_horizontal(pl.all().is_null())).alias("again"))["again"]


def spells_yes(text: str) -> bool:
    """Whether a text that should be Y plainly stands for it."""
    return text.strip().upper() in ("YES", "1", "TRUE")


def tells_of_the_extract(texts: Collection[str]) -> bool:
    """Whether texts of rows that are withheld may be shown: few and short words, such as an extract writes for a code.

    Where columns have shifted anything may stand there: what looks like a date, a postcode or an id is not shown.
    """
    return len(texts) <= FEW and all(_WORD.fullmatch(text) for text in texts)


def cells_told(cells: int, width: int, *, ends: bool) -> str:
    """How many cells a row has, in words; `ends` says that the file ends within it."""
    return f"{cells:,} {'cell' if cells == 1 else 'cells'}, not {width:,}{', where the file ends' if ends else ''}"


def _distinct(frame: pl.DataFrame, book: Book) -> pl.DataFrame:
    """A frame of text with the texts of each field but ids kept once (`read.repeating`)."""
    if all(isinstance(frame.schema[h], pl.Categorical) for h in frame.columns if h not in book.ids_sent):
        return frame
    return _plain(frame).with_columns(pl.col(h).cast(kind) for h, kind in repeating(book.dataset).items())


def _altered(full: pl.DataFrame, header: str) -> pl.Expr:
    """Where a value differs from its text, or is of another type."""
    text, value = pl.col(f"{header} text"), pl.col(header)
    return text.ne_missing(value) if full.schema[header] == pl.String else pl.lit(True)


def _plain(frame: pl.DataFrame) -> pl.DataFrame:
    """A frame whose texts can stand in one column with those of another piece."""
    return frame.cast({pl.Categorical: pl.String})


def grades(findings: pl.DataFrame, book: Book) -> pl.DataFrame:
    """The gravest severity of each row that has findings, as its place in `Severity`: row, grade."""
    grade = book.grades[findings["rule"].to_physical()].alias("grade")
    return findings.select("row", grade).group_by("row").min()


def _cells_at(bad: Mapping[str, pl.Series], rows: pl.Series) -> pl.DataFrame:
    """Row and header of each cell whose value is no value."""
    parts = [pl.DataFrame({"row": rows[at]}).with_columns(header=pl.lit(h)) for h, at in bad.items()]
    return pl.concat([pl.DataFrame(schema={"row": pl.UInt32, "header": pl.String}), *parts])


def in_order(findings: pl.DataFrame) -> pl.DataFrame:
    """Findings by row, then by the book: on one number, which sorts faster than two columns."""
    place = pl.col("row").cast(pl.UInt64) * (1 << 20) + pl.col("rule").to_physical()
    return findings[findings.select(place.arg_sort())[:, 0]]


def _repeated(keys: pl.DataFrame, ids: Sequence[str]) -> dict[str, pl.Series]:
    """For each id, the positions of rows whose id stands on several rows."""
    at = keys.select((pl.col(key).is_not_null() & pl.col(key).is_duplicated()).arg_true().implode() for key in ids)
    return {key: at[key][0] for key in ids}


def disagreeing(keys: pl.DataFrame, key: str, at: pl.Series) -> pl.Series:
    """Of rows at some positions, which hold whole ids, the positions of those whose id has several stories."""
    story = f"story of {key}"
    return at.filter(keys[at].select(pl.col(story).min().over(key) != pl.col(story).max().over(key))[:, 0])


def _masked(rule: Rule, bad: Collection[str]) -> pl.Expr:
    """Where a rule fails and nothing quiets it."""
    column = pl.col(rule.id)
    if not rule.gate:
        column &= ~pl.any_horizontal("gated", *(f"no {h}" for h in rule.values if h in bad))
    return column.alias(rule.id)


def _raised(fails: pl.DataFrame, rules: Sequence[int], book: Sequence[Rule]) -> list[int]:
    """Of some rules, those whose column is true anywhere."""
    if fails.height == 1:
        row = fails.row(0, named=True)
        return [i for i in rules if row[book[i].id]]
    return [i for i in rules if fails[book[i].id].any()]


def _column(height: int, at: pl.Series | None) -> pl.Series:
    """A Boolean column that is true at some positions."""
    column = pl.Series([False], dtype=pl.Boolean).new_from_index(0, height)
    return column if at is None else column.scatter(at, True)


def _numbers(found: Mapping[int, pl.Series]) -> pl.Series:
    """Each rule's number, once for each of its positions."""
    counts = pl.DataFrame({"rule": list(found), "count": [at.len() for at in found.values()]})
    return counts.select(pl.col("rule").cast(pl.UInt32).repeat_by("count").explode())["rule"]


def _as_text(value: date | int | str | None) -> tuple[str, ...]:
    """A typed value in each way the dataset writes it (`derive.plainly_value`, for one)."""
    if isinstance(value, date):
        return tuple(value.strftime(style.form) for style in Style)
    return () if value is None else (str(value),)


def cut_postcodes(postcodes: pl.Series) -> pl.Series:
    """Postcodes fit to be shown: never more than a whole one less its last two characters."""
    text = pl.col("x as sent").str.strip_chars()
    shown = (
        pl.when(derive.whole_postcode("x"))
        .then(text.str.head(-2) + "**")
        .when(text.str.to_uppercase().str.contains(TRUNCATED) | (text.str.len_chars() <= 3))
        .then(text)
        .otherwise(text.str.head(3) + "**")
    )
    return postcodes.to_frame("x as sent").select(shown)[:, 0].alias(postcodes.name)


def struck(values: pl.Series) -> pl.Series:
    """Any text that holds a whole postcode, with the postcode's last two characters struck out."""
    text = pl.col("value")
    long = text.str.len_bytes() >= 5
    return values.to_frame("value").select(
        pl.when(long & text.str.contains(_WHOLE_WITHIN))
        .then(text.str.replace_all(_WHOLE_WITHIN, "$1**"))
        .otherwise(text)
    )[:, 0]
