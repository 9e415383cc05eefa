"""Files on disk, and the verbs that are about them: check, docs, init."""

from __future__ import annotations

import json
import os
from pathlib import Path, PurePosixPath

import pytest

from tqunits.cli.main import main
from tqunits.errors import ConfigurationError, Severity
from tqunits.model import SYSTEM_LAYOUT
from tqunits.system.sources import MAX_BYTES, load, load_or_raise

GO = "path: /{name}\ntype: go\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "config").mkdir()
    (tmp_path / "workers").mkdir()
    return tmp_path


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
    configuration, diagnostics = load_or_raise(root, SYSTEM_LAYOUT)
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
    configuration, _ = load_or_raise(root, SYSTEM_LAYOUT)
    assert configuration.server.mode == "development"
    assert configuration.server.workers.directory == PurePosixPath(root / "other")


def test_nothing_there_is_all_defaults(tmp_path: Path) -> None:
    loaded = load(tmp_path, SYSTEM_LAYOUT)
    assert loaded.configuration is not None
    assert loaded.configuration.workers == ()
    assert [f.message for f in loaded.diagnostics] == ["the folder of the workers is not there"]


def test_any_error_raises_with_all_findings(root: Path) -> None:
    add(root, "a", "path: a\ntype: go")
    add(root, "b", "nonsense: 1")
    with pytest.raises(ConfigurationError) as raised:
        load_or_raise(root, SYSTEM_LAYOUT)
    assert len(raised.value.diagnostics) == 4


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


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("below", ["workers/a", "workers/a/config"])
def test_no_link_of_somebody_elses_is_followed_on_the_way(root: Path, below: str) -> None:
    """Else root would read, and show, what the link leads to."""
    add(root, "a")
    (root / below).rename(root / "elsewhere")
    (root / below).symlink_to(root / "elsewhere")
    os.chown(root / "workers", 1234, -1)
    assert (Severity.ERROR, "workers/a/config/worker.yaml", "is a symbolic link, which is not followed") in findings(
        root
    )


def test_whose_a_worker_is(root: Path) -> None:
    add(root, "a")
    configuration, _ = load_or_raise(root, SYSTEM_LAYOUT)
    assert configuration.workers[0].not_roots == PurePosixPath("/tmp")  # everybody may write there


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


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("below", [".", "config", "config/worker.yaml"])
def test_what_somebody_else_owns_is_a_warning(root: Path, below: str) -> None:
    add(root, "a")
    os.chown(root / "workers" / "a" / below, 1234, -1)
    (finding,) = findings(root)
    assert finding[0] is Severity.WARNING
    assert "belongs to uid 1234" in finding[2]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_an_owner_is_named_once_for_each_worker(root: Path) -> None:
    path = add(root, "a")
    for each in (path, path.parent, path.parent.parent):
        os.chown(each, 1234, -1)
    assert len(findings(root)) == 1


def test_the_other_suffix_is_a_warning(root: Path) -> None:
    path = add(root, "a")
    path.rename(path.with_suffix(".yml"))
    assert findings(root) == [(Severity.WARNING, "workers/a/config/worker.yml", "this file is not read")]


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
