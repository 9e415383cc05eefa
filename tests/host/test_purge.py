"""The files that uninstall --purge looks for."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from tqunits.errors import TqunitsError
from tqunits.host import purge
from tqunits.host.premises import user_layout


def test_a_users_own_folders_are_looked_for_where_the_layout_has_them(tmp_path: Path) -> None:
    states, configuration, caches = (PurePosixPath(tmp_path / folder) for folder in ("states", "conf", "caches"))
    layout = replace(user_layout(), state=states, configuration=configuration, cache=caches)
    made = [Path(folder / "workers/shop") for folder in (states, configuration, caches)]
    for folder in made:
        folder.mkdir(parents=True)
    assert purge.folders_of("shop", layout) == made
    assert [each.name for each in purge.remains(layout, ())] == ["shop"]


def test_what_any_instance_has_left_is_its_workers(tmp_path: Path) -> None:
    state = PurePosixPath(tmp_path / "states")
    layout = replace(user_layout(), state=state, configuration=state, cache=PurePosixPath(tmp_path / "caches"))
    made = {each: Path(state / "workers" / each) for each in ("shop", "shop:2", "shop:12", "shop-v2", "lone:2", "Shop")}
    for folder in made.values():
        folder.mkdir(parents=True)
    assert {*purge.folders_of("shop", layout)} == {made[each] for each in ("shop", "shop:2", "shop:12")}
    assert [each.name for each in purge.remains(layout, ["shop-v2"])] == ["lone", "shop"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a folder away")
def test_what_the_manager_has_put_a_link_in_the_place_of_is_not_removed_elsewhere(tmp_path: Path) -> None:
    """Its folder is its own, and a purge is root's."""
    layout = replace(user_layout(), state=PurePosixPath(tmp_path / "state"), cache=PurePosixPath(tmp_path / "cache"))
    roots = tmp_path / "roots" / "shop.json"
    roots.parent.mkdir()
    roots.write_text("root's")
    managers = Path(layout.manager_state)
    managers.mkdir(parents=True)
    os.symlink(roots.parent, managers / "orders")
    (managers / "deploys").mkdir()
    (managers / "deploys" / "shop.json").symlink_to(roots)
    for path in (managers, managers / "deploys", managers / "orders", managers / "deploys" / "shop.json"):
        os.chown(path, 65534, 65534, follow_symlinks=False)
    with pytest.raises(TqunitsError, match="could not be removed"):
        purge.purge("shop", layout, purge.Folders({}, tmp_path), lambda _: None)
    assert roots.read_text() == "root's"
    (managers / "orders").unlink()
    assert purge.purge("shop", layout, purge.Folders({}, tmp_path), lambda _: None) == []
    assert roots.read_text() == "root's"
    assert not os.path.lexists(managers / "deploys" / "shop.json")
