"""The router's processes as seen from inside the host: their control sockets, and a request in
flight at one of them."""

from __future__ import annotations

import json
import socket
from pathlib import Path

from .conftest import LISTEN, Site

ECHO = (Path(__file__).parent / "echo.py").read_text(encoding="utf-8")
TWO = "proxy: {processes: 2}\n"


def echo(site: Site, yaml: str = "") -> None:
    site.worker("alpha", yaml, program=ECHO)
    site.install()


def control_socket(process: int) -> str:
    return f"/run/tqunits/proxy/{process}/control.sock"


def control(site: Site, process: int, path: str, *, user: str = "root") -> str:
    """The answer of a router process on its control socket."""
    request = ["curl", "-sSf", "-m", "10", "--unix-socket", control_socket(process), f"http://router{path}"]
    return site.machine.run(request, user=user).stdout


def served(site: Site, process: int) -> int:
    """The number of requests that a router process has had since its start."""
    return int(json.loads(control(site, process, "/status"))["requests"])


def in_flight(site: Site, process: int) -> int:
    (worker,) = json.loads(control(site, process, "/status"))["workers"]
    return int(worker["in_flight"])


def pid(site: Site, unit: str) -> int:
    return int(site.machine.show(unit, "MainPID"))


def signal(site: Site, unit: str, name: str) -> None:
    site.machine.systemctl("kill", f"--signal={name}", "--kill-who=main", unit)


def held(site: Site, process: int, path: str) -> socket.socket:
    """A request in flight at this one of two processes: the other one is stopped until the request
    is accepted."""
    other = f"tq-proxy@{3 - process}"
    signal(site, other, "STOP")
    client = site.machine.connect(LISTEN)
    client.sendall(b"GET /alpha/%b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % path.encode())
    site.machine.wait_until(lambda: in_flight(site, process) == 1)
    signal(site, other, "CONT")
    return client
