"""
sEEG sites that integrate vision and language
=============================================

A contact may answer to the picture, to the sentence, to both one after the other, or to what the two mean together. Only the last is integration.
Models can tell: a multimodal model has to predict the contact better than each unimodal one, better than both side by side, and better than its own
architecture with random weights, around the words and around the cuts of a film.
"""

# %%
# A film and its events
# ---------------------
# A simulated person with 30 contacts on five shafts watches a film. There are two event structures: words (the sentence, with the frame on
# the screen) and cuts (the new frame, with the nearest sentence). What drives each contact is known, and two of them combine both modalities.

import matplotlib.pyplot as plt
import numpy as np

import brainenc as be
from brainenc.core.errors import InputError
from brainenc.encoding import Integration, multimodal_sites
from brainenc.simulate import insilico_seeg

stimuli, film = be.load("insilico_seeg", subject="01")
structures = {name: film.rows(f"structure == '{name}'") for name in ("language", "vision")}
contacts = film.targets.drop_duplicates("channel").set_index("channel")
print(film, *structures.values(), sep="\n")
print(stimuli.table[["structure", "run", "onset", "text"]].head(4).to_string())
print("\nwhat drives the contacts:", contacts["driver"].value_counts().to_dict())

# %%
# Epochs of a film overlap
# ------------------------
# An event comes every 1.2 s and its epoch is 1.7 s long, so neighbouring epochs share signal. Folds of shuffled events would train on
# a part of what they test; brainenc refuses them and says what to do. Whole runs are apart.

try:
    be.score_layers(insilico_seeg.models()["vision"], structures["vision"], split=be.split.kfold(5, seed=0))
except InputError as error:
    print(error)

# %%
# Models and their roles
# ----------------------
# Features have one row an event. Here: embeddings of frame and sentence, a network that gates one by the other, and the same network with random
# weights. With real models these are, for instance, the layers of an image model, a text model and a vision-language model.

models = insilico_seeg.models()
print({name: space.n_features for name, space in models.items()})
roles = {"multimodal": "fusion", "unimodal": ["vision", "language"], "random": "fusion-random"}
found = multimodal_sites(models, structures, **roles, split=be.split.runs(), n=500, progress=False)
print(found)

# %%
# What a multimodal site has to pass
# ----------------------------------
# Each comparison is made in every bin on the same draws of events, in blocks of events that overlap, after prediction: no event is on both sides.
# q is corrected over all contacts and bins of a comparison. A contact passes with bins of q < 0.05 that make up 0.25 s, and has to
# pass all comparisons around words and around cuts. ``weakest`` is where it fell short.

table = found.sites.set_index("channel")
columns = ["roi", "multimodal", "weakest", *(f"bins: {name}" for name in found.comparisons)]
shown = table[columns].assign(driver=contacts["driver"]).sort_values(["multimodal", "bins: unimodal"], ascending=False).head(9)
print(shown.to_string())

# %%
# Two sites are found, the two that were planted. Contacts that add vision and language (``sum``) mostly beat each unimodal model, and would be called
# multimodal without the concatenation: with it they are not.

be.plot(found)

# %%
# How much?
# ---------
# A site that passes may still gain little. The mean difference is over *all* bins, so nothing was chosen by looking; the one at the peak flatters.

effects = found.to_frame()
chosen = effects[effects["channel"].isin(table.index[table["multimodal"]]) & effects["comparison"].isin(["unimodal", "concatenation", "random"])]
print(chosen[["channel", "structure", "comparison", "mean_difference", "ci_low", "ci_high", "peak_difference", "peak_time"]].round(3).to_string(index=False))

# %%
# Where?
# ------
# Contacts lie where the clinic needed them, and few stand for a region: the share of sites says so with its interval, which takes contacts of
# a shaft for independent and is the least uncertainty there is.

be.plot(found, "map")

# %%
# More people are analysed one by one, under the same criteria, and joined:

other = be.load("insilico_seeg", subject="02").responses
theirs = multimodal_sites(models, {name: other.rows(f"structure == '{name}'") for name in structures}, **roles, split=be.split.runs(), n=500, progress=False)
both = Integration.stack([found, theirs])
print(both)
print(both.regions().round(3).to_string(index=False))
be.plot(both, "regions")

# %%
# What is left when there is nothing?
# -----------------------------------
# The control is a film whose sentences belong to other frames: the multimodal model then has no true pairs to combine. Its features are taken from
# events in another order, in training and test alike, and the pair "fusion > shuffled" would be one more comparison (``pairs=``). Here it is
# the multimodal model itself, and no site is found.

order = np.random.default_rng(0).permutation(len(stimuli))
seen, heard = models["vision"].values, models["language"].values
fused = models["fusion"].values[order, 128:]  # the gates, of other events
shuffled = be.FeatureSpace(np.hstack([seen, heard, fused]), models["fusion"].samples, name="shuffled/embedding")
nothing = multimodal_sites(
    {**models, "shuffled": shuffled}, structures, multimodal="shuffled", unimodal=["vision", "language"], split=be.split.runs(), n=200, progress=False
)
print(nothing)

# %%

fig, axis = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
for name, one, color in (("fusion", found, "#332288"), ("shuffled pairs", nothing, "#98a2ad")):
    gain = one.effects[one.effects["comparison"] == "concatenation"].groupby("channel")["mean_difference"].min()
    axis.hist(gain, bins=np.linspace(-0.06, 0.14, 41), color=color, alpha=0.75, label=name)
axis.set(xlabel="mean Δr over the concatenation, smaller of both structures", ylabel="contacts", title="Gain of two models at 30 contacts")
axis.spines[["top", "right"]].set_visible(False)
axis.legend(frameon=False)

# %%
# What this cannot say
# --------------------
# * That a site integrates rests on *these* models. A unimodal model that knows more (a picture model that read captions in training) may
#   close the gap: state the models, and compare pairs that differ in training alone (``pairs=[("with text", "without")]``).
# * A better multimodal model may simply be the better model. That is why random weights, the concatenation and pairs are asked for together.
# * Correlated cuts, words and sounds of a film leave a site's answer to one of them in the epochs of another.
# * Five folds train one another; intervals are widened by √2 for it, and tests are conservative.
