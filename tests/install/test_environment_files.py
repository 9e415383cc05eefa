"""Environment files: the launcher reads them in the worker's sandbox, from copies that install
makes."""

# These tests need the launcher in ExecStart=, which reads the credentials environment-1,
# environment-2, ... at each start.

from __future__ import annotations

import pytest

from .conftest import ROOT, Site
from .test_copies import AS_OWNER, COPIES, FOLDER, own

ENVIRONMENT = f"{FOLDER}/.env"
SOCKET = "python3 -c \"import socket; socket.socket(socket.AF_UNIX).bind('.env')\""
HOSTILE = "PORT=3000\nWORKER_PORT=3000\nWORKER_MODE=development\nWORKER_NAME=x\nWORKER_ROUTE=/x\nWORKER_PATH=/x\n"
HOSTILE += "WORKER_TYPE=go\nWORKER_SOCKET=/run/x\nLISTEN_FDS=7\n"


@pytest.fixture
def site(host: Site) -> Site:
    """These workers are in the host's own configuration: with -C all of them would be refused,
    because root does not own them."""
    return host


def request(site: Site, text: str, yaml: str = "environment_file: .env\n") -> None:
    site.worker("beta")
    site.worker("alpha", yaml)
    site.machine.write(ENVIRONMENT, text)
    own(site)


def shell(site: Site, script: str) -> None:
    """The owner of the folder runs this there."""
    site.machine.run([*AS_OWNER, "sh", "-ec", f"cd {FOLDER}; {script}"])


def variables(site: Site) -> dict[str, str]:
    status, found = site.get("/alpha/environment")
    assert status == 200
    assert isinstance(found, dict)
    return found


def test_a_worker_gets_the_variables_of_its_files_later_ones_win(site: Site) -> None:
    yaml = "environment: {A: yaml, B: yaml}\nenvironment_file: [.env, second.env]\n"
    site.machine.write(f"{FOLDER}/second.env", "C=2\n", 0o600)
    request(site, "# mine\nB='of the folder'\nC=\"1\"\nD=${A}\n", yaml)
    site.install()
    found = variables(site)
    assert {name: found.get(name) for name in "ABCD"} == {"A": "yaml", "B": "of the folder", "C": "2", "D": "${A}"}
    text = site.machine.read(site.drop_in("alpha"))
    assert f"LoadCredential=environment-1:{COPIES}/alpha/environment-1\n" in text
    assert f"LoadCredential=environment-2:{COPIES}/alpha/environment-2\n" in text
    assert "EnvironmentFile=" not in text


def test_a_file_of_roots_is_read_where_it_is(site: Site) -> None:
    site.worker("alpha", "environment_file: /etc/tqunits/alpha.env\n")
    site.machine.write("/etc/tqunits/alpha.env", "C=2\n", 0o600)
    site.install()
    assert variables(site)["C"] == "2"
    assert "LoadCredential=environment-1:/etc/tqunits/alpha.env\n" in site.machine.read(site.drop_in("alpha"))


def test_a_request_does_not_get_a_file_of_roots(site: Site) -> None:
    """Nor a file that install has copied for another worker."""
    site.machine.write("/etc/tqunits/alpha.env", "C=2\n", 0o600)
    for path in ("/etc/tqunits/alpha.env", "/etc/shadow", f"{COPIES}/beta/token"):
        request(site, "", f"environment_file: {path}\n")
        assert f"environment_file: {path} needs a grant" in site.install(status=1)
        assert not site.machine.exists(site.drop_in("alpha"))
        assert site.get("/beta/health") == (200, "ok")


def test_the_contract_wins(site: Site) -> None:
    request(site, HOSTILE)
    site.install()
    found = variables(site)
    assert site.get("/alpha/health") == (200, "ok")
    assert found["PORT"] == found["WORKER_PORT"] != "3000"
    assert (found["WORKER_MODE"], found["WORKER_NAME"], found["WORKER_TYPE"]) == ("production", "alpha", "python")
    assert (found["WORKER_ROUTE"], found["WORKER_PATH"]) == ("/alpha", "/alpha")
    assert "LISTEN_FDS" not in found
    assert f"{ENVIRONMENT}:1:1: warning: PORT is set by tqunits or systemd" in site.run("check")


