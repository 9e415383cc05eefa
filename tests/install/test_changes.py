"""Changes on disk take effect by themselves, on a booted systemd: each is one roll, what is no
change is none, and no request fails."""

from __future__ import annotations

import pytest

from .changing import MAIN, NOTHING, SAVES, TREES, await_watch, change, mark, unsuperseded, until
from .conftest import Site
from .hammering import RESTART, RUDE, check, hammered
from .test_backoff import wait
from .test_development import answers

VERSION = f"{RUDE}\n# version 1\n"


@pytest.fixture
def developing(developing: Site) -> Site:
    """With the worker alpha."""
    developing.worker("alpha", RESTART, program=VERSION)
    return developing


@pytest.mark.short("sed -i", "JetBrains", "the folder is made anew")
@pytest.mark.parametrize("way", SAVES)
def test_a_save_is_one_roll(developing: Site, way: str) -> None:
    site = developing
    site.install()
    await_watch(site)
    change(site, SAVES[way])
    found = until(site, 1)
    assert "version 2" in site.machine.read(MAIN)
    marked = mark(site, "1")
    assert [each["outcome"] for each in marked] == ["done", "done"]
    assert found[0]["actor"] == "tqunits"


@pytest.mark.short("git checkout", "rsync -a")
@pytest.mark.parametrize("way", TREES)
def test_many_files_are_one_roll(developing: Site, way: str) -> None:
    site, (before, now) = developing, TREES[way]
    change(site, before)
    site.install()
    await_watch(site)
    change(site, now)
    (found,) = until(site, 1)
    assert "201 files have changed" in found["message"]
    assert len(mark(site, "1")) == 2


def test_what_is_no_change_is_no_roll(developing: Site) -> None:
    site = developing
    site.install()
    await_watch(site)
    for line in NOTHING.values():
        change(site, line)
    (only,) = mark(site, "1")
    assert only["message"] == "mark.txt is new"


def answer_with(letter: str) -> str:
    """The shell line that fills the worker's answers with this letter."""
    return f"""sed -i 's/^FILL = .*/FILL = b"{letter}" * 20000/' src/main.py"""


@pytest.mark.timeout(900)  # 50 edits on a busy host
@pytest.mark.short("2")
@pytest.mark.parametrize("edits", [2, 50], ids=str)
def test_edits_under_load_lose_nothing(developing: Site, edits: int) -> None:
    site = developing
    site.install()
    await_watch(site)
    with hammered(site, 64) as report:
        for number in range(edits):
            change(site, answer_with("abcdefghij"[number % 10]))
            until(site, number + 1)
    check(site, report)
    assert answers(site) == "abcdefghij"[(edits - 1) % 10]
    marked = mark(site, "1")
    assert marked[0]["number"] == edits + 1
    assert {each["outcome"] for each in marked} == {"done"}


def test_edits_in_a_burst_are_two_deploys_at_most(developing: Site) -> None:
    site = developing
    site.install()
    await_watch(site)
    with hammered(site, 64) as report:
        change(site, "; ".join(answer_with(letter) for letter in "abcde"))
        wait(site, lambda: answers(site) == "e")
        marked = mark(site, "1")
    check(site, report)
    assert answers(site) == "e"
    assert {each["outcome"] for each in unsuperseded(marked)} == {"done"}
    assert 2 <= len(unsuperseded(marked)) <= 3, "with the mark's"
