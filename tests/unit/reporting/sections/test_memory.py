from job.reporting.bundle import ReportBundle
from job.reporting.sections.memory import memory
from tests.support import bundles


def test_each_engine_that_was_considered_has_a_row():
    table = memory(bundles.single_label())
    assert table.columns == ("Engine", "Weights", "Gradients", "Optimizer", "Buffers", "Activations", "In all", "Share")
    assert table.rows == [
        ("ddp (used)", "3.4 MB", "2.3 MB", "4.6 MB", "0 B", "428 MB", "438 MB", "3.7 %"),
        ("zero1", "1.1 MB", "2.3 MB", "3.4 MB", "1.1 MB", "428 MB", "436 MB", "3.6 %"),
    ]
    assert "of 12.0 GB each, 16,384 tokens at once" in table.caption


def test_nothing_was_estimated():
    assert not memory(ReportBundle("x"))
    assert not memory(bundles.regression())
