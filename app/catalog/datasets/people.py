"""Learners, Teams and Memberships."""

from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, FromClause, func, select

from app.catalog.datasets.shared import (
    CHANGED_AT,
    EVENTS_COUNT,
    REVISION,
    count,
    flag,
    key_number,
    key_text,
    moment,
    not_deleted,
    text,
)
from app.catalog.fields import Dataset, Field, Frame, Join, Navigation, Role, Type
from app.store.tables import Learner, LearnerProfile, Membership, Team
from app.store.tables.columns import table_of


def _join_profile(frame: Frame, profile: FromClause) -> ColumnElement[bool]:
    return profile.c.learner_key == frame.base.c.learner_key


def _members_count(frame: Frame) -> ColumnElement[Any]:
    membership = table_of(Membership).alias()
    counted = (
        select(func.count())
        .select_from(membership)
        .where(
            membership.c.environment_id == frame.environment_id,
            membership.c.team_key == frame.base.c.team_key,
            membership.c.is_deleted.is_(False),
            membership.c.since <= frame.as_of,
            func.coalesce(membership.c.until > frame.as_of, True),
        )
    )
    return counted.correlate(frame.base).scalar_subquery()


def _personal(name: str, label: str, description: str) -> Field:
    return replace(text(name, label, description, scope="pii"), via="profile")


LEARNERS = Dataset(
    name="Learners",
    entity="Learner",
    label="Learners",
    description="The people who learn. Names and addresses need a key with scope pii.",
    table=table_of(Learner),
    key=("learner_id",),
    alternate_keys=(("learner_key",),),
    joins=(Join("profile", table_of(LearnerProfile), _join_profile, streams=("people",)),),
    navigations=(
        Navigation(
            "team",
            "Teams",
            (("team_key", "team_key"),),
            "The primary team now.",
            partner="learners",
        ),
        Navigation(
            "manager",
            "Learners",
            (("manager_key", "learner_key"),),
            "The manager now.",
            partner="reports",
        ),
        Navigation(
            "reports",
            "Learners",
            (("learner_key", "manager_key"),),
            "Those whose manager this is now.",
            many=True,
            partner="manager",
        ),
        Navigation(
            "teams",
            "Memberships",
            (("learner_key", "learner_key"),),
            "The teams this learner was in, with from when until when.",
            many=True,
            partner="learner",
        ),
        Navigation(
            "awards",
            "CertificationAwards",
            (("learner_key", "learner_key"),),
            "Certifications awarded to this learner.",
            many=True,
            partner="learner",
        ),
        Navigation(
            "feedback",
            "Feedback",
            (("learner_key", "learner_key"),),
            "What this learner thinks of modules and sessions.",
            many=True,
            partner="learner",
        ),
        Navigation(
            "progress",
            "LearnerProgress",
            (("learner_key", "learner_key"),),
            "What was assigned to this learner.",
            many=True,
        ),
    ),
    streams=("people",),
    where=not_deleted,
    fields=(
        key_number("learner_id", "Learner number", "Number of this learner."),
        key_text("learner_key", "Learner", "The learner, by the source's key."),
        replace(text("status", "Status", "active or inactive."), nullable=False, max_length=20),
        key_text("team_key", "Team", "The primary team now.", nullable=True),
        key_text("manager_key", "Manager", "The manager now.", nullable=True),
        text("department", "Department", "The department."),
        text("location", "Location", "The place of work."),
        text("country", "Country", "The country."),
        text("job_title", "Job title", "The job title."),
        text("timezone", "Time zone", "The time zone."),
        Field("hired_on", Type.DATE, "Hired on", "The first working day.", role=Role.DATE),
        _personal("display_name", "Name", "The name as shown to people."),
        _personal("email", "E-mail", "The e-mail address."),
        _personal("employee_no", "Employee number", "The employee number."),
        Field("attributes", Type.OPEN, "Attributes", "Custom attributes.", nullable=False),
        flag("known", "Known", "Has the source introduced this learner?"),
        EVENTS_COUNT,
        CHANGED_AT,
        REVISION,
    ),
    searchable=(
        "learner_key",
        "display_name",
        "email",
        "employee_no",
        "department",
        "location",
        "job_title",
    ),
)

TEAMS = Dataset(
    name="Teams",
    entity="Team",
    label="Teams",
    description="Teams, groups, organisational units and cohorts.",
    table=table_of(Team),
    key=("team_id",),
    alternate_keys=(("team_key",),),
    navigations=(
        Navigation(
            "parent",
            "Teams",
            (("parent_key", "team_key"),),
            "The team above.",
            partner="children",
        ),
        Navigation(
            "children",
            "Teams",
            (("team_key", "parent_key"),),
            "The teams below.",
            many=True,
            partner="parent",
        ),
        Navigation(
            "memberships",
            "Memberships",
            (("team_key", "team_key"),),
            "Who was in it, from when until when.",
            many=True,
            partner="team",
        ),
        Navigation(
            "learners",
            "Learners",
            (("team_key", "team_key"),),
            "Those whose primary team it is now.",
            many=True,
            partner="team",
        ),
    ),
    streams=("people",),
    where=not_deleted,
    fields=(
        key_number("team_id", "Team number", "Number of this team."),
        key_text("team_key", "Team", "The team, by the source's key."),
        replace(text("name", "Name", "The team's name."), nullable=False),
        replace(text("kind", "Kind", "team, group, org_unit or cohort."), nullable=False),
        key_text("parent_key", "Parent", "The team above.", nullable=True),
        replace(
            count("members_count", "Members", "Members at the moment asked for."),
            sql=_members_count,
        ),
        flag("known", "Known", "Has the source introduced this team?"),
        EVENTS_COUNT,
        CHANGED_AT,
        REVISION,
    ),
    searchable=("team_key", "name"),
)

MEMBERSHIPS = Dataset(
    name="Memberships",
    entity="Membership",
    label="Memberships",
    description="Who was in which team, from when until when.",
    table=table_of(Membership),
    key=("membership_id",),
    navigations=(
        Navigation(
            "team", "Teams", (("team_key", "team_key"),), "The team.", partner="memberships"
        ),
        Navigation(
            "learner",
            "Learners",
            (("learner_key", "learner_key"),),
            "The learner.",
            partner="teams",
        ),
    ),
    streams=("people",),
    where=not_deleted,
    fields=(
        key_number("membership_id", "Membership", "Number of this membership."),
        key_text("team_key", "Team", "The team, by the source's key."),
        key_text("learner_key", "Learner", "The learner, by the source's key."),
        moment("since", "Since", "When it began.", nullable=False),
        moment("until", "Until", "When it ended; null while it lasts."),
        CHANGED_AT,
        REVISION,
    ),
)
