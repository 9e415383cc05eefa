"""The history tells whether a release is what git has: git runs without rights, because a
repository's owner decides what it executes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from machine import rest, wake
from machine.root import CHECKOUT

from .conftest import ROOT, Site, given_to
from .hammering import rude
from .test_deploys import change, history, version

FOLDER = f"{ROOT}/workers/alpha"
OPEN = "find / -path /proc -prune -o -path /dev/mqueue -prune -o -type d -writable -print -quit 2>/dev/null"
"""Prints a folder that whoever asks may write to; message queues are his own (PrivateIPC=)."""

FILTER = f'touch {ROOT}/written 2>/dev/null; [ $(id -u) != 0 ] && [ -z "$({OPEN})" ] && sed s/now/then/'
"""What git stores for a file has another word. Only as an ordinary user who may write nowhere, so
git sees no change."""


ASKS = "import sys, pathlib, tqunits.host.working_tree as tree; print(tree.is_dirty(pathlib.Path(sys.argv[1])))"


def git(site: Site, *arguments: str, folder: str = FOLDER) -> None:
    identity = ("-c", "user.name=Ann", "-c", "user.email=ann@example.com", "-c", "safe.directory=*")
    site.machine.run(["git", "-C", folder, *identity, *arguments])


def revision(site: Site) -> str:
    """The last deploy's, as `history` shows it."""
    site.run("deploy", "alpha")
    head = site.machine.run(["git", "-c", "safe.directory=*", "-C", FOLDER, "rev-parse", "HEAD"]).stdout.strip()
    assert history(site)[0]["revision"] == head
    shown = site.run("history", "alpha", "-n", "1").splitlines()[1].split()[4]
    assert shown[:7] == head[:7]
    return shown[7:]


def committed(site: Site, folder: str) -> None:
    """Make a repository of a folder."""
    git(site, "init", "--quiet", folder=folder)
    git(site, "add", "--all", folder=folder)
    git(site, "commit", "--quiet", "--message=first", folder=folder)


def is_dirty(site: Site, folder: str) -> str:
    return site.machine.run([f"/{CHECKOUT}/.venv/bin/python", "-I", "-c", ASKS, folder]).stdout.strip()


@pytest.fixture
def checkout(host: Site) -> Iterator[Site]:
    """A worker alpha that is a checkout."""
    wake(host.machine)
    rude(host)
    committed(host, FOLDER)
    yield host
    rest(host.machine)


def test_what_differs_from_the_revision_is_marked(checkout: Site) -> None:
    site = checkout
    assert revision(site) == ""
    change(site, version(2))
    assert revision(site) == "+"
    assert [each["is_dirty"] for each in history(site)] == [True, False]
    site.machine.run(["mkdir", "-m", "0700", f"{FOLDER}/closed"])
    change(site, version(3))
    git(site, "commit", "--quiet", "--all", "--message=third")
    assert revision(site) == "?"
    site.machine.run(["rmdir", f"{FOLDER}/closed"])
    site.machine.run(["chmod", "0700", f"{FOLDER}/.git/objects"])
    change(site, version(4))
    assert revision(site) == "?"


def test_what_a_repository_executes_has_no_rights(checkout: Site, alice: str) -> None:
    site = checkout
    site.machine.write(f"{FOLDER}/.gitattributes", "*.txt filter=word\n")
    git(site, "config", "filter.word.clean", "sed s/now/then/")
    site.machine.write(f"{FOLDER}/word.txt", "now\n")
    git(site, "add", "--all")
    git(site, "commit", "--quiet", "--message=words")
    git(site, "config", "filter.word.clean", FILTER)
    git(site, "config", "filter.word.required", "true")
    git(site, "config", "core.fsmonitor", f"touch {ROOT}/written")
    site.machine.write(f"{FOLDER}/word.txt", "now\n")  # at another time, so git reads it again
    given_to(site, alice)
    site.run("install", "--now")
    assert revision(site) == ""
    assert not site.machine.exists(f"{ROOT}/written")


@pytest.mark.parametrize(
    "program",
    [
        pytest.param("kill $PPID", id="ends git by SIGTERM"),
        pytest.param("trap : TERM; while :; do sleep 1000; done", id="has no end", marks=pytest.mark.long),  # 20 s
    ],
)
def test_what_a_repository_executes_can_not_hold_git(checkout: Site, program: str) -> None:
    site = checkout
    site.machine.write(f"{FOLDER}/.gitattributes", "*.txt filter=word\n")
    site.machine.write(f"{FOLDER}/word.txt", "now\n")
    git(site, "add", "--all")
    git(site, "commit", "--quiet", "--message=words")
    git(site, "config", "filter.word.clean", program)
    site.machine.write(f"{FOLDER}/word.txt", "now\n")
    change(site, version(2))
    assert revision(site) == "?"
    left = site.machine.run(["systemctl", "list-units", "--all", "--no-legend", "--plain", "run-*.service"]).stdout
    assert left == ""


def test_a_submodule_counts_whatever_gitmodules_says(host: Site) -> None:
    folder = "/srv/with-submodule"
    host.machine.write(f"{folder}/sub/file", "1")
    host.machine.write(f"{folder}/.gitmodules", '[submodule "sub"]\npath = sub\nurl = ./sub\nignore = all\n')
    committed(host, f"{folder}/sub")
    committed(host, folder)
    assert is_dirty(host, folder) == "False"
    host.machine.write(f"{folder}/sub/file", "22")
    assert is_dirty(host, folder) == "True"


def test_the_folder_of_a_checkout_is_no_variable(host: Site) -> None:
    folder = "/srv/${HOME}"
    host.machine.write(f"{folder}/file", "1")
    committed(host, folder)
    assert is_dirty(host, folder) == "False"
