//! Everything before a request is believed: its connection, its head, its body's frame, where it comes from.

pub(crate) mod body;
pub(crate) mod client_ip;
mod connections;
pub(crate) mod head;
pub(crate) mod listener;
mod paced;
mod proxy_header;
pub(crate) mod trap;
