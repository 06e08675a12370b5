"""Image diffusion models: loading, sampling from the same noise, judging."""
