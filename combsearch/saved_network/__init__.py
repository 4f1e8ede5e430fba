"""One network in a file: ``.npz`` and ``.safetensors`` to read and write, ``.onnx`` to write.

A file holds ``weight0`` [out, in], ``bias0`` [out], ``mask0``, ``bias_mask0``, ``weight1``,
... and what is known ``about`` the network: its recipe, seed, accuracy (``about``). Reading
runs no code of a file: nothing is unpickled, sizes are checked before memory is taken.
"""

from combsearch.saved_network.about import NETWORK_FACTS, About, network_facts, run_facts
from combsearch.saved_network.files import (
    SUFFIXES,
    SavedNetwork,
    load_network,
    network_bytes,
    read_network,
    save_network,
)
from combsearch.saved_network.onnx_file import onnx_bytes

__all__ = [
    "NETWORK_FACTS",
    "SUFFIXES",
    "About",
    "SavedNetwork",
    "load_network",
    "network_bytes",
    "network_facts",
    "onnx_bytes",
    "read_network",
    "run_facts",
    "save_network",
]
