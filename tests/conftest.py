"""How many examples are drawn: ``pytest --hypothesis-profile nightly`` draws a hundredfold."""

from hypothesis import HealthCheck, settings

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]

settings.register_profile("quick", max_examples=200, deadline=None, suppress_health_check=SLOW)
settings.register_profile("nightly", max_examples=20_000, deadline=None, suppress_health_check=SLOW)
settings.load_profile("quick")