@pytest.mark.short("FIFO", "link")
@pytest.mark.parametrize(
    ("deed", "said"),
    [
        pytest.param("mkfifo .env", "is a FIFO", id="FIFO"),
        pytest.param("ln -s /etc/shadow .env", "is a symbolic link, which is not followed", id="link"),
        pytest.param(SOCKET, "is a socket", id="socket"),
        pytest.param("mkdir .env", "is a folder", id="folder"),
        pytest.param("true", "is not there", id="nothing"),
    ],
)
def test_what_is_planted_holds_up_neither_pid_1_nor_an_install(site: Site, deed: str, said: str) -> None:
    request(site, "A=1\n")
    site.install()
    shell(site, f"rm .env; {deed}")
    site.machine.run(["systemctl", "kill", "-s", "KILL", "tq-worker@alpha.service"])
    site.machine.systemctl("restart", "tq-worker@alpha.service")  # PID 1 starts it, and still answers
    assert variables(site)["A"] == "1"
    assert said in site.install(status=1)
    assert site.get("/beta/health") == (200, "ok")
    assert site.get("/alpha/health") == (200, "ok")


@pytest.mark.long
def test_an_edit_waits_for_the_next_install_and_is_said_to(site: Site) -> None:
    request(site, "A=first\n")
    site.install()
    shell(site, "echo A=second > .env")
    site.machine.systemctl("restart", "tq-worker@alpha.service")
    assert variables(site)["A"] == "first"
    assert f"alpha gets {ENVIRONMENT} as it is now" in site.run("ls")
    assert f"{ENVIRONMENT}:1:1: note: has changed since install copied it" in site.run("check")
    site.install()
    assert variables(site)["A"] == "second"


def test_a_mistake_has_its_place_and_the_version_before_serves(site: Site) -> None:
    request(site, "A=1\n")
    site.install()
    shell(site, "echo export A=2 >> .env")
    assert f"{ENVIRONMENT}:2:1: error: export is a word of the shell's" in site.run("check", status=1)
    assert f"{ENVIRONMENT}:2:1: error: export is a word of the shell's" in site.install(status=1)
    assert variables(site)["A"] == "1"


def test_roots_own_file_with_a_mistake_is_said_by_the_launcher(site: Site) -> None:
    """An edit of a file of root's needs no install. So the start reports the mistake."""
    site.worker("alpha", "environment_file: /etc/tqunits/alpha.env\n")
    site.machine.write("/etc/tqunits/alpha.env", "A=1\n", 0o600)
    site.install()
    site.machine.write("/etc/tqunits/alpha.env", "A=1\nnonsense\n", 0o600)
    done = site.machine.run(["systemctl", "restart", "tq-worker@alpha.service"], check=False)
    assert done.returncode != 0
    journal = site.machine.run(["journalctl", "-u", "tq-worker@alpha.service", "-o", "cat"]).stdout
    assert "/etc/tqunits/alpha.env:2" in journal


def test_secrets_are_in_no_file_of_the_unit_and_in_no_output(site: Site) -> None:
    request(site, "PASSWORD=hunter2\n")
    output = site.run("diff", status=2) + site.install() + site.run("show", "alpha")
    output += site.machine.systemctl("show", "tq-worker@alpha.service")
    output += site.machine.systemctl("cat", "tq-worker@alpha.service")
    assert "hunter2" not in output
    assert variables(site)["PASSWORD"] == "hunter2"
    assert site.machine.read(f"{COPIES}/alpha/environment-1") == "PASSWORD=hunter2\n"


def test_a_worker_of_mode_0600_files_of_roots_in_a_folder_of_others(site: Site) -> None:
    """The usual place of secrets: a file of root's, readable by root alone, in the folder of the
    user who deploys."""
    request(site, "A=1\n")
    site.machine.run(["chown", "root:", ENVIRONMENT])
    site.machine.run(["chmod", "600", ENVIRONMENT])
    site.install()
    assert variables(site)["A"] == "1"
    assert ROOT in site.machine.read(site.drop_in("alpha"))
