"""Builds: their account, their unit, their limits, and what is left of a build that is stopped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from machine import Machine

from .conftest import ROOT, Site
from .test_journal import BURST, MODULATION

ALPHA = f"{ROOT}/workers/alpha"
WORKSPACE = "/var/lib/tqunits/builds/alpha"
COPY = "/var/lib/tqunits/copies/alpha"
CACHE = "/var/cache/tqunits/builds/alpha"
UNIT = "tq-build@alpha.service"
RUN = r"mkdir -p bin; printf '#!/bin/sh\nexec python3 src/main.py\n' > bin/run; chmod 755 bin/run"
MOUNTS_AS_WORDS = 255  # from this version on systemd hands a unit's mounts to another process
PROBE = (Path(__file__).parent / "build_probe.py").read_text(encoding="utf-8")


def building(site: Site, *lines: str, build: str = "[./make]") -> None:
    """A worker `alpha` whose build runs these lines of shell."""
    site.worker("alpha")
    site.machine.write(f"{ALPHA}/make", "\n".join(["#!/bin/sh", *lines, ""]), 0o755)
    site.yaml("alpha", f"path: /alpha\ntype: exec\nbuild: {build}\ncommand: [bin/run]\n")


def left(machine: Machine) -> set[str]:
    """The files and accounts on the host for builds of alpha."""
    places = (WORKSPACE, COPY, CACHE, f"{ALPHA}/bin", "/var/lib/private/tqunits", "/var/cache/private/tqunits")
    return {place for place in places if machine.exists(place)}


def state(site: Site) -> str:
    return site.machine.show(UNIT, "ActiveState")


def test_a_build_has_an_account_that_can_do_nothing_else(site: Site) -> None:
    building(site, "id -un > who", RUN)
    site.install()
    assert site.machine.read(f"{ALPHA}/who") == "build-alpha\n"
    account = site.machine.run(["getent", "passwd", "build-alpha"]).stdout.strip().split(":")
    assert account[4:] == ["tqunits build of alpha", "/nonexistent", "/usr/sbin/nologin"]
    assert "build-alpha" in site.machine.read("/etc/sysusers.d/tqunits-workers.conf")
    site.worker("beta")
    site.install()
    assert "build-beta" not in site.users()


@pytest.mark.long
def test_an_account_goes_with_what_was_built(site: Site) -> None:
    building(site, RUN)
    site.worker("beta")
    site.install()
    site.run("uninstall", "alpha")
    assert "build-alpha" in site.users()
    assert "build-alpha" not in site.machine.read("/etc/sysusers.d/tqunits-workers.conf")
    assert not site.machine.exists(f"/etc/systemd/system/{UNIT}.d")
    site.machine.remove(f"{ALPHA}/bin")
    site.install()
    site.run("uninstall", "alpha", "--purge")
    assert "build-alpha" not in site.users()
    assert left(site.machine) == {f"{ALPHA}/bin"}


def test_an_account_that_is_not_ours_is_no_builds(site: Site) -> None:
    site.machine.run(["useradd", "--system", "--home-dir", "/nonexistent", "build-alpha"])
    try:
        building(site, RUN)
        said = site.install(status=1)
        assert "there is a user build-alpha, which tqunits has not made for builds" in said
        assert not site.machine.exists(f"{ALPHA}/bin")
        site.run("uninstall", "--all", "--purge", "--yes")
        assert "build-alpha" in site.users()
    finally:
        site.machine.run(["userdel", "build-alpha"])


@pytest.mark.long
def test_a_worker_that_is_built_no_more_has_no_unit_for_it(site: Site) -> None:
    building(site, RUN)
    site.install()
    assert site.machine.exists(f"/etc/systemd/system/{UNIT}.d/10-tqunits.conf")
    site.yaml("alpha", "path: /alpha\ntype: exec\nbuild: []\ncommand: [bin/run]\n")
    site.install()
    assert not site.machine.exists(f"/etc/systemd/system/{UNIT}.d")
    assert "nothing to do" in site.install()


def placed(site: Site, above: str) -> None:
    """A worker `alpha` with a build, in this folder."""
    folder = f"{above}/alpha"
    site.server(f"mode: production\nworkers: {{directory: {json.dumps(above, ensure_ascii=False)}}}\n")
    site.worker("alpha")
    site.machine.run(["mkdir", "-p", above])
    site.machine.run(["mv", ALPHA, folder])
    site.machine.write(f"{folder}/make", f"#!/bin/sh\n{RUN}\n", 0o755)
    site.machine.write(
        f"{folder}/config/worker.yaml", "path: /alpha\ntype: exec\nbuild: [./make, a b]\ncommand: [bin/run]\n"
    )


HOME = "/home/eve"
"""The home of no user."""

NAMES = {
    "blank and colon": "a site: mine",
    "percent": "100% of %n %%",
    "dollar": "$HOME ${HOME} $$",
    "backslash": "back\\slash\\",
    "unicode": "ß漢🙂",
}
QUOTED = """it's "mine" 50% $HOME \\n: ß """


