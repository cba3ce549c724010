"""The command as its users type it: exit status, one sentence, the same bytes."""

import csv
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from cjit.cli import main
from cjit.datasets.q import Q
from cjit.datasets.q.example import EXAMPLE
from cjit.report.formats import FORMATS

HEADER = ",".join(Q.headers)
DAY = ("--today", "2026-03-31")


def line(**values: str) -> str:
    return ",".join({**EXAMPLE, **values}[h] for h in Q.headers)


@pytest.fixture
def good(tmp_path):
    return write(tmp_path / "good.csv", line())


@pytest.fixture
def bad(tmp_path):
    return write(
        tmp_path / "bad.csv",
        line(SEX=""),
        line(CLIENTID="2", CLIENT="=1+1", EPISODID="2", REFERID="2", DOB="1986-02-14", PC="NE8 1AB"),
        line(CLIENTID="3", CLIENT="C3", EPISODID="3", REFERID="3", CONSENT="N", DOB="11/11/1911"),
    )


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join([HEADER, *lines, ""]))
    return path


def run(*words, input=None):  # noqa: A002
    return CliRunner().invoke(main, [str(word) for word in words], input=input)


def sentence(result):
    assert result.exit_code == 2, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    told = result.stderr.strip()
    assert told.startswith("cjit: ")
    assert "\n" not in told
    return told


# ---- exit status -----------------------------------------------------------------------------------


def test_nothing_rejected_ends_with_0(good):
    result = run("check", good, *DAY)
    assert result.exit_code == 0
    assert "accepted" in result.stdout.splitlines()[0]


def test_something_rejected_ends_with_1(bad):
    result = run("check", bad, *DAY)
    assert result.exit_code == 1
    assert "2 rejected" in result.stdout.splitlines()[0]


def test_a_query_alone_ends_with_0(tmp_path):
    assert run("check", write(tmp_path / "f.csv", line(SEX="m")), *DAY).exit_code == 0


def test_a_file_that_is_not_there_ends_with_2():
    assert "There is no file called nowhere.csv" in sentence(run("check", "nowhere.csv"))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (HEADER.encode(), "headers but no records"),
        (b"PK\x03\x04", "Excel workbook"),
        (b"%PDF-1.4", "PDF"),
        (b"a,b\n1,2\n", "none of the headers"),
        ((HEADER + "\n" + line() + "\n").encode("utf-16"), "UTF-16"),
        ((HEADER + "\n" + line(CLIENT='"x') + "\n").encode(), "quotation mark"),
    ],
)
def test_a_file_that_cannot_be_used_ends_with_2_and_says_what_to_do(tmp_path, content, told):
    path = tmp_path / "file.csv"
    path.write_bytes(content)
    assert told in sentence(run("check", path))


def test_a_folder_is_no_file(tmp_path):
    assert "is a folder" in sentence(run("check", tmp_path))


def test_a_rule_that_does_not_exist_is_told(good):
    assert "did you mean DOB.is_given" in sentence(run("check", good, "--only", "DOB.is_gven"))


def test_a_dataset_that_does_not_exist_is_told(good):
    assert "choose Q or P" in sentence(run("check", good, "--dataset", "Z"))


def test_a_date_that_is_none_is_told(good):
    result = run("check", good, "--today", "31/31/2026")
    assert result.exit_code == 2
    assert "write the date as" in result.stderr


@pytest.mark.parametrize("day", ["31/03/2026", "20260331", "2026-03-31", "31/3/2026"])
def test_a_day_may_be_written_in_each_way_that_is_read(good, day):
    assert "checked as on 31/03/2026" in run("check", good, "--today", day).stdout


def test_a_report_that_cannot_be_written_is_told(good, tmp_path):
    assert "cannot be written" in sentence(run("check", good, *DAY, "--output", tmp_path / "no" / "where.txt"))


