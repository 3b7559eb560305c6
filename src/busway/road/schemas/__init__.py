"""What events look like to others: JSON Schema, TypeScript, and whether a change breaks somebody."""
