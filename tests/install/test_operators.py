"""Operators at the manager's control socket, on a booted systemd with polkit: who gets what, what
it does, and what is written down of it. The users are accounts of the machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from machine import rest, terminate, wake

from .conftest import PROBE, ROOT, Site

SOCKET = "/run/tqunits/manager/control.sock"
MANAGER = "tq-manager.service"
PIPE = -1  # subprocess.PIPE
ALPHA, BETA = "tq-worker@alpha.service", "tq-worker@beta.service"
GRANTS = "mode: production\ngrants: {alpha: {operators: [alice]}, beta: {operators: ['%ops']}}\n"
SIGNALLED = """
import signal
words = iter(["first signal", "second signal"])
signal.signal(signal.SIGUSR1, lambda *_: print(next(words), flush=True))
"""
CROWD = f"""
import socket, sys
held = []
for _ in range(1000):
    one = socket.socket(socket.AF_UNIX)
    one.connect("{SOCKET}")
    one.sendall(b"GET /logs?worker=alpha&after=@0&wait_us=30000000&lines=500 HTTP/1.1\\r\\nHost: m\\r\\n\\r\\n")
    held.append(one)
print("held", flush=True)
sys.stdin.read()
"""

HOLD = "/var/lib/tqunits/workers/alpha/hold"
HELD = f"""
import os
if os.path.exists("{HOLD}"):
    open("{HOLD}").read()
