"""The sentence corpora of a frequency-tagging study, and a tiny text model that reads them."""

from __future__ import annotations

import numpy as np
import pytest

import brainenc as be
from brainenc.frequency import orderings, rates, scramble, select_units, sequence_activations, tag


@pytest.fixture
def corpora(real_data):
    real_data("hftp_corpora")
    return be.load("hftp_corpora").stimuli


def test_counts_and_units(real_data, corpora):
    folder = real_data("hftp_corpora")
    english, chinese = corpora.where(language="english"), corpora.where(language="chinese")
    assert len(english) == len(chinese) == 50
    assert {len(t.split()) for t in english.table["text"]} == {4} and {len(t) for t in chinese.table["text"]} == {4}
    assert english.load("english_01") == "fat rat sensed fear"
    lines = (folder / "Chinese_syntactic_corpus.csv").read_text(encoding="utf-8").split()
    assert list(chinese.table["text"]) == lines and chinese.table["unit"].unique().tolist() == ["character"]


def test_our_own_sentences_are_others(corpora):
    from brainenc.simulate.sentences import sentences

    for language in ("english", "chinese"):
        for seed in range(5):
            assert not set(sentences(200, seed, language=language).table["text"]) & set(corpora.table["text"])


@pytest.mark.parametrize("language", ["english", "chinese"])
def test_a_tiny_model_reads_them(corpora, language):
    pytest.importorskip("transformers")
    config = {"model_type": "gpt2", "vocab_size": 300, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 1536, "bos_token_id": 1, "eos_token_id": 2}
    options = {"weights": "random", "model_kwargs": {"config": config, "max_tokens": 1536}}
    sentences = corpora.where(language=language)
    series = [sequence_activations(orderings(s, 6), "transformers:tiny", "h.*.mlp.act", **options) for s in (sentences, scramble(sentences))]
    found = tag(series[0], None, rates(4))
    assert found.n_times == 200 and list(found.tags["bin"]) == [50, 100] and found.n_channels == 128
    assert np.isfinite(found["p_t2circ"]).all() and np.isnan(found["itpc"][:, 1]).all()
    chosen = select_units(*series, test="t2circ", n=199, halves=5)
    assert chosen.counts("layer")["n"].tolist() == [64, 64]
