"""Alembic's environment for every service, so that a service has `migrations/versions/` alone."""