@pytest.mark.parametrize(
    ("option", "name", "told"),
    [
        ("--annotated", "copy.xlsx", "copy.xlsx would be a CSV file under the name of a workbook"),
        ("--corrected", "copy.ODS", "copy.ODS would be a CSV file under the name of a workbook"),
        ("--output", "report.pdf", "There is no report in the form of"),
        ("--output", "report.htm", "give it a name that ends in .txt, .json, .csv, .html, .xlsx"),
    ],
)
def test_nothing_is_written_under_the_name_of_what_it_is_not(good, tmp_path, option, name, told):
    assert told in sentence(run("check", good, *DAY, option, tmp_path / name))
    assert not (tmp_path / name).exists()


def test_a_workbook_is_not_printed(good):
    assert "--output" in sentence(run("check", good, "--format", "xlsx"))


def test_the_file_sent_is_never_written_over(bad):
    before = bad.read_bytes()
    for option in ("--output", "--annotated", "--corrected"):
        assert "another name" in sentence(run("check", bad, *DAY, option, bad))
        assert bad.read_bytes() == before


# ---- forms -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS)
def test_the_same_file_gives_the_same_bytes(bad, tmp_path, form):
    paths = [tmp_path / f"{n}.out" for n in (1, 2)]
    for path in paths:
        assert run("check", bad, *DAY, "--format", form, "--output", path).exit_code == 1
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_json_has_the_shape_that_is_promised(bad):
    told = json.loads(run("check", bad, *DAY, "--format", "json").stdout)
    assert list(told) == [
        "dataset", "engine", "rules_version", "file", "summary", "completeness", "findings", "notes",
    ]  # fmt: skip
    assert list(told["file"]) == ["name", "sha256", "rows", "missing_headers", "unknown_headers", "renamed_headers"]
    assert list(told["summary"]) == ["rows", "accepted", "rejected", "findings", "rules"]
    assert told["summary"]["findings"]["reject"] == 2
    for finding in told["findings"]:
        assert list(finding) == ["row", "header", "rule", "severity", "value", "message", "clause"]
    assert [f["row"] for f in told["findings"]] == sorted(f["row"] for f in told["findings"])
    assert told["summary"]["rules"]["SEX.is_given"] == 1


def test_a_row_without_consent_has_its_number_and_no_value_in_every_form(bad, tmp_path):
    for form in FORMATS:
        path = tmp_path / f"report.{form}"
        run("check", bad, *DAY, "--format", form, "--output", path)
        assert b"11/11/1911" not in path.read_bytes()
        assert b"1911-11-11" not in path.read_bytes()
    (finding,) = [f for f in json.loads((tmp_path / "report.json").read_text())["findings"] if f["row"] == 4]
    assert (finding["rule"], finding["value"]) == ("CONSENT.is_given", None)


@pytest.mark.parametrize("form", ["text", "html", "json"])
def test_what_the_extract_writes_for_consent_is_said_before_the_causes(tmp_path, form):
    lines = [line(CLIENTID=str(n), CLIENT=f"C{n}", EPISODID=str(n), REFERID=str(n), CONSENT="Yes") for n in range(3)]
    told = run("check", write(tmp_path / "month.csv", *lines), *DAY, "--format", form)
    said = " ".join(told.stdout.split())
    assert told.exit_code == 1
    assert "CONSENT says “Yes” on 3 rows and not Y" in said
    if form != "json":
        assert said.index("CONSENT says “Yes”") < said.index("Record consent as Y")


def test_a_corrected_copy_is_never_praised_where_records_would_be_rejected(tmp_path):
    path = write(tmp_path / "month.csv", line(DOB="20.5.82"), line(CLIENTID="2", CLIENT="2", EPISODID="2", REFERID="2"))
    told = run("check", path, *DAY, "--corrected", tmp_path / "copy.csv").stderr
    assert told.startswith("1 change was made to the file itself; 1 record would still be rejected: the corrected copy")


def test_no_form_shows_a_whole_postcode(bad, tmp_path):
    for form in FORMATS:
        path = tmp_path / f"report.{form}"
        run("check", bad, *DAY, "--format", form, "--output", path)
        assert b"NE8 1AB" not in path.read_bytes()


def test_standard_input_is_a_dash():
    result = run("check", "-", *DAY, input=f"{HEADER}\n{line()}\n")
    assert result.exit_code == 0


