"""The command line without a service manager: hints for what was mistyped, and JSON as the man page has it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tqunits.cli.main import main, usage

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "packaging/man/tqunits.1.in").read_text(encoding="utf-8")
YAML = "path: /\ncommand: [sleep, infinity]\nscaling: {max_workers: 2}\n"  # one note


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("instal", "did you mean 'install'?"),
        ("status", "did you mean 'tqunits ls' or 'tqunits why NAME'?"),
        ("sl", "did you mean 'tqunits ls'?"),
        ("up", "did you mean 'tqunits install --now'?"),
        ("frobnicate", "see 'tqunits --help'"),
        ("ls --jsno", "see 'tqunits ls --help'"),
        ("install -C .", "write it before the verb: tqunits -C DIR install ..."),
        ("ls --user", "write it before the verb: tqunits --user ls ..."),
        ("docs limits.memory_mx", "did you mean 'limits.memory_max'?"),
    ],
    ids=str,
)
def test_a_mistyped_line_is_met_with_the_right_one(line: str, hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1].strip() == f"hint: {hint}"


def test_the_usage_fits_a_terminal_of_eighty_columns() -> None:
    assert max(len(line) for line in usage().splitlines()) <= 80


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "workers/one/config").mkdir(parents=True)
    (tmp_path / "workers/one/config/worker.yaml").write_text(YAML)
    return tmp_path


@pytest.mark.parametrize("verb", ["check", "docs", "doctor", "init", "security", "version"])
def test_the_man_page_names_every_member_of_a_json_document(
    verb: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["two", "--type", "python"] if verb == "init" else []
    main(["-C", str(root), verb, *arguments, "--json"])
    document = json.loads(capsys.readouterr().out)
    assert (document.pop("schema"), document.pop("version")) == (f"tqunits.{verb}", 1)
    assert members(document) == documented(verb)


def test_the_man_page_names_every_document() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tqunits/cli").glob("*.py"))
    assert set(re.findall(r'output\.json\("(\w+)", 1', sources)) == set(re.findall(r"^\.B tqunits\.(\w+)$", PAGE, re.M))


def members(value: object) -> set[str]:
    """The names of all members; what is named by the user (a type's preset) is none."""
    match value:
        case dict():
            named = {key: each for key, each in value.items() if key != "presets"}
            return {*value, *(name for each in named.values() for name in members(each))}
        case list():
            return {name for each in value for name in members(each)}
        case _:
            return set()


def documented(verb: str) -> set[str]:
    """The names that stand in italics in the page's paragraph about this document."""
    paragraph = PAGE.partition(f".B tqunits.{verb}\n")[2].partition("\n.")[0]
    return set(re.findall(r"\\fI(\w+)\\fR", paragraph))
