"""What the recipes in ``docs/recipes`` are run on: the models and data sets they name, small and made on the spot.

Names and forms are those of the real ones, so that a recipe runs with the places it was written with.
"""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path
from typing import Any

from tests.support import house, tiny
from tests.support.minihub import MiniHub

DISTILBERT = "distilbert/distilbert-base-uncased"
GPT2 = "openai-community/gpt2"
TWEETS = "mteb/tweet_sentiment_extraction"
END_OF_TEXT = "<|endoftext|>"
NUM_TWEETS = {"train": 27480, "test": 3534}
SENTIMENTS = ("negative", "neutral", "positive")
CHARMS = {
    "delivery": "parcel courier late lost box".split(),
    "praise": "lovely great fits colour thanks".split(),
    "question": "how where can when refund".split(),
    "negative": "missed awful sad tired hate".split(),
    "neutral": "bus work monday going home".split(),
    "positive": "happy love great sunshine thanks".split(),
}


def read(name: str) -> dict[str, str]:
    """A recipe's variables."""
    lines = (house.ROOT / f"docs/recipes/{name}.env").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def text(draw: random.Random, label: str, longest: int = 24) -> str:
    """A few words, one of which gives the label away; hardly ever the same twice."""
    words = [draw.choice(tiny.WORDS["plain"]) for _ in range(min(longest, 2 + int(draw.expovariate(1 / 6))))]
    words.insert(draw.randrange(len(words)), draw.choice(CHARMS.get(label) or tiny.WORDS[label]))
    return f"{' '.join(words)} {draw.randrange(10**6)}"


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """A CSV file, quoted where it must be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_own_csv(folder: Path, count: int = 240) -> None:
    """``data/train.csv``: three classes of unlike size, commas and quotes in the texts."""
    draw = random.Random(1)
    labels = [*["delivery"] * (count // 2), *["praise"] * (count // 3), *["question"] * (count - count // 2 - count // 3)]
    draw.shuffle(labels)
    write_rows(folder / "data/train.csv", [{"text": f'{text(draw, label)}, "so", they said', "label": label} for label in labels])


def write_imdb_folder(folder: Path, per_class: int = 60) -> None:
    """``aclImdb`` as its archive unpacks: a review a file, unlabelled ones, and the lists that lie beside the folders."""
    draw = random.Random(2)
    names = {"neg": "negative", "pos": "positive"}
    for split, label in [(split, label) for split in ("train", "test") for label in names]:
        below = folder / "aclImdb" / split / label
        below.mkdir(parents=True)
        for number in range(per_class):
            stars = draw.randint(1, 4) if label == "neg" else draw.randint(7, 10)
            (below / f"{number}_{stars}.txt").write_text(f"{text(draw, names[label])}.<br /><br />{text(draw, names[label])}.")
    unlabelled = folder / "aclImdb/train/unsup"
    unlabelled.mkdir()
    for number in range(20):
        (unlabelled / f"{number}_0.txt").write_text(text(draw, "positive"))
    for name in ("urls_neg.txt", "urls_pos.txt", "urls_unsup.txt", "labeledBow.feat", "unsupBow.feat"):
        (folder / "aclImdb/train" / name).write_text("http://www.imdb.com/title/tt0000001/usercomments\n")


def write_imdb_csv(folder: Path) -> None:
    """``imdb/{train,validation,test}.csv`` with labels 0 and 1; one review is longer than any model's limit."""
    draw = random.Random(3)
    for split, count in (("train", 160), ("validation", 40), ("test", 50)):
        rows = [
            {"text": text(draw, name) + ".<br />", "label": at}
            for at, name in [(at % 2, ("negative", "positive")[at % 2]) for at in range(count)]
        ]
        rows[0]["text"] = " ".join(text(draw, "negative") for _ in range(300))
        write_rows(folder / f"imdb/{split}.csv", rows)


def write_lora_csv(folder: Path) -> None:
    """``data/imdb/{train,validation}.csv``, as `write_imdb_csv` writes them one folder higher."""
    write_imdb_csv(folder / "data")


def add_models(hub: MiniHub, folder: Path) -> None:
    """The two models under their names on the Hub, with as many positions as the real ones."""
    hub.add("model", DISTILBERT, contents(tiny.write_model(folder / "distilbert", max_position_embeddings=512)))
    hub.add("model", GPT2, contents(write_gpt2(folder / "gpt2")))


def add_tweets(hub: MiniHub) -> None:
    """The tweets' data set, all its rows, as the JSON lines that it consists of on the Hub."""
    draw = random.Random(4)

    def line(number: int) -> str:
        label = draw.randrange(3)
        row = {"id": f"{number:010x}", "text": text(draw, SENTIMENTS[label], 12), "label": label, "label_text": SENTIMENTS[label]}
        return json.dumps(row) + "\n"

    files = {f"{split}.jsonl": "".join(line(number) for number in range(count)).encode() for split, count in NUM_TWEETS.items()}
    hub.add("dataset", TWEETS, {**files, "README.md": b"# Tweets\n", ".gitattributes": b"*.bin filter=lfs\n"})


def write_gpt2(folder: Path) -> Path:
    """A GPT-2 language model with random weights and a byte-level BPE tokenizer trained here, without a pad token."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    draw = random.Random(5)
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=[END_OF_TEXT], initial_alphabet=alphabet, show_progress=False)
    inner.train_from_iterator([text(draw, draw.choice(SENTIMENTS)) for _ in range(500)], trainer)
    special = dict.fromkeys(("bos_token", "eos_token", "unk_token"), END_OF_TEXT)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, model_max_length=1024, **special)
    torch.manual_seed(0)
    size = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 1024}
    GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), bos_token_id=0, eos_token_id=0, **size)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its relative path."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
