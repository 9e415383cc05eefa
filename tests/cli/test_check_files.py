"""How `tqunits check` handles the files that a worker names, and what `diff` shows of them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tqunits.cli.main import main

YAML = "path: /{name}\ntype: exec\ncommand: [bin/x]\n"


@pytest.fixture
def root(roots: Path) -> Path:
    """The worker's folder belongs to another user, so its files are copied; it is trusted, so they
    are looked at."""
    site = roots / "site"
    site.mkdir()
    os.chown(site, 40123, 40123)
    add(site, "api", "environment_file: .env\ncredentials: {token: token}\n")
    return site


def add(root: Path, name: str, yaml: str) -> Path:
    folder = root / "workers" / name
    (folder / "config").mkdir(parents=True)
    (folder / "config/worker.yaml").write_text(YAML.format(name=name) + yaml)
    (folder / "token").write_text("s3cret")
    (folder / ".env").write_text("A=1\n")
    return folder


def check(root: Path, capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> str:
    assert main(["-C", str(root), "--trust", "check", *arguments]) == status
    output = capsys.readouterr()
    return output.out + output.err


def test_files_that_are_right_are_not_mentioned(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(root, capsys, "--strict") == "1 worker, 0 errors, 0 warnings, 0 notes\n"


def test_every_line_that_is_wrong_has_its_place_and_is_not_shown(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = root / "workers/api/.env"
    path.write_text("A=1\nexport B=s3cret\nPORT=3000\n  s3cret\n")
    output = check(root, capsys, status=1)
    assert f"{path}:2:1: error: export is a word of the shell's\n    hint: leave it out: NAME=value\n" in output
    assert f"{path}:3:1: warning: PORT is set by tqunits or systemd: what stands here does not count\n" in output
    assert f"{path}:4:3: error: a line without =\n" in output
    assert "s3cret" not in output


def test_as_json_too(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = root / "workers/api/.env"
    path.write_text("A = 1\n")
    (finding,) = json.loads(check(root, capsys, "--json", status=1))["diagnostics"]
    assert (finding["file"], finding["line"], finding["column"]) == (str(path), 1, 2)


def test_what_is_no_file_is_said_at_its_place_in_the_yaml(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = root / "workers/api"
    (folder / ".env").unlink()
    os.mkfifo(folder / ".env")
    (folder / "token").unlink()
    (folder / "token").symlink_to("/etc/shadow")
    output = check(root, capsys, status=1)
    assert f"{folder}/config/worker.yaml:4:1: error: environment_file: {folder}/.env is a FIFO\n" in output
    assert f"{folder}/config/worker.yaml:5:22: error: credentials: {folder}/token is a symbolic link" in output


def test_a_file_that_is_not_there_may_be_on_another_host(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "workers/api/token").unlink()
    assert "warning: credentials: " in check(root, capsys)
    check(root, capsys, "--strict", status=1)


def test_of_one_worker_only_its_files_are_looked_at(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add(root, "web", "environment_file: .env\n")
    (root / "workers/api/.env").write_text("nonsense\n")
    assert "0 errors" in check(root, capsys, "web")
    assert "1 error" in check(root, capsys, "api", status=1)
    assert "1 error" in check(root, capsys, status=1)


def test_a_file_of_mistakes_alone_does_not_fill_the_screen(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "workers/api/.env").write_text("x\n" * 20_000)
    assert "100 errors" in check(root, capsys, status=1)


def test_the_units_that_are_rendered_name_copies(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-C", str(root), "--trust", "render", "api"]) == 0
    text = capsys.readouterr().out
    assert "LoadCredential=environment-1:/var/lib/tqunits/credentials/api/environment-1\n" in text
    assert "LoadCredential=token:/var/lib/tqunits/credentials/api/token\n" in text
    assert "/workers/api/.env\n" in text
    assert "s3cret" not in text


def test_a_diff_shows_no_secret(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-C", str(root), "--trust", "diff"]) == 2
    text = capsys.readouterr().out
    copy = "/var/lib/tqunits/credentials/api/token"
    assert f"--- /dev/null\n+++ {copy}\n# 0 bytes become 6; what they are is not shown\n" in text
    assert "s3cret" not in text


def test_a_file_that_is_refused_is_named_by_no_unit(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A worker that can not run on this host is still rendered."""
    folder = add(root, "off", "enabled: false\ncredentials: {token: token}\n")
    (folder / "token").unlink()
    (folder / "token").symlink_to("/etc/shadow")
    assert main(["-C", str(root), "--trust", "render", "off"]) == 0
    assert "LoadCredential=token:/var/lib/tqunits/credentials/off/token\n" in capsys.readouterr().out
    assert main(["-C", str(root), "--trust", "diff"]) == 2
    assert "+++ /var/lib/tqunits/credentials/off" not in capsys.readouterr().out


def test_a_folder_of_which_no_file_is_served_is_said_at_its_place(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = add(root, "docs", "static: {directory: public}\n")
    yaml = folder / "config/worker.yaml"
    said = f"{yaml}:4:10: warning: static.directory: no file of {folder}/public is served: "
    assert f"{said}it is not there\n" in check(root, capsys)
    (folder / "public").mkdir(mode=0o700)
    output = check(root, capsys)
    assert f"{said}others may not enter {folder}/public\n    hint: chmod o+x {folder}/public\n" in output
    (folder / "public").chmod(0o755)
    assert "public" not in check(root, capsys)
