"""What conditions mean, by hand and by chance, put to the three engines: plain Python, Polars and SQL in DuckDB.

What is expected of a node is written down here, not worked out. The engines then agree on every rule of the book, over
its examples and over made-up rows with faults in them, and on trees and rows that nobody thought of.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from itertools import accumulate
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.test_rules import (
    BREAKS,
    HOLDS,
    IDENTIFYING,
    IDS,
    INVISIBLE,
    NHS_NUMBERS,
    NOT_IDENTIFYING,
    NOT_NHS_NUMBERS,
    PLACEHOLDERS,
    SILENT,
    frame,
    laid_over,
    submitter_for,
    typed,
)

from cjit.conditions import (
    NODES,
    SUBMITTER,
    TODAY,
    WHITE_SPACE,
    WITHHELD,
    And,
    BadPattern,
    Cell,
    Condition,
    Constant,
    Entries,
    FirstRow,
    Found,
    HasCheckFigure,
    Matches,
    Never,
    Node,
    Not,
    Or,
    Stage,
    Surely,
    Table,
    Value,
    Where,
    Without,
    all_of,
    any_of,
    any_row,
    as_text,
    cells,
    check_pattern,
    differs,
    every,
    first_given,
    how_often,
    in_python,
    joined,
    latest,
    looks_across,
    newest,
    oldest,
    rows_with_the_same,
)
from cjit.dataset import Rule
from cjit.datasets.p import P
from cjit.datasets.q import Q
from cjit.datasets.q.example import EXAMPLE, EXAMPLE_TODAY
from cjit.dictionary.sql import ROW, in_sql, tables_sql
from cjit.engine.columns import expression
from cjit.engine.plain import Function, across_rows
from cjit.testdata.faults import with_faults
from cjit.testdata.histories import histories

RULES = {f"{dataset.letter} {rule.id}": rule for dataset in (Q, P) for rule in dataset.rules}


# ---- the engines -----------------------------------------------------------------------------------


def by_columns(nodes: Sequence[Node], rows: pl.DataFrame) -> list[tuple[Any, ...]]:
    """What Polars says of each row, by node: of a condition True, False or None, of a value the value."""
    # Beside a column, one answer for all is one for each.
    said_of = (expression(node).alias(f"{place}") for place, node in enumerate(nodes))
    return rows.select("TODAY", *said_of).drop("TODAY").rows()


def by_function(nodes: Sequence[Node], rows: pl.DataFrame) -> list[tuple[Any, ...]]:
    """The same by plain Python, which says of a condition whether it is surely true, and of its opposite."""
    headers = tuple(dict.fromkeys(n.header for node in nodes for n in every(node) if isinstance(n, Cell)))
    conditions = [n for n in nodes if isinstance(n, Condition)]
    # A value across rows is worked out beforehand where a condition looks at it.
    asked = [*conditions, *(Not(c) for c in conditions), *(n.is_given for n in nodes if isinstance(n, Value))]
    function = Function(asked, headers, spread=True)
    values: list[Any] = [function.value(n) if isinstance(n, Value) else None for n in nodes]
    stages = ("", f" {Stage.READ.value}", f" {Stage.SENT.value}")
    laid: list[Any] = [
        (*(tuple(row.get(h + stage) for h in headers) for stage in stages), bool(row.get("WITHHELD")))
        for row in rows.iter_rows(named=True)
    ]
    told = rows.row(0, named=True)
    arguments: list[Any] = [told["TODAY"], told["SUBMITTER"]]
    found = []
    for row, across in zip(laid, across_rows(function, laid, *arguments), strict=True):
        value, read, sent, shut = row
        true = frozenset(function.fails(value, read, sent, shut, across, *arguments))
        answers = iter({(True, False): True, (False, True): False, (False, False): None}[p in true, p + n in true]
                       for n in (len(conditions),) for p in range(n))  # fmt: skip
        found.append(tuple(of(*row, across, *arguments) if of else next(answers) for of in values))
    return found


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("SET threads = 1")
        connection.execute(tables_sql(Q))
        connection.execute(
            "CREATE TABLE \"cjit_pairs_known_1\" AS SELECT unnest(['a', 'b']) AS text_1;"
            "CREATE TABLE \"cjit_pairs_yes\" AS SELECT 'a' AS text_1, 'x' AS text_2"
        )
        yield connection


def by_sql(nodes: Sequence[Node], rows: pl.DataFrame, database: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
    """The same by SQL."""
    database.register("rows", rows.with_row_index(ROW).to_arrow())
    columns = ", ".join(f'{in_sql(n)} AS "{i}"' for i, n in enumerate(nodes))
    return database.execute(f'SELECT {columns} FROM rows ORDER BY "{ROW}"').fetchall()


Engine = Callable[[Sequence[Node], pl.DataFrame], list[tuple[Any, ...]]]


@pytest.fixture(params=["plain", "columns", "sql"])
def engine(request, database) -> Engine:
    """Each of the three."""
    engines: dict[str, Engine] = {
        "plain": by_function,
        "columns": by_columns,
        "sql": lambda nodes, rows: by_sql(nodes, rows, database),
    }
    return engines[request.param]


# ---- what a node means, by hand --------------------------------------------------------------------

_STAGES = ("", " as read", " as sent")
SCHEMA: dict[str, Any] = {
    **{f"{header}{stage}": pl.String for header in ("A", "B", "C") for stage in _STAGES},
    **{f"{header}{stage}": pl.Int32 for header in ("N", "M") for stage in _STAGES[:2]},
    **{f"{header}{stage}": pl.Date for header in ("D", "E") for stage in _STAGES[:2]},
    "WITHHELD": pl.Boolean,
}
A, B, C, N, M, D, E = cells("A", "B", "C", "N", "M", "D", "E")
NOON = date(2026, 3, 31)
MON, TUE = date(2020, 2, 3), date(2020, 2, 4)


def table(*rows: dict[str, Any], today: date = NOON, submitter: str | None = None) -> pl.DataFrame:
    """Some rows of which each says what is not blank."""
    blank = {**dict.fromkeys(SCHEMA), "WITHHELD": False}
    made = pl.DataFrame([blank | row for row in rows], schema=SCHEMA)
    return made.with_columns(pl.lit(today).alias("TODAY"), pl.lit(submitter, pl.String).alias("SUBMITTER"))


#: A table that knows the first texts a and b, and any second one.
PAIRS = Table(
    "pairs",
    "{0} goes with {1}",
    "{0} does not go with {1}",
    lambda: Entries((frozenset("ab"), None), frozenset({("a", "x")})),
)

#: Of a row alone: the node, then rows and what it says of each. None is "blank" of a value, "not known" of a condition.
ONE_ROW: list[tuple[Node, list[tuple[dict[str, Any], Any]]]] = [
    # Values.
    (A, [({"A": "x"}, "x"), ({}, None), ({"A as read": "x", "A as sent": "x"}, None)]),
    (A.as_read, [({"A": "x"}, None), ({"A as read": "y"}, "y")]),
    (A.as_sent, [({"A": "x", "A as read": "y"}, None), ({"A as sent": " z "}, " z ")]),
    (TODAY, [({}, NOON)]),
    (SUBMITTER, [({}, None)]),
    (first_given(A, B, C), [({}, None), ({"C": "z"}, "z"), ({"B": "y", "C": "z"}, "y"), ({"A": "x", "C": "z"}, "x")]),
    (first_given(N, M), [({"M": 2}, 2), ({"N": 1, "M": 2}, 1), ({}, None)]),
    (latest(D, E), [({}, None), ({"D": MON}, MON), ({"E": MON}, MON), ({"D": TUE, "E": MON}, TUE)]),
    (latest(N, M), [({"N": 3, "M": 20}, 20), ({"M": -1}, -1)]),
    (D - E, [({"D": TUE, "E": MON}, 1), ({"D": MON, "E": TUE}, -1), ({"D": MON}, None), ({"E": MON}, None)]),
    (
        A.where(N > 1),
        [({"A": "x", "N": 2}, "x"), ({"A": "x", "N": 1}, None), ({"A": "x"}, None), ({"N": 2}, None)],
    ),
    (
        A.in_capitals,
        [({"A": "aB1"}, "AB1"), ({}, None), ({"A": "ß"}, "SS"), ({"A": "ﬁ é"}, "FI É"), ({"A": "ı"}, "I")],
    ),
    (
        A.trimmed,
        [
            ({"A": " \t\u00a0\u3000x y\u2003\r\n"}, "x y"),
            ({}, None),
            ({"A": " "}, ""),
            # What leaves no mark and is no white space stays; so do four signs that Python's `strip` takes away.
            ({"A": "\u200bx\u200b"}, "\u200bx\u200b"),
            ({"A": "\x1cx\x1f"}, "\x1cx\x1f"),
            ({"A": "\ufeffx"}, "\ufeffx"),
        ],
    ),
    (A.begins(2), [({"A": "xyz"}, "xy"), ({"A": "x"}, "x"), ({}, None), ({"A": "𝟙𝟘𝟙"}, "𝟙𝟘")]),
    (A.without("[-/]"), [({"A": "1-2/3"}, "123"), ({"A": "-"}, ""), ({}, None), ({"A": "x"}, "x")]),
    (A.found("([0-9]+)x"), [({"A": "a12x3x"}, "12"), ({"A": "a"}, None), ({}, None)]),
    (A.found("a|(b)"), [({"A": "ab"}, None), ({"A": "ba"}, "b")]),
    (joined(A, "/", B), [({"A": "x", "B": "y"}, "x/y"), ({"A": "x"}, None), ({}, None), ({"A": "", "B": ""}, "/")]),
    (D.written("%d/%m/%Y"), [({"D": MON}, "03/02/2020"), ({}, None), ({"D": date(986, 2, 14)}, "14/02/0986")]),
    (D.written("%y%m%d"), [({"D": MON}, "200203"), ({"D": date(1905, 2, 14)}, "050214")]),
    # Conditions.
    (A.is_given, [({"A": "x"}, True), ({}, False), ({"A": ""}, True)]),
    (A.is_blank, [({"A": "x"}, False), ({}, True)]),
    (A == B, [({"A": "x", "B": "x"}, True), ({"A": "x", "B": "X"}, False), ({"A": "x"}, None), ({}, None)]),
    (A != "x", [({"A": "x"}, False), ({"A": "y"}, True), ({}, None)]),
    (N == 3, [({"N": 3}, True), ({"N": 4}, False), ({}, None)]),
    (D < E, [({"D": MON, "E": TUE}, True), ({"D": MON, "E": MON}, False), ({"D": MON}, None), ({"E": MON}, None)]),
    (D >= E, [({"D": MON, "E": TUE}, False), ({"D": MON, "E": MON}, True), ({"D": MON}, None)]),
    (N.is_between(2, 4), [({"N": n}, wanted) for n, wanted in ((1, False), (2, True), (4, True), (5, False))]),
    (A.is_one_of("x", "y"), [({"A": "x"}, True), ({"A": "z"}, False), ({}, None)]),
    (
        A.is_one_of(B, C),
        [
            ({"A": "x", "B": "x", "C": "y"}, True),
            ({"A": "z", "B": "x", "C": "y"}, False),
            # Of one that is blank it is not known whether it would be the same.
            ({"A": "x", "C": "x"}, True),
            ({"A": "z", "C": "y"}, None),
            ({"A": "z"}, None),
            ({"B": "x", "C": "y"}, None),
        ],
    ),
    (A.matches("^x.z$"), [({"A": "xyz"}, True), ({"A": "x\nz"}, False), ({"A": "xyz\n"}, False), ({}, None)]),
    (
        HasCheckFigure(A),
        [
            ({"A": "9991234578"}, True),
            ({"A": "9991234579"}, False),
            ({"A": "999123457"}, False),
            ({"A": "99912345780"}, False),
            ({"A": "٩٩٩١٢٣٤٥٧٨"}, False),
            ({"A": ""}, False),
            ({}, None),
        ],
    ),
    (
        PAIRS.says(A, B),
        [
            ({"A": "a", "B": "x"}, True),
            ({"A": "a", "B": "y"}, False),
            ({"A": "b", "B": "x"}, False),
            ({"A": "c", "B": "x"}, None),
            ({"A": "c", "B": "y"}, None),
            ({"A": "a"}, None),
            ({"B": "x"}, None),
        ],
    ),
    (WITHHELD, [({"WITHHELD": True}, True), ({}, False)]),
    (Never(), [({"A": "x"}, None), ({}, None)]),
    (
        (A == "x") & (B == "x"),
        [
            ({"A": "x", "B": "x"}, True),
            ({"A": "x", "B": "y"}, False),
            ({"A": "x"}, None),
            ({"A": "y"}, False),
            ({"B": "y"}, False),
            ({}, None),
        ],
    ),
    (
        (A == "x") | (B == "x"),
        [
            ({"A": "x", "B": "y"}, True),
            ({"A": "y", "B": "y"}, False),
            ({"A": "x"}, True),
            ({"B": "x"}, True),
            ({"A": "y"}, None),
            ({}, None),
        ],
    ),
    (~((A == "x") & (B == "x")), [({"A": "x", "B": "x"}, False), ({"A": "y"}, True), ({"A": "x"}, None)]),
    (~((A == "x") | (B == "x")), [({"A": "x"}, False), ({"A": "y", "B": "y"}, True), ({"A": "y"}, None)]),
    ((A == "x").surely, [({"A": "x"}, True), ({"A": "y"}, False), ({}, False)]),
    (~(A == "x").surely, [({"A": "x"}, False), ({"A": "y"}, True), ({}, True)]),
    (~(~(A == "x")).surely, [({"A": "x"}, True), ({"A": "y"}, False), ({}, True)]),
]  # fmt: skip

#: Across rows: the node, then for each row what is not blank and what the node says.
ACROSS_ROWS: list[tuple[Node, list[tuple[dict[str, Any], Any]]]] = [
    (
        differs(B, among=A),
        [
            *(({"A": "1", "B": b}, True) for b in ("x", "y", None)),
            *(({"A": "2", "B": b}, False) for b in ("x", "x", None)),
            *(({"A": "3"}, None) for _ in range(2)),
            # A blank id agrees with a blank one.
            *(({"B": b}, True) for b in ("x", "y")),
        ],
    ),
    (
        ~differs(B, among=(A, C)),
        [
            ({"A": "1", "C": "1", "B": "x"}, True),
            ({"A": "1", "C": "2", "B": "y"}, True),
            ({"A": "1", "B": "z"}, False),
            ({"A": "1", "B": "x"}, False),
        ],
    ),
    (
        any_row(B == "x", of=A),
        [
            *(({"A": "1", "B": b}, True) for b in ("x", "y", None)),
            *(({"A": "2", "B": b}, False) for b in ("y", None)),
            ({"A": "3"}, False),
            ({}, False),
        ],
    ),
    (
        FirstRow((A == "x", A == "y")),
        [
            ({"A": "x"}, False),
            ({"A": "x"}, False),
            ({}, False),
            ({"A": "y"}, True),
            ({"A": "y"}, False),
            ({"A": "x"}, False),
        ],
    ),
    (FirstRow((A == "x", A == "y")), [({"A": "x"}, False), ({}, False), ({"A": "z"}, False)]),
    (FirstRow((A == "x",)), [({}, False), ({"A": "x"}, True), ({"A": "x"}, False)]),
    (~FirstRow((A == "x",)), [({}, True), ({"A": "x"}, False)]),
    (
        rows_with_the_same(A, B),
        [({"A": "1", "B": "x"}, 2), ({"A": "1", "B": "x"}, 2), ({"A": "1"}, 1), ({}, 2), ({}, 2)],
    ),
    (how_often(B, of=A), [({"A": "1", "B": "x"}, 2), ({"A": "1", "B": "y"}, 2), ({"A": "1"}, 2), ({"A": "2"}, 0)]),
    (
        newest(D, of=A),
        [({"A": "1", "D": MON}, TUE), ({"A": "1", "D": TUE}, TUE), ({"A": "1"}, TUE), ({"A": "2"}, None)],
    ),
    (oldest(N, of=A), [({"A": "1", "N": 3}, 2), ({"A": "1", "N": 2}, 2), ({"A": "1"}, 2), ({"N": 1}, 1)]),
    (
        newest(E, of=A) > D,
        [({"A": "1", "D": MON}, True), ({"A": "1", "D": TUE, "E": TUE}, False), ({"A": "2", "D": MON}, None)],
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("node", "rows"), ONE_ROW, ids=lambda part: as_text(part)[:60] if isinstance(part, Node) else ""
)
def test_what_a_node_says_of_a_row(engine, node, rows):
    # Each row by itself: a row alone is none the wiser for others.
    assert engine([node], table(*(row for row, _ in rows))) == [(wanted,) for _, wanted in rows]


@pytest.mark.parametrize(
    ("node", "rows"), ACROSS_ROWS, ids=lambda part: as_text(part)[:60] if isinstance(part, Node) else ""
)
def test_what_a_node_says_across_rows(engine, node, rows):
    assert engine([node], table(*(row for row, _ in rows))) == [(wanted,) for _, wanted in rows]


def test_the_submitter_is_what_the_check_is_told(engine):
    rows = table({"A": "CJ1"}, {"A": "CJ2"}, {}, submitter="CJ1")
    assert engine([SUBMITTER == A], rows) == [(True,), (False,), (None,)]


def test_every_node_has_its_line_by_hand():
    seen = {type(part).__name__ for node, _ in (*ONE_ROW, *ACROSS_ROWS) for part in every(node)}
    assert seen == set(NODES)


def test_an_answer_kept_for_one_comparison_is_not_taken_by_another(engine):
    node = latest(N, M) == Where(N, latest(N, M) > first_given(N, M))
    assert engine([node], table({"N": 1, "M": 2}, {"N": 2, "M": 1}, {"N": 1})) == [(False,), (None,), (None,)]


# ---- what is no condition --------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [lambda: bool(A.is_given), lambda: A.is_given and B.is_given, lambda: not A.is_given])
def test_a_condition_is_no_truth(wrong):
    with pytest.raises(TypeError, match="join conditions by"):
        wrong()


def test_a_value_is_compared_with_a_value():
    for wrong in (True, 1.5, None):
        with pytest.raises(TypeError, match="A value is compared with"):
            _ = wrong == A


def test_conditions_are_joined_to_conditions():
    with pytest.raises(TypeError, match="A condition is joined to a condition"):
        _ = A.is_given & "x"  # type: ignore[operator]


@pytest.mark.parametrize(
    "twice",
    [
        lambda: differs(newest(D, of=A), among=B),
        lambda: any_row(rows_with_the_same(A) > 1, of=B),
        lambda: FirstRow((A.is_given, differs(B, among=A))),
        lambda: newest(oldest(N, of=A), of=B),
        lambda: how_often(A, of=(B.where(differs(C, among=A)),)),
    ],
)
def test_rows_are_not_looked_across_twice(twice):
    with pytest.raises(TypeError, match="looks across rows itself"):
        twice()


def test_a_table_with_two_kinds_of_arguments_is_asked_of_each():
    assert PAIRS.entries.answer(("a", "x")) is True
    assert PAIRS.entries.answer(("c", "x")) is None


# ---- the book --------------------------------------------------------------------------------------


def agree(nodes: Sequence[Node], rows: pl.DataFrame, database: duckdb.DuckDBPyConnection) -> None:
    """The three engines say the same, of each node and row, be it yes, no or not known."""
    columns, function, sql = by_columns(nodes, rows), by_function(nodes, rows), by_sql(nodes, rows, database)
    if columns == function == sql:
        return
    for at, by_engine in enumerate(zip(function, columns, sql, strict=True)):
        for place, answers in enumerate(zip(*by_engine, strict=True)):
            assert answers[1:] == answers[:1] * 2, (as_text(nodes[place]), rows.row(at, named=True))
    raise AssertionError("the engines differ in the type of an answer")


def apart(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Some files as one, in which no id of one is an id of another."""
    ids = [h for h in ("CLIENTID", "CLIENT", "EPISODID", "REFERID") if h in frames[0].columns]
    return pl.concat(
        each.with_columns(pl.format(f"{number}/{{}}", pl.col(h)).alias(h) for h in ids)
        for number, each in enumerate(frames)
    )


