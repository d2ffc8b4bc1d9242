import dataclasses

import pytest
from huggingface_hub import ModelCard

from job.reporting import card
from job.reporting.bundle import ReportBundle
from tests.support import bundles


@pytest.mark.parametrize("kind", ["single_label", "multi_label", "many_classes", "regression"])
def test_hub_reads_the_card_back(kind):
    bundle = getattr(bundles, kind)()
    read = ModelCard(card.render(bundle))
    assert read.data.pipeline_tag == "text-classification"
    assert read.data.license == "unknown"
    main = read.data.eval_results[0]
    assert main.metric_value == bundle.evaluation["metrics"][bundle.main_metric]


def test_base_model_and_data_sets_are_named_only_where_they_are_on_the_hub():
    bundle = bundles.single_label()
    assert card.header(bundle).base_model == "acme/tiny-distilbert"
    assert card.header(bundle).datasets is None
    bundle.sources["data/train"] |= {"uri": "org/reviews", "revision": "f" * 40}
    assert card.header(bundle).datasets == ["org/reviews"]
    bundle.sources["model"]["revision"] = ""
    assert card.header(bundle).base_model is None


@pytest.mark.parametrize("uri", ["org/name", "hf://org/name@main", "hf://datasets/org/name"])
def test_hub_name(uri):
    assert card.hub_name({"uri": uri, "revision": "a" * 40}) == "org/name"


def test_card_says_how_to_use_the_model():
    text = card.render(bundles.single_label())
    assert 'pipeline("text-classification", model=' in text
    assert 'function_to_apply="none"' in card.render(bundles.regression())
    assert "top_k=None" in card.render(bundles.multi_label())


def test_interval_and_baselines_stand_beside_the_score():
    text = card.render(bundles.single_label())
    assert "**accuracy 0.937** on 1,000 test examples (95 % confidence interval 0.921 to 0.952)" in text
    assert "| accuracy | 0.937 | 0.562 | 0.471 |" in text


def test_names_cannot_break_the_card():
    bundle = ReportBundle(
        "a: b\n---\n# x <b>", ledger={"notes": ["one | two\n# three <script>"]}, prepared={"problem": "regression"}
    )
    text = card.render(bundle)
    assert ModelCard(text).data.pipeline_tag == "text-classification"
    assert "<b>" not in text
    assert "\n# x" not in text


def test_cell():
    assert card.cell("a|b\n *c* <d>") == r"a\|b \*c\* &lt;d&gt;"


def test_tables_are_tables():
    lines = card.render(bundles.single_label()).splitlines()
    head = lines.index("| Label | Precision | Recall | F1 | Examples |")
    assert lines[head + 1] == "| --- | ---: | ---: | ---: | ---: |"
    assert lines[head + 2].startswith("| positive | 0.940 |")


def test_credentials_are_masked():
    assert "user:pass" not in card.render(bundles.single_label())


def test_a_task_says_itself_what_the_model_does_and_how_to_use_it():
    evaluation = {
        "pipeline_tag": "fill-mask",
        "usage": 'fill = pipeline("fill-mask", model="{model}")',
        "baselines": {"untrained": {}},
    }
    text = card.render(ReportBundle("x", evaluation={**evaluation, "metrics": {"loss": 1.0}, "main_metric": "loss"}))
    assert ModelCard(text).data.pipeline_tag == "fill-mask"
    assert ModelCard(text).data.tags == ["fill-mask"]
    assert f'fill = pipeline("fill-mask", model="{card.PLACEHOLDER}")' in text
    assert "text-classification" not in text
    assert "Majority" not in text


def test_an_adapter_is_used_by_the_task_s_own_line_where_it_has_one():
    bundle = ReportBundle("x", settings={"tuning": {"method": "lora"}}, train={"published": "adapter"})
    assert "AutoPeftModelForSequenceClassification" in card.render(bundle)
    evaluation = {"pipeline_tag": "text-generation", "usage": 'generate = pipeline("text-generation", model="{model}")'}
    text = card.render(dataclasses.replace(bundle, evaluation=evaluation))
    assert f'generate = pipeline("text-generation", model="{card.PLACEHOLDER}")' in text
    assert "an adapter, not a whole model" in text
    assert "SequenceClassification" not in text
    assert ModelCard(text).data.tags == ["text-generation", "lora"]
