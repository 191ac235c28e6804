"""Summaries in what the model sees: which is in force, what it stands for, and what is summarised next."""

from collections.abc import Sequence

import pytest

from chatstream.core.events import AnyEvent, MessageAccepted
from chatstream.core.ids import Seq
from chatstream.core.prompt import MESSAGE_BYTES, SUMMARY, Part, Rewind, Window, oldest_part, window
from tests.given import accepted, cancelled, compacted, completed, failed, restarted, resumed
from tests.unit.test_prompt import MANY, pairs, texts

S = f"u:{SUMMARY}"


def rewinds_of(events: Sequence[AnyEvent]) -> list[Rewind]:
    return [Rewind(event.replaces, event.seq) for event in events if isinstance(event, MessageAccepted) and event.replaces]


def look(events: Sequence[AnyEvent], turn: int, budget_tokens: int = MANY) -> Window:
    messages = {event.seq: event for event in events if isinstance(event, MessageAccepted)}
    return window(reversed(events), messages[Seq(turn)], budget_tokens, messages.get, rewinds_of(events))


def see(events: Sequence[AnyEvent], turn: int, budget_tokens: int = MANY) -> list[str]:
    return texts(look(events, turn, budget_tokens).said)


def part(events: Sequence[AnyEvent], keep_tokens: int, budget_tokens: int = MANY) -> Part | None:
    messages = {event.seq: event for event in events if isinstance(event, MessageAccepted)}
    last_seq = events[-1].seq
    return oldest_part(reversed(events), last_seq, keep_tokens, budget_tokens, messages.get, rewinds_of(events))


def told(found: Part | None) -> tuple[int, list[str]]:
    assert found is not None
    return found.through, texts(found.said)


def test_a_summary_stands_for_the_turns_that_ended_where_it_reaches_or_before() -> None:
    events = [*pairs(3)[:-1], compacted(7, 4, "two turns"), accepted(8)]
    assert see(events, 8) == [f"{S}two turns", "u:x5", "a:x6"]


def test_a_summary_that_reaches_as_far_as_the_last_turn_stands_alone() -> None:
    events = [*pairs(2)[:-1], compacted(5, 4, "all"), accepted(6)]
    assert see(events, 6) == [f"{S}all"]


def test_a_turn_that_was_accepted_before_and_ended_behind_it_is_shown() -> None:
    events: list[AnyEvent] = [accepted(1, "one"), accepted(2, "two"), completed(3, 1, "1!"), compacted(4, 3, "one")]
    events += [completed(5, 2, "2!"), accepted(6)]
    assert see(events, 6) == [f"{S}one", "u:two", "a:2!"]


def test_of_several_summaries_the_newest_is_in_force() -> None:
    events = [*pairs(3)[:-1], compacted(7, 2, "old"), compacted(8, 4, "new"), accepted(9)]
    assert see(events, 9) == [f"{S}new", "u:x5", "a:x6"]


def test_a_summary_that_came_while_a_turn_waited_is_seen_by_it() -> None:
    events = [*pairs(2), compacted(6, 2, "first"), resumed(7, 5)]
    assert see(events, 5) == [f"{S}first", "u:x3", "a:x4"]


# -- edits --------------------------------------------------------------------------------------------------------


def test_a_summary_of_what_an_edit_took_back_is_not_shown() -> None:
    events = [*pairs(3)[:-1], compacted(7, 4, "two turns"), accepted(8, "instead", replaces=3)]
    assert see(events, 8) == ["u:x1", "a:x2"]


def test_an_edit_behind_what_a_summary_tells_of_leaves_it() -> None:
    events = [*pairs(3)[:-1], compacted(7, 4, "two turns"), accepted(8, "instead", replaces=5)]
    assert see(events, 8) == [f"{S}two turns"]


def test_a_summary_that_knows_of_the_edit_is_shown() -> None:
    events = [
        *pairs(3)[:-1],
        accepted(7, "instead", replaces=3),
        completed(8, 7, "so"),
        compacted(9, 8, "after it"),
        accepted(10),
    ]
    assert see(events, 10) == [f"{S}after it"]


def test_an_older_summary_is_in_force_again_when_an_edit_takes_back_what_the_newer_one_tells_of() -> None:
    events = [*pairs(3)[:-1], compacted(7, 2, "one"), compacted(8, 6, "three"), accepted(9, "instead", replaces=3)]
    assert see(events, 9) == [f"{S}one"]


# -- restarted turns ----------------------------------------------------------------------------------------------


def test_an_answer_that_was_given_anew_is_shown_behind_the_summary_that_tells_of_the_old_one() -> None:
    events = [*pairs(3)[:-1], compacted(7, 4, "two turns"), restarted(8, 1), completed(9, 1, "better", version=2)]
    assert see([*events, accepted(10)], 10) == [f"{S}two turns", "u:x1", "a:better", "u:x5", "a:x6"]


def test_answers_given_anew_stand_in_their_order_and_what_came_to_nothing_is_left_out() -> None:
    events: list[AnyEvent] = [*pairs(3)[:-1], compacted(7, 6, "three turns")]
    events += [restarted(8, 5), completed(9, 5, "better", version=2), restarted(10, 1), completed(11, 1, "too", version=2)]
    events += [restarted(12, 3), failed(13, 3, version=2), restarted(14, 3, 3), cancelled(15, 3, "half", version=3)]
    assert see([*events, accepted(16)], 16) == [f"{S}three turns", "u:x5", "a:better", "u:x1", "a:too"]


