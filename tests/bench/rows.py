"""The rows of the bench, in the order of their numbers."""

from tests.bench import row_design, row_size, row_streams, row_submit
from tests.bench.bench_row import Row

ROWS = (
    Row("1", "SubmitResponse, one worker, beside an empty handler", row_submit.one_worker),
    Row("2", "SubmitResponse, two workers, beside two empty handlers", row_submit.two_workers),
    Row("3a", "Answers over streams, one worker", row_streams.responses),
    Row("3b", "Scores over streams and in batches, one worker", row_streams.scores),
    Row("4", "A submission among ten thousand, beside one among a hundred", row_size.room_size),
    Row("5", "Responses stored and ranked, beside triggers that recount", row_design.background_design),
)
