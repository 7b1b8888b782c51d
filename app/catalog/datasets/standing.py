"""CertificationStanding: where each learner stands with each certification, at one moment."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Select,
    Text,
    and_,
    case,
    cast,
    func,
    literal_column,
    null,
    or_,
    select,
    union_all,
)

from app.catalog.datasets.shared import count, flag, key_text, moment
from app.catalog.fields import Dataset, Field, Frame, Join, Measure, Navigation, Role, Type
from app.learning.modules import MODULE_TYPE_NAMES
from app.store.days import DaysFrom, first_day
from app.store.moments import DaysLater
from app.store.tables import Award, Certification, Learner, Progress, Team
from app.store.tables.columns import UtcDateTime, table_of

Sql = ColumnElement[Any]

_PAIR = ("certification_key", "learner_key")
_ZERO: Sql = literal_column("0", BigInteger())
_ONE: Sql = literal_column("1", BigInteger())


def _standing_rows(environment_id: Sql, as_of: Sql) -> Select[Any]:
    """One row for each pair of certification and learner that an award or a duty names."""
    awarded = _awards(environment_id, as_of)
    told = union_all(
        select(*awarded.c).select_from(awarded), _duties(environment_id, as_of)
    ).subquery("told")
    latest = {"status": Text(), "issued_at": UtcDateTime(), "expires_at": UtcDateTime()}
    return select(
        environment_id.label("environment_id"),
        *(told.c[name] for name in _PAIR),
        (func.max(told.c.needed) > 0).label("is_required"),
        *(func.max(told.c[name], type_=kind).label(name) for name, kind in latest.items()),
        *(
            cast(func.sum(told.c[name]), BigInteger()).label(name)
            for name in ("renewals_due", "renewals_on_time")
        ),
    ).group_by(*(told.c[name] for name in _PAIR))


def _awards(environment_id: Sql, as_of: Sql) -> FromClause:
    """Every award issued by then; the one that holds longest tells how its pair stands."""
    ranked = _ranked_awards(environment_id, as_of)
    row = ranked.c
    is_telling = row.place == 1
    expired = row.ends_at <= as_of
    status = case((row.is_revoked == 1, "revoked"), (expired, "expired"), else_="valid")
    is_due = and_(expired, or_(row.revoked_at.is_(None), row.revoked_at > row.ends_at))
    is_renewed = and_(is_due, row.renewed_at <= row.ends_at)
    return (
        select(
            row.certification_key,
            row.learner_key,
            _ZERO.label("needed"),
            case((is_telling, status)).label("status"),
            case((is_telling, row.issued_at)).label("issued_at"),
            case((is_telling, row.ends_at)).label("expires_at"),
            case((is_due, _ONE), else_=_ZERO).label("renewals_due"),
            case((is_renewed, _ONE), else_=_ZERO).label("renewals_on_time"),
        )
        .select_from(ranked)
        .subquery("awarded")
    )


def _ranked_awards(environment_id: Sql, as_of: Sql) -> FromClause:
    """Awards by how long they hold: not revoked first, without an end before the latest end."""
    award, certification = table_of(Award).alias(), table_of(Certification).alias()
    ends_at: Sql = func.coalesce(
        award.c.expires_at,
        DaysLater(award.c.issued_at, certification.c.valid_days),
        type_=UtcDateTime(),
    )
    is_revoked = case((award.c.revoked_at <= as_of, _ONE), else_=_ZERO)
    pair = [award.c[name] for name in _PAIR]
    holds = (is_revoked, ends_at.is_not(None), ends_at.desc(), award.c.cycle.desc())
    return (
        select(
            *pair,
            award.c.issued_at,
            award.c.revoked_at,
            ends_at.label("ends_at"),
            is_revoked.label("is_revoked"),
            func.row_number().over(partition_by=pair, order_by=holds).label("place"),
            func.lead(award.c.issued_at, type_=UtcDateTime())
            .over(partition_by=pair, order_by=award.c.cycle)
            .label("renewed_at"),
        )
        .select_from(
            award.outerjoin(
                certification,
                and_(
                    certification.c.environment_id == environment_id,
                    certification.c.certification_key == award.c.certification_key,
                ),
            )
        )
        .where(
            award.c.environment_id == environment_id,
            award.c.is_deleted.is_(False),
            award.c.issued_at <= as_of,
        )
        .subquery("ranked")
    )


def _duties(environment_id: Sql, as_of: Sql) -> Select[Any]:
    """Whoever has a mandatory assignment in the series of a certification needs it."""
    work, certification = table_of(Progress).alias(), table_of(Certification).alias()
    return (
        select(
            certification.c.certification_key,
            work.c.learner_key,
            _ONE,
            cast(null(), Text()),
            cast(null(), UtcDateTime()),
            cast(null(), UtcDateTime()),
            _ZERO,
            _ZERO,
        )
        .select_from(
            certification.join(
                work,
                and_(
                    work.c.environment_id == environment_id,
                    work.c.series_key == certification.c.series_key,
                ),
            )
        )
        .where(
            certification.c.environment_id == environment_id,
            certification.c.is_deleted.is_(False),
            certification.c.series_key != "",
            work.c.is_deleted.is_(False),
            work.c.mandatory.is_(True),
            work.c.assigned_at <= as_of,
            or_(work.c.ended_at.is_(None), work.c.ended_at > as_of),
            or_(work.c.waived_at.is_(None), work.c.waived_at > as_of),
        )
        .distinct()
    )


def _join_certification(frame: Frame, certification: FromClause) -> ColumnElement[bool]:
    return certification.c.certification_key == frame.base.c.certification_key


def _join_learner(frame: Frame, learner: FromClause) -> ColumnElement[bool]:
    return learner.c.learner_key == frame.base.c.learner_key


def _join_team(frame: Frame, team: FromClause) -> ColumnElement[bool]:
    return team.c.team_key == frame.join("learner").c.team_key


def _status(frame: Frame) -> Sql:
    return func.coalesce(frame.base.c.status, "missing", type_=Text())


def _days_to_expiry(frame: Frame) -> Sql:
    row = frame.base.c
    ends = first_day("day", row.expires_at, frame.zone)
    return case((row.status == "valid", DaysFrom(frame.as_of_day, ends)))


def _name_of(name: str, label: str, description: str, *, via: str) -> Field:
    return Field(name, Type.TEXT, label, description, via=via, column="name", max_length=2000)


_MEASURED = (
    Field(
        "days_to_expiry",
        Type.INT,
        "Days to expiry",
        "Days of the zone until it expires; null unless it is valid and expires at all.",
        role=Role.MEASURE,
        unit="days",
        sql=_days_to_expiry,
    ),
)

_MEASURES = (
    Measure("awarded", "Awarded", "Awarded by then, valid or not.", where="status ne 'missing'"),
    Measure("valid", "Valid", "Valid at the moment asked for.", where="status eq 'valid'"),
    Measure("lapsed", "Lapsed", "Expired and not renewed.", where="status eq 'expired'"),
    Measure(
        "revoked", "Revoked", "Revoked, and no other award valid.", where="status eq 'revoked'"
    ),
    Measure("required", "Required", "Learners who need it.", where="is_required"),
    Measure(
        "required_valid",
        "Required and valid",
        "Learners who need it and hold it.",
        where="is_required and status eq 'valid'",
    ),
    Measure(
        "coverage",
        "Coverage",
        "required_valid / required; null when no one needs it.",
        numerator="required_valid",
        denominator="required",
    ),
    Measure(
        "renewals_due",
        "Renewals due",
        "Awards that expired by then, not revoked before.",
        function="sum",
        field="renewals_due",
    ),
    Measure(
        "renewals_on_time",
        "Renewed on time",
        "Of those, followed by another award before they expired.",
        function="sum",
        field="renewals_on_time",
    ),
    Measure(
        "renewed_on_time_rate",
        "Renewed on time rate",
        "renewals_on_time / renewals_due; null when none was due.",
        numerator="renewals_on_time",
        denominator="renewals_due",
    ),
)

CERTIFICATION_STANDING = Dataset(
    name="CertificationStanding",
    entity="CertificationStandingRow",
    label="Certification standing",
    description="Where each learner stands with each certification that they were awarded, or need"
    " for a mandatory assignment in its series.",
    rows=_standing_rows,
    key=_PAIR,
    joins=(
        Join("certification", table_of(Certification), _join_certification, streams=("catalog",)),
        Join("learner", table_of(Learner), _join_learner, streams=("people",)),
        Join("team", table_of(Team), _join_team, streams=("people",)),
    ),
    navigations=(
        Navigation(
            "certification",
            "Certifications",
            (("certification_key", "certification_key"),),
            "The certification.",
        ),
        Navigation("learner", "Learners", (("learner_key", "learner_key"),), "The learner."),
        Navigation(
            "awards",
            "CertificationAwards",
            tuple((name, name) for name in _PAIR),
            "The awards, a renewal a row.",
            many=True,
        ),
    ),
    measures=_MEASURES,
    measured=_MEASURED,
    streams=("assignments", "catalog", *MODULE_TYPE_NAMES),
    fields=(
        key_text("certification_key", "Certification", "The certification, by the source's key."),
        _name_of(
            "certification_name",
            "Certification name",
            "The certification's name.",
            via="certification",
        ),
        key_text("learner_key", "Learner", "The learner, by the source's key."),
        Field(
            "team_key",
            Type.TEXT,
            "Team",
            "The learner's primary team now.",
            role=Role.KEY,
            via="learner",
            max_length=200,
        ),
        _name_of("team_name", "Team name", "Name of the primary team now.", via="team"),
        Field(
            "manager_key",
            Type.TEXT,
            "Manager",
            "The learner's manager now.",
            role=Role.KEY,
            via="learner",
            max_length=200,
        ),
        Field(
            "status",
            Type.TEXT,
            "Status",
            "valid, expired, revoked, or missing when it is needed and was never awarded.",
            nullable=False,
            sql=_status,
            max_length=20,
        ),
        flag("is_required", "Required", "Does a mandatory assignment in its series last?"),
        moment("issued_at", "Issued at", "When the award that holds longest was issued."),
        moment("expires_at", "Expires at", "When that one expires; null = never, or no award."),
        count("renewals_due", "Renewals due", "Awards that expired, not revoked before."),
        count("renewals_on_time", "Renewed on time", "Of those, renewed before they expired."),
    ),
)
