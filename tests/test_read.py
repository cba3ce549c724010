"""What CSV readers let through without a word, each told here with the row it is in."""

import gc
import os
import stat
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cjit.dataset import Code, CodeList, Status
from cjit.datasets import dataset
from cjit.datasets.q import Q
from cjit.datasets.q.example import EXAMPLE
from cjit.files import temporary
from cjit.files.frames import Batch, pieces_of
from cjit.files.opening import open_file
from cjit.files.source import LONGEST_LINE, Source, Unusable

P = dataset("P")
HEADER = ",".join(Q.headers)
WIDTH = len(Q.headers)


def line(**values: str) -> str:
    return ",".join({**EXAMPLE, **values}[h] for h in Q.headers)


def text(*lines: str, end: str = "\n") -> bytes:
    return end.join([HEADER, *lines, ""]).encode()


def read(data: bytes, size: int = 16 << 20) -> Batch:
    source = open_file(data, Q, piece=size)
    batches = [piece() for piece in pieces_of(source)]
    return Batch(
        frame=pl.concat(batch.text() for batch in batches),
        rows=pl.concat(batch.rows for batch in batches),
        ragged=tuple(r for batch in batches for r in batch.ragged),
        blank=sum(batch.blank for batch in batches),
    )


def values(batch: Batch, header: str) -> list[str | None]:
    return batch.frame[header].to_list()


def refusal(data: bytes | str | Path, book=Q) -> str:
    with pytest.raises(Unusable) as refused:
        for piece in pieces_of(open_file(data, book)):
            piece()
    sentence = str(refused.value)
    assert "\n" not in sentence
    assert not sentence.endswith(".")
    return sentence


PLAIN = text(line(), line(CLIENT="C2"))


# ---- files that are read as they are ---------------------------------------------------------------


def test_a_plain_file_is_read_with_the_rows_a_spreadsheet_shows():
    batch = read(PLAIN)
    assert batch.rows.to_list() == [2, 3]
    assert values(batch, "CLIENT") == [EXAMPLE["CLIENT"], "C2"]
    assert batch.frame.columns == list(Q.headers)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\xef\xbb\xbf" + PLAIN, id="UTF-8 mark"),
        pytest.param(text(line(), line(CLIENT="C2"), end="\r\n"), id="CRLF"),
        pytest.param(text(line(), line(CLIENT="C2"), end="\r"), id="CR only"),
        pytest.param(PLAIN.rstrip(b"\n"), id="no end to the last line"),
        pytest.param(PLAIN.replace(b",", b'","').replace(b"\n", b'"\n"')[:-1].join([b'"', b""]), id="all quoted"),
        pytest.param(HEADER.lower().encode() + PLAIN[len(HEADER) :], id="headers in small letters"),
        pytest.param(HEADER.replace(",", " , ").encode() + PLAIN[len(HEADER) :], id="spaces round headers"),
        pytest.param(HEADER.replace("EHCS,", "EHCSC1,").encode() + PLAIN[len(HEADER) :], id="EHCSC1"),
        pytest.param(PLAIN.replace(b",", b";"), id="semicolons"),
        pytest.param(PLAIN.replace(b",", b"\t"), id="tabs"),
        pytest.param(PLAIN.replace(b"\n", b"\n\n", 2).replace(b"\n\n", b"\n", 1), id="a blank line"),
    ],
)
def test_the_same_values_come_out(data):
    assert read(data).frame.equals(read(PLAIN).frame)


def test_columns_may_stand_in_any_order():
    headers = sorted(Q.headers)
    data = "\n".join([",".join(headers), ",".join(EXAMPLE[h] for h in headers), ""]).encode()
    assert read(data).frame.row(0, named=True) == {h: v or None for h, v in EXAMPLE.items()}


def test_a_quoted_empty_cell_is_blank_like_a_bare_one():
    assert values(read(text(line(PRISON='""'), line(PRISON=""))), "PRISON") == [None, None]


def test_the_words_na_null_and_none_are_text():
    data = text(line(CLIENT="NA"), line(CLIENT="null"), line(CLIENT="None"))
    assert values(read(data), "CLIENT") == ["NA", "null", "None"]


def test_leading_noughts_and_long_numbers_stay_text():
    data = text(line(CLIENT="0012"), line(CLIENT="12345678901234567"))
    assert values(read(data), "CLIENT") == ["0012", "12345678901234567"]


def test_spaces_are_kept_until_a_rule_has_seen_them():
    assert values(read(text(line(SEX=" M "))), "SEX") == [" M "]


