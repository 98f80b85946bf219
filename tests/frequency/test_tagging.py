"""The verb: right bins, and every statistic against its definition."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import brainenc as be
from brainenc.core.errors import InputError, NotFoundError
from brainenc.frequency import against_neighbours, as_series, rayleigh, t2_circ, tag

FS, T = 16.0, 64  # 4 s: bins of 0.25 Hz


def cosine(f, amplitude=1.0, phase=0.0, n=T, fs=FS):
    return amplitude * np.cos(2 * np.pi * f * np.arange(n) / fs + phase)


@pytest.fixture
def noise(rng):
    return rng.standard_normal((8, 7, T))


class TestBins:
    def test_a_target_is_read_at_its_own_frequency(self, noise):
        found = tag(noise, FS, {"sentence": 1.0, "phrase": 2.0})
        assert list(found.tags["bin"]) == [4, 8]
        mean = np.fft.rfft(noise.mean(axis=0))
        np.testing.assert_allclose(found["amplitude"], np.abs(mean[:, [4, 8]]) * 2 / T, atol=1e-12)
        np.testing.assert_allclose(found["phase"], np.angle(mean[:, [4, 8]]), atol=1e-12)

    def test_amplitude_and_phase_of_a_planted_cosine(self):
        x = np.stack([cosine(2, 3.0, 0.7), cosine(8, 1.5)])
        found = tag(x, FS, [2.0, 8.0])
        np.testing.assert_allclose(found["amplitude"], [[3, 0], [0, 1.5]], atol=1e-12)
        assert found["phase"][0, 0] == pytest.approx(0.7) and np.isnan(found["phase"][:, 1]).all()
        assert found.tags["degrees"].tolist() == [2, 1] and "one real degree" in found.tags["note"][1]

    def test_between_bins_is_refused_and_the_lengths_that_fit_are_named(self, noise):
        with pytest.raises(InputError, match=r"falls between two bins.*1 Hz has 3\.75 cycles.*48 samples \(3 s\) or 64 samples \(4 s\).*trim=True"):
            tag(noise[..., :60], FS, 1.0)
        with pytest.raises(InputError, match="No length up to twice"):
            tag(noise, FS, [1.0, 0.5 * np.sqrt(2)])

    def test_trim_cuts_to_whole_cycles_of_all_targets(self, noise):
        found = tag(noise[..., :60], FS, [1.0, 2.0], trim=True)
        assert found.n_times == 48 and found.provenance["n_times_cut"] == 12
        again = tag(noise[..., :48], FS, [1.0, 2.0])
        np.testing.assert_array_equal(found["p"], again["p"])

    def test_tolerance_is_in_bins(self, noise):
        off = 1.0 + 0.004 / T * FS  # 0.004 of a bin
        with pytest.raises(InputError, match="between two bins"):
            tag(noise, FS, off)
        assert tag(noise, FS, off, tolerance=0.01).tags["bin"][0] == 4

    @pytest.mark.parametrize("wrong", [8.5, 0.0, -1.0, [1.0, 1.0], [], {"a": 1.0, "b": 1.0}, float("nan")])
    def test_impossible_targets(self, noise, wrong):
        with pytest.raises(InputError):
            tag(noise, FS, wrong)

    def test_the_rate_of_the_units_cannot_be_seen(self):
        with pytest.raises(InputError, match="at most 2 Hz.*the rate of the units"):
            tag(np.random.default_rng(0).standard_normal((4, 3, 200)), 4.0, 4.0)

    def test_harmonics_stop_at_nyquist_and_are_not_other_targets(self, noise):
        found = tag(noise, FS, {"sentence": 1.0, "phrase": 2.0, "word": 4.0}, harmonics=3)
        assert found.tags[["level", "harmonic", "bin"]].values.tolist() == [
            ["sentence", 1, 4], ["sentence", 3, 12], ["phrase", 1, 8], ["phrase", 3, 24], ["word", 1, 16], ["word", 2, 32]
        ]  # fmt: skip
        assert found.provenance["harmonics_that_are_other_targets"] == [2.0, 4.0] and found.provenance["harmonics_above_nyquist"] == [12.0]


class TestStatistics:
    def test_neighbours(self, noise):
        found = tag(noise, FS, {"a": 2.0, "b": 2.75}, neighbours=3, skip=1)
        size = np.abs(np.fft.rfft(noise.mean(axis=0)))
        near = [4, 5, 6, 10, 12]  # 8 ± 2 … 4 without the other target's bin 11
        np.testing.assert_allclose(found["snr"][:, 0], size[:, 8] / size[:, near].mean(axis=1))
        np.testing.assert_allclose(found["z"][:, 0], (size[:, 8] - size[:, near].mean(axis=1)) / size[:, near].std(axis=1, ddof=1))
        f = size[:, 8] ** 2 / (size[:, near] ** 2).mean(axis=1)
        np.testing.assert_allclose(found["p_neighbours"][:, 0], stats.f.sf(f, 2, 10))

    def test_neighbours_of_a_power_law(self, noise):
        size = np.abs(np.fft.rfft(noise.mean(axis=0)))
        near = np.array([3, 4, 5, 6, 10, 11, 12, 13])
        expected = size[:, 8] / (size[:, near] * (near / 8) ** 0.7).mean(axis=1)
        np.testing.assert_allclose(tag(noise, FS, 2.0, neighbours=4, slope=1.4)["snr"][:, 0], expected)

    def test_the_slope_of_a_power_law_is_found(self, rng):
        f = np.fft.rfftfreq(512)
        size = np.r_[0, f[1:] ** -0.75]
        x = np.fft.irfft(size * (rng.standard_normal((4000, 257)) + 1j * rng.standard_normal((4000, 257))))
        flat, fitted = (tag(x, 64.0, 1.0, slope=slope)["snr"].mean() for slope in (0.0, "fit"))
        assert flat < 0.9 and fitted == pytest.approx(1.03, abs=0.03)

    def test_itpc_and_ppc(self, noise):
        found = tag(noise, FS, [2.0, 8.0])
        phase = np.angle(np.fft.rfft(noise)[..., 8])
        np.testing.assert_allclose(found["itpc"][:, 0], np.abs(np.exp(1j * phase).mean(axis=0)))
        pairs = [np.cos(phase[i] - phase[j]) for i, j in itertools.combinations(range(8), 2)]
        np.testing.assert_allclose(found["ppc"][:, 0], np.mean(pairs, axis=0), atol=1e-12)
        for name in ("itpc", "ppc", "p_rayleigh", "phase"):
            assert np.isnan(found[name][:, 1]).all()

    def test_t2circ_is_an_anova_of_real_and_imaginary_parts(self, noise):
        """n T²circ: mean square of the mean over mean square of the scatter, both parts pooled."""
        z = np.fft.rfft(noise)[..., 8]
        parts = np.stack([z.real, z.imag])
        between = 8 * (parts.mean(axis=1) ** 2).sum(axis=0) / 2
        within = parts.var(axis=1, ddof=1).mean(axis=0)
        found = tag(noise, FS, 2.0)
        np.testing.assert_allclose(found["f"][:, 0], between / within)
        np.testing.assert_allclose(found["p_t2circ"][:, 0], stats.f.sf(between / within, 2, 14))
        np.testing.assert_allclose(found["effect"][:, 0], np.abs(z.mean(axis=0)) / np.sqrt(within))

    def test_at_nyquist_t2circ_is_the_t_test(self, noise):
        found = tag(noise, FS, 8.0)
        t = stats.ttest_1samp((noise * (-1.0) ** np.arange(T)).sum(axis=-1), 0.0)
        np.testing.assert_allclose(found["p_t2circ"][:, 0], t.pvalue)
        np.testing.assert_allclose(found["f"][:, 0], t.statistic**2)

    def test_at_nyquist_noise_has_an_snr_of_one(self, rng):
        found = tag(rng.standard_normal((20_000, T)), FS, [2.0, 8.0], neighbours=10)
        np.testing.assert_allclose(found["snr"].mean(axis=0), 1.02, atol=0.03)
        np.testing.assert_allclose(found["z"].mean(axis=0), 0.03, atol=0.05)

    def test_rayleigh_against_simulation(self, rng):
        for n in (5, 8, 20, 60):
            r = np.abs(np.exp(2j * np.pi * rng.random((200_000, n))).mean(axis=1))
            for level in (0.2, 0.05, 0.01):
                edge = np.quantile(r, 1 - level)
                assert rayleigh(edge, n) == pytest.approx(level, rel=0.04, abs=0.0015)
            assert 0.001 * 0.8 < rayleigh(np.quantile(r, 0.999), n) < 0.004
        assert np.isnan(rayleigh(0.9, 4)) and rayleigh(1.0, 10) < 1e-4 and rayleigh(0.0, 10) == pytest.approx(1.0)

    def test_fdr_is_over_channels_and_tags(self, noise):
        found = tag(noise, FS, [1.0, 2.0], test="rayleigh")
        np.testing.assert_allclose(found["q"], stats.false_discovery_control(found["p_rayleigh"].ravel()).reshape(7, 2))

    def test_draws_repeat_and_p_max_bounds_p(self, noise):
        found = [tag(noise, FS, [1.0, 2.0, 8.0], n=200, test="shift", seed=s) for s in (0, 0, 1)]
        np.testing.assert_array_equal(found[0]["p"], found[1]["p"])
        assert (found[0]["p"] != found[2]["p"]).any()
        assert (found[0]["p_max"] >= found[0]["p_shift"] - 1e-12).all()
        assert found[0]["p"].min() >= 1 / 201

    def test_few_signs_are_all_of_them(self, noise):
        found = tag(noise[:4], FS, 2.0, test="sign", n=1000)
        assert found.provenance["n"] == 15
        z = np.fft.rfft(noise[:4])[..., 8]
        flips = np.array(list(itertools.product([1, -1], repeat=4)))
        drawn = np.abs(np.einsum("dj,jc->dc", flips, z)) ** 2
        np.testing.assert_allclose(found["p"][:, 0], (drawn >= np.abs(z.sum(axis=0)) ** 2 * (1 - 1e-9)).mean(axis=0))

    def test_statistics_on_their_own(self):
        with pytest.raises(InputError, match="two trials"):
            t2_circ([1j])
        with pytest.raises(InputError, match="imaginary"):
            t2_circ([1 + 1j, 2], real=True)
        assert np.isnan(against_neighbours([1.0], [[1.0]])["p"]).all()


class TestInputs:
    def test_series_of_trials(self, noise):
        rows = np.moveaxis(noise, 1, 2).reshape(-1, 7)
        samples = pd.DataFrame({"trial": np.repeat(np.arange(8), T), "condition": np.repeat(["x", "y"], 4 * T)})
        brain = be.Responses(rows, samples, {"channel": list("abcdefg"), "roi": ["A"] * 3 + ["B"] * 4}, sampling_rate=FS)
        direct = tag(noise, FS, [1.0, 2.0])
        np.testing.assert_allclose(tag(brain, None, [1.0, 2.0])["p"], direct["p"], atol=1e-12)
        part = tag(brain.rows(condition="y"), None, [1.0, 2.0])
        np.testing.assert_allclose(part["p"], tag(noise[4:], FS, [1.0, 2.0])["p"], atol=1e-12)
        assert list(part.where(roi="B").channels["channel"]) == list("defg")
        mixed = be.Responses(rows.reshape(8, T, 7).transpose(1, 0, 2).reshape(-1, 7), pd.DataFrame({"trial": np.tile(np.arange(8), T)}), sampling_rate=FS)
        np.testing.assert_allclose(tag(mixed, None, [1.0, 2.0])["p"], direct["p"], atol=1e-12)

    def test_series_cut_by_events(self, noise):
        gap = np.zeros((8, 7, 10))
        rows = np.moveaxis(np.concatenate([gap, noise], axis=2), 1, 2).reshape(-1, 7)
        run = np.repeat([1, 2], 4 * (T + 10))
        events = {"onset": np.tile(np.arange(4) * (T + 10) + 10, 2) / FS, "duration": T / FS, "stimulus_id": list("abcdefgh"), "run": np.repeat([1, 2], 4)}
        brain = be.Responses(rows, {"run": run}, sampling_rate=FS, events=pd.DataFrame(events))
        np.testing.assert_allclose(tag(brain, None, 2.0)["p"], tag(noise, FS, 2.0)["p"], atol=1e-12)
        late = be.Responses(rows, {"run": run}, sampling_rate=FS, events=pd.DataFrame(events).assign(onset=18.0))
        with pytest.raises(InputError, match="beyond its run"):
            tag(late, None, 2.0)

    def test_epochs_of_sensors_and_of_contacts(self, noise):
        times = np.arange(T) / FS - 0.5
        space = be.SensorSpace({"channel": [f"s{i}" for i in range(7)]}, times)
        brain = be.Responses(noise.reshape(8, -1), {"stimulus_id": list("abcdefgh")}, space=space)
        direct = tag(noise, FS, 2.0)
        np.testing.assert_allclose(tag(brain, None, 2.0)["p"], direct["p"], atol=1e-12)
        table = pd.DataFrame({"channel": np.tile([f"s{i}" for i in range(7)], T), "time": np.repeat(times, 7)})
        contacts = be.Responses(noise.transpose(0, 2, 1).reshape(8, -1), {"stimulus_id": list("abcdefgh")}, table, be.ContactSpace(table))
        found = tag(contacts, None, 2.0)
        np.testing.assert_allclose(found["p"], direct["p"], atol=1e-12)
        assert list(found.channels["channel"]) == [f"s{i}" for i in range(7)]

    def test_activations_and_layers(self, noise):
        space = be.FeatureSpace(np.moveaxis(noise, 1, 2).reshape(-1, 7), {"sequence": np.repeat(np.arange(8), T)}, rows="sample", provenance={"sampling_rate": FS})
        both = tag({"one": space, "two": noise * 2 + 1}, FS, [1.0, 2.0], n=50)
        assert list(both.channels["layer"].value_counts()) == [7, 7] and both.n_channels == 14
        np.testing.assert_allclose(both["p"][:7], both["p"][7:], atol=1e-10)
        np.testing.assert_array_equal(both["p_max"][:7], tag(noise, FS, [1.0, 2.0], n=50)["p_max"])
        with pytest.raises(InputError, match="differ in trials"):
            tag({"one": noise, "two": noise[:, :, :32]}, FS, 2.0)

    def test_what_is_wrong_is_said(self, noise):
        with pytest.raises(InputError, match="sampling rate is not known"):
            tag(noise, None, 2.0)
        space = be.FeatureSpace(np.moveaxis(noise, 1, 2).reshape(-1, 7), {"sequence": np.repeat(np.arange(8), T)}, rows="sample", provenance={"sampling_rate": FS})
        with pytest.raises(InputError, match="contradicts"):
            tag(space, 100.0, 2.0)
        for bad in (noise[0, 0], noise.astype(complex), noise[:0]):
            with pytest.raises(InputError, match="not a set of time series"):
                tag(bad, FS, 2.0)
        with pytest.raises(InputError, match="which frequencies"):
            tag(noise, FS)
        with pytest.raises(InputError, match="at least 5"):
            tag(noise[:3], FS, 2.0, test="rayleigh")
        with pytest.raises(InputError, match="needs draws"):
            tag(noise, FS, 2.0, test="shift")
        with pytest.raises(InputError, match="moved against each other"):
            tag(noise[:1], FS, 2.0, n=10)
        uneven = be.Responses(np.zeros((9, 2)), {"trial": [0] * 5 + [1] * 4}, sampling_rate=4.0)
        with pytest.raises(InputError, match="trials differ in length"):
            as_series(uneven)

    def test_the_input_is_left_alone_and_chunks_do_not_matter(self, noise):
        kept = noise.copy()
        whole = tag(noise, FS, [1.0, 8.0], n=100, detrend=True)
        parts = tag(noise, FS, [1.0, 8.0], n=100, detrend=True, memory=100_000)
        np.testing.assert_array_equal(noise, kept)
        for name in whole.statistics:
            np.testing.assert_allclose(parts[name], whole[name], atol=1e-10)
        np.testing.assert_allclose(parts.spectra, whole.spectra, atol=1e-6)
        single = tag(noise.astype(np.float32), FS, [1.0, 8.0])
        np.testing.assert_allclose(single["f"], tag(noise, FS, [1.0, 8.0])["f"], rtol=1e-3)

    def test_a_silent_or_broken_channel_is_counted_and_nan(self, noise):
        x = noise.copy()
        x[:, 1] = 5.3
        x[2, 3, 4] = np.nan
        found = tag(x, FS, [1.0, 2.0], n=50)
        assert found.provenance["n_constant_channels"] == 1 and found.provenance["n_channels_with_nan"] == 1
        for name, values in found.statistics.items():
            assert np.isnan(values[[1, 3]]).all(), name
        good = [0, 2, 4, 5, 6]
        np.testing.assert_allclose(found["p_max"][good], tag(x[:, good], FS, [1.0, 2.0], n=50)["p_max"])

    def test_one_series_is_tested_against_its_neighbours(self, rng):
        found = tag(rng.standard_normal((3, T)) + cosine(2, 2.0), FS, 2.0)
        assert found.test == "neighbours" and (found["q"] < 0.01).all() and np.isnan(found["t2circ"]).all()


class TestContainer:
    def test_table_save_and_read(self, noise, tmp_path):
        found = tag(noise, FS, {"sentence": 1.0, "phrase": 8.0})
        table = found.to_frame()
        assert len(table) == 14 and {"channel", "level", "frequency", "snr", "itpc", "p", "q"} <= set(table)
        assert table["p"].to_numpy()[3] == found["p"][1, 1]
        again = be.read(found.save(tmp_path / "t"))
        pd.testing.assert_frame_equal(again.to_frame(), table)
        np.testing.assert_array_equal(again.spectra, found.spectra)
        assert "sentence 1 Hz" in repr(again) and "Nyquist" in again._repr_html_()
        with pytest.raises(NotFoundError, match="Did you mean 'snr'"):
            found["snrr"]
        with pytest.raises(ValueError, match="read-only"):
            found["p"][0, 0] = 0.0

    def test_harmonics_together(self, rng):
        x = rng.standard_normal((9, 5, T))
        x[:, 0] += cosine(1, 0.25) + cosine(2, 0.25) + cosine(3, 0.25)
        found = tag(x, FS, {"beat": 1.0}, harmonics=3)
        table = found.combine()
        expected = [stats.combine_pvalues(row).pvalue for row in found["p"]]
        np.testing.assert_allclose(table["p"], expected)
        np.testing.assert_allclose(table["amplitude"], np.sqrt((found["amplitude"] ** 2).sum(axis=1)))
        with pytest.raises(InputError, match="cannot be combined"):
            tag(x, FS, 1.0, n=20, test="shift").combine()
