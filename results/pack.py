"""Copy a finished run folder, all rows in one shard: ``python results/pack.py RUN FOLDER``."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from combsearch.store import RunStore, Shard, digest, write_json


def pack(run: Path, folder: Path) -> None:
    """The rows, identity, best network, summary and figures of ``run``, in ``folder``."""
    store = RunStore.attach(run)
    rows = store.read()
    packed = RunStore.open(folder, store.identity)
    packed.write(Shard(0, int(rows["rank"].to_numpy().max()) + 1), rows)
    shutil.copyfile(run / "best.npz", folder / "best.npz")
    summary = json.loads((run / "summary.json").read_text())
    write_json(folder / "summary.json", summary | {"run_folder": folder.as_posix()})
    shutil.copytree(run / "figures", folder / "figures", dirs_exist_ok=True)
    if digest(packed.read()) != digest(rows):
        raise SystemExit(f"{folder} does not hold the rows of {run}")


if __name__ == "__main__":
    pack(Path(sys.argv[1]), Path(sys.argv[2]))
