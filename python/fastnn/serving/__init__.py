"""Predictions as a service: a warm model that many threads may ask, and an HTTP app around it."""

from fastnn.base.absent import answer_missing
from fastnn.serving.app import create_app, serve
from fastnn.serving.guard import Limits
from fastnn.serving.predictor import Port, Predictor

__all__ = ["Limits", "Port", "Predictor", "create_app", "serve"]

answer_missing(globals())
