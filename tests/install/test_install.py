"""`tqunits install` from nothing to running workers, again, with changes, and uninstall."""

from __future__ import annotations

import json

import pytest

from .conftest import PROBE, ROOT, Site


def test_installed_workers_run_and_are_routed(site: Site) -> None:
    site.worker("alpha")
    site.worker("beta", "strip_prefix: false\n")
    site.install()
    assert site.machine.show("tq-worker@alpha.service", "ActiveState") == "active"
    assert site.get("/alpha/health") == (200, "ok")
    assert site.get("/beta/health")[0] == 403  # its own path with the prefix, which is no action of the probe
    assert site.get("/gamma")[0] == 404
    assert (
        site.machine.systemctl("is-enabled", "tq-worker@alpha", "tq.target", "tq-proxy.socket").split()
        == ["enabled"] * 3
    )


def test_second_install_changes_nothing_and_says_so(site: Site) -> None:
    site.worker("alpha")
    site.install()
    before, pid = site.files(), site.machine.show("tq-worker@alpha.service", "MainPID")
    times = site.machine.run(["stat", "-c", "%Y %n", site.drop_in("alpha")]).stdout
    assert "nothing to do" in site.install()
    assert site.files() == before
    assert site.machine.run(["stat", "-c", "%Y %n", site.drop_in("alpha")]).stdout == times
    assert site.machine.show("tq-worker@alpha.service", "MainPID") == pid
    assert site.run("diff") == ""


def test_uninstall_leaves_nothing_behind(site: Site) -> None:
    before, users = site.files(), site.users()
    site.worker("alpha", "listen: unix\n")
    site.worker("beta")
    site.install()
    assert site.get("/alpha/write?of=/var/lib/tqunits/workers/alpha/x") == (200, "written")
    site.run("uninstall", "--all", "--purge", "--yes")
    assert site.files() == before
    assert site.users() == users
    assert site.units() == []
    assert site.machine.systemctl("--failed", "--no-legend", "--plain", "list-units", "tq*") == ""


@pytest.mark.long
def test_a_purge_of_all_takes_the_users_of_workers_that_are_gone_too(site: Site) -> None:
    users = site.users()
    site.worker("alpha")
    site.worker("beta")
    site.install()
    site.run("uninstall", "alpha")
    site.remove_worker("alpha")
    site.yaml("beta", "path: /beta\ntype: static\n")
    site.machine.write(f"{ROOT}/workers/beta/public/index.html", "")
    site.run("apply")
    assert {"worker-alpha", "worker-beta"} <= site.users()  # data is removed only with --purge, and so is its user
    site.run("uninstall", "--all", "--purge", "--yes")
    assert site.users() == users


def test_uninstall_of_one_worker_keeps_the_others(site: Site) -> None:
    site.worker("alpha")
    site.worker("beta")
    site.install()
    pid = site.machine.show("tq-worker@beta.service", "MainPID")
    site.run("uninstall", "alpha")
    assert site.get("/alpha/health")[0] == 404
    assert site.get("/beta/health") == (200, "ok")
    assert site.machine.show("tq-worker@beta.service", "MainPID") == pid
    assert not site.machine.exists(site.drop_in("alpha"))
    assert site.machine.exists("/var/lib/tqunits/workers/alpha")  # data is removed only with --purge
    site.run("uninstall", "alpha", status=4)


def test_diff_and_dry_run_show_the_change_and_make_none(site: Site) -> None:
    before = site.files()
    site.worker("alpha")
    for arguments in (["diff"], ["install", "--dry-run"]):
        shown = site.run(*arguments, status=2)
        assert f"+++ {site.drop_in('alpha')}" in shown
        assert "+User=worker-alpha" in shown
    assert site.files() == before


