"""The command line: ``sklsh demo | train | evaluate | predict | recommend | info | federated``.

The commands themselves are in `sklsh.cli.commands`, which needs typer and rich (the extra
`cli`); this module needs neither.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point of the ``sklsh`` script.

    Exits with 1 and one line on standard error for what a user can mend: a missing extra, a
    file that is not there or not right.
    """
    try:
        from sklsh.cli.commands import app
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("typer", "rich"):
            raise
        sys.exit('The sklsh command needs typer and rich: pip install "sklsh[cli]"')
    try:
        app()
    except (ValueError, OSError) as error:
        sys.exit(f"sklsh: {error}")
