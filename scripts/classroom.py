"""Serve the app to a classroom: `make classroom`, or `python -m scripts.classroom --port 8501`.

Prints the address and a QR code to project, then runs Streamlit in this process, so that Ctrl-C ends all of it.
"""

from __future__ import annotations

import argparse
import io
import ipaddress
import os
import socket
import sys
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import segno

PROJECT = Path(__file__).resolve().parent.parent
LOOPBACK = ("localhost", "127.0.0.1")
ELSEWHERE = "192.0.2.1"  # an address for documentation (RFC 5737): nothing is sent, the system only says how it would
OPTIONS = {
    "server.headless": "true",
    "server.maxUploadSize": "1",
    "server.enableStaticServing": "false",
    "server.enableAgentApi": "false",
    "browser.gatherUsageStats": "false",
    "client.showErrorDetails": "none",
    "client.toolbarMode": "minimal",
    "logger.hideWelcomeMessage": "true",
}


def main(arguments: list[str] | None = None) -> None:
    """Find the address, say it, serve. Ends with status 2 and a sentence where that cannot be."""
    parser = argparse.ArgumentParser(prog="make classroom", description="Serve LMC Explorer to the local network.")
    parser.add_argument("--port", type=int, default=8501, help="where to listen (default: %(default)s)")
    parser.add_argument("--address", help="listen on this address of this machine only (default: on all)")
    given = parser.parse_args(arguments)
    found = addresses()
    try:
        address = chosen(given.address, found)
        require_free(given.address or "0.0.0.0", given.port)
    except ValueError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    others = [] if given.address else [other for other in found if other != address]
    print(welcome(f"http://{address}:{given.port}", others))
    serve(given.address or "0.0.0.0", address, given.port, found)


def addresses() -> list[str]:
    """The IPv4 addresses under which other machines may reach this one, the likeliest first."""
    found = [towards(ELSEWHERE)]
    for entries in psutil.net_if_addrs().values():
        found += [entry.address for entry in entries if entry.family == socket.AF_INET]
    return [address for address in dict.fromkeys(found) if address and is_reachable(address)]


def towards(other: str) -> str | None:
    """The address with which this machine would speak to `other`, None if it is in no network; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((other, 9))
        except OSError:
            return None
        return str(probe.getsockname()[0])


def is_reachable(address: str) -> bool:
    """Whether it is neither of this machine alone nor one that a machine without a network gives itself."""
    known = ipaddress.ip_address(address)
    return not (known.is_loopback or known.is_link_local or known.is_unspecified)


def chosen(asked: str | None, found: list[str]) -> str:
    """The address to show. ValueError says what to do if there is none, or not the one asked for."""
    if not found:
        raise ValueError(
            "This machine is in no network, so nobody else can open the app. Join the classroom's Wi-Fi or plug in a "
            "cable and try again; `make app` serves this machine alone."
        )
    if asked is not None and asked not in found:
        raise ValueError(f"--address: {asked} is no address of this machine; choose one of: {', '.join(found)}.")
    return asked or found[0]


def require_free(address: str, port: int) -> None:
    """ValueError unless one can listen there."""
    if not 1 <= port <= 65535:
        raise ValueError(f"--port: {port} cannot be used; a whole number from 1024 to 65,535 would be right.")
    with socket.socket() as probe:
        if os.name != "nt":  # there it would allow a port that someone listens on
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            raise ValueError(
                f"Port {port} cannot be used ({error.strerror}), perhaps because the app runs already. End that one, "
                f"or take another port: make classroom ARGS='--port {port + 1 if port < 65535 else 8501}'."
            ) from None


def welcome(url: str, others: list[str]) -> str:
    """What the terminal shows: the code to scan, the address, who can come in, how to end it."""
    also = f"\n  This machine has other addresses too: {', '.join(others)}. To use one: --address.\n" if others else ""
    return (
        f"\n{code(url)}\n  LMC Explorer is at   {url}\n{also}\n"
        "  There is no password: everyone on this network can open and use it.\n"
        "  Nobody can upload or delete, and runs are limited in size and time.\n"
        "  Ctrl-C ends it.\n"
    )


def code(url: str) -> str:
    """A QR code in characters, white on black where colours can be had, with the light margin that readers need."""
    out = io.StringIO()
    segno.make(url, error="m", micro=False).terminal(out, border=4, compact=True)
    lines = out.getvalue().splitlines()
    return "\n".join(f"\033[97;40m{line}\033[0m" if sys.stdout.isatty() else line for line in lines)


def serve(listen: str, address: str, port: int, found: list[str]) -> None:
    """Run Streamlit until Ctrl-C. `browser.serverAddress` is where the page finds the address that it shows."""
    from streamlit.web.cli import main as streamlit

    names = dict.fromkeys([address, *found, *LOOPBACK, *own_names()])
    options = {
        **OPTIONS,
        "server.address": listen,
        "server.port": str(port),
        "browser.serverAddress": address,
        "browser.serverPort": str(port),
    }
    os.environ["LMC_CLASSROOM"] = "1"
    sys.stdout.flush()
    streamlit(
        ["run", str(PROJECT / "app.py")]
        + [f"--{name}={value}" for name, value in options.items()]
        + [f"--server.allowedHosts={name}" for name in names],
        prog_name="streamlit",
    )


def own_names() -> list[str]:
    """What other machines may call this one."""
    name = socket.gethostname().lower()
    return [name, f"{name.partition('.')[0]}.local"] if name else []


if __name__ == "__main__":
    main()
