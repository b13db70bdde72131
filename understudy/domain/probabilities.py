"""The least probability that a logarithmic loss believes."""

LEAST_PROBABILITY = 2.0**-52
"""Of the true class: a wrong certainty would have an infinite loss. That of scikit-learn's `log_loss`."""
