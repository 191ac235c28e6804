"""The closed list of reasons for which a turn can fail: `code` of reply.failed, and `failure` of ResponderError.

Programs branch on these, so they are never renamed; new ones may come. The text beside each is for people.
"""

from typing import Final

MODEL_OVERLOADED: Final = "model-overloaded"
RATE_LIMITED: Final = "rate-limited"
SPEND_LIMIT: Final = "spend-limit"
MODEL_AUTH: Final = "model-auth"
BAD_REQUEST: Final = "bad-request"
MODEL_UNREACHABLE: Final = "model-unreachable"
TRUNCATED: Final = "truncated"
MODEL_ERROR: Final = "model-error"
TIMEOUT: Final = "timeout"
EMPTY_REPLY: Final = "empty-reply"
RESPONDER_ERROR: Final = "responder-error"
CRASH_LOOP: Final = "crash-loop"
REPLY_TOO_LARGE: Final = "reply-too-large"
TOO_MANY_STEPS: Final = "too-many-steps"
NO_MESSAGE: Final = "no-message"

FAILURES: Final[dict[str, str]] = {
    MODEL_OVERLOADED: "The model's service has more work than it can take.",
    RATE_LIMITED: "More requests or tokens per minute than the account may use.",
    SPEND_LIMIT: "The account has reached its spending limit: raise it, then retry the turn.",
    MODEL_AUTH: "The model's service does not accept the key, or the key may not use this model.",
    BAD_REQUEST: "The model's service says the request is wrong or too large: the same request fails again.",
    MODEL_UNREACHABLE: "The model's service could not be reached, or the connection broke.",
    TRUNCATED: "The model's stream ended before the answer was whole.",
    MODEL_ERROR: "The model's service failed inside, or sent what is not its protocol.",
    TIMEOUT: "The model was silent for too long, or the turn used up its running time.",
    EMPTY_REPLY: "The responder ended without text and without content.",
    RESPONDER_ERROR: "The responder's own code raised.",
    CRASH_LOOP: "Process after process died in the middle of this turn.",
    REPLY_TOO_LARGE: "The answer is larger than one event may be.",
    TOO_MANY_STEPS: "The turn takes more steps and approvals than one may.",
    NO_MESSAGE: "What the turn answers is not in the conversation: a record that does not fit was written to the log.",
}
"""Every code with what it means."""
