"""What root does for the manager: nothing for a name that is no installed worker's, and in
development mode no release."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest
from host.releases import API, layout_in, taken, written
from units.cases import CASES

from tqunits.errors import NoSuchWorker
from tqunits.host import built, prepare, release_links, release_manifests
from tqunits.host.harvesting import harvest
from tqunits.host.made import Made
from tqunits.host.premises import Premises
from tqunits.host.routes import routes_snapshot
from tqunits.lifecycle.release import BuildRequest, HarvestOrder, HarvestResult, order_text
from tqunits.model import Worker
from tqunits.system.bus import Bus
from tqunits.units import ledger, name
from tqunits.units.ledger import LedgerEntry
from tqunits.units.rendering import render
from tqunits.units.unitfile import last_value

DEVELOPMENT = "mode: development\n"
PLAIN = "path: /api\ntype: python\ncommand: [python3, src/main.py]\n"
BUILT = f"{PLAIN}build: {{command: [python3, make.py]}}\n"
HIDDEN = f"{PLAIN}sandbox: [writable-code]\n"
STATIC = "path: /api\ntype: static\n"
MAKE = BuildRequest("root", "")
LOOK = BuildRequest("root", "", only_look=True)
TEMPLATES = {p.name: p.read_text() for p in (Path(__file__).parents[2] / "unit-templates").glob("*.j2")}
IS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="is done by root, with files of root's")


class Root:
    """A host that lies in a folder, with the worker api; no systemd answers."""

    def __init__(self, folder: Path) -> None:
        places = {each: PurePosixPath(folder, each) for each in ("units", "configuration", "workers", "runtime")}
        self.layout = replace(layout_in(folder / "state"), **places)
        self.premises = Premises(root=None, layout=self.layout, user_mode=False)
        self.folder = folder

    def configured(self, server: str, yaml: str) -> Worker:
        """The worker as its files are now."""
        written(self.folder, **{"configuration/tqunits.yaml": server, "workers/api/config/worker.yaml": yaml})
        written(self.folder, **{"workers/api/src/main.py": "1", "workers/api/public/index.html": "1"})
        (found,) = prepare.configured(self.premises).configured().workers
        return found

    def installed(self, server: str, yaml: str) -> Worker:
        """The same, and its unit is written."""
        found = self.configured(server, yaml)
        site = prepare.configured(self.premises).configured()
        host = replace(CASES["empty"].target, layout=self.layout, has_polkit=False)
        ports = dict.fromkeys(found.instances, 9000)
        units = {file.unit: file.content for file in render(site, host, ports, TEMPLATES)}
        drop_in = units.get(name.service(found.instances[0]))
        if drop_in is not None:
            written(self.folder, **{"units/tq-worker@api.service.d/10-tqunits.conf": drop_in})
        entry = LedgerEntry(worker=API, source=str(found.source), source_hash=found.source_hash, drop_in=drop_in)
        routes = routes_snapshot(site, host, ports)
        written(self.folder, **{"state/routes.json": routes, "state/ledger.json": ledger.dump([entry])})
        return found

    def asked(self, asked: BuildRequest) -> HarvestResult:
        order = order_text(HarvestOrder(number=7, build=asked, runs={}, stable=None))
        written(self.folder, **{"state/manager/orders/api.json": order})
        return harvest(API, self.premises, Bus(user_mode=True))


@pytest.fixture
def root(roots: Path) -> Root:
    return Root(roots)


def test_a_name_that_nobody_has_is_no_failure_of_a_unit(tmp_path: Path) -> None:
    """The manager can start tq-harvest@NAME.service with any NAME, and systemd keeps a unit that
    has failed in its memory until somebody resets it."""
    premises = Premises(root=None, layout=layout_in(tmp_path), user_mode=False)
    with pytest.raises(NoSuchWorker, match="nobody-has-it is not installed") as caught:
        harvest("nobody-has-it", premises, Bus(user_mode=True))
    assert not list(tmp_path.iterdir())
    unit = next(each for each in CASES["empty"].files() if each.path.name == name.HARVEST_TEMPLATE)
    assert last_value(unit.content, "Service", "SuccessExitStatus") == f"{caught.value.exit_status:d}"


@IS_ROOT
@pytest.mark.parametrize("asked", [MAKE, LOOK], ids=["make", "look"])
@pytest.mark.parametrize("yaml", [PLAIN, HIDDEN, STATIC], ids=["program", "writable", "files"])
def test_in_development_mode_a_folder_is_taken_as_it_is(root: Root, yaml: str, asked: BuildRequest) -> None:
    """No release is made, whatever would keep the worker from running one."""
    root.installed(DEVELOPMENT, yaml)
    assert root.asked(asked) == HarvestResult(number=7, in_folder=True)
    assert not release_manifests.all_of(root.layout, API)


@IS_ROOT
def test_what_keeps_a_worker_from_releases_is_said_in_production(root: Root) -> None:
    root.installed("mode: production\n", HIDDEN)
    found = root.asked(MAKE)
    assert (found.in_folder, found.why) == (
        False,
        "it can not run releases: it may write its own folder (sandbox: writable-code)",
    )


@IS_ROOT
@pytest.mark.parametrize("modes", [("production", "development"), ("development", "production")])
@pytest.mark.parametrize("yaml", [PLAIN, STATIC], ids=["program", "files"])
def test_a_mode_that_is_not_installed_yet_changes_nothing(root: Root, yaml: str, modes: tuple[str, str]) -> None:
    """Otherwise an instance would get a release that it has no mount for, or keep the one that it
    has."""
    installed, configured = modes
    root.installed(f"mode: {installed}\n", yaml)
    root.configured(f"mode: {configured}\n", yaml)
    if (yaml, configured) == (STATIC, "production"):
        assert root.asked(LOOK) == HarvestResult(number=7), "the manager sees that the routers follow no link"
    else:
        assert root.asked(MAKE).why == "the mode in tqunits.yaml is not what is installed"


@IS_ROOT
def test_who_looks_is_told_whether_a_build_is_due(root: Root) -> None:
    one = root.installed(DEVELOPMENT, BUILT)
    assert not root.asked(LOOK).in_folder, "it was never built"
    now = built.glance(one, root.layout)
    assert now is not None
    built.end(one, root.layout, now.sources, Made())
    assert root.asked(LOOK).in_folder
    assert root.asked(MAKE) == HarvestResult(number=7, in_folder=True), "nothing is built"
    written(root.folder, **{"workers/api/src/main.py": "2"})
    assert not root.asked(LOOK).in_folder


@IS_ROOT
@pytest.mark.parametrize(
    ("installed", "configured", "why"),
    [
        (PLAIN, f"{PLAIN}group: mail\n", "its worker.yaml is not what is installed"),
        (PLAIN.replace("python3", "nothing-such"), None, "nothing-such is not installed, which it needs to run it"),
        (
            BUILT.replace("[python3, m", "[nothing-such, m"),
            None,
            "nothing-such is not installed, which it needs to build it",
        ),
    ],
    ids=["another", "program", "compiler"],
)
def test_what_can_not_be_taken_is_said(root: Root, installed: str, configured: str | None, why: str) -> None:
    root.installed(DEVELOPMENT, installed)
    if configured is not None:
        root.configured(DEVELOPMENT, configured)
    found = root.asked(MAKE)
    assert (found.in_folder, found.why) == (False, why)


@IS_ROOT
def test_releases_from_before_stay_and_count_again_in_production(root: Root, tmp_path: Path) -> None:
    one = root.installed("mode: production\n", BUILT)
    release = "000000000001"
    taken(root.layout, written(tmp_path / "source", program="x"), release)
    release_links.point(root.layout, API, {1: release})
    release_links.mark_stable(root.layout, API, release)
    assert built.glance(one, root.layout) is None, "a deploy builds it"
    one = root.installed(DEVELOPMENT, BUILT)
    now = built.glance(one, root.layout)
    assert now is not None
    assert now.reason == "it was never built"
    built.end(one, root.layout, now.sources, Made())
    assert API in built.times(root.layout), "who runs the program of before is restarted"
    assert root.asked(MAKE).in_folder
    assert release_links.runs_of(root.layout, API) == {1: release}
    one = root.installed("mode: production\n", BUILT)
    assert built.glance(one, root.layout) is None
    assert API not in built.times(root.layout)
