"""Which workers run releases, and by which line of their units."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath

import pytest

from tqunits.host.routes import routes_snapshot
from tqunits.model import Instance, Mode, NotRoots, Profile, Relaxation, Sandbox, Static, Worker, WorkerType
from tqunits.units import release_mount, sandbox, unitfile
from tqunits.units.folder_note import FolderUse
from units.cases import build, case, target, worker

STANDARD = Sandbox(profile=Profile.STANDARD, relaxations=())


def in_folder(folder: str, **changes: object) -> Worker:
    return worker("api", folder=PurePosixPath(folder), command=("python3", "main.py"), **changes)


def owned(folder: str, first: str) -> Worker:
    return in_folder(folder, not_roots=NotRoots(PurePosixPath(first), "ann may write there"))


def files(directory: str, *, folder: str = "/srv/api", **changes: object) -> Worker:
    """A worker of static files alone."""
    return in_folder(folder, type=WorkerType.STATIC, static=Static(directory=directory, prefix="/"), **changes)


@pytest.mark.parametrize(
    ("one", "part"),
    [
        (files("public"), "public"),
        (files("a/b/"), "a/b"),
        (files("/srv/api/public"), "public"),
        (files("/var/www"), None),
        (files("/srv/api2/public"), None),
        (files("../web/public"), None),
        (files("public", writable=("data", "public-notes")), "public"),
        (files("public", writable=("public",)), None),
        (files("data/public", writable=("data",)), None),
        (files("public", writable=("public/up",)), None),
        (in_folder("/srv/api", static=Static(directory="public", prefix="/")), None),
    ],
    ids=["usual", "below", "absolute", "abroad", "a name alike", "up", "others", "written", "in", "in it", "unasked"],
)
def test_which_files_are_those_of_the_release(one: Worker, part: str | None) -> None:
    assert release_mount.served_part(one) == (None if part is None else PurePosixPath(part))


@pytest.mark.parametrize("one", [in_folder("/srv/api"), files("public")], ids=["program", "files"])
def test_in_development_mode_nobody_does(one: Worker) -> None:
    """Neither an instance nor the router follows a link that is there from before."""
    site = case(one, mode=Mode.DEVELOPMENT)
    (found,) = site.configuration.workers
    assert release_mount.obstacle(found, site.target) == "in development mode a worker runs from its folder"
    assert release_mount.directives(found, Instance("api"), site.target) == ()
    assert "/releases/" in routes_snapshot(case(files("public")).configuration, site.target, {})
    assert "/releases/" not in routes_snapshot(site.configuration, site.target, site.ports())


@pytest.mark.parametrize(
    ("build_command", "mode", "use"),
    [
        ((), Mode.DEVELOPMENT, FolderUse.PLAIN),
        (("make",), Mode.DEVELOPMENT, FolderUse.BUILT),
        (("make",), Mode.PRODUCTION, None),
    ],
    ids=["plain", "built", "production"],
)
def test_its_unit_notes_how_a_deploy_takes_the_folder(
    build_command: tuple[str, ...], mode: Mode, use: FolderUse | None
) -> None:
    """A change of the note restarts nobody."""
    text = case(in_folder("/srv/api", build=build(*build_command)), mode=mode).drop_in("api")
    found = unitfile.ledger(text)
    assert found is not None
    assert found.folder_use is use
    assert found.restart_hash == unitfile.restart_hash(text)


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (in_folder("/srv/api"), ""),
        (in_folder("/srv/a b/api"), ""),
        (owned("/srv/api", "/srv/api"), ""),
        (owned("/srv/api", "/srv/api/src"), ""),
        (owned("/srv/ann/api", "/srv/ann"), "somebody else than root may rename a folder above"),
        (owned("/srv/api", "/etc/passwd"), "somebody else than root may rename a folder above"),
        (in_folder("/home/ann/api"), "its sandbox hides the folder above it"),
        (in_folder("/tmp/api"), "its sandbox hides the folder above it"),
        (files("public"), ""),
        (files("public", folder="/home/ann/api", not_roots=NotRoots(PurePosixPath("/home/ann"), "is ann's")), ""),
        (files("/var/www"), "its static.directory is outside of its folder"),
        (files("public", build=replace(worker("w").build, command=("hugo",))), "nothing is built for"),
        (
            in_folder("/srv/api", sandbox=replace(STANDARD, relaxations=(Relaxation.WRITABLE_CODE,))),
            "it may write its own folder",
        ),
    ],
    ids=[
        "usual",
        "a space",
        "its owner's",
        "below",
        "above",
        "elsewhere",
        "a home",
        "temporary",
        "files",
        "at home",
        "abroad",
        "built",
        "writable",
    ],
)
def test_who_can_run_releases(one: Worker, why: str) -> None:
    found = release_mount.obstacle(one, target())
    assert found.startswith(why) if why else found == ""
    assert bool(release_mount.directives(one, Instance("api"), target())) is not bool(why)


def test_nobody_does_with_a_service_manager_of_his_own() -> None:
    assert "--user" in release_mount.obstacle(in_folder("/srv/api"), target(user_mode=True))


def test_a_path_that_no_unit_can_express_stays_as_it_is() -> None:
    assert release_mount.obstacle(in_folder('/srv/a"b'), target(systemd=257)) != ""
    assert release_mount.obstacle(in_folder('/srv/a"b'), target(systemd=252)) == ""


def test_what_no_unit_can_mount_into_a_release_is_written_in_the_folder_itself() -> None:
    one = in_folder("/srv/api", writable=("data", 'a"b'))
    assert 'no unit can mount /srv/api/a"b,' in release_mount.obstacle(one, target(systemd=257))
    assert release_mount.obstacle(one, target(systemd=252)) == ""
    rows = sandbox.directives(one, (), systemd=257, user_mode=False)
    assert [row for row in rows if row[0] in {"BindPaths", "ReadWritePaths"}] == [
        ("BindPaths", '"/srv/api/data"'),
        ("ReadWritePaths", r'"/srv/api/a\"b"'),
    ]


@pytest.mark.parametrize("number", [1, 2])
def test_each_instance_has_a_link_of_its_own_and_its_folders_are_the_real_ones(number: int) -> None:
    one = replace(
        in_folder("/srv/a b%c", writable=("data", "files/up")), scaling=replace(worker("w").scaling, min_workers=2)
    )
    whose = Instance("api", number)
    file = next(each for each in case(one).files() if each.unit == f"tq-worker@{whose}.service")
    rows = [
        (each.name, each.value) for each in unitfile.parse(file.content) if each.name.startswith(("Bind", "ReadWrite"))
    ]
    assert rows == [
        ("BindReadOnlyPaths", f'-/var/lib/tqunits/releases/api/runs/{number}:"/srv/a b%%c"'),
        ("BindPaths", '"/srv/a b%%c/data"'),
        ("BindPaths", '"/srv/a b%%c/files/up"'),
    ]
