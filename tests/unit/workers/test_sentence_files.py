import json

from job.records import PreparedData
from job.workers.sentence_files import describe_pooling
from tests.support import tiny

PREPARED = PreparedData({"train": 2}, {"train": 7}, "retrieval", [], [], 8, "0", {"columns": ["anchor", "positive"]})


def test_files_for_sentence_transformers(tmp_path):
    (tmp_path / "config.json").write_text('{"dim": 16}')
    describe_pooling(tiny.settings(tmp_path, EMBEDDING__POOLING="last"), PREPARED, tmp_path, tmp_path / "config.json")
    pooling = json.loads((tmp_path / "1_Pooling/config.json").read_text())
    assert pooling["word_embedding_dimension"] == 16
    assert [name for name, chosen in pooling.items() if chosen is True] == ["pooling_mode_lasttoken"]
    assert [module["path"] for module in json.loads((tmp_path / "modules.json").read_text())] == ["", "1_Pooling"]
    assert json.loads((tmp_path / "sentence_bert_config.json").read_text())["max_seq_length"] == 8


def test_an_adapter_s_width_is_its_base_s(tmp_path):
    base, adapter = tmp_path / "base", tmp_path / "adapter"
    base.mkdir()
    (base / "config.json").write_text('{"hidden_size": 8}')
    describe_pooling(tiny.settings(tmp_path), PREPARED, adapter, base / "config.json")
    assert json.loads((adapter / "1_Pooling/config.json").read_text())["word_embedding_dimension"] == 8
