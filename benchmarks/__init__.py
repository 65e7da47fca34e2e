"""Measures what a reader of the documentation would ask for."""
