"""What the manager makes of orders for deploys on a host whose systemd does not answer: each one
ends, with the reason, and nothing is lost on the way. What a deploy does is tried on a booted
systemd (tests/install/test_deploys.py)."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest
from host.releases import ONE, THREE, TWO, taken, written
from manager.placed import place, serve

from tqunits.control.deploy_protocol import DeployOrder
from tqunits.control.protocol import Problem
from tqunits.lifecycle.deploys import DeployKind, DeployOutcome, DeployRecord
from tqunits.lifecycle.state import Event
from tqunits.manager.announcements import Announcements
from tqunits.manager.deploy_desk import Deploys
from tqunits.manager.deploy_files import DeployFiles
from tqunits.manager.deploy_log import DeployLog
from tqunits.manager.hands import Hands
from tqunits.manager.record import Seen
from tqunits.manager.restart_goal import RestartGoal
from tqunits.manager.router_status import Routers
from tqunits.model import Instance
from tqunits.routing.codec.schema import USUAL, snapshot_text
from tqunits.routing.released_files import ReleasedFiles
from tqunits.routing.snapshot import StaticFiles
from tqunits.routing.spelling import snapshot_around
from tqunits.units import name
from tqunits.units.folder_note import FolderUse

pytestmark = pytest.mark.loops("uvloop")

DEPLOY = DeployOrder(("api",), DeployKind.DEPLOY)
BUILD = DeployOrder(("api",), DeployKind.BUILD)
RESTART = DeployOrder(("api",), DeployKind.RESTART)
RELEASE = "0123456789ab"
IS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="is about folders of root's")


class Desk:
    """A manager's deploys, of a worker api."""

    def __init__(self, hands: Hands) -> None:
        self.hands = hands
        self.layout = hands.layout
        self.installed("api")
        self.log = DeployLog(DeployFiles(self.layout), pytest.fail)
        self.deploys = Deploys(hands, self.log, Announcements(None), rolls=1)

    def installed(self, *workers: str) -> None:
        """These are installed, and no others."""
        self.hands.registry.place([place(Instance(worker)) for worker in workers])

    def releases(self) -> Path:
        return Path(self.layout.state, "releases", "api")

    def opened(self, kind: DeployKind, release: str | None = None) -> DeployRecord:
        """An order that an earlier manager has written down."""
        return self.log.open("api", DeployOrder(("api",), kind), "root", release=release)

    async def ended(self, record: DeployRecord) -> DeployRecord:
        """The record once it has ended. A deploy that never ends fails the test."""
        async with asyncio.timeout(10):
            while not (found := self.log.get(record.worker, record.number)).outcome.is_ended:
                await self.log.wait(self.log.last_event, [record.number], 1)
        return found


@pytest.fixture
async def desk(hands: Hands) -> AsyncIterator[Desk]:
    found = Desk(hands)
    yield found
    found.deploys.close()


@pytest.fixture
async def open_desk(hands: Hands, roots: Path) -> AsyncIterator[Desk]:
    """The same, with releases where everybody can get to them."""
    found = Desk(replace(hands, layout=replace(hands.layout, state=PurePosixPath(roots))))
    yield found
    found.deploys.close()


async def test_a_fault_that_nobody_foresaw_ends_the_deploy_and_is_said(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.releases().mkdir(parents=True)
    (desk.releases() / "runs").write_text("not a folder")
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["exception"]))
    (record,) = desk.deploys.accept(DEPLOY, "root")
    ended = await desk.ended(record)
    assert ended.outcome is DeployOutcome.FAILED
    assert "NotADirectoryError" in ended.why
    assert [type(each) for each in reported] == [NotADirectoryError]
    assert "deploy 1 of api by root: failed" in capsys.readouterr().err


async def test_a_bus_that_is_away_ends_it_too(desk: Desk) -> None:
    (record,) = desk.deploys.accept(DEPLOY, "root")
    assert (await desk.ended(record)).outcome is DeployOutcome.FAILED


