"""The arguments and the environment of a worker's program are, byte for byte, those that systemd
itself would set."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from .conftest import ROOT, Site
from .test_user_mode import SITE, Tenant, tenant

__all__ = ["tenant"]

pytestmark = pytest.mark.machine

PROGRAM = """\
import json, os, signal, socket, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Page(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps([sys.argv[1:], dict(os.environ)]).encode())

    def address_string(self):
        return "-"

signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
path = os.environ.get("WORKER_SOCKET")
server = HTTPServer(("127.0.0.1", int(os.environ.get("WORKER_PORT", 0))), Page, bind_and_activate=not path)
if path:
    server.socket = socket.socket(socket.AF_UNIX)
    server.socket.bind(path)
    server.socket.listen()
server.serve_forever()
"""

ALWAYS = ("WORKER_NAME", "WORKER_ROUTE", "WORKER_PATH", "WORKER_MODE", "WORKER_TYPE")
FOLDERS = ("STATE_DIRECTORY", "CACHE_DIRECTORY", "RUNTIME_DIRECTORY", "CREDENTIALS_DIRECTORY")

ODD: Mapping[str, str] = {
    "LINES": "-----BEGIN\nab\tc\n\n-----END\n",
    "TAB": "\t",
    "LINE": "\n",
    "NOT_ONE": "\\n\\t",
    "DOLLARS": "pa$$word$x$(y)`z`",
    "MARKS": " \"'%n%%#;\\ ",
    "OTHERS": "ß漢🙂\xa0",
    "LONG": "x\n" * 8000,
    "LISTEN_ADDR": ":80",
    "WORKER_CONCURRENCY": "4",
}
ARGUMENTS = ["a\nb\tc", "\n", "$HOME", "$${PORT}", "%i", ";", "|", "'\"\\", "5$", "${x"]
ESCAPED = [*ARGUMENTS[:2], "$$HOME", "$$${PORT}", *ARGUMENTS[4:9], "$${x"]


def placed(names: tuple[str, ...]) -> list[str]:
    return [f"--{name}=<${{{name}}}>" for name in names]


def yaml_of(name: str, listen: str, names: tuple[str, ...], **more: str) -> str:
    """JSON is valid YAML."""
    argv = ["python3", "src/main.py", *placed(names), *ESCAPED]
    variables = {f"MY_{each}": f"<${{{each}}}>" for each in names} | {"LITERAL": "$${STATE_DIRECTORY}"}
    settings = {
        "path": f"/{name}",
        "type": "python",
        "listen": listen,
        "command": argv,
        "environment": {**ODD, **variables},
        "credentials": {"key": "key.txt"},
        **more,
    }
    return json.dumps(settings, ensure_ascii=False)


def lay_down(site: Site, name: str, listen: str, names: tuple[str, ...], **more: str) -> None:
    site.yaml(name, yaml_of(name, listen, names, **more))
    site.machine.write(f"{ROOT}/workers/{name}/src/main.py", PROGRAM)
    site.machine.write(f"{ROOT}/workers/{name}/key.txt", "secret")


def check(answer: Any, names: tuple[str, ...]) -> None:
    arguments, environment = answer
    missing = [each for each in names if each not in environment]
    assert missing == []
    assert arguments == [f"--{each}=<{environment[each]}>" for each in names] + ARGUMENTS
    assert {f"MY_{each}": environment[f"MY_{each}"] for each in names} == {
        f"MY_{each}": f"<{environment[each]}>" for each in names
    }
    assert {each: environment[each] for each in ODD} == ODD
    assert environment["LITERAL"] == "${STATE_DIRECTORY}"


def test_a_program_gets_what_systemd_sets_and_what_was_written(site: Site) -> None:
    """With an environment file the launcher runs between systemd and the program."""
    port, socket = (*ALWAYS, *FOLDERS, "WORKER_PORT", "PORT"), (*ALWAYS, *FOLDERS, "WORKER_SOCKET")
    lay_down(site, "port", "tcp", port)
    lay_down(site, "socket", "unix", socket)
    lay_down(site, "file", "tcp", port, environment_file=".env")
    site.machine.write(f"{ROOT}/workers/file/.env", "FROM_FILE=1\n", 0o600)
    site.install()
    check(site.get("/port")[1], port)
    check(site.get("/socket")[1], socket)
    check(site.get("/file")[1], port)
    assert site.get("/file")[1][1]["FROM_FILE"] == "1"
    site.machine.systemctl("daemon-reexec")  # systemd serializes the unit's variables
    site.run("restart", "port")
    check(site.get("/port")[1], port)


def test_a_users_program_gets_what_its_manager_sets(tenant: Tenant) -> None:
    names = (*ALWAYS, *FOLDERS, "WORKER_PORT", "PORT")
    tenant.write(f"{SITE}/workers/port/config/worker.yaml", yaml_of("port", "tcp", names))
    tenant.write(f"{SITE}/workers/port/src/main.py", PROGRAM)
    tenant.write(f"{SITE}/workers/port/key.txt", "secret")
    tenant.tqunits("install", "--now")
    check(tenant.get("/port"), names)
