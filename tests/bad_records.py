"""Records that nobody should send, and somebody will: on chat.messages, and on chat.events, which only nodes write."""

from typing import Final, NamedTuple

from chatstream.core.claims import EPOCH_MAX, Headers

KEY: Final = b"s0"
MIB: Final = 1024 * 1024
YEAR_9999_MS: Final = 253_402_300_799_000


class BadRecord(NamedTuple):
    """A record for chat.messages. reason: of its dead letter; empty: it is odd, and a message all the same.

    at_ms: its time, 0 for now.
    """

    name: str
    reason: str
    value: bytes | None
    key: bytes | None = KEY
    at_ms: int = 0


def _json(inner: bytes) -> bytes:
    return b'{"type":"message",%b}' % inner


BAD: Final = (
    BadRecord("no UTF-8", "not-utf8", b"caf\xe9"),
    BadRecord("no UTF-8 in JSON", "not-utf8", _json(b'"text":"caf\xe9"')),
    BadRecord("no value", "empty", None),
    BadRecord("an empty value", "empty", b""),
    BadRecord("blanks", "", b" \t\r\n"),
    BadRecord("no key", "missing-key", b"hello", None),
    BadRecord("an empty key", "missing-key", b"hello", b""),
    BadRecord("a key that is no id", "bad-key", b"hello", b"a b"),
    BadRecord("a key that is no UTF-8", "bad-key", b"hello", b"\xff\xfe"),
    BadRecord("a key with a slash", "bad-key", b"hello", b"a/1/x"),
    BadRecord("a huge key", "bad-key", b"hello", b"k" * 300_000),
    BadRecord("a huge text", "too-large", b"x" * (MIB - 2_000)),
    BadRecord("a huge JSON", "too-large", _json(b'"text":"%b"' % (b"x" * (MIB - 2_000)))),
    BadRecord("cut JSON", "malformed-json", b'{"type":"message","text":"hel'),
    BadRecord("deep nesting", "malformed-json", b'{"type":"message","text":"a","metadata":' + b'{"a":' * 50_000),
    BadRecord("deep nesting that ends", "too-deep", _json(b'"text":"a","metadata":{"a":%b1%b}' % (b"[" * 900, b"]" * 900))),
    BadRecord("NaN", "malformed-json", _json(b'"text":"a","metadata":{"a":NaN}')),
    BadRecord("a number too large", "bad-command", _json(b'"text":"a","metadata":{"a":1e999}')),
    BadRecord("a lone surrogate", "malformed-json", _json(b'"text":"\\ud800"')),
    BadRecord("JSON and more", "malformed-json", _json(b'"text":"a"') + b"}"),
    BadRecord("an unknown type", "unknown-type", b'{"type":"dance"}'),
    BadRecord("a type that is no text", "unknown-type", b'{"type":7,"text":"a"}'),
    BadRecord("neither type nor text", "unknown-type", b'{"hello":"world"}'),
    BadRecord("a text that is no text", "bad-command", _json(b'"text":["a"]')),
    BadRecord("an id of ours", "bad-id", _json(b'"text":"a","message_id":"k-0-0"')),
    BadRecord("an id that is none", "bad-id", _json(b'"text":"a","message_id":"a b"')),
    BadRecord("an array", "", b'[{"type":"message"}]'),
    BadRecord("keys twice", "", _json(b'"text":"a","text":"b","message_id":"twice"')),
    BadRecord("an unknown version", "", _json(b'"text":"a","schema":99,"version":"x","message_id":"version"')),
    BadRecord("NUL in the text", "", b"a\x00b"),
    BadRecord("ancient", "", b"a message of 1970", at_ms=1),
    BadRecord("from the future", "", b"a message of 9999", at_ms=YEAR_9999_MS),
)


class Stranger(NamedTuple):
    """A record for chat.events that no node of ours wrote."""

    name: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


def _claim(epoch: str, id: str = "x") -> bytes:
    return (
        f'{{"type":"claim","epoch":{epoch},"id":"{id}","node":"n9","url":"","format":1,"topics":{{}},"partitions":16}}'.encode()
    )


STRANGERS: Final = (
    Stranger("a text", None, b"hello"),
    Stranger("JSON of a stranger", b"order-17", b'{"order":17,"state":"paid"}'),
    Stranger("bytes", b"\xff\xfe", b"\x00\x01\xff"),
    Stranger("an event without headers", b"s0/1/x", b'{"type":"message.accepted","session":"s0","seq":1}'),
    Stranger("an event under another claim", b"s0/1/0-x", b'{"type":"reply.completed"}', (("claim", b"0-x"),)),
    Stranger("a tombstone", b"s0/1/x", None),
    Stranger("a mark without a claim", b"#mark/0-x/1", b"{}", (("pos", b"0:99999"), ("pub", b"99999"))),
    Stranger("a claim that is no JSON", b"#claim/9-x", b"epoch 9"),
    Stranger("a claim without a value", b"#claim/9-x", None),
    Stranger("a claim that is an array", b"#claim/9-x", b"[9]"),
    Stranger("a claim without an epoch", b"#claim/9-x", b'{"type":"claim","id":"x"}'),
    Stranger("a claim with another key", b"#claim/9-y", _claim("9")),
    Stranger("a claim with epoch 0", b"#claim/0-x", _claim("0")),
    Stranger("a claim with a negative epoch", b"#claim/-1-x", _claim("-1")),
    Stranger("a claim with epoch 1.5", b"#claim/1.5-x", _claim("1.5")),
    Stranger("a claim with a text as epoch", b"#claim/9-x", _claim('"9"')),
    Stranger("a claim with epoch 2^63", b"#claim/9223372036854775808-x", _claim("9223372036854775808")),
    Stranger("a claim with epoch 2^64", b"#claim/18446744073709551616-x", _claim("18446744073709551616")),
    Stranger("a claim with 1e999 as epoch", b"#claim/1e999-x", _claim("1e999")),
    Stranger("deep nesting", b"#claim/9-x", b"[" * 100_000),
    Stranger("headers twice", b"s0/1/x", b"{}", (("claim", b"0-x"), ("claim", b"\xff"), ("pos", b"x"))),
)
LAST_CLAIM: Final = Stranger("the last claim there can be", b"#claim/%d-x" % EPOCH_MAX, _claim(str(EPOCH_MAX)))
"""It counts, as any higher claim does; and nobody can claim above it."""
