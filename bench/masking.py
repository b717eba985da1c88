"""Passwords in URLs: the one place that knows how they are written, and hides them."""

from __future__ import annotations

import contextlib
import re

HIDDEN = "***"
_URL = re.compile(r"\b([A-Za-z][A-Za-z0-9+.-]*://)([^\s'\"<>]*)@")
"""Up to the last @: passwords may hold any other character, `/`, `:`, `?` and `@` itself too."""
_KEY = re.compile(
    r"(?i)\b(\w*(?:password|passwd|pwd|passphrase|secret|token|api_?key|access_?key|signature))="
    r"(?:'[^']*'|\"[^\"]*\"|[^\s&;'\"<>)]+)"
)
"""In a query (`?password=…`), and as libpq's own messages have it (`password='…'`)."""


def masked(text: str) -> str:
    """The text with every URL in it without its password, or what else gives access.

    A database's user stays, `postgresql://me:***@host/db`. Of a web address nothing does: what
    stands there alone may be a token.
    """
    return _KEY.sub(rf"\1={HIDDEN}", _URL.sub(_without_password, text))


def masked_url(url: str) -> str:
    """`masked` of what is one URL and nothing else: a setting, not a message.

    SQLAlchemy, which reads it in the end, knows where its password is, whatever it holds: spaces
    and quotes, too, which end a URL in a message.
    """
    if "://" in url and "@" in url:
        from sqlalchemy.engine import make_url
        from sqlalchemy.exc import ArgumentError

        with contextlib.suppress(ArgumentError, ValueError):  # no URL of a database
            read = make_url(url)
            url = read.render_as_string(hide_password=True) if read.password else url
    return masked(url)


def _without_password(found: re.Match[str]) -> str:
    scheme, owner = found[1], found[2]
    if scheme.lower() in ("http://", "https://"):
        return f"{scheme}{HIDDEN}@"
    user, colon, _password = owner.partition(":")
    return f"{scheme}{user}:{HIDDEN}@" if colon else found[0]
