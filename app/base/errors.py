"""Every error a caller can meet, drawn as a tree: code, status, title.

The message is made where the error is raised. Codes are stable and never reused. Only fronts
render them. docs/errors.md tells each in a line.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class Problem:
    """One of several faults in one request.

    path: where, as dotted names (`data.percent`), an index (`[3].id`) or empty
    message: what is wrong and what would be right; never more than 100 characters of the input
    """

    path: str
    message: str


class AppError(Exception):
    """Something a caller did or must know, with a stable code and an HTTP status."""

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Something went wrong here"

    def __init__(
        self,
        detail: str,
        *,
        hint: str | None = None,
        target: str | None = None,
        problems: Sequence[Problem] = (),
        retry_after_s: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.hint = hint
        self.target = target
        self.problems = tuple(problems)
        self.retry_after_s = retry_after_s
        self.headers = headers or {}


# The body of a request


class BodyTooLarge(AppError):
    """More bytes than the limit, packed or unpacked."""

    code, status, title = "body.too_large", 413, "The body is too large"


class BodyEncodingUnknown(AppError):
    """A Content-Encoding other than gzip or identity."""

    code, status, title = "body.unknown_encoding", 415, "This content encoding is not read here"


class BodyNotUnpacked(AppError):
    """The body says gzip and is not, or ends too early."""

    code, status, title = "body.not_gzip", 400, "The body cannot be unpacked"


class BodyTypeUnknown(AppError):
    """A Content-Type this path does not read."""

    code, status, title = "body.unknown_type", 415, "This content type is not read here"


class BodyNotJson(AppError):
    """Not JSON, or JSON that no two readers would read alike."""

    code, status, title = "body.not_json", 400, "The body is not valid JSON"


class BodyInvalid(AppError):
    """JSON of the wrong shape."""

    code, status, title = "body.invalid", 422, "The body does not have the expected shape"


# Events in


class NotEvents(AppError):
    """The body holds no event and no list of events."""

    code, status, title = "events.not_events", 400, "The body is no list of events"


class TooManyEvents(AppError):
    """More events in one request than the limit."""

    code, status, title = "events.too_many", 413, "Too many events in one request"


class EventRejected(AppError):
    """A single event that breaks a rule; it lies on the quarantine shelf."""

    code, status, title = "events.rejected", 422, "The event was rejected"


class EventConflicts(AppError):
    """A single event whose id is known with other content."""

    code, status, title = "events.conflict", 409, "The event id is known with other content"


class RepeatDiffers(AppError):
    """An Idempotency-Key that came before with another body."""

    code, status, title = "events.key_reused", 422, "The Idempotency-Key was used before"


class StatementsRefused(AppError):
    """An xAPI statement that is not valid; its neighbours were kept."""

    code, status, title = "xapi.refused", 400, "A statement was refused"


class VersionUnknown(AppError):
    """No X-Experience-API-Version, or one this path does not speak."""

    code, status, title = "xapi.version", 400, "The xAPI version is not spoken here"


class TooMuchPending(AppError):
    """The environment's backlog is at its cap."""

    code, status, title = "events.pending_limit", 429, "Too many events are waiting"


# Questions


class UnknownDataset(AppError):
    """No dataset of this name."""

    code, status, title = "query.unknown_dataset", 404, "There is no such dataset"


class UnknownReport(AppError):
    """No report of this name."""

    code, status, title = "query.unknown_report", 404, "There is no such report"


class UnknownEntity(AppError):
    """No row with this key, or not in this environment."""

    code, status, title = "query.unknown_entity", 404, "There is no such entity"


class UnknownPath(AppError):
    """A path that addresses nothing."""

    code, status, title = "query.unknown_path", 404, "There is nothing at this address"


class UnknownField(AppError):
    """A name the dataset does not have."""

    code, status, title = "query.unknown_field", 400, "There is no such field"


class BadSyntax(AppError):
    """An expression or option that cannot be read."""

    code, status, title = "query.syntax", 400, "The expression cannot be read"


class TypeMismatch(AppError):
    """An expression whose types do not fit."""

    code, status, title = "query.type", 400, "The types do not fit"


class BadOption(AppError):
    """An option with a value that is not allowed, or one that is not known."""

    code, status, title = "query.option", 400, "The query option is not right"


class TooComplex(AppError):
    """An expression or option over a limit."""

    code, status, title = "query.too_complex", 400, "The question is too complex"


class TooExpensive(AppError):
    """A question that took longer than the limit."""

    code, status, title = "query.too_expensive", 400, "The question takes too long"


class BadToken(AppError):
    """A page token that is not ours, or belongs to another question."""

    code, status, title = "query.token", 400, "The page token does not fit"


class RevisionGone(AppError):
    """A revision whose replaced rows are kept no longer, or that is not reached yet."""

    code, status, title = "query.revision_gone", 410, "This revision cannot be read any more"


class LinkExpired(AppError):
    """A link of ours whose time is over."""

    code, status, title = "query.link_expired", 410, "The link is no longer good"


class DependencyFailed(AppError):
    """A part of a batch that was not run, since one it depends on failed."""

    code, status, title = "query.dependency", 424, "A request it depends on failed"


