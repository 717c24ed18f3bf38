"""Traces: public formats become the same arrays, quirks are handled, faults told in a sentence, parts never meet."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell.env.model.errors import TraceError
from quell.env.world.traces import Trace, load_trace, part, split_days, split_vms

MIDNIGHT = 1375308000  # 2013-08-01 00:00 in Amsterdam, Unix seconds
DAY = 288
Columns = Mapping[str, Sequence[float]]
HEADER = (
    "Timestamp [ms];\tCPU cores;\tCPU capacity provisioned [MHZ];\tCPU usage [MHZ];\tCPU usage [%];\t"
    "Memory capacity provisioned [KB];\tMemory usage [KB];\tDisk read throughput [KB/s];\tDisk write throughput [KB/s];"
    "\tNetwork received throughput [KB/s];\tNetwork transmitted throughput [KB/s]"
)


def sample(
    slot: int, cpu_mhz: float = 1000.0, *, cores: int = 2, capacity_mhz: float = 4000.0, memory_kb: float = 4 * 2**20
) -> str:
    """A line of a raw Bitbrains file; disk reads 3 KB/s and writes 4."""
    seconds = MIDNIGHT + 300 * slot + 176
    fields = (seconds, cores, capacity_mhz, cpu_mhz, 25.0, memory_kb, 1000.0, 3.0, 4.0, 0.0, 0.5)
    return ";\t".join(str(field) for field in fields)


def write_raw(folder: Path, *vms: list[str]) -> Path:
    """A raw folder with the lines of files 1.csv, 2.csv ..."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, lines in enumerate(vms, start=1):
        (folder / f"{number}.csv").write_text("\n".join([HEADER, *lines]) + "\n")
    return folder


def write_parquet(folder: Path, samples: Columns | None = None, vms: Columns | None = None) -> Path:
    """The converted pair of files: by default two VMs over one day, VM 7 switched off in its first ten slots."""
    slots = list(range(DAY))
    default_samples: Columns = {
        "vm": [3] * DAY + [7] * DAY,
        "slot": slots * 2,
        "cpu_mhz": [1000] * DAY + [0] * 10 + [500] * (DAY - 10),
        "mem_used_mib": [100] * DAY + [0] * 10 + [100] * (DAY - 10),
        "disk_read_kbs": [1] * DAY + [0] * 10 + [2] * (DAY - 10),
        "disk_write_kbs": [1] * DAY + [0] * 10 + [2] * (DAY - 10),
    }
    default_vms: Columns = {
        "vm": [3, 7],
        "cores": [2, 1],
        "cpu_capacity_mhz": [4000.0, 2000.0],
        "mem_capacity_mib": [2048.0, 512.0],
        "zero_share": [0.0, 0.1],
    }
    file = folder / "trace.parquet"
    pq.write_table(pa.table({**default_samples, **(samples or {})}), file)
    pq.write_table(pa.table({**default_vms, **(vms or {})}), folder / "trace_vms.parquet")
    return file


def make_trace(vms: int = 10, days: int = 5, *, cpu_cores: float = 1.0, present: float = 1.0) -> Trace:
    """A flat trace; of every day only the first `present` of the samples is there."""
    cpu_VDS = np.full((vms, days, DAY), cpu_cores, dtype=np.float32)
    cpu_VDS[:, :, round(present * DAY) :] = np.nan
    return Trace(
        name="made",
        vm_ids=tuple(f"vm-{v}" for v in range(vms)),
        vcpus_V=np.full(vms, 2, dtype=np.float32),
        memory_gib_V=np.full(vms, 4, dtype=np.float32),
        cpu_cores_VT=cpu_VDS.reshape(vms, -1),
        io_kbs_VT=None,
        day_names=tuple(f"day-{d}" for d in range(days)),
        is_consecutive=True,
    )


