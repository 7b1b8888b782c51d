"""How many failed authentications an address may have in a minute; counted in this process."""

from dataclasses import dataclass, field

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from app.base.errors import TooManyFailures


def _limiter() -> FixedWindowRateLimiter:
    return FixedWindowRateLimiter(MemoryStorage())


@dataclass(frozen=True, slots=True)
class FailureLimit:
    """The failures of each address, held by the application that was put together.

    per_min: how many an address may have in a minute
    """

    per_min: int
    limiter: FixedWindowRateLimiter = field(default_factory=_limiter)

    def check_address(self, address: str) -> None:
        """Refuse an address that failed too often.

        Raises: TooManyFailures
        """
        if not self.limiter.test(RateLimitItemPerMinute(self.per_min), address):
            raise TooManyFailures(
                f"more than {self.per_min} failed authentications in a minute",
                hint="Check the key, then try again in a minute.",
                retry_after_s=60,
            )

    def note_failure(self, address: str) -> None:
        """Count one more failure of this address."""
        self.limiter.hit(RateLimitItemPerMinute(self.per_min), address)
