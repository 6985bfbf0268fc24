"""A quiz played through the front door: real clients, real tokens, real watch streams."""
