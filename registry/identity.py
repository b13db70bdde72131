"""How calls say who acts."""

ACTOR_KEY = "understudy-actor"  # of the call's metadata