async def test_a_worker_that_is_being_deployed_is_not_pruned(desk: Desk) -> None:
    """A prune names the stable release, which is about to be another one; and no link may name the
    one that is just made."""
    (desk.releases()).mkdir(parents=True)
    (desk.releases() / "stable").symlink_to(RELEASE)
    record = desk.opened(DeployKind.DEPLOY)
    with pytest.raises(Problem, match="api is being deployed") as refused:
        await desk.deploys.prune(["api"], clear=False)
    assert refused.value.status == 409
    desk.log.end("api", record.number, DeployOutcome.UNCHANGED)
    with pytest.raises(Problem, match="can not be reached"):  # now it is tried
        await desk.deploys.prune(["api"], clear=False)


@pytest.mark.parametrize("is_begun", [False, True])
@pytest.mark.parametrize("kind", DeployKind)
async def test_a_deploy_of_a_worker_that_is_gone_ends(desk: Desk, kind: DeployKind, *, is_begun: bool) -> None:
    record = desk.opened(kind, RELEASE if kind is DeployKind.ROLLBACK else None)
    if is_begun:
        desk.log.begin("api", record.number, None)
    desk.installed()
    desk.deploys.resume()
    ended = await desk.ended(record)
    assert (ended.outcome, ended.why) == (DeployOutcome.FAILED, "it is not installed any more")


@pytest.mark.parametrize(
    ("runs", "stable", "outcome", "is_stable"),
    [
        (False, None, DeployOutcome.UNCHANGED, False),
        (False, RELEASE, DeployOutcome.UNCHANGED, False),
        (True, RELEASE, DeployOutcome.UNCHANGED, True),
        (True, None, DeployOutcome.FAILED, False),  # root is asked to remember it, and does not answer here
    ],
)
async def test_what_has_its_release_is_unchanged_and_stable_only_where_it_runs(
    desk: Desk, *, runs: bool, stable: str | None, outcome: DeployOutcome, is_stable: bool
) -> None:
    (desk.releases() / "runs").mkdir(parents=True)
    (desk.releases() / "runs" / "1").symlink_to(f"../{RELEASE}")
    if stable is not None:
        (desk.releases() / "stable").symlink_to(stable)
    if runs:
        serve(desk.hands, Instance("api"), RELEASE)
    record = desk.opened(DeployKind.ROLLBACK, RELEASE)
    desk.deploys.resume()
    ended = await desk.ended(record)
    assert (ended.outcome, ended.was_stable) == (outcome, is_stable)


@pytest.mark.parametrize(
    ("orders", "superseded"),
    [
        ([DEPLOY, DEPLOY], [1]),
        ([BUILD, BUILD], [1]),
        ([BUILD, DEPLOY], [1]),
        ([DEPLOY, BUILD], []),  # a build runs nothing, so it is nothing in the place of a deploy
        ([DEPLOY, BUILD, BUILD], [2]),
        ([DEPLOY, BUILD, DEPLOY], [1, 2]),
        ([RESTART, DEPLOY], [1]),
        ([DEPLOY, RESTART], []),
    ],
)
async def test_the_newest_supersedes_what_it_does_too(
    desk: Desk, orders: list[DeployOrder], superseded: list[int]
) -> None:
    for order in orders:
        desk.deploys.accept(order, "root")
    found = desk.log.of("api", 10)
    assert sorted(each.number for each in found if each.outcome is DeployOutcome.SUPERSEDED) == superseded
    for record in found:
        await desk.ended(record)


async def test_who_waits_is_told_for_whom(desk: Desk) -> None:
    running = desk.opened(DeployKind.BUILD)
    desk.log.begin("api", running.number, None)
    (record,) = desk.deploys.accept(DEPLOY, "1000/ann")
    (step,) = record.steps
    assert re.fullmatch(r"waits for build 1 by root, which has begun \d s ago", step.text)
    assert (await desk.ended(running)).outcome.is_ended
    assert (await desk.ended(record)).outcome.is_ended


