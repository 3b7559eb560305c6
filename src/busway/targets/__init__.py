"""What a rule can deliver to: one file a kind. `server` keys them by the service of the target's ARN."""
