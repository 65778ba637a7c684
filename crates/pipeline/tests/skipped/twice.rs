//! A step consumes what it works on.

async fn twice(received: pipeline::Received, verifier: keys::Verifier) {
    let _ = received.authenticate(&verifier).await;
    let _ = received.authenticate(&verifier).await;
}

fn main() {}
