"""The files that uninstall --purge looks for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath

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
