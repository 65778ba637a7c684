//! What is not on record cannot be made to look as if it were.

fn pretend(screened: pipeline::Screened) -> pipeline::Committed {
    pipeline::Committed { ticket: screened.ticket, request: screened.request }
}

fn main() {}
