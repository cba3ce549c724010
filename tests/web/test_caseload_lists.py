"""Lists that are searched by typing: what a person means is found, and nothing is taken that they may not mean."""

from __future__ import annotations

import itertools
import re
import string
import unicodedata
from dataclasses import dataclass
from functools import cache

import pytest
from django.urls import reverse
from tests.web.conftest import follow

from cjit.datasets.q.lists import LISTS, NAMES
from cjit.web.caseload import actions, asking, questions
from cjit.web.caseload.models import Client, Episode
from cjit.web.dataset import DATASET

ANOTHER = "Another code of the official list"
WHO = {"FINITIAL": "M", "SINITIAL": "S", "DOB": "14/02/1985", "SEX": "F"}
#: Answers by which every list of a page is asked.
ASKED = {"PC": "ZZ99 3VZ", "DISABLE1": "1", "DISABLE2": "2", "DRUG1": "1011", "DRUG2": "3201"}


@pytest.fixture
def episode(agency, keyworker) -> Episode:
    return actions.begin_client(by=keyworker, agency=agency, typed=WHO)


@pytest.fixture
def visitor(signed_in, keyworker):
    return signed_in(keyworker)


def at(episode: Episode, group: str) -> str:
    if group == questions.CLIENT_DETAILS.name:
        return reverse("client-details", args=[episode.client_id])
    return reverse("questions", args=[episode.pk, group])


def page_of(header: str) -> str:
    return questions.of(header).name


def values(record: Client | Episode) -> dict[str, str]:
    record.refresh_from_db()
    return {header: text for header, text in record.values.items() if text}


# ---- other names -----------------------------------------------------------------------------------


def test_every_other_name_is_of_a_code_that_the_list_has():
    for name, code in NAMES:
        assert code in LISTS[name].codes if code else not LISTS[name].complete, (name, code)


def test_no_name_is_given_twice_to_one_code_nor_is_its_label_again():
    for (name, code), called in NAMES.items():
        said = [each.casefold() for each in (*called, *([LISTS[name].labels[code]] if code else ()))]
        assert len(said) == len(set(said)), (name, code)
        assert all(each == each.strip() and "|" not in each for each in called), (name, code)


def test_a_name_is_no_code_in_a_file():
    assert not {"UK", "KOSOVO", "SMACK"} & {code for codes in LISTS.values() for code in codes.codes}


@pytest.mark.parametrize("header", ["ETHNIC", "RELIGION", "DISABLE1"])
def test_who_declines_to_answer_is_found_as_refused(header):
    codes = DATASET.codes_of(header)
    assert codes is not None
    refused = [row.code for row in codes.rows if "Refused" in asking.also_called(header, row)]

    assert len(refused) == 1
    assert refused[0] in codes.not_answers()


# ---- in a browser ----------------------------------------------------------------------------------


def in_browser(test):
    return pytest.mark.browser(pytest.mark.django_db(transaction=True)(test))


def searched(tab, address: str, width: int = 1200):
    """A page of which every list is searched."""
    page = tab(address, width)
    page.wait_for_function("() => !document.querySelector('select[data-search]:not([id$=select])')")
    return page


def question(page, header: str):
    return page.locator(f'[data-question="{header}"]')


def asked(page, header: str) -> str:
    """What the page asks beside a list, as one hears it in the box."""
    box = page.locator(f"input#{header}")
    assert box.get_attribute("aria-invalid") == "true"
    described = page.locator(f"#{box.get_attribute('aria-describedby')}")
    assert described.get_attribute("role") == "alert"
    assert described.is_visible()
    return str(described.inner_text()).removeprefix("Error:").strip()


def types(page, header: str, text: str, leaves: str = "Tab") -> None:
    page.fill(f"input#{header}", "")
    page.focus(f"input#{header}")
    page.keyboard.type(text)
    page.keyboard.press(leaves)


def answer(page, header: str) -> tuple[str, str]:
    """The code that is chosen, and what stands in the box."""
    return page.input_value(f"select[name={header}]"), page.input_value(f"input#{header}")


