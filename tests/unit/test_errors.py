"""What an error tells: what to do, and whether a retry can help."""

from collections.abc import Iterator

import pytest

from chatstream.core import errors
from chatstream.core.errors import ChatstreamError, NotOwner, ResponderError, ResponderRefused


def tree(root: type[ChatstreamError]) -> Iterator[type[ChatstreamError]]:
    yield root
    for below in root.__subclasses__():
        yield from tree(below)


CLASSES = [one for one in tree(ChatstreamError) if one.__module__ == errors.__name__]


@pytest.mark.parametrize("one", CLASSES, ids=lambda one: one.__name__)
def test_every_error_says_what_to_do_and_has_a_code(one: type[ChatstreamError]) -> None:
    assert one.__doc__
    assert one.code.replace("-", "").isalpha()


def test_codes_tell_errors_apart() -> None:
    codes = [one.code for one in CLASSES if "code" in vars(one)]
    assert len(codes) == len(set(codes))


def test_not_owner_names_the_owner_when_it_is_known() -> None:
    assert str(NotOwner(3, "http://b:8080")) == "partition 3 is served by http://b:8080"
    assert str(NotOwner(3, None)) == "partition 3 is served by another node"


def test_a_refusal_of_the_model_is_not_worth_a_retry() -> None:
    error = ResponderError("busy", failure="overloaded", retry_after_s=2.5)
    assert (error.failure, error.retry_after_s, error.retryable) == ("overloaded", 2.5, True)
    assert not ResponderRefused("no").retryable