def test_several_files_are_told_one_after_the_other_and_the_worst_decides(good, bad, tmp_path):
    assert run("check", good, bad, *DAY).exit_code == 1
    assert run("check", good, "nowhere.csv", bad, *DAY).exit_code == 2
    folder = tmp_path / "reports"
    folder.mkdir()
    run("check", good, bad, *DAY, "--format", "html", "--output", folder)
    assert sorted(path.name for path in folder.iterdir()) == ["bad.html", "good.html"]


def test_no_file_of_one_command_is_written_over_another(good, bad, tmp_path):
    for words in (
        ("check", good, "--previous", bad, "-o", bad),
        ("check", good, "-o", tmp_path / "x", "--annotated", tmp_path / "x"),
        ("check", good, "--corrected", ""),
        ("check", good, "--corrected", tmp_path),
    ):
        sentence(run(*words, *DAY))
    twin = tmp_path / "twin"
    twin.mkdir()
    (twin / "good.csv").write_bytes(good.read_bytes())
    assert "written twice" in sentence(run("check", good, twin / "good.csv", *DAY, "-o", tmp_path))
    assert "to be read" in sentence(run("check", bad, twin / "good.csv", *DAY, "--format", "csv", "-o", twin))


def test_the_form_is_that_of_the_name_the_report_is_given(good, tmp_path):
    run("check", good, *DAY, "-o", tmp_path / "r.html")
    assert (tmp_path / "r.html").read_text().startswith("<!")


def test_several_files_are_not_printed_as_one_document(good, bad):
    assert "folder" in sentence(run("check", good, bad, *DAY, "--format", "json"))


def test_what_is_missing_since_the_last_submission_is_noted(good, tmp_path):
    other = write(tmp_path / "other.csv", line(CLIENTID="2", CLIENT="C2", EPISODID="2", REFERID="2"))
    told = json.loads(run("check", other, "--previous", good, *DAY, "--format", "json").stdout)
    assert any("1 client, 1 episode and 1 referral of your last submission" in note for note in told["notes"])


def test_a_report_is_not_left_half_written(bad, tmp_path):
    path = tmp_path / "report.csv"
    bad.write_text(bad.read_text() + line(CLIENT='"open'))
    assert run("check", bad, *DAY, "--format", "csv", "--output", path).exit_code == 2
    assert not path.exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.csv"]


def test_the_corrected_copy_and_the_list_of_its_changes(bad, tmp_path):
    copy = tmp_path / "mended.csv"
    run("check", bad, *DAY, "--corrected", copy)
    assert "14/02/1986" in copy.read_text()
    assert "NE8 1AB" not in copy.read_text()
    assert (tmp_path / "mended.changes.csv").exists()


def test_the_annotated_copy_has_two_columns_more(bad, tmp_path):
    copy = tmp_path / "marked.csv"
    run("check", bad, *DAY, "--annotated", copy)
    first = copy.read_text(encoding="utf-8-sig").splitlines()[0]
    assert first == f"{HEADER},FINDINGS,SEVERITY"


def test_what_changed_since_the_last_submission_is_in_the_json(good, tmp_path):
    now = write(tmp_path / "now.csv", line(FINITIAL="Z", OFFENCE="X02"))
    told = json.loads(run("check", now, "--previous", good, *DAY, "--format", "json").stdout)
    assert [(f["rule"], f["severity"], f["value"], f["previous"]) for f in told["findings"]] == [
        ("FINITIAL.is_unchanged", "mismatch", "Z", EXAMPLE["FINITIAL"]),
        ("OFFENCE.is_unchanged", "query", "X02", "X01"),
    ]


@pytest.mark.parametrize("form", FORMATS)
def test_every_form_can_tell_of_changes(good, tmp_path, form):
    now = write(tmp_path / "now.csv", line(FINITIAL="Z"))
    path = tmp_path / "out"
    assert run("check", now, "--previous", good, *DAY, "--format", form, "--output", path).exit_code == 0
    assert path.stat().st_size


def test_the_agency_that_submits_must_be_that_of_the_records(good):
    assert run("check", good, *DAY, "--agency", EXAMPLE["AGNCY"]).exit_code == 0
    assert run("check", good, *DAY, "--agency", "CJ999").exit_code == 1


