from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from cjit import reference
from cjit.cli import main
from cjit.dataset import Code, Status
from cjit.datasets import dataset
from cjit.datasets.q import Q
from cjit.datasets.q.example import EXAMPLE, EXAMPLE_TODAY
from cjit.engine.checking import check, check_rows
from cjit.reference import (
    ReferenceProblem,
    directory,
    install,
    installed,
    listing,
    remove,
    with_installed,
)
from cjit.report.version import rules_version

DRUGS = "code,label\n1011,Heroin\n3201,Crack\n7000,Alcohol\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "reference"


def day_of(folder: Path, name: str) -> str:
    """The day on which a list was put in place, by this computer's calendar."""
    return f"{datetime.fromtimestamp((folder / 'Q' / f'{name}.csv').stat().st_mtime):%d/%m/%Y}"  # noqa: DTZ006


def file(tmp_path: Path, content: str | bytes, name: str = "official.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_an_official_list_takes_the_place_of_the_packaged_one(tmp_path: Path, folder: Path):
    assert not Q.lists["DRUG"].complete
    install(Q, "DRUG", file(tmp_path, DRUGS), folder)
    drugs = with_installed(Q, folder).codes_of("DRUG2")
    assert drugs is not None
    assert drugs.codes == ("1011", "3201", "7000")
    assert drugs.status is Status.OFFICIAL
    assert drugs.complete
    assert drugs.rows[0].source == f"installed from official.csv on {day_of(folder, 'DRUG')}"


def test_with_nothing_installed_the_dataset_is_as_packaged(folder: Path):
    assert installed(Q, folder) == {}
    assert with_installed(Q, folder) is Q


@pytest.mark.parametrize("said", ["DRUG", "drug", "DRUG1", " drug3 "])
def test_a_list_may_be_named_by_any_field_that_uses_it(said: str, tmp_path: Path, folder: Path):
    assert install(Q, said, file(tmp_path, DRUGS), folder).name == "DRUG"
    assert set(installed(Q, folder)) == {"DRUG"}


def test_a_field_may_be_named_by_another_spelling(tmp_path: Path, folder: Path):
    assert install(Q, "EHCSC1", file(tmp_path, "code,label\n1,Help\n"), folder).name == "EHCS"


def test_installing_again_takes_the_place_of_what_was_installed(tmp_path: Path, folder: Path):
    install(Q, "DRUG", file(tmp_path, DRUGS), folder)
    install(Q, "DRUG", file(tmp_path, "code,label\n1011,Heroin\n"), folder)
    assert installed(Q, folder)["DRUG"].codes == ("1011",)


def test_each_dataset_has_its_own_official_lists(tmp_path: Path, folder: Path):
    from cjit.datasets.p import P

    install(P, "DRUG", file(tmp_path, DRUGS), folder)
    assert installed(Q, folder) == {}
    assert set(installed(P, folder)) == {"DRUG"}


@pytest.mark.parametrize(
    "content",
    [
        "code,label,from,to\n1,Café,01/04/2022,\n",
        "\ufeffcode,label,from,to\r\n1,Café,2022-04-01,\r\n",
        "Code , LABEL,F r o m,To\n 1 , Café ,01/04/2022,\n".encode("cp1252"),
        'to,"from","label","code"\n"","01/04/2022","Café","1"\n',
    ],
)
def test_a_list_may_come_as_any_spreadsheet_saves_it(content: str | bytes, tmp_path: Path, folder: Path):
    install(Q, "OFFENCE", file(tmp_path, content), folder)
    (row,) = installed(Q, folder)["OFFENCE"].rows
    assert (row.code, row.label, str(row.start), row.end) == ("1", "Café", "2022-04-01", None)


def test_codes_are_kept_in_capitals_as_a_files_codes_are_read(tmp_path: Path, folder: Path):
    assert install(Q, "DAT", file(tmp_path, "code,label\na09b,Gateshead\n"), folder).codes == ("A09B",)


def test_a_dat_that_only_the_official_list_has_is_not_doubted(tmp_path: Path, folder: Path):
    record = EXAMPLE | {"DAT": "A99B"}
    assert [seen.rule.id for seen in check_rows(Q, [record], today=EXAMPLE_TODAY)] == ["DAT.is_known_in_england"]
    install(Q, "DAT", file(tmp_path, "code,label\nA99B,Newtown\n"), folder)
    official = with_installed(Q, folder)
    assert check_rows(official, [record], today=EXAMPLE_TODAY) == []
    # And one that it has not is wrong, not merely doubtful.
    said = check_rows(official, [record | {"DAT": "A98B"}], today=EXAMPLE_TODAY)
    assert [(seen.rule.id, seen.rule.message) for seen in said] == [
        ("DAT.is_in_list", "The DAT of residence must be A99B (Newtown)")
    ]


@pytest.mark.parametrize(
    ("content", "say"),
    [
        ("", "official.csv is empty"),
        ("code,label\n", "official.csv has headings but no codes"),
        ("code,label\n1,Heroin\n1,Crack\n", "official.csv, row 3, column code: code 1 is in row 2 already"),
        ("code,label\n,Heroin\n", "official.csv, row 2, column code: enter the code"),
        ("code,label,from\n1,Heroin,soon\n", "official.csv, row 2, column from: enter a real date"),
        (
            "code,label,from,to\n1,Heroin,02/04/2022,01/04/2022\n",
            "official.csv, row 2, column to: enter a date that is not before the one in from",
        ),
        (
            "code,label,price\n1,Heroin,10\n",
            "official.csv has a column “price” that no code list has: "
            "use only the columns code, label, definition, group, from, to",
        ),
        ("code,label,status\n1,Heroin,stated\n", "official.csv has a column “status”"),
        ("PK\x03\x04rest of a workbook", "official.csv is not a CSV file"),
        (b"\xff\xfec\0o\0d\0e\0", "official.csv is not a CSV file"),
        (b"code,label\n1,\x81\n", "official.csv is not text in UTF-8"),
        ("code,label\n1.01E+03,Heroin\n", "official.csv, code 1.01E+03: a spreadsheet has shortened it"),
        ("code,label\n1,é\n2,é".encode()[:-1], "official.csv ends within a character, so it was cut off"),
    ],
)
def test_a_faulty_list_is_turned_away_and_the_one_before_stays(
    content: str | bytes, say: str, tmp_path: Path, folder: Path
):
    install(Q, "DRUG", file(tmp_path, DRUGS), folder)
    before = installed(Q, folder)
    with pytest.raises(ReferenceProblem) as problem:
        install(Q, "DRUG", file(tmp_path, content), folder)
    assert str(problem.value).startswith(say)
    assert "\n" not in str(problem.value)
    assert not str(problem.value).endswith(".")
    assert installed(Q, folder) == before


def test_a_file_far_too_large_to_be_a_list_is_not_read(tmp_path: Path, folder: Path):
    path = tmp_path / "huge.csv"
    with path.open("wb") as huge:
        huge.truncate(reference.LARGEST + 1)
    with pytest.raises(ReferenceProblem, match=r"huge\.csv is far too large"):
        install(Q, "DRUG", path, folder)


@pytest.mark.parametrize(("path", "say"), [("nowhere.csv", "There is no file .*nowhere.csv"), (".", "is a folder")])
def test_a_file_that_is_not_there_is_said_to_be_so(path: str, say: str, tmp_path: Path, folder: Path):
    with pytest.raises(ReferenceProblem, match=say):
        install(Q, "DRUG", tmp_path / path, folder)


@pytest.mark.parametrize(
    ("said", "say"),
    [
        ("DRUGS", "“DRUGS”: did you mean DRUG"),
        ("HOUSNG", "“HOUSNG”: did you mean HOUSING"),
        ("colour", "“colour”: choose one of SEX, ETHNIC, NATION"),
        ("DOB", "DOB has no code list, so none can be installed for it: choose one of SEX"),
        ("../../DRUG", "There is no field or code list"),
    ],
)
def test_an_unknown_field_is_answered_with_those_there_are(said: str, say: str, tmp_path: Path, folder: Path):
    with pytest.raises(ReferenceProblem) as problem:
        install(Q, said, file(tmp_path, DRUGS), folder)
    assert say in str(problem.value)
    assert not folder.exists()


def test_case_closure_reasons_must_keep_the_documents_two_headings(tmp_path: Path, folder: Path):
    with pytest.raises(ReferenceProblem, match="enter “prior to caseload” or “from caseload”"):
        install(Q, "CJDISRSN", file(tmp_path, "code,label\n99,Transferred\n"), folder)
    both = "code,label,group\n99,Transferred,prior to caseload\n99,Transferred,from caseload\n"
    assert len(install(Q, "CJDISRSN", file(tmp_path, both), folder).rows) == 2


def test_a_list_of_consent_without_yes_is_turned_away_as_nothing_would_pass(tmp_path: Path, folder: Path):
    install(Q, "CONSENT", file(tmp_path, "code,label\ny,Agrees\nN,Does not\n"), folder)
    before = installed(Q, folder)
    with pytest.raises(ReferenceProblem) as problem:
        install(Q, "CONSENT", file(tmp_path, "code,label\nN,No\n1,Yes\n"), folder)
    assert str(problem.value) == (
        "official.csv has no code Y (Yes – client consents to data being shared with NDTMS), without which every "
        "record would be rejected: add it, or choose another file"
    )
    assert installed(Q, folder) == before


def test_a_list_of_consent_without_no_is_turned_away_as_nobody_who_withdraws_would_be_heard(
    tmp_path: Path, folder: Path
):
    with pytest.raises(ReferenceProblem) as problem:
        install(Q, "CONSENT", file(tmp_path, "code,label\nY,Yes\n0,No\n"), folder)
    assert str(problem.value) == (
        "official.csv has no code N (No), by which a client says that the consent for NDTMS is withdrawn: add it, or "
        "choose another file"
    )
    assert not folder.exists()


@pytest.mark.parametrize("letter", ["P", "Q"])
def test_every_gate_keeps_the_code_that_passes_it_in_its_list(letter: str, tmp_path: Path, folder: Path):
    book = dataset(letter)
    gates = [rule for rule in book.written if rule.gate]
    assert gates
    for gate in gates:
        codes = book.codes_of(gate.header)
        assert codes is not None
        assert isinstance(gate.holds, dict)
        others = [code for code in codes.codes if code != gate.holds[gate.header]]
        rows = "".join(f"{code},Example\n" for code in others)
        with pytest.raises(ReferenceProblem, match=f"has no code {gate.holds[gate.header]} "):
            install(book, gate.header, file(tmp_path, "code,label\n" + rows), folder)
        assert not folder.exists()


@pytest.mark.parametrize("lost", ["Y,Yes", "N,No"])
def test_a_list_kept_from_before_without_the_code_of_a_gate_says_what_to_do(tmp_path: Path, folder: Path, lost: str):
    install(Q, "CONSENT", file(tmp_path, "code,label\nY,Yes\nN,No\n"), folder)
    kept = folder / "Q" / "CONSENT.csv"
    kept.write_text(kept.read_text().replace(lost, "X,Example"))
    with pytest.raises(ReferenceProblem, match="The official list installed for CONSENT is damaged"):
        installed(Q, folder)


# ---- told in every report ----------------------------------------------------------------------


@pytest.fixture
def told(tmp_path: Path, folder: Path, csv_of) -> Callable[[], tuple[str, ...]]:
    """The notes of a check of a faultless file with the lists that are installed."""

    def notes() -> tuple[str, ...]:
        return check(csv_of({}), with_installed(Q, folder), today=EXAMPLE_TODAY).notes

    return notes


def test_a_report_says_which_official_lists_were_used_and_since_when(tmp_path: Path, folder: Path, told):
    assert not any("official list for" in note for note in told())
    for name, rows in {"DRUG": DRUGS, "DAT": "code,label,group\nA09B,Gateshead,\n"}.items():
        install(Q, name, file(tmp_path, rows, f"{name.lower()}.csv"), folder)
        os.utime(folder / "Q" / f"{name}.csv", (1_775_000_000, 1_775_000_000))
    day = day_of(folder, "DAT")
    assert day in ("31/03/2026", "01/04/2026")
    assert [note for note in told() if "official list for" in note] == [
        f"The official list for DAT was used, installed from dat.csv on {day}",
        f"The official list for DRUG was used, installed from drug.csv on {day}",
    ]
    remove(Q, "DAT", folder)
    assert [note.split(" was")[0] for note in told() if "official list for" in note] == ["The official list for DRUG"]


def test_the_documents_two_headings_are_no_lists_of_their_own_in_a_note(tmp_path: Path, folder: Path, told):
    both = "code,label,group\n99,Transferred,prior to caseload\n99,Transferred,from caseload\n"
    install(Q, "CJDISRSN", file(tmp_path, both), folder)
    assert (
        told()[0]
        == f"The official list for CJDISRSN was used, installed from official.csv on {day_of(folder, 'CJDISRSN')}"
    )


def test_when_a_list_was_installed_does_not_change_the_version_of_the_rules(tmp_path: Path, folder: Path):
    install(Q, "DRUG", file(tmp_path, DRUGS), folder)
    today = rules_version(with_installed(Q, folder))
    os.utime(folder / "Q" / "DRUG.csv", (0, 0))
    assert rules_version(with_installed(Q, folder)) == today


# ---- never half-written ------------------------------------------------------------------------


def test_a_list_cut_off_while_it_is_written_leaves_the_one_before(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    install(Q, "DRUG", file(tmp_path, DRUGS), folder)

    def cut_off(*_: object) -> None:
        raise KeyboardInterrupt

    for step in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, step, cut_off)
            with pytest.raises(KeyboardInterrupt):
                install(Q, "DRUG", file(tmp_path, "code,label\n1,Other\n"), folder)
        assert installed(Q, folder)["DRUG"].codes == ("1011", "3201", "7000")
        assert [path.name for path in (folder / "Q").iterdir()] == ["DRUG.csv"]


def test_a_full_disk_is_one_sentence(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ReferenceProblem, match=r"cannot be kept in .* \(No space left on device\)"):
        install(Q, "DRUG", file(tmp_path, DRUGS), folder)
    assert list((folder / "Q").iterdir()) == []


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path):
    with pytest.raises(ReferenceProblem, match="check that you may write there, or name another folder"):
        install(Q, "DRUG", file(tmp_path, DRUGS), file(tmp_path, "a file", "taken"))


