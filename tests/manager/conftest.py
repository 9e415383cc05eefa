"""What the deploys of a manager act with, on a host that lies in a folder and whose systemd does
not answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from tqunits.layout import SYSTEM_LAYOUT
from tqunits.manager.hands import Hands
from tqunits.manager.harvests import Harvests
from tqunits.manager.readiness_file import ReadinessFile
from tqunits.manager.registry import Registry
from tqunits.manager.router_status import Routers
from tqunits.system.bus import Bus


@pytest.fixture
async def hands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hands:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))  # no bus is there, whoever runs the tests
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", f"unix:path={tmp_path}/bus")
    folder = PurePosixPath(tmp_path)
    layout, registry, bus = replace(SYSTEM_LAYOUT, state=folder, runtime=folder), Registry(), Bus(user_mode=True)
    return Hands(
        bus=bus,
        layout=layout,
        registry=registry,
        readiness=ReadinessFile(tmp_path / "unready.json", registry, say=pytest.fail),
        routers=Routers(layout, tuple),
        harvests=Harvests(bus, layout),
        is_host_ending=lambda: False,
    )
