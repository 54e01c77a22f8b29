"""`utils.Config`: named values that can be frozen."""

import copy
import json
import pickle

import pytest

from fastnn.utils import Config


def test_values_are_attributes_and_items():
    config = Config(rate=0.1, steps=3)
    config.name, config["seed"] = "a", 7
    assert (config.rate, config["name"], config.seed) == (0.1, "a", 7)
    assert list(config.keys()) == ["rate", "steps", "name", "seed"]
    assert list(config) == ["name", "rate", "seed", "steps"]
    assert dict(config.items()) == config.as_dict() == json.loads(config.to_json())
    assert (len(config), "seed" in config, "none" in config) == (4, True, False)
    assert (config.pop("seed"), config.get("seed"), config.get("seed", 1)) == (7, None, 1)
    config.update({"rate": 0.2}, more=5)
    del config["more"]
    held = config.as_dict()
    held["rate"] = 9
    assert list(config.values()) == [0.2, 3, "a"]
    for again in (copy.deepcopy(config), pickle.loads(pickle.dumps(config))):
        assert again.as_dict() == config.as_dict()
    with pytest.raises(AttributeError, match="hint: did you mean steps"):
        config.step  # noqa: B018
    with pytest.raises(AttributeError, match="hint: another name"):
        config.items = 3


def test_a_frozen_config_does_not_change():
    config = Config(rate=0.1)
    config.freeze()
    assert config.frozen
    for change in (
        lambda: setattr(config, "rate", 1), lambda: config.update(rate=1),
        lambda: config.pop("rate"), lambda: config.__setitem__("a", 1),
        lambda: config.__delitem__("rate"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"frozen\.\n  hint: config\.unfreeze"):
            change()
    config.unfreeze()
    config.rate = 2
    assert config.as_dict() == {"rate": 2}
