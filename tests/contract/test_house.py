"""The rules of the house that a machine can read: sizes, names, doors that exist once, documents.

Each test gathers every offence and shows them all. docs/architecture.md tells why the rules are so.
"""

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from sqlalchemy import Index, PrimaryKeyConstraint, UniqueConstraint
from sqlmodel import SQLModel

import app.store.tables  # noqa: F401 - fills the metadata
from app.base.config import Settings
from app.base.errors import AppError

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = (".ci", "alembic", "app", "bench", "docs", "examples", "requirements", "tests")
PLAIN = {
    "",
    ".cfg",
    ".ini",
    ".js",
    ".json",
    ".mako",
    ".md",
    ".py",
    ".sql",
    ".toml",
    ".txt",
    ".yaml",
}

FILE_LINES = 500
FUNCTION_LINES = 40
MODULE_DOCSTRING_LINES = 5
POSITIONAL_ARGUMENTS = 4

SHAPELESS_MODULES = {"common", "helper", "helpers", "misc", "util", "utils"}
DOING_CLASS = re.compile(r"(Manager|Service|Handler|Helper|Processor|Utils?)$")
CLOCK_CALLS = {
    ("datetime", "now"),
    ("datetime", "today"),
    ("datetime", "utcnow"),
    ("date", "today"),
    ("time", "time"),
    ("time", "time_ns"),
    ("func", "now"),
}
KEYS = (PrimaryKeyConstraint, UniqueConstraint)
# SQLAlchemy calls these and fixes what they are given.
CALLED_FROM_OUTSIDE = {"check_statement"}
MUTATORS = {
    "add",
    "append",
    "clear",
    "discard",
    "extend",
    "insert",
    "pop",
    "popitem",
    "remove",
    "setdefault",
    "update",
}
# Marks of unfinished work, registries and machines, spelled so that this file holds none of them.
UNFINISHED = re.compile(r"\b(TO[D]O|FIX[M]E|XX[X]|HAC[K])\b|Not[I]mplementedError")
REGISTRIES = re.compile(r"py[p]i\.org|python[h]osted|registry\.[n]pmjs|deb\.[d]ebian\.org")
MACHINES = re.compile(
    r"(?<![\w.])/([w]ork/[a-z]|[r]oot/|[h]ome/\w|[f]arm/|tmp/[b]ash_jobs|[U]sers/)"
)


@cache
def files() -> tuple[Path, ...]:
    """Every text file of the project, whether or not git is at hand."""
    found = [path for path in ROOT.iterdir() if path.is_file()]
    for folder in FOLDERS:
        found += [path for path in (ROOT / folder).rglob("*") if path.is_file()]
    secret = {".env"}
    return tuple(sorted(p for p in found if p.suffix in PLAIN and p.name not in secret))


@cache
def modules(*folders: str) -> tuple[tuple[str, ast.Module], ...]:
    """Every Python module in these folders: its path from the root and its tree."""
    paths = [p for p in files() if p.suffix == ".py" and name_of(p).startswith(folders)]
    return tuple((name_of(p), ast.parse(p.read_text("utf-8"))) for p in paths)


def name_of(path: Path) -> str:
    """A path as the reader knows it, from the root."""
    return path.relative_to(ROOT).as_posix()


