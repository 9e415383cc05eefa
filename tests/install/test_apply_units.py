"""tq-apply.service and tq-apply@NAME.service on a booted systemd: they do what `tqunits apply`
does, say where a file is wrong, take nothing but a worker's name, and write only where an install
writes."""

from __future__ import annotations

from .conftest import ROOT, Site

ALL = "tq-apply.service"
PIPE = -1  # subprocess.PIPE
LOCK = "/run/tqunits/install.lock"
PROBED = (
    *("/etc/systemd/system", "/etc/sysusers.d", "/etc/polkit-1/rules.d", "/var/lib/tqunits", "/var/cache/tqunits"),
    *("/var/log/tqunits", "/run/tqunits", "/run/systemd/system.control", f"{ROOT}/workers"),
)
CLOSED = (
    *("/", "/usr", "/usr/local/bin", "/boot", "/root", "/home", "/srv", ROOT, "/opt", "/tmp", "/var/tmp", "/var/lib"),
    *("/var/log", "/run", "/run/systemd/system", "/etc/tqunits", "/etc/ssl", "/etc/apt", "/etc/pam.d"),
    *("/etc/security", "/sys/fs/cgroup", "/proc/sys/kernel", "/sys/kernel"),
)
BUILD = r"mkdir -p bin; printf '#!/bin/sh\nexec python3 src/main.py\n' > bin/run; chmod 755 bin/run"


def one(name: str) -> str:
    return f"tq-apply@{name}.service"


def applies(host: Site, unit: str) -> tuple[bool, str]:
    """Start the unit: whether that succeeded, and what the journal has of it."""
    since = host.machine.cursor()
    done = host.machine.run(["systemctl", "start", "--", unit], check=False, timeout=100)
    host.machine.run(["journalctl", "--sync"])
    return done.returncode == 0, host.machine.journal(unit, since)


def pid(host: Site, name: str) -> str:
    return host.machine.show(f"tq-worker@{name}.service", "MainPID")


def test_one_worker_is_applied_and_no_other(host: Site) -> None:
    host.worker("alpha")
    host.worker("beta")
    host.install()
    before = pid(host, "alpha"), pid(host, "beta")
    host.worker("alpha", "environment: {COLOUR: red}\n")
    host.worker("beta", "environment: {COLOUR: red}\n")
    host.worker("gamma")
    succeeded, said = applies(host, one("alpha"))
    assert succeeded, said
    assert "restart tq-worker@alpha.service" in said
    assert "beta" not in said
    assert host.get("/alpha/environment")[1]["COLOUR"] == "red"
    assert pid(host, "alpha") != before[0]
    assert pid(host, "beta") == before[1]
    assert "gamma" not in host.machine.read("/etc/passwd")
    again, said = applies(host, one("alpha"))
    assert again
    assert "nothing to do: everything is as configured" in said


def test_all_workers_are_applied(host: Site) -> None:
    """A new worker with a new account, a build, a folder that it may write, a limit of a running
    process, and a worker that is gone: all that the sandbox has to let through."""
    host.worker("alpha", "limits: {limit_nofile: 2000}\n")
    host.worker("beta")
    host.install()
    before = pid(host, "alpha")
    host.worker("alpha", "limits: {limit_nofile: 1000, memory_max: 300M}\n")
    host.remove_worker("beta")
    host.worker("gamma", "writable: [data]\n")
    host.worker("delta")
    host.machine.write(f"{ROOT}/workers/delta/make", f"#!/bin/sh\n{BUILD}\n", 0o755)
    host.yaml("delta", "path: /delta\ntype: exec\nbuild: [./make]\ncommand: [bin/run]\n")
    succeeded, said = applies(host, ALL)
    assert succeeded, said
    assert {host.get(f"/{name}/environment")[0] for name in ("alpha", "gamma", "delta")} == {200}
    assert pid(host, "alpha") == before, "limits alone restart nobody"
    assert "Max open files            1000" in host.machine.read(f"/proc/{before}/limits")
    assert host.machine.show("tq-worker@alpha.service", "MemoryMax") == str(300 << 20)
    assert host.machine.run(["stat", "--format=%U", f"{ROOT}/workers/gamma/data"]).stdout == "worker-gamma\n"
    assert host.machine.run(["stat", "--format=%U %a", f"{ROOT}/workers/delta/bin/run"]).stdout == "root 755\n"
    modes = host.machine.run(["stat", "--format=%a", host.drop_in("gamma"), host.drop_in("gamma").rpartition("/")[0]])
    assert modes.stdout.split() == ["644", "755"]
    assert not host.machine.exists(host.drop_in("beta"))
    assert "nothing to do" in host.run("apply"), "the command finds nothing that the unit has left"
    again, said = applies(host, ALL)
    assert again
    assert "nothing to do: everything is as configured" in said


