import pyarrow as pa
import pytest

from job.workers.packing import Piece
from job.workers.token_records import FEATURES, TokenEncoder, TokenizedExample

EXAMPLES = {
    "a": TokenizedExample("a", "text a", 3, [Piece("a", [5, 6, 7], [0, 1, 1], 9)]),
    "nothing": TokenizedExample("nothing", "", 0, []),
    "masked": TokenizedExample("masked", "text m", 2, [Piece("masked", [5, 6], [0, 0])]),
    "cut": TokenizedExample("cut", "text c", 9, [Piece("cut", [5, 6, 7], [0, 0, 1])]),
    "long": TokenizedExample("long", "text l", 5, [Piece("long", [1, 2, 3], [0, 1, 1]), Piece("long#2", [3, 4, 5], [0, 1, 1])]),
}


def encode(room):
    encoder = TokenEncoder(lambda rows: [EXAMPLES[name] for name in rows.column("id").to_pylist()], room)
    batches = [pa.RecordBatch.from_pydict({"id": names}) for names in (["a", "nothing", "masked"], ["cut", "long"])]
    return list(encoder.encode(iter(batches)))


@pytest.mark.parametrize(("room", "expected"), [(None, ["a", "cut", "long", "long#2"]), (6, ["a+1", "long+1"]), (100, ["a+3"])])
def test_every_piece_with_a_target_is_in_one_record(room, expected):
    found = encode(room)
    assert [name for each in found for name in each.records["id"].to_pylist()] == expected
    records = pa.concat_tables([each.records for each in found])
    assert records.schema.equals(FEATURES.arrow_schema)
    assert records["length"].to_pylist() == [sum(lengths) for lengths in records["pieces"].to_pylist()]
    assert sum(records["length"].to_pylist()) == 12


def test_what_is_left_out_is_counted():
    first, second, *_ = encode(None)
    assert (first.without_tokens, first.without_targets) == (("nothing",), ("masked",))
    assert first.tokens_in.tolist() == [3]
    assert second.tokens_in.tolist() == [9, 5]
    assert second.examples["length"].to_pylist() == [3, 5]  # cut to three; a token that two windows hold counts once
    assert (first.counts["trained_tokens"], second.counts["trained_tokens"]) == (2, 5)
