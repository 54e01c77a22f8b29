"""Fitting, evaluating and predicting: what `Model` does beyond `Layer`."""
