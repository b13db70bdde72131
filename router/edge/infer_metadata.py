"""ModelMetadata of a deployment: the tensors that its requests may have, and its answers."""

from router.edge.infer_requests import OUR_OUTPUTS, SCORE, SERVED_VERSION
from router.revision.live_model import LiveModel
from understudy.domain.features import FeatureDtype
from understudy.domain.versions import DYNAMIC
from understudy.oip import inference_pb2 as pb

_PLATFORM = "understudy_deployment"
_DATATYPES = {
    FeatureDtype.FLOAT32: "FP32",
    FeatureDtype.FLOAT64: "FP64",
    FeatureDtype.INT64: "INT64",
    FeatureDtype.BOOL: "BOOL",
    FeatureDtype.STRING: "BYTES",
}
_OUR_DATATYPES = {SCORE: "FP64", SERVED_VERSION: "INT64"}
_Tensor = pb.ModelMetadataResponse.TensorMetadata


def model_metadata(live: LiveModel) -> pb.ModelMetadataResponse:
    """Return the metadata: inputs by the request contract, which no change of version alters."""
    names, deployment = live.names, live.deployment
    champion = live.effective.champion or deployment.champion
    inputs = dict.fromkeys(names.entity_types, "BYTES")
    inputs |= {
        name: _DATATYPES[dtype] for name, dtype in names.dtypes.items() if name not in inputs
    }
    of_models = [name for name in names.output_names if name not in OUR_OUTPUTS]
    return pb.ModelMetadataResponse(
        name=deployment.model,
        versions=[str(champion)],
        platform=_PLATFORM,
        inputs=[
            _Tensor(name=name, datatype=datatype, shape=(DYNAMIC, 1))
            for name, datatype in inputs.items()
        ],
        outputs=[
            *(
                _Tensor(name=name, datatype=_OUR_DATATYPES.get(name, "BYTES"), shape=(DYNAMIC, 1))
                for name in OUR_OUTPUTS
            ),
            *(_Tensor(name=name, datatype="FP64", shape=(DYNAMIC, DYNAMIC)) for name in of_models),
        ],
        properties={
            "revision": str(deployment.revision),
            "required_inputs": ",".join(names.required_entities),
        },
    )
