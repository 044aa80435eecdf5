"""On PYTHONPATH while the tests run: every Python process may talk to this machine only.

An audit hook sees each connection, also those of libraries, and passes on to kernels and subprocesses with the
environment.
"""

import ipaddress
import sys


def _is_local(host):
    if host in (None, "", "localhost", b"localhost"):
        return True
    try:
        return ipaddress.ip_address(host.decode() if isinstance(host, bytes) else host).is_loopback
    except ValueError:
        return False


def _refuse_network(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None  # a string is a socket file
        if not _is_local(host):
            raise ConnectionRefusedError(f"the tests run without a network: {event} to {host!r}")
    elif event in ("socket.getaddrinfo", "socket.gethostbyname") and not _is_local(arguments[0]):
        raise ConnectionRefusedError(f"the tests run without a network: {event} of {arguments[0]!r}")


sys.addaudithook(_refuse_network)