def test_a_quoted_comma_does_not_start_a_cell():
    assert values(read(text(line(CLIENT='"C,2"'), line())), "CLIENT") == ["C,2", EXAMPLE["CLIENT"]]


def test_a_doubled_quote_is_a_quote():
    assert values(read(text(line(CLIENT='"C""2"'))), "CLIENT") == ['C"2']


def test_rows_are_counted_as_the_spreadsheet_does_after_a_line_end_inside_quotes():
    batch = read(text(line(CLIENT='"C\n1"'), line(CLIENT="C2"), line(CLIENT='"C\r\n3"')))
    assert values(batch, "CLIENT") == ["C\n1", "C2", "C\r\n3"]
    assert batch.rows.to_list() == [2, 3, 4]


def test_windows_1252_is_read_with_a_note():
    data = text(line(CMSID="Système")).decode().encode("cp1252")
    assert values(read(data), "CMSID") == ["Système"]
    assert "Windows-1252" in " ".join(open_file(data, Q).notes)


def test_windows_1252_after_a_megabyte_of_ascii_is_still_found():
    data = text(*[line()] * 6_000).replace(b"C1", b"C1") + line(CMSID="é").encode("cp1252") + b"\n"
    assert len(data) > LONGEST_LINE
    assert read(data).frame["CMSID"][-1] == "é"


@pytest.mark.parametrize("separator", [";", "\t"])
def test_another_separator_is_read_with_a_note(separator):
    notes = open_file(PLAIN.replace(b",", separator.encode()), Q).notes
    assert any("not commas" in note for note in notes)


def test_carriage_returns_alone_are_told():
    assert any("carriage returns" in note for note in open_file(PLAIN.replace(b"\n", b"\r"), Q).notes)


# ---- rows that are not whole -----------------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, 12_000], ids=["near the start", "after the first megabytes"])
@pytest.mark.parametrize("cell", ["a\nb", "a\n\nb", "a\rb", "a\r\nb", 'a\n""b', "\n"])
def test_a_line_end_inside_quotes_belongs_to_its_cell_where_carriage_returns_end_the_lines(rows, cell):
    before = [line(CLIENT=f"C{n}") for n in range(rows)]
    data = text(*before, line(CLIENT=f'"{cell}"'), line(CLIENT="last"), end="\r")
    assert (len(data) > 2 << 20) == (rows > 1)
    batch = read(data)
    assert values(batch, "CLIENT")[rows - 1 :] == [f"C{rows - 1}", cell.replace('""', '"'), "last"]
    assert batch.rows.to_list() == list(range(2, rows + 4))
    assert (batch.ragged, batch.blank) == ((), 0)
    assert "carriage returns alone" in open_file(data, Q).notes[0]


def test_a_line_feed_in_quotes_does_not_make_a_long_file_of_carriage_returns_one_long_row():
    data = text(line(CLIENT='"a\nb"'), *[line()] * 12_000, end="\r")
    assert read(data).frame.height == 12_001


def test_a_quoted_header_with_a_line_feed_is_read_where_carriage_returns_end_the_lines():
    data = text(line(), end="\r").replace(b"CLIENTID", b'"CLIENT\nID"', 1)
    assert values(read(data), "CLIENTID") == [EXAMPLE["CLIENTID"]]


def test_a_mixture_of_line_ends_is_read_row_by_row():
    data = "\r".join([HEADER, *[line()] * 6_000]).encode() + b"\r" + "\n".join([line(CLIENT="x")] * 3).encode()
    assert read(data).rows.to_list() == list(range(2, 6_005))


def test_an_official_list_in_use_is_told(tmp_path):
    codes = CodeList("DAT", (Code("A09B", "Example", status=Status.OFFICIAL, source="installed from x.csv"),))
    assert open_file(PLAIN, Q.with_lists({"DAT": codes})).notes == (
        "The official list for DAT was used, installed from x.csv",
    )
    assert open_file(PLAIN, Q).notes == ()


def without(*headers: str) -> str:
    """A row less the separators before some of its cells, which then stand joined to the ones before them."""
    cells = [EXAMPLE[h] if h in headers else f",{EXAMPLE[h]}" for h in Q.headers]
    return "".join(cells)[1:]


def test_a_row_short_by_a_cell_in_its_middle_is_told_and_nothing_in_it_is_read():
    batch = read(text(line(), without("ALCDDAYS"), line(CLIENT="C3")))
    assert batch.ragged == ((3, WIDTH - 1),)
    assert batch.rows.to_list() == [2, 4]


