"""A step's function: whether it wants to be told its key, and how it is called."""

import inspect
from collections.abc import Callable
from typing import Any

from chatstream.respond.port import Step

_PLACES = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def call(fn: Callable[..., Any], step: Step) -> Any:
    """What the function gives, which may have to be awaited. It gets the step when it has a place for it."""
    return fn(step) if takes_step(fn) else fn()


def takes_step(fn: Callable[..., Any]) -> bool:
    """Does the function take one argument? One with a default is none, but for one that is called `step`."""
    try:
        parameters = inspect.signature(fn).parameters.values()
    except ValueError:  # some callables written in C do not tell
        return False
    places = [one for one in parameters if one.kind in _PLACES]
    # `lambda city=city: …` is how a loop hands its variable to a function.
    return bool(places) and (places[0].default is inspect.Parameter.empty or places[0].name == "step")
