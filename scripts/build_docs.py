"""Write what the documentation takes from the book: whole pages, and the output that other pages show.

Two kinds of text are never written by hand. The pages of `_PAGES` follow from the datasets, the rules, the
code lists and the commands. And wherever a page has a block

    ```console
    $ cjit check examples/hand-written.csv --today 2026-03-31
    …
    ```

what stands below the command is what the command printed. A comment `<!-- shown to: WORDS -->` before the
block cuts the output at the first line that begins with those words.

The same tree always gives the same bytes. With `--check` nothing is written, and the exit status is 1 where
a page no longer tells the truth.
"""

from __future__ import annotations

import csv
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import click

from cjit import cli, reference
from cjit.conditions import Never
from cjit.dataset import OUR_READING, Changes, Code, CodeList, Dataset, Entity, Field, Record, Rule, Severity, Status
from cjit.datasets.p import P
from cjit.datasets.q import Q
from cjit.datasets.q.example import EXAMPLE, EXAMPLE_TODAY
from cjit.datasets.q.tables import TABLES, Row, table
from cjit.dictionary import rules_json
from cjit.dictionary.english import in_english
from cjit.dictionary.overview import SECTIONS, STATUSES, facts_of
from cjit.engine import compare
from cjit.report.version import file_rules

ROOT = Path(__file__).resolve().parent.parent
MADE = "<!-- Made by scripts/build_docs.py; change the book, not this page. -->\n"

#: A list longer than this is folded away.
FOLDED = 30
#: No directory: the packaged lists, whatever this machine has installed.
NOTHING_INSTALLED = Path("/nonexistent")

WORDS = {
    Severity.REJECT: ("the record will be rejected", "Nothing in the record counts until it is put right."),
    Severity.EXCLUDE: (
        "data may be excluded from performance monitoring reports",
        "The record is taken, but may be left out of the reports that figures are read from.",
    ),
    Severity.MISMATCH: (
        "it will create a validation mismatch",
        "The record differs from the one sent before in a value that should not change, so somebody has to "
        "choose ‘replace’ or ‘delete’.",
    ),
    Severity.QUERY: (
        "",
        "Everything else that must or should hold. The record is taken; look at it and put it right, or "
        "leave it if it is true.",
    ),
}


def pages() -> dict[str, str]:
    """Every page that has something generated in it: text by path from the root of the tree."""
    made = {
        "docs/dictionary.md": _text(_dictionary(Q)),
        "docs/rules.md": _text(_rules(Q)),
        "docs/codes.md": _text(_codes(Q)),
        "docs/outcomes.md": _text(_outcomes(Q)),
        "docs/datasets.md": _text(_datasets(P, Q)),
        "docs/cli.md": _text(_commands()),
        "docs/conformance.csv": _conformance(Q),
        "docs/rulebook.schema.json": rules_json.schema_text(),
    }
    return made | _with_output(page for page in _written_by_hand() if str(page.relative_to(ROOT)) not in made)


def stale(made: Mapping[str, str]) -> list[str]:
    """The paths whose file is not what it should be."""
    return [path for path, text in made.items() if _now(ROOT / path) != text]


def _now(path: Path) -> str:
    return path.read_bytes().decode() if path.exists() else ""


def _written_by_hand() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "examples").glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def _text(lines: Iterable[str]) -> str:
    return "\n".join(lines) + "\n"


# ---- small pieces ----------------------------------------------------------------------------------


def _prose(*text: str) -> Iterator[str]:
    """A paragraph."""
    yield " ".join(text)
    yield ""


def _front(title: str, heading: str) -> Iterator[str]:
    yield from ("---", f"title: {title}", "---", "", MADE, f"# {heading}", "")


def _status(status: Status) -> str:
    return f'<span class="status {status}">{status}</span>'


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{' --- |' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(_cell(cell) for cell in row)} |"
    yield ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _badge(severity: Severity) -> str:
    return f'<span class="outcome {severity}">{severity}</span>'


def _value(text: str | None) -> str:
    """A value as a reader should see it: a blank is said, spaces are kept."""
    if not text:
        return "*blank*"
    return f"`{text}`" if text == text.strip() else f"`“{text}”`"


def _clause(rule: Rule) -> str:
    return "our reading" if rule.clause == OUR_READING else rule.clause


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}" + ("" if number == 1 else "s")


