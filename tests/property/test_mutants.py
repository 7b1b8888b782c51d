"""Each known way to lose work, put into a copy of the program, is caught by the queue's laws."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutants import MUTANTS, ROOT, apply_edit

_PATIENCE_S = 900


def test_every_mutant_is_killed_and_the_program_as_it_is_survives() -> None:
    judged = subprocess.run(
        [sys.executable, "-m", "tests.mutants"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=_PATIENCE_S,
        check=False,
    )
    print(f"\n{judged.stdout}")  # noqa: T201  (the figures of docs/reliability.md, by `pytest -s`)
    assert judged.returncode == 0, judged.stdout + judged.stderr
    lines = judged.stdout.splitlines()
    assert lines[0].split()[:2] == ["control", "survived"]
    assert lines[-1] == f"mutants killed {len(MUTANTS)}/{len(MUTANTS)}"


def test_a_mutant_whose_text_has_moved_is_an_error_and_no_success(tmp_path: Path) -> None:
    file = tmp_path / "some.py"
    file.write_text("one\ntwo\ntwo\n")
    for moved in ("three", "two"):
        with pytest.raises(LookupError):
            apply_edit(file, moved, "else")
    apply_edit(file, "one", "else")
    assert file.read_text() == "else\ntwo\ntwo\n"


def test_there_is_a_mutant_for_each_known_way_to_lose_work() -> None:
    ways = " ".join(mutant.way for mutant in MUTANTS)
    for words in (
        "lacks the environment",
        "running work is dropped",
        "survives the crash",
        "someone else will insert it",
        "retry conflicts with itself",
        "blocks all queues",
        "too coarse",
        "time window",
        "silently ignored",
        "other content",
    ):
        assert words in ways
