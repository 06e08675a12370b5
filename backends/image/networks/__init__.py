"""Networks beside the judges: embeddings and distances of pictures."""
