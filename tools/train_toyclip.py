"""Train ToyCLIP on procedural scenes and their captions, store it, and evaluate the stored file.

    python tools/train_toyclip.py --pool 60000 --steps 6000          # train, store, evaluate, write the model card
    python tools/train_toyclip.py --evaluate                         # evaluate the stored file only

The loss is contrastive with several positives: a caption that mentions some attributes is true of every scene that has them, so its
target is uniform over the scenes of the batch that it is true of, and the other way round. Training scenes come from the stream of seed
TRAIN_SEED, held-out scenes from HELD_OUT_SEED; the data set insilico draws from others.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file

from brainenc.core.rng import derive, generator
from brainenc.features.models import _toyclip_file as toyclip
from brainenc.simulate import scenes as procedural

TRAIN_SEED, HELD_OUT_SEED, SEED = 1_000_001, 2_000_002, 0
CHUNK = 500
PREFIXES = ("", "a picture of ", "a photo of ")
VALUES = {
    "category": procedural.CATEGORIES,
    "colour": tuple(procedural.COLOURS),
    "count": procedural.COUNTS,
    "position": tuple(procedural.POSITIONS),
    "texture": procedural.TEXTURES,
    "background": procedural.BACKGROUNDS,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", type=int, default=60_000, help="training scenes")
    parser.add_argument("--steps", type=int, default=6_000)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rate", type=float, default=2e-3, help="peak learning rate")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--evaluate", action="store_true", help="evaluate the stored file only")
    parser.add_argument("--out", type=Path, default=toyclip.FOLDER / "toyclip.safetensors")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if not options.evaluate:
        train(options)
    report = evaluate(options.out)
    print(report.to_string())
    write_card(report, options)


def train(options: argparse.Namespace) -> None:
    """Train on a pool of scenes and store the model (and a checkpoint every thousand steps)."""
    torch.manual_seed(derive(SEED, "toyclip weights"))
    images, table = render_pool(options.pool, TRAIN_SEED, options.threads)
    codes = attribute_codes(table)
    ids = token_ids()
    model = compact_model(ids)
    decay = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW([{"params": decay, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0.0}], lr=options.rate, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, options.rate, total_steps=options.steps, pct_start=0.05)
    rng = generator(SEED, "toyclip batches")
    started, running = time.time(), 0.0
    for step in range(options.steps):
        model.train()
        rows = rng.integers(len(images), size=options.batch)
        pixels = augment(images[rows], rng)
        mention = draw_mentions(options.batch, rng)
        texts = [describe(codes[row], mentioned, rng) for row, mentioned in zip(rows, mention, strict=True)]
        tokens = compact_tokens(tuple(texts), ids)
        loss = contrastive(model, pixels, tokens, codes[rows], mention)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, np.log(100))
        running = 0.98 * running + 0.02 * loss.item() if step else loss.item()
        if (step + 1) % 250 == 0:
            print(f"step {step + 1:6d}  loss {running:.4f}  {(time.time() - started) / (step + 1):.3f} s/step", flush=True)
        if (step + 1) % 1000 == 0 or step + 1 == options.steps:
            store(model, ids, options.out)
            print(evaluate(options.out, n=500).to_string(), flush=True)


def contrastive(model: torch.nn.Module, pixels: torch.Tensor, tokens: torch.Tensor, codes: np.ndarray, mention: np.ndarray) -> torch.Tensor:
    """Symmetric cross-entropy against the uniform distribution over true pairs."""
    image = torch.nn.functional.normalize(model.encode_image(pixels), dim=-1)
    text = torch.nn.functional.normalize(model.encode_text(tokens), dim=-1)
    logits = model.logit_scale.exp() * image @ text.T
    same = codes[:, None, :] == codes[None, :, :]
    true = torch.from_numpy((same | ~mention[None]).all(axis=2)).float()
    rows = -(true / true.sum(1, keepdim=True) * logits.log_softmax(1)).sum(1).mean()
    columns = -(true / true.sum(0, keepdim=True) * logits.log_softmax(0)).sum(0).mean()
    return (rows + columns) / 2


def draw_mentions(n: int, rng: np.random.Generator) -> np.ndarray:
    """Which attributes each caption mentions (n, 6): one of them, all of them, or a random part."""
    n_attributes = len(procedural.ATTRIBUTES)
    mention = rng.random((n, n_attributes)) < rng.uniform(0.3, 0.9, (n, 1))
    single = rng.random(n) < 0.35
    mention[single] = np.eye(n_attributes, dtype=bool)[rng.integers(n_attributes, size=int(single.sum()))]
    mention[rng.random(n) < 0.25] = True
    empty = ~mention.any(axis=1)
    mention[empty, rng.integers(n_attributes, size=int(empty.sum()))] = True
    return mention


def describe(code: np.ndarray, mentioned: np.ndarray, rng: np.random.Generator) -> str:
    """Caption of a scene from its codes."""
    row = {name: VALUES[name][value] for name, value in zip(procedural.ATTRIBUTES, code, strict=True)}
    words = tuple(name for name, used in zip(procedural.ATTRIBUTES, mentioned, strict=True) if used)
    return PREFIXES[rng.integers(len(PREFIXES))] + procedural.caption(row, words)


def attribute_codes(table: pd.DataFrame) -> np.ndarray:
    """Positions of the attribute values in VALUES (n, 6)."""
    return np.stack([[VALUES[name].index(value) for value in table[name]] for name in procedural.ATTRIBUTES], axis=1)


def augment(images: np.ndarray, rng: np.random.Generator) -> torch.Tensor:
    """Scale to the model's units and shift by up to two pixels."""
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="edge")
    dy, dx = rng.integers(5, size=2)
    return to_pixels(padded[:, dy : dy + images.shape[1], dx : dx + images.shape[2]])


