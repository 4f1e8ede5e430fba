r"""How likely a random mask is to have disconnected weights: exactly, bounded, and simulated.

A kept weight is *disconnected* when no path of kept weights from an input to an output goes
through it. A mask is *whole* when it has none. That is so exactly when every hidden neuron
has kept weights on both sides or on neither: then each kept weight goes on to an output and
back to an input, and a neuron with weights on one side only is where that fails.

Masks are drawn uniformly among those that keep K weights of the whole network
(``kept`` is K), or k_l weights of layer l (``kept`` lists them; layers are independent, as
for random masks by EPL or ERK budgets). Biases play no part here.

**Exact.** A whole mask uses s_l neurons of hidden layer l. Its first matrix has no zero row
on them, its last no zero column, those between neither; all that counts is the s_l::

    whole masks(K) = sum over s of  prod_l C(n_l, s_l)  times the coefficient of x^K in
        ((1+x)^inputs - 1)^s_1  C(s_2, s_1)(x)  C(s_3, s_2)(x) ...  ((1+x)^outputs - 1)^s_last

    C(a, b)(x) = sum over j of (-1)^(b-j) binomial(b, j) ((1+x)^j - 1)^a

C counts a x b matrices without zero row or column by their ones. The sum runs along the
network, one layer at a time, in whole numbers, so nothing is rounded at any width.

**Expected disconnected weights.** Whether the weight's source is fed depends on the layers
before, whether its target leads out on those behind, and whether it is kept on its own
layer; neurons of a layer are alike. So with k_l kept weights in layer l

    E[connected in layer l | k] = k_l  E[fed neurons of layer l-1] / n_(l-1)
                                       E[leading neurons of layer l] / n_l

and for K in all the three are power series in x, multiplied.

**Bound.** Keep each weight by itself with any probability p (any p_l in layer l). A neuron
with a weights in and b out has weights on both sides or on neither with probability

    w = (1 - q^a) (1 - q^b) + q^a q^b,    q = 1 - p.

Neurons of every second hidden layer share no weight, so that holds for all of them with the
product of their w. Given that K weights are kept in all, such a mask is uniform among those
with K, and a whole one has no broken neuron, so

    P(whole) <= (product of w) / P(K kept)

whatever p is. Taken are the best p, and the smaller one of the odd and the even hidden layers.
(At p = K / weights, 1 / P(K kept) is about sqrt(2 pi K q); a larger p is better where K is
small against the neurons. With budgets by layer all odds p_l / q_l are tilted alike.)

``two_layers`` has the theorem of the paper ("Sparsest Models Elude Pruning", appendix L) on
random masks that cut two layers off from each other.
"""

from __future__ import annotations

from combsearch.disconnection.bound import whole_bound
from combsearch.disconnection.expected import disconnected_curve, expected_disconnected
from combsearch.disconnection.simulation import Simulation, simulate
from combsearch.disconnection.whole import whole_curve, whole_probability

__all__ = [
    "Simulation",
    "disconnected_curve",
    "expected_disconnected",
    "simulate",
    "whole_bound",
    "whole_curve",
    "whole_probability",
]
