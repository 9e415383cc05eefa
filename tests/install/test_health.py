"""Health checks at the start: each kind with a real worker, and what `tqunits why` reports."""

from __future__ import annotations

import json

from .conftest import ROOT, Site

ANSWERS = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        HANDLE
    def answer(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
BY_NAME = 'self.answer(204 if self.headers["Host"] == "shop.example" else 400)'
WELL = """
import os, socket, sys
if os.environ.get("GREETING") != "hello" or "TOKEN" in os.environ:
    sys.exit(str(os.environ))
if os.getuid() == 0 or os.path.basename(os.getcwd()) != "command":
    sys.exit(f"{os.getuid()} in {os.getcwd()}")
try:
    open("src/mark", "w")
    sys.exit("it can write")
except OSError:
    pass
socket.create_connection(("127.0.0.1", int(sys.argv[1]))).close()
"""
SILENT = "import signal\nsignal.pause()\n"
BOUNDED = "timeouts: {start: 5s}\nrestart: {policy: no}\n"


def answering(handle: str) -> str:
    return ANSWERS.replace("HANDLE", handle)


def state(site: Site, name: str) -> str:
    return site.machine.show(f"tq-worker@{name}.service", "ActiveState")


def explained(site: Site, *names: str, status: int) -> dict[str, dict[str, str]]:
    found = json.loads(site.run("why", "--json", *names, status=status))["workers"]
    return {worker["name"]: worker for worker in found}


def test_each_kind_of_check_passes_for_a_worker_that_is_well(site: Site) -> None:
    site.worker("byname", f"{BOUNDED}health: {{host: shop.example, status: [200, 204]}}\n", program=answering(BY_NAME))
    site.worker("tcp", f"{BOUNDED}health: tcp\n", program=answering("self.answer(500)"))
    site.worker("none", f"{BOUNDED}health: none\n", program=SILENT)
    environment = "environment: {GREETING: hello}\nenvironment_file: .env\n"
    check = "health: {type: command, command: [python3, src/well.py, '${PORT}']}\n"
    site.worker("command", BOUNDED + environment + check, program=answering("self.answer(404)"))
    site.machine.write(f"{ROOT}/workers/command/.env", "TOKEN='from the file'\n")
    site.machine.write(f"{ROOT}/workers/command/src/well.py", WELL)
    said = site.install()
    assert {name: state(site, name) for name in ("byname", "tcp", "none", "command")} == dict.fromkeys(
        ("byname", "tcp", "none", "command"), "active"
    ), said
    assert site.get("/tcp/x")[0] == 500
    assert site.get("/command/x")[0] == 404
    found = explained(site, "byname", "tcp", "none", "command", status=0)
    assert found["byname"]["sentence"] == found["tcp"]["sentence"] == "it runs, and is healthy"
    assert found["none"]["sentence"] == found["command"]["sentence"] == "it runs"
    for name in ("byname", "tcp", "command"):
        assert "healthy after" in site.machine.journal(f"tq-worker@{name}.service")


def test_each_kind_of_check_says_what_is_wrong(site: Site) -> None:
    program = answering(BY_NAME)
    short = BOUNDED.replace("5s", "2s")
    site.worker("django", short + "health: {timeout: 1s}\n", program=program)
    site.worker("tcp", short + "health: {type: tcp, timeout: 1s}\n", program=SILENT)
    check = "health: {type: command, timeout: 1s, command: [sh, -c, 'echo no table orders >&2; exit 3']}\n"
    site.worker("command", short + check, program=program)
    slow = "health: {type: command, timeout: 1s, command: [sleep, '1000']}\n"
    site.worker("slow", short + slow, program=program)
    site.install(status=6)
    found = explained(site, "django", "tcp", "command", "slow", status=1)
    assert "its health check at /health says: 400 Bad Request" in found["django"]["sentence"]
    assert any("health: {host: " in line for line in found["django"]["advice"])
    assert "nothing listened on 127.0.0.1:" in found["tcp"]["sentence"]
    assert "says: exit status 3: no table orders" in found["command"]["sentence"]
    assert "`sh -c " in found["command"]["sentence"]
    assert found["slow"]["sentence"].startswith("its health check `sleep 1000` did not end within 2 s")
    assert {worker["broken"] for worker in found.values()} == {"health"}
