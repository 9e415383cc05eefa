"""The file `serving`: the routers send requests to a worker while it runs, and hold them while it
does not, whatever happens to it.

No command of its unit runs as root for that. So the environment that a worker sets affects only its
own user.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from machine import Machine

from .conftest import ROOT, Site
from .control import echo, in_flight, pid, signal
from .hammering import RUDE

pytestmark = pytest.mark.usefixtures("repairing")

WORKER = "tq-worker@alpha"
FOLDER = "/run/tqunits/workers/alpha"
SERVING = f"{FOLDER}/serving"
ASK = ["curl", "-s", "-m", "20", "-o", "/dev/null", "-w", "%{http_code}", "http://localhost:8080/alpha/?id=1"]
IMPATIENT = [*ASK[:2], "-m", "0.5", *ASK[4:]]
HELD = 28
"""curl(1): no answer in time."""

SAYS = "sock.sendto(b'READY=1', os.environ['NOTIFY_SOCKET'])"
EVIL = r"""
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
__attribute__((constructor)) static void noted(void) {
    int file = open("/var/lib/tqunits/workers/alpha/seen", O_WRONLY | O_CREAT | O_APPEND, 0666);
    dprintf(file, "%d %d\n", getuid(), geteuid());
    close(file);
}
"""


def install(site: Site, yaml: str = "") -> None:
    site.worker("alpha", f"restart: {{delay: 100ms, max_restarts: 1000}}\n{yaml}", program=RUDE)
    site.install()


def active(site: Site) -> bool:
    return site.machine.show(f"{WORKER}.service", "ActiveState") == "active"


def is_served(site: Site) -> bool:
    return site.machine.run(ASK).stdout == "200"


def uid(site: Site) -> str:
    return site.machine.run(["id", "-u", "worker-alpha"]).stdout.strip()


@pytest.mark.short("environment_file")
@pytest.mark.parametrize("way", ["environment", "environment_file"])
def test_what_a_worker_loads_into_its_programs_never_runs_as_root(site: Site, way: str) -> None:
    """Each command of the unit gets the environment that the worker's author wrote, at each start
    and stop."""
    site.machine.write("/root/evil.c", EVIL)
    site.machine.write(f"{ROOT}/workers/alpha/.keep", "")
    library = f"{ROOT}/workers/alpha/evil.so"
    site.machine.run(["gcc", "-shared", "-fPIC", "-o", library, "/root/evil.c"])
    site.machine.write(f"{ROOT}/workers/alpha/.env", f"LD_PRELOAD={library}\n")
    yaml = {
        "environment": f"environment: {{LD_PRELOAD: {library}}}\n",
        "environment_file": "environment_file: .env\n",
    }
    install(site, yaml[way])
    for verb in ("restart", "stop", "start"):
        site.machine.systemctl(verb, WORKER)
    site.machine.systemctl("kill", "--signal=KILL", "--kill-who=main", WORKER)
    site.machine.wait_until(lambda: active(site))
    seen = set(site.machine.read("/var/lib/tqunits/workers/alpha/seen").split())
    assert seen == {uid(site)}


def test_no_line_of_a_unit_has_more_rights_than_the_worker(site: Site) -> None:
    for name, listen in (("alpha", "tcp"), ("beta", "unix"), ("gamma", "fd")):
        site.worker(name, f"listen: {listen}\n", program=RUDE)
    site.install()
    text = site.machine.systemctl("cat", *(f"tq-worker@{name}" for name in ("alpha", "beta", "gamma")))
    lines = [line for line in text.splitlines() if line.startswith("Exec")]
    assert len(lines) >= 12
    assert not [line for line in lines if set(line.partition("=")[2].split(" ")[0]) & set("+!")]
    assert "EnvironmentFile=" not in text


Deed = Callable[[Site], object]


def fail_and_start(site: Site) -> None:
    site.machine.write(f"{ROOT}/workers/alpha/src/main.py", "raise SystemExit(3)\n")
    site.machine.systemctl("restart", WORKER, check=False)
    site.machine.write(f"{ROOT}/workers/alpha/src/main.py", RUDE)
    site.machine.systemctl("reset-failed", WORKER, check=False)
    site.machine.systemctl("start", WORKER)


DEEDS: dict[str, Deed] = {
    "restart": lambda site: site.machine.systemctl("restart", WORKER),
    "stop and start": lambda site: [site.machine.systemctl(verb, WORKER) for verb in ("stop", "start")],
    "a crash": lambda site: signal(site, WORKER, "KILL"),
    "SIGTERM to its process": lambda site: signal(site, WORKER, "TERM"),
    "SIGTERM to all": lambda site: site.machine.systemctl("kill", WORKER),
    "daemon-reload and restart": lambda site: [
        site.machine.systemctl(*v) for v in (["daemon-reload"], ["restart", WORKER])
    ],
    "re-executed, and restart": lambda site: [
        site.machine.systemctl(*v) for v in (["daemon-reexec"], ["restart", WORKER])
    ],
    "the target's restart": lambda site: site.machine.systemctl("restart", "tq.target"),
    "its mount is stopped": lambda site: [
        site.machine.systemctl("stop", "run-tqunits-workers-alpha.mount"),
        site.machine.systemctl("start", WORKER),
    ],
    "a failed start, and another": fail_and_start,
    "a router that starts later": lambda site: [
        site.machine.systemctl("stop", "tq-proxy@1"),
        site.machine.systemctl("restart", WORKER),
        site.machine.systemctl("start", "tq-proxy@1"),
    ],
}


@pytest.mark.short("tcp")
@pytest.mark.parametrize("listen", ["tcp", "unix", "fd"])
def test_a_worker_that_runs_is_served_whatever_has_happened(site: Site, listen: str) -> None:
    """In no state does the worker run while its requests are held."""
    install(site, f"listen: {listen}\n")
    for what, deed in DEEDS.items():
        deed(site)
        site.machine.wait_until(lambda: active(site))
        assert site.machine.exists(SERVING), what
        assert is_served(site), what


@pytest.mark.short("tcp")
@pytest.mark.parametrize("listen", ["tcp", "unix", "fd"])
def test_a_crash_takes_the_file_away_and_requests_wait(site: Site, listen: str) -> None:
    site.worker("alpha", f"listen: {listen}\nrestart: {{delay: 3s}}\n", program=RUDE)
    site.install()
    signal(site, WORKER, "KILL")
    site.machine.wait_until(lambda: not site.machine.exists(SERVING))
    assert site.machine.run(IMPATIENT, check=False).returncode == HELD
    assert is_served(site)


@pytest.mark.short("unix")
@pytest.mark.parametrize("listen", ["tcp", "unix", "fd"])
def test_a_worker_that_ends_by_itself_is_not_waited_for(site: Site, listen: str) -> None:
    """ExecStop= runs in this case too, without a process to drain; it does not delay the stop."""
    install(site, f"listen: {listen}\ntimeouts: {{drain: 100s, stop: 120s}}\n")
    before = pid(site, f"{WORKER}.service")
    site.machine.systemctl("kill", "--signal=TERM", "--kill-who=main", WORKER)
    site.machine.wait_until(lambda: active(site) and pid(site, f"{WORKER}.service") != before)
    assert is_served(site)


def test_a_reboot_serves_and_needs_nothing_of_before(fresh_machine: Callable[[], Machine]) -> None:
    machine = fresh_machine()
    site = Site(machine)
    machine.write(f"{ROOT}/config/tqunits.yaml", "mode: production\n")
    install(site)
    machine.reboot()
    machine.wait_until(lambda: active(site))
    assert machine.exists(SERVING)
    assert is_served(site)


def test_who_says_ready_itself_joins_when_it_has(site: Site) -> None:
    ready = ("import socket", "sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)", SAYS)
    program = RUDE.replace(
        "    await (await listen", "".join(f"    {line}\n" for line in ready) + "    await (await listen"
    )
    site.worker("alpha", "service_type: notify\n", program=program)
    site.install()
    assert site.machine.exists(SERVING)
    assert is_served(site)
    site.machine.systemctl("restart", WORKER)
    assert is_served(site)


def test_nobody_fills_run(site: Site) -> None:
    install(site)
    site.worker("beta", program=RUDE)
    site.install()
    fill = f"cd {FOLDER}; head -c 100M /dev/zero > full; i=0; while mkdir d$i; do i=$((i + 1)); done; ls | wc -l"
    done = site.machine.run(["sh", "-c", fill], user="worker-alpha", check=False)
    assert "No space left on device" in done.stderr
    assert int(done.stdout) < 2000
    assert int(site.machine.run(["stat", "-fc", "%b", FOLDER]).stdout) <= 16 << 8  # blocks of 4 KiB
    site.machine.systemctl("restart", "tq-worker@beta", WORKER)
    assert is_served(site)


def test_everybody_may_ask_at_the_leave_socket_and_nobody_starts_a_router_by_it(site: Site) -> None:
    install(site)
    ask = ["curl", "-sS", "-m", "5", "--unix-socket", "/run/tqunits/leave/1/leave.sock", "http://router/serving/alpha"]
    assert site.machine.run(ask, user="nobody").stdout == '{"version": 1, "serving": true}\n'
    site.machine.systemctl("stop", "tq-proxy@1.service")
    assert site.machine.run(ask, user="nobody", check=False).returncode == 7  # curl(1): could not connect
    assert site.machine.show("tq-proxy@1.service", "ActiveState") == "inactive"
    site.machine.systemctl("start", "tq-proxy@1.service")


def state(site: Site) -> str:
    """The state that `ls` shows, or its detail."""
    rows = {row["name"]: row for row in json.loads(site.machine.tqunits("ls", "--json").stdout)["workers"]}
    return str(rows["alpha"]["detail"] or rows["alpha"]["state"])


TAKEN = {
    "its file": f"rm {SERVING}",
    "all in its folder": f"rm -rf {FOLDER}/*",
    "its folder": f"rm -rf {FOLDER}",
    "its mount": f"umount {FOLDER}",
    "all workers' folders": "rm -rf /run/tqunits/workers",
    "all": "rm -rf /run/tqunits",
}
ROUTERS = ("/run/tqunits/leave/1/leave.sock", "/run/tqunits/proxy/1/control.sock")

SICK = RUDE.replace('"HTTP/1.1 200 OK', '"HTTP/1.1 %b OK').replace("% (len(answer)", "% (WELL(), len(answer)")
SICK = SICK.replace(
    "FILL =", """WELL = lambda: b"200" if os.path.exists(os.environ["STATE_DIRECTORY"] + "/well") else b"503"\nFILL ="""
)


def take(site: Site, what: str) -> None:
    """Mounted folders stay, but their content is removed."""
    site.machine.run(["sh", "-c", TAKEN[what]], check=False)


@pytest.mark.short("its folder-tcp", "its mount-fd")
@pytest.mark.parametrize("listen", ["tcp", "unix", "fd"])
@pytest.mark.parametrize("what", TAKEN)
def test_what_runs_is_served_again_whatever_is_removed(site: Site, listen: str, what: str) -> None:
    """This needs no action of an operator; and no worker is restarted that does not need it."""
    install(site, f"listen: {listen}\n")
    before = pid(site, f"{WORKER}.service")
    take(site, what)
    assert site.machine.run(ASK).stdout == "200"
    if what == "its file":
        assert pid(site, f"{WORKER}.service") == before
    site.machine.wait_until(lambda: state(site) == "healthy" and all(map(site.machine.exists, ROUTERS)))
    assert is_served(site)
    site.machine.systemctl("restart", WORKER)
    assert is_served(site)


@pytest.mark.parametrize("what", ["leave", "proxy"])
def test_the_router_gets_its_sockets_again(site: Site, what: str) -> None:
    """Without these sockets a worker that stops could not ask whether it is drained."""
    echo(site)
    site.machine.run(["rm", "-rf", f"/run/tqunits/{what}"])
    site.machine.wait_until(lambda: all(map(site.machine.exists, ROUTERS)))
    with site.machine.start(["curl", "-sf", "http://localhost:8080/alpha/first"]) as first:
        site.machine.wait_until(lambda: in_flight(site, 1) == 1)
        with site.machine.start(["systemctl", "restart", WORKER]):
            site.machine.wait_until(lambda: state(site) == "draining")
            signal(site, WORKER, "USR1")
        assert first.wait() == 0


@pytest.mark.short("all")
@pytest.mark.parametrize("what", TAKEN)
def test_what_is_removed_during_a_start(site: Site, what: str) -> None:
    """While the gate runs: requests are not sent to it before it is healthy; then they are."""
    well = "/var/lib/tqunits/workers/alpha/well"
    install(site)
    site.machine.write(f"{ROOT}/workers/alpha/src/main.py", SICK)
    site.machine.run(["systemctl", "--no-block", "restart", WORKER])
    site.machine.wait_for_log(WORKER, "Stopped")
    site.machine.wait_until(lambda: site.machine.show(f"{WORKER}.service", "ActiveState") == "activating")
    take(site, what)
    assert site.machine.run(IMPATIENT, check=False).returncode == HELD
    site.machine.tqunits("repair")
    assert site.machine.run(IMPATIENT, check=False).returncode == HELD
    site.machine.run(["touch", well], user="worker-alpha")
    assert is_served(site)


def test_a_first_start_gets_no_request_before_it_is_healthy(site: Site) -> None:
    """It has a route as soon as it is installed; requests wait for its health check."""
    site.worker("alpha", program=SICK)
    with site.machine.start(["/usr/local/bin/tqunits", *site.options, "install", "--now"]) as installing:
        site.machine.wait_until(lambda: site.machine.show(f"{WORKER}.service", "ActiveState") == "activating")
        site.machine.wait_until(lambda: site.machine.show("tq-proxy@1.service", "ActiveState") == "active")
        assert site.machine.run(IMPATIENT, check=False).returncode == HELD
        site.machine.run(["touch", "/var/lib/tqunits/workers/alpha/well"], user="worker-alpha")
        assert installing.wait() == 0
    assert is_served(site)


def is_asked_to_leave(site: Site) -> bool:
    """Whether the router has a connection at its leave socket, besides the listening one
    (proc_net(5))."""
    return site.machine.run(["grep", "-c", ROUTERS[0], "/proc/net/unix"], check=False).stdout.strip() == "2"


@pytest.mark.short("all")
@pytest.mark.parametrize("what", TAKEN)
def test_what_is_removed_while_it_leaves_is_not_served_again(site: Site, what: str) -> None:
    """It is about to be stopped: no new request is sent to it, and those that run are finished."""
    echo(site)
    with site.machine.start(["curl", "-sf", "http://localhost:8080/alpha/first"]) as first:
        site.machine.wait_until(lambda: in_flight(site, 1) == 1)
        with site.machine.start(["systemctl", "stop", WORKER]):
            site.machine.wait_until(lambda: is_asked_to_leave(site))
            assert state(site) == "draining"
            take(site, what)
            with site.machine.start(["/usr/local/bin/tqunits", "repair"]):
                assert site.machine.run(IMPATIENT, check=False).returncode == HELD
                assert state(site) == "draining"
                signal(site, WORKER, "USR1")
        assert first.wait() == 0
    site.machine.wait_until(lambda: state(site) == "stopped")


def test_repair_says_what_it_does_and_does_nothing_to_who_is_well(site: Site) -> None:
    install(site)
    assert "nothing is lost" in site.machine.tqunits("repair").stderr
    site.unwatched()
    site.machine.run(["rm", SERVING])
    assert state(site) == "holding"
    said = site.machine.tqunits("ls")
    assert " unhealthy (holding) " in said.stdout
    assert "tqunits repair" in said.stdout + said.stderr
    assert site.machine.tqunits("ls", "alpha", check=False).returncode == 3
    assert "is to be served again" in site.machine.tqunits("repair", "--dry-run").stderr
    assert state(site) == "holding"
    assert '"cure":"admit"' in site.machine.tqunits("repair", "--json").stdout.replace(" ", "")
    assert state(site) == "healthy"
    site.machine.systemctl("start", "tq-repair.path")


def test_who_finishes_what_it_has_is_draining(site: Site) -> None:
    echo(site)
    with site.machine.start(["curl", "-sf", "http://localhost:8080/alpha/first"]):
        site.machine.wait_until(lambda: in_flight(site, 1) == 1)
        with site.machine.start(["systemctl", "stop", WORKER]):
            site.machine.wait_until(lambda: state(site) == "draining")
            signal(site, WORKER, "USR1")  # it waits for that before it answers
    site.machine.wait_until(lambda: state(site) == "stopped")