"""
"""A start that goes on until somebody opens the FIFO."""


@pytest.fixture
def operated(host: Site) -> Iterator[Site]:
    """The workers alpha, which alice operates, and beta, which the group ops operates."""
    wake(host.machine)
    host.worker("alpha")
    host.worker("beta")
    host.server(GRANTS)
    host.install()
    yield host
    rest(host.machine)


@pytest.fixture
def bob(operated: Site) -> Iterator[str]:
    """A member of the group ops."""
    operated.machine.run(["groupadd", "ops"])
    operated.machine.run(["useradd", "--groups", "ops", "bob"])
    yield "bob"
    operated.machine.run(["userdel", "--force", "bob"])
    operated.machine.run(["groupdel", "ops"])


def ask(site: Site, user: str | None, path: str, body: object = None) -> tuple[int, dict[str, Any]]:
    words = ["curl", "-s", "-g", "-m", "60", "-w", " %{http_code}", "--unix-socket", SOCKET, f"http://manager{path}"]
    words += ["-d", body if isinstance(body, str) else json.dumps(body)] if body is not None else []
    answer, _, status = site.machine.run(words, user=user).stdout.rpartition(" ")
    return int(status), json.loads(answer)


def run(site: Site, user: str, *words: str) -> tuple[int, str]:
    done = site.machine.run([site.machine.tqunits_path, *words], user=user, check=False, merge=True, timeout=100)
    return done.returncode, done.stdout


REQUESTS: list[tuple[str, object]] = [
    ("/instances", None),
    ("/events?after=0", None),
    ("/logs?worker=WORKER", None),
    ("/logs?instances=WORKER", None),
    ("/start", {"worker": "WORKER"}),
    ("/restart", {"instances": ["WORKER"]}),
    ("/stop", {"worker": "WORKER", "wait_us": 0}),
    ("/start", {"worker": "WORKER"}),
]


def statuses(site: Site, user: str | None, worker: str) -> list[int]:
    filled = [(path.replace("WORKER", worker), json.dumps(body).replace("WORKER", worker)) for path, body in REQUESTS]
    return [ask(site, user, path, body if body != "null" else None)[0] for path, body in filled]


def test_each_is_answered_what_is_his(operated: Site, alice: str, bob: str) -> None:
    everything, nothing = [200] * len(REQUESTS), [403] * len(REQUESTS)
    own_lists = [200, 200, *[403] * (len(REQUESTS) - 2)]
    assert statuses(operated, None, "alpha") == everything
    assert statuses(operated, "tqunits", "beta") == everything
    assert statuses(operated, "nobody", "alpha") == nothing
    assert statuses(operated, "worker-alpha", "alpha") == nothing, "a worker operates nobody, itself neither"
    assert statuses(operated, alice, "alpha") == everything
    assert statuses(operated, alice, "beta") == own_lists
    assert statuses(operated, alice, "nobody-is-called-so") == own_lists
    assert statuses(operated, bob, "beta") == everything
    assert statuses(operated, bob, "alpha") == own_lists
    assert ask(operated, None, "/logs?worker=gone")[0] == 404


def test_the_lists_have_his_workers_alone(operated: Site, alice: str, bob: str) -> None:
    operated.machine.systemctl("restart", ALPHA, BETA)
    for user, own in ((alice, {"alpha"}), (bob, {"beta"}), (None, {"alpha", "beta"})):
        assert {each["name"] for each in ask(operated, user, "/instances")[1]["instances"]} == own
        assert {each["name"] for each in ask(operated, user, "/events?after=0")[1]["events"]} == own
    assert run(operated, alice, "ls", "--json")[1].count('"manager": true') == 1
    assert "alpha" in run(operated, alice, "events")[1]
    assert "beta" not in run(operated, alice, "events")[1]


def test_an_owner_of_a_folder_is_no_operator_by_that(operated: Site, bob: str) -> None:
    operated.machine.run(["chown", "-R", "bob:bob", f"{ROOT}/workers/alpha"])
    operated.install()
    assert ask(operated, bob, "/restart", {"worker": "alpha"})[0] == 403


def test_a_right_goes_with_its_grant_and_with_the_group(operated: Site, alice: str, bob: str) -> None:
    assert ask(operated, bob, "/instances")[0] == 200
    operated.machine.run(["gpasswd", "--delete", "bob", "ops"])
    assert ask(operated, bob, "/instances")[0] == 403, "a right of a group ends at once"
    before = operated.machine.show(ALPHA, "MainPID")
    operated.server("mode: production\n")
    operated.install()
    operated.machine.wait_until(lambda: ask(operated, alice, "/instances")[0] == 403)
    assert operated.machine.show(ALPHA, "MainPID") == before, "an operator's coming and going restarts nobody"


@pytest.mark.parametrize("is_there", [True, False], ids=["manager", "polkit"])
def test_he_starts_stops_and_restarts_with_and_without_the_manager(
    operated: Site, alice: str, is_there: object
) -> None:
    if not is_there:
        operated.machine.systemctl("stop", MANAGER, "tq-manager.socket")
    before = operated.machine.show(ALPHA, "MainPID")
    assert run(operated, alice, "restart", "alpha")[0] == 0
    assert operated.machine.show(ALPHA, "MainPID") != before
    assert run(operated, alice, "stop", "alpha")[0] == 0
    assert operated.machine.show(ALPHA, "ActiveState") == "inactive"
    assert run(operated, alice, "start", "alpha")[0] == 0
    assert operated.machine.show(ALPHA, "ActiveState") == "active"
    assert operated.get("/alpha/environment")[0] == 200
    assert run(operated, alice, "restart", "beta")[0] == 5
    assert run(operated, alice, "restart", "alpha", "beta")[0] == 5


def test_of_all_workers_his_own_are_rolled_and_the_others_refused_by_name(operated: Site, alice: str) -> None:
    """One that is another's is no reason to restart his own at once, with requests that wait."""
    operated.worker("gamma")
    operated.install()
    others = {unit: operated.machine.show(unit, "MainPID") for unit in (BETA, "tq-worker@gamma.service")}
    before = operated.machine.show(ALPHA, "MainPID")
    status, said = run(operated, alice, "restart", "--all")
    assert status == 5, said
    assert "is started beside the others" in said
    assert operated.machine.show(ALPHA, "MainPID") != before
    assert "beta: you are not permitted to restart tq-worker@beta.service" in said
    assert "gamma: you are not permitted to restart tq-worker@gamma.service" in said
    assert said.splitlines()[-1] == "failed: beta, gamma"
    assert others == {unit: operated.machine.show(unit, "MainPID") for unit in others}
    status, said = run(operated, alice, "restart", "alpha", "beta", "--json")
    rows = {row["worker"]: row["result"] for row in json.loads(said[said.index("{") :])["jobs"]}
    assert (status, rows) == (5, {"alpha": "done", "beta": "refused"})


def test_nobody_waits_for_what_he_has_stopped(operated: Site, alice: str) -> None:
    assert ask(operated, alice, "/stop", {"worker": "alpha"})[0] == 200
    assert operated.get("/alpha/environment")[0] == 503, "at once: it would wait for a minute"
    operated.machine.systemctl("kill", "--signal=KILL", MANAGER)
    operated.machine.wait_until(lambda: operated.machine.show(MANAGER, "NRestarts") == "1")
    assert operated.get("/alpha/environment")[0] == 503
    assert ask(operated, alice, "/start", {"worker": "alpha"})[0] == 200
    assert operated.get("/alpha/environment")[0] == 200
    operated.machine.systemctl("stop", ALPHA)
    operated.machine.systemctl("start", ALPHA)
    assert operated.get("/alpha/environment")[0] == 200


