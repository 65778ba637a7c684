//! A request that nobody checked does not exist.

fn unchecked() -> core_validate::InferenceRequest {
    core_validate::InferenceRequest { operation: core_validate::Operation::Chat }
}

fn main() {}
