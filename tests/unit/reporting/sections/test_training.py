from job.reporting.bundle import ReportBundle
from job.reporting.sections.training import training
from tests.support import bundles


def titles(bundle):
    return [figure.title for figure in training(bundle)["figures"]]


def test_everything_recorded_is_drawn():
    assert titles(bundles.single_label()) == [
        "Loss",
        "Validation accuracy",
        "Learning rate",
        "Gradient norm",
        "Tokens per second",
        "Padding, per cent",
    ]


def test_what_was_not_recorded_is_left_out():
    assert titles(bundles.regression()) == ["Loss"]
    assert titles(ReportBundle("x")) == []


def test_best_step_is_marked_unless_the_last_one_was_published():
    bundle = bundles.single_label()
    assert ">best<" in training(bundle)["figures"][0].chart
    bundle.train["best_metric"] = "none"
    assert ">best<" not in training(bundle)["figures"][0].chart


def test_chosen_by_loss_the_main_metric_is_drawn_beside_it():
    bundle = bundles.single_label()
    bundle.train["best_metric"] = "loss"
    assert "Validation accuracy" in titles(bundle)
