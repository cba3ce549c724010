"""Conditions as SQL for DuckDB: what `cjit.engine.plain` says of a row, said of a table of typed rows.

The table has a column for each cell a condition reads, named as the cell is: ``"DOB"``, ``"DOB as read"``,
``"DOB as sent"``. Beside them stand TODAY (a date), SUBMITTER (text, null where it is not told), WITHHELD (a Boolean)
and ROW, the number of the row in its file. SQL's own three-valued logic is that of conditions: null is "not known" of
a condition, "blank" of a value.

What a condition needs beside the table, `tables_sql` makes: the tables it looks texts up in and two macros.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import date

from cjit.conditions import (
    ACROSS,
    WHITE_SPACE,
    And,
    AnyRow,
    Capitals,
    Cell,
    Constant,
    Days,
    Differs,
    Equal,
    FirstGiven,
    FirstRow,
    Found,
    Given,
    HasCheckFigure,
    HowOften,
    Joined,
    Latest,
    Least,
    Less,
    LookedUp,
    Matches,
    Most,
    Never,
    Node,
    Not,
    OneOf,
    Or,
    ParameterValue,
    Plain,
    Rows,
    Stage,
    Start,
    Surely,
    Table,
    Trimmed,
    Value,
    Where,
    Withheld,
    Without,
    Written,
    tables_of,
)
from cjit.dataset import WITHHELD, Dataset

#: The column that says where in its file a row stands: what is told once a file goes by it.
ROW = "ROW"


def in_sql(node: Node) -> str:  # noqa: C901, PLR0911, PLR0912 - one case a node
    """A condition or value as an expression in SQL."""
    match node:
        case Cell(header, stage):
            return _name(header if stage is Stage.VALUE else f"{header} {stage.value}")
        case ParameterValue(argument):
            return _name(argument.value)
        case Constant(value):
            return _constant(value)
        case FirstGiven(values):
            return f"coalesce({_list(values)})"
        case Latest(values):
            return f"greatest({_list(values)})"
        case Days(later, earlier):
            return f"({in_sql(later)} - {in_sql(earlier)})"
        case Where(value, condition):
            return f"CASE WHEN {in_sql(condition)} THEN {in_sql(value)} END"
        case Given(value):
            return f"({in_sql(value)} IS NOT NULL)"
        case Equal(one, other):
            return f"({in_sql(one)} = {in_sql(other)})"
        case Less(one, other):
            return f"({in_sql(one)} < {in_sql(other)})"
        case OneOf(value, options):
            return f"({in_sql(value)} IN ({_list(options)}))"
        case And(parts):
            return f"({' AND '.join(map(in_sql, parts))})"
        case Or(parts):
            return f"({' OR '.join(map(in_sql, parts))})"
        case Not(Given(value)):
            return f"({in_sql(value)} IS NULL)"
        case Not(part):
            return f"(NOT {in_sql(part)})"
        case Surely(part):
            return f"coalesce({in_sql(part)}, false)"
        case Withheld():
            return _name(WITHHELD)
        case Never():
            return "CAST(NULL AS BOOLEAN)"
        case LookedUp(table, texts):
            return _looked_up(table, texts)
        case _:
            return _of_rows(node) if isinstance(node, ACROSS) else _of_text(node)


def _of_text(node: Node) -> str:  # noqa: PLR0911 - one case a node
    match node:
        case Capitals(text):
            return f"cjit_capitals({in_sql(text)})"
        case Trimmed(text):
            return f"regexp_replace({in_sql(text)}, {_pattern(f'^{WHITE_SPACE}+|{WHITE_SPACE}+$')}, '', 'g')"
        case Start(text, length):
            return f"left({in_sql(text)}, {length})"
        case Without(text, pattern):
            return f"regexp_replace({in_sql(text)}, {_pattern(pattern)}, '', 'g')"
        case Found(text, pattern, group):
            # Empty is DuckDB's word for a group that is not there; one that is there holds something.
            return f"nullif(regexp_extract({in_sql(text)}, {_pattern(pattern)}, {group}), '')"
        case Joined(texts):
            return f"({' || '.join(map(in_sql, texts))})"
        case Written(value, form):
            return f"strftime({in_sql(value)}, {_constant(form)})"
        case Matches(text, pattern):
            return f"regexp_matches({in_sql(text)}, {_pattern(pattern)})"
        case HasCheckFigure(figures):
            return f"cjit_has_check_figure({in_sql(figures)})"
    raise TypeError(f"There is no SQL for {type(node).__name__}")


def _of_rows(node: Node) -> str:
    match node:
        case Differs(value, same):
            return f"(min({in_sql(value)}) {_over(same)} <> max({in_sql(value)}) {_over(same)})"
        case AnyRow(condition, same):
            return f"coalesce(bool_or({in_sql(condition)}) {_over(same)}, false)"
        case Rows(same):
            return f"count(*) {_over(same)}"
        case HowOften(value, same):
            return f"count({in_sql(value)}) {_over(same)}"
        case Most(value, same):
            return f"max({in_sql(value)}) {_over(same)}"
        case Least(value, same):
            return f"min({in_sql(value)}) {_over(same)}"
        case FirstRow(conditions):
            so_far, before = (
                " AND ".join(
                    f"coalesce(bool_or({in_sql(each)})"
                    f" OVER (ORDER BY {_name(ROW)} ROWS BETWEEN UNBOUNDED PRECEDING AND {end}), false)"
                    for each in conditions
                )
                for end in ("CURRENT ROW", "1 PRECEDING")
            )
            return f"({so_far} AND NOT ({before}))"
    raise TypeError(f"There is no SQL for {type(node).__name__}")


def _over(same: tuple[Value, ...]) -> str:
    """The rows that agree in some values; PARTITION BY puts the blank ones together, as it should be."""
    return f"OVER (PARTITION BY {_list(same)})"


def _looked_up(table: Table, texts: tuple[Value, ...]) -> str:
    values = [in_sql(text) for text in texts]
    not_known = [f"{text} IS NULL" for text in values]
    for place, (text, known) in enumerate(zip(values, table.entries.known, strict=True), start=1):
        if known is not None:
            not_known.append(f"{text} NOT IN {_column(f'cjit_{table.name}_known_{place}', f'text_{place}')}")
    columns = ", ".join(f"text_{place}" for place in range(1, len(values) + 1))
    row = values[0] if len(values) == 1 else f"({', '.join(values)})"
    yes = f"{row} IN {_column(f'cjit_{table.name}_yes', columns if len(values) == 1 else f'({columns})')}"
    return f"CASE WHEN {' OR '.join(not_known)} THEN NULL ELSE {yes} END"


def _column(table: str, column: str) -> str:
    # Made of the names of tables in a rule book, never of what somebody sent.
    return f"(SELECT {column} FROM {_name(table)})"  # noqa: S608


# ---- words of the language -------------------------------------------------------------------------


def _list(values: Iterable[Value]) -> str:
    return ", ".join(map(in_sql, values))


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _constant(value: Plain) -> str:
    if isinstance(value, date):
        return f"DATE '{value.isoformat()}'"
    if isinstance(value, int):
        return str(value)
    if value.isprintable():
        return "'" + value.replace("'", "''") + "'"
    # What leaves no mark on a page is written by its number.
    return f"({' || '.join(_constant(each) if each.isprintable() else f'chr({ord(each)})' for each in value)})"


def _pattern(pattern: str) -> str:
    """A pattern as RE2 reads it, with what leaves no mark on a page by its number."""
    return _constant("".join(each if each.isprintable() else f"\\x{{{ord(each):x}}}" for each in pattern))


# ---- what is made beforehand -----------------------------------------------------------------------

#: Ten figures weigh ten to one; the sum is a multiple of 11 where the last is the check figure of the others.
_WEIGHED = " + ".join(f"CAST(substr(figures, {place}, 1) AS INTEGER) * {11 - place}" for place in range(1, 11))


def tables_sql(dataset: Dataset) -> str:
    """The statements that make what the rules of a dataset need beside its rows.

    For each table that a rule looks texts up in, ``cjit_NAME_yes`` has the combinations that are true and
    ``cjit_NAME_known_N`` the texts that its argument N may have; where that may be any, there is no such table. Two
    macros say what DuckDB has no word for: capitals that may be longer than what they stand for (ß, SS), and the check
    figure of ten.
    """
    return "".join(f"{statement};\n" for statement in _statements(dataset))


def _statements(dataset: Dataset) -> Iterator[str]:
    yield _capitals()
    yield (
        "CREATE OR REPLACE MACRO cjit_has_check_figure(figures) AS CASE WHEN figures IS NULL THEN NULL"
        f" WHEN NOT regexp_matches(figures, '^[0-9]{{10}}$') THEN false ELSE ({_WEIGHED}) % 11 = 0 END"
    )
    for table in tables_of(*(rule.fails_when for rule in dataset.rules)):
        entries = table.entries
        for place, known in enumerate(entries.known, start=1):
            if known is not None:
                texts = [(text,) for text in known]
                yield from _table(f"cjit_{table.name}_known_{place}", [f"text_{place}"], texts)
        columns = [f"text_{place}" for place in range(1, len(entries.known) + 1)]
        yield from _table(f"cjit_{table.name}_yes", columns, entries.yes)


def _table(name: str, columns: list[str], rows: Collection[tuple[str, ...]]) -> Iterator[str]:
    yield f"CREATE OR REPLACE TABLE {_name(name)} ({', '.join(f'{column} VARCHAR NOT NULL' for column in columns)})"
    if rows:
        lists = (", ".join(map(_constant, texts)) for texts in zip(*sorted(rows), strict=True))
        yield f"INSERT INTO {_name(name)} SELECT {', '.join(f'unnest([{texts}])' for texts in lists)}"


def _capitals() -> str:
    """The capitals of a text: DuckDB's are one letter for one letter, and of some letters they are several (ß, SS)."""
    letters = (chr(code) for code in range(0x80, 0x110000) if not 0xD800 <= code <= 0xDFFF)
    several = ", ".join(f"'{each}': '{each.upper()}'" for each in letters if len(each.upper()) > 1)
    beyond = _pattern("[^\x00-\x7f]")
    return (
        "CREATE OR REPLACE MACRO cjit_capitals(text) AS"
        f" CASE WHEN NOT regexp_matches(text, {beyond}) THEN upper(text)"
        " ELSE array_to_string(list_transform(regexp_extract_all(text, '(?s:.)'),"
        f" lambda letter: coalesce(MAP {{{several}}}[letter], upper(letter))), '') END"
    )
