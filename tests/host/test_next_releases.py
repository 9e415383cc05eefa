"""What an install does with the releases of a worker: who may read what is closed."""

from __future__ import annotations

import grp
import os
from pathlib import Path

import pytest
from host.releases import API, ONE, TWO, layout_in, taken, written
from units.cases import worker

from tqunits.host import release_access, release_manifests
from tqunits.host.next_releases import hand_over_releases
from tqunits.host.release_access import ReleaseAccess
from tqunits.model import Worker, WorkerType

OLD = 12345
MAIL = grp.getgrnam("mail").gr_gid


@pytest.mark.skipif(os.geteuid() != 0, reason="is about folders of root's")
@pytest.mark.parametrize(
    ("of", "group"),
    [
        (worker(API, group="mail"), MAIL),
        (worker(API, group="mail", type=WorkerType.STATIC), 0),
        (worker(API, group="worker-nobody-has"), OLD),
    ],
    ids=["a program", "files alone", "a group that is made later"],
)
def test_a_worker_with_another_group_may_read_its_releases(tmp_path: Path, of: Worker, group: int) -> None:
    layout = layout_in(tmp_path / "state")
    taken(layout, written(tmp_path / "source", run="program", lib__a="a"), ONE, TWO)
    closed, opened = (release_manifests.folder_of(API, layout) / each for each in (ONE, TWO))
    release_access.let_in(closed, ReleaseAccess(group=OLD, way=("lib",)))
    hand_over_releases(of, layout, lambda _: None, now=False)
    found = {path.name: (path.stat().st_gid, path.stat().st_mode & 0o777) for path in (closed, closed / "run")}
    assert found == {ONE: (group, 0o751), "run": (group, 0o640)}
    assert (opened.stat().st_gid, opened.stat().st_mode & 0o777) == (0, 0o755)
    assert (closed / "lib").stat().st_mode & 0o777 == 0o755
