"""Laws hold however slow the machine: no deadline for an example, no complaint about slow making of values."""

from hypothesis import HealthCheck, settings

settings.register_profile("chatstream", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("chatstream")
