"""`firstcome token USER`: a signed token of a user, for the local stack, tests and load.

It signs with auth.secret, the key that the api process checks tokens with. Where tokens come
from an issuer (key file, JWKS) or users from a gateway, there is nothing to sign with.
"""

import json
import time
from typing import TYPE_CHECKING

import typer

from firstcome.errors import Refused
from firstcome.model import USER_ID_PATTERN, UserId
from firstcome.settings import AuthSettings, Settings

if TYPE_CHECKING:
    from firstcome.api.tokens import SharedSecret

_EXPIRES_IN_SECONDS = 3600

app = typer.Typer()


@app.command()
def token(
    user: str = typer.Argument(help="The user's id: 1-64 of A-Z a-z 0-9 _ . : @ -"),
    expires_in_seconds: int = typer.Option(_EXPIRES_IN_SECONDS, min=1, help="Until it expires."),
    as_json: bool = typer.Option(False, "--json", help="One JSON document."),
) -> None:
    """Print a signed token of a user."""
    if not USER_ID_PATTERN.fullmatch(user):
        raise typer.BadParameter(
            "a user id has 1 to 64 characters out of A-Z a-z 0-9 _ . : @ and -", param_hint="USER"
        )
    secret = _signer(Settings.load().auth)
    signed = secret.sign(UserId(user), expires_in_seconds)
    if as_json:
        expires_at = int(time.time()) + expires_in_seconds
        print(json.dumps({"user_id": user, "token": signed, "expires_at": expires_at}))
    else:
        print(signed)


def _signer(settings: AuthSettings) -> "SharedSecret":
    # Every other verb starts without the cryptography that this import brings.
    from firstcome.api.tokens import SharedSecret

    if settings.mode == "gateway":
        raise Refused(
            "auth.mode is gateway, so there are no tokens: send the header X-User-Id from an "
            "address inside auth.gateway_networks"
        )
    if settings.secret is None:
        raise Refused(
            "there is no auth.secret to sign with, so no token was made: start the local stack "
            "(firstcome up) and run this beside it, set FIRSTCOME_AUTH__SECRET, or ask your issuer"
        )
    return SharedSecret(settings, settings.secret.get_secret_value())
