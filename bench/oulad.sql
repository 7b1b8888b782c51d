-- OULAD's mapped tables in, CloudEvents out: one row (env_id, part, place, event) each.
-- Needs the tables env, users, modules and ev; docs/mapping-oulad.md says what is meant.

create macro at_midnight(day) as strftime(day, '%Y-%m-%dT00:00:00Z');

-- json_merge_patch takes out what is null: absent and null are not the same thing in an event.
create macro make_event(id, type, subject, day, place, data) as json_merge_patch('{}', json_object(
    'specversion', '1.0', 'id', id, 'source', 'oulad', 'type', type, 'subject', subject,
    'time', at_midnight(day), 'sequence', place::varchar, 'data', data))::varchar;

-- The day of a live room on which somebody was there is a session of it.
create macro session_of(day) as strftime(day, '%Y-%m-%d');

create table due as
select env_id, module_id, module_type, due_on from modules where due_on is not null;

create table joined as
select u.*, coalesce(u.registered_on, least(e.day0, u.unregistered_on), e.day0) as joined_on, e.day0,
       (select min(seq) from ev where ev.env_id = u.env_id and ev.user_id = u.user_id
          and ev.event_type = 'enrolled') as enrolled_seq,
       (select min(seq) from ev where ev.env_id = u.env_id and ev.user_id = u.user_id
          and ev.event_type = 'unenrolled') as unenrolled_seq
from users u join env e using (env_id);

-- Rows that happened, each with its id and what all its events say of it.
create table told as
select *, left(sha256(concat_ws('|', env_id, user_id, module_id, event_type,
                                strftime(occurred_on, '%Y-%m-%d'), source_ref)), 32) as event_id,
       clicks is not null and event_type <> 'completed' as opens,
       json_object('learner', user_id, 'module', module_id, 'source_ref', source_ref, 'module_type',
                   case when event_type not in ('enrolled', 'unenrolled') then module_type end) as keys
from ev;

create table sent as
-- 1. people
select env_id, 1 as part, row_number() over (order by env_id, team) as place,
       make_event('derived:team:' || team, 'team.upserted', 'team:' || team, day0, null,
                  json_object('team', team, 'name', team, 'kind', 'group')) as event
from (select distinct env_id, day0, team from joined)
union all
select env_id, 2, row_number() over (order by env_id, user_id),
       make_event('derived:learner:' || user_id, 'learner.upserted', 'learner:' || user_id, joined_on, null,
                  json_object('learner', user_id, 'location', team))
from joined
union all
select env_id, 3, row_number() over (order by env_id, user_id),
       make_event('derived:member:' || user_id, 'membership.set', 'learner:' || user_id, joined_on, null,
                  json_object('learner', user_id, 'team', team))
from joined
union all
-- 2. catalog
select env_id, 4, row_number() over (order by env_id, module_id),
       make_event('derived:module:' || module_id, 'module.upserted', 'module:' || module_id, day0, null,
                  json_object('module', module_id, 'module_type', module_type, 'name', title,
                              'max_score', case when module_type in ('assessment', 'quest') then 100 end,
                              'pass_score_percent', case when module_type in ('assessment', 'quest') then 40 end,
                              'weight', weight, 'source_type', source_type, 'week_from', week_from,
                              'week_to', week_to, 'events_available', events_available))
from modules join env using (env_id)
union all
select env_id, 5, row_number() over (order by env_id, due_on, module_id),
       make_event('derived:part:' || env_id || ':coursework:' || split_part(module_id, ':', 2), 'part.upserted',
                  'module:' || env_id || ':coursework', day0, null,
                  json_object('module', env_id || ':coursework', 'part', split_part(module_id, ':', 2),
                              'part_type', 'item', 'title', title, 'weight', weight,
                              'position', row_number() over (partition by env_id order by due_on, module_id)))
from modules join env using (env_id) where source_type in ('TMA', 'CMA')
union all
select env_id, 6, row_number() over (order by env_id, module_id, occurred_on),
       make_event('derived:session:' || module_id || ':' || session_of(occurred_on), 'session.scheduled',
                  'module:' || module_id, occurred_on, null,
                  json_object('module', module_id, 'session', session_of(occurred_on), 'mode', 'virtual',
                              'starts_at', at_midnight(occurred_on), 'ends_at', at_midnight(occurred_on + 1)))
from (select distinct env_id, module_id, occurred_on from ev where module_type = 'ilt')
union all
-- 3. assignments: every module with a due day; the course itself by its own enrolled event
select env_id, 7, row_number() over (order by env_id, user_id, module_id),
       make_event('derived:made:' || user_id || ':' || module_id, 'assignment.made',
                  'learner:' || user_id, joined_on, enrolled_seq,
                  json_object('learner', user_id, 'module', module_id, 'due_at', at_midnight(due_on),
                              'reason', 'import'))
from joined join due using (env_id) where module_type <> 'course' or enrolled_seq is null
union all
select env_id, 8, row_number() over (order by env_id, user_id, module_id),
       make_event('derived:ended:' || user_id || ':' || module_id, 'assignment.ended',
                  'learner:' || user_id, unregistered_on, unenrolled_seq,
                  json_object('learner', user_id, 'module', module_id, 'end_reason', 'removed'))
from joined join due using (env_id) where module_type <> 'course' and unregistered_on is not null
union all
-- 4. what happened: the event of each row, and a second one where it tells two things
select env_id, 9, 2 * seq,
       make_event(event_id, case event_type when 'enrolled' then 'assignment.made'
                                            when 'unenrolled' then 'assignment.ended'
                                            when 'completed' then 'progress.completed'
                                            when 'attended' then 'attendance.marked'
                                            else case when progress_pct is null then 'activity.recorded'
                                                      else 'progress.advanced' end end,
                  'learner:' || user_id, occurred_on, seq,
                  json_merge_patch(keys, json_object(
                      'due_at', case event_type when 'enrolled' then
                          (select at_midnight(due_on) from due where due.env_id = told.env_id
                             and due.module_id = told.module_id) end,
                      'reason', case event_type when 'enrolled' then 'import' end,
                      'end_reason', case event_type when 'unenrolled' then 'removed' end,
                      'percent', case when event_type = 'progressed' then progress_pct end,
                      'passed', case when module_type = 'course' then passed end, 'banked', banked,
                      'session', case event_type when 'attended' then session_of(occurred_on) end,
                      'outcome', case event_type when 'attended' then 'attended' end,
                      'started_at', case when event_type <> 'attended' and opens then at_midnight(occurred_on) end,
                      'clicks', case when opens then clicks end)))
from told
union all
select env_id, 9, 2 * seq + 1,
       make_event(event_id || '+', case when clicks is not null then
                                             case module_type when 'ilt' then 'attendance.marked'
                                                              else 'activity.recorded' end
                                        when module_type = 'checklist' then 'part.done'
                                        when score is null then 'attempt.submitted' else 'attempt.graded' end,
                  'learner:' || user_id, occurred_on, seq,
                  json_merge_patch(keys, case
                      when module_type = 'ilt' then json_object(
                          'session', session_of(occurred_on), 'outcome', 'attended', 'clicks', clicks)
                      when clicks is not null then json_object(
                          'started_at', at_midnight(occurred_on), 'clicks', clicks)
                      when module_type = 'checklist' then json_object(
                          'part', 'a' || split_part(source_ref, ':', 2))
                      else json_object('attempt', 1, 'score', score, 'passed', passed,
                                       'max_score', case when score is not null then 100 end) end))
from told where source_ref like 'sa:%' or (clicks is not null and event_type = 'completed');