def examples_of(rules: Sequence[Rule], *others: Any) -> list[pl.DataFrame]:
    """A frame for each example of some rules, and for each of some others."""
    own = [(example, submitter_for(rule)) for rule in rules for example in (rule.breaks, rule.holds)]
    several = [(laid_over(example), submitter) for example, submitter in (*own, *((each, None) for each in others))]
    frames = []
    for submitter in dict.fromkeys(submitter for _, submitter in several):
        mine = [records for records, of in several if of == submitter]
        rows = typed(*(tuple(record.items()) for records in mine for record in records), submitter=submitter)
        ends = list(accumulate(map(len, mine)))
        frames += [rows[end - len(records) : end] for records, end in zip(mine, ends, strict=True)]
    return frames


def faulty(seed: int, rate: float) -> pl.DataFrame:
    """A few hundred made-up rows, some cells of which are wrong."""
    months = histories(Q, agencies=1, clients=220, months=2, today=EXAMPLE_TODAY, seed=seed)
    *_, last = months
    text, counts = with_faults(last.frame, Q, rate, seed)
    assert counts.total() > 100
    return typed(*(tuple((h, t or "") for h, t in row.items()) for row in text.iter_rows(named=True)))


@pytest.fixture(scope="module")
def examples() -> list[pl.DataFrame]:
    texts = (*IDENTIFYING, *NOT_IDENTIFYING, *NHS_NUMBERS, *NOT_NHS_NUMBERS, *PLACEHOLDERS, *INVISIBLE.values())
    ids = [dict.fromkeys(IDS, text) for text in texts]
    others = [*(example for _, example in BREAKS), *HOLDS, *(example for _, example in SILENT), *ids]
    # Of a row that its gate shuts nothing is to be seen, beside others; by itself it is.
    shut = [frame(example) for rule in Q.rules if rule.gate for example in (rule.breaks, rule.holds)]
    return [*examples_of(Q.rules, *others), *shut]


