"""The loads of bench/router: what is asked of a peer for one round, and what that cost.

A round of wrk or of the echo client gives throughput, latency, and the CPU time of the proxy, of
the origin, and of everything else that ran on the machine meanwhile. Idle connections are opened
from here and give memory.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from bench.processes import cpu_of, machine_time, memory_of, output_of
from bench.router.peers import Peer, haproxy_connections

SCRIPT = Path(__file__).with_name("wrk.lua")
IDLE = 10_000
SETTLE = 3.0
"""Seconds until connections count as idle."""

SPARE_DESCRIPTORS = 300
"""What a process needs besides its connections."""

_REQUEST = b"GET /api/small HTTP/1.1\r\nHost: bench.example\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One load."""

    name: str
    path: str = "/api/small"
    head: str = "browser"  # of wrk.lua; "websocket": the echo client; "resumed": resumed.py; "idle"
    connections: int = 32
    upload: int = 0  # bytes of the request's body
    bytes: int = 0  # of a body, either way: gives CPU per MiB
    processes: int = 1
    tls: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one round of one peer gave. CPU figures are those of all the proxy's processes, in µs
    per request."""

    requests: int
    errors: int
    rps: float
    p50_us: float
    p99_us: float
    cpu_us: float
    user_us: float
    system_us: float
    busy: float  # CPUs that the proxy used
    origin_busy: float
    other_busy: float  # CPUs that neither the proxy, nor the origin, nor the load used


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """Memory of a peer before and with so many idle connections, in KiB."""

    connections: int
    wanted: int
    pss_before: int
    rss_before: int
    pss: int
    rss: int


def measure(case: Case, peer: Peer, origin: Peer, *, seconds: int, echo: Path) -> Round:
    """One round."""
    pids, children = peer.pids, resource.RUSAGE_CHILDREN
    load, machine = resource.getrusage(children), machine_time()
    before, origin_before = cpu_of(pids), cpu_of(origin.pids)
    text = output_of(_command(case, peer, seconds, echo))
    cpu, origin_cpu = cpu_of(pids) - before, cpu_of(origin.pids) - origin_before
    after, machine_after = resource.getrusage(children), machine_time()
    report = json.loads(text.strip().splitlines()[-1])
    requests, duration = max(1, report["requests"]), report["duration_us"] / 1e6
    ours = cpu.total + origin_cpu.total + (after.ru_utime + after.ru_stime) - (load.ru_utime + load.ru_stime)
    share = cpu.user / (cpu.user + cpu.system or 1)
    wall = (machine_after[1] - machine[1]) / (os.cpu_count() or 1)
    return Round(
        requests=report["requests"],
        errors=report["errors"],
        rps=report["requests"] / duration,
        p50_us=report["p50_us"],
        p99_us=report["p99_us"],
        cpu_us=cpu.total / requests * 1e6,
        user_us=cpu.total / requests * 1e6 * share,
        system_us=cpu.total / requests * 1e6 * (1 - share),
        busy=cpu.total / wall,
        origin_busy=origin_cpu.total / wall,
        other_busy=max(0.0, machine_after[0] - machine[0] - ours) / wall,
    )


def _command(case: Case, peer: Peer, seconds: int, echo: Path) -> list[str]:
    if case.head == "websocket":
        return [str(echo), str(peer.port), case.path, str(case.connections), "32", str(seconds)]
    if case.head == "resumed":
        return [sys.executable, "-m", "bench.router.resumed", str(peer.port), case.path, str(seconds)]
    url = f"{'https' if case.tls else 'http'}://127.0.0.1:{peer.port}{case.path}"
    load = ["-t1", f"-c{case.connections}", f"-d{seconds}s", "--timeout", "10s"]
    return ["wrk", *load, "-s", str(SCRIPT), url, "--", case.head, str(case.upload)]


def raise_descriptor_limit() -> int:
    """As many descriptors as this user may have; the children inherit that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(hard, 2 * IDLE + 2 * SPARE_DESCRIPTORS)
    for limit in (wanted, hard):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
            return limit
    return soft


def idle(peer: Peer, wanted: int) -> Idle:
    """Open connections, send one request on each, and let them be."""
    pss_before, rss_before = memory_of(peer.pids)
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    count = min(wanted, haproxy_connections() if peer.name == "haproxy" else limit - SPARE_DESCRIPTORS)
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", peer.port), timeout=10))
            connection.sendall(_REQUEST)
            if not connection.recv(4096).startswith(b"HTTP/1.1 200 "):
                raise RuntimeError(f"{peer.name} does not answer 200")
        time.sleep(SETTLE)
        pss, rss = memory_of(peer.pids)
    return Idle(connections=count, wanted=wanted, pss_before=pss_before, rss_before=rss_before, pss=pss, rss=rss)
