"""Fixtures of the whole suite: the booted machine.

`machine` is one throw-away systemd per pytest process. It is booted for the first test that uses it
and shared by all tests; each test removes what it has started in it. `fresh_machine` boots a
machine for one test alone: for reboots, power cuts and damage. A test that uses either has the mark
`machine`; without root it fails, because a skipped test proves nothing.

A compiled module runs instead of its source. So the run stops if a source is newer than its
extension; with TQUNITS_INTERPRETED=1 (`make quick`) the sources run. A test that uses `roots` has
the mark `root`.

TQUNITS_TEST_SEED=TEXT shuffles the modules, and the tests of each module. The same text gives the
same order in all processes.
"""

import compileall
import gc
import os
import random
import shutil
import signal
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

import hypothesis
import loops
import pytest
from machine import Host, Machine, MachineError, rest
from pytest_asyncio import is_async_test

from bench.python.interpreted import interpret
from setup import ROOT
from tqunits.system import process

hypothesis.settings.register_profile("suite", deadline=None)  # the time of an example depends on the machine
hypothesis.settings.register_profile("quick", deadline=None, max_examples=10)
hypothesis.settings.load_profile("suite")

SEED = os.environ.get("TQUNITS_TEST_SEED", "")
INTERPRETED = bool(os.environ.get("TQUNITS_INTERPRETED"))
if INTERPRETED:
    interpret()

MACHINE_FIXTURES = frozenset({"machine", "fresh_machine"})
SIGNALS = (signal.SIGPIPE, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
ASKED_FOR = ("real", "long", "deb", "vm")
"""Marks of tests that run only where -m names them."""

MACHINES = pytest.StashKey[list[Host]]()
"""The machines that are running: the report of a failed test shows the end of their journals."""

nothing_is_left = loops.nothing_is_left


@pytest.fixture(scope="session")
def machines(pytestconfig: pytest.Config) -> list[Host]:
    """Whoever boots a machine enters it here for as long as it runs."""
    return pytestconfig.stash.setdefault(MACHINES, [])


@pytest.fixture(scope="session")
def machine(machines: list[Host]) -> Iterator[Machine]:
    """The machine that the tests of this process share."""
    with _boot() as booted:
        machines.append(booted)
        yield booted
        machines.remove(booted)


@pytest.fixture
def fresh_machine(machines: list[Host]) -> Iterator[Callable[[], Machine]]:
    """A function that boots a machine for one test alone."""
    with ExitStack() as stack:

        def boot() -> Machine:
            booted = stack.enter_context(_boot())
            machines.append(booted)
            stack.callback(machines.remove, booted)
            return booted

        yield boot


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """A line for the table at the end of the run."""
    return lambda text: record_property("figure", text)


@pytest.fixture
def roots() -> Iterator[Path]:
    """A folder that root owns, in folders that root owns. pytest's own folders are below /tmp,
    where everybody may write."""
    folder = Path(tempfile.mkdtemp(prefix="tqunits-test-", dir="/var/lib"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def _signals_stay() -> Iterator[None]:
    """Restore this process' signals: a changed handler, such as SIGPIPE's default, could end the
    process in a later test."""
    before = [signal.getsignal(number) for number in SIGNALS]
    yield
    assert [signal.getsignal(number) for number in SIGNALS] == before


def pytest_sessionstart(session: pytest.Session) -> None:
    if not hasattr(session.config, "workerinput"):
        # Routers may not write there, in machines as on hosts. Hundreds of routers are started.
        compileall.compile_dir(ROOT / "tqunits", quiet=1)
    if INTERPRETED or not any(ROOT.glob("tqunits/**/*.so")):
        return
    if process.run(["make", "-C", str(ROOT), "--question", ".venv/.compiled"], timeout_s=30).returncode:
        raise pytest.UsageError(
            "the sources have changed since they were compiled: 'make compiled', or 'make interpreted'"
        )


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, loops.Factory]:
    return loops.of_test(item)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and MACHINE_FIXTURES & set(item.fixturenames):
            item.add_marker(pytest.mark.machine)
        if isinstance(item, pytest.Function) and "roots" in item.fixturenames:
            item.add_marker(pytest.mark.root)
        if is_async_test(item):
            item.fixturenames.insert(0, nothing_is_left.__name__)
    _shorten(config, items)
    unasked = [mark for mark in ASKED_FOR if mark not in config.option.markexpr]
    left_out = [item for item in items if any(map(item.get_closest_marker, unasked))]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
    if SEED:
        items[:] = _shuffled(items, SEED)


def _shorten(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The cases of a test that its mark `short` does not name get the mark `long`."""
    named, found = set(), set()
    for item in items:
        mark = item.get_closest_marker("short")
        if mark and isinstance(item, pytest.Function):
            name = item.nodeid.partition("[")[0]
            named |= {f"{name}[{case}]" for case in mark.args}
            found.add(item.nodeid)
            if item.nodeid not in named:
                item.add_marker(pytest.mark.long)
    if (missing := named - found) and not any("::" in argument for argument in config.args):
        raise pytest.UsageError(f"marks `short` name cases that are not there: {', '.join(sorted(missing))}")


def pytest_collection() -> None:
    """Collecting thousands of tests leaves almost no garbage."""
    gc.disable()


def pytest_collection_finish() -> None:
    """The collected tests live until the end. So the collector of garbage need not go through all
    of them again, which takes a second."""
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_report_header() -> str | None:
    return f"order of the tests: TQUNITS_TEST_SEED={SEED}" if SEED else None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [one for each in ("passed", "failed") for one in terminalreporter.stats.get(each, [])]
    for report in reports:
        for name, text in report.user_properties:
            if name == "figure":
                terminalreporter.write_line(f"{report.outcome}: {text}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and any(map(item.get_closest_marker, ("machine", "vm"))):
        for booted in item.config.stash.get(MACHINES, []):
            report.sections.append(("journal of the machine", booted.journal_tail()))
    return report


def _shuffled(items: list[pytest.Item], seed: str) -> list[pytest.Item]:
    """The tests of a module stay together, because they share its fixtures."""
    modules: dict[Path, list[pytest.Item]] = {}
    for item in items:
        modules.setdefault(item.path, []).append(item)
    order = random.Random(seed)
    shuffled = order.sample(list(modules.values()), len(modules))
    return [item for module in shuffled for item in order.sample(module, len(module))]


def _boot() -> Machine:
    try:
        booted = Machine.boot()
    except MachineError as error:
        pytest.fail(str(error), pytrace=False)
    rest(booted)
    return booted
