"""The operator's door: each command says what it did; exit codes are 0, 1 and 2."""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from app.cli.commands import main
from app.main import VERSION


class Shell:
    """Runs commands on a database of its own."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def run(self, line: str, *, code: int = 0) -> str:
        """What a command prints, given the exit code it must have."""
        with pytest.raises(SystemExit) as left:
            main(line.split())
        told = self.capsys.readouterr()
        assert (left.value.code or 0) == code, told.out + told.err
        return told.out if code == 0 else told.out + told.err

    def ask(self, line: str) -> Any:
        """The JSON a command prints."""
        return json.loads(self.run(f"{line} --json"))


@pytest.fixture
def shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FULLCOUNT_DATABASE_URL", f"sqlite:///{tmp_path}/fullcount.db")
    return Shell(capsys)


def test_the_version_is_that_of_the_package(shell: Shell) -> None:
    assert shell.run("--version") == f"fullcount {version('fullcount')}\n"
    assert version("fullcount") == VERSION
    assert "Learning-progress analytics" in shell.run("--help")


def test_a_database_is_migrated_once(shell: Shell) -> None:
    assert shell.ask("migrate")["changed"] is True
    assert shell.ask("migrate")["changed"] is False
    assert "Nothing to do" in shell.run("migrate")


def test_a_command_on_an_empty_database_says_what_to_do(shell: Shell) -> None:
    told = shell.run("environments list", code=1)
    assert "fullcount migrate" in told
    assert "Traceback" not in told


def test_an_environment_gets_a_source_and_keys(shell: Shell) -> None:
    shell.run("migrate")
    assert "Made the environment acme" in shell.run("environments add acme --timezone Asia/Tokyo")
    assert shell.ask("environments list")["items"][0]["timezone"] == "Asia/Tokyo"
    issued = shell.ask("keys add --environment acme --scope read --scope ingest")
    assert issued.keys() == {"key_id", "key", "environment", "scopes"}
    assert issued["scopes"] == ["ingest", "read"]
    made = shell.ask("sources add legacy --environment acme")
    assert made.keys() == {"source", "key_id", "secret"}
    assert [row["source"] for row in shell.ask("sources list -e acme")["items"]] == ["legacy"]
    shell.run("sources ask legacy -e acme https://lms.example.org/x")
    assert shell.ask("sources list -e acme")["items"][0]["evidence_url"].endswith("/x")
    shell.run("sources ask legacy -e acme -- -")
    assert shell.ask("sources list -e acme")["items"][0]["evidence_url"] is None
    assert "1 key\n" in shell.run("keys list -e acme")
    shell.run(f"keys revoke {issued['key_id']} -e acme")
    assert shell.ask("keys list -e acme")["items"][0]["revoked_at"] is not None
    assert "Sealed legacy" in shell.run("sources seal legacy -e acme")
    assert shell.ask("sources list -e acme")["items"][0]["sealed_at"] is not None


def test_an_environment_that_weighs_more_is_listed_so(shell: Shell) -> None:
    shell.run("migrate")
    shell.run("environments add acme")
    shell.run("environments add other")
    assert "acme weighs 3 from now on; it was 1." in shell.run("environments set acme --weight 3")
    assert shell.ask("environments set acme --weight 4")["was"] == 3
    weights = {row["environment"]: row["weight"] for row in shell.ask("environments list")["items"]}
    assert weights == {"acme": 4, "other": 1}


@pytest.mark.parametrize(
    ("line", "code", "told"),
    [
        ("environments add acme", 1, "already"),
        ("environments add a/b", 1, "letters"),
        ("keys add -e acme --scope root", 1, "Scopes are"),
        ("keys add -e nope --scope read", 1, "environments list"),
        ("keys revoke nope -e acme", 1, "no key"),
        ("keys add -e acme", 2, "scope"),
        ("environments set acme --weight 0", 2, "weight"),
        ("environments set acme", 2, "weight"),
        ("environments set nope --weight 2", 1, "environments list"),
        ("serve --port 99999", 2, "port"),
        ("nonsense", 2, "nonsense"),
    ],
)
def test_what_went_wrong_is_said_in_a_sentence(
    shell: Shell, line: str, code: int, told: str
) -> None:
    shell.run("migrate")
    shell.run("environments add acme")
    said = shell.run(line, code=code)
    assert told in said
    assert "Traceback" not in said


def test_a_setting_that_cannot_be_read_is_named(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FULLCOUNT_LIMIT_BODY_BYTES", "many")
    assert "FULLCOUNT_LIMIT_BODY_BYTES" in shell.run("environments list", code=1)


def test_the_books_of_an_empty_environment_balance(shell: Shell) -> None:
    shell.run("migrate")
    shell.run("environments add acme")
    told = shell.ask("books -e acme")
    assert (told["balanced"], told["received"], told["faults"]) == (True, 0, [])
    assert "The books balance" in shell.run("books -e acme")


def test_the_doctor_finds_a_missing_migration_and_then_nothing(shell: Shell) -> None:
    sick = shell.run("doctor", code=1)
    assert "BAD  schema" in sick
    assert "fullcount migrate" in sick
    shell.run("migrate")
    shell.run("environments add acme")
    told = shell.ask("doctor")
    assert told["healthy"] is True, told
    names = [finding["name"] for finding in told["findings"]]
    assert names == [
        "settings",
        "permissions",
        "database",
        "clock",
        "schema",
        "catalog",
        "books of acme",
    ]


def test_the_doctor_names_settings_that_are_not_fit(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell.run("migrate")
    monkeypatch.setenv("FULLCOUNT_SECRET", "short")
    monkeypatch.setenv("FULLCOUNT_PUBLIC_URL", "ftp://x")
    told = shell.run("doctor", code=1)
    assert "FULLCOUNT_SECRET" in told
    assert "FULLCOUNT_PUBLIC_URL" in told
