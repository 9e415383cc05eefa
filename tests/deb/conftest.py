"""Hosts of both Debians on which tqunits was never installed, and the packages for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from machine import Host, Machine

from .host import PackagedHost
from .package import BUILT, built, later, mortal

SUITES = ("bookworm", "trixie")
NEVER_HAD = ("/usr/local/bin/tqunits", "/srv/tqunits", "/etc/tqunits", "/var/lib/tqunits")
"""Files that a machine of the tests has from the beginning, for tests of the checkout."""


class Container(Machine):
    """A machine that runs the package's command."""

    tqunits_path = "/usr/bin/tqunits"


@dataclass(frozen=True)
class Versions:
    """The package as it was built, and as a later release."""

    old: Path
    new: Path


@pytest.fixture(scope="module", params=SUITES)
def suite(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def versions(suite: str, tmp_path_factory: pytest.TempPathFactory) -> Versions:
    folder = tmp_path_factory.mktemp(suite)
    old = mortal(built(suite), folder)
    return Versions(old, later(old, folder))


@pytest.fixture
def container(suite: str, machines: list[Host]) -> Iterator[Container]:
    """A booted host without the package."""
    with Container.boot(tree=BUILT / f"host-{suite}") as booted:
        booted.run(["rm", "-rf", *NEVER_HAD])
        machines.append(booted)
        yield booted
        machines.remove(booted)


@pytest.fixture
def host(container: Container) -> PackagedHost:
    """The test installs the package; the host has an empty folder of workers."""
    host = PackagedHost(container)
    host.server("")
    return host
