"""Pure rules of the request path. Time and randomness are arguments."""