def to_pixels(images: np.ndarray) -> torch.Tensor:
    mean, spread = toyclip.PREPROCESS["mean"][0], toyclip.PREPROCESS["std"][0]
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).float().div_(255).sub_(mean).div_(spread)


def token_ids() -> np.ndarray:
    """Sorted ids of all tokens that captions can hold (begin, end and padding among them)."""
    words = ["a an photo picture of thing things in the at on background centre one two three", " ".join(map(str, procedural.PLURALS.values()))]
    words += [f"{value} {value}s" for name in VALUES for value in VALUES[name]]
    return np.unique(toyclip.tokenizer()(words).numpy())


def compact_model(ids: np.ndarray) -> torch.nn.Module:
    """The same architecture with a table of the used tokens alone; row 0 is the shared one."""
    from open_clip.model import CLIP

    config = toyclip.config()
    config["text_cfg"]["vocab_size"] = len(ids) + 1
    return CLIP(**config)


@lru_cache(maxsize=1)
def _tokenizer():
    return toyclip.tokenizer()


@lru_cache(maxsize=200_000)
def _tokens(text: str) -> torch.Tensor:
    return _tokenizer()([text])[0]


def compact_tokens(texts: tuple[str, ...], ids: np.ndarray) -> torch.Tensor:
    """Tokenize and renumber; the end token keeps the largest number, which open_clip looks for."""
    tokens = torch.stack([_tokens(text) for text in texts]).numpy()
    return torch.from_numpy(np.searchsorted(ids, tokens) + 1)


def store(model: torch.nn.Module, ids: np.ndarray, path: Path) -> None:
    """Write the float16 file."""
    state = {name: value.detach() for name, value in model.state_dict().items()}
    table = state.pop(toyclip.TABLE)
    kept = {name: value.half() if value.is_floating_point() else value for name, value in state.items() if not name.endswith("attn_mask")}
    kept |= {"token_ids": torch.from_numpy(ids.astype(np.int32)), "token_rows": table[1:].half(), "token_shared": table[:1].half()}
    save_file({name: value.contiguous() for name, value in kept.items()}, path)


@torch.inference_mode()
def evaluate(path: Path, n: int = 1000) -> pd.Series:
    """Zero-shot accuracy for each attribute and image-to-text retrieval on held-out scenes, from the stored file."""
    model, _, tokenize = toyclip.load(path)
    scenes = procedural.render_scenes(n, HELD_OUT_SEED)
    image = torch.cat([model.encode_image(to_pixels(part), normalize=True) for part in np.array_split(scenes.images, max(1, n // 250))])
    codes = attribute_codes(scenes.table)
    result = {}
    for column, name in enumerate(procedural.ATTRIBUTES):
        prompts = ["a picture of " + procedural.caption({name: value}, (name,)) for value in VALUES[name]]
        text = model.encode_text(tokenize(prompts), normalize=True)
        result[f"zero-shot {name}"] = float(((image @ text.T).argmax(1).numpy() == codes[:, column]).mean())
    result["zero-shot mean"] = float(np.mean(list(result.values())))
    text = model.encode_text(tokenize(list(scenes.table["caption"])), normalize=True)
    rank = ((image @ text.T) > (image * text).sum(1, keepdim=True) + 1e-6).sum(1).numpy()
    result["retrieval R@1"], result["retrieval R@5"] = float((rank < 1).mean()), float((rank < 5).mean())
    return pd.Series(result).round(4)


def render_pool(n: int, seed: int, workers: int) -> tuple[np.ndarray, pd.DataFrame]:
    """Render the pool in chunks; the pixels go to a temporary memory map."""
    size = toyclip.config()["vision_cfg"]["image_size"]
    stream = tempfile.TemporaryFile()  # noqa: SIM115
    images = np.memmap(stream, dtype=np.uint8, mode="w+", shape=(n, size, size, 3))
    starts = list(range(0, n, CHUNK))
    tables = []
    with ProcessPoolExecutor(workers) as pool:
        for start, part in zip(starts, pool.map(_render, [(min(CHUNK, n - s), seed, size, s) for s in starts]), strict=True):
            images[start : start + len(part.images)] = part.images
            tables.append(part.table)
    return images, pd.concat(tables, ignore_index=True)


def _render(job: tuple[int, int, int, int]) -> procedural.Scenes:
    n, seed, size, start = job
    return procedural.render_scenes(n, seed, size=size, start=start)


def write_card(report: pd.Series, options: argparse.Namespace) -> None:
    """Write the measured figures into the model card, between its two marks."""
    card = toyclip.FOLDER / "MODEL_CARD.md"
    if not card.exists() or options.out != toyclip.FOLDER / "toyclip.safetensors":
        return
    lines = ["| measure (1000 held-out scenes, stored float16 file) | value |", "|---|---|", *[f"| {k} | {v:.3f} |" for k, v in report.items()]]
    text = card.read_text(encoding="utf-8")
    head, rest = text.split("<!-- figures -->\n", 1)
    tail = rest.split("<!-- end of figures -->", 1)[1]
    card.write_text(head + "<!-- figures -->\n" + "\n".join(lines) + "\n<!-- end of figures -->" + tail, encoding="utf-8")


if __name__ == "__main__":
    main()
