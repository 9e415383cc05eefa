"""Whether tqunits.yaml and its drop-ins are what is installed: the digest has to be the one that an
install notes in tq.target."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tqunits.errors import TqunitsError
from tqunits.host.configuration_files import CONFIGURATION, DROP_INS
from tqunits.host.edited_configuration import installed_digest, present_digest
from tqunits.host.sources import load
from tqunits.layout import SYSTEM_LAYOUT, Layout
from tqunits.units import name, unitfile

TEXTS = st.sampled_from(["", "# nothing\n", "mode: development\n", "mode: production\n", "watch: {new: true}\n"])
NAMES = st.sampled_from(["10-a.yaml", "20-b.yaml", ".hidden.yaml", "c.yml", "d.yaml~", "Z.yaml", "ü.yaml"])


def layout_of(root: Path) -> Layout:
    configuration = PurePosixPath(root / "config")
    return replace(SYSTEM_LAYOUT, configuration=configuration, units=PurePosixPath(root / "units"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(main=st.none() | TEXTS, drop_ins=st.dictionaries(NAMES, TEXTS))
def test_it_is_the_digest_that_an_install_notes(roots: Path, main: str | None, drop_ins: dict[str, str]) -> None:
    folder = roots / "config"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / DROP_INS).mkdir(parents=True)
    if main is not None:
        (folder / CONFIGURATION).write_text(main)
    for file, text in drop_ins.items():
        (folder / DROP_INS / file).write_text(text)
    loaded = load(roots, SYSTEM_LAYOUT)
    assert loaded.configuration is not None
    assert present_digest(layout_of(roots)) == loaded.configuration.server.source_hash


def test_what_is_installed_is_read_from_the_target(tmp_path: Path) -> None:
    layout = layout_of(tmp_path)
    assert installed_digest(layout) is None
    Path(layout.units).mkdir()
    target = Path(layout.units / name.TARGET)
    target.write_text("[Unit]\nDescription=tqunits\n")
    assert installed_digest(layout) is None
    target.write_text(f"[Unit]\n[{unitfile.SERVER}]\n{unitfile.SOURCE_HASH}=abc\n")
    assert installed_digest(layout) == "abc"


@pytest.mark.parametrize("place", [CONFIGURATION, f"{DROP_INS}/a.yaml"])
def test_what_is_no_file_is_an_error(tmp_path: Path, place: str) -> None:
    path = tmp_path / "config" / place
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    with pytest.raises(TqunitsError):
        present_digest(layout_of(tmp_path))
