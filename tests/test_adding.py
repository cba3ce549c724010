"""What it takes to add a thing, counted: each is added to a copy of the project, and its own tests are run there.

`CONTRIBUTING.md` gives the same places.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = [pytest.mark.dear, pytest.mark.process]


class Copy:
    """A copy of the project, and how many places of it were edited."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.edited: list[str] = []
        # What is compiled comes along: of a file that is edited it is made anew.
        left_out = shutil.ignore_patterns(".*", "site", "demo", "data", "node_modules")
        for name in ("src", "tests", "docs", "scripts", "examples"):
            shutil.copytree(ROOT / name, root / name, ignore=left_out)
        for name in (
            "pyproject.toml",
            "README.md",
            "CONTRIBUTING.md",
            "CHANGELOG.md",
            "GLOSSARY.md",
            "NOTICE.md",
            "mkdocs.yml",
        ):
            shutil.copy(ROOT / name, root / name)

    def edit(self, path: str, after: str, text: str) -> None:
        """Put some text behind the first place that a pattern finds: one place more."""
        file = self.root / path
        whole = file.read_text(encoding="utf-8")
        found = re.search(after, whole, re.DOTALL | re.MULTILINE)
        assert found, (path, after)
        file.write_text(whole[: found.end()] + text + whole[found.end() :], encoding="utf-8")
        self.edited.append(path)

    def write(self, path: str, text: str) -> None:
        """A new file: one place more."""
        (self.root / path).write_text(text, encoding="utf-8")
        self.edited.append(path)

    def run(self, *command: str) -> str:
        """Run Python in the copy; what it printed, or the test fails with it."""
        settings = {"PYTHONPATH": str(self.root / "src"), "CJIT_HOME": str(self.root / "home")}
        env = os.environ | settings | {"CJIT_SECRET_KEY": "none", "DJANGO_SETTINGS_MODULE": "cjit.web.settings"}
        env.pop("PYTEST_XDIST_WORKER", None)
        done = subprocess.run(
            [sys.executable, *command],
            cwd=self.root,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=600,
        )
        assert done.returncode == 0, done.stdout[-4_000:]
        return done.stdout

    def tests(self, *chosen: str) -> str:
        """Run some of the tests of the copy."""
        return self.run("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "not browser and not dear", *chosen)


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path)


def test_a_field_is_its_line_its_example_its_clause_and_a_migration_that_is_made(copy):
    copy.edit(
        "src/cjit/datasets/q/fields.py",
        r'header="VETERAN".*?^    \),\n',
        """    Field(
        header="PETS",
        label="Number of pets",
        noun="number of pets",
        definition="How many pets live with the client.",
        clause="Episode details: PETS",
        entity=Entity.EPISODE,
        kind=Kind.NUMBER,
        changes=Changes.SHOULD_NOT,
        as_of="start of episode",
        minimum=0,
        maximum=20,
        plain="Pets",
    ),
""",
    )
    copy.edit("src/cjit/datasets/q/example.py", r'"VETERAN": .*?\n', '    "PETS": "1",\n')
    copy.edit(
        "docs/source.md",
        r"\| Episode details: VETERAN \| updatability .*?\n",
        "| Episode details: PETS | 1 | How many pets live with the client | `PETS.is_in_range` |\n"
        "| Episode details: PETS | updatability | Should not change | *compare* |\n",
    )
    # The document's own table, held apart from the fields on purpose.
    copy.edit("tests/test_fields.py", r"^VETERAN \| .*?\n", "PETS | Number of pets | SE\n")
    made = copy.run("-m", "django", "makemigrations")
    assert "Add field PETS to episode" in made
    copy.run("scripts/build_docs.py")
    told = copy.tests(
        "tests/test_fields.py",
        "tests/test_source.py",
        "tests/test_datasets.py",
        "tests/test_dictionary.py",
        "tests/test_examples.py",
        "tests/test_rows.py",
        "tests/web/test_caseload_questions.py",
        "tests/web/test_caseload_local.py",
    )
    assert " passed" in told
    assert len(copy.edited) == 4
    shown = copy.run(
        "-c",
        "from cjit.datasets.q import Q; print(Q.asked.of('PETS').name);"
        "from cjit.cli import main; main(['dictionary', 'PETS'])",
    )
    asked, _, page = shown.partition("\n")
    assert asked == "about"
    assert "Number of pets" in page