def calls(tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    """Each method call: its line, the last name of its receiver, the method."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            receiver = node.func.value
            owner = {ast.Name: "id", ast.Attribute: "attr"}.get(type(receiver), "")
            yield node.lineno, str(getattr(receiver, owner, "")), node.func.attr


def lines_matching(pattern: re.Pattern[str]) -> list[str]:
    """Every line of the project that this pattern finds."""
    return [
        f"{name_of(path)}:{number} {line.strip()[:100]}"
        for path in files()
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if pattern.search(line)
    ]


def body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """How long a function is without its signature and docstring."""
    body = node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body
    return (node.end_lineno or node.lineno) - body[0].lineno + 1 if body else 0


# Sizes


def test_no_file_is_longer_than_a_reader_can_hold() -> None:
    long = [
        f"{name}: {len(text)} lines"
        for name, _ in modules("app/", "tests/", "bench/", "examples/")
        if len(text := (ROOT / name).read_text("utf-8").splitlines()) > FILE_LINES
    ]
    assert not long, "\n".join(long)


def test_no_function_is_longer_than_a_screen() -> None:
    long = [
        f"{name}:{node.lineno} {node.name}: {body_lines(node)} lines"
        for name, tree in modules("app/", "tests/", "bench/", "examples/")
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and body_lines(node) > FUNCTION_LINES
    ]
    assert not long, "\n".join(long)


def test_a_function_with_many_arguments_takes_them_by_keyword() -> None:
    loose = []
    for name, tree in modules("app/"):
        for node in ast.walk(tree):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or node.decorator_list:
                continue
            taken = [arg.arg for arg in node.args.posonlyargs + node.args.args]
            own = [arg for arg in taken if arg not in {"self", "cls"}]
            if len(own) > POSITIONAL_ARGUMENTS and node.name not in CALLED_FROM_OUTSIDE:
                loose.append(f"{name}:{node.lineno} {node.name}({', '.join(own)})")
    assert not loose, "\n".join(loose)


def test_each_module_says_in_one_to_five_lines_what_it_is() -> None:
    wrong = []
    for name, tree in modules("app/", "alembic/", "tests/", "bench/", "examples/"):
        if name.endswith("__init__.py"):
            continue
        told = ast.get_docstring(tree)
        if not told or len(told.splitlines()) > MODULE_DOCSTRING_LINES:
            wrong.append(f"{name}: {len(told.splitlines()) if told else 'no docstring'}")
    assert not wrong, "\n".join(wrong)


# Names


def test_no_module_has_a_name_that_says_nothing() -> None:
    wrong = [n for n, _ in modules("app/", "tests/", "bench/") if Path(n).stem in SHAPELESS_MODULES]
    assert not wrong, "\n".join(wrong)


def test_no_class_is_named_for_what_it_does() -> None:
    wrong = [
        f"{name}:{node.lineno} {node.name}"
        for name, tree in modules("app/", "tests/", "bench/")
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and DOING_CLASS.search(node.name)
    ]
    assert not wrong, "\n".join(wrong)


def test_one_search_finds_a_function() -> None:
    homes: dict[str, list[str]] = {}
    for name, tree in modules("app/"):
        for node in tree.body:
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if not node.name.startswith("_"):
                homes.setdefault(node.name, []).append(name)
    wrong = [f"{name}: {', '.join(found)}" for name, found in homes.items() if len(found) > 1]
    assert not wrong, "\n".join(wrong)


def test_every_package_file_is_empty_but_that_of_the_tables() -> None:
    full = [
        name
        for name, tree in modules("app/", "tests/", "bench/")
        if name.endswith("__init__.py") and tree.body and name != "app/store/tables/__init__.py"
    ]
    assert not full, "\n".join(full)


# What exists once


def test_only_the_engine_commits() -> None:
    wrong = [
        f"{name}:{line} .{method}("
        for name, tree in modules("app/")
        for line, _, method in calls(tree)
        if method in {"commit", "begin", "rollback"} and name != "app/store/engine.py"
    ]
    assert not wrong, "\n".join(wrong)


def test_only_the_clock_tells_the_time() -> None:
    wrong = [
        f"{name}:{line} {owner}.{method}("
        for name, tree in modules("app/")
        for line, owner, method in calls(tree)
        if (owner, method) in CLOCK_CALLS and name != "app/base/clock.py"
    ]
    wrong += [
        f"{name}:{node.lineno} from time import time"
        for name, tree in modules("app/")
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and node.module == "time"
        and {"time", "time_ns"} & {alias.name for alias in node.names}
    ]
    assert not wrong, "\n".join(wrong)


def test_only_three_places_catch_whatever_comes_and_go_on() -> None:
    allowed = {"app/http/errors.py", "app/worker.py", "app/processing/drain.py"}
    wrong = []
    for name, tree in modules("app/"):
        for node in ast.walk(tree):
            if not isinstance(node, ast.ExceptHandler) or name in allowed:
                continue
            last = node.body[-1]
            goes_on = not (isinstance(last, ast.Raise) and last.exc is None)
            caught = {"BaseException"} if node.type is None else names_in(node.type)
            if goes_on and caught & {"Exception", "BaseException"}:
                wrong.append(f"{name}:{node.lineno}")
        wrong += [
            f"{name}:{node.lineno} suppress"
            for node in ast.walk(tree)
            if isinstance(node, ast.Call)
            and names_in(node.func) & {"suppress"}
            and {"Exception", "BaseException"} & {n for arg in node.args for n in names_in(arg)}
        ]
    assert not wrong, "\n".join(wrong)


def test_every_dataclass_has_slots_and_is_frozen_where_others_see_it() -> None:
    wrong = []
    for name, tree in modules("app/"):
        for node in (part for part in ast.walk(tree) if isinstance(part, ast.ClassDef)):
            for decorator in node.decorator_list:
                if "dataclass" not in names_in(decorator):
                    continue
                required = {"slots"} if keeps_to_itself(node) else {"slots", "frozen"}
                if not required <= keywords_of(decorator):
                    wrong.append(f"{name}:{node.lineno} {node.name}")
    assert not wrong, "\n".join(wrong)


def keeps_to_itself(node: ast.ClassDef) -> bool:
    """Is this class, or all that is in it, out of others' sight?"""
    fields = [part.target for part in node.body if isinstance(part, ast.AnnAssign)]
    names = {field.id for field in fields if isinstance(field, ast.Name)}
    return node.name.startswith("_") or all(name.startswith("_") for name in names)


def keywords_of(node: ast.expr) -> set[str]:
    """The keywords a call sets to True."""
    given = node.keywords if isinstance(node, ast.Call) else []
    return {
        str(keyword.arg)
        for keyword in given
        if isinstance(keyword.value, ast.Constant) and keyword.value.value is True
    }


def names_in(node: ast.AST) -> set[str]:
    """Every plain name in an expression."""
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)} | {
        part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)
    }


