"""`forecast`: the tuned rule on the learned forecast; a policy must beat it to show what learning to act adds.

The rule is that of `baseline/tuned.py`; only the estimate is another: a quantile of what each VM will demand in the
coming minutes.
"""

from __future__ import annotations

from ..baseline.tuned import Tuned, TunedSettings
from ..env.model.errors import BundleError
from .bundle import Bundle
from .forecaster import Forecaster, ForecastEstimate

NAME = "forecast"

# Tuned like those of the rule itself, on the same days: 22.4k core-minutes a day there and 24.7k on the other twelve.
FORECAST_SETTINGS = TunedSettings(
    quantile=0.6, window_minutes=60, trigger=1.0, aim=1.0, ceiling=1.05, move_gib=1.0, least_relief=0.03
)


def forecast_planner(forecaster: Forecaster, settings: TunedSettings = FORECAST_SETTINGS) -> Tuned:
    """The tuned rule on a quantile of a forecast."""
    return Tuned(settings, ForecastEstimate(forecaster, settings.quantile, settings.window_minutes), name=NAME)


def forecast_planner_of(bundle: Bundle, settings: TunedSettings = FORECAST_SETTINGS) -> Tuned:
    """The same with the forecaster of a bundle.

    Raises:
        BundleError: the bundle holds none.
    """
    if bundle.forecaster is None:
        raise BundleError(f"bundle {bundle.path}: holds no forecaster, which the planner {NAME!r} needs")
    return forecast_planner(bundle.forecaster, settings)
