r"""Pack the masks of a search for a machine that has only PyTorch and numpy.

    python results/gpu/masks.py runs/7x3x3.masks phase2 --shape 7,3,3 --restarts 1 --all \
        --cells 0.05:cosine

takes the settings of ``combsearch phase2`` or ``combsearch exhaust`` and writes the masks that
this command would train, in its order, with everything else that decides its rows. Needs
what combsearch needs; ``search.py`` trains the file anywhere.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from combsearch import durable
from combsearch.commands.settings import command_settings, flag
from combsearch.errors import CombsearchError, UsageError
from combsearch.mask import MaskBatch
from combsearch.packed_masks import PackedMasks, write_packed
from combsearch.search.mask_plan import MaskPlan
from combsearch.search_config import ExhaustConfig, Phase2Config

_KINDS = {"phase2": Phase2Config, "exhaust": ExhaustConfig}
_BATCH = 2**16  # masks made at once
# The file decides what is trained; that it is trained by another backend changes no row.
_TRAINER = "fused"


def pack(plan: MaskPlan, path: Path) -> PackedMasks:
    """Write the masks of a search and what else decides its rows."""
    if plan.initial is not None:
        raise UsageError("masks for one initialisation cannot be packed: leave out --init")
    facts = {
        "command": plan.command,
        "config": plan.config.to_json(),
        "identity": plan.identity(),
        "block": plan.block,
        "restarts": {str(s.nonzeros): s.restarts for s in plan.segments},
        "cuts": [0, *(lot.last for lot in plan.lots)],
    }
    return write_packed(path, _batches(plan), facts)


def _batches(plan: MaskPlan) -> Iterator[MaskBatch]:
    """The masks of every segment, in the order of their ranks."""
    for segment in plan.segments:
        for start in range(segment.rank, segment.rank + segment.masks, _BATCH):
            stop = min(start + _BATCH, segment.rank + segment.masks)
            yield plan.piece_masks(segment, range(start, stop))


def _settings(arguments: list[str]) -> tuple[Path, Any]:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("path", type=Path, help="file to write")
    commands = parser.add_subparsers(dest="command", required=True, help="whose masks")
    for command, kind in _KINDS.items():
        own = commands.add_parser(command, help=f"settings of combsearch {command}")
        for field in dataclasses.fields(kind):
            names = ["--all"] if field.name == "every_level" else [flag(field.name)]
            more: Any = {"nargs": "?", "const": "true"} if isinstance(field.default, bool) else {}
            own.add_argument(*names, dest=field.name, help=field.metadata["help"], **more)
    given = vars(parser.parse_args(arguments)) | {"trainer": _TRAINER}
    return given["path"], command_settings(given["command"], _KINDS[given["command"]], given).config


def main(arguments: list[str]) -> int:
    """Run the script; its exit code."""
    try:
        path, config = _settings(arguments)
        durable.make_folder(path.parent)  # what fails shall fail before the masks are made
        durable.check_folder_writable(path.parent)
        packed = pack(MaskPlan.of(config), path)
    except CombsearchError as error:
        print(f"masks: {error}", file=sys.stderr)
        return error.exit_code
    size = packed.path.stat().st_size
    print(f"{packed.path}: {len(packed):,} masks, {size / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
