"""What commands print for people."""

import pytest

from app.cli.output import print_rows, write_count


@pytest.mark.parametrize(
    ("count", "plural", "told"),
    [
        (0, "keys", "0 keys"),
        (1, "keys", "1 key"),
        (1, "environments", "1 environment"),
        (2, "environments", "2 environments"),
        (1, "entries", "1 entry"),
        (1_234_567, "events", "1,234,567 events"),
    ],
)
def test_a_count_is_told_in_words_that_fit_one_as_well(count: int, plural: str, told: str) -> None:
    assert write_count(count, plural) == told


def test_a_table_ends_with_how_many_rows_it_has(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows([{"source_key": "lms"}], columns=["source_key"], what="sources")
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]

    assert lines == ["source key", "lms", "1 source"]
