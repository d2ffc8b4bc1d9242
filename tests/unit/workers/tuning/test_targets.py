import re

import pytest

from job.errors import SettingsError
from job.workers.tuning import anatomy, targets
from tests.support import architectures


@pytest.fixture(scope="module")
def roberta():
    return architectures.build("roberta")


def test_all_linear_is_all_but_the_head(roberta):
    found = targets.adapted_modules(roberta, ["all-linear"])
    assert len(found) == 3 * 6
    assert not [name for name in found if name.startswith("classifier")]


def test_names_are_last_parts(roberta):
    assert targets.adapted_modules(roberta, ["query"]) == [f"roberta.encoder.layer.{n}.attention.self.query" for n in range(3)]
    assert targets.adapted_modules(roberta, ["1.attention.self.query"]) == ["roberta.encoder.layer.1.attention.self.query"]
    assert targets.adapted_modules(roberta, ["word_embeddings"]) == ["roberta.embeddings.word_embeddings"]
    assert not [name for name in targets.adapted_modules(roberta, ["dense"]) if name.startswith("classifier")]


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["query", "q_lin"], "Name 2 of 2 in JOB_TUNING__LORA_TARGETS matches no module of this RobertaForSequenceClassification"),
        (["LayerNorm"], "matches modules that cannot have an adapter (roberta.embeddings.LayerNorm, LayerNorm)"),
        (["out_proj"], "matches modules that cannot have an adapter (classifier.out_proj, Linear)"),
        (["uery"], "Name 1 of 1"),
    ],
)
def test_names_that_mean_nothing_are_told_with_those_that_do(roberta, names, says):
    with pytest.raises(SettingsError, match=re.escape(says)) as caught:
        targets.adapted_modules(roberta, names)
    assert "query, key, value, dense; or all-linear" in caught.value.hint
    assert not any(name in caught.value.message for name in ("q_lin", "uery"))


def test_kept_whole_is_the_head_and_what_is_named(roberta):
    assert targets.whole_modules(roberta, []) == ["classifier"]
    assert targets.whole_modules(roberta, ["word_embeddings"]) == ["classifier", "roberta.embeddings.word_embeddings"]
    with pytest.raises(
        SettingsError, match=r"Name 1 of 1 in JOB_TUNING__LORA_MODULES_TO_SAVE matches no module with weights"
    ) as caught:
        targets.whole_modules(roberta, ["lm_head"])
    assert "word_embeddings" in caught.value.hint


def test_names_are_short_where_they_mean_nothing_else(roberta):
    assert targets.short_names(roberta, targets.adapted_modules(roberta, ["query", "value"])) == ["query", "value"]
    full = targets.adapted_modules(roberta, ["dense"])  # the classifier has a dense of its own
    assert targets.short_names(roberta, full) == full


def test_what_is_never_called_gets_no_adapter_and_is_not_kept_whole():
    model = architectures.build("bert", "AutoModel")
    anatomy.mark_idle(model, "pooler")
    for wanted in ("all-linear", "dense"):
        assert not [name for name in targets.adapted_modules(model, [wanted]) if name.startswith("pooler")]
    assert targets.whole_modules(model, []) == []
    with pytest.raises(SettingsError, match="cannot have an adapter"):
        targets.adapted_modules(model, ["pooler.dense"])
    with pytest.raises(SettingsError, match="no module with weights"):
        targets.whole_modules(model, ["pooler"])