ALONE = [rule for rule in Q.rules if not looks_across(rule.fails_when)]
TOGETHER = [rule for rule in Q.rules if looks_across(rule.fails_when) and not rule.once]
ONCE = [rule for rule in Q.rules if rule.once]


def conditions(rules: Sequence[Rule]) -> list[Node]:
    return [rule.fails_when for rule in rules]


@pytest.mark.dear
def test_the_engines_agree_on_every_rule_of_a_row_over_all_examples(examples, database):
    rows = pl.concat(examples)
    for submitter in (None, EXAMPLE["AGNCY"]):
        told = rows.filter(pl.col("SUBMITTER").eq_missing(pl.lit(submitter, pl.String)))
        assert told.height
        agree(conditions(ALONE), told, database)


def test_the_engines_agree_on_every_rule_across_rows_over_all_examples(examples, database):
    rows = apart([each.with_columns(pl.lit(None, pl.String).alias("SUBMITTER")) for each in examples])
    agree(conditions(TOGETHER), rows, database)


def test_the_engines_agree_on_what_is_told_once_a_file(examples, database):
    assert ONCE
    rows = pl.concat(examples).with_columns(pl.lit(None, pl.String).alias("SUBMITTER"))
    for order in (rows, rows.reverse()):
        agree(conditions(ONCE), order, database)
    for rule in ONCE:
        for example in (rule.breaks, rule.holds):
            agree([rule.fails_when], frame(example), database)


