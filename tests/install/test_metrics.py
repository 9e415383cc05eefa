"""The manager's metrics on a booted systemd: off unless they are asked for, complete and added up,
and read by a parser that is independent of us."""

from __future__ import annotations

import json
import ssl
import time

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from .conftest import Site
from .test_tls import CERTIFICATE, KEY, lies, make

MANAGER = "tq-manager.service"
HERE = "127.0.0.1:9109"
ON = f"manager: {{metrics: '{HERE}'}}\nproxy: {{processes: 2}}\n"
HASTY = "health: {interval: 1s, timeout: 500ms, start_period: 0}\nlimits: {memory_max: 300M}\n"
SILENT = """
import socket, sys
held = [socket.create_connection(("127.0.0.1", 9109)) for _ in range(200)]
print("held", flush=True)
sys.stdin.read()
"""
TAKER = """
import socket, sys
server = socket.create_server(("127.0.0.1", 9109))
print("taken", flush=True)
sys.stdin.read()
"""
PIPE = -1  # subprocess.PIPE

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def asked(site: Site, address: str = HERE) -> str:
    return site.machine.run(["curl", "-sS", "--fail", "-m", "20", f"http://{address}/metrics"]).stdout


def samples(exposition: str) -> Samples:
    families = text_string_to_metric_families(exposition)
    return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}


