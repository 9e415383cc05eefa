"""Whether git is at work in a folder: in a repository, in a worktree and a submodule that git has
made, and in what somebody has made up."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from host.releases import written

from tqunits.host.checkout_lock import is_checkout_running
from tqunits.lifecycle.settling import CHECKOUT_MAX_US
from tqunits.system import process

ALICE = 12345
GIT = ("git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always")


def test_a_checkout_that_is_running(tmp_path: Path) -> None:
    folder = written(tmp_path / "repo/workers/api", main="1")
    lock = tmp_path / "repo/.git/index.lock"
    assert not is_checkout_running(folder, 0)
    lock.parent.mkdir()
    assert not is_checkout_running(folder, 0)
    lock.touch()
    made = lock.stat().st_ctime_ns
    assert is_checkout_running(folder, made + 1)
    assert is_checkout_running(tmp_path / "repo", made + 1)
    assert not is_checkout_running(folder, made + CHECKOUT_MAX_US * 1000)


def test_a_folder_behind_a_link_is_its_repositorys(tmp_path: Path) -> None:
    """As somebody has it who links his work into the workers' folder."""
    written(tmp_path, **{"repo/api/main": "1", "repo/.git/index.lock": ""})
    (tmp_path / "workers").mkdir()
    (tmp_path / "workers/api").symlink_to(tmp_path / "repo/api")
    assert is_checkout_running(tmp_path / "workers/api", 0)


def test_a_link_to_a_repository_is_not_followed(tmp_path: Path) -> None:
    """Whoever owns the folder could lead us anywhere."""
    written(tmp_path, **{"elsewhere/index.lock": "1", "api/main": "1"})
    (tmp_path / "api/.git").symlink_to(tmp_path / "elsewhere")
    assert not is_checkout_running(tmp_path / "api", 0)


def git(folder: Path, *words: str) -> str:
    done = process.run([*GIT, "-C", str(folder), *words], timeout_s=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """With one commit."""
    found = written(tmp_path / "repo", **{"api/main": "1"})
    git(found, "init", "--quiet")
    git(found, "add", "--all")
    git(found, "commit", "--quiet", "--message=1")
    return found


@pytest.mark.parametrize("kind", ["worktree", "submodule"])
def test_where_git_is_a_file_the_lock_lies_elsewhere(repository: Path, tmp_path: Path, kind: str) -> None:
    there = tmp_path / "there"
    if kind == "worktree":
        git(repository, "worktree", "add", "--quiet", str(there))
    else:
        (above := tmp_path / "above").mkdir()
        git(above, "init", "--quiet")
        git(above, "submodule", "--quiet", "add", str(repository), "there")
        there = above / "there"
    assert (there / ".git").is_file()
    assert not is_checkout_running(there / "api", 0)
    written(Path(there / git(there, "rev-parse", "--git-dir")), **{"index.lock": ""})
    assert is_checkout_running(there / "api", 0)


@pytest.mark.parametrize(
    "text",
    [
        "gitdir: {other}",
        "gitdir: {mine}/none",
        "gitdir: {mine}/link",
        "gitdir: {mine}/file",
        "gitdir: \0",
        "gitdir: ",
        "gitdir:",
        "{mine}/lock",
        "tree: {mine}/lock",
        "",
        "x" * 10_000,
    ],
)
@pytest.mark.root
def test_what_is_no_repository_of_his_is_not_locked(tmp_path: Path, text: str) -> None:
    alice = written(tmp_path / "alice", **{"lock/index.lock": "", "file": "", "api/main": "1"})
    written(tmp_path / "bob", **{"index.lock": ""})
    (alice / "link").symlink_to(alice / "lock")
    (alice / "api/.git").write_text(text.format(mine=alice, other=tmp_path / "bob"))
    for path in (alice / "api/.git", alice / "link", alice / "lock"):
        os.chown(path, ALICE, ALICE, follow_symlinks=False)
    os.chown(tmp_path / "bob", ALICE + 1, ALICE + 1)
    assert not is_checkout_running(alice / "api", 0)
    (alice / "api/.git").write_text(f"gitdir: {alice}/lock\n")
    assert is_checkout_running(alice / "api", 0)
