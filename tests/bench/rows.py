"""The rows of the bench, in the order of their numbers."""

from tests.bench import (
    row_crowd,
    row_design,
    row_presence,
    row_presence_design,
    row_size,
    row_streams,
    row_submit,
    row_watch,
)
from tests.bench.bench_row import Row

ROWS = (
    Row("1", "SubmitResponse, one worker, beside an empty handler", row_submit.one_worker),
    Row("2", "SubmitResponse, two workers, beside two empty handlers", row_submit.two_workers),
    Row("3a", "Answers over streams, one worker", row_streams.responses),
    Row("3b", "Scores over streams and in batches, one worker", row_streams.scores),
    Row("4", "A submission among ten thousand, beside one among a hundred", row_size.room_size),
    Row("5", "Responses stored and ranked, beside triggers that recount", row_design.background_design),
    Row("6", "An event to 1,000 watchers, beside bare writes", row_watch.fan_out),
    Row("7", "From a command to the last of 1,000 watchers", row_watch.last_watcher),
    Row("8", "5,000 watch streams on one worker", row_crowd.crowd),
    Row("9", "1,000 streams cut at once, and back", row_crowd.return_of_all),
    Row("10", "10,000 people connected to one worker", row_presence.connected),
    Row("11", "Heartbeat, one worker, beside an empty handler", row_presence.beats),
    Row("12", "Beats in bulk, one worker", row_presence.bulk),
    Row("13", "A change in a scope to 1,000 watchers, beside bare writes", row_watch.scope_fan_out),
    Row("14", "Who is here for 1,000 people, beside a list read anew", row_presence_design.background_design),
)
