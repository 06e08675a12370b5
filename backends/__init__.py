"""What touches models: studies, checkpoints, text and image models, metrics. Knows nothing of databases or pages."""
