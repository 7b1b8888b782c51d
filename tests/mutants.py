"""Faults put into a copy of the program, one for each known way to lose work; each must be caught.

`python -m tests.mutants` copies `app`, changes some text, lets the acts of the state machine run on
the copy in a process of its own, and tells which law broke. The checkout is never touched.
"""

import importlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RUNS = int(os.environ.get("FULLCOUNT_TEST_MUTANT_RUNS", "60"))
_PATIENCE_S = 300.0
# What all copies have in common is loaded once, before the children are made.
_SHARED = ("orjson", "psycopg", "pydantic_settings", "pytest", "sqlmodel", "time_machine")


@dataclass(frozen=True, slots=True)
class Mutant:
    """One fault.

    way: how work was lost by it, in one system or another
    edits: file below `app`, a text that is there once, the text in its place
    story: what is played on it (tests/mutant_stories.py)
    """

    name: str
    way: str
    edits: tuple[tuple[str, str, str], ...]
    story: str = "acts"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What became of a mutant.

    told: the law that it broke, in a sentence; empty where it survived
    """

    mutant: Mutant
    told: str
    took_s: float


CONTROL = Mutant("control", "nothing is changed", ())

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "work_key_without_environment",
        "the key lacks the environment: work of one marks the rows of another",
        (
            (
                "store/work.py",
                "(environment_id, entity_key, dirty_seq, 0, EPOCH,",
                "(1, entity_key, dirty_seq, 0, EPOCH,",
            ),
        ),
    ),
    Mutant(
        "incident_of_2024",
        "the key lacks the environment, as it was met: eight environments with the same entities",
        (
            (
                "store/work.py",
                "(environment_id, entity_key, dirty_seq, 0, EPOCH,",
                "(1, entity_key, dirty_seq, 0, EPOCH,",
            ),
        ),
        story="incident",
    ),
    Mutant(
        "identity_without_environment",
        "the key lacks the environment: what another has sent passes for a duplicate",
        (
            (
                "intake/journal.py",
                "                    event.c.environment_id == environment_id,\n"
                "                    event.c.source_id == source_id,\n"
                "                    event.c.event_id.in_(event_ids[start : start + _LOOKUP_COUNT]"
                "),\n                )\n",
                "                    event.c.source_id == source_id,\n"
                "                    event.c.event_id.in_(event_ids[start : start + _LOOKUP_COUNT]"
                '),\n                ),\n                execution_options={"across_environments": '
                '"a fault"},\n',
            ),
        ),
    ),
    Mutant(
        "fold_without_environment",
        "the key lacks the environment: events of another are folded too",
        (
            (
                "processing/journal.py",
                "            event.c.environment_id == environment_id,\n"
                "            AmongTexts(event.c.entity_key,",
                "            AmongTexts(event.c.entity_key,",
            ),
            (
                "processing/journal.py",
                "            are_wanted,\n        )\n",
                "            are_wanted,\n        ),\n"
                '        execution_options={"across_environments": "a fault"},\n',
            ),
        ),
    ),
    Mutant(
        "mark_of_running_work_dropped",
        "a duplicate of running work is dropped, though the runner has read old data",
        (
            (
                "store/work.py",
                'greatest=("dirty_seq",),\n        reckoned=_RECKONED,',
                'reckoned=_RECKONED | {"dirty_seq": "CASE WHEN work.lease_until IS NULL THEN '
                'excluded.dirty_seq ELSE work.dirty_seq END"},',
            ),
        ),
    ),
    Mutant(
        "done_is_what_is_dirty_now",
        "what came while the worker was at it counts as done with the rest",
        (
            (
                "processing/queue.py",
                '    columns = ("done_seq", "since_seq", "lease_until", "attempts", "error")\n'
                "    update_rows(connection, table_of(Work), rows, update=columns, key=_KEY)\n",
                '    columns = ("done_seq", "since_seq", "lease_until", "attempts", "error")\n'
                "    update_rows(connection, table_of(Work), rows, update=columns, key=_KEY)\n"
                "    work = table_of(Work)\n"
                "    for row in rows:\n"
                "        mine = work.c.entity_key == row[-1]\n"
                "        connection.execute(update(work).where(work.c.environment_id == "
                "environment_id, mine).values(done_seq=work.c.dirty_seq))\n",
            ),
        ),
    ),
    Mutant(
        "lock_survives_a_crash",
        "the mark that something is queued survives the crash of who made it",
        (
            (
                "processing/turns.py",
                '        _is_due(work.c.ready_at, latest="latest_rest"),\n'
                '        _is_due(work.c.lease_until, latest="latest_lease"),',
                '        _is_due(work.c.ready_at, latest="latest_rest"),\n'
                "        work.c.lease_until.is_(None),",
            ),
        ),
    ),
    Mutant(
        "clock_goes_back",
        "a moment is trusted that a clock left behind when it went back",
        (
            (
                "processing/turns.py",
                "    return or_(moment.is_(None), moment <= now, moment > end)",
                "    del end\n    return or_(moment.is_(None), moment <= now)",
            ),
        ),
    ),
    Mutant(
        "someone_else_inserts_it",
        "someone else will insert it, and he rolls back",
        (
            (
                "intake/journal.py",
                "    known: dict[Identity, tuple[int, bytes]] = {}\n"
                "    for source_id, event_ids in by_source.items():",
                "    known = _REMEMBERED.setdefault(environment_id, {})\n"
                "    kept = select(func.count()).where(event.c.environment_id == environment_id)\n"
                "    if connection.execute(kept).scalar() == 0:\n"
                "        known.clear()\n"
                "    for source_id, event_ids in by_source.items():",
            ),
            (
                "intake/journal.py",
                "_LOOKUP_COUNT = 1000\n",
                "_LOOKUP_COUNT = 1000\n_REMEMBERED = {}\n",
            ),
        ),
    ),
    Mutant(
        "retry_meets_itself",
        "a retry conflicts with itself: it is found queued already, by its own row",
        (
            (
                "processing/queue.py",
                "        now + choose_pause(lease.attempts),\n        None,\n",
                "        lease.dirty_seq,\n        now + choose_pause(lease.attempts),\n"
                "        None,\n",
            ),
            (
                "processing/queue.py",
                '    columns = ("ready_at", "lease_until", "attempts", "error")\n'
                "    update_rows(connection, table_of(Work), [row]",
                '    columns = ("done_seq", "ready_at", "lease_until", "attempts", "error")\n'
                "    update_rows(connection, table_of(Work), [row]",
            ),
        ),
    ),
    Mutant(
        "poison_blocks_its_neighbours",
        "one poisoned update blocks all queues",
        (
            (
                "processing/project.py",
                "    results = [result for result in round_.results if result.lease.entity_key in "
                "held]",
                "    results = [] if round_.failures else [result for result in round_.results if "
                "result.lease.entity_key in held]",
            ),
        ),
    ),
    Mutant(
        "poison_takes_others_with_it",
        "one poisoned update makes its neighbours dead too",
        (
            (
                "processing/journal.py",
                "        event.c.entity_key == lease.entity_key,\n"
                "        event.c.seq <= lease.dirty_seq,\n",
                "        event.c.seq <= lease.dirty_seq,\n",
            ),
        ),
    ),
    Mutant(
        "key_too_coarse",
        "the key is too coarse: a learner stands for all that is known of him",
        (
            (
                "intake/journal.py",
                "entry.draft.entity_key: entry.seq",
                'entry.draft.entity_key.split(",")[0]: entry.seq',
            ),
        ),
    ),
    Mutant(
        "identity_without_source",
        "the key is too coarse: two sources may not use the same id",
        (
            (
                "intake/journal.py",
                "                    event.c.source_id == source_id,\n"
                "                    event.c.event_id.in_(event_ids[start",
                "                    event.c.event_id.in_(event_ids[start",
            ),
        ),
    ),
    Mutant(
        "time_window",
        "a time window that was right until a slow day",
        (
            (
                "intake/journal.py",
                "                    event.c.source_id == source_id,\n"
                "                    event.c.event_id.in_(event_ids[start",
                "                    event.c.source_id == source_id,\n"
                "                    event.c.received_at > now() - timedelta(hours=1),\n"
                "                    event.c.event_id.in_(event_ids[start",
            ),
            (
                "intake/journal.py",
                "from datetime import datetime\n",
                "from datetime import datetime, timedelta\n\nfrom app.base.clock import now\n",
            ),
        ),
    ),
    Mutant(
        "given_back_is_done",
        "what is given back at a shutdown is silently ignored",
        (
            (
                "processing/queue.py",
                "    rows = [(None, claim.environment_id, entity_key) for entity_key in "
                "sorted(held)]\n    update_rows(connection, table_of(Work), rows, "
                'update=("lease_until",), key=_KEY)',
                "    seqs = {lease.entity_key: lease.dirty_seq for lease in claim.leases}\n"
                "    rows = [(seqs[name], None, claim.environment_id, name) for name in "
                "sorted(held)]\n    update_rows(connection, table_of(Work), rows, "
                'update=("done_seq", "lease_until"), key=_KEY)',
            ),
        ),
    ),
    Mutant(
        "other_content_wins_silently",
        "the same id with other content passes for a repetition",
        (("intake/fates.py", "elif first[1] == draft.digest:", "elif first[1]:"),),
    ),
    Mutant(
        "token_not_checked",
        "whoever lost his lease writes all the same",
        (
            (
                "processing/queue.py",
                "    return {lease.entity_key for lease in claim.leases if (lease.entity_key, "
                "lease.token) in held}",
                "    return {lease.entity_key for lease in claim.leases if held}",
            ),
        ),
    ),
    Mutant(
        "token_stays",
        "a claim does not move the token on",
        (
            (
                "processing/queue.py",
                "row.lease_token + 1, row.attempts",
                "row.lease_token, row.attempts",
            ),
            (
                "processing/queue.py",
                ".values(lease_token=work.c.lease_token + 1, lease_until=bindparam(",
                ".values(lease_until=bindparam(",
            ),
        ),
    ),
    Mutant(
        "sweeper_skipped",
        "nobody looks whether every pending event is pointed at",
        (
            (
                "processing/sweep.py",
                "        if uncovered:\n            repaired",
                "        if not uncovered:\n            repaired",
            ),
        ),
    ),
    Mutant(
        "books_not_kept",
        "events are settled and no tally says so",
        (
            (
                "processing/journal.py",
                "    add_tallies(connection, environment_id, _deltas_of(counts, now))\n",
                "    _deltas_of(counts, now)\n",
            ),
        ),
    ),
    Mutant(
        "only_new_events_are_folded",
        "what is folded is what is pending, as if it came last",
        (
            (
                "processing/project.py",
                "    everything = read_entries(connection, environment_id, rest)\n",
                "    everything = read_pending(connection, environment_id, rest)\n",
            ),
        ),
    ),
    Mutant(
        "given_up_without_a_word",
        "after the last try an event is looked at no more, and nothing says that it is dead",
        (
            (
                "processing/project.py",
                "    dead_count = bury_pending(connection, environment_id, lease, error=error)\n",
                "    dead_count = 0\n",
            ),
        ),
    ),
    Mutant(
        "rebuild_forgets_live_work",
        "a rebuild switches to what was folded before the newest events",
        (
            (
                "processing/rebuild.py",
                "    return moved + choose_entities(connection, environment_id, scope_of(row), new)"
                ", last_seq\n",
                "    return [], last_seq + 0 * len(moved) * len(new)\n",
            ),
        ),
        story="rebuild",
    ),
    Mutant(
        "idle_time_is_saved_up",
        "who was idle has credit, and then nobody else is served for long",
        (
            (
                "processing/fairness.py",
                "    return max(vtime, vnow)\n",
                "    return vtime or vnow\n",
            ),
        ),
    ),
)


def judge_mutants(mutants: Sequence[Mutant]) -> Iterator[Judgement]:
    """Run each of them, in their order.

    Raises: LookupError, when the text of one is not there exactly once
    """
    for mutant in mutants:
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="fcmutant") as folder:
            program = Path(folder) / "app"
            # With what Python has compiled of it: only the changed files are compiled anew.
            shutil.copytree(ROOT / "app", program, copy_function=shutil.copy2)
            for file, old, new in mutant.edits:
                apply_edit(program / file, old, new)
            told = _play_apart(Path(folder), mutant.story)
        yield Judgement(mutant, told, time.monotonic() - started)


def apply_edit(path: Path, old: str, new: str) -> None:
    """Put a text in the place of another.

    Raises: LookupError, when the text is not there exactly once
    """
    text = path.read_text("utf-8")
    if text.count(old) != 1:
        raise LookupError(f"{path.name} has this {text.count(old)} times, not once: {old!r}")
    path.write_text(text.replace(old, new), "utf-8")


def _play_apart(copy: Path, story: str) -> str:
    """Play a story on a copy in a child of this process; give what broke, or nothing."""
    told = copy / "told.txt"
    child = os.fork()
    if child == 0:
        try:
            told.write_text(_play_here(copy, story), "utf-8")
        finally:
            os._exit(0)
    ends_at = time.monotonic() + _PATIENCE_S
    while not os.waitpid(child, os.WNOHANG)[0]:
        if time.monotonic() > ends_at:
            os.kill(child, 9)
            os.waitpid(child, 0)
            raise TimeoutError(f"{story} on {copy} was not over after {_PATIENCE_S:.0f} s")
        time.sleep(0.02)
    return told.read_text("utf-8")


def _play_here(copy: Path, story: str) -> str:
    """In the child: import the copy, and no other, and let the story tell what broke."""
    sys.path.insert(0, str(copy))
    importlib.invalidate_caches()
    os.chdir(copy)
    from tests.mutant_stories import play_story  # noqa: PLC0415  (it imports the copy)

    try:
        play_story(story, copy, RUNS)
    except BaseException as error:
        cause = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error
        return f"{type(cause).__name__}: {cause}"
    return ""


def main(names: Sequence[str]) -> int:
    """Judge those named, or all; give the exit code."""
    for name in _SHARED:
        importlib.import_module(name)
    wanted = [one for one in (CONTROL, *MUTANTS) if not names or one.name in names]
    survived = []
    for judged in judge_mutants(wanted):
        word = "killed" if judged.told else "survived"
        first = judged.told.splitlines()[0][:110] if judged.told else ""
        sys.stdout.write(f"{judged.mutant.name:32} {word} {judged.took_s:5.1f} s  {first}\n")
        sys.stdout.flush()
        if bool(judged.told) == (judged.mutant is CONTROL):
            survived.append(judged.mutant.name)
    mutant_count = len([one for one in wanted if one is not CONTROL])
    killed_count = mutant_count - len([name for name in survived if name != CONTROL.name])
    sys.stdout.write(f"mutants killed {killed_count}/{mutant_count}\n")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
