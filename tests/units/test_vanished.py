"""Whether installed workers that are no longer configured are to be removed."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqunits.units.vanished import Sources, WorkersFolder, doubt, sentence

HERE = PurePosixPath("/srv/workers")
ALPHA: Sources = {"alpha": HERE / "alpha/config/worker.yaml"}
ELSEWHERE: Sources = {"alpha": PurePosixPath("/srv/workers2/alpha/config/worker.yaml")}
UNKNOWN: Sources = {"alpha": None}


def found(*configured: str, is_there: bool = True) -> WorkersFolder:
    return WorkersFolder(directory=HERE, is_there=is_there, configured=configured)


@pytest.mark.parametrize(
    ("what", "gone", "reason"),
    [
        pytest.param(found("web"), {}, None, id="nobody is gone"),
        pytest.param(found(), {}, None, id="a host without workers"),
        pytest.param(found("web"), ALPHA, None, id="one of two"),
        pytest.param(found("web"), UNKNOWN, None, id="nobody knows where from"),
        pytest.param(found(), ALPHA, "no worker is in /srv/workers, and alpha is installed", id="empty"),
        pytest.param(
            found(is_there=False),
            UNKNOWN,
            "the folder of the workers, /srv/workers, is not there, and alpha is installed",
            id="not there",
        ),
        pytest.param(
            found("web"),
            ELSEWHERE,
            "alpha is installed from /srv/workers2, not from /srv/workers",
            id="of another root, whose path begins alike",
        ),
    ],
)
def test_doubts(what: WorkersFolder, gone: Sources, reason: str | None) -> None:
    why = doubt(what, gone)
    assert (why.reason if why else None) == reason


@given(st.sets(st.sampled_from("abcdefghij"), min_size=1))
def test_all_are_counted(names: set[str]) -> None:
    said = sentence(names)
    head, _, more = said.partition(" and ")
    assert len(head.split(", ")) + int(more.split()[0] if more else 0) == len(names)
