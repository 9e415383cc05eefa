"""The rendered trees, compared with the files in golden/.

TQUNITS_UPDATE_GOLDEN=1 pytest tests/units/test_golden.py writes them anew; git shows the changes.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from units.cases import CASES, USER_LAYOUT, Case

GOLDEN = Path(__file__).parent / "golden"


def read_tree(folder: Path) -> dict[str, str]:
    return {f"/{p.relative_to(folder)}": p.read_text() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("name", CASES)
def test_the_tree_is_the_golden_one(name: str) -> None:
    rendered = {str(file.path): file.content for file in CASES[name].files()}
    if os.environ.get("TQUNITS_UPDATE_GOLDEN"):
        write(name, rendered)
    golden = read_tree(GOLDEN / name)
    assert sorted(rendered) == sorted(golden)
    for path, text in rendered.items():
        assert text == golden[path], path


def write(name: str, files: dict[str, str]) -> None:
    shutil.rmtree(GOLDEN / name, ignore_errors=True)
    for path, text in files.items():
        place = GOLDEN / name / path.removeprefix("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_files_come_sorted_once_each_and_readable_by_all(case: Case) -> None:
    files = case.files()
    paths = [file.path for file in files]
    assert paths == sorted(set(paths))
    assert {file.mode for file in files} == {0o644}


def test_a_users_manager_gets_files_below_its_own_folder_only() -> None:
    assert {f.path.is_relative_to(USER_LAYOUT.units) for f in CASES["user"].files()} == {True}
