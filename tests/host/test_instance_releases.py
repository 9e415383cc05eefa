"""The releases of an instance: what it runs, what its next start runs, and the last stable one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest
from host.releases import API, ONE, TWO, layout_in, taken, written

from tqunits.host import release_links
from tqunits.host.instance_releases import InstanceReleases, releases_of, releases_of_files
from tqunits.layout import Layout
from tqunits.model import Instance
from tqunits.routing.codec.document import Served
from tqunits.routing.released_files import ReleasedFiles


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """With two releases; the second instance serves with the first of them."""
    found = replace(layout_in(tmp_path / "state"), runtime=PurePosixPath(tmp_path))
    taken(found, written(tmp_path / "source", run="program"), ONE, TWO)
    written(tmp_path / "workers/api:2", serving=f"{ONE}\n")
    return found


def test_each_instance_has_its_own(layout: Layout) -> None:
    release_links.point(layout, API, {1: ONE, 2: TWO})
    release_links.mark_stable(layout, API, ONE)
    assert releases_of(Instance(API, 2), layout) == InstanceReleases(running=ONE, next_start=TWO, stable=ONE)
    assert releases_of(Instance(API), layout) == InstanceReleases(next_start=ONE, stable=ONE)
    assert releases_of(Instance(API, 3), layout) == InstanceReleases(stable=ONE)


def test_a_worker_without_releases_has_none(layout: Layout) -> None:
    assert releases_of(Instance("shop"), layout) == InstanceReleases()


def test_static_files_are_of_the_release_that_the_link_of_number_1_leads_to(layout: Layout) -> None:
    release_links.point(layout, API, {1: TWO})
    release_links.mark_stable(layout, API, ONE)
    link = str(release_links.runs_folder(layout, API) / "1")
    files = Served(
        name=API,
        hosts=(),
        routes=("/",),
        directory="/srv/api",
        release=ReleasedFiles(link=link, directory=f"{link}/public"),
    )
    assert releases_of_files(files, layout) == InstanceReleases(running=TWO, next_start=TWO, stable=ONE)
    elsewhere = replace(files, release=None)
    assert releases_of_files(elsewhere, layout) == InstanceReleases(stable=ONE), "its files are in no release"
    release_links.clear(layout, API, [1])
    assert releases_of_files(files, layout).running is None
    Path(link).symlink_to("../../../etc")
    assert releases_of_files(files, layout).running is None
