"""The manager on a booted systemd: what it knows of workers that behave and that misbehave, what it
tells, whom it answers, and that nobody needs it."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from tqunits import __version__

from .conftest import PROBE, ROOT, Site

CHECKOUT = Path(__file__).parents[2]
MANAGER = "tq-manager.service"
SOCKET = "/run/tqunits/manager/control.sock"
HASTY = "health: {interval: 1s, timeout: 500ms, failure_threshold: 2, success_threshold: 1, start_period: 0}\n"
STATE = "/var/lib/tqunits/workers"
HANDED = re.sub(
    r"server = socket\.socket\(socket\.AF(.|\n)*server\.listen\(\)", "server = socket.socket(fileno=3)", PROBE
)
"""The probe, with the socket that systemd hands it."""
PIPE = -1  # subprocess.PIPE
KNOCKING = f"""
import socket, sys
held = []
for _ in range(200):
    one = socket.socket(socket.AF_UNIX)
    one.connect("{SOCKET}")
    held.append(one)
print("held", flush=True)
sys.stdin.read()
"""


def instances(site: Site) -> dict[str, dict[str, Any]]:
    answer = site.machine.run(["curl", "-s", "-m", "10", "--unix-socket", SOCKET, "http://manager/instances"]).stdout
    return {each["name"]: each for each in json.loads(answer)["instances"]}


def keys(value: object) -> object:
    """The names in a JSON object, and in the objects in it."""
    return {name: keys(each) for name, each in value.items()} if isinstance(value, dict) else None


def states(site: Site) -> dict[str, str]:
    return {name: each["state"] for name, each in instances(site).items()}


def events(site: Site, *names: str) -> list[dict[str, Any]]:
    return list(json.loads(site.run("events", "--json", *names))["events"])


def ways(site: Site, name: str, after: int = 0) -> list[str]:
    """The states that an instance came into, in their order. Between a stop and a start it is
    stopped for some milliseconds, which are seen or not."""
    found = [event["after"] for event in events(site, name) if event["number"] > after]
    pairs = zip(found, [*found[1:], ""], strict=True)
    return [state for state, following in pairs if (state, following) != ("stopped", "starting")]


def becomes(site: Site, name: str, state: str, *, timeout: float = 30.0) -> None:
    site.machine.wait_until(lambda: states(site).get(name) == state, timeout=timeout)


def pids(site: Site, *names: str) -> list[str]:
    return [site.machine.show(f"tq-worker@{name}.service", "MainPID") for name in names]


def test_it_tells_what_happens_to_workers_and_why(managed: Site) -> None:
    managed.worker("alpha")
    managed.worker("beta", "restart: {delay: 300ms}\n")
    managed.install()
    assert states(managed) == {"alpha": "healthy", "beta": "healthy"}
    found = instances(managed)["alpha"]
    assert (found["unit"], found["routes"], found["why"]) == ("tq-worker@alpha.service", ["/alpha"], None)
    assert found["address"] == "127.0.0.1:9000"
    assert str(found["pid"]) == managed.machine.show("tq-worker@alpha.service", "MainPID")
    before = max((event["number"] for event in events(managed)), default=0)

    managed.machine.systemctl("restart", "tq-worker@alpha")
    managed.machine.systemctl("kill", "--signal=KILL", "tq-worker@beta")
    managed.machine.wait_until(lambda: instances(managed)["beta"]["restarts"] == 1)
    becomes(managed, "beta", "healthy")
    managed.machine.systemctl("stop", "tq-worker@beta")
    becomes(managed, "beta", "stopped")

    assert ways(managed, "alpha", before) == ["stopping", "starting", "healthy"]
    later = [event for event in events(managed, "beta") if event["number"] > before]
    of_beta = [(e["event"], e["after"]) for e in later]
    assert of_beta == [
        ("exited", "unhealthy"),
        ("begun", "starting"),
        ("ready", "healthy"),
        ("leaving", "stopping"),
        ("ended", "stopped"),
    ]
    assert "SIGKILL" in next(e["cause"] for e in later if e["event"] == "exited")
    assert "2 instances: 1 healthy, 1 stopped" in managed.machine.systemctl("status", MANAGER)
    said = managed.machine.run(["journalctl", "TQUNITS_EVENT=exited", "TQUNITS_WORKER=beta", "-o", "json"]).stdout
    entry = json.loads(said.splitlines()[-1])
    assert (entry["TQUNITS_BEFORE"], entry["TQUNITS_STATE"], entry["PRIORITY"]) == ("healthy", "unhealthy", "4")
    assert entry["_SYSTEMD_UNIT"] == MANAGER


def test_systemd_is_woken_when_a_delay_is_over(managed: Site) -> None:
    """By itself it starts the worker up to 250 ms later, so that timers elapse together."""
    managed.worker("alpha", "restart: {delay: 1s}\n")
    managed.install()
    machine, peer, seen = managed.machine, "org.freedesktop.DBus.Peer", f"{ROOT}/pings"
    match = f"type='method_call',destination='org.freedesktop.systemd1',interface='{peer}'"

    def calls(member: str) -> list[int]:
        """When each was seen, in µs since 1970."""
        whole = machine.read(seen).rpartition("\n")[0] if machine.exists(seen) else ""
        return [call["timestamp-realtime"] for call in map(json.loads, whole.splitlines()) if call["member"] == member]

    def is_watched() -> bool:
        machine.run(["busctl", "call", "org.freedesktop.systemd1", "/", peer, "GetMachineId"])
        return bool(calls("GetMachineId"))

    monitor = ["sh", "-c", 'exec busctl --json=short --match="$1" monitor >"$2"', "-", match, seen]
    with machine.start(monitor) as monitoring:
        machine.wait_until(is_watched)
        before = time.time_ns() // 1000
        machine.systemctl("kill", "--signal=KILL", "tq-worker@alpha")
        machine.wait_until(lambda: bool(calls("Ping")))
        monitoring.terminate()
    machine.wait_until(lambda: instances(managed)["alpha"]["restarts"] == 1)
    assert calls("Ping")[0] - before > 1_000_000


def test_workers_come_and_go(managed: Site) -> None:
    managed.worker("alpha")
    managed.install()
    managed.worker("beta")
    managed.install()
    assert states(managed) == {"alpha": "healthy", "beta": "healthy"}
    assert ways(managed, "beta") == ["starting", "healthy"]
    managed.run("uninstall", "alpha")
    managed.machine.wait_until(lambda: states(managed) == {"beta": "healthy"})


def test_a_worker_that_answers_500_is_unhealthy_until_it_is_well(managed: Site) -> None:
    managed.worker("alpha", HASTY.replace("failure_threshold: 2", "failure_threshold: 1000"))
    managed.install()
    managed.machine.write(f"{STATE}/alpha/sick", "")
    becomes(managed, "alpha", "unhealthy")
    found = instances(managed)["alpha"]
    assert found["why"] == '127.0.0.1:9000/health: 503 Service Unavailable: "sick"'
    assert (found["check"]["healthy"], found["check"]["wrong"]) == (False, '503 Service Unavailable: "sick"')
    shown = managed.run("ls", "alpha", status=3)
    assert "unhealthy (failing)" in shown
    assert "alpha fails its health checks: 127.0.0.1:9000/health: 503" in shown
    assert "503 Service Unavailable" in managed.run("why", "alpha", status=1)
    assert "unhealthy (failing)" in managed.run("show", "alpha")
    managed.machine.remove(f"{STATE}/alpha/sick")
    becomes(managed, "alpha", "healthy")
    assert ways(managed, "alpha")[-2:] == ["unhealthy", "healthy"]


@pytest.mark.parametrize(("listen", "program"), [("unix", PROBE), ("fd", HANDED)])
def test_workers_at_sockets_of_their_own_are_checked(managed: Site, listen: str, program: str) -> None:
    managed.worker("alpha", f"listen: {listen}\n{HASTY}", program=program)
    managed.install()
    managed.machine.wait_until(lambda: instances(managed)["alpha"]["check"] is not None)
    assert instances(managed)["alpha"]["check"]["healthy"] is True


def test_nobody_needs_it_and_it_finds_what_it_knew(managed: Site) -> None:
    managed.worker("alpha")
    managed.worker("beta")
    managed.install()
    managed.machine.systemctl("stop", "tq-worker@beta")
    before, known = pids(managed, "alpha", "beta"), states(managed)
    managed.machine.systemctl("kill", "--signal=KILL", MANAGER)
    assert managed.get("/alpha/environment")[0] == 200
    managed.machine.wait_until(lambda: managed.machine.show(MANAGER, "NRestarts") == "1")
    managed.machine.wait_until(lambda: managed.machine.show(MANAGER, "ActiveState") == "active")
    assert states(managed) == known == {"alpha": "healthy", "beta": "stopped"}
    assert events(managed) == [], "what was there before is no change"
    assert pids(managed, "alpha", "beta") == before

    managed.machine.systemctl("stop", MANAGER, "tq-manager.socket")
    assert "the manager does not answer" in managed.run("events", status=3)
    assert "the manager does not answer" in managed.run("ls")
    assert managed.get("/alpha/environment")[0] == 200
    managed.machine.systemctl("restart", "tq-worker@alpha")
    managed.machine.systemctl("start", "tq-manager.socket", MANAGER)
    assert states(managed) == known


def test_it_converges_when_systemd_and_the_bus_start_anew(managed: Site) -> None:
    managed.worker("alpha")
    managed.install()
    managed.machine.systemctl("daemon-reexec")
    managed.machine.systemctl("stop", "tq-worker@alpha")
    becomes(managed, "alpha", "stopped")
    process = managed.machine.show(MANAGER, "MainPID")
    with managed.machine.without_bus():
        managed.machine.run(["systemctl", "start", "tq-worker@alpha"])
    becomes(managed, "alpha", "healthy")
    managed.machine.systemctl("restart", "tq-worker@alpha")
    managed.machine.wait_until(lambda: ways(managed, "alpha")[-3:] == ["stopping", "starting", "healthy"])
    assert managed.machine.show(MANAGER, "MainPID") == process


def test_who_asks_decides_what_is_answered(managed: Site, alice: str) -> None:
    managed.worker("alpha")
    managed.install()
    ask = ["curl", "-s", "-m", "10", "-w", " %{http_code}", "--unix-socket", SOCKET]
    for path, status in (("/version", 200), ("/instances", 403), ("/events?after=0&wait_us=9000000", 403), ("/x", 403)):
        answer = managed.machine.run([*ask, f"http://manager{path}"], user=alice).stdout
        assert answer.endswith(f" {status}"), answer
        assert "alpha" not in answer
    assert managed.machine.run([*ask, "http://manager/nothing"]).stdout.endswith(" 404")
    assert managed.machine.run([*ask, "-X", "POST", "http://manager/instances"]).stdout.endswith(" 405")


def test_whoever_may_not_ask_and_who_gets_no_answer_is_told_so(managed: Site, alice: str) -> None:
    managed.worker("alpha")
    managed.install()
    asked = [managed.machine.tqunits_path, "events", "--json"]
    refused = managed.machine.run(asked, user=alice, check=False)
    assert (refused.returncode, json.loads(refused.stdout)["exit_status"]) == (5, 5)
    managed.machine.systemctl("stop", MANAGER, "tq-manager.socket")
    away = managed.machine.run(asked, check=False)
    assert (away.returncode, json.loads(away.stdout)["message"]) == (3, "the manager does not answer")


def test_the_times_of_files_are_told(managed: Site) -> None:
    managed.worker("alpha", "static: {directory: www}\n")
    managed.machine.write(f"{ROOT}/workers/alpha/www/index.html", "hello")
    managed.install()
    found = instances(managed)["alpha"]["files"]
    program = f"{ROOT}/workers/alpha/src/main.py"
    assert (found["program"]["path"], found["public"]["path"]) == (program, f"{ROOT}/workers/alpha/www")
    assert found["program"]["modified_us"] // 10**6 == int(managed.machine.run(["stat", "-c%Y", program]).stdout)
    assert found["views"] == {"path": f"{ROOT}/workers/alpha/views", "modified_us": None, "why": "there is none"}

    assert json.loads(managed.run("show", "alpha", "--json"))["newer"] is None
    managed.machine.run(["touch", program])
    assert instances(managed)["alpha"]["files"]["program"]["modified_us"] > found["program"]["modified_us"]
    told = f"{program} is newer than its process: 'tqunits restart alpha'"
    assert told in managed.run("show", "alpha")
    assert json.loads(managed.run("show", "alpha", "--json"))["newer"] == told
    managed.run("restart", "alpha")
    assert "newer than its process" not in managed.run("show", "alpha")
    managed.machine.run(["chmod", "700", f"{ROOT}/workers/alpha/src"])
    why = instances(managed)["alpha"]["files"]["program"]["why"]
    assert why == "this user may not look there"


def test_its_release_is_told_and_that_it_is_away(managed: Site) -> None:
    managed.worker("alpha")
    managed.install()
    found = json.loads(managed.run("version", "--running", "--json"))["manager"]
    assert found == {"release": __version__, "pid": int(managed.machine.show(MANAGER, "MainPID"))}
    assert f"{MANAGER} {__version__}, process {found['pid']}" in managed.run("version", "--running")
    managed.machine.systemctl("stop", MANAGER)
    assert "the manager does not answer" in managed.run("version", "--running")
    assert managed.machine.show(MANAGER, "ActiveState") == "inactive", "a question starts it"


def test_a_socket_that_install_changes_is_made_anew(managed: Site) -> None:
    managed.worker("alpha")
    managed.install()
    template = "/etc/tqunits/unit-templates/tq-manager.socket.j2"
    ours = managed.machine.read("/etc/systemd/system/tq-manager.socket")
    managed.machine.write(template, ours.replace("SocketMode=0666", "SocketMode=0660"))
    before = pids(managed, "alpha")
    managed.install()
    assert managed.machine.run(["stat", "--format=%a", SOCKET]).stdout == "660\n"
    assert states(managed) == {"alpha": "healthy"}
    managed.machine.remove("/etc/tqunits")
    managed.install()
    assert managed.machine.run(["stat", "--format=%a", SOCKET]).stdout == "666\n"
    managed.machine.systemctl("stop", "tq-manager.socket")
    managed.install()
    assert states(managed) == {"alpha": "healthy"}
    assert "nothing to do" in managed.install()
    assert pids(managed, "alpha") == before


def test_a_crowd_at_its_socket_is_in_nobodys_way(managed: Site, alice: str) -> None:
    managed.worker("alpha")
    managed.install()
    before = int(managed.machine.show(MANAGER, "MemoryCurrent"))
    crowd = managed.machine.start(["python3", "-c", KNOCKING], user=alice, stdin=PIPE)
    with crowd:
        assert crowd.stdout is not None
        assert crowd.stdout.readline() == "held\n"
        begin = time.monotonic()
        assert states(managed) == {"alpha": "healthy"}
        assert time.monotonic() - begin < 5
        assert int(managed.machine.show(MANAGER, "MemoryCurrent")) - before < 20 << 20
        crowd.kill()
    assert states(managed) == {"alpha": "healthy"}


@pytest.mark.long
def test_events_are_followed(managed: Site) -> None:
    managed.worker("alpha")
    managed.install()
    follow = managed.machine.start([managed.machine.tqunits_path, *managed.options, "events", "-f", "--json", "alpha"])
    with follow:
        assert follow.stdout is not None
        managed.machine.systemctl("stop", "tq-worker@alpha")
        lines = iter(follow.stdout.readline, "")
        assert any(json.loads(line)["after"] == "stopped" for line in lines)
        managed.machine.systemctl("start", "tq-worker@alpha")
        assert [json.loads(next(lines))["after"] for _ in range(2)] == ["starting", "healthy"]
        follow.kill()


def test_it_has_no_privilege(managed: Site) -> None:
    managed.worker("alpha")
    managed.install()
    managed.machine.run(["systemd-analyze", "security", "--threshold=15", MANAGER])
    process = managed.machine.show(MANAGER, "MainPID")
    status = managed.machine.read(f"/proc/{process}/status")
    uid, _ = managed.machine.user("tqunits")
    assert f"Uid:\t{uid}\t{uid}\t{uid}\t{uid}\n" in status
    assert "CapEff:\t0000000000000000\n" in status
    assert "NoNewPrivs:\t1\n" in status


def test_the_page_of_the_lifecycle_shows_what_is_told(managed: Site) -> None:
    managed.worker("alpha", HASTY)
    managed.install()
    managed.machine.wait_until(lambda: instances(managed)["alpha"]["check"] is not None)
    _, _, shown = (CHECKOUT / "docs/lifecycle.md").read_text(encoding="utf-8").partition("jq '.instances[0]'\n")
    told = instances(managed)["alpha"]
    assert keys(json.loads(shown.partition("```")[0])) == keys(told)
