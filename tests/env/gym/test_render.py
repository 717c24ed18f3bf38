"""What people see: a table to the letter, and a picture that shows what it should."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from quell.env.gym.cluster_env import ClusterEnv
from quell.env.gym.generator import ToyGenerator, TraceGenerator
from quell.env.world.events import Event, EventKind
from tests.env.world.episodes import build_episode

TROUBLE = (
    Event(5, EventKind.FAILURE, 0, 60),
    Event(5, EventKind.MAINTENANCE, 2, 60),
    Event(10, EventKind.ARRIVAL, 2),
)


def toy(render_mode: str | None) -> ClusterEnv:
    """The toy, just reset."""
    env = ClusterEnv(ToyGenerator(), render_mode=render_mode, skip_quiet_rounds=False)
    env.reset(seed=0)
    return env


def small_vm_slot(env: ClusterEnv) -> int:
    """The slot of vm-2."""
    return 1 + env._listed.movable_K.tolist().index(1)


class TestText:
    def test_toy_before_anything_is_done(self) -> None:
        expected = """\
toy · 00:00 · minute 0 of 1440

host       VMs  CPU                      storage                  memory
host-1  !    2  ██████████████|█▎  95%    ███···········|··  19%    ██████████······   62%
host-2       1  ██▍···········|··  15%    █·············|··   6%    ██··············   12%

plan so far: no moves

core-minutes so far   overload   unserved       swap      moved      total
own, 0 moves               0.0        0.0        0.0        0.0        0.0
doing nothing              0.0        0.0        0.0        0.0        0.0"""
        assert without_end_spaces(toy("ansi").render()) == expected

    def test_plan_and_costs(self) -> None:
        env = toy("ansi")
        env.step(small_vm_slot(env))
        text = env.render()
        assert "plan so far: 1 move, 8.0 GiB" in text
        assert "  1. vm-2  host-1 -> host-2     8.0 GiB" in text
        assert "!" not in text  # with vm-2 away, host-1 is no longer contended
        env.step(0)
        assert "own, 1 move                0.0        0.0        0.0        8.0        8.0" in env.render()
        assert "doing nothing             15.0        0.0        0.0        0.0       15.0" in env.render()

    def test_columns_stay_aligned_in_a_large_cluster(self) -> None:
        env = ClusterEnv(TraceGenerator(hosts=(12, 12)), render_mode="ansi")
        env.reset(seed=0)
        rows = [line for line in env.render().splitlines() if line.startswith("host-")]
        assert len(rows) == 12
        assert len({row.index("|") for row in rows}) == 1


class TestStates:
    """host-0 has failed, host-2 is to be emptied; vm-2, too large for anybody, waits."""

    def env(self, render_mode: str, *, is_calm: bool = False) -> ClusterEnv:
        events = () if is_calm else TROUBLE
        episode = build_episode(
            cpu=(5, 5, 5), homes=(0, 2, -1), memory_gib=(8, 8, 300), arriving=[2], hosts=3, events=events
        )
        env = ClusterEnv(lambda rng: episode, render_mode=render_mode, skip_quiet_rounds=False)
        env.reset(seed=0)
        env.step(0)
        return env

    def test_text_names_states_and_who_waits(self) -> None:
        text = without_end_spaces(self.env("ansi").render())
        rows = {line.split()[0]: line for line in text.splitlines() if line.startswith("host-")}
        assert rows["host-0"].endswith("0%    down")
        assert rows["host-2"].endswith("3%    maintenance") and "!" in rows["host-2"]
        assert "without a host: vm-2\n" in text

    def test_text_of_a_calm_day_says_nothing_of_it(self) -> None:
        text = self.env("ansi", is_calm=True).render()
        assert "down" not in text and "maintenance" not in text and "without a host" not in text

    def test_of_many_only_the_first_are_named(self) -> None:
        arrivals = [Event(5, EventKind.ARRIVAL, v) for v in range(1, 12)]
        episode = build_episode(
            cpu=(5.0,) * 12,
            homes=(0,) + (-1,) * 11,
            memory_gib=(8,) + (300,) * 11,
            arriving=list(range(1, 12)),
            events=arrivals,
        )
        env = ClusterEnv(lambda rng: episode, render_mode="ansi", skip_quiet_rounds=False)
        env.reset(seed=0)
        env.step(0)
        assert "vm-7, vm-8 and 3 more\n" in env.render()

    def test_the_picture_shows_it(self) -> None:
        """Names of hosts get longer, so the day begins further right; the title says who waits."""
        marked, plain = self.env("rgb_array").render(), self.env("rgb_array", is_calm=True).render()
        ends = [int(np.flatnonzero(is_ink(picture[:25]).any(axis=0)).max()) for picture in (marked, plain)]
        assert ends[0] > ends[1]
        assert (marked[30:] != plain[30:]).any()


class TestPicture:
    def test_it_shows_the_day_so_far(self) -> None:
        env = toy("rgb_array")
        empty = env.render()
        assert empty.dtype == np.uint8
        assert empty.ndim == 3
        assert empty.shape[2] == 3
        for _ in range(40):
            env.step(0)
        later = env.render()
        assert later.shape == empty.shape
        assert share_of_red(later) > share_of_red(empty) + 0.02  # host-1 has been over its threshold for ten hours

    def test_a_move_is_seen(self) -> None:
        env, other = toy("rgb_array"), toy("rgb_array")
        env.step(small_vm_slot(env))
        assert (env.render() != other.render()).any()

    @pytest.mark.parametrize("hosts", [1, 30])
    def test_any_size_can_be_drawn(self, hosts: int) -> None:
        env = ClusterEnv(TraceGenerator(hosts=(hosts, hosts), vms_per_host=(10, 10)), render_mode="rgb_array")
        env.reset(seed=0)
        height, width, _ = env.render().shape
        assert width == 1200
        assert 400 < height < 1300

    def test_the_same_scene_gives_the_same_picture(self) -> None:
        env = toy("rgb_array")
        np.testing.assert_array_equal(env.render(), env.render())


def test_without_a_render_mode_there_is_a_warning() -> None:
    with pytest.warns(UserWarning, match="needs a render_mode"):
        assert toy(None).render() is None


def share_of_red(image: np.ndarray) -> float:
    """Share of the pixels that are clearly red."""
    red, green, blue = (image[..., c].astype(int) for c in range(3))
    return float(((red - green > 60) & (red - blue > 60)).mean())


def is_ink(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Pixels that are dark."""
    return picture.sum(axis=2) < 300


def without_end_spaces(text: str) -> str:
    """The text with nothing at the ends of its lines."""
    return "\n".join(line.rstrip() for line in text.splitlines())