class TooManyWaiting(AppError):
    """More questions running in the background than the limit."""

    code, status, title = "query.too_many_waiting", 429, "Too many questions are running"


class FreshnessUnmet(AppError):
    """Data that is not as fresh as the caller requires, and waiting does not help.

    freshness: the verdict, for the headers of this answer
    """

    code, status, title = "query.freshness_unmet", 412, "The data is not as fresh as required"

    def __init__(self, detail: str, *, freshness: object = None, **told: Any) -> None:
        super().__init__(detail, **told)
        self.freshness = freshness


class NotYetFresh(FreshnessUnmet):
    """Data that is catching up to what the caller requires."""

    code, status, title = "query.not_yet_fresh", 503, "The data is catching up"


class NotSupported(AppError):
    """Something the standard knows and this service does not offer."""

    code, status, title = "query.not_supported", 501, "This is not supported"


class NotAcceptable(AppError):
    """No format the caller accepts."""

    code, status, title = "query.not_acceptable", 406, "No acceptable format"


class MethodNotAllowed(AppError):
    """A method the resource does not have."""

    code, status, title = "http.method", 405, "This method is not allowed here"


class PreconditionFailed(AppError):
    """A condition in the headers that does not hold, or that nobody here can keep."""

    code, status, title = "http.precondition", 412, "The condition does not hold"


class UrlTooLong(AppError):
    """A URL over the limit."""

    code, status, title = "http.url_too_long", 414, "The URL is too long"


class HeadersTooLarge(AppError):
    """More headers, or longer ones, than the limit."""

    code, status, title = "http.headers_too_large", 431, "The headers are too large"


# Access


class NotAuthenticated(AppError):
    """No key, or one that is unknown, expired or revoked."""

    code, status, title = "access.not_authenticated", 401, "A valid API key is needed"


class ScopeMissing(AppError):
    """A valid key without the scope this path needs."""

    code, status, title = "access.scope_missing", 403, "The key lacks a scope"


class TooManyFailures(AppError):
    """Too many failed authentications from one address."""

    code, status, title = "access.too_many_failures", 429, "Too many failed authentications"


class NameTaken(AppError):
    """A name that exists already."""

    code, status, title = "access.name_taken", 409, "The name is taken"


class BadName(AppError):
    """A name that breaks the rules for names."""

    code, status, title = "access.bad_name", 422, "The name is not allowed"


class UnknownName(AppError):
    """An environment, source, key or batch that is not there."""

    code, status, title = "access.unknown_name", 404, "There is nothing of this name"


# Rebuilds


class RebuildRunning(AppError):
    """A rebuild of the same entities has not ended."""

    code, status, title = "rebuild.running", 409, "Such a rebuild has not ended"


# Dead letters


class NothingDead(AppError):
    """An entity or seqs were named of which nothing is dead."""

    code, status, title = "dead.nothing", 404, "Nothing of this is dead"


# Evidence and contracts


class NotContracted(AppError):
    """Evidence of a stream that nobody owes."""

    code, status, title = "evidence.no_contract", 422, "No source owes this stream"


class EvidenceInvalid(AppError):
    """Evidence whose bounds, words or sums do not fit the contract."""

    code, status, title = "evidence.invalid", 422, "The evidence does not fit the contract"


class KeyUnknown(AppError):
    """Evidence summed with a key that the source does not have, or not for this bucket."""

    code, status, title = "evidence.unknown_key", 422, "The key of the evidence is not the one"


class ManifestConflicts(AppError):
    """A version of a manifest that came before with other content."""

    code, status, title = "evidence.conflict", 409, "The version is known with other content"


class ManifestOverlaps(AppError):
    """A manifest whose interval crosses one that is declared already."""

    code, status, title = "evidence.overlap", 409, "The interval crosses a declared one"


class SourceSealed(AppError):
    """Evidence of a retired source, of after its end."""

    code, status, title = "evidence.sealed", 409, "The source is sealed"


class ContractInvalid(AppError):
    """A contract that contradicts itself, or what was declared under it."""

    code, status, title = "streams.contract", 422, "The contract cannot be kept"


class KeyTooEarly(AppError):
    """A new key that would begin before events that are summed already."""

    code, status, title = "sources.key_too_early", 409, "The new key begins too early"


# HTTP to the outside


class AddressRefused(AppError):
    """An address that this service does not ask: not https, private, or not there."""

    code, status, title = "outbound.refused", 422, "This address is not asked"


class OutsideFailed(AppError):
    """Another server did not answer, answered with a failure, or too much."""

    code, status, title = "outbound.failed", 502, "Another server failed"


# The store


class StoreBusy(AppError):
    """The database did not let us in in time."""

    code, status, title = "store.busy", 503, "The database is busy"


class StoreFull(AppError):
    """The disk is full or read-only; nothing was stored."""

    code, status, title = "store.full", 507, "There is no room to store this"


class SchemaBehind(AppError):
    """The database is older than this program."""

    code, status, title = "store.schema_behind", 503, "The database needs a migration"


class EnvironmentMissing(AppError):
    """A statement on an environment's tables without its environment: a fault of ours, stopped."""

    code, status, title = "store.environment_missing", 500, "A statement named no environment"
