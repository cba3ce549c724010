"""The commands, each a few lines over the library, which is imported when a command needs it.

The exit status is 0 where nothing is rejected, 1 where something is, and 2 where a file cannot be used or the command
cannot be carried out; then one sentence says why and what to do.
"""

from __future__ import annotations

import gc
import io
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from cjit.report.formats import FORMATS, Format, format_of

if TYPE_CHECKING:
    from cjit.dataset import Dataset
    from cjit.dates import Style
    from cjit.engine.checking import Checked
    from cjit.engine.findings import Findings
    from cjit.files.source import Source

_Command = TypeVar("_Command", bound=Callable[..., None])


def _stop(sentence: object) -> NoReturn:
    """End with one sentence and status 2."""
    click.echo(f"cjit: {sentence}", err=True)
    sys.exit(2)


class _Day(click.ParamType[date]):
    name = "date"

    def convert(self, value: str | date, param: click.Parameter | None, ctx: click.Context | None) -> date:
        if isinstance(value, date):
            return value
        from cjit.dates import day_of

        return day_of(value) or self.fail("write the date as 31/03/2026, 20260331 or 2026-03-31", param, ctx)


class _AgencyCode(click.ParamType[str]):
    """The code of an agency, without spaces round it."""

    name = "code"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The code; refused where it is blank, which would match no agency at all."""
        if not value.strip():
            self.fail("The code is blank: give your agency's code, such as CJ123, or leave the option out", param, ctx)
        return value.strip()


class _Style(click.ParamType["Style"]):
    name = "style"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> Style:
        from cjit.dates import UnknownStyle, style_of

        try:
            return style_of(value)
        except UnknownStyle as problem:
            return self.fail(str(problem), param, ctx)


@contextmanager
def _errors_as_sentences() -> Iterator[None]:
    """End with one sentence, and no traceback, where something raises that a user can get wrong."""
    try:
        yield
    except BrokenPipeError:
        # The reader of the pipe (`head`, a pager) was closed.
        sys.stderr.close()
        sys.exit(2)
    except KeyboardInterrupt:
        click.echo("cjit: stopped", err=True)
        sys.exit(130)
    except ValueError as problem:
        # The library's own errors are sentences for the user. Any other is a bug, and keeps its traceback.
        if type(problem).__module__.startswith("cjit."):
            _stop(problem)
        raise
    except OSError as problem:
        _stop(f"{problem.filename or 'A file'} cannot be written or read ({problem.strerror}): choose another place")


def _dataset(letter: str) -> Dataset:
    """A dataset with the official lists that are installed."""
    from cjit.datasets import dataset
    from cjit.reference import with_installed

    return with_installed(dataset(letter))


dataset_option = click.option(
    "--dataset", "letter", default="Q", show_default=True, metavar="LETTER", help="Which dataset: Q or P."
)


def _dates_option(otherwise: str | None, default: str) -> Callable[[_Command], _Command]:
    """The option --dates; by default `otherwise`, which the help text calls `default`."""
    return click.option(
        "--dates",
        "style",
        type=_Style(),
        default=otherwise,
        metavar="STYLE",
        help=f"How dates are written: yyyymmdd or dd/mm/yyyy (default: {default}).",
    )


def _exit_on_signal(number: int, frame: object) -> NoReturn:
    """End as an exception does, so that temporary files are removed."""
    sys.exit(128 + number)


class _Commands(click.Group):
    """Commands whose output is UTF-8 in a file or a pipe, and in the terminal's encoding on a terminal."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command, `--help` and `--version` too."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(encoding=None if stream.isatty() else "utf-8", errors="replace")
        return super().main(*args, **kwargs)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="cjit", message="cjit %(version)s")
def main() -> None:
    """Check a CJIT dataset file before it goes to NDTMS, on your own machine.

    Unofficial. Nothing leaves this computer.
    """
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _exit_on_signal)


# ---- check -----------------------------------------------------------------------------------------


