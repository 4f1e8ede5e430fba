"""Speed of the enumerator and overhead of phase two; both are part of ``combsearch bench`` too.

python results/bench/masks.py
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from combsearch.commands import bench
from combsearch.trainers import get_trainer

# In a process of its own: the memory is that of the enumerator, its libraries included.
WALK = """
import re, time
from combsearch.enumeration import mask_space
from combsearch.mask import NetShape

for _ in mask_space(NetShape.parse("2,2,2")).stream():  # loads the compiled code
    pass
started = time.perf_counter()
count = sum(map(len, mask_space(NetShape.parse("7,3,3")).stream()))
seconds = time.perf_counter() - started
print(count, seconds, re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
"""


def main() -> None:
    """Measure, and write masks.json beside this file."""
    get_trainer("fused").prepare()  # type: ignore[attr-defined]
    walk = subprocess.run([sys.executable, "-c", WALK], check=True, capture_output=True, text=True)
    count, seconds, kib = map(float, walk.stdout.split())
    report = {
        "masks_of_(7,3,3)": int(count),
        "walk_seconds_tables_included": round(seconds, 3),
        "peak_memory_mib_of_the_process": round(kib / 1024, 1),
        "enumerated_masks_per_second": round(bench._enumeration_rate(24)),
        "mask_search_overhead_(3,3,3)": round(bench._mask_search_overhead(64), 4),
        "machine": bench.machine(),
    }
    text = json.dumps(report, indent=1)
    Path(__file__).with_name("masks.json").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
