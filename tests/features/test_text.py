from __future__ import annotations

import numpy as np
import pytest

import brainenc as be
from brainenc.core.errors import DataError, InputError
from brainenc.features import list_layers, split_words
from brainenc.features.words import TextInputs, byte_tokens

pytest.importorskip("transformers")

BERT = {
    "model_type": "bert", "vocab_size": 300, "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 24,
    "max_position_embeddings": 64,
}  # fmt: skip
GPT = {"model_type": "gpt2", "vocab_size": 300, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64}
TEXTS = ["a red ball", "two dogs", "the sea by night", "fünf Äpfel", "up"]


@pytest.fixture
def texts():
    return be.StimulusSet({"stimulus_id": [f"t{i}" for i in range(5)], "text": TEXTS}, kind="text", name="five texts")


def tiny(texts, config=BERT, **options):
    kwargs = {"config": config, **options.pop("model_kwargs", {})}
    return be.extract(texts, "transformers:tiny", weights="random", model_kwargs=kwargs, cache=False, **options)


def plain(config, text):
    """Return the hidden states of one text, computed alone and without padding."""
    import torch
    from transformers import AutoConfig, AutoModel

    from brainenc.features.weights import seeded

    rest = {k: v for k, v in config.items() if k != "model_type"}
    with seeded(0, "transformers", "tiny"):
        model = AutoModel.from_config(AutoConfig.for_model(config["model_type"], **rest)).eval()
    ids = torch.tensor([[b + 3 for b in text.encode()]])
    with torch.inference_mode():
        return [h[0].numpy() for h in model(input_ids=ids, output_hidden_states=True).hidden_states]