@pytest.mark.short("blank and colon-/home/eve")
@pytest.mark.parametrize("above", ["/srv", HOME])
@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_folder_may_have_any_name(site: Site, above: str, name: str) -> None:
    placed(site, f"{above}/{name}")
    try:
        site.install()
        assert site.get("/alpha/health") == (200, "ok")
        assert "nothing to do" in site.install()
    finally:
        site.machine.remove(f"{above}/{name}")
        site.machine.remove(HOME)


def test_a_folder_may_have_quotes(site: Site) -> None:
    placed(site, f"/srv/{QUOTED}")
    try:
        site.install()
        assert site.get("/alpha/health") == (200, "ok")
    finally:
        site.machine.remove(f"/srv/{QUOTED}")


def test_quotes_in_a_home_are_refused_where_systemd_can_not_mount_such_a_folder(site: Site) -> None:
    """And it does not keep the other workers from being installed."""
    placed(site, "/home/ada's")
    site.machine.run(["cp", "-r", "/home/ada's/alpha", "/home/ada's/beta"])
    site.machine.write("/home/ada's/beta/config/worker.yaml", "path: /beta\ntype: static\nstatic: {directory: src}\n")
    try:
        if systemd(site.machine) < MOUNTS_AS_WORDS:
            site.install()
            assert site.get("/alpha/health") == (200, "ok")
        else:
            said = site.install(status=1)
            assert "can not mount a path with a quote" in said
            assert "rename that file or folder, or have it outside of homes" in said
            assert "can not mount a path with a quote" in site.run("check", status=1)
    finally:
        site.machine.remove("/home/ada's")


def systemd(machine: Machine) -> int:
    return int(machine.systemctl("--version").split()[1])


def probed(site: Site) -> dict[str, object]:
    site.worker("alpha")
    site.machine.write(f"{ALPHA}/probe", PROBE, 0o755)
    site.machine.write(f"{ALPHA}/make", f"#!/bin/sh\n{RUN}\n./probe\n", 0o755)
    build = "{command: [./make], environment: {GREETING: 'a \"b\" $HOME 100%'}}"
    site.yaml("alpha", f"path: /alpha\ntype: exec\nbuild: {build}\ncommand: [bin/run]\n")
    site.install()
    answers: dict[str, object] = json.loads(site.machine.read(f"{ALPHA}/probe.json"))
    return answers


def test_what_a_build_may_not_do(site: Site) -> None:
    answers = probed(site)
    denied = ("io_uring", "user namespace", "network namespace", "raw")
    assert {what: answers[what] for what in denied} == dict.fromkeys(denied, "EPERM")
    assert answers["unix"] == "EAFNOSUPPORT"
    assert answers["netlink"] == "done"
    assert answers["preallocate"] == "ENOTSUP"
    assert answers["greeting"] == 'a "b" $HOME 100%'


def test_a_build_fills_nothing_that_others_need(site: Site) -> None:
    answers = probed(site)
    assert answers["/run/lock"] == "EROFS"  # a folder in which everybody may write
    rooms = [answers[f"room in {place}"] for place in ("/tmp", "/var/tmp", "/dev/shm")]
    assert rooms == [[64 << 20, 8192]] * 3


def test_a_build_sees_no_secret_and_goes_on_without(site: Site) -> None:
    building(site, RUN, "find . > bin/seen")
    site.machine.write(f"{ALPHA}/.env", "TOKEN=secret\n", 0o600)
    site.machine.write(f"{ALPHA}/keys/token", "secret", 0o600)
    site.machine.run(["chmod", "700", f"{ALPHA}/keys"])
    site.install()
    seen = site.machine.read(f"{ALPHA}/bin/seen").split()
    assert {"./make", "./src/main.py"} <= set(seen)
    assert not {"./.env", "./keys/token"} & set(seen)
    assert ".env is left out: Permission denied" in site.machine.journal(UNIT)


def test_a_build_that_takes_too_much_of_the_disk_is_ended(site: Site) -> None:
    fill = "for n in $(seq 40); do head -c 1M /dev/zero > filler$n; done"
    building(site, RUN, fill, "exec sleep infinity", build="{command: [./make], disk_max: 16M}")
    site.worker("beta")
    said = site.install(status=1)
    assert "skipped alpha: its build was ended: it made more than 16M, which is its build.disk_max" in said
    assert site.get("/beta/health") == (200, "ok")
    assert left(site.machine) == set()
    assert state(site) == "inactive"


