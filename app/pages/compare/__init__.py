"""Compare: one prompt, every model's answer side by side."""
