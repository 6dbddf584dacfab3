"""Thirty visitors at once: `python -m tests.load.run --sessions 30 --url http://127.0.0.1:8501 --path pair`."""

from __future__ import annotations

import argparse
import sys

from tests.load.sessions import Session, has_chart, open_many, percentile


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.load.run",
        description="Open pages of a running app from many sessions at once, without browsers, and time them.",
    )
    parser.add_argument("--url", default="http://127.0.0.1:8501", help="the app (default: %(default)s)")
    parser.add_argument("--sessions", type=int, default=30, help="how many at once (default: %(default)s)")
    parser.add_argument(
        "--path",
        default="pair",
        help="page and query; {i} in it is the session's number, for runs that differ: 'pair?width={i}' "
        "(default: %(default)s)",
    )
    parser.add_argument("--until", default="", help="stay until the page shows this text (default: until a chart)")
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds (default: %(default)s)")
    given = parser.parse_args()
    until = (lambda session: session.says(given.until)) if given.until else has_chart
    addresses = [given.path.replace("{i}", str(i)) for i in range(1, given.sessions + 1)]
    sessions = open_many(given.url, addresses, until, given.timeout)
    sys.stdout.write(f"{report(sessions)}\n")
    return 1 if any(session.errors for session in sessions) else 0


def report(sessions: list[Session]) -> str:
    """Times in seconds as a small table, then each error with how many sessions met it."""
    lines = [f"{len(sessions)} sessions       median     95%    100%"]
    for name, title in (("first_chart", "first chart"), ("first_end", "end of the page"), ("ended", "done")):
        times = [value for session in sessions if (value := getattr(session, name)) is not None]
        if times:
            numbers = "".join(f"{percentile(times, share):8.2f}" for share in (0.5, 0.95, 1.0))
            lines.append(f"{title:<18}{numbers}" + (f"   ({len(times)} of them)" if len(times) < len(sessions) else ""))
    errors = [error for session in sessions for error in session.errors]
    lines += [f"{errors.count(error)} × {error}" for error in dict.fromkeys(errors)] or ["no errors"]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
