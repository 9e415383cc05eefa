"""HAProxy in front of the router, nginx behind it: health checks as usually configured, and ab
through both.

nginx answers 400 to an HTTP/1.1 request without a host. So it matters into what the router turns a
check that has none.
"""

from __future__ import annotations

import asyncio
import csv
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from control_peers import write_routes
from peers import Router
from real_programs import PATIENCE, Figure, Program, endpoints, free_address, notified, ready, run

REQUESTS = 2000
CLIENTS = 16

CHECKS = {
    "httpchk": "option httpchk",
    "httpchk GET": "option httpchk GET /",
    "HTTP/1.0 with Host": "option httpchk GET / HTTP/1.0\n    http-check send hdr Host a.example",
    "HTTP/1.1 with Host": "option httpchk GET / HTTP/1.1\n    http-check send hdr Host a.example",
}
"""The health checks of HAProxy for the router."""

HAPROXY = """
global
    stats socket {folder}/haproxy.sock level admin
    maxconn 200
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend front
    bind {address}
    default_backend router
backend router
    {check}
    server router 127.0.0.1:{port} check inter 100ms rise 1 fall 1 {server}
"""

NGINX = """
daemon off;
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections 256; }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/temporary;
    proxy_temp_path {folder}/temporary;
    fastcgi_temp_path {folder}/temporary;
    uwsgi_temp_path {folder}/temporary;
    scgi_temp_path {folder}/temporary;
    server {{
        listen {endpoint};
        location / {{ return 200 "well\\n"; }}
        location /page {{ gzip on; gzip_types text/plain; gzip_min_length 1; return 200 "{page}"; }}
    }}
}}
"""


PAGE = "much of the same, " * 200


@asynccontextmanager
async def served(folder: Path, listens: str, *trusted: str, **changes: Any) -> AsyncIterator[Router]:
    """The router in front of nginx."""
    endpoint = endpoints(folder)[listens]
    configuration = folder / "nginx.conf"
    user = "user root;" if os.getuid() == 0 else ""  # its own user could not enter the folder
    configuration.write_text(NGINX.format(folder=folder, endpoint=endpoint, user=user, page=PAGE))
    write_routes(folder, endpoint, trusted=trusted, **changes)
    nginx = Program(folder, "nginx", "-e", "stderr", "-p", folder, "-c", configuration)
    async with nginx, Router(folder, ["--listen=127.0.0.1:0", f"--routes={folder}/routes.json"]) as router:
        await run(folder, "curl", "--silent", "--fail", f"http://127.0.0.1:{router.port}/")  # held until nginx listens
        yield router


@asynccontextmanager
async def balanced(folder: Path, router: Router, check: str, server: str = "") -> AsyncIterator[str]:
    """HAProxy in front of the router; gives its address when it answers."""
    address = free_address()
    configuration = folder / "haproxy.cfg"
    words = {"folder": folder, "address": address, "check": check, "port": router.port, "server": server}
    configuration.write_text(HAPROXY.format(**words))
    notify = folder / "haproxy.notify"
    with notified(notify) as sock:
        variables = {"NOTIFY_SOCKET": str(notify)}
        async with Program(folder, "haproxy", "-Ws", "-f", configuration, variables=variables) as haproxy:
            await ready(sock, haproxy)
            yield address


async def stats(folder: Path) -> dict[str, str]:
    """The status of its server in HAProxy."""
    reader, writer = await asyncio.open_unix_connection(f"{folder}/haproxy.sock")
    writer.write(b"show stat\n")
    lines = (await reader.read()).decode().removeprefix("# ").splitlines()
    writer.close()
    return next(row for row in csv.DictReader(lines) if row["svname"] == "router" and row["pxname"] == "router")


async def checked(folder: Path) -> dict[str, str]:
    """The status after a check has ended; before that HAProxy reports all servers as UP."""
    async with asyncio.timeout(PATIENCE):
        while "INI" in (now := await stats(folder))["check_status"]:
            pass
        return now | {"check_status": now["check_status"].removeprefix("* ")}  # the next check already runs


