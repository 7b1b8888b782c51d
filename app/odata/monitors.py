"""Questions that are answered later: `Prefer: respond-async` in, a status monitor out.

The link to a monitor holds the question, sealed, so that any process can answer it; what this
process runs or has ready is kept in memory, bounded and briefly. Source: OData Protocol 4.01, 11.6
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from itsdangerous import BadSignature
from starlette.responses import Response

from app.access.principal import Principal
from app.base.clock import format_time, now
from app.base.config import Settings
from app.base.errors import BadToken, LinkExpired, TooManyWaiting, UnknownPath
from app.base.seals import sealer_of
from app.learning.times import parse_time
from app.odata.batch_parts import write_http_head
from app.odata.calls import Call
from app.odata.formats import read_accept, split_unquoted
from app.store.engine import Store, snapshot
from app.store.instance import signing_secret

MONITOR = "$async"
HTTP_TYPE = "application/http"
KEPT_HEADERS = ("accept", "odata-maxversion")
LONGEST_TOKEN = 8_000
RUNNING_AT_ONCE = 2
MOST_ENDED = 1_000
ASK_AGAIN_S = 1
Run = Callable[[Call], Response]
JobKey = tuple[int, frozenset[str], str]


@dataclass(frozen=True, slots=True)
class Job:
    """A question being answered, or its answer.

    kept_until: when it is forgotten, fetched or not
    """

    response: Future[Response]
    kept_until: datetime


class Jobs:
    """The questions this process answers later, by whose they are and their sealed text."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._jobs: dict[JobKey, Job] = {}
        self._ended: dict[JobKey, datetime] = {}
        self._pool = ThreadPoolExecutor(RUNNING_AT_ONCE, thread_name_prefix="odata-async")

    def start(self, key: JobKey, run: Callable[[], Response]) -> Future[Response]:
        """The answer to come; a question that is being answered is not begun again.

        Raises: TooManyWaiting; UnknownPath, for a question its caller has ended
        """
        moment = now()
        with self._lock:
            self._jobs = {k: job for k, job in self._jobs.items() if job.kept_until > moment}
            if key in self._ended:
                raise UnknownPath("the answer is no longer wanted: the monitor was deleted")
            if key in self._jobs:
                return self._jobs[key].response
            if len(self._jobs) >= self._settings.limit_async_jobs:
                raise TooManyWaiting(
                    f"{self._settings.limit_async_jobs} questions are being answered or wait"
                    " to be fetched",
                    retry_after_s=5,
                )
            kept_s = self._settings.limit_async_kept_s
            job = Job(self._pool.submit(run), moment + timedelta(seconds=kept_s))
            self._jobs[key] = job
            return job.response

    def forget(self, key: JobKey) -> None:
        """Drop a question that was fetched or is no longer wanted."""
        with self._lock:
            job = self._jobs.pop(key, None)
        if job is not None:
            job.response.cancel()

    def end(self, key: JobKey) -> None:
        """Drop a question for good, as its caller asks; that is told until its link expires, or so
        many others were ended.
        """
        self.forget(key)
        moment = now()
        with self._lock:
            ended = [(k, until) for k, until in self._ended.items() if until > moment]
            self._ended = dict(ended[-MOST_ENDED:])
            self._ended[key] = moment + timedelta(seconds=self._settings.limit_async_kept_s)