def test_a_file_that_is_wrong_is_named_with_its_place_and_changes_nothing(host: Site) -> None:
    host.worker("alpha")
    host.worker("beta")
    host.install()
    before, pids = host.files(), (pid(host, "alpha"), pid(host, "beta"))
    host.worker("alpha", "restart:\n  delay: soon\n")
    for unit in (one("alpha"), ALL):
        succeeded, said = applies(host, unit)
        assert not succeeded
        assert f"{ROOT}/workers/alpha/config/worker.yaml:5:10" in said, said
        assert host.machine.show(unit, "Result") == "exit-code"
        assert host.machine.show(unit, "ExecMainStatus") == "1"
    host.worker("alpha")
    host.server("mode: production\nlisten: [nonsense]\n")
    succeeded, said = applies(host, ALL)
    assert not succeeded
    assert "/etc/tqunits/tqunits.yaml:3:10: error: listen: 'nonsense'" in said
    host.server("mode: production\n")
    assert host.files() == before
    assert (pid(host, "alpha"), pid(host, "beta")) == pids


def test_an_instance_that_is_no_installed_worker_changes_nothing(host: Site) -> None:
    host.worker("alpha")
    host.install()
    host.worker("beta")
    before = host.files()
    for name in ("beta", "x", "--remove-all", "alpha:3", "alpha.", r"..\x2fetc", r"alpha\x20--replace", "ALPHA"):
        succeeded, said = applies(host, one(name))
        assert not succeeded, name
        assert f"Assertion failed for {one(name)} - Web workers: apply the installed worker" in said, said
    succeeded, said = applies(host, one("alpha:2"))  # its surge is there
    assert not succeeded
    assert "say it of the worker: alpha" in said
    assert host.files() == before


def test_it_waits_for_another_tqunits_and_then_reads_all_files_again(host: Site) -> None:
    host.worker("alpha")
    host.install()
    since = host.machine.cursor()
    holder = host.machine.start(["flock", LOCK, "cat"], stdin=PIPE)
    host.machine.wait_until(lambda: host.machine.run(["flock", "-n", LOCK, "true"], check=False).returncode == 1)
    host.machine.systemctl("start", "--no-block", ALL, one("alpha"))
    both = (ALL, one("alpha"))
    waiting = "another tqunits is at work"
    host.machine.wait_until(lambda: all(waiting in host.machine.journal(unit, since) for unit in both))
    host.worker("alpha", "environment: {COLOUR: red}\n")
    assert holder.stdin is not None
    with holder:
        holder.stdin.close()
    host.machine.wait_until(lambda: all(host.machine.show(unit, "ActiveState") == "inactive" for unit in both))
    assert [host.machine.show(unit, "Result") for unit in both] == ["success", "success"]
    assert host.get("/alpha/environment")[1]["COLOUR"] == "red"
    said = "".join(host.machine.journal(unit, since) for unit in both)
    assert said.count("restart tq-worker@alpha.service") == 1
    assert said.count("nothing to do") == 1


def test_it_writes_only_where_an_install_writes(host: Site) -> None:
    """A probe runs in the unit's own sandbox, in place of its program."""
    host.worker("alpha")
    host.install()
    host.machine.write(
        "/usr/local/bin/tq-probe",
        "#!/bin/sh\nfor at; do touch $at/tq-probe 2>/dev/null && rm $at/tq-probe && echo open $at; done\n"
        'grep -E "^(CapBnd|NoNewPrivs|Seccomp):" /proc/self/status\n'
        "mknod /run/tqunits/disk b 8 0 2>/dev/null && echo made a device\n"
        "mount -t tmpfs none /mnt 2>/dev/null && echo mounted\n"
        "true\n",
        0o755,
    )
    drop_in = f"/run/systemd/system/{ALL}.d/90-probe.conf"
    host.machine.write(
        drop_in, f"[Service]\nExecStart=\nExecStart=/bin/sh /usr/local/bin/tq-probe {' '.join((*PROBED, *CLOSED))}\n"
    )
    host.machine.systemctl("daemon-reload")
    try:
        succeeded, said = applies(host, ALL)
        assert succeeded, said
        opened = [line.removeprefix("open ") for line in said.splitlines() if line.startswith("open ")]
        assert opened == list(PROBED)
        assert "NoNewPrivs:\t1" in said
        assert "Seccomp:\t2" in said
        for more in ("made a device", "mounted"):
            assert more not in said
    finally:
        host.machine.remove(drop_in.rpartition("/")[0])
        host.machine.remove("/usr/local/bin/tq-probe")
        host.machine.systemctl("daemon-reload")
    host.machine.run(["systemd-analyze", "security", "--threshold=32", ALL, one("alpha")])


def test_the_units_come_before_the_rule_and_go_after_it(host: Site) -> None:
    rule = "/etc/polkit-1/rules.d/50-tqunits.rules"
    units = [f"/etc/systemd/system/{unit}" for unit in (ALL, "tq-apply@.service")]
    host.worker("alpha")
    written = host.install().splitlines()
    assert max(written.index(f"write {unit}") for unit in units) < written.index(f"write {rule}")
    assert "apply" in host.machine.read(rule)
    planned = host.run("uninstall", "--all", "--dry-run", status=2).splitlines()
    removed = [line.split()[-1] for line in planned if line.startswith("remove ")]
    assert removed.index(rule) < min(removed.index(unit) for unit in units)
    host.run("uninstall", "--all")
    assert not any(map(host.machine.exists, (*units, rule)))
