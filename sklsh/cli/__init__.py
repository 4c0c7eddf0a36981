"""The command line: ``sklsh demo | train | evaluate | predict | recommend | info | federated``.

The commands themselves are in `sklsh.cli.commands`, which needs typer and rich (the extra
`cli`); this module needs neither.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec


def main() -> None:
    """Entry point of the ``sklsh`` script.

    Exits with 1 and one line on standard error for what a user can mend: a missing extra, a
    file that is not there or not right.
    """
    if find_spec("typer") is None or find_spec("rich") is None:
        sys.exit('The sklsh command needs typer and rich: pip install "sklsh[cli]"')
    from sklsh.cli.commands import app

    try:
        app()
    except UnicodeEncodeError as error:
        sys.exit(
            f"sklsh: what is written cannot be in {error.encoding} ({error}): set "
            "PYTHONIOENCODING=utf-8, or name a file with --output"
        )
    except (ValueError, TypeError, OSError) as error:  # values or types, of data or options
        sys.exit(f"sklsh: {error}")
    except MemoryError as error:
        sys.exit(f"sklsh: not enough memory. {error}")
