"""`tqunits scale` without a service manager: what it takes, what it lists, what it would do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tqunits.cli.main import main
from tqunits.cli.verbs.scale import wished
from tqunits.errors import ExitStatus, UsageError
from tqunits.host.scaling import ScaleOrder

YAML = "path: /{0}\ntype: python\ncommand: [python3, src/main.py]\n"


@pytest.fixture
def root(roots: Path) -> Path:
    for name, more in (("api", ""), ("web", "scaling: {min_workers: 2}\n")):
        (roots / f"workers/{name}/config").mkdir(parents=True)
        (roots / f"workers/{name}/config/worker.yaml").write_text(YAML.format(name) + more)
    (roots / "config/tqunits.yaml.d").mkdir(parents=True)
    return roots


def test_numbers_and_the_end_of_one() -> None:
    assert wished(["api=3", "tq-worker@web.service=12", "shop=-"]) == (
        ScaleOrder("api", 3),
        ScaleOrder("web", 12),
        ScaleOrder("shop", None),
    )


@pytest.mark.parametrize(
    ("texts", "message", "hint"),
    [
        ("api", "'api' is no name and number", "write NAME=3, or NAME=- for what worker.yaml says"),
        ("=3", "'3' is no name and number", "write NAME=3, or NAME=- for what worker.yaml says"),
        ("api=", "api: '' is not a whole decimal number", None),
        ("api=0", "api: 0 is not within 1 and 1000", "'tqunits stop api' stops it"),
        ("api=1001", "api: 1001 is not within 1 and 1000", "write a number from 1 to 1000"),
        ("api=+1", "api: '+1' is not a whole decimal number", None),
        ("api=two", "api: 'two' is not a whole decimal number", None),
        ("api=2 web=1 api=2", "'api' is there twice", "leave one of them out"),
        ("api:2=3", "tq-worker@api:2.service is one of several instances of api", "say it of the worker: api"),
    ],
)
def test_what_is_no_wish(texts: str, message: str, hint: str | None) -> None:
    with pytest.raises(UsageError) as refused:
        wished(texts.split())
    assert refused.value.message == message
    assert hint in (None, refused.value.hint)


def test_the_list_says_where_each_number_is_from(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "config/tqunits.yaml.d/scale.yaml").write_text("scale:\n  web: 3\n  gone: 2\n")
    (root / "workers/bad/config").mkdir(parents=True)
    (root / "workers/bad/config/worker.yaml").write_text("path: bad")
    (root / "workers/files/config").mkdir(parents=True)
    (root / "workers/files/config/worker.yaml").write_text("path: /files\ntype: static\n")
    assert main(["-C", str(root), "scale"]) == ExitStatus.OK
    assert [line.split(maxsplit=3) for line in capsys.readouterr().out.splitlines()] == [
        ["NAME", "INSTANCES", "WANTED", "FROM"],
        ["api", "0", "1", "default"],
        ["bad", "0", "-", f"{root}/workers/bad/config/worker.yaml has an error"],
        ["gone", "0", "-", "no worker of this name is configured"],
        ["web", "0", "3", f"{root}/config/tqunits.yaml.d/scale.yaml:2"],
    ]


def test_the_list_as_json(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-C", str(root), "scale", "--json"]) == ExitStatus.OK
    api, web = json.loads(capsys.readouterr().out)["workers"]
    assert api == {"name": "api", "installed": 0, "wanted": 1, "origin": "default", "file": None, "line": None}
    assert (web["wanted"], web["file"], web["line"]) == (2, f"{root}/workers/web/config/worker.yaml", 4)


def test_a_dry_run_shows_the_file_and_changes_nothing(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-C", str(root), "scale", "--dry-run", "api=2"]) == ExitStatus.USAGE
    shown = capsys.readouterr().out
    assert f"+++ {root}/config/tqunits.yaml.d/scale.yaml" in shown
    assert "+  api: 2\n" in shown
    assert "+++ /etc/systemd/system/tq-worker@api:2.service.d/10-tqunits.conf" in shown
    assert "tq-worker@web" not in shown
    assert not (root / "config/tqunits.yaml.d/scale.yaml").exists()


def test_a_refusal_is_one_document_with_its_place(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "config/tqunits.yaml.d/own.yaml").write_text("scale: {api: 2}\n")
    assert main(["-C", str(root), "scale", "--json", "api=3"]) == ExitStatus.FAILED
    said = json.loads(capsys.readouterr().out)
    assert (said["schema"], said["file"], said["line"], said["column"]) == (
        "tqunits.error",
        f"{root}/config/tqunits.yaml.d/own.yaml",
        1,
        9,
    )
