"""Which network builds have: other hosts and the resolver's stub while they download; none while
foreign code runs.

There are no other hosts here. So the Go modules are served on the address of systemd-resolved's
stub, the only one of this host that a download may connect to.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import zipfile
from collections.abc import Iterator

import pytest
from machine.booted import terminate

from .conftest import Site
from .test_builds import ALPHA, CACHE, PROBE, RUN, UNIT

FETCH = "tq-build@alpha.fetch.service"
STUB, PORT = "127.0.0.53", 8099
MODULES = "/srv/modules"
DEPENDENCY = "example.org/dependency"
VERSION = "v1.0.0"

SERVER = """
import functools, http.server, socket, sys, threading
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[1])
class Server(http.server.ThreadingHTTPServer):
    pass
class Six(Server):
    address_family = socket.AF_INET6
servers = [Server(("127.0.0.1", 8099), handler), Server(("127.0.0.53", 8099), handler), Six(("::1", 8099), handler)]
for server in servers:
    threading.Thread(target=server.serve_forever).start()
"""

GO_MOD = f"module alpha\n\ngo 1.19\n\nrequire {DEPENDENCY} {VERSION}\n"
DEPENDENCY_MOD = f"module {DEPENDENCY}\n\ngo 1.19\n"
DEPENDENCY_GO = 'package dependency\n\nfunc Word() string { return "loaded" }\n'
MAIN = f"""package main

import (
\t"fmt"

\t"{DEPENDENCY}"
)

func main() {{ fmt.Println(dependency.Word()) }}
"""

TOOL = f"""#!/usr/bin/python3
# Called by `go build` for each of its tools, as -toolexec: it stands for the code of a module that a build runs.
import os, pathlib, socket, sys
answers = pathlib.Path("{ALPHA}", "bin", "reached")
if not answers.exists():
    answers.parent.mkdir(exist_ok=True)
    reached = []
    for host in "127.0.0.1", "{STUB}", "::1":
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as client:
            client.settimeout(2)
            if client.connect_ex((host, {PORT})) == 0:
                reached.append(host)
    answers.write_text(f"reached {{reached}}")
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.fixture
def served(site: Site) -> Iterator[Site]:
    """A Go module proxy (go help goproxy) on three addresses of loopback."""
    folder = f"{MODULES}/{DEPENDENCY}/@v"
    site.machine.write(f"{folder}/{VERSION}.info", json.dumps({"Version": VERSION}))
    site.machine.write(f"{folder}/{VERSION}.mod", DEPENDENCY_MOD)
    site.machine.write(f"{folder}/{VERSION}.zip", zipped())
    site.machine.write(f"{folder}/list", f"{VERSION}\n")
    site.machine.write("/srv/serve.py", SERVER)
    server = site.machine.start(["python3", "/srv/serve.py", MODULES])
    for host in ("127.0.0.1", STUB, "[::1]"):
        site.machine.wait_until(["curl", "-sf", f"http://{host}:{PORT}/"])
    yield site
    terminate(server)
    site.machine.remove(MODULES)


def contents() -> dict[str, bytes]:
    at = f"{DEPENDENCY}@{VERSION}"
    return {f"{at}/dependency.go": DEPENDENCY_GO.encode(), f"{at}/go.mod": DEPENDENCY_MOD.encode()}


def zipped() -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for name, content in contents().items():
            file.writestr(name, content)
    return archive.getvalue()


def summed(files: dict[str, bytes]) -> str:
    """The hash as go.sum has it (golang.org/x/mod/sumdb/dirhash, Hash1)."""
    lines = "".join(f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files))
    return "h1:" + base64.b64encode(hashlib.sha256(lines.encode()).digest()).decode()


def go_sum() -> str:
    mod = summed({"go.mod": DEPENDENCY_MOD.encode()})
    return f"{DEPENDENCY} {VERSION} {summed(contents())}\n{DEPENDENCY} {VERSION}/go.mod {mod}\n"


def go_worker(site: Site, *, proxy: str, flags: str = "") -> None:
    site.worker("alpha")
    environment = json.dumps({"GOPROXY": proxy, "GONOSUMDB": "*", "GOFLAGS": flags})
    site.yaml("alpha", f"path: /alpha\ntype: go\nhealth: {{timeout: 1s}}\nbuild: {{environment: {environment}}}\n")
    for name, text in {"go.mod": GO_MOD, "go.sum": go_sum(), "src/main.go": MAIN}.items():
        site.machine.write(f"{ALPHA}/{name}", text)
    site.machine.write(f"{ALPHA}/tool", TOOL, 0o755)


def test_a_go_build_loads_its_modules_first_and_has_no_network_then(served: Site) -> None:
    tool = f"-toolexec={ALPHA}/tool"
    go_worker(served, proxy=f"http://{STUB}:{PORT}", flags=tool)
    served.run("install")
    assert served.machine.run([f"{ALPHA}/bin/alpha"]).stdout == "loaded\n"
    assert served.machine.read(f"{ALPHA}/bin/reached") == "reached []"
    assert served.machine.show(UNIT, "PrivateNetwork") == "yes"
    assert served.machine.exists(f"{CACHE}/mod/{DEPENDENCY}@{VERSION}/go.mod")


def test_a_fetch_asks_nobody_else_on_this_host(served: Site) -> None:
    go_worker(served, proxy=f"http://127.0.0.1:{PORT}")
    said = served.run("install", "--timeout", "8s", status=1)
    assert "skipped alpha: the fetch for its build" in said
    assert not served.machine.exists(f"{ALPHA}/bin")
    assert served.machine.show(FETCH, "ActiveState") == "inactive"


def test_without_modules_there_is_nothing_to_load(served: Site) -> None:
    go_worker(served, proxy=f"http://127.0.0.1:{PORT}")
    served.machine.write(f"{ALPHA}/go.mod", "module alpha\n\ngo 1.19\n")
    served.machine.write(f"{ALPHA}/src/main.go", "package main\n\nfunc main() {}\n")
    served.machine.remove(f"{ALPHA}/go.sum")
    served.run("install")
    assert served.machine.exists(f"{ALPHA}/bin/alpha")


def test_a_build_of_somebodys_own_reaches_the_resolver_and_nothing_else_here(served: Site) -> None:
    served.worker("alpha")
    served.machine.write(f"{ALPHA}/probe", PROBE, 0o755)
    served.machine.write(f"{ALPHA}/make", f"#!/bin/sh\n{RUN}\n./probe\n", 0o755)
    served.yaml("alpha", "path: /alpha\ntype: exec\nbuild: [./make]\ncommand: [bin/run]\n")
    served.install()
    answers = json.loads(served.machine.read(f"{ALPHA}/probe.json"))
    assert answers[STUB] == "done"
    refused = {"EPERM", "ETIMEDOUT", "TimeoutError"}  # dropped or refused, depending on the kernel
    assert {answers["127.0.0.1"], answers["::1"]} <= refused
