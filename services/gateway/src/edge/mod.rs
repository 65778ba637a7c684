//! Everything before a request is believed: its connection, its head, its body's frame, where it comes from.

pub(crate) mod body;
pub(crate) mod client_ip;
mod connections;
pub(crate) mod head;
pub(crate) mod listener;
pub(crate) mod one_by_one;
mod paced;
pub(crate) mod refuse;
pub(crate) mod trap;