async def load(folder: Path, address: str, *options: str) -> str:
    """Run ab; no request may fail. Gives its measurements."""
    said = await run(folder, "ab", "-q", "-n", str(REQUESTS), "-c", str(CLIENTS), *options, f"http://{address}/")
    figures = dict(re.findall(r"^([A-Z][^:]+): +([\d.]+)", said, re.MULTILINE))
    assert (figures["Complete requests"], figures["Failed requests"]) == (str(REQUESTS), "0"), said
    assert "Non-2xx responses" not in figures, said
    return f"{REQUESTS} requests, 0 failed"


@pytest.mark.parametrize("listens", ["tcp", "unix"])
@pytest.mark.parametrize("check", CHECKS)
async def test_a_health_check_finds_the_router_up(folder: Path, check: str, listens: str, figure: Figure) -> None:
    async with served(folder, listens) as router, balanced(folder, router, CHECKS[check]) as address:
        state = await checked(folder)
        found = f"{state['status']}, {state['check_status']} {state['check_code']}".strip()
        figure(f"HAProxy, {check}, nginx on {listens}: {found}")
        assert found == "UP, L7OK 200", state
        await load(folder, address, "-k")
        assert (await stats(folder))["status"] == "UP"


async def test_a_health_check_in_one_dot_one_without_a_host_is_refused(folder: Path) -> None:
    """RFC 9112 §3.2 requires this; the test above has the configuration that an administrator
    needs."""

    check = "option httpchk\n    http-check connect\n    http-check send meth GET uri / ver HTTP/1.1"
    async with served(folder, "tcp") as router, balanced(folder, router, check):
        state = await checked(folder)
        assert (state["status"], state["check_status"], state["check_code"]) == ("DOWN", "L7STS", "400"), state


@pytest.mark.parametrize("version", ["send-proxy", "send-proxy-v2"])
async def test_the_client_behind_the_balancer_is_told_with_the_proxy_protocol(
    folder: Path, version: str, figure: Figure
) -> None:
    trusting = served(folder, "tcp", "127.0.0.0/8")
    async with trusting as router, balanced(folder, router, "option httpchk", version) as address:
        state = await checked(folder)
        assert (state["status"], state["check_status"], state["check_code"]) == ("UP", "L7OK", "200"), state
        measured = [await load(folder, address, *options) for options in ([], ["-k"])]
        figure(f"HAProxy with {version}: UP, {measured[0]}; kept: {measured[1]}")


@pytest.mark.parametrize("options", [[], ["-k"]], ids=["new connections", "kept connections"])
@pytest.mark.parametrize("front", ["ab", "ab and HAProxy"])
@pytest.mark.parametrize("listens", ["tcp", "unix"])
async def test_no_request_of_ab_fails(
    folder: Path, listens: str, front: str, options: list[str], figure: Figure
) -> None:
    async with served(folder, listens) as router, balanced(folder, router, CHECKS["httpchk"]) as address:
        where = address if front == "ab and HAProxy" else f"127.0.0.1:{router.port}"
        measured = await load(folder, where, *options)
        figure(f"{front}, {'-k' if options else 'no -k'}, nginx on {listens}: {measured}")


@pytest.mark.parametrize(("via", "is_small"), [(False, True), (True, False)], ids=["by default", "with proxy.via"])
async def test_nginx_compresses_what_goes_through_the_router(
    folder: Path, figure: Figure, *, via: bool, is_small: bool
) -> None:
    """A Via tells nginx that the client is a proxy, which may not support gzip (gzip_proxied of
    nginx)."""

    async with served(folder, "tcp", via=via) as router:
        page = f"http://127.0.0.1:{router.port}/page"
        size = int(await run(folder, "curl", "-sf", "--compressed", "-o", "/dev/null", "-w", "%{size_download}", page))
        figure(f"nginx, {len(PAGE)} bytes of text, proxy.via: {str(via).lower()}: {size} bytes")
        assert (size < len(PAGE) // 10) is is_small
