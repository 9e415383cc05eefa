"""Credentials in folders where another user may replace them by a link, a FIFO or another file."""

from __future__ import annotations

import json

import pytest

from .conftest import ROOT, Site

FOLDER = f"{ROOT}/workers/alpha"
COPIES = "/var/lib/tqunits/credentials"
OWNER = 40123
"""The owner of the worker's folder: a user id without a name is enough."""
AS_OWNER = ["setpriv", f"--reuid={OWNER}", f"--regid={OWNER}", "--clear-groups"]


@pytest.fixture
def site(host: Site) -> Site:
    """These workers are in the host's own configuration: with -C all of them would be refused,
    because root does not own them."""
    return host


def request(site: Site, yaml: str = "credentials: {token: token}\n") -> None:
    """A worker `alpha` in another user's folder, who writes its files, and `beta` of root's."""
    site.worker("beta")
    site.worker("alpha", yaml)
    site.machine.write(f"{FOLDER}/token", "first")
    own(site)


def own(site: Site) -> None:
    site.machine.run(["chown", "-Rh", f"{OWNER}:{OWNER}", FOLDER])


def shell(site: Site, script: str) -> None:
    """The owner of the folder runs this there."""
    site.machine.run(
        ["setpriv", f"--reuid={OWNER}", f"--regid={OWNER}", "--clear-groups", "sh", "-ec", f"cd {FOLDER}; {script}"]
    )


def token(site: Site) -> object:
    environment = site.get("/alpha/environment")[1]
    return site.get(f"/alpha/read?of={environment['CREDENTIALS_DIRECTORY']}/token")


def test_a_requests_file_is_copied_for_root_alone_and_the_unit_names_the_copy(site: Site) -> None:
    request(site)
    site.install()
    assert token(site) == (200, "first")
    assert f"LoadCredential=token:{COPIES}/alpha/token\n" in site.machine.read(site.drop_in("alpha"))
    stat = site.machine.run(["stat", "-c", "%U %G %a", COPIES, f"{COPIES}/alpha", f"{COPIES}/alpha/token"]).stdout
    assert stat.splitlines() == ["root root 700", "root root 700", "root root 600"]
    assert "nothing to do" in site.install()


def test_a_path_of_roots_is_named_itself(site: Site) -> None:
    site.worker("alpha", "credentials: {token: /etc/hostname}\n")
    site.install()
    assert token(site) == (200, "machine\n")
    assert not site.machine.exists(COPIES)


def test_an_edit_waits_for_the_next_install_and_is_said_to(site: Site) -> None:
    request(site)
    site.install()
    before = site.machine.show("tq-worker@alpha.service", "MainPID")
    shell(site, "echo -n second > token")
    assert f"alpha gets {FOLDER}/token as it is now with" in site.run("ls")
    (row,) = json.loads(site.run("ls", "alpha", "--json"))["workers"]
    assert row["waiting"] == [f"{FOLDER}/token"]
    assert "has changed since install copied it" in site.run("check", "alpha")
    site.machine.systemctl("restart", "tq-worker@alpha.service")
    assert token(site) == (200, "first")
    difference = site.run("diff", status=2)
    assert f"+++ {COPIES}/alpha/token\n# 5 bytes become 6" in difference
    assert "second" not in difference
    assert "first" not in difference
    assert "still runs as it was" in site.run("install")
    assert token(site) == (200, "first")
    assert "restart tq-worker@alpha.service" in site.install()
    assert token(site) == (200, "second")
    assert site.machine.show("tq-worker@alpha.service", "MainPID") != before
    assert "as it is now" not in site.run("ls")


def test_a_new_time_alone_restarts_nobody(site: Site) -> None:
    request(site)
    site.install()
    before = site.machine.show("tq-worker@alpha.service", "MainPID")
    shell(site, "touch -d 2001-01-01 token")
    assert "as it is now" in site.run("ls")
    site.install()
    assert "as it is now" not in site.run("ls")
    assert site.machine.show("tq-worker@alpha.service", "MainPID") == before


PLANTED = {
    "link": ("ln -s /etc/shadow token", "is a symbolic link, which is not followed"),
    "FIFO": ("mkfifo token", "is a FIFO"),
    "socket": ("python3 -c \"import socket; socket.socket(socket.AF_UNIX).bind('token')\"", "is a socket"),
    "folder": ("mkdir token", "is a folder"),
    "nothing": ("true", "is not there"),
    "too large": ("truncate -s 1048577 token", "is larger than 1024 KiB"),
    "endless": ("ln -s /dev/zero token", "is a symbolic link"),
}


@pytest.mark.short("FIFO", "link")
@pytest.mark.parametrize(("deed", "said"), PLANTED.values(), ids=PLANTED)
def test_what_is_no_file_is_not_taken_and_holds_up_nobody_else(site: Site, deed: str, said: str) -> None:
    request(site)
    site.install()
    shell(site, f"rm token; {deed}")
    site.worker("beta", "limits: {tasks_max: 99}\n")
    output = site.install(status=1)
    assert f"{FOLDER}/config/worker.yaml:4:22: error: credentials: {FOLDER}/token {said}" in output
    assert "refused alpha: what is installed of it stays" in output
    assert site.machine.show("tq-worker@beta.service", "TasksMax") == "99"
    site.machine.systemctl("restart", "tq-worker@alpha.service")  # the installed version stays, and serves
    assert token(site) == (200, "first")
    assert said in site.run("check", status=0 if deed == "true" else 1)


