"""The unit of a `release.command`: who has one, and that it is the worker's sandbox, data and
secrets without what belongs to one process."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath

import pytest

from tqunits.model import Listen, Mode, Relaxation, Worker, WorkerType
from tqunits.units import name, release_mount, unitfile
from tqunits.units.release_unit import TIMEOUT
from units.cases import CASES, case, target, twice, worker

UNIT = name.release("api")
OWN = {"Type", "SyslogIdentifier", "TimeoutStartSec", "TimeoutStopSec", "CacheDirectory"}
"""What the templates say differently."""
OF_A_SERVICE = {"KillSignal", "SuccessExitStatus", "RuntimeDirectory", "RuntimeDirectoryMode"}
"""What only a service that stays has."""


def content(one: Worker, **host: bool) -> str | None:
    return next((file.content for file in case(one, **host).files() if file.unit == UNIT), None)


def rows(text: str, directive: str) -> list[str]:
    return [row.value for row in unitfile.parse(text) if (row.section, row.name) == ("Service", directive)]


def migrating(**changes: object) -> Worker:
    return worker("api", release_command=("bin/up",), **changes)


@pytest.mark.parametrize(
    ("one", "has_one"),
    [
        (migrating(), True),
        (worker("api"), False),
        (migrating(type=WorkerType.STATIC, command=()), False),
        (migrating(folder=PurePosixPath("/home/ann/api")), False),
        (migrating(sandbox=replace(worker("x").sandbox, relaxations=(Relaxation.WRITABLE_CODE,))), False),
    ],
    ids=["command", "none", "static", "home", "writable"],
)
def test_who_has_a_command_and_can_run_releases_has_one(one: Worker, *, has_one: bool) -> None:
    assert (content(one) is not None) is has_one


@pytest.mark.parametrize("folder", ["/srv/api", "/home/ann/api"])
def test_in_development_mode_it_runs_in_the_folder_itself(folder: str) -> None:
    one = migrating(folder=PurePosixPath(folder))
    found = case(one, mode=Mode.DEVELOPMENT).files()
    (text,) = (file.content for file in found if file.unit == UNIT)
    assert "/releases/" not in text
    assert unitfile.last_value(text, "Service", "WorkingDirectory") == folder


def test_with_user_there_is_none_and_no_template() -> None:
    assert content(migrating(), user_mode=True) is None
    assert name.RELEASE_TEMPLATE not in {file.path.name for file in case(migrating(), user_mode=True).files()}


@pytest.mark.parametrize(("one", "number"), [(migrating(), 2), (twice(migrating()), 3)])
def test_it_has_the_link_of_the_surge_and_says_so(one: Worker, number: int) -> None:
    text = content(one) or ""
    assert release_mount.mounted_slot(text, "api", target().layout.state) == number
    assert release_mount.mounted_slot(text, "ap", target().layout.state) is None
    surging = replace(one, has_surge=True)
    assert surging.surge is not None
    assert release_mount.command_slot(one) == surging.surge


@pytest.mark.parametrize("text", ["", "[Service]\nBindReadOnlyPaths=-/var/lib/tqunits/releases/api/runs/x:/srv/api\n"])
def test_what_mounts_no_link_has_no_number(text: str) -> None:
    assert release_mount.mounted_slot(text, "api", target().layout.state) is None


@pytest.mark.parametrize("listen", Listen)
def test_it_has_the_environment_without_what_is_one_processs(listen: Listen) -> None:
    text = content(
        migrating(
            listen=listen,
            environment=(
                ("URL", "http://127.0.0.1:${PORT}" if listen is Listen.TCP else "${WORKER_SOCKET}"),
                ("TMP", "${RUNTIME_DIRECTORY}/x"),
                ("DATA", "${STATE_DIRECTORY}/db"),
                ("WHAT", "$${PORT}"),
            ),
        )
    )
    known = dict(row.strip('"').split("=", 1) for row in rows(text or "", "Environment"))
    assert known == {
        "HOME": "/var/lib/tqunits/workers/api",
        "WORKER_NAME": "api",
        "WORKER_ROUTE": "/api",
        "WORKER_PATH": "/api",
        "WORKER_MODE": "production",
        "WORKER_TYPE": "exec",
        "DATA": "/var/lib/tqunits/workers/api/db",
        "WHAT": "${PORT}",
    }


def test_it_has_what_the_drop_in_of_the_worker_has() -> None:
    files = {file.unit: file.content for file in CASES["options"].files()}
    own, worker_s = files["tq-release@migrates.service"], files["tq-worker@migrates.service"]
    for directive in ("User", "Group", "WorkingDirectory", "LoadCredential", "MemoryMax", "TasksMax", "PrivateUsers"):
        assert rows(own, directive) == rows(worker_s, directive) != []
    for directive in ("SystemCallFilter", "ProtectHome", "InaccessiblePaths", "RestrictAddressFamilies", "LimitNPROC"):
        assert rows(own, directive) == rows(worker_s, directive) != []
    (command,) = [value for value in rows(own, "ExecStart") if value]
    assert "--unless" not in command
    assert "--environment environment-1=/etc/migrates.env" in command
    assert "/run/credentials/tq-release@migrates.service" in command
    assert not {row.name for row in unitfile.parse(own)} & {"ExecStartPost", "ExecStop", "Restart", "Sockets"}


def test_its_template_has_the_sandbox_of_the_workers() -> None:
    files = {file.unit: file.content for file in CASES["empty"].files()}
    own, workers = ([r for r in unitfile.parse(files[unit]) if r.section == "Service"] for unit in TEMPLATES)
    assert [row for row in own if row.name not in OWN] == [r for r in workers if r.name not in OWN | OF_A_SERVICE]
    assert rows(files[name.RELEASE_TEMPLATE], "TimeoutStartSec") == [f"{TIMEOUT // 60_000_000}min"]
    assert "[Install]" not in files[name.RELEASE_TEMPLATE]


TEMPLATES = (name.RELEASE_TEMPLATE, name.WORKER_TEMPLATE)
