"""What uninstall --purge looks for."""

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
