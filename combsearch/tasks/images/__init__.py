"""Image data sets in their original formats. Needs numpy, and pillow for JPEG images.

``load_images("cifar10")`` finds the files of a data set, reads them and gives an
``ImageSet``; ``catalogue`` lists the data sets, ``combsearch.fetching`` gets and checks
their files.
"""

from __future__ import annotations

from combsearch.tasks.images.augment import Moves, draw_moves, move_images
from combsearch.tasks.images.catalogue import DATA_SETS
from combsearch.tasks.images.data_set import DataSet
from combsearch.tasks.images.image_set import ImageSet
from combsearch.tasks.images.loading import load_images
from combsearch.tasks.images.places import data_root, find, locate

__all__ = [
    "DATA_SETS",
    "DataSet",
    "ImageSet",
    "Moves",
    "data_root",
    "draw_moves",
    "find",
    "load_images",
    "locate",
    "move_images",
]
