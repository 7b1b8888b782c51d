"""IngestionLag and IngestionLagSources: how far each stream is, judged when it is asked.

Their rows are made by `ledger/facts.py` in the snapshot of the question; they join to facts by
module type, since BI tools show neither headers nor annotations.
"""

from dataclasses import replace

from app.catalog.datasets.shared import count, flag, key_text, moment, number, text
from app.catalog.enumerations import STREAM_KIND, VERDICT
from app.catalog.fields import Dataset, Field, Type

_STREAM = key_text("stream", "Stream", "A module type, or people, catalog, assignments.")
_SOURCE = key_text("source", "Source", "The source, by its key.")


def _lag_s(name: str, label: str, description: str) -> Field:
    return number(name, label, description, unit="s")


JUDGED_TOGETHER = (
    Field(
        "verdict",
        Type.ENUM,
        "Verdict",
        "What may be said of its completeness.",
        nullable=False,
        enumeration=VERDICT,
    ),
    replace(text("reason", "Reason", "Why it is not complete."), max_length=40),
    flag("waived", "Waived", "A named person has said why what is wrong may stay so."),
    moment("complete_through", "Complete through", "Everything recorded before is here; or null."),
    moment(
        "settled_through", "Settled through", "No more late events are expected before; or null."
    ),
    moment("confirmed_through", "Confirmed through", "An independent snapshot agreed up to here."),
    _lag_s("data_lag_s", "Data lag", "Now less complete_through; null while that is unknown."),
    count(
        "missing",
        "Missing",
        "Declared and not applied; null while nothing is declared.",
        nullable=True,
    ),
    replace(text("assurance", "Assurance", "What the evidence was counted from."), max_length=40),
    moment("evaluated_at", "Evaluated at", "When this was judged.", nullable=False),
)
_JUDGED = (
    Field(
        "kind",
        Type.ENUM,
        "Kind",
        "module_type, people, catalog or assignments.",
        nullable=False,
        enumeration=STREAM_KIND,
    ),
    *JUDGED_TOGETHER,
    _lag_s("generation_lag_s", "Generation lag", "Recorded until handed over; null while unknown."),
    _lag_s("transport_lag_s", "Transport lag", "Handed over until received; null while unknown."),
    _lag_s("processing_lag_s", "Processing lag", "Age of the oldest event not applied yet."),
    _lag_s("evidence_age_s", "Evidence age", "Since the source last spoke; null if never."),
    _lag_s("objective_s", "Objective", "The lag that was promised; null without a contract."),
    count("declared", "Declared", "Events the source says it made.", nullable=True),
    count("received", "Received", "Items that came in."),
    count("applied", "Applied", "Events visible in answers, superseded ones among them."),
    count(
        "surplus",
        "Surplus",
        "Applied and not declared; null while nothing is declared.",
        nullable=True,
    ),
    count("duplicate", "Duplicates", "Items that were known already."),
    count("conflict", "Conflicts", "Items whose id was known with other content."),
    count("quarantined", "Quarantined", "Items on the shelf: rejected and conflicting."),
    count("pending", "Pending", "Accepted and not applied yet."),
    count("dead", "Dead", "Events that could not be applied."),
    moment("last_received_at", "Last received at", "When the latest item came in."),
    moment("last_applied_at", "Last applied at", "When an event was last applied."),
)

INGESTION_LAG = Dataset(
    name="IngestionLag",
    entity="StreamLag",
    label="Ingestion lag",
    description="How far each stream is, over all its sources; judged when it is asked.",
    computed="streams",
    key=("stream",),
    module_type_field="stream",
    fields=(_STREAM, *_JUDGED),
)

INGESTION_LAG_SOURCES = Dataset(
    name="IngestionLagSources",
    entity="SourceLag",
    label="Ingestion lag by source",
    description="How far each stream of each source is; judged when it is asked.",
    computed="sources",
    key=("source", "stream"),
    module_type_field="stream",
    fields=(_SOURCE, _STREAM, *_JUDGED),
)
