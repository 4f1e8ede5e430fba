"""The constants of the kernels' sigmoid, 1 / (1 + 2**t) with t = -z log2 e, on every device.

2**t is made of its integer part, which goes into the exponent bits, and of a polynomial in
what is left of t.
"""

LIMIT = 55.0
"""z is held within ±LIMIT, so that the exponent neither over- nor underflows."""

MINUS_LOG2E = -1.4426950408889634

ROUND = 1.5 * 2.0**23
"""Added to t, it rounds t to an integer that then stands in the low bits of the sum."""

# Least squares in the relative error at 64 Chebyshev points, rounded to float32. Constants,
# because a fit could differ from machine to machine.
EXP2 = (
    1.0000001192092896,
    0.6931469440460205,
    0.24022121727466583,
    0.05550742521882057,
    0.009675459936261177,
    0.0013266970636323094,
)
"""Coefficients of 2**f on [-1/2, 1/2], from f**0 up; relative error 2e-7."""