@dataclass(frozen=True, slots=True)
class Desk:
    """Where questions are handed in to be answered later."""

    jobs: Jobs
    store: Store
    settings: Settings

    def seal(self, call: Call, principal: Principal) -> str:
        """The question as a token for the link to its monitor."""
        kept = {name: call.header(name) for name in KEPT_HEADERS if call.header(name)}
        kept["prefer"] = strip_async(call.header("prefer"))
        until = now() + timedelta(seconds=self.settings.limit_async_kept_s)
        body = [principal.environment_id, call.path, call.query, kept, format_time(until)]
        return str(self._serializer().dumps(body))

    def unseal(self, token: str, call: Call, principal: Principal) -> Call:
        """The question in a token.

        Raises: BadToken, when it is not ours or belongs to another environment; LinkExpired
        """
        try:
            environment_id, path, query, kept, until = self._serializer().loads(token)
        except (BadSignature, ValueError, TypeError) as error:
            raise BadToken("this monitor was not made here", hint="Ask again.") from error
        if environment_id != principal.environment_id:
            raise BadToken("this monitor belongs to another environment")
        if parse_time(until) <= now():
            raise LinkExpired("this monitor is no longer kept", hint="Ask again.")
        return replace(call, method="GET", path=path, query=query, headers=kept, body=b"")

    def _serializer(self) -> Any:
        with snapshot(self.store) as connection:
            return sealer_of(signing_secret(connection, self.settings), "async")


def strip_async(prefer: str) -> str:
    """A Prefer header without the wish to be answered later."""
    parts = [part.strip() for part in split_unquoted(prefer, ",")]
    dropped = ("respond-async", "wait")
    return ", ".join(part for part in parts if part.lower().split("=")[0].strip() not in dropped)


def answer_later(
    desk: Desk, call: Call, principal: Principal, *, wait_s: int, root: str, run: Run
) -> Response:
    """The response, if it is there in time; else where to ask for it.

    run: the application itself
    Raises: TooManyWaiting
    """
    token = desk.seal(call, principal)
    if len(token) > LONGEST_TOKEN:
        return run(replace(call, in_background=True))
    question = desk.unseal(token, call, principal)
    key = (principal.environment_id, principal.scopes, token)
    coming = desk.jobs.start(key, lambda: run(background_call(question, principal)))
    try:
        response = coming.result(timeout=wait_s)
    except NotYet:
        return accepted_response(f"{root}/{MONITOR}/{token}")
    desk.jobs.forget(key)
    return response


def answer_monitor(
    desk: Desk, call: Call, principal: Principal, *, root: str, run: Run
) -> Response:
    """What a status monitor says: not yet, or the response itself; DELETE ends it.

    Raises: BadToken, LinkExpired, TooManyWaiting, UnknownPath
    Source: OData Protocol 4.01, 11.6; 8.3.1 for AsyncResult
    """
    token = call.path.partition("/")[2]
    question = desk.unseal(token, call, principal)
    key = (principal.environment_id, principal.scopes, token)
    if call.method == "DELETE":
        desk.jobs.end(key)
        return Response(status_code=204, headers={"Cache-Control": "no-store"})
    coming = desk.jobs.start(key, lambda: run(background_call(question, principal)))
    if not coming.done():
        return accepted_response(f"{root}/{MONITOR}/{token}")
    desk.jobs.forget(key)
    # Who speaks 4.0 and says nothing else reads a message (Protocol 4.01, 11.6).
    otherwise = HTTP_TYPE if call.header("odata-maxversion").strip() == "4.0" else ""
    return final_response(coming.result(), accept=call.header("accept") or otherwise)


def background_call(question: Call, principal: Principal) -> Call:
    """A question as it is run for a caller who is not waiting."""
    return replace(question, identify=lambda: principal, in_background=True)


def accepted_response(location: str) -> Response:
    """Not yet: where and when to ask."""
    headers = {
        "Location": location,
        "Retry-After": str(ASK_AGAIN_S),
        "Preference-Applied": "respond-async",
        "Cache-Control": "no-store",
    }
    return Response(status_code=202, headers=headers)


def final_response(response: Response, *, accept: str) -> Response:
    """The answer, with its status in a header; as a whole HTTP message for those who ask so."""
    status = str(response.status_code)
    if any(one.type == HTTP_TYPE for one in read_accept(accept)):
        message = f"{write_http_head(response)}\r\n".encode("latin-1") + bytes(response.body)
        headers = {"AsyncResult": status, "Cache-Control": "no-store"}
        return Response(message, 200, headers=headers, media_type=HTTP_TYPE)
    response.headers["AsyncResult"] = status
    response.status_code = 200
    return response
