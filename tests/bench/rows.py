"""The rows of the bench, in the order of their numbers."""

from tests.bench import row_submit
from tests.bench.bench_row import Row

ROWS = (
    Row(1, "SubmitResponse, one worker, beside an empty handler", row_submit.one_worker),
    Row(2, "SubmitResponse, two workers, beside two empty handlers", row_submit.two_workers),
)
