"""The forecaster, serving side: quantiles of what each movable will demand in the coming hour, and scenarios of it.

The network sees the last 24 hours (`forecast_features.py`) and answers in the day's mean. What it says of VMs it has
never seen is kept within what a VM can ask for: `MOST_OF_MAXIMUM` times its highest block of the day, and of CPU its
vCPUs, unless it has demanded more than these. With less than an hour of telemetry there is nothing to tell habits by:
then the quantiles are those of the blocks of the last hour, the oldest sample standing for the time before.

Shapes besides those of the model: J = CPU, STORAGE; W windows; Q levels; N rows; B = 12 blocks of 5 minutes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from ..env.gym.view import recent_blocks
from ..env.model.cluster import Array, Cluster
from .forecast_features import FEATURES, HOUR_BLOCKS, day_blocks, features_of
from .manifest import ForecasterFields, refusal

FORECASTER_MEMBER = "forecaster.onnx"
INPUT, OUTPUT = "features", "quantiles"
MOST_OF_MAXIMUM = 3.0  # of the day's highest block: the exponential of an unseen VM's tail can be anything
LEAST_MINUTES = 60  # of telemetry that the network needs


class Forecaster:
    """A checked forecaster; `open_forecaster` makes it. It can be pickled to another process, and is an `Outlook`.

    Args:
        fields: what the manifest says about it.
        path: the bundle it came from, for messages.
        weights: bytes of `forecaster.onnx`.
        session: onnxruntime's session over these bytes.
    """

    def __init__(
        self, fields: ForecasterFields, path: Path, weights: bytes, session: onnxruntime.InferenceSession
    ) -> None:
        self.fields = fields
        self.path = path
        self._weights = weights
        self._session = session

    def __reduce__(self) -> tuple[Callable[..., Forecaster], tuple[ForecasterFields, Path, bytes]]:
        return open_forecaster, (self.fields, self.path, self._weights)

    @property
    def levels(self) -> Array:
        """The Q levels, ascending, 0..1."""
        return np.array(self.fields.levels)

    @property
    def windows_minutes(self) -> tuple[int, ...]:
        """The W windows, each from now on, ascending."""
        return self.fields.windows_minutes

    def quantiles(self, cluster: Cluster) -> Array:
        """Quantiles of 5-minute blocks of demand within each window, cores, 0 where it is off; shape (M, J, W, Q).

        Storage controller demand is each movable's; sessions demand no CPU.
        """
        inventory = cluster.inventory
        V, M = inventory.vm_count, inventory.movable_count
        answer_MJWQ = np.zeros((M, 2, len(self.fields.windows_minutes), len(self.fields.levels)))
        vcpus_V = np.array([vm.vcpus for vm in inventory.vms])
        kinds = (
            (0, cluster.cpu_samples_VT, np.flatnonzero(inventory.is_on_M[:V]), vcpus_V),
            (1, cluster.storage_samples_MT, np.flatnonzero(inventory.is_on_M), np.full(M, np.inf)),
        )
        for j, samples_NT, rows, most_N in kinds:
            if rows.size:
                answer_MJWQ[rows, j] = self._of_rows(samples_NT[rows], most_N[rows], is_storage=j == 1)
        return answer_MJWQ

    def scenarios(self, cluster: Cluster) -> Array:
        """Demand of the coming hour in 12 scenarios of equal weight, cores; shape (M, J, B).

        Each row takes its 12 quantiles in the order of its blocks of the last hour, so that VMs that peaked together go
        on peaking together: the Schaake shuffle. Source: Clark et al., The Schaake Shuffle, Journal of
        Hydrometeorology 5 (2004), doi:10.1175/1525-7541(2004)005<0243:TSSAMF>2.0.CO;2.
        """
        quantiles_MJQ = self.quantiles(cluster)[:, :, -1]
        hour_MJB = last_hour_MJB(cluster)
        rank_MJB = np.argsort(np.argsort(hour_MJB, axis=2, kind="stable"), axis=2, kind="stable")
        middles_B = (np.arange(HOUR_BLOCKS) + 0.5) / HOUR_BLOCKS
        return np.asarray(np.take_along_axis(at_levels(quantiles_MJQ, self.levels, middles_B), rank_MJB, axis=2))

    def __call__(self, cluster: Cluster) -> Array:
        """`scenarios`: a forecaster is an outlook."""
        return self.scenarios(cluster)

    def _of_rows(self, samples_NT: npt.NDArray, most_N: Array, *, is_storage: bool) -> Array:
        """Quantiles of some rows; shape (N, W, Q)."""
        if samples_NT.shape[1] < LEAST_MINUTES:
            empirical_QN = np.quantile(recent_blocks(samples_NT), self.levels, axis=1)
            return np.repeat(empirical_QN.T[:, None], len(self.fields.windows_minutes), axis=1)
        day_NS = day_blocks(samples_NT)
        features_NF, scale_N = features_of(day_NS, is_storage=is_storage)
        maximum_N = day_NS.max(axis=1).astype(np.float64)
        bound_N = np.maximum(maximum_N, np.minimum(most_N, MOST_OF_MAXIMUM * maximum_N))
        answer_NWQ = self.run(features_NF).astype(np.float64) * scale_N[:, None, None]
        return np.asarray(np.clip(answer_NWQ, 0.0, bound_N[:, None, None]))

    def run(self, features_NF: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Quantiles over the day's mean as the network gives them; shape (N, W, Q).

        Raises:
            BundleError: the answer has a wrong shape, or a number in it is not finite.
        """
        try:
            (answer_NWQ,) = self._session.run([OUTPUT], {INPUT: features_NF})
        except Exception as fault:  # onnxruntime's errors have no base class of their own
            raise refusal(self.path, f"{FORECASTER_MEMBER} cannot be run: {str(fault)[:200]}") from fault
        wanted = (len(features_NF), len(self.fields.windows_minutes), len(self.fields.levels))
        if answer_NWQ.shape != wanted:
            raise refusal(self.path, f"{FORECASTER_MEMBER} answers in the shape {answer_NWQ.shape} instead of {wanted}")
        if not np.isfinite(answer_NWQ).all():
            raise refusal(self.path, f"{FORECASTER_MEMBER} gives quantiles that are not finite")
        return np.asarray(answer_NWQ)


