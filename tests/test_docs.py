import doctest
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

import click
import pytest
from tests.conftest import CHROMIUM

from cjit import cli
from cjit.dataset import SUBMITTER, TODAY
from cjit.datasets import dataset
from cjit.engine import compare
from cjit.report.version import file_rules

ROOT = Path(__file__).parent.parent
Q, P = dataset("Q"), dataset("P")


def _script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


build_docs = _script("build_docs")

#: Everything a person wrote, and everything there is to read.
GENERATED = ("dictionary.md", "rules.md", "codes.md", "outcomes.md", "datasets.md", "cli.md")
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").glob("*.md")],
    key=str,
)
BY_HAND = [page for page in PAGES if not (page.parent == ROOT / "docs" and page.name in GENERATED)]


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def _fences(page: Path, *kinds: str) -> list[str]:
    """The insides of a page's fenced blocks of some kinds."""
    text = page.read_text("utf-8")
    return [m[2] for m in re.finditer(r"^[ ]*```(\w+)\n(.*?)^[ ]*```$", text, re.M | re.S) if m[1] in kinds]


def _spans(page: Path) -> list[str]:
    """What stands between backticks in a page's running text."""
    text = re.sub(r"^[ ]*```.*?^[ ]*```$", "", page.read_text("utf-8"), flags=re.M | re.S)
    return re.findall(r"`([^`\n]+)`", text)


# ---- nothing is stale ------------------------------------------------------------------------------


def test_generated_pages_and_shown_output_are_true():
    made = build_docs.pages()
    assert build_docs.stale(made) == [], "run ‘make docs’ and commit the result"
    # The README, the guides and the whole book are among them.
    assert {"README.md", "docs/rules.md", "docs/cli.md", "docs/guides/read-the-report.md"} <= set(made)


def test_a_stale_page_fails_with_one_sentence(tmp_path, monkeypatch, capsys):
    for name in ("docs", "examples"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "README.md", tmp_path)
    readme = (tmp_path / "README.md").read_text("utf-8")
    (tmp_path / "README.md").write_text(readme.replace("records would be accepted", "records were accepted"), "utf-8")
    for page in (tmp_path / "docs").rglob("*.md"):
        page.write_text(page.read_text("utf-8").replace("```console", "```text"), "utf-8")
    monkeypatch.setattr(build_docs, "ROOT", tmp_path)
    assert build_docs.main(["--check"]) == 1
    assert capsys.readouterr().out == "README.md is out of date: run ‘make docs’ and commit the result\n"
    build_docs.main([])
    assert (tmp_path / "README.md").read_text("utf-8") == readme


