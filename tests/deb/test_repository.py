"""The apt repository, used as docs/repository.md describes: it is signed, and refused if it was
changed after signing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from machine import Host

from tqunits import __version__

from . import package
from .conftest import Container
from .host import APT_GET, APT_SECONDS
from .package import ROOT, built, version_of

pytestmark = [pytest.mark.deb, pytest.mark.machine]

SERVED = "/srv/apt"
KEYRING = "/etc/apt/keyrings/tqunits.asc"


def serve(host: Host, folder: Path) -> None:
    host.remove(SERVED)
    for path in folder.rglob("*"):
        if path.is_file():
            host.write(f"{SERVED}/{path.relative_to(folder)}", path.read_bytes())


def documented_source(suite: str) -> str:
    """The lines of the page, for this Debian and this folder."""
    page = (ROOT / "docs/repository.md").read_text(encoding="utf-8")
    found = re.search(r"<<END\n(.*?)END\n", page, re.DOTALL)
    assert found
    return found[1].replace("https://apt.example.org", f"file:{SERVED}").replace("bookworm", suite)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    folder = tmp_path_factory.mktemp("apt") / "repository"
    assert "Making a key" in package.repository(folder, home)
    assert "Making a key" not in package.repository(folder, home)
    assert not list(folder.rglob("*private*"))
    return folder


def test_a_host_installs_from_it(container: Container, suite: str, repository: Path) -> None:
    serve(container, repository)
    container.run(["rm", "-rf", "/etc/apt/sources.list", "/etc/apt/sources.list.d"])  # there is no network
    container.write(KEYRING, (repository / "tqunits.asc").read_bytes())
    container.write("/etc/apt/sources.list.d/tqunits.sources", documented_source(suite))
    update = [*APT_GET, "-o", "APT::Update::Error-Mode=any", "update"]
    container.run(update, timeout=APT_SECONDS)
    container.run([*APT_GET, "install", "tqunits"], timeout=APT_SECONDS)
    assert container.tqunits("--version").stdout == f"tqunits {__version__}\n"
    offered = container.run(["apt-cache", "policy", "tqunits"]).stdout
    assert f"*** {version_of(built(suite))} " in offered
    index = f"{SERVED}/dists/{suite}/InRelease"
    container.write(index, container.read(index).replace("Origin: tqunits", "Origin: tqUnits"))
    refused = container.run(update, timeout=APT_SECONDS, check=False, merge=True)
    assert refused.returncode != 0
    assert "BADSIG" in refused.stdout or "not signed" in refused.stdout or "signature" in refused.stdout
