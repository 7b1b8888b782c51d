"""A declared interval against what is applied of it: does it balance, and if not, how? Pure."""

from dataclasses import dataclass

from app.learning.elements import subtract_sums

UNDECLARED = "undeclared"
MATCHED = "matched"
SHORT_OF = "short"
SURPLUS = "surplus"
DIVERGENT = "divergent"
CONFLICTING = "conflict"
QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True)
class Balance:
    """How an interval stands.

    missing, surplus: events; of a divergent interval at least one each
    element: of the one missing event, when exactly one is
    """

    state: str
    missing: int = 0
    surplus: int = 0
    element: bytes | None = None


def balance_interval(
    declared: int | None, declared_sum: bytes | None, *, applied: int, applied_sum: bytes
) -> Balance:
    """Compare what the source says it made with what is applied.

    Since sums are linear, declared minus applied is the sum of what is missing: of one event, its
    element.

    Shape:  declared: None until every shard has declared; declared_sum: None when only counted
    Source: docs/completeness.md, "Buckets"
    """
    if declared is None:
        return Balance(UNDECLARED)
    if applied < declared:
        missing = declared - applied
        if missing > 1 or declared_sum is None:
            return Balance(SHORT_OF, missing=missing)
        return Balance(SHORT_OF, missing=1, element=subtract_sums(declared_sum, applied_sum))
    if applied > declared:
        return Balance(SURPLUS, surplus=applied - declared)
    if declared_sum is not None and declared_sum != applied_sum:
        return Balance(DIVERGENT, missing=1, surplus=1)
    return Balance(MATCHED)