MEANT = {
    "NATION": {
        **dict.fromkeys(
            ("uk", "U.K.", "gb", "great britain", "england", "Scotland", "wales", "northern ireland"), "GBR"
        ),
        **dict.fromkeys(("usa", "us", "america", "united states"), "USA"),
        **dict.fromkeys(("ivory", "cote d'ivoire", "Côte d’Ivoire", "ivoire"), "CIV"),
        "turkey": "TUR",
        "turkiye": "TUR",
        "burma": "MMR",
        "kosovo": "SRB",
        "ireland": "IRL",
        "korea south": "KOR",
        "niger": "NER",
        "ger": "DEU",
        "reunion": "REU",
        "st helena": "SHN",
        "trinidad & tobago": "TTO",
        "GBR": "GBR",
        "": "",
    },
    "ETHNIC": {
        "refused": "Z",
        "declined": "Z",
        "gypsy": "C",
        "arab": "S",
        "caribbean": "M",
        "black african": "N",
        "unknown": "99",
    },
    "DRUG1": {
        "crack": "3201",
        "crack cocaine": "3201",
        "cocaine": "3200",
        "smack": "1011",
        "speed": "3100",
        "weed": "5000",
        "mdma": "3406",
        "booze": "7000",
        "benzos": "2200",
        "another": "another",
    },
    "DRUG2": {"none": "", "crack": "3201"},
    "CJRFLS": {"drug test": "X01", "cell sweep": "X07", "psr": "X04"},
    "HOUSING": {"sofa": "16", "b&b": "20", "university": "6"},
    "DISABLE1": {"none": "NN", "deaf": "2", "autism": "XX", "refused": "ZZ"},
}


@in_browser
@pytest.mark.parametrize("header", MEANT)
def test_what_a_person_means_is_found_by_the_name_they_know(tab, episode, keyworker, header):
    actions.save(by=keyworker, record=episode, typed=ASKED)
    page = searched(tab, at(episode, page_of(header)))
    labels = {code: text if code else "" for code, text, _ in page.evaluate(OPTIONS, header)}
    by_hand, *_ = (text for text, code in MEANT[header].items() if code)
    types(page, header, by_hand)
    assert answer(page, header) == (MEANT[header][by_hand], labels[MEANT[header][by_hand]])

    codes = list(labels)
    for text, index, shown, said in page.evaluate(LEAVE, [header, list(MEANT[header])]):
        code = MEANT[header][text]
        assert (codes[index], shown, said) == (code, labels[code], ""), text


DOUBTFUL = {
    "NATION": ["korea", "nig", "aus", "mar", "congo", "kurdistan", "the", "united", "guin", "st"],
    "ETHNIC": ["black", "asian", "white", "mixed", "b", "british"],
    "DRUG1": ["spice", "diazepam", "meth", "base", "o"],
    "CJRFLS": ["voluntary", "probation", "drr"],
    "HOUSING": ["homeless", "council", "other"],
}
UNKNOWN = {"NATION": ["nowhereland", "kraine", "?", "--"], "DRUG1": ["brick", "eroin"]}


@in_browser
@pytest.mark.parametrize("header", DOUBTFUL)
def test_of_several_answers_none_is_taken_and_what_was_typed_stays(tab, episode, header):
    page = searched(tab, at(episode, page_of(header)))
    said_of = "“{}” could be several answers: choose one from the list".format
    for leaves in ("Tab", "Enter", "Shift+Tab"):
        text = DOUBTFUL[header][0]
        types(page, header, text, leaves)
        assert answer(page, header) == ("", text)
        assert asked(page, header) == said_of(text)
    for text, index, shown, said in page.evaluate(LEAVE, [header, DOUBTFUL[header]]):
        assert (index, shown, said.removeprefix("Error:").strip()) == (0, text, said_of(text))


@in_browser
@pytest.mark.parametrize("header", UNKNOWN)
def test_what_is_not_in_the_list_is_asked_about_and_not_thrown_away(tab, episode, header):
    page = searched(tab, at(episode, page_of(header)))
    for text in UNKNOWN[header]:
        types(page, header, text)
        assert answer(page, header) == ("", text)
        then = "choose one from the list" if header == "NATION" else f"choose one, or choose “{ANOTHER}”"
        assert asked(page, header) == f"Nothing in the list is called “{text}”: {then}"


