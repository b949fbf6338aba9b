"""``kg schedule``: what the commands print; what they do is told in tests/kg/test_scheduler.py."""

from __future__ import annotations

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
