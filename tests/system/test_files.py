"""Files are complete or missing, whatever happens during a write; locks are exclusive, and end with
their process."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from pathlib import Path, PurePosixPath

import pytest

from tqunits.errors import TqunitsError
from tqunits.layout import Layout
from tqunits.system import files


def test_a_file_is_written_with_its_folders_and_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "a/b/c.conf"
    before = os.umask(0o077)
    try:
        files.write_atomically(path, "text\n", 0o644)
    finally:
        os.umask(before)
    assert path.read_text(encoding="utf-8") == "text\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [p.name for p in path.parent.iterdir()] == ["c.conf"]
    modes = [stat.S_IMODE(folder.stat().st_mode) for folder in (path.parent, path.parent.parent)]
    assert modes == [0o755, 0o755], "the manager and everybody's ls read what root has written"


def test_a_file_is_swapped_never_truncated(tmp_path: Path) -> None:
    path = tmp_path / "unit"
    files.write_atomically(path, "old", 0o644)
    with path.open(encoding="utf-8") as reader:
        files.write_atomically(path, "new", 0o644)
        assert reader.read() == "old"
    assert path.read_text(encoding="utf-8") == "new"


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "unit"
    path.mkdir()
    with pytest.raises(OSError, match="directory"):
        files.write_atomically(path, "new", 0o644)
    assert [p.name for p in tmp_path.iterdir()] == ["unit"]


def test_a_link_is_replaced_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine", encoding="utf-8")
    path = tmp_path / "unit"
    path.symlink_to(victim)
    files.write_atomically(path, "new", 0o644)
    assert victim.read_text(encoding="utf-8") == "mine"
    assert not path.is_symlink()


def test_the_old_time_is_kept_where_asked(tmp_path: Path) -> None:
    path = tmp_path / "unit"
    path.write_text("old", encoding="utf-8")
    os.utime(path, ns=(7_000_000_000, 7_000_000_000))
    files.write_atomically(path, "new", 0o644, keep_time=True)
    assert path.stat().st_mtime_ns == 7_000_000_000
    files.write_atomically(path, "newer", 0o644)
    assert path.stat().st_mtime_ns != 7_000_000_000


def test_bytes_that_are_no_utf8_survive(tmp_path: Path) -> None:
    path = tmp_path / "unit"
    path.write_bytes(b"caf\xe9")
    files.write_atomically(path, files.read_text_if_exists(path) or "", 0o644)
    assert path.read_bytes() == b"caf\xe9"


def test_leftovers_of_a_crash_are_found_and_nothing_else(tmp_path: Path) -> None:
    ours = [tmp_path / ".tqunits-0123456789abcdef.tmp", tmp_path / "x.d/.tqunits-fedcba9876543210.tmp"]
    theirs = [tmp_path / ".tqunits-notes.tmp", tmp_path / "x.d/10-tqunits.conf"]
    for path in [*ours, *theirs]:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert sorted(files.leftovers(tmp_path)) == sorted(ours)


def test_removing_takes_an_empty_drop_in_folder_along(tmp_path: Path) -> None:
    path = tmp_path / "x.service.d/10-tqunits.conf"
    files.write_atomically(path, "", 0o644)
    files.remove(path)
    assert not path.parent.exists()
    files.remove(path)


def test_removing_leaves_the_administrators_drop_in(tmp_path: Path) -> None:
    path = tmp_path / "x.service.d/10-tqunits.conf"
    files.write_atomically(path, "", 0o644)
    (path.parent / "50-mine.conf").touch()
    files.remove(path)
    assert [p.name for p in path.parent.iterdir()] == ["50-mine.conf"]


HOLDING = (
    "import sys; from pathlib import Path; from tqunits.system import files\n"
    "with files.lock(Path(sys.argv[1])): print(flush=True); sys.stdin.read()"
)
"""Holds the lock on a file until it is killed, and says when it has it."""


async def test_a_lock_held_elsewhere_is_refused_with_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "state/install.lock"
    await _refused_while_held([sys.executable, "-c", HOLDING, str(path)], path)
    with files.lock(path):
        assert path.read_text(encoding="ascii").strip() == str(os.getpid())


async def _refused_while_held(argv: list[str], path: Path) -> None:
    holder = await asyncio.create_subprocess_exec(*argv, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    assert holder.stdout
    await holder.stdout.readline()
    with pytest.raises(TqunitsError, match=f"process {holder.pid}"), files.lock(path):
        pass
    holder.kill()
    await holder.wait()


async def test_a_lock_held_elsewhere_is_waited_for_and_its_holder_told(tmp_path: Path) -> None:
    path = tmp_path / "install.lock"
    pipe = asyncio.subprocess.PIPE
    holder = await asyncio.create_subprocess_exec(sys.executable, "-c", HOLDING, str(path), stdin=pipe, stdout=pipe)
    assert holder.stdout
    await holder.stdout.readline()
    told: list[str] = []

    def release(process: str) -> None:
        told.append(process)
        holder.kill()

    with files.lock(path, wait=release) as has_waited:
        assert has_waited
    assert told == [str(holder.pid)]
    await holder.wait()
    with files.lock(path, wait=told.append) as has_waited:
        assert not has_waited
    assert told == [str(holder.pid)]


def test_a_turn_of_another_is_known_although_nobody_was_waited_for(tmp_path: Path) -> None:
    """It wrote what was read before: `tqunits scale` its file, between an install's reading and the
    lock."""
    path = tmp_path / "install.lock"
    with files.lock(path, since=files.last_turn(path)) as has_changed:
        assert has_changed, "it is not known who has had it"
    before = files.last_turn(path)
    with files.lock(path, since=before) as has_changed:
        assert not has_changed
        during = files.last_turn(path)
        os.utime(path, ns=(0, (during - 1_000_000) * 1000))  # it lasts for a second
        during = files.last_turn(path)
    assert before != during, "whoever reads now may read what is about to be changed"
    with files.lock(path, since=during) as has_changed:
        assert has_changed
    os.utime(path, ns=(0, 0))
    with files.lock(path, since=before) as has_changed:
        assert has_changed


def test_a_second_lock_in_the_same_process_is_refused_too(tmp_path: Path) -> None:
    with files.lock(tmp_path / "lock"), pytest.raises(TqunitsError), files.lock(tmp_path / "lock"):
        pass


@pytest.mark.parametrize("kind", ["missing", "folder", "fifo", "below-a-file"])
def test_what_is_no_regular_file_reads_as_none(tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "below-a-file":
        path.touch()
        path = path / "below"
    assert files.read_text_if_exists(path) is None


@pytest.mark.parametrize(
    ("folder", "stays"), [("tq-worker@api.service.d", False), ("sysusers.d", True), ("rules.d", True), ("units", True)]
)
def test_a_removed_file_takes_its_empty_drop_in_folder_along_and_no_other(
    tmp_path: Path,
    folder: str,
    stays: bool,  # noqa: FBT001 (a table's column)
) -> None:
    """polkit watches its folder, and watches no other that is made in its place."""
    path = tmp_path / folder / "10-tqunits.conf"
    path.parent.mkdir()
    path.touch()
    files.remove(path)
    assert path.parent.exists() is stays


def test_reading_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"x" * (files.READ_LIMIT + 1))
    with pytest.raises(TqunitsError, match="larger than 1 MiB"):
        files.read_text_if_exists(path)


def test_an_administrators_template_replaces_the_packages(tmp_path: Path) -> None:
    folder = tmp_path / "unit-templates"
    folder.mkdir()
    (folder / "tq.target.j2").write_text("mine", encoding="utf-8")
    posix = PurePosixPath(tmp_path)
    layout = Layout(
        units=posix, sysusers=None, configuration=posix, state=posix, runtime=posix, workers=posix, cache=posix
    )
    templates = files.read_templates(layout)
    assert templates["tq.target.j2"] == "mine"
    assert "[Service]" in templates["tq-worker@.service.j2"]


def test_the_memory_is_no_more_than_the_machine_has() -> None:
    assert 0 < files.physical_memory() <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
