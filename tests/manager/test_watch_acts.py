"""What a change on disk asks the manager's own deploys for, on a host that lies in a folder."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from host.releases import ONE, draft, taken, written
from manager.placed import RUNS, place

from tqunits.host import release_links
from tqunits.manager.announcements import Announcements
from tqunits.manager.applying import Applying
from tqunits.manager.deploy_desk import Deploys
from tqunits.manager.deploy_files import DeployFiles
from tqunits.manager.deploy_log import DeployLog
from tqunits.manager.hands import Hands
from tqunits.manager.watch_acts import WatchActs
from tqunits.model import Instance
from tqunits.units.folder_note import FolderUse

pytestmark = pytest.mark.loops("uvloop")

API = Instance("api")
BEGUN = 5_000_000


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
async def acts(hands: Hands, said: list[str]) -> AsyncIterator[WatchActs]:
    """Those of a host on which api runs."""
    deploys = Deploys(hands, DeployLog(DeployFiles(hands.layout), pytest.fail), Announcements(None), rolls=1)
    installed(hands, None)
    hands.registry.see(API, replace(RUNS, pid=1, begun=BEGUN, started=BEGUN + 1), BEGUN)
    yield WatchActs(deploys, Applying(hands.bus, hands.layout), hands.registry, hands.layout, said.append)
    deploys.close()


def installed(hands: Hands, use: FolderUse | None) -> None:
    hands.registry.place([replace(place(API), folder_use=use)])


def test_what_runs_was_read_at_its_start_or_before_its_release_was_made(
    acts: WatchActs, hands: Hands, tmp_path: Path
) -> None:
    assert acts.runs_from_us("api") == BEGUN
    taken(hands.layout, written(tmp_path / "sources", **{"main.py": "1"}), ONE)
    release_links.point(hands.layout, "api", {1: ONE})
    assert acts.runs_from_us("api") == draft(ONE).made_us - draft(ONE).took_us
    installed(hands, FolderUse.PLAIN)
    assert acts.runs_from_us("api") == BEGUN, "in development mode nothing follows the link"


def test_nothing_runs_of_a_worker_that_is_not_there(acts: WatchActs) -> None:
    assert acts.runs_from_us("gone") is None


def test_an_order_that_is_refused_again_and_again_is_said_once(acts: WatchActs, said: list[str]) -> None:
    """A folder that is polled is looked at every two seconds."""
    assert [acts.deploy("gone", "main.py has changed") for _ in range(3)] == [None] * 3
    assert said == ["gone: main.py has changed, and no deploy is accepted: not installed: gone"]


async def test_after_one_that_was_accepted_a_refusal_is_said_again(
    acts: WatchActs, hands: Hands, said: list[str]
) -> None:
    hands.registry.place([])
    acts.deploy("api", "main.py has changed")
    installed(hands, None)
    assert acts.deploy("api", "main.py has changed") == 1
    hands.registry.place([])
    acts.deploy("api", "main.py has changed")
    assert [line.partition(": ")[2] for line in said] == [
        "main.py has changed, and no deploy is accepted: not installed: api",
        "main.py has changed; deploy 1",
        "main.py has changed, and no deploy is accepted: not installed: api",
    ]
