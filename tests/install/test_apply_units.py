"""tq-apply.service and tq-apply@NAME.service on a booted systemd: they do what `tqunits apply
--unattended` does, say where a file is wrong, take nothing but a worker's name, and write only
where an install writes. tq-secrets.service notes who waits for a restart."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

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
BUILT = "path: /alpha\ntype: python\ncommand: [python3, src/main.py]\nbuild: [touch, built]\n"
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


def connections(host: Site, unit: str) -> set[str]:
    """The sockets that its process has opened. D-Bus closes one at which nothing is said."""
    folder = f"/proc/{host.machine.show(unit, 'MainPID')}/fd/"
    found = host.machine.run(["find", folder, "-lname", "socket:*"]).stdout.split()
    return {path.removeprefix(folder) for path in found} - {"1", "2"}  # its output goes to the journal


def waiting(host: Site) -> dict[str, str]:
    """Who waits for a restart, and why."""
    found = json.loads(host.machine.read("/var/lib/tqunits/waiting.json"))
    return {worker: row["why"] for worker, row in found["workers"].items()}


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
    assert f"update {host.drop_in('alpha')}" in said
    assert "tq-worker@alpha.service still runs as it was" in said
    assert "beta" not in said
    assert (pid(host, "alpha"), pid(host, "beta")) == before
    assert "COLOUR" not in host.get("/alpha/environment")[1]
    assert waiting(host) == {"alpha": "its unit has changed"}
    assert "gamma" not in host.machine.read("/etc/passwd")
    host.run("restart", "alpha")
    assert host.get("/alpha/environment")[1]["COLOUR"] == "red"
    again, said = applies(host, one("alpha"))
    assert again
    assert "nothing to do: everything is as configured" in said
    assert waiting(host) == {}


def test_all_workers_are_applied(host: Site) -> None:
    """A new worker with a new account, a build, a folder that it may write, and a limit of a
    running process: all that the sandbox has to let through. One whose folder is gone stays."""
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
    assert "beta is installed but no longer configured" in said
    assert host.get("/beta/environment")[0] == 200
    assert waiting(host) == {}
    host.worker("beta")
    assert applies(host, ALL)[0]
    again, said = applies(host, ALL)
    assert again
    assert "nothing to do: everything is as configured" in said
    assert "nothing to do" in host.run("apply"), "the command finds nothing that the unit has left"


def test_a_worker_that_somebody_has_stopped_stays_so(host: Site) -> None:
    host.worker("alpha")
    host.worker("beta")
    host.install()
    host.machine.systemctl("stop", "tq-worker@alpha.service")
    host.worker("alpha", "environment: {COLOUR: red}\n")
    host.worker("gamma")
    succeeded, said = applies(host, ALL)
    assert succeeded, said
    assert host.machine.show("tq-worker@alpha.service", "ActiveState") == "inactive"
    assert host.get("/gamma/environment")[0] == 200
    assert waiting(host) == {}, "its next start gets all that is new"


def test_the_build_of_a_worker_that_runs_is_left_to_a_deploy(host: Site) -> None:
    host.worker("alpha")
    host.machine.write(f"{ROOT}/workers/alpha/make", f"#!/bin/sh\n{BUILD}\n", 0o755)
    yaml = "path: /alpha\ntype: exec\nbuild: [./make]\ncommand: [bin/run]\n"
    host.yaml("alpha", yaml)
    host.install()
    program, before = f"{ROOT}/workers/alpha/bin/run", pid(host, "alpha")
    host.machine.write(f"{ROOT}/workers/alpha/make", f"#!/bin/sh\n{BUILD}\necho '# new' >> bin/run\n", 0o755)
    succeeded, said = applies(host, ALL)
    assert succeeded, said
    assert "# new" not in host.machine.read(program)
    host.machine.remove(program)
    succeeded, said = applies(host, ALL)
    assert succeeded, said
    assert "# new" in host.machine.read(program), "without its program it could not start again"
    assert pid(host, "alpha") == before


@pytest.fixture
def secrets(host: Site) -> Iterator[str]:
    """A folder for secrets: only root may enter it."""
    folder = "/etc/tq-secrets"
    host.machine.run(["install", "-d", "-m", "700", folder, f"{folder}/1", f"{folder}/2"])
    yield folder
    host.machine.remove(folder)


def test_a_secret_that_changes_is_noticed(host: Site, secrets: str) -> None:
    key, variables = f"{secrets}/key", f"{secrets}/now/variables"
    for number in (1, 2):
        host.machine.write(f"{secrets}/{number}/variables", f"NUMBER={number}\n", 0o600)
    host.machine.write(key, "old", 0o600)
    host.machine.run(["ln", "-s", "1", f"{secrets}/now"])
    host.worker("alpha", f"watch: {{enabled: true}}\ncredentials: {{key: {key}}}\nenvironment_file: [{variables}]\n")
    host.worker("beta", "watch: {enabled: true}\n")
    host.install()
    before = pid(host, "alpha"), pid(host, "beta")
    assert waiting(host) == {}
    changes = {
        key: ["sh", "-c", f"printf new > {key}"],
        f"{key} ": ["sh", "-c", f"printf newer > {key}.new; touch -d 2001-01-01 {key}.new; mv {key}.new {key}"],
        variables: ["sh", "-c", f"echo NUMBER=3 > {secrets}/1/variables"],
        f"{variables} ": ["ln", "-sfn", "2", f"{secrets}/now"],
    }
    for what, change in changes.items():
        host.machine.run(change)
        if change[0] == "ln":  # its folder is that of the key
            host.machine.systemctl("start", "tq-secrets.service")
        host.machine.wait_until(lambda: waiting(host) != {})
        assert waiting(host) == {"alpha": f"{what.strip()} has changed"}, change
        assert (pid(host, "alpha"), pid(host, "beta")) == before
        host.run("restart", "alpha")
        host.machine.systemctl("start", "tq-secrets.service")
        assert waiting(host) == {}
        before = pid(host, "alpha"), before[1]
    host.machine.remove(key)
    host.machine.systemctl("start", "tq-secrets.service")
    assert waiting(host) == {}, "what has vanished is no change"


def test_the_watch_over_secrets_comes_and_goes_with_them(host: Site, secrets: str) -> None:
    host.machine.write(f"{secrets}/key", "old", 0o600)
    for name in ("alpha", "beta"):
        host.worker(name, f"watch: {{enabled: true}}\ncredentials: {{key: {secrets}/key}}\n")
    host.install()
    unit = "/etc/systemd/system/tq-secrets.path"
    assert "nothing to do" in host.install()
    host.worker("alpha")
    host.install("alpha")
    assert f"PathChanged={secrets}/key" in host.machine.read(unit), "beta is not in this run, and stays watched"
    host.worker("beta", "restart: {delay: soon}\n")
    host.install(status=1)
    assert host.machine.show("tq-secrets.path", "ActiveState") == "active", "beta is refused, and stays watched"
    host.worker("beta")
    host.install()
    assert not host.machine.exists(unit)
    assert host.machine.show("tq-secrets.path", "ActiveState") == "inactive"


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
    assert host.files() == before, "an error"
    for change in (["truncate", "--size=0"], ["rm"]):
        host.machine.run([*change, "/etc/tqunits/tqunits.yaml"])
        for unit in (one("alpha"), ALL):
            succeeded, said = applies(host, unit)
            assert not succeeded
            assert "/etc/tqunits/tqunits.yaml:1:1: it is gone or empty" in said, said
    host.server("mode: production\n")
    assert host.files() == before, "nothing"
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
    assert [connections(host, unit) for unit in both] == [set(), set()]
    host.worker("alpha", "environment: {COLOUR: red}\n")
    assert holder.stdin is not None
    with holder:
        holder.stdin.close()
    host.machine.wait_until(lambda: all(host.machine.show(unit, "ActiveState") == "inactive" for unit in both))
    assert [host.machine.show(unit, "Result") for unit in both] == ["success", "success"]
    assert "COLOUR=red" in host.machine.read(host.drop_in("alpha"))
    said = "".join(host.machine.journal(unit, since) for unit in both)
    assert said.count(f"update {host.drop_in('alpha')}") == 1
    assert said.count("tq-worker@alpha.service still runs as it was") == 2


def test_a_stop_of_all_ends_one_that_waits(host: Site) -> None:
    """It may wait for `tqunits uninstall --all`."""
    host.worker("alpha")
    host.install()
    since = host.machine.cursor()
    holder = host.machine.start(["flock", LOCK, "sh", "-c", "echo held; cat"], stdin=PIPE)
    assert holder.stdin is not None
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    both = (ALL, one("alpha"))
    host.machine.systemctl("start", "--no-block", *both)
    host.machine.wait_until(lambda: all("is at work" in host.machine.journal(unit, since) for unit in both))
    host.machine.systemctl("stop", "tq.target")
    assert [host.machine.show(unit, "Result") for unit in both] == ["signal", "signal"]
    with holder:
        holder.stdin.close()


@pytest.mark.parametrize("words", [(), ("alpha",)], ids=["all", "one"])
def test_after_an_uninstall_of_all_nothing_comes_back_by_itself(host: Site, words: tuple[str, ...]) -> None:
    """The manager may have started one in its last moment, or one has waited for the uninstall."""
    host.worker("alpha")
    host.install()
    host.run("uninstall", "--all", "--keep-ledger")
    done = host.machine.tqunits(*host.options, "apply", "--unattended", *words, check=False)
    assert done.returncode == 1
    assert "tqunits is not installed here any more" in done.stderr
    assert not host.machine.exists(host.drop_in("alpha"))
    assert not host.machine.exists("/etc/systemd/system/tq.target")


def test_settings_do_not_wait_for_the_build_of_a_deploy(host: Site) -> None:
    """In development mode it builds in the folder, under the lock of the worker's releases."""
    host.server("mode: development\n")
    host.worker("alpha")
    host.yaml("alpha", f"{BUILT}environment: {{COLOUR: red}}\n")
    host.install()
    lock = "/var/lib/tqunits/releases/alpha/lock"
    holder = host.machine.start(["flock", lock, "cat"], stdin=PIPE)
    host.machine.wait_until(lambda: host.machine.run(["flock", "-n", lock, "true"], check=False).returncode == 1)
    host.yaml("alpha", f"{BUILT}environment: {{COLOUR: green}}\n")
    try:
        host.machine.run(["systemctl", "start", "--", one("alpha")], timeout=30)
    finally:
        assert holder.stdin is not None
        with holder:
            holder.stdin.close()
    assert "COLOUR=green" in host.machine.read(host.drop_in("alpha"))


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