# ---- the other commands ----------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["json-schema", "table-schema", "csvw", "markdown"])
def test_the_dictionary_is_exported(form):
    result = run("dictionary", "--format", form)
    assert result.exit_code == 0
    assert "DISD" in result.stdout


def test_the_dictionary_tells_of_one_field():
    assert "Case closure date" in run("dictionary", "disd").stdout
    assert "did you mean DISD" in sentence(run("dictionary", "DISDD"))


def test_the_rule_book_is_printed():
    assert f"{len(Q.rules)} rules" in run("rules").stdout
    assert "Broken by" in run("rules", "DISABLE2.leaves_no_gap").stdout
    assert "no field" in sentence(run("rules", "NOTHING.at_all")) or "No rule" in sentence(run("rules", "NOTHING"))


def test_an_official_list_is_installed_listed_used_and_removed(tmp_path, monkeypatch, good):
    monkeypatch.setenv("CJIT_REFERENCE", str(tmp_path / "lists"))
    codes = tmp_path / "drugs.csv"
    codes.write_text("code,label\n4321,Something new\n")
    assert run("reference", "install", "DRUG1", codes).exit_code == 0
    assert "official" in run("reference", "list").stdout
    told = json.loads(run("check", good, *DAY, "--format", "json").stdout)
    assert [f["rule"] for f in told["findings"]] == ["DRUG1.is_in_list"]
    assert run("reference", "remove", "DRUG").exit_code == 0
    assert run("check", good, *DAY, "--format", "json").exit_code == 0


def test_made_up_months_are_written_and_keep_every_rule(tmp_path):
    result = run("synth", "--clients", 20, "--months", 2, "--output", tmp_path)
    files = result.stdout.split()
    assert len(files) == 2
    assert run("check", *files, *DAY).exit_code == 0


@pytest.mark.parametrize(
    ("words", "pattern"),
    [((), r"[0-9]{8}"), (("--dates", "dd/mm/yyyy"), r"[0-9]{2}/[0-9]{2}/[0-9]{4}")],
)
def test_made_up_dates_are_written_one_way(tmp_path, words, pattern):
    made_up = ("synth", "--clients", 20, "--months", 1, *words, "--output", tmp_path)
    with open(run(*made_up).stdout.strip()) as file:
        assert all(re.fullmatch(pattern, row["DOB"]) for row in csv.DictReader(file))
    broken = run(*made_up, "--faults", 0.03).stdout.strip()
    told = json.loads(run("check", broken, *DAY, "--format", "json").stdout)
    assert told["findings"]
    assert not [f for f in told["findings"] if f["rule"].endswith("is_written_one_way")]


def test_every_command_and_option_has_its_help():
    for command in main.commands.values():
        told = run(command.name, "--help").stdout
        assert command.help
        for parameter in command.params:
            assert not parameter.opts[0].startswith("--") or parameter.opts[0] in told


# ---- as a process ----------------------------------------------------------------------------------


