"""On PYTHONPATH this blocks the network in every Python that starts: tests, kernels, builds.

Only this machine itself stays reachable. Set COURSE_ALLOW_NETWORK=1 to switch it off.
"""

import os
import socket

LOCAL = {"localhost", "127.0.0.1", "::1", "0.0.0.0", "", None, socket.gethostname()}


def _refuse(host):
    if isinstance(host, bytes):
        host = host.decode()
    if host in LOCAL or str(host).startswith("127."):
        return
    raise OSError(f"the tests run without a network, and something asked for {host!r}")


def _block():
    connect, connect_ex, getaddrinfo = (
        socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo,
    )

    def guarded_connect(self, address):
        if self.family != getattr(socket, "AF_UNIX", None):
            _refuse(address[0])
        return connect(self, address)

    def guarded_connect_ex(self, address):
        if self.family != getattr(socket, "AF_UNIX", None):
            _refuse(address[0])
        return connect_ex(self, address)

    def guarded_getaddrinfo(host, *rest, **named):
        _refuse(host)
        return getaddrinfo(host, *rest, **named)

    socket.socket.connect = guarded_connect
    socket.socket.connect_ex = guarded_connect_ex
    socket.getaddrinfo = guarded_getaddrinfo


if os.environ.get("COURSE_ALLOW_NETWORK") != "1":
    _block()
