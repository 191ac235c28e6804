"""Errors of the Kafka library as our own: the one place that knows both."""

from typing import Final

from confluent_kafka import KafkaError, KafkaException

from chatstream.core.errors import BadSettings, ChatstreamError, LogReplaced, LogUnavailable, QueueFull, RecordTooLarge

_SETTINGS: Final = frozenset(
    {
        KafkaError._INVALID_ARG,
        KafkaError._AUTHENTICATION,
        KafkaError._SSL,
        KafkaError._UNSUPPORTED_FEATURE,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.INVALID_CONFIG,
        KafkaError.INVALID_PARTITIONS,
        KafkaError.INVALID_REPLICATION_FACTOR,
        KafkaError.POLICY_VIOLATION,
        KafkaError.INVALID_SESSION_TIMEOUT,
    }
)
_TOO_LARGE: Final = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})
_REPLACED: Final = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._LOG_TRUNCATION})


def translated(error: KafkaError | KafkaException, doing: str) -> ChatstreamError:
    """Kafka's error as one of ours. doing: what was tried, to begin the sentence with (`reading chat.events`)."""
    found = error_of(error) if isinstance(error, KafkaException) else error
    code = found.code()
    sentence = f"{doing}: {found.str()} ({found.name()})"
    if code in _SETTINGS:
        return BadSettings(sentence)
    if code in _TOO_LARGE:
        return RecordTooLarge(sentence)
    if code in _REPLACED:
        return LogReplaced(sentence)
    if code == KafkaError._QUEUE_FULL:
        return QueueFull(sentence)
    return LogUnavailable(sentence)


def error_of(exception: KafkaException) -> KafkaError:
    """The KafkaError that an exception carries; the library raises some without one."""
    found = exception.args[0] if exception.args else None
    return found if isinstance(found, KafkaError) else KafkaError(KafkaError._FAIL, str(exception))


def is_fatal(error: KafkaError) -> bool:
    """Is the client of no use any more? `poll` reports a fatal error once, as `_FATAL` with fatal() False."""
    return error.fatal() or error.code() in (KafkaError._FATAL, KafkaError.FENCED_INSTANCE_ID)
