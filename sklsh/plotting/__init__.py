"""Pictures of fitted estimators, in the manner of scikit-learn's displays.

A display is made by `from_estimator` and draws itself by `plot`; passing the axes of one to
the next draws both in one picture. Everything that is drawn is an attribute. matplotlib
(``pip install "sklsh[plot]"``) is imported when something is drawn.
"""

from sklsh.plotting._collisions import CollisionDisplay
from sklsh.plotting._learning import LearningCurveDisplay
from sklsh.plotting._reliability import ReliabilityDisplay
from sklsh.plotting._rounds import RoundLedgerDisplay
from sklsh.plotting._tables import TableOccupancyDisplay

__all__ = [
    "CollisionDisplay",
    "LearningCurveDisplay",
    "ReliabilityDisplay",
    "RoundLedgerDisplay",
    "TableOccupancyDisplay",
]