@main.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@dataset_option
@click.option("--today", type=_Day(), metavar="DATE", help="The day nothing may be later than (default: today).")
@click.option("--previous", metavar="FILE", help="Your last submission: say what changed since.")
@click.option("--agency", type=_AgencyCode(), metavar="CODE", help="The agency that submits, such as CJ123.")
@click.option("--only", multiple=True, metavar="RULE", help="Run only this rule, field or pattern. Repeatable.")
@click.option("--skip", multiple=True, metavar="RULE", help="Leave this rule, field or pattern out. Repeatable.")
@click.option("--format", "form", type=click.Choice(list(FORMATS)), help="By default what --output ends in, or text.")
@click.option("--output", "-o", metavar="PATH", help="Write the report here (a folder, for several files).")
@click.option("--corrected", metavar="PATH", help="Write a copy with mechanical faults mended, and a list of them.")
@click.option("--annotated", metavar="PATH", help="Write a copy of your file with the findings beside each row.")
def check(  # noqa: PLR0913 - an argument an option
    files: tuple[str, ...],
    letter: str,
    today: date | None,
    previous: str | None,
    agency: str | None,
    only: tuple[str, ...],
    skip: tuple[str, ...],
    form: str | None,
    output: str | None,
    corrected: str | None,
    annotated: str | None,
) -> None:
    """Check dataset files: what would be rejected, excluded or queried, why, and what to do.

    FILE may be - for standard input. Exit status: 0 nothing is rejected; 1 something is; 2 a file cannot be
    used, or the command cannot be carried out.
    """
    # A check makes no reference cycles, and the collector's search for them takes a tenth of its time.
    gc.disable()
    # By default the allocator returns the memory of a chunk a second after it is freed: a third of all that is used.
    os.environ.setdefault("_RJEM_MALLOC_CONF", "background_thread:true,dirty_decay_ms:20,muzzy_decay_ms:0")
    output = None if output and _is_standard_output(output) else output
    _refuse_copies(output, annotated, corrected)
    if [*files, previous].count("-") > 1:
        _stop("Standard input can be read only once: give - once, and the other file by its name")
    if not form and Path(output or "").suffix.lower() in (".pdf", ".doc", ".docx", ".xls", ".htm"):
        endings = ", ".join(each.suffix for each in FORMATS.values())
        _stop(f"There is no report in the form of {output}: give it a name that ends in {endings}")
    chosen = FORMATS[form] if form else format_of(output or "") or FORMATS["text"]
    if not chosen.printable and not output:
        _stop("A workbook cannot be printed: say where to write it with --output report.xlsx")
    if len(files) > 1 and (corrected or annotated):
        _stop("Give one file at a time with --corrected or --annotated")
    if len(files) > 1 and output and not Path(output).is_dir():
        _stop(f"With several files, --output must be a folder, and {output} is not one: make it first")
    if len(files) > 1 and not output and chosen.name != "text":
        _stop("With several files, say in which folder to write the reports with --output FOLDER")
    reports = [_report_path(name, chosen, output) for name in files] if output is not None else []
    _keep_apart([*files, *([previous] if previous else [])], [*reports, annotated, corrected, _changes_path(corrected)])
    day = today or date.today()  # noqa: DTZ011 - the user's own calendar
    status = 0
    with _errors_as_sentences():
        from cjit.files.opening import open_file
        from cjit.files.source import Unusable

        dataset = _dataset(letter)
        before = open_file(previous, dataset) if previous else None
        for name in files:
            try:
                source = open_file(name, dataset)
                where = _report_path(name, chosen, output)
                result = _report(source, dataset, before, day, agency, only, skip, chosen, where)
            except Unusable as problem:
                click.echo(f"cjit: {problem}", err=True)
                status = 2
                continue
            if annotated or corrected:
                _copies(result, annotated, corrected)
            status = max(status, 1 if result.findings.rejected else 0)
    sys.exit(status)


def _refuse_copies(output: str | None, annotated: str | None, corrected: str | None) -> None:
    """Stop where a copy cannot be written to the path that it is given."""
    for option, copy in (("--annotated", annotated), ("--corrected", corrected)):
        if copy and _is_standard_output(copy) and output is None:
            _stop(
                f"The copy would stand amid the report on standard output: say which file to write with {option} FILE"
            )
        if copy and Path(copy).suffix.lower() in (".xlsx", ".xls", ".ods"):
            _stop(f"{copy} would be a CSV file under the name of a workbook: give it a name that ends in .csv")
        if copy and not _is_standard_output(copy) and not Path(copy).absolute().parent.is_dir():
            _stop(f"There is no folder {Path(copy).parent} for the copy of {option}: make it first")


def _report_path(name: str, form: Format, output: str | None) -> str | None:
    """The path of the report on a file.

    Args:
        name: the name of the file, or "-".
        form: the format.
        output: the path, or a folder, in which the report is named after the file; None for standard output.
    """
    if output is None or not Path(output).is_dir():
        return output
    stem = "standard input" if name == "-" else Path(name).stem
    return str(Path(output) / (stem + form.suffix))


