import re
from html import unescape
from html.parser import HTMLParser

import pytest
from tests.browsing import OF_THE_LAYOUT, barriers

from cjit.datasets import dataset
from cjit.files.opening import open_file
from cjit.report import page
from cjit.report.words import verdict

ISO_DATE, NO_SEX, NO_CONSENT = {"DOB": "1986-02-14"}, {"SEX": ""}, {"CONSENT": "N"}
MIXED = [NO_SEX, ISO_DATE, NO_CONSENT, {"DAT": "", "CLIENTID": "98765"}, {"HOUSING": " 3"}, {}]


class Reader(HTMLParser):
    """The text of a page as a person without its script reads it, and the addresses it would load."""

    def __init__(self, text):
        super().__init__()
        self.words, self.inside, self.loads, self.ids, self.links = [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.inside.append(tag)
        attributes = dict(attrs)
        self.loads += [attributes[name] for name in ("src", "href") if name in attributes and tag != "a"]
        self.links += [attributes["href"][1:] for name in ["href"] if name in attributes and tag == "a"]
        self.ids += [attributes["id"]] if "id" in attributes else []
        if tag in ("meta", "link", "input", "rect", "br"):
            self.inside.pop()

    def handle_endtag(self, tag):
        if self.inside and self.inside[-1] == tag:
            self.inside.pop()

    def handle_data(self, data):
        if not {"style", "script"} & set(self.inside):
            self.words.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))


def test_the_verdict_is_the_title_and_the_first_heading(checked):
    findings = checked(*MIXED, name="march.csv")
    written = page.render(findings)

    assert f"<title>{verdict(findings)} – march.csv</title>" in written
    assert re.findall(r"<h1>(.*?)</h1>", written) == [verdict(findings)]


def test_nothing_is_loaded_from_anywhere(checked):
    written = page.render(checked(*MIXED))

    assert Reader(written).loads == []
    assert "http" not in re.sub(r"http-equiv", "", written)
    assert "default-src 'none'" in unescape(written)
    assert "url(" not in written
    assert "@import" not in written


def test_every_link_leads_somewhere_and_every_id_is_one(checked):
    read = Reader(page.render(checked(*MIXED)))

    assert set(read.links) <= set(read.ids)
    assert len(read.ids) == len(set(read.ids))


def test_what_a_file_holds_is_text_and_never_markup(checked):
    evil = "<script>alert(1)</script>"
    written = page.render(checked({"SEX": evil, "CLIENTID": evil}, name=f"{evil}.csv"))

    assert evil not in written
    assert "&lt;script&gt;" in written


def test_the_picture_has_its_numbers_in_words(checked):
    written = page.render(checked(*MIXED))

    assert (
        "Accepted, nothing found: 1 of 6, 16.7%; Accepted, with a query: 2 of 6, 33.3%; "
        "Accepted, may be left out of reports: 1 of 6, 16.7%; Rejected: 2 of 6"
    ) in written


def test_a_record_without_consent_is_its_row_and_nothing_else(checked):
    text = Reader(page.render(checked({**NO_CONSENT, "CLIENTID": "777777"}))).text

    assert "777777" not in text
    assert "Row 2 : values withheld" in text.replace(": values", " : values").replace("  ", " ")
    assert "(withheld)" in text


def test_a_comparison_shows_what_was_sent_last_time(checked, csv_of):
    before = open_file(csv_of({"SEX": "F"}), dataset("Q"))

    assert "<td>M (Male), last time F (Female)</td>" in page.render(checked({"SEX": "M"}, previous=before))


def test_the_page_says_how_many_findings_it_leaves_out(checked, monkeypatch):
    monkeypatch.setattr(page, "SHOWN", 2)
    text = Reader(page.render(checked(NO_SEX, NO_SEX, NO_SEX))).text

    assert "The table holds the first 2 of 3 findings; 1 more are not on this page" in text
    assert "cjit check --format csv --output findings.csv FILE" in text