class TestRawBitbrains:
    def test_samples_become_cores_on_days_of_amsterdam(self, tmp_path: Path) -> None:
        trace = load_trace(f"bitbrains:{write_raw(tmp_path / '2013-8', [sample(s) for s in range(DAY + 12)])}")
        assert (trace.name, trace.vm_ids) == ("bitbrains:2013-8", ("1",))
        assert trace.day_names == ("2013-08-01", "2013-08-02")
        assert trace.is_consecutive
        assert (trace.vcpus_V[0], trace.memory_gib_V[0]) == (2, 4)
        assert trace.cpu_cores_VT[0, : DAY + 12] == pytest.approx(0.5)  # 1000 MHz of 2 cores with 4000 MHz
        assert np.isnan(trace.cpu_cores_VT[0, DAY + 12 :]).all()
        assert trace.io_kbs_VT is not None
        assert trace.io_kbs_VT[0, 0] == 7
        assert trace.memory_used_gib_VT is not None
        assert trace.memory_used_gib_VT[0, 0] == pytest.approx(1000 / 2**20)
        assert np.isnan(trace.memory_used_gib_VT[0, DAY + 12 :]).all()

    def test_a_file_that_starts_at_noon_keeps_its_place_in_the_day(self, tmp_path: Path) -> None:
        trace = load_trace(f"bitbrains:{write_raw(tmp_path, [sample(s) for s in range(144, DAY)])}")
        assert np.isnan(trace.cpu_cores_VT[0, :144]).all()
        assert not np.isnan(trace.cpu_cores_VT[0, 144:]).any()

    def test_quirks(self, tmp_path: Path) -> None:
        lines = [sample(s) for s in range(DAY)]
        lines[10] = sample(10, 5000.0)  # above the capacity: clipped at the vCPUs
        lines[20] = sample(20, 0.0, cores=0, capacity_mhz=0.0)  # switched off
        lines[30] = sample(30, capacity_mhz=40000.0)  # the capacity wanders
        lines[40] = "\n".join([sample(40, 400.0), sample(40, 800.0)])  # repeated: the last counts
        del lines[60:64], lines[50:53]  # a gap of four stays, one of three is filled
        cpu_T = load_trace(f"bitbrains:{write_raw(tmp_path, lines)}").cpu_cores_VT[0]
        assert cpu_T[10] == 2
        assert np.isnan(cpu_T[20])
        assert cpu_T[30] == pytest.approx(0.5)
        assert cpu_T[40] == pytest.approx(0.4)
        assert np.isnan(cpu_T[60:64]).all()
        assert np.isnan(cpu_T).sum() == 5
        assert cpu_T[50:53] == pytest.approx(0.5)

    def test_a_gap_beside_a_switched_off_sample_is_switched_off_too(self, tmp_path: Path) -> None:
        lines = [sample(s) for s in range(DAY)]
        lines[20] = sample(20, 0.0, cores=0)
        del lines[21:23]
        cpu_T = load_trace(f"bitbrains:{write_raw(tmp_path, lines)}").cpu_cores_VT[0]
        assert np.flatnonzero(np.isnan(cpu_T)).tolist() == [20, 21, 22]

    def test_real_milliseconds_are_read_as_well(self, tmp_path: Path) -> None:
        lines = [sample(s) for s in range(DAY)]
        in_milliseconds = [line.replace(";", "000;", 1) for line in lines]
        seconds = load_trace(f"bitbrains:{write_raw(tmp_path / 'a', lines)}")
        milliseconds = load_trace(f"bitbrains:{write_raw(tmp_path / 'b', in_milliseconds)}")
        assert milliseconds.day_names == seconds.day_names
        assert np.array_equal(milliseconds.cpu_cores_VT, seconds.cpu_cores_VT)

    def test_milliseconds_since_some_other_time_are_named(self, tmp_path: Path) -> None:
        """They were taken for seconds, and the trace was said to be shorter than a day."""
        lines = [sample(0).replace(str(MIDNIGHT + 176), str(300_000 * s)) for s in range(DAY)]
        with pytest.raises(
            TraceError, match=r"samples are 300000 apart, so these are milliseconds, but not since 1970"
        ):
            load_trace(f"bitbrains:{write_raw(tmp_path, lines)}")

    def test_the_order_of_the_rows_does_not_matter(self, tmp_path: Path) -> None:
        lines = [sample(s, 10.0 * s) for s in range(DAY)]
        ordered = load_trace(f"bitbrains:{write_raw(tmp_path / 'a', lines)}")
        reversed_ = load_trace(f"bitbrains:{write_raw(tmp_path / 'b', lines[::-1])}")
        assert np.array_equal(ordered.cpu_cores_VT, reversed_.cpu_cores_VT)

    @pytest.mark.parametrize("level", [".", "rnd", "rnd/2013-8"])
    def test_files_are_found_at_any_level(self, tmp_path: Path, level: str) -> None:
        write_raw(tmp_path / "rnd" / "2013-8", *[[sample(0)] for _ in range(11)])
        trace = load_trace(f"bitbrains:{tmp_path / level}")
        assert trace.vm_ids == tuple(str(v) for v in range(1, 12))  # by number, not 1, 10, 11, 2

    def test_month_folders_continue_the_same_vms(self, tmp_path: Path) -> None:
        write_raw(tmp_path / "2013-10", [sample(s) for s in range(DAY, 2 * DAY)])
        write_raw(tmp_path / "2013-8", [sample(s) for s in range(DAY)], [sample(s) for s in range(DAY)])
        trace = load_trace(f"bitbrains:{tmp_path}")
        assert trace.samples_VD.tolist() == [[DAY, DAY], [DAY, 0]]

    def test_two_data_sets_side_by_side_are_refused(self, tmp_path: Path) -> None:
        write_raw(tmp_path / "rnd" / "2013-8", [sample(0)])
        write_raw(tmp_path / "fastStorage" / "2013-8", [sample(0)])
        with pytest.raises(TraceError, match=r"holds 2 data sets \(fastStorage, rnd\)"):
            load_trace(f"bitbrains:{tmp_path}")

    def test_a_vm_that_is_always_off_is_left_out(self, tmp_path: Path) -> None:
        folder = write_raw(tmp_path, [sample(0, cores=0)], [sample(0)])
        assert load_trace(f"bitbrains:{folder}").vm_ids == ("2",)

    def test_progress_counts_files(self, tmp_path: Path) -> None:
        calls: list[tuple[int, int]] = []
        load_trace(
            f"bitbrains:{write_raw(tmp_path, [sample(0)], [sample(0)])}", progress=lambda *call: calls.append(call)
        )
        assert calls == [(1, 2), (2, 2)]

    @pytest.mark.parametrize(
        ("damage", "sentence"),
        [
            (lambda text: text[:-40], r"1\.csv: line 4 is broken: it has \d fields instead of 11"),
            (lambda text: text.replace("1000.0;", "fast;", 1), r"line 2, CPU usage \[MHZ\]: 'fast' is not a number"),
            (lambda text: text.replace("1000.0;", "-1;", 1), r"line 2, CPU usage \[MHZ\]: -1 is not a number >= 0"),
            (lambda text: text.replace("1000.0;", "nan;", 1), r"line 2, CPU usage \[MHZ\]: nan is not a number >= 0"),
            (
                lambda text: text.replace("1375308176", "137530817", 1),
                r"line 2, Timestamp \[ms\]: 137530817 lies 14326 days away from the others",
            ),
            (lambda text: text.replace("1000.0;", "1e300;", 1), r"line 2, CPU usage .*: 1e\+300 is above 1e\+08, the"),
            (lambda text: re.sub(r"1375\d+;", "1e300;", text), r"line 2, Timestamp \[ms\]: 1e\+300 is above"),
            (lambda text: text.split("\n", 1)[1], r"line 1: is not the header of a Bitbrains file"),
            (lambda text: HEADER + "\n", r"has a header and no samples"),
            (lambda text: HEADER, r"has a header and no samples"),
            (lambda text: "", r"line 1: is not the header"),
            (lambda text: "\x00\xff" * 50, r"line 1: is not the header"),
        ],
    )
    def test_a_damaged_file_is_named_with_line_and_value(
        self, tmp_path: Path, damage: Callable[[str], str], sentence: str
    ) -> None:
        file = write_raw(tmp_path, [sample(s) for s in range(3)]) / "1.csv"
        file.write_text(damage(file.read_text()), encoding="latin-1")
        with pytest.raises(TraceError, match=sentence) as caught:
            load_trace(f"bitbrains:{tmp_path}")
        assert "\n" not in str(caught.value)
        assert str(tmp_path) in str(caught.value)