def test_change_of_limits_is_applied_live_with_the_same_pid(site: Site) -> None:
    limits = "limits: {{memory_max: {0}M, cpu_quota: {0}%, tasks_max: {0}, limit_nofile: {1}}}\n"
    site.worker("alpha", limits.format(100, 200))
    site.install()
    pid = site.machine.show("tq-worker@alpha.service", "MainPID")
    assert site.get("/alpha/descriptors") == (200, 200)
    site.worker("alpha", limits.format(150, 150))  # a container may not raise a process limit
    site.install()
    assert site.machine.show("tq-worker@alpha.service", "MainPID") == pid
    assert site.machine.show("tq-worker@alpha.service", "MemoryMax") == str(150 << 20)
    assert kernel_limits(site, "alpha") == {"memory": 150 << 20, "tasks": 150, "cpu": 1.5}
    assert site.get("/alpha/descriptors") == (200, 150)
    assert "nothing to do" in site.install()


@pytest.mark.long
def test_a_program_that_raises_its_own_limit_keeps_what_it_has_raised(site: Site) -> None:
    raises = "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (900, 1000))\n" + PROBE
    site.worker("alpha", "limits: {limit_nofile: 500:1000}\n", program=raises)
    site.install()
    pid = site.machine.show("tq-worker@alpha.service", "MainPID")
    site.worker("alpha", "limits: {limit_nofile: 500:950}\n", program=raises)
    site.install()
    assert site.machine.show("tq-worker@alpha.service", "MainPID") == pid
    assert site.get("/alpha/descriptors") == (200, 900)
    site.worker("alpha", "limits: {limit_nofile: 500:800}\n", program=raises)
    site.install()
    assert site.get("/alpha/descriptors") == (200, 800)
    assert "nothing to do" in site.install()
    site.worker("alpha", "limits: {limit_nofile: 400:800}\n")
    assert "still runs as it was" in site.run("install")  # it is unknown who chose 800


@pytest.mark.long
def test_limits_that_the_kernel_has_lost_are_given_again(site: Site) -> None:
    site.worker("alpha", "limits: {tasks_max: 100}\n")
    site.install()
    before = site.files()
    group = site.machine.show("tq-worker@alpha.service", "ControlGroup")
    unified = site.machine.exists("/sys/fs/cgroup/cgroup.controllers")
    path = f"/sys/fs/cgroup/{'' if unified else 'pids'}{group}/pids.max"
    site.machine.run(["sh", "-c", f"echo 7 > {path}"])
    site.install()
    assert site.machine.read(path) == "100\n"
    assert site.files() == before  # no file is left that would override the next change


@pytest.mark.long
def test_what_a_killed_run_left_in_the_way_of_the_limits_is_removed(site: Site) -> None:
    site.worker("alpha", "limits: {tasks_max: 100}\n")
    site.install()
    before = site.files()
    shadow = "/run/systemd/system.control/tq-worker@alpha.service.d/50-TasksMax.conf"
    site.machine.write(shadow, "[Service]\nTasksMax=7\n")
    site.machine.write("/run/tqunits/limits-in-hand", f"{shadow}\n")
    site.install()
    assert site.machine.show("tq-worker@alpha.service", "TasksMax") == "100"
    assert site.files() == before


def test_change_of_anything_else_restarts_only_that_worker(site: Site) -> None:
    site.worker("alpha")
    site.worker("beta")
    site.install()
    pids = [site.machine.show(f"tq-worker@{w}.service", "MainPID") for w in ("alpha", "beta")]
    site.worker("alpha", "environment: {COLOUR: '100% $red \"x\"'}\n")
    pending = site.run("install")
    assert "tq-worker@alpha.service still runs as it was" in pending
    assert site.machine.show("tq-worker@alpha.service", "MainPID") == pids[0]
    site.install()  # also finds jobs that an earlier run has left pending
    assert site.machine.show("tq-worker@alpha.service", "MainPID") != pids[0]
    assert site.machine.show("tq-worker@beta.service", "MainPID") == pids[1]
    assert site.get("/alpha/environment")[1]["COLOUR"] == '100% $red "x"'


