"""What an install does with the releases of a worker: which instances count as installed before,
and who may read what is closed."""

from __future__ import annotations

import grp
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from host.releases import API, ONE, TWO, layout_in, taken, written
from units.cases import case, worker

from tqunits.host import release_access, release_links, release_manifests
from tqunits.host.next_releases import hand_over_releases, installed_before, run_from_folder, settle
from tqunits.host.release_access import ReleaseAccess
from tqunits.host.routes import routes_snapshot
from tqunits.layout import SYSTEM_LAYOUT
from tqunits.model import Mode, Static, Worker, WorkerType
from tqunits.units import ledger, name
from tqunits.units.ledger import LedgerEntry
from tqunits.units.observed import ObservedFile

LAYOUT = SYSTEM_LAYOUT
OLD = 12345
THREE_WORKERS = replace(worker(API).scaling, min_workers=3)
MAIL = grp.getgrnam("mail").gr_gid


def routes(*names: str) -> str:
    files = {"directory": "/srv/docs/public", "prefix": "/"}
    return json.dumps({"version": 1, "workers": [{"name": each, "static": files} for each in names]})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (routes("docs"), {"docs", "api"}),
        (routes(), {"api"}),
        ("", {"docs", "api"}),
        ("\0" * 10, {"docs", "api"}),
        (None, {"docs", "api"}),
    ],
    ids=["served", "not served", "empty", "damaged", "lost"],
)
def test_files_alone_are_not_new_because_the_routes_are_lost(text: str | None, found: set[str]) -> None:
    """A worker that is new goes back to its folder: its site would change, and nobody has deployed
    it."""
    kept = ledger.dump([LedgerEntry(worker="docs", source="/srv/docs/worker.yaml", source_hash="0")])
    texts = {LAYOUT.ledger: kept, LAYOUT.units / "tq-worker@api.service.d" / name.DROP_IN: ""}
    texts |= {LAYOUT.routes: text} if text is not None else {}
    files = {path: ObservedFile(content=content, modified=0) for path, content in texts.items()}
    assert installed_before(files, LAYOUT) == dict.fromkeys(found, frozenset({1}))


@pytest.mark.parametrize("mode", Mode)
def test_who_ran_from_the_folder_is_known_from_what_was_installed(mode: Mode) -> None:
    """Those who have a release run it again in production, which is said."""
    docs = worker("docs", type=WorkerType.STATIC, command=(), static=Static(directory="public", prefix="/"))
    site = case(worker(API), docs, mode=mode)
    texts = {file.path: file.content for file in site.files()}
    texts[LAYOUT.routes] = routes_snapshot(site.configuration, site.target, site.ports())
    files = {path: ObservedFile(content=content, modified=0) for path, content in texts.items()}
    assert run_from_folder(files, LAYOUT) == ({API, "docs"} if mode is Mode.DEVELOPMENT else set())
    del files[LAYOUT.routes]
    assert run_from_folder(files, LAYOUT) == ({API} if mode is Mode.DEVELOPMENT else set())


@pytest.mark.parametrize(
    ("of", "links"),
    [
        (worker(API, type=WorkerType.STATIC, scaling=THREE_WORKERS), {1: ONE}),
        (worker(API, scaling=THREE_WORKERS), {1: ONE, 2: TWO, 3: TWO}),
    ],
    ids=["files alone", "programs"],
)
def test_files_alone_have_one_link_whatever_is_said_of_workers(
    tmp_path: Path, of: Worker, links: dict[int, str]
) -> None:
    """`scaling.min_workers` may be of `defaults`."""
    layout = layout_in(tmp_path / "state")
    taken(layout, written(tmp_path / "source", page="page"), ONE, TWO)
    release_links.point(layout, API, {1: ONE})
    release_links.mark_stable(layout, API, TWO)
    settle(of, layout, lambda _: None, frozenset({1}))
    assert release_links.runs_of(layout, API) == links


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
