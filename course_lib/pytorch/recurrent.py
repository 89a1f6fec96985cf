"""LSTM classifiers that stop reading where a sequence ends; twin of course_lib/tensorflow/recurrent.py."""

from __future__ import annotations

import torch
from torch.nn import functional as F


class TorchLSTMClassifier(torch.nn.Module):
    """An LSTM over frames, then logits from its last real state.

    ``forward`` takes x (batch, time, features), padded at the end, and lengths (batch,) int64, the
    number of real steps, each at least 1; it returns logits (batch, classes). PyTorch's second
    bias is 0 and frozen, for two biases that are trained move their sum twice as far; the forget
    gates' bias starts at ``forget_bias``, 1 as in Keras.
    """

    def __init__(
        self, features: int, hidden: int, classes: int,
        forget_bias: float = 1.0, dtype: str = "float32",
    ):
        super().__init__()
        kind = getattr(torch, dtype)
        self.lstm = torch.nn.LSTM(
            features, hidden, batch_first=True, dtype=kind)
        self.readout = torch.nn.Linear(hidden, classes, dtype=kind)
        with torch.no_grad():                    # gates i, f, g, o
            self.lstm.bias_ih_l0.zero_()[hidden : 2 * hidden] = forget_bias
            self.lstm.bias_hh_l0.zero_().requires_grad_(False)

    def forward(
        self, x: torch.Tensor, lengths: torch.Tensor
    ) -> torch.Tensor:
        states, _ = self.lstm(x)                 # (batch, time, hidden)
        last = (lengths - 1)[:, None, None].expand(-1, 1, states.shape[2])
        return self.readout(states.gather(1, last).squeeze(1))


class TorchRNNClassifier(torch.nn.Module):
    """A plain RNN with tanh, then logits from its last real state.

    ``x`` and ``lengths`` as in ``TorchLSTMClassifier``. The recurrent weights start orthogonal,
    the one bias that is trained at 0.
    """

    def __init__(
        self, features: int, hidden: int, classes: int, dtype: str = "float32"
    ):
        super().__init__()
        kind = getattr(torch, dtype)
        self.rnn = torch.nn.RNN(
            features, hidden, batch_first=True, dtype=kind)
        self.readout = torch.nn.Linear(hidden, classes, dtype=kind)
        torch.nn.init.orthogonal_(self.rnn.weight_hh_l0)
        with torch.no_grad():
            self.rnn.bias_ih_l0.zero_()
            self.rnn.bias_hh_l0.zero_().requires_grad_(False)

    def forward(
        self, x: torch.Tensor, lengths: torch.Tensor
    ) -> torch.Tensor:
        states, _ = self.rnn(x)
        last = (lengths - 1)[:, None, None].expand(-1, 1, states.shape[2])
        return self.readout(states.gather(1, last).squeeze(1))


class TorchTextLSTM(torch.nn.Module):
    """Embedding, LSTM, logits: tokens (batch, time) to (batch, classes).

    Tokens are int64, below ``vocabulary``; 0 is padding and stands only at the end. ``lengths``
    (batch,) int64 counts the real tokens. Forget gates start with the bias 1.
    """

    def __init__(
        self, vocabulary: int, features: int, hidden: int, classes: int,
        dtype: str = "float32",
    ):
        super().__init__()
        kind = getattr(torch, dtype)
        self.embedding = torch.nn.Embedding(
            vocabulary, features, dtype=kind)
        torch.nn.init.uniform_(self.embedding.weight, -0.05, 0.05)
        self.lstm = torch.nn.LSTM(
            features, hidden, batch_first=True, dtype=kind)
        self.readout = torch.nn.Linear(hidden, classes, dtype=kind)
        with torch.no_grad():
            self.lstm.bias_ih_l0.zero_()[hidden : 2 * hidden] = 1
            self.lstm.bias_hh_l0.zero_().requires_grad_(False)

    def forward(
        self, tokens: torch.Tensor, lengths: torch.Tensor
    ) -> torch.Tensor:
        states, _ = self.lstm(self.embedding(tokens))
        last = (lengths - 1)[:, None, None].expand(-1, 1, states.shape[2])
        return self.readout(states.gather(1, last).squeeze(1))


def step_torch(
    model: torch.nn.Module,
    x: torch.Tensor,
    lengths: torch.Tensor,
    y: torch.Tensor,
    learning_rate: float,
) -> torch.Tensor:
    """One step of gradient descent; returns the loss before it.

    ``x`` and ``lengths`` are what the model takes, ``y`` (batch,) the labels; all lie on its
    device. The loss is a scalar tensor, left on its device.
    """
    loss = F.cross_entropy(model(x, lengths), y)
    params = [p for p in model.parameters() if p.requires_grad]
    gradients = torch.autograd.grad(loss, params)
    with torch.no_grad():
        for param, gradient in zip(params, gradients):
            param -= learning_rate * gradient
    return loss.detach()
