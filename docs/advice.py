"""What a client should do about each reason an error has; part of the table in protocol.md."""

from typing import Final

from muster_kit.errors import Reason

ADVICE: Final[dict[Reason, str]] = {
    Reason.INVALID_FIELD: "Correct the fields that `BadRequest` names. The same request will fail again.",
    Reason.MALFORMED_REQUEST: "Generate the stubs from the contracts of this release. Do not retry.",
    Reason.REQUEST_ID_REUSED: "Make a new id for each new request; repeat an id only with the same request.",
    Reason.QUESTION_FILE_FAULTY: "Show the lines that `BadRequest` gives; correct the file and import again.",
    Reason.PAGE_TOKEN_INVALID: "Start the list over without a token, and keep its other fields as they were.",
    Reason.ANSWER_MISMATCH: "Answer in the kind of the block, with ids that the block has.",
    Reason.TOKEN_INVALID: "Sign in again, or join again for a new ticket; then repeat the call.",
    Reason.TICKET_REVOKED: "Drop the ticket and tell the user, unless they left by themselves. Whether they "
    "may come back, joining again will show.",
    Reason.PERMISSION_DENIED: "Do not offer this to this user.",
    Reason.NOT_FOUND: "Drop what is held under this id.",
    Reason.JOIN_REFUSED: "Ask for code and key again. Wrong guesses are counted.",
    Reason.ALREADY_EXISTS: "Read what is there, or choose another id or name.",
    Reason.SESSION_STATUS: "Wait for the status to move; the watch stream tells.",
    Reason.BLOCK_STATUS: "Show the block as the watch stream has it.",
    Reason.BLOCK_BUSY: "Close or skip the active block first, or repeat in a moment.",
    Reason.SESSION_FULL: "Try again when someone has left.",
    Reason.LATE_JOIN: "Nothing can be done by the user; the host may allow late joining.",
    Reason.BANNED: "Nothing can be done by the user; the host may lift the ban.",
    Reason.ROUND_CLOSED: "The answer came too late, or the session is paused; show it as not taken.",
    Reason.ALREADY_ANSWERED: "Show the first answer; `ListResponses` has it.",
    Reason.PARTICIPANT_STATUS: "Join again, if the user wants to take part.",
    Reason.BOARD_CLOSED: "Do not repeat it; `GetBoard` says when the board takes scores.",
    Reason.CLASS_STATUS: "Restore the class first, or leave it out; `GetClass` says where it stands.",
    Reason.REVISION_STALE: "Read the newest state, decide again, and send it with the new revision and a new "
    "`request_id`.",
    Reason.RATE_LIMITED: "Wait as long as `RetryInfo` says, then repeat with the same `request_id`.",
    Reason.TOO_LARGE: "Send less at a time.",
    Reason.UNAVAILABLE: "Wait as long as `RetryInfo` says, or from 100 ms on, doubling, with jitter; then "
    "repeat with the same `request_id`.",
    Reason.DRAINING: "Repeat at once on a new connection.",
    Reason.DEADLINE_EXCEEDED: "It may have had its effect or not: repeat with the same `request_id`.",
    Reason.UNIMPLEMENTED: "Do without it, or use a release that has it.",
    Reason.INTERNAL: "Repeat once with the same `request_id`. If it stays, report the `muster-call-id` of "
    "the trailing metadata.",
}
