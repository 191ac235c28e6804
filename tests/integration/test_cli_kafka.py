"""The command line against a real broker."""

from pathlib import Path

import pytest

from tests.process import NodeProcess, run

pytestmark = pytest.mark.kafka


def test_topics_are_planned_made_and_checked(broker: str, tmp_path: Path) -> None:
    there = ["--bootstrap-server", broker]
    refused = run(["topics", "check", *there], tmp_path)
    assert refused.returncode == 2
    assert "do not exist" in refused.stderr
    planned = run(["topics", "plan", *there], tmp_path)
    assert planned.returncode == 0, planned.stderr
    assert planned.stdout.count("would create") == 5
    applied = run(["topics", "apply", *there], tmp_path)
    assert applied.stdout.count("did: create") == 5
    assert run(["topics", "plan", *there], tmp_path).stdout == "nothing to do\n"
    assert run(["topics", "check", *there], tmp_path).stdout == "the topics can be worked with\n"


def test_what_cannot_change_is_refused_with_exit_code_1(broker: str, tmp_path: Path) -> None:
    run(["topics", "apply", "--bootstrap-server", broker], tmp_path)
    declared = (Path(__file__).parents[2] / "topics.yaml").read_text()
    (tmp_path / "more.yaml").write_text(declared.replace("partitions: 16", "partitions: 32"))
    more = ["--bootstrap-server", broker, "--topics", "more.yaml"]
    planned = run(["topics", "plan", *more], tmp_path)
    assert planned.returncode == 1
    assert "cannot: chat.messages has 16 partitions and is declared with 32" in planned.stdout
    for args in (["topics", "apply", *more], ["up", "--listen", "127.0.0.1:0", *more]):
        refused = run(args, tmp_path)
        assert refused.returncode == 2
        assert "fixed for life" in refused.stderr.splitlines()[-1]


def test_a_node_told_not_to_create_topics_names_what_is_missing(broker: str, tmp_path: Path) -> None:
    args = ["up", "--listen", "127.0.0.1:0", "--bootstrap-server", broker, "--no-create-topics"]
    refused = run(args, tmp_path)
    assert refused.returncode == 2
    assert "chatstream topics apply" in refused.stderr


def test_a_node_on_kafka_answers_stops_and_its_tables_equal_the_log(broker: str, tmp_path: Path) -> None:
    there = ["--bootstrap-server", broker]
    with NodeProcess(tmp_path, *there) as node:
        assert f"from Kafka at {broker}" in node.first_line
        for text in ("one", "/fail permanent", "two"):
            run(["send", "alice", text, "--wait", "--url", node.url], tmp_path)
        assert node.stop() == 0
    replayed = run(["replay", *there], tmp_path)
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr
    assert replayed.stdout.count("the same") == 16
    assert "ok    log: Kafka" in run(["doctor", "--listen", "127.0.0.1:0", *there], tmp_path).stdout


def test_a_second_node_on_the_same_data_is_turned_away_on_kafka_too(broker: str, tmp_path: Path) -> None:
    there = ["--bootstrap-server", broker]
    with NodeProcess(tmp_path, *there):
        refused = run(["up", "--listen", "127.0.0.1:0", *there], tmp_path)
        assert refused.returncode == 1
        assert "another process" in refused.stderr.splitlines()[-1]
