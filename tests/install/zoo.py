"""Workers that misbehave, each in its own way, beside a neighbour that behaves."""

from __future__ import annotations

from pathlib import Path

from .folder import WorkersFolder

PROGRAM = (Path(__file__).parent / "zoo_animal.py").read_text(encoding="utf-8")
CHECKS = "health: {interval: 1s, timeout: 300ms, start_period: 0, failure_threshold: 2, success_threshold: 1}\n"
LIMITS = "limits: {memory_max: 48M, tasks_max: 16, cpu_quota: 20%}\n"
STOP = "timeouts: {stop: 1s}\n"
KINDS = ("dies", "hangs", "eats", "forks", "deaf", "sick", "slow", "busy")
NEIGHBOUR = "neighbour"


def populate(site: WorkersFolder) -> None:
    """Write the workers of all kinds, and the neighbour."""
    site.worker(NEIGHBOUR, CHECKS)
    for kind in KINDS:
        patience = CHECKS.replace("failure_threshold: 2", "failure_threshold: 1000") if kind == "sick" else CHECKS
        command = f"command: [python3, -I, -S, src/main.py, {kind}]\n"
        site.yaml(kind, f"path: /{kind}\ntype: python\n{command}{patience}{LIMITS}{STOP}restart: {{delay: 200ms}}\n")
        site.machine.write(f"/srv/site/workers/{kind}/src/main.py", PROGRAM)