@dataclass(frozen=True)
class ForecastEstimate:
    """A quantile of the forecast, as an estimate for rules; shape (M, J).

    Attributes:
        forecaster: whose forecast.
        quantile: 0 to 1; between the forecaster's levels in a straight line, beyond them the outermost.
        window_minutes: one of the forecaster's.
    """

    forecaster: Forecaster
    quantile: float
    window_minutes: int

    def __post_init__(self) -> None:
        """Check the window."""
        if self.window_minutes not in self.forecaster.windows_minutes:
            known = ", ".join(map(str, self.forecaster.windows_minutes))
            raise ValueError(f"window_minutes is {self.window_minutes}; the forecaster knows {known}")

    def __call__(self, cluster: Cluster) -> Array:
        """The estimate."""
        w = self.forecaster.windows_minutes.index(self.window_minutes)
        quantiles_MJQ = self.forecaster.quantiles(cluster)[:, :, w]
        return at_levels(quantiles_MJQ, self.forecaster.levels, np.array([self.quantile]))[:, :, 0]


def last_hour_MJB(cluster: Cluster) -> Array:
    """Demand in the blocks of the last hour, oldest first, cores; shape (M, J, B)."""
    V, M = cluster.inventory.vm_count, cluster.inventory.movable_count
    hour_MJB = np.zeros((M, 2, HOUR_BLOCKS))
    hour_MJB[:V, 0] = recent_blocks(cluster.cpu_samples_VT)
    hour_MJB[:, 1] = recent_blocks(cluster.storage_samples_MT)
    return hour_MJB


def at_levels(quantiles_MJQ: Array, levels_Q: Array, wanted_B: Array) -> Array:
    """Quantiles at other levels: in a straight line between the known ones, beyond them the outermost; (M, J, B)."""
    below_B = np.clip(np.searchsorted(levels_Q, wanted_B, side="right") - 1, 0, len(levels_Q) - 2)
    part_B = np.clip((wanted_B - levels_Q[below_B]) / (levels_Q[below_B + 1] - levels_Q[below_B]), 0.0, 1.0)
    return np.asarray(quantiles_MJQ[..., below_B] * (1 - part_B) + quantiles_MJQ[..., below_B + 1] * part_B)


def open_forecaster(fields: ForecasterFields, path: Path, weights: bytes) -> Forecaster:
    """Checks the bytes of `forecaster.onnx` against what the manifest says, and opens them.

    Raises:
        BundleError: they have been changed, are no network of this form, or were trained on other features.
    """
    sha256 = hashlib.sha256(weights).hexdigest()
    if sha256 != fields.weights_sha256:
        sums = f"its SHA-256 is {sha256[:12]}..., the manifest says {fields.weights_sha256[:12]}..."
        raise refusal(path, f"{FORECASTER_MEMBER} has been changed: {sums}")
    if fields.features != FEATURES:
        raise refusal(path, "the forecaster was trained on other features than this Quell computes; train it again")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # it is too small to gain by threads
    options.log_severity_level = 4  # what goes wrong is told by the exception
    try:
        session = onnxruntime.InferenceSession(weights, options, providers=["CPUExecutionProvider"])
    except Exception as fault:  # onnxruntime's errors have no base class of their own
        raise refusal(path, f"{FORECASTER_MEMBER} is no network that can be run: {str(fault)[:200]}") from fault
    ports = [port.name for port in (*session.get_inputs(), *session.get_outputs())]
    if ports != [INPUT, OUTPUT]:
        raise refusal(path, f"{FORECASTER_MEMBER} has the ports {', '.join(ports)} instead of {INPUT}, {OUTPUT}")
    forecaster = Forecaster(fields, path, weights, session)
    for rows in (1, 3):  # a bad network should fail here; two sizes show that neither is built in
        forecaster.run(np.zeros((rows, len(FEATURES)), dtype=np.float32))
    return forecaster
