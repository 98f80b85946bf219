"""Stimuli and subjects with known ground truth: procedural scenes, and the embedded data set ``insilico``."""
