"""A minimal calling service, as the input of a type checker."""

from understudy.client import Decision, Features, ScoreAnswer, ScoringClient


def score_of(client: ScoringClient, user: str, features: Features) -> ScoreAnswer:
    return client.score("fraud", {"user": user}, features=features)


def is_harmless(answer: ScoreAnswer) -> bool:
    return answer.decision is Decision.BELOW
