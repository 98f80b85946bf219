"""Train ToyCLIP, store it, and measure the stored file.

    python tools/train_toyclip.py --render            # scenes of the stream "toyclip-train" into --pool
    python tools/train_toyclip.py --train             # trains on the pool and stores the weights
    python tools/train_toyclip.py --evaluate          # measures the stored file on the stream "toyclip-heldout", prints JSON

Captions mention a random part of a scene's attributes, so a caption may be true of many scenes of a batch. The loss knows
which: it is the symmetric contrastive cross-entropy with the target spread evenly over all true pairs, plus the cross-entropy
of choosing, for each attribute, the true one among the prompts of all its values. Scenes of six combinations of colour and
category (`UNSEEN`) are left out of the training and measured apart.

Each step depends on --seed and its number only, so a run that is cut off and resumed from --state takes the same steps. The
learning rate is constant and falls linearly to zero over the last 30 % of --steps.
"""

from __future__ import annotations

import argparse
import json
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from brainenc.core.rng import generator
from brainenc.features.models import _toyclip_file as toyclip
from brainenc.simulate.scene_captions import ATTRIBUTES, MENTIONS, OPENINGS, compose, phrases, prompts
from brainenc.simulate.scenes import Scenes, render_scenes

TRAIN_STREAM, HELDOUT_STREAM = "toyclip-train", "toyclip-heldout"
UNSEEN = (("red", "tree"), ("green", "cup"), ("blue", "face"), ("yellow", "car"), ("purple", "star"), ("white", "ring"))
CHUNK, SHIFT, BATCH, WORD_DROPOUT, DECAY_SHARE, AVERAGE = 500, 2, 128, 0.02, 0.3, 0.998
NEW_OPENING = "a watercolour that depicts {}"  # its words occur in no training caption
MIRROR = {"left": "right", "right": "left"}


def render(pool: Path, n: int, seed: int, jobs: int) -> None:
    """Render n training scenes into pool/images.npy and pool/table.parquet."""
    pool.mkdir(parents=True, exist_ok=True)
    images = np.lib.format.open_memmap(pool / "images.npy", mode="w+", dtype=np.uint8, shape=(n, 64, 64, 3))
    tables = []
    with ProcessPoolExecutor(jobs) as workers:
        starts = range(0, n, CHUNK)
        for start, scenes in zip(starts, workers.map(_render_part, [(min(CHUNK, n - start), seed, start) for start in starts])):
            images[start : start + CHUNK] = scenes.images
            tables.append(scenes.table)
    images.flush()
    pd.concat(tables, ignore_index=True).to_parquet(pool / "table.parquet")


def _render_part(part: tuple[int, int, int]) -> Scenes:
    n, seed, start = part
    return render_scenes(n, seed, offset=start, stream=TRAIN_STREAM)


class Compact:
    """The tokens that occur in captions, renumbered 1 … n in their order; 0 is the row that all other tokens share."""

    def __init__(self) -> None:
        self.tokenizer = toyclip.tokenizer()
        tokens = self.tokenizer([OPENINGS[0].format(phrase) for phrase in (*phrases(), *(opening.format("") for opening in OPENINGS))])
        self.ids = torch.unique(tokens)
        self.number = torch.zeros(toyclip.config()["text_cfg"]["vocab_size"], dtype=torch.long)
        self.number[self.ids] = torch.arange(1, len(self.ids) + 1)
        self.specials = len(self.ids) - 2  # the start and end tokens have the two highest numbers

    def __len__(self) -> int:
        return len(self.ids) + 1

    def __call__(self, texts: list[str], rng: np.random.Generator | None = None) -> torch.Tensor:
        numbers = self.number[self.tokenizer(texts)]
        if rng is not None:
            lost = torch.from_numpy(rng.random(numbers.shape) < WORD_DROPOUT)
            numbers[lost & (numbers <= self.specials)] = 0
        return numbers


def batch(images: np.ndarray, scenes: list[dict[str, Any]], rows: np.ndarray, rng: np.random.Generator) -> tuple[torch.Tensor, list[dict[str, Any]]]:
    """Return normalized images, mirrored, shifted and dimmed at random, and the scenes they then show."""
    chosen = [dict(scenes[i]) for i in rows]
    pixels = images[rows]
    for k in range(len(rows)):
        if rng.random() < 0.5:
            pixels[k] = pixels[k][:, ::-1]
            chosen[k]["position"] = MIRROR.get(chosen[k]["position"], chosen[k]["position"])
        dy, dx = rng.integers(0, 2 * SHIFT + 1, 2)
        pixels[k] = np.pad(pixels[k], ((SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0)), mode="edge")[dy : dy + 64, dx : dx + 64]
    gain = rng.uniform(0.9, 1.08, (len(rows), 1, 1, 1)).astype(np.float32)
    return normalize(pixels.astype(np.float32) * gain), chosen


