"""A manager that is killed at a step of what it was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .conftest import ROOT, Site

KILLER = """
import os, subprocess, sys

what = f'"what": "{sys.argv[1]}"'
show = ["systemctl", "show", "--value", "--property=MainPID", "tq-manager.service"]
pid = int(subprocess.run(show, capture_output=True, text=True, check=True).stdout)
path = "/var/lib/tqunits/manager/deploys/alpha.json"
before = open(path).read().count(what)
print("ready", flush=True)
while open(path).read().count(what) == before:
    pass
os.kill(pid, 9)
print("killed", flush=True)
"""
"""Kills the manager as soon as it has written down a step of this kind."""


@contextmanager
def killed_at(site: Site, step: str) -> Iterator[None]:
    """What is done meanwhile makes the manager come to that step of a deploy or restart of alpha,
    and there it is killed. Something was done with alpha before."""
    site.machine.write(f"{ROOT}/killer.py", KILLER)
    with site.machine.start(["python3", f"{ROOT}/killer.py", step]) as killer:
        assert killer.stdout is not None
        assert killer.stdout.readline() == "ready\n"
        yield
        assert killer.stdout.readline() == "killed\n"


def cut_off(site: Site, step: str, verb: str) -> None:
    """Ask for this of the worker alpha, and kill the manager at that step."""
    with killed_at(site, step):
        site.machine.tqunits(verb, "alpha", check=False)  # the command may lose the manager before its answer
