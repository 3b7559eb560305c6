"""A project's TypeScript: its package in place, its files bundled, and what they define."""
