"""Inputs to begin with: coverage finds its way from what is nearly right."""

from pathlib import Path
from typing import Final

from tests.bad_records import BAD, STRANGERS

HISTORY: Final = Path(__file__).parents[1] / "replay" / "v1-actions.jsonl"
SEED_BYTES_MOST: Final = 4_000
STREAM: Final = (
    b'{"type":"message_start","message":{"model":"m","usage":{"input_tokens":1}}}\n'
    b'{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n'
    b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hi"}}\n'
    b'{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":1}}\n'
    b'{"type":"message_stop"}',
    b'{"type":"error","error":{"type":"overloaded_error","message":"no"}}',
)


def _lines() -> list[bytes]:
    return HISTORY.read_bytes().splitlines()


def seeds(target: str) -> list[bytes]:
    """Those of one target, none of them large."""
    found = _all(target)
    return [seed for seed in found if len(seed) <= SEED_BYTES_MOST]


def _all(target: str) -> list[bytes]:
    bad = [(each.key or b"") + b"\n" + (each.value or b"") for each in BAD]
    strangers = [((each.key or b"").removeprefix(b"#claim/"), each.value or b"") for each in STRANGERS]
    match target:
        case "commands":
            return bad
        case "bodies":
            return [b"application/json\n" + (each.value or b"") for each in BAD] + [b"text/plain; charset=utf-8\nhello"]
        case "events":
            return _lines()
        case "folds":
            return [b"alice/%d/1-me\t%b\t0:1\t0:%d" % (place, line, place) for place, line in enumerate(_lines(), 1)]
        case "claim_records":
            return [key + b"\n" + value for key, value in strangers]
        case "answers":
            return list(STREAM)
        case _:
            return [b"0000000000000000_0000000000000007", b"[::1]:80", b"wait=30, respond-async", b"12345"]
