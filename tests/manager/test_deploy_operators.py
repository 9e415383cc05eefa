"""Who may ask for deploys and hears of them: root all, an operator what is about his workers."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pytest

from tqunits.control import deploy_protocol
from tqunits.control.deploy_protocol import DeployOrder
from tqunits.control.protocol import Problem
from tqunits.lifecycle.deploys import DeployKind
from tqunits.manager.announcements import Announcements
from tqunits.manager.deploy_answers import DeployAnswers
from tqunits.manager.deploy_desk import Deploys
from tqunits.manager.deploy_files import DeployFiles
from tqunits.manager.deploy_log import DeployLog
from tqunits.manager.hands import Hands
from tqunits.manager.rights import Caller

ROOT = Caller(0)
OF_API = Caller(1000, "ann", frozenset({"api"}))
API, SHOP, GONE = 1, 2, 3  # numbers of deploys


@pytest.fixture
async def log(hands: Hands) -> DeployLog:
    """One deploy of api, number 1, and one of shop, number 2."""
    log = DeployLog(DeployFiles(hands.layout), pytest.fail)
    for worker in ("api", "shop"):
        log.open(worker, DeployOrder((worker,), DeployKind.DEPLOY), "root", release=None)
    return log


@pytest.fixture
async def answers(log: DeployLog, hands: Hands) -> DeployAnswers:
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


async def test_an_operator_hears_of_no_other_worker(answers: DeployAnswers) -> None:
    target = "/deploys?worker=shop&limit=20"
    with pytest.raises(Problem) as refused:
        await answers.asked(target, OF_API)
    assert refused.value.status == 403
    assert workers_in(await answers.asked(target, ROOT)) == ["shop"]


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
    target = deploy_protocol.progress_target(numbers, 0, 0)
    if known:
        assert len(workers_in(await answers.asked(target, caller))) == len(numbers)
        return
    with pytest.raises(Problem) as refused:
        await answers.asked(target, caller)
    assert (refused.value.status, "shop" in str(refused.value)) == (404, False)


@pytest.mark.parametrize(("caller", "workers"), [(ROOT, ["shop", "api"]), (OF_API, ["api"])], ids=["root", "operator"])
async def test_the_history_of_all_has_what_is_his(answers: DeployAnswers, caller: Caller, workers: list[str]) -> None:
    assert workers_in(await answers.asked("/deploys?limit=20", caller)) == workers
