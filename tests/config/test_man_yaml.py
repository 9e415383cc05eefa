"""`tqunits check` accepts the YAML in the man pages: each example is checked as a file of its
own."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from manual import Example, Kind, of_kind

from tqunits.cli.main import main
from tqunits.errors import ExitStatus


def is_workers(example: Example) -> bool:
    """Only the file of a worker has a route."""
    return re.search(r"^path:", example.text, re.MULTILINE) is not None


@pytest.mark.parametrize("example", of_kind(Kind.YAML), ids=str)
def test_it_is_a_file_without_a_mistake(example: Example, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = "workers/shop/config/worker.yaml" if is_workers(example) else "config/tqunits.yaml"
    (tmp_path / "workers").mkdir()
    (tmp_path / place).parent.mkdir(parents=True)
    (tmp_path / place).write_text(example.text, encoding="utf-8")
    status = main(["-C", str(tmp_path), "--user", "check", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert [each for each in found["diagnostics"] if each["severity"] == "error"] == []
    assert status == ExitStatus.OK
    assert found["workers"] == (["shop"] if is_workers(example) else [])


def test_there_are_files_of_both_kinds() -> None:
    assert {is_workers(example) for example in of_kind(Kind.YAML)} == {True, False}
