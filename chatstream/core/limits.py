"""How much of everything: each number is a setting, and is tested at the limit and one past it."""

import msgspec

KIB = 1024
MIB = 1024 * 1024
USER_BYTES_MAX = 200
"""Length of a message's `user`: an id or an address, no setting."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of one node. Sizes are in bytes, times in seconds."""

    text_bytes: int = 256 * KIB
    """A user message's text: larger gets 413, or a dead letter."""
    metadata_bytes: int = 16 * KIB
    """A message's metadata as JSON."""
    content_bytes: int = 512 * KIB
    """A user message's content blocks as JSON; command and event stay below their topics' record limits."""
    state_value_bytes: int = 64 * KIB
    """One value of a session's K/V state as JSON."""
    state_bytes: int = 1 * MIB
    """All of a session's K/V state."""
    system_bytes: int = 64 * KIB
    """A session's own system prompt."""
    step_bytes: int = 256 * KIB
    """The result of one step of a turn, or what an approval is asked about, as JSON."""
    steps: int = 1_000
    """Steps and approvals of one turn: the next one fails it."""
    scheduled_messages: int = 1_000
    """Messages of one session that wait for their time: the next is refused as `queue-full`."""
    delay_s: float = 366 * 86_400.0
    """How far ahead a message may be scheduled: further is refused as `too-far`."""
    waiting_turns: int = 1_000
    """Turns of one session that wait behind the running one: the next is refused as `queue-full`."""
    waiting_bytes: int = 2 * MIB
    """Messages of one partition whose turns wait, kept in memory as JSON counts them; more are read back from the table."""
    unconfirmed_records: int = 10_000
    """Appended but unconfirmed events of one partition; at that many its input is paused."""
    unconfirmed_bytes: int = 64 * MIB
    """The same by size."""
    deferred_records: int = 1_000
    """Commands of one partition that wait in memory until the fork they are for is whole; at that many its input is paused."""
    deferred_bytes: int = 16 * MIB
    """The same by size."""
    event_bytes: int = 8 * MIB - 64 * KIB
    """One event as JSON: a larger reply fails as `reply-too-large`. Leaves room for key and headers in chat.events."""
    usage_bytes: int = 16 * KIB
    """What a responder reports as charged, as JSON: it is recorded beside the longest partial text there may be."""
    detail_chars: int = 2_000
    """Of an exception's text in `reply.failed`: enough for people, and with any text a record that the log takes."""
    command_bytes: int = 1 * MIB - 16 * KIB
    """One command as JSON, below `max.message.bytes` of chat.messages by room for key and headers."""
    dead_letter_bytes: int = 2 * MIB - 64 * KIB
    """The original bytes kept with a dead letter; longer values are cut there, and a header says so."""
    calls: int = 256
    """Model calls at once per node (`--max-calls`)."""
    attempts: int = 5
    """Calls of the model for one turn before it fails."""
    resumes: int = 10
    """Process deaths in the middle of one turn before it fails as `crash-loop`."""
    chunk_wait_s: float = 120.0
    """Silence between two chunks of an attempt before it is ended as a timeout."""
    turn_s: float = 900.0
    """Running time of a turn, all attempts together."""
    retry_first_s: float = 0.5
    """Wait before the second attempt; doubles from there, with jitter."""
    retry_most_s: float = 30.0
    """Longest wait between two attempts; a larger `retry-after` is cut to it."""
    prompt_tokens: int = 100_000
    """What the model sees of a conversation, estimated."""
    compact_share: float = 0.8
    """How full of history the prompt window is when the oldest half is summarised; above 1: never."""
    compacts: int = 16
    """Summaries in the making at once per node; they count towards `calls`, and give way to turns."""
    compact_s: float = 120.0
    """How long a summary may take."""
    compact_rest_s: float = 60.0
    """How long a session is left alone after a summary failed; doubles from there."""
    compact_rest_most_s: float = 3600.0
    """The longest such rest."""
    cached_sessions: int = 20_000
    """Heads kept in memory per partition beside those in use."""
    page: int = 200
    """Most messages or events in one response."""
    read_pages_bytes: int = 16 * MIB
    """Pages of conversations kept as they were sent last, for whoever asks again before anything has happened."""
    listed_rows: int = 4_000
    """Rows looked at for one page of the list of sessions; where they are spent the page ends and says how to go on."""
    readers: int = 20_000
    """Readers that wait on one node."""
    exports: int = 16
    """Conversations that are exported at once; each has a page of at most some MiB in memory."""
    poll_s: float = 55.0
    """Longest long poll and longest `Prefer: wait` that may be asked for; proxies give up at 60."""
    erase_idle_days: float = 0.0
    """Sessions in which nothing happened for so many days are erased; 0: none (`--erase-idle-days`)."""
    append_s: float = 30.0
    """How long an append may stay unacknowledged before the partition is claimed again."""
    mark_s: float = 1.0
    """How long a moved position may go unrecorded."""
    look_s: float = 60.0
    """How long what others wrote to a partition may go unseen while its owner writes nothing."""
    refused_s: float = 30.0
    """How long a partition that only an operator can help is left alone before it is looked at again."""