def _rows(example: Record | Sequence[Record]) -> list[Record]:
    return [example] if isinstance(example, Mapping) else list(example)


def _is_written(rule: Rule, dataset: Dataset) -> bool:
    return any(rule is written for written in dataset.written)


# ---- the dictionary --------------------------------------------------------------------------------


def _dictionary(dataset: Dataset) -> Iterator[str]:
    yield from _front("Dictionary", f"The dictionary of {dataset.title}")
    yield from _prose(
        f"{len(dataset.fields)} fields in the document's order, in effect from {_day(dataset)}. A field has one name,",
        "its CSV header. The definitions are in our own words; the clause says where the business definitions (CJIT",
        "dataset Q, V4.2) have theirs. `cjit dictionary DISD` prints one of these entries, and",
        "`cjit dictionary --format json-schema` exports them all.",
    )
    for entity in Entity:
        fields = dataset.entity(entity)
        if not fields:
            continue
        yield f"## {SECTIONS[entity]} {{ #{entity.value} }}"
        yield ""
        yield from _table(
            ("Header", "Field", "If missing", "If changed"),
            (
                (
                    f"[{f.header}](#{f.header})",
                    f.label,
                    _badge(f.missing) if f.missing else "",
                    _badge(Severity.MISMATCH) if f.changes is Changes.MISMATCH else f.changes.value,
                )
                for f in fields
            ),
        )
        for field in fields:
            yield from _field(dataset, field)


def _field(dataset: Dataset, field: Field) -> Iterator[str]:
    yield f"### {field.header} {{ #{field.header} }}"
    yield ""
    yield f"**{field.label}**"
    yield ""
    yield field.definition
    yield ""
    yield '<div class="facts" markdown>'
    yield ""
    rows = [(name, _linked(dataset, field, name, fact)) for name, fact in facts_of(dataset, field)]
    codes = dataset.codes_of(field.header)
    if codes:
        name = f"[{codes.name}](codes.md#{codes.name})"
        rows.append(("Code list", f"{name}: {_count(len(codes.codes), 'code')}, {STATUSES[codes.status]}"))
    count = sum(rule.header == field.header for rule in dataset.rules)
    rows.append(("Rules", f"[{_count(count, 'rule')}](rules.md#{field.header})"))
    yield from _table(("What", "How"), rows)
    yield "</div>"
    yield ""


def _linked(dataset: Dataset, field: Field, name: str, fact: str) -> str:
    if name == "If missing" and field.missing:
        return f"{_badge(field.missing)} {fact}"
    return fact


def _day(dataset: Dataset) -> str:
    return f"{dataset.effective.day} {dataset.effective:%B %Y}"


# ---- the rules -------------------------------------------------------------------------------------


