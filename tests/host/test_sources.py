"""Files on disk, and the verbs that use them: check, docs, init."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from tqunits.cli.main import main
from tqunits.errors import ConfigurationError, Severity
from tqunits.host.configuration_files import MAX_BYTES
from tqunits.host.sources import load
from tqunits.layout import SYSTEM_LAYOUT
from tqunits.model import NotRoots
from tqunits.system.process import run

GO = "path: /{name}\ntype: go\n"


@pytest.fixture
def root(roots: Path) -> Path:
    (roots / "config").mkdir()
    (roots / "workers").mkdir()
    return roots


def add(root: Path, name: str, content: str | None = None) -> Path:
    path = root / "workers" / name / "config" / "worker.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(GO.format(name=name) if content is None else content, encoding="utf-8")
    path.chmod(0o644)
    return path


def findings(root: Path) -> list[tuple[Severity, str, str]]:
    """Severity, file below the root, message."""
    found = load(root, SYSTEM_LAYOUT).diagnostics
    return [(f.severity, str(Path(f.mark.file).relative_to(root)) if f.mark else "", f.message) for f in found]


def test_workers_are_the_folders_with_a_worker_yaml(root: Path) -> None:
    add(root, "b")
    add(root, "a")
    add(root, ".hidden")
    (root / "workers" / "empty").mkdir()
    (root / "workers" / "README").write_text("no folder")
    loaded = load(root, SYSTEM_LAYOUT)
    configuration, diagnostics = loaded.configured(), loaded.diagnostics
    assert [worker.name for worker in configuration.workers] == ["a", "b"]
    assert configuration.workers[0].folder == PurePosixPath(root / "workers" / "a")
    assert configuration.workers[0].source == PurePosixPath(root / "workers" / "a" / "config" / "worker.yaml")
    assert diagnostics == ()


def test_drop_ins_are_read_in_the_order_of_their_names(root: Path) -> None:
    folder = root / "config" / "tqunits.yaml.d"
    folder.mkdir()
    (folder / "20.yaml").write_text("mode: development")
    (folder / "10.yaml").write_text("mode: production\nworkers: {directory: other}")
    (folder / "30.txt").write_text("not: read")
    (root / "other").mkdir()
    configuration = load(root, SYSTEM_LAYOUT).configured()
    assert configuration.server.mode == "development"
    assert configuration.server.workers.directory == PurePosixPath(root / "other")


def test_nothing_there_is_all_defaults(tmp_path: Path) -> None:
    loaded = load(tmp_path, SYSTEM_LAYOUT)
    assert loaded.configuration is not None
    assert loaded.configuration.workers == ()
    assert [f.message for f in loaded.diagnostics] == ["the folder of the workers is not there"]


def test_an_error_of_the_server_raises_with_all_findings(root: Path) -> None:
    (root / "config/tqunits.yaml").write_text("mode: x")
    add(root, "a", "path: a\ntype: go")
    add(root, "b", "nonsense: 1")
    with pytest.raises(ConfigurationError) as raised:
        load(root, SYSTEM_LAYOUT).configured()
    assert len([f for f in raised.value.diagnostics if f.severity is Severity.ERROR]) == 5


def test_a_wrong_worker_is_left_out_and_named(root: Path) -> None:
    add(root, "a")
    add(root, "b", "nonsense: 1")
    add(root, "c").unlink()
    os.mkfifo(root / "workers/c/config/worker.yaml")
    loaded = load(root, SYSTEM_LAYOUT)
    configuration = loaded.configured()
    assert [worker.name for worker in configuration.workers] == ["a"]
    assert configuration.broken == ("b", "c")
    assert loaded.workers.keys() == {"a", "b", "c"}
    assert [finding.message for finding in loaded.errors_of(["c"])] == ["is no regular file"]


def test_a_link_is_not_followed(root: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("root:secret")
    path = add(root, "a")
    path.unlink()
    path.symlink_to(secret)
    assert findings(root) == [
        (Severity.ERROR, "workers/a/config/worker.yaml", "is a symbolic link, which is not followed")
    ]
    assert "secret" not in str(load(root, SYSTEM_LAYOUT).diagnostics[0].source)


@pytest.mark.parametrize("below", ["workers/a", "workers/a/config"])
def test_no_link_of_somebody_elses_is_followed_on_the_way(root: Path, below: str) -> None:
    """Otherwise root would read and show the target of the link."""
    add(root, "a")
    (root / below).rename(root / "elsewhere")
    (root / below).symlink_to(root / "elsewhere")
    os.chown(root / "workers", 1234, -1)
    assert (Severity.ERROR, "workers/a/config/worker.yaml", "is a symbolic link, which is not followed") in findings(
        root
    )


def test_roots_worker_is_known_by_the_whole_way(root: Path) -> None:
    add(root, "a")
    loaded = load(root, SYSTEM_LAYOUT)
    assert loaded.configured().workers[0].not_roots is None
    assert (loaded.not_roots, loaded.configured().server.workers.not_roots) == (None, None)


def test_where_everybody_may_write_nothing_is_roots(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/tqunits.yaml").write_text("mode: production")
    add(tmp_path, "a")
    not_roots = NotRoots(PurePosixPath("/tmp"), "may be changed by everybody")
    loaded = load(tmp_path, SYSTEM_LAYOUT)
    assert loaded.configured().workers[0].not_roots == not_roots
    assert loaded.configured().server.workers.not_roots == not_roots
    assert loaded.not_roots == not_roots


def test_whose_it_is_does_not_matter_to_who_trusts_it(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/tqunits.yaml").write_text("mode: production")
    add(tmp_path, "a")
    loaded = load(tmp_path, SYSTEM_LAYOUT, trust=True)
    assert loaded.not_roots is None
    assert loaded.configured().server.trusted
    assert loaded.configured().workers[0].not_roots is not None  # this does not decide which paths PID 1 may follow


def test_a_pipe_does_not_block(root: Path) -> None:
    path = add(root, "a")
    path.unlink()
    os.mkfifo(path)
    assert findings(root) == [(Severity.ERROR, "workers/a/config/worker.yaml", "is no regular file")]


def test_a_folder_in_its_place_is_a_finding(root: Path) -> None:
    (root / "config" / "tqunits.yaml").mkdir()
    assert findings(root) == [(Severity.ERROR, "config/tqunits.yaml", "is no regular file")]


def test_a_file_too_large_is_not_read(root: Path) -> None:
    add(root, "a", "#" * (MAX_BYTES + 1))
    assert findings(root) == [(Severity.ERROR, "workers/a/config/worker.yaml", "is larger than 1024 KiB")]


def test_a_file_others_may_write_is_a_warning(root: Path) -> None:
    add(root, "a").chmod(0o664)
    assert [severity for severity, _, _ in findings(root)] == [Severity.WARNING]


@pytest.mark.parametrize("below", [".", "config"])
def test_a_folder_in_which_others_may_write_is_a_warning(root: Path, below: str) -> None:
    add(root, "a")
    (root / "workers" / "a" / below).chmod(0o777)
    (finding,) = findings(root)
    assert finding[0] is Severity.WARNING
    assert "others may write in this folder" in finding[2]


def give_to_a_group(path: Path) -> None:
    os.chown(path, 0, 4)
    path.chmod(0o775)


@pytest.mark.parametrize("below", [".", "config", "config/worker.yaml"])
@pytest.mark.parametrize(
    ("change", "because"),
    [
        pytest.param(lambda path: os.chown(path, 1234, -1), "belongs to uid 1234, who has no name", id="foreign owner"),
        pytest.param(lambda path: os.chown(path, 33, -1), "belongs to uid 33 (www-data)", id="owner"),
        pytest.param(lambda path: path.chmod(0o777), "may be changed by everybody", id="everybody"),
        pytest.param(give_to_a_group, "may be changed by gid 4 (adm)", id="group"),
    ],
)
def test_what_makes_a_worker_a_request(root: Path, below: str, change: Callable[[Path], object], because: str) -> None:
    add(root, "a")
    add(root, "b")
    changed = root / "workers" / "a" / below
    change(changed)
    loaded = load(root, SYSTEM_LAYOUT)
    one, other = loaded.configured().workers
    assert one.not_roots is not None
    assert one.not_roots.path == PurePosixPath(changed)
    assert one.not_roots.because.startswith(because)
    assert other.not_roots is None
    assert loaded.not_roots == one.not_roots  # with -C root must own all files that are read


GRANTS = "grants: {a: {routes: [/x]}}\n"


def test_grants_count_in_etc_alone(root: Path) -> None:
    (root / "config/tqunits.yaml").write_text(GRANTS)
    loaded = load(root, SYSTEM_LAYOUT)
    assert loaded.configured().server.grants == {}
    assert [f.message for f in loaded.diagnostics] == ["grants: none of them counts: this is not /etc/tqunits"]


@pytest.mark.parametrize("place", ["config/tqunits.yaml", "config", "workers"])
def test_grants_count_where_all_is_roots(root: Path, place: str) -> None:
    host = replace(SYSTEM_LAYOUT, configuration=PurePosixPath(root / "config"))
    (root / "config/tqunits.yaml").write_text(f"workers: {{directory: {root}/workers}}\n{GRANTS}")
    assert load(None, host).configured().server.grants["a"].routes == ("/x",)
    os.chown(root / place, 1234, -1)
    loaded = load(None, host)
    assert loaded.configured().server.grants == {}
    assert [f.message for f in loaded.diagnostics] == [
        f"grants: none of them counts: {root / place} belongs to uid 1234, who has no name on this host"
    ]


ELSEWHERE = {
    "another suffix": (
        "config/worker.yml",
        "mv {root}/workers/a/config/worker.yml {root}/workers/a/config/worker.yaml",
    ),
    "the folder's root": (
        "worker.yaml",
        "mkdir -p {root}/workers/a/config && mv {root}/workers/a/worker.yaml {root}/workers/a/config/worker.yaml",
    ),
    "both": (
        "worker.yml",
        "mkdir -p {root}/workers/a/config && mv {root}/workers/a/worker.yml {root}/workers/a/config/worker.yaml",
    ),
}


@pytest.mark.parametrize(("place", "hint"), ELSEWHERE.values(), ids=ELSEWHERE)
def test_a_workers_file_in_another_place_is_that_workers_mistake(root: Path, place: str, hint: str) -> None:
    add(root, "b")
    path = add(root, "a")
    path.rename(root / "workers/a" / place)
    if place != "config/worker.yml":
        path.parent.rmdir()
    assert findings(root) == [
        (Severity.ERROR, f"workers/a/{place}", "this file is not read: a worker's is config/worker.yaml")
    ]
    loaded = load(root, SYSTEM_LAYOUT)
    assert [worker.name for worker in loaded.configured().workers] == ["b"]
    assert loaded.configured().broken == ("a",)
    assert [str(finding.mark) for finding in loaded.errors_of(["a"])] == [f"{root}/workers/a/{place}:1:1"]
    (told,) = (finding.hint for finding in loaded.diagnostics)
    assert told == hint.format(root=root)
    assert told is not None
    assert run(["sh", "-c", told]).returncode == 0
    assert findings(root) == []


def test_check_says_what_it_found(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add(root, "a", "path: /a\ntype: go\nscaling: {max_workers: 2}")
    path = add(root, "b", "path: /b\ntype: go\nlimits: {memory_mx: 256M}")
    assert main(["-C", str(root), "check"]) == 1
    output = capsys.readouterr()
    assert output.out == "2 workers, 1 error, 0 warnings, 1 note\n"
    assert output.err.endswith(
        f"{path}:3:10: error: unknown key 'memory_mx'\n"
        "    limits: {memory_mx: 256M}\n"
        "             ^\n"
        "    hint: did you mean 'memory_max'?\n"
    )


def test_check_of_one_worker_leaves_the_others_out(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add(root, "a")
    add(root, "b", "path: b\ntype: go")
    assert main(["-C", str(root), "check", "a"]) == 0
    assert capsys.readouterr().out == "1 worker, 0 errors, 0 warnings, 0 notes\n"
    assert main(["-C", str(root), "check", "c"]) == 4


def test_check_as_json(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = add(root, "a", "path: a\ntype: go")
    assert main(["-C", str(root), "check", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["schema"], document["workers"], document["errors"]) == ("tqunits.check", ["a"], 1)
    assert document["diagnostics"] == [
        {
            "severity": "error",
            "file": str(path),
            "line": 1,
            "column": 7,
            "message": "path: 'a' does not begin with /",
            "hint": "write /a",
        }
    ]


def test_strict_check_fails_on_warnings(root: Path) -> None:
    add(root, "a", "path: /a\ntype: go\nlisten: unix\nport: 9000")
    assert main(["-C", str(root), "check"]) == 0
    assert main(["-C", str(root), "check", "--strict"]) == 1


@pytest.mark.parametrize("form", [[], ["--json"], ["--markdown"]], ids=["text", "json", "markdown"])
def test_docs_print_a_setting(capsys: pytest.CaptureFixture[str], form: list[str]) -> None:
    assert main(["docs", "limits.memory_max", *form]) == 0
    output = capsys.readouterr().out
    assert "limits.memory_max" in output
    assert "MemoryMax=" in output


def test_docs_of_an_unknown_setting_say_which_was_meant(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["docs", "memory_max"]) == 2
    assert "did you mean 'limits.memory_max'?" in capsys.readouterr().err


def test_init_writes_what_check_takes_and_overwrites_nothing(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-C", str(root), "init", "hello", "--type", "python"]) == 0
    folder = root / "workers" / "hello"
    assert {str(path.relative_to(folder)) for path in folder.rglob("*.*")} == {"config/worker.yaml", "src/main.py"}
    assert main(["-C", str(root), "check", "--strict"]) == 0
    before = (folder / "config" / "worker.yaml").read_bytes()
    assert main(["-C", str(root), "init", "hello"]) == 1
    assert (folder / "config" / "worker.yaml").read_bytes() == before
    assert "is there already" in capsys.readouterr().err


def test_init_refuses_what_is_no_name(tmp_path: Path) -> None:
    assert main(["init", f"{tmp_path}/No Name"]) == 2
    assert list(tmp_path.iterdir()) == []
