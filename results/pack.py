"""Copy a run folder, all rows in one shard: ``python results/pack.py RUN FOLDER``.

Of a run of descend come the best network of every level, not the states of its beam. A sweep
comes without figures, which ``compare`` draws, and one that is not finished with its shards as
they are: its command continues it.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from combsearch.commands.mask_search import begin
from combsearch.search.saved_plan import KINDS, saved_plan
from combsearch.store import RunStore, Shard, digest, write_json


def pack(run: Path, folder: Path) -> None:
    """The rows, identity, best network, summary and figures of ``run``, in ``folder``."""
    store = RunStore.attach(run)
    packed = RunStore.open(folder, store.identity)
    if not (run / "summary.json").exists():
        shutil.copytree(run / "shards", folder / "shards", dirs_exist_ok=True)
        return
    summary = json.loads((run / "summary.json").read_text())
    if store.identity["command"] == "descend":
        shutil.copytree(run / "frontier", folder / "frontier", dirs_exist_ok=True)
    else:
        rows = store.read(last=_end(store))
        packed.write(Shard(0, _end(store)), rows)
        if not digest(packed.read(), store.kind) == digest(rows, store.kind) == summary["digest"]:
            raise SystemExit(f"{folder} does not hold the rows of {run}")
    if (run / "best.npz").exists():  # a sweep has none: its rows hold a network a budget
        shutil.copyfile(run / "best.npz", folder / "best.npz")
    write_json(folder / "summary.json", summary | {"run_folder": folder.as_posix()})
    if store.identity["command"] != "prune":
        shutil.copytree(run / "figures", folder / "figures", dirs_exist_ok=True)


def _end(store: RunStore) -> int:
    """The rank after the last that counts."""
    if store.identity["command"] in KINDS:
        return begin(saved_plan(store), store, quarantine=False).end
    return int(store.read(["rank"])["rank"].to_numpy().max()) + 1


if __name__ == "__main__":
    pack(Path(sys.argv[1]), Path(sys.argv[2]))
