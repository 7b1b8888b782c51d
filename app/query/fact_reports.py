"""Reports over single facts: activity, attendance, sign-offs, points, assignments, streams."""

from collections.abc import Mapping

from app.base.clock import format_time
from app.catalog.enumerations import STATUS
from app.learning.modules import STREAM_NAMES
from app.query.parameters import (
    FILTERS,
    MOMENT,
    OF_FACTS,
    PAGING,
    PEOPLE,
    Parameter,
    Report,
    filter_by,
    group_request,
    grouping,
    paging,
    parse_count,
    parse_moment,
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


def _compliance_as_of(given: Mapping[str, str]) -> Request:
    known_at = parse_moment(given, "known_at")
    moment = "@as_of" if known_at is None else format_time(known_at)
    held = "valid_from le @as_of and (valid_to eq null or valid_to gt @as_of)"
    known = f"known_from le {moment} and (known_to eq null or known_to gt {moment})"
    return Request(
        "ProgressHistory",
        select=(
            "assignment_id",
            "learner_key",
            "module_key",
            "module_type",
            "status",
            "percent_complete",
            "best_score_percent",
            "valid_from",
            "valid_to",
            "known_from",
            "known_to",
        ),
        where=filter_by(given, base=held, where=f"{known} or known_to eq null"),
        order=(Order("learner_key"), Order("module_key"), Order("known_from")),
        **paging(given),
    )


def _item_analysis(given: Mapping[str, str]) -> Request:
    return group_request(
        given,
        by="module_key,part_key",
        numbers=(
            "difficulty",
            Aggregate(
                "discrimination",
                "correlation",
                "is_correct",
                label="Discrimination",
                by="assignment_score_percent",
            ),
            Aggregate("median_seconds", "median", "answer_s", label="Median time"),
        ),
        where=""
        if "module_type" in given
        else "module_type eq 'assessment' or module_type eq 'reinforcement'",
        dataset="PartProgress",
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


def _ilt_capacity(given: Mapping[str, str]) -> Request:
    return group_request(
        given,
        by="module_key,session_key",
        numbers=(
            "sessions",
            "cancelled",
            "fill_rate",
            "waiting",
            "conversion_rate",
            "given_up",
            "seats_lost_rate",
        ),
        dataset="Sessions",
        base="",
    )


def _certification_status(given: Mapping[str, str]) -> Request:
    within = parse_count(given, "expires_within", default=30, most=10_000)
    return group_request(
        given,
        by="certification_key,certification_name",
        numbers=(
            "awarded",
            "valid",
            Aggregate("expiring", where=f"days_to_expiry le {within}", label="Expiring"),
            "lapsed",
            "revoked",
            "coverage",
            "renewed_on_time_rate",
        ),
        dataset="CertificationStanding",
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
        "item_analysis",
        "Item analysis",
        "How hard questions are, and whether they tell good learners from others.",
        "Parts of assignments of active learners (all with inactive=yes), of assessments and"
        " reinforcements unless module_type says otherwise. answered: done or rejected by T;"
        " correct: done with all the points the catalog knows for it; done with any score above 0"
        " where it knows none; done, where no score is stated. difficulty = correct / answered."
        " discrimination: correlation of correct (1 or 0) with the latest score of the assignment;"
        " null where either is the same for all. median_seconds: of those answered whose seconds"
        f" are stated. {_ZERO}",
        "PartProgress",
        (
            grouping(
                "module_key,part_key", ("module_key", "module_type", "part_key"), stems=("done",)
            ),
            *OF_FACTS,
        ),
        _item_analysis,
    ),
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
        "ilt_capacity",
        "Session capacity",
        "How full sessions are, who waits, and which seats stay empty.",
        "Sessions as known now, cancelled ones apart; all learners count, a seat is a seat. seats:"
        " capacity of the sessions that state one; seats_filled: registered for those by T;"
        " fill_rate = seats_filled / seats. waiting: on the waiting list; waited: ever put on it by"
        " T; converted: of those, registered now; conversion_rate = converted / waited. given_up:"
        " places given up by T. seats_lost: no-shows marked by T; seats_lost_rate = seats_lost /"
        f" seats. {_ZERO}",
        "Sessions",
        (
            grouping(
                "module_key,session_key",
                ("module_key", "session_key", "mode", "location", "instructor_key"),
                stems=("starts",),
            ),
            *MOMENT,
            Parameter("module", "Only this module, by key."),
            *PAGING,
        ),
        _ilt_capacity,
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
        "certification_status",
        "Certification status",
        "Who holds which certification, whose lapses soon, and who should hold one and does not.",
        "One standing for each active learner (all with inactive=yes) and certification, awarded by"
        " T or needed; of several awards the one that holds longest tells it. awarded = valid +"
        " lapsed + revoked. expiring: valid, and expires at most expires_within days of the zone"
        " ahead. required: learners with a mandatory assignment in the certification's series that"
        " at T is neither ended nor waived; coverage = required_valid / required. renewals_due:"
        " awards that expired by T, not revoked before; renewals_on_time: of those, followed by"
        f" another before they expired. {_ZERO}",
        "CertificationStanding",
        (
            grouping(
                "certification_key,certification_name",
                (
                    "certification_key",
                    "certification_name",
                    "learner_key",
                    "team_key",
                    "team_name",
                    "manager_key",
                    "is_required",
                ),
                stems=("issued", "expires"),
            ),
            Parameter("expires_within", "How many days ahead is soon, 1 to 10,000.", default="30"),
            *MOMENT,
            Parameter("certification", "Only this certification, by key."),
            *PEOPLE,
            *PAGING,
        ),
        _certification_status,
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
        "compliance_as_of",
        "Compliance as of a moment",
        "What held of each assignment at a moment, as known then and as known now.",
        "Rows of history that held at T (valid_from <= T < valid_to) and were known at known_at, or"
        " are known now. What was known then and still stands is one row. Where a late fact has"
        " corrected it there are two: as known then, with the known_to at which it was corrected;"
        " and as known now, with a known_from behind known_at. Inactive learners and ended"
        " assignments are in it.",
        "ProgressHistory",
        (
            Parameter("known_at", "As known at this moment, RFC 3339 with offset.", default="T"),
            Parameter("status", "Only these.", values=STATUS.members, is_list=True),
            *MOMENT,
            *(one for one in FILTERS if one.name != "series"),
            Parameter("learner", "Only this learner, by key."),
            *PAGING,
        ),
        _compliance_as_of,
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
