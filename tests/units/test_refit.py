"""Drop-ins of earlier releases: how an install changes them if it does not render them anew."""

from __future__ import annotations

import pytest

from tqunits.units import refit, unitfile
from units import cases

TARGET = cases.target()
OLD = "/usr/bin/python3 -I -S /usr/lib/python3/dist-packages/tqunits"
PLACE = "--serving /run/tqunits/workers/api/serving --routers /run/tqunits/leave --name api"
ALONE = "/usr/bin/python3 -I -S /usr/lib/tqunits"
GATE = f"ExecStartPost={OLD}/gate.py --port 9001 --path /health --probe-timeout 5 --budget 59.5 --pid $MAINPID\n"
BEFORE = """\
# Rendered by tqunits from /srv/tqunits/workers/api/config/worker.yaml (sha256 00). Do not edit.

[Unit]
Description=Worker api on /api
{counted}
[Service]
Type={type}
ExecStart=
ExecStart=/srv/api/bin/api "two words" 100%%
{gate}# The router sends nothing here from before SIGTERM until the worker is healthy again.
ExecStartPost=-+/bin/rm -f /run/tqunits/draining/api
ExecStop=-+{old}/leave.py --runtime /run/tqunits --name api --wait 29
User=worker-api
{files}
[X-Tqunits]
Worker=api
Port=9001
Enabled=yes
RestartHash=ab
"""
FILES = """\
EnvironmentFile=/srv/api/a.env
EnvironmentFile=-/etc/tqunits/b.env
LoadCredential=token:/srv/api/token
LoadCredential=key:/etc/tqunits/key
"""
COUNTED = "StartLimitIntervalSec=5min\nStartLimitBurst=5\n"


def before(*, gate: str = GATE, files: str = "", counted: str = "") -> str:
    return BEFORE.format(type="exec" if gate else "notify", gate=gate, old=OLD, files=files, counted=counted)


def lines(text: str, directive: str) -> list[str]:
    return [line.partition("=")[2] for line in text.splitlines() if line.startswith(f"{directive}=")]


def refitted(text: str, **places: str) -> str:
    return refit.refitted(text, "api", TARGET, {f"/{path.replace('_', '/')}": place for path, place in places.items()})


def test_nothing_runs_as_root_any_more() -> None:
    after = refitted(before())
    assert lines(after, "ExecStartPost") == [
        f"{ALONE}/gate.py --port 9001 --path /health --probe-timeout 5 --budget 59.5 --pid $MAINPID {PLACE}"
    ]
    assert lines(after, "ExecStop") == [f"-{ALONE}/leave.py {PLACE} --wait 29 --pid $MAINPID"]
    assert not refit.is_of_before(after)


def test_a_worker_that_says_ready_itself_joins_by_a_line_of_its_own() -> None:
    after = refitted(before(gate=""))
    assert lines(after, "ExecStartPost") == [f"{ALONE}/join.py /run/tqunits/workers/api/serving /run/tqunits/leave api"]


def test_all_else_stays_as_it_is() -> None:
    text = before()
    removed = {line for line in text.splitlines() if line not in refitted(text).splitlines()}
    assert {line.partition("=")[0] for line in removed} == {"ExecStartPost", "ExecStop"}
    assert unitfile.ledger(refitted(text)) == unitfile.ledger(text)


def test_no_restart_that_somebody_asks_for_counts() -> None:
    """The sixth restart stopped a good worker. In a drop-in that is otherwise of this release,
    nothing else is changed."""
    assert refitted(before(counted=COUNTED)) == refitted(before())
    today = refitted(before())
    drop_in = today.replace("[Service]\n", f"{COUNTED}[Service]\nRestartSteps=4\nRestartMaxDelaySec=30s\n")
    assert refit.is_of_before(drop_in)
    assert refitted(drop_in) == today


def test_files_are_named_where_systemd_may_open_them() -> None:
    copies = "/var/lib/tqunits/credentials/api"
    named = {
        "/srv/api/a.env": f"{copies}/environment-1",
        "/etc/tqunits/b.env": "/etc/tqunits/b.env",
        "/srv/api/token": f"{copies}/token",
        "/etc/tqunits/key": "/etc/tqunits/key",
    }
    after = refit.refitted(before(files=FILES), "api", TARGET, named)
    assert lines(after, "EnvironmentFile") == []
    assert sorted(lines(after, "LoadCredential")) == [
        f"environment-1:{copies}/environment-1",
        "environment-2:/etc/tqunits/b.env",
        "key:/etc/tqunits/key",
        f"token:{copies}/token",
    ]
    launch = "--environment environment-1=/srv/api/a.env --environment environment-2=/etc/tqunits/b.env"
    assert lines(after, "ExecStart") == ["", f'{ALONE}/launch.py {launch} -- /srv/api/bin/api "two words" 100%%']


def test_a_file_that_may_not_be_had_is_named_no_more() -> None:
    after = refitted(before(files=FILES))
    assert lines(after, "EnvironmentFile") + lines(after, "LoadCredential") == []
    assert lines(after, "ExecStart") == ["", '/srv/api/bin/api "two words" 100%%']


@pytest.mark.parametrize("name", cases.CASES)
def test_a_drop_in_of_today_is_left_alone(name: str) -> None:
    drop_ins = [file.content for file in cases.CASES[name].files() if file.path.name == "10-tqunits.conf"]
    assert [refit.refitted(text, "api", TARGET, {}) for text in drop_ins] == drop_ins
    assert not any(map(refit.is_of_before, drop_ins))


@pytest.mark.parametrize(
    "line",
    ["ExecStartPre=+/bin/x", "ExecStop=-+/bin/x", "ExecStartPost=@!/bin/x x", "ExecReload=!!/x", "EnvironmentFile=/x"],
)
def test_whatever_runs_with_more_rights_is_of_before(line: str) -> None:
    assert refit.is_of_before(f"[Service]\n{line}\n")


@pytest.mark.parametrize("line", ["ExecStart=/x +y", "ExecStop=-/x --wait +1", "Environment=A=+b", "# ExecStop=+x"])
def test_what_does_not_is_of_today(line: str) -> None:
    assert not refit.is_of_before(f"[Service]\n{line}\n")