@pytest.mark.short("manager")
@pytest.mark.parametrize("is_there", [True, False], ids=["manager", "polkit"])
def test_a_start_that_fails_is_told_as_it_is(operated: Site, alice: str, is_there: object) -> None:
    operated.worker(
        "alpha", "restart: {policy: on-failure, max_restarts: 1, delay: 50ms}\n", program="raise SystemExit(7)"
    )
    operated.install(status=1)
    operated.machine.wait_until(lambda: operated.machine.show(ALPHA, "ActiveState") == "failed")
    if not is_there:
        operated.machine.systemctl("stop", MANAGER, "tq-manager.socket")
    status, said = run(operated, alice, "start", "alpha", "--json")
    assert status == 1, said
    assert "exited with status 7" in said
    if is_there:
        status, found = ask(operated, alice, "/start", {"worker": "alpha", "wait_us": 60_000_000})
        (job,) = found["jobs"]
        assert (status, job["result"], job["failure"]["main_status"]) == (200, "failed", 7)
        assert "status 7" in job["why"]


@pytest.mark.long
def test_who_does_not_wait_is_told_that_it_goes_on(operated: Site, alice: str) -> None:
    operated.worker("alpha", program=HELD + PROBE)
    operated.install()
    operated.machine.run(["mkfifo", "--mode=666", HOLD])
    assert ask(operated, alice, "/restart", {"worker": "alpha", "wait_us": 0})[1]["jobs"][0]["result"] == "queued"
    assert ask(operated, alice, "/start", {"worker": "alpha", "wait_us": 1000})[1]["jobs"][0]["result"] == "waiting"
    operated.machine.run(["sh", "-c", f": > {HOLD}"])
    done = ask(operated, alice, "/start", {"worker": "alpha", "wait_us": 60_000_000})[1]["jobs"][0]
    assert (done["result"], operated.machine.show(ALPHA, "ActiveState")) == ("done", "active")


def requests(site: Site) -> list[dict[str, str]]:
    """What the journal has of operators' requests."""
    site.machine.run(["journalctl", "--sync"])
    found = site.machine.run(["journalctl", "-o", "json", "TQUNITS_EVENT=asked"]).stdout.splitlines()
    return [json.loads(line) for line in found]


def test_each_request_of_an_operator_is_written_down(operated: Site, alice: str) -> None:
    before = len(requests(operated))
    ask(operated, None, "/restart", {"worker": "alpha"})
    ask(operated, "nobody", "/instances")
    ask(operated, alice, "/instances")
    ask(operated, alice, "/restart", {"worker": "alpha"})
    ask(operated, alice, "/restart", {"worker": "beta"})
    uid, _ = operated.machine.user(alice)
    said = requests(operated)[before:]
    assert [(each["TQUNITS_REQUEST"], each.get("TQUNITS_WORKER")) for each in said] == [
        ("/instances", None),
        ("/restart", "alpha"),
    ]
    assert {each["TQUNITS_ACTOR"] for each in said} == {f"{uid}/alice"}
    assert {each["_SYSTEMD_UNIT"] for each in said} == {MANAGER}


def test_he_reads_the_lines_of_his_workers_and_no_others(operated: Site, alice: str) -> None:
    operated.worker("alpha", program='print("\\x1b[31mred\\x07 of alpha", flush=True)\n' + PROBE)
    operated.worker("beta", program='print("written by beta", flush=True)\n' + PROBE)
    operated.install()
    operated.machine.systemctl("restart", ALPHA, BETA)
    operated.machine.run(["journalctl", "--sync"])
    assert operated.machine.run(["journalctl", "-u", ALPHA], user=alice, check=False).stdout.count("of alpha") == 0
    status, said = run(operated, alice, "logs", "alpha")
    assert (status, "\\x1b[31mred\\x07 of alpha" in said, "\x1b" in said) == (0, True, False)
    assert "Started" in said, "what systemd says of it is among them"
    status, said = run(operated, alice, "logs")
    assert (status, "of alpha" in said, "written by beta" in said) == (0, True, False)
    lines = run(operated, alice, "logs", "alpha", "--json", "-n", "2")[1].splitlines()
    assert len(lines) == 2
    assert all(json.loads(line)["unit"] == ALPHA for line in lines)
    status, said = run(operated, alice, "logs", "beta")
    assert (status, "grants.beta.operators" in said, "written by beta" in said) == (5, True, False)
    status, said = run(operated, alice, "logs", "alpha", "--grep", "x")
    assert (status, "systemd-journal" in said) == (5, True)
    operated.machine.systemctl("stop", MANAGER, "tq-manager.socket")
    status, said = run(operated, alice, "logs", "alpha")
    assert (status, "the manager does not answer" in said, "systemd-journal" in said) == (3, True, True)
    operated.machine.run(["usermod", "-aG", "systemd-journal", alice])
    status, said = run(operated, alice, "logs", "alpha", "--grep", "Started")
    assert (status, "Started" in said) == (0, True)


