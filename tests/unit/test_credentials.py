"""Secrets of a state directory: made once, whole or not at all."""

import stat

import pytest
from muster_stack.credentials import credentials_of, ticket_key_of, write_private
from muster_stack.problem import Problem


def test_they_are_made_once(tmp_path):
    first = credentials_of(tmp_path)
    assert credentials_of(tmp_path) == first
    assert ticket_key_of(tmp_path).read_bytes() == ticket_key_of(tmp_path).read_bytes()


def test_data_without_its_secrets_is_not_given_new_ones(tmp_path):
    (tmp_path / "postgres" / "data").mkdir(parents=True)
    with pytest.raises(Problem, match="is missing, and the data beside it cannot be opened"):
        credentials_of(tmp_path)


def test_a_write_cut_short_leaves_what_was_there(tmp_path):
    path = tmp_path / "secret"
    write_private(path, b"old")
    # What a killed process left.
    (tmp_path / ".secret.new").write_bytes(b"hal")
    assert path.read_bytes() == b"old"
    write_private(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret"]


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path):
    with pytest.raises(Problem):
        write_private(tmp_path / "none" / "secret", b"x")
