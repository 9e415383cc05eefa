"""What is remembered of pauses after failures, and when it is forgotten."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from tqunits.host import pauses
from tqunits.layout import SYSTEM_LAYOUT

PAUSES = {"api", "api:2", "api:12", "api-v2", "shop", "no worker's"}

GONE = {
    "a worker, with all its processes": (["api"], {"api-v2", "shop", "no worker's"}),
    "several": (["shop", "api-v2"], {"api", "api:2", "api:12", "no worker's"}),
    "nobody": ([], PAUSES),
}


@pytest.mark.parametrize(("workers", "left"), GONE.values(), ids=GONE)
def test_only_theirs_is_forgotten(tmp_path: Path, workers: list[str], left: set[str]) -> None:
    for each in PAUSES:
        (tmp_path / "backoff" / each).mkdir(parents=True)
        (tmp_path / "backoff" / each / "state").touch()
    pauses.forget(replace(SYSTEM_LAYOUT, runtime=PurePosixPath(tmp_path)), workers)
    assert {folder.name for folder in (tmp_path / "backoff").iterdir()} == left


def test_of_all_and_where_there_is_nothing(tmp_path: Path) -> None:
    layout = replace(SYSTEM_LAYOUT, runtime=PurePosixPath(tmp_path))
    pauses.forget(layout, ["api"])
    (tmp_path / "backoff" / "api").mkdir(parents=True)
    pauses.forget(layout, None)
    pauses.forget(layout, None)
    assert not (tmp_path / "backoff").exists()


def test_a_worker_is_remembered_by_any_process_of_it(tmp_path: Path) -> None:
    for each in PAUSES - {"api"}:
        (tmp_path / "backoff" / each).mkdir(parents=True)
    layout = replace(SYSTEM_LAYOUT, runtime=PurePosixPath(tmp_path))
    assert pauses.remembered(layout) == {"api", "api-v2", "shop"}
