"""nginx in the place of the router, for the same crowds: what of the honest client's wait is the
machine's."""

from __future__ import annotations

import contextlib
import os
import pwd
import resource
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.endurance.look import Router
from bench.processes import Process, children

PATIENCE = 10.0

_CONFIGURATION = """\
user {user};
daemon off;
master_process {master};
worker_processes {processes};
pid {folder}/nginx.pid;
error_log stderr crit;
worker_rlimit_nofile {descriptors};
events {{ worker_connections {connections}; }}
http {{
  access_log off;
  client_body_temp_path {folder}/client; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  tcp_nodelay on; sendfile on; keepalive_timeout 600s; keepalive_requests 1000000000;
  client_header_timeout {head_s}s; client_body_timeout {stall_s}s; send_timeout {stall_s}s;
  client_max_body_size 0; client_body_buffer_size 64k;
  proxy_http_version 1.1; proxy_request_buffering off; proxy_max_temp_file_size 0;
  proxy_buffer_size 16k; proxy_buffers 8 16k; proxy_read_timeout {stall_s}s; proxy_set_header Connection "";
{upstreams}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
{locations}
  }}
}}
"""


@contextlib.contextmanager
def nginx(
    folder: Path,
    workers: Mapping[str, str],
    directory: Path,
    *,
    descriptors: int,
    processes: int,
    head_s: int,
    stall_s: int,
) -> Iterator[Router]:
    """`workers`: endpoints by the name that is the path; `directory`: what is below /files.

    A single process has no master; that of several serves nobody, and is not measured.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    limit = descriptors or resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    upstreams = (f"  upstream {name} {{ server {endpoint}; keepalive 256; }}" for name, endpoint in workers.items())
    locations = [f"    location /{name}/ {{ proxy_pass http://{name}/; }}" for name in workers]
    file = folder / "nginx.conf"
    file.write_text(
        _CONFIGURATION.format(
            user=pwd.getpwuid(os.getuid()).pw_name,
            master="on" if processes > 1 else "off",
            processes=processes,
            folder=folder,
            descriptors=limit,
            connections=limit,
            head_s=head_s,
            stall_s=stall_s,
            upstreams="\n".join(upstreams),
            port=port,
            locations="\n".join([*locations, f"    location /files/ {{ alias {directory}/; }}"]),
        )
    )
    argv = ["nginx", "-e", "stderr", "-p", str(folder), "-c", str(file)]
    with Process(argv, log=folder / "nginx.log") as process:
        deadline = time.monotonic() + PATIENCE
        while not _listens(port):
            process.check()
            if time.monotonic() > deadline:
                raise RuntimeError("nginx does not listen")
            time.sleep(0.02)
        yield Router(port, (process,), tuple(children(process.pid)) if processes > 1 else (process.pid,))


def _listens(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0
