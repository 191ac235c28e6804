from hypothesis import given, settings
from hypothesis import strategies as st

from chatstream.core.errors import ResponderError, ResponderRefused
from chatstream.core.limits import Limits
from chatstream.respond.retries import retry_wait_s

LIMITS = Limits(attempts=5, retry_first_s=0.5, retry_most_s=30, turn_s=900)
FAILED = ResponderError("failed")


def asked(retry_after_s: float) -> ResponderError:
    return ResponderError("busy", retry_after_s=retry_after_s)


def test_the_wait_doubles_with_every_attempt() -> None:
    assert [retry_wait_s(LIMITS, attempt, FAILED, 0, 0.0) for attempt in (1, 2, 3, 4)] == [0.25, 0.5, 1.0, 2.0]


def test_half_of_the_wait_is_by_chance() -> None:
    assert retry_wait_s(LIMITS, 2, FAILED, 0, 0.0) == 0.5
    assert retry_wait_s(LIMITS, 2, FAILED, 0, 0.5) == 0.75


def test_the_wait_has_a_most() -> None:
    limits = Limits(attempts=1_000_000, retry_most_s=30)
    wait_s = retry_wait_s(limits, 20, FAILED, 0, 0.999)
    assert wait_s is not None
    assert 29 < wait_s <= 30
    assert retry_wait_s(limits, 999_999, FAILED, 0, 0.0) == 15


def test_the_last_allowed_attempt_is_the_last() -> None:
    assert retry_wait_s(LIMITS, 4, FAILED, 0, 0.0) is not None
    assert retry_wait_s(LIMITS, 5, FAILED, 0, 0.0) is None
    assert retry_wait_s(LIMITS, 6, FAILED, 0, 0.0) is None


def test_a_refusal_is_never_tried_again() -> None:
    assert retry_wait_s(LIMITS, 1, ResponderRefused("no", retry_after_s=1), 0, 0.0) is None


def test_what_the_service_asks_for_is_the_least() -> None:
    assert retry_wait_s(LIMITS, 1, asked(7), 0, 0.0) == 7
    assert retry_wait_s(LIMITS, 1, asked(8), 0, 0.5) == 9
    assert retry_wait_s(LIMITS, 1, asked(0), 0, 0.0) == 0.25


def test_what_the_service_asks_for_is_cut_to_the_most() -> None:
    assert retry_wait_s(LIMITS, 1, asked(30), 0, 0.0) == 30
    assert retry_wait_s(LIMITS, 1, asked(86_400), 0, 0.0) == 30


def test_a_wait_that_would_outlast_the_turn_is_not_begun() -> None:
    assert retry_wait_s(LIMITS, 1, asked(10), 889.9, 0.0) == 10
    assert retry_wait_s(LIMITS, 1, asked(10), 890, 0.0) is None


@settings(deadline=None)  # a busy machine is no failure
@given(
    attempt=st.integers(1, 10_000),
    retry_after_s=st.none() | st.floats(0, 1e9),
    elapsed_s=st.floats(0, 2_000),
    chance=st.floats(0, 1, exclude_max=True),
)
def test_every_wait_is_within_its_bounds(attempt: int, retry_after_s: float | None, elapsed_s: float, chance: float) -> None:
    limits = Limits(attempts=10_001)
    wait_s = retry_wait_s(limits, attempt, ResponderError("x", retry_after_s=retry_after_s), elapsed_s, chance)
    assert wait_s is None or (0 < wait_s <= limits.retry_most_s and elapsed_s + wait_s < limits.turn_s)