def test_an_answer_given_anew_that_the_summary_knows_of_is_not_shown_again() -> None:
    events = [*pairs(2)[:-1], restarted(5, 1), completed(6, 1, "better", version=2), compacted(7, 2, "one"), accepted(8)]
    assert see(events, 8) == [f"{S}one", "u:x3", "a:x4"]


def test_a_restarted_turn_does_not_see_a_summary_that_tells_of_itself() -> None:
    events = [*pairs(3)[:-1], compacted(7, 4, "two turns"), restarted(8, 3)]
    assert see(events, 3) == ["u:x1", "a:x2"]


def test_a_restarted_turn_sees_the_newest_summary_of_what_was_before_it() -> None:
    events = [*pairs(3)[:-1], compacted(7, 2, "one"), restarted(8, 5), failed(9, 5, version=2), compacted(10, 6, "all")]
    assert see([*events, restarted(11, 5, 3)], 5) == [f"{S}one", "u:x3", "a:x4"]


def test_a_restarted_turn_sees_the_newer_answers_of_turns_before_it_though_a_summary_hid_them_from_others() -> None:
    events = [*pairs(2)[:-1], restarted(5, 1), completed(6, 1, "better", version=2), compacted(7, 6, "all"), restarted(8, 3)]
    assert see(events, 3) == ["u:x1", "a:better"]


# -- the budget ---------------------------------------------------------------------------------------------------


def tokens(*sizes: int) -> int:
    size_bytes = sum(size + MESSAGE_BYTES for size in sizes)
    assert size_bytes % 4 == 0
    return size_bytes // 4


def test_a_summary_that_does_not_fit_is_left_out_and_so_is_everything_before_it() -> None:
    summary = "s" * (100 - len(SUMMARY))
    events = [*pairs(1, "x" * 40)[:-1], compacted(3, 2, summary), accepted(4, "y" * 40), completed(5, 4, "z" * 40)]
    events.append(accepted(6, "n" * 40))
    least = tokens(100, 40, 40, 40)
    assert see(events, 6, least) == [f"{S}{summary}", "u:" + "y" * 40, "a:" + "z" * 40]
    assert see(events, 6, least - 1) == ["u:" + "y" * 40, "a:" + "z" * 40]


def test_the_fill_tells_how_much_of_the_budget_is_used() -> None:
    events: list[AnyEvent] = [accepted(1, "x" * 40), completed(2, 1, "y" * 40), accepted(3, "n" * 40)]
    used = tokens(40, 40, 40)
    assert look(events, 3, used * 2).fill == pytest.approx(0.5)
    assert look(events, 3, used).fill == 1
    assert look(events, 3, used - 1).fill == 1
    assert look(events, 3, 0).fill == 1
    assert look(events, 3, 10 * used).fill == pytest.approx(0.1)


def test_what_a_summary_stands_for_fills_nothing() -> None:
    events = [*pairs(200, "x" * 40), accepted(402), compacted(403, 398, "short"), accepted(404)]
    assert look(events, 404).fill < 0.01


# -- what is summarised next --------------------------------------------------------------------------------------


def test_all_but_the_newest_turns_is_to_be_told_in_short() -> None:
    events = pairs(4, "x" * 39)[:-1]
    two_turns = tokens(40, 40, 40, 40)
    through, said = told(part(events, two_turns))
    assert (through, [one[0] for one in said], [one[-1] for one in said]) == (4, list("uaua"), list("1234"))


def test_one_token_less_is_kept_and_one_turn_more_is_told() -> None:
    events = pairs(4, "x" * 39)[:-1]
    assert told(part(events, tokens(40, 40, 40, 40) - 1))[0] == 6


def test_at_least_the_newest_turn_is_kept() -> None:
    events = pairs(3)[:-1]
    assert told(part(events, 0)) == (4, ["u:x1", "a:x2", "u:x3", "a:x4"])
    assert part(pairs(1)[:-1], 0) is None
    assert part(pairs(3)[:-1], MANY) is None


def test_what_is_told_begins_with_the_summary_in_force() -> None:
    events = [*pairs(2)[:-1], compacted(5, 2, "one"), accepted(6, "x6"), completed(7, 6, "x7")]
    assert told(part(events, 0)) == (4, [f"{S}one", "u:x3", "a:x4"])


def test_a_summary_alone_is_not_summarised_again() -> None:
    events = [*pairs(2)[:-1], compacted(5, 2, "one")]
    assert part(events, 0) is None
    anew = [*events, restarted(6, 1), completed(7, 1, "better", version=2)]
    assert part(anew, 0) is None


def test_what_does_not_fit_into_what_is_told_is_the_oldest() -> None:
    events = pairs(4)[:-1]
    one_turn = tokens(2, 2)
    assert told(part(events, one_turn, one_turn)) == (6, ["u:x5", "a:x6"])
    assert part(events, one_turn, one_turn - 1) is None


def test_turns_that_wait_or_run_and_those_that_were_taken_back_are_not_told() -> None:
    events: list[AnyEvent] = [*pairs(3)[:-1], accepted(7, "instead", replaces=3), accepted(8, "waits"), completed(9, 7, "so")]
    assert told(part(events, 0)) == (2, ["u:x1", "a:x2"])
