//! Everything before a request is believed: its head, its body's frame, where it comes from.

pub(crate) mod body;
pub(crate) mod client_ip;
pub(crate) mod head;