def test_a_rule_is_a_value_and_a_line_on_the_page_of_clauses(copy):
    copy.edit(
        "src/cjit/datasets/q/rules.py",
        r"^RULES[^=]*= \(\n",
        """    Rule(
        "ALCUNITS.is_believable",
        Severity.QUERY,
        "Check the units of alcohol: 150 on each of 28 days are more than anybody drinks",
        OUR_READING,
        (ALCDDAYS == 28) & (ALCUNITS == 150),
        breaks={"ALCDDAYS": "28", "ALCUNITS": "150"},
        holds={"ALCDDAYS": "28", "ALCUNITS": "15"},
        reading="Nobody drinks so much.",
    ),
""",
    )
    line = "| `ALCUNITS.is_believable` | query | Nobody drinks so much. |\n"
    copy.edit("docs/source.md", r"^\| Rule \|[^\n]*\n\|[^\n]*\n", line)
    copy.run("scripts/build_docs.py")
    told = copy.tests("tests/test_rules.py", "tests/test_source.py", "-k", "is_believable or table or reading")
    assert " passed" in told
    assert "ALCUNITS.is_believable" in (copy.root / "docs/rules.md").read_text(encoding="utf-8")
    assert len(copy.edited) == 2


def test_a_report_format_is_one_value(copy):
    line = '        Format("lines", ".lines", 0, _csv),\n'
    copy.edit("src/cjit/report/formats.py", r'Format\("csv", ".csv", 0, _csv\),\n', line)
    copy.run(
        "-c",
        "from cjit.cli import main\n"
        "try: main(['check', 'examples/hand-written.csv', '--today', '2026-03-31', '--output', 'report.lines'])\n"
        "except SystemExit as end: assert end.code == 1, end.code\n"
        "assert open('report.lines').read().count('\\n') > 5",
    )
    assert "[text|json|csv|lines|html|xlsx]" in copy.run("-m", "cjit.cli", "check", "--help")
    assert len(copy.edited) == 1


def test_a_kind_of_field_is_its_class_and_its_name(copy):
    copy.edit("src/cjit/dataset.py", r"^class Kind\(StrEnum\):.*?\n\n(?=    )", '    TIME = "time"\n')
    copy.edit(
        "src/cjit/kinds.py",
        r"(?=^# ---- all rules that follow)",
        """class TimeKind(FieldKind):
    \"\"\"A time of the day, such as 09:30.\"\"\"

    kind = Kind.TIME
    good, other = "09:30", "17:00"
    described, pattern = "time, such as 09:30", "[0-9]{2}:[0-9]{2}"

    def tidied(self, text):
        return text.strip(WHITE).replace(".", ":")

    @property
    def wrong(self):
        return ~self.read.matches("^[0-9]{2}:[0-9]{2}$")

    def fits(self, text):
        return 1 if ":" in text else -1

    def _kind_rules(self):
        yield self._rule("is_a_time", f"The {self.field.noun} must be a time such as 09:30", self.wrong, "noon")

    def _unplain_example(self):
        return "09.30", f"Write the {self.field.noun} with a colon"


""",
    )
    told = copy.run(
        "-c",
        """
from datetime import date
from cjit import check_rows
from cjit.dataset import Changes, Entity, Field, Kind
from cjit.datasets.q import Q
from cjit.dictionary.schemas import export

field = Field("STARTED", "Time", "time", "When.", "None", Entity.EPISODE, Kind.TIME, Changes.MAY)
R = Q.revise("R", title="R", effective=date(2030, 4, 1), add=[(field, "VETERAN")])
row = R.example | {"STARTED": "half past"}
print([finding.rule.id for finding in check_rows(R, [row], today=R.example_day)])
print([finding.rule.id for finding in check_rows(R, [row | {"STARTED": "09.30"}], today=R.example_day)])
assert "[0-9]{2}:[0-9]{2}" in export(R, "json-schema")
""",
    )
    assert told == "['STARTED.is_a_time']\n['STARTED.is_plainly_written']\n"
    assert len(copy.edited) == 2


def test_a_letter_is_its_file(copy):
    copy.write(
        "src/cjit/datasets/r.py",
        """\"\"\"Dataset R, made up.\"\"\"

from datetime import date

from cjit.datasets.q import Q

R = Q.revise("R", title="CJIT dataset R", effective=date(2030, 4, 1), drop=("HOMELESS",))
""",
    )
    told = copy.run(
        "-c",
        "from cjit.datasets import DATASETS, dataset, due_on; from datetime import date\n"
        "print(list(DATASETS), len(dataset('r').headers), due_on(date(2031, 1, 1)).letter)",
    )
    assert told == "['R', 'Q', 'P'] 48 R\n"
    assert len(copy.edited) == 1
