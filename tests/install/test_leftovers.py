"""The plan also contains steps that are neither a unit file nor a job: diff shows them, install
prints them, the JSON document has them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .conftest import Site
from .test_rebuilds import built

LEFT = "/etc/systemd/system/.tqunits-0123456789abcdef.tmp"
NOTE = "/run/tqunits/limits-in-hand"
SHADOW = "/run/systemd/system.control/tq-worker@shop.service.d/50-MemoryMax.conf"


def document(site: Site, *arguments: str, status: int = 0) -> dict[str, Any]:
    done = site.machine.tqunits(*site.options, *arguments, "--json", check=False, timeout=90.0)
    assert done.returncode == status, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def steps(found: dict[str, Any]) -> list[str]:
    return [step["text"] for step in found["steps"]]


def test_what_a_run_that_was_cut_off_has_left_is_shown_and_removed(site: Site) -> None:
    site.worker("shop")
    site.install()
    site.machine.write(LEFT, "half of a file")
    site.machine.write(SHADOW, "[Service]\nMemoryMax=400M\n")
    site.machine.write(NOTE, f"{SHADOW}\n")

    shown = site.run("diff", status=2)
    assert f"# {LEFT} is removed" in shown
    assert "# runtime drop-ins of limits are removed" in shown
    assert document(site, "diff", status=2)["leftovers"] == [LEFT]
    assert site.machine.read(LEFT) == "half of a file"

    first, second, *others = steps(document(site, "install", "--now"))
    assert (first, second) == (
        f"remove {LEFT}",
        "remove runtime drop-ins of limits, which a run that was cut off has left",
    )
    assert set(others) <= {"daemon-reload"}  # systemd 257 itself reports that it has not read the drop-in
    assert not {LEFT, SHADOW, NOTE} & site.files().keys()
    assert site.run("diff") == ""
    assert "nothing to do" in site.install()


@pytest.mark.long
def test_uninstall_shows_it_too(site: Site) -> None:
    site.worker("shop")
    site.install()
    site.machine.write(LEFT, "half of a file")
    assert f"remove {LEFT}" in site.run("uninstall", "shop", "--dry-run", status=2)
    site.run("uninstall", "shop")
    assert LEFT not in site.files()


@pytest.mark.long
def test_who_was_stopped_is_expected_again(site: Site) -> None:
    site.worker("shop")
    site.install()
    site.run("stop", "shop")
    expected, *others = steps(document(site, "install", "--now"))
    assert expected == "let requests wait for shop"
    assert others == ["start tq-worker@shop.service"]
    assert site.get("/shop/health") == (200, "ok")


def test_a_build_is_the_first_step(site: Site) -> None:
    built(site)
    done = document(site, "install", "--now")
    assert done["steps"][0]["kind"] == "build"
    assert steps(done)[0].startswith("build alpha: ./make (")
    assert done["built"] == [{"worker": "alpha", "done": True}]
