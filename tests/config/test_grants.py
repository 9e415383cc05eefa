"""How `grants` of tqunits.yaml is read, from one file and from several."""

from __future__ import annotations

import pytest

from tqunits.model import Grant, Profile, Relaxation
from tqunits.resources import Share

from .parsing import errors, server

ALL = """
grants:
  shop:
    routes: [/shop, /cart/]
    hosts: shop.example
    ports: [9000]
    user: www-data
    group: [adm]
    credentials: [/etc/tqunits/secrets/shop/*]
    environment_files: /etc/default/shop
    static: [/srv/www]
    depends: [postgresql.service]
    limits: {memory_max: 2G, memory_high: 50%, cpu_quota: 200%, tasks_max: infinity}
    sandbox: [legacy, devices]
    unit: [Nice]
    operators: [alice, "%ops"]
  "*": {}
  none:
"""


def test_every_key() -> None:
    result = server(ALL)
    assert errors(result.diagnostics) == []
    assert result.server.grants == {
        "shop": Grant(
            routes=("/shop", "/cart"),
            hosts=("shop.example",),
            ports=(9000,),
            users=("www-data",),
            groups=("adm",),
            credentials=("/etc/tqunits/secrets/shop/*",),
            environment_files=("/etc/default/shop",),
            static=("/srv/www",),
            depends=("postgresql.service",),
            limits={
                "memory_max": 2 << 30,
                "memory_high": Share(permyriad=5000),
                "cpu_quota": 2_000_000,
                "tasks_max": 2**64 - 1,
            },
            sandbox=(Profile.LEGACY, Relaxation.DEVICES),
            unit=("Nice",),
            operators=("alice", "%ops"),
        ),
        "*": Grant(),
        "none": Grant(),
    }


MISTAKES = {
    "no mapping": ("grants: [shop]", "1:9", "grants: takes a mapping of workers' names"),
    "no name": ("grants: {Shop: {}}", "1:10", "grants: 'Shop' is no worker's name"),
    "no key": ("grants: {shop: {route: /x}}", "1:17", "grants: 'route' can not be granted"),
    "no route": ("grants: {shop: {routes: [x]}}", "1:26", "grants: routes: 'x' does not begin with /"),
    "relative": ("grants: {shop: {static: [www]}}", "1:26", "grants: static: 'www' is no absolute path"),
    "climbs": ("grants: {shop: {credentials: /etc/../x}}", "1:30", "grants: credentials: '/etc/../x' climbs with .."),
    "root": ("grants: {shop: {user: root}}", "1:23", "grants: user: a worker never runs as root"),
    "a privileged group": (
        "grants: {shop: {group: docker}}",
        "1:24",
        "grants: group: the group docker is as good as root",
    ),
    "no limit": ("grants: {shop: {limits: {memory: 1G}}}", "1:26", "grants: limits: unknown limit 'memory'"),
    "no size": ("grants: {shop: {limits: {memory_max: lots}}}", "1:38", "grants: limits: 'lots' is not a size"),
    "no value": ("grants: {shop: {limits: {io_weight: null}}}", "1:37", "grants: limits: io_weight has no value"),
    "no directive": (
        "grants: {shop: {unit: [ExecStart]}}",
        "1:24",
        "grants: unit: 'ExecStart' is not passed through by any worker",
    ),
    "no profile": (
        "grants: {shop: {sandbox: lax}}",
        "1:26",
        "grants: sandbox: 'lax' is neither a profile nor a relaxation",
    ),
    "twice": ("grants: {shop: {ports: [9000, 9000]}}", "1:31", "grants: ports: '9000' is in the list twice"),
}


@pytest.mark.parametrize(("yaml", "place", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_said_where_it_stands(yaml: str, place: str, message: str) -> None:
    ((mark, said, _),) = errors(server(yaml).diagnostics)
    assert (mark, said) == (f"tqunits.yaml:{place}", message)


def test_all_mistakes_are_said_at_once() -> None:
    assert len(errors(server("grants: {a: {x: 1, routes: x}, b: {hosts: '*'}}").diagnostics)) == 3


def test_drop_ins_add_names_and_a_name_is_replaced_whole() -> None:
    result = server(
        "grants: {shop: {routes: [/a], hosts: [x.org]}, api: {ports: [9000]}}",
        "grants: {shop: {routes: [/b]}, blog: {routes: [/c]}}",
    )
    assert result.server.grants == {
        "shop": Grant(routes=("/b",)),
        "api": Grant(ports=(9000,)),
        "blog": Grant(routes=("/c",)),
    }


def test_a_clients_connections_are_bounded_by_default() -> None:
    assert server("").server.proxy.max_connections_per_client == 1000


def test_bounds_are_what_a_worker_has_that_writes_nothing() -> None:
    assert server("").server.bounds.memory_max == 512 << 20
    assert server("defaults: {limits: {memory_max: 1G}}").server.bounds.memory_max == 1 << 30