class TestConvertedBitbrains:
    def test_rows_become_cores_and_off_samples_nan(self, tmp_path: Path) -> None:
        trace = load_trace(f"bitbrains:{write_parquet(tmp_path)}")
        assert (trace.vm_ids, trace.day_names) == (("3", "7"), ("2013-08-01",))
        assert trace.memory_gib_V.tolist() == [2.0, 0.5]
        assert (trace.cpu_cores_VT[0] == 0.5).all()
        assert np.isnan(trace.cpu_cores_VT[1, :10]).all()
        assert (trace.cpu_cores_VT[1, 10:] == 0.25).all()
        assert trace.io_kbs_VT is not None
        assert trace.io_kbs_VT[:, 10].tolist() == [2, 4]
        assert trace.memory_used_gib_VT is not None
        assert trace.memory_used_gib_VT[:, 10].tolist() == pytest.approx([100 / 1024] * 2)

    def test_the_table_of_vms_must_be_beside_it(self, tmp_path: Path) -> None:
        file = write_parquet(tmp_path)
        (tmp_path / "trace_vms.parquet").unlink()
        with pytest.raises(TraceError, match=r"its table of VMs trace_vms\.parquet is not beside it"):
            load_trace(f"bitbrains:{file}")

    @pytest.mark.parametrize("name", ["trace.parquet", "trace_vms.parquet"])
    @pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
    def test_a_file_cut_short_is_refused(self, tmp_path: Path, name: str, share: float) -> None:
        file = write_parquet(tmp_path)
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: int(share * len(content))])
        with pytest.raises(TraceError, match=rf"{name}: is no complete Parquet file"):
            load_trace(f"bitbrains:{file}")

    @pytest.mark.parametrize(
        ("samples", "vms", "sentence"),
        [
            ({"cpu_mhz": [-5.0] * 2 * DAY}, {}, r"trace\.parquet, cpu_mhz, row 0: -5 is not a number >= 0"),
            ({"cpu_mhz": [1.0, None] * DAY}, {}, r"cpu_mhz, row 1: nan is not a number >= 0"),
            ({"cpu_mhz": ["fast"] * 2 * DAY}, {}, r"cpu_mhz: holds string, numbers are needed"),
            ({"vm": [3] * DAY + [8] * DAY}, {}, r"vm: 8 is not in trace_vms\.parquet"),
            ({"slot": [10**6] * 2 * DAY}, {}, r"slot: 1000000 lies beyond 400 days"),
            ({}, {"cores": [2, 0]}, r"trace_vms\.parquet, cores of VM 7: 0 is not above 0"),
            ({}, {"vm": [3, 3]}, r"trace_vms\.parquet, vm: 3 is there twice"),
            ({"cpu_mhz": [1.0, 1e300] * DAY}, {}, r"cpu_mhz, row 1: 1e\+300 is above 1e\+08, the most"),
            ({}, {"cores": [2, 10**6]}, r"trace_vms\.parquet, cores, row 1: 1e\+06 is above 4096, the most"),
        ],
    )
    def test_a_wrong_value_is_named(self, tmp_path: Path, samples: dict, vms: dict, sentence: str) -> None:
        with pytest.raises(TraceError, match=sentence):
            load_trace(f"bitbrains:{write_parquet(tmp_path, samples, vms)}")

    def test_large_ids_stay_apart(self, tmp_path: Path) -> None:
        """From a million on, two VMs had the id 1e+06."""
        ids = [1_000_000, 1_000_001]
        file = write_parquet(tmp_path, {"vm": np.repeat(ids, DAY).tolist()}, {"vm": ids})
        assert load_trace(f"bitbrains:{file}").vm_ids == ("1000000", "1000001")

    def test_a_missing_column_is_named(self, tmp_path: Path) -> None:
        file = write_parquet(tmp_path)
        pq.write_table(pq.read_table(file).drop_columns(["slot"]), file)
        with pytest.raises(TraceError, match="has no column 'slot'"):
            load_trace(f"bitbrains:{file}")