def cjit(*words):
    command = [str(Path(sys.executable).with_name("cjit")), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.process
def test_a_closed_pipe_gives_no_traceback(bad):
    command = f"{Path(sys.executable).with_name('cjit')} rules | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False, timeout=60)
    assert done.stderr == ""


@pytest.mark.parametrize("copy", ["--corrected", "--annotated"])
@pytest.mark.parametrize("place", ["-", "/dev/stdout"])
def test_a_copy_does_not_stand_amid_the_report(copy, place, good, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.iterdir())

    done = cjit("check", good, *DAY, copy, place)

    assert done.returncode == 2
    assert done.stderr == (
        f"cjit: The copy would stand amid the report on standard output: say which file to write with {copy} FILE\n"
    )
    assert done.stdout == ""
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize("place", ["-", "/dev/stdout"])
def test_a_report_that_is_sent_to_a_file_by_the_shell_is_not_written_over(place, good, tmp_path):
    with (tmp_path / "out.txt").open("w") as out:
        command = [str(Path(sys.executable).with_name("cjit")), "check", str(good), *DAY, "--output", place]
        subprocess.run(command, stdout=out, check=True, timeout=60)
        out.flush()

    assert (tmp_path / "out.txt").read_text() == cjit("check", good, *DAY).stdout


@pytest.mark.parametrize("copy", ["--corrected", "--annotated"])
def test_a_copy_is_printed_where_the_report_is_written_to_a_file(copy, bad, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    report, named = tmp_path / "report.txt", tmp_path / "named.csv"

    printed = cjit("check", bad, *DAY, copy, "-", "--output", report)

    cjit("check", bad, *DAY, copy, named)
    assert printed.stdout.encode() == named.read_bytes().replace(b"\r\n", b"\n")
    assert "would be accepted" in report.read_text()
    assert not (tmp_path / "-").exists()
    assert "is in standard output" in printed.stderr


def test_two_copies_are_not_printed_one_into_the_other(good, tmp_path):
    words = ("--corrected", "-", "--annotated", "-", "--output", tmp_path / "report.txt")
    assert cjit("check", good, *DAY, *words).stderr.startswith("cjit: Both copies would stand on standard output")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--agency", " "], "The code is blank"),
        (["--previous", "-"], "Standard input can be read only once"),
        (["--annotated", "nowhere/copy.csv"], "There is no folder nowhere for the copy of --annotated"),
    ],
)
def test_options_that_cannot_be_meant_are_refused_before_anything_is_checked(options, sentence):
    done = CliRunner().invoke(main, ["check", "-", *options], input=b"")
    assert (done.exit_code, done.stdout) == (2, "")
    assert sentence in done.stderr


def test_a_file_without_a_name_is_none():
    done = CliRunner().invoke(main, ["check", ""])
    assert (done.exit_code, done.stderr) == (2, "cjit: The name of the file is empty: give the name of a CSV file\n")


def test_a_rule_on_changes_can_be_looked_up():
    done = CliRunner().invoke(main, ["rules", "SEX.is_unchanged"])
    assert done.exit_code == 0
    assert done.stdout.startswith("SEX.is_unchanged\n  Severity: mismatch")
    assert "Broken by" not in done.stdout


def test_beside_a_device_no_list_of_changes_is_written_and_that_is_said(bad):
    done = cjit("check", bad, *DAY, "--corrected", "/dev/null")

    assert "rejected" in done.stdout.splitlines()[0]
    assert "no list of the changes is made, as one is written only beside a file" in done.stderr
    assert not Path("/dev/null.changes.csv").exists()


def test_a_copy_may_go_into_a_pipe(bad, tmp_path):
    command = (
        f"{Path(sys.executable).with_name('cjit')} check {bad} {' '.join(DAY)} --corrected >(cat > {tmp_path}/copy)"
    )
    done = subprocess.run(["bash", "-c", f"{command}; wait"], capture_output=True, text=True, check=False, timeout=60)

    assert "rejected" in done.stdout
    assert (tmp_path / "copy").read_text().startswith("CLIENTID,")


