"""Files that not everybody may read are not sent, even if the router itself may read them: these
tests run as root, who may read all.

Alice is a user other than root, with a folder of her own.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sites import DATE, NOW, ask, found, put

from tqunits.http.dates import write_date
from tqunits.proxy.routes.site import Site

pytestmark = pytest.mark.usefixtures("no_descriptor_is_left")

ALICE = 40123
PAGE = b"<p>page</p>"
SECRET = b"secret"
LATER = write_date(NOW + 1)


@pytest.fixture
def alice(roots: Path) -> Path:
    """Alice's folder, with a site in it; beside it the files that she tries to publish."""
    put(roots / "alice/public/index.html", PAGE)
    put(roots / "alice/public/css/style.css", b"p {}")
    put(roots / "secret/index.html", SECRET)
    put(roots / "secret/css/style.css", SECRET)
    give(roots / "alice", ALICE)
    return roots / "alice"


def give(folder: Path, user: int) -> None:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user, user, follow_symlinks=False)


def body(root: Path | Site, path: str = "/", *lines: str, date: bytes = DATE) -> bytes | None:
    response = ask(root, path, *lines, date=date)
    return None if response is None else response.body


def site_of(folder: Path) -> Site:
    return Site(str(folder), "/", alone=True)


FILE_MODES = {0o644: True, 0o604: True, 0o444: True, 0o640: False, 0o600: False, 0o660: False, 0o641: False}


@pytest.mark.parametrize(("mode", "is_sent"), FILE_MODES.items(), ids=[f"{mode:o}" for mode in FILE_MODES])
def test_a_file_is_sent_if_others_may_read_it(alice: Path, mode: int, *, is_sent: bool) -> None:
    (alice / "public/index.html").chmod(mode)
    assert body(alice / "public", "/index.html") == (PAGE if is_sent else None)
    assert body(alice / "public") == (PAGE if is_sent else None)


def test_a_folder_whose_index_others_may_not_read_gets_no_slash(alice: Path) -> None:
    put(alice / "public/docs/index.html", PAGE)
    assert found(ask(alice / "public", "/docs")).status == 301
    (alice / "public/docs/index.html").chmod(0o640)
    assert ask(alice / "public", "/docs") is None


def test_a_sibling_that_others_may_not_read_is_none(alice: Path) -> None:
    put(alice / "public/css/style.css.gz", SECRET)
    (alice / "public/css/style.css.gz").chmod(0o640)
    assert body(alice / "public", "/css/style.css", "Accept-Encoding: gzip") == b"p {}"


def test_a_hard_link_is_as_open_as_what_it_links_to(alice: Path) -> None:
    (alice.parent / "secret/index.html").chmod(0o640)
    (alice / "public/hard.html").hardlink_to(alice.parent / "secret/index.html")
    assert body(alice / "public", "/hard.html") is None
    (alice.parent / "secret/index.html").chmod(0o644)
    assert body(alice / "public", "/hard.html") == SECRET


@pytest.mark.parametrize("closed", ["", "alice", "alice/public", "alice/public/css"])
@pytest.mark.parametrize(("mode", "is_sent"), [(0o711, True), (0o750, False), (0o700, False), (0o754, False)], ids=str)
def test_every_folder_on_the_way_lets_others_through(alice: Path, closed: str, mode: int, *, is_sent: bool) -> None:
    for owner in (ALICE, 0):
        give(alice, owner)
        (alice.parent / closed).chmod(mode)
        assert body(alice / "public", "/css/style.css") == (b"p {}" if is_sent else None)


def test_a_folder_that_others_may_not_enter_has_no_index_for_them(alice: Path) -> None:
    put(alice / "public/docs/index.html", PAGE)
    (alice / "public/docs").chmod(0o750)
    assert ask(alice / "public", "/docs") is None
    assert ask(alice / "public", "/docs/") is None


def test_a_mode_that_changes_counts_in_the_next_second(alice: Path) -> None:
    """For a folder above the open one; and at once for all folders below it."""
    give(alice, 0)
    site = site_of(alice / "public")
    assert body(site) == PAGE
    alice.chmod(0o750)
    assert body(site, date=LATER) is None
    alice.chmod(0o755)
    assert body(site, date=DATE) == PAGE
    (alice / "public").chmod(0o750)
    assert body(site) is None


LINKS: dict[str, tuple[Callable[[Path], object], str]] = {
    "the root": (lambda alice: swap(alice / "public", "../secret"), "/"),
    "above the root": (lambda alice: swap(alice / "public", "../up/public"), "/"),
    "a folder": (lambda alice: swap(alice / "public/css", "../../secret/css"), "/css/style.css"),
    "a file": (lambda alice: swap(alice / "public/css/style.css", "../../../secret/index.html"), "/css/style.css"),
    "the index": (lambda alice: swap(alice / "public/index.html", "../../secret/index.html"), "/"),
}


def swap(path: Path, target: str) -> None:
    """Put a link in its place."""
    path.rename(path.with_name("aside"))
    path.symlink_to(target)


