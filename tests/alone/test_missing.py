"""Whether a drop-in is missing: tq-repair.service checks this before it does anything."""

from __future__ import annotations

import sys
from pathlib import Path, PurePosixPath

import pytest

from tqunits.alone.missing import is_missing
from tqunits.system.process import run
from tqunits.units import ledger, name
from tqunits.units.ledger import LedgerEntry

PROGRAM = Path(__file__).parents[2] / "tqunits/alone/missing.py"


def drop_in(host: Path) -> Path:
    return Path(name.drop_in(name.service("api"), PurePosixPath(host)))


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A host with the worker api, and a worker that has only files."""
    entries = [LedgerEntry(worker="api", source="/a", drop_in="x"), LedgerEntry(worker="docs", source="/d")]
    (tmp_path / "ledger.json").write_text(ledger.dump(entries), encoding="utf-8")
    path = drop_in(tmp_path)
    path.parent.mkdir()
    path.write_text("x", encoding="utf-8")
    return tmp_path


def status(host: Path, *, trigger: Path | None) -> int:
    """Run as systemd runs it."""
    environment = {} if trigger is None else {"TRIGGER_PATH": str(trigger)}
    argv = [sys.executable, "-I", "-S", str(PROGRAM), str(host / "ledger.json"), str(host)]
    return run(argv, environment=environment).returncode


def test_nothing_is_missing(host: Path) -> None:
    assert not is_missing(str(host / "ledger.json"), str(host))
    assert status(host, trigger=host) == 1


def test_a_drop_in_is_gone(host: Path) -> None:
    drop_in(host).unlink()
    assert is_missing(str(host / "ledger.json"), str(host))
    assert status(host, trigger=host) == 0


def test_who_asks_for_something_else_is_not_turned_away(host: Path) -> None:
    assert status(host, trigger=host / "repair") == 0
    assert status(host, trigger=None) == 0


def test_without_a_ledger_nothing_is_known_and_what_is_none_is_looked_at(host: Path) -> None:
    (host / "ledger.json").write_text("[]", encoding="utf-8")
    assert status(host, trigger=host) == 0
    (host / "ledger.json").unlink()
    assert status(host, trigger=host) == 1
