"""What workers have to say about the host's start, and about their own: they start, and hold up nobody else."""

from __future__ import annotations

from .conftest import Site

UNIT = "tq-worker@alpha.service"


def test_a_worker_may_be_stopped_and_started_as_often_as_its_own_limit_lets_it(site: Site) -> None:
    site.worker("alpha", "restart: {max_restarts: 100}\n")
    site.install()
    for _ in range(8):  # the folder that it needs is a mount, which starts and stops with it
        site.machine.systemctl("stop", UNIT)
        site.machine.systemctl("start", UNIT)
    assert site.get("/alpha/health") == (200, "ok")
