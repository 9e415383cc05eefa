"""The peers of bench/router: nginx, HAProxy, tqunits and no proxy at all, in front of one origin.

The proxies do the same work: route /api to the origin, strip that prefix, keep connections to the
origin open, write no log, and set X-Forwarded-For, -Proto, -Host and -Prefix, X-Real-IP, Forwarded,
X-Request-ID and Via. Each is given what is usual for speed: nginx buffers in memory and never on
disk, HAProxy splices. Where bodies are moved there is also a relay that does none of that work
(relay.c): the kernel's part of it.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import resource
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.processes import PATIENCE, Process, children, output_of

PROXIES = ("nginx", "haproxy", "tqunits")
BESIDE = "tqunits beside"
"""That of another checkout: the tree before a change, or after it."""
DIRECT = "direct"
RELAY = "relay in C, no HTTP"
ROOT = Path(__file__).parents[2]
BACKLOG = 4096

_NGINX = """\
user {user};
worker_processes {processes};
worker_rlimit_nofile {descriptors};
daemon off;
pid {folder}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 16384; }}
http {{
  access_log off;
  client_body_temp_path {folder}/client; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  tcp_nodelay on; keepalive_timeout 300s; keepalive_requests 1000000000;
  client_max_body_size 0; client_body_buffer_size 64k;
  proxy_http_version 1.1; proxy_request_buffering off; proxy_max_temp_file_size 0;
  proxy_buffer_size 16k; proxy_buffers 8 16k;
  map $http_upgrade $hop {{ default upgrade; "" ""; }}
  upstream origin {{
    server 127.0.0.1:{origin};
    keepalive 512; keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=4096{secured};
    location /api/ {{
      proxy_pass http://origin/;
      proxy_set_header Host $http_host;
      proxy_set_header Connection $hop;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Proxy "";
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $http_host;
      proxy_set_header X-Forwarded-Prefix /api;
      proxy_set_header X-Real-IP $remote_addr;
      proxy_set_header Forwarded "for=$remote_addr;host=$http_host;proto=$scheme";
      proxy_set_header X-Request-ID $request_id;
      proxy_set_header Via "1.1 bench";
    }}
  }}
}}
"""

_HAPROXY = """\
global
  nbthread {processes}
  maxconn {connections}
  maxpipes 256
defaults
  mode http
  timeout connect 5s
  timeout client 300s
  timeout server 300s
  timeout http-keep-alive 300s
  timeout tunnel 1h
  option splice-auto
  http-reuse always
frontend front
  bind 127.0.0.1:{port} backlog 4096{secured}
  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Forwarded-Proto %[ssl_fc,iif(https,http)]
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header X-Forwarded-Prefix /api
  http-request set-header X-Real-IP %[src]
  http-request set-header Forwarded for=%[src];host=%[req.hdr(host)];proto=%[ssl_fc,iif(https,http)]
  http-request set-header X-Request-ID %[uuid]
  http-request set-header Via "1.1 bench"
  http-request del-header Proxy
  http-request replace-path /api(/.*) \\1
  use_backend origin if {{ path_beg / }}
backend origin
  server origin 127.0.0.1:{origin}
"""


@dataclass(frozen=True, slots=True)
class Peer:
    """A running peer: where wrk goes, and the processes whose CPU counts (none for `direct`)."""

    name: str
    port: int
    pids: tuple[int, ...]


def haproxy_connections() -> int:
    """How many it will serve: it wants two descriptors for each before it starts, besides its pipes
    and threads."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1] // 2 - 500


@dataclass(frozen=True, slots=True)
class Certificate:
    """For TLS: each peer has what it brings for that, OpenSSL's protocols and its stateless
    tickets."""

    file: Path  # the certificate and its key, in PEM

    @classmethod
    def make(cls, folder: Path) -> Certificate:
        """A new one, on the curve that most have. Raises RuntimeError."""
        file, key = folder / "bench.pem", folder / "bench.key"
        kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=bench.example"]
        output_of(["openssl", "req", "-x509", *kind, "-days", "2", "-keyout", str(key), "-out", str(file)])
        file.write_text(file.read_text() + key.read_text())
        return cls(file)


def missing() -> list[str]:
    """Programs that this needs and this machine does not have."""
    return [program for program in ("nginx", "haproxy", "wrk", "cc", "openssl") if shutil.which(program) is None]


