"""The checks of `tqunits doctor` on installed workers."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from config.parsing import workers as parsed

from tqunits.host import soundness
from tqunits.host.diagnosis import Level
from tqunits.host.soundness import InstalledWorker
from tqunits.model import Configuration
from tqunits.system.bus import UnitStatus
from tqunits.system.listeners import Listener, listeners
from tqunits.units.unitfile import Copy, Ledger

USERS = {1: "worker-api", 2: "www-data", 3: "ada"}


def installed(
    name: str, digest: str = "", port: int | None = 9000, user: str = "", copy: Copy | None = None
) -> InstalledWorker:
    ledger = Ledger(
        worker=name,
        source=f"/w/{name}",
        source_hash=digest,
        port=port,
        socket=None,
        routes=(f"/{name}",),
        hosts=(),
        enabled=True,
        restart_hash="",
        copies=(copy,) if copy else (),
    )
    return InstalledWorker(ledger, user or f"worker-{name}")


def configured(**yaml: str) -> Configuration:
    configuration = parsed({name: f"path: /{name}\n{text}" for name, text in yaml.items()}).configuration
    assert configuration is not None
    return configuration


def unit(name: str, active: str, sub: str) -> UnitStatus:
    return UnitStatus(name=name, description="", load="loaded", active=active, sub=sub)


def test_who_fails_again_and_again_is_named_the_router_too() -> None:
    units = [
        unit("tq-worker@well.service", "active", "running"),
        unit("tq-worker@away.service", "activating", "auto-restart"),
        unit("tq-worker@waits.service", "inactive", "dead"),
        unit("tq-backoff@waits.service", "activating", "start"),
        unit("tq-backoff@well.service", "inactive", "dead"),
        unit("tq-proxy@1.service", "activating", "auto-restart"),
    ]
    (found,) = soundness.restarting(units)
    assert found.level is Level.PROBLEM
    named = found.message.removeprefix("fail again and again: ").replace(" and ", ", ").split(", ")
    assert named == ["tq-proxy@1.service", "tq-worker@away.service", "tq-worker@waits.service"]
    assert not list(soundness.restarting(units[:1]))


def test_no_drift() -> None:
    settings = configured(api="command: [/bin/true]", docs="type: static")
    digest = next(w.source_hash for w in settings.workers if w.name == "api")
    assert soundness.drift(settings, [installed("api", digest)]).level is Level.OK


def test_each_kind_of_drift_is_named() -> None:
    settings = configured(api="command: [/bin/true]", new="command: [/bin/true]", docs="type: static")
    found = soundness.drift(settings, [installed("api", "of before"), installed("gone")])
    assert found.level is Level.WARNING
    assert found.message == "not installed: new; changed since install: api; no longer configured: gone"


def test_a_wrong_worker_is_configured_all_the_same() -> None:
    """Other checks report what is wrong with it."""
    settings = parsed({"api": "path: [", "ok": "path: /ok\ncommand: [/bin/true]"}).configuration
    assert settings is not None
    assert "no longer configured" not in soundness.drift(settings, [installed("api")]).message


@pytest.mark.parametrize(
    ("listener", "worker", "named"),
    [
        pytest.param(Listener("127.0.0.1:9000", 1, ""), installed("api"), None, id="loopback"),
        pytest.param(Listener("0.0.0.0:9000", 1, ""), installed("api"), "api on port 9000", id="its own port"),
        pytest.param(Listener("[::]:9999", 1, ""), installed("api"), "api on port 9999", id="a second one"),
        pytest.param(Listener("0.0.0.0:9000", 2, ""), installed("api"), None, id="of somebody else"),
        pytest.param(Listener("192.0.2.1:80", 2, ""), installed("web", user="www-data"), None, id="not it alone"),
        pytest.param(Listener("0.0.0.0:9000", 2, ""), installed("web", user="www-data"), "web on port 9000", id="it"),
        pytest.param(Listener("0.0.0.0:9000", 9, ""), installed("api"), None, id="of nobody that is known"),
    ],
)
def test_who_is_reached_past_the_router(listener: Listener, worker: InstalledWorker, named: str | None) -> None:
    found = [finding.message for finding in soundness.exposed([worker], [listener], USERS)]
    assert found == ([f"listens on more than loopback, so clients pass the router by: {named}"] if named else [])


def test_a_secret_that_has_changed_is_named(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("new", encoding="utf-8")
    copied = installed("api", copy=Copy("token", str(path), path.stat().st_mtime_ns))
    assert list(soundness.secrets([copied])) == []
    os.utime(path, ns=(0, 0))
    (found,) = soundness.secrets([copied])
    assert f"{path} (api)" in found.message


@pytest.mark.parametrize(
    ("family", "address", "is_local"),
    [
        (socket.AF_INET, "127.0.0.1", True),
        (socket.AF_INET, "127.8.9.10", True),
        (socket.AF_INET, "0.0.0.0", False),
        (socket.AF_INET6, "::1", True),
        (socket.AF_INET6, "::", False),
        (socket.AF_INET6, "::ffff:127.0.0.1", True),
    ],
)
def test_loopback_is_known_as_the_kernel_prints_it(family: socket.AddressFamily, address: str, is_local: bool) -> None:  # noqa: FBT001
    both = address.startswith("::ffff:")
    with socket.create_server((address, 0), family=family, dualstack_ipv6=both) as server:
        port = server.getsockname()[1]
        assert [found.is_local for found in listeners() if found.port == port] == [is_local]
