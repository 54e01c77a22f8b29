"""Recurrent layers, their cells, and the wrappers that run layers along or against time.

`loop` carries a cell over the steps, `rnn` is the layer around it; `lstm`, `gru` and `simple` hold
a cell and its layer each. Depends on `layers.base`.
"""

from __future__ import annotations

from fastnn.layers.rnn.bidirectional import Bidirectional
from fastnn.layers.rnn.conv_lstm import (
    ConvLSTM as ConvLSTM,
    ConvLSTM1D,
    ConvLSTM2D,
    ConvLSTM3D,
    ConvLSTMCell as ConvLSTMCell,
)
from fastnn.layers.rnn.dropout import DropoutRNNCell as DropoutRNNCell
from fastnn.layers.rnn.gru import GRU, GRUCell
from fastnn.layers.rnn.lstm import LSTM, LSTMCell
from fastnn.layers.rnn.rnn import RNN
from fastnn.layers.rnn.simple import SimpleRNN, SimpleRNNCell
from fastnn.layers.rnn.stacked import StackedRNNCells
from fastnn.layers.rnn.time_distributed import TimeDistributed

__all__ = [
    "GRU", "LSTM", "RNN", "Bidirectional", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "GRUCell",
    "LSTMCell", "SimpleRNN", "SimpleRNNCell", "StackedRNNCells", "TimeDistributed",
]  # fmt: skip
