"""Sizes, durations and moments as people read them."""

from datetime import UTC, datetime


def format_size(count: int) -> str:
    """Return a number of bytes in the unit that fits.

    >>> format_size(12), format_size(105_900), format_size(1_400_000), format_size(8_190_000_000)
    ('12 bytes', '106 kB', '1.4 MB', '8.2 GB')
    """
    if count >= 1e9:
        return f"{count / 1e9:,.1f} GB"
    if count >= 1e6:
        return f"{count / 1e6:.1f} MB"
    return f"{count / 1e3:.0f} kB" if count >= 1e3 else f"{count} bytes"


def format_duration(seconds: float) -> str:
    """Return a duration in the unit that fits.

    >>> format_duration(42.3), format_duration(600), format_duration(9000)
    ('42 s', '10 min', '2.5 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def format_time(moment: str) -> str:
    """Return a moment of ISO 8601 without its seconds.

    >>> format_time("2026-11-26T11:30:05+00:00")
    '2026-11-26 11:30 UTC'
    """
    return f"{datetime.fromisoformat(moment).astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def format_points(share: float, *, sign: bool = False) -> str:
    """Return a difference of shares in percentage points, with a second digit where one would say zero.

    >>> format_points(0.0123), format_points(0.0002, sign=True), format_points(-0.0)
    ('1.2', '+0.02', '0.0')
    """
    points = 100 * share
    text = f"{points:{'+' if sign else ''}.1f}"
    if float(text) == 0:
        text = f"{points:{'+' if sign else ''}.2f}"
    return "0.0" if float(text) == 0 else text
