"""One rule of the scripts, taken out, and the test that must go red without it."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from service.store import bundle
from service.store.bundle import ScriptSet


class Mutant(NamedTuple):
    """A textual change of one source; `claim` is called with `args` after the runner."""

    rule: str
    source: str
    shipped: str
    mutated: str
    claim: Callable[..., None]
    args: tuple[Any, ...] = ()


def mutated(mutant: Mutant, folder: Path) -> ScriptSet:
    """The shipped script set but for one rule."""
    shutil.copytree(bundle.sources_dir(), folder / "lua")
    source = folder / "lua" / f"{mutant.source}.lua"
    text = source.read_text()
    assert mutant.shipped in text, "the source has changed: change the mutant with it"
    source.write_text(text.replace(mutant.shipped, mutant.mutated, 1))
    return bundle.build(folder / "lua")