def _rules(dataset: Dataset) -> Iterator[str]:
    rules = file_rules(dataset)
    written = sum(_is_written(rule, dataset) for rule in rules)
    changes = compare.rules(dataset)
    yield from _front("Rules", f"The rules of {dataset.title}")
    yield from _prose(
        f"{len(rules)} rules of a file, in the document's order. {written} of them were written one by one: they say",
        "what must hold across fields or rows. The others follow from the [dictionary](dictionary.md): what is",
        "required, how a value is written, its list or range, and that a client, an episode and a referral tell one",
        f"story on every row. {len(changes)} more hold a file against the submission before, where `--previous` names",
        "it.",
    )
    yield from _prose(
        "The name of a rule is the field it is shown at, a full stop, and what must hold. A rule of a file has two",
        "examples: one that **breaks** it and one that **holds**. An example is a few cells, laid over",
        "[a faultless record](#a-faultless-record). All of them are in one file, [conformance.csv](conformance.csv),",
        "for whoever builds a system that must keep these rules: [how to use it](guides/suppliers.md#conformance).",
    )
    yield from _prose(
        "What “breaks where” says of a field it says of one that is given; where a blank counts as well, it says “is",
        "blank or”. A field is filled in where the file has more than spaces in it. “As sent” is that text, “as read”",
        "what it is taken for: a date, a whole number, or the text without spaces round it. It is given where what was",
        "read is a value of the field.",
    )
    yield from _table(
        ("Outcome", "Rules", "In the document's words"),
        (
            (
                _badge(s),
                str(sum(r.severity is s for r in (*rules, *changes))),
                f"“{WORDS[s][0]}”" if WORDS[s][0] else WORDS[s][1],
            )
            for s in Severity
        ),
    )
    yield from _prose(
        "One mistake gives one message: a value that is no date, or is not in its list, is no value, and every other",
        "rule that reads it is silent on that row.",
    )
    yield "## A whole row { #ROW }"
    yield ""
    for rule in rules:
        if rule.header not in dataset.by_header:
            yield from _rule(rule, dataset)
    for field in dataset.fields:
        yield f"## {field.header} {{ #{field.header} }}"
        yield ""
        yield f"[{field.label}](dictionary.md#{field.header})"
        yield ""
        own = [rule for rule in dataset.rules if rule.header == field.header]
        derived = [rule for rule in own if not _is_written(rule, dataset)]
        if derived:
            yield from _table(
                ("Rule", "Message", "Breaks", "Holds"),
                (
                    (
                        f"{_short(rule)} {_badge(rule.severity)}",
                        f'{rule.message} <span class="where">{_breaks_where(rule, dataset)}</span>',
                        _one_value(rule.breaks, rule),
                        _one_value(rule.holds, rule),
                    )
                    for rule in derived
                ),
            )
        against = [rule for rule in changes if rule.header == field.header]
        if against:
            yield from _table(
                ("Against the submission before", "Message"),
                ((f"{_short(rule)} {_badge(rule.severity)}", rule.message) for rule in against),
            )
        for rule in own:
            if rule not in derived:
                yield from _rule(rule, dataset)
    yield "## A faultless record { #a-faultless-record }"
    yield ""
    yield f"Every value is made up; it breaks no rule on {EXAMPLE_TODAY.day} {EXAMPLE_TODAY:%B %Y}."
    yield ""
    yield from _table(
        ("Header", "Value"), ((f"[{h}](dictionary.md#{h})", _value(value)) for h, value in EXAMPLE.items())
    )


def _short(rule: Rule) -> str:
    """A rule's name under its field's heading; it may be broken at an underscore, for narrow screens."""
    name = rule.id.split(".", 1)[1].replace("_", "_<wbr>")
    return f'<code class="name" id="{rule.id}">{name}</code>'


def _breaks_where(rule: Rule, dataset: Dataset) -> str:
    return f"Breaks where: {in_english(rule.fails_when, dataset)}."


def _one_value(example: Record | Sequence[Record], rule: Rule) -> str:
    """The examples of a derived rule are of one field: its value, or one for each of several rows."""
    values = [_value(row.get(rule.header)) for row in _rows(example)]
    return values[0] if len(values) == 1 else f"{', then '.join(values)} on another row"


def _rule(rule: Rule, dataset: Dataset) -> Iterator[str]:
    yield '<div class="rule" markdown>'
    yield ""
    yield f"`{rule.id}`{{ #{rule.id} }} {_badge(rule.severity)}"
    yield ""
    yield f"**{rule.message}**"
    yield ""
    cites = f"Clause: {_clause(rule)}."
    if rule.reading:
        cites += f" {rule.reading}"
    yield cites
    if not isinstance(rule.fails_when, Never):
        yield ""
        yield _breaks_where(rule, dataset)
    if rule.gate:
        yield ""
        yield "While this rule is broken nothing else of the row is looked at, and none of its values is shown."
    yield ""
    examples = [*_named("breaks", rule.breaks), *_named("holds", rule.holds)]
    given = {header for _, row in examples for header in row}
    headers = [header for header in dataset.headers if header in given]
    if headers:
        yield from _table(
            ("Example", *headers),
            ((name, *(_value(_laid(row).get(h)) for h in headers)) for name, row in examples),
        )
    yield "</div>"
    yield ""


def _named(name: str, example: Record | Sequence[Record]) -> list[tuple[str, Record]]:
    rows = _rows(example)
    if len(rows) == 1:
        return [(name, rows[0])]
    return [(f"{name}, row {n}", row) for n, row in enumerate(rows, start=1)]


def _laid(row: Record) -> Record:
    return {**EXAMPLE, **row}


