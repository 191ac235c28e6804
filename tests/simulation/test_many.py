"""Very many seeds in chunks: each seed once, failures told with their seed."""

import pytest

from tests.simulation import __main__ as by_hand
from tests.simulation import many
from tests.simulation.many import Part, add, chunks, run_chunk, run_many
from tests.simulation.scenario import Verdict


@pytest.mark.parametrize(("count", "size"), [(1, 10), (10, 10), (11, 10), (25, 10)])
def test_every_seed_is_in_one_chunk(count: int, size: int) -> None:
    found = list(chunks(7, count, size))
    assert [seed for chunk in found for seed in chunk] == list(range(7, 7 + count))
    assert all(0 < len(chunk) <= size for chunk in found)


def test_a_failing_seed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many, "draw", lambda seed: seed)
    monkeypatch.setattr(many, "run", lambda seed: Verdict(ValueError("odd") if seed % 2 else None, []))
    part = run_chunk(range(3, 8))
    assert part[:2] == (5, ((3, "ValueError: odd"), (5, "ValueError: odd"), (7, "ValueError: odd")))
    assert add(part, Part(1, (), 1.0))[:2] == (6, part.failed)


def test_processes_of_their_own_come_to_the_same() -> None:
    total = Part(0, (), 0.0)
    for part in run_many(0, 6, 2, 2):
        total = add(total, part)
    assert total[:2] == (6, ())


def test_a_run_in_which_a_seed_failed_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    parts = [Part(10, (), 1.0), Part(10, ((13, "Wrong: P1"),), 1.0)]
    monkeypatch.setattr(by_hand, "run_many", lambda *_: iter(parts))
    assert by_hand.many(0, 20, 10, 2) == 1
    told = capsys.readouterr().out
    assert "seed 13: Wrong: P1" in told
    assert "20 seeds, 1 failed, 2.0 s of CPU, 600 a minute" in told
