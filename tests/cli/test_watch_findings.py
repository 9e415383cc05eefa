"""What doctor says about the watch, of what the manager may say."""

from __future__ import annotations

import pytest

from tqunits.cli.watch_findings import findings
from tqunits.cli.watch_words import FolderWatched
from tqunits.host.diagnosis import Level

LIMIT = (8192, "fs.inotify.max_user_watches")


def told(worker: str, state: str, *, folders: int = 3, why: str = "", suspended: str = "") -> FolderWatched:
    return FolderWatched(worker=worker, state=state, folders=folders, why=why, suspended=suspended, members={})


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param([told("api", "watches")], [(Level.OK, "changes in 3 folders of 1 workers")], id="well"),
        pytest.param(None, [(Level.PROBLEM, "so changes are not noticed: api")], id="away"),
        pytest.param([], [(Level.PROBLEM, "changes of their files are not noticed: api")], id="forgotten"),
        pytest.param([told("api", "broken", why="closed")], [(Level.PROBLEM, "not noticed: closed")], id="broken"),
        pytest.param(
            [told("api", "watches", suspended="a")], [(Level.WARNING, "suspended: changes of a")], id="suspended"
        ),
        pytest.param([told("api", "polls", why="nfs")], [(Level.WARNING, "every few seconds: nfs")], id="polls"),
        pytest.param(
            [told("api", "watches", folders=7000)],
            [(Level.WARNING, "7000 folders are watched, and fs.inotify.max_user_watches is 8192")],
            id="nearly exhausted",
        ),
    ],
)
def test_findings(answer: list[FolderWatched] | None, expected: list[tuple[Level, str]]) -> None:
    manager = None if answer is None else {each.worker: each for each in answer}
    found = list(findings(["api"], manager, LIMIT, is_all=True))
    assert [each.level for each in found] == [level for level, _ in expected]
    for each, (_, part) in zip(found, expected, strict=True):
        assert part in each.message


def test_who_is_told_of_his_own_workers_only_misses_none() -> None:
    assert [each.level for each in findings(["api"], {}, LIMIT, is_all=False)] == [Level.OK]


def test_who_may_not_ask_is_told_nothing() -> None:
    """Whether the manager is away is not known to him."""
    assert not list(findings(["api"], None, LIMIT, is_all=False))


def test_where_nothing_is_watched_nothing_is_said() -> None:
    assert not list(findings([], None, LIMIT, is_all=True))
