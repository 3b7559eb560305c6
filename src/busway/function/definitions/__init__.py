"""What functions there are: created, versioned, aliased, configured, and where their code lies."""