def _conformance(dataset: Dataset) -> str:
    """Every example as whole records: the rule, which example it is, then the fields."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(("RULE", "SEVERITY", "EXAMPLE", *dataset.headers))
    for rule in dataset.rules:
        for name, example in (("breaks", rule.breaks), ("holds", rule.holds)):
            for row in _rows(example):
                laid = _laid(row)
                writer.writerow((rule.id, rule.severity.value, name, *(laid[h] for h in dataset.headers)))
    return out.getvalue()


# ---- code lists ------------------------------------------------------------------------------------


def _codes(dataset: Dataset) -> Iterator[str]:
    listings = reference.listing(dataset, NOTHING_INSTALLED)
    yield from _front("Code lists", f"The code lists of {dataset.title}")
    yield from _prose(
        "The business definitions print five lists; the others stand in the CJIT reference data, which this project",
        "does not have. So each list says how sure it is, and one that is not known to be complete never makes a code",
        "wrong: the report counts the codes it does not know in one note for the file. Whoever has the official list",
        "can [install it](guides/reference-data.md). The days from and to which a code holds, where a list has them,",
        "are information: no rule checks them, as which date of a record they go with is not public.",
    )
    yield from _table(
        ("Status", "What it means", "A code that is not in the list"),
        (
            (
                _status(status),
                f"{STATUSES[status].split(':')[0].capitalize()}",
                "is a finding" if CodeList("", (Code("1", "One", status=status),)).complete else "is counted in a note",
            )
            for status in Status
        ),
    )
    yield from _table(
        ("List", "Fields", "Codes", "Status"),
        (
            (
                f"[{item.name}](#{item.name})",
                ", ".join(f"[{h}](dictionary.md#{h})" for h in item.headers),
                str(item.count),
                _status(item.status),
            )
            for item in listings
        ),
    )
    for item in listings:
        yield f"## {item.name} {{ #{item.name} }}"
        yield ""
        text = [
            f"{_status(item.status)} {_count(item.count, 'code')}, {STATUSES[item.status]}.",
            f"Used by {_and(f'[{h}](dictionary.md#{h})' for h in item.headers)}.",
            f"Source: {item.source}.",
        ]
        if item.also:
            text.append(f"The field takes the codes of {_and(f'[{name}](#{name})' for name in item.also)} too.")
        yield from _prose(*text)
        yield from _list(dataset.lists[item.name], item.also)
    yield "## Beside the lists { #beside }"
    yield ""
    yield from _prose(
        "What is known of some codes and fields beside what they are called. None of it is printed in the business",
        "definitions; each fact says how sure it is.",
    )
    for name, what in TABLES.items():
        rows = table(name)
        yield f"### {name} {{ #{name} }}"
        yield ""
        yield from _prose(f"{what}. Source: {'; '.join(_sources(rows))}.")
        coded = any(row.code for row in rows)
        known = {code for of in name.split("-") if of in dataset.lists for code in dataset.lists[of].codes}
        yield from _folded(
            _table(
                ("Code", "Label", "Status") if coded else ("Label", "Status"),
                (
                    (
                        *((_called(row.code, name, dataset),) if coded else ()),
                        _called(row.label, name, dataset) if row.label in known else row.label,
                        row.status.value,
                    )
                    for row in rows
                ),
            ),
            len(rows),
            "rows",
        )


def _called(code: str, name: str, dataset: Dataset) -> str:
    """A code of a table with what it is called in a list the table is named after."""
    labels = (dataset.lists[of].labels.get(code) for of in name.split("-") if of in dataset.lists)
    return " ".join((f"`{code}`", next(filter(None, labels), ""))).strip()


def _sources(rows: Sequence[Row]) -> Iterator[str]:
    """Where the rows of a table are from, each once; what is said of one row alone stands in the table's file."""
    told = Counter(row.source for row in rows)
    most = max(told.values())
    yield from (source for source, count in told.items() if count > 1 or most == 1)