def test_a_strangers_file_by_a_hard_link_is_not_taken(site: Site) -> None:
    request(site)
    site.machine.run(["ln", "-f", "/etc/shadow", f"{FOLDER}/token"])
    assert "has more than one name" in site.install(status=1)
    assert not site.machine.exists(f"{COPIES}/alpha")


def test_files_that_change_places_all_the_time_never_give_away_another(site: Site) -> None:
    """Only a regular file of this folder is ever copied, whatever its name points to a moment
    before and after."""
    request(site)
    swaps = "ln -s /etc/shadow l; ln -s /etc/ssl/private d; mkdir e; echo -n first > e/f; mkfifo p; while :; do "
    swaps += "ln -sf /etc/shadow t1; mv -T t1 token; echo -n first > t2; mv -T t2 token; mkfifo t3; mv -T t3 token; "
    swaps += "echo -n first > t4; mv -T t4 token; done"
    command = [*AS_OWNER, "sh", "-c", f"cd {FOLDER}; {swaps}"]
    copied = 0
    with site.machine.start(command) as swapper:
        try:
            for _ in range(12):
                done = site.machine.tqunits("install", check=False)
                assert done.returncode in (0, 1), done.stderr
                if site.machine.exists(f"{COPIES}/alpha/token"):
                    copied += 1
                    assert site.machine.read(f"{COPIES}/alpha/token") in ("first", "")
        finally:
            site.machine.run(["pkill", "-u", str(OWNER)])
            swapper.wait()
    assert copied


def test_copies_go_when_nobody_names_them(site: Site) -> None:
    request(site, "credentials: {token: token, other: token}\n")
    site.install()
    assert site.machine.exists(f"{COPIES}/alpha/other")
    site.yaml("alpha", "path: /alpha\ntype: python\ncommand: [python3, src/main.py]\ncredentials: {token: token}\n")
    own(site)
    site.install()
    assert not site.machine.exists(f"{COPIES}/alpha/other")
    assert token(site) == (200, "first")


@pytest.mark.short("all")
@pytest.mark.parametrize("arguments", [["alpha"], ["--all"]], ids=["alone", "all"])
def test_uninstall_removes_them_without_any_yaml(site: Site, arguments: list[str]) -> None:
    request(site)
    site.install()
    site.remove_worker("alpha")
    site.run("uninstall", *arguments)
    assert not site.machine.exists(COPIES)


@pytest.mark.long
def test_prune_removes_them(site: Site) -> None:
    request(site)
    site.install()
    site.remove_worker("alpha")
    site.install()
    assert site.machine.exists(f"{COPIES}/alpha/token")  # it serves until it is removed
    site.run("apply")
    assert not site.machine.exists(COPIES)


def test_a_copy_that_looks_like_a_drop_in_speaks_for_nobody(site: Site) -> None:
    request(site)
    text = "# Rendered by tqunits from x\n[X-Tqunits]\nWorker=evil\nPort=9000\nRoute=/\n"
    site.machine.write(f"{FOLDER}/token", text)
    own(site)
    site.install()
    assert "evil" not in site.run("ls") + site.install()


def test_whoever_may_not_read_the_files_is_told_of_no_difference(site: Site) -> None:
    site.machine.write("/etc/tqunits/secrets/key", "of root's")
    site.machine.run(["chmod", "700", "/etc/tqunits/secrets"])
    request(site)
    site.worker("beta", "credentials: {key: /etc/tqunits/secrets/key}\n")
    site.machine.run(["chmod", "600", f"{FOLDER}/token"])
    site.install()
    assert "LoadCredential=key:/etc/tqunits/secrets/key\n" in site.machine.read(site.drop_in("beta"))
    as_nobody = site.machine.tqunits("diff", user="nobody", check=False)
    assert (as_nobody.returncode, as_nobody.stdout) == (0, ""), as_nobody.stderr
    shell(site, "echo -n second > token")
    as_nobody = site.machine.tqunits("check", user="nobody", check=False)
    assert (as_nobody.returncode, "second" in as_nobody.stderr) == (0, False)
    assert "note: credentials: " in as_nobody.stderr
    assert "has changed since install copied it" in as_nobody.stderr
    assert "as it is now" in site.machine.tqunits("ls", user="nobody", check=False).stderr
    site.machine.remove("/etc/tqunits/secrets")


def test_an_install_leaves_no_temporary_secret(site: Site) -> None:
    request(site)
    site.install()
    site.machine.write(f"{COPIES}/alpha/.tqunits-0123456789abcdef.tmp", "half of a secret")
    site.install()
    assert site.machine.run(["ls", "-A", f"{COPIES}/alpha"]).stdout.split() == ["token"]
