"""Connecting to a Dask cluster that others started, or saying in one sentence why that cannot be done."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import ssl
import warnings

from distributed import Client
from distributed.comm.addressing import parse_address, parse_host_port
from distributed.security import Security

from lmc.errors import InputError

log = logging.getLogger("lmc.engine")
CONNECTING = 10.0  # seconds
ANSWERING = 5.0  # seconds in which something has to answer at the address
PORT = 8786  # Dask's default
RIGHT = f"tls://HOST:{PORT} would be right"
SETTINGS = "DASK_DISTRIBUTED__COMM__TLS__"  # how the variables of Dask's TLS settings begin


class OneConnection(Client):
    """A client that ends with its connection: a scheduler that it found again would know nothing of its tasks."""

    async def _reconnect(self) -> None:
        log.info("the connection to the scheduler %s was lost", self.scheduler.address)
        await self._close()


async def connect(address: str) -> Client:
    """A client of the scheduler of that address.

    Raises InputError if it does not answer, or refuses.
    """
    security = _security(address)
    await _require_answer(address, security)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Dask compares versions too; every task does, see lmc.engine.remote
            return await OneConnection(
                address, security=security, asynchronous=True, timeout=CONNECTING, set_as_default=False
            )
    except (OSError, TypeError, ValueError, ImportError) as error:
        right = f"what answers there is no scheduler of Dask that can be used ({_first(error)})"
        raise _refused(address, right) from None


def _security(address: str) -> Security:
    """Dask's TLS settings. Raises InputError if they are missing, or name files that cannot be used."""
    try:
        scheme, _ = parse_address(address)
        security = Security()
    except ValueError as error:
        raise _refused(address, f"{RIGHT} ({_first(error)})") from None
    if scheme not in ("tls", "tcp"):
        raise _refused(address, RIGHT)
    if scheme == "tcp":
        return security
    files = security.get_tls_config_for_role("client")
    if not files["ca_file"] or not files["cert"]:
        right = f"tls:// needs {SETTINGS}CA_FILE, {SETTINGS}CLIENT__CERT and {SETTINGS}CLIENT__KEY"
        raise _refused(address, right)
    for file in (files["ca_file"], files["cert"], files["key"]):
        if file and "\n" not in file and not os.access(file, os.R_OK):  # with line ends it is the certificate itself
            raise _refused(address, f"the file {file} of Dask's TLS settings cannot be read")
    try:
        security.get_connection_args("client")
    except (OSError, ValueError) as error:
        raise _refused(address, f"a file of Dask's TLS settings is damaged ({_first(error)})") from None
    return security


async def _require_answer(address: str, security: Security) -> None:
    """Wait for the greeting that each scheduler of Dask sends first.

    Why it does not come, Dask's own client says late and for experts.
    """
    scheme, place = parse_address(address)
    context = security.get_connection_args("client")["ssl_context"] if scheme == "tls" else None
    try:
        host, port = parse_host_port(place, PORT)
        await asyncio.wait_for(_greeting(host, int(port), context), ANSWERING)
    except (OSError, EOFError) as error:  # before ValueError: a certificate that fails is both
        raise _refused(address, _why(error, scheme)) from None
    except ValueError as error:
        raise _refused(address, f"{RIGHT} ({_first(error)})") from None


async def _greeting(host: str, port: int, context: ssl.SSLContext | None) -> None:
    """Raises what connecting raises, EOFError if nothing is sent."""
    reader, writer = await asyncio.open_connection(host, port, ssl=context)
    try:
        await reader.readexactly(1)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def _why(error: OSError | EOFError, scheme: str) -> str:
    """What went wrong with a connection, and what would be right."""
    if isinstance(error, ConnectionRefusedError):
        return "no scheduler listens there; start it, or give the address that it printed"
    if isinstance(error, socket.gaierror):
        return "no machine of that name is known here"
    if isinstance(error, TimeoutError):
        other = "; if its scheduler uses TLS, tls:// would be right" if scheme == "tcp" else ""
        return f"nothing answers there within {ANSWERING:g} s{other}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate there is not signed by the authority of Dask's TLS settings ({error.verify_message})"
    if isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or ""):
        return "it refuses the certificate of Dask's TLS settings; one that its authority signed would be right"
    if isinstance(error, ssl.SSLError):
        return "what listens there speaks no TLS; its scheduler has to be started with Dask's TLS settings"
    if isinstance(error, EOFError | ConnectionResetError):
        return "what listens there hangs up; it may be no scheduler, or one that wants tls:// and a certificate"
    return f"it cannot be reached ({_first(error)})"


def _refused(address: str, right: str) -> InputError:
    return InputError("scheduler", address, right)


def _first(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0] or type(error).__name__
