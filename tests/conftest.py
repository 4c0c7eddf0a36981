"""Settings shared by all tests."""

import sys

import pytest
from hypothesis import HealthCheck, settings

from sklsh import cli

# The first call of a kernel compiles it, which no deadline can allow for; examples are
# drawn from a fixed seed, so that a run can be repeated.
settings.register_profile(
    "sklsh", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
# For kernels that run as plain Python, and for mutants.
settings.register_profile("few", settings.get_profile("sklsh"), max_examples=15, database=None)
settings.load_profile("sklsh")


@pytest.fixture
def run(monkeypatch, capsys):
    """Call the script's entry point; gives (exit code, standard output, standard error)."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["sklsh", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        out, err = capsys.readouterr()
        if isinstance(caught.value.code, str):  # the interpreter would print it and exit 1
            return 1, out, err + caught.value.code
        return caught.value.code or 0, out, err

    return call
