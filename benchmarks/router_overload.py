"""Three times as many calls as can be answered: what is still answered, how fast the rest is refused."""

from dataclasses import replace
from pathlib import Path

from benchmarks.measure import (
    alternate,
    median_cpu_us,
    median_latency_s,
    median_others_share,
    median_rate,
)
from benchmarks.request_path import CHAMPION, open_request_path
from benchmarks.rows import Effort, Row, Scenario

OVERLOAD_TIMES = 3
LEAST_GOODPUT = 0.9
_CONNECTIONS = 32
_MOST_IN_FLIGHT = 256  # per connection: the load does not wait for answers


async def measure_overload(effort: Effort, folder: Path) -> list[Row]:
    """Answers per second at three times the peak, against the peak. Refusals carry no bytes."""
    async with open_request_path(folder) as path:
        entity_ids = await path.entities_of(CHAMPION, 1)
        peak = await path.target("peak", entity_ids)
        peak_per_s = median_rate((await alternate([peak], replace(effort, rounds=1)))[peak.name])
        load = replace(
            peak.load,
            connections=_CONNECTIONS,
            in_flight=_MOST_IN_FLIGHT,
            sent_per_s=round(OVERLOAD_TIMES * peak_per_s),
        )
        flood = replace(peak, name="flood", load=load, may_refuse=True)
        measured = await alternate([peak, flood], effort)
    peaks, floods = measured[peak.name], measured[flood.name]
    frame_bytes = peaks[0].counted.answer_bytes / peaks[0].counted.requests
    goodput = [
        under.counted.answer_bytes
        / frame_bytes
        / under.counted.seconds
        / over.counted.requests_per_s
        for under, over in zip(floods, peaks, strict=True)
    ]
    share = sorted(goodput)[len(goodput) // 2]
    ended_per_s = median_rate(floods)
    p99_ms = median_latency_s(floods, 99) * 1000
    return [
        Row(
            name=f"open loop at {OVERLOAD_TIMES} x the peak, answers",
            requests_per_s=round(share * median_rate(peaks), 1),
            goal=f">= {LEAST_GOODPUT} of the peak answered, the rest refused fast",
            met=share >= LEAST_GOODPUT,
            cpu_us_per_request=median_cpu_us(floods),
            others_cpu_share=median_others_share(floods),
            note=(
                f"{share:.2f} of the peak ({peak_per_s:.0f}/s); {load.sent_per_s}/s asked of the "
                f"generator, {ended_per_s:.0f}/s ended (answered or refused), p99 {p99_ms:.0f} ms; "
                "the generator shares the cores"
            ),
        )
    ]


SCENARIOS = (Scenario("overload", measure_overload),)
