"""Build: unlearned versions of the original are made, and watched while they forget."""