@in_browser
def test_ukraine_is_not_recorded_of_somebody_born_in_the_uk(tab, episode):
    page = searched(tab, at(episode, "client"))
    types(page, "NATION", "uk")
    follow(page.get_by_role("button", name="Save and continue"))

    assert values(episode.client)["NATION"] == "GBR"


@in_browser
def test_who_saves_while_it_is_not_clear_what_they_mean_stays_on_the_page_with_what_they_typed(tab, episode):
    page = searched(tab, at(episode, "client"))
    for number, press in enumerate(
        ("Save and continue", "Save and come back later", "Control+Enter", "Alt+s", "Enter")
    ):
        page.fill("#CLIENT", f"A{number}")
        text = "qqq" if press == "Enter" else "korea"  # where the list is open, Enter chooses of it
        page.fill("#NATION", "")
        page.focus("#NATION")
        page.keyboard.type(text)
        with page.expect_response(lambda answer: answer.request.method == "POST"):
            page.get_by_role("button", name=press).click() if press.startswith("Save") else page.keyboard.press(press)

        # All else is saved, and the box that asks has the cursor.
        assert values(episode.client) == {**WHO, "CLIENT": f"A{number}"}
        assert page.evaluate("document.activeElement.id") == "NATION"
        assert answer(page, "NATION") == ("", text)
        asked(page, "NATION")

    types(page, "NATION", "south korea")
    follow(page.get_by_role("button", name="Save and continue"))
    assert values(episode.client)["NATION"] == "KOR"


@in_browser
def test_what_is_being_typed_is_not_overwritten_by_what_somebody_else_saved(tab, episode, keyworker):
    page = searched(tab, at(episode, "client"))
    types(page, "NATION", "korea")
    actions.save(by=keyworker, record=episode.client, typed={"NATION": "FRA"})
    page.fill("#CLIENT", "A7")
    page.wait_for_function("() => document.querySelector('[data-told]').textContent.includes('Saved at')")

    assert page.input_value("#NATION") == "korea"
    asked(page, "NATION")


@in_browser
def test_what_was_only_looked_at_in_the_list_is_not_taken(tab, episode):
    page = searched(tab, at(episode, "client"))
    page.focus("#NATION")
    page.keyboard.type("united")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Escape")
    assert answer(page, "NATION") == ("", "united")
    assert page.locator("#NATION").get_attribute("aria-expanded") == "false"
    page.keyboard.press("Tab")

    assert asked(page, "NATION").startswith("“united” could be several answers")


@in_browser
def test_what_is_gone_to_with_the_arrow_keys_is_taken(tab, episode):
    page = searched(tab, at(episode, "client"))
    for leaves in ("Enter", "Tab"):
        page.fill("#NATION", "")
        page.focus("#NATION")
        page.keyboard.type("korea")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
        page.keyboard.press(leaves)

        assert answer(page, "NATION") == ("PRK", "North Korea")


@in_browser
def test_who_goes_back_to_no_answer_sees_none(tab, episode):
    page = searched(tab, at(episode, "client"))
    types(page, "NATION", "france")
    page.press("#NATION", "ArrowDown")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.innerText") == "Select"
    page.keyboard.press("Tab")
    page.wait_for_timeout(300)

    assert answer(page, "NATION") == ("", "")


@in_browser
def test_the_list_says_by_which_other_name_a_choice_is_found(tab, episode):
    page = searched(tab, at(episode, "client"))
    page.focus("#NATION")
    page.keyboard.type("kosovo")
    assert page.get_by_role("option").all_inner_texts() == ["Serbia (Kosovo)"]

    page.get_by_role("option").click()
    assert answer(page, "NATION") == ("SRB", "Serbia")


@in_browser
def test_the_best_is_offered_first_and_another_code_last(tab, episode):
    page = searched(tab, at(episode, "substances"))
    page.focus("#DRUG1")
    page.keyboard.type("cocaine")

    assert page.get_by_role("option").all_inner_texts() == [
        "Cocaine (excluding crack) (Cocaine)",
        "Crack (Crack cocaine)",
        ANOTHER,
    ]


# ---- another code ----------------------------------------------------------------------------------

TAKE_ANOTHER = [
    header
    for group in (questions.CLIENT_DETAILS, *questions.GROUPS)
    for header in group.headers
    if asking.ask(header, {}).shape is asking.Shape.LIST and asking.ask(header, {}).beside
]