def _and(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def _list(codes: CodeList, also: Sequence[str]) -> Iterator[str]:
    rows = [row for row in codes.rows if row.group not in also]
    grouped = any(row.group and row.group != codes.name for row in rows)
    defined = any(row.definition for row in rows)
    mixed = len({row.status for row in rows}) > 1
    heads = ["Code", "Label"]
    heads += ["Definition"] if defined else []
    heads += ["Group"] if grouped else []
    heads += ["Status"] if mixed else []
    lines = _table(
        heads,
        (
            (
                f"`{row.code}`",
                row.label,
                *((row.definition,) if defined else ()),
                *((row.group,) if grouped else ()),
                *((row.status.value,) if mixed else ()),
            )
            for row in rows
        ),
    )
    yield from _folded(lines, len(rows), "codes")


def _folded(lines: Iterable[str], count: int, what: str) -> Iterator[str]:
    """A table, folded away where it is long."""
    if count <= FOLDED:
        yield from lines
        return
    yield f'??? note "All {count} {what}"'
    yield ""
    yield from (f"    {line}".rstrip() for line in lines)


# ---- outcomes --------------------------------------------------------------------------------------


def _outcomes(dataset: Dataset) -> Iterator[str]:
    yield from _front("Outcomes", "What can happen to a record")
    yield from _prose(
        "The business definitions name three consequences; the severities of the findings are those, in their words,",
        "and one more for the rest. The gravest comes first.",
    )
    for severity in Severity:
        words, means = WORDS[severity]
        yield f"## {_badge(severity)} {{ #{severity.value} data-toc-label='{severity.value}' }}"
        yield ""
        if words:
            yield f"“{words}”"
            yield ""
        yield means
        yield ""
        if severity is Severity.MISMATCH:
            fields = [f for f in dataset.fields if "mismatch" in f.changes.value]
            yield f"When changed: {_and(f'[{f.header}](dictionary.md#{f.header})' for f in fields)}."
            yield "A single file cannot show it: it shows against the submission before (`--previous`)."
            yield ""
            continue
        fields = [f for f in dataset.fields if f.missing is severity]
        if fields:
            yield f"When missing, or no value: {_and(f'[{f.header}](dictionary.md#{f.header})' for f in fields)}."
            yield ""
            # What is required in some records only, and rejected there.
            yield from (
                f"When missing where it is required: [{f.header}](dictionary.md#{f.header}), {f.required}.\n"
                for f in dataset.fields
                if f.required
                and any(r.id.startswith(f"{f.header}.is_given") and r.severity is severity for r in dataset.written)
            )
            # A gate's outcome is printed nowhere.
            yield from (
                f"The document prints no consequence for [{r.header}](dictionary.md#{r.header}): that one is our "
                "[reading 10](source.md#readings).\n"
                for r in dataset.written
                if r.gate and r.severity is severity
            )
        rules = [r for r in file_rules(dataset) if r.severity is severity]
        also = [r for r in rules if _is_written(r, dataset) or r.header not in dataset.by_header]
        yield f"{_count(len(rules), 'rule')}, of which {len(also)} across fields or rows" + (":" if also else ".")
        yield ""
        yield from (f"- [`{rule.id}`](rules.md#{rule.id}) {rule.message}" for rule in also)
        yield ""
    yield "## A blank that is no finding"
    yield ""
    yield from _prose(
        "Where the document states no consequence and no condition, a blank is not a finding. It is counted in the",
        "completeness table of the report, with answers such as ‘not stated’ beside it.",
    )


# ---- datasets --------------------------------------------------------------------------------------


def _datasets(old: Dataset, new: Dataset) -> Iterator[str]:
    yield from _front("Datasets P and Q", "Dataset P and dataset Q")
    yield from _prose(
        "Each significant change to the CJIT dataset is allocated a letter. In the book a letter is its difference",
        "from another, taken from the revision history of the business definitions. Those describe dataset Q; of",
        "dataset P they print only what changed, so the rest of P is our reading (`src/cjit/datasets/p.py` says",
        "which).",
    )
    yield from _table(
        ("Dataset", "In effect from", "Fields", "Rules"),
        ((d.title, _day(d), str(len(d.fields)), str(len(d.rules))) for d in (new, old)),
    )
    yield from _prose(
        f"`cjit check FILE --dataset {old.letter}` checks a dataset {old.letter} file. A file that carries a header",
        f"only dataset {old.letter} has, and lacks fields of dataset {new.letter}, is not checked as {new.letter}: it",
        "is told which letter it looks like.",
    )
    yield f"## Only dataset {new.letter} has these"
    yield ""
    yield from _fields_table([f for f in new.fields if f.header not in old.by_header])
    yield f"## Only dataset {old.letter} has these"
    yield ""
    yield from _fields_table([f for f in old.fields if f.header not in new.by_header])
    yield "## In both, and not the same"
    yield ""
    rows = []
    for field in new.fields:
        before = old.by_header.get(field.header)
        if before is None or before == field:
            continue
        name = f"[{field.header}](dictionary.md#{field.header})"
        for what in ("label", "definition"):
            was, now = getattr(before, what), getattr(field, what)
            if was != now:
                rows.append((name, what, was, now))
    yield from _table(("Header", "What", f"Dataset {old.letter}", f"Dataset {new.letter}"), rows)


def _fields_table(fields: Iterable[Field]) -> Iterator[str]:
    yield from _table(("Header", "Field", "Section"), ((f"`{f.header}`", f.label, SECTIONS[f.entity]) for f in fields))


# ---- commands --------------------------------------------------------------------------------------


def _commands() -> Iterator[str]:
    yield from _front("Commands", "The commands")
    yield from _prose("What each prints with `--help`.")
    for path, command in _walk(cli.main, ("cjit",)):
        yield f"## {' '.join(path)} {{ #{'-'.join(path)} }}"
        yield ""
        yield "```text"
        yield _help(path, command)
        yield "```"
        yield ""


def _walk(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            yield from _walk(below, (*path, name))


def _help(path: Sequence[str], command: click.Command) -> str:
    settings = {**cli.main.context_settings, "terminal_width": 92, "color": False}
    with click.Context(command, info_name=" ".join(path), **settings) as context:
        return command.get_help(context).rstrip()


# ---- output that pages show ------------------------------------------------------------------------

_BLOCK = re.compile(
    r"(?P<before>(?:<!-- shown to: (?P<to>.*?) -->\n+)?(?P<margin>[ ]*)```console\n)"
    r"(?P<inside>.*?)(?P<after>\n[ ]*```)",
    re.DOTALL,
)


def _with_output(paths: Iterable[Path]) -> dict[str, str]:
    """The pages that show commands, with what those print now; the commands of a page share a folder."""
    found = {}
    for path in paths:
        text = path.read_bytes().decode()
        if "```console" in text:
            with tempfile.TemporaryDirectory() as folder:
                desk = Path(folder)
                shutil.copytree(ROOT / "examples", desk / "examples")
                (desk / "official-lists").mkdir()
                found[str(path.relative_to(ROOT))] = _BLOCK.sub(partial(_shown, desk=desk), text)
    return found


def _shown(block: re.Match[str], *, desk: Path) -> str:
    margin = block["margin"]
    lines: list[str] = []
    for line in block["inside"].splitlines():
        if line.strip().startswith("$ "):
            lines.append(line.strip())
            lines += _output(line.strip().removeprefix("$ "), desk, block["to"])
    inside = "\n".join(f"{margin}{line}".rstrip() for line in lines)
    return f"{block['before']}{inside}{block['after']}"


def _output(command: str, desk: Path, to: str | None) -> list[str]:
    """What a command prints, errors too, as on a terminal of 92 columns that cannot show colour."""
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}",
        "HOME": str(desk),
        "CJIT_REFERENCE": "official-lists",
        "COLUMNS": "92",
        "PYTHONIOENCODING": "utf-8",
        "NO_COLOR": "1",
    }
    done = subprocess.run(  # noqa: S603  commands from our own pages
        shlex.split(command),
        cwd=desk,
        env=environment,
        text=True,
        encoding="utf-8",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if "Traceback" in done.stdout:
        raise RuntimeError(f"{command} failed:\n{done.stdout}")
    # A terminal shows no byte order mark, nor spaces at the end of a line.
    lines = [line.rstrip() for line in done.stdout.replace("\ufeff", "").rstrip().splitlines()]
    if to is None:
        return lines
    cut = [n for n, line in enumerate(lines) if line.strip().startswith(to)]
    if not cut:
        raise RuntimeError(f"{command} prints no line that begins with “{to}”:\n{done.stdout}")
    return [*lines[: cut[0]], "…"]


# ---- the command -----------------------------------------------------------------------------------


def main(arguments: Sequence[str]) -> int:
    """Write what is stale, or with `--check` say what is."""
    made = pages()
    old = stale(made)
    if "--check" in arguments:
        if old:
            print(f"{_and(old)} {'is' if len(old) == 1 else 'are'} out of date: run ‘make docs’ and commit the result")
        return 1 if old else 0
    for path in old:
        (ROOT / path).write_bytes(made[path].encode())
        print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
