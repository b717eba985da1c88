"""Passwords and tokens in texts: the one place that knows how they are written, and hides them."""

from __future__ import annotations

import re

HIDDEN = "***"
_NAMES = (
    r"\w*(?:password|passwd|pwd|passphrase|secret|token|credentials?"
    r"|api[_-]?key|access[_-]?key|private[_-]?key|signature)"
)
_URL = re.compile(
    r"([A-Za-z][A-Za-z0-9+.-]*://)"
    # up to the last @: passwords hold any character, `/`, `:`, `?`, quotes and `@` itself too;
    # a quote before the colon after the user ends the URL, as in `'https://host', 'me@home'`
    r"([^\s'\"<>:@]*:[^\s]*|[^\s'\"<>]*)@"
)
_ASSIGNED = re.compile(
    rf"(?i)\b({_NAMES})(\s?=\s?)" + r"(?:'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"|[^\s&;'\"<>)]+)"
)
"""In a query (`?password=…`), and as libpq's own messages have it (`password='…'`)."""
_ENTRY = re.compile(
    rf"(?i)((['\"]){_NAMES}\2\s*:\s*)" + r"('(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"|[^\s,}]+)"
)
"""In JSON, and in a dictionary that Python shows."""
_QUERY = re.compile(r"(?i)([?&](?:sig|key|code|auth)=)[^\s&;'\"<>)]+")
_HEADER = re.compile(r"(?i)\b(authorization\W{1,5}(?:bearer|basic)\s+)[\w.~+/-]+=*")


def masked(text: str) -> str:
    """The text with every URL in it without its password, or what else gives access.

    A database's user stays, `postgresql://me:***@host/db`. Of a web address nothing does: what
    stands there alone may be a token.
    """
    text = _URL.sub(lambda found: _without_password(found[1], found[2]), text)
    text = _ASSIGNED.sub(rf"\1\2{HIDDEN}", text)
    text = _ENTRY.sub(rf"\1'{HIDDEN}'", text)
    return _HEADER.sub(rf"\1{HIDDEN}", _QUERY.sub(rf"\1{HIDDEN}", text))


def masked_url(url: str) -> str:
    """As `masked`, of a text that is one URL and nothing else: its password may have spaces."""
    scheme, slashes, rest = url.partition("://")
    user, at, host = rest.rpartition("@")
    return masked(_without_password(scheme + slashes, user) + host if at else url)


def _without_password(scheme: str, owner: str) -> str:
    """`postgresql://me:***@` of what stands before a host."""
    if scheme.lower() in ("http://", "https://"):
        return f"{scheme}{HIDDEN}@"
    user, colon, _password = owner.partition(":")
    return f"{scheme}{user}:{HIDDEN}@" if colon else f"{scheme}{owner}@"
