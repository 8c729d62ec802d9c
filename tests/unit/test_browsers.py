"""The host names to which a gateway answers."""

from typing import Any

import pytest
from pydantic import ValidationError

from gateway.browsers import answered_hosts, host_name
from shared.settings import GatewaySettings

LOOPBACK = {"localhost", "127.0.0.1", "::1"}


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({}, LOOPBACK),
        ({"api_host": "0.0.0.0", "api_published_host": "127.0.0.1"}, LOOPBACK | {"0.0.0.0"}),
        ({"allowed_hosts": "asr.example, gateway:8000"}, LOOPBACK | {"asr.example", "gateway"}),
        ({"allowed_hosts": "*"}, None),
        ({"api_key": "k"}, None),
        ({"allow_anonymous": True, "api_host": "10.0.0.1"}, None),
        ({"api_key": "k", "allowed_hosts": "asr.example"}, LOOPBACK | {"asr.example"}),
    ],
)
def test_a_gateway_answers_to_its_own_names(settings: dict[str, Any], names: set[str] | None) -> None:
    assert answered_hosts(GatewaySettings(**settings)) == names


@pytest.mark.parametrize(
    ("host", "name"),
    [("A.Example:80", "a.example"), ("[::1]:8000", "::1"), ("::1", "::1"), ("localhost.", "localhost"), ("", "")],
)
def test_ports_and_capitals_do_not_count(host: str, name: str) -> None:
    assert host_name(host) == name


@pytest.mark.parametrize("root_path", ["whisper", "/whisper/", "/", "https://a.example/whisper"])
def test_a_prefix_is_a_path_without_a_slash_at_its_end(root_path: str) -> None:
    with pytest.raises(ValidationError, match="root_path"):
        GatewaySettings(root_path=root_path)
