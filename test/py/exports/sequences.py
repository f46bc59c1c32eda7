"""Recurrent nets, a keyword net, a DLRM."""

import torch
from torch import nn

from exports.catalogue import Net, net, noise, settle, whole


class Recurrent(nn.Module):
    def __init__(self, kind, **more):
        super().__init__()
        self.layers = kind(40, 64, num_layers=2, **more)
        self.last = nn.Linear(64 * (2 if more.get("bidirectional") else 1), 12)

    def forward(self, x):
        out, state = self.layers(x)
        state = state[0] if isinstance(state, tuple) else state
        return self.last(out), state


def recurrent(kind, **more):
    first = lambda n: (n, 50, 40) if more.get("batch_first") else (50, n, 40)
    axis = 0 if more.get("batch_first") else 1
    return Net(Recurrent(kind, **more), (noise(*first(2)),), more=((noise(*first(3), seed=1),),), dynamic={0: {axis: "batch"}})


@net()
def lstm():
    return recurrent(nn.LSTM, batch_first=True)


@net()
def lstm_both_ways():
    return recurrent(nn.LSTM, batch_first=True, bidirectional=True)


@net()
def gru():
    return recurrent(nn.GRU)


@net()
def gru_both_ways():
    return recurrent(nn.GRU, bidirectional=True, batch_first=True)


@net()
def rnn_tanh():
    return recurrent(nn.RNN, batch_first=True)


@net()
def lstm_with_state():
    class Step(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.last = nn.LSTM(64, 128, batch_first=True), nn.Linear(128, 1)

        def forward(self, x, h, c):
            out, (h, c) = self.layer(x, (h, c))
            return torch.sigmoid(self.last(torch.relu(out))).mean(1), h, c
    return Net(Step(), (noise(1, 4, 64), noise(1, 1, 128, seed=1), noise(1, 1, 128, seed=2)))


@net(script=(11, 17))
def keyword_1d():
    def block(i, o, stride):
        return nn.Sequential(nn.Conv1d(i, i, 9, stride, 4, groups=i, bias=False), nn.BatchNorm1d(i), nn.ReLU(),
                             nn.Conv1d(i, o, 1, bias=False), nn.BatchNorm1d(o), nn.ReLU())
    module = nn.Sequential(nn.Conv1d(1, 64, 80, 16, 38), nn.BatchNorm1d(64), nn.ReLU(), nn.MaxPool1d(4), block(64, 64, 1), block(64, 96, 2),
                           block(96, 96, 1), block(96, 128, 2), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(128, 35))
    return Net(settle(module, noise(4, 1, 16000, seed=5)), (noise(2, 1, 16000),), more=((noise(1, 1, 16000, seed=1),),), dynamic={0: {0: "batch"}})


class Dlrm(nn.Module):
    def __init__(self, tables=8, rows=5000, width=64):
        super().__init__()
        self.bags = nn.ModuleList(nn.EmbeddingBag(rows, width, mode="sum") for _ in range(tables))
        self.bottom = nn.Sequential(nn.Linear(13, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, width), nn.ReLU())
        pairs = (tables + 1) * tables // 2
        self.top = nn.Sequential(nn.Linear(pairs + width, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 1))
        self.register_buffer("rows", torch.tril_indices(tables + 1, tables + 1, -1)[0])
        self.register_buffer("columns", torch.tril_indices(tables + 1, tables + 1, -1)[1])

    def forward(self, dense, index):
        x = self.bottom(dense)
        every = torch.stack([x] + [bag(index[:, i]) for i, bag in enumerate(self.bags)], 1)
        products = torch.bmm(every, every.transpose(1, 2))
        return torch.sigmoid(self.top(torch.cat([x, products[:, self.rows, self.columns]], 1)))


@net()
def dlrm():
    return Net(Dlrm(), (noise(32, 13), whole(5000, 32, 8, 4)))


class Reader(nn.Module):
    """A CRNN: convolutions over a line of text, recurrent layers both ways, log-probabilities."""

    def __init__(self):
        super().__init__()
        self.seen = nn.Sequential(nn.Conv2d(1, 32, 3, padding=1), nn.BatchNorm2d(32), nn.LeakyReLU(0.1), nn.MaxPool2d(2),
                                  nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.LeakyReLU(0.1), nn.MaxPool2d((2, 1)),
                                  nn.Conv2d(64, 128, 3, padding=1), nn.ELU())
        self.read, self.last = nn.LSTM(128, 96, bidirectional=True, num_layers=2), nn.Linear(192, 37)

    def forward(self, x):
        x = self.seen(x).mean(2).permute(2, 0, 1)
        return self.last(self.read(x)[0]).log_softmax(2)


@net()
def text_reader():
    return Net(settle(Reader(), noise(2, 1, 32, 100, seed=5)), (noise(1, 1, 32, 100),))
