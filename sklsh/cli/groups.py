"""`Group`: commands of which a mistyped one is answered by one suggestion."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup


class Group(TyperGroup):
    """As typer's, but that "Did you mean" is said once: newer clicks say it, too."""

    def resolve_command(self, ctx: Any, args: list[str]):
        try:
            return super().resolve_command(ctx, args)
        except Exception as error:
            if "Did you mean" in str(getattr(error, "message", "")):
                vars(error)["possibilities"] = None
            raise