def test_the_lists_that_are_stand_ins_or_known_to_be_longer_take_another_code():
    assert {"DRUG1", "DRUG2", "DRUG3"} < set(TAKE_ANOTHER)


@in_browser
@pytest.mark.parametrize("header", TAKE_ANOTHER)
def test_another_code_of_the_official_list_opens_its_box_and_is_kept(tab, episode, keyworker, header):
    actions.save(by=keyworker, record=episode, typed=ASKED | {header: ""})
    page = searched(tab, at(episode, page_of(header)))
    beside = page.locator(f"#{header}-another")
    for by in ("mouse", "arrow keys", "Tab", "Enter"):
        page.fill(f"#{header}", "")
        page.press(f"#{header}", "Tab")
        assert not beside.is_visible()
        page.focus(f"#{header}")
        if by == "mouse":
            page.click(f"#{header}")
            question(page, header).get_by_role("option", name=ANOTHER).click()
            beside.click()
        elif by == "arrow keys":
            # It is the last: of a long list somebody types a part of what it is called first.
            count = page.locator(f"#{header}-select option").count()
            if count > 20:
                page.keyboard.type("code of")
                page.get_by_role("option", name=ANOTHER).wait_for()
                count = page.get_by_role("option").count()
            for _ in range(count):
                page.keyboard.press("ArrowDown")
            page.keyboard.press("Tab")
        else:
            page.keyboard.type("another")
            page.keyboard.press(by)
            if by == "Enter":
                page.keyboard.press("Tab")
        assert answer(page, header) == ("another", ANOTHER)
        assert page.evaluate("document.activeElement.id") == f"{header}-another", by
        page.keyboard.type("ZZ77")
    follow(page.get_by_role("button", name="Save and continue"))

    assert values(episode)[header] == "ZZ77"
    page = searched(tab, at(episode, page_of(header)))
    assert page.input_value(f"#{header}-another") == "ZZ77"
    assert page.locator(f"#{header}-another").is_visible()


# ---- every list, with every beginning --------------------------------------------------------------

#: Type a text into the box of a list and leave it: what is chosen, what stands in the box, and what is asked.
LEAVE = """
async ([id, texts]) => {
  const box = document.getElementById(id);
  const list = document.getElementById(`${id}-select`);
  const type = async (text) => {
    box.focus();
    box.value = text;
    box.dispatchEvent(new Event("input", { bubbles: true }));
    await null; // the list opens
    box.blur();
    await null;
  };
  const found = [];
  for (const text of texts) {
    await type(text);
    found.push([text, list.selectedIndex, box.value, document.getElementById(`${id}-open`).textContent]);
  }
  await type("");
  return found;
}
"""
OPTIONS = """id => [...document.getElementById(`${id}-select`).options]
  .map(option => [option.value, option.text, option.dataset.names ?? ""])"""


@cache
def plain(text: str) -> str:
    """A text without capitals, accents and signs."""
    letters = "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))
    return " ".join(re.findall(r"[a-z0-9]+", re.sub(r"[.'’]", "", letters.lower().replace("&", " and "))))


@dataclass
class Entry:
    """What can be chosen of a list: its label, which the box shows, its code, and what else it is called."""

    label: str
    code: str
    names: list[str]

    def is_called(self, text: str) -> bool:
        return any(plain(name) == plain(text) for name in (self.label, self.code, *self.names))

    def may_be_meant(self, text: str) -> bool:
        """By words that begin so, in whatever order. Another code is only meant by who begins to say that."""
        if self.label == ANOTHER and plain(ANOTHER).startswith(plain(text)):
            return True
        names = self.names if self.label in ("", ANOTHER) else [self.label, *self.names]
        words = plain(text).split()
        return bool(words) and any(
            all(any(word.startswith(typed) for word in plain(name).split()) for typed in words) for name in names
        )


def entries(page, box: str) -> list[Entry]:
    """The choices of a list; the first is none."""
    return [
        Entry(text if code else "", code if text != ANOTHER else "", [name for name in others.split("|") if name])
        for code, text, others in page.evaluate(OPTIONS, box)
    ]


