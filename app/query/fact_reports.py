"""Reports over single facts: activity, attendance, sign-offs, points, assignments, streams."""

from collections.abc import Mapping

from app.learning.modules import STREAM_NAMES
from app.query.parameters import (
    FILTERS,
    MOMENT,
    OF_FACTS,
    PAGING,
    Parameter,
    Report,
    filter_by,
    group_request,
    grouping,
    paging,
)
from app.query.request import Aggregate, Order, Request

_ZERO = "A zero denominator gives null."


def _assignment_audit(given: Mapping[str, str]) -> Request:
    return Request(
        "Assignments",
        select=(
            "assignment_id",
            "learner_key",
            "module_key",
            "module_type",
            "series_key",
            "cycle",
            "assigned_at",
            "due_at",
            "mandatory",
            "reason",
            "rule",
            "implicit",
            "waived_at",
            "ended_at",
            "end_reason",
            "changed_at",
        ),
        where=filter_by(given, base="assigned_at le @as_of"),
        order=(Order("learner_key"), Order("module_key"), Order("cycle")),
        **paging(given),
    )


def _data_completeness(given: Mapping[str, str]) -> Request:
    return Request(
        "IngestionLag",
        select=(
            "stream",
            "verdict",
            "reason",
            "complete_through",
            "processing_lag_s",
            "declared",
            "received",
            "applied",
            "missing",
            "duplicate",
            "conflict",
            "quarantined",
            "pending",
            "dead",
            "last_received_at",
            "last_applied_at",
            "evaluated_at",
        ),
        where=filter_by(given, base=""),
        **paging(given),
    )


def _time_spent(given: Mapping[str, str]) -> Request:
    return group_request(
        given,
        by="learner_key,module_key",
        numbers=("seconds_per_starter", "seconds_per_completer"),
        where="started_at le @as_of",
        dataset="Activity",
    )


def _ilt_attendance(given: Mapping[str, str]) -> Request:
    return group_request(
        given,
        by="module_key,session_key",
        numbers=(
            "marked",
            "excused",
            "attendance_rate",
            "no_show_rate",
            "unmarked",
            "late_cancellations",
        ),
        dataset="SessionAttendance",
    )


def _checklist_signoff(given: Mapping[str, str]) -> Request:
    hours = (("median_hours_to_decide", "median"), ("p90_hours_to_decide", "p90"))
    return group_request(
        given,
        by="module_key,part_key",
        numbers=(
            "approved",
            "pending",
            "oldest_pending_at",
            "rejected_rate",
            "right_first_time_rate",
            *(Aggregate(name, function=fn, field="hours_to_decide") for name, fn in hours),
        ),
        where="" if "module_type" in given else "module_type eq 'checklist'",
        dataset="SignOffs",
    )


def _quest_leaderboard(given: Mapping[str, str]) -> Request:
    return group_request(
        given,
        by="learner_key",
        numbers=(
            Aggregate("points", function="sum", field="points", label="Points"),
            Aggregate("last_awarded_at", function="max", field="awarded_at", label="Last awarded"),
        ),
        where="awarded_at le @as_of"
        + ("" if "module_type" in given else " and module_type eq 'quest'"),
        dataset="Points",
        order=(Order("points", descending=True), Order("last_awarded_at")),
    )


FACT_REPORTS: tuple[Report, ...] = (
    Report(
        "time_spent",
        "Time spent",
        "How long learners work, per assignment started and per assignment completed.",
        "Activity begun by T, of active learners (all with inactive=yes). time_spent_s: seconds"
        " counted, each stretch without what another of its assignment has counted; its day is that"
        " of its beginning. seconds_per_starter = time_spent_s / starters (assignments with"
        " activity); seconds_per_completer = completers_time_s / completers (those completed by T)."
        f" {_ZERO}",
        "Activity",
        (
            grouping(
                "learner_key,module_key",
                ("learner_key", "module_key", "module_type", "device"),
                stems=("started",),
            ),
            *OF_FACTS,
        ),
        _time_spent,
    ),
    Report(
        "ilt_attendance",
        "Session attendance",
        "Who came to sessions, who did not, and what is not marked yet.",
        "Enrolments of active learners (all with inactive=yes). attendance_rate = (attended +"
        " partial) / (marked - excused), of what was marked by T; no_show_rate = no_shows / (marked"
        " - excused). unmarked: registered for a session that ended by T, and not marked."
        f" late_cancellations: places given up too late. {_ZERO}",
        "SessionAttendance",
        (
            grouping(
                "module_key,session_key",
                ("module_key", "module_type", "session_key", "learner_key", "marked_by"),
                stems=("marked",),
            ),
            *OF_FACTS,
        ),
        _ilt_attendance,
    ),
    Report(
        "checklist_signoff",
        "Checklist sign-off",
        "What is approved, what waits for a reviewer, and how long that takes.",
        "Rounds of sign-off of active learners (all with inactive=yes), of checklists unless"
        " module_type says otherwise. approved, rejected, decided: by T; pending: handed in and not"
        " decided by T; rejected_rate = rejected / decided; right_first_time_rate ="
        " first_rounds_approved / first_rounds_decided; hours from handing in to the decision:"
        f" median and 90th percentile. {_ZERO}",
        "SignOffs",
        (
            grouping(
                "module_key,part_key",
                ("module_key", "module_type", "part_key", "learner_key", "reviewer_key"),
                stems=("decided",),
            ),
            *OF_FACTS,
        ),
        _checklist_signoff,
    ),
    Report(
        "quest_leaderboard",
        "Quest leaderboard",
        "Who has the most points.",
        "Points awarded by T to active learners (all with inactive=yes), of quests unless"
        " module_type says otherwise. Sorted by points, then by last_awarded_at: who reached the"
        " total earlier comes first.",
        "Points",
        (
            grouping(
                "learner_key", ("learner_key", "module_key", "module_type"), stems=("awarded",)
            ),
            *OF_FACTS,
        ),
        _quest_leaderboard,
    ),
    Report(
        "assignment_audit",
        "Assignment audit",
        "What was assigned to whom and why, what was waived and what was ended.",
        "One row per assignment cycle with assigned_at <= T, also ended ones and those of inactive"
        " learners. reason and rule: why it was assigned; implicit: made from a progress event.",
        "Assignments",
        (
            *MOMENT,
            *FILTERS,
            Parameter("learner", "Only this learner, by key."),
            *PAGING,
        ),
        _assignment_audit,
    ),
    Report(
        "data_completeness",
        "Data completeness",
        "How far the data of each stream is.",
        "One row per stream, over all its sources, judged when it is asked: the verdict and its"
        " reason, what was received, applied and set aside. missing = declared - applied; null"
        " while nothing is declared.",
        "IngestionLag",
        (
            Parameter("stream", "Only these streams.", values=STREAM_NAMES, is_list=True),
            *MOMENT,
            *PAGING,
        ),
        _data_completeness,
    ),
)
