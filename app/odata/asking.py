"""Who asks, how, and the one pipeline every question of the feed goes through."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from app.access.principal import Principal
from app.base.config import Settings
from app.catalog.changes import CHANGES, SchemaChange
from app.catalog.fields import Dataset, Field, Navigation
from app.ledger.facts import Freshness
from app.odata.calls import Call
from app.odata.feed import Feed
from app.odata.formats import Style
from app.odata.options import QueryString
from app.odata.preferences import Preferences
from app.odata.rows import Dress, name_type
from app.odata.selection import Selection
from app.odata.writer import Envelope
from app.query.answer import Answer, run_plan
from app.query.attributes import plan_request
from app.query.demand import NO_DEMAND, Demand
from app.query.plan import Plan, Shape
from app.query.request import Expand, Request
from app.query.streams import Expansion
from app.store.engine import Store

# Text does not say its charset itself, as JSON and XML do: readers would guess.
PLAIN_TEXT = "text/plain;charset=utf-8"


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks what of which store.

    datasets: every dataset there is, also those the feed does not show this caller
    call: the request itself
    version: 4.0 or 4.01
    wishes: the caller's preferences
    changes: what was announced of the sets
    demand: how fresh the answer must be, and what the caller has already
    """

    principal: Principal
    store: Store
    settings: Settings
    datasets: tuple[Dataset, ...]
    feed: Feed
    query: QueryString
    call: Call
    version: str
    style: Style
    wishes: Preferences
    changes: tuple[SchemaChange, ...] = CHANGES
    demand: Demand = NO_DEMAND

    @property
    def tell_type(self) -> Callable[[Field], str] | None:
        """What the database tells the types of columns by that the question makes: minimal metadata
        has no others.
        """
        return name_type if self.style.level == "minimal" and not self.style.is_csv else None

    @property
    def tell_dates(self) -> bool:
        """Does the database tell which members of open objects are dates? It knows their types."""
        return self.style.level != "none" and not self.style.is_csv

    def envelope(self, context: str, freshness: Freshness) -> Envelope:
        """What stands around an answer, as this caller wants it."""
        return Envelope(
            "" if self.style.level == "none" else context,
            freshness,
            self.wishes,
            self.style.numbers_as_text,
        )

    def dress(
        self,
        dataset: Dataset,
        selection: Selection,
        plan: Plan | None = None,
        way: Iterable[Navigation] = (),
    ) -> Dress:
        """How this caller wants rows of a set written.

        plan: of the question they answer, once it is there
        way: leads from its rows to those that are meant
        """
        dress = Dress(self.feed, dataset, selection, self.style, self.wishes.omit_nulls)
        if plan is None or not (plan.request.apply or adds_columns(plan.request)):
            return dress
        shape: Shape | Expansion = plan.shape
        for navigation in way:
            shape = next(one for one in shape.expansions if one.navigation == navigation)
        return dress.over(shape)


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read.

    body: None when there is nothing at the address, which is 204
    media_type: empty for the JSON of the caller's style
    etag: of the answer; empty where the same state of the data may give another one
    is_unchanged: the caller has it already, by its entity tag
    """

    body: bytes | None
    freshness: Freshness
    media_type: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    etag: str = ""
    is_unchanged: bool = False


def adds_columns(asked: Request | Expand) -> bool:
    """Are columns to be reckoned, here or behind a navigation?"""
    return bool(asked.compute) or any(map(adds_columns, asked.expand))


def plan_question(asker: Asker, request: Request, *, is_tagged: bool = False) -> Plan:
    """The plan of a question of this caller.

    is_tagged: may the answer be that the caller has it already?
    """
    demand = asker.demand
    if demand.known_tags and not is_tagged:
        demand = replace(demand, known_tags=())
    return plan_request(
        request if request.demand is demand else replace(request, demand=demand),
        asker.principal,
        store=asker.store,
        settings=asker.settings,
        datasets=asker.datasets,
    )


def ask(asker: Asker, request: Request) -> Answer:
    """The answer of the one pipeline."""
    return run_question(asker, plan_question(asker, request))


def run_question(asker: Asker, plan: Plan) -> Answer:
    """The answer to a plan, within the time this request has left."""
    return run_plan(plan, asker.store, limit_s=limit_of(asker))


def limit_of(asker: Asker) -> float:
    """How many seconds a question of this request may take.

    Raises: TooExpensive, when nothing is left
    """
    usual, longer = asker.settings.limit_query_s, asker.settings.limit_export_s
    return asker.call.seconds_left(longer if asker.call.in_background else usual)


def unchanged_reading(answer: Answer) -> Reading:
    """That the caller already has this answer, by its entity tag."""
    return Reading(None, answer.freshness, etag=answer.tag, is_unchanged=True)


def matches_tag(known: str, etag: str) -> bool:
    """Is an entity tag among those of an If-None-Match or If-Match, by weak comparison?"""
    opaque = etag.removeprefix("W/")
    tags = (tag.strip().removeprefix("W/") for tag in known.split(","))
    return bool(etag) and any(tag in {"*", opaque} for tag in tags)
