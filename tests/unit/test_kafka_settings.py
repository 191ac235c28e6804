"""What librdkafka says, as the node passes it on."""

import pytest

from chatstream.log.kafka_settings import library_logger

PURGED = "FATAL [node#producer-5] [thrd:127.0.0.1:9092/3]: Fatal error: Local: Purged in flight"
"""What it says of a producer that is thrown away with records on their way: no reason to wake anyone."""


def test_the_end_of_one_client_is_a_warning_and_other_errors_stay_what_they_are(caplog: pytest.LogCaptureFixture) -> None:
    library_logger.critical(PURGED)
    library_logger.critical("something else")
    library_logger.error("FAIL [node#consumer-1]: Connection refused")
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("WARNING", PURGED),
        ("CRITICAL", "something else"),
        ("ERROR", "FAIL [node#consumer-1]: Connection refused"),
    ]


def test_the_notice_of_every_start_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    library_logger.warning("CONFWARN [node#producer-1]: Configuration property enable.gapless.guarantee is experimental")
    assert not caplog.records
