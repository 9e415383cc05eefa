"""Rolls on a booted systemd, under load: no request fails, none reaches an instance that is to be
stopped, and what takes long is finished."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from machine import rest, wake

from .conftest import LISTEN, ROOT, Site
from .control import ECHO, echo, in_flight, pid, signal
from .hammering import RESTART, RUDE, RUDE_GO, check, hammered, rude, rude_in_go
from .killed_manager import cut_off
from .test_backoff import wait
from .test_deploys import BROKEN, change, history, running, version

SERVER = "mode: production\ndefaults: {{scaling: {{min_workers: {replicas}}}}}\n"
WITNESS = RUDE.replace("import asyncio\n", "import asyncio\nimport time\n").replace(
    "            identity =",
    """            with open(os.path.join(os.environ["STATE_DIRECTORY"], "times"), "a") as times:
                times.write(f"{os.environ['INVOCATION_ID']} {time.time_ns() // 1000}\\n")
            identity =""",
)
"""It notes when each request came, and to which run of it."""
NOT_TODAY = "if os.environ['RUNTIME_DIRECTORY'].endswith(':2'):\n    raise SystemExit('not today')\n"
PICKY = RUDE.replace("import asyncio\n", f"import asyncio\nimport os\n{NOT_TODAY}")
"""The second instance does not start with it."""
UNIT = "tq-worker@alpha.service"
LIVE = b"GET /alpha/live HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
STOPPING = "de5b426a63be47a7b6ac3eaac82e2f6f"  # systemd: a stop job has begun (sd-messages.h, SD_MESSAGE_UNIT_STOPPING)


@pytest.fixture
def rolling(host: Site) -> Iterator[Site]:
    """A host with a manager."""
    wake(host.machine)
    yield host
    rest(host.machine)


def change_go(site: Site, number: int) -> None:
    """Another version of the worker in Go."""
    site.machine.write(f"{ROOT}/workers/alpha/src/main.go", f"{RUDE_GO}\n// version {number}\n")


LANGUAGES: dict[str, tuple[Callable[[Site, str], None], Callable[[Site, int], None]]] = {
    "python": (rude, lambda site, number: change(site, version(number))),
    "go": (rude_in_go, change_go),
}
"""How the worker is installed, and how its sources are changed."""


@pytest.mark.short("2-tcp-3-python")
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("replicas", [1, 3])
@pytest.mark.parametrize("listen", ["tcp", "unix", "fd"])
@pytest.mark.parametrize(("deploys", "clients"), [(2, 20), (100, 200)], ids=["2", "100"])
def test_deploys_under_load_lose_nothing(
    rolling: Site, deploys: int, clients: int, listen: str, replicas: int, language: str
) -> None:
    site, (install, another) = rolling, LANGUAGES[language]
    site.server(SERVER.format(replicas=replicas))
    install(site, f"listen: {listen}\n")
    with hammered(site, clients) as report:
        for number in range(deploys):
            another(site, number)
            site.run("deploy", "alpha")
    check(site, report)
    print(f"{report['good']} requests, none failed")
    assert {each["outcome"] for each in history(site)} == {"done"}
    releases = {running(site, str(name)) for name in ["alpha", "alpha:2", "alpha:3"][:replicas]}
    assert releases == {history(site)[0]["release"]}
    assert site.machine.show(f"tq-worker@alpha:{replicas + 1}.service", "ActiveState") == "inactive"


def stops(site: Site, since: str) -> dict[str, int]:
    """Run of alpha -> when systemd has begun to stop it (µs). (With a match and a cursor,
    journalctl of systemd 252 skips the first entry.)"""
    site.machine.run(["journalctl", "--sync"])
    lines = site.machine.run(["journalctl", "-o", "json", since]).stdout.splitlines()
    found = (each for each in map(json.loads, lines) if each.get("MESSAGE_ID") == STOPPING)
    stopped = (each for each in found if each.get("UNIT", "").startswith("tq-worker@alpha"))
    return {each["INVOCATION_ID"]: int(each["_SOURCE_REALTIME_TIMESTAMP"]) for each in stopped}


def test_no_request_comes_to_an_instance_that_systemd_stops(rolling: Site) -> None:
    site = rolling
    site.worker("alpha", RESTART, program=WITNESS)
    site.install()
    site.run("deploy", "alpha")
    since = site.machine.cursor()
    with hammered(site, 40) as report:
        for number in range(3):
            change(site, f"{WITNESS}\n# version {number}\n")
            site.run("deploy", "alpha")
    check(site, report)
    begun = stops(site, since)
    assert len(begun) == 6, "of each of three deploys the instance and its surge"
    rows = [line.split() for line in site.machine.read("/var/lib/tqunits/workers/alpha/times").splitlines()]
    assert {run for run, _ in rows} > begun.keys()
    assert [(run, at) for run, at in rows if run in begun and int(at) > begun[run]] == []


def test_a_roll_restarts_nobody_who_requires_the_worker(rolling: Site) -> None:
    """Something of it serves all the time. Who restarts it with systemctl restarts them too, and
    who stops it stops them (systemd.unit(5), Requires=)."""
    site = rolling
    site.server(SERVER.format(replicas=2))
    site.worker("beta", RESTART, program=RUDE)
    site.worker("alpha", f"{RESTART}depends: [beta]\n", program=RUDE)
    site.install()
    runs = [site.machine.show(unit, "InvocationID") for unit in (UNIT, "tq-worker@alpha:2.service")]
    with hammered(site, 20) as report:
        site.run("deploy", "beta")
        site.run("restart", "beta")
    check(site, report)
    assert runs == [site.machine.show(unit, "InvocationID") for unit in (UNIT, "tq-worker@alpha:2.service")]
    site.machine.systemctl("restart", "tq-worker@beta.service")
    wait(site, lambda: site.machine.show(UNIT, "ActiveState") == "active")
    assert site.machine.show(UNIT, "InvocationID") != runs[0]
    site.run("stop", "beta")
    assert site.machine.show(UNIT, "ActiveState") == "inactive"


def test_a_release_that_is_not_healthy_is_never_asked(rolling: Site) -> None:
    """The surge shows that it is not: no replica is touched."""
    site = rolling
    rude(site)
    site.run("deploy", "alpha")
    good, pid = running(site), site.machine.show("tq-worker@alpha.service", "MainPID")
    change(site, BROKEN)
    with hammered(site, 20) as report:
        said = site.run("deploy", "alpha", status=1)
    check(site, report)
    assert "nothing works today" in said
    assert (running(site), site.machine.show("tq-worker@alpha.service", "MainPID")) == (good, pid)
    assert "exited with status 1" in site.run("history", "alpha")
    assert "exited with status 1" in site.run("why", "alpha")


def test_an_upload_is_finished_by_the_instance_that_has_it(rolling: Site) -> None:
    site = rolling
    rude(site, "timeouts: {drain: 30s}\n")
    site.run("deploy", "alpha")
    change(site, version(2))
    site.machine.write(f"{ROOT}/body", "x" * 600_000)
    url = f"http://127.0.0.1:{LISTEN}/alpha/?id=slow"
    upload = ["curl", "-sS", "-H", "Expect:", "--limit-rate", "150k", "--data-binary", f"@{ROOT}/body", url]
    with site.machine.start(upload) as slow:
        site.run("deploy", "alpha")
        assert slow.stdout is not None
        assert slow.stdout.read().startswith("slow 600000 ")
    assert history(site)[0]["outcome"] == "done"


class Conversation:
    """A client of echo.py over a WebSocket, through the router."""

    def __init__(self, site: Site) -> None:
        self.client = site.machine.connect(LISTEN, timeout=60)
        self.client.sendall(LIVE)
        assert b"HTTP/1.1 101 " in self.client.recv(4096)

    def talk(self) -> int:
        """Say something; gives the process that has answered."""
        self.client.sendall(b"hello")
        process, heard = self.client.recv(4096).split(b" ", 1)
        assert heard == b"hello"
        return int(process)


def test_what_takes_long_goes_on_with_the_instance_that_has_it(rolling: Site) -> None:
    """A WebSocket, and a request whose answer has not begun: both end by their own will."""
    site = rolling
    echo(site, f"{RESTART}timeouts: {{drain: 30s}}\n")
    site.run("deploy", "alpha")
    before = running(site)
    conversation, first = Conversation(site), pid(site, UNIT)
    change(site, f"{ECHO}\n# version 2\n")
    asking = ["curl", "-sS", f"http://127.0.0.1:{LISTEN}/alpha/first"]
    deploying = [site.machine.tqunits_path, "deploy", "alpha", "--json"]
    with site.machine.start(asking) as request:
        site.machine.wait_until(lambda: in_flight(site, 1) == 1)
        with site.machine.start(deploying) as deploy:
            assert deploy.stdout is not None
            steps = iter(deploy.stdout.readline, "")
            assert any('"restart"' in step for step in steps if conversation.talk() == first)
            site.machine.wait_until(lambda: site.machine.show(UNIT, "ActiveState") == "deactivating")
            assert site.get("/alpha/bytes?of=3") == (200, "xxx"), "the surge answers"
            assert running(site) == before
            signal(site, UNIT, "USR1")
            assert request.communicate(timeout=60)[0] == "done"
            assert conversation.talk() == first
            assert deploy.poll() is None
            conversation.client.close()
            assert deploy.wait(60) == 0
    assert history(site)[0]["outcome"] == "done"
    assert running(site) == history(site)[0]["release"] != before


def test_a_websocket_that_never_ends_is_ended_after_its_grace(rolling: Site) -> None:
    """Its client sees what it would see if the worker had closed it: an end, and no reset."""
    site = rolling
    echo(site, f"{RESTART}timeouts: {{drain: 1s}}\n")
    site.run("deploy", "alpha")
    conversation, first = Conversation(site), pid(site, UNIT)
    change(site, f"{ECHO}\n# version 2\n")
    site.run("deploy", "alpha")
    assert conversation.client.recv(4096) == b""
    assert history(site)[0]["outcome"] == "done"
    assert running(site) == history(site)[0]["release"]
    assert Conversation(site).talk() == pid(site, UNIT) != first


def test_what_somebody_is_stopping_is_not_started_by_a_roll(rolling: Site) -> None:
    """Its stop takes as long as its WebSocket. Who asks for a restart then has it started again."""
    site = rolling
    site.server(SERVER.format(replicas=2))
    echo(site, f"{RESTART}timeouts: {{drain: 60s, stop: 60s}}\n")
    units = {pid(site, unit): unit for unit in (UNIT, "tq-worker@alpha:2.service")}
    conversation = Conversation(site)
    unit = units[conversation.talk()]
    site.machine.systemctl("stop", "--no-block", unit)
    site.machine.wait_until(lambda: site.machine.show(unit, "ActiveState") == "deactivating")
    change(site, f"{ECHO}\n# version 2\n")
    site.run("deploy", "alpha")
    assert conversation.talk() in units, "nobody has ended it"
    assert history(site)[0]["outcome"] == "done"
    assert ("restart", 2 if ":2" in unit else 1) not in [(e["what"], e["instance"]) for e in history(site)[0]["steps"]]
    conversation.client.close()
    site.machine.wait_until(lambda: site.machine.show(unit, "ActiveState") == "inactive")
    conversation = Conversation(site)
    site.machine.systemctl("start", unit)
    (left,) = {*units.values()} - {unit}
    site.machine.systemctl("stop", "--no-block", left)
    site.machine.wait_until(lambda: site.machine.show(left, "ActiveState") == "deactivating")
    site.run("restart", "alpha", "--no-block")
    conversation.client.close()
    states = [*units.values()]
    site.machine.wait_until(lambda: {site.machine.show(each, "ActiveState") for each in states} == {"active"})
    wait(site, lambda: history(site)[0]["outcome"] == "done")


def test_without_memory_for_a_surge_requests_wait_and_it_is_said(rolling: Site) -> None:
    site = rolling
    rude(site, "limits: {memory_max: 4T}\n")
    with hammered(site, 20) as report:
        said = site.run("deploy", "alpha")
    check(site, report)
    assert "of memory for one instance more are not there" in said
    assert "requests wait while an instance is replaced" in said


def test_the_newest_change_wins(rolling: Site) -> None:
    site = rolling
    rude(site)
    numbers = []
    for number in range(4):
        change(site, version(number))
        site.run("deploy", "alpha", "--detach")
        numbers.append(history(site)[0]["number"])
    site.run("deploy", "alpha")
    outcomes = {each["number"]: each["outcome"] for each in history(site)}
    assert "superseded" in {outcomes[number] for number in numbers}
    # One that was reading the files when the next version was written has failed, and says why.
    whys = {each["why"] for each in history(site) if each["outcome"] == "failed"}
    assert whys <= {"its files were changed meanwhile"}
    assert set(outcomes.values()) <= {"superseded", "done", "unchanged", "failed"}
    assert outcomes[max(outcomes)] in {"done", "unchanged"}
    assert site.machine.read(f"/var/lib/tqunits/releases/alpha/{running(site)}/src/main.py") == version(3)


def runs(site: Site, *instances: str) -> list[str]:
    return [site.machine.show(f"tq-worker@{each}.service", "InvocationID") for each in instances]


def test_a_restart_is_a_roll_of_what_serves_and_a_start_of_what_does_not(rolling: Site) -> None:
    site = rolling
    site.worker("beta")
    rude(site)
    site.run("stop", "beta")
    before = runs(site, "alpha")
    with hammered(site, 20) as report:
        restarted = site.machine.tqunits("restart", "alpha", "beta", "--json")
    check(site, report)
    found = json.loads(restarted.stdout)
    assert [(each["worker"], each["result"]) for each in found["jobs"]] == [("beta", "done"), ("alpha", "done")]
    assert runs(site, "alpha") != before
    assert [site.machine.show(f"tq-worker@{each}.service", "ActiveState") for each in ("alpha:2", "beta")] == [
        "inactive",
        "active",
    ]
    (record,) = history(site)
    assert (record["kind"], record["outcome"], record["replaces"]) == ("restart", "done", before)
    assert found["restarts"] == [record["number"]]
    assert [(step["what"], step["instance"]) for step in record["steps"]] == [
        ("surge", 2),
        ("drain", 1),
        ("restart", 1),
        ("healthy", 1),
        ("drain", 2),
    ]
    site.run("restart", "alpha", "--at-once")
    assert len(history(site)) == 1


def test_a_restart_is_not_waited_for_and_keeps_the_release(rolling: Site) -> None:
    site = rolling
    rude(site)
    site.run("deploy", "alpha")
    release, before = running(site), runs(site, "alpha")
    change(site, BROKEN)
    with hammered(site, 20) as report:
        assert "alpha: restart 2 is accepted; the manager goes on with it" in site.run("restart", "alpha", "--no-block")
        said = site.run("restart", "alpha", "--timeout", "1ms", status=6)
        wait(site, lambda: {each["outcome"] for each in history(site)} == {"done"})
    check(site, report)
    assert "alpha: not done yet; the manager goes on with it" in said
    assert [each["kind"] for each in history(site)] == ["restart", "restart", "deploy"]
    assert (running(site), runs(site, "alpha") != before) == (release, True), "with the release, not the folder"


def test_a_restart_with_what_does_not_start_any_more_touches_nothing(rolling: Site) -> None:
    site = rolling
    rude(site)
    before = runs(site, "alpha")
    change(site, BROKEN)
    with hammered(site, 20) as report:
        said = site.run("restart", "alpha", status=1)
    check(site, report)
    assert "nothing works today" in said
    assert runs(site, "alpha") == before
    assert history(site)[0]["outcome"] == "failed"
    assert "the last restart (number 1) failed at " in site.run("why", "alpha")


@pytest.mark.long
def test_a_restart_that_fails_behind_its_surge_ends_there(rolling: Site) -> None:
    site = rolling
    site.server(SERVER.format(replicas=3))
    rude(site)
    before = runs(site, "alpha", "alpha:3")
    change(site, PICKY)
    with hammered(site, 20) as report:
        restarted = site.machine.tqunits("restart", "alpha", "--json", check=False)
    print(restarted.stderr)
    check(site, report)
    assert restarted.returncode == 1
    assert "(alpha:2)\n" in restarted.stderr, "which one it was, and before it why"
    assert [each["result"] for each in json.loads(restarted.stdout)["jobs"]] == ["done", "failed", "failed"]
    assert [each in before for each in runs(site, "alpha", "alpha:3")] == [False, True]
    assert site.machine.show("tq-worker@alpha:4.service", "ActiveState") == "inactive"
    change(site, RUDE)
    site.run("restart", "alpha")
    assert site.machine.show("tq-worker@alpha:2.service", "ActiveState") == "active"


@pytest.mark.long
@pytest.mark.parametrize("what", ["surge", "drain", "restart", "healthy"])
def test_a_restart_goes_on_after_the_end_of_its_manager(rolling: Site, what: str) -> None:
    site = rolling
    site.server(SERVER.format(replicas=2))
    rude(site)
    site.run("restart", "alpha")
    before = runs(site, "alpha", "alpha:2")
    with hammered(site, 10) as report:
        cut_off(site, what, "restart")
        wait(site, lambda: history(site)[0]["outcome"] not in {"waiting", "running"})
    check(site, report)
    assert history(site)[0]["outcome"] == "done"
    after = runs(site, "alpha", "alpha:2")
    assert not {*before} & {*after}
    assert site.machine.show("tq-worker@alpha:3.service", "ActiveState") == "inactive"
    restarts = [step["instance"] for step in history(site)[0]["steps"] if step["what"] == "restart"]
    assert sorted({*restarts}) == [1, 2]