def test_a_check_that_kept_fewer_findings_than_it_made_says_so_too(checked):
    text = Reader(page.render(checked(NO_SEX, NO_SEX, NO_SEX, limit=1))).text

    assert "The table holds the first 1 of 3 findings" in text


def test_the_page_of_a_perfect_file_is_whole(checked):
    text = Reader(page.render(checked({}, {}))).text

    assert "All 2 records would be accepted; nothing was found wrong" in text
    assert "rules ran, and none found anything" in text
    assert "Every finding" not in text


def test_the_page_tells_file_day_engine_and_rules(checked):
    text = Reader(page.render(checked({}, name="march.csv"))).text

    assert re.search(r"SHA-256 of the file [0-9a-f]{64}", text)
    assert re.search(r"Checked by cjit [0-9.]+, rules [0-9a-f]{12}", text)
    assert "Checked as on 31/03/2026" in text
    assert "march.csv" in text


# ---- in a browser ----------------------------------------------------------------------------------


@pytest.fixture
def opened(chromium, checked, tmp_path):
    """Open the page of some records; every request but the page itself, and every error, fails the test."""
    contexts, faults = [], []

    def open_page(*changes, **options):
        path = tmp_path / "page.html"
        path.write_text(page.render(checked(*changes)), "utf-8")
        context = chromium.new_context(**{"viewport": {"width": 1200, "height": 900}, **options})
        contexts.append(context)
        tab = context.new_page()
        tab.on("request", lambda request: None if request.url == path.as_uri() else faults.append(request.url))
        tab.on("pageerror", lambda error: faults.append(str(error)))
        tab.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        tab.goto(path.as_uri())
        return tab

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []


def rows_shown(tab):
    return [
        [cell.split("\n")[0].split(" ")[0] for cell in row.locator("th, td").all_inner_texts()]
        for row in tab.locator("#table tbody tr:visible").all()
    ]


def column(tab, place):
    return [row[place] for row in rows_shown(tab)]


@pytest.mark.browser
def test_a_column_is_sorted_up_and_down(opened):
    tab = opened(*MIXED)
    client = tab.get_by_role("columnheader", name="Client")
    client.get_by_role("button").click()

    assert client.get_attribute("aria-sort") == "ascending"
    assert column(tab, 1) == ["–", "10001", "10002", "10005", "98765"]
    client.get_by_role("button").click()
    assert client.get_attribute("aria-sort") == "descending"
    assert column(tab, 1) == ["98765", "10005", "10002", "10001", "–"]
    assert tab.locator("th[aria-sort]").count() == 1


@pytest.mark.browser
def test_severity_is_sorted_by_gravity_and_rows_by_number(opened):
    tab = opened(*MIXED, *[{}] * 6, NO_SEX)
    tab.get_by_label("Sort by").select_option("Severity")

    assert column(tab, 6) == ["Reject", "Reject", "Reject", "Exclude", "Query", "Query"]
    tab.get_by_label("Sort by").select_option("Row")
    assert column(tab, 0) == ["2", "3", "4", "5", "6", "14"]


@pytest.mark.browser
def test_findings_are_filtered_and_all_shown_again(opened):
    tab = opened(*MIXED)
    for label, choice, rows in (
        ("Severity", "Reject", ["2", "4"]),
        ("Rule", "DOB.is_plainly_written", ["3"]),
        ("Client", "98765", ["5"]),
        ("Words", "housing leading", ["6"]),
    ):
        control = tab.locator("#filters").get_by_label(label, exact=True)
        control.select_option(choice) if label in ("Severity", "Rule") else control.fill(choice)

        assert column(tab, 0) == rows, label
        assert tab.get_by_role("status").inner_text() == f"Showing {len(rows)} of 5 findings"
        tab.get_by_role("button", name="Show all").click()
        assert column(tab, 0) == ["2", "3", "4", "5", "6"], label


