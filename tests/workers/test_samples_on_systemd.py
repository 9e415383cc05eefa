"""The four sample workers, installed on a booted systemd, in their sandboxes, behind the router.

Each test finds them running, whatever the test before has done: `samples` installs the missing
ones.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from machine import Machine

NAMES = ("admin", "api", "blog", "index")
UNITS = tuple(f"tq-worker@{name}.service" for name in NAMES)
ROUTES = {"index": "/", "api": "/api/", "admin": "/admin/", "blog": "/blog/"}
BUILT = "/srv/tqunits/workers/api/bin"
TRACES = (
    "find /etc/systemd/system /etc/sysusers.d /var/lib/tqunits /var/lib/private /var/cache/tqunits /var/cache/private"
    " /run/tqunits -print 2>/dev/null; cut -d: -f1 /etc/passwd /etc/group"
)
MOST_EXPOSED_WORKER, MOST_EXPOSED_ROUTER = 1.5, 1.0  # promises, by `systemd-analyze security`: 0 best, 10 worst


@dataclass(frozen=True)
class Samples:
    """The machine with its sample workers."""

    machine: Machine

    def up(self) -> None:
        """Install the missing workers, and start those that do not run."""
        states = self.machine.systemctl("is-active", *UNITS, "tq-proxy@1.service", check=False).split()
        if states != ["active"] * 5:
            self.tqunits("install", "--now")

    def tqunits(self, *arguments: str, status: int = 0) -> str:
        """Run tqunits and check its exit status; gives stdout and stderr, in this order."""
        done = self.machine.tqunits(*arguments, check=False, timeout=300)
        assert done.returncode == status, f"exit status {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def curl(self, path: str, *options: str) -> str:
        """The answer of the router, which must be a success."""
        url = f"http://localhost:8080{path}"
        return self.machine.run(["curl", "-sf", "-m", "20", *options, url]).stdout

    def ls(self) -> Mapping[str, Any]:
        """Name -> the row of `ls --json`."""
        return {worker["name"]: worker for worker in json.loads(self.tqunits("ls", "--json"))["workers"]}

    def journal(self, name: str) -> list[tuple[str, str]]:
        """Priority and text of the messages that a worker's own program has logged in this boot,
        oldest first."""
        lines = self.machine.journal(f"tq-worker@{name}.service", "-o", "json", f"TQUNITS_WORKER={name}").splitlines()
        entries = [json.loads(line) for line in lines]
        return [(entry["PRIORITY"], entry["MESSAGE"]) for entry in entries if entry["MESSAGE"].startswith("{")]

    def ask_slowly(self, name: str) -> Any:
        """Send a request that takes a second directly to the worker; gives the connection when the
        worker has read it."""
        port = self.ls()[name]["port"]
        connection = self.machine.connect(port)
        connection.sendall(b"GET /slow HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        ours = f"dport = :{connection.getsockname()[1]}"
        taken = re.compile(r"ESTAB +0 ")  # no unread bytes in the kernel
        self.machine.wait_until(
            lambda: bool(taken.match(self.machine.run(["ss", "-Htnp", f"sport = :{port} and {ours}"]).stdout))
        )
        return connection


@pytest.fixture(scope="module")
def _installed(machine: Machine) -> Iterator[Samples]:
    machine.remove(BUILT)
    yield Samples(machine)
    machine.tqunits("uninstall", "--all", "--purge", "--yes", "--quiet", check=False)
    machine.remove(BUILT)


@pytest.fixture
def samples(_installed: Samples) -> Samples:
    _installed.up()
    return _installed


def main_pid(samples: Samples, name: str) -> str:
    return samples.machine.show(f"tq-worker@{name}.service", "MainPID")


def test_all_run_and_are_routed(samples: Samples) -> None:
    assert {name: worker["state"] for name, worker in samples.ls().items()} == dict.fromkeys(NAMES, "healthy")
    assert "It works" in samples.curl("/")
    assert samples.curl("/api/echo", "-d", '{"a": 1}') == '{"echo":{"a":1}}\n'
    assert json.loads(samples.curl("/api/"))["links"] == ["/api/echo", "/api/slow"]
    assert f"<td>{main_pid(samples, 'admin')}<" in samples.curl("/admin/")
    assert 'action="/blog/session"' in samples.curl("/blog/")
    assert 'action="/journal/session"' in samples.curl("/journal/")


@pytest.mark.parametrize("name", NAMES)
def test_each_is_healthy_through_the_router(samples: Samples, name: str) -> None:
    assert samples.curl(f"{ROUTES[name]}health")


def test_a_second_install_has_nothing_to_do(samples: Samples) -> None:
    pids = [main_pid(samples, name) for name in NAMES]
    assert "nothing to do" in samples.tqunits("install", "--now")
    assert [main_pid(samples, name) for name in NAMES] == pids
    assert samples.tqunits("diff") == ""


def test_the_go_sample_is_built_by_a_user_of_its_own(samples: Samples) -> None:
    samples.tqunits("uninstall", "api", "--purge")
    samples.machine.remove(BUILT)
    assert "build api: go build" in samples.tqunits("install", "--now")
    assert samples.machine.run(["stat", "-c", "%U %a", f"{BUILT}/api"]).stdout.split() == ["root", "755"]
    caches = samples.machine.run(["find", "/var/cache/tqunits/builds/api", "-uid", "0"]).stdout
    assert caches == ""  # root does not own what the compiler has written
    assert samples.machine.exists("/var/cache/tqunits/builds/api/go")


def test_a_comment_survives_a_restart(samples: Samples) -> None:
    jar = ["-b", "/tmp/jar", "-c", "/tmp/jar", "-L"]
    samples.curl("/blog/session", *jar, "-d", "value=Ada")
    assert "Ada says" in samples.curl("/blog/comment", *jar, "-d", "value=first+light")
    pid = main_pid(samples, "blog")
    samples.tqunits("restart", "blog")
    assert main_pid(samples, "blog") != pid
    page = samples.curl("/blog/", *jar)
    assert "<b>Ada</b>: first light" in page
    assert "Ada says" in page  # the session still exists, too
    samples.machine.remove("/tmp/jar")


def test_node_runs_in_the_jit_sandbox_and_go_in_the_standard_one(samples: Samples) -> None:
    def sandbox(name: str) -> tuple[str, bool, list[str]]:
        unit = f"tq-worker@{name}.service"
        families = samples.machine.show(unit, "RestrictAddressFamilies")
        seccomp = [
            line.split()[1]
            for line in samples.machine.read(f"/proc/{main_pid(samples, name)}/status").splitlines()
            if line.startswith(("NoNewPrivs:", "Seccomp:"))
        ]
        return samples.machine.show(unit, "MemoryDenyWriteExecute"), "AF_NETLINK" in families, seccomp

    assert sandbox("admin") == ("no", True, ["1", "2"])
    assert sandbox("api") == ("yes", False, ["1", "2"])
    profiles = {row["name"]: row["profile"] for row in json.loads(samples.tqunits("security", "--json"))["workers"]}
    assert profiles == {"admin": "jit", "api": "standard", "blog": "standard", "index": "strict"}


def test_exposure_is_as_promised(samples: Samples) -> None:
    report = samples.machine.run(["systemd-analyze", "security", "--no-pager", *UNITS, "tq-proxy@1.service"]).stdout
    scores = dict(re.findall(r"^(tq-\S+)\s+([\d.]+) ", report, re.MULTILINE))
    assert set(scores) == {*UNITS, "tq-proxy@1.service"}
    assert float(scores.pop("tq-proxy@1.service")) <= MOST_EXPOSED_ROUTER
    assert all(float(score) <= MOST_EXPOSED_WORKER for score in scores.values()), scores


@pytest.mark.parametrize("name", NAMES)
def test_lines_of_the_journal_have_their_priority(samples: Samples, name: str) -> None:
    samples.curl(f"{ROUTES[name]}none?x", "--no-fail")
    samples.machine.wait_until(lambda: any("none" in text for _, text in samples.journal(name)))
    said = {json.loads(text)["message"]: priority for priority, text in samples.journal(name)}
    assert said["listening"] == "6"
    assert said["request"] == "6"
    if name == "admin":
        assert said["no credential admin_password: everybody may look"] == "5"


@pytest.mark.short("admin", "api")
@pytest.mark.parametrize("name", NAMES)
def test_a_stop_finishes_what_has_begun_without_a_kill(samples: Samples, name: str) -> None:
    unit, since = f"tq-worker@{name}.service", samples.machine.cursor()
    with samples.ask_slowly(name) as connection:
        samples.tqunits("stop", name)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200 ")
    properties = [samples.machine.show(unit, key) for key in ("ActiveState", "Result", "ExecMainStatus")]
    assert properties == ["inactive", "success", "0"]
    assert "SIGKILL" not in samples.machine.journal(unit, since)
    assert json.loads(samples.journal(name)[-1][1])["message"] == "stopped"


def test_ls_tells_what_runs(samples: Samples) -> None:
    workers = samples.ls()
    assert set(workers) == set(NAMES)
    assert workers["blog"]["routes"] == ["/blog", "/journal"]
    assert workers["api"]["user"] == "worker-api"
    assert workers["api"]["pid"] == int(main_pid(samples, "api"))
    assert workers["api"]["memory_max"] == 128 << 20
    assert 0 < workers["api"]["memory"] < 128 << 20
    assert workers["api"]["cpu_ns"] > 0
    assert len({worker["port"] for worker in workers.values()}) == len(NAMES)
    samples.tqunits("stop", "api")
    assert "stopped" in samples.tqunits("ls", "api", status=3)
    samples.tqunits("ls", "nobody", status=4)


def test_show_tells_where_a_setting_comes_from(samples: Samples) -> None:
    shown = samples.tqunits("show", "api")
    assert re.search(
        r"^limits\.memory_max +128M +/srv/tqunits/workers/api/config/worker\.yaml:12$", shown, re.MULTILINE
    )
    assert re.search(r"^build\.command +go build -o bin/api \./src +preset go$", shown, re.MULTILINE)
    assert re.search(r"^health\.path +/health +default$", shown, re.MULTILINE)
    assert f"process {main_pid(samples, 'api')}" in shown


def test_logs_show_the_last_lines(samples: Samples) -> None:
    for number in range(6):
        samples.curl(f"/api/echo?{number}", "-d", "1")
    samples.machine.wait_until(lambda: [json.loads(text) for _, text in samples.journal("api")][-1]["path"] == "/echo")
    lines = samples.tqunits("logs", "-n", "5", "api").splitlines()
    assert len(lines) == 5
    assert all("tq-worker@api" in line and '"path":"/echo"' in line for line in lines)


def test_the_doctor_finds_no_problem(samples: Samples) -> None:
    report = samples.tqunits("doctor")
    assert "everything that 4 workers run is there" in report
    assert "problem " not in report


def test_the_doctor_names_a_worker_that_has_failed(samples: Samples) -> None:
    unit, drop_in = "tq-worker@index.service", "/run/systemd/system/tq-worker@index.service.d/test.conf"
    samples.machine.write(drop_in, "[Service]\nRestart=no\n")
    samples.machine.systemctl("daemon-reload")
    samples.machine.systemctl("kill", "--signal=KILL", unit)
    samples.machine.wait_until(lambda: samples.machine.show(unit, "ActiveState") == "failed")
    report = samples.tqunits("doctor", status=1)
    shown = samples.tqunits("show", "index")
    samples.machine.remove(drop_in)
    samples.machine.systemctl("daemon-reload")
    assert re.search(rf"^problem +failed: {re.escape(unit)}$", report, re.MULTILINE)
    assert "failed (signal)" in shown
    assert "SIGKILL" in shown


@pytest.mark.long
def test_purge_leaves_no_trace(samples: Samples) -> None:
    samples.machine.write("/run/systemd/system/tq-worker@index.service.d/test.conf", "[Service]\nRestart=no\n")
    samples.machine.systemctl("daemon-reload")
    samples.machine.systemctl("kill", "--signal=KILL", "tq-worker@index")  # a failed unit leaves no trace either
    samples.machine.wait_until(lambda: samples.ls()["index"]["state"] == "failed")
    samples.machine.remove("/run/systemd/system/tq-worker@index.service.d")
    samples.tqunits("uninstall", "--all", "--purge", "--yes")
    left = samples.machine.run(["sh", "-c", TRACES]).stdout.splitlines()
    assert not [line for line in left if re.search(r"tq[-.]|tqunits|worker-|build-|builds", line)]
    assert samples.machine.systemctl("list-units", "--all", "--plain", "--no-legend", *UNITS, "tq-proxy*", "tq.*") == ""
