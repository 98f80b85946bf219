"""
RSA from fMRI patterns to a model comparison
============================================

Which model has the geometry of which region, for people and scenes that were not measured? Response patterns become RDMs, model features
become RDMs, and one call compares them: scores, noise ceilings, intervals over subjects *and* stimuli, tests, and what may be claimed.
In ``insilico`` the answer is known.
"""

# %%
# Patterns
# --------
# Four subjects saw every scene three times. We take 96 test scenes, eight of each category, so that the RDMs stay readable.

import numpy as np

import brainenc as be

loaded = {subject: be.load("insilico", subject=subject) for subject in ("01", "02", "03", "04")}
stimuli, _ = loaded["01"]
test = stimuli.table[stimuli.table["split"] == "test"]
chosen = test.groupby("category").head(8).sort_values("category").index
scenes = stimuli.take(chosen)
brains = {subject: brain.take_rows(np.isin(brain.samples["stimulus_id"], chosen)) for subject, (_, brain) in loaded.items()}
print(brains["01"])

# %%
# RDMs of the brain
# -----------------
# One RDM a subject and region. The correlation distance averages the repeats first. Noise makes every pair of patterns look more different
# than it is, and more so where there is more noise.

correlation = be.rsa.rdm(brains, metric="correlation", conditions="stimulus_id", by="roi")
print(correlation)

# %%
# Crossnobis distances multiply differences that were measured in different repeats, so that noise averages to zero, and weigh the voxels by
# the noise they share. The noise is estimated with shrinkage from the repeats of *other* scenes: where every scene comes once in a fold, its
# own residuals are the very differences that are multiplied. Distances can be negative: zero means "the same pattern".

noise = {subject: be.rsa.noise_model(brain.rows("split == 'train'")) for subject, (_, brain) in loaded.items()}
crossnobis = be.rsa.rdm(brains, metric="crossnobis", conditions="stimulus_id", folds="repeat", noise=noise, by="roi")
for name, rdms in (("correlation", correlation), ("crossnobis", crossnobis)):
    print(f"{name:12s} {(rdms.values < 0).mean():.0%} of the distances are negative")

be.plot(crossnobis.where(subject="01"))

# %%
# RDMs of the models
# ------------------
# Every model returns features, and features become RDMs with the same verb.

layers = {
    **be.extract(scenes, "pixels"),
    **be.extract(scenes, "gabor"),
    **be.extract(scenes, "toyclip", layers=["visual.layer1", "visual.layer2", "visual.layer4"]),
    **be.extract(scenes, "table:concepts"),
}
models = be.rsa.rdm(layers, metric="correlation")
print(models.rdms.to_string(index=False))

# %%
# Models against the brain
# ------------------------
# One entry point. Subjects and scenes are both resampled, as the claim is about other people and other scenes; all models and regions share
# the draws. The ceilings say how well any model could do with these subjects: each one against the mean of the others (lower) and of all
# (upper). The permutations relabel the scenes.

evaluation = be.rsa.evaluate(models, correlation, by="roi", method="pearson", n=1000, permutations=200, seed=0)
table = evaluation.to_frame()
print(table.pivot(index="layer", columns="roi", values="score").round(2).to_string())

# %%
# Full bars are significant after correction, models that share a letter cannot be told apart, the band is the noise ceiling.

be.plot(evaluation)

# %%
# What may be claimed?
# --------------------
# Where even the lower ceiling's interval includes zero, the subjects do not agree with one another, and no model is called significant
# there, whatever its p. With four subjects that happens easily.

best = table.loc[table.groupby("roi", sort=False)["score"].idxmax()]
for _, row in best.iterrows():
    print(f"{row['roi']:4s} {row['layer']:14s} {row['score']:.2f}, ceiling {row['ceiling_low']:.2f} to {row['ceiling_high']:.2f}: {row['claim']}")

# %%
# Distances without the noise
# ---------------------------
# Distances of an RDM share conditions and so share their errors; the whitened cosine accounts for that, and suits crossnobis distances, whose
# zero means something. It is positive for almost any two RDMs, so it is read against the other models and the ceiling rather than against zero.

whitened = be.rsa.evaluate(models, crossnobis, by="roi", method="whitened_cosine_similarity", n=1000, seed=0)
print(whitened.to_frame().pivot(index="layer", columns="roi", values="score").round(2).to_string())

# %%
# Which models differ? All pairs of all regions are one family of tests, on the same draws.

pairs = whitened.test("pairs")
distinct = pairs[pairs["q"] < 0.05]
print(f"{len(distinct)} of {len(pairs)} pairs differ; in V1 and V4:")
print(distinct[distinct["roi"].isin(["V1", "V4"])][["roi", "layer_a", "layer_b", "estimate", "q"]].round(3).to_string(index=False))

# %%
# What was planted?
# -----------------
# V1 and V2 follow Gabor energy, V4 a middle layer, the others the concepts. A fifth of the signal is private to the region.

planted = brains["01"].targets.groupby("roi", sort=False)["driver"].first()
scores = whitened.to_frame().assign(name=lambda frame: frame["model"] + "/" + frame["layer"])
found = scores.loc[scores.groupby("roi", sort=False)["score"].idxmax()].set_index("roi")["name"]
for roi, driver in planted.items():
    print(f"{roi:4s} planted {driver:24s} found {found[roi]:24s} {'yes' if found[roi] == driver else 'no'}")

# %%
# Geometry after weighting
# ------------------------
# V4 was missed: RSA takes the features as they are, and V4 weighs those of its layer unequally. An encoding model learns the weights, and the
# RDM of what it predicts for held-out scenes has the geometry after weighting.

_, brain = loaded["01"]
everything = be.extract(stimuli, "toyclip", layers=["visual.layer1", "visual.layer2", "visual.layer4"])
encoded = be.score_layers(everything, brain.where(roi="V4"), split=be.split.images(test=0.25, seed=0), keep_predictions=True)
print(be.rsa.similarity.predicted_rsa(encoded)[["roi", "layer", "score", "n_stimuli"]].round(2).to_string(index=False))

# %%
# Other ways to ask
# -----------------
# Measures that take the patterns themselves have the same shape: representations in, a table out. Debiased CKA is zero for unrelated
# patterns, however many voxels there are.

print(be.rsa.similarity.cka(layers, {roi: brains["01"].where(roi=roi) for roi in planted.index}, estimator="debiased").round(2).to_string())
