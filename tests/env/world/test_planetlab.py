"""PlanetLab's folders and their converted file: the same arrays, sizes by name alone, faults told in a sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from quell.env.model.errors import TraceError
from quell.env.world.traces import load_trace

DAY = 288


def write_planetlab(folder: Path, days: dict[str, list[str]], value: int = 50) -> Path:
    """Day folders with files of 288 equal lines."""
    for day, names in days.items():
        (folder / day).mkdir(parents=True)
        for name in names:
            (folder / day / name).write_text(f"{value}\n" * DAY)
    return folder


class TestPlanetLab:
    def test_a_vm_has_one_row_over_its_days(self, tmp_path: Path) -> None:
        folder = write_planetlab(tmp_path, {"20110303": ["a", "b c"], "20110306": ["a"]})
        trace = load_trace(f"planetlab:{folder}")
        assert (trace.vm_ids, trace.day_names) == (("a", "b c"), ("2011-03-03", "2011-03-06"))
        assert trace.is_usable_VD.tolist() == [[True, True], [True, False]]
        assert (trace.cpu_cores_VT[0] == 0.5 * trace.vcpus_V[0]).all()
        assert trace.io_kbs_VT is None
        assert not trace.is_consecutive

    @pytest.mark.parametrize("given", ["20110303", ".", ".."])
    def test_a_day_folder_or_any_folder_above_will_do(self, tmp_path: Path, given: str) -> None:
        write_planetlab(tmp_path / "traces", {"20110303": ["a"]})
        assert load_trace(f"planetlab:{tmp_path / 'traces' / given}").day_names == ("2011-03-03",)

    def test_sizes_depend_on_the_name_alone(self, tmp_path: Path) -> None:
        names = [f"vm-{i}" for i in range(200)]
        many = load_trace(f"planetlab:{write_planetlab(tmp_path / 'many', {'20110303': names})}")
        few = load_trace(f"planetlab:{write_planetlab(tmp_path / 'few', {'20110306': names[50:60]})}")
        vcpus_of = dict(zip(many.vm_ids, many.vcpus_V.tolist(), strict=True))
        assert [vcpus_of[name] for name in few.vm_ids] == few.vcpus_V.tolist()
        assert set(vcpus_of.values()) == {1, 2, 4, 8}

    @pytest.mark.parametrize(
        ("content", "sentence"),
        [
            ("50\n" * 287, "has 287 lines, a day has 288"),
            ("50\n" * 289, "has 289 lines, a day has 288"),
            ("50\n" * 4 + "x\n" + "50\n" * 283, "line 5: 'x' is not a whole percentage from 0 to 100"),
            ("50\n" * 4 + "101\n" + "50\n" * 283, "line 5: '101' is not a whole percentage"),
            ("-1\n" + "50\n" * 287, "line 1: '-1' is not a whole percentage"),
            ("nan\n" + "50\n" * 287, "line 1: 'nan' is not a whole percentage"),
            ("50\n\n" + "50\n" * 287, "line 2: '' is not a whole percentage"),
            ("", "has 0 lines"),
            ("\u00e9" * 10, "byte 0 is not ASCII"),
        ],
    )
    def test_a_damaged_file_is_named_with_line_and_value(self, tmp_path: Path, content: str, sentence: str) -> None:
        file = write_planetlab(tmp_path, {"20110303": ["a"]}) / "20110303" / "a"
        file.write_text(content, encoding="utf-8")
        with pytest.raises(TraceError, match=sentence) as caught:
            load_trace(f"planetlab:{tmp_path}")
        assert str(file) in str(caught.value)

    def test_the_converted_file_gives_the_same_trace_as_the_raw_folder(self, tmp_path: Path) -> None:
        raw = load_trace(f"planetlab:{write_planetlab(tmp_path, {'20110303': ['a', 'b'], '20110306': ['b']})}")
        file = tmp_path / "planetlab.npz"
        util = np.full((3, DAY), 50, dtype=np.uint8)
        np.savez_compressed(file, util=util, day=np.array([20110303, 20110303, 20110306]), vm=np.array(["a", "b", "b"]))
        converted = load_trace(f"planetlab:{file}")
        assert converted.vm_ids == raw.vm_ids
        assert converted.day_names == raw.day_names
        assert np.array_equal(converted.cpu_cores_VT, raw.cpu_cores_VT, equal_nan=True)

    @pytest.mark.parametrize(
        ("arrays", "sentence"),
        [
            ({"util": np.full((1, 287), 5)}, r"util: has shape \(1, 287\)"),
            ({"util": np.full((1, DAY), 101)}, r"util\[0, 0\]: 101 is not a whole percentage"),
            ({"util": np.full((1, DAY), np.nan)}, r"util\[0, 0\]: nan is not a whole percentage"),
            ({"util": np.full((2, DAY), 5)}, r"util has 2 rows, day \(1,\)"),
            ({"day": np.array([20111303])}, r"day\[0\]: '20111303' is no date"),
            ({"util": np.full((2, DAY), 5), "day": np.array([20110303] * 2), "vm": np.array(["a", "a"])}, "twice"),
        ],
    )
    def test_a_wrong_array_is_named(self, tmp_path: Path, arrays: dict, sentence: str) -> None:
        file = tmp_path / "p.npz"
        whole = {"util": np.full((1, DAY), 5), "day": np.array([20110303]), "vm": np.array(["a"])}
        np.savez_compressed(file, **{**whole, **arrays})
        with pytest.raises(TraceError, match=sentence):
            load_trace(f"planetlab:{file}")

    def test_a_missing_array_is_named(self, tmp_path: Path) -> None:
        np.savez_compressed(tmp_path / "p.npz", util=np.full((1, DAY), 5), day=np.array([20110303]))
        with pytest.raises(TraceError, match="has no array 'vm"):
            load_trace(f"planetlab:{tmp_path / 'p.npz'}")

    @pytest.mark.parametrize("share", [0.0, 0.5, 0.95])
    def test_a_converted_file_cut_short_is_refused(self, tmp_path: Path, share: float) -> None:
        file = tmp_path / "p.npz"
        util = np.random.default_rng(0).integers(0, 100, (50, DAY))
        np.savez_compressed(file, util=util, day=np.full(50, 20110303), vm=np.array([f"v{i}" for i in range(50)]))
        content = file.read_bytes()
        file.write_bytes(content[: int(share * len(content))])
        with pytest.raises(TraceError, match=r"p\.npz: is no complete \.npz file"):
            load_trace(f"planetlab:{file}")

    def test_a_folder_among_the_days_whose_name_is_no_date_is_refused(self, tmp_path: Path) -> None:
        """A mistyped day was left out without a word, and the parts of the trace were others."""
        write_planetlab(tmp_path, {"20110303": ["a"], "20110306": ["a"], "20111399": ["a"]})
        with pytest.raises(TraceError, match="20111399: its name is no date such as 20110303, yet it lies among day"):
            load_trace(f"planetlab:{tmp_path}")

    def test_folders_without_files_and_hidden_ones_may_lie_among_the_days(self, tmp_path: Path) -> None:
        write_planetlab(tmp_path, {"20110303": ["a"], ".git": ["config"], "notes": []})
        (tmp_path / "README.md").write_text("What this is.")
        assert load_trace(f"planetlab:{tmp_path}").day_names == ("2011-03-03",)
