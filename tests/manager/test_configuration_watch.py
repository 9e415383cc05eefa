"""tqunits.yaml and its drop-ins are applied when they have changed, once for a change."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from tqunits.host import edited_configuration
from tqunits.host.configuration_files import CONFIGURATION, DROP_INS
from tqunits.layout import SYSTEM_LAYOUT
from tqunits.manager.configuration_watch import ConfigurationWatch
from tqunits.system.inotify import FolderWatches
from tqunits.system.tree_watch import TreeWatches
from tqunits.units import name, unitfile

pytestmark = pytest.mark.loops("uvloop")  # the manager's loop

ALICE = 12345


class Applied:
    """A host whose configuration lies in a folder, and how often it was applied."""

    def __init__(self, place: Path) -> None:
        self.folder, units = place / "etc", place / "units"
        self.folder.mkdir()
        units.mkdir()
        self.layout = replace(SYSTEM_LAYOUT, configuration=PurePosixPath(self.folder), units=PurePosixPath(units))
        self.refusal = ""
        self.count = 0
        self.said: list[str] = []
        self.happened = asyncio.Event()
        self.write("mode: development\n")
        self.install()

    def write(self, text: str, place: str = CONFIGURATION) -> None:
        path = self.folder / place
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    def install(self) -> None:
        """What lies there is what is installed."""
        digest = edited_configuration.present_digest(self.layout)
        text = f"[{unitfile.SERVER}]\n{unitfile.SOURCE_HASH}={digest}\n"
        Path(self.layout.units / name.TARGET).write_text(text)

    async def apply(self) -> str:
        self.count += 1
        if not self.refusal:
            self.install()
        return self.refusal

    def say(self, line: str) -> None:
        self.said.append(line)
        self.happened.set()

    async def has_said(self, count: int) -> None:
        async with asyncio.timeout(60):
            while len(self.said) < count:
                self.happened.clear()
                await self.happened.wait()

    async def is_refused(self) -> None:
        """A setting is misspelt, and this has been said."""
        self.refusal = "tqunits.yaml:1: no such setting"
        self.write("mod: production\n")
        await self.has_said(2)


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Applied]:
    yield Applied(tmp_path)


@asynccontextmanager
async def watching(host: Applied) -> AsyncIterator[ConfigurationWatch]:
    loop = asyncio.get_running_loop()
    folders, trees = FolderWatches(loop), TreeWatches(loop)
    watch = ConfigurationWatch(host.layout, folders, trees, host.apply, host.say)
    yield watch
    watch.close()
    folders.close()
    trees.close()


@pytest.fixture
async def watch(host: Applied) -> AsyncIterator[ConfigurationWatch]:
    async with watching(host) as found:
        yield found


async def test_a_change_is_applied_once(host: Applied, watch: ConfigurationWatch) -> None:
    host.write("mode: production\n")
    await host.has_said(1)
    assert (host.count, host.said, watch.refused) == (
        1,
        [f"{CONFIGURATION} or a file of {DROP_INS} has changed, and is applied"],
        "",
    )
    host.write("mode: development\nlog: {}\n")
    await host.has_said(2)
    assert host.count == 2


async def test_a_change_of_a_drop_in_is_applied(host: Applied, watch: ConfigurationWatch) -> None:
    """The folder has come later than the watch."""
    for number in range(3):
        host.write(f"workers: {number}\n", f"{DROP_INS}/10-more.yaml")
        await host.has_said(1 + number)
    (host.folder / DROP_INS / "10-more.yaml").unlink()
    await host.has_said(4)
    assert (host.count, watch.refused) == (4, "")


async def test_what_is_refused_is_said_and_applied_when_it_is_mended(host: Applied, watch: ConfigurationWatch) -> None:
    await host.is_refused()
    assert (host.count, watch.refused) == (1, host.refusal)
    assert host.said[1].endswith(host.refusal)
    host.refusal = ""
    host.write("mode: production\n")
    await host.has_said(3)
    assert (host.count, watch.refused) == (2, "")


async def test_what_is_taken_back_is_refused_no_more(host: Applied, watch: ConfigurationWatch) -> None:
    """What lies there is what is installed: nothing is to be applied, or to be complained about."""
    await host.is_refused()
    host.write("mode: development\n")
    async with asyncio.timeout(60):
        while watch.refused:
            await asyncio.sleep(0)
    assert host.count == 1


async def test_what_can_not_be_read_is_said(host: Applied, watch: ConfigurationWatch) -> None:
    (host.folder / CONFIGURATION).unlink()
    (host.folder / CONFIGURATION).mkdir()
    await host.has_said(1)
    assert host.count == 0
    assert f"changes of {CONFIGURATION} are not noticed" in host.said[0]
    assert watch.refused
    (host.folder / CONFIGURATION).rmdir()
    host.write("mode: production\n")
    await host.has_said(2)
    assert (host.count, watch.refused) == (1, "")


async def test_what_can_be_read_again_as_it_was_is_refused_no_more(host: Applied, watch: ConfigurationWatch) -> None:
    host.write("mode: production\n")
    await host.has_said(1)
    (host.folder / CONFIGURATION).rename(host.folder / "aside")
    (host.folder / CONFIGURATION).mkdir()
    await host.has_said(2)
    assert watch.refused
    (host.folder / CONFIGURATION).rmdir()
    (host.folder / "aside").rename(host.folder / CONFIGURATION)
    async with asyncio.timeout(60):
        while watch.refused:
            await asyncio.sleep(0)
    assert host.count == 1


async def test_a_folder_in_the_place_of_the_first_is_watched(host: Applied, watch: ConfigurationWatch) -> None:
    """Whoever restores a backup, or switches to another tree, leaves no event in the new folder."""
    host.folder.rename(host.folder.with_name("before"))
    host.folder.mkdir()
    host.write("mode: production\n")
    await host.has_said(1)
    host.write("mode: development\nlog: {}\n")
    await host.has_said(2)
    assert (host.count, watch.refused) == (2, "")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
async def test_what_the_manager_may_not_read_is_said_with_the_remedy(host: Applied, watch: ConfigurationWatch) -> None:
    host.write("mode: production\n")
    host.folder.chmod(0o700)
    os.seteuid(ALICE)
    try:
        await host.has_said(1)
    finally:
        os.seteuid(0)
    assert f"Permission denied (chmod o+rX {host.folder / CONFIGURATION}" in host.said[0]
    assert host.said[0].endswith(watch.refused)


async def test_a_folder_that_comes_long_after_the_first_is_watched(host: Applied, watch: ConfigurationWatch) -> None:
    host.write("mode: production\n")
    await host.has_said(1)
    away = host.folder.rename(host.folder.with_name("away"))
    await host.has_said(2)
    (away / CONFIGURATION).write_text("mode: development\n")
    away.rename(host.folder)
    await host.has_said(3)
    assert (host.count, watch.refused) == (3, "")


@pytest.mark.parametrize("place", [CONFIGURATION, f"{DROP_INS}/10-more.yaml"])
async def test_a_file_that_is_a_link_is_watched_where_it_lies(host: Applied, place: str) -> None:
    checkout = host.folder.with_name("checkout.yaml")
    checkout.write_text("log: {}\n")
    host.write("", place)
    (host.folder / place).unlink()
    (host.folder / place).symlink_to(checkout)
    host.install()
    async with watching(host):
        checkout.write_text("mode: production\n")
        await host.has_said(1)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
@pytest.mark.parametrize("place", [CONFIGURATION, "."])
async def test_what_is_opened_to_the_manager_as_it_said_is_applied(roots: Path, place: str) -> None:
    host = Applied(roots)
    host.refusal = "somebody else can install nothing"
    host.folder.joinpath(place).chmod(0o700)
    os.seteuid(ALICE)
    try:
        async with watching(host) as watch:
            await host.has_said(1)
            assert "chmod o+rX" in watch.refused
            os.seteuid(0)
            host.write("mode: production\n")
            host.folder.joinpath(place).chmod(0o755)
            os.seteuid(ALICE)
            await host.has_said(2)
            assert host.said[1].endswith("has changed, and is applied")
    finally:
        os.seteuid(0)


async def test_what_somebody_else_has_applied_is_not_unapplied(host: Applied, watch: ConfigurationWatch) -> None:
    """A worker was refused, and with it the run of root's that has installed all the rest."""
    await host.is_refused()
    assert watch.unapplied() == host.refusal
    host.install()
    assert watch.unapplied() == ""
