"""All masks of a shape, each once, in order of their nonzeros; see ``space``."""

from combsearch.enumeration.space import SYMMETRIES, MaskSpace, mask_space

__all__ = ["SYMMETRIES", "MaskSpace", "mask_space"]
