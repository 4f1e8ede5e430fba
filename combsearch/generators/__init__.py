"""Class-conditional generators of images, whose latent coordinates can be switched off."""

from combsearch.generators.base import Generator, keep_first
from combsearch.generators.generated import generated_set, generated_task
from combsearch.generators.loading import load_generator

__all__ = ["Generator", "generated_set", "generated_task", "keep_first", "load_generator"]
