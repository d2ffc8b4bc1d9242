from job.reporting.bundle import ReportBundle
from job.reporting.sections import headline
from tests.support import bundles


def test_result_stands_between_interval_and_baselines():
    assert headline.result(bundles.single_label()) == {
        "metric": "accuracy",
        "value": "0.937",
        "interval": "0.921 to 0.952",
        "level": "95 %",
        "examples": "1,000 test examples",
        "baselines": "always the same answer 0.562, the model before training 0.471",
    }


def test_validation_data_is_not_called_test_data():
    assert "validation" in headline.result(bundles.multi_label())["examples"]


def test_interval_of_another_metric_is_not_shown():
    bundle = bundles.single_label()
    bundle.evaluation["interval"]["metric"] = "f1_macro"
    assert headline.result(bundle)["interval"] == ""


def test_nothing_known_nothing_said():
    shown = headline.headline(ReportBundle("x"))
    assert shown == {"result": {}, "comparison": None, "facts": []}


def test_facts_name_revision_or_hash_and_no_folders_of_this_machine():
    facts = dict(headline.facts(bundles.single_label()))
    assert facts["Model"] == "hf://acme/tiny-distilbert, revision 0123456789ab, 2.3 MB"
    assert facts["Training data"] == "…/reviews/train.csv, sha256 3f3f3f3f3f3f, 1.1 MB"
    assert facts["Engine"] == "ddp, 2 processes, cpu, bf16"
    assert facts["Published"] == "step 880, best validation accuracy 0.938"


def test_metric_names():
    assert [headline.metric_name(key) for key in ("f1_macro", "roc_auc", "rmse", "loss")] == ["F1 macro", "ROC AUC", "RMSE", "loss"]
