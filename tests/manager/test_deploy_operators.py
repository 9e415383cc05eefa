"""Who may ask for deploys and hears of them: root all, an operator what is about his workers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from tqunits.control.deploy_protocol import DeployOrder
from tqunits.control.protocol import Problem
from tqunits.layout import SYSTEM_LAYOUT
from tqunits.lifecycle.deploys import DeployKind
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

ROOT = Caller(0)
OF_API = Caller(1000, "ann", frozenset({"api"}))


@pytest.fixture
async def log(tmp_path: Path) -> DeployLog:
    """One deploy of api, number 1, and one of shop, number 2."""
    log = DeployLog(DeployFiles(replace(SYSTEM_LAYOUT, state=PurePosixPath(tmp_path))), pytest.fail)
    for worker in ("api", "shop"):
        log.open(worker, DeployOrder((worker,), DeployKind.DEPLOY), "root", release=None)
    return log


@pytest.fixture
async def answers(log: DeployLog, tmp_path: Path) -> DeployAnswers:
    layout, bus, registry = replace(SYSTEM_LAYOUT, state=PurePosixPath(tmp_path)), Bus(), Registry()
    hands = Hands(
        bus=bus,
        layout=layout,
        registry=registry,
        readiness=ReadinessFile(tmp_path / "unready.json", registry, say=pytest.fail),
        routers=Routers(layout, lambda: ()),
        harvests=Harvests(bus, layout),
    )
    return DeployAnswers(Deploys(hands, log, Announcements(None), rolls=1), since_us=1)


def told(caller: Caller, path: str, workers: Collection[str]) -> None:
    pytest.fail(f"{caller.name} has asked {path} for {workers}")


def workers_in(body: Mapping[str, object]) -> list[str]:
    rows = body["deploys"]
    assert isinstance(rows, list)
    return [row["worker"] for row in rows]


@pytest.mark.parametrize("kind", ["deploy", "build", "rollback"])
@pytest.mark.parametrize("workers", [["shop"], ["api", "shop"], ["nobody"]], ids=" ".join)
async def test_an_operator_deploys_no_other_worker(
    answers: DeployAnswers, log: DeployLog, workers: list[str], kind: str
) -> None:
    with pytest.raises(Problem) as refused:
        answers.accepted({"workers": workers, "kind": kind, "release": None, "message": ""}, OF_API, told)
    assert refused.value.status == 403
    assert len(log.of(None, 100)) == 2


async def test_an_operator_removes_no_releases_of_another_worker(answers: DeployAnswers) -> None:
    with pytest.raises(Problem) as refused:
        await answers.pruned({"workers": ["api", "shop"]}, OF_API)
    assert refused.value.status == 403


@pytest.mark.parametrize(
    ("target", "status"),
    [("/deploys?worker=shop&limit=20", 403), ("/deploys?after=0&wait_us=0&numbers=1,2", 404)],
    ids=["history", "progress"],
)
async def test_an_operator_hears_of_no_other_worker(answers: DeployAnswers, target: str, status: int) -> None:
    """A number of another's is as one that no deploy has."""
    with pytest.raises(Problem) as refused:
        await answers.asked(target, OF_API)
    assert refused.value.status == status
    assert "shop" in workers_in(await answers.asked(target, ROOT))


@pytest.mark.parametrize(("caller", "workers"), [(ROOT, ["shop", "api"]), (OF_API, ["api"])], ids=["root", "operator"])
async def test_the_history_of_all_has_what_is_his(answers: DeployAnswers, caller: Caller, workers: list[str]) -> None:
    assert workers_in(await answers.asked("/deploys?limit=20", caller)) == workers
