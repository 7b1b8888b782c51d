"""What is in memory when a door has opened stays there: no search for garbage is due in it."""

import gc


def settle_memory() -> None:
    """Leave everything that is in memory now out of all later searches for garbage.

    Modules, models and routes are some hundred thousand objects that live to the end. To search
    them again and again costs a quarter of the time of ingest.
    """
    gc.collect()
    gc.freeze()
