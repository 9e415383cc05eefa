"""How a watch is told to people."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from tqunits.cli.watch_words import FolderWatched

CALM = FolderWatched(worker="api", state="watches", folders=4, members={})


def seconds_ago(seconds: int) -> int:
    return time.time_ns() // 1000 - seconds * 1_000_000


@pytest.mark.parametrize(
    ("watch", "words", "is_trouble"),
    [
        pytest.param(CALM, "4 folders, nothing has changed since the manager was started", False, id="calm"),
        pytest.param(
            replace(CALM, folders=1, last_event_us=0, last_path="src/main.go"),
            "1 folder, last change 2h ago: src/main.go",
            False,
            id="a change",
        ),
        pytest.param(
            replace(CALM, state="polls", why="nfs"),
            "looked at again and again, nothing has changed since the manager was started: nfs",
            False,
            id="polled",
        ),
        pytest.param(
            replace(CALM, state="broken", why="it is gone"),
            "changes of its files are not noticed: it is gone",
            True,
            id="broken",
        ),
        pytest.param(
            replace(CALM, suspended="data.db"),
            "suspended: changes of data.db do nothing, because the worker may make them itself: watch.ignore "
            "leaves a file out, and 'tqunits deploy api' deploys it nevertheless",
            True,
            id="suspended",
        ),
        pytest.param(
            replace(CALM, state="begins"), "its folder is looked at for the first time", False, id="at the beginning"
        ),
        pytest.param(
            replace(CALM, state="unknown"),
            "not known: the manager is away ('systemctl status tq-manager'), can not watch, or tells it to root "
            "and the worker's operators only",
            False,
            id="no manager",
        ),
    ],
)
def test_words(watch: FolderWatched, words: str, *, is_trouble: bool) -> None:
    if watch.last_event_us is not None:
        watch = replace(watch, last_event_us=seconds_ago(7200))
    assert watch.words == words
    assert watch.trouble == (words if is_trouble else "")
