"""Clients that keep sending requests while a test does something, and the worker that they ask; the
failures are counted.

The worker (rude.py, and rude.go) ends at SIGTERM at once, also during a request. No client notices
that, because the router drains the worker before the stop.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .conftest import LISTEN, ROOT, Site

HAMMER = (Path(__file__).parent / "hammer.py").read_text(encoding="utf-8")
RUDE = (Path(__file__).parent / "rude.py").read_text(encoding="utf-8")
RUDE_GO = (Path(__file__).parent / "rude.go").read_text(encoding="utf-8")
RESTART = "restart: {max_restarts: 1000, delay: 100ms}\n"


@contextmanager
def meanwhile(site: Site, program: str, *arguments: str) -> Iterator[dict[str, Any]]:
    """A client in Python that runs meanwhile; afterwards the value has its report.

    Its first argument is a file: when that appears it ends. It prints "begun" when it has, and at
    the end a JSON object.
    """
    client, enough = f"{ROOT}/client.py", f"{ROOT}/enough"
    site.machine.write(client, program)
    site.machine.remove(enough)
    report: dict[str, Any] = {}
    with site.machine.start(["python3", client, enough, *arguments]) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        try:
            yield report
        finally:
            site.machine.write(enough, "")
        report |= json.loads(process.stdout.readline())


@contextmanager
def hammered(site: Site, clients: int, *, scheme: str = "http") -> Iterator[dict[str, Any]]:
    """Clients that send requests meanwhile; afterwards the value has their report."""
    with meanwhile(site, HAMMER, f"{scheme}://127.0.0.1:{LISTEN}/alpha/", str(clients)) as report:
        yield report


def noted(site: Site) -> Counter[str]:
    """How often the worker has received each POST."""
    return Counter(site.machine.read("/var/lib/tqunits/workers/alpha/posts").split())


def check(site: Site, report: dict[str, Any]) -> None:
    """No request failed; every POST was done once, whether it was answered or not."""
    assert report["failed"] == {}
    assert report["good"] > 100
    seen = noted(site)
    assert set(seen.values()) == {1}
    assert seen.keys() == set(report["posted"]) == set(report["answered"])


def rude(site: Site, yaml: str = "") -> None:
    """Install the worker alpha, which ends at SIGTERM at once."""
    site.worker("alpha", f"{RESTART}{yaml}", program=RUDE)
    site.install()


def rude_in_go(site: Site, yaml: str = "") -> None:
    """The same in Go: the install builds it, and each deploy of changed sources does."""
    site.yaml("alpha", f"path: /alpha\ntype: go\n{RESTART}{yaml}")
    site.machine.write(f"{ROOT}/workers/alpha/go.mod", "module rude\n\ngo 1.19\n")
    site.machine.write(f"{ROOT}/workers/alpha/src/main.go", RUDE_GO)
    site.install()
