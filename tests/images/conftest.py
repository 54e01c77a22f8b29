import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def photos(tmp_path):
    """A folder with two classes of nine and seven pictures, each of one colour and another size."""
    draw = np.random.default_rng(0)
    for name, count in (("cat", 9), ("dog", 7)):
        (tmp_path / name).mkdir()
        for i in range(count):
            size = tuple(int(s) for s in draw.integers(6, 20, 2))
            colour = (10 * i, 200 if name == "dog" else 0, 30)
            Image.new("RGB", size, colour).save(tmp_path / name / f"{i}.png")
    return tmp_path
