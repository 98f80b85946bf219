"""Sequences of sentences, scrambled controls, and activations by the characters that tokens cover."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import brainenc as be
from brainenc.core.errors import InputError
from brainenc.frequency import orderings, pool_tokens, rates, scramble, tag, unit_spans
from brainenc.simulate.sentences import scrambled_order, sentences, units_of


def neighbours(units):
    return {frozenset(pair) for pair in itertools.pairwise(units)}


class TestSequences:
    def test_an_order_has_every_sentence_once_and_seeds_repeat(self):
        english = sentences(50)
        first, again, other = orderings(english, 4), orderings(english, 4), orderings(english, 4, seed=1)
        assert list(first.table["text"]) == list(again.table["text"]) != list(other.table["text"])
        for i in first.ids:
            row = first.table.loc[i]
            assert sorted(row["sentences"]) == sorted(english.ids)
            assert row["words"] == [w for s in row["sentences"] for w in english.load(s).split()] and row["text"].split() == row["words"]
        assert len(set(first.table["text"])) == 4

    def test_chinese_has_no_gaps(self):
        chinese = sentences(9, language="chinese")
        text = orderings(chinese, 1).load("sequence_000")
        assert len(text) == 36 and " " not in text

    def test_longer_and_shorter_sequences(self):
        english = sentences(7)
        long = orderings(english, 2, n_sentences=17).table["sentences"].iloc[1]
        assert len(long) == 17 and sorted(long[:7]) == sorted(long[7:14]) == sorted(english.ids)
        assert len(orderings(english, 1, n_sentences=3).table["words"].iloc[0]) == 12

    def test_unequal_sentences_have_no_rhythm(self):
        bad = be.StimulusSet({"stimulus_id": ["a", "b"], "text": ["one two three four", "one two"]}, kind="text")
        with pytest.raises(InputError, match="number of units"):
            orderings(bad, 1, unit="word")
        with pytest.raises(InputError, match="what is a unit"):
            orderings(bad, 1)

    def test_scrambled_units_are_the_same_without_a_neighbour_pair(self):
        english = sentences(50)
        control = scramble(english)
        seen = set()
        for i in english.ids:
            before, after = english.load(i).split(), control.load(i).split()
            assert sorted(before) == sorted(after) and not neighbours(before) & neighbours(after)
            seen.add(tuple(before.index(w) for w in after))
        assert seen == {(1, 3, 0, 2), (2, 0, 3, 1)}
        paired = zip(orderings(english, 3).table["sentences"], orderings(control, 3).table["sentences"], strict=True)
        assert all(a == b for a, b in paired)

    @pytest.mark.parametrize(("direction", "counts"), [("both", [0, 0, 0, 2, 14, 90, 646]), ("forward", [0, 1, 3, 11, 53, 309, 2119])])
    def test_how_many_orders_there_are(self, direction, counts):
        """Hertzsprung's problem (OEIS A002464), and permutations without i, i + 1 (A000255)."""
        from brainenc.simulate.sentences import _orders

        assert [len(_orders(n, direction)) for n in range(1, 8)] == counts

    def test_where_there_is_no_order_it_says_so(self, rng):
        with pytest.raises(InputError, match=r"no order of 3 units.*at least four.*forward"):
            scrambled_order(3, rng)
        for n in (9, 15):
            assert np.abs(np.diff(scrambled_order(n, rng))).min() > 1

    def test_sentences_are_different_and_of_four_units(self):
        for language in ("english", "chinese"):
            found = sentences(200, 3, language=language)
            assert found.table["text"].nunique() == 200
            assert {len(units_of(t, u)) for t, u in zip(found.table["text"], found.table["unit"], strict=True)} == {4}

    def test_rates(self):
        assert rates(4) == {"sentence": (1.0,), "phrase": (2.0,)}
        assert rates(9)["sentence"] == pytest.approx((4 / 9,)) and rates(9)["phrase"] == pytest.approx([4 / k for k in range(2, 9)])
        with pytest.raises(InputError):
            rates(3)