@pytest.mark.parametrize("damage", [b"", b"code,label\n", b"\0\0\0", b"code,label\n1011,\x81\n", b"nonsense"])
def test_a_list_damaged_later_says_what_to_do(damage: bytes, tmp_path: Path, folder: Path):
    install(Q, "DRUG", file(tmp_path, DRUGS), folder)
    (folder / "Q" / "DRUG.csv").write_bytes(damage)
    for read in (installed, with_installed, listing):
        with pytest.raises(ReferenceProblem) as problem:
            read(Q, folder)
        assert "the official list installed for drug is damaged" in str(problem.value).lower()
        assert "cjit reference install DRUG FILE" in str(problem.value)
        assert "cjit reference remove DRUG" in str(problem.value)
    remove(Q, "DRUG", folder)
    assert with_installed(Q, folder) is Q


def test_a_removed_list_gives_way_to_the_packaged_one(tmp_path: Path, folder: Path):
    install(Q, "DRUG", file(tmp_path, DRUGS), folder)
    assert remove(Q, "drug1", folder) == Q.lists["DRUG"]
    assert installed(Q, folder) == {}
    with pytest.raises(ReferenceProblem, match="No official list is installed for DRUG"):
        remove(Q, "DRUG", folder)


# ---- a field that takes several lists ----------------------------------------------------------