def test_only_the_store_knows_which_database_it_is() -> None:
    wrong = [
        f"{name}:{node.lineno} {node.value!r}"
        for name, tree in modules("app/")
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and node.value in {"sqlite", "postgresql"}
        and not name.startswith("app/store/")
    ]
    assert not wrong, "\n".join(wrong)


def test_no_module_keeps_state_that_changes() -> None:
    wrong = []
    for name, tree in modules("app/"):
        kept = {target for node in tree.body for target in bound_names(node)}
        for function in ast.walk(tree):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            own = {node.arg for node in ast.walk(function.args) if isinstance(node, ast.arg)}
            own |= {
                node.id
                for node in ast.walk(function)
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
            }
            for node in ast.walk(function):
                if isinstance(node, ast.Global) or changed_name(node) in kept - own:
                    wrong.append(f"{name}:{getattr(node, 'lineno', 0)}")
    assert not wrong, "\n".join(wrong)


def bound_names(node: ast.stmt) -> set[str]:
    """The names a statement at the top of a module gives values to."""
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AnnAssign):
        targets = [node.target]
    return {target.id for target in targets if isinstance(target, ast.Name)}


def changed_name(node: ast.AST) -> str:
    """The name whose content this node changes, if it does."""
    receiver: ast.AST | None = None
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        receiver = node.func.value if node.func.attr in MUTATORS else None
    elif isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
        receiver = node.value
    return receiver.id if isinstance(receiver, ast.Name) else ""