async def test_a_restart_joins_one_that_waits(desk: Desk) -> None:
    (first,) = desk.deploys.accept(RESTART, "root")
    assert desk.deploys.accept(RESTART, "1000/ann") == (first,)
    assert (await desk.ended(first)).number == 1
    assert len(desk.log.of("api", 10)) == 1


async def test_a_restart_that_no_roll_has_room_for_has_not_begun(desk: Desk) -> None:
    """So each of a thousand workers is joined and superseded until it is its turn."""
    deploys = Deploys(desk.hands, desk.log, Announcements(None), rolls=0)
    (first,) = deploys.accept(RESTART, "root")
    await asyncio.sleep(0)
    assert desk.log.get("api", first.number).outcome is DeployOutcome.WAITING
    assert deploys.accept(RESTART, "1000/ann") == (first,)
    deploys.accept(DEPLOY, "root")
    assert desk.log.get("api", first.number).outcome is DeployOutcome.SUPERSEDED
    deploys.close()


async def test_a_restart_that_is_superseded_while_it_waits_for_its_turn_stays_so(desk: Desk) -> None:
    """It waits for the roll of web, which waits for a router's answer."""
    is_asked, may_answer = asyncio.Event(), asyncio.Event()

    async def hang(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        is_asked.set()
        await may_answer.wait()
        writer.close()

    desk.installed("api", "web")
    desk.hands.registry.see(Instance("web"), Seen(event=Event.READY, invocation="a" * 32), 1)
    socket = Path(desk.layout.control_socket("1"))
    socket.parent.mkdir(parents=True, exist_ok=True)
    hands = replace(desk.hands, routers=Routers(desk.layout, lambda: [name.proxy(1)]))
    deploys = Deploys(hands, desk.log, Announcements(None), rolls=1)
    async with await asyncio.start_unix_server(hang, socket):
        _, waiting = deploys.accept(DeployOrder(("web", "api"), DeployKind.RESTART), "root")
        await is_asked.wait()
        (newer,) = deploys.accept(DEPLOY, "root")
        may_answer.set()
        await desk.ended(newer)
    ended = desk.log.get("api", waiting.number)
    assert (ended.outcome, ended.begun_us) == (DeployOutcome.SUPERSEDED, None)


@pytest.mark.parametrize(
    ("runs", "outcome", "why"),
    [
        ("b", DeployOutcome.DONE, ""),  # an earlier manager has restarted it
        ("a", DeployOutcome.FAILED, "can not be reached"),
        ("", DeployOutcome.DONE, ""),  # the host was started anew, and its worker not yet
    ],
)
async def test_a_restart_goes_on_with_who_is_in_an_old_run(
    desk: Desk, runs: str, outcome: DeployOutcome, why: str
) -> None:
    record = desk.opened(DeployKind.RESTART)
    desk.log.begin("api", record.number, None, ["a" * 32])
    if runs:
        desk.hands.registry.see(Instance("api"), Seen(event=Event.READY, invocation=runs * 32), 1)
    desk.deploys.resume()
    ended = await desk.ended(record)
    assert (ended.outcome, why in ended.why, ended.was_stable) == (outcome, True, False)


async def test_a_restart_of_what_was_stopped_meanwhile_is_none(desk: Desk) -> None:
    (record,) = desk.deploys.accept(RESTART, "root")
    ended = await desk.ended(record)
    assert (ended.outcome, ended.why, ended.hint) == (
        DeployOutcome.FAILED,
        "does not run any more",
        "'tqunits start api' starts it",
    )


async def test_a_restart_notes_the_runs_that_it_ends(desk: Desk) -> None:
    desk.hands.registry.see(Instance("api"), Seen(event=Event.READY, invocation="a" * 32), 1)
    (record,) = desk.deploys.accept(RESTART, "root")
    assert (await desk.ended(record)).replaces == ("a" * 32,)


async def test_a_worker_that_is_being_restarted_is_not_pruned(desk: Desk) -> None:
    desk.opened(DeployKind.RESTART)
    with pytest.raises(Problem, match="api is being restarted"):
        await desk.deploys.prune(["api"], clear=False)


async def test_a_rollback_goes_back_from_what_runs_at_its_turn(desk: Desk, tmp_path: Path) -> None:
    taken(desk.layout, written(tmp_path / "source", program="x"), ONE, TWO, THREE)
    (desk.releases() / "runs").mkdir()
    link = desk.releases() / "runs" / "1"
    link.symlink_to(f"../{TWO}")
    for release in (ONE, TWO):
        stable = desk.opened(DeployKind.DEPLOY, release)
        desk.log.end("api", stable.number, DeployOutcome.DONE, is_stable=True)
    running = desk.opened(DeployKind.DEPLOY, THREE)
    (record,) = desk.deploys.accept(DeployOrder(("api",), DeployKind.ROLLBACK), "root")
    assert record.release is None
    desk.log.end("api", running.number, DeployOutcome.DONE, is_stable=True)  # meanwhile the one before has ended
    link.unlink()
    link.symlink_to(f"../{THREE}")
    assert (await desk.ended(record)).release == TWO


async def test_a_rollback_without_a_release_before_is_refused_or_ends(desk: Desk) -> None:
    order = DeployOrder(("api",), DeployKind.ROLLBACK)
    with pytest.raises(Problem, match="no release before the present one"):
        desk.deploys.accept(order, "root")
    desk.opened(DeployKind.DEPLOY)  # this one may make one
    (record,) = desk.deploys.accept(order, "root")
    assert (await desk.ended(record)).why == "no release before the present one was stable"


RELEASED = ReleasedFiles(link="/releases/runs/1", directory="/releases/runs/1/public")


def serves_files(desk: Desk, release: ReleasedFiles | None = RELEASED) -> None:
    """api has no program from now on: the routers serve its files."""
    desk.installed()
    files = StaticFiles(directory="/srv/api/public", prefix="/", release=release)
    text = snapshot_text(snapshot_around([replace(USUAL, name="api", routes=("/",), static=files)]))
    Path(desk.layout.routes).write_text(text)


def released_files(desk: Desk) -> Path:
    """The folder of a release that everybody can get to, and that the routers serve."""
    release = desk.releases() / RELEASE
    release.mkdir(parents=True)
    (desk.releases() / "runs").mkdir()
    (desk.releases() / "runs" / "1").symlink_to(f"../{RELEASE}")
    return release


@IS_ROOT
@pytest.mark.parametrize(
    ("stable", "outcome"),
    [(RELEASE, DeployOutcome.UNCHANGED), (None, DeployOutcome.FAILED), (ONE, DeployOutcome.FAILED)],
    ids=["known", "not known", "another"],
)
async def test_static_files_need_nothing_but_their_link(
    open_desk: Desk, stable: str | None, outcome: DeployOutcome
) -> None:
    """Otherwise root is asked to swap it, and does not answer here."""
    serves_files(open_desk)
    release = released_files(open_desk)
    release.joinpath("public").mkdir()
    if stable is not None:
        (open_desk.releases() / "stable").symlink_to(stable)
    record = open_desk.opened(DeployKind.ROLLBACK, RELEASE)
    open_desk.deploys.resume()
    ended = await open_desk.ended(record)
    assert (ended.outcome, ended.was_stable) == (outcome, outcome is DeployOutcome.UNCHANGED)
    steps = [step.text for step in ended.steps if step.what == "stable"]
    assert steps == ([] if ended.was_stable else [f"the routers serve the files of release {RELEASE}"])


@IS_ROOT
@pytest.mark.parametrize(("is_there", "why"), [(False, "it is not there"), (True, "others may not enter")])
async def test_a_release_of_which_no_file_is_served_is_not_stable(open_desk: Desk, *, is_there: bool, why: str) -> None:
    """Otherwise a rollback without an ID would go back to it."""
    serves_files(open_desk)
    release = released_files(open_desk)
    if is_there:
        release.joinpath("public").mkdir()
        release.chmod(0o750)
    record = open_desk.opened(DeployKind.ROLLBACK, RELEASE)
    open_desk.deploys.resume()
    ended = await open_desk.ended(record)
    assert (ended.outcome, ended.was_stable) == (DeployOutcome.UNCHANGED, False)
    (said,) = (step.text for step in ended.steps if step.what == "note")
    assert f"no file of release {RELEASE} is served: {why}" in said


async def test_only_what_the_routers_serve_is_installed_without_a_program(desk: Desk) -> None:
    desk.installed()
    with pytest.raises(Problem, match="not installed: api"):
        desk.deploys.accept(DEPLOY, "root")
    Path(desk.layout.routes).write_text("no routes")
    with pytest.raises(Problem, match="not installed: api"):
        desk.deploys.accept(DEPLOY, "root")
    serves_files(desk)
    (record,) = desk.deploys.accept(DEPLOY, "root")
    assert "can not be reached" in (await desk.ended(record)).why
    desk.installed("api")
    assert desk.hands.files_alone("api") is None, "it has a program too"


async def test_files_that_are_in_no_release_can_not_go_back(desk: Desk) -> None:
    serves_files(desk, release=None)
    record = desk.opened(DeployKind.ROLLBACK, RELEASE)
    desk.deploys.resume()
    assert "its files are in no release: the routers serve /srv/api/public" in (await desk.ended(record)).why


class FolderDesk(Desk):
    """On a host in development mode: api runs from its folder."""

    def __init__(self, hands: Hands, use: FolderUse = FolderUse.PLAIN) -> None:
        super().__init__(hands)
        yaml = Path(self.layout.state, "api/config/worker.yaml")
        for path in (yaml, Path(name.drop_in(name.service(Instance("api")), self.layout.units))):
            path.parent.mkdir(parents=True)
            path.write_text("")
        placed = replace(place(Instance("api")), folder_use=use, source=str(yaml))
        self.hands.registry.place([placed])

    def runs(self, invocation: str) -> None:
        self.hands.registry.see(Instance("api"), Seen(event=Event.READY, invocation=invocation * 32), 1)


@pytest.fixture
def moved(hands: Hands, tmp_path: Path) -> Hands:
    """With units in a folder, too."""
    return replace(hands, layout=replace(hands.layout, units=PurePosixPath(tmp_path)))


@pytest.fixture
async def folder_desk(moved: Hands) -> AsyncIterator[FolderDesk]:
    found = FolderDesk(moved)
    yield found
    found.deploys.close()


@pytest.mark.parametrize(
    ("kind", "runs", "outcome", "told"),
    [
        (DEPLOY, "a", DeployOutcome.FAILED, ["take", "drain", "restart"]),  # its restart is tried: no systemd answers
        (DEPLOY, "", DeployOutcome.UNCHANGED, ["take", "note"]),
        (BUILD, "a", DeployOutcome.UNCHANGED, ["take"]),
        (BUILD, "", DeployOutcome.UNCHANGED, ["take"]),
    ],
    ids=["deploy", "deploy of none", "build", "build of none"],
)
async def test_a_folder_without_a_build_is_taken_without_a_question_to_root(
    folder_desk: FolderDesk, kind: DeployOrder, runs: str, outcome: DeployOutcome, told: list[str]
) -> None:
    if runs:
        folder_desk.runs(runs)
    (record,) = folder_desk.deploys.accept(kind, "root")
    ended = await folder_desk.ended(record)
    assert (ended.outcome, ended.release, ended.was_stable) == (outcome, None, False)
    assert [step.what for step in ended.steps] == told
    assert ended.replaces == (("a" * 32,) if outcome is DeployOutcome.FAILED else ())
    assert not Path(folder_desk.layout.harvest_order("api")).exists()


@pytest.mark.parametrize("is_there", [True, False], ids=["another worker.yaml", "a worker.yaml that is gone"])
async def test_root_is_asked_where_something_else_may_be_configured(folder_desk: FolderDesk, *, is_there: bool) -> None:
    yaml = Path(folder_desk.layout.state, "api/config/worker.yaml")
    if is_there:
        drop_in = Path(name.drop_in(name.service(Instance("api")), folder_desk.layout.units))
        os.utime(drop_in, ns=(1, 1))
    else:
        yaml.unlink()
    (record,) = folder_desk.deploys.accept(DEPLOY, "root")
    assert "can not be reached" in (await folder_desk.ended(record)).why
    assert Path(folder_desk.layout.harvest_order("api")).exists()


async def test_a_folder_with_a_build_is_built_by_root_before_anything_is_replaced(moved: Hands) -> None:
    desk = FolderDesk(moved, FolderUse.BUILT)
    desk.runs("a")
    (record,) = desk.deploys.accept(DEPLOY, "root")
    ended = await desk.ended(record)
    assert (ended.outcome, ended.replaces, [step.what for step in ended.steps]) == (DeployOutcome.FAILED, (), ["build"])
    desk.deploys.close()


@pytest.mark.parametrize(
    ("replaces", "runs", "outcome", "what"),
    [
        ((), "a", DeployOutcome.FAILED, "build"),  # nobody has noted that it is built
        (("a",), "a", DeployOutcome.FAILED, "restart"),
        (("a",), "b", DeployOutcome.DONE, "take"),  # the earlier manager has replaced it
        (("a",), "", DeployOutcome.DONE, "take"),  # the host was started anew, and its worker not yet
    ],
    ids=["not built", "built", "replaced", "booted"],
)
async def test_the_next_manager_goes_on_with_what_is_built(
    moved: Hands, replaces: tuple[str, ...], runs: str, outcome: DeployOutcome, what: str
) -> None:
    desk = FolderDesk(moved, FolderUse.BUILT)
    record = desk.opened(DeployKind.DEPLOY)
    desk.log.begin("api", record.number, None)
    desk.log.taken("api", record.number, [each * 32 for each in replaces])
    if runs:
        desk.runs(runs)
    desk.deploys.resume()
    ended = await desk.ended(record)
    assert (ended.outcome, ended.steps[-1].what) == (outcome, what)
    desk.deploys.close()


async def test_in_development_mode_nothing_goes_to_a_release(folder_desk: FolderDesk) -> None:
    """Links that are there from before mean nothing, and stay."""
    (folder_desk.releases() / "runs").mkdir(parents=True)
    (folder_desk.releases() / "runs" / "1").symlink_to(f"../{RELEASE}")
    with pytest.raises(Problem, match="api runs from its folder, in development mode"):
        folder_desk.deploys.accept(DeployOrder(("api",), DeployKind.ROLLBACK), "root")
    production = [(DeployKind.ROLLBACK, RELEASE), (DeployKind.ROLLBACK, None), (DeployKind.DEPLOY, RELEASE)]
    for kind, release in production:  # asked for while that was the mode
        record = folder_desk.opened(kind, release)
        folder_desk.deploys.resume()
        ended = await folder_desk.ended(record)
        assert (ended.outcome, ended.before) == (DeployOutcome.FAILED, None)
        assert "api runs from its folder, in development mode" in ended.why
    assert (folder_desk.releases() / "runs" / "1").is_symlink()


async def test_a_surge_in_development_mode_asks_root_for_nothing(folder_desk: FolderDesk) -> None:
    (folder_desk.releases() / "runs").mkdir(parents=True)
    (folder_desk.releases() / "runs" / "1").symlink_to(f"../{RELEASE}")
    places = [each.place for each in folder_desk.hands.replicas("api")]
    surge = Instance("api", 2)
    folder_desk.hands.registry.place([*places, place(surge, is_surge=True)])
    await RestartGoal(folder_desk.hands, "api", ()).prepare(surge)
    assert not Path(folder_desk.layout.harvest_order("api")).exists()
