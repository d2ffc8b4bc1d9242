"""Settings of the data: where it lies, how it is read, how it is split."""

from __future__ import annotations

import codecs
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from job.settings.group import CommaList, Group, NonEmpty, UriList

DataFormat = Literal["auto", "csv", "tsv", "jsonl", "parquet", "text-folder", "text", "conll"]


class DataSettings(Group):
    """The data: where it lies, how it is read, how it is split."""

    train_uri: UriList = Field(min_length=1)
    """Training data: file, glob, folder, `s3://` object, glob or prefix, or a Hub data set (`org/name`, `hf://org/name@revision`); several by comma."""

    eval_uri: UriList = ()
    """Validation data, same forms. Without it, a stratified share of the training data is set aside."""

    test_uri: UriList = ()
    """Test data for the final score, same forms. Without it, `JOB_DATA__TEST_FRACTION` of the training data, or else the validation data, is scored."""

    format: DataFormat = "auto"
    """File format. `auto` goes by the file's ending, `.gz` and `.zst` taken off; `text-folder` is one text per file, sub-folders are the labels; `text` is plain text without labels, for language models; `conll` is a word and its tags a line, an empty line after each sentence."""

    hub_config: NonEmpty | None = None
    """Configuration name of a Hub data set that has several."""

    train_split: NonEmpty = "train"
    """Split of a Hub data set to train on."""

    eval_split: NonEmpty = "validation"
    """Split of the Hub data set in `JOB_DATA__EVAL_URI`."""

    test_split: NonEmpty = "test"
    """Split of the Hub data set in `JOB_DATA__TEST_URI`."""

    text_column: NonEmpty = "text"
    """Column that holds the text; for `seq2seq` what the target answers."""

    text_pair_column: NonEmpty | None = None
    """Column of a second text, for pairs."""

    target_column: NonEmpty = "target"
    """Column that holds the text to be written (task `seq2seq`)."""

    text_prefix: NonEmpty | None = None
    """Words before every text, such as `summarize:`, with a space between (task `seq2seq`). Whoever uses the model has to write them too."""

    label_column: NonEmpty = "label"
    """Column that holds the label: a name, a number, or a list (or delimited text) of names for several labels; for `kto` true or false."""

    messages_column: NonEmpty = "messages"
    """Column that holds a conversation: a list of objects with `role` and `content`."""

    prompt_column: NonEmpty | None = None
    """Column that holds what is asked: a text, or a list of messages. Without it, `sft` reads `JOB_DATA__MESSAGES_COLUMN`."""

    completion_column: NonEmpty = "completion"
    """Column that holds the answer to `JOB_DATA__PROMPT_COLUMN`: a text, or a list of messages."""
    tokens_column: NonEmpty = "tokens"
    """Column that holds the words of a sentence, a list (task `token-classification`)."""

    tags_column: NonEmpty = "tags"
    """Column that holds a tag for each word, a list of names or of numbers (task `token-classification`)."""

    tag_scheme: Literal["auto", "iob1", "iob2", "iobes", "bilou", "plain"] = "auto"
    """How tags mark entities; `plain`: every word has a label of its own. `auto` recognises it and says so; `iob1` reads an `I-` that begins an entity as a `B-`."""

    conll_token_column: int = Field(default=1, ge=1)
    """Number of the column that holds the word in CoNLL files, from 1."""

    conll_tag_column: int | None = Field(default=None, ge=1)
    """Number of the column that holds the tag in CoNLL files, from 1. Default: the last one."""

    chosen_column: NonEmpty = "chosen"
    """Column of the preferred answer, a text or a list of messages (tasks `dpo`, `reward`)."""

    rejected_column: NonEmpty = "rejected"
    """Column of the answer that is not preferred, of the same form."""

    anchor_column: NonEmpty = "anchor"
    """Column of the text that is looked for (task `embedding`)."""

    positive_column: NonEmpty = "positive"
    """Column of the text that belongs to it."""

    negative_column: NonEmpty | None = None
    """Column of a text that does not belong to it, though it may look so. Without one, the other rows' texts alone are wrong answers."""

    chat_template: NonEmpty | None = None
    """Jinja template that renders a conversation, in place of the tokenizer's own, and is published with it. Best given as a file: `JOB_DATA__CHAT_TEMPLATE_FILE`."""

    document_break: Literal["file", "blank_line", "line"] = "file"
    """Where a document of a `text` file ends: with the file, at blank lines, or with each line."""

    packing: Literal["auto", "on", "off"] = "auto"
    """Whether several documents share one training record, without seeing each other. `auto`: for raw text, not for `sft`."""

    id_column: NonEmpty | None = None
    """Column that identifies an example in predictions and messages. Default: split and row number."""

    problem: Literal["auto", "single_label", "multi_label", "regression"] = "auto"
    """What a label is: one of several classes, any number of them, or a number to predict. `auto` recognises it and says so."""

    labels: CommaList = ()
    """Label names in the order of their ids. Default: sorted as found in the training data. A label outside the list is an error."""

    label_delimiter: NonEmpty | None = None
    """Character between the labels of one example, for several labels in one text column."""

    header: bool = True
    """Whether CSV and TSV files begin with a line of column names."""

    column_names: CommaList = ()
    """Names of the columns of CSV and TSV files without a header, in order."""

    delimiter: NonEmpty | None = None
    """Character between columns. Default: comma for CSV, tab for TSV."""

    quoting: Literal["minimal", "none"] = "minimal"
    """`minimal`: double quotes enclose a field; `none`: quotes are plain text."""

    encoding: NonEmpty = "utf-8"
    """Character encoding of text files."""

    eval_fraction: float = Field(default=0.1, gt=0, lt=1)
    """Share of the training data set aside for validation when `JOB_DATA__EVAL_URI` is not given; stratified by label."""

    test_fraction: float = Field(default=0.0, ge=0, lt=1)
    """Share of the training data set aside for the final score when `JOB_DATA__TEST_URI` is not given; stratified by label."""

    split_seed: int = Field(default=42, ge=0, le=2**32 - 1)
    """Seed of splits and subsets, apart from `JOB_RUN__SEED` so that several seeds train on the same examples."""

    max_train_examples: int | None = Field(default=None, ge=1)
    """Train on this many examples, drawn by a seeded shuffle."""

    max_eval_examples: int | None = Field(default=None, ge=1)
    """Validate on this many examples, drawn by a seeded shuffle."""

    max_test_examples: int | None = Field(default=None, ge=1)
    """Score this many test examples, drawn by a seeded shuffle."""

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, encoding: str) -> str:
        try:
            codecs.lookup(encoding)
        except LookupError as error:
            raise ValueError(
                "no character encoding of this name is known; common ones are utf-8, utf-8-sig, latin-1, cp1252"
            ) from error
        return encoding

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.header and not self.column_names and self.format != "text-folder":
            raise ValueError("JOB_DATA__HEADER=false needs JOB_DATA__COLUMN_NAMES: without a header nothing else names the columns")
        if self.column_names and self.header:
            raise ValueError("JOB_DATA__COLUMN_NAMES is for files without a header: set JOB_DATA__HEADER=false, or leave it out")
        if self.text_column == self.label_column:
            raise ValueError("JOB_DATA__TEXT_COLUMN and JOB_DATA__LABEL_COLUMN name the same column")
        if self.eval_fraction + self.test_fraction >= 1:
            raise ValueError("JOB_DATA__EVAL_FRACTION and JOB_DATA__TEST_FRACTION together must leave something to train on")
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("JOB_DATA__LABELS names a label twice")
        if self.labels and self.problem == "regression":
            raise ValueError("JOB_DATA__LABELS has no meaning for JOB_DATA__PROBLEM=regression")
        if self.delimiter is not None and len(self.delimiter) != 1:
            raise ValueError("JOB_DATA__DELIMITER must be a single character")
        return self