def texts_for(listed: list[Entry]) -> list[str]:
    """Every two letters with which some word of the list begins, or which one choice alone has; of those that several
    have, but no word begins with, and of those that none has, one that begins with each letter; and of some choices the
    beginning, something of the middle, and the end.

    Two letters that begin no word find nothing, whoever has them. One choice alone might yet be taken for them.
    """
    told = [{plain(text) for text in (each.label, each.code, *each.names)} for each in listed]
    begun = {word[:2] for texts in told for text in texts for word in text.split()}
    found: list[str] = []
    others: dict[tuple[str, bool], str] = {}
    for two in map("".join, itertools.product(string.ascii_lowercase, repeat=2)):
        have = sum(any(two in text for text in texts) for texts in told)
        if two in begun or have == 1:
            found.append(two)
        else:
            others.setdefault((two[0], have > 0), two)
    some = [each.label for each in listed[1 :: 1 + len(listed) // 60]]
    parts = (part.strip() for one in some for part in (one[:4], one[1:5], one.split()[-1]))
    return [*found, *others.values(), *dict.fromkeys(parts)]


def goes_through(page, boxes: list[str], others_had_all: bool = False) -> int:
    """Leave each list after each text; returns how often an answer was taken.

    Of boxes with the same list, such as those of the three substances, one has all texts and the others a few.
    """
    taken, seen = 0, []
    for box in boxes:
        listed = entries(page, box)
        texts = texts_for(listed)[:: 11 if others_had_all or listed in seen else 1]
        seen.append(listed)
        before = page.evaluate("id => document.getElementById(`${id}-select`).selectedIndex", box)
        for text, index, shown, said in page.evaluate(LEAVE, [box, texts]):
            chosen: Entry = listed[index]
            if said:
                # Nothing is taken: the answer there was stays, and is said to.
                assert (index, shown) == (before, text), (box, text)
                assert f"“{text}”" in said
                assert not before or said.endswith(f"until then “{listed[before].label}” stays recorded")
                continue
            taken, before = taken + 1, index
            assert shown == chosen.label, (box, text)
            called = [each for each in listed if each.is_called(text)]
            meant = [each for each in listed if each.may_be_meant(text)]
            assert chosen in called or meant == [chosen], (box, text, shown)
    return taken


PAGES = [
    group
    for group in (questions.CLIENT_DETAILS, *questions.GROUPS)
    if any(asking.ask(header, {}).shape is asking.Shape.LIST for header in group.headers)
]


@in_browser
@pytest.mark.parametrize("group", PAGES, ids=lambda group: group.name)
def test_whatever_is_typed_nothing_is_taken_that_was_not_meant(tab, episode, keyworker, group):
    actions.save(by=keyworker, record=episode, typed=ASKED)
    page = searched(tab, at(episode, group.name))
    boxes = [header for header in group.headers if asking.ask(header, {}).shape is asking.Shape.LIST]

    # The last first: the third substance is asked of whoever has a second one.
    assert goes_through(page, boxes[::-1]) > 0


@in_browser
def test_nor_of_the_lists_with_which_an_episode_is_closed(tab, episode):
    # The prisons and the areas are those of the lists PRISON and DAT, which have all texts above.
    page = searched(tab, reverse("episode-close", args=[episode.pk]))
    for reason, box in (("13", "id_prison"), ("14", "id_area")):
        page.check(f"input[name=CJDISRSN][value='{reason}']", force=True)
        assert goes_through(page, [box], others_had_all=True) > 0


@in_browser
def test_an_answer_stays_until_there_is_another_or_none(tab, episode, keyworker):
    actions.save(by=keyworker, record=episode.client, typed={"NATION": "GBR"})
    page = searched(tab, at(episode, "client"))

    types(page, "NATION", "korea")
    page.wait_for_timeout(1500)
    assert answer(page, "NATION") == ("GBR", "korea")
    assert asked(page, "NATION").endswith("until then “United Kingdom” stays recorded")
    assert values(episode.client)["NATION"] == "GBR"

    page.fill("#NATION", "")
    page.press("#NATION", "Tab")
    assert answer(page, "NATION") == ("", "")


@in_browser
@pytest.mark.parametrize("text", ["n/a", "d/k"])
def test_of_single_letters_nothing_is_meant_that_merely_begins_so(tab, episode, text):
    page = searched(tab, at(episode, "client"))
    types(page, "NATION", text)

    assert answer(page, "NATION") == ("", text)
