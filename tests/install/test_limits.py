"""The kernel enforces the limits in worker.yaml against a worker that exceeds them (promises P4 and
P7)."""

from __future__ import annotations

import pytest
from machine import kernel_limits

from .conftest import Site


def test_a_worker_beyond_memory_max_is_killed_and_comes_back(site: Site) -> None:
    """And the next process is not asked to do the same."""
    site.worker("greedy", "limits: {memory_max: 64M}\nrestart: {delay: 100ms}\n")
    site.worker("other")
    site.install()
    other = site.machine.show("tq-worker@other.service", "MainPID")
    pid = site.machine.show("tq-worker@greedy.service", "MainPID")
    assert site.get("/greedy/allocate?of=16")[0] == 200
    assert site.get("/greedy/allocate?of=256")[0] == 502
    site.machine.wait_until(lambda: site.get("/greedy/health") == (200, "ok"))
    assert site.machine.show("tq-worker@greedy.service", "MainPID") != pid
    assert site.machine.show("tq-worker@greedy.service", "NRestarts") == "1"
    assert site.machine.show("tq-worker@other.service", "MainPID") == other


def test_a_worker_beyond_tasks_max_fails_alone(site: Site) -> None:
    site.worker("forker", "limits: {tasks_max: 20}\n")
    site.worker("other")
    site.install()
    status, said = site.get("/forker/fork?of=100")
    assert (status, "Resource temporarily unavailable" in said) == (403, True)
    assert site.get("/forker/health") == (200, "ok")
    assert site.get("/other/fork?of=100") == (200, "all")


@pytest.mark.short("50%")
@pytest.mark.parametrize("percent", [20, 50, 100], ids=lambda p: f"{p}%")
def test_cpu_quota_holds_within_ten_percent(site: Site, percent: int) -> None:
    site.worker("busy", f"limits: {{cpu_quota: {percent}%}}\n")
    site.install()
    status, share = site.get("/busy/spin?of=2")
    assert status == 200
    assert share <= percent / 100 * 1.10
    assert kernel_limits(site.machine, "tq-worker@busy.service").cpu_quota == percent / 100