def test_nothing_is_done_at_import() -> None:
    plain = (ast.Assign, ast.AnnAssign, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    harmless = (*plain, ast.Import, ast.ImportFrom, ast.If)
    putting_together = ("app/cli/", "app/main.py", "app/rest/", "app/odata/")
    wrong = [
        f"{name}:{node.lineno}"
        for name, tree in modules("app/")
        for node in tree.body
        if not isinstance(node, harmless)
        and not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        and not (isinstance(node, ast.Expr) and name.startswith(putting_together))
    ]
    assert not wrong, "\n".join(wrong)


def test_imports_run_downwards() -> None:
    command = Path(sys.executable).with_name("lint-imports")
    ran = subprocess.run(
        [command, "--no-cache", "--no-logo"], cwd=ROOT, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


# The environment comes first


def test_every_key_and_index_begins_with_the_environment() -> None:
    found_first = {"ix_api_key_public_key"}  # a key tells its environment, so it is found without
    wrong = []
    for table in SQLModel.metadata.tables.values():
        if "environment_id" not in table.c or table.name == "environment":
            continue
        keys: list[PrimaryKeyConstraint | UniqueConstraint | Index] = [*table.indexes]
        keys += [c for c in table.constraints if isinstance(c, KEYS)]
        for key in keys:
            names = [column.name for column in key.columns]
            if names[0] != "environment_id" and key.name not in found_first:
                wrong.append(f"{table.name}.{key.name}: {', '.join(names)}")
    assert not wrong, "\n".join(wrong)


# What must not be left lying about


@pytest.mark.parametrize(
    "pattern", [UNFINISHED, REGISTRIES, MACHINES], ids=["unfinished", "registries", "machines"]
)
def test_no_file_holds(pattern: re.Pattern[str]) -> None:
    assert lines_matching(pattern) == []


# Errors and settings


def errors() -> list[type[AppError]]:
    """Every error a caller can meet."""
    found: list[type[AppError]] = []
    waiting = AppError.__subclasses__()
    while waiting:
        error = waiting.pop()
        found.append(error)
        waiting += error.__subclasses__()
    return sorted(found, key=lambda error: error.__name__)


def test_every_error_has_a_code_of_its_own_and_a_status() -> None:
    counts = Counter(error.code for error in errors())
    assert [code for code, count in counts.items() if count > 1] == []
    wrong = [
        error.__name__
        for error in errors()
        if not re.fullmatch(r"[a-z]+\.[a-z_]+", error.code)
        or not 400 <= error.status < 600
        or not error.__doc__
    ]
    assert not wrong, "\n".join(wrong)


def test_all_errors_live_in_one_file() -> None:
    known = {error.__name__ for error in errors()} | {"AppError", "BaseException", "Exception"}
    wrong = [
        f"{name}:{node.lineno} {node.name}"
        for name, tree in modules("app/")
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        and name != "app/base/errors.py"
        and any(base in known or base.endswith("Error") for b in node.bases for base in names_in(b))
    ]
    assert not wrong, "\n".join(wrong)


def told_in(page: str, pattern: str) -> set[str]:
    """The names of this shape that a page of the documents tells of, each in backticks."""
    return set(re.findall(rf"`({pattern})`", (ROOT / "docs" / page).read_text("utf-8")))


def test_the_documents_tell_every_error_and_no_other() -> None:
    rooms = "|".join(sorted({error.code.split(".")[0] for error in errors()}))
    codes = {error.code for error in errors()}
    assert told_in("errors.md", rf"(?:{rooms})\.[a-z_]+") == codes


def test_the_documents_tell_every_setting_and_no_other() -> None:
    settings = {f"FULLCOUNT_{name.upper()}" for name in Settings.model_fields}
    assert told_in("settings.md", r"FULLCOUNT_[A-Z_]+") == settings


# The rules can fail: each finds its offence in a sentence made to offend


@pytest.mark.parametrize(
    ("finds", "source"),
    [
        (lambda tree: ("datetime", "now") in {c[1:] for c in calls(tree)}, "x = datetime.now(UTC)"),
        (lambda tree: "commit" in {c[2] for c in calls(tree)}, "session.commit()"),
        (lambda tree: "SEEN" in {changed_name(n) for n in ast.walk(tree)}, "SEEN['a'] = 1"),
        (lambda tree: "SEEN" in {changed_name(n) for n in ast.walk(tree)}, "SEEN.append(1)"),
        (
            lambda tree: body_lines(tree.body[0]) == 2,
            "def f():\n    '''A.'''\n    a = 1\n    b = 2",
        ),
    ],
    ids=["clock", "commit", "item", "append", "length"],
)
def test_a_rule_finds_its_offence(finds: Callable[[ast.Module], bool], source: str) -> None:
    assert finds(ast.parse(source))