def test_an_official_dat_list_holds_for_the_setting_transferred_from_too(tmp_path: Path, folder: Path):
    install(Q, "DAT", file(tmp_path, "code,label\nB99B,Example\n"), folder)
    setting = with_installed(Q, folder).codes_of("PRISON")
    assert setting is not None
    assert setting.group("DAT") == ("B99B",)
    assert setting.group("PRISON") == Q.lists["PRISON"].group("PRISON")
    assert setting.group("UTLA") == Q.lists["UTLA"].codes


def test_an_official_prison_list_still_lets_a_dat_or_la_through(tmp_path: Path, folder: Path):
    install(Q, "PRISON", file(tmp_path, "code,label\nP1,Example prison\n"), folder)
    setting = with_installed(Q, folder).codes_of("PRISON")
    assert setting is not None
    assert setting.group("PRISON") == ("P1",)
    assert set(Q.lists["DAT"].codes) < set(setting.codes)
    assert not setting.complete


def test_the_setting_transferred_from_is_complete_once_its_three_lists_are_official(tmp_path: Path, folder: Path):
    for name in ("PRISON", "DAT", "UTLA"):
        install(Q, name, file(tmp_path, f"code,label\n{name}1,Example\n"), folder)
    setting = with_installed(Q, folder).codes_of("PRISON")
    assert setting is not None
    assert setting.codes == ("PRISON1", "DAT1", "UTLA1")
    assert setting.status is Status.OFFICIAL


