"""Changes over the feed: tracked walks, delta links, what is gone, and past revisions."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from fastapi.testclient import TestClient

from app.access.keys import issue_key
from app.base.config import Settings
from app.catalog.index import DATASETS
from app.intake.accept import accept_items
from app.intake.sources import add_source
from app.odata.preferences import read_preferences
from app.processing.drain import drain_all
from app.query.delta import tracks_changes
from app.store.engine import Store, transaction
from app.store.past import forget_past
from tests.builders import NOON, an_environment, an_event
from tests.contract.feed_rows import ROOT, feed_client

TRACK = {"Prefer": "odata.track-changes"}
TEAMS = "Teams?$select=team_key,name"


@dataclass
class Site:
    """A feed whose data changes.

    client: of the environment's key; its pages have 3 rows
    """

    store: Store
    settings: Settings
    environment_id: int
    client: TestClient
    numbers: list[int] = field(default_factory=lambda: [0])

    def tell(self, kind: str, *datas: dict[str, Any]) -> None:
        """Take events of one type in and work them off."""
        first = self.numbers[0] + 1
        self.numbers[0] += len(datas)
        items = [an_event(first + n, type=kind, data=data) for n, data in enumerate(datas)]
        environment_id = self.environment_id
        accept_items(self.store, self.settings, environment_id=environment_id, items=items)
        drain_all(self.store, self.settings)

    def teams(self, *names: str) -> None:
        """Teams whose key is the first letter of their name."""
        self.tell("team.upserted", *({"team": name[0], "name": name} for name in names))

    def walk(self, url: str, **headers: str) -> list[Any]:
        """All pages behind a link; only the first is asked with these headers."""
        pages = [self.client.get(url, headers=headers)]
        while True:
            assert pages[-1].status_code == 200, pages[-1].text
            following = pages[-1].json().get("@odata.nextLink")
            if following is None:
                return pages
            pages.append(self.client.get(following))

    def track(self, url: str, **headers: str) -> str:
        """The delta link at the end of a tracked walk."""
        return delta_link(self.walk(url, **TRACK, **headers)[-1])


@pytest.fixture
def site(store: Store, settings: Settings) -> Iterator[Site]:
    environment_id = an_environment(store)
    with transaction(store) as connection:
        add_source(connection, environment_id, source_key="lms")
        key = issue_key(connection, environment_id, scopes={"read", "operate"}).key
    small = settings.model_copy(update={"limit_page_rows": 3})
    with feed_client(store, small, key) as client:
        opened = Site(store, settings, environment_id, client)
        opened.teams("ada", "bea", "cid", "dot", "eve")
        yield opened


def delta_link(page: Any) -> str:
    """The link to later changes."""
    link: str = page.json()["@odata.deltaLink"]
    assert link.startswith(f"{ROOT}/")
    return link


def rows_of(pages: list[Any]) -> list[dict[str, Any]]:
    """What all pages hold."""
    return [row for page in pages for row in page.json()["value"]]


def code(answer: Any) -> tuple[int, str]:
    """The status and code of an error."""
    return answer.status_code, answer.json()["error"]["code"]


# Walks


@pytest.mark.parametrize("wish", ["odata.track-changes", "track-changes"])
def test_a_tracked_walk_ends_with_a_delta_link(site: Site, wish: str) -> None:
    pages = site.walk(TEAMS, Prefer=wish)
    assert len(pages) == 2
    assert pages[0].headers["preference-applied"] == wish
    assert "@odata.deltaLink" not in pages[0].json()
    # The wish counts for the whole walk, and is not repeated.
    assert "preference-applied" not in pages[1].headers
    assert "$deltatoken=" in delta_link(pages[1])
    assert "skiptoken" not in delta_link(pages[1])


def test_a_wish_on_a_later_page_is_ignored(site: Site) -> None:
    first = site.client.get(TEAMS).json()
    last = site.client.get(first["@odata.nextLink"], headers=TRACK)
    assert "preference-applied" not in last.headers
    assert "@odata.deltaLink" not in last.json()


def test_a_delta_link_leaves_the_count_out(site: Site) -> None:
    assert "$count" not in site.track(f"{TEAMS}&$count=true")


# Changes


def test_a_delta_tells_what_changed_and_what_is_gone(site: Site) -> None:
    link = site.track(f"{TEAMS}&$filter=name ne 'left'")
    site.teams("arn", "fay")
    site.tell("team.removed", {"team": "b"})
    site.tell("team.upserted", {"team": "c", "name": "left"})
    answer = site.client.get(link, headers={"Prefer": "odata.maxpagesize=100"})
    body = answer.json()
    assert body["@odata.context"] == f"{ROOT}/$metadata#Teams(team_key,name)/$delta"
    changed = {row["team_key"]: row["name"] for row in body["value"] if "team_key" in row}
    assert changed == {"a": "arn", "f": "fay"}
    gone = [row for row in body["value"] if "@removed" in row]
    assert gone == [
        {"@removed": {"reason": "deleted"}, "@odata.id": "Teams(2)"},
        {"@removed": {"reason": "changed"}, "@odata.id": "Teams(3)"},
    ]
    assert len(body["value"]) == 4
    assert all("@odata.id" in row for row in body["value"])
    revision = int(answer.headers["data-freshness"].partition("revision=")[2].partition(";")[0])
    assert body["@fullcount.revision"] == revision
    assert site.client.get("Teams(2)").status_code == 404
    assert site.client.get("Teams(3)").json()["name"] == "left"
    again = site.client.get(delta_link(answer)).json()
    assert again["value"] == []
    assert "@odata.deltaLink" in again


def test_what_became_null_is_told_to_those_who_omit_nulls(site: Site) -> None:
    site.tell("team.upserted", {"team": "f", "name": "fay", "parent": "a"})
    wish = {"Prefer": "track-changes,omit-values=nulls"}
    walk = site.walk("Teams?$select=name,parent_key", **wish)
    assert "parent_key" not in walk[0].json()["value"][0]
    site.tell("team.upserted", {"team": "f", "name": "fay", "parent": None})
    page = site.client.get(delta_link(walk[-1]), headers={"Prefer": "omit-values=nulls"})
    assert [row["parent_key"] for row in page.json()["value"] if row["name"] == "fay"] == [None]
    assert "preference-applied" not in page.headers


def test_version_4_0_has_a_form_of_its_own_for_what_is_gone(site: Site) -> None:
    older = {"OData-MaxVersion": "4.0"}
    link = site.track(TEAMS, **older)
    site.tell("team.removed", {"team": "e"})
    (page,) = site.walk(link, **older)
    assert page.json()["value"] == [
        {
            "@odata.context": f"{ROOT}/$metadata#Teams/$deletedEntity",
            "id": "Teams(5)",
            "reason": "deleted",
        }
    ]


def test_full_metadata_says_where_the_gone_entity_was(site: Site) -> None:
    link = site.track(TEAMS)
    site.teams("arn")
    site.tell("team.removed", {"team": "e"})
    answer = site.client.get(link, headers={"Accept": "application/json;odata.metadata=full"})
    changed, gone = answer.json()["value"]
    assert changed["@odata.type"] == "#fullcount.Team"
    assert gone == {
        "@odata.context": f"{ROOT}/$metadata#Teams/$deletedEntity",
        "@removed": {"reason": "deleted"},
        "@odata.id": "Teams(5)",
    }


def test_changes_come_in_pages_of_one_revision(site: Site) -> None:
    link = site.track(TEAMS)
    site.teams("a1", "b1", "c1", "d1", "e1", "f1", "g1")
    first = site.client.get(link, headers={"Prefer": "maxpagesize=2, track-changes"})
    assert first.headers["preference-applied"] == "maxpagesize=2, track-changes"
    assert "@odata.deltaLink" not in first.json()
    site.teams("a2", "g2")
    pages = [first, *site.walk(first.json()["@odata.nextLink"])]
    assert len(pages) == 3
    names = [row["name"] for row in rows_of(pages)]
    assert sorted(names) == ["a1", "b1", "c1", "d1", "e1", "f1", "g1"]
    assert len({page.json()["@fullcount.revision"] for page in pages}) == 1
    later = rows_of(site.walk(delta_link(pages[-1])))
    assert sorted(row["name"] for row in later) == ["a2", "g2"]


def test_changes_can_be_counted(site: Site) -> None:
    link = site.track(f"{TEAMS}&$filter=name ne 'left'")
    site.teams("a1", "b1", "f1", "g1")
    site.tell("team.removed", {"team": "e"})
    path, _, query = link.partition("?")
    counted = site.client.get(f"{path}/$count?{query}")
    assert (counted.status_code, counted.text) == (200, "5")
    assert counted.headers["content-type"].startswith("text/plain")
    pages = site.walk(f"{link}&$count=true")
    assert pages[0].json()["@odata.count"] == 5
    assert len(rows_of(pages)) == 5


def test_expanded_rows_come_with_the_change_as_they_are(site: Site) -> None:
    site.tell("membership.set", {"learner": "u1", "team": "a"})
    link = site.track("Teams?$select=team_key&$expand=learners($select=learner_key)")
    site.tell("membership.set", {"learner": "u2", "team": "a"})
    (row,) = rows_of(site.walk(link))
    assert row["team_key"] == "a"
    assert sorted(one["learner_key"] for one in row["learners"]) == ["u1", "u2"]
    older = site.client.get(link, headers={"OData-MaxVersion": "4.0"})
    assert code(older) == (501, "query.not_supported")


# What cannot be told


@pytest.mark.parametrize(
    "path",
    [
        f"{TEAMS}&$top=2",
        f"{TEAMS}&$skip=1",
        f"{TEAMS}&$format=csv",
        f"{TEAMS}&$format=application/json;odata.metadata=none",
        "Teams/$ref",
        "Teams(1)/learners",
        "LearnerProgress?$filter=is_overdue",
        "LearnerProgress?$filter=due_at lt now()",
        "Learners?$expand=progress($filter=due_at lt now())",
        "LearnerProgress?$expand=lag",
        "LearnerProgress?$filter=lag/verdict eq 'unknown'",
        "IngestionLag",
        "Events",
    ],
)
def test_what_is_not_tracked_is_answered_plainly(site: Site, path: str) -> None:
    pages = [site.client.get(path, headers=TRACK)]
    assert pages[0].status_code == 200, pages[0].text
    assert "preference-applied" not in pages[0].headers
    assert "deltaLink" not in pages[0].text
    with_token = f"{path}{'&' if '?' in path else '?'}$deltatoken=x"
    assert site.client.get(with_token).status_code in {400, 406, 501}


def test_related_rows_are_not_tracked_in_version_4_0(site: Site) -> None:
    headers = {**TRACK, "OData-MaxVersion": "4.0"}
    answer = site.client.get("Teams?$expand=learners", headers=headers)
    assert answer.status_code == 200
    assert "preference-applied" not in answer.headers
    assert "deltaLink" not in answer.text


def test_metadata_says_of_each_set_whether_it_is_tracked(site: Site) -> None:
    container = site.client.get("$metadata?$format=json").json()["fullcount"]["Container"]
    seen = set()
    for dataset in DATASETS:
        if dataset.scope not in {"read", "operate"} or dataset.singleton:
            continue
        supported = container[dataset.name]["@Capabilities.ChangeTracking"]["Supported"]
        answer = site.client.get(dataset.name, headers=TRACK)
        assert ("preference-applied" in answer.headers) is supported is tracks_changes(dataset)
        seen.add(supported)
    assert seen == {True, False}


def test_a_link_that_is_too_old_says_where_to_begin_anew(site: Site) -> None:
    link = site.track(f"{TEAMS}&$filter=name ne 'x y'")
    site.teams("arn")
    with transaction(site.store) as connection:
        assert forget_past(connection, site.environment_id, before=NOON.replace(year=2100))
    gone = site.client.get(link)
    assert code(gone) == (410, "query.revision_gone")
    assert "track-changes" in gone.json()["error"]["message"]
    anew = gone.headers["location"]
    assert "deltatoken" not in anew
    assert "name" in urlsplit(anew).query
    assert len(rows_of(site.walk(anew, **TRACK))) == 5


def test_a_token_counts_for_its_own_question_alone(site: Site) -> None:
    link = site.track(TEAMS)
    token = link.partition("$deltatoken=")[2]
    for path in (
        f"Teams?$select=team_key&$deltatoken={token}",
        f"{TEAMS}&$search=ann&$deltatoken={token}",
        f"Learners?$deltatoken={token}",
        f"{TEAMS}&$deltatoken={token[:-2]}xx",
        f"{TEAMS}&$deltatoken=x",
    ):
        assert code(site.client.get(path)) == (400, "query.token"), path
    moment = site.track(f"{TEAMS}&as_of=2025-01-01T00:00:00Z")
    assert site.client.get(moment).status_code == 200
    other = site.client.get(moment.replace("as_of=2025-01-01", "as_of=2025-01-02"))
    assert code(other) == (400, "query.token")
    both = site.client.get(f"{link}&$skiptoken=x")
    assert code(both) == (400, "query.option")
    plain = site.client.get(link, headers={"Accept": "application/json;odata.metadata=none"})
    assert plain.status_code == 406


def test_the_wish_is_read_as_it_is_spelled() -> None:
    assert read_preferences("", most_rows=1).track_name == ""
    assert read_preferences("a, odata.Track-Changes", most_rows=1).track_name == (
        "odata.track-changes"
    )


# Past revisions


def revision_of(answer: Any) -> int:
    """The revision that the headers tell."""
    text = answer.headers["data-freshness"]
    return int(text.partition("revision=")[2].partition(";")[0])


def test_a_past_revision_is_read_by_its_number(site: Site) -> None:
    before = site.client.get(TEAMS)
    revision = revision_of(before)
    site.teams("arn", "fay")
    assert revision_of(site.client.get(TEAMS)) > revision
    past = site.client.get(f"{TEAMS}&as_of={revision}")
    assert past.json()["value"] == before.json()["value"]
    assert past.json()["@fullcount.revision"] == revision_of(past) == revision
    assert past.headers["data-freshness"].startswith("unknown;reason=past_revision")
    assert site.client.get(f"Teams/$count?as_of={revision}").text == "5"
    assert site.client.get("Teams/$count").text == "6"
    assert site.client.get(f"Teams(1)/name/$value?as_of={revision}").text == "ada"
    assert site.client.get("Teams(1)/name/$value").text == "arn"
    assert site.client.get(f"Teams(1)?as_of={revision}").json()["name"] == "ada"
    assert site.client.get(f"Teams(6)?as_of={revision}").status_code == 404


def test_transformations_read_a_past_revision_too(site: Site) -> None:
    groups = "Teams?$apply=groupby((name))"
    before = site.client.get(groups)
    revision = revision_of(before)
    site.teams("arn", "fay")
    assert len(rows_of(site.walk(groups))) == 6
    past = site.client.get(f"{groups}&as_of={revision}")
    assert past.json()["value"] == before.json()["value"]
    assert past.json()["@fullcount.revision"] == revision
    counted = f"Teams/$count?$apply=groupby((name))&as_of={revision}"
    assert site.client.get(counted).text == "5"
    lag = site.client.get(f"IngestionLag?$apply=groupby((verdict))&as_of={revision}")
    assert code(lag) == (400, "query.option")


def test_a_revision_that_nothing_has_changed_since_keeps_its_verdict(site: Site) -> None:
    revision = revision_of(site.client.get(TEAMS))
    site.tell("module.upserted", {"module": "m", "module_type": "quest", "name": "M"})
    past = site.client.get(f"{TEAMS}&as_of={revision}")
    assert revision_of(past) == revision
    assert past.headers["data-freshness"].startswith("unknown;reason=manifest_missing")


def test_a_delta_can_begin_at_a_past_revision(site: Site) -> None:
    revision = revision_of(site.client.get(TEAMS))
    site.teams("arn")
    link = site.track(f"{TEAMS}&as_of={revision}")
    assert "as_of" not in link
    assert [row["name"] for row in rows_of(site.walk(link))] == ["arn"]


def test_a_revision_that_cannot_be_read_is_refused(site: Site) -> None:
    revision = revision_of(site.client.get(TEAMS))
    assert code(site.client.get(f"{TEAMS}&as_of={revision + 1}")) == (410, "query.revision_gone")
    site.teams("arn")
    with transaction(site.store) as connection:
        assert forget_past(connection, site.environment_id, before=NOON.replace(year=2100))
    assert code(site.client.get(f"{TEAMS}&as_of={revision}")) == (410, "query.revision_gone")
    for path in ("IngestionLag", "IngestionLag('quest')", "IngestionLag/$count", "Freshness"):
        refused = site.client.get(f"{path}?as_of=1")
        assert code(refused) == (400, "query.option"), "today's lag is not that revision's"
        assert "as_known_at" in refused.json()["error"]["message"]
    assert code(site.client.get(f"{TEAMS}&as_of=soon")) == (400, "query.option")


@pytest.mark.parametrize("as_text", [False, True])
def test_queries_and_reports_read_a_past_revision_too(site: Site, as_text: bool) -> None:
    data = {"learner": "u1", "module": "m", "module_type": "quest"}
    site.tell("progress.advanced", data | {"percent": 10})
    question = {"dataset": "LearnerProgress", "select": ["percent_complete"]}
    base = ROOT.removesuffix("/odata/v4")
    revision = site.client.post(f"{base}/v1/query", json=question).json()["freshness"]["revision"]
    site.tell("progress.advanced", data | {"percent": 90})
    asked = question | {"as_of": str(revision) if as_text else revision}
    past = site.client.post(f"{base}/v1/query", json=asked)
    assert past.json()["rows"] == [{"percent_complete": 10}]
    assert past.json()["freshness"]["revision"] == revision_of(past) == revision
    assert past.json()["freshness"]["reason"] == "past_revision"
    report = site.client.get(f"{base}/v1/reports/learner_progress?as_of={revision}")
    assert revision_of(report) == revision
    assert [row["percent_complete"] for row in report.json()["rows"]] == [10]
    gone = site.client.post(f"{base}/v1/query", json=question | {"as_of": 10**9})
    assert gone.status_code == 410