class TestWorkloads:
    @pytest.mark.parametrize(
        ("workload", "sentence"),
        [
            (
                "bitbrain:x",
                "'bitbrain:x' is unknown; it must be synthetic, bitbrains:PATH or planetlab:PATH .or skew, ",
            ),
            ("azure:x", "'azure:x' is unknown"),
            ("bitbrains:", "names no path"),
            ("synthetic:5", "is unknown"),
            ("bitbrains:{empty}/missing", "missing: there is no such file or folder"),
            ("planetlab:{empty}/missing", "missing: there is no such file or folder"),
            ("bitbrains:{empty}", r"holds no \.csv file"),
            ("planetlab:{empty}", "holds no day folder"),
            ("planetlab:{empty_day}", "is an empty day folder"),
            ("bitbrains:{text}", r"is neither a folder of raw CSV files nor a \.parquet file"),
            ("planetlab:{text}", r"is no complete \.npz file"),
        ],
    )
    def test_what_cannot_be_loaded_is_told(self, tmp_path: Path, workload: str, sentence: str) -> None:
        empty, empty_day, text = tmp_path / "empty", tmp_path / "20110303", tmp_path / "notes.txt"
        empty.mkdir()
        empty_day.mkdir()
        text.write_text("hello")
        with pytest.raises(TraceError, match=sentence):
            load_trace(workload.format(empty=empty, empty_day=empty_day, text=text))

    def test_synthetic_depends_on_the_seed(self) -> None:
        first, again, other = (load_trace("synthetic", seed=seed) for seed in (1, 1, 2))
        assert np.array_equal(first.cpu_cores_VT, again.cpu_cores_VT)
        assert not np.array_equal(first.cpu_cores_VT, other.cpu_cores_VT)


