"""A data scientist's script: it trains with several libraries and logs to the local MLflow store.

    python log_to_mlflow.py ROWS.parquet

Each model is registered under the name of its flavour, with the alias `candidate`.
"""

import sys
from typing import Any

import catboost
import lightgbm
import mlflow
import mlflow.catboost
import mlflow.lightgbm
import mlflow.onnx
import mlflow.sklearn
import mlflow.xgboost
import pandas as pd
import xgboost
from mlflow.models import infer_signature
from skl2onnx import to_onnx
from sklearn.linear_model import LogisticRegression

FEATURES = ["amount", "age", "visits"]


def log(name: str, module: Any, model: Any, x: Any, **options: Any) -> None:
    with mlflow.start_run():
        mlflow.log_params({"library": name, "seed": 3})
        mlflow.log_metric("auc", 0.5)
        signature = infer_signature(x, [0])
        module.log_model(
            model, name="model", signature=signature, registered_model_name=name, **options
        )
    newest = mlflow.MlflowClient().get_registered_model(name).latest_versions[0].version
    mlflow.MlflowClient().set_registered_model_alias(name, "candidate", newest)


rows = pd.read_parquet(sys.argv[1])
x, y = rows[FEATURES], rows["label"]
linear = LogisticRegression(random_state=3).fit(x, y)
log("sklearn_model", mlflow.sklearn, linear, x, serialization_format="cloudpickle")
boosted = lightgbm.LGBMClassifier(n_estimators=10, random_state=3, verbose=-1, n_jobs=1)
log("lightgbm_model", mlflow.lightgbm, boosted.fit(x, y), x, serialization_format="cloudpickle")
trees = xgboost.XGBClassifier(n_estimators=10, random_state=3, n_jobs=1)
log("xgboost_model", mlflow.xgboost, trees.fit(x, y), x)
options = {"verbose": 0, "allow_writing_files": False, "thread_count": 1}
oblivious = catboost.CatBoostClassifier(iterations=10, random_seed=3, **options)
log("catboost_model", mlflow.catboost, oblivious.fit(x, y), x)
matrix = x.to_numpy("float32")
file = to_onnx(
    LogisticRegression(random_state=3).fit(matrix, y), matrix[:1], options={"zipmap": False}
)
log("onnx_model", mlflow.onnx, file, matrix)
