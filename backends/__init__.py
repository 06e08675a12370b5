"""What touches models: studies, checkpoints, language and diffusion models, metrics. Knows nothing of databases or pages."""
