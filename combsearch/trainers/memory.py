"""How many networks fit side by side: bytes one needs, bytes there are."""

from __future__ import annotations

import os
import torch

from combsearch.nets import NetBatch, mean_loss
from combsearch.trainers.flat import Layout

# Working set of a chunk on a CPU, about the share of the last-level cache that a core
# can count on: narrow and wide networks were both quickest near it.
CPU_BYTES = 16 * 2**20
