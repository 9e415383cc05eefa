"""What runtimes do at their start, in the default sandbox: gunicorn with its socket, PHP, Node."""

from __future__ import annotations

import re

from tqunits.model import Profile

from .conftest import LISTEN, ROOT, Site

OWN_SOCKET = '''\
"""Binds its socket and gives it to the account that it runs as already, as gunicorn does (gunicorn/sock.py)."""

import os
import signal
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import UnixStreamServer


class Page(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"up")

    def address_string(self):
        return "-"


class Server(HTTPServer):
    def server_bind(self):
        UnixStreamServer.server_bind(self)
        os.chown(self.server_address, os.getuid(), os.getgid())


Server.address_family = UnixStreamServer.address_family
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
Server(os.environ["WORKER_SOCKET"], Page).serve_forever()
'''

COUNTER = """<?php
header("Content-Type: text/plain");
session_start();
$_SESSION["calls"] = ($_SESSION["calls"] ?? 0) + preg_match("/c(o+)u?nt/", "coount");
echo $_SESSION["calls"], " ", ini_get("session.gc_probability");
"""

MODE = """import http from "node:http";
const server = http.createServer((request, response) => response.end(process.env.NODE_ENV));
server.listen(process.env.WORKER_PORT, "127.0.0.1");
"""


def test_a_program_may_give_its_socket_to_itself(site: Site) -> None:
    for profile in Profile:
        site.worker(profile, f"listen: unix\nsandbox: {profile}\n", program=OWN_SOCKET)
    site.install()
    assert {name: site.get(f"/{name}/") for name in Profile} == dict.fromkeys(Profile, (200, "up"))


def test_php_keeps_sessions_in_the_state_folder(site: Site) -> None:
    """For the default command and for an own one, on Debian: its php.ini leaves the removal of old
    sessions to a job of root's."""
    site.yaml("alpha", "path: /alpha\ntype: php\nhealth: {type: tcp}\n")
    site.yaml(
        "beta", 'path: /beta\ncommand: [php, -S, "127.0.0.1:${WORKER_PORT}", public/index.php]\nhealth: {type: tcp}\n'
    )
    for name in ("alpha", "beta"):
        site.machine.write(f"{ROOT}/workers/{name}/public/index.php", COUNTER)
    site.install()
    assert {name: calls(site, name) for name in ("alpha", "beta")} == {"alpha": ["1 1", "2 1"], "beta": ["1 1", "2 1"]}
    for name in ("alpha", "beta"):
        assert "sess_" in site.machine.run(["ls", f"/var/lib/tqunits/workers/{name}"]).stdout
        assert not re.search("warning|jit", site.machine.journal(f"tq-worker@{name}.service"), re.IGNORECASE)


def calls(site: Site, name: str) -> list[str]:
    """The answers to two requests of one client."""
    jar = f"{ROOT}/{name}.cookies"
    ask = ["curl", "-s", "-m", "20", "-c", jar, "-b", jar, f"http://localhost:{LISTEN}/{name}/"]
    return [site.machine.run(ask).stdout for _ in range(2)]


def test_a_command_of_node_needs_no_type(site: Site) -> None:
    site.yaml("alpha", "path: /alpha\ncommand: [/usr/bin/env, A=b, node, src/main.mjs]\nhealth: {path: /}\n")
    site.machine.write(f"{ROOT}/workers/alpha/src/main.mjs", MODE)
    site.install()
    assert site.get("/alpha/") == (200, "production")