@pytest.mark.parametrize("page", [p for p in BY_HAND if _fences(p, "pycon")], ids=_name)
def test_shown_python_does_what_is_shown(page, monkeypatch):
    monkeypatch.chdir(ROOT)
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner(verbose=False)
    test = parser.get_doctest("\n".join(_fences(page, "pycon")), {}, _name(page), _name(page), 0)
    told: list[str] = []
    runner.run(test, out=told.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(told)


# ---- what pages name is there ----------------------------------------------------------------------


def _commands() -> list[tuple[str, str]]:
    found = []
    for page in BY_HAND:
        lines = [line for block in _fences(page, "sh", "console") for line in block.splitlines()]
        lines += [span for span in _spans(page) if re.match(r"cjit [a-z-]|make [a-z]", span)]
        for line in lines:
            command = line.strip().removeprefix("$ ").removeprefix(".venv/bin/").partition("  #")[0].partition(" > ")[0]
            if command.startswith(("cjit ", "make ")) and not (line.startswith(("cjit: ", "cjit 0"))):
                found.append((_name(page), command))
    return sorted(set(found))


@pytest.mark.parametrize(("page", "command"), _commands())
def test_every_command_a_page_names_exists(page, command):
    words = [word for word in shlex.split(command) if word != "…"]
    if words[0] == "make":
        targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
        assert words[1] in targets
        return
    here: click.Command = cli.main
    for word in words[1:]:
        if isinstance(here, click.Group) and not word.startswith("-"):
            assert word in here.commands, f"{page}: {command}"
            here = here.commands[word]
        elif word.startswith("-") and word != "-":
            known = {option for parameter in here.params for option in parameter.opts}
            assert word.partition("=")[0] in known | {"--help"}, f"{page}: {command}"


RULES = {rule.id for rule in (*file_rules(Q), *compare.rules(Q))}
#: Words in capitals that are no header: what else a page may name in backticks.
OTHERS = {
    TODAY,
    SUBMITTER,
    "FIELD",
    "FILE",
    "ROW",
    "RULE",
    "SEVERITY",
    "EXAMPLE",
    "OUR_READING",
    "MADEUP",
    "DIR",
    "UTF-8",
}
OTHERS |= {"README", "LICENSE", "NOTICE", "CRLF", "SHA256SUMS", "SCOTLAND", "WALES", "NORTHERN_IRELAND", "ATTRIBUTION"}
OTHERS |= {"CJIT_REFERENCE", "CJIT", "TREAT", "T00012C00345", "TRUNCATED", "WHOLE", "P", "Q", "R", "BT"}


@pytest.mark.parametrize("page", BY_HAND, ids=_name)
def test_every_rule_a_page_names_exists(page):
    named = {span for span in _spans(page) if re.fullmatch(r"[A-Z][A-Z0-9]+\.[a-z][a-z_0-9]+", span)}
    # File names are written the same way: NOTICE.md.
    named = {name for name in named if name.rpartition(".")[2] not in ("md", "csv", "py")}
    assert named <= RULES | {"HEADER.what_must_hold"}


@pytest.mark.parametrize("page", BY_HAND, ids=_name)
def test_every_header_a_page_names_exists(page):
    named = {span for span in _spans(page) if re.fullmatch(r"[A-Z][A-Z0-9_]+", span)}
    headers = {spelling for d in (P, Q) for f in d.fields for spelling in (f.header, *f.also)}
    codes = {code for d in (P, Q) for one in d.lists.values() for code in (one.name, *one.codes)}
    settings = set(re.findall(r"[A-Z_]{5,}", (ROOT / "src/cjit/web/settings.py").read_text("utf-8")))
    named -= {name for name in settings if name.startswith("CJIT_") or name == "DATABASE_URL"}
    assert named - headers - codes - OTHERS - {rule.partition(".")[0] for rule in RULES} == set()


def _anchors(page: Path) -> set[str]:
    """The anchors of a page as a forge makes them from its headings, and those it sets itself."""
    text = page.read_text("utf-8")
    found = set(re.findall(r"\{[^}]*#([\w.-]+)", text))
    for heading in re.findall(r"^#+ (.+)$", text, re.M):
        plain = re.sub(r"[^\w\- ]", "", heading.lower())
        found.add(plain.replace(" ", "-"))
    return found


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_internal_link_resolves(page):
    broken = []
    for target in re.findall(r"(?<!\!)\[[^\]]*\]\(([^)\s]+)\)", page.read_text("utf-8")):
        url = urlsplit(target)
        if url.scheme:
            continue
        there = (page.parent / url.path) if url.path else page
        if not there.exists() or (url.fragment and url.fragment not in _anchors(there)):
            broken.append(target)
    assert broken == []


def test_the_index_of_decisions_has_them_all():
    folder = ROOT / "docs" / "adr"
    linked = re.findall(r"\]\((\d{4}-[^)]+\.md)\)", (folder / "README.md").read_text("utf-8"))
    assert linked == sorted(path.name for path in folder.glob("0*.md"))


def test_every_command_and_option_says_what_it_does():
    for path, command in build_docs._walk(cli.main, ("cjit",)):
        assert command.help, path
        for option in command.params:
            assert not isinstance(option, click.Option) or option.opts


# ---- the site --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    where = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(where)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return where


class _Assets(HTMLParser):
    """Every address a page loads by itself; links a reader may follow are not among them."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        names = {"a": (), "link": ("href",)}.get(tag, ("src", "srcset", "data", "poster", "href"))
        if tag == "link" and given.get("rel") in ("canonical", "next", "prev"):
            return
        self.found += [str(given[name]) for name in names if given.get(name)]


@pytest.mark.process
def test_the_site_loads_nothing_from_elsewhere(site):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 15
    for page in pages:
        assets = _Assets()
        assets.feed(page.read_text("utf-8"))
        assert assets.found, page
        assert [a for a in assets.found if re.match(r"(https?:)?//", a)] == [], page
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import )\s*['\"]?(https?:)?//", sheet.read_text("utf-8")), sheet


@pytest.mark.process
def test_every_page_of_the_site_names_whose_definitions_they_are(site):
    for page in site.rglob("*.html"):
        text = page.read_text("utf-8")
        assert "© Crown copyright" in text, page
        assert "Unofficial" in text, page


@pytest.mark.process
@pytest.mark.browser
def test_a_site_opened_from_a_folder_can_be_searched_and_asks_the_network_nothing(playwright, site):
    asked: list[str] = []
    with tempfile.TemporaryDirectory() as profile:
        context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu"],
            viewport={"width": 390, "height": 844},
        )
        context.on("request", lambda request: asked.append(request.url))
        page = context.pages[0]
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        for name in ("index.html", "rules.html", "codes.html", "guides/read-the-report.html"):
            page.goto((site / name).as_uri())
            # A page is as wide as the phone: only tables and reports scroll by themselves.
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, name
        page.goto((site / "index.html").as_uri())
        page.locator("label[for=__search]").first.click()
        page.locator("input.md-search__input").press_sequentially("Kosovo")
        page.locator(".md-search-result__link", has_text="Kosovo").first.wait_for(timeout=15_000)
        assert errors == []
        context.close()
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:", "about:"))] == []
