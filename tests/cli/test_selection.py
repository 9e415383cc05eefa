"""Which processes the arguments of a command line select, by drop-ins on disk: workers, and further
instances of one."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from tqunits.cli.context import Context
from tqunits.cli.output import Output
from tqunits.cli.selection import named, parted, refuse_single, workers_meant
from tqunits.errors import NoSuchWorker, UsageError
from tqunits.host.installed import installed, serving
from tqunits.layout import SYSTEM_LAYOUT, Layout
from tqunits.model import Instance
from tqunits.units import name
from tqunits.units.unitfile import header

CONTEXT = Context(root=None, user_mode=False, output=Output(sys.stdout, sys.stderr))


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """The worker api with two further instances, and the worker api-v2."""
    layout = replace(SYSTEM_LAYOUT, units=PurePosixPath(tmp_path))
    for called in ("api", "api:2", "api:10", "api-v2"):
        unit = name.service(called)
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
    "api": ["api", "api:2", "api:10"],  # the name of a worker selects all of its processes
    "api:2": ["api:2"],
    "tq-worker@api:2.service": ["api:2"],
    "tq-worker@api.service": ["api"],  # the name of a unit selects one process
    "tq-worker@api": ["api", "api:2", "api:10"],
    "api-*": ["api-v2"],
    "api*": ["api", "api:2", "api:10", "api-v2"],
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


FIRST, SECOND, OTHER = Instance("api"), Instance("api", 2), Instance("api-v2")
PARTED = {
    "all of a worker is the worker": ([FIRST, SECOND], (("api",), ())),
    "a worker with one instance is that": ([OTHER], (("api-v2",), ())),
    "one of several is meant alone": ([SECOND, OTHER], (("api-v2",), (SECOND,))),
    "the first of several too": ([FIRST], ((), (FIRST,))),
    "nobody": ([], ((), ())),
}


@pytest.mark.parametrize(("meant", "expected"), PARTED.values(), ids=PARTED)
def test_a_worker_is_meant_as_a_whole_or_by_single_instances(
    meant: list[Instance], expected: tuple[tuple[str, ...], tuple[Instance, ...]]
) -> None:
    assert parted(meant, [FIRST, SECOND, OTHER]) == expected


def test_what_is_of_a_worker_alone_is_refused_of_one_instance() -> None:
    refuse_single(())
    with pytest.raises(UsageError, match=r"tq-worker@api:2\.service is one of several instances of api"):
        refuse_single((SECOND,))


@pytest.mark.parametrize("text", ["api:2", "tq-worker@api:2.service", "run-tqunits-workers-api:2.mount"])
def test_where_a_worker_is_meant_an_instance_is_refused_by_any_name(text: str) -> None:
    with pytest.raises(UsageError, match=r"tq-worker@api:2\.service is one of several") as raised:
        workers_meant(["web", text])
    assert raised.value.hint == "say it of the worker: api"


def test_where_a_worker_is_meant_its_unit_is_as_good_as_its_name() -> None:
    assert workers_meant(["tq-worker@api.service", "web", "No worker!"]) == ("api", "web", "No worker!")
