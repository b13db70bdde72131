"""Rules of the request path. Pure: time and randomness are arguments."""
