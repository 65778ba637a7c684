//! A body cannot be read before its caller is known.

async fn read_first(received: pipeline::Received, validator: core_validate::Validator) {
    let _ = received.read(&validator, 1, std::time::Duration::ZERO).await;
}

fn main() {}
