import numpy as np
import pytest

import brainenc as be
from brainenc.core.errors import InputError


@pytest.fixture
def pictures(tmp_path, rng):
    values = rng.integers(0, 256, (7, 8, 8, 3), dtype=np.uint8)
    np.save(tmp_path / "p.npy", values)
    return values, be.StimulusSet({"stimulus_id": list("abcdefg"), "path": [f"p.npy::[{i}]" for i in range(7)]}, root=tmp_path)


def test_pixels_are_the_picture(pictures):
    values, stimuli = pictures
    layers = be.extract(stimuli, "pixels", layers="*", preprocess={"size": 8}, cache=False, progress=False)
    np.testing.assert_allclose(layers["pixels/colour"].values, values.transpose(0, 3, 1, 2).reshape(7, -1) / 255, atol=1e-6)
    grey = values.reshape(7, -1, 3) / 255 @ [0.299, 0.587, 0.114]
    np.testing.assert_allclose(layers["pixels/grey"].values, grey, atol=1e-6)
    assert layers["pixels/grey"].features.iloc[9].to_dict() == {"channel": "luminance", "row": 1, "column": 1}


def test_pixels_have_no_options(pictures):
    with pytest.raises(InputError, match="no variants"):
        be.extract(pictures[1], "pixels:big", cache=False, progress=False)