class TestParts:
    def test_vms_are_split_about_70_10_20_and_never_twice(self) -> None:
        parts = split_vms(make_trace(vms=2000, days=1))
        assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(2000))
        assert [len(parts[name]) / 2000 for name in ("train", "validation", "test")] == pytest.approx(
            [0.7, 0.1, 0.2], abs=0.03
        )

    def test_more_vms_do_not_reshuffle_the_others(self) -> None:
        few, many = split_vms(make_trace(vms=50, days=1)), split_vms(make_trace(vms=500, days=1))
        for name, vms in few.items():
            assert set(vms.tolist()) == {v for v in many[name].tolist() if v < 50}

    def test_another_seed_splits_otherwise(self) -> None:
        trace = make_trace(vms=100, days=1)
        assert split_vms(trace, seed=1)["test"].tolist() != split_vms(trace, seed=2)["test"].tolist()

    @pytest.mark.parametrize(("days", "counts"), [(30, (19, 3, 8)), (14, (9, 1, 4)), (8, (5, 1, 2)), (3, (1, 1, 1))])
    def test_days_are_split_in_time_order(self, days: int, counts: tuple[int, int, int]) -> None:
        parts = split_days(make_trace(vms=3, days=days))
        assert tuple(len(parts[name]) for name in ("train", "validation", "test")) == counts
        assert parts["train"] + parts["validation"] + parts["test"] == tuple(range(days))

    @given(st.integers(3, 400))
    def test_no_part_is_ever_without_days(self, days: int) -> None:
        # Counts do not depend on the samples: a trace of many days need not be long.
        trace = make_trace(vms=3, days=1)
        object.__setattr__(trace, "day_names", tuple(str(d) for d in range(days)))
        object.__setattr__(trace, "is_usable_VD", np.ones((3, days), dtype=bool))
        parts = split_days(trace)
        assert all(parts.values())
        assert parts["train"] + parts["validation"] + parts["test"] == tuple(range(days))

    def test_days_that_few_vms_have_are_skipped(self) -> None:
        trace = make_trace(vms=10, days=5)
        cpu_VT = trace.cpu_cores_VT.copy()
        cpu_VT[2:, DAY : 2 * DAY] = np.nan  # only two VMs have day 1
        object.__setattr__(trace, "cpu_cores_VT", cpu_VT)
        assert sum(split_days(trace).values(), ()) == (0, 2, 3, 4)

    def test_a_day_counts_with_nine_tenths_of_its_samples(self) -> None:
        assert make_trace(present=0.905).is_usable_VD.all()
        assert not make_trace(present=0.895).is_usable_VD.any()

    @pytest.mark.parametrize(
        ("trace", "sentence"),
        [
            (make_trace(days=2), r"need 3 usable days or more, it has 2 \(day-0, day-1\)"),
            (make_trace(days=1, present=0.7), r"shorter than a day: no VM has more than 202 of the 288"),
            (make_trace(vms=2), r"on no day do 3 VMs have 90 % of their samples; the best day has 2 such VMs of 2"),
            (make_trace(cpu_cores=0.001), r"the part train has no active VM"),
        ],
    )
    def test_a_trace_that_cannot_be_split_says_why(self, trace: Trace, sentence: str) -> None:
        with pytest.raises(TraceError, match=sentence):
            part(trace, "train")

    def test_parts_hold_active_vms_of_their_days(self) -> None:
        trace = make_trace(vms=100)
        train, test = part(trace, "train"), part(trace, "test")
        assert not set(train.vms.tolist()) & set(test.vms.tolist())
        assert max(train.days) < min(test.days)
        assert train.active_vms(0).tolist() == train.vms.tolist()

    def test_all_of_one_day_can_be_simulated(self) -> None:
        whole = part(make_trace(vms=4, days=1), "all")
        assert (len(whole.vms), whole.days) == (4, (0,))

    def test_an_unknown_part_is_refused(self) -> None:
        with pytest.raises(TraceError, match="'tset' is none of train, validation, test, all"):
            part(make_trace(), "tset")


