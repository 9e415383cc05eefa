"""Which accounts a worker may have: user names and ids are compared with those of a host."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import pytest

from tqunits.errors import Mark, Severity
from tqunits.model import Listen, NotRoots, OriginKind, SettingOrigin, Worker, WorkerType
from tqunits.units.accounts import (
    Database,
    User,
    is_of_before,
    is_ours,
    is_ours_to_build,
    needs_own,
    refusals,
)

from .cases import build, worker

STATE = PurePosixPath("/var/lib/tqunits")
API = PurePosixPath("/srv/tqunits/workers/api")

USERS = {
    "root": User(uid=0, home="/root"),
    "www-data": User(uid=33, home="/var/www"),
    "postgres": User(uid=120, home="/var/lib/postgresql"),
    "nobody": User(uid=65534, home="/nonexistent"),
    "toor": User(uid=0, home="/root"),
    "twin": User(uid=997, home="/home/twin"),
    "boss": User(uid=998, home="/home/boss"),
    "tqunits": User(uid=998, home="/nonexistent"),
    "worker-web": User(uid=997, home="/var/lib/tqunits/workers/web"),
    "passing": User(uid=61184, home="/"),
    "person": User(uid=1000, home="/home/person"),
}
GROUPS = {
    "root": 0,
    "www-data": 33,
    "adm": 4,
    "nogroup": 65534,
    "toors": 0,
    "twins": 997,
    "worker-web": 997,
    "docker": 999,
    "whales": 999,
    "passing": 61184,
    "person": 1000,
}
OLD_HOME = "/var/lib/tqunits/workers/api"
OURS = User(uid=500, home="/nonexistent", description="tqunits worker api", shell="/usr/sbin/nologin")
HOST = Database(users=USERS, groups=GROUPS)


def api(**changes: object) -> Worker:
    return worker("api", **changes)


def said(asks: Worker, host: Database = HOST) -> list[str]:
    return [refusal.message for refusal in refusals([asks], host, STATE)]


@pytest.mark.parametrize(
    ("user", "group", "listen"),
    [
        pytest.param("worker-api", "worker-api", Listen.UNIX, id="its own"),
        pytest.param("www-data", "www-data", Listen.TCP, id="another"),
        pytest.param("www-data", "worker-api", Listen.UNIX, id="another with its own group"),
        pytest.param("worker-api", "adm", Listen.FD, id="another group"),
        pytest.param("nobody", "nogroup", Listen.TCP, id="nobody"),
        pytest.param("person", "person", Listen.TCP, id="a person's, as root says"),
    ],
)
def test_what_roots_worker_may_have(user: str, group: str, listen: Listen) -> None:
    assert said(api(user=user, group=group, listen=listen)) == []


@pytest.mark.parametrize(
    ("user", "group", "message"),
    [
        ("ghost", "ghost", "user: there is no user ghost on this host"),
        ("worker-api", "ghosts", "group: there is no group ghosts on this host"),
        ("postgres", "postgres", "group: there is no group postgres on this host"),
        ("toor", "www-data", "user: toor is root under another name"),
        ("worker-api", "toors", "group: toors is root under another name"),
        ("twin", "www-data", "user: twin is worker-web under another name"),
        ("worker-api", "twins", "group: twins is worker-web under another name"),
        ("boss", "www-data", "user: boss is tqunits under another name"),
        ("worker-api", "whales", "group: whales is docker under another name"),
        ("passing", "www-data", "user: passing is a service's own while that runs (DynamicUser=)"),
        ("worker-api", "passing", "group: passing is a service's own while that runs (DynamicUser=)"),
    ],
)
def test_what_nobody_may_have(user: str, group: str, message: str) -> None:
    assert said(api(user=user, group=group)) == [message]


def test_root_needs_no_row_to_be_known() -> None:
    assert said(api(user="toor", group="worker-api"), Database(users={"toor": USERS["toor"]}, groups={})) == [
        "user: toor is root under another name"
    ]


def test_another_name_for_the_workers_own_account_is_only_odd() -> None:
    ours = User(uid=500, home="/var/lib/tqunits/workers/api")
    host = Database(users={"worker-api": ours, "same": ours}, groups={"worker-api": 500})
    assert said(api(user="same", group="worker-api"), host) == []


def test_a_unix_socket_is_for_the_workers_own_group() -> None:
    (message,) = said(api(group="www-data", listen=Listen.UNIX))
    assert (
        message == "group: the router joins no group but worker-api, so a Unix socket of www-data is out of its reach"
    )


@pytest.mark.parametrize(
    ("user", "gid", "ours"),
    [
        pytest.param(None, None, True, id="none there yet"),
        pytest.param(OURS, 500, True, id="ours"),
        pytest.param(replace(OURS, uid=1001), 1001, False, id="our row with a person's number"),
        pytest.param(replace(OURS, uid=0), 500, False, id="our row with root's number"),
        pytest.param(replace(OURS, home="/home/worker-api"), 500, False, id="our row with a home"),
        pytest.param(replace(OURS, home=OLD_HOME.replace("api", "web")), 500, False, id="our row, another's home"),
        pytest.param(replace(OURS, shell="/bin/bash"), 500, False, id="our row with a shell"),
        pytest.param(replace(OURS, description="tqunits worker web"), 500, False, id="another worker's row"),
        pytest.param(replace(OURS, description=""), 500, False, id="another package's service"),
        pytest.param(User(uid=500, home="/var/lib/tqunits/workers/api"), 500, True, id="ours of before"),
        pytest.param(User(uid=500, home="/var/lib/tqunits/workers/api"), None, True, id="ours without its group"),
        pytest.param(User(uid=1001, home="/var/lib/tqunits/workers/api"), 1001, False, id="a person's number"),
        pytest.param(User(uid=0, home="/var/lib/tqunits/workers/api"), 500, False, id="root's number"),
        pytest.param(User(uid=500, home="/home/worker-api"), 500, False, id="another home"),
        pytest.param(User(uid=500, home="/var/lib/tqunits/workers/web"), 500, False, id="another worker's home"),
        pytest.param(User(uid=500, home="/var/lib/tqunits/workers/api"), 0, False, id="root's group"),
        pytest.param(User(uid=500, home="/var/lib/tqunits/workers/api"), 1001, False, id="a person's group"),
        pytest.param(None, 500, False, id="a group alone"),
    ],
)
@pytest.mark.parametrize("not_roots", [None, NotRoots(API, "is bob's")], ids=["root's", "a request"])
def test_worker_name_is_taken_only_from_ourselves(
    user: User | None, gid: int | None, not_roots: NotRoots | None, *, ours: bool
) -> None:
    host = Database(
        users={} if user is None else {"worker-api": user}, groups={} if gid is None else {"worker-api": gid}
    )
    found = said(api(not_roots=not_roots), host)
    assert (found == []) == ours
    assert all("worker-api, which tqunits has not made" in message for message in found)


def test_who_does_not_need_worker_name_leaves_it_alone() -> None:
    host = Database(users={**USERS, "worker-api": USERS["person"]}, groups=GROUPS)
    elsewhere = api(user="www-data", group="www-data")
    assert not needs_own(elsewhere)
    assert said(elsewhere, host) == []
    handed = replace(elsewhere, listen=Listen.FD)
    assert needs_own(handed)
    assert len(said(handed, host)) == 1


def test_files_alone_have_no_account() -> None:
    assert said(api(type=WorkerType.STATIC, user="ghost", group="ghost")) == []


@pytest.mark.parametrize("name", ["api", "root", "tq-worker-api", "worker-"])
def test_ours_is_called_worker_name(name: str) -> None:
    assert not is_ours(name, User(uid=500, home="/var/lib/tqunits/workers/api"), STATE)


def test_the_place_is_what_was_written() -> None:
    written = {
        key: SettingOrigin(kind=OriginKind.WORKER, mark=Mark("w.yaml", line, 1))
        for key, line in (("user", 3), ("group", 4))
    }
    both = api(user="ghost", group="ghosts", origins=written)
    assert [refusal.mark.line for refusal in refusals([both], HOST, STATE)] == [3, 4]
    one = api(user="nobody", group="nobody", origins={"user": written["user"]})
    assert [refusal.mark.line for refusal in refusals([one], HOST, STATE)] == [3]
    none = api(user="ghost", group="ghost")
    (refusal,) = refusals([none], HOST, STATE)
    assert refusal.mark == Mark(str(API / "config/worker.yaml"), 1, 1)


def test_to_whom_it_is_said() -> None:
    (refusal,) = refusals([api(user="ghost", group="ghost")], HOST, STATE)
    assert refusal.diagnostic().severity is Severity.ERROR
    note = refusal.note()
    assert (note.severity, note.message) == (
        Severity.NOTE,
        "an install by root refuses this: user: there is no user ghost on this host",
    )


def test_the_home_of_before_is_known_as_such() -> None:
    before = User(uid=500, home=OLD_HOME)
    assert is_of_before("worker-api", before, STATE)
    assert not is_of_before("worker-api", OURS, STATE)
    assert not is_of_before("worker-web", before, STATE)
    assert not is_of_before("worker-api", replace(before, uid=1000), STATE)


@pytest.mark.parametrize("name", ["api", "root", "tq-worker-api", "worker-", "worker-web"])
def test_no_other_name_makes_our_row_ours(name: str) -> None:
    assert is_ours("worker-api", OURS, STATE)
    assert not is_ours(name, OURS, STATE)


def builds(**of_build_api: Any) -> list[str]:
    made: dict[str, Any] = {"uid": 990, "home": "/nonexistent", "description": "tqunits build of api"}
    users = {
        **USERS,
        "build-api": User(**made | of_build_api),
    }
    return said(api(build=build("make")), Database(users=users, groups={**GROUPS, "build-api": 990}))


def test_an_account_that_was_made_for_builds_is_taken() -> None:
    assert builds() == []
    assert said(api(build=build("make"))) == []


@pytest.mark.parametrize(
    "of_build_api", [{"uid": 1000}, {"home": "/home/build-api"}, {"description": "tqunits build of web"}]
)
def test_an_account_of_somebody_elses_is_no_builds(of_build_api: dict[str, Any]) -> None:
    assert builds(**of_build_api) == ["there is a user build-api, which tqunits has not made for builds"]


def test_a_group_of_somebody_elses_is_no_builds() -> None:
    host = Database(users=USERS, groups={**GROUPS, "build-api": 1001})
    assert said(api(build=build("make")), host) == ["there is a group build-api, which tqunits has not made for builds"]


def test_who_builds_nothing_needs_no_account_for_it() -> None:
    host = Database(users={**USERS, "build-api": User(uid=1000, home="/home/build-api")}, groups=GROUPS)
    assert said(api(), host) == []


def test_only_builds_accounts_are_ours_to_build() -> None:
    made = User(uid=990, home="/nonexistent", description="tqunits build of api")
    assert is_ours_to_build("build-api", made)
    assert not is_ours_to_build("api", made)