def test_a_port_is_kept_for_life(site: Site) -> None:
    site.server("workers: {port_range: 9100-9109}\n")
    site.worker("beta")
    site.install()
    port = ports(site)["beta"]
    site.worker("alpha")  # sorts first, and must not take that port
    site.install()
    assert ports(site) == {"alpha": port + 1, "beta": port}
    site.yaml("beta", "path: /beta\ntype: python\nenabled: false\ncommand: [python3, src/main.py]\n")
    site.install()
    assert site.machine.show("tq-worker@beta.service", "ActiveState") == "inactive"
    site.worker("beta")
    site.install()
    assert ports(site)["beta"] == port


def test_what_vanished_is_removed_by_apply_alone(site: Site) -> None:
    site.worker("alpha")
    site.worker("beta")
    site.install()
    site.remove_worker("alpha")
    assert "alpha is installed but no longer configured" in site.install()
    assert site.machine.show("tq-worker@alpha.service", "ActiveState") == "active"
    site.run("apply")
    assert site.machine.show("tq-worker@alpha.service", "ActiveState") == "inactive"
    assert not site.machine.exists(site.drop_in("alpha"))
    assert site.get("/beta/health") == (200, "ok")


def test_what_vanished_is_served_until_it_is_removed(site: Site) -> None:
    site.worker("alpha")
    site.worker("beta", "listen: unix\n")
    site.install()
    site.remove_worker("beta")
    site.worker("gamma")
    assert "beta is installed but no longer configured" in site.install()
    site.machine.systemctl("restart", "tq-proxy@1")  # it still has the group for the worker's socket
    assert {site.get(f"/{name}/health") for name in ("alpha", "beta", "gamma")} == {(200, "ok")}
    site.run("apply")
    assert site.get("/beta/health")[0] == 404


def test_files_of_others_are_never_overwritten(site: Site) -> None:
    site.worker("alpha")
    theirs = "[Unit]\nDescription=mine\n"
    site.machine.write("/etc/systemd/system/tq.target", theirs)
    before = site.files()
    assert "/etc/systemd/system/tq.target" in site.install(status=1)
    assert site.files() == before
    site.install("--replace")
    assert site.machine.read("/etc/systemd/system/tq.target") != theirs


def test_drop_ins_of_the_administrator_stay_and_are_told(site: Site) -> None:
    site.worker("alpha")
    path = "/etc/systemd/system/tq-worker@alpha.service.d/override.conf"
    site.machine.write(path, "[Service]\nMemoryMax=64M\n")
    assert path in site.install()
    assert site.machine.show("tq-worker@alpha.service", "MemoryMax") == str(64 << 20)
    site.run("uninstall", "--all", "--purge", "--yes")
    assert site.machine.exists(path)
    site.machine.remove("/etc/systemd/system/tq-worker@alpha.service.d")
    site.machine.systemctl("daemon-reload")


def test_a_masked_worker_stays_masked(site: Site) -> None:
    site.worker("alpha")
    site.worker("beta")
    site.install()
    site.machine.systemctl("mask", "--now", "tq-worker@alpha")
    assert "masked" in site.install()
    assert site.machine.show("tq-worker@alpha.service", "ActiveState") == "inactive"
    site.machine.systemctl("unmask", "tq-worker@alpha")


def test_what_the_host_lacks_skips_that_worker_only(site: Site) -> None:
    site.worker("alpha")
    site.yaml("beta", "path: /beta\ntype: exec\ncommand: [no-such-program]\n")
    said = site.install(status=1)
    assert "skipped beta: no-such-program is not installed" in said
    assert site.get("/alpha/health") == (200, "ok")
    assert not site.machine.exists(site.drop_in("beta"))