def _is_standard_output(path: str) -> bool:
    """Whether a path leads to standard output, where the report is printed."""
    if path == "-":
        return True
    try:
        return path != os.devnull and os.path.samestat(os.stat(path), os.fstat(1))
    except (OSError, ValueError):
        return False


def _changes_path(corrected: str | None) -> str | None:
    """The path of the list of changes beside a corrected copy; None for a device, a pipe or standard output."""
    if not corrected or not Path(corrected).name or _is_standard_output(corrected):
        return None
    if os.path.exists(corrected) and not os.path.isfile(corrected):
        return None
    return str(Path(corrected).with_suffix(".changes.csv"))


def _stop_for_standard_output(output: str) -> None:
    """Stop where a command that writes files is given standard output."""
    if output == "-":
        _stop("What this makes cannot be printed: give the name of a file or a folder with --output")


def _keep_apart(inputs: Sequence[str], outputs: Sequence[str | None]) -> None:
    """Stop, before anything is written, where a file would overwrite another file of this command.

    Args:
        inputs: the files to be read; "-" is standard input.
        outputs: the files to be written; None for each that is not.
    """
    read = {os.path.realpath(name) for name in inputs if name != "-"}
    written: set[str] = set()
    for path in outputs:
        if path is None:
            continue
        if _is_standard_output(path):
            if "-" in written:
                _stop("Both copies would stand on standard output: give one of them the name of a file")
            written.add("-")
            continue
        place = os.path.realpath(path)
        if not path or (Path(place).is_dir()):
            _stop(f"“{path}” is not a file name: say which file to write")
        if place in read:
            _stop(f"{path} is a file to be read: choose another name to write to")
        if place in written and Path(place).is_file() | (not Path(place).exists()):
            _stop(f"{path} would be written twice: give each report and copy a name of its own")
        written.add(place)


def _report(  # noqa: PLR0913 - an argument an option
    source: Source,
    dataset: Dataset,
    before: Source | None,
    day: date,
    agency: str | None,
    only: tuple[str, ...],
    skip: tuple[str, ...],
    form: Format,
    where: str | None,
) -> Checked:
    """Check one file and write the report on it.

    Args:
        source: the file.
        dataset: the dataset.
        before: the last submission; None where none is compared.
        day: the day nothing may be later than.
        agency: the code of the agency that submits.
        only: the rules that are asked.
        skip: the rules that are not.
        form: the format of the report.
        where: the path of the report; None for standard output.

    Returns:
        The file, checked.

    Raises:
        Unusable: where it cannot be read.
    """
    from cjit.engine import compare
    from cjit.engine.checking import checked
    from cjit.report.formats import write

    results: list[Checked] = []

    def run(sink: Callable[..., None] | None = None) -> Findings:
        with _progress(source) as progress:
            result = checked(
                source,
                dataset,
                today=day,
                previous=before,
                submitter=agency,
                only=only,
                skip=skip,
                limit=form.limit,
                sink=sink,
                progress=progress,
            )
        results.append(result)
        return result.findings

    write(run, source, form, where, compare.rules(dataset) if before else ())
    return results[-1]