# ---- the listing -------------------------------------------------------------------------------


def test_every_list_is_shown_with_its_fields_status_count_and_source(tmp_path: Path, folder: Path):
    rows = {row.name: row for row in listing(Q, folder)}
    assert list(rows)[:4] == ["SEX", "ETHNIC", "NATION", "CONSENT"]
    assert len(rows) == 25
    housing = rows["HOUSING"]
    assert (housing.headers, housing.status, housing.count) == (("HOUSING",), Status.STATED, 24)
    assert housing.source == "business definitions, Appendix B"
    assert rows["EHCS"].headers == ("EHCS", "EHCSC2", "EHCSC3")
    assert rows["CJDISRSN"].count == 15
    assert (rows["PRISON"].status, rows["PRISON"].count) == (Status.PARTIAL, 170)
    assert rows["PRISON"].also == ("DAT", "UTLA")
    assert not any(row.installed for row in rows.values())


def test_an_installed_list_is_shown_as_such(tmp_path: Path, folder: Path):
    install(Q, "DRUG", file(tmp_path, DRUGS, "drugs 2022.csv"), folder)
    rows = {row.name: row for row in listing(Q, folder)}
    assert [row.name for row in rows.values() if row.installed] == ["DRUG"]
    drugs = rows["DRUG"]
    assert (drugs.status, drugs.count, drugs.source) == (
        Status.OFFICIAL,
        3,
        f"installed from drugs 2022.csv on {day_of(folder, 'DRUG')}",
    )


