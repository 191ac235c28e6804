"""Every code that a problem may have: short and stable, for programs. New ones may come with any version."""

from typing import Final

from chatstream.core.errors import (
    BadCommand,
    BadId,
    BadInput,
    Erased,
    LogError,
    LogReplaced,
    LogUnavailable,
    NotOwner,
    OutcomeUnknown,
    PartitionRefused,
    QueueFull,
    RecordTooLarge,
    Restoring,
    TableBroken,
    TooManyReaders,
    UnknownFormat,
)

_OF_ERRORS: Final = frozenset(
    error.code
    for error in (
        BadCommand, BadId, BadInput, Erased, LogError, LogReplaced, LogUnavailable, NotOwner, OutcomeUnknown,
        PartitionRefused, QueueFull, RecordTooLarge, Restoring, TableBroken, TooManyReaders, UnknownFormat,
    )
)  # fmt: skip

_OF_REQUESTS: Final = frozenset(
    {
        "bad-cursor", "bad-offset", "bad-parameter", "bad-request", "body-timeout", "duplicate-key", "foreign-host",
        "foreign-origin", "malformed-request", "method-not-allowed", "no-such-file", "no-such-key", "no-such-letter",
        "no-such-route",
        "not-whole", "unsupported-charset", "unsupported-encoding", "unsupported-media-type",
    }
)  # fmt: skip

_OF_COMMANDS: Final = frozenset(
    {
        "empty", "malformed-json", "not-utf8", "too-deep", "too-far", "too-large", "unknown-type",
        "idempotency-conflict", "no-such-approval", "no-such-message", "no-such-session", "not-ended", "not-idle",
        "not-running", "other-partition", "precondition-failed", "rewound", "session-exists", "state-too-large",
        "turn-in-progress",
    }
)  # fmt: skip

_OF_NODES: Final = frozenset({"behind", "internal", "no-owner", "overloaded", "owner-unreachable", "stopping"})

CODES: Final = _OF_ERRORS | _OF_REQUESTS | _OF_COMMANDS | _OF_NODES
"""The `code` of every problem that a node of this version answers with."""
