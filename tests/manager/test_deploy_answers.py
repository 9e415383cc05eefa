"""Who may ask the manager about which deploys."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from tqunits.control import deploy_protocol
from tqunits.control.deploy_protocol import DeployOrder
from tqunits.control.protocol import Body, Problem
from tqunits.layout import SYSTEM_LAYOUT
from tqunits.lifecycle.deploys import DeployKind
from tqunits.lifecycle.release import MAX_ACTOR
from tqunits.manager.announcements import Announcements
from tqunits.manager.deploy_answers import DeployAnswers
from tqunits.manager.deploy_desk import Deploys
from tqunits.manager.deploy_files import DeployFiles
from tqunits.manager.deploy_log import DeployLog
from tqunits.manager.hands import Hands
from tqunits.manager.harvests import Harvests
from tqunits.manager.readiness_file import ReadinessFile
from tqunits.manager.registry import Registry
from tqunits.manager.rights import Caller
from tqunits.manager.router_status import Routers
from tqunits.system.bus import Bus

pytestmark = pytest.mark.loops("uvloop")

ROOT, OF_API = Caller(0), Caller(1000, "ann", frozenset({"api"}))
API, SHOP, GONE = 1, 2, 3


@pytest.fixture
async def answers(tmp_path: Path) -> AsyncIterator[DeployAnswers]:
    """Those of a manager that knows a deploy of api and one of shop."""
    layout, bus, registry = replace(SYSTEM_LAYOUT, state=PurePosixPath(tmp_path)), Bus(), Registry()
    log = DeployLog(DeployFiles(layout), pytest.fail)
    for worker in ("api", "shop"):
        log.open(worker, DeployOrder((worker,), DeployKind.BUILD), "root", release=None)
    hands = Hands(
        bus=bus,
        layout=layout,
        registry=registry,
        readiness=ReadinessFile(tmp_path / "unready.json", registry, say=pytest.fail),
        routers=Routers(layout, tuple),
        harvests=Harvests(bus, layout),
    )
    deploys = Deploys(hands, log, Announcements(None), rolls=1)
    yield DeployAnswers(deploys, 1)
    deploys.close()


async def asked(answers: DeployAnswers, caller: Caller, *numbers: int) -> Body:
    return await answers.asked(deploy_protocol.progress_target(numbers, 0, 0), caller)


@pytest.mark.parametrize(
    ("caller", "numbers", "known"),
    [
        (ROOT, (API, SHOP), True),
        (ROOT, (API, GONE), False),
        (OF_API, (API,), True),
        (OF_API, (SHOP,), False),
        (OF_API, (API, SHOP), False),
        (OF_API, (GONE,), False),
    ],
)
async def test_a_number_of_anothers_worker_is_as_one_that_no_deploy_has(
    answers: DeployAnswers, caller: Caller, numbers: tuple[int, ...], *, known: bool
) -> None:
    if known:
        assert len(deploy_protocol.progress_in(await asked(answers, caller, *numbers)).deploys) == len(numbers)
        return
    with pytest.raises(Problem) as refused:
        await asked(answers, caller, *numbers)
    assert (refused.value.status, "shop" in str(refused.value)) == (404, False)


@pytest.mark.parametrize(
    ("caller", "name"),
    [
        (ROOT, "root"),
        (OF_API, "1000/ann"),
        (Caller(7, "a\nb\x1b[2J"), "7/a\\nb\\x1b[2J"),
        (Caller(7, "\x1b" * 256), "7/" + ("\\x1b" * 256)[: MAX_ACTOR - 2]),
    ],
)
def test_who_has_asked_is_written_down_as_a_bounded_printable_text(caller: Caller, name: str) -> None:
    assert caller.name == name
    assert len(caller.name) <= MAX_ACTOR
    assert caller.name.isprintable()
