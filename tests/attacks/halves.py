"""Messages that never end: HTTP/2 by hand, since no library sends half a message.

What has come of such a message is kept by gRPC, where the server cannot see it.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GO_AWAY, _WINDOW = 0, 1, 3, 4, 6, 7, 8
_ACKNOWLEDGED, _END_OF_STREAM, _END_OF_HEADERS = 1, 1, 4
_INITIAL_WINDOW = 4
_USUAL_WINDOW = 65_535
_FRAME = bytes(16_384)
_FIELDS = {
    ":method": "POST",
    ":scheme": "http",
    ":path": "/folding.v1.FoldingService/Fold",
    ":authority": "x",
    "te": "trailers",
    "content-type": "application/grpc",
}


def _frame(kind: int, flags: int, stream: int, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data))[1:] + struct.pack(">BBI", kind, flags, stream) + data


def _text(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()


@dataclass(slots=True)
class Halves:
    """A connection with calls that each send all of a message of ``size`` bytes but the last."""

    port: int
    calls: int
    size: int
    ended: int = 0
    _socket: socket.socket = field(init=False)
    _read: bytes = b""
    _window: int = _USUAL_WINDOW
    _usual: int = _USUAL_WINDOW
    _windows: dict[int, int] = field(default_factory=dict)
    _left: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._socket = socket.create_connection(("127.0.0.1", self.port))
        self._socket.sendall(_PREFACE + _frame(_SETTINGS, 0, 0))
        fields = b"".join(b"\0" + _text(name) + _text(text) for name, text in _FIELDS.items())
        for stream in range(1, 2 * self.calls, 2):
            self._socket.sendall(_frame(_HEADERS, _END_OF_HEADERS, stream, fields))
            self._windows[stream], self._left[stream] = self._usual, self.size - 1
            self._send(stream, b"\0" + struct.pack(">I", self.size))

    def go_on(self, seconds: float) -> None:
        """Send what may be sent, for so long."""
        end = time.monotonic() + seconds
        self._socket.settimeout(0.01)
        while time.monotonic() < end:
            for frame in self._frames():
                self._take(*frame)
            for stream in list(self._left):
                most = min(len(_FRAME), self._windows[stream], self._window, self._left[stream])
                if most > 0:
                    self._send(stream, _FRAME[:most])
                    self._left[stream] -= most

    def close(self) -> None:
        """Be gone."""
        self._socket.close()

    def _send(self, stream: int, data: bytes) -> None:
        self._socket.settimeout(5)
        self._socket.sendall(_frame(_DATA, 0, stream, data))
        self._socket.settimeout(0.01)
        self._windows[stream] -= len(data)
        self._window -= len(data)

    def _frames(self) -> Iterator[tuple[int, int, int, bytes]]:
        try:
            self._read += self._socket.recv(1 << 16)
        except TimeoutError:
            return
        while len(self._read) >= 9:
            size = int.from_bytes(self._read[:3])
            if len(self._read) < 9 + size:
                return
            kind, flags, stream = struct.unpack(">BBI", self._read[3:9])
            data, self._read = self._read[9 : 9 + size], self._read[9 + size :]
            yield kind, flags, stream, data

    def _take(self, kind: int, flags: int, stream: int, data: bytes) -> None:
        if kind == _WINDOW and stream:
            self._windows[stream] += int.from_bytes(data)
        elif kind == _WINDOW:
            self._window += int.from_bytes(data)
        elif kind == _SETTINGS and not flags & _ACKNOWLEDGED:
            self._settle(data)
        elif kind == _PING and not flags & _ACKNOWLEDGED:
            self._socket.sendall(_frame(_PING, _ACKNOWLEDGED, 0, data))
        elif (kind == _HEADERS and flags & _END_OF_STREAM) or kind == _RESET:
            self.ended += self._left.pop(stream, None) is not None
        assert kind != _GO_AWAY, data

    def _settle(self, data: bytes) -> None:
        for number, value in struct.iter_unpack(">HI", data):
            if number == _INITIAL_WINDOW:
                self._windows = {s: w + value - self._usual for s, w in self._windows.items()}
                self._usual = value
        self._socket.sendall(_frame(_SETTINGS, _ACKNOWLEDGED, 0))
