"""From the table of settings to the model: each setting fills a field, and each field is filled."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import is_dataclass
from typing import get_type_hints

import pytest
from units.generated import accepted, node, written

from setup import ROOT
from tqunits.config.assemble import NO_COPIES
from tqunits.config.server_settings import ServerSettings
from tqunits.config.setting import File, Setting
from tqunits.config.settings import SETTINGS
from tqunits.config.worker_settings import WorkerSettings
from tqunits.model import Server, Worker
from tqunits.system import process

from .parsing import api as parsed
from .parsing import server

MODELS = {File.WORKER: Worker, File.SERVER: Server}
TABLES = {File.WORKER: WorkerSettings, File.SERVER: ServerSettings}
COPIES = [row for row in SETTINGS if row not in NO_COPIES]

OTHERWISE = {
    File.WORKER: """name folder source source_hash not_roots origins command release_command group environment_file
        credentials sandbox build.fetch runtime.language signals.watchdog has_surge in_development""",
    File.SERVER: """source source_hash settings_hash workers.directory workers.not_roots tls.certificate tls.key bounds
        allowances trusted origins""",
}
"""The fields that no setting fills directly: config/assemble.py, host/sources.py or, last of all,
units/surges.py fills them."""

RENAMED = {
    "path": "routes",
    "host": "hosts",
    "kill_mode": "signals.kill_mode",
    "stop_signal": "signals.stop",
    "reload": "signals.reload",
    "watchdog": "signals.watchdog",
    "release.command": "release_command",
    "proxy.max_request_line": "proxy.heads.request_line",
    "proxy.max_head": "proxy.heads.head",
    "proxy.max_fields": "proxy.heads.fields",
}
"""The settings whose field has another name. If two of them were exchanged, their types would be
equal and no other test would notice."""


def leaves(model: type, prefix: str, known: set[str]) -> Iterator[str]:
    """The fields of a model, with dots. A value is split into its fields unless it is known as a
    whole."""
    hints = get_type_hints(model)
    for name in hints:
        inner = hints[name]
        if prefix + name not in known and isinstance(inner, type) and is_dataclass(inner):
            yield from leaves(inner, f"{prefix}{name}.", known)
        else:
            yield prefix + name


@pytest.mark.parametrize("file", File)
def test_every_field_is_one_settings_or_is_named_here(file: File) -> None:
    rows = [row.field for row in COPIES if row.file is file]
    others = OTHERWISE[file].split()
    assert sorted(leaves(MODELS[file], "", {*rows, *others})) == sorted([*rows, *others])


def test_a_setting_fills_the_field_of_its_name_or_is_named_here() -> None:
    assert {row.key: row.field for row in SETTINGS if row.field != row.key} == RENAMED


@pytest.mark.parametrize("row", COPIES, ids=lambda row: f"{row.file}-{row.key}")
def test_what_is_written_arrives_in_its_field(row: Setting[object]) -> None:
    usual, found = filled(row, None), 0
    for text in accepted(row):
        value = filled(row, text)
        assert value is ... or value == read(row, text)
        found += value not in (..., usual)
        if found == 3:
            break
    assert found


def read(row: Setting[object], text: str) -> object:
    """The value that the row's own parser makes of a text."""
    root = node(text)
    assert root is not None
    return row.parse(root)


def filled(row: Setting[object], text: str | None) -> object:
    """The value of the field for a file with that text; ... if the file is wrong for another
    reason."""
    content = written(row, text)
    if row.file is File.SERVER:
        value: object = server(content).server
    else:
        configuration = parsed(content).configuration
        if configuration is None or configuration.broken:
            return ...
        value = configuration.workers[0]
    for part in row.field.split("."):
        value = getattr(value, part)
    return value


def test_every_field_has_the_type_of_its_setting() -> None:
    """mypy checks the generated copies, which nobody writes by hand. It runs as a process, so its
    hundreds of MiB are freed at its end."""
    copies = "\n".join(f"    partial({_model(row)}, {_name(row)}=values[{_table(row)}])" for row in COPIES)
    mypy = [sys.executable, "-m", "mypy", "--config-file=", "--strict", "--command", f"{IMPORTS}{copies}"]
    checked = process.run(mypy, timeout_s=120, working_directory=ROOT)
    assert checked.returncode == 0, checked.stdout + checked.stderr


IMPORTS = """
from functools import partial
import tqunits.health as health, tqunits.model as model, tqunits.resources as resources, tqunits.watch as watch
from tqunits.config.layers import Values
from tqunits.config.server_settings import ServerSettings
from tqunits.config.worker_settings import WorkerSettings
def fill(values: Values) -> None:
"""


def _table(row: Setting[object]) -> str:
    """The place of the row: WorkerSettings.memory_max."""
    table = TABLES[row.file]
    return next(f"{table.__name__}.{name}" for name in dir(table) if getattr(table, name) is row)


def _model(row: Setting[object]) -> str:
    """The class that has the field which the setting fills: resources.Limits."""
    model = MODELS[row.file]
    for part in row.field.split(".")[:-1]:
        model = get_type_hints(model)[part]
    return f"{model.__module__.removeprefix('tqunits.')}.{model.__name__}"


def _name(row: Setting[object]) -> str:
    return row.field.rpartition(".")[2]
