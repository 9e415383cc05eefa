"""Why nothing is served from a folder, and the hint: the exact texts for an operator."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tqunits.system.published import objection

ALICE = 40123


def link_into_a_closed_one(root: Path) -> None:
    (root / "own").chmod(0o700)
    (root / "link").symlink_to("own/public")


CASES: dict[str, tuple[Callable[[Path], object], str, str | None]] = {
    "nothing against it": (lambda r: None, "alice/public", None),
    "it is not there": (lambda r: shutil.rmtree(r / "alice"), "alice/public", None),
    "closed itself": (
        lambda r: (r / "alice/public").chmod(0o750),
        "alice/public",
        "others may not enter {r}/alice/public; chmod o+x {r}/alice/public",
    ),
    "closed above": (
        lambda r: (r / "alice").chmod(0o750),
        "alice/public",
        "others may not enter {r}/alice; chmod o+x {r}/alice",
    ),
    "root's, and closed": (
        lambda r: (r / "own").chmod(0o700),
        "own/public",
        "others may not enter {r}/own; chmod o+x {r}/own",
    ),
    "behind a link of root's": (
        link_into_a_closed_one,
        "link",
        "others may not enter {r}/own; chmod o+x {r}/own",
    ),
    "a link": (
        lambda r: (r / "alice/link").symlink_to("public"),
        "alice/link",
        "{r}/alice/link is a symbolic link, and not only root can change it; write the folder that it leads to",
    ),
    "a file": (lambda r: (r / "alice/file").write_text("x"), "alice/file", "{r}/alice/file is no folder"),
    "a file of root's": (lambda r: (r / "file").write_text("x"), "file", "{r}/file is no folder"),
    "up": (lambda r: None, "alice/../own/public", "'..' below a folder that is not root's"),
    "below /run": (
        lambda r: (r / "link").symlink_to("/run/lock"),
        "link",
        "it leads to /run/lock, and nothing below /run is served; put the files elsewhere, such as below /srv",
    ),
    "the whole host": (
        lambda r: (r / "link").symlink_to("/"),
        "link",
        "it leads to /, and the whole host is not served; write a folder of its own",
    ),
    "a circle": (lambda r: (r / "link").symlink_to("link"), "link", "Too many levels of symbolic links"),
}


@pytest.mark.parametrize(("prepare", "folder", "expected"), CASES.values(), ids=CASES)
def test_what_is_said(roots: Path, prepare: Callable[[Path], object], folder: str, expected: str | None) -> None:
    for path in ("alice/public", "own/public"):
        (roots / path).mkdir(parents=True)
    for path in ("alice", "alice/public"):
        os.chown(roots / path, ALICE, ALICE)
    prepare(roots)
    before = len(os.listdir("/proc/self/fd"))
    assert objection(f"{roots}/{folder}") == (expected and expected.format(r=roots))
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_folder_that_the_router_itself_can_not_enter(roots: Path) -> None:
    """In its sandbox the program is the user nobody, and may enter no closed folder."""
    (roots / "own/public").mkdir(parents=True)
    (roots / "link").symlink_to("own/public")
    (roots / "own").chmod(0o700)
    os.seteuid(ALICE)
    try:
        said = [objection(f"{roots}/{path}") for path in ("own/public", "link")]
    finally:
        os.seteuid(0)
    assert said == [f"others may not enter {roots}/own; chmod o+x {roots}/own"] * 2
