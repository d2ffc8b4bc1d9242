from job.records import PreparedData
from job.workers.tasks.causal_lm import CausalLM
from job.workers.tasks.language import NOT_A_TARGET
from tests.support import language, tiny


def test_what_is_sought_at_a_place_is_the_next_token_of_the_document(tmp_path):
    task = CausalLM(tiny.settings(tmp_path), PreparedData({}, {}, "", [], [], 8, "0"), language.tokenizer())
    read, sought = task.targets_of({"input_ids": [5, 6, 7, 8, 9], "targets": [0, 1, 0, 0, 1]}, 0)
    assert read.tolist() == [5, 6, 7, 8, 9]
    assert sought.tolist() == [6, NOT_A_TARGET, NOT_A_TARGET, 9, NOT_A_TARGET]
