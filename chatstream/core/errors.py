"""The one error tree. Each class says what to do about it and whether a retry can help."""

from collections.abc import Mapping, Sequence


class ChatstreamError(Exception):
    """Root of everything chatstream raises on purpose."""

    code: str = "error"
    retryable: bool = False
    retry_after_s: float | None = None
    """How long the other side asked to wait before the next try, None when it did not say."""


class BadInput(ChatstreamError):
    """What came from outside cannot be used: change it before sending it again."""

    code = "bad-input"


class BadId(BadInput):
    """A session, message or command id is not well formed."""

    code = "bad-id"


class BadCommand(BadInput):
    """A record or body is not a command; `reason` is the dead letter's reason header.

    reason: short and stable (`malformed-json`, `too-large`, …), for programs; the message is for people.
    """

    code = "bad-command"

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class BadSettings(ChatstreamError):
    """The program was started with settings that cannot work together: the message says which to change."""

    code = "bad-settings"


class LogError(ChatstreamError):
    """The log did not do what was asked."""

    code = "log-error"


class LogUnavailable(LogError):
    """The log does not answer now, or not in time: try again later."""

    code = "log-unavailable"
    retryable = True


class OutcomeUnknown(LogError):
    """An append may or may not have landed: read the log, or repeat it under the same id."""

    code = "outcome-unknown"
    retryable = True


class RecordTooLarge(LogError):
    """The record is larger than its topic allows: it was not sent, and never will be."""

    code = "record-too-large"


class QueueFull(LogError):
    """Too many appends are waiting for their acks: wait for some, then go on."""

    code = "queue-full"
    retryable = True


class LogReplaced(LogError):
    """The log is not the one that was seen before (recreated, truncated, repartitioned): an operator decides."""

    code = "log-replaced"


class UnknownFormat(LogError):
    """The partition was written by a newer chatstream: upgrade this node."""

    code = "unknown-format"


class DirectoryInUse(ChatstreamError):
    """Another process has this data directory open: stop it, or choose another directory."""

    code = "directory-in-use"


class TableBroken(ChatstreamError):
    """The table's files cannot be read: it is thrown away and folded again from the log."""

    code = "table-broken"
    retryable = True


class NotOwner(ChatstreamError):
    """This node does not serve the session's partition; `url` is who does, as far as is known."""

    code = "not-owner"
    retryable = True

    def __init__(self, partition: int, url: str | None) -> None:
        super().__init__(f"partition {partition} is served by {url or 'another node'}")
        self.partition = partition
        self.url = url


class Restoring(ChatstreamError):
    """The session's partition is being restored on this node: try again in some seconds."""

    code = "restoring"
    retryable = True


class PartitionRefused(ChatstreamError):
    """The session's partition cannot be served as its topics are now: an operator decides, the message says what was found."""

    code = "partition-refused"


class Erased(ChatstreamError):
    """The session was erased: there is nothing to read of it, and its id is never used again."""

    code = "session-erased"


class TooManyReaders(ChatstreamError):
    """The node holds as many waiting readers as it may: come back later."""

    code = "too-many-readers"
    retryable = True


class ResponderError(ChatstreamError):
    """The model's side failed. `failure` is the code recorded in reply.failed when retries do not help.

    retry_after_s: how long the other side asked us to wait, None when it did not say.
    """

    code = "responder-error"
    retryable = True

    def __init__(self, message: str, *, failure: str = "responder-error", retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.failure = failure
        self.retry_after_s = retry_after_s


class ResponderRefused(ResponderError):
    """The model's side will answer the same to every repetition: not worth retrying."""

    retryable = False


class Unreachable(ChatstreamError):
    """No node answers at the URL, or not in time: start one there, or name another; what was asked is safe to ask again."""

    code = "unreachable"
    retryable = True


class BadAnswer(ChatstreamError):
    """What answers at the URL is no chatstream node, or one that this client is too old for: look at both."""

    code = "bad-answer"


class RequestRefused(ChatstreamError):
    """A node refused a request: `code` says why, in short and stable, the message says what to change.

    status: HTTP's. errors: which parts of the request were wrong.
    """

    code = "request-refused"

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str,
        retryable: bool = False,
        retry_after_s: float | None = None,
        errors: Sequence[Mapping[str, str]] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.retryable = retryable
        self.retry_after_s = retry_after_s
        self.errors = errors


class NotAnswered(ChatstreamError):
    """The turn had not ended when the time was up: the message is stored, wait again under the same `message_id`."""

    code = "not-answered"
    retryable = True

    def __init__(self, message_id: str, wait_s: float) -> None:
        super().__init__(f"message {message_id} was not answered within {wait_s:g} s")
        self.message_id = message_id
