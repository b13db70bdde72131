"""ModelInfer on the router's port against Score: the same units, in the same processes, in turns."""

from dataclasses import replace
from pathlib import Path

from benchmarks import measure
from benchmarks.h2load import write_frame
from benchmarks.model import ENTITY, MODEL
from benchmarks.request_path import CHAMPION, open_request_path
from benchmarks.rows import Effort, Row, Scenario
from understudy.oip import inference_pb2

MOST_P99_TIMES = 1.2
_METHOD = "/inference.GRPCInferenceService/ModelInfer"


def infer_request_of(entity_id: str) -> inference_pb2.ModelInferRequest:
    """Return the request of one unit, as tritonclient sends it."""
    text = entity_id.encode()
    request = inference_pb2.ModelInferRequest(
        model_name=MODEL, raw_input_contents=[len(text).to_bytes(4, "little") + text]
    )
    request.inputs.add(name=ENTITY, datatype="BYTES", shape=[1, 1])
    return request


async def measure_infer(effort: Effort, folder: Path) -> list[Row]:
    """Measure Score, then ModelInfer, in each round."""
    async with open_request_path(folder) as path:
        entity_id = (await path.entities_of(CHAMPION, 1))[0]
        score = await path.target("score", [entity_id])
        body = write_frame(path.folder / "infer.frame", infer_request_of(entity_id))
        load = replace(score.load, method=_METHOD, bodies=(body,))
        infer = replace(score, name="ModelInfer on the router", load=load)
        measured = await measure.alternate([score, infer], effort)
    return [_row(name, measured[name], measured[score.name]) for name in (score.name, infer.name)]


def _row(name: str, runs: list[measure.Measured], score: list[measure.Measured]) -> Row:
    p99_times = measure.median_latency_s(runs, 99) / measure.median_latency_s(score, 99)
    return Row(
        name=name,
        requests_per_s=round(measure.median_rate(runs), 1),
        ratio_to_floor=round(measure.median_ratio(runs, score), 3),
        cpu_us_per_request=measure.median_cpu_us(runs),
        mean_batch_rows=measure.median_batch_rows(runs),
        others_cpu_share=measure.median_others_share(runs),
        goal=f"p99 <= {MOST_P99_TIMES} x that of Score" if runs is not score else "the reference",
        met=p99_times <= MOST_P99_TIMES if runs is not score else None,
        note=f"p99 {measure.median_latency_s(runs, 99) * 1000:.1f} ms, {p99_times:.2f} x that of Score",
    )


SCENARIOS = (Scenario("infer on the router", measure_infer),)
