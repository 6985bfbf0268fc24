"""Rooms in which people work out together."""
