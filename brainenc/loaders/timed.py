"""Stimuli that go on in time: the frames of movies and the words of stories, with onsets that designs read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from brainenc.core.checks import examples
from brainenc.core.errors import DataError, InputError, NotFoundError
from brainenc.io.paths import check_budget, existing_file, read_errors
from brainenc.io.readers import list_keys, read_array, read_table
from brainenc.loaders.images import list_images
from brainenc.loaders.stimuli import ARCHIVES
from brainenc.nouns.stimuli import StimulusSet

WORD_COLUMNS = ("text", "word", "words", "trial_type")
_TOKEN = re.compile(r'"(?:[^"]|"")*"|<\w+>|(?<![\w\[.+-])[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?(?![\w\]])')


def load_movie(
    files: str | Path | Sequence[str | Path], *,
    fps: float, runs: Sequence[Any] = (), onset: float | Sequence[float] = 0.0, every: int = 1, name: str = "movie",
) -> StimulusSet:  # fmt: skip
    """Return the frames of one movie a run as images with onsets.

    `brainenc.extract` keeps the onsets, and `brainenc.design` places the features of frames by them.

    Parameters
    ----------
    files : path or sequence of paths, one a run
        A folder or archive of images (in natural order, ``2.png`` before ``10.png``), or a container of frames: ``frames.npy``,
        ``frames.h5::key``. Video files are to be unpacked into one of these first.
    fps : float
        Frames per second.
    runs : sequence, optional
        One label a file; 1, 2, … where not given.
    onset : float or sequence of float
        Seconds from the start of the run to the first frame.
    every : int
        Take each n-th frame only; it then lasts n frames.
    name : str

    Returns
    -------
    StimulusSet
        ``path``, ``onset`` (s), ``duration`` (s), ``run``, ``frame``; ids ``"<run>.<frame>"``.

    Raises
    ------
    InputError, DataError
        Numbers that make no sense, other numbers of labels than files, a folder without images, a video file.

    Examples
    --------
    >>> load_movie(["run1_frames/", "run2_frames/"], fps=15, onset=10.0)                                  # doctest: +SKIP
    """
    if not (np.isfinite(fps) and fps > 0) or every < 1:
        raise InputError("fps is a positive number and every a whole one", where="load_movie", got=f"fps={fps}, every={every}")
    paths, labels, starts = _per_run(files, runs, onset, "load_movie")
    parts = []
    for path, label, start in zip(paths, labels, starts, strict=True):
        places = _frames(path)[::every]
        frame = np.arange(len(places)) * every
        ids = [f"{label}.{i:06d}" for i in frame]
        parts.append(
            pd.DataFrame({"stimulus_id": ids, "path": places, "onset": start + frame / fps, "duration": every / fps, "run": label, "frame": frame})
        )
    return StimulusSet(pd.concat(parts, ignore_index=True), kind="image", name=name)


def load_story(
    files: str | Path | Sequence[str | Path], *,
    runs: Sequence[Any] = (), onset: float | Sequence[float] = 0.0, column: str | None = None, tier: str | None = None,
    silence: Sequence[str] = ("sp", "sil"), name: str = "story",
) -> StimulusSet:  # fmt: skip
    """Return the words of one story a run as texts with onsets.

    Parameters
    ----------
    files : path or sequence of paths, one a run
        A table (tsv, csv) with ``onset``, ``duration`` (or ``offset``) in seconds and a column of words, or a ``.TextGrid`` of Praat.
    runs : sequence, optional
        One label a file; 1, 2, … where not given.
    onset : float or sequence of float
        Seconds from the start of the run to the start of the story, added to the times of its words.
    column : str, optional
        Of the words; None takes text, word, words or trial_type.
    tier : str, optional
        Of a TextGrid; None takes the only interval tier, or the one called word or words.
    silence : sequence of str
        Texts that are no words, whatever their case; they are left out, as are empty ones.
    name : str

    Returns
    -------
    StimulusSet
        ``text``, ``onset``, ``duration``, ``run``, ``document`` (the run, so that text models read words in the context of their story); ids
        ``"<run>.<place>"``, counted with silences.

    Raises
    ------
    DataError, NotFoundError, InputError
        Damaged files, no such column or tier, words without times, other numbers of labels than files.

    Examples
    --------
    >>> load_story("alternateithicatom.TextGrid", runs=["story1"], onset=10.0)                            # doctest: +SKIP
    """
    paths, labels, starts = _per_run(files, runs, onset, "load_story")
    quiet = {"", *(one.lower() for one in silence)}
    parts = []
    for path, label, start in zip(paths, labels, starts, strict=True):
        file = existing_file(path)
        words = _textgrid(file, tier) if file.suffix.lower() == ".textgrid" else _word_table(file, column)
        words.insert(0, "stimulus_id", [f"{label}.{i:05d}" for i in range(len(words))])
        words = words[[text.strip().lower() not in quiet for text in words["text"]]]
        if not len(words):
            raise DataError("file holds no words", where=file)
        parts.append(words.assign(onset=words["onset"] + start, run=label, document=str(label)))
    return StimulusSet(pd.concat(parts, ignore_index=True), kind="text", name=name)


def _per_run(files: Any, runs: Sequence[Any], onset: Any, where: str) -> tuple[list[str], list[Any], list[float]]:
    paths = [str(one) for one in ([files] if isinstance(files, str | Path) else files)]
    labels = list(runs) or list(range(1, len(paths) + 1))
    starts = [float(one) for one in np.broadcast_to(np.asarray(onset, dtype=np.float64), (len(paths),))] if np.ndim(onset) == 0 else list(map(float, onset))
    if not paths or len(labels) != len(paths) or len(starts) != len(paths):
        raise InputError("one label and one onset a file are needed", where=where, expected=len(paths), got=f"{len(labels)} and {len(starts)}")
    if len(set(map(str, labels))) < len(labels) or not np.isfinite(starts).all():
        raise InputError("labels must differ and onsets be numbers", where=where, got=f"{labels}, {starts}")
    return paths, labels, starts


def _frames(path: str) -> list[str]:
    folder = Path(path).expanduser()
    if folder.is_dir():
        return [str(folder.resolve() / one) for one in list_images(folder, "*")]
    file, _, inner = path.partition("::")
    source = existing_file(file).resolve()
    if source.name.lower().endswith(ARCHIVES):
        return [str(source.parent / one) for one in list_images(source.parent, f"{source.name}::{inner or '**/*'}")]
    suffix = source.suffix.lower()
    if suffix not in (".npy", ".h5", ".hdf5"):
        fix = "unpack the frames first, for instance with ffmpeg -i movie.mp4 frames/%06d.png"
        raise DataError("not a folder or a container of frames", where=source, expected="a folder, .zip, .tar, .npy or .h5", got=suffix or "no suffix", fix=fix)
    shape = read_array(source, mmap=True).shape if suffix == ".npy" else _hdf5_shape(source, inner)
    if not shape:
        raise DataError("container holds no frames", where=path)
    return [f"{source}::{inner}[{i}]" for i in range(shape[0])]


def _hdf5_shape(file: Path, key: str) -> tuple[int, ...]:
    import h5py

    known = list_keys(file)  # without links, so that none leads to another file
    if key not in known:
        raise NotFoundError(f"no frames {key!r}", where=file, expected=examples(known, 12), fix="write frames.h5::key")
    with read_errors(file), h5py.File(file, "r") as content:
        return tuple(int(n) for n in content[key].shape)


def _word_table(file: Path, column: str | None) -> pd.DataFrame:
    table = read_table(file)
    names = [column] if column is not None else [one for one in WORD_COLUMNS if one in table.columns][:1]
    if not names or names[0] not in table.columns:
        raise NotFoundError("no column of words", where=file, expected=column or " or ".join(WORD_COLUMNS), got=examples(table.columns, 12))
    if "duration" not in table.columns and "offset" in table.columns and "onset" in table.columns:
        table = table.assign(duration=pd.to_numeric(table["offset"], errors="coerce") - pd.to_numeric(table["onset"], errors="coerce"))
    times = {}
    for one in ("onset", "duration"):
        if one not in table.columns:
            raise NotFoundError(f"words have no {one}", where=file, expected="onset, and duration or offset", got=examples(table.columns, 12))
        times[one] = pd.to_numeric(table[one], errors="coerce").to_numpy(dtype=np.float64)
        if not np.isfinite(times[one]).all():
            raise DataError(f"words without {one}", where=file, got=f"{int((~np.isfinite(times[one])).sum())} rows")
    return pd.DataFrame({"text": ["" if pd.isna(word) else str(word) for word in table[names[0]]], **times})


def _textgrid(file: Path, tier: str | None) -> pd.DataFrame:
    """Read one interval tier of a TextGrid, in its long or short form: both are the same values in the same order."""
    check_budget(20 * file.stat().st_size, file)
    with read_errors(file):
        content = file.read_bytes()
        text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
        values = iter(_TOKEN.findall(text))
        if [next(values), next(values)] != ['"ooTextFile"', '"TextGrid"']:
            raise DataError("not a TextGrid", where=file)
        next(values), next(values), next(values)  # start, end, <exists>
        tiers = {}
        for _ in range(int(next(values))):
            kind, label = next(values), _unquoted(next(values))
            next(values), next(values)
            n, width = int(next(values)), 3 if kind == '"IntervalTier"' else 2
            rows = [[next(values) for _ in range(width)] for _ in range(n)]
            if width == 3:
                tiers[label] = rows
    chosen = tier if tier is not None else next(iter(tiers)) if len(tiers) == 1 else next((one for one in tiers if one.lower() in ("word", "words")), None)
    if chosen is None or chosen not in tiers:
        raise NotFoundError(f"no interval tier {tier!r}" if tier else "which tier holds the words", where=file, expected=examples(tiers, 12), fix="pass tier=")
    start, end = (np.array([float(row[i]) for row in tiers[chosen]]) for i in (0, 1))
    if (end < start).any():
        raise DataError("intervals end before they start", where=file, got=int((end < start).sum()))
    return pd.DataFrame({"text": [_unquoted(row[2]) for row in tiers[chosen]], "onset": start, "duration": end - start})


def _unquoted(token: str) -> str:
    if token[:1] != '"':
        raise ValueError(f"expected text, got {token[:40]}")
    return token[1:-1].replace('""', '"')
