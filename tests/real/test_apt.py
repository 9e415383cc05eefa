"""apt from a flat repository that the router serves as files: its paths begin with /./ ."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from control_peers import write_routes
from peers import Router
from real_programs import Figure, run, url

CONTROL = """Package: greeting
Version: 1.0
Architecture: all
Maintainer: Tester <tester@example.org>
Description: says hello
"""
DATE = "Thu, 01 Jan 2026 00:00:00 UTC"


async def lay_repository(folder: Path) -> Path:
    """A package, and the lists of a flat repository; gives the package's path."""
    inside = folder / "package"
    (inside / "DEBIAN").mkdir(parents=True)
    (inside / "DEBIAN/control").write_text(CONTROL)
    (inside / "hello").write_text("hello\n")
    folder = folder / "files"
    folder.mkdir(exist_ok=True)
    package = folder / "greeting_1.0_all.deb"
    await run(folder, "dpkg-deb", "--root-owner-group", "--build", inside, package)
    stanza = f"Filename: ./{package.name}\nSize: {package.stat().st_size}\nSHA256: {sha256(package)}\n"
    packages = folder / "Packages"
    packages.write_text(CONTROL + stanza)
    sums = f"SHA256:\n {sha256(packages)} {packages.stat().st_size} Packages\n"
    (folder / "Release").write_text(f"Suite: flat\nDate: {DATE}\n{sums}")
    return package


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def options(folder: Path, source: str) -> list[str]:
    """All files that apt reads or writes are below the folder."""
    base = folder / "apt"
    for name in ("etc/apt.conf.d", "etc/preferences.d", "etc/trusted.gpg.d", "state/lists/partial", "log"):
        (base / name).mkdir(parents=True)
    (base / "cache/archives/partial").mkdir(parents=True)
    (base / "etc/sources.list").write_text(source)
    (base / "state/status").touch()
    settings = {
        "Dir::Etc": base / "etc",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State": base / "state",
        "Dir::State::status": base / "state/status",
        "Dir::Cache": base / "cache",
        "Dir::Log": base / "log",
        "APT::Sandbox::User": "",
        "Acquire::Retries": "0",
        "Acquire::http::Proxy": "DIRECT",
    }
    return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]


@pytest.mark.parametrize("below", ["/", "/debian/"])
async def test_update_and_download_from_a_flat_repository(folder: Path, below: str, figure: Figure) -> None:
    package = await lay_repository(folder)
    files = {"directory": str(package.parent), "prefix": "/"}  # of the path as the worker receives it
    write_routes(folder, "unix:/nobody", endpoints=[], routes=[below.rstrip("/") or "/"], static=files)
    async with Router(folder, ["--listen=127.0.0.1:0", f"--routes={folder}/routes.json"]) as router:
        settings = options(folder, f"deb [trusted=yes] {url(router, below)} ./\n")
        updated = await run(folder, "apt-get", *settings, "update", "--error-on=any")
        assert "Err:" not in updated, updated
        arrived = folder / "arrived"
        arrived.mkdir()
        await run(folder, "apt-get", *settings, "download", "greeting", directory=arrived)
    assert [path.name for path in arrived.iterdir()] == [package.name]
    assert (arrived / package.name).read_bytes() == package.read_bytes()
    figure(f"apt from a flat repository below {below}: update and download, the package is the same")
