"""The fingerprint of the router's code: which changes give another one, and which files are
ignored."""

from __future__ import annotations

from pathlib import Path

import pytest

from tqunits.host.this_host import fingerprint


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Below a folder whose name has a meaning only within a package."""
    place = tmp_path / "alone" / "tqunits"
    for name in ("boot.py", "proxy/router.py", "proxy/router.so", "alone/gate.py", "proxy/__pycache__/router.pyc"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(name)
    return place


@pytest.mark.parametrize("name", ["proxy/router.py", "proxy/router.so", "proxy/new.py", "../tqunits__mypyc.cpython.so"])
def test_what_a_process_runs_counts(package: Path, name: str) -> None:
    before = fingerprint(package)
    (package / name).write_text("another")
    assert fingerprint(package) != before


@pytest.mark.parametrize("name", ["alone/gate.py", "proxy/__pycache__/router.py", "proxy/notes.txt"])
def test_what_it_does_not_run_counts_for_nothing(package: Path, name: str) -> None:
    before = fingerprint(package)
    (package / name).write_text("another")
    assert fingerprint(package) == before


@pytest.mark.parametrize("name", ["proxy/__pycache__/router.py", "proxy/.#router.py"])
def test_what_is_not_there_stops_nobody(package: Path, name: str) -> None:
    """Python's cache folder is removed during the reading, and an editor's lock is a link to
    nothing."""
    before = fingerprint(package)
    (package / name).symlink_to("nowhere")
    assert fingerprint(package) == before
