"""The smallest responder: a plain function from the turn to a text. It runs in a thread, so it may block.

    cd examples
    chatstream up --responder plain_function:respond

A desk that answers from a list and counts, in the session's durable state, how often it could not. The count is recorded
together with the answer: after a crash it is neither lost nor counted twice.
"""

from difflib import get_close_matches

from chatstream.respond.port import Turn

ANSWERS = {
    "when are you open": "Monday to Friday, 9 to 17.",
    "where are you": "Harbour Street 5, second floor.",
    "how do i return something": "Bring it back within 30 days, with the receipt.",
}
ASKS_BEFORE_A_PERSON = 2


def respond(turn: Turn) -> str:
    question = turn.text.lower().strip(" ?!.")
    known = get_close_matches(question, ANSWERS, n=1, cutoff=0.6)
    if known:
        return ANSWERS[known[0]]
    missed = turn.state.get("missed", 0) + 1
    turn.state.set("missed", missed)
    if missed > ASKS_BEFORE_A_PERSON:
        return f"I am no help to you, {turn.user or 'dear customer'}: a person will write to you."
    return "I do not know that. Ask me when we are open, where we are, or how to return something."
