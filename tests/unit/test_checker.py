"""The checker itself: each kind of broken promise is found, and a run in which all was kept passes."""

import json
from typing import Any

import pytest

from tests.checking.checker import Sent, Shown, check
from tests.checking.raw import DEAD_LETTERS, EVENTS, MESSAGES, REPLIES, Raw, Topics

CLAIM = "1-aa"


def event(offset: int, seq: int, kind: str, claim: str = CLAIM, input_at: int | None = None, **fields: Any) -> Raw:
    value = json.dumps({"type": kind, "session": "alice", "seq": seq, **fields}).encode()
    headers = {"claim": claim.encode()} | ({} if input_at is None else {"input": f"0:{input_at}".encode()})
    return Raw(0, offset, f"alice/{seq}/{claim}".encode(), value, headers)


def claim(offset: int, epoch: int, name: str) -> Raw:
    return Raw(0, offset, f"#claim/{epoch}-{name}".encode(), json.dumps({"epoch": epoch, "id": name}).encode(), {})


def reply(offset: int, of: Raw) -> Raw:
    return Raw(0, offset, b"alice", of.value, {"source": str(of.offset).encode()})


def accepted(offset: int, seq: int, input_at: int) -> Raw:
    return event(
        offset, seq, "message.accepted", input_at=input_at, turn=seq, message_id=f"k-0-{input_at}", text=f"t{input_at}"
    )


def completed(offset: int, seq: int, turn: int, **fields: Any) -> Raw:
    return event(offset, seq, "reply.completed", turn=turn, **{"text": f"answer to {turn}", **fields})


EVENT_RECORDS = [claim(0, 1, "aa"), accepted(1, 1, 0), accepted(2, 2, 1), completed(3, 3, 1), completed(4, 4, 2)]
SENT = [Sent("alice", "t0", place=(0, 0)), Sent("alice", "t1", place=(0, 1))]


def topics() -> Topics:
    """Two messages, each answered once."""
    return {
        MESSAGES: [Raw(0, 0, b"alice", b"t0", {}), Raw(0, 1, b"alice", b"t1", {})],
        EVENTS: list(EVENT_RECORDS),
        REPLIES: [reply(0, EVENT_RECORDS[3]), reply(1, EVENT_RECORDS[4])],
        DEAD_LETTERS: [],
    }


def test_a_run_that_kept_all_promises_passes() -> None:
    assert EVENT_RECORDS[3].value is not None
    checker = check(topics(), SENT, [Shown("alice", 3, EVENT_RECORDS[3].value)])
    assert (checker.report.messages, checker.report.answered, checker.report.shown) == (2, 2, 1)


def test_an_identical_copy_is_counted_and_allowed() -> None:
    found = topics()
    found[REPLIES].append(reply(2, EVENT_RECORDS[4]))
    assert check(found, SENT).report.copies == 1


def test_ghosts_count_for_nothing() -> None:
    found = topics()
    found[EVENTS].insert(4, event(3, 3, "reply.completed", claim="0-zz", turn=1, text="a ghost's"))
    assert check(found, SENT).report.ghosts == 1


def test_a_dead_letter_is_the_end_of_a_record() -> None:
    found = topics()
    found[MESSAGES].append(Raw(0, 2, b"alice", b"{broken", {}))
    found[DEAD_LETTERS].append(Raw(0, 0, b"0/2", b"{broken", {"partition": b"0", "offset": b"2"}))
    assert check(found, SENT).report.dead == 1


def broken_never_answered(found: Topics) -> None:
    found[EVENTS].pop()
    found[REPLIES].pop()


def broken_never_published(found: Topics) -> None:
    found[REPLIES].pop()


def broken_answered_twice(found: Topics) -> None:
    again = completed(5, 5, 2, text="another answer")
    found[EVENTS].append(again)
    found[REPLIES].append(reply(2, again))


def broken_ghost_published(found: Topics) -> None:
    found[REPLIES].append(reply(2, completed(9, 5, 2, text="a ghost's")))


def broken_two_answers_of_one_source(found: Topics) -> None:
    found[REPLIES].append(reply(2, completed(4, 4, 2, text="something else")))


def broken_late_first_copy(found: Topics) -> None:
    found[REPLIES].reverse()


def broken_order(found: Topics) -> None:
    found[EVENTS][3:] = [completed(3, 3, 2), completed(4, 4, 1)]
    found[REPLIES] = [reply(0, found[EVENTS][3]), reply(1, found[EVENTS][4])]


def broken_record_forgotten(found: Topics) -> None:
    found[MESSAGES].append(Raw(0, 2, b"alice", b"forgotten", {}))


def broken_record_twice(found: Topics) -> None:
    found[DEAD_LETTERS].append(Raw(0, 0, b"0/1", b"t1", {"partition": b"0", "offset": b"1"}))


@pytest.mark.parametrize(
    ("breaks", "finding"),
    [
        (broken_never_answered, "never answered: ('alice', 2, 1)"),
        (broken_never_published, "never published"),
        (broken_answered_twice, "ended 2 times"),
        (broken_ghost_published, "not in the history"),
        (broken_two_answers_of_one_source, "two different replies with source"),
        (broken_late_first_copy, "first came after a later one"),
        (broken_order, "accepted [1, 2], answered [2, 1]"),
        (broken_record_forgotten, "came to nothing"),
        (broken_record_twice, "became two things"),
    ],
)
def test_a_broken_promise_on_the_topics_is_found(breaks: Any, finding: str) -> None:
    found = topics()
    breaks(found)
    with pytest.raises(AssertionError) as told:
        check(found, SENT)
    assert finding in str(told.value)


@pytest.mark.parametrize(
    ("sent", "shown", "finding"),
    [
        ([Sent("alice", "t9", place=(0, 9))], [], "lost"),
        ([Sent("alice", "other", place=(0, 0))], [], "was recorded as"),
        ([SENT[1], SENT[0]], [], "after a later one"),
        ([], [Shown("alice", 5, b"{}")], "shown and gone"),
        ([], [Shown("alice", 3, b"{}")], "shown was"),
    ],
)
def test_what_a_client_noted_and_the_topics_do_not_have_is_found(sent: list[Sent], shown: list[Shown], finding: str) -> None:
    with pytest.raises(AssertionError, match=finding):
        check(topics(), sent, shown)


def test_an_answer_given_without_the_history_before_it_is_found() -> None:
    found = topics()
    found[EVENTS][3:] = [completed(3, 3, 1, text="#1 history=0 x"), completed(4, 4, 2, text="#1 history=0 y")]
    found[REPLIES] = [reply(0, found[EVENTS][3]), reply(1, found[EVENTS][4])]
    with pytest.raises(AssertionError, match=r"histories of these lengths: \[0, 0\]"):
        check(found, SENT)
