"""The files that a worker's YAML names: which are in its unit by their own path, which are copied,
and which are refused."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest
from units.cases import worker

from tqunits.errors import Mark, Severity
from tqunits.host.requested_files import Looked, look
from tqunits.host.stale_copies import changed
from tqunits.model import NotRoots, OriginKind, SettingOrigin, Worker
from tqunits.system import files

ALICE = 40123
BOB = 40124
PLACE = Mark("worker.yaml", 4, 7)


@pytest.fixture
def folder(roots: Path) -> Path:
    """A folder of Alice's, in a folder of root's."""
    made = roots / "alice"
    made.mkdir()
    os.chown(made, ALICE, ALICE)
    return made


def naming(path: Path, *, environment: bool = False) -> Worker:
    mark = SettingOrigin(kind=OriginKind.WORKER, mark=PLACE)
    origins = {"credentials": mark, "environment_file": mark}
    if environment:
        return replace(worker("api"), environment_file=(str(path),), origins=origins)
    return replace(worker("api"), credentials=(("token", str(path)),), origins=origins)


def put(path: Path, content: bytes = b"secret", *, owner: int = ALICE, mode: int = 0o600) -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    os.chown(path, owner, owner)
    return path


def said(looked: Looked) -> list[tuple[Severity, str]]:
    return [(finding.severity, finding.message) for finding in looked.findings]


def refused(path: Path, **options: bool) -> str:
    """Why the file is not accepted. The place is that in the YAML, and nothing of the file is
    read."""
    looked = look(naming(path, **options), user_mode=False)
    (finding,) = looked.findings
    assert (finding.severity, finding.mark) == (Severity.ERROR, PLACE)
    assert finding.hint
    assert [taken.content for taken in looked.taken] == [None]
    return finding.message


def test_a_path_of_roots_is_not_copied(roots: Path) -> None:
    assert look(naming(put(roots / "token", owner=0)), user_mode=False) == Looked((), ())


def test_roots_may_name_what_systemd_takes(roots: Path) -> None:
    (roots / "many").mkdir()
    (roots / "link").symlink_to(put(roots / "token", owner=0))
    for path in (roots / "many", roots / "link"):
        assert look(naming(path), user_mode=False) == Looked((), ())


def test_somebodys_file_is_copied_as_it_was_read(folder: Path) -> None:
    path = put(folder / "token")
    looked = look(naming(path), user_mode=False)
    (taken,) = looked.taken
    assert (taken.copy.id, taken.copy.source, taken.content) == ("token", str(path), b"secret")
    assert taken.copy.modified == path.stat().st_mtime_ns
    assert looked.findings == ()
    assert b"secret" not in repr(looked).encode()


def test_somebodys_file_in_a_folder_of_roots_is_copied_for_he_may_change_it(roots: Path) -> None:
    assert [taken.content for taken in look(naming(put(roots / "token")), user_mode=False).taken] == [b"secret"]


def test_a_file_below_a_link_of_roots_is_judged_by_where_it_is(roots: Path, folder: Path) -> None:
    put(folder / "token")
    (roots / "here").symlink_to(folder)
    assert [taken.content for taken in look(naming(roots / "here/token"), user_mode=False).taken] == [b"secret"]


def bind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


PLANTED: dict[str, tuple[Callable[[Path], object], str]] = {
    "link": (lambda path: path.symlink_to("/etc/shadow"), "is a symbolic link, which is not followed"),
    "dangling link": (lambda path: path.symlink_to("nothing"), "is a symbolic link, which is not followed"),
    "folder": (Path.mkdir, "is a folder"),
    "FIFO": (os.mkfifo, "is a FIFO"),
    "socket": (bind, "is a socket"),
    "device": (lambda path: os.mknod(path, 0o666 | 0o020000, os.makedev(1, 5)), "is a device"),
    "nothing": (lambda path: None, "is not there"),
    "too large": (lambda path: put(path, b"x" * ((1 << 20) + 1)), "is larger than 1024 KiB"),
    "a hole": (lambda path: os.truncate(put(path), 1 << 40), "is larger than 1024 KiB"),
    "another's": (lambda path: put(path, owner=BOB), f"belongs to uid {BOB}, and its folder to uid {ALICE}"),
}


@pytest.mark.parametrize(("plant", "reason"), PLANTED.values(), ids=PLANTED)
@pytest.mark.parametrize("environment", [False, True], ids=["credential", "environment"])
def test_what_is_planted_is_refused(
    folder: Path, plant: Callable[[Path], object], reason: str, *, environment: bool
) -> None:
    path = folder / "token"
    plant(path)
    setting = "environment_file" if environment else "credentials"
    limit = reason.replace("1024", "64") if environment else reason
    assert refused(path, environment=environment) == f"{setting}: {path} {limit}"


def test_a_link_on_the_way_is_refused(folder: Path) -> None:
    (folder / "etc").symlink_to("/etc")
    assert "is behind a symbolic link" in refused(folder / "etc" / "shadow")


def test_a_hard_link_to_a_strangers_file_is_refused(folder: Path, roots: Path) -> None:
    for owner in (0, BOB, ALICE):
        secret = put(roots / f"of-{owner}", owner=owner)
        os.link(secret, folder / f"of-{owner}")
    assert "has more than one name" in refused(folder / "of-0")
    assert "belongs to uid" in refused(folder / f"of-{BOB}")
    assert look(naming(folder / f"of-{ALICE}"), user_mode=False).error is None


def test_a_hard_link_is_refused_where_others_may_make_names(folder: Path, roots: Path) -> None:
    os.link(put(roots / "file"), folder / "file")
    folder.chmod(0o775)
    assert "has more than one name" in refused(folder / "file")


def test_roots_own_file_in_somebodys_folder_is_taken(folder: Path) -> None:
    path = put(folder / "token", owner=0)
    assert [taken.content for taken in look(naming(path), user_mode=False).taken] == [b"secret"]


def test_mistakes_of_an_environment_file_have_their_place_in_it(folder: Path, roots: Path) -> None:
    for path in (
        put(folder / ".env", b"A=1\nexport B=s3cret\n"),
        put(roots / "env", b"A=1\nexport B=s3cret\n", owner=0),
    ):
        looked = look(naming(path, environment=True), user_mode=False)
        (finding,) = looked.findings
        assert (finding.severity, finding.mark) == (Severity.ERROR, Mark(str(path), 2, 1))
        assert "s3cret" not in f"{finding}"


def test_doubts_of_an_environment_file_are_warnings(folder: Path) -> None:
    looked = look(naming(put(folder / ".env", b"PORT=3000\n"), environment=True), user_mode=False)
    assert [severity for severity, _ in said(looked)] == [Severity.WARNING]
    assert looked.error is None


def test_all_together_are_as_large_as_systemd_takes(roots: Path) -> None:
    half = put(roots / "half", b"x" * (1 << 19), owner=0)
    both = replace(naming(half), credentials=(("a", str(half)), ("b", str(half))))
    (finding,) = look(both, user_mode=False).findings
    assert finding.message == f"the files of environment_file and credentials hold {(1 << 20) + 2} bytes together"


def test_a_missing_file_is_as_bad_as_whoever_asks_says(folder: Path) -> None:
    looked = look(naming(folder / "token"), user_mode=False, missing=Severity.WARNING)
    assert said(looked) == [(Severity.WARNING, f"credentials: {folder}/token is not there")]


def test_a_users_own_manager_reads_the_files_itself(folder: Path) -> None:
    put(folder / ".env", b"export A=1")
    assert look(naming(folder / ".env"), user_mode=True) == Looked((), ())
    looked = look(naming(folder / ".env", environment=True), user_mode=True)
    assert looked.taken == ()
    assert looked.error is not None


def test_without_the_right_to_read_it_is_a_note(folder: Path) -> None:
    path = put(folder / "token")
    pid = os.fork()
    if pid == 0:
        os.setresuid(BOB, BOB, BOB)
        looked = look(naming(path), user_mode=False)
        os._exit(0 if [s for s, _ in said(looked)] == [Severity.NOTE] and looked.taken[0].content is None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_file_changes_by_its_content_its_time_or_its_end(folder: Path) -> None:
    path = put(folder / "token")
    copies = [taken.copy for taken in look(naming(path), user_mode=False).taken]
    assert changed(copies) == ()
    os.utime(path, ns=(1, 1))
    assert changed(copies) == (str(path),)
    copies = [taken.copy for taken in look(naming(path), user_mode=False).taken]
    path.unlink()
    assert changed(copies) == (str(path),)
    path.symlink_to("/etc/hostname")
    assert changed(copies) == (str(path),)


def test_secrets_are_written_for_root_alone_and_leave_no_folder(roots: Path) -> None:
    path = roots / "state/credentials/api/token"
    files.write_secret(path, "x", 0o600)
    modes = [oct(each.stat().st_mode & 0o777) for each in (path, *list(path.parents)[:3])]
    assert modes == ["0o600", "0o700", "0o700", "0o755"]
    files.write_secret(path.with_name("other"), "y", 0o600)
    files.remove_secret(path)
    assert path.parent.exists()
    files.remove_secret(path.with_name("other"))
    assert PurePosixPath(roots / "state") in [PurePosixPath(p) for p in roots.iterdir()]
    assert list((roots / "state").iterdir()) == []


@pytest.mark.parametrize("environment", [False, True], ids=["a credential", "variables"])
@pytest.mark.parametrize("spelling", ["{roots}/secret", "{folder}/../secret", "{folder}-2/secret"])
def test_a_request_names_files_below_its_own_folder_only(
    roots: Path, folder: Path, spelling: str, *, environment: bool
) -> None:
    """Alice may not have root's own /etc/shadow read for her, nor a file that another worker was
    given."""
    (roots / "alice-2").mkdir()
    for place in (roots, roots / "alice-2"):
        put(place / "secret", b"A=b", owner=0)
    path = Path(spelling.format(roots=roots, folder=folder))
    named = replace(naming(path, environment=environment), folder=PurePosixPath(folder))
    looked = look(replace(named, not_roots=NotRoots(PurePosixPath(folder), "is alice's")), user_mode=False)
    assert [taken.content for taken in looked.taken] == [None]
    assert looked.error is not None
    assert "lies outside of" in looked.error.message
    assert look(replace(named, not_roots=None), user_mode=False).error is None or ".." in spelling


def test_a_request_may_name_what_lies_below_its_folder(folder: Path) -> None:
    named = replace(
        naming(put(folder / "secret")),
        folder=PurePosixPath(folder),
        not_roots=NotRoots(PurePosixPath(folder), "is alice's"),
    )
    looked = look(named, user_mode=False)
    assert (looked.error, [taken.content for taken in looked.taken]) == (None, [b"secret"])
