"""Taking an address, and the settings of every connection there."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import grpc

from folding.errors import BadCall
from folding_server.addresses import Address
from folding_server.descriptors import most_connections
from folding_server.keys import Keys

_SECOND = 1000
#: No message is longer, not even one that gzip has made small: a chunk, and what is around it.
_MESSAGE_BYTES = (1 << 20) + (1 << 16)
_NOT_OURS = 0o177

#: Of a connection. Clients keep further calls back until others have ended; some are refused then,
#: so nobody should get there who means well.
_MOST_STREAMS = 1024
#: No greatest age of a connection is among them: it would cut long jobs off.
_SETTINGS = (
    ("grpc.max_receive_message_length", _MESSAGE_BYTES),
    ("grpc.max_concurrent_streams", _MOST_STREAMS),
    ("grpc.server_handshake_timeout_ms", 10 * _SECOND),
    ("grpc.so_reuseport", 0),  # A second server on the same port is a mistake.
    ("grpc.keepalive_time_ms", 60 * _SECOND),
    ("grpc.keepalive_timeout_ms", 20 * _SECOND),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 30 * _SECOND),
    ("grpc.max_connection_idle_ms", 60 * _SECOND),
    ("grpc.http2.bdp_probe", 0),
)


def settings() -> list[tuple[str, int]]:
    """What gRPC is told of connections and their calls."""
    return [*_SETTINGS, ("grpc.max_allowed_incoming_connections", most_connections())]


def bind(server: grpc.aio.Server, address: Address, keys: Keys | None) -> str:
    """Let ``server`` listen at ``address``, and say where that is. A socket is its owner's alone.

    Raises:
        BadCall: somebody else does, or nobody can.
    """
    if address.path is not None and _is_answered(address.path):
        raise _taken(address)
    mask = os.umask(_NOT_OURS) if address.path is not None else None
    try:
        return address.bound(_bind(server, address, keys))
    except RuntimeError as error:
        raise _taken(address) from error
    finally:
        if mask is not None:
            os.umask(mask)


def _bind(server: grpc.aio.Server, address: Address, keys: Keys | None) -> int:
    if keys is None or address.path is not None:
        return server.add_insecure_port(address.text)
    credentials = grpc.ssl_server_credentials(
        [(keys.key, keys.cert)],
        root_certificates=keys.client_ca,
        require_client_auth=keys.client_ca is not None,
    )
    return server.add_secure_port(address.text, credentials)


def _is_answered(path: Path) -> bool:
    """Whether another server has this socket: gRPC would take it away without a word."""
    with socket.socket(socket.AF_UNIX) as caller:
        try:
            caller.connect(str(path))
        except OSError:
            return False
    return True


def _taken(address: Address) -> BadCall:
    if address.path is not None and not address.path.parent.is_dir():
        text = f"nothing can be served at {address.text!r}: there is no such folder"
        return BadCall(text, hint="Make it, or give another one with --listen.")
    hint = "Give another one with --listen; port 0 is any that is free."
    return BadCall(f"nothing can be served at {address.text!r}: is it in use?", hint=hint)
