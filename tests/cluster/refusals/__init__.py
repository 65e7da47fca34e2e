"""Stacks that cannot come up, on a node of their own: they need no other stack."""
