"""What a door has loaded is left out of searches for garbage; what comes later is not."""

import ctypes
import gc
import subprocess
import sys
import weakref

import pytest

from app.base.memory import settle_memory

_FAULTS = """
import resource
from app.base.memory import settle_memory
{settled}
def answer():
    bytes(range(256)) * 16_384, bytes(range(256)) * 16_384
answer()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    answer()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


class Ring:
    """Something that refers to itself, so that only a search finds that it is garbage."""

    def __init__(self) -> None:
        self.self = self


def test_what_is_loaded_is_not_searched_again_and_later_garbage_is_found() -> None:
    try:
        settle_memory()
        assert gc.get_freeze_count() > 10_000
        gone = weakref.ref(Ring())
        gc.collect()
        assert gone() is None
    finally:
        gc.unfreeze()


@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "mallopt"), reason="this libc takes no word about its memory"
)
def test_the_memory_of_a_large_answer_serves_the_next() -> None:
    assert _faults("") > 20_000
    assert _faults("settle_memory()") < 1_000


def _faults(settled: str) -> int:
    """How often the system had to clear a page for twenty answers of two texts of 4 MiB."""
    command = [sys.executable, "-c", _FAULTS.format(settled=settled)]
    told = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    return int(told.stdout)