def test_lines_are_followed_and_the_reader_ends_with_its_client(operated: Site, alice: str) -> None:
    operated.worker("alpha", program=SIGNALLED + PROBE)
    operated.machine.systemctl("restart", ALPHA)
    follow = operated.machine.start([operated.machine.tqunits_path, "logs", "-f", "alpha"], user=alice)
    try:
        assert follow.stdout is not None
        operated.machine.wait_until(lambda: len(children(operated)) == 1)
        for word in ("first", "second"):
            operated.machine.systemctl("kill", "--signal=USR1", "--kill-whom=main", ALPHA)
            assert any(f"{word} signal" in line for line in iter(follow.stdout.readline, ""))
        operated.machine.wait_until(lambda: len(children(operated)) == 1)
    finally:
        terminate(follow)
    operated.machine.wait_until(lambda: not children(operated), timeout=15)  # its wait would last for 25 s


def children(site: Site) -> list[str]:
    """The processes that the manager has started."""
    process = site.machine.show(MANAGER, "MainPID")
    found = site.machine.run(["sh", "-c", f"grep -ls '^PPid:	{process}$' /proc/[0-9]*/status"], check=False)
    return found.stdout.split()


@pytest.mark.long
def test_a_crowd_of_readers_is_in_nobodys_way(operated: Site, alice: str, bob: str) -> None:
    crowd = operated.machine.start(["python3", "-c", CROWD], user=alice, stdin=PIPE)
    with crowd:
        assert crowd.stdout is not None
        assert crowd.stdout.readline() == "held\n"
        assert len(children(operated)) <= 2
        assert ask(operated, None, "/instances")[0] == 200
        assert ask(operated, bob, "/logs?worker=beta&lines=3")[0] == 200
        assert int(operated.machine.show(MANAGER, "MemoryCurrent")) < 128 << 20
        crowd.kill()
    operated.machine.wait_until(lambda: not children(operated), timeout=20)


def test_what_is_no_request_of_his_does_nothing(operated: Site, alice: str) -> None:
    """The table of all of them is in tests/control/test_manager_questions.py."""
    before = operated.machine.show(ALPHA, "MainPID")
    for path, body, status in (
        ("/logs?worker=alpha&after=--directory=/", None, 404),
        ("/logs?instances=alpha,tq-proxy", None, 403),
        ("/restart", {"worker": "*"}, 400),
        ("/restart", {"worker": ALPHA}, 400),
        ("/restart", {"instances": ["alpha", "beta"]}, 403),
        ("/restart", {"instances": ["alpha:2"]}, 404),
        ("/restart", {"worker": "alpha", "mode": "flush"}, 400),
        ("/restart", "[" * 1000, 400),
    ):
        assert ask(operated, alice, path, body)[0] == status, (path, body)
    assert operated.machine.show(ALPHA, "MainPID") == before


@pytest.mark.long
def test_without_its_group_it_says_that_it_can_not_read(operated: Site, alice: str) -> None:
    drop_in = "/run/systemd/system/tq-manager.service.d/50-no-groups.conf"
    operated.machine.write(drop_in, "[Service]\nSupplementaryGroups=\n")
    operated.machine.systemctl("daemon-reload")
    operated.machine.systemctl("restart", MANAGER)
    status, found = ask(operated, alice, "/logs?worker=alpha")
    operated.machine.remove("/run/systemd/system/tq-manager.service.d")
    operated.machine.systemctl("daemon-reload")
    assert (status, "systemd-journal" in found["error"]) == (503, True)


def test_it_still_has_no_privilege(operated: Site) -> None:
    operated.machine.run(["systemd-analyze", "security", "--threshold=15", MANAGER])