class TestTokens:
    def test_a_unit_is_the_mean_of_its_tokens(self, rng):
        text, units = "unhappy owl sings", ["unhappy", "owl", "sings"]
        tokens = [(0, 0), (0, 2), (2, 7), (8, 11), (11, 16), (16, 17), (0, 0)]  # a token may begin with the space before it
        values = rng.standard_normal((7, 5))
        pooled = pool_tokens(values, tokens, unit_spans(text, units))
        np.testing.assert_allclose(pooled, [values[1:3].mean(0), values[3], values[4:6].mean(0)], atol=1e-12)

    def test_a_token_of_two_characters_counts_for_both(self):
        pooled = pool_tokens([[1.0], [5.0]], [(0, 2), (2, 3)], unit_spans("画家喝", list("画家喝")))
        assert pooled.ravel().tolist() == [1, 1, 5]

    def test_what_does_not_fit(self):
        with pytest.raises(InputError, match="no token covers 1 of 2"):
            pool_tokens([[1.0]], [(0, 1)], [(0, 1), (1, 2)])
        with pytest.raises(InputError, match="units are not those"):
            unit_spans("a b", ["a", "c"])
        with pytest.raises(InputError, match="goes on"):
            unit_spans("a b c", ["a", "b"])


GPT = {"model_type": "gpt2", "vocab_size": 300, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 512, "bos_token_id": 1, "eos_token_id": 2}
BERT = {
    "model_type": "bert", "vocab_size": 300, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24,
    "max_position_embeddings": 512,
}  # fmt: skip


def hidden(config, ids):
    import torch
    from transformers import AutoConfig, AutoModel

    from brainenc.features.weights import seeded

    rest = {k: v for k, v in config.items() if k != "model_type"}
    with seeded(0, "transformers", "tiny"):
        model = AutoModel.from_config(AutoConfig.for_model(config["model_type"], **rest)).eval()
    with torch.inference_mode():
        return model(input_ids=torch.tensor([ids]), output_hidden_states=True).hidden_states


@pytest.mark.parametrize(("config", "layer"), [(GPT, "h.0"), (BERT, "encoder.layer.0")])
def test_activations_are_those_of_the_model(config, layer):
    pytest.importorskip("transformers")
    from brainenc.features.words import byte_tokens
    from brainenc.frequency import sequence_activations

    sequences = orderings(sentences(9, language="chinese" if config is BERT else "english"), 4, n_sentences=6)
    options = {"weights": "random", "model_kwargs": {"config": config}}
    found = sequence_activations(sequences, "transformers:tiny", layer, **options)[f"transformers:tiny/{layer}"]
    assert found.n_samples == 4 * 24 and found.provenance["sampling_rate"] == 4.0
    for i, key in enumerate(sequences.ids):
        text, units = sequences.load(key), sequences.table.loc[key, "words"]
        ids, spans = byte_tokens(text)
        states = hidden(config, ids)[1][0].numpy()
        start = 0
        for u, word in enumerate(units):
            at = text.index(word, start)
            start = at + len(word)
            mine = [t for t, (a, _) in enumerate(spans) if at <= a < start]
            np.testing.assert_allclose(found.values[24 * i + u], states[mine].mean(axis=0), atol=2e-5)
    halves = sequence_activations(sequences, "transformers:tiny", layer, average=2, **options)[f"transformers:tiny/{layer}"]
    np.testing.assert_allclose(halves.values, found.values.reshape(2, 2, 24, -1).mean(axis=1).reshape(48, -1), atol=1e-5)
    result = tag(found, None, rates(4))
    assert result.n_trials == 4 and result.n_times == 24 and result.n_channels == 16
    assert result["amplitude"][3, 0] == pytest.approx(np.abs(np.fft.rfft(found.values[:, 3].reshape(4, 24).mean(axis=0))[6]) / 12, rel=1e-4)


def test_what_a_model_cannot_read_is_said():
    pytest.importorskip("transformers")
    from brainenc.frequency import sequence_activations

    sequences = orderings(sentences(50), 2)
    with pytest.raises(InputError, match=r"longer than the model can read.*at most 512 tokens"):
        sequence_activations(sequences, "transformers:tiny", weights="random", model_kwargs={"config": GPT})
    with pytest.raises(InputError, match="divisor of 2"):
        sequence_activations(sequences, "transformers:tiny", weights="random", average=3, model_kwargs={"config": GPT})
    with pytest.raises(InputError, match="which characters"):
        sequence_activations(sequences, "toyclip")
