"""A host of each Debian that has never had tqunits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hosts import BUILT, DEBS, SUITES, Host, make_versions
from machine import Machine

NEVER_HAD = ("/usr/local/bin/tqunits", "/srv/tqunits", "/etc/tqunits", "/var/lib/tqunits")
"""What a machine of the tests has ahead, for tests of the checkout."""


@pytest.fixture(scope="session")
def versions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Of each suite the folder of its packages."""
    folder = tmp_path_factory.mktemp("debs")
    return {suite: make_versions(suite, folder / suite) for suite in SUITES if (BUILT / suite).is_dir()}


@pytest.fixture(params=SUITES)
def host(request: pytest.FixtureRequest, versions: dict[str, Path]) -> Iterator[Host]:
    """Booted, and with the packages."""
    with Machine.boot(tree=BUILT / f"host-{request.param}") as machine:
        machine.run(["rm", "-rf", *NEVER_HAD])
        for package in versions[request.param].iterdir():
            machine.write(f"{DEBS}/{package.name}", package.read_bytes())
        yield Host(machine)
