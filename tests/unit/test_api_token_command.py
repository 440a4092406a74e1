"""`firstcome token`: a token that the api accepts, or a reason."""

import json
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from firstcome.api.auth import Authenticator
from firstcome.cli.token import app
from firstcome.errors import Refused
from firstcome.settings import AuthSettings

pytestmark = pytest.mark.unit

SECRET = "a secret of at least thirty-two bytes"


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FIRSTCOME_STATE", str(tmp_path))


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_token_is_one_that_the_api_accepts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRSTCOME_AUTH__SECRET", SECRET)
    plain = _run("ann@example.com").stdout.strip()
    told = json.loads(_run("ann@example.com", "--expires-in-seconds", "5", "--json").stdout)
    assert told["user_id"] == "ann@example.com"
    assert 3 < told["expires_at"] - time.time() <= 6
    users = Authenticator(AuthSettings(secret=SECRET))
    for token in (plain, told["token"]):
        wanted = {b"authorization": f"Bearer {token}".encode()}
        assert users.user_of(wanted, trusted=False) == "ann@example.com"


def test_token_refuses_a_user_id_that_the_api_would_refuse() -> None:
    result = _run("two words")
    assert result.exit_code == 2
    assert "1 to 64 characters" in result.output


def test_token_says_what_to_do_without_a_secret() -> None:
    result = _run("ann")
    assert isinstance(result.exception, Refused)
    assert "firstcome up" in str(result.exception)


def test_token_says_what_to_do_behind_a_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRSTCOME_AUTH__MODE", "gateway")
    monkeypatch.setenv("FIRSTCOME_AUTH__GATEWAY_NETWORKS", '["10.0.0.0/8"]')
    result = _run("ann")
    assert isinstance(result.exception, Refused)
    assert "X-User-Id" in str(result.exception)