@pytest.mark.parametrize(("config", "layer"), [(BERT, "encoder.layer.1"), (GPT, "h.0")])
def test_features_are_pooled_hidden_states_and_padding_does_not_matter(texts, config, layer):
    name = f"transformers:tiny/{layer}"
    at = int(layer.rpartition(".")[2]) + 1
    got = {how: tiny(texts, config, layers=layer, pooling=how)[name].values for how in ("mean", "last", "first", "max", "cls")}
    for i, text in enumerate(TEXTS):
        states = plain(config, text)[at]
        np.testing.assert_allclose(got["mean"][i], states.mean(0), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(got["max"][i], states.max(0), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(got["last"][i], states[-1], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(got["first"][i], states[0], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(got["cls"][i], states[0], rtol=1e-4, atol=1e-5)


def test_default_layers_are_the_blocks(texts):
    assert [k.split("/")[1] for k in tiny(texts)] == ["encoder.layer.0", "encoder.layer.1", "encoder.layer.2"]
    assert [k.split("/")[1] for k in tiny(texts, GPT)] == ["h.0", "h.1"]
    assert list_layers("transformers:tiny", "encoder.layer.*", model_kwargs={"config": BERT}) == {f"encoder.layer.{i}": 16 for i in range(3)}


def test_batch_size_does_not_change_results(texts):
    whole, single = (tiny(texts, batch_size=b)["transformers:tiny/encoder.layer.2"].values for b in (5, 1))
    np.testing.assert_allclose(whole, single, rtol=1e-5, atol=1e-5)


def test_words_are_read_after_the_words_before_them(texts):
    words = split_words(texts)
    assert list(words.ids[:4]) == ["t0.000", "t0.001", "t0.002", "t1.000"]
    assert list(words.table["document"][:4]) == ["t0", "t0", "t0", "t1"]
    got = tiny(words, layers="encoder.layer.1", pooling="last", model_kwargs={"context": 1})["transformers:tiny/encoder.layer.1"]
    ball = list(words.ids).index("t0.002")
    np.testing.assert_allclose(got.values[ball], plain(BERT, "red ball")[2][-1], rtol=1e-4, atol=1e-5)
    mean = tiny(words, layers="encoder.layer.1", pooling="mean", model_kwargs={"context": 5})["transformers:tiny/encoder.layer.1"]
    np.testing.assert_allclose(mean.values[ball], plain(BERT, "a red ball")[2][-4:].mean(0), rtol=1e-4, atol=1e-5)
    first = list(words.ids).index("t1.000")
    np.testing.assert_allclose(mean.values[first], plain(BERT, "two")[2].mean(0), rtol=1e-4, atol=1e-5)


def test_a_context_is_shortened_from_the_left_until_it_fits():
    inputs = TextInputs(["aaaa", "bbbb", "cc"], ["d"] * 3, byte_tokens, context=2, max_tokens=8)
    unit = inputs.unit(2)
    assert bytes(i - 3 for i in unit.ids).decode() == "bbbb cc"
    assert unit.own == (False,) * 5 + (True,) * 2
    with pytest.raises(InputError, match="too many"):
        TextInputs(["a" * 9], ["d"], byte_tokens, max_tokens=8).unit(0)


def test_given_word_lists_are_used():
    stimuli = be.StimulusSet({"stimulus_id": ["s"], "text": ["don't go"], "words": [["don't", "go now"]], "mood": ["bad"]}, kind="text")
    words = split_words(stimuli)
    assert list(words.table["text"]) == ["don't", "go now"]
    assert list(words.table["mood"]) == ["bad", "bad"]


def test_a_local_folder_is_read_with_its_own_tokenizer(texts, tmp_path):
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    vocabulary = {w: i for i, w in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "red", "ba", "##ll", "two", "dog", "##s", "up"])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]")
    fast.save_pretrained(tmp_path / "model")
    torch.manual_seed(1)
    model = BertModel(BertConfig(**{k: v for k, v in {**BERT, "vocab_size": 12}.items() if k != "model_type"})).eval()
    model.save_pretrained(tmp_path / "model")
    got = be.extract(texts, "transformers:mine", "encoder.layer.0", weights=tmp_path / "model", pooling="last", cache=False)
    with torch.inference_mode():
        states = model(input_ids=torch.tensor([[2, 4, 5, 6, 7, 3]]), output_hidden_states=True).hidden_states[1][0].numpy()
    space = got["transformers:mine/encoder.layer.0"]
    np.testing.assert_allclose(space.values[0], states[4], rtol=1e-4, atol=1e-5)  # "##ll", not the closing token
    assert space.provenance["weights"]["source"] == "file"


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"pooling": "none"}, InputError, "unequal numbers"),
        ({"model_kwargs": {"context": 2}}, InputError, "split_words"),
        ({"model_kwargs": {"context": -1}}, InputError, "context"),
        ({"model_kwargs": {"contxt": 2}}, InputError, "Did you mean 'context'"),
        ({"model_kwargs": {"max_tokens": 3}}, InputError, "too many"),
        ({"preprocess": {"size": 3}}, InputError, "not preprocessed"),
        ({"config": {**BERT, "vocab_size": 100}}, InputError, "vocab_size >= 259"),
        ({"config": {"model_type": "nothing"}}, InputError, "cannot read this configuration"),
        ({"config": {"hidden_size": 3}}, InputError, "model_type"),
    ],
    ids=str,
)
def test_senseless_options_are_refused(texts, options, error, says):
    with pytest.raises(error, match=says):
        tiny(texts, **options)


def test_pretrained_names_offline_say_what_to_do(texts):
    with pytest.raises(DataError, match="weights=\"path.*weights=\"random\""):
        be.extract(texts, "transformers:bert-base-uncased", cache=False)
    with pytest.raises(DataError, match="folder"):
        be.extract(texts, "transformers:x", weights=__file__, cache=False)
    with pytest.raises(InputError, match="not a model's name"):
        be.extract(texts, "transformers:../x", cache=False)


def test_texts_must_be_there():
    with pytest.raises(InputError, match="1 of 2 stimuli have no text"):
        tiny(be.StimulusSet({"stimulus_id": ["a", "b"], "text": ["x", " "]}, kind="text"))


def test_the_text_tower_of_toyclip_reads_captions(texts):
    spaces = be.extract(texts, "toyclip", weights="random", cache=False, batch_size=2)
    assert list(spaces)[-1] == "toyclip/text"
    whole = be.extract(texts, "toyclip", weights="random", cache=False, batch_size=5)
    for name, space in spaces.items():
        assert space.values.shape[0] == 5
        np.testing.assert_allclose(space.values, whole[name].values, rtol=1e-4, atol=1e-5)
    assert len({round(float(v), 6) for v in spaces["toyclip/text"].values[:, 0]}) == 5