@pytest.mark.dear
@pytest.mark.parametrize(("seed", "rate"), [(1, 0.02), (2, 0.15)])
def test_the_engines_agree_on_every_rule_over_rows_with_faults(seed, rate, database):
    rows = faulty(seed, rate)
    fired = by_columns(conditions(Q.rules), rows)
    assert sum(any(row[n] for row in fired) for n in range(len(Q.rules))) > 60
    agree(conditions(Q.rules), rows, database)


# ---- trees and rows by chance ----------------------------------------------------------------------

TEXTS = ("a", "b", "", "ß", "9991234578", "a1", "1-2", " a ", "\n", "x\ny")
_patterns = st.sampled_from(("a", "^[a-z]", "[0-9]+", "a|b", "^.$", "x?y", "(?:a|1)-?", "[^a]$"))
_text_cells = st.sampled_from((A, B, C, A.as_read, B.as_sent))


def text_values(deep: st.SearchStrategy[Condition]) -> st.SearchStrategy[Value]:
    plain = _text_cells | st.sampled_from(TEXTS[:3]).map(lambda text: first_given(A, Constant(text)))
    return st.recursive(
        plain,
        lambda below: st.one_of(
            below.map(lambda v: v.in_capitals),
            below.map(lambda v: v.trimmed),
            st.builds(lambda v, n: v.begins(n), below, st.integers(1, 3)),
            st.builds(Without, below, st.sampled_from(("a", "[0-9]", "[^a]", "^.", "-"))),
            st.builds(Found, below, st.sampled_from(("([a-z])", "a|([0-9])", "^(.)(.)", "([0-9]+)")), st.just(1)),
            st.lists(below, min_size=1, max_size=3).map(lambda vs: joined(*vs)),
            st.lists(below, min_size=1, max_size=3).map(lambda vs: first_given(*vs)),
            st.builds(Where, below, deep),
            st.builds(lambda d, form: d.written(form), st.sampled_from((D, E)), st.sampled_from(("%d%m%Y", "%y/%m"))),
        ),
        max_leaves=4,
    )


