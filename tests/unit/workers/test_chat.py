"""Templates that cannot be trusted are told by what is wrong with them; random conversations are in
tests/integration/test_chat_templates.py.
"""

import functools

import pytest

from job.workers.chat import ChatTemplate, TemplateFaultError
from tests.support import language


@functools.cache
def made(name):
    tokenizer = language.tokenizer(name)
    return tokenizer, ChatTemplate(tokenizer)


@pytest.mark.parametrize("name", language.TEMPLATES)
def test_the_prompt_is_what_is_not_trained(name):
    _, template = made(name)
    asked = [{"role": "user", "content": "what"}]
    whole = template.render([*asked, {"role": "assistant", "content": "that"}])
    tokenizer, _ = made(name)
    prompt = tokenizer(template.text(asked, prompt=True), add_special_tokens=False)["input_ids"]
    assert whole.input_ids[: whole.targets.index(1)] == prompt


CHAT = [
    {"role": "system", "content": "be short"},
    {"role": "user", "content": "how are you"},
    {"role": "assistant", "content": "fine"},
    {"role": "user", "content": "and now"},
    {"role": "assistant", "content": "still fine"},
]
PLAIN = language.TEMPLATES["chatml"]
LOOP = "{% for m in messages %}"
FAULTS = {
    "drops the system's message": (
        "{% for m in messages if m['role'] != 'system' %}" + PLAIN.removeprefix(LOOP),
        "drops or changes message 1 (system): 'be short'",
    ),
    "changes what is said": (PLAIN.replace("m['content']", "m['content'] | upper"), "drops or changes message 1 (system)"),
    "begins twice": ("{{ bos_token + bos_token }}" + PLAIN, "begins with the token '<s>' twice: ['<s>', '<s>', '<|im_start|>'"),
    "does not end the turn": (
        PLAIN.replace(" + '<|im_end|>'", ""),
        "does not end the assistant's turn with a special token (what follows the answer is '\\n')",
    ),
    "ends the turn in letters": (PLAIN.replace("<|im_end|>", "END"), "(what follows the answer is 'END\\n')"),
    "does not begin the turn": (
        PLAIN.split("{% if add")[0],
        "does not begin with what it says, but with '<|im_start|>assistant\\nfine",
    ),
    "begins another turn": (
        PLAIN.replace("{{ '<|im_start|>assistant\n' }}", "{{ '<|im_start|>model\n' }}"),
        "renders the conversation before the assistant's turn otherwise when more follows: at character",
    ),
    "forgets what was said before": (
        LOOP
        + "{{ '<|im_start|>' + m['role'] + '\n' + ('' if m['role'] == 'assistant' and not loop.last else '<think></think>') + m['content'] + '<|im_end|>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n<think></think>' }}{% endif %}",
        "otherwise when more follows: at character",
    ),
    "refuses a role": (
        LOOP + "{{ raise_exception('System role not supported') }}{% endfor %}",
        "refuses the conversation: System role not supported",
    ),
    "is no template": ("{% for m in", "refuses the conversation"),
    "reaches out": ("{{ messages.__class__.__mro__ }}", "refuses the conversation"),
    "marks one turn of two": (
        LOOP
        + "{% if loop.last %}{% generation %}{{ m['content'] + eos_token }}{% endgeneration %}{% else %}{{ m['content'] + eos_token }}{% endif %}{% endfor %}",
        "stand around 1 texts, and the assistant speaks 2 times",
    ),
    "marks without the end": (
        LOOP
        + "{% if m['role'] == 'assistant' %}{% generation %}{{ m['content'] }}{% endgeneration %}{{ eos_token }}{% else %}{{ m['content'] + eos_token }}{% endif %}{% endfor %}",
        "does not end the assistant's turn with a special token (what follows the answer is '')",
    ),
    "tears a token apart": (
        LOOP
        + "{{ ('goo' if m['role'] == 'assistant' else '') + m['content'] + '<|im_end|>' }}{% endfor %}{% if add_generation_prompt %}{{ 'goo' }}{% endif %}",
        "lies half in the prompt and half in the answer",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_template_that_cannot_be_trusted_is_told(name):
    source, says = FAULTS[name]
    chat = [*CHAT[:2], {"role": "assistant", "content": "d"}] if name == "tears a token apart" else CHAT
    with pytest.raises(TemplateFaultError) as caught:
        ChatTemplate(language.tokenizer(source)).render(chat)
    assert says in str(caught.value)
