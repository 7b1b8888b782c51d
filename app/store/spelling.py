"""SQL functions that SQLite and PostgreSQL spell differently: one meaning, a spelling for each."""

from typing import Any, ClassVar, TypeVar

from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

_Result = TypeVar("_Result")


class SpeltFunction(FunctionElement[_Result]):
    """A function whose SQL is a text of each database; {0}, {1} ... stand for what it is given.

    A function that no text can tell overrides this with `@compiles` of its own.
    """

    postgresql: ClassVar[str]
    sqlite: ClassVar[str]

    def __init_subclass__(cls) -> None:
        """Nothing but its clauses makes one such function differ from another."""
        super().__init_subclass__()
        cls.inherit_cache = True


@compiles(SpeltFunction)
def _spell(element: SpeltFunction[Any], compiler: SQLCompiler, **kw: Any) -> str:
    spelling = element.sqlite if compiler.dialect.name == "sqlite" else element.postgresql
    return spelling.format(*given_texts(element, compiler, **kw))


def given_texts(element: FunctionElement[Any], compiler: SQLCompiler, **kw: Any) -> list[str]:
    """The SQL of what a function is given, each in parentheses."""
    return [f"({compiler.process(clause, **kw)})" for clause in element.clauses]


def written_once(rule: str, **given: str) -> str:
    """A rule over values that it names more than once, each written and reckoned once.

    Without this, nesting would double the text of the statement at each level.
    """
    values = ", ".join(f"{text} AS {name}" for name, text in given.items())
    return f"(SELECT {rule} FROM (SELECT {values}) AS q)"  # noqa: S608 (SQL of ours; values are bound)


def fenced_once(rule: str, **given: str) -> str:
    """The same for PostgreSQL, whose planner would else write the values in again."""
    values = ", ".join(f"{text} AS {name}" for name, text in given.items())
    return f"(SELECT {rule} FROM (SELECT {values} OFFSET 0) AS q)"  # noqa: S608 (SQL of ours)