def date_values(deep: st.SearchStrategy[Condition]) -> st.SearchStrategy[Value]:
    below = st.sampled_from((D, E, TODAY, D.as_read))
    return st.one_of(
        below,
        st.lists(below, min_size=1, max_size=3).map(lambda vs: latest(*vs)),
        st.lists(below, min_size=1, max_size=3).map(lambda vs: first_given(*vs)),
        st.builds(Where, below, deep),
    )


def number_values(deep: st.SearchStrategy[Condition]) -> st.SearchStrategy[Value]:
    days = st.builds(lambda one, other: one - other, date_values(deep), date_values(deep))
    below = st.sampled_from((N, M, N.as_read)) | days
    return below | st.lists(below, min_size=1, max_size=3).map(lambda vs: latest(*vs)) | st.builds(Where, below, deep)


def leaves(deep: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
    texts, dates, numbers = text_values(deep), date_values(deep), number_values(deep)
    some = st.lists(texts | st.sampled_from(TEXTS), min_size=1, max_size=3)
    return st.one_of(
        st.one_of(texts, dates, numbers).map(lambda v: v.is_given),
        st.builds(lambda one, other: one == other, texts, texts | st.sampled_from(TEXTS)),
        st.builds(lambda one, other: one < other, dates, dates | st.sampled_from((MON, TUE))),
        st.builds(lambda one, other: one < other, numbers, numbers | st.integers(-2, 2)),
        st.builds(lambda one, other: one == other, numbers, numbers | st.integers(-2, 2)),
        st.builds(lambda v, options: v.is_one_of(*options), texts, some),
        st.builds(Matches, texts, _patterns),
        texts.map(HasCheckFigure),
        st.builds(PAIRS.says, texts, texts),
        st.sampled_from((WITHHELD, Never())),
    )


def connected(below: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
    several = st.lists(below, min_size=2, max_size=3)
    return st.one_of(
        several.map(lambda parts: all_of(*parts)),
        several.map(lambda parts: any_of(*parts)),
        several.map(lambda parts: And(tuple(parts))),
        several.map(lambda parts: Or(tuple(parts))),
        below.map(Not),
        below.map(Surely),
    )


_shallow = st.sampled_from((A.is_given, B == "a", N > M, ~(D < E), C.matches("a")))
_of_a_row = st.recursive(leaves(_shallow), connected, max_leaves=5)


@st.composite
def in_a_row(draw) -> Condition:
    return draw(_of_a_row)


def across(condition: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
    same = st.lists(st.sampled_from((A, B, C.where(A.is_given), N)), min_size=1, max_size=2).map(tuple)
    of = text_values(_shallow)
    numbers = st.sampled_from((N, M))
    return st.one_of(
        st.builds(lambda v, s: differs(v, among=s), of, same),
        st.builds(lambda c, s: any_row(c, of=s), condition, same),
        st.lists(condition, min_size=1, max_size=2).map(lambda cs: FirstRow(tuple(cs))),
        st.builds(lambda s, n: rows_with_the_same(*s) > n, same, st.integers(0, 2)),
        st.builds(lambda v, s, n: how_often(v, of=s) == n, of, same, st.integers(0, 2)),
        st.builds(lambda v, s: v < newest(v, of=s), numbers | st.sampled_from((D, E)), same),
        st.builds(lambda v, s: v > oldest(v, of=s), numbers, same),
    )


_of_rows = st.recursive(across(in_a_row()), lambda below: connected(below | in_a_row()), max_leaves=3)


@st.composite
def over_rows(draw) -> Condition:
    return draw(_of_rows)


_row = st.fixed_dictionaries(
    {},
    optional={
        **{h: st.sampled_from(TEXTS) for h in ("A", "B", "C", "A as read", "B as sent")},
        **{h: st.integers(-2, 2) for h in ("N", "M", "N as read")},
        **{h: st.sampled_from((MON, TUE, date(1986, 2, 14))) for h in ("D", "E", "D as read")},
        "WITHHELD": st.booleans(),
    },
)
_rows = st.lists(_row, min_size=1, max_size=8)


@pytest.mark.dear
@settings(max_examples=150)
@given(tree=in_a_row(), rows=_rows)
def test_the_engines_agree_on_any_tree_of_a_row(tree, rows, database):
    agree([tree, Not(tree), tree.surely], table(*rows), database)


@pytest.mark.dear
@settings(max_examples=100)
@given(tree=over_rows(), rows=_rows)
def test_the_engines_agree_on_any_tree_across_rows(tree, rows, database):
    agree([tree, Not(tree)], table(*rows), database)


# ---- patterns --------------------------------------------------------------------------------------

#: Every pattern of the book, with the groups that are asked for.
PATTERNS = {
    part.pattern: part
    for rule in RULES.values()
    for part in every(rule.fails_when)
    if isinstance(part, Matches | Found | Without)
}


@pytest.mark.parametrize(
    "pattern",
    [
        r"\d", r"\s", r"\w", r"\b", r"\p{L}", r"\pL", r"\Z", r"\A", r"\n", r"\x41", r"\u0041", r"(a)\1",
        "(?P<n>a)", "(?i)a", "(?i:a)", "(?=a)", "(?!a)", "(?<=a)", "(?<!a)", "(?#a)", "(?>a)",
        "a*+", "a*?", "a++", "a??", "a**", "a{2}{3}", "a{,3}", "a{3,2}", "a{", "a}", "{2}", "*a", "|*", "(*a)",
        "[[:alpha:]]", "[a[b]]", "[a&&b]", "[a--b]", "[a~~b]", "[a||b]", r"[\d]", r"[\]]", "[]", "[^]", "[b-a]",
        "(", ")", "a(b", "[a", "]", "\\", "()", "a(?:)",
    ],
)  # fmt: skip
def test_a_pattern_that_not_every_engine_reads_alike_is_refused(pattern):
    with pytest.raises(BadPattern, match="pattern"):
        check_pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "group"), [("(a?)b", 1), ("(^|a)", 1), ("(a|b*)c", 1), ("a*", 0), ("(a)", 2), ("(?:a)", 1), ("(a)", -1)]
)
def test_a_group_must_be_there_and_hold_something(pattern, group):
    with pytest.raises(BadPattern, match="pattern"):
        A.found(pattern, group)


@pytest.mark.parametrize("pattern", ["a*", "", "^", "a|", "(?:a?b?)"])
def test_what_is_taken_out_of_a_text_is_something(pattern):
    with pytest.raises(BadPattern, match="may find nothing"):
        A.without(pattern)


@pytest.mark.parametrize(
    "pattern", ["a", "^a.b$", "(?:a|b)+c?", "[^a-z_-]{2,3}", r"\.\*\[\]\\\$", "é", "[\x00-\x1f]", "a{2,}"]
)
def test_a_pattern_that_all_read_alike_is_taken(pattern):
    check_pattern(pattern)


def test_the_end_of_a_text_is_its_end():
    assert in_python(r"a$|\$[$^]") == r"a\Z|\$[$^]"


def texts_for(pattern: str) -> st.SearchStrategy[str]:
    """Texts the pattern finds, pieces of them, and others."""
    found = st.from_regex(re.compile(in_python(pattern)))
    near = st.tuples(found, st.integers(0, 12), st.integers(0, 12)).map(lambda t: t[0][t[1] :] + t[0][: t[2]])
    letters = st.text(st.sampled_from("aZ09-/._ @+E#!NULé\u200b\xa0\n\r\t\x85\u2003"), max_size=14)
    return st.one_of(found, near, letters, st.text(max_size=10))


@pytest.mark.dear
@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: ascii(pattern)[1:40])
@settings(max_examples=15)
@given(data=st.data())
def test_the_engines_read_a_pattern_alike(pattern, data, database):
    texts = data.draw(st.lists(texts_for(pattern), min_size=5, max_size=25))
    # DuckDB is handed no half of a character, which no file has either.
    rows = table(*({"A": text} for text in texts if text.isascii() or text.encode("utf-8", "ignore").decode() == text))
    nodes: list[Node] = [A.matches(pattern)]
    for group in range(re.compile(pattern).groups + 1):
        nodes.append(A.found(pattern, group))
    nodes.append(A.without(pattern))
    if rows.height:
        agree(nodes, rows, database)


def test_white_space_is_the_same_to_all(engine):
    every_one = [chr(code) for code in (*range(0x3100), 0xFEFF)]
    rows = table(*({"A": each} for each in every_one))
    blank = [
        ("" if re.fullmatch(WHITE_SPACE, each) else each, bool(re.fullmatch(WHITE_SPACE, each))) for each in every_one
    ]
    assert engine([A.trimmed, A.matches(WHITE_SPACE)], rows) == blank
