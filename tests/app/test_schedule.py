"""``kg schedule``: what the commands print; what they do is told in tests/kg/test_scheduler*.py."""

from __future__ import annotations

from kg.store import GraphStore
from tests.app.conftest import Kg


def test_a_job_is_paused_and_resumed(kg: Kg) -> None:
    def paused() -> list[str]:
        return [row["name"] for row in kg("schedule", "list", "--json").json if row["paused"]]

    assert paused() == []
    kg("schedule", "pause", "insight")
    assert paused() == ["insight"]
    kg("schedule", "resume", "insight")
    assert paused() == []
    refused = kg("schedule", "pause", "inside")
    assert refused.code == 1
    assert "There is no job 'inside'." in " ".join(refused.err.split())


def test_a_run_by_hand_is_printed_and_its_log_stays_out_of_it(kg: Kg) -> None:
    (run,) = kg("schedule", "trigger", "insight", "--json").json
    assert (run["job"], run["outcome"], run["attempt"], run["slot"]) == ("insight", "succeeded", 1, None)
    assert kg("schedule", "history", "--json").json == [run]


def test_when_a_job_runs_is_set_and_shown(kg: Kg) -> None:
    (changed,) = kg("schedule", "set", "learn", "--every", "15m", "--retries", "0", "--timeout", "2h", "--json").json
    assert (changed["trigger"], changed["retries"], changed["timeout"]) == ("every 0:15:00", 0, "2:00:00")
    kg("schedule", "set", "learn", "--cron", "0 5 * * 1-5", "--timezone", "Europe/Berlin")
    (learn,) = [row for row in kg("schedule", "list", "--json").json if row["name"] == "learn"]
    assert (learn["trigger"], learn["retries"]) == ("0 5 * * 1-5 (Europe/Berlin)", 0)
    for wrong, said in (
        (("--cron", "0 5 * *"), "expected five cron fields"),
        (("--every", "soon"), "Expected a time such as 90s"),
        (("--every", "1h", "--cron", "0 5 * * *"), "name one of the two"),
    ):
        refused = kg("schedule", "set", "learn", *wrong)
        assert refused.code == 1
        assert said in " ".join(refused.err.split())
    (default,) = kg("schedule", "set", "learn", "--default", "--json").json
    assert (default["trigger"], default["retries"]) == ("15 * * * *", 2)


def test_a_job_whose_trigger_cannot_be_read_stands_in_the_list_with_the_others(kg: Kg, store: GraphStore) -> None:
    kg("schedule", "set", "learn", "--cron", "0 5 * * *")
    store.write("MATCH (l:Lease {name: 'learn'}) SET l.timezone = 'Mars/Olympus'")
    problems = {row["name"]: row["problem"] for row in kg("schedule", "list", "--json").json}
    assert "found 'Mars/Olympus'" in problems.pop("learn")
    assert set(problems.values()) == {None}
    said = kg("schedule", "list")
    assert said.code == 0
    assert "learn is not run here." in " ".join(said.err.split())
    assert kg("schedule", "set", "extract", "--every", "1h").code == 0
