"""Doubles as the decimals they are written as, in Python as PostgreSQL has them."""

from decimal import ROUND_HALF_UP, Context, Decimal
from fractions import Fraction
from math import copysign, inf, isfinite, nextafter

# Holds what is left of any two doubles, and sums of any: both have less than 700 digits.
ANY_SIZE = Context(prec=1000, rounding=ROUND_HALF_UP)
# Where the last of 15 digits of the least number stands that is reckoned with.
FINEST = 321
# So much of a double is the greatest one below it.
JUST_BELOW = "0.9999999999999999"


def fewest_digits(number: float) -> str:
    """The shortest text that is nearer to this double than to any other, and not halfway."""
    if abs(number) < 2**53:
        # What is halfway has more digits than any double needs.
        return repr(number)
    near = [nextafter(number, way) for way in (inf, -inf)]
    halfway = {Fraction(number) + Fraction(other) for other in near if isfinite(other)}
    for text in (repr(number), *(f"{number:.{count}e}" for count in range(16))):
        if float(text) == number and 2 * Fraction(text) not in halfway:
            return text
    return f"{number:.16e}"


def fifteen_digits(number: float) -> Decimal:
    """A double as PostgreSQL casts it to a decimal, to `FINEST` places."""
    digits = Decimal(f"{number:.15g}")
    if -1e-306 < number < 1e-306:
        return ANY_SIZE.quantize(digits, Decimal((0, (1,), -FINEST)))
    return digits


def decimal_remainder(left: float, right: float) -> float:
    """What is left of a division cut towards zero, of two numbers in their fewest digits.

    It has the sign of the left one and is nearer to zero than the right one, which is not zero.
    """
    digits = (Decimal(fewest_digits(number)) for number in (left, right))
    rest = float(ANY_SIZE.remainder(*digits))
    if abs(rest) >= abs(right):
        return copysign(abs(right) * float(JUST_BELOW), rest)
    return rest + 0.0