@pytest.mark.parametrize(("put_link", "path"), LINKS.values(), ids=LINKS)
def test_a_link_of_somebody_else_is_not_followed(alice: Path, put_link: Callable[[Path], object], path: str) -> None:
    """Made before the first request, and while the site is open."""
    (alice.parent / "up").mkdir()
    shutil.copytree(alice.parent / "secret", alice.parent / "up/public")
    site = site_of(alice / "public")
    assert body(site, path) is not None
    put_link(alice)
    assert body(site, path) is None
    assert body(site, path, date=LATER) is None
    assert body(alice / "public", path) is None


def test_a_link_of_roots_leads_through_no_link_of_somebody_else(alice: Path) -> None:
    (alice / "site").symlink_to("../secret")
    (alice.parent / "current").symlink_to("alice/site")
    assert body(alice.parent / "current") is None
    (alice.parent / "current").unlink()
    (alice.parent / "current").symlink_to("alice/public")
    assert body(alice.parent / "current") == PAGE


def test_a_folder_that_root_gives_away_is_somebody_elses_from_then_on(alice: Path) -> None:
    give(alice, 0)
    site = site_of(alice / "public")
    assert body(site) == PAGE
    give(alice, ALICE)
    swap(alice / "public", "../secret")
    assert body(site) is None


@pytest.mark.parametrize("owner", [0, ALICE], ids=["root's", "somebody else's"])
def test_a_root_that_is_made_anew_counts_at_once(alice: Path, owner: int) -> None:
    give(alice, owner)
    site = site_of(alice / "public")
    assert body(site) == PAGE
    shutil.rmtree(alice / "public")
    assert body(site) is None
    for content in (b"again", b"and again"):
        shutil.rmtree(alice / "public", ignore_errors=True)
        put(alice / "public/index.html", content)
        assert body(site) == content


@pytest.mark.parametrize("missing", ["public", "public/below", "a/b/c"])
def test_a_root_that_is_made_later_counts_at_once(roots: Path, missing: str) -> None:
    site = site_of(roots / missing)
    assert body(site) is None
    put(roots / missing / "index.html", PAGE)
    assert body(site) == PAGE


def test_a_link_that_only_root_can_change_counts_at_once(roots: Path) -> None:
    """Deployments switch folders in this way."""
    put(roots / "releases/1/index.html", b"1")
    put(roots / "releases/2/index.html", b"2")
    (roots / "current").symlink_to("releases/1")
    (roots / "absolute").symlink_to(roots / "current")
    for path in (roots / "current", roots / "absolute"):
        site = site_of(path)
        for release in (b"1", b"2", b"1"):
            (roots / "switch").symlink_to(f"releases/{release.decode()}")
            (roots / "switch").rename(roots / "current")
            assert body(site) == release


def test_a_link_of_roots_to_folders_of_somebody_else_counts_in_the_next_second(roots: Path) -> None:
    put(roots / "alice/1/index.html", b"1")
    put(roots / "alice/2/index.html", b"2")
    give(roots / "alice", ALICE)
    (roots / "current").symlink_to("alice/1")
    site = site_of(roots / "current")
    assert body(site) == b"1"
    (roots / "switch").symlink_to("alice/2")
    (roots / "switch").rename(roots / "current")
    assert body(site, date=LATER) == b"2"


@pytest.fixture
def unserved(roots: Path) -> Iterator[Path]:
    """A site in /dev/shm, which everybody may read."""
    folder = Path("/dev/shm") / roots.name
    put(folder / "index.html", SECRET)
    yield folder
    shutil.rmtree(folder)


def test_nothing_is_served_from_the_folders_of_the_kernel(roots: Path, unserved: Path) -> None:
    (roots / "link").symlink_to(unserved)
    (roots / "dev").symlink_to("/dev")
    (roots / "process").symlink_to("/proc/self")
    ways = (
        unserved,
        f"/{unserved}",
        f"/./{unserved}",
        roots / "link",
        roots / "dev/shm" / unserved.name,
        f"{roots}/../../../{unserved}",
        f"/proc/self/root/{unserved}",
        roots / "process/root" / str(unserved)[1:],
    )
    for way in ways:
        assert ask(Site(str(way), "/", alone=True), "/") is None, way
    assert ask(Path("/"), f"{unserved}/index.html") is None


@pytest.mark.parametrize("path", ["/sys/kernel/notes", "/proc/version", "/proc/self/maps", "/run/utmp"])
def test_no_file_of_the_kernel_is_sent(path: str) -> None:
    folder, _, name = path.rpartition("/")
    assert ask(Path(folder), f"/{name}") is None
    assert ask(Path("/"), path) is None


def test_two_dots_lead_out_of_no_folder_of_somebody_else(alice: Path) -> None:
    assert body(Path(f"{alice}/../secret")) is None
    assert body(Path(f"{alice.parent}/secret/../secret")) == SECRET


def test_a_user_who_is_not_root_has_his_own_folders_above_the_site(alice: Path) -> None:
    """A home is usually closed to others, and a user who runs the router with --user serves his own
    files."""
    alice.chmod(0o700)
    assert body(alice / "public") is None
    os.seteuid(ALICE)
    try:
        assert body(alice / "public") == PAGE
        (alice / "public/index.html").chmod(0o600)
        assert body(alice / "public") is None
        (alice / "public/index.html").chmod(0o644)
        (alice / "public").chmod(0o700)
        assert body(alice / "public") is None
    finally:
        os.seteuid(0)
