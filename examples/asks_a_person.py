"""A purchase that waits for a person: the turn is parked, for days if need be, and goes on when somebody has decided.

    cd examples
    chatstream up --responder asks_a_person:respond

Write `buy 3 chairs`. `GET /v1/sessions/{session}` then says `parked` and what is asked. Decide with

    curl …/v1/sessions/{session}/approvals/purchase -H 'Content-Type: application/json' -d '{"decision": "approved"}'

or by a record on chat.messages: `{"type": "approve", "name": "purchase", "decision": "rejected", "comment": "too dear"}`.
It is a plain function, which runs in a thread; but nothing of it waits there: it ends with the question, and runs again
from the top with the decision. What stands in steps is not done again.
"""

from chatstream.respond.port import PlainTurn, Step

PRICES_EUR = {"chair": 80, "table": 250, "lamp": 35}
FREE_EUR = 100
"""Up to so much nobody has to be asked."""


def respond(turn: PlainTurn) -> str:
    order = _order(turn.text)
    if order is None:
        return f"Write `buy COUNT THING`, with one of: {', '.join(PRICES_EUR)}."
    count, thing = order
    # Prices change: what the person is asked about is what will be paid.
    price = turn.step("price", lambda: count * PRICES_EUR[thing])
    if price > FREE_EUR:
        decision = turn.approval("purchase", {"what": f"{count} × {thing}", "eur": price, "for": turn.user})
        if not decision.approved:
            return f"I did not buy them. {decision.comment}".strip()
    number = turn.step("buy", lambda step: _buy(step, count, thing))
    return f"Bought: {count} × {thing} for {price} EUR, order {number}."


def _order(text: str) -> tuple[int, str] | None:
    match text.lower().split():
        case ["buy", count, thing] if count.isdecimal() and thing.removesuffix("s") in PRICES_EUR:
            return int(count), thing.removesuffix("s")
    return None


def _buy(step: Step, count: int, thing: str) -> str:
    # A real shop gets step.key as its idempotency key.
    return f"{step.key.replace('/', '-')}-{count}{thing[0]}"
