"""Language models: loading, scoring given answers, generating."""
