"""How long it takes until a changed file is served, in development mode on a booted systemd that
has nothing else to do; and what it costs to watch a large folder.

    sudo .venv/bin/python -m bench.host changes [--times N] [--files N] [--json FILE]

An edit writes the program anew, in place, and then asks the router every 5 ms until it gets the new
program's answer. (Without a pause, the questions took a processor from the build, which then took
twice as long.) The time runs from the end of the write. Beside it stand, for the same
edit, systemd's own figures for a start of the same program (from "inactive" to "active", so until
it was healthy), and for the build (of its units, without what root does before and after). The same
edits of the Go program are made once more without a watch, each followed by `tqunits build`: how
long that command takes is what its user knows as the time of a build.

The folder has --files files in a tenth as many folders. Told are: from the start of the manager
until the folder is watched, the manager's memory with and without it, and its CPU time while 1000
files a second are written in a folder that .gitignore names.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from install.conftest import LISTEN, ROOT, Site
from machine import Machine

from bench import alpha

BUILDS = ("tq-build@alpha.fetch.service", "tq-build@alpha.service")
STARTING, ENDED = "7d4958e842da4a758f6c1cdc7b36dcc5", "39f53479d3a045ac8e11786248231fbf"
"""systemd's messages: a start job has begun, and has ended well (sd-messages.h)."""

PYTHON_YAML = "path: /alpha\ntype: python\ncommand: [python3, src/main.py]\n"
GO_YAML = "path: /alpha\ntype: go\n"

PYTHON = """\
import http.server, os
class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = b"VERSION"
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answer).serve_forever()
"""

GO = """\
package main

import (
	"fmt"
	"net/http"
	"os"
)

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "VERSION") })
	http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil)
}
"""

CLIENT = f"""\
import http.client, sys, time
path, version, timeout = sys.argv[1], sys.argv[2], 60
text = sys.stdin.read()
with open(path, "w") as file:
    file.write(text)
begin = time.monotonic()
while True:
    try:
        connection = http.client.HTTPConnection("127.0.0.1", {LISTEN}, timeout=10)
        connection.request("GET", "/alpha/")
        if connection.getresponse().read().decode() == version:
            break
    finally:
        connection.close()
    if time.monotonic() - begin > timeout:
        sys.exit("it was never served")
    time.sleep(0.005)
print(time.monotonic() - begin)
"""

BUILDER = """\
import subprocess, time
begin = time.monotonic()
subprocess.run(["tqunits", "build", "alpha"], check=True, stdout=subprocess.DEVNULL)
print(time.monotonic() - begin)
"""

WRITER = """\
import sys, time
begin, number = time.monotonic(), 0
while (now := time.monotonic() - begin) < 10:
    while number < now * 1000:
        with open(f"{sys.argv[1]}/{number % 5000}", "w") as file:
            file.write(str(number))
        number += 1
    time.sleep(0.01)
print(number)
"""


def main() -> int:
    """Measure, and print."""
    parser = alpha.parser(__doc__, "edits of each program")
    parser.add_argument("--files", type=int, default=20_000, metavar="N", help="files of the large folder (20000)")
    arguments = parser.parse_args()
    rows: dict[str, Any] = {}
    with Machine.boot() as machine:
        site = alpha.host(machine, "development")
        for language, program in (("python", "src/main.py"), ("go", "src/main.go")):
            rows[language] = _edits(site, language, program, arguments.times)
        rows["build command"] = _commands(site, arguments.times)
        rows["folder"] = _folder(site, arguments.files)
    alpha.write(rows, arguments.json)
    return 0


def _edits(site: Site, language: str, program: str, times: int) -> list[dict[str, float]]:
    _install(site, language, program)
    rows = []
    for number in range(times + 1):
        row = _edit(site, language, program, f"v{number}")
        if number:  # the first one fills the caches of the build
            rows.append(row)
    served, start, build = (statistics.median(row[key] for row in rows) for key in ("served", "start", "build"))
    beyond = statistics.median(row["served"] - row["start"] - row["build"] for row in rows)
    print(
        f"{language}: served {1000 * served:.0f} ms after the edit (start {1000 * start:.0f}, build {1000 * build:.0f},"
        f" beyond both {1000 * beyond:.0f})",
        flush=True,
    )
    return rows


def _install(site: Site, language: str, program: str) -> None:
    if site.machine.exists(f"{ROOT}/workers/alpha"):
        site.run("uninstall", "--all")
    site.remove_worker("alpha")
    site.yaml("alpha", GO_YAML if language == "go" else PYTHON_YAML)
    if language == "go":
        site.machine.write(f"{ROOT}/workers/alpha/go.mod", "module alpha\n\ngo 1.19\n")
    site.machine.write(f"{ROOT}/workers/alpha/{program}", _text(language, "v"))
    site.install()
    _await_watch(site)


