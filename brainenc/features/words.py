"""Texts as networks read them: tokens, contexts, and which tokens belong to the unit that a row stands for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import examples
from brainenc.core.errors import InputError
from brainenc.core.fingerprint import of_json
from brainenc.features.hooks import N_PROBE
from brainenc.nouns.tables import need_column

if TYPE_CHECKING:
    from torch import Tensor

    from brainenc.nouns import StimulusSet

DOCUMENT_COLUMNS = ("document", "story", "run")
Tokenize = Callable[[str], tuple[list[int], list[tuple[int, int]]]]


@dataclass(frozen=True, slots=True)
class Unit:
    """One row ready for a network: token ids, and which of them belong to the row's own text."""

    ids: tuple[int, ...]
    own: tuple[bool, ...]


def split_words(stimuli: StimulusSet) -> StimulusSet:
    """Return one row a word of a set of texts, in reading order, with the text's id in the column ``document``.

    Words come from the column ``words`` (lists of text) where there is one, else from splitting at white space. With
    ``model_kwargs={"context": n}`` a text model then reads each word after the ``n`` words before it in the same document.

    Examples
    --------
    >>> from brainenc import StimulusSet
    >>> list(split_words(StimulusSet({"stimulus_id": ["s"], "text": ["two small cats"]}, kind="text")).ids)
    ['s.000', 's.001', 's.002']
    """
    texts = texts_of(stimuli)
    listed = stimuli.table["words"] if "words" in stimuli.table.columns else [text.split() for text in texts]
    rows = []
    for (stimulus_id, row), words in zip(stimuli.table.iterrows(), listed, strict=True):
        if not len(words) or not all(isinstance(word, str) and word.strip() for word in words):
            raise InputError("a text without words", where=f"stimulus {stimulus_id!r}", got=repr(words))
        kept = {k: v for k, v in row.items() if k not in ("words", "text")}
        rows += [{**kept, "stimulus_id": f"{stimulus_id}.{i:03d}", "text": w, "document": str(stimulus_id)} for i, w in enumerate(words)]
    return replace(stimuli, table=pd.DataFrame(rows), kind="text", name=f"{stimuli.name}, words")


def texts_of(stimuli: StimulusSet) -> list[str]:
    """Return the texts of a set, checked to be text."""
    column = need_column(stimuli.table, "text", f"StimulusSet {stimuli.name!r}")
    bad = [str(i) for i, text in zip(stimuli.ids, column, strict=True) if not isinstance(text, str) or not text.strip()]
    if bad:
        raise InputError(f"{len(bad)} of {len(column)} stimuli have no text", where=f"StimulusSet {stimuli.name!r}", got=examples(bad))
    return [str(text) for text in column]


@dataclass(eq=False)
class TextInputs:
    """Rows of texts as token ids, each with up to ``context`` rows of the same document before it."""

    texts: list[str]
    documents: Sequence[Any]
    tokenize: Tokenize
    context: int = 0
    max_tokens: int = 512

    @property
    def fingerprint(self) -> str:
        """The sha256 of texts, documents and context."""
        return of_json({"texts": self.texts, "documents": [str(d) for d in self.documents], "context": self.context})

    def batch(self, rows: npt.NDArray[np.intp]) -> list[Unit]:
        """Return the token ids of these rows."""
        return [self.unit(int(row)) for row in rows]

    def unit(self, row: int) -> Unit:
        """Return one row with its context, shortened from the left until it fits ``max_tokens``."""
        first = row
        while first > 0 and row - first < self.context and self.documents[first - 1] == self.documents[row]:
            first -= 1
        for start in range(first, row + 1):
            before = " ".join(self.texts[start:row])
            begin = len(before) + 1 if before else 0
            ids, spans = self.tokenize(f"{before} {self.texts[row]}" if before else self.texts[row])
            if len(ids) <= self.max_tokens:
                own = tuple(stop > max(at, begin) for at, stop in spans)
                if not any(own):
                    break
                return Unit(tuple(ids), own)
        raise InputError(
            "a text has no tokens or too many for this model", where=f"row {row}: {self.texts[row][:60]!r}", expected=f"1 to {self.max_tokens} tokens",
            fix="split it with split_words",
        )  # fmt: skip


