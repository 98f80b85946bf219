"""What a manifest can say. Every table of the TOML file is one dataclass here; anything else is an error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from brainenc.datasets.recording_spec import RecordingsSpec

Scalar = bool | int | float | str
Column = Scalar | tuple[Scalar, ...]
QUANTITIES = (
    "n_stimuli", "n_samples", "n_targets", "n_runs", "n_events", "max_repeats", "n_nan", "mean", "n_rdms", "n_conditions",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """Whom to cite."""

    text: str = ""
    doi: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Licence:
    """Under which terms the data may be used; ``redistributable`` is false unless somebody read that they are."""

    name: str = ""
    url: str = ""
    redistributable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How one gets the data: openly, or after a form, an account or a request at ``url``."""

    kind: Literal["open", "form", "account", "request"] = "open"
    url: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One file to download: ``path`` below the folder, ``at`` below the base address (the same path when empty), sha256, bytes.

    ``subjects``, ``sessions`` and ``variants`` say for whom it is needed (all when empty); ``extract`` names a sub-folder to unpack an
    archive into.
    """

    path: str
    sha256: str
    bytes: int
    at: str = ""
    subjects: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    variants: tuple[str, ...] = ()
    extract: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A public address and the files below it; without ``files`` one gets them there by hand, since nobody knows checksums."""

    base: str
    files: tuple[SourceFile, ...] = ()
    licence: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A known fact: ``quantity`` of what is loaded equals ``expected`` (within ``tolerance``); a failure is an error.

    ``where`` selects targets; ``subject``, ``session`` and ``variant`` say for which load it holds.
    """

    quantity: Literal[
        "n_stimuli", "n_samples", "n_targets", "n_runs", "n_events", "max_repeats", "n_nan", "mean", "n_rdms", "n_conditions"
    ]  # fmt: skip
    expected: float
    tolerance: float = 0.0
    where: str = ""
    subject: str | None = None
    session: str | None = None
    variant: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """An array whose items are counted from ``first`` by the values of another one."""

    path: str
    key: str | None = None
    first: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayColumn:
    """A table column from an array file: ``index`` picks one of its columns, ``labels`` names its values.

    ``per_session``: the array runs through all sessions of a subject with so many values each, and those of the session are taken.
    ``through``: the values are positions in another array, whose items are taken instead. ``add`` is then added to whole numbers.
    For targets the file may be an image or a surface map, one file per ``{hemi}``: its value at each target.
    """

    column: str
    path: str
    key: str | None = None
    index: int | None = None
    labels: Mapping[str, str] | None = None
    per_session: int = 0
    through: Lookup | None = None
    add: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StimulusPart:
    """A group of stimuli: from a table, from the images of a folder or archive, or by a template of ids.

    ``ids`` with ``n`` and ``start`` counts ``{index}``; beside a ``table`` without a column stimulus_id it names the table's rows.
    ``path`` may use ``{id}``, ``{index}``, ``{row}`` (from 0) and the columns of the table. ``parse``, a template of the ids, makes columns of
    the numbers in them: ``"train-{number}_nsd-{nsd_id}"``.
    """

    table: str = ""
    names: tuple[str, ...] = ()
    rename: Mapping[str, str] = field(default_factory=dict)
    files: str = ""
    ids: str | tuple[str, ...] = ""
    n: int | None = None
    start: int = 1
    path: str = ""
    text: str = ""
    parse: str = ""
    transform: str = ""
    columns: Mapping[str, Column] = field(default_factory=dict)
    arrays: tuple[ArrayColumn, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StimuliSpec(StimulusPart):
    """All stimuli: one part written in place, or several ``parts`` below each other.

    ``from_samples``: there is no list of stimuli; they are those that the samples (or events) name, in order of first showing, with these columns of
    theirs. ``only_shown`` keeps those of the list that were shown; a container of their images may then be missing until one is asked for.
    """

    kind: Literal["image", "text", "audio", "video", "none"] = "image"
    parts: tuple[StimulusPart, ...] = ()
    from_samples: tuple[str, ...] | None = None
    only_shown: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponsesSpec:
    """Where the responses are and how they lie in their files.

    ``ids``: a template of ``{index}`` along the sample axis, or ``"stimuli"`` for the order of the stimuli; without it the samples table
    names them. ``key`` may be several, joined row by row, with one of ``labels`` each in the column ``label_column``.
    ``hemispheres`` gives the ``{hemi}`` of the left and right files (of arrays too: their columns stand side by side). ``scale`` multiplies.
    ``stimuli_where`` selects those stimuli whose order ``ids = "stimuli"`` is. ``mask``: an image whose voxels above 0 are read (axes of an array
    then may be x, y and z, in any order), or for surfaces a map per hemisphere. ``run_length``: the rows are runs of so many scans
    (a series with an axis ``repeat`` is one run per repeat).
    ``affine = "mask"``: headers of the response files are known to have a wrong affine and that of the mask holds; shapes must still agree.
    ``format = "bdata"`` is a table with column flags as brain decoder toolboxes write it; ``key`` flags the responses. ``format = "sensors"`` is a
    dictionary in a .npy whose entry ``key`` has axes sample, repeat, channel and time, with the entries ``channels`` and ``times`` beside it, and
    positions of a standard ``montage``. ``parts`` fills ``{part}`` of the path, one file below the other, with the part's name in ``label_column``.
    ``average_repeats``: one row a sample, the mean over the axis repeat.
    """

    path: str
    format: Literal["array", "nifti", "surface", "cifti", "bdata", "sensors"] | None = None
    parts: Mapping[str, str] = field(default_factory=dict)
    key: str | tuple[str, ...] | None = None
    labels: tuple[str, ...] = ()
    label_column: str = "split"
    axes: tuple[str, ...] = ("sample", "target")
    average_repeats: bool = False
    channels: str = "ch_names"
    times: str = "times"
    montage: str = ""
    scale: float = 1.0
    units: str = ""
    ids: str = ""
    stimuli_where: str = ""
    start: int = 1
    runs: str | tuple[int, ...] | None = None
    run_length: int | None = None
    t_r: float | None = None
    sampling_rate: float | None = None
    frame_time: float | None = None
    mask: str = ""
    affine: Literal["header", "mask"] = "header"
    mesh: str = "native"
    hemispheres: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplesSpec:
    """One row per sample. ``names`` for a file without a header; ``run_offset`` is added to the run numbers.

    A table without ``{session}`` in its path runs through all sessions that are joined. ``values`` names the values of a column
    (``{ DataType = { 1 = "train" } }``). A text among ``columns`` may use ``{run}`` and ``{run_row}`` (the run's place, from 0).
    ``stimulus_columns``: columns of the stimuli that every sample takes over, for splits.
    """

    path: str = ""
    names: tuple[str, ...] = ()
    rename: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, Scalar] = field(default_factory=dict)
    arrays: tuple[ArrayColumn, ...] = ()
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    stimulus_columns: tuple[str, ...] = ()
    run_offset: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsSpec:
    """What was shown when: a table (one per run where ``{run}`` is in the path), or ``from_column`` of the samples.

    ``from_column`` turns every stretch of equal labels into an event; labels in ``rest`` are none. ``onset_shift`` (s) is added.
    ``where`` selects rows of the table; a text among ``columns`` may use the fields of its path.
    """

    path: str = ""
    names: tuple[str, ...] = ()
    rename: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, Scalar] = field(default_factory=dict)
    from_column: str = ""
    where: str = ""
    rest: tuple[str, ...] = ()
    onset_shift: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RoiSpec:
    """Region labels: an image on the targets' grid, a map per ``{hemi}``, or an array of one value per target.

    ``labels`` maps a name to its value(s); ``names`` is a file that does (a colour table of lines "index name", or a dictionary in a .npy), where
    values of 0 and below are no region. ``flags`` needs no file: it maps a name to columns of the targets table that are 1 inside.
    """

    path: str = ""
    labels: Mapping[str, int | tuple[int, ...]] = field(default_factory=dict)
    names: str = ""
    flags: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    column: str = "roi"
    key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskArrays:
    """Every array of a container whose key begins with ``prefix`` is a mask: a column of 1 and 0, named by the rest of the key. They may overlap."""

    path: str
    prefix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetsSpec:
    """One row per target, and regions. ``where`` selects rows of the table; only these targets are read."""

    path: str = ""
    names: tuple[str, ...] = ()
    rename: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, Scalar] = field(default_factory=dict)
    arrays: tuple[ArrayColumn, ...] = ()
    masks: tuple[MaskArrays, ...] = ()
    where: str = ""
    rois: tuple[RoiSpec, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfoundsSpec:
    """Confound tables, one per run; the columns join the samples as ``confound.<name>``."""

    path: str
    columns: tuple[str, ...]
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceSpec:
    """Where the targets of an array live, read from columns of the targets table.

    volume: i, j, k and the ``reference`` image; surface: hemi, vertex and ``mesh``; contacts: channel, x, y, z (mm). ``vertices`` is an array per
    ``{hemi}`` with one value per vertex of the mesh, above 0 at the targets, in their order; it takes the place of the column vertex.
    """

    kind: Literal["array", "volume", "surface", "contacts"] = "array"
    reference: str = ""
    vertices: str = ""
    mesh: str = "native"


@dataclass(frozen=True, slots=True, kw_only=True)
class RdmSpec:
    """RDMs: a square, a stack of squares, or condensed vectors. ``items`` reads ``key`` once for each ``{item}`` from 0.

    ``columns`` are constants, lists of one value per RDM, or templates of ``{index}`` (from ``start``).
    """

    path: str
    key: str | None = None
    layout: Literal["square", "condensed"] = "square"
    items: int | None = None
    start: int = 1
    scale: float = 1.0
    columns: Mapping[str, Column] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """Another reading of the same data: tables given here replace keys of the tables of the same name."""

    description: str = ""
    subjects: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    stimuli: Mapping[str, Any] = field(default_factory=dict)
    responses: Mapping[str, Any] = field(default_factory=dict)
    recordings: Mapping[str, Any] = field(default_factory=dict)
    samples: Mapping[str, Any] = field(default_factory=dict)
    events: Mapping[str, Any] = field(default_factory=dict)
    targets: Mapping[str, Any] = field(default_factory=dict)
    confounds: Mapping[str, Any] = field(default_factory=dict)
    space: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A data set, described completely enough that one loader reads it.

    ``sessions`` lists the sessions of each subject where there are any; with ``join_sessions`` all of them are read below each other unless one is
    asked for.
    ``unverified`` lists keys that nobody has checked; loading logs them and tests what can be tested.
    """

    name: str
    title: str = ""
    kind: Literal["responses", "rdms", "stimuli"] = "responses"
    description: str = ""
    folder: str = ""
    citation: Citation = Citation()
    licence: Licence = Licence()
    access: Access = Access()
    sources: tuple[Source, ...] = ()
    subjects: tuple[str, ...] = ("01",)
    join_sessions: bool = False
    session_table: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    variants: Mapping[str, Variant] = field(default_factory=dict)
    generator: str = ""
    options: Mapping[str, Scalar] = field(default_factory=dict)
    stimuli: StimuliSpec | None = None
    responses: ResponsesSpec | None = None
    recordings: RecordingsSpec | None = None
    samples: SamplesSpec | None = None
    events: EventsSpec | None = None
    targets: TargetsSpec | None = None
    confounds: ConfoundsSpec | None = None
    space: SpaceSpec | None = None
    rdms: tuple[RdmSpec, ...] = ()
    metric: str = "unknown"
    checks: tuple[Check, ...] = ()
    file: Path | None = None
    sha256: str = ""
    unverified: tuple[str, ...] = ()

    def sessions(self, subject: str | None = None) -> tuple[str, ...]:
        """Return the sessions of a subject (of all subjects when None); empty where the set has none."""
        if subject is None:
            return tuple(session for sessions in self.session_table.values() for session in sessions)
        return self.session_table.get(str(subject), ())

    def __repr__(self) -> str:
        return f"Manifest({self.name!r}, {self.kind}, {len(self.subjects)} subjects, {len(self.variants)} variants)"
