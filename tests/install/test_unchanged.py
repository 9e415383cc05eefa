"""`install --unchanged`, which an upgrade of the package runs, and `uninstall --keep-ledger`, which
its removal runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from machine import Machine

from .conftest import Site

pytestmark = pytest.mark.machine

TEMPLATES = "/etc/tqunits/unit-templates"
UPGRADED = f"{TEMPLATES}/tq-worker@.service.j2"
SHIPPED = "/opt/tqunits/unit-templates/tq-worker@.service.j2"
LOCK = "/run/tqunits/install.lock"
PIPE = -1  # subprocess.PIPE


@pytest.fixture(autouse=True)
def no_templates_stay(machine: Machine) -> Iterator[None]:
    yield
    machine.remove(TEMPLATES)


def pid(site: Site, name: str) -> str:
    return site.machine.show(f"tq-worker@{name}.service", "MainPID")


def upgrade(site: Site) -> None:
    """Other unit templates, as of another release."""
    site.machine.write(UPGRADED, site.machine.read(SHIPPED).replace("Description=Worker", "Description=New worker"))


def test_what_is_installed_and_not_edited_is_rendered_anew_and_no_worker_is_touched(site: Site) -> None:
    for name in "same", "edited", "disabled", "stopped":
        site.worker(name)
    site.install()
    site.machine.systemctl("disable", "tq-worker@disabled.service")
    site.machine.systemctl("stop", "tq-worker@stopped.service")
    before = {name: pid(site, name) for name in ("same", "edited", "disabled")}
    edited = site.machine.read(site.drop_in("edited"))
    upgrade(site)
    site.worker("edited", "limits: {memory_max: 99M}\n")
    site.worker("new")
    said = site.install("--unchanged")
    assert "edited stays as it is installed" in said
    assert "tq-worker@same.service still runs as it was" in said
    assert {name: pid(site, name) for name in before} == before
    assert "Description=New worker" in site.machine.read("/etc/systemd/system/tq-worker@.service")
    assert site.machine.read(site.drop_in("edited")) == edited
    assert not site.machine.exists(site.drop_in("new"))
    assert site.machine.show("tq-worker@disabled.service", "UnitFileState") == "disabled"
    assert site.machine.show("tq-worker@stopped.service", "ActiveState") == "inactive"
    again = site.install("--unchanged")
    assert "update" not in again
    assert "tq-worker@same.service still runs as it was" in again  # reported as long as it is true


def test_an_edited_tqunits_yaml_changes_nothing(site: Site) -> None:
    site.worker("api")
    site.install()
    before = site.files()
    upgrade(site)
    site.server("proxy: {processes: 2}\n")
    said = site.install("--unchanged", status=1)
    assert said.startswith(f"tqunits: {site.configuration}:1:1: it is not as it was installed")
    after = {path: digest for path, digest in site.files().items() if path != UPGRADED}
    assert after == before


def test_other_comments_in_tqunits_yaml_are_no_edit(site: Site) -> None:
    """The package brings that file, and dpkg puts the one of the new release in its place."""
    site.worker("api")
    site.install()
    upgrade(site)
    site.server("# This is another release's.\nmode: production # as before\n")
    site.install("--unchanged")
    assert "Description=New worker" in site.machine.read("/etc/systemd/system/tq-worker@.service")


def test_a_first_installation_installs_no_worker(site: Site) -> None:
    site.worker("api")
    site.install("--unchanged")
    assert not site.machine.exists(site.drop_in("api"))
    status, body = site.get("/api")
    assert (status, "no worker is installed yet" in body) == (404, True)


def test_what_is_removed_with_its_ledger_kept_comes_back_as_it_was(site: Site) -> None:
    for name in "api", "off":
        site.worker(name, "enabled: false\n" if name == "off" else "")
    site.install()
    before = site.machine.read(site.drop_in("api"))
    site.run("uninstall", "--all", "--keep-ledger")
    assert not site.machine.exists(site.drop_in("api"))
    assert site.units() == []
    said = site.install("--unchanged")
    assert f"put back {site.drop_in('api')}" in said
    assert site.machine.read(site.drop_in("api")) == before
    site.machine.wait_until(lambda: site.get("/api/health")[0] == 200)
    assert site.machine.show("tq-worker@api.service", "UnitFileState") == "enabled"
    assert site.machine.show("tq-worker@off.service", "ActiveState") == "inactive"


@pytest.mark.parametrize(
    "words", [("install", "--unchanged"), ("uninstall", "--all", "--keep-ledger")], ids=["install", "uninstall"]
)
def test_dpkg_waits_for_another_tqunits(site: Site, words: tuple[str, ...]) -> None:
    site.worker("api")
    site.install()
    upgrade(site)
    run = [site.machine.tqunits_path, *site.options, *words]
    with site.machine.start(["flock", LOCK, "sh", "-c", "echo held; cat"], stdin=PIPE) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        waiting = site.machine.start(run)
        assert waiting.stderr is not None
        assert "another tqunits is at work" in waiting.stderr.readline()
        holder.stdin.close()
    said, errors = waiting.communicate(timeout=60)
    assert waiting.returncode == 0, said + errors
    assert site.machine.exists(site.drop_in("api")) == ("--unchanged" in words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("install", "--unchanged", "api"), "--unchanged is about all that is installed"),
        (("install", "--unchanged", "--prune"), "--unchanged is about all that is installed"),
        (("uninstall", "api", "--keep-ledger"), "--keep-ledger is about --all"),
        (("uninstall", "--all", "--purge", "--keep-ledger"), "--keep-ledger is about --all"),
    ],
)
def test_what_does_not_go_together_is_a_mistake_of_usage(site: Site, words: tuple[str, ...], said: str) -> None:
    assert said in site.run(*words, status=2)