def test_what_a_build_keeps_for_the_next_counts_as_well(site: Site) -> None:
    fill = 'head -c 20M /dev/urandom > "$XDG_CACHE_HOME/filler" || head -c 9M /dev/zero > "$XDG_CACHE_HOME/more"'
    building(site, RUN, f"({fill})", "exec sleep infinity", build="{command: [./make], disk_max: 16M}")
    said = site.install(status=1)
    assert "more than 16M" in said
    assert left(site.machine) == set()


def test_one_file_is_no_larger_than_the_bound(site: Site) -> None:
    building(site, RUN, "exec head -c 20M /dev/zero > filler", build="{command: [./make], disk_max: 16M}")
    said = site.install(status=1)
    assert "skipped alpha: its build made a file larger than its build.disk_max" in said
    assert left(site.machine) <= {CACHE}


def test_a_build_that_does_not_end_is_waited_for_as_long_as_asked(site: Site) -> None:
    building(site, RUN, "exec sleep infinity")
    said = site.install("--timeout", "2s", status=1)
    assert "skipped alpha: its build is not done after 2s" in said
    assert state(site) == "inactive"
    assert left(site.machine) <= {CACHE}


def test_an_install_that_was_killed_leaves_nothing_to_the_next(site: Site) -> None:
    building(site, RUN, "exec sleep infinity")
    install = site.machine.start(["tqunits", "-C", ROOT, "install", "--now"])
    site.machine.wait_until(lambda: state(site) == "activating")
    site.machine.run(["kill", "-KILL", site.machine.read("/run/tqunits/install.lock").strip()])
    install.wait()
    assert state(site) == "activating"
    building(site, RUN)
    site.install()
    assert site.get("/alpha/health") == (200, "ok")
    assert "nothing to do" in site.install()
    assert left(site.machine) <= {CACHE, f"{ALPHA}/bin"}


def test_what_a_build_says_does_not_evict_what_others_said(site: Site) -> None:
    """A separate worker: what it logs in the next half minute is dropped as well. journald takes
    the unit's limit when it hears of a process that is still there (ARCHITECTURE.md, Known
    limits)."""
    unit, heard = "tq-build@loud.service", f"{ROOT}/heard"
    make = f"#!/bin/sh\necho here >&2\nuntil [ -e {heard} ]; do :; done\nseq 100000 >&2\nexit 3\n"
    site.machine.write(f"{ROOT}/workers/loud/make", make, 0o755)
    site.yaml("loud", "path: /loud\ntype: exec\nbuild: [./make]\ncommand: [bin/run]\n")
    with site.machine.start([site.machine.tqunits_path, *site.options, "install", "--now"]) as install:
        site.machine.wait_for_log(unit, "here")
        site.machine.write(heard, "")
        _, complaint = install.communicate()
    assert "its build exited with status 3" in complaint
    said = site.machine.journal(unit)
    assert BURST <= len(said.splitlines()) <= BURST * MODULATION + 10  # more if the disk has much room


def test_what_builds_of_the_release_before_left_goes(site: Site) -> None:
    for kind in ("lib", "cache"):
        site.machine.write(f"/var/{kind}/private/tqunits/builds/alpha/old", "old")
        site.machine.run(["mkdir", "-p", f"/var/{kind}/tqunits/builds"])
        for name in ("alpha", "gone"):
            site.machine.run(
                ["ln", "-sfn", f"../../private/tqunits/builds/{name}", f"/var/{kind}/tqunits/builds/{name}"]
            )
    building(site, "find . > bin-seen", RUN)
    site.install()
    assert "old" not in site.machine.read(f"{ALPHA}/bin-seen")
    assert left(site.machine) == {CACHE, f"{ALPHA}/bin"}
    assert not site.machine.run(["find", "/var/lib/tqunits/builds", "/var/cache/tqunits/builds", "-type", "l"]).stdout


def test_a_missing_build_is_said(site: Site) -> None:
    building(site, RUN, build="[./no-such-program]")
    said = site.install(status=1)
    assert "its build exited with status 203" in said
    assert "./no-such-program can not be executed: No such file or directory" in said


def test_a_unit_without_its_part_does_not_start(site: Site) -> None:
    building(site, RUN)
    site.install()
    done = site.machine.run(["systemctl", "start", "tq-build@root.service"], check=False)
    assert done.returncode != 0
    assert "Assertion failed" in done.stderr
