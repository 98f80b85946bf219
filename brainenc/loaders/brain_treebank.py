"""Brain Treebank: intracranial recordings during films, with the words that were spoken.

One HDF5 file a film holds a data set for each electrode, which no general format names; labels, positions, bad electrodes, triggers and transcripts are
in files beside it. Two hours at 2048 Hz are more than most memories hold, so that electrodes are read some at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from brainenc.core.checks import examples
from brainenc.core.errors import DataError, InputError, NotFoundError
from brainenc.io.hdf5 import array_shapes, read_hdf5
from brainenc.io.readers import read_json, read_table
from brainenc.loaders.channel_parts import EVENT_ROW, parts_of_channels
from brainenc.loaders.channels import shafts
from brainenc.loaders.recordings import SCALES, Recording
from brainenc.nouns.tables import need_column

RATE = 2048.0
_NO_BRAIN = ("DC", "TRIG")  # how the names of electrodes begin that hold no brain signal
_OURS = ("channel", "type", "dataset", "x", "y", "z", "hemi", "shaft", "number", "id", "time", "target_id", "roi")  # columns that a table may not bring
_SLACK, _SHARE = 0.1, 0.02  # seconds, and share of the time between triggers, by which samples may run otherwise (our choice)


def read_treebank(
    folder: str | Path, *, subject: str | int, trial: str | int, events: pd.DataFrame | None = None, units: str = "uV", reference: Any = None,
    memory: str | int | None = None,
) -> Iterator[Recording]:  # fmt: skip
    """Read one film of one person, some electrodes at a time; feed it to `load_in_parts`.

    Parameters
    ----------
    folder : path
        With ``sub_<S>_trial<TTT>.h5``, ``electrode_labels/``, ``localization/``, ``subject_timings/``, ``subject_metadata/``, ``transcripts/`` and
        ``corrupted_elec.json``.
    subject, trial : str or int
        1 and 0 for ``sub_1_trial000``.
    events : DataFrame, optional
        Moments of the film in place of its words (cuts, faces …), as `treebank_events` takes them.
    units : str
        Of the numbers in the file.
    reference : optional
        What `Preprocessing` will be told; electrodes are divided so that it comes out as if all had been read at once.
    memory : str or int, optional
        What the electrodes read together may take while they are worked on; None means half of what is free. The result does not depend on it.

    Yields
    ------
    Recording
        Good electrodes that record brain, with positions and regions of `treebank_contacts` and the words of `treebank_words` as events.

    Raises
    ------
    DataError, InputError, NotFoundError
        Missing or truncated files, electrodes without data, of different lengths, too little memory.

    Examples
    --------
    >>> steps = Preprocessing(notch=60, reference="laplacian", resample=200)                                  # doctest: +SKIP
    >>> load_in_parts(read_treebank("braintreebank", subject=1, trial=0, reference="laplacian"),
    ...               lambda part: load_epochs(part, tmin=-0.5, tmax=1.0, preprocessing=steps, windows=(0.2, 0.025)))     # doctest: +SKIP
    """
    if units not in SCALES:
        raise InputError("units are not known", where="read_treebank", expected=", ".join(SCALES), got=units)
    base, stem = Path(folder).expanduser(), _stem(subject, trial)
    contacts, bads = treebank_contacts(base, subject)
    if events is None:
        shown, record = treebank_words(base, subject=subject, trial=trial)
    else:
        shown, record = treebank_events(base, events, subject=subject, trial=trial)
    source = base / f"{stem}.h5"
    n_times, n_data = _check_data(source, contacts)
    facts = {
        "files": [source.name], "frame": "brain_treebank projection on an average cortex", "bads": bads, "events": record,
        "n_electrodes_without_label": max(n_data - len(_labels(base, subject)), 0),
    }  # fmt: skip
    table = contacts.drop(columns="dataset")
    for rows in parts_of_channels(list(contacts["channel"]), n_times, reference=reference, memory=memory):
        yield Recording(_raw(source, contacts.iloc[rows], SCALES[units]), table.iloc[rows].reset_index(drop=True), shown, str(trial), facts)


def treebank_contacts(folder: str | Path, subject: str | int) -> tuple[pd.DataFrame, list[str]]:
    """Return the good electrodes of a person and the names of the bad ones.

    Electrode i of the list of labels is the data set ``electrode_<i>``; names lose the marks ``*``, ``#`` and ``_``. Triggers and DC inputs are no
    electrodes, and those of ``corrupted_elec.json`` are bad.

    Returns
    -------
    table : DataFrame
        channel, type, x, y, z (mm; the projection on an average cortex of ``elec_coords_full.csv``, NaN where it has none), region (Desikan-Killiany, of
        ``depth-wm.csv``), L, P, I (the person's own image), other columns of ``depth-wm.csv`` in lower case, shaft, number, hemi, dataset.
    bads : list of str

    Raises
    ------
    DataError
        Missing files, labels used twice, tables without the column Electrode.
    """
    base, who = Path(folder).expanduser(), f"sub_{subject}"
    names = _labels(base, subject)
    bads = _bad_names(base / "corrupted_elec.json", subject)
    table = pd.DataFrame({"channel": names, "type": "seeg", "dataset": [f"data/electrode_{i}" for i in range(len(names))]})
    brain = ~table["channel"].str.upper().str.startswith(_NO_BRAIN)
    table = table[brain & ~table["channel"].isin(bads)].reset_index(drop=True)
    if not len(table):
        raise DataError("no good electrode is left", where=base / f"electrode_labels/{who}", got=f"{len(names)} labels, {len(bads)} bad")
    places = _projections(base / "localization/elec_coords_full.csv", who)
    depth = _depth(base / f"localization/{who}/depth-wm.csv")
    table = table.join(places, on="channel").join(depth, on="channel")
    if not table[["x", "region"]].notna().any(axis=None):
        got = examples(depth.index)
        raise DataError("localization names none of the electrodes", where=base / "localization", expected=examples(table["channel"]), got=got)
    parts = shafts(table["channel"])
    hemi = table.pop("hemi") if "hemi" in table else pd.Series(None, index=table.index, dtype=object)
    return table.assign(shaft=parts["shaft"], number=parts["number"], hemi=hemi), [name for name in names if name in bads]


def treebank_words(folder: str | Path, *, subject: str | int, trial: str | int) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the words of the film as events on the recording's clock, and counts of those left out; see `treebank_events`.

    Returns
    -------
    table : DataFrame
        onset, duration (s), stimulus_id (``<film>/<row of the transcript>``, the same for all who saw the film), text, film_onset and the other columns
        of the transcript.
    record : dict
        film, and the counts of `treebank_events`.

    Raises
    ------
    DataError, NotFoundError
        Missing files or columns, too few triggers, no word left.
    """
    base = Path(folder).expanduser()
    facts = base / f"subject_metadata/{_stem(subject, trial)}_metadata.json"
    told = read_json(facts)
    film = told.get("filename") if isinstance(told, dict) else None
    if not isinstance(film, str) or not film or "/" in film or "\\" in film or film.startswith("."):
        raise DataError("metadata do not name the film", where=facts, expected='"filename": "…"', got=repr(film))
    transcript = base / f"transcripts/{film}/features.csv"
    words = read_table(transcript)
    for column in ("text", "start", "end"):
        need_column(words, column, str(transcript))
    words = words.drop(columns=[c for c in words if str(c).startswith("Unnamed")]).assign(stimulus_id=[f"{film}/{i:05d}" for i in range(len(words))])
    words.loc[words["text"].isna(), "start"] = np.nan
    table, record = treebank_events(base, words, subject=subject, trial=trial)
    return table, {"film": film, **record}


def treebank_events(folder: str | Path, table: pd.DataFrame, *, subject: str | int, trial: str | int) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return moments of the film as events on the recording's clock, and counts of those left out.

    The time t of the film is taken to the recording by interpolation between the triggers (m_k, i_k) around it,

        sample = i_k + (t − m_k) (i_{k+1} − i_k) / (m_{k+1} − m_k).

    Where samples pass otherwise than 2048 a second between two triggers, the film was paused there: moments between them have no sure place and are left
    out, as are those outside of all triggers, those that were seen twice because the film was taken back, and those without a time.

    Parameters
    ----------
    folder : path
    table : DataFrame
        ``start`` and ``end`` in seconds of the film, ``stimulus_id`` and any other columns.
    subject, trial : str or int

    Returns
    -------
    table : DataFrame
        onset, duration (s), film_onset (s of the film) and the other columns, by onset.
    record : dict
        n_moments, n_without_time, n_outside_triggers, n_in_pauses, n_seen_twice, n_triggers.

    Raises
    ------
    DataError, NotFoundError
        Missing files or columns, too few triggers, nothing left.
    """
    timings = Path(folder).expanduser() / f"subject_timings/{_stem(subject, trial)}_timings.csv"
    start, end = (pd.to_numeric(need_column(table, c, "moments of the film"), errors="coerce").to_numpy(dtype=np.float64) for c in ("start", "end"))
    need_column(table, "stimulus_id", "moments of the film")
    times, index = _triggers(timings)
    timed = np.isfinite(start) & np.isfinite(end) & (end >= start)
    sample, lost = _on_recording(start, times, index)
    counts, kept = {}, timed
    for why, here in lost.items():
        counts[why] = int((kept & here).sum())
        kept = kept & ~here
    record = {"n_moments": len(table), "n_without_time": int((~timed).sum()), **counts, "n_triggers": len(times)}
    if not kept.any():
        raise DataError("no moment of the film lies between triggers", where=timings, got=record, fix="look whether timings and moments are of one film")
    out = table.drop(columns=["start", "end"]).assign(onset=sample / RATE, duration=end - start, film_onset=start, **{EVENT_ROW: np.arange(len(table))})
    return out[kept].sort_values("onset", kind="stable", ignore_index=True), record


def _stem(subject: str | int, trial: str | int) -> str:
    for what, value in (("subject", subject), ("trial", trial)):
        if not str(value).isdigit():
            raise InputError(f"{what} is a number", where="brain_treebank", got=repr(value))
    return f"sub_{int(subject)}_trial{int(trial):03d}"


def _clean(label: Any) -> str:
    return str(label).replace("*", "").replace("#", "").replace("_", "").strip()


def _labels(base: Path, subject: str | int) -> list[str]:
    listed = base / f"electrode_labels/sub_{subject}/electrode_labels.json"
    labels = read_json(listed)
    names = [_clean(one) for one in labels] if isinstance(labels, list) else []
    if not names or len(set(names)) < len(names):
        raise DataError("labels of electrodes are no list of different names", where=listed, got=examples(names))
    return names


def _bad_names(path: Path, subject: str | int) -> set[str]:
    told = read_json(path)
    keys = [key for key in (f"sub_{subject}", f"subject{subject}") if isinstance(told, dict) and key in told]
    if not keys:
        raise NotFoundError(f"bad electrodes of subject {subject} are not listed", where=path, expected=examples(told, 12) if isinstance(told, dict) else None)
    return {_clean(one) for one in told[keys[0]]}


def _projections(path: Path, who: str) -> pd.DataFrame:
    """Return x, y, z and hemi by electrode; the person is in the column Subject, or in ``ID`` as ``sub_1-T1aA1``."""
    table = read_table(path)
    if not {"Subject", "Electrode"} <= set(table.columns):
        split = need_column(table, "ID", str(path)).astype(str).str.split("-", n=1, expand=True)
        table = table.assign(Subject=split[0], Electrode=split[1])
    own = table[table["Subject"].astype(str) == who]
    own = own.assign(Electrode=own["Electrode"].map(_clean)).drop_duplicates("Electrode").set_index("Electrode")
    out = pd.DataFrame({axis.lower(): pd.to_numeric(need_column(own, axis, str(path)), errors="coerce") for axis in "XYZ"}, index=own.index)
    if "Hemisphere" in own:
        out["hemi"] = pd.to_numeric(own["Hemisphere"], errors="coerce").map({0: "right", 1: "left"})
    return out


def _depth(path: Path) -> pd.DataFrame:
    """Return regions and the positions in the person's own image by electrode."""
    table = read_table(path)
    need_column(table, "Electrode", str(path))
    table = table.drop(columns=[c for c in table if str(c).startswith("Unnamed")])
    table = table.assign(Electrode=table["Electrode"].map(_clean)).drop_duplicates("Electrode").set_index("Electrode")
    region = need_column(table, "DesikanKilliany", str(path))
    others = {str(c).lower(): table[c] for c in table if c not in ("DesikanKilliany", "L", "P", "I") and str(c).lower() not in _OURS}
    own = {c: pd.to_numeric(table[c], errors="coerce") for c in ("L", "P", "I") if c in table}
    return pd.DataFrame({"region": region, **own, **others}, index=table.index)


def _triggers(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the times of the triggers in the film (s) and their samples, in order of samples."""
    table = read_table(path)
    for column in ("movie_time", "index"):
        need_column(table, column, str(path))
    pairs = table[["movie_time", "index"]].apply(pd.to_numeric, errors="coerce").dropna().sort_values("index", kind="stable").to_numpy(dtype=np.float64)
    if len(pairs) < 2:
        raise DataError("too few triggers", where=path, expected="two or more with movie_time and index", got=len(pairs))
    return pairs[:, 0], pairs[:, 1]


def _on_recording(start: np.ndarray, times: np.ndarray, index: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return samples, and which times are lost: outside of the triggers, in a pause of the film, or seen twice."""
    furthest = np.maximum.accumulate(times)  # how far the film had got
    outside = ~((start >= times[0]) & (start <= furthest[-1]))
    after = np.clip(np.searchsorted(furthest, np.where(outside, times[0], start), side="right"), 1, len(times) - 1)
    span, samples = times[after] - times[after - 1], index[after] - index[after - 1]
    paused = np.abs(samples / RATE - span) > _SLACK + _SHARE * np.abs(span)
    twice = np.zeros(len(start), dtype=bool)
    for back in np.flatnonzero(np.diff(times) < -_SLACK):
        twice |= (start >= times[back + 1]) & (start <= furthest[back])
    share = np.divide(start - times[after - 1], span, out=np.zeros_like(span), where=span > 0)
    return index[after - 1] + share * samples, {"n_outside_triggers": outside, "n_seen_twice": twice, "n_in_pauses": paused}


def _check_data(source: Path, contacts: pd.DataFrame) -> tuple[int, int]:
    """Return how many samples the electrodes have, and how many electrodes the file has."""
    shapes = {name: shape for name, shape in array_shapes(source).items() if name.startswith("data/electrode_")}
    lost = [name for name in contacts["dataset"] if name not in shapes]
    if lost:
        raise DataError("electrodes have no data", where=source, expected=f"{len(contacts)} good electrodes", got=f"without {examples(lost)}")
    sizes = {shapes[name] for name in contacts["dataset"]}
    if len(sizes) > 1 or any(len(shape) != 1 or not shape[0] for shape in sizes):
        raise DataError("electrodes have different lengths, or none", where=source, got=sorted(sizes), fix="fetch it again: it may be truncated")
    return sizes.pop()[0], len(shapes)


def _raw(source: Path, contacts: pd.DataFrame, scale: float) -> Any:
    import mne

    signals = np.empty((len(contacts), 0))
    for row, name in enumerate(contacts["dataset"]):
        one = read_hdf5(source, str(name))
        if one.dtype.kind not in "fiu":
            raise DataError("electrode does not hold numbers", where=f"{source}::{name}", got=one.dtype)
        if not row:
            signals = np.empty((len(contacts), len(one)))
        np.multiply(one, scale, out=signals[row])
    return mne.io.RawArray(signals, mne.create_info(list(contacts["channel"]), RATE, "seeg"), copy=None, verbose="error")
