"""What a worker gets that root does not own: without a grant, and by a grant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqunits.config.grant_parser import grants as parse_grants
from tqunits.config.nodes import MapNode, read
from tqunits.errors import Mark
from tqunits.model import (
    ANYBODY,
    INFINITY,
    MAX_START_OF_A_REQUEST,
    Depends,
    Grant,
    Listen,
    NotRoots,
    OriginKind,
    Profile,
    Relaxation,
    Sandbox,
    SettingOrigin,
    Static,
    WorkersSettings,
    WorkerType,
)
from tqunits.resources import Descriptors, Share
from tqunits.units.grants import grant_of, may_name, owned_routes, refusals

from .cases import MIB, build, limits, server, worker

GIB = 1 << 30
FILE = PurePosixPath("/etc/tqunits/tqunits.yaml")
SHOP = PurePosixPath("/srv/tqunits/workers/shop")
BOBS = NotRoots(SHOP, "belongs to uid 1001 (bob)")
WRITTEN = {"static.directory": SettingOrigin(kind=OriginKind.WORKER, mark=Mark("w.yaml", 2, 1))}


def refused(grant: Grant | None = None, *, by: str = "shop", **asks: Any) -> list[str]:
    asked = worker("shop", **{"not_roots": BOBS, **asks})
    grants = {} if grant is None else {by: grant}
    return [each.message for each in refusals(asked, server(grants=grants), FILE)]


def limited(**changes: Any) -> dict[str, Any]:
    return {"limits": limits(**changes)}


def replicated(count: int) -> dict[str, Any]:
    return {"scaling": replace(worker("shop").scaling, min_workers=count)}


def sandboxed(*relaxations: Relaxation, profile: Profile = Profile.STANDARD) -> dict[str, Any]:
    return {"sandbox": Sandbox(profile=profile, relaxations=relaxations)}


FREE: dict[str, dict[str, Any]] = {
    "nothing more": {},
    "its route": {"routes": ("/shop",)},
    "below its route": {"routes": ("/shop", "/shop/cart")},
    "a socket": {"listen": Listen.UNIX},
    "its files": {
        "credentials": (("a", f"{SHOP}/secrets/a"),),
        "environment_file": (f"{SHOP}/.env",),
    },
    "its folder of files": {"type": WorkerType.STATIC, "static": Static(directory="public", prefix="/")},
    "strict": sandboxed(profile=Profile.STRICT),
    "jit": sandboxed(profile=Profile.JIT),
    "what jit has": sandboxed(Relaxation.WRITE_EXECUTE, Relaxation.NETLINK, Relaxation.PROC, Relaxation.OUTBOUND),
    "less of everything": limited(memory_max=MIB, cpu_quota=10_000, cpu_weight=1, tasks_max=1, io_weight=1),
    "memory_high": limited(memory_high=MIB),
    "words": {"unit": (("Unit", "Description", "a shop"), ("Unit", "Documentation", "https://x.org"))},
    "10 min": {"timeouts": replace(worker("shop").timeouts, start=MAX_START_OF_A_REQUEST, stop=MAX_START_OF_A_REQUEST)},
    "files alone have no account": {"type": WorkerType.STATIC, "user": "www-data", "group": "www-data"},
}


@pytest.mark.parametrize("asks", FREE.values(), ids=FREE)
def test_what_every_worker_gets(asks: dict[str, Any]) -> None:
    assert refused(**asks) == []


# id: the request, its key and value as in messages, the grant that allows it
BY_GRANT: dict[str, tuple[dict[str, Any], str, Grant]] = {
    "a route": ({"routes": ("/cart",)}, "path: /cart", Grant(routes=("/cart",))),
    "the root": ({"routes": ("/",)}, "path: /", Grant(routes=("/",))),
    "a longer name": ({"routes": ("/shopping",)}, "path: /shopping", Grant(routes=("/shopping",))),
    "a host": ({"hosts": ("x.org",)}, "host: x.org", Grant(hosts=("x.org",))),
    "a port": ({"port": 9000}, "port: 9000", Grant(ports=(9000,))),
    "a user": ({"user": "www-data"}, "user: www-data", Grant(users=("www-data",))),
    "a group": ({"group": "adm"}, "user: adm", Grant(groups=("adm",))),
    "a secret": (
        {"credentials": (("db", "/etc/tqunits/secrets/shop/db"),)},
        "credentials: /etc/tqunits/secrets/shop/db",
        Grant(credentials=("/etc/tqunits/secrets/shop/*",)),
    ),
    "variables": (
        {"environment_file": ("/etc/default/shop",)},
        "environment_file: /etc/default/shop",
        Grant(environment_files=("/etc/default/shop",)),
    ),
    "a folder of files": (
        {"type": WorkerType.STATIC, "static": Static(directory="/srv/www", prefix="/")},
        "static.directory: /srv/www",
        Grant(static=("/srv/www",)),
    ),
    "files beside a program": (
        {"static": Static(directory="/srv/www", prefix="/"), "origins": WRITTEN},
        "static.directory: /srv/www",
        Grant(static=("/srv/*",)),
    ),
    "after": (
        {"depends": Depends(after=("postgresql.service",), requires=())},
        "depends.after: postgresql.service",
        Grant(depends=("postgresql.service",)),
    ),
    "requires": (
        {"depends": Depends(after=(), requires=("postgresql.service",))},
        "depends.requires: postgresql.service",
        Grant(depends=("postgresql.service",)),
    ),
    "wants": (
        {"unit": (("Unit", "Wants", "redis.service"),)},
        "unit.Unit.Wants: redis.service",
        Grant(depends=("redis.service",)),
    ),
    "another worker": (
        {"depends": Depends(after=(), requires=("tq-worker@api.service",))},
        "depends.requires: tq-worker@api.service",
        Grant(depends=("tq-worker@api.service",)),
    ),
    "memory": (limited(memory_max=2 * GIB), "limits.memory_max: 2G", Grant(limits={"memory_max": 2 * GIB})),
    "all memory": (
        limited(memory_max=INFINITY),
        "limits.memory_max: infinity",
        Grant(limits={"memory_max": INFINITY}),
    ),
    "a share of memory": (
        limited(memory_max=Share(permyriad=1000)),
        "limits.memory_max: 10%",
        Grant(limits={"memory_max": Share(permyriad=2000)}),
    ),
    "cpu": (limited(cpu_quota=2_000_000), "limits.cpu_quota: 200%", Grant(limits={"cpu_quota": 4_000_000})),
    "weight": (limited(cpu_weight=101), "limits.cpu_weight: 101", Grant(limits={"cpu_weight": 101})),
    "disk": (limited(io_weight=101), "limits.io_weight: 101", Grant(limits={"io_weight": 101})),
    "tasks": (limited(tasks_max=INFINITY), "limits.tasks_max: infinity", Grant(limits={"tasks_max": INFINITY})),
    "files": (
        limited(limit_nofile=Descriptors(1024, 600000)),
        "limits.limit_nofile: 600000",
        Grant(limits={"limit_nofile": 600000}),
    ),
    "a large build": (
        {"build": build("make", disk_max=8 * GIB)},
        "build.disk_max: 8G",
        Grant(limits={"disk_max": 8 * GIB}),
    ),
    "instances": (replicated(2), "scaling.min_workers: 2", Grant(limits={"min_workers": 2})),
    "legacy": (sandboxed(profile=Profile.LEGACY), "sandbox: legacy", Grant(sandbox=(Profile.LEGACY,))),
    "devices": (sandboxed(Relaxation.DEVICES), "sandbox: devices", Grant(sandbox=(Relaxation.DEVICES,))),
    "a directive": ({"unit": (("Service", "Nice", "5"),)}, "unit: Nice", Grant(unit=("Nice",))),
}


@pytest.mark.parametrize(
    ("setting", "asks"),
    {"min_workers": replicated(3), "disk_max": {"build": build("make", disk_max=3 * GIB)}}.items(),
    ids=["min_workers", "disk_max"],
)
def test_what_defaults_give_to_every_worker_takes_no_grant(setting: str, asks: dict[str, Any]) -> None:
    ample = {"min_workers": 3, "disk_max": 3 * GIB}
    scarce = {**ample, setting: ample[setting] - 1}
    bobs = worker("shop", not_roots=BOBS, **asks)
    assert refusals(bobs, server(allowances=ample), FILE) == ()
    assert [each.message.partition(" needs")[0] for each in refusals(bobs, server(allowances=scarce), FILE)] == [
        {"min_workers": "scaling.min_workers: 3", "disk_max": "build.disk_max: 3G"}[setting]
    ]


@pytest.mark.parametrize(("asks", "what", "grant"), BY_GRANT.values(), ids=BY_GRANT)
def test_what_takes_a_grant(asks: dict[str, Any], what: str, grant: Grant) -> None:
    message = f"{what} needs a grant, for the worker is not root's: {SHOP} belongs to uid 1001 (bob)"
    assert refused(**asks) == [message]
    assert refused(grant, **asks) == []
    assert refused(grant, by=ANYBODY, **asks) == []
    assert refused(grant, by="another", **asks) == [message]
    assert refused(Grant(), **asks) == [message]
    assert refused(not_roots=None, **asks) == []


@pytest.mark.parametrize("value", [INFINITY, Share(permyriad=5000)], ids=["all", "a share"])
def test_what_can_not_be_compared_is_not_granted(value: int | Share) -> None:
    assert refused(Grant(limits={"memory_max": 8 * GIB}), **limited(memory_max=value))


def test_a_name_has_its_own_grant_and_not_everybodys() -> None:
    asked = worker("shop", routes=("/a", "/b"), not_roots=BOBS)
    both = server(grants={ANYBODY: Grant(routes=("/a",)), "shop": Grant(routes=("/b",))})
    assert [each.message.partition(" needs")[0] for each in refusals(asked, both, FILE)] == ["path: /a"]


@pytest.mark.parametrize(
    ("routes", "others", "asked"),
    [
        (("/shop", "/shop/cart"), [], []),
        (("/shop", "/shop/cart"), ["/", "/cart", "/shopping"], []),
        (("/shop/cart",), ["/shop"], ["/shop/cart"]),
        (("/shop/cart/2",), ["/shop/cart"], ["/shop/cart/2"]),
        (("/shop/cart",), ["/shop/cart"], ["/shop/cart"]),
        (("/shop",), ["/shop"], []),  # contests.py decides which of them gets it
    ],
)
def test_below_its_own_name_it_takes_nothing_from_another(
    routes: tuple[str, ...], others: list[str], asked: list[str]
) -> None:
    owners = {route: {"another"} for route in others} | {"/shop": {"shop", *(["another"] if "/shop" in others else [])}}
    found = refusals(worker("shop", routes=routes, not_roots=BOBS), server(), FILE, {}, owners)
    assert [each.message.partition(" needs")[0] for each in found] == [f"path: {route}" for route in asked]
    granted = server(grants={"shop": Grant(routes=tuple(asked))})
    assert refusals(worker("shop", routes=routes, not_roots=BOBS), granted, FILE, {}, owners) == ()


def test_what_a_worker_only_asks_for_is_in_nobodys_way() -> None:
    assert owned_routes(worker("web", routes=("/shop",)), server()) == ("/shop",)
    asked = worker("evil", routes=("/shop", "/evil"), not_roots=BOBS)
    assert owned_routes(asked, server()) == []
    assert owned_routes(asked, server(grants={"evil": Grant(routes=("/shop",))})) == ["/shop"]


def test_what_root_trusts_needs_no_grant() -> None:
    trusted = server(trusted=True)
    shop = worker("shop", routes=("/",), hosts=("x.org",), not_roots=BOBS, limits=limits(memory_max=INFINITY))
    assert refusals(shop, trusted, FILE) == ()
    assert may_name(shop, grant_of(shop, trusted).credentials, "/etc/anything/at/all")


def test_who_may_make_the_folder_of_that_name_has_no_grant() -> None:
    homes = NotRoots(PurePosixPath("/home/bob"), "belongs to uid 1001 (bob)")
    void = server(
        grants={"shop": Grant(routes=("/a",))},
        workers=WorkersSettings(directory=PurePosixPath("/home/bob/w"), port_range=(1, 2), not_roots=homes),
    )
    (refusal,) = refusals(worker("shop", routes=("/a",), not_roots=homes), void, FILE)
    assert refusal.hint == "leave it out, or have workers.directory below a folder of root's: there a grant counts"


@pytest.mark.parametrize("key", ["start", "stop"])
def test_no_request_holds_up_a_boot_or_a_shutdown(key: str) -> None:
    for span in (MAX_START_OF_A_REQUEST + 1, INFINITY):
        timeouts = replace(worker("shop").timeouts, **{key: span})
        (message,) = refused(timeouts=timeouts)
        assert message.startswith(f"timeouts.{key}: ")
        assert refused(timeouts=timeouts, not_roots=None) == []


def test_units_are_compared_by_the_name_that_systemd_knows_them_by() -> None:
    asked = worker("shop", not_roots=BOBS, depends=Depends(after=("sshd.service",), requires=()))
    names = {"sshd.service": "ssh.service"}
    granted = server(grants={"shop": Grant(depends=("ssh.service",))})
    assert refusals(asked, granted, FILE)
    assert refusals(asked, granted, FILE, names) == ()


@pytest.mark.parametrize(
    ("path", "own"),
    [
        (f"{SHOP}/.env", True),
        (f"{SHOP}/a/../b", False),
        (f"{SHOP}/../api/.env", False),
        (f"{SHOP}ping/.env", False),
        ("/etc/shadow", False),
        ("/etc/tqunits/secrets/db", True),
        ("/etc/tqunits/secrets/shop/db", False),
        ("/etc/tqunits/secrets/../shadow", False),
    ],
)
def test_which_files_it_may_name(path: str, *, own: bool) -> None:
    assert may_name(worker("shop", not_roots=BOBS), ["/etc/tqunits/secrets/*"], path) == own
    assert may_name(worker("shop"), [], path)


def test_the_block_to_paste_is_the_smallest_that_allows_all_of_it() -> None:
    asked = worker(
        "shop",
        not_roots=BOBS,
        routes=("/shop", "/cart"),
        hosts=("shop.example",),
        credentials=(("a b", "/etc/a b"), ("c", "/etc/it's")),
        limits=limits(memory_max=2 * GIB, cpu_quota=2_000_000),
    )
    *_, last = refusals(asked, server(grants={ANYBODY: Grant(routes=("/cart",))}), FILE)
    assert str(last.hint).startswith(
        f"leave it out, give the worker to root (chown -R root: {SHOP} && chmod -R go-w {SHOP}), or write in {FILE}: "
    )
    assert pasted(last.hint) == {
        "shop": Grant(
            routes=("/cart",),
            hosts=("shop.example",),
            credentials=("/etc/a b", "/etc/it's"),
            limits={"memory_max": 2 * GIB, "cpu_quota": 2_000_000},
        )
    }


def pasted(hint: str | None) -> Mapping[str, Grant]:
    """The grants that tqunits.yaml has with the line of the hint."""
    line = "grants:" + str(hint).partition(": grants:")[2]
    root = read(line.encode(), "tqunits.yaml").root
    assert isinstance(root, MapNode)
    ((key, value),) = root.entries
    assert key.text == "grants"
    return parse_grants(value)


@given(asks=st.lists(st.sampled_from(sorted(BY_GRANT)), min_size=1, max_size=6, unique=True))
def test_whatever_is_asked_for_the_pasted_block_allows_it(asks: list[str]) -> None:
    asked: dict[str, Any] = {}
    for ask in asks:
        asked |= BY_GRANT[ask][0]
    shop = worker("shop", **{"not_roots": BOBS, **asked})
    *_, last = refusals(shop, server(), FILE)
    granted = pasted(last.hint)
    assert refusals(shop, server(grants=granted), FILE) == ()


@pytest.mark.parametrize(
    ("asked", "bound", "memory", "fits"),
    [
        pytest.param(Share(permyriad=5000), GIB, 2 * GIB, True, id="half of 2 GiB, up to 1 GiB"),
        pytest.param(Share(permyriad=5001), GIB, 2 * GIB, False, id="more than half"),
        pytest.param(Share(permyriad=5000), GIB, 2 * GIB + 4096, False, id="half of a larger host"),
        pytest.param(GIB, Share(permyriad=5000), 2 * GIB, True, id="1 GiB, up to half of 2 GiB"),
        pytest.param(GIB + 1, Share(permyriad=5000), 2 * GIB, False, id="a byte more"),
        pytest.param(Share(permyriad=100), GIB, 0, False, id="a share where nobody has looked"),
        pytest.param(MIB, Share(permyriad=5000), 0, False, id="a size where nobody has looked"),
        pytest.param(Share(permyriad=10000), INFINITY, 0, True, id="no bound"),
    ],
)
@pytest.mark.parametrize("by", ["defaults", "grant"])
def test_a_share_and_a_size_are_compared_on_a_host(
    asked: int | Share, bound: int | Share, memory: int, by: str, *, fits: bool
) -> None:
    worker_of_bobs = worker("shop", not_roots=BOBS, limits=limits(memory_max=asked))
    bounds = limits(memory_max=bound if by == "defaults" else 1)
    granted = {"shop": Grant(limits={"memory_max": bound})} if by == "grant" else {}
    found = refusals(worker_of_bobs, server(grants=granted, bounds=bounds), FILE, memory=memory)
    assert (found == ()) == fits
