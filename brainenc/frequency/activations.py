"""What a text model does while it reads a sequence: one value a unit and neuron, found through the characters that tokens cover."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.errors import InputError
from brainenc.features import hooks
from brainenc.features.adapters import Network, build
from brainenc.features.extraction import pick_device
from brainenc.features.words import TokenReader, Unit, texts_of
from brainenc.frequency.texts import unit_spans
from brainenc.nouns import FeatureSpace, StimulusSet
from brainenc.nouns.tables import need_column

Spans = Sequence[tuple[int, int]]


def sequence_activations(
    stimuli: StimulusSet, model: str, layers: str | Sequence[str] = "default", *, average: int = 1, unit_rate: float = 4.0,
    weights: str | Path | None = "pretrained", model_kwargs: Mapping[str, Any] | None = None, device: str = "auto", seed: int = 0,
    progress: bool | None = None,
) -> dict[str, FeatureSpace]:  # fmt: skip
    """Return the activations of a text model over sequences, one row a unit, one `FeatureSpace` a layer.

    A sequence is read once, as a whole. A unit's activation is the mean over the tokens that cover any of its characters, by the tokenizer's
    own offsets; a token that covers two units counts for both, and how many do is in the provenance.

    Parameters
    ----------
    stimuli : StimulusSet of kind text
        From `brainenc.frequency.orderings`: ``text``, and ``words``, the units.
    model : str
        A text model of the catalogue, e.g. ``"transformers:gpt2"``.
    layers : str or list of str
        Names or globs, see `brainenc.extract`.
    average : int
        Average over so many sequences at a time: the "trials" are then means, and fewer.
    unit_rate : float
        Units a second, the sampling rate of the series.
    weights, model_kwargs, device
        As for `brainenc.extract`.
    seed : int
        Of random weights.
    progress : bool, optional

    Returns
    -------
    dict of str to FeatureSpace
        Keys ``"model/layer"``; (n_sequences / average · n_units, n_features) float32; ``samples``: sequence, position, time (s).

    Raises
    ------
    InputError
        A model whose tokenizer tells no offsets, a sequence longer than the model can read, sequences of unequal length, or a unit that no
        token covers.
    """
    texts, units = _sequences(stimuli, average)
    adapter = build(model, kind="text", weights=weights, model_kwargs=model_kwargs, seed=seed)
    if not isinstance(adapter, Network) or not isinstance(adapter.reader, TokenReader):
        raise InputError("this model's tokenizer does not tell which characters a token covers", where=model, fix="choose a model of transformers")
    known = adapter.layers()
    names = [name for name in hooks.match(layers, known, adapter.default_layers, model=model)]
    odd = [name for name in names if known[name].kind != "words"]
    if odd:
        raise InputError("a layer does not answer each token", where=model, got=", ".join(odd))
    adapter.to(pick_device(device))
    gather = _Gather(len(texts) // average, len(units[0]), average)
    for i in _watched(range(len(texts)), progress):
        ids, spans = _tokens(adapter.reader, texts[i], i)
        weights_of = _weights(spans, unit_spans(texts[i], units[i]), f"sequence {i}")
        gather.shared += int(((weights_of > 0).sum(axis=0) > 1).sum())
        gather.tokens += len(ids)
        adapter.run([Unit(tuple(ids), tuple(stop > at for at, stop in spans))], names, gather.taker(weights_of, i))
    facts = {
        "sampling_rate": float(unit_rate), "model": adapter.identity, "n_sequences": len(texts), "average": average, "n_tokens": gather.tokens,
        "n_tokens_of_several_units": gather.shared, "stimuli": stimuli.name,
    }  # fmt: skip
    samples = _samples(stimuli, units, average, unit_rate)
    return {f"{adapter.name}/{n}": FeatureSpace(gather.sums[n], samples, name=f"{adapter.name}/{n}", rows="sample", provenance=facts) for n in names}


def pool_tokens(values: npt.ArrayLike, token_spans: Spans, units: Spans) -> npt.NDArray[np.floating[Any]]:
    """Return the mean over the tokens that cover any character of each unit: (n_units, n_features) of (n_tokens, n_features).

    Parameters
    ----------
    values : array_like of shape (n_tokens, n_features)
    token_spans : sequence of (first, one past the last)
        Characters of each token, as fast tokenizers give them; special tokens (0, 0) belong to no unit.
    units : sequence of (first, one past the last)
        From `brainenc.frequency.unit_spans`.

    Raises
    ------
    InputError
        Values and tokens differ in number, or no token covers a unit.

    Examples
    --------
    >>> pool_tokens([[1.0], [3.0], [5.0]], [(0, 2), (2, 4), (5, 6)], [(0, 4), (5, 6)]).ravel().tolist()
    [2.0, 5.0]
    """
    array = np.asarray(values)
    if array.ndim != 2 or len(array) != len(token_spans):
        raise InputError("values and tokens differ in number", where="pool_tokens", expected=f"{len(token_spans)} rows", got=f"shape {array.shape}")
    weights = _weights(token_spans, units, "pool_tokens")
    return np.asarray(weights.astype(np.result_type(array.dtype, np.float32)) @ array)


@dataclass(eq=False)
class _Gather:
    """Sums over the sequences of a group, (n_groups · n_units, n_features) a layer."""

    n_groups: int
    n_units: int
    average: int
    sums: dict[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    shared: int = 0
    tokens: int = 0

    def taker(self, weights: npt.NDArray[np.float64], sequence: int) -> Callable[..., None]:
        """Return what takes a layer's activations (1, n_tokens, n_features) of one sequence."""
        import torch

        matrix = torch.from_numpy(weights.astype(np.float32) / self.average)
        first = (sequence // self.average) * self.n_units

        def take(name: str, tensor: Any, mask: Any) -> None:
            pooled = (matrix.to(tensor.device) @ tensor[0].float()).cpu().numpy()
            store = self.sums.setdefault(name, np.zeros((self.n_groups * self.n_units, pooled.shape[1]), dtype=np.float32))
            store[first : first + self.n_units] += pooled

        return take


def _sequences(stimuli: StimulusSet, average: int) -> tuple[list[str], list[list[str]]]:
    texts = texts_of(stimuli)
    units = [[str(word) for word in words] for words in need_column(stimuli.table, "words", f"StimulusSet {stimuli.name!r}")]
    lengths = {len(one) for one in units}
    if len(lengths) != 1:
        raise InputError("sequences differ in their number of units", where=f"StimulusSet {stimuli.name!r}", got=sorted(lengths))
    if isinstance(average, bool) or not isinstance(average, int) or average < 1 or len(texts) % average:
        raise InputError("sequences do not fall into groups", where="average", expected=f"a divisor of {len(texts)} sequences", got=repr(average))
    return texts, units


def _tokens(reader: TokenReader, text: str, sequence: int) -> tuple[list[int], list[tuple[int, int]]]:
    ids, spans = reader.tokenize(text)
    if len(ids) > reader.max_tokens:
        raise InputError(
            "a sequence is longer than the model can read", where=f"sequence {sequence}", expected=f"at most {reader.max_tokens} tokens", got=len(ids),
            fix='use fewer sentences (orderings(..., n_sentences=)), or raise model_kwargs={"max_tokens": ...} where the model allows it',
        )  # fmt: skip
    return ids, spans


def _weights(tokens: Spans, units: Spans, where: str) -> npt.NDArray[np.float64]:
    """Return (n_units, n_tokens): rows sum to one over the tokens that share a character with the unit."""
    t, u = np.asarray(tokens, dtype=np.int64).reshape(-1, 2), np.asarray(units, dtype=np.int64).reshape(-1, 2)
    shared = np.minimum(t[None, :, 1], u[:, None, 1]) > np.maximum(t[None, :, 0], u[:, None, 0])
    n = shared.sum(axis=1)
    if (n == 0).any():
        lost = np.flatnonzero(n == 0)
        raise InputError(f"no token covers {len(lost)} of {len(u)} units", where=where, got=f"unit {lost[0]} at characters {tuple(u[lost[0]])}")
    return shared / n[:, None]


def _samples(stimuli: StimulusSet, units: list[list[str]], average: int, unit_rate: float) -> pd.DataFrame:
    n_groups, n_units = len(units) // average, len(units[0])
    position = np.tile(np.arange(n_units), n_groups)
    table = pd.DataFrame({"sequence": np.repeat(np.arange(n_groups), n_units), "position": position, "time": position / unit_rate})
    if average == 1:
        table["unit"] = [word for words in units for word in words]
    if "n_units" in stimuli.table.columns and stimuli.table["n_units"].nunique() == 1:
        table["place"] = position % int(stimuli.table["n_units"].iloc[0])
    return table


def _watched(rows: range, progress: bool | None) -> Any:
    from tqdm import tqdm

    return tqdm(rows, desc="sequences", disable=None if progress is None else not progress)
