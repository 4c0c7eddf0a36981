"""Settings shared by all tests."""

from hypothesis import HealthCheck, settings

# The first call of a kernel compiles it, which no deadline can allow for; examples are
# drawn from a fixed seed, so that a run can be repeated.
settings.register_profile(
    "sklsh", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
# For kernels that run as plain Python, and for mutants.
settings.register_profile("few", settings.get_profile("sklsh"), max_examples=15, database=None)
settings.load_profile("sklsh")
