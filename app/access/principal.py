"""Principal: who calls, for which environment, with which scopes."""

from dataclasses import dataclass

from app.base.errors import ScopeMissing

SCOPES = ("ingest", "read", "pii", "operate", "admin")


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller who proved a key of one environment.

    key: the public part of the API key
    """

    environment_id: int
    environment_key: str
    key: str
    scopes: frozenset[str]
    timezone: str = "UTC"

    def require(self, scope: str) -> None:
        """Refuse a caller without this scope.

        Raises: ScopeMissing
        """
        if scope not in self.scopes:
            raise ScopeMissing(
                f"this key has no scope {scope!r}",
                hint=f"Issue one: fullcount keys add --environment {self.environment_key}"
                f" --scope {scope}",
            )
