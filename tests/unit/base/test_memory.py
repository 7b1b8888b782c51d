"""What a door has loaded is left out of searches for garbage; what comes later is not."""

import gc
import weakref

from app.base.memory import settle_memory


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
