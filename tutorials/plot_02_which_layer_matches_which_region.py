"""
Which layer matches which region?
=================================

Three families of models compete for seven regions: Gabor energy, the layers of a small vision-language model, and a plain table of
concepts. In ``insilico`` the answer is known, so we can check whether the method finds it.
"""

# %%
# All candidates
# --------------
# Every model returns the same thing, so they go into one dictionary.

import brainenc as be

stimuli, brain = be.load("insilico", subject="01")
candidates = {
    **be.extract(stimuli, "gabor"),
    **be.extract(stimuli, "toyclip", layers="visual.*"),
    **be.extract(stimuli, "table:concepts"),
}
print(*candidates, sep="\n")

# %%
# One call scores them all. ``keep_predictions`` keeps the held-out predictions, which paired comparisons need.

scores = be.score_layers(candidates, brain, split=be.split.images(test=0.25, seed=0), metric=("pearson", "r2"), keep_predictions=True)
be.plot(scores)

# %%
# Layer by layer
# --------------

be.plot(scores, kind="profiles")

# %%
# A winner, or a tie?
# -------------------
# The highest bar is not yet a claim. ``winners`` resamples the test images, the same draws for every layer, and gives the interval of the
# difference between the best and the second best.

from brainenc.encoding import winners

table = winners(scores, by="roi", n=1000, seed=0)
print(table.round(3).to_string(index=False))

# %%
# What was planted?
# -----------------

planted = brain.targets.groupby("roi", sort=False)["driver"].first()
found = table.set_index("roi")["winner"]
for roi, driver in planted.items():
    print(f"{roi:4s} planted {driver:28s} found {found[roi]:28s} {'yes' if found[roi] == driver else 'no'}")

# %%
# How much of what could be explained is explained?
# -------------------------------------------------
# A fifth of the signal is private: no candidate has it, so even the planted driver stays below the ceiling.

be.plot(scores, kind="ceiling")
