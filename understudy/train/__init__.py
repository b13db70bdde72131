"""The package for authors of models: one run that records a training and registers its version.

    from understudy import train

    run = train.start_run("fraud", seeds={"split": 7})
    …fit…
    run.data((x, y), (x_kept, y_kept), uri="s3://…", window=(first_day, last_day), …)
    run.model(model)
    run.evaluate(threshold=0.5)
    run.policy(decision_threshold=0.5, fallback_score=0.1)
    print(run.check())
    run.register(reason="…")

Documented in docs/tutorials/from-notebook-to-champion.md.
"""

from understudy.provenance.code_facts import InstalledCode
from understudy.train.check_report import CheckReport
from understudy.train.from_mlflow import LoggedModel, from_mlflow
from understudy.train.policy import waiver
from understudy.train.run import AS_DEPLOYED, Run
from understudy.train.start import start_run

__all__ = [
    "AS_DEPLOYED",
    "CheckReport",
    "InstalledCode",
    "LoggedModel",
    "Run",
    "from_mlflow",
    "start_run",
    "waiver",
]
