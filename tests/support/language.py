"""Small language models that are real: a byte-level tokenizer, a Llama of two layers, chat templates of well-known families, prepared runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from job import run_dir as run_dirs
from job.run_dir import RunDir
from tests.support import tiny

SPECIAL = ["<|pad|>", "<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|header|>", "<|eot|>", "<|turn|>", "<|stop|>", "<|mask|>"]

TEMPLATES = {
    # ChatML, as Qwen and many others speak it.
    "chatml": (
        "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    ),
    # Headers and an end of turn, as Llama 3 has; contents are trimmed.
    "headers": (
        "{{ bos_token }}{% for m in messages %}{{ '<|header|>' + m['role'] + '<|header|>\n\n' + m['content'] | trim + '<|eot|>' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|header|>assistant<|header|>\n\n' }}{% endif %}"
    ),
    # Instructions in brackets, as Llama 2 and Mistral have; the system's message stands in the first instruction.
    "brackets": (
        "{{ bos_token }}{% set ns = namespace(system='') %}{% for m in messages %}{% if m['role'] == 'system' %}"
        "{% set ns.system = '<<SYS>>\n' + m['content'] + '\n<</SYS>>\n\n' %}{% elif m['role'] == 'user' %}"
        "{{ '[INST] ' + ns.system + m['content'] + ' [/INST]' }}{% set ns.system = '' %}{% elif m['role'] == 'assistant' %}"
        "{{ ' ' + m['content'] + ' ' + eos_token }}{% endif %}{% endfor %}"
    ),
    # Turns with the role renamed, as Gemma has; the system's message becomes part of the user's.
    "turns": (
        "{{ bos_token }}{% set ns = namespace(system='') %}{% for m in messages %}{% if m['role'] == 'system' %}"
        "{% set ns.system = m['content'] + '\n\n' %}{% else %}"
        "{{ '<|turn|>' + ('model' if m['role'] == 'assistant' else m['role']) + '\n' + ns.system + m['content'] | trim + '<|stop|>\n' }}"
        "{% set ns.system = '' %}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|turn|>model\n' }}{% endif %}"
    ),
    # Roles as marks of their own and the end-of-text token after each turn, as Zephyr has; it says itself what is the assistant's.
    "marked": (
        "{% for m in messages %}{% if m['role'] == 'assistant' %}{{ '<|assistant|>\n' }}"
        "{% generation %}{{ m['content'] + eos_token }}{% endgeneration %}{{ '\n' }}"
        "{% else %}{{ '<|' + m['role'] + '|>\n' + m['content'] + eos_token + '\n' }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
    ),
}


def tokenizer(template: str | None = "chatml", max_length: int = 256, texts: tuple[str, ...] = ()) -> Any:
    """A byte-level BPE tokenizer that can write any text; ``texts`` teach it some merges."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=360, special_tokens=SPECIAL, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    words = [" ".join(group) for group in tiny.WORDS.values()]
    inner.train_from_iterator([*words * 20, *texts], trainer)
    found = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="<|pad|>",
        bos_token="<s>",
        eos_token="</s>",
        mask_token="<|mask|>",
        additional_special_tokens=SPECIAL[3:9],
        model_max_length=max_length,
        clean_up_tokenization_spaces=False,
    )
    if template is not None:
        found.chat_template = TEMPLATES.get(template, template)
    return found


def write_llama(folder: Path, template: str | None = "chatml", seed: int = 0, **config: Any) -> Path:
    """A Llama with random weights and the tokenizer above."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    made = tokenizer(template, texts=tuple(text for text, _ in tiny.sentences(60)))
    torch.manual_seed(seed)
    values = {
        "vocab_size": len(made),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
    }
    LlamaForCausalLM(LlamaConfig(**{**values, **config})).save_pretrained(folder)
    made.save_pretrained(folder)
    return folder


def write_run(folder: Path, files: dict[str, tuple[str, bytes]], **settings: str) -> tuple[RunDir, Any]:
    """A run directory before it is prepared, and its settings; ``files`` by split: name and content."""
    import shutil

    run_dir = RunDir(folder / "run")
    if not (folder / "model").exists():
        write_llama(folder / "model")
    held_out = {"DATA__EVAL_URI": "x"} if "eval" in files else {}
    chosen = tiny.write_settings(folder, run_dir.root, **held_out, **settings)
    shutil.copytree(folder / "model", run_dir.input_model)
    for split, (name, content) in files.items():
        path = run_dir.input_data(split) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        run_dirs.write_json(run_dir.input_data(split).with_suffix(".json"), {"kind": "files", "files": [name], "uri": []})
    run_dirs.write_json(run_dir.identity, {"settings_fingerprint": "s", "data_fingerprint": "d"})
    run_dirs.write_json(run_dir.attempt, {"number": 1, "nonce": "n"})
    return run_dir, chosen


def prepared(folder: Path, files: dict[str, tuple[str, bytes]], **settings: str) -> tuple[RunDir, Any]:
    """`write_run`, prepared by the real program's body."""
    from job.workers import prepare

    run_dir, chosen = write_run(folder, files, **settings)
    prepare.main(run_dir, chosen)
    return run_dir, chosen


def task_of(run_dir: RunDir, settings: Any) -> tuple[Any, Any]:
    """The run's task and its start model."""
    import torch
    from transformers import AutoTokenizer

    from job.records import PreparedData
    from job.workers.tasks import make_task

    record = PreparedData.read(run_dir.prepared / "prepared.json")
    task = make_task(settings, record, AutoTokenizer.from_pretrained(run_dir.prepared / "tokenizer"))
    torch.manual_seed(0)
    return task, task.load_model(str(run_dir.input_model), from_config=settings.model.from_config)


def json_lines(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


def documents(count: int, seed: int = 0, longest: int = 40) -> bytes:
    """JSON lines with a text each."""
    return json_lines([{"text": text} for text, _ in tiny.sentences(count, seed, longest)])


def chats(count: int, seed: int = 0) -> bytes:
    """JSON lines with conversations of one or two exchanges, some with a system's message."""
    told = tiny.sentences(count * 4, seed, longest=6)
    rows = []
    for at in range(count):
        texts = [text for text, _ in told[4 * at : 4 * at + 4]]
        turns = [("user", texts[0]), ("assistant", texts[1]), ("user", texts[2]), ("assistant", texts[3])][: 2 + 2 * (at % 2)]
        system = [("system", "answer in few words")] if at % 3 == 0 else []
        rows.append({"messages": [{"role": role, "content": content} for role, content in [*system, *turns]]})
    return json_lines(rows)
