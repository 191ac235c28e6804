from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatstream.core.errors import ResponderRefused
from chatstream.core.events import Blocks
from chatstream.respond.conversation import ApiMessage, Role, messages_of
from chatstream.respond.port import Said


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def user(words: str, content: Blocks | None = None) -> Said:
    return Said(role="user", text=words, content=content)


def assistant(words: str, content: Blocks | None = None) -> Said:
    return Said(role="assistant", text=words, content=content)


THOUGHT: dict[str, Any] = {"type": "thinking", "thinking": "", "signature": "abc"}
HIDDEN: dict[str, Any] = {"type": "redacted_thinking", "data": "xyz"}


def roles(messages: list[ApiMessage]) -> list[str]:
    return [message["role"] for message in messages]


def test_a_first_message_is_the_whole_conversation() -> None:
    assert messages_of([], "hello", None) == [{"role": "user", "content": [text("hello")]}]


def test_content_stands_for_the_text_where_there_is_any() -> None:
    blocks: Blocks = [{"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}}, text("what is it?")]
    assert messages_of([], "what is it?", blocks) == [{"role": "user", "content": blocks}]


def test_messages_of_failed_turns_join_the_next_one() -> None:
    messages = messages_of([user("one"), user("two")], "three", None)
    assert messages == [{"role": "user", "content": [text("one"), text("two"), text("three")]}]


def test_neighbours_of_the_assistant_become_one_message() -> None:
    messages = messages_of([user("one"), assistant("half"), user("  "), assistant("whole")], "two", None)
    assert roles(messages) == ["user", "assistant", "user"]
    assert messages[1]["content"] == [text("half"), text("whole")]


def test_what_the_assistant_said_before_the_first_user_is_left_out() -> None:
    assert roles(messages_of([assistant("cut off"), user("one")], "two", None)) == ["user"]


def test_a_cancelled_turn_without_a_word_leaves_no_empty_message() -> None:
    assert roles(messages_of([user("one"), assistant("")], "two", None)) == ["user"]


def test_thinking_goes_back_unchanged_before_its_text() -> None:
    messages = messages_of([user("one"), assistant("two", [THOUGHT, HIDDEN, text("two")])], "three", None)
    assert messages[1]["content"] == [THOUGHT, HIDDEN, text("two")]


def test_thinking_without_an_end_is_left_out() -> None:
    assert roles(messages_of([user("one"), assistant("", [THOUGHT, HIDDEN])], "two", None)) == ["user"]
    messages = messages_of([user("one"), assistant("two", [text("two"), THOUGHT, text(" ")])], "three", None)
    assert messages[1]["content"] == [text("two")]


@pytest.mark.parametrize(("words", "content"), [("", None), (" \n\t", None), ("x", [text(" ")]), ("", [])])
def test_a_blank_message_is_refused(words: str, content: Blocks | None) -> None:
    with pytest.raises(ResponderRefused):
        messages_of([user("one"), assistant("two")], words, content)


def test_the_history_given_is_not_changed() -> None:
    blocks = [text("two"), THOUGHT]
    history = [user("one", [text("one")]), assistant("two", blocks), user("three", [text("three")])]
    messages_of(history, "four", None)
    assert blocks == [text("two"), THOUGHT]
    assert history[2].content == [text("three")]


BLOCK = st.sampled_from([text(""), text(" "), text("word"), THOUGHT, HIDDEN])
ROLE: st.SearchStrategy[Role] = st.sampled_from(("user", "assistant"))


@settings(deadline=None)  # a busy machine is no failure
@given(
    st.lists(
        st.builds(
            Said,
            role=ROLE,
            text=st.sampled_from(["", " ", "word"]),
            content=st.none() | st.lists(BLOCK, max_size=4),
        ),
        max_size=12,
    )
)
def test_whatever_the_history_the_conversation_is_one_that_the_service_accepts(history: list[Said]) -> None:
    messages = messages_of(history, "now", None)
    assert roles(messages) == ["user", "assistant"] * (len(messages) // 2) + ["user"]
    for message in messages:
        assert message["content"]
        assert all(block["text"].strip() for block in message["content"] if block["type"] == "text")
        assert message["role"] == "user" or message["content"][-1]["type"] == "text"
