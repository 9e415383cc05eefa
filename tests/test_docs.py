"""Everything that the documents name exists: tests, files of the tree, and the targets of links."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import states

from tqunits.config import nodes
from tqunits.metrics.counters import RouterMetrics
from tqunits.metrics.openmetrics import Now, families

ROOT = Path(__file__).parent.parent
PAGES = sorted([*(ROOT / "docs").glob("*.md"), *ROOT.glob("*.md")])
TEST = re.compile(r"\b(?:tests/)?([a-z]+/test_[a-z_]+|test_[a-z_]+(?=\.py))\b")
LINK = re.compile(r"\]\(([^)#:]+)\)")
FILE = re.compile(r"[\w/.]*\w\.(?:py|c|h|lua)\b")
RULES = re.compile(r"```yaml\n# /etc/prometheus/\S+\n(.*?)```", re.DOTALL)
OURS = ("ARCHITECTURE.md", "CONTRIBUTING.md", "docs/performance.md")
"""Pages in which every file name is a file of the tree; other pages also name files of workers."""
LIFECYCLE = ROOT / "docs/lifecycle.md"
TABLES = "<!-- The tables: TQUNITS_UPDATE_GOLDEN=1 pytest tests/test_docs.py -->\n"
FOLDERS = ("tqunits", "tests", "bench", "packaging")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_that_is_named_is_there(page: Path) -> None:
    named = set(TEST.findall(page.read_text(encoding="utf-8")))
    assert [name for name in sorted(named) if not (ROOT / "tests" / f"{name}.py").exists()] == []


@pytest.mark.parametrize("page", OURS)
def test_every_file_that_is_named_is_there(page: str) -> None:
    """Files are found by the end of their path; NAME stands for any name."""
    named = set(FILE.findall((ROOT / page).read_text(encoding="utf-8")))
    there = [str(path) for folder in FOLDERS for path in (ROOT / folder).rglob("*.*")]
    assert named
    missing = [name for name in sorted(named) if not any(path.endswith(f"/{name}") for path in there)]
    assert [name for name in missing if "NAME" not in name] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    links = LINK.findall(page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_each_line_of_what_holds_names_its_test() -> None:
    rows = [line for line in (ROOT / "docs/security.md").read_text(encoding="utf-8").splitlines() if line[:2] == "| "]
    attacks = [row for row in rows if row.count(" | ") == 2 and not row.startswith(("| attack", "| ---", "| border"))]
    assert len(attacks) > 30
    assert [row for row in attacks[6:] if not TEST.search(row)] == []  # the first six rows are borders


def test_the_metrics_that_documents_name_are_those_that_there_are() -> None:
    """The text of the manager's part is a golden one (manager/test_instance_metrics)."""
    idle = Now(connections=0, in_flight={}, log_dropped=0)
    lines = [*families(RouterMetrics(), idle, process=None), (ROOT / "tests/manager/metrics.txt").read_text()]
    there = dict(re.findall(r"(?m)^# TYPE (\S+) (\S+)$", "".join(lines)))
    rows = re.findall(r"(?m)^\| `(tqunits_\w+)` \| (\w+) \|", (ROOT / "docs/metrics.md").read_text())
    assert sorted(rows) == sorted(there.items())
    named = set(re.findall(r"\btqunits_[a-z_]+(?=[\[{ ])", "".join(RULES.findall((ROOT / "README.md").read_text()))))
    assert {name.removesuffix("_total") for name in named} - there.keys() == set()
    assert len(named) == 3


def test_the_rules_for_alerts_are_yaml() -> None:
    texts = RULES.findall((ROOT / "README.md").read_text())
    readings = [nodes.read(text.encode(), "README.md") for text in texts]
    assert [(type(reading.root), reading.mistakes) for reading in readings] == [(nodes.MapNode, ())] * 2
    assert texts[1].count("- alert: ") == texts[1].count("expr: ") == 3


def test_the_tables_of_the_lifecycle_are_those_of_the_program() -> None:
    prose, mark, tables = LIFECYCLE.read_text(encoding="utf-8").partition(TABLES)
    assert mark
    made = f"\n{states.environment()}\n{states.markdown()}"
    if os.environ.get("TQUNITS_UPDATE_GOLDEN"):
        tables = made
        LIFECYCLE.write_text(f"{prose}{mark}{tables}", encoding="utf-8")
    assert tables == made, "run this test again with TQUNITS_UPDATE_GOLDEN=1"