def test_a_missing_command_is_built_by_a_user_of_its_own(site: Site) -> None:
    made = r"#!/bin/sh\n# built by %s\nexec python3 src/main.py\n"
    build = f"#!/bin/sh\nmkdir bin\nprintf '{made}' $(id -u) > bin/run\nchmod +x bin/run\n"
    site.worker("alpha")
    site.machine.write(f"{ROOT}/workers/alpha/make", build, 0o755)
    site.yaml("alpha", "path: /alpha\ntype: exec\nbuild: [./make]\ncommand: [bin/run]\n")
    site.install()
    built = f"{ROOT}/workers/alpha/bin/run"
    assert site.get("/alpha/health") == (200, "ok")
    assert "# built by 0\n" not in site.machine.read(built)
    assert site.machine.run(["stat", "-c", "%U %a", built]).stdout.split() == ["root", "755"]


def test_without_root_nothing_is_done(site: Site) -> None:
    site.worker("alpha")
    before = site.files()
    done = site.machine.tqunits("-C", ROOT, "install", user="nobody", check=False)
    assert done.returncode == 5
    assert "needs root" in done.stderr
    assert site.files() == before


def test_a_reboot_restores_the_enabled_set(site: Site) -> None:
    site.worker("alpha")
    site.worker("beta")
    site.install()
    site.run("disable", "--now", "beta")
    site.machine.reboot()
    site.machine.wait_until(["curl", "-sf", "http://localhost:8080/alpha/health"])
    assert site.machine.show("tq-worker@beta.service", "ActiveState") == "inactive"


@pytest.mark.long
def test_a_template_of_the_administrator_replaces_ours(site: Site) -> None:
    site.worker("alpha")
    path = "/etc/tqunits/unit-templates/tq.target.j2"
    site.machine.write(path, "[Unit]\nDescription=All of it\n\n[Install]\nWantedBy=multi-user.target\n")
    site.install()
    assert site.machine.show("tq.target", "Description") == "All of it"
    site.machine.write(path, "[Unit]\nDescription={{ nothing }}\n")
    assert "tq.target.j2" in site.install(status=1)
    assert site.machine.show("tq.target", "Description") == "All of it"
    site.machine.remove("/etc/tqunits")
    site.install()
    assert site.machine.show("tq.target", "Description") == "Web workers and their router"


def test_a_crash_of_the_router_stops_no_worker_and_heals(site: Site) -> None:
    site.worker("alpha")
    site.install()
    pids = [site.machine.show(f"{unit}.service", "MainPID") for unit in ("tq-worker@alpha", "tq-proxy@1")]
    site.machine.systemctl("kill", "--signal=KILL", "tq-proxy@1")
    assert site.get("/alpha/health") == (200, "ok")  # systemd holds the socket: the request waits in it
    assert site.machine.show("tq-worker@alpha.service", "MainPID") == pids[0]
    assert site.machine.show("tq-proxy@1.service", "MainPID") != pids[1]


def ports(site: Site) -> dict[str, int]:
    workers = json.loads(site.run("ls", "--json"))["workers"]
    return {worker["name"]: worker["port"] for worker in workers}


def kernel_limits(site: Site, worker: str) -> dict[str, float]:
    """The limits of a worker as its cgroup has them, on v1 and on v2."""
    group = site.machine.show(f"tq-worker@{worker}.service", "ControlGroup")
    unified = site.machine.exists("/sys/fs/cgroup/cgroup.controllers")

    def read(controller: str, name: str) -> str:
        return site.machine.read(f"/sys/fs/cgroup/{'' if unified else controller}{group}/{name}").strip()

    if unified:
        quota, period = read("cpu", "cpu.max").split()
        memory = read("memory", "memory.max")
    else:
        quota, period = read("cpu", "cpu.cfs_quota_us"), read("cpu", "cpu.cfs_period_us")
        memory = read("memory", "memory.limit_in_bytes")
    return {"memory": int(memory), "tasks": int(read("pids", "pids.max")), "cpu": int(quota) / int(period)}