@pytest.mark.browser
def test_a_filter_that_matches_nothing_says_so(opened):
    tab = opened(*MIXED)
    tab.get_by_label("Words").fill("no such thing")

    assert "No finding matches" in tab.get_by_role("status").inner_text()


@pytest.mark.browser
def test_a_cause_leads_to_its_findings(opened):
    tab = opened(*MIXED)
    tab.locator("a.pick[data-rule='SEX.is_given']").click()

    tab.wait_for_function("document.getElementById('rule').value === 'SEX.is_given'")
    assert column(tab, 0) == ["2"]


@pytest.mark.browser
def test_everything_is_reached_by_keyboard_and_seen_to_be(opened):
    tab = opened(*MIXED)
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.textContent") == "Skip to the verdict"
    reached = set()
    for _ in range(60):
        tab.keyboard.press("Tab")
        reached.add(tab.evaluate("document.activeElement.id || document.activeElement.textContent"))
        outline = tab.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none" or tab.evaluate("document.activeElement === document.body")

    assert {"text", "client", "severity", "rule", "sort", "show-all", "Row", "Severity"} <= reached


@pytest.mark.browser
def test_a_phone_shows_cards_and_nothing_sticks_out(opened):
    tab = opened(*MIXED, {"SEX": "x" * 80, "CLIENTID": "c" * 80}, viewport={"width": 360, "height": 800})

    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    card = tab.locator("#table tbody tr").first
    assert tab.evaluate("getComputedStyle(document.querySelector('#table tbody tr')).display") == "flex"
    marks = card.locator(".mark").bounding_box(), card.locator("th").bounding_box()
    assert marks[0]["y"] < marks[1]["y"], "the severity comes first"
    assert marks[0]["width"] > 0
    assert card.get_by_role("rowheader").count() == 1
    assert card.get_by_role("cell").count() == 6
    label = "getComputedStyle(document.querySelector('#table tbody td'), '::before').content"
    assert tab.evaluate(label) == '"Client"'


@pytest.mark.browser
def test_everything_is_read_without_javascript(opened):
    tab = opened(*MIXED, java_script_enabled=False)

    assert len(rows_shown(tab)) == 5
    assert not tab.locator("#filters").is_visible()
    assert tab.locator("th button").count() == 0
    assert tab.get_by_role("heading", level=1).is_visible()


@pytest.mark.browser
def test_paper_shows_the_findings_and_not_the_controls(opened):
    tab = opened(*MIXED)
    tab.emulate_media(media="print")

    assert not tab.locator("#filters").is_visible()
    assert len(rows_shown(tab)) == 5


@pytest.mark.browser
def test_a_text_that_can_hardly_be_seen_is_noticed_on_a_page_that_was_looked_at_before(opened):
    tab = opened({})
    assert barriers(tab, "color-contrast") == ""

    for harm in (
        "heading.style.color = '#ddd'",
        "heading.parentElement.style.background = getComputedStyle(heading).color",
        "heading.style.opacity = '0.3'",
    ):
        tab.evaluate(f"() => {{ const heading = document.querySelector('h1'); {harm} }}")
        assert "color-contrast" in barriers(tab), harm
        tab.evaluate("document.querySelectorAll('[style]').forEach(each => each.removeAttribute('style'))")
        assert barriers(tab, "color-contrast") == ""


@pytest.mark.browser
@pytest.mark.parametrize("changes", [MIXED, [{}]], ids=["some findings", "perfect file"])
def test_the_page_is_accessible_by_day_by_night_and_on_a_phone(opened, changes):
    tab = opened(*changes, color_scheme="light")
    for closed in tab.locator("summary").all():
        closed.click()
    assert barriers(tab) == ""

    tab.emulate_media(color_scheme="dark")
    assert barriers(tab, "color-contrast") == ""
    tab.set_viewport_size({"width": 360, "height": 900})
    assert barriers(tab, "color-contrast", *OF_THE_LAYOUT) == ""
    tab.emulate_media(color_scheme="light")
    assert barriers(tab, "color-contrast") == ""
