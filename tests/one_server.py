"""Marks tests that look into one Redis server, and so say nothing of a cluster."""

import os

import pytest

of_one_server = pytest.mark.skipif(
    os.environ.get("MUSTER_TEST_REDIS") == "cluster", reason="looks into one server"
)