def test_a_long_row_does_not_stop_the_file():
    batch = read(text(line(), line() + ",x", line(CLIENT="C3")))
    assert batch.ragged == ((3, WIDTH + 1),)
    assert values(batch, "CLIENT") == [EXAMPLE["CLIENT"], "C3"]


def test_a_short_and_a_long_row_do_not_cancel_out():
    assert read(text(without("ALCDDAYS"), line() + ",x")).ragged == ((2, WIDTH - 1), (3, WIDTH + 1))


def test_blank_lines_keep_their_place_in_the_row_numbers():
    batch = read(text("", line(), "", "  ", line(CLIENT="C2"), "," * (WIDTH - 1), '""', ""))
    assert batch.rows.to_list() == [3, 6]
    assert batch.blank >= 4


def test_a_row_of_nothing_but_commas_is_a_blank_row():
    batch = read(text(line(), "," * (WIDTH - 1), line()))
    assert (batch.rows.to_list(), batch.blank) == ([2, 4], 1)


# ---- files that cannot be used ---------------------------------------------------------------------


def test_no_such_file():
    assert "There is no file called" in refusal("nowhere/at-all.csv")


def test_a_folder(tmp_path):
    assert "is a folder" in refusal(tmp_path)


def test_a_device():
    assert "is a device" in refusal("/dev/zero")


def test_a_file_name_with_a_nul():
    assert "not a file name" in refusal("a\0b")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open every file")
def test_a_file_that_may_not_be_opened(tmp_path):
    path = tmp_path / "closed.csv"
    path.write_bytes(PLAIN)
    path.chmod(0)
    assert "check that you may open it" in refusal(path)


@pytest.mark.parametrize("data", [b"", b"\n\n", b"  \r\n", b"\xef\xbb\xbf"])
def test_an_empty_file(data):
    assert "is empty" in refusal(data)


@pytest.mark.parametrize("rest", ["", "\n", "\r\n\r\n", "\n   \n"])
def test_headers_without_records(rest):
    assert "headers but no records" in refusal((HEADER + rest).encode())


def test_a_blank_line_before_the_headers():
    assert "begins with a blank line" in refusal(b"\n" + PLAIN)


def test_no_header_row():
    assert "none of the headers" in refusal((line() + "\n" + line() + "\n").encode())


def test_a_header_that_stands_twice():
    sentence = refusal(HEADER.replace("ETHNIC", "SEX").encode() + PLAIN[len(HEADER) :])
    assert "the header SEX more than once" in sentence


def test_a_header_and_its_other_spelling():
    headers = HEADER.replace("EHCSC2", "EHCSC1")
    assert "EHCS and EHCSC1 which are one and the same" in refusal(headers.encode() + PLAIN[len(HEADER) :])


def test_a_header_without_which_every_record_would_be_rejected():
    sentence = refusal(HEADER.replace("DOB", "DATEOFBIRTH").encode() + PLAIN[len(HEADER) :])
    assert "has no column DOB" in sentence


def test_a_near_miss_is_asked_about():
    sentence = refusal(HEADER.replace("FINITIAL", "FINTIAL").encode() + PLAIN[len(HEADER) :])
    assert "did you mean FINITIAL by “FINTIAL”" in sentence


def test_a_missing_column_that_rejects_nobody_is_a_note():
    source = open_file(HEADER.replace("RELIGION", "RELIGON").encode() + PLAIN[len(HEADER) :], Q)
    assert source.missing == ("RELIGION",)
    assert source.unknown == ("RELIGON",)
    assert any("did you mean RELIGION by “RELIGON”" in note for note in source.notes)


def test_an_unknown_column_is_not_read_and_told():
    data = "\n".join([HEADER + ",SHOESIZE", line() + ",43", ""]).encode()
    source = open_file(data, Q)
    assert source.unknown == ("SHOESIZE",)
    assert read(data).frame.columns == list(Q.headers)


def test_a_dataset_p_file_is_told_from_q():
    sentence = refusal((",".join(P.headers) + "\n" + "," * len(P.headers) + "x\n").encode())
    assert "looks like dataset P" in sentence
    assert "--dataset P" in sentence


def test_a_dataset_q_file_is_told_from_p():
    assert "looks like dataset Q" in refusal(PLAIN, P)


