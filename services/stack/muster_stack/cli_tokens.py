"""`muster token` and `muster secrets`: what development and first deployments sign with."""

import os
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from muster_stack.options import StateOption
from muster_stack.problem import Problem


class Role(StrEnum):
    """Roles in an organization, as the contract's tokens name them."""

    OWNER = "owner"
    ADMIN = "admin"
    EDITOR = "editor"
    MEMBER = "member"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(token)
    app.command()(secrets)


def token(
    state: StateOption,
    *,
    user: Annotated[str, typer.Option(help="Whom it names: the user's id.")] = "ada",
    organization: Annotated[str, typer.Option(help="The user's organization.")] = "demo",
    role: Annotated[Role, typer.Option(help="The user's role in it.")] = Role.OWNER,
    name: Annotated[str, typer.Option(help="What others see; default: the user's id.")] = "",
    service: Annotated[str, typer.Option(help="Make a token of this internal service instead.")] = "",
    hours: Annotated[float, typer.Option(min=0.01, max=8760, help="How long it is valid.")] = 12.0,
) -> None:
    """Print a token for development, signed with the secret of the settings or of the state directory."""
    from muster_kit.caller import OrganizationRole
    from muster_kit.rpc.tokens import issue_service_token, issue_user_token

    from muster_stack.configuration import read_settings

    settings = read_settings()
    lifetime = timedelta(hours=hours)
    if service:
        secret = _secret("service_token_secret", state)
        typer.echo(
            issue_service_token(secret, service=service, organization_id=organization, lifetime=lifetime)
        )
        return
    typer.echo(
        issue_user_token(
            _secret("user_token_secret", state),
            subject=user,
            organization_id=organization,
            organization_role=OrganizationRole(role.value),
            display_name=name or user,
            lifetime=lifetime,
            issuer=settings.user_token_issuer,
            audience=settings.user_token_audience,
        )
    )


def secrets(
    directory: Annotated[Path, typer.Argument(help="Where to write `.env` and `secrets/`.")],
) -> None:
    """Write new random secrets for a deployment: `.env` and the ticket keys; overwrites nothing."""
    from muster_stack.deployment_secrets import write_secrets

    for path in write_secrets(directory):
        typer.echo(f"{path}")


def _secret(field: str, state: Path) -> str:
    """The secret that a server started from here would verify with."""
    from muster_stack.credentials import Credentials

    if from_environment := os.environ.get(f"MUSTER_{field.upper()}"):
        return from_environment
    root = state.expanduser().absolute()
    if not root.is_dir():
        raise Problem(
            f"There is no {root}: start `muster up` first, name its --state, or set MUSTER_{field.upper()}."
        )
    return str(getattr(Credentials.read(root / "credentials.json"), field))
