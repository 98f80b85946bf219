"""
Frequency tagging: what follows the rhythm of language
======================================================

Play words at an even rate, four a second. If every two make a phrase and every four a sentence, then whatever follows phrases repeats
twice a second and whatever follows sentences once a second, although nothing in the sound does. A peak in the spectrum at one of these
rates tags the level. Here we find the contacts of a simulated brain that follow each level, ask the same of the units of a small text model,
and see what goes wrong when a peak is judged by the wrong null.
"""

# %%
# The recording
# -------------
# ``frequency_tagging`` is a simulated intracranial recording: 66 contacts on 11 shafts, 20 trials of 8 s of whole sentences, of phrases that
# make no sentence, and of words out of order. Which contact follows what is known, and stands in the targets.

import numpy as np
import pandas as pd

import brainenc as be
from brainenc import frequency
from brainenc.simulate.sentences import sentences

stimuli, brain = be.load("frequency_tagging", subject="01")
for name in ("sentence_01", "phrase_01", "random_01"):
    print(f"{name:12s} {stimuli.load(name)[:66]} …")
brain

# %%
# The tags
# --------
# ``tag`` reads each frequency in its own bin: in 8 s, 1 Hz is bin 8. A trial in which a frequency has no whole number of cycles is refused, and
# the message says which lengths would do. Every channel and tag is tested across trials (T²circ: is the mean of the complex coefficients zero?),
# and the false discovery rate is held over all of them.

levels = {"sentence": 1.0, "phrase": 2.0, "word": 4.0}
tagging = frequency.tag(brain.rows(condition="sentence"), targets=levels, n=1000)
print(tagging)
be.plot(tagging)

# %%
be.plot(tagging, "channels", by="roi")

# %%
# Against the truth, in each condition. Sentences are not there in phrases or in random words, and nothing is found; words always are.
# ``p_max`` compares a contact with the largest of all contacts when trials are moved against each other.

rows = []
for condition in ("sentence", "phrase", "random"):
    found = frequency.tag(brain.rows(condition=condition), targets=levels, n=500)
    for column, level in enumerate(levels):
        follows = (brain.targets["driver"] == level).to_numpy()
        passed = found["q"][:, column] <= 0.05
        rows.append((condition, level, passed[follows].mean(), passed[~follows].mean(), (found["p_max"][:, column] <= 0.05).sum()))
print(pd.DataFrame(rows, columns=["condition", "level", "found", "false", "contacts with p_max ≤ 0.05"]).round(2).to_string(index=False))

# %%
# How much, and how reliably
# --------------------------
# The amplitude of a selected contact is too large on the trials that selected it. ``select_channels`` lets one half of the trials select and
# the other tell the amplitude, and reports how well halves agree.

chosen = frequency.select_channels(brain.rows(condition="sentence"), targets=levels)
print(chosen.reliability.round(2).to_string(index=False))
table = chosen.to_frame().query("selected")
print(table[["channel", "roi", "level", "amplitude", "amplitude_held_out", "share", "q"]].head(6).round(3).to_string(index=False))
be.plot(chosen, by="roi")

# %%
# A text model
# ------------
# A model reads one unit at a time, so its sampling rate is the rate of the units: sentences of four words come at 1/4 of it, phrases at 1/2,
# which is the Nyquist bin. Each sequence puts 25 sentences in a random order; the control has the same sentences with their words in an order
# that keeps no neighbours. Activations are averaged over the tokens of each word. (The model has random weights: there is no download here.
# ``"transformers:gpt2"`` works the same way.)

english = sentences(25)
config = {"model_type": "gpt2", "vocab_size": 300, "n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 1024, "bos_token_id": 1, "eos_token_id": 2}
reading = {"weights": "random", "model_kwargs": {"config": config, "max_tokens": 1024}}
experiment = frequency.sequence_activations(frequency.orderings(english, 12), "transformers:tiny", "h.*.mlp.act", **reading)
control = frequency.sequence_activations(frequency.orderings(frequency.scramble(english), 12), "transformers:tiny", "h.*.mlp.act", **reading)
print(frequency.rates(4))

# %%
# A unit is selected if it has the rhythm and has more of it than with scrambled words.

units = frequency.select_units(experiment, control, targets=frequency.rates(4), test="t2circ", n=999)
print(units.counts("layer").to_string())
be.plot(units)

# %%
# Random weights know no syntax, and yet units follow sentences, and more so than with scrambled words: nouns and verbs stand at fixed places
# in these sentences and differ in their letters. A difference from the control says that order within sentences matters to a unit. A claim
# about syntax also needs a model without any to compare with, such as this one.

everyone = frequency.tag(experiment, targets=frequency.rates(4))
for level, share in zip(everyone.tags["level"], (everyone["q"] <= 0.05).mean(axis=0)):
    print(f"{level}: {share:.0%} of the units have the rhythm (q ≤ 0.05)")

# %%
# What goes wrong at Nyquist
# --------------------------
# A bin of the spectrum has two degrees of freedom, a cosine and a sine. The last one, at half the sampling rate, has only the cosine: its
# amplitude is the size of one normal number, not of two, and it has no phase. Judged by the null of the other bins, noise passes too often:

noise = np.random.default_rng(0).standard_normal((5000, 200))
power = np.abs(np.fft.rfft(noise)) ** 2
threshold = np.quantile(power[:, 50], 0.95)
print(f"noise above the 5 % threshold of the sentence bin: sentence {np.mean(power[:, 50] > threshold):.3f}, phrase {np.mean(power[:, 100] > threshold):.3f}")
right = frequency.tag(noise, 4.0, {"sentence": 1.0, "phrase": 2.0})
print("with the null of each bin:", (right["p"] <= 0.05).mean(axis=0).round(3))
right.tags[["level", "frequency", "bin", "degrees", "note"]]

# %%
# And what goes wrong when samples are shuffled
# ---------------------------------------------
# Permuting the samples of a series takes its memory away. Brain signals have one (more power at low frequencies), so contacts "follow" a
# sentence that is not there, in trials of random words. Moving whole trials against each other keeps it.

recordings = [be.load("frequency_tagging", subject=subject).responses.rows(condition="random") for subject in ("01", "02", "03", "04")]
for test in ("series", "shift"):
    p = np.concatenate([frequency.tag(one, targets={"sentence": 1.0}, test=test, n=300)["p"] for one in recordings])
    print(f"{test:7s} {np.mean(p <= 0.05):.3f} of {len(p)} contacts have p ≤ 0.05")
