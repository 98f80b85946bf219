"""The arguments of every command. Only the standard library is imported here, so that ``--help`` is quick."""

from __future__ import annotations

import argparse

from brainenc import __version__

SPLITS = ("images", "kfold", "runs", "blocks", "column")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("-q", "--quiet", action="count", default=argparse.SUPPRESS, help="errors only, no progress bars")
    common.add_argument("-v", "--verbose", action="count", default=argparse.SUPPRESS, help="say more; twice for tracebacks")
    parser = argparse.ArgumentParser(
        prog="brainenc", description="Score every layer of a model against every region of a brain.", parents=[common],
        epilog="exit codes: 0 done, 1 some tasks failed, 2 usage or input error, 130 interrupted",
    )  # fmt: skip
    parser.set_defaults(quiet=0, verbose=0, resume="start the command again")
    parser.add_argument("--version", action="version", version=f"brainenc {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for add in (_demo, _list, _fetch, _extract, _score, _rsa, _run, _report, _doctor):
        add(commands, common)
    return parser


def _demo(commands: argparse._SubParsersAction, common: argparse.ArgumentParser) -> None:
    text = "simulate two subjects, score three families of models on them, and write tables, maps and a report"
    parser = commands.add_parser("demo", help=text, description=text, parents=[common])
    parser.add_argument("--out", default="brainenc-demo", metavar="FOLDER", help="results folder (default: %(default)s)")
    _overwrite(parser)
    parser.add_argument("--seed", type=_natural, default=0, help="seed of the simulation (default: %(default)s)")
    parser.set_defaults(resume="what is finished is kept; start the same command again to go on")


def _list(commands: argparse._SubParsersAction, common: argparse.ArgumentParser) -> None:
    text = "list the data sets or the models that are known"
    parser = commands.add_parser("list", help=text, description=text, parents=[common])
    parser.add_argument("what", choices=("datasets", "models"))
    parser.add_argument("pattern", nargs="?", default="", metavar="TEXT", help='only names that contain this text; models also by glob: "timm:*resnet*"')


def _fetch(commands: argparse._SubParsersAction, common: argparse.ArgumentParser) -> None:
    text = "download a data set: shows files, bytes and free disk, resumes, verifies"
    parser = commands.add_parser("fetch", help=text, description=text, parents=[common])
    parser.add_argument("dataset")
    for name in ("subject", "session", "variant"):
        parser.add_argument(f"--{name}", metavar="NAME", help=f"only the files of this {name}")
    parser.add_argument("--root", metavar="FOLDER", help="where to put it (default: BRAINENC_DATA or the user's cache)")
    parser.add_argument("--dry-run", action="store_true", help="say what it takes and download nothing")
    parser.set_defaults(resume="what has arrived is kept; start the same command again to go on")


def _extract(commands: argparse._SubParsersAction, common: argparse.ArgumentParser) -> None:
    text = "extract features of a data set's stimuli into the cache, and optionally into files"
    parser = commands.add_parser("extract", help=text, description=text, parents=[common])
    _data(parser)
    _models(parser)
    parser.add_argument("--out", metavar="FOLDER", help="also write one .npz a layer here")
    parser.set_defaults(resume="what is extracted is kept; start the same command again to go on")


def _score(commands: argparse._SubParsersAction, common: argparse.ArgumentParser) -> None:
    text = "score the layers of one or more models on one data set"
    parser = commands.add_parser("score", help=text, description=text, parents=[common])
    _data(parser)
    _models(parser)
    parser.add_argument("--roi", action="append", metavar="NAME", help="only this region (repeatable)")
    parser.add_argument("--where", metavar="TEXT", help="only targets that a selection keeps, e.g. \"noise_ceiling > 0.3\" or \"channel == 'Pz' and time > 0\"")
    parser.add_argument("--split", choices=SPLITS, default="images", help="how rows are held out (default: %(default)s)")
    parser.add_argument("--test", metavar="SHARE|VALUE", help="share of the images held out (images; default 0.2), or the value that marks test rows (column)")
    parser.add_argument("--folds", type=_positive, metavar="N", help="number of folds or blocks, or draws for images")
    parser.add_argument("--groups", metavar="COLUMN", help="column that holds together what may not be split, or (column) that tells training from test")
    parser.add_argument("--gap", type=_natural, metavar="ROWS", help="rows left out on either side of a test block (blocks)")
    parser.add_argument(
        "--gap-seconds", type=float, metavar="S", help="leave out training epochs that come this close to a test epoch (blocks); 0: those that overlap"
    )
    parser.add_argument("--seed", action="append", type=_natural, metavar="N", help="split seed (repeatable; default 0)")
    parser.add_argument("--metric", action="append", metavar="NAME", help="repeatable (default: pearson)")
    parser.add_argument("--aggregate", choices=("folds", "pooled"), default="folds")
    parser.add_argument("--single-trials", action="store_true", help="score single trials; by default the repeats of a stimulus are averaged")
    parser.add_argument("--score-reduce", metavar="pca:K", help="reduction fitted inside each training set")
    parser.add_argument("--permutations", type=_natural, default=0, metavar="N", help="for p-values (default: none)")
    parser.add_argument("--bootstrap", type=_natural, default=0, metavar="N", help="for intervals of every target's score (default: none)")
    parser.add_argument("--hrf", metavar="NAME", help="time series: convolve with this haemodynamic response (glover, spm)")
    parser.add_argument("--delays", type=float, nargs="+", metavar="SECONDS", help="time series: delays instead of an HRF")
    parser.add_argument("--detrend", action="store_true", help="remove a linear trend within each run")
    parser.add_argument("--standardize", choices=("zscore", "center"), help="scale within each run")
    parser.add_argument("--no-predictions", action="store_true", help="do not keep held-out predictions (no intervals, less disk)")
    _running(parser, "DATASET-scores")


def _rsa(commands: argparse._SubParsersAction, common: argparse.ArgumentParser) -> None:
    text = "compare the RDMs of layers with those of a data set: representational similarity, with noise ceilings and inference"
    parser = commands.add_parser("rsa", help=text, description=text, parents=[common])
    _data(parser)
    _models(parser)
    parser.add_argument("--roi", action="append", metavar="NAME", help="only this region (repeatable)")
    parser.add_argument("--where", metavar="TEXT", help="only targets, or stored RDMs, that a selection keeps, e.g. \"study == 'Algonauts 2019'\"")
    parser.add_argument("--conditions", metavar="TEXT", help="only stimuli that a selection on their table keeps, e.g. \"split == 'test'\"")
    parser.add_argument("--metric", metavar="NAME", help="dissimilarity of responses: correlation (default), euclidean, mahalanobis, crossnobis …")
    parser.add_argument("--folds", metavar="COLUMN", help="samples of one fold, for cross-validated metrics (default: run)")
    parser.add_argument("--noise", metavar="METHOD", help="noise covariance of the targets: schaefer_strimmer, ledoit_wolf, diagonal, full")
    parser.add_argument("--model-metric", default="correlation", metavar="NAME", help="dissimilarity of features (default: %(default)s)")
    parser.add_argument("--compare", action="append", metavar="NAME", help="comparison of RDMs: pearson (default), spearman, rho_a … (repeatable)")
    parser.add_argument("--by", action="append", metavar="COLUMN", help="roi, time, hemi, channel: one comparison for each value (repeatable; default: roi)")
    parser.add_argument("--average", action="store_true", help="take the mean of the RDMs of a subject that differ in something else, e.g. sessions")
    parser.add_argument("--bootstrap", type=_natural, default=1000, metavar="N", help="resamples for intervals (default: %(default)s)")
    parser.add_argument("--permutations", type=_natural, default=0, metavar="N", help="relabelled conditions for p-values (default: none)")
    choices = ("auto", "both", "subjects", "conditions")
    parser.add_argument("--resample", choices=choices, default="auto", help="auto: both, or conditions alone with fewer than four subjects")
    parser.add_argument("--no-ceiling", action="store_true", help="compute no noise ceilings")
    parser.add_argument("--seed", type=_natural, default=0, metavar="N", help="of everything that is drawn (default: %(default)s)")
    _running(parser, "DATASET-rsa")


def _run(commands: argparse._SubParsersAction, common: argparse.ArgumentParser) -> None:
    text = "run a study from its TOML plan; started again, it goes on where it stopped"
    parser = commands.add_parser("run", help=text, description=text, parents=[common])
    parser.add_argument("plan", metavar="STUDY.toml")
    _running(parser, "NAME-results", settings=False)


def _report(commands: argparse._SubParsersAction, common: argparse.ArgumentParser) -> None:
    text = "write one self-contained HTML report of a results folder"
    parser = commands.add_parser("report", help=text, description=text, parents=[common])
    parser.add_argument("folder")
    parser.add_argument("--out", metavar="FILE", help="default: report.html in the folder")
    parser.add_argument("--title")


def _doctor(commands: argparse._SubParsersAction, common: argparse.ArgumentParser) -> None:
    text = "say what is installed, how much room there is, and which data sets are found"
    commands.add_parser("doctor", help=text, description=text, parents=[common])


def _data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", help="a name of `brainenc list datasets`, or the path of a manifest")
    parser.add_argument("--subject", action="append", metavar="NAME", help="repeatable (default: all)")
    parser.add_argument("--session", action="append", metavar="NAME", help="repeatable (default: all)")
    parser.add_argument("--variant", metavar="NAME")
    parser.add_argument("--root", metavar="FOLDER", help="where the data set lies")


def _models(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", action="append", required=True, metavar="FAMILY:VARIANT", help="repeatable; see `brainenc list models`")
    parser.add_argument("--layers", action="append", metavar="PATTERN", help='repeatable; "*" does not cross a dot, "**" does')
    parser.add_argument("--weights", default="pretrained", help='"pretrained", "random", or a file (default: %(default)s)')
    parser.add_argument("--pooling", metavar="KIND", help="none, gap, max, cls, mean, gridK")
    parser.add_argument("--reduce", metavar="srp:K", help="random projection at extraction")
    parser.add_argument("--model-arg", action="append", default=[], metavar="KEY=VALUE", help="argument of the model (repeatable; TOML values)")
    parser.add_argument("--preprocess", action="append", default=[], metavar="KEY=VALUE", help="size, interpolation, crop, mean, std (repeatable; TOML values)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda (default: %(default)s)")
    parser.add_argument("--batch-size", type=_positive, default=32, metavar="N")


def _running(parser: argparse.ArgumentParser, out: str, *, settings: bool = True) -> None:
    parser.add_argument("--out", metavar="FOLDER", help=f"results folder (default: {out})")
    _overwrite(parser)
    parser.add_argument("--n-jobs", type=_jobs, default=1, metavar="N", help="worker processes; -1 for all cores (default: %(default)s)")
    parser.add_argument("--dry-run", action="store_true", help="print the tasks with estimated memory and what is already done; run nothing")
    parser.add_argument("--report", action="store_true", help="also write report.html")
    if settings:
        parser.add_argument("--memory", default="4GB", help="working memory of one task (default: %(default)s)")
        parser.add_argument("--threads", type=_positive, default=1, metavar="N", help="threads of one task (default: %(default)s)")
        parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.set_defaults(resume="finished tasks are kept; start the same command again to go on")


def _overwrite(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--overwrite", action="store_true", help="replace the outputs in the folder, also of another plan; finished tasks are kept")


def _jobs(text: str) -> int:
    number = int(text)
    if number < 1 and number != -1:
        raise argparse.ArgumentTypeError("must be positive, or -1 for all cores")
    return number


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None


def _positive(text: str) -> int:
    number = _whole(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be positive")
    return number


def _natural(text: str) -> int:
    number = _whole(text)
    if number < 0:
        raise argparse.ArgumentTypeError("must not be negative")
    return number
