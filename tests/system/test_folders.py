"""The path to a worker's folder that root does not own, below a home."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import pytest
from units.cases import worker

from tqunits.system.folders import folder_refusal
from tqunits.system.ownership import first_not_roots

ALICE = 40123


@pytest.fixture
def home() -> Iterator[Path]:
    """A home of another user that everybody may enter, with a worker's folder in it."""
    folder = Path(tempfile.mkdtemp(prefix="tqunits-test-", dir="/home"))
    (folder / "site/api/config").mkdir(parents=True)
    (folder / "site/api/config/worker.yaml").write_text("path: /api\n")
    _give(folder)
    yield folder
    shutil.rmtree(folder)


def _give(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, ALICE, ALICE, follow_symlinks=False)
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)


def refused(folder: Path) -> str | None:
    source = folder / "config/worker.yaml"
    request = worker("api", folder=PurePosixPath(folder), not_roots=first_not_roots(source))
    found = folder_refusal(request)
    return f"{found.reason}; {found.hint}" if found else None


def test_a_way_that_everybody_may_go(home: Path) -> None:
    assert refused(home / "site/api") is None


def _close(home: Path) -> None:
    home.chmod(0o700)


def _close_inner(home: Path) -> None:
    (home / "site").chmod(0o750)


def _link(home: Path) -> None:
    (home / "site").rename(home / "other")
    (home / "site").symlink_to("other")


def _link_last(home: Path) -> None:
    (home / "site/api").rename(home / "api")
    (home / "site/api").symlink_to("/root")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_close, "{} is closed to the worker's account; chmod o+x {}, or"),
        (_close_inner, "{}/site is closed to the worker's account"),
        (_link, "{}/site is a symbolic link"),
        (_link_last, "{}/site/api is a symbolic link"),
    ],
)
def test_what_bars_the_way(home: Path, spoil: Callable[[Path], None], said: str) -> None:
    spoil(home)
    assert (refused(home / "site/api") or "").startswith(said.replace("{}", str(home)))


def test_below_a_temporary_folder_anybody_may_be_first() -> None:
    assert "leads through /tmp, where others decide" in (refused(Path("/tmp/x/api")) or "")


def test_roots_own_and_what_is_not_hidden_are_not_looked_at(home: Path, roots: Path) -> None:
    assert folder_refusal(worker("api", folder=PurePosixPath(home / "nowhere"), not_roots=None)) is None
    assert refused(roots / "nowhere") is None
