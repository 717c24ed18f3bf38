"""The forecaster: what it sees, what its quantiles owe, how it travels, and that training learns something."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch as th
from hypothesis import given
from hypothesis import strategies as st

from quell.agents.bundle import parse_bundle, shipped_bundle
from quell.agents.forecast_features import DAY_BLOCKS, FEATURES, day_blocks, features_of
from quell.agents.forecast_planner import FORECAST_SETTINGS, forecast_planner_of
from quell.agents.forecast_training import LEVELS, QuantileNetwork, pinball_N, train_forecaster
from quell.agents.forecaster import Forecaster, ForecastEstimate, at_levels
from quell.env.gym.view import recent_blocks
from quell.env.model.cluster import Cluster
from quell.env.model.errors import BundleError, QuellError
from quell.env.world.split import part
from quell.env.world.synthetic import synthetic_trace
from quell.experiments.planners import planner_factory
from tests.agents.forecasters import bundle_content, quick_content, quick_training, served
from tests.builders import build_cluster, session, vm

DAY = 1440
NAN = float("nan")


@pytest.fixture(scope="module")
def forecaster() -> Forecaster:
    return served()


def with_samples(cpu_VT: np.ndarray, storage_MT: np.ndarray | None = None) -> Cluster:
    """VMs of 64 vCPUs with this CPU demand, and storage demand alike where none is given."""
    cluster = build_cluster(2, vms=[vm(f"v{v}") for v in range(len(cpu_VT))])
    return replace(cluster, cpu_samples_VT=cpu_VT, storage_samples_MT=cpu_VT if storage_MT is None else storage_MT)


def noisy(rows: int, minutes: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).gamma(2.0, 2.0, size=(rows, minutes))


class TestDayBlocks:
    def test_a_whole_day_is_averaged_by_five_minutes(self) -> None:
        samples_NT = noisy(3, DAY + 7)
        expected = samples_NT[:, 7:].reshape(3, DAY_BLOCKS, 5).mean(axis=2)
        np.testing.assert_allclose(day_blocks(samples_NT), expected, rtol=1e-5)

    @pytest.mark.parametrize(
        ("samples", "last_three"),
        [
            ([4.0], (4, 4, 4)),
            ([1.0, 3.0], (1.4, 1.4, 1.4)),
            ([1.0] * 5 + [3.0] * 5, (1, 1, 3)),
            ([2.0] * 5 + [NAN] * 5 + [3.0] * 5, (2, 2, 3)),
            ([NAN] * 5 + [3.0] * 5, (3, 3, 3)),
            ([1.0, NAN, NAN, NAN, 3.0], (2, 2, 2)),
            ([NAN] * 5, (0, 0, 0)),
        ],
    )
    def test_short_and_gappy_telemetry(self, samples: list[float], last_three: tuple[float, ...]) -> None:
        blocks = day_blocks(np.array([samples]))
        assert blocks.shape == (1, DAY_BLOCKS)
        np.testing.assert_allclose(blocks[0, -3:], last_three, rtol=1e-6)


class TestFeatures:
    def test_each_has_its_name(self) -> None:
        features_NF, scale_N = features_of(day_blocks(noisy(4, DAY)), is_storage=True)
        assert features_NF.shape == (4, len(FEATURES)) and scale_N.shape == (4,)
        assert (features_NF[:, FEATURES.index("is_storage")] == 1).all()
        np.testing.assert_allclose(
            np.exp(features_NF[:, 0]) - 0.05, day_blocks(noisy(4, DAY))[:, -1] / scale_N, rtol=1e-4
        )

    @given(factor=st.floats(0.01, 100))
    def test_they_are_free_of_scale(self, factor: float) -> None:
        day_NS = day_blocks(noisy(2, DAY))
        ours, scale = features_of(day_NS, is_storage=False)
        theirs, other = features_of(day_NS * np.float32(factor), is_storage=False)
        np.testing.assert_allclose(theirs, ours, atol=2e-3)
        np.testing.assert_allclose(other, scale * factor, rtol=1e-4)

    @pytest.mark.parametrize(("blocks", "expected"), [(0, 1), (5, 6), (72, 72), (287, 72)])
    def test_the_run_of_the_present_level(self, blocks: int, expected: int) -> None:
        day_NS = np.full((1, DAY_BLOCKS), 1.0, dtype=np.float32)
        day_NS[:, DAY_BLOCKS - 1 - blocks :] = 10.0
        run = features_of(day_NS, is_storage=False)[0][0, FEATURES.index("run_length")]
        assert round(float(np.expm1(run))) == expected

    def test_zero_demand_is_finite(self) -> None:
        features_NF, scale_N = features_of(np.zeros((1, DAY_BLOCKS), dtype=np.float32), is_storage=False)
        assert np.isfinite(features_NF).all() and scale_N[0] > 0


class TestQuantiles:
    @pytest.mark.parametrize("minutes", [1, 3, 59, 60, 61, 300, DAY, DAY + 100])
    def test_they_ascend_and_stay_within_what_was_ever_likely(self, forecaster: Forecaster, minutes: int) -> None:
        samples = noisy(5, minutes)
        quantiles_MJWQ = forecaster.quantiles(with_samples(samples))
        assert quantiles_MJWQ.shape == (5, 2, 3, len(LEVELS))
        assert (np.diff(quantiles_MJWQ, axis=3) >= 0).all() and (quantiles_MJWQ >= 0).all()
        assert (quantiles_MJWQ.max(axis=(1, 2, 3)) <= 3 * samples.max(axis=1) + 1e-6).all()

    @pytest.mark.parametrize("value", [0.0, 1e-9, 0.3, 1e6])
    def test_constant_demand_of_any_size_is_finite(self, forecaster: Forecaster, value: float) -> None:
        quantiles = forecaster.quantiles(with_samples(np.full((1, DAY), value)))
        assert np.isfinite(quantiles).all() and (quantiles <= 3.00001 * value + 1e-9).all()

    def test_cpu_is_bound_by_vcpus_unless_more_was_demanded(self, forecaster: Forecaster) -> None:
        samples = noisy(2, DAY) * np.array([[6.0], [60.0]])
        cluster = with_samples(np.minimum(samples, [[60.0], [600.0]]))
        quantiles = forecaster.quantiles(cluster)[:, 0]
        assert quantiles[0].max() <= 64.0
        assert quantiles[1].max() <= day_blocks(cluster.cpu_samples_VT)[1].max() + 1e-3

    def test_what_is_off_demands_nothing(self, forecaster: Forecaster) -> None:
        cluster = build_cluster(2, vms=[vm("a"), vm("b", is_on=False)], sessions=[session("s")])
        quantiles_MJWQ = forecaster.quantiles(cluster)
        assert (quantiles_MJWQ[1] == 0).all()
        assert (quantiles_MJWQ[2, 0] == 0).all()
        assert (quantiles_MJWQ[0, 0] == 10).all() and (quantiles_MJWQ[2, 1] == 0.5).all()

    def test_less_than_an_hour_gives_the_quantiles_of_what_is_there(self, forecaster: Forecaster) -> None:
        samples = noisy(3, 40)
        expected = np.quantile(recent_blocks(samples), LEVELS, axis=1).T
        np.testing.assert_allclose(forecaster.quantiles(with_samples(samples))[:, 0, 1], expected)

    def test_gaps_do_not_spread(self, forecaster: Forecaster) -> None:
        samples = noisy(3, DAY)
        gappy = samples.copy()
        gappy[0, 100:500] = NAN
        gappy[1] = NAN
        ours, theirs = forecaster.quantiles(with_samples(samples)), forecaster.quantiles(with_samples(gappy))
        assert np.isfinite(theirs).all()
        assert (theirs[1] == 0).all()
        np.testing.assert_allclose(theirs[2], ours[2], rtol=1e-5)

    def test_a_cluster_without_vms_is_fine(self, forecaster: Forecaster) -> None:
        assert forecaster.quantiles(build_cluster(1, vms=[])).shape[0] == 0


class TestScenarios:
    def test_the_last_hour_tells_the_order(self, forecaster: Forecaster) -> None:
        cluster = with_samples(noisy(4, DAY))
        scenarios_MJB = forecaster(cluster)
        assert scenarios_MJB.shape == (4, 2, 12)
        order = np.argsort(recent_blocks(cluster.cpu_samples_VT), axis=1, kind="stable")
        assert (np.diff(np.take_along_axis(scenarios_MJB[:, 0], order, axis=1), axis=1) >= 0).all()

    def test_they_are_the_quantiles_of_the_hour(self, forecaster: Forecaster) -> None:
        cluster = with_samples(noisy(2, DAY))
        middles = (np.arange(12) + 0.5) / 12
        hour_Q = forecaster.quantiles(cluster)[0, 0, -1]
        expected = np.interp(middles, LEVELS, hour_Q)
        np.testing.assert_allclose(np.sort(forecaster.scenarios(cluster)[0, 0]), expected)

    @given(level=st.floats(0, 1))
    def test_levels_between_are_interpolated(self, level: float) -> None:
        values = np.array([1.0, 2.0, 4.0, 5.0, 7.0, 8.0, 20.0])
        found = at_levels(values[None, None], np.array(LEVELS), np.array([level]))[0, 0, 0]
        assert found == pytest.approx(np.interp(level, LEVELS, values))

    def test_an_estimate_is_one_level_of_one_window(self, forecaster: Forecaster) -> None:
        cluster = with_samples(noisy(3, DAY))
        quantiles_MJWQ = forecaster.quantiles(cluster)
        np.testing.assert_allclose(ForecastEstimate(forecaster, 0.5, 30)(cluster), quantiles_MJWQ[:, :, 1, 3])
        with pytest.raises(ValueError, match="knows 15, 30, 60"):
            ForecastEstimate(forecaster, 0.5, 20)


class TestTraining:
    def test_the_same_seed_and_steps_give_the_same_network(self) -> None:
        once, again = (quick_training.__wrapped__(3) for _ in range(2))
        for ours, theirs in zip(once.network.parameters(), again.network.parameters(), strict=True):
            assert th.equal(ours, theirs)
        assert once.metrics == again.metrics

    def test_figures_are_told_by_kind_and_level(self) -> None:
        metrics = quick_training().metrics
        for kind in ("cpu", "storage"):
            assert metrics[kind]["pinball"] > 0 and metrics[kind]["pinball_last_hour"] > 0
            assert all(len(shares) == len(LEVELS) for shares in metrics[kind]["coverage"].values())

    def test_pinball_by_hand(self) -> None:
        quantiles = th.zeros(1, 3, len(LEVELS))
        expected = np.mean(LEVELS) * 2.0
        assert float(pinball_N(quantiles, th.full((1, 12), 2.0))[0]) == pytest.approx(expected)

    def test_quantiles_never_cross_and_never_blow_up(self) -> None:
        network = QuantileNetwork()
        with th.no_grad():
            for parameter in network.parameters():
                parameter.mul_(50)
            answer = network(1e6 * th.randn(100, len(FEATURES)))
        assert bool(th.isfinite(answer).all()) and bool((answer.diff(dim=2) >= 0).all())


class TestBundle:
    def test_a_bundle_without_forecaster_is_fine(self) -> None:
        bundle = parse_bundle(bundle_content(None), Path("plain.quell"))
        assert bundle.forecaster is None
        with pytest.raises(BundleError, match="holds no forecaster"):
            forecast_planner_of(bundle)

    def test_the_manifest_tells_about_it_and_it_can_be_pickled(self) -> None:
        bundle = parse_bundle(quick_content(), Path("both.quell"))
        assert bundle.forecaster is not None and bundle.manifest.forecaster is not None
        assert bundle.manifest.forecaster.features == FEATURES
        assert bundle.manifest.forecaster.metrics == quick_training().metrics
        cluster = with_samples(noisy(2, DAY))
        again = pickle.loads(pickle.dumps(bundle)).forecaster
        np.testing.assert_array_equal(again.quantiles(cluster), bundle.forecaster.quantiles(cluster))

    def test_the_same_forecaster_gives_the_same_bytes_below_a_megabyte(self) -> None:
        content = quick_content()
        assert content == quick_content.__wrapped__() and len(content) < 1024**2

    @pytest.mark.parametrize(
        ("change", "told"),
        [
            ({"forecaster.onnx": b"broken"}, "forecaster.onnx has been changed"),
            ({"forecaster.onnx": None}, "lacks forecaster.onnx"),
        ],
    )
    def test_changed_bytes_are_refused(self, change: dict[str, bytes | None], told: str) -> None:
        members = members_of() | change
        with pytest.raises(BundleError, match=told):
            parse_bundle(zipped(members), Path("x.quell"))

    @pytest.mark.parametrize(
        ("key", "value", "told"),
        [
            ("levels", [0.5, 0.2], "forecaster.levels must be a list of ascending numbers between 0 and 1"),
            ("windows_minutes", [0], "forecaster.windows_minutes must be"),
            ("features", ["a"], "other features"),
            ("weights_sha256", "x", "forecaster.weights_sha256 must be 64"),
            ("extra", 1, "unknown key 'forecaster.extra'"),
        ],
    )
    def test_wrong_manifests_are_refused(self, key: str, value: object, told: str) -> None:
        members = members_of()
        document = json.loads(members["manifest.json"] or b"")
        document["forecaster"][key] = value
        del document["manifest_sha256"]
        canonical = json.dumps(document, sort_keys=True, separators=(",", ":"))
        document["manifest_sha256"] = hashlib.sha256(canonical.encode()).hexdigest()
        with pytest.raises(BundleError, match=told):
            parse_bundle(zipped(members | {"manifest.json": json.dumps(document).encode()}), Path("x.quell"))


def members_of() -> dict[str, bytes | None]:
    with zipfile.ZipFile(io.BytesIO(quick_content())) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(members: dict[str, bytes | None]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            if content is not None:
                archive.writestr(name, content)
    return buffer.getvalue()


class TestPlannerName:
    def test_a_path_names_the_bundle(self, tmp_path: Path) -> None:
        (tmp_path / "both.quell").write_bytes(quick_content())
        cluster = with_samples(noisy(2, DAY))
        planner = planner_factory(f"forecast:{tmp_path / 'both.quell'}")
        plan = planner(None).plan(cluster)  # type: ignore[arg-type]  # only the clairvoyant one looks at the day
        assert plan.planner == "forecast"

    @pytest.mark.parametrize(
        ("name", "told"),
        [("forecast:", "names no bundle"), ("forecast:none.quell", "cannot be read"), ("forcast", "forecast")],
    )
    def test_what_cannot_be_found_is_told(self, name: str, told: str) -> None:
        with pytest.raises(QuellError, match=told):
            planner_factory(name)

    def test_without_a_shipped_bundle_forecast_says_so(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        assert shipped_bundle().name == "shipped.quell"
        monkeypatch.setattr("quell.agents.bundle.shipped_bundle", lambda: tmp_path / "none.quell")
        with pytest.raises(QuellError, match="no bundle comes with this Quell"):
            planner_factory("forecast")

    def test_the_window_is_one_the_forecaster_knows(self) -> None:
        assert FORECAST_SETTINGS.window_minutes in (15, 30, 60)


def test_train_forecaster_can_be_ended_by_time() -> None:
    trace = synthetic_trace(0, vms=40, days=4)
    trained = train_forecaster(part(trace, "train"), part(trace, "validation"), 0, steps=10**9, seconds=0.2)
    assert 0 < trained.training["steps"] < 10**6
