"""Mounts are told, in a mount namespace."""

from __future__ import annotations

from pathlib import Path

import pytest
from namespaces import MOUNTS, run_in_namespaces

CODE = """
import asyncio, os, sys, uvloop
from tqunits.system.mount_bell import MountBell

async def main():
    rung = asyncio.Event()
    rings = []
    bell = MountBell(asyncio.get_running_loop(), lambda: (rings.append(1), rung.set()))
    await asyncio.sleep(0)  # uvloop begins to watch
    for command in {commands}:
        rung.clear()
        assert os.system(command) == 0
        await asyncio.wait_for(rung.wait(), 30)
        for _ in range(100):  # it rings once
            await asyncio.sleep(0)
    bell.close()
    print(len(rings))

asyncio.Runner(loop_factory={factory}).run(main())
"""


@pytest.mark.parametrize("factory", ["asyncio.new_event_loop", "uvloop.new_event_loop"])
def test_it_rings_once_for_each_change(roots: Path, factory: str) -> None:
    (roots / "there").mkdir()
    commands = [
        f"mount -t tmpfs none {roots}/there",
        f"mount --bind {roots} {roots}/there",
        f"umount {roots}/there",
        f"umount -l {roots}/there",
    ]
    assert run_in_namespaces(MOUNTS, "true", CODE.format(commands=commands, factory=factory)) == "4\n"
