"""What runtimes do at their start, in the sandbox that is preset: gunicorn's way with its socket."""

from __future__ import annotations

from tqunits.model import Profile

from .conftest import Site

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


def test_a_program_may_give_its_socket_to_itself(site: Site) -> None:
    for profile in Profile:
        site.worker(profile, f"listen: unix\nsandbox: {profile}\n", program=OWN_SOCKET)
    site.install()
    assert {name: site.get(f"/{name}/") for name in Profile} == dict.fromkeys(Profile, (200, "up"))
