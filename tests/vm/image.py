"""Makes the image of a recipe, once: a folder build/vm/SUITE-HASH with the disk, the kernel and its
initrd.

Needs root, mmdebstrap and a mirror.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from machine import MachineError

from .folders import CACHE, RUN, locked
from .recipe import Recipe

SIZE = "3G"  # of the disk, in which a thousandth of it is written at first: the file is sparse
BUILD_SECONDS = 600.0
LINK = "-> "


@dataclass(frozen=True, slots=True)
class Image:
    folder: Path

    @property
    def disk(self) -> Path:
        return self.folder / "disk.img"

    @property
    def kernel(self) -> Path:
        return self.folder / "vmlinuz"

    @property
    def initrd(self) -> Path:
        return self.folder / "initrd.img"


def image_of(recipe: Recipe) -> Image:
    """The image of a recipe; it is made if it does not exist."""
    image = Image(CACHE / recipe.name)
    with locked():
        if not image.folder.exists():
            _make(recipe, image)
    return image


def _make(recipe: Recipe, image: Image) -> None:
    """An incomplete image has another name. Images of other recipes for the same Debian are
    removed."""
    for old in CACHE.glob(f"{recipe.suite}-*"):
        shutil.rmtree(old)
    with tempfile.TemporaryDirectory(prefix=RUN, dir=CACHE) as work:
        seed, tree, made = Path(work, "seed"), Path(work, "tree"), Image(Path(work, "image"))
        _lay_down(recipe.early, seed)
        # In a mount namespace of its own: all mounts in the tree end with it in any case.
        _run("unshare", "--mount", *recipe.bootstrap(seed, tree))
        _lay_down(recipe.late, tree)
        made.folder.mkdir()
        for pattern, target in (("vmlinuz-*", made.kernel), ("initrd.img-*", made.initrd)):
            shutil.move(next((tree / "boot").glob(pattern)), target)
        _run("mke2fs", "-q", "-t", "ext4", "-d", str(tree), str(made.disk), SIZE)
        made.folder.rename(image.folder)


def _lay_down(files: Mapping[str, str], root: Path) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        if content.startswith(LINK):
            path.symlink_to(content.removeprefix(LINK))
        else:
            path.write_text(content, encoding="utf-8")


def _run(*argv: str) -> None:
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False
    )
    if done.returncode != 0:
        raise MachineError(f"{' '.join(argv)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