class TestRealData:
    """The loaders against the published excerpts and the converted files, where they are at hand."""

    def test_raw_and_converted_bitbrains_agree(self, shared_dir: Path) -> None:
        raw = load_trace(f"bitbrains:{shared_dir / 'data/raw-samples/bitbrains'}")
        converted = load_trace(f"bitbrains:{shared_dir / 'data/bitbrains_rnd_201308.parquet'}")
        assert (raw.vm_count, converted.vm_count, converted.day_count) == (10, 400, 30)
        assert converted.day_names[0] == raw.day_names[0] == "2013-08-01"
        assert raw.io_kbs_VT is not None
        assert converted.io_kbs_VT is not None
        assert raw.memory_used_gib_VT is not None
        assert converted.memory_used_gib_VT is not None
        for v, vm_id in enumerate(raw.vm_ids):
            w = converted.vm_ids.index(vm_id)
            assert raw.vcpus_V[v] == converted.vcpus_V[w]
            assert raw.memory_gib_V[v] == pytest.approx(converted.memory_gib_V[w], rel=1e-4)
            # The converted file is rounded to whole MHz (a core has at least 2400) and KB/s.
            assert raw.cpu_cores_VT[v, :200] == pytest.approx(converted.cpu_cores_VT[w, :200], abs=0.51 / 2400)
            assert raw.io_kbs_VT[v, :200] == pytest.approx(converted.io_kbs_VT[w, :200], abs=1.01)
            used = raw.memory_used_gib_VT[v, :200], converted.memory_used_gib_VT[w, :200]
            assert used[0] == pytest.approx(used[1], abs=0.51 / 1024)

    def test_the_excerpt_is_too_short_for_an_episode_and_says_so(self, shared_dir: Path) -> None:
        raw = load_trace(f"bitbrains:{shared_dir / 'data/raw-samples/bitbrains'}")
        with pytest.raises(TraceError, match="shorter than a day: no VM has more than 200 of the 288"):
            part(raw, "train")

    def test_converted_bitbrains_has_the_expected_days_and_vms(self, shared_dir: Path) -> None:
        trace = load_trace(f"bitbrains:{shared_dir / 'data/bitbrains_rnd_201308.parquet'}")
        assert split_days(trace)["test"] == tuple(range(22, 30))
        assert np.nanmax(trace.cpu_cores_VT / trace.vcpus_V[:, None]) == 1
        assert np.isnan(trace.cpu_cores_VT).mean() == pytest.approx(0.008, abs=0.002)
        assert [len(part(trace, name).vms) for name in ("train", "validation", "test")] == [280, 39, 81]

    def test_raw_and_converted_planetlab_agree(self, shared_dir: Path) -> None:
        raw = load_trace(f"planetlab:{shared_dir / 'data/raw-samples/planetlab'}")
        converted = load_trace(f"planetlab:{shared_dir / 'data/planetlab_cpu.npz'}")
        assert converted.day_count == 8
        rows = [converted.vm_ids.index(vm_id) for vm_id in raw.vm_ids]
        day = converted.day_names.index("2011-03-03")
        assert len(rows) == 20
        assert np.array_equal(raw.vcpus_V, converted.vcpus_V[rows])
        assert np.array_equal(raw.cpu_cores_VT, converted.cpu_cores_VT[rows, day * DAY : (day + 1) * DAY])
