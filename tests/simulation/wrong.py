"""What every judge of a simulated history raises."""


class Wrong(AssertionError):
    """A guarantee does not hold. The message begins with its name, P1 to P9 or `answer`."""
