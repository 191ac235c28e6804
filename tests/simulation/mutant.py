"""One deliberate breakage of a rule."""

from typing import NamedTuple


class Mutant(NamedTuple):
    """`old` in `module` becomes `new`. unit: the test that notices where another rule keeps the simulation from it."""

    name: str
    module: str
    old: str
    new: str
    unit: str = ""
