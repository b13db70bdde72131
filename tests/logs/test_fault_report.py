"""Log events about failed writes: few, and one for the recovery."""

from pathlib import Path

from structlog.testing import capture_logs

from tests.logs.builders import score_batch, wait_until
from understudy.logs.fault_report import FaultReport
from understudy.logs.writer import LogWriter, WriterLimits

FULL = OSError(28, "No space left on device")


def test_a_failing_disk_is_reported_once_per_period_with_the_number_of_faults() -> None:
    report = FaultReport(Path("logs"), period_s=60)

    with capture_logs() as lines:
        for now_s in (0.0, 1.0, 59.9, 60.0, 61.0):
            report.note(FULL, now_s=now_s)

    assert [(line["event"], line["faults"]) for line in lines] == [
        ("log_unwritable", 1),
        ("log_unwritable", 4),
    ]
    assert lines[0]["error"] == "[Errno 28] No space left on device"


def test_a_recovery_is_reported_once_and_the_next_fault_at_once() -> None:
    report = FaultReport(Path("logs"), period_s=60)
    report.note(FULL, now_s=0.0)

    with capture_logs() as lines:
        report.clear()
        report.clear()
        report.note(FULL, now_s=1.0)

    assert [(line["event"], line["faults"]) for line in lines] == [
        ("log_writable_again", 1),
        ("log_unwritable", 1),
    ]


def test_a_writer_reports_its_directory_and_its_losses(tmp_path: Path) -> None:
    root = tmp_path / "logs"
    root.write_text("in the way")

    with capture_logs() as lines, LogWriter(root, limits=WriterLimits(retry_s=0.01)) as writer:
        writer.offer(score_batch(3))
        wait_until(lambda: writer.counters().faults >= 5, what="retries")
        writer.close()

    assert [line["event"] for line in lines] == ["log_unwritable", "log_closed_with_losses"]
    assert lines[0]["root"] == str(root)
    assert lines[1]["score"]["failed"] == 3


def test_a_log_without_losses_reports_nothing(tmp_path: Path) -> None:
    with capture_logs() as lines, LogWriter(tmp_path) as writer:
        writer.offer(score_batch(3))
        assert writer.flush(60)
        writer.close()

    assert lines == []
