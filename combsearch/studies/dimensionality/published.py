"""What "The Effect of Data Dimensionality on Neural Network Prunability" found.

Only its rank correlations are here. The numbers of its tables 1 to 3, weights left by network
and dimension, are not: they could not be had in a form to check, and none is made up. Who has
the paper types a table into a CSV with the columns group, dimension, mean and spread and runs
``combsearch study dimensionality correlate TABLE.csv --paper NAME``; figures show such a file's
values beside those of a run (``plot --paper EXPERIMENT:TABLE.csv``).
"""

from __future__ import annotations

from dataclasses import dataclass

from combsearch.registry import lookup


@dataclass(frozen=True)
class PublishedCorrelation:
    """Spearman's rank correlation of dimension and weights left, as the paper prints it.

    Attributes:
        mean: over 5,000 rollouts of 1,000 draws.
        std: standard deviation over the rollouts.
    """

    mean: float
    std: float


CORRELATIONS = {
    "extrinsic": PublishedCorrelation(-0.22, 0.03),
    "intrinsic": PublishedCorrelation(0.74, 0.01),
    "task": PublishedCorrelation(0.01, 0.03),
}
"""By the dimension that varies: pixels of images, latent coordinates, coordinates of a label."""


def published_correlation(name: str) -> PublishedCorrelation:
    """The paper's correlation of the experiment ``name``.

    Raises:
        UsageError: no such experiment; the line names those there are.
    """
    return lookup("experiment", name, CORRELATIONS)
