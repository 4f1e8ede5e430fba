"""Store the PNG files below a folder with 256 colours, a third of their size.

python results/shrink.py results/compare
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from PIL import Image

from combsearch.durable import write_bytes


def main(folder: Path) -> None:
    """Replace each file that becomes smaller; rare colours are kept, gradients coarsened."""
    for path in sorted(folder.rglob("*.png")):
        image = Image.open(path).convert("RGB")
        small = image.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        data = io.BytesIO()
        small.save(data, "PNG", optimize=True)
        if len(data.getvalue()) < path.stat().st_size:
            write_bytes(path, data.getvalue())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
