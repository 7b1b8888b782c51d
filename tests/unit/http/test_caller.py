"""A key is read from three places and from nowhere else."""

import base64

import pytest
from starlette.datastructures import Headers

from app.http.caller import presented_key


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({"Authorization": "Bearer k"}, "k"),
        ({"Authorization": "bearer  k "}, "k"),
        ({"X-API-Key": " k "}, "k"),
        ({"X-API-Key": "a", "Authorization": "Bearer b"}, "a"),
        ({"Authorization": basic("user:k")}, "k"),
        ({"Authorization": basic(":k")}, "k"),
        ({"Authorization": basic("user:k:l")}, "k:l"),
        ({"Authorization": basic("k")}, None),
        ({"Authorization": "Basic"}, None),
        ({"Authorization": "Basic %%%"}, None),
        ({"Authorization": "Basic /w=="}, None),
        ({"Authorization": "Token k"}, None),
        ({"Authorization": "k"}, None),
        ({"Cookie": "key=k"}, None),
        ({}, None),
    ],
)
def test_the_key_of_a_request(headers: dict[str, str], key: str | None) -> None:
    assert presented_key(Headers(headers)) == key