def value(found: Samples, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


def listening(site: Site) -> set[str]:
    """The TCP addresses on which the manager's process listens."""
    process = site.machine.show(MANAGER, "MainPID")
    lines = site.machine.run(["ss", "-Hltnp"]).stdout.splitlines()
    return {line.split()[3] for line in lines if f"pid={process}," in line}


def of_routers(site: Site) -> list[Samples]:
    """What each router process tells itself, without its name."""
    found = []
    for process in ("1", "2"):
        socket = f"/run/tqunits/proxy/{process}/control.sock"
        text = site.machine.run(["curl", "-sS", "-m", "20", "--unix-socket", socket, "http://router/metrics"]).stdout
        own = samples(text)
        found.append({(name, labels - {("process", process)}): number for (name, labels), number in own.items()})
    return found


def test_off_by_default_and_a_change_restarts_the_manager_alone(managed: Site) -> None:
    managed.worker("alpha")
    managed.install()
    assert listening(managed) == set()
    units = ("tq-worker@alpha.service", "tq-proxy@1.service", MANAGER)
    before = [managed.machine.show(unit, "MainPID") for unit in units]
    managed.server(f"manager: {{metrics: '{HERE}'}}\n")
    managed.install()
    after = [managed.machine.show(unit, "MainPID") for unit in units]
    assert (after[:2], after[2] == before[2]) == (before[:2], False)
    assert listening(managed) == {HERE}
    managed.machine.run(["systemd-analyze", "security", "--threshold=15", MANAGER])
    managed.server("mode: production\n")
    managed.install()
    assert listening(managed) == set()


def test_everything_is_there_and_added_up(managed: Site) -> None:
    managed.worker("alpha", HASTY)
    managed.worker("beta", HASTY)
    managed.server(ON)
    managed.install()
    begun = time.time()
    for _ in range(20):
        assert managed.get("/alpha/health")[0] == 200
        managed.get("/beta/nothing")
    managed.machine.systemctl("kill", "--signal=KILL", "tq-worker@beta")
    managed.machine.wait_until(lambda: value(samples(asked(managed)), **BETA_RESTARTS) == 1)
    managed.machine.wait_until(lambda: managed.machine.show("tq-worker@beta", "ActiveState") == "active")
    managed.machine.systemctl("stop", "tq-worker@beta")
    managed.machine.wait_until(
        lambda: value(samples(asked(managed)), "tqunits_instance_state", **BETA, tqunits_instance_state="stopped") == 1
    )
    told = samples(asked(managed))

    parts = of_routers(managed)
    counters = {key for part in parts for key in part if "worker" in dict(key[1])}
    assert {name for name, _ in counters} > {"tqunits_requests_total", "tqunits_request_duration_seconds_bucket"}
    sums = {key: sum(part.get(key, 0) for part in parts) for key in counters}
    assert {key: round(told[key], 6) for key in counters} == {key: round(number, 6) for key, number in sums.items()}
    assert value(told, "tqunits_requests_total", worker="alpha", code="2xx") == 20
    assert value(told, "tqunits_router_answered", process="2") == 1

    assert value(told, "tqunits_instance_state", **ALPHA, tqunits_instance_state="healthy") == 1
    assert value(told, "tqunits_instance_restarts_total", **ALPHA, by="systemd") == 0
    assert value(told, "tqunits_instance_check_healthy", **ALPHA) == 1
    assert value(told, "tqunits_instance_check_timestamp_seconds", **ALPHA) >= begun - 2
    assert 0 < value(told, "tqunits_instance_check_duration_seconds", **ALPHA) < 0.5
    assert 1 << 20 < value(told, "tqunits_instance_memory_bytes", **ALPHA) < 300 << 20
    assert value(told, "tqunits_instance_memory_limit_bytes", **ALPHA) == 300 << 20
    assert value(told, "tqunits_instance_cpu_seconds_total", **ALPHA) > 0
    assert begun - 60 < value(told, "tqunits_instance_start_timestamp_seconds", **ALPHA) < time.time()
    assert ("tqunits_instance_memory_bytes", frozenset(BETA.items())) not in told, "it does not run"
    assert value(told, "tqunits_manager_changes_total") >= 2, "unhealthy, stopped"
    assert value(told, "tqunits_manager_memory_bytes") > 1 << 20
    assert value(told, "tqunits_manager_cpu_seconds_total") > 0

    answer = managed.machine.run(["curl", "-s", "--unix-socket", CONTROL, "http://manager/instances"]).stdout
    alpha, beta = json.loads(answer)["instances"]
    assert alpha["memory_limit_bytes"] == 300 << 20
    assert alpha["memory_bytes"] > 1 << 20
    assert alpha["cpu_us"] > 0
    assert (beta["memory_bytes"], beta["memory_limit_bytes"], beta["cpu_us"]) == (None, None, None)


ALPHA = {"worker": "alpha", "number": "1"}
BETA = {"worker": "beta", "number": "1"}
BETA_RESTARTS = {"name": "tqunits_instance_restarts_total", **BETA, "by": "systemd"}
CONTROL = "/run/tqunits/manager/control.sock"


@pytest.mark.long
def test_a_router_that_hangs_is_told_and_one_that_is_restarted_takes_nothing_away(managed: Site) -> None:
    managed.worker("alpha")
    managed.server(ON)
    managed.install()
    for _ in range(10):
        assert managed.get("/alpha/health")[0] == 200
    before = value(samples(asked(managed)), "tqunits_requests_total", worker="alpha", code="2xx")
    assert before == 10
    managed.machine.systemctl("kill", "--signal=STOP", "tq-proxy@2")
    managed.machine.wait_until(lambda: value(samples(asked(managed)), "tqunits_router_answered", process="2") == 0)
    assert value(samples(asked(managed)), "tqunits_requests_total", worker="alpha", code="2xx") == before
    managed.machine.systemctl("kill", "--signal=CONT", "tq-proxy@2")
    managed.machine.systemctl("restart", "tq-proxy@1", "tq-proxy@2")
    managed.machine.wait_until(lambda: value(samples(asked(managed)), "tqunits_router_answered", process="2") == 1)
    assert value(samples(asked(managed)), "tqunits_requests_total", worker="alpha", code="2xx") == before


def test_the_end_of_the_certificate_is_told(managed: Site) -> None:
    make(managed, CERTIFICATE.removesuffix(".pem"))
    managed.worker("alpha")
    managed.server(f"{ON}tls: {{certificate: {CERTIFICATE}, key: {KEY}}}\n")
    managed.install()
    context = ssl.create_default_context(cadata=ssl.DER_cert_to_PEM_cert(lies(managed)))
    (certificate,) = context.get_ca_certs()
    ends = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
    told = samples(asked(managed))
    name = "tqunits_certificate_expiry_timestamp_seconds"
    assert value(told, name, certificate="tls-certificate") == ends


@pytest.mark.long
def test_a_crowd_can_not_make_it_grow(managed: Site, alice: str) -> None:
    managed.worker("alpha")
    managed.server(f"manager: {{metrics: '{HERE}'}}\n")
    managed.install()
    before = int(managed.machine.show(MANAGER, "MemoryCurrent"))
    with managed.machine.start(["python3", "-c", SILENT], user=alice, stdin=PIPE) as crowd:
        assert crowd.stdout is not None
        assert crowd.stdout.readline() == "held\n"
        answer = managed.machine.run(["curl", "-s", "-m", "10", "--unix-socket", CONTROL, "http://manager/instances"])
        assert json.loads(answer.stdout)["instances"][0]["state"] == "healthy"
        assert int(managed.machine.show(MANAGER, "MemoryCurrent")) - before < 20 << 20
        managed.machine.wait_until(["curl", "-s", "--fail", "-m", "10", f"http://{HERE}/metrics"])
        crowd.kill()


@pytest.mark.long
def test_an_address_that_somebody_has_is_told_and_the_manager_runs_on(managed: Site, alice: str) -> None:
    managed.worker("alpha")
    managed.server(f"manager: {{metrics: '{HERE}'}}\n")
    with managed.machine.start(["python3", "-c", TAKER], user=alice, stdin=PIPE) as taker:
        assert taker.stdout is not None
        assert taker.stdout.readline() == "taken\n"
        managed.install()
        said = managed.machine.journal(MANAGER)
        assert f"manager.metrics: {HERE}: address already in use" in said
        assert managed.machine.show(MANAGER, "ActiveState") == "active"
        taker.kill()
    managed.machine.wait_until(lambda: listening(managed) == {HERE})


@pytest.mark.long
def test_ipv6_is_an_address_too(managed: Site) -> None:
    managed.worker("alpha")
    managed.server("manager: {metrics: '[::1]:9109'}\n")
    managed.install()
    assert listening(managed) == {"[::1]:9109"}
    assert value(samples(asked(managed, "[::1]:9109")), "tqunits_manager_changes_total") >= 0
