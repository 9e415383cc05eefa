"""Which processes a command line means, by drop-ins on disk: workers, and further instances of one."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from tqunits.cli.context import Context
from tqunits.cli.output import Output
from tqunits.cli.selection import named
from tqunits.errors import NoSuchWorker
from tqunits.host.installed import installed, serving
from tqunits.layout import SYSTEM_LAYOUT, Layout
from tqunits.units import name
from tqunits.units.unitfile import header

CONTEXT = Context(root=None, user_mode=False, output=Output(sys.stdout, sys.stderr))


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """api with a second instance, and api-v2."""
    layout = replace(SYSTEM_LAYOUT, units=PurePosixPath(tmp_path))
    for unit in ("tq-worker@api.service", "tq-worker@api:2.service", "tq-worker@api-v2.service"):
        whose = name.instance_of(unit)
        assert whose is not None
        drop_in = Path(name.drop_in(unit, layout.units))
        drop_in.parent.mkdir()
        drop_in.write_text(
            f"{header('/x', '0')}\n[Service]\nExecStartPost=/x --serving /run/tqunits/workers/{whose}/serving\n"
            f"\n[X-Tqunits]\nWorker={whose.worker}\nSource=/x\nSourceHash=0\n"
        )
    return layout


MEANT = {
    "api": ["api", "api:2"],  # the worker is all of its processes
    "api:2": ["api:2"],
    "tq-worker@api:2.service": ["api:2"],
    "api-*": ["api-v2"],
    "api*": ["api", "api-v2", "api:2"],
}


@pytest.mark.parametrize(("text", "expected"), MEANT.items(), ids=MEANT)
def test_a_name_means_a_worker_or_one_of_its_processes(layout: Layout, text: str, expected: list[str]) -> None:
    assert [each.name for each in named([text], installed(layout), CONTEXT)] == expected


def test_what_is_not_there_is_said(layout: Layout) -> None:
    with pytest.raises(NoSuchWorker):
        named(["api:3"], installed(layout), CONTEXT)


def test_each_is_served_by_a_file_of_its_own(layout: Layout) -> None:
    files = serving(installed(layout), layout)
    assert files == {name.service(each.name): f"/run/tqunits/workers/{each.name}/serving" for each in installed(layout)}
    assert {each.ledger.worker for each in installed(layout)} == {"api", "api-v2"}
