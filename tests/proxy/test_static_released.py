"""The files of a worker are those of its release, from the first one on, and change with a link of
root's; never those of its folder, nor of another worker.

Alice has made the folder; the releases are root's.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pytest
from host.releases import BOUNDS
from sites import DATE, MODIFIED, NOW, ask, found, put

from tqunits.host.release_tree import TreeSource, copy_tree
from tqunits.http.dates import write_date
from tqunits.proxy.routes.site import Site
from tqunits.routing.released_files import ReleasedFiles
from tqunits.system.published import find, served, unserved_now
from tqunits.system.survey import opened_for_root

pytestmark = pytest.mark.usefixtures("no_descriptor_is_left")

ALICE = 40123
LATER = write_date(NOW + 1)
ONE, TWO, EMPTY, THREE = "000000000001", "000000000002", "000000000003", "000000000004"


@dataclass
class Worker:
    """A worker with a folder and two releases, and the site that the router makes of it."""

    folder: Path
    releases: Path

    def __post_init__(self) -> None:
        link = self.releases / "runs/1"
        link.parent.mkdir(parents=True)
        self.link = ReleasedFiles(link=str(link), directory=f"{link}/public")
        self.site = Site(str(self.folder / "public"), "/", self.link, alone=True)

    def runs(self, release: str | None, *, at: int = MODIFIED) -> None:
        """From that second on, as root's own program does it."""
        link = Path(self.link.link)
        if release is None:
            link.unlink()
        else:
            link.with_name("new").symlink_to(f"../{release}")
            os.utime(link.with_name("new"), (0, at), follow_symlinks=False)
            link.with_name("new").rename(link)

    def says(self, path: str = "/", date: bytes = DATE) -> str | None:
        response = ask(self.site, path, date=date)
        return None if response is None else response.body.decode()


@pytest.fixture
def api(roots: Path) -> Iterator[Worker]:
    made = Worker(roots / "api", roots / "state/releases/api")
    put(made.folder / "public/index.html", b"folder")
    for release in (ONE, TWO):
        put(made.releases / release / "public/index.html", release.encode())
    (made.releases / EMPTY).mkdir()
    for path in (made.folder, *made.folder.rglob("*")):
        os.chown(path, ALICE, ALICE)
    yield made
    del made.site  # it has a folder open


def test_before_the_first_release_the_folder_is_served(api: Worker) -> None:
    assert api.says() == "folder"
    api.runs(ONE)
    assert api.says() == "folder", "a link is looked for once a second"
    assert api.says(date=LATER) == ONE


def test_another_release_is_served_at_once(api: Worker) -> None:
    api.runs(ONE)
    assert api.says() == ONE
    (api.folder / "public/index.html").write_text("edited")
    assert api.says() == ONE
    api.runs(TWO)
    assert api.says() == TWO
    api.runs(ONE)
    assert api.says() == ONE


def test_a_worker_that_is_installed_anew_has_its_folder_again_at_once(api: Worker) -> None:
    api.runs(ONE)
    assert api.says() == ONE
    api.runs(None)
    assert api.says() == "folder"


def test_a_release_without_the_folder_has_no_files_at_all(api: Worker) -> None:
    api.runs(EMPTY)
    assert api.says() is None
    assert api.says(date=LATER) is None
    api.runs(ONE)
    assert api.says(date=write_date(NOW + 2)) == ONE
    api.runs(EMPTY)
    assert api.says(date=write_date(NOW + 2)) is None


def test_a_release_that_is_gone_has_no_files(api: Worker) -> None:
    """Root has removed it by hand: the worker does not start either."""
    api.runs("00000000dead")
    assert api.says() is None
    assert served("/srv/api/public", api.link) == api.link.directory


@pytest.mark.parametrize("target", ["../../../web/public", "/etc", "public"])
def test_a_link_in_a_release_leads_nowhere(api: Worker, roots: Path, target: str) -> None:
    """Links in a release belong to nobody (host/release_tree.py): a worker's author wrote them."""
    put(roots / "state/releases/web/public/index.html", b"another's")
    (api.releases / EMPTY / "public").symlink_to(target)
    os.chown(api.releases / EMPTY / "public", 65534, 65534, follow_symlinks=False)
    api.runs(EMPTY)
    assert api.says() is None
    (api.releases / ONE / "public/other").symlink_to("../../../web/public")
    api.runs(ONE)
    assert api.says("/other/index.html", date=LATER) is None
    assert api.says(date=LATER) == ONE


