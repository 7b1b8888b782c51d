"""An address that fails too often is refused; its neighbours are not."""

import pytest

from app.access.limits import FailureLimit
from app.base.errors import TooManyFailures


def test_each_address_has_its_own_count() -> None:
    failures = FailureLimit(per_min=2)
    for _ in range(2):
        failures.check_address("192.0.2.1")
        failures.note_failure("192.0.2.1")
    with pytest.raises(TooManyFailures) as raised:
        failures.check_address("192.0.2.1")
    assert raised.value.retry_after_s == 60
    failures.check_address("192.0.2.2")