def _edit(site: Site, language: str, program: str, version: str) -> dict[str, float]:
    site.machine.write("/root/client.py", CLIENT)
    site.machine.write("/root/program", _text(language, version))
    line = f"python3 /root/client.py {ROOT}/workers/alpha/{program} {version} < /root/program"
    since = site.machine.cursor()
    served = float(site.machine.run(["sh", "-c", line]).stdout)
    _await_deploys(site)
    return {
        "served": served,
        "start": alpha.start_s(site),
        "build": sum(_job(site, since, unit) for unit in BUILDS),
    }


def _commands(site: Site, times: int) -> list[float]:
    """How long `tqunits build` takes after an edit of the Go program, which then is not watched."""
    site.yaml("alpha", f"{GO_YAML}watch: {{enabled: false}}\n")
    site.install()
    taken = []
    for number in range(times):
        site.machine.write(f"{ROOT}/workers/alpha/src/main.go", _text("go", f"by hand {number}"))
        taken.append(float(site.machine.run(["python3", "-c", BUILDER]).stdout))
    print(f"tqunits build: {1000 * statistics.median(taken):.0f} ms", flush=True)
    site.yaml("alpha", GO_YAML)
    site.install()
    _await_watch(site)
    return taken


def _text(language: str, version: str) -> str:
    return (GO if language == "go" else PYTHON).replace("VERSION", version)


def _folder(site: Site, files: int) -> dict[str, float]:
    folder = f"{ROOT}/workers/alpha"
    without = _memory(site)
    script = f"""
        cd {folder}; mkdir cache; echo cache/ > .gitignore
        for d in $(seq {files // 10}); do
            mkdir -p data/$d; for f in 0 1 2 3 4 5 6 7 8 9; do head -c 5000 /dev/urandom > data/$d/$f; done
        done"""
    site.machine.run(["sh", "-euc", script], timeout=600)
    _await_deploys(site)
    site.machine.systemctl("restart", "tq-manager")
    begin = time.monotonic()
    _await_watch(site)
    begun = time.monotonic() - begin
    with_it, cpu = _memory(site), _cpu(site)
    written = int(site.machine.run(["python3", "-c", WRITER, f"{folder}/cache"], timeout=60).stdout)
    used = _cpu(site) - cpu
    print(
        f"{files} files: watched {begun:.2f} s after the start of the manager; memory {without >> 20} ->"
        f" {with_it >> 20} MiB; {used:.3f} s of CPU while {written} files were written in an ignored folder in 10 s",
        flush=True,
    )
    return {"begun": begun, "memory_without": without, "memory_with": with_it, "cpu": used, "written": written}


def _watch(site: Site) -> dict[str, Any]:
    asked = ["curl", "-s", "--unix-socket", "/run/tqunits/manager/control.sock", "http://manager/watches"]
    rows = json.loads(site.machine.run(asked, check=False).stdout or '{"watches": []}')["watches"]
    return next((row for row in rows if row["worker"] == "alpha"), {})


def _await_watch(site: Site) -> None:
    site.machine.wait_until(lambda: _watch(site).get("state") == "watches", timeout=120)


def _await_deploys(site: Site) -> None:
    """Until all is done that was begun."""

    def is_done() -> bool:
        deploys = json.loads(site.run("history", "alpha", "--json"))["deploys"]
        return all(each["ended_us"] is not None for each in deploys)

    site.machine.wait_until(is_done, timeout=120)


def _job(site: Site, since: str, unit: str) -> float:
    """How long the unit has run, by systemd's messages that it starts and that it has ended; 0: it
    did not run. (With a match and a cursor, journalctl of systemd 252 skips the first entry.)"""
    lines = site.machine.run(["journalctl", "-o", "json", since]).stdout.splitlines()
    mine = (each for each in map(json.loads, lines) if each.get("UNIT") == unit)
    found = {each.get("MESSAGE_ID"): int(each["__MONOTONIC_TIMESTAMP"]) for each in mine}
    return (found[ENDED] - found[STARTING]) / 1e6 if ENDED in found else 0.0


def _memory(site: Site) -> int:
    """Bytes of the manager that are its own."""
    pid = site.machine.show("tq-manager.service", "MainPID")
    line = next(each for each in site.machine.read(f"/proc/{pid}/status").splitlines() if each.startswith("RssAnon"))
    return int(line.split()[1]) * 1024


def _cpu(site: Site) -> float:
    """Seconds that the manager has used."""
    pid = site.machine.show("tq-manager.service", "MainPID")
    fields = site.machine.read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


if __name__ == "__main__":
    sys.exit(main())