def normalize(pixels: np.ndarray) -> torch.Tensor:
    """Return images (n, 64, 64, 3) of 0-255 as the network's input (n, 3, 64, 64)."""
    mean, std = (np.array(toyclip.PREPROCESS[k], np.float32) for k in ("mean", "std"))
    scaled = (np.clip(pixels, 0, 255).astype(np.float32) / 255 - mean) / std
    return torch.from_numpy(scaled).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def mentions(rng: np.random.Generator) -> list[str]:
    """Return what one caption mentions: everything in a quarter of the captions, else each attribute with even chance."""
    if rng.random() < 0.25:
        return list(MENTIONS)
    kept = [name for name in MENTIONS if rng.random() < 0.5]
    return kept or [MENTIONS[int(rng.integers(len(ATTRIBUTES)))]]


def agreement(scenes: list[dict[str, Any]], said: list[list[str]]) -> torch.Tensor:
    """Return (n_images, n_captions): whether caption j, made from scene j, is true of scene i."""
    true = np.ones((len(scenes), len(scenes)), dtype=bool)
    told = {name: np.array([name in kept for kept in said]) for name in MENTIONS}
    several = np.array([scene["count"] > 1 for scene in scenes])
    true &= several[:, None] == several[None]
    second = np.array([f"{scene['second_colour']} {scene['second_category']}" for scene in scenes])
    told["second"] &= second != "none none"
    for name in MENTIONS:
        values = second if name == "second" else np.array([str(scene[name]) for scene in scenes])
        true &= (values[:, None] == values[None]) | ~told[name][None]
    return torch.from_numpy(true)


def soft_cross_entropy(logits: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """Return the cross-entropy of rows of logits with the target spread evenly over the true columns."""
    weights = true.float() / true.sum(dim=1, keepdim=True)
    return -(weights * F.log_softmax(logits, dim=1)).sum(dim=1).mean()


def step_loss(model: Any, images: torch.Tensor, scenes: list[dict[str, Any]], vocabulary: Compact, rng: np.random.Generator) -> tuple[torch.Tensor, float]:
    """Return the loss of one batch, and the mean accuracy of the attribute prompts on it."""
    said = [mentions(rng) for _ in scenes]
    texts = [compose(scene, kept, rng) for scene, kept in zip(scenes, said)]
    asked = {name: prompts(name, opening=OPENINGS[int(rng.integers(len(OPENINGS)))], wording=int(rng.integers(2))) for name in ATTRIBUTES}
    tokens = vocabulary([*texts, *(prompt for group in asked.values() for prompt in group)], rng)
    with torch.autocast("cpu", torch.bfloat16):
        seen = model.encode_image(images)
    seen, read = F.normalize(seen.float(), dim=-1), model.encode_text(tokens, normalize=True)
    scale = model.logit_scale.exp()
    logits, true = scale * seen @ read[: len(texts)].T, agreement(scenes, said)
    loss = (soft_cross_entropy(logits, true) + soft_cross_entropy(logits.T, true.T)) / 2
    start, hits = len(texts), []
    for name, group in asked.items():
        guess = scale * seen @ read[start : start + len(group)].T
        answer = torch.tensor([_answer(scene, name) for scene in scenes])
        loss = loss + F.cross_entropy(guess, answer) / 3
        hits.append((guess.argmax(dim=1) == answer).float().mean().item())
        start += len(group)
    return loss, float(np.mean(hits))


def train(args: argparse.Namespace) -> None:
    """Take the steps, keeping a running average of the weights, which is what is stored."""
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    images, table = np.load(args.pool / "images.npy", mmap_mode="r"), pd.read_parquet(args.pool / "table.parquet")
    scenes = table.to_dict("records")
    usable = np.array([i for i, scene in enumerate(scenes) if (scene["colour"], scene["category"]) not in UNSEEN])
    vocabulary = Compact()
    settings = toyclip.config()
    model = toyclip.build({**settings, "text_cfg": {**settings["text_cfg"], "vocab_size": len(vocabulary)}})
    model.visual.to(memory_format=torch.channels_last)
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}], lr=args.rate, betas=(0.9, 0.98))
    average = {name: value.clone() for name, value in model.state_dict().items()}
    first, began, accuracy = 0, time.time(), 0.0
    if args.resume:
        state = torch.load(args.state, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        average, first = state["average"], state["step"]
    for step in range(first, args.steps):
        rate = args.rate * min(1.0, (step + 1) / 200, (args.steps - step) / (DECAY_SHARE * args.steps))
        for group in optimizer.param_groups:
            group["lr"] = rate
        rng = generator(args.seed, "toyclip step", step)
        rows = np.sort(rng.choice(usable, BATCH, replace=False))
        pixels, chosen = batch(images, scenes, rows, rng)
        loss, hits = step_loss(model, pixels, chosen, vocabulary, rng)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        keep = min(AVERAGE, step / (step + 10))
        with torch.no_grad():
            model.logit_scale.clamp_(max=np.log(100))
            for name, value in model.state_dict().items():
                if value.is_floating_point():
                    average[name].lerp_(value, 1 - keep)
        accuracy = 0.95 * accuracy + 0.05 * hits
        if (step + 1) % 50 == 0:
            pace = (step + 1 - first) / (time.time() - began)
            print(f"step {step + 1} loss {loss.item():.3f} prompts {accuracy:.3f} rate {rate:.2e} {pace:.2f} steps/s", flush=True)
        if (step + 1) % 250 == 0 or step + 1 == args.steps:
            torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "average": average, "step": step + 1}, args.state)
            store(average, vocabulary, args.out)


