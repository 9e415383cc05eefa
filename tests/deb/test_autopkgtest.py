"""The package's own tests (packaging/debian/tests) in a booted host, as autopkgtest runs them in a
container: as root, with a folder of their own."""

from __future__ import annotations

import pytest

from .conftest import Container, Versions
from .host import PackagedHost
from .package import ROOT

pytestmark = [pytest.mark.deb, pytest.mark.machine]

TESTS = ROOT / "packaging/debian/tests"
FOLDER = "/var/tmp/autopkgtest"


@pytest.mark.parametrize("name", sorted(path.name for path in TESTS.iterdir() if path.name != "control"))
def test_the_package_tests_itself(container: Container, versions: Versions, name: str) -> None:
    PackagedHost(container).apt_install(versions.old)
    container.run(["mkdir", FOLDER])
    container.write(f"{FOLDER}/run", (TESTS / name).read_bytes())
    container.run(["env", f"AUTOPKGTEST_TMP={FOLDER}", "sh", f"{FOLDER}/run"], timeout=120)