@contextlib.contextmanager
def origin(program: Path, folder: Path) -> Iterator[Peer]:
    """The server behind all of them."""
    with Process([str(program)], log=folder / "origin.log") as process:
        port = int(process.wait_for("\n").split()[0])
        yield Peer(DIRECT, port, (process.pid,))


@contextlib.contextmanager
def relay(program: Path, behind: Peer, folder: Path) -> Iterator[Peer]:
    """What moves bytes and nothing else. It leaves the path as it is: the origin looks at its last
    word only."""
    with Process([str(program), str(behind.port)], log=folder / "relay.log") as process:
        yield Peer(RELAY, int(process.wait_for("\n").split()[0]), (process.pid,))


@contextlib.contextmanager
def running(
    name: str,
    processes: int,
    behind: Peer,
    folder: Path,
    *,
    certificate: Certificate | None = None,
    checkout: Path | None = None,
) -> Iterator[Peer]:
    """A peer with so many processes (HAProxy: threads), until the context ends; over TLS, if there
    is a certificate. `checkout`: where BESIDE is from."""
    if name == DIRECT:
        yield Peer(DIRECT, behind.port, ())
        return
    own = folder / f"{name}-{processes}-{time.monotonic_ns()}"
    own.mkdir()
    with contextlib.ExitStack() as stack:
        match name:
            case "nginx":
                yield _nginx(processes, behind.port, own, stack, certificate)
            case "haproxy":
                yield _haproxy(processes, behind.port, own, stack, certificate)
            case _:
                other = checkout if name == BESIDE else None
                yield _tqunits(processes, behind.port, own, stack, certificate, other)


def _nginx(
    processes: int, origin_port: int, folder: Path, stack: contextlib.ExitStack, certificate: Certificate | None
) -> Peer:
    port = _free_port()
    text = _NGINX.format(
        user=pwd.getpwuid(os.getuid()).pw_name,
        processes=processes,
        descriptors=resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        folder=folder,
        origin=origin_port,
        port=port,
        secured=f" ssl; ssl_certificate {certificate.file}; ssl_certificate_key {certificate.file}"
        if certificate
        else "",
    )
    file = folder / "nginx.conf"
    file.write_text(text)
    master = stack.enter_context(
        Process(["nginx", "-e", "stderr", "-p", str(folder), "-c", str(file)], log=folder / "log")
    )
    _wait_for_port(port, master)
    return Peer("nginx", port, tuple(children(master.pid)))


def _haproxy(
    processes: int, origin_port: int, folder: Path, stack: contextlib.ExitStack, certificate: Certificate | None
) -> Peer:
    port = _free_port()
    connections = min(16384, haproxy_connections())
    file = folder / "haproxy.cfg"
    secured = f" ssl crt {certificate.file}" if certificate else ""
    file.write_text(
        _HAPROXY.format(processes=processes, connections=connections, origin=origin_port, port=port, secured=secured)
    )
    process = stack.enter_context(Process(["haproxy", "-db", "-f", str(file)], log=folder / "log"))
    _wait_for_port(port, process)
    return Peer("haproxy", port, (process.pid,))


def _tqunits(
    processes: int,
    origin_port: int,
    folder: Path,
    stack: contextlib.ExitStack,
    certificate: Certificate | None,
    checkout: Path | None = None,
) -> Peer:
    """As tq-proxy@1..N.service: every process inherits the one listening socket. `checkout`:
    another, with an environment of its own."""
    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=BACKLOG))
    python = sys.executable if checkout is None else str(checkout / ".venv/bin/python")
    argv = [python, "-m", "tqunits", "proxy", "--route", f"/api=127.0.0.1:{origin_port}"]
    if certificate is not None:
        argv += [f"--certificate={certificate.file}", f"--key={certificate.file}"]
    pids = []
    for number in range(processes):
        log = folder / f"log{number}"
        process = stack.enter_context(Process(argv, log=log, listener=listener.fileno(), folder=checkout))
        process.wait_for("listening on")
        pids.append(process.pid)
    return Peer("tqunits" if checkout is None else BESIDE, listener.getsockname()[1], tuple(pids))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


def _wait_for_port(port: int, process: Process) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        process.check()
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            return
        if time.monotonic() > deadline:
            raise RuntimeError(f"nothing listens on port {port}: {process.log()}")
        time.sleep(0.02)