# ---- the directory -----------------------------------------------------------------------------


def test_lists_are_kept_where_cjit_reference_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CJIT_REFERENCE", str(tmp_path / "ours"))
    install(Q, "SEX", file(tmp_path, "code,label\nM,Male\n"))
    assert directory() == tmp_path / "ours"
    assert (tmp_path / "ours" / "Q" / "SEX.csv").is_file()
    source = f"installed from official.csv on {day_of(tmp_path / 'ours', 'SEX')}"
    assert installed(Q)["SEX"].rows == (Code("M", "Male", status=Status.OFFICIAL, source=source, also=("1",)),)


@pytest.mark.parametrize(
    ("official", "also"),
    [
        ("M,Male\nF,Female\n", {"1": "M", "2": "F"}),
        ("1,Male\n2,Female\n", {"M": "1", "F": "2"}),  # the other way round, but read all the same
        ("M,Male\nF,Female\n1,Not known\n", {"2": "F"}),  # a code of the list is itself
        ("1,Female\n2,Male\n", {}),  # nothing is guessed
    ],
)
def test_no_official_list_of_sexes_turns_away_a_file_that_writes_them_the_other_way(
    official: str, also: dict[str, str], tmp_path: Path, folder: Path
):
    install(Q, "SEX", file(tmp_path, f"code,label\n{official}"), folder)
    assert with_installed(Q, folder).lists["SEX"].also == also


@pytest.mark.parametrize("given", ["nowhere", "~/nowhere", "a file"])
def test_a_folder_that_is_none_is_told_and_not_taken_for_one_without_lists(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file(tmp_path, "text", "a file")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CJIT_REFERENCE", given if given.startswith("~") else str(tmp_path / given))
    why = "which is a file: name the folder" if given == "a file" else "which does not exist: correct the name"
    for use in (installed, with_installed, listing, lambda book: remove(book, "DRUG"), lambda _: directory()):
        with pytest.raises(ReferenceProblem) as problem:
            use(Q)
        assert str(problem.value).startswith(f"CJIT_REFERENCE names {tmp_path / given.removeprefix('~/')}, {why}")
        assert "\n" not in str(problem.value)
        assert not str(problem.value).endswith(".")


@pytest.mark.parametrize("given", ["nowhere", "a file"])
def test_a_check_with_a_folder_that_is_none_ends_with_one_sentence_and_code_2(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("CJIT_REFERENCE", str(file(tmp_path, "text", "a file").with_name(given)))
    for words in (["check", str(tmp_path / "a file")], ["reference", "list"], ["dictionary"], ["rules"]):
        done = CliRunner().invoke(main, words)
        assert done.exit_code == 2
        assert done.stdout == ""
        assert done.stderr.startswith("cjit: CJIT_REFERENCE names ")
        assert done.stderr.count("\n") == 1


def test_the_users_data_directory_need_not_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("HOME", "XDG_DATA_HOME", "USERPROFILE", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "nobody"))
    monkeypatch.delenv("CJIT_REFERENCE", raising=False)
    assert with_installed(Q) is Q


def test_installing_makes_the_folder_that_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CJIT_REFERENCE", str(tmp_path / "new" / "folder"))
    install(Q, "DRUG", file(tmp_path, DRUGS))
    assert set(installed(Q)) == {"DRUG"}


def test_a_list_cannot_be_installed_into_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CJIT_REFERENCE", str(file(tmp_path, "text", "a file")))
    with pytest.raises(ReferenceProblem, match="or name another folder in CJIT_REFERENCE"):
        install(Q, "DRUG", file(tmp_path, DRUGS))


def test_lists_are_kept_in_the_users_data_directory_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("HOME", "XDG_DATA_HOME", "USERPROFILE", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("CJIT_REFERENCE", "")
    assert directory().name == "reference"
    assert directory().is_relative_to(tmp_path)
