"""While a source writes, no header claims more than its body: both are of one snapshot.

Thousands of reads over HTTP run beside one writer. For each watermark that a header names, the
rows of its own body must hold everything recorded before it; verdicts of `complete` likewise.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from threading import Event, Lock, Thread

import pytest

from app.base.config import Settings
from app.store.engine import Store
from tests.world import System, World, open_world, read_told

START = datetime(2025, 5, 24, 6, tzinfo=UTC)
TEN = timedelta(minutes=10)
READS = 2_000
READERS = 3
FACTS = 3
QUESTS = "/odata/v4/LearnerProgress?$select=learner_key&$filter=module_type eq 'quest'&$top=1"


@pytest.fixture
def world(store: Store, settings: Settings) -> Iterator[World]:
    yield from open_world(store, settings, begins=START)


class Readers:
    """Threads that read on, and what they were told: watermark, how many rows, verdict."""

    def __init__(self, world: World) -> None:
        self.told: list[tuple[datetime | None, int, str, datetime]] = []
        self.over = Event()
        self._caller = world.caller()
        self._failures: list[BaseException] = []
        self._lock = Lock()
        self._threads = [Thread(target=self._read_on) for _ in range(READERS)]

    def __enter__(self) -> "Readers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self._threads:
            thread.join()
        assert self._failures == []

    def _read_on(self) -> None:
        try:
            while not self.over.is_set():
                response = self._caller.get(f"{QUESTS}&$count=true")
                told = read_told(response)
                count = response.json()["@odata.count"]
                with self._lock:
                    target = told.parameters["target"]
                    self.told.append((told.through, count, told.said, target))
        except BaseException as failure:
            self._failures.append(failure)
            raise


def test_every_body_holds_what_its_header_says_is_there(world: World) -> None:
    source = world.system("lms", "quest", "assignments", "catalog")
    made: dict[datetime, int] = {START: 0}
    with Readers(world) as readers:
        begins = START
        while len(readers.told) < READS:
            write_bucket(world, source, begins, made)
            begins += TEN
    lies = [
        one
        for one in readers.told
        if (one[0] is not None and one[1] < rows_before(made, one[0]))
        or (one[2] == "complete" and one[1] < rows_before(made, one[3]))
    ]
    assert lies == []
    assert len(readers.told) >= READS
    assert {one[2].partition(" ")[0] for one in readers.told} >= {"complete", "incomplete"}
    assert len({one[0] for one in readers.told}) > 3


def rows_before(made: dict[datetime, int], moment: datetime) -> int:
    """How many quests were recorded before a moment, as far as anything was."""
    return max(count for boundary, count in made.items() if boundary <= moment)


def write_bucket(world: World, source: System, begins: datetime, made: dict[datetime, int]) -> None:
    """A bucket in all its states: undeclared, short, in flight, matched; and late at its end."""
    moments = [begins + timedelta(minutes=n) for n in range(FACTS)]
    source.records("quest", *moments)
    made[begins + TEN] = made[begins] + FACTS
    world.moves_to(begins + TEN + timedelta(minutes=2))
    source.beats()
    source.declares(begins, begins + TEN)
    first, *others = source.waiting()
    source.sends([first])
    world.works()
    source.sends(others)
    world.moves_to(begins + TEN + timedelta(minutes=16))
    source.beats()
    world.works()
