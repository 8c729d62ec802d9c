"""Settings are declared once, documented, and refused early when they are unsafe."""

import pytest
from pydantic import ValidationError

from deploy.local import env_example
from gateway.app import create_app
from shared.settings import OWN_PATHS, GatewaySettings, WorkerSettings, complaint
from tests.processes import ROOT

DECLARED = {name.upper(): field for kind in (GatewaySettings, WorkerSettings) for name, field in kind.model_fields.items()}


def test_every_setting_says_what_it_means() -> None:
    assert not [name for name, field in DECLARED.items() if not (field.description or "").endswith((".", "demo."))]


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::"])
def test_beyond_loopback_a_key_is_required(host: str) -> None:
    with pytest.raises(ValidationError, match="API_KEY"):
        GatewaySettings(api_host=host)
    assert GatewaySettings(api_host=host, api_key="secret").api_key is not None  # type: ignore[arg-type]
    assert GatewaySettings(api_host=host, allow_anonymous=True).allow_anonymous


def test_a_container_is_judged_by_where_its_port_is_published() -> None:
    assert GatewaySettings(api_host="0.0.0.0", api_published_host="127.0.0.1").api_key is None
    with pytest.raises(ValidationError, match="API_KEY"):
        GatewaySettings(api_host="0.0.0.0", api_published_host="10.0.0.1")


def test_secrets_are_masked_in_the_log() -> None:
    settings = GatewaySettings(api_key="hush", redis_url="redis://:hush@127.0.0.1:6379/0")  # type: ignore[arg-type]
    assert "hush" not in str(settings.for_log())


def test_cors_origins_are_a_comma_separated_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORS_ORIGINS", "https://a.example, https://b.example")
    assert GatewaySettings().cors_origins == ["https://a.example", "https://b.example"]


def test_the_example_file_is_what_the_settings_say() -> None:
    assert (ROOT / ".env.example").read_text() == env_example.text(), "run `make env-example`"


def test_compose_passes_every_setting_on() -> None:
    compose = (ROOT / "docker-compose.yml").read_text()
    in_the_image = {"API_HOST", "API_PORT"}
    assert not [name for name in DECLARED if f"  {name}:" not in compose and name not in in_the_image]


@pytest.mark.parametrize("prefix", ["/v1", "/v1/jobs", "/v1/jobs/x", "/health", "/transcribe"])
def test_a_prefix_that_hides_a_route_is_refused(prefix: str) -> None:
    with pytest.raises(ValidationError) as refused:
        GatewaySettings(root_path=prefix)
    assert complaint(refused.value).startswith("ROOT_PATH: it would hide /")


@pytest.mark.parametrize("prefix", ["", "/whisper", "/v1/whisper", "/v10", "/healthy"])
def test_any_other_prefix_is_taken(prefix: str) -> None:
    assert GatewaySettings(root_path=prefix).root_path == prefix


def test_the_settings_know_every_route() -> None:
    paths = [route.path for route in create_app(GatewaySettings()).routes]  # type: ignore[attr-defined]
    assert {"/v1/jobs" if path.startswith("/v1/jobs") else path for path in paths} == {"/", *OWN_PATHS}


@pytest.mark.parametrize(
    ("name", "value"), [("REDIS_URL", "localhost:6379"), ("WHISPER_LANGUAGE", "klingon"), ("LEASE_SECONDS", "soon")]
)
def test_a_wrong_setting_is_one_line_that_names_it_and_hides_its_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError) as refused:
        WorkerSettings()
    said = complaint(refused.value)
    assert said.startswith(f"{name}: ") and value not in said and "\n" not in said


def test_an_engine_named_as_an_earlier_release_did_is_found_where_it_is_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHISPER_ENGINE", "worker.engine:Engine")
    assert WorkerSettings().whisper_engine == "worker.model.engine:Engine"