@pytest.mark.parametrize("place", ["", ONE, f"{ONE}/public"])
def test_what_is_closed_to_others_is_not_served(api: Worker, place: str) -> None:
    (api.releases / place).chmod(0o750)
    api.runs(ONE)
    assert api.says() is None
    said = f"others may not enter {api.releases / place}; 'tqunits deploy' makes one that is as open as the worker's"
    assert said in str(unserved_now(str(api.folder / "public"), api.link))
    api.runs(None)
    assert unserved_now(str(api.folder / "public"), api.link) is None


def test_a_request_costs_no_look_at_the_folders_on_the_way(api: Worker) -> None:
    """The last folder itself is kept open; one stat(2) shows whether the link has switched."""
    api.runs(ONE)
    root = find(served(str(api.folder / "public"), api.link))
    assert (root.names, root.stands()) == ((), True)
    api.runs(TWO)
    assert not root.stands()


AT_ONE, AT_TWO, AGAIN = NOW - 300, NOW - 200, NOW - 100


def asked(api: Worker, condition: str, second: int = 0) -> tuple[int, str, str]:
    """The status and the two validators of an answer; `second`: counted from NOW."""
    response = found(ask(api.site, "/", condition, date=write_date(NOW + second)))
    return response.status, response.fields["ETag"], response.fields.get("Last-Modified", "")


def test_who_asks_by_time_alone_gets_what_a_deploy_and_a_rollback_change(api: Worker) -> None:
    """All files are of one time here, as reproducible builds and archives make them."""
    api.runs(ONE, at=AT_ONE)
    status, _, one = asked(api, "X: y")
    assert (status, one) == (200, write_date(AT_ONE).decode())
    assert asked(api, f"If-Modified-Since: {one}")[0] == 304
    api.runs(TWO, at=AT_TWO)
    status, _, two = asked(api, f"If-Modified-Since: {one}")
    assert (status, two) == (200, write_date(AT_TWO).decode())
    assert found(ask(api.site, "/", f"If-Unmodified-Since: {one}")).status == 412
    api.runs(ONE, at=AGAIN)
    status, _, again = asked(api, f"If-Modified-Since: {two}")
    assert (status, again) == (200, write_date(AGAIN).decode())


def test_the_same_release_has_its_new_time_within_a_second(api: Worker) -> None:
    """Nothing needs it sooner: its files are the same."""
    api.runs(ONE, at=AT_ONE)
    one = asked(api, "X: y")[2]
    api.runs(ONE, at=AT_TWO)
    assert asked(api, f"If-Modified-Since: {one}")[0] == 304
    assert asked(api, f"If-Modified-Since: {one}", 1)[0] == 200


def test_a_time_of_a_switch_that_is_to_come_is_never_later_than_date(api: Worker) -> None:
    api.runs(ONE, at=NOW + 3600)
    assert asked(api, "X: y")[2] == DATE.decode()


def test_a_file_that_changes_after_its_release_has_its_own_time(api: Worker) -> None:
    """Nobody but root can do that."""
    api.runs(ONE, at=MODIFIED - 10)
    assert asked(api, "X: y")[2] == write_date(MODIFIED).decode()


def test_times_before_1970_are_its_begin(api: Worker) -> None:
    os.utime(api.releases / ONE / "public/index.html", (0, -20))
    api.runs(ONE, at=-10)
    assert asked(api, "X: y")[2] == "Thu, 01 Jan 1970 00:00:00 GMT"


def test_a_deploy_of_the_same_size_and_time_has_another_tag_and_one_of_the_same_file_has_not(api: Worker) -> None:
    """The files as a build makes them are copied to releases as root does it."""
    for release, text in ((ONE, "one"), (TWO, "two"), (THREE, "one")):
        put(api.folder / "public/index.html", text.encode())
        into = api.releases / release
        shutil.rmtree(into, ignore_errors=True)
        into.mkdir()
        with opened_for_root(into) as place:
            copy_tree(TreeSource(api.folder, None, BOUNDS, served=PurePosixPath("public")), place)
    api.runs(ONE)
    _, one, _ = asked(api, "X: y")
    api.runs(TWO)
    status, two, _ = asked(api, f"If-None-Match: {one}")
    assert (status, two != one) == (200, True)
    assert found(ask(api.site, "/", "Range: bytes=0-0", f"If-Range: {one}")).status == 200
    assert found(ask(api.site, "/", "Range: bytes=0-0", f"If-Range: {two}")).status == 206
    api.runs(THREE)
    assert asked(api, f"If-None-Match: {one}")[0] == 304