@contextmanager
def _progress(source: Source) -> Iterator[Callable[[int, int], None] | None]:
    """A progress bar on standard error, only on a terminal and only when the check takes over a second.

    Args:
        source: the file that is checked.

    Yields:
        The function that takes the bytes that are done, and all bytes; None where there is no terminal.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn("Checking {task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    task = bar.add_task(source.name, total=source.size)
    started = time.monotonic()
    shown = False

    def report(done: int, total: int) -> None:
        nonlocal shown
        if not shown and time.monotonic() - started > 1:
            bar.start()
            shown = True
        bar.update(task, completed=done, total=total)

    try:
        yield report
    finally:
        if shown:
            bar.stop()


def _copies(result: Checked, annotated: str | None, corrected: str | None) -> None:
    """Write the copies of a file that was checked.

    Args:
        result: the file.
        annotated: the path of the annotated copy; None where none is asked for.
        corrected: the path of the corrected copy; None where none is asked for.
    """
    from cjit.copies.annotated import annotate
    from cjit.copies.corrected import correct

    def to(path: str) -> str | IO[bytes]:
        sys.stdout.flush()
        return sys.stdout.buffer if _is_standard_output(path) else path

    if annotated:
        annotate(result, to(annotated))
        click.echo(f"The copy with the findings beside each row is in {_path_shown(annotated)}", err=True)
    if corrected:
        changes = _changes_path(corrected)
        mended = correct(result, to(corrected), changes or io.BytesIO())
        listed = f"; every change is listed in {changes}" if mended.total else ""
        if not changes:
            listed = "; no list of the changes is made, as one is written only beside a file"
        click.echo(f"{mended}: the corrected copy is in {_path_shown(corrected)}{listed}", err=True)


def _path_shown(path: str) -> str:
    return "standard output" if path == "-" else path


# ---- dictionary and rules --------------------------------------------------------------------------


@main.command()
@click.argument("header", required=False)
@dataset_option
@click.option(
    "--format",
    "form",
    type=click.Choice(("json-schema", "table-schema", "csvw", "markdown")),
    help="Export the whole dictionary in this form.",
)
def dictionary(header: str | None, letter: str, form: str | None) -> None:
    """Print the data dictionary: every field, or one in full.

    HEADER is a CSV header, such as DISD.
    """
    with _errors_as_sentences():
        from cjit.dictionary import overview, schemas

        dataset = _dataset(letter)
        if form and header:
            _stop("An export holds every field: leave the header out, or leave --format out")
        if form:
            click.echo(schemas.export(dataset, form), nl=False)
        else:
            click.echo(overview.describe(dataset, header) if header else overview.overview(dataset))


@main.command()
@click.argument("pattern", required=False)
@dataset_option
@click.option(
    "--format",
    "form",
    type=click.Choice(("json", "json-schema")),
    help="Export the whole rule book, or the schema of such a file, for another program.",
)
def rules(pattern: str | None, letter: str, form: str | None) -> None:
    """Print the rule book: every rule, or those of a field or pattern in full.

    PATTERN is a rule, a field or a pattern, such as DISD or 'DISABLE*'.
    """
    with _errors_as_sentences():
        from cjit.dictionary import overview, rules_json

        if form and pattern:
            _stop("An export holds every rule: leave the pattern out, or leave --format out")
        if form == "json-schema":
            click.echo(rules_json.schema_text(), nl=False)
        elif form:
            click.echo(rules_json.export(_dataset(letter)), nl=False)
        else:
            click.echo(overview.rules(_dataset(letter), pattern))


# ---- reference lists -------------------------------------------------------------------------------


@main.group()
def reference() -> None:
    """See which code lists are complete, and install official ones."""


@reference.command("list")
@dataset_option
def reference_list(letter: str) -> None:
    """Show each code list with its status and count."""
    with _errors_as_sentences():
        from cjit import reference as lists
        from cjit.datasets import dataset

        click.echo(lists.table(dataset(letter)))


@reference.command("install")
@click.argument("name", metavar="FIELD")
@click.argument("file")
@dataset_option
def reference_install(name: str, file: str, letter: str) -> None:
    """Put an official code list over the packaged one.

    FIELD is a header or a list, such as DRUG1 or DRUG. FILE is a CSV with the columns code and label, and
    if you have them definition, group, from and to.
    """
    with _errors_as_sentences():
        from cjit import reference as lists
        from cjit.datasets import dataset

        codes = lists.install(dataset(letter), name, file)
        click.echo(f"{codes.name} now has {len(codes.codes):,} official codes, kept in {lists.directory()}")


@reference.command("remove")
@click.argument("name", metavar="FIELD")
@dataset_option
def reference_remove(name: str, letter: str) -> None:
    """Go back to the packaged code list."""
    with _errors_as_sentences():
        from cjit import reference as lists
        from cjit.datasets import dataset

        codes = lists.remove(dataset(letter), name)
        click.echo(f"{codes.name} is the packaged list again, with {len(codes.codes):,} codes ({codes.status})")


# ---- the service -----------------------------------------------------------------------------------


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535))
@click.option("--demo", is_flag=True, help="With made-up agencies, people and submissions to try it with.")
def serve(host: str, port: int, demo: bool) -> None:
    """Start the service on this computer: the caseload, and the submissions."""
    with _needs_service(), _errors_as_sentences():
        from cjit.web.serve import serve as start

        start(host=host, port=port, demo=demo)


@main.command()
@click.argument("agency")
@click.option("--until", type=_Day(), required=True, metavar="DATE", help="The last day of the period.")
@click.option("--new", is_flag=True, help="Only what is new or changed since the last extract.")
@click.option("--leave-out", is_flag=True, help="Leave out the episodes that would be rejected.")
@click.option("--labels", is_flag=True, help="With labels, to be looked at: it is never sent, and nothing is marked.")
@_dates_option(None, "as CJIT_DATES says, else yyyymmdd")
@click.option("--output", "-o", default="", metavar="FILE", help="Write it here (a file or a folder).")
def extract(
    agency: str, until: date, new: bool, leave_out: bool, labels: bool, style: Style | None, output: str
) -> None:
    """Write the dataset Q file of a caseload that is kept by the service on this computer.

    AGENCY is its code, such as CJ123. Without --output the file has the name that the agency's settings give it. Exit
    status: 0 it is written; 1 something would be rejected (and nothing is written, but with --labels); 2 the command
    cannot be carried out.
    """
    _stop_for_standard_output(output)
    with _errors_as_sentences(), _needs_service():
        import django

        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cjit.web.settings")
        django.setup()
        from cjit.web.caseload.sending import write
    with _errors_as_sentences():
        result, path = write(
            agency, until=until, new=new, leave_out=leave_out, labels=labels, style=style, where=output
        )
        extracted = result.extracted
        reasons = Counter(rule.message for rules in extracted.rejected.values() for rule in rules)
        for message, count in reasons.most_common():
            click.echo(f"{message} ({count:,} {'episode' if count == 1 else 'episodes'})", err=True)
        if extracted.rejected:
            many, them = (len(extracted.rejected), "it" if len(extracted.rejected) == 1 else "them")
            click.echo(
                f"{many:,} {'episode' if many == 1 else 'episodes'} would be rejected: settle {them} on the page"
                f" “Extract”, or leave {them} out with --leave-out",
                err=True,
            )
        if extracted.left_out:
            many = len(extracted.left_out)
            click.echo(f"{many:,} {'episode' if many == 1 else 'episodes'} would be rejected and left out", err=True)
        if result.held and not new:
            held = f"{result.held:,} {'episode' if result.held == 1 else 'episodes'}"
            click.echo(f"In an extract before, and began after {until:%d/%m/%Y}, so not in this one: {held}", err=True)
        if path:
            counts = ", ".join(f"{number:,} {what}" for what, number in result.counts.items() if number)
            click.echo(f"{path}: {counts}")
    sys.exit(1 if extracted.rejected else 0)


@contextmanager
def _needs_service() -> Iterator[None]:
    """End with a sentence on how the service is installed where one of its packages is missing."""
    try:
        yield
    except ModuleNotFoundError as missing:
        if (missing.name or "").startswith("cjit"):
            raise
        from cjit.web import NOT_INSTALLED

        _stop(NOT_INSTALLED)


# ---- made-up data ----------------------------------------------------------------------------------


@main.command()
@click.option("--agencies", default=1, show_default=True, type=click.IntRange(1, 90))
@click.option("--clients", default=200, show_default=True, type=click.IntRange(1, 100_000), help="For each agency.")
@click.option("--months", default=3, show_default=True, type=click.IntRange(1, 120))
@click.option("--faults", default=0.0, show_default=True, type=click.FloatRange(0, 1), help="Share of cells broken.")
@click.option("--seed", default=1, show_default=True, help="The same seed gives the same bytes.")
@click.option("--today", type=_Day(), default="2026-03-31", show_default=True, metavar="DATE")
@_dates_option("yyyymmdd", "yyyymmdd")
@click.option("--output", "-o", required=True, metavar="DIR")
@dataset_option
def synth(  # noqa: PLR0913 - an argument an option
    agencies: int,
    clients: int,
    months: int,
    faults: float,
    seed: int,
    today: date,
    style: Style,
    output: str,
    letter: str,
) -> None:
    """Make up monthly submissions that keep every rule, or break some. No real person is in them."""
    if not date(2000, 1, 1) <= today <= date(2100, 1, 1) or faults != faults:  # noqa: PLR0124 - not a number
        _stop("Choose a day from 2000 to 2100 and a share from 0 to 1")
    _stop_for_standard_output(output)
    with _errors_as_sentences():
        from cjit.datasets import dataset
        from cjit.testdata import histories
        from cjit.testdata.faults import with_faults

        book = dataset(letter)
        months_of = histories.histories(
            book, agencies=agencies, clients=clients, months=months, today=today, seed=seed, style=style
        )
        broken = 0

        def put_faults(each: histories.Submission) -> histories.Submission:
            """A submission with faults put into it, which are counted."""
            nonlocal broken
            columns, counts = with_faults(each.columns, book, faults, f"{seed}/{each.name}")
            broken += counts.total()
            return replace(each, columns=columns)

        if faults:
            months_of = map(put_faults, months_of)
        for path in histories.write(months_of, Path(output)):
            click.echo(path)
        if faults:
            click.echo(f"{broken:,} cells were broken on purpose", err=True)


if __name__ == "__main__":
    main()
