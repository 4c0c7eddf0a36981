"""`Plan`: what the server decides of a training run, for all devices."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """What the server decides, for all devices.

    Attributes
    ----------
    n_rounds : int
    local_steps : int or float
        Batches; a float is a share of a device's rows, each once.
    learning_rate : float
    body_exchange : {"full", "touched", "local"}
    payload : {"float32", "float16"}
    fold : str
    sketch_dim : int or None
    sketch_rounds : int
        Rounds with one fold: in between, only changed rows of the sketch are sent.
    sketch_tolerance : float
        Share of its length by which a row of the sketch must change to be sent again.
    local_optimizer : {"sent", "fresh", "kept"}
    server_optimizer : {"avg", "adam"}
    aggregation : {"mean", "trimmed_mean", "median"}
    server_learning_rate : float
        Factor of every change.
    head_power, body_power : float
        A row's averaged change is multiplied by the number of its contributing devices,
        `MOST_CONTRIBUTORS` at most, to this power.
        0 averages models, 1 adds gradients up. A label's rows are on few devices, the other
        devices only push its neuron away: averaging alone dilutes what those few have
        learnt. On three sets .4 and .25 end .5 to 1 point
        above .25 and .1; higher ones end as high, but overshoot more in the first rounds.
    max_rows : int
        Most rows that a device's update can count for.
    batch_size : int
        Rows a step: with `max_rows`, how many steps a change can be of.
    clip_norm : float or None
        Longest change of a device, all parameters together; longer ones are scaled down.
    noise_multiplier : float
        Standard deviation of the noise on the sum of changes, in units of `clip_norm`.
    expected_devices : float
        What the noisy sum is divided by: the mean number of devices invited.
    secure_rows : float
        Above 0: updates are masked, and this is the share of neurons that all devices ask for.
    """

    n_rounds: int
    local_steps: int | float
    learning_rate: float
    body_exchange: str = "touched"
    payload: str = "float32"
    fold: str = "signed"
    sketch_dim: int | None = None
    sketch_rounds: int = 1
    sketch_tolerance: float = 0.0
    local_optimizer: str = "sent"
    server_optimizer: str = "avg"
    aggregation: str = "mean"
    server_learning_rate: float = 1.0
    head_power: float = 0.4
    body_power: float = 0.25
    max_rows: int = 2**20
    batch_size: int = 1
    clip_norm: float | None = None
    noise_multiplier: float = 0.0
    expected_devices: float = 1.0
    secure_rows: float = 0.0

    @property
    def private(self) -> bool:
        """Whether rounds are differentially private."""
        return self.noise_multiplier > 0

    @property
    def with_body(self) -> bool:
        """Whether devices send what they have learnt of the body."""
        return self.body_exchange != "local"
