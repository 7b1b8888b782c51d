"""Every set has the columns and ways that were promised, under the promised names.

A set may have more; what belongs to the ledger's evidence comes with it.
"""

import pytest

from app.catalog.index import dataset_named

# Every set also tells when a row changed and at which revision; what is reckoned anew for each
# question has neither, and what tells of changes says so by names of its own.
RECKONED = {
    "IngestionLag",
    "IngestionLagSources",
    "CertificationStanding",
    "Events",
    "PartitionChanges",
}
COLUMNS = {
    "LearnerProgress": "assignment_id learner_key module_key module_name module_type series_key"
    " series_name team_key team_name manager_key cycle status percent_complete assigned_at due_at"
    " started_at last_activity_at completed_at ended_at end_reason mandatory reason implicit passed"
    " attempts score max_score first_score_percent best_score_percent last_score_percent points"
    " time_spent_s is_overdue days_overdue parts_done parts_total module_version events_count",
    "Learners": "learner_id learner_key status team_key manager_key department location country"
    " job_title timezone hired_on attributes known display_name email employee_no",
    "Teams": "team_id team_key name kind parent_key members_count",
    "Memberships": "membership_id team_key learner_key since until",
    "Series": "series_id series_key name kind modules_count",
    "SeriesModules": "series_key module_key position required",
    "Modules": "module_id module_key name module_type version status published_at archived_at"
    " max_score pass_score_percent estimated_minutes tags parts_count known",
    "ModuleParts": "part_id module_key part_key part_type title position required weight"
    " max_points needs_signoff",
    "Assignments": "assignment_id learner_key module_key module_type series_key cycle assigned_at"
    " due_at ended_at end_reason mandatory reason implicit",
    "PartProgress": "part_progress_id assignment_id learner_key module_key module_type part_key"
    " status reached_at done_at score points time_spent_s",
    "Attempts": "attempt_id assignment_id learner_key module_key module_type attempt submitted_at"
    " graded_at score max_score score_percent passed seconds voided",
    "Sessions": "session_id session_key module_key mode starts_at ends_at capacity location"
    " instructor_key status enrolled_count attended_count",
    "SessionAttendance": "enrolment_id session_key module_key learner_key status enrolled_at"
    " outcome minutes marked_at marked_by",
    "SignOffs": "signoff_id assignment_id learner_key module_key part_key submitted_at decision"
    " reviewer_key decided_at",
    "Points": "entry_id learner_key module_key module_type points awarded_at reason",
    "Activity": "activity_id learner_key module_key module_type started_at ended_at seconds"
    " counted_s clicks device",
    "Certifications": "certification_id certification_key name series_key valid_days",
    "CertificationAwards": "award_id certification_key learner_key cycle issued_at expires_at"
    " revoked_at status",
    "CertificationStanding": "certification_key certification_name learner_key team_key team_name"
    " manager_key status is_required issued_at expires_at renewals_due renewals_on_time",
    "Feedback": "feedback_id learner_key module_key module_type session_key rating scale_max"
    " given_at",
    "ProgressHistory": "history_id assignment_id learner_key module_key module_type status"
    " percent_complete best_score_percent valid_from valid_to known_from known_to",
    "IngestionLag": "stream kind verdict reason complete_through data_lag_s processing_lag_s"
    " declared received applied missing duplicate conflict quarantined pending dead"
    " last_received_at last_applied_at evaluated_at",
    "IngestionLagSources": "source stream verdict reason received applied pending dead",
    "PartitionChanges": "change_id set day rows_changed first_changed_at last_changed_at cause",
    "Events": "seq event_id source type stream learner_key module_key occurred_at recorded_at"
    " received_at applied_at disposition winner_seq error",
}
WAYS = {
    "LearnerProgress": "learner module series team lag parts attempts_made history",
    "Learners": "progress teams manager reports awards feedback",
    "Teams": "parent children memberships learners",
    "Memberships": "team learner",
    "Series": "progress modules",
    "SeriesModules": "series module",
    "Modules": "parts progress sessions series feedback lag",
    "ModuleParts": "module progress",
    "Assignments": "learner module series",
    "PartProgress": "assignment learner module part",
    "Attempts": "assignment learner module",
    "Sessions": "module instructor attendance feedback",
    "SessionAttendance": "session learner module",
    "SignOffs": "assignment learner module part reviewer",
    "Points": "assignment learner module",
    "Activity": "assignment learner module",
    "Certifications": "series awards",
    "CertificationAwards": "certification learner",
    "CertificationStanding": "certification learner awards",
    "Feedback": "learner module session",
    "ProgressHistory": "assignment learner module",
    "Events": "learner module",
}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_set_has_every_promised_column(name: str) -> None:
    told = {field.name for field in dataset_named(name).fields}
    every = set() if name in RECKONED else {"changed_at", "revision"}
    assert {*COLUMNS[name].split(), *every} - told == set()


@pytest.mark.parametrize("name", WAYS)
def test_a_set_leads_where_it_was_promised(name: str) -> None:
    told = {navigation.name for navigation in dataset_named(name).navigations}
    assert set(WAYS[name].split()) - told == set()