@pytest.mark.parametrize(
    ("start", "what"),
    [
        (b"PK\x03\x04rest", "Excel workbook"),
        (b"\xd0\xcf\x11\xe0rest", "Excel workbook"),
        (b"%PDF-1.7 rest", "PDF"),
        (b"\x1f\x8brest", "gzip"),
        ("\ufeffCLIENTID,DOB\n".encode("utf-16-le"), "UTF-16"),
        ("\ufeffCLIENTID,DOB\n".encode("utf-16-be"), "UTF-16"),
    ],
)
def test_a_file_of_another_kind(start, what):
    assert what in refusal(start)


def test_nul_bytes_are_told_with_their_row():
    assert "Row 3" in refusal(text(line(), line(CLIENT="C\0")))


def test_utf_16_without_its_mark():
    assert "NUL" in refusal(PLAIN.decode().encode("utf-16-le"))


def test_bytes_that_are_no_text_are_told_with_their_row():
    assert "Row 3" in refusal(PLAIN.replace(b",C2,", b",C\x81\xff,"))


def test_a_quote_that_is_never_closed():
    sentence = refusal(text(line(), line(CLIENT='"C2'), line()))
    assert "never closed" in sentence


def test_text_after_a_closing_quote():
    assert "Row 3" in refusal(text(line(), line(CLIENT='"C"2'), line()))


def test_one_line_without_end(tmp_path):
    path = tmp_path / "long.csv"
    with path.open("wb") as file:
        file.write(HEADER.encode() + b"\n")
        file.truncate(2 << 30)
    assert "NUL" in refusal(path)
    path.write_bytes(HEADER.encode() + b"\n" + b"1" * (4 * LONGEST_LINE))
    assert "characters long" in refusal(path)


def test_a_long_line_after_good_ones():
    assert "Row 3" in refusal(text(line()) + b"9" * (4 * LONGEST_LINE) + b"\n" + line().encode())


def test_headers_below_a_title_are_found_and_told():
    assert "headers of the file are in row 2" in refusal(b"March 2026\n" + PLAIN)


def test_a_first_line_that_names_the_separator_is_passed_over():
    source = open_file(b"sep=;\n" + PLAIN.replace(b",", b";"), Q)
    assert next(pieces_of(source))().rows.to_list() == [2, 3]


def test_a_header_may_span_lines():
    data = HEADER.replace("DOB", '"DOB\n"').encode() + PLAIN[len(HEADER) :]
    assert read(data).frame.equals(read(PLAIN).frame)


@pytest.mark.parametrize("cell", [' "a,b"', 'a"b,c"d', '"a"b'])
def test_a_quote_inside_a_cell_never_hides_a_separator(cell):
    wide = text(line(), line(CLIENT=cell))
    if cell.startswith('"'):
        assert "Row 3" in refusal(wide)
    else:
        assert read(wide).ragged == ((3, WIDTH + 1),)


def test_a_quote_in_the_middle_of_a_cell_is_a_character():
    told = text(line(CLIENT='a"b', SEX='c"d'), line(CLIENT='"x,y"'))
    assert values(read(told), "CLIENT") == ['a"b', "x,y"]


def test_two_encodings_in_one_file_are_not_guessed():
    data = text(line(CMSID="Á"), *[line()] * 6_000) + line(CMSID="é").encode("latin-1") + b"\n"
    assert "Row 6003" in refusal(data)
    assert "another encoding" in refusal(text(line(CMSID="Zoë")) + line(CMSID="é").encode("latin-1") + b"\n")


def test_a_row_of_spaces_is_a_blank_row():
    batch = read(text(line(), ",".join(["  "] * WIDTH), line(CLIENT="C3")))
    assert (batch.rows.to_list(), batch.blank) == ([2, 4], 1)


def test_a_row_with_something_in_an_unknown_column_is_no_blank_row():
    data = "\n".join([HEADER + ",NOTES", line() + ",", "," * WIDTH + "x", ""]).encode()
    assert read(data).rows.to_list() == [2, 3]


def test_a_file_that_changes_while_it_is_read_is_told(tmp_path):
    path = tmp_path / "growing.csv"
    path.write_bytes(PLAIN)
    source = open_file(path, Q)
    with path.open("ab") as file:
        file.write(line().encode())
    with pytest.raises(Unusable, match="changed while it was being read"):
        source.assure()


def test_a_long_quoted_cell_is_a_cell():
    assert values(read(text(line(CLIENT='"' + "x\n" * 70_000 + '"'))), "CLIENT") == ["x\n" * 70_000]