@pytest.mark.parametrize("words", [("synth",), ("extract", "CJ900", "--until", "2026-03-31")])
def test_what_cannot_be_printed_makes_no_file_called_like_standard_output(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "cannot be printed" in sentence(run(*words, "--output", "-"))
    assert not list(tmp_path.iterdir())


@pytest.mark.process
def test_colour_is_for_terminals_only(bad):
    assert "\x1b[" not in cjit("check", bad, *DAY).stdout
    ours, theirs = pty.openpty()
    command = [str(Path(sys.executable).with_name("cjit")), "check", str(bad), *DAY]
    with subprocess.Popen(
        command, stdout=theirs, stderr=subprocess.PIPE, env={**os.environ, "TERM": "xterm"}
    ) as process:
        process.wait(timeout=60)
    os.close(theirs)
    shown = b""
    while chunk := read_or_nothing(ours):
        shown += chunk
    assert b"\x1b[" in shown


def read_or_nothing(handle: int) -> bytes:
    try:
        return os.read(handle, 65536)
    except OSError:
        return b""


@pytest.mark.process
@pytest.mark.parametrize(
    ("encoding", "words", "told"),
    [
        ("cp1252", ["dictionary", "--format", "json-schema"], "“"),
        ("cp850", ["dictionary", "DISD"], "“"),
        ("latin-1", ["check", "{bad}", *DAY], "“1986-02-14”"),
        ("ascii", ["check", "“.csv"], "There is no file called “.csv"),
    ],
)
def test_what_is_redirected_is_utf_8_whatever_the_console_has(encoding, words, told, bad):
    command = [str(Path(sys.executable).with_name("cjit")), *(word.format(bad=bad) for word in words)]
    surroundings = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run(command, capture_output=True, check=False, timeout=60, env=surroundings)
    assert told in (done.stdout + done.stderr).decode("utf-8")
    assert b"Traceback" not in done.stderr


@pytest.mark.process
@pytest.mark.parametrize("encoding", ["cp850", "latin-1"])
def test_what_a_terminal_cannot_show_is_replaced_and_ends_nothing(encoding, bad):
    for words in (["dictionary", "DISD"], ["check", str(bad), *DAY]):
        ours, theirs = pty.openpty()
        command = [str(Path(sys.executable).with_name("cjit")), *words]
        with subprocess.Popen(
            command, stdout=theirs, stderr=subprocess.PIPE, env={**os.environ, "PYTHONIOENCODING": encoding}
        ) as process:
            os.close(theirs)
            shown = b""
            while chunk := read_or_nothing(ours):
                shown += chunk
            assert process.stderr
            assert process.stderr.read() == b""
        assert process.returncode == words.count(str(bad))
        assert b"DISD" in shown or b"rejected" in shown
        shown.decode(encoding)


@pytest.mark.process
@pytest.mark.parametrize(
    ("package", "words"),
    [
        ("django", ["-m", "cjit.cli", "serve"]),
        ("django", ["-m", "cjit.cli", "serve", "--demo"]),
        ("django", ["-m", "cjit.cli", "extract", "CJ123", "--until", "2026-03-31"]),
        ("django", ["-m", "cjit.web.manage", "migrate"]),
        ("waitress", ["-m", "cjit.cli", "serve"]),
    ],
)
def test_without_the_packages_of_the_service_one_sentence_says_how_they_are_installed(package, words, tmp_path):
    # Read by Python before anything else: the package is as if it were not there.
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules[{package!r}] = None\n")
    done = subprocess.run(
        [sys.executable, *words],
        capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "CJIT_HOME": str(tmp_path / "home")},
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == (
        "cjit: the service is not installed: run “pip install '.[web]'” in the folder with cjit's files, or give pip"
        " the wheel file with [web] after its name\n"
    )


def test_nobody_is_told_to_install_a_package_of_this_name_from_an_index():
    root = Path(__file__).parents[1]
    pages = [*root.glob("*.md"), *root.glob("docs/**/*.md"), *root.glob("src/**/*.py"), *root.glob("src/**/*.html")]
    told = re.compile(r"(?:pip|pipx|uv tool|uv pip|uvx) (?:install|run|add)\s+(?:-\S+\s+)*['\"]?cjit\b")
    assert len(pages) > 50
    assert [page.name for page in pages if told.search(page.read_text())] == []


@pytest.mark.process
@pytest.mark.parametrize("before", ["sys.modules['polars'] = None", ""], ids=["not installed", "installed"])
def test_a_small_file_is_checked_and_reported_in_every_format_without_polars(tmp_path, csv_of, before):
    (tmp_path / "may.csv").write_bytes(csv_of({}, {"SEX": "", "DOB": "1986-02-14", "PC": '"NR14"'}))
    reports = {form: f"report{FORMATS[form].suffix}" for form in FORMATS}
    arguments = ["check", "may.csv", "--previous", "may.csv", "--today", "2026-03-31", "--output"]
    code = f"""
from cjit.cli import main
for report in {list(reports.values())}:
    try:
        main([*{arguments}, report])
    except SystemExit as done:
        assert done.code == 1, report
    else:
        raise AssertionError(report)
"""
    done = without_polars(tmp_path, before, code)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(set(reports.values())) == len(FORMATS)
    for form, report in reports.items():
        assert form == "xlsx" or b"SEX.is_given" in (tmp_path / report).read_bytes()
        assert (tmp_path / report).stat().st_size


@pytest.mark.process
@pytest.mark.parametrize("before", ["sys.modules['polars'] = None", ""], ids=["not installed", "installed"])
def test_copies_of_a_small_file_are_made_without_polars(tmp_path, csv_of, before):
    (tmp_path / "may.csv").write_bytes(csv_of({}, {"SEX": "m", "UTLA": ""}, {"CONSENT": "N"}, {"PC": "NR14 7UJ"}))
    arguments = ["check", "may.csv", "--today", "2026-03-31", "--annotated", "a.csv", "--corrected", "c.csv"]
    done = without_polars(tmp_path, before, f"from cjit.cli import main\nmain({arguments})")
    assert done.returncode == 1
    assert "3 cells were mended; 1 row without consent was left out: the corrected copy is in c.csv" in done.stderr
    assert "[SEX.is_plainly_written]" in (tmp_path / "a.csv").read_text()
    assert "5,PC,NR14 7**,NR14 7,Last two characters" in (tmp_path / "c.changes.csv").read_text()
    assert len((tmp_path / "c.csv").read_text().splitlines()) == 4


@pytest.mark.process
@pytest.mark.parametrize("before", ["sys.modules['polars'] = None", ""], ids=["not installed", "installed"])
def test_records_are_extracted_without_polars(tmp_path, before):
    code = """
from datetime import date
from cjit.datasets.q import Q
from cjit.datasets.q.example import EXAMPLE
from cjit.extract import extract, write
rows = [EXAMPLE | {"SEX": "m", "PC": "ne81ab"}, EXAMPLE | {"CLIENTID": "2", "EPISODID": "3", "DOB": ""}]
done = extract(Q, rows, agency=EXAMPLE["AGNCY"], today=date(2026, 3, 31), leave_out=True)
assert list(done.left_out) == ["3"], done.left_out
with open("extract.csv", "wb") as file:
    write(Q, done.rows, file)
with open("labels.csv", "wb") as file:
    write(Q, done.rows, file, labels=True)
"""
    done = without_polars(tmp_path, before, code)
    assert (done.returncode, done.stderr) == (0, "")
    assert ",M," in (tmp_path / "extract.csv").read_text()
    assert ",NE8 1," in (tmp_path / "extract.csv").read_text()
    assert ",M Male," in (tmp_path / "labels.csv").read_text()


@pytest.mark.process
@pytest.mark.parametrize("before", ["sys.modules['polars'] = None", ""], ids=["not installed", "installed"])
def test_submissions_are_made_up_without_polars(tmp_path, before):
    arguments = ["synth", "--clients", "5", "--months", "2", "--faults", "0.02", "--dates", "dd/mm/yyyy", "-o", "made"]
    done = without_polars(tmp_path, before, f"from cjit.cli import main\nmain({arguments})")
    assert done.returncode == 0
    assert "cells were broken on purpose" in done.stderr
    assert len(done.stdout.splitlines()) == len(list((tmp_path / "made").iterdir())) == 2


def without_polars(folder, before, code):
    """Run some Python in a folder, in which Polars is not installed, or is and must not be loaded."""
    watched = f"import sys; {before}\nend = None\ntry:\n"
    watched += "".join(f"    {line}\n" for line in code.strip().splitlines())
    watched += "except SystemExit as left: end = left.code\n"
    watched += "assert not sys.modules.get('polars'), 'polars was loaded'\nsys.exit(end)"
    return subprocess.run([sys.executable, "-c", watched], capture_output=True, text=True, check=False, cwd=folder)


@pytest.mark.process
def test_the_version_is_told_without_loading_polars():
    loaded = "import sys; from cjit.cli import main\ntry: main(['--version'])\nexcept SystemExit: pass\n"
    done = subprocess.run(
        [sys.executable, "-c", loaded + "assert 'polars' not in sys.modules, 'polars'"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("cjit ")
