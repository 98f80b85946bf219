"""A few smooth colour images in one .npy, and a tiny network registered nowhere."""

from __future__ import annotations

import numpy as np
import pytest

N_IMAGES = 9


@pytest.fixture(scope="session")
def pictures():
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(7)
    smooth = gaussian_filter(rng.normal(128, 400, (N_IMAGES, 72, 64, 3)), (0, 2, 2, 0))
    return np.clip(smooth, 0, 255).astype(np.uint8)


@pytest.fixture
def images(tmp_path, pictures):
    import brainenc as be

    np.save(tmp_path / "images.npy", pictures)
    table = {
        "stimulus_id": [f"s{i}" for i in range(N_IMAGES)],
        "path": [f"images.npy::[{i}]" for i in range(N_IMAGES)],
        "kind": ["dog", "cat", "dog", "bird", "cat", "dog", "cat", "bird", "dog"],
        "group.size": np.arange(N_IMAGES) / 4,
        "group.living": [True] * 7 + [False] * 2,
    }
    return be.StimulusSet(table, root=tmp_path, name="nine pictures")
