"""Passwords in URLs: the one place that knows how they are written, and hides them."""

from __future__ import annotations

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


def _without_password(found: re.Match[str]) -> str:
    scheme, owner = found[1], found[2]
    if scheme.lower() in ("http://", "https://"):
        return f"{scheme}{HIDDEN}@"
    user, colon, _password = owner.partition(":")
    return f"{scheme}{user}:{HIDDEN}@" if colon else found[0]