def store(state: dict[str, torch.Tensor], vocabulary: Compact, path: Path) -> None:
    """Write the state in float16 with the trained rows of the token table."""
    kept = {name: value.half().contiguous() for name, value in state.items() if name != toyclip.TABLE and value.is_floating_point()}
    rows = state[toyclip.TABLE].half()
    kept |= {"token_ids": vocabulary.ids.to(torch.int32), "token_rows": rows[1:].contiguous(), "token_shared": rows[:1].contiguous()}
    save_file(kept, path, metadata={"format": "pt"})


def evaluate(path: Path, n: int, seed: int) -> dict[str, Any]:
    """Return the stored model's accuracy per attribute and its retrieval on held-out scenes."""
    model, _, tokenizer = toyclip.load(path)
    held = render_scenes(n, seed, stream=HELDOUT_STREAM)
    scenes = held.table.to_dict("records")
    with torch.inference_mode():
        seen = torch.cat([model.encode_image(normalize(part), normalize=True) for part in np.array_split(held.images, max(1, n // 100))])
        described = model.encode_text(tokenizer([scene["caption"] for scene in scenes]), normalize=True)
        asked = {"zero_shot": {}, "zero_shot_new_opening": {"opening": NEW_OPENING, "wording": 1}}
        texts = {label: {name: model.encode_text(tokenizer(prompts(name, **how)), normalize=True) for name in ATTRIBUTES} for label, how in asked.items()}
    result: dict[str, Any] = {"scenes": n}
    unseen = np.array([(scene["colour"], scene["category"]) in UNSEEN for scene in scenes])
    for label, group in texts.items():
        hits = {name: (seen @ read.T).argmax(dim=1).numpy() == [_answer(scene, name) for scene in scenes] for name, read in group.items()}
        result[label] = {name: float(np.mean(hit)) for name, hit in hits.items()}
        result[label]["mean"] = float(np.mean(list(result[label].values())))
        result[label]["category, unseen combinations"] = float(hits["category"][unseen].mean())
        result[label]["colour, unseen combinations"] = float(hits["colour"][unseen].mean())
    result["scenes of unseen combinations"] = int(unseen.sum())
    similarity = (seen @ described.T).numpy()
    for label, scores in (("image_to_text", similarity), ("text_to_image", similarity.T)):
        rank = (scores > np.diag(scores)[:, None]).sum(axis=1)
        result[label] = {"R@1": float(np.mean(rank < 1)), "R@5": float(np.mean(rank < 5)), "chance R@1": 1 / n}
    return result


def _answer(scene: dict[str, Any], name: str) -> int:
    return int(scene["count"]) - 1 if name == "count" else ATTRIBUTES[name].index(scene[name])


def main() -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(description="Train ToyCLIP on simulated scenes, or measure the stored file.")
    for action in ("render", "train", "evaluate"):
        parser.add_argument(f"--{action}", action="store_true")
    parser.add_argument("--pool", type=Path, default=Path("toyclip_pool"), help="folder of the rendered training scenes")
    parser.add_argument("--state", type=Path, default=Path("toyclip_state.pt"), help="where the running state is kept")
    parser.add_argument("--out", type=Path, default=toyclip.FOLDER / "toyclip.safetensors")
    parser.add_argument("--resume", action="store_true", help="go on from --state")
    parser.add_argument("--scenes", type=int, default=32000, help="scenes of the pool")
    parser.add_argument("--steps", type=int, default=3000, help=f"steps of {BATCH} scenes")
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--heldout", type=int, default=1000)
    args = parser.parse_args()
    if args.render:
        render(args.pool, args.scenes, args.seed, args.jobs)
    if args.train:
        train(args)
    if args.evaluate:
        print(json.dumps(evaluate(args.out, args.heldout, args.seed), indent=2))


if __name__ == "__main__":
    main()
