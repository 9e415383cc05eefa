"""The command line without a service manager: hints for mistyped words, and JSON as the man page
documents it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from commands import commands
from documents import PAGE, documented, members

from tqunits import __version__
from tqunits.cli.main import VERBS, main, usage
from tqunits.config.setting import File
from tqunits.config.settings import SETTINGS
from tqunits.errors import ExitStatus

ROOT = Path(__file__).parents[2]
YAML = "path: /\ncommand: [sleep, infinity]\nscaling: {max_workers: 2}\n"  # one note


WITHOUT_JSON = {
    "completion": "what it prints is a script for a shell",
    "harvest": "it answers the manager, in a file",
    "manager": "it is the manager itself, and ends when it is stopped",
    "proxy": "it is the router itself, and ends when it is stopped",
}


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("instal", "did you mean 'install'?"),
        ("status", "did you mean 'tqunits ls' or 'tqunits why NAME'?"),
        ("sl", "did you mean 'tqunits ls'?"),
        ("up", "did you mean 'tqunits install --now'?"),
        ("release", "did you mean 'tqunits deploy'?"),
        ("undo", "did you mean 'tqunits rollback'?"),
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


def test_the_version_alone_asks_no_router(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version", "--json"]) == ExitStatus.OK
    document = json.loads(capsys.readouterr().out)
    assert document == {
        "schema": "tqunits.version",
        "version": 1,
        "tqunits": __version__,
        "routers": None,
        "manager": None,
    }
    assert documented("version") == {"tqunits", "routers", "manager", "unit", "release", "pid"}


@pytest.mark.parametrize("verb", ["check", "docs", "doctor", "init", "security"])
def test_the_man_page_names_every_member_of_a_json_document(
    verb: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["two", "--type", "python"] if verb == "init" else []
    main(["-C", str(root), verb, *arguments, "--json"])
    document = json.loads(capsys.readouterr().out)
    assert (document.pop("schema"), document.pop("version")) == (f"tqunits.{verb}", 1)
    assert members(document) == documented(verb)


def test_the_man_page_names_every_document() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tqunits/cli").rglob("*.py"))
    written = set(re.findall(r'output\.json(?:_line)?\(\s*"(\w+)",\s*1', sources))
    assert written == set(re.findall(r"^\.TP\n\.B tqunits\.(\w+)$", PAGE, re.M))


@pytest.mark.parametrize("verb", [verb.name for group in VERBS for verb in group.verbs])
def test_every_verb_has_json_or_a_reason_to_have_none(verb: str) -> None:
    (command,) = (command for command in commands() if command.name == verb)
    flags = {flag for option in command.options for flag in option.flags}
    assert ("--json" in flags) is (verb not in WITHOUT_JSON)


@pytest.mark.parametrize(
    ("line", "schema"),
    [
        ("diff", "diff"),
        ("install --dry-run", "diff"),
        ("apply --dry-run", "diff"),
        ("uninstall --all --dry-run", "uninstall"),
        ("render", "render"),
        ("scale", "scale"),
        ("scale one=2 --dry-run", "diff"),
        ("scale nobody=2", "error"),
        ("ls nobody", "error"),
        ("start nobody", "error"),
        ("start", "error"),
        ("pause nobody", "error"),
        ("maintenance on nobody", "error"),
        ("deploy", "error"),
        ("history", "error"),
    ],
    ids=str,
)
def test_the_document_holds_what_the_page_says(
    line: str, schema: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = main(["-C", str(root), "--user", *line.split()])
    capsys.readouterr()
    status = main(["-C", str(root), "--user", *line.split(), "--json"])
    document = json.loads(capsys.readouterr().out)
    assert (document["schema"], document["version"], status) == (f"tqunits.{schema}", 1, plain)
    assert document.get("exit_status", status) == status
    assert members(document) - {"schema", "version"} <= documented(schema)


@pytest.mark.parametrize("more", ["", "type: php\n"], ids=["exec", "php"])
def test_every_setting_of_a_worker_is_shown(more: str, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "workers/one/config/worker.yaml").write_text(YAML + more)
    assert main(["-C", str(root), "--user", "show", "one", "--json"]) == 0
    shown = {row["key"] for row in json.loads(capsys.readouterr().out)["settings"]}
    every = {setting.key for setting in SETTINGS if setting.file is File.WORKER}
    assert every - shown == {"php.document_root", "php.settings"}  # they belong to the command


def test_what_is_shown_is_what_the_page_says(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["-C", str(root), "--user", "show", "one", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert members(document) - {"schema", "version"} <= documented("show") | documented("why")
    assert set(document) - {"schema", "version"} <= documented("show")


def test_a_wrong_configuration_is_a_document_with_its_places(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "config").mkdir()
    (root / "config/tqunits.yaml").write_text("mode: nowhere\n")
    assert main(["-C", str(root), "--user", "diff", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["schema"], document["exit_status"]) == ("tqunits.error", 1)
    assert (1, "error") in {(each["line"], each["severity"]) for each in document["diagnostics"]}
    assert members(document) - {"schema", "version"} == documented("error")
