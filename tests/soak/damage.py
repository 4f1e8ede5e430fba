"""200 damaged shards: each is found, named and set aside, and it alone is computed again.

Shards of a finished run are flipped, cut, emptied, overwritten, lengthened or exchanged. Half of
the time ``combsearch verify`` looks first, else the command of the run comes upon them.

    python tests/soak/damage.py [--count 200] [-o FILE.json]
"""

from __future__ import annotations

import collections
import json
import random
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parents[1]))

import pyarrow.parquet as pq
from soaking import SEARCHES, Call, as_process, check_sound, rows_digest, shard_names, soak

_AT_ONCE = 5


def flipped(data: bytes, rng: random.Random, other: bytes) -> bytes:
    changed = bytearray(data)
    changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def truncated(data: bytes, rng: random.Random, other: bytes) -> bytes:
    return data[: rng.randrange(1, len(data))]


def emptied(data: bytes, rng: random.Random, other: bytes) -> bytes:
    return b""


def overwritten(data: bytes, rng: random.Random, other: bytes) -> bytes:
    start = rng.randrange(len(data) - 8)
    noise = rng.randbytes(min(512, len(data) - start))
    return data[:start] + noise + data[start + len(noise) :]


def lengthened(data: bytes, rng: random.Random, other: bytes) -> bytes:
    return data + rng.randbytes(rng.randrange(1, 100))


def exchanged(data: bytes, rng: random.Random, other: bytes) -> bytes:
    """The whole and sound content of another shard."""
    return other


DAMAGES = (flipped, flipped, truncated, emptied, overwritten, lengthened, exchanged)


def damage_soak(
    folder: Path,
    count: int,
    say: Callable[[str], None] = lambda text: None,
    call: Call = as_process,
    words: Sequence[str] = SEARCHES["phase2"],
) -> dict[str, Any]:
    """``count`` damaged shards, at most five at a time; the figures."""
    rng, run = random.Random(0), folder / "runs" / "hurt"
    command = (*words, "--run=hurt", "--jobs=1")
    expected = call(*command, cwd=folder).report["digest"]
    total, how = len(shard_names(run)), collections.Counter[str]()
    times = 0
    while (done := sum(how.values())) < count:
        hurt = _damage(run, rng, min(rng.randint(1, _AT_ONCE), count - done), how)
        rows = sum(hurt.values())
        if times % 2:
            _verify(folder, run, set(hurt), call)
        again = call(*command, cwd=folder)
        assert (again.report["digest"], again.report["trained_now"]) == (expected, rows)
        if not times % 2:
            assert all(f"shard {name} is damaged" in again.err for name in hurt), again.err
        aside = {path.name for path in (run / "quarantine").iterdir()}
        assert {*hurt} <= aside and not {*hurt} & shard_names(run)
        assert check_sound(run) == total and rows_digest(run) == expected
        times += 1
        say(f"{sum(how.values())} of {count} damaged shards, all found and computed again")
    return {
        "damaged_shards": sum(how.values()),
        "how": dict(how),
        "found_and_quarantined": len(list((run / "quarantine").iterdir())),
        "missed": 0,  # each is asserted above
        "sound_shards_computed_again": 0,
        "repairs": times,
        "digests_equal_to_the_undisturbed_run": times,
    }


def _damage(run: Path, rng: random.Random, count: int, how: Any) -> dict[str, int]:
    """Damage so many shards; name -> rows that it held."""
    found = {}
    names = sorted(shard_names(run))
    for name in rng.sample(names, min(count, len(names))):
        path, change = run / "shards" / name, rng.choice(DAMAGES)
        other = (run / "shards" / rng.choice([n for n in names if n != name])).read_bytes()
        data, rows = path.read_bytes(), pq.read_metadata(path).num_rows
        changed = change(data, rng, other)
        if changed != data and name not in found:
            path.write_bytes(changed)
            found[name] = rows
            how[change.__name__] += 1
    return found


def _verify(folder: Path, run: Path, hurt: set[str], call: Call) -> None:
    """``combsearch verify`` names these and no other, and moves them."""
    before = shard_names(run)
    ended = call("verify", "hurt", "--json", cwd=folder)
    assert ended.code == 4 and all(name in ended.error for name in hurt), ended.err
    assert {name for name, _ in json.loads(ended.out)["quarantined"]} == hurt
    assert shard_names(run) == before - hurt


if __name__ == "__main__":
    soak(__file__, 200, damage_soak)
