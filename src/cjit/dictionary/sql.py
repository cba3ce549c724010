"""Conditions as SQL for DuckDB: the same answers as `cjit.engine.plain` gives for a row, for a table of parsed rows.

The table has a column for each cell that a condition reads: ``"DOB"``, ``"DOB as read"`` and ``"DOB as sent"`` are the
value, the text as read and the text as sent. It also has TODAY (DATE), SUBMITTER (VARCHAR, null where it is not given),
WITHHELD (BOOLEAN) and ROW (an integer), the number of the row in its file. SQL's three-valued logic is that of
conditions: null is "not known" for a condition and "blank" for a value.

`tables_sql` makes what conditions need beside the table: the lookup tables and two macros.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import date

from cjit import conditions as c
from cjit.dataset import WITHHELD, Dataset

#: The column with the number of the row in its file. Rules that are told once a file order rows by it.
ROW = "ROW"


def in_sql(node: c.Node) -> str:  # noqa: C901, PLR0911, PLR0912 - one case a node
    """A condition or value as an expression in SQL."""
    match node:
        case c.Cell(header, stage):
            return _name(header if stage is c.Stage.VALUE else f"{header} {stage.value}")
        case c.ParameterValue(parameter):
            return _name(parameter.value)
        case c.Constant(value):
            return _literal(value)
        case c.FirstGiven(values):
            return f"coalesce({_list(values)})"
        case c.Latest(values):
            return f"greatest({_list(values)})"
        case c.Days(later, earlier):
            return f"({in_sql(later)} - {in_sql(earlier)})"
        case c.Where(value, condition):
            return f"CASE WHEN {in_sql(condition)} THEN {in_sql(value)} END"
        case c.Given(value):
            return f"({in_sql(value)} IS NOT NULL)"
        case c.Equal(one, other):
            return f"({in_sql(one)} = {in_sql(other)})"
        case c.Less(one, other):
            return f"({in_sql(one)} < {in_sql(other)})"
        case c.OneOf(value, options):
            return f"({in_sql(value)} IN ({_list(options)}))"
        case c.And(parts):
            return f"({_list(parts, ' AND ')})"
        case c.Or(parts):
            return f"({_list(parts, ' OR ')})"
        case c.Not(c.Given(value)):
            return f"({in_sql(value)} IS NULL)"
        case c.Not(part):
            return f"(NOT {in_sql(part)})"
        case c.Surely(part):
            return _surely(in_sql(part))
        case c.Withheld():
            return _name(WITHHELD)
        case c.Never():
            return "CAST(NULL AS BOOLEAN)"
        case c.LookedUp(table, texts):
            return _looked_up(table, texts)
        case _:
            return _across_rows(node) if isinstance(node, c.ACROSS) else _on_text(node)


def _on_text(node: c.Node) -> str:  # noqa: PLR0911 - one case a node
    """A node that reads a text, as an expression in SQL."""
    match node:
        case c.Capitals(text):
            return f"cjit_capitals({in_sql(text)})"
        case c.Trimmed(text):
            return _removed(text, f"^{c.WHITE_SPACE}+|{c.WHITE_SPACE}+$")
        case c.Start(text, length):
            return f"left({in_sql(text)}, {length})"
        case c.Without(text, pattern):
            return _removed(text, pattern)
        case c.Found(text, pattern, group):
            # DuckDB gives '' for a group that took no part. A group that took part is never empty (`check_pattern`).
            return f"nullif(regexp_extract({in_sql(text)}, {_pattern(pattern)}, {group}), '')"
        case c.Joined(texts):
            return f"({_list(texts, ' || ')})"
        case c.Written(value, form):
            return f"strftime({in_sql(value)}, {_literal(form)})"
        case c.Matches(text, pattern):
            return f"regexp_matches({in_sql(text)}, {_pattern(pattern)})"
        case c.HasCheckFigure(figures):
            return f"cjit_has_check_figure({in_sql(figures)})"
    raise TypeError(f"There is no SQL for {type(node).__name__}")


def _across_rows(node: c.Node) -> str:
    """A node that reads other rows, as an expression in SQL with window functions."""
    match node:
        case c.Differs(value, same):
            return f"({_over('min', value, same)} <> {_over('max', value, same)})"
        case c.AnyRow(condition, same):
            return _surely(_over("bool_or", condition, same))
        case c.Rows(same):
            return _over("count", None, same)
        case c.HowOften(value, same):
            return _over("count", value, same)
        case c.Most(value, same):
            return _over("max", value, same)
        case c.Least(value, same):
            return _over("min", value, same)
        case c.FirstRow(conditions):
            up_to_here, before = (
                " AND ".join(
                    _surely(
                        f"bool_or({in_sql(each)})"
                        f" OVER (ORDER BY {_name(ROW)} ROWS BETWEEN UNBOUNDED PRECEDING AND {end})"
                    )
                    for each in conditions
                )
                for end in ("CURRENT ROW", "1 PRECEDING")
            )
            return f"({up_to_here} AND NOT ({before}))"
    raise TypeError(f"There is no SQL for {type(node).__name__}")


def _over(function: str, argument: c.Node | None, same: tuple[c.Value, ...]) -> str:
    """An aggregate (None: of whole rows) over the rows equal in some values. PARTITION BY takes nulls for equal."""
    return f"{function}({'*' if argument is None else in_sql(argument)}) OVER (PARTITION BY {_list(same)})"


def _looked_up(table: c.Table, texts: tuple[c.Value, ...]) -> str:
    """The answer of a lookup table: null where a text is null or not known to the table."""
    values = [in_sql(text) for text in texts]
    columns = _columns(len(values))
    not_known = [f"{value} IS NULL" for value in values]
    for place, (value, known) in enumerate(zip(values, table.entries.known, strict=True), start=1):
        if known is not None:
            not_known.append(f"{value} NOT IN {_select(columns[place - 1], _known(table, place))}")
    yes = f"{_tuple(values)} IN {_select(_tuple(columns), _yes(table))}"
    return f"CASE WHEN {' OR '.join(not_known)} THEN NULL ELSE {yes} END"


def _select(column: str, table: str) -> str:
    # Both are made of the names of tables in a rule book, never of what somebody sent.
    return f"(SELECT {column} FROM {_name(table)})"  # noqa: S608


# ---- the language ----------------------------------------------------------------------------------


def _list(nodes: Iterable[c.Node], separator: str = ", ") -> str:
    return separator.join(map(in_sql, nodes))


def _tuple(expressions: list[str]) -> str:
    """One expression as it is, several as a tuple."""
    return expressions[0] if len(expressions) == 1 else f"({', '.join(expressions)})"


def _surely(expression: str) -> str:
    return f"coalesce({expression}, false)"


def _removed(text: c.Value, pattern: str) -> str:
    return f"regexp_replace({in_sql(text)}, {_pattern(pattern)}, '', 'g')"


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(value: c.Plain) -> str:
    """A value as a literal; characters that are not printable are written by their numbers."""
    if isinstance(value, date):
        return f"DATE '{value.isoformat()}'"
    if isinstance(value, int):
        return str(value)
    if value.isprintable():
        return "'" + value.replace("'", "''") + "'"
    return f"({' || '.join(_literal(each) if each.isprintable() else f'chr({ord(each)})' for each in value)})"


def _pattern(pattern: str) -> str:
    """A pattern for RE2 as a literal; characters that are not printable are written by their numbers."""
    return _literal("".join(each if each.isprintable() else f"\\x{{{ord(each):x}}}" for each in pattern))


# ---- lookup tables and macros ----------------------------------------------------------------------

#: The sum of ten figures, each times its weight from ten to one. It is a multiple of 11 where the last figure is the
#: check figure of the others.
_WEIGHED = " + ".join(f"CAST(substr(figures, {place}, 1) AS INTEGER) * {11 - place}" for place in range(1, 11))


def tables_sql(dataset: Dataset) -> str:
    """The statements that make the lookup tables and macros which the rules of a dataset need.

    Two macros do what DuckDB has no function for: ``cjit_capitals`` gives an upper case that may be longer than the
    text (ß becomes SS), and ``cjit_has_check_figure`` checks the last of ten figures.

    Args:
        dataset: the dataset.

    Returns:
        Statements in SQL. For each lookup table they make ``cjit_NAME_yes`` with the combinations of texts that are
        true, and ``cjit_NAME_known_N`` with the texts that its argument N may have, unless that may be any text. The
        columns are ``text_1``, ``text_2`` and so on by argument, or ``text_N`` alone (VARCHAR, not null).
    """
    return "".join(f"{statement};\n" for statement in _statements(dataset))


def _statements(dataset: Dataset) -> Iterator[str]:
    yield _capitals()
    yield _macro(
        "cjit_has_check_figure(figures)",
        "CASE WHEN figures IS NULL THEN NULL"
        f" WHEN NOT regexp_matches(figures, '^[0-9]{{10}}$') THEN false ELSE ({_WEIGHED}) % 11 = 0 END",
    )
    for table in c.tables_of(*(rule.fails_when for rule in dataset.rules)):
        entries = table.entries
        columns = _columns(len(entries.known))
        for place, known in enumerate(entries.known, start=1):
            if known is not None:
                yield from _table(_known(table, place), columns[place - 1 : place], [(text,) for text in known])
        yield from _table(_yes(table), columns, entries.yes)


def _known(table: c.Table, place: int) -> str:
    """The name of the table of texts that an argument of a lookup table may have."""
    return f"cjit_{table.name}_known_{place}"


def _yes(table: c.Table) -> str:
    """The name of the table of combinations that are true in a lookup table."""
    return f"cjit_{table.name}_yes"


def _columns(arguments: int) -> list[str]:
    """The names of the columns for the arguments of a lookup table."""
    return [f"text_{place}" for place in range(1, arguments + 1)]


def _table(name: str, columns: list[str], rows: Collection[tuple[str, ...]]) -> Iterator[str]:
    """The statements that make a table and insert rows of texts, sorted."""
    yield f"CREATE OR REPLACE TABLE {_name(name)} ({', '.join(f'{column} VARCHAR NOT NULL' for column in columns)})"
    if rows:
        lists = (", ".join(map(_literal, texts)) for texts in zip(*sorted(rows), strict=True))
        yield f"INSERT INTO {_name(name)} SELECT {', '.join(f'unnest([{texts}])' for texts in lists)}"


def _macro(signature: str, body: str) -> str:
    return f"CREATE OR REPLACE MACRO {signature} AS {body}"


def _capitals() -> str:
    """The macro for upper case. DuckDB's own gives one letter for each, and some letters become several (ß, SS)."""
    letters = (chr(code) for code in range(0x80, 0x110000) if not 0xD800 <= code <= 0xDFFF)
    several = ", ".join(f"'{each}': '{each.upper()}'" for each in letters if len(each.upper()) > 1)
    not_ascii = _pattern("[^\x00-\x7f]")
    return _macro(
        "cjit_capitals(text)",
        f"CASE WHEN NOT regexp_matches(text, {not_ascii}) THEN upper(text)"
        " ELSE array_to_string(list_transform(regexp_extract_all(text, '(?s:.)'),"
        f" lambda letter: coalesce(MAP {{{several}}}[letter], upper(letter))), '') END",
    )