@dataclass(eq=False)
class TokenReader:
    """Reader of texts for a network that takes ``input_ids`` and ``attention_mask``."""

    tokenize: Tokenize
    context: int = 0
    max_tokens: int = 512
    pad_id: int = 0

    def inputs(self, stimuli: StimulusSet) -> TextInputs:
        """Return the texts of a set, row by row."""
        table = stimuli.table
        name = next((c for c in DOCUMENT_COLUMNS if c in table.columns), None)
        if self.context and name is None and len(table) > 1:
            raise InputError(
                "a context needs to know which rows follow each other", where=f"StimulusSet {stimuli.name!r}",
                expected=f"a column {' or '.join(DOCUMENT_COLUMNS)}", fix="make one with split_words, or add it to the table",
            )  # fmt: skip
        documents = list(table[name].astype(str)) if name else list(range(len(table)))
        return TextInputs(texts_of(stimuli), documents, self.tokenize, self.context, self.max_tokens)

    def probe(self) -> list[Unit]:
        """Return a few short units for the probing pass."""
        ids, spans = self.tokenize("a word or two")
        return [Unit(tuple(ids), tuple(stop > at for at, stop in spans))] * N_PROBE

    def tensors(self, batch: list[Unit], device: str) -> tuple[dict[str, Tensor], Tensor]:
        """Return padded ids with their attention mask, and the mask of the units' own tokens (both (n, T))."""
        import torch

        longest = max(len(unit.ids) for unit in batch)
        ids = torch.full((len(batch), longest), self.pad_id, dtype=torch.long)
        seen = torch.zeros((len(batch), longest), dtype=torch.long)
        own = torch.zeros((len(batch), longest), dtype=torch.bool)
        for i, unit in enumerate(batch):
            n = len(unit.ids)
            ids[i, :n] = torch.tensor(unit.ids)
            seen[i, :n] = 1
            own[i, :n] = torch.tensor(unit.own)
        return {"input_ids": ids.to(device), "attention_mask": seen.to(device)}, own.to(device)


@dataclass(eq=False)
class ClipReader:
    """Reader of texts for open_clip's own tokenizer: fixed length, the end token last, zeros after it."""

    tokenizer: Any

    def inputs(self, stimuli: StimulusSet) -> TextInputs:
        """Return the texts of a set, row by row."""
        return TextInputs(texts_of(stimuli), range(len(stimuli)), self._tokenize, 0, 10**6)

    def probe(self) -> list[Unit]:
        """Return a few short units for the probing pass."""
        return [self._unit("a word or two")] * N_PROBE

    def tensors(self, batch: list[Unit], device: str) -> tuple[Tensor, Tensor]:
        """Return ids and the mask of the texts' own tokens, without the start and end tokens (both (n, context length))."""
        import torch

        ids = torch.tensor([unit.ids for unit in batch], dtype=torch.long)
        own = torch.tensor([unit.own for unit in batch], dtype=torch.bool)
        return ids.to(device), own.to(device)

    def _unit(self, text: str) -> Unit:
        ids, own = self._padded(text)
        return Unit(tuple(ids), tuple(own))

    def _tokenize(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        ids, own = self._padded(text)
        return ids, [(0, len(text) if keep else 0) for keep in own]

    def _padded(self, text: str) -> tuple[list[int], list[bool]]:
        ids = [int(i) for i in self.tokenizer([text])[0]]
        end = int(np.argmax(ids))  # the end token has the highest id
        own = [0 < i < end for i in range(len(ids))]
        if not any(own):
            raise InputError("a text has no tokens", got=repr(text[:60]))
        return ids, own


def byte_tokens(text: str, *, n_special: int = 3) -> tuple[list[int], list[tuple[int, int]]]:
    """Return the UTF-8 bytes of a text as token ids, and the characters each belongs to: for networks built from a bare configuration."""
    ids, spans = [], []
    for at, character in enumerate(text):
        for byte in character.encode():
            ids.append(byte + n_special)
            spans.append((at, at + 1))
    return ids, spans