@pytest.mark.parametrize("cell", ["Á", "Í", "a”", "é"])
def test_a_file_cut_off_within_a_character_is_refused_in_a_sentence(cell):
    data = text(line(CMSID="É”"), line(CMSID=cell)).rstrip()
    cut = data[: data.rindex(cell.encode()) + len(cell.encode()) - 1]
    assert "ends within a character" in refusal(cut)


def test_windows_1252_that_ends_with_an_accent_is_read():
    headers = [h for h in Q.headers if h != "CMSID"] + ["CMSID"]
    data = "\n".join([",".join(headers), ",".join([*(EXAMPLE[h] for h in headers[:-1]), "MADE UP É"])]).encode("cp1252")
    assert values(read(data), "CMSID") == ["MADE UP É"]


def test_a_character_that_lies_across_two_chunks_and_is_no_character_is_told_with_its_row():
    head = text(line(), line())
    data = head + b"x" * (LONGEST_LINE - len(head) - 2) + b"\xe2\x81" + b",\n"
    assert "Row 4" in refusal(data)


# ---- what is given in other ways -------------------------------------------------------------------


def test_a_pipe_is_read_like_a_file(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    if os.fork() == 0:
        with pipe.open("wb") as out:
            out.write(PLAIN)
        os._exit(0)
    source = open_file(pipe, Q)
    os.wait()
    assert next(pieces_of(source))().frame.height == 2


def test_what_is_piped_in_is_kept_where_only_this_user_can_read_it_and_goes_with_the_source():
    source = open_file(PLAIN, Q)
    path = source.path
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    del source
    assert not path.exists()


# ---- laws ------------------------------------------------------------------------------------------

cells = st.text(st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=["Cs"]), max_size=6)


@given(st.lists(cells, min_size=1, max_size=12), st.integers(1, 400), st.sampled_from(["\n", "\r\n"]))
def test_any_piece_size_and_any_text_gives_the_same_rows(texts, size, end):
    def quoted(cell: str) -> str:
        return '"' + cell.replace('"', '""') + '"'

    data = text(*[line(CLIENT=quoted(cell)) for cell in texts], end=end)
    batch = read(data, size)
    assert values(batch, "CLIENT") == [cell or None for cell in texts]
    assert batch.rows.to_list() == list(range(2, len(texts) + 2))


#: The beginnings of characters, whole ones, and bytes that are none in one encoding or the other.
ODD = [b"\xc2\x8d", b"\xc3\x81", b"\xe2\x80\x9d", b"\xe2\x81", b"\xc3", b"\xc9", b"\xf0\x9f", b"\x81", b"\xe9", b","]


@example(b"\xc2\x8d\xc2", True)
@example(b"\xc3\x81,\xc9", True)
@example(b"\xe2\x81", True)
@example(b"a" * (63 - len(HEADER) % 64) + b"\xe2\x81,", True)
@example(b'"\xc2', True)
@given(st.binary(max_size=300) | st.lists(st.sampled_from(ODD), max_size=8).map(b"".join), st.booleans())
def test_no_bytes_however_odd_give_a_traceback(data, with_headers):
    if with_headers:
        data = HEADER.encode() + b"\n" + data
    try:
        source: Source = open_file(data, Q, piece=64)
        for piece in pieces_of(source):
            batch = piece()
            assert batch.frame.height == batch.rows.len()
    except Unusable as refused:
        assert "\n" not in str(refused)


# ---- what does not come as a file ------------------------------------------------------------------


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere a copy has a name")
def test_the_copy_of_what_comes_through_standard_input_is_under_no_name(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    source = open_file(text(line()), Q)

    assert source.path.read_bytes() == text(line())
    assert source.path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("can", [True, False])
def test_a_copy_is_read_in_many_threads_at_once_and_goes_with_what_it_is_of(tmp_path, monkeypatch, can):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    if not can:
        monkeypatch.setattr(temporary, "_leads_to", lambda *_: False)
    data = text(*[line(CLIENT=f"C{number}") for number in range(2_000)])
    source = open_file(data, Q, piece=20_000)
    pieces = list(pieces_of(source))

    with ThreadPoolExecutor(8) as threads:
        batches = list(threads.map(lambda piece: piece(), pieces))

    assert len(pieces) > 10
    clients = [client for batch in batches for client in batch.text()["CLIENT"]]
    assert clients == [f"C{number}" for number in range(2_000)]
    copy = source.path
    held = copy.stat().st_ino
    del source, pieces, batches
    gc.collect()
    assert list(tmp_path.iterdir()) == []
    assert not copy.exists() or copy.stat().st_ino != held
