from __future__ import annotations

import pytest

from bench.errors import printable
from bench.masking import masked, masked_url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:pass@host/db", "postgresql://me:***@host/db"),
        ("postgresql://me:s3/cret@host/db", "postgresql://me:***@host/db"),
        ("postgresql://me:s3?cr@et@host/db", "postgresql://me:***@host/db"),
        ("postgresql://me:se:cr#et@host:5432/db", "postgresql://me:***@host:5432/db"),
        ("postgresql://me:p%40ss@host/db", "postgresql://me:***@host/db"),
        ("postgresql+psycopg://me:s3cret@[::1]:5432/db", "postgresql+psycopg://me:***@[::1]:5432/db"),
        ("postgresql://:s3cret@host/db", "postgresql://:***@host/db"),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
        ("postgresql://host/db?user=me&password=s3cret", "postgresql://host/db?user=me&password=***"),
        (
            "postgresql://host/db?password=s3cret&sslmode=require",
            "postgresql://host/db?password=***&sslmode=require",
        ),
        ("postgresql:///db?PASSWORD=s3cret", "postgresql:///db?PASSWORD=***"),
        ("mysql://me:s3cret@host/db?ssl_key=a.pem", "mysql://me:***@host/db?ssl_key=a.pem"),
        ("https://s3crettoken@mlflow.example/x", "https://***@mlflow.example/x"),
        ("https://me:s3cret@mlflow.example/x", "https://***@mlflow.example/x"),
        ("https://host/x?X-Amz-Signature=s3cret", "https://host/x?X-Amz-Signature=***"),
        ("https://host/x?access_token=s3cret#a", "https://host/x?access_token=***"),
        ("s3://key:s3cret@bucket/a", "s3://key:***@bucket/a"),
        ("redis://:s3cret@host:6379/0", "redis://:***@host:6379/0"),
        ("https://host/x?sig=s3cret&v=1", "https://host/x?sig=***&v=1"),
        ("https://host/x?api-key=s3cret", "https://host/x?api-key=***"),
        ("https://host/x?v=1&key=s3cret", "https://host/x?v=1&key=***"),
        ("sqlite:////home/me/optuna.db", "sqlite:////home/me/optuna.db"),
        ("https://host/x", "https://host/x"),
        ("write to me@host.org", "write to me@host.org"),
    ],
)  # fmt: skip
def test_a_url_without_its_password(url: str, shown: str) -> None:
    assert masked(url) == shown
    assert masked(f"error: '{url}' failed") == f"error: '{shown}' failed"
    assert masked(shown) == shown
    assert masked_url(url) == shown
    assert masked_url(shown) == shown


@pytest.mark.parametrize("password", ["s3 cret", "s3'cret", 's3"cret', "s3<cret>", "s3@c:r/e?t"])
def test_a_setting_may_hold_what_ends_a_url_in_a_message(password: str) -> None:
    assert masked_url(f"postgresql://me:{password}@host/db") == "postgresql://me:***@host/db"


@pytest.mark.parametrize(
    "text", ["", "sqlite", "me@host", "sqlite:///a b/c@d.db", "://@", "x://@["]
)
def test_what_has_no_password_is_left_as_it_is(text: str) -> None:
    assert masked_url(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "connection to server at \"h\", password=s3cret failed",
        "host=h password='s3 cret' dbname=d",
        "could not parse postgresql://me:s3/cret@h/d and postgresql://you:s3cret@h/d",
        "could not parse \"postgresql://me:s3'cret@h/d\"",
        "password='s3\\'cret' dbname=d",
        "password = s3cret",
        "{'user': 'me', 'password': 's3 cr\\'et'}",
        '{"token":"s3cret","url":"x"}',
        "Authorization: Bearer s3.cr-et",
        "headers={'Authorization': 'Basic s3cret=='}",
    ],
)  # fmt: skip
def test_errors_of_libraries(text: str) -> None:
    for shown in (masked(text), printable(text)):
        assert "s3" not in shown
        assert "***" in shown


@pytest.mark.parametrize("password", ["s3 cret", "s3'cret", 's3"cret', "s3<c>ret", "s3@cret:/?#"])
def test_a_whole_url_with_any_password(password: str) -> None:
    url = f"postgresql://me:{password}@host:5432/db"
    assert masked_url(url) == "postgresql://me:***@host:5432/db"
    assert masked_url(f"{url}?password={password[:2]}") == f"{masked_url(url)}?password=***"


@pytest.mark.parametrize(
    "text", ["sqlite", "journal", "sqlite:////home/a b/x.db", "https://host:1"]
)
def test_a_whole_url_without_one(text: str) -> None:
    assert masked_url(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "unexpected token: at line 3",
        "basic training with 5 tokens, token=",
        "see 'https://host', 'me@home.org'",
        "max_tokens=5",
    ],
)
def test_other_texts_stay(text: str) -> None:
    assert masked(text) == text
