"""What displays share: axes to draw on, and what is kept of them."""

from __future__ import annotations

import numpy as np


def take_panels(ax, n_panels, **figure_options):
    """Axes to draw on, at most `n_panels`: those given, or those of a new figure."""
    try:
        import matplotlib.pyplot as plt
        from matplotlib.axes import Axes
    except ImportError as error:
        raise ImportError('plot needs matplotlib: pip install "sklsh[plot]"') from error
    if ax is None:
        _, ax = plt.subplots(1, n_panels, layout="constrained", **figure_options)
    panels = np.atleast_1d(np.asarray(ax, dtype=object))[:n_panels]
    if panels.ndim != 1 or not panels.size or not all(isinstance(a, Axes) for a in panels):
        raise TypeError(f"ax must be matplotlib axes, or a sequence of them, got {ax!r}")
    for panel in panels:
        panel.spines[["top", "right"]].set_visible(False)
    return panels


class Display:
    """What displays share: where they have drawn."""

    def _keep(self, panels, lines):
        self.ax_ = panels[0] if len(panels) == 1 else panels
        self.figure_ = panels[0].figure
        self.lines_ = lines
        return self
